// SPDX-License-Identifier: Apache-2.0
/* table.h - a small open-addressing table from 64-bit hashes to 64-bit values, 16 bytes an entry.
 *
 * There is one table for each partition, so growing copies a thousandth of the whole and never stops the shard for long.
 * Load stays between 0.68 and 0.85: at most 23.6 bytes an entry (TABLE_FILL_PERCENT, TABLE_GROWTH).  Several entries may have
 * the same hash; the caller tells them apart.  Hash 0 means empty and is not a valid key.
 *
 * Invariant: linear probing without tombstones; every entry is reachable from its home slot without crossing an empty one.
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
	uint32_t capacity, count;
};

/* The next entry with this hash after `previous` (NULL: the first); NULL at the end.  Valid until the next insert or remove. */
struct table_entry *table_find(const struct table *table, uint64_t hash, const struct table_entry *previous);
struct table_entry *table_insert(struct table *table, uint64_t hash, uint64_t value);
void table_remove(struct table *table, struct table_entry *entry);
void table_free(struct table *table);
size_t table_bytes(const struct table *table);
void table_prefetch(const struct table *table, uint64_t hash);

#endif
