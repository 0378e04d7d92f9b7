// SPDX-License-Identifier: Apache-2.0
/* schedule.h - the schedule of a document: {"type":"cron","cron":"30 2 * * MON","timezone":"Europe/Berlin"}.
 *
 * `type` is "cron", `cron` an expression (cron.h), `timezone` an IANA name; without it, with null or "" UTC counts.
 */
#ifndef ENGINE_CRON_SCHEDULE_H
#define ENGINE_CRON_SCHEDULE_H

#include <stdbool.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/fault.h"
#include "engine/cron/cron.h"

struct schedule {
	struct cron cron;
	struct cron_zone *zone;        /* owned */
};

/* Adds a fault at or below `pointer` for all that is wrong; false if there is any.  Null is wrong here. */
bool schedule_check(yyjson_val *value, const char *pointer, struct faults *faults);

/* The same, and gives the schedule to the caller, who closes it; with faults *out is empty.  cron_zone_open says what
 * it costs. */
bool schedule_open(yyjson_val *value, const char *pointer, struct schedule *out, struct faults *faults);
void schedule_close(struct schedule *schedule);                /* and back to empty; an empty one is allowed */

/* Appends the JSON Schema of a schedule; `partial`: of a merge patch to one.  What it cannot say: names of time zones, and
 * that a range of the expression rises. */
void schedule_schema(struct buf *out, bool partial, const char *refs);

#endif
