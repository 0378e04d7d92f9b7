// SPDX-License-Identifier: Apache-2.0
/* ring.c - taking room, publishing, and the step that writes what is complete.
 *
 * The ring is one memory file mapped twice in a row: position = LSN modulo ring_size, and a frame never wraps.
 *
 * Room.  A credit is added to `credited` first and looked at afterwards; an append moves `head` first and gives its
 * credit back afterwards.  So head + credited never misses anybody, and what was granted fits however others come in
 * between. The worst case of a frame is twice its size: less than one more of its size may go to the rest of a segment.
 *
 * Completeness.  Before taking room a producer stores a lower bound of the position it will get, after publishing
 * "none".  The step reads head, then all bounds (all sequentially consistent): whoever took room below that head had
 * stored its bound before, so everything below the smallest is complete.  Bounds are values of head, so it is a frame's
 * boundary.
 *
 * Writing.  Always whole blocks, always from the block where the last write ended; what is complete of the last block
 * is copied to a private page, as producers write behind it.  One write ends at the latest where the segment does, and
 * at a frame's boundary at most write_max behind its start; recovery's judgement rests on both.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "wal/wal_int.h"

bool wal_ring_make(struct wal *wal)
{
	size_t size = wal->options.ring_size;
	int fd = memfd_create("log-ring", MFD_CLOEXEC);
	if (fd < 0)
		return false;
	unsigned char *both = MAP_FAILED;
	if (ftruncate(fd, (off_t)size) == 0)
		both = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool good = both != MAP_FAILED;
	for (int half = 0; good && half < 2; half++)
		good = mmap(both + (size_t)half * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
			    fd, 0) != MAP_FAILED;
	if (!good && both != MAP_FAILED)
		munmap(both, 2 * size);
	close(fd);
	wal->ring = good ? both : NULL;
	return good;
}

void wal_ring_free(struct wal *wal)
{
	if (wal->ring)
		munmap(wal->ring, 2 * wal->options.ring_size);
	wal->ring = NULL;
}

static unsigned char *ring_at(const struct wal *wal, uint64_t lsn)
{
	return wal->ring + (lsn & (wal->options.ring_size - 1));
}

struct wal_producer *wal_producer_at(struct wal *wal, unsigned index)
{
	ASSERT(index < wal->options.producers);
	return &wal->producers[index];
}

uint32_t wal_frame_max(const struct wal *wal)
{
	return wal->body_max;
}

enum wal_room wal_credit(struct wal_producer *producer, uint32_t bound)
{
	struct wal *wal = producer->wal;
	ASSERT(!producer->credit && !producer->filling && bound <= wal->body_max);
	uint64_t worst = 2 * (uint64_t)frame_size(bound);
	uint64_t sum = atomic_fetch_add(&wal->credited, worst) + worst;
	uint64_t end = atomic_load(&wal->head) + sum;
	uint64_t tail = block_floor(atomic_load_explicit(&wal->durable, memory_order_acquire));
	if (end <= tail + wal->options.ring_size && end <= atomic_load_explicit(&wal->zeroed, memory_order_acquire)) {
		producer->credit = worst;
		producer->bound = bound;
		return WAL_ROOM;
	}
	bool ring = end > tail + wal->options.ring_size;
	atomic_fetch_sub(&wal->credited, worst);
	return !ring && atomic_load(&wal->disk_full) ? WAL_DISK_FULL : WAL_RING_FULL;
}

static void credit_end(struct wal_producer *producer)
{
	uint64_t before = atomic_fetch_sub(&producer->wal->credited, producer->credit);
	ASSERT(before >= producer->credit);
	producer->credit = 0;
}

void wal_credit_drop(struct wal_producer *producer)
{
	ASSERT(producer->credit && !producer->filling);
	credit_end(producer);
}

/* Covers [from, end), the rest of a segment that the frame behind it did not fit into. */
static void fill(struct wal *wal, uint64_t from, uint64_t end)
{
	unsigned char *bytes = ring_at(wal, from);
	uint32_t size = (uint32_t)(end - from);
	memset(bytes, 0, size);
	if (size < MUTATE(9, WAL_FRAME_HEADER, UINT32_MAX))
		return;                                /* readers know that nothing begins here */
	struct wal_frame filler = { .lsn = from, .size = size, .body_size = size - WAL_FRAME_HEADER, .epoch = wal->epoch,
				    .kind = WAL_FRAME_FILLER, .time_ms = atomic_load(&wal->last_time) };
	frame_stamp(bytes, &filler, 0);
}

uint64_t wal_append_begin(struct wal_producer *producer, uint32_t body_size, unsigned char **body)
{
	struct wal *wal = producer->wal;
	ASSERT(producer->credit && !producer->filling && body_size <= producer->bound);
	uint32_t size = frame_size(body_size);
	uint64_t head = atomic_load(&wal->head), end, lsn;
	atomic_store(&producer->inflight, head);
	do {
		end = wal_segment_end(wal, head);
		lsn = end - head < MUTATE(19, size, 0) ? end : head;
	} while (!atomic_compare_exchange_weak(&wal->head, &head, lsn + size));
	ASSERT(lsn + size - head <= producer->credit);
	if (lsn != head)
		fill(wal, head, lsn);
	producer->lsn = lsn;
	producer->body_size = body_size;
	producer->kind = WAL_FRAME_RECORDS;
	producer->filling = true;
	*body = ring_at(wal, lsn) + WAL_FRAME_HEADER;
	return lsn + MUTATE(5, WAL_FRAME_HEADER, WAL_FRAME_HEADER + 8);
}

uint64_t wal_append_publish(struct wal_producer *producer, int64_t time_ms, uint64_t body_hash)
{
	struct wal *wal = producer->wal;
	ASSERT(producer->filling);
	struct wal_frame frame = { .lsn = producer->lsn, .size = frame_size(producer->body_size), .epoch = wal->epoch,
				   .body_size = producer->body_size, .kind = producer->kind, .time_ms = time_ms };
	unsigned char *header = ring_at(wal, frame.lsn);
	frame_stamp(header, &frame, body_hash);
	uint32_t used = WAL_FRAME_HEADER + frame.body_size;
	memset(header + used, 0, frame.size - used);
	int64_t last = atomic_load_explicit(&wal->last_time, memory_order_relaxed);
	while (last < time_ms && !atomic_compare_exchange_weak(&wal->last_time, &last, time_ms))
		;
	producer->filling = false;
	atomic_store_explicit(&producer->inflight, UINT64_MAX, memory_order_release);
	credit_end(producer);
	return frame.lsn + frame.size;
}

bool wal_own_frame(struct wal *wal, enum wal_frame_kind kind, const void *body, uint32_t size, int64_t time_ms)
{
	struct wal_producer *own = &wal->producers[wal->options.producers];
	if (wal_credit(own, size) != WAL_ROOM)
		return false;
	unsigned char *room;
	wal_append_begin(own, size, &room);
	memcpy(room, body, size);
	own->kind = (uint16_t)kind;
	wal_append_publish(own, time_ms, frame_hash(room, size));
	return true;
}

static uint64_t complete_below(struct wal *wal)
{
	uint64_t least = atomic_load(&wal->head);
	for (unsigned i = 0; i <= wal->options.producers; i++) {
		uint64_t bound = atomic_load(&wal->producers[i].inflight);
		if (bound < least)
			least = bound;
	}
	return least;
}

/* Where the next write ends: a frame's boundary, in this segment, at most write_max behind the block it starts in. */
static uint64_t write_end(const struct wal *wal, uint64_t durable, uint64_t complete)
{
	uint64_t end = wal_segment_end(wal, durable), limit = block_floor(durable) + wal->write_max;
	if (complete < end)
		end = complete;
	if (end <= limit)
		return end;
	uint64_t at = durable;
	for (;;) {                                     /* frames in the ring are complete: their sizes can be trusted */
		if (wal_segment_end(wal, at) - at < WAL_FRAME_HEADER)
			return at;
		uint32_t size = get_u32(ring_at(wal, at) + 4);
		ASSERT(size >= WAL_FRAME_HEADER && size % WAL_ALIGN == 0);
		if (at + size > limit)
			break;
		at += size;
	}
	ASSERT(at > durable);
	return at;
}

static void out_open(struct wal *wal, uint64_t lsn)
{
	char name[SEGMENT_NAME];
	pthread_mutex_lock(&wal->lock);
	size_t at = segments_find(&wal->segments, lsn);
	ASSERT(at < wal->segments.count);
	wal->out_base = wal->segments.at[at].base;
	wal->out_end = wal->out_base + wal->segments.at[at].size;
	pthread_mutex_unlock(&wal->lock);
	ASSERT(wal->out_end == wal_segment_end(wal, lsn));
	segment_name(name, wal->out_base, "log");
	if (wal->out >= 0)
		wal_io.close(wal->out);
	wal->out = -1;
	if (wal->direct) {
		wal->out = wal_io.open(wal->dir, name, O_WRONLY | O_DIRECT | MUTATE(32, O_DSYNC, 0));
		if (wal->out < 0 && errno == EINVAL)
			wal->direct = false;
	}
	/* Only where direct writes are refused for good: nobody syncs behind a direct one, which is durable by itself. */
	if (MUTATE(115, !wal->direct, wal->out < 0))
		wal->out = wal_io.open(wal->dir, name, O_WRONLY);
	if (wal->out < 0)
		wal_fatal(wal, "the log's file %s cannot be opened for writing: %s", name, strerror(errno));
}

static void write_failed(const struct wal *wal, const char *what, uint64_t lsn, int error)
{
	char name[SEGMENT_NAME];
	segment_name(name, wal->out_base, "log");
	wal_fatal(wal, "%s of the log failed at LSN %" PRIu64 ", file %s, byte %" PRIu64 ": %s; what was not acknowledged"
		  " is lost, and no more is taken", what, lsn, name, lsn - wal->out_base, strerror(error));
}

/* Blocks from `start` on, `size` bytes from the ring and then, if `last`, the private page. */
static void write_blocks(struct wal *wal, uint64_t start, size_t size, bool last)
{
	size_t total = size + (last ? WAL_BLOCK : 0);
	for (size_t done = 0; done < total;) {
		struct iovec iov[2];
		int count = 0;
		if (done < size)
			iov[count++] = (struct iovec){ ring_at(wal, start + done), size - done };
		if (last) {
			size_t skip = done > size ? done - size : 0;
			iov[count++] = (struct iovec){ wal->page + skip, WAL_BLOCK - skip };
		}
		ssize_t n = wal_io.write(wal->out, iov, count, (off_t)(start + done - wal->out_base));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && wal->direct) {
			wal->direct = false;           /* accepted the flag, not the write */
			out_open(wal, start);
			continue;
		}
		if (n <= 0)
			write_failed(wal, "a durable write", start + done, n < 0 ? errno : EIO);
		done += (size_t)n;
		if (wal->direct && done < total)
			done &= ~(size_t)(WAL_BLOCK - 1);
	}
	while (MUTATE(30, !wal->direct, false) && wal_io.sync(wal->out) != 0)
		if (MUTATE(29, errno != EINTR, false))
			write_failed(wal, "fdatasync", start, errno);
}

static void write_durably(struct wal *wal, uint64_t durable, uint64_t end)
{
	ASSERT(end > durable && end <= atomic_load(&wal->zeroed));
	uint64_t began = wal_io.monotonic_ns(), start = block_floor(durable), full = block_floor(end);
	if (durable >= wal->out_end || wal->out < 0)
		out_open(wal, durable);
	ASSERT(end <= wal->out_end && block_ceil(end) - start <= wal->write_max);
	if (full != end) {
		size_t used = (size_t)(end - full);
		memcpy(wal->page, ring_at(wal, full), used);
		memset(wal->page + used, 0, WAL_BLOCK - used);
	}
	write_blocks(wal, start, (size_t)(full - start), full != end);
	uint64_t bytes = block_ceil(end) - start;
	atomic_fetch_add_explicit(&wal->writes, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&wal->bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&wal->last_write_bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&wal->last_write_ns, wal_io.monotonic_ns() - began, memory_order_relaxed);
	atomic_store_explicit(&wal->durable, end, memory_order_release);
	if (end == wal->out_end)
		wal_maker_wake(wal);
}

/* Everything is durable and no mark says so: append one. */
static bool mark(struct wal *wal, uint64_t durable)
{
	unsigned char body[FRAME_MARK_BODY];
	put_u64(body, durable);
	if (!wal_own_frame(wal, WAL_FRAME_MARK, body, sizeof(body), atomic_load(&wal->last_time)))
		return false;
	const struct wal_producer *own = &wal->producers[wal->options.producers];
	/* Others may have come in between: then those are for the next mark. */
	wal->marked = own->lsn == durable ? durable + frame_size(sizeof(body)) : durable;
	return true;
}

bool wal_step(struct wal *wal, bool idle)
{
	uint64_t durable = atomic_load_explicit(&wal->durable, memory_order_relaxed);
	uint64_t complete = complete_below(wal);
	ASSERT(complete >= durable);
	if (complete == durable) {
		if (!idle || durable <= wal->marked || !mark(wal, durable))
			return false;
		complete = complete_below(wal);
		if (complete == durable)
			return false;                  /* another took room before the mark: it is written with that */
	}
	write_durably(wal, durable, write_end(wal, durable, complete));
	return true;
}
