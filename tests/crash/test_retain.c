// SPDX-License-Identifier: Apache-2.0
/* test_retain.c - segments are footed, archived and dropped, and whatever interrupts that, nothing is lost.
 *
 * A server with small segments keeps 2 MiB of log and archives the rest, with snapshots and events all the time.  In each round it is
 * killed before, behind or in the middle of one of the calls that change files (of the log, footers, snapshots or the archive), or at
 * a random moment, or a call fails.  Then
 *
 *     tally check        finds the directory whole and the books balanced, although its log does not begin at the beginning
 *     archive and log    put together are the whole log: its state, read from the beginning, is that of the directory
 *     a server on that   knows every event that was acknowledged, once
 *
 * and the next server goes on with the directory.  Without an archive, what is dropped is said.
 *
 *     TALLY_CRASH_FULL=1   many rounds; otherwise some    TALLY_CRASH_SEED=N   to repeat that choice
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/scene.h"

#define KEEPS_LITTLE SMALL_LOG, "--snapshot-log-bytes", "1M", "--snapshot-rate", "0", "--snapshot-keep", "1", "--retain-bytes", "2M"

enum { ROUNDS_FEW = 18, ROUNDS_MANY = 400, ARRAY = 20, ARRAYS = 14, PADDING = 9000, CALLS = 250, LINE = 1200, DROP_WAIT_MS = 30000 };

/* False: the server is gone. */
static bool array_send(struct scene *scene)
{
	struct journal *journal = &scene->journal;
	uint32_t numbers[ARRAY];
	for (unsigned i = 0; i < ARRAY; i++)
		numbers[i] = journal_event(journal);
	journal->text.len = 0;
	journal_write_all(journal, &journal->text, numbers, ARRAY);
	if (!connection_send(&scene->connection, "POST", "/transactions", buf_view(&journal->text)))
		return false;
	int status = connection_take(&scene->connection, PROCESS_WAIT_MS, &journal->answer);
	if (status < 0)
		return false;
	assert_int_equal(status, 200);
	yyjson_doc *doc = journal_read(&journal->answer);
	for (unsigned i = 0; i < ARRAY; i++)
		journal_answered(journal, numbers[i], yyjson_arr_get(yyjson_doc_get_root(doc), i), false);
	yyjson_doc_free(doc);
	return true;
}

static void retain_begin(struct scene *scene, bool archive)
{
	static const char *with[] = { KEEPS_LITTLE, "--archive", NULL, NULL };
	static const char *const without[] = { KEEPS_LITTLE, NULL };
	with[sizeof with / sizeof *with - 2] = scene->archive;
	scene_begin(scene, "calls", archive ? with : without);
	scene->journal.padding = PADDING;
}

__attribute__((format(printf, 1, 2)))
static void shell(const char *format, ...)
{
	char line[LINE];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	assert_int_equal(system(line), 0);
}

/* Archive and log put together, as one data directory. */
static void joined_compare(struct scene *scene, bool serving)
{
	struct process joined = { .pid = 0 };
	struct connection connection;
	struct buf ours = { 0 }, whole = { 0 };
	char data[FOLDER_PATH + 8], other[FOLDER_PATH + 8];
	folder_make(joined.folder);
	snprintf(data, sizeof data, "%s/data", scene->process.folder);
	snprintf(other, sizeof other, "%s/data", joined.folder);
	shell("mkdir -p -m 700 %s/log && cp %s/seed %s/ && { cp %s/log/*.log %s/log/ 2>/dev/null; cp %s/log/*.log %s/log/; }", other, data, other,
	      scene->archive, other, data, other);
	dump_read(data, false, &ours);
	dump_read(other, true, &whole);
	if (ours.len != whole.len || memcmp(ours.ptr, whole.ptr, ours.len) != 0)
		fail_msg("archive and log together have another state than the directory");
	if (serving) {
		assert_true(process_start(&joined, 2, NULL));
		assert_true(connection_open(&connection, joined.port));
		for (unsigned m = 0; m < MEMBERS; m++)
			journal_compare(&scene->journal, &connection, m);
		connection_close(&connection);
		process_kill(&joined);
	}
	buf_free(&ours);
	buf_free(&whole);
	folder_remove(joined.folder);
}

static uint64_t log_first(const struct scene *scene)
{
	char line[LINE], name[32] = "";
	snprintf(line, sizeof line, "ls %s/data/log | grep 'log$' | head -1", scene->process.folder);
	FILE *pipe = popen(line, "r");
	assert_non_null(pipe);
	assert_non_null(fgets(name, sizeof name, pipe));
	pclose(pipe);
	return strtoull(name, NULL, 16);
}

/* What the server answers, from footers; `text` ends with a line feed and a 0, as the command's does. */
static uint64_t liability_ask(struct scene *scene, uint64_t lsn, struct buf *text)
{
	char path[120];
	snprintf(path, sizeof path, lsn ? "/v1/tenants/" BRAND "/liability?at=%llu" : "/v1/tenants/" BRAND "/liability", (unsigned long long)lsn);
	uint64_t until = clock_us() + DROP_WAIT_MS * 1000u;
	int status;
	text->len = 0;
	/* Footers are made behind the log. */
	while ((status = connection_ask(&scene->connection, "GET", path, STR(""), text)) == 503 && clock_us() < until)
		usleep(20000);
	assert_int_equal(status, 200);
	yyjson_doc *doc = journal_read(text);
	int64_t found = 0;
	assert_true(json_int(json_get(yyjson_doc_get_root(doc), STR("lsn")), &found));
	yyjson_doc_free(doc);
	buf_char(text, '\n');
	buf_char(text, '\0');
	return (uint64_t)found;
}

/* And what a replay from a snapshot finds, with the same proof that it sums. */
static void liability_compare(const struct scene *scene, uint64_t lsn, const struct buf *wanted)
{
	char data[FOLDER_PATH + 8], number[24];
	struct buf text = { 0 };
	const char *words[] = { "liability", data, "--tenant", BRAND, "--at", number, NULL };
	snprintf(data, sizeof data, "%s/data", scene->process.folder);
	snprintf(number, sizeof number, "%llu", (unsigned long long)lsn);
	assert_int_equal(program_run(words, &text), 0);
	buf_char(&text, '\0');
	assert_string_equal(text.ptr, wanted->ptr);
	assert_non_null(strstr(text.ptr, "\"holds\":true"));
	buf_free(&text);
}

static void archived_and_dropped(void **unused)
{
	static const enum inject_how hows[] = { INJECT_KILL_BEFORE, INJECT_KILL_AFTER, INJECT_KILL_HEAD, INJECT_EIO };
	struct scene scene;
	unsigned killed = 0, random = 0, went_on = 0, turn = 0, number;
	(void)unused;
	if (share_out(__func__))
		return;
	retain_begin(&scene, true);
	for (unsigned i = 0; i < ARRAYS; i++)
		assert_true(array_send(&scene));
	for (unsigned step = share_step(ROUNDS_MANY, ROUNDS_FEW); share_next(&turn, step, ROUNDS_MANY, &number);) {
		bool at_random = random_next(&scene.seed) % 4 == 0;
		enum inject_how how = hows[random_next(&scene.seed) % (sizeof hows / sizeof *hows)];
		atomic_store(&scene.page->calls, 0);
		atomic_store(&scene.page->how, (uint32_t)how);
		atomic_store(&scene.page->at, at_random ? 0 : 1 + random_next(&scene.seed) % CALLS);
		/* Names and syncs half of the time: most calls are writes. */
		atomic_store(&scene.page->kinds, random_next(&scene.seed) % 2 ? INJECT_CHANGES : INJECT_NAME | INJECT_SYNC | INJECT_CREATE);
		uint64_t until = clock_us() + (at_random ? random_next(&scene.seed) % 2000000 : 2500000);
		bool there = true;
		for (unsigned i = 0; there && clock_us() < until && i < 3 * ARRAYS; i++) {
			there = array_send(&scene);
			if (there && random_next(&scene.seed) % 4 == 0)
				usleep(150000);        /* the tail works while nothing else does, too */
		}
		atomic_store(&scene.page->kinds, 0);
		atomic_store(&scene.page->at, 0);
		connection_close(&scene.connection);
		if (there) {
			*(at_random ? &random : &went_on) += 1;
			process_kill(&scene.process);
		} else {
			int ended = process_wait(&scene.process);
			if (ended != -SIGKILL && ended != 74)
				fail_msg("%u: ended with %d", (unsigned)how, ended);
			killed++;
		}
		books_check(&scene.process);
		joined_compare(&scene, turn % 3 == 0);
		scene_serve(&scene);
	}
	/* At rest everything that may go goes. */
	for (uint64_t until = clock_us() + DROP_WAIT_MS * 1000u; log_first(&scene) < 3 << 20; usleep(100000)) {
		assert_true(clock_us() < until);
		assert_true(array_send(&scene));
	}
	struct buf now = { 0 }, then = { 0 };
	uint64_t end = liability_ask(&scene, 0, &now), past = end - (1 << 20);
	liability_ask(&scene, past, &then);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	books_check(&scene.process);
	liability_compare(&scene, end, &now);
	liability_compare(&scene, past, &then);
	buf_free(&now);
	buf_free(&then);
	joined_compare(&scene, true);
	/* The archive by itself is whole, and read by the same tools. */
	const char *check[] = { "check", scene.archive, NULL }, *log[] = { "log", scene.archive, NULL };
	struct buf text = { 0 };
	if (program_run(check, &text) != 0)
		fail_msg("tally check of the archive: %.*s", (int)text.len, text.ptr);
	text.len = 0;
	program_run(log, &text);
	buf_char(&text, '\0');
	assert_non_null(strstr(text.ptr, "\"event_id\":\"e0\""));
	print_message("# killed or ended at a call %u, at a random moment %u, went on %u; the log begins at %llu\n", killed, random, went_on,
		      (unsigned long long)log_first(&scene));
	buf_free(&text);
	scene_end(&scene);
}

/* What an archive cannot take is kept. */
static void kept_where_the_archive_is_full(void **unused)
{
	struct scene scene;
	struct buf said = { 0 };
	(void)unused;
	retain_begin(&scene, true);
	shell("rm -r %s/log && touch %s/log", scene.archive, scene.archive);
	for (uint64_t until = clock_us() + DROP_WAIT_MS * 1000u;; usleep(20000)) {
		assert_true(array_send(&scene));
		said.len = 0;
		process_said(&scene.process, &said);
		if (strstr(said.ptr, "cannot be archived, and is kept"))
			break;
		assert_true(clock_us() < until);
	}
	assert_int_equal(log_first(&scene), 0);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	books_check(&scene.process);
	buf_free(&said);
	scene_end(&scene);
}

/* Without an archive, and with every snapshot broken, there is nothing to begin with: that is said, and nothing is made up. */
static void without_any_snapshot_there_is_no_start(void **unused)
{
	struct scene scene;
	struct buf text = { 0 };
	char data[FOLDER_PATH + 8];
	(void)unused;
	retain_begin(&scene, false);
	for (unsigned i = 0; i < ARRAYS; i++)
		assert_true(array_send(&scene));
	/* 409: one is being written because of the log's growth. */
	for (uint64_t until = clock_us() + DROP_WAIT_MS * 1000u;
	     connection_ask(&scene.connection, "POST", "/v1/snapshots", STR("{}"), &scene.journal.answer) == 409; usleep(20000))
		assert_true(clock_us() < until);
	shell("mkdir %s/early && cp %s/data/snapshots/* %s/early/", scene.process.folder, scene.process.folder, scene.process.folder);
	for (uint64_t until = clock_us() + DROP_WAIT_MS * 1000u; log_first(&scene) < 8 << 20; usleep(20000)) {
		assert_true(clock_us() < until);
		assert_true(array_send(&scene));
	}
	connection_close(&scene.connection);
	process_kill(&scene.process);
	books_check(&scene.process);
	snprintf(data, sizeof data, "%s/data", scene.process.folder);
	const char *log_only[] = { "dump", data, "--log-only", NULL }, *check[] = { "check", data, NULL };
	assert_int_equal(program_run(log_only, &text), 2);
	shell("rm %s/snapshots/*", data);
	assert_false(process_start(&scene.process, 1, scene.options));
	assert_int_equal(process_status(&scene.process), 2);
	text.len = 0;
	process_said(&scene.process, &text);
	assert_non_null(strstr(text.ptr, "the log begins at LSN"));
	text.len = 0;
	assert_int_equal(program_run(check, &text), 1);
	buf_char(&text, '\0');
	assert_non_null(strstr(text.ptr, "no snapshot is whole that reaches back"));
	/* Nor is one of any use whose log behind it was dropped. */
	shell("cp %s/early/* %s/snapshots/", scene.process.folder, data);
	assert_false(process_start(&scene.process, 1, scene.options));
	assert_int_equal(process_status(&scene.process), 2);
	text.len = 0;
	assert_int_equal(program_run(check, &text), 1);
	buf_char(&text, '\0');
	assert_non_null(strstr(text.ptr, "no snapshot is whole that reaches back"));
	const char *dump_it[] = { "dump", data, NULL };
	assert_int_equal(program_run(dump_it, &text), 2);
	buf_free(&text);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(archived_and_dropped),
		cmocka_unit_test(kept_where_the_archive_is_full),
		cmocka_unit_test(without_any_snapshot_there_is_no_start),
	};
	return CRASH_MAIN(tests);
}
