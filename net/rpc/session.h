// SPDX-License-Identifier: Apache-2.0
/* session.h - MessagePack-RPC of one connection without I/O, for the owner of the connection.
 *
 * Bytes are received into the session's own memory: ask for room, read into it, say how much was read.  Complete
 * requests come out through on_request; answers collect in an output that the owner takes and sends.
 *
 * What is wrong with a message but well framed is answered with an error, and the connection goes on.  Broken
 * framing, a frame over the limit and a frame that does not arrive in time end it: a last [1, nil, {code, name,
 * detail}, nil] is sent, what was asked before is still answered, nothing more is read.
 *
 * Bounds: see rpc.h; beyond them rpc_session_wants_read is false, and so it is while OUTPUT_HOLD bytes of answers lie
 * there.  Memory: a frame gets at most twice what of it is there, or 1 MiB; an idle session holds none.
 */
#ifndef NET_RPC_SESSION_H
#define NET_RPC_SESSION_H

#include "net/rpc/rpc.h"

struct rpc_pool;

struct rpc_options {
	uint64_t frame_max;            /* bytes; default 16 MiB, below 2 GiB */
	/* Called for each complete request; it is ended now or later.  Returning does not end it. */
	void (*on_request)(void *context, struct rpc_request *request);
	/* May be NULL.  Output became available, or input can go on, outside of rpc_session_received and _output. */
	void (*on_ready)(void *context, struct rpc_session *session);
	/* May be NULL.  Called for each request as it ends, also when the session is detached: the context outlives them. */
	void (*on_ended)(void *context, const struct rpc_request *request);
	void *context;
};

/* Memory that the sessions of one loop share; it outlives them and their requests. */
struct rpc_pool *rpc_pool_new(void);
void rpc_pool_free(struct rpc_pool *pool);

struct rpc_session *rpc_session_new(const struct rpc_options *options, struct rpc_pool *pool);
/* The connection is gone: answers are dropped, on_ready is not called any more; frees itself with its last request. */
void rpc_session_detach(struct rpc_session *session);
void *rpc_session_user(const struct rpc_session *session);         /* the owner's own; NULL at first */
void rpc_session_set_user(struct rpc_session *session, void *user);

/* Room for the next read, never empty; good until the next call.  Each is followed by rpc_session_received. */
void rpc_session_room(struct rpc_session *session, unsigned char **room, size_t *len);
void rpc_session_received(struct rpc_session *session, size_t len);        /* 0: nothing came */

bool rpc_session_wants_read(const struct rpc_session *session);
size_t rpc_session_outstanding(const struct rpc_session *session);         /* requests not ended */
bool rpc_session_partial(const struct rpc_session *session);       /* a frame has begun and is not complete */
bool rpc_session_done(const struct rpc_session *session);  /* no input is taken, everything is answered */
bool rpc_session_unread(const struct rpc_session *session);        /* done, but input may be unread: close with care */
void rpc_session_shutdown(struct rpc_session *session);    /* finish what was received, the frame at hand included */
void rpc_session_end(struct rpc_session *session);         /* the peer sends no more: half a frame is dropped */
void rpc_session_timeout(struct rpc_session *session);     /* the peer is too slow: an error, then close */

/* Moves the answers to `out`; returns their bytes.  Input that waited goes on here, so on_request may be called. */
size_t rpc_session_output(struct rpc_session *session, struct buf *out);

/* An answer to nobody in particular: [1, nil, {code, name, detail}, nil]. */
void rpc_refusal(struct buf *out, int code, const char *name, const char *detail);

#endif
