// SPDX-License-Identifier: Apache-2.0
/* test_cron.c - when cron expressions occur: both changes of the clock in many zones, dates, refusals; and against a
 * scan that looks at each minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/buf.h"
#include "engine/base/json.h"
#include "engine/base/time.h"
#include "engine/cron/cron.h"
#include "engine/cron/schedule.h"
#include "net/cli/commands.h"
#include "tests/model/cron_scan.h"

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

/* What the text of an expression means, field by field. */
static void test_fields(void **state)
{
	static const struct { const char *text; struct cron cron; } rows[] = {
		{ "* * * * *", { (1ull << 60) - 1, (1u << 24) - 1, 0xFFFFFFFE, 0x1FFE, 0x7F, true, true, true } },
		{ "0 0 1 1 0", { 1, 1, 2, 2, 1, false, false, false } },
		{ "59 23 31 12 7", { 1ull << 59, 1u << 23, 1u << 31, 1u << 12, 1, false, false, false } },
		{ "59 23 31 dec sat", { 1ull << 59, 1u << 23, 1u << 31, 1u << 12, 1u << 6, false, false, false } },
		{ "*/20 */12 */15 */6 */3", { 1 | 1 << 20 | 1ull << 40, 1 | 1 << 12, 1 << 1 | 1 << 16 | 1u << 31,
					      1 << 1 | 1 << 7, 1 | 1 << 3 | 1 << 6, true, true, true } },
		{ "1,3-5,10-20/5 0-23 1-31 1-12 0-7", { 1 << 1 | 7 << 3 | 1 << 10 | 1 << 15 | 1 << 20, (1u << 24) - 1,
							0xFFFFFFFE, 0x1FFE, 0x7F, false, false, false } },
		{ "0 5,* 1,*/31 JAN-MAR FRI-SUN", { 1, (1u << 24) - 1, 1 << 1, 7 << 1, 1 << 5 | 1 << 6 | 1, true, true,
						    false } },
		{ "0-59/60 0-23/24 1-31/31 1-12/12 SUN-SUN", { 1, 1, 2, 2, 1, false, false, false } },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cron got = expression(rows[i].text);
		const struct cron *want = &rows[i].cron;
		if (got.minute != want->minute || got.hour != want->hour || got.day != want->day ||
		    got.month != want->month || got.weekday != want->weekday || got.hour_any != want->hour_any ||
		    got.day_any != want->day_any || got.weekday_any != want->weekday_any)
			fail_msg("\"%s\" is read as something else", rows[i].text);
	}
}

static void test_refused(void **state)
{
	static const char fields[] = "expected 5 fields between blanks (minute hour day-of-month month day-of-week), found ";
	static const struct { const char *text, *error; } rows[] = {
		{ "", fields }, { " ", fields }, { "@daily", fields }, { "* * * *", fields }, { "* * * * * *", fields },
		{ "61 * * * *", "minute \"61\": expected 0-59" },
		{ "60 * * * *", "minute \"60\": expected 0-59" },
		{ "-1 * * * *", "minute \"-1\": expected 0-59" },
		{ "1- * * * *", "minute \"1-\": expected 0-59" },
		{ "1-60 * * * *", "minute \"1-60\": expected 0-59" },
		{ "1,,2 * * * *", "minute \"1,,2\": expected 0-59" },
		{ "1, * * * *", "minute \"1,\": expected 0-59" },
		{ ", * * * *", "minute \",\": expected 0-59" },
		{ "5x * * * *", "minute \"5x\": expected 0-59" },
		{ "*5 * * * *", "minute \"*5\": expected 0-59" },
		{ "*-5 * * * *", "minute \"*-5\": expected 0-59" },
		{ "1.5 * * * *", "minute \"1.5\": expected 0-59" },
		{ "4294967296 * * * *", "minute \"4294967296\": expected 0-59" },
		{ "1,2,99 * * * *", "minute \"99\": expected 0-59" },
		{ "5/15 * * * *", "minute \"5/15\": a step stands behind * or a range, as in 5-59/15" },
		{ "*/0 * * * *", "minute \"*/0\": expected a step of 1-60 behind /" },
		{ "*/61 * * * *", "minute \"*/61\": expected a step of 1-60 behind /" },
		{ "*/ * * * *", "minute \"*/\": expected a step of 1-60 behind /" },
		{ "*/-2 * * * *", "minute \"*/-2\": expected a step of 1-60 behind /" },
		{ "*/2/3 * * * *", "minute \"*/2/3\": expected 0-59" },
		{ "MON * * * *", "minute \"MON\": expected 0-59" },
		{ "0 24 * * *", "hour \"24\": expected 0-23" },
		{ "0 22-2 * * *", "hour \"22-2\": a range begins with its smaller value; expected 22-23,0-2" },
		{ "0 */25 * * *", "hour \"*/25\": expected a step of 1-24 behind /" },
		{ "0 0 0 * *", "day of month \"0\": expected 1-31" },
		{ "0 0 32 * *", "day of month \"32\": expected 1-31" },
		{ "0 0 L * *", "day of month \"L\": expected 1-31" },
		{ "0 0 ? * *", "day of month \"?\": expected 1-31" },
		{ "0 0 * 0 *", "month \"0\": expected 1-12 or JAN-DEC" },
		{ "0 0 * 13 *", "month \"13\": expected 1-12 or JAN-DEC" },
		{ "0 0 * FOO *", "month \"FOO\": expected 1-12 or JAN-DEC" },
		{ "0 0 * JANUARY *", "month \"JANUARY\": expected 1-12 or JAN-DEC" },
		{ "0 0 * MON *", "month \"MON\": expected 1-12 or JAN-DEC" },
		{ "0 0 * NOV-FEB *", "month \"NOV-FEB\": a range begins with its smaller value; expected 11-12,1-2" },
		{ "0 0 * * 8", "day of week \"8\": expected 0-7 or SUN-SAT" },
		{ "0 0 * * JAN", "day of week \"JAN\": expected 0-7 or SUN-SAT" },
		{ "0 0 * * FRI-MON", "day of week \"FRI-MON\": a range begins with its smaller value; expected 5-6,0-1" },
		{ "0 0 * * */8", "day of week \"*/8\": expected a step of 1-7 behind /" },
		{ "0 0 * * 5#2", "day of week \"5#2\": expected 0-7 or SUN-SAT" },
		{ "0 0 31 2 *", "day of month \"31\": none of the months \"2\" has such a day" },
		{ "0 0 30-31 FEB *", "day of month \"30-31\": none of the months \"FEB\" has such a day" },
		{ "0 0 31 4,6,9,11 */2", "day of month \"31\": none of the months \"4,6,9,11\" has such a day" },
		{ "12345678901234567890123456789 * * * *", "minute \"123456789012345678901234\": expected 0-59" },
	};
	char error[CRON_ERROR_MAX], text[CRON_TEXT_MAX + 1];
	struct cron cron;
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (cron_parse(str_of(rows[i].text), &cron, error))
			fail_msg("\"%s\" was read", rows[i].text);
		if (rows[i].error == fields)
			assert_memory_equal(error, fields, sizeof fields - 1);
		else
			assert_string_equal(error, rows[i].error);
	}
	memset(text, ' ', sizeof text);
	assert_false(cron_parse((struct str){ text, sizeof text }, &cron, error));
	assert_string_equal(error, "longer than 256 bytes");
	memcpy(text, "* * * * *", 9);
	assert_true(cron_parse((struct str){ text, CRON_TEXT_MAX }, &cron, error));
}

static void test_zones(void **state)
{
	static const char *const unknown[] = {
		"Mars/Olympus", "europe/berlin", "GMT+3", "UTC+1", "+01:00", "BST", "PST", "IST", "Etc/Unknown", "SystemV/PST8",
		" UTC", "UTC ", "Europe/", "Europe", "Z\xC3\xBCrich", "../../etc/passwd",
		"America/Argentina/ComodRivadaviaAmerica/Argentina/ComodRivadaviaAmerica",
	};
	static const struct { const char *name, *time; int minutes; } rows[] = {
		{ "", "2026-07-01T00:00:00Z", 0 }, { "UTC", "2026-07-01T00:00:00Z", 0 },
		{ "Etc/GMT+3", "2026-07-01T00:00:00Z", -180 },
		{ "EST", "2026-07-01T00:00:00Z", -300 }, { "Europe/Berlin", "2026-01-01T00:00:00Z", 60 },
		{ "Europe/Berlin", "2026-07-01T00:00:00Z", 120 }, { "Europe/Berlin", "2026-03-29T00:59:59.999Z", 60 },
		{ "Europe/Berlin", "2026-03-29T01:00:00Z", 120 }, { "Europe/Berlin", "1975-07-01T00:00:00Z", 60 },
		{ "Europe/Berlin", "1950-07-01T00:00:00Z", 60 }, { "Europe/Berlin", "2199-07-01T00:00:00Z", 120 },
		{ "Asia/Calcutta", "2026-07-01T00:00:00Z", 330 }, { "Asia/Kathmandu", "2026-07-01T00:00:00Z", 345 },
		{ "Pacific/Apia", "2011-12-30T09:59:59Z", -600 }, { "Pacific/Apia", "2011-12-30T10:00:00Z", 840 },
		{ "Pacific/Kiritimati", "2026-07-01T00:00:00Z", 840 }, { "Pacific/Chatham", "2026-01-01T00:00:00Z", 825 },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(unknown); i++) {
		struct cron_zone *zone = cron_zone_open(str_of(unknown[i]));
		if (zone)
			fail_msg("\"%s\" is a zone", unknown[i]);
	}
	assert_null(cron_zone_open((struct str){ "UTC\0", 4 }));
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct cron_zone *zone = zone_of(rows[i].name);
		if (cron_zone_offset(zone, instant(rows[i].time)) != rows[i].minutes * minute_ms)
			fail_msg("%s at %s", rows[i].name, rows[i].time);
		cron_zone_close(zone);
	}
	cron_zone_close(NULL);
}

/* At the edges of what is known, and where nothing is found. */
static void test_edges(void **state)
{
	struct cron any = expression("* * * * *"), daily = expression("30 2 * * *");
	struct cron_zone *utc = zone_of(""), *berlin = zone_of("Europe/Berlin");
	(void)state;
	assert_true(cron_next(&any, utc, INT64_MIN) == CRON_FIRST_MS);
	assert_true(cron_next(&any, utc, -1) == CRON_FIRST_MS);
	assert_true(cron_next(&any, utc, 0) == minute_ms);
	assert_true(cron_next(&any, utc, CRON_LAST_MS - minute_ms - 1) == CRON_LAST_MS - minute_ms);
	assert_true(cron_next(&any, utc, CRON_LAST_MS - minute_ms) == CRON_NEVER);
	assert_true(cron_next(&any, utc, INT64_MAX) == CRON_NEVER);
	assert_true(cron_next(&daily, berlin, CRON_LAST_MS - minute_ms) == CRON_NEVER);
	assert_true(cron_previous(&any, utc, INT64_MIN) == CRON_NEVER);
	assert_true(cron_previous(&any, utc, -1) == CRON_NEVER);
	assert_true(cron_previous(&any, utc, 0) == 0);
	assert_true(cron_previous(&any, utc, minute_ms - 1) == 0);
	assert_true(cron_previous(&any, utc, INT64_MAX) == CRON_LAST_MS - minute_ms);
	assert_true(cron_previous(&daily, berlin, 60 * minute_ms) == CRON_NEVER);
	assert_true(cron_previous(&daily, berlin, 90 * minute_ms) == 90 * minute_ms);
	cron_zone_close(utc);
	cron_zone_close(berlin);
}

static void test_schedule(void **state)
{
	static const struct { const char *json, *faults; } rows[] = {
		{ "{\"type\":\"cron\",\"cron\":\"*/2 * * * *\",\"timezone\":\"UTC\"}", "[]" },
		{ "{\"type\":\"cron\",\"cron\":\"*/2 * * * *\"}", "[]" },
		{ "{\"type\":\"cron\",\"cron\":\"0 4 * * MON\",\"timezone\":null}", "[]" },
		{ "{\"type\":\"cron\",\"cron\":\"0 4 * * MON\",\"timezone\":\"\"}", "[]" },
		{ "{\"type\":\"interval\",\"cron\":\"*/2 * * * *\"}",
		  "[{\"pointer\":\"/s/type\",\"detail\":\"\\\"interval\\\" is no type of schedule; expected \\\"cron\\\"\"}]" },
		{ "{\"type\":\"cron\",\"cron\":\"61 * * * *\"}",
		  "[{\"pointer\":\"/s/cron\",\"detail\":\"minute \\\"61\\\": expected 0-59\"}]" },
		{ "{\"type\":\"cron\",\"cron\":\"* * * * *\",\"timezone\":\"Mars/Olympus\"}",
		  "[{\"pointer\":\"/s/timezone\",\"detail\":\"unknown time zone \\\"Mars/Olympus\\\"; expected an IANA name as in "
		  "\\\"Europe/Berlin\\\"\"}]" },
		{ "{\"zone\":\"UTC\",\"cron\":5,\"timezone\":1}",
		  "[{\"pointer\":\"/s/zone\",\"detail\":\"unknown field \\\"zone\\\"; a schedule has type, cron and timezone\"},"
		  "{\"pointer\":\"/s/type\",\"detail\":\"is missing; expected \\\"cron\\\"\"},"
		  "{\"pointer\":\"/s/cron\",\"detail\":\"expected a text with five fields, found number\"},"
		  "{\"pointer\":\"/s/timezone\",\"detail\":\"expected a text, found number\"}]" },
		{ "{\"type\":true}", "[{\"pointer\":\"/s/type\",\"detail\":\"expected \\\"cron\\\", found boolean\"},"
		  "{\"pointer\":\"/s/cron\",\"detail\":\"is missing; expected five fields as in \\\"30 2 * * *\\\"\"}]" },
		{ "\"* * * * *\"",
		  "[{\"pointer\":\"/s\",\"detail\":\"expected an object with type, cron and timezone, found string\"}]" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct json_error wrong;
		struct faults faults = { 0 };
		struct schedule schedule;
		struct buf text = { 0 };
		yyjson_doc *doc = json_read(str_of(rows[i].json), &wrong);
		assert_non_null(doc);
		bool good = schedule_open(yyjson_doc_get_root(doc), "/s", &schedule, &faults);
		assert_int_equal(good, faults.count == 0);
		assert_int_equal(good, schedule.zone != NULL);
		faults_json(&faults, &text);
		buf_char(&text, '\0');
		assert_string_equal(text.ptr, rows[i].faults);
		assert_int_equal(schedule_check(yyjson_doc_get_root(doc), "/s", &faults), good);
		schedule_close(&schedule);
		faults_free(&faults);
		buf_free(&text);
		yyjson_doc_free(doc);
	}
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

/* What `tally cron WORDS` writes to a descriptor, into `out`; returns its exit status. */
static int command(char **words, int descriptor, char out[512])
{
	int argc = 0, saved = dup(descriptor), file = memfd_create("cron", MFD_CLOEXEC);
	assert_true(saved >= 0 && file >= 0);
	fflush(NULL);
	dup2(file, descriptor);
	while (words[argc])
		argc++;
	int status = cmd_cron(argc, words);
	fflush(NULL);
	dup2(saved, descriptor);
	ssize_t len = pread(file, out, 511, 0);
	assert_true(len >= 0);
	out[len] = '\0';
	close(saved);
	close(file);
	return status;
}

static void test_command(void **state)
{
	static const struct { const char *words[8]; int status; const char *output; } rows[] = {
		{ { "30 2 * * *", "--zone", "Europe/Paris", "--after", "2026-03-28T12:00:00Z", "--count", "2" }, 0,
		  "2026-03-29T01:00:00Z  2026-03-29T03:00:00+02:00\n2026-03-30T00:30:00Z  2026-03-30T02:30:00+02:00\n" },
		{ { "--count", "2", "--previous", "--after", "2026-10-25T01:00:00Z", "*/30 * * * *", }, 0,
		  "2026-10-25T01:00:00Z  2026-10-25T01:00:00+00:00\n2026-10-25T00:30:00Z  2026-10-25T00:30:00+00:00\n" },
		{ { "0 0 1 1 *", "--zone", "Africa/Monrovia", "--after", "1971-01-01T00:00:00Z", "--count", "1" }, 0,
		  "1971-01-01T00:44:30Z  1971-01-01T00:00:00-00:44:30\n" },
		{ { "* * * * *", "--after", "2300-01-01T00:00:00Z" }, 1, "tally cron: no such time between 1970 and 2199\n" },
		{ { "0 25 * * *" }, 64, "tally cron: hour \"25\": expected 0-23 (tally help cron)\n" },
		{ { NULL }, 64, "tally cron: EXPR is missing; an example is \"30 2 * * MON\" (tally help cron)\n" },
		{ { "30", "2" }, 64, "tally cron: more than one expression; put its five fields in quotes (tally help cron)\n" },
		{ { "* * * * *", "--zone" }, 64, "tally cron: --zone needs a value (tally help cron)\n" },
		{ { "* * * * *", "--zone", "BST" }, 64,
		  "tally cron: --zone is \"BST\"; expected an IANA name such as Europe/Berlin (tally help cron)\n" },
		{ { "* * * * *", "--after", "noon" }, 64,
		  "tally cron: --after is \"noon\"; expected a time such as 2026-03-29T00:00:00Z (tally help cron)\n" },
		{ { "* * * * *", "--count", "0" }, 64,
		  "tally cron: --count is \"0\"; expected 1 to 1000000 (tally help cron)\n" },
		{ { "* * * * *", "--zones", "UTC" }, 64, "tally cron: unknown option --zones (tally help cron)\n" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *words[COUNT(rows[i].words) + 1] = { 0 }, output[512];
		for (size_t n = 0; n < COUNT(rows[i].words); n++)
			words[n] = (char *)(uintptr_t)rows[i].words[n];
		assert_int_equal(command(words, rows[i].status ? STDERR_FILENO : STDOUT_FILENO, output), rows[i].status);
		assert_string_equal(output, rows[i].output);
	}
}

/* ---- against a scan of every minute ---------------------------------------------------------------------------- */

static uint64_t random_state = 0x9E3779B97F4A7C15;

static unsigned chance(unsigned below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 32) % below);
}

static void random_field(struct buf *out, unsigned min, unsigned max, unsigned any_in)
{
	unsigned items = 1 + (chance(3) ? 0 : chance(3));
	if (!chance(any_in)) {
		buf_char(out, '*');
		if (!chance(3))
			buf_printf(out, "/%u", 1 + chance(max - min));
		return;
	}
	for (unsigned i = 0; i < items; i++) {
		unsigned from = min + chance(max - min + 1), to = from + chance(max - from + 1);
		buf_printf(out, chance(3) ? "%s%u" : "%s%u-%u/%u", i ? "," : "", from, to, 1 + chance(3));
	}
}

static void random_expression(struct buf *out)
{
	static const unsigned bounds[][2] = { { 0, 59 }, { 0, 23 }, { 1, 31 }, { 1, 12 }, { 0, 7 } };
	out->len = 0;
	for (size_t i = 0; i < COUNT(bounds); i++) {
		if (i)
			buf_char(out, ' ');
		/* Hours about a change of the clock, and days that are not too rare. */
		if (i == 1 && !chance(2))
			random_field(out, 0, 3, 4);
		else
			random_field(out, bounds[i][0], bounds[i][1], i < 2 ? 4 : i == 2 ? 2 : i == 3 ? 1 : 2);
	}
	buf_char(out, '\0');
}

/* A time near a change of the clock, if the zone has one within the year behind `time`. */
static int64_t near_change(const struct cron_zone *zone, int64_t time)
{
	const int64_t day_ms = 1440 * minute_ms;
	for (int i = 0; i < 366; i++, time += day_ms)
		if (cron_zone_offset(zone, time) != cron_zone_offset(zone, time + day_ms))
			break;
	return time + chance(1440) * minute_ms;
}

static void expect(const char *what, const char *which, int64_t from, int64_t got, int64_t wanted)
{
	struct buf texts[3] = { 0 };
	if (got != wanted)
		fail_msg("%s: %s of %s is %s, not %s", what, which, shown(&texts[0], from), shown(&texts[1], got),
			 shown(&texts[2], wanted));
}

/* `what`: expression and zone, for a failure. */
static void check_window(const char *what, const struct cron *cron, const struct cron_zone *zone, int64_t from,
			 int64_t to)
{
	enum { ROOM = 6000 };
	static int64_t times[ROOM];
	size_t count = cron_scan(cron, zone, from, to, times, ROOM);
	assert_true(count < ROOM);
	int64_t time = from - 1;
	for (size_t i = 0; i < count; i++) {
		int64_t before = time;
		time = cron_next(cron, zone, before);
		expect(what, "next", before, time, times[i]);
	}
	if (cron_next(cron, zone, time) < to)
		expect(what, "next", time, cron_next(cron, zone, time), CRON_NEVER);
	time = to;
	for (size_t i = count; i-- > 0;) {
		int64_t behind = time - 1;
		time = cron_previous(cron, zone, behind);
		expect(what, "previous", behind, time, times[i]);
	}
	int64_t before = cron_previous(cron, zone, time - 1);
	if (before != CRON_NEVER && before >= from)
		expect(what, "previous", time - 1, before, CRON_NEVER);
	for (int i = 0; i < 20; i++) {
		size_t at = 0;
		int64_t probe = from + (int64_t)chance((unsigned)(to - from));
		while (at < count && times[at] <= probe)
			at++;
		if (at < count)
			expect(what, "next", probe, cron_next(cron, zone, probe), times[at]);
		if (at)
			expect(what, "previous", probe, cron_previous(cron, zone, probe), times[at - 1]);
	}
}

static void test_scan(void **state)
{
	enum { RUNS = 40 };
	static const char *const names[] = {
		"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia",
		"Africa/Casablanca", "America/St_Johns", "Asia/Tehran", "Africa/Monrovia", "Antarctica/Troll",
		"Antarctica/Casey", "America/Caracas", "Pacific/Kwajalein", "Asia/Pyongyang", "Europe/Dublin",
	};
	struct buf text = { 0 };
	(void)state;
	for (size_t z = 0; z < COUNT(names); z++) {
		struct cron_zone *zone = zone_of(names[z]);
		for (int run = 0; run < RUNS;) {
			struct cron cron;
			char error[CRON_ERROR_MAX];
			int64_t from = (int64_t)chance(86400 * 365) * 1000 * (chance(3) ? 57 : 140);
			if (chance(4))
				from = near_change(zone, from);
			from += chance(60000);
			random_expression(&text);
			if (!cron_parse(str_of(text.ptr), &cron, error))
				continue;
			text.len--;
			buf_printf(&text, " in %s", names[z]);
			buf_char(&text, '\0');
			check_window(text.ptr, &cron, zone, from, from + 2880 * minute_ms);
			run++;
		}
		cron_zone_close(zone);
	}
	buf_free(&text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward_fixed),
		cmocka_unit_test(test_back_fixed),
		cmocka_unit_test(test_both_any),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_zones),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_schedule),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_scan),
	};
	cron_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
