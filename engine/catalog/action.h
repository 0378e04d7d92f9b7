// SPDX-License-Identifier: Apache-2.0
/* action.h - the table of rule actions: names, arguments, and the form in which they run. */
#ifndef ENGINE_CATALOG_ACTION_H
#define ENGINE_CATALOG_ACTION_H

#include "engine/base/decimal.h"
#include "engine/catalog/kind.h"

enum action_type {
	ACTION_EARN_FROM_AMOUNT,       /* points = truncate(amount x rate), within min_points and max_points */
	ACTION_EARN,                   /* points, or the integer at path */
	ACTION_BURN,                   /* the same */
	ACTION_SET_STATUS,             /* text */
	ACTION_ADD_TAG,                /* text */
	ACTION_RESET_STATUS_POINTS,
	ACTION_ISSUE_REWARD,           /* reward; as a gift */
	ACTION_REDEEM_REWARD,          /* reward; against its cost in points */
	ACTION_RECORD_BONUS,           /* text: the bonus's key */
	ACTION_DOWNGRADE_TIER,
	ACTION_SET_TIER,               /* text: the tier's key */
	ACTION_EMIT_EVENT,             /* text: an INTERNAL event type; payload */
	ACTION_SEND_MESSAGE,           /* text: a template */
	ACTION_CALL_WEBHOOK,           /* text: a URL */
	ACTION_TYPES                   /* the numbers are in the log */
};

enum { ACTIONS_MAX = 32, ACTION_PATH_MAX = 16 };
#define ACTION_POINTS_MAX INT64_C(9007199254740991)    /* 2^53 - 1: exact in every JSON client */

struct action_kind {
	const char *name;              /* "earn_points" */
	const struct field *args;      /* ends with name NULL */
	const char *const *one_of;     /* exactly one of these must be given; ends with NULL; NULL: none */
	const char *doc;
};

extern const struct action_kind action_kinds[ACTION_TYPES];

/* "earn_points"; "limit" for ACTION_TYPES, which stands where an effect is of no action. */
const char *action_name(unsigned type);

struct action_path {
	struct str text;               /* "basket.total"; borrowed, like the parts */
	struct str parts[ACTION_PATH_MAX];
	size_t count;                  /* 0: not given */
};

struct action {
	enum action_type type;
	struct decimal rate;           /* ACTION_EARN_FROM_AMOUNT */
	bool has_min, has_max, has_points;
	int64_t min_points, max_points, points;
	struct action_path amount_path;        /* ACTION_EARN_FROM_AMOUNT: always there */
	struct action_path from_payload;       /* ACTION_EARN, ACTION_BURN: there unless has_points */
	struct str text;               /* status, tag, key of a tier or bonus, event type, URL */
	uint64_t reward;               /* id of a reward */
	yyjson_val *payload;           /* ACTION_EMIT_EVENT: an object; NULL: that of the event itself */
};

/* Checks a list of actions; adds faults with pointers below `pointer` and returns false if it found any. */
bool actions_check(yyjson_val *list, const char *pointer, struct faults *faults);

/* The fields that an action of its type has; none where the type is unknown. */
const struct field *action_args(yyjson_val *source);

/* Compiles one checked action.  Texts are borrowed from `source`.  False if it is not valid after all. */
bool action_compile(yyjson_val *source, struct action *out);

/* The value in the payload, NULL if there is none.  A part of digits also indexes an array. */
yyjson_val *action_path_get(const struct action_path *path, yyjson_val *payload);

#endif
