// SPDX-License-Identifier: Apache-2.0
/* ingest.h - deciding what an event is worth: its rules, in order, become one record of effects.
 *
 *     row + member + view of the configuration + time   ->   refusal | one EVENT record
 *
 * Rules run by priority.  The actions of one rule are all-or-nothing: a failing rule leaves nothing and does not stop the
 * others; each rule leaves an execution with its result.  Nothing is changed here: the record is applied by state_apply.
 */
#ifndef ENGINE_EVENT_INGEST_H
#define ENGINE_EVENT_INGEST_H

#include "engine/catalog/view.h"
#include "engine/shard/batch.h"
#include "engine/shard/state.h"

struct scratch;

struct ingest {
	struct rule_arena *arena;      /* owned by the shard */
	int64_t now_ms;
	uint64_t prev_slice;           /* head of the tenant's chain in the member's group */
	/* The member's points: its account, or NULL and the number that a new one gets. */
	const struct account *account;
	uint32_t account_number;       /* 0: no account can be made (2^26 in a group) */
	int64_t floor, ceiling;
};

/* An upper bound of the record's size in bytes, for the log's credit. */
uint32_t ingest_bound(const struct row *row, const struct catalog_view *view);

/* Appends the record and returns true, or refuses the row and returns false.  `member` is NULL for an unknown one. */
bool ingest_decide(struct row *row, const struct member *member, const struct catalog_view *view, const struct ingest *context,
		   struct buf *out);

/* What the member's account allows, for a scratch that has its points. */
void ingest_limits(struct scratch *scratch, const struct ingest *context);

/* Names the counter of a rule's limit. */
static inline uint64_t limit_key(uint64_t rule_id, size_t limit)
{
	return rule_id * LIMITS_PER_RULE_MAX + limit;
}

/* The same for an upsert of a customer: CUSTOMER record.  Fields that are absent stay as they were. */
uint32_t customer_bound(const struct row *row, const struct member *member);
bool customer_decide(struct row *row, const struct member *member, int64_t now_ms, struct buf *out);

#endif
