// SPDX-License-Identifier: Apache-2.0
#include "net/main/retain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "snapshot/store.h"

enum { PATH_BYTES = 4200, CHUNK = 1 << 20, LADDER = 4 /* snapshots between the target and the newest */ };

struct retain {
	struct retain_options options; /* texts owned */
	struct wal *wal;
	struct footers *footers;
	_Atomic uint64_t holds[HOLDS];
	uint64_t verified;             /* `end` of the snapshot that was read whole */
	char said[256];                /* the last complaint: it is said once */
};

static char *text_keep(const char *text)
{
	return text ? mem_dup(text, strlen(text) + 1) : NULL;
}

__attribute__((format(printf, 2, 3)))
static bool complain(struct retain *retain, const char *format, ...)
{
	char line[sizeof retain->said];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (strcmp(line, retain->said) != 0)
		log_line(LOG_LEVEL_ERROR, "retention", "%s", line);
	memcpy(retain->said, line, sizeof line);
	return false;
}

/* ---- files ------------------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const char *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, bytes + done, size - done);
		if (n < 0 && errno != EINTR)
			return errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Up to `size` bytes at `offset`; fewer at the file's end.  -1: errno says why. */
static ssize_t read_at(int fd, char *bytes, size_t size, off_t offset)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = pread(fd, bytes + done, size - done, offset + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int sync_all(int fd)
{
	while (fsync(fd))
		if (errno != EINTR)
			return errno;
	return 0;
}

static int copy_bytes(int from, int to, const atomic_bool *stop)
{
	char *bytes = mem_alloc(CHUNK);
	ssize_t n = 0;
	int failed = 0;
	for (off_t at = 0; !failed && (n = read_at(from, bytes, CHUNK, at)) > 0; at += n)
		failed = stop && atomic_load(stop) ? ECANCELED : write_all(to, bytes, (size_t)n);
	if (!failed && n < 0)
		failed = errno;
	mem_free(bytes);
	return failed ? failed : sync_all(to);
}

/* EBADMSG: they differ. */
static int compare_bytes(int from, int to, const atomic_bool *stop)
{
	char *bytes = mem_alloc(2 * CHUNK);
	int failed = 0;
	posix_fadvise(to, 0, 0, POSIX_FADV_DONTNEED);  /* read it from where it was written */
	for (off_t at = 0; !failed;) {
		ssize_t one = read_at(from, bytes, CHUNK, at), other = one < 0 ? 0 : read_at(to, bytes + CHUNK, CHUNK, at);
		if (one < 0 || other < 0)
			failed = errno;
		else if (one != other || memcmp(bytes, bytes + CHUNK, (size_t)one) != 0)
			failed = EBADMSG;
		else if (stop && atomic_load(stop))
			failed = ECANCELED;
		if (one <= 0)
			break;
		at += one;
	}
	mem_free(bytes);
	return failed;
}

/* A copy under its own name that is the same byte for byte, durably; one that is there already and is the same is left alone. */
static int file_copy(const char *from, const char *folder, const char *name, const atomic_bool *stop)
{
	char temporary[PATH_BYTES], path[PATH_BYTES];
	snprintf(temporary, sizeof temporary, "%s/%s.new", folder, name);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int source = open(from, O_RDONLY | O_CLOEXEC), failed = source < 0 ? errno : 0;
	int there = failed ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (there >= 0) {
		failed = compare_bytes(source, there, stop);
		if (!failed)
			failed = sync_all(there);
		close(there);
		if (failed != EBADMSG) {
			close(source);
			return failed ? failed : snapshot_dir_sync(folder);
		}
		failed = 0;
	}
	int copy = failed ? -1 : open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (!failed && copy < 0)
		failed = errno;
	if (!failed)
		failed = copy_bytes(source, copy, stop);
	if (!failed)
		failed = compare_bytes(source, copy, stop);
	if (copy >= 0 && close(copy) && !failed)
		failed = errno;
	if (source >= 0)
		close(source);
	if (!failed && rename(temporary, path))
		failed = errno;
	if (failed && copy >= 0)
		unlink(temporary);
	return failed ? failed : snapshot_dir_sync(folder);
}

static int folder_make(const char *path)
{
	char above[PATH_BYTES + 4];
	if (mkdir(path, 0700) && errno != EEXIST)
		return errno;
	snprintf(above, sizeof above, "%s/..", path);
	int failed = snapshot_dir_sync(above);
	return failed == EACCES ? 0 : failed;
}

/* The archive is a folder like a data directory: log/, footers/ and the seed, so that the same tools read it. */
static int archive_prepare(const struct retain_options *options, struct buf *error)
{
	char path[PATH_BYTES], seed[PATH_BYTES], mark[PATH_BYTES];
	static const char text[] = "tally archive 1\n";
	int failed = folder_make(options->archive);
	snprintf(path, sizeof path, "%s/log", options->archive);
	if (!failed)
		failed = folder_make(path);
	snprintf(path, sizeof path, "%s/seed", options->archive);
	snprintf(seed, sizeof seed, "%s/seed", options->data);
	int theirs = open(path, O_RDONLY | O_CLOEXEC), ours = open(seed, O_RDONLY | O_CLOEXEC);
	if (!failed && theirs >= 0 && ours >= 0)
		failed = compare_bytes(ours, theirs, NULL);
	if (theirs >= 0)
		close(theirs);
	if (ours >= 0)
		close(ours);
	if (failed == EBADMSG) {
		buf_printf(error, "--archive %s: it is the archive of another data directory", options->archive);
		return failed;
	}
	if (!failed)
		failed = file_copy(seed, options->archive, "seed", NULL);
	snprintf(mark, sizeof mark, "%s/archive", options->archive);
	int fd = failed ? -1 : open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (!failed)
		failed = fd < 0 ? errno : write_all(fd, text, sizeof text - 1);
	if (fd >= 0 && !failed)
		failed = sync_all(fd);
	if (fd >= 0)
		close(fd);
	if (!failed)
		failed = snapshot_dir_sync(options->archive);
	if (failed)
		buf_printf(error, "--archive %s: %s", options->archive, strerror(failed));
	return failed;
}

struct retain *retain_new(const struct retain_options *options, struct wal *wal, struct footers *footers, struct buf *error)
{
	if (options->archive && archive_prepare(options, error))
		return NULL;
	struct retain *retain = mem_zalloc(sizeof *retain);
	retain->options = *options;
	retain->options.archive = text_keep(options->archive);
	retain->options.data = text_keep(options->data);
	retain->options.snapshots = text_keep(options->snapshots);
	retain->wal = wal;
	retain->footers = footers;
	for (unsigned i = 0; i < HOLDS; i++)
		atomic_init(&retain->holds[i], UINT64_MAX);
	return retain;
}

void retain_free(struct retain *retain)
{
	if (!retain)
		return;
	mem_free((void *)(uintptr_t)retain->options.archive);
	mem_free((void *)(uintptr_t)retain->options.data);
	mem_free((void *)(uintptr_t)retain->options.snapshots);
	mem_free(retain);
}

void retain_hold(struct retain *retain, enum retain_hold who, uint64_t lsn)
{
	atomic_store(&retain->holds[who], lsn);
}

/* ---- what may go ------------------------------------------------------------------------------------------------------- */

void retain_plan(const struct retain *retain, uint64_t *target, uint64_t *step)
{
	uint64_t durable = wal_durable(retain->wal);
	*target = *step = 0;
	if (retain->options.bytes && durable > retain->options.bytes)
		*target = durable - retain->options.bytes;
	if (retain->options.age_ms) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		int64_t until = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)retain->options.age_ms;
		uint64_t old = footers_until(retain->footers, until);
		*target = old > *target ? old : *target;
	}
	if (retain->options.bytes || retain->options.age_ms)
		*step = (durable - *target) / LADDER + 1;
}

/* Below which LSN the snapshots let segments go; 0: below none. */
static uint64_t snapshot_floor(struct retain *retain, uint64_t target, bool (*wanted)(struct retain *retain, uint64_t lsn))
{
	struct buf error = { 0 };
	uint64_t *ends, floor = 0;
	size_t count;
	if (!snapshot_list(retain->options.snapshots, &ends, &count, &error))
		complain(retain, "%.*s", (int)error.len, error.ptr);
	for (size_t i = 0; i < count && !floor; i++) {
		struct snapshot_manifest manifest;
		error.len = 0;
		if (ends[i] > target)
			continue;
		bool good = snapshot_manifest_read(retain->options.snapshots, ends[i], &manifest, &error);
		uint64_t from = manifest.from;
		snapshot_manifest_free(&manifest);
		if (good && !wanted(retain, from))
			break;                 /* nothing would go: it need not be read */
		if (good && retain->verified != ends[i]) {
			good = snapshot_verify(retain->options.snapshots, ends[i], &manifest, &error);
			snapshot_manifest_free(&manifest);
		}
		if (!good) {
			complain(retain, "the snapshot %016llx does not count: %.*s", (unsigned long long)ends[i], (int)error.len, error.ptr);
			continue;
		}
		retain->verified = ends[i];
		floor = from;
	}
	mem_free(ends);
	buf_free(&error);
	return floor;
}

static bool oldest_ends_by(struct retain *retain, uint64_t lsn)
{
	uint64_t base, end;
	return wal_segment_at(retain->wal, wal_first(retain->wal), &base, &end) && end <= lsn && end <= wal_durable(retain->wal);
}

static bool archive(struct retain *retain, uint64_t base, const atomic_bool *stop)
{
	char from[PATH_BYTES], folder[PATH_BYTES], name[32];
	snprintf(name, sizeof name, "%016llx.log", (unsigned long long)base);
	snprintf(from, sizeof from, "%s/log/%s", retain->options.data, name);
	snprintf(folder, sizeof folder, "%s/log", retain->options.archive);
	int failed = file_copy(from, folder, name, stop);
	if (failed == ECANCELED)
		return false;
	if (failed) {
		metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_FAILED, 1);
		return complain(retain, "the segment %s cannot be archived, and is kept: %s", name,
				failed == EBADMSG ? "the copy differs" : strerror(failed));
	}
	metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_ARCHIVED, 1);
	return true;
}

void retain_step(struct retain *retain, const atomic_bool *stop)
{
	uint64_t target, step, least = footers_lsn(retain->footers);
	retain_plan(retain, &target, &step);
	for (unsigned i = 0; i < HOLDS; i++) {
		uint64_t held = atomic_load(&retain->holds[i]);
		least = held < least ? held : least;
	}
	if (!target || !oldest_ends_by(retain, target < least ? target : least))
		return;
	uint64_t floor = snapshot_floor(retain, target, oldest_ends_by);
	least = floor < least ? floor : least;
	while (oldest_ends_by(retain, least) && !atomic_load(stop)) {
		uint64_t base = wal_first(retain->wal);
		int64_t time_ms;
		if (retain->options.archive && !archive(retain, base, stop))
			return;
		int failed = wal_drop_oldest(retain->wal, least);
		if (failed) {
			metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_FAILED, 1);
			complain(retain, "the segment %016llx.log cannot be removed: %s", (unsigned long long)base, strerror(failed));
			return;
		}
		retain->said[0] = '\0';
		footers_forget(retain->footers, wal_first(retain->wal));
		metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_DROPPED, 1);
		uint64_t first = wal_history(retain->wal, &time_ms);
		struct buf when = { 0 };
		time_write(&when, time_ms);
		log_line(LOG_LEVEL_INFO, "retention", "segment %016llx.log %s; history begins at LSN %llu, %.*s", (unsigned long long)base,
			 retain->options.archive ? "archived and dropped" : "dropped", (unsigned long long)first, (int)when.len, when.ptr);
		buf_free(&when);
	}
}
