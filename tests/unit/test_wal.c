// SPDX-License-Identifier: Apache-2.0
/* test_wal.c - the log: what was acknowledged is there after every kind of end, and nothing else comes back.
 *
 * A crash is a child process that leaves without closing.  Damage is done to the files between two openings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "wal/frame.h"
#include "wal/segment.h"
#include "wal/wal.h"

enum { MIB = 1 << 20, RING = 256 << 10, LEFT = 77, FATAL = 42 };

static char folder[200];
static char said[4000];                /* log lines, one after the other */

static void on_log(void *context, const char *level, const char *message)
{
	(void)context;
	size_t n = strlen(said);
	snprintf(said + n, sizeof(said) - n, "%s: %s\n", level, message);
}

static void on_fatal(void *context, const char *message)
{
	(void)context;
	fprintf(stderr, "fatal: %s\n", message);
	_exit(FATAL);
}

static struct wal_options plain(unsigned producers)
{
	return (struct wal_options){ .dir = folder, .segment_size = MIB, .ring_size = RING, .producers = producers,
				     .log = on_log, .fatal = on_fatal };
}

static void folder_empty(void)
{
	DIR *stream = opendir(folder);
	for (struct dirent *entry; stream && (entry = readdir(stream)) != NULL;)
		unlinkat(dirfd(stream), entry->d_name, 0);
	if (stream)
		closedir(stream);
}

static int set_up(void **state)
{
	(void)state;
	const char *temporary = getenv("TMPDIR");
	snprintf(folder, sizeof(folder), "%s/test-wal-XXXXXX", temporary ? temporary : "/tmp");
	said[0] = 0;
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	folder_empty();
	return rmdir(folder);
}

static void path_of(char path[300], uint64_t base)
{
	snprintf(path, 300, "%s/%016" PRIx64 ".log", folder, base);
}

static void file_write(uint64_t base, uint64_t offset, const void *bytes, size_t size)
{
	char path[300];
	path_of(path, base);
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
	close(fd);
}

static void file_read(uint64_t base, uint64_t offset, void *bytes, size_t size)
{
	char path[300];
	path_of(path, base);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, size, (off_t)offset), size);
	close(fd);
}

/* What replay saw: numbers in the bodies' first 8 bytes, summed and in order. */
struct seen {
	uint64_t count, next, lsn[64];
	bool ordered;
	unsigned kinds[4];
};

static bool look(void *context, const struct wal_frame *frame)
{
	struct seen *seen = context;
	seen->kinds[frame->kind]++;
	if (frame->kind != WAL_FRAME_RECORDS)
		return true;
	uint64_t number = get_u64(frame->body);
	if (seen->count == 0)
		seen->ordered = true;
	seen->ordered = seen->ordered && number == seen->next;
	seen->next = number + 1;
	if (seen->count < 64)
		seen->lsn[seen->count] = frame->lsn;
	seen->count++;
	for (uint32_t i = 8; i < frame->body_size; i++)
		if (frame->body[i] != (unsigned char)(number + i))
			return false;
	return true;
}

static struct wal *open_good(const struct wal_options *options, struct seen *seen)
{
	struct buf error = { 0 };
	*seen = (struct seen){ 0 };
	struct wal *wal = wal_open(options, 0, look, seen, &error);
	if (!wal)
		fail_msg("wal_open: %.*s", (int)error.len, error.ptr);
	assert_int_equal(error.len, 0);
	return wal;
}

static uint64_t append(struct wal_producer *producer, uint64_t number, uint32_t size)
{
	unsigned char *body;
	uint64_t lsn = wal_append_begin(producer, size, &body);
	assert_int_equal(lsn % 8, 0);
	put_u64(body, number);
	for (uint32_t i = 8; i < size; i++)
		body[i] = (unsigned char)(number + i);
	return wal_append_publish(producer, (int64_t)number, frame_hash(body, size));
}

/* Appends numbers [from, to), stepping whenever the ring is full, and at the end until all is durable. */
static void fill(struct wal *wal, uint64_t from, uint64_t to, uint32_t size)
{
	struct wal_producer *producer = wal_producer_at(wal, 0);
	for (uint64_t i = from; i < to; i++) {
		while (wal_credit(producer, size) != WAL_ROOM)
			if (!wal_step(wal, false))
				usleep(1000);
		append(producer, i, size);
	}
	while (wal_step(wal, false))
		;
	assert_int_equal(wal_durable(wal), wal_appended(wal));
}

/* Runs in a child that ends without closing the log. */
static void crash(const struct wal_options *options, uint64_t from, uint64_t to, uint32_t size)
{
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct seen seen;
		struct wal *wal = open_good(options, &seen);
		fill(wal, from, to, size);
		_exit(LEFT);
	}
	int status;
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == LEFT);
}

/* Verifies; `damage` is the expected piece of the error, NULL: none. */
static void verify(struct seen *seen, const char *damage, const char *torn)
{
	struct buf error = { 0 }, tail = { 0 };
	*seen = (struct seen){ 0 };
	bool good = wal_verify(folder, 0, look, seen, &error, &tail);
	buf_char(&error, 0);
	buf_char(&tail, 0);
	if (good != !damage || (damage && !strstr(error.ptr, damage)) || (torn && !strstr(tail.ptr, torn)) ||
	    (!torn && tail.ptr[0]))
		fail_msg("verify: error '%s', torn '%s', expected '%s', '%s'", error.ptr, tail.ptr, damage ? damage : "",
			 torn ? torn : "");
	buf_free(&error);
	buf_free(&tail);
}

static void open_refused(const struct wal_options *options, uint64_t from, const char *text)
{
	struct buf error = { 0 };
	struct seen seen = { 0 };
	struct wal *wal = wal_open(options, from, look, &seen, &error);
	buf_char(&error, 0);
	assert_null(wal);
	if (!strstr(error.ptr, text))
		fail_msg("'%s' is not in '%s'", text, error.ptr);
	buf_free(&error);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (int direct = 0; direct < 2; direct++) {
		folder_empty();
		struct wal_options options = plain(1);
		options.direct = direct;
		struct seen seen;
		struct wal *wal = open_good(&options, &seen);
		assert_int_equal(seen.count, 0);
		assert_int_equal(wal_epoch(wal), 1);
		assert_int_equal(wal_first(wal), 0);
		uint64_t start = wal_durable(wal);
		fill(wal, 0, 10, 123);
		unsigned char body[123];
		assert_true(wal_read(wal, start + WAL_FRAME_HEADER, body, sizeof(body)));
		assert_int_equal(get_u64(body), 0);
		assert_int_equal(body[122], 122);
		assert_false(wal_read(wal, wal_durable(wal) - 1, body, 2));
		assert_false(wal_read(wal, UINT64_MAX, body, 2));
		wal_close(wal);

		wal = open_good(&options, &seen);
		assert_int_equal(seen.count, 10);
		assert_true(seen.ordered);
		assert_int_equal(wal_epoch(wal), 2);
		assert_true(wal_last_time(wal) > 1000000);     /* the opening frame's wall clock */
		fill(wal, 10, 20, 8);
		struct wal_stats stats;
		wal_stats(wal, &stats);
		assert_true(stats.writes >= 2 && stats.bytes >= 8192);
		wal_close(wal);
		verify(&seen, NULL, NULL);
		assert_int_equal(seen.count, 20);
		assert_int_equal(seen.kinds[WAL_FRAME_OPEN], 2);
		assert_int_equal(seen.kinds[WAL_FRAME_MARK], 2);
	}
}

static void test_from(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	fill(wal, 0, 3000, 1000);                      /* three segments */
	uint64_t from = wal_durable(wal);
	fill(wal, 3000, 3010, 1000);
	uint64_t end = wal_durable(wal);
	wal_close(wal);
	struct buf error = { 0 };
	seen = (struct seen){ .next = 3000 };
	wal = wal_open(&options, from, look, &seen, &error);
	assert_non_null(wal);
	assert_int_equal(seen.count, 10);
	assert_true(seen.ordered);
	wal_close(wal);
	open_refused(&options, end + 10 * MIB, "known to reach");
}

/* Every record of the running log is asked for by its LSN, with one byte of its frame flipped, and without. */
static void test_check(void **state)
{
	(void)state;
	static const uint32_t sizes[] = { 8, 100, 5000, 60000 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		folder_empty();
		said[0] = 0;
		struct wal_options options = plain(1);
		struct seen seen;
		struct wal *wal = open_good(&options, &seen);
		uint64_t first = wal_durable(wal), size = frame_size(sizes[i]);
		fill(wal, 0, 6, sizes[i]);
		for (uint64_t k = 0; k < 6; k++) {
			uint64_t lsn = first + k * size + WAL_FRAME_HEADER, last = lsn + (sizes[i] - 1) / 8 * 8;
			uint64_t hurt = k % 2 ? lsn - 4 : lsn + sizes[i] / 2;          /* in the header, in the body */
			unsigned char byte;
			file_read(0, hurt, &byte, 1);
			byte ^= 16;
			file_write(0, hurt, &byte, 1);
			assert_false(wal_check(wal, last));
			char wanted[80];
			snprintf(wanted, sizeof(wanted), "damage at LSN %" PRIu64 ", file 0000000000000000.log", k % 2 ? last : lsn - 48);
			if (!strstr(said, wanted))
				fail_msg("'%s' is not in '%s'", wanted, said);
			said[0] = 0;
			byte ^= 16;
			file_write(0, hurt, &byte, 1);
			assert_true(wal_check(wal, last));
			assert_true(wal_check(wal, lsn) && wal_holds(wal, lsn));
			assert_string_equal(said, "");
		}
		assert_false(wal_check(wal, wal_durable(wal)));
		assert_false(wal_check(wal, 0));
		assert_false(wal_holds(wal, 0));
		assert_false(wal_holds(wal, wal_durable(wal)));
		assert_false(wal_check(wal, first + WAL_FRAME_HEADER + 1));
		wal_close(wal);
	}
}

/* A body that looks like frames: neither does it make good what is damaged, nor does it spoil what is whole. */
static void test_check_mimicry(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	struct wal_producer *producer = wal_producer_at(wal, 0);
	unsigned char *body;
	assert_int_equal(wal_credit(producer, 400), WAL_ROOM);
	uint64_t lsn = wal_append_begin(producer, 400, &body);
	memset(body, 0, 400);
	struct wal_frame false_one = { .lsn = lsn + 80, .size = frame_size(200), .body_size = 200, .epoch = 1,
				       .kind = WAL_FRAME_RECORDS, .time_ms = 1000 };
	frame_stamp(body + 80, &false_one, 12345);
	wal_append_publish(producer, 1000, frame_hash(body, 400));
	while (wal_step(wal, false))
		;
	assert_true(wal_check(wal, lsn + 80 + WAL_FRAME_HEADER + 16));
	assert_string_equal(said, "");
	wal_close(wal);
}

static void test_segments(void **state)
{
	(void)state;
	static const uint32_t sizes[] = { 8, 16, 100, 1001, 8000, 65000 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		folder_empty();
		struct wal_options options = plain(1);
		uint64_t count = 5 * MIB / 2 / (sizes[i] + 48);
		struct seen seen;
		struct wal *wal = open_good(&options, &seen);
		fill(wal, 0, count, sizes[i]);
		unsigned char bytes[WAL_FRAME_HEADER];
		assert_true(wal_read(wal, MIB - 10, bytes, 20));       /* over a segment's end */
		wal_close(wal);
		options.segment_size = 2 * MIB;                        /* counts from the next segment on */
		wal = open_good(&options, &seen);
		assert_int_equal(seen.count, count);
		assert_true(seen.ordered);
		fill(wal, count, 3 * count, sizes[i]);
		wal_close(wal);
		verify(&seen, NULL, NULL);
		assert_int_equal(seen.count, 3 * count);
		assert_true(seen.ordered);
		struct stat stat_2, stat_3;
		char path[300];
		path_of(path, 2 * MIB);
		assert_int_equal(stat(path, &stat_2), 0);
		path_of(path, 3 * MIB);
		assert_int_equal(stat(path, &stat_3), 0);
		assert_int_equal(stat_2.st_size, MIB);
		assert_int_equal(stat_3.st_size, 2 * MIB);
		assert_int_equal(stat_2.st_mode & 0777, 0600);
	}
}

static void test_credit(void **state)
{
	(void)state;
	struct wal_options options = plain(3);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	uint32_t most = wal_frame_max(wal);
	assert_true(most >= RING / 8 && most <= RING / 4);
	struct wal_producer *a = wal_producer_at(wal, 0), *b = wal_producer_at(wal, 1), *c = wal_producer_at(wal, 2);
	assert_int_equal(wal_credit(a, most), WAL_ROOM);
	assert_int_equal(wal_credit(b, most), WAL_RING_FULL);  /* an opening frame is in the first block */
	assert_int_equal(wal_credit(b, 1000), WAL_ROOM);
	wal_credit_drop(a);
	assert_int_equal(wal_credit(c, most), WAL_ROOM);
	uint64_t durable = wal_durable(wal);
	/* b takes room and keeps it: what c publishes behind is not complete. */
	unsigned char *body;
	wal_append_begin(b, 8, &body);
	append(c, 1, 16);
	assert_false(wal_step(wal, true));
	assert_int_equal(wal_durable(wal), durable);
	put_u64(body, 0);
	wal_append_publish(b, 0, frame_hash(body, 8));
	assert_true(wal_step(wal, false));
	assert_int_equal(wal_durable(wal), wal_appended(wal));
	unsigned rounds = 0;
	while (wal_credit(a, 8) == WAL_ROOM)
		append(a, 2 + rounds++, 8);
	assert_true(rounds > RING / 56 - 100);
	assert_true(wal_step(wal, false));
	assert_int_equal(wal_credit(a, most), WAL_ROOM);
	wal_credit_drop(a);
	wal_close(wal);
	wal = open_good(&options, &seen);
	assert_int_equal(seen.count, rounds + 2);
	assert_true(seen.ordered);
	wal_close(wal);
}

enum { PRODUCERS = 4, EACH = 25000 };

struct crowd {
	struct wal *wal;
	unsigned index;
	atomic_uint *left;
};

static void *crowd_append(void *argument)
{
	struct crowd *crowd = argument;
	struct wal_producer *producer = wal_producer_at(crowd->wal, crowd->index);
	uint32_t random = crowd->index + 1;
	for (uint32_t i = 0; i < EACH; i++) {
		random = random * 1664525 + 1013904223;
		uint32_t size = 8 + (random >> 24), bound = size + (random >> 8) % 64;
		while (wal_credit(producer, bound) != WAL_ROOM)
			usleep(50);
		if (random % 16 == 0) {
			wal_credit_drop(producer);
			i--;
			continue;
		}
		unsigned char *body;
		wal_append_begin(producer, size, &body);
		put_u32(body, crowd->index);
		put_u32(body + 4, i);
		memset(body + 8, (int)(i & 0xff), size - 8);
		wal_append_publish(producer, i, frame_hash(body, size));
	}
	atomic_fetch_sub(crowd->left, 1);
	return NULL;
}

static void *crowd_step(void *argument)
{
	struct crowd *crowd = argument;
	for (unsigned round = 0; atomic_load(crowd->left) > 1; round++)
		if (!wal_step(crowd->wal, round % 64 == 0))
			usleep(20);
	while (wal_step(crowd->wal, false))
		;
	atomic_store(crowd->left, 0);
	return NULL;
}

struct tally {
	uint32_t next[PRODUCERS];
};

static bool tally_take(struct tally *tally, const unsigned char *body, uint32_t size)
{
	uint32_t index = get_u32(body), number = get_u32(body + 4);
	if (index >= PRODUCERS || number != tally->next[index])
		return false;
	tally->next[index]++;
	for (uint32_t i = 8; i < size; i++)
		if (body[i] != (unsigned char)number)
			return false;
	return true;
}

static bool tally_frame(void *context, const struct wal_frame *frame)
{
	return tally_take(context, frame->body, frame->body_size);
}

/* A tail: reads behind the durable LSN while the others write. */
static uint64_t crowd_tail(struct wal *wal, atomic_uint *left, struct tally *tally)
{
	uint64_t lsn = 0;
	for (;;) {
		bool last = atomic_load(left) == 0;
		uint64_t durable = wal_durable(wal);
		while (lsn < durable) {
			unsigned char bytes[400];
			uint64_t room = MIB - lsn % MIB, hash;
			const char *why;
			struct wal_frame frame;
			if (room < WAL_FRAME_HEADER) {
				lsn += room;
				continue;
			}
			assert_true(wal_read(wal, lsn, bytes, WAL_FRAME_HEADER));
			assert_int_equal(frame_header(bytes, lsn, room, &frame, &hash, &why), FRAME_GOOD);
			if (frame.kind == WAL_FRAME_RECORDS) {
				assert_true(wal_read(wal, lsn + WAL_FRAME_HEADER, bytes, frame.body_size));
				assert_true(tally_take(tally, bytes, frame.body_size));
			}
			lsn += frame.size;
		}
		if (last)
			return lsn;
		usleep(100);
	}
}

static void test_crowd(void **state)
{
	(void)state;
	struct wal_options options = plain(PRODUCERS);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	pthread_t threads[PRODUCERS + 1];
	struct crowd crowd[PRODUCERS + 1];
	atomic_uint left = PRODUCERS + 1;
	for (unsigned i = 0; i <= PRODUCERS; i++) {
		crowd[i] = (struct crowd){ wal, i, &left };
		assert_int_equal(pthread_create(&threads[i], NULL, i < PRODUCERS ? crowd_append : crowd_step, &crowd[i]), 0);
	}
	struct tally tally = { 0 };
	uint64_t read = crowd_tail(wal, &left, &tally);
	for (unsigned i = 0; i <= PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(read, wal_appended(wal));
	for (unsigned i = 0; i < PRODUCERS; i++)
		assert_int_equal(tally.next[i], EACH);
	wal_close(wal);
	tally = (struct tally){ 0 };
	struct buf error = { 0 };
	wal = wal_open(&options, 0, tally_frame, &tally, &error);
	assert_non_null(wal);
	for (unsigned i = 0; i < PRODUCERS; i++)
		assert_int_equal(tally.next[i], EACH);
	wal_close(wal);
}

static void test_torn_everywhere(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	crash(&options, 0, 5, 61);
	struct seen seen;
	verify(&seen, NULL, NULL);
	assert_int_equal(seen.count, 5);
	uint64_t start = seen.lsn[4], end = start + frame_size(61);
	unsigned char image[WAL_BLOCK], zeros[WAL_BLOCK] = { 0 };
	file_read(0, 0, image, sizeof(image));
	for (uint64_t at = start; at < start + WAL_FRAME_HEADER + 61; at++) {
		file_write(0, 0, image, sizeof(image));
		file_write(0, at, zeros, end - at);
		char place[100];
		snprintf(place, sizeof(place), "LSN %" PRIu64 ", file 0000000000000000.log", start);
		verify(&seen, NULL, at == start ? NULL : place);
		assert_int_equal(seen.count, 4);
		said[0] = 0;
		if (at % 8 != 0)                       /* opening makes files: not for every byte */
			continue;
		struct wal *wal = open_good(&options, &seen);
		assert_int_equal(seen.count, 4);
		assert_true(at == start ? !said[0] : strstr(said, place) && strstr(said, "cut"));
		fill(wal, 4, 6, 61);
		wal_close(wal);
		verify(&seen, NULL, NULL);
		assert_int_equal(seen.count, 6);
		assert_true(seen.ordered);
		/* Back to how it was: the next round's image has epoch 1 only. */
		unsigned char nothing[2 * WAL_BLOCK] = { 0 };
		file_write(0, 0, nothing, sizeof(nothing));
	}
}

static void test_damage_everywhere(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	fill(wal, 0, 5, 61);
	wal_close(wal);
	verify(&seen, NULL, NULL);
	uint64_t start = seen.lsn[2];
	char place[100];
	snprintf(place, sizeof(place), "damage at LSN %" PRIu64 ", file 0000000000000000.log, ", start);
	for (uint64_t at = start; at < start + frame_size(61); at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			unsigned char byte, flipped;
			file_read(0, at, &byte, 1);
			flipped = byte ^ (unsigned char)(1u << bit);
			file_write(0, at, &flipped, 1);
			verify(&seen, place, NULL);
			assert_int_equal(seen.count, 2);
			if (bit == at % 8)
				open_refused(&options, 0, place);
			file_write(0, at, &byte, 1);
		}
	verify(&seen, NULL, NULL);
}

/* No mark behind, but more than one write reaches; or a later segment. */
static void test_damage_without_mark(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	crash(&options, 0, 300, 2000);
	struct seen seen;
	verify(&seen, NULL, NULL);
	unsigned char wrong = 0x55;
	file_write(0, seen.lsn[3] + 100, &wrong, 1);
	verify(&seen, "one write reaches", NULL);
	folder_empty();
	crash(&options, 0, 600, 2000);
	verify(&seen, NULL, NULL);
	unsigned char zeros[WAL_BLOCK] = { 0 };
	file_write(0, MIB - WAL_BLOCK, zeros, WAL_BLOCK);
	verify(&seen, "a later segment", NULL);
}

static void test_files_missing(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	crash(&options, 0, 2000, 2000);
	char path[300];
	struct seen seen;
	path_of(path, MIB);
	char aside[310];
	snprintf(aside, sizeof(aside), "%s.x", path);
	assert_int_equal(rename(path, aside), 0);
	verify(&seen, "file 0000000000100000.log is missing", NULL);
	open_refused(&options, 0, "file 0000000000100000.log is missing");
	assert_int_equal(rename(aside, path), 0);
	verify(&seen, NULL, NULL);
	path_of(path, 0);
	assert_int_equal(rename(path, aside), 0);
	open_refused(&options, 0, "files before it are gone");
	assert_int_equal(rename(aside, path), 0);
	/* All later files gone: the filler at the first one's end says that there was one. */
	for (uint64_t base = MIB; base < 8 * MIB; base += MIB) {
		path_of(path, base);
		unlink(path);
	}
	verify(&seen, "the next segment is missing", NULL);
	path_of(path, 0);
	assert_int_equal(truncate(path, MIB / 2), 0);
	verify(&seen, "shortened", NULL);
}

static void test_stale(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	crash(&options, 0, 5, 61);
	struct seen seen;
	verify(&seen, NULL, NULL);
	uint64_t third = seen.lsn[2], size = frame_size(61);
	unsigned char zeros[2 * 112] = { 0 };
	assert_int_equal(size, 112);
	file_write(0, third, zeros, 2 * size);         /* the fifth one stays: written, never acknowledged */
	file_write(0, 3 * WAL_BLOCK + 16, "more of the torn write", 22);       /* in a block that nothing rewrites */
	verify(&seen, NULL, "torn tail");
	assert_int_equal(seen.count, 2);

	/* The new frames, 80 bytes of opening frame and 144, end exactly where it stands. */
	crash(&options, 2, 3, 96);
	verify(&seen, NULL, NULL);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.lsn[2] + frame_size(96), third + 2 * size);

	/* Even if the old bytes came back where the log now ends, an earlier epoch ends it. */
	folder_empty();
	crash(&options, 0, 2, 61);
	crash(&options, 2, 2, 61);
	unsigned char frame[112] = { 0 };
	struct wal_frame stale = { .size = 112, .body_size = 61, .epoch = 1, .kind = WAL_FRAME_RECORDS, .time_ms = 5 };
	stale.lsn = third + 80;
	put_u64(frame + 48, 2);
	for (unsigned i = 8; i < 61; i++)
		frame[48 + i] = (unsigned char)(2 + i);
	frame_stamp(frame, &stale, frame_hash(frame + 48, 61));
	file_write(0, stale.lsn, frame, sizeof(frame));
	verify(&seen, NULL, "stale frame");
	assert_int_equal(seen.count, 2);
	struct wal *wal = open_good(&options, &seen);
	assert_non_null(strstr(said, "cut: torn tail"));
	assert_int_equal(seen.count, 2);
	assert_int_equal(wal_epoch(wal), 3);
	wal_close(wal);
	verify(&seen, NULL, NULL);
}

static void test_mark(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	assert_false(wal_step(wal, true));             /* nothing since the opening frame */
	fill(wal, 0, 3, 61);
	verify(&seen, NULL, NULL);                     /* a running log can be verified */
	assert_int_equal(seen.kinds[WAL_FRAME_MARK], 0);
	assert_true(wal_step(wal, true));
	assert_false(wal_step(wal, true));
	verify(&seen, NULL, NULL);
	assert_int_equal(seen.kinds[WAL_FRAME_MARK], 1);
	wal_close(wal);
	verify(&seen, NULL, NULL);
	assert_int_equal(seen.kinds[WAL_FRAME_MARK], 1);
}

static void test_in_use(void **state)
{
	(void)state;
	struct wal_options options = plain(1);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	open_refused(&options, 0, "in use");
	wal_close(wal);
	options.ring_size = 3 * 65536;
	open_refused(&options, 0, "power of two");
}

static atomic_bool full, broken_write, broken_sync;
static atomic_uint calls;

static int allocate_hook(int fd, off_t size)
{
	if (atomic_load(&full)) {
		errno = ENOSPC;
		return -1;
	}
	return fallocate(fd, 0, 0, size);
}

static ssize_t write_hook(int fd, const struct iovec *iov, int count, off_t offset)
{
	(void)count;
	if (atomic_load(&broken_write)) {
		errno = EIO;
		return -1;
	}
	unsigned call = atomic_fetch_add(&calls, 1);
	if (call % 5 == 0) {
		errno = EINTR;
		return -1;
	}
	size_t most = 1 + call * 977 % 9000;           /* short, at odd places */
	if (iov[0].iov_len > 16384)
		most += iov[0].iov_len / 2;
	return pwrite(fd, iov[0].iov_base, iov[0].iov_len < most ? iov[0].iov_len : most, offset);
}

static int sync_hook(int fd)
{
	if (atomic_load(&broken_sync)) {
		errno = EIO;
		return -1;
	}
	return fdatasync(fd);
}

static void test_disk_full(void **state)
{
	(void)state;
	struct wal_io before = wal_io;
	wal_io.allocate = allocate_hook;
	struct wal_options options = plain(1);
	options.log = NULL;                            /* comes from another thread */
	struct seen seen;
	atomic_store(&full, true);
	open_refused(&options, 0, "cannot be made");
	atomic_store(&full, false);
	struct wal *wal = open_good(&options, &seen);
	atomic_store(&full, true);
	struct wal_producer *producer = wal_producer_at(wal, 0);
	uint64_t number = 0;
	enum wal_room room;
	while ((room = wal_credit(producer, 20000)) != WAL_DISK_FULL) {
		if (room == WAL_ROOM)
			append(producer, number++, 20000);
		else if (!wal_step(wal, false))
			usleep(1000);
	}
	assert_true(wal_disk_full(wal));
	while (wal_step(wal, false))
		;
	assert_int_equal(wal_durable(wal), wal_appended(wal));
	atomic_store(&full, false);
	for (int i = 0; i < 500 && (room = wal_credit(producer, 20000)) != WAL_ROOM; i++)
		usleep(10000);
	assert_int_equal(room, WAL_ROOM);
	assert_false(wal_disk_full(wal));
	append(producer, number++, 20000);
	wal_close(wal);
	wal_io = before;
	wal = open_good(&options, &seen);
	assert_int_equal(seen.count, number);
	assert_true(seen.ordered);
	wal_close(wal);
}

static void test_short_writes(void **state)
{
	(void)state;
	struct wal_io before = wal_io;
	wal_io.write = write_hook;
	struct wal_options options = plain(1);
	struct seen seen;
	struct wal *wal = open_good(&options, &seen);
	fill(wal, 0, 3000, 777);
	wal_close(wal);
	wal_io = before;
	wal = open_good(&options, &seen);
	assert_int_equal(seen.count, 3000);
	assert_true(seen.ordered);
	wal_close(wal);
}

/* A failed write or sync ends the process, and what was durable before is there. */
static void test_failed_write(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		folder_empty();
		struct wal_options options = plain(1);
		struct seen seen;
		fflush(NULL);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			wal_io.write = write_hook;
			wal_io.sync = sync_hook;
			struct wal *wal = open_good(&options, &seen);
			fill(wal, 0, 4, 61);
			while (access(folder, F_OK) == 0) {    /* the next segment first: its failure would count too */
				char path[300];
				path_of(path, MIB);
				if (access(path, F_OK) == 0)
					break;
				usleep(1000);
			}
			atomic_store(kind ? &broken_sync : &broken_write, true);
			fill(wal, 4, 5, 61);
			_exit(LEFT);
		}
		int status;
		waitpid(child, &status, 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), FATAL);
		struct wal *wal = open_good(&options, &seen);
		assert_true(seen.count >= 4 && seen.ordered);
		wal_close(wal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_from, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_check_mimicry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_segments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_credit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_crowd, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_torn_everywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage_everywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage_without_mark, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_files_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stale, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mark, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_in_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disk_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_short_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_write, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
