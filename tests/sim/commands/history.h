// SPDX-License-Identifier: Apache-2.0
/* history.h - one simulated history of the product's commands: generated requests to the real surfaces on a simulated node, with
 * power cuts, kills, clean stops and a failing disk, from one seed.
 *
 * What must hold is said by the laws and by the reference, for all commands at once:
 *   - each request is answered, with a status and a code that its operation documents; 5xx only where a fault explains it
 *   - an answer leaves when all that it rests on is durable; after a cut right behind it the state is the one it was given in
 *   - what was refused, asked for or a dry run leaves the state as it was; so does a repeat, which names the same thing as before
 *   - state(log) = state(snapshot + log) = state(live), with any number of shards
 *   - every book sums to zero
 */
#ifndef TESTS_SIM_COMMANDS_HISTORY_H
#define TESTS_SIM_COMMANDS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

enum { COMMANDS_MAX = 256 };

/* All uint64_t: histories are added up. */
struct commands_seen {
	uint64_t requests, over_rpc, good, refused, failed, dry, repeats, unanswered;
	uint64_t lives, cuts, cuts_in_calls, kills, deaths, stops, snapshots_loaded;
	uint64_t id_runs, id_reads, dropped;
	uint64_t states_kept, states_same, states_recovered, states_compared, books;
	uint64_t command_sent[COMMANDS_MAX], command_good[COMMANDS_MAX], command_changed[COMMANDS_MAX], command_replayed[COMMANDS_MAX];
};

/* False: a law is broken, and *verdict (the caller's to free) says which. */
bool commands_run(uint64_t seed, bool trace, struct commands_seen *seen, uint64_t *hash, struct buf *verdict);

#endif
