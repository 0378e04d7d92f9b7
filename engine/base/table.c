// SPDX-License-Identifier: Apache-2.0
#include "engine/base/table.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

enum { TABLE_FILL_PERCENT = 80, TABLE_GROWTH = 8 /* by an eighth */, TABLE_FIRST = 8, TABLE_OVERFLOW_MAX = 64 };

/* The partition was taken from the low bits; the slot comes from the high ones (Lemire's range reduction). */
static uint32_t home(const struct table *table, uint64_t hash)
{
	return (uint32_t)(((unsigned __int128)hash * table->capacity) >> 64);
}

struct table_entry *table_find(const struct table *table, uint64_t hash, const struct table_entry *previous)
{
	const struct table_entry *entry, *end = table->entries + table->slots;
	ASSERT(hash);
	if (!table->capacity)
		return NULL;
	entry = previous ? previous + 1 : table->entries + home(table, hash);
	while (entry < end && entry->hash && entry->hash < hash)
		entry++;
	return entry < end && entry->hash == hash ? (struct table_entry *)(uintptr_t)entry : NULL;
}

/* Into a table of more homes, in one pass: everything keeps its order. */
static void grow(struct table *table)
{
	struct table grown = { .capacity = table->capacity + table->capacity / TABLE_GROWTH, .count = table->count };
	uint32_t at = 0;
	if (grown.capacity < TABLE_FIRST)
		grown.capacity = TABLE_FIRST;
	ASSERT(grown.capacity > table->capacity);
	uint32_t overflow = 2 + grown.capacity / 40;
	if (overflow > TABLE_OVERFLOW_MAX)
		overflow = TABLE_OVERFLOW_MAX;
	for (;; overflow += 2 + overflow / 8) {
		grown.slots = grown.capacity + overflow;
		grown.entries = mem_zalloc(grown.slots * sizeof *grown.entries);
		at = 0;
		uint32_t slot = 0;
		for (; slot < table->slots; slot++) {
			if (!table->entries[slot].hash)
				continue;
			uint32_t want = home(&grown, table->entries[slot].hash);
			at = at > want ? at : want;
			if (at >= grown.slots)
				break;
			grown.entries[at++] = table->entries[slot];
		}
		if (slot == table->slots && at < grown.slots)
			break;
		mem_free(grown.entries);       /* a crowd at the end: once more with more room behind it */
	}
	mem_free(table->entries);
	*table = grown;
}

/* More room behind the last home; nothing moves. */
static void extend(struct table *table)
{
	uint32_t more = 2 + (table->slots - table->capacity) / 4;
	table->entries = mem_realloc(table->entries, (table->slots + more) * sizeof *table->entries);
	memset(table->entries + table->slots, 0, more * sizeof *table->entries);
	table->slots += more;
}

struct table_entry *table_insert(struct table *table, uint64_t hash, uint64_t value)
{
	ASSERT(hash);
	if ((uint64_t)(table->count + 1) * 100 > (uint64_t)table->capacity * TABLE_FILL_PERCENT)
		grow(table);
	for (;;) {
		uint32_t slot = home(table, hash), end;
		while (slot < table->slots && table->entries[slot].hash && table->entries[slot].hash <= hash)
			slot++;
		for (end = slot; end < table->slots && table->entries[end].hash; end++)
			;
		if (end < table->slots) {
			memmove(table->entries + slot + 1, table->entries + slot, (end - slot) * sizeof *table->entries);
			table->entries[slot] = (struct table_entry){ hash, value };
			table->count++;
			return &table->entries[slot];
		}
		extend(table);
	}
}

void table_remove(struct table *table, struct table_entry *entry)
{
	uint32_t hole = (uint32_t)(entry - table->entries), next = hole + 1;
	ASSERT(hole < table->slots && entry->hash);
	/* Those behind move up until one stands at its home. */
	while (next < table->slots && table->entries[next].hash && home(table, table->entries[next].hash) < next)
		next++;
	memmove(entry, entry + 1, (next - hole - 1) * sizeof *entry);
	table->entries[next - 1] = (struct table_entry){ 0, 0 };
	table->count--;
}

void table_free(struct table *table)
{
	mem_free(table->entries);
	*table = (struct table){ 0 };
}

size_t table_bytes(const struct table *table)
{
	return table->slots * sizeof *table->entries;
}

void table_prefetch(const struct table *table, uint64_t hash)
{
	if (table->capacity)
		__builtin_prefetch(&table->entries[home(table, hash)]);
}
