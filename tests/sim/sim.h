// SPDX-License-Identifier: Apache-2.0
/* sim.h - one simulated history: some clients, a network, a node on a disk, all of them failing, from one seed.
 *
 * A history is a row of lives.  Each begins with recovery (of whatever the last one left, perhaps with another number of shards)
 * and ends by a power cut, also in the middle of a call, by the end of the process, by a failed write, or cleanly.  Which faults
 * there are, how small the limits are and what clients like to do is drawn once for each seed (swarm).
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

/* What of the product's tables was seen: in the log (kinds, effects, actions, records), or sent (the others). */
enum { SEEN_KINDS = 32, SEEN_EFFECTS = 64, SEEN_ACTIONS = 64, SEEN_RECORDS = 16, SEEN_VERBS = 16 };
struct sim_seen {                      /* by number; nothing but counts */
	uint64_t kinds[SEEN_KINDS], effects[SEEN_EFFECTS], actions[SEEN_ACTIONS], records[SEEN_RECORDS];
	uint64_t rows[SEEN_VERBS], ledger[SEEN_VERBS], queries[SEEN_VERBS], catalog[SEEN_VERBS], ops[SEEN_VERBS], policies[SEEN_VERBS];
	uint64_t exact;                /* reversals with nothing between them and their event */
};

struct sim_result {
	bool good;
	uint64_t hash;                 /* of everything that happened: the same for the same seed and the same program */
	struct buf verdict;            /* owned; "law: what" when not good */
	struct sim_seen seen;
	/* what it came to, so that it can be seen that something happened */
	uint64_t lives, cuts, cuts_in_calls, kills, deaths, stops, ops, replies, records, transfers, failures, expiries, events, reversals,
		customers, changes, retries, repeats, refused, tails, full, segments, unread, dumps, snapshots, loads, passed_over, dropped, asked, pruned,
		backups, broken_off, restores, id_runs, id_merges, ids_unread, ids_remade, forgets, anew;
};

void sim_run(uint64_t seed, bool trace, struct sim_result *result);

#endif
