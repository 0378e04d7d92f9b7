// SPDX-License-Identifier: Apache-2.0
#include "snapshot/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/shard/shard.h"
#include "snapshot/store.h"

enum { LEVEL = 1, PATH_BYTES = 4096, NAP_MS = 20, FLUSH_BYTES = 1024 * 1024 };

struct writer {
	const struct snapshot_source *source;
	const struct snapshot_order *order;
	struct snapshot_manifest manifest;
	uint32_t cap;                  /* of manifest.sections */
	struct buf packed;
	ZSTD_CCtx *zstd;
	int fd;
	uint64_t flushed;              /* bytes that the kernel was told to write out */
	struct timespec began;
	struct capture capture;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool captured;
	uint64_t longest_ns;
	struct buf *error;
};

static uint64_t ns_since(const struct timespec *then)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)(now.tv_sec - then->tv_sec) * UINT64_C(1000000000) + (uint64_t)now.tv_nsec - (uint64_t)then->tv_nsec;
}

static bool fail(struct writer *writer, const char *what, int failed)
{
	buf_printf(writer->error, "%s: %s", what, strerror(failed));
	return false;
}

static bool stopping(const struct writer *writer)
{
	if (!writer->source->stop || !atomic_load(writer->source->stop))
		return false;
	buf_lit(writer->error, "the server stops");
	return true;
}

static void nap(uint64_t ns)
{
	const uint64_t most = NAP_MS * UINT64_C(1000000);
	nanosleep(&(struct timespec){ .tv_nsec = (long)(ns < most ? ns : most) }, NULL);
}

/* ---- pieces ----------------------------------------------------------------------------------------------------------- */

void snapshot_captured(struct capture *capture)
{
	struct writer *writer = capture->context;
	pthread_mutex_lock(&writer->mutex);
	writer->captured = true;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
}

/* Asks the shard for the piece that writer->capture describes, and waits for it. */
static void piece_take(struct writer *writer, unsigned shard)
{
	struct capture *capture = &writer->capture;
	struct timespec asked;
	clock_gettime(CLOCK_MONOTONIC, &asked);
	capture->message = (struct message){ .kind = MESSAGE_CAPTURE, .shard = shard, .owner = capture };
	capture->after = snapshot_captured;
	capture->context = writer;
	writer->captured = false;
	writer->source->post(writer->source->context, shard, &capture->message);
	pthread_mutex_lock(&writer->mutex);
	while (!writer->captured)
		pthread_cond_wait(&writer->changed, &writer->mutex);
	pthread_mutex_unlock(&writer->mutex);
	uint64_t took = ns_since(&asked);
	writer->longest_ns = took > writer->longest_ns ? took : writer->longest_ns;
}

static int write_fully(int fd, const void *bytes, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, (const char *)bytes + done, size - done);
		if (n < 0 && errno != EINTR)
			return errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* Steady writing in the background instead of one long fsync at the end, which the log would wait behind. */
static void flush_steadily(struct writer *writer)
{
	uint64_t size = writer->manifest.data_size;
	if (size - writer->flushed < FLUSH_BYTES)
		return;
	sync_file_range(writer->fd, (off_t)writer->flushed, (off_t)(size - writer->flushed),
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
	writer->flushed = size;
}

static bool piece_write(struct writer *writer)
{
	struct capture *capture = &writer->capture;
	struct snapshot_manifest *manifest = &writer->manifest;
	struct snapshot_section section = { .offset = manifest->data_size, .raw_size = (uint32_t)capture->bytes.len,
					    .lsn = capture->lsn, .floor = capture->floor,
					    .partition = (uint16_t)(capture->shared ? SNAPSHOT_SHARED : capture->partition),
					    .behind = (uint16_t)(capture->shared ? SNAPSHOT_SHARED : capture->behind) };
	if (capture->bytes.len > SNAPSHOT_RAW_MAX) {
		buf_printf(writer->error, "partition %u has %zu bytes, more than a piece may have", capture->partition,
			   capture->bytes.len);
		return false;
	}
	capture_settle(&capture->bytes);
	if (capture->bytes.len) {
		writer->packed.len = 0;
		buf_room(&writer->packed, ZSTD_compressBound(capture->bytes.len));
		size_t size = ZSTD_compressCCtx(writer->zstd, writer->packed.ptr, writer->packed.cap, capture->bytes.ptr,
						capture->bytes.len, LEVEL);
		if (ZSTD_isError(size)) {
			buf_printf(writer->error, "zstd: %s", ZSTD_getErrorName(size));
			return false;
		}
		section.size = (uint32_t)size;
		snapshot_hash(section.hash, writer->packed.ptr, size);
		int failed = write_fully(writer->fd, writer->packed.ptr, size);
		if (failed)
			return fail(writer, "cannot write new.data", failed);
	}
	if (manifest->count == writer->cap) {
		writer->cap = writer->cap ? writer->cap * 2 : 128;
		manifest->sections = mem_realloc(manifest->sections, writer->cap * sizeof *manifest->sections);
	}
	manifest->sections[manifest->count++] = section;
	manifest->data_size += section.size;
	manifest->raw_size += section.raw_size;
	manifest->from = section.floor < manifest->from ? section.floor : manifest->from;
	flush_steadily(writer);
	return true;
}

/* Holds the rate. */
static bool pace(struct writer *writer)
{
	uint64_t rate = writer->order->rate;
	while (!stopping(writer)) {
		uint64_t due = rate ? (uint64_t)((double)writer->manifest.raw_size / (double)rate * 1e9) : 0;
		uint64_t spent = ns_since(&writer->began);
		if (spent >= due)
			return true;
		nap(due - spent);
	}
	return false;
}

static bool pieces_write(struct writer *writer)
{
	struct capture *capture = &writer->capture;
	unsigned shards = writer->source->shards;
	capture->shared = true;
	piece_take(writer, CATALOG_SHARD);
	if (!piece_write(writer))
		return false;
	capture->shared = false;
	capture->limit = writer->order->piece ? writer->order->piece : SNAPSHOT_PIECE;
	for (unsigned p = 0; p < PARTITION_COUNT; p = capture->behind) {
		capture->partition = p;
		piece_take(writer, shard_of(p, shards));
		if (!piece_write(writer) || !pace(writer))
			return false;
	}
	return true;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static void path_in(char path[PATH_BYTES], const char *dir, const char *name)
{
	snprintf(path, PATH_BYTES, "%s/%s", dir, name);
}

static bool dir_make(struct writer *writer)
{
	const char *dir = writer->order->dir;
	char above[PATH_BYTES];
	if (mkdir(dir, 0700) && errno != EEXIST)
		return fail(writer, "cannot make the folder of snapshots", errno);
	path_in(above, dir, "..");
	int failed = snapshot_dir_sync(above);
	if (!failed)
		failed = snapshot_prune(dir, SIZE_MAX);
	return failed ? fail(writer, "the folder of snapshots", failed) : true;
}

static bool data_begin(struct writer *writer)
{
	char path[PATH_BYTES];
	unsigned char head[SNAPSHOT_DATA_HEAD];
	path_in(path, writer->order->dir, "new.data");
	writer->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (writer->fd < 0)
		return fail(writer, "cannot make new.data", errno);
	snapshot_data_head(head);
	int failed = write_fully(writer->fd, head, sizeof head);
	writer->manifest.data_size = sizeof head;
	return failed ? fail(writer, "cannot write new.data", failed) : true;
}

/* Durable, then under its own name, then the name durable. */
static int settle(struct writer *writer, int fd, const char *name, const char *suffix)
{
	char from[PATH_BYTES], to[PATH_BYTES], own[SNAPSHOT_NAME];
	int failed = 0;
	while (!failed && fsync(fd))
		failed = errno == EINTR ? 0 : errno;
	snapshot_name(own, writer->manifest.end, suffix);
	path_in(from, writer->order->dir, name);
	path_in(to, writer->order->dir, own);
	if (!failed && rename(from, to))
		failed = errno;
	return failed ? failed : snapshot_dir_sync(writer->order->dir);
}

static bool manifest_write(struct writer *writer)
{
	struct buf bytes = { 0 };
	char path[PATH_BYTES];
	path_in(path, writer->order->dir, "new.manifest");
	snapshot_manifest_encode(&writer->manifest, &bytes);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), failed = fd < 0 ? errno : 0;
	if (!failed)
		failed = write_fully(fd, bytes.ptr, bytes.len);
	if (!failed)
		failed = settle(writer, fd, "new.manifest", "manifest");
	if (fd >= 0)
		close(fd);
	buf_free(&bytes);
	return failed ? fail(writer, "cannot write the manifest", failed) : true;
}

static bool finish(struct writer *writer)
{
	const struct snapshot_source *source = writer->source;
	uint64_t end = source->head(source->context);
	writer->manifest.end = end;
	while (source->durable(source->context) < end) {
		if (stopping(writer))
			return false;
		nap(1000000);
	}
	int failed = settle(writer, writer->fd, "new.data", "data");
	if (failed)
		return fail(writer, "cannot make the data durable", failed);
	return manifest_write(writer);
}

/* Nothing was appended since the newest one. */
static bool unchanged(struct writer *writer, struct snapshot_outcome *outcome)
{
	struct buf error = { 0 };
	struct snapshot_manifest newest = { 0 };
	uint64_t *ends;
	size_t count;
	bool same = snapshot_list(writer->order->dir, &ends, &count, &error) && count &&
		    ends[0] == writer->source->head(writer->source->context) &&
		    snapshot_manifest_read(writer->order->dir, ends[0], &newest, &error);
	if (same)
		*outcome = (struct snapshot_outcome){ .from = newest.from, .end = newest.end, .size = newest.data_size,
						      .raw_size = newest.raw_size, .pieces = newest.count, .unchanged = true };
	snapshot_manifest_free(&newest);
	mem_free(ends);
	buf_free(&error);
	return same;
}

bool snapshot_write(const struct snapshot_source *source, const struct snapshot_order *order, struct snapshot_outcome *outcome,
		    struct buf *error)
{
	struct writer *writer = mem_zalloc(sizeof *writer);
	writer->source = source;
	writer->order = order;
	writer->error = error;
	writer->fd = -1;
	writer->manifest.from = UINT64_MAX;
	writer->manifest.time_ms = order->now_ms;
	writer->manifest.epoch = order->epoch;
	clock_gettime(CLOCK_MONOTONIC, &writer->began);
	pthread_mutex_init(&writer->mutex, NULL);
	pthread_cond_init(&writer->changed, NULL);
	writer->zstd = ZSTD_createCCtx();
	*outcome = (struct snapshot_outcome){ 0 };
	bool good = writer->zstd != NULL;
	if (!good)
		buf_lit(error, "zstd: no memory");
	if (good && !unchanged(writer, outcome)) {
		good = dir_make(writer) && data_begin(writer) && pieces_write(writer) && finish(writer);
		*outcome = (struct snapshot_outcome){ .from = writer->manifest.from, .end = writer->manifest.end,
						      .size = writer->manifest.data_size,
						      .raw_size = writer->manifest.raw_size,
						      .pieces = writer->manifest.count, .longest_ns = writer->longest_ns };
		if (writer->fd >= 0)
			close(writer->fd);
		/* One more than is wanted does no harm; the next one tries again. */
		snapshot_prune(order->dir, good ? order->keep : SIZE_MAX);
	}
	outcome->took_ns = ns_since(&writer->began);
	ZSTD_freeCCtx(writer->zstd);
	snapshot_manifest_free(&writer->manifest);
	buf_free(&writer->capture.bytes);
	buf_free(&writer->packed);
	pthread_mutex_destroy(&writer->mutex);
	pthread_cond_destroy(&writer->changed);
	mem_free(writer);
	return good;
}
