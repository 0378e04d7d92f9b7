// SPDX-License-Identifier: Apache-2.0
/* ask.c - answers about rewards, bonuses and tiers.
 *
 * A reward past its end is EXPIRED from that moment on, whether or not a sweep has written it down: so it is shown, filtered and
 * refused.  A tier is computed from status points and the tiers as they are now.
 */
#include "engine/shard/ask.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/catalog/view.h"
#include "engine/event/effect.h"

const char *const reward_state_names[REWARD_STATES + 1] = { "ISSUED", "USED", "EXPIRED", "REVOKED", NULL };

static void time_json(struct buf *out, const char *name, int64_t ms)
{
	buf_printf(out, ",\"%s\":", name);
	if (!ms) {
		buf_lit(out, "null");
		return;
	}
	buf_char(out, '"');
	time_write(out, ms);
	buf_char(out, '"');
}

/* ---- rewards ------------------------------------------------------------------------------------------------------------- */

static enum reward_state state_at(const struct reward_item *item, int64_t now_ms)
{
	bool over = item->state == REWARD_ISSUED && item->expires_ms && item->expires_ms <= now_ms;
	return over ? REWARD_EXPIRED : (enum reward_state)item->state;
}

static void reward_json(struct buf *out, const struct member *member, const struct reward_item *item, int64_t now_ms)
{
	static const char *const ends[REWARD_STATES] = { NULL, "used_at", "expired_at", "revoked_at" };
	enum reward_state state = state_at(item, now_ms);
	buf_lit(out, "{\"customer_reward_id\":\"");
	member_item_id(out, member->hash, item->seq);
	buf_printf(out, "\",\"reward_id\":\"%llu\",\"name\":", (unsigned long long)item->reward);
	buf_json_text(out, (struct str){ item->name, item->name_len });
	buf_printf(out, ",\"state\":\"%s\"", reward_state_names[state]);
	time_json(out, "issued_at", item->issued_ms);
	time_json(out, "expires_at", item->expires_ms);
	if (ends[state])
		time_json(out, ends[state], item->ended_ms ? item->ended_ms : item->expires_ms);
	buf_char(out, '}');
}

static void ask_rewards(const struct member *member, struct query *query, int64_t now_ms)
{
	const struct member_more *more = member->more;
	size_t skip = query->offset;
	buf_char(&query->json, '[');
	for (uint32_t i = more ? more->reward_count : 0; i--;) {
		const struct reward_item *item = &more->rewards[i];
		if (query->state != REWARD_STATES && state_at(item, now_ms) != query->state)
			continue;
		query->total++;
		if ((query->before_seq && item->seq >= query->before_seq) || query->next_seq)
			continue;
		if (skip) {
			skip--;
			continue;
		}
		if (query->given == query->limit) {
			query->next_seq = item->seq + 1;
			continue;
		}
		if (query->given++)
			buf_char(&query->json, ',');
		reward_json(&query->json, member, item, now_ms);
	}
	buf_char(&query->json, ']');
}

/* ---- tiers --------------------------------------------------------------------------------------------------------------- */

static void tier_json(struct buf *out, const char *name, const struct view_tier *tier)
{
	buf_printf(out, ",\"%s\":", name);
	if (!tier) {
		buf_lit(out, "null");
		return;
	}
	buf_printf(out, "{\"id\":\"%llu\",\"key\":", (unsigned long long)tier->id);
	buf_json_text(out, tier->key);
	buf_lit(out, ",\"name\":");
	buf_json_text(out, tier->name);
	buf_printf(out, ",\"rank\":%lld,\"min_status_points\":%lld}", (long long)tier->rank, (long long)tier->min_status_points);
}

/* Status points above the current tier's threshold, of those between it and the next one; in percent, rounded down. */
static int64_t progress(const struct view_tier *current, const struct view_tier *next, int64_t points)
{
	int64_t from = current ? current->min_status_points : 0;
	if (!next)
		return 100;
	if (points <= from)
		return 0;
	return (int64_t)((__int128)(points - from) * 100 / (next->min_status_points - from));
}

static void ask_loyalty(const struct member *member, struct query *query)
{
	const struct catalog_view *view = member->tenant->view;
	const struct view_tier *current = view_tier_of(view, member->status_points), *next = NULL;
	for (size_t i = 0; view && !next && i < view->tier_count; i++)
		if (view->tiers[i].min_status_points > member->status_points)
			next = &view->tiers[i];
	struct buf *out = &query->json;
	buf_lit(out, "{\"brand\":");
	buf_json_text(out, query->tenant);
	buf_lit(out, ",\"profileId\":");
	buf_json_text(out, query->profile);
	buf_printf(out, ",\"statusPoints\":%lld,\"lifetimePoints\":%lld", (long long)member->status_points,
		   (long long)member->lifetime_points);
	tier_json(out, "currentTier", current);
	tier_json(out, "nextTier", next);
	if (next)
		buf_printf(out, ",\"missingPoints\":%lld", (long long)(next->min_status_points - member->status_points));
	else
		buf_lit(out, ",\"missingPoints\":null");
	buf_printf(out, ",\"progressPercent\":%lld}", (long long)progress(current, next, member->status_points));
}

void ask_member(const struct member *member, struct query *query)
{
	const struct view_tier *tier = view_tier_of(member->tenant->view, member->status_points);
	query->debt = member_debt(member);
	if (tier)
		buf_str(&query->tier, tier->key);
	if (member->account) {
		query->account_lsn = member->account->last_lsn;
		query->account_number = member->account_number;
	}
}

/* ---- bonus awards -------------------------------------------------------------------------------------------------------- */

int award_place_order(const struct award_place *a, const struct award_place *b)
{
	if (a->awarded_ms != b->awarded_ms)
		return a->awarded_ms > b->awarded_ms ? -1 : 1;
	if (a->member_hash != b->member_hash)
		return a->member_hash > b->member_hash ? -1 : 1;
	return (a->seq < b->seq) - (a->seq > b->seq);
}

static void award_json(struct buf *out, const struct member *member, const struct bonus_item *item)
{
	buf_lit(out, "{\"id\":\"");
	member_item_id(out, member->hash, item->seq);
	buf_lit(out, "\",\"brand\":");
	buf_json_text(out, member->tenant->name);
	buf_lit(out, ",\"profileId\":");
	buf_json_text(out, member_profile(member));
	buf_lit(out, ",\"bonusKey\":");
	buf_json_text(out, (struct str){ item->key, item->key_len });
	buf_lit(out, ",\"period\":\"");
	limit_period_text(out, item->period);
	buf_char(out, '"');
	time_json(out, "awarded_at", item->awarded_ms);
	buf_char(out, '}');
}

/* One that was found in order; false when the page is full. */
static bool award_take(struct query *query, const struct member *member, const struct bonus_item *item)
{
	struct award_place place = { item->awarded_ms, member->hash, item->seq };
	if (query->bonus_key.len && !str_eq(query->bonus_key, (struct str){ item->key, item->key_len }))
		return true;
	if (query->after.awarded_ms && award_place_order(&place, &query->after) <= 0)
		return true;
	if (query->given == query->limit)
		return false;
	struct query_award award = { place, query->json.len, 0 };
	award_json(&query->json, member, item);
	award.len = query->json.len - award.at;
	buf_bytes(&query->awards, &award, sizeof award);
	query->given++;
	return true;
}

static int entry_order(const void *a, const void *b)
{
	const struct award *left = a, *right = b;
	struct award_place x = { left->awarded_ms, left->member->hash, left->seq };
	struct award_place y = { right->awarded_ms, right->member->hash, right->seq };
	return award_place_order(&x, &y);
}

/* The first entry that is later than the place: the walk begins before it. */
static size_t award_begin(const struct tenant *tenant, const struct award_place *after)
{
	size_t low = 0, high = tenant->award_count;
	while (after->awarded_ms && low < high) {
		size_t middle = low + (high - low) / 2;
		if (tenant->awards[middle].awarded_ms > after->awarded_ms)
			high = middle;
		else
			low = middle + 1;
	}
	return high;
}

/* Entries of one millisecond are in no order among each other: they are taken and sorted together. */
static void ask_awards(struct state *state, struct query *query)
{
	struct tenant *tenant = state_tenant_find(state, query->tenant);
	struct buf run = { 0 };
	bool more = true;
	size_t looked = 0;
	if (!tenant)
		return;
	state_awards_sort(tenant);
	for (size_t at = award_begin(tenant, &query->after); at && more;) {
		int64_t ms = tenant->awards[at - 1].awarded_ms;
		run.len = 0;
		for (; at && tenant->awards[at - 1].awarded_ms == ms; at--) {
			looked++;
			buf_bytes(&run, &tenant->awards[at - 1], sizeof *tenant->awards);
		}
		size_t count = run.len / sizeof *tenant->awards;
		struct award *list = (struct award *)(void *)run.ptr;
		qsort(list, count, sizeof *list, entry_order);
		for (size_t i = 0; more && i < count; i++) {
			const struct bonus_item *item = member_bonus(list[i].member, list[i].seq);
			more = !item || award_take(query, list[i].member, item);
		}
		if (looked > AWARDS_LOOKED_MAX) {
			query->too_broad = more;
			break;
		}
	}
	buf_free(&run);
}

/* A member's own are by seq, and so by time. */
static void ask_awards_of(const struct state *state, struct query *query)
{
	uint64_t hash = hash_name(HASH_MEMBER, query->tenant, query->profile);
	if (!state_owns(state, partition_of(hash)))
		return;
	const struct member *member = state_member_find(state, hash, query->tenant, query->profile);
	for (uint32_t i = member && member->more ? member->more->bonus_count : 0; i--;)
		if (!award_take(query, member, &member->more->bonuses[i]))
			return;
}

static void ask_award(const struct state *state, struct query *query)
{
	const struct table *table = &state->members[partition_of(query->member_hash)];
	const struct table_entry *entry = table_find(table, query->member_hash, NULL);
	for (; entry; entry = table_find(table, query->member_hash, entry)) {
		const struct member *member = (const struct member *)(uintptr_t)entry->value;
		const struct bonus_item *item = member_bonus(member, query->seq);
		if (!item || !str_eq(member->tenant->name, query->tenant))
			continue;
		query->found = true;
		award_json(&query->json, member, item);
		return;
	}
}

/* ---- all ----------------------------------------------------------------------------------------------------------------- */

void ask_run(struct state *state, struct query *query, int64_t now_ms)
{
	const struct member *member = NULL;
	if (query->kind == QUERY_REWARDS || query->kind == QUERY_LOYALTY) {
		uint64_t hash = hash_name(HASH_MEMBER, query->tenant, query->profile);
		member = state_member_find(state, hash, query->tenant, query->profile);
		query->found = member != NULL;
		if (!member)
			return;
	}
	switch (query->kind) {
	case QUERY_REWARDS: ask_rewards(member, query, now_ms); break;
	case QUERY_LOYALTY: ask_loyalty(member, query); break;
	case QUERY_AWARDS:
		if (query->profile.len)
			ask_awards_of(state, query);
		else
			ask_awards(state, query);
		break;
	case QUERY_AWARD: ask_award(state, query); break;
	default: ASSERT(!"a question that this file answers");
	}
}
