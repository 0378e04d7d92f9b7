// SPDX-License-Identifier: Apache-2.0
/* test_backup.c - the manifest of a backup: what is written is read, and nothing else is; ids as they were at an earlier LSN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/ledger/ids.h"
#include "snapshot/backup.h"
#include "snapshot/restore_ids.h"
#include "snapshot/runs.h"
#include "snapshot/store.h"

static void file_add(struct backup *backup, const char *path, uint64_t bytes, uint64_t size)
{
	struct backup_file file = { .bytes = bytes, .size = size };
	strncpy(file.path, path, sizeof file.path - 1);
	memset(file.hash, (int)path[0], sizeof file.hash);
	backup_add(backup, &file);
}

static void example(struct backup *backup)
{
	*backup = (struct backup){ .made_ms = 1760000000123, .first = 4096, .end = 9000, .time_ms = 1760000000000, .epoch = 7 };
	file_add(backup, "seed", 17, 17);
	file_add(backup, "log/0000000000001000.log", 4096, 4096);
	file_add(backup, "log/0000000000002000.log", 808, 4096);
	file_add(backup, "snapshots/0000000000001400.data", 900, 900);
	file_add(backup, "snapshots/0000000000001400.manifest", 300, 300);
}

static void what_is_written_is_read(void **state)
{
	struct backup one, other;
	struct buf text = { 0 }, again = { 0 }, error = { 0 };
	(void)state;
	example(&one);
	backup_encode(&one, &text);
	assert_true(backup_decode(buf_view(&text), &other, &error));
	assert_int_equal(other.count, one.count);
	assert_int_equal(other.made_ms, one.made_ms);
	assert_int_equal(other.end, 9000);
	assert_int_equal(other.epoch, 7);
	assert_memory_equal(other.files, one.files, one.count * sizeof *one.files);
	backup_encode(&other, &again);
	assert_true(text.len == again.len && memcmp(text.ptr, again.ptr, text.len) == 0);
	backup_free(&one);
	backup_free(&other);
	buf_free(&text);
	buf_free(&again);
	buf_free(&error);
}

/* No byte can be another one, and none be missing. */
static void every_byte_counts(void **state)
{
	struct backup one, other;
	struct buf text = { 0 }, error = { 0 };
	(void)state;
	example(&one);
	backup_encode(&one, &text);
	for (size_t i = 0; i < text.len; i++) {
		text.ptr[i] ^= 1;
		assert_false(backup_decode(buf_view(&text), &other, &error));
		backup_free(&other);
		text.ptr[i] ^= 1;
		assert_false(backup_decode((struct str){ text.ptr, i }, &other, &error));
		backup_free(&other);
		assert_true(error.len > 0);
		error.len = 0;
	}
	backup_free(&one);
	buf_free(&text);
	buf_free(&error);
}

/* A manifest whose hash is right, out of these lines. */
static bool decoded(const char *lines, struct buf *error)
{
	struct backup backup;
	struct buf text = { 0 };
	uint8_t hash[16];
	error->len = 0;
	buf_str(&text, str_of(lines));
	snapshot_hash(hash, text.ptr, text.len);
	buf_lit(&text, "hash ");
	buf_hex(&text, hash, sizeof hash);
	buf_char(&text, '\n');
	bool good = backup_decode(buf_view(&text), &backup, error);
	backup_free(&backup);
	buf_free(&text);
	buf_char(error, '\0');
	return good;
}

#define HEAD "tally backup 1\nmade 2026-11-21T19:31:25.540Z\n"
#define LOG "log 0 100 epoch 1 2026-11-21T19:31:25.435Z\n"
#define HASH "file 00000000000000000000000000000000 "

static void what_contradicts_itself_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "tally backup 1\n", HEAD, HEAD LOG, HEAD LOG HASH "17 17 seed\n",
		HEAD LOG HASH "100 4096 log/0000000000000000.log\n",                                   /* no seed */
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000001000.log\n",               /* not from its beginning */
		HEAD LOG HASH "17 17 seed\n" HASH "99 4096 log/0000000000000000.log\n",                /* not to its end */
		HEAD LOG HASH "17 17 seed\n" HASH "100 99 log/0000000000000000.log\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\n" HASH "1 1 ../lock\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\n" HASH "1 1 /lock\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\n" HASH "1 1 a/b/c\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\n" HASH "1 1 a/.b\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\n" HASH "1 1 \n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\n\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\nfile 0 1 1 a\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\nwhat\n",
		HEAD LOG HASH "17 17 seed\n" HASH "100 99999999999999999999 log/0000000000000000.log\n",
		"tally backup 0\n" LOG,
	};
	struct buf error = { 0 };
	(void)state;
	assert_true(decoded(HEAD LOG HASH "17 17 seed\n" HASH "100 4096 log/0000000000000000.log\n", &error));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (decoded(wrong[i], &error))
			fail_msg("taken: %s", wrong[i]);
	assert_false(decoded("tally backup 2\nsomething else\n", &error));
	assert_non_null(strstr(error.ptr, "a backup of format 2, and this version reads format 1: a newer version wrote it"));
	buf_free(&error);
}

/* What changes under its name is kept by its hash, and found again. */
static void names_of_what_changes(void **state)
{
	const uint8_t hash[BACKUP_HASH] = { 0x01, 0xab };
	char name[BACKUP_PATH], path[BACKUP_PATH];
	(void)state;
	assert_true(backup_name("ids/manifest", hash, name));
	assert_string_equal(name, "ids/manifest.01ab000000000000");
	assert_true(backup_path_good(str_of(name)) && backup_unname(name, path));
	assert_string_equal(path, "ids/manifest");
	assert_false(backup_name("ids/0000000000000007.run", hash, name) || backup_unname("ids/0000000000000007.run", path) ||
		     backup_unname("ids/manifest", path));
}

/* ---- ids -------------------------------------------------------------------------------------------------------------- */

enum { IDS = 1000, ID_STEP = 8 };

/* Ids of LSNs 0, 8, 16 ... in four runs; every seventh was refused. */
static void ids_make(const char *dir)
{
	struct run_entry entries[IDS / 4];
	struct buf error = { 0 };
	struct runs_store *store = runs_open(dir, true, &error);
	assert_non_null(store);
	for (uint64_t i = 0; i < IDS; i++) {
		entries[i % (IDS / 4)] = (struct run_entry){ (i + 1) * UINT64_C(0x9E3779B97F4A7C15),
							     ID_STEP * i | (i % 7 ? 0 : ID_FAILED), i };
		if ((i + 1) % (IDS / 4) == 0 &&
		    !runs_add(store, entries, IDS / 4, ID_STEP * (i + 1), (int64_t)i, &error))
			fail_msg("%.*s", (int)error.len, error.ptr);
	}
	runs_close(store);
}

static void ids_are_those_below(const char *dir, uint64_t cut)
{
	struct buf error = { 0 };
	struct runs_store *store = runs_open(dir, false, &error);
	if (!store)
		fail_msg("%.*s", (int)error.len, error.ptr);
	const struct runs_manifest *manifest = runs_manifest(store);
	struct runs *runs = runs_hold(store);
	uint64_t seen = 0, failed = 0, sum = 0;
	assert_int_equal(manifest->below, cut < IDS * ID_STEP ? cut : IDS * ID_STEP);
	assert_true(runs_verify(runs, &error));
	for (unsigned r = 0; r < runs->count; r++) {
		struct run_cursor cursor;
		struct run_entry entry;
		run_cursor_begin(&cursor, runs->runs[r]);
		while (run_cursor_next(&cursor, &entry, &error)) {
			assert_true((entry.value & ID_LSN) < cut);
			seen++;
			failed += (entry.value & ID_FAILED) != 0;
			sum += entry.value & ID_LSN;
		}
		run_cursor_end(&cursor);
	}
	uint64_t wanted = cut / ID_STEP + (cut % ID_STEP != 0);
	wanted = wanted < IDS ? wanted : IDS;
	assert_int_equal(seen, wanted);
	assert_int_equal(sum, ID_STEP * (wanted * (wanted - (wanted > 0)) / 2));
	assert_int_equal(manifest->failed, failed);
	assert_int_equal(manifest->done, seen - failed);
	for (uint32_t m = 0; m < manifest->mark_count; m++)
		assert_true(manifest->marks[m].lsn <= cut);
	runs_release(runs);
	runs_close(store);
	buf_free(&error);
}

static void ids_of_an_earlier_moment(void **state)
{
	static const uint64_t cuts[] = { 9000, 8000, 7999, 6001, 6000, 5992, 2000, 1999, 8, 1, 0 };
	char made[] = "/tmp/tally-restore-XXXXXX", dir[64], command[100];
	struct buf error = { 0 };
	(void)state;
	assert_non_null(mkdtemp(made));
	snprintf(dir, sizeof dir, "%s/ids", made);
	assert_true(restore_ids(dir, 100, &error));            /* there are none */
	ids_make(dir);
	ids_are_those_below(dir, IDS * ID_STEP);
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		if (!restore_ids(dir, cuts[i], &error))
			fail_msg("%.*s", (int)error.len, error.ptr);
		ids_are_those_below(dir, cuts[i]);
	}
	snprintf(command, sizeof command, "rm -r %s", made);
	assert_int_equal(system(command), 0);
	buf_free(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(what_contradicts_itself_is_refused),
		cmocka_unit_test(names_of_what_changes),
		cmocka_unit_test(ids_of_an_earlier_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
