// SPDX-License-Identifier: Apache-2.0
#include "snapshot/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/shard/shard.h"
#include "snapshot/store.h"
#include "wal/files.h"

enum { LEVEL = 1, PATH_BYTES = 4096, NAP_MS = 20, FLUSH_BYTES = 256 * 1024 };

enum phase {
	PHASE_BEGIN,                   /* files are made */
	PHASE_PIECE,                   /* one is asked for */
	PHASE_PACE,                    /* too early for the next one */
	PHASE_DURABLE,                 /* the log is not yet durable behind all pieces */
	PHASE_END
};

struct snapshot_writer {
	enum phase phase;
	bool good;
	struct snapshot_outcome outcome;
	const struct snapshot_source *source;
	const struct snapshot_order *order;
	struct snapshot_manifest manifest;
	uint32_t cap;                  /* of manifest.sections */
	struct buf packed;
	ZSTD_CCtx *zstd;
	int fd;
	uint64_t flushed;              /* bytes that the kernel was told to write out */
	uint64_t began_ns, asked_ns;
	struct capture capture;
	sem_t there;                   /* posted when the shard has made the piece; the shard takes no lock, which this thread, of low
				          priority, might hold while it gets no processor */
	bool captured;                 /* the piece was made, as far as this thread knows */
	uint64_t longest_ns;
	struct buf *error;
};

static bool fail(struct snapshot_writer *writer, const char *what, int failed)
{
	buf_printf(writer->error, "%s: %s", what, strerror(failed));
	return false;
}

static bool stopping(const struct snapshot_writer *writer)
{
	if (!writer->source->stop || !atomic_load(writer->source->stop))
		return false;
	buf_lit(writer->error, "the server stops");
	return true;
}

/* ---- pieces ----------------------------------------------------------------------------------------------------------- */

void snapshot_captured(struct capture *capture)
{
	struct snapshot_writer *writer = capture->context;
	sem_post(&writer->there);
}

static bool piece_there(struct snapshot_writer *writer)
{
	if (!writer->captured)
		writer->captured = sem_trywait(&writer->there) == 0;
	return writer->captured;
}

/* Asks the shard for the piece that writer->capture describes. */
static void piece_ask(struct snapshot_writer *writer)
{
	struct capture *capture = &writer->capture;
	unsigned shard = capture->shared ? CATALOG_SHARD : shard_of(capture->partition, writer->source->shards);
	capture->message = (struct message){ .kind = MESSAGE_CAPTURE, .shard = shard, .owner = capture };
	capture->after = snapshot_captured;
	capture->context = writer;
	writer->captured = false;
	writer->asked_ns = wal_io.monotonic_ns();
	writer->phase = PHASE_PIECE;
	writer->source->post(writer->source->context, shard, &capture->message);
}

/* Steady writing in the background instead of one long fsync at the end, which the log would wait behind. */
static void flush_steadily(struct snapshot_writer *writer)
{
	uint64_t size = writer->manifest.data_size;
	if (size - writer->flushed < FLUSH_BYTES)
		return;
	wal_io.flush(writer->fd, (off_t)writer->flushed, (off_t)(size - writer->flushed));
	writer->flushed = size;
}

static bool piece_write(struct snapshot_writer *writer)
{
	struct capture *capture = &writer->capture;
	struct snapshot_manifest *manifest = &writer->manifest;
	struct snapshot_section section = { .offset = manifest->data_size, .raw_size = (uint32_t)capture->bytes.len,
					    .lsn = capture->lsn, .floor = MUTATE(46, capture->floor, capture->lsn),
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
		int failed = files_write(writer->fd, writer->packed.ptr, size, manifest->data_size);
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

/* How long the next piece must wait to hold the rate. */
static uint64_t early_ns(const struct snapshot_writer *writer)
{
	uint64_t rate = writer->order->rate, spent = wal_io.monotonic_ns() - writer->began_ns;
	uint64_t due = rate ? (uint64_t)((double)writer->manifest.raw_size / (double)rate * 1e9) : 0;
	return due > spent ? due - spent : 0;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static bool dir_make(struct snapshot_writer *writer)
{
	const char *dir = writer->order->dir;
	char above[PATH_BYTES];
	if (wal_io.make_dir(dir) && errno != EEXIST)
		return fail(writer, "cannot make the folder of snapshots", errno);
	snprintf(above, sizeof above, "%s/..", dir);
	int failed = files_sync_dir(above);
	if (!failed)
		failed = snapshot_prune(dir, SIZE_MAX);
	return failed ? fail(writer, "the folder of snapshots", failed) : true;
}

static bool data_begin(struct snapshot_writer *writer)
{
	unsigned char head[SNAPSHOT_DATA_HEAD];
	writer->fd = snapshot_file_open(writer->order->dir, "new.data", O_WRONLY | O_CREAT | O_TRUNC);
	if (writer->fd < 0)
		return fail(writer, "cannot make new.data", errno);
	snapshot_data_head(head);
	int failed = files_write(writer->fd, head, sizeof head, 0);
	writer->manifest.data_size = sizeof head;
	return failed ? fail(writer, "cannot write new.data", failed) : true;
}

/* Durable, then under its own name, then the name durable. */
static int settle(struct snapshot_writer *writer, int fd, const char *name, const char *suffix)
{
	char own[SNAPSHOT_NAME];
	int failed = 0;
	while (!failed && MUTATE(45, wal_io.sync_all(fd), 0))
		failed = errno == EINTR ? 0 : errno;
	snapshot_name(own, writer->manifest.end, suffix);
	int folder = failed ? -1 : wal_io.open_dir(writer->order->dir);
	if (!failed && (folder < 0 || wal_io.rename(folder, name, own)))
		failed = errno;
	if (folder >= 0)
		wal_io.close(folder);
	return failed ? failed : MUTATE(50, files_sync_dir(writer->order->dir), 0);
}

static bool manifest_write(struct snapshot_writer *writer)
{
	struct buf bytes = { 0 };
	snapshot_manifest_encode(&writer->manifest, &bytes);
	int fd = snapshot_file_open(writer->order->dir, "new.manifest", O_WRONLY | O_CREAT | O_TRUNC), failed = fd < 0 ? errno : 0;
	if (!failed)
		failed = files_write(fd, bytes.ptr, bytes.len, 0);
	if (!failed)
		failed = settle(writer, fd, "new.manifest", "manifest");
	if (fd >= 0)
		wal_io.close(fd);
	buf_free(&bytes);
	return failed ? fail(writer, "cannot write the manifest", failed) : true;
}

/* *same: nothing was appended since the newest one.  False: that cannot be told now, or it is, and cannot be made durable.  Another
 * one must not be written then: it would have the same name, and its data stand under the manifest of the one before, for ever if
 * what comes behind that rename fails.  One that is known to be broken is replaced. */
static bool newest_is(struct snapshot_writer *writer, bool *same)
{
	const char *dir = writer->order->dir;
	struct snapshot_manifest newest = { 0 };
	struct buf why = { 0 };
	uint64_t *ends;
	size_t count;
	int failed = 0;
	bool good = snapshot_list(dir, &ends, &count, writer->error);
	*same = good && count && ends[0] == writer->source->head(writer->source->context);
	if (*same) {
		*same = snapshot_manifest_try(dir, ends[0], &newest, &failed, &why);
		if (*same && (failed = files_sync_dir(dir)) != 0)   /* behind its rename that may have failed */
			buf_printf(&why, "its folder cannot be made durable: %s", strerror(failed));
		good = !failed;
		if (!good)
			buf_printf(writer->error, "the snapshot %016llx ends where the log does, and is not replaced: %.*s",
				   (unsigned long long)ends[0], (int)why.len, why.ptr);
	}
	if (good && *same)
		writer->outcome = (struct snapshot_outcome){ .from = newest.from, .end = newest.end, .size = newest.data_size,
							     .raw_size = newest.raw_size, .pieces = newest.count,
							     .unchanged = true };
	snapshot_manifest_free(&newest);
	mem_free(ends);
	buf_free(&why);
	return good;
}

/* ---- steps ------------------------------------------------------------------------------------------------------------ */

static bool begin_step(struct snapshot_writer *writer)
{
	bool same;
	if (!newest_is(writer, &same))
		return false;
	if (same) {
		writer->phase = PHASE_END;
		return true;
	}
	if (!dir_make(writer) || !data_begin(writer))
		return false;
	writer->capture.shared = true;
	piece_ask(writer);
	return true;
}

/* The piece is written; what comes next? */
static bool piece_step(struct snapshot_writer *writer)
{
	struct capture *capture = &writer->capture;
	uint64_t took = wal_io.monotonic_ns() - writer->asked_ns;
	writer->longest_ns = took > writer->longest_ns ? took : writer->longest_ns;
	if (!piece_write(writer))
		return false;
	capture->partition = capture->shared ? 0 : capture->behind;
	capture->limit = writer->order->piece ? writer->order->piece : SNAPSHOT_PIECE;
	capture->shared = false;
	if (capture->partition == PARTITION_COUNT)
		writer->manifest.end = writer->source->head(writer->source->context);
	writer->phase = capture->partition == PARTITION_COUNT ? PHASE_DURABLE : PHASE_PACE;
	return !stopping(writer);
}

static bool finish_step(struct snapshot_writer *writer)
{
	int failed = settle(writer, writer->fd, "new.data", "data");
	if (failed)
		return fail(writer, "cannot make the data durable", failed);
	if (!manifest_write(writer))
		return false;
	const struct snapshot_manifest *manifest = &writer->manifest;
	writer->outcome = (struct snapshot_outcome){ .from = manifest->from, .end = manifest->end, .size = manifest->data_size,
						     .raw_size = manifest->raw_size, .pieces = manifest->count,
						     .longest_ns = writer->longest_ns };
	writer->phase = PHASE_END;
	/* One more than is wanted does no harm; the next one tries again. */
	snapshot_thin(writer->order->dir, writer->order->keep - MUTATE(48, 0u, 1u), writer->order->floor, writer->order->step);
	return true;
}

static enum snapshot_next nap(uint64_t ns, uint64_t *nap_ns)
{
	const uint64_t most = NAP_MS * UINT64_C(1000000);
	*nap_ns = ns < most ? ns : most;
	return SNAPSHOT_NAPS;
}

enum snapshot_next snapshot_step(struct snapshot_writer *writer, uint64_t *nap_ns)
{
	const struct snapshot_source *source = writer->source;
	bool good = writer->zstd != NULL;
	uint64_t early;
	if (!good)
		buf_lit(writer->error, "zstd: no memory");
	while (good && writer->phase != PHASE_END)
		switch (writer->phase) {
		case PHASE_BEGIN: good = begin_step(writer); break;
		case PHASE_PIECE:
			if (!piece_there(writer))
				return SNAPSHOT_WAITS;
			good = piece_step(writer);
			break;
		case PHASE_PACE:
			if (!(good = !stopping(writer)))
				break;
			if ((early = early_ns(writer)) > 0)
				return nap(early, nap_ns);
			piece_ask(writer);
			break;
		case PHASE_DURABLE:
			if (MUTATE(49, source->durable(source->context), UINT64_MAX) < writer->manifest.end && (good = !stopping(writer)))
				return nap(1000000, nap_ns);
			good = good && finish_step(writer);
			break;
		case PHASE_END: break;
		}
	writer->good = good;
	writer->phase = PHASE_END;
	return SNAPSHOT_ENDS;
}

struct snapshot_writer *snapshot_begin(const struct snapshot_source *source, const struct snapshot_order *order, struct buf *error)
{
	struct snapshot_writer *writer = mem_zalloc(sizeof *writer);
	writer->source = source;
	writer->order = order;
	writer->error = error;
	writer->fd = -1;
	writer->manifest.from = UINT64_MAX;
	writer->manifest.time_ms = order->now_ms;
	writer->manifest.epoch = order->epoch;
	writer->began_ns = wal_io.monotonic_ns();
	sem_init(&writer->there, 0, 0);
	writer->zstd = ZSTD_createCCtx();
	return writer;
}

bool snapshot_end(struct snapshot_writer *writer, struct snapshot_outcome *outcome)
{
	bool good = writer->good;
	if (writer->fd >= 0)
		wal_io.close(writer->fd);
	if (!good)
		snapshot_prune(writer->order->dir, SIZE_MAX);  /* what it has begun */
	*outcome = writer->outcome;
	outcome->took_ns = wal_io.monotonic_ns() - writer->began_ns;
	ZSTD_freeCCtx(writer->zstd);
	snapshot_manifest_free(&writer->manifest);
	buf_free(&writer->capture.bytes);
	buf_free(&writer->packed);
	sem_destroy(&writer->there);
	mem_free(writer);
	return good;
}

void snapshot_await(struct snapshot_writer *writer)
{
	while (!writer->captured)
		writer->captured = sem_wait(&writer->there) == 0;
}

bool snapshot_write(const struct snapshot_source *source, const struct snapshot_order *order, struct snapshot_outcome *outcome,
		    struct buf *error)
{
	struct snapshot_writer *writer = snapshot_begin(source, order, error);
	enum snapshot_next next;
	uint64_t nap_ns;
	while ((next = snapshot_step(writer, &nap_ns)) != SNAPSHOT_ENDS)
		if (next == SNAPSHOT_WAITS)
			snapshot_await(writer);
		else
			nanosleep(&(struct timespec){ .tv_nsec = (long)nap_ns }, NULL);
	return snapshot_end(writer, outcome);
}
