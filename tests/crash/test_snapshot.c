// SPDX-License-Identifier: Apache-2.0
/* test_snapshot.c - whatever interrupts a snapshot, and whatever becomes of its files, no state is lost or different.
 *
 * A server works on one directory through all of a test's rounds.  In each of them a snapshot is begun and the server is killed:
 * before, behind or in the middle of one of the calls by which the snapshot changes files (each in turn; the manifest's rename is
 * among them), or a call fails, or it is killed at a random moment with events coming in.  Then the state from the snapshots there are and the
 * log behind them must be the state from the log alone, byte for byte of `tally dump`; a new server must know all that was
 * acknowledged; and it must be able to write a snapshot.
 *
 *     TALLY_CRASH_FULL=1   every call in every way; otherwise some    TALLY_CRASH_SEED=N   to repeat that choice
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

enum { ROUNDS = 8, CALLS = 45, EVENTS = 30, SEGMENT = 1 << 20, PATH = 600 };

/* Snapshots only when they are asked for; the one before is removed, so that its calls are among those gone through. */
static const char *const fast[] = { SMALL_LOG, "--snapshot-log-bytes",
				    "0", "--snapshot-rate", "0", "--snapshot-keep", "1", NULL };
static const char *const slow[] = { SMALL_LOG, "--snapshot-log-bytes",
				    "0", "--snapshot-rate", "512K", "--snapshot-keep", "2", NULL };

static void events_send(struct scene *scene, unsigned count)
{
	uint32_t numbers[EVENTS];
	for (unsigned i = 0; i < count; i++)
		numbers[i] = journal_event(&scene->journal);
	journal_resend(&scene->journal, &scene->connection, numbers, count, false);
}

static void scene_prepare(struct scene *scene, const char *const *options)
{
	scene_begin(scene, "calls", options);
	for (unsigned i = 0; i < 6; i++)
		events_send(scene, EVENTS);
}

/* The status of an answer to a request for a snapshot; -1: the server is gone. */
static int snapshot_ask(struct scene *scene)
{
	if (!connection_send(&scene->connection, "POST", "/v1/snapshots", STR("{}")))
		return -1;
	return connection_take(&scene->connection, PROCESS_WAIT_MS, &scene->journal.answer);
}

static void snapshot_take(struct scene *scene)
{
	int status = snapshot_ask(scene);
	if (status != 201)
		fail_msg("a snapshot is answered with %d: %.*s", status, (int)scene->journal.answer.len, scene->journal.answer.ptr);
}

static uint64_t answer_number(struct scene *scene, const char *name)
{
	yyjson_doc *doc = journal_read(&scene->journal.answer);
	int64_t value = -1;
	assert_true(json_int(json_get(yyjson_doc_get_root(doc), str_of(name)), &value));
	yyjson_doc_free(doc);
	return (uint64_t)value;
}

static void all_compare(struct scene *scene)
{
	for (unsigned m = 0; m < MEMBERS; m++)
		journal_compare(&scene->journal, &scene->connection, m);
}

static bool snapshot_files(const struct scene *scene, const char *suffix, char path[PATH])
{
	char folder[FOLDER_PATH + 24];
	snprintf(folder, sizeof folder, "%s/snapshots", scene->data);
	DIR *dir = opendir(folder);
	path[0] = '\0';
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		const char *dot = strrchr(entry->d_name, '.');
		/* The newest one has the greatest name. */
		if (dot && strcmp(dot + 1, suffix) == 0 && entry->d_name[0] != 'n') {
			char found[PATH];
			snprintf(found, sizeof found, "%s/%s", folder, entry->d_name);
			if (strcmp(found, path) > 0)
				memcpy(path, found, sizeof found);
		}
	}
	if (dir)
		closedir(dir);
	return path[0] != '\0';
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

/* How many calls a snapshot makes, as far as nothing else happens. */
static unsigned calls_of_a_snapshot(struct scene *scene)
{
	events_send(scene, 3);
	atomic_store(&scene->page->calls, 0);
	atomic_store(&scene->page->kinds, INJECT_CHANGES);
	snapshot_take(scene);
	atomic_store(&scene->page->kinds, 0);
	unsigned calls = (unsigned)atomic_load(&scene->page->calls), names = 0;
	for (unsigned i = 0; i < calls; i++)
		names += strcmp(scene->page->trace[i].name, "rename") == 0;
	assert_true(names >= 2);               /* data and manifest; the cursor of webhooks may be among them */
	return calls;
}

static void interrupted_at_each_call(void **unused)
{
	static const enum inject_how hows[] = { INJECT_KILL_BEFORE, INJECT_KILL_AFTER, INJECT_KILL_HEAD, INJECT_EIO, INJECT_ENOSPC,
						INJECT_EINTR, INJECT_SHORT };
	struct scene scene;
	unsigned killed = 0, failed = 0, done = 0, turn = 0, number;
	(void)unused;
	if (share_out(__func__))
		return;
	scene_prepare(&scene, fast);
	snapshot_take(&scene);
	unsigned calls = calls_of_a_snapshot(&scene), hows_count = sizeof hows / sizeof *hows;
	unsigned total = calls * hows_count;
	for (unsigned step = share_step(total, CALLS); share_next(&turn, step, total, &number);) {
		unsigned at = number / hows_count + 1;
		enum inject_how how = hows[number % hows_count];
		events_send(&scene, 5);
		atomic_store(&scene.page->calls, 0);
		atomic_store(&scene.page->hits, 0);
		atomic_store(&scene.page->how, (uint32_t)how);
		atomic_store(&scene.page->at, at);
		atomic_store(&scene.page->kinds, INJECT_CHANGES);
		int status = snapshot_ask(&scene);
		atomic_store(&scene.page->kinds, 0);
		atomic_store(&scene.page->at, 0);
		connection_close(&scene.connection);
		if (status == -1) {
			/* Killed; or a write of the log was hit and failed, which ends the process. */
			int ended = process_wait(&scene.process);
			if (ended != -SIGKILL && ended != 74)
				fail_msg("call %u, %u: ended with %d", at, (unsigned)how, ended);
			killed++;
		} else {
			if (status != 201 && status != 500)
				fail_msg("call %u, %u: answered %d", at, (unsigned)how, status);
			*(status == 201 ? &done : &failed) += 1;
			process_kill(&scene.process);
		}
		dumps_compare(&scene);
		scene_serve(&scene);
		all_compare(&scene);
		if (number % 5 == 0) {
			events_send(&scene, 2);
			snapshot_take(&scene);
		}
	}
	print_message("# %u calls of a snapshot: killed at %u, failed at %u, done in spite of %u\n", calls, killed, failed, done);
	assert_true(killed + failed + done > 0);
	events_send(&scene, 1);
	snapshot_take(&scene);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	dumps_compare(&scene);
	books_check(&scene.process);
	scene_end(&scene);
}

/* ---- moments ---------------------------------------------------------------------------------------------------- */

/* Killed at a random moment of a snapshot that takes its time, with events coming in on another connection. */
static void killed_under_load(void **unused)
{
	struct scene scene;
	struct connection asking = { .fd = -1 };
	unsigned whole = 0;
	(void)unused;
	scene_prepare(&scene, slow);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t until = clock_us() + random_next(&scene.seed) % 1500000;
		assert_true(connection_open(&asking, scene.process.port));
		assert_true(connection_send(&asking, "POST", "/v1/snapshots", STR("{}")));
		int status = 0;
		do {
			events_send(&scene, 1 + (unsigned)(random_next(&scene.seed) % EVENTS));
			if (!status)
				status = connection_take(&asking, 0, &scene.journal.text);
		} while (clock_us() < until);
		whole += status == 201;
		process_kill(&scene.process);
		connection_close(&asking);
		connection_close(&scene.connection);
		dumps_compare(&scene);
		scene_serve(&scene);
		all_compare(&scene);
	}
	print_message("# %u snapshots in work, %u of them came to their end\n", ROUNDS, whole);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	books_check(&scene.process);
	scene_end(&scene);
}

/* ---- damage ----------------------------------------------------------------------------------------------------- */

static void byte_flip(const char *path, off_t at)
{
	unsigned char byte = 0;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void said_contains(const struct scene *scene, const char *words, bool wanted)
{
	struct buf said = { 0 };
	process_said(&scene->process, &said);
	if (!strstr(said.ptr, words) == wanted)
		fail_msg("\"%s\" is %s in %s", words, wanted ? "not" : "found", said.ptr);
	buf_free(&said);
}

/* A broken snapshot gives way to the one before, and that to the whole log: loudly, and with the same state. */
static void a_broken_snapshot_gives_way(void **unused)
{
	struct scene scene;
	struct buf checked = { 0 };
	char path[PATH];
	(void)unused;
	scene_prepare(&scene, slow);
	snapshot_take(&scene);
	for (unsigned broken = 0; broken < 3; broken++) {
		if (broken < 2) {
			events_send(&scene, 10);
			if (broken == 0)
				snapshot_take(&scene);
		}
		connection_close(&scene.connection);
		process_kill(&scene.process);
		if (broken) {
			assert_true(snapshot_files(&scene, broken == 1 ? "data" : "manifest", path));
			byte_flip(path, broken == 1 ? 5000 : 80);
			const char *words[] = { "check", scene.data, NULL };
			checked.len = 0;
			assert_int_equal(program_run(words, &checked), 1);
			buf_char(&checked, '\0');
			assert_non_null(strstr(checked.ptr, "DAMAGED: snapshot"));
		}
		scene_serve(&scene);
		said_contains(&scene, "BROKEN SNAPSHOT", broken > 0);
		said_contains(&scene, " loaded: ", true);
		all_compare(&scene);
	}
	/* Both are broken now. */
	assert_true(snapshot_files(&scene, "manifest", path));
	connection_close(&scene.connection);
	process_kill(&scene.process);
	unlink(path);
	assert_true(snapshot_files(&scene, "manifest", path));
	byte_flip(path, 90);
	scene_serve(&scene);
	said_contains(&scene, "the log is read from its beginning", true);
	said_contains(&scene, " loaded: ", false);
	all_compare(&scene);
	buf_free(&checked);
	scene_end(&scene);
}

/* A log that ends before what a snapshot has seen was damaged, whatever its end looks like. */
static void a_log_behind_its_snapshot_is_refused(void **unused)
{
	struct scene scene;
	char path[FOLDER_PATH + 60];
	static const char zeros[512];
	(void)unused;
	scene_prepare(&scene, fast);
	snapshot_take(&scene);
	uint64_t end = answer_number(&scene, "end_lsn");
	connection_close(&scene.connection);
	process_kill(&scene.process);
	uint64_t from = end - 300, base = from / SEGMENT * SEGMENT;
	snprintf(path, sizeof path, "%s/log/%016llx.log", scene.data, (unsigned long long)base);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (uint64_t at = from; at < base + SEGMENT && at < from + 20000; at += sizeof zeros)
		assert_true(pwrite(fd, zeros, at + sizeof zeros <= base + SEGMENT ? sizeof zeros : base + SEGMENT - at, (off_t)(at - base)) > 0);
	close(fd);
	assert_false(process_start(&scene.process, 1, fast));
	assert_int_equal(process_status(&scene.process), 2);
	said_contains(&scene, "known to reach", true);
	const char *words[] = { "check", scene.data, NULL };
	struct buf checked = { 0 };
	assert_int_equal(program_run(words, &checked), 1);
	buf_char(&checked, '\0');
	assert_non_null(strstr(checked.ptr, "knows that it reached"));
	buf_free(&checked);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupted_at_each_call),
		cmocka_unit_test(killed_under_load),
		cmocka_unit_test(a_broken_snapshot_gives_way),
		cmocka_unit_test(a_log_behind_its_snapshot_is_refused),
	};
	return CRASH_MAIN(tests);
}
