// SPDX-License-Identifier: Apache-2.0
/* schema.c - compiling a JSON Schema into nodes.  Checking values is in schema_check.c.
 *
 * One table names every keyword; the compiler goes through the members of a schema object and looks each one up.
 * Invariants: every node is in schema->nodes and freed from there, so nodes may point at each other freely ($ref makes
 * cycles); properties of a node are sorted by name.
 */
#include "engine/catalog/schema.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/problem.h"
#include "engine/catalog/schema_node.h"

enum keyword {
	KEY_TYPE, KEY_PROPERTIES, KEY_REQUIRED, KEY_ADDITIONAL, KEY_ITEMS, KEY_PREFIX, KEY_ENUM, KEY_CONST, KEY_BOUND,
	KEY_LIMIT, KEY_PATTERN, KEY_UNIQUE, KEY_ALL, KEY_ANY, KEY_ONE, KEY_NOT, KEY_REF, KEY_DEFS, KEY_DIALECT,
	KEY_NOTE_TEXT, KEY_NOTE_BOOL, KEY_NOTE_ARRAY, KEY_NOTE
};

static const struct {
	const char *name;
	enum keyword keyword;
	unsigned index;                /* KEY_BOUND, KEY_LIMIT: which one */
} keywords[] = {
	{ "type", KEY_TYPE, 0 },
	{ "properties", KEY_PROPERTIES, 0 },
	{ "required", KEY_REQUIRED, 0 },
	{ "additionalProperties", KEY_ADDITIONAL, 0 },
	{ "items", KEY_ITEMS, 0 },
	{ "prefixItems", KEY_PREFIX, 0 },
	{ "enum", KEY_ENUM, 0 },
	{ "const", KEY_CONST, 0 },
	{ "minimum", KEY_BOUND, BOUND_MIN },
	{ "maximum", KEY_BOUND, BOUND_MAX },
	{ "exclusiveMinimum", KEY_BOUND, BOUND_ABOVE },
	{ "exclusiveMaximum", KEY_BOUND, BOUND_BELOW },
	{ "multipleOf", KEY_BOUND, BOUND_MULTIPLE },
	{ "minLength", KEY_LIMIT, LIMIT_MIN_LENGTH },
	{ "maxLength", KEY_LIMIT, LIMIT_MAX_LENGTH },
	{ "minItems", KEY_LIMIT, LIMIT_MIN_ITEMS },
	{ "maxItems", KEY_LIMIT, LIMIT_MAX_ITEMS },
	{ "minProperties", KEY_LIMIT, LIMIT_MIN_PROPERTIES },
	{ "maxProperties", KEY_LIMIT, LIMIT_MAX_PROPERTIES },
	{ "pattern", KEY_PATTERN, 0 },
	{ "uniqueItems", KEY_UNIQUE, 0 },
	{ "allOf", KEY_ALL, 0 },
	{ "anyOf", KEY_ANY, 0 },
	{ "oneOf", KEY_ONE, 0 },
	{ "not", KEY_NOT, 0 },
	{ "$ref", KEY_REF, 0 },
	{ "$defs", KEY_DEFS, 0 },
	{ "$schema", KEY_DIALECT, 0 },
	{ "$id", KEY_NOTE_TEXT, 0 },
	{ "$comment", KEY_NOTE_TEXT, 0 },
	{ "title", KEY_NOTE_TEXT, 0 },
	{ "description", KEY_NOTE_TEXT, 0 },
	{ "format", KEY_NOTE_TEXT, 0 },
	{ "deprecated", KEY_NOTE_BOOL, 0 },
	{ "readOnly", KEY_NOTE_BOOL, 0 },
	{ "writeOnly", KEY_NOTE_BOOL, 0 },
	{ "examples", KEY_NOTE_ARRAY, 0 },
	{ "default", KEY_NOTE, 0 },
};

const char *const schema_type_names[SCHEMA_TYPES] = {
	"null", "boolean", "object", "array", "number", "string", "integer"
};

struct compiler {
	struct schema *schema;
	struct faults *faults;
	struct buf pointer;
	bool failed;
};

#define FAULT(compiler, ...) \
	((compiler)->failed = true, faults_add((compiler)->faults, pointer_text(&(compiler)->pointer), __VA_ARGS__))

static struct schema_node *compile(struct compiler *compiler, yyjson_val *source, int depth);

static struct schema_node *node_new(struct compiler *compiler)
{
	struct schema *schema = compiler->schema;
	if (schema->count == SCHEMA_NODES_MAX) {
		FAULT(compiler, "the schema has more than %d parts", SCHEMA_NODES_MAX);
		return NULL;
	}
	if (schema->count == schema->cap) {
		schema->cap = schema->cap ? schema->cap * 2 : 16;
		schema->nodes = mem_realloc(schema->nodes, schema->cap * sizeof *schema->nodes);
	}
	struct schema_node *node = mem_zalloc(sizeof *node);
	for (int i = 0; i < LIMITS; i++)
		node->limits[i] = -1;
	return schema->nodes[schema->count++] = node;
}

static struct str text_dup(struct str text)
{
	return (struct str){ mem_dup(text.ptr, text.len), text.len };
}

static int member_order(const void *a, const void *b)
{
	return str_cmp(json_text(((const struct schema_member *)a)->key),
		       json_text(((const struct schema_member *)b)->key));
}

/* Equal values get equal texts: members sorted, numbers in their shortest form. */
void schema_canonical(struct buf *out, yyjson_val *value)
{
	size_t i, max, count;
	yyjson_val *key, *item;
	struct schema_member *members;
	struct decimal number;
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_RAW:
		if (decimal_parse(json_raw(value), &number))
			decimal_write(out, number);
		else
			json_write(out, value);
		break;
	case YYJSON_TYPE_ARR:
		buf_char(out, '[');
		yyjson_arr_foreach(value, i, max, item) {
			if (i)
				buf_char(out, ',');
			schema_canonical(out, item);
		}
		buf_char(out, ']');
		break;
	case YYJSON_TYPE_OBJ:
		count = yyjson_obj_size(value);
		members = mem_alloc(count * sizeof *members);
		yyjson_obj_foreach(value, i, max, key, item)
			members[i] = (struct schema_member){ key, item };
		qsort(members, count, sizeof *members, member_order);
		buf_char(out, '{');
		for (i = 0; i < count; i++) {
			if (i)
				buf_char(out, ',');
			buf_json_text(out, json_text(members[i].key));
			buf_char(out, ':');
			schema_canonical(out, members[i].value);
		}
		buf_char(out, '}');
		mem_free(members);
		break;
	default:
		json_write(out, value);
	}
}

static struct str canonical_dup(yyjson_val *value)
{
	struct buf text = { 0 };
	schema_canonical(&text, value);
	struct str copy = text_dup(buf_view(&text));
	buf_free(&text);
	return copy;
}

static void compile_type(struct compiler *compiler, struct schema_node *node, yyjson_val *value)
{
	size_t count = yyjson_is_arr(value) ? yyjson_arr_size(value) : 1;
	for (size_t i = 0; i < count; i++) {
		yyjson_val *item = yyjson_is_arr(value) ? yyjson_arr_get(value, i) : value;
		struct str name = json_text(item);
		unsigned type = 0;
		while (type < SCHEMA_TYPES && !(yyjson_is_str(item) && str_eq(name, str_of(schema_type_names[type]))))
			type++;
		if (type == SCHEMA_TYPES) {
			FAULT(compiler, "expected one or more of null, boolean, object, array, number, "
					"string, integer");
			return;
		}
		node->types |= 1u << type;
	}
	if (!count)
		FAULT(compiler, "an empty list of types fits nothing");
}

static struct schema_node **compile_list(struct compiler *compiler, yyjson_val *value, int depth, size_t *count)
{
	size_t i, max;
	yyjson_val *item;
	if (!yyjson_is_arr(value) || !yyjson_arr_size(value)) {
		FAULT(compiler, "expected an array of at least one schema");
		return NULL;
	}
	struct schema_node **list = mem_zalloc(yyjson_arr_size(value) * sizeof *list);
	yyjson_arr_foreach(value, i, max, item) {
		size_t before = pointer_push_index(&compiler->pointer, i);
		list[i] = compile(compiler, item, depth + 1);
		compiler->pointer.len = before;
	}
	*count = yyjson_arr_size(value);
	return list;
}

static int property_order(const void *a, const void *b)
{
	return str_cmp(((const struct schema_property *)a)->name, ((const struct schema_property *)b)->name);
}

/* `properties` and `required` become one table. */
static void compile_properties(struct compiler *compiler, struct schema_node *node, yyjson_val *properties,
			       yyjson_val *required, int depth)
{
	size_t i, max, count = 0, room = yyjson_obj_size(properties) + yyjson_arr_size(required);
	yyjson_val *key, *item;
	struct schema_property *list = mem_zalloc(room * sizeof *list);
	size_t outer = compiler->pointer.len;
	if (properties && !yyjson_is_obj(properties)) {
		pointer_push(&compiler->pointer, STR("properties"));
		FAULT(compiler, "expected an object of schemas, got %s", json_type_name(properties));
		compiler->pointer.len = outer;
	}
	for (yyjson_obj_iter iter = yyjson_obj_iter_with(properties); (key = yyjson_obj_iter_next(&iter));) {
		item = yyjson_obj_iter_get_val(key);
		pointer_push(&compiler->pointer, STR("properties"));
		pointer_push(&compiler->pointer, json_text(key));
		list[count++] = (struct schema_property){ text_dup(json_text(key)), compile(compiler, item, depth + 1),
							 false };
		compiler->pointer.len = outer;
	}
	qsort(list, count, sizeof *list, property_order);
	size_t declared = count;
	pointer_push(&compiler->pointer, STR("required"));
	if (required && !yyjson_is_arr(required))
		FAULT(compiler, "expected an array of texts, got %s", json_type_name(required));
	yyjson_arr_foreach(required, i, max, item) {
		struct schema_property wanted = { json_text(item), NULL, true };
		if (!yyjson_is_str(item)) {
			FAULT(compiler, "expected an array of texts, got %s in it", json_type_name(item));
			break;
		}
		struct schema_property *found = bsearch(&wanted, list, declared, sizeof *list, property_order);
		if (found) {
			found->required = true;
			continue;
		}
		wanted.name = text_dup(wanted.name);
		list[count++] = wanted;
	}
	compiler->pointer.len = outer;
	qsort(list, count, sizeof *list, property_order);
	/* A name that is required twice is kept once. */
	size_t kept = 0;
	for (i = 0; i < count; i++) {
		if (kept && str_eq(list[kept - 1].name, list[i].name))
			mem_free((char *)(uintptr_t)list[i].name.ptr);
		else
			list[kept++] = list[i];
	}
	node->properties = list;
	node->property_count = kept;
	for (i = 0; i < kept; i++)
		node->required_count += list[i].required;
}

static int def_order(const void *a, const void *b)
{
	return str_cmp(((const struct schema_def *)a)->name, ((const struct schema_def *)b)->name);
}

static struct schema_node *resolve(struct compiler *compiler, struct str ref)
{
	struct str prefix = STR("#/$defs/");
	struct buf name = { 0 };
	struct schema_def *found = NULL;
	if (str_eq(ref, STR("#")))
		return compiler->schema->root;
	if (ref.len > prefix.len && !memcmp(ref.ptr, prefix.ptr, prefix.len)) {
		for (size_t i = prefix.len; i < ref.len; i++) {
			if (ref.ptr[i] == '~' && i + 1 < ref.len && (ref.ptr[i + 1] == '0' || ref.ptr[i + 1] == '1'))
				buf_char(&name, ref.ptr[++i] == '0' ? '~' : '/');
			else
				buf_char(&name, ref.ptr[i]);
		}
		struct schema_def wanted = { buf_view(&name), NULL };
		if (compiler->schema->def_count)
			found = bsearch(&wanted, compiler->schema->defs, compiler->schema->def_count, sizeof wanted,
					def_order);
		buf_free(&name);
	}
	if (!found)
		FAULT(compiler, "\"%.*s\" leads nowhere; expected \"#\" or \"#/$defs/…\" with a name that is there",
		      text_cut(ref, 100), ref.ptr);
	return found ? found->node : NULL;
}

static void compile_pattern(struct compiler *compiler, struct schema_node *node, yyjson_val *value)
{
	char error[120];
	if (!yyjson_is_str(value) || yyjson_get_len(value) > SCHEMA_PATTERN_MAX) {
		FAULT(compiler, "expected a regular expression of at most %d bytes", SCHEMA_PATTERN_MAX);
		return;
	}
	node->pattern = pattern_compile(json_text(value), error);
	if (!node->pattern)
		FAULT(compiler, "%s", error);
}

static void compile_keyword(struct compiler *compiler, struct schema_node *node, size_t row, yyjson_val *value,
			    int depth)
{
	unsigned index = keywords[row].index;
	size_t i, max;
	yyjson_val *item;
	switch (keywords[row].keyword) {
	case KEY_TYPE: compile_type(compiler, node, value); break;
	case KEY_PROPERTIES:
	case KEY_REQUIRED: break;      /* compile_properties */
	case KEY_ADDITIONAL: node->additional = compile(compiler, value, depth + 1); break;
	case KEY_ITEMS: node->items = compile(compiler, value, depth + 1); break;
	case KEY_PREFIX: node->prefix = compile_list(compiler, value, depth, &node->prefix_count); break;
	case KEY_ENUM:
		if (!yyjson_is_arr(value) || !yyjson_arr_size(value)) {
			FAULT(compiler, "expected an array of at least one value");
			break;
		}
		node->values = mem_zalloc(yyjson_arr_size(value) * sizeof *node->values);
		yyjson_arr_foreach(value, i, max, item)
			node->values[node->value_count++] = canonical_dup(item);
		break;
	case KEY_CONST:
		node->constant = canonical_dup(value);
		node->has_constant = true;
		break;
	case KEY_BOUND:
		if (!json_is_number(value) || !decimal_parse(json_raw(value), &node->bounds[index]))
			FAULT(compiler, "expected a number, got %s", json_type_name(value));
		else if (index == BOUND_MULTIPLE && decimal_cmp(node->bounds[index], decimal_of(0)) <= 0)
			FAULT(compiler, "expected a number above 0");
		else
			node->bounds_set |= 1u << index;
		break;
	case KEY_LIMIT:
		if (!json_is_number(value) || !json_int(value, &node->limits[index]) || node->limits[index] < 0)
			FAULT(compiler, "expected an integer of at least 0");
		break;
	case KEY_PATTERN: compile_pattern(compiler, node, value); break;
	case KEY_UNIQUE:
		node->unique = yyjson_is_true(value);
		if (!yyjson_is_bool(value))
			FAULT(compiler, "expected true or false, got %s", json_type_name(value));
		break;
	case KEY_ALL: node->all = compile_list(compiler, value, depth, &node->all_count); break;
	case KEY_ANY: node->any = compile_list(compiler, value, depth, &node->any_count); break;
	case KEY_ONE: node->one = compile_list(compiler, value, depth, &node->one_count); break;
	case KEY_NOT: node->not = compile(compiler, value, depth + 1); break;
	case KEY_REF:
		if (yyjson_is_str(value))
			node->ref = resolve(compiler, json_text(value));
		else
			FAULT(compiler, "expected a text, got %s", json_type_name(value));
		break;
	case KEY_DEFS:
		if (depth)
			FAULT(compiler, "$defs belongs to the top of the schema");
		break;                 /* compile_defs */
	case KEY_DIALECT:
		if (!str_eq(json_text(value), STR("https://json-schema.org/draft/2020-12/schema")))
			FAULT(compiler, "only https://json-schema.org/draft/2020-12/schema is supported");
		break;
	case KEY_NOTE_TEXT:
		if (!yyjson_is_str(value))
			FAULT(compiler, "expected a text, got %s", json_type_name(value));
		break;
	case KEY_NOTE_BOOL:
		if (!yyjson_is_bool(value))
			FAULT(compiler, "expected true or false, got %s", json_type_name(value));
		break;
	case KEY_NOTE_ARRAY:
		if (!yyjson_is_arr(value))
			FAULT(compiler, "expected an array, got %s", json_type_name(value));
		break;
	case KEY_NOTE: break;
	}
}

static void compile_into(struct compiler *compiler, struct schema_node *node, yyjson_val *source, int depth)
{
	size_t i, max, rows = sizeof keywords / sizeof *keywords;
	yyjson_val *key, *value;
	if (yyjson_is_bool(source)) {
		node->never = yyjson_is_false(source);
		return;
	}
	if (!yyjson_is_obj(source)) {
		FAULT(compiler, "expected a schema (an object, true or false), got %s", json_type_name(source));
		return;
	}
	if (depth > JSON_DEPTH_MAX) {
		FAULT(compiler, "the schema is nested too deep");
		return;
	}
	yyjson_obj_foreach(source, i, max, key, value) {
		struct str name = json_text(key);
		size_t row = 0, before = pointer_push(&compiler->pointer, name);
		while (row < rows && !str_eq(name, str_of(keywords[row].name)))
			row++;
		if (row < rows)
			compile_keyword(compiler, node, row, value, depth);
		else
			FAULT(compiler, "the keyword \"%.*s\" is not supported", text_cut(name, 60), name.ptr);
		compiler->pointer.len = before;
	}
	yyjson_val *properties = json_get(source, STR("properties")), *required = json_get(source, STR("required"));
	if (properties || required)
		compile_properties(compiler, node, properties, required, depth);
}

static struct schema_node *compile(struct compiler *compiler, yyjson_val *source, int depth)
{
	struct schema_node *node = node_new(compiler);
	if (node)
		compile_into(compiler, node, source, depth);
	return node;
}

/* First the names, so that $ref may point forwards; then what they stand for. */
static void compile_defs(struct compiler *compiler, yyjson_val *defs)
{
	struct schema *schema = compiler->schema;
	yyjson_val *key;
	size_t outer = pointer_push(&compiler->pointer, STR("$defs"));
	if (defs && !yyjson_is_obj(defs))
		FAULT(compiler, "expected an object of schemas, got %s", json_type_name(defs));
	schema->defs = mem_zalloc((yyjson_obj_size(defs) + 1) * sizeof *schema->defs);
	for (yyjson_obj_iter iter = yyjson_obj_iter_with(defs); (key = yyjson_obj_iter_next(&iter));) {
		struct schema_node *node = node_new(compiler);
		if (!node)
			break;
		schema->defs[schema->def_count++] = (struct schema_def){ text_dup(json_text(key)), node };
	}
	qsort(schema->defs, schema->def_count, sizeof *schema->defs, def_order);
	for (yyjson_obj_iter iter = yyjson_obj_iter_with(defs); (key = yyjson_obj_iter_next(&iter));) {
		struct schema_def wanted = { json_text(key), NULL };
		struct schema_def *def = bsearch(&wanted, schema->defs, schema->def_count, sizeof wanted, def_order);
		size_t before = pointer_push(&compiler->pointer, json_text(key));
		if (def)
			compile_into(compiler, def->node, yyjson_obj_iter_get_val(key), 1);
		compiler->pointer.len = before;
	}
	compiler->pointer.len = outer;
}

struct schema *schema_compile(yyjson_val *source, const char *pointer, struct faults *faults)
{
	struct compiler compiler = { .schema = mem_zalloc(sizeof *compiler.schema), .faults = faults };
	buf_str(&compiler.pointer, str_of(pointer));
	compiler.schema->root = node_new(&compiler);
	if (yyjson_is_obj(source))
		compile_defs(&compiler, json_get(source, STR("$defs")));
	compile_into(&compiler, compiler.schema->root, source, 0);
	buf_free(&compiler.pointer);
	if (compiler.failed) {
		schema_free(compiler.schema);
		return NULL;
	}
	return compiler.schema;
}

static void text_free(struct str text)
{
	mem_free((char *)(uintptr_t)text.ptr);
}

void schema_free(struct schema *schema)
{
	if (!schema)
		return;
	for (size_t i = 0; i < schema->count; i++) {
		struct schema_node *node = schema->nodes[i];
		for (size_t j = 0; j < node->property_count; j++)
			text_free(node->properties[j].name);
		for (size_t j = 0; j < node->value_count; j++)
			text_free(node->values[j]);
		text_free(node->constant);
		pattern_free(node->pattern);
		mem_free(node->properties);
		mem_free(node->values);
		mem_free(node->prefix);
		mem_free(node->all);
		mem_free(node->any);
		mem_free(node->one);
		mem_free(node);
	}
	for (size_t i = 0; i < schema->def_count; i++)
		text_free(schema->defs[i].name);
	mem_free(schema->defs);
	mem_free(schema->nodes);
	mem_free(schema);
}

/* ---- describing itself ------------------------------------------------------------------------------------------------- */

static void describe_keywords(struct buf *out, const char *refs, bool root)
{
	buf_lit(out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
	for (size_t i = 0, written = 0; i < sizeof keywords / sizeof *keywords; i++) {
		if (keywords[i].keyword == KEY_DEFS && !root)
			continue;
		buf_printf(out, "%s\"%s\":", written++ ? "," : "", keywords[i].name);
		switch (keywords[i].keyword) {
		case KEY_TYPE:
			buf_printf(out, "{\"anyOf\":[{\"$ref\":\"%spayload_type\"},{\"type\":\"array\",\"minItems\":1,\"items\":"
					"{\"$ref\":\"%spayload_type\"}}]}", refs, refs);
			break;
		case KEY_PROPERTIES:
		case KEY_DEFS:
			buf_printf(out, "{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"%spayload_part\"}}", refs);
			break;
		case KEY_REQUIRED: buf_lit(out, "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"); break;
		case KEY_ADDITIONAL:
		case KEY_ITEMS:
		case KEY_NOT: buf_printf(out, "{\"$ref\":\"%spayload_part\"}", refs); break;
		case KEY_PREFIX:
		case KEY_ALL:
		case KEY_ANY:
		case KEY_ONE:
			buf_printf(out, "{\"type\":\"array\",\"minItems\":1,\"items\":{\"$ref\":\"%spayload_part\"}}", refs);
			break;
		case KEY_ENUM: buf_lit(out, "{\"type\":\"array\",\"minItems\":1}"); break;
		case KEY_CONST:
		case KEY_NOTE: buf_lit(out, "true"); break;
		case KEY_BOUND:
			buf_str(out, keywords[i].index == BOUND_MULTIPLE ? STR("{\"type\":\"number\",\"exclusiveMinimum\":0}")
									 : STR("{\"type\":\"number\"}"));
			break;
		case KEY_LIMIT: buf_printf(out, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":%lld}", (long long)INT64_MAX); break;
		case KEY_PATTERN: buf_printf(out, "{\"type\":\"string\",\"maxLength\":%d,\"format\":\"regex\"}", SCHEMA_PATTERN_MAX); break;
		case KEY_UNIQUE:
		case KEY_NOTE_BOOL: buf_lit(out, "{\"type\":\"boolean\"}"); break;
		case KEY_REF: buf_lit(out, "{\"type\":\"string\",\"pattern\":\"^#(/[$]defs/.*)?$\"}"); break;
		case KEY_DIALECT: buf_lit(out, "{\"const\":\"https://json-schema.org/draft/2020-12/schema\"}"); break;
		case KEY_NOTE_TEXT: buf_lit(out, "{\"type\":\"string\"}"); break;
		case KEY_NOTE_ARRAY: buf_lit(out, "{\"type\":\"array\"}"); break;
		}
	}
	buf_lit(out, "}}");
}

void schema_definitions(struct buf *out, const char *refs)
{
	buf_lit(out, "\"payload_type\":{\"enum\":[");
	for (int i = 0; i < SCHEMA_TYPES; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", schema_type_names[i]);
	buf_lit(out, "]},\"payload_part\":{\"anyOf\":[{\"type\":\"boolean\"},");
	describe_keywords(out, refs, false);
	buf_lit(out, "]},\"payload_schema\":{\"description\":\"JSON Schema 2020-12; a keyword that is not listed is refused.\","
		     "\"anyOf\":[{\"type\":\"boolean\"},");
	describe_keywords(out, refs, true);
	buf_lit(out, "]}");
}
