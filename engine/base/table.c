// SPDX-License-Identifier: Apache-2.0
#include "engine/base/table.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

enum { FILL_PERCENT = 90, STASH_BELOW_PERCENT = 50, FIRST = 2, STAGGER_FROM = 32, MOVES_MAX = 100, AHEAD = 12 };

/* Slots [from, from + TABLE_BUCKET) that hold this hash, a bit each. */
static inline unsigned hits(const struct table *table, uint32_t from, uint64_t hash)
{
	const struct table_entry *entry = &table->entries[from];
	return (unsigned)(entry[0].hash == hash) | (unsigned)(entry[1].hash == hash) << 1 |
	       (unsigned)(entry[2].hash == hash) << 2 | (unsigned)(entry[3].hash == hash) << 3;
}

static inline struct table_entry *entry_at(const struct table *table, uint32_t slot)
{
	return &table->entries[slot];
}

static struct table_entry *stash_find(const struct table *table, uint64_t hash, uint32_t from)
{
	uint32_t begin = table->capacity * TABLE_BUCKET;
	for (uint32_t slot = from > begin ? from : begin; slot < begin + table->stash; slot++)
		if (table->entries[slot].hash == hash)
			return entry_at(table, slot);
	return NULL;
}

/* Behind `previous`: the rest of its bucket, then the other bucket, then the stash. */
static struct table_entry *find_next(const struct table *table, uint64_t hash, const struct table_entry *previous)
{
	uint32_t slot = (uint32_t)(previous - table->entries), first = table_slot(table, hash, 0),
		 second = table_slot(table, hash, 1);
	if (slot >= table->capacity * TABLE_BUCKET)
		return stash_find(table, hash, slot + 1);
	uint32_t bucket = slot / TABLE_BUCKET * TABLE_BUCKET;
	unsigned hit = hits(table, bucket, hash) & ~1u << slot % TABLE_BUCKET;
	if (!hit && bucket == first && second != first) {
		bucket = second;
		hit = hits(table, bucket, hash);
	}
	return hit ? entry_at(table, bucket + (uint32_t)__builtin_ctz(hit)) : stash_find(table, hash, 0);
}

struct table_entry *table_find(const struct table *table, uint64_t hash, const struct table_entry *previous)
{
	ASSERT(hash);
	if (previous)
		return find_next(table, hash, previous);
	if (!table->capacity)
		return NULL;
	uint32_t first = table_slot(table, hash, 0), second = table_slot(table, hash, 1);
	unsigned hit = hits(table, first, hash);
	if (hit)
		return entry_at(table, first + (uint32_t)__builtin_ctz(hit));
	hit = hits(table, second, hash);
	if (hit)
		return entry_at(table, second + (uint32_t)__builtin_ctz(hit));
	return table->stash ? stash_find(table, hash, 0) : NULL;
}

/* Entries of a bucket stand from its front: so many there are. */
static inline uint32_t used(const struct table_entry *bucket)
{
	return (uint32_t)(bucket[0].hash != 0) + (bucket[1].hash != 0) + (bucket[2].hash != 0) + (bucket[3].hash != 0);
}

/* Both buckets are full: an entry of bucket `at` makes room and moves to its other bucket, and so on.  False: no room could
 * be made, and *entry is another one now, which has no place. */
static bool make_room(struct table *table, struct table_entry *entry, uint32_t at)
{
	for (unsigned move = 0; move < MOVES_MAX; move++) {
		struct table_entry *victim = &table->entries[at + (uint32_t)((entry->hash >> 20) + move) % TABLE_BUCKET];
		struct table_entry out = *victim;
		*victim = *entry;
		*entry = out;
		uint32_t first = table_slot(table, out.hash, 0);
		at = first == at ? table_slot(table, out.hash, 1) : first;
		uint32_t count = used(&table->entries[at]);
		if (count < TABLE_BUCKET) {
			table->entries[at + count] = out;
			return true;
		}
	}
	return false;
}

/* Puts the entry into the emptier one of its buckets.  NULL: both are full. */
static inline struct table_entry *place(const struct table *table, struct table_entry entry)
{
	uint32_t first = table_slot(table, entry.hash, 0), second = table_slot(table, entry.hash, 1);
	uint32_t in_first = used(&table->entries[first]), in_second = used(&table->entries[second]);
	uint32_t slot = in_second < in_first ? second + in_second : first + in_first;
	if (in_first + in_second == 2 * TABLE_BUCKET)
		return NULL;
	table->entries[slot] = entry;
	return &table->entries[slot];
}

static void stash_put(struct table *table, struct table_entry entry)
{
	uint32_t slot = table->capacity * TABLE_BUCKET + table->stash;
	if (slot == table->slots) {
		struct table longer = *table;
		longer.slots += (table->stash / TABLE_BUCKET + 1) * TABLE_BUCKET;
		longer.entries = mem_lines(table_bytes(&longer));
		memcpy(longer.entries, table->entries, table_bytes(table));
		mem_free(table->entries);
		*table = longer;
	}
	table->entries[slot] = entry;
	table->stash++;
}

/* Into more buckets.  Tables that are no longer small take sizes of their own, so that not all of them grow at once. */
static void grow(struct table *table, uint64_t hash)
{
	struct table grown = { .capacity = table->capacity + table->capacity * 5 / 8, .count = table->count };
	if (grown.capacity <= table->capacity)
		grown.capacity = table->capacity ? table->capacity + 1 : FIRST;
	if (table->capacity < STAGGER_FROM && grown.capacity >= STAGGER_FROM)
		grown.capacity = STAGGER_FROM + (uint32_t)(STAGGER_FROM * 5 / 8 * (hash & 1023) / 1024);
	grown.slots = grown.capacity * TABLE_BUCKET;
	grown.entries = mem_lines(table_bytes(&grown));
	for (uint32_t slot = 0; slot < table->slots; slot++) {
		struct table_entry entry = table->entries[slot];
		if (slot + AHEAD < table->slots)
			table_prefetch(&grown, table->entries[slot + AHEAD].hash);
		if (entry.hash && !place(&grown, entry) && !make_room(&grown, &entry, table_slot(&grown, entry.hash, 0)))
			stash_put(&grown, entry);
	}
	mem_free(table->entries);
	*table = grown;
}

struct table_entry *table_insert(struct table *table, uint64_t hash, uint64_t value)
{
	struct table_entry entry = { hash, value }, *found;
	ASSERT(hash);
	if ((uint64_t)(table->count + 1) * 100 > (uint64_t)table->capacity * TABLE_BUCKET * FILL_PERCENT)
		grow(table, hash);
	table->count++;
	found = place(table, entry);
	if (found)
		return found;
	if (!make_room(table, &entry, table_slot(table, hash, 0))) {
		stash_put(table, entry);
		/* Bad luck is cured by growing; equal hashes are not. */
		if ((uint64_t)table->count * 100 > (uint64_t)table->capacity * TABLE_BUCKET * STASH_BELOW_PERCENT)
			grow(table, hash);
	}
	found = table_find(table, hash, NULL);
	while (found && found->value != value)
		found = table_find(table, hash, found);
	ASSERT(found);
	return found;
}

/* The bucket's last entry fills the hole. */
static void hole_fill(struct table *table, uint32_t slot)
{
	uint32_t bucket = slot / TABLE_BUCKET * TABLE_BUCKET, last = bucket + TABLE_BUCKET - 1;
	while (last > slot && !table->entries[last].hash)
		last--;
	table->entries[slot] = table->entries[last];
	table->entries[last] = (struct table_entry){ 0, 0 };
}

void table_remove(struct table *table, struct table_entry *entry)
{
	uint32_t begin = table->capacity * TABLE_BUCKET;
	ASSERT((uint32_t)(entry - table->entries) < table->slots && entry->hash);
	uint32_t slot = (uint32_t)(entry - table->entries);
	table->count--;
	if (slot >= begin) {
		*entry = table->entries[begin + --table->stash];
		table->entries[begin + table->stash] = (struct table_entry){ 0, 0 };
		return;
	}
	hole_fill(table, slot);
	/* What is in the stash moves to where there is room now. */
	for (slot = begin; slot < begin + table->stash; slot++)
		if (place(table, table->entries[slot])) {
			table->entries[slot] = table->entries[begin + --table->stash];
			table->entries[begin + table->stash] = (struct table_entry){ 0, 0 };
			return;
		}
}

void table_free(struct table *table)
{
	mem_free(table->entries);
	*table = (struct table){ 0 };
}
