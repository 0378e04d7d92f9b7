// SPDX-License-Identifier: Apache-2.0
/* run.h - one run of a job, from its document to the outcome that is remembered.
 *
 *     read the job -> remember that it runs -> (look through members -> their events) ... -> remember the outcome
 *
 * A machine of states that is driven by finished messages; it knows neither threads nor clocks, so net/ and the simulator run
 * the same one.  Each arrow is a message; nothing waits in between, and no more than the events of one scan are in work.
 *
 * Events are ordinary rows with ROW_INTERNAL.  Their ids, job_{id}_{bucket}_{brand}_{profile}, make a run safe to repeat: what
 * is there already counts as existing.  A bucket is one occurrence of the schedule, or one day.  That a run was begun is in the
 * log before its first event and its end behind its last one, so a run that was cut off is found after a restart and is run
 * again with the same bucket; then only what is missing is made.  Whoever comes first does that: the scheduler, or a run by hand
 * before it does what was asked for.
 *
 * Such an id may be longer than what clients may send as one (200 bytes): the bound is the surfaces', the log has 65,535.
 */
#ifndef ENGINE_JOB_RUN_H
#define ENGINE_JOB_RUN_H

#include "engine/env/env.h"
#include "engine/job/job.h"
#include "engine/job/scan.h"
#include "engine/shard/batch.h"

struct scheduler;

enum job_run_kind {
	JOB_PREVIEW,                   /* whom it would choose; changes nothing */
	JOB_MANUAL,                    /* run now, whatever the schedule says */
	JOB_SCHEDULED                  /* run if it is due */
};

enum { JOB_ERROR_MAX = 240 };

struct job_run {
	/* in; everything else zero */
	enum job_run_kind kind;
	struct str tenant;             /* borrowed until `after` */
	uint64_t id;
	bool dry_run;                  /* MANUAL: decide the events, log nothing */
	size_t limit, offset;          /* PREVIEW: of the items */
	void (*after)(struct job_run *run);    /* it is through; on the loop */
	void *context;
	/* Rows of `batch` are ROW_KNOWN: makes sure of it in the log, then calls job_run_known.  NULL: they are what they seem. */
	void (*known)(struct job_run *run);
	bool stop;                     /* set by the owner: end early, without an outcome */
	/* out */
	struct problem problem;        /* status 0: it went through, or there was nothing to do */
	bool idle;                     /* SCHEDULED: was not due after all */
	struct job job;
	char bucket[JOB_BUCKET_MAX];
	int64_t started_ms;            /* of the run; where it goes on after a restart, of the first attempt */
	uint64_t targets, created, existing, failed;
	char error[JOB_ERROR_MAX];     /* of the first event that failed; "" */
	struct buf items;              /* PREVIEW: {"profileId":…,"eventId":…},… */
	struct buf payload;            /* JSON text of every event's payload */
	/* the machine's own */
	const struct env *env;
	struct rule *selector;
	yyjson_doc *payload_doc, *patch;
	struct catalog_request catalog;
	struct scan scan;
	struct batch batch;
	bool waited;                   /* for `known` to use */
	bool resumes;                  /* a run that was cut off comes first; then the one that was asked for */
	bool begun;                    /* the log has it that it runs */
	bool batch_made;
	struct buf ids;
	uint32_t row_cap;
	unsigned tries;
	/* The scheduler's: its list, and where the run goes after it. */
	struct scheduler *scheduler;
	struct job_run *next;
	void (*through)(struct job_run *run);
};

/* From the loop; `after` is called exactly once, never from within. */
void job_run_start(struct job_run *run, const struct env *env);
/* After `known`: `again` if rows are open once more. */
void job_run_known(struct job_run *run, bool again);
void job_run_free(struct job_run *run);        /* what it holds; not the run itself */

#endif
