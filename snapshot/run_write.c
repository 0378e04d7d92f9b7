// SPDX-License-Identifier: Apache-2.0
/* run_write.c - writing a run: blocks as they fill, then filter and index, the head last; durable; then its name.
 *
 * A crash at any moment leaves a new.run, which the next writer begins anew, or a whole run that no manifest names. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "snapshot/run_int.h"
#include "wal/io.h"

enum { WINDOW_BLOCKS = 256, WINDOWS_A_SYNC = 8, PART_BYTES = 1 << 20 };

struct run_writer {
	int dir, fd;
	uint64_t serial, count, blocks;
	struct id_filter filter;       /* owned until the run is there */
	struct run_block *window;      /* owned; WINDOW_BLOCKS */
	uint32_t windowed;             /* full blocks in it, not written yet */
	uint64_t *first;               /* owned; of each block */
	uint64_t first_cap;
	struct run_entry last;
	unsigned unsynced;             /* windows */
};

static bool fail(struct buf *error, const char *what, int failed)
{
	buf_printf(error, "ids/new.run: cannot %s: %s", what, strerror(failed));
	return false;
}

static bool write_at(struct run_writer *writer, const void *bytes, size_t size, uint64_t offset, struct buf *error)
{
	while (size) {
		struct iovec part = { (void *)(uintptr_t)bytes, size < PART_BYTES ? size : PART_BYTES };
		ssize_t n = wal_io.write(writer->fd, &part, 1, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(error, "be written", n ? errno : EIO);
		bytes = (const char *)bytes + n;
		size -= (size_t)n;
		offset += (uint64_t)n;
		/* Little by little, so that the log never waits behind one long sync. */
		if (++writer->unsynced >= WINDOWS_A_SYNC) {
			if (wal_io.sync(writer->fd) && errno != EINTR)
				return fail(error, "be made durable", errno);
			writer->unsynced = 0;
		}
	}
	return true;
}

struct run_writer *run_writer_new(int dir, uint64_t serial, uint64_t most, struct buf *error)
{
	int fd = wal_io.open(dir, "new.run", O_RDWR | O_CREAT | O_TRUNC);
	if (fd < 0) {
		fail(error, "be made", errno);
		return NULL;
	}
	struct run_writer *writer = mem_zalloc(sizeof *writer);
	writer->dir = dir;
	writer->fd = fd;
	writer->serial = serial;
	writer->filter.line_count = filter_lines(most);
	/* With the zeros that stand behind it in the file. */
	writer->filter.lines = mem_lines((size_t)writer->filter.line_count * FILTER_LINE + RUN_BLOCK_BYTES);
	writer->window = mem_zalloc((size_t)WINDOW_BLOCKS * sizeof *writer->window);
	writer->first_cap = most / RUN_BLOCK_ENTRIES + 1;
	writer->first = mem_alloc(writer->first_cap * sizeof *writer->first);
	return writer;
}

void run_writer_drop(struct run_writer *writer)
{
	if (!writer)
		return;
	if (writer->fd >= 0) {
		wal_io.close(writer->fd);
		wal_io.unlink(writer->dir, "new.run");         /* its room is wanted back, on a full disk above all */
	}
	mem_free(writer->filter.lines);
	mem_free(writer->window);
	mem_free(writer->first);
	mem_free(writer);
}

static bool window_write(struct run_writer *writer, struct buf *error)
{
	if (!writer->windowed)
		return true;
	uint64_t at = writer->blocks - writer->windowed;
	for (uint32_t i = 0; i < writer->windowed; i++)
		writer->window[i].hash = run_block_hash(&writer->window[i], writer->serial, at + i);
	if (!write_at(writer, writer->window, (size_t)writer->windowed * RUN_BLOCK_BYTES, (1 + at) * RUN_BLOCK_BYTES, error))
		return false;
	memset(writer->window, 0, (size_t)writer->windowed * RUN_BLOCK_BYTES);
	writer->windowed = 0;
	return true;
}

bool run_writer_put(struct run_writer *writer, const struct run_entry *entry, struct buf *error)
{
	unsigned at = (unsigned)(writer->count % RUN_BLOCK_ENTRIES);
	ASSERT(entry->hash > writer->last.hash || (entry->hash == writer->last.hash && entry->value > writer->last.value));
	if (!at) {
		if (writer->windowed == WINDOW_BLOCKS && !window_write(writer, error))
			return false;
		ASSERT(writer->blocks < writer->first_cap);
		writer->first[writer->blocks++] = entry->hash;
		writer->windowed++;
	}
	struct run_block *block = &writer->window[writer->windowed - 1];
	block->entries[at] = *entry;
	block->count = at + 1;
	if (MUTATE(78, true, writer->count % 16))
		filter_add(&writer->filter, entry->hash);
	writer->last = *entry;
	writer->count++;
	return true;
}

static bool settle(struct run_writer *writer, struct buf *error)
{
	char name[RUN_NAME];
	run_name(name, writer->serial);
	while (MUTATE(77, wal_io.sync_all(writer->fd), 0))
		if (errno != EINTR)
			return fail(error, "be made durable", errno);
	if (wal_io.rename(writer->dir, "new.run", name))
		return fail(error, "get its name", errno);
	while (wal_io.sync_all(writer->dir))
		if (errno != EINTR)
			return fail(error, "make its name durable", errno);
	return true;
}

struct run *run_writer_end(struct run_writer *writer, uint64_t from, uint64_t below, struct buf *error)
{
	struct run_head *head = mem_zalloc(sizeof *head);
	size_t index = writer->blocks * sizeof *writer->first;
	memcpy(head->magic, run_magic, sizeof head->magic);
	head->version = RUN_VERSION;
	head->line_count = writer->filter.line_count;
	head->serial = writer->serial;
	head->from = from;
	head->below = below;
	head->count = writer->count;
	head->blocks = writer->blocks;
	uint64_t filter = run_index_at(head) - run_filter_at(head);
	run_hash(head->filter_hash, writer->filter.lines, filter);
	run_hash(head->index_hash, writer->first, index);
	run_hash(head->hash, head, offsetof(struct run_head, hash));
	bool good = window_write(writer, error) && write_at(writer, writer->filter.lines, filter, run_filter_at(head), error) &&
		    write_at(writer, writer->first, index, run_index_at(head), error) &&
		    write_at(writer, head, sizeof *head, 0, error) && settle(writer, error);
	struct run *run = NULL;
	if (good) {
		run = mem_zalloc(sizeof *run);
		*run = (struct run){ .info = { writer->serial, from, below, writer->count, { 0 } }, .filter = writer->filter,
				     .first = writer->first, .blocks = writer->blocks, .fd = writer->fd };
		memcpy(run->info.hash, head->hash, sizeof run->info.hash);
		atomic_init(&run->users, 1);
		writer->filter.lines = NULL;
		writer->first = NULL;
		writer->fd = -1;
	}
	mem_free(head);
	run_writer_drop(writer);
	return run;
}
