// SPDX-License-Identifier: Apache-2.0
/* fuzz_wal.c - arbitrary bytes as segment files, read by the scanner.
 *
 * The first byte says how many files (1..3), from where, and whether checksums and LSNs are put right first, so that
 * the rules behind them are reached too.  Expected of every input: an end, in bounded time, with nothing read outside.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "wal/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_SIZE = 8192 };

static bool touch(void *context, const struct wal_frame *frame)
{
	uint64_t *sum = context;
	for (uint32_t i = 0; i < frame->body_size; i++)
		*sum += frame->body[i];
	return true;
}

/* Gives every header-like place a true LSN, size and checksums. */
static void put_right(unsigned char *bytes, uint64_t base)
{
	for (size_t i = 0; i + WAL_FRAME_HEADER <= FILE_SIZE; i += WAL_ALIGN) {
		unsigned char *header = bytes + i;
		if (get_u32(header) != FRAME_MAGIC)
			continue;
		uint32_t body = get_u32(header + 20) % 600;
		if (i + frame_size(body) > FILE_SIZE)
			body = 0;
		struct wal_frame frame = { .lsn = base + i, .size = frame_size(body), .body_size = body,
					   .epoch = get_u32(header + 16), .kind = header[40] % 5,
					   .time_ms = (int64_t)get_u64(header + 24) };
		for (uint32_t k = WAL_FRAME_HEADER + body; k < frame.size; k++)
			header[k] = 0;
		bool wrong = header[42] & 1;           /* some bodies stay wrong */
		frame_stamp(header, &frame, frame_hash(header + WAL_FRAME_HEADER, body) + wrong);
		i += header[43] & 1 ? 0 : frame.size - WAL_ALIGN;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	unsigned count = 1 + data[0] % 3;
	uint64_t base = data[0] & 0x10 ? 0 : 4 * FILE_SIZE;
	struct segments list = { .dir = -1 };
	unsigned char *bytes = mem_alloc(FILE_SIZE);
	for (unsigned i = 0; i < count; i++) {
		size_t offset = 1 + (size_t)i * FILE_SIZE, n = offset < size ? size - offset : 0;
		n = n < FILE_SIZE ? n : FILE_SIZE;
		memset(bytes, 0, FILE_SIZE);
		if (n)
			memcpy(bytes, data + offset, n);
		if (data[0] & 0x20)
			put_right(bytes, base + (uint64_t)i * FILE_SIZE);
		segments_add(&list, base + (uint64_t)i * FILE_SIZE, FILE_SIZE);
		int fd = memfd_create("segment", MFD_CLOEXEC);
		ASSERT(fd >= 0 && pwrite(fd, bytes, FILE_SIZE, 0) == FILE_SIZE);
		list.at[i].fd = fd;
	}
	mem_free(bytes);
	uint64_t sum = 0;
	struct scan scan = { .segments = &list, .from = data[0] & 0x40 ? base + 5000 : 0, .every_kind = data[0] & 0x80,
			     .each = touch, .context = &sum };
	enum scan_end end = scan_run(&scan);
	ASSERT(scan.end >= base && scan.end <= base + (uint64_t)count * FILE_SIZE);
	ASSERT(end != SCAN_STOPPED && (end == SCAN_CLEAN) == (scan.text.len == 0));
	IMPLIES(end == SCAN_TORN, scan.torn_end > scan.end);
	buf_free(&scan.text);
	segments_free(&list);
	return 0;
}
