// SPDX-License-Identifier: Apache-2.0
/* batch - the bare path of batches: what two threads and a disk do when nothing is in their way.
 *
 *     bare_batch [--data DIR] [--seconds 10] [--members 1000000] [--only 1|2|N]
 *
 * One thread takes batches of 8,190 rows of 64 bytes from loopback, looks the id and both accounts up (prefetching
 * 16 rows ahead), updates both balances, copies the row into a ring and checksums the batch. A second thread writes
 * what is there, a batch a write (8,190 rows and a head of 128 bytes are 512 KiB), and answers. The client is a
 * process of its own with N batches in flight; it makes the next batch while it waits. Latency is from before the
 * first byte is sent to the answer.
 */
#include "bench/bare/bare.h"

#include <pthread.h>
#include <semaphore.h>

enum { ROWS = 8190, SLOT_BYTES = 512 << 10, SLOTS = 16, FLIGHT_MAX = 8, LOG_BYTES = 1 << 30 };

struct slot {
	uint64_t checksum, position, count, reserved[13];
	struct bare_row rows[ROWS];
};
_Static_assert(sizeof(struct slot) == SLOT_BYTES, "a slot is written as it is");

struct server {
	struct bare bare;
	struct slot *ring;
	int socket;
	uint64_t batches;              /* in the ring so far; the writer stops when an empty slot comes */
	sem_t filled, empty;
};

static void *writer(void *argument)
{
	struct server *server = argument;
	for (uint64_t batch = 0;; batch++) {
		sem_wait(&server->filled);
		struct slot *slot = &server->ring[batch % SLOTS];
		if (!slot->count)
			return NULL;
		log_write(&server->bare, slot, sizeof *slot);
		if (send(server->socket, &batch, sizeof batch, MSG_NOSIGNAL) != (ssize_t)sizeof batch)
			die("answer");
		sem_post(&server->empty);
	}
}

/* False: the client is done. */
static bool batch_take(struct server *server, struct bare_row *rows)
{
	ssize_t got = recv(server->socket, rows, sizeof(struct bare_row) * ROWS, MSG_WAITALL);
	if (got && got != (ssize_t)sizeof(struct bare_row) * ROWS)
		die("batch");
	while (sem_wait(&server->empty))
		;
	struct slot *slot = &server->ring[server->batches++ % SLOTS];
	slot->count = got ? ROWS : 0;
	slot->position = server->bare.position;
	for (size_t i = 0; got && i < ROWS; i++) {
		if (i + AHEAD < ROWS)
			row_prefetch(&server->bare, &rows[i + AHEAD]);
		row_apply(&server->bare, &rows[i], slot->position + i * ROW_BYTES);
		slot->rows[i] = rows[i];
	}
	if (got)
		slot->checksum = XXH3_64bits(slot->rows, sizeof slot->rows);
	server->bare.position += slot->count * ROW_BYTES;
	sem_post(&server->filled);
	return got;
}

static int serve(struct server *server, int listening)
{
	struct bare_row *rows = pages(SLOT_BYTES);
	pthread_t thread;
	server->ring = pages((uint64_t)SLOTS * SLOT_BYTES);
	sem_init(&server->filled, 0, 0);
	sem_init(&server->empty, 0, SLOTS);
	server->socket = socket_ready(accept(listening, NULL, NULL), NULL);
	if (pthread_create(&thread, NULL, writer, server))
		die("thread");
	ready_say(server->socket);
	while (batch_take(server, rows))
		;
	pthread_join(thread, NULL);
	return bare_check(&server->bare, (server->batches - 1) * ROWS) ? 0 : 1;
}

static void rows_send(int socket, const char *bytes)
{
	for (size_t sent = 0; sent < sizeof(struct bare_row) * ROWS;) {
		ssize_t more = send(socket, bytes + sent, sizeof(struct bare_row) * ROWS - sent, MSG_NOSIGNAL);
		if (more <= 0)
			die("send");
		sent += (size_t)more;
	}
}

static void drive(const struct bare_options *options, const struct sockaddr_in *address, unsigned flight)
{
	struct bare_row *rows = pages(SLOT_BYTES);
	struct latencies latencies = { 0 };
	uint64_t random[4] = { mix(now_ns()), 2, 3, 4 }, began[FLIGHT_MAX], sent = 0, answered = 0, answer;
	int connection = socket_ready(socket(AF_INET, SOCK_STREAM, 0), address);
	char name[32], title[64];

	rows_make(rows, ROWS, random, options->members);
	ready_wait(connection);
	uint64_t start = now_ns(), end = start + (uint64_t)(options->seconds * 1e9), now = start;
	for (bool open = true; open || answered < sent;) {
		if (open && sent - answered < flight) {
			began[sent++ % FLIGHT_MAX] = now_ns();
			rows_send(connection, (const char *)rows);
			rows_make(rows, ROWS, random, options->members);
			continue;
		}
		if (recv(connection, &answer, sizeof answer, MSG_WAITALL) != (ssize_t)sizeof answer || answer != answered)
			die("the server's answer");
		now = now_ns();
		latency_add(&latencies, now - began[answered++ % FLIGHT_MAX]);
		open = now < end;
	}
	close(connection);
	snprintf(name, sizeof name, "batch_%u", flight);
	snprintf(title, sizeof title, "batches of %d, %u in flight", ROWS, flight);
	report(name, title, answered * ROWS, (double)(now - start) / 1e9, &latencies);
}

static int measure(const struct bare_options *options, int log, unsigned flight)
{
	struct sockaddr_in address;
	int listening = socket_listen(&address), status = 1;
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (!child) {
		struct server *server = calloc(1, sizeof *server);
		if (!server)
			die("memory");
		double ids = (options->seconds + 1) * 16e6;
		bare_open(&server->bare, options->members, ids < 190e6 ? (uint64_t)ids : (uint64_t)190e6);
		server->bare.log = log;
		server->bare.log_bytes = LOG_BYTES;
		exit(serve(server, listening));
	}
	drive(options, &address, flight);
	close(listening);
	waitpid(child, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	struct bare_options options = options_take(argc, argv,
		"bare_batch [--data DIR] [--seconds 10] [--members 1000000] [--only BATCHES-IN-FLIGHT]");
	unsigned only = options.only ? (unsigned)strtoul(options.only, NULL, 10) : 0;
	int log = log_open(options.data, LOG_BYTES), status = 0;
	if (only > FLIGHT_MAX)
		only = FLIGHT_MAX;
	for (unsigned flight = 1; flight <= 2 && !only && !status; flight++)
		status = measure(&options, log, flight);
	if (only)
		status = measure(&options, log, only);
	return status != 0;
}
