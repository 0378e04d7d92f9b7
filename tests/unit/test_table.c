// SPDX-License-Identifier: Apache-2.0
/* test_table.c - the table against a list that is searched from end to end, and what an entry costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/mem.h"
#include "engine/base/table.h"

enum { ENTRY_BYTES = 24, ALONE_BYTES = 30, SMALL = 64, SMALL_SUM = 200, STEPS = 20000, MODEL = 600, TABLES = 256 };

static uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

struct model {
	struct table_entry entries[MODEL];
	size_t count;
};

static size_t model_count(const struct model *model, uint64_t hash, uint64_t value, bool any_value)
{
	size_t count = 0;
	for (size_t i = 0; i < model->count; i++)
		count += model->entries[i].hash == hash && (any_value || model->entries[i].value == value);
	return count;
}

/* Everything with this hash in the table is in the model, and as often. */
static void hash_compare(const struct table *table, const struct model *model, uint64_t hash)
{
	size_t found = 0;
	for (struct table_entry *entry = table_find(table, hash, NULL); entry; entry = table_find(table, hash, entry)) {
		assert_int_equal(entry->hash, hash);
		assert_int_equal(model_count(model, hash, entry->value, false), 1);
		found++;
	}
	assert_int_equal(found, model_count(model, hash, 0, true));
}

static void entry_take(struct table *table, struct model *model, size_t which)
{
	struct table_entry gone = model->entries[which];
	struct table_entry *entry = table_find(table, gone.hash, NULL);
	while (entry && entry->value != gone.value)
		entry = table_find(table, gone.hash, entry);
	assert_non_null(entry);
	table_remove(table, entry);
	model->entries[which] = model->entries[--model->count];
	hash_compare(table, model, gone.hash);
}

/* Hashes from few homes and few values: long runs that wrap round the end, and many equal ones. */
static uint64_t hash_some(uint64_t *seed, unsigned kind)
{
	uint64_t random = random_next(seed);
	switch (kind) {
	case 0: return random | 1;                                             /* spread */
	case 1: return UINT64_MAX - random % 300;                              /* all at the last slot, then wrapped */
	case 2: return 1 + random % 40;                                        /* all at the first slot, many equal */
	default: return (random % 7) << 61 | (1 + random % 90);                /* seven homes */
	}
}

static bool not_below(const struct table_entry *entry, uint64_t limit)
{
	return entry->value >= limit;
}

/* A part goes at once. */
static void part_take(struct table *table, struct model *model, uint64_t *seed)
{
	uint64_t limit = model->count ? model->entries[random_next(seed) % model->count].value : 0;
	size_t kept = 0, before = model->count;
	for (size_t i = 0; i < before; i++)
		if (model->entries[i].value >= limit)
			model->entries[kept++] = model->entries[i];
	model->count = kept;
	assert_int_equal(table_sift(table, not_below, limit), before - kept);
	assert_int_equal(table->count, kept);
	for (size_t i = 0; i < model->count; i++)
		hash_compare(table, model, model->entries[i].hash);
}

static void follows_the_model(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct table table = { 0 };
		struct model *model = mem_zalloc(sizeof *model);
		uint64_t seed = 7 + kind, value = 0;
		assert_null(table_find(&table, 1, NULL));
		for (unsigned step = 0; step < STEPS; step++) {
			/* The wish to grow comes and goes, so that the table is full and empty in turn. */
			unsigned grow = step / 1000 % 2 ? 35 : 65;
			bool more = random_next(&seed) % 100 < grow;
			if (more && model->count < MODEL) {
				uint64_t hash = hash_some(&seed, kind);
				struct table_entry *entry = table_insert(&table, hash, ++value);
				assert_true(entry->hash == hash && entry->value == value);
				model->entries[model->count++] = *entry;
				hash_compare(&table, model, hash);
			} else if (!more && model->count) {
				entry_take(&table, model, random_next(&seed) % model->count);
			}
			if (step % 1000 == 999)
				part_take(&table, model, &seed);
			assert_int_equal(table.count, model->count);
			hash_compare(&table, model, hash_some(&seed, kind));
			if (step % 200 == 0)
				for (size_t i = 0; i < model->count; i++)
					hash_compare(&table, model, model->entries[i].hash);
		}
		while (model->count)
			entry_take(&table, model, model->count - 1);
		for (uint32_t i = 0; i < table_bytes(&table) / sizeof *table.entries; i++)
			assert_int_equal(table.entries[i].hash, 0);
		table_free(&table);
		mem_free(model);
	}
}

/* What an entry of one table costs at the worst moment, just after growing. */
static void costs_little(void **state)
{
	(void)state;
	struct table table = { 0 };
	uint64_t seed = 1;
	for (uint32_t i = 1; i <= 300000; i++) {
		table_insert(&table, random_next(&seed) | 1, i);
		assert_true(table_bytes(&table) >= i * sizeof(struct table_entry));
		if (i > 4 * SMALL && table_bytes(&table) > (size_t)ALONE_BYTES * i)
			fail_msg("%u entries take %zu bytes", i, table_bytes(&table));
	}
	table_prefetch(&table, 1);
	table_free(&table);
	assert_int_equal(table_bytes(&table), 0);
}

/* Over the many tables that a shard has an entry costs at most 24 bytes at every moment: they do not grow in step. */
static void costs_little_in_sum(void **state)
{
	(void)state;
	struct table *tables = mem_zalloc(TABLES * sizeof *tables);
	uint64_t random = 100, count = 0, bytes = 0;
	for (uint32_t i = 1; i <= 3000; i++)
		for (unsigned t = 0; t < TABLES; t++) {
			uint64_t hash = (random_next(&random) & ~(uint64_t)1023) | (t * 1024 / TABLES);
			bytes -= table_bytes(&tables[t]);
			table_insert(&tables[t], hash ? hash : 1, i);
			bytes += table_bytes(&tables[t]);
			count++;
			if (i > SMALL_SUM && bytes > (size_t)ENTRY_BYTES * count)
				fail_msg("%u tables of %u entries take %zu bytes", TABLES, i, (size_t)bytes);
		}
	for (unsigned t = 0; t < TABLES; t++)
		table_free(&tables[t]);
	mem_free(tables);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_the_model),
		cmocka_unit_test(costs_little),
		cmocka_unit_test(costs_little_in_sum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
