// SPDX-License-Identifier: Apache-2.0
/* rule.h - JSONLogic: compiled when a rule is saved, evaluated with bounds.
 *
 * Every operator of the public reference implementation, with its semantics; arithmetic is decimal (decimal.h),
 * division by zero is an error of that evaluation. Facts that are not in the payload (points, tags, weekday …) come
 * in through the data object, which the caller builds.
 */
#ifndef ENGINE_RULE_RULE_H
#define ENGINE_RULE_RULE_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/decimal.h"
#include "engine/base/fault.h"
#include "engine/base/str.h"

enum { RULE_DEPTH_MAX = 64, RULE_STEPS_MAX = 10000, RULE_NODES_MAX = 4096, RULE_ARENA_BYTES = 1 << 20 };

struct rule;                           /* a compiled condition; immutable; shareable between threads; opaque */

/* What an evaluation reads. `lookup` is asked first for every whole dot path outside map, filter, reduce, all, some
 * and none; a path that it does not know is found by walking `data`. It may be NULL. Both are borrowed. A value from
 * `lookup` must live until the evaluation's arena is reset. */
enum rule_type { RULE_NULL, RULE_BOOL, RULE_NUMBER, RULE_TEXT, RULE_ARRAY, RULE_JSON };
struct rule_value {
	enum rule_type type;           /* says which member of the union holds */
	uint32_t depth;                /* RULE_ARRAY: nesting; kept by the evaluation, need not be set by a lookup */
	uint32_t weight;               /* RULE_ARRAY: size when written out; likewise */
	union {
		bool boolean;
		struct decimal number;
		struct str text;
		yyjson_val *json;      /* RULE_JSON: an object or array out of the data */
		struct {               /* RULE_ARRAY: made by the evaluation, in its arena; a lookup's holds scalars */
			struct rule_value *items;
			size_t count;
		};
	};
};
typedef bool rule_lookup_fn(void *context, struct str path, struct rule_value *out);

struct rule_input {
	yyjson_val *data;              /* may be NULL */
	rule_lookup_fn *lookup;        /* asked first; returns false for a path that it does not know */
	void *context;
};

struct rule_arena;                     /* memory of one evaluation, RULE_ARENA_BYTES between resets; reusable */
struct rule_arena *rule_arena_new(void);
void rule_arena_reset(struct rule_arena *arena);
void rule_arena_free(struct rule_arena *arena);

/* Compiles; NULL with faults (pointers relative to `pointer`): unknown operator, too deep, too many nodes. Copies
 * what it needs of `source`. */
struct rule *rule_compile(yyjson_val *source, const char *pointer, struct faults *faults);
void rule_free(struct rule *rule);

/* False with a message in `error` (text of at least 160 bytes): division by zero, overflow, an operand of arithmetic
 * that is not a number, too many steps, too much memory. *out lives until the arena is reset and points into rule and
 * data. */
bool rule_eval(const struct rule *rule, const struct rule_input *input, struct rule_arena *arena,
	       struct rule_value *out, char error[160]);
/* The same result by a direct walk over the source, for differential tests. */
bool rule_eval_direct(yyjson_val *source, const struct rule_input *input, struct rule_arena *arena,
		      struct rule_value *out, char error[160]);
bool rule_truthy(const struct rule_value *value);          /* empty array false, text "0" true */
void rule_value_json(struct buf *out, const struct rule_value *value);

/* System A's own condition forms (all/any/not of leaves; and/or/not of {field, operator, value}; or JSONLogic itself)
 * become JSONLogic over the facts below. Appends JSON text to `out`; false with faults. `null` becomes `true`. */
bool condition_to_jsonlogic(yyjson_val *condition, const char *pointer, struct buf *out, struct faults *faults);

/* Appends the JSON Schema of all these forms as definitions, members of an object that is found at `refs` ("#/$defs/"):
 * "condition" and what it needs.  What it cannot say: how deep and how large one may be, and how long its numbers. */
void condition_definitions(struct buf *out, const char *refs);

#endif
