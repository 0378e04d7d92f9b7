// SPDX-License-Identifier: Apache-2.0
/* test_schema.c - JSON Schema and its regular expressions: tables of schemas, values and the pointers of their faults.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/catalog/pattern.h"
#include "engine/catalog/schema.h"

static yyjson_doc *read_json(const char *text)
{
	struct json_error error;
	yyjson_doc *doc = json_read(str_of(text), &error);
	if (!doc)
		fail_msg("%s: %s", text, error.detail);
	return doc;
}

/* Pointers of all faults with spaces between them. */
static void check_pointers(const struct faults *faults, const char *expected, const char *what)
{
	char got[2048] = "";
	for (size_t i = 0; i < faults->count; i++) {
		strncat(got, i ? " " : "", sizeof got - strlen(got) - 1);
		strncat(got, faults->list[i].pointer, sizeof got - strlen(got) - 1);
	}
	if (strcmp(got, expected))
		fail_msg("%s: faults at \"%s\", expected \"%s\" (%s)", what, got, expected,
			 faults->count ? faults->list[0].detail : "none");
}

static void test_compile_faults(void **state)
{
	static const struct {
		const char *schema, *pointers;
	} rows[] = {
		{ "5", "/p" },
		{ "[]", "/p" },
		{ "{\"typo\":1}", "/p/typo" },
		{ "{\"a/b~c\":1}", "/p/a~1b~0c" },
		{ "{\"type\":\"text\"}", "/p/type" },
		{ "{\"type\":[]}", "/p/type" },
		{ "{\"type\":[\"string\",7]}", "/p/type" },
		{ "{\"properties\":[]}", "/p/properties" },
		{ "{\"properties\":{\"a\":{\"minimun\":1}}}", "/p/properties/a/minimun" },
		{ "{\"required\":\"a\"}", "/p/required" },
		{ "{\"required\":[1]}", "/p/required" },
		{ "{\"enum\":[]}", "/p/enum" },
		{ "{\"enum\":3}", "/p/enum" },
		{ "{\"minimum\":\"1\"}", "/p/minimum" },
		{ "{\"multipleOf\":0}", "/p/multipleOf" },
		{ "{\"minLength\":-1}", "/p/minLength" },
		{ "{\"maxItems\":1.5}", "/p/maxItems" },
		{ "{\"pattern\":\"(\"}", "/p/pattern" },
		{ "{\"pattern\":3}", "/p/pattern" },
		{ "{\"uniqueItems\":1}", "/p/uniqueItems" },
		{ "{\"allOf\":[]}", "/p/allOf" },
		{ "{\"anyOf\":[{},{\"x\":1}]}", "/p/anyOf/1/x" },
		{ "{\"$ref\":\"#/$defs/no\"}", "/p/$ref" },
		{ "{\"$ref\":\"http://example.org/\"}", "/p/$ref" },
		{ "{\"$ref\":1}", "/p/$ref" },
		{ "{\"$defs\":{\"a\":{\"x\":1}}}", "/p/$defs/a/x" },
		{ "{\"$defs\":1}", "/p/$defs" },
		{ "{\"items\":{\"$defs\":{}}}", "/p/items/$defs" },
		{ "{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}", "/p/$schema" },
		{ "{\"title\":1,\"deprecated\":\"yes\",\"examples\":{}}", "/p/title /p/deprecated /p/examples" },
		{ "{\"items\":[{}]}", "/p/items" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct faults faults = { 0 };
		yyjson_doc *doc = read_json(rows[i].schema);
		assert_null(schema_compile(yyjson_doc_get_root(doc), "/p", &faults));
		check_pointers(&faults, rows[i].pointers, rows[i].schema);
		faults_free(&faults);
		yyjson_doc_free(doc);
	}
}

static void test_check(void **state)
{
	static const struct {
		const char *schema, *value, *pointers;         /* pointers NULL: the value fits */
	} rows[] = {
		{ "true", "1", NULL },
		{ "false", "1", "/v" },
		{ "{}", "null", NULL },
		{ "{\"type\":\"integer\"}", "3", NULL },
		{ "{\"type\":\"integer\"}", "3.0", NULL },
		{ "{\"type\":\"integer\"}", "3.5", "/v" },
		{ "{\"type\":\"number\"}", "3.5", NULL },
		{ "{\"type\":\"number\"}", "\"3\"", "/v" },
		{ "{\"type\":[\"string\",\"null\"]}", "null", NULL },
		{ "{\"type\":[\"string\",\"null\"]}", "true", "/v" },
		{ "{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1,\"b\":1}", "/v/a" },
		{ "{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1,\"b\":1,\"c\":2}",
		 "/v/b /v/c" },
		{ "{\"properties\":{\"a\":{}},\"additionalProperties\":{\"type\":\"null\"}}", "{\"a\":1,\"b\":1}",
		 "/v/b" },
		{ "{\"required\":[\"b\"],\"additionalProperties\":false}", "{\"b\":1}", "/v/b" },
		{ "{\"required\":[\"a\",\"b\",\"a\"]}", "{\"a\":1}", "/v/b" },
		{ "{\"required\":[\"a\",\"b\"],\"properties\":{\"b\":{},\"c\":{}}}", "{}", "/v/a /v/b" },
		{ "{\"required\":[\"a\"]}", "[]", NULL },
		{ "{\"items\":{\"type\":\"integer\"}}", "[1,\"x\",2,true]", "/v/1 /v/3" },
		{ "{\"prefixItems\":[{\"const\":1}],\"items\":false}", "[1]", NULL },
		{ "{\"prefixItems\":[{\"const\":1}],\"items\":false}", "[2,2]", "/v/0 /v/1" },
		{ "{\"enum\":[1,\"a\",null,{\"x\":[1,2],\"y\":0}]}", "1.0", NULL },
		{ "{\"enum\":[1,\"a\",null,{\"x\":[1,2],\"y\":0}]}", "{\"y\":0.0,\"x\":[1,2]}", NULL },
		{ "{\"enum\":[1,\"a\",null]}", "\"1\"", "/v" },
		{ "{\"const\":\"a\"}", "\"b\"", "/v" },
		{ "{\"const\":0.1}", "1e-1", NULL },
		{ "{\"minimum\":1,\"maximum\":2}", "1", NULL },
		{ "{\"minimum\":1.01}", "1", "/v" },
		{ "{\"exclusiveMinimum\":1}", "1.0", "/v" },
		{ "{\"exclusiveMaximum\":0.3}", "0.3", "/v" },
		{ "{\"exclusiveMaximum\":0.3}", "0.2999999999999999999", NULL },
		{ "{\"multipleOf\":0.01}", "19.99", NULL },
		{ "{\"multipleOf\":0.01}", "19.995", "/v" },
		{ "{\"minLength\":3}", "\"\\u00e9\\u00e9\"", "/v" },
		{ "{\"maxLength\":2}", "\"\\u00e9\\u00e9\"", NULL },
		{ "{\"pattern\":\"^[A-Z]{3}$\"}", "\"EUR\"", NULL },
		{ "{\"pattern\":\"^[A-Z]{3}$\"}", "\"EURO\"", "/v" },
		{ "{\"minItems\":1,\"maxItems\":2}", "[]", "/v" },
		{ "{\"minItems\":1,\"maxItems\":2}", "[1,2,3]", "/v" },
		{ "{\"uniqueItems\":true}", "[1,\"1\",[1],{\"a\":1}]", NULL },
		{ "{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1.0}]", "/v" },
		{ "{\"minProperties\":2}", "{\"a\":1}", "/v" },
		{ "{\"maxProperties\":0}", "{\"a\":1}", "/v" },
		{ "{\"allOf\":[{\"minimum\":5},{\"maximum\":3}]}", "4", "/v /v" },
		{ "{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":3}]}", "2", "/v" },
		{ "{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":3}]}", "3", NULL },
		{ "{\"oneOf\":[{\"minimum\":1},{\"minimum\":3}]}", "2", NULL },
		{ "{\"oneOf\":[{\"minimum\":1},{\"minimum\":3}]}", "3", "/v" },
		{ "{\"oneOf\":[{\"minimum\":1},{\"minimum\":3}]}", "0", "/v" },
		{ "{\"not\":{\"type\":\"string\"}}", "\"x\"", "/v" },
		{ "{\"not\":{\"type\":\"string\"}}", "1", NULL },
		{ "{\"$defs\":{\"m\":{\"minimum\":0}},\"properties\":{\"a\":{\"$ref\":\"#/$defs/m\",\"maximum\":9}}}",
		  "{\"a\":10}", "/v/a" },
		{ "{\"$defs\":{\"a/b~\":{\"type\":\"null\"}},\"$ref\":\"#/$defs/a~1b~0\"}", "1", "/v" },
		{ "{\"$defs\":{\"t\":{\"properties\":{\"n\":{\"$ref\":\"#/$defs/t\"},\"v\":{\"type\":\"integer\"}}}},"
		  "\"$ref\":\"#/$defs/t\"}", "{\"n\":{\"n\":{\"v\":\"x\"}}}", "/v/n/n/v" },
		{ "{\"$ref\":\"#\"}", "1", "/v" },                     /* round in circles */
		{ "{\"not\":{\"$ref\":\"#\"}}", "1", "/v" },             /* and not a yes through `not` */
		{ "{\"$defs\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/b\"},{\"$ref\":\"#/$defs/b\"}]},"
		  "\"b\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"},{\"$ref\":\"#/$defs/a\"}]}},\"$ref\":\"#/$defs/a\"}",
				  "1", "/v" },
		{ "{\"title\":\"t\",\"default\":{\"x\":1},\"examples\":[1],\"$id\":\"x\",\"format\":\"email\"}",
		 "\"no\"", NULL },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct faults faults = { 0 };
		yyjson_doc *doc = read_json(rows[i].schema), *value = read_json(rows[i].value);
		struct schema *schema = schema_compile(yyjson_doc_get_root(doc), "", &faults);
		check_pointers(&faults, "", rows[i].schema);
		yyjson_doc_free(doc);
		bool fits = schema_check(schema, yyjson_doc_get_root(value), "/v", &faults);
		check_pointers(&faults, rows[i].pointers ? rows[i].pointers : "", rows[i].schema);
		assert_int_equal(fits, !rows[i].pointers);
		assert_int_equal(schema_check(schema, yyjson_doc_get_root(value), "/v", NULL), fits);
		faults_free(&faults);
		yyjson_doc_free(value);
		schema_free(schema);
	}
}

static void test_pattern(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} rows[] = {
		{ "", "", true }, { "", "x", true }, { "a", "xay", true }, { "^a", "xa", false },
		{ "a$", "ab", false }, { "^$", "", true }, { "^$", "a", false }, { "^a|b$", "ax", true },
		{ "^a|b$", "xb", true }, { "^(a|b)$", "ab", false }, { "^(?:ab)+$", "ababab", true },
		{ "^(?:ab)+$", "aba", false }, { "^a*$", "", true }, { "^a+$", "", false }, { "^a?b$", "b", true },
		{ "^a{2,3}$", "aa", true }, { "^a{2,3}$", "aaaa", false }, { "^a{2,}$", "aaaa", true },
		{ "^a{2}$", "a", false }, { "^a{0}$", "", true }, { "^a{0}$", "a", false },
		{ "^(a*)*$", "aaab", false }, { "^(a*)*$", "aaa", true }, { "^\\d{4}-\\d\\d$", "2026-01", true },
		{ "^\\d+$", "12a", false }, { "^\\D$", "1", false }, { "^\\w+$", "aZ_9", true },
		{ "^[\\w.\\-]+@[\\w.-]+\\.[a-z]{2,}$", "a.b-c@x-y.org", true },
		{ "^[\\w.\\-]+@x$", "a b@x", false }, { "^[^a-c]$", "d", true }, { "^[^a-c]$", "b", false },
		{ "^[\\]\\\\]$", "]", true }, { "^[a-]$", "-", true }, { "^[^\\s]$", " ", false },
		{ "^.$", "\xC3\xA9", true }, { "^.$", "\n", false }, { "^[\xC3\xA0-\xC3\xBC]$", "\xC3\xA9", true },
		{ "^\\u00e9$", "\xC3\xA9", true }, { "^.{2}$", "\xF0\x9F\x98\x80\xC3\xA9", true },
		{ "a+?b", "aab", true }, { "^(a|ab)(c|bcd)(d*)$", "abcd", true }, { "(^a)|(^b)", "b", true },
		{ "^(|a)b$", "b", true }, { "x*", "", true }, { "^(a|b|c|d|e)*$", "abcde", true },
		{ "^[]$", "a", false }, { "a^b", "ab", false }, { "^a$|", "b", true }, { "|^a$", "b", true },
		{ "()*a", "a", true }, { "(){3}a", "b", false },
	};
	static const char *const bad[] = { "(", ")", "a)", "[a", "*", "a**", "a{", "a{2", "a{3,2}", "\\", "\\1", "\\b",
					  "(?=a)",
					   "(?<n>a)", "[z-a]", "\\q", "a{2001}", "((a{100}){100}){100}", "\\u12",
							   "\\pL", "^*" };
	char error[120];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pattern *pattern = pattern_compile(str_of(rows[i].pattern), error);
		if (!pattern)
			fail_msg("%s: %s", rows[i].pattern, error);
		if (pattern_match(pattern, str_of(rows[i].text)) != rows[i].matches)
			fail_msg("%s on \"%s\"", rows[i].pattern, rows[i].text);
		pattern_free(pattern);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pattern *pattern = pattern_compile(str_of(bad[i]), error);
		if (pattern)
			fail_msg("%s was accepted", bad[i]);
		assert_true(error[0] != '\0');
	}
}

/* What makes a backtracking matcher run for years. */
static void test_pattern_is_linear(void **state)
{
	char error[120];
	size_t len = 20000;
	char *text = mem_alloc(len);
	(void)state;
	memset(text, 'a', len);
	text[len - 1] = 'b';
	struct pattern *pattern = pattern_compile(STR("^(a|aa|a*)*c$"), error);
	assert_non_null(pattern);
	assert_false(pattern_match(pattern, (struct str){ text, len }));
	pattern_free(pattern);
	mem_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compile_faults),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_pattern_is_linear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
