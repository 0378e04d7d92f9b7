// SPDX-License-Identifier: Apache-2.0
/* cron_scan.h - when an expression occurs, by looking at each minute in turn, as a cron daemon lives through them. */
#ifndef TESTS_MODEL_CRON_SCAN_H
#define TESTS_MODEL_CRON_SCAN_H

#include <stddef.h>

#include "engine/cron/cron.h"

/* All occurrences in [from_ms, to_ms), ascending; returns how many, of which the first `room` are in `times`. */
size_t cron_scan(const struct cron *cron, const struct cron_zone *zone, int64_t from_ms, int64_t to_ms, int64_t *times,
		 size_t room);

#endif
