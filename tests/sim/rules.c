// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/event/effect.h"

enum { DEPTH_MAX = 3, OF_EACH_MAX = 64 /* events that one emits, limits that it counts */ };

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

void member_untag(struct member_model *member, const char *tag)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < member->tag_count; i++)
		if (strcmp(member->tags[i], tag) != 0)
			memmove(member->tags[kept++], member->tags[i], TEXT);
	member->tag_count = kept;
}

static struct counter_model *counter_of(struct member_model *member, uint64_t key)
{
	for (unsigned i = 0; i < member->counter_count; i++)
		if (member->counters[i].key == key)
			return &member->counters[i];
	return NULL;
}

/* Only its newest period is remembered. */
void member_counts(struct member_model *member, uint64_t key, uint32_t period, uint32_t count)
{
	struct counter_model *counter = counter_of(member, key);
	ASSERT(counter || member->counter_count < COUNTERS_MAX);
	if (!counter)
		counter = &member->counters[member->counter_count++];
	*counter = (struct counter_model){ key, period, count };
}

uint32_t member_counted_in(const struct member_model *member, uint64_t key, uint32_t period)
{
	for (unsigned i = 0; i < member->counter_count; i++)
		if (member->counters[i].key == key)
			return member->counters[i].period == period ? member->counters[i].count : 0;
	return 0;
}

void member_award(struct member_model *member, const char *key, uint32_t period, uint32_t seq, int64_t awarded_ms)
{
	unsigned at = member->bonus_count++;
	ASSERT(at < BONUSES_MAX);
	snprintf(member->bonuses[at].key, TEXT, "%s", key);
	member->bonuses[at].period = period;
	member->bonuses[at].seq = seq;
	member->bonuses[at].awarded_ms = awarded_ms;
}

int member_bonus_at(const struct member_model *member, uint32_t seq)
{
	for (unsigned i = 0; i < member->bonus_count; i++)
		if (member->bonuses[i].seq == seq)
			return (int)i;
	return -1;
}

void member_withdraw(struct member_model *member, uint32_t seq)
{
	int at = member_bonus_at(member, seq);
	ASSERT(at >= 0);
	member->bonus_count--;
	memmove(member->bonuses + at, member->bonuses + at + 1, (member->bonus_count - (unsigned)at) * sizeof *member->bonuses);
}

struct given_model *member_given(const struct member_model *member, uint32_t seq)
{
	for (uint32_t i = 0; i < member->reward_count; i++)
		if (member->rewards[i].seq == seq)
			return &member->rewards[i];
	return NULL;
}

/* ---- one event ----------------------------------------------------------------------------------------------------- */

struct trial {
	struct member_model member;    /* its rewards are looked at, never changed */
	int64_t points, before;
	bool moved;
	unsigned emit_count, counted;
};

struct emit { char type[TEXT]; struct payload_model payload; unsigned depth; };

struct run {
	const struct config *config;
	const struct model_account *account;
	int64_t now_ms;
	struct trial trial;
	struct emit emits[OF_EACH_MAX];
	struct payload_model payload;  /* of the event whose rules run */
	unsigned emitted, depth;
	struct outcome *out;
};

struct effect_model *outcome_add(struct outcome *out, enum effect_type type, unsigned action, int64_t points, int64_t balance,
				 const char *text)
{
	ASSERT(out->effect_count < EFFECTS_MAX);
	struct effect_model *effect = &out->effects[out->effect_count++];
	*effect = (struct effect_model){ .type = type, .action = action, .points = points, .balance = balance };
	snprintf(effect->text, TEXT, "%s", text);
	out->executions[out->execution_count].count++;
	return effect;
}

static struct effect_model *add(struct run *run, enum effect_type type, const struct action_model *action, int64_t points,
				const char *text)
{
	return outcome_add(run->out, type, action->type, points, run->trial.points, text);
}

static bool from_payload(const struct run *run, const char *path, int64_t *value)
{
	const struct payload_model *payload = &run->payload;
	bool points = strcmp(path, "points") == 0;
	*value = points ? payload->points : payload->amount;
	return points ? payload->has_points : payload->has_amount && strcmp(path, "amount") == 0;
}

/* Points that an action moves; truncated, then within its bounds. */
static bool points_of(const struct run *run, const struct action_model *action, int64_t *points)
{
	*points = action->points;
	if (action->has_points)
		return true;
	if (!from_payload(run, action->path, points))
		return false;
	if (action->type == ACTION_EARN_FROM_AMOUNT)
		*points = *points * action->rate / 10;
	if (action->has_min && *points < action->min)
		*points = action->min;
	if (action->has_max && *points > action->max)
		*points = action->max;
	return true;
}

static bool earn(struct run *run, const struct action_model *action)
{
	const struct model_account *account = run->account;
	struct trial *trial = &run->trial;
	int64_t points;
	if (!points_of(run, action, &points) || points < 0)
		return false;
	if (!points) {
		add(run, EFFECT_NONE, action, 0, "0 points");
		return true;
	}
	/* 2^53 - 1: exact in every JSON client; and no sum of an account passes 2^63 - 1. */
	const i128 most = INT64_C(9007199254740991);
	if ((i128)trial->points + points > most || (i128)trial->member.lifetime + points > most ||
	    (i128)trial->member.status_points + points > most || (account && account->closed))
		return false;
	int64_t paid = points < trial->member.debt ? points : trial->member.debt, rest = points - paid;
	if (account && (i128)account->credits_posted + (i128)account->credits_pending + (trial->points - trial->before) + rest >
			       INT64_MAX)
		return false;
	if (account && account->ceiling != NO_CEILING &&
	    (i128)trial->points + rest + (i128)account->credits_pending > account->ceiling)
		return false;
	trial->member.debt -= paid;
	trial->member.lifetime += points;
	trial->member.status_points += points;
	if (paid)
		add(run, EFFECT_DEBT_PAID, action, paid, "");
	trial->points += rest;
	trial->moved |= rest > 0;
	if (rest)
		add(run, EFFECT_EARN, action, rest, "");
	return true;
}

static bool burn_points(struct run *run, const struct action_model *action, int64_t points)
{
	const struct model_account *account = run->account;
	struct trial *trial = &run->trial;
	int64_t floor = account ? account->floor : 0;
	if (points <= 0 || (account && account->closed))
		return false;
	if ((i128)trial->points - points - (account ? (i128)account->debits_pending : 0) < floor)
		return false;
	trial->points -= points;
	trial->moved = true;
	add(run, EFFECT_BURN, action, points, "");
	return true;
}

static bool burn(struct run *run, const struct action_model *action)
{
	int64_t points;
	return points_of(run, action, &points) && burn_points(run, action, points);
}

static bool status(struct run *run, const struct action_model *action)
{
	char *now = run->trial.member.status;
	memcpy(add(run, EFFECT_STATUS, action, 0, action->text)->before, now, TEXT);
	snprintf(now, TEXT, "%s", action->text);
	return true;
}

static bool tag(struct run *run, const struct action_model *action)
{
	if (member_has(&run->trial.member, action->text)) {
		add(run, EFFECT_NONE, action, 0, "has the tag already");
		return true;
	}
	member_tag(&run->trial.member, action->text);
	add(run, EFFECT_TAG, action, 0, action->text);
	return true;
}

static bool reset(struct run *run, const struct action_model *action)
{
	add(run, EFFECT_STATUS_POINTS_RESET, action, run->trial.member.status_points, "");
	run->trial.member.status_points = 0;
	return true;
}

static bool reward(struct run *run, const struct action_model *action)
{
	const struct reward_model *reward = NULL;
	uint64_t id = strtoull(action->text, NULL, 10);
	for (unsigned i = 0; i < run->config->reward_count; i++)
		if (run->config->rewards[i].id == id)
			reward = &run->config->rewards[i];
	if (!reward || !reward->active)
		return false;
	if (action->type == ACTION_REDEEM_REWARD && reward->cost && !burn_points(run, action, reward->cost))
		return false;
	struct effect_model *effect = add(run, EFFECT_REWARD_ISSUED, action, 0, reward->name);
	effect->more[0] = ++run->trial.member.seq;
	effect->more[1] = id;
	effect->more[2] = reward->days ? (uint64_t)(run->now_ms + reward->days * 24 * 60 * 60 * 1000) : 0;
	return true;
}

uint32_t period_of(const char *per, int64_t now_ms)
{
	static const struct { const char *ends, *format; } all[] = {
		{ "EVER", "0" }, { "YEAR", "%Y" }, { "MONTH", "%Y%m" }, { "WEEK", "%G0%V" }, { "DAY", "%Y%m%d" } };
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm day;
	char text[16] = "";
	gmtime_r(&seconds, &day);
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		if (strlen(per) >= strlen(all[i].ends) && strcmp(per + strlen(per) - strlen(all[i].ends), all[i].ends) == 0)
			strftime(text, sizeof text, all[i].format, &day);
	ASSERT(*text);
	return (uint32_t)strtoul(text, NULL, 10);
}

static bool bonus(struct run *run, const struct action_model *action)
{
	struct member_model *member = &run->trial.member;
	const struct bonus_model *bonus = NULL;
	for (unsigned i = 0; i < run->config->bonus_count; i++)
		if (strcmp(run->config->bonuses[i].key, action->text) == 0)
			bonus = &run->config->bonuses[i];
	if (!bonus || !bonus->active)
		return false;
	uint32_t period = period_of(bonus->policy, run->now_ms);
	for (unsigned i = 0; i < member->bonus_count; i++)
		if (strcmp(member->bonuses[i].key, action->text) == 0 && member->bonuses[i].period == period) {
			add(run, EFFECT_NONE, action, 0, "has the bonus of this period already");
			return true;
		}
	member_award(member, action->text, period, ++member->seq, run->now_ms);
	struct effect_model *effect = add(run, EFFECT_BONUS, action, 0, action->text);
	effect->more[0] = member->seq;
	effect->more[1] = period;
	return true;
}

const struct tier_model *tier_at(const struct config *config, int64_t points, const struct tier_model **below)
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

static bool tier_move(struct run *run, const struct action_model *action, const struct tier_model *tier)
{
	add(run, EFFECT_TIER, action, tier->from - run->trial.member.status_points, tier->key);
	run->trial.member.status_points = tier->from;
	return true;
}

static bool downgrade(struct run *run, const struct action_model *action)
{
	const struct tier_model *below, *tier = tier_at(run->config, run->trial.member.status_points, &below);
	if (below)
		return tier_move(run, action, below);
	add(run, EFFECT_NONE, action, 0, tier ? "is in the lowest tier" : "is in no tier");
	return true;
}

static bool tier(struct run *run, const struct action_model *action)
{
	const struct tier_model *below, *now = tier_at(run->config, run->trial.member.status_points, &below), *wanted = NULL;
	for (unsigned i = 0; i < run->config->tier_count; i++)
		if (run->config->tiers[i].active && strcmp(run->config->tiers[i].key, action->text) == 0)
			wanted = &run->config->tiers[i];
	if (!wanted)
		return false;
	if (wanted != now)
		return tier_move(run, action, wanted);
	add(run, EFFECT_NONE, action, 0, "is in this tier already");
	return true;
}

const struct type_model *config_type(const struct config *config, const char *key)
{
	for (unsigned i = 0; i < config->type_count; i++)
		if (config->types[i].active && strcmp(config->types[i].key, key) == 0)
			return &config->types[i];
	return NULL;
}

static bool emit(struct run *run, const struct action_model *action)
{
	const struct type_model *type = config_type(run->config, action->text);
	if (!type || !type->internal || run->depth == DEPTH_MAX || run->trial.emit_count == OF_EACH_MAX)
		return false;
	struct emit *emit = &run->emits[run->trial.emit_count++];
	snprintf(emit->type, TEXT, "%s", type->key);
	emit->payload = action->has_payload ? action->payload : run->payload;
	emit->depth = run->depth + 1;
	add(run, EFFECT_EMITTED, action, 0, type->key);
	return true;
}

static bool tell(struct run *run, const struct action_model *action)
{
	add(run, action->type == ACTION_SEND_MESSAGE ? EFFECT_MESSAGE : EFFECT_WEBHOOK, action, 0, action->text);
	return true;
}

static bool act(struct run *run, const struct action_model *action)
{
	switch (action->type) {
	case ACTION_EARN:
	case ACTION_EARN_FROM_AMOUNT: return earn(run, action);
	case ACTION_BURN: return burn(run, action);
	case ACTION_SET_STATUS: return status(run, action);
	case ACTION_ADD_TAG: return tag(run, action);
	case ACTION_RESET_STATUS_POINTS: return reset(run, action);
	case ACTION_ISSUE_REWARD:
	case ACTION_REDEEM_REWARD: return reward(run, action);
	case ACTION_RECORD_BONUS: return bonus(run, action);
	case ACTION_DOWNGRADE_TIER: return downgrade(run, action);
	case ACTION_SET_TIER: return tier(run, action);
	case ACTION_EMIT_EVENT: return emit(run, action);
	case ACTION_SEND_MESSAGE:
	case ACTION_CALL_WEBHOOK: return tell(run, action);
	case ACTION_TYPES: break;
	}
	return false;
}

/* Rule and number of the limit, as the log names its counter. */
static uint64_t counter_key(const struct rule_model *rule, unsigned limit)
{
	return rule->id * 8 + limit;
}

static bool in_audience(const struct run *run, const struct audience_model *audience)
{
	const struct member_model *member = &run->trial.member;
	return run->trial.points >= audience->points && member->events >= audience->events &&
	       (!*audience->tag || member_has(member, audience->tag)) &&
	       (!*audience->status || strcmp(member->status, audience->status) == 0);
}

static bool limit_reached(const struct run *run, const struct rule_model *rule)
{
	for (unsigned i = 0; i < rule->limit_count; i++)
		if (member_counted_in(&run->trial.member, counter_key(rule, i), period_of(rule->limits[i].per, run->now_ms)) >=
		    rule->limits[i].max)
			return true;
	return false;
}

static bool limits_count(struct run *run, const struct rule_model *rule)
{
	for (unsigned i = 0; i < rule->limit_count; i++) {
		uint64_t key = counter_key(rule, i);
		uint32_t period = period_of(rule->limits[i].per, run->now_ms);
		uint32_t count = member_counted_in(&run->trial.member, key, period) + 1;
		if (run->trial.counted++ == OF_EACH_MAX)
			return false;
		member_counts(&run->trial.member, key, period, count);
		struct effect_model *effect = outcome_add(run->out, EFFECT_COUNTED, ACTION_TYPES, 0, run->trial.points, "");
		effect->more[0] = key;
		effect->more[1] = period;
		effect->more[2] = count;
	}
	return true;
}

static void rule_run(struct run *run, const struct rule_model *rule)
{
	struct outcome *out = run->out;
	ASSERT(out->execution_count < EXECUTIONS_MAX);
	struct execution_model *execution = &out->executions[out->execution_count];
	*execution = (struct execution_model){ .rule_id = rule->id, .result = EXECUTION_SKIPPED, .emitted = run->emitted,
					       .first = out->effect_count };
	if (!in_audience(run, &rule->audience)) {
		execution->why = WHY_AUDIENCE;
	} else if (rule->at_least && (!run->payload.has_points || run->payload.points < rule->at_least)) {
		execution->why = WHY_CONDITION;
	} else if (limit_reached(run, rule)) {
		execution->why = WHY_LIMIT;
	} else {
		static struct trial before;
		bool good = true;
		before = run->trial;
		for (unsigned a = 0; good && a < rule->action_count; a++)
			good = act(run, &rule->actions[a]);
		good = good && limits_count(run, rule);
		execution->result = good ? EXECUTION_SUCCESS : EXECUTION_FAILED;
		if (!good) {
			run->trial = before;
			out->effect_count = execution->first;
			execution->count = 0;
		}
	}
	out->execution_count++;
}

static void rules_run(struct run *run, const char *type)
{
	for (unsigned r = 0; r < run->config->rule_count; r++)
		if (run->config->rules[r].active && strcmp(run->config->rules[r].type, type) == 0)
			rule_run(run, &run->config->rules[r]);
}

bool event_outcome(const struct config *config, const struct member_model *member, const struct model_account *account,
		   const struct event_model *event, int64_t now_ms, struct outcome *out)
{
	static struct run run;
	const struct type_model *type = config_type(config, event->type);
	if (!type || (type->internal && !event->internal))
		return false;
	run.config = config;
	run.account = account;
	run.now_ms = now_ms;
	run.payload = event->payload;
	run.emitted = run.depth = run.trial.emit_count = run.trial.counted = 0;
	run.trial.moved = false;
	run.trial.points = run.trial.before = 0;
	run.out = out;
	if (member)
		run.trial.member = *member;
	else
		run.trial.member = (struct member_model){ .status = "ACTIVE" };
	if (account)
		run.trial.points = run.trial.before = (int64_t)((i128)account->credits_posted - (i128)account->debits_posted);
	out->execution_count = out->effect_count = 0;
	rules_run(&run, event->type);
	/* Then those of the events that they emitted, in that order. */
	while (run.emitted < run.trial.emit_count) {
		const struct emit *one = &run.emits[run.emitted++];
		run.payload = one->payload;
		run.depth = one->depth;
		rules_run(&run, one->type);
	}
	out->points = run.trial.points;
	out->moved = run.trial.moved;
	return true;
}

/* ---- outcomes ------------------------------------------------------------------------------------------------------ */

static bool more_read(const struct effect_view *effect, struct effect_model *out)
{
	uint64_t *more = out->more;
	union { struct effect_reward reward; struct effect_bonus bonus; struct effect_counted counted; struct effect_taken taken;
		struct effect_seq seq; } fixed;
	struct str before;
	size_t size = effect_text_min(effect->head.type);
	ASSERT(size <= sizeof fixed);
	effect_struct(effect, &fixed, size);
	switch ((enum effect_type)effect->head.type) {
	case EFFECT_REWARD_ISSUED:
		more[0] = fixed.reward.seq;
		more[1] = fixed.reward.reward;
		more[2] = (uint64_t)fixed.reward.expires_ms;
		break;
	case EFFECT_BONUS:
	case EFFECT_BONUS_WITHDRAWN:
		more[0] = fixed.bonus.seq;
		more[1] = fixed.bonus.period;
		break;
	case EFFECT_COUNTED:
		more[0] = fixed.counted.key;
		more[1] = fixed.counted.period;
		more[2] = fixed.counted.count;
		break;
	case EFFECT_EARN_REVERSED:
		more[0] = (uint64_t)fixed.taken.lifetime;
		more[1] = (uint64_t)fixed.taken.status;
		more[2] = (uint64_t)fixed.taken.debt;
		break;
	case EFFECT_REWARD_REVOKED:
		more[0] = fixed.seq.seq;
		more[1] = fixed.seq.state_before;
		break;
	case EFFECT_STATUS: return effect_before(effect, &before) && text_copy(out->before, before);
	default: break;
	}
	return true;
}

bool outcome_of_record(const struct event_view *event, struct outcome *out)
{
	const unsigned char *at = event->executions;
	out->points = event->head.points;
	out->moved = event->head.account != 0;
	out->execution_count = out->effect_count = 0;
	if (event->execution_count > EXECUTIONS_MAX)
		return false;
	for (unsigned n = 0; n < event->execution_count; n++) {
		struct execution_view view;
		execution_next(&at, &view);
		const unsigned char *effects = view.effects;
		struct execution_model *execution = &out->executions[n];
		bool audience = str_eq(view.error, STR(REASON_AUDIENCE));
		*execution = (struct execution_model){ .rule_id = view.head.rule_id, .result = (enum execution_result)view.head.result,
						       .emitted = view.head.emitted, .first = out->effect_count };
		if (execution->result == EXECUTION_SKIPPED)
			execution->why = audience ? WHY_AUDIENCE : view.error.len ? WHY_LIMIT : WHY_CONDITION;
		else if ((execution->result == EXECUTION_FAILED) != (view.error.len > 0))
			return false;          /* who fails says why */
		for (unsigned e = 0; e < view.head.effect_count; e++) {
			struct effect_view effect;
			char text[TEXT];
			effect_next(&effects, &effect);
			struct str word = effect_word(&effect);
			if (effect.head.type == EFFECT_NONE && word.len >= TEXT)       /* a note: only that there is one matters */
				word.len = TEXT - 1;
			if (!text_copy(text, word) || out->effect_count == EFFECTS_MAX)
				return false;
			if (!more_read(&effect, outcome_add(out, (enum effect_type)effect.head.type, effect.head.action,
							    effect.head.points, effect.head.balance, text)))
				return false;
		}
		out->execution_count++;
	}
	return true;
}

/* What a note says is for people, and not the model's to know; that there is one is. */
static bool same_effect(const struct effect_model *a, const struct effect_model *b)
{
	return a->type == b->type && a->action == b->action && a->points == b->points && a->balance == b->balance &&
	       memcmp(a->more, b->more, sizeof a->more) == 0 && strcmp(a->before, b->before) == 0 &&
	       (a->type == EFFECT_NONE ? *a->text && *b->text : strcmp(a->text, b->text) == 0);
}

bool outcomes_equal(const struct outcome *a, const struct outcome *b)
{
	if (a->execution_count != b->execution_count || a->effect_count != b->effect_count || a->points != b->points ||
	    a->moved != b->moved)
		return false;
	for (unsigned i = 0; i < a->execution_count; i++) {
		const struct execution_model *one = &a->executions[i], *other = &b->executions[i];
		if (one->rule_id != other->rule_id || one->result != other->result || one->why != other->why ||
		    one->emitted != other->emitted || one->first != other->first || one->count != other->count)
			return false;
	}
	for (unsigned e = 0; e < a->effect_count; e++)
		if (!same_effect(&a->effects[e], &b->effects[e]))
			return false;
	return true;
}

void outcome_text(const struct outcome *outcome, char *text, size_t size)
{
	static const char *const results[] = { "done", "skipped", "failed" };
	size_t at = (size_t)snprintf(text, size, "%lld points:", (long long)outcome->points);
	for (unsigned i = 0; i < outcome->execution_count && at < size; i++) {
		const struct execution_model *execution = &outcome->executions[i];
		at += (size_t)snprintf(text + at, size - at, " rule %llu%s %s", (unsigned long long)execution->rule_id,
				       execution->emitted ? " (emitted)" : "", results[execution->result]);
		for (unsigned e = 0; e < execution->count && at < size; e++) {
			const struct effect_model *effect = &outcome->effects[execution->first + e];
			at += (size_t)snprintf(text + at, size - at, " %s %lld (%lld) %s %llu %llu %llu", effect_kinds[effect->type].name,
					       (long long)effect->points, (long long)effect->balance, effect->text,
					       (unsigned long long)effect->more[0], (unsigned long long)effect->more[1],
					       (unsigned long long)effect->more[2]);
		}
	}
}
