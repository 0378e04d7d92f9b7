// SPDX-License-Identifier: Apache-2.0
#include "engine/event/reward.h"

#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "engine/catalog/action.h"
#include "engine/event/effect.h"
#include "engine/member/member.h"

enum { REWARD_NAME_BYTES = 1024 };     /* names have at most 200 characters */

uint32_t reward_bound(const struct row *row)
{
	size_t effects = row->op == ACTION_OP_USE_REWARD ? 1 : REWARDS_EXPIRED_MAX;
	return (uint32_t)(sizeof(struct action_head) + row->tenant.len + row->profile.len + 8 +
			  effects * (sizeof(struct effect_head) + sizeof(struct effect_seq) + REWARD_NAME_BYTES));
}

static bool refuse(struct row *row, int status, const char *code, const char *detail)
{
	problem_set(row_refuse(row), status, code, "reward %u of customer %.*s %s", row->seq, text_cut(row->profile, 100),
		    row->profile.ptr, detail);
	return false;
}

/* Whether it can be used now. */
static bool usable(struct row *row, const struct reward_item *item, int64_t now_ms)
{
	if (!item)
		return refuse(row, 404, "not_found", "does not exist");
	switch ((enum reward_state)item->state) {
	case REWARD_USED: return refuse(row, 409, "reward_used", "was used before");
	case REWARD_REVOKED: return refuse(row, 409, "reward_revoked", "was taken back");
	case REWARD_EXPIRED: return refuse(row, 409, "reward_expired", "has expired");
	case REWARD_ISSUED:
	case REWARD_STATES: break;
	}
	if (MUTATE(62, item->expires_ms && item->expires_ms <= now_ms, false))
		return refuse(row, 409, "reward_expired", "has expired");
	return true;
}

static void put(struct buf *out, const struct reward_item *item, enum effect_type type)
{
	struct effect_seq fixed = { .seq = item->seq, .state_before = item->state };
	ASSERT(item->name_len <= REWARD_NAME_BYTES);
	effect_put(out, type, ACTION_TYPES, 0, 0, &fixed, sizeof fixed, (struct str){ item->name, item->name_len });
}

bool reward_decide(struct row *row, const struct member *member, int64_t now_ms, struct buf *out)
{
	struct action_head head = { .op = (uint8_t)row->op };
	const struct reward_item *item = member ? member_reward(member, row->seq) : NULL;
	if (!member) {
		problem_set(row_refuse(row), 404, "customer_unknown", "customer %.*s does not exist", text_cut(row->profile, 100),
			    row->profile.ptr);
		return false;
	}
	if (row->op == ACTION_OP_USE_REWARD && !usable(row, item, now_ms))
		return false;
	if (row->op == ACTION_OP_EXPIRE_REWARDS && !member_rewards_due(member, now_ms)) {
		problem_set(row_refuse(row), 409, "nothing_due", "no reward of this customer is past its end");
		return false;
	}
	size_t start = record_begin(out, RECORD_ACTION, row->member_partition);
	memcpy(&head.head, out->ptr + start, sizeof head.head);
	out->len = start;
	head.prev_member = member->last_lsn;
	head.time_ms = now_ms;
	head.tenant_len = (uint16_t)row->tenant.len;
	head.profile_len = (uint16_t)row->profile.len;
	buf_bytes(out, &head, sizeof head);
	buf_str(out, row->tenant);
	buf_str(out, row->profile);
	if (row->op == ACTION_OP_USE_REWARD) {
		put(out, item, EFFECT_REWARD_USED);
		head.effect_count = 1;
	} else {
		for (uint32_t i = 0; i < member->more->reward_count && head.effect_count < REWARDS_EXPIRED_MAX; i++) {
			item = &member->more->rewards[i];
			if (item->state != REWARD_ISSUED || !item->expires_ms || item->expires_ms > now_ms)
				continue;
			put(out, item, EFFECT_REWARD_EXPIRED);
			head.effect_count++;
		}
	}
	memcpy(out->ptr + start, &head, sizeof head);
	record_end(out, start);
	return true;
}
