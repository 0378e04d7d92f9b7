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

enum { MEMBER_TAGS_MAX = 1000, MEMBER_ITEMS_MAX = 20000 /* rewards, bonuses, counters: of each */ };

enum reward_state { REWARD_ISSUED, REWARD_USED, REWARD_EXPIRED, REWARD_REVOKED, REWARD_STATES };

/* A reward that the member got.  It stays in the list when it has come to its end. */
struct reward_item {
	uint64_t reward;               /* the reward's id in the catalog */
	int64_t issued_ms, expires_ms, ended_ms;       /* 0: never; ended: used, expired or revoked */
	uint32_t seq;                  /* ascending; never given twice by a member */
	uint16_t state, name_len;      /* enum reward_state */
	char *name;                    /* as it was when it was issued; owned */
};

struct bonus_item {
	int64_t awarded_ms;
	uint32_t seq, period;
	uint32_t key_len;
	char *key;                     /* owned */
};

struct counter_item {                  /* of one limit of a rule; only its newest period */
	uint64_t key;
	uint32_t period, count;
};

/* What most members do not have. */
struct member_more {
	int64_t debt;                  /* points owed, of purchases that were returned after their points had been spent */
	uint32_t seq;                  /* the last one given */
	uint32_t reward_count, bonus_count, counter_count;
	uint32_t reward_cap, bonus_cap, counter_cap;
	struct reward_item *rewards;   /* by seq; owned, like the next */
	struct bonus_item *bonuses;    /* by seq; those that were withdrawn are gone */
	struct counter_item *counters;
};

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
	struct member_more *more;      /* owned; NULL: nothing of that */
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
bool member_remove_tag(struct member *member, struct str tag); /* false: did not have it */
void member_clear_tags(struct member *member);
void member_set_status(struct member *member, struct str status);
void member_set_attributes(struct member *member, struct str json);

struct member_more *member_more(struct member *member);    /* made where it is not there */
static inline int64_t member_debt(const struct member *member)
{
	return member->more ? member->more->debt : 0;
}

/* NULL: there is none.  Valid until the next change of the member. */
struct reward_item *member_reward(const struct member *member, uint32_t seq);
struct bonus_item *member_bonus(const struct member *member, uint32_t seq);
/* Whether the member was awarded a bonus in a period. */
bool member_has_bonus(const struct member *member, struct str key, uint32_t period);
uint32_t member_counted(const struct member *member, uint64_t key, uint32_t period);
/* Seqs come in ascending order; false where that is not so, or the list is full. */
bool member_add_reward(struct member *member, const struct reward_item *item, struct str name);
bool member_add_bonus(struct member *member, const struct bonus_item *item, struct str key);
void member_drop_bonus(struct member *member, uint32_t seq);
bool member_count(struct member *member, uint64_t key, uint32_t period, uint32_t count);      /* false: the list is full */
/* Rewards past their end at a time that are still issued. */
uint32_t member_rewards_due(const struct member *member, int64_t now_ms);
size_t member_more_bytes(const struct member *member);     /* memory, estimated */

#endif
