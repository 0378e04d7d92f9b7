// SPDX-License-Identifier: Apache-2.0
/* field.c - checking and writing values by the description of their field.
 *
 * One function per type of field, in a table.  All of them see a value that is not null.
 */
#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/json.h"
#include "engine/base/time.h"
#include "engine/catalog/action.h"
#include "engine/catalog/kind.h"
#include "engine/catalog/schema.h"
#include "engine/rule/rule.h"

typedef bool check_fn(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults);

static bool bounded(const struct field *field)
{
	return field->max > field->min;
}

static bool wrong_type(yyjson_val *value, const char *expected, const char *pointer, struct faults *faults)
{
	faults_add(faults, pointer, "expected %s, got %s", expected, json_type_name(value));
	return false;
}

static bool check_text(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	struct str text = json_text(value);
	int64_t length = 0;
	if (!yyjson_is_str(value))
		return wrong_type(value, "a text", pointer, faults);
	for (size_t i = 0; i < text.len; i++)
		length += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
	if (text.len && memchr(text.ptr, 0, text.len))
		faults_add(faults, pointer, "the character U+0000 is not allowed");
	else if (bounded(field) && (length < field->min || length > field->max))
		faults_add(faults, pointer, "expected %lld to %lld characters, got %lld", (long long)field->min,
			   (long long)field->max, (long long)length);
	else
		return true;
	return false;
}

/* Says what a number outside its bounds should have been. */
static bool out_of_bounds(const struct field *field, struct str got, const char *pointer, struct faults *faults)
{
	if (field->max == INT64_MAX)
		faults_add(faults, pointer, "expected at least %lld, got %.*s", (long long)field->min, text_cut(got,
														60),
			   got.ptr);
	else
		faults_add(faults, pointer, "expected %lld to %lld, got %.*s", (long long)field->min,
			   (long long)field->max, text_cut(got, 60), got.ptr);
	return false;
}

static bool check_int(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	int64_t number;
	if (!json_is_number(value))
		return wrong_type(value, "an integer", pointer, faults);
	if (!json_int(value, &number)) {
		faults_add(faults, pointer, "expected an integer of at most 64 bits, got %.*s",
			   text_cut(json_raw(value), 60), json_raw(value).ptr);
		return false;
	}
	if (bounded(field) && (number < field->min || number > field->max))
		return out_of_bounds(field, json_raw(value), pointer, faults);
	return true;
}

static bool check_bool(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	(void)field;
	return yyjson_is_bool(value) || wrong_type(value, "true or false", pointer, faults);
}

static bool check_decimal(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	struct decimal number;
	if (!json_is_number(value))
		return wrong_type(value, "a number", pointer, faults);
	if (!decimal_parse(json_raw(value), &number)) {
		faults_add(faults, pointer, "the number has too many digits to be kept exactly");
		return false;
	}
	if (bounded(field) && (decimal_cmp(number, decimal_of(field->min)) < 0 ||
			       decimal_cmp(number, decimal_of(field->max)) > 0))
		return out_of_bounds(field, json_raw(value), pointer, faults);
	return true;
}

static bool check_enum(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	struct buf names = { 0 };
	if (yyjson_is_str(value))
		for (const char *const *choice = field->choices; *choice; choice++)
			if (str_eq(str_of(*choice), json_text(value)))
				return true;
	for (const char *const *choice = field->choices; *choice; choice++)
		buf_printf(&names, "%s%s", names.len ? ", " : "", *choice);
	faults_add(faults, pointer, "expected one of %.*s", (int)names.len, names.ptr);
	buf_free(&names);
	return false;
}

/* Whether the JSON is as short as the field wants it. */
static bool fits(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	struct buf text = { 0 };
	json_write(&text, value);
	bool good = !bounded(field) || text.len <= (size_t)field->max;
	if (!good)
		faults_add(faults, pointer, "expected at most %lld bytes of JSON, got %zu", (long long)field->max,
			   text.len);
	buf_free(&text);
	return good;
}

struct rule *condition_compile(yyjson_val *source, const char *pointer, struct faults *faults)
{
	struct buf logic = { 0 };
	struct json_error error;
	struct rule *rule = NULL;
	if (!source || yyjson_is_null(source))
		return NULL;
	if (condition_to_jsonlogic(source, pointer, &logic, faults)) {
		yyjson_doc *doc = json_read(buf_view(&logic), &error);
		if (doc)
			rule = rule_compile(yyjson_doc_get_root(doc), pointer, faults);
		else
			faults_add(faults, pointer, "the condition cannot be used: %s", error.detail);
		yyjson_doc_free(doc);
	}
	buf_free(&logic);
	return rule;
}

static bool check_condition(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	if (!fits(field, value, pointer, faults))
		return false;
	size_t before = faults->count + faults->more;
	struct rule *rule = condition_compile(value, pointer, faults);
	if (rule)
		rule_free(rule);
	else if (faults->count + faults->more == before)
		faults_add(faults, pointer, "the condition cannot be used");
	return rule != NULL;
}

static bool check_actions(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	if (!yyjson_is_arr(value))
		return wrong_type(value, "a list of actions", pointer, faults);
	int64_t count = (int64_t)yyjson_arr_size(value);
	if (bounded(field) && (count < field->min || count > field->max)) {
		faults_add(faults, pointer, "expected %lld to %lld actions, got %lld", (long long)field->min,
			   (long long)field->max, (long long)count);
		return false;
	}
	return actions_check(value, pointer, faults);
}

static bool check_schema(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	if (!fits(field, value, pointer, faults))
		return false;
	struct schema *schema = schema_compile(value, pointer, faults);
	bool good = schema != NULL;
	schema_free(schema);
	return good;
}

static bool check_json(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	if (!yyjson_is_obj(value))
		return wrong_type(value, "an object", pointer, faults);
	return fits(field, value, pointer, faults);
}

static bool check_texts(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	size_t i, max;
	yyjson_val *item;
	bool good = true;
	struct buf place = { 0 };
	const struct field text = { .name = field->name, .type = FIELD_TEXT, .min = 0, .max = 1000 };
	if (!yyjson_is_arr(value))
		return wrong_type(value, "an array of texts", pointer, faults);
	if (bounded(field) && yyjson_arr_size(value) > (size_t)field->max) {
		faults_add(faults, pointer, "expected at most %lld texts, got %zu", (long long)field->max,
			   yyjson_arr_size(value));
		return false;
	}
	buf_str(&place, str_of(pointer));
	yyjson_arr_foreach(value, i, max, item) {
		size_t before = pointer_push_index(&place, i);
		good &= check_text(&text, item, pointer_text(&place), faults);
		place.len = before;
	}
	buf_free(&place);
	return good;
}

static bool check_time(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	int64_t time;
	(void)field;
	if (yyjson_is_str(value) && time_parse(json_text(value), &time))
		return true;
	faults_add(faults, pointer, "expected a time like 2026-01-31T12:00:00Z");
	return false;
}

static bool check_list(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	size_t i, max;
	yyjson_val *item;
	bool good = true;
	struct buf place = { 0 };
	if (!yyjson_is_arr(value))
		return wrong_type(value, "a list of objects", pointer, faults);
	if (bounded(field) && ((int64_t)yyjson_arr_size(value) < field->min || (int64_t)yyjson_arr_size(value) > field->max)) {
		faults_add(faults, pointer, "expected %lld to %lld entries, got %zu", (long long)field->min, (long long)field->max,
			   yyjson_arr_size(value));
		return false;
	}
	buf_str(&place, str_of(pointer));
	yyjson_arr_foreach(value, i, max, item) {
		size_t before = pointer_push_index(&place, i);
		good &= yyjson_is_obj(item) ? fields_check(field->items, NULL, item, pointer_text(&place), faults)
					    : wrong_type(item, "an object", pointer_text(&place), faults);
		place.len = before;
	}
	buf_free(&place);
	return good;
}

static const struct {
	const char *name;
	check_fn *check;
} types[FIELD_TYPES] = {
	[FIELD_TEXT] = { "text", check_text },
	[FIELD_INT] = { "integer", check_int },
	[FIELD_BOOL] = { "boolean", check_bool },
	[FIELD_DECIMAL] = { "decimal", check_decimal },
	[FIELD_ENUM] = { "choice", check_enum },
	[FIELD_REF] = { "reference", check_text },
	[FIELD_CONDITION] = { "condition", check_condition },
	[FIELD_ACTIONS] = { "actions", check_actions },
	[FIELD_SCHEMA] = { "schema", check_schema },
	[FIELD_JSON] = { "object", check_json },
	[FIELD_TEXTS] = { "texts", check_texts },
	[FIELD_TIME] = { "time", check_time },
	[FIELD_LIST] = { "list", check_list },
};

const char *field_type_name(enum field_type type)
{
	ASSERT((unsigned)type < FIELD_TYPES);
	return types[type].name;
}

bool field_check(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults)
{
	ASSERT(value && (unsigned)field->type < FIELD_TYPES);
	if (!yyjson_is_null(value))
		return types[field->type].check(field, value, pointer, faults) &&
		       (!field->check || field->check(value, pointer, faults));
	if (field->flags & NULLABLE)
		return true;
	faults_add(faults, pointer, "null is not allowed here");
	return false;
}

void field_write(struct buf *out, const struct field *field, yyjson_val *value)
{
	int64_t number;
	if (field->type == FIELD_INT && json_is_number(value) && json_int(value, &number))
		buf_i64(out, number);
	else
		json_write(out, value);
}

bool fields_known(const struct field *fields, const char *extra, yyjson_val *object, const char *pointer,
		  struct faults *faults)
{
	size_t i, max;
	yyjson_val *key, *value;
	bool good = true;
	struct buf place = { 0 };
	buf_str(&place, str_of(pointer));
	yyjson_obj_foreach(object, i, max, key, value) {
		struct str name = json_text(key);
		const struct field *field = field_find(fields, name);
		if ((field && !(field->flags & READONLY)) || (extra && str_eq(name, str_of(extra))))
			continue;
		size_t before = pointer_push(&place, name);
		if (field || field_find(kind_envelope, name))
			faults_add(faults, pointer_text(&place), "\"%.*s\" cannot be given here", text_cut(name, 100),
				   name.ptr);
		else
			faults_add(faults, pointer_text(&place), "unknown field \"%.*s\"", text_cut(name, 100),
				   name.ptr);
		place.len = before;
		good = false;
	}
	buf_free(&place);
	return good;
}

bool fields_check(const struct field *fields, const char *extra, yyjson_val *object, const char *pointer,
		  struct faults *faults)
{
	bool good = fields_known(fields, extra, object, pointer, faults);
	struct buf place = { 0 };
	buf_str(&place, str_of(pointer));
	for (const struct field *field = fields; field->name; field++) {
		yyjson_val *value = json_get(object, str_of(field->name));
		if (field->flags & READONLY)
			continue;
		size_t before = pointer_push(&place, str_of(field->name));
		if (value) {
			good &= field_check(field, value, pointer_text(&place), faults);
		} else if (field->flags & REQUIRED) {
			faults_add(faults, pointer_text(&place), "is required");
			good = false;
		}
		place.len = before;
	}
	buf_free(&place);
	return good;
}
