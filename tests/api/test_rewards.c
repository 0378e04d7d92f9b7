// SPDX-License-Identifier: Apache-2.0
/* test_rewards.c - system A: rewards, tiers and bonuses of customers, and undoing events.  A test is named by the row of the
 * features' list that it shows. */
#include "tests/api/harness.h"

#define EARN_AMOUNT "[{'type':'earn_points_from_amount','rate':1.0,'amount_path':'amount'}]"

/* Makes a document and keeps its id. */
static void make(char id[32], const char *path, const char *brand, const char *body)
{
	snprintf(id, 32, "%s", text_at(want(201, textf("POST %s", path), brand, body), "/id"));
}

/* An event type with one rule of these actions. */
static void make_action(const char *brand, const char *key, const char *actions)
{
	make_type(brand, key);
	make_rule(NULL, brand, key, 0, NULL, actions);
}

static void make_tiers(const char *brand)
{
	static const struct { const char *key; int threshold; } tiers[] = { { "BASE", 0 }, { "SILVER", 100 }, { "GOLD", 500 } };
	for (int i = 0; i < 3; i++)
		want(201, "POST /admin/loyalty-tiers", brand,
		     textf("{'key':'%s','name':'%s tier','rank':%d,'min_status_points':%d}", tiers[i].key, tiers[i].key, i,
			   tiers[i].threshold));
}

static const char *customer_path(const char *brand, const char *profile, const char *rest)
{
	return textf("GET /customers/%s/%s%s", brand, profile, rest);
}

/* The id of the transaction that an event became. */
static void send(char id[64], const char *brand, const char *profile, const char *type, const char *event, const char *payload)
{
	snprintf(id, 64, "%s", text_at(send_event(201, brand, profile, type, event, payload), "/id"));
}

static void a21_rewards_bonuses_tiers(void **state)
{
	char reward[32];
	yyjson_val *event, *customer;
	(void)state;
	make_tiers("A21R");
	make(reward, "/rewards", "A21R", "{'name':'Coffee','cost_points':30,'validity_days':10}");
	want(201, "POST /admin/bonus-definitions", "A21R", "{'bonus_key':'HELLO','name':'Hello','policy':'ONCE_EVER'}");
	make_action("A21R", "EARN", "[{'type':'earn_points','from_payload':'n'}]");
	make_action("A21R", "ISSUE", textf("[{'type':'issue_reward','reward_id':'%s'}]", reward));
	make_action("A21R", "REDEEM", textf("[{'type':'redeem_reward','reward_id':'%s'}]", reward));
	make_action("A21R", "BONUS", "[{'type':'record_bonus_award','bonusKey':'HELLO'}]");
	make_action("A21R", "DOWN", "[{'type':'downgrade_one_tier'}]");
	/* An action that names what is not there is refused when the rule is saved. */
	refused(400, "reward_unknown", NULL, "POST /rules", "A21R",
		"{'event_type':'EARN','actions':[{'type':'issue_reward','reward_id':'99999999'}]}");
	refused(400, "bonus_unknown", NULL, "POST /rules", "A21R",
		"{'event_type':'EARN','actions':[{'type':'record_bonus_award','bonusKey':'NONE'}]}");

	json_is(send_event(201, "A21R", "p", "REDEEM", "e-1", "{}"), "/executions/0/result", "'FAILED'");
	event = send_event(201, "A21R", "p", "ISSUE", "e-2", "{}");
	json_is(event, "/executions/0/details/actions/0/effect", "'REWARD_ISSUED'");
	json_is(event, "/executions/0/details/actions/0/reward", "'Coffee'");
	send_event(201, "A21R", "p", "EARN", "e-3", "{'n':620}");
	event = send_event(201, "A21R", "p", "REDEEM", "e-4", "{}");
	json_is(event, "/points", "590");
	json_is(event, "/executions/0/details/actions/1/effect", "'REWARD_ISSUED'");
	json_is(send_event(201, "A21R", "p", "BONUS", "e-5", "{}"), "/executions/0/details/actions/0/effect", "'BONUS'");
	json_is(send_event(201, "A21R", "p", "BONUS", "e-6", "{}"), "/executions/0/details/actions/0/effect", "'NONE'");
	customer = want(200, customer_path("A21R", "p", ""), "A21R", NULL);
	json_is(customer, "/loyaltyStatus", "'GOLD'");
	for (int i = 0; i < 3; i++)
		send_event(201, "A21R", "p", "DOWN", textf("down-%d", i), "{}");
	customer = want(200, customer_path("A21R", "p", ""), "A21R", NULL);
	json_is(customer, "/loyaltyStatus", "'BASE'");
	json_is(customer, "/statusPoints", "0");
	json_is(customer, "/points", "590");
}

static void a60_rewards(void **state)
{
	char reward[32], cursor[64];
	yyjson_val *list;
	(void)state;
	make(reward, "/rewards", "A60", "{'name':'Coffee','validity_days':10}");
	make_action("A60", "ISSUE", textf("[{'type':'issue_reward','reward_id':'%s'}]", reward));
	for (int i = 0; i < 5; i++)
		send_event(201, "A60", "p", "ISSUE", textf("e-%d", i), "{}");
	list = want(200, customer_path("A60", "p", "/rewards"), "A60", NULL);
	assert_int_equal(size_of(list), 5);
	json_is(list, "/0/state", "'ISSUED'");
	json_is(list, "/0/name", "'Coffee'");
	assert_string_equal(text_at(list, "/0/reward_id"), reward);
	assert_true(*text_at(list, "/0/issued_at") && *text_at(list, "/0/expires_at"));
	assert_string_not_equal(text_at(list, "/0/customer_reward_id"), text_at(list, "/1/customer_reward_id"));
	/* Pages, newest first. */
	char oldest[64];
	snprintf(oldest, sizeof oldest, "%s", text_at(list, "/4/customer_reward_id"));
	assert_int_equal(size_of(want(200, customer_path("A60", "p", "/rewards?limit=2"), "A60", NULL)), 2);
	assert_true(reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor));
	list = want(200, customer_path("A60", "p", textf("/rewards?limit=9&cursor=%s", cursor)), "A60", NULL);
	assert_int_equal(size_of(list), 3);
	assert_string_equal(text_at(list, "/2/customer_reward_id"), oldest);
	assert_false(reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor));
	assert_int_equal(size_of(want(200, customer_path("A60", "p", "/rewards?limit=2&offset=4"), "A60", NULL)), 1);
	want(200, textf("POST /customers/A60/p/rewards/%s/use", oldest), "A60", NULL);
	assert_int_equal(size_of(want(200, customer_path("A60", "p", "/rewards?state=ISSUED"), "A60", NULL)), 4);
	list = want(200, customer_path("A60", "p", "/rewards?state=USED"), "A60", NULL);
	assert_int_equal(size_of(list), 1);
	assert_true(*text_at(list, "/0/used_at"));
	assert_int_equal(size_of(want(200, customer_path("A60", "p", "/rewards?state=EXPIRED"), "A60", NULL)), 0);
	refused(400, "query_invalid", NULL, customer_path("A60", "p", "/rewards?state=ANY"), "A60", NULL);
	refused(400, "cursor_invalid", NULL, customer_path("A60", "p", "/rewards?cursor=x"), "A60", NULL);
	refused(404, "customer_unknown", NULL, customer_path("A60", "nobody", "/rewards"), "A60", NULL);
	refused(400, "brand_mismatch", NULL, customer_path("A60", "p", "/rewards"), "A60_B", NULL);
	want(201, "POST /customers/upsert", "A60", "{'profileId':'empty'}");
	json_is(want(200, customer_path("A60", "empty", "/rewards"), "A60", NULL), "", "[]");
}

static void a61_use_reward(void **state)
{
	char reward[32], id[64], use[160];
	yyjson_val *used;
	(void)state;
	make(reward, "/rewards", "A61", "{'name':'Coffee'}");
	make_action("A61", "ISSUE", textf("[{'type':'issue_reward','reward_id':'%s'}]", reward));
	send_event(201, "A61", "p", "ISSUE", "e-1", "{}");
	send_event(201, "A61", "q", "ISSUE", "e-2", "{}");
	snprintf(id, sizeof id, "%s",
		 text_at(want(200, customer_path("A61", "p", "/rewards"), "A61", NULL), "/0/customer_reward_id"));
	snprintf(use, sizeof use, "POST /customers/A61/p/rewards/%s/use", id);
	refused(404, "not_found", NULL, textf("POST /customers/A61/q/rewards/%s/use", id), "A61", NULL);
	refused(404, "not_found", NULL, "POST /customers/A61/p/rewards/nonsense/use", "A61", NULL);
	refused(404, "not_found", NULL, textf("POST /customers/A61/p/rewards/%.16s-77/use", id), "A61", NULL);
	refused(400, "brand_mismatch", NULL, use, "A61_B", NULL);
	json_is(want(200, textf("%s?dry_run=true", use), "A61", NULL), "/state", "'USED'");
	json_is(want(200, customer_path("A61", "p", "/rewards"), "A61", NULL), "/0/state", "'ISSUED'");
	used = want(200, use, "A61", NULL);
	assert_string_equal(text_at(used, "/customer_reward_id"), id);
	json_is(used, "/name", "'Coffee'");
	refused(409, "reward_used", NULL, use, "A61", NULL);
	refused(409, "reward_used", NULL, textf("%s?dry_run=true", use), "A61", NULL);
	json_is(want(200, customer_path("A61", "p", "/rewards"), "A61", NULL), "/0/state", "'USED'");
	json_is(want(200, customer_path("A61", "q", "/rewards"), "A61", NULL), "/0/state", "'ISSUED'");
	/* The history of the customer goes on over it. */
	send_event(201, "A61", "p", "ISSUE", "e-3", "{}");
	assert_int_equal(size_of(want(200, "GET /transactions?profileId=p", "A61", NULL)), 2);
}

static void a62_loyalty(void **state)
{
	yyjson_val *loyalty;
	(void)state;
	make_action("A62", "EARN", "[{'type':'earn_points','from_payload':'n'}]");
	send_event(201, "A62", "p", "EARN", "e-1", "{'n':120}");
	loyalty = want(200, customer_path("A62", "p", "/loyalty"), "A62", NULL);
	json_is(loyalty, "/currentTier", "null");
	json_is(loyalty, "/nextTier", "null");
	json_is(want(200, customer_path("A62", "p", ""), "A62", NULL), "/loyaltyStatus", "null");
	/* A tier counts as soon as it is there. */
	make_tiers("A62");
	loyalty = want(200, customer_path("A62", "p", "/loyalty"), "A62", NULL);
	json_is(loyalty, "/currentTier/key", "'SILVER'");
	json_is(loyalty, "/currentTier/name", "'SILVER tier'");
	json_is(loyalty, "/nextTier/key", "'GOLD'");
	json_is(loyalty, "/nextTier/min_status_points", "500");
	json_is(loyalty, "/missingPoints", "380");
	json_is(loyalty, "/progressPercent", "5");
	json_is(loyalty, "/statusPoints", "120");
	json_is(want(200, customer_path("A62", "p", ""), "A62", NULL), "/loyaltyStatus", "'SILVER'");
	send_event(201, "A62", "p", "EARN", "e-2", "{'n':380}");
	loyalty = want(200, customer_path("A62", "p", "/loyalty"), "A62", NULL);
	json_is(loyalty, "/currentTier/key", "'GOLD'");
	json_is(loyalty, "/nextTier", "null");
	json_is(loyalty, "/missingPoints", "null");
	json_is(loyalty, "/progressPercent", "100");
	refused(404, "customer_unknown", NULL, customer_path("A62", "nobody", "/loyalty"), "A62", NULL);
	refused(400, "brand_mismatch", NULL, customer_path("A62", "p", "/loyalty"), "A62_B", NULL);
}

static void a69_bonus_awards(void **state)
{
	char id[64], cursor[80];
	yyjson_val *list, *award;
	size_t seen = 0;
	(void)state;
	want(201, "POST /admin/bonus-definitions", "A69", "{'bonus_key':'HELLO','name':'Hello','policy':'ONCE_EVER'}");
	want(201, "POST /admin/bonus-definitions", "A69", "{'bonus_key':'YEAR','name':'Year','policy':'ONCE_PER_YEAR'}");
	make_action("A69", "HELLO", "[{'type':'record_bonus_award','bonusKey':'HELLO'}]");
	make_action("A69", "YEAR", "[{'type':'record_bonus_award','bonusKey':'YEAR'}]");
	for (int i = 0; i < 20; i++)
		for (int twice = 0; twice < 2; twice++)
			send_event(201, "A69", textf("p-%d", i), "HELLO", textf("e-%d-%d", i, twice), "{}");
	send_event(201, "A69", "p-7", "YEAR", "y-1", "{}");
	list = want(200, "GET /admin/bonus-awards", "A69", NULL);
	assert_int_equal(size_of(list), 21);
	list = want(200, "GET /admin/bonus-awards?profileId=p-7", "A69", NULL);
	json_is(list, "/0/bonusKey", "'YEAR'");
	json_is(list, "/0/profileId", "'p-7'");
	assert_int_equal(strlen(text_at(list, "/0/period")), 4);
	json_is(list, "/1/period", "'EVER'");
	snprintf(id, sizeof id, "%s", text_at(list, "/0/id"));
	award = want(200, textf("GET /admin/bonus-awards/%s", id), "A69", NULL);
	assert_string_equal(text_at(award, "/id"), id);
	json_is(award, "/brand", "'A69'");
	assert_int_equal(size_of(want(200, "GET /admin/bonus-awards?profileId=p-7", "A69", NULL)), 2);
	assert_int_equal(size_of(want(200, "GET /admin/bonus-awards?bonusKey=YEAR", "A69", NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /admin/bonus-awards?profileId=p-7&bonusKey=HELLO", "A69", NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /admin/bonus-awards?profileId=nobody", "A69", NULL)), 0);
	assert_int_equal(size_of(want(200, "GET /admin/bonus-awards?limit=5&offset=19", "A69", NULL)), 2);
	/* Every one once, page by page. */
	for (const char *what = "GET /admin/bonus-awards?limit=4"; what;
	     what = reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor)
			    ? textf("GET /admin/bonus-awards?limit=4&cursor=%s", cursor) : NULL)
		seen += size_of(want(200, what, "A69", NULL));
	assert_int_equal(seen, 21);
	assert_int_equal(size_of(want(200, "GET /admin/bonus-awards", "A69_B", NULL)), 0);
	refused(404, "not_found", NULL, textf("GET /admin/bonus-awards/%s", id), "A69_B", NULL);
	refused(404, "not_found", NULL, "GET /admin/bonus-awards/1", "A69", NULL);
	refused(400, "cursor_invalid", NULL, "GET /admin/bonus-awards?cursor=1-2", "A69", NULL);
	refused(405, "method_not_allowed", NULL, "POST /admin/bonus-awards", "A69", "{}");
	refused(405, "method_not_allowed", NULL, textf("DELETE /admin/bonus-awards/%s", id), "A69", NULL);
	refused(405, "method_not_allowed", NULL, textf("PATCH /admin/bonus-awards/%s", id), "A69", "{}");
}

/* ---- rules: for whom, how often -------------------------------------------------------------------------------------------------- */

static void rule_limits_and_audience(void **state)
{
	static const struct { const char *pointers, *fields; } bad[] = {
		{ "/limits", "'limits':{'max':1,'per':'DAY'}" },
		{ "/limits/0", "'limits':[3]" },
		{ "/limits/0/max", "'limits':[{'per':'DAY'}]" },
		{ "/limits/1/max /limits/1/per", "'limits':[{'max':1,'per':'DAY'},{'max':0,'per':'HOUR'}]" },
		{ "/limits/0/each", "'limits':[{'max':1,'per':'DAY','each':1}]" },
		{ "/limits", "'limits':[{'max':1,'per':'DAY'},{'max':1,'per':'DAY'},{'max':1,'per':'DAY'},{'max':1,'per':'DAY'},"
			     "{'max':1,'per':'DAY'},{'max':1,'per':'DAY'},{'max':1,'per':'DAY'},{'max':1,'per':'DAY'},{'max':1,'per':'DAY'}]" },
		{ "/audience", "'audience':[]" },
		{ "/audience/colour_in", "'audience':{'colour_in':['red']}" },
		{ "/audience/status_in", "'audience':{'status_in':[]}" },
	};
	char rule[32], one[64];
	yyjson_val *answer;
	(void)state;
	make_type("LIM", "BUY");
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refused(422, NULL, bad[i].pointers, "POST /rules", "LIM",
			textf("{'event_type':'BUY','actions':[],%s}", bad[i].fields));
	make(rule, "/rules", "LIM",
	     "{'event_type':'BUY','actions':[{'type':'earn_points','points':5}],'limits':[{'max':2,'per':'YEAR'}],"
	     "'audience':{'status_in':['ACTIVE']}}");
	answer = want(200, textf("GET /rules/%s", rule), "LIM", NULL);
	json_is(answer, "/limits", "[{'max':2,'per':'YEAR'}]");
	json_is(answer, "/audience", "{'status_in':['ACTIVE']}");
	make_rule(NULL, "LIM", "BUY", 1, NULL, "[]");
	json_is(want(200, "GET /rules", "LIM", NULL), "/1/limits", "[]");
	json_is(want(200, "GET /rules", "LIM", NULL), "/1/audience", "null");
	for (int i = 0; i < 3; i++)
		send(one, "LIM", "p", "BUY", textf("e-%d", i), "{}");
	assert_int_equal(wallet("LIM", "p"), 10);
	answer = want(200, textf("GET /transactions/%s", one), "LIM", NULL);
	json_is(answer, "/executions/0/result", "'SKIPPED'");
	json_is(answer, "/executions/0/details/matched", "true");
	json_is(answer, "/executions/0/details/reason", "'limit reached: 2 per YEAR'");
	answer = want(200, textf("GET /transactions/%s/explain", one), "LIM", NULL);
	json_is(answer, "/rules/0/limits/0/count", "2");
	json_is(answer, "/rules/0/limits/0/reached", "true");
	json_is(answer, "/rules/0/why", "'a limit was reached'");
	json_is(answer, "/rules/0/reproduced", "true");
	want(201, "POST /customers/upsert", "LIM", "{'profileId':'q','status':'CLOSED'}");
	send(one, "LIM", "q", "BUY", "q-1", "{}");
	answer = want(200, textf("GET /transactions/%s/explain", one), "LIM", NULL);
	json_is(answer, "/rules/0/result", "'SKIPPED'");
	json_is(answer, "/rules/0/audience/condition", "{'status_in':['ACTIVE']}");
	json_is(answer, "/rules/0/audience/values", "{'customer.status':'CLOSED'}");
	json_is(answer, "/rules/0/audience/result", "false");
	json_is(answer, "/rules/0/reproduced", "true");
	json_is(want(200, textf("GET /transactions/%s", one), "LIM", NULL), "/executions/0/details/matched", "false");
	/* Changed: at once, and null takes them away. */
	want(200, textf("PATCH /rules/%s", rule), "LIM", "{'audience':null,'limits':null}");
	send_event(201, "LIM", "q", "BUY", "q-2", "{}");
	assert_int_equal(wallet("LIM", "q"), 5);
}

/* ---- undoing -------------------------------------------------------------------------------------------------------------- */

static void reverse_purchase(void **state)
{
	char first[64], reversal[64];
	yyjson_val *answer;
	(void)state;
	make_action("REV", "PURCHASE", EARN_AMOUNT);
	send(first, "REV", "p", "PURCHASE", "e-1", "{'amount':120}");
	json_is(want(200, textf("POST /transactions/%s/reverse?dry_run=true", first), "REV", NULL), "/points", "0");
	assert_int_equal(wallet("REV", "p"), 120);
	answer = want(201, textf("POST /transactions/%s/reverse", first), "REV", "{'reason':'returned'}");
	json_is(answer, "/points", "0");
	json_is(answer, "/reversal", "true");
	json_is(answer, "/payload/policy", "'left'");
	json_is(answer, "/payload/reason", "'returned'");
	assert_string_equal(text_at(answer, "/payload/reverses"), first);
	assert_string_equal(text_at(answer, "/eventId"), textf("reverse:%s", first));
	json_is(answer, "/executions/0/details/actions/0/effect", "'EARN_REVERSED'");
	json_is(answer, "/executions/0/details/actions/0/points", "120");
	snprintf(reversal, sizeof reversal, "%s", text_at(answer, "/id"));
	/* Again: the same; with another policy or reason: another request under a known id. */
	answer = want(200, textf("POST /transactions/%s/reverse", first), "REV", "{'reason':'returned','policy':'left'}");
	assert_string_equal(text_at(answer, "/id"), reversal);
	json_is(answer, "/idempotent", "true");
	refused(409, "event_id_reused", NULL, textf("POST /transactions/%s/reverse", first), "REV", "{'policy':'debt'}");
	refused(409, "not_reversible", NULL, textf("POST /transactions/%s/reverse", reversal), "REV", NULL);
	/* Both sides name each other. */
	assert_string_equal(text_at(want(200, textf("GET /transactions/%s", first), "REV", NULL), "/reversedBy"), reversal);
	answer = want(200, textf("GET /transactions/%s", reversal), "REV", NULL);
	assert_string_equal(text_at(answer, "/payload/reverses"), first);
	assert_null(yyjson_obj_get(answer, "reversedBy"));
	json_is(want(200, "GET /transactions", "REV", NULL), "/0/reversal", "true");
	answer = want(200, customer_path("REV", "p", "/point-movements"), "REV", NULL);
	json_is(answer, "/0/type", "'EARN_REVERSED'");
	json_is(answer, "/0/points", "-120");
	json_is(answer, "/0/balance", "0");
	answer = want(200, customer_path("REV", "p", ""), "REV", NULL);
	json_is(answer, "/statusPoints", "0");
	json_is(answer, "/lifetimePoints", "0");
	/* Bad ones. */
	refused(404, "not_found", NULL, textf("POST /transactions/%s/reverse", first), "REV_B", NULL);
	refused(404, "not_found", NULL, "POST /transactions/00000000000000000000000000000330/reverse", "REV", NULL);
	refused(404, "not_found", NULL, "POST /transactions/x/reverse", "REV", NULL);
	refused(422, "validation_failed", "/policy", textf("POST /transactions/%s/reverse", first), "REV", "{'policy':'all'}");
	refused(422, "validation_failed", "/colour", textf("POST /transactions/%s/reverse", first), "REV", "{'colour':1}");
	refused(400, "brand_missing", NULL, textf("POST /transactions/%s/reverse", first), NULL, NULL);
}

/* What was spent since: three purchases of 100, 50 and 100 points, 120 burned before the last one. */
static void reverse_policies(void **state)
{
	static const struct { const char *policy; int64_t second, first, debt; } rows[] = {
		{ "left", 130 - 30, 130 - 30 - 0, 0 },     /* 120 burned: all 100 of the first, 20 of the second's 50 */
		{ "zero", 130 - 50, 130 - 150, 0 },
		{ "debt", 130 - 50, 130 - 150, 20 },
	};
	char first[64], second[64];
	yyjson_val *answer;
	(void)state;
	make_action("REV_P", "PURCHASE", EARN_AMOUNT);
	make_action("REV_P", "BURN", "[{'type':'burn_points','from_payload':'n'}]");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *who = rows[i].policy;
		send(first, "REV_P", who, "PURCHASE", textf("1-%s", who), "{'amount':100}");
		send(second, "REV_P", who, "PURCHASE", textf("2-%s", who), "{'amount':50}");
		send_event(201, "REV_P", who, "BURN", textf("b-%s", who), "{'n':120}");
		send_event(201, "REV_P", who, "PURCHASE", textf("3-%s", who), "{'amount':100}");
		want(201, textf("POST /transactions/%s/reverse", second), "REV_P", textf("{'policy':'%s'}", who));
		assert_int_equal(wallet("REV_P", who), rows[i].second);
		want(201, textf("POST /transactions/%s/reverse", first), "REV_P", textf("{'policy':'%s'}", who));
		assert_int_equal(wallet("REV_P", who), rows[i].first > 0 ? rows[i].first : 0);
		answer = want(200, textf("GET /wallet/REV_P/%s", who), "REV_P", NULL);
		if (rows[i].debt)
			assert_int_equal(int_at(answer, "/debt"), rows[i].debt);
		else
			assert_null(yyjson_obj_get(answer, "debt"));
	}
	/* What is owed is paid by what is earned next. */
	answer = send_event(201, "REV_P", "debt", "PURCHASE", "4-debt", "{'amount':35}");
	json_is(answer, "/points", "15");
	json_is(answer, "/executions/0/details/actions/0/effect", "'DEBT_PAID'");
	json_is(answer, "/executions/0/details/actions/0/points", "20");
	assert_null(yyjson_obj_get(want(200, "GET /wallet/REV_P/debt", "REV_P", NULL), "debt"));
}

/* Reversals among each other, first in first out. */
static void reverse_left_netted(void **state)
{
	char first[64], second[64], burn[64];
	(void)state;
	make_action("REV_N", "PURCHASE", EARN_AMOUNT);
	make_action("REV_N", "BURN", "[{'type':'burn_points','from_payload':'n'}]");
	/* A later purchase was returned: that took nothing of the first one's points. */
	send(first, "REV_N", "a", "PURCHASE", "a-1", "{'amount':100}");
	send(second, "REV_N", "a", "PURCHASE", "a-2", "{'amount':30}");
	want(201, textf("POST /transactions/%s/reverse", second), "REV_N", NULL);
	assert_int_equal(wallet("REV_N", "a"), 100);
	want(201, textf("POST /transactions/%s/reverse", first), "REV_N", NULL);
	assert_int_equal(wallet("REV_N", "a"), 0);
	/* An earlier one was: what it left is not there to be spent before the other's. */
	send(first, "REV_N", "b", "PURCHASE", "b-1", "{'amount':100}");
	send(second, "REV_N", "b", "PURCHASE", "b-2", "{'amount':30}");
	want(201, textf("POST /transactions/%s/reverse", first), "REV_N", NULL);
	send_event(201, "REV_N", "b", "BURN", "b-3", "{'n':10}");
	want(201, textf("POST /transactions/%s/reverse", second), "REV_N", NULL);
	assert_int_equal(wallet("REV_N", "b"), 0);
	/* A burn was undone: its points are back. */
	send(first, "REV_N", "c", "PURCHASE", "c-1", "{'amount':100}");
	send(burn, "REV_N", "c", "BURN", "c-2", "{'n':60}");
	want(201, textf("POST /transactions/%s/reverse", burn), "REV_N", NULL);
	assert_int_equal(wallet("REV_N", "c"), 100);
	want(201, textf("POST /transactions/%s/reverse", first), "REV_N", NULL);
	assert_int_equal(wallet("REV_N", "c"), 0);
}

static void reverse_everything(void **state)
{
	char reward[32], all[64], redeem[64];
	yyjson_val *answer, *customer;
	(void)state;
	make_tiers("REV_E");
	make(reward, "/rewards", "REV_E", "{'name':'Coffee','cost_points':30}");
	want(201, "POST /admin/bonus-definitions", "REV_E", "{'bonus_key':'HELLO','name':'Hello','policy':'ONCE_EVER'}");
	make_action("REV_E", "ALL",
		    textf("[{'type':'earn_points','points':150},{'type':'set_customer_status','status':'GOLDEN'},"
			  "{'type':'add_customer_tag','tag':'vip'},{'type':'issue_reward','reward_id':'%s'},"
			  "{'type':'record_bonus_award','bonusKey':'HELLO'},{'type':'reset_status_points'}]", reward));
	make_action("REV_E", "REDEEM", textf("[{'type':'redeem_reward','reward_id':'%s'}]", reward));
	make_action("REV_E", "EARN", "[{'type':'earn_points','points':10}]");
	send_event(201, "REV_E", "p", "EARN", "e-0", "{}");
	send(all, "REV_E", "p", "ALL", "e-1", "{}");
	send(redeem, "REV_E", "p", "REDEEM", "e-2", "{}");
	assert_int_equal(wallet("REV_E", "p"), 130);
	want(201, textf("POST /transactions/%s/reverse", redeem), "REV_E", NULL);
	assert_int_equal(wallet("REV_E", "p"), 160);
	want(201, textf("POST /transactions/%s/reverse", all), "REV_E", NULL);
	customer = want(200, customer_path("REV_E", "p", ""), "REV_E", NULL);
	json_is(customer, "/points", "10");
	json_is(customer, "/status", "'ACTIVE'");
	json_is(customer, "/tags", "[]");
	json_is(customer, "/statusPoints", "10");
	json_is(customer, "/lifetimePoints", "10");
	answer = want(200, customer_path("REV_E", "p", "/rewards"), "REV_E", NULL);
	json_is(answer, "/0/state", "'REVOKED'");
	json_is(answer, "/1/state", "'REVOKED'");
	refused(409, "reward_revoked", NULL,
		textf("POST /customers/REV_E/p/rewards/%s/use", text_at(answer, "/0/customer_reward_id")), "REV_E", NULL);
	assert_int_equal(size_of(want(200, "GET /admin/bonus-awards", "REV_E", NULL)), 0);
	/* A reward that was used stays used, and what it cost stays spent. */
	send_event(201, "REV_E", "q", "EARN", "q-0", "{}");
	send_event(201, "REV_E", "q", "EARN", "q-1", "{}");
	send_event(201, "REV_E", "q", "EARN", "q-2", "{}");
	send(redeem, "REV_E", "q", "REDEEM", "q-3", "{}");
	answer = want(200, customer_path("REV_E", "q", "/rewards"), "REV_E", NULL);
	want(200, textf("POST /customers/REV_E/q/rewards/%s/use", text_at(answer, "/0/customer_reward_id")), "REV_E", NULL);
	answer = want(201, textf("POST /transactions/%s/reverse", redeem), "REV_E", NULL);
	json_is(answer, "/points", "0");
	json_is(answer, "/executions/0/details/actions/0/note", "'the reward was used'");
	json_is(want(200, customer_path("REV_E", "q", "/rewards"), "REV_E", NULL), "/0/state", "'USED'");
}

/* ---- why ---------------------------------------------------------------------------------------------------------------------- */

static void explain_conditions(void **state)
{
	char small[64], large[64], rule[32];
	yyjson_val *answer;
	(void)state;
	make_type("WHY", "PURCHASE");
	make_rule(rule, "WHY", "PURCHASE", 0, "{'all':[{'amount_gte':100},{'any':[{'customer_status_in':['GOLD']},{'not':{'first_purchase':true}}]}]}",
		  EARN_AMOUNT);
	make_rule(NULL, "WHY", "PURCHASE", 1, "{'and':[{'>=':[{'var':'customer.points'},120]},{'<':[{'var':'payload.amount'},{'/':[1,0]}]}]}",
		  "[{'type':'add_customer_tag','tag':'vip'}]");
	make_rule(NULL, "WHY", "PURCHASE", 2, "{'field':'customer.tags','operator':'contains','value':'vip'}", "[{'type':'earn_points','points':1}]");
	make_rule(NULL, "WHY", "PURCHASE", 3, NULL, "[{'type':'burn_points','points':100000}]");
	send(small, "WHY", "p", "PURCHASE", "e-1", "{'amount':99}");
	send(large, "WHY", "p", "PURCHASE", "e-2", "{'amount':150}");
	answer = want(200, textf("GET /transactions/%s/explain", small), "WHY", NULL);
	assert_int_equal(size_of(json_at(answer, "/rules")), 4);
	json_is(answer, "/points_before", "0");
	json_is(answer, "/rules/0/fired", "false");
	assert_string_equal(text_at(answer, "/rules/0/rule_id"), rule);
	json_is(answer, "/rules/0/conditions/all/0",
		"{'condition':{'amount_gte':100},'values':{'payload.amount':99},'result':false}");
	json_is(answer, "/rules/0/conditions/all/1/reached", "false");
	json_is(answer, "/rules/0/conditions/all/1/any/1/not/values", "{'event.first_purchase':true}");
	json_is(answer, "/rules/0/conditions/result", "false");
	json_is(answer, "/rules/1/conditions/all/0/values", "{'customer.points':0}");
	json_is(answer, "/rules/3/result", "'FAILED'");
	assert_true(*text_at(answer, "/rules/3/error"));
	for (int i = 0; i < 4; i++)
		json_is(answer, textf("/rules/%d/reproduced", i), "true");
	/* The second one: the customer as it was then, and each rule after the ones before it. */
	for (int later = 0; later < 2; later++) {
		answer = want(200, textf("GET /transactions/%s/explain", large), "WHY", NULL);
		json_is(answer, "/rules/0/fired", "true");
		json_is(answer, "/rules/0/conditions/all/1/any/1/not/values", "{'event.first_purchase':false}");
		json_is(answer, "/rules/0/actions/0/points", "150");
		json_is(answer, "/rules/1/result", "'FAILED'");
		json_is(answer, "/rules/1/conditions/all/0/values", "{'customer.points':150}");
		json_is(answer, "/rules/1/conditions/result", "null");
		json_is(answer, "/rules/2/conditions/values", "{'customer.tags':[]}");
		json_is(answer, "/rules/3/conditions/condition", "null");
		for (int i = 0; i < 4; i++)
			json_is(answer, textf("/rules/%d/reproduced", i), "true");
		if (later)
			break;
		/* Neither changes of the rules nor of the customer change what was. */
		want(200, textf("PATCH /rules/%s", rule), "WHY", "{'conditions':{'amount_gte':1000},'priority':9}");
		want(200, textf("PATCH /rules/%s", rule), "WHY", "{'active':false}");
		want(201, "POST /customers/upsert", "WHY", "{'profileId':'q'}");
		want(200, "POST /customers/upsert", "WHY", "{'profileId':'p','tags':['vip'],'status':'GOLD'}");
		want(200, textf("DELETE /rules/%s", rule), "WHY", NULL);
		send_event(201, "WHY", "p", "PURCHASE", "e-3", "{'amount':150}");
	}
	refused(404, "not_found", NULL, textf("GET /transactions/%s/explain", large), "WHY_B", NULL);
	refused(404, "not_found", NULL, "GET /transactions/x/explain", "WHY", NULL);
	refused(400, "filter_unknown", NULL, textf("GET /transactions/%s/explain?all=1", large), "WHY", NULL);
}

/* Customers with all that conditions can read, and events that emit others: what is made again is what was. */
static void explain_reproduces(void **state)
{
	char reward[32], ids[24][64];
	(void)state;
	make_tiers("WHY_R");
	make(reward, "/rewards", "WHY_R", "{'name':'Coffee','cost_points':30}");
	want(201, "POST /admin/bonus-definitions", "WHY_R", "{'bonus_key':'HELLO','name':'Hello','policy':'ONCE_EVER'}");
	want(201, "POST /admin/event-types", "WHY_R", "{'key':'IN','origin':'INTERNAL','name':'i'}");
	make_type("WHY_R", "GO");
	make_rule(NULL, "WHY_R", "GO", 0, "{'customer_loyalty_status_in':['BASE']}", "[{'type':'earn_points','from_payload':'n'}]");
	make_rule(NULL, "WHY_R", "GO", 1, "{'points_gte':60}", textf("[{'type':'redeem_reward','reward_id':'%s'}]", reward));
	make_rule(NULL, "WHY_R", "GO", 2, "{'not':{'bonus_awarded':'HELLO'}}", "[{'type':'record_bonus_award','bonusKey':'HELLO'}]");
	make_rule(NULL, "WHY_R", "GO", 3, "{'customer_cmp':{'field':'city','op':'eq','value':'Lisbon'}}",
		  "[{'type':'emit_event','event_type':'IN','payload':{'n':7}},{'type':'emit_event','event_type':'IN'}]");
	make_rule(NULL, "WHY_R", "GO", 4, "{'customer_lifetime_points_gte':100}", "[{'type':'reset_status_points'}]");
	make_rule(NULL, "WHY_R", "IN", 0, "{'payload_cmp':{'path':'n','op':'eq','value':7}}", "[{'type':'earn_points','points':2}]");
	for (int i = 0; i < 24; i++) {
		if (i % 5 == 3)
			want(200, "POST /customers/upsert", "WHY_R",
			     textf("{'profileId':'p','city':'%s'}", i % 2 ? "Lisbon" : "Porto"));
		send(ids[i], "WHY_R", "p", "GO", textf("e-%d", i), textf("{'n':%d}", 7 + i % 4 * 9));
		if (i % 7 == 5)
			want(201, textf("POST /transactions/%s/reverse", ids[i]), "WHY_R", "{'policy':'debt'}");
	}
	for (int i = 0; i < 24; i++) {
		yyjson_val *answer = want(200, textf("GET /transactions/%s/explain", ids[i]), "WHY_R", NULL);
		size_t rules = size_of(json_at(answer, "/rules"));
		assert_true(rules >= 5);
		for (size_t r = 0; r < rules; r++)
			json_is(answer, textf("/rules/%zu/reproduced", r), "true");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a21_rewards_bonuses_tiers), cmocka_unit_test(a60_rewards), cmocka_unit_test(a61_use_reward),
		cmocka_unit_test(a62_loyalty), cmocka_unit_test(a69_bonus_awards),
		cmocka_unit_test(rule_limits_and_audience), cmocka_unit_test(reverse_purchase),
		cmocka_unit_test(reverse_policies), cmocka_unit_test(reverse_left_netted), cmocka_unit_test(reverse_everything),
		cmocka_unit_test(explain_conditions), cmocka_unit_test(explain_reproduces),
	};
	return harness_run("rewards", tests, COUNT_OF(tests), NULL);
}
