// SPDX-License-Identifier: Apache-2.0
/* ids.h - the ids that were used, each with the position of its outcome in the log.
 *
 *     hash of (kind, id)  ->  LSN | ID_FAILED      or ID_IN_FLIGHT while its first arrival runs on another shard
 *
 * The hash stands for the id: who finds an entry reads the record at that LSN and compares.  16 bytes an entry, at most 24
 * with the room between them.  Lives with the shard that owns partition_of(hash).  Old entries move to runs on disk (filed.h).
 */
#ifndef ENGINE_LEDGER_IDS_H
#define ENGINE_LEDGER_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/hash.h"
#include "engine/base/str.h"
#include "engine/base/table.h"
#include "engine/base/u128.h"
#include "engine/ledger/filed.h"

#define ID_IN_FLIGHT (UINT64_C(1) << 63)
#define ID_FAILED (UINT64_C(1) << 62)          /* the outcome was a refusal that used the id up */
#define ID_LSN (ID_FAILED - 1)

struct ids {
	struct table tables[PARTITION_COUNT];
	uint64_t total, bytes;
	uint64_t failed;               /* of those that were loaded or replayed: burned by a refusal */
	const struct id_runs *runs;    /* borrowed; NULL: there are none */
	uint64_t filed_below;          /* at replay and loading: those with an LSN below it are in the runs, and stay there */
	uint64_t filed_done;           /* likewise, of shard 0: how many of those in the runs are no refusals */
	bool forgets;                  /* what is in the runs may be forgotten (--id-retention), also the id of a hold that is open */
	uint64_t left_out;             /* of loaded pieces: ids below this LSN were left out, as they were in runs */
};

/* The first entry with this hash but those that say `ignored_lsn` (0: none). */
struct table_entry *ids_find(const struct ids *ids, uint64_t hash, uint64_t ignored_lsn);
void ids_insert(struct ids *ids, uint64_t hash, uint64_t value);
/* At replay.  `perhaps`: a snapshot may have had it.  False: it had. */
bool ids_replay(struct ids *ids, uint64_t hash, uint64_t value, bool perhaps);
void ids_remove(struct ids *ids, uint64_t hash, uint64_t value);       /* it is there */
/* Drops the entries of a partition with an LSN below this one; those in flight stay. */
void ids_drop_below(struct ids *ids, unsigned partition, uint64_t lsn);
/* The same of all partitions, of what was loaded and replayed.  Returns how many of them were no refusals. */
uint64_t ids_file(struct ids *ids, uint64_t below);
void ids_free(struct ids *ids);

uint64_t id_hash_of_transfer(u128 id);         /* never 0 */
u128 transfer_id_of_text(struct str tenant, struct str text);  /* XXH3-128; never 0 or all ones */

#endif
