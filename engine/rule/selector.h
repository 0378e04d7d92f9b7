// SPDX-License-Identifier: Apache-2.0
/* selector.h - which members a job or a rule is for: {"status_in":["ACTIVE"],"inactive_days_gte":30}.
 *
 * A selector is an object of conditions that all hold; {} is every member.  all, any and not hold further ones, `condition`
 * takes any condition of the rules.  It becomes JSONLogic over the facts that rules see (engine/event/facts.h), so that there
 * is one evaluator.  Days and dates are those of the time zone of the job's schedule, else of UTC.
 *
 * Everything here is pure; a compiled selector is constant and may be used by any thread.  What it takes to ask a member is in
 * engine/job/selector.h.
 */
#ifndef ENGINE_RULE_SELECTOR_H
#define ENGINE_RULE_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/fault.h"
#include "engine/rule/rule.h"

enum selector_type {
	SELECTOR_GROUP,                /* a list of selectors, not empty */
	SELECTOR_NOT,                  /* a selector, or a list of them of which not all hold */
	SELECTOR_TEXTS,                /* a list of texts, not empty */
	SELECTOR_NUMBER,               /* a whole number from 0 */
	SELECTOR_FLAG,                 /* true or false */
	SELECTOR_TEXT,
	SELECTOR_CONDITION             /* any condition of a rule */
};

enum { SELECTOR_TEXTS_MAX = 1000 };

struct selector_key {
	const char *name;              /* NULL ends the table */
	enum selector_type type;
	const char *fact;              /* what it reads; NULL: nothing of its own */
	const char *logic;             /* JSONLogic operator, or the group's */
	const char *doc;               /* one sentence */
};

extern const struct selector_key selector_keys[];

/* Appends JSONLogic text; false with faults at or below `pointer`, and `out` as it was. */
bool selector_to_jsonlogic(yyjson_val *selector, const char *pointer, struct buf *out, struct faults *faults);
/* For the table of the kind: faults for all that is wrong; false if there is any. */
bool selector_check(yyjson_val *selector, const char *pointer, struct faults *faults);
/* And its JSON Schema: a definition "selector" at `refs`, which needs "condition" there; and what refers to it. */
void selector_definitions(struct buf *out, const char *refs);
void selector_schema(struct buf *out, bool partial, const char *refs);
/* The caller frees it with rule_free; NULL with faults. */
struct rule *selector_compile(yyjson_val *selector, const char *pointer, struct faults *faults);

#endif
