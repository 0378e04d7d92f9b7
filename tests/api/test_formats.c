// SPDX-License-Identifier: Apache-2.0
/* test_formats.c - what every release wrote is read: log segments, snapshots, ids on disk, backups, seeds, kept in tests/formats/VERSION (made by
 * tests/formats/make.sh, once a release, and never again).  The state must be the one that was there, whichever way it is read, and a server
 * goes on with it.
 *
 * Where the *text* of a dump has got more to say since, tests/formats/VERSION/expected is written anew, and nothing else. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshot/backup.h"
#include "tests/api/harness.h"

#define FORMATS "tests/formats"

static const char *binary(void)
{
	static char path[4096];
	const char *given = getenv("TALLY_BIN");
	assert_non_null(realpath(given ? given : "build/asan/tally", path));
	return path;
}

static void shell(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* The hash in the last line of `tally dump WORDS`. */
static void hash_is(const char *words, const char *expected)
{
	char line[64] = "";
	FILE *pipe = popen(textf("%s dump %s | tail -1", binary(), words), "r");
	assert_non_null(pipe);
	assert_non_null(fgets(line, sizeof line, pipe));
	pclose(pipe);
	if (strcmp(line, expected) != 0)
		fail_msg("%s: the state is %s, and should be %s", words, line, expected);
}

/* The kept files without their zeros, as they were. */
static void backup_complete(const char *folder)
{
	struct backup backup;
	struct buf error = { 0 };
	bool bad;
	assert_true(backup_read(folder, &backup, &bad, &error));
	if (bad)
		fail_msg("%.*s", (int)error.len, error.ptr);
	for (size_t i = 0; i < backup.count; i++)
		assert_int_equal(truncate(textf("%s/%s", folder, backup.files[i].path), (off_t)backup.files[i].size), 0);
	backup_free(&backup);
	buf_free(&error);
}

static void release_is_read(const char *version)
{
	struct server server = { 0 }, kept = harness_server;
	char expected[64] = "", folder[HARNESS_PATH_MAX + 40];
	ask_close();
	/* A server of its own, for the folder. */
	server_start(&server, harness_shards, NULL);
	server_stop(&server);
	snprintf(folder, sizeof folder, "%s/backup", server.folder);
	shell(textf("rm -r %s/data && cp -r " FORMATS "/%s %s", server.folder, version, folder));
	FILE *file = fopen(textf("%s/expected", folder), "r");
	assert_true(file && fgets(expected, sizeof expected, file));
	fclose(file);
	backup_complete(folder);
	shell(textf("%s check %s >/dev/null", binary(), folder));
	hash_is(folder, expected);
	hash_is(textf("%s --log-only", folder), expected);
	shell(textf("%s restore %s %s/data >/dev/null", binary(), folder, server.folder));
	hash_is(textf("%s/data", server.folder), expected);
	server_start(&server, harness_shards, NULL);
	harness_server = server;
	assert_int_equal(wallet("KEPT", "p-1"), 14);
	assert_string_equal(text_at(want(200, "GET /v1/accounts/2", NULL, NULL), "/debits_pending"), "60");
	assert_true(bool_at(send_event(200, "KEPT", "p-1", "VISIT", "v4", "{\"n\":9}"), "/idempotent"));
	send_event(201, "KEPT", "p-1", "VISIT", "v5", "{\"n\":9}");
	assert_int_equal(wallet("KEPT", "p-1"), 21);
	want(201, "POST /v1/snapshots", NULL, NULL);
	ask_close();
	server_stop(&server);
	shell(textf("%s check %s/data >/dev/null", binary(), server.folder));
	server_clean(&server);
	harness_server = kept;
}

static void a8_every_release_is_read(void **state)
{
	unsigned count = 0;
	DIR *dir = opendir(FORMATS);
	(void)state;
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		release_is_read(entry->d_name);
		count++;
	}
	closedir(dir);
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a8_every_release_is_read) };
	return harness_run("formats", tests, COUNT_OF(tests), NULL);
}
