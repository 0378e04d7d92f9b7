// SPDX-License-Identifier: Apache-2.0
#include "engine/event/effect.h"

#include <stdio.h>

#include "engine/base/assert.h"

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
