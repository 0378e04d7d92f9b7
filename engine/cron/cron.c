// SPDX-License-Identifier: Apache-2.0
/* cron.c - when an expression occurs: span by span of the zone's clock, day by day of the local calendar, months that
 * do not match in one step.
 *
 * Within a span local time is UTC and a constant, so it is searched as plain local minutes.  What a change of the
 * clock adds or takes is at the begin of the span behind it: after a step forward the first minute stands for the
 * skipped ones, after a step back the minutes up to where the clock had been before do not count again.
 */
#include "engine/cron/cron.h"

#include "engine/base/assert.h"
#include "engine/base/time.h"
#include "engine/cron/zone.h"

#define MINUTE_MS ((int64_t)60000)
#define DAY_MS    ((int64_t)86400000)
#define SEARCH_MS ((int64_t)CRON_YEARS * 366 * DAY_MS)

enum { DAY_MINUTES = 1440 };

static const int64_t adjust_max_ms = 3 * 60 * MINUTE_MS;       /* a greater change is a correction */

/* Local minutes since 1970-01-01T00:00 on the local clock, [first, end). */
struct minutes {
	int64_t first, end;
};

struct span {
	int64_t start_ms, end_ms;      /* UTC, end excluded */
	int64_t offset_ms;
	struct minutes minutes;        /* that may occur */
	struct minutes skipped;        /* for which the minute `made_up` stands; empty: none */
	int64_t made_up;
};

static int64_t minutes_up(int64_t ms)
{
	return ms / MINUTE_MS + (ms % MINUTE_MS > 0);
}

static int64_t minutes_down(int64_t ms)
{
	return ms / MINUTE_MS - (ms % MINUTE_MS < 0);
}

static struct span span_of(const struct cron *cron, const struct cron_zone *zone, size_t index)
{
	const struct zone_span *at = &zone->spans[index];
	struct span span = {
		.start_ms = at->start_ms, .end_ms = index + 1 < zone->count ? at[1].start_ms : CRON_LAST_MS,
		.offset_ms = at->offset_ms,
	};
	span.minutes.first = minutes_up(span.start_ms + span.offset_ms);
	span.minutes.end = minutes_up(span.end_ms + span.offset_ms);
	span.made_up = span.minutes.first;
	int64_t step = index ? at->offset_ms - at[-1].offset_ms : 0;
	if (cron->hour_any || step > adjust_max_ms || step < -adjust_max_ms)
		return span;
	/* The first minute that the old clock did not show. */
	int64_t before = minutes_up(span.start_ms + span.offset_ms - step);
	if (step > 0)
		span.skipped = (struct minutes){ before, span.minutes.first };
	else
		span.minutes.first = before;
	return span;
}

static bool day_matches(const struct cron *cron, const struct civil *date)
{
	bool day = cron->day >> date->day & 1;
	bool weekday = cron->weekday >> (date->weekday + 1) % 7 & 1;   /* Monday is 0 there, Sunday here */
	return cron->day_any || cron->weekday_any ? day && weekday : day || weekday;
}

static bool month_matches(const struct cron *cron, const struct civil *date)
{
	return cron->month >> date->month & 1;
}

/* The first matching minute of a day from `minute` on; -1 if there is none. */
static int first_of_day(const struct cron *cron, int minute)
{
	for (int hour = minute / 60; hour < 24; hour++, minute = hour * 60) {
		uint64_t left = cron->hour >> hour & 1 ? cron->minute >> minute % 60 : 0;
		if (left)
			return minute + __builtin_ctzll(left);
	}
	return -1;
}

/* The last one up to `minute`. */
static int last_of_day(const struct cron *cron, int minute)
{
	for (int hour = minute / 60; hour >= 0; hour--, minute = hour * 60 + 59) {
		uint64_t left = cron->hour >> hour & 1 ? cron->minute << (63 - minute % 60) : 0;
		if (left)
			return minute - __builtin_clzll(left);
	}
	return -1;
}

static int64_t day_of(int64_t minute)
{
	return minute / DAY_MINUTES - (minute % DAY_MINUTES < 0);
}

static int64_t month_after(const struct civil *date)           /* its first day */
{
	return date->month == 12 ? civil_days(date->year + 1, 1, 1) : civil_days(date->year, date->month + 1, 1);
}

static bool search_up(const struct cron *cron, struct minutes in, int64_t *out)
{
	int64_t end_day = day_of(in.end - 1);
	for (int64_t day = day_of(in.first); day <= end_day && in.first < in.end;) {
		struct civil date = civil_of(day * DAY_MS);
		if (!month_matches(cron, &date)) {
			day = month_after(&date);
			continue;
		}
		int64_t begin = day * DAY_MINUTES, first = in.first > begin ? in.first - begin : 0;
		int minute = day_matches(cron, &date) ? first_of_day(cron, (int)first) : -1;
		if (minute >= 0) {
			*out = begin + minute;
			return *out < in.end;
		}
		day++;
	}
	return false;
}

static bool search_down(const struct cron *cron, struct minutes in, int64_t *out)
{
	int64_t first_day = day_of(in.first);
	for (int64_t day = day_of(in.end - 1); day >= first_day && in.first < in.end;) {
		struct civil date = civil_of(day * DAY_MS);
		if (!month_matches(cron, &date)) {
			day -= date.day;
			continue;
		}
		int64_t begin = day * DAY_MINUTES, end = in.end - begin < DAY_MINUTES ? in.end - begin : DAY_MINUTES;
		int minute = day_matches(cron, &date) ? last_of_day(cron, (int)end - 1) : -1;
		if (minute >= 0) {
			*out = begin + minute;
			return *out >= in.first;
		}
		day--;
	}
	return false;
}

static bool makes_up(const struct cron *cron, const struct span *span)
{
	int64_t minute;
	return search_up(cron, span->skipped, &minute);
}

static int64_t instant(const struct span *span, int64_t minute)
{
	int64_t time = minute * MINUTE_MS - span->offset_ms;
	ASSERT(time >= span->start_ms && time < span->end_ms);
	return time;
}

int64_t cron_next(const struct cron *cron, const struct cron_zone *zone, int64_t after_ms)
{
	if (after_ms >= CRON_LAST_MS - 1)
		return CRON_NEVER;
	int64_t minute, from = after_ms < CRON_FIRST_MS ? CRON_FIRST_MS : after_ms + 1;
	for (size_t i = zone_span_at(zone, from); i < zone->count; i++) {
		struct span span = span_of(cron, zone, i);
		if (span.start_ms - from > SEARCH_MS)
			break;
		int64_t first = minutes_up((from > span.start_ms ? from : span.start_ms) + span.offset_ms);
		if (first <= span.made_up && span.made_up * MINUTE_MS - span.offset_ms < span.end_ms &&
		    makes_up(cron, &span))
			return instant(&span, span.made_up);
		if (first > span.minutes.first)
			span.minutes.first = first;
		if (search_up(cron, span.minutes, &minute))
			return instant(&span, minute);
	}
	return CRON_NEVER;
}

int64_t cron_previous(const struct cron *cron, const struct cron_zone *zone, int64_t at_ms)
{
	int64_t minute, from = at_ms < CRON_LAST_MS ? at_ms : CRON_LAST_MS - 1;
	if (from < CRON_FIRST_MS)
		return CRON_NEVER;
	for (size_t i = zone_span_at(zone, from) + 1; i-- > 0;) {
		struct span span = span_of(cron, zone, i);
		if (from - span.end_ms > SEARCH_MS)
			break;
		int64_t last = minutes_down((from < span.end_ms ? from : span.end_ms - 1) + span.offset_ms);
		if (last + 1 < span.minutes.end)
			span.minutes.end = last + 1;
		if (search_down(cron, span.minutes, &minute))
			return instant(&span, minute);
		if (last >= span.made_up && makes_up(cron, &span))
			return instant(&span, span.made_up);
	}
	return CRON_NEVER;
}
