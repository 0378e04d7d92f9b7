// SPDX-License-Identifier: Apache-2.0
/* facts.h - what conditions and selectors can read: customer.*, event.*, payload.*.
 *
 * A scratch is the member as the rules of one event see it: what earlier rules of the same event did is in it.  Nothing here
 * changes the member.
 */
#ifndef ENGINE_EVENT_FACTS_H
#define ENGINE_EVENT_FACTS_H

#include <yyjson.h>

#include "engine/base/u128.h"
#include "engine/catalog/view.h"
#include "engine/member/member.h"
#include "engine/rule/rule.h"

struct account;

enum { SCRATCH_LIST_MAX = 64 };        /* tags, bonuses, limits, emitted events that one event may bring, of each */

struct scratch_bonus { struct str key; uint32_t period; };
struct scratch_count { uint64_t key; uint32_t period, count; };
struct scratch_emit { struct str type; yyjson_val *payload; unsigned depth; };

/* Grown by rules; a rule that fails only takes the lengths back, which are in the scratch. */
struct scratch_lists {
	struct str tags[SCRATCH_LIST_MAX];
	struct scratch_bonus bonuses[SCRATCH_LIST_MAX];
	struct scratch_count counts[SCRATCH_LIST_MAX]; /* the newest of a key counts */
	struct scratch_emit emits[SCRATCH_LIST_MAX];
};

struct scratch {
	int64_t points, status_points, lifetime_points, debt;
	struct str status;
	struct scratch_lists *lists;
	uint32_t tag_count, bonus_count, count_count, emit_count;
	uint32_t reward_count, seq;    /* rewards that came; the last seq that was given */
	const struct account *account; /* NULL: none yet */
	i128 held;                     /* what the balance keeps: pending debits and the floor */
	i128 room;                     /* the ceiling, less pending credits */
	bool moved;                    /* points did */
	bool hooked;                   /* another system is to be told */
};

struct facts {
	struct str profile, type, source;
	yyjson_val *payload;           /* NULL: none */
	const struct member *member;   /* NULL: unknown so far */
	const struct scratch *scratch;
	const struct catalog_view *view;       /* NULL: nothing is configured */
	int64_t now_ms;
	int64_t zone_ms;               /* local time less UTC: what day it is; 0: UTC's */
	struct rule_arena *arena;      /* borrowed */
	yyjson_doc *attributes;        /* the member's, read on first use; facts_end frees it */
	struct rule_value *lists;      /* for tags and bonuses, made on first use; facts_end frees it */
};

/* The member as it stands; without its account's limits, which only an event needs. */
void scratch_of(struct scratch *scratch, struct scratch_lists *lists, const struct member *member, int64_t points);
bool scratch_has_tag(const struct scratch *scratch, const struct member *member, struct str tag);
bool scratch_has_bonus(const struct scratch *scratch, const struct member *member, struct str key, uint32_t period);
uint32_t scratch_counted(const struct scratch *scratch, const struct member *member, uint64_t key, uint32_t period);

/* rule_input.lookup, with a struct facts as its context. */
bool facts_lookup(void *context, struct str path, struct rule_value *out);
void facts_end(struct facts *facts);

#endif
