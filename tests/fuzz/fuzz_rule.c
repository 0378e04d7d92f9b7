// SPDX-License-Identifier: Apache-2.0
/* fuzz_rule.c - {"rule": …, "data": …}: the compiled form and the direct walk agree, whatever the rule is.
 *
 * The same rule is also taken as a condition of system A; what that makes must be JSON, and explaining it must be JSON and come
 * to the same result as evaluating it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/rule/explain.h"
#include "engine/rule/rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct rule *compile(yyjson_val *source, const char *pointer, struct faults *faults)
{
	struct buf text = { 0 };
	struct json_error error;
	struct rule *rule = NULL;
	if (condition_to_jsonlogic(source, pointer, &text, faults)) {
		yyjson_doc *doc = json_read(buf_view(&text), &error);
		if (doc)
			rule = rule_compile(yyjson_doc_get_root(doc), pointer, faults);
		else
			faults_add(faults, pointer, "too deep");
		yyjson_doc_free(doc);
	}
	buf_free(&text);
	return rule;
}

static void explain(yyjson_val *source, const struct rule_input *input, struct rule_arena *arena)
{
	struct faults faults = { 0 };
	struct explanation explanation;
	struct buf text = { 0 };
	struct json_error json_error;
	struct rule_value value;
	char error[160];
	struct rule *rule = compile(source, "", &faults);
	if (rule) {
		rule_arena_reset(arena);
		bool good = rule_eval(rule, input, arena, &value, error), truthy = good && rule_truthy(&value);
		bool bounded = !good && (strstr(error, "steps") || strstr(error, "memory") || strstr(error, "large") || strstr(error, "deep"));
		rule_explain(source, EXPLAIN_CONDITION, compile, input, arena, &text, &explanation);
		ASSERT(bounded || (explanation.good == good && explanation.result == truthy));
		yyjson_doc *doc = json_read(buf_view(&text), &json_error);
		ASSERT(doc || strstr(json_error.detail, "nested deeper"));
		yyjson_doc_free(doc);
		rule_free(rule);
	}
	buf_free(&text);
	faults_free(&faults);
}

static void translate(yyjson_val *source)
{
	struct faults faults = { 0 };
	struct buf text = { 0 };
	struct json_error error;
	if (condition_to_jsonlogic(source, "/condition", &text, &faults)) {
		yyjson_doc *doc = json_read(buf_view(&text), &error);
		ASSERT(doc || strstr(error.detail, "nested deeper"));
		yyjson_doc_free(doc);
	} else {
		ASSERT(faults.count && !text.len);
	}
	faults_free(&faults);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct rule_arena *arena;
	struct json_error json_error;
	struct faults faults = { 0 };
	struct rule_value value;
	struct buf compiled = { 0 }, direct = { 0 };
	char error[160];
	if (!arena)
		arena = rule_arena_new();
	yyjson_doc *doc = json_read((struct str){ (const char *)bytes, len }, &json_error);
	if (!doc)
		return 0;
	yyjson_val *root = yyjson_doc_get_root(doc), *source = json_get(root, STR("rule"));
	struct rule_input input = { .data = json_get(root, STR("data")) };
	struct rule *rule = rule_compile(source, "", &faults);
	if (rule) {
		rule_arena_reset(arena);
		bool good = rule_eval(rule, &input, arena, &value, error);
		if (good)
			rule_value_json(&compiled, &value);
		rule_arena_reset(arena);
		ASSERT(rule_eval_direct(source, &input, arena, &value, error) == good);
		if (good)
			rule_value_json(&direct, &value);
		ASSERT(str_eq(buf_view(&compiled), buf_view(&direct)));
		rule_free(rule);
	} else {
		ASSERT(faults.count);
	}
	if (source) {
		translate(source);
		explain(source, &input, arena);
	}
	buf_free(&compiled);
	buf_free(&direct);
	faults_free(&faults);
	yyjson_doc_free(doc);
	return 0;
}
