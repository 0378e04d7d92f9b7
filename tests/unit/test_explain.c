// SPDX-License-Identifier: Apache-2.0
/* test_explain.c - explaining a condition: its shape as it was written, what leaves read, and the result of the evaluation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/catalog/kind.h"
#include "engine/rule/explain.h"
#include "engine/rule/selector.h"

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static yyjson_doc *json_of(const char *text)
{
	struct json_error error;
	char *copy = mem_dup(text, strlen(text) + 1);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	yyjson_doc *doc = json_read(str_of(copy), &error);
	mem_free(copy);
	assert_non_null(doc);
	return doc;
}

static const struct {
	const char *condition, *explained;
	enum explain_form form;
} rows[] = {
	{ "null", "{'condition':null,'values':{},'result':true}", EXPLAIN_CONDITION },
	{ "{}", "{'condition':{},'values':{},'result':true}", EXPLAIN_CONDITION },
	{ "{'payload':{'a':1,'b':2}}", "{'condition':{'payload':{'a':1,'b':2}},'values':{'payload.a':1,'payload.b':5},'result':false}",
	  EXPLAIN_CONDITION },
	{ "{'all':[]}", "{'all':[],'result':true}", EXPLAIN_CONDITION },
	{ "{'any':[]}", "{'any':[],'result':false}", EXPLAIN_CONDITION },
	{ "{'amount_gte':3,'not':{'amount_gte':9}}",
	  "{'all':[{'condition':{'amount_gte':3},'values':{'payload.amount':7},'result':true},"
	  "{'not':{'condition':{'amount_gte':9},'values':{'payload.amount':7},'result':false},'result':true}],'result':true}",
	  EXPLAIN_CONDITION },
	{ "{'any':[{'field':'amount','operator':'gt','value':1},{'amount_gte':100}]}",
	  "{'any':[{'condition':{'field':'amount','operator':'gt','value':1},'values':{'payload.amount':7},'result':true},"
	  "{'condition':{'amount_gte':100},'values':{'payload.amount':7},'result':false,'reached':false}],'result':true}",
	  EXPLAIN_CONDITION },
	{ "{'and':[{'>':[{'/':[1,{'var':'payload.zero'}]},0]},{'var':'payload.a'}]}",
	  "{'all':[{'condition':{'>':[{'/':[1,{'var':'payload.zero'}]},0]},'values':{'payload.zero':0},'result':null,"
	  "'error':'/: division by zero'},{'condition':{'var':'payload.a'},'values':{'payload.a':1},'result':true,'reached':false}],"
	  "'result':null,'error':'/: division by zero'}",
	  EXPLAIN_CONDITION },
	{ "{'!':[{'or':[{'var':'payload.none'},{'var':'payload.zero'}]}]}",
	  "{'not':{'any':[{'condition':{'var':'payload.none'},'values':{'payload.none':null},'result':false},"
	  "{'condition':{'var':'payload.zero'},'values':{'payload.zero':0},'result':false}],'result':false},'result':true}",
	  EXPLAIN_CONDITION },
	{ "{'points_gte':4,'any':[{'status_in':['A']},{'not':{'points_lte':9}}]}",
	  "{'all':[{'condition':{'points_gte':4},'values':{'customer.points':5},'result':true},"
	  "{'any':[{'condition':{'status_in':['A']},'values':{'customer.status':'A'},'result':true},"
	  "{'not':{'condition':{'points_lte':9},'values':{'customer.points':5},'result':true},'result':false,'reached':false}],"
	  "'result':true}],'result':true}",
	  EXPLAIN_SELECTOR },
};

static void as_written(void **unused)
{
	yyjson_doc *data = json_of("{'payload':{'a':1,'b':5,'zero':0,'amount':7},'customer':{'points':5,'status':'A'}}");
	struct rule_input input = { .data = yyjson_doc_get_root(data) };
	struct rule_arena *arena = rule_arena_new();
	(void)unused;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool selector = rows[i].form == EXPLAIN_SELECTOR;
		yyjson_doc *condition = json_of(rows[i].condition), *wanted = json_of(rows[i].explained);
		struct buf got = { 0 }, expected = { 0 };
		struct explanation explanation;
		struct faults faults = { 0 };
		struct rule_value value = { .type = RULE_BOOL, .boolean = true };
		char error[160] = "";
		rule_explain(yyjson_doc_get_root(condition), rows[i].form, selector ? selector_compile : condition_compile, &input, arena,
			     &got, &explanation);
		json_write(&expected, yyjson_doc_get_root(wanted));
		buf_char(&got, '\0');
		buf_char(&expected, '\0');
		assert_string_equal(got.ptr, expected.ptr);
		/* And the same as evaluating it. */
		struct rule *rule = selector ? selector_compile(yyjson_doc_get_root(condition), "", &faults)
					     : condition_compile(yyjson_doc_get_root(condition), "", &faults);
		rule_arena_reset(arena);
		bool good = !rule || rule_eval(rule, &input, arena, &value, error);
		assert_int_equal(explanation.good, good);
		assert_int_equal(explanation.result, good && rule_truthy(&value));
		assert_string_equal(explanation.error, error);
		rule_free(rule);
		faults_free(&faults);
		buf_free(&got);
		buf_free(&expected);
		yyjson_doc_free(condition);
		yyjson_doc_free(wanted);
	}
	rule_arena_free(arena);
	yyjson_doc_free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
