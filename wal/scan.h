// SPDX-License-Identifier: Apache-2.0
/* scan.h - reading the log from the files, frame by frame, and judging how it ends.
 *
 * Used by recovery, by verifying and by the fuzzer.  Reads only; memory is one window.  The judgement at the first
 * position that is no good frame: damage, if anything behind proves that it had been durable; else a torn tail, or the
 * clean end.
 */
#ifndef WAL_SCAN_H
#define WAL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "wal/frame.h"
#include "wal/segment.h"

enum scan_end {
	SCAN_CLEAN,                    /* nothing but zeros behind `end` */
	SCAN_TORN,                     /* something stands there that was never acknowledged; *text says what */
	SCAN_DAMAGE,                   /* *text names file, LSN and bytes */
	SCAN_STOPPED,                  /* the callback said so */
};

struct scan {
	/* in */
	struct segments *segments;     /* borrowed; descriptors are opened here and left open only for the current one */
	uint64_t from;                 /* known to be durable up to here; callbacks begin here */
	uint64_t known;                /* the same, without the callbacks; 0: nothing known beyond `from` */
	uint64_t to;                   /* nothing at or behind it is looked at, and all before it must be whole; 0: to the end */
	bool every_kind;               /* callback for all kinds, not RECORDS only */
	wal_replay_fn *each;           /* may be NULL */
	void *context;
	void (*progress)(void *context, uint64_t done, uint64_t total);    /* now and then; may be NULL */
	void *progress_context;

	/* out */
	uint64_t end;                  /* where the log ends: the first position without a good frame */
	uint64_t torn_end;             /* last byte behind `end` that is not zero, + 1; `end` when there is none */
	uint32_t epoch;                /* of the last good frame; 0: none */
	int64_t time_ms;               /* greatest seen */
	struct buf text;               /* the judgement in words; the caller frees it */

	/* inside */
	unsigned char *window;
	size_t window_cap, window_len, window_segment;
	uint64_t window_lsn;
	uint64_t write_max, next_size;
	bool filled;                   /* the last good frame was filler */
	int failed;                    /* errno of a read */
};

enum scan_end scan_run(struct scan *scan);

#endif
