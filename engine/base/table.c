// SPDX-License-Identifier: Apache-2.0
#include "engine/base/table.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

enum { FILL_PERCENT = 90, STASH_BELOW_PERCENT = 50, FIRST = 2, STAGGER_FROM = 32, MOVES_MAX = 100, AHEAD = 12 };

static struct table_entry *stash_find(const struct table *table, uint64_t hash, uint32_t from)
{
	uint32_t begin = table->capacity * TABLE_BUCKET;
	for (uint32_t slot = from > begin ? from : begin; slot < begin + table->stash; slot++)
		if (table->entries[slot].hash == hash)
			return &table->entries[slot];
	return NULL;
}

/* In order: the first bucket, the second one, the stash. */
struct table_entry *table_next(const struct table *table, uint64_t hash, const struct table_entry *previous)
{
	ASSERT(hash);
	if (!table->capacity)
		return NULL;
	uint32_t first = table_slot(table, hash, 0), second = table_slot(table, hash, 1), slot = first;
	struct table_entry *entry;
	if (previous) {
		slot = (uint32_t)(previous - table->entries) + 1;
		if (slot > table->capacity * TABLE_BUCKET)
			return stash_find(table, hash, slot);
		uint32_t bucket = (slot - 1) / TABLE_BUCKET * TABLE_BUCKET;
		for (; slot < bucket + TABLE_BUCKET; slot++)
			if (table->entries[slot].hash == hash)
				return &table->entries[slot];
		if (bucket != first || second == first)
			return stash_find(table, hash, 0);
	} else if ((entry = table_bucket_find(table, first, hash))) {
		return entry;
	}
	entry = table_bucket_find(table, second, hash);
	return entry ? entry : stash_find(table, hash, 0);
}

/* Entries of a bucket stand from its front: so many there are. */
static inline uint32_t used(const struct table_entry *bucket)
{
	return (uint32_t)(bucket[0].hash != 0) + (bucket[1].hash != 0) + (bucket[2].hash != 0) + (bucket[3].hash != 0);
}

/* The other bucket of an entry that stands in the bucket at slot `at`. */
static inline uint32_t other_slot(const struct table *table, uint64_t hash, uint32_t at)
{
	uint32_t first = table_slot(table, hash, 0);
	return first == at ? table_slot(table, hash, 1) : first;
}

/* The bucket at slot `at` is full: one of its entries moves to its other bucket, if that has room, and *entry takes its
 * place.  The four other buckets are fetched at the same time. */
static bool move_one(struct table *table, const struct table_entry *entry, uint32_t at)
{
	uint32_t others[TABLE_BUCKET];
	for (unsigned i = 0; i < TABLE_BUCKET; i++) {
		others[i] = other_slot(table, table->entries[at + i].hash, at);
		__builtin_prefetch(&table->entries[others[i]], 1);
	}
	for (unsigned i = 0; i < TABLE_BUCKET; i++) {
		uint32_t count = used(&table->entries[others[i]]);
		if (count == TABLE_BUCKET)
			continue;
		table->entries[others[i] + count] = table->entries[at + i];
		table->entries[at + i] = *entry;
		return true;
	}
	return false;
}

/* Both buckets are full: entries move on until one finds room.  False: none did, and *entry is another one now, which has
 * no place. */
static bool make_room(struct table *table, struct table_entry *entry)
{
	uint32_t at = table_slot(table, entry->hash, 0);
	if (move_one(table, entry, at) || move_one(table, entry, table_slot(table, entry->hash, 1)))
		return true;
	for (unsigned move = 0; move < MOVES_MAX; move++) {
		struct table_entry *victim = &table->entries[at + (uint32_t)((entry->hash >> 20) + move) % TABLE_BUCKET];
		struct table_entry out = *victim;
		*victim = *entry;
		*entry = out;
		at = other_slot(table, out.hash, at);
		uint32_t count = used(&table->entries[at]);
		if (count < TABLE_BUCKET) {
			table->entries[at + count] = out;
			return true;
		}
		if (move_one(table, entry, at))
			return true;
	}
	return false;
}

/* Puts the entry into the emptier of its buckets: they fill up evenly, and room has seldom to be made. */
static inline struct table_entry *place(const struct table *table, struct table_entry entry)
{
	uint32_t first = table_slot(table, entry.hash, 0), second = table_slot(table, entry.hash, 1);
	uint32_t in_first = used(&table->entries[first]), in_second = used(&table->entries[second]);
	if (in_first + in_second == 2 * TABLE_BUCKET)
		return NULL;
	struct table_entry *at = &table->entries[in_second < in_first ? second + in_second : first + in_first];
	*at = entry;
	return at;
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
	struct table grown = { .capacity = table->capacity + table->capacity / 2, .count = table->count };
	if (grown.capacity <= table->capacity)
		grown.capacity = table->capacity ? table->capacity + 1 : FIRST;
	if (table->capacity < STAGGER_FROM && grown.capacity >= STAGGER_FROM)
		grown.capacity = STAGGER_FROM + (uint32_t)(STAGGER_FROM / 2 * (hash & 1023) / 1024);
	grown.slots = grown.capacity * TABLE_BUCKET;
	grown.entries = mem_lines(table_bytes(&grown));
	for (uint32_t slot = 0; slot < table->slots; slot++) {
		struct table_entry entry = table->entries[slot];
		if (slot + AHEAD < table->slots)
			table_prefetch(&grown, table->entries[slot + AHEAD].hash);
		if (entry.hash && !place(&grown, entry) && !make_room(&grown, &entry))
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
	if (!make_room(table, &entry)) {
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

void table_reserve(struct table *table, uint32_t count, unsigned spread)
{
	enum { LEAST_PERCENT = 58, SPREAD_PERCENT = 25 };
	uint64_t capacity = (uint64_t)count * 100 / (LEAST_PERCENT + SPREAD_PERCENT * (spread & 1023) / 1024) / TABLE_BUCKET + 1;
	if (table->capacity || capacity < STAGGER_FROM || capacity > UINT32_MAX / TABLE_BUCKET)
		return;
	table->capacity = (uint32_t)capacity;
	table->slots = table->capacity * TABLE_BUCKET;
	table->entries = mem_lines(table_bytes(table));
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

uint32_t table_sift(struct table *table, bool (*keep)(const struct table_entry *entry, uint64_t context), uint64_t context)
{
	uint32_t before = table->count, begin = table->capacity * TABLE_BUCKET, kept = begin;
	for (uint32_t bucket = 0; bucket < begin; bucket += TABLE_BUCKET) {
		uint32_t at = bucket, slot = bucket;
		for (; slot < bucket + TABLE_BUCKET && table->entries[slot].hash; slot++)
			if (keep(&table->entries[slot], context))
				table->entries[at++] = table->entries[slot];
		table->count -= slot - at;
		for (; at < slot; at++)
			table->entries[at] = (struct table_entry){ 0, 0 };
	}
	for (uint32_t slot = begin; slot < begin + table->stash; slot++)
		if (keep(&table->entries[slot], context))
			table->entries[kept++] = table->entries[slot];
	for (uint32_t slot = kept; slot < begin + table->stash; slot++)
		table->entries[slot] = (struct table_entry){ 0, 0 };
	table->count -= begin + table->stash - kept;
	table->stash = kept - begin;
	return before - table->count;
}

void table_free(struct table *table)
{
	mem_free(table->entries);
	*table = (struct table){ 0 };
}
