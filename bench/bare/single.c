// SPDX-License-Identifier: Apache-2.0
/* single - the bare path of single requests: an epoll loop and one durable write shared by all that came in one
 * turn.
 *
 *     bare_single [--data DIR] [--seconds 10] [--members 1000000] [--only 64x1|1x64|8x1|1x1|CxN]
 *
 * CxN is C connections with N requests of 64 bytes in flight on each. The loop's own thread looks ids and accounts
 * up, updates the balances, copies the rows into a block, writes the blocks of the turn with O_DIRECT and O_DSYNC
 * and then answers. The client is a process of its own; it too reads a connection once a turn and sends as many as
 * were answered.
 */
#include "bench/bare/bare.h"

#include <sys/epoll.h>

enum { CONNECTIONS_MAX = 1024, FLIGHT_MAX = 1024, READ_BYTES = FLIGHT_MAX * ROW_BYTES, LOG_BYTES = 256 << 20,
       TURN_BYTES = CONNECTIONS_MAX * ROW_BYTES + READ_BYTES };

struct peer {
	int fd;
	uint32_t answers;              /* of this turn */
	size_t in_len;                 /* bytes of an incomplete row */
	uint64_t began[FLIGHT_MAX];    /* the client's; a ring */
	uint64_t sent, answered;
	char *in;
};

static int loop_new(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll < 0)
		die("epoll");
	return epoll;
}

static void peer_watch(int epoll, struct peer *peer, int fd, size_t in_bytes)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
	peer->fd = fd;
	peer->in = malloc(in_bytes);
	if (!peer->in || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		die("connection");
}

/* Takes the rows that a connection has into the turn's block. False: it was closed. */
static bool peer_take(struct bare *bare, struct peer *peer, char *block, size_t *used)
{
	size_t room = (TURN_BYTES - *used) / ROW_BYTES * ROW_BYTES;
	room = room < READ_BYTES ? room : READ_BYTES;
	ssize_t got = room ? recv(peer->fd, peer->in + peer->in_len, room - peer->in_len, 0) : 0;
	if (!room)
		return true;           /* the next turn finds it readable again */
	if (got <= 0)
		return false;
	size_t len = peer->in_len + (size_t)got, rows = len / ROW_BYTES;
	const struct bare_row *row = (const struct bare_row *)(const void *)peer->in;
	for (size_t i = 0; i < rows; i++)
		row_prefetch(bare, &row[i]);
	for (size_t i = 0; i < rows; i++, bare->position += ROW_BYTES)
		row_apply(bare, &row[i], bare->position);
	memcpy(block + *used, peer->in, rows * ROW_BYTES);
	*used += rows * ROW_BYTES;
	peer->answers += (uint32_t)rows;
	peer->in_len = len - rows * ROW_BYTES;
	memmove(peer->in, peer->in + rows * ROW_BYTES, peer->in_len);
	return true;
}

static int serve(struct bare *bare, int listening, int connections)
{
	static const uint64_t answers[FLIGHT_MAX];
	struct peer *peers = calloc((size_t)connections, sizeof *peers);
	struct epoll_event events[CONNECTIONS_MAX];
	char *block = pages(TURN_BYTES + BLOCK);
	int epoll = loop_new(), open = connections;

	if (!peers)
		die("memory");
	for (int i = 0; i < connections; i++)
		peer_watch(epoll, &peers[i], socket_ready(accept(listening, NULL, NULL), NULL), READ_BYTES);
	ready_say(peers[0].fd);
	while (open) {
		int count = epoll_wait(epoll, events, CONNECTIONS_MAX, -1);
		size_t used = 16;      /* the checksum and the length are in front */
		for (int i = 0; i < count; i++) {
			struct peer *peer = events[i].data.ptr;
			if (!peer_take(bare, peer, block, &used)) {
				close(peer->fd);
				open--;
			}
		}
		if (used == 16)
			continue;
		uint64_t head[2] = { XXH3_64bits(block + 16, used - 16), used };
		memcpy(block, head, sizeof head);
		log_write(bare, block, (used + BLOCK - 1) / BLOCK * BLOCK);
		for (int i = 0; i < count; i++) {
			struct peer *peer = events[i].data.ptr;
			ssize_t len = (ssize_t)(peer->answers * sizeof *answers);
			if (len && send(peer->fd, answers, (size_t)len, MSG_NOSIGNAL) != len)
				die("answer");
			peer->answers = 0;
		}
	}
	return bare_check(bare, bare->position / ROW_BYTES) ? 0 : 1;
}

struct client { const struct bare_options *options; uint64_t random[4]; struct latencies latencies; };

static void rows_send(struct client *client, struct peer *peer, uint64_t count)
{
	struct bare_row rows[FLIGHT_MAX];
	rows_make(rows, count, client->random, client->options->members);
	uint64_t now = now_ns();
	for (uint64_t i = 0; i < count; i++)
		peer->began[peer->sent++ % FLIGHT_MAX] = now;
	if (send(peer->fd, rows, count * ROW_BYTES, MSG_NOSIGNAL) != (ssize_t)(count * ROW_BYTES))
		die("send");
}

static uint64_t answers_take(struct client *client, struct peer *peer)
{
	char answers[FLIGHT_MAX * sizeof(uint64_t)];
	ssize_t got = recv(peer->fd, answers, sizeof answers, 0);
	if (got <= 0)
		die("the server's answer");
	uint64_t now = now_ns(), count = (peer->in_len + (size_t)got) / sizeof(uint64_t);
	peer->in_len = (peer->in_len + (size_t)got) % sizeof(uint64_t);
	for (uint64_t i = 0; i < count; i++)
		latency_add(&client->latencies, now - peer->began[peer->answered++ % FLIGHT_MAX]);
	return count;
}

static void drive(const struct bare_options *options, const struct sockaddr_in *address, int connections,
		  unsigned flight)
{
	struct client client = { options, { mix(now_ns()), 2, 3, 4 }, { 0 } };
	struct peer *peers = calloc((size_t)connections, sizeof *peers);
	struct epoll_event events[CONNECTIONS_MAX];
	int epoll = loop_new();
	uint64_t answered = 0, outstanding = (uint64_t)connections * flight;
	char name[32], title[64];

	if (!peers)
		die("memory");
	for (int i = 0; i < connections; i++)
		peer_watch(epoll, &peers[i], socket_ready(socket(AF_INET, SOCK_STREAM, 0), address), 1);
	ready_wait(peers[0].fd);
	uint64_t start = now_ns(), end = start + (uint64_t)(options->seconds * 1e9);
	for (int i = 0; i < connections; i++)
		rows_send(&client, &peers[i], flight);
	while (outstanding) {
		int count = epoll_wait(epoll, events, CONNECTIONS_MAX, -1);
		bool open = now_ns() < end;
		for (int i = 0; i < count; i++) {
			uint64_t done = answers_take(&client, events[i].data.ptr);
			answered += done;
			if (open && done)
				rows_send(&client, events[i].data.ptr, done);
			else
				outstanding -= done;
		}
	}
	double seconds = (double)(now_ns() - start) / 1e9;
	for (int i = 0; i < connections; i++)
		close(peers[i].fd);
	snprintf(name, sizeof name, "single_%dx%u", connections, flight);
	snprintf(title, sizeof title, "single requests, %d connections x %u", connections, flight);
	report(name, title, answered, seconds, &client.latencies);
}

static int measure(const struct bare_options *options, int log, int connections, unsigned flight)
{
	struct sockaddr_in address;
	int listening = socket_listen(&address), status = 1;
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		struct bare bare = { .log = log, .log_bytes = LOG_BYTES };
		double ids = (options->seconds + 1) * 1e6;
		bare_open(&bare, options->members, (uint64_t)ids);
		exit(serve(&bare, listening, connections));
	}
	drive(options, &address, connections, flight);
	close(listening);
	waitpid(child, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	static const char *const usual[] = { "64x1", "1x64", "8x1", "1x1" };
	static const char usage[] = "bare_single [--data DIR] [--seconds 10] [--members 1000000] [--only CONNECTIONSxFLIGHT]";
	struct bare_options options = options_take(argc, argv, usage);
	int log = log_open(options.data, LOG_BYTES), status = 0;
	for (size_t i = 0; i < sizeof usual / sizeof *usual && !status; i++) {
		char *x;
		const char *mode = options.only ? options.only : usual[i];
		unsigned long connections = strtoul(mode, &x, 10), flight = *x == 'x' ? strtoul(x + 1, NULL, 10) : 0;
		if (!connections || connections > CONNECTIONS_MAX || !flight || flight > FLIGHT_MAX) {
			fprintf(stderr, "usage: %s\n", usage);
			return 64;
		}
		status = measure(&options, log, (int)connections, (unsigned)flight);
		if (options.only)
			break;
	}
	return status != 0;
}
