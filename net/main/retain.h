// SPDX-License-Identifier: Apache-2.0
/* retain.h - what becomes of old segments: kept, copied to an archive and then dropped, or dropped.
 *
 * What is promised is the log from a target on: the newest `bytes` of it, or what is younger than `age_ms`; where both are given, what
 * either of them no longer asks for may go.  A segment goes only when all of this holds:
 *
 *     - it lies below the `from` of the newest whole snapshot that ends at or before the target; that one stays as long.  So every
 *       state from the target on can be made from what is there
 *     - it lies below the `from` of every other snapshot that is there: each finds the log behind it, should a newer one break
 *     - its footer is written, and so are all before it
 *     - nobody holds it (node_hold)
 *     - with an archive: its copy there is durable, and was read back and compared
 *
 * Oldest first, each durably gone before the next: a crash leaves no gap.
 *
 * Runs on: the tail's thread, but retain_plan (any).
 */
#ifndef NET_MAIN_RETAIN_H
#define NET_MAIN_RETAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "net/main/footers.h"

struct retain_options {
	uint64_t age_ms, bytes;        /* 0: no such bound; both 0: all is kept */
	const char *archive;           /* folder; NULL: what goes is gone */
	const char *data, *snapshots;  /* the data directory, its folder of snapshots */
};

struct retain;

/* NULL with a line in `error`: the archive cannot be used. */
struct retain *retain_new(const struct retain_options *options, struct wal *wal, struct footers *footers, struct buf *error);
void retain_free(struct retain *retain);

/* Nothing at or behind this LSN is dropped, as far as whoever `who` is goes; UINT64_MAX: let go. */
enum retain_hold { HOLD_REPLICAS, HOLD_ID_RUNS, HOLD_BACKUP, HOLD_WEBHOOKS, HOLDS };
void retain_hold(struct retain *retain, enum retain_hold who, uint64_t lsn);

/* The target, and how far apart in the log snapshots behind it should stay; 0, 0: all is kept. */
void retain_plan(const struct retain *retain, uint64_t *target, uint64_t *step);

/* Drops the oldest segment, if it may go.  True: it did, call it again.  Gives up soon when *stop becomes true. */
bool retain_step(struct retain *retain, const atomic_bool *stop);

#endif
