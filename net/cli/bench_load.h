// SPDX-License-Identifier: Apache-2.0
/* bench_load.h - sending requests as fast as they are answered, or at a given rate, and timing the answers.
 *
 * One thread, non-blocking sockets, epoll. What is sent and what the answers mean is a bench_work; the load knows
 * connections, requests in flight, MessagePack-RPC's and HTTP's framing, and time.
 *
 * Closed loop (rate 0): each connection keeps in_flight requests under way; latency counts from the moment before a
 * request is sent. Open loop: request k is due at start + k / rate, whatever became of the others; it is sent as soon
 * as a place is free, but its latency counts from when it was due. So a server that stops for a second shows that
 * second in every request that should have been sent meanwhile (no coordinated omission). What was due and could not
 * even be sent is `unsent`.
 */
#ifndef NET_CLI_BENCH_LOAD_H
#define NET_CLI_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/cli/histogram.h"
#include "net/cli/options.h"

enum {
	BENCH_MSGID_AT = 3,            /* an RPC request begins 94 00 ce, then the msgid, which the load fills in */
	BENCH_REFUSALS = 256,          /* numbers from here on are counted as the last */
	BENCH_ERRORS = 8               /* different error replies that are told apart */
};

struct bench_error {
	char name[64];                 /* of the error map; "HTTP 503" */
	char detail[256];
	uint64_t count;
};

struct bench_result {
	struct histogram latency;      /* nanoseconds; of the requests that were measured */
	uint64_t requests, rows;       /* measured; rows without refused ones */
	double seconds;                /* measured */
	uint64_t refused;              /* rows, from the first to the last request */
	uint64_t refusals[BENCH_REFUSALS];     /* the same by number */
	uint64_t error_count;          /* requests answered with an error */
	struct bench_error errors[BENCH_ERRORS];
	uint64_t bytes_sent, bytes_received;   /* from the first to the last request */
	uint64_t rows_sent;
	uint64_t unsent;               /* open loop: requests that were due and found no free place */
	double cpu_seconds;            /* what the generator itself took, warm-up included */
};

struct bench_work {
	size_t request_max;            /* bytes of the largest request */
	uint32_t rows;                 /* of a full request; the last one of a counted run may have fewer */
	bool http;                     /* requests and answers are HTTP, answered in order */
	/* Writes one request with `rows` rows and returns its length, at most request_max. */
	size_t (*make)(struct bench_work *work, unsigned char *out, uint32_t rows);
	/* Reads the result object (RPC) or the body (HTTP) of one answer; adds to refusals and returns the refused rows. */
	uint32_t (*judge)(struct bench_work *work, const unsigned char *answer, size_t len, struct bench_result *result);
};

struct bench_load {
	const struct listen_address *address;
	uint32_t connections, in_flight;       /* in_flight: requests on each connection */
	double rate;                   /* rows a second; 0: closed loop */
	double warmup, seconds;        /* not measured, then measured */
	uint64_t count;                /* rows; 0: for `seconds`. With a count there is no warm-up and all is measured */
	const char *title;             /* of the progress line; NULL: none. Shown on a terminal only */
};

/* Runs until the time is over or the count is reached and every answer is there. `result` must be zero. False: it
 * could not be done, and `error` (of 256 bytes at least) says why; error replies are no reason unless there are many. */
bool bench_load_run(const struct bench_load *load, struct bench_work *work, struct bench_result *result, char *error);

uint64_t bench_clock(void);                        /* nanoseconds, monotonic */

#endif
