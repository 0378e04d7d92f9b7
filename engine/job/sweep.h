// SPDX-License-Identifier: Apache-2.0
/* sweep.h - rewards past their end are marked as expired: of one tenant or of all.
 *
 * It looks through the members as a job does (scan.h) and has each member who has one expire what is due, by a record of the
 * member's own.  What a reward may be used for does not rest on it: a reward past its end cannot be used anyway.
 */
#ifndef ENGINE_JOB_SWEEP_H
#define ENGINE_JOB_SWEEP_H

#include "engine/env/env.h"
#include "engine/job/scan.h"
#include "engine/shard/batch.h"

struct sweep {
	/* in; everything else zero */
	struct str tenant;             /* borrowed until `after`; empty: all */
	bool dry_run;                  /* count, write nothing */
	bool stop;                     /* set by the owner: end early */
	void (*after)(struct sweep *sweep);    /* it is through; on the loop; not from within sweep_start */
	void *context;
	/* out */
	uint64_t members, expired;
	struct problem problem;        /* why something could not be written; the first one */
	/* its own */
	const struct env *env;
	struct scan scan;
	struct batch batch;
	bool batch_made;
	uint32_t row_cap;
};

void sweep_start(struct sweep *sweep, const struct env *env);      /* from the loop */
void sweep_free(struct sweep *sweep);          /* what it holds; not the sweep itself */

#endif
