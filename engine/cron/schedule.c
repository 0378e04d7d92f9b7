// SPDX-License-Identifier: Apache-2.0
#include "engine/cron/schedule.h"

#include "engine/base/json.h"
#include "engine/base/problem.h"

static const struct str known[] = { { "type", 4 }, { "cron", 4 }, { "timezone", 8 } };

static void check_names(yyjson_val *value, struct buf *place, struct faults *faults)
{
	size_t at, count;
	yyjson_val *key, *member;
	yyjson_obj_foreach(value, at, count, key, member) {
		struct str name = json_text(key);
		bool found = false;
		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			found = found || str_eq(name, known[i]);
		if (found)
			continue;
		size_t before = pointer_push(place, name);
		faults_add(faults, pointer_text(place), "unknown field \"%.*s\"; a schedule has type, cron and timezone",
			   text_cut(name, 100), name.ptr);
		place->len = before;
	}
}

static void check_type(yyjson_val *value, struct buf *place, struct faults *faults)
{
	yyjson_val *type = json_get(value, STR("type"));
	size_t before = pointer_push(place, STR("type"));
	if (!type)
		faults_add(faults, pointer_text(place), "is missing; expected \"cron\"");
	else if (!yyjson_is_str(type))
		faults_add(faults, pointer_text(place), "expected \"cron\", found %s", json_type_name(type));
	else if (!str_eq(json_text(type), STR("cron")))
		faults_add(faults, pointer_text(place), "\"%.*s\" is no type of schedule; expected \"cron\"",
			   text_cut(json_text(type), 60), json_text(type).ptr);
	place->len = before;
}

static void read_cron(yyjson_val *value, struct buf *place, struct cron *out, struct faults *faults)
{
	yyjson_val *cron = json_get(value, STR("cron"));
	char error[CRON_ERROR_MAX];
	size_t before = pointer_push(place, STR("cron"));
	if (!cron)
		faults_add(faults, pointer_text(place), "is missing; expected five fields as in \"30 2 * * *\"");
	else if (!yyjson_is_str(cron))
		faults_add(faults, pointer_text(place), "expected a text with five fields, found %s", json_type_name(cron));
	else if (!cron_parse(json_text(cron), out, error))
		faults_add(faults, pointer_text(place), "%s", error);
	place->len = before;
}

static struct cron_zone *read_zone(yyjson_val *value, struct buf *place, struct faults *faults)
{
	yyjson_val *zone = json_get(value, STR("timezone"));
	struct cron_zone *out = NULL;
	size_t before = pointer_push(place, STR("timezone"));
	if (zone && !yyjson_is_str(zone) && !yyjson_is_null(zone)) {
		faults_add(faults, pointer_text(place), "expected a text, found %s", json_type_name(zone));
	} else {
		out = cron_zone_open(json_text(zone));
		if (!out)
			faults_add(faults, pointer_text(place),
				   "unknown time zone \"%.*s\"; expected an IANA name as in \"Europe/Berlin\"",
				   text_cut(json_text(zone), CRON_ZONE_NAME_MAX), json_text(zone).ptr);
	}
	place->len = before;
	return out;
}

bool schedule_open(yyjson_val *value, const char *pointer, struct schedule *out, struct faults *faults)
{
	size_t found = faults->count + faults->more;
	struct buf place = { 0 };
	*out = (struct schedule){ 0 };
	if (!yyjson_is_obj(value)) {
		faults_add(faults, pointer, "expected an object with type, cron and timezone, found %s",
			   value ? json_type_name(value) : "nothing");
		return false;
	}
	buf_str(&place, str_of(pointer));
	check_names(value, &place, faults);
	check_type(value, &place, faults);
	read_cron(value, &place, &out->cron, faults);
	out->zone = read_zone(value, &place, faults);
	buf_free(&place);
	if (faults->count + faults->more == found)
		return true;
	schedule_close(out);
	return false;
}

bool schedule_check(yyjson_val *value, const char *pointer, struct faults *faults)
{
	struct schedule schedule;
	bool good = schedule_open(value, pointer, &schedule, faults);
	schedule_close(&schedule);
	return good;
}

void schedule_close(struct schedule *schedule)
{
	cron_zone_close(schedule->zone);
	*schedule = (struct schedule){ 0 };
}

static void any_case(struct buf *out, const char *names)
{
	for (size_t i = 0; names[i]; i += 3) {
		buf_char(out, '|');
		for (size_t j = i; j < i + 3; j++)
			buf_printf(out, "[%c%c]", names[j], names[j] | 0x20);
	}
}

/* What one of the five fields may hold, as parse.c reads them; the others are anything here. */
static void cron_pattern(struct buf *out, unsigned index)
{
	static const struct { const char *numbers, *names, *step; } fields[] = {
		{ "[0-5]?[0-9]", "", "[1-9]|[1-5][0-9]|60" },
		{ "[01]?[0-9]|2[0-3]", "", "[1-9]|1[0-9]|2[0-4]" },
		{ "[1-9]|[12][0-9]|3[01]", "", "[1-9]|[12][0-9]|3[01]" },
		{ "[1-9]|1[0-2]", "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", "[1-9]|1[0-2]" },
		{ "[0-7]", "SUNMONTUEWEDTHUFRISAT", "[1-7]" },
	};
	struct buf pattern = { 0 }, value = { 0 }, item = { 0 };
	buf_printf(&value, "(0*(%s)", fields[index].numbers);
	any_case(&value, fields[index].names);
	buf_char(&value, ')');
	buf_printf(&item, "(\\*(/0*(%s))?|%.*s(-%.*s(/0*(%s))?)?)", fields[index].step, (int)value.len, value.ptr, (int)value.len,
		   value.ptr, fields[index].step);
	buf_printf(&pattern, "^[ \\t]*([^ \\t]+[ \\t]+){%u}(%.*s,)*%.*s([ \\t]+[^ \\t]+){%u}[ \\t]*$", index, (int)item.len,
		   item.ptr, (int)item.len, item.ptr, 4 - index);
	buf_printf(out, "%s{\"pattern\":", index ? "," : "");
	buf_json_text(out, buf_view(&pattern));
	buf_char(out, '}');
	buf_free(&pattern);
	buf_free(&value);
	buf_free(&item);
}

void schedule_schema(struct buf *out, bool partial, const char *refs)
{
	(void)refs;
	buf_printf(out,
		   "{\"type\":\"object\",\"properties\":{\"type\":{\"const\":\"cron\"},\"cron\":{\"type\":\"string\",\"maxLength\":%d,"
		   "\"description\":\"Five fields: minute, hour, day of month, month, day of week.\",\"allOf\":[", CRON_TEXT_MAX);
	for (unsigned i = 0; i < 5; i++)
		cron_pattern(out, i);
	buf_lit(out, "]},\"timezone\":{\"type\":[\"string\",\"null\"],\"description\":\"IANA name; UTC without one.\"}},");
	buf_str(out, partial ? STR("\"additionalProperties\":{\"type\":\"null\"}}")
			     : STR("\"required\":[\"type\",\"cron\"],\"additionalProperties\":false}"));
}
