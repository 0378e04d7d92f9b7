// SPDX-License-Identifier: Apache-2.0
#include "snapshot/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/base/time.h"
#include "snapshot/restore_ids.h"
#include "snapshot/store.h"
#include "wal/files.h"
#include "wal/wal.h"

enum { STEP = 1 << 20 };

/* ---- where to cut ----------------------------------------------------------------------------------------------------- */

struct search {
	const struct restore *restore;
	uint64_t cut;                  /* behind the last frame that is taken; 0: none */
	int64_t cut_ms, first_ms;
	uint64_t first;                /* end of the first frame; 0: none seen */
	bool over;
};

static bool frame_look(void *context, const struct wal_frame *frame)
{
	struct search *search = context;
	const struct restore *restore = search->restore;
	uint64_t end = frame->lsn + frame->size;
	if (!search->first) {
		search->first = end;
		search->first_ms = frame->time_ms;
	}
	search->over |= (restore->target == RESTORE_LSN && end > restore->lsn) ||
			(restore->target == RESTORE_TIME && frame->time_ms > restore->time_ms + MUTATE(114, 0, 1));
	if (search->over)
		return true;
	search->cut = end;
	if (frame->time_ms > search->cut_ms)
		search->cut_ms = frame->time_ms;
	return true;
}

static bool target_within(const struct restore *restore, struct buf *error)
{
	const struct backup *backup = restore->backup;
	if (restore->target == RESTORE_LSN && restore->lsn > backup->end) {
		buf_printf(error, "the backup ends at LSN %" PRIu64, backup->end);
		return false;
	}
	/* Time in the log may be ahead of the clock. */
	if (restore->target == RESTORE_TIME && restore->time_ms > backup->made_ms && restore->time_ms > backup->time_ms) {
		buf_lit(error, "the backup was made at ");
		time_write(error, backup->made_ms);
		buf_lit(error, ", and knows of nothing later");
		return false;
	}
	return true;
}

static bool cut_find(struct restore *restore, struct buf *error)
{
	const struct backup *backup = restore->backup;
	struct search search = { .restore = restore };
	struct buf torn = { 0 };
	char log_dir[FILES_PATH];
	restore->cut = backup->end;
	restore->cut_ms = backup->time_ms;
	if (restore->target == RESTORE_END)
		return true;
	if (!target_within(restore, error))
		return false;
	snprintf(log_dir, sizeof log_dir, "%s/log", restore->from);
	bool good = wal_verify_to(log_dir, backup->first, backup->end, frame_look, &search, error, &torn);
	buf_free(&torn);
	if (good && !search.cut) {
		buf_printf(error, "the backup begins with LSN %" PRIu64 " at ", search.first);
		time_write(error, search.first_ms);
		good = false;
	}
	restore->cut = search.cut;
	restore->cut_ms = search.cut_ms;
	return good;
}

/* The newest snapshot that knows of nothing behind the cut.  A log that does not begin at 0 needs one. */
static bool snapshot_choose(struct restore *restore, struct buf *error)
{
	const struct backup *backup = restore->backup;
	uint64_t earliest = UINT64_MAX, end;
	char dir[FILES_PATH];
	snprintf(dir, sizeof dir, "%s/snapshots", restore->from);
	for (size_t i = 0; i < backup->count; i++) {
		struct snapshot_manifest manifest;
		struct buf why = { 0 };
		if (!backup_snapshot(backup->files[i].path, &end) || !strstr(backup->files[i].path, ".manifest"))
			continue;
		bool usable = snapshot_manifest_read(dir, end, &manifest, &why) && manifest.from >= backup->first;
		if (usable && end < earliest)
			earliest = end;
		if (usable && end <= restore->cut && end > restore->snapshot)
			restore->snapshot = end;
		snapshot_manifest_free(&manifest);
		buf_free(&why);
	}
	if (restore->snapshot || !backup->first)
		return true;
	if (earliest == UINT64_MAX)
		buf_printf(error, "the backup's log begins at LSN %" PRIu64 ", and it has no snapshot for that", backup->first);
	else
		buf_printf(error, "LSN %" PRIu64 " is out of reach: the backup's log begins at LSN %" PRIu64 ", and its first snapshot is of "
			   "LSN %" PRIu64, restore->cut, backup->first, earliest);
	return false;
}

/* So many bytes of a file are taken; UINT64_MAX: nothing of it. */
static uint64_t part_of(const struct restore *restore, const struct backup_file *file)
{
	uint64_t lsn;
	if (backup_segment(file->path, &lsn)) {
		/* One that begins at the cut is taken as zeros: filler in front of it says that it is there. */
		if (lsn > restore->cut)
			return UINT64_MAX;
		return restore->cut - lsn < file->bytes ? restore->cut - lsn : file->bytes;
	}
	if (backup_snapshot(file->path, &lsn))
		return lsn <= restore->cut ? file->bytes : UINT64_MAX;
	return file->bytes;
}

bool restore_plan(struct restore *restore, struct buf *error)
{
	restore->snapshot = restore->bytes = 0;
	if (!cut_find(restore, error) || !snapshot_choose(restore, error))
		return false;
	for (size_t i = 0; i < restore->backup->count; i++) {
		uint64_t part = part_of(restore, &restore->backup->files[i]);
		restore->bytes += part == UINT64_MAX ? 0 : part;
	}
	return true;
}

/* ---- copying ---------------------------------------------------------------------------------------------------------- */

/* The first `bytes`, then real zeros: durable writes into what is only reserved would take twice as long. */
static int copy(int in, int out, uint64_t bytes, uint64_t size, struct restore *restore, uint8_t hash[BACKUP_HASH])
{
	unsigned char *part = mem_alloc(STEP);
	XXH3_state_t *state = XXH3_createState();
	int failed = state ? 0 : ENOMEM;
	if (state)
		XXH3_128bits_reset(state);
	for (uint64_t done = 0; done < bytes && !failed;) {
		ssize_t n = files_read(in, part, bytes - done < STEP ? (size_t)(bytes - done) : STEP, done);
		failed = n > 0 ? files_write(out, part, (size_t)n, done) : n < 0 ? errno : EIO;
		if (failed)
			break;
		XXH3_128bits_update(state, part, (size_t)n);
		done += (uint64_t)n;
		if (restore->progress)
			restore->progress(restore->context, (uint64_t)n);
	}
	memset(part, 0, STEP);
	for (uint64_t at = bytes; at < size && !failed;) {
		size_t n = size - at < STEP ? (size_t)(size - at) : STEP;
		failed = files_write(out, part, n, at);
		at += n;
	}
	if (!failed)
		failed = files_sync(out);
	if (!failed) {
		XXH128_canonical_t canonical;
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(hash, canonical.digest, BACKUP_HASH);
	}
	XXH3_freeState(state);
	mem_free(part);
	return failed;
}

static bool file_restore(struct restore *restore, const struct backup_file *file, uint64_t bytes, struct buf *error)
{
	char from[FILES_PATH], to[FILES_PATH], name[BACKUP_PATH];
	uint8_t hash[BACKUP_HASH];
	snprintf(from, sizeof from, "%s/%s", restore->from, file->path);
	snprintf(to, sizeof to, "%s/%s", restore->dir, backup_unname(file->path, name) ? name : file->path);
	int in = files_open(from, O_RDONLY), failed = in < 0 ? errno : 0;
	int out = failed ? -1 : files_open(to, O_WRONLY | O_CREAT | O_TRUNC);
	if (!failed && out < 0)
		failed = errno;
	if (!failed)
		failed = copy(in, out, bytes, file->size, restore, hash);
	if (in >= 0)
		wal_io.close(in);
	if (out >= 0)
		wal_io.close(out);
	if (failed) {
		buf_printf(error, "%s cannot be copied: %s", file->path, strerror(failed));
		return false;
	}
	if (bytes == file->bytes && memcmp(hash, file->hash, sizeof hash) != 0) {
		buf_printf(error, "%s was changed while it was copied", file->path);
		return false;
	}
	return true;
}

/* Where the log ends with its last segment, the next one is there, all zeros. */
static bool next_segment(struct restore *restore, uint64_t size, struct buf *error)
{
	char name[BACKUP_PATH], path[FILES_PATH];
	unsigned char *zeros = mem_zalloc(STEP);
	snprintf(name, sizeof name, "log/%016" PRIx64 ".log", restore->cut);
	snprintf(path, sizeof path, "%s/%s", restore->dir, name);
	int fd = files_open(path, O_WRONLY | O_CREAT | O_TRUNC), failed = fd < 0 ? errno : 0;
	for (uint64_t at = 0; at < size && !failed; at += STEP)
		failed = files_write(fd, zeros, size - at < STEP ? (size_t)(size - at) : STEP, at);
	if (!failed)
		failed = files_sync(fd);
	if (fd >= 0)
		wal_io.close(fd);
	mem_free(zeros);
	if (failed)
		buf_printf(error, "%s cannot be written: %s", name, strerror(failed));
	return !failed;
}

static bool folder_make(struct restore *restore, const char *file, struct buf *error)
{
	char path[FILES_PATH];
	const char *slash = strchr(file, '/');
	if (!slash)
		return true;
	snprintf(path, sizeof path, "%s/%.*s", restore->dir, (int)(slash - file), file);
	int failed = files_make_dir(path);
	if (!failed)
		return true;
	buf_printf(error, "cannot make %s: %s", path, strerror(failed));
	return false;
}

bool restore_copy(struct restore *restore, struct buf *error)
{
	static const char *const folders[] = { "log", "snapshots", "ids", "" };
	const struct backup *backup = restore->backup;
	uint64_t log_end = 0, size = 0, base;
	bool good = true;
	for (size_t i = 0; i < backup->count && good; i++) {
		const struct backup_file *file = &backup->files[i];
		uint64_t bytes = part_of(restore, file);
		if (bytes == UINT64_MAX)
			continue;
		good = folder_make(restore, file->path, error) && file_restore(restore, file, bytes, error);
		if (backup_segment(file->path, &base)) {
			size = file->size;
			log_end = base + size;
		}
	}
	if (good && log_end == restore->cut)
		good = next_segment(restore, size, error);
	if (good && restore->cut < backup->end) {
		char ids[FILES_PATH];
		snprintf(ids, sizeof ids, "%s/ids", restore->dir);
		good = restore_ids(ids, restore->cut, error);
	}
	for (size_t i = 0; i < sizeof folders / sizeof *folders && good; i++) {
		char path[FILES_PATH];
		snprintf(path, sizeof path, "%s/%s", restore->dir, folders[i]);
		int failed = files_sync_dir(path);
		if (failed && failed != ENOENT) {
			buf_printf(error, "%s cannot be made durable: %s", path, strerror(failed));
			good = false;
		}
	}
	return good;
}

/* ---- the folder ------------------------------------------------------------------------------------------------------- */

static bool entry_clear(void *context, const char *entry)
{
	char file[FILES_PATH];
	if (entry[0] != '.') {
		snprintf(file, sizeof file, "%s/%s", (const char *)context, entry);
		files_remove(file);
	}
	return true;
}

/* A lock is what somebody who was interrupted has left. */
static bool entry_count(void *context, const char *entry)
{
	bool *empty = context;
	*empty &= strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0 || strcmp(entry, "lock") == 0;
	return true;
}

static void marker_path(char path[FILES_PATH], const char *dir)
{
	snprintf(path, FILES_PATH, "%s/" RESTORE_UNFINISHED, dir);
}

bool restore_folder_free(const char *dir, struct buf *error)
{
	char marker[FILES_PATH];
	bool empty = true;
	marker_path(marker, dir);
	if (files_there(marker))
		return true;
	int failed = files_list(dir, entry_count, &empty);
	if (failed && failed != ENOENT)
		buf_printf(error, "%s: %s", dir, strerror(failed));
	else if (!empty)
		buf_printf(error, "%s is not empty; restore into a folder that is new", dir);
	return (!failed || failed == ENOENT) && empty;
}

bool restore_folder_take(const char *dir, struct buf *error)
{
	static const char *const folders[] = { "log", "snapshots", "ids" };
	char path[FILES_PATH];
	marker_path(path, dir);
	int fd = MUTATE(93, files_open(path, O_WRONLY | O_CREAT), -2), failed = fd == -1 ? errno : 0;
	if (fd >= 0)
		wal_io.close(fd);
	if (!failed)
		failed = files_sync_dir(dir);
	if (failed) {
		buf_printf(error, "%s cannot be written: %s", path, strerror(failed));
		return false;
	}
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, folders[i]);
		files_list(path, entry_clear, path);
		wal_io.remove_dir(path);
	}
	return true;
}

bool restore_folder_done(const char *dir, struct buf *error)
{
	char path[FILES_PATH];
	marker_path(path, dir);
	int failed = MUTATE(93, files_remove(path), 0);
	if (!failed)
		failed = files_sync_dir(dir);
	if (failed)
		buf_printf(error, "%s cannot be removed: %s", path, strerror(failed));
	return !failed;
}
