// SPDX-License-Identifier: Apache-2.0
/* test_damage.c - damage to what was acknowledged is named and refused; a torn tail is cut and told; a full disk
 * refuses.
 *
 * The logs are those of a real server, stopped or killed; the test walks their frames by itself and changes bytes in
 * them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "tests/crash/process.h"
#include "wal/frame.h"

enum { MIB = 1 << 20, FIRST_EVENTS = 300, PATH_SIZE = FOLDER_PATH + 40 };

static const char *const small[] = { "--log-segment", "1M", "--log-ring", "256K", NULL };
static struct process process;
static struct buf text, answer;

/* ---- the server and its events --------------------------------------------------------------------------------- */

static void said(void)                         /* what the server wrote, as a text */
{
	char path[PATH_SIZE];
	snprintf(path, sizeof path, "%s/log", process.folder);
	text.len = 0;
	file_read(path, &text);
	buf_char(&text, '\0');
}

static void start(unsigned shards)
{
	if (process_start(&process, shards, small))
		return;
	said();
	fail_msg("the server does not start: %s", text.ptr);
}

static void configure(struct connection *connection)
{
	static const struct { const char *path; struct str body; } requests[] = {
		{ "/admin/event-types", STR("{\"key\":\"VISIT\",\"origin\":\"EXTERNAL\",\"name\":\"Visit\"}") },
		{ "/rules", STR("{\"event_type\":\"VISIT\",\"conditions\":null,\"actions\":"
				"[{\"type\":\"earn_points\",\"points\":1}]}") },
	};
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		assert_int_equal(connection_ask(connection, "POST", requests[i].path, requests[i].body, &answer), 201);
}

/* All events are visits of one member, so the balance counts them. */
static int visit(struct connection *connection, unsigned number, size_t padding)
{
	text.len = 0;
	buf_printf(&text, "{\"brand\":\"" BRAND "\",\"profileId\":\"m\",\"eventType\":\"VISIT\","
		   "\"eventId\":\"visit-%u\",\"source\":\"test\",\"payload\":{\"n\":%u,\"text\":\"", number, number);
	for (size_t i = 0; i < padding; i++)
		buf_char(&text, 'x');
	buf_lit(&text, "\"}}");
	return connection_ask(connection, "POST", "/transactions", buf_view(&text), &answer);
}

static int64_t balance(struct connection *connection)
{
	struct json_error error;
	int64_t points = -1;
	assert_int_equal(connection_ask(connection, "GET", "/wallet/" BRAND "/m", STR(""), &answer), 200);
	yyjson_doc *doc = json_read(buf_view(&answer), &error);
	assert_true(doc && json_int(json_get(yyjson_doc_get_root(doc), STR("points")), &points));
	yyjson_doc_free(doc);
	return points;
}

static void visits(unsigned first, unsigned count)
{
	struct connection connection;
	assert_true(connection_open(&connection, process.port));
	if (first == 0)
		configure(&connection);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(visit(&connection, first + i, 10), 201);
	connection_close(&connection);
}

static void balance_expect(int64_t points)
{
	struct connection connection;
	assert_true(connection_open(&connection, process.port));
	assert_int_equal(balance(&connection), points);
	connection_close(&connection);
}

static int check(struct buf *output)
{
	char data[PATH_SIZE];
	const char *words[] = { "check", data, NULL };
	snprintf(data, sizeof data, "%s/data", process.folder);
	output->len = 0;
	int status = program_run(words, output);
	buf_char(output, '\0');
	return status;
}

static void check_good(void)
{
	int status = check(&text);
	if (status != 0 || !strstr(text.ptr, "the books balance"))
		fail_msg("tally check ends with %d: %s", status, text.ptr);
}

/* ---- the bytes of the log -------------------------------------------------------------------------------------- */

struct spot { uint64_t lsn; uint32_t size, body_size; uint16_t kind; };

static void segment_path(char path[PATH_SIZE], uint64_t base)
{
	snprintf(path, PATH_SIZE, "%s/data/log/%016llx.log", process.folder, (unsigned long long)base);
}

static void bytes_put(uint64_t lsn, const void *bytes, size_t size)
{
	char path[PATH_SIZE];
	segment_path(path, lsn / MIB * MIB);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, (off_t)(lsn % MIB)), size);
	close(fd);
}

static void bytes_get(uint64_t lsn, void *bytes, size_t size)
{
	char path[PATH_SIZE];
	segment_path(path, lsn / MIB * MIB);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, size, (off_t)(lsn % MIB)), size);
	close(fd);
}

/* The frames of the first file, by their own sizes; returns how many.  `list` is owned by the caller. */
static size_t frames_walk(struct spot **list)
{
	struct buf file = { 0 }, found = { 0 };
	char path[PATH_SIZE];
	segment_path(path, 0);
	file_read(path, &file);
	assert_int_equal(file.len, MIB);
	for (size_t at = 0; at + WAL_FRAME_HEADER <= file.len;) {
		const unsigned char *header = (const unsigned char *)file.ptr + at;
		if (get_u32(header) != FRAME_MAGIC)
			break;
		struct spot spot = { get_u64(header + 8), get_u32(header + 4), get_u32(header + 20),
				     (uint16_t)(header[40] | header[41] << 8) };
		assert_int_equal(spot.lsn, at);
		buf_bytes(&found, &spot, sizeof spot);
		at += spot.size;
	}
	buf_free(&file);
	*list = (struct spot *)(void *)found.ptr;
	return found.len / sizeof **list;
}

static void names_place(const char *output, uint64_t lsn)
{
	char wanted[80];
	snprintf(wanted, sizeof wanted, "LSN %llu, file %016llx.log", (unsigned long long)lsn,
		 (unsigned long long)(lsn / MIB * MIB));
	if (!strstr(output, wanted))
		fail_msg("\"%s\" is not in: %s", wanted, output);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void names_a_flipped_byte(void **state)
{
	(void)state;
	struct spot *frames;
	uint64_t seed = 5;
	unsigned refused = 0;
	start(1);
	visits(0, FIRST_EVENTS);
	assert_int_equal(process_stop(&process), 0);
	check_good();
	size_t count = frames_walk(&frames);
	assert_true(count > FIRST_EVENTS);
	assert_int_equal(frames[count - 1].kind, WAL_FRAME_MARK);
	for (unsigned i = 0; i < 24; i++) {
		const struct spot *spot = &frames[i == 0 ? 0 : random_next(&seed) % (count - 1)];
		if (spot->kind == WAL_FRAME_FILLER)
			continue;
		/* The first ones in the header, the others anywhere; padding counts too. */
		uint64_t lsn = spot->lsn + random_next(&seed) % (i < 8 ? WAL_FRAME_HEADER : spot->size);
		unsigned char byte, flipped;
		bytes_get(lsn, &byte, 1);
		flipped = byte ^ (unsigned char)(1u << random_next(&seed) % 8);
		bytes_put(lsn, &flipped, 1);
		int status = check(&text);
		if (status != 1 || !strstr(text.ptr, "DAMAGED"))
			fail_msg("byte %llu flipped, and tally check ends with %d: %s", (unsigned long long)lsn, status,
				 text.ptr);
		names_place(text.ptr, spot->lsn);
		if (i % 4 == 0) {
			assert_false(process_start(&process, i % 8 ? 4 : 1, small));
			assert_true(WIFEXITED(process.status) && WEXITSTATUS(process.status) != 0);
			said();
			names_place(text.ptr, spot->lsn);
			refused++;
		}
		bytes_put(lsn, &byte, 1);
	}
	assert_true(refused > 3);
	mem_free(frames);
	check_good();
	start(4);
	balance_expect(FIRST_EVENTS);
	assert_int_equal(process_stop(&process), 0);
}

/* Loads and kills so that the log ends with a group of events, not with the mark of an idle log. */
static size_t killed_log(unsigned *events, struct spot **frames)
{
	for (int attempt = 0; attempt < 50; attempt++) {
		start(1);
		visits(*events, 20);
		*events += 20;
		process_kill(&process);
		size_t count = frames_walk(frames);
		if (count && (*frames)[count - 1].kind == WAL_FRAME_RECORDS)
			return count;
		mem_free(*frames);
	}
	fail_msg("the log ends in a mark every time");
	return 0;
}

/* The start must say what it cut, and the check before it that there is a torn tail and no damage. */
static void starts_with_cut(uint64_t lsn)
{
	int status = check(&text);
	if (status != 0 || !strstr(text.ptr, "torn tail"))
		fail_msg("tally check of a torn tail ends with %d: %s", status, text.ptr);
	start(4);
	said();
	if (!strstr(text.ptr, "torn tail"))
		fail_msg("the server does not say what it cut: %s", text.ptr);
	names_place(text.ptr, lsn);
}

static void cuts_a_torn_tail(void **state)
{
	(void)state;
	enum { HALF, GARBLED, HEADER, BEHIND, KINDS };
	unsigned events = 0;
	for (int kind = 0; kind < KINDS; kind++) {
		struct spot *frames;
		unsigned char garbage[700];
		uint64_t seed = 11;
		size_t count = killed_log(&events, &frames);
		struct spot last = frames[count - 1];
		uint64_t end = last.lsn + last.size, cut = kind == BEHIND ? end : last.lsn;
		mem_free(frames);
		for (size_t i = 0; i < sizeof garbage; i++)
			garbage[i] = (unsigned char)random_next(&seed);
		if (kind == HALF) {
			memset(garbage, 0, sizeof garbage);
			assert_true(last.size / 2 < sizeof garbage);
			bytes_put(end - last.size / 2, garbage, last.size / 2);
		} else if (kind == GARBLED) {
			bytes_put(last.lsn + WAL_FRAME_HEADER + last.body_size / 2, garbage, 16);
		} else if (kind == HEADER) {
			bytes_put(last.lsn + 20, garbage, 9);
		} else {
			bytes_put(end, garbage, sizeof garbage);
		}
		starts_with_cut(cut);
		/* Only the last group is gone: one event, since one connection sent them one by one. */
		events -= kind == BEHIND ? 0 : 1;
		balance_expect(events);
		visits(events, 1);
		events++;
		balance_expect(events);
		assert_int_equal(process_stop(&process), 0);
		check_good();
		start(1);
		balance_expect(events);
		process_kill(&process);
		check_good();
	}
}

static void mode_expect(const char *name, unsigned mode)
{
	char path[PATH_SIZE + 300];
	struct stat status;
	snprintf(path, sizeof path, "%s/data%s", process.folder, name);
	assert_int_equal(stat(path, &status), 0);
	if ((status.st_mode & 07777) != mode)
		fail_msg("%s has mode %o, not %o", path, status.st_mode & 07777u, mode);
}

static void umask_none(const char *folder)
{
	(void)folder;
	umask(0);
}

/* To ask for what is not there yet is no damage; nor is the end itself. */
static void logs_from_beyond_the_end(void **state)
{
	(void)state;
	char data[PATH_SIZE], lsn[24];
	const char *words[] = { "log", data, "--from", lsn, NULL };
	snprintf(data, sizeof data, "%s/data", process.folder);
	start(1);
	visits(0, 3);
	assert_int_equal(process_stop(&process), 0);
	check_good();
	const char *end = strstr(text.ptr, "end LSN ");
	assert_non_null(end);
	uint64_t at = strtoull(end + strlen("end LSN "), NULL, 10);
	for (unsigned i = 0; i < 3; i++) {
		static const uint64_t beyond[] = { 0, 8, UINT64_C(1) << 40 };
		snprintf(lsn, sizeof lsn, "%llu", (unsigned long long)(at + beyond[i]));
		text.len = 0;
		int status = program_run(words, &text);
		buf_char(&text, '\0');
		assert_int_equal(status, i ? 1 : 0);
		assert_null(strstr(text.ptr, "damage"));
		assert_true(!i == !strstr(text.ptr, "is beyond the end of the log"));
	}
}

static void locks_the_directory(void **state)
{
	(void)state;
	char wanted[32], path[PATH_SIZE];
	struct process second = process;
	process.prepare = umask_none;
	start(4);
	visits(0, 5);
	/* The second one has its own folder for what it says, and the first one's data. */
	snprintf(second.folder, sizeof second.folder, "%.*s/second", FOLDER_PATH - 8, process.folder);
	assert_int_equal(mkdir(second.folder, 0700), 0);
	snprintf(path, sizeof path, "%s/data", process.folder);
	const char *options[] = { "--data", path, NULL };
	if (process_start(&second, 1, options)) {
		process_kill(&second);
		fail_msg("a second server runs on the same data");
	}
	assert_true(WIFEXITED(second.status) && WEXITSTATUS(second.status) != 0);
	snprintf(path, sizeof path, "%s/log", second.folder);
	text.len = 0;
	file_read(path, &text);
	buf_char(&text, '\0');
	snprintf(wanted, sizeof wanted, "process %ld", (long)process.pid);
	if (!strstr(text.ptr, wanted))
		fail_msg("\"%s\" is not in: %s", wanted, text.ptr);
	balance_expect(5);
	mode_expect("", 0700);
	mode_expect("/log", 0700);
	mode_expect("/lock", 0600);
	snprintf(path, sizeof path, "%s/data/log", process.folder);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	unsigned segments = 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		char name[300];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "/log/%s", entry->d_name);
		/* One that is being made may get its name between the two looks. */
		if (!strstr(name, ".tmp"))
			mode_expect(name, 0600), segments++;
	}
	closedir(folder);
	assert_true(segments > 0);
	/* The lock ends with the process, however it ends. */
	process_kill(&process);
	start(1);
	balance_expect(5);
	assert_int_equal(process_stop(&process), 0);
	process.prepare = NULL;
}

/* In the child: a small file system of its own below data, with a ballast in it. */
static void disk_small(const char *folder)
{
	char data[PATH_SIZE], ballast[PATH_SIZE + 16];
	snprintf(data, sizeof data, "%s/data", folder);
	mkdir(data, 0700);
	if ((unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS)) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("tally", data, "tmpfs", 0, "size=8m,mode=0700"))
		_exit(99);
	snprintf(ballast, sizeof ballast, "%s/ballast", data);
	int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || fallocate(fd, 0, 0, 4 * MIB))
		_exit(99);
	close(fd);
}

static void refuses_on_a_full_disk(void **state)
{
	(void)state;
	struct connection connection;
	unsigned accepted = 0, more;
	int status = 0;
	process.prepare = disk_small;
	if (!process_start(&process, 4, small)) {
		if (!WIFEXITED(process.status) || WEXITSTATUS(process.status) != 99) {
			said();
			fail_msg("the server does not start: %s", text.ptr);
		}
		process.prepare = NULL;
		puts("# no small file system can be mounted here: skipped");
		skip();
	}
	assert_true(connection_open(&connection, process.port));
	configure(&connection);
	while (accepted < 5000 && (status = visit(&connection, accepted, 4000)) == 201)
		accepted++;
	if (status != 507 && status != 503)
		fail_msg("after %u events on a full disk: %d %.*s", accepted, status, (int)answer.len, answer.ptr);
	printf("# full after %u events: %d %.*s\n", accepted, status, (int)answer.len, answer.ptr);
	/* Everything else goes on. */
	assert_int_equal(balance(&connection), accepted);
	assert_int_equal(visit(&connection, 0, 4000), 200);
	assert_int_equal(connection_ask(&connection, "GET", "/livez", STR(""), &answer), 200);
	/* Room comes back, and writing with it. */
	char path[PATH_SIZE + 40];
	snprintf(path, sizeof path, "/proc/%ld/root%s/data/ballast", (long)process.pid, process.folder);
	assert_int_equal(unlink(path), 0);
	status = 0;
	for (uint64_t until = clock_us() + 20000000; status != 201 && clock_us() < until; usleep(20000))
		status = visit(&connection, accepted, 4000);
	assert_int_equal(status, 201);
	for (more = 1; more < 50; more++)
		assert_int_equal(visit(&connection, accepted + more, 4000), 201);
	assert_int_equal(balance(&connection), accepted + more);
	connection_close(&connection);
	assert_int_equal(process_stop(&process), 0);
	process.prepare = NULL;
}

static int set_up(void **state)
{
	(void)state;
	folder_make(process.folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	process_kill(&process);
	folder_remove(process.folder);
	buf_free(&text);
	buf_free(&answer);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_a_flipped_byte, set_up, tear_down),
		cmocka_unit_test_setup_teardown(cuts_a_torn_tail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(logs_from_beyond_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(locks_the_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refuses_on_a_full_disk, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
