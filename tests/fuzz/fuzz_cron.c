// SPDX-License-Identifier: Apache-2.0
/* fuzz_cron.c - lines EXPRESSION, ZONE, TIME: any text is read or refused with a sentence; what occurs next and before
 * is what a scan of each minute finds. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/time.h"
#include "engine/cron/cron.h"
#include "tests/model/cron_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct str line(struct str *rest)
{
	const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
	struct str out = { rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len };
	size_t taken = out.len + (end != NULL);
	*rest = (struct str){ rest->ptr + taken, rest->len - taken };
	return out;
}

static void compare(const struct cron *cron, const struct cron_zone *zone, int64_t time)
{
	enum { DAY_MS = 86400000, ROOM = 2000 };
	static int64_t times[ROOM];
	size_t count = cron_scan(cron, zone, time + 1, time + DAY_MS, times, ROOM);
	int64_t next = cron_next(cron, zone, time);
	ASSERT(count < ROOM);
	ASSERT(count ? next == times[0] : next >= time + DAY_MS);
	count = cron_scan(cron, zone, time - DAY_MS, time + 1, times, ROOM);
	int64_t previous = cron_previous(cron, zone, time);
	ASSERT(count ? previous == times[count - 1] : previous == CRON_NEVER || previous < time - DAY_MS);
}

/* Holds for any time at all. */
static void walk(const struct cron *cron, const struct cron_zone *zone, int64_t time)
{
	int64_t next = cron_next(cron, zone, time), previous = cron_previous(cron, zone, time);
	if (next != CRON_NEVER) {
		ASSERT(next > time && next >= CRON_FIRST_MS && next < CRON_LAST_MS);
		ASSERT(cron_previous(cron, zone, next) == next && cron_next(cron, zone, next - 1) == next);
		ASSERT(cron_previous(cron, zone, next - 1) == previous || time < CRON_FIRST_MS);
	}
	if (previous != CRON_NEVER) {
		ASSERT(previous <= time && previous >= CRON_FIRST_MS && previous < CRON_LAST_MS);
		ASSERT(cron_next(cron, zone, previous - 1) == previous && cron_previous(cron, zone, previous) == previous);
		ASSERT(cron_next(cron, zone, previous) == next);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct str rest = { (const char *)bytes, len };
	struct str expression = line(&rest), name = line(&rest), when = line(&rest);
	struct cron cron;
	char error[CRON_ERROR_MAX] = "";
	int64_t time = 0;
	cron_start();
	bool good = cron_parse(expression, &cron, error);
	ASSERT(good == !error[0]);
	struct cron_zone *zone = cron_zone_open(name);
	if (!zone)
		zone = cron_zone_open(STR("Europe/Berlin"));
	if (!time_parse(when, &time))
		memcpy(&time, when.ptr, when.len < sizeof time ? when.len : sizeof time);
	if (good) {
		walk(&cron, zone, time);
		if (time >= CRON_FIRST_MS && time < CRON_LAST_MS)
			compare(&cron, zone, time);
	}
	cron_zone_close(zone);
	return 0;
}
