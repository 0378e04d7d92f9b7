// SPDX-License-Identifier: Apache-2.0
#include "snapshot/run.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/ids.h"
#include "snapshot/run_int.h"
#include "wal/io.h"
#include "wal/segment.h"

enum { GAP_BLOCKS = 8, SPAN_BLOCKS = 64, CURSOR_BLOCKS = 256 };

void run_name(char name[RUN_NAME], uint64_t serial)
{
	snprintf(name, RUN_NAME, "%016" PRIx64 ".run", serial);
}

void run_hash(uint8_t hash[16], const void *bytes, size_t len)
{
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, len));
	memcpy(hash, canonical.digest, 16);
}

uint64_t run_block_hash(const struct run_block *block, uint64_t serial, uint64_t number)
{
	return XXH3_64bits_withSeed(block, offsetof(struct run_block, hash), serial << 32 ^ number);
}

static bool damaged(struct buf *error, uint64_t serial, uint64_t byte, const char *why)
{
	buf_printf(error, "ids/%016" PRIx64 ".run, byte %" PRIu64 ": %s", serial, byte, why);
	return false;
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static bool head_check(const struct run_head *head, const struct run_info *info, uint64_t size, struct buf *error)
{
	uint8_t hash[16];
	uint64_t serial = info->serial, most = size / RUN_BLOCK_BYTES;
	if (memcmp(head->magic, run_magic, sizeof head->magic))
		return damaged(error, serial, 0, "not a run of ids");
	if (head->version != RUN_VERSION) {
		buf_printf(error, "ids/%016" PRIx64 ".run: format version %u; this program reads version %u", serial, head->version,
			   (unsigned)RUN_VERSION);
		return false;
	}
	run_hash(hash, head, offsetof(struct run_head, hash));
	if (memcmp(hash, head->hash, sizeof hash) || memcmp(hash, info->hash, sizeof hash))
		return damaged(error, serial, 0, "the head's checksum does not match");
	if (head->serial != serial || head->from != info->from || head->below != info->below || head->count != info->count)
		return damaged(error, serial, 0, "the head is another run's");
	if (head->blocks > most || head->blocks != (head->count + RUN_BLOCK_ENTRIES - 1) / RUN_BLOCK_ENTRIES ||
	    head->line_count > size / FILTER_LINE || (head->count && !head->line_count) || run_size(head) != size)
		return damaged(error, serial, size, "the file's size differs from what its head says");
	return true;
}

static bool part_read(int fd, const struct run_info *info, void *out, size_t size, uint64_t offset, const uint8_t expected[16],
		      const char *what, struct buf *error)
{
	uint8_t hash[16];
	int failed = read_fully(fd, out, size, offset);
	if (failed)
		return damaged(error, info->serial, offset, strerror(failed));
	run_hash(hash, out, size);
	return !memcmp(hash, expected, sizeof hash) || damaged(error, info->serial, offset, what);
}

struct run *run_open(int dir, const struct run_info *info, struct buf *error)
{
	char name[RUN_NAME];
	struct run_head head;
	run_name(name, info->serial);
	int64_t size = wal_io.size(dir, name);
	int fd = size < 0 ? -1 : wal_io.open(dir, name, O_RDONLY);
	if (fd < 0) {
		buf_printf(error, "ids/%s: %s", name, strerror(errno));
		return NULL;
	}
	int failed = size < RUN_BLOCK_BYTES ? EIO : read_fully(fd, &head, sizeof head, 0);
	bool good = failed ? damaged(error, info->serial, 0, size < RUN_BLOCK_BYTES ? "it is too short" : strerror(failed))
			   : head_check(&head, info, (uint64_t)size, error);
	if (!good) {
		wal_io.close(fd);
		return NULL;
	}
	struct run *run = mem_zalloc(sizeof *run);
	run->info = *info;
	run->fd = fd;
	run->blocks = head.blocks;
	run->filter.line_count = head.line_count;
	atomic_init(&run->users, 1);
	size_t filter = run_index_at(&head) - run_filter_at(&head), index = (size_t)head.blocks * sizeof *run->first;
	run->filter.lines = mem_lines(filter + FILTER_LINE);
	run->first = mem_alloc(index);
	if (part_read(fd, info, run->filter.lines, filter, run_filter_at(&head), head.filter_hash, "the filter's checksum does not match",
		      error) &&
	    part_read(fd, info, run->first, index, run_index_at(&head), head.index_hash, "the index's checksum does not match", error))
		return run;
	run_release(run);
	return NULL;
}

void run_hold(struct run *run)
{
	atomic_fetch_add(&run->users, 1);
}

void run_release(struct run *run)
{
	if (!run || atomic_fetch_sub(&run->users, 1) != 1)
		return;
	wal_io.close(run->fd);
	mem_free(run->filter.lines);
	mem_free(run->first);
	mem_free(run);
}

uint64_t run_memory(const struct run *run)
{
	return (uint64_t)run->filter.line_count * FILTER_LINE + run->blocks * sizeof *run->first + sizeof *run;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

/* Reads and checks blocks [block, block + count). */
static bool blocks_read(const struct run *run, uint64_t block, uint32_t count, void *out, struct buf *error)
{
	uint64_t offset = (1 + block) * RUN_BLOCK_BYTES;
	int failed = read_fully(run->fd, out, (size_t)count * RUN_BLOCK_BYTES, offset);
	if (failed)
		return damaged(error, run->info.serial, offset, strerror(failed));
	for (uint32_t i = 0; i < count; i++, offset += RUN_BLOCK_BYTES) {
		const struct run_block *at = (const struct run_block *)out + i;
		uint64_t number = block + i, left = run->info.count - number * RUN_BLOCK_ENTRIES;
		if (at->hash != MUTATE(80, run_block_hash(at, run->info.serial, number), at->hash))
			return damaged(error, run->info.serial, offset, "the block's checksum does not match");
		if (at->count != (left < RUN_BLOCK_ENTRIES ? left : RUN_BLOCK_ENTRIES) || at->entries[0].hash != run->first[number])
			return damaged(error, run->info.serial, offset, "the block is another one");
	}
	return true;
}

/* How many blocks begin with a hash that is below `hash`, or with `or_equal` not above it. */
static uint64_t blocks_before(const struct run *run, uint64_t hash, bool or_equal)
{
	uint64_t low = 0, high = run->blocks;
	while (low < high) {
		uint64_t middle = (low + high) / 2;
		if (run->first[middle] < hash || (or_equal && run->first[middle] == hash))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The blocks that may have entries with this hash; false: none. */
static bool blocks_of(const struct run *run, uint64_t hash, uint64_t *first, uint64_t *behind)
{
	*first = blocks_before(run, hash, false);
	*behind = blocks_before(run, hash, true);
	*first -= *first > 0;
	return *behind > *first;
}

typedef bool entry_fn(void *context, const struct run_entry *entry);

/* Gives all entries with this hash in a block to `each`; false if that said so. */
static bool block_find(const struct run_block *block, uint64_t hash, entry_fn *each, void *context)
{
	uint32_t low = 0, high = block->count;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (block->entries[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < block->count && block->entries[low].hash == hash; low++)
		if (!each(context, &block->entries[low]))
			return false;
	return true;
}

struct finding { struct id_query *query; uint64_t forgotten; };

static bool found(void *context, const struct run_entry *entry)
{
	struct finding *finding = context;
	if ((entry->value & ID_LSN) >= finding->forgotten)
		id_query_put(finding->query, entry->hash, entry->value);
	return true;
}

bool run_find(const struct run *run, const uint64_t *hashes, uint32_t count, uint64_t forgotten, struct id_query *query,
	      struct buf *error)
{
	struct finding finding = { query, forgotten };
	struct run_block *window = NULL;
	uint32_t i = 0, first_hash = 0;
	bool good = true;
	while (good && i < count) {
		/* The blocks of as many hashes as lie close together. */
		uint64_t begin = 0, end = 0, first, behind;
		for (first_hash = i; i < count; i++) {
			if ((i && hashes[i] == hashes[i - 1]) || !filter_has(&run->filter, hashes[i]) ||
			    !blocks_of(run, hashes[i], &first, &behind))
				continue;
			if (end && (first > end + GAP_BLOCKS || behind - begin > SPAN_BLOCKS))
				break;
			begin = end ? begin : first;
			end = behind;
		}
		/* Many equal hashes may take more than a window: those are read in parts. */
		for (uint64_t at = begin; good && at < end;) {
			uint32_t blocks = end - at < SPAN_BLOCKS ? (uint32_t)(end - at) : SPAN_BLOCKS;
			if (!window)
				window = mem_alloc((size_t)SPAN_BLOCKS * sizeof *window);
			good = blocks_read(run, at, blocks, window, error);
			for (uint32_t h = first_hash; good && h < i; h++) {
				if ((h && hashes[h] == hashes[h - 1]) || !blocks_of(run, hashes[h], &first, &behind))
					continue;
				for (uint64_t b = first > at ? first : at; b < behind && b < at + blocks; b++)
					block_find(&window[b - at], hashes[h], found, &finding);
			}
			at += blocks;
		}
	}
	mem_free(window);
	return good;
}

struct wanted { uint64_t lsn; bool found; struct run_entry entry; };

static bool wanted_found(void *context, const struct run_entry *entry)
{
	struct wanted *wanted = context;
	if ((entry->value & ID_LSN) != wanted->lsn)
		return true;
	wanted->entry = *entry;
	wanted->found = true;
	return false;
}

bool run_entry(const struct run *run, uint64_t hash, uint64_t lsn, struct run_entry *entry, struct buf *error)
{
	struct wanted wanted = { .lsn = lsn };
	uint64_t first = 0, behind = 0;
	struct run_block *block = NULL;
	bool good = filter_has(&run->filter, hash) && blocks_of(run, hash, &first, &behind);
	for (uint64_t b = first; good && b < behind && !wanted.found; b++) {
		if (!block)
			block = mem_alloc(sizeof *block);
		good = blocks_read(run, b, 1, block, error);
		if (good)
			block_find(block, hash, wanted_found, &wanted);
	}
	mem_free(block);
	*entry = wanted.entry;
	return good && wanted.found;
}

void run_cursor_begin(struct run_cursor *cursor, const struct run *run)
{
	*cursor = (struct run_cursor){ .run = run };
	cursor->window = mem_alloc((size_t)CURSOR_BLOCKS * RUN_BLOCK_BYTES);
}

bool run_cursor_next(struct run_cursor *cursor, struct run_entry *entry, struct buf *error)
{
	const struct run *run = cursor->run;
	if (cursor->at_block == cursor->blocks) {
		uint64_t left = run->blocks - cursor->block;
		if (!left)
			return false;
		cursor->blocks = left < CURSOR_BLOCKS ? (uint32_t)left : CURSOR_BLOCKS;
		cursor->at_block = cursor->at_entry = 0;
		if (!blocks_read(run, cursor->block, cursor->blocks, cursor->window, error)) {
			cursor->block = run->blocks;
			cursor->blocks = 0;
			return false;
		}
		cursor->block += cursor->blocks;
	}
	const struct run_block *block = (const struct run_block *)(const void *)cursor->window + cursor->at_block;
	*entry = block->entries[cursor->at_entry++];
	if (cursor->at_entry == block->count) {
		cursor->at_entry = 0;
		cursor->at_block++;
	}
	return true;
}

void run_cursor_end(struct run_cursor *cursor)
{
	mem_free(cursor->window);
	cursor->window = NULL;
}

bool run_verify(const struct run *run, struct buf *error)
{
	struct run_cursor cursor;
	struct run_entry entry, last = { 0 };
	uint64_t count = 0;
	const char *why = NULL;
	size_t before = error->len;
	run_cursor_begin(&cursor, run);
	while (!why && run_cursor_next(&cursor, &entry, error)) {
		uint64_t lsn = entry.value & ID_LSN;
		if (entry.hash < last.hash || (entry.hash == last.hash && entry.value < last.value) || !entry.hash)
			why = "entries are not in order";
		else if (lsn < run->info.from || lsn >= run->info.below || entry.value & ID_IN_FLIGHT)
			why = "an entry's LSN is outside of the run";
		else if (!filter_has(&run->filter, entry.hash))
			why = "the filter does not know an entry";
		last = entry;
		count++;
	}
	run_cursor_end(&cursor);
	if (error->len > before)
		return false;
	return !why || damaged(error, run->info.serial, (1 + (count - 1) / RUN_BLOCK_ENTRIES) * RUN_BLOCK_BYTES, why);
}
