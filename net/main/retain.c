// SPDX-License-Identifier: Apache-2.0
#include "net/main/retain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/base/time.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "snapshot/store.h"
#include "wal/files.h"

enum { CHUNK = 1 << 20, LADDER = 4 /* snapshots between the target and the newest */ };

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

static int copy_bytes(int from, int to, const atomic_bool *stop)
{
	char *bytes = mem_alloc(CHUNK);
	ssize_t n = 0;
	int failed = 0;
	for (uint64_t at = 0; !failed && (n = files_read(from, bytes, CHUNK, at)) > 0; at += (uint64_t)n)
		failed = stop && atomic_load(stop) ? ECANCELED : files_write(to, bytes, (size_t)n, at);
	if (!failed && n < 0)
		failed = errno;
	mem_free(bytes);
	return failed ? failed : MUTATE(86, files_sync(to), 0);
}

/* EBADMSG: they differ. */
static int compare_bytes(int from, int to, const atomic_bool *stop)
{
	char *bytes = mem_alloc(2 * CHUNK);
	int failed = 0;
	wal_io.advise(to, 0, 0, POSIX_FADV_DONTNEED);  /* read it from where it was written */
	for (uint64_t at = 0; !failed;) {
		ssize_t one = files_read(from, bytes, CHUNK, at), other = one < 0 ? 0 : files_read(to, bytes + CHUNK, CHUNK, at);
		if (one < 0 || other < 0)
			failed = errno;
		else if (one != other || memcmp(bytes, bytes + CHUNK, (size_t)one) != 0)
			failed = EBADMSG;
		else if (stop && atomic_load(stop))
			failed = ECANCELED;
		if (one <= 0)
			break;
		at += (uint64_t)one;
	}
	mem_free(bytes);
	return failed;
}

static const char *failure(int failed)
{
	return failed == EBADMSG ? "the copy differs" : strerror(failed);
}

/* A copy under its own name that is the same byte for byte, durably; one that is there already and is the same is left alone. */
static int file_copy(const char *from, const char *folder, const char *name, const atomic_bool *stop)
{
	char temporary[FILES_PATH], path[FILES_PATH];
	snprintf(temporary, sizeof temporary, "%s/%s.new", folder, name);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int source = files_open(from, O_RDONLY), failed = source < 0 ? errno : 0;
	int there = failed ? -1 : files_open(path, O_RDONLY);
	if (there >= 0) {
		failed = compare_bytes(source, there, stop);
		if (!failed)
			failed = files_sync(there);
		wal_io.close(there);
		if (failed != EBADMSG) {
			wal_io.close(source);
			return failed ? failed : files_sync_dir(folder);
		}
		failed = 0;
	}
	int copy = failed ? -1 : files_open(temporary, O_RDWR | O_CREAT | O_TRUNC);
	if (!failed && copy < 0)
		failed = errno;
	if (!failed)
		failed = copy_bytes(source, copy, stop);
	if (!failed)
		failed = compare_bytes(source, copy, stop);
	if (copy >= 0 && wal_io.close(copy) && !failed)
		failed = errno;
	if (source >= 0)
		wal_io.close(source);
	if (!failed)
		failed = files_rename(temporary, path);
	if (failed && copy >= 0)
		files_remove(temporary);
	return failed ? failed : files_sync_dir(folder);
}

static int folder_make(const char *path)
{
	char above[FILES_PATH + 4];
	int failed = files_make_dir(path);
	if (failed)
		return failed;
	snprintf(above, sizeof above, "%s/..", path);
	failed = files_sync_dir(above);
	return failed == EACCES ? 0 : failed;
}

/* The archive is a folder like a data directory: log/, footers/ and the seed, so that the same tools read it. */
static int archive_prepare(const struct retain_options *options, struct buf *error)
{
	char path[FILES_PATH], seed[FILES_PATH], mark[FILES_PATH];
	static const char text[] = "tally archive 1\n";
	int failed = folder_make(options->archive);
	snprintf(path, sizeof path, "%s/log", options->archive);
	if (!failed)
		failed = folder_make(path);
	snprintf(path, sizeof path, "%s/seed", options->archive);
	snprintf(seed, sizeof seed, "%s/seed", options->data);
	int theirs = files_open(path, O_RDONLY), ours = files_open(seed, O_RDONLY);
	if (!failed && theirs >= 0 && ours >= 0)
		failed = compare_bytes(ours, theirs, NULL);
	if (theirs >= 0)
		wal_io.close(theirs);
	if (ours >= 0)
		wal_io.close(ours);
	if (failed == EBADMSG) {
		buf_printf(error, "--archive %s: it is the archive of another data directory", options->archive);
		return failed;
	}
	if (!failed)
		failed = file_copy(seed, options->archive, "seed", NULL);
	snprintf(mark, sizeof mark, "%s/archive", options->archive);
	int fd = failed ? -1 : files_open(mark, O_WRONLY | O_CREAT);
	if (!failed)
		failed = fd < 0 ? errno : files_write(fd, text, sizeof text - 1, 0);
	if (fd >= 0 && !failed)
		failed = files_sync(fd);
	if (fd >= 0)
		wal_io.close(fd);
	if (!failed)
		failed = files_sync_dir(options->archive);
	if (failed)
		buf_printf(error, "--archive %s: %s", options->archive, failure(failed));
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
		int64_t until = wal_io.wall_ms() - (int64_t)retain->options.age_ms;
		uint64_t old = footers_until(retain->footers, until);
		*target = old > *target ? old : *target;
	}
	if (retain->options.bytes || retain->options.age_ms)
		*step = (durable - *target) / LADDER + 1;
}

static bool oldest_ends_by(struct retain *retain, uint64_t lsn)
{
	uint64_t base, end;
	return wal_segment_at(retain->wal, wal_first(retain->wal), &base, &end) && end <= lsn && end <= wal_durable(retain->wal);
}

/* `from` of a snapshot; false: it does not count, which is said. */
static bool snapshot_from(struct retain *retain, uint64_t end, bool whole, uint64_t *from)
{
	struct snapshot_manifest manifest;
	struct buf error = { 0 };
	const char *dir = retain->options.snapshots;
	bool good = whole ? snapshot_verify(dir, end, &manifest, &error) : snapshot_manifest_read(dir, end, &manifest, &error);
	*from = manifest.from;
	if (!good)
		complain(retain, "the snapshot %016llx does not count: %.*s", (unsigned long long)end, (int)error.len, error.ptr);
	snapshot_manifest_free(&manifest);
	buf_free(&error);
	return good;
}

/* Below which LSN the snapshots let segments go; 0: below none.  The older, the more log one needs: so the oldest says how far, and
 * where it cannot be read nothing goes.  The newest that ends at or before the target is read whole, once, and only if something may
 * go then. */
static uint64_t snapshot_floor(struct retain *retain, uint64_t target)
{
	struct buf error = { 0 };
	uint64_t *ends, from = 0, floor = 0, low = 0;
	size_t count;
	if (!snapshot_list(retain->options.snapshots, &ends, &count, &error))
		complain(retain, "%.*s", (int)error.len, error.ptr);
	buf_free(&error);
	if (count && snapshot_from(retain, MUTATE(87, ends[count - 1], ends[0]), false, &from))
		low = from;
	for (size_t i = 0; i < count && !floor && oldest_ends_by(retain, low); i++) {
		if (ends[i] > target || (retain->verified != ends[i] && !snapshot_from(retain, ends[i], true, &from)))
			continue;
		retain->verified = ends[i];
		floor = low;
	}
	mem_free(ends);
	return floor;
}

static bool archive(struct retain *retain, uint64_t base, const atomic_bool *stop)
{
	char from[FILES_PATH], folder[FILES_PATH], name[32];
	snprintf(name, sizeof name, "%016llx.log", (unsigned long long)base);
	snprintf(from, sizeof from, "%s/log/%s", retain->options.data, name);
	snprintf(folder, sizeof folder, "%s/log", retain->options.archive);
	int failed = file_copy(from, folder, name, stop);
	if (failed == ECANCELED)
		return false;
	if (failed) {
		metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_FAILED, 1);
		return complain(retain, "the segment %s cannot be archived, and is kept: %s", name, failure(failed));
	}
	metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_ARCHIVED, 1);
	return true;
}

/* Names that were seen may not be durable yet: a manifest's, where syncing the folder behind its rename failed.  What only an older
 * snapshot needs must not go before it is. */
static bool names_settle(struct retain *retain)
{
	int failed = MUTATE(97, files_sync_dir(retain->options.snapshots), 0);
	return !failed || complain(retain, "%s cannot be made durable: %s", retain->options.snapshots, strerror(failed));
}

static bool drop_oldest(struct retain *retain, uint64_t least)
{
	uint64_t base = wal_first(retain->wal);
	int64_t time_ms;
	int failed = wal_drop_oldest(retain->wal, least);
	if (failed) {
		metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_FAILED, 1);
		return complain(retain, "the segment %016llx.log cannot be removed: %s", (unsigned long long)base, strerror(failed));
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
	return true;
}

bool retain_step(struct retain *retain, const atomic_bool *stop)
{
	uint64_t target, step, least = footers_lsn(retain->footers);
	retain_plan(retain, &target, &step);
	for (unsigned i = 0; i < HOLDS; i++) {
		uint64_t held = MUTATE(88, atomic_load(&retain->holds[i]), UINT64_MAX);
		least = held < least ? held : least;
	}
	if (!target || !oldest_ends_by(retain, target < least ? target : least))
		return false;
	uint64_t floor = MUTATE(91, snapshot_floor(retain, target), target);
	least = floor < least ? floor : least;
	if (!oldest_ends_by(retain, least) || !names_settle(retain))
		return false;
	if (retain->options.archive && !archive(retain, wal_first(retain->wal), stop) && MUTATE(96, true, false))
		return false;
	return drop_oldest(retain, least);
}
