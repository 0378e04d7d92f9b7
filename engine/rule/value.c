// SPDX-License-Identifier: Apache-2.0
/* value.c - values of an evaluation: where they live, how they turn into one another, how they compare.
 *
 * Invariants: a list that is made has depth <= VALUE_DEPTH_MAX and weight <= VALUE_WEIGHT_MAX, so that writing it out
 * or joining it is bounded although reduce can put an accumulator into itself twice. Text is built at the arena's
 * end, which nothing else moves meanwhile. A number that does not fit a decimal is an error, never another number.
 */
#include "engine/rule/value.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"

struct rule_arena *rule_arena_new(void)
{
	struct rule_arena *arena = mem_alloc(sizeof *arena);       /* pages are touched only when they are used */
	arena->used = 0;
	return arena;
}

void rule_arena_reset(struct rule_arena *arena)
{
	arena->used = 0;
}

void rule_arena_free(struct rule_arena *arena)
{
	mem_free(arena);
}

bool eval_fail(struct eval *eval, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(eval->error, 160, format, args);
	va_end(args);
	return false;
}

bool eval_too_long(struct eval *eval)
{
	return eval_fail(eval, "too many steps (at most %d)", RULE_STEPS_MAX);
}

bool eval_charge(struct eval *eval, size_t bytes)
{
	struct rule_arena *arena = eval->arena;
	size_t start = (arena->used + 15) & ~(size_t)15;
	if (start > RULE_ARENA_BYTES || bytes > RULE_ARENA_BYTES - start)
		return eval_fail(eval, "too much memory (at most %d bytes)", RULE_ARENA_BYTES);
	arena->used = start + bytes;
	return true;
}

void *eval_alloc(struct eval *eval, size_t bytes)
{
	return eval_charge(eval, bytes) ? eval->arena->bytes + eval->arena->used - bytes : NULL;
}

static bool text_append(struct eval *eval, struct str text)
{
	struct rule_arena *arena = eval->arena;
	if (text.len > RULE_ARENA_BYTES - arena->used)
		return eval_fail(eval, "too much memory (at most %d bytes)", RULE_ARENA_BYTES);
	if (text.len)
		memcpy(arena->bytes + arena->used, text.ptr, text.len);
	arena->used += text.len;
	return true;
}

bool value_from_json(yyjson_val *json, struct rule_value *out)
{
	struct decimal number;
	char digits[40];
	switch (yyjson_get_type(json)) {
	case YYJSON_TYPE_BOOL: *out = value_bool(yyjson_get_bool(json)); return true;
	case YYJSON_TYPE_STR: *out = value_text(json_text(json)); return true;
	case YYJSON_TYPE_ARR:
	case YYJSON_TYPE_OBJ: *out = (struct rule_value){ .type = RULE_JSON, .json = json }; return true;
	case YYJSON_TYPE_RAW:
		if (!decimal_parse(json_raw(json), &number))
			return false;
		break;
	case YYJSON_TYPE_NUM:
		if (yyjson_is_uint(json)) {
			number = (struct decimal){ (__int128)yyjson_get_uint(json), 0 };
		} else if (yyjson_is_sint(json)) {
			number = decimal_of(yyjson_get_sint(json));
		} else {
			snprintf(digits, sizeof digits, "%.17g", yyjson_get_real(json));
			if (!decimal_parse(str_of(digits), &number))
				return false;
		}
		break;
	default: *out = (struct rule_value){ .type = RULE_NULL }; return true;
	}
	*out = value_number(number);
	return true;
}

bool value_of_json(struct eval *eval, yyjson_val *json, struct rule_value *out)
{
	struct str digits = json_raw(json);
	return value_from_json(json, out) ||
	       eval_fail(eval, "number %.*s does not fit", (int)(digits.len < 60 ? digits.len : 60), digits.ptr);
}

static uint32_t weight_of(const struct rule_value *value)
{
	size_t weight = 1;
	if (value->type == RULE_ARRAY)
		weight = value->weight + (size_t)1;
	else if (value->type == RULE_TEXT)
		weight += value->text.len / 16;
	else if (value->type == RULE_JSON)
		weight += (size_t)((char *)unsafe_yyjson_get_next(value->json) - (char *)value->json) / 16;
	return weight < UINT32_MAX / 4 ? (uint32_t)weight : UINT32_MAX / 4;
}

bool value_list(struct rule_value *items, size_t count, struct rule_value *out)
{
	uint32_t depth = 1, weight = 0;
	for (size_t i = 0; i < count; i++) {
		if (items[i].type == RULE_ARRAY && items[i].depth >= depth)
			depth = items[i].depth + 1;
		weight += weight_of(&items[i]);
		if (weight > VALUE_WEIGHT_MAX || depth > VALUE_DEPTH_MAX)
			return false;
	}
	*out = (struct rule_value){ .type = RULE_ARRAY, .depth = depth, .weight = weight };
	out->items = items;
	out->count = count;
	return true;
}

bool value_of_items(struct eval *eval, struct rule_value *items, size_t count, struct rule_value *out)
{
	return value_list(items, count, out) || eval_fail(eval, "a list became too large or too deep");
}

void items_begin(struct items *items, const struct rule_value *value)
{
	items->value = value;
	items->at = items->count = 0;
	if (value->type == RULE_ARRAY) {
		items->count = value->count;
	} else if (value_is_list(value)) {
		items->count = yyjson_arr_size(value->json);
		items->iter = yyjson_arr_iter_with(value->json);
	}
}

bool items_next(struct eval *eval, struct items *items, struct rule_value *out)
{
	ASSERT(items->at < items->count);
	if (items->value->type == RULE_ARRAY) {
		*out = items->value->items[items->at++];
		return true;
	}
	items->at++;
	return value_of_json(eval, yyjson_arr_iter_next(&items->iter), out);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct str skip_space(struct str text)
{
	while (text.len && is_space(*text.ptr)) {
		text.ptr++;
		text.len--;
	}
	return text;
}

bool value_to_number(struct eval *eval, const struct rule_value *value, struct decimal *out, bool *nan)
{
	struct str text;
	bool fits;
	size_t mark = eval->arena->used;
	*nan = false;
	*out = decimal_of(0);
	switch (value->type) {
	case RULE_NULL: return true;
	case RULE_BOOL: *out = decimal_of(value->boolean); return true;
	case RULE_NUMBER: *out = value->number; return true;
	case RULE_TEXT: text = value->text; break;
	default:
		if (!value_to_text(eval, value, &text))
			return false;
	}
	text = skip_space(text);
	while (text.len && is_space(text.ptr[text.len - 1]))
		text.len--;
	if (text.len)
		*nan = decimal_parse_prefix(text, &fits, out) != text.len || !fits;
	eval->arena->used = mark;
	return true;
}

bool value_to_float(struct eval *eval, const struct rule_value *value, struct decimal *out, bool *nan)
{
	struct str text;
	bool fits;
	size_t mark = eval->arena->used;
	*nan = false;
	switch (value->type) {
	case RULE_NULL:
	case RULE_BOOL: *nan = true; return true;
	case RULE_NUMBER: *out = value->number; return true;
	case RULE_TEXT: text = value->text; break;
	default:
		if (!value_to_text(eval, value, &text))
			return false;
	}
	*nan = !decimal_parse_prefix(skip_space(text), &fits, out) || !fits;
	eval->arena->used = mark;
	return true;
}

/* String(value) at the arena's end; null is empty inside a list. */
static bool append_value(struct eval *eval, const struct rule_value *value, bool inside)
{
	char digits[96];
	struct buf buf = { digits, 0, sizeof digits };
	struct items items;
	struct rule_value item;
	switch (value->type) {
	case RULE_NULL: return inside || text_append(eval, STR("null"));
	case RULE_BOOL: return text_append(eval, value->boolean ? STR("true") : STR("false"));
	case RULE_TEXT: return text_append(eval, value->text);
	case RULE_NUMBER:
		decimal_write(&buf, value->number);
		ASSERT(buf.ptr == digits);
		return text_append(eval, buf_view(&buf));
	default: break;
	}
	if (!value_is_list(value))
		return text_append(eval, STR("[object Object]"));
	items_begin(&items, value);
	for (size_t i = 0; i < items.count; i++) {
		if (i && !text_append(eval, STR(",")))
			return false;
		if (!items_next(eval, &items, &item) || !append_value(eval, &item, true))
			return false;
	}
	return true;
}

bool value_to_text(struct eval *eval, const struct rule_value *value, struct str *out)
{
	size_t start = eval->arena->used;
	if (value->type == RULE_TEXT) {
		*out = value->text;
		return true;
	}
	if (!append_value(eval, value, false))
		return false;
	*out = (struct str){ eval->arena->bytes + start, eval->arena->used - start };
	return true;
}

bool value_same(const struct rule_value *a, const struct rule_value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case RULE_NULL: return true;
	case RULE_BOOL: return a->boolean == b->boolean;
	case RULE_NUMBER: return decimal_cmp(a->number, b->number) == 0;
	case RULE_TEXT: return str_eq(a->text, b->text);
	case RULE_JSON: return a->json == b->json;         /* one and the same object */
	default: return false;                             /* a list that is made equals no other */
	}
}

static bool is_container(const struct rule_value *value)
{
	return value->type == RULE_ARRAY || value->type == RULE_JSON;
}

bool value_equal(struct eval *eval, const struct rule_value *a, const struct rule_value *b, bool *out)
{
	struct decimal x, y;
	bool x_nan, y_nan;
	*out = false;
	if (a->type == b->type || (is_container(a) && is_container(b))) {
		*out = value_same(a, b);
		return true;
	}
	if (a->type == RULE_NULL || b->type == RULE_NULL)
		return true;
	if ((is_container(a) && b->type == RULE_TEXT) || (is_container(b) && a->type == RULE_TEXT)) {
		struct str s, t;
		size_t mark = eval->arena->used;
		if (!value_to_text(eval, a, &s) || !value_to_text(eval, b, &t))
			return false;
		*out = str_eq(s, t);
		eval->arena->used = mark;
		return true;
	}
	if (!value_to_number(eval, a, &x, &x_nan) || !value_to_number(eval, b, &y, &y_nan))
		return false;
	*out = !x_nan && !y_nan && decimal_cmp(x, y) == 0;
	return true;
}

bool value_order(struct eval *eval, const struct rule_value *a, const struct rule_value *b, int *out)
{
	struct decimal x, y;
	bool x_nan, y_nan;
	if (a->type == RULE_NUMBER && b->type == RULE_NUMBER) {
		*out = decimal_cmp(a->number, b->number);
		return true;
	}
	if ((a->type == RULE_TEXT || is_container(a)) && (b->type == RULE_TEXT || is_container(b))) {
		struct str s, t;
		size_t mark = eval->arena->used;
		if (!value_to_text(eval, a, &s) || !value_to_text(eval, b, &t))
			return false;
		*out = str_cmp(s, t);
		eval->arena->used = mark;
		return true;
	}
	if (!value_to_number(eval, a, &x, &x_nan) || !value_to_number(eval, b, &y, &y_nan))
		return false;
	*out = x_nan || y_nan ? ORDER_NONE : decimal_cmp(x, y);
	return true;
}

static bool index_of(struct str key, size_t *out)
{
	size_t index = 0;
	if (!key.len || key.len > 9 || (key.len > 1 && key.ptr[0] == '0'))
		return false;
	for (size_t i = 0; i < key.len; i++) {
		if (key.ptr[i] < '0' || key.ptr[i] > '9')
			return false;
		index = index * 10 + (size_t)(key.ptr[i] - '0');
	}
	*out = index;
	return true;
}

static size_t code_points(struct str text)
{
	size_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	return count;
}

bool value_member(struct eval *eval, const struct rule_value *value, struct str key, struct rule_value *out,
		  bool *found)
{
	size_t index;
	yyjson_val *json;
	*found = false;
	if (value->type == RULE_JSON) {
		if (yyjson_is_obj(value->json))
			json = json_get(value->json, key);
		else if (index_of(key, &index))
			json = yyjson_arr_get(value->json, index);
		else
			json = NULL;
		if (json) {
			*found = true;
			return value_of_json(eval, json, out);
		}
	} else if (value->type == RULE_ARRAY && index_of(key, &index) && index < value->count) {
		*found = true;
		*out = value->items[index];
		return true;
	}
	if (!str_eq(key, STR("length")) || (!value_is_list(value) && value->type != RULE_TEXT))
		return true;
	struct items items;
	items_begin(&items, value);
	*found = true;
	*out = value_number(decimal_of((int64_t)(value->type == RULE_TEXT ? code_points(value->text) : items.count)));
	return true;
}

bool scope_value(struct eval *eval, const struct scope *scope, struct rule_value *out)
{
	switch (scope->kind) {
	case SCOPE_ITEM: *out = *scope->item; return true;
	case SCOPE_REDUCE:
		return eval_fail(eval, "reduce: \"var\" of the whole pair is not a value; name current or accumulator");
	default: return value_of_json(eval, eval->input->data, out);
	}
}

bool scope_lookup(struct eval *eval, const struct scope *scope, struct str path, struct rule_value *out, bool *whole)
{
	const struct rule_input *input = eval->input;
	*whole = false;
	if (scope->kind != SCOPE_TOP)
		return scope_value(eval, scope, out);
	if (!input->lookup || !input->lookup(input->context, path, out))
		return value_of_json(eval, input->data, out);
	*whole = true;
	if (out->type == RULE_ARRAY)
		return value_of_items(eval, out->items, out->count, out);
	return true;
}

bool scope_find(struct eval *eval, const struct scope *scope, struct str path, struct rule_value *out, bool *found)
{
	struct rule_value at = { 0 }, next = { 0 };
	bool first = true;
	*found = true;
	if (!path.len)
		return scope_value(eval, scope, out);
	if (scope->kind != SCOPE_REDUCE) {
		if (!scope_lookup(eval, scope, path, &at, found))
			return false;
		if (*found) {
			*out = at;
			return true;
		}
	}
	for (const char *p = path.ptr, *end = p + path.len; p <= end; first = false) {
		const char *dot = memchr(p, '.', (size_t)(end - p));
		struct str key = { p, (size_t)((dot ? dot : end) - p) };
		if (first && scope->kind == SCOPE_REDUCE) {
			*found = true;
			if (str_eq(key, STR("current")))
				next = *scope->item;
			else if (str_eq(key, STR("accumulator")))
				next = *scope->accumulator;
			else
				*found = false;
		} else if (!value_member(eval, &at, key, &next, found)) {
			return false;
		}
		if (!*found)
			break;
		at = next;
		if (!dot)
			break;
		p = dot + 1;
	}
	*out = *found ? at : (struct rule_value){ .type = RULE_NULL };
	return true;
}

bool rule_truthy(const struct rule_value *value)
{
	switch (value->type) {
	case RULE_NULL: return false;
	case RULE_BOOL: return value->boolean;
	case RULE_NUMBER: return !decimal_is_zero(value->number);
	case RULE_TEXT: return value->text.len != 0;
	case RULE_ARRAY: return value->count != 0;
	case RULE_JSON: return !yyjson_is_arr(value->json) || yyjson_arr_size(value->json) != 0;
	}
	return false;
}

static void write_value(struct buf *out, const struct rule_value *value, unsigned depth)
{
	ASSERT(depth <= VALUE_DEPTH_MAX);
	switch (value->type) {
	case RULE_NULL: buf_lit(out, "null"); return;
	case RULE_BOOL: buf_str(out, value->boolean ? STR("true") : STR("false")); return;
	case RULE_NUMBER: decimal_write(out, value->number); return;
	case RULE_TEXT: buf_json_text(out, value->text); return;
	case RULE_JSON: json_write(out, value->json); return;
	case RULE_ARRAY:
		buf_char(out, '[');
		for (size_t i = 0; i < value->count; i++) {
			if (i)
				buf_char(out, ',');
			write_value(out, &value->items[i], depth + 1);
		}
		buf_char(out, ']');
		return;
	}
}

void rule_value_json(struct buf *out, const struct rule_value *value)
{
	write_value(out, value, 0);
}
