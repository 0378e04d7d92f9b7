// SPDX-License-Identifier: Apache-2.0
/* schema.c - a schema in its short form as JSON Schema, as an example, and in words.
 *
 * Everything here is about constant tables: what does not parse is a mistake of the program and stops it.
 */
#include "net/surface/schema.h"

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/catalog/describe.h"

enum { EXAMPLE_DEPTH_MAX = 16 };

#define REFERENCES "#/components/schemas/"

/* The three shapes of a kind's document. */
enum { FORMS = 3 };
static const char *const form_names[FORMS] = { [KIND_READ] = "", [KIND_CREATE] = "Create", [KIND_UPDATE] = "Update" };
static const enum kind_form forms[FORMS] = { KIND_READ, KIND_CREATE, KIND_UPDATE };

const struct schema *schema_find(struct str name)
{
	for (const struct schema *schema = schemas; schema->name; schema++)
		if (str_eq(str_of(schema->name), name))
			return schema;
	return NULL;
}

void quotes_write(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_char(out, *text == '\'' ? '"' : *text);
}

/* ---- kinds ----------------------------------------------------------------------------------------------------------------- */

void schema_kind_name(struct buf *out, const struct kind *kind)
{
	bool upper = true;
	for (const char *at = kind->title; *at; at++) {
		if (*at != ' ')
			buf_char(out, (char)(upper ? *at & ~0x20 : *at));
		upper = *at == ' ';
	}
}

static const struct kind *kind_named(struct str name, enum kind_form *form)
{
	const struct kind *kind;
	for (size_t i = 0; (kind = kind_at(i)); i++)
		for (int f = 0; f < FORMS; f++) {
			struct buf text = { 0 };
			schema_kind_name(&text, kind);
			buf_str(&text, str_of(form_names[f]));
			bool same = str_eq(buf_view(&text), name);
			buf_free(&text);
			*form = (enum kind_form)f;
			if (same)
				return kind;
		}
	return NULL;
}

static yyjson_doc *parse(struct str text)
{
	struct json_error error;
	yyjson_doc *doc = json_read(text, &error);
	ASSERT(doc && "schemas and examples are valid JSON");
	return doc;
}

/* What the schemas of several kinds refer to: conditions, actions, …  An object of schemas by name. */
static yyjson_val *definitions(void)
{
	static yyjson_doc *doc;
	if (!doc) {
		struct buf text = { 0 };
		buf_char(&text, '{');
		kind_definitions(&text, REFERENCES);
		buf_char(&text, '}');
		doc = parse(buf_view(&text));
		buf_free(&text);
	}
	return yyjson_doc_get_root(doc);
}

/* ---- JSON Schema ----------------------------------------------------------------------------------------------------------- */

static void reference_write(struct buf *out, struct str name)
{
	buf_lit(out, "{\"$ref\":\"" REFERENCES);
	buf_str(out, name);
	buf_lit(out, "\"}");
}

/* The name within "[Name]"; "" for anything else. */
static struct str array_of(const char *schema)
{
	return *schema == '[' ? (struct str){ schema + 1, strlen(schema) - 2 } : (struct str){ "", 0 };
}

void schema_write(struct buf *out, const char *schema)
{
	if (*schema == '{') {
		quotes_write(out, schema);
	} else if (*schema == '[') {
		buf_lit(out, "{\"type\":\"array\",\"items\":");
		reference_write(out, array_of(schema));
		buf_char(out, '}');
	} else {
		reference_write(out, str_of(schema));
	}
}

/* A schema with a description beside it, which JSON Schema 2020-12 allows for references as well. */
static void described_write(struct buf *out, const char *schema, const char *doc)
{
	size_t start = out->len;
	schema_write(out, schema);
	if (!doc)
		return;
	ASSERT(out->ptr[out->len - 1] == '}');
	out->len--;
	if (out->len > start + 1)
		buf_char(out, ',');
	buf_lit(out, "\"description\":");
	buf_json_text(out, str_of(doc));
	buf_char(out, '}');
}

static void members_write(struct buf *out, const struct schema *schema)
{
	bool first = true;
	buf_lit(out, "{\"type\":\"object\",\"description\":");
	buf_json_text(out, str_of(schema->doc));
	buf_lit(out, ",\"properties\":{");
	for (const struct member_of *member = schema->members; member->name; member++) {
		if (member != schema->members)
			buf_char(out, ',');
		buf_json_text(out, str_of(member->name));
		buf_char(out, ':');
		described_write(out, member->schema, member->doc);
	}
	buf_lit(out, "},\"required\":[");
	for (const struct member_of *member = schema->members; member->name; member++) {
		if (member->flags & OPTIONAL)
			continue;
		if (!first)
			buf_char(out, ',');
		buf_json_text(out, str_of(member->name));
		first = false;
	}
	buf_char(out, ']');
	if (schema->closed)
		buf_lit(out, ",\"additionalProperties\":false");
}

void schema_component(struct buf *out, const struct schema *schema)
{
	if (schema->members) {
		members_write(out, schema);
	} else {
		described_write(out, schema->json, schema->doc);
		out->len--;
	}
	buf_lit(out, ",\"examples\":[");
	schema_example(out, schema->name);
	buf_lit(out, "]}");
}

void schema_component_named(struct buf *out, struct str name)
{
	const struct schema *schema = schema_find(name);
	enum kind_form form;
	if (schema) {
		schema_component(out, schema);
		return;
	}
	const struct kind *kind = kind_named(name, &form);
	if (kind) {
		kind_schema_at(out, kind, form, REFERENCES);
		return;
	}
	yyjson_val *definition = json_get(definitions(), name);
	ASSERT(definition && "a schema is in the table, or a kind needs it");
	json_write(out, definition);
}

bool schema_next(size_t *at, struct buf *name)
{
	size_t index = (*at)++, count = 0;
	name->len = 0;
	while (schemas[count].name)
		count++;
	if (index < count) {
		buf_str(name, str_of(schemas[index].name));
		return true;
	}
	size_t kinds = 0;
	while (kind_at(kinds))
		kinds++;
	if (index - count < kinds * FORMS) {
		schema_kind_name(name, kind_at((index - count) / FORMS));
		buf_str(name, str_of(form_names[forms[(index - count) % FORMS]]));
		return true;
	}
	size_t i, max;
	yyjson_val *key, *value;
	yyjson_obj_foreach(definitions(), i, max, key, value)
		if (i == index - count - kinds * FORMS) {
			buf_str(name, json_text(key));
			return true;
		}
	return false;
}

/* ---- examples -------------------------------------------------------------------------------------------------------------- */

static void example_of(struct buf *out, yyjson_val *schema, unsigned depth);

static void example_named(struct buf *out, struct str name, unsigned depth);

static void example_short(struct buf *out, const char *schema, unsigned depth)
{
	struct buf json = { 0 };
	if (depth > EXAMPLE_DEPTH_MAX) {
		buf_lit(out, "null");
		return;
	}
	if (*schema == '[') {
		buf_char(out, '[');
		example_named(out, array_of(schema), depth + 1);
		buf_char(out, ']');
		return;
	}
	if (*schema != '{') {
		example_named(out, str_of(schema), depth + 1);
		return;
	}
	quotes_write(&json, schema);
	yyjson_doc *doc = parse(buf_view(&json));
	example_of(out, yyjson_doc_get_root(doc), depth + 1);
	yyjson_doc_free(doc);
	buf_free(&json);
}

static void example_named(struct buf *out, struct str name, unsigned depth)
{
	const struct schema *schema = schema_find(name);
	bool first = true;
	if (schema && schema->example) {
		quotes_write(out, schema->example);
		return;
	}
	if (schema && schema->json) {
		example_short(out, schema->json, depth);
		return;
	}
	if (!schema) {
		struct buf json = { 0 };
		schema_component_named(&json, name);
		yyjson_doc *doc = parse(buf_view(&json));
		example_of(out, yyjson_doc_get_root(doc), depth + 1);
		yyjson_doc_free(doc);
		buf_free(&json);
		return;
	}
	buf_char(out, '{');
	for (const struct member_of *member = schema->members; member->name; member++) {
		if ((member->flags & OPTIONAL) && !member->example)
			continue;
		if (!first)
			buf_char(out, ',');
		first = false;
		buf_json_text(out, str_of(member->name));
		buf_char(out, ':');
		if (member->example)
			quotes_write(out, member->example);
		else
			example_short(out, member->schema, depth);
	}
	buf_char(out, '}');
}

/* What members of kinds hold in examples, where their type alone would say nothing. */
static const struct { const char *name, *example; } usual[] = {
	{ "id", "\"2\"" }, { "brand", "\"BRAND_A\"" }, { "event_type", "\"PURCHASE\"" }, { "key", "\"GOLD\"" },
	{ "job_key", "\"birthdays\"" }, { "bonus_key", "\"WELCOME\"" }, { "name", "\"Summer\"" }, { "rate", "1.0" },
	{ "amount_path", "\"amount\"" },
};

static bool usual_example(struct buf *out, struct str name, yyjson_val *schema)
{
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (str_eq(str_of(usual[i].name), name) && !json_get(schema, STR("default"))) {
			buf_str(out, str_of(usual[i].example));
			return true;
		}
	return false;
}

/* The members that are needed, and those whose default says something. */
static void example_object(struct buf *out, yyjson_val *schema, unsigned depth)
{
	size_t i, max, n, count;
	yyjson_val *key, *value, *name;
	bool first = true;
	buf_char(out, '{');
	yyjson_obj_foreach(json_members(schema, STR("properties")), i, max, key, value) {
		yyjson_val *fallback = json_get(value, STR("default"));
		bool shown = fallback && !yyjson_is_null(fallback);
		yyjson_arr_foreach(json_get(schema, STR("required")), n, count, name)
			shown |= str_eq(json_text(name), json_text(key));
		if (!shown)
			continue;
		if (!first)
			buf_char(out, ',');
		first = false;
		buf_json_text(out, json_text(key));
		buf_char(out, ':');
		if (!usual_example(out, json_text(key), value))
			example_of(out, value, depth + 1);
	}
	buf_char(out, '}');
}

static void example_typed(struct buf *out, yyjson_val *schema, struct str type, unsigned depth)
{
	yyjson_val *minimum = json_get(schema, STR("minimum")), *items = json_get(schema, STR("items"));
	if (str_eq(type, STR("integer")) || str_eq(type, STR("number"))) {
		if (minimum)
			json_write(out, minimum);
		else
			buf_char(out, '1');
	} else if (str_eq(type, STR("boolean"))) {
		buf_lit(out, "true");
	} else if (str_eq(type, STR("array"))) {
		buf_char(out, '[');
		if (items)
			example_of(out, items, depth + 1);
		buf_char(out, ']');
	} else if (str_eq(type, STR("object"))) {
		example_object(out, schema, depth);
	} else if (str_eq(type, STR("string"))) {
		buf_str(out, str_eq(json_text(json_get(schema, STR("format"))), STR("date-time")) ? STR("\"2026-11-21T15:07:49.562Z\"")
												 : STR("\"text\""));
	} else {
		buf_lit(out, "null");
	}
}

static void example_of(struct buf *out, yyjson_val *schema, unsigned depth)
{
	static const struct str given[] = { { "const", 5 }, { "default", 7 } };
	static const struct str lists[] = { { "examples", 8 }, { "enum", 4 } };
	static const struct str ways[] = { { "oneOf", 5 }, { "anyOf", 5 }, { "allOf", 5 } };
	yyjson_val *reference = json_get(schema, STR("$ref")), *type = json_get(schema, STR("type"));
	if (depth > EXAMPLE_DEPTH_MAX) {
		buf_lit(out, "null");
		return;
	}
	if (reference) {
		struct str path = json_text(reference);
		const char *name = memrchr(path.ptr, '/', path.len);
		ASSERT(name);
		example_named(out, (struct str){ name + 1, (size_t)(path.ptr + path.len - name) - 1 }, depth + 1);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		yyjson_val *value = json_get(schema, given[i]);
		if (!value)
			value = yyjson_arr_get_first(json_get(schema, lists[i]));
		if (value) {
			json_write(out, value);
			return;
		}
	}
	for (size_t i = 0; i < sizeof ways / sizeof *ways && !type; i++)
		if (json_get(schema, ways[i])) {
			example_of(out, yyjson_arr_get_first(json_get(schema, ways[i])), depth + 1);
			return;
		}
	if (yyjson_is_arr(type))
		type = yyjson_arr_get_first(type);
	example_typed(out, schema, json_text(type), depth);
}

void schema_example(struct buf *out, const char *schema)
{
	example_short(out, schema, 0);
}

/* ---- words ----------------------------------------------------------------------------------------------------------------- */

static void words_of(struct buf *out, yyjson_val *schema);

static void words_list(struct buf *out, yyjson_val *list, bool schemas_in_it)
{
	size_t i, max;
	yyjson_val *item;
	yyjson_arr_foreach(list, i, max, item) {
		if (i)
			buf_lit(out, " or ");
		if (schemas_in_it)
			words_of(out, item);
		else if (yyjson_is_str(item))
			buf_str(out, json_text(item));
		else
			json_write(out, item);
	}
}

static void words_bounds(struct buf *out, yyjson_val *schema, const char *least, const char *most)
{
	yyjson_val *low = json_get(schema, str_of(least)), *high = json_get(schema, str_of(most));
	if (!low && !high)
		return;
	buf_lit(out, ", ");
	if (low)
		json_write(out, low);
	buf_str(out, low && high ? STR(" to ") : low ? STR(" or more") : STR("at most "));
	if (high)
		json_write(out, high);
}

static void words_type(struct buf *out, yyjson_val *schema, struct str type)
{
	if (str_eq(type, STR("string"))) {
		bool time = str_eq(json_text(json_get(schema, STR("format"))), STR("date-time"));
		buf_str(out, time ? STR("time") : STR("text"));
		words_bounds(out, schema, "minLength", "maxLength");
	} else if (str_eq(type, STR("integer")) || str_eq(type, STR("number"))) {
		buf_str(out, type);
		words_bounds(out, schema, "minimum", "maximum");
	} else if (str_eq(type, STR("boolean"))) {
		buf_lit(out, "true or false");
	} else if (str_eq(type, STR("array"))) {
		buf_lit(out, "array");
		if (json_get(schema, STR("items"))) {
			buf_lit(out, " of ");
			words_of(out, json_get(schema, STR("items")));
		}
		words_bounds(out, schema, "minItems", "maxItems");
	} else {
		buf_str(out, type);
	}
}

static void words_of(struct buf *out, yyjson_val *schema)
{
	yyjson_val *reference = json_get(schema, STR("$ref")), *type = json_get(schema, STR("type")), *value;
	size_t i, max;
	if (reference) {
		struct str path = json_text(reference);
		const char *name = memrchr(path.ptr, '/', path.len);
		buf_bytes(out, name + 1, (size_t)(path.ptr + path.len - name) - 1);
	} else if ((value = json_get(schema, STR("const")))) {
		json_write(out, value);
	} else if ((value = json_get(schema, STR("enum")))) {
		words_list(out, value, false);
	} else if ((value = json_get(schema, STR("oneOf"))) || (value = json_get(schema, STR("anyOf")))) {
		words_list(out, value, true);
	} else if (yyjson_is_arr(type)) {
		yyjson_arr_foreach(type, i, max, value) {
			buf_str(out, i ? STR(" or ") : STR(""));
			words_type(out, schema, json_text(value));
		}
	} else if (type) {
		words_type(out, schema, json_text(type));
	} else {
		buf_str(out, json_get(schema, STR("not")) ? STR("not given") : STR("anything"));
	}
	if ((value = json_get(schema, STR("default")))) {
		buf_lit(out, ", default ");
		json_write(out, value);
	}
}

void schema_words_json(struct buf *out, yyjson_val *schema)
{
	words_of(out, schema);
}

void schema_words(struct buf *out, const char *schema)
{
	struct buf json = { 0 };
	schema_write(&json, schema);
	yyjson_doc *doc = parse(buf_view(&json));
	words_of(out, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	buf_free(&json);
}
