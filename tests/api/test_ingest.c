// SPDX-License-Identifier: Apache-2.0
/* test_ingest.c - many events at once, bounds of a request, and what a restart keeps. */
#include "tests/api/harness.h"

#define EARN_AMOUNT "[{'type':'earn_points_from_amount','rate':1.0,'amount_path':'amount'}]"
#define ROW(profile, id, amount) \
	"{'brand':'" BRAND "','profileId':'" profile "','eventType':'PURCHASE','eventId':'" id \
	"','payload':{'amount':" amount "}}"

static void make_purchase(const char *brand)
{
	make_type(brand, "PURCHASE");
	make_rule(NULL, brand, "PURCHASE", 0, NULL, EARN_AMOUNT);
}

#define BRAND "ORDER"
static void array_in_order(void **state)
{
	struct buf body = { 0 };
	yyjson_val *list;
	(void)state;
	make_purchase(BRAND);
	buf_char(&body, '[');
	for (int i = 0; i < 200; i++)
		buf_printf(&body,
			   "%s{\"brand\":\"" BRAND "\",\"profileId\":\"p-%d\",\"eventType\":\"PURCHASE\","
						   "\"eventId\":\"e-%d\","
			   "\"payload\":{\"amount\":%d}}", i ? "," : "", i % 7, i, i);
	buf_char(&body, ']');
	struct reply *reply = ask("POST /transactions", NULL, "application/json", buf_view(&body));
	assert_int_equal(reply->status, 200);
	list = yyjson_doc_get_root(reply->doc);
	assert_int_equal(size_of(list), 200);
	int64_t sums[7] = { 0 };
	for (int i = 0; i < 200; i++) {
		yyjson_val *row = json_at(list, textf("/%d", i));
		sums[i % 7] += i;
		json_is(row, "/eventId", textf("'e-%d'", i));
		assert_int_equal(int_at(row, "/points"), sums[i % 7]); /* a member's events in the order of the array */
		assert_false(bool_at(row, "/idempotent"));
	}
	for (int i = 0; i < 7; i++)
		assert_int_equal(wallet(BRAND, textf("p-%d", i)), sums[i]);
	reply = ask("POST /transactions", NULL, "application/json", buf_view(&body));
	assert_int_equal(reply->status, 200);
	for (int i = 0; i < 200; i++)
		assert_true(bool_at(yyjson_doc_get_root(reply->doc), textf("/%d/idempotent", i)));
	buf_free(&body);
	for (int i = 0; i < 7; i++)
		assert_int_equal(wallet(BRAND, textf("p-%d", i)), sums[i]);
}

#undef BRAND
#define BRAND "SPOIL"
static void bad_rows_spoil_themselves(void **state)
{
	static const struct { const char *row, *code; int status; } rows[] = {
		{ ROW("p", "e-0", "1"), NULL, 0 },
		{ "5", "validation_failed", 422 },
		{ ROW("p", "e-2", "2"), NULL, 0 },
		{ "{'brand':'" BRAND "','profileId':'p','eventType':'NONE','eventId':'e-3'}", "event_type_unknown",
		  400 },
		{ "{'brand':'" BRAND "','profileId':'p','eventType':'PURCHASE'}", "validation_failed", 422 },
		{ "{'brand':'NO_BRAND','profileId':'p','eventType':'PURCHASE','eventId':'e-5'}", "event_type_unknown",
		  400 },
		{ "[]", "validation_failed", 422 },
		{ ROW("q", "e-7", "4"), NULL, 0 },
	};
	struct buf body = { 0 };
	yyjson_val *list;
	(void)state;
	make_purchase(BRAND);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		buf_printf(&body, "%c%s", i ? ',' : '[', rows[i].row);
	buf_lit(&body, "]");
	buf_char(&body, '\0');
	list = want(200, "POST /transactions", NULL, body.ptr);
	buf_free(&body);
	assert_int_equal(size_of(list), COUNT_OF(rows));
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		yyjson_val *row = json_at(list, textf("/%zu", i));
		if (!rows[i].code) {
			json_is(row, "/status", "'PROCESSED'");
			continue;
		}
		assert_int_equal(int_at(row, "/index"), i);
		assert_int_equal(int_at(row, "/status"), rows[i].status);
		assert_string_equal(text_at(row, "/code"), rows[i].code);
	}
	assert_int_equal(wallet(BRAND, "p"), 3);
	assert_int_equal(wallet(BRAND, "q"), 4);
}

/* Lines of the last reply, each JSON; the caller frees the documents. */
static size_t reply_lines(yyjson_doc **docs, size_t max)
{
	size_t count = 0;
	for (const char *at = last_reply()->body.ptr; *at && count < max; count++) {
		size_t len = strcspn(at, "\n");
		docs[count] = yyjson_read(at, len, 0);
		assert_non_null(docs[count]);
		assert_int_equal(at[len], '\n');
		at += len + 1;
	}
	return count;
}

#undef BRAND
#define BRAND "LINES"
static void ndjson(void **state)
{
	yyjson_doc *docs[8];
	char type[60];
	(void)state;
	make_purchase(BRAND);
	want_typed(200, "POST /transactions", NULL, "application/x-ndjson",
		   ROW("p", "e-0", "1") "\n\n{'brand':\n" ROW("p", "e-2", "2") "\r\n" ROW("p", "e-0",
											  "1") "\n" ROW("p", "e-0",
													"9"));
	assert_true(reply_header(last_reply(), "Content-Type", type, sizeof type));
	assert_string_equal(type, "application/x-ndjson");
	assert_int_equal(reply_lines(docs, 8), 5);
	json_is(yyjson_doc_get_root(docs[0]), "/points", "1");
	json_is(yyjson_doc_get_root(docs[1]), "/code", "'json_invalid'");
	json_is(yyjson_doc_get_root(docs[1]), "/index", "1");
	json_is(yyjson_doc_get_root(docs[2]), "/points", "3");
	json_is(yyjson_doc_get_root(docs[3]), "/idempotent", "true");
	assert_string_equal(text_at(yyjson_doc_get_root(docs[3]), "/id"), text_at(yyjson_doc_get_root(docs[0]), "/id"));
	json_is(yyjson_doc_get_root(docs[4]), "/code", "'event_id_reused'");
	for (size_t i = 0; i < 5; i++)
		yyjson_doc_free(docs[i]);
	want_typed(200, "POST /transactions", NULL, "application/x-ndjson; charset=utf-8", "");
	assert_int_equal(last_reply()->body.len, 0);
	want_typed(200, "POST /transactions", NULL, "application/x-ndjson", "\n\r\n\n");
	assert_int_equal(last_reply()->body.len, 0);
	assert_int_equal(wallet(BRAND, "p"), 3);
}

#undef BRAND
#define BRAND "TWICE"
static void duplicates_inside_one_array(void **state)
{
	yyjson_val *list;
	(void)state;
	make_purchase(BRAND);
	list = want(200, "POST /transactions", NULL,
		    "[" ROW("p", "e-1", "5") "," ROW("p", "e-1", "5") "," ROW("p", "e-1", "6") "," ROW("q", "e-1",
												       "5") ","
		    ROW("r", "e-1", "5") "," ROW("s", "e-1", "5") "," ROW("p", "e-2", "1") "]");
	json_is(list, "/0/idempotent", "false");
	json_is(list, "/1/idempotent", "true");
	assert_string_equal(text_at(list, "/1/id"), text_at(list, "/0/id"));
	for (int i = 2; i < 6; i++) {
		json_is(list, textf("/%d/code", i), "'event_id_reused'");
		json_is(list, textf("/%d/status", i), "409");
		json_is(list, textf("/%d/index", i), textf("%d", i));
	}
	json_is(list, "/6/points", "6");
	assert_int_equal(size_of(want(200, "GET /transactions", BRAND, NULL)), 2);
	refused(404, "customer_unknown", NULL, "GET /wallet/" BRAND "/q", BRAND, NULL);
}

/* The same batch from one array over and over, the first of an id being refused: the id goes to the next one. */
static void refused_row_frees_its_id(void **state)
{
	yyjson_val *list;
	(void)state;
	make_purchase("FREED");
	list = want(200, "POST /transactions", NULL,
		    "[{'brand':'FREED','profileId':'p','eventType':'NONE','eventId':'e'},"
		    "{'brand':'FREED','profileId':'q','eventType':'PURCHASE','eventId':'e','payload':{'amount':3}}]");
	json_is(list, "/0/code", "'event_type_unknown'");
	json_is(list, "/1/points", "3");
}

static void empty_array(void **state)
{
	(void)state;
	json_is(want(200, "POST /transactions", NULL, "[]"), "", "[]");
	json_is(want(200, "POST /transactions", NULL, " [ ] "), "", "[]");
}

static void bounds_of_a_request(void **state)
{
	struct buf body = { 0 };
	(void)state;
	make_purchase("BOUND");
	for (int i = 0; i < 301; i++)              /* --rows-max 300 */
		buf_printf(&body, "%c{}", i ? ',' : '[');
	buf_lit(&body, "]");
	buf_char(&body, '\0');
	refused(413, "batch_too_large", NULL, "POST /transactions", NULL, body.ptr);
	body.len = 0;
	for (int i = 0; i < 301; i++)
		buf_lit(&body, "{}\n");
	buf_char(&body, '\0');
	want_typed(413, "POST /transactions", NULL, "application/x-ndjson", body.ptr);
	body.len = 0;
	buf_lit(&body,
		"{\"brand\":\"BOUND\",\"profileId\":\"p\",\"eventType\":\"PURCHASE\",\"eventId\":\"e\","
		"\"payload\":{\"x\":\"");
	while (body.len < 100 * 1024)              /* --body-max 64K */
		buf_char(&body, 'x');
	buf_lit(&body, "\"}}");
	struct reply *reply = ask("POST /transactions", NULL, "application/json", buf_view(&body));
	assert_int_equal(reply->status, 413);
	json_is(yyjson_doc_get_root(reply->doc), "/code", "'body_too_large'");
	buf_free(&body);
	assert_int_equal(size_of(want(200, "GET /transactions", "BOUND", NULL)), 0);
	send_event(201, "BOUND", "p", "PURCHASE", "e", "{'amount':1}");
}

/* Everything that can be asked of a brand, as one text. */
static void brand_dump(const char *brand, struct buf *out)
{
	static const char *const routes[] = { "/rules", "/admin/event-types", "/transactions?limit=1000",
					      "/admin/ui-options/customer-tags" };
	out->len = 0;
	for (size_t i = 0; i < COUNT_OF(routes); i++) {
		want(200, textf("GET %s", routes[i]), brand, NULL);
		buf_str(out, buf_view(&last_reply()->body));
		buf_char(out, '\n');
	}
	for (int i = 0; i < 20; i++) {
		want(200, textf("GET /customers/%s/p-%d", brand, i), brand, NULL);
		buf_str(out, buf_view(&last_reply()->body));
		want(200, textf("GET /customers/%s/p-%d/point-movements", brand, i), brand, NULL);
		buf_str(out, buf_view(&last_reply()->body));
		buf_char(out, '\n');
	}
	buf_char(out, '\0');
	out->len--;
}

static const char *const options[] = { "--body-max", "64K", "--rows-max", "300", NULL };

static void server_again(unsigned shards)
{
	server_start(&harness_server, shards, options);
}

/* Stops and starts with another number of shards each time; one of the stops is a kill. */
static void restart_keeps_everything(void **state)
{
	static const unsigned shards[] = { 4, 2, 1, 64, 3 };
	char first[64];
	struct buf before = { 0 }, after = { 0 };
	(void)state;
	make_purchase("AGAIN");
	make_type("AGAIN", "TAG");
	make_rule(NULL, "AGAIN", "TAG", 0, NULL,
		  "[{'type':'add_customer_tag','tag':'vip'},{'type':'burn_points','points':3}]");
	for (int i = 0; i < 20; i++)
		want(201, "POST /customers/upsert", "AGAIN", textf("{'profileId':'p-%d','name':'n%d','tags':['t%d']}",
								   i, i, i % 3));
	snprintf(first, sizeof first, "%s",
		 text_at(send_event(201, "AGAIN", "p-1", "PURCHASE", "first", "{'amount':120}"), "/id"));
	for (int i = 0; i < 60; i++)
		send_event(201, "AGAIN", textf("p-%d", i % 20), i % 9 ? "PURCHASE" : "TAG", textf("e-%d", i),
			   "{'amount':2.5}");
	int64_t points = wallet("AGAIN", "p-1");
	brand_dump("AGAIN", &before);
	for (size_t i = 0; i < COUNT_OF(shards); i++) {
		ask_close();
		if (i == 2)
			server_kill(&harness_server);  /* everything that was answered is durable */
		else
			server_stop(&harness_server);
		server_again(shards[i]);
		brand_dump("AGAIN", &after);
		assert_string_equal(after.ptr, before.ptr);
		yyjson_val *again = send_event(200, "AGAIN", "p-1", "PURCHASE", "first", "{'amount':120}");
		assert_string_equal(text_at(again, "/id"), first);
		json_is(again, "/idempotent", "true");
		for (int m = 0; m < 20; m++)
			if (m != 1)
				refused(409, "event_id_reused", NULL, "POST /transactions", NULL,
					textf("{'brand':'AGAIN','profileId':'p-%d','eventType':'PURCHASE',"
					      "'eventId':'first',"
					      "'source':'TEST','payload':{'amount':120}}", m));
		send_event(201, "AGAIN", "p-1", "PURCHASE", textf("after-%zu", i), "{'amount':1}");
		assert_int_equal(wallet("AGAIN", "p-1"), ++points);
		brand_dump("AGAIN", &before);
	}
	buf_free(&before);
	buf_free(&after);
	ask_close();
	server_stop(&harness_server);
	server_again(harness_shards);
}

/* Ids of configuration are not given twice, not even after the newest was deleted. */
static void ids_survive_a_restart(void **state)
{
	char last_id[32], id[32];
	(void)state;
	make_type("IDS", "PURCHASE");
	make_rule(last_id, "IDS", "PURCHASE", 0, NULL, EARN_AMOUNT);
	want(200, textf("DELETE /rules/%s", last_id), "IDS", NULL);
	ask_close();
	server_stop(&harness_server);
	server_again(harness_shards);
	make_rule(id, "IDS", "PURCHASE", 0, NULL, EARN_AMOUNT);
	assert_string_not_equal(id, last_id);
	refused(404, "not_found", NULL, textf("GET /rules/%s", last_id), "IDS", NULL);
}

static void second_server_is_refused(void **state)
{
	struct buf text = { 0 };
	(void)state;
	make_purchase("LOCK");
	int status = server_refused(&harness_server, NULL, &text);
	assert_int_not_equal(status, 0);
	if (!strstr(text.ptr, textf("%d", (int)harness_server.pid)))
		fail_msg("the refusal does not name process %d: %s", (int)harness_server.pid, text.ptr);
	buf_free(&text);
	send_event(201, "LOCK", "p", "PURCHASE", "e", "{'amount':4}");
	assert_int_equal(wallet("LOCK", "p"), 4);
}

static void bad_options_are_refused(void **state)
{
	static const char *const words[][3] = { { "--no-such", "1", NULL }, { "--shards", "0x1", NULL },
						{ "--log-ring", "3K", NULL },
						{ "--customers", "some", NULL }, { "--http", "nowhere", NULL } };
	struct buf text = { 0 };
	(void)state;
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		assert_int_equal(server_refused(&harness_server, words[i], &text), 64);
		if (!strstr(text.ptr, words[i][0] + 2))
			fail_msg("the error does not name %s: %s", words[i][0], text.ptr);
	}
	buf_free(&text);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(array_in_order),
	cmocka_unit_test(bad_rows_spoil_themselves),
	cmocka_unit_test(ndjson),
	cmocka_unit_test(duplicates_inside_one_array),
	cmocka_unit_test(refused_row_frees_its_id),
	cmocka_unit_test(empty_array),
	cmocka_unit_test(bounds_of_a_request),
	cmocka_unit_test(restart_keeps_everything),
	cmocka_unit_test(ids_survive_a_restart),
	cmocka_unit_test(second_server_is_refused),
	cmocka_unit_test(bad_options_are_refused),
};

int main(void)
{
	return harness_run("many events and restarts", tests, COUNT_OF(tests), options);
}
