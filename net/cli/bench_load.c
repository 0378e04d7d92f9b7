// SPDX-License-Identifier: Apache-2.0
/* bench_load.c - the loop of the load generator. It shares two processors with the server that it measures, so it does
 * as little as it can: requests are written straight into what is sent, one send and one receive per connection and
 * turn, epoll edge-triggered without changes of interest, answers found by net/rpc/frame.h without copying.
 *
 * What is to be sent lies in a ring whose pieces never cross its end: [head, tail), or after the wrap [head, wrap) and
 * then [0, tail). Its capacity of in_flight + 3 requests always has room for one more at the tail. A big request is
 * written before there is a place for it, while others wait (`prepared`); then only its msgid is filled in.
 */
#include "net/cli/bench_load.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/cli/import.h"
#include "net/rpc/frame.h"
#include "net/rpc/read.h"

enum {
	READ_BYTES = 256 * 1024,
	ANSWER_MAX = 256 * 1024 * 1024,
	PREPARE_ROWS = 64,             /* from here on a request is written ahead */
	EVENTS = 256,
	ERRORS_MAX = 100,              /* error replies until it gives up */
	ERROR_BYTES = 256,
	BAR_WIDTH = 24,
};

#define SECOND UINT64_C(1000000000)
#define SILENCE_MAX (30 * SECOND)      /* without any answer while some are due */
#define LATE_MAX (10 * SECOND)         /* open loop: after the end, for what was due before it */
#define TICK (SECOND / 10)

static const struct frame_limits answer_limits = { ANSWER_MAX, ANSWER_MAX, FRAME_LEVELS - 1 };

struct slot {
	uint64_t since;                /* its latency counts from here */
	uint32_t rows;                 /* 0: free */
};

struct connection {
	int fd;
	unsigned char *out;
	size_t cap, head, tail, wrap;
	bool wrapped, blocked;         /* blocked: the socket took no more; epoll tells when it does */
	size_t prepared;               /* bytes of a request that lies at the tail and is not on its way yet */
	uint32_t prepared_rows;
	unsigned char *in;
	size_t in_at, in_len, in_cap;  /* answers not yet read are [in_at, in_len) */
	struct frame_scan scan;        /* of the answer at in_at */
	size_t http_len;               /* of the HTTP answer at in_at, 0: not known yet; its body begins at http_body */
	size_t http_body;
	struct slot *slots;
	uint32_t *free;                /* stack of free slots */
	uint32_t free_count, oldest, newest;   /* HTTP: slots are used in turn */
};

struct run {
	const struct bench_load *load;
	struct bench_work *work;
	struct bench_result *result;
	struct connection *connections;
	int epoll;
	uint64_t start, warm, end;     /* requests that end (open loop: were due) in [warm, end) are measured */
	uint64_t due;                  /* open loop: when the next request is due */
	double interval;               /* open loop: nanoseconds between requests */
	uint64_t issued;               /* requests, for the schedule */
	uint64_t left;                 /* rows for which no request was written yet; UINT64_MAX: no count */
	uint32_t prepared;             /* requests that are written and not on their way */
	uint64_t outstanding, heard;   /* requests; time of the last answer */
	uint64_t last;                 /* time of the last measured answer */
	uint32_t turn;                 /* open loop: the connection that is asked first */
	uint64_t shown, shown_rows;    /* progress: when, and rows then */
	uint64_t rows_all;
	bool bar;
	char *error;
	bool failed;
};

uint64_t bench_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

__attribute__((format(printf, 2, 3)))
static void fail(struct run *run, const char *format, ...)
{
	va_list args;

	if (run->failed)
		return;
	run->failed = true;
	va_start(args, format);
	vsnprintf(run->error, ERROR_BYTES, format, args);
	va_end(args);
}

/* Sending */

static unsigned char *out_room(struct run *run, struct connection *connection)
{
	size_t max = run->work->request_max;

	if (connection->head == connection->tail && !connection->wrapped)
		connection->head = connection->tail = 0;
	if (!connection->wrapped && connection->cap - connection->tail < max) {
		connection->wrap = connection->tail;
		connection->wrapped = true;
		connection->tail = 0;
	}
	ASSERT(!connection->wrapped || connection->head - connection->tail >= max);
	return connection->out + connection->tail;
}

static void out_flush(struct run *run, struct connection *connection)
{
	while (!connection->blocked && !run->failed) {
		size_t end = connection->wrapped ? connection->wrap : connection->tail;
		if (connection->head == end) {
			if (!connection->wrapped)
				return;
			connection->wrapped = false;
			connection->head = 0;
			continue;
		}
		ssize_t sent = send(connection->fd, connection->out + connection->head, end - connection->head,
				    MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN)
			connection->blocked = true;
		else if (sent < 0 && errno != EINTR)
			fail(run, "sending: %s", strerror(errno));
		if (sent > 0) {
			connection->head += (size_t)sent;
			run->result->bytes_sent += (uint64_t)sent;
		}
	}
}

static uint32_t rows_next(const struct run *run)
{
	return run->left < run->work->rows ? (uint32_t)run->left : run->work->rows;
}

static void request_prepare(struct run *run, struct connection *connection)
{
	uint32_t rows = rows_next(run);

	if (connection->prepared || !rows)
		return;
	if (run->left != UINT64_MAX)
		run->left -= rows;
	run->prepared++;
	connection->prepared_rows = rows;
	connection->prepared = run->work->make(run->work, out_room(run, connection), rows);
	ASSERT(connection->prepared && connection->prepared <= run->work->request_max);
}

/* Puts a request on its way; there is a free slot. `since` 0: now. False: the count is reached. */
static bool request_start(struct run *run, struct connection *connection, uint64_t since)
{
	uint32_t at;

	request_prepare(run, connection);
	if (!connection->prepared)
		return false;
	ASSERT(connection->free_count);
	connection->free_count--;
	if (run->work->http)
		at = connection->newest++ % run->load->in_flight;
	else
		at = connection->free[connection->free_count];
	unsigned char *request = connection->out + connection->tail;
	if (!run->work->http) {
		const unsigned char msgid[4] = { (unsigned char)(at >> 24), (unsigned char)(at >> 16),
						 (unsigned char)(at >> 8), (unsigned char)at };
		memcpy(request + BENCH_MSGID_AT, msgid, sizeof(msgid));
	}
	connection->slots[at].rows = connection->prepared_rows;
	connection->slots[at].since = since ? since : bench_clock();
	connection->tail += connection->prepared;
	run->result->rows_sent += connection->prepared_rows;
	connection->prepared = 0;
	run->prepared--;
	run->outstanding++;
	return true;
}

static void connection_fill(struct run *run, struct connection *connection)
{
	/* Small requests share a timestamp: they leave with one send. */
	uint64_t since = run->work->rows < PREPARE_ROWS && connection->free_count ? bench_clock() : 0;

	while (connection->free_count && request_start(run, connection, since))
		;
	out_flush(run, connection);
}

/* Open loop: sends what is due as long as there are places; what was due before the end also after it. */
static void requests_due(struct run *run, uint64_t now)
{
	uint32_t full = 0, count = run->load->connections;

	while (run->due <= now && run->due < run->end && full < count && !run->failed) {
		struct connection *connection = &run->connections[run->turn];
		run->turn = run->turn + 1 == count ? 0 : run->turn + 1;
		if (!connection->free_count || !request_start(run, connection, run->due)) {
			full++;
			continue;
		}
		full = 0;
		out_flush(run, connection);
		run->issued++;
		run->due = run->start + (uint64_t)((double)run->issued * run->interval);
	}
}

/* Answers */

static void error_count(struct run *run, struct str name, struct str detail)
{
	struct bench_result *result = run->result;
	int name_len = (int)(name.len < sizeof(result->errors[0].name) ? name.len : sizeof(result->errors[0].name) - 1);

	result->error_count++;
	for (size_t i = 0; i < BENCH_ERRORS; i++) {
		struct bench_error *error = &result->errors[i];
		if (error->count && (strlen(error->name) != (size_t)name_len ||
				     memcmp(error->name, name.ptr, (size_t)name_len) != 0))
			continue;
		if (!error->count) {
			snprintf(error->name, sizeof(error->name), "%.*s", name_len, name.ptr);
			snprintf(error->detail, sizeof(error->detail), "%.*s", (int)(detail.len < 250 ? detail.len : 250),
				 detail.len ? detail.ptr : "");
		}
		error->count++;
		break;
	}
	if (result->error_count >= ERRORS_MAX)
		fail(run, "%d requests were answered with an error; the first with %s: %.100s", ERRORS_MAX,
		     result->errors[0].name, result->errors[0].detail);
}

/* An error object: a map with name and detail, or whatever another server sends. */
static void error_read(struct run *run, struct rpc_reader error)
{
	struct str name = STR("an error"), detail = STR(""), key;
	uint32_t pairs;

	if (!rpc_read_map(&error, &pairs))
		rpc_read_str(&error, &detail);
	else
		for (; pairs && rpc_read_str(&error, &key); pairs--)
			if (!(str_eq(key, STR("name")) && rpc_read_str(&error, &name)) &&
			    !(str_eq(key, STR("detail")) && rpc_read_str(&error, &detail)) && !rpc_skip(&error))
				break;
	error_count(run, name, detail);
}

/* `good` of its rows were done. */
static void answer_done(struct run *run, struct connection *connection, uint32_t at, uint64_t now, uint32_t good)
{
	struct slot *slot = &connection->slots[at];
	uint64_t moment = run->load->rate > 0 ? slot->since : now;

	if (moment >= run->warm && moment < run->end) {
		histogram_add(&run->result->latency, now > slot->since ? now - slot->since : 0);
		run->result->requests++;
		run->result->rows += good;
		run->last = now;
	}
	run->rows_all += good;
	run->outstanding--;
	run->heard = now;
	slot->rows = 0;
	connection->free[connection->free_count++] = at;
}

/* How many of the slot's rows were done. */
static uint32_t answer_judge(struct run *run, const struct slot *slot, const unsigned char *answer, size_t len)
{
	uint32_t refused = run->work->judge(run->work, answer, len, run->result);

	run->result->refused += refused;
	return refused < slot->rows ? slot->rows - refused : 0;
}

static void rpc_answer(struct run *run, struct connection *connection, const unsigned char *frame, size_t len,
		       uint64_t now)
{
	struct rpc_reader reader = { frame, frame + len };
	uint32_t elements, good = 0;
	uint64_t type, msgid;

	if (!rpc_read_array(&reader, &elements) || elements != 4 || !rpc_read_u64(&reader, &type) || type != 1) {
		fail(run, "the server sent something that is no answer");
		return;
	}
	if (!rpc_read_u64(&reader, &msgid)) {          /* to nobody in particular: the end of the connection */
		rpc_skip(&reader);
		error_read(run, reader);
		fail(run, "the server ends the connection: %s: %.150s", run->result->errors[0].name,
		     run->result->errors[0].detail);
		return;
	}
	if (msgid >= run->load->in_flight || !connection->slots[msgid].rows) {
		fail(run, "the server answered a request that was not sent");
		return;
	}
	if (rpc_read_nil(&reader))
		good = answer_judge(run, &connection->slots[msgid], reader.at, (size_t)(reader.end - reader.at));
	else
		error_read(run, reader);
	answer_done(run, connection, (uint32_t)msgid, now, good);
}

static void rpc_answers(struct run *run, struct connection *connection, uint64_t now)
{
	while (connection->in_at < connection->in_len && !run->failed) {
		const unsigned char *frame = connection->in + connection->in_at;
		switch (frame_scan(&connection->scan, frame, connection->in_len - connection->in_at, &answer_limits)) {
		case FRAME_MORE:
			return;
		case FRAME_DONE:
			rpc_answer(run, connection, frame, connection->scan.at, now);
			connection->in_at += connection->scan.at;
			frame_begin(&connection->scan);
			break;
		default:
			fail(run, "the server's answer is no MessagePack");
		}
	}
}

/* Finds where the HTTP answer at in_at ends. False: its head is not complete, or is wrong. */
static bool http_head(struct run *run, struct connection *connection)
{
	char *head = (char *)connection->in + connection->in_at, *end, *line;
	size_t len = connection->in_len - connection->in_at, body = 0;
	bool found = false;

	end = memmem(head, len, "\r\n\r\n", 4);
	if (!end)
		return false;
	for (line = memchr(head, '\n', len); line < end && !found; line = memchr(line, '\n', len)) {
		line++;
		len = (size_t)(end + 4 - line);
		if (len > 15 && strncasecmp(line, "content-length:", 15) == 0) {
			const char *digit = line + 15;
			while (*digit == ' ')
				digit++;
			for (found = *digit >= '0' && *digit <= '9'; *digit >= '0' && *digit <= '9'; digit++)
				body = body < ANSWER_MAX ? body * 10 + (size_t)(*digit - '0') : body;
		}
	}
	if (!found || body > ANSWER_MAX || strncmp(head, "HTTP/1.1 ", 9) != 0) {
		fail(run, "the server's answer is no HTTP with a Content-Length");
		return false;
	}
	connection->http_body = (size_t)(end + 4 - head);
	connection->http_len = connection->http_body + body;
	return true;
}

static void http_answers(struct run *run, struct connection *connection, uint64_t now)
{
	while (connection->in_at < connection->in_len && !run->failed) {
		const unsigned char *head = connection->in + connection->in_at, *body;
		uint32_t at = connection->oldest % run->load->in_flight, good = 0;

		if (!connection->http_len && !http_head(run, connection))
			return;
		if (connection->in_len - connection->in_at < connection->http_len)
			return;
		if (!connection->slots[at].rows) {
			fail(run, "the server answered a request that was not sent");
			return;
		}
		body = head + connection->http_body;
		size_t body_len = connection->http_len - connection->http_body;
		if (head[9] == '2') {
			good = answer_judge(run, &connection->slots[at], body, body_len);
		} else {
			char name[16];
			snprintf(name, sizeof(name), "HTTP %.3s", (const char *)head + 9);
			error_count(run, str_of(name), (struct str){ (const char *)body, body_len });
		}
		connection->oldest++;
		answer_done(run, connection, at, now, good);
		connection->in_at += connection->http_len;
		connection->http_len = 0;
	}
}

static void connection_read(struct run *run, struct connection *connection)
{
	for (bool more = true; more && !run->failed;) {
		if (connection->in_at == connection->in_len) {
			connection->in_at = connection->in_len = 0;
		} else if (connection->in_at && connection->in_cap - connection->in_len < READ_BYTES / 2) {
			connection->in_len -= connection->in_at;
			memmove(connection->in, connection->in + connection->in_at, connection->in_len);
			connection->in_at = 0;
		}
		if (connection->in_cap - connection->in_len < READ_BYTES / 2) {
			connection->in_cap = connection->in_cap * 2 + READ_BYTES;
			connection->in = mem_realloc(connection->in, connection->in_cap);
		}
		size_t room = connection->in_cap - connection->in_len;
		ssize_t got = recv(connection->fd, connection->in + connection->in_len, room, 0);
		if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
			more = errno == EINTR;
			continue;
		}
		if (got <= 0) {
			fail(run, got ? "receiving: %s" : "the server closed a connection%.0s", strerror(errno));
			return;
		}
		/* Edge-triggered: a short read has emptied the socket, what comes later is told again. */
		more = (size_t)got == room;
		connection->in_len += (size_t)got;
		run->result->bytes_received += (uint64_t)got;
		if (run->work->http)
			http_answers(run, connection, bench_clock());
		else
			rpc_answers(run, connection, bench_clock());
	}
}

/* Connections */

static bool connection_open(struct run *run, struct connection *connection, const struct addrinfo *address)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = connection };
	uint32_t in_flight = run->load->in_flight;
	int one = 1;

	connection->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 || connect(connection->fd, address->ai_addr, address->ai_addrlen) != 0) {
		fail(run, "connecting to %s:%u: %s", run->load->address->host, run->load->address->port, strerror(errno));
		return false;
	}
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	connection->cap = (in_flight + 3) * run->work->request_max;
	connection->out = mem_alloc(connection->cap);
	connection->slots = mem_zalloc(in_flight * sizeof(*connection->slots));
	connection->free = mem_alloc(in_flight * sizeof(*connection->free));
	for (uint32_t i = 0; i < in_flight; i++)
		connection->free[connection->free_count++] = in_flight - 1 - i;
	frame_begin(&connection->scan);
	if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(run->epoll, EPOLL_CTL_ADD, connection->fd, &event)) {
		fail(run, "a connection: %s", strerror(errno));
		return false;
	}
	return true;
}

static void connections_open(struct run *run)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *addresses = NULL;
	char port[8];

	snprintf(port, sizeof(port), "%u", run->load->address->port);
	int status = getaddrinfo(run->load->address->host, port, &hints, &addresses);
	if (status) {
		fail(run, "%s: %s", run->load->address->host, gai_strerror(status));
		return;
	}
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run->epoll < 0)
		fail(run, "epoll: %s", strerror(errno));
	for (uint32_t i = 0; i < run->load->connections && !run->failed; i++)
		connection_open(run, &run->connections[i], addresses);
	freeaddrinfo(addresses);
}

static void connections_close(struct run *run)
{
	for (uint32_t i = 0; i < run->load->connections; i++) {
		struct connection *connection = &run->connections[i];
		if (connection->fd >= 0)
			close(connection->fd);
		mem_free(connection->out);
		mem_free(connection->in);
		mem_free(connection->slots);
		mem_free(connection->free);
	}
	if (run->epoll >= 0)
		close(run->epoll);
	mem_free(run->connections);
}

/* The loop */

static void progress(struct run *run, uint64_t now)
{
	char rows[32], speed[32];
	double part, rate = (double)(run->rows_all - run->shown_rows) * 1e9 / (double)(now - run->shown);

	if (run->load->count)
		part = (double)run->rows_all / (double)run->load->count;
	else
		part = (double)(now - run->start) / (double)(run->end - run->start);
	if (part > 1)
		part = 1;
	import_number(rows, run->rows_all);
	import_number(speed, (uint64_t)rate);
	fprintf(stderr, "\r\033[K%s [%.*s%*s] %3d%%  %s  %s/s", run->load->title, (int)(part * BAR_WIDTH),
		"========================", BAR_WIDTH - (int)(part * BAR_WIDTH), "", (int)(part * 100), rows, speed);
	run->shown = now;
	run->shown_rows = run->rows_all;
	run->bar = true;
}

static void turn(struct run *run, uint64_t now, bool sending)
{
	struct epoll_event events[EVENTS];
	uint64_t wait = TICK;
	struct timespec timeout;
	bool open = run->load->rate > 0;

	if (sending && open && run->due > now && run->due - now < wait)
		wait = run->due - now;
	timeout = (struct timespec){ 0, (long)wait };
	int count = epoll_pwait2(run->epoll, events, EVENTS, &timeout, NULL);
	if (count < 0 && errno != EINTR)
		fail(run, "epoll: %s", strerror(errno));
	for (int i = 0; i < count && !run->failed; i++) {
		struct connection *connection = events[i].data.ptr;
		if (events[i].events & EPOLLOUT) {
			connection->blocked = false;
			out_flush(run, connection);
		}
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			connection_read(run, connection);
		if (!open && sending)
			connection_fill(run, connection);
		if (sending && run->work->rows >= PREPARE_ROWS)
			request_prepare(run, connection);
	}
}

static bool is_sending(const struct run *run, uint64_t now)
{
	if (run->load->count)
		return run->left || run->prepared;
	if (run->load->rate > 0)
		return run->due < run->end && (now < run->end || now - run->end < LATE_MAX);
	return now < run->end;
}

static void loop(struct run *run)
{
	uint64_t now = run->heard = bench_clock();

	for (uint32_t i = 0; i < run->load->connections && run->load->rate <= 0; i++)
		connection_fill(run, &run->connections[i]);
	while (!run->failed) {
		bool sending = is_sending(run, now);
		if (sending && run->load->rate > 0)
			requests_due(run, now);
		if (!sending && !run->outstanding)
			break;
		turn(run, now, sending);
		now = bench_clock();
		if (!run->outstanding)
			run->heard = now;
		if (now > run->heard && now - run->heard > SILENCE_MAX)
			fail(run, "no answer for %d seconds", (int)(SILENCE_MAX / SECOND));
		if (run->load->title && now - run->shown >= TICK)
			progress(run, now);
	}
	if (run->bar)
		fputs("\r\033[K", stderr);
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

bool bench_load_run(const struct bench_load *load, struct bench_work *work, struct bench_result *result, char *error)
{
	struct run run = { .load = load, .work = work, .result = result, .epoll = -1, .error = error,
			   .left = load->count ? load->count : UINT64_MAX };
	double cpu = cpu_seconds();

	ASSERT(load->connections && load->in_flight && work->rows && work->request_max);
	run.connections = mem_zalloc(load->connections * sizeof(*run.connections));
	for (uint32_t i = 0; i < load->connections; i++)
		run.connections[i].fd = -1;
	connections_open(&run);
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	if (load->rate > 0)
		run.interval = 1e9 * work->rows / load->rate;
	run.start = run.due = run.warm = run.shown = bench_clock();
	run.end = UINT64_MAX;
	if (!load->count) {
		run.warm = run.start + (uint64_t)(load->warmup * 1e9);
		run.end = run.warm + (uint64_t)(load->seconds * 1e9);
	}
	if (!run.failed)
		loop(&run);
	if (load->count)
		result->seconds = run.last > run.start ? (double)(run.last - run.start) / 1e9 : 0;
	else
		result->seconds = load->seconds;
	if (load->rate > 0 && run.due < run.end && !load->count)
		result->unsent = (uint64_t)((double)(run.end - run.due) / run.interval) + 1;
	result->cpu_seconds = cpu_seconds() - cpu;
	connections_close(&run);
	return !run.failed;
}
