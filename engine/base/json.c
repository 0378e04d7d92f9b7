// SPDX-License-Identifier: Apache-2.0
#include "engine/base/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/mem.h"

/* Objects up to this size are checked for duplicate keys pair by pair; larger ones are sorted first. */
enum { PAIRWISE_KEYS_MAX = 16 };

static int key_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

bool json_duplicate_key(yyjson_val *object, struct str *duplicate)
{
	size_t count = yyjson_obj_size(object), i, max;
	struct str few[PAIRWISE_KEYS_MAX], *keys = few;
	bool found = false;
	yyjson_val *key, *value;
	if (count < 2)
		return false;
	if (count > PAIRWISE_KEYS_MAX)
		keys = mem_alloc(count * sizeof *keys);
	yyjson_obj_foreach(object, i, max, key, value)
		keys[i] = json_text(key);
	if (count <= PAIRWISE_KEYS_MAX) {
		for (size_t a = 1; a < count && !found; a++)
			for (size_t b = 0; b < a && !found; b++)
				if (str_eq(keys[a], keys[b])) {
					*duplicate = keys[a];
					found = true;
				}
	} else {
		qsort(keys, count, sizeof *keys, key_order);
		for (size_t a = 1; a < count && !found; a++)
			if (str_eq(keys[a], keys[a - 1])) {
				*duplicate = keys[a];
				found = true;
			}
		mem_free(keys);
	}
	return found;
}

/* Integers must fit 64 bits, signed or unsigned; fractions and exponents are the business of the decimal reader. */
static bool integer_fits(struct str digits)
{
	bool negative = digits.len && digits.ptr[0] == '-';
	struct str limit = negative ? STR("9223372036854775808") : STR("18446744073709551615");
	struct str number = { digits.ptr + negative, digits.len - negative };
	for (size_t i = 0; i < number.len; i++)
		if (number.ptr[i] < '0' || number.ptr[i] > '9')
			return true;
	return number.len < limit.len || (number.len == limit.len && memcmp(number.ptr, limit.ptr, limit.len) <= 0);
}

static bool check(yyjson_val *value, int depth, struct json_error *error)
{
	size_t i, max;
	yyjson_val *key, *item;
	struct str duplicate;
	if (depth > JSON_DEPTH_MAX) {
		snprintf(error->detail, sizeof error->detail, "nested deeper than %d levels", JSON_DEPTH_MAX);
		return false;
	}
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_RAW:
		if (!integer_fits(json_raw(value))) {
			snprintf(error->detail, sizeof error->detail, "integer %.40s does not fit 64 bits",
				 yyjson_get_raw(value));
			return false;
		}
		return true;
	case YYJSON_TYPE_ARR:
		yyjson_arr_foreach(value, i, max, item)
			if (!check(item, depth + 1, error))
				return false;
		return true;
	case YYJSON_TYPE_OBJ:
		if (json_duplicate_key(value, &duplicate)) {
			snprintf(error->detail, sizeof error->detail, "duplicate key \"%.*s\"",
				 (int)(duplicate.len < 80 ? duplicate.len : 80), duplicate.ptr);
			return false;
		}
		yyjson_obj_foreach(value, i, max, key, item)
			if (!check(item, depth + 1, error))
				return false;
		return true;
	default:
		return true;
	}
}

/* Depth is checked before yyjson builds the tree, so that hostile nesting costs nothing. */
static bool depth_fits(struct str text)
{
	int depth = 0;
	bool quoted = false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return false;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return true;
}

static void *alc_malloc(void *context, size_t size)
{
	(void)context;
	return mem_alloc(size);
}

static void *alc_realloc(void *context, void *pointer, size_t old_size, size_t size)
{
	(void)context;
	(void)old_size;
	return mem_realloc(pointer, size);
}

static void alc_free(void *context, void *pointer)
{
	(void)context;
	mem_free(pointer);
}

const yyjson_alc json_alc = { alc_malloc, alc_realloc, alc_free, NULL };

yyjson_doc *json_read(struct str text, struct json_error *error)
{
	yyjson_read_err err;
	*error = (struct json_error){ 0 };
	if (!text.len) {
		snprintf(error->detail, sizeof error->detail, "the body is empty; JSON was expected");
		return NULL;
	}
	if (!depth_fits(text)) {
		snprintf(error->detail, sizeof error->detail, "nested deeper than %d levels", JSON_DEPTH_MAX);
		return NULL;
	}
	yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len, YYJSON_READ_NUMBER_AS_RAW, &json_alc, &err);
	if (!doc) {
		snprintf(error->detail, sizeof error->detail, "%.150s at byte %zu", err.msg, err.pos);
		error->offset = err.pos;
		return NULL;
	}
	if (!check(yyjson_doc_get_root(doc), 0, error)) {
		yyjson_doc_free(doc);
		return NULL;
	}
	return doc;
}

bool json_int(yyjson_val *value, int64_t *out)
{
	struct str digits = json_raw(value);
	size_t i = 0;
	bool negative = false;
	uint64_t sum = 0;
	if (yyjson_is_int(value)) {
		if (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX)
			return false;
		*out = yyjson_get_sint(value);
		return true;
	}
	if (!digits.len)
		return false;
	if (digits.ptr[0] == '-') {
		negative = true;
		i = 1;
	}
	for (; i < digits.len && digits.ptr[i] >= '0' && digits.ptr[i] <= '9'; i++) {
		uint64_t digit = (uint64_t)(digits.ptr[i] - '0');
		if (sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	if (i < digits.len && (digits.ptr[i] == '.' || digits.ptr[i] == 'e' || digits.ptr[i] == 'E')) {
		struct decimal number;
		return decimal_parse(digits, &number) && decimal_trunc(number, out) && decimal_cmp(decimal_of(*out), number) == 0;
	}
	if (i < digits.len || sum > (uint64_t)INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t)(0 - sum) : (int64_t)sum;
	return true;
}

yyjson_val *json_empty_object(void)
{
	/* yyjson_obj_foreach looks where a first member and its value would be. */
	static struct yyjson_val empty[3] = { { .tag = YYJSON_TYPE_OBJ | YYJSON_SUBTYPE_NONE, .uni.ofs = sizeof *empty } };
	return empty;
}

void json_write(struct buf *out, yyjson_val *value)
{
	size_t i, max;
	yyjson_val *key, *item;
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_NULL: buf_lit(out, "null"); break;
	case YYJSON_TYPE_BOOL:
		if (yyjson_get_bool(value))
			buf_lit(out, "true");
		else
			buf_lit(out, "false");
		break;
	case YYJSON_TYPE_RAW: buf_str(out, json_raw(value)); break;
	case YYJSON_TYPE_NUM:
		if (yyjson_is_uint(value))
			buf_u64(out, yyjson_get_uint(value));
		else if (yyjson_is_sint(value))
			buf_i64(out, yyjson_get_sint(value));
		else
			buf_printf(out, "%.17g", yyjson_get_real(value));
		break;
	case YYJSON_TYPE_STR: buf_json_text(out, json_text(value)); break;
	case YYJSON_TYPE_ARR:
		buf_char(out, '[');
		yyjson_arr_foreach(value, i, max, item) {
			if (i)
				buf_char(out, ',');
			json_write(out, item);
		}
		buf_char(out, ']');
		break;
	case YYJSON_TYPE_OBJ:
		buf_char(out, '{');
		yyjson_obj_foreach(value, i, max, key, item) {
			if (i)
				buf_char(out, ',');
			buf_json_text(out, json_text(key));
			buf_char(out, ':');
			json_write(out, item);
		}
		buf_char(out, '}');
		break;
	default: ASSERT(!"a JSON value has one of seven types");
	}
}

const char *json_type_name(yyjson_val *value)
{
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_NULL: return "null";
	case YYJSON_TYPE_BOOL: return "boolean";
	case YYJSON_TYPE_RAW:
	case YYJSON_TYPE_NUM: return "number";
	case YYJSON_TYPE_STR: return "string";
	case YYJSON_TYPE_ARR: return "array";
	case YYJSON_TYPE_OBJ: return "object";
	default: return "nothing";
	}
}
