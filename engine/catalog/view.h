// SPDX-License-Identifier: Apache-2.0
/* view.h - one tenant's configuration, compiled for deciding events.
 *
 * Immutable after catalog_view_build, so shards on any thread may read it without locks; the last view_unref frees it.
 * It borrows nothing from the catalog.
 */
#ifndef ENGINE_CATALOG_VIEW_H
#define ENGINE_CATALOG_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/str.h"
#include "engine/catalog/action.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/schema.h"
#include "engine/rule/rule.h"

enum view_origin { ORIGIN_EXTERNAL, ORIGIN_INTERNAL };

enum limit_period { PERIOD_EVER, PERIOD_YEAR, PERIOD_MONTH, PERIOD_WEEK, PERIOD_DAY, PERIODS };   /* in UTC; ISO weeks */

/* How often a rule may succeed for one customer. */
struct view_limit {
	int64_t max;
	enum limit_period per;
};

enum { LIMITS_PER_RULE_MAX = 8 };

struct view_rule {
	uint64_t id, version;
	int64_t priority;
	struct rule *condition;        /* NULL: always */
	struct rule *audience;         /* NULL: everybody */
	struct view_limit limits[LIMITS_PER_RULE_MAX];
	size_t limit_count;
	struct action *actions;
	size_t action_count;
	const char *broken;            /* NULL; or why this rule cannot run (its executions fail with this text) */
	yyjson_doc *doc;               /* what the texts of the actions point into */
};

struct view_event_type {
	struct str key;
	uint64_t id;
	bool active;
	enum view_origin origin;
	struct schema *payload_schema; /* NULL: every payload is fine */
	const char *broken;            /* NULL; or why the schema cannot be used (events are refused with this text) */
	struct view_rule *rules;       /* the active ones, in the order in which they run */
	size_t rule_count;
	yyjson_doc *doc;               /* what `key` points into */
};

struct view_reward {
	uint64_t id;
	struct str name, type;         /* owned by the view */
	int64_t cost_points;
	int64_t validity_days;         /* 0: for ever */
	bool active;
};

struct view_tier {
	uint64_t id;
	struct str key, name;          /* owned by the view */
	int64_t rank, min_status_points;
};

struct view_bonus {
	uint64_t id;
	struct str key, name;          /* owned by the view */
	enum limit_period per;         /* one award in each */
	bool active;
};

struct catalog_view {
	atomic_size_t refs;
	struct str tenant;             /* owned */
	uint64_t lsn;                  /* catalog->last_lsn when it was built */
	struct view_event_type *types; /* by id */
	size_t type_count;
	uint32_t *slots;               /* hash table: index + 1 into types, 0 is empty; at most half full */
	size_t slot_mask;
	struct view_reward *rewards;   /* by id */
	struct view_tier *tiers;       /* the active ones, by threshold */
	struct view_bonus *bonuses;
	size_t reward_count, tier_count, bonus_count;
};

/* A view with one reference, which the caller owns.  Never NULL: a tenant without documents has an empty view. */
struct catalog_view *catalog_view_build(const struct catalog *catalog, struct str tenant);
struct catalog_view *view_ref(struct catalog_view *view);  /* returns its argument */
void view_unref(struct catalog_view *view);                /* NULL is allowed */

/* NULL if the tenant has no such event type.  Lives as long as the view. */
const struct view_event_type *catalog_view_event_type(const struct catalog_view *view, struct str key);

const struct view_reward *view_reward(const struct catalog_view *view, uint64_t id);
const struct view_bonus *view_bonus(const struct catalog_view *view, struct str key);
const struct view_tier *view_tier(const struct catalog_view *view, struct str key);
/* The tier that so many status points make: the highest active one whose threshold they reach.  NULL: none; the view may be
 * NULL.  A tier is never stored with the member, so a change of the tiers counts at once. */
const struct view_tier *view_tier_of(const struct catalog_view *view, int64_t status_points);

extern const char *const limit_period_names[PERIODS + 1];  /* "EVER", "YEAR", …; ends with NULL */
/* Which year, month, week or day, as a number that is never given to another one, whatever their kinds: 0, 2026, 202601,
 * 2026053, 20260131. */
uint32_t limit_period_of(enum limit_period per, int64_t time_ms);
/* The same for people: EVER, 2026, 2026-01, 2026-W53, 2026-01-31. */
void limit_period_text(struct buf *out, uint32_t period);

#endif
