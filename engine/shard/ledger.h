// SPDX-License-Identifier: Apache-2.0
/* ledger.h (shard) - requests to the ledger: how they get to the shards, and back. */
#ifndef ENGINE_SHARD_LEDGER_H
#define ENGINE_SHARD_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/env/env.h"
#include "engine/ledger/request.h"

struct shard;

/* Starts a request to the ledger.  From any thread.  It comes back through env->done as a message of kind MESSAGE_LEDGER
 * whose owner is the request.
 *
 * With several shards it is a visit: it enters their mailboxes in ascending order, each waits at it, the last one decides
 * for all and writes one frame.  So refusals and balances do not depend on the number of shards. */
void ledger_start(struct ledger_request *request, const struct env *env);
/* Goes on after known rows were resolved: with the chain it stopped at, or with rows whose hash had collided. */
void ledger_restart(struct ledger_request *request, const struct env *env);
/* True if a pending transfer's timeout has passed: time for a LEDGER_EXPIRE request. */
bool ledger_expiry_due(const struct shard *shards, unsigned count, int64_t now_ms);
/* Runs a request; the shard is the last one of the visit.  False: waits for room in the log. */
bool ledger_run(struct shard *shard, struct ledger_request *request);

#endif
