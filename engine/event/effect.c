// SPDX-License-Identifier: Apache-2.0
#include "engine/event/effect.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "engine/member/member.h"

#define WITH(type) sizeof(struct type)

const struct effect_kind effect_kinds[EFFECT_TYPES] = {
	[EFFECT_EARN] = { "EARN", NULL, 0, true, true, 1, UNDO_EARN, "Points from the liability to the member." },
	[EFFECT_BURN] = { "BURN", NULL, 0, true, true, -1, UNDO_BURN, "Points from the member to what was redeemed." },
	[EFFECT_STATUS] = { "STATUS", "status", 0, false, false, 0, UNDO_STATUS, "The member's status." },
	[EFFECT_TAG] = { "TAG", "tag", 0, false, false, 0, UNDO_TAG, "A tag more." },
	[EFFECT_STATUS_POINTS_RESET] = { "RESET_STATUS_POINTS", NULL, 0, true, false, 0, UNDO_STATUS_POINTS,
					 "Status points back to 0; so many were taken." },
	[EFFECT_NONE] = { "NONE", "note", 0, false, false, 0, UNDO_NOTHING, "Nothing was left to do." },
	[EFFECT_TIER] = { "TIER", "tier", 0, true, false, 0, UNDO_STATUS_POINTS, "Status points move to a tier's threshold." },
	[EFFECT_REWARD_ISSUED] = { "REWARD_ISSUED", "reward", WITH(effect_reward), false, false, 0, UNDO_REWARD,
				   "A reward for the member." },
	[EFFECT_REWARD_USED] = { "REWARD_USED", "reward", WITH(effect_seq), false, false, 0, UNDO_NOTHING, "A reward is used." },
	[EFFECT_REWARD_EXPIRED] = { "REWARD_EXPIRED", "reward", WITH(effect_seq), false, false, 0, UNDO_NOTHING,
				    "A reward is past its end." },
	[EFFECT_REWARD_REVOKED] = { "REWARD_REVOKED", "reward", WITH(effect_seq), false, false, 0, UNDO_NOTHING,
				    "A reward is taken back." },
	[EFFECT_BONUS] = { "BONUS", "bonusKey", WITH(effect_bonus), false, false, 0, UNDO_BONUS, "A bonus is awarded." },
	[EFFECT_BONUS_WITHDRAWN] = { "BONUS_WITHDRAWN", "bonusKey", WITH(effect_bonus), false, false, 0, UNDO_NOTHING,
				     "A bonus is withdrawn." },
	[EFFECT_COUNTED] = { "COUNTED", NULL, WITH(effect_counted), false, false, 0, UNDO_COUNT, "Counted by a limit." },
	[EFFECT_EMITTED] = { "EMITTED", "event_type", 0, false, false, 0, UNDO_NOTHING, "The rules of another event type run." },
	[EFFECT_DEBT_PAID] = { "DEBT_PAID", NULL, 0, true, false, 0, UNDO_DEBT, "Points earned that pay a debt." },
	[EFFECT_EARN_REVERSED] = { "EARN_REVERSED", NULL, WITH(effect_taken), true, true, -1, UNDO_NOTHING,
				   "Points from the member back to the liability." },
	[EFFECT_BURN_REVERSED] = { "BURN_REVERSED", NULL, 0, true, true, 1, UNDO_NOTHING,
				   "Points back to the member." },
	[EFFECT_MESSAGE] = { "MESSAGE", "template", 0, false, false, 0, UNDO_WEBHOOK, "A message to the member, by way of the gateway." },
	[EFFECT_WEBHOOK] = { "WEBHOOK", "url", 0, false, false, 0, UNDO_WEBHOOK, "Another system is told." },
	[EFFECT_TAG_REMOVED] = { "TAG_REMOVED", "tag", 0, false, false, 0, UNDO_NOTHING, "A tag less." },
};

struct str effect_word(const struct effect_view *effect)
{
	size_t skip = effect_text_min(effect->head.type);
	if (skip > effect->text.len)
		return (struct str){ "", 0 };
	struct str word = { effect->text.ptr + skip, effect->text.len - skip };
	const char *zero = word.len ? memchr(word.ptr, 0, word.len) : NULL;
	if (zero)
		word.len = (size_t)(zero - word.ptr);
	return word;
}

bool effect_before(const struct effect_view *effect, struct str *before)
{
	struct str word = effect_word(effect);
	const char *end = effect->text.ptr + effect->text.len;
	if (!word.ptr || word.ptr + word.len >= end)
		return false;
	*before = (struct str){ word.ptr + word.len + 1, (size_t)(end - word.ptr) - word.len - 1 };
	return true;
}

void effect_struct(const struct effect_view *effect, void *out, size_t size)
{
	ASSERT(size <= effect->text.len && size <= effect_text_min(effect->head.type));
	memcpy(out, effect->text.ptr, size);
}

void effect_put(struct buf *out, enum effect_type type, unsigned action, int64_t points, int64_t balance, const void *fixed,
		size_t fixed_len, struct str word)
{
	ASSERT(fixed_len == effect_text_min(type) && fixed_len + word.len <= UINT16_MAX);
	struct effect_head head = { .points = points, .balance = balance, .type = (uint8_t)type, .action = (uint8_t)action,
				    .text_len = (uint16_t)(fixed_len + word.len) };
	buf_bytes(out, &head, sizeof head);
	if (fixed_len)
		buf_bytes(out, fixed, fixed_len);
	buf_str(out, word);
}

static bool reward_end(struct member *member, const struct effect_view *effect, enum reward_state to, int64_t time_ms)
{
	struct effect_seq fixed;
	effect_struct(effect, &fixed, sizeof fixed);
	struct reward_item *item = member_reward(member, fixed.seq);
	if (!item || item->state != fixed.state_before)
		return false;
	item->state = (uint16_t)to;
	item->ended_ms = time_ms;
	return true;
}

static void earn_taken(struct member *member, const struct effect_view *effect)
{
	struct effect_taken taken;
	effect_struct(effect, &taken, sizeof taken);
	member->lifetime_points -= taken.lifetime;
	member->status_points -= taken.status;
	if (taken.debt)
		member_more(member)->debt += taken.debt;
}

static bool reward_issued(struct member *member, const struct effect_view *effect, int64_t time_ms)
{
	struct effect_reward fixed;
	effect_struct(effect, &fixed, sizeof fixed);
	struct reward_item item = { .reward = fixed.reward, .issued_ms = time_ms, .expires_ms = fixed.expires_ms, .seq = fixed.seq };
	return member_add_reward(member, &item, effect_word(effect));
}

static bool bonus_change(struct member *member, const struct effect_view *effect, int64_t time_ms)
{
	struct effect_bonus fixed;
	effect_struct(effect, &fixed, sizeof fixed);
	if (effect->head.type == EFFECT_BONUS) {
		struct bonus_item item = { .awarded_ms = time_ms, .seq = fixed.seq, .period = fixed.period };
		return member_add_bonus(member, &item, effect_word(effect));
	}
	member_drop_bonus(member, fixed.seq);
	return true;
}

bool effect_on_member(struct member *member, const struct effect_view *effect, int64_t time_ms)
{
	struct str word = effect_word(effect);
	int64_t points = effect->head.points;
	struct effect_counted counted;
	switch ((enum effect_type)effect->head.type) {
	case EFFECT_DEBT_PAID:
		member_more(member)->debt -= MUTATE(72, points, 0);
		member->lifetime_points += points;
		member->status_points += points;
		return true;
	case EFFECT_EARN:
		member->lifetime_points += points;
		member->status_points += points;
		return true;
	case EFFECT_EARN_REVERSED: earn_taken(member, effect); return true;
	case EFFECT_STATUS: member_set_status(member, word); return true;
	case EFFECT_TAG: member_add_tag(member, word); return true;
	case EFFECT_TAG_REMOVED: member_remove_tag(member, word); return true;
	case EFFECT_STATUS_POINTS_RESET: member->status_points = 0; return true;
	case EFFECT_TIER: member->status_points += points; return true;
	case EFFECT_REWARD_ISSUED: return reward_issued(member, effect, time_ms);
	case EFFECT_REWARD_USED: return reward_end(member, effect, REWARD_USED, time_ms);
	case EFFECT_REWARD_EXPIRED: return reward_end(member, effect, REWARD_EXPIRED, time_ms);
	case EFFECT_REWARD_REVOKED: return reward_end(member, effect, REWARD_REVOKED, time_ms);
	case EFFECT_BONUS:
	case EFFECT_BONUS_WITHDRAWN: return bonus_change(member, effect, time_ms);
	case EFFECT_COUNTED:
		effect_struct(effect, &counted, sizeof counted);
		return member_count(member, counted.key, counted.period, counted.count);
	case EFFECT_BURN:
	case EFFECT_BURN_REVERSED:     /* of the ledger alone */
	case EFFECT_EMITTED:
	case EFFECT_WEBHOOK:           /* of the log alone */
	case EFFECT_MESSAGE:
	case EFFECT_NONE:
	case EFFECT_TYPES: break;
	}
	return true;
}

void effect_put_change(struct buf *out, enum effect_type type, unsigned action, int64_t balance, struct str now, struct str before)
{
	struct effect_head head;
	size_t start = out->len;
	effect_put(out, type, action, 0, balance, NULL, 0, now);
	buf_char(out, '\0');
	buf_str(out, before);
	memcpy(&head, out->ptr + start, sizeof head);
	ASSERT(head.text_len + 1 + before.len <= UINT16_MAX);
	head.text_len = (uint16_t)(head.text_len + 1 + before.len);
	memcpy(out->ptr + start, &head, sizeof head);
}

void member_item_id(struct buf *out, uint64_t member_hash, uint32_t seq)
{
	buf_printf(out, "%016llx-%u", (unsigned long long)member_hash, seq);
}

bool member_item_id_parse(struct str text, uint64_t *member_hash, uint32_t *seq)
{
	uint64_t hash = 0, number = 0;
	if (text.len < 18 || text.len > 27 || text.ptr[16] != '-' || text.ptr[17] == '0')
		return false;
	for (size_t i = 0; i < 16; i++) {
		char c = text.ptr[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (digit < 0)
			return false;
		hash = hash << 4 | (unsigned)digit;
	}
	for (size_t i = 17; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	*member_hash = hash;
	*seq = (uint32_t)number;
	return number <= UINT32_MAX;
}
