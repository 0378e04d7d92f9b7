// SPDX-License-Identifier: Apache-2.0
/* test_brand.c - system A feature by feature: configuration, rules, customers, reads, imports.  A test is named by the
 * row of the features' list that it shows. */
#include "tests/api/harness.h"

#define EARN_AMOUNT "[{'type':'earn_points_from_amount','rate':1.0,'amount_path':'amount'}]"
#define EARN(points) "[{'type':'earn_points','points':" #points "}]"

static void a1_health(void **state)
{
	(void)state;
	json_is(want(200, "GET /", NULL, NULL), "", "{'message':'Loyalty Engine is running'}");
	json_is(want(200, "GET /", "ANY", NULL), "", "{'message':'Loyalty Engine is running'}");
}

static void a2_brand_scoping(void **state)
{
	static const char *const routes[] = {
		"GET /rules", "POST /rules", "GET /rules/1", "PATCH /rules/1", "DELETE /rules/1",
		"GET /admin/event-types",
		"POST /admin/event-types", "GET /admin/event-types/1", "GET /transactions", "GET /transactions/0",
		"GET /transactions/0/executions", "POST /customers/upsert", "GET /customers/A2/p",
		"GET /customers/A2/p/wallet",
		"GET /customers/A2/p/point-movements", "GET /wallet/A2/p", "GET /admin/ui-options/event-types",
		"GET /admin/ui-options/customer-tags",
	};
	char type[32], rule[32], transaction[64];
	(void)state;
	for (size_t i = 0; i < COUNT_OF(routes); i++)
		refused(400, "brand_missing", NULL, routes[i], NULL,
			routes[i][0] == 'G' || routes[i][0] == 'D' ? NULL : "{}");
	make_type("A2", "PURCHASE");
	snprintf(type, sizeof type, "%s",
		 text_at(yyjson_arr_get_first(want(200, "GET /admin/event-types", "A2", NULL)), "/id"));
	make_rule(rule, "A2", "PURCHASE", 0, NULL, EARN(5));
	snprintf(transaction, sizeof transaction, "%s",
		 text_at(send_event(201, "A2", "p", "PURCHASE", "e-1", "{}"), "/id"));
	assert_int_equal(size_of(want(200, "GET /rules", "A2", NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /rules", "A2_OTHER", NULL)), 0);
	assert_int_equal(size_of(want(200, "GET /admin/event-types", "A2_OTHER", NULL)), 0);
	assert_int_equal(size_of(want(200, "GET /transactions", "A2_OTHER", NULL)), 0);
	refused(404, "not_found", NULL, textf("GET /rules/%s", rule), "A2_OTHER", NULL);
	refused(404, "not_found", NULL, textf("PATCH /rules/%s", rule), "A2_OTHER", "{'priority':9}");
	refused(404, "not_found", NULL, textf("DELETE /rules/%s", rule), "A2_OTHER", NULL);
	refused(404, "not_found", NULL, textf("GET /admin/event-types/%s", type), "A2_OTHER", NULL);
	refused(404, "not_found", NULL, textf("GET /transactions/%s", transaction), "A2_OTHER", NULL);
	refused(404, "not_found", NULL, textf("GET /transactions/%s/executions", transaction), "A2_OTHER", NULL);
	refused(404, "customer_unknown", NULL, "GET /customers/A2_OTHER/p", "A2_OTHER", NULL);
	refused(404, "customer_unknown", NULL, "GET /wallet/A2_OTHER/p", "A2_OTHER", NULL);
	assert_int_equal(int_at(want(200, textf("GET /rules/%s", rule), "A2", NULL), "/priority"), 0);
}

static void a3_brand_in_payload(void **state)
{
	(void)state;
	make_type("A3", "PURCHASE");
	refused(400, "brand_mismatch", NULL, "POST /rules", "A3",
		"{'brand':'A3_B','event_type':'PURCHASE','actions':" EARN(1) "}");
	assert_int_equal(size_of(want(200, "GET /rules", "A3", NULL)), 0);
	want(201, "POST /rules", "A3", "{'brand':'A3','event_type':'PURCHASE','actions':" EARN(1) "}");
	refused(400, "brand_mismatch", NULL, "POST /admin/event-types", "A3",
		"{'brand':'A3_B','key':'X','origin':'EXTERNAL','name':'X'}");
	refused(400, "brand_mismatch", NULL, "POST /customers/upsert", "A3", "{'brand':'A3_B','profileId':'p'}");
	refused(400, "brand_mismatch", NULL, "POST /transactions", "A3",
		"{'brand':'A3_B','profileId':'p','eventType':'PURCHASE','eventId':'e'}");
}

static void a4_brand_in_path(void **state)
{
	static const char *const paths[] = { "/wallet/A4/p", "/customers/A4/p", "/customers/A4/p/wallet",
					     "/customers/A4/p/point-movements" };
	(void)state;
	want(201, "POST /customers/upsert", "A4", "{'profileId':'p'}");
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		refused(400, "brand_mismatch", NULL, textf("GET %s", paths[i]), "A4_B", NULL);
		want(200, textf("GET %s", paths[i]), "A4", NULL);
	}
}

static void a5_multi_brand_ingestion(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *brand = i ? "A5_B" : "A5_A";
		make_type(brand, "PURCHASE");
		make_rule(NULL, brand, "PURCHASE", 0, NULL, i ? EARN(20) : EARN(10));
	}
	/* The same event id and the same customer, in two brands: two things. */
	send_event(201, "A5_A", "p", "PURCHASE", "e-1", "{}");
	send_event(201, "A5_B", "p", "PURCHASE", "e-1", "{}");
	assert_int_equal(wallet("A5_A", "p"), 10);
	assert_int_equal(wallet("A5_B", "p"), 20);
	assert_string_equal(text_at(yyjson_arr_get_first(want(200, "GET /transactions", "A5_A", NULL)), "/brand"),
			    "A5_A");
	assert_int_equal(size_of(want(200, "GET /transactions", "A5_B", NULL)), 1);
}

static void a12_create_event_type(void **state)
{
	static const char purchase[] = "{'key':'PURCHASE','origin':'EXTERNAL','name':'Purchase',"
				       "'description':'A purchase',"
				       "'active':true,'payload_schema':null}";
	yyjson_val *type;
	(void)state;
	type = want(201, "POST /admin/event-types", "A12", purchase);
	assert_true(*text_at(type, "/id"));
	json_is(type, "/brand", "'A12'");
	json_is(type, "/key", "'PURCHASE'");
	json_is(type, "/description", "'A purchase'");
	json_is(type, "/payload_schema", "null");
	refused(409, "duplicate", NULL, "POST /admin/event-types", "A12", purchase);
	want(201, "POST /admin/event-types", "A12_OTHER", purchase);
	refused(422, NULL, "/origin", "POST /admin/event-types", "A12", "{'key':'X','origin':'OTHER','name':'X'}");
	refused(422, NULL, "/key /name /active", "POST /admin/event-types", "A12",
		"{'key':'','origin':'EXTERNAL','active':1}");
	refused(422, NULL, "/colour", "POST /admin/event-types", "A12",
		"{'key':'X','origin':'EXTERNAL','name':'X','colour':'red'}");
	assert_true(bool_at(want(201, "POST /admin/event-types", "A12", "{'key':'D','origin':'INTERNAL','name':'d'}"),
			    "/active"));
	assert_int_equal(size_of(want(200, "GET /admin/event-types", "A12", NULL)), 2);
}

static void a12_payload_schema(void **state)
{
	(void)state;
	want(201, "POST /admin/event-types", "A12_S",
	     "{'key':'PURCHASE','origin':'EXTERNAL','name':'p','payload_schema':{'type':'object','required':['amount'],"
	     "'properties':{'amount':{'type':'number','minimum':0}}}}");
	make_rule(NULL, "A12_S", "PURCHASE", 0, NULL, EARN_AMOUNT);
	send_event(201, "A12_S", "p", "PURCHASE", "e-1", "{'amount':7}");
	refused(422, "validation_failed", "/payload/amount", "POST /transactions", NULL,
		"{'brand':'A12_S','profileId':'p','eventType':'PURCHASE','eventId':'e-2','payload':{'amount':-1}}");
	refused(422, "validation_failed", NULL, "POST /transactions", NULL,
		"{'brand':'A12_S','profileId':'q','eventType':'PURCHASE','eventId':'e-3','payload':{}}");
	/* No payload, or null, is an empty one. */
	refused(422, "validation_failed", NULL, "POST /transactions", NULL,
		"{'brand':'A12_S','profileId':'q','eventType':'PURCHASE','eventId':'e-4'}");
	refused(422, "validation_failed", NULL, "POST /transactions", NULL,
		"{'brand':'A12_S','profileId':'q','eventType':'PURCHASE','eventId':'e-5','payload':null}");
	assert_int_equal(wallet("A12_S", "p"), 7);
	refused(404, "customer_unknown", NULL, "GET /wallet/A12_S/q", "A12_S", NULL);
	refused(422, NULL, "/payload_schema/type", "POST /admin/event-types", "A12_S",
		"{'key':'BAD','origin':'EXTERNAL','name':'b','payload_schema':{'type':'nonsense'}}");
}

static void a13_list_event_types(void **state)
{
	char id[32];
	(void)state;
	want(201, "POST /admin/event-types", "A13", "{'key':'B','origin':'EXTERNAL','name':'b'}");
	want(201, "POST /admin/event-types", "A13", "{'key':'A','origin':'INTERNAL','name':'a'}");
	snprintf(id, sizeof id, "%s",
		 text_at(want(201, "POST /admin/event-types", "A13",
			      "{'key':'C','origin':'EXTERNAL','name':'c','active':false}"),
			 "/id"));
	assert_int_equal(size_of(want(200, "GET /admin/event-types", "A13", NULL)), 3);
	assert_int_equal(size_of(want(200, "GET /admin/event-types?active=true", "A13", NULL)), 2);
	assert_int_equal(size_of(want(200, "GET /admin/event-types?active=false", "A13", NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /admin/event-types?origin=EXTERNAL&active=true", "A13", NULL)), 1);
	json_is(want(200, textf("GET /admin/event-types/%s", id), "A13", NULL), "/key", "'C'");
	json_is(want(200, textf("GET /admin/event-types/%s/", id), "A13", NULL), "/key", "'C'");
	refused(404, "not_found", NULL, "GET /admin/event-types/99999999", "A13", NULL);
	refused(404, "not_found", NULL, "GET /admin/event-types/nonsense", "A13", NULL);
	refused(400, "query_invalid", NULL, "GET /admin/event-types?limit=x", "A13", NULL);
	refused(400, "query_invalid", NULL, "GET /admin/event-types?limit=0", "A13", NULL);
	char total[20];
	assert_int_equal(size_of(want(200, "GET /admin/event-types?limit=1&offset=2", "A13", NULL)), 1);
	assert_true(reply_header(last_reply(), "X-Total-Count", total, sizeof total));
	assert_string_equal(total, "3");
}

static void a14_update_event_type(void **state)
{
	char id[32];
	yyjson_val *type;
	(void)state;
	snprintf(id, sizeof id, "%s",
		 text_at(want(201, "POST /admin/event-types", "A14",
			      "{'key':'PURCHASE','origin':'EXTERNAL','name':'n'}"), "/id"));
	type = want(200, textf("PATCH /admin/event-types/%s", id), "A14", "{'active':false,'name':'other'}");
	json_is(type, "/active", "false");
	json_is(type, "/name", "'other'");
	json_is(type, "/key", "'PURCHASE'");
	json_is(type, "/version", "2");
	refused(400, "event_type_inactive", NULL, "POST /rules", "A14",
		"{'event_type':'PURCHASE','actions':" EARN(1) "}");
	refused(400, "event_type_inactive", NULL, "POST /transactions", NULL,
		"{'brand':'A14','profileId':'p','eventType':'PURCHASE','eventId':'e'}");
	refused(422, NULL, "/key", textf("PATCH /admin/event-types/%s", id), "A14", "{'key':'OTHER'}");
	refused(422, NULL, "/origin", textf("PATCH /admin/event-types/%s", id), "A14", "{'origin':null}");
	refused(404, "not_found", NULL, "PATCH /admin/event-types/99999999", "A14", "{'name':'x'}");
	want(200, textf("PATCH /admin/event-types/%s", id), "A14", "{'active':true}");
	send_event(201, "A14", "p", "PURCHASE", "e", "{}");
}

static void a15_delete_event_type(void **state)
{
	char id[32], rule[32];
	(void)state;
	snprintf(id, sizeof id, "%s",
		 text_at(want(201, "POST /admin/event-types", "A15",
			      "{'key':'PURCHASE','origin':'EXTERNAL','name':'n'}"), "/id"));
	make_rule(rule, "A15", "PURCHASE", 0, NULL, EARN(1));
	refused(409, "in_use", NULL, textf("DELETE /admin/event-types/%s", id), "A15", NULL);
	json_is(want(200, textf("DELETE /rules/%s", rule), "A15", NULL), "", "{'deleted':true}");
	json_is(want(200, textf("DELETE /admin/event-types/%s", id), "A15", NULL), "", "{'deleted':true}");
	refused(404, "not_found", NULL, textf("GET /admin/event-types/%s", id), "A15", NULL);
	refused(404, "not_found", NULL, textf("DELETE /admin/event-types/%s", id), "A15", NULL);
	assert_int_equal(size_of(want(200, "GET /admin/event-types", "A15", NULL)), 0);
	refused(400, "event_type_unknown", NULL, "POST /transactions", NULL,
		"{'brand':'A15','profileId':'p','eventType':'PURCHASE','eventId':'e'}");
	make_type("A15", "PURCHASE");
	send_event(201, "A15", "p", "PURCHASE", "e", "{}");
}

static void a16_create_rule(void **state)
{
	static const struct { const char *body, *pointers; } bad[] = {
		{ "{'event_type':'PURCHASE'}", "/actions" },
		{ "{'actions':[]}", "/event_type" },
		{ "{'event_type':'PURCHASE','actions':{}}", "/actions" },
		{ "{'event_type':'PURCHASE','actions':[1]}", "/actions/0" },
		{ "{'event_type':'PURCHASE','actions':[{}]}", "/actions/0/type" },
		{ "{'event_type':'PURCHASE','actions':[{'type':'fly'}]}", "/actions/0/type" },
		{ "{'event_type':'PURCHASE','actions':" EARN(1) ",'priority':-1}", "/priority" },
		{ "{'event_type':'PURCHASE','actions':" EARN(1) ",'priority':1.5}", "/priority" },
		{ "{'event_type':'PURCHASE','actions':" EARN(1) ",'active':'yes'}", "/active" },
		{ "{'event_type':'PURCHASE','actions':" EARN(1) ",'conditions':{'no_such_leaf':1}}",
		  "/conditions/no_such_leaf" },
		{ "{'event_type':'PURCHASE','actions':[{'type':'earn_points'}]}", "/actions/0" },
		{ "{'event_type':'PURCHASE','actions':[{'type':'earn_points','points':1,'from_payload':'x'}]}",
		  "/actions/0" },
		{ "{'event_type':'PURCHASE','actions':[{'type':'earn_points','points':0}]}", "/actions/0/points" },
		{ "{'event_type':'PURCHASE','actions':[{'type':'earn_points_from_amount','rate':-1}]}",
		  "/actions/0/rate" },
		{ "{'event_type':'PURCHASE','actions':[{'type':'earn_points_from_amount'}]}", "/actions/0/rate" },
		{ "{'event_type':'PURCHASE','actions':[{'type':'set_customer_status'},{'type':'add_customer_tag'}]}",
		  "/actions/0/status /actions/1/tag" },
		{ "[]", "" },
	};
	yyjson_val *rule;
	(void)state;
	make_type("A16", "PURCHASE");
	refused(400, "event_type_unknown", NULL, "POST /rules", "A16", "{'event_type':'NONE','actions':" EARN(1) "}");
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refused(422, NULL, bad[i].pointers, "POST /rules", "A16", bad[i].body);
	assert_int_equal(size_of(want(200, "GET /rules", "A16", NULL)), 0);
	rule = want(201, "POST /rules", "A16",
		    "{'event_type':'PURCHASE','priority':0,'active':true,'conditions':null,'actions':" EARN_AMOUNT "}");
	assert_true(*text_at(rule, "/id"));
	json_is(rule, "/conditions", "null");
	json_is(rule, "/actions/0/type", "'earn_points_from_amount'");
}

static void a17_list_rules(void **state)
{
	static const int priorities[] = { 5, 0, 5, 2 };
	char ids[4][32];
	yyjson_val *rules;
	(void)state;
	make_type("A17", "PURCHASE");
	make_type("A17", "RETURN");
	for (size_t i = 0; i < 4; i++)
		make_rule(ids[i], "A17", i == 3 ? "RETURN" : "PURCHASE", priorities[i], NULL, EARN(1));
	rules = want(200, "GET /rules", "A17", NULL);
	static const size_t order[] = { 1, 3, 0, 2 };
	assert_int_equal(size_of(rules), 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(text_at(rules, textf("/%zu/id", i)), ids[order[i]]);
	json_is(want(200, textf("GET /rules/%s", ids[3]), "A17", NULL), "/event_type", "'RETURN'");
	assert_int_equal(size_of(want(200, "GET /rules?event_type=RETURN", "A17", NULL)), 1);
	assert_string_equal(text_at(want(200, "GET /rules?limit=2&offset=1", "A17", NULL), "/0/id"), ids[3]);
}

static void a18_update_rule(void **state)
{
	char id[32];
	(void)state;
	make_type("A18", "PURCHASE");
	want(201, "POST /admin/event-types", "A18", "{'key':'OFF','origin':'EXTERNAL','name':'o','active':false}");
	make_rule(id, "A18", "PURCHASE", 3, NULL, EARN(1));
	refused(400, "event_type_inactive", NULL, textf("PATCH /rules/%s", id), "A18", "{'event_type':'OFF'}");
	refused(400, "event_type_unknown", NULL, textf("PATCH /rules/%s", id), "A18", "{'event_type':'NONE'}");
	refused(422, NULL, "/actions/0/type", textf("PATCH /rules/%s", id), "A18", "{'actions':[{'type':'fly'}]}");
	json_is(want(200, textf("GET /rules/%s", id), "A18", NULL), "/event_type", "'PURCHASE'");
	json_is(want(200, textf("PATCH /rules/%s", id), "A18", "{'actions':" EARN(9) "}"), "/priority", "3");
	json_is(send_event(201, "A18", "p", "PURCHASE", "e-1", "{}"), "/points", "9");
	want(200, textf("PATCH /rules/%s", id), "A18", "{'active':false}");
	json_is(send_event(201, "A18", "p", "PURCHASE", "e-2", "{}"), "/points", "9");
}

static void a19_delete_rule(void **state)
{
	char id[32], transaction[64];
	(void)state;
	make_type("A19", "PURCHASE");
	make_rule(id, "A19", "PURCHASE", 0, NULL, EARN(4));
	snprintf(transaction, sizeof transaction, "%s",
		 text_at(send_event(201, "A19", "p", "PURCHASE", "e-1", "{}"), "/id"));
	json_is(want(200, textf("DELETE /rules/%s", id), "A19", NULL), "", "{'deleted':true}");
	yyjson_val *event = send_event(201, "A19", "p", "PURCHASE", "e-2", "{}");
	json_is(event, "/executions", "[]");
	json_is(event, "/points", "4");
	json_is(want(200, textf("GET /transactions/%s/executions", transaction), "A19", NULL), "/0/rule_id",
		textf("'%s'", id));
}

static void a20_points_from_amount(void **state)
{
	static const struct { const char *action, *payload, *result; int64_t points; } rows[] = {
		{ "'rate':1.0,'amount_path':'amount'", "{'amount':120}", "SUCCESS", 120 },
		{ "'rate':1.0,'amount_path':'amount'", "{'amount':99.99}", "SUCCESS", 99 },
		{ "'rate':0.1", "{'amount':30}", "SUCCESS", 3 },
		{ "'rate':0.1", "{'amount':29.999999999}", "SUCCESS", 2 },
		{ "'rate':1.1", "{'amount':10}", "SUCCESS", 11 },
		{ "'rate':1", "{'amount':'99.99'}", "SUCCESS", 99 },
		{ "'rate':1", "{'amount':1e2}", "SUCCESS", 100 },
		{ "'rate':1", "{'amount':0}", "SUCCESS", 0 },
		{ "'rate':1,'amount_path':'cart.total'", "{'cart':{'total':8}}", "SUCCESS", 8 },
		{ "'rate':1,'amount_path':'rows.1.sum'", "{'rows':[{'sum':1},{'sum':2}]}", "SUCCESS", 2 },
		{ "'rate':1,'min_points':10,'max_points':20", "{'amount':3}", "SUCCESS", 10 },
		{ "'rate':1,'min_points':10,'max_points':20", "{'amount':30}", "SUCCESS", 20 },
		{ "'rate':1", "{}", "FAILED", 0 },
		{ "'rate':1", "{'amount':null}", "FAILED", 0 },
		{ "'rate':1", "{'amount':'much'}", "FAILED", 0 },
		{ "'rate':1", "{'amount':true}", "FAILED", 0 },
		{ "'rate':1", "{'amount':[1]}", "FAILED", 0 },
		{ "'rate':1", "{'amount':-5}", "FAILED", 0 },
		{ "'rate':1000000", "{'amount':9000000000000000000}", "FAILED", 0 },
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char key[16];
		snprintf(key, sizeof key, "TYPE_%zu", i);
		make_type("A20", key);
		make_rule(NULL, "A20", key, 0, NULL, textf("[{'type':'earn_points_from_amount',%s}]", rows[i].action));
		make_rule(NULL, "A20", key, 1, NULL, EARN(1000));
		yyjson_val *event = send_event(201, "A20", key, key, key, rows[i].payload);
		if (strcmp(text_at(event, "/executions/0/result"), rows[i].result) != 0)
			fail_msg("%s: %s", rows[i].payload, last_reply()->body.ptr);
		json_is(event, "/executions/1/result", "'SUCCESS'");
		json_is(event, "/status", *rows[i].result == 'F' ? "'PROCESSED_WITH_ERRORS'" : "'PROCESSED'");
		assert_int_equal(int_at(event, "/points"), rows[i].points + 1000);
	}
}

static void a21_actions(void **state)
{
	static const struct { const char *key, *actions; } rows[] = {
		{ "EARN", "[{'type':'earn_points','points':100}]" },
		{ "EARN_N", "[{'type':'earn_points','from_payload':'n.points'}]" },
		{ "BURN", "[{'type':'burn_points','points':30}]" },
		{ "BURN_N", "[{'type':'burn_points','from_payload':'n'}]" },
		{ "STATUS", "[{'type':'set_customer_status','status':'GOLDEN'}]" },
		{ "TAG", "[{'type':'add_customer_tag','tag':'vip'}]" },
		{ "RESET", "[{'type':'reset_status_points'}]" },
	};
	yyjson_val *event, *customer;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		make_type("A21", rows[i].key);
		make_rule(NULL, "A21", rows[i].key, 0, NULL, rows[i].actions);
	}
	refused(422, NULL, "/actions/0/type", "POST /rules", "A21", "{'event_type':'EARN','actions':[{'type':'dance'}]}");
	send_event(201, "A21", "p", "EARN", "e-1", "{}");
	send_event(201, "A21", "p", "EARN_N", "e-2", "{'n':{'points':11}}");
	assert_int_equal(wallet("A21", "p"), 111);
	json_is(send_event(201, "A21", "p", "EARN_N", "e-3", "{'n':{'points':-11}}"), "/executions/0/result",
		"'FAILED'");
	event = send_event(201, "A21", "p", "BURN", "e-4", "{}");
	json_is(event, "/points", "81");
	json_is(event, "/executions/0/details/actions/0/type", "'burn_points'");
	event = send_event(201, "A21", "p", "BURN_N", "e-5", "{'n':82}");
	json_is(event, "/executions/0/result", "'FAILED'");
	json_is(event, "/status", "'PROCESSED_WITH_ERRORS'");
	assert_true(*text_at(event, "/executions/0/details/error"));
	assert_int_equal(wallet("A21", "p"), 81);
	json_is(send_event(201, "A21", "p", "BURN_N", "e-6", "{'n':81}"), "/points", "0");
	for (int i = 0; i < 2; i++)
		send_event(201, "A21", "p", "TAG", textf("tag-%d", i), "{}");
	send_event(201, "A21", "p", "STATUS", "e-7", "{}");
	customer = want(200, "GET /customers/A21/p", "A21", NULL);
	json_is(customer, "/tags", "['vip']");
	json_is(customer, "/status", "'GOLDEN'");
	json_is(customer, "/statusPoints", "111");
	json_is(customer, "/lifetimePoints", "111");
	send_event(201, "A21", "p", "RESET", "e-8", "{}");
	customer = want(200, "GET /customers/A21/p", "A21", NULL);
	json_is(customer, "/statusPoints", "0");
	json_is(customer, "/lifetimePoints", "111");
}

/* A customer of a status, with tags, and events of one type: a rule matches, or does not, or fails. */
static void a22_conditions(void **state)
{
	static const struct { const char *condition, *payload, *result; } rows[] = {
		{ "null", "{}", "SUCCESS" },
		{ "{'all':[{'amount_gte':100}]}", "{'amount':99}", "SKIPPED" },
		{ "{'all':[{'amount_gte':100}]}", "{'amount':100}", "SUCCESS" },
		{ "{'all':[{'amount_gte':100},{'payload':{'channel':'web'}}]}", "{'amount':100,'channel':'web'}",
		  "SUCCESS" },
		{ "{'all':[{'amount_gte':100},{'payload':{'channel':'web'}}]}", "{'amount':100,'channel':'shop'}",
		  "SKIPPED" },
		{ "{'any':[{'amount_gte':100},{'payload':{'channel':'web'}}]}", "{'amount':1,'channel':'web'}",
		  "SUCCESS" },
		{ "{'any':[{'amount_gte':100},{'payload':{'channel':'web'}}]}", "{'amount':1}", "SKIPPED" },
		{ "{'not':{'amount_gte':100}}", "{'amount':1}", "SUCCESS" },
		{ "{'amount_gte':0}", "{}", "SKIPPED" },
		{ "{'payload_in':{'path':'c.x','values':['a','b']}}", "{'c':{'x':'b'}}", "SUCCESS" },
		{ "{'payload_in':{'path':'c.x','values':['a','b']}}", "{'c':{'x':'z'}}", "SKIPPED" },
		{ "{'payload_contains':{'path':'items','value':'tea'}}", "{'items':['milk','tea']}", "SUCCESS" },
		{ "{'payload_contains':{'path':'items','value':'tea'}}", "{'items':['milk']}", "SKIPPED" },
		{ "{'payload_cmp':{'path':'n','op':'between','value':[2,4]}}", "{'n':4}", "SUCCESS" },
		{ "{'payload_cmp':{'path':'n','op':'between','value':[2,4]}}", "{'n':4.01}", "SKIPPED" },
		{ "{'payload_cmp':{'path':'n','op':'lte','value':2}}", "{'n':2}", "SUCCESS" },
		{ "{'payload_present':'coupon'}", "{'coupon':'x'}", "SUCCESS" },
		{ "{'payload_present':'coupon'}", "{}", "SKIPPED" },
		{ "{'customer_status_in':['ACTIVE','GOLD']}", "{}", "SUCCESS" },
		{ "{'customer_status_in':['BLOCKED']}", "{}", "SKIPPED" },
		{ "{'points_gte':1}", "{}", "SKIPPED" },
		{ "{'points_gte':0}", "{}", "SUCCESS" },
		{ "{'customer_lifetime_points_gte':1}", "{}", "SKIPPED" },
		{ "{'customer_created_days_gte':1}", "{}", "SKIPPED" },
		{ "{'weekday_in':[0,1,2,3,4,5,6]}", "{}", "SUCCESS" },
		{ "{'weekday_in':[]}", "{}", "SKIPPED" },
		{ "{'first_purchase':true}", "{}", "SUCCESS" },
		{ "{'and':[{'field':'payload.n','operator':'gte','value':3},{'field':'payload.m','operator':'eq',"
		  "'value':'x'}]}",
		  "{'n':3,'m':'x'}", "SUCCESS" },
		{ "{'or':[{'field':'payload.n','operator':'gte','value':3},{'field':'payload.m','operator':'eq',"
		  "'value':'x'}]}",
		  "{'n':2,'m':'y'}", "SKIPPED" },
		/* JSONLogic */
		{ "{'>':[{'var':'amount'},10]}", "{'amount':11}", "SUCCESS" },
		{ "{'>':[{'var':'amount'},10]}", "{'amount':10}", "SKIPPED" },
		{ "{'==':[{'+':[0.1,0.2]},0.3]}", "{}", "SUCCESS" },
		{ "{'and':[{'in':['tea',{'var':'items'}]},{'!':{'var':'gift'}}]}", "{'items':['tea'],'gift':false}",
		  "SUCCESS" },
		{ "{'some':[{'var':'rows'},{'>':[{'var':'n'},3]}]}", "{'rows':[{'n':1},{'n':4}]}", "SUCCESS" },
		{ "{'>':[{'/':[1,{'var':'n'}]},1]}", "{'n':0}", "FAILED" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char key[16];
		snprintf(key, sizeof key, "T%zu", i);
		make_type("A22", key);
		make_rule(NULL, "A22", key, 0, rows[i].condition, EARN(10));
		make_rule(NULL, "A22", key, 1, NULL, EARN(1));
		yyjson_val *event = send_event(201, "A22", key, key, key, rows[i].payload);
		if (strcmp(text_at(event, "/executions/0/result"), rows[i].result) != 0)
			fail_msg("%s with %s: expected %s: %s", rows[i].condition, rows[i].payload, rows[i].result,
				 last_reply()->body.ptr);
		json_is(event, "/executions/0/details/matched",
			*rows[i].result == 'S' && rows[i].result[1] == 'K' ? "false" : "true");
		json_is(event, "/points", *rows[i].result == 'S' && rows[i].result[1] == 'U' ? "11" : "1");
	}
}

static void a23_order_and_atomicity(void **state)
{
	yyjson_val *event;
	(void)state;
	make_type("A23", "PURCHASE");
	make_rule(NULL, "A23", "PURCHASE", 2, NULL, EARN(5));
	/* Everything that this rule did before its last action is undone. */
	make_rule(NULL, "A23", "PURCHASE", 1, NULL,
		  "[{'type':'earn_points','points':10},{'type':'add_customer_tag','tag':'t'},"
		  "{'type':'set_customer_status','status':'S'},{'type':'burn_points','points':11}]");
	event = send_event(201, "A23", "p", "PURCHASE", "e-1", "{}");
	json_is(event, "/executions/0/result", "'FAILED'");
	json_is(event, "/executions/0/details/actions", "[]");
	json_is(event, "/executions/1/result", "'SUCCESS'");
	json_is(event, "/points", "5");
	event = want(200, "GET /customers/A23/p", "A23", NULL);
	json_is(event, "/tags", "[]");
	json_is(event, "/status", "'ACTIVE'");
	json_is(event, "/lifetimePoints", "5");
	assert_int_equal(size_of(want(200, "GET /customers/A23/p/point-movements", "A23", NULL)), 1);
	/* A later rule sees what an earlier one did. */
	make_type("A23", "CHAIN");
	make_rule(NULL, "A23", "CHAIN", 0, NULL, EARN(100));
	make_rule(NULL, "A23", "CHAIN", 1, "{'points_gte':105}", "[{'type':'burn_points','points':105}]");
	json_is(send_event(201, "A23", "p", "CHAIN", "e-2", "{}"), "/points", "0");
}

static void a24_executions(void **state)
{
	char rule[32], other[32], id[64];
	yyjson_val *list;
	(void)state;
	make_type("A24", "PURCHASE");
	make_rule(rule, "A24", "PURCHASE", 0, NULL, EARN_AMOUNT);
	make_rule(other, "A24", "PURCHASE", 1, "{'amount_gte':1000}", EARN(1));
	snprintf(id, sizeof id, "%s", text_at(send_event(201, "A24", "p", "PURCHASE", "e-1", "{'amount':120}"), "/id"));
	list = want(200, textf("GET /transactions/%s/executions", id), "A24", NULL);
	assert_int_equal(size_of(list), 2);
	assert_string_equal(text_at(list, "/0/rule_id"), rule);
	json_is(list, "/0/result", "'SUCCESS'");
	json_is(list, "/0/details/matched", "true");
	json_is(list, "/0/details/actions/0/points", "120");
	assert_string_equal(text_at(list, "/1/rule_id"), other);
	json_is(list, "/1/result", "'SKIPPED'");
	json_is(list, "/1/details/matched", "false");
	refused(404, "not_found", NULL, "GET /transactions/00000000000000000000000000000000/executions", "A24", NULL);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a1_health),
	cmocka_unit_test(a2_brand_scoping),
	cmocka_unit_test(a3_brand_in_payload),
	cmocka_unit_test(a4_brand_in_path),
	cmocka_unit_test(a5_multi_brand_ingestion),
	cmocka_unit_test(a12_create_event_type),
	cmocka_unit_test(a12_payload_schema),
	cmocka_unit_test(a13_list_event_types),
	cmocka_unit_test(a14_update_event_type),
	cmocka_unit_test(a15_delete_event_type),
	cmocka_unit_test(a16_create_rule),
	cmocka_unit_test(a17_list_rules),
	cmocka_unit_test(a18_update_rule),
	cmocka_unit_test(a19_delete_rule),
	cmocka_unit_test(a20_points_from_amount),
	cmocka_unit_test(a21_actions),
	cmocka_unit_test(a22_conditions),
	cmocka_unit_test(a23_order_and_atomicity),
	cmocka_unit_test(a24_executions),
};

int main(void)
{
	return harness_run("configuration and rules", tests, COUNT_OF(tests), NULL);
}
