// SPDX-License-Identifier: Apache-2.0
/* hash.h - where things live: XXH3 of their names, and the partition that follows from it.
 *
 * The hash picks one of PARTITION_COUNT partitions; PARTITIONS_PER_GROUP partitions are a group; a shard owns whole groups.
 * Nothing in the log names a shard, so the number of shards may change at every start.
 */
#ifndef ENGINE_BASE_HASH_H
#define ENGINE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/str.h"

enum { PARTITION_COUNT = 1024, PARTITIONS_PER_GROUP = 16, GROUP_COUNT = PARTITION_COUNT / PARTITIONS_PER_GROUP,
       SHARDS_MAX = GROUP_COUNT };

/* What a name is hashed for; part of the hash, so that equal texts of different kinds do not meet. */
enum hash_kind { HASH_MEMBER = 1, HASH_EVENT_ID = 2, HASH_TRANSACTION = 3, HASH_TENANT = 4, HASH_TRANSFER = 5 };

/* The data directory's own number: who does not know it cannot make names that collide.  Set once, before anything is hashed;
 * 0 without a data directory (tests). */
extern uint64_t hash_seed;

static inline uint64_t hash_seed_of(enum hash_kind kind)
{
	return hash_seed ^ (uint64_t)kind;
}

uint64_t hash_bytes(const void *bytes, size_t len);        /* XXH3-64, seed 0 */
uint64_t hash_name(enum hash_kind kind, struct str tenant, struct str name);   /* never 0 */

static inline unsigned partition_of(uint64_t hash)
{
	return (unsigned)(hash % PARTITION_COUNT);
}

static inline unsigned group_of(unsigned partition)
{
	return partition / PARTITIONS_PER_GROUP;
}

static inline unsigned shard_of(unsigned partition, unsigned shard_count)
{
	return group_of(partition) * shard_count / GROUP_COUNT;
}

#endif
