// SPDX-License-Identifier: Apache-2.0
#include "engine/event/reverse.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/catalog/action.h"
#include "engine/event/effect.h"
#include "engine/event/facts.h"

const char *const reverse_policy_names[REVERSE_POLICIES + 1] = { "left", "zero", "debt", NULL };

struct reversal {
	const struct row *row;
	const struct member *member;
	struct scratch scratch;
	struct buf *out;
	int64_t now_ms;
	i128 left;                     /* of the event's points, not spent since; REVERSE_LEFT */
	unsigned effects;              /* of the running execution */
	bool keep_cost;                /* the reward that the next burn paid for was used */
	const char *refusal;           /* why nothing of it can be undone */
};

typedef void undo_fn(struct reversal *reversal, const struct effect_view *effect);

static void put(struct reversal *reversal, const struct effect_view *effect, enum effect_type type, int64_t points,
		const void *fixed, size_t fixed_len, struct str word)
{
	effect_put(reversal->out, type, effect->head.action, points, reversal->scratch.points, fixed, fixed_len, word);
	reversal->effects++;
}

static void note(struct reversal *reversal, const struct effect_view *effect, const char *text)
{
	put(reversal, effect, EFFECT_NONE, 0, NULL, 0, str_of(text));
}

static int64_t least(i128 a, i128 b)
{
	i128 small = a < b ? a : b;
	return small > 0 ? (int64_t)small : 0;
}

static void earn_take(struct reversal *reversal, const struct effect_view *effect, int64_t take, int64_t debt)
{
	struct scratch *scratch = &reversal->scratch;
	int64_t points = effect->head.points;
	struct effect_taken taken = { .lifetime = least(points, scratch->lifetime_points),
				      .status = least(points, scratch->status_points), .debt = debt };
	scratch->points -= take;
	scratch->lifetime_points -= taken.lifetime;
	scratch->status_points -= taken.status;
	scratch->debt += debt;
	scratch->moved |= take > 0;
	put(reversal, effect, EFFECT_EARN_REVERSED, take, &taken, sizeof taken, (struct str){ "", 0 });
}

static void undo_earn(struct reversal *reversal, const struct effect_view *effect)
{
	struct scratch *scratch = &reversal->scratch;
	int64_t points = effect->head.points, take = least(points, (i128)scratch->points - (scratch->held > 0 ? scratch->held : 0));
	if (scratch->account && (scratch->account->flags & ACCOUNT_CLOSED)) {
		reversal->refusal = "the customer's points account is closed";
		return;
	}
	if (reversal->row->policy == REVERSE_LEFT) {
		take = least(take, reversal->left);
		reversal->left -= take;
	}
	int64_t missing = reversal->row->policy == REVERSE_DEBT ? points - take : 0;
	if (missing > ACTION_POINTS_MAX - scratch->debt) {
		reversal->refusal = "the customer would owe more than fits";
		return;
	}
	earn_take(reversal, effect, take, missing);
}

/* What the points paid is owed again. */
static void undo_debt(struct reversal *reversal, const struct effect_view *effect)
{
	if (effect->head.points > ACTION_POINTS_MAX - reversal->scratch.debt)
		reversal->refusal = "the customer would owe more than fits";
	else
		earn_take(reversal, effect, 0, effect->head.points);
}

static void undo_burn(struct reversal *reversal, const struct effect_view *effect)
{
	struct scratch *scratch = &reversal->scratch;
	int64_t points = MUTATE(66, effect->head.points, effect->head.points * 2);
	if (reversal->keep_cost) {
		reversal->keep_cost = false;
		note(reversal, effect, "the points bought a reward that was used");
	} else if (scratch->account && (scratch->account->flags & ACCOUNT_CLOSED)) {
		reversal->refusal = "the customer's points account is closed";
	} else if ((i128)scratch->points + points > scratch->room || points > ACTION_POINTS_MAX - scratch->points) {
		reversal->refusal = "giving the points back would pass the account's ceiling";
	} else {
		scratch->points += points;
		scratch->moved = true;
		put(reversal, effect, EFFECT_BURN_REVERSED, points, NULL, 0, (struct str){ "", 0 });
	}
}

static void undo_status(struct reversal *reversal, const struct effect_view *effect)
{
	struct scratch *scratch = &reversal->scratch;
	struct str word = effect_word(effect), before;
	if (!effect_before(effect, &before)) {
		note(reversal, effect, "the status before is not known");
	} else if (!str_eq(scratch->status, word)) {
		note(reversal, effect, "the status has changed since");
	} else {
		effect_put_change(reversal->out, EFFECT_STATUS, effect->head.action, scratch->points, before, word);
		reversal->effects++;
		scratch->status = before;
	}
}

static void undo_tag(struct reversal *reversal, const struct effect_view *effect)
{
	struct str tag = effect_word(effect);
	if (member_has_tag(reversal->member, tag))
		put(reversal, effect, EFFECT_TAG_REMOVED, 0, NULL, 0, tag);
	else
		note(reversal, effect, "the tag is gone already");
}

static void undo_status_points(struct reversal *reversal, const struct effect_view *effect)
{
	struct scratch *scratch = &reversal->scratch;
	int64_t change = effect->head.type == EFFECT_STATUS_POINTS_RESET ? effect->head.points : -effect->head.points;
	if (change < 0 && -change > scratch->status_points)
		change = -scratch->status_points;
	if (change > ACTION_POINTS_MAX - scratch->status_points)
		change = ACTION_POINTS_MAX - scratch->status_points;
	scratch->status_points += change;
	put(reversal, effect, EFFECT_TIER, change, NULL, 0, (struct str){ "", 0 });
}

/* The effect issued a reward against points, and it was used. */
static bool reward_used(const struct member *member, const struct effect_view *effect)
{
	struct effect_reward fixed;
	if (effect->head.type != EFFECT_REWARD_ISSUED || effect->head.action != ACTION_REDEEM_REWARD)
		return false;
	effect_struct(effect, &fixed, sizeof fixed);
	const struct reward_item *item = member_reward(member, fixed.seq);
	return item && item->state == REWARD_USED;
}

static void undo_reward(struct reversal *reversal, const struct effect_view *effect)
{
	static const char *const why[REWARD_STATES] = { "", "the reward was used", "the reward had expired",
							"the reward was taken back already" };
	struct effect_reward fixed;
	effect_struct(effect, &fixed, sizeof fixed);
	const struct reward_item *item = member_reward(reversal->member, fixed.seq);
	struct effect_seq seq = { .seq = fixed.seq, .state_before = REWARD_ISSUED };
	/* Effects are undone last first: what a reward cost stands in front of it. */
	reversal->keep_cost = reward_used(reversal->member, effect);
	if (!item)
		note(reversal, effect, "the reward is not there");
	else if (item->state != REWARD_ISSUED)
		note(reversal, effect, why[item->state]);
	else if (item->expires_ms && item->expires_ms <= reversal->now_ms)     /* whether or not a run has written it down */
		note(reversal, effect, why[REWARD_EXPIRED]);
	else
		put(reversal, effect, EFFECT_REWARD_REVOKED, 0, &seq, sizeof seq, effect_word(effect));
}

static void undo_bonus(struct reversal *reversal, const struct effect_view *effect)
{
	struct effect_bonus fixed;
	effect_struct(effect, &fixed, sizeof fixed);
	if (member_bonus(reversal->member, fixed.seq))
		put(reversal, effect, EFFECT_BONUS_WITHDRAWN, 0, &fixed, sizeof fixed, effect_word(effect));
	else
		note(reversal, effect, "the bonus is gone already");
}

/* A limit counts a purchase that was returned no more, in its period. */
static void undo_count(struct reversal *reversal, const struct effect_view *effect)
{
	struct scratch *scratch = &reversal->scratch;
	struct effect_counted fixed;
	effect_struct(effect, &fixed, sizeof fixed);
	uint32_t count = scratch_counted(scratch, reversal->member, fixed.key, fixed.period);
	if (!count || scratch->count_count == SCRATCH_LIST_MAX) {
		note(reversal, effect, "the period of the limit is over");
		return;
	}
	fixed.count = MUTATE(74, count - 1, count);
	scratch->lists->counts[scratch->count_count++] = (struct scratch_count){ fixed.key, fixed.period, fixed.count };
	put(reversal, effect, EFFECT_COUNTED, 0, &fixed, sizeof fixed, (struct str){ "", 0 });
}

/* What was told cannot be taken back: the same one hears that it was undone. */
static void undo_webhook(struct reversal *reversal, const struct effect_view *effect)
{
	put(reversal, effect, (enum effect_type)effect->head.type, 0, NULL, 0, effect_word(effect));
	reversal->scratch.hooked = true;
}

static undo_fn *const undos[UNDO_KINDS] = {
	[UNDO_EARN] = undo_earn, [UNDO_DEBT] = undo_debt, [UNDO_BURN] = undo_burn, [UNDO_STATUS] = undo_status,
	[UNDO_TAG] = undo_tag, [UNDO_STATUS_POINTS] = undo_status_points, [UNDO_REWARD] = undo_reward,
	[UNDO_BONUS] = undo_bonus, [UNDO_COUNT] = undo_count, [UNDO_WEBHOOK] = undo_webhook,
};

/* The opposite of one execution, last effect first. */
static void execution_undo(struct reversal *reversal, const struct execution_view *execution)
{
	struct execution_head head = { .rule_id = execution->head.rule_id, .emitted = execution->head.emitted };
	struct effect_view effects[UINT8_MAX];
	const unsigned char *at = execution->effects;
	unsigned count = execution->head.effect_count;
	size_t start = reversal->out->len;
	buf_bytes(reversal->out, &head, sizeof head);
	reversal->effects = 0;
	reversal->keep_cost = false;
	for (unsigned i = 0; i < count; i++)
		effect_next(&at, &effects[i]);
	while (count-- && !reversal->refusal) {
		undo_fn *undo = undos[effect_kinds[effects[count].head.type].undo];
		if (effects[count].head.action != ACTION_REDEEM_REWARD || effects[count].head.type != EFFECT_BURN)
			reversal->keep_cost = false;
		if (undo)
			undo(reversal, &effects[count]);
	}
	head.effect_count = (uint8_t)reversal->effects;
	memcpy(reversal->out->ptr + start, &head, sizeof head);
}

uint32_t reverse_bound(const struct row *row)
{
	size_t bound = sizeof(struct event_head) + row->tenant.len + row->profile.len + row->type.len + row->id.len +
		       row->source.len + row->payload_text.len + row->original.len * 4 + 1024;
	return bound > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)bound;
}

/* What is left of the points that an event brought, when so many left the account since: the older ones went first.  What the
 * event burned itself is given back, and so was not spent, but for rewards that were used. */
static i128 left_of(const struct event_view *event, i128 spent, const struct member *member)
{
	const unsigned char *at = event->executions;
	i128 earned = 0, net = 0, kept = 0;
	for (unsigned i = 0; i < event->execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		const unsigned char *effects = execution.effects;
		int64_t cost = 0;
		for (unsigned e = 0; e < execution.head.effect_count; e++) {
			struct effect_view effect;
			effect_next(&effects, &effect);
			earned += effect.head.type == EFFECT_EARN ? effect.head.points : 0;
			net += effect_kinds[effect.head.type].moves * (i128)effect.head.points;
			if (reward_used(member, &effect))
				kept += cost;
			cost = effect.head.type == EFFECT_BURN && effect.head.action == ACTION_REDEEM_REWARD ? effect.head.points : 0;
		}
	}
	i128 before = event->head.points - net, own = spent + MUTATE(75, kept, earned - net) - before;
	return own <= 0 ? earned : own >= earned ? 0 : earned - own;
}

i128 reverse_spent(const struct event_view *later, uint64_t undone, uint64_t since)
{
	i128 spent = 0;
	struct effects effects = effects_of(later);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		switch (effect.head.type) {
		case EFFECT_BURN: spent += effect.head.points; break;
		case EFFECT_EARN_REVERSED: spent += undone > since ? 0 : effect.head.points; break;
		case EFFECT_BURN_REVERSED: spent -= undone > since ? effect.head.points : 0; break;
		default: break;
		}
	}
	return spent;
}

static bool refuse(struct row *row, const char *code, const char *detail)
{
	problem_set(row_refuse(row), 409, code, "%s", detail);
	return false;
}

bool reverse_decide(struct row *row, const struct member *member, const struct ingest *context, struct buf *out)
{
	struct event_view event;
	struct scratch_lists lists;
	struct reversal reversal = { .row = row, .member = member, .out = out, .now_ms = context->now_ms };
	const struct account *account = context->account;
	if (!event_view_read((const unsigned char *)row->original.ptr, row->original.len, &event) || !member)
		return refuse(row, "not_reversible", "the event's member is not there");
	if (event.head.flags & EVENT_REVERSAL)
		return refuse(row, "not_reversible", "this is a reversal itself; it cannot be undone");
	if (row->policy == REVERSE_LEFT && MUTATE(73, (account ? account->last_lsn : 0) != row->head_lsn, false))
		return refuse(row, "moved_on", "the account has moved on");
	scratch_of(&reversal.scratch, &lists, member, account ? account_balance(account) : 0);
	ingest_limits(&reversal.scratch, context);
	reversal.left = left_of(&event, row->spent, member);

	struct event_head head = { .head = { .type = RECORD_EVENT }, .prev_member = member->last_lsn,
				   .prev_slice = context->prev_slice, .id_hash = row->id_hash, .content_hash = row->content_hash,
				   .time_ms = context->now_ms, .payload_len = (uint32_t)row->payload_text.len,
				   .tenant_len = (uint16_t)row->tenant.len, .profile_len = (uint16_t)row->profile.len,
				   .type_len = (uint16_t)row->type.len, .id_len = (uint16_t)row->id.len,
				   .source_len = (uint16_t)row->source.len, .flags = EVENT_REVERSAL };
	size_t start = record_begin(out, RECORD_EVENT, row->member_partition);
	memcpy(&head.head, out->ptr + start, sizeof head.head);
	out->len = start;
	buf_bytes(out, &head, sizeof head);
	buf_str(out, row->tenant);
	buf_str(out, row->profile);
	buf_str(out, row->type);
	buf_str(out, row->id);
	buf_str(out, row->source);
	buf_str(out, row->payload_text);
	/* Last rule first: they built on each other. */
	struct execution_view *list = mem_alloc(event.execution_count * sizeof *list);
	const unsigned char *at = event.executions;
	unsigned executions = 0;
	for (unsigned i = 0; i < event.execution_count; i++)
		execution_next(&at, &list[i]);
	for (unsigned last = event.execution_count; last-- && !reversal.refusal;) {
		if (list[last].head.result != EXECUTION_SUCCESS)
			continue;
		execution_undo(&reversal, &list[last]);
		executions++;
	}
	mem_free(list);
	if (reversal.refusal)
		return refuse(row, "not_reversible", reversal.refusal);
	head.execution_count = (uint8_t)executions;
	head.execution_count_high = (uint8_t)(executions >> 8);
	head.points = reversal.scratch.points;
	if (reversal.scratch.moved) {
		ASSERT(account);
		head.account = context->account_number;
		head.prev_account = account->last_lsn;
	}
	row->flags |= reversal.scratch.hooked ? ROW_HOOKED : 0u;
	memcpy(out->ptr + start, &head, sizeof head);
	record_end(out, start);
	return true;
}
