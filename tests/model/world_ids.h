// SPDX-License-Identifier: Apache-2.0
/* world_ids.h - ids that move out of the shards' memory, in a world: a reader outside the shards, without files.
 *
 * What world->files_one_in says, at moments drawn from the seed: everything up to some frame of the log is filed, every shard is handed
 * the filters, then each drops what is filed.  Filters are kept too small now and then, so that many strangers look known.
 * Lookups are answered some steps later.
 */
#ifndef TESTS_MODEL_WORLD_IDS_H
#define TESTS_MODEL_WORLD_IDS_H

#include "tests/model/world.h"

struct world_ids;

struct world_ids *world_ids_new(struct world *world);
void world_ids_free(struct world_ids *ids);
/* One more step: perhaps something moves, perhaps a lookup is answered.  `asleep`: no shard is awake, so one must be. */
void world_ids_step(struct world_ids *ids, bool asleep);
void world_ids_read(struct world_ids *ids, struct id_query *query);
/* The same ids are filed in another world, whose shards have nothing yet, as far as they are of its first `frames`. */
void world_ids_copy(struct world_ids *ids, const struct world_ids *from, size_t frames);
struct id_kept world_ids_kept(const struct world_ids *ids, uint64_t hash, uint64_t lsn);
/* How many were ever filed, and how many lookups there were. */
uint64_t world_ids_filed(const struct world_ids *ids);
uint64_t world_ids_lookups(const struct world_ids *ids);
void world_ids_dump(const struct world_ids *ids, struct buf *out);

#endif
