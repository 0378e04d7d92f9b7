// SPDX-License-Identifier: Apache-2.0
/* test_cron.c - when cron expressions occur: both changes of the clock in many zones, dates, refusals; and against a scan
 * that looks at each minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/json.h"
#include "engine/base/time.h"
#include "engine/cron/cron.h"
#include "engine/cron/schedule.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { TIMES_MAX = 8 };

static const int64_t minute_ms = 60000;

static int64_t instant(const char *text)
{
	int64_t time;
	if (!time_parse(str_of(text), &time))
		fail_msg("%s is a time", text);
	return time;
}

static struct cron expression(const char *text)
{
	struct cron cron;
	char error[CRON_ERROR_MAX];
	if (!cron_parse(str_of(text), &cron, error))
		fail_msg("\"%s\": %s", text, error);
	return cron;
}

static struct cron_zone *zone_of(const char *name)
{
	struct cron_zone *zone = cron_zone_open(str_of(name));
	if (!zone)
		fail_msg("%s is a zone", name);
	return zone;
}

static const char *shown(struct buf *out, int64_t time)
{
	out->len = 0;
	if (time == CRON_NEVER)
		buf_lit(out, "never");
	else
		time_write(out, time);
	buf_char(out, '\0');
	return out->ptr;
}

/* The occurrences behind `after`, in order, and no other up to the last one given: forwards and backwards. */
struct row {
	const char *zone, *cron, *after;
	const char *times[TIMES_MAX];
};

static void check_row(const struct row *row)
{
	struct buf got = { 0 };
	struct cron cron = expression(row->cron);
	struct cron_zone *zone = zone_of(row->zone);
	int64_t time = instant(row->after);
	for (size_t i = 0; i < TIMES_MAX && row->times[i]; i++) {
		int64_t wanted = instant(row->times[i]), before = time;
		time = cron_next(&cron, zone, before);
		if (time != wanted)
			fail_msg("%s in %s: next %zu is %s, not %s", row->cron, row->zone, i, shown(&got, time),
				 row->times[i]);
		if (cron_previous(&cron, zone, time) != time || cron_previous(&cron, zone, time + minute_ms - 1) != time ||
		    cron_next(&cron, zone, time - 1) != time)
			fail_msg("%s in %s: %s is its own previous one", row->cron, row->zone, row->times[i]);
		int64_t previous = cron_previous(&cron, zone, time - 1);
		if (i ? previous != before : previous > before)
			fail_msg("%s in %s: before %s came %s", row->cron, row->zone, row->times[i], shown(&got, previous));
	}
	cron_zone_close(zone);
	buf_free(&got);
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_row(&rows[i]);
}

/* A fixed hour: what is skipped comes in the first minute after, what is doubled comes once. */
static void test_forward_fixed(void **state)
{
	static const struct row rows[] = {
		{ "Europe/Paris", "30 2 * * *", "2026-03-28T12:00:00Z",
		  { "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z" } },
		{ "Europe/Berlin", "*/30 2 * * *", "2026-03-28T12:00:00Z",
		  { "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z" } },
		{ "Europe/Berlin", "0 3 * * *", "2026-03-28T12:00:00Z", { "2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z" } },
		{ "Europe/Berlin", "15 2,3 * * *", "2026-03-28T12:00:00Z",
		  { "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z", "2026-03-30T00:15:00Z" } },
		{ "Europe/Berlin", "59 1 * * *", "2026-03-28T12:00:00Z", { "2026-03-29T00:59:00Z", "2026-03-29T23:59:00Z" } },
		{ "America/New_York", "30 2 * * *", "2026-03-07T12:00:00Z",
		  { "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z" } },
		{ "America/New_York", "30 2 * * MON", "2026-03-07T12:00:00Z", { "2026-03-09T06:30:00Z" } },
		{ "America/St_Johns", "15 2 * * *", "2026-03-07T12:00:00Z",
		  { "2026-03-08T05:30:00Z", "2026-03-09T04:45:00Z" } },
		{ "America/St_Johns", "30 0 * * *", "2011-03-12T12:00:00Z",     /* 00:01 becomes 01:01 */
		  { "2011-03-13T03:31:00Z", "2011-03-14T03:00:00Z" } },
		{ "Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z",  /* 02:00 becomes 02:30 */
		  { "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z" } },
		{ "Australia/Lord_Howe", "30 2 * * *", "2026-10-03T00:00:00Z",
		  { "2026-10-03T15:30:00Z", "2026-10-04T15:30:00Z" } },
		{ "America/Sao_Paulo", "0 0 * * *", "2018-11-03T12:00:00Z",     /* 00:00 becomes 01:00 */
		  { "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z" } },
		{ "America/Sao_Paulo", "0 0 * * *", "2026-11-01T12:00:00Z",     /* not any more */
		  { "2026-11-02T03:00:00Z", "2026-11-03T03:00:00Z" } },
		{ "Asia/Kolkata", "30 2 * * *", "2026-03-28T12:00:00Z",
		  { "2026-03-28T21:00:00Z", "2026-03-29T21:00:00Z" } },
		{ "Africa/Casablanca", "15 2 * * *", "2026-03-21T12:00:00Z",    /* 22 March: 02:00 becomes 03:00 */
		  { "2026-03-22T02:00:00Z", "2026-03-23T01:15:00Z" } },
		{ "Pacific/Apia", "0 9 * * *", "2011-12-29T12:00:00Z",          /* there was no 30 December */
		  { "2011-12-29T19:00:00Z", "2011-12-30T19:00:00Z" } },
	};
	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_back_fixed(void **state)
{
	static const struct row rows[] = {
		{ "Europe/Paris", "30 2 * * *", "2026-10-24T12:00:00Z",
		  { "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z" } },
		{ "Europe/Berlin", "0 2,3 * * *", "2026-10-24T12:00:00Z",
		  { "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", "2026-10-26T01:00:00Z" } },
		{ "Europe/Berlin", "*/30 2 * * *", "2026-10-24T12:00:00Z",
		  { "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:00:00Z" } },
		{ "America/New_York", "30 1 * * *", "2026-10-31T12:00:00Z",
		  { "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z" } },
		{ "America/St_Johns", "45 1 * * *", "2026-10-31T12:00:00Z",
		  { "2026-11-01T04:15:00Z", "2026-11-02T05:15:00Z" } },
		{ "America/St_Johns", "30 23 * * *", "2010-11-06T12:00:00Z",    /* 00:01 becomes 23:01 of the day before */
		  { "2010-11-07T02:00:00Z", "2010-11-08T03:00:00Z" } },
		{ "Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00:00Z",  /* 02:00 becomes 01:30 */
		  { "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z" } },
		{ "America/Sao_Paulo", "30 23 * * *", "2019-02-16T12:00:00Z",   /* 00:00 becomes 23:00 of the day before */
		  { "2019-02-17T01:30:00Z", "2019-02-18T02:30:00Z" } },
		{ "Africa/Casablanca", "30 2 * * *", "2026-02-14T12:00:00Z",    /* 15 February: 03:00 becomes 02:00 */
		  { "2026-02-15T01:30:00Z", "2026-02-16T02:30:00Z" } },
	};
	(void)state;
	check_rows(rows, COUNT(rows));
}

/* `*` in the hour follows the clock. */
static void test_both_any(void **state)
{
	static const struct row rows[] = {
		{ "Europe/Paris", "*/30 * * * *", "2026-03-29T00:00:00Z",
		  { "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z" } },
		{ "Europe/Paris", "*/30 * * * *", "2026-10-25T00:00:00Z",
		  { "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z" } },
		{ "Europe/Berlin", "30 */2 * * *", "2026-03-28T23:00:00Z",
		  { "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z", "2026-03-29T04:30:00Z" } },
		{ "Europe/Berlin", "30 */2 * * *", "2026-10-24T23:00:00Z",
		  { "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T03:30:00Z" } },
		{ "America/New_York", "0 * * * *", "2026-03-08T05:00:00Z",
		  { "2026-03-08T06:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z" } },
		{ "America/New_York", "0 * * * *", "2026-11-01T04:00:00Z",
		  { "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z" } },
		{ "Australia/Lord_Howe", "15 * * * *", "2026-10-03T14:00:00Z",  /* 02:15 is skipped */
		  { "2026-10-03T14:45:00Z", "2026-10-03T16:15:00Z" } },
		{ "Australia/Lord_Howe", "45 * * * *", "2026-04-04T14:00:00Z",  /* 01:45 comes twice */
		  { "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z", "2026-04-04T16:15:00Z" } },
		{ "America/St_Johns", "0 * * * *", "2011-03-13T03:00:00Z",      /* 00:01 becomes 01:01 */
		  { "2011-03-13T03:30:00Z", "2011-03-13T04:30:00Z" } },
		{ "America/Sao_Paulo", "0 * * * *", "2018-11-04T02:00:00Z",
		  { "2018-11-04T03:00:00Z", "2018-11-04T04:00:00Z" } },
		{ "Asia/Kolkata", "0 * * * *", "2026-03-29T00:00:00Z", { "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z" } },
		{ "Pacific/Apia", "0 */12 * * *", "2011-12-29T22:00:00Z",
		  { "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z" } },
	};
	(void)state;
	check_rows(rows, COUNT(rows));
}

static void test_dates(void **state)
{
	static const struct row rows[] = {
		{ "", "0 0 29 2 *", "2026-01-01T00:00:00Z", { "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z" } },
		{ "", "0 0 29 2 *", "2096-03-01T00:00:00Z", { "2104-02-29T00:00:00Z" } },
		{ "", "0 0 29 2 */7", "2026-01-01T00:00:00Z", { "2032-02-29T00:00:00Z", "2060-02-29T00:00:00Z" } },
		{ "", "0 0 */29 2 4", "2072-01-01T00:00:00Z", { "2074-02-01T00:00:00Z" } },
		{ "Europe/Berlin", "0 0 29-31 2 */3", "2080-03-01T00:00:00Z", { "2088-02-28T23:00:00Z" } },
		{ "", "0 0 31 * *", "2026-01-31T00:00:00Z",
		  { "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z", "2026-07-31T00:00:00Z", "2026-08-31T00:00:00Z" } },
		{ "", "0 0 13 * 5", "2026-11-01T00:00:00Z",                     /* the 13th or a Friday */
		  { "2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z",
		    "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z" } },
		{ "", "0 0 31 2 1", "2026-02-20T00:00:00Z", { "2026-02-23T00:00:00Z", "2027-02-01T00:00:00Z" } },
		{ "", "0 0 */2 * 1", "2026-11-01T00:00:00Z",                    /* an odd day and a Monday */
		  { "2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z", "2026-12-07T00:00:00Z" } },
		{ "", "0 12 * * 0", "2026-11-01T12:00:00Z", { "2026-11-08T12:00:00Z" } },
		{ "", "0 12 * * 7", "2026-11-01T12:00:00Z", { "2026-11-08T12:00:00Z" } },
		{ "", "0 12 * * sat-Sun", "2026-11-01T12:00:00Z", { "2026-11-07T12:00:00Z", "2026-11-08T12:00:00Z" } },
		{ "", "0 12 * * 5-7/2", "2026-11-01T12:00:00Z", { "2026-11-06T12:00:00Z", "2026-11-08T12:00:00Z" } },
		{ "", "*/2 * * * *", "2026-11-21T19:01:30.5Z", { "2026-11-21T19:02:00Z", "2026-11-21T19:04:00Z" } },
		{ "", "5-59/20,7 23 31 DEC *", "2026-01-01T00:00:00Z",
		  { "2026-12-31T23:05:00Z", "2026-12-31T23:07:00Z", "2026-12-31T23:25:00Z", "2026-12-31T23:45:00Z",
		    "2027-12-31T23:05:00Z" } },
		{ "", "\t 0  0 1 jan,Jul * ", "2026-01-01T00:00:00Z", { "2026-07-01T00:00:00Z", "2027-01-01T00:00:00Z" } },
		{ "Africa/Monrovia", "0 12 * * *", "1972-01-05T12:00:00Z",      /* 44 minutes and 30 seconds behind UTC */
		  { "1972-01-05T12:44:30Z", "1972-01-06T12:44:30Z", "1972-01-07T12:00:00Z" } },
	};
	(void)state;
	check_rows(rows, COUNT(rows));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward_fixed),
		cmocka_unit_test(test_back_fixed),
		cmocka_unit_test(test_both_any),
		cmocka_unit_test(test_dates),
	};
	cron_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
