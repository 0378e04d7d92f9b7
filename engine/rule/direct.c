// SPDX-License-Identifier: Apache-2.0
/* direct.c - evaluation by a direct walk over the JSON text's tree, for differential tests.
 *
 * Idea: written after the reference implementation, function by function, without any preparation; it shares with the
 * compiled form only the helpers on values. Steps and memory are counted alike, so that the bounds strike both or
 * neither.
 */
#include "engine/rule/value.h"

#include "engine/base/assert.h"
#include "engine/base/json.h"

struct operands {                      /* of one operation: one value, or the items of an array */
	yyjson_val *only;
	yyjson_val *list;
	size_t count;
};

static bool walk(struct eval *eval, yyjson_val *source, const struct scope *scope, unsigned depth,
		 struct rule_value *out);

static yyjson_val *operand_at(const struct operands *operands, size_t i)
{
	if (i >= operands->count)
		return NULL;
	return operands->list ? yyjson_arr_get(operands->list, i) : operands->only;
}

/* Operand `i`, null where it is absent. */
static bool walk_at(struct eval *eval, const struct operands *operands, size_t i, const struct scope *scope,
		    unsigned depth, struct rule_value *out)
{
	*out = (struct rule_value){ .type = RULE_NULL };
	return i >= operands->count || walk(eval, operand_at(operands, i), scope, depth, out);
}

static bool walk_var(struct eval *eval, const struct operands *operands, const struct scope *scope, unsigned depth,
		     struct rule_value *out)
{
	struct rule_value path;
	struct str text = STR("");
	bool found;
	if (!walk_at(eval, operands, 0, scope, depth, &path))
		return false;
	if (path.type != RULE_NULL && !value_to_text(eval, &path, &text))
		return false;
	if (!scope_find(eval, scope, text, out, &found))
		return false;
	return found || walk_at(eval, operands, 1, scope, depth, out);
}

static bool walk_if(struct eval *eval, const struct operands *operands, const struct scope *scope, unsigned depth,
		    struct rule_value *out)
{
	struct rule_value answer;
	size_t i = 0;
	while (operands->count > i + 1) {
		if (!walk_at(eval, operands, i, scope, depth, &answer))
			return false;
		if (rule_truthy(&answer))
			return walk_at(eval, operands, i + 1, scope, depth, out);
		i += 2;
	}
	return walk_at(eval, operands, i, scope, depth, out);
}

static bool walk_and_or(struct eval *eval, enum op op, const struct operands *operands, const struct scope *scope,
			unsigned depth, struct rule_value *out)
{
	*out = (struct rule_value){ .type = RULE_NULL };
	for (size_t i = 0; i < operands->count; i++) {
		if (!walk_at(eval, operands, i, scope, depth, out))
			return false;
		if (op == OP_AND ? !rule_truthy(out) : rule_truthy(out))
			break;
	}
	return true;
}

static bool walk_each(struct eval *eval, enum op op, const struct operands *operands, const struct scope *scope,
		      unsigned depth, struct rule_value *out)
{
	struct rule_value list, current, accumulator, answer, *made = NULL;
	struct scope inner = { op == OP_REDUCE ? SCOPE_REDUCE : SCOPE_ITEM, &current, &accumulator };
	struct items items;
	size_t count = 0, truthy = 0, seen = 0;
	bool decided = false;
	if (!walk_at(eval, operands, 0, scope, depth, &list))
		return false;
	if (op == OP_REDUCE && !walk_at(eval, operands, 2, scope, depth, &accumulator))
		return false;
	items_begin(&items, &list);
	if ((op == OP_MAP || op == OP_FILTER) && !(made = eval_values(eval, items.count)))
		return false;
	for (; seen < items.count && !decided; seen++) {
		if (!eval_step(eval, 1) || !items_next(eval, &items, &current) ||
		    !walk_at(eval, operands, 1, &inner, depth, &answer))
			return false;
		truthy += rule_truthy(&answer);
		switch (op) {
		case OP_MAP: made[count++] = answer; break;
		case OP_FILTER:
			if (rule_truthy(&answer))
				made[count++] = current;
			break;
		case OP_REDUCE: accumulator = answer; break;
		case OP_ALL: decided = !rule_truthy(&answer); break;
		default: decided = rule_truthy(&answer); break;
		}
	}
	switch (op) {
	case OP_MAP:
	case OP_FILTER: return value_of_items(eval, made, count, out);
	case OP_REDUCE: *out = accumulator; return true;
	case OP_ALL: *out = value_bool(items.count && truthy == items.count); return true;
	case OP_NONE: *out = value_bool(!truthy); return true;
	default: *out = value_bool(truthy); return true;
	}
}

static bool walk_operation(struct eval *eval, enum op op, const struct operands *operands, const struct scope *scope,
			   unsigned depth, struct rule_value *out)
{
	struct rule_value few[OPERANDS_FEW], *args = few;
	switch (op) {
	case OP_VAR: return walk_var(eval, operands, scope, depth, out);
	case OP_IF: return walk_if(eval, operands, scope, depth, out);
	case OP_AND:
	case OP_OR: return walk_and_or(eval, op, operands, scope, depth, out);
	case OP_MAP: case OP_FILTER: case OP_REDUCE: case OP_ALL: case OP_NONE: case OP_SOME:
		return walk_each(eval, op, operands, scope, depth, out);
	default: break;
	}
	if (operands->count > OPERANDS_FEW && !(args = eval_values(eval, operands->count)))
		return false;
	for (size_t i = 0; i < operands->count; i++)
		if (!walk_at(eval, operands, i, scope, depth, &args[i]))
			return false;
	if (op == OP_MISSING)
		return op_missing(eval, scope, args, operands->count, out);
	if (op == OP_MISSING_SOME)
		return op_missing_some(eval, scope, args, operands->count, out);
	return op_apply(eval, op, args, operands->count, out);
}

static bool walk(struct eval *eval, yyjson_val *source, const struct scope *scope, unsigned depth,
		 struct rule_value *out)
{
	size_t i, max;
	yyjson_val *item;
	enum op op;
	if (depth > RULE_DEPTH_MAX)
		return eval_fail(eval, "rule nested deeper than %d levels", RULE_DEPTH_MAX);
	if (!eval_step(eval, 1))
		return false;
	if (yyjson_is_arr(source)) {
		struct rule_value *items = eval_values(eval, yyjson_arr_size(source));
		if (!items)
			return false;
		yyjson_arr_foreach(source, i, max, item)
			if (!walk(eval, item, scope, depth + 1, &items[i]))
				return false;
		return value_of_items(eval, items, yyjson_arr_size(source), out);
	}
	if (!yyjson_is_obj(source) || yyjson_obj_size(source) != 1)
		return value_of_json(eval, source, out);
	yyjson_obj_iter iter = yyjson_obj_iter_with(source);
	yyjson_val *key = yyjson_obj_iter_next(&iter), *value = yyjson_obj_iter_get_val(key);
	struct str name = json_text(key);
	if (!op_find(name, &op))
		return eval_fail(eval, "unknown operator \"%.*s\"", (int)(name.len < 80 ? name.len : 80), name.ptr);
	bool many = yyjson_is_arr(value);
	struct operands operands = { value, many ? value : NULL, many ? yyjson_arr_size(value) : 1 };
	return walk_operation(eval, op, &operands, scope, depth + 1, out);
}

bool rule_eval_direct(yyjson_val *source, const struct rule_input *input, struct rule_arena *arena,
		      struct rule_value *out, char error[160])
{
	struct eval eval = { .input = input, .arena = arena, .error = error };
	const struct scope scope = { .kind = SCOPE_TOP };
	error[0] = '\0';
	if (walk(&eval, source, &scope, 0, out))
		return true;
	ASSERT(error[0]);
	*out = (struct rule_value){ .type = RULE_NULL };
	return false;
}
