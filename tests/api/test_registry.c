// SPDX-License-Identifier: Apache-2.0
/* test_registry.c - what every kind of configuration can do, from one table of kinds; then what single kinds keep.  A test
 * is named by the rows of the features' list that it shows. */
#include <stdlib.h>

#include "tests/api/calls.h"
#include "tests/api/harness.h"

/* A brand with a further header; `header` has single quotes for double ones. */
static const char *with(const char *brand, const char *header)
{
	static char out[256];
	snprintf(out, sizeof out, "%s\r\n%s", brand, header);
	for (char *at = out; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	return out;
}

static void header_is(const char *name, const char *expected)
{
	char got[100] = "(none)";
	reply_header(last_reply(), name, got, sizeof got);
	assert_string_equal(got, expected ? expected : "(none)");
}

static void keep_id(char id[32], yyjson_val *document)
{
	snprintf(id, 32, "%s", text_at(document, "/id"));
}

static const struct {
	const char *name, *path, *plural;
	const char *first, *second;    /* two good bodies that may stand side by side; the second is inactive */
	const char *patch, *field, *value;     /* a change, and what it leaves where */
	const char *bad, *pointers;    /* a wrong body */
	const char *filter;            /* one that only the second fits */
	const char *fixed;             /* a change of what cannot be changed; NULL: all can */
	const char *defaults;          /* what the answer to `first` has by itself: pointer, space, JSON; ends with NULL */
	const char *fallback;
} table[] = {
	{ "event_type", "/admin/event-types", "event_types", "{'key':'K1','origin':'EXTERNAL','name':'n'}",
	  "{'key':'K2','origin':'INTERNAL','name':'n','active':false}", "{'name':'m'}", "/name", "'m'",
	  "{'key':'','origin':'X','colour':1}", "/key /origin /name /colour", "origin=INTERNAL", "{'key':'K9'}", "/active",
	  "true" },
	{ "rule", "/rules", "rules", "{'event_type':'T','actions':[]}", "{'event_type':'T','actions':[],'active':false,'priority':7}",
	  "{'priority':9}", "/priority", "9", "{'priority':-1,'actions':{}}", "/event_type /priority /actions", "priority=7",
	  NULL, "/priority", "0" },
	{ "reward", "/rewards", "rewards", "{'name':'Coffee'}", "{'name':'Tea','type':'DRINK','active':false,'validity_days':30}",
	  "{'cost_points':50}", "/cost_points", "50", "{'name':1,'cost_points':-1,'validity_days':0}",
	  "/name /cost_points /validity_days", "type=DRINK", NULL, "/type", "'GENERIC'" },
	{ "loyalty_tier", "/admin/loyalty-tiers", "loyalty_tiers", "{'key':'BASE','name':'b','rank':0,'min_status_points':0}",
	  "{'key':'GOLD','name':'g','rank':1,'min_status_points':100,'active':false}", "{'name':'basic'}", "/name", "'basic'",
	  "{'key':'X','rank':-1,'min_status_points':'1'}", "/name /rank /min_status_points", "rank=1", "{'key':'Z'}",
	  "/active", "true" },
	{ "bonus_definition", "/admin/bonus-definitions", "bonus_definitions",
	  "{'bonus_key':'BIRTHDAY_200','policy':'ONCE_PER_YEAR'}", "{'bonus_key':'WELCOME','policy':'ONCE_EVER','active':false}",
	  "{'policy':'ONCE_PER_DAY'}", "/policy", "'ONCE_PER_DAY'", "{'policy':'OFTEN'}", "/bonus_key /policy",
	  "policy=ONCE_EVER", "{'bonus_key':'Z'}", "/name", "null" },
	{ "campaign", "/campaigns", "campaigns", "{'name':'Spring','settings':{'a':{'b':1}}}",
	  "{'name':'Autumn','active':false,'starts_at':'2026-09-01T00:00:00Z'}", "{'settings':{'a':{'c':2}}}", "/settings",
	  "{'a':{'b':1,'c':2}}", "{'name':'x','starts_at':'tomorrow','settings':[]}", "/starts_at /settings", "name=Autumn",
	  NULL, "/ends_at", "null" },
	{ "internal_job", "/admin/internal-jobs", "internal_jobs", "{'job_key':'J1','event_type':'PING'}",
	  "{'job_key':'J2','event_type':'PING','active':false,'payload_template':{'hello':'world'}}",
	  "{'payload_template':{'a':1}}", "/payload_template", "{'a':1}",
	  "{'job_key':1,'schedule':{'type':'interval'},'selector':[]}", "/job_key /event_type /schedule/type /selector",
	  "job_key=J2", "{'job_key':'Z'}", "/selector", "{}" },
};

static void prepare(const char *brand)
{
	make_type(brand, "T");
	want(201, "POST /admin/event-types", brand, "{'key':'PING','origin':'INTERNAL','name':'Ping'}");
}

static void a_campaign_ends_behind_its_start(void **state)
{
	char id[32];
	(void)state;
	refused(422, "invalid", "/ends_at", "POST /campaigns", "WHEN",
		"{'name':'x','starts_at':'2026-09-01T00:00:00+02:00','ends_at':'2026-08-31T21:59:59Z'}");
	keep_id(id, want(201, "POST /campaigns", "WHEN", "{'name':'x','starts_at':'2026-09-01T00:00:00+02:00','ends_at':'2026-08-31T22:00:00Z'}"));
	refused(422, "invalid", "/ends_at", textf("PATCH /campaigns/%s", id), "WHEN", "{'starts_at':'2026-09-02T00:00:00Z'}");
	want(200, textf("PATCH /campaigns/%s", id), "WHEN", "{'ends_at':null,'starts_at':'2026-09-02T00:00:00Z'}");
}

/* Every kind: made, read, listed, filtered, changed, tried, taken away; and what is wrong is refused and leaves nothing. */
static void a65_a66_a67_a71_every_kind(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		const char *path = table[i].path;
		char id[32], other[32], brand[32], post[64], list[64], one[64], patch[64], drop[64];
		snprintf(brand, sizeof brand, "KIND_%zu", i);
		snprintf(post, sizeof post, "POST %s", path);
		snprintf(list, sizeof list, "GET %s", path);
		prepare(brand);
		size_t there = size_of(want(200, list, brand, NULL));
		refused(422, "invalid", table[i].pointers, post, brand, table[i].bad);
		json_is(want(200, textf("POST %s?dry_run=true", path), brand, table[i].first), "/version", "1");
		header_is("ETag", NULL);
		assert_int_equal(size_of(want(200, list, brand, NULL)), there);
		yyjson_val *made = want(201, post, brand, table[i].first);
		header_is("ETag", "\"1\"");
		header_is("Deprecation", strcmp(table[i].name, "campaign") == 0 ? "true" : NULL);
		json_is(made, "/version", "1");
		json_is(made, table[i].defaults, table[i].fallback);
		keep_id(id, made);
		keep_id(other, want(201, post, brand, table[i].second));
		assert_int_equal(size_of(want(200, list, brand, NULL)), there + 2);
		assert_int_equal(size_of(want(200, list, textf("%s_OTHER", brand), NULL)), 0);
		assert_string_equal(text_at(want(200, textf("GET %s?active=false", path), brand, NULL), "/0/id"), other);
		assert_int_equal(size_of(want(200, textf("GET %s?active=false", path), brand, NULL)), 1);
		yyjson_val *found = want(200, textf("GET %s?active=false&%s", path, table[i].filter), brand, NULL);
		assert_int_equal(size_of(found), 1);
		refused(400, "filter_unknown", NULL, textf("GET %s?colour=red", path), brand, NULL);
		refused(400, "filter_unknown", NULL, textf("DELETE %s/%s?dryrun=1", path, id), brand, NULL);

		snprintf(one, sizeof one, "GET %s/%s", path, id);
		snprintf(patch, sizeof patch, "PATCH %s/%s", path, id);
		snprintf(drop, sizeof drop, "DELETE %s/%s", path, id);
		json_is(want(200, textf("PATCH %s/%s?dry_run=1", path, id), brand, table[i].patch), table[i].field,
			table[i].value);
		json_is(want(200, one, brand, NULL), "/version", "1");
		if (table[i].fixed)
			refused(422, "invalid", NULL, patch, brand, table[i].fixed);
		refused(412, "version_mismatch", NULL, patch, with(brand, "If-Match: '2'"), table[i].patch);
		refused(412, "version_mismatch", NULL, patch, with(brand, "If-Match: W/'1'"), table[i].patch);
		refused(412, "version_mismatch", NULL, patch, with(brand, "If-Match: 1"), table[i].patch);
		refused(412, "version_mismatch", NULL, patch, with(brand, "If-None-Match: *"), table[i].patch);
		yyjson_val *changed = want(200, patch, with(brand, "If-Match: '9', '1'"), table[i].patch);
		header_is("ETag", "\"2\"");
		json_is(changed, table[i].field, table[i].value);
		json_is(changed, "/version", "2");
		refused(404, "not_found", NULL, patch, textf("%s_OTHER", brand), table[i].patch);
		refused(404, "not_found", NULL, textf("PATCH %s/999999", path), with(brand, "If-Match: '1'"), table[i].patch);

		json_is(want(200, one, with(brand, "If-None-Match: '1'"), NULL), "/version", "2");
		header_is("ETag", "\"2\"");
		if (strcmp(table[i].name, "internal_job") != 0) {
			assert_int_equal(ask(one, with(brand, "If-None-Match: '1', W/'2'"), NULL, (struct str){ 0 })->status, 304);
			header_is("ETag", "\"2\"");
			assert_int_equal(last_reply()->body.len, 0);
			assert_int_equal(ask(one, with(brand, "If-None-Match: *"), NULL, (struct str){ 0 })->status, 304);
		}
		refused(412, "version_mismatch", NULL, one, with(brand, "If-Match: '1'"), NULL);

		if (strcmp(table[i].name, "loyalty_tier") == 0)
			want(200, textf("DELETE %s/%s", path, other), brand, NULL);
		json_is(want(200, textf("%s?dry_run=true", drop), brand, NULL), "", "{'deleted':true}");
		want(200, one, brand, NULL);
		refused(412, "version_mismatch", NULL, drop, with(brand, "If-Match: '1'"), NULL);
		json_is(want(200, drop, with(brand, "If-Match: '2'"), NULL), "", "{'deleted':true}");
		header_is("ETag", NULL);
		refused(404, "not_found", NULL, one, brand, NULL);
		refused(404, "not_found", NULL, drop, brand, NULL);
	}
}

/* Over MessagePack-RPC the same commands, by the kind's plural. */
static void every_kind_over_rpc(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		char brand[32], id[32];
		snprintf(brand, sizeof brand, "RPC_%zu", i);
		prepare(brand);
		const char *fields = table[i].first + 1;
		keep_id(id, call_ok(textf("%s.create", table[i].plural), textf("[{'brand':'%s',%s]", brand, fields)));
		json_is(call_ok(textf("%s.get", table[i].plural), textf("[{'brand':'%s','id':'%s'}]", brand, id)), "/version", "1");
		json_is(call_ok(textf("%s.update", table[i].plural), textf("[{'brand':'%s','id':'%s',%s]", brand, id,
									     table[i].patch + 1)), "/version", "2");
		assert_true(size_of(json_at(call_ok(textf("%s.list", table[i].plural), textf("[{'brand':'%s'}]", brand)), "/items")));
		call_ok(textf("%s.delete", table[i].plural), textf("[{'brand':'%s','id':'%s','dry_run':true}]", brand, id));
		call_ok(textf("%s.delete", table[i].plural), textf("[{'brand':'%s','id':'%s'}]", brand, id));
	}
	calls_close();
}

/* Pages by cursor, in the order of the kind, stand although documents come and go. */
static void lists_have_cursors(void **state)
{
	static const int priorities[] = { 5, 0, 5, 2, 5 };
	static const size_t order[] = { 1, 3, 0, 2, 4 };
	char ids[5][32], cursor[40] = "";
	(void)state;
	make_type("CURSOR", "T");
	for (size_t i = 0; i < 5; i++)
		make_rule(ids[i], "CURSOR", "T", priorities[i], NULL, "[]");
	for (size_t i = 0; i < 5; i++) {
		yyjson_val *page = want(200, textf("GET /rules?limit=1%s%s", *cursor ? "&cursor=" : "", cursor), "CURSOR", NULL);
		assert_int_equal(size_of(page), 1);
		assert_string_equal(text_at(page, "/0/id"), ids[order[i]]);
		header_is("X-Total-Count", i < 2 ? "5" : "4");
		bool more = reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor);
		assert_int_equal(more, i < 4);
		if (i == 1)
			want(200, textf("DELETE /rules/%s", ids[1]), "CURSOR", NULL);
	}
	assert_int_equal(size_of(want(200, textf("GET /rules?cursor=9.1"), "CURSOR", NULL)), 0);
	for (int i = 0; i < 3; i++)
		want(201, "POST /rewards", "CURSOR", textf("{'name':'r%d'}", i));
	assert_int_equal(size_of(want(200, "GET /rewards?limit=2", "CURSOR", NULL)), 2);
	assert_true(reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor));
	yyjson_val *page = want(200, textf("GET /rewards?limit=2&cursor=%s", cursor), "CURSOR", NULL);
	assert_int_equal(size_of(page), 1);
	json_is(page, "/0/name", "'r2'");
	header_is("X-Next-Cursor", NULL);
	refused(400, "cursor_invalid", NULL, "GET /rewards?cursor=x", "CURSOR", NULL);
	refused(400, "cursor_invalid", NULL, "GET /rewards?cursor=1.2", "CURSOR", NULL);
	refused(400, "cursor_invalid", NULL, "GET /rules?cursor=1", "CURSOR", NULL);
	refused(400, "cursor_invalid", NULL, "GET /rules?cursor=", "CURSOR", NULL);
}

static void a65_tiers(void **state)
{
	char base[32], gold[32];
	(void)state;
	keep_id(base, want(201, "POST /admin/loyalty-tiers", "A65", "{'key':'B','name':'b','rank':0,'min_status_points':0}"));
	keep_id(gold, want(201, "POST /admin/loyalty-tiers", "A65", "{'key':'G','name':'g','rank':2,'min_status_points':500}"));
	want(201, "POST /admin/loyalty-tiers", "A65", "{'key':'S','name':'s','rank':1,'min_status_points':100}");
	yyjson_val *tiers = want(200, "GET /admin/loyalty-tiers", "A65", NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(int_at(tiers, textf("/%d/rank", i)), i);
	refused(409, "duplicate", NULL, "POST /admin/loyalty-tiers", "A65",
		"{'key':'X','name':'x','rank':2,'min_status_points':900}");
	refused(409, "duplicate", NULL, "POST /admin/loyalty-tiers", "A65",
		"{'key':'X','name':'x','rank':3,'min_status_points':500}");
	refused(409, "duplicate", NULL, "POST /admin/loyalty-tiers", "A65",
		"{'key':'G','name':'x','rank':3,'min_status_points':900}");
	refused(422, "invalid", "/min_status_points", "POST /admin/loyalty-tiers", "A65",
		"{'key':'X','name':'x','rank':3,'min_status_points':499}");
	refused(422, "invalid", "/min_status_points", textf("PATCH /admin/loyalty-tiers/%s", gold), "A65",
		"{'min_status_points':99}");
	refused(409, "base_tier_needed", NULL, textf("DELETE /admin/loyalty-tiers/%s", base), "A65", NULL);
	refused(409, "base_tier_needed", NULL, textf("PATCH /admin/loyalty-tiers/%s", base), "A65", "{'active':false}");
	want(201, "POST /admin/loyalty-tiers", "A65_OTHER", "{'key':'G','name':'g','rank':2,'min_status_points':500}");
}

static void references_are_kept(void **state)
{
	char type[32], job[32], ping[32], rule[32];
	(void)state;
	make_type("REFS", "T");
	keep_id(type, want(201, "POST /admin/event-types", "REFS", "{'key':'PING','origin':'INTERNAL','name':'Ping'}"));
	keep_id(ping, want(201, "POST /admin/event-types", "REFS", "{'key':'PONG','origin':'INTERNAL','name':'Pong'}"));
	keep_id(rule, want(201, "POST /rules", "REFS", "{'event_type':'T','actions':[{'type':'emit_event','event_type':'PONG'}]}"));
	refused(409, "in_use", NULL, textf("PATCH /admin/event-types/%s", ping), "REFS", "{'origin':'EXTERNAL'}");
	refused(409, "in_use", NULL, textf("DELETE /admin/event-types/%s", ping), "REFS", NULL);
	want(200, textf("DELETE /rules/%s", rule), "REFS", NULL);
	want(200, textf("PATCH /admin/event-types/%s", ping), "REFS", "{'origin':'EXTERNAL'}");
	refused(400, "event_type_unknown", NULL, "POST /admin/internal-jobs", "REFS", "{'job_key':'j','event_type':'NONE'}");
	refused(400, "event_type_not_internal", NULL, "POST /admin/internal-jobs", "REFS", "{'job_key':'j','event_type':'T'}");
	refused(400, "event_type_not_internal", NULL, "POST /rules", "REFS",
		"{'event_type':'T','actions':[{'type':'emit_event','event_type':'T'}]}");
	keep_id(job, want(201, "POST /admin/internal-jobs", "REFS", "{'job_key':'j','event_type':'PING'}"));
	refused(409, "in_use", NULL, textf("DELETE /admin/event-types/%s", type), "REFS", NULL);
	refused(409, "in_use", NULL, textf("DELETE /admin/event-types/%s?dry_run=true", type), "REFS", NULL);
	want(200, textf("DELETE /admin/internal-jobs/%s", job), "REFS", NULL);
	want(200, textf("DELETE /admin/event-types/%s", type), "REFS", NULL);
}

/* Who did what, newest first, with before and after; across brands nothing. */
static void audit(void **state)
{
	char type[32], rule[32], cursor[40];
	(void)state;
	assert_int_equal(size_of(want(200, "GET /admin/audit", "AUDIT", NULL)), 0);
	keep_id(type, want(201, "POST /admin/event-types", with("AUDIT", "X-Operator: ann"),
			   "{'key':'T','origin':'EXTERNAL','name':'n'}"));
	keep_id(rule, want(201, "POST /rules", "AUDIT", "{'event_type':'T','actions':[]}"));
	want(200, textf("PATCH /rules/%s", rule), with("AUDIT", "X-Operator: bob"), "{'priority':4}");
	want(200, textf("PATCH /admin/event-types/%s", type), "AUDIT", "{'name':'m'}");
	want(200, textf("PATCH /rules/%s?dry_run=true", rule), "AUDIT", "{'priority':5}");
	want(200, textf("DELETE /rules/%s", rule), "AUDIT", NULL);
	refused(400, "operator_invalid", NULL, "POST /rules", with("AUDIT", "X-Operator:"), "{'event_type':'T','actions':[]}");
	yyjson_val *all = want(200, "GET /admin/audit", "AUDIT", NULL);
	assert_int_equal(size_of(all), 5);
	json_is(all, "/0/op", "'delete'");
	json_is(all, "/0/actor", "'anonymous'");
	json_is(all, "/0/version", "3");
	json_is(all, "/0/before/priority", "4");
	json_is(all, "/0/after", "null");
	json_is(all, "/1/kind", "'event_type'");
	json_is(all, "/1/before/name", "'n'");
	json_is(all, "/1/after/name", "'m'");
	json_is(all, "/2/actor", "'bob'");
	json_is(all, "/2/op", "'update'");
	json_is(all, "/2/before/priority", "0");
	json_is(all, "/2/after/priority", "4");
	json_is(all, "/3/op", "'create'");
	json_is(all, "/3/before", "null");
	json_is(all, "/4/actor", "'ann'");
	assert_string_equal(text_at(all, "/4/id"), type);
	assert_true(int_at(all, "/0/lsn") > int_at(all, "/4/lsn"));
	header_is("X-Next-Cursor", NULL);

	yyjson_val *of = want(200, textf("GET /admin/audit?kind=rule&id=%s", rule), "AUDIT", NULL);
	assert_int_equal(size_of(of), 3);
	json_is(of, "/2/op", "'create'");
	assert_int_equal(size_of(want(200, "GET /admin/audit?kind=event_type", "AUDIT", NULL)), 2);
	assert_int_equal(size_of(want(200, "GET /admin/audit?kind=reward", "AUDIT", NULL)), 0);
	assert_int_equal(size_of(want(200, "GET /admin/audit", "AUDIT_OTHER", NULL)), 0);

	assert_int_equal(size_of(want(200, "GET /admin/audit?limit=2", "AUDIT", NULL)), 2);
	assert_true(reply_header(last_reply(), "X-Next-Cursor", cursor, sizeof cursor));
	yyjson_val *rest = want(200, textf("GET /admin/audit?cursor=%s", cursor), "AUDIT", NULL);
	assert_int_equal(size_of(rest), 3);
	json_is(rest, "/0/actor", "'bob'");
	refused(400, "cursor_invalid", NULL, textf("GET /admin/audit?cursor=%s", cursor), "AUDIT_OTHER", NULL);
	refused(400, "cursor_invalid", NULL, "GET /admin/audit?cursor=12", "AUDIT", NULL);
	refused(400, "cursor_invalid", NULL, "GET /admin/audit?cursor=9999999999", "AUDIT", NULL);
	refused(422, "filter_invalid", NULL, "GET /admin/audit?kind=none", "AUDIT", NULL);
	refused(422, "filter_invalid", NULL, "GET /admin/audit?id=x", "AUDIT", NULL);
	refused(400, "filter_unknown", NULL, "GET /admin/audit?offset=1", "AUDIT", NULL);
	refused(400, "brand_missing", NULL, "GET /admin/audit", NULL, NULL);
	refused(405, NULL, NULL, "POST /admin/audit", "AUDIT", "{}");
}

/* ---- what forms need ------------------------------------------------------------------------------------------------- */

static void a31_a32_a33_rule_catalogue(void **state)
{
	static const char *const paths[] = { "GET /admin/rules/ui-catalog", "GET /rules/ui-catalog" };
	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		yyjson_val *catalog = want(200, paths[i], "A31", NULL);
		json_is(catalog, "/create/schema/$schema", "'https://json-schema.org/draft/2020-12/schema'");
		json_is(catalog, "/create/schema/required", "['event_type','actions']");
		json_is(catalog, "/update/schema/properties/priority/type", "['integer','null']");
		json_is(catalog, "/create/schema/properties/priority/maximum", "1000000000");
		json_is(catalog, "/create/hints/brand/widget", "'hidden'");
		json_is(catalog, "/update/hints/brand/hidden", "true");
		json_is(catalog, "/create/hints/event_type/widget", "'remote_select'");
		json_is(catalog, "/create/hints/event_type/datasource", "'/admin/ui-options/event-types'");
		json_is(catalog, "/create/hints/event_type/valueField", "'key'");
		json_is(catalog, "/create/hints/event_type/labelField", "'name'");
		json_is(catalog, "/create/hints/actions/types/0/type", "'earn_points_from_amount'");
	}
	refused(400, "brand_missing", NULL, "GET /admin/rules/ui-catalog", NULL, NULL);
	refused(404, "not_found", NULL, "PATCH /rules/ui-catalog", "A31", "{}");
}

static void a34_a75_rule_bundle(void **state)
{
	(void)state;
	make_type("A34", "PURCHASE");
	want(201, "POST /admin/event-types", "A34", "{'key':'OFF','origin':'EXTERNAL','name':'off','active':false}");
	want(201, "POST /rewards", "A34", "{'name':'Coffee'}");
	want(201, "POST /admin/loyalty-tiers", "A34", "{'key':'B','name':'b','rank':0,'min_status_points':0}");
	want(201, "POST /admin/bonus-definitions", "A34", "{'bonus_key':'W','policy':'ONCE_EVER'}");
	want(201, "POST /customers/upsert", "A34", "{'profileId':'p','tags':['b','a']}");
	yyjson_val *bundle = want(200, "GET /admin/rules/ui-bundle", "A34", NULL);
	json_is(bundle, "/brand", "'A34'");
	json_is(bundle, "/uiCatalog/create/hints/event_type/labelField", "'name'");
	assert_int_equal(size_of(json_at(bundle, "/uiOptions/eventTypes")), 1);
	json_is(bundle, "/uiOptions/eventTypes/0/value", "'PURCHASE'");
	json_is(bundle, "/uiOptions/rewards/0/label", "'Coffee'");
	json_is(bundle, "/uiOptions/loyaltyTiers/0/value", "'B'");
	json_is(bundle, "/uiOptions/bonusDefinitions/0/label", "'W'");
	json_is(bundle, "/uiOptions/customerTags", "['a','b']");
	bundle = want(200, "GET /admin/rules/ui-bundle", "A34_NONE", NULL);
	json_is(bundle, "/uiOptions", "{'eventTypes':[],'rewards':[],'loyaltyTiers':[],'bonusDefinitions':[],'customerTags':[]}");
}

static void a35_a36_a37_job_catalogue(void **state)
{
	char bodies[16][1024];
	size_t count = 0, i, max;
	yyjson_val *preset;
	(void)state;
	make_type("A35", "PURCHASE");
	want(201, "POST /admin/event-types", "A35", "{'key':'PING','origin':'INTERNAL','name':'Ping'}");
	yyjson_val *catalog = want(200, "GET /admin/internal-jobs/ui-catalog", "A35", NULL);
	json_is(catalog, "/job/schema/required", "['job_key','event_type']");
	json_is(catalog, "/job/hints/event_type/datasource", "'/admin/ui-options/event-types?origin=INTERNAL'");
	json_is(catalog, "/selector/keys/3/key", "'status_in'");
	json_is(catalog, "/payloadTemplate/widget", "'json'");
	yyjson_arr_foreach(json_at(catalog, "/jobTypes"), i, max, preset) {
		char *values = yyjson_val_write(json_at(preset, "/values"), 0, NULL);
		assert_true(count < COUNT_OF(bodies));
		snprintf(bodies[count++], sizeof bodies[0], "{\"event_type\":\"PING\",%s", values + 1);
		free(values);
	}
	assert_true(count >= 4);
	for (i = 0; i < count; i++)
		want(201, "POST /admin/internal-jobs", "A35", bodies[i]);
	yyjson_val *bundle = want(200, "GET /admin/internal-jobs/ui-bundle", "A35", NULL);
	json_at(bundle, "/uiCatalog/jobTypes/0/values");
	assert_int_equal(size_of(json_at(bundle, "/uiOptions/eventTypes")), 1);
	json_is(bundle, "/uiOptions/eventTypes/0/value", "'PING'");
	json_is(bundle, "/uiOptions/customerTags", "[]");
}

/* What a catalogue advertises is what the API takes: see test_describe for all of it. */
static void a38_a68_every_catalogue(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		yyjson_val *catalog = want(200, textf("GET %s/ui-catalog", table[i].path), "A38", NULL);
		json_is(catalog, "/kind", textf("'%s'", table[i].name));
		json_is(catalog, "/create/schema/additionalProperties", "false");
		json_is(catalog, "/update/schema/type", "'object'");
		json_is(catalog, "/read/schema/properties/version/readOnly", "true");
		json_is(catalog, "/create/hints/brand/hidden", "true");
	}
	json_is(want(200, "GET /admin/bonus-definitions/ui-catalog", "A38", NULL), "/create/schema/properties/policy/enum",
		"['ONCE_EVER','ONCE_PER_YEAR','ONCE_PER_MONTH','ONCE_PER_WEEK','ONCE_PER_DAY']");
	json_is(last_reply()->doc->root, "/create/hints/policy/choices/1/label", "'Once per year'");
}

static void a52_a53_a54_options(void **state)
{
	(void)state;
	want(201, "POST /rewards", "A52", "{'name':'Tea'}");
	want(201, "POST /rewards", "A52", "{'name':'Coffee'}");
	want(201, "POST /rewards", "A52", "{'name':'Old','active':false}");
	yyjson_val *list = want(200, "GET /admin/ui-options/rewards", "A52", NULL);
	assert_int_equal(size_of(list), 2);
	json_is(list, "/0/label", "'Coffee'");
	json_is(list, "/1/name", "'Tea'");
	assert_string_equal(text_at(list, "/0/value"), text_at(list, "/0/id"));
	assert_int_equal(size_of(want(200, "GET /admin/ui-options/rewards?active=false", "A52", NULL)), 1);
	list = want(200, "GET /admin/ui-options/rewards?limit=1&offset=1", "A52", NULL);
	assert_int_equal(size_of(list), 1);
	json_is(list, "/0/label", "'Tea'");
	header_is("X-Total-Count", "2");
	refused(400, "filter_unknown", NULL, "GET /admin/ui-options/rewards?colour=red", "A52", NULL);
	assert_int_equal(size_of(want(200, "GET /admin/ui-options/rewards", "A52_OTHER", NULL)), 0);
	make_type("A53", "B");
	make_type("A53", "A");
	want(201, "POST /admin/event-types", "A53", "{'key':'JOB_PING','origin':'INTERNAL','name':'Ping'}");
	list = want(200, "GET /admin/ui-options/event-types", "A53", NULL);
	json_is(list, "/0/value", "'A'");
	list = want(200, "GET /admin/ui-options/event-types?origin=INTERNAL", "A53", NULL);
	assert_int_equal(size_of(list), 1);
	json_is(list, "/0/label", "'Ping'");
	for (int i = 0; i < 3; i++)
		want(201, "POST /admin/loyalty-tiers", "A54",
		     textf("{'key':'%c','name':'n','rank':%d,'min_status_points':%d}", 'C' - i, i, i * 100));
	list = want(200, "GET /admin/ui-options/loyalty-tiers", "A54", NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(int_at(list, textf("/%d/rank", i)), i);
}

/* Rewards, bonuses, tiers and event types that the actions of a rule name: there, and not taken away. */
static void actions_refer(void **state)
{
	static const struct { const char *action, *code; } unknown[] = {
		{ "{'type':'issue_reward','reward_id':'999999'}", "reward_unknown" },
		{ "{'type':'redeem_reward','reward_id':'999999'}", "reward_unknown" },
		{ "{'type':'record_bonus_award','bonusKey':'NONE'}", "bonus_unknown" },
		{ "{'type':'set_tier','tier':'NONE'}", "tier_unknown" },
		{ "{'type':'emit_event','event_type':'NONE'}", "event_type_unknown" },
	};
	char reward[32], bonus[32], rule[32];
	(void)state;
	make_type("ACT", "T");
	for (size_t i = 0; i < COUNT_OF(unknown); i++)
		refused(400, unknown[i].code, NULL, "POST /rules", "ACT", textf("{'event_type':'T','actions':[%s]}", unknown[i].action));
	keep_id(reward, want(201, "POST /rewards", "ACT", "{'name':'r'}"));
	keep_id(bonus, want(201, "POST /admin/bonus-definitions", "ACT", "{'bonus_key':'B','policy':'ONCE_EVER'}"));
	keep_id(rule, want(201, "POST /rules", "ACT",
			   textf("{'event_type':'T','actions':[{'type':'issue_reward','reward_id':'%s'},"
				 "{'type':'record_bonus_award','bonusKey':'B'}]}", reward)));
	refused(409, "in_use", NULL, textf("DELETE /rewards/%s", reward), "ACT", NULL);
	refused(409, "in_use", NULL, textf("DELETE /admin/bonus-definitions/%s", bonus), "ACT", NULL);
	want(200, textf("PATCH /rules/%s", rule), "ACT", "{'priority':1}");
	want(200, textf("PATCH /rules/%s", rule), "ACT", "{'actions':[]}");
	want(200, textf("DELETE /rewards/%s", reward), "ACT", NULL);
	want(200, textf("DELETE /admin/bonus-definitions/%s", bonus), "ACT", NULL);
}

static void limits_of_rules(void **state)
{
	(void)state;
	make_type("LIMITS", "T");
	refused(422, "invalid", "/limits/0/max /limits/1/per /limits/2", "POST /rules", "LIMITS",
		"{'event_type':'T','actions':[],'limits':[{'per':'DAY'},{'max':1,'per':'HOUR'},5]}");
	want(201, "POST /rules", "LIMITS",
	     "{'event_type':'T','actions':[{'type':'earn_points','points':5}],'limits':[{'max':2,'per':'DAY'}]}");
	for (int i = 0; i < 4; i++)
		send_event(201, "LIMITS", "p", "T", textf("e-%d", i), "{}");
	assert_int_equal(wallet("LIMITS", "p"), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a65_a66_a67_a71_every_kind),
		cmocka_unit_test(a_campaign_ends_behind_its_start),
		cmocka_unit_test(every_kind_over_rpc),
		cmocka_unit_test(lists_have_cursors),
		cmocka_unit_test(a65_tiers),
		cmocka_unit_test(references_are_kept),
		cmocka_unit_test(audit),
		cmocka_unit_test(a31_a32_a33_rule_catalogue),
		cmocka_unit_test(a34_a75_rule_bundle),
		cmocka_unit_test(a35_a36_a37_job_catalogue),
		cmocka_unit_test(a38_a68_every_catalogue),
		cmocka_unit_test(a52_a53_a54_options),
		cmocka_unit_test(actions_refer),
		cmocka_unit_test(limits_of_rules),
	};
	return harness_run("registry", tests, COUNT_OF(tests), NULL);
}
