// SPDX-License-Identifier: Apache-2.0
/* runs.h - the runs of ids of a data directory: which there are, adding, merging, forgetting, looking up.
 *
 *     DIR/manifest                  the runs, oldest first, without gaps between them, and what else must be remembered
 *     DIR/0000000000000007.run      run.h
 *     DIR/new.run, DIR/new.manifest one that is being written, or was when the process ended
 *
 * Invariants
 *   - a manifest gets its name after all runs in it are durable under theirs; what it does not name is nothing
 *   - every id whose outcome lies in [first run's from, below) is in a run, or older than `forgotten`
 *   - at most RUNS_MAX runs; an id is in one of them only
 *
 * Threads: one writes (runs_add, runs_merge, runs_forget, jobs); any number hold a set and read from it.
 */
#ifndef SNAPSHOT_RUNS_H
#define SNAPSHOT_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/ledger/filed.h"
#include "snapshot/run.h"

enum { RUNS_VERSION = 1, RUN_MARKS_MAX = 1024 };

struct run_mark { uint64_t lsn; int64_t time_ms; };    /* all below lsn was decided at or before time_ms */

/* What the manifest says. */
struct runs_manifest {
	uint64_t below;                /* all ids with an LSN below it are in the runs, or forgotten; where a frame begins */
	uint64_t forgotten;            /* ids below it are forgotten, wherever they still stand */
	uint64_t next_serial;
	uint64_t done, failed;         /* ids ever moved here: of outcomes, of refusals */
	uint32_t count, mark_count;
	struct run_info runs[RUNS_MAX];
	struct run_mark marks[RUN_MARKS_MAX];  /* in order */
};

void runs_manifest_encode(const struct runs_manifest *manifest, struct buf *out);
/* False with a line in `error`: damaged, or of a newer version. */
bool runs_manifest_decode(const void *bytes, size_t len, struct runs_manifest *manifest, struct buf *error);

/* The runs at one moment; does not change. */
struct runs {
	struct id_runs shown;          /* for the shards */
	uint64_t forgotten;
	unsigned count;
	struct run *runs[RUNS_MAX];
	atomic_uint users;
};

struct runs_store;

/* Opens the folder, which need not be there: the first run makes it.  With `write` what an interrupted writer left is removed.  NULL with a line in
 * `error`: damaged, unreadable. */
struct runs_store *runs_open(const char *dir, bool write, struct buf *error);
void runs_close(struct runs_store *store);
const struct runs_manifest *runs_manifest(const struct runs_store *store);     /* the writer's thread; until the next change */

/* The newest set; to be released. */
struct runs *runs_hold(struct runs_store *store);
void runs_release(struct runs *runs);

/* Moves ids here: `entries`, in any order (they are sorted in place), are all of [manifest's below, below); all were decided at
 * or before time_ms.  False with a line in `error`: nothing has changed.  There is room for a run (runs_due says so). */
bool runs_add(struct runs_store *store, struct run_entry *entries, uint64_t count, uint64_t below, int64_t time_ms,
	      struct buf *error);
/* Whether some runs should become one, or one be written again without what is forgotten. */
bool runs_due(const struct runs_store *store);
bool runs_merge(struct runs_store *store, struct buf *error);  /* does that */

/* The same in steps: one job at a time, and nothing else is changed meanwhile. */
struct runs_job;
enum runs_next { RUNS_GOES_ON, RUNS_DONE, RUNS_FAILED };
/* `entries` is lent until the job is ended. */
struct runs_job *runs_add_begin(struct runs_store *store, struct run_entry *entries, uint64_t count, uint64_t below, int64_t time_ms);
struct runs_job *runs_merge_begin(struct runs_store *store);   /* NULL: nothing is due */
/* At most `budget` entries, or what makes them durable.  RUNS_FAILED: with a line in `error`. */
enum runs_next runs_job_step(struct runs_job *job, uint64_t budget, struct buf *error);
/* At any moment; of a job that was not done nothing is left but a file without meaning. */
void runs_job_end(struct runs_job *job);

/* Ids below `lsn` are forgotten from now on. */
bool runs_forget(struct runs_store *store, uint64_t lsn, struct buf *error);
/* The greatest LSN such that all below it was decided at or before time_ms; 0: not known. */
uint64_t runs_lsn_before(const struct runs_store *store, int64_t time_ms);

/* Answers a query (filed.h).  False with a line in `error`, and query->failed. */
bool runs_find(const struct runs *runs, struct id_query *query, struct buf *error);
/* What was kept of the outcome at `lsn` of an id with this hash.  False with a line in `error`: it cannot be read. */
bool runs_kept(const struct runs *runs, uint64_t hash, uint64_t lsn, struct id_kept *kept, struct buf *error);
/* A line for each id, as state_dump writes those in memory.  False with a line in `error`. */
bool runs_dump(const struct runs *runs, struct buf *out, struct buf *error);
/* What the manifest says, without opening the runs; nothing for a folder that is not there. */
bool runs_peek(const char *dir, struct runs_manifest *manifest, struct buf *error);
/* Every byte of all runs.  False with a line in `error`. */
bool runs_verify(const struct runs *runs, struct buf *error);

#endif
