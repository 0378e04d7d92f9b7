// SPDX-License-Identifier: Apache-2.0
/* filer.h - moves old ids out of memory into runs on disk, and looks them up there.
 *
 *     mover:   log between two LSNs -> a run, durable -> every shard is handed it -> every shard drops what is in it
 *     reader:  queries of commands whose ids look as if they were in a run (engine/ledger/filed.h)
 *
 * Both are threads of their own; neither holds up a shard.  A crash at any moment loses no id: a run is made from the log, and the
 * shards drop nothing that is not in a durable one.
 */
#ifndef NET_MAIN_FILER_H
#define NET_MAIN_FILER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/shard/shard.h"
#include "snapshot/runs.h"
#include "wal/wal.h"

struct filer_options {
	uint64_t memory;               /* bytes that ids in memory may take before the oldest move; 0: they stay */
	int64_t retention_ms;          /* ids whose part of the log is gone are forgotten when they are older; 0: never */
	struct wal *wal;
	struct shard *shards;
	unsigned count;
	void (*post)(void *context, unsigned shard, struct message *message);  /* from any thread */
	void (*hold)(void *context, uint64_t lsn);     /* nothing of the log at or behind it may go */
	uint64_t (*target)(void *context);             /* the log below may go as soon as its ids are in runs; 0: none may */
	void *context;
};

struct filer;

/* Opens DATA/ids, before anything is loaded: the states then leave out what is there.  NULL with a line in `error`. */
struct filer *filer_open(const char *data, struct state *const *states, unsigned count, struct buf *error);
/* The log is replayed: sees to it that the runs hold all that a snapshot left out, made from the log once more if need be.  False with
 * a line in `error`: they do not fit together. */
bool filer_settle(struct filer *filer, const struct filer_options *options, struct buf *error);
void filer_start(struct filer *filer);
void filer_read(struct filer *filer, struct id_query *query);  /* env.ids_read */

/* From any thread: what was kept of an outcome whose record is gone.  False: a run cannot be read, and the server's log says so. */
bool filer_kept(struct filer *filer, uint64_t hash, uint64_t lsn, struct id_kept *kept);
/* Begins nothing more; what is under way needs the shards to go on stepping while filer_busy. */
void filer_stop(struct filer *filer);
bool filer_busy(struct filer *filer);
void filer_close(struct filer *filer);         /* not while busy */

#endif
