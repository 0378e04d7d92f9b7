// SPDX-License-Identifier: Apache-2.0
/* courier.h - tells other systems: the POST that call_webhook asked for, at least once, after the event is durable.
 *
 * A tail of the log with a cursor of its own (DIR/courier, written about once a second): what stands before it was taken by the
 * receiver, or given up after so many attempts, which is logged and counted.  Shards say where the last event with a webhook stands, so
 * that a log without any is not read.  A receiver that does not answer holds up nobody else's until COURIER_WAITING deliveries wait;
 * then the cursor stands still, and the log is kept for it.
 *
 * Receivers see Tally-Delivery, the same for every attempt of one delivery, and can tell repeats by it.
 *
 * Runs on: a thread of its own.
 */
#ifndef NET_HOOK_COURIER_H
#define NET_HOOK_COURIER_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "wal/wal.h"

enum { COURIER_WAITING = 1024, COURIER_IN_FLIGHT = 16, COURIER_TEXT = 64 };

struct courier_options {
	const char *dir;               /* the data directory */
	const struct wal *wal;
	const char *message_url;       /* where messages go; NULL: nowhere */
	unsigned attempts;             /* of one delivery; at least 1 */
	unsigned timeout_s;            /* of one attempt */
	/* LSN of the newest event with a webhook, 0: none; from any thread. */
	uint64_t (*newest)(void *context);
	/* Nothing at or behind this LSN may be dropped from the log. */
	void (*hold)(void *context, uint64_t lsn);
	void *context;
};

struct courier;

/* What its file holds: "tally courier 1\n", the LSN in digits and a newline.  False: it is something else; *version is that of a file of
 * another version, or 0. */
bool courier_cursor_read(struct str text, uint64_t *version, uint64_t *lsn);
size_t courier_cursor_write(char out[COURIER_TEXT], uint64_t lsn);         /* its length */

/* NULL with a line in `error`: its file cannot be read, or the thread cannot be started. */
struct courier *courier_start(const struct courier_options *options, struct buf *error);
/* Stops soon; what was not taken goes out again after the next start. */
void courier_stop(struct courier *courier);

#endif
