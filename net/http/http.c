// SPDX-License-Identifier: Apache-2.0
/* http.c - the receiving half of a session: bytes through llhttp into requests.
 *
 * The parser is stopped at the end of each head and of each message, so that every decision (limits, refusals,
 * 100-continue, handing out) is taken in the loop of consume() and not inside a parser callback.  The callbacks only
 * copy: target, header names (lower-cased) and values into exchange->head, the body into exchange->body.
 *
 * Invariants: nothing of a message is accepted leniently - what llhttp lets through and must not pass (other lengths,
 * hosts, codings, versions) is refused in head_done() and head.c.  All received bytes of a head count towards
 * HTTP_HEADERS_MAX, also those that llhttp skips; the framing of a chunked body is bounded by its content.
 */
#include "net/http/http.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/http/session.h"

enum {
	BODY_MAX_DEFAULT = 16 * 1024 * 1024,
	POOL_MAX = 4,                  /* free exchanges kept per session */
	KEEP_HEAD_MAX = 8 * 1024,      /* larger buffers are given back after use */
	KEEP_BODY_MAX = 64 * 1024,
	KEEP_OUT_MAX = 64 * 1024,
	RESERVE_MAX = 1024 * 1024,     /* of an announced body, before any of it is there */
	FRAMING_FACTOR = 16            /* chunk framing bytes allowed per byte of content, above HTTP_HEADERS_MAX */
};

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static struct exchange *exchange_take(struct http_session *session)
{
	struct exchange *exchange = session->pool;
	if (exchange) {
		session->pool = exchange->next;
		session->pool_count--;
	} else {
		exchange = mem_zalloc(sizeof *exchange);
		exchange->request.session = session;
		exchange->request.internal = exchange;
	}
	exchange->next = NULL;
	exchange->request.method = HTTP_METHOD_OTHER;
	exchange->request.method_text = exchange->request.path = exchange->request.query = STR("");
	exchange->request.body = STR("");
	exchange->request.header_count = 0;
	exchange->request.started_ns = 0;
	exchange->request.context = NULL;
	exchange->answered = exchange->close = exchange->keep_alive = exchange->wants_continue = false;
	return exchange;
}

static void exchange_destroy(struct exchange *exchange)
{
	buf_free(&exchange->head);
	buf_free(&exchange->body);
	buf_free(&exchange->response);
	mem_free(exchange);
}

static void keep_or_free(struct buf *buf, size_t max)
{
	buf->len = 0;
	if (buf->cap > max)
		buf_free(buf);
}

void exchange_release(struct http_session *session, struct exchange *exchange)
{
	if (session->pool_count == POOL_MAX) {
		exchange_destroy(exchange);
		return;
	}
	keep_or_free(&exchange->head, KEEP_HEAD_MAX);
	keep_or_free(&exchange->body, KEEP_BODY_MAX);
	keep_or_free(&exchange->response, KEEP_OUT_MAX);
	exchange->next = session->pool;
	session->pool = exchange;
	session->pool_count++;
}

static void enqueue(struct http_session *session, struct exchange *exchange)
{
	exchange->next = NULL;
	if (session->last)
		session->last->next = exchange;
	else
		session->first = exchange;
	session->last = exchange;
	session->outstanding++;
	session->outstanding_bytes += exchange->body.len;
}

/* The head's buffer moves when it grows; the headers that point into it move along. */
static void head_append(struct exchange *exchange, const char *bytes, size_t len, bool lower)
{
	struct buf *head = &exchange->head;
	struct http_request *request = &exchange->request;
	if (!len)
		return;
	if (head->cap - head->len < len) {
		struct buf grown = { 0 };
		buf_room(&grown, head->len + len < 512 ? 512 : (head->len + len) * 2);
		buf_bytes(&grown, head->ptr, head->len);
		for (size_t i = 0; i < request->header_count; i++) {
			request->headers[i].name.ptr = grown.ptr + (request->headers[i].name.ptr - head->ptr);
			request->headers[i].value.ptr = grown.ptr + (request->headers[i].value.ptr - head->ptr);
		}
		buf_free(head);
		*head = grown;
	}
	char *to = head->ptr + head->len;
	if (!lower)
		memcpy(to, bytes, len);
	else
		for (size_t i = 0; i < len; i++)
			to[i] = (char)(bytes[i] >= 'A' && bytes[i] <= 'Z' ? bytes[i] | 0x20 : bytes[i]);
	head->len += len;
}

/* Parser callbacks. */

static int stop(struct http_session *session, int status, const char *code, const char *detail)
{
	session->refuse_status = status;
	session->refuse_code = code;
	session->refuse_detail = detail;
	return HPE_USER;
}

static int on_message_begin(llhttp_t *parser)
{
	struct http_session *session = parser->data;
	ASSERT(!session->current);
	session->current = exchange_take(session);
	session->target_len = 0;
	session->phase = HTTP_IN_HEAD;
	return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
	struct http_session *session = parser->data;
	if (session->target_len + len > HTTP_TARGET_MAX)
		return stop(session, 414, "target_too_long", "the request target is longer than 8 KiB");
	head_append(session->current, at, len, false);
	session->target_len += len;
	return 0;
}

/* Pieces of a name gather at the end of the head; field_complete makes a header of them. */
static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
	struct http_session *session = parser->data;
	struct http_request *request = &session->current->request;
	if (session->phase == HTTP_IN_BODY)
		return 0;              /* a trailer: of no interest, and never merged with the headers */
	if (request->header_count == HTTP_HEADERS_COUNT_MAX)
		return stop(session, 431, "too_many_headers", "the request has more than 100 header lines");
	head_append(session->current, at, len, true);
	return 0;
}

static int on_header_field_complete(llhttp_t *parser)
{
	struct http_session *session = parser->data;
	struct http_request *request = &session->current->request;
	struct buf *head = &session->current->head;
	if (session->phase == HTTP_IN_BODY)
		return 0;
	size_t start = session->target_len;
	if (request->header_count) {
		struct http_header *before = &request->headers[request->header_count - 1];
		start = (size_t)(before->value.ptr - head->ptr) + before->value.len;
	}
	if (head->len == start)
		return stop(session, 400, "malformed_request", "a header line has no name");
	struct http_header *header = &request->headers[request->header_count++];
	header->name = (struct str){ head->ptr + start, head->len - start };
	header->value = (struct str){ head->ptr + head->len, 0 };
	return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
	struct http_session *session = parser->data;
	struct http_request *request = &session->current->request;
	if (session->phase == HTTP_IN_BODY)
		return 0;
	ASSERT(request->header_count);
	head_append(session->current, at, len, false);
	request->headers[request->header_count - 1].value.len += len;
	return 0;
}

static int on_header_value_complete(llhttp_t *parser)
{
	struct http_session *session = parser->data;
	if (session->phase == HTTP_IN_BODY)
		return 0;
	struct str *value = &session->current->request.headers[session->current->request.header_count - 1].value;
	while (value->len && (value->ptr[value->len - 1] == ' ' || value->ptr[value->len - 1] == '\t'))
		value->len--;
	session->current->head.len = (size_t)(value->ptr - session->current->head.ptr) + value->len;
	return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
	struct http_session *session = parser->data;
	parser->upgrade = 0;           /* an Upgrade is not taken up: the request is a plain one */
	session->paused_head = true;
	return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct http_session *session = parser->data;
	struct buf *body = &session->current->body;
	if (len > session->options.body_max - body->len)
		return stop(session, 413, "body_too_large", "the request body is larger than the limit of this server");
	session->current->wants_continue = false;
	buf_bytes(body, at, len);
	return 0;
}

/* A chunk that announces more than may come is refused before it does. */
static int on_chunk_header(llhttp_t *parser)
{
	struct http_session *session = parser->data;
	if (parser->content_length > session->options.body_max - session->current->body.len)
		return stop(session, 413, "body_too_large", "the request body is larger than the limit of this server");
	return 0;
}

static int on_message_complete(llhttp_t *parser)
{
	struct http_session *session = parser->data;
	session->paused_end = true;
	return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
	.on_message_begin = on_message_begin,
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_field_complete = on_header_field_complete,
	.on_header_value = on_header_value,
	.on_header_value_complete = on_header_value_complete,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_chunk_header = on_chunk_header,
	.on_message_complete = on_message_complete,
};

/* Refusing. */

static const char allowed[] = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";

static void refuse(struct http_session *session, int status, const char *code, const char *detail)
{
	struct exchange *exchange = session->current ? session->current : exchange_take(session);
	ASSERT(!session->ended);
	session->current = NULL;
	session->ended = session->refused = true;
	session->phase = HTTP_IDLE;
	session->held.len = 0;
	exchange->request.header_count = 0;
	exchange->wants_continue = false;
	exchange->close = true;
	exchange->body.len = 0;
	enqueue(session, exchange);
	http_problem(&exchange->request, status, code, NULL, status == 405 ? allowed : NULL, "%s", detail);
}

/* What llhttp found wrong, as a status.  `at` is the offending byte, NULL at the end of the input. */
static void refuse_parser(struct http_session *session, llhttp_errno_t error, const char *at)
{
	const char *reason = llhttp_get_error_reason(&session->parser);
	if (!reason)
		reason = "";
	switch (error) {
	case HPE_CB_CHUNK_HEADER:
	case HPE_USER:
		refuse(session, session->refuse_status, session->refuse_code, session->refuse_detail);
		return;
	case HPE_INVALID_METHOD:
		if (at && is_token((unsigned char)*at))
			refuse(session, 501, "unknown_method", "the request method is not known");
		else
			refuse(session, 400, "malformed_request", "the bytes received are not an HTTP request");
		return;
	case HPE_PAUSED_H2_UPGRADE:
		refuse(session, 505, "unsupported_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
		return;
	case HPE_INVALID_VERSION:
		if (strstr(reason, "CR") || strstr(reason, "LF"))
			break;
		refuse(session, 505, "unsupported_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
		return;
	case HPE_INVALID_CONTENT_LENGTH:
		if (!strstr(reason, "overflow"))
			break;
		refuse(session, 413, "body_too_large", "the request body is larger than the limit of this server");
		return;
	case HPE_INVALID_TRANSFER_ENCODING:
		if (strstr(reason, "Content-Length"))
			break;
		refuse(session, 501, "unsupported_coding", "no transfer coding but chunked is supported");
		return;
	default:
		break;
	}
	char detail[160];
	snprintf(detail, sizeof detail, "malformed request: %.120s", *reason ? reason : llhttp_errno_name(error));
	refuse(session, 400, "malformed_request", detail);
}

/* The loop. */

static void send_continue(struct http_session *session)
{
	if (session->first || !session->current || !session->current->wants_continue)
		return;
	session->current->wants_continue = false;
	buf_lit(&session->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void head_done(struct http_session *session, bool body_is_here)
{
	struct exchange *exchange = session->current;
	uint8_t major = llhttp_get_http_major(&session->parser), minor = llhttp_get_http_minor(&session->parser);
	struct head_verdict verdict = { 0 };
	if (major != 1 || minor > 1) {
		refuse(session, 505, "unsupported_version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
		return;
	}
	head_check(&exchange->request, (llhttp_method_t)llhttp_get_method(&session->parser),
		   (struct str){ exchange->head.ptr, session->target_len }, minor == 0, session->options.body_max, &verdict);
	if (verdict.status) {
		refuse(session, verdict.status, verdict.code, verdict.detail);
		return;
	}
	exchange->wants_continue = verdict.wants_continue && !body_is_here;
	exchange->close = !llhttp_should_keep_alive(&session->parser);
	exchange->keep_alive = minor == 0 && !exchange->close;
	if (verdict.length)
		buf_room(&exchange->body, verdict.length < RESERVE_MAX ? verdict.length : RESERVE_MAX);
	session->phase = HTTP_IN_BODY;
	session->raw = 0;
	send_continue(session);
}

static void message_done(struct http_session *session)
{
	struct exchange *exchange = session->current;
	session->current = NULL;
	session->phase = HTTP_IDLE;
	session->raw = 0;
	exchange->wants_continue = false;
	if (exchange->body.len)
		exchange->request.body = buf_view(&exchange->body);
	exchange->close |= session->shutdown;
	session->ended = exchange->close;
	enqueue(session, exchange);
	session->options.on_request(session->options.context, &exchange->request);
}

static bool pipeline_full(const struct http_session *session)
{
	return session->outstanding >= HTTP_PIPELINE_MAX || session->outstanding_bytes > session->options.body_max;
}

/* Runs input through the parser until it is used up, the pipeline is full, or no more is taken.  Returns how much was
 * used. */
static size_t consume(struct http_session *session, const char *bytes, size_t len)
{
	size_t used = 0;
	bool again = false;            /* the parser has something to say without another byte */
	ASSERT(!session->parsing);
	session->parsing = true;
	while ((used < len || again) && !session->ended) {
		const char *from = bytes + used;
		size_t slice = len - used;
		bool in_head = session->phase != HTTP_IN_BODY;
		if (session->phase == HTTP_IDLE && pipeline_full(session))
			break;
		if (in_head && slice > HTTP_HEADERS_MAX + 1 - session->raw)
			slice = HTTP_HEADERS_MAX + 1 - session->raw;
		again = session->paused_head = session->paused_end = false;
		llhttp_errno_t error = llhttp_execute(&session->parser, from, slice);
		size_t taken = error == HPE_OK ? slice : (size_t)(llhttp_get_error_pos(&session->parser) - from);
		ASSERT(taken <= slice);
		used += taken;
		session->raw += taken;
		if (error != HPE_OK && error != HPE_PAUSED) {
			refuse_parser(session, error, taken < slice ? from + taken : NULL);
		} else if (in_head && session->raw > HTTP_HEADERS_MAX) {
			refuse(session, 431, "headers_too_large", "request line and headers are larger than 32 KiB");
		} else if (error == HPE_PAUSED) {
			llhttp_resume(&session->parser);
			if (session->paused_head)
				head_done(session, used < len);
			else if (session->paused_end)
				message_done(session);
			again = session->paused_head;
		} else if (session->phase == HTTP_IN_BODY &&
			   session->raw > HTTP_HEADERS_MAX + FRAMING_FACTOR * (uint64_t)(session->current->body.len + 1)) {
			refuse(session, 400, "malformed_request", "the chunks' framing is out of proportion");
		}
	}
	session->parsing = false;
	if (session->shutdown && !session->current)
		session->ended = true;
	return used;
}

static void consume_held(struct http_session *session)
{
	if (!session->held.len || session->ended || pipeline_full(session))
		return;
	size_t used = consume(session, session->held.ptr, session->held.len);
	if (session->ended)
		session->held.len = 0;
	if (session->held.len) {
		memmove(session->held.ptr, session->held.ptr + used, session->held.len - used);
		session->held.len -= used;
	}
	if (!session->held.len)
		buf_free(&session->held);
}

static void finish(struct http_session *session)
{
	if (session->current)
		exchange_release(session, session->current);
	session->current = NULL;
	session->phase = HTTP_IDLE;
	session->ended = true;
}

/* The session. */

struct http_session *http_session_new(const struct http_options *options)
{
	struct http_session *session = mem_zalloc(sizeof *session);
	ASSERT(options->on_request);
	session->options = *options;
	if (!session->options.body_max)
		session->options.body_max = BODY_MAX_DEFAULT;
	llhttp_init(&session->parser, HTTP_REQUEST, &parser_settings);
	session->parser.data = session;
	return session;
}

void session_destroy(struct http_session *session)
{
	struct exchange *lists[] = { session->first, session->pool, session->current };
	ASSERT(!session->parsing);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		for (struct exchange *exchange = lists[i], *next; exchange; exchange = next) {
			next = exchange->next;
			exchange_destroy(exchange);
		}
	buf_free(&session->out);
	buf_free(&session->held);
	mem_free(session);
}

void http_session_free(struct http_session *session)
{
	if (session)
		session_destroy(session);
}

void http_session_detach(struct http_session *session)
{
	ASSERT(!session->parsing && !session->detached);
	session->detached = session->ended = true;
	if (!session->outstanding)
		session_destroy(session);
}

void *http_session_user(const struct http_session *session)
{
	return session->user;
}

void http_session_set_user(struct http_session *session, void *user)
{
	session->user = user;
}

bool http_session_feed(struct http_session *session, const char *bytes, size_t len)
{
	ASSERT(!session->detached);
	if (session->ended)
		return false;
	if (session->held.len) {
		buf_bytes(&session->held, bytes, len);
		consume_held(session);
	} else if (len) {
		size_t used = consume(session, bytes, len);
		if (used < len && !session->ended)
			buf_bytes(&session->held, bytes + used, len - used);
	}
	return !session->ended;
}

bool http_session_wants_read(const struct http_session *session)
{
	return !session->ended && !session->held.len && !(session->phase == HTTP_IDLE && pipeline_full(session));
}

size_t http_session_outstanding(const struct http_session *session)
{
	return session->outstanding;
}

bool http_session_done(const struct http_session *session)
{
	return session->ended && !session->outstanding;
}

bool http_session_refused(const struct http_session *session)
{
	return session->refused;
}

enum http_phase http_session_phase(const struct http_session *session)
{
	return session->phase == HTTP_IDLE && session->raw ? HTTP_IN_HEAD : session->phase;
}

void http_session_shutdown(struct http_session *session)
{
	session->shutdown = true;
	if (!session->current && !session->held.len)
		session->ended = true;
}

void http_session_end(struct http_session *session)
{
	session->eof = true;           /* where input is held, whole requests may be in it: http_session_output ends it */
	if (!session->ended && !session->held.len)
		finish(session);
}

void http_session_timeout(struct http_session *session)
{
	ASSERT(!session->parsing);
	if (!session->ended)
		refuse(session, 408, "request_timeout", "the request did not arrive in time");
}

size_t http_session_output(struct http_session *session, struct buf *out)
{
	ASSERT(!session->detached);
	size_t moved, left;
	do {
		left = session->held.len;
		consume_held(session);
	} while (session->held.len && session->held.len < left);
	if (session->eof && !session->ended && !session->held.len)
		finish(session);
	send_continue(session);
	moved = session->out.len;
	if (!out->len) {
		struct buf swap = *out;
		*out = session->out;
		session->out = swap;
	} else {
		buf_bytes(out, session->out.ptr, session->out.len);
		session->out.len = 0;
	}
	if (!session->out.len && session->out.cap > KEEP_OUT_MAX)
		buf_free(&session->out);
	return moved;
}
