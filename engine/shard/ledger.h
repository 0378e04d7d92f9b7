// SPDX-License-Identifier: Apache-2.0
/* ledger.h (shard) - requests to the ledger: how they get to the shards, and back. */
#ifndef ENGINE_SHARD_LEDGER_H
#define ENGINE_SHARD_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/env/env.h"
#include "engine/ledger/request.h"

struct message;
struct shard;

/* Starts a request to the ledger.  From any thread.  It comes back through env->done as a message of kind MESSAGE_LEDGER
 * whose owner is the request.
 *
 * With several shards it is a visit: it enters their mailboxes in ascending order, each waits at it, the last one decides
 * for all and writes one frame.  So refusals and balances do not depend on the number of shards.
 *
 * Transfers that need no visit - no flags, new ids, each between accounts of one shard, as all earns and burns are - are
 * split instead: the owners of the ids claim them, the owners of the accounts decide their rows side by side, and the
 * owners of the ids take note of the outcomes.  Where anything else turns up while claiming, it becomes a visit. */
void ledger_start(struct ledger_request *request, const struct env *env);
void ledger_visit(struct ledger_request *request, const struct env *env);      /* without trying to split */
/* For shard.c: a stage of a split batch; false: waits for room.  And whether a visit comes in between such stages. */
bool ledger_split_run(struct shard *shard, struct message *message);
bool ledger_must_wait(struct shard *shard, const struct ledger_request *request);
/* The shard is the last one of the visit, nothing of the request has run.  True: some of its ids look as if they were on disk;
 * request->query is to be answered first, and the visit begins anew. */
bool ledger_asks(struct shard *shard, struct ledger_request *request);
/* Goes on after known rows were resolved: with the chain it stopped at, or with rows whose hash had collided. */
void ledger_restart(struct ledger_request *request, const struct env *env);
/* True if a pending transfer's timeout has passed: time for a LEDGER_EXPIRE request. */
bool ledger_expiry_due(const struct shard *shards, unsigned count, int64_t now_ms);
/* Runs a request; the shard is the last one of the visit.  False: waits for room in the log. */
bool ledger_run(struct shard *shard, struct ledger_request *request);

#endif
