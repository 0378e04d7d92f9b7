// SPDX-License-Identifier: Apache-2.0
/* shard.h - a thread's worth of actors: a mailbox in front, the log behind, no locks.
 *
 *     mailbox -> decide -> records -> room in the log -> apply -> done (answered when durable)
 *
 * A step takes what is in the mailbox, does bounded work and says whether there is more; which thread calls it is a matter
 * of placement.  Room in the log is set aside before anything is decided, so a decision that was applied always gets into
 * the log; where there is no room the command stays where it is and nothing else of the shard moves.
 */
#ifndef ENGINE_SHARD_SHARD_H
#define ENGINE_SHARD_SHARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/env/env.h"
#include "engine/shard/batch.h"
#include "engine/shard/state.h"

enum { CATALOG_SHARD = 0, CATALOG_PARTITION = 0 };

/* A change of where ids are; posted by who moves them, one at a time. */
struct id_change {
	struct message message;        /* MESSAGE_IDS */
	const struct id_runs *runs;    /* to be taken over; borrowed until others are.  NULL: drop instead */
	uint64_t below;                /* entries with an LSN below this are in the runs that every shard has: drop them */
	unsigned partition;            /* progress, 0 at first */
	void (*after)(struct id_change *change);       /* on the shard's thread */
	void *context;
};

/* Ids marked in flight here, whose outcomes other shards write into the log: how far back their records may stand.  Claims are
 * of two generations; a new one begins when the older one is through. */
struct claims {
	uint64_t floor[2];             /* the log's head when the generation began */
	uint64_t open[2];
	unsigned turn;                 /* the younger one */
};

struct shard {
	struct state state;
	const struct env *env;         /* borrowed */
	struct catalog *catalog;       /* borrowed; only on CATALOG_SHARD, else NULL */
	struct rule_arena *arena;
	_Atomic(struct message *) mailbox;     /* newest first; the step turns it round */
	atomic_uint depth;             /* messages in mailbox and queue */
	struct message *queue, **queue_end;    /* oldest first; private to the step */
	uint64_t appended_lsn;         /* end of the last frame that its state rests on: its own, or another's */
	_Atomic uint64_t hooked_lsn;   /* its newest event of which another system is to be told; 0: none since the start */
	uint64_t memory_limit;         /* bytes this shard may use; beyond it new ids and members are refused; 0: none */
	struct claims claims;
	struct touched { struct member *member; struct tenant_slice *slice; } *touched;   /* owned; of the running chunk */
	size_t touched_count, touched_cap;
	struct shard *peers;           /* borrowed: all shards, this one among them */
	struct transfer_run *run;      /* owned; scratch of the ledger's runs */
	atomic_ullong ids_held;        /* ids in memory at the end of the last step, for who moves them */
	atomic_bool parked;            /* waits at a visit: another shard has this one's state to itself */
};

void shard_init(struct shard *shard, unsigned index, unsigned count, const struct env *env, struct catalog *catalog);
void shard_deinit(struct shard *shard);

/* From any thread: puts a message into the mailbox.  True if it was empty, so that a sleeping host must be woken. */
bool shard_post(struct shard *shard, struct message *message);

/* Does at most `budget` messages.  Returns true while there is more to do; *stalled is set when it waits for the log. */
bool shard_step(struct shard *shard, unsigned budget, bool *stalled);
/* On the step's thread: whether a step would find something to do. */
bool shard_busy(const struct shard *shard);

/* Before a run of claims; then one call for each id that is marked, and one with what it returned when the mark is gone. */
void shard_claims_begin(struct shard *shard);
static inline unsigned shard_claim(struct shard *shard)
{
	shard->claims.open[shard->claims.turn]++;
	return shard->claims.turn;
}
static inline void shard_claim_end(struct shard *shard, unsigned turn)
{
	shard->claims.open[turn]--;
}

/* Makes the shards known to each other; before the first message. */
void shards_connect(struct shard *shards, unsigned count);

/* Starts a batch whose rows are filled in.  From any thread. */
void batch_start(struct batch *batch, const struct env *env);

#endif
