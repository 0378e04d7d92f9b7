// SPDX-License-Identifier: Apache-2.0
/* time.h - instants as milliseconds since 1970-01-01T00:00:00Z, and their text form (RFC 3339, UTC).
 * Calendar arithmetic after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
#ifndef ENGINE_BASE_TIME_H
#define ENGINE_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct civil {
	int64_t year;
	unsigned month, day;           /* from 1 */
	unsigned hour, minute, second, milli;
	unsigned weekday;              /* 0 = Monday */
};

struct civil civil_of(int64_t time_ms);
int64_t civil_days(int64_t year, unsigned month, unsigned day);            /* days since 1970-01-01 */
void time_write(struct buf *out, int64_t time_ms);                         /* 2026-01-31T12:00:00.123Z */
bool time_parse(struct str text, int64_t *time_ms);                        /* with zone offset or Z */

#endif
