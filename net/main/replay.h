// SPDX-License-Identifier: Apache-2.0
/* replay.h - the log becomes state again: one reader, and a worker for each shard.
 *
 * The reader collects frames into a chunk while the workers apply the one before.  Every worker sees every record and takes
 * what its shard owns, so the number of shards may differ from the last run's.  The catalog is applied by shard 0's worker.
 */
#ifndef NET_MAIN_REPLAY_H
#define NET_MAIN_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/catalog/catalog.h"
#include "engine/shard/state.h"
#include "wal/wal.h"

struct replay;

/* `states` are borrowed and must be initialised. */
struct replay *replay_new(struct state **states, unsigned count, struct catalog *catalog);
bool replay_frame(void *replay, const struct wal_frame *frame);    /* a wal_replay_fn */
/* Waits for the workers, ends them.  False if a record could not be read: *broken_lsn says where. */
bool replay_end(struct replay *replay, uint64_t *broken_lsn, uint64_t *records);

/* One frame for all states, here and now, without workers: for who has one thread.  The LSN of a record that cannot be read,
 * or UINT64_MAX. */
uint64_t replay_now(struct state **states, unsigned count, struct catalog *catalog, const struct wal_frame *frame);

#endif
