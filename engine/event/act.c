// SPDX-License-Identifier: Apache-2.0
#include "engine/event/act.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "engine/base/json.h"
#include "engine/event/effect.h"
#include "engine/ledger/account.h"

static void put(struct act *act, enum effect_type type, const struct action *action, int64_t points, const void *fixed,
		size_t fixed_len, struct str word)
{
	effect_put(act->out, type, action->type, points, act->scratch->points, fixed, fixed_len, word);
	act->effect_count++;
}

static void put_word(struct act *act, enum effect_type type, const struct action *action, int64_t points, struct str word)
{
	put(act, type, action, points, NULL, 0, word);
}

__attribute__((format(printf, 2, 3)))
static bool fail(struct act *act, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(act->error, sizeof act->error, format, args);
	va_end(args);
	return false;
}

/* Points that an action moves; false with a reason. */
static bool points_of(struct act *act, const struct action *action, int64_t *points)
{
	const struct action_path *path = action->type == ACTION_EARN_FROM_AMOUNT ? &action->amount_path
										 : &action->from_payload;
	struct decimal amount, product;
	yyjson_val *value;
	if (action->type != ACTION_EARN_FROM_AMOUNT && action->has_points) {
		*points = action->points;
		return true;
	}
	value = action_path_get(path, act->facts->payload);
	if (!value || yyjson_is_null(value))
		return fail(act, "the payload has no %.*s", (int)path->text.len, path->text.ptr);
	/* A number in quotes counts: receipts often have amounts as text. */
	if (!decimal_parse(json_is_number(value) ? json_raw(value) : json_text(value), &amount))
		return fail(act, "%.*s in the payload is not a number", (int)path->text.len, path->text.ptr);
	product = amount;
	if ((action->type == ACTION_EARN_FROM_AMOUNT && !decimal_mul(amount, action->rate, &product)) ||
	    !decimal_trunc(product, points))
		return fail(act, "%.*s gives more points than fit", (int)path->text.len, path->text.ptr);
	if (action->has_min && *points < action->min_points)
		*points = action->min_points;
	if (action->has_max && *points > action->max_points)
		*points = action->max_points;
	return true;
}

static bool account_takes(struct act *act)
{
	const struct account *account = act->scratch->account;
	return !account || !(account->flags & ACCOUNT_CLOSED) || fail(act, "the customer's points account is closed");
}

static bool earn(struct act *act, const struct action *action)
{
	struct scratch *scratch = act->scratch;
	int64_t points = 0;
	if (!points_of(act, action, &points))
		return false;
	if (points < 0)
		return fail(act, "earning %lld points: points must not be negative", (long long)points);
	if (points == 0) {
		put_word(act, EFFECT_NONE, action, 0, STR("0 points"));
		return true;
	}
	if (points > ACTION_POINTS_MAX - scratch->points || points > ACTION_POINTS_MAX - scratch->lifetime_points ||
	    points > ACTION_POINTS_MAX - scratch->status_points)
		return fail(act, "the balance would pass %lld", (long long)ACTION_POINTS_MAX);
	if (!account_takes(act))
		return false;
	/* What is owed comes first. */
	int64_t paid = points < scratch->debt ? points : scratch->debt;
	if ((i128)scratch->points + points - paid > scratch->room)
		return fail(act, "earning %lld points would pass the account's ceiling", (long long)points);
	scratch->lifetime_points += points;
	scratch->status_points += points;
	if (paid) {
		scratch->debt -= paid;
		put_word(act, EFFECT_DEBT_PAID, action, paid, (struct str){ "", 0 });
	}
	if (points > paid) {
		scratch->moved = true;
		scratch->points += points - paid;
		put_word(act, EFFECT_EARN, action, points - paid, (struct str){ "", 0 });
	}
	return true;
}

static bool take(struct act *act, const struct action *action, int64_t points)
{
	struct scratch *scratch = act->scratch;
	if (!account_takes(act))
		return false;
	if ((i128)scratch->points - points < scratch->held) {
		if (scratch->held > 0)
			return fail(act, "balance %lld, of which %lld are held, is lower than the %lld points to burn",
				    (long long)scratch->points, (long long)scratch->held, (long long)points);
		return fail(act, "balance %lld is lower than the %lld points to burn", (long long)scratch->points,
			    (long long)points);
	}
	scratch->moved = true;
	scratch->points -= points;
	put_word(act, EFFECT_BURN, action, points, (struct str){ "", 0 });
	return true;
}

static bool burn(struct act *act, const struct action *action)
{
	int64_t points = 0;
	if (!points_of(act, action, &points))
		return false;
	if (points <= 0)
		return fail(act, "burning %lld points: points must be positive", (long long)points);
	return take(act, action, points);
}

static bool set_status(struct act *act, const struct action *action)
{
	effect_put_change(act->out, EFFECT_STATUS, action->type, act->scratch->points, action->text, act->scratch->status);
	act->effect_count++;
	act->scratch->status = action->text;
	return true;
}

static bool add_tag(struct act *act, const struct action *action)
{
	struct scratch *scratch = act->scratch;
	const struct member *member = act->facts->member;
	if (scratch_has_tag(scratch, member, action->text)) {
		put_word(act, EFFECT_NONE, action, 0, STR("has the tag already"));
		return true;
	}
	if (scratch->tag_count == SCRATCH_LIST_MAX || (member ? member->tag_count : 0u) + scratch->tag_count >= MEMBER_TAGS_MAX)
		return fail(act, "the customer has too many tags");
	scratch->lists->tags[scratch->tag_count++] = action->text;
	put_word(act, EFFECT_TAG, action, 0, action->text);
	return true;
}

static bool reset_status_points(struct act *act, const struct action *action)
{
	put_word(act, EFFECT_STATUS_POINTS_RESET, action, act->scratch->status_points, (struct str){ "", 0 });
	act->scratch->status_points = 0;
	return true;
}

static bool give_reward(struct act *act, const struct action *action)
{
	struct scratch *scratch = act->scratch;
	const struct view_reward *reward = view_reward(act->facts->view, action->reward);
	if (!reward)
		return fail(act, "there is no reward %llu", (unsigned long long)action->reward);
	if (!reward->active)
		return fail(act, "reward %llu is not active", (unsigned long long)action->reward);
	if (scratch->reward_count >= MEMBER_ITEMS_MAX)
		return fail(act, "the customer has %d rewards, which is as many as one can have", MEMBER_ITEMS_MAX);
	if (action->type == ACTION_REDEEM_REWARD && reward->cost_points && !take(act, action, reward->cost_points))
		return false;
	int64_t now = act->facts->now_ms;
	struct effect_reward fixed = { .reward = reward->id, .seq = ++scratch->seq,
				       .expires_ms = reward->validity_days ? now + reward->validity_days * 86400000 : 0 };
	scratch->reward_count++;
	put(act, EFFECT_REWARD_ISSUED, action, 0, &fixed, sizeof fixed, reward->name);
	return true;
}

static bool award_bonus(struct act *act, const struct action *action)
{
	struct scratch *scratch = act->scratch;
	const struct member *member = act->facts->member;
	const struct view_bonus *bonus = view_bonus(act->facts->view, action->text);
	if (!bonus)
		return fail(act, "there is no bonus %.*s", text_cut(action->text, 100), action->text.ptr);
	if (!bonus->active)
		return fail(act, "bonus %.*s is not active", text_cut(action->text, 100), action->text.ptr);
	uint32_t period = limit_period_of(bonus->per, act->facts->now_ms);
	if (MUTATE(63, scratch_has_bonus(scratch, member, bonus->key, period), false)) {
		put_word(act, EFFECT_NONE, action, 0, STR("has the bonus of this period already"));
		return true;
	}
	if (scratch->bonus_count == SCRATCH_LIST_MAX ||
	    (member && member->more ? member->more->bonus_count : 0u) + scratch->bonus_count >= MEMBER_ITEMS_MAX)
		return fail(act, "the customer has too many bonus awards");
	struct effect_bonus fixed = { .seq = ++scratch->seq, .period = period };
	scratch->lists->bonuses[scratch->bonus_count++] = (struct scratch_bonus){ bonus->key, period };
	put(act, EFFECT_BONUS, action, 0, &fixed, sizeof fixed, bonus->key);
	return true;
}

static bool status_points_to(struct act *act, const struct action *action, const struct view_tier *tier)
{
	struct scratch *scratch = act->scratch;
	int64_t change = tier->min_status_points - scratch->status_points;
	scratch->status_points += change;
	put_word(act, EFFECT_TIER, action, change, tier->key);
	return true;
}

static bool downgrade(struct act *act, const struct action *action)
{
	const struct catalog_view *view = act->facts->view;
	const struct view_tier *tier = view_tier_of(view, act->scratch->status_points);
	if (!tier || tier == view->tiers) {
		put_word(act, EFFECT_NONE, action, 0, tier ? STR("is in the lowest tier") : STR("is in no tier"));
		return true;
	}
	return status_points_to(act, action, tier - 1);
}

static bool set_tier(struct act *act, const struct action *action)
{
	const struct view_tier *tier = view_tier(act->facts->view, action->text);
	if (!tier)
		return fail(act, "there is no active tier %.*s", text_cut(action->text, 100), action->text.ptr);
	if (tier == view_tier_of(act->facts->view, act->scratch->status_points)) {
		put_word(act, EFFECT_NONE, action, 0, STR("is in this tier already"));
		return true;
	}
	return status_points_to(act, action, tier);
}

static bool emit_event(struct act *act, const struct action *action)
{
	struct scratch *scratch = act->scratch;
	const struct view_event_type *type = catalog_view_event_type(act->facts->view, action->text);
	if (!type || !type->active || type->origin != ORIGIN_INTERNAL)
		return fail(act, "there is no active INTERNAL event type %.*s", text_cut(action->text, 100), action->text.ptr);
	if (act->depth == EMIT_DEPTH_MAX)
		return fail(act, "events that events emit may be %d deep", EMIT_DEPTH_MAX);
	if (scratch->emit_count == SCRATCH_LIST_MAX)
		return fail(act, "one event may emit %d others", SCRATCH_LIST_MAX);
	yyjson_val *payload = action->payload ? action->payload : act->facts->payload;
	if (type->broken || (type->payload_schema && !schema_check(type->payload_schema, payload, "", NULL)))
		return fail(act, "the payload does not fit the schema of event type %.*s", text_cut(action->text, 100),
			    action->text.ptr);
	scratch->lists->emits[scratch->emit_count++] = (struct scratch_emit){ type->key, payload, act->depth + 1 };
	put_word(act, EFFECT_EMITTED, action, 0, type->key);
	return true;
}

static bool tell(struct act *act, const struct action *action)
{
	put_word(act, action->type == ACTION_SEND_MESSAGE ? EFFECT_MESSAGE : EFFECT_WEBHOOK, action, 0, action->text);
	act->scratch->hooked = true;
	return true;
}

static bool (*const runs[ACTION_TYPES])(struct act *act, const struct action *action) = {
	[ACTION_EARN_FROM_AMOUNT] = earn,
	[ACTION_EARN] = earn,
	[ACTION_BURN] = burn,
	[ACTION_SET_STATUS] = set_status,
	[ACTION_ADD_TAG] = add_tag,
	[ACTION_RESET_STATUS_POINTS] = reset_status_points,
	[ACTION_ISSUE_REWARD] = give_reward,
	[ACTION_REDEEM_REWARD] = give_reward,
	[ACTION_RECORD_BONUS] = award_bonus,
	[ACTION_DOWNGRADE_TIER] = downgrade,
	[ACTION_SET_TIER] = set_tier,
	[ACTION_EMIT_EVENT] = emit_event,
	[ACTION_CALL_WEBHOOK] = tell,
	[ACTION_SEND_MESSAGE] = tell,
};

bool act_run(struct act *act, const struct action *action)
{
	ASSERT(action->type < ACTION_TYPES && runs[action->type]);
	return runs[action->type](act, action);
}

size_t act_bound(const struct action *action, const struct catalog_view *view)
{
	const struct view_reward *reward;
	size_t bound = sizeof(struct effect_head) + 64 + action->text.len;
	switch (action->type) {
	case ACTION_SET_STATUS: return bound + 1 + 256;   /* no status has more bytes */
	case ACTION_EARN:
	case ACTION_EARN_FROM_AMOUNT: return bound + sizeof(struct effect_head);
	case ACTION_ISSUE_REWARD:
	case ACTION_REDEEM_REWARD:
		reward = view_reward(view, action->reward);
		return bound + sizeof(struct effect_head) + (reward ? reward->name.len : 0);
	case ACTION_DOWNGRADE_TIER: return bound + 512;        /* a tier's key has 128 characters at most */
	default: return bound;
	}
}
