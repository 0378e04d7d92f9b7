// SPDX-License-Identifier: Apache-2.0
/* work.h - what clients ask for: few accounts, few members, few ids, so that everything meets.
 *
 * Transfers of all kinds, with repeats of the same and of other content; accounts made, closed and reopened; events under
 * rules that change meanwhile; their reversals; customers; questions.
 */
#ifndef TESTS_SIM_WORK_H
#define TESTS_SIM_WORK_H

#include "tests/sim/oracle.h"

enum { PLACES = 30, WORK_HISTORY = 256, WORK_KINDS = OP_ASK + 1, WORK_UNDONE = 64 };

struct undone { uint64_t lsn; unsigned tenant, policy, reason; };

struct work {
	uint64_t seed;
	struct oracle *oracle;
	struct account_spec places[PLACES];
	u128 ids[PLACES];
	struct transfer_row history[WORK_HISTORY];
	unsigned history_count;
	struct sim_event past[WORK_HISTORY];
	unsigned past_count;
	struct undone undone[WORK_UNDONE];
	unsigned undone_count;
	unsigned op_number, event_number;
	unsigned weights[WORK_KINDS];  /* by enum op_kind; swarm */
	unsigned rows_max;             /* of one batch */
	bool few_members;              /* hot ones */
	int64_t *now_ms;
};

void work_begin(struct work *work, uint64_t seed, struct oracle *oracle, int64_t *now_ms);
struct op *work_next(struct work *work);       /* the caller's, until oracle_sent */
struct op *work_first(struct work *work, unsigned number);     /* what everything needs: accounts, event types; NULL: no more */

#endif
