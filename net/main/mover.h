// SPDX-License-Identifier: Apache-2.0
/* mover.h - moves old ids out of memory into runs on disk, in steps; filer.c hosts it on a thread, tests/sim among everything else.
 *
 *     log between two LSNs -> a run, durable -> every shard is handed it -> every shard drops what is in it
 *
 * A step reads some of the log, writes some entries, makes something durable, or hands the shards something; none waits.  A
 * crash between any two loses no id: a run is made from the log, and the shards drop nothing that is not in a durable one.
 *
 * Threads: one calls mover_step; change->after comes from those of the shards.
 */
#ifndef NET_MAIN_MOVER_H
#define NET_MAIN_MOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/shard/shard.h"
#include "snapshot/runs.h"
#include "wal/wal.h"

struct mover_options {
	uint64_t memory;               /* bytes that ids in memory may take before the oldest move; 0: they stay */
	int64_t retention_ms;          /* ids whose part of the log is gone are forgotten when they are older; 0: never */
	uint64_t run_ids;              /* of one run before it is merged; 0: 4 million, 96 MB while it is made */
	uint64_t step_ids, step_bytes; /* written, and read of the log, in one step; 0: as is good for a thread */
	uint64_t window;               /* bytes of the log read at once; 0: 1 MiB */
	const struct wal *wal;
	struct shard *shards;
	unsigned count;
	void (*post)(void *context, unsigned shard, struct message *message);
	void (*hold)(void *context, uint64_t lsn);     /* nothing of the log at or behind it may go */
	uint64_t (*target)(void *context);             /* the log below may go as soon as its ids are in runs; 0: none may */
	void (*log)(void *context, const char *level, const char *line);       /* level: info, warning, error */
	void (*all_made)(void *context);               /* from a shard: the change that mover_step waited for is made */
	void *context;
};

struct mover;

enum mover_next {
	MOVER_GOES_ON,
	MOVER_WAITS,                   /* for the shards; they must go on stepping */
	MOVER_RESTS                    /* nothing to do now: to be called again after a while */
};

/* Has the states leave out what the store's runs hold, before anything is loaded. */
struct mover *mover_new(struct runs_store *store, struct state *const *states, unsigned count);
/* The log is replayed: sees to it that the runs hold all that a snapshot left out, made from the log once more if need be.  False with
 * a line in `error`: they do not fit together. */
bool mover_settle(struct mover *mover, const struct mover_options *options, struct buf *error);
void mover_start(struct mover *mover);         /* the shards run from now on: its first hold */
enum mover_next mover_step(struct mover *mover);
/* What the shards have, for figures; of the thread that steps. */
const struct id_runs *mover_handed(const struct mover *mover);
/* Not while a step has ended with MOVER_WAITS, unless the shards are gone. */
void mover_free(struct mover *mover);

#endif
