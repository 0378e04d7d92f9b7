// SPDX-License-Identifier: Apache-2.0
/* filer.h - the threads behind ids on disk: one hosts the mover's steps (mover.h), one answers the shards' queries (engine/ledger/filed.h).
 *
 * Neither holds up a shard.
 */
#ifndef NET_MAIN_FILER_H
#define NET_MAIN_FILER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/shard/shard.h"
#include "net/main/mover.h"

struct filer;

/* Opens DATA/ids, before anything is loaded: the states then leave out what is there.  NULL with a line in `error`. */
struct filer *filer_open(const char *data, struct state *const *states, unsigned count, struct buf *error);
uint64_t filer_below(const struct filer *filer);       /* the log was once durable up to it; before it runs */
/* The log is replayed: mover_settle.  Of the options `log`, `all_made` and `context` of these two are the filer's own. */
bool filer_settle(struct filer *filer, const struct mover_options *options, struct buf *error);
void filer_start(struct filer *filer);
void filer_read(struct filer *filer, struct id_query *query);  /* env.ids_read */

/* From any thread: what was kept of an outcome whose record is gone.  False: a run cannot be read, and the server's log says so. */
bool filer_kept(struct filer *filer, uint64_t hash, uint64_t lsn, struct id_kept *kept);
/* Begins nothing more; what is under way needs the shards to go on stepping while filer_busy. */
void filer_stop(struct filer *filer);
bool filer_busy(struct filer *filer);
void filer_close(struct filer *filer);         /* not while busy */

#endif
