// SPDX-License-Identifier: Apache-2.0
/* The load generator for other engines: what it asks of each engine's protocol.
 *
 * One thread, one epoll, closed loop.  A slot is one request under way: a batch of rows that keeps its rows until it is
 * answered, so that a refused one (a deadlock) can be sent again with the same ids.  A protocol writes a request
 * into bytes and finds one whole reply in bytes; sockets, slots, clocks and histograms are peer_load.c's.
 */
#ifndef BENCH_PEERS_PEER_H
#define BENCH_PEERS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One transfer: tenant's liability to member. */
struct peer_row {
	uint8_t id[16];      /* never sent twice, but by the check at the end */
	uint32_t tenant;     /* 0 .. tenants - 1 */
	uint32_t member;     /* 0 .. members - 1 */
	uint32_t amount;     /* 1 .. 1000 */
};

enum peer_outcome { PEER_APPLIED, PEER_RETRY, PEER_FAILED };

struct peer_reply {
	enum peer_outcome outcome;
	uint32_t slot;       /* which request, where replies overtake (struct peer_protocol, tagged) */
	uint64_t applied;    /* rows that were new */
	char detail[160];    /* of PEER_RETRY and PEER_FAILED: what the engine said */
};

struct peer_protocol {
	const char *name;
	bool tagged;             /* replies name their slot; otherwise they come in the order of the requests */
	size_t request_bytes;    /* upper bound of a request without rows ... */
	size_t row_bytes;        /* ... and of what a row adds */
	/* Prepares a connection, blocking.  script is the text of --script, or NULL.  False, with the reason in `why`: it is
	 * not possible, or not yet. */
	bool (*greet)(int fd, const char *script, char *why, size_t why_size);
	/* Writes one request; returns its bytes, at most request_bytes + count * row_bytes. */
	size_t (*encode)(uint8_t *out, const struct peer_row *rows, uint32_t count, uint32_t slot);
	/* Reads one whole reply at the start of in[0 .. len): its bytes; 0 when there is not yet one; -1 when it is not the
	 * protocol. */
	ptrdiff_t (*parse)(const uint8_t *in, size_t len, struct peer_reply *reply);
};

extern const struct peer_protocol peer_postgresql, peer_redis, peer_tarantool;

/* Blocking helpers for greet: all of len, or false. */
bool peer_send(int fd, const void *data, size_t len);
bool peer_receive(int fd, void *data, size_t len);

/* Writes value as decimal digits at out, without a terminating zero; returns how many (1 to 20). */
size_t peer_digits(char *out, uint64_t value);

#endif
