// SPDX-License-Identifier: Apache-2.0
/* test_backup.c - backups from outside: the files that a server holds for one, and what is read of them; tally backup, restore,
 * check and dump on them. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapshot/store.h"
#include "tests/api/calls.h"

static void brand_fill(const char *brand, unsigned from, unsigned count)
{
	if (!from) {
		make_type(brand, "PURCHASE");
		make_rule((char[32]){ 0 }, brand, "PURCHASE", 0, "null", "[{\"type\":\"earn_points\",\"points\":7}]");
	}
	for (unsigned i = from; i < from + count; i++)
		send_event(201, brand, textf("p-%u", i % 5), "PURCHASE", textf("e%u", i), "{}");
}

/* The bytes of a file that a backup holds, in portions that are no powers of two. */
static void pinned_read(const char *id, const char *file, int64_t bytes, struct buf *out)
{
	for (int64_t at = 0; at < bytes;) {
		int64_t n = bytes - at < 99991 ? bytes - at : 99991;
		char wanted[64], hash[33];
		uint8_t hashed[16];
		struct reply *reply = ask(textf("GET /v1/backups/%s/bytes?file=%s&offset=%lld&size=%lld", id, file, (long long)at,
						(long long)n), NULL, NULL, (struct str){ NULL, 0 });
		assert_int_equal(reply->status, 200);
		assert_int_equal(reply->body.len, n);
		snapshot_hash(hashed, reply->body.ptr, reply->body.len);
		for (int i = 0; i < 16; i++)
			snprintf(hash + 2 * i, 3, "%02x", hashed[i]);
		assert_true(reply_header(reply, "X-Content-Hash", wanted, sizeof wanted));
		assert_string_equal(wanted, hash);
		buf_bytes(out, reply->body.ptr, reply->body.len);
		at += n;
	}
}

static void file_take(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	for (size_t n = 1; n;) {
		buf_room(out, 1 << 16);
		n = fread(out->ptr + out->len, 1, 1 << 16, file);
		out->len += n;
	}
	fclose(file);
}

static size_t entries(const char *path)
{
	size_t count = 0;
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

static void files_are_held(void **state)
{
	char id[20];
	int64_t end = 0, bytes = 0, size = 0;
	struct buf held = { 0 }, now = { 0 };
	(void)state;
	brand_fill("HELD", 0, 20);
	ask("POST /v1/snapshots", NULL, NULL, (struct str){ NULL, 0 });
	yyjson_val *answer = want(201, "POST /v1/backups", NULL, NULL);
	snprintf(id, sizeof id, "%s", text_at(answer, "/id"));
	end = int_at(answer, "/end_lsn");
	assert_int_equal(int_at(answer, "/first_lsn"), 0);
	yyjson_val *file;
	size_t i, count;
	bool snapshot = false, seed = false;
	char data_path[80] = "";
	yyjson_arr_foreach(json_at(answer, "/files"), i, count, file) {
		const char *path = text_at(file, "/path");
		assert_true(int_at(file, "/bytes") <= int_at(file, "/size"));
		seed |= !strcmp(path, "seed");
		if (!snapshot && !strncmp(path, "snapshots/", 10)) {
			snapshot = true;
			snprintf(data_path, sizeof data_path, "%s", path);
			size = int_at(file, "/bytes");
		}
		if (!strcmp(path, "log/0000000000000000.log"))
			bytes = int_at(file, "/bytes");
	}
	assert_true(seed && snapshot && bytes == end);
	want(200, "GET /v1/backups", NULL, NULL);
	json_is(json_at(last_reply()->doc->root, "/0"), "/id", textf("'%s'", id));

	/* More comes in; what was held stays as it was, a removed file too. */
	brand_fill("HELD", 20, 20);
	pinned_read(id, "log/0000000000000000.log", bytes, &held);
	file_take(textf("%s/data/log/0000000000000000.log", harness_server.folder), &now);
	assert_true(now.len > held.len && memcmp(now.ptr, held.ptr, held.len) == 0);
	held.len = now.len = 0;
	char own[HARNESS_PATH_MAX + 100];
	snprintf(own, sizeof own, "%s/data/%s", harness_server.folder, data_path);
	file_take(own, &now);
	assert_int_equal(rename(own, textf("%s/moved", harness_server.folder)), 0);
	pinned_read(id, data_path, size, &held);
	assert_int_equal(rename(textf("%s/moved", harness_server.folder), own), 0);
	assert_true(held.len == now.len && memcmp(now.ptr, held.ptr, held.len) == 0);
	yyjson_val *hash = want(200, textf("GET /v1/backups/%s/bytes?file=seed&offset=0&size=17&hash=true", id), NULL, NULL);
	assert_int_equal(int_at(hash, "/bytes"), 17);

	refused(404, "file_unknown", NULL, textf("GET /v1/backups/%s/bytes?file=lock&offset=0&size=1", id), NULL, NULL);
	refused(404, "file_unknown", NULL, textf("GET /v1/backups/%s/bytes?file=..%%2fseed&offset=0&size=1", id), NULL, NULL);
	refused(416, "range_invalid", NULL, textf("GET /v1/backups/%s/bytes?file=seed&offset=1&size=17", id), NULL, NULL);
	refused(416, "range_invalid", NULL, textf("GET /v1/backups/%s/bytes?file=seed&offset=18&size=0", id), NULL, NULL);
	refused(400, "query_invalid", NULL, textf("GET /v1/backups/%s/bytes?file=seed&offset=-1&size=1", id), NULL, NULL);
	refused(400, "query_invalid", NULL, textf("GET /v1/backups/%s/bytes?file=seed&offset=0", id), NULL, NULL);
	refused(404, "backup_unknown", NULL, "GET /v1/backups/0123456789abcdef/bytes?file=seed&offset=0&size=1", NULL, NULL);
	refused(404, "backup_unknown", NULL, "DELETE /v1/backups/x", NULL, NULL);
	assert_int_equal(ask(textf("DELETE /v1/backups/%s", id), NULL, NULL, (struct str){ NULL, 0 })->status, 204);
	refused(404, "backup_unknown", NULL, textf("DELETE /v1/backups/%s", id), NULL, NULL);
	buf_free(&held);
	buf_free(&now);
}

static void no_more_than_eight(void **state)
{
	char ids[8][20];
	(void)state;
	for (int i = 0; i < 8; i++)
		snprintf(ids[i], sizeof ids[i], "%s", text_at(want(201, "POST /v1/backups", NULL, NULL), "/id"));
	refused(409, "backups_too_many", NULL, "POST /v1/backups", NULL, NULL);
	for (int i = 0; i < 8; i++)
		assert_int_equal(ask(textf("DELETE /v1/backups/%s", ids[i]), NULL, NULL, (struct str){ NULL, 0 })->status, 204);
	calls_begin();
	yyjson_val *answer = call_ok("backup.create", "[{}]");
	snprintf(ids[0], sizeof ids[0], "%s", text_at(answer, "/id"));
	call_ok("backup.end", textf("[{\"id\":\"%s\"}]", ids[0]));
}

/* What a killed server held goes at the next start; so does what a stopped one held. */
static void nothing_stays_behind(void **state)
{
	struct server server = { 0 }, kept = harness_server;
	(void)state;
	ask_close();
	server_start(&server, harness_shards, NULL);
	harness_server = server;
	want(201, "POST /v1/backups", NULL, NULL);
	want(201, "POST /v1/backups", NULL, NULL);
	assert_int_equal(entries(textf("%s/data/pins", server.folder)), 2);
	ask_close();
	server_kill(&server);
	server_start(&server, harness_shards, NULL);
	assert_int_equal(entries(textf("%s/data/pins", server.folder)), 0);
	harness_server = server;
	want(201, "POST /v1/backups", NULL, NULL);
	ask_close();
	server_stop(&server);
	assert_int_equal(entries(textf("%s/data/pins", server.folder)), 0);
	server_clean(&server);
	harness_server = kept;
}

/* ---- the commands ----------------------------------------------------------------------------------------------------- */

/* A server of a test's own, with room for backups beside its data. */
struct scene {
	struct server server, kept;
	const char *const *options;    /* NULL: those below */
	struct buf said;               /* by the last command, with a NUL behind */
	char url[64];
};

static const char *const options[] = { "--snapshot-interval", "0", "--snapshot-rate", "0", NULL };

static void scene_serve(struct scene *scene, unsigned shards)
{
	server_start(&scene->server, shards, scene->options ? scene->options : options);
	harness_server = scene->server;
	snprintf(scene->url, sizeof scene->url, "http://127.0.0.1:%d", scene->server.port);
}

static void scene_stop(struct scene *scene)
{
	ask_close();
	server_stop(&scene->server);
}

static void scene_begin_with(struct scene *scene, const char *const *chosen)
{
	*scene = (struct scene){ .kept = harness_server, .options = chosen };
	ask_close();
	scene_serve(scene, harness_shards);
}

static void scene_begin(struct scene *scene)
{
	scene_begin_with(scene, NULL);
}

static void scene_end(struct scene *scene)
{
	ask_close();
	if (scene->server.pid)
		server_kill(&scene->server);
	server_clean(&scene->server);
	buf_free(&scene->said);
	harness_server = scene->kept;
}

/* Runs `tally WORDS` in the scene's folder; the exit status must be this. */
__attribute__((format(printf, 3, 4)))
static const char *tally(struct scene *scene, int status, const char *format, ...)
{
	const char *given = getenv("TALLY_BIN");
	char words[1000], line[3000], *binary = realpath(given ? given : "build/asan/tally", NULL);
	va_list args;
	assert_non_null(binary);
	va_start(args, format);
	vsnprintf(words, sizeof words, format, args);
	va_end(args);
	snprintf(line, sizeof line, "cd %s && %s %s 2>&1", scene->server.folder, binary, words);
	free(binary);
	FILE *pipe = popen(line, "r");
	assert_non_null(pipe);
	scene->said.len = 0;
	for (size_t n = 1; n;) {
		buf_room(&scene->said, 1 << 16);
		n = fread(scene->said.ptr + scene->said.len, 1, 1 << 16, pipe);
		scene->said.len += n;
	}
	buf_char(&scene->said, '\0');
	int ended = pclose(pipe);
	if (!WIFEXITED(ended) || WEXITSTATUS(ended) != status)
		fail_msg("tally %s: %d, not %d: %s", words, WIFEXITED(ended) ? WEXITSTATUS(ended) : -1, status, scene->said.ptr);
	return scene->said.ptr;
}

static void said(const struct scene *scene, const char *words)
{
	if (!strstr(scene->said.ptr, words))
		fail_msg("\"%s\" is not in: %s", words, scene->said.ptr);
}

/* The hash of a dump: of a folder, or with "--from URL". */
static void hash_of(struct scene *scene, const char *what, char hash[33])
{
	const char *at = strstr(tally(scene, 0, "dump %s | tail -1", what), "hash ");
	assert_non_null(at);
	snprintf(hash, 33, "%.32s", at + 5);
}

static void hash_is(struct scene *scene, const char *what, const char *wanted)
{
	char hash[33];
	hash_of(scene, what, hash);
	if (strcmp(hash, wanted) != 0)
		fail_msg("the state of %s is %s, and should be %s", what, hash, wanted);
}

static uint64_t number_behind(const struct scene *scene, const char *words)
{
	const char *at = strstr(scene->said.ptr, words);
	if (!at)
		fail_msg("\"%s\" is not in: %s", words, scene->said.ptr);
	return strtoull(at + strlen(words), NULL, 10);
}

static void folder_set(struct scene *scene, const char *command)
{
	assert_int_equal(system(textf("cd %s && %s", scene->server.folder, command)), 0);
}

/* The server goes, its directory too; what is restored answers as it did. */
static void lost_and_restored(void **state)
{
	struct scene scene;
	char hash[33];
	struct buf movements = { 0 };
	(void)state;
	scene_begin(&scene);
	brand_fill("LOST", 0, 60);
	tally(&scene, 0, "backup b --from %s", scene.url);
	said(&scene, "the server takes a snapshot");
	brand_fill("LOST", 60, 7);
	tally(&scene, 0, "backup b --from %s", scene.url);
	assert_true(number_behind(&scene, "; ") < 20000);
	tally(&scene, 0, "check b");
	said(&scene, "whole");
	said(&scene, "the books balance");
	hash_of(&scene, textf("--from %s", scene.url), hash);
	hash_is(&scene, "b", hash);
	want(200, "GET /customers/LOST/p-1/point-movements", "LOST", NULL);
	buf_bytes(&movements, last_reply()->body.ptr, last_reply()->body.len);
	ask_close();
	server_kill(&scene.server);
	hash_is(&scene, "data", hash);
	folder_set(&scene, "mv data gone");

	tally(&scene, 0, "restore b data");
	said(&scene, "restored up to LSN ");
	hash_is(&scene, "data", hash);
	tally(&scene, 0, "dump --diff data gone");
	scene_serve(&scene, 5 - harness_shards);
	want(200, "GET /customers/LOST/p-1/point-movements", "LOST", NULL);
	assert_int_equal(last_reply()->body.len, movements.len);
	assert_memory_equal(last_reply()->body.ptr, movements.ptr, movements.len);
	assert_true(bool_at(send_event(200, "LOST", "p-1", "PURCHASE", "e66", "{}"), "/idempotent"));
	tally(&scene, 0, "dump --diff b %s", scene.url);
	tally(&scene, 2, "restore b data");
	tally(&scene, 0, "backup b --from %s", scene.url);      /* the same log, in its next epoch */
	send_event(201, "LOST", "p-1", "PURCHASE", "e67", "{}");
	tally(&scene, 1, "dump --diff b %s", scene.url);
	buf_free(&movements);
	scene_end(&scene);
}

/* The state of each moment, by LSN and by time. */
static void back_to_a_moment(void **state)
{
	enum { MOMENTS = 4 };
	struct scene scene;
	char hashes[MOMENTS][33], times[MOMENTS][40];
	uint64_t lsns[MOMENTS];
	(void)state;
	scene_begin(&scene);
	for (unsigned i = 0; i < MOMENTS; i++) {
		brand_fill("BACK", 10 * i, 10);
		if (i == 1)
			want(201, "POST /v1/snapshots", NULL, NULL);
		hash_of(&scene, textf("--from %s", scene.url), hashes[i]);
		tally(&scene, 0, "backup b --from %s", scene.url);
		lsns[i] = number_behind(&scene, " to ");
		const char *open = strchr(scene.said.ptr, '(');
		assert_non_null(open);
		snprintf(times[i], sizeof times[i], "%.24s", open + 1);
		usleep(3000);                  /* the next frame has another time */
	}
	scene_stop(&scene);
	for (unsigned i = 0; i < MOMENTS; i++) {
		tally(&scene, 0, "restore b lsn-%u --to %llu", i, (unsigned long long)lsns[i]);
		assert_int_equal(number_behind(&scene, "up to LSN "), lsns[i]);
		said(&scene, times[i]);
		hash_is(&scene, textf("lsn-%u", i), hashes[i]);
		tally(&scene, 0, "restore b time-%u --to %s", i, times[i]);
		hash_is(&scene, textf("time-%u", i), hashes[i]);
		tally(&scene, 0, "check time-%u", i);
	}
	/* In the middle of a frame: up to the one before. */
	tally(&scene, 0, "restore b before --to %llu", (unsigned long long)lsns[2] - 1);
	assert_true(number_behind(&scene, "up to LSN ") < lsns[2]);
	tally(&scene, 1, "restore b late --to %llu", (unsigned long long)lsns[MOMENTS - 1] + 1);
	said(&scene, "the backup ends at LSN");
	tally(&scene, 1, "restore b late --to 2099-01-01T00:00:00Z");
	said(&scene, "knows of nothing later");
	tally(&scene, 1, "restore b early --to 2001-01-01T00:00:00Z");
	said(&scene, "the backup begins with LSN");
	tally(&scene, 64, "restore b early --to yesterday");
	tally(&scene, 2, "restore b time-0");
	said(&scene, "is not empty");
	tally(&scene, 2, "restore data late");
	said(&scene, "is no backup");
	assert_int_equal(entries(textf("%s/late", scene.server.folder)), 0);

	/* What goes on from an earlier moment is another log: its backup needs a folder of its own. */
	folder_set(&scene, "mv data gone && mv lsn-1 data");
	scene_serve(&scene, harness_shards);
	tally(&scene, 1, "backup b --from %s", scene.url);
	said(&scene, "it is another log");
	for (unsigned i = 0; i < 30; i++)
		send_event(201, "BACK", "p-1", "PURCHASE", textf("again-%u", i), "{}");
	tally(&scene, 1, "backup b --from %s", scene.url);
	said(&scene, "another log");
	tally(&scene, 0, "check b");
	tally(&scene, 0, "backup b2 --from %s", scene.url);
	scene_end(&scene);
}

static void byte_flip(const char *path, long at)
{
	FILE *file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	int byte = fgetc(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_true(byte != EOF && fputc(byte ^ 0x20, file) != EOF);
	fclose(file);
}

/* Whatever is damaged is named, and nothing is restored of it. */
static void damage_is_named(void **state)
{
	struct scene scene;
	char file[100], hash[33];
	unsigned files = 0;
	(void)state;
	scene_begin(&scene);
	brand_fill("HURT", 0, 20);
	tally(&scene, 0, "backup b --from %s", scene.url);
	hash_of(&scene, "b", hash);
	FILE *list = popen(textf("cd %s/b && find seed log snapshots -type f", scene.server.folder), "r");
	assert_non_null(list);
	while (fgets(file, sizeof file, list)) {
		file[strcspn(file, "\n")] = '\0';
		char path[HARNESS_PATH_MAX + 120];
		snprintf(path, sizeof path, "%s/b/%s", scene.server.folder, file);
		byte_flip(path, 9);
		tally(&scene, 1, "check b");
		said(&scene, textf("DAMAGED: %s: the hash of its first", file));
		tally(&scene, 1, "restore b r");
		said(&scene, textf("%s: the hash of its first", file));
		byte_flip(path, 9);
		if (files++)
			continue;
		folder_set(&scene, textf("mv b/%s moved", file));
		tally(&scene, 1, "restore b r");
		said(&scene, textf("%s is missing", file));
		folder_set(&scene, textf("mv moved b/%s", file));
	}
	pclose(list);
	assert_true(files >= 4);
	byte_flip(textf("%s/b/manifest", scene.server.folder), 20);
	tally(&scene, 1, "restore b r");
	said(&scene, "the manifest's hash differs");
	tally(&scene, 1, "backup b --from %s", scene.url);
	byte_flip(textf("%s/b/manifest", scene.server.folder), 20);
	/* Of a newer version: said so, whatever else is in it. */
	folder_set(&scene, "cp b/manifest kept && sed -i '1s/1/7/' b/manifest");
	tally(&scene, 1, "restore b r");
	said(&scene, "a backup of format 7, and this version reads format 1");
	tally(&scene, 1, "check b");
	said(&scene, "a newer version wrote it");
	folder_set(&scene, "mv kept b/manifest");
	assert_int_equal(entries(textf("%s/r", scene.server.folder)), 0);
	tally(&scene, 0, "restore b r");
	hash_is(&scene, "r", hash);
	/* A missing file comes again with the next backup. */
	folder_set(&scene, "rm b/log/*");
	tally(&scene, 0, "backup b --from %s", scene.url);
	tally(&scene, 0, "check b");
	/* No server works on a backup, or where a restore is under way. */
	scene_stop(&scene);
	struct buf text = { 0 };
	folder_set(&scene, "mv data gone && mv b data");
	assert_int_equal(server_refused(&scene.server, NULL, &text), 2);
	assert_non_null(strstr(text.ptr, "holds a backup"));
	folder_set(&scene, "mv data b && mv r data && touch data/restoring");
	assert_int_equal(server_refused(&scene.server, NULL, &text), 2);
	assert_non_null(strstr(text.ptr, "is being restored"));
	tally(&scene, 1, "check data");
	said(&scene, "a restore has not finished");
	tally(&scene, 0, "restore b data");    /* and goes on */
	assert_true(access(textf("%s/data/restoring", scene.server.folder), F_OK) != 0);
	hash_is(&scene, "data", hash);
	/* A first backup that was broken off. */
	folder_set(&scene, "mkdir -p u/log && touch u/unfinished && cp b/seed u/");
	tally(&scene, 1, "check u");
	said(&scene, "a backup that is not finished");
	tally(&scene, 2, "restore u r2");
	said(&scene, "a backup that is not finished");
	/* A directory that lost its log is not whole. */
	tally(&scene, 0, "check data");
	folder_set(&scene, "mv data/log kept && mkdir data/log");
	tally(&scene, 1, "check data");
	said(&scene, "DAMAGED: the log ends at LSN 0, and this snapshot knows that it reached LSN");
	folder_set(&scene, "rmdir data/log");
	tally(&scene, 2, "check data");
	said(&scene, "has a seed, and no folder log");
	buf_free(&text);
	scene_end(&scene);
}

/* A server that went on without its newest snapshot, since that is broken, is backed up all the same. */
static void broken_snapshot_is_passed_over(void **state)
{
	static const char *const parts[] = { "data", "manifest" };
	struct scene scene;
	char hash[33];
	(void)state;
	for (unsigned part = 0; part < 2; part++) {
		scene_begin(&scene);
		brand_fill("PASS", 0, 20);
		tally(&scene, 0, "snapshot --to %s", scene.url);
		scene_stop(&scene);
		folder_set(&scene, textf("mv data/snapshots/*.%s x && printf XX | dd of=x bs=1 seek=100 conv=notrunc status=none && "
					 "mv x data/snapshots/$(ls data/snapshots | sed 's/[.].*//').%s", parts[part], parts[part]));
		scene_serve(&scene, harness_shards);
		tally(&scene, 0, "backup b --from %s", scene.url);
		said(&scene, "BROKEN SNAPSHOT");
		said(&scene, "another is asked for");
		tally(&scene, 0, "check b");
		hash_of(&scene, textf("--from %s", scene.url), hash);
		hash_is(&scene, "b", hash);
		scene_end(&scene);
	}
}

/* Folders, servers and words that do not fit. */
static void what_does_not_fit(void **state)
{
	struct scene scene;
	(void)state;
	scene_begin(&scene);
	brand_fill("NAY", 0, 3);
	tally(&scene, 1, "backup data --from %s", scene.url);
	said(&scene, "is not empty and holds no backup");
	tally(&scene, 64, "backup b");
	tally(&scene, 64, "backup --from %s", scene.url);
	tally(&scene, 64, "backup b --from ftp://127.0.0.1");
	tally(&scene, 64, "dump --from %s data", scene.url);
	tally(&scene, 0, "backup b --from %s --state-only --rate 1G --keep 1", scene.url);
	scene_stop(&scene);
	/* An archive in the data directory would be the log itself. */
	struct buf text = { 0 };
	for (unsigned i = 0; i < 3; i++) {
		char inside[HARNESS_PATH_MAX + 20];
		snprintf(inside, sizeof inside, "%s/data%s", scene.server.folder, (const char *const[]){ "", "/log", "/new" }[i]);
		const char *const words[] = { "--archive", inside, NULL };
		text.len = 0;
		assert_int_equal(server_refused(&scene.server, words, &text), 2);
		assert_non_null(strstr(text.ptr, "it is in the data directory"));
	}
	buf_free(&text);
	/* A stopped server's directory is copied as it is. */
	folder_set(&scene, "cp -r data copy");
	tally(&scene, 0, "dump --diff data copy");
	tally(&scene, 0, "dump --diff b copy");
	tally(&scene, 0, "check copy");
	scene_serve(&scene, harness_shards);
	/* A server of other data. */
	folder_set(&scene, "tr 0-9a-f 1-9a-f0 < data/seed > b/seed");
	tally(&scene, 1, "restore b r");
	scene_end(&scene);
	scene_begin(&scene);
	brand_fill("NAY", 0, 3);
	tally(&scene, 0, "backup b --from %s", scene.url);
	struct scene other = { 0 };
	scene_begin(&other);
	brand_fill("NAY", 0, 9);
	tally(&other, 1, "backup %s/b --from %s", scene.server.folder, other.url);
	said(&other, "another log");
	scene_end(&other);
	scene_end(&scene);
}

/* About a segment full of events. */
static void segment_fill(const char *brand, unsigned round)
{
	struct buf rows = { 0 };
	buf_char(&rows, '[');
	for (unsigned i = 0; i < 4000; i++)
		buf_printf(&rows, "%s{\"brand\":\"%s\",\"profileId\":\"p-%u\",\"eventType\":\"PURCHASE\",\"eventId\":\"r%u-%u\",\"payload\":{}}",
			   i ? "," : "", brand, i % 50, round, i);
	buf_char(&rows, ']');
	assert_int_equal(ask("POST /transactions", NULL, "application/json", buf_view(&rows))->status, 200);
	buf_free(&rows);
}

/* Segments that are passed while nobody backs up; only what is new is fetched; snapshots are kept as many as wanted. */
static void only_what_is_new(void **state)
{
	struct scene scene;
	uint64_t fetched[3];
	(void)state;
	scene_begin(&scene);
	brand_fill("NEW", 0, 1);
	for (unsigned round = 0; round < 3; round++) {
		segment_fill("NEW", round);
		want(201, "POST /v1/snapshots", NULL, NULL);
		tally(&scene, 0, "backup b --from %s --keep 2", scene.url);
		fetched[round] = number_behind(&scene, "; ");
		tally(&scene, 0, "check b");
	}
	assert_true(fetched[1] < fetched[0] + fetched[0] / 2 && fetched[2] < fetched[0] + fetched[0] / 2);
	assert_int_equal(entries(textf("%s/b/snapshots", scene.server.folder)), 4);
	tally(&scene, 0, "dump --diff b %s", scene.url);
	tally(&scene, 0, "restore b r");
	tally(&scene, 0, "dump --diff b r");
	scene_end(&scene);
}

static uint64_t metric(const char *name)
{
	assert_int_equal(ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 })->status, 200);
	const char *at = strstr(last_reply()->body.ptr, textf("\n%s ", name));
	if (!at)
		fail_msg("no metric %s", name);
	return strtoull(at + strlen(name) + 2, NULL, 10);
}

/* Goes on until the log begins at or behind `lsn`. */
static void dropped_up_to(const char *brand, unsigned *round, uint64_t lsn)
{
	for (unsigned i = 0; metric("tally_log_first_lsn") < lsn; i++) {
		if (i % 20 == 0) {
			segment_fill(brand, (*round)++);
			ask("POST /v1/snapshots", NULL, NULL, (struct str){ NULL, 0 });
		}
		assert_true(i < 1000);
		usleep(50000);
	}
}

/* A server that drops its old log: what it has is a backup, and one that missed too much is told. */
static void a_log_without_its_beginning(void **state)
{
	static const char *const drops[] = { "--snapshot-rate", "0", "--retain-bytes", "1M", NULL };
	struct scene scene;
	unsigned round = 0;
	uint64_t end;
	(void)state;
	scene_begin_with(&scene, drops);
	brand_fill("DROP", 0, 1);
	dropped_up_to("DROP", &round, 1);
	tally(&scene, 0, "backup b --from %s", scene.url);
	assert_true(number_behind(&scene, "log from LSN ") > 0);
	end = number_behind(&scene, " to ");
	tally(&scene, 0, "check b");
	tally(&scene, 0, "restore b r");
	tally(&scene, 0, "check r");
	tally(&scene, 0, "dump --diff b r");
	tally(&scene, 1, "restore b r2 --to 4000");
	assert_int_equal(entries(textf("%s/r2", scene.server.folder)), 0);
	/* The backup keeps what the server drops, as long as they still meet. */
	segment_fill("DROP", round++);
	tally(&scene, 0, "backup b --from %s", scene.url);
	assert_true(number_behind(&scene, "log from LSN ") <= end);
	end = number_behind(&scene, " to ");
	tally(&scene, 0, "dump --diff b %s", scene.url);
	dropped_up_to("DROP", &round, end + 1);
	tally(&scene, 1, "backup b --from %s", scene.url);
	said(&scene, "what lies between is gone");
	tally(&scene, 0, "check b");
	tally(&scene, 0, "backup b2 --from %s", scene.url);
	tally(&scene, 0, "dump --diff b2 %s", scene.url);
	scene_stop(&scene);
	folder_set(&scene, "mv data gone");
	tally(&scene, 0, "restore b2 data");
	scene_serve(&scene, 5 - harness_shards);
	tally(&scene, 0, "dump --diff gone %s", scene.url);
	scene_end(&scene);
}

/* The worked example of docs/operations.md, as it stands there. */
static void the_example(void **state)
{
	struct scene scene;
	struct buf page = { 0 };
	const char *given = getenv("TALLY_BIN");
	char *binary = realpath(given ? given : "build/asan/tally", NULL);
	(void)state;
	if (harness_shards != 1) {
		free(binary);
		skip();
	}
	file_take("docs/operations.md", &page);
	buf_char(&page, '\0');
	char *begin = strstr(page.ptr, "A worked example"), *end = NULL;
	assert_true(begin && binary && (begin = strstr(begin, "```sh\n")) && (end = strstr(begin + 6, "```")));
	*end = '\0';
	scene_begin(&scene);
	ask_close();
	FILE *script = fopen(textf("%s/example.sh", scene.server.folder), "w");
	assert_non_null(script);
	fputs(begin + 6, script);
	fclose(script);
	folder_set(&scene, textf("ln -s %s tally && (PATH=$PWD:$PATH bash -eu -o pipefail example.sh >said 2>&1 || (cat said; false))", binary));
	file_take(textf("%s/said", scene.server.folder), &scene.said);
	buf_char(&scene.said, '\0');
	said(&scene, "no difference");
	const char *one = strstr(scene.said.ptr, "\nhash "), *other = one ? strstr(one + 1, "\nhash ") : NULL;
	assert_true(one && other && memcmp(one, other, 38) == 0);
	free(binary);
	buf_free(&page);
	scene_end(&scene);
}

/* Ids that have moved to disk come along, also to an earlier moment: known is what was known then, and nothing else. */
static void ids_on_disk(void **state)
{
	static const char *const few[] = { "--snapshot-interval", "0", "--snapshot-rate", "0", "--id-memory", "64K", NULL };
	struct scene scene;
	char hash[33];
	uint64_t moment, filed = 0;
	(void)state;
	scene_begin_with(&scene, few);
	brand_fill("IDS", 0, 1);
	segment_fill("IDS", 0);
	want(201, "POST /v1/snapshots", NULL, NULL);
	tally(&scene, 0, "backup b --from %s", scene.url);
	moment = number_behind(&scene, " to ");
	hash_of(&scene, textf("--from %s", scene.url), hash);
	for (unsigned round = 1; filed < moment; round++) {
		segment_fill("IDS", round);
		for (unsigned i = 0; i < 40 && (filed = metric("tally_ids_filed_lsn")) < moment; i++)
			usleep(50000);
		assert_true(round < 20);
	}
	tally(&scene, 0, "backup b --from %s", scene.url);
	assert_true(entries(textf("%s/b/ids", scene.server.folder)) >= 3);
	tally(&scene, 0, "check b");
	tally(&scene, 0, "dump --diff b %s", scene.url);
	/* Once more, with runs merged or new ones. */
	segment_fill("IDS", 30);
	tally(&scene, 0, "backup b --from %s", scene.url);
	tally(&scene, 0, "check b");
	tally(&scene, 0, "restore b now");
	tally(&scene, 0, "check now");
	tally(&scene, 0, "dump --diff now %s", scene.url);
	scene_stop(&scene);
	tally(&scene, 0, "dump --diff now data");
	tally(&scene, 0, "restore b then --to %llu", (unsigned long long)moment);
	tally(&scene, 0, "check then");
	hash_is(&scene, "then", hash);
	folder_set(&scene, "mv data gone && mv then data");
	scene_serve(&scene, 5 - harness_shards);
	const char *known = "{'brand':'IDS','profileId':'p-%u','eventType':'PURCHASE','eventId':'r%u-%u','payload':{}}";
	char event[300];
	snprintf(event, sizeof event, known, 7, 0, 7);
	assert_true(bool_at(want(200, "POST /transactions", NULL, event), "/idempotent"));
	snprintf(event, sizeof event, known, 7, 1, 7);
	want(201, "POST /transactions", NULL, event);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_held),
		cmocka_unit_test(no_more_than_eight),
		cmocka_unit_test(nothing_stays_behind),
		cmocka_unit_test(lost_and_restored),
		cmocka_unit_test(back_to_a_moment),
		cmocka_unit_test(damage_is_named),
		cmocka_unit_test(broken_snapshot_is_passed_over),
		cmocka_unit_test(what_does_not_fit),
		cmocka_unit_test(only_what_is_new),
		cmocka_unit_test(a_log_without_its_beginning),
		cmocka_unit_test(ids_on_disk),
		cmocka_unit_test(the_example),
	};
	return harness_run("backup", tests, COUNT_OF(tests), NULL);
}
