// SPDX-License-Identifier: Apache-2.0
/* run.h - one sorted run of ids on disk: (hash of the id, where its outcome stands, hash of the content), by hash.
 *
 *     DIR/0000000000000007.run     head | blocks of 170 entries, each with its checksum | filter | index | docs/ids-format.md
 *
 * A run is written once, from front to end, under another name, and never changes.  Of an open one the filter and the first hash
 * of each block are in memory (2.4 bytes an entry); entries are read from the file and checked block by block.
 *
 * Threads: a run that is open may be read by any number of them; who uses it holds it.
 */
#ifndef SNAPSHOT_RUN_H
#define SNAPSHOT_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/ledger/filed.h"

enum { RUN_VERSION = 1, RUN_NAME = 24, RUN_BLOCK_BYTES = 4096, RUN_BLOCK_ENTRIES = 170 };

struct run_entry {                     /* as it stands in the file */
	uint64_t hash;                 /* of (kind of id, id); never 0 */
	uint64_t value;                /* LSN of the outcome; bit 62: the outcome was a refusal that used the id up (ids.h) */
	uint64_t content;              /* id_record (engine/ledger/content.h) */
};

struct run_info {
	uint64_t serial;               /* names the file */
	uint64_t from, below;          /* LSNs of its entries lie in [from, below) */
	uint64_t count;                /* entries */
	uint8_t hash[16];              /* XXH3-128 of the head, big-endian; the head has those of filter and index */
};

struct run {
	struct run_info info;
	struct id_filter filter;       /* owned */
	uint64_t *first;               /* owned; first hash of each block */
	uint64_t blocks;
	int fd;
	atomic_uint users;
};

void run_name(char name[RUN_NAME], uint64_t serial);

/* Opens and checks head, filter and index; the blocks are checked when they are read.  NULL with a line in `error`.  The caller
 * holds it. */
struct run *run_open(int dir, const struct run_info *info, struct buf *error);
void run_hold(struct run *run);
void run_release(struct run *run);     /* the last one closes it */
uint64_t run_memory(const struct run *run);

/* Looks up hashes, which are in order; each entry at or above `forgotten` is put to the query.  Neighbours are read at once.
 * False with a line in `error`. */
bool run_find(const struct run *run, const uint64_t *hashes, uint32_t count, uint64_t forgotten, struct id_query *query,
	      struct buf *error);
/* The entry with this hash and LSN.  False with an empty `error`: the run has none. */
bool run_entry(const struct run *run, uint64_t hash, uint64_t lsn, struct run_entry *entry, struct buf *error);
/* Every byte: blocks, order, and that the filter knows each entry. */
bool run_verify(const struct run *run, struct buf *error);

/* All entries, in order. */
struct run_cursor {
	const struct run *run;         /* borrowed */
	uint64_t block;                /* the next to be read */
	unsigned char *window;         /* owned */
	uint32_t blocks, at_block, at_entry;   /* in the window */
};
void run_cursor_begin(struct run_cursor *cursor, const struct run *run);
/* False at the end, or with a line in `error`. */
bool run_cursor_next(struct run_cursor *cursor, struct run_entry *entry, struct buf *error);
void run_cursor_end(struct run_cursor *cursor);

/* Writing: begin, entries in order of (hash, value), then end or drop.  The file is new.run until run_writer_end named it. */
struct run_writer;
/* `most`: at most so many entries come.  NULL with a line in `error`. */
struct run_writer *run_writer_new(int dir, uint64_t serial, uint64_t most, struct buf *error);
bool run_writer_put(struct run_writer *writer, const struct run_entry *entry, struct buf *error);
/* Makes it durable under its own name; the writer is gone in any case.  The run, held by the caller, or NULL. */
struct run *run_writer_end(struct run_writer *writer, uint64_t from, uint64_t below, struct buf *error);
void run_writer_drop(struct run_writer *writer);

#endif
