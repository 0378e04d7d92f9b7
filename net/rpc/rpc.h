// SPDX-License-Identifier: Apache-2.0
/* rpc.h - MessagePack-RPC for those who write methods: the request, the ways to answer it, the table of methods.
 *
 * The public format: request [0, msgid, method, params], response [1, msgid, error, result], notification [2, method,
 * params].  Params are an array; an error is the map {code, name, detail, index?, errors?}.  Replies may overtake.
 *
 * A method is a row of a table; its handler gets the request with its params where they were received (nothing is
 * copied: read them with net/rpc/read.h) and ends it exactly once, at once or later, on the loop's thread:
 *
 *     struct buf *out = rpc_reply_begin(request);       or  rpc_reply(request, packed, len);
 *     pack_map(out, 1);                                 or  rpc_error(request, 404, "book_unknown", 3, "unit %u …", u);
 *     pack_text(out, STR("lsn"));
 *     pack_u64(out, lsn);
 *     rpc_reply_end(request);
 *
 * Ending is right as well when the connection is gone, or when it was a notification: the answer is dropped then.  The
 * request and its bytes are gone afterwards.
 *
 * Bounds (all answered or held back, never lost): options->body_max bytes a frame, RPC_OBJECTS_MAX objects a frame,
 * RPC_DEPTH_MAX levels below params, RPC_OUTSTANDING_MAX requests or RPC_OUTSTANDING_BYTES of frames in work per
 * connection.
 */
#ifndef NET_RPC_RPC_H
#define NET_RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "net/rpc/pack.h"
#include "net/rpc/read.h"

enum {
	RPC_OBJECTS_MAX = 4 * 1024 * 1024,
	RPC_DEPTH_MAX = 32,            /* arrays and maps within each other; the params array is the first */
	RPC_OUTSTANDING_MAX = 1024,
	RPC_OUTSTANDING_BYTES = 64 * 1024 * 1024
};

struct app;
struct rpc_block;
struct rpc_method;
struct rpc_session;

/* One request.  Belongs to its session; lives until it is ended.  Texts and params are borrowed from its frame. */
struct rpc_request {
	struct rpc_session *session;
	const struct rpc_method *method;       /* set before its handler is called */
	struct str name;               /* of the method, as sent */
	const unsigned char *params;   /* the params array, its header included: one well-formed object */
	size_t params_len;             /* bytes */
	uint32_t param_count;          /* elements of that array */
	uint32_t msgid;                /* 0 for a notification */
	bool notification;             /* nobody waits for the answer */
	bool replying;                 /* between rpc_reply_begin and rpc_reply_end */
	uint32_t frame_len;            /* bytes of the whole frame */
	uint64_t started_ns;           /* uv_hrtime when it was complete */
	void *context;                 /* the handler's own; NULL at first */
	struct app *app;               /* set before the handler is called */
	/* private to session.c below */
	struct rpc_block *block;       /* where the frame lies; one reference */
	struct rpc_request *next;      /* in the list of free ones */
	int error_code;                /* 0: a result */
};

/* A row of a table of methods; a table ends with a NULL name. */
struct rpc_method {
	const char *name;              /* "ledger.create_transfers" */
	void (*handle)(struct app *app, struct rpc_request *request);
	const char *permission;        /* named from the start, enforced later: "ledger.write", "public" */
	const char *doc;               /* one line, for rpc.methods */
	const char *params;            /* JSON Schema of the params array (net/rpc/shape.h); NULL: the route says them */
	const void *data;              /* the handler's own, such as a route; NULL */
};

/* A cursor over the elements of params: request->param_count objects follow. */
struct rpc_reader rpc_params(const struct rpc_request *request);

/* The result is appended to the buffer that rpc_reply_begin gives: exactly one MessagePack object
 * (net/rpc/pack.h).  Until rpc_reply_end no other request is answered.  The buffer may hold other replies before
 * it: append only. */
struct buf *rpc_reply_begin(struct rpc_request *request);
void rpc_reply_end(struct rpc_request *request);
void rpc_reply(struct rpc_request *request, const void *packed, size_t len);   /* one object that is packed already */

/* An error {code, name, detail, index?}.  `code` is the HTTP status of the same refusal, or a number of the ledger's
 * refusals; `name` a stable word; `index` the row it is about, -1: none. */
void rpc_error(struct rpc_request *request, int code, const char *name, int64_t index, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* The same with an error object of one's own: append exactly one map, then rpc_reply_end. */
struct buf *rpc_error_begin(struct rpc_request *request, int code);

/* Tables of methods; methods.c lists them in `tables`. */
extern const struct rpc_method rpc_core_methods[];

/* Finds the handler and calls it, or answers method_unknown; counts the request into the app's bounds. */
void rpc_dispatch(struct app *app, struct rpc_request *request);
void rpc_ended(struct app *app, const struct rpc_request *request);        /* takes it out of them again */
/* Builds the index over all tables once at the start; stops the program on a double name. */
void rpc_methods_init(void);
/* NULL: unknown. */
const struct rpc_method *rpc_method_find(struct str name);
/* All of them, by name; there for as long as the process. */
const struct rpc_method *const *rpc_methods(size_t *count);

#endif
