// SPDX-License-Identifier: Apache-2.0
/* scheduler.h - the runs of jobs that are under way, and what is due.
 *
 * It is asked from time to time (scheduler_tick) and asks the catalog what is due at the time that the world says it is; all
 * that it must not forget is in the documents of the jobs.  Here is only which runs are under way in this process, so that no
 * job runs twice at a time.  The simulator owns one as the server does: it ticks it, gives finished messages back, and compares.
 *
 * Missed occurrences: one run catches up, with the bucket of the last one.
 *
 * Beside jobs it sweeps through the members' rewards now and then; nothing is missed where that does not come to its end.
 */
#ifndef ENGINE_JOB_SCHEDULER_H
#define ENGINE_JOB_SCHEDULER_H

#include "engine/job/run.h"
#include "engine/job/sweep.h"

enum { SCHEDULER_RUNS_MAX = 4,         /* that it starts itself, at a time */
       SCHEDULER_ASK_MS = 250,         /* between two questions */
       SCHEDULER_PAUSE_MS = 5000       /* after a run that could not go through */ };

struct scheduler {
	const struct env *env;         /* borrowed */
	bool on;                       /* runs what is due; off: only what scheduler_run is given */
	/* A run is through, one's own or another's, before its `after`; NULL: nobody wants to know. */
	void (*ended)(void *context, const struct job_run *run);
	void (*known)(struct job_run *run);    /* for its own runs (run.h) */
	int64_t sweep_every_ms;        /* rewards past their end are marked so often, first so long after the first tick; 0: never */
	void (*swept)(void *context, const struct sweep *sweep);       /* such a sweep is through; NULL: nobody wants to know */
	void *context;
	/* its own */
	struct job_run *runs;          /* under way; linked by `next` */
	unsigned own;                  /* of them, those that it started */
	bool asking, stopping;
	int64_t ask_ms, sweep_ms;      /* not before */
	struct sweep *sweep;           /* owned; NULL: none is under way */
	struct catalog_request request;
};

/* From the loop. */
void scheduler_tick(struct scheduler *scheduler);
/* Starts a run that somebody asked for, filled in as run.h says.  False: the job runs already. */
bool scheduler_run(struct scheduler *scheduler, struct job_run *run);
bool scheduler_busy(const struct scheduler *scheduler);
/* Runs end early, and no new ones begin; what is missing is made after the next start. */
void scheduler_stop(struct scheduler *scheduler);
void scheduler_free(struct scheduler *scheduler);      /* nothing is under way */

#endif
