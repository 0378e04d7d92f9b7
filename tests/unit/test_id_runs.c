// SPDX-License-Identifier: Apache-2.0
/* test_id_runs.c - sorted runs of ids against a list that is searched from end to end: adding, merging, forgetting, looking up;
 * what a crash leaves; every damaged byte; a disk that fails at each call; what an entry costs in memory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "engine/base/mem.h"
#include "engine/ledger/ids.h"
#include "snapshot/runs.h"
#include "wal/io.h"

enum { STEP_MAX = 700, STEPS = 120, LSNS_AN_ID = 8 };

static uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

struct place { char dir[64]; };

static struct wal_io real;

static int no_sync(int fd)
{
	(void)fd;
	return 0;                      /* no power fails here */
}

static int place_make(void **state)
{
	struct place *place = mem_zalloc(sizeof *place);
	wal_io.sync = wal_io.sync_all = no_sync;
	real = wal_io;
	char made[] = "/tmp/tally-ids-XXXXXX";
	*state = place;
	if (!mkdtemp(made))
		return -1;
	snprintf(place->dir, sizeof place->dir, "%s/ids", made);
	return 0;
}

static bool entry_remove(void *context, const char *name)
{
	int dir = *(int *)context;
	if (name[0] != '.')
		unlinkat(dir, name, 0);
	return true;
}

static void place_empty(const struct place *place)
{
	int dir = open(place->dir, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return;
	real.list(dir, entry_remove, &dir);
	close(dir);
}

static int place_remove(void **state)
{
	struct place *place = *state;
	wal_io = real;
	place_empty(place);
	rmdir(place->dir);
	*strrchr(place->dir, '/') = 0;
	rmdir(place->dir);
	mem_free(place);
	return 0;
}

static struct runs_store *opened(const struct place *place)
{
	struct buf error = { 0 };
	struct runs_store *store = runs_open(place->dir, true, &error);
	if (!store)
		fail_msg("%.*s", (int)error.len, error.ptr);
	buf_free(&error);
	return store;
}

/* ---- against a list ----------------------------------------------------------------------------------------------------- */

struct naive {
	struct run_entry *list;        /* owned */
	size_t count, cap;
	uint64_t next_lsn, forgotten;
};

static struct run_entry naive_add(struct naive *naive, uint64_t *seed)
{
	struct run_entry entry = { random_next(seed), naive->next_lsn, random_next(seed) };
	uint64_t what = random_next(seed) % 40;
	if (what == 0 && naive->count)         /* the same hash, another id */
		entry.hash = naive->list[random_next(seed) % naive->count].hash;
	if (what == 1)                         /* many alike */
		entry.hash = 77;
	if (what == 2)
		entry.hash = random_next(seed) % 2 ? 1 : UINT64_MAX;
	if (what == 3)
		entry.value |= ID_FAILED;
	entry.hash += !entry.hash;
	naive->next_lsn += LSNS_AN_ID;
	if (naive->count == naive->cap) {
		naive->cap = naive->cap ? naive->cap * 2 : 1024;
		naive->list = mem_realloc(naive->list, naive->cap * sizeof *naive->list);
	}
	return naive->list[naive->count++] = entry;
}

static size_t naive_count(const struct naive *naive, uint64_t hash)
{
	size_t count = 0;
	for (size_t i = 0; i < naive->count; i++)
		count += naive->list[i].hash == hash && (naive->list[i].value & ID_LSN) >= naive->forgotten;
	return count;
}

static void lookups_compare(struct runs_store *store, const struct naive *naive, uint64_t *seed)
{
	struct runs *runs = runs_hold(store);
	struct id_query query = { 0 };
	struct buf error = { 0 };
	enum { ASKED = 40 };
	uint64_t asked[ASKED + 1] = { 77 };
	size_t expected = 0, filtered = 0;
	for (unsigned i = 1; i <= ASKED; i++) {
		uint64_t hash = naive->count && random_next(seed) % 3 ? naive->list[random_next(seed) % naive->count].hash
								      : random_next(seed) | 1;
		asked[i] = hash;
		for (unsigned j = 0; j < i; j++)
			if (asked[j] == hash)
				asked[i] = 0;
	}
	for (unsigned i = 0; i <= ASKED; i++) {
		if (!asked[i])
			continue;
		size_t count = naive_count(naive, asked[i]);
		bool may = runs_may_have(&runs->shown, asked[i]);
		assert_true(may || !count);
		filtered += !may;
		expected += count;
		id_query_add(&query, asked[i]);
		if (random_next(seed) % 4 == 0)
			id_query_add(&query, asked[i]);        /* twice is as once */
	}
	assert_true(runs_find(runs, &query, &error));
	assert_int_equal(query.found_count, expected);
	for (unsigned i = 0; i <= ASKED; i++) {
		size_t count = 0;
		for (const struct table_entry *at = id_query_found(&query, asked[i], NULL); at; at = id_query_found(&query, asked[i], at))
			count++;
		assert_int_equal(count, asked[i] ? naive_count(naive, asked[i]) : 0);
	}
	for (unsigned i = 0; naive->count && i < 10; i++) {
		const struct run_entry *entry = &naive->list[random_next(seed) % naive->count];
		uint64_t lsn = entry->value & ID_LSN;
		struct id_kept kept;
		if (lsn < naive->forgotten)
			continue;
		assert_true(runs_kept(runs, entry->hash, lsn, &kept, &error));
		assert_true(kept.found && kept.content == entry->content && kept.failed == !!(entry->value & ID_FAILED));
		assert_true(runs_kept(runs, entry->hash, lsn + 1, &kept, &error));
		assert_false(kept.found);
	}
	assert_int_equal(error.len, 0);
	assert_true(filtered > 0 || naive->count < 100);
	id_query_free(&query);
	runs_release(runs);
}

static void test_as_a_list(void **state)
{
	const struct place *place = *state;
	uint64_t seed = 20261121;
	struct naive naive = { .next_lsn = 48 };
	struct buf error = { 0 };
	struct runs_store *store = opened(place);
	struct runs *held = runs_hold(store);
	unsigned merges = 0, most = 0;
	for (unsigned step = 0; step < STEPS; step++) {
		uint64_t count = step % 9 == 8 ? 0 : 1 + random_next(&seed) % (step % 5 ? 40 : STEP_MAX);
		struct run_entry *entries = mem_alloc((count + 1) * sizeof *entries);
		for (uint64_t i = 0; i < count; i++)
			entries[i] = naive_add(&naive, &seed);
		naive.next_lsn += LSNS_AN_ID;  /* what uses no id */
		while (runs_manifest(store)->count == RUNS_MAX || (runs_due(store) && random_next(&seed) % 2)) {
			assert_true(runs_merge(store, &error));
			merges++;
		}
		assert_true(runs_add(store, entries, count, naive.next_lsn, 1000 * step, &error));
		mem_free(entries);
		most = runs_manifest(store)->count > most ? runs_manifest(store)->count : most;
		if (step % 16 == 15) {
			/* As of the marks: what was decided 20 steps ago. */
			uint64_t lsn = runs_lsn_before(store, 1000 * ((int64_t)step - 20));
			assert_true(lsn < naive.next_lsn);
			assert_true(runs_forget(store, lsn, &error));
			naive.forgotten = lsn > naive.forgotten ? lsn : naive.forgotten;
		}
		if (step % 7 == 3) {
			runs_close(store);
			store = opened(place);
		}
		lookups_compare(store, &naive, &seed);
	}
	while (runs_due(store))
		assert_true(runs_merge(store, &error));
	struct runs *runs = runs_hold(store);
	assert_true(runs_verify(runs, &error));
	assert_int_equal(runs_manifest(store)->done + runs_manifest(store)->failed, naive.count);
	assert_true(runs->shown.entries < naive.count);        /* what is forgotten goes */
	assert_true(merges > 10 && most <= RUNS_MAX);
	/* Who holds a set keeps it, whatever became of its files. */
	assert_int_equal(held->count, 0);
	runs_release(held);
	runs_release(runs);
	runs_close(store);
	buf_free(&error);
	mem_free(naive.list);
}

static void test_nothing_there(void **state)
{
	const struct place *place = *state;
	struct buf error = { 0 };
	struct runs_store *store = runs_open(place->dir, false, &error);
	struct id_query query = { 0 };
	assert_non_null(store);
	struct runs *runs = runs_hold(store);
	id_query_add(&query, 5);
	assert_true(runs_find(runs, &query, &error));
	assert_int_equal(query.found_count, 0);
	assert_false(runs_may_have(&runs->shown, 5));
	assert_int_equal(access(place->dir, F_OK), -1);
	id_query_free(&query);
	runs_release(runs);
	runs_close(store);
}

/* ---- what it costs ------------------------------------------------------------------------------------------------------ */

static void test_memory_and_errors_of_the_filter(void **state)
{
	const struct place *place = *state;
	enum { COUNT = 100000, STRANGERS = 400000 };
	uint64_t seed = 7, wrong = 0;
	struct buf error = { 0 };
	struct runs_store *store = opened(place);
	struct run_entry *entries = mem_alloc(COUNT * sizeof *entries);
	for (uint64_t i = 0; i < COUNT; i++)
		entries[i] = (struct run_entry){ random_next(&seed) | 1, 48 + i, i };
	assert_true(runs_add(store, entries, COUNT, 48 + COUNT, 1, &error));
	struct runs *runs = runs_hold(store);
	assert_true((double)runs->shown.bytes / COUNT <= 2.5);
	for (uint64_t i = 0; i < STRANGERS; i++)
		wrong += runs_may_have(&runs->shown, random_next(&seed) & ~UINT64_C(1));
	assert_true(wrong < STRANGERS / 1000); /* 1 in 2,500 is usual */
	assert_true(wrong > 0);
	runs_release(runs);
	runs_close(store);
	mem_free(entries);
}

/* ---- damage ------------------------------------------------------------------------------------------------------------- */

/* A few runs, all in the list that is returned; the caller frees it. */
static struct naive small_make(const struct place *place, unsigned runs)
{
	uint64_t seed = 3;
	struct naive naive = { .next_lsn = 48 };
	struct buf error = { 0 };
	struct runs_store *store = opened(place);
	for (unsigned r = 0; r < runs; r++) {
		struct run_entry entries[400];
		unsigned count = r ? 100 : 400;
		for (unsigned i = 0; i < count; i++)
			entries[i] = naive_add(&naive, &seed);
		assert_true(runs_add(store, entries, count, naive.next_lsn, r, &error));
	}
	runs_close(store);
	return naive;
}

static bool whole(const struct place *place, struct buf *error)
{
	struct runs_store *store = runs_open(place->dir, false, error);
	if (!store)
		return false;
	struct runs *runs = runs_hold(store);
	bool good = runs_verify(runs, error);
	runs_release(runs);
	runs_close(store);
	return good;
}

static void test_every_byte_counts(void **state)
{
	const struct place *place = *state;
	char names[2][RUN_NAME] = { "manifest" };
	struct buf error = { 0 };
	mem_free(small_make(place, 1).list);
	assert_true(whole(place, &error));
	for (unsigned n = 0; n < 2; n++) {
		struct runs_store *store = opened(place);
		run_name(names[1], runs_manifest(store)->runs[0].serial);
		runs_close(store);
		char path[128];
		unsigned char byte;
		snprintf(path, sizeof path, "%s/%s", place->dir, names[n]);
		int fd = open(path, O_RDWR);
		off_t size = lseek(fd, 0, SEEK_END);
		assert_true(size > 64);
		for (off_t at = 0; at < size; at += n ? 37 : 1) {
			assert_int_equal(pread(fd, &byte, 1, at), 1);
			byte ^= 0x10;
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
			error.len = 0;
			assert_false(whole(place, &error));
			assert_true(error.len > 0);
			byte ^= 0x10;
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		}
		assert_int_equal(ftruncate(fd, size - 1), 0);
		error.len = 0;
		assert_false(whole(place, &error));
		assert_int_equal(ftruncate(fd, size), 0);
		close(fd);
		if (n == 0) {
			place_empty(place);
			mem_free(small_make(place, 1).list);
		}
	}
	buf_free(&error);
}

static void test_newer_version_is_refused_by_name(void **state)
{
	struct runs_manifest *manifest = mem_zalloc(sizeof *manifest);
	struct buf bytes = { 0 }, error = { 0 };
	(void)state;
	manifest->below = 5;
	runs_manifest_encode(manifest, &bytes);
	assert_true(runs_manifest_decode(bytes.ptr, bytes.len, manifest, &error));
	bytes.ptr[8] = 9;
	assert_false(runs_manifest_decode(bytes.ptr, bytes.len, manifest, &error));
	buf_char(&error, 0);
	assert_non_null(strstr(error.ptr, "version 9"));
	buf_free(&bytes);
	buf_free(&error);
	mem_free(manifest);
}

/* ---- a disk that fails -------------------------------------------------------------------------------------------------- */

static int calls_left;                 /* until one fails; -1: none does */

static bool fails(void)
{
	if (calls_left < 0 || calls_left-- > 0)
		return false;
	errno = EIO;
	return true;
}

static ssize_t bad_write(int fd, const struct iovec *iov, int count, off_t offset)
{
	return fails() ? -1 : real.write(fd, iov, count, offset);
}

static ssize_t bad_read(int fd, void *out, size_t size, off_t offset)
{
	return fails() ? -1 : real.read(fd, out, size, offset);
}

static int bad_sync(int fd)
{
	return fails() ? -1 : real.sync(fd);
}

static int bad_sync_all(int fd)
{
	return fails() ? -1 : real.sync_all(fd);
}

static char names_given[16][24];       /* of runs */
static unsigned names_count;

/* What had a name once may be in a backup, also where its name was not durable: no other run gets it. */
static int bad_rename(int dir, const char *from, const char *to)
{
	if (fails())
		return -1;
	if (strstr(to, ".run")) {
		for (unsigned i = 0; i < names_count; i++)
			assert_string_not_equal(names_given[i], to);
		assert_true(names_count < sizeof names_given / sizeof *names_given);
		snprintf(names_given[names_count++], sizeof *names_given, "%s", to);
	}
	return real.rename(dir, from, to);
}

/* Adds, merges and forgets with one call failing; the same again finds all as it was, or as it is to be, also after a restart. */
static void test_each_call_fails_once(void **state)
{
	const struct place *place = *state;
	bool more = true;
	unsigned call = 0;
	for (; more; call++) {
		uint64_t seed = 11;
		struct buf error = { 0 };
		place_empty(place);
		struct naive naive = small_make(place, 3);
		struct runs_store *store = opened(place);
		struct run_entry entries[64];
		for (unsigned i = 0; i < 64; i++)
			entries[i] = naive_add(&naive, &seed);
		wal_io.write = bad_write;
		wal_io.read = bad_read;
		wal_io.sync = bad_sync;
		wal_io.sync_all = bad_sync_all;
		wal_io.rename = bad_rename;
		names_count = 0;
		calls_left = (int)call;
		bool added = runs_add(store, entries, 64, naive.next_lsn, 9, &error);
		bool merged = runs_merge(store, &error);
		bool forgot = runs_forget(store, 400, &error);
		more = calls_left < 0 && !(added && merged && forgot);
		assert_true(more || (added && merged && forgot));
		assert_true(!more || error.len > 0);
		calls_left = -1;
		if (call % 2) {
			runs_close(store);
			store = opened(place);
			added = runs_manifest(store)->below == naive.next_lsn;
		}
		naive.forgotten = runs_manifest(store)->forgotten;
		if (!added)
			assert_true(runs_add(store, entries, 64, naive.next_lsn, 9, &error));
		while (runs_due(store))
			assert_true(runs_merge(store, &error));
		lookups_compare(store, &naive, &seed);
		error.len = 0;
		struct runs *runs = runs_hold(store);
		assert_true(runs_verify(runs, &error));
		runs_release(runs);
		runs_close(store);
		wal_io = real;
		buf_free(&error);
		mem_free(naive.list);
	}
	assert_true(call > 12);
}

static void test_a_lookup_that_fails_says_so(void **state)
{
	const struct place *place = *state;
	struct id_query query = { 0 };
	struct buf error = { 0 };
	mem_free(small_make(place, 1).list);
	struct runs_store *store = opened(place);
	struct runs *runs = runs_hold(store);
	id_query_add(&query, 77);
	wal_io.read = bad_read;
	calls_left = 0;
	assert_false(runs_find(runs, &query, &error));
	assert_true(query.failed && error.len);
	assert_true(runs_find(runs, &query, &error));
	assert_false(query.failed);
	assert_true(query.found_count > 0);
	wal_io = real;
	id_query_free(&query);
	runs_release(runs);
	runs_close(store);
	buf_free(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_as_a_list, place_make, place_remove),
		cmocka_unit_test_setup_teardown(test_nothing_there, place_make, place_remove),
		cmocka_unit_test_setup_teardown(test_memory_and_errors_of_the_filter, place_make, place_remove),
		cmocka_unit_test_setup_teardown(test_every_byte_counts, place_make, place_remove),
		cmocka_unit_test(test_newer_version_is_refused_by_name),
		cmocka_unit_test_setup_teardown(test_each_call_fails_once, place_make, place_remove),
		cmocka_unit_test_setup_teardown(test_a_lookup_that_fails_says_so, place_make, place_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
