// SPDX-License-Identifier: Apache-2.0
/* past.h - footers, retention and the archive in a simulated history, and what was at any moment of it.
 *
 * Held against the documentation (docs/operations.md, docs/log-format.md):
 *   - a segment goes only when it lies below the target, when nobody holds it, when every whole snapshot finds the log behind it, and
 *     when its copy in the archive is there; archive and log together are all that was ever written
 *   - what is asked of a moment is the model's at that position, or pruned exactly where the log is gone
 *   - a footer says the same however often it is made
 */
#ifndef TESTS_SIM_PAST_H
#define TESTS_SIM_PAST_H

#include "tests/sim/node.h"
#include "tests/sim/oracle.h"

enum { PAST_MOMENTS = 48, PAST_FOOTERS = 128 };

struct past_swarm {
	bool on, archive, archive_full;
	uint64_t bytes, age_ms;
	unsigned footers_one_in, retain_one_in, ask_one_in, hold_one_in, lose_one_in;
};

/* The model's books behind a frame. */
struct past_moment {
	uint64_t lsn, end;             /* of its last byte's LSN and what follows: nothing of the next frame is in it */
	int64_t time_ms;
	bool known[4];
	u128 sums[4][ACCOUNT_KINDS][4];
};

struct past {
	struct past_swarm swarm;
	struct past_moment *moments;   /* owned; some, in order */
	unsigned moment_count, every, skipped;
	uint64_t dropped, first;       /* segments; where the log begins, as far as was told */
	uint64_t hold;                 /* UINT64_MAX: none */
	struct { uint64_t end, sums, all; } footers[PAST_FOOTERS];     /* hashes of what each said the first time; all: 0: not known */
	unsigned footer_count;
};

#endif
