// SPDX-License-Identifier: Apache-2.0
/* test_bench.c - `tally bench` against a real server: what it reports is what the server did. */
#include "tests/api/harness.h"

#include <stdlib.h>
#include <sys/wait.h>

#define SMALL "--accounts 1000 --tenants 4 "

/* Runs `tally bench ARGUMENTS` against the group's server; its exit status, and its report where there is one. */
static int bench(const char *arguments, yyjson_doc **report)
{
	const char *binary = getenv("TALLY_BIN");
	struct buf out = { 0 };
	char piece[4096];
	size_t got;
	FILE *pipe = popen(textf("%s bench --rpc 127.0.0.1:%d --http 127.0.0.1:%d --report json %s 2>&1",
				 binary ? binary : "build/asan/tally", harness_server.rpc_port, harness_server.port,
				 arguments), "re");
	assert_non_null(pipe);
	while ((got = fread(piece, 1, sizeof piece, pipe)) > 0)
		buf_bytes(&out, piece, got);
	int status = pclose(pipe);
	*report = yyjson_read(out.ptr, out.len, 0);
	if (!*report && WEXITSTATUS(status) != 2 && WEXITSTATUS(status) != 64)
		fail_msg("tally bench %s: %.*s", arguments, (int)out.len, out.ptr);
	buf_free(&out);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* All is done, and `rows` are counted with a latency for each of the `requests`. */
static void bench_done(const char *arguments, int64_t rows, int64_t requests)
{
	yyjson_doc *report;
	assert_int_equal(bench(arguments, &report), 0);
	yyjson_val *root = yyjson_doc_get_root(report);
	assert_int_equal(int_at(root, "/rows"), rows);
	assert_int_equal(int_at(root, "/rows_sent"), rows);
	assert_int_equal(int_at(root, "/requests"), requests);
	assert_int_equal(int_at(root, "/refused"), 0);
	assert_int_equal(int_at(root, "/errors"), 0);
	assert_true(yyjson_get_num(json_at(root, "/latency_us/p50")) > 0);
	assert_true(yyjson_get_num(json_at(root, "/latency_us/p50")) <= yyjson_get_num(json_at(root, "/latency_us/max")));
	yyjson_doc_free(report);
}

/* How far the log has come. */
static int64_t log_end(void)
{
	static const char name[] = "\ntally_wal_durable_lsn ";
	assert_int_equal(ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 })->status, 200);
	const char *line = strstr(last_reply()->body.ptr, name);
	assert_non_null(line);
	return strtoll(line + sizeof name - 1, NULL, 10);
}

static void test_transfers(void **state)
{
	(void)state;
	int64_t empty = log_end();
	bench_done(SMALL "--count 20011 --batch 500 --connections 2 --seed 7", 20011, 41);
	int64_t first = log_end();
	assert_true(first - empty > 20011 * 64);
	/* The same seed sends the same ids: nothing is added but marks.  Another one does add. */
	bench_done(SMALL "--count 5000 --batch 500 --setup no --seed 7", 5000, 10);
	int64_t again = log_end();
	assert_true(again - first < 5000 * 16);
	bench_done(SMALL "--count 5000 --batch 8190 --in-flight 1 --setup no --seed 8", 5000, 1);
	assert_true(log_end() - again > 5000 * 48);
	bench_done(SMALL "--work single --count 300 --connections 7 --in-flight 3 --setup no --seed 9", 300, 300);
}

/* Open loop: what is offered is what is sent, no more, over a known time. */
static void test_rate(void **state)
{
	yyjson_doc *report;
	(void)state;
	assert_int_equal(bench(SMALL "--work single --rate 500 --seconds 0.4 --warmup 0.1 --connections 3", &report), 0);
	yyjson_val *root = yyjson_doc_get_root(report);
	assert_in_range(int_at(root, "/rows"), 198, 202);
	assert_in_range(int_at(root, "/rows_sent"), 248, 252);
	assert_int_equal(int_at(root, "/unsent"), 0);
	yyjson_doc_free(report);
}

static void test_events(void **state)
{
	(void)state;
	bench_done(SMALL "--work events --count 1203 --batch 100", 1203, 13);
	bench_done(SMALL "--work events-http --count 1203 --batch 100 --in-flight 3", 1203, 13);
	bench_done(SMALL "--work events-http --count 50 --batch 1 --connections 5 --in-flight 1", 50, 50);
	/* The rule that it made pays each event's amount. */
	yyjson_val *last = want(200, "GET /transactions?limit=1", "bench-0", NULL);
	assert_int_equal(size_of(last), 1);
	assert_string_equal(text_at(last, "/0/eventType"), "PURCHASE");
	assert_true(wallet("bench-0", text_at(last, "/0/profileId")) > 0);
}

/* What is refused is counted by number, and what cannot be done is said. */
static void test_refused(void **state)
{
	yyjson_doc *report;
	(void)state;
	/* No request takes more rows. */
	assert_int_equal(bench(SMALL "--count 10 --batch 8191 --setup no", &report), 64);
	assert_null(report);
	/* The accounts of more tenants than there are: unknown ones. */
	assert_int_equal(bench("--accounts 1000 --tenants 1000 --count 400 --batch 100 --setup no", &report), 1);
	yyjson_val *root = yyjson_doc_get_root(report), *refusals = json_at(root, "/refusals"), *key, *value;
	size_t i, max;
	int64_t sum = 0;
	yyjson_obj_foreach(refusals, i, max, key, value)
		sum += yyjson_get_sint(value);
	assert_true(sum > 0);
	assert_int_equal(sum, int_at(root, "/refused"));
	assert_int_equal(int_at(root, "/rows") + sum, 400);
	yyjson_doc_free(report);
	/* The HTTP listener does not speak RPC. */
	assert_int_equal(bench(textf("--rpc 127.0.0.1:%d --count 1", harness_server.port), &report), 2);
	yyjson_doc_free(report);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_refused),
	};
	return harness_run("bench", tests, COUNT_OF(tests), NULL);
}
