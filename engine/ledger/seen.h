// SPDX-License-Identifier: Apache-2.0
/* seen.h - what loaded actors have seen already: replay behind a snapshot skips it.
 *
 * A snapshot is taken while traffic runs, a part at a time; every part holds its actors as they were at one LSN of its own.
 * So the log is replayed from the lowest of them, and a record is applied to an actor only where it is not in it:
 *
 *     partitions[p]   members, whole accounts and pending transfers of partition p: all records below it are in them
 *     slices[g]       slices of tenant accounts, and the tenants' chains, of group g: likewise
 *     end             nothing at or behind it is in any part
 *
 * Ids are another matter: which of those below `end` a part has depends on when their outcome came back to the ids' shard. They
 * are inserted where they are missing.
 */
#ifndef ENGINE_LEDGER_SEEN_H
#define ENGINE_LEDGER_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/hash.h"

struct seen {
	uint64_t partitions[PARTITION_COUNT];
	uint64_t slices[GROUP_COUNT];
	uint64_t end;
};

/* `seen` may be NULL: nothing was loaded. */
static inline bool seen_by_partition(const struct seen *seen, unsigned partition, uint64_t lsn)
{
	return seen && lsn < seen->partitions[partition];
}

static inline bool seen_by_slices(const struct seen *seen, unsigned group, uint64_t lsn)
{
	return seen && lsn < seen->slices[group];
}

static inline bool seen_perhaps(const struct seen *seen, uint64_t lsn)
{
	return seen && lsn < seen->end;
}

#endif
