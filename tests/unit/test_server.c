// SPDX-License-Identifier: Apache-2.0
/* test_server.c - the TCP server over real sockets on the loopback address.
 *
 * A client thread talks with blocking sockets while the loop runs in the test's own thread; when the client has
 * finished, the server is drained, and the loop must come to its end by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/loop/server.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define CHECK(expression) ((expression) ? (void)0 : check_failed(#expression, __LINE__))

/* cmocka's own assertions only work in the test's thread. */
static _Noreturn void check_failed(const char *expression, int line)
{
	fprintf(stderr, "line %d: %s\n", line, expression);
	abort();
}

struct world {
	uv_loop_t loop;
	struct server *server;
	int port, rpc_port;
	void (*client)(struct world *world);
	pthread_t thread;
	uv_async_t finished, command;
	uv_timer_t later;
	void (*commanded)(struct world *world);
	struct http_request *waiting[64];
	struct rpc_request *calls[64];
	size_t count, call_count;
	bool closed;
	atomic_bool paused;            /* command_pause has run */
	size_t big;                    /* bytes of the answer to /big */
};

static void answer_later(uv_timer_t *timer)
{
	struct world *world = timer->data;
	for (size_t i = world->count; i-- > 0;)
		http_respond(world->waiting[i], 200, "text/plain", NULL, world->waiting[i]->path);
	world->count = 0;
	while (world->call_count)
		rpc_reply(world->calls[--world->call_count], "\x05", 1);
}

/* "later" is answered with 5 after a while, "big" with many bytes, everything else with its own name. */
static void on_call(void *context, struct rpc_request *request)
{
	struct world *world = context;
	if (str_eq(request->name, STR("later"))) {
		world->calls[world->call_count++] = request;
		uv_timer_start(&world->later, answer_later, 20, 0);
		return;
	}
	struct buf *out = rpc_reply_begin(request);
	if (str_eq(request->name, STR("big")))
		memset(pack_bin_room(out, world->big / 8), 'b', world->big / 8);
	else
		pack_text(out, request->name);
	rpc_reply_end(request);
}

static void on_request(void *context, struct http_request *request)
{
	struct world *world = context;
	if (str_eq(request->path, STR("/big"))) {
		char *big = mem_zalloc(world->big);
		memset(big, 'b', world->big);
		http_respond(request, 200, "text/plain", NULL, (struct str){ big, world->big });
		mem_free(big);
	} else if (str_eq(request->path, STR("/later"))) {
		world->waiting[world->count++] = request;
		uv_timer_start(&world->later, answer_later, 20, 0);
	} else {
		http_respond(request, 200, "text/plain", NULL, request->path);
	}
}

static void on_closed(void *context)
{
	struct world *world = context;
	world->closed = true;
	uv_close((uv_handle_t *)&world->finished, NULL);
	uv_close((uv_handle_t *)&world->command, NULL);
	uv_close((uv_handle_t *)&world->later, NULL);
}

static void on_finished(uv_async_t *async)
{
	struct world *world = async->data;
	server_drain(world->server, on_closed, world);
}

static void on_command(uv_async_t *async)
{
	struct world *world = async->data;
	world->commanded(world);
}

static void *client_main(void *context)
{
	struct world *world = context;
	world->client(world);
	uv_async_send(&world->finished);
	return NULL;
}

static void run(struct server_options options, void (*client)(struct world *), void (*commanded)(struct world *))
{
	char error[200] = "";
	struct world *world = mem_zalloc(sizeof *world);
	world->client = client;
	world->commanded = commanded;
	world->big = 32 * 1024 * 1024;
	uv_loop_init(&world->loop);
	uv_async_init(&world->loop, &world->finished, on_finished);
	uv_async_init(&world->loop, &world->command, on_command);
	uv_timer_init(&world->loop, &world->later);
	world->finished.data = world->command.data = world->later.data = world;
	options.http.on_request = on_request;
	options.http.context = world;
	options.rpc = (struct rpc_options){ .frame_max = 100000, .on_request = on_call, .context = world };
	world->server = server_new(&world->loop, &options);
	world->port = server_listen(world->server, SERVER_HTTP, "127.0.0.1:0", "--http", error, sizeof error);
	assert_string_equal(error, "");
	assert_true(world->port > 0);
	world->rpc_port = server_listen(world->server, SERVER_RPC, "127.0.0.1:0", "--rpc", error, sizeof error);
	assert_true(world->rpc_port > 0);
	assert_int_equal(pthread_create(&world->thread, NULL, client_main, world), 0);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	pthread_join(world->thread, NULL);
	assert_true(world->closed);
	server_free(world->server);
	assert_int_equal(uv_loop_close(&world->loop), 0);
	assert_int_equal(metric_value(METRIC_HTTP_CONNECTIONS, 0), 0);
	assert_int_equal(metric_value(METRIC_RPC_CONNECTIONS, 0), 0);
	mem_free(world);
}

static int dial_port(int port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval patience = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) == 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

static int dial(struct world *world)
{
	return dial_port(world->port);
}

static void say(int fd, const char *text)
{
	CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Reads until `end` comes (or the peer closes, where NULL), into a static buffer. */
static const char *hear(int fd, const char *end)
{
	static _Thread_local char text[65536];
	size_t len = 0;
	for (;;) {
		text[len] = '\0';
		if (end && strstr(text, end))
			return text;
		CHECK(len < sizeof text - 1);
		ssize_t got = recv(fd, text + len, sizeof text - 1 - len, 0);
		CHECK(got >= 0 && (got > 0 || !end));
		if (!got)
			return text;
		len += (size_t)got;
	}
}

static void client_basic(struct world *world)
{
	int fd = dial(world);
	say(fd, GET("/one"));
	CHECK(strstr(hear(fd, "/one"), "Date: "));
	say(fd, GET("/later") GET("/two") GET("/later") GET("/three"));
	const char *text = hear(fd, "/three");
	const char *first = strstr(text, "/later"), *two = strstr(text, "/two");
	CHECK(first && two && first < two && strstr(two, "/later"));
	say(fd, "BAD\r\n\r\n and more that nobody reads");
	CHECK(strstr(hear(fd, NULL), "HTTP/1.1 501 "));
	close(fd);
	fd = dial(world);
	say(fd, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	CHECK(strstr(hear(fd, NULL), "Connection: close\r\n"));
	close(fd);
	/* Half closed: what was asked is answered still. */
	fd = dial(world);
	say(fd, GET("/later") GET("/half"));
	shutdown(fd, SHUT_WR);
	CHECK(strstr(hear(fd, NULL), "/half"));
	close(fd);
	/* Gone before the answer. */
	fd = dial(world);
	say(fd, GET("/later") GET("/later"));
	usleep(5000);
	close(fd);
	usleep(60000);
}

static void test_basic(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_basic, NULL);
}

/* Reads slowly what is bigger than every buffer; meanwhile nobody else waits. */
static void client_big(struct world *world)
{
	static char sink[256 * 1024];
	int fd = dial(world), other = dial(world);
	size_t total = 0;
	say(fd, GET("/big") GET("/big") GET("/end"));
	usleep(50000);
	say(other, GET("/other"));
	hear(other, "/other");
	close(other);
	for (bool end = false; !end;) {
		ssize_t got = recv(fd, sink, sizeof sink, 0);
		CHECK(got > 0);
		total += (size_t)got;
		end = got >= 4 && memcmp(sink + got - 4, "/end", 4) == 0;
	}
	CHECK(total > 2 * world->big && total < 2 * world->big + 2000);
	/* A peer that never reads and goes away. */
	say(fd, GET("/big") GET("/big"));
	usleep(20000);
	close(fd);
}

static void test_backpressure(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_big, NULL);
}

/* Answers above the bound while an earlier one is still on its way: what waits is written when that is done.  Nothing is
 * read at first, so that the kernel's buffers fill up somewhere in the middle of an answer; the next one then waits. */
static void client_behind(struct world *world)
{
	enum { ASKED = 12 };
	static char sink[256 * 1024];
	int fd = dial(world), other = dial(world), small = 64 * 1024, one = 1;
	size_t total = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	world->big = SERVER_UNSENT_MAX + SERVER_UNSENT_MAX / 16;
	for (int i = 0; i < ASKED; i++) {
		say(fd, GET("/big"));
		say(other, GET("/other"));     /* the server has seen the one before when this is answered */
		hear(other, "/other");
	}
	say(fd, GET("/end"));
	for (bool end = false; !end;) {
		ssize_t got = recv(fd, sink, sizeof sink, 0);
		CHECK(got > 0);
		total += (size_t)got;
		end = got >= 4 && memcmp(sink + got - 4, "/end", 4) == 0;
	}
	CHECK(total > ASKED * world->big);
	close(other);
	close(fd);
}

static void test_behind(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_behind, NULL);
}

static void client_many(struct world *world)
{
	int fds[4];
	for (int i = 0; i < 3; i++) {
		fds[i] = dial(world);
		say(fds[i], GET("/in"));
		hear(fds[i], "/in");
	}
	int64_t before = metric_value(METRIC_HTTP_CONNECTIONS_REFUSED, 0);
	fds[3] = dial(world);
	const char *text = hear(fds[3], NULL);
	CHECK(strncmp(text, "HTTP/1.1 503 ", 13) == 0);
	const char *body = strstr(text, "\r\n\r\n") + 4;
	CHECK(strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10) == strlen(body));
	CHECK(metric_value(METRIC_HTTP_CONNECTIONS_REFUSED, 0) == before + 1);
	close(fds[3]);
	close(fds[0]);
	usleep(50000);
	fds[0] = dial(world);
	say(fds[0], GET("/again"));
	hear(fds[0], "/again");
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void test_bound(void **state)
{
	(void)state;
	run((struct server_options){ .connections_max = 3 }, client_many, NULL);
}

static void client_slow(struct world *world)
{
	int idle = dial(world), head = dial(world), body = dial(world), drip = dial(world), busy = dial(world);
	say(head, "GET / HTTP/1.1\r\nHost: a\r\n");
	say(body, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx");
	say(drip, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	for (int i = 0; i < 15; i++) {
		usleep(20000);
		if (send(drip, "y", 1, MSG_NOSIGNAL) < 0)
			break;
		say(busy, GET("/busy") "GET /bu");
		hear(busy, "/busy");
		say(busy, "sy HTTP/1.1\r\nHost: a\r\n\r\n");
		hear(busy, "/busy");
	}
	CHECK(strstr(hear(head, NULL), "HTTP/1.1 408 "));
	CHECK(strstr(hear(body, NULL), "HTTP/1.1 408 "));
	CHECK(strstr(hear(drip, NULL), "HTTP/1.1 408 "));
	CHECK(strcmp(hear(idle, NULL), "") == 0);
	close(idle);
	close(head);
	close(body);
	close(drip);
	close(busy);
}

static void test_timeouts(void **state)
{
	(void)state;
	run((struct server_options){ .idle_ms = 400, .stall_ms = 120 }, client_slow, NULL);
}

static void pause_for_a_while(uv_timer_t *timer)
{
	struct world *world = timer->data;
	server_pause_reading(world->server, false);
}

static void command_pause(struct world *world)
{
	server_pause_reading(world->server, true);
	uv_timer_start(&world->later, pause_for_a_while, 200, 0);
	atomic_store(&world->paused, true);
}

static void client_pause(struct world *world)
{
	int fd = dial(world);
	say(fd, GET("/before"));
	hear(fd, "/before");
	uv_async_send(&world->command);
	usleep(50000);
	uint64_t start = uv_hrtime();
	say(fd, GET("/after"));
	hear(fd, "/after");
	CHECK(uv_hrtime() - start > 100000000);
	close(fd);
}

static void test_pause(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_pause, command_pause);
}

/* Drained while a request waits: it is answered; idle connections are closed. */
static void client_drain(struct world *world)
{
	int busy = dial(world), idle = dial(world);
	say(idle, GET("/idle"));
	hear(idle, "/idle");
	say(busy, GET("/later"));
	usleep(5000);
	uv_async_send(&world->finished);
	CHECK(strstr(hear(busy, NULL), "/later"));
	CHECK(strcmp(hear(idle, NULL), "") == 0);
	close(busy);
	close(idle);
}

static void test_drain(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_drain, NULL);
}

/* ---- MessagePack-RPC ------------------------------------------------------------------------------------------- */

#define A_CALL "\x94\x00\x07\xa1" "a\x90"           /* [0, 7, "a", []] */
#define A_REPLY "\x94\x01\x07\xc0\xa1" "a"
#define LATER_CALL "\x94\x00\x08\xa5" "later\x90"
#define LATER_REPLY "\x94\x01\x08\xc0\x05"

static void put(int fd, const void *bytes, size_t len)
{
	CHECK(send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* Exactly these bytes come next. */
static void get(int fd, const void *bytes, size_t len)
{
	char got[4096];
	CHECK(len <= sizeof got);
	CHECK(recv(fd, got, len, MSG_WAITALL) == (ssize_t)len);
	CHECK(memcmp(got, bytes, len) == 0);
}

#define PUT(fd, literal) put((fd), "" literal, sizeof(literal) - 1)
#define GET_BACK(fd, literal) get((fd), "" literal, sizeof(literal) - 1)

/* Reads to the end; true if `text` is in what came (NULL: if nothing came). */
static bool ends_with_text(int fd, const char *text)
{
	char got[8192];
	size_t len = 0;
	for (;;) {
		ssize_t more = recv(fd, got + len, sizeof got - len, 0);
		CHECK(more >= 0);
		if (!more)
			break;
		len += (size_t)more;
	}
	return text ? memmem(got, len, text, strlen(text)) != NULL : len == 0;
}

static void client_rpc(struct world *world)
{
	int fd = dial_port(world->rpc_port), other = dial_port(world->rpc_port);
	PUT(fd, A_CALL);
	GET_BACK(fd, A_REPLY);
	PUT(fd, LATER_CALL A_CALL LATER_CALL A_CALL);
	GET_BACK(fd, A_REPLY A_REPLY);
	PUT(other, A_CALL);
	GET_BACK(other, A_REPLY);
	GET_BACK(fd, LATER_REPLY LATER_REPLY);
	/* Gone before the answer, in different ways. */
	PUT(fd, LATER_CALL LATER_CALL "\x94\x00");
	shutdown(fd, SHUT_WR);
	GET_BACK(fd, LATER_REPLY LATER_REPLY);
	CHECK(ends_with_text(fd, NULL));
	close(fd);
	PUT(other, LATER_CALL LATER_CALL);
	usleep(5000);
	close(other);
	usleep(60000);
	fd = dial_port(world->rpc_port);
	PUT(fd, LATER_CALL "\xc1" A_CALL);
	CHECK(ends_with_text(fd, "frame_broken"));
	close(fd);
}

static void test_rpc(void **state)
{
	(void)state;
	int64_t before = metric_value(METRIC_RPC_REQUESTS, METRIC_ANSWER_RESULT);
	run((struct server_options){ 0 }, client_rpc, NULL);
	assert_int_equal(metric_value(METRIC_RPC_REQUESTS, METRIC_ANSWER_RESULT) - before, 11);
	assert_true(metric_value(METRIC_RPC_REQUEST_SECONDS, 0) > 0);
}

/* Answers that nobody reads stop the requests, and nobody else waits. */
static void client_rpc_big(struct world *world)
{
	static char sink[256 * 1024];
	int fd = dial_port(world->rpc_port), other = dial_port(world->rpc_port);
	size_t total = 0, each = world->big / 8 + 5 + 4;
	for (int i = 0; i < 12; i++)
		PUT(fd, "\x94\x00\x01\xa3" "big\x90");
	usleep(50000);
	PUT(other, A_CALL);
	GET_BACK(other, A_REPLY);
	while (total < 12 * each) {
		ssize_t got = recv(fd, sink, sizeof sink, 0);
		CHECK(got > 0);
		total += (size_t)got;
	}
	CHECK(total == 12 * each);
	PUT(fd, A_CALL);
	GET_BACK(fd, A_REPLY);
	for (int i = 0; i < 12; i++)
		PUT(fd, "\x94\x00\x01\xa3" "big\x90");
	usleep(20000);
	close(fd);
	close(other);
}

static void test_rpc_backpressure(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_rpc_big, NULL);
}

static void client_rpc_many(struct world *world)
{
	int fds[4];
	for (int i = 0; i < 3; i++) {
		fds[i] = dial_port(i ? world->rpc_port : world->port);
		if (i)
			PUT(fds[i], A_CALL);
		else
			say(fds[i], GET("/in"));
		if (i)
			GET_BACK(fds[i], A_REPLY);
		else
			hear(fds[i], "/in");
	}
	int64_t before = metric_value(METRIC_RPC_CONNECTIONS_REFUSED, 0);
	fds[3] = dial_port(world->rpc_port);
	CHECK(ends_with_text(fds[3], "too_many_connections"));
	CHECK(metric_value(METRIC_RPC_CONNECTIONS_REFUSED, 0) == before + 1);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void test_rpc_bound(void **state)
{
	(void)state;
	run((struct server_options){ .connections_max = 3 }, client_rpc_many, NULL);
}

/* An idle connection is closed without a word, half a message that does not go on with one; a busy one stays. */
static void client_rpc_slow(struct world *world)
{
	int idle = dial_port(world->rpc_port), half = dial_port(world->rpc_port), busy = dial_port(world->rpc_port);
	PUT(half, A_CALL "\x94\x00\x01\xa1");
	for (int i = 0; i < 15; i++) {
		usleep(20000);
		PUT(busy, A_CALL "\x94\x00");
		GET_BACK(busy, A_REPLY);
		PUT(busy, "\x07\xa1" "a\x90");
		GET_BACK(busy, A_REPLY);
	}
	CHECK(ends_with_text(half, "request_timeout"));
	CHECK(ends_with_text(idle, NULL));
	close(idle);
	close(half);
	close(busy);
}

static void test_rpc_timeouts(void **state)
{
	(void)state;
	run((struct server_options){ .idle_ms = 600, .stall_ms = 250 }, client_rpc_slow, NULL);
}

static void client_rpc_pause(struct world *world)
{
	int fd = dial_port(world->rpc_port);
	PUT(fd, A_CALL);
	GET_BACK(fd, A_REPLY);
	uv_async_send(&world->command);
	while (!atomic_load(&world->paused))
		usleep(1000);
	uint64_t start = uv_hrtime();
	PUT(fd, A_CALL);
	GET_BACK(fd, A_REPLY);
	CHECK(uv_hrtime() - start > 100000000);
	close(fd);
}

static void test_rpc_pause(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_rpc_pause, command_pause);
}

/* Drained while requests wait: they are answered, the rest of a message is waited for, idle ones are closed. */
static void client_rpc_drain(struct world *world)
{
	int busy = dial_port(world->rpc_port), half = dial_port(world->rpc_port), idle = dial_port(world->rpc_port);
	PUT(idle, A_CALL);
	GET_BACK(idle, A_REPLY);
	PUT(half, A_CALL "\x94\x00\x07\xa1");
	GET_BACK(half, A_REPLY);
	PUT(busy, A_CALL LATER_CALL);          /* in one piece: the second is there when the first is answered */
	GET_BACK(busy, A_REPLY);
	uv_async_send(&world->finished);
	GET_BACK(busy, LATER_REPLY);
	CHECK(ends_with_text(busy, NULL));
	CHECK(ends_with_text(idle, NULL));
	PUT(half, "a\x90");
	GET_BACK(half, A_REPLY);
	CHECK(ends_with_text(half, NULL));
	close(busy);
	close(half);
	close(idle);
}

static void test_rpc_drain(void **state)
{
	(void)state;
	run((struct server_options){ 0 }, client_rpc_drain, NULL);
}

static void nothing(void *context)
{
	(void)context;
}

static void test_listen_errors(void **state)
{
	(void)state;
	uv_loop_t loop;
	char error[200], wanted[200], address[40];
	struct server_options options = { .http.on_request = on_request };
	uv_loop_init(&loop);
	struct server *server = server_new(&loop, &options);
	int port = server_listen(server, SERVER_HTTP, "localhost:0", "--http", error, sizeof error);
	assert_true(port > 0);
	snprintf(address, sizeof address, "127.0.0.1:%d", port);
	snprintf(wanted, sizeof wanted, "address %s is already in use: stop the other program or choose another with --http",
		 address);
	assert_int_equal(server_listen(server, SERVER_HTTP, address, "--http", error, sizeof error), -1);
	assert_string_equal(error, wanted);
	static const char *const bad[] = { "", "8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:80000", "a.b:1",
					   "[::1:80", "127.0.0.1:-1" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(server_listen(server, SERVER_HTTP, bad[i], "--http", error, sizeof error), -1);
	assert_int_equal(server_listen(server, SERVER_HTTP, "192.0.2.1:0", "--http", error, sizeof error), -1);
	assert_non_null(strstr(error, "none of this machine"));
	server_drain(server, nothing, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	server_free(server);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_backpressure),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_rpc),
		cmocka_unit_test(test_rpc_backpressure),
		cmocka_unit_test(test_rpc_bound),
		cmocka_unit_test(test_rpc_timeouts),
		cmocka_unit_test(test_rpc_pause),
		cmocka_unit_test(test_rpc_drain),
		cmocka_unit_test(test_listen_errors),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
