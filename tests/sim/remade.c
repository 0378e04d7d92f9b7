// SPDX-License-Identifier: Apache-2.0
/* remade.c - a member, made again from its own records alone, as the explanation of an event does it (engine/event/past.h), is the
 * member. */
#include <string.h>

#include "engine/event/past.h"
#include "tests/sim/oracle_int.h"

static bool past_is(const struct member *is, const struct member_model *wanted)
{
	const struct member_more *more = is->more;
	bool same = is->status_points == wanted->status_points && is->lifetime_points == wanted->lifetime && member_debt(is) == wanted->debt &&
		    is->event_count == wanted->events && is->active_ms == wanted->active_ms && is->created_ms == wanted->created_ms &&
		    str_eq(member_status(is), str_of(wanted->status)) && is->tag_count == wanted->tag_count &&
		    (more ? more->reward_count : 0) == wanted->reward_count && (more ? more->bonus_count : 0) == wanted->bonus_count;
	for (unsigned i = 0; i < wanted->tag_count && same; i++)
		same = member_has_tag(is, str_of(wanted->tags[i]));
	for (unsigned i = 0; i < wanted->reward_count && same; i++)
		same = member_reward(is, wanted->rewards[i].seq) && member_reward(is, wanted->rewards[i].seq)->state == wanted->rewards[i].state;
	for (unsigned i = 0; i < wanted->bonus_count && same; i++)
		same = member_has_bonus(is, str_of(wanted->bonuses[i].key), wanted->bonuses[i].period);
	for (unsigned i = 0; i < wanted->counter_count && same; i++)
		same = member_counted(is, wanted->counters[i].key, wanted->counters[i].period) == wanted->counters[i].count;
	return same;
}

/* One member, from the chain of its records, newest to oldest and back. */
void member_remade(struct oracle *oracle, const struct member_model *member)
{
	struct past past = { 0 };
	struct buf chain = { 0 };
	uint32_t size;
	for (uint64_t lsn = member->last_lsn; lsn;) {
		const unsigned char *record = oracle_record(oracle, lsn, &size);
		buf_bytes(&chain, &lsn, sizeof lsn);
		LAW(oracle, "history", record && past_previous(record, size, &lsn), "the chain of %s leads to no record of it",
		    member->profile);
	}
	for (size_t at = chain.len; at; at -= sizeof(uint64_t)) {
		uint64_t lsn;
		memcpy(&lsn, chain.ptr + at - sizeof lsn, sizeof lsn);
		const unsigned char *record = oracle_record(oracle, lsn, &size);
		LAW(oracle, "history", past_take(&past, record, size), "the record at LSN %llu does not fit what %s was", LLU(lsn),
		    member->profile);
	}
	LAW(oracle, "history", past.member && past_is(past.member, member), "%s, made again from its records, is another", member->profile);
	past_free(&past);
	buf_free(&chain);
}
