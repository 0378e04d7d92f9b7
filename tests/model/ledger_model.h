// SPDX-License-Identifier: Apache-2.0
/* ledger_model.h - the ledger once more, as plainly as it can be said: what the real one must answer.
 *
 * One list of accounts, one of transfers, 128-bit sums, one row after the other, no shards, no log.  It knows nothing
 * of how the engine does it; only the ids of derived accounts come from there, and the numbers of refusals.
 *
 * The model has no dry run, no full disk and no full memory.
 */
#ifndef TESTS_MODEL_LEDGER_MODEL_H
#define TESTS_MODEL_LEDGER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ledger/request.h"

enum { MODEL_ACCOUNTS_MAX = 512, MODEL_BOOKS_MAX = 64, MODEL_NAME_MAX = 64, MODEL_BUCKETS = 16384 };

struct model_account {
	u128 id;                       /* 0: a tenant account to which nobody gave an id */
	unsigned book;
	enum account_kind kind;
	bool closed;
	int64_t floor, ceiling;        /* NO_FLOOR, NO_CEILING */
	u128 debits_posted, credits_posted, debits_pending, credits_pending;
};

struct model_book { char tenant[MODEL_NAME_MAX], unit[MODEL_NAME_MAX]; };

struct model_transfer {
	struct transfer_row row;       /* as it was asked for */
	enum found_state state;        /* never FOUND_NOTHING */
	uint64_t amount;               /* what moved or is reserved */
	uint16_t code;                 /* of a post or void: the pending transfer's */
	unsigned debit, credit;        /* indices of accounts */
	int64_t expires_ms;            /* 0: never */
	int64_t balances[2];           /* the answer of then */
	enum refusal refusal;          /* FOUND_FAILED: the answer of then */
	unsigned next;                 /* index + 1 in the bucket; 0: the last */
	/* For who follows a log, and fills them. */
	uint64_t lsn;                  /* of its record; 0: not told */
	bool forgotten;                /* the id is new again; only model_transfer_version finds it */
};

struct model_reply {
	enum refusal refusal;
	int64_t balances[2];           /* of a success (of a repeat: as they were then): debit, then credit account;
					* BALANCE_NONE for sliced ones */
};

struct model {
	struct model_account accounts[MODEL_ACCOUNTS_MAX];
	unsigned account_count;
	struct model_book books[MODEL_BOOKS_MAX];
	unsigned book_count;
	struct model_transfer *transfers;      /* owned */
	unsigned transfer_count, transfer_cap;
	unsigned buckets[MODEL_BUCKETS];       /* index + 1 */
	unsigned *open;                /* owned; indices of pending transfers that have not ended */
	unsigned open_count, open_cap;
	unsigned *ended;               /* owned; indices, oldest first: what a failed chain takes back */
	unsigned ended_count, ended_cap;
};

struct model *model_new(void);
void model_free(struct model *model);

/* Fills id (where it is to be derived), refusal and existed, as the engine must. */
void model_account_create(struct model *model, struct account_spec *spec);
void model_account_close(struct model *model, struct account_spec *spec);
/* NULL: unknown, or one to which nobody gave an id. */
struct model_account *model_account_find(struct model *model, u128 id);
/* The tenant account of a book, made if it is new; NULL if the book is unknown. */
struct model_account *model_sliced(struct model *model, struct str tenant, struct str unit, enum account_kind kind);

/* A batch of rows in order. */
void model_transfers(struct model *model, const unsigned char *rows, uint32_t count, int64_t now_ms,
		     struct model_reply *replies);
/* Ends every pending transfer whose timeout has passed; returns how many. */
unsigned model_expire(struct model *model, int64_t now_ms);
/* NULL: unknown.  Valid until the next transfer. */
const struct model_transfer *model_transfer_find(const struct model *model, u128 id);
/* What had this id before `newer`, or (NULL) as the last, forgotten or not; NULL: nothing. */
struct model_transfer *model_transfer_version(const struct model *model, u128 id, const struct model_transfer *newer);
/* What a post or void of this id is about: the last pending transfer that had it, also where it is over and forgotten, or else what has it
 * now; NULL: nothing. */
const struct model_transfer *model_hold_find(const struct model *model, u128 id);

/* For who follows a log, where chains, and what ends a pending transfer, stand one by one.
 * One chain (or one row); what it did can be taken back as long as nothing else was done. */
void model_chain(struct model *model, const unsigned char *rows, uint32_t count, int64_t now_ms, struct model_reply *replies);
void model_take_back(struct model *model);
/* Ends one pending transfer; NULL if it is not open, or its timeout has not passed. */
const struct model_transfer *model_expire_one(struct model *model, u128 id, int64_t now_ms);
/* Why a row is refused whatever the state is; and why, against the first one with its id. */
enum refusal model_content_refusal(const struct transfer_row *row);
enum refusal model_known_refusal(const struct model_transfer *first, const struct transfer_row *row);

/* What a rule does: earn is liability to member, burn is member to redeemed.  The member's account comes into being
 * with its first points.  False if fewer are there than are to be burned. */
bool model_earn(struct model *model, struct str tenant, struct str member, uint64_t points);
bool model_burn(struct model *model, struct str tenant, struct str member, uint64_t points);
/* The same backwards, of an account that is there: member to liability (false if fewer are there), redeemed to member. */
bool model_earn_back(struct model *model, struct str tenant, struct str member, uint64_t points);
void model_burn_back(struct model *model, struct str tenant, struct str member, uint64_t points);

/* Sums of a book by kind, in the order of ledger_request.sums; counts of its whole accounts by kind. */
bool model_book(const struct model *model, struct str tenant, struct str unit, u128 sums[ACCOUNT_KINDS][4],
		uint64_t counts[ACCOUNT_KINDS]);

#endif
