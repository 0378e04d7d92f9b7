// SPDX-License-Identifier: Apache-2.0
/* request.h - what net/ asks of the ledger, and what it gets back.
 *
 *     net/ fills a ledger_request, ledger_start(request, env)  ->  the shards  ->  env->done(&request->message)
 *
 * The answer may leave once the log is durable up to message.wait_lsn (the loop sees to that: it calls request->after then).
 * Everything in a request is borrowed from net/ until then, but the bufs and arrays marked owned: ledger_request_free.
 *
 * LEDGER_TRANSFERS: rows are decided in order.  A row whose id is known is not decided again: its first outcome stands in
 * the log, which the ledger does not read.  Such rows come back in known[]; net/ reads the record at known[i].lsn (when it
 * is durable: after `after` was called) and asks known_compare, then either has the answer or, where it says `collision`,
 * lets the request run again (ledger_restart).  Where a linked chain holds known rows the run stops before the chain:
 * `stopped` is set, and ledger_restart goes on from there with known[i].refusal filled in.
 */
#ifndef ENGINE_LEDGER_REQUEST_H
#define ENGINE_LEDGER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "engine/ledger/account.h"
#include "engine/ledger/filed.h"
#include "engine/ledger/refusal.h"
#include "engine/ledger/row.h"

enum ledger_verb {
	LEDGER_ACCOUNTS,               /* create; again with the same content is success */
	LEDGER_CLOSE,                  /* close or reopen; uses specs: id and flags (ACCOUNT_CLOSED or 0) */
	LEDGER_TRANSFERS,
	LEDGER_LOOKUP,                 /* views[i].id -> the account */
	LEDGER_NAMES,                  /* numbers[i] -> ids[i] (0: unknown); of a slice: the sliced account's id */
	LEDGER_FIND,                   /* ids[i] of transfers -> lsns[i] (0: unknown), and whether refused, pending … */
	LEDGER_BOOK,                   /* sums of a tenant's unit */
	LEDGER_EXPIRE                  /* internal: pending transfers past their timeout */
};

enum { LEDGER_VERBS = LEDGER_EXPIRE + 1 };

struct account_spec {
	u128 id;                       /* in, or out where it was 0 and names are given */
	struct str tenant, unit;
	struct str member, program;    /* member.len > 0 and id 0: derive; program empty: "default" */
	enum account_kind kind;
	uint16_t flags;                /* client's: ACCOUNT_CLOSED only */
	bool has_floor, has_ceiling;
	int64_t floor, ceiling;
	enum refusal refusal;          /* out */
	bool existed;                  /* out: it was there with the same content */
};

struct account_view {
	u128 id;                       /* in; out where it was 0 */
	struct str tenant, unit;       /* in, with id 0: the sliced account `kind` of these, whatever id it has */
	bool found;
	enum account_kind kind;        /* out; in with id 0 */
	uint16_t flags;                /* ACCOUNT_CLOSED */
	int64_t floor, ceiling;        /* NO_FLOOR, NO_CEILING */
	u128 debits_posted, credits_posted, debits_pending, credits_pending;
	uint64_t last_lsn;             /* head of its history; 0 for sliced ones */
	int64_t created_ms;            /* 0: not remembered */
	uint32_t number;
	size_t tenant_at, tenant_len, unit_at, unit_len, member_at, member_len, program_at, program_len;   /* in request->texts */
};

struct known_row {
	uint32_t index;
	uint64_t lsn;                  /* of the record with the first outcome */
	uint32_t debit_number, credit_number;  /* the row's accounts today; 0: unknown (a number is never 0) */
	bool resolved;
	bool collision;                /* the record at lsn has another id, or `unsure`: run again */
	bool unsure;                   /* its accounts have other numbers: the ledger compares what they stand for */
	uint32_t recorded[2];          /* unsure: the numbers in the record */
	enum refusal refusal;          /* with resolved: REFUSAL_NONE for a true repeat */
	int64_t balances[2];           /* as recorded, for a true repeat */
	bool used;                     /* went into the answer while the run went on */
};

enum found_state { FOUND_NOTHING, FOUND_TRANSFER, FOUND_FAILED, FOUND_PENDING, FOUND_POSTED, FOUND_VOIDED, FOUND_EXPIRED };

struct ledger_request {
	struct message *messages;      /* one a shard, internal; owned */
	struct ledger_split *split;    /* internal; owned: a batch that several shards decide side by side */
	bool entered;                  /* internal: the visit has begun */
	enum ledger_verb verb;
	void (*after)(struct ledger_request *request);         /* on the loop, durable */
	void *context;                 /* net/'s own */
	uint64_t wait_lsn;             /* out: durable up to here before answering */
	uint64_t lsn;                  /* out: end of the highest frame written, or what the answer rests on; for the reply */
	struct id_query query;         /* internal; owned: ids that look as if they were on disk, and which of them are */
	bool unreadable;               /* out: ids on disk could not be looked up; nothing was done but what is below next_row */
	/* ACCOUNTS, CLOSE */
	struct account_spec *specs;
	/* TRANSFERS */
	const unsigned char *rows;     /* count times ROW_BYTES, any alignment */
	uint32_t count;                /* of rows, specs, views, numbers or ids */
	bool want_balances, dry_run;
	struct buf refused;            /* owned: (index u32, refusal u32), by index */
	struct buf balances;           /* owned: count times 2 i64 */
	struct known_row *known;       /* owned */
	uint32_t known_count, known_cap;
	bool stopped;
	uint32_t next_row;             /* progress */
	uint32_t known_sorted;         /* so many of known[] are in order of index; internal */
	/* LOOKUP */
	struct account_view *views;    /* net/'s */
	struct buf texts;              /* owned */
	/* NAMES, FIND */
	uint32_t *numbers;             /* net/'s */
	u128 *ids;                     /* net/'s */
	uint64_t *lsns;                /* net/'s */
	uint8_t *states;               /* net/'s; enum found_state */
	/* BOOK */
	struct str tenant, unit;
	bool found;
	u128 sums[ACCOUNT_KINDS][4];   /* debits_posted, credits_posted, debits_pending, credits_pending of each kind */
	uint64_t accounts[ACCOUNT_KINDS];
	uint64_t sum_lsn_low, sum_lsn_high;    /* between which the sums were true */
};

void ledger_request_free(struct ledger_request *request);
void ledger_request_reuse(struct ledger_request *request);     /* as new; its memory stays */

/* All known rows are resolved, none is a collision: their refusals and balances into the answer, in order of the rows. */
void ledger_known_finish(struct ledger_request *request);

/* The first outcome's record against the row that came again: fills known->resolved and so on.  Where the log no longer has it:
 * known_pruned. */
void known_pruned(struct known_row *known, const unsigned char *row, const struct id_kept *kept);
void known_compare(struct known_row *known, const unsigned char *row, const unsigned char *record, size_t len);

#endif
