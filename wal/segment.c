// SPDX-License-Identifier: Apache-2.0
/* segment.c - files of the log.
 *
 * Making a file reserves its room first (a full disk is found out cheaply and leaves nothing behind), then writes real
 * zeros: into space that is only reserved, durable writes take twice as long.
 */
#include "wal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "wal/files.h"
#include "wal/wal.h"

enum { CHUNK = SEGMENT_PORTION, CHUNKS_A_SYNC = 32 };

void segment_name(char name[SEGMENT_NAME], uint64_t base, const char *suffix)
{
	snprintf(name, SEGMENT_NAME, "%016" PRIx64 ".%s", base, suffix);
}

static bool name_base(const char *name, uint64_t *base)
{
	if (strlen(name) != 20 || strcmp(name + 16, ".log") != 0 || strspn(name, "0123456789abcdef") != 16)
		return false;
	*base = strtoull(name, NULL, 16);
	return true;
}

static int by_base(const void *a, const void *b)
{
	uint64_t x = ((const struct segment *)a)->base, y = ((const struct segment *)b)->base;
	return (x > y) - (x < y);
}

void segments_add(struct segments *list, uint64_t base, uint64_t size)
{
	if (list->count == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 16;
		list->at = mem_realloc(list->at, list->cap * sizeof(*list->at));
	}
	list->at[list->count++] = (struct segment){ base, size, -1 };
}

void segments_free(struct segments *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->at[i].fd >= 0)
			wal_io.close(list->at[i].fd);
	mem_free(list->at);
	list->at = NULL;
	list->count = list->cap = 0;
}

static bool segments_check(const struct segments *list, struct buf *error)
{
	char name[SEGMENT_NAME];
	for (size_t i = 0; i < list->count; i++) {
		const struct segment *s = &list->at[i];
		segment_name(name, s->base, "log");
		if (s->base % WAL_BLOCK || !s->size || s->size % WAL_BLOCK || s->base > UINT64_MAX / 2 ||
		    s->size > UINT64_MAX / 4) {
			buf_printf(error, "damage: file %s (LSN %" PRIu64 ") has %" PRIu64 " bytes, which no segment has",
				   name, s->base, s->size);
			return false;
		}
		if (i + 1 == list->count || s->base + s->size == list->at[i + 1].base)
			continue;
		uint64_t end = s->base + s->size, next = list->at[i + 1].base;
		if (end < next) {
			char missing[SEGMENT_NAME];
			segment_name(missing, end, "log");
			buf_printf(error, "damage: file %s is missing or %s was shortened: %" PRIu64
				   " bytes from LSN %" PRIu64 " are not there", missing, name, next - end, end);
		} else {
			buf_printf(error, "damage: file %s (LSN %" PRIu64 ", %" PRIu64 " bytes) reaches over the next one,"
				   " which begins at LSN %" PRIu64, name, s->base, s->size, next);
		}
		return false;
	}
	return true;
}

struct listing {
	struct segments *list;
	struct buf *error;
	bool failed;
};

static bool list_entry(void *context, const char *name)
{
	struct listing *listing = context;
	uint64_t base;
	if (!name_base(name, &base))
		return true;
	int64_t size = wal_io.size(listing->list->dir, name);
	if (size < 0) {
		buf_printf(listing->error, "file %s: %s", name, strerror(errno));
		listing->failed = true;
		return false;
	}
	segments_add(listing->list, base, (uint64_t)size);
	return true;
}

bool segments_list(struct segments *list, int dir, struct buf *error)
{
	*list = (struct segments){ .dir = dir };
	struct listing listing = { .list = list, .error = error };
	int result = wal_io.list(dir, list_entry, &listing);
	if (listing.failed)
		return false;
	if (result != 0) {
		buf_printf(error, "the log's folder cannot be listed: %s", strerror(errno));
		return false;
	}
	if (list->count)
		qsort(list->at, list->count, sizeof(*list->at), by_base);
	return segments_check(list, error);
}

size_t segments_find(const struct segments *list, uint64_t lsn)
{
	size_t low = 0, high = list->count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (list->at[mid].base + list->at[mid].size <= lsn)
			low = mid + 1;
		else
			high = mid;
	}
	return low < list->count && list->at[low].base <= lsn ? low : list->count;
}

static bool sweep_entry(void *context, const char *name)
{
	const int *dir = context;
	if (strlen(name) == 20 && strcmp(name + 16, ".tmp") == 0 && strspn(name, "0123456789abcdef") == 16)
		wal_io.unlink(*dir, name);
	return true;
}

void segments_sweep(int dir)
{
	wal_io.list(dir, sweep_entry, &dir);
}

static int fill_with_zeros(int fd, uint64_t size, segment_pace_fn *pace, void *context)
{
	if (wal_io.allocate(fd, (off_t)size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
		return errno;
	/* Past the page cache where the file system allows it: a copy of zeros there would only push out what is of use. */
	static _Alignas(WAL_BLOCK) unsigned char zeros[CHUNK];
	int failed = 0;
	unsigned chunks = 0;
	bool direct = wal_io.direct(fd, true) == 0;
	for (uint64_t at = 0; at < size && !failed;) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
		failed = pace && !pace(context, at, size) ? ECANCELED : files_write(fd, zeros, n, at);
		if (failed == EINVAL && direct) {
			direct = false;
			failed = 0;
			if (wal_io.direct(fd, false) != 0)
				return errno;
			continue;
		}
		at += n;
		if (!failed && (++chunks % CHUNKS_A_SYNC == 0 || at == size))
			failed = files_sync_data(fd);        /* in portions: the log's own writes go on meanwhile */
	}
	return failed;
}

int segment_make(int dir, uint64_t base, uint64_t size, segment_pace_fn *pace, void *context)
{
	char temporary[SEGMENT_NAME], name[SEGMENT_NAME];
	segment_name(temporary, base, "tmp");
	segment_name(name, base, "log");
	int fd = wal_io.open(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0)
		return errno;
	int failed = fill_with_zeros(fd, size, pace, context);
	if (!failed)
		failed = files_sync(fd);
	if (wal_io.close(fd) != 0 && !failed)
		failed = errno;
	if (!failed && wal_io.rename(dir, temporary, name) != 0)
		failed = errno;
	if (failed)
		wal_io.unlink(dir, temporary);
	else if (MUTATE(31, true, false))
		failed = files_sync(dir);
	return failed;
}

int segment_remove(int dir, uint64_t base)
{
	char name[SEGMENT_NAME];
	segment_name(name, base, "log");
	return wal_io.unlink(dir, name) != 0 ? errno : files_sync(dir);
}

bool bytes_zero(const unsigned char *bytes, size_t size)
{
	return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

int read_fully(int fd, void *out, size_t size, uint64_t offset)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = wal_io.read(fd, (char *)out + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		done += (size_t)n;
	}
	return 0;
}

int segment_zero_from(int dir, const struct segment *segment, uint64_t lsn)
{
	char name[SEGMENT_NAME];
	segment_name(name, segment->base, "log");
	int fd = wal_io.open(dir, name, O_RDWR);
	if (fd < 0)
		return errno;
	unsigned char *bytes = mem_alloc(CHUNK), *zeros = mem_zalloc(CHUNK);
	int failed = 0;
	bool wrote = false;
	/* From the end backwards: what still stands after a crash in between is the front, judged as before. */
	for (uint64_t start = lsn - segment->base, end = segment->size; end > start && !failed;) {
		size_t n = end - start < CHUNK ? (size_t)(end - start) : CHUNK;
		end -= n;
		failed = read_fully(fd, bytes, n, end);
		if (failed || bytes_zero(bytes, n))
			continue;
		failed = files_write(fd, zeros, n, end);
		wrote = true;
	}
	if (!failed && wrote)
		failed = files_sync_data(fd);
	wal_io.close(fd);
	mem_free(bytes);
	mem_free(zeros);
	return failed;
}
