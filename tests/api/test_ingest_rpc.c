// SPDX-License-Identifier: Apache-2.0
/* test_ingest_rpc.c - events.ingest against POST /transactions: the same events, the same answers. */
#include <stdlib.h>

#include "tests/api/calls.h"

static char brand[32], twin[40];       /* a brand for RPC, one for HTTP */

static void rules_make(const char *name)
{
	make_type(name, "BUY");
	make_rule(NULL, name, "BUY", 0, "{'payload_cmp':{'path':'amount','op':'gte','value':10}}",
		  "[{'type':'earn_points_from_amount','rate':1.5,'amount_path':'amount'}]");
	make_rule(NULL, name, "BUY", 1, NULL, "[{'type':'add_customer_tag','tag':'buyer'},{'type':'earn_points','points':2}]");
	make_rule(NULL, name, "BUY", 2, NULL, "[{'type':'burn_points','from_payload':'spend'}]");
	make_type(name, "QUIET");
	want(201, "POST /admin/event-types", name,
	     "{'key':'TYPED','origin':'EXTERNAL','name':'t','payload_schema':{'type':'object','properties':{'n':{'type':'integer'}},"
	     "'required':['n']}}");
}

static void brands_begin(void)
{
	calls_begin();
	snprintf(brand, sizeof brand, "T%llu", (unsigned long long)calls_base);
	snprintf(twin, sizeof twin, "%stwin", brand);
	rules_make(brand);
	rules_make(twin);
}

/* The fields that say what happened. */
static void same_answer(yyjson_val *rpc, yyjson_val *http)
{
	static const char *const fields[] = { "eventId", "profileId", "eventType", "status", "idempotent", "error_code", "executions",
					      "points" };
	static const char *const refused_pairs[][2] = { { "code", "status" }, { "name", "code" }, { "detail", "detail" },
							{ "index", "index" }, { "errors", "errors" } };
	bool refused = yyjson_obj_get(http, "title") != NULL;
	for (size_t i = 0; i < (refused ? COUNT_OF(refused_pairs) : COUNT_OF(fields)); i++) {
		yyjson_val *a = yyjson_obj_get(rpc, refused ? refused_pairs[i][0] : fields[i]);
		yyjson_val *b = yyjson_obj_get(http, refused ? refused_pairs[i][1] : fields[i]);
		char *left = a ? yyjson_val_write(a, 0, NULL) : NULL, *right = b ? yyjson_val_write(b, 0, NULL) : NULL;
		/* Rules have numbers of their own in each brand. */
		if (left && right && !refused && strcmp(fields[i], "executions") == 0) {
			yyjson_val *item;
			size_t at, max;
			assert_int_equal(yyjson_arr_size(a), yyjson_arr_size(b));
			yyjson_arr_foreach(a, at, max, item) {
				yyjson_val *other = yyjson_arr_get(b, at);
				assert_true(yyjson_equals(yyjson_obj_get(item, "result"), yyjson_obj_get(other, "result")));
				if (!yyjson_equals(yyjson_obj_get(item, "details"), yyjson_obj_get(other, "details")))
					fail_msg("%s is not %s", left, right);
			}
		} else if (!left != !right || (left && strcmp(left, right) != 0)) {
			fail_msg("%s: %s over RPC, %s over HTTP", refused ? refused_pairs[i][1] : fields[i], left ? left : "nothing",
				 right ? right : "nothing");
		}
		free(left);
		free(right);
	}
	assert_true(refused || strlen(text_at(rpc, "/id")) == 32);
}

/* Sends the same events to both; "@" in them is the brand. */
static void both(const char *events)
{
	struct buf http = { 0 };
	for (const char *at = events; *at; at++)
		if (*at == '@')
			buf_str(&http, str_of(twin));
		else
			buf_char(&http, *at);
	buf_char(&http, '\0');
	/* The harness keeps one answer at a time. */
	yyjson_val *rpc = call_ok("events.ingest", textf("[%s]", events));
	yyjson_mut_doc *copy = yyjson_mut_doc_new(NULL);
	yyjson_mut_doc_set_root(copy, yyjson_val_mut_copy(copy, rpc));
	yyjson_doc *answers = yyjson_mut_doc_imut_copy(copy, NULL);
	yyjson_mut_doc_free(copy);
	rpc = yyjson_doc_get_root(answers);
	yyjson_val *list = want(200, "POST /transactions", NULL, http.ptr);
	assert_int_equal(size_of(rpc), size_of(list));
	for (size_t i = 0; i < size_of(list); i++)
		same_answer(yyjson_arr_get(rpc, i), yyjson_arr_get(list, i));
	yyjson_doc_free(answers);
	buf_free(&http);
}

#define EVENT(id, profile, type, payload) \
	"{'brand':'@','profileId':'" profile "','eventType':'" type "','eventId':'" id "','source':'POS','payload':" payload "}"

static void answers_like_http(void **state)
{
	(void)state;
	brands_begin();
	both("[" EVENT("1", "p1", "BUY", "{'amount':99.99,'spend':7}") "," EVENT("2", "p1", "BUY", "{'amount':9,'spend':1}") ","
	     EVENT("3", "p2", "BUY", "{'amount':100,'spend':1000}") "," EVENT("4", "p1", "QUIET", "{}") ","
	     EVENT("5", "p1", "TYPED", "{'n':5}") "," EVENT("6", "p1", "TYPED", "{'n':5.5}") ","
	     EVENT("7", "p1", "NOTHING", "{}") "," EVENT("8", "p3", "BUY", "{'amount':'12.50'}") ","
	     EVENT("9", "p1", "BUY", "{'nested':{'list':[1,-2.5,true,null,'x']},'amount':0.1}") "]");
	/* Repeats, another content, and what is left out. */
	both("[" EVENT("1", "p1", "BUY", "{'amount':99.99,'spend':7}") "," EVENT("1", "p1", "BUY", "{'amount':99.98,'spend':7}") ","
	     EVENT("1", "p2", "BUY", "{'amount':99.99,'spend':7}") "," EVENT("6", "p1", "TYPED", "{'n':6}") ","
	     "{'brand':'@','profileId':'p1','eventType':'QUIET','eventId':'10'},"
	     "{'brand':'@','profileId':'p1','eventType':'QUIET','eventId':'10','payload':null,'source':null},"
	     "{'eventId':'11','payload':{},'eventType':'QUIET','brand':'@','profileId':'p9'}]");
	assert_int_equal(wallet(brand, "p1"), wallet(twin, "p1"));
	assert_int_equal(wallet(brand, "p2"), wallet(twin, "p2"));
}

static void knows_ids_of_the_other(void **state)
{
	(void)state;
	brands_begin();
	send_event(201, brand, "p1", "BUY", "h1", "{'amount':12.5}");
	yyjson_val *answers = call_ok("events.ingest", "[[{'brand':'@','profileId':'p1','eventType':'BUY','eventId':'h1','source':'TEST',"
						       "'payload':{'amount':12.5}}]]");
	assert_true(bool_at(answers, "/0/idempotent"));
	answers = call_ok("events.ingest", "[[{'brand':'@','profileId':'p1','eventType':'BUY','eventId':'h1','source':'TEST',"
					   "'payload':{'amount':12}}]]");
	assert_string_equal(text_at(answers, "/0/name"), "event_id_reused");
}

static void refuses_malformed(void **state)
{
	(void)state;
	brands_begin();
	both("[{'brand':true,'profileId':'p','eventType':'BUY','eventId':'x'},{'profileId':'p','eventType':'BUY','eventId':'x'},{'brand':'@','profileId':'p','eventType':'','eventId':'x'},"
	     "{'brand':'@','profileId':'p','eventType':'BUY','eventId':'x','colour':1,'source':[]}]");
	call_refused(422, "validation_failed", -1, "events.ingest", "[]");
	call_refused(422, "validation_failed", -1, "events.ingest", "[{}]");
	call_refused(422, "validation_failed", -1, "events.ingest", "[[],{'dryrun':true}]");
	call_refused(422, "validation_failed", -1, "events.ingest", "[[],{'customers':'none'}]");
	call_refused(422, "validation_failed", -1, "events.ingest", "[[],7]");
	assert_int_equal(size_of(call_ok("events.ingest", "[[]]")), 0);
	yyjson_val *answers = call_ok("events.ingest", "[[7,{'brand':'@','profileId':'p','eventType':'BUY','eventId':'x','payload':'$01'},"
						       "{'brand':'@','profileId':'p','eventType':'BUY','eventId':'x','eventId':'y'}]]");
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(int_at(answers, textf("/%zu/code", i)), 422);
		assert_int_equal(int_at(answers, textf("/%zu/index", i)), (int64_t)i);
	}
	assert_string_equal(text_at(answers, "/1/errors/0/pointer"), "/payload");
	struct buf text = { 0 };
	buf_lit(&text, "[[");
	for (unsigned i = 0; i <= ROWS_MAX; i++)
		buf_str(&text, i ? STR(",1") : STR("1"));
	buf_lit(&text, "]]");
	buf_char(&text, '\0');
	call_refused(413, "batch_too_large", -1, "events.ingest", text.ptr);
	buf_free(&text);
}

static void takes_options(void **state)
{
	(void)state;
	brands_begin();
	const char *event = "[{'brand':'@','profileId':'p1','eventType':'BUY','eventId':'d1','payload':{'amount':20,'spend':0}}]";
	yyjson_val *answers = call_ok("events.ingest", textf("[%s,{'dry_run':true}]", event));
	assert_int_equal(int_at(answers, "/0/points"), 32);
	answers = call_ok("events.ingest", textf("[%s,{'customers':'strict'}]", event));
	assert_string_equal(text_at(answers, "/0/name"), "customer_unknown");
	answers = call_ok("events.ingest", textf("[%s]", event));
	assert_false(bool_at(answers, "/0/idempotent"));
	answers = call_ok("events.ingest", textf("[%s,null]", event));
	assert_true(bool_at(answers, "/0/idempotent"));
	answers = call_ok("events.ingest", textf("[%s,{'customers':'strict','dry_run':false}]", event));
	assert_true(bool_at(answers, "/0/idempotent"));
}

/* A whole batch twice, with one in it that differs; members over every shard. */
static void repeats_a_batch(void **state)
{
	struct buf events = { 0 };
	(void)state;
	brands_begin();
	buf_lit(&events, "[[");
	for (unsigned i = 0; i < 3000; i++)
		buf_printf(&events, "%s{'brand':'@','profileId':'m%u','eventType':'QUIET','eventId':'r%u','payload':{'n':%u}}", i ? "," : "",
			   i % 500, i, i);
	buf_lit(&events, "]]");
	buf_char(&events, '\0');
	for (int round = 0; round < 3; round++) {
		yyjson_val *answers = call_ok("events.ingest", events.ptr);
		assert_int_equal(size_of(answers), 3000);
		for (size_t i = 0; i < 3000; i++) {
			yyjson_val *entry = yyjson_arr_get(answers, i);
			if (round == 2 && i == 1234)
				assert_string_equal(text_at(entry, "/name"), "event_id_reused");
			else
				assert_int_equal(bool_at(entry, "/idempotent"), round > 0);
		}
		char *changed = strstr(events.ptr, "{'n':1234}");
		if (round == 1)
			memcpy(changed, "{'n':4321}", 10);
	}
	buf_free(&events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_like_http),
		cmocka_unit_test(knows_ids_of_the_other),
		cmocka_unit_test(refuses_malformed),
		cmocka_unit_test(takes_options),
		cmocka_unit_test(repeats_a_batch),
	};
	return harness_run("events over RPC", tests, COUNT_OF(tests), NULL);
}
