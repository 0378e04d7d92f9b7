// SPDX-License-Identifier: Apache-2.0
/* test_backup.c - whatever interrupts a backup or a restore, what was there stays whole, and the same command finishes it.
 *
 * A server works all the time.  `tally backup` fetches slowly and is killed at random moments, some of them with the server; after each the
 * backup that was there must be whole, and must restore to the state it had.  `tally restore` is killed likewise: no server starts on what it
 * left, and once more it comes to the same state, byte for byte of `tally dump`.  Then bytes of a backup are changed at random: the file is named.
 *
 *     TALLY_CRASH_FULL=1   ten times as many rounds    TALLY_CRASH_SEED=N   to repeat the choice of moments
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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/injection.h"
#include "tests/crash/journal.h"

enum { EVENTS = 40, PATH = 400 };

static const char *const options[] = { SMALL_LOG, "--snapshot-rate", "0", NULL };

struct scene {
	struct process process;
	struct journal journal;
	struct connection connection;
	struct buf said;
	unsigned shards;
	uint64_t seed;
	char data[PATH], backup[PATH], target[PATH], url[64];
};

static void serve(struct scene *scene)
{
	process_serve(&scene->process, &scene->shards, options, &scene->connection);
	snprintf(scene->url, sizeof scene->url, "http://127.0.0.1:%u", scene->process.port);
}

static void events_send(struct scene *scene, unsigned count)
{
	uint32_t numbers[EVENTS];
	while (count) {
		unsigned n = count < EVENTS ? count : EVENTS;
		for (unsigned i = 0; i < n; i++)
			numbers[i] = journal_event(&scene->journal);
		journal_resend(&scene->journal, &scene->connection, numbers, n, false);
		count -= n;
	}
}

static void scene_begin(struct scene *scene)
{
	*scene = (struct scene){ .shards = 4, .seed = share_seed() };
	folder_make(scene->process.folder);
	snprintf(scene->data, sizeof scene->data, "%s/data", scene->process.folder);
	snprintf(scene->backup, sizeof scene->backup, "%s/backup", scene->process.folder);
	snprintf(scene->target, sizeof scene->target, "%s/target", scene->process.folder);
	scene->journal.padding = 2000;
	serve(scene);
	journal_configure(&scene->journal, &scene->connection);
	events_send(scene, 10 * EVENTS);
}

static void scene_end(struct scene *scene)
{
	connection_close(&scene->connection);
	process_kill(&scene->process);
	journal_free(&scene->journal);
	buf_free(&scene->said);
	folder_remove(scene->process.folder);
}

static int run(struct scene *scene, const char *a, const char *b, const char *c, const char *d)
{
	const char *words[] = { a, b, c, d, NULL };
	scene->said.len = 0;
	int status = program_run(words, &scene->said);
	buf_char(&scene->said, '\0');
	scene->said.len--;
	return status;
}

static void must(struct scene *scene, int status, const char *a, const char *b, const char *c, const char *d)
{
	int got = run(scene, a, b, c, d);
	if (got != status)
		fail_msg("tally %s %s: %d, not %d: %s", a, b, got, status, scene->said.ptr);
}

/* The hash in the last line. */
static void hash_of(struct scene *scene, const char *folder, char hash[40])
{
	must(scene, 0, "dump", folder, NULL, NULL);
	assert_true(scene->said.len > 38);
	snprintf(hash, 40, "%.38s", scene->said.ptr + scene->said.len - 38);
	assert_memory_equal(hash, "hash ", 5);
}

/* Starts `tally WORDS` and kills it after so many microseconds, unless it ended before.  True: it was killed. */
static bool killed_within(const char *const *words, uint64_t us)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		const char *all[12] = { process_program() };
		for (size_t i = 0; words[i]; i++)
			all[i + 1] = words[i];
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (null < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		execv(all[0], (char *const *)(uintptr_t)all);
		_exit(127);
	}
	for (uint64_t until = clock_us() + us; clock_us() < until; usleep(200))
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				fail_msg("tally %s ended with %d", words[0], status);
			return false;
		}
	kill(pid, SIGKILL);
	assert_true(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status);
}

static unsigned rounds(unsigned few)
{
	return getenv("TALLY_CRASH_FULL") ? 10 * few : few;
}

static bool backup_there(const struct scene *scene)
{
	char path[PATH + 12];
	snprintf(path, sizeof path, "%s/manifest", scene->backup);
	return access(path, F_OK) == 0;
}

/* What is there is whole and has this state: looked at where it lies, and restored. */
static void backup_is(struct scene *scene, const char *wanted)
{
	char hash[40];
	must(scene, 0, "check", scene->backup, NULL, NULL);
	hash_of(scene, scene->backup, hash);
	if (wanted[0])
		assert_string_equal(hash, wanted);
	must(scene, 0, "restore", scene->backup, scene->target, NULL);
	must(scene, 0, "dump", "--diff", scene->backup, scene->target);
	folder_remove(scene->target);
}

/* Whether it is another one than at the call before. */
static bool manifest_changed(const struct scene *scene, struct buf *kept)
{
	char path[PATH + 12];
	struct buf now = { 0 };
	snprintf(path, sizeof path, "%s/manifest", scene->backup);
	file_read(path, &now);
	bool same = now.len == kept->len && (!now.len || memcmp(now.ptr, kept->ptr, now.len) == 0);
	buf_free(kept);
	*kept = now;
	return !same;
}

static void a_backup_is_killed(void **unused)
{
	struct scene scene;
	char before[40] = "", now[40];
	unsigned killed = 0, through = 0, with_server = 0;
	struct buf manifest = { 0 };
	(void)unused;
	scene_begin(&scene);
	for (unsigned round = 0; round < rounds(12); round++) {
		const char *slow[] = { "backup", scene.backup, "--from", scene.url, "--rate", "500K", NULL };
		events_send(&scene, EVENTS + (unsigned)(random_next(&scene.seed) % (8 * EVENTS)));
		uint64_t us = random_next(&scene.seed) % 1500000;
		*(killed_within(slow, us) ? &killed : &through) += 1;
		/* It may have been killed behind the manifest's rename: a new one. */
		if (manifest_changed(&scene, &manifest))
			before[0] = '\0';
		/* Now and then the server dies as well, and comes back at another address. */
		if (round % 3 == 2) {
			connection_close(&scene.connection);
			process_kill(&scene.process);
			serve(&scene);
			with_server++;
		}
		if (backup_there(&scene)) {
			backup_is(&scene, before);
			hash_of(&scene, scene.backup, before);
		} else {
			must(&scene, 2, "restore", scene.backup, scene.target, NULL);
		}
		if (round % 2) {
			must(&scene, 0, "backup", scene.backup, "--from", scene.url);
			char from[80];
			snprintf(from, sizeof from, "%s", scene.url);
			must(&scene, 0, "dump", "--diff", scene.backup, from);
			hash_of(&scene, scene.backup, before);
			manifest_changed(&scene, &manifest);
		}
	}
	must(&scene, 0, "backup", scene.backup, "--from", scene.url);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	hash_of(&scene, scene.data, now);
	backup_is(&scene, now);
	print_message("# backups: %u killed, %u came to their end before; %u times the server was killed too\n", killed, through, with_server);
	buf_free(&manifest);
	scene_end(&scene);
}

static void a_restore_is_killed(void **unused)
{
	struct scene scene;
	char wanted[40], hash[40];
	unsigned killed = 0, through = 0;
	(void)unused;
	scene_begin(&scene);
	events_send(&scene, 40 * EVENTS);
	must(&scene, 0, "backup", scene.backup, "--from", scene.url);
	connection_close(&scene.connection);
	assert_int_equal(process_stop(&scene.process), 0);
	hash_of(&scene, scene.data, wanted);
	folder_remove(scene.data);
	for (unsigned round = 0; round < rounds(12); round++) {
		const char *words[] = { "restore", scene.backup, scene.data, NULL };
		char marker[PATH + 12];
		snprintf(marker, sizeof marker, "%s/restoring", scene.data);
		if (!killed_within(words, random_next(&scene.seed) % 60000)) {
			through++;
		} else {
			killed++;
			/* Killed before it began, behind its end, or in the middle: then no server starts. */
			bool middle = access(marker, F_OK) == 0;
			if (middle && process_start(&scene.process, 1, options))
				fail_msg("a server started on what a killed restore left");
			if (middle)
				assert_int_equal(process_status(&scene.process), 2);
			int status = run(&scene, "restore", scene.backup, scene.data, NULL);
			if (status != 0 && !(status == 2 && strstr(scene.said.ptr, "is not empty")))
				fail_msg("restore once more: %d: %s", status, scene.said.ptr);
		}
		hash_of(&scene, scene.data, hash);
		assert_string_equal(hash, wanted);
		must(&scene, 0, "check", scene.data, NULL, NULL);
		if (round % 4 == 0) {
			serve(&scene);
			for (unsigned m = 0; m < MEMBERS; m++)
				journal_compare(&scene.journal, &scene.connection, m);
			connection_close(&scene.connection);
			process_kill(&scene.process);
		}
		folder_remove(scene.data);
	}
	print_message("# restores: %u killed, %u came to their end before\n", killed, through);
	scene_end(&scene);
}

/* A byte of any file, anywhere in what counts. */
static void damage_is_found(void **unused)
{
	static const char *const folders[] = { "log", "snapshots" };
	struct scene scene;
	unsigned found = 0;
	(void)unused;
	scene_begin(&scene);
	must(&scene, 0, "backup", scene.backup, "--from", scene.url);
	for (unsigned round = 0; round < rounds(12); round++) {
		char folder[PATH + 12], path[2 * PATH], name[100] = "";
		struct stat status;
		const char *in = folders[round % 2];
		snprintf(folder, sizeof folder, "%s/%s", scene.backup, in);
		DIR *dir = opendir(folder);
		unsigned seen = 0;
		for (struct dirent *entry; dir && (entry = readdir(dir));)
			if (entry->d_name[0] != '.' && random_next(&scene.seed) % ++seen == 0)
				snprintf(name, sizeof name, "%.90s", entry->d_name);
		closedir(dir);
		snprintf(path, sizeof path, "%s/%s", folder, name);
		assert_int_equal(stat(path, &status), 0);
		/* Of the last segment the first half counts, if any: events fill more than one. */
		uint64_t at = random_next(&scene.seed) % (uint64_t)(status.st_size / (round % 2 ? 1 : 8));
		unsigned char byte = 0, other;
		int fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1);
		other = byte ^ (unsigned char)(1u << (random_next(&scene.seed) % 8));
		assert_int_equal(pwrite(fd, &other, 1, (off_t)at), 1);
		must(&scene, 1, "check", scene.backup, NULL, NULL);
		char words[160];
		snprintf(words, sizeof words, "DAMAGED: %s/%s: the hash of its first", in, name);
		if (!strstr(scene.said.ptr, words))
			fail_msg("\"%s\" is not in: %s", words, scene.said.ptr);
		must(&scene, 1, "restore", scene.backup, scene.target, NULL);
		assert_int_not_equal(access(scene.target, F_OK), 0);
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		close(fd);
		found++;
	}
	backup_is(&scene, "");
	print_message("# damage: %u bytes, all found and named\n", found);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backup_is_killed),
		cmocka_unit_test(a_restore_is_killed),
		cmocka_unit_test(damage_is_found),
	};
	return CRASH_MAIN(tests);
}
