// SPDX-License-Identifier: Apache-2.0
#include "engine/shard/state.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/event/effect.h"

void state_init(struct state *state, unsigned shard, unsigned shard_count)
{
	ASSERT(shard < shard_count && shard_count <= SHARDS_MAX);
	*state = (struct state){ .shard = shard, .shard_count = shard_count };
	ledger_init(&state->ledger, shard, shard_count, &state->ids);
}

void state_deinit(struct state *state)
{
	for (unsigned p = 0; p < PARTITION_COUNT; p++) {
		for (uint32_t i = 0; i < state->members[p].slots; i++)
			if (state->members[p].entries[i].hash)
				member_free((struct member *)(uintptr_t)state->members[p].entries[i].value);
		table_free(&state->members[p]);
	}
	ids_free(&state->ids);
	ledger_deinit(&state->ledger);
	for (unsigned b = 0; b < TENANT_BUCKETS; b++)
		while (state->tenants[b]) {
			struct tenant *tenant = state->tenants[b];
			state->tenants[b] = tenant->next;
			for (unsigned g = 0; g < GROUP_COUNT; g++)
				mem_free(tenant->slices[g]);
			for (size_t i = 0; i < tenant->tag_count; i++)
				mem_free((char *)(uintptr_t)tenant->tags[i].tag.ptr);
			mem_free(tenant->tags);
			mem_free(tenant->awards);
			mem_free((char *)(uintptr_t)tenant->name.ptr);
			mem_free(tenant);
		}
}

static uint64_t tenant_hash(struct str name)
{
	return hash_name(HASH_TENANT, (struct str){ "", 0 }, name);
}

struct tenant *state_tenant_find(const struct state *state, struct str name)
{
	uint64_t hash = tenant_hash(name);
	struct tenant *tenant = state->tenants[hash % TENANT_BUCKETS];
	while (tenant && !(tenant->hash == hash && str_eq(tenant->name, name)))
		tenant = tenant->next;
	return tenant;
}

struct tenant *state_tenant(struct state *state, struct str name)
{
	struct tenant *tenant = state_tenant_find(state, name);
	if (tenant)
		return tenant;
	tenant = mem_zalloc(sizeof *tenant);
	tenant->hash = tenant_hash(name);
	tenant->name = (struct str){ mem_dup(name.ptr, name.len), name.len };
	tenant->next = state->tenants[tenant->hash % TENANT_BUCKETS];
	state->tenants[tenant->hash % TENANT_BUCKETS] = tenant;
	return tenant;
}

struct member *state_member_find(const struct state *state, uint64_t hash, struct str tenant, struct str profile)
{
	const struct table *table = &state->members[partition_of(hash)];
	for (struct table_entry *entry = table_find(table, hash, NULL); entry; entry = table_find(table, hash, entry)) {
		struct member *member = (struct member *)(uintptr_t)entry->value;
		if (str_eq(member_profile(member), profile) && str_eq(member->tenant->name, tenant))
			return member;
	}
	return NULL;
}

uint64_t state_memory(const struct state *state)
{
	uint64_t filed = state->ids.runs ? state->ids.runs->bytes / state->shard_count : 0;
	return state->bytes + state->ids.bytes + state->ledger.bytes + filed;
}

static void counted_insert(struct state *state, struct table *table, uint64_t hash, uint64_t value)
{
	size_t before = table_bytes(table);
	table_insert(table, hash, value);
	state->bytes += table_bytes(table) - before;
}

struct account *state_points_account(const struct state *state, struct str tenant, struct str profile, uint32_t *number)
{
	if (!state->ledger.account_total)
		return NULL;
	u128 id = account_id_of_member(tenant, profile, STR("default"), STR("points"));
	return ledger_account(&state->ledger, id, account_key(id), number);
}

void state_account_link(struct state *state, struct str tenant, struct str profile)
{
	struct member *member = state_member_find(state, hash_name(HASH_MEMBER, tenant, profile), tenant, profile);
	if (member && !member->account)
		member->account = state_points_account(state, tenant, profile, &member->account_number);
}

static struct tenant_slice *slice_of(struct tenant *tenant, unsigned partition)
{
	struct tenant_slice **slice = &tenant->slices[group_of(partition)];
	if (!*slice)
		*slice = mem_zalloc(sizeof **slice);
	return *slice;
}

static struct member *member_of(struct state *state, unsigned partition, struct str tenant_name, struct str profile,
				int64_t now_ms)
{
	uint64_t hash = hash_name(HASH_MEMBER, tenant_name, profile);
	struct member *member = state_member_find(state, hash, tenant_name, profile);
	ASSERT(partition_of(hash) == partition);
	if (member)
		return member;
	struct tenant *tenant = state_tenant(state, tenant_name);
	member = member_new(tenant, hash, profile, now_ms);
	member->account = state_points_account(state, tenant_name, profile, &member->account_number);
	counted_insert(state, &state->members[partition], hash, (uint64_t)(uintptr_t)member);
	slice_of(tenant, partition)->member_count++;
	state->member_total++;
	state->bytes += sizeof *member + profile.len + 48;     /* 48: status and the allocator's part */
	return member;
}

static void tag_counted(struct tenant *tenant, struct str tag, int change)
{
	size_t low = 0, high = tenant->tag_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (str_cmp(tenant->tags[middle].tag, tag) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	bool known = low < tenant->tag_count && str_eq(tenant->tags[low].tag, tag);
	if (known) {
		ASSERT(change > 0 || tenant->tags[low].members > 0);
		tenant->tags[low].members += (uint64_t)(int64_t)change;
		if (tenant->tags[low].members)
			return;
		mem_free((char *)(uintptr_t)tenant->tags[low].tag.ptr);
		memmove(tenant->tags + low, tenant->tags + low + 1, (tenant->tag_count - low - 1) * sizeof *tenant->tags);
		tenant->tag_count--;
		return;
	}
	ASSERT(change > 0);
	tenant->tags = mem_realloc(tenant->tags, (tenant->tag_count + 1) * sizeof *tenant->tags);
	memmove(tenant->tags + low + 1, tenant->tags + low, (tenant->tag_count - low) * sizeof *tenant->tags);
	tenant->tags[low] = (struct tag_count){ { mem_dup(tag.ptr, tag.len), tag.len }, 1 };
	tenant->tag_count++;
}

static void award_note(struct tenant *tenant, struct member *member, uint32_t seq, int64_t awarded_ms)
{
	if (tenant->award_count == tenant->award_cap) {
		tenant->award_cap = tenant->award_cap ? tenant->award_cap * 2 : 16;
		tenant->awards = mem_realloc(tenant->awards, tenant->award_cap * sizeof *tenant->awards);
	}
	/* Records of several shards are replayed in the order of the log, which is not quite that of their times. */
	if (tenant->award_count && tenant->awards[tenant->award_count - 1].awarded_ms > awarded_ms)
		tenant->awards_unsorted = true;
	tenant->awards[tenant->award_count++] = (struct award){ member, awarded_ms, seq };
}

static int award_order(const void *a, const void *b)
{
	const struct award *left = a, *right = b;
	if (left->awarded_ms != right->awarded_ms)
		return left->awarded_ms < right->awarded_ms ? -1 : 1;
	if (left->member->hash != right->member->hash)
		return left->member->hash < right->member->hash ? -1 : 1;
	return (left->seq > right->seq) - (left->seq < right->seq);
}

void state_awards_sort(struct tenant *tenant)
{
	if (tenant->awards_unsorted && tenant->award_count)
		qsort(tenant->awards, tenant->award_count, sizeof *tenant->awards, award_order);
	tenant->awards_unsorted = false;
}

static void points_apply(struct state *state, const struct member *member, unsigned group, const struct effect_view *effect,
			 enum ledger_sides sides)
{
	static void (*const moves[EFFECT_TYPES])(struct ledger *ledger, struct account *account, unsigned group, uint64_t points,
						 enum ledger_sides sides) = {
		[EFFECT_EARN] = ledger_earn, [EFFECT_BURN] = ledger_burn,
		[EFFECT_EARN_REVERSED] = ledger_earn_reverse, [EFFECT_BURN_REVERSED] = ledger_burn_reverse,
	};
	unsigned type = effect->head.type;
	if (!moves[type] || !effect->head.points)
		return;
	ASSERT(member->account && effect->head.points > 0);
	moves[type](&state->ledger, member->account, group, (uint64_t)effect->head.points, sides);
	if (sides & LEDGER_MEMBER_SIDE)
		ASSERT(member_points(member) == effect->head.balance);
}

/* What is kept beside the member's account, and what is counted of it. */
static void effect_apply(struct state *state, struct member *member, const struct effect_view *effect, int64_t time_ms)
{
	size_t more_before = member_more_bytes(member);
	uint16_t tags_before = member->tag_count;
	struct str word = effect_word(effect);
	bool good = effect_on_member(member, effect, time_ms);
	ASSERT(good && "decided within the bounds");
	if (member->tag_count > tags_before) {
		tag_counted(member->tenant, word, 1);
		state->bytes += word.len + 32;
	} else if (member->tag_count < tags_before) {
		tag_counted(member->tenant, word, -1);
		state->bytes -= word.len + 32;
	}
	if (effect->head.type == EFFECT_BONUS)
		award_note(member->tenant, member, member->more->seq, time_ms);
	state->bytes += member_more_bytes(member) - more_before;
}

static struct member *event_apply(struct state *state, const struct event_view *event, uint64_t lsn, struct member *member,
				  enum ledger_sides sides)
{
	unsigned partition = event->head.head.partition;
	if (!member)
		member = member_of(state, partition, event->tenant, event->profile, event->head.time_ms);
	if (event->head.account && !member->account) {
		bool created = event->head.flags & EVENT_ACCOUNT_CREATED;
		member->account = ledger_event_account(&state->ledger, event->tenant, event->profile, event->head.account,
						       created, event->head.time_ms);
		member->account_number = event->head.account;
		ASSERT(member->account);
	}
	struct tenant_slice *slice = slice_of(member->tenant, partition);
	struct effects effects = effects_of(event);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		if (MUTATE(69, false, effects.execution.head.emitted && !(lsn >> 63)))
			continue;
		points_apply(state, member, group_of(partition), &effect, sides);
		if (sides & LEDGER_MEMBER_SIDE)
			effect_apply(state, member, &effect, event->head.time_ms);
	}
	if (sides & LEDGER_SLICE_SIDE) {
		slice->last_lsn = lsn;
		slice->event_count++;
	}
	if (!(sides & LEDGER_MEMBER_SIDE))
		return member;
	ASSERT(member_points(member) == event->head.points);
	if (event->head.account)
		member->account->last_lsn = lsn;
	member->event_count++;
	member->active_ms = event->head.time_ms;
	member->last_lsn = lsn;
	state->event_total++;
	return member;
}

static struct member *customer_apply(struct state *state, const struct customer_view *customer, uint64_t lsn,
				     struct member *member)
{
	if (!member)
		member = member_of(state, customer->head.head.partition, customer->tenant, customer->profile,
				   customer->head.time_ms);
	const unsigned char *at = customer->tags;
	for (size_t i = 0; i < member->tag_count; i++)
		tag_counted(member->tenant, member->tags[i], -1);
	member_clear_tags(member);
	for (unsigned i = 0; i < MUTATE(23, customer->head.tag_count, 0); i++) {
		struct str tag = tag_next(&at);
		if (member_add_tag(member, tag))
			tag_counted(member->tenant, tag, 1);
	}
	state->bytes += customer->attributes.len > 2 ? customer->attributes.len : 0;
	state->bytes -= member_attributes(member).len - (member->attributes ? 0 : 2);
	member_set_status(member, customer->status);
	member_set_attributes(member, customer->attributes);
	member->last_lsn = lsn;
	return member;
}

static struct member *action_apply(struct state *state, const struct action_view *action, uint64_t lsn, struct member *member)
{
	const unsigned char *at = action->effects;
	if (!member)
		member = member_of(state, action->head.head.partition, action->tenant, action->profile, action->head.time_ms);
	for (unsigned e = 0; e < action->head.effect_count; e++) {
		struct effect_view effect;
		effect_next(&at, &effect);
		effect_apply(state, member, &effect, action->head.time_ms);
	}
	member->last_lsn = lsn;
	return member;
}

/* The parts of an actor's record that did not come out of a snapshot. */
static enum ledger_sides sides_unseen(const struct seen *seen, unsigned partition, uint64_t lsn)
{
	if (!seen_perhaps(seen, lsn))
		return LEDGER_BOTH_SIDES;
	return (enum ledger_sides)((seen_by_partition(seen, partition, lsn) ? 0 : LEDGER_MEMBER_SIDE) |
				   (seen_by_slices(seen, group_of(partition), lsn) ? 0 : LEDGER_SLICE_SIDE));
}

/* An account that names a member's points: the member, if it is there, takes note. */
static void account_linked(struct state *state, const unsigned char *record, size_t len)
{
	struct account_record_view view;
	if (account_record_read(record, len, &view) && (view.head.flags & ACCOUNT_NAMED) && view.head.op == ACCOUNT_OP_CREATE &&
	    state_owns(state, view.head.head.partition))
		state_account_link(state, view.tenant, view.member);
}

static struct member *apply(struct state *state, const unsigned char *record, size_t len, uint64_t lsn, enum state_parts parts,
			    struct member *member, bool *broken)
{
	struct record_head head;
	struct event_view event;
	struct customer_view customer;
	struct action_view action;
	enum ledger_sides sides;
	*broken = true;
	if (!record_head_read(record, len, &head))
		return NULL;
	switch ((enum record_type)head.type) {
	case RECORD_EVENT:
		if (!event_view_read(record, len, &event))
			return NULL;
		*broken = false;
		if ((parts & MUTATE(24, STATE_IDS, 0)) && state_owns(state, partition_of(event.head.id_hash)))
			ids_replay(&state->ids, event.head.id_hash, lsn, seen_perhaps(state->seen, lsn));
		sides = sides_unseen(state->seen, head.partition, lsn);
		if (MUTATE(26, false, head.partition % 8 == 3))
			sides = 0;
		return (parts & STATE_ACTORS) && sides && state_owns(state, head.partition)
			       ? event_apply(state, &event, lsn, member, sides) : NULL;
	case RECORD_CUSTOMER:
		if (!customer_view_read(record, len, &customer))
			return NULL;
		*broken = false;
		sides = sides_unseen(state->seen, head.partition, lsn);
		return (parts & STATE_ACTORS) && (sides & LEDGER_MEMBER_SIDE) && state_owns(state, head.partition)
			       ? customer_apply(state, &customer, lsn, member) : NULL;
	case RECORD_ACTION:
		if (!action_view_read(record, len, &action))
			return NULL;
		*broken = false;
		sides = sides_unseen(state->seen, head.partition, lsn);
		return (parts & STATE_ACTORS) && (sides & LEDGER_MEMBER_SIDE) && state_owns(state, head.partition)
			       ? action_apply(state, &action, lsn, member) : NULL;
	case RECORD_ACCOUNT:
	case RECORD_SLICED:
	case RECORD_TRANSFER:
	case RECORD_FAILED:
		*broken = !ledger_apply(&state->ledger, record, len, lsn, parts & STATE_IDS, parts & STATE_ACTORS);
		if (head.type == RECORD_ACCOUNT && !*broken && (parts & STATE_ACTORS))
			account_linked(state, record, len);
		return NULL;
	case RECORD_CATALOG:           /* the catalog's own */
	case RECORD_FILLER: break;
	}
	*broken = false;
	return NULL;
}

struct member *state_apply(struct state *state, const unsigned char *record, size_t len, uint64_t lsn, bool live,
			   struct member *member, bool *broken)
{
	return apply(state, record, len, lsn, live ? STATE_ACTORS : STATE_ALL, member, broken);
}

void state_replay(struct state *state, const unsigned char *record, size_t len, uint64_t lsn, enum state_parts parts, bool *broken)
{
	apply(state, record, len, lsn, parts, NULL, broken);
}

void state_prefetch(const struct state *state, const unsigned char *record, const struct record_head *head, enum state_parts parts)
{
	if (head->type == RECORD_TRANSFER && head->size >= sizeof(struct transfer_record)) {
		const struct transfer_record *transfer = (const struct transfer_record *)(const void *)record;
		if (parts & STATE_IDS) {
			uint64_t hash = id_hash_of_transfer(u128_load(transfer->id));
			table_prefetch(&state->ids.tables[partition_of(hash)], hash);
		}
		if (parts & STATE_ACTORS) {
			__builtin_prefetch(ledger_account_at(&state->ledger, transfer->debit), 1);
			__builtin_prefetch(ledger_account_at(&state->ledger, transfer->credit), 1);
		}
	} else if (head->type == RECORD_EVENT && head->size >= sizeof(struct event_head)) {
		const struct event_head *event = (const struct event_head *)(const void *)record;
		if (parts & STATE_IDS)
			table_prefetch(&state->ids.tables[partition_of(event->id_hash)], event->id_hash);
	}
}

void state_seen(struct state *state, const struct seen *seen)
{
	/* An id is an event's or a transfer's, whoever owns it: over all shards the difference is the number of transfers. */
	if (!seen && state->seen)
		state->ledger.transfer_total = state->ids.total + state->ids.filed_done - state->ids.failed - state->event_total;
	state->seen = state->ledger.seen = seen;
}

struct member *state_load_member(struct state *state, struct tenant *tenant, uint64_t hash, struct str profile, int64_t created_ms)
{
	struct member *member = member_new(tenant, hash, profile, created_ms);
	unsigned partition = partition_of(hash);
	counted_insert(state, &state->members[partition], hash, (uint64_t)(uintptr_t)member);
	slice_of(tenant, partition)->member_count++;
	state->member_total++;
	return member;
}

void state_loaded(struct state *state, const struct member *member)
{
	state->bytes += sizeof *member + member->profile_len + 48 + member->attributes_len;
	state->event_total += member->event_count;
	for (size_t t = 0; t < member->tag_count; t++) {
		tag_counted(member->tenant, member->tags[t], 1);
		state->bytes += member->tags[t].len + 32;
	}
	state->bytes += member_more_bytes(member);
	for (uint32_t i = 0; member->more && i < member->more->bonus_count; i++) {
		award_note(member->tenant, (struct member *)(uintptr_t)member, member->more->bonuses[i].seq,
			   member->more->bonuses[i].awarded_ms);
		member->tenant->awards_unsorted = true;
	}
}

struct tenant_slice *state_load_slice(struct tenant *tenant, unsigned group)
{
	return slice_of(tenant, group * PARTITIONS_PER_GROUP);
}

void state_sums(const struct state *state, const struct tenant *tenant, __int128 *members, __int128 *liability,
		__int128 *redeemed)
{
	u128 sums[ACCOUNT_KINDS][4] = { 0 };
	uint64_t counts[ACCOUNT_KINDS] = { 0 };
	const struct book *book = ledger_book_find(&state->ledger, tenant->name, STR("points"));
	if (book)
		ledger_book_sums(&state->ledger, book, sums, counts);
	*members = (i128)(sums[ACCOUNT_MEMBER][1] - sums[ACCOUNT_MEMBER][0]);
	*liability = (i128)(sums[ACCOUNT_LIABILITY][1] - sums[ACCOUNT_LIABILITY][0]);
	*redeemed = (i128)(sums[ACCOUNT_REDEEMED][1] - sums[ACCOUNT_REDEEMED][0]);
}

static void more_dump(struct buf *out, const struct member *member)
{
	const struct member_more *more = member->more;
	if (!more)
		return;
	buf_printf(out, " debt %lld seq %u", (long long)more->debt, more->seq);
	for (uint32_t i = 0; i < more->reward_count; i++) {
		const struct reward_item *item = &more->rewards[i];
		buf_printf(out, " reward %u %llu state %u issued %lld expires %lld ended %lld ", item->seq,
			   (unsigned long long)item->reward, item->state, (long long)item->issued_ms,
			   (long long)item->expires_ms, (long long)item->ended_ms);
		buf_json_text(out, (struct str){ item->name, item->name_len });
	}
	for (uint32_t i = 0; i < more->bonus_count; i++) {
		buf_printf(out, " bonus %u period %u awarded %lld ", more->bonuses[i].seq, more->bonuses[i].period,
			   (long long)more->bonuses[i].awarded_ms);
		buf_json_text(out, (struct str){ more->bonuses[i].key, more->bonuses[i].key_len });
	}
	for (uint32_t i = 0; i < more->counter_count; i++)
		buf_printf(out, " counted %llu %u %u", (unsigned long long)more->counters[i].key, more->counters[i].period,
			   more->counters[i].count);
}

void state_dump(const struct state *state, struct buf *out)
{
	for (unsigned p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t i = 0; i < state->members[p].slots; i++) {
			const struct member *member = (const struct member *)(uintptr_t)state->members[p].entries[i].value;
			if (!state->members[p].entries[i].hash)
				continue;
			buf_lit(out, "member ");
			buf_json_text(out, member->tenant->name);
			buf_char(out, ' ');
			buf_json_text(out, member_profile(member));
			buf_printf(out, " points %lld status_points %lld lifetime %lld events %u created %lld active %lld status ",
				   (long long)member_points(member), (long long)member->status_points,
				   (long long)member->lifetime_points, member->event_count,
				   (long long)member->created_ms, (long long)member->active_ms);
			buf_json_text(out, member_status(member));
			for (size_t t = 0; t < member->tag_count; t++) {
				buf_lit(out, " tag ");
				buf_json_text(out, member->tags[t]);
			}
			buf_char(out, ' ');
			buf_str(out, member_attributes(member));
			more_dump(out, member);
			buf_printf(out, " lsn %llu\n", (unsigned long long)member->last_lsn);
		}
	for (unsigned b = 0; b < TENANT_BUCKETS; b++)
		for (const struct tenant *tenant = state->tenants[b]; tenant; tenant = tenant->next)
			for (unsigned g = 0; g < GROUP_COUNT; g++) {
				const struct tenant_slice *slice = tenant->slices[g];
				if (!slice)
					continue;
				buf_lit(out, "tenant ");
				buf_json_text(out, tenant->name);
				buf_printf(out, " group %u members %llu events %llu lsn %llu\n", g,
					   (unsigned long long)slice->member_count, (unsigned long long)slice->event_count,
					   (unsigned long long)slice->last_lsn);
			}
	ledger_dump(&state->ledger, out);
}
