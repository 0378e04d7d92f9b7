// SPDX-License-Identifier: Apache-2.0
/* explain.h - why a condition held or not: its groups and leaves as they were written, each with what it read and its result.
 *
 *     {"all":[{"condition":{"amount_gte":100},"values":{"payload.amount":99},"result":false}, …],"result":false}
 *
 * Groups are all, any and not, whichever way they were written; a leaf is everything else.  A leaf is evaluated by the same
 * evaluator as the whole.  Those that the evaluation did not get to, because the result was clear, have "reached":false; they are
 * evaluated all the same.  A leaf that fails has "error" and a null result.
 */
#ifndef ENGINE_RULE_EXPLAIN_H
#define ENGINE_RULE_EXPLAIN_H

#include "engine/rule/rule.h"

struct explanation {
	bool good;                     /* false: the evaluation fails with `error`, as rule_eval would */
	bool result;
	char error[160];
};

/* Compiles a condition, or a selector: each leaf goes through it.  NULL with faults, or for null. */
typedef struct rule *explain_compile_fn(yyjson_val *source, const char *pointer, struct faults *faults);

enum explain_form { EXPLAIN_CONDITION, EXPLAIN_SELECTOR };

/* Appends one JSON object, without anything from outside the input.  `condition` may be NULL or null: it holds. */
void rule_explain(yyjson_val *condition, enum explain_form form, explain_compile_fn *compile, const struct rule_input *input,
		  struct rule_arena *arena, struct buf *out, struct explanation *whole);

#endif
