// SPDX-License-Identifier: Apache-2.0
/* selector.c - selectors become JSONLogic.
 *
 * One row of the table for each key; a row says what it reads, what it may be given, and how the comparison is written.  All
 * facts that are read here are always there and of one type, so no guards are needed.
 */
#include "engine/rule/selector.h"

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/problem.h"

const struct selector_key selector_keys[] = {
	{ "all", SELECTOR_GROUP, NULL, "and", "All of these selectors hold." },
	{ "any", SELECTOR_GROUP, NULL, "or", "At least one of these selectors holds." },
	{ "not", SELECTOR_NOT, NULL, "!", "This selector does not hold." },
	{ "status_in", SELECTOR_TEXTS, "customer.status", "in", "The customer's status is one of these." },
	{ "loyalty_status_in", SELECTOR_TEXTS, "customer.loyalty_status", "in", "The key of the customer's tier is one of these." },
	{ "profile_id_in", SELECTOR_TEXTS, "customer.profileId", "in", "These customers." },
	{ "tags_any", SELECTOR_TEXTS, "customer.tags", "or", "The customer has at least one of these tags." },
	{ "tags_all", SELECTOR_TEXTS, "customer.tags", "and", "The customer has all of these tags." },
	{ "tags_none", SELECTOR_TEXTS, "customer.tags", "!", "The customer has none of these tags." },
	{ "birthdate_today", SELECTOR_FLAG, "event.birthday", "===", "The day and month of birthdate are today's." },
	{ "created_anniversary_today", SELECTOR_FLAG, "event.anniversary", "===",
	  "The customer was created on this day of an earlier year." },
	{ "created_days_gte", SELECTOR_NUMBER, "customer.created_days", ">=", "The customer was created at least so many days ago." },
	{ "inactive_days_gte", SELECTOR_NUMBER, "customer.last_activity_days", ">=",
	  "The customer's last event is at least so many days ago; without one, the creation counts." },
	{ "events_gte", SELECTOR_NUMBER, "customer.events", ">=", "The customer has had at least so many events." },
	{ "events_lte", SELECTOR_NUMBER, "customer.events", "<=", "The customer has had at most so many events." },
	{ "points_gte", SELECTOR_NUMBER, "customer.points", ">=", "The customer has at least so many points." },
	{ "points_lte", SELECTOR_NUMBER, "customer.points", "<=", "The customer has at most so many points." },
	{ "status_points_gte", SELECTOR_NUMBER, "customer.status_points", ">=", "The customer has at least so many status points." },
	{ "lifetime_points_gte", SELECTOR_NUMBER, "customer.lifetime_points", ">=",
	  "The customer has earned at least so many points so far." },
	{ "bonus_awarded", SELECTOR_TEXT, "customer.bonus_awards", "in", "The customer has been awarded the bonus with this key." },
	{ "condition", SELECTOR_CONDITION, NULL, NULL, "Any condition of a rule, over customer.* and event.*." },
	{ 0 }
};

struct writer {
	struct buf *out;
	struct buf pointer;
	struct faults *faults;
};

static bool write_selector(struct writer *writer, yyjson_val *selector);

static bool fault(struct writer *writer, const char *expected, yyjson_val *got)
{
	faults_add(writer->faults, pointer_text(&writer->pointer), "expected %s, got %s", expected, json_type_name(got));
	return false;
}

static void write_var(struct buf *out, const char *fact)
{
	buf_printf(out, "{\"var\":\"%s\"}", fact);
}

static bool write_group(struct writer *writer, const char *logic, yyjson_val *list)
{
	size_t i, max;
	yyjson_val *item;
	bool good = true;
	if (!yyjson_is_arr(list) || !yyjson_arr_size(list)) {
		faults_add(writer->faults, pointer_text(&writer->pointer), "expected a list of selectors that is not empty");
		return false;
	}
	buf_printf(writer->out, "{\"%s\":[", logic);
	yyjson_arr_foreach(list, i, max, item) {
		size_t before = pointer_push_index(&writer->pointer, i);
		if (i)
			buf_char(writer->out, ',');
		good &= write_selector(writer, item);
		writer->pointer.len = before;
	}
	buf_lit(writer->out, "]}");
	return good;
}

static bool texts_check(struct writer *writer, yyjson_val *list)
{
	size_t i, max;
	yyjson_val *item;
	bool good = true;
	if (!yyjson_is_arr(list) || !yyjson_arr_size(list) || yyjson_arr_size(list) > SELECTOR_TEXTS_MAX) {
		faults_add(writer->faults, pointer_text(&writer->pointer), "expected a list of 1 to %d texts", SELECTOR_TEXTS_MAX);
		return false;
	}
	yyjson_arr_foreach(list, i, max, item) {
		if (yyjson_is_str(item) && yyjson_get_len(item))
			continue;
		size_t before = pointer_push_index(&writer->pointer, i);
		faults_add(writer->faults, pointer_text(&writer->pointer), "expected a text that is not empty");
		writer->pointer.len = before;
		good = false;
	}
	return good;
}

/* Tags are a list: each text is looked for in it.  Other facts are looked for in the list of texts. */
static bool write_texts(struct writer *writer, const struct selector_key *key, yyjson_val *list)
{
	struct buf *out = writer->out;
	size_t i, max;
	yyjson_val *item;
	bool none = key->logic[0] == '!';
	if (!texts_check(writer, list))
		return false;
	if (str_eq(str_of(key->logic), STR("in"))) {
		buf_lit(out, "{\"in\":[");
		write_var(out, key->fact);
		buf_char(out, ',');
		json_write(out, list);
		buf_lit(out, "]}");
		return true;
	}
	buf_printf(out, none ? "{\"!\":[{\"%s\":[" : "{\"%s\":[", none ? "or" : key->logic);
	yyjson_arr_foreach(list, i, max, item) {
		if (i)
			buf_char(out, ',');
		buf_lit(out, "{\"in\":[");
		json_write(out, item);
		buf_char(out, ',');
		write_var(out, key->fact);
		buf_lit(out, "]}");
	}
	buf_str(out, none ? STR("]}]}") : STR("]}"));
	return true;
}

static bool write_not(struct writer *writer, yyjson_val *value)
{
	buf_lit(writer->out, "{\"!\":[");
	bool good = yyjson_is_arr(value) ? write_group(writer, "and", value) : write_selector(writer, value);
	buf_lit(writer->out, "]}");
	return good;
}

static bool write_number(struct writer *writer, const struct selector_key *key, yyjson_val *value)
{
	int64_t number;
	if (!json_is_number(value) || !json_int(value, &number) || number < 0)
		return fault(writer, "a whole number from 0", value);
	buf_printf(writer->out, "{\"%s\":[", key->logic);
	write_var(writer->out, key->fact);
	buf_printf(writer->out, ",%lld]}", (long long)number);
	return true;
}

static bool write_key(struct writer *writer, const struct selector_key *key, yyjson_val *value)
{
	struct buf *out = writer->out;
	switch (key->type) {
	case SELECTOR_GROUP: return write_group(writer, key->logic, value);
	case SELECTOR_NOT: return write_not(writer, value);
	case SELECTOR_TEXTS: return write_texts(writer, key, value);
	case SELECTOR_NUMBER: return write_number(writer, key, value);
	case SELECTOR_FLAG:
		if (!yyjson_is_bool(value))
			return fault(writer, "true or false", value);
		buf_lit(out, "{\"===\":[");
		write_var(out, key->fact);
		buf_printf(out, ",%s]}", yyjson_is_true(value) ? "true" : "false");
		return true;
	case SELECTOR_TEXT:
		if (!yyjson_is_str(value) || !yyjson_get_len(value))
			return fault(writer, "a text that is not empty", value);
		buf_lit(out, "{\"in\":[");
		json_write(out, value);
		buf_char(out, ',');
		write_var(out, key->fact);
		buf_lit(out, "]}");
		return true;
	case SELECTOR_CONDITION: return condition_to_jsonlogic(value, pointer_text(&writer->pointer), out, writer->faults);
	}
	ASSERT(!"a key has a type");
	return false;
}

static bool unknown_key(struct writer *writer, struct str name)
{
	struct buf known = { 0 };
	for (const struct selector_key *key = selector_keys; key->name; key++)
		buf_printf(&known, "%s%s", key == selector_keys ? "" : ", ", key->name);
	faults_add(writer->faults, pointer_text(&writer->pointer), "unknown selector \"%.*s\"; expected one of %.*s",
		   text_cut(name, 60), name.ptr, (int)known.len, known.ptr);
	buf_free(&known);
	return false;
}

static bool write_selector(struct writer *writer, yyjson_val *selector)
{
	size_t i, max;
	yyjson_val *name, *value;
	bool good = true;
	if (!yyjson_is_obj(selector))
		return fault(writer, "an object", selector);
	if (!yyjson_obj_size(selector)) {
		buf_lit(writer->out, "true");
		return true;
	}
	buf_lit(writer->out, "{\"and\":[");
	yyjson_obj_foreach(selector, i, max, name, value) {
		const struct selector_key *key = selector_keys;
		size_t before = pointer_push(&writer->pointer, json_text(name));
		while (key->name && !str_eq(str_of(key->name), json_text(name)))
			key++;
		if (i)
			buf_char(writer->out, ',');
		good &= key->name ? write_key(writer, key, value) : unknown_key(writer, json_text(name));
		writer->pointer.len = before;
	}
	buf_lit(writer->out, "]}");
	return good;
}

bool selector_to_jsonlogic(yyjson_val *selector, const char *pointer, struct buf *out, struct faults *faults)
{
	struct writer writer = { .out = out, .faults = faults };
	size_t before = out->len;
	buf_str(&writer.pointer, str_of(pointer));
	bool good = write_selector(&writer, selector);
	buf_free(&writer.pointer);
	if (!good)
		out->len = before;
	return good;
}

struct rule *selector_compile(yyjson_val *selector, const char *pointer, struct faults *faults)
{
	struct buf logic = { 0 };
	struct json_error error;
	struct rule *rule = NULL;
	if (selector_to_jsonlogic(selector, pointer, &logic, faults)) {
		yyjson_doc *doc = json_read(buf_view(&logic), &error);
		if (doc)
			rule = rule_compile(yyjson_doc_get_root(doc), pointer, faults);
		else
			faults_add(faults, pointer, "the selector cannot be used: %s", error.detail);
		yyjson_doc_free(doc);
	}
	buf_free(&logic);
	return rule;
}

bool selector_check(yyjson_val *selector, const char *pointer, struct faults *faults)
{
	struct rule *rule = selector_compile(selector, pointer, faults);
	if (rule)
		rule_free(rule);
	return rule != NULL;
}

/* What a key may be given; `partial`: in a merge patch, where an object is merged with what is there. */
static void key_schema(struct buf *out, const struct selector_key *key, bool partial, const char *refs)
{
	buf_str(out, partial ? STR("{\"anyOf\":[{\"type\":\"null\"},") : STR("{\"allOf\":["));
	switch (key->type) {
	case SELECTOR_GROUP:
		buf_printf(out, "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"%sselector\"}}", refs);
		break;
	case SELECTOR_NOT:
		buf_printf(out, "{\"anyOf\":[{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"%sselector\"}},", refs);
		if (partial)
			buf_lit(out, "{\"type\":\"object\"}]}");
		else
			buf_printf(out, "{\"$ref\":\"%sselector\"}]}", refs);
		break;
	case SELECTOR_TEXTS:
		buf_printf(out, "{\"type\":\"array\",\"minItems\":1,\"maxItems\":%d,\"items\":{\"type\":\"string\",\"minLength\":1}}",
			   SELECTOR_TEXTS_MAX);
		break;
	case SELECTOR_NUMBER:
		buf_printf(out, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":%lld}", (long long)INT64_MAX);
		break;
	case SELECTOR_FLAG: buf_lit(out, "{\"type\":\"boolean\"}"); break;
	case SELECTOR_TEXT: buf_lit(out, "{\"type\":\"string\",\"minLength\":1}"); break;
	case SELECTOR_CONDITION:
		buf_printf(out, partial ? "{\"anyOf\":[{\"type\":\"object\"},{\"$ref\":\"%scondition\"}]}"
					: "{\"$ref\":\"%scondition\"}", refs);
		break;
	}
	buf_lit(out, "],\"description\":");
	buf_json_text(out, str_of(key->doc));
	buf_char(out, '}');
}

static void object_schema(struct buf *out, bool partial, const char *refs)
{
	buf_lit(out, "{\"type\":\"object\",\"properties\":{");
	for (const struct selector_key *key = selector_keys; key->name; key++) {
		buf_printf(out, "%s\"%s\":", key == selector_keys ? "" : ",", key->name);
		key_schema(out, key, partial, refs);
	}
	buf_str(out, partial ? STR("},\"additionalProperties\":{\"type\":\"null\"}}") : STR("},\"additionalProperties\":false}"));
}

void selector_definitions(struct buf *out, const char *refs)
{
	buf_lit(out, "\"selector\":");
	object_schema(out, false, refs);
}

void selector_schema(struct buf *out, bool partial, const char *refs)
{
	if (partial)
		object_schema(out, true, refs);
	else
		buf_printf(out, "{\"$ref\":\"%sselector\"}", refs);
}
