// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/event/effect.h"
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"

/* ---- configuration ------------------------------------------------------------------------------------------------- */

static bool text_copy(char out[TEXT], struct str text)
{
	if (text.len >= TEXT)
		return false;
	memset(out, 0, TEXT);
	memcpy(out, text.ptr, text.len);
	return true;
}

static bool action_read(yyjson_val *from, struct rule_model *rule)
{
	struct str type = json_text(json_get(from, STR("type")));
	int64_t number = 0;
	if (rule->action_count == RULE_ACTIONS)
		return false;
	bool fixed = json_int(json_get(from, STR("points")), &number);
	enum rule_act act;
	struct str text = { "", 0 };
	if (str_eq(type, STR("earn_points"))) {
		act = fixed ? ACT_EARN : ACT_EARN_PAYLOAD;
	} else if (str_eq(type, STR("burn_points"))) {
		act = fixed ? ACT_BURN : ACT_BURN_PAYLOAD;
	} else if (str_eq(type, STR("earn_points_from_amount"))) {
		act = ACT_EARN_AMOUNT;
		if (!json_int(json_get(from, STR("rate")), &number))
			return false;
	} else if (str_eq(type, STR("set_customer_status"))) {
		act = ACT_STATUS;
		text = json_text(json_get(from, STR("status")));
	} else if (str_eq(type, STR("add_customer_tag"))) {
		act = ACT_TAG;
		text = json_text(json_get(from, STR("tag")));
	} else if (str_eq(type, STR("reset_status_points"))) {
		act = ACT_RESET;
	} else if (str_eq(type, STR("issue_reward")) || str_eq(type, STR("redeem_reward"))) {
		uint64_t id = 0;
		act = str_eq(type, STR("issue_reward")) ? ACT_ISSUE : ACT_REDEEM;
		if (!catalog_id_parse(json_text(json_get(from, STR("reward_id"))), &id))
			return false;
		number = (int64_t)id;
	} else if (str_eq(type, STR("record_bonus_award"))) {
		act = ACT_BONUS;
		text = json_text(json_get(from, STR("bonusKey")));
	} else if (str_eq(type, STR("downgrade_one_tier"))) {
		act = ACT_DOWNGRADE;
	} else if (str_eq(type, STR("set_tier"))) {
		act = ACT_TIER;
		text = json_text(json_get(from, STR("tier")));
	} else {
		return false;
	}
	rule->actions[rule->action_count].act = act;
	rule->actions[rule->action_count].number = number;
	return text_copy(rule->actions[rule->action_count++].text, text);
}

static bool rule_read(yyjson_val *from, uint64_t id, struct rule_model *rule)
{
	*rule = (struct rule_model){ .id = id };
	yyjson_val *condition = json_get(from, STR("conditions")), *actions = json_get(from, STR("actions")), *action;
	size_t i, max;
	rule->active = !yyjson_is_false(json_get(from, STR("active")));
	if (!text_copy(rule->type, json_text(json_get(from, STR("event_type")))) ||
	    !json_int(json_get(from, STR("priority")), &rule->priority))
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
			config->types[config->type_count].id = id;
			config->types[config->type_count++].active = !yyjson_is_false(json_get(root, STR("active")));
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

/* ---- members ------------------------------------------------------------------------------------------------------- */

bool member_has(const struct member_model *member, const char *tag)
{
	for (unsigned i = 0; i < member->tag_count; i++)
		if (strcmp(member->tags[i], tag) == 0)
			return true;
	return false;
}

void member_tag(struct member_model *member, const char *tag)
{
	unsigned at = member->tag_count;
	if (member_has(member, tag))
		return;
	ASSERT(member->tag_count < TAGS_MAX);
	for (; at && strcmp(member->tags[at - 1], tag) > 0; at--)
		memcpy(member->tags[at], member->tags[at - 1], TEXT);
	snprintf(member->tags[at], TEXT, "%s", tag);
	member->tag_count++;
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

struct trial {
	struct member_model member;    /* its rewards are looked at, never changed */
	const struct config *config;
	int64_t now_ms;
	const struct model_account *account;
	int64_t points, before;
	bool moved;
};

static bool earn(struct trial *trial, int64_t points)
{
	const struct model_account *account = trial->account;
	if (account && account->closed)
		return false;
	/* 2^53 - 1: exact in every JSON client; and no sum of an account passes 2^63 - 1. */
	const i128 most = INT64_C(9007199254740991);
	if ((i128)trial->points + points > most || (i128)trial->member.lifetime + points > most ||
	    (i128)trial->member.status_points + points > most)
		return false;
	if (account && (i128)account->credits_posted + (i128)account->credits_pending + (trial->points - trial->before) + points >
			       INT64_MAX)
		return false;
	if (account && account->ceiling != NO_CEILING &&
	    (i128)trial->points + points + (i128)account->credits_pending > account->ceiling)
		return false;
	trial->points += points;
	trial->member.lifetime += points;
	trial->member.status_points += points;
	trial->moved = true;
	return true;
}

static bool burn(struct trial *trial, int64_t points)
{
	const struct model_account *account = trial->account;
	int64_t floor = account ? account->floor : 0;
	if (points <= 0 || (account && account->closed))
		return false;
	if ((i128)trial->points - points - (account ? (i128)account->debits_pending : 0) < floor)
		return false;
	trial->points -= points;
	trial->moved = true;
	return true;
}

void period_of(const char *policy, int64_t now_ms, char period[16])
{
	static const struct { const char *policy, *format; } policies[] = {
		{ "ONCE_EVER", "ever" }, { "ONCE_PER_YEAR", "%Y" }, { "ONCE_PER_MONTH", "%Y-%m" }, { "ONCE_PER_WEEK", "%G-W%V" },
		{ "ONCE_PER_DAY", "%Y-%m-%d" } };
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm day;
	gmtime_r(&seconds, &day);
	*period = 0;
	for (unsigned i = 0; i < sizeof policies / sizeof *policies; i++)
		if (strcmp(policies[i].policy, policy) == 0)
			strftime(period, 16, policies[i].format, &day);
	ASSERT(*period);
}

/* One more effect of the running execution. */
static void effect_add(struct outcome *out, enum effect_type type, int64_t points, int64_t balance, const char *text, uint64_t a,
		       uint64_t b, uint64_t c)
{
	unsigned n = out->execution_count, e = out->executions[n].effect_count++;
	ASSERT(e < EFFECTS_MAX);
	out->executions[n].effects[e].type = type;
	out->executions[n].effects[e].points = points;
	out->executions[n].effects[e].balance = balance;
	snprintf(out->executions[n].effects[e].text, TEXT, "%s", text);
	out->executions[n].effects[e].more[0] = a;
	out->executions[n].effects[e].more[1] = b;
	out->executions[n].effects[e].more[2] = c;
}

static bool reward_give(struct trial *trial, uint64_t id, bool redeem, struct outcome *out)
{
	const struct reward_model *reward = NULL;
	for (unsigned i = 0; i < trial->config->reward_count; i++)
		if (trial->config->rewards[i].id == id)
			reward = &trial->config->rewards[i];
	if (!reward || !reward->active)
		return false;
	if (redeem && reward->cost) {
		if (!burn(trial, reward->cost))
			return false;
		effect_add(out, EFFECT_BURN, reward->cost, trial->points, "", 0, 0, 0);
	}
	trial->member.seq++;
	effect_add(out, EFFECT_REWARD_ISSUED, 0, trial->points, reward->name, trial->member.seq, id,
		   reward->days ? (uint64_t)(trial->now_ms + reward->days * 24 * 60 * 60 * 1000) : 0);
	return true;
}

static bool bonus_give(struct trial *trial, const char *key, struct outcome *out)
{
	struct member_model *member = &trial->member;
	const struct bonus_model *bonus = NULL;
	char period[16];
	for (unsigned i = 0; i < trial->config->bonus_count; i++)
		if (strcmp(trial->config->bonuses[i].key, key) == 0)
			bonus = &trial->config->bonuses[i];
	if (!bonus || !bonus->active)
		return false;
	period_of(bonus->policy, trial->now_ms, period);
	for (unsigned i = 0; i < member->bonus_count; i++)
		if (strcmp(member->bonuses[i].key, key) == 0 && strcmp(member->bonuses[i].period, period) == 0) {
			effect_add(out, EFFECT_NONE, 0, trial->points, "has the bonus of this period already", 0, 0, 0);
			return true;
		}
	ASSERT(member->bonus_count < BONUSES_MAX);
	snprintf(member->bonuses[member->bonus_count].key, TEXT, "%s", key);
	memcpy(member->bonuses[member->bonus_count++].period, period, 16);
	member->seq++;
	effect_add(out, EFFECT_BONUS, 0, trial->points, key, member->seq, 0, 0);
	unsigned n = out->execution_count;
	memcpy(out->executions[n].effects[out->executions[n].effect_count - 1].period, period, 16);
	return true;
}

/* The highest active tier that so many status points reach, and the one below it. */
static const struct tier_model *tier_at(const struct config *config, int64_t points, const struct tier_model **below)
{
	const struct tier_model *tier = NULL;
	*below = NULL;
	for (unsigned i = 0; i < config->tier_count; i++)
		if (config->tiers[i].active && config->tiers[i].from <= points) {
			*below = tier;
			tier = &config->tiers[i];
		}
	return tier;
}

static void tier_move(struct trial *trial, const struct tier_model *tier, struct outcome *out)
{
	effect_add(out, EFFECT_TIER, tier->from - trial->member.status_points, trial->points, tier->key, 0, 0, 0);
	trial->member.status_points = tier->from;
}

static bool tier_act(struct trial *trial, const char *key, struct outcome *out)
{
	const struct tier_model *below, *tier = tier_at(trial->config, trial->member.status_points, &below), *wanted = NULL;
	if (!key) {
		if (!below)
			effect_add(out, EFFECT_NONE, 0, trial->points, tier ? "is in the lowest tier" : "is in no tier", 0, 0, 0);
		else
			tier_move(trial, below, out);
		return true;
	}
	for (unsigned i = 0; i < trial->config->tier_count; i++)
		if (trial->config->tiers[i].active && strcmp(trial->config->tiers[i].key, key) == 0)
			wanted = &trial->config->tiers[i];
	if (!wanted)
		return false;
	if (wanted == tier)
		effect_add(out, EFFECT_NONE, 0, trial->points, "is in this tier already", 0, 0, 0);
	else
		tier_move(trial, wanted, out);
	return true;
}

static bool act(struct trial *trial, const struct rule_model *rule, unsigned number, int64_t points, int64_t amount,
		struct outcome *out)
{
	enum rule_act what = rule->actions[number].act;
	const char *text = rule->actions[number].text;
	int64_t moved = what == ACT_EARN_AMOUNT ? amount * rule->actions[number].number
		      : what == ACT_EARN_PAYLOAD || what == ACT_BURN_PAYLOAD ? points : rule->actions[number].number;
	enum effect_type type = EFFECT_NONE;
	switch (what) {
	case ACT_EARN:
	case ACT_EARN_PAYLOAD:
	case ACT_EARN_AMOUNT:
		text = moved ? "" : "0 points";
		if (moved && !earn(trial, moved))
			return false;
		if (moved)
			type = EFFECT_EARN;
		break;
	case ACT_BURN:
	case ACT_BURN_PAYLOAD:
		if (!burn(trial, moved))
			return false;
		type = EFFECT_BURN;
		break;
	case ACT_STATUS:
		snprintf(trial->member.status, TEXT, "%s", text);
		type = EFFECT_STATUS;
		moved = 0;
		break;
	case ACT_TAG:
		moved = 0;
		if (member_has(&trial->member, text)) {
			text = "has the tag already";
			break;
		}
		member_tag(&trial->member, text);
		type = EFFECT_TAG;
		break;
	case ACT_RESET:
		moved = trial->member.status_points;
		trial->member.status_points = 0;
		type = EFFECT_STATUS_POINTS_RESET;
		break;
	case ACT_ISSUE:
	case ACT_REDEEM: return reward_give(trial, (uint64_t)moved, what == ACT_REDEEM, out);
	case ACT_BONUS: return bonus_give(trial, text, out);
	case ACT_DOWNGRADE: return tier_act(trial, NULL, out);
	case ACT_TIER: return tier_act(trial, text, out);
	}
	effect_add(out, type, moved, trial->points, text, 0, 0, 0);
	return true;
}

bool event_outcome(const struct config *config, const struct member_model *member, const struct model_account *account,
		   const char *type, int64_t points, int64_t amount, int64_t now_ms, struct outcome *out)
{
	struct trial trial = { .account = account, .config = config, .now_ms = now_ms };
	bool known = false;
	for (unsigned i = 0; i < config->type_count; i++)
		known |= strcmp(config->types[i].key, type) == 0 && config->types[i].active;
	if (!known)
		return false;
	if (member)
		trial.member = *member;
	if (account)
		trial.points = trial.before = (int64_t)((i128)account->credits_posted - (i128)account->debits_posted);
	*out = (struct outcome){ 0 };
	for (unsigned r = 0; r < config->rule_count; r++) {
		const struct rule_model *rule = &config->rules[r];
		if (!rule->active || strcmp(rule->type, type) != 0)
			continue;
		struct trial before = trial;
		unsigned n = out->execution_count;
		out->executions[n].rule_id = rule->id;
		out->executions[n].result = EXECUTION_SUCCESS;
		if (rule->at_least && points < rule->at_least) {
			out->executions[n].result = EXECUTION_SKIPPED;
		} else {
			bool good = true;
			for (unsigned a = 0; good && a < rule->action_count; a++)
				good = act(&trial, rule, a, points, amount, out);
			if (!good) {
				trial = before;
				out->executions[n].result = EXECUTION_FAILED;
				out->executions[n].effect_count = 0;
			}
		}
		out->execution_count++;
	}
	out->points = trial.points;
	out->moved = trial.moved;
	return true;
}

bool outcome_of_record(const struct event_view *event, struct outcome *out)
{
	const unsigned char *at = event->executions;
	*out = (struct outcome){ .points = event->head.points, .moved = event->head.account != 0 };
	if (event->execution_count > RULES_MAX)
		return false;
	for (; out->execution_count < event->execution_count; out->execution_count++) {
		struct execution_view execution;
		unsigned n = out->execution_count;
		execution_next(&at, &execution);
		const unsigned char *effects = execution.effects;
		out->executions[n].rule_id = execution.head.rule_id;
		out->executions[n].result = (enum execution_result)execution.head.result;
		if (execution.head.effect_count > EFFECTS_MAX)
			return false;
		for (unsigned e = 0; e < execution.head.effect_count; e++) {
			struct effect_view effect;
			effect_next(&effects, &effect);
			out->executions[n].effects[e].type = (enum effect_type)effect.head.type;
			out->executions[n].effects[e].points = effect.head.points;
			out->executions[n].effects[e].balance = effect.head.balance;
			if (!text_copy(out->executions[n].effects[e].text, effect_word(&effect)))
				return false;
			uint64_t *more = out->executions[n].effects[e].more;
			struct effect_reward reward;
			struct effect_bonus bonus;
			if (effect.head.type == EFFECT_REWARD_ISSUED) {
				effect_struct(&effect, &reward, sizeof reward);
				more[0] = reward.seq;
				more[1] = reward.reward;
				more[2] = (uint64_t)reward.expires_ms;
			} else if (effect.head.type == EFFECT_BONUS) {
				effect_struct(&effect, &bonus, sizeof bonus);
				more[0] = bonus.seq;
			}
			out->executions[n].effect_count++;
		}
	}
	return true;
}

bool outcomes_equal(const struct outcome *a, const struct outcome *b)
{
	if (a->execution_count != b->execution_count || a->points != b->points || a->moved != b->moved)
		return false;
	for (unsigned i = 0; i < a->execution_count; i++) {
		if (a->executions[i].rule_id != b->executions[i].rule_id || a->executions[i].result != b->executions[i].result ||
		    a->executions[i].effect_count != b->executions[i].effect_count)
			return false;
		for (unsigned e = 0; e < a->executions[i].effect_count; e++)
			if (a->executions[i].effects[e].type != b->executions[i].effects[e].type ||
			    a->executions[i].effects[e].points != b->executions[i].effects[e].points ||
			    a->executions[i].effects[e].balance != b->executions[i].effects[e].balance ||
			    memcmp(a->executions[i].effects[e].more, b->executions[i].effects[e].more,
				   sizeof a->executions[i].effects[e].more) != 0 ||
			    strcmp(a->executions[i].effects[e].text, b->executions[i].effects[e].text) != 0)
				return false;
	}
	return true;
}

void outcome_text(const struct outcome *outcome, char *text, size_t size)
{
	static const char *const results[] = { "done", "skipped", "failed" };
	size_t at = (size_t)snprintf(text, size, "%lld points:", (long long)outcome->points);
	for (unsigned i = 0; i < outcome->execution_count && at < size; i++) {
		at += (size_t)snprintf(text + at, size - at, " rule %llu %s", (unsigned long long)outcome->executions[i].rule_id,
				       results[outcome->executions[i].result]);
		for (unsigned e = 0; e < outcome->executions[i].effect_count && at < size; e++)
			at += (size_t)snprintf(text + at, size - at, " %s %lld (%lld) %s",
					       effect_kinds[outcome->executions[i].effects[e].type].name,
					       (long long)outcome->executions[i].effects[e].points,
					       (long long)outcome->executions[i].effects[e].balance,
					       outcome->executions[i].effects[e].text);
	}
}
