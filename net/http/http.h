// SPDX-License-Identifier: Apache-2.0
/* http.h - HTTP/1.1 sessions without I/O: bytes in, requests out; responses in, bytes out.
 *
 * A session owns one connection's protocol state.  Requests may be pipelined; responses leave in the order of the
 * requests, whenever each of them is given.  Everything that could be used for request smuggling is refused and ends
 * the connection: both length headers, two Hosts, bare LF, obs-fold, bad chunk sizes, giant lengths, CONNECT, TRACE,
 * HTTP/2.0.
 *
 * Bounds: HTTP_HEADERS_MAX bytes of request line and headers (431), options->body_max (413), HTTP_PIPELINE_MAX requests
 * waiting for their answer (then http_session_wants_read is false).
 */
#ifndef NET_HTTP_HTTP_H
#define NET_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/fault.h"
#include "engine/base/str.h"

enum { HTTP_HEADERS_MAX = 32 * 1024, HTTP_HEADERS_COUNT_MAX = 100, HTTP_PIPELINE_MAX = 64, HTTP_TARGET_MAX = 8 * 1024 };

enum http_method {
	HTTP_GET_, HTTP_HEAD_, HTTP_POST_, HTTP_PUT_, HTTP_PATCH_, HTTP_DELETE_, HTTP_OPTIONS_, HTTP_METHOD_OTHER
};

struct http_header { struct str name, value; };            /* name lower-cased, value trimmed */

struct http_session;

/* One request.  Belongs to its session; lives until it is answered.  Texts are borrowed from it. */
struct http_request {
	struct http_session *session;
	enum http_method method;
	struct str method_text;
	struct str path;               /* percent-encoded, as sent, without the query */
	struct str query;              /* without '?', "" where absent */
	struct str body;
	struct http_header headers[HTTP_HEADERS_COUNT_MAX];
	size_t header_count;
	unsigned listener;             /* set by the owner of the session: through which of its listeners it came, from 0 */
	uint64_t started_ns;           /* set by the owner of the session when the request is handed out */
	void *context;                 /* the handler's own */
	/* private to http.c below */
	void *internal;
};

struct http_options {
	uint64_t body_max;             /* bytes; default 16 MiB */
	/* Called for each complete request; the handler answers now or later with http_respond.  Returning does not answer. */
	void (*on_request)(void *context, struct http_request *request);
	/* May be NULL.  Called by http_respond when output became available outside of http_session_feed and _output. */
	void (*on_ready)(void *context, struct http_session *session);
	/* May be NULL.  Called by http_respond for each answer, refusals included, before the request goes (for metrics). */
	void (*on_answered)(void *context, const struct http_request *request, int status);
	void *context;
};

enum http_phase { HTTP_IDLE, HTTP_IN_HEAD, HTTP_IN_BODY };   /* what of a request has been received so far */

struct http_session *http_session_new(const struct http_options *options);
void http_session_free(struct http_session *session);      /* with its outstanding requests: see http_session_detach */

/* The connection is gone.  Nothing is called back any more; http_respond drops its answer, and the session frees itself
 * with the last outstanding one (at once where there is none). */
void http_session_detach(struct http_session *session);
void *http_session_user(const struct http_session *session);               /* the owner's own; NULL at first */
void http_session_set_user(struct http_session *session, void *user);

/* The Date header of this thread's responses; call it once a second.  Without it no Date is sent. */
void http_set_date(int64_t unix_seconds);

/* Feeds received bytes.  Returns false when no more input is taken: the connection must close when http_session_done
 * holds and the output has been sent.  On an error the response (problem document) is queued behind earlier ones. */
bool http_session_feed(struct http_session *session, const char *bytes, size_t len);
bool http_session_wants_read(const struct http_session *session);
size_t http_session_outstanding(const struct http_session *session);       /* requests not yet answered */
/* True when everything was answered and the peer or we asked to close. */
bool http_session_done(const struct http_session *session);
void http_session_shutdown(struct http_session *session);  /* finish what is outstanding, answer "Connection: close" */
void http_session_end(struct http_session *session);       /* the peer sends no more: half a request is dropped */
void http_session_timeout(struct http_session *session);   /* the peer is too slow: 408 behind earlier answers, close */
enum http_phase http_session_phase(const struct http_session *session);
bool http_session_refused(const struct http_session *session);             /* ended by an error: input may be unread */

/* Moves ready response bytes (in order) to `out`. Returns the bytes moved.  Input that waited for room in the pipeline
 * is taken up again here, so on_request may be called. */
size_t http_session_output(struct http_session *session, struct buf *out);

/* Answers a request; the request is gone afterwards.  `headers` is NULL or "Name: value\r\n" lines.  HEAD gets the
 * length and no body.  Content-Length, Connection and Date are added.  `body` may be (part of) the request's own. */
void http_respond(struct http_request *request, int status, const char *content_type, const char *headers,
		  struct str body);

/* RFC 9457, as application/problem+json:
 * {"type":"/v1/problems/CODE","title":...,"status":...,"code":...,"detail":...,"errors":[...]}
 * `code` is a row of engine/base/problem_codes.h or the name of a refusal of the ledger; `faults` may be NULL. */
void http_problem(struct http_request *request, int status, const char *code, const struct faults *faults,
		  const char *headers, const char *format, ...) __attribute__((format(printf, 6, 7)));
void http_problem_json(struct buf *out, int status, const char *code, const struct faults *faults, const char *detail,
		       int64_t index /* row of a batch; -1: none */);
const char *http_status_text(int status);

/* The first header of that (lower-case) name, "" where absent. */
struct str http_request_header(const struct http_request *request, const char *name);
bool http_request_has_header(const struct http_request *request, const char *name);
/* Decoded value of a query parameter appended to `out`; false where absent; *bad is set on a malformed escape. */
bool http_query_get(struct str query, const char *name, struct buf *out, bool *bad);
bool http_percent_decode(struct str text, bool plus_is_space, struct buf *out);    /* false: malformed, or NUL */

/* Splits multipart/form-data: finds the part named `name` (or the first file part).  False: not multipart, malformed,
 * or there is no such part. */
bool http_multipart_find(struct str content_type, struct str body, const char *name, struct str *part);

#endif
