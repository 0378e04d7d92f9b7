// SPDX-License-Identifier: Apache-2.0
/* test_snapshot.c - snapshots from outside: asked for, listed, triggered by the log's growth; a start from one. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/api/calls.h"

static void asked_for_and_listed(void **state)
{
	(void)state;
	make_type("SNAP", "PURCHASE");
	make_rule((char[32]){ 0 }, "SNAP", "PURCHASE", 0, "null", "[{\"type\":\"earn_points\",\"points\":7}]");
	send_event(201, "SNAP", "p-1", "PURCHASE", "s1", "{}");
	yyjson_val *answer = want(201, "POST /v1/snapshots", NULL, NULL);
	int64_t end = int_at(answer, "/end_lsn"), bytes = int_at(answer, "/bytes");
	char name[40];
	snprintf(name, sizeof name, "%s", text_at(answer, "/name"));
	assert_true(int_at(answer, "/from_lsn") <= end && bytes > 0 && int_at(answer, "/pieces") >= 65);
	assert_false(bool_at(answer, "/unchanged"));
	answer = want(200, "GET /v1/snapshots", NULL, NULL);
	assert_true(size_of(answer) >= 1);
	assert_string_equal(text_at(answer, "/0/name"), name);
	assert_int_equal(int_at(answer, "/0/bytes"), bytes);
	assert_true(yyjson_is_null(json_at(answer, "/0/broken")));
	assert_int_equal(ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 })->status, 200);
	assert_non_null(strstr(last_reply()->body.ptr, textf("tally_snapshot_bytes %lld", (long long)bytes)));
	refused(405, "method_not_allowed", NULL, "DELETE /v1/snapshots", NULL, NULL);
	refused(400, "filter_unknown", NULL, "POST /v1/snapshots?dry_run=true", NULL, NULL);
	refused(400, "filter_unknown", NULL, "POST /v1/backups?dry_run=true", NULL, NULL);
}

static void over_rpc(void **state)
{
	(void)state;
	calls_begin();
	send_event(201, "SNAP", "p-1", "PURCHASE", "s2", "{}");
	yyjson_val *answer = call_ok("snapshot.create", "[{}]");
	assert_true(int_at(answer, "/end_lsn") > 0);
	answer = call_ok("snapshot.list", "[{}]");
	assert_true(size_of(json_at(answer, "/items")) >= 1);
}

/* A server of the test's own, killed behind its snapshot, comes back from it with another number of shards. */
static void a_start_from_one(void **state)
{
	static const char *const options[] = { "--snapshot-interval", "0", NULL };
	struct server server = { 0 }, kept = harness_server;
	struct buf text = { 0 };
	char path[HARNESS_PATH_MAX + 8];
	(void)state;
	ask_close();
	server_start(&server, harness_shards, options);
	harness_server = server;
	make_type("BACK", "PURCHASE");
	make_rule((char[32]){ 0 }, "BACK", "PURCHASE", 0, "null", "[{\"type\":\"earn_points\",\"points\":7}]");
	for (int i = 0; i < 20; i++)
		send_event(201, "BACK", textf("p-%d", i % 5), "PURCHASE", textf("b%d", i), "{}");
	want(201, "POST /v1/snapshots", NULL, NULL);
	send_event(201, "BACK", "p-0", "PURCHASE", "b20", "{}");
	ask_close();
	server_kill(&server);
	server_start(&server, 5 - harness_shards, options);
	harness_server = server;
	assert_int_equal(wallet("BACK", "p-0"), 35);
	assert_int_equal(wallet("BACK", "p-3"), 28);
	assert_true(bool_at(send_event(200, "BACK", "p-3", "PURCHASE", "b3", "{}"), "/idempotent"));
	assert_true(bool_at(send_event(200, "BACK", "p-0", "PURCHASE", "b20", "{}"), "/idempotent"));
	ask_close();
	server_stop(&server);
	snprintf(path, sizeof path, "%s/log", server.folder);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	buf_room(&text, 100000);
	text.len = fread(text.ptr, 1, 99999, file);
	text.ptr[text.len] = '\0';
	fclose(file);
	assert_non_null(strstr(text.ptr, " loaded: "));
	buf_free(&text);
	server_clean(&server);
	harness_server = kept;
}

/* The port of HTTP, as the server's log tells it once it listens. */
static int port_said(const struct server *server)
{
	char path[HARNESS_PATH_MAX + 8], line[1000];
	int port = 0;
	snprintf(path, sizeof path, "%s/log", server->folder);
	for (int waited = 0; !port && waited < 20000; waited += 20) {
		FILE *file = fopen(path, "r");
		while (file && !port && fgets(line, sizeof line, file)) {
			const char *at = strstr(line, "http://127.0.0.1:");
			if (at && strstr(line, "listening"))
				port = (int)strtol(at + 17, NULL, 10);
		}
		if (file)
			fclose(file);
		usleep(20000);
	}
	assert_true(port > 0);
	return port;
}

static void asked(struct client *client, const char *what, int status, const char *words)
{
	struct reply reply = { 0 };
	struct buf request = { 0 };
	buf_printf(&request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", what);
	client_send(client, request.ptr, request.len);
	assert_true(client_reply(client, &reply, false));
	assert_int_equal(reply.status, status);
	if (!strstr(reply.body.ptr, words))
		fail_msg("%s: %s", what, reply.body.ptr);
	char retry[20];
	if (status == 503)
		assert_true(reply_header(&reply, "Retry-After", retry, sizeof retry) && strtol(retry, NULL, 10) >= 1);
	reply_free(&reply);
	buf_free(&request);
}

/* While it recovers - here it waits for a snapshot's manifest that nobody writes - the server says so, and then it is ready on the
 * same connections. */
static void not_ready_while_it_recovers(void **state)
{
	struct server server = { 0 }, kept = harness_server;
	struct client client = { .fd = -1 };
	char path[HARNESS_PATH_MAX + 60];
	(void)state;
	ask_close();
	server_start(&server, harness_shards, NULL);
	harness_server = server;
	make_type("WAIT", "PURCHASE");
	want(201, "POST /v1/snapshots", NULL, NULL);
	ask_close();
	server_stop(&server);
	snprintf(path, sizeof path, "%s/data/snapshots/7fffffffffffff00.manifest", server.folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	char log[HARNESS_PATH_MAX + 8];
	snprintf(log, sizeof log, "%s/log", server.folder);
	assert_int_equal(unlink(log), 0);      /* it names the first one's port */
	server_begin(&server, harness_shards, NULL);
	client_open(&client, port_said(&server));
	asked(&client, "/livez", 200, "ok");
	asked(&client, "/readyz", 503, "[-] recovery: ");
	asked(&client, "/transactions", 503, "\"code\":\"recovering\"");
	asked(&client, "/metrics", 503, "the server is starting");
	int writer = open(path, O_WRONLY);     /* the server's own open returns then; it finds no manifest in it */
	assert_true(writer >= 0);
	close(writer);
	server_await(&server);
	asked(&client, "/readyz", 200, "ready");
	client_close(&client);
	harness_server = server;
	assert_int_equal(size_of(want(200, "GET /admin/event-types", "WAIT", NULL)), 1);
	ask_close();
	server_stop(&server);
	server_clean(&server);
	harness_server = kept;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asked_for_and_listed),
		cmocka_unit_test(over_rpc),
		cmocka_unit_test(a_start_from_one),
		cmocka_unit_test(not_ready_while_it_recovers),
	};
	return harness_run("snapshot", tests, COUNT_OF(tests), NULL);
}
