// SPDX-License-Identifier: Apache-2.0
/* test_ids.c - whatever interrupts ids on their way to disk, none is lost, and none is run twice.
 *
 * A server that keeps very few ids in memory works on one directory through all rounds.  In each, events come in and move to runs,
 * which are merged, while it is killed at a random moment, or at one of its calls, or a call fails.  Then the state with runs and
 * snapshots must be that of the log alone, byte for byte of `tally dump`; and events of any age that are sent again must be
 * known, with the outcome of the first time.
 *
 *     TALLY_CRASH_SEED=N   to repeat a run
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/scene.h"

enum { ROUNDS = 12, BATCH = 200, CALLS = 400, PATH = 700 };

static const char *const few[] = { SMALL_LOG, "--snapshot-log-bytes",
				   "0", "--snapshot-rate", "0", "--id-memory", "8K", NULL };

/* And little of the log. */
static const char *const little[] = { SMALL_LOG, "--snapshot-log-bytes",
				      "0", "--snapshot-rate", "0", "--id-memory", "8K", "--retain-bytes", "1M", NULL };

/* And what is gone is forgotten after a second. */
static const char *const brief[] = { SMALL_LOG, "--snapshot-log-bytes",
				     "0", "--snapshot-rate", "0", "--id-memory", "8K", "--retain-bytes", "1M", "--id-retention", "1", NULL };

/* New events in one array; false: the server is gone, or its log. */
static bool events_try(struct scene *scene)
{
	struct journal *journal = &scene->journal;
	uint32_t numbers[BATCH];
	for (unsigned i = 0; i < BATCH; i++)
		numbers[i] = journal_event(journal);
	journal->text.len = 0;
	journal_write_all(journal, &journal->text, numbers, BATCH);
	if (!connection_send(&scene->connection, "POST", "/transactions", buf_view(&journal->text)) ||
	    connection_take(&scene->connection, PROCESS_WAIT_MS, &journal->answer) != 200)
		return false;
	yyjson_doc *doc = journal_read(&journal->answer);
	for (unsigned i = 0; i < BATCH; i++) {
		yyjson_val *row = yyjson_arr_get(yyjson_doc_get_root(doc), i);
		/* A disk that was full for a call refuses the rest of a batch: those are not made. */
		if (!str_eq(json_text(json_get(row, STR("code"))), STR("disk_full")))
			journal_answered(journal, numbers[i], row, false);
	}
	yyjson_doc_free(doc);
	return true;
}

/* Events of any age once more: each is answered as the first time. */
static void some_again(struct scene *scene)
{
	struct journal *journal = &scene->journal;
	uint32_t numbers[RESEND_MAX];
	for (unsigned turn = 0; turn < 2; turn++) {
		unsigned count = 0;
		for (unsigned tries = 0; tries < 4 * RESEND_MAX && count < RESEND_MAX; tries++) {
			uint32_t number = (uint32_t)(random_next(&scene->seed) % journal->count);
			bool twice = !journal->events[number].transaction[0];
			for (unsigned i = 0; i < count && !twice; i++)
				twice = numbers[i] == number;
			if (!twice)
				numbers[count++] = number;
		}
		if (count)
			journal_resend(journal, &scene->connection, numbers, count, true);
	}
}

static bool run_file(const struct scene *scene, char path[PATH])
{
	char folder[FOLDER_PATH + 24];
	snprintf(folder, sizeof folder, "%s/ids", scene->data);
	DIR *dir = opendir(folder);
	bool found = false;
	for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
		found = strlen(entry->d_name) == 20 && strcmp(entry->d_name + 16, ".run") == 0;
		snprintf(path, PATH, "%s/%s", folder, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static void interrupted_while_ids_move(void **unused)
{
	static const enum inject_how hows[] = { INJECT_COUNT, INJECT_KILL_BEFORE, INJECT_KILL_AFTER, INJECT_KILL_HEAD, INJECT_KILL_MIX,
						INJECT_EIO, INJECT_ENOSPC, INJECT_EINTR, INJECT_SHORT };
	struct scene scene;
	unsigned killed = 0;
	char path[PATH];
	(void)unused;
	scene_begin(&scene, "calls", few);
	for (unsigned round = 0; round < ROUNDS; round++) {
		enum inject_how how = hows[random_next(&scene.seed) % (sizeof hows / sizeof *hows)];
		uint64_t until = clock_us() + 100000 + random_next(&scene.seed) % 900000;
		atomic_store(&scene.page->calls, 0);
		atomic_store(&scene.page->hits, 0);
		atomic_store(&scene.page->how, (uint32_t)how);
		atomic_store(&scene.page->at, 1 + random_next(&scene.seed) % CALLS);
		atomic_store(&scene.page->kinds, INJECT_CHANGES);
		bool there = true;
		while (there && clock_us() < until)
			there = events_try(&scene);
		if (there && random_next(&scene.seed) % 2 &&
		    connection_send(&scene.connection, "POST", "/v1/snapshots", STR("{}")))
			connection_take(&scene.connection, PROCESS_WAIT_MS, &scene.journal.answer);
		atomic_store(&scene.page->kinds, 0);
		atomic_store(&scene.page->at, 0);
		killed += !there;
		connection_close(&scene.connection);
		process_kill(&scene.process);
		dumps_compare(&scene);
		scene_serve(&scene);
		some_again(&scene);
		for (unsigned m = 0; m < MEMBERS; m += 7)
			journal_compare(&scene.journal, &scene.connection, m);
	}
	print_message("# %u events, killed at a call in %u of %u rounds\n", scene.journal.acknowledged, killed, ROUNDS);
	assert_true(run_file(&scene, path));
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	dumps_compare(&scene);
	books_check(&scene.process);
	scene_end(&scene);
}

/* A run with a wrong byte is found and named; without the folder its ids come out of the log again. */
static void a_broken_run_is_refused_and_made_again(void **unused)
{
	struct scene scene;
	struct buf said = { 0 };
	char path[PATH];
	unsigned char byte;
	(void)unused;
	scene_begin(&scene, "calls", few);
	for (unsigned i = 0; i < 600 && !run_file(&scene, path); i++)
		assert_true(events_try(&scene));
	assert_true(connection_send(&scene.connection, "POST", "/v1/snapshots", STR("{}")));
	assert_int_equal(connection_take(&scene.connection, PROCESS_WAIT_MS, &scene.journal.answer), 201);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	assert_true(run_file(&scene, path));
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && pread(fd, &byte, 1, 40) == 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, 40), 1);
	close(fd);
	const char *words[] = { "check", scene.data, NULL };
	assert_int_equal(program_run(words, &said), 1);
	buf_char(&said, '\0');
	assert_non_null(strstr(said.ptr, "DAMAGED: ids/"));
	assert_false(process_start(&scene.process, 1, few));
	assert_int_equal(process_status(&scene.process), 2);
	snprintf(path, sizeof path, "%s/ids", scene.data);
	folder_remove(path);
	/* Without it a dump would have too few of them. */
	const char *dump[] = { "dump", scene.data, NULL }, *log_only[] = { "dump", scene.data, "--log-only", NULL };
	said.len = 0;
	assert_int_equal(program_run(dump, &said), 1);
	buf_char(&said, '\0');
	assert_non_null(strstr(said.ptr, "the snapshot left ids below LSN"));
	assert_int_equal(program_run(log_only, &said), 0);
	scene_serve(&scene);
	said.len = 0;
	process_said(&scene.process, &said);
	assert_non_null(strstr(said.ptr, "are taken from the log again"));
	some_again(&scene);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	dumps_compare(&scene);
	books_check(&scene.process);
	buf_free(&said);
	scene_end(&scene);
}

/* An event sent again on its own: the status. */
static int again(struct scene *scene, uint32_t number)
{
	struct journal *journal = &scene->journal;
	journal->text.len = 0;
	journal_write(journal, &journal->text, number);
	assert_true(connection_send(&scene->connection, "POST", "/transactions", buf_view(&journal->text)));
	int status = connection_take(&scene->connection, PROCESS_WAIT_MS, &journal->answer);
	buf_char(&journal->answer, '\0');
	return status;
}

/* Events come until the segment with the first of them is dropped. */
static void first_goes(struct scene *scene)
{
	char first[PATH];
	uint64_t until = clock_us() + 60000000;
	snprintf(first, sizeof first, "%s/log/%016x.log", scene->data, 0);
	while (access(first, F_OK) == 0) {
		assert_true(clock_us() < until);
		for (unsigned i = 0; i < 10; i++)
			assert_true(events_try(scene));
		assert_true(connection_send(&scene->connection, "POST", "/v1/snapshots", STR("{}")));
		assert_int_equal(connection_take(&scene->connection, PROCESS_WAIT_MS, &scene->journal.answer), 201);
	}
}

static void killed_and_served(struct scene *scene)
{
	connection_close(&scene->connection);
	process_kill(&scene->process);
	scene_serve(scene);
}

/* With --id-retention an id whose log is gone is new again when it is old enough; the others are known as ever. */
static void a_forgotten_id_is_as_new(void **unused)
{
	struct scene scene;
	char transaction[33];
	uint64_t until = clock_us() + 60000000;
	(void)unused;
	scene_begin(&scene, "calls", brief);
	first_goes(&scene);
	/* It forgets when it has started, and then once a minute. */
	while (again(&scene, 0) == 410) {
		assert_true(clock_us() < until);
		killed_and_served(&scene);
	}
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(again(&scene, 0), 200);
		scene.journal.answer.len--;            /* its 0 */
		yyjson_doc *doc = journal_read(&scene.journal.answer);
		struct str id = json_text(json_get(yyjson_doc_get_root(doc), STR("id")));
		assert_int_equal(id.len, 32);
		assert_false(str_eq(id, str_of(scene.journal.events[0].transaction)));
		assert_true(turn == 0 || str_eq(id, str_of(transaction)));
		memcpy(transaction, id.ptr, 32);
		transaction[32] = 0;
		yyjson_doc_free(doc);
		assert_int_equal(again(&scene, scene.journal.count - 1), 200);
		assert_non_null(strstr(scene.journal.answer.ptr, scene.journal.events[scene.journal.count - 1].transaction));
		killed_and_served(&scene);
	}
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	books_check(&scene.process);
	scene_end(&scene);
}

/* When the log with an outcome is gone, its id is known all the same, and what it was for; also over a crash. */
static void ids_outlive_their_log(void **unused)
{
	struct scene scene;
	(void)unused;
	scene_begin(&scene, "calls", little);
	first_goes(&scene);
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(again(&scene, 0), 410);
		assert_non_null(strstr(scene.journal.answer.ptr, "outcome_pruned"));
		scene.journal.padding = 10;            /* another payload */
		assert_int_equal(again(&scene, 0), 409);
		assert_non_null(strstr(scene.journal.answer.ptr, "event_id_reused"));
		scene.journal.padding = 0;
		assert_int_equal(again(&scene, scene.journal.count - 1), 200);
		killed_and_served(&scene);
	}
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupted_while_ids_move),
		cmocka_unit_test(a_broken_run_is_refused_and_made_again),
		cmocka_unit_test(ids_outlive_their_log),
		cmocka_unit_test(a_forgotten_id_is_as_new),
	};
	return CRASH_MAIN(tests);
}
