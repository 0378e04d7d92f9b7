// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/ids.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/base/assert.h"

struct table_entry *ids_find(const struct ids *ids, uint64_t hash, uint64_t ignored_lsn)
{
	const struct table *table = &ids->tables[partition_of(hash)];
	struct table_entry *entry = table_find(table, hash, NULL);
	while (entry && ignored_lsn && (entry->value & ID_LSN) == ignored_lsn)
		entry = table_find(table, hash, entry);
	return entry;
}

void ids_insert(struct ids *ids, uint64_t hash, uint64_t value)
{
	struct table *table = &ids->tables[partition_of(hash)];
	size_t before = table_bytes(table);
	table_insert(table, hash, value);
	ids->bytes += table_bytes(table) - before;
	ids->total++;
}

bool ids_replay(struct ids *ids, uint64_t hash, uint64_t value, bool perhaps)
{
	const struct table *table = &ids->tables[partition_of(hash)];
	if ((value & ID_LSN) < ids->filed_below)
		return true;
	if (perhaps)
		for (struct table_entry *entry = table_find(table, hash, NULL); entry; entry = table_find(table, hash, entry))
			if (entry->value == value)
				return false;
	ids_insert(ids, hash, value);
	ids->failed += value & ID_FAILED ? 1 : 0;
	return true;
}

void ids_remove(struct ids *ids, uint64_t hash, uint64_t value)
{
	struct table *table = &ids->tables[partition_of(hash)];
	struct table_entry *entry = table_find(table, hash, NULL);
	while (entry && entry->value != value)
		entry = table_find(table, hash, entry);
	ASSERT(entry);
	table_remove(table, entry);
	ids->total--;
}

static bool is_newer(const struct table_entry *entry, uint64_t lsn)
{
	return entry->value == ID_IN_FLIGHT || (entry->value & ID_LSN) >= lsn;
}

void ids_drop_below(struct ids *ids, unsigned partition, uint64_t lsn)
{
	ids->total -= table_sift(&ids->tables[partition], is_newer, lsn);
}

uint64_t ids_file(struct ids *ids, uint64_t below)
{
	uint64_t before = ids->total, failed = 0;
	for (unsigned p = 0; p < PARTITION_COUNT; p++) {
		const struct table *table = &ids->tables[p];
		for (uint32_t i = 0; i < table->slots; i++)
			failed += table->entries[i].hash && !is_newer(&table->entries[i], below) && (table->entries[i].value & ID_FAILED);
		ids_drop_below(ids, p, below);
	}
	ids->failed -= failed;
	return before - ids->total - failed;
}

void ids_free(struct ids *ids)
{
	for (unsigned p = 0; p < PARTITION_COUNT; p++)
		table_free(&ids->tables[p]);
}

uint64_t id_hash_of_transfer(u128 id)
{
	uint64_t hash = XXH3_64bits_withSeed(&id, sizeof id, hash_seed_of(HASH_TRANSFER));
	return hash ? hash : 1;
}

u128 transfer_id_of_text(struct str tenant, struct str text)
{
	uint64_t seed = XXH3_64bits_withSeed(tenant.ptr, tenant.len, hash_seed_of(HASH_TRANSFER));
	XXH128_hash_t hash = XXH3_128bits_withSeed(text.ptr, text.len, seed);
	u128 id = u128_of(hash.high64, hash.low64);
	return id == 0 || id == U128_MAX ? 1 : id;
}
