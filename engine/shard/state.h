// SPDX-License-Identifier: Apache-2.0
/* state.h - all that one shard owns: members, event ids, tenants with their slices; and apply, the only way to change it.
 *
 * The live path, recovery and the checker call the same state_apply with the same records.
 *
 *     ids       partition_of(hash(tenant, event id))  ->  LSN of the event, or IN_FLIGHT while its first arrival runs
 *     members   partition_of(hash(tenant, profile))   ->  struct member
 *     slices    (tenant, group of the member)         ->  this group's part of the tenant: its chain of events
 *     ledger    accounts, slices of tenant accounts, pending transfers; a member's points are an account there
 *
 * Invariant (L3): per tenant and unit, all accounts sum to zero after every frame (engine/ledger).
 *
 * Runs on: the shard's thread.
 */
#ifndef ENGINE_SHARD_STATE_H
#define ENGINE_SHARD_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/hash.h"
#include "engine/base/table.h"
#include "engine/event/record.h"
#include "engine/ledger/ledger.h"
#include "engine/member/member.h"

struct catalog_view;

/* This group's part of a tenant; its part of the tenant's accounts is in the ledger. */
struct tenant_slice {
	uint64_t last_lsn;             /* newest event of the tenant in this group; 0: none */
	uint64_t event_count, member_count;
};

struct tag_count {
	struct str tag;                /* owned */
	uint64_t members;
};

/* A bonus award; stale where the member has it no more. */
struct award {
	struct member *member;         /* borrowed */
	int64_t awarded_ms;
	uint32_t seq;
};

struct tenant {
	struct tenant *next;           /* in the bucket */
	uint64_t hash;
	struct str name;               /* owned */
	const struct catalog_view *view;       /* NULL: nothing is configured; counted reference */
	struct tenant_slice *slices[GROUP_COUNT];      /* owned; NULL until the group meets the tenant */
	struct tag_count *tags;        /* owned; sorted; members that carry each tag */
	size_t tag_count;
	struct award *awards;          /* owned; of this shard's members, oldest first unless a snapshot was loaded since */
	size_t award_count, award_cap;
	bool awards_unsorted;
};

enum { TENANT_BUCKETS = 256 };

struct state {
	unsigned shard, shard_count;
	struct table members[PARTITION_COUNT];         /* only owned partitions are used */
	struct ids ids;                /* of events and transfers */
	struct ledger ledger;
	struct tenant *tenants[TENANT_BUCKETS];
	uint64_t member_total, event_total;
	uint64_t bytes;                /* what members take, estimated, with their tables */
	const struct seen *seen;       /* borrowed; while a log is replayed behind a snapshot, else NULL */
};

void state_init(struct state *state, unsigned shard, unsigned shard_count);
void state_deinit(struct state *state);

static inline bool state_owns(const struct state *state, unsigned partition)
{
	return shard_of(partition, state->shard_count) == state->shard;
}

struct tenant *state_tenant(struct state *state, struct str name);         /* made if it is new */
struct tenant *state_tenant_find(const struct state *state, struct str name);
struct member *state_member_find(const struct state *state, uint64_t hash, struct str tenant, struct str profile);
/* A member's points, as far as posted. */
static inline int64_t member_points(const struct member *member)
{
	return member->account ? account_balance(member->account) : 0;
}

/* The points account that a new member of this name would have; NULL where there is none yet. */
struct account *state_points_account(const struct state *state, struct str tenant, struct str profile, uint32_t *number);
/* An account was named for a member: where both are there, the member finds it from now on. */
void state_account_link(struct state *state, struct str tenant, struct str profile);
uint64_t state_memory(const struct state *state);          /* bytes, estimate */

/* Which part of a record is taken at replay: the ids' (and pending transfers'), the actors', or both. */
enum state_parts { STATE_IDS = 1, STATE_ACTORS = 2, STATE_ALL = 3 };

/* Applies one record at its LSN.  At replay (`live` false) a shard is shown every record and takes what it owns: the member's
 * part, the id's part, or neither.  Live, ids are marked by the claim instead.  `member` is the record's member where the
 * caller knows it, else NULL.  Returns the member it changed, or NULL.
 * A record that cannot be read is a bug or damage that the checksum did not catch: *broken is set and nothing changes. */
struct member *state_apply(struct state *state, const unsigned char *record, size_t len, uint64_t lsn, bool live,
			   struct member *member, bool *broken);
/* The same at replay, for some parts only: two threads may share the work, one for each part. */
void state_replay(struct state *state, const unsigned char *record, size_t len, uint64_t lsn, enum state_parts parts, bool *broken);

/* At replay, a while before a record is applied: fetches what it will touch. */
void state_prefetch(const struct state *state, const unsigned char *record, const struct record_head *head, enum state_parts parts);

/* What came out of a snapshot has seen these records; NULL: the replay is through.  Borrowed. */
void state_seen(struct state *state, const struct seen *seen);
/* Loading a snapshot: a member that is not there yet, without tags; the caller fills the rest, then calls state_loaded. */
struct member *state_load_member(struct state *state, struct tenant *tenant, uint64_t hash, struct str profile, int64_t created_ms);
void state_loaded(struct state *state, const struct member *member);
struct tenant_slice *state_load_slice(struct tenant *tenant, unsigned group);

/* Oldest first. */
void state_awards_sort(struct tenant *tenant);

/* Sums of one tenant's points over this shard: members, liability and redeemed, credits minus debits. */
void state_sums(const struct state *state, const struct tenant *tenant, __int128 *members, __int128 *liability,
		__int128 *redeemed);

/* Canonical text of all that this shard owns, a line each, appended unsorted; the caller sorts the lines of all shards. */
void state_dump(const struct state *state, struct buf *out);

#endif
