// SPDX-License-Identifier: Apache-2.0
/* http_load - a closed-loop HTTP load generator: N connections, each with one request under way, one thread, epoll.
 *
 *     http_load HOST PORT --connections N --seconds S [--rows R] [--members M] [--get PATH] [--seed X]
 *
 * Without --get it posts purchases to /transactions: one event a request, or an array of R events.  Bodies are made between
 * the answer and the next request, so their cost is in the loop but not in the latency.  Latencies go into a histogram with
 * 1/64 relative precision; the result is one line of JSON.  The answer's status is checked; with rows the number of refused
 * rows is counted by their problem status.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, BUCKETS = 64 * 64, EVENT_BYTES_MAX = 224 };

struct connection {
	int fd;
	char *out;
	size_t out_len, out_sent;
	char *in;
	size_t in_len, in_cap, want;   /* want: bytes of the whole answer; 0: header not complete */
	uint64_t sent_ns;
};

static struct load {
	const char *host, *get;
	int port, connections, rows;
	double seconds;
	uint64_t members, seed, sequence, run_id;
	uint64_t requests, events, failures;
	uint64_t histogram[BUCKETS];
	struct connection list[CONNECTIONS_MAX];
	int epoll;
} load = { .connections = 64, .rows = 1, .seconds = 5, .members = 100000, .seed = 1 };

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t random_next(void)
{
	load.seed ^= load.seed << 13;
	load.seed ^= load.seed >> 7;
	load.seed ^= load.seed << 17;
	return load.seed;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* Logarithmic buckets, 64 to each power of two. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned top;
	if (ns < 64)
		return (unsigned)ns;
	top = 63u - (unsigned)__builtin_clzll(ns);
	unsigned bucket = (top - 5) * 64 + (unsigned)((ns >> (top - 6)) & 63);
	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double bucket_us(unsigned bucket)
{
	if (bucket < 64)
		return bucket / 1000.0;
	unsigned top = bucket / 64 + 5;
	return (double)((UINT64_C(64) + bucket % 64) << (top - 6)) / 1000.0;
}

static double percentile(double share)
{
	uint64_t sum = 0, all = 0;
	for (unsigned i = 0; i < BUCKETS; i++)
		all += load.histogram[i];
	for (unsigned i = 0; i < BUCKETS; i++) {
		sum += load.histogram[i];
		if ((double)sum >= share * (double)all)
			return bucket_us(i);
	}
	return 0;
}

static size_t event_write(char *out)
{
	uint64_t number = random_next();
	return (size_t)snprintf(out, EVENT_BYTES_MAX,
				"{\"brand\":\"BENCH\",\"profileId\":\"m-%llu\",\"eventType\":\"PURCHASE\",\"eventId\":\"%llx-%llu\","
				"\"source\":\"WEB\",\"payload\":{\"amount\":%llu.%02llu}}",
				(unsigned long long)(number % load.members), (unsigned long long)load.run_id,
				(unsigned long long)load.sequence++, (unsigned long long)(number >> 20) % 1000,
				(unsigned long long)(number >> 40) % 100);
}

static void request_make(struct connection *connection)
{
	char *body = connection->out + 256, *at = body;
	connection->out_sent = 0;
	if (load.get) {
		connection->out_len = (size_t)snprintf(connection->out, 256, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", load.get);
		return;
	}
	if (load.rows > 1)
		*at++ = '[';
	for (int r = 0; r < load.rows; r++) {
		if (r)
			*at++ = ',';
		at += event_write(at);
	}
	if (load.rows > 1)
		*at++ = ']';
	size_t len = (size_t)(at - body);
	int head = snprintf(connection->out, 256,
			    "POST /transactions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			    len);
	memmove(connection->out + head, body, len);
	connection->out_len = (size_t)head + len;
}

static void request_send(struct connection *connection)
{
	while (connection->out_sent < connection->out_len) {
		ssize_t sent = send(connection->fd, connection->out + connection->out_sent,
				    connection->out_len - connection->out_sent, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			struct epoll_event event = { .events = EPOLLIN | EPOLLOUT, .data.ptr = connection };
			epoll_ctl(load.epoll, EPOLL_CTL_MOD, connection->fd, &event);
			return;
		}
		if (sent < 0)
			die("send");
		connection->out_sent += (size_t)sent;
	}
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
	if (connection->out_len > 65536)
		epoll_ctl(load.epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void answer_count(struct connection *connection, uint64_t now)
{
	int status = connection->in_len > 12 ? (connection->in[9] - '0') * 100 + (connection->in[10] - '0') * 10 : 0;
	load.histogram[bucket_of(now - connection->sent_ns)]++;
	load.requests++;
	if (status < 200 || status >= 300) {
		if (!load.failures)
			fprintf(stderr, "http_load: %.*s\n", (int)(connection->in_len < 600 ? connection->in_len : 600),
				connection->in);
		load.failures++;
		return;
	}
	load.events += (uint64_t)load.rows;
	if (load.rows > 1 && memmem(connection->in, connection->in_len, "\"title\":", 8))
		load.failures++;
}

static void answer_read(struct connection *connection)
{
	for (;;) {
		if (connection->in_cap - connection->in_len < 65536) {
			connection->in_cap = connection->in_cap * 2 + 131072;
			connection->in = realloc(connection->in, connection->in_cap);
			if (!connection->in)
				die("memory");
		}
		ssize_t got = recv(connection->fd, connection->in + connection->in_len, connection->in_cap - connection->in_len, 0);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0)
			die(got ? "recv" : "the server closed a connection");
		connection->in_len += (size_t)got;
		if (!connection->want) {
			char *end = memmem(connection->in, connection->in_len, "\r\n\r\n", 4);
			if (!end)
				continue;
			char *length = memmem(connection->in, (size_t)(end - connection->in), "ontent-", 7);
			while (length && strncasecmp(length, "ontent-length:", 14) != 0)
				length = memmem(length + 1, (size_t)(end - length - 1), "ontent-", 7);
			if (!length)
				die("an answer without Content-Length");
			connection->want = (size_t)(end - connection->in) + 4 + strtoul(length + 14, NULL, 10);
		}
		if (connection->in_len < connection->want)
			continue;
		answer_count(connection, now_ns());
		connection->in_len = connection->want = 0;
		request_make(connection);
		connection->sent_ns = now_ns();
		request_send(connection);
		return;
	}
}

static void connection_open(struct connection *connection)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)load.port) };
	int one = 1;
	inet_pton(AF_INET, load.host, &address.sin_addr);
	connection->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof address))
		die("connect");
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	fcntl(connection->fd, F_SETFL, O_NONBLOCK);
	connection->out = malloc(1024 + (size_t)load.rows * EVENT_BYTES_MAX);
	if (!connection->out)
		die("memory");
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
	epoll_ctl(load.epoll, EPOLL_CTL_ADD, connection->fd, &event);
	request_make(connection);
	connection->sent_ns = now_ns();
	request_send(connection);
}

static void arguments(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: http_load HOST PORT [--connections N] [--seconds S] [--rows R] [--members M] [--get PATH]\n");
		exit(64);
	}
	load.host = argv[1];
	load.port = (int)strtol(argv[2], NULL, 10);
	for (int i = 3; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--connections"))
			load.connections = (int)strtol(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--seconds"))
			load.seconds = strtod(argv[i + 1], NULL);
		else if (!strcmp(argv[i], "--rows"))
			load.rows = (int)strtol(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--members"))
			load.members = strtoull(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--get"))
			load.get = argv[i + 1];
		else if (!strcmp(argv[i], "--seed"))
			load.seed = strtoull(argv[i + 1], NULL, 10) + 1;
	}
	if (load.connections < 1 || load.connections > CONNECTIONS_MAX || load.rows < 1 || load.rows > 10000)
		exit(64);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	struct timespec wall;
	arguments(argc, argv);
	clock_gettime(CLOCK_REALTIME, &wall);
	load.run_id = (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000;
	load.epoll = epoll_create1(0);
	uint64_t start = now_ns(), end = start + (uint64_t)(load.seconds * 1e9);
	for (int i = 0; i < load.connections; i++)
		connection_open(&load.list[i]);
	while (now_ns() < end) {
		int count = epoll_wait(load.epoll, events, 256, 100);
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;
			if (events[i].events & EPOLLOUT)
				request_send(connection);
			if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				answer_read(connection);
		}
	}
	double seconds = (double)(now_ns() - start) / 1e9;
	printf("{\"requests_per_s\":%.0f,\"events_per_s\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"p999_us\":%.0f,\"failures\":%llu}\n",
	       (double)load.requests / seconds, (double)load.events / seconds, percentile(0.5), percentile(0.99),
	       percentile(0.999), (unsigned long long)load.failures);
	return load.failures ? 1 : 0;
}
