// SPDX-License-Identifier: Apache-2.0
/* table.h - a small open-addressing table from 64-bit hashes to 64-bit values, 16 bytes an entry.
 *
 * There is one table for each partition, so growing copies a thousandth of the whole and never stops the shard for long.
 * Load stays between 0.71 and 0.80: at most 24 bytes an entry.  Several entries may have the same hash; the caller tells
 * them apart.  Hash 0 means empty and is not a valid key.
 *
 * Invariant: linear probing in order.  Homes grow with the hash, and an entry never stands before a smaller one, so the whole
 * array is sorted: a search for what is not there ends at the first greater hash, and growing is one pass in order (ordered
 * hash tables: Amble and Knuth, 1974).  Entries do not wrap round; behind the last home there is some room more.
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

struct table {
	struct table_entry *entries;   /* owned */
	uint32_t capacity;             /* homes */
	uint32_t slots;                /* entries there is room for: capacity and the overflow behind it */
	uint32_t count;
};

/* The next entry with this hash after `previous` (NULL: the first); NULL at the end.  Valid until the next insert or remove. */
struct table_entry *table_find(const struct table *table, uint64_t hash, const struct table_entry *previous);
struct table_entry *table_insert(struct table *table, uint64_t hash, uint64_t value);
void table_remove(struct table *table, struct table_entry *entry);
void table_free(struct table *table);
size_t table_bytes(const struct table *table);
void table_prefetch(const struct table *table, uint64_t hash);

#endif
