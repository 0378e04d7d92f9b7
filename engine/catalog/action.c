// SPDX-License-Identifier: Apache-2.0
/* action.c - the table of actions; checking and compiling them. */
#include "engine/catalog/action.h"

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"

/* ACTION_PATH_MAX parts. */
#define PATH_PATTERN "^[^.\\u0000]+(\\.[^.\\u0000]+){0,15}$"

static const struct field amount_args[] = {
	{ .name = "rate", .type = FIELD_DECIMAL, .flags = REQUIRED, .min = 0, .max = INT64_MAX,
	  .doc = "Points for each unit of the amount; the product is truncated." },
	{ .name = "amount_path", .type = FIELD_TEXT, .min = 1, .max = 256, .fallback = "\"amount\"", .pattern = PATH_PATTERN,
	  .doc = "Where in the payload the amount is, with dots." },
	{ .name = "min_points", .type = FIELD_INT, .flags = NULLABLE, .min = 0, .max = ACTION_POINTS_MAX,
	  .doc = "At least so many points." },
	{ .name = "max_points", .type = FIELD_INT, .flags = NULLABLE, .min = 0, .max = ACTION_POINTS_MAX,
	  .doc = "At most so many points." },
	{ 0 }
};

static const struct field points_args[] = {
	{ .name = "points", .type = FIELD_INT, .min = 1, .max = ACTION_POINTS_MAX, .doc = "How many points." },
	{ .name = "from_payload", .type = FIELD_TEXT, .min = 1, .max = 256, .pattern = PATH_PATTERN,
	  .doc = "Where in the payload the number of points is, with dots." },
	{ 0 }
};

static const struct field status_args[] = {
	{ .name = "status", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 64, .doc = "The new status." },
	{ 0 }
};

static const struct field tag_args[] = {
	{ .name = "tag", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 64, .doc = "The tag to add." },
	{ 0 }
};

static const struct field reward_args[] = {
	{ .name = "reward_id", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128, .ref_kind = "reward",
	  .ref_key = "id", .ref_unknown = "reward_unknown", .pattern = "^[1-9][0-9]{0,19}$", .doc = "Id of the reward." },
	{ 0 }
};

static const struct field bonus_args[] = {
	{ .name = "bonusKey", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128, .ref_kind = "bonus_definition",
	  .ref_key = "bonus_key", .ref_unknown = "bonus_unknown", .doc = "Key of the bonus definition." },
	{ 0 }
};

static const struct field tier_args[] = {
	{ .name = "tier", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128, .ref_kind = "loyalty_tier",
	  .ref_key = "key", .ref_unknown = "tier_unknown", .doc = "Key of the tier." },
	{ 0 }
};

static const struct field emit_args[] = {
	{ .name = "event_type", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128, .ref_kind = "event_type",
	  .ref_key = "key", .ref_unknown = "event_type_unknown", .ref_inactive = "event_type_inactive",
	  .ref_filter = "origin=INTERNAL", .ref_mismatch = "event_type_not_internal", .doc = "Key of an INTERNAL event type." },
	{ .name = "payload", .type = FIELD_JSON, .flags = NULLABLE, .max = 16 * 1024,
	  .doc = "Its payload; null: that of the event itself." },
	{ 0 }
};

static const struct field message_args[] = {
	{ .name = "template", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 128, .doc = "Which message." },
	{ 0 }
};

static const struct field webhook_args[] = {
	{ .name = "url", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 1024,
	  .pattern = "^https?://[^\\u0000-\\u0020\\u007f/][^\\u0000-\\u0020\\u007f]*$", .doc = "Where to: http:// or https://." },
	{ 0 }
};

static const struct field no_args[] = { { 0 } };
static const char *const points_or_payload[] = { "points", "from_payload", NULL };

const struct action_kind action_kinds[ACTION_TYPES] = {
	[ACTION_EARN_FROM_AMOUNT] = { .name = "earn_points_from_amount", .args = amount_args,
				      .doc = "Earn points in proportion to an amount in the payload." },
	[ACTION_EARN] = { .name = "earn_points", .args = points_args, .one_of = points_or_payload,
			  .doc = "Earn points." },
	[ACTION_BURN] = { .name = "burn_points", .args = points_args, .one_of = points_or_payload,
			  .doc = "Take points away; fails the rule if there are too few." },
	[ACTION_SET_STATUS] = { .name = "set_customer_status", .args = status_args,
				.doc = "Set the status of the customer." },
	[ACTION_ADD_TAG] = { .name = "add_customer_tag", .args = tag_args,
			     .doc = "Give the customer a tag; nothing happens if it is there already." },
	[ACTION_RESET_STATUS_POINTS] = { .name = "reset_status_points", .args = no_args,
					 .doc = "Set the status points back to 0." },
	[ACTION_ISSUE_REWARD] = { .name = "issue_reward", .args = reward_args,
				  .doc = "Give the customer a reward for nothing." },
	[ACTION_REDEEM_REWARD] = { .name = "redeem_reward", .args = reward_args,
				   .doc = "Give the customer a reward for its cost in points; fails the rule if there are too few." },
	[ACTION_RECORD_BONUS] = { .name = "record_bonus_award", .args = bonus_args,
				  .doc = "Note that the customer got a bonus; nothing happens if it was got in this period." },
	[ACTION_DOWNGRADE_TIER] = { .name = "downgrade_one_tier", .args = no_args,
				    .doc = "Take status points down to the threshold of the tier below; nothing happens in the lowest." },
	[ACTION_SET_TIER] = { .name = "set_tier", .args = tier_args,
			      .doc = "Set the status points to the threshold of a tier." },
	[ACTION_EMIT_EVENT] = { .name = "emit_event", .args = emit_args,
				.doc = "Run the rules of an INTERNAL event type for the customer, as part of this event." },
	[ACTION_SEND_MESSAGE] = { .name = "send_message", .args = message_args,
				  .doc = "Send the customer a message: tell the gateway (--message-url) its template, until it is taken." },
	[ACTION_CALL_WEBHOOK] = { .name = "call_webhook", .args = webhook_args,
				  .doc = "Tell another system: POST the event to a URL, until it is taken." },
};

const char *action_name(unsigned type)
{
	return type < ACTION_TYPES ? action_kinds[type].name : type == ACTION_TYPES ? "limit" : "unknown";
}

static enum action_type type_find(struct str name)
{
	unsigned type = 0;
	while (type < ACTION_TYPES && !str_eq(name, str_of(action_kinds[type].name)))
		type++;
	return (enum action_type)type;
}

static bool path_split(struct str text, struct action_path *out)
{
	size_t start = 0;
	*out = (struct action_path){ .text = text };
	for (size_t i = 0; i <= text.len; i++) {
		if (i < text.len && text.ptr[i] != '.')
			continue;
		if (i == start || out->count == ACTION_PATH_MAX)
			return false;
		out->parts[out->count++] = (struct str){ text.ptr + start, i - start };
		start = i + 1;
	}
	return true;
}

static bool check_path(yyjson_val *action, const char *name, struct buf *place, struct faults *faults)
{
	struct action_path path;
	yyjson_val *value = json_get(action, str_of(name));
	if (!yyjson_is_str(value) || path_split(json_text(value), &path))
		return true;
	size_t before = pointer_push(place, str_of(name));
	faults_add(faults, pointer_text(place), "expected 1 to %d names with dots between them", ACTION_PATH_MAX);
	place->len = before;
	return false;
}

static bool url_ok(struct str url)
{
	size_t host = url.len > 7 && !memcmp(url.ptr, "http://", 7) ? 7 : url.len > 8 && !memcmp(url.ptr, "https://", 8) ? 8 : 0;
	for (size_t i = 0; i < url.len; i++)
		if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7F)
			return false;
	return host && url.ptr[host] != '/';
}

static bool given(yyjson_val *action, const char *name)
{
	yyjson_val *value = json_get(action, str_of(name));
	return value && !yyjson_is_null(value);
}

/* Names of the actions that can be used, for people who mistyped one. */
static void unknown_type(struct str name, const char *pointer, struct faults *faults)
{
	struct buf names = { 0 };
	for (unsigned type = 0; type < ACTION_TYPES; type++)
		buf_printf(&names, "%s%s", names.len ? ", " : "", action_kinds[type].name);
	faults_add(faults, pointer, "unknown action \"%.*s\"; known are %.*s", text_cut(name, 60), name.ptr,
		   (int)names.len,
		   names.ptr);
	buf_free(&names);
}

static bool check_action(yyjson_val *action, struct buf *place, struct faults *faults)
{
	if (!yyjson_is_obj(action)) {
		faults_add(faults, pointer_text(place), "expected an object with a type, got %s",
			   json_type_name(action));
		return false;
	}
	yyjson_val *name = json_get(action, STR("type"));
	enum action_type type = yyjson_is_str(name) ? type_find(json_text(name)) : ACTION_TYPES;
	if (type == ACTION_TYPES) {
		size_t before = pointer_push(place, STR("type"));
		if (!name)
			faults_add(faults, pointer_text(place), "is required");
		else if (!yyjson_is_str(name))
			faults_add(faults, pointer_text(place), "expected a text, got %s", json_type_name(name));
		else
			unknown_type(json_text(name), pointer_text(place), faults);
		place->len = before;
		return false;
	}
	const struct action_kind *kind = &action_kinds[type];
	bool good = fields_check(kind->args, "type", action, pointer_text(place), faults);
	unsigned count = 0;
	struct buf names = { 0 };
	for (const char *const *one = kind->one_of; one && *one; one++) {
		count += given(action, *one);
		buf_printf(&names, "%s%s", names.len ? " or " : "", *one);
	}
	if (kind->one_of && count != 1) {
		faults_add(faults, pointer_text(place), "expected %s: %.*s", count ? "only one of" : "one of",
			   (int)names.len,
			   names.ptr);
		good = false;
	}
	buf_free(&names);
	good &= check_path(action, "amount_path", place, faults);
	good &= check_path(action, "from_payload", place, faults);
	yyjson_val *url = json_get(action, STR("url"));
	if (good && yyjson_is_str(url) && !url_ok(json_text(url))) {
		size_t before = pointer_push(place, STR("url"));
		faults_add(faults, pointer_text(place), "expected a URL with http:// or https://, without blanks");
		place->len = before;
		good = false;
	}
	yyjson_val *reward = json_get(action, STR("reward_id"));
	uint64_t id;
	if (good && yyjson_is_str(reward) && !catalog_id_parse(json_text(reward), &id)) {
		size_t before = pointer_push(place, STR("reward_id"));
		faults_add(faults, pointer_text(place), "expected the id of a reward, which is a number in quotes");
		place->len = before;
		good = false;
	}
	struct action compiled;
	if (good && action_compile(action, &compiled) && compiled.has_min && compiled.has_max &&
	    compiled.min_points > compiled.max_points) {
		size_t before = pointer_push(place, STR("max_points"));
		faults_add(faults, pointer_text(place), "expected at least min_points, which is %lld",
			   (long long)compiled.min_points);
		place->len = before;
		good = false;
	}
	return good;
}

const struct field *action_args(yyjson_val *source)
{
	enum action_type type = type_find(json_text(json_get(source, STR("type"))));
	return type == ACTION_TYPES ? no_args : action_kinds[type].args;
}

bool actions_check(yyjson_val *list, const char *pointer, struct faults *faults)
{
	size_t i, max;
	yyjson_val *action;
	bool good = true;
	struct buf place = { 0 };
	buf_str(&place, str_of(pointer));
	yyjson_arr_foreach(list, i, max, action) {
		size_t before = pointer_push_index(&place, i);
		good &= check_action(action, &place, faults);
		place.len = before;
	}
	buf_free(&place);
	return good;
}

static bool read_points(yyjson_val *source, const char *name, bool *has, int64_t *out)
{
	yyjson_val *value = json_get(source, str_of(name));
	*has = value && !yyjson_is_null(value);
	return !*has || (json_is_number(value) && json_int(value, out) && *out >= 0 && *out <= ACTION_POINTS_MAX);
}

bool action_compile(yyjson_val *source, struct action *out)
{
	yyjson_val *path;
	*out = (struct action){ .type = type_find(json_text(json_get(source, STR("type")))) };
	if (out->type == ACTION_TYPES)
		return false;
	switch (out->type) {
	case ACTION_EARN_FROM_AMOUNT:
		path = json_get(source, STR("amount_path"));
		return decimal_parse(json_raw(json_get(source, STR("rate"))), &out->rate) && out->rate.digits >= 0 &&
		       read_points(source, "min_points", &out->has_min, &out->min_points) &&
		       read_points(source, "max_points", &out->has_max, &out->max_points) &&
		       path_split(path ? json_text(path) : STR("amount"), &out->amount_path);
	case ACTION_EARN:
	case ACTION_BURN:
		path = json_get(source, STR("from_payload"));
		if (!read_points(source, "points", &out->has_points, &out->points) || out->has_points == !!path)
			return false;
		return !path || path_split(json_text(path), &out->from_payload);
	case ACTION_SET_STATUS:
		out->text = json_text(json_get(source, STR("status")));
		return out->text.len > 0;
	case ACTION_ADD_TAG:
		out->text = json_text(json_get(source, STR("tag")));
		return out->text.len > 0;
	case ACTION_ISSUE_REWARD:
	case ACTION_REDEEM_REWARD: return catalog_id_parse(json_text(json_get(source, STR("reward_id"))), &out->reward);
	case ACTION_RECORD_BONUS:
		out->text = json_text(json_get(source, STR("bonusKey")));
		return out->text.len > 0;
	case ACTION_SET_TIER:
		out->text = json_text(json_get(source, STR("tier")));
		return out->text.len > 0;
	case ACTION_SEND_MESSAGE:
		out->text = json_text(json_get(source, STR("template")));
		return out->text.len > 0;
	case ACTION_CALL_WEBHOOK:
		out->text = json_text(json_get(source, STR("url")));
		return url_ok(out->text);
	case ACTION_EMIT_EVENT:
		out->text = json_text(json_get(source, STR("event_type")));
		out->payload = json_get(source, STR("payload"));
		if (yyjson_is_null(out->payload))
			out->payload = NULL;
		return out->text.len > 0;
	default:
		return true;
	}
}

yyjson_val *action_path_get(const struct action_path *path, yyjson_val *payload)
{
	for (size_t i = 0; i < path->count && payload; i++) {
		struct str part = path->parts[i];
		if (!yyjson_is_arr(payload)) {
			payload = json_get(payload, part);
			continue;
		}
		size_t index = 0;
		bool digits = part.len < 10;
		for (size_t j = 0; j < part.len && digits; j++) {
			digits = part.ptr[j] >= '0' && part.ptr[j] <= '9';
			index = index * 10 + (size_t)(part.ptr[j] - '0');
		}
		payload = digits ? yyjson_arr_get(payload, index) : NULL;
	}
	return payload;
}
