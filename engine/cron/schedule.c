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
