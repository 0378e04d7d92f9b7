// SPDX-License-Identifier: Apache-2.0
/* test_metrics.c - the metrics' text form, updates from several threads, and log lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "engine/base/json.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"

static void written(struct buf *out, const char *line)
{
	assert_non_null(memmem(out->ptr, out->len, line, strlen(line)));
}

static void test_text(void **state)
{
	(void)state;
	struct buf out = { 0 };
	metric_add_label(METRIC_HTTP_REQUESTS, METRIC_4XX, 3);
	metric_observe_ns(METRIC_HTTP_REQUEST_SECONDS, 50000);
	metric_observe_ns(METRIC_HTTP_REQUEST_SECONDS, 50001);
	metric_observe_ns(METRIC_HTTP_REQUEST_SECONDS, 20000000000);
	metric_observe(METRIC_SHARD_MAILBOX_DEPTH, 0);
	metric_add(METRIC_WAL_BYTES, 4096);
	metric_set(METRIC_MEMBERS, 12);
	metric_add(METRIC_MEMBERS, -2);
	metric_set(METRIC_CLOCK_BEHIND_SECONDS, 5);
	metric_set_ns(METRIC_UPTIME_SECONDS, 1250000000);
	metrics_set_version("1.0\"x");
	metrics_write(&out);
	written(&out, "# TYPE tally_http_requests counter\n# HELP tally_http_requests HTTP ");
	written(&out, "tally_http_requests_total{class=\"2xx\"} 0\n");
	written(&out, "tally_http_requests_total{class=\"4xx\"} 3\n");
	written(&out, "# UNIT tally_http_request_seconds seconds\n");
	written(&out, "tally_http_request_seconds_bucket{le=\"0.00005\"} 1\n");
	written(&out, "tally_http_request_seconds_bucket{le=\"0.0001\"} 2\n");
	written(&out, "tally_http_request_seconds_bucket{le=\"2.5\"} 2\n");
	written(&out, "tally_http_request_seconds_bucket{le=\"+Inf\"} 3\n");
	written(&out, "tally_http_request_seconds_sum 20.000100001\ntally_http_request_seconds_count 3\n");
	written(&out, "tally_shard_mailbox_depth_bucket{le=\"0\"} 1\n");
	written(&out, "tally_wal_bytes_total 4096\n");
	written(&out, "tally_members 10\n");
	written(&out, "tally_clock_behind_seconds 5\n");
	written(&out, "tally_uptime_seconds 1.25\n");
	written(&out, "# TYPE tally_build info\n");
	written(&out, "tally_build_info{version=\"1.0\\\"x\"} 1\n");
	assert_memory_equal(out.ptr + out.len - 6, "# EOF\n", 6);
	assert_int_equal(metric_value(METRIC_HTTP_REQUEST_SECONDS, 0), 3);
	buf_free(&out);
}

static void *count(void *context)
{
	for (int i = 0; i < 20000; i++) {
		metric_add_label(METRIC_EVENTS, METRIC_PROCESSED, 1);
		metric_observe(METRIC_WAL_COMMIT_BYTES, (uint64_t)i);
	}
	return context;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_value(METRIC_EVENTS, METRIC_PROCESSED), 80000);
	assert_int_equal(metric_value(METRIC_WAL_COMMIT_BYTES, 0), 80000);
}

static void test_log(void **state)
{
	(void)state;
	struct buf out = { 0 };
	struct json_error error;
	enum log_level level;
	log_format(&out, true, 784111777123, LOG_LEVEL_WARN, "thing", "a \"b\"\n\xff\xc3\xa4");
	assert_true(str_eq(buf_view(&out), STR("{\"time\":\"1994-11-06T08:49:37.123Z\",\"level\":\"warn\",\"event\":\"thing\","
					       "\"message\":\"a \\\"b\\\"\\n?\xc3\xa4\"}\n")));
	yyjson_doc *doc = json_read((struct str){ out.ptr, out.len - 1 }, &error);
	assert_non_null(doc);
	yyjson_doc_free(doc);
	out.len = 0;
	log_format(&out, false, 0, LOG_LEVEL_INFO, "thing", "a\nb\x1b[0m");
	assert_true(str_eq(buf_view(&out), STR("1970-01-01T00:00:00.000Z info  thing: a b [0m\n")));
	assert_true(log_level_parse("error", &level) && level == LOG_LEVEL_ERROR);
	assert_false(log_level_parse("loud", &level));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
