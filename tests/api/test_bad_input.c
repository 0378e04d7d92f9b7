// SPDX-License-Identifier: Apache-2.0
/* test_bad_input.c - what does not fit is refused by name, and changes nothing: neither what is stored nor
 * other connections. */
#include "tests/api/harness.h"

#define BRAND "BAD"
#define EVENT "'brand':'BAD','profileId':'p','eventType':'PURCHASE','eventId':'x'"
#define SMUGGLED \
	"POST /transactions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 80\r\n\r\n" \
	"{\"brand\":\"BAD\",\"profileId\":\"evil\",\"eventType\":\"PURCHASE\",\"eventId\":\"smuggled01\"}"

/* The brand that must not change; made by the first test that asks for it. */
static void brand_check(void)
{
	static unsigned made;
	if (made != harness_shards) {
		make_type(BRAND, "PURCHASE");
		make_rule(NULL, BRAND, "PURCHASE", 0, NULL, "[{'type':'earn_points_from_amount','rate':1}]");
		send_event(201, BRAND, "p", "PURCHASE", "first", "{'amount':7}");
		made = harness_shards;
	}
	assert_int_equal(wallet(BRAND, "p"), 7);
	assert_int_equal(size_of(want(200, "GET /transactions", BRAND, NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /rules", BRAND, NULL)), 1);
	assert_int_equal(size_of(want(200, "GET /admin/event-types", BRAND, NULL)), 1);
	refused(404, "customer_unknown", NULL, "GET /customers/BAD/evil", BRAND, NULL);
}

static void json_that_is_refused(void **state)
{
	/* Each is tried as the body of every route that reads JSON; `named` stands in the detail. */
	static const struct { const char *body, *named; } rows[] = {
		{ "", "empty" },
		{ "   ", "" },
		{ "{", "" },
		{ "{} {}", "" },
		{ "{'a':1,}", "" },
		{ "nonsense", "" },
		{ "{'a':01}", "" },
		{ "{'a':.5}", "" },
		{ "{'a':+1}", "" },
		{ "// a comment\n{}", "" },
		{ "{" EVENT ",'payload':{'a':NaN}}", "" },
		{ "{" EVENT ",'payload':{'a':Infinity}}", "" },
		{ "{" EVENT ",'payload':{'a':1,'b':2,'a':3}}", "\"a\"" },
		{ "{" EVENT ",'brand':'BAD'}", "\"brand\"" },
		{ "{" EVENT ",'payload':{'a':1,'\\u0061':3}}", "\"a\"" },
		{ "{" EVENT ",'payload':{'a':'\\ud800'}}", "" },
		{ "{" EVENT ",'payload':{'a':'\\udc00x'}}", "" },
		{ "{" EVENT ",'payload':{'\\ud800\\u0041':1}}", "" },
		{ "{" EVENT ",'payload':{'a':'\xed\xa0\x80'}}", "" },
		{ "{" EVENT ",'payload':{'a':'\xff'}}", "" },
		{ "{" EVENT ",'payload':{'a':'\xc0\xaf'}}", "" },
		{ "{" EVENT ",'payload':{'a':'\x01'}}", "" },
		{ "{" EVENT ",'payload':{'a':18446744073709551616}}", "18446744073709551616" },
		{ "{" EVENT ",'payload':{'a':-9223372036854775809}}", "-9223372036854775809" },
		{ "\xef\xbb\xbf{", "" },
	};
	static const char *const routes[] = { "POST /transactions", "POST /rules", "POST /admin/event-types",
					      "POST /customers/upsert",
					      "PATCH /rules/1" };
	(void)state;
	brand_check();
	for (size_t r = 0; r < COUNT_OF(routes); r++)
		for (size_t i = 0; i < COUNT_OF(rows); i++) {
			refused(400, "json_invalid", NULL, routes[r], r ? BRAND : NULL, rows[i].body);
			if (!strstr(text_at(yyjson_doc_get_root(last_reply()->doc), "/detail"), rows[i].named))
				fail_msg("%s does not name %s: %s", rows[i].body, rows[i].named,
					 last_reply()->body.ptr);
		}
	brand_check();
}

static void deep_nesting(void **state)
{
	struct buf body = { 0 };
	(void)state;
	brand_check();
	for (int depth = 65; depth <= 100065; depth += 50000) {
		body.len = 0;
		buf_lit(&body, "{'x':");
		for (int i = 0; i < depth; i++)
			buf_char(&body, '[');
		for (int i = 0; i < depth; i++)
			buf_char(&body, ']');
		buf_lit(&body, "}");
		buf_char(&body, '\0');
		refused(400, "json_invalid", NULL, "POST /transactions", NULL, body.ptr);
	}
	buf_free(&body);
	brand_check();
}

/* What fits only just is taken. */
static void numbers_and_texts_at_the_edge(void **state)
{
	static const char *const payloads[] = {
		"{'a':18446744073709551615,'b':-9223372036854775808}", "{'a':'\\ud83d\\ude00'}", "{'a':'\\u0000'}",
		"{'':1}",
		"{'a':1e300}", "{'a':0.1000000000000000000000000000001}", "{'a':'\xf0\x9f\x98\x80','\xc3\xa4':null}",
	};
	(void)state;
	make_type("EDGE", "PURCHASE");
	for (size_t i = 0; i < COUNT_OF(payloads); i++) {
		char id[64];
		snprintf(id, sizeof id, "%s",
			 text_at(send_event(201, "EDGE", "p", "PURCHASE", textf("e-%zu", i), payloads[i]), "/id"));
		yyjson_val *event = want(200, textf("GET /transactions/%s", id), "EDGE", NULL);
		if (i != 4 && i != 5)
			json_is(event, "/payload", payloads[i]);
	}
	assert_non_null(strstr(want(200, "GET /transactions", "EDGE", NULL) ? last_reply()->body.ptr : "",
			       "0.1000000000000000000000000000001"));
}

static void names_too_long(void **state)
{
	char name[202];
	(void)state;
	memset(name, 'n', sizeof name - 1);
	name[201] = '\0';
	brand_check();
	refused(422, "validation_failed", "/eventId", "POST /transactions", NULL,
		textf("{'brand':'BAD','profileId':'p','eventType':'PURCHASE','eventId':'%s'}", name));
	refused(422, "validation_failed", "/profileId", "POST /customers/upsert", BRAND, textf("{'profileId':'%s'}",
											       name));
	refused(400, "brand_invalid", NULL, "GET /rules", name, NULL);
	name[200] = '\0';
	want(201, "POST /customers/upsert", "EDGE", textf("{'profileId':'%s'}", name));
	want(200, textf("GET /customers/EDGE/%s", name), "EDGE", NULL);
	brand_check();
}

static void wrong_methods(void **state)
{
	static const struct { const char *what, *allow; } rows[] = {
		{ "DELETE /", "GET, HEAD, OPTIONS" },
		{ "PUT /transactions", "POST, GET, HEAD, OPTIONS" },
		{ "GET /customers/upsert", "POST, OPTIONS" },
		{ "POST /wallet/A/p", "GET, HEAD, OPTIONS" },
		{ "PATCH /rules", "GET, HEAD, POST, OPTIONS" },
		{ "POST /rules/1", "GET, HEAD, PATCH, DELETE, OPTIONS" },
		{ "GET /imports/events", "POST, OPTIONS" },
		{ "POST /metrics", "GET, HEAD, OPTIONS" },
	};
	char allow[100];
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		refused(405, "method_not_allowed", NULL, rows[i].what, BRAND, NULL);
		assert_true(reply_header(last_reply(), "Allow", allow, sizeof allow));
		assert_string_equal(allow, rows[i].allow);
		const char *path = strchr(rows[i].what, ' ');
		want(204, textf("OPTIONS%s", path), NULL, NULL);
		assert_true(reply_header(last_reply(), "Allow", allow, sizeof allow));
		assert_string_equal(allow, rows[i].allow);
	}
	want(204, "OPTIONS *", NULL, NULL);
	refused(404, "route_unknown", NULL, "GET /nothing", NULL, NULL);
	refused(404, "route_unknown", NULL, "POST /rules/1/2", BRAND, NULL);
	refused(404, "route_unknown", NULL, "OPTIONS /nothing", NULL, NULL);
}

static void head_is_get_without_body(void **state)
{
	static const char *const paths[] = { "/", "/rules", "/transactions", "/wallet/BAD/p", "/livez", "/nothing" };
	char length[2][20];
	(void)state;
	brand_check();
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		int status = ask(textf("GET %s", paths[i]), BRAND, NULL, (struct str){ NULL, 0 })->status;
		assert_true(reply_header(last_reply(), "Content-Length", length[0], sizeof length[0]));
		assert_int_equal(ask(textf("HEAD %s", paths[i]), BRAND, NULL, (struct str){ NULL, 0 })->status, status);
		assert_true(reply_header(last_reply(), "Content-Length", length[1], sizeof length[1]));
		assert_string_equal(length[1], length[0]);
	}
	brand_check();                             /* and the connection is in step */
}

static void media_types(void **state)
{
	(void)state;
	brand_check();
	want_typed(415, "POST /transactions", NULL, "text/plain", "{}");
	want_typed(415, "POST /rules", BRAND, "application/xml", "{}");
	want_typed(415, "POST /rules", BRAND, "application/jsonx", "{}");
	want_typed(415, "POST /imports/events", NULL, "application/json", "[]");
	want_typed(422, "POST /rules", BRAND, "application/json; charset=utf-8", "{}");
	want_typed(422, "POST /rules", BRAND, "Application/JSON", "{}");
	want_typed(422, "POST /rules", BRAND, NULL, "{}");
	brand_check();
}

static void expect_continue(void **state)
{
	static const char head[] = "POST /customers/upsert HTTP/1.1\r\nHost: a\r\nX-Brand: EXPECT\r\n"
				   "Content-Length: 17\r\n"
				   "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n";
	static const char body[] = "{\"profileId\":\"p\"}";
	struct client client;
	struct reply reply = { 0 };
	(void)state;
	client_open(&client, harness_server.port);
	client_send(&client, head, sizeof head - 1);
	while (!client.in.len || !memmem(client.in.ptr, client.in.len, "\r\n\r\n", 4))
		assert_true(client_fill(&client));
	assert_true(client.in.len >= 12 && memcmp(client.in.ptr, "HTTP/1.1 100", 12) == 0);
	client_send(&client, body, sizeof body - 1);
	assert_true(client_reply(&client, &reply, false));
	assert_int_equal(reply.status, 201);
	assert_true(reply.continued);
	reply_free(&reply);
	client_close(&client);
	want(200, "GET /customers/EXPECT/p", "EXPECT", NULL);
}

/* Sends bytes on a connection of their own; the first reply has this status, and the server closes behind it. */
static void closed_with(const char *name, int status, const char *bytes, size_t len)
{
	struct client client;
	struct reply reply = { 0 };
	client_open(&client, harness_server.port);
	client_send(&client, bytes, len);
	if (!client_reply(&client, &reply, false))
		fail_msg("%s: no reply", name);
	if (reply.status != status)
		fail_msg("%s: expected %d: %s%s", name, status, reply.head.ptr, reply.body.ptr);
	if (!client_ended(&client))
		fail_msg("%s: something more was answered: %.*s", name, (int)client.in.len, client.in.ptr);
	reply_free(&reply);
	client_close(&client);
}

#define P "POST /transactions HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void smuggling_shapes(void **state)
{
	static const struct { const char *name; int status; const char *bytes; } rows[] = {
		{ "both lengths", 400, P "Content-Length: 5\r\n" CHUNKED "\r\n0\r\n\r\n" SMUGGLED },
		{ "both lengths, turned", 400, P CHUNKED "Content-Length: 5\r\n\r\n0\r\n\r\n" SMUGGLED },
		{ "two lengths", 400, P "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" SMUGGLED },
		{ "two equal lengths", 400, P "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" SMUGGLED },
		{ "a list of lengths", 400, P "Content-Length: 0, 0\r\n\r\n" SMUGGLED },
		{ "a signed length", 400, P "Content-Length: +0\r\n\r\n" SMUGGLED },
		{ "a negative length", 400, P "Content-Length: -1\r\n\r\n" SMUGGLED },
		{ "a giant length", 413, P "Content-Length: 99999999999999999999\r\n\r\n" SMUGGLED },
		{ "a large length", 413, P "Content-Length: 999999999999\r\n\r\n" SMUGGLED },
		{ "two hosts", 400, P "Host: b\r\nContent-Length: 0\r\n\r\n" SMUGGLED },
		{ "no host", 400, "GET / HTTP/1.1\r\n\r\n" SMUGGLED },
		{ "bare LF", 400, "GET / HTTP/1.1\nHost: a\n\n" SMUGGLED },
		{ "bare LF in a header", 400, P "X: a\nContent-Length: 0\r\n\r\n" SMUGGLED },
		{ "obs-fold", 400, P "X: a\r\n b\r\nContent-Length: 0\r\n\r\n" SMUGGLED },
		{ "space before the colon", 400, P "Content-Length : 0\r\n\r\n" SMUGGLED },
		{ "bad chunk size", 400, P CHUNKED "\r\nzz\r\n" SMUGGLED },
		{ "signed chunk size", 400, P CHUNKED "\r\n-1\r\n" SMUGGLED },
		{ "giant chunk size", 400, P CHUNKED "\r\nffffffffffffffffff\r\n" SMUGGLED },
		{ "large chunk", 413, P CHUNKED "\r\nfffffffffff\r\n" SMUGGLED },
		{ "chunk with LF", 400, P CHUNKED "\r\n1\na\n0\n\n" SMUGGLED },
		{ "another coding", 501, P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED },
		{ "coding twice", 501, P CHUNKED CHUNKED "\r\n0\r\n\r\n" SMUGGLED },
		{ "CONNECT", 405, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED },
		{ "TRACE", 405, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED },
		{ "HTTP/2.0", 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n" SMUGGLED },
		{ "preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" SMUGGLED },
		{ "no method", 501, "FROB / HTTP/1.1\r\nHost: a\r\n\r\n" SMUGGLED },
		{ "other expectation", 417, P "Expect: x\r\nContent-Length: 2\r\n\r\n{}" SMUGGLED },
	};
	(void)state;
	brand_check();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		closed_with(rows[i].name, rows[i].status, rows[i].bytes, strlen(rows[i].bytes));
		brand_check();
	}
}

static void requests_too_large(void **state)
{
	struct buf bytes = { 0 };
	(void)state;
	brand_check();
	buf_lit(&bytes, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	for (int i = 0; i < 40000; i++)
		buf_char(&bytes, 'x');
	buf_lit(&bytes, "\r\n\r\n");
	closed_with("a long header", 431, bytes.ptr, bytes.len);
	bytes.len = 0;
	buf_lit(&bytes, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 150; i++)
		buf_printf(&bytes, "X-%d: y\r\n", i);
	buf_lit(&bytes, "\r\n");
	closed_with("many headers", 431, bytes.ptr, bytes.len);
	bytes.len = 0;
	buf_lit(&bytes, "GET /");
	for (int i = 0; i < 10000; i++)
		buf_char(&bytes, 'x');
	buf_lit(&bytes, " HTTP/1.1\r\nHost: a\r\n\r\n");
	closed_with("a long target", 414, bytes.ptr, bytes.len);
	bytes.len = 0;
	buf_printf(&bytes, P "Content-Length: %d\r\n\r\n", 16 * 1024 * 1024 + 1);
	closed_with("a body over the limit", 413, bytes.ptr, bytes.len);
	buf_free(&bytes);
	brand_check();
}

/* Requests that follow each other without waiting are answered in order; one that is cut off is not carried out. */
static void pipelined_and_cut_off(void **state)
{
	static const char three[] = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"
				    "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	static const int statuses[] = { 200, 404, 200 };
	static const char cut[] = P "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"brand\":\"BAD\"";
	struct client client;
	struct reply reply = { 0 };
	(void)state;
	brand_check();
	client_open(&client, harness_server.port);
	client_send(&client, three, sizeof three - 1);
	for (size_t i = 0; i < COUNT_OF(statuses); i++) {
		assert_true(client_reply(&client, &reply, false));
		assert_int_equal(reply.status, statuses[i]);
	}
	client_send(&client, cut, sizeof cut - 1);
	client_close(&client);
	reply_free(&reply);
	/* A body in chunks is as good as any. */
	static const char chunks[] = "POST /customers/upsert HTTP/1.1\r\nHost: a\r\nX-Brand: CHUNK\r\n" CHUNKED
				     "Content-Type: application/json\r\n\r\n5\r\n{\"pro\r\nc;x=y\r\nfileId\":\"p\"}\r\n"
				     "0\r\n\r\n";
	client_open(&client, harness_server.port);
	client_send(&client, chunks, sizeof chunks - 1);
	assert_true(client_reply(&client, &reply, false));
	assert_int_equal(reply.status, 201);
	reply_free(&reply);
	client_close(&client);
	brand_check();
}

static void health_and_metrics(void **state)
{
	static const char *const names[] = {
		"tally_http_requests_total{class=\"2xx\"}", "tally_http_request_seconds_bucket{le=\"",
		"tally_http_request_seconds_count",
		"tally_http_connections ", "tally_wal_write_seconds_bucket{le=\"+Inf\"}", "tally_wal_write_seconds_sum",
		"tally_wal_commit_bytes_bucket{le=\"", "tally_wal_bytes_total", "tally_wal_durable_lsn ",
		"tally_shard_mailbox_depth_bucket{le=\"", "tally_events_total{result=\"processed\"}", "tally_members ",
		"tally_ids ",
		"tally_memory_bytes ", "tally_build_info{version=\"", "tally_uptime_seconds ",
	};
	static const char *const lines[] = { "[+] recovery", "[+] log", "[+] disk", "[+] accepting", "ready" };
	char type[120];
	(void)state;
	brand_check();
	want(200, "GET /livez", NULL, NULL);
	assert_string_equal(last_reply()->body.ptr, "ok\n");
	want(200, "GET /readyz", NULL, NULL);
	assert_string_equal(last_reply()->body.ptr, "ready\n");
	want(200, "GET /readyz?verbose", NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		assert_non_null(strstr(last_reply()->body.ptr, lines[i]));
	want(200, "GET /metrics", NULL, NULL);
	assert_true(reply_header(last_reply(), "Content-Type", type, sizeof type));
	assert_int_equal(strncmp(type, "application/openmetrics-text", 28), 0);
	const struct buf *body = &last_reply()->body;
	assert_string_equal(body->ptr + body->len - 6, "# EOF\n");
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (!strstr(body->ptr, names[i]))
			fail_msg("no %s in the metrics: %s", names[i], body->ptr);
	/* Families are described before their samples. */
	assert_non_null(strstr(body->ptr, "# TYPE tally_http_requests counter\n"));
	assert_non_null(strstr(body->ptr, "# TYPE tally_wal_write_seconds histogram\n"));
	assert_non_null(strstr(body->ptr, "# UNIT tally_wal_write_seconds seconds\n"));
}

/* The answers carry what tells about them. */
static void headers_of_answers(void **state)
{
	char value[120];
	(void)state;
	want(200, "GET /", NULL, NULL);
	assert_true(reply_header(last_reply(), "Content-Type", value, sizeof value));
	assert_int_equal(strncmp(value, "application/json", 16), 0);
	assert_true(reply_header(last_reply(), "Date", value, sizeof value));
	assert_non_null(strstr(value, " GMT"));
	refused(404, "route_unknown", NULL, "GET /%3Cscript%3E", NULL, NULL);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(json_that_is_refused),
	cmocka_unit_test(deep_nesting),
	cmocka_unit_test(numbers_and_texts_at_the_edge),
	cmocka_unit_test(names_too_long),
	cmocka_unit_test(wrong_methods),
	cmocka_unit_test(head_is_get_without_body),
	cmocka_unit_test(media_types),
	cmocka_unit_test(expect_continue),
	cmocka_unit_test(smuggling_shapes),
	cmocka_unit_test(requests_too_large),
	cmocka_unit_test(pipelined_and_cut_off),
	cmocka_unit_test(health_and_metrics),
	cmocka_unit_test(headers_of_answers),
};

int main(void)
{
	return harness_run("bad input", tests, COUNT_OF(tests), NULL);
}
