// SPDX-License-Identifier: Apache-2.0
/* undo.c - what a reversal must do, said naively: docs/api.md, "Undoing an event".
 *
 * What is left of an event's points is found by going through all that ever moved the account, point by point in the order in which
 * they came, as if what was undone since had not been.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "tests/sim/rules.h"

/* ---- points that are left ------------------------------------------------------------------------------------------- */

struct lot { uint64_t lsn; int64_t points; };

struct lots { struct lot *list; unsigned first, count; int64_t hole; };        /* hole: what is missing below zero */

static void lot_add(struct lots *lots, uint64_t lsn, int64_t points)
{
	int64_t fills = points < lots->hole ? points : lots->hole;
	lots->hole -= fills;
	lots->list[lots->count++] = (struct lot){ lsn, points - fills };
}

static void lots_take(struct lots *lots, int64_t points)
{
	while (points && lots->first < lots->count) {
		struct lot *lot = &lots->list[lots->first];
		int64_t part = points < lot->points ? points : lot->points;
		lot->points -= part;
		points -= part;
		lots->first += !lot->points;
	}
	lots->hole += points;
}

/* A reversal takes the event's own first. */
static void lots_take_back(struct lots *lots, uint64_t lsn, int64_t points)
{
	for (unsigned i = lots->first; i < lots->count; i++) {
		struct lot *lot = &lots->list[i];
		if (lot->lsn != lsn)
			continue;
		int64_t part = points < lot->points ? points : lot->points;
		lot->points -= part;
		points -= part;
	}
	lots_take(lots, points);
}

int64_t points_left(const struct movement *list, unsigned count, uint64_t lsn)
{
	struct lots lots = { .list = malloc((count + 1) * sizeof *lots.list) };
	int64_t left = 0;
	ASSERT(lots.list);
	for (unsigned i = 0; i < count; i++) {
		const struct movement *one = &list[i];
		bool burn = one->points < 0 && !one->undoes, given_back = one->points > 0 && one->undoes;
		if ((burn && one->lsn > lsn && one->undone) || (given_back && one->undoes > lsn))
			continue;
		if (burn && one->lsn == lsn && !one->stays)
			continue;
		if (one->points > 0)
			lot_add(&lots, one->lsn, one->points);
		else if (one->undoes)
			lots_take_back(&lots, one->undoes, -one->points);
		else
			lots_take(&lots, -one->points);
	}
	for (unsigned i = lots.first; i < lots.count; i++)
		left += lots.list[i].lsn == lsn ? lots.list[i].points : 0;
	free(lots.list);
	return left;
}

/* ---- effects -------------------------------------------------------------------------------------------------------- */

struct undoing {
	enum reverse_policy policy;
	struct member_model member;    /* its rewards are looked at, never changed */
	const struct model_account *account;
	int64_t points, left, now_ms;
	struct outcome *out;
};

static struct effect_model *put(struct undoing *undoing, const struct effect_model *effect, enum effect_type type, int64_t points,
				const char *text)
{
	return outcome_add(undoing->out, type, effect->action, points, undoing->points, text);
}

static bool note(struct undoing *undoing, const struct effect_model *effect)
{
	put(undoing, effect, EFFECT_NONE, 0, "it cannot be undone");
	return true;
}

static int64_t least(int64_t a, int64_t b)
{
	int64_t small = a < b ? a : b;
	return small > 0 ? small : 0;
}

static void take(struct undoing *undoing, const struct effect_model *effect, int64_t points, int64_t debt)
{
	struct member_model *member = &undoing->member;
	int64_t lifetime = least(effect->points, member->lifetime), status = least(effect->points, member->status_points);
	undoing->points -= points;
	member->lifetime -= lifetime;
	member->status_points -= status;
	member->debt += debt;
	undoing->out->moved |= points > 0;
	struct effect_model *made = put(undoing, effect, EFFECT_EARN_REVERSED, points, "");
	made->more[0] = (uint64_t)lifetime;
	made->more[1] = (uint64_t)status;
	made->more[2] = (uint64_t)debt;
}

static bool undo_earn(struct undoing *undoing, const struct effect_model *effect)
{
	const struct model_account *account = undoing->account;
	ASSERT(account);
	if (account->closed)
		return false;
	/* Down to zero, or the floor where that is higher; what is reserved stays. */
	i128 kept = (i128)account->debits_pending + account->floor, there = undoing->points - (kept > 0 ? kept : 0);
	int64_t points = there <= 0 ? 0 : least(effect->points, (int64_t)there);
	if (undoing->policy == REVERSE_LEFT) {
		points = least(points, undoing->left);
		undoing->left -= points;
	}
	take(undoing, effect, points, undoing->policy == REVERSE_DEBT ? effect->points - points : 0);
	return true;
}

static bool undo_burn(struct undoing *undoing, const struct effect_model *effect)
{
	const struct model_account *account = undoing->account;
	ASSERT(account);
	if (account->closed)
		return false;
	if (account->ceiling != NO_CEILING &&
	    (i128)undoing->points + effect->points + (i128)account->credits_pending > account->ceiling)
		return false;
	if (undoing->points + effect->points > ACTION_POINTS_MAX)
		return false;
	undoing->points += effect->points;
	undoing->out->moved = true;
	put(undoing, effect, EFFECT_BURN_REVERSED, effect->points, "");
	return true;
}

static bool undo_status(struct undoing *undoing, const struct effect_model *effect)
{
	char *now = undoing->member.status;
	if (strcmp(now, effect->text) != 0)
		return note(undoing, effect);
	memcpy(put(undoing, effect, EFFECT_STATUS, 0, effect->before)->before, now, TEXT);
	snprintf(now, TEXT, "%s", effect->before);
	return true;
}

static bool undo_status_points(struct undoing *undoing, const struct effect_model *effect)
{
	int64_t change = effect->type == EFFECT_TIER ? -effect->points : effect->points;
	if (undoing->member.status_points + change < 0)
		change = -undoing->member.status_points;
	undoing->member.status_points += change;
	put(undoing, effect, EFFECT_TIER, change, "");
	return true;
}

static bool undo_reward(struct undoing *undoing, const struct effect_model *effect)
{
	const struct given_model *given = member_given(&undoing->member, (uint32_t)effect->more[0]);
	ASSERT(given);
	if (given->state != REWARD_ISSUED || (given->expires_ms && given->expires_ms <= undoing->now_ms))
		return note(undoing, effect);
	struct effect_model *made = put(undoing, effect, EFFECT_REWARD_REVOKED, 0, effect->text);
	made->more[0] = given->seq;
	made->more[1] = REWARD_ISSUED;
	return true;
}

static bool undo_bonus(struct undoing *undoing, const struct effect_model *effect)
{
	if (member_bonus_at(&undoing->member, (uint32_t)effect->more[0]) < 0)
		return note(undoing, effect);
	member_withdraw(&undoing->member, (uint32_t)effect->more[0]);
	struct effect_model *made = put(undoing, effect, EFFECT_BONUS_WITHDRAWN, 0, effect->text);
	made->more[0] = effect->more[0];
	made->more[1] = effect->more[1];
	return true;
}

static bool undo_count(struct undoing *undoing, const struct effect_model *effect)
{
	uint64_t key = effect->more[0];
	uint32_t period = (uint32_t)effect->more[1], count = member_counted_in(&undoing->member, key, period);
	if (!count)
		return note(undoing, effect);
	member_counts(&undoing->member, key, period, count - 1);
	struct effect_model *made = put(undoing, effect, EFFECT_COUNTED, 0, "");
	made->more[0] = key;
	made->more[1] = period;
	made->more[2] = count - 1;
	return true;
}

static bool undo_tag(struct undoing *undoing, const struct effect_model *effect)
{
	if (!member_has(&undoing->member, effect->text))
		return note(undoing, effect);
	member_untag(&undoing->member, effect->text);
	put(undoing, effect, EFFECT_TAG_REMOVED, 0, effect->text);
	return true;
}

bool burn_stays(const struct outcome *outcome, const struct execution_model *execution, unsigned effect,
		const struct member_model *member)
{
	const struct effect_model *burn = &outcome->effects[execution->first + effect];
	if (burn->type != EFFECT_BURN || burn->action != ACTION_REDEEM_REWARD)
		return false;
	ASSERT(effect + 1 < execution->count && burn[1].type == EFFECT_REWARD_ISSUED);
	const struct given_model *given = member_given(member, (uint32_t)burn[1].more[0]);
	return given && given->state == REWARD_USED;
}

/* False: nothing of the event can be undone. */
static bool effect_undo(struct undoing *undoing, const struct outcome *first, const struct execution_model *execution, unsigned number)
{
	const struct effect_model *effect = &first->effects[execution->first + number];
	switch (effect->type) {
	case EFFECT_EARN: return undo_earn(undoing, effect);
	case EFFECT_DEBT_PAID: take(undoing, effect, 0, effect->points); return true;
	case EFFECT_BURN:
		return burn_stays(first, execution, number, &undoing->member) ? note(undoing, effect) : undo_burn(undoing, effect);
	case EFFECT_STATUS: return undo_status(undoing, effect);
	case EFFECT_STATUS_POINTS_RESET:
	case EFFECT_TIER: return undo_status_points(undoing, effect);
	case EFFECT_REWARD_ISSUED: return undo_reward(undoing, effect);
	case EFFECT_BONUS: return undo_bonus(undoing, effect);
	case EFFECT_COUNTED: return undo_count(undoing, effect);
	case EFFECT_TAG: return undo_tag(undoing, effect);
	case EFFECT_WEBHOOK:
	case EFFECT_MESSAGE: put(undoing, effect, effect->type, 0, effect->text); return true;
	default: return true;
	}
}

bool reversal_outcome(const struct outcome *first, enum reverse_policy policy, const struct member_model *member,
		      const struct model_account *account, int64_t left, int64_t now_ms, struct outcome *out)
{
	struct undoing undoing = { .policy = policy, .member = *member, .account = account, .left = left, .now_ms = now_ms, .out = out };
	bool good = true;
	if (account)
		undoing.points = (int64_t)((i128)account->credits_posted - (i128)account->debits_posted);
	out->execution_count = out->effect_count = 0;
	out->moved = false;
	for (unsigned n = first->execution_count; n-- && good;) {
		const struct execution_model *execution = &first->executions[n];
		if (execution->result != EXECUTION_SUCCESS)
			continue;
		out->executions[out->execution_count] = (struct execution_model){ .rule_id = execution->rule_id,
			.result = EXECUTION_SUCCESS, .emitted = execution->emitted, .first = out->effect_count };
		for (unsigned e = execution->count; e-- && good;)
			good = effect_undo(&undoing, first, execution, e);
		out->execution_count++;
	}
	out->points = undoing.points;
	return good;
}
