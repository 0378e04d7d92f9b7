// SPDX-License-Identifier: Apache-2.0
/* eval.c - evaluation of the compiled form.
 *
 * Hundreds of thousands of times a second: constants are compared in place, paths are split, nothing is allocated but
 * in the arena. Recursion is as deep as the rule (RULE_DEPTH_MAX); loops are bounded by the steps.
 */
#include "engine/rule/program.h"

#include "engine/base/assert.h"
#include "engine/base/json.h"

static bool eval_node(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out);

/* A child's value: in place where it is a constant, else in *room.  NULL on error. */
static const struct rule_value *operand(struct eval *eval, const struct node *node, const struct scope *scope,
					struct rule_value *room)
{
	if (node->op != OP_CONST)
		return eval_node(eval, node, scope, room) ? room : NULL;
	if (!eval_step(eval, node->steps))
		return NULL;
	/* A folded list costs the memory of all the items that were folded, each of which counts one step. */
	if (node->constant.type == RULE_ARRAY && !eval_charge(eval, (node->steps - 1) * sizeof *room))
		return NULL;
	return &node->constant;
}

/* An optional child: null where there is none. */
static bool child_or_null(struct eval *eval, const struct node *node, size_t i, const struct scope *scope,
			  struct rule_value *out)
{
	if (i < node->count)
		return eval_node(eval, &node->children[i], scope, out);
	*out = (struct rule_value){ .type = RULE_NULL };
	return true;
}

static bool eval_path(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	const struct segment *segment = node->segments, *end = segment + node->segment_count;
	struct rule_value next;
	bool found = false;
	if (segment == end)
		return scope_value(eval, scope, out);
	if (scope->kind == SCOPE_REDUCE) {
		if (str_eq(segment->key, STR("current")))
			*out = *scope->item;
		else if (str_eq(segment->key, STR("accumulator")))
			*out = *scope->accumulator;
		else
			return child_or_null(eval, node, 0, scope, out);
		segment++;
	} else if (!scope_lookup(eval, scope, node->path, out, &found)) {
		return false;
	}
	if (found)
		return true;
	for (; segment < end && out->type == RULE_JSON; segment++) {
		yyjson_val *json = out->json;
		if (yyjson_is_obj(json))
			json = json_get(json, segment->key);
		else if (segment->index != SIZE_MAX)
			json = yyjson_arr_get(json, segment->index);
		else
			break;
		if (!json)
			return child_or_null(eval, node, 0, scope, out);
		if (!value_of_json(eval, json, out))
			return false;
	}
	for (; segment < end; segment++) {
		if (!value_member(eval, out, segment->key, &next, &found))
			return false;
		if (!found)
			return child_or_null(eval, node, 0, scope, out);
		*out = next;
	}
	return true;
}

/* "var" whose path is computed. */
static bool eval_var(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	struct rule_value path;
	struct str text = STR("");
	bool found;
	if (!eval_node(eval, &node->children[0], scope, &path))
		return false;
	if (path.type != RULE_NULL && !value_to_text(eval, &path, &text))
		return false;
	if (!scope_find(eval, scope, text, out, &found))
		return false;
	return found || child_or_null(eval, node, 1, scope, out);
}

static bool eval_if(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	size_t i = 0;
	for (; i + 1 < node->count; i += 2) {
		if (!eval_node(eval, &node->children[i], scope, out))
			return false;
		if (rule_truthy(out))
			return eval_node(eval, &node->children[i + 1], scope, out);
	}
	return child_or_null(eval, node, i, scope, out);
}

static bool eval_and_or(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	bool stop = node->op == OP_OR;
	*out = (struct rule_value){ .type = RULE_NULL };
	for (size_t i = 0; i < node->count; i++) {
		if (!eval_node(eval, &node->children[i], scope, out))
			return false;
		if (rule_truthy(out) == stop)
			return true;
	}
	return true;
}

static bool eval_list(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	struct rule_value *items = eval_values(eval, node->count);
	if (!items)
		return false;
	for (size_t i = 0; i < node->count; i++)
		if (!eval_node(eval, &node->children[i], scope, &items[i]))
			return false;
	return value_of_items(eval, items, node->count, out);
}

static bool eval_map_filter(struct eval *eval, const struct node *node, const struct scope *scope,
			    struct rule_value *out)
{
	struct rule_value list, item, answer, *made;
	struct scope inner = { .kind = SCOPE_ITEM, .item = &item };
	struct items items;
	size_t count = 0;
	if (!child_or_null(eval, node, 0, scope, &list))
		return false;
	items_begin(&items, &list);
	if (!(made = eval_values(eval, items.count)))
		return false;
	for (size_t i = 0; i < items.count; i++) {
		if (!eval_step(eval, 1) || !items_next(eval, &items, &item) ||
		    !child_or_null(eval, node, 1, &inner, &answer))
			return false;
		if (node->op == OP_MAP)
			made[count++] = answer;
		else if (rule_truthy(&answer))
			made[count++] = item;
	}
	return value_of_items(eval, made, count, out);
}

static bool eval_reduce(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	struct rule_value list, item, sum, answer;
	struct scope inner = { .kind = SCOPE_REDUCE, .item = &item, .accumulator = &sum };
	struct items items;
	if (!child_or_null(eval, node, 0, scope, &list) || !child_or_null(eval, node, 2, scope, &sum))
		return false;
	items_begin(&items, &list);
	for (size_t i = 0; i < items.count; i++) {
		if (!eval_step(eval, 1) || !items_next(eval, &items, &item) ||
		    !child_or_null(eval, node, 1, &inner, &answer))
			return false;
		sum = answer;
	}
	*out = sum;
	return true;
}

static bool eval_quantifier(struct eval *eval, const struct node *node, const struct scope *scope,
			    struct rule_value *out)
{
	struct rule_value list, item, answer;
	struct scope inner = { .kind = SCOPE_ITEM, .item = &item };
	struct items items;
	if (!child_or_null(eval, node, 0, scope, &list))
		return false;
	items_begin(&items, &list);
	for (size_t i = 0; i < items.count; i++) {
		if (!eval_step(eval, 1) || !items_next(eval, &items, &item) ||
		    !child_or_null(eval, node, 1, &inner, &answer))
			return false;
		if (rule_truthy(&answer) != (node->op == OP_ALL)) {        /* decided */
			*out = value_bool(node->op == OP_SOME);
			return true;
		}
	}
	*out = value_bool(node->op == OP_ALL ? items.count != 0 : node->op == OP_NONE);
	return true;
}

static bool eval_operands(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	struct rule_value few[OPERANDS_FEW], *args = few;
	if (node->count > OPERANDS_FEW && !(args = eval_values(eval, node->count)))
		return false;
	for (size_t i = 0; i < node->count; i++)
		if (!eval_node(eval, &node->children[i], scope, &args[i]))
			return false;
	switch (node->op) {
	case OP_MISSING: return op_missing(eval, scope, args, node->count, out);
	case OP_MISSING_SOME: return op_missing_some(eval, scope, args, node->count, out);
	default: return op_apply(eval, (enum op)node->op, args, node->count, out);
	}
}

static bool eval_comparison(struct eval *eval, const struct node *node, const struct scope *scope,
			    struct rule_value *out)
{
	struct rule_value a_room, b_room;
	const struct rule_value *a, *b;
	bool answer;
	if (node->count != 2)
		return eval_operands(eval, node, scope, out);
	if (!(a = operand(eval, &node->children[0], scope, &a_room)) ||
	    !(b = operand(eval, &node->children[1], scope, &b_room)) ||
	    !op_compare(eval, (enum op)node->op, a, b, &answer))
		return false;
	*out = value_bool(answer);
	return true;
}

static bool eval_node(struct eval *eval, const struct node *node, const struct scope *scope, struct rule_value *out)
{
	const struct rule_value *value;
	if (node->op == OP_CONST) {
		if (!(value = operand(eval, node, scope, out)))
			return false;
		*out = *value;
		return true;
	}
	if (!eval_step(eval, node->steps))
		return false;
	switch ((enum op)node->op) {
	case OP_LIST: return eval_list(eval, node, scope, out);
	case OP_VAR_PATH: return eval_path(eval, node, scope, out);
	case OP_VAR: return eval_var(eval, node, scope, out);
	case OP_IF: return eval_if(eval, node, scope, out);
	case OP_AND:
	case OP_OR: return eval_and_or(eval, node, scope, out);
	case OP_MAP:
	case OP_FILTER: return eval_map_filter(eval, node, scope, out);
	case OP_REDUCE: return eval_reduce(eval, node, scope, out);
	case OP_ALL: case OP_NONE: case OP_SOME: return eval_quantifier(eval, node, scope, out);
	case OP_EQ: case OP_SAME: case OP_NE: case OP_DIFFERENT:
	case OP_GT: case OP_GE: case OP_LT: case OP_LE: return eval_comparison(eval, node, scope, out);
	case OP_NOT: case OP_TRUTH:
		if (node->count != 1)
			return eval_operands(eval, node, scope, out);
		if (!eval_node(eval, &node->children[0], scope, out))
			return false;
		*out = value_bool(rule_truthy(out) == (node->op == OP_TRUTH));
		return true;
	default: return eval_operands(eval, node, scope, out);
	}
}

bool rule_eval(const struct rule *rule, const struct rule_input *input, struct rule_arena *arena,
	       struct rule_value *out, char error[160])
{
	struct eval eval = { .input = input, .arena = arena, .error = error };
	const struct scope scope = { .kind = SCOPE_TOP };
	error[0] = '\0';
	if (eval_node(&eval, rule->root, &scope, out))
		return true;
	ASSERT(error[0]);
	*out = (struct rule_value){ .type = RULE_NULL };
	return false;
}
