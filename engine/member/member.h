// SPDX-License-Identifier: Apache-2.0
/* member.h - a member of a tenant's program: the actor that owns a balance and everything that belongs to it.
 *
 * Invariants
 *   - its points are the balance of a ledger account; lifetime_points and status_points are counters beside it
 *   - tags are distinct and sorted by bytes
 *   - last_lsn is the head of the member's history; it is the last record that this actor has seen
 *
 * Runs on: the shard that owns the member's partition.
 */
#ifndef ENGINE_MEMBER_MEMBER_H
#define ENGINE_MEMBER_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/str.h"

enum { MEMBER_TAGS_MAX = 1000 };

struct account;
struct tenant;

struct member {
	uint64_t hash;                 /* hash_name(HASH_MEMBER, tenant, profile) */
	uint64_t last_lsn;
	struct tenant *tenant;         /* borrowed, lives as long as the shard's state */
	struct account *account;       /* its points, in the ledger; borrowed; NULL: none yet */
	uint32_t account_number;
	int64_t status_points, lifetime_points;
	int64_t created_ms, active_ms; /* first seen; last event */
	uint32_t event_count;
	uint16_t profile_len, status_len, tag_count;
	char *status;                  /* owned */
	char *attributes;              /* owned; JSON object text, NULL: {} */
	uint32_t attributes_len;
	struct str *tags;              /* owned, texts too */
	char profile[];                /* not terminated; in the same piece of memory, so that a look-up misses the cache once */
};

static inline struct str member_profile(const struct member *member)
{
	return (struct str){ member->profile, member->profile_len };
}

static inline struct str member_status(const struct member *member)
{
	return (struct str){ member->status, member->status_len };
}

static inline struct str member_attributes(const struct member *member)
{
	return member->attributes ? (struct str){ member->attributes, member->attributes_len } : STR("{}");
}

struct member *member_new(struct tenant *tenant, uint64_t hash, struct str profile, int64_t now_ms);
void member_free(struct member *member);
bool member_has_tag(const struct member *member, struct str tag);
bool member_add_tag(struct member *member, struct str tag);    /* false: had it already */
void member_clear_tags(struct member *member);
void member_set_status(struct member *member, struct str status);
void member_set_attributes(struct member *member, struct str json);

#endif
