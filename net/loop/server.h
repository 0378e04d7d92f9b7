// SPDX-License-Identifier: Apache-2.0
/* server.h - TCP listeners and connections on a libuv loop, with a session of HTTP or of MessagePack-RPC on each.
 *
 * The owner gets complete requests through options.http.on_request and answers them with http_respond, or through
 * options.rpc.on_request and ends them as net/rpc/rpc.h says, at once or later, on the loop's thread.  What one turn of
 * the loop answers leaves in one write per connection: a session with output is put on a list, and server_flush (called
 * by the owner, and by the server before and after each poll) writes the list out.
 *
 * Bounds: connections_max connections (further ones are answered 503 and closed, counted); a connection with more than
 * SERVER_UNSENT_MAX unsent bytes is not read; server_pause_reading stops reading all of them.
 */
#ifndef NET_LOOP_SERVER_H
#define NET_LOOP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "net/http/http.h"
#include "net/rpc/session.h"

enum server_protocol { SERVER_HTTP, SERVER_RPC, SERVER_PROTOCOLS };

enum { SERVER_UNSENT_MAX = 1024 * 1024, SERVER_LISTENERS_MAX = 16 };

struct server;

struct server_options {
	struct http_options http;      /* on_ready and on_answered too; called after the server's own work */
	struct rpc_options rpc;        /* likewise; needed before SERVER_RPC is listened on */
	size_t connections_max;        /* of both protocols together; 0: 10,000 */
	uint64_t idle_ms;              /* a connection without a request is closed after this; 0: 75 s */
	uint64_t stall_ms;             /* headers must be complete, and a body or a write go on, within this; 0: 30 s */
};

struct server *server_new(uv_loop_t *loop, const struct server_options *options);

/* Listens on "127.0.0.1:8000", "[::1]:8000", "localhost:8000" or ":8000" (every address); port 0 takes a free one.
 * Returns the port, or -1 with a text for the operator in `error`, in which `flag` names the option to change (such as
 * "--http").  May be called several times; requests of HTTP say through which listener they came, in the order of the calls. */
int server_listen(struct server *server, enum server_protocol protocol, const char *address, const char *flag,
		  char *error, size_t error_size);

void server_pause_reading(struct server *server, bool pause);
void server_flush(struct server *server);                  /* writes what is ready; not within on_request */
size_t server_connections(const struct server *server);
size_t server_outstanding(const struct server *server);    /* requests of open connections that wait for their answer */

/* Stops listening, lets outstanding requests finish, closes.  `on_closed` is called once, from the loop, when every
 * handle of the server is closed; once every request of RPC has ended as well, the server may be freed.  Callable
 * at any time, also from within on_request. */
void server_drain(struct server *server, void (*on_closed)(void *context), void *context);
void server_abort(struct server *server);                  /* after server_drain: closes at once */
void server_free(struct server *server);                   /* only after on_closed, and after every RPC request */

#endif
