// SPDX-License-Identifier: Apache-2.0
/* ledger_log.h - reading accounts and transfers back out of the log.
 *
 * An account's records are chained backwards: every record that touched it names the one before.  A walk begins at the head
 * that the shard gave, or where an earlier page ended, and is bounded by LOG_WALK_MAX records: what would need more is
 * refused with a word, never cut silently.
 *
 * Runs on: a worker thread, but log_place*, which are the loop's.
 */
#ifndef NET_SURFACE_LEDGER_LOG_H
#define NET_SURFACE_LEDGER_LOG_H

#include "engine/base/buf.h"
#include "engine/ledger/record.h"
#include "net/main/footers.h"
#include "wal/wal.h"

enum { LOG_WALK_MAX = 500000, LOG_PLACES = 1024 };

/* A transfer, or one movement of points in an event. */
struct movement {
	u128 id;                       /* of the transfer; 0: of an event, or the expiry of a pending transfer */
	u128 pending_id;               /* of post, void and expiry; else 0 */
	uint64_t lsn;
	int64_t time_ms;
	uint64_t amount, requested;    /* requested: of post, void and balancing, what the row said */
	uint64_t pending_amount;
	int64_t balance;               /* of the account that was walked, afterwards */
	uint32_t debit, credit;        /* account numbers; of an event 0 for the tenant account */
	uint8_t debit_kind, credit_kind;       /* enum account_kind of a tenant account; 0: a whole one */
	uint32_t timeout;
	uint16_t code, flags;          /* enum transfer_flags, without what is for records only, but EXPIRED */
	uint16_t number;               /* of an event: which of its movements, from 0 */
	size_t event_at, event_len;    /* of an event: its id, in the walk's texts */
};

enum log_outcome {
	LOG_DONE,
	LOG_PRUNED,                    /* a record is no longer there (at `lsn`) */
	LOG_UNREADABLE,                /* it is there, and the disk does not give it */
	LOG_TOO_LONG,                  /* more than LOG_WALK_MAX records */
	LOG_ABSENT,                    /* as-of: the account did not exist then */
	LOG_BUSY                       /* as-of: footers are being made */
};

/* Where as-of stands: an LSN or a time.  Zero LSN and INT64_MAX: now. */
struct log_moment {
	uint64_t lsn;                  /* 0: by time */
	int64_t time_ms;               /* INT64_MAX: by LSN */
};

struct ledger_call;

struct log_walk {
	const struct wal *wal;
	uint32_t number;               /* the account */
	uint64_t head;                 /* the newest record of the walk; 0: there is none */
	uint64_t before, after;        /* only records between, both excluded; 0: no bound */
	struct log_moment at;          /* and up to here */
	uint32_t limit;
	bool newest_first;
	/* what came of it; owned */
	struct buf movements;          /* struct movement; an event's stay together, so there may be a few more than limit */
	struct buf texts;
	uint64_t next;                 /* before or after of the next page; 0: this was the last */
	uint64_t resume;               /* newest first: the record at which the next page begins */
	enum log_outcome outcome;
	uint64_t lsn;                  /* where it ended badly */
	/* ledger_history: what runs on the worker thread instead of log_walk_run, for sliced accounts as well; NULL: nothing */
	void (*instead)(struct ledger_call *call);
};

/* What a transfer's record says, but lsn and balance. */
void log_movement(struct movement *movement, const struct transfer_view *view);
void log_walk_run(struct log_walk *walk);
void log_walk_free(struct log_walk *walk);

/* The sums of an account as they were: starts from those now, whose newest record is `head`, and takes back what came later. */
struct log_sums {
	const struct wal *wal;
	uint32_t number;
	uint64_t head;
	struct log_moment at;
	u128 debits_posted, credits_posted, debits_pending, credits_pending;   /* in: now; out: then */
	uint16_t flags;                /* likewise; ACCOUNT_CLOSED */
	uint64_t lsn;                  /* out: the account's newest record then; with LOG_PRUNED and _TOO_LONG: where it ended */
	enum log_outcome outcome;
	struct moment moment;          /* out: `at` by its LSN and time */
};

void log_sums_run(struct log_sums *sums);

/* Points that left an account behind one of its events, as far as they can have been those that the event brought: what was
 * burned and transferred away.  A reversal since then takes back what it undoes, where that was later than the event; where it
 * was earlier, the points that it took left the account. */
struct log_spent {
	const struct wal *wal;
	uint32_t number;
	uint64_t head;
	uint64_t event;                /* its LSN */
	int64_t spent;                 /* out; may be below zero */
	uint64_t lsn;                  /* out: where it ended, unless LOG_DONE */
	enum log_outcome outcome;
};

void log_spent_run(struct log_spent *spent);

/* The record of a transfer's outcome: LOG_DONE, _PRUNED, _UNREADABLE, or _ABSENT where it is another id's.  *failed is set for
 * a refusal that used the id up, with `refusal` and the time in *movement. */
enum log_outcome log_transfer_read(const struct wal *wal, uint64_t lsn, u128 id, struct movement *movement, bool *failed,
				   uint32_t *refusal);

/* Where pages ended: the next page begins there instead of at the head.  A place is only a shortcut: without it the walk
 * skips.  0: not remembered.  `places`: LOG_PLACES of them, zero at first; of one log. */
struct log_place { uint32_t number; uint64_t before, resume; };

void log_place_keep(struct log_place *places, uint32_t number, uint64_t before, uint64_t resume);
uint64_t log_place(struct log_place *places, uint32_t number, uint64_t before);

#endif
