// SPDX-License-Identifier: Apache-2.0
/* test_backup.c - the manifest of a backup: what is written is read, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "snapshot/backup.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(every_byte_counts),
		cmocka_unit_test(what_contradicts_itself_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
