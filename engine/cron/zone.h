// SPDX-License-Identifier: Apache-2.0
/* zone.h - a zone as a table: what its clock shows from when on. */
#ifndef ENGINE_CRON_ZONE_H
#define ENGINE_CRON_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/cron/cron.h"

struct zone_span {
	int64_t start_ms;              /* it lasts until the next one begins, the last one until CRON_LAST_MS */
	int64_t offset_ms;             /* local time minus UTC; neighbours differ */
};

struct cron_zone {
	size_t count;                  /* of spans, at least 1 */
	struct zone_span spans[];      /* ascending; the first one begins at CRON_FIRST_MS */
};

/* Its index; a time outside counts as the nearest one inside. */
size_t zone_span_at(const struct cron_zone *zone, int64_t time_ms);

#endif
