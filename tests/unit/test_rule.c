// SPDX-License-Identifier: Apache-2.0
/* test_rule.c - JSONLogic by table, compiled and direct; bounds; faults; the translation of system A's conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/base/json.h"
#include "engine/rule/rule.h"
#include "tests/unit/rule_table.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static yyjson_doc *parse(struct str text)
{
	struct json_error error;
	yyjson_doc *doc = json_read(text, &error);
	if (!doc)
		fail_msg("%.*s: %s", (int)text.len, text.ptr, error.detail);
	return doc;
}

static char *terminated(struct buf *buf)
{
	buf_char(buf, '\0');
	return buf->ptr;
}

/* Both ways; the result's JSON in *out, or the error's text. */
static bool evaluate(yyjson_val *source, const struct rule_input *input, struct buf *out)
{
	struct faults faults = { 0 };
	struct rule_arena *arena = rule_arena_new();
	struct rule_value value;
	struct buf direct = { 0 };
	char error[160], direct_error[160];
	struct rule *rule = rule_compile(source, "", &faults);
	if (!rule)
		fail_msg("%s: %s", faults.list[0].pointer, faults.list[0].detail);
	bool good = rule_eval(rule, input, arena, &value, error);
	if (good)
		rule_value_json(out, &value);
	else
		buf_str(out, str_of(error));
	terminated(out);
	rule_arena_reset(arena);
	bool direct_good = rule_eval_direct(source, input, arena, &value, direct_error);
	if (direct_good)
		rule_value_json(&direct, &value);
	else
		buf_str(&direct, str_of(direct_error));
	assert_int_equal(good, direct_good);
	assert_string_equal(out->ptr, terminated(&direct));
	rule_arena_free(arena);
	rule_free(rule);
	buf_free(&direct);
	return good;
}

static void test_table(void **state)
{
	int wrong = 0;
	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		struct buf out = { 0 };
		yyjson_doc *source = parse(str_of(table[i].rule)), *data = parse(str_of(table[i].data));
		struct rule_input input = { .data = yyjson_doc_get_root(data) };
		bool good = evaluate(yyjson_doc_get_root(source), &input, &out);
		if (good != (table[i].expected != NULL) || (good && strcmp(out.ptr, table[i].expected))) {
			print_error("%s over %s: %s, expected %s\n", table[i].rule, table[i].data, out.ptr,
				    table[i].expected ? table[i].expected : "an error");
			wrong++;
		}
		buf_free(&out);
		yyjson_doc_free(source);
		yyjson_doc_free(data);
	}
	assert_int_equal(wrong, 0);
}

static void expect_error(const char *text, const char *needle)
{
	struct buf out = { 0 };
	yyjson_doc *source = parse(str_of(text));
	struct rule_input input = { 0 };
	assert_false(evaluate(yyjson_doc_get_root(source), &input, &out));
	if (!strstr(out.ptr, needle))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, out.ptr, needle);
	buf_free(&out);
	yyjson_doc_free(source);
}

static void test_bounds(void **state)
{
	struct buf text = { 0 };
	(void)state;
	expect_error("{\"/\":[1,0]}", "/: division by zero");
	expect_error("{\"%\":[1,0]}", "%: division by zero");
	expect_error("{\"+\":[\"x\"]}", "+: not a number");
	expect_error("{\"*\":[1e30,1e30]}", "*: overflow");
	/* 100 x 100 x 100 iterations */
	buf_lit(&text, "{\"map\":[");
	for (int level = 0; level < 3; level++) {
		buf_char(&text, '[');
		for (int i = 0; i < 100; i++)
			buf_printf(&text, "%s%d", i ? "," : "", i);
		buf_printf(&text, "]%s", level < 2 ? ",{\"map\":[" : ",{\"+\":[1,2]}]}]}]}");
	}
	expect_error(terminated(&text), "too many steps");
	/* the accumulator doubles: as text, then as a list, then in depth */
	text.len = 0;
	buf_lit(&text, "[1");
	for (int i = 0; i < 99; i++)
		buf_lit(&text, ",1");
	buf_char(&text, ']');
	struct buf rule = { 0 };
	static const char *const doubling[][2] = {
		{ "{\"cat\":[{\"var\":\"accumulator\"},{\"var\":\"accumulator\"}]}", "too much memory" },
		{ "[{\"var\":\"accumulator\"},{\"var\":\"accumulator\"}]", "too large or too deep" },
		{ "[{\"var\":\"accumulator\"}]", "too large or too deep" },
		{ "{\"merge\":[{\"var\":\"accumulator\"},{\"var\":\"accumulator\"}]}", "too m" },
	};
	for (size_t i = 0; i < COUNT(doubling); i++) {
		rule.len = 0;
		buf_printf(&rule, "{\"reduce\":[%.*s,%s,[\"xx\",\"y\"]]}", (int)text.len, text.ptr, doubling[i][0]);
		expect_error(terminated(&rule), doubling[i][1]);
	}
	buf_free(&rule);
	buf_free(&text);
}

/* The arena serves again after a reset, and only then. */
static void test_arena(void **state)
{
	struct faults faults = { 0 };
	struct rule_input input = { 0 };
	struct rule_value value;
	char error[160];
	int count = 0;
	(void)state;
	yyjson_doc *doc = parse(STR("{\"cat\":[\"0123456789abcdef\",\"0123456789abcdef\"]}"));
	struct rule_arena *arena = rule_arena_new();
	struct rule *rule = rule_compile(yyjson_doc_get_root(doc), "", &faults);
	while (rule_eval(rule, &input, arena, &value, error))
		count++;
	assert_int_equal(count, RULE_ARENA_BYTES / 32);
	rule_arena_reset(arena);
	assert_true(rule_eval(rule, &input, arena, &value, error));
	assert_int_equal(value.text.len, 32);
	rule_free(rule);
	rule_arena_free(arena);
	yyjson_doc_free(doc);
}

static void test_faults(void **state)
{
	static const struct { const char *rule, *pointer, *detail; } rows[] = {
		{ "{\"foo\":1}", "/when/foo", "unknown operator \"foo\"" },
		{ "{\"and\":[true,{\"a/b\":[1]}]}", "/when/and/1/a~1b", "unknown operator \"a/b\"" },
		{ "{\"!\":{\"nope\":1}}", "/when/!/nope", "unknown operator" },
		{ "[1,[{\"x\":1}]]", "/when/1/0/x", "unknown operator" },
		{ "{\"var\":[\"a\",{\"x\":1}]}", "/when/var/1/x", "unknown operator" },
		{ "{\"+\":[1,1e99]}", "/when/+/1", "does not fit" },
	};
	struct faults faults = { 0 };
	struct buf text = { 0 };
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		yyjson_doc *doc = parse(str_of(rows[i].rule));
		assert_null(rule_compile(yyjson_doc_get_root(doc), "/when", &faults));
		assert_int_equal(faults.count, 1);
		assert_string_equal(faults.list[0].pointer, rows[i].pointer);
		assert_non_null(strstr(faults.list[0].detail, rows[i].detail));
		faults_free(&faults);
		yyjson_doc_free(doc);
	}
	/* all of them at once */
	yyjson_doc *doc = parse(STR("{\"and\":[{\"x\":1},{\"y\":1},{\"z\":1}]}"));
	assert_null(rule_compile(yyjson_doc_get_root(doc), "", &faults));
	assert_int_equal(faults.count, 3);
	faults_free(&faults);
	yyjson_doc_free(doc);
	buf_lit(&text, "[0");
	for (int i = 0; i < RULE_NODES_MAX; i++)
		buf_lit(&text, ",0");
	buf_char(&text, ']');
	doc = parse(buf_view(&text));
	assert_null(rule_compile(yyjson_doc_get_root(doc), "", &faults));
	assert_int_equal(faults.count, 1);
	faults_free(&faults);
	yyjson_doc_free(doc);
	text.len = 0;
	for (int i = 0; i < 70; i++)
		buf_lit(&text, "{\"!\":");
	buf_char(&text, '1');
	for (int i = 0; i < 70; i++)
		buf_char(&text, '}');
	doc = yyjson_read(text.ptr, text.len, 0);
	assert_null(rule_compile(yyjson_doc_get_root(doc), "", &faults));
	assert_non_null(strstr(faults.list[0].detail, "deeper"));
	faults_free(&faults);
	yyjson_doc_free(doc);
	buf_free(&text);
}

/* The rule keeps nothing of its source. */
static void test_copies(void **state)
{
	struct faults faults = { 0 };
	struct rule_value value;
	struct buf out = { 0 };
	char error[160];
	(void)state;
	yyjson_doc *doc = parse(STR("[\"text\",{\"a\":1.50,\"b\":[\"c\"]},{\"var\":[\"x\",\"none\"]}]"));
	struct rule *rule = rule_compile(yyjson_doc_get_root(doc), "", &faults);
	yyjson_doc_free(doc);
	struct rule_arena *arena = rule_arena_new();
	assert_true(rule_eval(rule, &(struct rule_input){ 0 }, arena, &value, error));
	rule_value_json(&out, &value);
	assert_string_equal(terminated(&out), "[\"text\",{\"a\":1.50,\"b\":[\"c\"]},\"none\"]");
	buf_free(&out);
	rule_arena_free(arena);
	rule_free(rule);
}

/* --- lookup --- */

static bool facts(void *context, struct str path, struct rule_value *out)
{
	static struct rule_value tags[2];
	(*(int *)context)++;
	if (str_eq(path, STR("customer.points")))
		*out = (struct rule_value){ .type = RULE_NUMBER, .number = decimal_of(1200) };
	else if (str_eq(path, STR("customer.tags")))
		*out = (struct rule_value){ .type = RULE_ARRAY, .items = tags, .count = 2 };
	else
		return false;
	tags[0] = (struct rule_value){ .type = RULE_TEXT, .text = STR("vip") };
	tags[1] = (struct rule_value){ .type = RULE_TEXT, .text = STR("b2b") };
	return true;
}

static void test_lookup(void **state)
{
	static const char *const rows[][2] = {
		{ "{\">=\":[{\"var\":\"customer.points\"},1000]}", "true" },
		{ "{\"var\":\"customer.name\"}", "\"Ann\"" },
		{ "{\"var\":{\"cat\":[\"customer.\",\"points\"]}}", "1200" },
		{ "{\"in\":[\"vip\",{\"var\":\"customer.tags\"}]}", "true" },
		{ "{\"cat\":[{\"var\":\"customer.tags\"}]}", "\"vip,b2b\"" },
		{ "{\"missing\":[\"customer.points\",\"customer.none\"]}", "[\"customer.none\"]" },
		{ "{\"map\":[{\"var\":\"customer.tags\"},{\"var\":\"customer.points\"}]}", "[null,null]" },
		{ "{\"map\":[[1],{\"var\":[\"customer.points\",0]}]}", "[0]" },
		{ "{\"reduce\":[[1],{\"+\":[{\"var\":\"current\"},"
		  "{\"var\":\"accumulator\"}]},{\"var\":\"customer.points\"}]}",
		  "1201" },
		{ "[{\"var\":\"customer.tags\"}]", "[[\"vip\",\"b2b\"]]" },
	};
	int asked = 0;
	(void)state;
	yyjson_doc *data = parse(STR("{\"customer\":{\"name\":\"Ann\",\"points\":1}}"));
	struct rule_input input = { yyjson_doc_get_root(data), facts, &asked };
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf out = { 0 };
		yyjson_doc *source = parse(str_of(rows[i][0]));
		assert_true(evaluate(yyjson_doc_get_root(source), &input, &out));
		assert_string_equal(out.ptr, rows[i][1]);
		buf_free(&out);
		yyjson_doc_free(source);
	}
	assert_int_equal(asked, 20);
	yyjson_doc_free(data);
}

/* --- conditions --- */

static const char facts_text[] =
	"{\"payload\":{\"amount\":150.5,\"zero\":0,\"channel\":\"web\",\"tags\":[\"a\",\"b\"],\"note\":\"hello world\","
	"\"text\":\"100\",\"blank\":\"\",\"no\":null,\"yes\":true,\"day\":\"2024-05-01\",\"list\":[7],"
	"\"item\":{\"sku\":\"X1\",\"qty\":3}},"
	"\"customer\":{\"points\":500,\"status\":\"active\",\"loyalty_status\":\"gold\",\"created_days\":30,"
	"\"lifetime_points\":900,\"tier\":\"silver\",\"age\":41,"
	"\"bonus_awards\":[\"WELCOME\"],\"last_activity_days\":null},"
	"\"event\":{\"weekday\":2,\"birthday\":false,\"first_purchase\":true,\"type\":\"purchase\"}}";

static const struct { const char *condition; bool expected; } conditions[] = {
	{ "null", true }, { "true", true }, { "false", false }, { "{}", true },
	{ "{\"amount_gte\":150.5}", true }, { "{\"amount_gte\":150.51}", false }, { "{\"points_gte\":500}", true },
	{ "{\"points_gte\":501}", false }, { "{\"amount_gte\":100,\"points_gte\":100}", true },
	{ "{\"amount_gte\":100,\"points_gte\":501}", false },
	{ "{\"all\":[{\"amount_gte\":100},{\"points_gte\":500}]}", true },
	{ "{\"all\":[{\"amount_gte\":100},{\"points_gte\":501}]}", false },
	{ "{\"any\":[{\"amount_gte\":1000},{\"points_gte\":500}]}", true },
	{ "{\"any\":[{\"amount_gte\":1000},{\"points_gte\":501}]}", false },
	{ "{\"all\":[]}", true }, { "{\"any\":[]}", false }, { "{\"not\":{\"amount_gte\":100}}", false },
	{ "{\"not\":{\"any\":[{\"amount_gte\":1000}]}}", true }, { "{\"not\":[{\"amount_gte\":1000}]}", true },
	{ "{\"all\":[{\"amount_gte\":1},{\"not\":{\"any\":[{\"birthday\":true},{\"weekday_in\":[5,6]}]}}]}", true },
	{ "{\"amount_gte\":1,\"any\":[{\"birthday\":true},{\"first_purchase\":true}]}", true },
	{ "{\"payload\":{\"channel\":\"web\"}}", true }, { "{\"payload\":{\"channel\":\"app\"}}", false },
	{ "{\"payload\":{\"channel\":\"web\",\"item.sku\":\"X1\"}}", true },
	{ "{\"payload\":{\"channel\":\"web\",\"item.qty\":4}}", false }, { "{\"payload\":{\"amount\":150.50}}", true },
	{ "{\"payload\":{\"path\":\"channel\",\"value\":\"web\"}}", true }, { "{\"payload\":{\"none\":null}}", true },
	{ "{\"payload\":{\"text\":100}}", false }, { "{\"payload\":{\"zero\":false}}", false },
	{ "{\"payload_in\":{\"path\":\"channel\",\"values\":[\"web\",\"app\"]}}", true },
	{ "{\"payload_in\":{\"path\":\"channel\",\"values\":[]}}", false },
	{ "{\"payload_contains\":{\"path\":\"tags\",\"value\":\"b\"}}", true },
	{ "{\"payload_contains\":{\"path\":\"tags\",\"value\":\"c\"}}", false },
	{ "{\"payload_contains\":{\"path\":\"note\",\"value\":\"lo wo\"}}", true },
	{ "{\"payload_contains\":{\"path\":\"none\",\"value\":\"x\"}}", false },
	{ "{\"payload_cmp\":{\"path\":\"amount\",\"op\":\"gt\",\"value\":150}}", true },
	{ "{\"payload_cmp\":{\"path\":\"amount\",\"op\":\"lt\",\"value\":150}}", false },
	{ "{\"payload_cmp\":{\"path\":\"amount\",\"op\":\"lte\",\"value\":150.5}}", true },
	{ "{\"payload_cmp\":{\"path\":\"amount\",\"op\":\"between\",\"value\":[100,150.5]}}", true },
	{ "{\"payload_cmp\":{\"path\":\"amount\",\"op\":\"between\",\"value\":[0,150]}}", false },
	{ "{\"payload_cmp\":{\"path\":\"zero\",\"op\":\"gte\",\"value\":0}}", true },
	{ "{\"payload_cmp\":{\"path\":\"none\",\"op\":\"gte\",\"value\":0}}", false },
	{ "{\"payload_cmp\":{\"path\":\"none\",\"op\":\"lt\",\"value\":5}}", false },
	{ "{\"payload_cmp\":{\"path\":\"no\",\"op\":\"lte\",\"value\":0}}", false },
	{ "{\"payload_cmp\":{\"path\":\"none\",\"op\":\"between\",\"value\":[0,1]}}", false },
	{ "{\"payload_cmp\":{\"path\":\"yes\",\"op\":\"gte\",\"value\":1}}", false },
	{ "{\"payload_cmp\":{\"path\":\"yes\",\"op\":\"gt\",\"value\":0.5}}", false },
	{ "{\"payload_cmp\":{\"path\":\"text\",\"op\":\"gte\",\"value\":50}}", false },
	{ "{\"payload_cmp\":{\"path\":\"blank\",\"op\":\"gte\",\"value\":0}}", false },
	{ "{\"payload_cmp\":{\"path\":\"list\",\"op\":\"gte\",\"value\":5}}", false },
	{ "{\"payload_cmp\":{\"path\":\"item\",\"op\":\"gte\",\"value\":0}}", false },
	{ "{\"payload_cmp\":{\"path\":\"note\",\"op\":\"lt\",\"value\":5}}", false },
	{ "{\"payload_cmp\":{\"path\":\"day\",\"op\":\"gte\",\"value\":\"2024-04-30\"}}", true },
	{ "{\"payload_cmp\":{\"path\":\"day\",\"op\":\"between\",\"value\":[\"2024-05-02\",\"2024-05-09\"]}}", false },
	{ "{\"payload_cmp\":{\"path\":\"amount\",\"op\":\"gt\",\"value\":\"100\"}}", false },
	{ "{\"payload_cmp\":{\"path\":\"none\",\"op\":\"lt\",\"value\":\"x\"}}", false },
	{ "{\"payload_cmp\":{\"path\":\"channel\",\"op\":\"eq\",\"value\":\"web\"}}", true },
	{ "{\"payload_cmp\":{\"path\":\"channel\",\"op\":\"ne\",\"value\":\"app\"}}", true },
	{ "{\"payload_cmp\":{\"path\":\"none\",\"op\":\"ne\",\"value\":\"app\"}}", false },
	{ "{\"payload_present\":\"channel\"}", true }, { "{\"payload_present\":[\"channel\",\"item.sku\"]}", true },
	{ "{\"payload_present\":[\"channel\",\"item.none\"]}", false },
	{ "{\"payload_present\":{\"path\":\"no\"}}", false },
	{ "{\"customer_status_in\":[\"active\"]}", true }, { "{\"customer_status_in\":[\"blocked\"]}", false },
	{ "{\"customer_loyalty_status_in\":[\"gold\",\"silver\"]}", true },
	{ "{\"customer_created_days_gte\":30}", true }, { "{\"customer_created_days_gte\":31}", false },
	{ "{\"customer_last_activity_days_gte\":0}", false }, { "{\"customer_lifetime_points_gte\":900}", true },
	{ "{\"customer_cmp\":{\"field\":\"age\",\"op\":\"gte\",\"value\":18}}", true },
	{ "{\"customer_cmp\":{\"field\":\"tier\",\"op\":\"eq\",\"value\":\"gold\"}}", false },
	{ "{\"weekday_in\":[0,2]}", true }, { "{\"weekday_in\":[5,6]}", false }, { "{\"first_purchase\":true}", true },
	{ "{\"first_purchase\":false}", false }, { "{\"birthday\":true}", false }, { "{\"birthday\":false}", true },
	{ "{\"bonus_awarded\":\"WELCOME\"}", true }, { "{\"bonus_awarded\":\"OTHER\"}", false },
	{ "{\"field\":\"amount\",\"operator\":\"gte\",\"value\":100}", true },
	{ "{\"field\":\"payload.amount\",\"operator\":\">\",\"value\":1000}", false },
	{ "{\"field\":\"customer.points\",\"operator\":\"==\",\"value\":500}", true },
	{ "{\"and\":[{\"field\":\"channel\",\"operator\":\"in\",\"value\":[\"web\"]},"
	  "{\"field\":\"event.weekday\",\"operator\":\"not_in\",\"value\":[5,6]}]}", true },
	{ "{\"or\":[{\"field\":\"channel\",\"operator\":\"eq\",\"value\":\"app\"},"
	  "{\"and\":[{\"field\":\"tags\",\"operator\":\"contains\",\"value\":\"a\"}]}]}", true },
	{ "{\"and\":[{\"field\":\"none\",\"operator\":\"exists\"}]}", false },
	{ "{\"and\":[{\"field\":\"none\",\"operator\":\"exists\",\"value\":false}]}", true },
	{ "{\"field\":\"none\",\"operator\":\"not_in\",\"value\":[1]}", false },
	{ "{\"field\":\"amount\",\"operator\":\"between\",\"value\":[100,200]}", true },
	{ "{\"and\":[{\"amount_gte\":100},{\">\":[{\"var\":\"payload.amount\"},150]}]}", true },
	{ "{\">\":[{\"var\":\"payload.amount\"},150]}", true },
	{ "{\"all\":[{\"var\":\"payload.tags\"},{\"in\":[{\"var\":\"\"},\"abc\"]}]}", true },
	{ "{\"all\":[{\"var\":\"payload.tags\"},{\"==\":[{\"var\":\"\"},\"a\"]}]}", false },
	{ "{\"all\":[[1,2],{\">\":[{\"var\":\"\"},0]}]}", true },
	{ "{\"all\":[{\">\":[{\"var\":\"payload.amount\"},1]},{\">\":[{\"var\":\"customer.points\"},1]}]}", true },
	{ "{\"any\":[{\"birthday\":true},{\"==\":[{\"var\":\"payload.channel\"},\"web\"]}]}", true },
	{ "{\"not\":{\"==\":[{\"var\":\"payload.channel\"},\"web\"]}}", false },
	{ "{\"and\":[{\"var\":\"payload.yes\"},true]}", true },
	{ "{\"all\":[null,{\"amount_gte\":1}]}", true },
};

static void test_conditions(void **state)
{
	int wrong = 0;
	(void)state;
	yyjson_doc *data = parse(str_of(facts_text));
	struct rule_input input = { .data = yyjson_doc_get_root(data) };
	for (size_t i = 0; i < COUNT(conditions); i++) {
		struct faults faults = { 0 };
		struct buf text = { 0 }, out = { 0 };
		yyjson_doc *condition = parse(str_of(conditions[i].condition));
		if (!condition_to_jsonlogic(yyjson_doc_get_root(condition), "/condition", &text, &faults))
			fail_msg("%s: %s %s", conditions[i].condition, faults.list[0].pointer, faults.list[0].detail);
		yyjson_doc *source = parse(buf_view(&text));
		assert_true(evaluate(yyjson_doc_get_root(source), &input, &out));
		if (strcmp(out.ptr, conditions[i].expected ? "true" : "false")) {
			print_error("%s as %.*s: %s\n", conditions[i].condition, (int)text.len, text.ptr, out.ptr);
			wrong++;
		}
		buf_free(&text);
		buf_free(&out);
		yyjson_doc_free(source);
		yyjson_doc_free(condition);
	}
	yyjson_doc_free(data);
	assert_int_equal(wrong, 0);
}

static void test_pass_through(void **state)
{
	static const char *const rows[] = {
		"{\">\":[{\"var\":\"amount\"},1.50]}", "{\"and\":[{\"==\":[1,1]},true]}", "{\"or\":[]}",
		"{\"!\":{\"var\":\"x\"}}",
		"{\"all\":[{\"var\":\"items\"},{\">\":[{\"var\":\"qty\"},0]}]}", "{\"if\":[true,1,2]}",
		"{\"some\":[{\"var\":\"items\"},{\"==\":[{\"var\":\"sku\"},\"A\"]}]}",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct faults faults = { 0 };
		struct buf text = { 0 };
		yyjson_doc *doc = parse(str_of(rows[i]));
		assert_true(condition_to_jsonlogic(yyjson_doc_get_root(doc), "", &text, &faults));
		assert_string_equal(terminated(&text), rows[i]);
		buf_free(&text);
		yyjson_doc_free(doc);
	}
}

static void test_condition_faults(void **state)
{
	static const struct { const char *condition, *pointer, *detail; } rows[] = {
		{ "{\"amount_gt\":5}", "/c/amount_gt", "amount_gte, points_gte" },
		{ "{\"all\":[{\"amount_gte\":5},{\"foo\":1}]}", "/c/all/1/foo", "unknown condition \"foo\"" },
		{ "{\"all\":[{\"foo\":5},{\"amount_gte\":1}]}", "/c/all/0/foo", "unknown condition \"foo\"" },
		{ "{\"and\":[{\"foo\":5}]}", "/c/and/0/foo", "unknown condition \"foo\"" },
		{ "{\"not\":{\"foo\":5}}", "/c/not/foo", "unknown condition" },
		{ "{\"amount_gte\":\"5\"}", "/c/amount_gte", "a number expected, not string" },
		{ "{\"birthday\":1}", "/c/birthday", "true or false expected, not number" },
		{ "{\"weekday_in\":[1,7]}", "/c/weekday_in/1", "weekday" },
		{ "{\"weekday_in\":3}", "/c/weekday_in", "array" },
		{ "{\"customer_status_in\":\"active\"}", "/c/customer_status_in", "array of strings" },
		{ "{\"customer_status_in\":[1]}", "/c/customer_status_in", "array of strings" },
		{ "{\"payload\":[]}", "/c/payload", "object" },
		{ "{\"payload\":{}}", "/c/payload", "at least one path" },
		{ "{\"payload\":{\"a\":{\"b\":1}}}", "/c/payload/a", "string, number" },
		{ "{\"payload_in\":{\"path\":\"a\"}}", "/c/payload_in/values", "array" },
		{ "{\"payload_in\":{\"values\":[]}}", "/c/payload_in/path", "string" },
		{ "{\"payload_in\":{\"path\":\"a\",\"values\":[{\"x\":1}]}}", "/c/payload_in/values", "array" },
		{ "{\"payload_cmp\":{\"path\":\"a\",\"op\":\"like\",\"value\":1}}", "/c/payload_cmp/op",
		"unknown operator" },
		{ "{\"payload_cmp\":{\"path\":\"a\",\"op\":\"gt\",\"value\":true}}", "/c/payload_cmp/value", "number" },
		{ "{\"payload_cmp\":{\"path\":\"a\",\"op\":\"between\",\"value\":[1]}}", "/c/payload_cmp/value",
		"two bounds" },
		{ "{\"payload_cmp\":{\"path\":\"a\",\"value\":1}}", "/c/payload_cmp/operator", "eq, ne" },
		{ "{\"payload_present\":[]}", "/c/payload_present", "path" },
		{ "{\"payload_present\":[\"a\",1]}", "/c/payload_present/1", "path" },
		{ "{\"any\":{\"amount_gte\":1}}", "/c/any", "array of conditions" },
		{ "{\"bonus_awarded\":5}", "/c/bonus_awarded", "bonus key" },
		{ "{\"field\":\"a\",\"operator\":\"like\",\"value\":1}", "/c/operator", "expected eq, ne" },
		{ "{\"field\":\"a\",\"operator\":\"in\",\"value\":1}", "/c/value", "array" },
		{ "{\"field\":\"a\",\"operator\":\"eq\",\"value\":1,\"x\":1}", "/c/x", "unknown member" },
		{ "{\"amount_gte\":5,\">\":[1,2]}", "/c/>", "unknown condition" },
		{ "\"text\"", "/c", "a condition" }, { "5", "/c", "a condition" }, { "[]", "/c", "a condition" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct faults faults = { 0 };
		struct buf text = { 0 };
		yyjson_doc *doc = parse(str_of(rows[i].condition));
		if (condition_to_jsonlogic(yyjson_doc_get_root(doc), "/c", &text, &faults))
			fail_msg("%s became %.*s", rows[i].condition, (int)text.len, text.ptr);
		assert_int_equal(text.len, 0);
		assert_int_equal(faults.count, 1);
		assert_string_equal(faults.list[0].pointer, rows[i].pointer);
		if (!strstr(faults.list[0].detail, rows[i].detail))
			fail_msg("%s: %s", rows[i].condition, faults.list[0].detail);
		faults_free(&faults);
		buf_free(&text);
		yyjson_doc_free(doc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_bounds), cmocka_unit_test(test_arena),
		cmocka_unit_test(test_faults), cmocka_unit_test(test_copies), cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_conditions), cmocka_unit_test(test_pass_through),
		cmocka_unit_test(test_condition_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
