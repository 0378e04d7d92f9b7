// SPDX-License-Identifier: Apache-2.0
/* world.h - some shards in one thread, with a clock and a log that the test owns: the engine without the product.
 *
 * A world has 1 to 64 shards.  Which of them steps next, how far, and whether the log has room is drawn from a seed;
 * the replies must not depend on it.  The log is bytes in memory, durable as soon as they are published; a frame has a
 * header of zeros, as long as the real one's.
 *
 * world_replay makes a second world from the log of a first, with another number of shards: a restart.  Now and then it
 * takes the ids' part of all records first and the actors' part then, as two threads might.
 *
 * world_audit reads the log behind the engine's back: it adds up every record by itself and checks sums, limits,
 * balances in the records and the chains of history.
 *
 * Shards are hosted as threads would do it: one that has nothing to do sleeps, and only a first message or env.wake
 * gets it up again, so a wake-up that is missing is found.
 *
 * What must never happen (a frame beyond its credit, shards that all sleep over an open request …) is an assertion;
 * what a test compares is returned.
 */
#ifndef TESTS_MODEL_WORLD_H
#define TESTS_MODEL_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ledger/request.h"
#include "engine/shard/ledger.h"
#include "engine/shard/shard.h"
#include "tests/model/ledger_model.h"

enum { WORLD_FIRST_LSN = 4096, WORLD_FRAME_HEADER = 48, WORLD_FRAME_MAX = 4 * 1024 * 1024 - 64 };

struct world_frame {
	uint64_t lsn;                  /* of the body's first byte */
	uint32_t size;                 /* of the body */
};

/* What the audit keeps of an account, by its number in the log. */
struct audit_account {
	uint32_t number;               /* 0: empty */
	bool slice;
	u128 debits_posted, credits_posted, debits_pending, credits_pending;
	int64_t floor, ceiling;
	uint64_t last_lsn;
	u128 id;
};

struct world {
	unsigned shard_count;
	struct shard *shards;          /* owned */
	struct env env;
	struct catalog catalog;
	int64_t now_ms;                /* the test's to move, never backwards */
	uint64_t seed;                 /* of what is left to chance */
	unsigned wait_one_in;          /* so often the log has no room just now; 0: never */
	bool disk_full;
	bool awake[SHARDS_MAX];        /* a host would step it; the others sleep until a message or env.wake */
	struct world_ids *ids;         /* owned (world_ids.h) */
	unsigned files_one_in;         /* so often, in steps, ids move out of the shards' memory; 0: never */
	uint64_t pruned_lsn;           /* records below are gone from the log (for who reads it, not for replay) */
	/* the log */
	struct buf log;                /* owned; the byte at LSN L is log.ptr[L - WORLD_FIRST_LSN] */
	struct world_frame *frames;    /* owned */
	size_t frame_count, frame_cap;
	uint32_t credit[SHARDS_MAX];   /* 0: none */
	bool open;                     /* between begin and publish */
	struct world_frame frame;
	/* who is done */
	void **done;                   /* owned: owners of messages */
	size_t done_count, done_cap;
	unsigned rounds;               /* restarts of the running requests */
	uint64_t restarts;             /* of all */
	/* a message that world_run posts in the middle of others: of a snapshot */
	struct message *rider;         /* borrowed; NULL: none, or on its way */
	unsigned rider_after;          /* steps */
	/* the audit */
	struct audit_account *audit;   /* owned; open addressing */
	size_t audit_count, audit_cap, audit_frames;
};

struct world *world_new(unsigned shard_count, uint64_t seed);
/* A new world out of the first `frames` frames of the log; the clock goes on from there. */
struct world *world_replay(const struct world *world, unsigned shard_count, size_t frames);
/* The same behind a snapshot: `load` fills the empty shards and says from which LSN records are taken, `loaded` ends it. */
struct world *world_replay_loaded(const struct world *world, unsigned shard_count, size_t frames,
				  uint64_t (*load)(struct world *world, void *context),
				  void (*loaded)(struct world *world, void *context), void *context);
void world_free(struct world *world);

uint64_t world_chance(uint64_t *seed, uint64_t below);     /* 0 to below - 1 */
uint64_t world_end(const struct world *world);             /* LSN behind the last frame */
/* A message, of a shard and with an owner, that world_run posts after so many steps; world_arrive sees to it that it is done. */
void world_ride(struct world *world, struct message *message, unsigned after);
void world_arrive(struct world *world, struct message *message);
/* Steps shards in a random order until every owner is done. */
void world_run(struct world *world, void *const *owners, size_t count);

/* Runs one request to its end; rows with known ids are looked up in the log. */
void world_transfers(struct world *world, const unsigned char *rows, uint32_t count, bool want_balances,
		     struct model_reply *replies);
/* Several at once; `counts` rows each. */
void world_transfers_together(struct world *world, unsigned requests, const unsigned char *const *rows,
			      const uint32_t *counts, struct model_reply **replies);
/* The same as a dry run: nothing in the log may move. */
void world_dry_run(struct world *world, const unsigned char *rows, uint32_t count, struct model_reply *replies);
void world_accounts(struct world *world, struct account_spec *specs, uint32_t count);
void world_close(struct world *world, struct account_spec *specs, uint32_t count);
void world_expire(struct world *world);        /* everything whose timeout has passed */
/* The caller frees *texts (NULL: not wanted). */
void world_lookup(struct world *world, struct account_view *views, uint32_t count, struct buf *texts);
void world_names(struct world *world, uint32_t *numbers, u128 *ids, uint32_t count);
void world_find(struct world *world, u128 *ids, uint64_t *lsns, uint8_t *states, uint32_t count);
/* Fills sums and accounts; false: unknown. */
bool world_book(struct world *world, struct str tenant, struct str unit, struct ledger_request *answer);

/* Configuration and events. `text` and `actions` are JSON with ' for "; the answer is the document's id. */
uint64_t world_document(struct world *world, const char *tenant, unsigned kind, const char *text);
void world_event_type(struct world *world, const char *tenant, const char *key, const char *actions);
struct world_event {
	const char *tenant, *profile, *type, *id;
	uint64_t points;               /* payload: {"points":N} */
	enum row_result result;        /* out */
	bool good;                     /* out: no rule failed */
	int64_t balance;               /* out: the record's */
};
void world_events(struct world *world, struct world_event *events, uint32_t count);
/* Points as the member's own page tells them; false: there is no such member. */
bool world_member(struct world *world, const char *tenant, const char *profile, int64_t *points);

void world_dump(const struct world *world,
		struct buf *out); /* state_dump of all shards, lines sorted, with a 0 behind */

/* Goes on through the log from where it stopped.  False with a line in *why if something does not add up. */
bool world_audit(struct world *world, struct buf *why);
const struct audit_account *world_audited(const struct world *world, uint32_t number);

#endif
