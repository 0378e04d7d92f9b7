// SPDX-License-Identifier: Apache-2.0
/* scan.h - the members of a tenant that a selector chooses, a piece at a time.
 *
 * A scan is a message to the shard that owns its partition.  It looks at about SCAN_LOOK members, in ascending order of
 * (partition, hash), and says where the next one goes on.  The cursor is a hash, not a place in a table: the partition's
 * entries whose hashes lie in the next range are collected in one pass over the table and sorted, so tables may grow and move
 * their entries between two messages, and the order is the same with any number of shards.
 *
 * A member that is there from the first message to the last is looked at exactly once; one that comes meanwhile, once or not.
 */
#ifndef ENGINE_JOB_SCAN_H
#define ENGINE_JOB_SCAN_H

#include "engine/job/selector.h"
#include "engine/shard/batch.h"

struct env;
struct rule_arena;
struct state;

enum { SCAN_LOOK = 512 };              /* members */

enum scan_what {
	SCAN_SELECTED,                 /* members of `tenant` that the selection chooses */
	SCAN_REWARDS_DUE               /* members of `tenant` (empty: of all) with an issued reward past its end */
};

struct scan {
	struct message message;        /* MESSAGE_SCAN */
	/* in */
	enum scan_what what;
	struct str tenant;             /* borrowed */
	struct selection selection;    /* borrowed rule */
	void (*after)(struct scan *scan);      /* where the answer goes, on the loop */
	void *context;
	/* in and out: where to look next; partition PARTITION_COUNT: the end */
	unsigned partition;
	uint64_t hash;
	/* out */
	uint32_t count;
	uint64_t due;                  /* REWARDS_DUE: such rewards of those members */
	struct buf found;              /* owned by the caller; count times u16 length of the tenant, u16 of the profile, texts */
};

struct scan_item { struct str tenant, profile; };

/* To the shard where it goes on. */
void scan_post(struct scan *scan, const struct env *env);
/* On that shard. */
void scan_members(struct scan *scan, const struct state *state, struct rule_arena *arena);
/* Takes `found` apart; *at starts as 0. */
struct scan_item scan_next(const struct scan *scan, size_t *at);

#endif
