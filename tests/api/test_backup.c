// SPDX-License-Identifier: Apache-2.0
/* test_backup.c - backups from outside: the files that a server holds for one, and what is read of them. */
#include <dirent.h>
#include <stdlib.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_held),
		cmocka_unit_test(no_more_than_eight),
		cmocka_unit_test(nothing_stays_behind),
	};
	return harness_run("backup", tests, COUNT_OF(tests), NULL);
}
