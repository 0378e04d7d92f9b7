// SPDX-License-Identifier: Apache-2.0
#include "tests/model/cron_scan.h"

#include "engine/base/time.h"

static const int64_t minute_ms = 60000, three_hours_ms = 180 * 60000, lead_ms = 480 * 60000;

static bool matches(const struct cron *cron, int64_t minute)
{
	struct civil at = civil_of(minute * minute_ms);
	bool day = cron->day & (1u << at.day), weekday = cron->weekday & (1u << (at.weekday == 6 ? 0 : at.weekday + 1));
	if (!(cron->minute & (uint64_t)1 << at.minute) || !(cron->hour & 1u << at.hour) || !(cron->month & 1u << at.month))
		return false;
	if (!cron->day_any && !cron->weekday_any)
		return day || weekday;
	return day && weekday;
}

size_t cron_scan(const struct cron *cron, const struct cron_zone *zone, int64_t from_ms, int64_t to_ms, int64_t *times,
		 size_t room)
{
	int64_t time = from_ms - lead_ms < CRON_FIRST_MS ? CRON_FIRST_MS : from_ms - lead_ms;
	int64_t offset_before = cron_zone_offset(zone, time), lived = INT64_MIN;       /* minutes before it are done with */
	size_t count = 0;
	while (time < to_ms && time < CRON_LAST_MS) {
		int64_t offset = cron_zone_offset(zone, time), local = time + offset, change = offset - offset_before;
		int64_t second = (local % minute_ms + minute_ms) % minute_ms, minute = (local - second) / minute_ms;
		offset_before = offset;
		if (change > three_hours_ms || change < -three_hours_ms)
			lived = INT64_MIN;
		if (second) {
			time++;                /* the clock was changed within a minute */
			continue;
		}
		bool occurs = false;
		if (cron->hour_any) {
			occurs = matches(cron, minute);
		} else {
			if (lived == INT64_MIN)
				lived = minute;
			for (; lived <= minute; lived++)
				occurs = matches(cron, lived) || occurs;
		}
		if (occurs && time >= from_ms) {
			if (count < room)
				times[count] = time;
			count++;
		}
		time += minute_ms;
	}
	return count;
}
