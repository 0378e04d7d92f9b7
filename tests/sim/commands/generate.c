// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/generate.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "net/surface/schema.h"
#include "tests/sim/commands/methods.h"
#include "tests/sim/disk.h"

enum { DEPTH_MAX = 7, SETS_MAX = 24, TRIES = 14, COMPONENTS_MAX = 512, PATTERNS_MAX = 256 };

#define DAY_MS INT64_C(86400000)

static uint64_t chance(struct generator *generator, uint64_t below)
{
	return disk_chance(&generator->seed, below);
}

static bool one_in(struct generator *generator, unsigned count)
{
	return count && chance(generator, count) == 0;
}

/* ---- the tables, read once -------------------------------------------------------------------------------------------------------- */

static struct component { char *name; yyjson_doc *doc; } components[COMPONENTS_MAX];
static size_t component_count;
static struct compiled { char *text; regex_t regex; bool good; } patterns[PATTERNS_MAX];
static size_t pattern_count;
static struct pool first_pool;
static yyjson_doc *id_schema;
static bool begun;

static char *text_copy(struct str text)
{
	char *out = mem_zalloc(text.len + 1);
	if (text.len)
		memcpy(out, text.ptr, text.len);
	return out;
}

static yyjson_doc *json_of(struct str text)
{
	struct json_error error;
	return json_read(text, &error);
}

static yyjson_doc *short_schema(const char *schema)
{
	struct buf text = { 0 };
	schema_write(&text, schema);
	yyjson_doc *doc = json_of(buf_view(&text));
	ASSERT(doc);
	buf_free(&text);
	return doc;
}

static yyjson_val *component_find(struct str name)
{
	for (size_t i = 0; i < component_count; i++)
		if (str_eq(str_of(components[i].name), name))
			return yyjson_doc_get_root(components[i].doc);
	ASSERT(!"a schema that is referred to");
	return NULL;
}

static void learn_text(struct pool *pool, struct str name, const char *quoted)
{
	struct buf text = { 0 };
	if (!quoted)
		return;
	quotes_write(&text, quoted);
	yyjson_doc *doc = json_of(buf_view(&text));
	if (doc)
		pool_learn(pool, name, yyjson_doc_get_root(doc), true);
	yyjson_doc_free(doc);
	buf_free(&text);
}

static struct str header_name(const char *name)
{
	struct str text = str_of(name);
	if (text.len > 2 && (text.ptr[0] | 0x20) == 'x' && text.ptr[1] == '-')
		return (struct str){ text.ptr + 2, text.len - 2 };
	/* If-Match and If-None-Match hold what an ETag was. */
	return text.len > 3 && !strncasecmp(text.ptr, "if-", 3) ? STR("etag") : text;
}

/* What a reference holds in examples is also what the field that it refers to may hold. */
static void learn_references(struct pool *pool)
{
	const struct kind *kind;
	for (size_t k = 0; (kind = kind_at(k)); k++)
		for (const struct field *field = kind->fields; field->name; field++) {
			if (field->type != FIELD_REF)
				continue;
			const struct pool_value *value = pool_of(pool, str_of(field->name), true);
			if (value && field->ref_key)
				pool_add(pool, str_of(field->ref_key), pool_text(value), POOL_STRING, true);
		}
}

static void tables_read(void)
{
	struct buf name = { 0 };
	size_t at = 0, count;
	begun = true;
	while (schema_next(&at, &name)) {
		struct buf text = { 0 };
		ASSERT(component_count < COMPONENTS_MAX);
		schema_component_named(&text, buf_view(&name));
		components[component_count].name = text_copy(buf_view(&name));
		components[component_count++].doc = json_of(buf_view(&text));
		buf_free(&text);
	}
	buf_free(&name);
	first_pool.seed = 1;
	const struct reference *all = references(&count);
	for (size_t i = 0; i < count; i++) {
		learn_text(&first_pool, STR(""), all[i].body_example);
		for (const struct answer *answer = all[i].answers; answer->status; answer++)
			learn_text(&first_pool, STR(""), answer->example);
	}
	for (size_t i = 0; i < component_count; i++) {
		size_t n, max;
		yyjson_val *example, *root = yyjson_doc_get_root(components[i].doc);
		yyjson_arr_foreach(json_get(root, STR("examples")), n, max, example)
			pool_learn(&first_pool, str_of(components[i].name), example, true);
	}
	learn_references(&first_pool);
	for (size_t i = 0; i < count; i++)
		for (size_t n = 0; n < all[i].parameter_count; n++) {
			const struct reference_parameter *parameter = &all[i].parameters[n];
			/* Whom a request is about: the same in paths, headers and bodies. */
			if ((strcmp(parameter->in, "query") != 0 || parameter->row.required) && !strcmp(parameter->row.schema, "Name"))
				pool_steady(&first_pool, header_name(parameter->row.name));
		}
}

void generator_begin(struct generator *generator, uint64_t seed)
{
	if (!begun)
		tables_read();
	*generator = (struct generator){ .seed = seed, .pool = first_pool };
	generator->pool.seed = seed ^ UINT64_C(0x5851F42D4C957F2D);
}

/* ---- patterns --------------------------------------------------------------------------------------------------------------------- */

/* ECMA's into what regcomp takes; false: it lets everything pass. */
static bool pattern_text(struct buf *out, struct str pattern)
{
	for (size_t i = 0; i < pattern.len; i++) {
		struct str rest = { pattern.ptr + i, pattern.len - i };
		if (rest.len >= 6 && !memcmp(rest.ptr, "\\u0000", 6)) {
			i += 5;
		} else if (rest.len >= 2 && !memcmp(rest.ptr, "\\t", 2)) {
			buf_char(out, '\t');
			i++;
		} else if (rest.len >= 2 && !memcmp(rest.ptr, "\\d", 2)) {
			buf_lit(out, "[0-9]");
			i++;
		} else {
			buf_char(out, rest.ptr[0]);
		}
	}
	buf_char(out, '\0');
	return !strstr(out->ptr, "[^]");
}

static const struct compiled *pattern_compile(struct str pattern)
{
	for (size_t i = 0; i < pattern_count; i++)
		if (str_eq(str_of(patterns[i].text), pattern))
			return &patterns[i];
	if (pattern_count == PATTERNS_MAX)
		return NULL;
	struct compiled *compiled = &patterns[pattern_count++];
	struct buf text = { 0 };
	compiled->text = text_copy(pattern);
	compiled->good = pattern_text(&text, pattern) && !regcomp(&compiled->regex, text.ptr, REG_EXTENDED | REG_NOSUB);
	buf_free(&text);
	return compiled;
}

static bool pattern_fits(struct str pattern, struct str text)
{
	const struct compiled *compiled = pattern_compile(pattern);
	char *copy = text_copy(text);
	bool fits = !compiled || !compiled->good || regexec(&compiled->regex, copy, 0, NULL, 0) == 0;
	mem_free(copy);
	return fits;
}

static const char *group_end(const char *at, const char *end)
{
	int depth = 0;
	for (; at < end; at++) {
		if (*at == '\\')
			at++;
		else if (*at == '[')
			while (at < end && *at != ']')
				at++;
		else if (*at == '(')
			depth++;
		else if (*at == ')' && --depth == 0)
			return at;
	}
	return end;
}

/* One character of a class; *end: behind it. */
static char class_pick(struct generator *generator, const char *at, const char **end)
{
	char list[256];
	size_t count = 0;
	bool not = at[1] == '^';
	const char *p = at + 1 + not;
	for (; *p && *p != ']'; p++) {
		if (*p == '\\' && p[1] && p[1] != ']')
			p++;
		if (p[1] == '-' && p[2] && p[2] != ']') {
			for (char c = *p; c <= p[2] && count < sizeof list; c++)
				list[count++] = c;
			p += 2;
		} else if (count < sizeof list) {
			list[count++] = *p;
		}
	}
	*end = *p ? p + 1 : p;
	return not || !count ? 'a' : list[chance(generator, count)];
}

/* A text that a simple pattern lets pass, more or less: what is made is tried. */
static void pattern_write(struct generator *generator, struct buf *out, const char *at, const char *end, unsigned depth)
{
	/* One of several ways. */
	const char *ways[16];
	size_t count = 0;
	ways[count++] = at;
	for (const char *p = at; p < end && count < 16; p++) {
		if (*p == '(')
			p = group_end(p, end);
		else if (*p == '[')
			while (p < end && *p != ']')
				p++;
		else if (*p == '\\')
			p++;
		else if (*p == '|')
			ways[count++] = p + 1;
	}
	size_t way = chance(generator, count);
	if (way + 1 < count)
		end = ways[way + 1] - 1;
	for (at = ways[way]; at < end;) {
		const char *atom = at, *behind = at + 1, *inner = NULL;
		if (*at == '^' || *at == '$') {
			at++;
			continue;
		}
		if (*at == '(') {
			inner = group_end(at, end);
			behind = inner < end ? inner + 1 : end;
		} else if (*at == '[') {
			class_pick(generator, at, &behind);
		} else if (*at == '\\' && at + 1 < end) {
			behind = at + 2;
		}
		unsigned least = 1, most = 1;
		if (behind < end && strchr("*+?{", *behind)) {
			least = *behind == '+';
			most = *behind == '?' ? 1 : 3;
			if (*behind == '{') {
				char *stop;
				least = most = (unsigned)strtoul(behind + 1, &stop, 10);
				if (*stop == ',')
					most = stop[1] == '}' ? least + 3 : (unsigned)strtoul(stop + 1, &stop, 10);
				behind = stop + strcspn(stop, "}");
			}
			behind++;
		}
		unsigned times = least + (unsigned)chance(generator, most - least + 1);
		for (unsigned i = 0; i < times && out->len < 200 && depth < 8; i++) {
			if (inner)
				pattern_write(generator, out, atom + 1, inner, depth + 1);
			else if (*atom == '[')
				buf_char(out, class_pick(generator, atom, &(const char *){ NULL }));
			else
				buf_char(out, *atom == '\\' ? (atom[1] == 'd' ? '7' : atom[1]) : *atom == '.' ? 'x' : *atom);
		}
		at = behind;
	}
}

/* ---- schemas ------------------------------------------------------------------------------------------------------------------------ */

/* All that holds for one value: the schema with what it refers to, all of allOf, one of anyOf and oneOf. */
struct set { yyjson_val *list[SETS_MAX]; size_t count; };

static void set_add(struct generator *generator, struct set *set, yyjson_val *schema)
{
	size_t i, max;
	yyjson_val *item, *reference = json_get(schema, STR("$ref"));
	static const struct str choices[] = { { "oneOf", 5 }, { "anyOf", 5 } };
	if (!yyjson_is_obj(schema) || set->count == SETS_MAX)
		return;
	set->list[set->count++] = schema;
	if (reference) {
		struct str path = json_text(reference);
		const char *name = memrchr(path.ptr, '/', path.len);
		ASSERT(name);
		set_add(generator, set, component_find((struct str){ name + 1, (size_t)(path.ptr + path.len - name) - 1 }));
	}
	yyjson_arr_foreach(json_get(schema, STR("allOf")), i, max, item)
		set_add(generator, set, item);
	for (size_t c = 0; c < 2; c++) {
		yyjson_val *ways = json_get(schema, choices[c]);
		if (yyjson_is_arr(ways) && yyjson_arr_size(ways))
			set_add(generator, set, yyjson_arr_get(ways, chance(generator, yyjson_arr_size(ways))));
	}
}

static yyjson_val *set_get(const struct set *set, const char *key)
{
	for (size_t i = 0; i < set->count; i++) {
		yyjson_val *value = json_get(set->list[i], str_of(key));
		if (value)
			return value;
	}
	return NULL;
}

static bool set_number(const struct set *set, const char *key, int64_t *out)
{
	yyjson_val *value = set_get(set, key);
	struct str raw = json_raw(value);
	char text[40] = "";
	if (!value || raw.len >= sizeof text)
		return false;
	memcpy(text, raw.ptr, raw.len);
	*out = strtoll(text, NULL, 10);
	return true;
}

static bool impossible(const struct set *set)
{
	yyjson_val *not = set_get(set, "not");
	return not && yyjson_obj_size(not) == 0;
}

static void value_write(struct generator *generator, struct buf *out, yyjson_val *schema, struct str name, unsigned depth);

/* ---- texts -------------------------------------------------------------------------------------------------------------------------- */

static bool text_fits(const struct set *set, struct str text)
{
	int64_t bound;
	for (size_t i = 0; i < set->count; i++) {
		yyjson_val *pattern = json_get(set->list[i], STR("pattern"));
		if (pattern && !pattern_fits(json_text(pattern), text))
			return false;
	}
	if (set_number(set, "minLength", &bound) && text.len < (size_t)bound)
		return false;
	return !set_number(set, "maxLength", &bound) || text.len <= (size_t)bound;
}

/* One that does not let everything pass; NULL: there is none. */
static yyjson_val *set_pattern(const struct set *set)
{
	for (size_t i = set->count; i-- > 0;) {
		yyjson_val *found = json_get(set->list[i], STR("pattern"));
		const struct compiled *compiled = found ? pattern_compile(json_text(found)) : NULL;
		if (compiled && compiled->good)
			return found;
	}
	return NULL;
}

static const struct pool_value *memo_find(struct generator *generator, struct str name)
{
	char key[POOL_NAME] = "";
	memcpy(key, name.ptr, name.len < POOL_NAME - 1 ? name.len : POOL_NAME - 1);
	for (unsigned i = 0; i < generator->memo_count; i++)
		if (!strcasecmp(generator->memo[i].name, key))
			return &generator->memo[i].value;
	return NULL;
}

/* The same name holds the same within one request, mostly: a brand in the path and in the body. */
static void memo_keep(struct generator *generator, struct str name, struct str text)
{
	if (generator->memo_count == 16 || !name.len || name.len >= POOL_NAME || text.len > POOL_TEXT || memo_find(generator, name))
		return;
	unsigned at = generator->memo_count++;
	memset(&generator->memo[at], 0, sizeof generator->memo[at]);
	memcpy(generator->memo[at].name, name.ptr, name.len);
	generator->memo[at].value.len = (uint8_t)text.len;
	memcpy(generator->memo[at].value.text, text.ptr, text.len);
}

static const struct pool_value *candidate(struct generator *generator, struct str name, bool steady)
{
	struct pool *pool = &generator->pool;
	const struct pool_value *value;
	char refers[POOL_NAME];
	unsigned what = (unsigned)chance(generator, 100);
	snprintf(refers, sizeof refers, "ref%.*s", (int)(name.len < 30 ? name.len : 30), name.ptr);
	if (what < (generator->plain ? 98 : 82) && (value = pool_of(pool, str_of(refers), false)))
		return value;
	steady = (steady || pool_is_steady(pool, name)) && pool_shape_of(pool, name) == SHAPE_WORD;
	if (!(steady && generator->plain) && one_in(generator, generator->fresh_one_in))
		return NULL;
	if (steady && what < (generator->plain ? 99 : 88) && (value = pool_of(pool, name, true)))
		return value;
	if (what < (generator->plain ? 92 : 68) && (value = pool_made_like(pool, name)))
		return value;
	if (what < 60)
		return pool_of(pool, name, what < 30);
	if (what < 82)
		return pool_like(pool, name);
	return what < 87 ? pool_any(pool) : NULL;
}

static void fresh_write(struct generator *generator, struct buf *out, const struct set *set, struct str name)
{
	yyjson_val *format = set_get(set, "format");
	yyjson_val *pattern = set_pattern(set);
	if (str_eq(json_text(format), STR("date-time"))) {
		int64_t span = DAY_MS << chance(generator, 8);
		time_write(out, generator->now_ms - span / 2 + (int64_t)chance(generator, (uint64_t)span));
	} else if (pattern) {
		struct str text = json_text(pattern);
		pattern_write(generator, out, text.ptr, text.ptr + text.len, 0);
	} else if (pool_shape_of(&generator->pool, name) == SHAPE_HEX32) {
		buf_printf(out, "%032x", (unsigned)chance(generator, 200));
	} else if (pool_shape_of(&generator->pool, name) == SHAPE_DIGITS) {
		buf_printf(out, "%u", (unsigned)chance(generator, 200));
	} else if (one_in(generator, 12)) {
		buf_str(out, STR("Z\xC3\xBCrich \xE2\x98\x83"));
	} else {
		buf_printf(out, "%.*s-%u", (int)(name.len < 12 ? name.len : 12), name.ptr,
			   one_in(generator, 3) ? (unsigned)chance(generator, 3) : ++generator->made);
	}
}

/* `steady`: names who is meant; mostly one and the same. */
static void text_write(struct generator *generator, struct buf *out, const struct set *set, struct str name, bool steady)
{
	const struct pool_value *value = one_in(generator, 12) ? NULL : memo_find(generator, name);
	size_t start = out->len;
	yyjson_val *examples = set_get(set, "examples");
	if (value && text_fits(set, pool_text(value))) {
		buf_str(out, pool_text(value));
		return;
	}
	if (yyjson_is_arr(examples) && !pool_of(&generator->pool, name, true) && one_in(generator, 4)) {
		buf_str(out, json_text(yyjson_arr_get(examples, chance(generator, yyjson_arr_size(examples)))));
		return;
	}
	bool form = set_pattern(set) != NULL && one_in(generator, 2);
	for (unsigned i = 0; i < TRIES; i++) {
		out->len = start;
		/* Of ids of one form any that was met may be it. */
		value = form && i < TRIES / 2 ? pool_any(&generator->pool) : candidate(generator, name, steady);
		/* A form that no value is known of may be the name of a member of what has no shape. */
		if (!i && set_pattern(set) && !pool_of(&generator->pool, name, true))
			value = pool_of(&generator->pool, STR("member"), false);
		if (value && value->kind != POOL_JSON)
			buf_str(out, pool_text(value));
		else
			fresh_write(generator, out, set, name);
		struct str text = { out->ptr + start, out->len - start };
		if (text_fits(set, text)) {
			memo_keep(generator, name, text);
			return;
		}
	}
	/* What the table gives as an example, if nothing else fits. */
	yyjson_val *example = yyjson_arr_get_first(examples);
	if (!yyjson_is_str(example))
		example = set_get(set, "default");
	if (yyjson_is_str(example)) {
		out->len = start;
		buf_str(out, json_text(example));
	}
}

/* ---- numbers ------------------------------------------------------------------------------------------------------------------------ */

static void integer_write(struct generator *generator, struct buf *out, const struct set *set, struct str name)
{
	int64_t low = 0, high = INT64_MAX, above;
	const struct pool_value *value;
	bool has_low = set_number(set, "minimum", &low), has_high = set_number(set, "maximum", &high);
	if (set_number(set, "exclusiveMinimum", &above) && (!has_low || above >= low)) {
		low = above + 1;
		has_low = true;
	}
	uint64_t span = (uint64_t)high - (uint64_t)low;
	int64_t number = low;
	switch (chance(generator, 8)) {
	case 0: number = low; break;
	case 1: number = has_high && one_in(generator, 4) ? high : low + (int64_t)(span ? 1 : 0); break;
	case 2: number = low + (int64_t)chance(generator, span < 1000000 ? span + 1 : 1000000); break;
	case 3:
	case 4:
		value = pool_of(&generator->pool, name, false);
		if (value && value->kind == POOL_NUMBER) {
			char text[POOL_TEXT + 1] = "";
			memcpy(text, value->text, value->len);
			number = strtoll(text, NULL, 10);
			if (number >= low && number <= high)
				break;
		}
		number = low + (int64_t)chance(generator, span < 200 ? span + 1 : 200);
		break;
	default: number = low + (int64_t)chance(generator, span < 50 ? span + 1 : 50); break;
	}
	if (!has_low && one_in(generator, 20))
		number = -number;
	buf_i64(out, number);
}

static void number_write(struct generator *generator, struct buf *out, const struct set *set, struct str name)
{
	size_t start = out->len;
	integer_write(generator, out, set, name);
	if (one_in(generator, 2) && out->len - start < 9)
		buf_printf(out, ".%u", (unsigned)chance(generator, 100));
}

/* ---- objects and arrays -------------------------------------------------------------------------------------------------------------- */

static bool is_required(const struct set *set, struct str name)
{
	size_t i, max;
	yyjson_val *item;
	for (size_t s = 0; s < set->count; s++)
		yyjson_arr_foreach(json_get(set->list[s], STR("required")), i, max, item)
			if (str_eq(json_text(item), name))
				return true;
	return false;
}

static void member_write(struct generator *generator, struct buf *out, size_t start, struct str name, yyjson_val *schema,
			 unsigned depth)
{
	if (out->len > start + 1)
		buf_char(out, ',');
	buf_json_text(out, name);
	buf_char(out, ':');
	value_write(generator, out, schema, name, depth + 1);
}

static bool may_hold(struct generator *generator, yyjson_val *schema)
{
	struct set set = { .count = 0 };
	set_add(generator, &set, schema);
	return !impossible(&set) && !set_get(&set, "readOnly");
}

static void object_write(struct generator *generator, struct buf *out, const struct set *set, struct str name, unsigned depth)
{
	size_t start = out->len, i, max, members = 0;
	yyjson_val *key, *value, *others = set_get(set, "additionalProperties");
	const struct pool_value *known;
	int64_t least = 0;
	for (size_t s = 0; s < set->count; s++)
		members += yyjson_obj_size(json_get(set->list[s], STR("properties")));
	if (!members && !others && (known = pool_of(&generator->pool, name, false)) && known->kind == POOL_JSON && known->text[0] == '{') {
		yyjson_doc *doc = json_of(pool_text(known));
		yyjson_obj_foreach(yyjson_doc_get_root(doc), i, max, key, value)
			pool_add(&generator->pool, STR("member"), json_text(key), POOL_STRING, false);
		yyjson_doc_free(doc);
		buf_str(out, pool_text(known));
		return;
	}
	set_number(set, "minProperties", &least);
	uint64_t extra = depth > DEPTH_MAX || (generator->plain && chance(generator, 2)) ? 0 : chance(generator, generator->extra_max / (1 + depth / 2) + 1);
	if (extra < (uint64_t)least)
		extra = (uint64_t)least;
	buf_char(out, '{');
	for (size_t s = 0; s < set->count; s++)
		yyjson_obj_foreach(json_members(set->list[s], STR("properties")), i, max, key, value) {
			bool needed = is_required(set, json_text(key));
			if (needed && generator->spoil && one_in(generator, 12))
				continue;
			if (!needed && (!extra || chance(generator, members) >= extra || !may_hold(generator, value)))
				continue;
			member_write(generator, out, start, json_text(key), value, depth);
		}
	for (uint64_t n = chance(generator, 3); n-- > 0 && others && yyjson_is_obj(others) && depth < DEPTH_MAX;) {
		char word[16];
		snprintf(word, sizeof word, "m%u", (unsigned)n);
		member_write(generator, out, start, str_of(word), others, depth);
	}
	if (generator->spoil && one_in(generator, 12))
		member_write(generator, out, start, STR("surplus"), NULL, depth);
	buf_char(out, '}');
}

static void array_write(struct generator *generator, struct buf *out, const struct set *set, struct str name, unsigned depth)
{
	int64_t least = 0, most = 3;
	yyjson_val *items = set_get(set, "items"), *first = set_get(set, "prefixItems");
	set_number(set, "minItems", &least);
	set_number(set, "maxItems", &most);
	if (most > least + 3)
		most = least + 3;
	int64_t count = depth > DEPTH_MAX ? least : least + (int64_t)chance(generator, (uint64_t)(most - least) + 1);
	if (!least && count > 1 && one_in(generator, 2))
		count = 1;
	if (generator->plain && !count && most && depth <= DEPTH_MAX && chance(generator, 4))
		count = 1;             /* a rule without actions does little */
	if (yyjson_is_arr(first) && !set_get(set, "minItems") && count < (int64_t)yyjson_arr_size(first))
		count = (int64_t)yyjson_arr_size(first);
	buf_char(out, '[');
	for (int64_t i = 0; i < count; i++) {
		yyjson_val *own = yyjson_is_arr(first) ? yyjson_arr_get(first, (size_t)i) : NULL;
		unsigned memos = generator->memo_count;
		if (i)
			buf_char(out, ',');
		value_write(generator, out, own ? own : items, name, depth + 1);
		if (i + 1 < count && chance(generator, 3))
			generator->memo_count = memos;         /* the next row may be about something else */
	}
	buf_char(out, ']');
}

/* ---- binaries --------------------------------------------------------------------------------------------------------------------- */

/* 32 hex digits, as HTTP has ids. */
static void id_text(struct generator *generator, struct buf *out, struct str name)
{
	struct set set = { .count = 0 };
	if (!id_schema)
		id_schema = short_schema("{'type':'string','pattern':'^[0-9a-f]{32}$'}");
	set_add(generator, &set, yyjson_doc_get_root(id_schema));
	text_write(generator, out, &set, name, false);
}

/* Some of `bytes`, little-endian, in hex digits: mostly what was met, a small number, nothing, or one bit. */
static void packed_number(struct generator *generator, struct buf *out, struct str name, unsigned bytes)
{
	const struct pool_value *value = pool_of(&generator->pool, name, false);
	uint64_t number = 0;
	unsigned way = (unsigned)chance(generator, 8);
	if (way < 2 && value && value->kind == POOL_NUMBER)
		number = strtoull(value->text, NULL, 10);
	else if (way < 4)
		number = chance(generator, bytes > 4 ? 60 : 3);
	else if (bytes > 4 || way == 4)
		number = bytes > 4 ? 1 + chance(generator, 20) : UINT64_C(1) << chance(generator, 6);
	for (unsigned i = 0; i < bytes; i++)
		buf_printf(out, "%02x", (unsigned)(i < 8 ? number >> 8 * i & 0xff : 0));
}

static void rows_write(struct generator *generator, struct buf *out, yyjson_val *fields)
{
	size_t i, max;
	yyjson_val *field;
	for (uint64_t rows = 1 + chance(generator, 4); rows-- > 0;) {
		unsigned memos = generator->memo_count;
		yyjson_arr_foreach(fields, i, max, field) {
			struct str name = json_text(yyjson_arr_get(field, 0));
			struct buf id = { 0 };
			unsigned bytes = (unsigned)strtoul(json_raw(yyjson_arr_get(field, 1)).ptr, NULL, 10);
			if (bytes == 16 && !one_in(generator, 8))
				id_text(generator, &id, name);
			if (id.len == 32)
				for (unsigned b = 16; b-- > 0;)
					buf_bytes(out, id.ptr + 2 * b, 2);
			else
				packed_number(generator, out, name, bytes);
			buf_free(&id);
		}
		if (chance(generator, 4))
			generator->memo_count = memos;
	}
	if (generator->spoil && one_in(generator, 10))
		buf_lit(out, "00");
}

/* As marked text; see methods.h. */
static void binary_json(struct generator *generator, struct buf *out, const struct set *set, struct str name)
{
	yyjson_val *fields = set_get(set, "x-rows");
	buf_char(out, '"');
	buf_lit(out, MARK_BIN);
	if (fields) {
		rows_write(generator, out, fields);
	} else {
		struct buf id = { 0 };
		id_text(generator, &id, name);
		for (size_t b = id.len / 2; b-- > 0;)
			buf_bytes(out, id.ptr + 2 * b, 2);
		buf_free(&id);
	}
	buf_char(out, '"');
}

/* ---- values -------------------------------------------------------------------------------------------------------------------------- */

static void spoiled_write(struct generator *generator, struct buf *out)
{
	static const char *const list[] = { "null", "\"\"", "-1", "1e400", "9223372036854775808", "[]", "{}", "true", "\"\\u0001\"",
					    "0.5", "[[[[[[]]]]]]", "\"2026-02-30T00:00:00Z\"", "\"\\ud83d\\ude00\"", "-0", "{\"a\":{}}" };
	size_t which = chance(generator, sizeof list / sizeof *list + 1);
	if (which < sizeof list / sizeof *list) {
		buf_str(out, str_of(list[which]));
		return;
	}
	buf_char(out, '"');
	for (uint64_t i = 0, count = 190 + chance(generator, 400); i < count; i++)
		buf_char(out, 'l');
	buf_char(out, '"');
}

static void plain_write(struct generator *generator, struct buf *out, struct str name)
{
	static const struct set nothing;
	const struct pool_value *value = pool_of(&generator->pool, name, false);
	if (value && chance(generator, 4)) {
		if (value->kind == POOL_STRING)
			buf_json_text(out, pool_text(value));
		else
			buf_str(out, pool_text(value));
	} else if (one_in(generator, 2)) {
		integer_write(generator, out, &nothing, name);
	} else {
		buf_str(out, one_in(generator, 2) ? STR("true") : STR("\"text\""));
	}
}

static void text_json(struct generator *generator, struct buf *out, const struct set *set, struct str name)
{
	struct buf text = { 0 };
	text_write(generator, &text, set, name, false);
	buf_json_text(out, buf_view(&text));
	buf_free(&text);
}

static void typed_write(struct generator *generator, struct buf *out, const struct set *set, struct str type, struct str name,
			unsigned depth)
{
	if (str_eq(type, STR("string")) && set_get(set, "contentEncoding"))
		binary_json(generator, out, set, name);
	else if (str_eq(type, STR("string")))
		text_json(generator, out, set, name);
	else if (str_eq(type, STR("integer")))
		integer_write(generator, out, set, name);
	else if (str_eq(type, STR("number")))
		number_write(generator, out, set, name);
	else if (str_eq(type, STR("boolean")))
		buf_str(out, one_in(generator, 2) ? STR("true") : STR("false"));
	else if (str_eq(type, STR("array")))
		array_write(generator, out, set, name, depth);
	else if (str_eq(type, STR("object")))
		object_write(generator, out, set, name, depth);
	else
		buf_lit(out, "null");
}

static void value_write(struct generator *generator, struct buf *out, yyjson_val *schema, struct str name, unsigned depth)
{
	struct set set = { .count = 0 };
	if (generator->spoil && depth && one_in(generator, 10)) {
		spoiled_write(generator, out);
		return;
	}
	if (depth > 3 * DEPTH_MAX) {
		buf_lit(out, "null");
		return;
	}
	set_add(generator, &set, schema);
	for (unsigned i = 0; depth > DEPTH_MAX && i < 8 && (set_get(&set, "properties") || set_get(&set, "items")); i++) {
		set.count = 0;         /* deep enough: a way that ends here, if there is one */
		set_add(generator, &set, schema);
	}
	yyjson_val *constant = set_get(&set, "const"), *list = set_get(&set, "enum"), *type = set_get(&set, "type");
	yyjson_val *fallback = set_get(&set, "default"), *examples = set_get(&set, "examples");
	if (!name.len)
		name = json_text(set_get(&set, "title"));
	if (constant) {
		json_write(out, constant);
	} else if (yyjson_is_arr(list) && yyjson_arr_size(list)) {
		json_write(out, yyjson_arr_get(list, chance(generator, yyjson_arr_size(list))));
	} else if (fallback && one_in(generator, 4)) {
		json_write(out, fallback);
	} else if (depth && yyjson_is_arr(examples) && !pool_of(&generator->pool, name, true) && one_in(generator, 4)) {
		json_write(out, yyjson_arr_get(examples, chance(generator, yyjson_arr_size(examples))));
	} else {
		if (yyjson_is_arr(type))
			type = one_in(generator, 4) ? yyjson_arr_get_last(type) : yyjson_arr_get_first(type);
		struct str word = json_text(type);
		if (!word.len)
			word = set_get(&set, "properties") ? STR("object") : set_get(&set, "items") ? STR("array") : word;
		if (word.len)
			typed_write(generator, out, &set, word, name, depth);
		else
			plain_write(generator, out, name);
	}
}

/* ---- requests ----------------------------------------------------------------------------------------------------------------------- */

/* A value of a path, a query or a header, as text. */
static char *parameter_text(struct generator *generator, const struct reference_parameter *parameter, struct str name)
{
	yyjson_doc *doc = short_schema(parameter->row.schema);
	struct set set = { .count = 0 };
	struct buf text = { 0 };
	set_add(generator, &set, yyjson_doc_get_root(doc));
	yyjson_val *type = set_get(&set, "type");
	bool steady = strcmp(parameter->in, "query") != 0;
	if (generator->spoil && one_in(generator, 10)) {
		static const char *const list[] = { "", "-1", "%00", "x", "99999999999999999999", "\xC3\xA9", "a b&c=d", "true", "0" };
		buf_str(&text, str_of(list[chance(generator, sizeof list / sizeof *list)]));
	} else if (str_eq(json_text(type), STR("string")) && !set_get(&set, "enum") && !set_get(&set, "const")) {
		text_write(generator, &text, &set, name, steady);
	} else {
		struct buf json = { 0 };
		value_write(generator, &json, yyjson_doc_get_root(doc), name, 0);
		yyjson_doc *value = json_of(buf_view(&json));
		struct str inner = json_text(yyjson_doc_get_root(value));
		buf_str(&text, yyjson_is_str(yyjson_doc_get_root(value)) ? inner : buf_view(&json));
		yyjson_doc_free(value);
		buf_free(&json);
	}
	char *out = text_copy(buf_view(&text));
	buf_free(&text);
	yyjson_doc_free(doc);
	return out;
}

void link_name(char out[POOL_NAME], struct str operation)
{
	snprintf(out, POOL_NAME, "link%.*s", (int)(operation.len < 34 ? operation.len : 34), operation.ptr);
}

static char *part_text(struct generator *generator, const struct reference *reference, const struct reference_parameter *parameter)
{
	char link[POOL_NAME];
	link_name(link, str_of(reference->name));
	const struct pool_value *value = pool_of(&generator->pool, str_of(link), false);
	if (!value) {
		link_name(link, str_of(reference->tag));
		value = pool_of(&generator->pool, str_of(link), false);
	}
	if (value && !strcmp(parameter->row.name, "id") && chance(generator, 8))
		return text_copy(pool_text(value));
	return parameter_text(generator, parameter, str_of(parameter->row.name));
}

/* Path and required parameters as one answer said them together: a customer and what that customer has. */
static void scene_take(struct generator *generator, const struct reference *reference)
{
	struct str names[REFERENCE_PARAMETERS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < reference->parameter_count; i++)
		if (reference->parameters[i].row.required)
			names[count++] = str_of(reference->parameters[i].row.name);
	const struct pool_scene *scene = one_in(generator, 4) ? NULL : pool_scene_pick(&generator->pool, names, count);
	for (size_t i = 0; scene && i < count; i++) {
		const struct pool_value *value = pool_scene_value(scene, names[i]);
		if (value)
			memo_keep(generator, names[i], pool_text(value));
	}
}

bool generator_suits(struct generator *generator, size_t index)
{
	size_t count;
	const struct reference *reference = &commands(&count)[index];
	char link[POOL_NAME];
	link_name(link, str_of(reference->tag));
	const struct pool_value *own = strchr(reference->route->path, '{') ? pool_of(&generator->pool, str_of(link), true) : NULL;
	if (own && pool_is_item(own))
		return true;
	for (unsigned s = 0; s < SCENES_OF_ITEMS; s++) {
		unsigned parts = 0, said = 0;
		bool item = false;
		for (size_t i = 0; i < reference->parameter_count; i++) {
			if (strcmp(reference->parameters[i].in, "path") != 0)
				continue;
			const struct pool_value *value = pool_scene_value(&generator->pool.scenes[s], str_of(reference->parameters[i].row.name));
			parts++;
			said += value != NULL;
			item |= value && pool_is_item(value);
		}
		if (item && parts > 1 && said == parts)
			return true;
	}
	return false;
}

static void parameters_make(struct generator *generator, struct request *request)
{
	const struct reference *reference = request->reference;
	for (size_t i = 0; i < reference->parameter_count; i++) {
		const struct reference_parameter *parameter = &reference->parameters[i];
		const char *name = parameter->row.name;
		bool header = !strcmp(parameter->in, "header"), path = !strcmp(parameter->in, "path");
		bool dry = !strcmp(name, "dry_run");
		unsigned seldom = 6;
		if (path && request->part_count < PATH_PARTS_MAX) {
			char *text = part_text(generator, reference, parameter);
			if (!*text) {
				mem_free(text);
				text = text_copy(STR("-"));
			}
			request->parts[request->part_count++] = (struct pair){ name, text };
			continue;
		}
		if (parameter->row.required ? generator->spoil && one_in(generator, 8) : !one_in(generator, seldom))
			continue;
		struct pair pair = { name, parameter_text(generator, parameter, header ? header_name(name) : str_of(name)) };
		if (dry)
			request->dry_run = !strcmp(pair.text, "true");
		if (header && request->header_count < REQUEST_PAIRS)
			request->headers[request->header_count++] = pair;
		else if (!header && request->query_count < REQUEST_PAIRS)
			request->query[request->query_count++] = pair;
		else
			mem_free(pair.text);
	}
	if (generator->spoil && one_in(generator, 10))
		request->query[request->query_count++] = (struct pair){ "surplus", text_copy(STR("1")) };
}

static const char *type_pick(struct generator *generator, const char *types)
{
	static char out[80];
	size_t count = 1, at = 0;
	for (const char *p = types; *p; p++)
		count += *p == ' ';
	size_t which = chance(generator, 2 * count);
	for (const char *p = types; which < count && at < which; p++) {
		at += *p == ' ';
		types = p + 1;
	}
	snprintf(out, sizeof out, "%.*s", (int)strcspn(types, " "), types);
	return out;
}

/* The example's header; its rows with values that were met. */
static void csv_write(struct generator *generator, struct buf *out, const char *example)
{
	static const struct set nothing;
	size_t head = strcspn(example, "\n");
	buf_bytes(out, example, head);
	buf_char(out, '\n');
	for (uint64_t rows = 1 + chance(generator, 4); rows-- > 0;) {
		const char *name = example, *cell = example + head + 1;
		generator->memo_count = chance(generator, 2) ? generator->memo_count : 0;
		for (size_t column = 0; name < example + head; column++) {
			size_t name_len = strcspn(name, ",\n"), cell_len = strcspn(cell, ",\n");
			if (column)
				buf_char(out, ',');
			if (chance(generator, 3))
				buf_bytes(out, cell, cell_len);
			else if (!(generator->spoil && one_in(generator, 6)))
				text_write(generator, out, &nothing, (struct str){ name, name_len }, true);
			name += name_len + (name[name_len] == ',');
			cell += cell_len + (cell[cell_len] == ',');
		}
		buf_char(out, '\n');
	}
}

static void lines_write(struct buf *out, struct str json)
{
	size_t i, max;
	yyjson_val *item;
	yyjson_doc *doc = json_of(json);
	yyjson_val *root = yyjson_doc_get_root(doc);
	if (!yyjson_is_arr(root))
		buf_str(out, json);
	yyjson_arr_foreach(root, i, max, item) {
		json_write(out, item);
		buf_char(out, '\n');
	}
	yyjson_doc_free(doc);
}

static void json_body(struct generator *generator, struct request *request)
{
	const struct reference *reference = request->reference;
	yyjson_doc *doc = short_schema(reference->body);
	if (reference->body_example && one_in(generator, 12))
		quotes_write(&request->body, reference->body_example);
	else
		value_write(generator, &request->body, yyjson_doc_get_root(doc), STR(""), 0);
	yyjson_doc_free(doc);
}

/* Params of a method, as JSON with marks. */
static void method_make(struct generator *generator, struct request *request)
{
	size_t i, max;
	yyjson_val *item;
	json_body(generator, request);
	request->json = request->single = true;
	yyjson_doc *doc = json_of(buf_view(&request->body));
	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, item)
		request->dry_run |= yyjson_is_true(json_get(item, STR("dry_run")));
	yyjson_doc_free(doc);
}

static void body_make(struct generator *generator, struct request *request)
{
	const struct reference *reference = request->reference;
	const char *type = type_pick(generator, reference->body_types);
	struct buf text = { 0 };
	bool csv = strstr(reference->body_types, "csv") != NULL;
	char full[120];
	snprintf(full, sizeof full, "%s", type);
	if (csv) {
		csv_write(generator, &text, reference->body_example);
		if (strstr(type, "multipart")) {
			snprintf(full, sizeof full, "%s; boundary=b0undary", type);
			buf_printf(&request->body, "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.csv\"\r\n\r\n%.*s\r\n"
				   "--b0undary--\r\n", (int)text.len, text.ptr);
		} else {
			buf_str(&request->body, buf_view(&text));
		}
	} else {
		json_body(generator, request);
		request->json = !strstr(type, "nd") && !strstr(type, "jsonl");
		if (!request->json) {
			buf_str(&text, buf_view(&request->body));
			request->body.len = 0;
			lines_write(&request->body, buf_view(&text));
		}
		request->single = request->json && request->body.len && request->body.ptr[0] == '{';
	}
	buf_free(&text);
	if (generator->spoil && one_in(generator, 12) && request->body.len)
		request->body.len = chance(generator, request->body.len);
	if (generator->spoil && one_in(generator, 20))
		snprintf(full, sizeof full, "application/x-unknown");
	request->type = text_copy(str_of(full));
}

void request_make(struct generator *generator, size_t index, bool plain, struct request *request)
{
	size_t count;
	const struct reference *reference = &commands(&count)[index];
	*request = (struct request){ .reference = reference, .index = index, .method = command_is_method(index) };
	generator->memo_count = 0;
	generator->plain = plain;
	generator->spoil = !plain && one_in(generator, generator->spoil_one_in);
	request->spoiled = generator->spoil;
	if (request->method) {
		method_make(generator, request);
		return;
	}
	request->head = !plain && !strcmp(reference->route->method, "GET") && one_in(generator, 20);
	scene_take(generator, reference);
	parameters_make(generator, request);
	if (plain)
		for (size_t i = 0; i < request->query_count; i++)
			if (!strcmp(request->query[i].name, "dry_run")) {
				mem_free(request->query[i].text);
				request->query[i] = request->query[--request->query_count];
				request->dry_run = false;
			}
	if (reference->body)
		body_make(generator, request);
}

static void pairs_copy(struct pair *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i].text = text_copy(str_of(list[i].text));
}

void request_copy(struct request *to, const struct request *from)
{
	*to = *from;
	pairs_copy(to->parts, to->part_count);
	pairs_copy(to->query, to->query_count);
	pairs_copy(to->headers, to->header_count);
	to->body = (struct buf){ 0 };
	buf_str(&to->body, buf_view(&from->body));
	if (from->type)
		to->type = text_copy(str_of(from->type));
}

static void pairs_free(struct pair *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		mem_free(list[i].text);
}

void request_free(struct request *request)
{
	pairs_free(request->parts, request->part_count);
	pairs_free(request->query, request->query_count);
	pairs_free(request->headers, request->header_count);
	buf_free(&request->body);
	mem_free((char *)(uintptr_t)request->type);
	*request = (struct request){ 0 };
}
