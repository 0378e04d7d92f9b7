// SPDX-License-Identifier: Apache-2.0
/* server.c - connections: libuv handles around sessions of either protocol.
 *
 * A connection becomes dirty when something about it may have changed (input, an answer, a finished write, a pause);
 * flushing looks at each dirty connection once and does what its state asks for: write, start or stop reading, close.
 * So nothing is written or closed from within a session's callbacks.
 *
 * Life of a connection: open -> lingering (an error was answered while input may be unread: our side is shut down and
 * input is thrown away for a moment, or the answer would be lost to a reset) -> closing -> freed in the close callback.
 *
 * Invariants: a connection that is neither lingering nor closing has a session; one write request at most is under way
 * per connection, over `sending`; server->connections counts those that are not freed; dirty ones are not closing.
 */
#include "net/loop/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/loop/protocol.h"

enum {
	CONNECTIONS_MAX_DEFAULT = 10000,
	IDLE_MS_DEFAULT = 75 * 1000,
	STALL_MS_DEFAULT = 30 * 1000,
	LINGER_MS = 2000,
	TICK_MS = 1000,
	BACKLOG = 1024,
	READ_SIZE = 64 * 1024,
	PROGRESS_MIN = 1024            /* bytes of a body within stall_ms that count as progress */
};

struct connection {
	uv_tcp_t tcp;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct server *server;
	struct connection *next, *prev, *next_dirty;
	const struct protocol *protocol;
	void *session;                 /* of the protocol; NULL once closing or lingering */
	struct buf pending;            /* unsent, not yet given to libuv */
	struct buf sending;            /* given to libuv */
	size_t sent_mark;              /* bytes left in libuv's queue at the last tick that saw progress */
	uint64_t active_ms;            /* when something last happened */
	uint64_t phase_ms;             /* when the current phase, or its last window of progress, began */
	size_t phase_bytes;            /* received since phase_ms */
	enum http_phase phase;
	unsigned listener;             /* its index */
	bool dirty, reading, writing, lingering, closing;
};

static const struct protocol *const protocols[SERVER_PROTOCOLS] = { &http_protocol, &rpc_protocol };

struct listener {
	uv_tcp_t tcp;
	struct server *server;
	enum server_protocol protocol;
	bool open;
};

struct server {
	uv_loop_t *loop;
	struct server_options options;
	struct http_options http;      /* the owner's */
	struct rpc_options rpc;        /* likewise */
	struct rpc_pool *pool;         /* memory of RPC's sessions */
	struct listener listeners[SERVER_LISTENERS_MAX];
	size_t listener_count;
	uv_check_t check;
	uv_prepare_t prepare;
	uv_timer_t timer;
	struct connection *list, *dirty;
	size_t connections;
	size_t handles;                /* our own, not the connections' */
	struct buf refusals[SERVER_PROTOCOLS]; /* the answer to a connection too many */
	uint64_t refused_logged_ms;
	void (*on_closed)(void *context);
	void *closed_context;
	bool paused, draining, closing, flushing, closed;
	char input[READ_SIZE];         /* of the read at hand, where the session has no room of its own: one at a time */
};

static void connection_dirty(struct connection *connection)
{
	struct server *server = connection->server;
	if (connection->dirty || connection->closing)
		return;
	connection->dirty = true;
	connection->next_dirty = server->dirty;
	server->dirty = connection;
}

/* What the sessions call. */

static void phase_restart(struct connection *connection)
{
	connection->phase_ms = uv_now(connection->server->loop);
	connection->phase_bytes = 0;
}

static void on_request(void *context, struct http_request *request)
{
	struct server *server = context;
	struct connection *connection = http_session_user(request->session);
	phase_restart(connection);
	request->listener = connection->listener;
	request->started_ns = uv_hrtime();
	server->http.on_request(server->http.context, request);
}

static void on_ready(void *context, struct http_session *session)
{
	struct server *server = context;
	connection_dirty(http_session_user(session));
	if (server->http.on_ready)
		server->http.on_ready(server->http.context, session);
}

static void on_answered(void *context, const struct http_request *request, int status)
{
	struct server *server = context;
	unsigned class = status < 300 ? METRIC_2XX : status < 400 ? METRIC_3XX : status < 500 ? METRIC_4XX : METRIC_5XX;
	metric_add_label(METRIC_HTTP_REQUESTS, class, 1);
	if (request->started_ns)
		metric_observe_ns(METRIC_HTTP_REQUEST_SECONDS, uv_hrtime() - request->started_ns);
	if (server->http.on_answered)
		server->http.on_answered(server->http.context, request, status);
}

static void on_rpc_request(void *context, struct rpc_request *request)
{
	struct server *server = context;
	phase_restart(rpc_session_user(request->session));
	request->started_ns = uv_hrtime();
	server->rpc.on_request(server->rpc.context, request);
}

static void on_rpc_ready(void *context, struct rpc_session *session)
{
	struct server *server = context;
	connection_dirty(rpc_session_user(session));
	if (server->rpc.on_ready)
		server->rpc.on_ready(server->rpc.context, session);
}

static void on_rpc_ended(void *context, const struct rpc_request *request)
{
	struct server *server = context;
	metric_add_label(METRIC_RPC_REQUESTS, request->error_code ? METRIC_ANSWER_ERROR : METRIC_ANSWER_RESULT, 1);
	if (request->started_ns)
		metric_observe_ns(METRIC_RPC_REQUEST_SECONDS, uv_hrtime() - request->started_ns);
	if (server->rpc.on_ended)
		server->rpc.on_ended(server->rpc.context, request);
}

/* Closing. */

static void handle_closed(struct server *server)
{
	ASSERT(server->handles);
	if (--server->handles == 0) {
		server->closed = true;
		if (server->on_closed)
			server->on_closed(server->closed_context);
	}
}

static void on_handle_closed(uv_handle_t *handle)
{
	handle_closed(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;
	handle_closed(listener->server);
}

/* Once the last connection of a draining server is gone, its own handles go. */
static void close_when_drained(struct server *server)
{
	if (!server->draining || server->closing || server->connections)
		return;
	server->closing = true;
	uv_close((uv_handle_t *)&server->check, on_handle_closed);
	uv_close((uv_handle_t *)&server->prepare, on_handle_closed);
	uv_close((uv_handle_t *)&server->timer, on_handle_closed);
}

static void on_connection_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	struct server *server = connection->server;
	ASSERT(!connection->dirty && !connection->session);
	buf_free(&connection->pending);
	buf_free(&connection->sending);
	mem_free(connection);
	server->connections--;
	close_when_drained(server);
}

static void undirty(struct connection *connection)
{
	if (!connection->dirty)
		return;
	for (struct connection **at = &connection->server->dirty; *at; at = &(*at)->next_dirty)
		if (*at == connection) {
			*at = connection->next_dirty;
			break;
		}
	connection->dirty = false;
}

static void connection_close(struct connection *connection)
{
	struct server *server = connection->server;
	if (connection->closing)
		return;
	undirty(connection);
	connection->closing = true;
	if (connection->session)
		connection->protocol->detach(connection->session);
	connection->session = NULL;
	if (connection->prev)
		connection->prev->next = connection->next;
	else
		server->list = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	metric_add(connection->protocol->connections, -1);
	uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
}

/* Reading and writing. */

static void connection_read(struct connection *connection, bool wanted);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct connection *connection = handle->data;
	char *room = connection->server->input;
	size_t len = READ_SIZE;
	(void)suggested;
	if (connection->session && connection->protocol->room)
		connection->protocol->room(connection->session, &room, &len);
	*buf = uv_buf_init(room, (unsigned)len);
}

/* Keeps the times that on_tick judges by. */
static void note_progress(struct connection *connection, size_t received)
{
	uint64_t now = uv_now(connection->server->loop);
	enum http_phase phase = connection->protocol->phase(connection->session);
	connection->active_ms = now;
	connection->phase_bytes += received;
	if (phase != connection->phase || phase == HTTP_IDLE ||
	    (phase == HTTP_IN_BODY && connection->phase_bytes >= PROGRESS_MIN)) {
		connection->phase = phase;
		connection->phase_ms = now;
		connection->phase_bytes = 0;
	}
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
	struct connection *connection = stream->data;
	const struct protocol *protocol = connection->protocol;
	bool own_room = connection->session && protocol->room;
	if (count <= 0 && own_room)
		protocol->received(connection->session, buf->base, 0);
	if (count == 0 || connection->closing)
		return;
	if (connection->lingering) {
		if (count < 0)
			connection_close(connection);
		return;
	}
	if (count < 0 && count != UV_EOF) {
		connection_close(connection);
		return;
	}
	if (count == UV_EOF) {
		uv_read_stop(stream);
		connection->reading = false;
		protocol->end(connection->session);
	} else {
		protocol->received(connection->session, buf->base, (size_t)count);
		note_progress(connection, (size_t)count);
		/* Room is only asked for while it is wanted: not by the next read of this very turn either. */
		if (own_room && !protocol->wants_read(connection->session))
			connection_read(connection, false);
	}
	connection_dirty(connection);
}

static void on_written(uv_write_t *write, int status)
{
	struct connection *connection = write->data;
	connection->writing = false;
	connection->sending.len = 0;
	if (connection->sending.cap > SERVER_UNSENT_MAX)
		buf_free(&connection->sending);
	if (connection->closing)
		return;
	if (status < 0) {
		connection_close(connection);
		return;
	}
	connection->active_ms = uv_now(connection->server->loop);
	connection_dirty(connection);
}

/* Writes what is pending.  False where the connection broke. */
static bool connection_write(struct connection *connection)
{
	struct buf *pending = &connection->pending;
	uv_stream_t *stream = (uv_stream_t *)&connection->tcp;
	if (connection->writing || !pending->len)
		return true;
	uv_buf_t piece = uv_buf_init(pending->ptr, (unsigned)pending->len);
	int wrote = uv_try_write(stream, &piece, 1);
	if (wrote < 0 && wrote != UV_EAGAIN)
		return false;
	size_t done = wrote < 0 ? 0 : (size_t)wrote;
	if (done == pending->len) {
		pending->len = 0;
		if (pending->cap > READ_SIZE)
			buf_free(pending);
		return true;
	}
	struct buf swap = connection->sending;
	connection->sending = *pending;
	*pending = swap;
	piece = uv_buf_init(connection->sending.ptr + done, (unsigned)(connection->sending.len - done));
	connection->sent_mark = piece.len;
	connection->write.data = connection;
	if (uv_write(&connection->write, stream, &piece, 1, on_written) < 0)
		return false;
	connection->writing = true;
	return true;
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	(void)shutdown;
	(void)status;
}

static void connection_read(struct connection *connection, bool wanted)
{
	if (wanted == connection->reading)
		return;
	if (!wanted)
		uv_read_stop((uv_stream_t *)&connection->tcp);
	else if (uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) < 0)
		wanted = false;
	connection->reading = wanted;
	connection->phase_ms = connection->active_ms = uv_now(connection->server->loop);
}

static void connection_finish(struct connection *connection)
{
	bool unread = connection->protocol->unread(connection->session);
	if (!unread || uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown) < 0) {
		connection_close(connection);
		return;
	}
	connection->protocol->detach(connection->session);
	connection->session = NULL;
	connection->lingering = true;
	connection_read(connection, true);
	connection->active_ms = uv_now(connection->server->loop);
}

static size_t unsent(const struct connection *connection)
{
	size_t queued = connection->writing ? uv_stream_get_write_queue_size((const uv_stream_t *)&connection->tcp) : 0;
	return connection->pending.len + queued;
}

static void connection_flush(struct connection *connection)
{
	const struct protocol *protocol = connection->protocol;
	if (connection->lingering || connection->closing)
		return;
	/* What is left from before may itself be above the bound: it goes first, else nothing would ever move. */
	if (!connection_write(connection)) {
		connection_close(connection);
		return;
	}
	/* Taking output lets held input go on, which may bring output.  It ends: held input does not grow here. */
	while (unsent(connection) <= SERVER_UNSENT_MAX) {
		size_t moved = protocol->output(connection->session, &connection->pending);
		if (!connection_write(connection)) {
			connection_close(connection);
			return;
		}
		if (!moved)
			break;
	}
	if (protocol->done(connection->session) && !unsent(connection) && !connection->writing) {
		connection_finish(connection);
		return;
	}
	connection_read(connection, !connection->server->paused && protocol->wants_read(connection->session) &&
				    unsent(connection) <= SERVER_UNSENT_MAX);
}

void server_flush(struct server *server)
{
	if (server->flushing)
		return;
	server->flushing = true;
	while (server->dirty) {
		struct connection *connection = server->dirty;
		server->dirty = connection->next_dirty;
		connection->dirty = false;
		connection_flush(connection);
	}
	server->flushing = false;
}

static void on_check(uv_check_t *check)
{
	server_flush(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
	server_flush(prepare->data);
}

/* Time. */

static void tick_connection(struct server *server, struct connection *connection, uint64_t now)
{
	uint64_t stall = server->options.stall_ms;
	if (connection->lingering) {
		if (now - connection->active_ms >= LINGER_MS)
			connection_close(connection);
		return;
	}
	if (connection->writing) {
		size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
		if (left != connection->sent_mark) {
			connection->sent_mark = left;
			connection->active_ms = now;
		} else if (now - connection->active_ms >= stall) {
			connection_close(connection);
		}
		return;
	}
	const struct protocol *protocol = connection->protocol;
	size_t outstanding = protocol->outstanding(connection->session);
	enum http_phase phase = protocol->phase(connection->session);
	if (!connection->reading || server->paused)
		return;
	if (phase == HTTP_IDLE && !outstanding) {
		if (now - connection->active_ms >= server->options.idle_ms) {
			protocol->shutdown(connection->session);
			connection_dirty(connection);
		}
	} else if (phase != HTTP_IDLE && now - connection->phase_ms >= stall) {
		protocol->timeout(connection->session);
		connection_dirty(connection);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct server *server = timer->data;
	uint64_t now = uv_now(server->loop);
	uv_timeval64_t wall;
	if (uv_gettimeofday(&wall) == 0)
		http_set_date(wall.tv_sec);
	for (struct connection *connection = server->list, *next; connection; connection = next) {
		next = connection->next;
		tick_connection(server, connection, now);
	}
}

/* Accepting. */

static void on_refused_closed(uv_handle_t *handle)
{
	struct server *server = handle->data;
	mem_free(handle);
	server->connections--;
	close_when_drained(server);
}

static void refuse_connection(struct server *server, struct listener *listener)
{
	uv_tcp_t *tcp = mem_alloc(sizeof *tcp);
	const struct buf *refusal = &server->refusals[listener->protocol];
	uv_buf_t piece = uv_buf_init(refusal->ptr, (unsigned)refusal->len);
	uv_os_fd_t fd;
	uv_tcp_init(server->loop, tcp);
	tcp->data = server;
	server->connections++;         /* until its handle is closed */
	metric_add(protocols[listener->protocol]->refused, 1);
	if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)tcp) == 0) {
		uv_try_write((uv_stream_t *)tcp, &piece, 1);
		if (uv_fileno((uv_handle_t *)tcp, &fd) == 0)
			shutdown(fd, SHUT_WR);
	}
	uv_close((uv_handle_t *)tcp, on_refused_closed);
	uint64_t now = uv_now(server->loop);
	if (!server->refused_logged_ms || now - server->refused_logged_ms >= 10 * 1000) {
		server->refused_logged_ms = now;
		log_line(LOG_LEVEL_WARN, "connections_refused", "more than %zu connections: new ones are answered 503",
			 server->options.connections_max);
	}
}

static void session_open(struct connection *connection, enum server_protocol protocol)
{
	struct server *server = connection->server;
	connection->protocol = protocols[protocol];
	if (protocol == SERVER_RPC) {
		struct rpc_options options = { .frame_max = server->rpc.frame_max, .on_request = on_rpc_request,
					       .on_ready = on_rpc_ready, .on_ended = on_rpc_ended, .context = server };
		connection->session = rpc_session_new(&options, server->pool);
		rpc_session_set_user(connection->session, connection);
	} else {
		struct http_options options = { .body_max = server->http.body_max, .on_request = on_request,
						.on_ready = on_ready, .on_answered = on_answered, .context = server };
		connection->session = http_session_new(&options);
		http_session_set_user(connection->session, connection);
	}
	metric_add(connection->protocol->connections, 1);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct listener *listener = stream->data;
	struct server *server = listener->server;
	if (status < 0) {
		metric_add(protocols[listener->protocol]->refused, 1);
		log_line(LOG_LEVEL_WARN, "accept_failed", "cannot accept a connection: %s", uv_strerror(status));
		return;
	}
	if (server->connections >= server->options.connections_max || server->draining) {
		refuse_connection(server, listener);
		return;
	}
	struct connection *connection = mem_zalloc(sizeof *connection);
	connection->server = server;
	connection->listener = (unsigned)(listener - server->listeners);
	uv_tcp_init(server->loop, &connection->tcp);
	connection->tcp.data = connection;
	session_open(connection, listener->protocol);
	connection->next = server->list;
	if (server->list)
		server->list->prev = connection;
	server->list = connection;
	server->connections++;
	connection->active_ms = connection->phase_ms = uv_now(server->loop);
	if (uv_accept(stream, (uv_stream_t *)&connection->tcp) < 0) {
		connection_close(connection);
		return;
	}
	uv_tcp_nodelay(&connection->tcp, 1);
	connection_read(connection, !server->paused);
}

/* The server. */

static void write_refusals(struct server *server)
{
	static const char code[] = "too_many_connections", detail[] = "too many connections are open; try again soon";
	struct buf body = { 0 }, *out = &server->refusals[SERVER_HTTP];
	http_problem_json(&body, 503, code, NULL, detail, -1);
	buf_printf(out, "HTTP/1.1 503 %s\r\nContent-Type: application/problem+json\r\nContent-Length: %zu\r\n",
		   http_status_text(503), body.len);
	buf_lit(out, "Retry-After: 1\r\nConnection: close\r\n\r\n");
	buf_str(out, buf_view(&body));
	buf_free(&body);
	rpc_refusal(&server->refusals[SERVER_RPC], 503, code, detail);
}

struct server *server_new(uv_loop_t *loop, const struct server_options *options)
{
	struct server *server = mem_zalloc(sizeof *server);
	uv_timeval64_t wall;
	ASSERT(options->http.on_request);
	server->loop = loop;
	server->options = *options;
	server->http = options->http;
	server->rpc = options->rpc;
	server->pool = rpc_pool_new();
	if (!server->options.connections_max)
		server->options.connections_max = CONNECTIONS_MAX_DEFAULT;
	if (!server->options.idle_ms)
		server->options.idle_ms = IDLE_MS_DEFAULT;
	if (!server->options.stall_ms)
		server->options.stall_ms = STALL_MS_DEFAULT;
	write_refusals(server);
	signal(SIGPIPE, SIG_IGN);      /* a peer that is gone is an error of the write, not the end of the process */
	uv_check_init(loop, &server->check);
	uv_prepare_init(loop, &server->prepare);
	uv_timer_init(loop, &server->timer);
	server->check.data = server->prepare.data = server->timer.data = server;
	server->handles = 3;
	uv_check_start(&server->check, on_check);
	uv_prepare_start(&server->prepare, on_prepare);
	uint64_t tick = server->options.stall_ms < 4 * TICK_MS ? 1 + server->options.stall_ms / 4 : TICK_MS;
	uv_timer_start(&server->timer, on_tick, tick, tick);
	uv_unref((uv_handle_t *)&server->check);
	uv_unref((uv_handle_t *)&server->prepare);
	uv_unref((uv_handle_t *)&server->timer);
	if (uv_gettimeofday(&wall) == 0)
		http_set_date(wall.tv_sec);
	return server;
}

/* "host:port" or "[host]:port" into a socket address. */
static bool address_read(const char *address, struct sockaddr_storage *out)
{
	char host[64];
	const char *colon = strrchr(address, ':');
	char *end;
	if (!colon || colon[1] < '0' || colon[1] > '9')
		return false;
	unsigned long port = strtoul(colon + 1, &end, 10);
	size_t len = (size_t)(colon - address);
	if (*end || port > 65535 || len >= sizeof host)
		return false;
	memcpy(host, address, len);
	host[len] = '\0';
	if (!len || strcmp(host, "*") == 0)
		return uv_ip6_addr("::", (int)port, (struct sockaddr_in6 *)out) == 0;
	if (strcmp(host, "localhost") == 0)
		return uv_ip4_addr("127.0.0.1", (int)port, (struct sockaddr_in *)out) == 0;
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		return uv_ip6_addr(host + 1, (int)port, (struct sockaddr_in6 *)out) == 0;
	}
	return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out) == 0;
}

static void listen_error(int status, const char *address, const char *flag, char *error, size_t error_size)
{
	switch (status) {
	case UV_EADDRINUSE:
		snprintf(error, error_size, "address %s is already in use: stop the other program or choose another with %s",
			 address, flag);
		break;
	case UV_EACCES:
		snprintf(error, error_size, "address %s needs more rights: choose a port above 1023 with %s", address, flag);
		break;
	case UV_EADDRNOTAVAIL:
		snprintf(error, error_size, "address %s is none of this machine: choose another with %s", address, flag);
		break;
	default:
		snprintf(error, error_size, "cannot listen on %s: %s", address, uv_strerror(status));
	}
}

static int bound_port(const uv_tcp_t *tcp)
{
	struct sockaddr_storage name;
	int len = sizeof name;
	if (uv_tcp_getsockname(tcp, (struct sockaddr *)&name, &len) < 0)
		return 0;
	return name.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&name)->sin6_port)
					  : ntohs(((struct sockaddr_in *)&name)->sin_port);
}

int server_listen(struct server *server, enum server_protocol protocol, const char *address, const char *flag,
		  char *error, size_t error_size)
{
	struct sockaddr_storage name = { 0 };
	ASSERT(!server->draining);
	IMPLIES(protocol == SERVER_RPC, server->rpc.on_request);
	if (!address_read(address, &name)) {
		snprintf(error, error_size, "\"%s\" is no address: %s takes ADDRESS:PORT, such as 127.0.0.1:8000", address, flag);
		return -1;
	}
	if (server->listener_count == SERVER_LISTENERS_MAX) {
		snprintf(error, error_size, "no more than %d addresses can be listened on", SERVER_LISTENERS_MAX);
		return -1;
	}
	/* A failed one keeps its place, closed: its handle may not go before the loop has closed it. */
	struct listener *listener = &server->listeners[server->listener_count++];
	int status = uv_tcp_init(server->loop, &listener->tcp);
	listener->tcp.data = listener;
	listener->server = server;
	listener->protocol = protocol;
	server->handles++;
	listener->open = true;
	if (status == 0)
		status = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&name, 0);
	if (status == UV_EAFNOSUPPORT && (address[0] == ':' || address[0] == '*')) {
		uv_ip4_addr("0.0.0.0", ntohs(((struct sockaddr_in6 *)&name)->sin6_port), (struct sockaddr_in *)&name);
		status = uv_tcp_bind(&listener->tcp, (struct sockaddr *)&name, 0);
	}
	if (status == 0)
		status = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_connection);
	if (status == 0)
		return bound_port(&listener->tcp);
	listen_error(status, address, flag, error, error_size);
	listener->open = false;
	uv_close((uv_handle_t *)&listener->tcp, on_listener_closed);
	return -1;
}

void server_pause_reading(struct server *server, bool pause)
{
	if (server->paused == pause)
		return;
	server->paused = pause;
	for (struct connection *connection = server->list; connection; connection = connection->next)
		connection_dirty(connection);
}

size_t server_connections(const struct server *server)
{
	return server->connections;
}

size_t server_outstanding(const struct server *server)
{
	size_t sum = 0;
	for (const struct connection *connection = server->list; connection; connection = connection->next)
		sum += connection->session ? connection->protocol->outstanding(connection->session) : 0;
	return sum;
}

void server_drain(struct server *server, void (*on_closed)(void *context), void *context)
{
	if (server->draining)
		return;
	server->draining = true;
	server->on_closed = on_closed;
	server->closed_context = context;
	for (size_t i = 0; i < server->listener_count; i++)
		if (server->listeners[i].open) {
			server->listeners[i].open = false;
			uv_close((uv_handle_t *)&server->listeners[i].tcp, on_listener_closed);
		}
	for (struct connection *connection = server->list; connection; connection = connection->next)
		if (connection->session) {
			connection->protocol->shutdown(connection->session);
			connection_dirty(connection);
		}
	close_when_drained(server);
}

void server_abort(struct server *server)
{
	ASSERT(server->draining);
	for (struct connection *connection = server->list, *next; connection; connection = next) {
		next = connection->next;
		connection_close(connection);
	}
}

void server_free(struct server *server)
{
	if (!server)
		return;
	ASSERT(server->closed && !server->connections);
	for (size_t i = 0; i < SERVER_PROTOCOLS; i++)
		buf_free(&server->refusals[i]);
	rpc_pool_free(server->pool);
	mem_free(server);
}
