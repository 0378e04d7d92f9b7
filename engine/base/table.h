// SPDX-License-Identifier: Apache-2.0
/* table.h - a small hash table from 64-bit hashes to 64-bit values, 16 bytes an entry.
 *
 * There is one table for each partition, so growing copies a thousandth of the whole and never stops the shard for long.
 * Four entries are a bucket, which is one cache line.  An entry stands in one of two buckets that its hash names; where both
 * are full another one moves to its other bucket (cuckoo hashing: Pagh and Rodler, 2001).  So a search reads two lines, which
 * can be fetched ahead at the same time, and never follows a chain.  Several entries may have the same hash; the caller
 * tells them apart.  Hash 0 means empty and is not a valid key.
 *
 * Load stays between 0.60 and 0.90, and tables of different partitions grow at different moments: over all of them an entry
 * takes about 22 bytes at any time.
 *
 * Invariant: entries stand from the front of their bucket; each is in a bucket that its hash names, or in the stash behind the last bucket, where only those are for
 * which no room could be made (many with equal hashes).
 */
#ifndef ENGINE_BASE_TABLE_H
#define ENGINE_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_entry {
	uint64_t hash;                 /* 0: empty */
	uint64_t value;
};

enum { TABLE_BUCKET = 4 };

struct table {
	struct table_entry *entries;   /* owned; begins at a cache line */
	uint32_t capacity;             /* buckets */
	uint32_t slots;                /* entries there is room for: the buckets' and the stash's */
	uint32_t count;                /* entries, those in the stash included */
	uint32_t stash;                /* entries in the stash, from its front */
};

/* An entry with this hash after `previous`; NULL at the end. */
struct table_entry *table_next(const struct table *table, uint64_t hash, const struct table_entry *previous);
struct table_entry *table_insert(struct table *table, uint64_t hash, uint64_t value);
/* Room for so many entries in an empty table, before they come.  `spread` (0 to 1023) varies it, so that tables of different
 * partitions do not all grow at the same moment later. */
void table_reserve(struct table *table, uint32_t count, unsigned spread);
void table_remove(struct table *table, struct table_entry *entry);
/* Drops every entry that `keep` does not want, in place; capacity stays.  Returns how many went. */
uint32_t table_sift(struct table *table, bool (*keep)(const struct table_entry *entry, uint64_t context), uint64_t context);
void table_free(struct table *table);

static inline size_t table_bytes(const struct table *table)
{
	return table->slots * sizeof *table->entries;
}

/* First slots of the two buckets.  The partition was taken from the lowest bits; the buckets come from the others (Lemire's
 * range reduction). */
static inline uint32_t table_slot(const struct table *table, uint64_t hash, unsigned which)
{
	uint64_t bits = which ? hash * UINT64_C(0x9E3779B97F4A7C15) : hash;
	return (uint32_t)(((bits >> 32) * table->capacity) >> 32) * TABLE_BUCKET;
}

static inline struct table_entry *table_bucket_find(const struct table *table, uint32_t slot, uint64_t hash)
{
	struct table_entry *entry = &table->entries[slot];
	if (entry[0].hash == hash)
		return &entry[0];
	if (entry[1].hash == hash)
		return &entry[1];
	if (entry[2].hash == hash)
		return &entry[2];
	return entry[3].hash == hash ? &entry[3] : NULL;
}

/* The next entry with this hash after `previous` (NULL: the first); NULL at the end.  Valid until the next insert or remove. */
static inline struct table_entry *table_find(const struct table *table, uint64_t hash, const struct table_entry *previous)
{
	struct table_entry *entry;
	if (previous || table->stash)
		return table_next(table, hash, previous);
	if (!table->capacity)
		return NULL;
	entry = table_bucket_find(table, table_slot(table, hash, 0), hash);
	return entry ? entry : table_bucket_find(table, table_slot(table, hash, 1), hash);
}

/* Always inlined: compilers take a function that only prefetches for one without effect, and drop the call. */
__attribute__((always_inline)) static inline void table_prefetch(const struct table *table, uint64_t hash)
{
	if (table->capacity) {
		__builtin_prefetch(&table->entries[table_slot(table, hash, 0)], 1);
		__builtin_prefetch(&table->entries[table_slot(table, hash, 1)], 1);
	}
}

#endif
