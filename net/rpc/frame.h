// SPDX-License-Identifier: Apache-2.0
/* frame.h - where does one MessagePack object end in a stream of bytes?
 *
 * The scanner takes up where it stopped: whatever the pieces in which bytes arrive, each header is looked at once (a
 * header that was cut, once more) and bodies of texts and binaries are passed over without a look.  Nothing recurses;
 * the only memory is the struct.
 */
#ifndef NET_RPC_FRAME_H
#define NET_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_LEVELS = 40 };

enum frame_state {
	FRAME_MORE,                    /* it goes on: frame_need says at least how far */
	FRAME_DONE,                    /* scan->at is its length */
	FRAME_TOO_LARGE,               /* more bytes, or more objects, than allowed; seen as soon as a header says so */
	FRAME_BROKEN                   /* 0xc1, which is no object */
};

struct frame_limits {
	uint64_t bytes;                /* of a frame; below 2^32 */
	uint64_t objects;
	unsigned levels;               /* arrays and maps within each other; deeper ones set `deep`; at most FRAME_LEVELS */
};

struct frame_scan {
	uint64_t at;                   /* bytes passed; beyond what is there where a body is still coming */
	uint64_t objects;              /* seen so far */
	uint64_t left;                 /* objects that are still to come, all levels together */
	bool deep;                     /* it was deeper than allowed, but can be passed over all the same */
	unsigned level;                /* open arrays and maps */
	uint32_t open[FRAME_LEVELS];   /* objects still to come in each; the last takes those of deeper ones as well */
};

void frame_begin(struct frame_scan *scan);

/* Scans on through the `len` bytes that are there of the frame; `frame` is its first byte each time (it may have
 * moved).  Reads nothing behind them. */
enum frame_state frame_scan(struct frame_scan *scan, const unsigned char *frame, size_t len,
			    const struct frame_limits *limits);

/* After FRAME_MORE with `len` bytes: at least as many bytes the whole frame has; more than len. */
static inline uint64_t frame_need(const struct frame_scan *scan, size_t len)
{
	uint64_t need = scan->at + scan->left;
	return need > len ? need : (uint64_t)len + 1;
}

#endif
