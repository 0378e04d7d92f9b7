// SPDX-License-Identifier: Apache-2.0
/* fuzz_http.c - libFuzzer target: any bytes, in any pieces, answered in any order.
 *
 * The first byte picks the piece size, the second how answers are given; the rest is fed.  Checked: the bounds of the
 * session, that each answer comes out, and, in a second run over the same bytes whole, that pieces make no difference
 * to the requests.
 */
#include <stdint.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/http/http.h"

struct run {
	struct http_request *waiting[HTTP_PIPELINE_MAX];
	size_t count;
	unsigned seed;
	bool defer;
	struct buf seen;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct http_request *request, unsigned seed)
{
	struct buf text = { 0 };
	struct str part = { NULL, 0 };
	bool bad;
	http_query_get(request->query, "q", &text, &bad);
	http_percent_decode(request->path, false, &text);
	http_multipart_find(http_request_header(request, "content-type"), request->body, "file", &part);
	if (part.len)
		buf_str(&text, part);
	if (seed % 3)
		http_respond(request, 200, "text/plain", NULL, buf_view(&text));
	else
		http_problem(request, 400, "x", NULL, NULL, "%.*s", (int)request->path.len, request->path.ptr);
	buf_free(&text);
}

static void on_request(void *context, struct http_request *request)
{
	struct run *run = context;
	buf_str(&run->seen, request->method_text);
	buf_char(&run->seen, ' ');
	buf_str(&run->seen, request->path);
	for (size_t i = 0; i < request->header_count; i++) {
		ASSERT(request->headers[i].name.len > 0);
		for (size_t k = 0; k < request->headers[i].value.len; k++) {
			unsigned char c = (unsigned char)request->headers[i].value.ptr[k];
			ASSERT((c >= ' ' && c != 0x7f) || c == '\t');
		}
		buf_str(&run->seen, request->headers[i].name);
		buf_char(&run->seen, ':');
		buf_str(&run->seen, request->headers[i].value);
	}
	buf_str(&run->seen, request->body);
	buf_char(&run->seen, '\n');
	if (!run->defer) {
		answer(request, 1);
		return;
	}
	ASSERT(run->count < HTTP_PIPELINE_MAX);
	run->waiting[run->count++] = request;
}

static void answer_some(struct run *run)
{
	run->seed = run->seed * 1103515245 + 12345;
	for (size_t n = (run->seed >> 16) % 5; n && run->count; n--) {
		run->seed = run->seed * 1103515245 + 12345;
		size_t pick = (run->seed >> 16) % run->count;
		struct http_request *request = run->waiting[pick];
		run->waiting[pick] = run->waiting[--run->count];
		answer(request, run->seed >> 8);
	}
}

static void feed(struct run *run, const uint8_t *data, size_t size, size_t step, bool detach)
{
	struct http_options options = { .body_max = 4096, .on_request = on_request, .context = run };
	struct http_session *session = http_session_new(&options);
	struct buf out = { 0 };
	size_t at = 0;
	while (at < size) {
		if (http_session_wants_read(session) || run->defer == false) {
			size_t piece = size - at < step ? size - at : step;
			char *copy = malloc(piece);
			memcpy(copy, data + at, piece);
			bool more = http_session_feed(session, copy, piece);
			free(copy);
			at += piece;
			if (!more)
				break;
		}
		if (run->defer)
			answer_some(run);
		http_session_output(session, &out);
		ASSERT(http_session_outstanding(session) == run->count || http_session_done(session) || !run->defer ||
		       http_session_refused(session));
		if (out.len > 65536)
			out.len = 0;
	}
	if (detach) {
		http_session_detach(session);
		session = NULL;
	} else {
		http_session_end(session);
	}
	while (run->count) {
		struct http_request *request = run->waiting[--run->count];
		answer(request, run->seed);
		if (session)
			http_session_output(session, &out);
	}
	if (session) {
		http_session_output(session, &out);
		ASSERT(http_session_done(session));
		http_session_free(session);
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct run pieces = { .seed = data[1], .defer = data[1] & 1 }, whole = { 0 };
	bool detach = (data[1] & 6) == 6;
	feed(&pieces, data + 2, size - 2, (size_t)data[0] + 1, detach);
	if (!detach) {
		feed(&whole, data + 2, size - 2, size, false);
		ASSERT(str_eq(buf_view(&pieces.seen), buf_view(&whole.seen)));
	}
	buf_free(&pieces.seen);
	buf_free(&whole.seen);
	return 0;
}
