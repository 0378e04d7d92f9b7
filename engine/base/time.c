// SPDX-License-Identifier: Apache-2.0
#include "engine/base/time.h"

#include <string.h>

int64_t civil_days(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	unsigned yoe = (unsigned)(year - era * 400);
	unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

struct civil civil_of(int64_t time_ms)
{
	int64_t days = time_ms / 86400000, rest = time_ms % 86400000;
	struct civil out = { 0 };
	if (rest < 0) {
		rest += 86400000;
		days--;
	}
	out.milli = (unsigned)(rest % 1000);
	out.second = (unsigned)(rest / 1000 % 60);
	out.minute = (unsigned)(rest / 60000 % 60);
	out.hour = (unsigned)(rest / 3600000);
	int64_t weekday = (days + 3) % 7;          /* 1970-01-01 was a Thursday */
	out.weekday = (unsigned)(weekday < 0 ? weekday + 7 : weekday);
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	out.day = doy - (153 * mp + 2) / 5 + 1;
	out.month = mp < 10 ? mp + 3 : mp - 9;
	out.year = (int64_t)yoe + era * 400 + (out.month <= 2);
	return out;
}

static void digits(char *out, unsigned value, unsigned count)
{
	while (count--) {
		out[count] = (char)('0' + value % 10);
		value /= 10;
	}
}

void time_write(struct buf *out, int64_t time_ms)
{
	struct civil civil = civil_of(time_ms);
	char text[] = "0000-00-00T00:00:00.000Z";
	if (civil.year < 0 || civil.year > 9999) {
		buf_lit(out, "9999-12-31T23:59:59.999Z");
		return;
	}
	digits(text, (unsigned)civil.year, 4);
	digits(text + 5, civil.month, 2);
	digits(text + 8, civil.day, 2);
	digits(text + 11, civil.hour, 2);
	digits(text + 14, civil.minute, 2);
	digits(text + 17, civil.second, 2);
	digits(text + 20, civil.milli, 3);
	buf_bytes(out, text, sizeof text - 1);
}

static bool number(struct str text, size_t at, size_t count, unsigned *out)
{
	*out = 0;
	if (at + count > text.len)
		return false;
	for (size_t i = at; i < at + count; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		*out = *out * 10 + (unsigned)(text.ptr[i] - '0');
	}
	return true;
}

bool time_parse(struct str text, int64_t *time_ms)
{
	static const unsigned char month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned year, month, day, hour, minute, second, milli = 0, zone_hour, zone_minute;
	size_t at = 19;
	if (text.len < 20 || !number(text, 0, 4, &year) || text.ptr[4] != '-' || !number(text, 5, 2, &month) ||
	    text.ptr[7] != '-' || !number(text, 8, 2, &day) || (text.ptr[10] != 'T' && text.ptr[10] != 't') ||
	    !number(text, 11, 2, &hour) || text.ptr[13] != ':' || !number(text, 14, 2, &minute) || text.ptr[16] != ':' ||
	    !number(text, 17, 2, &second))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] || hour > 23 || minute > 59 || second > 60)
		return false;
	if (month == 2 && day == 29 && (year % 4 || (year % 100 == 0 && year % 400)))
		return false;
	if (text.ptr[at] == '.') {
		unsigned scale = 100;
		size_t first = ++at;
		for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) {
			milli += (unsigned)(text.ptr[at] - '0') * scale;
			scale /= 10;
		}
		if (at == first)
			return false;
	}
	int64_t offset = 0;
	if (at >= text.len)
		return false;
	if (text.ptr[at] == 'Z' || text.ptr[at] == 'z') {
		at++;
	} else {
		if ((text.ptr[at] != '+' && text.ptr[at] != '-') || !number(text, at + 1, 2, &zone_hour) ||
		    at + 6 > text.len || text.ptr[at + 3] != ':' || !number(text, at + 4, 2, &zone_minute) ||
		    zone_hour > 23 || zone_minute > 59)
			return false;
		offset = (int64_t)(zone_hour * 60 + zone_minute) * (text.ptr[at] == '-' ? -1 : 1);
		at += 6;
	}
	if (at != text.len)
		return false;
	*time_ms = civil_days(year, month, day) * 86400000 + (int64_t)hour * 3600000 + ((int64_t)minute - offset) * 60000 +
		   (int64_t)second * 1000 + milli;
	return true;
}
