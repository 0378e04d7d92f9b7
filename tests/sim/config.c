// SPDX-License-Identifier: Apache-2.0
/* config.c - a tenant's configuration as the naive model has it, read from the documents in the log.
 *
 * What it does not understand it refuses: an action, an audience or a limit that the product learns must be taught to the model too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"
#include "tests/sim/rules.h"

bool text_copy(char out[TEXT], struct str text)
{
	if (text.len >= TEXT)
		return false;
	memset(out, 0, TEXT);
	memcpy(out, text.ptr, text.len);
	return true;
}

/* ---- rules ---------------------------------------------------------------------------------------------------------- */

/* A payload with whole numbers; what is not there stays so. */
bool payload_model_read(yyjson_val *from, struct payload_model *payload)
{
	*payload = (struct payload_model){ 0 };
	yyjson_val *points = json_get(from, STR("points")), *amount = json_get(from, STR("amount"));
	payload->has_points = points != NULL;
	payload->has_amount = amount != NULL;
	return (!points || json_int(points, &payload->points)) && (!amount || json_int(amount, &payload->amount));
}

static bool tenths(yyjson_val *from, int64_t *out)
{
	char text[24];
	struct str raw = json_raw(from);
	int64_t whole = 0;
	unsigned part = 0;
	if (!raw.len || raw.len >= sizeof text)
		return false;
	memcpy(text, raw.ptr, raw.len);
	text[raw.len] = 0;
	char *end;
	whole = strtoll(text, &end, 10);
	if (*end == '.' && end[1] >= '0' && end[1] <= '9' && !end[2])
		part = (unsigned)(end[1] - '0');
	else if (*end)
		return false;
	*out = whole * 10 + part;
	return whole >= 0;
}

static bool optional_number(yyjson_val *from, struct str name, bool *has, int64_t *out)
{
	yyjson_val *value = json_get(from, name);
	*has = value && !yyjson_is_null(value);
	return !*has || json_int(value, out);
}

/* The one text that an action names something by, whatever it is called; "": none. */
static bool action_text(yyjson_val *from, const struct action_kind *kind, char out[TEXT])
{
	*out = 0;
	for (const struct field *field = kind->args; field->name; field++) {
		yyjson_val *value = json_get(from, str_of(field->name));
		bool path = strcmp(field->name, "from_payload") == 0 || strcmp(field->name, "amount_path") == 0;
		if ((field->type != FIELD_TEXT && field->type != FIELD_REF) || path || !value)
			continue;
		if (*out || !text_copy(out, json_text(value)))
			return false;
	}
	return true;
}

static bool action_read(yyjson_val *from, struct rule_model *rule)
{
	struct str name = json_text(json_get(from, STR("type")));
	unsigned type = 0;
	while (type < ACTION_TYPES && !str_eq(name, str_of(action_kinds[type].name)))
		type++;
	if (type == ACTION_TYPES || rule->action_count == RULE_ACTIONS)
		return false;
	struct action_model *action = &rule->actions[rule->action_count++];
	yyjson_val *path = json_get(from, STR("from_payload")), *payload = json_get(from, STR("payload"));
	*action = (struct action_model){ .type = (enum action_type)type };
	if (!path)
		path = json_get(from, STR("amount_path"));
	action->has_payload = payload && !yyjson_is_null(payload);
	return text_copy(action->path, path ? json_text(path) : STR("amount")) && action_text(from, &action_kinds[type], action->text) &&
	       optional_number(from, STR("points"), &action->has_points, &action->points) &&
	       optional_number(from, STR("min_points"), &action->has_min, &action->min) &&
	       optional_number(from, STR("max_points"), &action->has_max, &action->max) &&
	       (type != ACTION_EARN_FROM_AMOUNT || tenths(json_get(from, STR("rate")), &action->rate)) &&
	       (!action->has_payload || payload_model_read(payload, &action->payload)) && type < ACTIONS_UNDERSTOOD;
}

static bool limits_read(yyjson_val *from, struct rule_model *rule)
{
	size_t i, max;
	yyjson_val *limit;
	yyjson_arr_foreach(from, i, max, limit) {
		struct str per = json_text(json_get(limit, STR("per")));
		if (rule->limit_count == RULE_LIMITS || !json_int(json_get(limit, STR("max")), &rule->limits[rule->limit_count].max) ||
		    !text_copy(rule->limits[rule->limit_count++].per, per.len ? per : STR("EVER")))
			return false;
	}
	return true;
}

static bool audience_read(yyjson_val *from, struct rule_model *rule)
{
	struct audience_model *audience = &rule->audience;
	size_t i, max;
	yyjson_val *key, *value;
	*audience = (struct audience_model){ .points = INT64_MIN, .events = INT64_MIN };
	yyjson_obj_foreach(from, i, max, key, value) {
		struct str name = json_text(key);
		bool good = str_eq(name, STR("points_gte")) ? json_int(value, &audience->points)
			  : str_eq(name, STR("events_gte")) ? json_int(value, &audience->events)
			  : str_eq(name, STR("tags_any")) ? yyjson_arr_size(value) == 1 && text_copy(audience->tag, json_text(yyjson_arr_get(value, 0)))
			  : str_eq(name, STR("status_in")) && yyjson_arr_size(value) == 1 &&
				    text_copy(audience->status, json_text(yyjson_arr_get(value, 0)));
		if (!good)
			return false;
	}
	return true;
}

static bool rule_read(yyjson_val *from, uint64_t id, struct rule_model *rule)
{
	*rule = (struct rule_model){ .id = id };
	yyjson_val *condition = json_get(from, STR("conditions")), *actions = json_get(from, STR("actions")), *action;
	size_t i, max;
	rule->active = !yyjson_is_false(json_get(from, STR("active")));
	if (!text_copy(rule->type, json_text(json_get(from, STR("event_type")))) ||
	    !json_int(json_get(from, STR("priority")), &rule->priority) || !limits_read(json_get(from, STR("limits")), rule) ||
	    !audience_read(json_get(from, STR("audience")), rule))
		return false;
	if (condition && !yyjson_is_null(condition)) {
		yyjson_val *parts = json_get(condition, STR(">="));
		if (!json_int(yyjson_arr_get(parts, 1), &rule->at_least))
			return false;
	}
	yyjson_arr_foreach(actions, i, max, action)
		if (!action_read(action, rule))
			return false;
	return true;
}

static void rule_remove(struct config *config, uint64_t id)
{
	for (unsigned i = 0; i < config->rule_count; i++)
		if (config->rules[i].id == id) {
			memmove(config->rules + i, config->rules + i + 1, (config->rule_count - i - 1) * sizeof *config->rules);
			config->rule_count--;
			return;
		}
}

static void type_remove(struct config *config, uint64_t id)
{
	for (unsigned i = 0; i < config->type_count; i++)
		if (config->types[i].id == id) {
			config->types[i] = config->types[--config->type_count];
			return;
		}
}

/* A list in a configuration: entries that begin with their id. */
static void entry_remove(void *list, unsigned *count, size_t size, uint64_t id)
{
	char *at = list;
	for (unsigned i = 0; i < *count; i++)
		if (memcmp(at + i * size, &id, sizeof id) == 0) {
			memmove(at + i * size, at + (i + 1) * size, (*count - i - 1) * size);
			(*count)--;
			return;
		}
}

static bool is_active(yyjson_val *from)
{
	return !yyjson_is_false(json_get(from, STR("active")));
}

static bool reward_read(struct config *config, yyjson_val *from, uint64_t id)
{
	if (config->reward_count == ITEMS_MAX)
		return false;
	struct reward_model *reward = &config->rewards[config->reward_count++];
	*reward = (struct reward_model){ .id = id, .active = is_active(from) };
	json_int(json_get(from, STR("cost_points")), &reward->cost);
	json_int(json_get(from, STR("validity_days")), &reward->days);
	return text_copy(reward->name, json_text(json_get(from, STR("name"))));
}

static bool bonus_read(struct config *config, yyjson_val *from, uint64_t id)
{
	if (config->bonus_count == ITEMS_MAX)
		return false;
	struct bonus_model *bonus = &config->bonuses[config->bonus_count++];
	*bonus = (struct bonus_model){ .id = id, .active = is_active(from) };
	return text_copy(bonus->key, json_text(json_get(from, STR("bonus_key")))) &&
	       text_copy(bonus->policy, json_text(json_get(from, STR("policy"))));
}

static int tier_order(const void *a, const void *b)
{
	const struct tier_model *one = a, *other = b;
	return (one->from > other->from) - (one->from < other->from);
}

static bool tier_read(struct config *config, yyjson_val *from, uint64_t id)
{
	if (config->tier_count == ITEMS_MAX)
		return false;
	struct tier_model *tier = &config->tiers[config->tier_count++];
	*tier = (struct tier_model){ .id = id, .active = is_active(from) };
	bool good = json_int(json_get(from, STR("min_status_points")), &tier->from) &&
		    text_copy(tier->key, json_text(json_get(from, STR("key"))));
	qsort(config->tiers, config->tier_count, sizeof *config->tiers, tier_order);
	return good;
}

static int rule_order(const void *a, const void *b)
{
	const struct rule_model *one = a, *other = b;
	if (one->priority != other->priority)
		return one->priority < other->priority ? -1 : 1;
	return (one->id > other->id) - (one->id < other->id);
}

bool config_change(struct configs *configs, uint64_t lsn, bool removed, unsigned kind, uint64_t id, struct str json)
{
	ASSERT(configs->count < CONFIGS_MAX);
	if (!configs->list) {
		configs->list = calloc(CONFIGS_MAX, sizeof *configs->list);
		ASSERT(configs->list);
		configs->count = 1;
	}
	struct config *config = &configs->list[configs->count];
	*config = configs->list[configs->count - 1];
	configs->count++;
	config->lsn = lsn;
	switch (kind) {
	case KIND_RULE: rule_remove(config, id); break;
	case KIND_REWARD: entry_remove(config->rewards, &config->reward_count, sizeof *config->rewards, id); break;
	case KIND_BONUS_DEFINITION: entry_remove(config->bonuses, &config->bonus_count, sizeof *config->bonuses, id); break;
	case KIND_LOYALTY_TIER: entry_remove(config->tiers, &config->tier_count, sizeof *config->tiers, id); break;
	default: type_remove(config, id); break;
	}
	if (removed)
		return true;
	struct json_error error;
	yyjson_doc *doc = json_read(json, &error);
	yyjson_val *root = yyjson_doc_get_root(doc);
	bool good = doc != NULL;
	if (good && kind == KIND_RULE) {
		good = config->rule_count < RULES_MAX && rule_read(root, id, &config->rules[config->rule_count]);
		config->rule_count += good;
		qsort(config->rules, config->rule_count, sizeof *config->rules, rule_order);
	} else if (good && kind == KIND_REWARD) {
		good = reward_read(config, root, id);
	} else if (good && kind == KIND_BONUS_DEFINITION) {
		good = bonus_read(config, root, id);
	} else if (good && kind == KIND_LOYALTY_TIER) {
		good = tier_read(config, root, id);
	} else if (good) {
		good = config->type_count < TYPES_MAX &&
		       text_copy(config->types[config->type_count].key, json_text(json_get(root, STR("key"))));
		if (good) {
			struct type_model *type = &config->types[config->type_count++];
			type->id = id;
			type->active = is_active(root);
			type->internal = str_eq(json_text(json_get(root, STR("origin"))), STR("INTERNAL"));
		}
	}
	yyjson_doc_free(doc);
	return good;
}

void configs_free(struct configs *configs)
{
	free(configs->list);
	*configs = (struct configs){ 0 };
}
