// SPDX-License-Identifier: Apache-2.0
/* run.h - what resolving and deciding transfers share: a run over some rows of a batch.  Nobody else includes it. */
#ifndef ENGINE_LEDGER_RUN_H
#define ENGINE_LEDGER_RUN_H

#include "engine/ledger/decide.h"

enum { RUN_BLOCK = 32, RUN_AHEAD = 8, RUN_ROWS = 512, SLICED_CACHE = 64 };

/* What is known of a row before it is decided.  A sliced side's account is the slice's entry in the group where the row is
 * decided, NULL until there is one. */
struct lane {
	uint64_t id_hash;
	struct account *debit, *credit;
	uint32_t debit_number, credit_number;
	uint8_t debit_kind, credit_kind;       /* of a sliced side; 0: whole or unknown */
	uint8_t group;                 /* where slices are */
	uint8_t refusal;               /* in the content; smaller than any of the state */
	bool skip;                     /* another shard's */
	bool plain;                    /* no flags, from a slice that is there to a whole account of its book */
	bool repeat;                   /* the same row was done before it in the chain or dry run: its answer is that one's */
	uint32_t book;                 /* of the sliced sides, in that group's ledger */
};

enum undo_kind { UNDO_LINE, UNDO_ID, UNDO_PENDING_OPEN, UNDO_PENDING_END };

struct undo {
	enum undo_kind kind;
	struct ledger *ledger;
	union {
		struct { void *at; unsigned char bytes[64]; } line;    /* an account, or a slice's sums */
		struct { uint64_t hash, value; struct pending *pending; } id;
	};
};

struct transfer_run {
	const struct ledgers *ledgers;
	struct ledger_request *request;
	struct ledger_writer *writer;
	int64_t now_ms;
	bool memory_full;
	uint32_t first, behind;
	struct lane *lanes;            /* ROWS_MAX; of [first, behind) */
	bool keeping;                  /* undo is written: in a chain, or a dry run */
	struct undo *undo;
	size_t undo_count, undo_cap;
	uint32_t chain_first;          /* rows of the running chain before this one may be repeated within it */
	bool in_chain;
	struct transfer_share *share;  /* NULL: all rows, and their ids */
	uint32_t *progress;            /* request->next_row or share->next_row */
	struct buf *refused;           /* request->refused or share->refused */
	struct sliced_cache { u128 id; struct book *book; uint8_t kind; } sliced[SLICED_CACHE];  /* of one run; book NULL: empty */
	struct account dry_slices[2];
	struct slice_sums dry_sums[2];
};

static inline struct transfer_row row_at(const struct transfer_run *run, uint32_t index)
{
	return row_load(run->request->rows + (size_t)index * ROW_BYTES);
}

static inline const struct transfer_row_bytes *bytes_at(const struct transfer_run *run, uint32_t index)
{
	return (const struct transfer_row_bytes *)(const void *)(run->request->rows + (size_t)index * ROW_BYTES);
}

static inline bool is_end(const struct transfer_row *row)
{
	return row->flags & (TRANSFER_POST | TRANSFER_VOID);
}

/* The slice's entry in the lane's group, if a transfer of the group has named it before. */
static inline struct account *slice_entry(const struct ledger *ledger, const struct book *book, unsigned group, unsigned kind,
				   uint32_t *number)
{
	const struct slice *slice = book->book_slices[group];
	*number = slice ? slice->numbers[kind - ACCOUNT_FIRST_SLICED] : 0;
	return *number ? ledger_account_at(ledger, *number) : NULL;
}

__attribute__((always_inline)) static inline enum refusal check_content(const struct transfer_row *row)
{
	unsigned ends = row->flags & (TRANSFER_POST | TRANSFER_VOID);
	unsigned kinds = row->flags & (TRANSFER_PENDING | TRANSFER_POST | TRANSFER_VOID);
	if (row->flags & ~TRANSFER_FLAGS)
		return REFUSED_RESERVED_FLAG;
	if ((kinds & (kinds - 1)) || (ends && (row->flags & (TRANSFER_BALANCING_DEBIT | TRANSFER_BALANCING_CREDIT))))
		return REFUSED_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
	if (row->id == 0)
		return REFUSED_ID_MUST_NOT_BE_ZERO;
	if (row->id == U128_MAX)
		return REFUSED_ID_MUST_NOT_BE_INT_MAX;
	if (ends) {
		if (row->debit == 0)
			return REFUSED_PENDING_ID_MUST_NOT_BE_ZERO;
		if (row->debit == U128_MAX)
			return REFUSED_PENDING_ID_MUST_NOT_BE_INT_MAX;
		if (row->debit == row->id)
			return REFUSED_PENDING_ID_MUST_BE_DIFFERENT;
		if (row->credit != 0)
			return REFUSED_CREDIT_ACCOUNT_ID_MUST_BE_ZERO;
	} else {
		if (row->debit == 0)
			return REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
		if (row->debit == U128_MAX)
			return REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
		if (row->credit == 0)
			return REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
		if (row->credit == U128_MAX)
			return REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
		if (row->debit == row->credit)
			return REFUSED_ACCOUNTS_MUST_BE_DIFFERENT;
	}
	if (row->timeout && !(row->flags & TRANSFER_PENDING))
		return REFUSED_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
	if (row->amount == 0 && !ends)
		return REFUSED_AMOUNT_MUST_NOT_BE_ZERO;
	return REFUSAL_NONE;
}

/* The accounts of a row that is no post or void.  A refusal found here is one of the state's (accounts unknown, not of one
 * book) and waits in the lane until the id was looked at. */
void resolve_accounts(struct transfer_run *run, struct lane *lane, const struct transfer_row *row, uint64_t debit_key,
		      uint64_t credit_key);

#endif
