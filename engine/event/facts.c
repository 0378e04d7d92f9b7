// SPDX-License-Identifier: Apache-2.0
#include "engine/event/facts.h"

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"

static struct rule_value value_of_int(int64_t value)
{
	return (struct rule_value){ .type = RULE_NUMBER, .number = decimal_of(value) };
}

static struct rule_value value_of_text(struct str text)
{
	return (struct rule_value){ .type = RULE_TEXT, .text = text };
}

static struct rule_value value_of_json(yyjson_val *value)
{
	struct rule_value out = { .type = RULE_NULL };
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_BOOL: return (struct rule_value){ .type = RULE_BOOL, .boolean = yyjson_get_bool(value) };
	case YYJSON_TYPE_STR: return value_of_text(json_text(value));
	case YYJSON_TYPE_ARR:
	case YYJSON_TYPE_OBJ: return (struct rule_value){ .type = RULE_JSON, .json = value };
	case YYJSON_TYPE_RAW:
		if (decimal_parse(json_raw(value), &out.number))
			out.type = RULE_NUMBER;
		return out;
	default: return out;
	}
}

/* Walks a dot path; parts of digits index arrays. */
static yyjson_val *path_walk(yyjson_val *value, struct str path)
{
	while (value && path.len) {
		const char *dot = memchr(path.ptr, '.', path.len);
		struct str part = { path.ptr, dot ? (size_t)(dot - path.ptr) : path.len };
		path = dot ? (struct str){ dot + 1, path.len - part.len - 1 } : (struct str){ "", 0 };
		if (yyjson_is_arr(value)) {
			size_t index = 0;
			for (size_t i = 0; i < part.len; i++) {
				if (part.ptr[i] < '0' || part.ptr[i] > '9' || index > 1000000)
					return NULL;
				index = index * 10 + (size_t)(part.ptr[i] - '0');
			}
			value = part.len ? yyjson_arr_get(value, index) : NULL;
		} else {
			value = json_get(value, part);
		}
	}
	return value;
}

static bool starts_with(struct str text, struct str prefix, struct str *rest)
{
	if (text.len < prefix.len || memcmp(text.ptr, prefix.ptr, prefix.len) != 0)
		return false;
	*rest = (struct str){ text.ptr + prefix.len, text.len - prefix.len };
	return true;
}

static yyjson_val *attribute(struct facts *facts, struct str path)
{
	struct json_error error;
	if (!facts->member || !facts->member->attributes)
		return NULL;
	if (!facts->attributes)
		facts->attributes = json_read(member_attributes(facts->member), &error);
	return facts->attributes ? path_walk(yyjson_doc_get_root(facts->attributes), path) : NULL;
}

/* Both lists share one piece of memory: tags in front, bonuses behind. */
static struct rule_value *list_room(struct facts *facts, bool bonuses)
{
	size_t tags = (facts->member ? facts->member->tag_count : 0u) + SCRATCH_LIST_MAX;
	size_t awards = (facts->member && facts->member->more ? facts->member->more->bonus_count : 0u) + SCRATCH_LIST_MAX;
	if (!facts->lists)
		facts->lists = mem_alloc((tags + awards) * sizeof *facts->lists);
	return facts->lists + (bonuses ? tags : 0);
}

static struct rule_value tags_value(struct facts *facts)
{
	size_t count = facts->member ? facts->member->tag_count : 0, extra = facts->scratch->tag_count;
	struct rule_value *values = list_room(facts, false);
	for (size_t i = 0; i < count; i++)
		values[i] = value_of_text(facts->member->tags[i]);
	for (size_t i = 0; i < extra; i++)
		values[count + i] = value_of_text(facts->scratch->lists->tags[i]);
	return (struct rule_value){ .type = RULE_ARRAY, .items = values, .count = count + extra };
}

/* Keys of the bonuses that the member has ever been awarded, one for each award. */
static struct rule_value bonuses_value(struct facts *facts)
{
	const struct member_more *more = facts->member ? facts->member->more : NULL;
	size_t count = more ? more->bonus_count : 0, extra = facts->scratch->bonus_count;
	struct rule_value *values = list_room(facts, true);
	for (size_t i = 0; i < count; i++)
		values[i] = value_of_text((struct str){ more->bonuses[i].key, more->bonuses[i].key_len });
	for (size_t i = 0; i < extra; i++)
		values[count + i] = value_of_text(facts->scratch->lists->bonuses[i].key);
	return (struct rule_value){ .type = RULE_ARRAY, .items = values, .count = count + extra };
}

static bool birthday_today(struct facts *facts)
{
	struct str text = json_text(attribute(facts, STR("birthdate")));
	struct civil today = civil_of(facts->now_ms + facts->zone_ms);
	if (text.len < 10)
		return false;
	unsigned month = (unsigned)(text.ptr[5] - '0') * 10 + (unsigned)(text.ptr[6] - '0');
	unsigned day = (unsigned)(text.ptr[8] - '0') * 10 + (unsigned)(text.ptr[9] - '0');
	return month == today.month && day == today.day;
}

/* A day like the one on which the member was made, in a later year. */
static bool anniversary_today(const struct facts *facts)
{
	struct civil today = civil_of(facts->now_ms + facts->zone_ms);
	struct civil created = civil_of((facts->member ? facts->member->created_ms : facts->now_ms) + facts->zone_ms);
	return today.year > created.year && today.month == created.month && today.day == created.day;
}

static struct rule_value tier_value(const struct facts *facts)
{
	const struct view_tier *tier = view_tier_of(facts->view, facts->scratch->status_points);
	return tier ? value_of_text(tier->key) : (struct rule_value){ .type = RULE_NULL };
}

static bool customer_fact(struct facts *facts, struct str name, struct rule_value *out)
{
	const struct member *member = facts->member;
	const struct scratch *scratch = facts->scratch;
	int64_t created = member ? member->created_ms : facts->now_ms;
	int64_t active = member && member->active_ms ? member->active_ms : created;
	if (str_eq(name, STR("points")))
		*out = value_of_int(scratch->points);
	else if (str_eq(name, STR("status_points")))
		*out = value_of_int(scratch->status_points);
	else if (str_eq(name, STR("lifetime_points")))
		*out = value_of_int(scratch->lifetime_points);
	else if (str_eq(name, STR("status")))
		*out = value_of_text(scratch->status);
	else if (str_eq(name, STR("created_days")))
		*out = value_of_int((facts->now_ms - created) / 86400000);
	else if (str_eq(name, STR("last_activity_days")))
		*out = value_of_int((facts->now_ms - active) / 86400000);
	else if (str_eq(name, STR("events")))
		*out = value_of_int(member ? member->event_count : 0);
	else if (str_eq(name, STR("tags")))
		*out = tags_value(facts);
	else if (str_eq(name, STR("profileId")))
		*out = value_of_text(facts->profile);
	else if (str_eq(name, STR("bonus_awards")))
		*out = bonuses_value(facts);
	else if (str_eq(name, STR("debt")))
		*out = value_of_int(scratch->debt);
	else if (str_eq(name, STR("loyalty_status")))
		*out = tier_value(facts);
	else
		*out = value_of_json(attribute(facts, name));
	return true;
}

/* The facts of one event, beside its payload: customer.*, event.*, payload.*. */
bool facts_lookup(void *context, struct str path, struct rule_value *out)
{
	struct facts *facts = context;
	struct str rest;
	if (starts_with(path, STR("payload."), &rest)) {
		*out = value_of_json(path_walk(facts->payload, rest));
		return true;
	}
	if (starts_with(path, STR("customer."), &rest))
		return customer_fact(facts, rest, out);
	if (starts_with(path, STR("event."), &rest)) {
		if (str_eq(rest, STR("weekday")))
			*out = value_of_int(civil_of(facts->now_ms + facts->zone_ms).weekday);
		else if (str_eq(rest, STR("type")))
			*out = value_of_text(facts->type);
		else if (str_eq(rest, STR("source")))
			*out = value_of_text(facts->source);
		else if (str_eq(rest, STR("first_purchase")))
			*out = (struct rule_value){ .type = RULE_BOOL,
						    .boolean = !facts->member || facts->member->event_count == 0 };
		else if (str_eq(rest, STR("birthday")))
			*out = (struct rule_value){ .type = RULE_BOOL, .boolean = birthday_today(facts) };
		else if (str_eq(rest, STR("anniversary")))
			*out = (struct rule_value){ .type = RULE_BOOL, .boolean = anniversary_today(facts) };
		else
			return false;
		return true;
	}
	return false;
}

void scratch_of(struct scratch *scratch, struct scratch_lists *lists, const struct member *member, int64_t points)
{
	*scratch = (struct scratch){ .points = points, .status = STR("ACTIVE"), .lists = lists };
	if (!member)
		return;
	scratch->status = member_status(member);
	scratch->status_points = member->status_points;
	scratch->lifetime_points = member->lifetime_points;
	scratch->debt = member_debt(member);
	scratch->reward_count = member->more ? member->more->reward_count : 0;
	scratch->seq = member->more ? member->more->seq : 0;
}

bool scratch_has_tag(const struct scratch *scratch, const struct member *member, struct str tag)
{
	for (size_t i = 0; i < scratch->tag_count; i++)
		if (str_eq(scratch->lists->tags[i], tag))
			return true;
	return member && member_has_tag(member, tag);
}

bool scratch_has_bonus(const struct scratch *scratch, const struct member *member, struct str key, uint32_t period)
{
	for (size_t i = 0; i < scratch->bonus_count; i++)
		if (scratch->lists->bonuses[i].period == period && str_eq(scratch->lists->bonuses[i].key, key))
			return true;
	return member && member_has_bonus(member, key, period);
}

uint32_t scratch_counted(const struct scratch *scratch, const struct member *member, uint64_t key, uint32_t period)
{
	for (size_t i = scratch->count_count; i--;)
		if (scratch->lists->counts[i].key == key)
			return scratch->lists->counts[i].period == period ? scratch->lists->counts[i].count : 0;
	return member ? member_counted(member, key, period) : 0;
}

void facts_end(struct facts *facts)
{
	mem_free(facts->lists);
	facts->lists = NULL;
	if (facts->attributes)
		yyjson_doc_free(facts->attributes);
	facts->attributes = NULL;
}
