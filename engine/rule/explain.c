// SPDX-License-Identifier: Apache-2.0
/* explain.c - one recursive walk over the groups; a leaf is written out, compiled and evaluated by itself.
 *
 * Invariant: the result is that of rule_eval on the whole, error for error; only the bound on steps is each leaf's own.
 */
#include "engine/rule/explain.h"

#include <stdio.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/rule/value.h"

enum { VALUES_MAX = 64, VALUE_BYTES_MAX = 1000 };

struct explainer {
	enum explain_form form;
	explain_compile_fn *compile;
	const struct rule_input *input;
	struct rule_arena *arena;
	struct buf *out;
	/* what the running leaf read */
	size_t values;                 /* its members so far, */
	struct buf seen;               /* and their names, as JSON texts one behind another */
};

enum group { GROUP_NONE, GROUP_ALL, GROUP_ANY, GROUP_NOT };

static void explain_value(struct explainer *explainer, yyjson_val *condition, bool logic, struct explanation *answer);

/* ---- what a leaf reads ------------------------------------------------------------------------------------------------- */

static yyjson_val *data_at(yyjson_val *value, struct str path)
{
	while (value && path.len) {
		const char *dot = memchr(path.ptr, '.', path.len);
		struct str part = { path.ptr, dot ? (size_t)(dot - path.ptr) : path.len };
		path = dot ? (struct str){ dot + 1, path.len - part.len - 1 } : (struct str){ "", 0 };
		value = json_get(value, part);
	}
	return value;
}

static bool seen_before(struct explainer *explainer, struct str path)
{
	struct buf name = { 0 };
	buf_json_text(&name, path);
	bool seen = explainer->seen.len && memmem(explainer->seen.ptr, explainer->seen.len, name.ptr, name.len) != NULL;
	if (!seen)
		buf_str(&explainer->seen, buf_view(&name));
	buf_free(&name);
	return seen;
}

static void value_note(struct explainer *explainer, struct str path, const struct rule_value *value, yyjson_val *data)
{
	struct buf *out = explainer->out;
	if (explainer->values == VALUES_MAX || seen_before(explainer, path))
		return;
	if (explainer->values++)
		buf_char(out, ',');
	buf_json_text(out, path);
	buf_char(out, ':');
	size_t start = out->len;
	if (value)
		rule_value_json(out, value);
	else if (data)
		json_write(out, data);
	else
		buf_lit(out, "null");
	if (out->len - start > VALUE_BYTES_MAX) {
		size_t bytes = out->len - start;
		out->len = start;
		buf_printf(out, "\"(%zu bytes)\"", bytes);
	}
}

static bool lookup(void *context, struct str path, struct rule_value *out)
{
	struct explainer *explainer = context;
	const struct rule_input *input = explainer->input;
	bool known = input->lookup && input->lookup(input->context, path, out);
	value_note(explainer, path, known ? out : NULL, known ? NULL : data_at(input->data, path));
	return known;
}

/* ---- leaves -------------------------------------------------------------------------------------------------------------- */

static void answer_write(struct buf *out, const struct explanation *answer)
{
	if (answer->good) {
		buf_str(out, answer->result ? STR("\"result\":true") : STR("\"result\":false"));
	} else {
		buf_lit(out, "\"result\":null,\"error\":");
		buf_json_text(out, str_of(answer->error));
	}
}

/* `text` is the leaf as JSON. */
static void leaf(struct explainer *explainer, struct str text, bool logic, struct explanation *answer)
{
	struct faults faults = { 0 };
	struct json_error error;
	struct rule_value value = { .type = RULE_BOOL, .boolean = true };
	struct buf *out = explainer->out;
	yyjson_doc *doc = json_read(text, &error);
	yyjson_val *root = doc ? yyjson_doc_get_root(doc) : NULL;
	struct rule *rule = !doc ? NULL : logic ? rule_compile(root, "", &faults) : explainer->compile(root, "", &faults);
	*answer = (struct explanation){ .good = true };
	buf_lit(out, "{\"condition\":");
	buf_str(out, text);
	buf_lit(out, ",\"values\":{");
	explainer->values = 0;
	explainer->seen.len = 0;
	if (rule) {
		struct rule_input input = { .data = explainer->input->data, .lookup = lookup, .context = explainer };
		rule_arena_reset(explainer->arena);
		answer->good = rule_eval(rule, &input, explainer->arena, &value, answer->error);
		answer->result = answer->good && rule_truthy(&value);
	} else if (!doc || faults.count) {
		answer->good = false;
		snprintf(answer->error, sizeof answer->error, "the condition is not understood by this version");
	} else {
		answer->result = true;     /* null */
	}
	buf_lit(out, "},");
	answer_write(out, answer);
	buf_char(out, '}');
	rule_free(rule);
	faults_free(&faults);
	yyjson_doc_free(doc);
}

static void leaf_value(struct explainer *explainer, yyjson_val *condition, bool logic, struct explanation *answer)
{
	struct buf text = { 0 };
	if (condition)
		json_write(&text, condition);
	else
		buf_lit(&text, "null");
	leaf(explainer, buf_view(&text), logic, answer);
	buf_free(&text);
}

/* ---- groups -------------------------------------------------------------------------------------------------------------- */

/* Parts of a group, in order: what decides first decides. */
struct parts {
	bool any, decided;
	size_t count;
	struct explanation answer;
};

static void part_begin(struct explainer *explainer, struct parts *parts)
{
	if (parts->count++)
		buf_char(explainer->out, ',');
}

static void part_end(struct explainer *explainer, struct parts *parts, const struct explanation *part)
{
	if (parts->decided) {
		explainer->out->len--;         /* the brace */
		buf_lit(explainer->out, ",\"reached\":false}");
		return;
	}
	parts->decided = !part->good || part->result == parts->any;
	parts->answer = *part;
}

static void parts_begin(struct explainer *explainer, struct parts *parts, bool any)
{
	*parts = (struct parts){ .any = any, .answer = { .good = true, .result = !any } };
	buf_str(explainer->out, any ? STR("{\"any\":[") : STR("{\"all\":["));
}

static void parts_end(struct explainer *explainer, struct parts *parts, struct explanation *answer)
{
	buf_lit(explainer->out, "],");
	answer_write(explainer->out, &parts->answer);
	buf_char(explainer->out, '}');
	*answer = parts->answer;
}

static void explain_list(struct explainer *explainer, yyjson_val *list, bool any, bool logic, struct explanation *answer)
{
	struct parts parts;
	size_t i, max;
	yyjson_val *item;
	parts_begin(explainer, &parts, any);
	yyjson_arr_foreach(list, i, max, item) {
		struct explanation part;
		part_begin(explainer, &parts);
		explain_value(explainer, item, logic, &part);
		part_end(explainer, &parts, &part);
	}
	parts_end(explainer, &parts, answer);
}

static void explain_not(struct explainer *explainer, yyjson_val *operand, bool logic, struct explanation *answer)
{
	struct buf *out = explainer->out;
	buf_lit(out, "{\"not\":");
	if (yyjson_is_arr(operand) && !logic)
		explain_list(explainer, operand, false, false, answer);
	else
		explain_value(explainer, yyjson_is_arr(operand) ? yyjson_arr_get_first(operand) : operand, logic, answer);
	answer->result = answer->good && !answer->result;
	buf_char(out, ',');
	answer_write(out, answer);
	buf_char(out, '}');
}

static enum group group_of_member(struct str name, yyjson_val *operand, bool logic)
{
	bool list = yyjson_is_arr(operand);
	if (logic) {
		if (list && yyjson_arr_size(operand) && str_eq(name, STR("and")))
			return GROUP_ALL;
		if (list && yyjson_arr_size(operand) && str_eq(name, STR("or")))
			return GROUP_ANY;
		return str_eq(name, STR("!")) && (!list || yyjson_arr_size(operand) == 1) ? GROUP_NOT : GROUP_NONE;
	}
	if (list && (str_eq(name, STR("all")) || str_eq(name, STR("and"))))
		return GROUP_ALL;
	if (list && (str_eq(name, STR("any")) || str_eq(name, STR("or"))))
		return GROUP_ANY;
	return str_eq(name, STR("not")) ? GROUP_NOT : GROUP_NONE;
}

/* One member of an object: a group, or a leaf. */
static void explain_member(struct explainer *explainer, struct str name, yyjson_val *value, bool logic, struct explanation *answer)
{
	struct buf text = { 0 };
	switch (group_of_member(name, value, logic)) {
	case GROUP_ALL: explain_list(explainer, value, false, logic, answer); return;
	case GROUP_ANY: explain_list(explainer, value, true, logic, answer); return;
	case GROUP_NOT: explain_not(explainer, value, logic, answer); return;
	case GROUP_NONE: break;
	}
	buf_char(&text, '{');
	buf_json_text(&text, name);
	buf_char(&text, ':');
	json_write(&text, value);
	buf_char(&text, '}');
	leaf(explainer, buf_view(&text), logic, answer);
	buf_free(&text);
}

static void explain_value(struct explainer *explainer, yyjson_val *condition, bool logic, struct explanation *answer)
{
	size_t i, max;
	yyjson_val *key, *value;
	struct parts parts;
	bool conditions = explainer->form == EXPLAIN_CONDITION;
	logic |= conditions && condition_is_logic(condition);
	if (!yyjson_is_obj(condition) || !yyjson_obj_size(condition) || (conditions && !logic && condition_is_field_leaf(condition)) ||
	    (logic && yyjson_obj_size(condition) != 1)) {
		leaf_value(explainer, condition, logic, answer);
		return;
	}
	if (yyjson_obj_size(condition) == 1) {
		yyjson_obj_iter iter = yyjson_obj_iter_with(condition);
		key = yyjson_obj_iter_next(&iter);
		explain_member(explainer, json_text(key), yyjson_obj_iter_get_val(key), logic, answer);
		return;
	}
	parts_begin(explainer, &parts, false);
	yyjson_obj_foreach(condition, i, max, key, value) {
		struct explanation part;
		part_begin(explainer, &parts);
		explain_member(explainer, json_text(key), value, false, &part);
		part_end(explainer, &parts, &part);
	}
	parts_end(explainer, &parts, answer);
}

void rule_explain(yyjson_val *condition, enum explain_form form, explain_compile_fn *compile, const struct rule_input *input,
		  struct rule_arena *arena, struct buf *out, struct explanation *whole)
{
	struct explainer explainer = { .form = form, .compile = compile, .input = input, .arena = arena, .out = out };
	explain_value(&explainer, condition, false, whole);
	buf_free(&explainer.seen);
}
