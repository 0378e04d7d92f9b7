// SPDX-License-Identifier: Apache-2.0
/* ledger_find.h - questions about what was: several stages between shards and log, the same for both protocols.
 *
 *     ledger_history    an account and movements of it       LOOKUP, walk, NAMES
 *     ledger_as_of      an account as it was                 LOOKUP, walk
 *     ledger_find       transfers by their ids               FIND, read, NAMES
 */
#ifndef NET_SURFACE_LEDGER_FIND_H
#define NET_SURFACE_LEDGER_FIND_H

#include "net/surface/ledger_call.h"
#include "net/surface/ledger_log.h"

/* What became of ids[i]. */
struct found_transfer {
	struct movement movement;
	enum found_state state;
	enum log_outcome outcome;      /* of reading the record; with NOTHING none was read */
	uint32_t refusal;              /* FAILED */
	u128 debit, credit;            /* account ids; 0: of a FAILED one */
};

/* Asks for one account: by id, or with id 0 by tenant, unit and a sliced kind (texts borrowed until it is answered). */
void ledger_view_ask(struct ledger_call *call, u128 id, struct str tenant, struct str unit, enum account_kind kind);
struct account_view *ledger_view(const struct ledger_call *call);      /* the first of the views */

/* call->context becomes *walk, freed with the call.  The view was asked for.  Afterwards: no account where the view is not
 * found; a sliced one has no walk of its own; else walk->outcome, and in call->ids two ids for each movement: debit, credit.
 * Of the view's texts only tenant and unit are left then. */
struct log_walk *ledger_walk_new(struct ledger_call *call);
void ledger_history(struct ledger_call *call, void (*after)(struct ledger_call *call));

/* call->context becomes struct log_sums, freed with the call, and is filled. */
struct log_sums *ledger_sums_new(struct ledger_call *call);
void ledger_as_of(struct ledger_call *call, void (*after)(struct ledger_call *call));

/* call->ids holds `count` transfer ids.  Afterwards call->views holds `count` struct found_transfer. */
void ledger_find(struct ledger_call *call, uint32_t count, void (*after)(struct ledger_call *call));

/* On a worker thread: where `at` stands in the log; afterwards it is by LSN.  *moment names it. */
enum log_outcome log_moment_settle(struct ledger_call *call, struct log_moment *at, struct moment *moment);
enum log_outcome log_outcome_of(enum past_outcome outcome);
static inline bool log_moment_past(const struct log_moment *at)
{
	return at->lsn || at->time_ms != INT64_MAX;
}

/* "at" as text: digits are an LSN, else an RFC 3339 time. */
bool log_moment_parse(struct str text, struct log_moment *at);

#endif
