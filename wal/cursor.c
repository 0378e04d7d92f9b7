// SPDX-License-Identifier: Apache-2.0
#include "wal/cursor.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "wal/frame.h"

enum { WINDOW = 1 << 20, GLIMPSE = 4096 };

void wal_cursor_begin(struct wal_cursor *cursor, const struct wal *wal, uint64_t lsn)
{
	*cursor = (struct wal_cursor){ .wal = wal, .lsn = lsn };
}

void wal_cursor_end(struct wal_cursor *cursor)
{
	mem_free(cursor->window);
	cursor->window = NULL;
	cursor->window_cap = cursor->window_len = 0;
}

/* The `need` bytes at `lsn`, which are durable and lie in the segment at hand; NULL where they cannot be read. */
static const unsigned char *bytes_at(struct wal_cursor *cursor, uint64_t lsn, size_t need)
{
	uint64_t durable = wal_durable(cursor->wal), end = durable < cursor->end ? durable : cursor->end;
	size_t most = cursor->headers_only ? GLIMPSE : WINDOW;
	if (cursor->window_len && lsn >= cursor->window_lsn && lsn + need <= cursor->window_lsn + cursor->window_len)
		return cursor->window + (lsn - cursor->window_lsn);
	ASSERT(end - lsn >= need);
	size_t size = need > most ? need : most;
	if (size > end - lsn)
		size = (size_t)(end - lsn);
	if (size > cursor->window_cap) {
		mem_free(cursor->window);
		cursor->window_cap = size > most ? size : most;
		cursor->window = mem_alloc(cursor->window_cap);
	}
	cursor->window_len = 0;
	if (!wal_read(cursor->wal, lsn, cursor->window, size))
		return NULL;
	cursor->window_lsn = lsn;
	cursor->window_len = size;
	return cursor->window;
}

static enum cursor_result unread(const struct wal_cursor *cursor)
{
	return cursor->lsn < wal_first(cursor->wal) ? CURSOR_PRUNED : CURSOR_UNREADABLE;
}

static enum cursor_result damaged(struct wal_cursor *cursor, const char *why)
{
	cursor->why = why;
	return CURSOR_DAMAGED;
}

enum cursor_result wal_cursor_next(struct wal_cursor *cursor, struct wal_frame *frame)
{
	const char *why = "";
	uint64_t hash;
	for (;;) {
		uint64_t durable = wal_durable(cursor->wal);
		if (cursor->lsn >= durable)
			return CURSOR_END;
		if ((cursor->lsn < cursor->base || cursor->lsn >= cursor->end) &&
		    !wal_segment_at(cursor->wal, cursor->lsn, &cursor->base, &cursor->end))
			return CURSOR_PRUNED;
		if (cursor->end - cursor->lsn >= WAL_FRAME_HEADER)
			break;
		cursor->lsn = cursor->end;     /* a rest too short for a header */
	}
	if (wal_durable(cursor->wal) - cursor->lsn < WAL_FRAME_HEADER)
		return damaged(cursor, "the log ends within a header");
	const unsigned char *bytes = bytes_at(cursor, cursor->lsn, WAL_FRAME_HEADER);
	if (!bytes)
		return unread(cursor);
	if (frame_header(bytes, cursor->lsn, cursor->end - cursor->lsn, frame, &hash, &why) != FRAME_GOOD)
		return damaged(cursor, why);
	if (frame->size > wal_durable(cursor->wal) - cursor->lsn)
		return damaged(cursor, "a frame reaches over the log's end");
	if (!cursor->headers_only) {
		bytes = bytes_at(cursor, cursor->lsn, frame->size);
		if (!bytes)
			return unread(cursor);
		if (!frame_body(bytes, frame, hash, &why))
			return damaged(cursor, why);
	}
	cursor->lsn += frame->size;
	return CURSOR_FRAME;
}
