// SPDX-License-Identifier: Apache-2.0
/* test_jobs.c - internal jobs from outside: selection, buckets, runs by hand and by schedule, over restarts and kills.  A test is
 * named by the row of the features' list that it shows.
 *
 * No test waits for a slot of a schedule: a job is given when it runs next, or the server is started again with its clock ahead. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/api/calls.h"

#define EARN_ONE "[{'type':'earn_points','points':1}]"
#define YEARLY "{'type':'cron','cron':'0 0 1 1 *'}"
#define HOURLY "{'type':'cron','cron':'0 * * * *'}"

enum { PATIENCE_MS = 30000, STEP_MS = 20, JOB_TEXT = 64 };

static char job[32];                   /* id of the newest job */

static void make_internal(const char *brand, const char *key)
{
	want(201, "POST /admin/event-types", brand, textf("{'key':'%s','origin':'INTERNAL','name':'%s'}", key, key));
}

static void make_customers(const char *brand, int count)
{
	for (int i = 1; i <= count; i++)
		want(201, "POST /customers/upsert", brand, textf("{'profileId':'p-%d'}", i));
}

/* `more` are further members of the body, each with a comma in front. */
static yyjson_val *make_job(const char *brand, const char *key, const char *selector, const char *more)
{
	yyjson_val *answer = want(201, "POST /admin/internal-jobs", brand,
				  textf("{'job_key':'%s','event_type':'JOB_PING','selector':%s%s}", key, selector, more));
	snprintf(job, sizeof job, "%s", text_at(answer, "/id"));
	return answer;
}

static yyjson_val *read_job(const char *brand)
{
	return want(200, textf("GET /admin/internal-jobs/%s", job), brand, NULL);
}

static yyjson_val *run_job(const char *brand)
{
	return want(200, textf("POST /admin/internal-jobs/%s/run", job), brand, NULL);
}

static size_t transactions(const char *brand)
{
	return size_of(want(200, "GET /transactions?limit=1000", brand, NULL));
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

/* Until a field of the job is (or is no longer) a text; null is "". */
static void wait_job(const char *brand, const char *pointer, const char *text, bool is)
{
	for (unsigned waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
		yyjson_val *value = json_at(read_job(brand), pointer);
		const char *has = yyjson_is_str(value) ? yyjson_get_str(value) : "";
		if ((strcmp(has, text) == 0) == is)
			return;
		pause_ms(STEP_MS);
	}
	fail_msg("%s of job %s did not %sbecome \"%s\"", pointer, job, is ? "" : "cease to ", text);
}

/* A server of the test's own in place of the group's. */
static struct server own, kept;

static void own_start(unsigned shards, const char *const *options)
{
	ask_close();
	if (!own.folder[0])
		kept = harness_server;
	server_start(&own, shards, options);
	harness_server = own;
}

static void own_stop(void)
{
	ask_close();
	server_stop(&own);
}

static void own_end(void)
{
	own_stop();
	server_clean(&own);
	own = (struct server){ 0 };
	harness_server = kept;
}

static void a9_scheduler_off(void **state)
{
	static const char *const off[] = { "--scheduler", "off", NULL };
	(void)state;
	own_start(harness_shards, off);
	make_internal("A9", "JOB_PING");
	make_customers("A9", 2);
	make_job("A9", "PING", "{}", ",'start_in_seconds':0");
	/* Three times as long as the scheduler would take to ask. */
	pause_ms(750);
	assert_true(yyjson_is_null(json_at(read_job("A9"), "/last_run_at")));
	assert_int_equal(transactions("A9"), 0);
	assert_int_equal(int_at(run_job("A9"), "/created"), 2);
	/* What was due stays due until there is somebody who looks. */
	own_stop();
	own_start(harness_shards, NULL);
	wait_job("A9", "/next_run_at", "", true);
	wait_job("A9", "/last_status", "SUCCESS", true);
	assert_int_equal(int_at(read_job("A9"), "/last_existing"), 2);
	assert_int_equal(transactions("A9"), 2);
	own_end();
}

static void a39_create_job(void **state)
{
	(void)state;
	make_internal("A39", "JOB_PING");
	make_type("A39", "PURCHASE");
	yyjson_val *answer = make_job("A39", "PING_ACTIVE", "{'status_in':['ACTIVE']}",
				      ",'payload_template':{'hello':'world'},'active':true,"
				      "'schedule':{'type':'cron','cron':'*/2 * * * *'}");
	assert_true(strlen(text_at(answer, "/id")) > 0);
	assert_string_equal(text_at(answer, "/next_run_at") + 17, "00.000Z");
	assert_true(yyjson_is_null(json_at(answer, "/last_run_at")));
	refused(409, "duplicate", NULL, "POST /admin/internal-jobs", "A39", "{'job_key':'PING_ACTIVE','event_type':'JOB_PING'}");
	refused(400, "event_type_not_internal", NULL, "POST /admin/internal-jobs", "A39", "{'job_key':'J','event_type':'PURCHASE'}");
	refused(400, "event_type_unknown", NULL, "POST /admin/internal-jobs", "A39", "{'job_key':'J','event_type':'NONE'}");
	answer = make_job("A39", "NO_SCHEDULE", "{}", "");
	assert_true(yyjson_is_null(json_at(answer, "/next_run_at")));
	answer = make_job("A39", "INACTIVE", "{}", ",'active':false,'schedule':" YEARLY);
	assert_true(yyjson_is_null(json_at(answer, "/next_run_at")));
	answer = make_job("A39", "FIRST", "{}", ",'first_run_at':'2099-01-02T03:04:05Z','schedule':" YEARLY);
	assert_string_equal(text_at(answer, "/next_run_at"), "2099-01-02T03:04:05.000Z");
	assert_null(yyjson_obj_get(answer, "first_run_at"));
	answer = make_job("A39", "START", "{}", ",'start_in_seconds':86400");
	assert_true(yyjson_is_str(json_at(answer, "/next_run_at")));
	char id[32];
	snprintf(id, sizeof id, "%s", text_at(answer, "/id"));
	refused(422, "invalid", "/first_run_at", "POST /admin/internal-jobs", "A39",
		"{'job_key':'K','event_type':'JOB_PING','first_run_at':'soon'}");
	refused(422, "invalid", "/start_in_seconds", "POST /admin/internal-jobs", "A39",
		"{'job_key':'K','event_type':'JOB_PING','start_in_seconds':-1}");
	refused(422, "invalid", "/start_in_seconds", "POST /admin/internal-jobs", "A39",
		"{'job_key':'K','event_type':'JOB_PING','first_run_at':'2099-01-02T03:04:05Z','start_in_seconds':5}");
	assert_non_null(strstr(last_reply()->body.ptr, "first_run_at"));
	refused(422, "invalid", "/start_in_seconds", textf("PATCH /admin/internal-jobs/%s", id), "A39",
		"{'first_run_at':'2099-01-02T03:04:05Z','start_in_seconds':5}");
}

static void a40_job_life(void **state)
{
	(void)state;
	make_internal("A40", "JOB_PING");
	make_job("A40", "PING", "{}", ",'schedule':" YEARLY);
	char next[40];
	snprintf(next, sizeof next, "%s", text_at(read_job("A40"), "/next_run_at"));
	run_job("A40");
	yyjson_val *answer = read_job("A40");
	assert_string_equal(text_at(answer, "/next_run_at"), next);    /* a run by hand leaves the schedule alone */
	assert_string_equal(text_at(answer, "/last_status"), "SUCCESS");
	assert_true(yyjson_is_str(json_at(answer, "/last_run_at")));
	assert_true(yyjson_is_null(json_at(answer, "/last_error")));
	assert_int_equal(int_at(answer, "/version"), 1);
	answer = want(200, textf("PATCH /admin/internal-jobs/%s", job), "A40", "{'name':'Ping'}");
	assert_string_equal(text_at(answer, "/next_run_at"), next);
	assert_string_equal(text_at(answer, "/last_status"), "SUCCESS");
	answer = want(200, textf("PATCH /admin/internal-jobs/%s", job), "A40", "{'active':false}");
	assert_true(yyjson_is_null(json_at(answer, "/next_run_at")));
	assert_string_equal(text_at(answer, "/last_status"), "SUCCESS");
	refused(400, "job_inactive", NULL, textf("POST /admin/internal-jobs/%s/run", job), "A40", NULL);
	want(200, textf("POST /admin/internal-jobs/%s/preview", job), "A40", NULL);
	answer = want(200, textf("PATCH /admin/internal-jobs/%s", job), "A40", "{'active':true}");
	assert_string_equal(text_at(answer, "/next_run_at"), next);
	answer = want(200, textf("PATCH /admin/internal-jobs/%s", job), "A40", "{'schedule':null}");
	assert_true(yyjson_is_null(json_at(answer, "/next_run_at")));
	refused(422, "invalid", "/last_status", textf("PATCH /admin/internal-jobs/%s", job), "A40", "{'last_status':'SUCCESS'}");
	refused(404, "not_found", NULL, textf("POST /admin/internal-jobs/%s/run", job), "A40_OTHER", NULL);
	refused(404, "not_found", NULL, "POST /admin/internal-jobs/x/run", "A40", NULL);
	refused(400, "brand_missing", NULL, textf("POST /admin/internal-jobs/%s/preview", job), NULL, NULL);
	want(200, textf("DELETE /admin/internal-jobs/%s", job), "A40", NULL);
	refused(404, "not_found", NULL, textf("POST /admin/internal-jobs/%s/run", job), "A40", NULL);
	refused(404, "not_found", NULL, textf("POST /admin/internal-jobs/%s/preview", job), "A40", NULL);
}

static void a41_schedule(void **state)
{
	static const struct { const char *schedule, *pointer; } wrong[] = {
		{ "{'type':'interval','cron':'* * * * *'}", "/schedule/type" },
		{ "{'type':'cron','cron':'61 * * * *'}", "/schedule/cron" },
		{ "{'type':'cron','cron':'0 0 31 2 *'}", "/schedule/cron" },
		{ "{'type':'cron','cron':'* * * * *','timezone':'Europe/Nowhere'}", "/schedule/timezone" },
	};
	(void)state;
	make_internal("A41", "JOB_PING");
	for (size_t i = 0; i < COUNT_OF(wrong); i++)
		refused(422, "invalid", wrong[i].pointer, "POST /admin/internal-jobs", "A41",
			textf("{'job_key':'J','event_type':'JOB_PING','schedule':%s}", wrong[i].schedule));
	yyjson_val *answer = make_job("A41", "NO_ZONE", "{}", ",'schedule':{'type':'cron','cron':'30 12 * * *'}");
	assert_string_equal(text_at(answer, "/next_run_at") + 10, "T12:30:00.000Z");
	answer = make_job("A41", "TOKYO", "{}", ",'schedule':{'type':'cron','cron':'30 12 * * *','timezone':'Asia/Tokyo'}");
	assert_string_equal(text_at(answer, "/next_run_at") + 10, "T03:30:00.000Z");
}

/* The profiles that a selector chooses, in order: "p-1 p-3". */
static void selects(const char *selector, const char *expected)
{
	static int number;
	char names[200] = "", *list[32];
	size_t count = 0;
	make_job("A42", textf("S%d_%u", ++number, harness_shards), selector, "");
	yyjson_val *answer = want(200, textf("POST /admin/internal-jobs/%s/preview", job), "A42", NULL);
	count = size_of(json_at(answer, "/items"));
	assert_true(count < COUNT_OF(list));
	assert_int_equal(int_at(answer, "/targetCustomers"), count);
	for (int p = 1; p < 10; p++)
		for (size_t i = 0; i < count; i++)
			if (!strcmp(text_at(answer, textf("/items/%zu/profileId", i)), textf("p-%d", p)))
				snprintf(names + strlen(names), sizeof names - strlen(names), "%sp-%d", names[0] ? " " : "", p);
	if (strcmp(names, expected))
		fail_msg("%s chooses \"%s\", not \"%s\"", selector, names, expected);
}

static void a42_selector(void **state)
{
	time_t now = time(NULL);
	struct tm today;
	(void)state;
	gmtime_r(&now, &today);
	make_internal("A42", "JOB_PING");
	make_type("A42", "BUY");
	make_rule((char[32]){ 0 }, "A42", "BUY", 0, NULL, "[{'type':'earn_points_from_amount','rate':1,'amount_path':'amount'}]");
	want(201, "POST /customers/upsert", "A42", textf("{'profileId':'p-1','tags':['vip','red'],'birthdate':'1980-%02d-%02d'}",
							 today.tm_mon + 1, today.tm_mday));
	want(201, "POST /customers/upsert", "A42", "{'profileId':'p-2','tags':['red'],'city':'Paris'}");
	want(201, "POST /customers/upsert", "A42", "{'profileId':'p-3','status':'INACTIVE'}");
	want(201, "POST /customers/upsert", "A42_OTHER", "{'profileId':'p-4'}");
	send_event(201, "A42", "p-2", "BUY", "b-1", "{'amount':150}");
	send_event(201, "A42", "p-3", "BUY", "b-2", "{'amount':50}");
	selects("{}", "p-1 p-2 p-3");
	selects("{'status_in':['ACTIVE']}", "p-1 p-2");
	selects("{'status_in':['INACTIVE','NONE']}", "p-3");
	selects("{'status_in':['ACTIVE'],'points_gte':1}", "p-2");
	selects("{'any':[{'status_in':['INACTIVE']},{'tags_any':['vip','none']}]}", "p-1 p-3");
	selects("{'all':[{'tags_any':['red']},{'not':{'tags_any':['vip']}}]}", "p-2");
	selects("{'tags_all':['vip','red']}", "p-1");
	selects("{'tags_none':['vip']}", "p-2 p-3");
	selects("{'not':[{'status_in':['ACTIVE']},{'points_gte':100}]}", "p-1 p-3");
	selects("{'birthdate_today':true}", "p-1");
	selects("{'birthdate_today':false}", "p-2 p-3");
	selects("{'created_anniversary_today':true}", "");
	selects("{'inactive_days_gte':0}", "p-1 p-2 p-3");
	selects("{'inactive_days_gte':1}", "");
	selects("{'created_days_gte':1}", "");
	selects("{'lifetime_points_gte':50}", "p-2 p-3");
	selects("{'points_lte':50}", "p-1 p-3");
	selects("{'events_gte':1}", "p-2 p-3");
	selects("{'events_lte':0}", "p-1");
	selects("{'profile_id_in':['p-2','p-9']}", "p-2");
	selects("{'loyalty_status_in':['gold']}", "");
	selects("{'condition':{'==':[{'var':'customer.city'},'Paris']}}", "p-2");
	selects("{'condition':{'customer_cmp':{'field':'points','op':'between','value':[40,60]}}}", "p-3");
	refused(422, "invalid", "/selector/color", "POST /admin/internal-jobs", "A42",
		"{'job_key':'J','event_type':'JOB_PING','selector':{'color':1}}");
	refused(422, "invalid", "/selector/any/0/status_in /selector/points_gte", "POST /admin/internal-jobs", "A42",
		"{'job_key':'J','event_type':'JOB_PING','selector':{'any':[{'status_in':[]}],'points_gte':'many'}}");
	refused(422, "invalid", "/selector/any", "POST /admin/internal-jobs", "A42",
		"{'job_key':'J','event_type':'JOB_PING','selector':{'any':[]}}");
	refused(422, "invalid", "/selector/tags_any/1", "POST /admin/internal-jobs", "A42",
		"{'job_key':'J','event_type':'JOB_PING','selector':{'tags_any':['a',1]}}");
}

static void a44_preview(void **state)
{
	bool seen[13] = { false };
	(void)state;
	make_internal("A44", "JOB_PING");
	make_customers("A44", 12);
	make_job("A44", "PING", "{}", ",'payload_template':{'hello':'world'}");
	yyjson_val *answer = want(200, textf("POST /admin/internal-jobs/%s/preview?limit=10", job), "A44", NULL);
	assert_int_equal(size_of(json_at(answer, "/items")), 10);
	assert_int_equal(int_at(answer, "/targetCustomers"), 12);
	assert_string_equal(text_at(answer, "/payload/hello"), "world");
	for (unsigned offset = 0; offset < 12; offset += 5) {
		answer = want(200, textf("POST /admin/internal-jobs/%s/preview?limit=5&offset=%u", job, offset), "A44", NULL);
		assert_int_equal(size_of(json_at(answer, "/items")), offset == 10 ? 2 : 5);
		for (size_t i = 0; i < size_of(json_at(answer, "/items")); i++) {
			long number = strtol(text_at(answer, textf("/items/%zu/profileId", i)) + 2, NULL, 10);
			assert_true(number >= 1 && number <= 12 && !seen[number]);
			seen[number] = true;
		}
	}
	assert_int_equal(transactions("A44"), 0);
	assert_true(yyjson_is_null(json_at(read_job("A44"), "/last_run_at")));
	refused(400, "query_invalid", NULL, textf("POST /admin/internal-jobs/%s/preview?limit=0", job), "A44", NULL);
	refused(400, "filter_unknown", NULL, textf("POST /admin/internal-jobs/%s/preview?size=1", job), "A44", NULL);
}

static void a43_a45_a46_a50_runs(void **state)
{
	char id[200];
	(void)state;
	make_internal("A46", "JOB_PING");
	make_rule((char[32]){ 0 }, "A46", "JOB_PING", 0, NULL, EARN_ONE);
	make_customers("A46", 2);
	make_job("A46", "PING", "{}", ",'payload_template':{'hello':'world','bucket':7}");
	yyjson_val *answer = want(200, textf("POST /admin/internal-jobs/%s/run?dry_run=true", job), "A46", NULL);
	assert_int_equal(int_at(answer, "/created"), 2);
	assert_int_equal(transactions("A46"), 0);
	answer = run_job("A46");
	json_is(answer, "/created", "2");
	json_is(answer, "/idempotentExisting", "0");
	json_is(answer, "/failed", "0");
	json_is(answer, "/targetCustomers", "2");
	json_is(answer, "/jobKey", "'PING'");
	json_is(answer, "/eventType", "'JOB_PING'");
	json_is(answer, "/brand", "'A46'");
	assert_string_equal(text_at(answer, "/bucket"), text_at(answer, "/date"));
	snprintf(id, sizeof id, "job_%s_%s_A46_p-", job, text_at(answer, "/bucket"));
	answer = run_job("A46");
	json_is(answer, "/created", "0");
	json_is(answer, "/idempotentExisting", "2");
	/* Another template in the same bucket is no other event. */
	want(200, textf("PATCH /admin/internal-jobs/%s", job), "A46", "{'payload_template':{'hello':'you'}}");
	answer = run_job("A46");
	json_is(answer, "/idempotentExisting", "2");
	answer = want(200, "GET /transactions?limit=1000", "A46", NULL);
	assert_int_equal(size_of(answer), 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(strncmp(text_at(answer, textf("/%zu/eventId", i)), id, strlen(id)), 0);
		json_is(answer, textf("/%zu/payload/hello", i), "'world'");
		json_is(answer, textf("/%zu/payload/jobKey", i), "'PING'");
		json_is(answer, textf("/%zu/payload/jobId", i), textf("'%s'", job));
		assert_int_equal(strncmp(text_at(answer, textf("/%zu/payload/bucket", i)), "20", 2), 0);
	}
	assert_int_equal(wallet("A46", "p-1"), 1);
	assert_int_equal(wallet("A46", "p-2"), 1);
	/* A customer who comes later is the only one missing. */
	want(201, "POST /customers/upsert", "A46", "{'profileId':'p-3'}");
	answer = run_job("A46");
	json_is(answer, "/created", "1");
	json_is(answer, "/idempotentExisting", "2");
}

/* Brand and profile as long as they may be: the id is longer than what clients may send as one. */
static void a46_long_names(void **state)
{
	char brand[201], profile[201];
	(void)state;
	memset(brand, 'b', 200);
	memset(profile, 'p', 200);
	brand[0] = (char)('0' + harness_shards);
	brand[200] = profile[200] = '\0';
	make_internal(brand, "JOB_PING");
	want(201, "POST /customers/upsert", brand, textf("{'profileId':'%s'}", profile));
	make_job(brand, "PING", "{}", ",'schedule':" YEARLY);
	json_is(run_job(brand), "/created", "1");
	json_is(run_job(brand), "/idempotentExisting", "1");
	yyjson_val *answer = want(200, "GET /transactions", brand, NULL);
	assert_true(strlen(text_at(answer, "/0/eventId")) > 400);
}

static void a46_failures(void **state)
{
	(void)state;
	want(201, "POST /admin/event-types", "A46F",
	     "{'key':'JOB_PING','origin':'INTERNAL','name':'x','payload_schema':{'type':'object','required':['n']}}");
	make_customers("A46F", 3);
	make_job("A46F", "PING", "{}", "");
	yyjson_val *answer = run_job("A46F");
	json_is(answer, "/failed", "3");
	json_is(answer, "/created", "0");
	assert_non_null(strstr(text_at(answer, "/error"), "schema"));
	answer = read_job("A46F");
	json_is(answer, "/last_status", "'FAILED'");
	assert_non_null(strstr(text_at(answer, "/last_error"), "schema"));
	want(200, textf("PATCH /admin/internal-jobs/%s", job), "A46F", "{'payload_template':{'n':1}}");
	json_is(run_job("A46F"), "/created", "3");
	json_is(read_job("A46F"), "/last_error", "null");
}

static void a47_a48_a49_buckets(void **state)
{
	static const char *const tomorrow[] = { "--clock-ahead", "86400", NULL };
	static const char *const next_year[] = { "--clock-ahead", "31622400", NULL };
	char yearly[32];
	(void)state;
	own_start(harness_shards, NULL);
	make_internal("A47", "JOB_PING");
	make_customers("A47", 2);
	make_job("A47", "YEARLY", "{}", ",'schedule':" YEARLY);
	snprintf(yearly, sizeof yearly, "%s", job);
	yyjson_val *answer = run_job("A47");
	json_is(answer, "/created", "2");
	assert_int_equal(strlen(text_at(answer, "/bucket")), 16);
	assert_string_equal(text_at(answer, "/bucket") + 4, "0101T000000Z");
	assert_string_equal(text_at(answer, "/date") + 4, "-01-01");
	make_job("A47", "DAILY", "{}", "");
	json_is(run_job("A47"), "/created", "2");
	own_stop();
	own_start(5 - harness_shards, tomorrow);
	json_is(run_job("A47"), "/created", "2");
	json_is(run_job("A47"), "/idempotentExisting", "2");
	own_stop();
	own_start(harness_shards, next_year);
	snprintf(job, sizeof job, "%s", yearly);
	/* The new year's run comes by itself. */
	for (unsigned waited = 0; waited < PATIENCE_MS && transactions("A47") < 8; waited += STEP_MS)
		pause_ms(STEP_MS);
	wait_job("A47", "/last_status", "SUCCESS", true);
	json_is(run_job("A47"), "/idempotentExisting", "2");
	assert_int_equal(transactions("A47"), 8);
	own_end();
}

static void a51_by_schedule(void **state)
{
	static const char *const later[] = { "--clock-ahead", "20000", NULL };
	char bucket[JOB_TEXT];
	(void)state;
	own_start(harness_shards, NULL);
	make_internal("A51", "JOB_PING");
	make_customers("A51", 3);
	make_job("A51", "PING", "{}", ",'start_in_seconds':0,'schedule':" HOURLY);
	wait_job("A51", "/last_status", "SUCCESS", true);
	yyjson_val *answer = read_job("A51");
	json_is(answer, "/last_created", "3");
	assert_string_equal(text_at(answer, "/next_run_at") + 13, ":00:00.000Z");
	snprintf(bucket, sizeof bucket, "%s", text_at(answer, "/last_bucket"));
	ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 });
	assert_non_null(strstr(last_reply()->body.ptr, "tally_job_runs_total{result=\"succeeded\"} 1"));
	/* Five occurrences are missed: one run catches up, also with another number of shards. */
	ask_close();
	server_kill(&own);
	own_start(5 - harness_shards, later);
	wait_job("A51", "/last_bucket", bucket, false);
	wait_job("A51", "/last_status", "SUCCESS", true);
	json_is(read_job("A51"), "/last_created", "3");
	assert_int_equal(transactions("A51"), 6);
	own_stop();
	own_start(harness_shards, later);
	assert_int_equal(transactions("A51"), 6);
	own_end();
}

/* A run that is cut off by a kill is finished after the restart, in its own bucket: each customer gets one event. */
static void a51_killed_in_the_middle(void **state)
{
	enum { CUSTOMERS = 3000 };
	struct buf rows = { 0 };
	char bucket[JOB_TEXT];
	(void)state;
	own_start(harness_shards, NULL);
	make_internal("CUT", "JOB_PING");
	make_rule((char[32]){ 0 }, "CUT", "JOB_PING", 0, NULL, EARN_ONE);
	buf_lit(&rows, "brand,profileId\n");
	for (int i = 1; i <= CUSTOMERS; i++)
		buf_printf(&rows, "CUT,p-%d\n", i);
	assert_int_equal(ask("POST /imports/customers", "CUT", "text/csv", buf_view(&rows))->status, 200);
	buf_free(&rows);
	make_job("CUT", "PING", "{}", ",'start_in_seconds':0,'schedule':" HOURLY);
	wait_job("CUT", "/last_status", "", false);
	for (unsigned waited = 0; waited < PATIENCE_MS && !size_of(want(200, "GET /transactions?limit=1", "CUT", NULL)); waited++)
		pause_ms(1);
	ask_close();
	server_kill(&own);
	own_start(5 - harness_shards, (const char *const[]){ "--scheduler", "off", NULL });
	yyjson_val *answer = read_job("CUT");
	bool cut = !strcmp(text_at(answer, "/last_status"), "RUNNING");
	snprintf(bucket, sizeof bucket, "%s", text_at(answer, "/last_bucket"));
	if (!cut)
		print_message("the run was through before the kill\n");
	own_stop();
	own_start(harness_shards, (const char *const[]){ "--clock-ahead", "60", NULL });
	wait_job("CUT", "/last_status", "SUCCESS", true);
	answer = read_job("CUT");
	assert_string_equal(text_at(answer, "/last_bucket"), bucket);
	if (cut) {
		assert_int_equal(int_at(answer, "/last_created") + int_at(answer, "/last_existing"), CUSTOMERS);
		assert_true(int_at(answer, "/last_existing") > 0);
	}
	for (int i = 1; i <= CUSTOMERS; i += 7)
		assert_int_equal(wallet("CUT", textf("p-%d", i)), 1);
	own_end();
}

/* Three customers with a reward of one day, one of them with more than one record can end, one with a reward without an end. */
static void make_rewards(const char *brand)
{
	char day[32], ever[32];
	make_type(brand, "GIFT");
	make_type(brand, "KEEP");
	snprintf(day, sizeof day, "%s", text_at(want(201, "POST /rewards", brand, "{'name':'Cup','validity_days':1}"), "/id"));
	snprintf(ever, sizeof ever, "%s", text_at(want(201, "POST /rewards", brand, "{'name':'Mug'}"), "/id"));
	make_rule((char[32]){ 0 }, brand, "GIFT", 0, NULL, textf("[{'type':'issue_reward','reward_id':'%s'}]", day));
	make_rule((char[32]){ 0 }, brand, "KEEP", 0, NULL, textf("[{'type':'issue_reward','reward_id':'%s'}]", ever));
	send_event(201, brand, "p-1", "GIFT", "g-1", "{}");
	send_event(201, brand, "p-2", "GIFT", "g-2", "{}");
	send_event(201, brand, "p-2", "KEEP", "g-3", "{}");
	for (int i = 0; i < 230; i++)
		send_event(201, brand, "p-3", "GIFT", textf("h-%d", i), "{}");
}

static void a70_expire_rewards(void **state)
{
	static const char *const today[] = { "--expiry-interval", "0", NULL };
	static const char *const later[] = { "--expiry-interval", "0", "--clock-ahead", "90000", NULL };
	static const char *const often[] = { "--expiry-interval", "1", "--clock-ahead", "200000", NULL };
	(void)state;
	own_start(harness_shards, today);
	make_rewards("A70");
	make_rewards("A70_OTHER");
	json_is(want(200, "POST /admin/rewards/expire", "A70", NULL), "", "{'expired':0}");
	own_stop();
	own_start(5 - harness_shards, later);
	json_is(want(200, "POST /admin/rewards/expire?dry_run=true", "A70", NULL), "", "{'expired':232}");
	json_is(want(200, "POST /admin/rewards/expire", "A70", NULL), "", "{'expired':232}");
	json_is(want(200, "POST /admin/rewards/expire", "A70", NULL), "", "{'expired':0}");
	json_is(want(200, "POST /admin/rewards/expire", "A70_NONE", NULL), "", "{'expired':0}");
	refused(400, "brand_missing", NULL, "POST /admin/rewards/expire", NULL, NULL);
	/* The other brand's are still there; the scheduler comes to them by itself. */
	own_stop();
	own_start(harness_shards, often);
	for (unsigned waited = 0; waited < PATIENCE_MS; waited += STEP_MS) {
		ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 });
		if (strstr(last_reply()->body.ptr, "tally_rewards_expired_total 232"))
			break;
		pause_ms(STEP_MS);
	}
	json_is(want(200, "POST /admin/rewards/expire", "A70_OTHER", NULL), "", "{'expired':0}");
	ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 });
	assert_non_null(strstr(last_reply()->body.ptr, "tally_rewards_expired_total 232"));
	own_end();
}

static void a74_walk_through(void **state)
{
	(void)state;
	want(201, "POST /admin/event-types", "A74",
	     "{'key':'JOB_PING','origin':'INTERNAL','name':'Job ping','description':'Internal event emitted by Internal Jobs',"
	     "'active':true,'payload_schema':null}");
	make_customers("A74", 2);
	make_job("A74", "PING_ACTIVE", "{'status_in':['ACTIVE']}",
		 ",'payload_template':{'hello':'world'},'active':true,'schedule':{'type':'cron','cron':'0 0 1 * *'}");
	yyjson_val *answer = want(200, textf("POST /admin/internal-jobs/%s/preview?limit=10", job), "A74", NULL);
	assert_int_equal(size_of(json_at(answer, "/items")), 2);
	json_is(run_job("A74"), "/created", "2");
	answer = run_job("A74");
	json_is(answer, "/created", "0");
	json_is(answer, "/idempotentExisting", "2");
}

static void over_rpc(void **state)
{
	(void)state;
	make_internal("JOBRPC", "JOB_PING");
	make_customers("JOBRPC", 3);
	make_job("JOBRPC", "PING", "{}", ",'schedule':" YEARLY);
	yyjson_val *answer = call_ok("internal_jobs.preview", textf("[{'brand':'JOBRPC','id':'%s','limit':2}]", job));
	assert_int_equal(size_of(json_at(answer, "/items")), 2);
	answer = call_ok("internal_jobs.run", textf("[{'brand':'JOBRPC','id':'%s','dry_run':true}]", job));
	json_is(answer, "/dryRun", "true");
	json_is(call_ok("internal_jobs.run", textf("[{'brand':'JOBRPC','id':'%s'}]", job)), "/created", "3");
	json_is(call_ok("internal_jobs.run", textf("[{'brand':'JOBRPC','id':'%s'}]", job)), "/idempotentExisting", "3");
	json_is(call_ok("rewards.expire", "[{'brand':'JOBRPC'}]"), "/expired", "0");
	calls_close();
}

/* SIGTERM ends a run early; whoever asked is told, and the next start goes on with it. */
static void stopped_in_the_middle(void **state)
{
	enum { CUSTOMERS = 50000 };
	struct buf rows = { 0 };
	struct client client = { .fd = -1 };
	struct reply reply = { 0 };
	int64_t made = 0;
	(void)state;
	own_start(harness_shards, NULL);
	make_internal("STOP", "JOB_PING");
	buf_lit(&rows, "brand,profileId\n");
	for (int i = 1; i <= CUSTOMERS; i++)
		buf_printf(&rows, "STOP,p-%d\n", i);
	assert_int_equal(ask("POST /imports/customers", "STOP", "text/csv", buf_view(&rows))->status, 200);
	buf_free(&rows);
	make_job("STOP", "PING", "{}", ",'schedule':" YEARLY);
	const char *request = textf("POST /admin/internal-jobs/%s/run HTTP/1.1\r\nHost: x\r\nX-Brand: STOP\r\n"
				    "Content-Length: 0\r\n\r\n", job);
	client_open(&client, own.port);
	client_send(&client, request, strlen(request));
	wait_job("STOP", "/last_status", "", false);
	refused(409, "job_running", NULL, textf("POST /admin/internal-jobs/%s/run", job), "STOP", NULL);
	own_stop();
	assert_true(client_reply(&client, &reply, false));
	assert_int_equal(reply.status, 503);
	reply_free(&reply);
	client_close(&client);
	own_start(5 - harness_shards, NULL);
	wait_job("STOP", "/last_status", "SUCCESS", true);
	yyjson_val *answer = read_job("STOP");
	made = int_at(answer, "/last_created");
	assert_true(made > 0 && made < CUSTOMERS);
	assert_int_equal(made + int_at(answer, "/last_existing"), CUSTOMERS);
	own_end();
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a9_scheduler_off),
	cmocka_unit_test(a39_create_job),
	cmocka_unit_test(a40_job_life),
	cmocka_unit_test(a41_schedule),
	cmocka_unit_test(a42_selector),
	cmocka_unit_test(a44_preview),
	cmocka_unit_test(a43_a45_a46_a50_runs),
	cmocka_unit_test(a46_long_names),
	cmocka_unit_test(a46_failures),
	cmocka_unit_test(a47_a48_a49_buckets),
	cmocka_unit_test(a51_by_schedule),
	cmocka_unit_test(a51_killed_in_the_middle),
	cmocka_unit_test(a70_expire_rewards),
	cmocka_unit_test(a74_walk_through),
	cmocka_unit_test(over_rpc),
	cmocka_unit_test(stopped_in_the_middle),
};

int main(void)
{
	return harness_run("internal jobs", tests, COUNT_OF(tests), NULL);
}
