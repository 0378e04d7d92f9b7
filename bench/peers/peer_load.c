// SPDX-License-Identifier: Apache-2.0
/* peer_load - the work of bench/run.sh for other engines: durable transfers from tenants' liabilities to members.
 *
 *     peer_load PROTOCOL --port P [--connections N] [--depth K] [--batch B] [--seconds S | --count C] [--script FILE]
 *               [--members M] [--tenants T] [--seed X] [--wait S]
 *     peer_load --free-port
 *
 * Closed loop over loopback TCP: N connections with K requests of B transfers each under way.  Each transfer moves 1 to
 * 1,000 from a random tenant to a uniformly random member and has a random 128-bit id.  A request's latency runs from
 * the moment its bytes are given to the connection to the moment its reply is read.  After S seconds (or C transfers)
 * the loop drains; then the last request of every connection is sent once more, and must change nothing.  With --wait
 * the first connection is tried again for that many seconds.  Of an option given twice the second counts.
 *
 * Prints `key value` lines: transfers_per_s, batch, in_flight, p50_us, p99_us, p999_us, transfers, moved (the sum of
 * the amounts acknowledged), retries, connected_s (with --wait: from the start to the first greeting), repeat_applied.
 * Exit 1 when anything was refused.
 */
#include "bench/peers/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 1024, DEPTH_MAX = 1024, BATCH_MAX = 100000,
	FRACTION_BITS = 6, BUCKETS = 64 << FRACTION_BITS,      /* latencies to 1/64 of themselves */
};

/* A request under way. */
struct slot {
	struct peer_row *rows;
	uint32_t count;
	uint64_t sent_ns, amount;
};

/* Slots are used in a ring where replies come in order: `first` is the oldest under way. */
struct connection {
	int fd;
	bool waiting;                   /* for room in the socket: EPOLLOUT is asked for */
	struct slot *slots;
	uint32_t first, under_way;
	uint8_t *out, *in;
	size_t out_len, out_sent, out_cap, in_len, in_cap;
	struct peer_row *last_rows;     /* the last acknowledged request, for the repeat */
	uint32_t last_count;
};

static struct load {
	const struct peer_protocol *protocol;
	const char *script;
	uint16_t port;
	uint32_t connections, depth, batch, members, tenants;
	double seconds, wait;
	uint64_t count, seed, counter;
	uint64_t started_ns, stop_ns, last_ns;
	uint64_t asked, transfers, moved, retries, repeat_applied, requests;
	uint32_t under_way;
	bool repeating;
	int epoll;
	struct connection *list;
	uint64_t histogram[BUCKETS];
} load = { .connections = 1, .depth = 1, .batch = 1, .members = 1000000, .tenants = 10, .seconds = 5 };

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	fputs("peer_load: ", stderr);
	vfprintf(stderr, format, list);
	fputc('\n', stderr);
	va_end(list);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *memory(size_t count, size_t size)
{
	void *data = calloc(count, size);
	if (data == NULL)
		die("out of memory");
	return data;
}

bool peer_send(int fd, const void *data, size_t len)
{
	for (const char *at = data; len > 0;) {
		ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		at += sent;
		len -= (size_t)sent;
	}
	return true;
}

bool peer_receive(int fd, void *data, size_t len)
{
	for (char *at = data; len > 0;) {
		ssize_t got = recv(fd, at, len, 0);
		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

size_t peer_digits(char *out, uint64_t value)
{
	char reversed[20];
	size_t len = 0;
	do
		reversed[len++] = (char)('0' + value % 10);
	while ((value /= 10) > 0);
	for (size_t i = 0; i < len; i++)
		out[i] = reversed[len - 1 - i];
	return len;
}

/* A bijection of 64-bit numbers (splitmix64's finish): different counters give different ids. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
	value = (value ^ value >> 27) * 0x94d049bb133111ebu;
	return value ^ value >> 31;
}

static void slot_fill(struct slot *slot, uint32_t count)
{
	slot->count = count;
	slot->amount = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct peer_row *row = &slot->rows[i];
		uint64_t low = mix(load.seed + load.counter++ * 0x9e3779b97f4a7c15u), high = mix(low ^ load.seed);
		memcpy(row->id, &low, 8);
		memcpy(row->id + 8, &high, 8);
		/* The rest from other bits than the id's: nothing about a row can be told from its id. */
		uint64_t draw = mix(high + 0x632be59bd9b4e019u);
		row->member = (uint32_t)((draw >> 32) * load.members >> 32);
		row->tenant = (uint32_t)((draw & 0xffff) * load.tenants >> 16);
		row->amount = 1 + (uint32_t)((draw >> 16 & 0xffff) * 1000 >> 16);
		slot->amount += row->amount;
	}
}

/* Percentiles: bucket = exponent and the 6 bits behind the first one. */
static uint32_t bucket_of(uint64_t ns)
{
	if (ns < 1u << FRACTION_BITS)
		return (uint32_t)ns;
	uint32_t shift = 63u - (uint32_t)__builtin_clzll(ns) - FRACTION_BITS;
	return (shift << FRACTION_BITS) + (uint32_t)(ns >> shift);
}

static double percentile_us(double share)
{
	uint64_t rank = (uint64_t)(share * (double)load.requests), seen = 0;
	for (uint32_t i = 0; i < BUCKETS; i++) {
		seen += load.histogram[i];
		if (seen > rank) {
			uint32_t shift = i < 2u << FRACTION_BITS ? 0 : (i >> FRACTION_BITS) - 1;
			return (double)((uint64_t)(i - (shift << FRACTION_BITS)) << shift) / 1e3;
		}
	}
	return 0;
}

static int connection_open(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(load.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0)
		die("socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static void connection_start(struct connection *c)
{
	char why[200] = "connection refused";
	for (;;) {
		c->fd = connection_open();
		if (c->fd >= 0 && load.protocol->greet(c->fd, load.script, why, sizeof why))
			break;
		if (c->fd >= 0)
			close(c->fd);
		if (c != load.list || (double)(now_ns() - load.started_ns) / 1e9 >= load.wait)
			die("%s", why);
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0)
		die("fcntl: %s", strerror(errno));
	c->slots = memory(load.depth, sizeof *c->slots);
	for (uint32_t i = 0; i < load.depth; i++)
		c->slots[i].rows = memory(load.batch, sizeof *c->slots[i].rows);
	c->last_rows = memory(load.batch, sizeof *c->last_rows);
	c->out_cap = load.depth * (load.protocol->request_bytes + (size_t)load.batch * load.protocol->row_bytes);
	c->out = memory(1, c->out_cap);
	c->in_cap = 64 * 1024;
	c->in = memory(1, c->in_cap);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void connection_flush(struct connection *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t sent = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN)
			die("the connection broke: %s", strerror(errno));
		if (sent < 0)
			break;
		c->out_sent += (size_t)sent;
	}
	bool full = c->out_sent < c->out_len;
	if (!full)
		c->out_len = c->out_sent = 0;
	if (full != c->waiting) {
		c->waiting = full;
		struct epoll_event event = { .events = full ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c };
		if (epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &event) != 0)
			die("epoll_ctl: %s", strerror(errno));
	}
}

/* Writes the request of a filled slot behind what the connection has yet to send. */
static void slot_send(struct connection *c, uint32_t index)
{
	struct slot *slot = &c->slots[index];
	if (c->out_cap - c->out_len < load.protocol->request_bytes + slot->count * load.protocol->row_bytes) {
		memmove(c->out, c->out + c->out_sent, c->out_len - c->out_sent);
		c->out_len -= c->out_sent;
		c->out_sent = 0;
	}
	slot->sent_ns = now_ns();
	c->out_len += load.protocol->encode(c->out + c->out_len, slot->rows, slot->count, index);
}

/* The next new request into a free slot, if the run goes on. */
static void slot_next(struct connection *c, uint32_t index)
{
	if (load.repeating || now_ns() >= load.stop_ns || load.asked >= load.count)
		return;
	uint64_t left = load.count - load.asked;
	uint32_t count = left < load.batch ? (uint32_t)left : load.batch;
	slot_fill(&c->slots[index], count);
	load.asked += count;
	c->under_way++;
	load.under_way++;
	slot_send(c, index);
}

static void reply_take(struct connection *c, struct peer_reply *reply)
{
	uint32_t index = load.protocol->tagged ? reply->slot : c->first;
	if (c->under_way == 0 || index >= load.depth)
		die("a reply that nobody waits for");
	struct slot *slot = &c->slots[index];
	if (reply->outcome == PEER_FAILED)
		die("refused: %s", reply->detail);
	if (reply->outcome == PEER_RETRY) {
		/* In order: this connection has one request under way where an engine can ask for a retry. */
		if (!load.protocol->tagged && load.depth > 1)
			die("refused: %s", reply->detail);
		load.retries++;
		uint64_t since = slot->sent_ns;
		slot_send(c, index);
		slot->sent_ns = since;
		return;
	}
	c->under_way--;
	load.under_way--;
	c->first = (c->first + 1) % load.depth;
	if (load.repeating) {
		load.repeat_applied += reply->applied;
		return;
	}
	if (reply->applied != slot->count)
		die("%llu of %u new transfers were applied", (unsigned long long)reply->applied, slot->count);
	load.last_ns = now_ns();
	load.histogram[bucket_of(load.last_ns - slot->sent_ns)]++;
	load.requests++;
	load.transfers += slot->count;
	load.moved += slot->amount;
	struct peer_row *rows = c->last_rows;
	c->last_rows = slot->rows;
	c->last_count = slot->count;
	slot->rows = rows;
	slot_next(c, index);
}

static void connection_read(struct connection *c)
{
	for (;;) {
		ssize_t got = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0)
			die("the connection closed");
		c->in_len += (size_t)got;
		size_t used = 0;
		for (;;) {
			struct peer_reply reply = { .outcome = PEER_FAILED };
			ptrdiff_t size = used < c->in_len ? load.protocol->parse(c->in + used, c->in_len - used, &reply) : 0;
			if (size < 0)
				die("a reply that is not the protocol");
			if (size == 0)
				break;
			used += (size_t)size;
			reply_take(c, &reply);
		}
		memmove(c->in, c->in + used, c->in_len - used);
		c->in_len -= used;
		if (c->in_len == c->in_cap)
			die("a reply is too long");
		if ((size_t)got < c->in_cap / 2)
			return;         /* most likely all there was; epoll tells if not */
	}
}

/* Until nothing is under way. */
static void drain(void)
{
	struct epoll_event events[64];
	while (load.under_way > 0) {
		int ready = epoll_wait(load.epoll, events, 64, 120000);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			die("no reply for two minutes");
		for (int i = 0; i < ready; i++) {
			struct connection *c = events[i].data.ptr;
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				connection_read(c);
			connection_flush(c);
		}
	}
}

static void run(void)
{
	load.list = memory(load.connections, sizeof *load.list);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.started_ns = now_ns();
	for (uint32_t i = 0; i < load.connections; i++) {
		connection_start(&load.list[i]);
		if (i == 0 && load.wait > 0)
			printf("connected_s %.3f\n", (double)(now_ns() - load.started_ns) / 1e9);
	}
	load.started_ns = now_ns();
	load.stop_ns = load.seconds > 0 ? load.started_ns + (uint64_t)(load.seconds * 1e9) : UINT64_MAX;
	for (uint32_t i = 0; i < load.connections; i++) {
		for (uint32_t k = 0; k < load.depth; k++)
			slot_next(&load.list[i], k);
		connection_flush(&load.list[i]);
	}
	drain();

	load.repeating = true;
	for (uint32_t i = 0; i < load.connections; i++) {
		struct connection *c = &load.list[i];
		if (c->last_count == 0)
			continue;
		c->first = 0;
		memcpy(c->slots[0].rows, c->last_rows, c->last_count * sizeof *c->last_rows);
		c->slots[0].count = c->last_count;
		c->under_way++;
		load.under_way++;
		slot_send(c, 0);
		connection_flush(c);
	}
	drain();

	double elapsed = (double)(load.last_ns - load.started_ns) / 1e9;
	printf("transfers_per_s %.0f\nbatch %u\nin_flight %u\np50_us %.0f\np99_us %.0f\np999_us %.0f\n",
		(double)load.transfers / elapsed, load.batch, load.connections * load.depth,
		percentile_us(0.5), percentile_us(0.99), percentile_us(0.999));
	printf("transfers %llu\nmoved %llu\nretries %llu\nrepeat_applied %llu\n", (unsigned long long)load.transfers,
		(unsigned long long)load.moved, (unsigned long long)load.retries, (unsigned long long)load.repeat_applied);
}

static int free_port(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		die("no free port: %s", strerror(errno));
	printf("%u\n", ntohs(address.sin_port));
	return 0;
}

static uint64_t number(const char *name, const char *text, uint64_t max)
{
	char *end;
	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max)
		die("%s: \"%s\" is not a number up to %llu", name, text, (unsigned long long)max);
	return value;
}

static const char *file_read(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	char *text = memory(1, 65536);
	size_t len = fread(text, 1, 65535, file);
	if (len == 65535)
		die("%s: too long", path);
	fclose(file);
	return text;
}

static void options_read(int argc, char **argv)
{
	static const struct peer_protocol *protocols[] = { &peer_postgresql, &peer_redis, &peer_tarantool };
	if (argc % 2 != 0 || argc < 4)
		die("usage: peer_load postgresql|redis|tarantool --port P [--connections N] [--depth K] [--batch B]\n"
			"       [--seconds S | --count C] [--script FILE] [--members M] [--tenants T] [--seed X] [--wait S]");
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
		if (strcmp(argv[1], protocols[i]->name) == 0)
			load.protocol = protocols[i];
	if (load.protocol == NULL)
		die("no protocol is called %s", argv[1]);
	if (getrandom(&load.seed, sizeof load.seed, 0) != sizeof load.seed)
		die("getrandom: %s", strerror(errno));
	load.count = UINT64_MAX;
	const char *script = NULL;
	for (int i = 2; i < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		if (strcmp(name, "--port") == 0)
			load.port = (uint16_t)number(name, value, 65535);
		else if (strcmp(name, "--connections") == 0)
			load.connections = (uint32_t)number(name, value, CONNECTIONS_MAX);
		else if (strcmp(name, "--depth") == 0)
			load.depth = (uint32_t)number(name, value, DEPTH_MAX);
		else if (strcmp(name, "--batch") == 0)
			load.batch = (uint32_t)number(name, value, BATCH_MAX);
		else if (strcmp(name, "--members") == 0)
			load.members = (uint32_t)number(name, value, UINT32_MAX);
		else if (strcmp(name, "--tenants") == 0)
			load.tenants = (uint32_t)number(name, value, 64);
		else if (strcmp(name, "--seed") == 0)
			load.seed = number(name, value, UINT64_MAX);
		else if (strcmp(name, "--seconds") == 0)
			load.seconds = (double)number(name, value, 86400);
		else if (strcmp(name, "--wait") == 0)
			load.wait = (double)number(name, value, 86400);
		else if (strcmp(name, "--script") == 0)
			script = value;
		else if (strcmp(name, "--count") == 0) {
			load.count = number(name, value, UINT64_MAX);
			load.seconds = 0;
		} else
			die("no option is called %s", name);
	}
	if (script != NULL)
		load.script = file_read(script);
	if (load.connections == 0 || load.depth == 0 || load.batch == 0 || load.members == 0 || load.tenants == 0 ||
	    load.port == 0)
		die("--port, --connections, --depth, --batch, --members and --tenants start at 1");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--free-port") == 0)
		return free_port();
	options_read(argc, argv);
	run();
	return 0;
}
