// SPDX-License-Identifier: Apache-2.0
#include "engine/event/ingest.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/base/u128.h"
#include "engine/base/time.h"

enum { ERROR_TEXT_MAX = 160, TAGS_NEW_MAX = ACTIONS_MAX, CUSTOMER_BYTES_MAX = 60000 };

/* The member as the rules of one event see it: what earlier rules of the same event did is in here. */
struct scratch {
	int64_t points, status_points, lifetime_points;
	struct str status;
	struct str tags[TAGS_NEW_MAX];
	size_t tag_count;
	const struct account *account; /* NULL: none yet */
	i128 held;                     /* what the balance keeps: pending debits and the floor */
	i128 room;                     /* the ceiling, less pending credits */
	bool moved;                    /* points did */
};

struct facts {
	const struct row *row;
	const struct member *member;   /* NULL: unknown so far */
	const struct scratch *scratch;
	int64_t now_ms;
	struct rule_arena *arena;
	yyjson_doc **attributes;       /* read on first use */
	struct rule_value *tag_values; /* room for all tags; made on first use */
};

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
	if (!*facts->attributes)
		*facts->attributes = json_read(member_attributes(facts->member), &error);
	return *facts->attributes ? path_walk(yyjson_doc_get_root(*facts->attributes), path) : NULL;
}

static struct rule_value tags_value(struct facts *facts)
{
	size_t count = facts->member ? facts->member->tag_count : 0, extra = facts->scratch->tag_count;
	if (!facts->tag_values)
		facts->tag_values = mem_alloc((count + TAGS_NEW_MAX) * sizeof *facts->tag_values);
	for (size_t i = 0; i < count; i++)
		facts->tag_values[i] = value_of_text(facts->member->tags[i]);
	for (size_t i = 0; i < extra; i++)
		facts->tag_values[count + i] = value_of_text(facts->scratch->tags[i]);
	return (struct rule_value){ .type = RULE_ARRAY, .items = facts->tag_values, .count = count + extra };
}

static bool birthday_today(struct facts *facts)
{
	struct str text = json_text(attribute(facts, STR("birthdate")));
	struct civil today = civil_of(facts->now_ms);
	if (text.len < 10)
		return false;
	unsigned month = (unsigned)(text.ptr[5] - '0') * 10 + (unsigned)(text.ptr[6] - '0');
	unsigned day = (unsigned)(text.ptr[8] - '0') * 10 + (unsigned)(text.ptr[9] - '0');
	return month == today.month && day == today.day;
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
		*out = value_of_text(facts->row->profile);
	else if (str_eq(name, STR("bonus_awards")))
		*out = (struct rule_value){ .type = RULE_ARRAY };
	else
		*out = value_of_json(attribute(facts, name));
	return true;
}

/* The facts of one event, beside its payload: customer.*, event.*, payload.*. */
static bool fact(void *context, struct str path, struct rule_value *out)
{
	struct facts *facts = context;
	struct str rest;
	if (starts_with(path, STR("payload."), &rest)) {
		*out = value_of_json(path_walk(facts->row->payload, rest));
		return true;
	}
	if (starts_with(path, STR("customer."), &rest))
		return customer_fact(facts, rest, out);
	if (starts_with(path, STR("event."), &rest)) {
		if (str_eq(rest, STR("weekday")))
			*out = value_of_int(civil_of(facts->now_ms).weekday);
		else if (str_eq(rest, STR("type")))
			*out = value_of_text(facts->row->type);
		else if (str_eq(rest, STR("source")))
			*out = value_of_text(facts->row->source);
		else if (str_eq(rest, STR("first_purchase")))
			*out = (struct rule_value){ .type = RULE_BOOL,
						    .boolean = !facts->member || facts->member->event_count == 0 };
		else if (str_eq(rest, STR("birthday")))
			*out = (struct rule_value){ .type = RULE_BOOL, .boolean = birthday_today(facts) };
		else
			return false;
		return true;
	}
	return false;
}

/* Points that an action moves; false with a reason. */
static bool action_points(const struct action *action, yyjson_val *payload, int64_t *points, char error[ERROR_TEXT_MAX])
{
	const struct action_path *path = action->type == ACTION_EARN_FROM_AMOUNT ? &action->amount_path
										 : &action->from_payload;
	struct decimal amount, product;
	yyjson_val *value;
	if (action->type != ACTION_EARN_FROM_AMOUNT && action->has_points) {
		*points = action->points;
		return true;
	}
	value = action_path_get(path, payload);
	if (!value || yyjson_is_null(value)) {
		snprintf(error, ERROR_TEXT_MAX, "the payload has no %.*s", (int)path->text.len, path->text.ptr);
		return false;
	}
	/* A number in quotes counts: receipts often have amounts as text. */
	if (!decimal_parse(json_is_number(value) ? json_raw(value) : json_text(value), &amount)) {
		snprintf(error, ERROR_TEXT_MAX, "%.*s in the payload is not a number", (int)path->text.len, path->text.ptr);
		return false;
	}
	product = amount;
	if ((action->type == ACTION_EARN_FROM_AMOUNT && !decimal_mul(amount, action->rate, &product)) ||
	    !decimal_trunc(product, points)) {
		snprintf(error, ERROR_TEXT_MAX, "%.*s gives more points than fit", (int)path->text.len, path->text.ptr);
		return false;
	}
	if (action->has_min && *points < action->min_points)
		*points = action->min_points;
	if (action->has_max && *points > action->max_points)
		*points = action->max_points;
	return true;
}

static void effect_write(struct buf *out, enum effect_type type, const struct action *action, int64_t points, int64_t balance,
			 struct str text)
{
	struct effect_head head = { .points = points, .balance = balance, .type = (uint8_t)type,
				    .action = (uint8_t)action->type, .text_len = (uint16_t)text.len };
	buf_bytes(out, &head, sizeof head);
	buf_str(out, text);
}

static bool had_tag(const struct facts *facts, struct str tag)
{
	for (size_t i = 0; i < facts->scratch->tag_count; i++)
		if (str_eq(facts->scratch->tags[i], tag))
			return true;
	return facts->member && member_has_tag(facts->member, tag);
}

static bool account_takes(const struct scratch *scratch, char error[ERROR_TEXT_MAX])
{
	if (scratch->account && (scratch->account->flags & ACCOUNT_CLOSED)) {
		snprintf(error, ERROR_TEXT_MAX, "the customer's points account is closed");
		return false;
	}
	return true;
}

static bool action_run(const struct action *action, const struct facts *facts, struct scratch *scratch, struct buf *out,
		       char error[ERROR_TEXT_MAX])
{
	int64_t points = 0;
	switch (action->type) {
	case ACTION_EARN_FROM_AMOUNT:
	case ACTION_EARN:
		if (!action_points(action, facts->row->payload, &points, error))
			return false;
		if (points < 0) {
			snprintf(error, ERROR_TEXT_MAX, "earning %lld points: points must not be negative", (long long)points);
			return false;
		}
		if (points == 0) {
			effect_write(out, EFFECT_NONE, action, 0, scratch->points, STR("0 points"));
			return true;
		}
		if (points > ACTION_POINTS_MAX - scratch->points || points > ACTION_POINTS_MAX - scratch->lifetime_points ||
		    points > ACTION_POINTS_MAX - scratch->status_points) {
			snprintf(error, ERROR_TEXT_MAX, "the balance would pass %lld", (long long)ACTION_POINTS_MAX);
			return false;
		}
		if (!account_takes(scratch, error))
			return false;
		if ((i128)scratch->points + points > scratch->room) {
			snprintf(error, ERROR_TEXT_MAX, "earning %lld points would pass the account's ceiling", (long long)points);
			return false;
		}
		scratch->moved = true;
		scratch->points += points;
		scratch->lifetime_points += points;
		scratch->status_points += points;
		effect_write(out, EFFECT_EARN, action, points, scratch->points, (struct str){ "", 0 });
		return true;
	case ACTION_BURN:
		if (!action_points(action, facts->row->payload, &points, error))
			return false;
		if (points <= 0) {
			snprintf(error, ERROR_TEXT_MAX, "burning %lld points: points must be positive", (long long)points);
			return false;
		}
		if (!account_takes(scratch, error))
			return false;
		if ((i128)scratch->points - points < scratch->held) {
			if (scratch->held > 0)
				snprintf(error, ERROR_TEXT_MAX, "balance %lld, of which %lld are held, is lower than the %lld points to burn",
					 (long long)scratch->points, (long long)scratch->held, (long long)points);
			else
				snprintf(error, ERROR_TEXT_MAX, "balance %lld is lower than the %lld points to burn",
				 (long long)scratch->points, (long long)points);
			return false;
		}
		scratch->moved = true;
		scratch->points -= points;
		effect_write(out, EFFECT_BURN, action, points, scratch->points, (struct str){ "", 0 });
		return true;
	case ACTION_SET_STATUS:
		scratch->status = action->text;
		effect_write(out, EFFECT_STATUS, action, 0, scratch->points, action->text);
		return true;
	case ACTION_ADD_TAG:
		if (had_tag(facts, action->text)) {
			effect_write(out, EFFECT_NONE, action, 0, scratch->points, STR("has the tag already"));
			return true;
		}
		if (scratch->tag_count == TAGS_NEW_MAX ||
		    (facts->member ? facts->member->tag_count : 0u) + scratch->tag_count >= MEMBER_TAGS_MAX) {
			snprintf(error, ERROR_TEXT_MAX, "the customer has too many tags");
			return false;
		}
		scratch->tags[scratch->tag_count++] = action->text;
		effect_write(out, EFFECT_TAG, action, 0, scratch->points, action->text);
		return true;
	case ACTION_RESET_STATUS_POINTS:
		effect_write(out, EFFECT_STATUS_POINTS_RESET, action, scratch->status_points, scratch->points,
			     (struct str){ "", 0 });
		scratch->status_points = 0;
		return true;
	default:
		snprintf(error, ERROR_TEXT_MAX, "action %s is not available in this version", action_kinds[action->type].name);
		return false;
	}
}

/* Runs one rule and appends its execution; on failure the scratch is as before. */
static bool rule_run(const struct view_rule *rule, struct facts *facts, struct scratch *scratch, struct buf *out)
{
	struct execution_head head = { .rule_id = rule->id };
	struct scratch before = *scratch;
	struct rule_value matched = { .type = RULE_BOOL, .boolean = true };
	char error[ERROR_TEXT_MAX] = "";
	size_t start = out->len;
	bool good = true;
	buf_bytes(out, &head, sizeof head);
	if (rule->broken) {
		snprintf(error, sizeof error, "%s", rule->broken);
		good = false;
	} else if (rule->condition) {
		struct rule_input input = { .data = facts->row->payload, .lookup = fact, .context = facts };
		rule_arena_reset(facts->arena);
		good = rule_eval(rule->condition, &input, facts->arena, &matched, error);
	}
	if (good && !rule_truthy(&matched)) {
		head.result = EXECUTION_SKIPPED;
	} else {
		for (size_t i = 0; good && i < rule->action_count; i++) {
			good = action_run(&rule->actions[i], facts, scratch, out, error);
			head.effect_count++;
		}
		if (!good) {
			*scratch = MUTATE(39, before, *scratch);
			out->len = start + sizeof head;
			head.effect_count = 0;
			head.result = EXECUTION_FAILED;
			head.error_len = (uint16_t)strlen(error);
			buf_bytes(out, error, head.error_len);
		}
	}
	memcpy(out->ptr + start, &head, sizeof head);
	return good;
}

static const struct view_event_type *event_type_of(const struct row *row, const struct catalog_view *view)
{
	return view ? catalog_view_event_type(view, row->type) : NULL;
}

uint32_t ingest_bound(const struct row *row, const struct catalog_view *view)
{
	const struct view_event_type *type = event_type_of(row, view);
	size_t bound = sizeof(struct event_head) + row->tenant.len + row->profile.len + row->type.len + row->id.len +
		       row->source.len + row->payload_text.len + 8;
	for (size_t i = 0; type && i < type->rule_count; i++) {
		const struct view_rule *rule = &type->rules[i];
		bound += sizeof(struct execution_head) + ERROR_TEXT_MAX;
		for (size_t a = 0; a < rule->action_count; a++)
			bound += sizeof(struct effect_head) + rule->actions[a].text.len + 32;
	}
	return bound > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)bound;
}

static bool refuse(struct row *row, int status, const char *code, const char *detail, struct str what)
{
	problem_set(row_refuse(row), status, code, detail, (int)(what.len < 100 ? what.len : 100), what.ptr);
	return false;
}

bool ingest_decide(struct row *row, const struct member *member, const struct catalog_view *view, const struct ingest *context,
		   struct buf *out)
{
	const struct view_event_type *type = event_type_of(row, view);
	yyjson_doc *attributes = NULL;
	if (!type)
		return refuse(row, 400, "event_type_unknown", "event type %.*s does not exist for this brand", row->type);
	if (!type->active)
		return refuse(row, 400, "event_type_inactive", "event type %.*s is not active", row->type);
	if (type->origin == ORIGIN_INTERNAL && !(row->flags & ROW_INTERNAL))
		return refuse(row, 400, "event_type_internal", "event type %.*s is INTERNAL: only jobs emit it", row->type);
	if (type->broken)
		return refuse(row, 400, "payload_schema_broken", "%.*s", str_of(type->broken));
	if (!member && (row->flags & ROW_STRICT))
		return refuse(row, 404, "customer_unknown", "customer %.*s does not exist; upsert it first", row->profile);
	if (type->payload_schema) {
		struct faults faults = { 0 };
		if (!schema_check(type->payload_schema, row->payload, "/payload", &faults)) {
			struct problem *problem = row_refuse(row);
			problem_set(problem, 422, "validation_failed", "the payload does not fit the schema of event type %.*s",
				    (int)type->key.len, type->key.ptr);
			problem->faults = faults;
			return false;
		}
	}

	const struct account *account = context->account;
	struct scratch scratch = { .status = member ? member_status(member) : STR("ACTIVE"), .account = account,
				   .room = ACTION_POINTS_MAX };
	if (account) {
		scratch.points = account_balance(account);
		scratch.held = (i128)account->debits_pending + context->floor;
		scratch.room = (i128)context->ceiling - account->credits_pending;
		/* The sums of an account stay below 2^63 as well. */
		i128 left = (i128)INT64_MAX - account->credits_posted - account->credits_pending + scratch.points;
		if (left < scratch.room)
			scratch.room = left;
	}
	if (!account && !context->account_number)
		scratch.room = 0;
	if (member) {
		scratch.status_points = member->status_points;
		scratch.lifetime_points = member->lifetime_points;
	}
	struct facts facts = { .row = row, .member = member, .scratch = &scratch, .now_ms = context->now_ms,
			       .arena = context->arena, .attributes = &attributes };
	size_t start = record_begin(out, RECORD_EVENT, row->member_partition);
	struct event_head head = { 0 };
	memcpy(&head.head, out->ptr + start, sizeof head.head);
	out->len = start;
	head.prev_member = member ? member->last_lsn : 0;
	head.prev_slice = context->prev_slice;
	head.id_hash = row->id_hash;
	head.content_hash = row->content_hash;
	head.time_ms = context->now_ms;
	head.payload_len = (uint32_t)row->payload_text.len;
	head.tenant_len = (uint16_t)row->tenant.len;
	head.profile_len = (uint16_t)row->profile.len;
	head.type_len = (uint16_t)row->type.len;
	head.id_len = (uint16_t)row->id.len;
	head.source_len = (uint16_t)row->source.len;
	head.flags = (uint8_t)((member ? 0 : EVENT_MEMBER_CREATED) | (type->rule_count ? 0 : EVENT_NO_RULES));
	ASSERT(type->rule_count <= UINT16_MAX);
	head.execution_count = (uint8_t)type->rule_count;
	head.execution_count_high = (uint8_t)(type->rule_count >> 8);
	buf_bytes(out, &head, sizeof head);
	buf_str(out, row->tenant);
	buf_str(out, row->profile);
	buf_str(out, row->type);
	buf_str(out, row->id);
	buf_str(out, row->source);
	buf_str(out, row->payload_text);
	for (size_t i = 0; i < type->rule_count; i++)
		if (!rule_run(&type->rules[i], &facts, &scratch, out))
			head.flags |= EVENT_WITH_ERRORS;
	head.points = scratch.points;
	if (scratch.moved) {
		head.account = context->account_number;
		head.prev_account = account ? account->last_lsn : 0;
		head.flags |= account ? 0 : EVENT_ACCOUNT_CREATED;
	}
	memcpy(out->ptr + start, &head, sizeof head);
	record_end(out, start);
	mem_free(facts.tag_values);
	if (attributes)
		yyjson_doc_free(attributes);
	return true;
}

uint32_t customer_bound(const struct row *row, const struct member *member)
{
	size_t bound = sizeof(struct customer_head) + row->tenant.len + row->profile.len + row->payload_text.len * 2 + 4096;
	if (member) {
		bound += member->attributes_len + member->status_len;
		for (size_t i = 0; i < member->tag_count; i++)
			bound += member->tags[i].len + 2;
	}
	return bound > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)bound;
}

/* Fields of a customer that are not attributes. */
static bool is_core_field(struct str name)
{
	return str_eq(name, STR("brand")) || str_eq(name, STR("profileId")) || str_eq(name, STR("status")) ||
	       str_eq(name, STR("tags"));
}

/* Old attributes with the new ones over them; null takes one away. */
static void attributes_merge(struct buf *out, const struct member *member, yyjson_val *body)
{
	struct json_error error;
	yyjson_doc *old = member && member->attributes ? json_read(member_attributes(member), &error) : NULL;
	yyjson_val *key, *value;
	size_t i, max;
	bool first = true;
	buf_char(out, '{');
	if (old)
		yyjson_obj_foreach(yyjson_doc_get_root(old), i, max, key, value) {
			if (json_get(body, json_text(key)))
				continue;
			if (!first)
				buf_char(out, ',');
			first = false;
			buf_json_text(out, json_text(key));
			buf_char(out, ':');
			json_write(out, value);
		}
	yyjson_obj_foreach(body, i, max, key, value) {
		if (is_core_field(json_text(key)) || yyjson_is_null(value))
			continue;
		if (!first)
			buf_char(out, ',');
		first = false;
		buf_json_text(out, json_text(key));
		buf_char(out, ':');
		json_write(out, value);
	}
	buf_char(out, '}');
	if (old)
		yyjson_doc_free(old);
}

static void tag_write(struct buf *out, struct str tag)
{
	uint16_t len = (uint16_t)tag.len;
	buf_bytes(out, &len, sizeof len);
	buf_str(out, tag);
}

static int tag_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The tags of a body, ascending and each once, as the member will keep them.  Returns how many. */
static uint16_t tags_write(struct buf *out, yyjson_val *list)
{
	size_t count = yyjson_arr_size(list), i, max;
	struct str *tags = mem_alloc(count * sizeof *tags);
	yyjson_val *tag;
	uint16_t written = 0;
	yyjson_arr_foreach(list, i, max, tag)
		tags[i] = json_text(tag);
	if (count)
		qsort(tags, count, sizeof *tags, tag_order);
	for (i = 0; i < count; i++) {
		if (i && str_eq(tags[i], tags[i - 1]))
			continue;
		tag_write(out, tags[i]);
		written++;
	}
	mem_free(tags);
	return written;
}

bool customer_decide(struct row *row, const struct member *member, int64_t now_ms, struct buf *out)
{
	struct customer_head head = { 0 };
	yyjson_val *status = json_get(row->payload, STR("status")), *tags = json_get(row->payload, STR("tags"));
	struct str status_text = yyjson_is_str(status) ? json_text(status) : member ? member_status(member) : STR("ACTIVE");
	size_t start = record_begin(out, RECORD_CUSTOMER, row->member_partition);
	memcpy(&head.head, out->ptr + start, sizeof head.head);
	out->len = start;
	head.prev_member = member ? member->last_lsn : 0;
	head.time_ms = now_ms;
	head.tenant_len = (uint16_t)row->tenant.len;
	head.profile_len = (uint16_t)row->profile.len;
	head.status_len = (uint16_t)status_text.len;
	buf_bytes(out, &head, sizeof head);
	buf_str(out, row->tenant);
	buf_str(out, row->profile);
	buf_str(out, status_text);
	size_t before = out->len;
	attributes_merge(out, member, row->payload);
	head.attributes_len = (uint32_t)(out->len - before);
	if (head.attributes_len > CUSTOMER_BYTES_MAX) {
		problem_set(row_refuse(row), 422, "customer_too_large", "with what it had before the customer takes %u bytes; %d are allowed",
			    head.attributes_len, CUSTOMER_BYTES_MAX);
		return false;
	}
	if (yyjson_is_arr(tags)) {
		head.tag_count = tags_write(out, tags);
	} else if (member) {
		for (size_t i = 0; i < member->tag_count; i++)
			tag_write(out, member->tags[i]);
		head.tag_count = member->tag_count;
	}
	memcpy(out->ptr + start, &head, sizeof head);
	record_end(out, start);
	return true;
}
