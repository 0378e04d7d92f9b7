// SPDX-License-Identifier: Apache-2.0
/* decide.h - deciding transfers: rows, in order, become records in one open frame of the log, and are applied at once.
 *
 *     resolve   a part of the batch: hashes, accounts (prefetched in blocks), and an upper bound of the records' bytes
 *     decide    row by row: refusal, or a record written where it will stand in the log, then applied
 *
 * A linked chain is decided like its rows one after another, with every line of memory that they change kept aside; a
 * refusal in it puts them back.  No row of a chain is in the log before the whole chain is decided.
 *
 * Several ledgers: the caller has them all to itself (a visit), or there is one.
 */
#ifndef ENGINE_LEDGER_DECIDE_H
#define ENGINE_LEDGER_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/ledger/ledger.h"
#include "engine/ledger/request.h"

struct ledgers {
	struct ledger *at[SHARDS_MAX]; /* borrowed; by shard */
	unsigned count;
	unsigned home;                 /* the shard that runs; what all shards know alike is asked there */
};

/* One shard's share of a batch whose ids were claimed before: the rows with deciders[i] == home, nothing of other shards. */
struct transfer_share {
	const uint8_t *deciders;       /* one a row */
	uint64_t *outcomes;            /* one a row: LSN of its record, with ID_FAILED for a burned id; 0: none */
	struct buf *refused;           /* this shard's (index, refusal) */
	uint32_t next_row;
};

/* Where records go.  `begin` opens the frame, of `size` bytes, once the first record is there. */
struct ledger_writer {
	void (*begin)(struct ledger_writer *writer);
	void *context;
	unsigned char *body;           /* NULL: not begun */
	uint64_t lsn;                  /* of body[0] */
	uint32_t used, size;
};

/* In a dry run records stand nowhere; their positions are beyond any log's. */
#define DRY_LSN (UINT64_C(1) << 61)

struct transfer_run;                   /* opaque: scratch memory, reused from run to run */

struct transfer_run *transfer_run_new(void);
void transfer_run_free(struct transfer_run *run);

/* Takes the rows from request->next_row on, as many as fit into `limit` bytes (at least one row, or one chain).
 * Returns the index behind them and their bound. */
uint32_t transfers_resolve(struct transfer_run *run, const struct ledgers *ledgers, struct ledger_request *request,
			   uint32_t limit, uint32_t *bound);
/* The same for a share: from share->next_row on. */
uint32_t transfers_resolve_share(struct transfer_run *run, const struct ledgers *ledgers, struct ledger_request *request,
				 struct transfer_share *share, uint32_t limit, uint32_t *bound);
/* The shard that can decide a row without any other but its id's; SHARDS_MAX: there is none, it takes a visit. */
unsigned transfer_decider(const struct ledgers *ledgers, const struct transfer_row *row, uint64_t id_hash);
/* True if an id of the batch is marked in flight by a batch that is not through. */
bool transfers_in_flight(const struct ledgers *ledgers, const struct ledger_request *request);
/* The same for one row alone, whose known id turned out to be another's. */
void transfers_resolve_one(struct transfer_run *run, const struct ledgers *ledgers, struct ledger_request *request,
			   uint32_t index, uint32_t *bound);
/* Compares the accounts of known rows that known_compare was unsure of. */
void known_settle(const struct ledgers *ledgers, struct ledger_request *request);
/* The id by which clients know an account or the sliced account of a slice; 0: no such number. */
u128 account_name(const struct ledgers *ledgers, uint32_t number);
void refused_sort(struct buf *refused);                /* (index, refusal) by index */
void known_sort(struct ledger_request *request);       /* known[] by index */
/* Fetches what the first row of a small request will touch: stage 0 the tables' lines, stage 1 the accounts'.  Changes nothing. */
void transfers_ahead(const struct ledger *ledger, const struct ledger_request *request, unsigned stage);
/* Decides the rows that were resolved; moves request->next_row.  writer->size >= the bound. */
void transfers_decide(struct transfer_run *run, struct ledger_writer *writer, int64_t now_ms, bool memory_full);
/* Refuses the rows that were resolved, all with the same word. */
void transfers_refuse(struct transfer_run *run, enum refusal refusal);
/* dry_run: everything that the request did is taken back. */
void transfers_undo(struct transfer_run *run);

/* Ends pending transfers past their timeout, at most `max`; the writer has room for max * TRANSFER_RECORD_MAX. */
uint32_t transfers_expire(const struct ledgers *ledgers, struct ledger_writer *writer, int64_t now_ms, uint32_t max);

/* One account or sliced id; the writer has room for account_bound, or is NULL: a dry run, nothing changes.  Fills spec->refusal,
 * existed, id. */
uint32_t account_bound(const struct account_spec *spec);
void account_decide(const struct ledgers *ledgers, struct account_spec *spec, struct ledger_writer *writer, int64_t now_ms,
		    bool memory_full);
void account_close(const struct ledgers *ledgers, struct account_spec *spec, struct ledger_writer *writer, int64_t now_ms);

/* Questions; they change nothing. */
void accounts_lookup(const struct ledgers *ledgers, struct ledger_request *request);
void accounts_name(const struct ledgers *ledgers, struct ledger_request *request);
void transfers_find(const struct ledgers *ledgers, struct ledger_request *request);
/* Adds the ids that look as if they were in the runs to request->query: of rows, with the pending transfers that are not there,
 * or of a LEDGER_FIND. */
void transfers_ask(const struct ledgers *ledgers, const struct id_runs *runs, struct ledger_request *request);
void book_sum(const struct ledgers *ledgers, struct ledger_request *request);

static inline struct ledger *ledger_of_partition(const struct ledgers *ledgers, unsigned partition)
{
	return ledgers->count == 1 ? ledgers->at[0] : ledgers->at[shard_of(partition, ledgers->count)];
}

static inline struct ledger *ledger_of_number(const struct ledgers *ledgers, uint32_t number)
{
	return ledger_of_partition(ledgers, number_group(number) * PARTITIONS_PER_GROUP);
}

/* Room for a record of `size` bytes, at *lsn; the frame is begun if it was not. */
void *writer_take(struct ledger_writer *writer, uint32_t size, uint64_t *lsn);
/* What is left of the frame becomes a filler record. */
void writer_finish(struct ledger_writer *writer);

#endif
