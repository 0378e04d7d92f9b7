// SPDX-License-Identifier: Apache-2.0
#include "engine/base/table.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"

enum { TABLE_FILL_PERCENT = 85, TABLE_FIRST = 8 };

/* The partition was taken from the low bits; the slot comes from the high ones (Lemire's range reduction). */
static uint32_t home(const struct table *table, uint64_t hash)
{
	return (uint32_t)(((unsigned __int128)hash * table->capacity) >> 64);
}

static uint32_t next(const struct table *table, uint32_t slot)
{
	return slot + 1 == table->capacity ? 0 : slot + 1;
}

struct table_entry *table_find(const struct table *table, uint64_t hash, const struct table_entry *previous)
{
	uint32_t slot;
	ASSERT(hash);
	if (!table->capacity)
		return NULL;
	slot = previous ? next(table, (uint32_t)(previous - table->entries)) : home(table, hash);
	for (; table->entries[slot].hash; slot = next(table, slot))
		if (table->entries[slot].hash == hash)
			return &table->entries[slot];
	return NULL;
}

static struct table_entry *place(struct table *table, uint64_t hash, uint64_t value)
{
	uint32_t slot = home(table, hash);
	while (table->entries[slot].hash)
		slot = next(table, slot);
	table->entries[slot] = (struct table_entry){ hash, value };
	return &table->entries[slot];
}

struct table_entry *table_insert(struct table *table, uint64_t hash, uint64_t value)
{
	ASSERT(hash);
	if ((uint64_t)(table->count + 1) * 100 > (uint64_t)table->capacity * TABLE_FILL_PERCENT) {
		struct table grown = { .capacity = table->capacity ? table->capacity + table->capacity / 4 : TABLE_FIRST };
		ASSERT(grown.capacity > table->capacity);
		grown.entries = mem_zalloc(grown.capacity * sizeof *grown.entries);
		for (uint32_t slot = 0; slot < table->capacity; slot++)
			if (table->entries[slot].hash)
				place(&grown, table->entries[slot].hash, table->entries[slot].value);
		grown.count = table->count;
		mem_free(table->entries);
		*table = grown;
	}
	table->count++;
	return place(table, hash, value);
}

void table_remove(struct table *table, struct table_entry *entry)
{
	uint32_t hole = (uint32_t)(entry - table->entries);
	ASSERT(hole < table->capacity && entry->hash);
	/* Entries behind the hole move up unless that would put them before their home. */
	for (uint32_t slot = next(table, hole); table->entries[slot].hash; slot = next(table, slot)) {
		uint32_t want = home(table, table->entries[slot].hash);
		bool between = hole <= slot ? (hole < want && want <= slot) : (hole < want || want <= slot);
		if (between)
			continue;
		table->entries[hole] = table->entries[slot];
		hole = slot;
	}
	table->entries[hole] = (struct table_entry){ 0, 0 };
	table->count--;
}

void table_free(struct table *table)
{
	mem_free(table->entries);
	*table = (struct table){ 0 };
}

size_t table_bytes(const struct table *table)
{
	return table->capacity * sizeof *table->entries;
}

void table_prefetch(const struct table *table, uint64_t hash)
{
	if (table->capacity)
		__builtin_prefetch(&table->entries[home(table, hash)]);
}
