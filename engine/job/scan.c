// SPDX-License-Identifier: Apache-2.0
#include "engine/job/scan.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/env/env.h"
#include "engine/shard/state.h"

/* Partitions without anything for the scan are passed over, but not more than these in one message. */
enum { PARTITIONS_LOOK = 256 };

static int hash_order(const void *a, const void *b)
{
	uint64_t one, other;
	memcpy(&one, a, sizeof one);
	memcpy(&other, b, sizeof other);
	return (one > other) - (one < other);
}

/* The upper end of the next range: so wide that about SCAN_LOOK members are in it, as hashes are spread evenly. */
static uint64_t range_end(const struct table *table, uint64_t from)
{
	uint64_t width = table->count <= SCAN_LOOK ? UINT64_MAX : UINT64_MAX / table->count * SCAN_LOOK;
	return width > UINT64_MAX - from ? UINT64_MAX : from + width;
}

static void found_add(struct scan *scan, const struct member *member)
{
	uint16_t lens[2] = { (uint16_t)member->tenant->name.len, member->profile_len };
	buf_bytes(&scan->found, lens, sizeof lens);
	buf_str(&scan->found, member->tenant->name);
	buf_str(&scan->found, member_profile(member));
	scan->count++;
}

static bool chosen(struct scan *scan, const struct member *member, struct rule_arena *arena)
{
	if (scan->what == SCAN_REWARDS_DUE) {
		uint32_t due = 0;
		if (!scan->tenant.len || str_eq(member->tenant->name, scan->tenant))
			due = member_rewards_due(member, scan->selection.now_ms);
		scan->due += due;
		return due > 0;
	}
	return str_eq(member->tenant->name, scan->tenant) &&
	       selector_matches(&scan->selection, member, member->tenant->view, arena);
}

/* One range of the partition.  Returns how many members were looked at, whoever's. */
static uint32_t range_scan(struct scan *scan, const struct table *table, struct rule_arena *arena)
{
	uint64_t end = range_end(table, scan->hash);
	struct buf list = { 0 };
	for (uint32_t i = 0; i < table->slots; i++) {
		const struct table_entry *entry = &table->entries[i];
		if (entry->hash < scan->hash || entry->hash > end || !entry->hash)
			continue;
		__builtin_prefetch((const void *)(uintptr_t)entry->value);
		buf_bytes(&list, entry, sizeof *entry);
	}
	uint32_t count = (uint32_t)(list.len / sizeof(struct table_entry));
	if (count)
		qsort(list.ptr, count, sizeof(struct table_entry), hash_order);
	for (uint32_t i = 0; i < count; i++) {
		struct table_entry entry;
		memcpy(&entry, list.ptr + i * sizeof entry, sizeof entry);
		const struct member *member = (const struct member *)(uintptr_t)entry.value;
		if (chosen(scan, member, arena))
			found_add(scan, member);
	}
	buf_free(&list);
	scan->hash = end + 1;                  /* 0: the partition is through */
	return count;
}

/* Whether the partition may hold members of the tenant at all. */
static bool worth(const struct scan *scan, const struct tenant *tenant, unsigned partition)
{
	if (!scan->tenant.len)
		return true;
	return tenant && tenant->slices[group_of(partition)] && tenant->slices[group_of(partition)]->member_count;
}

void scan_members(struct scan *scan, const struct state *state, struct rule_arena *arena)
{
	const struct tenant *tenant = scan->tenant.len ? state_tenant_find(state, scan->tenant) : NULL;
	uint32_t looked = 0;
	scan->count = 0;
	scan->due = 0;
	scan->found.len = 0;
	ASSERT(scan->partition < PARTITION_COUNT && state_owns(state, scan->partition));
	for (unsigned seen = 0; seen < PARTITIONS_LOOK && looked < SCAN_LOOK; seen++) {
		const struct table *table = &state->members[scan->partition];
		if (table->count && worth(scan, tenant, scan->partition))
			looked += range_scan(scan, table, arena);
		else
			scan->hash = 0;
		if (scan->hash)
			continue;
		if (++scan->partition == PARTITION_COUNT || !state_owns(state, scan->partition))
			break;
	}
}

void scan_post(struct scan *scan, const struct env *env)
{
	unsigned shard = shard_of(scan->partition, env->shards);
	ASSERT(scan->partition < PARTITION_COUNT);
	scan->message = (struct message){ .kind = MESSAGE_SCAN, .shard = shard, .owner = scan };
	env->post(env->context, shard, &scan->message);
}

struct scan_item scan_next(const struct scan *scan, size_t *at)
{
	uint16_t lens[2];
	ASSERT(*at + sizeof lens <= scan->found.len);
	memcpy(lens, scan->found.ptr + *at, sizeof lens);
	*at += sizeof lens;
	struct scan_item item = { { scan->found.ptr + *at, lens[0] }, { scan->found.ptr + *at + lens[0], lens[1] } };
	*at += (size_t)lens[0] + lens[1];
	ASSERT(*at <= scan->found.len);
	return item;
}
