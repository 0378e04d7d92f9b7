// SPDX-License-Identifier: Apache-2.0
/* parse.c - the text of a cron expression.  One table says what each field may hold; messages are made from it. */
#include <stdio.h>

#include "engine/base/problem.h"
#include "engine/cron/cron.h"

enum { FIELDS = 5, NAME_LEN = 3, SHOWN_MAX = 24 };

struct cron_field {
	const char *title;
	unsigned min, max;
	const char *names;             /* three letters each, of min, min + 1, ...; "" where there are none */
	const char *expected;
};

static const struct cron_field fields[FIELDS] = {
	{ "minute", 0, 59, "", "0-59" },
	{ "hour", 0, 23, "", "0-23" },
	{ "day of month", 1, 31, "", "1-31" },
	{ "month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", "1-12 or JAN-DEC" },
	{ "day of week", 0, 7, "SUNMONTUEWEDTHUFRISAT", "0-7 or SUN-SAT" },
};

struct reader {
	const struct cron_field *field;
	const char *at, *end;          /* of the item that is being read */
	struct str item;               /* whole, for messages */
	uint64_t set;
	bool any;
	char *error;
};

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool refuse(struct reader *reader, const char *why)
{
	snprintf(reader->error, CRON_ERROR_MAX, "%s \"%.*s\": %s", reader->field->title, text_cut(reader->item, SHOWN_MAX),
		 reader->item.ptr, why);
	return false;
}

static bool refuse_value(struct reader *reader)
{
	char why[64];
	snprintf(why, sizeof why, "expected %s", reader->field->expected);
	return refuse(reader, why);
}

static bool digits(struct reader *reader, unsigned *out)
{
	const char *begin = reader->at;
	for (*out = 0; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++)
		if (*out < 1000)               /* beyond any bound, and it stays so */
			*out = *out * 10 + (unsigned)(*reader->at - '0');
	return reader->at > begin;
}

static bool name(struct reader *reader, unsigned *out)
{
	const char *names = reader->field->names;
	if (reader->end - reader->at < NAME_LEN)
		return false;
	for (unsigned i = 0; names[i]; i += NAME_LEN) {
		unsigned same = 0;
		while (same < NAME_LEN && upper(reader->at[same]) == names[i + same])
			same++;
		if (same == NAME_LEN) {
			reader->at += NAME_LEN;
			*out = reader->field->min + i / NAME_LEN;
			return true;
		}
	}
	return false;
}

static bool value(struct reader *reader, unsigned *out)
{
	if (!digits(reader, out) && !name(reader, out))
		return refuse_value(reader);
	return (*out >= reader->field->min && *out <= reader->field->max) || refuse_value(reader);
}

static bool step(struct reader *reader, unsigned *out)
{
	unsigned most = reader->field->max - reader->field->min + 1;
	char why[64];
	reader->at++;
	if (reader->field->max == 7)
		most = 7;              /* Sunday has two numbers */
	if (digits(reader, out) && *out >= 1 && *out <= most)
		return true;
	snprintf(why, sizeof why, "expected a step of 1-%u behind /", most);
	return refuse(reader, why);
}

static bool refuse_order(struct reader *reader, unsigned from, unsigned to)
{
	const struct cron_field *field = reader->field;
	char why[80];
	snprintf(why, sizeof why, "a range begins with its smaller value; expected %u-%u,%u-%u", from,
		 field->max == 7 ? 6 : field->max, field->min, to);
	return refuse(reader, why);
}

static bool item(struct reader *reader)
{
	const struct cron_field *field = reader->field;
	unsigned from = field->min, to = field->max, by = 1;
	bool range = true;
	if (reader->at == reader->end)
		return refuse_value(reader);
	if (*reader->at == '*') {
		reader->at++;
		reader->any = true;
		if (to == 7)
			to = 6;
	} else {
		if (!value(reader, &from))
			return false;
		to = from;
		range = reader->at < reader->end && *reader->at == '-';
		if (range) {
			reader->at++;
			bool named = reader->at < reader->end && upper(*reader->at) == 'S';
			if (!value(reader, &to))
				return false;
			if (named && field->max == 7 && to == 0 && from > 0)
				to = 7;        /* FRI-SUN */
			if (to < from)
				return refuse_order(reader, from, to);
		}
	}
	if (reader->at < reader->end && *reader->at == '/') {
		if (!range)
			return refuse(reader, "a step stands behind * or a range, as in 5-59/15");
		if (!step(reader, &by))
			return false;
	}
	if (reader->at != reader->end)
		return refuse_value(reader);
	for (unsigned i = from; i <= to; i += by)
		reader->set |= (uint64_t)1 << (field->max == 7 ? i % 7 : i);
	return true;
}

static bool list(struct reader *reader, struct str text)
{
	const char *end = text.ptr + text.len;
	for (reader->at = text.ptr;; reader->at++) {
		const char *begin = reader->at;
		for (reader->end = begin; reader->end < end && *reader->end != ',';)
			reader->end++;
		reader->item = reader->end > begin ? (struct str){ begin, (size_t)(reader->end - begin) } : text;
		if (!item(reader))
			return false;
		if (reader->at == end)
			return true;
	}
}

/* Cuts a text at its blanks; returns how many parts there are, of which the first FIELDS are in `parts`. */
static unsigned split(struct str text, struct str parts[FIELDS])
{
	unsigned count = 0;
	size_t at = 0;
	while (true) {
		while (at < text.len && blank(text.ptr[at]))
			at++;
		size_t begin = at;
		while (at < text.len && !blank(text.ptr[at]))
			at++;
		if (at == begin)
			return count;
		if (count < FIELDS)
			parts[count] = (struct str){ text.ptr + begin, at - begin };
		count++;
	}
}

/* Every date comes on every day of the week, so only a day that none of the months has is impossible. */
static bool possible(const struct cron *cron)
{
	static const unsigned char days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	if (!cron->day_any && !cron->weekday_any)
		return true;
	for (unsigned month = 1; month <= 12; month++)
		if (cron->month >> month & 1 && cron->day & (((uint64_t)1 << (days[month - 1] + 1)) - 1))
			return true;
	return false;
}

bool cron_parse(struct str text, struct cron *out, char error[CRON_ERROR_MAX])
{
	struct str parts[FIELDS];
	struct reader readers[FIELDS];
	if (text.len > CRON_TEXT_MAX) {
		snprintf(error, CRON_ERROR_MAX, "longer than %d bytes", CRON_TEXT_MAX);
		return false;
	}
	unsigned count = split(text, parts);
	if (count != FIELDS) {
		snprintf(error, CRON_ERROR_MAX,
			 "expected 5 fields between blanks (minute hour day-of-month month day-of-week), found %u", count);
		return false;
	}
	for (unsigned i = 0; i < FIELDS; i++) {
		readers[i] = (struct reader){ .field = &fields[i], .error = error };
		if (!list(&readers[i], parts[i]))
			return false;
	}
	*out = (struct cron){
		.minute = readers[0].set, .hour = (uint32_t)readers[1].set, .day = (uint32_t)readers[2].set,
		.month = (uint16_t)readers[3].set, .weekday = (uint8_t)readers[4].set,
		.hour_any = readers[1].any, .day_any = readers[2].any, .weekday_any = readers[4].any,
	};
	if (possible(out))
		return true;
	snprintf(error, CRON_ERROR_MAX, "day of month \"%.*s\": none of the months \"%.*s\" has such a day",
		 text_cut(parts[2], SHOWN_MAX), parts[2].ptr, text_cut(parts[3], SHOWN_MAX), parts[3].ptr);
	return false;
}
