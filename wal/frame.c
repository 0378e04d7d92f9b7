// SPDX-License-Identifier: Apache-2.0
/* frame.c - stamping and checking the bytes of one frame.
 *
 *      0 magic u32    4 size u32      8 lsn u64     16 epoch u32   20 body_size u32
 *     24 time_ms i64 32 body_hash u64 40 kind u16   42 flags u16   44 header_hash u32
 */
#include "wal/frame.h"

#include <xxhash.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"

enum { HASHED = 44 };                  /* bytes of the header under its checksum */

uint64_t frame_hash(const void *body, size_t size)
{
	return XXH3_64bits(body, size);
}

void frame_stamp(unsigned char *header, const struct wal_frame *frame, uint64_t body_hash)
{
	ASSERT(frame->size == frame_size(frame->body_size) && frame->size <= FRAME_SIZE_MAX);
	ASSERT(frame->lsn % WAL_ALIGN == 0);
	put_u32(header, FRAME_MAGIC);
	put_u32(header + 4, frame->size);
	put_u64(header + 8, frame->lsn);
	put_u32(header + 16, frame->epoch);
	put_u32(header + 20, frame->body_size);
	put_u64(header + 24, (uint64_t)frame->time_ms);
	put_u64(header + 32, body_hash);
	put_u16(header + 40, frame->kind);
	put_u16(header + 42, 0);
	put_u32(header + 44, (uint32_t)XXH3_64bits(header, HASHED));
}

enum frame_state frame_header(const unsigned char *bytes, uint64_t lsn, uint64_t room, struct wal_frame *frame,
			      uint64_t *body_hash, const char **why)
{
	*why = "no frame begins here";
	if (get_u32(bytes) != FRAME_MAGIC)
		return FRAME_BAD;
	*why = "the header's checksum differs";
	if (get_u32(bytes + 44) != MUTATE(4, (uint32_t)XXH3_64bits(bytes, HASHED), get_u32(bytes + 44)))
		return FRAME_BAD;
	*why = "the header belongs to another LSN";
	if (get_u64(bytes + 8) != lsn)
		return FRAME_BAD;
	*frame = (struct wal_frame){
		.lsn = lsn,
		.size = get_u32(bytes + 4),
		.body_size = get_u32(bytes + 20),
		.epoch = get_u32(bytes + 16),
		.kind = (uint16_t)(get_u32(bytes + 40) & 0xffff),
		.time_ms = (int64_t)get_u64(bytes + 24),
	};
	*body_hash = get_u64(bytes + 32);
	*why = "the frame's size is impossible";
	if (frame->size > room || frame->size > FRAME_SIZE_MAX || frame->body_size > FRAME_SIZE_MAX ||
	    frame->size != frame_size(frame->body_size))
		return FRAME_BAD;
	*why = "the frame is of a kind that this version does not know";
	if (frame->kind > WAL_FRAME_MARK || get_u32(bytes + 40) >> 16)
		return FRAME_FOREIGN;
	*why = "the frame's body is too short for its kind";
	if ((frame->kind == WAL_FRAME_OPEN && frame->body_size < FRAME_OPEN_BODY) ||
	    (frame->kind == WAL_FRAME_MARK && frame->body_size < FRAME_MARK_BODY))
		return FRAME_BAD;
	*why = NULL;
	return FRAME_GOOD;
}

bool frame_body(const unsigned char *bytes, struct wal_frame *frame, uint64_t body_hash, const char **why)
{
	frame->body = bytes + WAL_FRAME_HEADER;
	if (frame->kind == WAL_FRAME_FILLER)
		return true;
	*why = "the body's checksum differs";
	if (MUTATE(3, XXH3_64bits(frame->body, frame->body_size), body_hash) != body_hash)
		return false;
	*why = "the padding is not zero";
	for (uint32_t i = WAL_FRAME_HEADER + frame->body_size; i < frame->size; i++)
		if (bytes[i])
			return false;
	*why = NULL;
	return true;
}

void frame_open_put(unsigned char *body, const struct frame_open *open)
{
	put_u32(body, open->version);
	put_u32(body + 4, open->write_max);
	put_u64(body + 8, open->segment_size);
	put_u64(body + 16, open->this_segment);
	put_u64(body + 24, (uint64_t)open->wall_ms);
}

bool frame_open_get(const struct wal_frame *frame, struct frame_open *open)
{
	if (frame->body_size < FRAME_OPEN_BODY)
		return false;
	*open = (struct frame_open){
		.version = get_u32(frame->body),
		.write_max = get_u32(frame->body + 4),
		.segment_size = get_u64(frame->body + 8),
		.this_segment = get_u64(frame->body + 16),
		.wall_ms = (int64_t)get_u64(frame->body + 24),
	};
	return true;
}
