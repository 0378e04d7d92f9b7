// SPDX-License-Identifier: Apache-2.0
/* frame.h - the bytes of one frame: stamping and checking.  docs/log-format.md is the reference.
 *
 * Checking never reads beyond the bytes it is given, and never trusts a length before the header's checksum and the LSN
 * in it agree with the place where it was found.
 */
#ifndef WAL_FRAME_H
#define WAL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wal/wal.h"

#define FRAME_MAGIC UINT32_C(0xff5754f5)           /* f5 'T' 'W' ff: never part of UTF-8 text */

enum {
	FRAME_SIZE_MAX = 4 << 20,      /* header, body and padding */
	FRAME_VERSION = 1,             /* of the format; in every opening frame */
	FRAME_OPEN_BODY = 32,
	FRAME_MARK_BODY = 8,
};

struct frame_open {                    /* body of an opening frame */
	uint32_t version;
	uint32_t write_max;            /* no durable write of this epoch covers more bytes */
	uint64_t segment_size;         /* of the segments made in this epoch */
	uint64_t this_segment;         /* size of the one that holds the frame */
	int64_t wall_ms;               /* the wall clock as it was; time_ms may be later */
};

/* Foreign: whole, but of a kind that this version does not know. */
enum frame_state { FRAME_GOOD, FRAME_BAD, FRAME_FOREIGN };

static inline uint32_t frame_size(uint32_t body_size)
{
	return (WAL_FRAME_HEADER + body_size + (WAL_ALIGN - 1)) & ~(uint32_t)(WAL_ALIGN - 1);
}

static inline uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64(const unsigned char *p)
{
	return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static inline void put_u16(unsigned char *p, uint16_t v)
{
	p[0] = (unsigned char)v;
	p[1] = (unsigned char)(v >> 8);
}

static inline void put_u32(unsigned char *p, uint32_t v)
{
	put_u16(p, (uint16_t)v);
	put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void put_u64(unsigned char *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u32(p + 4, (uint32_t)(v >> 32));
}

/* Writes the 48 bytes of the header; `frame->body` is not looked at. */
void frame_stamp(unsigned char *header, const struct wal_frame *frame, uint64_t body_hash);

/* Checks the header at `bytes` (WAL_FRAME_HEADER of them are there), found at `lsn`, `room` bytes before the segment's
 * end. Fills *frame (body: NULL) and *body_hash if the header is whole; else *why says what is wrong. */
enum frame_state frame_header(const unsigned char *bytes, uint64_t lsn, uint64_t room, struct wal_frame *frame,
			      uint64_t *body_hash, const char **why);

/* `frame` as frame_header left it, `bytes` its header with all frame->size bytes behind; sets frame->body. */
bool frame_body(const unsigned char *bytes, struct wal_frame *frame, uint64_t body_hash, const char **why);

uint64_t frame_hash(const void *body, size_t size);        /* XXH3-64 */

void frame_open_put(unsigned char *body, const struct frame_open *open);
bool frame_open_get(const struct wal_frame *frame, struct frame_open *open);       /* false: too short */

#endif
