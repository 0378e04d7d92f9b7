// SPDX-License-Identifier: Apache-2.0
/* test_http.c - HTTP sessions: bytes in, bytes out.
 *
 * Every case of the tables runs twice, whole and byte by byte, and must come out the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/buf.h"
#include "engine/base/json.h"
#include "engine/base/problem_codes.h"
#include "net/http/http.h"

struct probe {
	struct http_session *session;
	struct http_request *waiting[256];
	size_t count;
	bool defer;                    /* keep requests; answer later */
	struct buf seen;               /* "GET /path?query [body]\n" per request */
	struct buf out;
	int ready;
};

static void answer(struct http_request *request)
{
	struct buf body = { 0 };
	buf_lit(&body, "<");
	buf_str(&body, request->path);
	buf_lit(&body, ">");
	http_respond(request, 200, "text/plain", NULL, buf_view(&body));
	buf_free(&body);
}

static void on_request(void *context, struct http_request *request)
{
	struct probe *probe = context;
	buf_str(&probe->seen, request->method_text);
	buf_char(&probe->seen, ' ');
	buf_str(&probe->seen, request->path);
	if (request->query.len) {
		buf_char(&probe->seen, '?');
		buf_str(&probe->seen, request->query);
	}
	buf_lit(&probe->seen, " [");
	buf_str(&probe->seen, request->body);
	buf_lit(&probe->seen, "]\n");
	if (probe->defer) {
		assert_true(probe->count < 256);
		probe->waiting[probe->count++] = request;
	} else {
		answer(request);
	}
}

static void on_ready(void *context, struct http_session *session)
{
	struct probe *probe = context;
	assert_ptr_equal(session, probe->session);
	probe->ready++;
}

static void probe_open(struct probe *probe, uint64_t body_max)
{
	*probe = (struct probe){ 0 };
	struct http_options options = { .body_max = body_max, .on_request = on_request, .on_ready = on_ready,
					.context = probe };
	probe->session = http_session_new(&options);
}

static void probe_close(struct probe *probe)
{
	http_session_free(probe->session);
	buf_free(&probe->seen);
	buf_free(&probe->out);
}

/* Feeds a copy of each piece in memory of its exact size, so that reading beyond it is found. */
static bool feed(struct probe *probe, const char *bytes, size_t len, size_t step)
{
	bool more = true;
	for (size_t at = 0; at < len && more; at += step) {
		size_t piece = len - at < step ? len - at : step;
		char *copy = malloc(piece);
		memcpy(copy, bytes + at, piece);
		more = http_session_feed(probe->session, copy, piece);
		free(copy);
		http_session_output(probe->session, &probe->out);
	}
	return more;
}

static const char *text(struct buf *buf)
{
	buf_char(buf, '\0');
	buf->len--;
	return buf->ptr;
}

/* The statuses of the responses in `out`, such as "200 400", following their lengths. */
static void statuses(struct buf *out, char *list, size_t size, bool head)
{
	const char *at = text(out), *end = at + out->len;
	list[0] = '\0';
	while (at < end) {
		assert_int_equal(strncmp(at, "HTTP/1.1 ", 9), 0);
		size_t used = strlen(list);
		snprintf(list + used, size - used, "%s%.3s", used ? " " : "", at + 9);
		const char *stop = strstr(at, "\r\n\r\n");
		assert_non_null(stop);
		const char *length = strstr(at, "Content-Length: ");
		at = stop + 4;
		if (length && length < stop && !head)
			at += strtoul(length + 16, NULL, 10);
		assert_true(at <= end);
	}
}

struct shape {
	const char *name;
	const char *bytes;
	size_t len;                    /* 0: strlen */
	const char *statuses;
	bool closed;
	const char *seen;              /* NULL: not looked at */
};

#define H "Host: a\r\n"
/* Bytes with a NUL among them. */
#define Z(literal) literal, sizeof(literal) - 1
#define G "GET / HTTP/1.1\r\n" H
#define P "POST /p HTTP/1.1\r\n" H
#define NEXT "GET /next HTTP/1.1\r\n" H "\r\n"

static const struct shape shapes[] = {
	/* plain requests */
	{ "get", G "\r\n", 0, "200", false, "GET / []\n" },
	{ "query", "GET /a/b?c=d&e HTTP/1.1\r\n" H "\r\n", 0, "200", false, "GET /a/b?c=d&e []\n" },
	{ "leading empty line", "\r\n\r\n" G "\r\n", 0, "200", false, "GET / []\n" },
	{ "absolute form", "GET http://x.org/a?b HTTP/1.1\r\n" H "\r\n", 0, "200", false, "GET /a?b []\n" },
	{ "absolute form, no path", "GET http://x.org HTTP/1.1\r\n" H "\r\n", 0, "200", false, "GET / []\n" },
	{ "options *", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, "200", false, "OPTIONS * []\n" },
	{ "other method", "PROPFIND / HTTP/1.1\r\n" H "\r\n", 0, "200", false, "PROPFIND / []\n" },
	{ "body", P "Content-Length: 5\r\n\r\nhello", 0, "200", false, "POST /p [hello]\n" },
	{ "zero body", P "Content-Length: 0\r\n\r\n" NEXT, 0, "200 200", false, "POST /p []\nGET /next []\n" },
	{ "leading zeros", P "Content-Length: 0005\r\n\r\nhello" NEXT, 0, "200 200", false, NULL },
	{ "body incomplete", P "Content-Length: 5\r\n\r\nhell", 0, "", false, "" },
	{ "get with body", G "Content-Length: 2\r\n\r\nhi" NEXT, 0, "200 200", false, "GET / [hi]\nGET /next []\n" },
	{ "pipelined", G "\r\n" NEXT NEXT, 0, "200 200 200", false, "GET / []\nGET /next []\nGET /next []\n" },
	{ "bytes of a text", "GET / HTTP/1.1\r\n" H "X: \xc3\xa4\tb \r\n\r\n", 0, "200", false, NULL },
	{ "empty value", G "X:\r\nY: \r\n\r\n", 0, "200", false, NULL },
	{ "empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, "200", false, NULL },
	/* chunked */
	{ "chunked", P "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n" NEXT, 0, "200 200",
	  false, "POST /p [hello world]\nGET /next []\n" },
	{ "chunked, case", P "TRANSFER-encoding: Chunked\r\n\r\n0A\r\n0123456789\r\n0\r\n\r\n", 0, "200", false,
	  "POST /p [0123456789]\n" },
	{ "trailers", P "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: evil\r\nX: y\r\n\r\n" NEXT,
	  0, "200 200", false,
	  "POST /p [a]\nGET /next []\n" },
	{ "chunk size not hex", P "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, "400", true, "" },
	{ "chunk size signed", P "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk size 0x", P "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk size empty", P "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk size space", P "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk size overflow", P "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", 0, "400", true, "" },
	{ "chunk line LF", P "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk ext LF", P "Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk longer", P "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk end LF", P "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n", 0, "400", true, "" },
	{ "chunk end CR", P "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r0\r\n\r\n", 0, "400", true, "" },
	{ "last chunk LF", P "Transfer-Encoding: chunked\r\n\r\n0\r\n\n", 0, "400", true, "" },
	/* two lengths, odd lengths */
	{ "CL.TE", P "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 0, "400", true, "" },
	{ "TE.CL", P "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n", 0, "400", true, "" },
	{ "two equal CL", P "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0, "400", true, "" },
	{ "two CL", P "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 0, "400", true, "" },
	{ "CL list", P "Content-Length: 5, 5\r\n\r\nhello", 0, "400", true, "" },
	{ "CL signed", P "Content-Length: +5\r\n\r\nhello", 0, "400", true, "" },
	{ "CL negative", P "Content-Length: -5\r\n\r\nhello", 0, "400", true, "" },
	{ "CL hex", P "Content-Length: 0x5\r\n\r\nhello", 0, "400", true, "" },
	{ "CL inner space", P "Content-Length: 5 5\r\n\r\nhello", 0, "400", true, "" },
	{ "CL empty", P "Content-Length:\r\n\r\nhello", 0, "400", true, "" },
	{ "CL empty, space", P "Content-Length: \r\n\r\nhello", 0, "400", true, "" },
	{ "CL huge", P "Content-Length: 99999999999999999999999\r\n\r\n", 0, "413", true, "" },
	{ "CL 2^64", P "Content-Length: 18446744073709551616\r\n\r\n", 0, "413", true, "" },
	{ "CL over limit", P "Content-Length: 1001\r\n\r\nabc", 0, "413", true, "" },
	{ "TE gzip", P "Transfer-Encoding: gzip\r\n\r\n", 0, "501", true, "" },
	{ "TE gzip, chunked", P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, "501", true, "" },
	{ "TE chunked, gzip", P "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 0, "501", true, "" },
	{ "TE xchunked", P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, "501", true, "" },
	{ "TE identity", P "Transfer-Encoding: identity\r\n\r\n", 0, "501", true, "" },
	{ "TE quoted", P "Transfer-Encoding: \"chunked\"\r\n\r\n", 0, "501", true, "" },
	{ "TE vertical tab", P "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "TE twice", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "501", true, "" },
	{ "TE 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, "400", true, "" },
	{ "TE in trailer", P "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n" NEXT, 0, NULL, false, NULL },
	/* hosts */
	{ "no host", "GET / HTTP/1.1\r\n\r\n", 0, "400", true, "" },
	{ "two hosts", G "Host: b\r\n\r\n", 0, "400", true, "" },
	{ "bad host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, "400", true, "" },
	{ "host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 0, "400", true, "" },
	{ "1.0 no host", "GET / HTTP/1.0\r\n\r\n", 0, "200", true, "GET / []\n" },
	/* lines */
	{ "LF ends", "GET / HTTP/1.1\nHost: a\n\n", 0, "400", true, "" },
	{ "LF in headers", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 0, "400", true, "" },
	{ "LF after headers", "GET / HTTP/1.1\r\nHost: a\r\n\n", 0, "400", true, "" },
	{ "CR alone", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 0, "400", true, "" },
	{ "CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 0, "400", true, "" },
	{ "obs-fold", G "X: a\r\n b\r\n\r\n", 0, "400", true, "" },
	{ "obs-fold tab", G "X: a\r\n\tb\r\n\r\n", 0, "400", true, "" },
	{ "fold of the first", "GET / HTTP/1.1\r\n " H "\r\n", 0, "400", true, "" },
	{ "space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 0, "400", true, "" },
	{ "tab before colon", P "Content-Length\t: 5\r\n\r\nhello", 0, "400", true, "" },
	{ "no colon", G "Xyz\r\n\r\n", 0, "400", true, "" },
	{ "no name", G ": x\r\n\r\n", 0, "400", true, "" },
	{ "NUL in value", Z("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), "400", true, "" },
	{ "NUL in name", Z("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"), "400", true, "" },
	{ "control in value", G "X: a\x01" "b\r\n\r\n", 0, "400", true, "" },
	{ "DEL in value", G "X: a\x7f\r\n\r\n", 0, "400", true, "" },
	{ "odd name", G "X(y): b\r\n\r\n", 0, "400", true, "" },
	{ "high byte in name", G "X\xc3\xa4: b\r\n\r\n", 0, "400", true, "" },
	/* request lines */
	{ "CONNECT", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n" NEXT, 0, "405", true, "" },
	{ "TRACE", "TRACE / HTTP/1.1\r\n" H "\r\n" NEXT, 0, "405", true, "" },
	{ "HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", 0, "505", true, "" },
	{ "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, "505", true, "" },
	{ "HTTP/3.0", "GET / HTTP/3.0\r\n" H "\r\n", 0, "505", true, "" },
	{ "HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", 0, "505", true, "" },
	{ "HTTP/0.9", "GET /\r\n\r\n", 0, "505", true, "" },
	{ "lower-case http", "GET / http/1.1\r\n" H "\r\n", 0, "400", true, "" },
	{ "unknown method", "FROB / HTTP/1.1\r\n" H "\r\n", 0, "501", true, "" },
	{ "lower-case method", "get / HTTP/1.1\r\n" H "\r\n", 0, "501", true, "" },
	{ "a TLS hello", "\x16\x03\x01\x02\x00\x01", 6, "400", true, "" },
	{ "no slash", "GET a HTTP/1.1\r\n" H "\r\n", 0, "400", true, "" },
	{ "* of GET", "GET * HTTP/1.1\r\n" H "\r\n", 0, "400", true, "" },
	{ "fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 0, "400", true, "" },
	{ "high byte in target", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", 0, "400", true, "" },
	{ "NUL in target", Z("GET /\0 HTTP/1.1\r\n" H "\r\n"), "400", true, "" },
	{ "space in target", "GET /a b HTTP/1.1\r\n" H "\r\n", 0, "400", true, "" },
	/* the connection */
	{ "close", G "Connection: close\r\n\r\n" NEXT, 0, "200", true, "GET / []\n" },
	{ "close in a list", G "Connection: x, Close\r\n\r\n" NEXT, 0, "200", true, "GET / []\n" },
	{ "1.0", "GET / HTTP/1.0\r\n" H "\r\n" NEXT, 0, "200", true, "GET / []\n" },
	{ "1.0 keep-alive", "GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n" NEXT, 0, "200 200", false, NULL },
	{ "upgrade", G "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" NEXT, 0, "200 200", false, "GET / []\nGET /next []\n" },
	{ "upgrade, body", P "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi" NEXT,
	  0, "200 200", false,
	  "POST /p [hi]\nGET /next []\n" },
	{ "error after good ones", G "\r\n" NEXT "BAD\r\n\r\n", 0, "200 200 501", true, "GET / []\nGET /next []\n" },
	/* expectations */
	{ "other expectation", P "Expect: 200-ok\r\nContent-Length: 2\r\n\r\n", 0, "417", true, "" },
	{ "expectation of 1.0", "POST / HTTP/1.0\r\n" H "Expect: x\r\nContent-Length: 2\r\n\r\nhi", 0, "200", true, NULL },
	{ "expect, too large", P "Expect: 100-continue\r\nContent-Length: 2000\r\n\r\n", 0, "413", true, "" },
	{ "expect, no body", G "Expect: 100-continue\r\n\r\n", 0, "200", false, "GET / []\n" },
};

static bool run_shape(const struct shape *shape, size_t step)
{
	struct probe probe;
	char list[128];
	size_t len = shape->len ? shape->len : strlen(shape->bytes);
	probe_open(&probe, 1000);
	bool more = feed(&probe, shape->bytes, len, step);
	statuses(&probe.out, list, sizeof list, false);
	bool good = (!shape->statuses || strcmp(list, shape->statuses) == 0) &&
		    (!shape->statuses || more == !shape->closed) &&
		    (!shape->seen || strcmp(text(&probe.seen), shape->seen) == 0);
	if (shape->closed)
		good &= http_session_done(probe.session) && strstr(text(&probe.out), "Connection: close\r\n");
	if (!good)
		print_error("%s (step %zu): \"%s\"%s, seen \"%s\", output \"%s\"\n", shape->name, step, list,
			    more ? "" : " closed", text(&probe.seen), text(&probe.out));
	probe_close(&probe);
	return good;
}

static void test_shapes(void **state)
{
	(void)state;
	size_t failures = 0;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
		failures += !run_shape(&shapes[i], SIZE_MAX / 2) + !run_shape(&shapes[i], 1) + !run_shape(&shapes[i], 7);
	assert_int_equal(failures, 0);
}

static void expect_statuses(struct probe *probe, const char *wanted)
{
	char list[1024];
	statuses(&probe->out, list, sizeof list, false);
	assert_string_equal(list, wanted);
}

static void test_limits(void **state)
{
	(void)state;
	struct buf in = { 0 };
	static const size_t steps[] = { 1, 1000, SIZE_MAX / 2 };
	for (size_t s = 0; s < 3; s++)
		for (int which = 0; which < 7; which++) {
			struct probe probe;
			static const char *const all[] = { "414", "431", "431", "431", "200", "413", "400" };
			const char *wanted = all[which];
			in.len = 0;
			if (which == 0) {              /* a long target */
				buf_lit(&in, "GET /");
				for (int i = 0; i < HTTP_TARGET_MAX; i++)
					buf_char(&in, 'a');
				buf_lit(&in, " HTTP/1.1\r\n" H "\r\n");
			} else if (which == 1) {       /* a long header */
				buf_lit(&in, G "X: ");
				for (int i = 0; i < HTTP_HEADERS_MAX; i++)
					buf_char(&in, 'a');
				buf_lit(&in, "\r\n\r\n");
			} else if (which == 2) {       /* spaces that the parser skips */
				buf_lit(&in, G "X: ");
				for (int i = 0; i < HTTP_HEADERS_MAX; i++)
					buf_char(&in, ' ');
				buf_lit(&in, "a\r\n\r\n");
			} else if (which == 3 || which == 4) { /* 101 and 100 headers */
				buf_lit(&in, G);
				for (int i = 0; i < 103 - which; i++)
					buf_printf(&in, "X-%d: y\r\n", i);
				buf_lit(&in, "\r\n");
			} else if (which == 5) {       /* chunks beyond the limit */
				buf_lit(&in, P "Transfer-Encoding: chunked\r\n\r\n");
				for (int i = 0; i < 101; i++)
					buf_lit(&in, "a\r\n0123456789\r\n");
			} else {                       /* chunk extensions without end */
				buf_lit(&in, P "Transfer-Encoding: chunked\r\n\r\n1;a=");
				for (int i = 0; i < 2 * HTTP_HEADERS_MAX; i++)
					buf_char(&in, 'a');
			}
			probe_open(&probe, 1000);
			bool more = feed(&probe, in.ptr, in.len, steps[s]);
			expect_statuses(&probe, wanted);
			assert_int_equal(more, which == 4);
			probe_close(&probe);
		}
	buf_free(&in);
	/* Exactly the limit passes. */
	struct probe probe;
	probe_open(&probe, 5);
	feed(&probe, P "Content-Length: 5\r\n\r\nhello", strlen(P "Content-Length: 5\r\n\r\nhello"), 1);
	expect_statuses(&probe, "200");
	probe_close(&probe);
}

static void test_order(void **state)
{
	(void)state;
	static const int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 0, 2, 1 } };
	const char *in = "GET /0 HTTP/1.1\r\n" H "\r\nGET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\nBAD BAD\r\n";
	for (size_t i = 0; i < 6; i++) {
		struct probe probe;
		probe_open(&probe, 0);
		probe.defer = true;
		assert_false(feed(&probe, in, strlen(in), i % 2 ? 1 : SIZE_MAX / 2));
		assert_int_equal(http_session_outstanding(probe.session), 3);
		assert_int_equal(probe.out.len, 0);
		for (size_t k = 0; k < 3; k++) {
			assert_false(http_session_done(probe.session));
			answer(probe.waiting[orders[i][k]]);
		}
		assert_true(probe.ready > 0);
		http_session_output(probe.session, &probe.out);
		expect_statuses(&probe, "200 200 200 501");
		const char *a = strstr(text(&probe.out), "</0>"), *b = strstr(probe.out.ptr, "</1>");
		const char *c = strstr(probe.out.ptr, "</2>");
		assert_true(a && b && c && a < b && b < c);
		assert_true(http_session_done(probe.session) && http_session_refused(probe.session));
		probe_close(&probe);
	}
}

static void test_pipeline_bound(void **state)
{
	(void)state;
	struct probe probe;
	struct buf in = { 0 };
	for (int i = 0; i < 200; i++)
		buf_printf(&in, "GET /%d HTTP/1.1\r\n" H "\r\n", i);
	probe_open(&probe, 0);
	probe.defer = true;
	assert_true(feed(&probe, in.ptr, in.len, SIZE_MAX / 2));
	assert_int_equal(probe.count, HTTP_PIPELINE_MAX);
	assert_false(http_session_wants_read(probe.session));
	for (size_t i = 0; i < 200; i++) {
		assert_true(i < probe.count);
		answer(probe.waiting[i]);
		http_session_output(probe.session, &probe.out);
		assert_true(http_session_outstanding(probe.session) <= HTTP_PIPELINE_MAX);
	}
	assert_true(http_session_wants_read(probe.session));
	assert_int_equal(probe.count, 200);
	assert_non_null(strstr(text(&probe.out), "</199>"));
	probe_close(&probe);
	/* The same with the end of the input behind it: all are answered, then it is done. */
	probe_open(&probe, 0);
	probe.defer = true;
	feed(&probe, in.ptr, in.len, SIZE_MAX / 2);
	http_session_end(probe.session);
	for (size_t i = 0; i < probe.count; i++) {
		answer(probe.waiting[i]);
		http_session_output(probe.session, &probe.out);
	}
	assert_int_equal(probe.count, 200);
	assert_true(http_session_done(probe.session));
	probe_close(&probe);
	/* Bodies count too: nothing is read while more than body_max waits. */
	probe_open(&probe, 10);
	probe.defer = true;
	in.len = 0;
	for (int i = 0; i < 4; i++)
		buf_lit(&in, P "Content-Length: 8\r\n\r\n12345678");
	feed(&probe, in.ptr, in.len, SIZE_MAX / 2);
	assert_int_equal(probe.count, 2);
	for (size_t i = 0; i < 4; i++) {
		answer(probe.waiting[i]);
		http_session_output(probe.session, &probe.out);
	}
	expect_statuses(&probe, "200 200 200 200");
	probe_close(&probe);
	buf_free(&in);
}

static void test_head_and_bodiless(void **state)
{
	(void)state;
	struct probe probe;
	probe_open(&probe, 0);
	const char *in = "HEAD /x HTTP/1.1\r\n" H "\r\n";
	http_set_date(784111777);
	feed(&probe, in, strlen(in), 1);
	assert_string_equal(text(&probe.out), "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
					      "Content-Type: text/plain\r\nContent-Length: 4\r\n\r\n");
	probe.out.len = 0;
	probe.defer = true;
	feed(&probe, NEXT NEXT, strlen(NEXT NEXT), SIZE_MAX / 2);
	http_respond(probe.waiting[1], 304, "text/plain", "ETag: \"x\"\r\n", STR("zzz"));
	http_respond(probe.waiting[0], 204, "text/plain", NULL, STR("zzz"));
	http_session_output(probe.session, &probe.out);
	assert_string_equal(text(&probe.out), "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
					      "HTTP/1.1 304 Not Modified\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
					      "ETag: \"x\"\r\n\r\n");
	probe_close(&probe);
	http_set_date(1709210096);     /* a leap day */
	probe_open(&probe, 0);
	feed(&probe, in, strlen(in), 1);
	assert_non_null(strstr(text(&probe.out), "Date: Thu, 29 Feb 2024 12:34:56 GMT\r\n"));
	probe_close(&probe);
}

static void test_continue(void **state)
{
	(void)state;
	const char *in = P "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n", *interim = "HTTP/1.1 100 Continue\r\n\r\n";
	struct probe probe;
	probe_open(&probe, 0);
	feed(&probe, in, strlen(in), 1);
	assert_string_equal(text(&probe.out), interim);
	feed(&probe, "hi", 2, 1);
	expect_statuses(&probe, "100 200");
	/* Not before an earlier answer. */
	probe.out.len = 0;
	probe.defer = true;
	feed(&probe, NEXT, strlen(NEXT), SIZE_MAX / 2);
	feed(&probe, in, strlen(in), SIZE_MAX / 2);
	assert_int_equal(probe.out.len, 0);
	answer(probe.waiting[0]);
	http_session_output(probe.session, &probe.out);
	expect_statuses(&probe, "200 100");
	feed(&probe, "hi", 2, 2);
	answer(probe.waiting[1]);
	http_session_output(probe.session, &probe.out);
	expect_statuses(&probe, "200 100 200");
	/* Not when the body has come with the head, nor when it came before the earlier answer. */
	probe.out.len = probe.count = 0;
	feed(&probe, P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
	     strlen(P "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"), SIZE_MAX / 2);
	feed(&probe, in, strlen(in), SIZE_MAX / 2);
	feed(&probe, "h", 1, 1);
	answer(probe.waiting[0]);
	feed(&probe, "i", 1, 1);
	answer(probe.waiting[1]);
	http_session_output(probe.session, &probe.out);
	expect_statuses(&probe, "200 200");
	probe_close(&probe);
}

static void test_ends(void **state)
{
	(void)state;
	struct probe probe;
	/* Shutdown while idle, while outstanding, while receiving. */
	probe_open(&probe, 0);
	http_session_shutdown(probe.session);
	assert_true(http_session_done(probe.session));
	probe_close(&probe);
	probe_open(&probe, 0);
	probe.defer = true;
	feed(&probe, G "\r\n" NEXT, strlen(G "\r\n" NEXT), SIZE_MAX / 2);
	http_session_shutdown(probe.session);
	assert_false(http_session_done(probe.session));
	answer(probe.waiting[0]);
	answer(probe.waiting[1]);
	http_session_output(probe.session, &probe.out);
	assert_true(http_session_done(probe.session));
	assert_non_null(strstr(strstr(text(&probe.out), "</>"), "Connection: close"));
	probe_close(&probe);
	probe_open(&probe, 0);
	feed(&probe, G, strlen(G), SIZE_MAX / 2);
	assert_int_equal(http_session_phase(probe.session), HTTP_IN_HEAD);
	http_session_shutdown(probe.session);
	assert_false(http_session_done(probe.session));
	assert_false(feed(&probe, "\r\n" NEXT, strlen("\r\n" NEXT), SIZE_MAX / 2));
	expect_statuses(&probe, "200");
	assert_true(http_session_done(probe.session));
	probe_close(&probe);
	/* End of input in the middle of a request; a slow peer. */
	probe_open(&probe, 0);
	feed(&probe, G, strlen(G), SIZE_MAX / 2);
	http_session_end(probe.session);
	assert_true(http_session_done(probe.session));
	probe_close(&probe);
	probe_open(&probe, 0);
	feed(&probe, P "Content-Length: 3\r\n\r\nx", strlen(P "Content-Length: 3\r\n\r\nx"), SIZE_MAX / 2);
	assert_int_equal(http_session_phase(probe.session), HTTP_IN_BODY);
	http_session_timeout(probe.session);
	http_session_output(probe.session, &probe.out);
	expect_statuses(&probe, "408");
	probe_close(&probe);
	/* Detached: with something outstanding, answered in any order; and with nothing. */
	probe_open(&probe, 0);
	probe.defer = true;
	feed(&probe, NEXT NEXT G, strlen(NEXT NEXT G), SIZE_MAX / 2);
	http_session_detach(probe.session);
	answer(probe.waiting[1]);
	answer(probe.waiting[0]);
	probe.session = NULL;
	probe_close(&probe);
	probe_open(&probe, 0);
	feed(&probe, G, strlen(G), SIZE_MAX / 2);
	http_session_detach(probe.session);
	probe.session = NULL;
	probe_close(&probe);
	/* Freed with something outstanding. */
	probe_open(&probe, 0);
	probe.defer = true;
	feed(&probe, NEXT NEXT G, strlen(NEXT NEXT G), SIZE_MAX / 2);
	answer(probe.waiting[1]);
	probe_close(&probe);
}

static void on_headers(void *context, struct http_request *request)
{
	(void)context;
	assert_int_equal(request->header_count, 5);
	assert_true(str_eq(request->headers[1].name, STR("x-long-name")));
	assert_true(str_eq(http_request_header(request, "x-long-name"), STR("first  value")));
	assert_true(str_eq(http_request_header(request, "empty"), STR("")));
	assert_true(http_request_has_header(request, "empty"));
	assert_false(http_request_has_header(request, "emptyx"));
	assert_int_equal(http_request_header(request, "big").len, 3000);
	http_problem(request, 422, "bad_thing", NULL, "X: y\r\n", "what \"%s\" \xff is", "that");
}

static void test_headers_and_problem(void **state)
{
	(void)state;
	struct buf in = { 0 }, out = { 0 };
	struct http_options options = { .on_request = on_headers };
	buf_lit(&in, G "X-Long-NAME: \t first  value \t \r\nEmpty:\r\nBig: ");
	for (int i = 0; i < 3000; i++)
		buf_char(&in, 'b');
	buf_lit(&in, "\r\nX-LONG-name: second\r\n\r\n");
	for (size_t step = 1; step < 40; step += 13) {
		struct http_session *session = http_session_new(&options);
		for (size_t at = 0; at < in.len; at += step)
			assert_true(http_session_feed(session, in.ptr + at, in.len - at < step ? in.len - at : step));
		out.len = 0;
		http_session_output(session, &out);
		assert_non_null(strstr(text(&out), "HTTP/1.1 422 Unprocessable Content\r\n"));
		assert_non_null(strstr(out.ptr, "Content-Type: application/problem+json\r\n"));
		assert_non_null(strstr(out.ptr, "X: y\r\n"));
		const char *body = strstr(out.ptr, "\r\n\r\n") + 4;
		assert_string_equal(body, "{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
					  "\"code\":\"bad_thing\",\"detail\":\"what \\\"that\\\" ? is\"}");
		http_session_free(session);
	}
	struct faults faults = { 0 };
	struct json_error error;
	faults_add(&faults, "/a", "wrong");
	out.len = 0;
	http_problem_json(&out, 400, "x", &faults, NULL, 3);
	yyjson_doc *doc = json_read(buf_view(&out), &error);
	assert_non_null(doc);
	assert_non_null(strstr(text(&out), "\"index\":3,\"errors\":[{\"pointer\":\"/a\",\"detail\":\"wrong\"}]}"));
	yyjson_doc_free(doc);
	faults_free(&faults);
	buf_free(&in);
	buf_free(&out);
}

static void problem_is(int status, const char *code, const char *expected)
{
	struct buf out = { 0 };
	http_problem_json(&out, status, code, NULL, NULL, -1);
	assert_string_equal(text(&out), expected);
	buf_free(&out);
}

/* Type and title come from the tables of codes. */
static void test_problem_types(void **state)
{
	(void)state;
	problem_is(409, "event_id_reused", "{\"type\":\"/v1/problems/event_id_reused\",\"title\":\"The event id was used for another "
					   "event\",\"status\":409,\"code\":\"event_id_reused\"}");
	problem_is(409, "exceeds_floor", "{\"type\":\"/v1/problems/exceeds_floor\",\"title\":\"Exceeds floor\",\"status\":409,"
					 "\"code\":\"exceeds_floor\"}");
	problem_is(418, "teapot", "{\"type\":\"about:blank\",\"title\":\"Client Error\",\"status\":418,\"code\":\"teapot\"}");
	for (const struct problem_code *row = problem_codes; row->code; row++) {
		assert_ptr_equal(problem_code_find(str_of(row->code)), row);       /* twice: the first would be found */
		assert_true(row->status >= 400 && row->status < 600 && (!row->also || (row->also >= 400 && row->also < 600)));
		assert_true(strlen(row->title) > 4 && row->title[strlen(row->title) - 1] != '.');
		assert_true(strlen(row->action) > 4 && row->action[strlen(row->action) - 1] == '.');
	}
}

static void test_query(void **state)
{
	(void)state;
	static const struct { const char *query, *name, *value; bool bad; } cases[] = {
		{ "a=1&b=2", "b", "2", false }, { "a=1&b=2", "c", NULL, false }, { "", "a", NULL, false },
		{ "a", "a", "", false }, { "a=", "a", "", false }, { "a=b=c", "a", "b=c", false },
		{ "a=x+y%20z", "a", "x y z", false }, { "%61=1", "a", "1", false }, { "a=%c3%A4", "a", "\xc3\xa4", false },
		{ "a=%", "a", NULL, true }, { "a=%4", "a", NULL, true }, { "a=%4g", "a", NULL, true },
		{ "a=%00", "a", NULL, true }, { "%zz=1&a=2", "a", NULL, true }, { "a=1&a=2", "a", "1", false },
		{ "&&a=1", "a", "1", false }, { "ab=1&a=2", "a", "2", false }, { "a=%41", "a", "A", false },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = { 0 };
		bool bad;
		bool found = http_query_get(str_of(cases[i].query), cases[i].name, &out, &bad);
		assert_int_equal(found, cases[i].value != NULL);
		assert_int_equal(bad, cases[i].bad);
		if (found)
			assert_true(str_eq(buf_view(&out), str_of(cases[i].value)));
		else
			assert_int_equal(out.len, 0);
		buf_free(&out);
	}
	struct buf out = { 0 };
	assert_true(http_percent_decode(STR("a+b%2Fc"), false, &out));
	assert_true(str_eq(buf_view(&out), STR("a+b/c")));
	buf_free(&out);
}

static void test_multipart(void **state)
{
	(void)state;
#define TYPE "multipart/form-data; boundary=XX"
#define PART(n, data) "--XX\r\nContent-Disposition: form-data; name=\"" n "\"\r\n\r\n" data "\r\n"
#define FILE_HEAD "Content-Type: text/csv\r\ncontent-disposition: form-data; name=up; filename=\"a;b.csv\"\r\n"
#define FILE_PART "--XX\r\n" FILE_HEAD "\r\nx,y\r\n1,2\r\n"
	static const struct { const char *type, *body, *name, *part; } cases[] = {
		{ TYPE, PART("a", "1") PART("b", "2") "--XX--\r\n", "b", "2" },
		{ TYPE, PART("a", "1") PART("b", "2") "--XX--", "a", "1" },
		{ TYPE, PART("a", "1") FILE_PART "--XX--\r\n", "zz", "x,y\r\n1,2" },
		{ TYPE, PART("a", "1") FILE_PART "--XX--\r\n", NULL, "x,y\r\n1,2" },
		{ TYPE, PART("a", "1") FILE_PART "--XX--\r\n", "up", "x,y\r\n1,2" },
		{ "Multipart/Form-Data; charset=utf-8; Boundary=\"XX\"", PART("a", "") "--XX--", "a", "" },
		{ TYPE, "preamble\r\n" PART("a", "x--XXy\r\n--X") "--XX--epilogue", "a", "x--XXy\r\n--X" },
		{ TYPE, PART("a", "1") "--XX--", "b", NULL },
		{ TYPE, PART("a", "1") "--XX", "a", NULL },
		{ TYPE, PART("a", "1"), "a", NULL },
		{ TYPE, "", "a", NULL },
		{ TYPE, "--XX--", "a", NULL },
		{ TYPE, "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n", "a", NULL },
		{ TYPE, "--XX\nContent-Disposition: form-data; name=\"a\"\n\n1\n--XX--", "a", NULL },
		{ TYPE, "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n--XX--", "a", NULL },
		{ "multipart/form-data", PART("a", "1") "--XX--", "a", NULL },
		{ "multipart/form-data; boundary=", PART("a", "1") "--XX--", "a", NULL },
		{ "multipart/form-data; boundary=\"XX", PART("a", "1") "--XX--", "a", NULL },
		{ "multipart/mixed; boundary=XX", PART("a", "1") "--XX--", "a", NULL },
		{ "", PART("a", "1") "--XX--", "a", NULL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct str part = { NULL, 0 };
		size_t len = strlen(cases[i].body);
		char *copy = malloc(len + 1);
		memcpy(copy, cases[i].body, len);
		bool found = http_multipart_find(str_of(cases[i].type), (struct str){ copy, len }, cases[i].name, &part);
		if (found != (cases[i].part != NULL) || (found && !str_eq(part, str_of(cases[i].part))))
			fail_msg("multipart case %zu: %s \"%.*s\"", i, found ? "found" : "not found", (int)part.len, part.ptr);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_pipeline_bound),
		cmocka_unit_test(test_head_and_bodiless),
		cmocka_unit_test(test_continue),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_headers_and_problem),
		cmocka_unit_test(test_problem_types),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_multipart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
