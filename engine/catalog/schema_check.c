// SPDX-License-Identifier: Apache-2.0
/* schema_check.c - does a value fit a compiled schema?
 *
 * With faults wanted all of them are collected; inside anyOf, oneOf and not the first one decides.  Every visit costs a
 * step; who runs out of steps or of $ref levels gets `false`, whatever a surrounding `not` makes of it.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/problem.h"
#include "engine/catalog/schema.h"
#include "engine/catalog/schema_node.h"

enum { STATES_PER_STEP = 16, BYTES_PER_STEP = 16 };

struct checker {
	struct faults *faults;         /* NULL: only the answer counts */
	struct buf pointer;
	size_t steps;                  /* left */
	int refs;                      /* levels of $ref we are in */
	const char *exhausted;         /* NULL; or what ran out */
};

static bool check(struct checker *checker, const struct schema_node *node, yyjson_val *value);

static bool spend(struct checker *checker, size_t steps)
{
	if (steps > checker->steps) {
		checker->steps = 0;
		checker->exhausted = "checking this value against the schema takes too many steps";
		return false;
	}
	checker->steps -= steps;
	return true;
}

/* Notes a fault; the macro keeps the formatting away where nobody listens.  Who is exhausted knows nothing more. */
#define FAULT(checker, ...) \
	((checker)->faults && !(checker)->exhausted ?                                                                  \
		 faults_add((checker)->faults, pointer_text(&(checker)->pointer), __VA_ARGS__) : (void)0)

static unsigned type_of(yyjson_val *value)
{
	struct decimal number, rest;
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_NULL: return 1u << TYPE_NULL;
	case YYJSON_TYPE_BOOL: return 1u << TYPE_BOOLEAN;
	case YYJSON_TYPE_OBJ: return 1u << TYPE_OBJECT;
	case YYJSON_TYPE_ARR: return 1u << TYPE_ARRAY;
	case YYJSON_TYPE_STR: return 1u << TYPE_STRING;
	default: break;
	}
	if (decimal_parse(json_raw(value), &number) && decimal_mod(number, decimal_of(1), &rest) &&
	    decimal_is_zero(rest))
		return 1u << TYPE_NUMBER | 1u << TYPE_INTEGER;
	return 1u << TYPE_NUMBER;
}

static bool check_type(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	struct buf names = { 0 };
	if (!node->types || (node->types & type_of(value)))
		return true;
	for (unsigned i = 0; checker->faults && i < SCHEMA_TYPES; i++)
		if (node->types & 1u << i)
			buf_printf(&names, "%s%s", names.len ? " or " : "", schema_type_names[i]);
	FAULT(checker, "expected %.*s, got %s", (int)names.len, names.ptr ? names.ptr : "", json_type_name(value));
	buf_free(&names);
	return false;
}

static bool check_values(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	struct buf text = { 0 }, list = { 0 };
	bool good = true;
	if (!node->value_count && !node->has_constant)
		return true;
	schema_canonical(&text, value);
	good = spend(checker, text.len / BYTES_PER_STEP + node->value_count);
	if (good && node->has_constant && !str_eq(node->constant, buf_view(&text))) {
		FAULT(checker, "expected %.*s", text_cut(node->constant, 200), node->constant.ptr);
		good = false;
	}
	bool found = !node->value_count;
	for (size_t i = 0; good && !found && i < node->value_count; i++)
		found = str_eq(node->values[i], buf_view(&text));
	if (good && !found) {
		for (size_t i = 0; checker->faults && i < node->value_count && list.len < 300; i++) {
			if (i)
				buf_lit(&list, ", ");
			buf_str(&list, node->values[i]);
		}
		FAULT(checker, "expected one of %.*s", text_cut(buf_view(&list), 300), list.ptr ? list.ptr : "");
		good = false;
	}
	buf_free(&text);
	buf_free(&list);
	return good;
}

static bool check_number(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	static const char *const words[BOUNDS] = { "at least", "at most", "above", "below", "a multiple of" };
	struct decimal number, rest;
	bool good = true;
	if (!node->bounds_set)
		return true;
	if (!decimal_parse(json_raw(value), &number)) {
		FAULT(checker, "the number is beyond what can be compared exactly");
		return false;
	}
	for (unsigned i = 0; i < BOUNDS; i++) {
		bool fits = true;
		if (!(node->bounds_set & 1u << i))
			continue;
		int order = decimal_cmp(number, node->bounds[i]);
		switch (i) {
		case BOUND_MIN: fits = order >= 0; break;
		case BOUND_MAX: fits = order <= 0; break;
		case BOUND_ABOVE: fits = order > 0; break;
		case BOUND_BELOW: fits = order < 0; break;
		default: fits = decimal_mod(number, node->bounds[i], &rest) && decimal_is_zero(rest);
		}
		if (fits)
			continue;
		struct buf bound = { 0 };
		decimal_write(&bound, node->bounds[i]);
		FAULT(checker, "expected %s %.*s", words[i], (int)bound.len, bound.ptr);
		buf_free(&bound);
		good = false;
	}
	return good;
}

static bool check_limit(struct checker *checker, const struct schema_node *node, unsigned index, size_t size,
			const char *what)
{
	int64_t limit = node->limits[index], have = (int64_t)size;
	bool least = index == LIMIT_MIN_LENGTH || index == LIMIT_MIN_ITEMS || index == LIMIT_MIN_PROPERTIES;
	if (limit < 0 || (least ? have >= limit : have <= limit))
		return true;
	FAULT(checker, "expected at %s %lld %s, got %zu", least ? "least" : "most", (long long)limit, what, size);
	return false;
}

static bool check_text(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	struct str text = json_text(value);
	size_t length = 0;
	bool good;
	if (!spend(checker, text.len / BYTES_PER_STEP))
		return false;
	for (size_t i = 0; i < text.len; i++)
		length += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
	good = check_limit(checker, node, LIMIT_MIN_LENGTH, length, "characters");
	good &= check_limit(checker, node, LIMIT_MAX_LENGTH, length, "characters");
	if (!node->pattern)
		return good;
	if (!spend(checker, text.len * pattern_cost(node->pattern) / STATES_PER_STEP))
		return false;
	if (pattern_match(node->pattern, text))
		return good;
	FAULT(checker, "does not match the pattern of the schema");
	return false;
}

static int text_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool check_unique(struct checker *checker, yyjson_val *array)
{
	size_t i, max, count = yyjson_arr_size(array);
	yyjson_val *item;
	struct buf text = { 0 };
	bool good = true;
	struct str *list = mem_alloc(count * sizeof *list);
	size_t *ends = mem_alloc(count * sizeof *ends);
	yyjson_arr_foreach(array, i, max, item) {
		schema_canonical(&text, item);
		ends[i] = text.len;
	}
	for (i = 0; i < count; i++) {
		size_t start = i ? ends[i - 1] : 0;
		list[i] = (struct str){ text.ptr + start, ends[i] - start };
	}
	qsort(list, count, sizeof *list, text_order);
	for (i = 1; i < count && good; i++)
		good = !str_eq(list[i - 1], list[i]);
	if (!good)
		FAULT(checker, "the items must all be different");
	good &= spend(checker, count + text.len / BYTES_PER_STEP);
	buf_free(&text);
	mem_free(list);
	mem_free(ends);
	return good;
}

static bool check_array(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	size_t i, max, count = yyjson_arr_size(value);
	yyjson_val *item;
	bool good = check_limit(checker, node, LIMIT_MIN_ITEMS, count, "items");
	good &= check_limit(checker, node, LIMIT_MAX_ITEMS, count, "items");
	if (node->unique && count > 1)
		good &= check_unique(checker, value);
	if (!node->items && !node->prefix_count)
		return good;
	yyjson_arr_foreach(value, i, max, item) {
		const struct schema_node *part = i < node->prefix_count ? node->prefix[i] : node->items;
		if (!part || (!good && !checker->faults) || checker->exhausted)
			break;
		size_t before = pointer_push_index(&checker->pointer, i);
		good &= check(checker, part, item);
		checker->pointer.len = before;
	}
	return good;
}

static int property_order(const void *key, const void *property)
{
	return str_cmp(*(const struct str *)key, ((const struct schema_property *)property)->name);
}

static bool check_object(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	size_t i, max, count = yyjson_obj_size(value), required = 0;
	yyjson_val *key, *item;
	bool good = check_limit(checker, node, LIMIT_MIN_PROPERTIES, count, "members");
	good &= check_limit(checker, node, LIMIT_MAX_PROPERTIES, count, "members");
	if (!node->property_count && !node->additional)
		return good;
	if (!spend(checker, count + node->required_count))
		return false;
	yyjson_obj_foreach(value, i, max, key, item) {
		struct str name = json_text(key);
		const struct schema_property *property = NULL;
		const struct schema_node *part = node->additional;
		if (node->property_count)
			property = bsearch(&name, node->properties, node->property_count, sizeof *property,
					   property_order);
		if (property) {
			required += property->required;
			part = property->node ? property->node : part;
		}
		if (!part)
			continue;
		if ((!good && !checker->faults) || checker->exhausted)
			return false;
		size_t before = pointer_push(&checker->pointer, name);
		if (part == node->additional && part->never) {
			FAULT(checker, "the schema does not have this member");
			good = false;
		} else {
			good &= check(checker, part, item);
		}
		checker->pointer.len = before;
	}
	if (required == node->required_count)
		return good;
	for (i = 0; checker->faults && i < node->property_count; i++) {
		const struct schema_property *property = &node->properties[i];
		if (!property->required || !spend(checker, 1 + count / 8) || json_get(value, property->name))
			continue;
		size_t before = pointer_push(&checker->pointer, property->name);
		FAULT(checker, "is required");
		checker->pointer.len = before;
	}
	return false;
}

/* How many of the schemas the value fits, not counting beyond `enough`. */
static size_t count_fits(struct checker *checker, struct schema_node *const *list, size_t count, yyjson_val *value,
			 size_t enough)
{
	struct faults *faults = checker->faults;
	size_t fits = 0;
	checker->faults = NULL;
	for (size_t i = 0; i < count && fits < enough && !checker->exhausted; i++)
		fits += check(checker, list[i], value);
	checker->faults = faults;
	return fits;
}

static bool check_combined(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	bool good = true;
	for (size_t i = 0; i < node->all_count && (good || checker->faults); i++)
		good &= check(checker, node->all[i], value);
	if (node->any_count && !count_fits(checker, node->any, node->any_count, value, 1)) {
		FAULT(checker, "fits none of the %zu schemas of anyOf", node->any_count);
		good = false;
	}
	if (node->one_count) {
		size_t fits = count_fits(checker, node->one, node->one_count, value, 2);
		if (fits != 1) {
			FAULT(checker, "fits %s of the %zu schemas of oneOf; expected exactly one",
			      fits ? "more than one" : "none", node->one_count);
			good = false;
		}
	}
	if (node->not && count_fits(checker, &node->not, 1, value, 1)) {
		FAULT(checker, "fits the schema of not");
		good = false;
	}
	if (!node->ref)
		return good;
	if (checker->refs == SCHEMA_DEPTH_MAX) {
		checker->exhausted = "$ref is followed too deep here";
		return false;
	}
	checker->refs++;
	good &= check(checker, node->ref, value);
	checker->refs--;
	return good;
}

static bool check(struct checker *checker, const struct schema_node *node, yyjson_val *value)
{
	bool good;
	if (checker->exhausted || !spend(checker, 1))
		return false;
	if (node->never) {
		FAULT(checker, "the schema allows no value here");
		return false;
	}
	good = check_type(checker, node, value);
	if (!good)
		return false;
	good = check_values(checker, node, value);
	if (yyjson_is_str(value))
		good &= check_text(checker, node, value);
	else if (yyjson_is_arr(value))
		good &= check_array(checker, node, value);
	else if (yyjson_is_obj(value))
		good &= check_object(checker, node, value);
	else if (json_is_number(value))
		good &= check_number(checker, node, value);
	if (good || checker->faults)
		good &= check_combined(checker, node, value);
	return good;
}

bool schema_check(const struct schema *schema, yyjson_val *value, const char *pointer, struct faults *faults)
{
	struct checker checker = { .faults = faults, .steps = SCHEMA_STEPS_MAX };
	ASSERT(value);
	buf_str(&checker.pointer, str_of(pointer));
	bool good = check(&checker, schema->root, value);
	if (checker.exhausted) {
		good = false;
		if (faults)
			faults_add(faults, pointer, "%s", checker.exhausted);
	}
	buf_free(&checker.pointer);
	return good;
}
