// SPDX-License-Identifier: Apache-2.0
/* footers.h - the footers of sealed segments as this process keeps them, and the past as they tell it.
 *
 * A tail: it has a cursor of its own in the log, runs on one thread outside the shards (net/main/tail.c) and stands in nobody's way.
 * Footers follow from the log.  The tail goes forward from the newest one that is whole; where those before it are missing or
 * damaged it goes backward, since what a segment did may be taken from what stood behind it; where there is none it begins with
 * what recovery found.
 *
 *     footers_open                before any thread runs: names and, where it takes that, sums out of the recovered state
 *     footers_step                the tail's thread: one piece of work
 *     footers_moment, _books      worker threads: questions
 */
#ifndef NET_MAIN_FOOTERS_H
#define NET_MAIN_FOOTERS_H

#include <stdatomic.h>

#include "snapshot/footer.h"
#include "wal/wal.h"

struct footers;

/* `dir` is copied.  `states`: as recovered, all records below wal_durable in them. */
struct footers *footers_open(const char *dir, const struct wal *wal, struct state *const *states, unsigned count);
void footers_close(struct footers *footers);

/* True: it did something, call it again.  Gives up soon when *stop becomes true. */
bool footers_step(struct footers *footers, const atomic_bool *stop);
/* Whether steps go slowly while the log grows.  Not where old segments wait to be dropped. */
void footers_give_way(struct footers *footers, bool paced);
/* All segments that end at or before this LSN have a footer. */
uint64_t footers_lsn(const struct footers *footers);
/* What a dropped segment leaves behind: all footers that end below `first` go. */
void footers_forget(struct footers *footers, uint64_t first);
/* The end of the newest of them below which no frame is later than `time_ms`; 0: there is none. */
uint64_t footers_until(struct footers *footers, int64_t time_ms);
struct books_names *footers_names(const struct footers *footers);

/* ---- the past ---------------------------------------------------------------------------------------------------------- */

enum past_outcome {
	PAST_DONE,
	PAST_PRUNED,                   /* the log begins later */
	PAST_UNREADABLE,               /* the disk does not give it, or what it gives is damaged; the server's log says where */
	PAST_BUSY                      /* footers are being made: ask again */
};

/* A moment: an LSN, all records up to and at it; or a time, the highest LSN up to which no frame is later. */
struct moment {
	uint64_t lsn;                  /* in, unless by_time; out: the LSN, at most the durable one */
	int64_t time_ms;               /* in, if by_time; out: the time of the latest frame up to there; INT64_MIN: there is none */
	bool by_time;
};

enum past_outcome footers_moment(struct footers *footers, struct moment *moment);
/* The books of one tenant at an LSN (as moment gives it).  books_free them in any case; without a line: it has none there. */
enum past_outcome footers_books(struct footers *footers, struct str tenant, uint64_t lsn, struct books *books);
/* Where a frame begins at or before `lsn`, not far away. */
uint64_t footers_frame_before(struct footers *footers, uint64_t lsn);
/* Whether the tenant has any record in the sealed segment that holds `lsn`; true where that is not known.  *end: the segment's. */
bool footers_touched(struct footers *footers, struct str tenant, uint64_t lsn, uint64_t *end);

#endif
