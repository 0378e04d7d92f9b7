// SPDX-License-Identifier: Apache-2.0
/* cron.h - cron expressions of five fields, and when they occur in a time zone.
 *
 * Syntax, as crontab(5) of Vixie and Debian has it: minute 0-59, hour 0-23, day of month 1-31, month 1-12 or JAN-DEC,
 * day of week 0-7 or SUN-SAT (0 and 7 are Sunday), between blanks.  A field is a list of items between commas, an
 * item is `*`, `N`, `A-B`, `*` with a step (every second minute is star, slash, 2) or `A-B/STEP`.  A range may end
 * with SUN.  No seconds, no years, no nicknames (@daily), no L, W, # and ?.
 *
 * Days: a field with a `*` in it (also one with a step) is unrestricted.  With both fields of days restricted an
 * occurrence needs one of them to match, else it needs both.  An expression that no date fits ("0 0 31 2 *") is
 * refused.
 *
 * Changes of the clock, after cron(8) of Vixie and Debian:
 * - with a `*` in the hour field the clock is followed as it is: minutes that are skipped do not occur, minutes that
 *   come twice occur twice;
 * - else each local time occurs once: skipped ones together in the first minute after the change, doubled ones the
 *   first time;
 * - a change of more than three hours (a zone that moves over the date line) is a correction of the clock, and no
 *   time is made up for.
 *
 * Instants are milliseconds since 1970-01-01T00:00:00Z.  A zone knows its changes of the clock from CRON_FIRST_MS to
 * CRON_LAST_MS; outside of it nothing occurs.  A search spans CRON_YEARS at most, which is as long as 29 February
 * takes to fall on a given day of the week again.
 */
#ifndef ENGINE_CRON_CRON_H
#define ENGINE_CRON_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/str.h"

enum { CRON_ERROR_MAX = 160, CRON_VERSIONS_MAX = 64, CRON_TEXT_MAX = 256, CRON_ZONE_NAME_MAX = 64,
       CRON_YEARS = 41 };

#define CRON_NEVER    INT64_MAX                                /* later than any instant */
#define CRON_FIRST_MS ((int64_t)0)                             /* 1970-01-01T00:00:00Z, included */
#define CRON_LAST_MS  ((int64_t)84006 * 86400000)              /* 2200-01-01T00:00:00Z, excluded */

/* A value: may be copied and compared by its fields.  Bit n of a set is the number n. */
struct cron {
	uint64_t minute;               /* 0-59 */
	uint32_t hour;                 /* 0-23 */
	uint32_t day;                  /* 1-31 */
	uint16_t month;                /* 1-12 */
	uint8_t weekday;               /* 0-6, 0 is Sunday */
	bool hour_any;                 /* the field has a `*` in it */
	bool day_any;
	bool weekday_any;
};

struct cron_zone;                      /* constant once it is open: any thread may use it */

/* Loads the zone data of ICU.  Once, at the start of the process, before other threads; what comes later reads no file. */
void cron_start(void);
void cron_versions(char out[CRON_VERSIONS_MAX]);               /* "ICU 72.1 (zones 2022e)" */

/* At most CRON_TEXT_MAX bytes.  False with a sentence in `error` that names the field and says what was expected. */
bool cron_parse(struct str text, struct cron *out, char error[CRON_ERROR_MAX]);

/* `name`: an IANA name ("Europe/Berlin"), case matters; "" is UTC.  NULL: there is no such zone.  The caller closes it.
 * Takes half a millisecond and a few kilobytes: keep it where it is used often. */
struct cron_zone *cron_zone_open(struct str name);
void cron_zone_close(struct cron_zone *zone);                  /* NULL is allowed */
int64_t cron_zone_offset(const struct cron_zone *zone, int64_t time_ms);       /* local time minus UTC, milliseconds */

/* The first occurrence > after_ms, the last one <= at_ms; CRON_NEVER where there is none.  Microseconds, always. */
int64_t cron_next(const struct cron *cron, const struct cron_zone *zone, int64_t after_ms);
int64_t cron_previous(const struct cron *cron, const struct cron_zone *zone, int64_t at_ms);

#endif
