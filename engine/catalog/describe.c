// SPDX-License-Identifier: Apache-2.0
/* describe.c - one function writes the schema of a field by its type; all else goes through tables of fields. */
#include "engine/catalog/describe.h"

#include "engine/base/assert.h"
#include "engine/catalog/action.h"
#include "engine/catalog/schema.h"
#include "engine/rule/rule.h"

#define NO_NUL "^[^\\u0000]*$"
#define DATE_PATTERN                                                                                                      \
	"^([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|" \
	"([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)[Tt]"
#define CLOCK_PATTERN "[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"

static void text_member(struct buf *out, const char *name, const char *text)
{
	buf_printf(out, ",\"%s\":", name);
	buf_json_text(out, str_of(text));
}

static bool bounded(const struct field *field)
{
	return field->max > field->min;
}

static void type_write(struct buf *out, const char *type, bool nullable)
{
	buf_printf(out, nullable ? "\"type\":[\"%s\",\"null\"]" : "\"type\":\"%s\"", type);
}

static void texts_schema(struct buf *out, const struct field *field, bool nullable)
{
	type_write(out, "array", nullable);
	buf_lit(out, ",\"items\":{\"type\":\"string\",\"maxLength\":1000");
	text_member(out, "pattern", NO_NUL);
	buf_char(out, '}');
	if (bounded(field))
		buf_printf(out, ",\"maxItems\":%lld", (long long)field->max);
}

static void time_schema(struct buf *out, bool nullable)
{
	type_write(out, "string", nullable);
	buf_lit(out, ",\"format\":\"date-time\",\"allOf\":[{\"pattern\":");
	buf_json_text(out, STR(DATE_PATTERN));
	buf_lit(out, "},{\"pattern\":");
	buf_json_text(out, STR(CLOCK_PATTERN));
	buf_lit(out, "}]");
}

static void number_schema(struct buf *out, const struct field *field, bool nullable)
{
	bool whole = field->type == FIELD_INT;
	type_write(out, whole ? "integer" : "number", nullable);
	if (bounded(field) || whole)
		buf_printf(out, ",\"minimum\":%lld,\"maximum\":%lld", (long long)(bounded(field) ? field->min : INT64_MIN),
			   (long long)(bounded(field) ? field->max : INT64_MAX));
}

static void enum_schema(struct buf *out, const struct field *field, bool nullable)
{
	type_write(out, "string", nullable);
	buf_lit(out, ",\"enum\":[");
	for (size_t i = 0; field->choices[i]; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", field->choices[i]);
	buf_printf(out, "%s]", nullable ? ",null" : "");
}

static void text_schema(struct buf *out, const struct field *field, bool nullable)
{
	type_write(out, "string", nullable);
	if (bounded(field))
		buf_printf(out, ",\"minLength\":%lld,\"maxLength\":%lld", (long long)field->min, (long long)field->max);
	text_member(out, "pattern", field->pattern ? field->pattern : NO_NUL);
}

/* What stands at a reference, or in an object of its own: null is another alternative. */
static void composed_schema(struct buf *out, const struct field *field, bool nullable, bool partial, const char *refs)
{
	buf_str(out, nullable ? STR("\"anyOf\":[") : STR("\"allOf\":["));
	if (field->type == FIELD_CONDITION)
		buf_printf(out, "{\"$ref\":\"%scondition\"}", refs);
	else if (field->type == FIELD_SCHEMA)
		buf_printf(out, "{\"$ref\":\"%spayload_schema\"}", refs);
	else if (field->type == FIELD_ACTIONS)
		buf_printf(out, "{\"type\":\"array\",\"minItems\":%lld,\"maxItems\":%lld,\"items\":{\"$ref\":\"%saction\"}}",
			   (long long)field->min, (long long)field->max, refs);
	else
		field->schema(out, partial, refs);
	buf_str(out, nullable ? STR(",{\"type\":\"null\"}]") : STR("]"));
}

static void properties_write(struct buf *out, const struct field *fields, enum kind_form form, const char *refs);
static void required_write(struct buf *out, const struct field *fields, enum kind_form form, size_t *count);

static void list_schema(struct buf *out, const struct field *field, bool nullable, const char *refs)
{
	size_t count = 0;
	type_write(out, "array", nullable);
	if (bounded(field))
		buf_printf(out, ",\"minItems\":%lld,\"maxItems\":%lld", (long long)field->min, (long long)field->max);
	buf_lit(out, ",\"items\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
	properties_write(out, field->items, KIND_CREATE, refs);
	buf_char(out, '}');
	required_write(out, field->items, KIND_CREATE, &count);
	buf_str(out, count ? STR("]}") : STR("}"));
}

void field_schema(struct buf *out, const struct field *field, enum kind_form form, const char *refs)
{
	bool nullable = field->flags & NULLABLE || (form == KIND_UPDATE && !(field->flags & REQUIRED));
	buf_char(out, '{');
	switch (field->type) {
	case FIELD_TEXT:
	case FIELD_REF: text_schema(out, field, nullable); break;
	case FIELD_INT:
	case FIELD_DECIMAL: number_schema(out, field, nullable); break;
	case FIELD_BOOL: type_write(out, "boolean", nullable); break;
	case FIELD_ENUM: enum_schema(out, field, nullable); break;
	case FIELD_TEXTS: texts_schema(out, field, nullable); break;
	case FIELD_TIME: time_schema(out, nullable); break;
	case FIELD_LIST: list_schema(out, field, nullable, refs); break;
	case FIELD_JSON:
		if (field->schema)
			composed_schema(out, field, nullable, form == KIND_UPDATE, refs);
		else
			type_write(out, "object", nullable);
		break;
	case FIELD_CONDITION:
	case FIELD_ACTIONS:
	case FIELD_SCHEMA: composed_schema(out, field, nullable, false, refs); break;
	case FIELD_TYPES: break;
	}
	text_member(out, "description", field->doc);
	if (form == KIND_CREATE && (field->fallback || field->flags & NULLABLE))
		buf_printf(out, ",\"default\":%s", field->fallback ? field->fallback : "null");
	if (field->flags & READONLY)
		buf_lit(out, ",\"readOnly\":true");
	if (field->flags & WRITEONLY)
		buf_lit(out, ",\"writeOnly\":true");
	buf_char(out, '}');
}

/* Whether a document or a body of this form has the field at all, and whether it always has. */
static bool has(const struct field *field, enum kind_form form)
{
	return !(field->flags & (form == KIND_READ ? WRITEONLY : READONLY));
}

static bool always(const struct field *field, enum kind_form form)
{
	return form == KIND_READ ? field->fallback || field->flags & (REQUIRED | NULLABLE)
				 : form == KIND_CREATE && field->flags & REQUIRED;
}

static void member_begin(struct buf *out, const char *name)
{
	if (out->ptr[out->len - 1] != '{')
		buf_char(out, ',');
	buf_printf(out, "\"%s\":", name);
}

static void properties_write(struct buf *out, const struct field *fields, enum kind_form form, const char *refs)
{
	for (const struct field *field = fields; field->name; field++)
		if (has(field, form)) {
			member_begin(out, field->name);
			field_schema(out, field, form, refs);
		}
}

static void required_write(struct buf *out, const struct field *fields, enum kind_form form, size_t *count)
{
	for (const struct field *field = fields; field->name; field++)
		if (has(field, form) && always(field, form))
			buf_printf(out, "%s\"%s\"", (*count)++ ? "," : ",\"required\":[", field->name);
}

/* Everything but the braces. */
static void object_write(struct buf *out, const struct kind *kind, enum kind_form form, const char *refs)
{
	size_t count = 0;
	text_member(out, "description", kind->doc);
	if (kind->successor)
		buf_lit(out, ",\"deprecated\":true");
	buf_lit(out, ",\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
	if (form == KIND_READ) {
		buf_lit(out, "\"id\":{\"type\":\"string\",\"pattern\":\"^[1-9][0-9]*$\",\"readOnly\":true,\"description\":\"Never given twice.\"},"
			     "\"brand\":{\"type\":\"string\",\"readOnly\":true,\"description\":\"Whose it is.\"}");
	} else {
		buf_lit(out, "\"brand\":{\"type\":[\"string\",\"null\"],\"description\":\"If it is given, the brand of the request.\"}");
	}
	properties_write(out, kind->fields, form, refs);
	if (form == KIND_READ) {
		if (kind->state_fields)
			properties_write(out, kind->state_fields, form, refs);
		buf_lit(out, ",\"version\":{\"type\":\"integer\",\"minimum\":1,\"readOnly\":true,\"description\":\"Counts the changes.\"}");
		for (const struct field *field = kind_envelope; field->name; field++)
			if (field->type == FIELD_TIME) {
				member_begin(out, field->name);
				field_schema(out, field, form, refs);
			}
	}
	buf_char(out, '}');
	if (form == KIND_READ) {
		buf_lit(out, ",\"required\":[\"id\",\"brand\",\"version\",\"created_at\",\"updated_at\"");
		count = 5;
	}
	required_write(out, kind->fields, form, &count);
	if (count)
		buf_char(out, ']');
}

static void title_write(struct buf *out, const struct kind *kind, enum kind_form form)
{
	static const char *const behind[] = { " to create", ", changes", "" };
	buf_printf(out, "\"title\":\"%s%s\"", kind->title, behind[form]);
}

void kind_schema_at(struct buf *out, const struct kind *kind, enum kind_form form, const char *refs)
{
	buf_char(out, '{');
	title_write(out, kind, form);
	object_write(out, kind, form, refs);
	buf_char(out, '}');
}

static void action_definition(struct buf *out, const char *refs)
{
	bool first = true;
	buf_lit(out, "\"action\":{\"description\":\"What a rule does; its type says which members it has.\",\"oneOf\":[");
	for (size_t i = 0; i < ACTION_TYPES; i++) {
		const struct action_kind *kind = &action_kinds[i];
		buf_printf(out, "%s{\"title\":\"%s\"", first ? "" : ",", kind->name);
		text_member(out, "description", kind->doc);
		buf_printf(out, ",\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"type\":{\"const\":\"%s\"}", kind->name);
		properties_write(out, kind->args, KIND_CREATE, refs);
		buf_lit(out, "},\"required\":[\"type\"");
		size_t count = 1;
		required_write(out, kind->args, KIND_CREATE, &count);
		buf_char(out, ']');
		for (size_t j = 0; kind->one_of && kind->one_of[j]; j++)
			buf_printf(out, "%s{\"required\":[\"%s\"]}", j ? "," : ",\"oneOf\":[", kind->one_of[j]);
		buf_str(out, kind->one_of ? STR("]}") : STR("}"));
		first = false;
	}
	buf_lit(out, "]}");
}

/* What writes definitions that a table of fields needs; each is written once. */
typedef void definitions_fn(struct buf *out, const char *refs);
enum { DEFINITIONS_MAX = 16 };
struct definitions {
	definitions_fn *list[DEFINITIONS_MAX];
	size_t count;
};

static void definitions_add(struct definitions *definitions, definitions_fn *add)
{
	for (size_t i = 0; i < definitions->count; i++)
		if (definitions->list[i] == add)
			return;
	ASSERT(definitions->count < DEFINITIONS_MAX);
	definitions->list[definitions->count++] = add;
}

static void definitions_of(struct definitions *definitions, const struct kind *kind)
{
	for (const struct field *field = kind->fields; field->name; field++) {
		if (field->type == FIELD_CONDITION || field->definitions)
			definitions_add(definitions, condition_definitions);
		if (field->type == FIELD_ACTIONS)
			definitions_add(definitions, action_definition);
		if (field->type == FIELD_SCHEMA)
			definitions_add(definitions, schema_definitions);
		if (field->definitions)
			definitions_add(definitions, field->definitions);
	}
}

static void definitions_write(struct buf *out, const struct definitions *definitions, const char *refs)
{
	for (size_t i = 0; i < definitions->count; i++) {
		if (i)
			buf_char(out, ',');
		definitions->list[i](out, refs);
	}
}

void kind_definitions(struct buf *out, const char *refs)
{
	struct definitions definitions = { .count = 0 };
	const struct kind *kind;
	for (size_t i = 0; (kind = kind_at(i)); i++)
		definitions_of(&definitions, kind);
	definitions_write(out, &definitions, refs);
}

void kind_schema(struct buf *out, const struct kind *kind, enum kind_form form)
{
	buf_lit(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",");
	title_write(out, kind, form);
	object_write(out, kind, form, "#/$defs/");
	struct definitions definitions = { .count = 0 };
	definitions_of(&definitions, kind);
	if (definitions.count) {
		buf_lit(out, ",\"$defs\":{");
		definitions_write(out, &definitions, "#/$defs/");
		buf_char(out, '}');
	}
	buf_char(out, '}');
}

/* ---- hints for forms --------------------------------------------------------------------------------------------------- */

static const char *widget_of(const struct field *field)
{
	static const char *const widgets[FIELD_TYPES] = {
		[FIELD_TEXT] = "text", [FIELD_INT] = "number", [FIELD_BOOL] = "checkbox", [FIELD_DECIMAL] = "number",
		[FIELD_ENUM] = "select", [FIELD_REF] = "remote_select", [FIELD_CONDITION] = "conditions",
		[FIELD_ACTIONS] = "actions", [FIELD_SCHEMA] = "json_schema", [FIELD_JSON] = "json", [FIELD_TEXTS] = "tags",
		[FIELD_TIME] = "datetime", [FIELD_LIST] = "list"
	};
	return field->flags & HIDDEN ? "hidden" : field->widget ? field->widget : widgets[field->type];
}

/* "min_status_points" and "bonusKey" as people write it: "Min status points", "Bonus key". */
static void label_write(struct buf *out, const char *name)
{
	buf_char(out, '"');
	for (size_t i = 0; name[i]; i++) {
		bool upper = name[i] >= 'A' && name[i] <= 'Z', lower = name[i] >= 'a' && name[i] <= 'z';
		if (upper && i)
			buf_char(out, ' ');
		buf_char(out, name[i] == '_' ? ' ' : upper && i ? (char)(name[i] | 0x20) : lower && !i ? (char)(name[i] & ~0x20) : name[i]);
	}
	buf_char(out, '"');
}

void kind_options_path(struct buf *out, const struct kind *kind)
{
	buf_printf(out, "/admin/ui-options%s", strrchr(kind->path, '/'));
}

static void hints_write(struct buf *out, const struct field *fields, unsigned order);

static void actions_hints(struct buf *out)
{
	bool first = true;
	buf_lit(out, ",\"types\":[");
	for (size_t i = 0; i < ACTION_TYPES; i++) {
		buf_printf(out, "%s{\"type\":\"%s\",\"label\":", first ? "" : ",", action_kinds[i].name);
		label_write(out, action_kinds[i].name);
		text_member(out, "help", action_kinds[i].doc);
		buf_lit(out, ",\"fields\":{");
		hints_write(out, action_kinds[i].args, 0);
		buf_lit(out, "}}");
		first = false;
	}
	buf_char(out, ']');
}

static void hint_write(struct buf *out, const struct field *field, unsigned order)
{
	buf_printf(out, "{\"order\":%u,\"label\":", order);
	label_write(out, field->name);
	text_member(out, "help", field->doc);
	text_member(out, "widget", widget_of(field));
	if (field->flags & HIDDEN)
		buf_lit(out, ",\"hidden\":true");
	if (field->flags & REQUIRED)
		buf_lit(out, ",\"required\":true");
	if (field->flags & IMMUTABLE)
		buf_lit(out, ",\"immutable\":true");
	if (field->fallback)
		buf_printf(out, ",\"default\":%s", field->fallback);
	if (field->type == FIELD_ENUM) {
		buf_lit(out, ",\"choices\":[");
		for (size_t i = 0; field->choices[i]; i++) {
			buf_printf(out, "%s{\"value\":\"%s\",\"label\":\"", i ? "," : "", field->choices[i]);
			for (const char *at = field->choices[i]; *at; at++)
				buf_char(out, *at == '_' ? ' ' : *at >= 'A' && *at <= 'Z' && at > field->choices[i] ? (char)(*at | 0x20) : *at);
			buf_lit(out, "\"}");
		}
		buf_char(out, ']');
	}
	if (field->type == FIELD_REF) {
		const struct kind *target = kind_by_name(str_of(field->ref_kind));
		ASSERT(target);
		buf_lit(out, ",\"datasource\":\"");
		kind_options_path(out, target);
		buf_printf(out, "%s%s\",\"valueField\":\"%s\",\"labelField\":\"%s\"", field->ref_filter ? "?" : "",
			   field->ref_filter ? field->ref_filter : "", field->ref_key, target->label ? target->label : "name");
	}
	if (field->type == FIELD_ACTIONS)
		actions_hints(out);
	if (field->type == FIELD_LIST) {
		buf_lit(out, ",\"fields\":{");
		hints_write(out, field->items, 0);
		buf_char(out, '}');
	}
	buf_char(out, '}');
}

static void hints_write(struct buf *out, const struct field *fields, unsigned order)
{
	for (const struct field *field = fields; field->name; field++)
		if (has(field, KIND_CREATE)) {
			member_begin(out, field->name);
			hint_write(out, field, order++);
		}
}

void kind_hints(struct buf *out, const struct kind *kind)
{
	buf_char(out, '{');
	for (const struct field *field = kind_envelope; field->name; field++)
		if (!(field->flags & READONLY)) {
			member_begin(out, field->name);
			hint_write(out, field, 0);
		}
	hints_write(out, kind->fields, 1);
	buf_char(out, '}');
}
