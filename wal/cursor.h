// SPDX-License-Identifier: Apache-2.0
/* cursor.h - reading an open log frame by frame, behind the writers: what tails are made of.
 *
 * A cursor never waits and never holds anything up: it reads segment files up to the durable LSN, each frame checked as recovery
 * would.  Any number of them, each used by one thread at a time.
 */
#ifndef WAL_CURSOR_H
#define WAL_CURSOR_H

#include "wal/wal.h"

enum cursor_result {
	CURSOR_FRAME,                  /* *frame is valid until the next call */
	CURSOR_END,                    /* nothing more is durable */
	CURSOR_PRUNED,                 /* the segment was dropped */
	CURSOR_UNREADABLE,             /* the disk does not give it; the log's `log` function heard why */
	CURSOR_DAMAGED,                /* what stands there is no frame */
};

struct wal_cursor {
	const struct wal *wal;         /* borrowed */
	uint64_t lsn;                  /* of the next frame */
	bool headers_only;             /* bodies are neither read nor checked: frame->body is NULL */
	const char *why;               /* with CURSOR_DAMAGED; a literal */
	/* inside */
	uint64_t base, end;            /* of the segment at hand; 0, 0: none */
	unsigned char *window;         /* owned */
	size_t window_cap, window_len;
	uint64_t window_lsn;
};

/* `lsn`: where a frame begins, or where a segment does. */
void wal_cursor_begin(struct wal_cursor *cursor, const struct wal *wal, uint64_t lsn);
enum cursor_result wal_cursor_next(struct wal_cursor *cursor, struct wal_frame *frame);
void wal_cursor_end(struct wal_cursor *cursor);

#endif
