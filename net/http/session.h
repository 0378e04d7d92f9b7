// SPDX-License-Identifier: Apache-2.0
/* session.h - what http.c (receiving) and response.c (answering) share; private to net/http.
 *
 * A session keeps its exchanges, a request with its answer each, in a queue in the order of the requests.  The answer
 * of the first is written straight to session->out; that of a later one waits in its exchange until those before it
 * have left.
 *
 * Invariants: `outstanding` counts the queue's exchanges that are not answered; the first of the queue is never
 * answered; `current`, the request being received, is not in the queue; once `ended`, no input is taken.
 */
#ifndef NET_HTTP_SESSION_H
#define NET_HTTP_SESSION_H

#include <llhttp.h>

#include "net/http/http.h"

struct exchange {
	struct http_request request;   /* first: http_request.internal points here */
	struct exchange *next;
	struct buf head;               /* target, header names and values */
	struct buf body;
	struct buf response;           /* bytes of an answer that must wait for earlier ones */
	bool answered;
	bool close;                    /* the connection closes behind this answer */
	bool keep_alive;               /* HTTP/1.0 that asked for it: say so */
	bool wants_continue;           /* a "100 Continue" is owed unless the body comes first */
};

struct http_session {
	llhttp_t parser;
	struct http_options options;
	void *user;
	struct exchange *first, *last; /* the queue */
	struct exchange *current;      /* being received; NULL between requests */
	struct exchange *pool;         /* free exchanges, at most POOL_MAX */
	size_t pool_count;
	size_t outstanding;
	uint64_t outstanding_bytes;    /* bodies of the outstanding requests */
	uint64_t raw;                  /* bytes received of the current head, or of the current body's framing and content */
	struct buf out;                /* answers, ready to be sent */
	struct buf held;               /* input that waits for room in the pipeline */
	uint64_t target_len;           /* bytes at the start of current->head */
	enum http_phase phase;         /* HTTP_IDLE only while raw is 0 */
	int refuse_status;             /* set by a parser callback that stops the parser */
	const char *refuse_code, *refuse_detail;
	bool paused_head, paused_end;  /* why the parser stopped */
	bool parsing;                  /* inside the parser loop: callbacks may answer, nobody may free */
	bool ended;                    /* no more input is taken */
	bool refused;                  /* ended by an error */
	bool shutdown;                 /* end after the request being received */
	bool eof;                      /* the peer sends no more */
	bool detached;
};

/* What head.c makes of a complete head. */
struct head_verdict {
	int status;                    /* 0: it is in order; otherwise the refusal */
	const char *code, *detail;
	uint64_t length;               /* of Content-Length, 0 where there is none */
	bool wants_continue;
};

/* Sets the request's method, path and query too.  `old` is HTTP/1.0. */
void head_check(struct http_request *request, llhttp_method_t method, struct str target, bool old, uint64_t body_max,
		struct head_verdict *verdict);

/* Gives the memory of an exchange that has left the queue back to the pool. */
void exchange_release(struct http_session *session, struct exchange *exchange);
void session_destroy(struct http_session *session);

#endif
