// SPDX-License-Identifier: Apache-2.0
/* value.h - what the two evaluators share: values, coercions as in JavaScript, strict operators, scopes and bounds.
 *
 * Internal to engine/rule.  Every function that takes `struct eval` returns false after it has put a message into
 * eval->error; the caller then only passes the false on.  Nothing here allocates but from the arena.
 */
#ifndef ENGINE_RULE_VALUE_H
#define ENGINE_RULE_VALUE_H

#include "engine/rule/rule.h"

/* Bounds on a value that is made: nesting, and an estimate of its written size in units of 16 bytes. */
enum { VALUE_DEPTH_MAX = 64, VALUE_WEIGHT_MAX = 1 << 16 };

struct rule_arena {
	size_t used;
	_Alignas(16) char bytes[RULE_ARENA_BYTES];
};

struct eval {
	const struct rule_input *input;
	struct rule_arena *arena;
	char *error;                   /* 160 bytes */
	unsigned steps;                /* taken so far */
};

/* What "var" reads: the input, one item of a list, or the pair of a reduction. */
enum scope_kind { SCOPE_TOP, SCOPE_ITEM, SCOPE_REDUCE };
struct scope {
	enum scope_kind kind;
	const struct rule_value *item;         /* SCOPE_ITEM, and "current" of SCOPE_REDUCE */
	const struct rule_value *accumulator;
};

/* The operators.  Those before OP_STRICT evaluate their operands themselves. */
enum op {
	OP_CONST, OP_LIST, OP_VAR_PATH,        /* of the compiled form only */
	OP_VAR, OP_IF, OP_AND, OP_OR, OP_MAP, OP_FILTER, OP_REDUCE, OP_ALL, OP_NONE, OP_SOME,
	OP_MISSING, OP_MISSING_SOME,
	OP_STRICT,
	OP_EQ = OP_STRICT, OP_SAME, OP_NE, OP_DIFFERENT, OP_GT, OP_GE, OP_LT, OP_LE, OP_NOT, OP_TRUTH, OP_MAX, OP_MIN,
	OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_MERGE, OP_IN, OP_CAT, OP_SUBSTR, OP_LOG,
	OP_COUNT
};
bool op_find(struct str name, enum op *op);
struct str op_at(size_t index);                            /* their names, for lists; empty behind the last one */

/* Operands of a strict operator are kept on the stack up to this many. */
enum { OPERANDS_FEW = 4 };

bool eval_fail(struct eval *eval, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool eval_too_long(struct eval *eval);
bool eval_charge(struct eval *eval, size_t bytes);         /* counts as if allocated */
void *eval_alloc(struct eval *eval, size_t bytes);         /* aligned for any value; NULL with the error set */

static inline bool eval_step(struct eval *eval, unsigned steps)
{
	eval->steps += steps;
	return eval->steps <= RULE_STEPS_MAX || eval_too_long(eval);
}

static inline struct rule_value *eval_values(struct eval *eval, size_t count)
{
	return eval_alloc(eval, count * sizeof(struct rule_value));
}

static inline struct rule_value value_bool(bool boolean)
{
	return (struct rule_value){ .type = RULE_BOOL, .boolean = boolean };
}

static inline struct rule_value value_text(struct str text)
{
	return (struct rule_value){ .type = RULE_TEXT, .text = text };
}

static inline struct rule_value value_number(struct decimal number)
{
	return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static inline bool value_is_list(const struct rule_value *value)
{
	return value->type == RULE_ARRAY || (value->type == RULE_JSON && yyjson_is_arr(value->json));
}

/* False only for a number that does not fit a decimal; then *out is untouched. */
bool value_from_json(yyjson_val *json, struct rule_value *out);
bool value_of_json(struct eval *eval, yyjson_val *json, struct rule_value *out);   /* the same, with the error set */

/* An array over `items`, with depth and weight.  The first is false beyond the bounds. */
bool value_list(struct rule_value *items, size_t count, struct rule_value *out);
bool value_of_items(struct eval *eval, struct rule_value *items, size_t count, struct rule_value *out);

/* Walking a list, either kind.  Not a list: count 0. */
struct items {
	const struct rule_value *value;
	yyjson_arr_iter iter;
	size_t count;
	size_t at;
};
void items_begin(struct items *items, const struct rule_value *value);
bool items_next(struct eval *eval, struct items *items, struct rule_value *out);   /* exactly count times */

/* Coercions.  *nan is set where JavaScript has NaN (and for numbers that do not fit). */
bool value_to_number(struct eval *eval, const struct rule_value *value, struct decimal *out, bool *nan);
bool value_to_float(struct eval *eval, const struct rule_value *value, struct decimal *out, bool *nan); /* parseFloat */
bool value_to_text(struct eval *eval, const struct rule_value *value, struct str *out);

bool value_same(const struct rule_value *a, const struct rule_value *b);           /* === */
bool value_equal(struct eval *eval, const struct rule_value *a, const struct rule_value *b, bool *out); /* == */
enum { ORDER_NONE = 2 };               /* of what has no order */
bool value_order(struct eval *eval, const struct rule_value *a, const struct rule_value *b, int *out);

/* One member of a value by name or index; *found is false where there is none. */
bool value_member(struct eval *eval, const struct rule_value *value, struct str key, struct rule_value *out,
		  bool *found);
/* The start of a path: what `lookup` knows, else the scope's own value. *whole says that the lookup answered the
 * path. */
bool scope_lookup(struct eval *eval, const struct scope *scope, struct str path, struct rule_value *out, bool *whole);
bool scope_value(struct eval *eval, const struct scope *scope, struct rule_value *out);    /* for the path "" */
/* The value at a dot path.  Absent: *found is false and *out is null. */
bool scope_find(struct eval *eval, const struct scope *scope, struct str path, struct rule_value *out, bool *found);

/* Of a condition: whether it is JSONLogic as it stands, or one of system A's forms (right or wrong). */
bool condition_is_logic(yyjson_val *condition);
bool condition_is_field_leaf(yyjson_val *condition);       /* {field, operator, value} */

/* A strict operator on its evaluated operands; "missing" and "missing_some" on theirs. */
bool op_apply(struct eval *eval, enum op op, const struct rule_value *args, size_t count, struct rule_value *out);
bool op_compare(struct eval *eval, enum op op, const struct rule_value *a, const struct rule_value *b, bool *out);
bool op_missing(struct eval *eval, const struct scope *scope, const struct rule_value *args, size_t count,
		struct rule_value *out);
bool op_missing_some(struct eval *eval, const struct scope *scope, const struct rule_value *args, size_t count,
		     struct rule_value *out);

#endif
