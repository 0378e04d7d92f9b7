// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/filed.h"

#include <stdlib.h>

#include "engine/base/mem.h"

void id_query_add(struct id_query *query, uint64_t hash)
{
	if (query->count == query->cap) {
		query->cap = query->cap ? query->cap * 2 : 16;
		query->hashes = mem_realloc(query->hashes, query->cap * sizeof *query->hashes);
	}
	query->hashes[query->count++] = hash;
}

void id_query_put(struct id_query *query, uint64_t hash, uint64_t value)
{
	if (query->found_count == query->found_cap) {
		query->found_cap = query->found_cap ? query->found_cap * 2 : 16;
		query->found = mem_realloc(query->found, query->found_cap * sizeof *query->found);
	}
	query->found[query->found_count++] = (struct table_entry){ hash, value };
}

static int entry_order(const void *a, const void *b)
{
	const struct table_entry *one = a, *other = b;
	if (one->hash != other->hash)
		return one->hash < other->hash ? -1 : 1;
	return (one->value > other->value) - (one->value < other->value);
}

void id_query_sort(struct id_query *query)
{
	if (query->found_count)
		qsort(query->found, query->found_count, sizeof *query->found, entry_order);
}

void id_query_clear(struct id_query *query)
{
	query->generation = query->forgotten = 0;
	query->count = query->found_count = 0;
	query->failed = false;
}

void id_query_free(struct id_query *query)
{
	mem_free(query->hashes);
	mem_free(query->found);
	*query = (struct id_query){ 0 };
}

const struct table_entry *id_query_search(const struct id_query *query, uint64_t hash, const struct table_entry *previous)
{
	uint32_t low = 0, high = query->found_count;
	uintptr_t at = (uintptr_t)previous - (uintptr_t)query->found;
	if (previous && at < high * sizeof *previous) {
		low = (uint32_t)(at / sizeof *previous) + 1;
		return low < high && query->found[low].hash == hash ? &query->found[low] : NULL;
	}
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (query->found[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < query->found_count && query->found[low].hash == hash ? &query->found[low] : NULL;
}
