// SPDX-License-Identifier: Apache-2.0
/* test_job.c - internal jobs: selectors and their faults, scans over tables that grow, buckets over changes of the clock, what is
 * due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/job/job.h"
#include "engine/job/scan.h"
#include "engine/shard/state.h"

#define BRAND STR("BRAND_A")

static yyjson_doc *read_json(const char *text)
{
	struct json_error error;
	yyjson_doc *doc = json_read(str_of(text), &error);
	if (!doc)
		fail_msg("%s: %s", text, error.detail);
	return doc;
}

static int64_t at(const char *text)
{
	int64_t ms;
	assert_true(time_parse(str_of(text), &ms));
	return ms;
}

/* ---- selectors ----------------------------------------------------------------------------------------------------------- */

static void test_selectors(void **state)
{
	static const struct { const char *selector, *logic, *pointers; } rows[] = {
		{ "{}", "true", NULL },
		{ "{\"status_in\":[\"A\",\"B\"]}", "{\"and\":[{\"in\":[{\"var\":\"customer.status\"},[\"A\",\"B\"]]}]}", NULL },
		{ "{\"points_gte\":5,\"events_lte\":0}",
		  "{\"and\":[{\">=\":[{\"var\":\"customer.points\"},5]},{\"<=\":[{\"var\":\"customer.events\"},0]}]}", NULL },
		{ "{\"any\":[{},{\"birthdate_today\":true}]}",
		  "{\"and\":[{\"or\":[true,{\"and\":[{\"===\":[{\"var\":\"event.birthday\"},true]}]}]}]}", NULL },
		{ "{\"not\":{\"tags_none\":[\"a\"]}}",
		  "{\"and\":[{\"!\":[{\"and\":[{\"!\":[{\"or\":[{\"in\":[\"a\",{\"var\":\"customer.tags\"}]}]}]}]}]}]}", NULL },
		{ "{\"not\":[{\"bonus_awarded\":\"B\"}]}",
		  "{\"and\":[{\"!\":[{\"and\":[{\"and\":[{\"in\":[\"B\",{\"var\":\"customer.bonus_awards\"}]}]}]}]}]}", NULL },
		{ "{\"condition\":{\"==\":[1,1]}}", "{\"and\":[{\"==\":[1,1]}]}", NULL },
		{ "[]", NULL, "/s" },
		{ "7", NULL, "/s" },
		{ "{\"color\":1}", NULL, "/s/color" },
		{ "{\"status_in\":[]}", NULL, "/s/status_in" },
		{ "{\"status_in\":\"ACTIVE\"}", NULL, "/s/status_in" },
		{ "{\"status_in\":[\"\"]}", NULL, "/s/status_in/0" },
		{ "{\"any\":[]}", NULL, "/s/any" },
		{ "{\"all\":{}}", NULL, "/s/all" },
		{ "{\"all\":[{\"x~y\":1},{\"points_gte\":-1}]}", NULL, "/s/all/0/x~0y /s/all/1/points_gte" },
		{ "{\"points_gte\":1.5}", NULL, "/s/points_gte" },
		{ "{\"points_gte\":\"5\"}", NULL, "/s/points_gte" },
		{ "{\"birthdate_today\":1}", NULL, "/s/birthdate_today" },
		{ "{\"not\":[]}", NULL, "/s/not" },
		{ "{\"bonus_awarded\":\"\"}", NULL, "/s/bonus_awarded" },
		{ "{\"condition\":{\"points_gte\":true}}", NULL, "/s/condition/points_gte" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out = { 0 }, pointers = { 0 };
		struct faults faults = { 0 };
		yyjson_doc *doc = read_json(rows[i].selector);
		bool good = selector_to_jsonlogic(yyjson_doc_get_root(doc), "/s", &out, &faults);
		for (size_t f = 0; f < faults.count; f++)
			buf_printf(&pointers, "%s%s", f ? " " : "", faults.list[f].pointer);
		if (good != (rows[i].logic != NULL) || good != !faults.count)
			fail_msg("%s", rows[i].selector);
		if (!str_eq(buf_view(&out), str_of(good ? rows[i].logic : "")))
			fail_msg("%s: %.*s", rows[i].selector, (int)out.len, out.ptr);
		if (!str_eq(buf_view(&pointers), str_of(good ? "" : rows[i].pointers)))
			fail_msg("%s: %.*s", rows[i].selector, (int)pointers.len, pointers.ptr);
		struct rule *rule = selector_compile(yyjson_doc_get_root(doc), "/s", &faults);
		assert_true(good == (rule != NULL));
		if (rule)
			rule_free(rule);
		faults_free(&faults);
		buf_free(&out);
		buf_free(&pointers);
		yyjson_doc_free(doc);
	}
}

/* ---- scans --------------------------------------------------------------------------------------------------------------- */

static struct member *add(struct state *shards, unsigned count, struct str brand, const char *profile, int64_t created_ms)
{
	uint64_t hash = hash_name(HASH_MEMBER, brand, str_of(profile));
	struct state *state = &shards[shard_of(partition_of(hash), count)];
	struct member *member = state_load_member(state, state_tenant(state, brand), hash, str_of(profile), created_ms);
	member_set_status(member, strtol(profile + 1, NULL, 10) % 3 ? STR("ACTIVE") : STR("INACTIVE"));
	state_loaded(state, member);
	return member;
}

/* All that a selector chooses, one profile a line, in order.  `between` is called after each message. */
static uint32_t scan_all(struct state *shards, unsigned count, const char *selector, int64_t now_ms, struct buf *out,
			 void (*between)(struct state *shards, unsigned count))
{
	struct faults faults = { 0 };
	yyjson_doc *doc = read_json(selector);
	struct scan scan = { .tenant = BRAND };
	struct rule_arena *arena = rule_arena_new();
	uint32_t messages = 0;
	scan.selection = (struct selection){ .rule = selector_compile(yyjson_doc_get_root(doc), "", &faults), .now_ms = now_ms };
	assert_non_null(scan.selection.rule);
	while (scan.partition < PARTITION_COUNT) {
		size_t place = 0;
		scan_members(&scan, &shards[shard_of(scan.partition, count)], arena);
		for (uint32_t i = 0; i < scan.count; i++) {
			struct scan_item item = scan_next(&scan, &place);
			assert_true(str_eq(item.tenant, BRAND));
			buf_str(out, item.profile);
			buf_char(out, '\n');
		}
		assert_int_equal(place, scan.found.len);
		assert_true(scan.count <= 4 * SCAN_LOOK);
		messages++;
		if (between)
			between(shards, count);
	}
	rule_free((struct rule *)(uintptr_t)scan.selection.rule);
	rule_arena_free(arena);
	buf_free(&scan.found);
	yyjson_doc_free(doc);
	return messages;
}

static int next_guest;

static void guests_come(struct state *shards, unsigned count)
{
	char name[32];
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "g%d", ++next_guest);
		add(shards, count, BRAND, name, 0);
	}
}

static int text_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_scan(void **test_state)
{
	enum { MEMBERS = 20000 };
	struct state one[1], four[4];
	struct buf all = { 0 }, same = { 0 }, active = { 0 };
	char name[32];
	(void)test_state;
	state_init(&one[0], 0, 1);
	for (unsigned s = 0; s < 4; s++)
		state_init(&four[s], s, 4);
	for (int i = 0; i < MEMBERS; i++) {
		snprintf(name, sizeof name, "m%d", i);
		add(one, 1, BRAND, name, 0);
		add(four, 4, BRAND, name, 0);
		if (i % 2)
			add(one, 1, STR("OTHER"), name, 0);
	}
	uint32_t messages = scan_all(one, 1, "{}", 0, &all, NULL);
	assert_true(messages >= MEMBERS / SCAN_LOOK / 2 && messages < 200);
	scan_all(four, 4, "{}", 0, &same, NULL);
	assert_true(str_eq(buf_view(&all), buf_view(&same)));          /* the same order with any number of shards */
	scan_all(four, 4, "{\"status_in\":[\"ACTIVE\"]}", 0, &active, NULL);
	size_t lines = 0;
	for (size_t i = 0; i < active.len; i++)
		lines += active.ptr[i] == '\n';
	assert_int_equal(lines, MEMBERS - (MEMBERS + 2) / 3);

	/* Members come between the messages and tables grow: whoever was there at the start is seen exactly once. */
	char **list = mem_alloc(10 * MEMBERS * sizeof *list);
	size_t count = 0, old = 0;
	same.len = 0;
	scan_all(four, 4, "{}", 0, &same, guests_come);
	for (size_t i = 0; i < same.len; i++) {
		if (!i || !same.ptr[i - 1])
			list[count++] = same.ptr + i;
		if (same.ptr[i] == '\n')
			same.ptr[i] = '\0';
	}
	qsort(list, count, sizeof *list, text_order);
	for (size_t i = 0; i < count; i++) {
		old += list[i][0] == 'm';
		assert_true(!i || strcmp(list[i - 1], list[i]) != 0);
	}
	assert_int_equal(old, MEMBERS);
	assert_true(next_guest > 10000);
	mem_free(list);
	state_deinit(&one[0]);
	for (unsigned s = 0; s < 4; s++)
		state_deinit(&four[s]);
	buf_free(&all);
	buf_free(&same);
	buf_free(&active);
}

static void chooses(struct state *state, const char *selector, const char *now, const char *expected)
{
	struct buf got = { 0 };
	scan_all(state, 1, selector, at(now), &got, NULL);
	if (!str_eq(buf_view(&got), str_of(expected)))
		fail_msg("%s at %s: %.*s", selector, now, (int)got.len, got.ptr);
	buf_free(&got);
}

static void test_selection_of_dates(void **test_state)
{
	struct state state;
	(void)test_state;
	state_init(&state, 0, 1);
	struct member *member = add(&state, 1, BRAND, "m1", at("2024-02-29T12:00:00Z"));
	member_set_attributes(member, STR("{\"birthdate\":\"1980-02-29\"}"));
	member->active_ms = at("2026-01-10T00:00:00Z");
	chooses(&state, "{\"birthdate_today\":true}", "2028-02-29T00:00:00Z", "m1\n");
	chooses(&state, "{\"birthdate_today\":true}", "2028-02-28T23:59:59Z", "");
	chooses(&state, "{\"birthdate_today\":false}", "2028-03-01T00:00:00Z", "m1\n");
	chooses(&state, "{\"created_anniversary_today\":true}", "2028-02-29T01:00:00Z", "m1\n");
	chooses(&state, "{\"created_anniversary_today\":true}", "2024-02-29T13:00:00Z", "");   /* the day itself is none */
	chooses(&state, "{\"inactive_days_gte\":30}", "2026-02-08T23:59:59Z", "");
	chooses(&state, "{\"inactive_days_gte\":30}", "2026-02-09T00:00:00Z", "m1\n");
	chooses(&state, "{\"created_days_gte\":366}", "2025-03-01T12:00:00Z", "m1\n");
	chooses(&state, "{\"created_days_gte\":367}", "2025-03-01T12:00:00Z", "");
	state_deinit(&state);
}

/* ---- jobs ---------------------------------------------------------------------------------------------------------------- */

static void test_buckets(void **state)
{
	static const struct { const char *schedule, *now, *bucket, *next; } rows[] = {
		{ "null", "2026-03-29T00:00:00Z", "2026-03-29", NULL },
		{ "null", "2026-03-28T23:59:59.999Z", "2026-03-28", NULL },
		{ "{\"type\":\"cron\",\"cron\":\"*/2 * * * *\"}", "2026-11-21T19:01:59.999Z", "20261121T190000Z", "2026-11-21T19:02:00Z" },
		{ "{\"type\":\"cron\",\"cron\":\"*/2 * * * *\"}", "2026-11-21T19:02:00Z", "20261121T190200Z", "2026-11-21T19:04:00Z" },
		/* The clock goes forward at 01:00Z: half past two does not exist, and comes with the change. */
		{ "{\"type\":\"cron\",\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Paris\"}", "2026-03-29T00:59:59Z",
		  "20260328T013000Z", "2026-03-29T01:00:00Z" },
		{ "{\"type\":\"cron\",\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Paris\"}", "2026-03-29T01:00:00Z",
		  "20260329T010000Z", "2026-03-30T00:30:00Z" },
		/* It goes back at 01:00Z: half past two comes twice, and counts once. */
		{ "{\"type\":\"cron\",\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Paris\"}", "2026-10-25T00:30:00Z",
		  "20261025T003000Z", "2026-10-26T01:30:00Z" },
		{ "{\"type\":\"cron\",\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Paris\"}", "2026-10-25T01:30:00Z",
		  "20261025T003000Z", "2026-10-26T01:30:00Z" },
		/* With every hour both count. */
		{ "{\"type\":\"cron\",\"cron\":\"30 * * * *\",\"timezone\":\"Europe/Paris\"}", "2026-10-25T01:30:00Z",
		  "20261025T013000Z", "2026-10-25T02:30:00Z" },
		{ "{\"type\":\"cron\",\"cron\":\"30 2 * * *\",\"timezone\":\"America/New_York\"}", "2026-03-08T07:00:00Z",
		  "20260308T070000Z", "2026-03-09T06:30:00Z" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf text = { 0 };
		struct job job;
		char bucket[JOB_BUCKET_MAX];
		buf_printf(&text, "{\"id\":\"3\",\"version\":1,\"job_key\":\"J\",\"event_type\":\"E\",\"selector\":{},\"active\":true,"
			   "\"payload_template\":{},\"schedule\":%s,\"last_run_at\":null}", rows[i].schedule);
		assert_true(job_read(&job, buf_view(&text)));
		job_bucket(&job, at(rows[i].now), bucket);
		assert_string_equal(bucket, rows[i].bucket);
		int64_t next = rows[i].next ? at(rows[i].next) : CRON_NEVER;
		assert_true(job_next(&job, at(rows[i].now)) == next);
		job_free(&job);
		buf_free(&text);
	}
}

static uint64_t next_lsn = 64;

static void change(struct catalog *catalog, unsigned kind, uint64_t id, const char *body, const char *now)
{
	struct catalog_change made, decoded;
	struct problem problem = { 0 };
	struct buf bytes = { 0 };
	yyjson_doc *doc = read_json(body);
	yyjson_val *root = yyjson_doc_get_root(doc);
	enum catalog_status status;
	if (json_get(root, STR("last_status")))
		status = catalog_decide_state(catalog, BRAND, kind_by_number(kind), id, root, &made, &problem);
	else if (id)
		status = catalog_decide_patch(catalog, BRAND, kind_by_number(kind), id, root, at(now), &made, &problem);
	else
		status = catalog_decide_create(catalog, BRAND, kind_by_number(kind), root, at(now), &made, &problem);
	if (status != CATALOG_OK)
		fail_msg("%s: %s", body, problem.detail);
	catalog_change_encode(&made, &bytes);
	assert_true(catalog_change_decode(bytes.ptr, bytes.len, &decoded));
	catalog_apply(catalog, &decoded, next_lsn += 8);
	catalog_change_free(&made);
	buf_free(&bytes);
	yyjson_doc_free(doc);
}

/* Due at a time, as ids: "2 3". */
static void due_are(struct catalog *catalog, const char *now, const char *expected)
{
	const struct document *list[8];
	char got[100] = "";
	size_t count = catalog_due(catalog, at(now), list, 8);
	for (size_t i = 0; i < count; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", i ? " " : "", (int)list[i]->id);
	assert_string_equal(got, expected);
}

static void state_is(const struct catalog *catalog, uint64_t id, const char *name, const char *expected)
{
	const struct document *document = catalog_get(catalog, BRAND, kind_by_number(KIND_INTERNAL_JOB), id);
	struct buf text = { 0 };
	json_write(&text, json_get(yyjson_doc_get_root(document->state_doc), str_of(name)));
	if (!str_eq(buf_view(&text), str_of(expected)))
		fail_msg("%s is %.*s, not %s", name, (int)text.len, text.ptr, expected);
	buf_free(&text);
}

static void test_due(void **state)
{
	struct catalog catalog = { 0 };
	(void)state;
	change(&catalog, KIND_EVENT_TYPE, 0, "{\"key\":\"PING\",\"origin\":\"INTERNAL\",\"name\":\"Ping\"}", "2026-01-01T00:00:00Z");
	change(&catalog, KIND_INTERNAL_JOB, 0, "{\"job_key\":\"A\",\"event_type\":\"PING\","
	       "\"schedule\":{\"type\":\"cron\",\"cron\":\"0 * * * *\"}}", "2026-01-01T00:30:00Z");
	change(&catalog, KIND_INTERNAL_JOB, 0, "{\"job_key\":\"B\",\"event_type\":\"PING\"}", "2026-01-01T00:30:00Z");
	change(&catalog, KIND_INTERNAL_JOB, 0, "{\"job_key\":\"C\",\"event_type\":\"PING\",\"active\":false,\"start_in_seconds\":5}",
	       "2026-01-01T00:30:00Z");
	state_is(&catalog, 2, "next_run_at", "\"2026-01-01T01:00:00.000Z\"");
	state_is(&catalog, 3, "next_run_at", "null");
	state_is(&catalog, 4, "next_run_at", "null");
	due_are(&catalog, "2026-01-01T00:59:59.999Z", "");
	due_are(&catalog, "2026-01-01T01:00:00Z", "2");
	due_are(&catalog, "2026-01-01T01:00:00Z", "2");
	/* A patch of something else keeps the time, a new schedule does not, and a given time counts most. */
	change(&catalog, KIND_INTERNAL_JOB, 2, "{\"name\":\"x\"}", "2026-01-01T05:00:00Z");
	state_is(&catalog, 2, "next_run_at", "\"2026-01-01T01:00:00.000Z\"");
	change(&catalog, KIND_INTERNAL_JOB, 2, "{\"schedule\":{\"cron\":\"30 * * * *\"}}", "2026-01-01T05:00:00Z");
	state_is(&catalog, 2, "next_run_at", "\"2026-01-01T05:30:00.000Z\"");
	due_are(&catalog, "2026-01-01T05:29:00Z", "");
	change(&catalog, KIND_INTERNAL_JOB, 3, "{\"first_run_at\":\"2026-01-01T05:10:00+01:00\"}", "2026-01-01T00:30:00Z");
	due_are(&catalog, "2026-01-01T04:10:00Z", "3");
	due_are(&catalog, "2026-01-01T05:30:00Z", "2 3");
	/* A run that was begun is due until its end is in the log, whatever the time. */
	change(&catalog, KIND_INTERNAL_JOB, 3, "{\"last_status\":\"RUNNING\",\"next_run_at\":null}", NULL);
	due_are(&catalog, "2000-01-01T00:00:00Z", "3");
	change(&catalog, KIND_INTERNAL_JOB, 3, "{\"name\":\"y\"}", "2026-01-01T05:00:00Z");
	state_is(&catalog, 3, "last_status", "\"RUNNING\"");
	due_are(&catalog, "2000-01-01T00:00:00Z", "3");
	change(&catalog, KIND_INTERNAL_JOB, 3, "{\"last_status\":\"SUCCESS\",\"last_created\":3}", NULL);
	due_are(&catalog, "2026-01-01T05:29:59Z", "");
	state_is(&catalog, 3, "last_created", "3");
	change(&catalog, KIND_INTERNAL_JOB, 2, "{\"active\":false}", "2026-01-01T05:00:00Z");
	state_is(&catalog, 2, "next_run_at", "null");
	due_are(&catalog, "2030-01-01T00:00:00Z", "");
	change(&catalog, KIND_INTERNAL_JOB, 4, "{\"active\":true,\"start_in_seconds\":10}", "2026-01-01T05:00:00Z");
	due_are(&catalog, "2026-01-01T05:00:10Z", "4");
	catalog_free(&catalog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_selection_of_dates),
		cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_due),
	};
	cron_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
