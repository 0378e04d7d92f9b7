// SPDX-License-Identifier: Apache-2.0
/* wal.c - opening (recovery) and closing.
 *
 * Opening, in this order, so that a crash in between changes no later judgement:
 *   1. read all frames; refuse on damage
 *   2. remove segments behind the one with the cut, last first; zero the rest of that one; write the last bytes before
 *      the cut once more (after a failed write they may stand in the page cache only)
 *   3. the opening frame of the next epoch, durable
 *   4. only then are producers let in and segments made ahead
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "wal/files.h"
#include "wal/scan.h"
#include "wal/wal_int.h"

void wal_say(const struct wal *wal, const char *level, const char *format, ...)
{
	char line[600];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (wal->options.log)
		wal->options.log(wal->options.context, level, line);
}

void wal_fatal(const struct wal *wal, const char *format, ...)
{
	char line[600];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (wal->options.fatal)
		wal->options.fatal(wal->options.context, line);
	abort();
}

static bool options_check(const struct wal_options *o, struct buf *error)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *wrong = NULL;
	if (o->segment_size < SEGMENT_SIZE_MIN || o->segment_size % WAL_BLOCK || o->segment_size > UINT64_C(1) << 40)
		wrong = "the log's segment size must be a multiple of 4096, at least 64 KiB and at most 1 TiB";
	else if (o->ring_size < 64 << 10 || o->ring_size & (o->ring_size - 1) || o->ring_size % page ||
		 o->ring_size > o->segment_size)
		wrong = "the log's ring size must be a power of two, at least 64 KiB and at most the segment size";
	else if (o->producers < 1 || o->producers > WAL_PRODUCERS_MAX)
		wrong = "the log takes 1 to 64 producers";
	if (wrong)
		buf_printf(error, "%s", wrong);
	return !wrong;
}

struct progress {
	const struct wal *wal;
	uint64_t began, said;          /* monotonic, ns */
};

static double seconds_since(uint64_t then)
{
	return (double)(wal_io.monotonic_ns() - then) / 1e9;
}

static void progress_say(void *context, uint64_t done, uint64_t total)
{
	struct progress *progress = context;
	if (progress->wal->options.progress)
		progress->wal->options.progress(progress->wal->options.progress_context, done, total);
	if (seconds_since(progress->said) < 1)
		return;
	progress->said = wal_io.monotonic_ns();
	double spent = seconds_since(progress->began), left = done ? spent * (double)(total - done) / (double)done : 0;
	wal_say(progress->wal, "notice", "reading the log: %" PRIu64 " of %" PRIu64 " MB, at most %.0f s more", done / 1000000,
		total / 1000000, left);
}

static bool recover(struct wal *wal, struct scan *scan, struct buf *error)
{
	struct segments *list = &wal->segments;
	uint64_t first = list->count ? list->at[0].base : 0;
	if (first > scan->from) {
		buf_printf(error, "the log begins at LSN %" PRIu64 ", and LSN %" PRIu64 " is asked for: files before it are gone",
			   first, scan->from);
		return false;
	}
	if (!list->count && (scan->from || scan->known)) {
		buf_printf(error, "the folder has no log, which is known to reach LSN %" PRIu64,
			   scan->known > scan->from ? scan->known : scan->from);
		return false;
	}
	if (!list->count)
		return true;
	struct progress progress = { .wal = wal };
	progress.began = progress.said = wal_io.monotonic_ns();
	scan->progress = progress_say;
	scan->progress_context = &progress;
	enum scan_end end = scan_run(scan);
	if (end == SCAN_TORN)
		wal_say(wal, "warning", "cut: %.*s", (int)scan->text.len, scan->text.ptr);
	bool good = end == SCAN_CLEAN || end == SCAN_TORN;
	if (!good)
		buf_str(error, buf_view(&scan->text));
	if (good && scan->epoch == UINT32_MAX) {
		buf_lit(error, "the log's epochs are used up");
		good = false;
	}
	return good;
}

/* Writes the bytes before the cut once more and makes them durable. */
static int settle(struct wal *wal, uint64_t cut)
{
	for (size_t i = wal->segments.count; i-- > 0;) {
		const struct segment *s = &wal->segments.at[i];
		uint64_t end = s->base + s->size < cut ? s->base + s->size : cut;
		if (end <= s->base)
			continue;
		uint64_t start = end - s->base > FRAME_SIZE_MAX ? block_floor(end - FRAME_SIZE_MAX) : s->base;
		char name[SEGMENT_NAME];
		segment_name(name, s->base, "log");
		int fd = wal_io.open(wal->dir, name, O_RDWR);
		if (fd < 0)
			return errno;
		size_t size = (size_t)(end - start);
		unsigned char *bytes = mem_alloc(size);
		int failed = read_fully(fd, bytes, size, start - s->base);
		if (!failed)
			failed = files_write(fd, bytes, size, start - s->base);
		if (!failed)
			failed = files_sync_data(fd);
		mem_free(bytes);
		wal_io.close(fd);
		return failed;
	}
	return 0;
}

static bool cut(struct wal *wal, uint64_t lsn, struct buf *error)
{
	struct segments *list = &wal->segments;
	int failed = 0;
	while (!failed && list->count && list->at[list->count - 1].base > lsn) {
		failed = segment_remove(wal->dir, list->at[list->count - 1].base);
		list->count -= !failed;
	}
	size_t at = segments_find(list, lsn);
	if (!failed && at < list->count)
		failed = segment_zero_from(wal->dir, &list->at[at], lsn);
	if (!failed && MUTATE(17, true, false))
		failed = settle(wal, lsn);
	uint64_t end = list->count ? list->at[list->count - 1].base + list->at[list->count - 1].size : lsn;
	if (!failed && at < list->count && lsn % WAL_BLOCK) {
		char name[SEGMENT_NAME];
		uint64_t base = list->at[at].base, start = block_floor(lsn);
		segment_name(name, base, "log");
		int fd = wal_io.open(wal->dir, name, O_RDONLY);
		failed = fd < 0 ? errno : read_fully(fd, wal->ring + (start & (wal->options.ring_size - 1)), lsn - start,
						     start - base);
		if (fd >= 0)
			wal_io.close(fd);
	}
	if (failed) {
		buf_printf(error, "the log's tail at LSN %" PRIu64 " cannot be made ready: %s", lsn, strerror(failed));
		return false;
	}
	wal->first_end = end;
	wal->marked = lsn;
	atomic_store(&wal->zeroed, end);
	atomic_store(&wal->head, lsn);
	atomic_store(&wal->durable, lsn);
	return true;
}

/* The opening frame, durable.  The step and the only producer are here. */
static bool open_epoch(struct wal *wal, struct buf *error)
{
	uint64_t worst = 2 * (uint64_t)frame_size(FRAME_OPEN_BODY);
	while (atomic_load(&wal->zeroed) < atomic_load(&wal->head) + worst)
		if (!wal_maker_once(wal, error))
			return false;
	uint64_t head = atomic_load(&wal->head), end = wal_segment_end(wal, head);
	uint64_t lsn = end - head < frame_size(FRAME_OPEN_BODY) ? end : head;
	size_t at = segments_find(&wal->segments, lsn);
	struct frame_open open = { .version = FRAME_VERSION, .write_max = wal->write_max, .wall_ms = wal_io.wall_ms(),
				   .segment_size = wal->options.segment_size, .this_segment = wal->segments.at[at].size };
	int64_t time_ms = open.wall_ms > wal->opened_time ? open.wall_ms : wal->opened_time;
	unsigned char body[FRAME_OPEN_BODY];
	frame_open_put(body, &open);
	bool room = wal_own_frame(wal, WAL_FRAME_OPEN, body, sizeof(body), time_ms);
	ASSERT(room);
	while (wal_step(wal, false))
		;
	ASSERT(wal_durable(wal) == wal_appended(wal) && wal->producers[wal->options.producers].lsn == lsn);
	wal->marked = wal_durable(wal);
	return true;
}

static bool memory_make(struct wal *wal, struct buf *error)
{
	unsigned count = wal->options.producers + 1;
	wal->producers_memory = mem_zalloc((count + 1) * sizeof(struct wal_producer));
	uintptr_t aligned = ((uintptr_t)wal->producers_memory + WAL_LINE - 1) & ~(uintptr_t)(WAL_LINE - 1);
	wal->producers = (struct wal_producer *)aligned;
	for (unsigned i = 0; i < count; i++) {
		wal->producers[i].wal = wal;
		atomic_init(&wal->producers[i].inflight, UINT64_MAX);
	}
	wal->page_memory = mem_zalloc(2 * WAL_BLOCK);
	wal->page = (unsigned char *)(((uintptr_t)wal->page_memory + WAL_BLOCK - 1) & ~(uintptr_t)(WAL_BLOCK - 1));
	if (!wal_ring_make(wal)) {
		buf_printf(error, "the log's ring of %" PRIu64 " bytes cannot be mapped: %s", wal->options.ring_size,
			   strerror(errno));
		return false;
	}
	uint64_t frame = wal->options.ring_size / 4;
	wal->write_max = FRAME_SIZE_MAX - WAL_BLOCK;
	if (wal->options.ring_size < wal->write_max)
		wal->write_max = (uint32_t)wal->options.ring_size;
	if (frame > wal->write_max - WAL_BLOCK)
		frame = wal->write_max - WAL_BLOCK;
	wal->body_max = (uint32_t)frame - WAL_FRAME_HEADER;
	return true;
}

void wal_drop(struct wal *wal)
{
	wal_maker_stop(wal);
	if (wal->out >= 0)
		wal_io.close(wal->out);
	for (int i = 0; i < READER_FILES; i++)
		if (wal->files[i].fd >= 0)
			wal_io.close(wal->files[i].fd);
	segments_free(&wal->segments);
	if (wal->dir >= 0)
		wal_io.close(wal->dir);
	wal_ring_free(wal);
	mem_free(wal->page_memory);
	mem_free(wal->producers_memory);
	pthread_cond_destroy(&wal->wake);
	pthread_mutex_destroy(&wal->lock);
	mem_free(wal);
}

static bool dir_take(struct wal *wal, struct buf *error)
{
	wal->dir = wal_io.open_dir(wal->options.dir);
	if (wal->dir >= 0 && wal_io.lock(wal->dir) == 0)
		return true;
	if (wal->dir >= 0 && errno == EWOULDBLOCK)
		buf_printf(error, "the log in %s is in use by another process", wal->options.dir);
	else
		buf_printf(error, "the log's folder %s cannot be opened: %s", wal->options.dir, strerror(errno));
	return false;
}

static struct wal *wal_new(const struct wal_options *options)
{
	struct wal *wal = mem_zalloc(sizeof(*wal));
	wal->options = *options;
	wal->direct = options->direct;
	wal->out = wal->dir = -1;
	wal->history_lsn = UINT64_MAX;
	for (int i = 0; i < READER_FILES; i++)
		wal->files[i].fd = -1;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&wal->lock, NULL);
	pthread_cond_init(&wal->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return wal;
}

struct wal *wal_open(const struct wal_options *options, uint64_t from, wal_replay_fn *replay, void *context,
		     struct buf *error)
{
	if (!options_check(options, error))
		return NULL;
	struct wal *wal = wal_new(options);
	struct scan scan = { .segments = &wal->segments, .from = from, .known = options->known, .each = replay, .context = context };
	bool good = dir_take(wal, error) && segments_list(&wal->segments, wal->dir, error) && recover(wal, &scan, error) &&
		    memory_make(wal, error);
	if (good) {
		segments_sweep(wal->dir);
		wal->epoch = scan.epoch + MUTATE(8, 1, !scan.epoch);
		wal->opened_time = scan.time_ms;
		atomic_store(&wal->last_time, scan.time_ms);
		good = cut(wal, scan.end, error) && open_epoch(wal, error);
	}
	buf_free(&scan.text);
	wal->options.dir = NULL;                       /* the caller's */
	if (!good) {
		wal_drop(wal);
		return NULL;
	}
	if (!options->stepped)
		wal_maker_start(wal);
	return wal;
}

void wal_close(struct wal *wal)
{
	while (wal_step(wal, true))
		;
	ASSERT(wal_durable(wal) == wal_appended(wal) && atomic_load(&wal->credited) == 0);
	if (wal_durable(wal) > wal->marked)
		wal_say(wal, "warning", "the log was closed without its mark: no room for it");
	wal_drop(wal);
}

uint64_t wal_durable(const struct wal *wal)
{
	return MUTATE(18, atomic_load_explicit(&wal->durable, memory_order_acquire), atomic_load(&wal->head));
}

uint64_t wal_appended(const struct wal *wal)
{
	return atomic_load(&wal->head);
}

uint64_t wal_first(const struct wal *wal)
{
	struct wal *self = (struct wal *)(uintptr_t)wal;
	pthread_mutex_lock(&self->lock);
	uint64_t first = self->segments.at[0].base;
	pthread_mutex_unlock(&self->lock);
	return first;
}

uint32_t wal_epoch(const struct wal *wal)
{
	return wal->epoch;
}

int64_t wal_last_time(const struct wal *wal)
{
	return MUTATE(27, wal->opened_time, 0);
}

bool wal_disk_full(const struct wal *wal)
{
	return atomic_load(&wal->disk_full);
}

void wal_stats(const struct wal *wal, struct wal_stats *stats)
{
	*stats = (struct wal_stats){
		.writes = atomic_load_explicit(&wal->writes, memory_order_relaxed),
		.bytes = atomic_load_explicit(&wal->bytes, memory_order_relaxed),
		.segments = atomic_load_explicit(&wal->made, memory_order_relaxed),
		.last_write_ns = atomic_load_explicit(&wal->last_write_ns, memory_order_relaxed),
		.last_write_bytes = atomic_load_explicit(&wal->last_write_bytes, memory_order_relaxed),
	};
}
