// SPDX-License-Identifier: Apache-2.0
/* capture.h - actors as bytes, and back: what a snapshot holds.
 *
 * A piece is made by one message to a shard, between two others: all of it stands at one LSN.
 *
 *     shared       what every shard knows alike: ids of sliced accounts; and the catalog
 *     of a group   (with the first partition) its slices of tenant accounts and of tenants, then for partition after partition
 *                  accounts, members, ids and pending transfers, until the piece is large enough
 *
 * A piece is a sequence of items, each on an 8-byte position: u32 size, u16 type, u16 partition or group, content; numbers are
 * little-endian.  docs/snapshot-format.md has the bytes.  Tenants and books are numbered within a piece, so pieces are loaded in
 * any order and side by side.  Nothing in it names a shard.
 *
 * Not in a piece: an id whose first arrival is still in flight (`floor` says from where its record is to be found), and what
 * follows from the rest: tables, counts of members and tags, the heap of timeouts, views of the catalog.
 */
#ifndef ENGINE_SHARD_CAPTURE_H
#define ENGINE_SHARD_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/catalog/catalog.h"
#include "engine/shard/batch.h"
#include "engine/shard/state.h"

enum capture_item {
	CAPTURE_TENANT = 1, CAPTURE_BOOK = 2,  /* numbers for what follows in the piece */
	CAPTURE_TENANT_SLICE = 3, CAPTURE_SLICE = 4,
	CAPTURE_ACCOUNTS = 5, CAPTURE_EXTRA = 6, CAPTURE_MEMBER = 7, CAPTURE_IDS = 8, CAPTURE_PENDING = 9, CAPTURE_ENDED = 10,
	CAPTURE_SLICED = 11, CAPTURE_DOCUMENT = 12, CAPTURE_MARK = 13, CAPTURE_AUDIT = 14,
	CAPTURE_LEFT_OUT = 15          /* ids below this LSN are in runs on disk, and not in the piece */
};

/* A request for one piece. */
struct capture {
	struct message message;        /* MESSAGE_CAPTURE */
	/* in */
	bool shared;                   /* the shared piece; else: */
	unsigned partition;            /* the first one; a group's first one brings its slices along */
	size_t limit;                  /* bytes: no further partition once the piece has as many; it stays within the group */
	void (*after)(struct capture *capture);        /* where net/ hands it on */
	void *context;
	/* out */
	unsigned behind;               /* the partition behind the last one */
	struct buf bytes;              /* owned by the caller */
	uint64_t lsn;                  /* all records below it are in the piece, and none at or behind it */
	uint64_t floor;                /* records of ids in flight are at or behind it; at most lsn */
};

/* Fills `bytes` and `behind`. */
void capture_take(struct capture *capture, const struct state *state, const struct catalog *catalog);
/* Brings a piece into its final form, away from the shard: ids in order of their hashes. */
void capture_settle(struct buf *bytes);
/* To be said before a group's pieces are loaded: how many bytes they have together, and how many of the log may hold accounts that are in
 * none of them.  Account numbers of a group have no gaps, so none is higher than those can hold, and what is loaded takes no more
 * memory than in proportion to them. */
void capture_loadable(struct state *state, unsigned group, uint64_t bytes, uint64_t log_bytes);
/* Adds a piece to a state without the actors in it: of the shard that owns them; the shared piece goes to every shard, and
 * with a catalog to one of them (NULL: not here).  Some parts only: two threads may share the work, ids with pending
 * transfers, and actors.  False with *why for anything that cannot be: the state is half loaded then. */
bool capture_load(struct state *state, struct catalog *catalog, const void *bytes, size_t len, enum state_parts parts,
		  const char **why);

#endif
