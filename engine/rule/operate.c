// SPDX-License-Identifier: Apache-2.0
/* operate.c - the operators of JSONLogic that take evaluated operands.
 *
 * Idea: one function per family over an array of values; the evaluators differ in how they come by the operands.
 * Semantics are those of the reference implementation in JavaScript, except that NaN and Infinity are errors and
 * numbers are exact.
 */
#include "engine/rule/value.h"

#include "engine/base/assert.h"

/* Comparing this many items of a list costs one step. */
enum { ITEMS_PER_STEP = 8, BYTES_PER_STEP = 256 };

static const struct { struct str name; enum op op; } operators[] = {
	{ { "var", 3 }, OP_VAR }, { { "if", 2 }, OP_IF }, { { "?:", 2 }, OP_IF }, { { "and", 3 }, OP_AND },
	{ { "or", 2 }, OP_OR }, { { "map", 3 }, OP_MAP }, { { "filter", 6 }, OP_FILTER },
	{ { "reduce", 6 }, OP_REDUCE }, { { "all", 3 }, OP_ALL }, { { "none", 4 }, OP_NONE },
	{ { "some", 4 }, OP_SOME }, { { "missing", 7 }, OP_MISSING },
	{ { "missing_some", 12 }, OP_MISSING_SOME }, { { "==", 2 }, OP_EQ }, { { "===", 3 }, OP_SAME },
	{ { "!=", 2 }, OP_NE }, { { "!==", 3 }, OP_DIFFERENT }, { { ">", 1 }, OP_GT }, { { ">=", 2 }, OP_GE },
	{ { "<", 1 }, OP_LT }, { { "<=", 2 }, OP_LE }, { { "!", 1 }, OP_NOT }, { { "!!", 2 }, OP_TRUTH },
	{ { "max", 3 }, OP_MAX }, { { "min", 3 }, OP_MIN }, { { "+", 1 }, OP_ADD }, { { "-", 1 }, OP_SUB },
	{ { "*", 1 }, OP_MUL }, { { "/", 1 }, OP_DIV }, { { "%", 1 }, OP_MOD }, { { "merge", 5 }, OP_MERGE },
	{ { "in", 2 }, OP_IN }, { { "cat", 3 }, OP_CAT }, { { "substr", 6 }, OP_SUBSTR }, { { "log", 3 }, OP_LOG },
};

bool op_find(struct str name, enum op *op)
{
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		if (str_eq(operators[i].name, name)) {
			*op = operators[i].op;
			return true;
		}
	return false;
}

struct str op_at(size_t index)
{
	return index < sizeof operators / sizeof *operators ? operators[index].name : (struct str){ NULL, 0 };
}

static const char *op_name(enum op op)
{
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		if (operators[i].op == op)
			return operators[i].name.ptr;
	return "?";
}

static unsigned cost(size_t amount, unsigned per_step)
{
	return amount / per_step > RULE_STEPS_MAX ? RULE_STEPS_MAX + 1 : (unsigned)(amount / per_step);
}

bool op_compare(struct eval *eval, enum op op, const struct rule_value *a, const struct rule_value *b, bool *out)
{
	int order;
	switch (op) {
	case OP_EQ: return value_equal(eval, a, b, out);
	case OP_NE:
		if (!value_equal(eval, a, b, out))
			return false;
		*out = !*out;
		return true;
	case OP_SAME: *out = value_same(a, b); return true;
	case OP_DIFFERENT: *out = !value_same(a, b); return true;
	default: break;
	}
	if (!value_order(eval, a, b, &order))
		return false;
	if (order == ORDER_NONE)
		*out = false;
	else
		*out = op == OP_GT ? order > 0 : op == OP_GE ? order >= 0 : op == OP_LT ? order < 0 : order <= 0;
	return true;
}

/* Operands that are absent are JavaScript's undefined: == null, not === null, and no number. */
static bool compare(struct eval *eval, enum op op, const struct rule_value *args, size_t count, bool *out)
{
	const struct rule_value null = { .type = RULE_NULL };
	if (count >= 2) {
		if (!op_compare(eval, op, &args[0], &args[1], out))
			return false;
		if (*out && count >= 3 && (op == OP_LT || op == OP_LE))
			return op_compare(eval, op, &args[1], &args[2], out);
		return true;
	}
	if (op == OP_EQ || op == OP_NE)
		return op_compare(eval, op, count ? &args[0] : &null, &null, out);
	*out = op == OP_SAME ? count == 0 : op == OP_DIFFERENT ? count != 0 : false;
	return true;
}

static bool not_a_number(struct eval *eval, enum op op)
{
	return eval_fail(eval, "%s: not a number", op_name(op));
}

static bool overflow(struct eval *eval, enum op op)
{
	return eval_fail(eval, "%s: overflow", op_name(op));
}

/* Operand `i` as Number() sees it; one that is absent or no number is an error. */
static bool number_of(struct eval *eval, enum op op, const struct rule_value *args, size_t count, size_t i,
		      struct decimal *out)
{
	bool nan = true;
	if (i < count && !value_to_number(eval, &args[i], out, &nan))
		return false;
	return !nan || not_a_number(eval, op);
}

static bool sum_or_product(struct eval *eval, enum op op, const struct rule_value *args, size_t count,
			   struct rule_value *out)
{
	struct decimal total = decimal_of(op == OP_MUL), next;
	bool nan;
	if (op == OP_MUL && count == 0)
		return not_a_number(eval, op);
	if (op == OP_MUL && count == 1) {                  /* nothing to multiply by: the operand itself */
		*out = args[0];
		return true;
	}
	for (size_t i = 0; i < count; i++) {
		if (!value_to_float(eval, &args[i], &next, &nan))
			return false;
		if (nan)
			return not_a_number(eval, op);
		if (!(op == OP_ADD ? decimal_add(total, next, &total) : decimal_mul(total, next, &total)))
			return overflow(eval, op);
	}
	*out = value_number(total);
	return true;
}

static bool arithmetic(struct eval *eval, enum op op, const struct rule_value *args, size_t count,
		       struct rule_value *out)
{
	struct decimal a, b, c = decimal_of(0);
	bool fits;
	if (!number_of(eval, op, args, count, 0, &a))
		return false;
	if (op == OP_SUB && count == 1) {
		fits = decimal_sub(decimal_of(0), a, &c);
	} else {
		if (!number_of(eval, op, args, count, 1, &b))
			return false;
		if (op != OP_SUB && decimal_is_zero(b))
			return eval_fail(eval, "%s: division by zero", op_name(op));
		fits = op == OP_SUB ? decimal_sub(a, b, &c) :
		       op == OP_DIV ? decimal_div(a, b, &c) : decimal_mod(a, b, &c);
	}
	*out = value_number(c);
	return fits || overflow(eval, op);
}

static bool extreme(struct eval *eval, enum op op, const struct rule_value *args, size_t count, struct rule_value *out)
{
	struct decimal best = decimal_of(0), next;
	for (size_t i = 0; i < count; i++) {
		if (!number_of(eval, op, args, count, i, &next))
			return false;
		int order = i ? decimal_cmp(next, best) : 0;
		if (!i || (op == OP_MAX ? order > 0 : order < 0))
			best = next;
	}
	*out = count ? value_number(best) : (struct rule_value){ .type = RULE_NULL };
	return true;
}

static bool merge(struct eval *eval, const struct rule_value *args, size_t count, struct rule_value *out)
{
	struct items items;
	size_t total = 0, at = 0;
	for (size_t i = 0; i < count; i++) {
		items_begin(&items, &args[i]);
		total += value_is_list(&args[i]) ? items.count : 1;
	}
	struct rule_value *made = eval_values(eval, total);
	if (!made)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!value_is_list(&args[i])) {
			made[at++] = args[i];
			continue;
		}
		items_begin(&items, &args[i]);
		for (size_t j = 0; j < items.count; j++)
			if (!items_next(eval, &items, &made[at++]))
				return false;
	}
	ASSERT(at == total);
	return value_of_items(eval, made, total, out);
}

static bool contains(struct eval *eval, const struct rule_value *needle, const struct rule_value *hay, bool *out)
{
	struct items items;
	struct rule_value item;
	*out = false;
	if (hay->type == RULE_TEXT) {
		struct str text;
		size_t mark = eval->arena->used;
		if (!hay->text.len)                        /* as in the reference: not even "" is in "" */
			return true;
		if (!eval_step(eval, cost(hay->text.len, BYTES_PER_STEP)) ||
		    !value_to_text(eval, needle, &text))
			return false;
		*out = !text.len || memmem(hay->text.ptr, hay->text.len, text.ptr, text.len);
		eval->arena->used = mark;
		return true;
	}
	items_begin(&items, hay);
	if (!eval_step(eval, cost(items.count, ITEMS_PER_STEP)))
		return false;
	for (size_t i = 0; i < items.count && !*out; i++) {
		if (!items_next(eval, &items, &item))
			return false;
		*out = value_same(needle, &item);
	}
	return true;
}

static bool concatenate(struct eval *eval, const struct rule_value *args, size_t count, struct rule_value *out)
{
	struct str text;
	size_t start = eval->arena->used;
	for (size_t i = 0; i < count; i++) {
		size_t before = eval->arena->used;
		if (args[i].type == RULE_NULL)
			continue;
		if (args[i].type != RULE_TEXT) {           /* the text is made where it belongs */
			if (!value_to_text(eval, &args[i], &text))
				return false;
			ASSERT(text.ptr == eval->arena->bytes + before);
			continue;
		}
		text = args[i].text;
		if (text.len > RULE_ARENA_BYTES - before)
			return eval_fail(eval, "too much memory (at most %d bytes)", RULE_ARENA_BYTES);
		if (text.len)
			memcpy(eval->arena->bytes + before, text.ptr, text.len);
		eval->arena->used = before + text.len;
	}
	*out = value_text((struct str){ eval->arena->bytes + start, eval->arena->used - start });
	return true;
}

/* A position or length: truncated, what is no number is 0, what is too large is cut to +-2^40. */
static bool whole_of(struct eval *eval, const struct rule_value *value, int64_t *out)
{
	const int64_t limit = (int64_t)1 << 40;
	struct decimal number;
	bool nan;
	if (!value_to_number(eval, value, &number, &nan))
		return false;
	if (nan)
		*out = 0;
	else if (!decimal_trunc(number, out))
		*out = number.digits < 0 ? -limit : limit;
	*out = *out < -limit ? -limit : *out > limit ? limit : *out;
	return true;
}

static size_t skip_points(struct str text, size_t at, int64_t points)
{
	while (at < text.len && points-- > 0)
		for (at++; at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80; at++)
			;
	return at;
}

static bool substring(struct eval *eval, const struct rule_value *args, size_t count, struct rule_value *out)
{
	struct str text = STR("undefined");
	int64_t start = 0, length, points = 0;
	if ((count >= 1 && !value_to_text(eval, &args[0], &text)) || (count >= 2 && !whole_of(eval, &args[1], &start)))
		return false;
	if (!eval_step(eval, cost(text.len, BYTES_PER_STEP)))
		return false;
	for (size_t i = 0; i < text.len; i++)
		points += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	if (start < 0)
		start = start + points < 0 ? 0 : start + points;
	if (start > points)
		start = points;
	length = points - start;
	if (count >= 3) {
		int64_t asked;
		if (!whole_of(eval, &args[2], &asked))
			return false;
		if (asked < 0)
			asked = length + asked < 0 ? 0 : length + asked;
		if (asked < length)
			length = asked;
	}
	size_t from = skip_points(text, 0, start), to = skip_points(text, from, length);
	*out = value_text((struct str){ text.ptr + from, to - from });
	return true;
}

bool op_apply(struct eval *eval, enum op op, const struct rule_value *args, size_t count, struct rule_value *out)
{
	bool answer = false;
	switch (op) {
	case OP_EQ: case OP_SAME: case OP_NE: case OP_DIFFERENT:
	case OP_GT: case OP_GE: case OP_LT: case OP_LE:
		if (!compare(eval, op, args, count, &answer))
			return false;
		break;
	case OP_NOT: answer = !count || !rule_truthy(&args[0]); break;
	case OP_TRUTH: answer = count && rule_truthy(&args[0]); break;
	case OP_IN:
		if (count >= 2 && !contains(eval, &args[0], &args[1], &answer))
			return false;
		break;
	case OP_MAX: case OP_MIN: return extreme(eval, op, args, count, out);
	case OP_ADD: case OP_MUL: return sum_or_product(eval, op, args, count, out);
	case OP_SUB: case OP_DIV: case OP_MOD: return arithmetic(eval, op, args, count, out);
	case OP_MERGE: return merge(eval, args, count, out);
	case OP_CAT: return concatenate(eval, args, count, out);
	case OP_SUBSTR: return substring(eval, args, count, out);
	case OP_LOG: *out = count ? args[0] : (struct rule_value){ .type = RULE_NULL }; return true;
	default: ASSERT(!"a strict operator");
	}
	*out = value_bool(answer);
	return true;
}

/* The keys out of `list` (items) that are absent, null or "". */
static bool missing_of(struct eval *eval, const struct scope *scope, struct items *keys, struct rule_value *out)
{
	struct rule_value key, value, *made = eval_values(eval, keys->count);
	struct str path;
	bool found;
	size_t count = 0;
	if (!made)
		return false;
	for (size_t i = 0; i < keys->count; i++) {
		if (!eval_step(eval, 1) || !items_next(eval, keys, &key))
			return false;
		path = STR("");
		if (key.type != RULE_NULL && !value_to_text(eval, &key, &path))
			return false;
		if (!scope_find(eval, scope, path, &value, &found))
			return false;
		if (value.type == RULE_NULL || (value.type == RULE_TEXT && !value.text.len))
			made[count++] = key;
	}
	return value_of_items(eval, made, count, out);
}

bool op_missing(struct eval *eval, const struct scope *scope, const struct rule_value *args, size_t count,
		struct rule_value *out)
{
	struct rule_value all = { .type = RULE_ARRAY, .items = (struct rule_value *)(uintptr_t)args, .count = count };
	struct items keys;
	items_begin(&keys, count && value_is_list(&args[0]) ? &args[0] : &all);
	return missing_of(eval, scope, &keys, out);
}

bool op_missing_some(struct eval *eval, const struct scope *scope, const struct rule_value *args, size_t count,
		     struct rule_value *out)
{
	struct decimal needed = decimal_of(0);
	struct rule_value one = { .type = RULE_ARRAY };    /* a key that is no list stands for itself */
	struct items keys;
	bool nan = true;
	if (count && !value_to_number(eval, &args[0], &needed, &nan))
		return false;
	if (count >= 2) {
		one.items = (struct rule_value *)(uintptr_t)&args[1];
		one.count = 1;
	}
	items_begin(&keys, count >= 2 && value_is_list(&args[1]) ? &args[1] : &one);
	size_t options = keys.count;
	if (!missing_of(eval, scope, &keys, out))
		return false;
	if (!nan && decimal_cmp(decimal_of((int64_t)(options - out->count)), needed) >= 0)
		return value_of_items(eval, NULL, 0, out);
	return true;
}
