// SPDX-License-Identifier: Apache-2.0
/* test_customer.c - system A feature by feature, second half: events and what is read back of them, customers, imports,
 * and the documented walk-through.  A test is named by the row of the features' list that it shows. */
#include "tests/api/harness.h"

#define EARN_AMOUNT "[{'type':'earn_points_from_amount','rate':1.0,'amount_path':'amount'}]"

static void make_purchase(const char *brand)
{
	make_type(brand, "PURCHASE");
	make_rule(NULL, brand, "PURCHASE", 0, NULL, EARN_AMOUNT);
}

static void a25_ingest(void **state)
{
	static const struct { const char *body, *pointers; } bad[] = {
		{ "{'profileId':'p','eventType':'PURCHASE','eventId':'x'}", "/brand" },
		{ "{'brand':'A25','eventType':'PURCHASE','eventId':'x'}", "/profileId" },
		{ "{'brand':'A25','profileId':'p','eventId':'x'}", "/eventType" },
		{ "{'brand':'A25','profileId':'p','eventType':'PURCHASE'}", "/eventId" },
		{ "{'brand':'A25','profileId':'','eventType':1,'eventId':null}", "/profileId /eventType /eventId" },
		{ "{'brand':'A25','profileId':'p','eventType':'PURCHASE','eventId':'x','payload':[]}", "/payload" },
		{ "{'brand':'A25','profileId':'p','eventType':'PURCHASE','eventId':'x','source':5}", "/source" },
		{ "{'brand':'A25','profileId':'p','eventType':'PURCHASE','eventId':'x','extra~/':5}", "/extra~0~1" },
		{ "{}", "/brand /profileId /eventType /eventId" },
	};
	yyjson_val *event;
	(void)state;
	make_purchase("A25");
	want(201, "POST /admin/event-types", "A25", "{'key':'OFF','origin':'EXTERNAL','name':'o','active':false}");
	want(201, "POST /admin/event-types", "A25", "{'key':'JOB','origin':'INTERNAL','name':'j'}");
	event = send_event(201, "A25", "p", "PURCHASE", "e-1", "{'amount':120,'currency':'EUR'}");
	assert_int_equal(strlen(text_at(event, "/id")), 32);
	json_is(event, "/brand", "'A25'");
	json_is(event, "/eventId", "'e-1'");
	json_is(event, "/profileId", "'p'");
	json_is(event, "/eventType", "'PURCHASE'");
	json_is(event, "/status", "'PROCESSED'");
	json_is(event, "/idempotent", "false");
	json_is(event, "/error_code", "null");
	json_is(event, "/points", "120");
	assert_true(int_at(event, "/lsn") > 0);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refused(422, "validation_failed", bad[i].pointers, "POST /transactions", NULL, bad[i].body);
	refused(400, "event_type_unknown", NULL, "POST /transactions", NULL,
		"{'brand':'A25','profileId':'p','eventType':'NONE','eventId':'x'}");
	refused(400, "event_type_inactive", NULL, "POST /transactions", NULL,
		"{'brand':'A25','profileId':'p','eventType':'OFF','eventId':'x'}");
	refused(400, "event_type_internal", NULL, "POST /transactions", NULL,
		"{'brand':'A25','profileId':'p','eventType':'JOB','eventId':'x'}");
	assert_int_equal(size_of(want(200, "GET /transactions", "A25", NULL)), 1);
	/* The id of a refused event is free. */
	send_event(201, "A25", "p", "PURCHASE", "x", "{'amount':1}");
}

static void a26_idempotency(void **state)
{
	static const struct { const char *profile, *type, *source, *payload, *field; } others[] = {
		{ "q", "PURCHASE", "TEST", "{'amount':120}", "profileId" },
		{ "p", "RETURN", "TEST", "{'amount':120}", "eventType" },
		{ "p", "PURCHASE", "SHOP", "{'amount':120}", "source" },
		{ "p", "PURCHASE", "TEST", "{'amount':121}", "payload" },
		{ "p", "PURCHASE", "TEST", "{}", "payload" },
	};
	char first[64];
	yyjson_val *again;
	(void)state;
	make_purchase("A26");
	make_type("A26", "RETURN");
	snprintf(first, sizeof first, "%s",
		 text_at(send_event(201, "A26", "p", "PURCHASE", "purchase_001", "{'amount':120}"), "/id"));
	for (int i = 0; i < 3; i++) {
		again = send_event(200, "A26", "p", "PURCHASE", "purchase_001", "{'amount':120}");
		assert_string_equal(text_at(again, "/id"), first);
		json_is(again, "/idempotent", "true");
		json_is(again, "/executions/0/result", "'SUCCESS'");
	}
	assert_int_equal(wallet("A26", "p"), 120);
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		refused(409, "event_id_reused", NULL, "POST /transactions", NULL,
			textf("{'brand':'A26','profileId':'%s','eventType':'%s','eventId':'purchase_001','source':'%s',"
			      "'payload':%s}",
			      others[i].profile, others[i].type, others[i].source, others[i].payload));
		assert_non_null(strstr(text_at(yyjson_doc_get_root(last_reply()->doc), "/detail"), others[i].field));
	}
	/* On whatever shard the other customers are, they do not get the id a second time, nor do they come into
	 * being. */
	for (int i = 0; i < 32; i++) {
		refused(409, "event_id_reused", NULL, "POST /transactions", NULL,
			textf("{'brand':'A26','profileId':'other-%d','eventType':'PURCHASE','eventId':'purchase_001',"
			      "'source':'TEST','payload':{'amount':120}}", i));
		refused(404, "customer_unknown", NULL, textf("GET /wallet/A26/other-%d", i), "A26", NULL);
	}
	assert_int_equal(wallet("A26", "p"), 120);
	assert_int_equal(size_of(want(200, "GET /transactions", "A26", NULL)), 1);
}

static void a27_customer_created_or_strict(void **state)
{
	(void)state;
	make_purchase("A27");
	refused(404, "customer_unknown", NULL, "POST /transactions?customers=strict", NULL,
		"{'brand':'A27','profileId':'p','eventType':'PURCHASE','eventId':'e-1','payload':{'amount':5}}");
	refused(404, "customer_unknown", NULL, "GET /customers/A27/p", "A27", NULL);
	refused(400, "query_invalid", NULL, "POST /transactions?customers=some", NULL, "{}");
	send_event(201, "A27", "p", "PURCHASE", "e-1", "{'amount':5}");
	json_is(want(200, "GET /customers/A27/p", "A27", NULL), "/status", "'ACTIVE'");
	want(201, "POST /transactions?customers=strict", NULL,
	     "{'brand':'A27','profileId':'p','eventType':'PURCHASE','eventId':'e-2','payload':{'amount':5}}");
	assert_int_equal(wallet("A27", "p"), 10);
}

static void a28_status(void **state)
{
	yyjson_val *event;
	(void)state;
	make_type("A28", "PLAIN");
	event = send_event(201, "A28", "p", "PLAIN", "e-1", "{}");
	json_is(event, "/status", "'PROCESSED'");
	json_is(event, "/error_code", "'NO_RULES'");
	json_is(event, "/executions", "[]");
	make_rule(NULL, "A28", "PLAIN", 0, NULL, "[{'type':'burn_points','points':1}]");
	json_is(send_event(201, "A28", "p", "PLAIN", "e-2", "{}"), "/status", "'PROCESSED_WITH_ERRORS'");
}

static void a29_list_transactions(void **state)
{
	char cursor[40] = "";
	size_t seen = 0;
	(void)state;
	make_purchase("A29");
	make_type("A29", "BURN");
	make_rule(NULL, "A29", "BURN", 0, NULL, "[{'type':'burn_points','points':1000}]");
	for (int i = 0; i < 25; i++)
		send_event(201, "A29", i % 5 == 0 ? "five" : textf("p-%d", i % 3), i == 24 ? "BURN" : "PURCHASE",
			   textf("e-%d", i),
			   "{'amount':1}");
	assert_int_equal(size_of(want(200, "GET /transactions", "A29", NULL)), 25);
	for (int i = 0; i < 25; i++)               /* newest first */
		json_is(yyjson_doc_get_root(last_reply()->doc), textf("/%d/eventId", i), textf("'e-%d'", 24 - i));
	assert_true(reply_header(last_reply(), "X-Total-Count", cursor, sizeof cursor));
	assert_string_equal(cursor, "25");
	assert_int_equal(size_of(want(200, "GET /transactions?profileId=five", "A29", NULL)), 5);
	assert_int_equal(size_of(want(200, "GET /transactions?profileId=five&limit=2&offset=4", "A29", NULL)), 1);
	json_is(yyjson_doc_get_root(last_reply()->doc), "/0/eventId", "'e-0'");
	assert_int_equal(size_of(want(200, "GET /transactions?profileId=nobody", "A29", NULL)), 0);
	assert_int_equal(size_of(want(200, "GET /transactions?eventType=BURN", "A29", NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /transactions?status=PROCESSED_WITH_ERRORS", "A29", NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /transactions?eventType=PURCHASE&status=PROCESSED", "A29", NULL)), 24);
	refused(400, "query_invalid", NULL, "GET /transactions?status=ODD", "A29", NULL);
	refused(400, "query_invalid", NULL, "GET /transactions?limit=-1", "A29", NULL);
	refused(400, "query_invalid", NULL, "GET /transactions?limit=1001", "A29", NULL);
	refused(400, "query_invalid", NULL, "GET /transactions?profileId=%zz", "A29", NULL);
	refused(400, "cursor_invalid", NULL, "GET /transactions?cursor=abc", "A29", NULL);
	/* Pages by cursor are the whole list, each event once. */
	for (const char *path = "GET /transactions?limit=4";; path = textf("GET /transactions?limit=4&cursor=%s",
									   cursor)) {
		yyjson_val *page = want(200, path, "A29", NULL);
		for (size_t i = 0; i < size_of(page); i++)
			json_is(page, textf("/%zu/eventId", i), textf("'e-%zu'", 24 - seen++));
		if (!reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor))
			break;
	}
	assert_int_equal(seen, 25);
}

static void a30_read_transaction(void **state)
{
	char id[64];
	yyjson_val *event;
	(void)state;
	make_purchase("A30");
	snprintf(id, sizeof id, "%s",
		 text_at(send_event(201, "A30", "p", "PURCHASE", "e-1", "{'amount':1.50,'t':'ä\\n'}"), "/id"));
	event = want(200, textf("GET /transactions/%s", id), "A30", NULL);
	json_is(event, "/eventId", "'e-1'");
	json_is(event, "/source", "'TEST'");
	json_is(event, "/payload", "{'amount':1.5,'t':'ä\\n'}");
	assert_non_null(strstr(last_reply()->body.ptr, "1.50"));       /* numbers stay as they were written */
	assert_string_equal(text_at(event, "/id"), id);
	assert_true(*text_at(event, "/created_at"));
	refused(404, "not_found", NULL, textf("GET /transactions/%s", id), "A30_OTHER", NULL);
	id[31] = id[31] == '0' ? '8' : '0';
	refused(404, "not_found", NULL, textf("GET /transactions/%s", id), "A30", NULL);
	refused(404, "not_found", NULL, "GET /transactions/short", "A30", NULL);
}

static void a53_options_event_types(void **state)
{
	yyjson_val *list;
	(void)state;
	want(201, "POST /admin/event-types", "A53", "{'key':'Z','origin':'EXTERNAL','name':'z'}");
	want(201, "POST /admin/event-types", "A53", "{'key':'OFF','origin':'EXTERNAL','name':'o','active':false}");
	want(201, "POST /admin/event-types", "A53", "{'key':'JOB_PING','origin':'INTERNAL','name':'j'}");
	assert_int_equal(size_of(want(200, "GET /admin/ui-options/event-types", "A53", NULL)), 2);
	list = want(200, "GET /admin/ui-options/event-types?origin=INTERNAL", "A53", NULL);
	assert_int_equal(size_of(list), 1);
	json_is(list, "/0/key", "'JOB_PING'");
	assert_int_equal(size_of(want(200, "GET /admin/ui-options/event-types?active=false", "A53", NULL)), 1);
	refused(400, "filter_unknown", NULL, "GET /admin/ui-options/event-types?cursor=2", "A53", NULL);
}

static void a56_upsert_customer(void **state)
{
	static const struct { const char *body, *pointers; } bad[] = {
		{ "{}", "/profileId" }, { "{'profileId':''}", "/profileId" }, { "{'profileId':'p','status':5}",
										"/status" },
		{ "{'profileId':'p','status':''}", "/status" }, { "{'profileId':'p','tags':'a'}", "/tags" },
		{ "{'profileId':'p','tags':['a',1,'']}", "/tags/1 /tags/2" }, { "{'profileId':'p','points':5}",
										"/points" }, { "[]", "" },
		{ "{'profileId':'p','events':1,'created_at':'x','statusPoints':1}", "/statusPoints /events /created_at" },
		{ "{'profileId':'p','last_activity_at':1,'loyaltyStatus':'G','debt':1,'lifetimePoints':1}",
		  "/lifetimePoints /loyaltyStatus /debt /last_activity_at" },
	};
	yyjson_val *customer;
	(void)state;
	customer = want(201, "POST /customers/upsert", "A56",
			"{'profileId':'p','name':'Ann','gender':'F','tags':['a','b']}");
	json_is(customer, "/status", "'ACTIVE'");
	json_is(customer, "/name", "'Ann'");
	want(200, "POST /customers/upsert", "A56", "{'profileId':'p','name':'Anna','birthdate':'1990-02-03'}");
	customer = want(200, "GET /customers/A56/p", "A56", NULL);
	json_is(customer, "/name", "'Anna'");
	json_is(customer, "/gender", "'F'");
	json_is(customer, "/birthdate", "'1990-02-03'");
	json_is(customer, "/tags", "['a','b']");
	want(200, "POST /customers/upsert", "A56",
	     "{'brand':'A56','profileId':'p','gender':null,'status':'BLOCKED','tags':[]}");
	customer = want(200, "GET /customers/A56/p", "A56", NULL);
	assert_null(yyjson_obj_get(customer, "gender"));
	json_is(customer, "/status", "'BLOCKED'");
	json_is(customer, "/tags", "[]");
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refused(422, "validation_failed", bad[i].pointers, "POST /customers/upsert", "A56", bad[i].body);
	/* Points are kept over an upsert. */
	make_purchase("A56");
	send_event(201, "A56", "p", "PURCHASE", "e-1", "{'amount':9}");
	want(200, "POST /customers/upsert", "A56", "{'profileId':'p','name':'A'}");
	assert_int_equal(wallet("A56", "p"), 9);
}

static void a57_read_customer(void **state)
{
	yyjson_val *customer;
	(void)state;
	refused(404, "customer_unknown", NULL, "GET /customers/A57/nobody", "A57", NULL);
	want(201, "POST /customers/upsert", "A57", "{'profileId':'a b/ü'}");
	customer = want(200, "GET /customers/A57/a%20b%2F%C3%BC", "A57", NULL);
	json_is(customer, "/profileId", "'a b/ü'");
	json_is(customer, "/brand", "'A57'");
	json_is(customer, "/points", "0");
	json_is(customer, "/loyaltyStatus", "null");
	json_is(customer, "/events", "0");
	refused(400, "path_invalid", NULL, "GET /customers/A57/%zz", "A57", NULL);
}

static void a58_wallet_two_routes(void **state)
{
	(void)state;
	make_purchase("A58");
	send_event(201, "A58", "p", "PURCHASE", "e-1", "{'amount':33}");
	json_is(want(200, "GET /wallet/A58/p", "A58", NULL), "", "{'brand':'A58','profileId':'p','points':33}");
	json_is(want(200, "GET /customers/A58/p/wallet", "A58", NULL), "",
		"{'brand':'A58','profileId':'p','points':33}");
	refused(404, "customer_unknown", NULL, "GET /wallet/A58/nobody", "A58", NULL);
	refused(404, "customer_unknown", NULL, "GET /customers/A58/nobody/wallet", "A58", NULL);
}

static void a59_point_movements(void **state)
{
	int64_t sum = 0;
	size_t i, max;
	yyjson_val *list, *item;
	char cursor[40];
	(void)state;
	make_purchase("A59");
	make_type("A59", "MIX");
	make_rule(NULL, "A59", "MIX", 0, NULL,
		  "[{'type':'earn_points','points':50},{'type':'burn_points','points':20},{'type':'earn_points',"
		  "'points':1}]");
	for (int e = 0; e < 10; e++)
		send_event(201, "A59", "p", e % 3 ? "PURCHASE" : "MIX", textf("e-%d", e), "{'amount':7}");
	want(200, "POST /customers/upsert", "A59", "{'profileId':'p','name':'x'}");
	list = want(200, "GET /customers/A59/p/point-movements", "A59", NULL);
	assert_int_equal(size_of(list), 4 * 3 + 6);
	yyjson_arr_foreach(list, i, max, item) {
		int64_t points = int_at(item, "/points");
		assert_string_equal(text_at(item, "/type"), points > 0 ? "EARN" : "BURN");
		assert_int_equal(strlen(text_at(item, "/transaction_id")), 32);
		assert_true(*text_at(item, "/created_at"));
		sum += points;
	}
	json_is(list, "/0/eventId", "'e-9'");
	json_is(list, "/0/points", "1");
	json_is(list, "/1/points", "-20");
	assert_int_equal(int_at(list, "/0/balance"), sum);
	assert_int_equal(wallet("A59", "p"), sum);
	/* By pages the sum is the same. */
	size_t seen = 0;
	for (const char *path = "GET /customers/A59/p/point-movements?limit=4";;
	     path = textf("GET /customers/A59/p/point-movements?limit=4&cursor=%s", cursor)) {
		list = want(200, path, "A59", NULL);
		seen += size_of(list);
		yyjson_arr_foreach(list, i, max, item)
			sum -= int_at(item, "/points");
		if (!reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor))
			break;
	}
	assert_int_equal(seen, 18);
	assert_int_equal(sum, 0);
	refused(404, "customer_unknown", NULL, "GET /customers/A59/nobody/point-movements", "A59", NULL);
	want(201, "POST /customers/upsert", "A59", "{'profileId':'idle'}");
	assert_int_equal(size_of(want(200, "GET /customers/A59/idle/point-movements", "A59", NULL)), 0);
}

static void a63_import_customers(void **state)
{
	static const char file[] = "brand,profileId,status,tags,name,visits\r\n"
				   "A63,c-1,GOLD,a|b,\"Smith, Ann\",3\r\n"
				   "A63_B,c-2,,,Bob,\r\n"
				   ",c-3,,,Eve,\r\n";
	yyjson_val *answer;
	(void)state;
	answer = want_typed(200, "POST /imports/customers?dry_run=true", NULL, "text/csv", file);
	json_is(answer, "/imported", "2");
	refused(404, "customer_unknown", NULL, "GET /customers/A63/c-1", "A63", NULL);
	answer = want_typed(200, "POST /imports/customers", NULL, "text/csv", file);
	json_is(answer, "/imported", "2");
	json_is(answer, "/failed", "1");
	assert_int_equal(size_of(json_at(answer, "/errors")), 1);
	json_is(answer, "/errors/0/line", "4");
	answer = want(200, "GET /customers/A63/c-1", "A63", NULL);
	json_is(answer, "/status", "'GOLD'");
	json_is(answer, "/tags", "['a','b']");
	json_is(answer, "/name", "'Smith, Ann'");
	json_is(answer, "/visits", "3");
	json_is(want(200, "GET /customers/A63_B/c-2", "A63_B", NULL), "/status", "'ACTIVE'");
	want_typed(200, "POST /imports/customers", NULL, "text/csv", "brand,profileId,name\nA63,c-1,Ann\n");
	answer = want(200, "GET /customers/A63/c-1", "A63", NULL);
	json_is(answer, "/name", "'Ann'");
	json_is(answer, "/tags", "['a','b']");
	want_typed(422, "POST /imports/customers", NULL, "text/csv", "");
	want_typed(422, "POST /imports/customers", NULL, "text/csv", "profileId\nx\n");
	want_typed(422, "POST /imports/customers", NULL, "text/csv", "brand,profileId\nA63,\"x\n");
	want_typed(415, "POST /imports/customers", NULL, "application/json", "{}");
	json_is(want_typed(200, "POST /imports/customers", NULL, "text/csv", "brand,profileId\n"), "/imported", "0");
}

static void a63_multipart(void **state)
{
	static const char body[] = "--XX\r\nContent-Disposition: form-data; name='note'\r\n\r\nhi\r\n"
				   "--XX\r\nContent-Disposition: form-data; name='file'; filename='c.csv'\r\n"
				   "Content-Type: text/csv\r\n\r\nbrand,profileId,name\nA63_M,m-1,Mia\n\r\n--XX--\r\n";
	(void)state;
	json_is(want_typed(200, "POST /imports/customers", NULL, "multipart/form-data; boundary=XX", body),
		"/imported", "1");
	json_is(want(200, "GET /customers/A63_M/m-1", "A63_M", NULL), "/name", "'Mia'");
	want_typed(422, "POST /imports/customers", NULL, "multipart/form-data; boundary=YY", body);
	want_typed(422, "POST /imports/customers", NULL, "multipart/form-data; boundary=XX",
		   "--XX\r\nContent-Disposition: form-data; name='other'\r\n\r\nbrand\r\n--XX--\r\n");
}

static void a64_import_events(void **state)
{
	static const char file[] = "brand,profileId,eventType,eventId,source,payload.amount,payload.shop\n"
				   "A64,p,PURCHASE,i-1,CSV,10,x\n"
				   "A64,q,PURCHASE,i-2,CSV,20.5,y\n";
	yyjson_val *answer;
	(void)state;
	make_purchase("A64");
	want(201, "POST /customers/upsert", "A64", "{'profileId':'p'}");
	/* q does not exist: nothing is ingested, also not for p. */
	answer = want_typed(422, "POST /imports/events", NULL, "text/csv", file);
	json_is(answer, "/imported", "0");
	json_is(answer, "/errors/0/line", "3");
	assert_int_equal(size_of(want(200, "GET /transactions", "A64", NULL)), 0);
	want(201, "POST /customers/upsert", "A64", "{'profileId':'q'}");
	/* A malformed row has the same effect. */
	want_typed(422, "POST /imports/events", NULL, "text/csv",
		   "brand,profileId,eventType,eventId\nA64,p,PURCHASE,i-8\nA64,p,PURCHASE\n");
	want_typed(422, "POST /imports/events", NULL, "text/csv",
		   "brand,profileId,eventType,eventId,payload\nA64,p,PURCHASE,i-8,{}\nA64,p,PURCHASE,i-9,nonsense\n");
	assert_int_equal(size_of(want(200, "GET /transactions", "A64", NULL)), 0);
	json_is(want_typed(200, "POST /imports/events?dry_run=true", NULL, "text/csv", file), "/created", "2");
	assert_int_equal(size_of(want(200, "GET /transactions", "A64", NULL)), 0);
	answer = want_typed(200, "POST /imports/events", NULL, "text/csv", file);
	json_is(answer, "/created", "2");
	json_is(answer, "/idempotentExisting", "0");
	answer = want_typed(200, "POST /imports/events", NULL, "text/csv", file);
	json_is(answer, "/created", "0");
	json_is(answer, "/idempotentExisting", "2");
	json_is(answer, "/failed", "0");
	assert_int_equal(wallet("A64", "p"), 10);
	assert_int_equal(wallet("A64", "q"), 20);
	json_is(want(200, "GET /transactions?profileId=q", "A64", NULL), "/0/payload", "{'amount':20.5,'shop':'y'}");
	/* A payload column of JSON; one row that was there with other content. */
	answer = want_typed(200, "POST /imports/events", NULL, "text/csv",
			    "brand,profileId,eventType,eventId,payload\nA64,p,PURCHASE,i-3,\"{''amount'':5}\"\n"
			    "A64,p,PURCHASE,i-1,\"{''amount'':5}\"\n");
	json_is(answer, "/created", "1");
	json_is(answer, "/failed", "1");
	json_is(answer, "/errors/0/line", "3");
	json_is(answer, "/errors/0/code", "'event_id_reused'");
	assert_int_equal(wallet("A64", "p"), 15);
}

static void a55_a72_customer_tags(void **state)
{
	(void)state;
	json_is(want(201, "POST /customers/upsert", "A72", "{'profileId':'p','tags':['b','a','b']}"), "/tags",
		"['a','b']");
	json_is(want(200, "GET /customers/A72/p", "A72", NULL), "/tags", "['a','b']");
	want(201, "POST /customers/upsert", "A72", "{'profileId':'q','tags':['a','c']}");
	want(201, "POST /customers/upsert", "A72_OTHER", "{'profileId':'p','tags':['z']}");
	json_is(want(200, "GET /admin/ui-options/customer-tags", "A72", NULL), "", "['a','b','c']");
	make_type("A72", "TAG");
	make_rule(NULL, "A72", "TAG", 0, NULL, "[{'type':'add_customer_tag','tag':'d'}]");
	send_event(201, "A72", "r", "TAG", "e-1", "{}");
	json_is(want(200, "GET /admin/ui-options/customer-tags", "A72", NULL), "", "['a','b','c','d']");
	want(200, "POST /customers/upsert", "A72", "{'profileId':'q','tags':[]}");
	json_is(want(200, "GET /admin/ui-options/customer-tags", "A72", NULL), "", "['a','b','d']");
	json_is(want(200, "GET /admin/ui-options/customer-tags", "A72_NONE", NULL), "", "[]");
}

static void a73_quick_start(void **state)
{
	(void)state;
	want(201, "POST /admin/event-types", "BRAND_A",
	     "{'key':'PURCHASE','origin':'EXTERNAL','name':'Purchase','description':'Customer purchase','active':true,"
	     "'payload_schema':null}");
	want(201, "POST /rules", "BRAND_A",
	     "{'brand':'BRAND_A','event_type':'PURCHASE','priority':0,'active':true,'conditions':null,"
	     "'actions':" EARN_AMOUNT "}");
	want(201, "POST /transactions", NULL,
	     "{'brand':'BRAND_A','profileId':'p-1','eventType':'PURCHASE','eventId':'purchase_001','source':'API',"
	     "'payload':{'amount':120}}");
	json_is(want(200, "GET /wallet/BRAND_A/p-1", "BRAND_A", NULL), "",
		"{'brand':'BRAND_A','profileId':'p-1','points':120}");
}

static void dry_run_leaves_nothing(void **state)
{
	yyjson_val *event;
	(void)state;
	make_purchase("DRY");
	event = want(200, "POST /transactions?dry_run=true", NULL,
		     "{'brand':'DRY','profileId':'p','eventType':'PURCHASE','eventId':'e-1','payload':{'amount':5}}");
	json_is(event, "/points", "5");
	json_is(event, "/executions/0/result", "'SUCCESS'");
	refused(404, "customer_unknown", NULL, "GET /wallet/DRY/p", "DRY", NULL);
	assert_int_equal(size_of(want(200, "GET /transactions", "DRY", NULL)), 0);
	want(200, "POST /rules?dry_run=true", "DRY", "{'event_type':'PURCHASE','actions':" EARN_AMOUNT "}");
	refused(422, NULL, "/actions", "POST /rules?dry_run=true", "DRY", "{'event_type':'PURCHASE'}");
	assert_int_equal(size_of(want(200, "GET /rules", "DRY", NULL)), 1);
	want(200, "POST /customers/upsert?dry_run=true", "DRY", "{'profileId':'q'}");
	refused(404, "customer_unknown", NULL, "GET /customers/DRY/q", "DRY", NULL);
	refused(400, "query_invalid", NULL, "POST /customers/upsert?dry_run=maybe", "DRY", "{'profileId':'q'}");
	/* The real one is not a repeat. */
	json_is(send_event(201, "DRY", "p", "PURCHASE", "e-1", "{'amount':5}"), "/idempotent", "false");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a25_ingest),
	cmocka_unit_test(a26_idempotency),
	cmocka_unit_test(a27_customer_created_or_strict),
	cmocka_unit_test(a28_status),
	cmocka_unit_test(a29_list_transactions),
	cmocka_unit_test(a30_read_transaction),
	cmocka_unit_test(a53_options_event_types),
	cmocka_unit_test(a56_upsert_customer),
	cmocka_unit_test(a57_read_customer),
	cmocka_unit_test(a58_wallet_two_routes),
	cmocka_unit_test(a59_point_movements),
	cmocka_unit_test(a63_import_customers),
	cmocka_unit_test(a63_multipart),
	cmocka_unit_test(a64_import_events),
	cmocka_unit_test(a55_a72_customer_tags),
	cmocka_unit_test(a73_quick_start),
	cmocka_unit_test(dry_run_leaves_nothing),
};

int main(void)
{
	return harness_run("events and customers", tests, COUNT_OF(tests), NULL);
}
