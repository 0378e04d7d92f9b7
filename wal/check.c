// SPDX-License-Identifier: Apache-2.0
/* check.c - a record that is read back by its LSN stands in a frame whose checksums hold.
 *
 * A record's LSN does not say where its frame begins: the header is looked for backwards, and counts with its own checksum, its LSN
 * equal to its place, and room for the record in it.  Bytes of a body may look like one; so where a candidate does not hold, the one
 * before it is tried.  Then the whole frame is read once.  That it held is remembered for CHECKED_NS for each 64 KiB that it covers,
 * so that many records out of one large frame cost one checksum, and small frames cost little anyway.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "wal/frame.h"
#include "wal/wal_int.h"

enum { LOOK_FIRST = 4096, LOOK_TIMES = 8, CHECKED_SHIFT = 16 };

#define CHECKED_NS UINT64_C(10000000000)

static bool checked_before(struct wal *wal, uint64_t lsn)
{
	uint64_t now = wal_io.monotonic_ns();
	pthread_mutex_lock(&wal->lock);
	const struct checked *checked = &wal->checked[(lsn >> CHECKED_SHIFT) % CHECKED_SLOTS];
	bool good = lsn >= checked->lsn && lsn < checked->end && now - checked->at_ns < CHECKED_NS;
	pthread_mutex_unlock(&wal->lock);
	return good;
}

static void checked_keep(struct wal *wal, const struct wal_frame *frame)
{
	struct checked checked = { frame->lsn, frame->lsn + frame->size, wal_io.monotonic_ns() };
	pthread_mutex_lock(&wal->lock);
	for (uint64_t at = frame->lsn >> CHECKED_SHIFT; at <= (checked.end - 1) >> CHECKED_SHIFT; at++)
		wal->checked[at % CHECKED_SLOTS] = checked;
	pthread_mutex_unlock(&wal->lock);
}

static bool segment_of(struct wal *wal, uint64_t lsn, struct segment *segment)
{
	pthread_mutex_lock(&wal->lock);
	size_t at = segments_find(&wal->segments, lsn);
	bool found = at < wal->segments.count;
	if (found)
		*segment = wal->segments.at[at];
	pthread_mutex_unlock(&wal->lock);
	return found;
}

/* What the search has come to. */
struct search {
	struct wal *wal;
	struct segment segment;
	uint64_t lsn;                  /* of the record */
	struct wal_frame frame;        /* the one that holds it; or the nearest one that should */
	const char *why;               /* what is wrong with that; NULL: none was found */
	bool unread;                   /* the disk did not give the bytes, which is told already */
};

static bool frame_holds(struct search *search, const struct wal_frame *found, uint64_t hash)
{
	struct wal_frame frame = *found;
	unsigned char *bytes = mem_alloc(frame.size);
	const char *why = NULL;
	bool good = wal_read(search->wal, frame.lsn, bytes, frame.size);
	search->unread |= !good;
	good = good && frame_body(bytes, &frame, hash, &why);
	if (good || !search->why) {
		search->frame = *found;
		search->why = why;
	}
	mem_free(bytes);
	return good;
}

/* Looks through [start, end) from behind.  `room` is of as many bytes. */
static bool look(struct search *search, uint64_t start, uint64_t end, unsigned char *room)
{
	if (!wal_read(search->wal, start, room, (size_t)(end - start))) {
		search->unread = true;
		return false;
	}
	for (uint64_t at = end - WAL_FRAME_HEADER; at + 1 > start; at -= WAL_ALIGN) {
		const unsigned char *bytes = room + (at - start);
		struct wal_frame frame;
		uint64_t hash, left = search->segment.base + search->segment.size - at;
		const char *why;
		if (get_u32(bytes) == FRAME_MAGIC && frame_header(bytes, at, left, &frame, &hash, &why) == FRAME_GOOD &&
		    frame.kind == WAL_FRAME_RECORDS && frame.body_size > search->lsn - at - WAL_FRAME_HEADER &&
		    frame_holds(search, &frame, hash))
			return true;
		if (search->unread || at < start + WAL_ALIGN)
			break;
	}
	return false;
}

/* Whether one can stand there at all. */
static bool search_begin(struct search *search, const struct wal *wal, uint64_t lsn)
{
	struct wal *self = (struct wal *)(uintptr_t)wal;       /* only what the lock guards changes */
	*search = (struct search){ .wal = self, .lsn = lsn };
	return lsn % WAL_ALIGN == 0 && lsn < wal_durable(wal) && segment_of(self, lsn, &search->segment) &&
	       lsn - search->segment.base >= WAL_FRAME_HEADER;
}

static bool search_run(struct search *search)
{
	uint64_t lsn = search->lsn, base = search->segment.base;
	if (MUTATE(61, false, true) || checked_before(search->wal, lsn))
		return true;
	bool good = false, over = false;
	for (uint64_t span = LOOK_FIRST; !good && !over && !search->unread; span *= LOOK_TIMES) {
		over = lsn - base <= span || span >= FRAME_SIZE_MAX;
		uint64_t start = lsn - base > span ? lsn - span : base;
		unsigned char *room = mem_alloc((size_t)(lsn - start));
		good = look(search, start, lsn, room);
		mem_free(room);
	}
	if (good)
		checked_keep(search->wal, &search->frame);
	return good;
}

bool wal_holds(const struct wal *wal, uint64_t lsn)
{
	struct search search;
	return search_begin(&search, wal, lsn) && search_run(&search);
}

bool wal_check(const struct wal *wal, uint64_t lsn)
{
	struct search search;
	if (!search_begin(&search, wal, lsn))
		return false;
	if (search_run(&search))
		return true;
	uint64_t from = search.why ? search.frame.lsn : lsn;
	if (!search.unread && lsn >= wal_first(wal))
		wal_say(wal, "error", "damage at LSN %" PRIu64 ", file %016" PRIx64 ".log, %" PRIu64 " bytes from byte %" PRIu64
			": %s; the record at LSN %" PRIu64 " cannot be trusted", from, search.segment.base,
			search.why ? (uint64_t)search.frame.size : WAL_ALIGN, from - search.segment.base,
			search.why ? search.why : "no frame holds what stands here", lsn);
	return false;
}
