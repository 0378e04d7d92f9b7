// SPDX-License-Identifier: Apache-2.0
/* fuzz_ids.c - arbitrary bytes as a manifest of ids and as a run, opened, verified and asked.
 *
 * The first byte says whether checksums are put right first, so that the rules behind them are reached too.  Expected of every input: it
 * is refused with a line, or it can be asked; nothing is read outside.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "snapshot/run_int.h"
#include "snapshot/runs.h"
#include "wal/io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct { const uint8_t *bytes; size_t size; } file;

static ssize_t file_read(int fd, void *out, size_t size, off_t offset)
{
	(void)fd;
	size_t at = (size_t)offset, n = at < file.size ? file.size - at : 0;
	n = n < size ? n : size;
	if (n)
		memcpy(out, file.bytes + at, n);
	return (ssize_t)n;
}

static int64_t file_size(int dir, const char *name)
{
	(void)dir;
	(void)name;
	return (int64_t)file.size;
}

static int file_open(int dir, const char *name, int flags)
{
	(void)dir;
	(void)name;
	(void)flags;
	return 0;
}

static int file_close(int fd)
{
	(void)fd;
	return 0;
}

/* Gives the head, the blocks, filter and index their true checksums, as far as they are there. */
static void put_right(unsigned char *bytes, size_t size)
{
	struct run_head *head = (struct run_head *)(void *)bytes;
	if (size < sizeof *head)
		return;
	memcpy(head->magic, run_magic, sizeof head->magic);
	head->version = RUN_VERSION;
	head->count %= 1000;
	head->blocks = (head->count + RUN_BLOCK_ENTRIES - 1) / RUN_BLOCK_ENTRIES;
	head->line_count %= 100;
	for (uint64_t b = 0; b < head->blocks && (b + 2) * RUN_BLOCK_BYTES <= size; b++) {
		struct run_block *block = (struct run_block *)(void *)(bytes + (b + 1) * RUN_BLOCK_BYTES);
		uint64_t left = head->count - b * RUN_BLOCK_ENTRIES;
		block->count = (uint32_t)(left < RUN_BLOCK_ENTRIES ? left : RUN_BLOCK_ENTRIES);
		block->hash = run_block_hash(block, head->serial, b);
		if (run_size(head) <= size)
			memcpy(bytes + run_index_at(head) + b * 8, &block->entries[0].hash, 8);
	}
	if (run_size(head) <= size) {
		run_hash(head->filter_hash, bytes + run_filter_at(head), run_index_at(head) - run_filter_at(head));
		run_hash(head->index_hash, bytes + run_index_at(head), head->blocks * 8);
		file.size = run_size(head);
	}
	run_hash(head->hash, head, offsetof(struct run_head, hash));
}

static void run_ask(struct buf *error)
{
	struct run_head head;
	struct run_info info = { 0 };
	if (file.size < sizeof head)
		return;
	memcpy(&head, file.bytes, sizeof head);
	info = (struct run_info){ head.serial, head.from, head.below, head.count, { 0 } };
	memcpy(info.hash, head.hash, sizeof info.hash);
	struct run *run = run_open(0, &info, error);
	ASSERT(run || error->len);
	if (!run)
		return;
	struct id_query query = { 0 };
	uint64_t hashes[3] = { 1, run->blocks ? run->first[0] : 5, UINT64_MAX };
	struct run_entry entry;
	run_find(run, hashes, 3, 0, &query, error);
	run_entry(run, hashes[1], 48, &entry, error);
	run_verify(run, error);
	id_query_free(&query);
	run_release(run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct runs_manifest *manifest = mem_zalloc(sizeof *manifest);
	struct buf error = { 0 }, again = { 0 };
	unsigned char *bytes = mem_lines((size / 64 + 1) * 64);
	bool right = *data++ & 1;
	memcpy(bytes, data, --size);
	wal_io.read = file_read;
	wal_io.size = file_size;
	wal_io.open = file_open;
	wal_io.close = file_close;
	file.bytes = bytes;
	file.size = size;
	if (right && size >= 16)
		run_hash(bytes + size - 16, bytes, size - 16);
	if (runs_manifest_decode(bytes, size, manifest, &error)) {
		runs_manifest_encode(manifest, &again);
		ASSERT(again.len == size && !memcmp(again.ptr, bytes, size));
	} else {
		ASSERT(error.len);
	}
	error.len = 0;
	if (right)
		put_right(bytes, size);
	run_ask(&error);
	mem_free(bytes);
	mem_free(manifest);
	buf_free(&error);
	buf_free(&again);
	return 0;
}
