// SPDX-License-Identifier: Apache-2.0
/* job.h - an internal job as its document says it, when it is due, and what it remembers.
 *
 * Due: a job whose run was begun and not ended (the process stopped meanwhile) at once, with the bucket that it had; else an
 * active one at its next_run_at.  Nothing is due because a timer says so: somebody asks with a time.
 *
 * State of the document (catalog.h), all of it nullable:
 *     next_run_at     when it runs by itself
 *     last_run_at     when the last run began
 *     last_status     RUNNING, SUCCESS, FAILED
 *     last_error      why the first event failed, or the run
 *     last_created, last_existing, last_failed    events of the last run
 *     last_bucket     of the last run
 */
#ifndef ENGINE_JOB_JOB_H
#define ENGINE_JOB_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/catalog/catalog.h"
#include "engine/cron/schedule.h"

enum { JOB_BUCKET_MAX = 24 };          /* bytes, with the NUL */

struct job {
	yyjson_doc *doc;               /* owned; what the texts point into */
	uint64_t id, version;
	struct str key, event_type;
	yyjson_val *selector, *payload_template;
	bool active, scheduled;
	struct schedule schedule;      /* owned; only if scheduled */
	bool running;                  /* a run was begun and not ended */
	int64_t last_run_ms;           /* when; 0: never */
	struct str last_bucket;
};

/* From the answer of the catalog; false where a stored schedule is not understood any more.  job_free in both cases. */
bool job_read(struct job *job, struct str json);
void job_free(struct job *job);

/* The bucket of a run at this time: the start of the schedule's last occurrence, 20261121T190000Z, or the date without a
 * schedule, 2026-11-21; both in UTC. */
void job_bucket(const struct job *job, int64_t now_ms, char out[JOB_BUCKET_MAX]);
/* The first occurrence behind a time; CRON_NEVER. */
int64_t job_next(const struct job *job, int64_t after_ms);

/* For the table of kinds (kind.h).  Behind its fields a job may be given, at creation and in a patch, first_run_at (a time) or
 * start_in_seconds (a number): when it runs by itself next, with and without a schedule. */
extern const struct field job_state_fields[];
void job_derive(yyjson_val *document, yyjson_val *body, const struct document *before, int64_t now_ms, struct buf *out);
int64_t job_due(const struct document *document);              /* INT64_MAX: never */

#endif
