// SPDX-License-Identifier: Apache-2.0
/* reader.c - reading what is durable, and verifying a log that is not ours.
 *
 * Reads come from the segment files, so no reader ever holds up the ring.  A few
 * descriptors are kept; one in use is never closed under its reader.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "wal/scan.h"
#include "wal/wal_int.h"

/* The lock is held.  The kept descriptor of the segment, or a slot to keep it in; NULL: all are in use. */
static struct reader_file *file_slot(struct wal *wal, uint64_t base)
{
	struct reader_file *oldest = NULL;
	for (int i = 0; i < READER_FILES; i++) {
		struct reader_file *file = &wal->files[i];
		if (file->fd >= 0 && file->base == base && !file->dropped)
			return file;
		if (!file->users && (!oldest || (oldest->fd >= 0 && (file->fd < 0 || file->used < oldest->used))))
			oldest = file;
	}
	return oldest;
}

static int file_open(struct wal *wal, uint64_t base)
{
	char name[SEGMENT_NAME];
	segment_name(name, base, "log");
	int fd = wal_io.open(wal->dir, name, O_RDONLY);
	if (fd < 0)
		wal_say(wal, "error", "the log's file %s cannot be opened: %s", name, strerror(errno));
	return fd;
}

/* The lock is held.  Of a dropped segment a descriptor would keep the bytes on the disk. */
static void file_let_go(struct reader_file *file)
{
	if (!file->dropped || file->users || file->fd < 0)
		return;
	wal_io.close(file->fd);
	*file = (struct reader_file){ .fd = -1 };
}

/* The part of a read that lies in one segment. */
static size_t read_part(struct wal *wal, uint64_t lsn, void *out, size_t size)
{
	pthread_mutex_lock(&wal->lock);
	size_t at = segments_find(&wal->segments, lsn);
	if (at == wal->segments.count) {
		pthread_mutex_unlock(&wal->lock);
		return 0;
	}
	struct segment segment = wal->segments.at[at];
	struct reader_file *file = file_slot(wal, segment.base);
	int fd = -1;
	if (file && (file->fd < 0 || file->base != segment.base)) {
		if (file->fd >= 0)
			wal_io.close(file->fd);
		*file = (struct reader_file){ segment.base, file_open(wal, segment.base), 0, 0, false };
	}
	if (file) {
		fd = file->fd;
		file->users++;
		file->used = ++wal->tick;
	}
	pthread_mutex_unlock(&wal->lock);

	if (!file)
		fd = file_open(wal, segment.base);
	uint64_t left = segment.base + segment.size - lsn;
	size_t part = size < left ? size : (size_t)left;
	int failed = fd < 0 ? EBADF : read_fully(fd, out, part, lsn - segment.base);
	if (failed && fd >= 0)
		wal_say(wal, "error", "the log cannot be read at LSN %" PRIu64 ", file %016" PRIx64 ".log, %zu bytes from byte %"
			PRIu64 ": %s", lsn, segment.base, part, lsn - segment.base, strerror(failed));
	if (!file && fd >= 0)
		wal_io.close(fd);
	if (file) {
		pthread_mutex_lock(&wal->lock);
		file->users--;
		file_let_go(file);
		pthread_mutex_unlock(&wal->lock);
	}
	return failed ? 0 : part;
}

bool wal_read(const struct wal *wal, uint64_t lsn, void *out, size_t size)
{
	struct wal *self = (struct wal *)(uintptr_t)wal;       /* only what the lock guards changes */
	uint64_t durable = wal_durable(wal);
	if (lsn > durable || size > durable - lsn)
		return false;
	for (size_t done = 0; done < size;) {
		size_t part = read_part(self, lsn + done, (char *)out + done, size - done);
		if (!part)
			return false;
		done += part;
	}
	return true;
}

uint64_t wal_history(const struct wal *wal, int64_t *time_ms)
{
	struct wal *self = (struct wal *)(uintptr_t)wal;
	unsigned char header[WAL_FRAME_HEADER];
	struct wal_frame frame;
	uint64_t hash, base, end;
	const char *why;
	uint64_t first = wal_first(wal);
	pthread_mutex_lock(&self->lock);
	bool there = self->history_lsn == first;
	*time_ms = self->history_ms;
	pthread_mutex_unlock(&self->lock);
	if (there)
		return first;
	*time_ms = 0;
	if (!wal_segment_at(wal, first, &base, &end) || !wal_read(wal, first, header, sizeof header) ||
	    frame_header(header, first, end - first, &frame, &hash, &why) != FRAME_GOOD)
		return first;
	*time_ms = frame.time_ms;
	pthread_mutex_lock(&self->lock);
	self->history_lsn = first;
	self->history_ms = frame.time_ms;
	pthread_mutex_unlock(&self->lock);
	return first;
}

bool wal_segment_at(const struct wal *wal, uint64_t lsn, uint64_t *base, uint64_t *end)
{
	struct wal *self = (struct wal *)(uintptr_t)wal;
	pthread_mutex_lock(&self->lock);
	size_t at = segments_find(&self->segments, lsn);
	bool found = at < self->segments.count;
	if (found) {
		*base = self->segments.at[at].base;
		*end = *base + self->segments.at[at].size;
	}
	pthread_mutex_unlock(&self->lock);
	return found;
}

uint64_t wal_kept(const struct wal *wal, uint64_t *segments)
{
	struct wal *self = (struct wal *)(uintptr_t)wal;
	uint64_t bytes = 0;
	pthread_mutex_lock(&self->lock);
	for (size_t i = 0; i < self->segments.count; i++)
		bytes += self->segments.at[i].size;
	*segments = self->segments.count;
	pthread_mutex_unlock(&self->lock);
	return bytes;
}

/* From the oldest on and each durably before the next, so that no crash leaves a gap.  It leaves the list first: who looks for it
 * from then on hears that it is pruned. */
int wal_drop_oldest(struct wal *wal, uint64_t lsn)
{
	uint64_t durable = wal_durable(wal);
	pthread_mutex_lock(&wal->lock);
	struct segments *list = &wal->segments;
	struct segment oldest = list->at[0];
	bool fits = list->count > 1 && oldest.base + oldest.size <= lsn && oldest.base + oldest.size <= durable;
	if (fits) {
		memmove(list->at, list->at + 1, (list->count - 1) * sizeof *list->at);
		list->count--;
	}
	for (int i = 0; fits && i < READER_FILES; i++)
		if (wal->files[i].fd >= 0 && wal->files[i].base == oldest.base) {
			wal->files[i].dropped = true;
			file_let_go(&wal->files[i]);
		}
	pthread_mutex_unlock(&wal->lock);
	if (!fits)
		return ENOENT;
	int failed = segment_remove(wal->dir, MUTATE(95, oldest.base, oldest.base + oldest.size));
	char name[SEGMENT_NAME];
	segment_name(name, oldest.base, "log");
	if (failed && wal_io.size(wal->dir, name) >= 0) {
		pthread_mutex_lock(&wal->lock);
		segments_add(list, oldest.base, oldest.size);
		memmove(list->at + 1, list->at, (list->count - 1) * sizeof *list->at);
		list->at[0] = oldest;
		pthread_mutex_unlock(&wal->lock);
	}
	return failed;
}

bool wal_extent(const char *dir, uint64_t *first, uint64_t *end)
{
	struct buf error = { 0 };
	struct segments segments = { 0 };
	int fd = wal_io.open_dir(dir);
	*first = *end = 0;
	bool good = fd >= 0 && segments_list(&segments, fd, &error) && segments.count;
	if (good) {
		*first = segments.at[0].base;
		*end = segments.at[segments.count - 1].base + segments.at[segments.count - 1].size;
	}
	segments_free(&segments);
	if (fd >= 0)
		wal_io.close(fd);
	buf_free(&error);
	return good;
}

bool wal_verify(const char *dir, uint64_t from, wal_replay_fn *each, void *context, struct buf *error, struct buf *torn)
{
	return wal_verify_to(dir, from, 0, each, context, error, torn);
}

bool wal_verify_to(const char *dir, uint64_t from, uint64_t to, wal_replay_fn *each, void *context, struct buf *error,
		   struct buf *torn)
{
	int fd = wal_io.open_dir(dir);
	if (fd < 0) {
		buf_printf(error, "folder %s: %s", dir, strerror(errno));
		return false;
	}
	struct segments segments;
	bool good = segments_list(&segments, fd, error);
	if (good && !segments.count && (from || to)) {
		buf_printf(error, "folder %s has no log, which is known to reach LSN %" PRIu64, dir, to > from ? to : from);
		good = false;
	} else if (good && segments.count && from && from < segments.at[0].base) {
		buf_printf(error, "folder %s: the log begins at LSN %" PRIu64 ", %" PRIu64 " is no longer there", dir,
			   segments.at[0].base, from);
		good = false;
	} else if (good && segments.count) {
		struct scan scan = { .segments = &segments, .from = from, .to = to, .every_kind = true, .each = each, .context = context };
		enum scan_end end = scan_run(&scan);
		good = end == SCAN_CLEAN || end == SCAN_TORN;
		if (end != SCAN_CLEAN)
			buf_str(good ? torn : error, buf_view(&scan.text));
		buf_free(&scan.text);
	}
	segments_free(&segments);
	wal_io.close(fd);
	return good;
}
