// SPDX-License-Identifier: Apache-2.0
/* loader.h - the newest snapshot that is whole becomes state.
 *
 * Each shard has three threads: one reads, checks and decompresses its pieces, one makes actors of them, one takes the ids.  A snapshot that turns
 * out to be broken is said so and left alone; what was loaded of it is thrown away, and the one before is tried.
 */
#ifndef SNAPSHOT_LOADER_H
#define SNAPSHOT_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/catalog/catalog.h"
#include "engine/shard/state.h"

struct snapshot_load {
	/* in */
	const char *dir;
	struct state **states;         /* borrowed; initialised and empty; by shard */
	unsigned count;
	struct catalog *catalog;       /* borrowed; empty */
	uint64_t until;                /* snapshots that know of anything behind this LSN are left aside; 0: none is */
	uint64_t log_end;              /* where the log's files end: what its snapshots may count on; 0: not known */
	void (*log)(void *context, const char *level, const char *message);    /* one readable line; may be NULL */
	void *context;
	void (*progress)(void *context, uint64_t done, uint64_t total);        /* bytes; from any thread; may be NULL */
	void *progress_context;
	bool stepped;                  /* no threads: for who has one */
	/* out */
	bool loaded;                   /* false: there is none that is whole; states and catalog are empty */
	unsigned broken;               /* so many were passed over */
	uint64_t from;                 /* LSN from which the log is to be replayed; 0 without a snapshot */
	uint64_t end;                  /* nothing at or behind it is in the snapshot; likewise */
	uint64_t known;                /* the log is known to reach at least here: also by a broken snapshot whose manifest is whole */
	uint64_t raw_size;
	uint64_t took_ns;
	struct seen seen;              /* what replay skips; the states point here: it must stay until snapshot_load_end */
};

void snapshot_load_begin(struct snapshot_load *load);
/* The replay is through: the states forget about `seen`.  False with a line in `error` where something the snapshot left to the
 * log was not there. */
bool snapshot_load_end(struct snapshot_load *load, struct buf *error);

#endif
