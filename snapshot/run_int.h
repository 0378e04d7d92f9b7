// SPDX-License-Identifier: Apache-2.0
/* run_int.h - the bytes of a run, for who reads and who writes them. */
#ifndef SNAPSHOT_RUN_INT_H
#define SNAPSHOT_RUN_INT_H

#include <assert.h>

#include "snapshot/run.h"

static const char run_magic[8] = "TALLYIDR";

struct run_head {                      /* block 0 */
	char magic[8];
	uint32_t version, line_count;  /* lines of the filter */
	uint64_t serial, from, below, count, blocks;
	uint8_t filter_hash[16], index_hash[16];       /* XXH3-128, big-endian */
	uint8_t zeros[RUN_BLOCK_BYTES - 104];
	uint8_t hash[16];              /* of all before it */
};

struct run_block {
	struct run_entry entries[RUN_BLOCK_ENTRIES];
	uint32_t count, reserved;
	uint64_t hash;                 /* XXH3-64 of all before it, seeded with the run's serial and the block's number */
};

static_assert(sizeof(struct run_head) == RUN_BLOCK_BYTES && sizeof(struct run_block) == RUN_BLOCK_BYTES, "layout");

void run_hash(uint8_t hash[16], const void *bytes, size_t len);
uint64_t run_block_hash(const struct run_block *block, uint64_t serial, uint64_t number);

static inline uint64_t run_filter_at(const struct run_head *head)
{
	return (1 + head->blocks) * RUN_BLOCK_BYTES;
}

static inline uint64_t run_index_at(const struct run_head *head)
{
	uint64_t bytes = (uint64_t)head->line_count * FILTER_LINE;
	return run_filter_at(head) + (bytes + RUN_BLOCK_BYTES - 1) / RUN_BLOCK_BYTES * RUN_BLOCK_BYTES;
}

static inline uint64_t run_size(const struct run_head *head)
{
	return run_index_at(head) + head->blocks * sizeof(uint64_t);
}

#endif
