// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/decide.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

enum { BLOCK = 32, AHEAD = 8, CHUNK_ROWS = 512, SLICED_CACHE = 64 };

#define SUM_MAX ((u128)INT64_MAX)
#define ROW_IS_KNOWN ((enum refusal)UINT32_MAX)
/* In a dry run records stand nowhere; their positions are beyond any log's. */
#define DRY_LSN (UINT64_C(1) << 61)

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

struct transfer_run *transfer_run_new(void)
{
	struct transfer_run *run = mem_lines((sizeof *run + 63) / 64 * 64);
	run->lanes = mem_alloc(ROWS_MAX * sizeof *run->lanes);
	return run;
}

void transfer_run_free(struct transfer_run *run)
{
	if (!run)
		return;
	mem_free(run->lanes);
	mem_free(run->undo);
	mem_free(run);
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

void *writer_take(struct ledger_writer *writer, uint32_t size, uint64_t *lsn)
{
	if (!writer->body)
		writer->begin(writer);
	ASSERT(size % 8 == 0 && size <= writer->size - writer->used);
	void *at = writer->body + writer->used;
	*lsn = writer->lsn + writer->used;
	writer->used += size;
	return at;
}

void writer_finish(struct ledger_writer *writer)
{
	if (!writer->body || writer->used == writer->size)
		return;
	struct record_head head = { .size = writer->size - writer->used, .type = RECORD_FILLER };
	memset(writer->body + writer->used, 0, head.size);
	memcpy(writer->body + writer->used, &head, sizeof head);
	writer->used = writer->size;
}

/* ---- taking back ------------------------------------------------------------------------------------------------------ */

static struct undo *undo_push(struct transfer_run *run, enum undo_kind kind, struct ledger *ledger)
{
	if (run->undo_count == run->undo_cap) {
		run->undo_cap = run->undo_cap ? run->undo_cap * 2 : 256;
		run->undo = mem_realloc(run->undo, run->undo_cap * sizeof *run->undo);
	}
	struct undo *undo = &run->undo[run->undo_count++];
	undo->kind = kind;
	undo->ledger = ledger;
	return undo;
}

static void keep_account(struct transfer_run *run, struct account *account)
{
	if (!run->keeping)
		return;
	void *line = account->flags & ACCOUNT_SLICE ? (void *)(uintptr_t)account->id : account;
	struct undo *undo = undo_push(run, UNDO_LINE, NULL);
	undo->line.at = line;
	memcpy(undo->line.bytes, line, sizeof undo->line.bytes);
	static_assert(sizeof(struct slice_sums) == sizeof undo->line.bytes, "one line");
}

static void undo_back_to(struct transfer_run *run, size_t mark)
{
	while (run->undo_count > mark) {
		struct undo *undo = &run->undo[--run->undo_count];
		switch (undo->kind) {
		case UNDO_LINE: memcpy(undo->line.at, undo->line.bytes, sizeof undo->line.bytes); break;
		case UNDO_ID:
			ids_remove(undo->ledger->ids, undo->id.hash, undo->id.value);
			undo->ledger->transfer_total -= !(undo->id.value & ID_FAILED);
			break;
		case UNDO_PENDING_OPEN: pending_forget(undo->ledger, undo->id.hash); break;
		case UNDO_PENDING_END: pending_restore(undo->ledger, undo->id.pending, undo->id.hash); break;
		}
	}
}

static void undo_commit(struct transfer_run *run, size_t mark)
{
	for (size_t i = mark; i < run->undo_count; i++)
		if (run->undo[i].kind == UNDO_PENDING_END)
			mem_free(run->undo[i].id.pending);
	run->undo_count = mark;
}

void transfers_undo(struct transfer_run *run)
{
	undo_back_to(run, 0);
}

/* ---- checks of the content -------------------------------------------------------------------------------------------- */

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

/* ---- finding the accounts --------------------------------------------------------------------------------------------- */

static struct transfer_row row_at(const struct transfer_run *run, uint32_t index)
{
	return row_load(run->request->rows + (size_t)index * ROW_BYTES);
}

/* The slice's entry in the lane's group, if a transfer of the group has named it before. */
static struct account *slice_entry(const struct ledger *ledger, const struct book *book, unsigned group, unsigned kind,
				   uint32_t *number)
{
	const struct slice *slice = book->book_slices[group];
	*number = slice ? slice->numbers[kind - ACCOUNT_FIRST_SLICED] : 0;
	return *number ? ledger_account_at(ledger, *number) : NULL;
}

static bool same_book(const struct book *a, const struct book *b, enum refusal *refusal)
{
	if (a == b)
		return true;
	if (!str_eq(a->tenant, b->tenant))
		*refusal = REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_TENANT;
	else if (!str_eq(a->unit, b->unit))
		*refusal = REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_UNIT;
	else
		return true;
	return false;
}

static bool is_end(const struct transfer_row *row)
{
	return row->flags & (TRANSFER_POST | TRANSFER_VOID);
}

/* Sides that are slices: finds the entries in the group of the other account, or of the id where both are. */
static void resolve_slices(const struct ledgers *ledgers, struct lane *lane, const struct book *debit, const struct book *credit)
{
	const struct account *whole = lane->debit ? lane->debit : lane->credit;
	uint32_t number = lane->debit ? lane->debit_number : lane->credit_number;
	struct ledger *ledger;
	const struct book *book;
	enum refusal refusal;
	if (whole) {
		ledger = ledger_of_number(ledgers, number);
		lane->group = (uint8_t)number_group(number);
		lane->book = whole->book;
		book = ledger->books[whole->book];
		if (!same_book(debit ? debit : credit, book, &refusal)) {
			lane->refusal = (uint8_t)refusal;
			return;
		}
	} else {
		lane->group = (uint8_t)group_of(partition_of(lane->id_hash));
		ledger = ledger_of_partition(ledgers, lane->group * PARTITIONS_PER_GROUP);
		if (!same_book(debit, credit, &refusal)) {
			lane->refusal = (uint8_t)refusal;
			return;
		}
		book = ledger_book_find(ledger, debit->tenant, debit->unit);
		ASSERT(book);                  /* every shard knows every sliced id */
		lane->book = book->index;
	}
	if (debit)
		lane->debit = slice_entry(ledger, book, lane->group, lane->debit_kind, &lane->debit_number);
	if (credit)
		lane->credit = slice_entry(ledger, book, lane->group, lane->credit_kind, &lane->credit_number);
}

/* Where the first account with this key is: its line is on its way when account_compare comes to look at the id. */
__attribute__((always_inline)) static inline struct account *account_ahead(const struct ledgers *ledgers, uint64_t key,
									   uint32_t *number)
{
	const struct ledger *ledger = ledger_of_partition(ledgers, partition_of(key));
	const struct table_entry *entry = table_find(&ledger->accounts[partition_of(key)], key, NULL);
	if (!entry)
		return NULL;
	*number = (uint32_t)entry->value;
	struct account *account = ledger_account_at(ledger, *number);
	__builtin_prefetch(account, 1);
	return account;
}

/* What account_ahead found, if it is the one; else it is searched for. */
static struct account *account_compare(const struct ledgers *ledgers, struct account *account, u128 id, uint64_t key,
				       uint32_t *number)
{
	if (account && account->id == id)
		return account;
	return ledger_account(ledger_of_partition(ledgers, partition_of(key)), id, key, number);
}

static inline struct sliced_cache *sliced_place(struct transfer_run *run, u128 id)
{
	return &run->sliced[((uint64_t)id ^ (uint64_t)(id >> 64)) * UINT64_C(0x9E3779B97F4A7C15) >> 58];
}

/* A batch names few tenant accounts, again and again. */
static inline const struct book *find_sliced(struct transfer_run *run, u128 id, uint64_t key, uint8_t *kind)
{
	const struct ledger *here = run->ledgers->at[run->ledgers->home];
	if (!ledger_maybe_sliced(here, key))
		return NULL;
	struct sliced_cache *cached = sliced_place(run, id);
	if (!cached->book || cached->id != id) {
		enum account_kind found;
		struct book *book = ledger_sliced(here, id, key, &found);
		if (!book)
			return NULL;
		*cached = (struct sliced_cache){ id, book, (uint8_t)found };
	}
	*kind = cached->kind;
	return cached->book;
}

/* The accounts of a row that is no post or void.  A refusal here is one of the state's (accounts unknown, not of one book)
 * and waits in the lane until the id was looked at. */
static void resolve_accounts(struct transfer_run *run, struct lane *lane, const struct transfer_row *row, uint64_t debit_key,
			     uint64_t credit_key)
{
	const struct ledgers *ledgers = run->ledgers;
	const struct book *debit = find_sliced(run, row->debit, debit_key, &lane->debit_kind);
	const struct book *credit = find_sliced(run, row->credit, credit_key, &lane->credit_kind);
	lane->debit = debit ? NULL : account_compare(ledgers, lane->debit, row->debit, debit_key, &lane->debit_number);
	lane->credit = credit ? NULL : account_compare(ledgers, lane->credit, row->credit, credit_key, &lane->credit_number);
	if (!debit && !lane->debit) {
		lane->refusal = REFUSED_DEBIT_ACCOUNT_NOT_FOUND;
		return;
	}
	if (!credit && !lane->credit) {
		lane->refusal = REFUSED_CREDIT_ACCOUNT_NOT_FOUND;
		return;
	}
	if (debit || credit) {
		resolve_slices(ledgers, lane, debit, credit);
		if (!lane->refusal && ((debit && (row->flags & TRANSFER_BALANCING_DEBIT)) ||
				       (credit && (row->flags & TRANSFER_BALANCING_CREDIT))))
			lane->refusal = REFUSED_SLICED_ACCOUNT_CANNOT_BALANCE;
		return;
	}
	const struct ledger *at = ledger_of_number(ledgers, lane->debit_number);
	const struct ledger *to = ledger_of_number(ledgers, lane->credit_number);
	enum refusal refusal;
	if (!(at == to && lane->debit->book == lane->credit->book) &&
	    !same_book(at->books[lane->debit->book], to->books[lane->credit->book], &refusal))
		lane->refusal = (uint8_t)refusal;
}

static uint32_t row_bound(const struct ledgers *ledgers, const struct lane *lane, const struct transfer_row *row)
{
	uint32_t bound = sizeof(struct transfer_record);
	if (is_end(row))
		return TRANSFER_RECORD_MAX;
	if (row->flags & TRANSFER_EXTENDED)
		bound += sizeof(struct transfer_extra);
	if (!lane->debit_kind && !lane->credit_kind)
		bound += sizeof(struct transfer_second);
	/* An entry that is missing is made first. */
	for (int side = 0; side < 2; side++)
		if (!lane->refusal && (side ? lane->credit_kind && !lane->credit : lane->debit_kind && !lane->debit)) {
			const struct ledger *ledger = ledger_of_partition(ledgers, lane->group * PARTITIONS_PER_GROUP);
			const struct book *book = ledger->books[lane->book];
			bound += (uint32_t)((sizeof(struct account_record) + book->tenant.len + book->unit.len + 7) / 8 * 8);
		}
	return bound;
}

static inline const struct transfer_row_bytes *bytes_at(const struct transfer_run *run, uint32_t index)
{
	return (const struct transfer_row_bytes *)(const void *)(run->request->rows + (size_t)index * ROW_BYTES);
}

static inline bool id_is_usual(u128 id)
{
	return id - 1 < U128_MAX - 1;          /* neither 0 nor all ones */
}

/* The usual row: no flags, and its content is good. */
static inline bool content_is_plain(const struct transfer_row_bytes *row)
{
	return !(row->flags | row->timeout) && row->amount && id_is_usual(row->id) && id_is_usual(row->debit) &&
	       id_is_usual(row->credit) && row->debit != row->credit;
}

/* First look at a row that takes from a tenant account of which a row before it was.  False: not of that kind. */
static inline bool plain_begin(struct transfer_run *run, uint32_t index, struct lane *lane, uint64_t *credit_key)
{
	const struct transfer_row_bytes *row = bytes_at(run, index);
	const struct sliced_cache *cached = sliced_place(run, row->debit);
	if (!cached->book || cached->id != row->debit || !content_is_plain(row))
		return false;
	*credit_key = account_key(row->credit);
	if (ledger_maybe_sliced(run->ledgers->at[run->ledgers->home], *credit_key))
		return false;
	*lane = (struct lane){ .id_hash = id_hash_of_transfer(row->id), .debit_kind = cached->kind, .plain = true };
	return true;
}

/* Its accounts.  False: something is unusual about them after all; the lane is as it was, but no longer plain. */
static inline bool plain_end(struct transfer_run *run, uint32_t index, struct lane *lane)
{
	const struct transfer_row_bytes *row = bytes_at(run, index);
	struct account *credit = lane->credit;
	lane->plain = false;
	if (!credit || credit->id != row->credit)
		return false;
	const struct ledger *ledger = ledger_of_number(run->ledgers, lane->credit_number);
	const struct book *book = ledger->books[credit->book];
	enum refusal refusal;
	if (!same_book(sliced_place(run, row->debit)->book, book, &refusal))
		return false;
	lane->group = (uint8_t)number_group(lane->credit_number);
	lane->book = credit->book;
	lane->debit = slice_entry(ledger, book, lane->group, lane->debit_kind, &lane->debit_number);
	lane->plain = lane->debit != NULL;
	return true;
}

/* One block: hash and prefetch all, then look all up. */
static void resolve_block(struct transfer_run *run, uint32_t first, uint32_t behind)
{
	const struct ledgers *ledgers = run->ledgers;
	const struct ledger *here = ledgers->at[ledgers->home];
	uint64_t keys[BLOCK][2];
	for (uint32_t i = first; i < behind; i++) {
		struct lane *lane = &run->lanes[i - run->first];
		if ((!run->share || run->share->deciders[i] == ledgers->home) && plain_begin(run, i, lane, &keys[i - first][1])) {
			uint64_t credit = keys[i - first][1];
			keys[i - first][0] = 0;
			if (!run->share)
				table_prefetch(&ledger_of_partition(ledgers, partition_of(lane->id_hash))
							->ids->tables[partition_of(lane->id_hash)], lane->id_hash);
			table_prefetch(&ledger_of_partition(ledgers, partition_of(credit))->accounts[partition_of(credit)], credit);
			continue;
		}
		struct transfer_row row = row_at(run, i);
		*lane = (struct lane){ .id_hash = id_hash_of_transfer(row.id), .refusal = (uint8_t)check_content(&row) };
		keys[i - first][0] = 0;
		if (run->share && run->share->deciders[i] != ledgers->home) {
			lane->skip = true;
			continue;
		}
		if (!run->share)
			table_prefetch(&ledger_of_partition(ledgers, partition_of(lane->id_hash))->ids->tables[partition_of(lane->id_hash)],
				       lane->id_hash);
		if (lane->refusal || is_end(&row))
			continue;
		uint64_t debit = account_key(row.debit), credit = account_key(row.credit);
		keys[i - first][0] = debit;
		keys[i - first][1] = credit;
		if (!ledger_maybe_sliced(here, debit))
			table_prefetch(&ledger_of_partition(ledgers, partition_of(debit))->accounts[partition_of(debit)], debit);
		if (!ledger_maybe_sliced(here, credit))
			table_prefetch(&ledger_of_partition(ledgers, partition_of(credit))->accounts[partition_of(credit)], credit);
	}
	for (uint32_t i = first; i < behind; i++) {
		struct lane *lane = &run->lanes[i - run->first];
		if (lane->plain) {
			lane->credit = account_ahead(ledgers, keys[i - first][1], &lane->credit_number);
			continue;
		}
		if (keys[i - first][0] && !ledger_maybe_sliced(here, keys[i - first][0]))
			lane->debit = account_ahead(ledgers, keys[i - first][0], &lane->debit_number);
		if (keys[i - first][0] && !ledger_maybe_sliced(here, keys[i - first][1]))
			lane->credit = account_ahead(ledgers, keys[i - first][1], &lane->credit_number);
	}
	for (uint32_t i = first; i < behind; i++) {
		struct lane *lane = &run->lanes[i - run->first];
		if (lane->plain) {
			if (plain_end(run, i, lane))
				continue;
			keys[i - first][0] = account_key(bytes_at(run, i)->debit);
		}
		struct transfer_row row = row_at(run, i);
		if (keys[i - first][0])
			resolve_accounts(run, lane, &row, keys[i - first][0], keys[i - first][1]);
	}
}

static void run_begin(struct transfer_run *run, const struct ledgers *ledgers, struct ledger_request *request,
		      struct transfer_share *share)
{
	memset(run->sliced, 0, sizeof run->sliced);
	run->ledgers = ledgers;
	run->request = request;
	run->share = share;
	run->progress = share ? &share->next_row : &request->next_row;
	run->refused = share ? share->refused : &request->refused;
	run->first = run->behind = *run->progress;
	ASSERT(request->count <= ROWS_MAX);
}

static uint32_t resolve(struct transfer_run *run, uint32_t limit, uint32_t *bound)
{
	const struct ledgers *ledgers = run->ledgers;
	const struct ledger_request *request = run->request;
	uint64_t sum = 0, before_chain = 0;
	uint32_t rows = 0;
	*bound = 0;
	for (uint32_t at = run->first; at < request->count && !(rows >= CHUNK_ROWS && run->behind == at);) {
		uint32_t end = at + BLOCK < request->count ? at + BLOCK : request->count;
		resolve_block(run, at, end);
		for (; at < end; at++) {
			const struct lane *lane = &run->lanes[at - run->first];
			if (lane->plain) {
				sum += sizeof(struct transfer_record);
				rows++;
			} else if (!lane->skip) {
				struct transfer_row row = row_at(run, at);
				sum += row_bound(ledgers, lane, &row);
				rows++;
			}
			if ((bytes_at(run, at)->flags & TRANSFER_LINKED) && at + 1 < request->count)
				continue;
			/* A chain, or a row alone, ends here. */
			if (before_chain && (sum > limit || rows > CHUNK_ROWS)) {
				*bound = (uint32_t)before_chain;
				return run->behind;
			}
			run->behind = at + 1;
			before_chain = sum;
		}
	}
	*bound = before_chain > UINT32_MAX ? UINT32_MAX : (uint32_t)before_chain;
	return run->behind;
}

uint32_t transfers_resolve(struct transfer_run *run, const struct ledgers *ledgers, struct ledger_request *request,
			   uint32_t limit, uint32_t *bound)
{
	run_begin(run, ledgers, request, NULL);
	return resolve(run, limit, bound);
}

uint32_t transfers_resolve_share(struct transfer_run *run, const struct ledgers *ledgers, struct ledger_request *request,
				 struct transfer_share *share, uint32_t limit, uint32_t *bound)
{
	run_begin(run, ledgers, request, share);
	return resolve(run, limit, bound);
}

unsigned transfer_decider(const struct ledgers *ledgers, const struct transfer_row *row, uint64_t id_hash)
{
	const struct ledger *here = ledgers->at[ledgers->home];
	unsigned ids = shard_of(partition_of(id_hash), ledgers->count);
	enum account_kind kind;
	if (row->flags)
		return SHARDS_MAX;
	if (check_content(row))
		return ids;
	uint64_t debit = account_key(row->debit), credit = account_key(row->credit);
	bool debit_sliced = ledger_sliced(here, row->debit, debit, &kind), credit_sliced = ledger_sliced(here, row->credit, credit, &kind);
	unsigned from = shard_of(partition_of(debit), ledgers->count), to = shard_of(partition_of(credit), ledgers->count);
	if (debit_sliced && credit_sliced)
		return ids;
	if (debit_sliced || credit_sliced)
		return debit_sliced ? to : from;
	return from == to ? from : SHARDS_MAX;
}

bool transfers_in_flight(const struct ledgers *ledgers, const struct ledger_request *request)
{
	for (uint32_t i = request->next_row; i < request->count; i++) {
		struct transfer_row row = row_load(request->rows + (size_t)i * ROW_BYTES);
		for (int end = 0; end <= is_end(&row); end++) {
			uint64_t hash = id_hash_of_transfer(end ? row.debit : row.id);
			const struct table_entry *entry =
				ids_find(ledger_of_partition(ledgers, partition_of(hash))->ids, hash, 0);
			if (entry && entry->value == ID_IN_FLIGHT)
				return true;
		}
	}
	return false;
}

/* ---- one row ---------------------------------------------------------------------------------------------------------- */

static void balances_put(struct transfer_run *run, uint32_t index, const struct account *debit, const struct account *credit)
{
	int64_t balances[2] = { BALANCE_NONE, BALANCE_NONE };
	if (!run->request->want_balances)
		return;
	if (debit && !(debit->flags & ACCOUNT_SLICE))
		balances[0] = account_balance(debit);
	if (credit && !(credit->flags & ACCOUNT_SLICE))
		balances[1] = account_balance(credit);
	memcpy(run->request->balances.ptr + (size_t)index * sizeof balances, balances, sizeof balances);
}

static void refused_put(struct transfer_run *run, uint32_t index, enum refusal refusal)
{
	uint32_t pair[2] = { index, refusal };
	buf_bytes(run->refused, pair, sizeof pair);
}

/* The slices' entries of a lane, made where they are missing. */
static struct account *slice_make(struct transfer_run *run, struct lane *lane, unsigned kind, int side, uint32_t *number)
{
	struct ledger *ledger = ledger_of_partition(run->ledgers, lane->group * PARTITIONS_PER_GROUP);
	struct book *book = ledger->books[lane->book];
	struct account *account = slice_entry(ledger, book, lane->group, kind, number);
	if (account)
		return account;                /* made since the lane was resolved */
	if (run->request->dry_run) {
		run->dry_sums[side] = (struct slice_sums){ .debits_pending = UINT64_MAX, .credits_pending = UINT64_MAX };
		run->dry_slices[side] = (struct account){ .id = (uintptr_t)&run->dry_sums[side], .flags = ACCOUNT_SLICE,
							  .kind = (uint8_t)kind };
		return &run->dry_slices[side];
	}
	struct account_record_view view = {
		.head = { .head = { .type = RECORD_ACCOUNT, .partition = (uint16_t)(lane->group * PARTITIONS_PER_GROUP) },
			  .number = ledger_next_number(ledger, lane->group), .flags = ACCOUNT_SLICE, .kind = (uint8_t)kind,
			  .op = ACCOUNT_OP_CREATE, .time_ms = run->now_ms, .tenant_len = (uint16_t)book->tenant.len,
			  .unit_len = (uint16_t)book->unit.len },
		.tenant = book->tenant, .unit = book->unit,
	};
	ASSERT(view.head.number);
	size_t size = sizeof view.head + book->tenant.len + book->unit.len;
	view.head.head.size = (uint32_t)((size + 7) / 8 * 8);
	uint64_t lsn;
	unsigned char *at = writer_take(run->writer, view.head.head.size, &lsn);
	memcpy(at, &view.head, sizeof view.head);
	memcpy(at + sizeof view.head, book->tenant.ptr, book->tenant.len);
	memcpy(at + sizeof view.head + book->tenant.len, book->unit.ptr, book->unit.len);
	memset(at + size, 0, view.head.head.size - size);
	account = account_apply(ledger, &view, lsn);
	*number = view.head.number;
	return account;
}

static void slices_make(struct transfer_run *run, struct lane *lane)
{
	if (lane->debit_kind && !lane->debit)
		lane->debit = slice_make(run, lane, lane->debit_kind, 0, &lane->debit_number);
	if (lane->credit_kind && !lane->credit)
		lane->credit = slice_make(run, lane, lane->credit_kind, 1, &lane->credit_number);
}

struct ending {
	struct pending *pending;
	uint64_t hash;
	struct ledger *ledger;
};

/* Writes the record and applies it.  `amount` is what moves, is reserved or is released. */
static void transfer_write(struct transfer_run *run, uint32_t index, const struct lane *lane, const struct transfer_row *row,
			   uint64_t amount, uint16_t code, const struct ending *ending)
{
	struct account *debit = lane->debit, *credit = lane->credit;
	uint16_t flags = row->flags;
	bool debit_whole = !(debit->flags & ACCOUNT_SLICE), credit_whole = !(credit->flags & ACCOUNT_SLICE);
	uint64_t pending_amount = ending ? ending->pending->amount : 0, lsn;
	uint32_t size = sizeof(struct transfer_record);
	flags |= (uint16_t)(debit_whole ? TRANSFER_DEBIT_WHOLE : (debit->kind - 1) << TRANSFER_DEBIT_KIND_SHIFT);
	flags |= (uint16_t)(credit_whole ? TRANSFER_CREDIT_WHOLE : (credit->kind - 1) << TRANSFER_CREDIT_KIND_SHIFT);
	if (debit_whole && credit_whole)
		size += sizeof(struct transfer_second);
	if (flags & TRANSFER_EXTENDED)
		size += sizeof(struct transfer_extra);
	struct transfer_record *record = writer_take(run->writer, size, &lsn);
	record->head = (struct record_head){ size, RECORD_TRANSFER, (uint16_t)partition_of(lane->id_hash) };
	u128_store(record->id, row->id);
	record->debit = lane->debit_number;
	record->credit = lane->credit_number;
	record->amount = amount;
	record->code = code;
	record->flags = flags;
	record->timeout = row->timeout;
	record->time_ms = run->now_ms;
	record->prev = debit_whole ? debit->last_lsn : credit_whole ? credit->last_lsn : 0;
	uint64_t second = credit->last_lsn;
	keep_account(run, debit);
	keep_account(run, credit);
	transfer_apply_debit(debit, flags, amount, pending_amount, lsn);
	transfer_apply_credit(credit, flags, amount, pending_amount, lsn);
	record->balance = debit_whole ? account_balance(debit) : credit_whole ? account_balance(credit) : 0;
	unsigned char *behind = (unsigned char *)(record + 1);
	if (debit_whole && credit_whole) {
		struct transfer_second part = { .prev = second, .balance = account_balance(credit) };
		memcpy(behind, &part, sizeof part);
		behind += sizeof part;
	}
	if (flags & TRANSFER_EXTENDED) {
		struct transfer_extra extra = { .requested = row->amount, .pending_amount = pending_amount };
		if (ending)
			u128_store(extra.pending_id, ending->pending->id);
		memcpy(behind, &extra, sizeof extra);
	}
	if (run->share) {
		run->share->outcomes[index] = lsn;     /* for the id's shard */
		return;
	}
	struct ledger *ids = ledger_of_partition(run->ledgers, partition_of(lane->id_hash));
	if (!(flags & TRANSFER_EXPIRED)) {
		ids_insert(ids->ids, lane->id_hash, lsn);
		ids->transfer_total++;
		if (run->keeping) {
			struct undo *undo = undo_push(run, UNDO_ID, ids);
			undo->id.hash = lane->id_hash;
			undo->id.value = lsn;
		}
		if (flags & TRANSFER_PENDING) {
			pending_apply_open(ids, record, lane->id_hash, lsn);
			if (run->keeping)
				undo_push(run, UNDO_PENDING_OPEN, ids)->id.hash = lane->id_hash;
		}
	}
	if (ending) {
		struct pending *ended = pending_apply_end(ending->ledger, ending->pending->id, ending->hash,
							  flags & TRANSFER_POST   ? PENDING_POSTED
							  : flags & TRANSFER_VOID ? PENDING_VOIDED
										  : PENDING_EXPIRED);
		if (run->keeping) {
			struct undo *undo = undo_push(run, UNDO_PENDING_END, ending->ledger);
			undo->id.hash = ending->hash;
			undo->id.pending = ended;
		} else {
			mem_free(ended);
		}
	}
}

static enum refusal check_overflow(const struct account *debit, const struct account *credit, uint64_t amount)
{
	if (!(debit->flags & ACCOUNT_SLICE) && (u128)debit->debits_posted + debit->debits_pending + amount > SUM_MAX)
		return REFUSED_OVERFLOWS_DEBITS;
	if (!(credit->flags & ACCOUNT_SLICE) && (u128)credit->credits_posted + credit->credits_pending + amount > SUM_MAX)
		return REFUSED_OVERFLOWS_CREDITS;
	return REFUSAL_NONE;
}

/* What may still leave the debit account; what may still enter the credit account.  Negative: the limit is passed. */
static i128 debit_room(const struct account *account, int64_t floor)
{
	return (i128)account->credits_posted - (i128)account->debits_posted - (i128)account->debits_pending - floor;
}

static i128 credit_room(const struct account *account, int64_t ceiling)
{
	return (i128)ceiling - ((i128)account->credits_posted + (i128)account->credits_pending - (i128)account->debits_posted);
}

/* Floors, ceilings and balancing; *amount may become less. */
static enum refusal check_limits(const struct transfer_run *run, const struct lane *lane, const struct transfer_row *row,
				 uint64_t *amount)
{
	const struct account *debit = lane->debit, *credit = lane->credit;
	bool floored = debit->flags & (ACCOUNT_FLOOR_ZERO | ACCOUNT_LIMITED);
	bool ceiled = credit->flags & ACCOUNT_LIMITED;
	if (!floored && !ceiled && !(row->flags & (TRANSFER_BALANCING_DEBIT | TRANSFER_BALANCING_CREDIT)))
		return check_overflow(debit, credit, *amount);
	int64_t floor = NO_FLOOR, ceiling = NO_CEILING, unused;
	if (floored)
		ledger_limits(ledger_of_number(run->ledgers, lane->debit_number), debit, lane->debit_number, &floor, &unused);
	if (ceiled)
		ledger_limits(ledger_of_number(run->ledgers, lane->credit_number), credit, lane->credit_number, &unused, &ceiling);
	bool floor_holds = floor != NO_FLOOR, ceiling_holds = ceiling != NO_CEILING;
	if (row->flags & TRANSFER_BALANCING_DEBIT) {
		i128 room = debit_room(debit, floor_holds ? floor : 0);
		if (room <= 0)
			return REFUSED_EXCEEDS_FLOOR;
		if (room < (i128)*amount)
			*amount = (uint64_t)room;
	}
	if (row->flags & TRANSFER_BALANCING_CREDIT) {
		i128 room = credit_room(credit, ceiling_holds ? ceiling : 0);
		if (room <= 0)
			return REFUSED_EXCEEDS_CEILING;
		if (room < (i128)*amount)
			*amount = (uint64_t)room;
	}
	enum refusal refusal = check_overflow(debit, credit, *amount);
	if (refusal)
		return refusal;
	if (floor_holds && debit_room(debit, floor) < (i128)*amount)
		return REFUSED_EXCEEDS_FLOOR;
	if (ceiling_holds && credit_room(credit, ceiling) < (i128)*amount)
		return REFUSED_EXCEEDS_CEILING;
	return REFUSAL_NONE;
}

static enum refusal decide_end(struct transfer_run *run, uint32_t index, struct lane *lane, const struct transfer_row *row)
{
	struct ending ending = { .hash = id_hash_of_transfer(row->debit) };
	enum pending_state state;
	ending.ledger = ledger_of_partition(run->ledgers, partition_of(ending.hash));
	ending.pending = ledger_pending(ending.ledger, row->debit, ending.hash, &state);
	if (!ending.pending) {
		const struct table_entry *entry = state == PENDING_OPEN ? ids_find(ending.ledger->ids, ending.hash, 0) : NULL;
		switch (state) {
		case PENDING_OPEN: break;
		case PENDING_POSTED: return REFUSED_PENDING_TRANSFER_ALREADY_POSTED;
		case PENDING_VOIDED: return REFUSED_PENDING_TRANSFER_ALREADY_VOIDED;
		case PENDING_EXPIRED: return REFUSED_PENDING_TRANSFER_EXPIRED;
		}
		return entry && !(entry->value & ID_FAILED) ? REFUSED_PENDING_TRANSFER_NOT_PENDING
							    : REFUSED_PENDING_TRANSFER_NOT_FOUND;
	}
	const struct pending *pending = ending.pending;
	lane->debit_number = pending->debit;
	lane->credit_number = pending->credit;
	lane->debit = ledger_account_at(ledger_of_number(run->ledgers, pending->debit), pending->debit);
	lane->credit = ledger_account_at(ledger_of_number(run->ledgers, pending->credit), pending->credit);
	ASSERT(lane->debit && lane->credit);
	if (pending->expires_ms && pending->expires_ms <= run->now_ms)
		return REFUSED_PENDING_TRANSFER_EXPIRED;
	if (row->code && row->code != pending->code)
		return REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_CODE;
	uint64_t amount = row->amount ? row->amount : pending->amount;
	if (row->flags & TRANSFER_POST) {
		if (amount > pending->amount)
			return REFUSED_EXCEEDS_PENDING_TRANSFER_AMOUNT;
		if (lane->debit->flags & ACCOUNT_CLOSED)
			return REFUSED_DEBIT_ACCOUNT_CLOSED;
		if (lane->credit->flags & ACCOUNT_CLOSED)
			return REFUSED_CREDIT_ACCOUNT_CLOSED;
	} else if (amount != pending->amount) {
		return REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT;
	}
	if (run->memory_full)
		return REFUSED_MEMORY_FULL;
	transfer_write(run, index, lane, row, amount, pending->code, &ending);
	return REFUSAL_NONE;
}

/* The known rows before known_sorted, that the caller resolved, by index. */
static struct known_row *known_find(struct ledger_request *request, uint32_t index)
{
	uint32_t low = 0, high = request->known_sorted;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (request->known[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < request->known_sorted && request->known[low].index == index ? &request->known[low] : NULL;
}

static void known_push(struct ledger_request *request, uint32_t index, uint64_t lsn, const struct lane *lane)
{
	if (request->known_count == request->known_cap) {
		request->known_cap = request->known_cap ? request->known_cap * 2 : 16;
		request->known = mem_realloc(request->known, request->known_cap * sizeof *request->known);
	}
	request->known[request->known_count++] = (struct known_row){
		.index = index, .lsn = lsn, .debit_number = lane->debit_number, .credit_number = lane->credit_number,
	};
}

static uint64_t ignored_lsn(struct ledger_request *request, uint32_t index)
{
	const struct known_row *known = known_find(request, index);
	return known && known->collision ? known->lsn : 0;
}

static enum refusal rows_differ(const struct transfer_row *old, const struct transfer_row *new)
{
	bool end = is_end(old);
	if (old->flags != new->flags)
		return REFUSED_EXISTS_WITH_DIFFERENT_FLAGS;
	if (old->debit != new->debit)
		return end ? REFUSED_EXISTS_WITH_DIFFERENT_PENDING_ID : REFUSED_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
	if (old->credit != new->credit)
		return REFUSED_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
	if (old->amount != new->amount)
		return REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT;
	if (old->code != new->code)
		return REFUSED_EXISTS_WITH_DIFFERENT_CODE;
	if (old->timeout != new->timeout)
		return REFUSED_EXISTS_WITH_DIFFERENT_TIMEOUT;
	return REFUSAL_NONE;
}

/* The same id twice in one chain: the first one is a row before this, nothing is in the log yet. */
static enum refusal known_in_chain(const struct transfer_run *run, uint32_t index, const struct transfer_row *row)
{
	for (uint32_t i = run->chain_first; i < index; i++) {
		struct transfer_row old = row_at(run, i);
		if (old.id == row->id)
			return rows_differ(&old, row);
	}
	return REFUSED_ID_ALREADY_FAILED;      /* not reached: chains with other known rows stop before */
}

/* A row whose id is new, and whose content is good. */
static enum refusal decide_new(struct transfer_run *run, uint32_t index, struct lane *lane, const struct transfer_row *row)
{
	if (lane->refusal)
		return (enum refusal)lane->refusal;
	if (is_end(row))
		return decide_end(run, index, lane, row);
	slices_make(run, lane);
	if (lane->debit->flags & ACCOUNT_CLOSED)
		return REFUSED_DEBIT_ACCOUNT_CLOSED;
	if (lane->credit->flags & ACCOUNT_CLOSED)
		return REFUSED_CREDIT_ACCOUNT_CLOSED;
	uint64_t amount = row->amount;
	enum refusal refusal = check_limits(run, lane, row, &amount);
	if (refusal)
		return refusal;
	if (run->memory_full)
		return REFUSED_MEMORY_FULL;
	transfer_write(run, index, lane, row, amount, row->code, NULL);
	return REFUSAL_NONE;
}

/* Decides one row.  ROW_IS_KNOWN: its first outcome is in the log; it was put among the known ones. */
static enum refusal decide_row(struct transfer_run *run, uint32_t index)
{
	struct lane *lane = &run->lanes[index - run->first];
	struct transfer_row row = row_at(run, index);
	if (lane->refusal && lane->refusal < REFUSED_EXISTS_WITH_DIFFERENT_FLAGS)
		return (enum refusal)lane->refusal;
	if (run->share)
		return decide_new(run, index, lane, &row);     /* its id was claimed */
	const struct ledger *ids = ledger_of_partition(run->ledgers, partition_of(lane->id_hash));
	struct known_row *known = run->request->known_sorted ? known_find(run->request, index) : NULL;
	if (known && known->resolved && !known->collision) {
		known->used = true;
		if (run->request->want_balances)
			memcpy(run->request->balances.ptr + (size_t)index * sizeof known->balances, known->balances,
			       sizeof known->balances);
		return known->refusal;
	}
	const struct table_entry *entry = ids_find(ids->ids, lane->id_hash, known && known->collision ? known->lsn : 0);
	if (entry) {
		if (run->in_chain || (entry->value & ID_LSN) >= DRY_LSN)
			return entry->value & ID_FAILED ? REFUSED_ID_ALREADY_FAILED : known_in_chain(run, index, &row);
		known_push(run->request, index, entry->value & ID_LSN, lane);
		return ROW_IS_KNOWN;
	}
	return decide_new(run, index, lane, &row);
}

/* The id of a row that was refused for a reason of the state is used up. */
static void burn(struct transfer_run *run, uint32_t index, enum refusal refusal)
{
	const struct lane *lane = &run->lanes[index - run->first];
	uint64_t lsn;
	if (!refusal_burns(refusal) || run->memory_full)
		return;
	const struct known_row *known = run->request->known_sorted ? known_find(run->request, index) : NULL;
	if (known && !known->collision)
		return;                        /* it has its record */
	struct transfer_row row = row_at(run, index);
	struct failed_record *failed = writer_take(run->writer, sizeof *failed, &lsn);
	*failed = (struct failed_record){
		.head = { sizeof *failed, RECORD_FAILED, (uint16_t)partition_of(lane->id_hash) },
		.refusal = refusal, .time_ms = run->now_ms,
	};
	u128_store(failed->id, row.id);
	if (run->share) {
		run->share->outcomes[index] = lsn | ID_FAILED;
		return;
	}
	struct ledger *ids = ledger_of_partition(run->ledgers, partition_of(lane->id_hash));
	ids_insert(ids->ids, lane->id_hash, lsn | ID_FAILED);
	if (run->keeping) {
		struct undo *undo = undo_push(run, UNDO_ID, ids);
		undo->id.hash = lane->id_hash;
		undo->id.value = lsn | ID_FAILED;
	}
}

static void row_end(struct transfer_run *run, uint32_t index, enum refusal refusal)
{
	const struct lane *lane = &run->lanes[index - run->first];
	if (refusal == ROW_IS_KNOWN)
		return;
	const struct known_row *known = run->request->known_sorted ? known_find(run->request, index) : NULL;
	if (!known || !known->used)
		balances_put(run, index, lane->debit, lane->credit);
	if (refusal)
		refused_put(run, index, refusal);
}

static int known_order(const void *a, const void *b)
{
	const struct known_row *one = a, *other = b;
	return (one->index > other->index) - (one->index < other->index);
}

void known_settle(const struct ledgers *ledgers, struct ledger_request *request)
{
	for (uint32_t i = 0; i < request->known_count; i++) {
		struct known_row *known = &request->known[i];
		if (!known->unsure)
			continue;
		struct transfer_row row = row_load(request->rows + (size_t)known->index * ROW_BYTES);
		if (account_name(ledgers, known->recorded[0]) != row.debit)
			known->refusal = REFUSED_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
		else if (account_name(ledgers, known->recorded[1]) != row.credit)
			known->refusal = REFUSED_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
		known->unsure = known->collision = false;
		known->resolved = true;
	}
}

void known_sort(struct ledger_request *request)
{
	if (request->known_count)
		qsort(request->known, request->known_count, sizeof *request->known, known_order);
	request->known_sorted = request->known_count;
}

/* Known rows from `first` to the end of the batch: the caller reads them all before the run goes on. */
static void known_ahead(struct transfer_run *run, uint32_t first)
{
	for (uint32_t i = first; i < run->request->count; i++) {
		struct transfer_row row = row_at(run, i);
		uint64_t hash = id_hash_of_transfer(row.id);
		const struct ledger *ids = ledger_of_partition(run->ledgers, partition_of(hash));
		const struct known_row *known = known_find(run->request, i);
		if (check_content(&row) || (known && known->resolved && !known->collision))
			continue;
		const struct table_entry *entry = ids_find(ids->ids, hash, ignored_lsn(run->request, i));
		if (!entry || (entry->value & ID_LSN) >= DRY_LSN)
			continue;
		struct lane lane = { .id_hash = hash };
		if (!is_end(&row))
			resolve_accounts(run, &lane, &row, account_key(row.debit), account_key(row.credit));
		known_push(run->request, i, entry->value & ID_LSN, &lane);
	}
	known_sort(run->request);
}

/* The answers of known rows that were resolved before are the chain's now. */
static void known_used(struct ledger_request *request, uint32_t first, uint32_t behind)
{
	for (uint32_t i = first; request->known_sorted && i < behind; i++) {
		struct known_row *known = known_find(request, i);
		if (known)
			known->used = true;
	}
}

/* Rows [first, behind) stand or fall together.  False: there are known rows among them that must be read first. */
static bool decide_chain(struct transfer_run *run, uint32_t first, uint32_t behind)
{
	struct ledger_request *request = run->request;
	struct transfer_row last = row_at(run, behind - 1);
	if (last.flags & TRANSFER_LINKED) {
		ASSERT(behind == request->count);
		known_used(request, first, behind);
		for (uint32_t i = first; i < behind; i++)
			row_end(run, i, i + 1 == behind ? REFUSED_LINKED_EVENT_CHAIN_OPEN : REFUSED_LINKED_EVENT_FAILED);
		return true;
	}
	bool known_here = false;
	for (uint32_t i = first; i < behind && !known_here; i++) {
		struct transfer_row row = row_at(run, i);
		const struct lane *lane = &run->lanes[i - run->first];
		const struct known_row *known = known_find(request, i);
		if (check_content(&row) || (known && known->resolved && !known->collision))
			continue;
		const struct ledger *ids = ledger_of_partition(run->ledgers, partition_of(lane->id_hash));
		const struct table_entry *entry = ids_find(ids->ids, lane->id_hash, ignored_lsn(request, i));
		known_here = entry && (entry->value & ID_LSN) < DRY_LSN;
	}
	if (known_here) {
		known_ahead(run, first);
		request->stopped = true;
		return false;
	}
	/* Slices' entries outlive a chain that fails: they are made before it. */
	for (uint32_t i = first; i < behind; i++) {
		struct transfer_row row = row_at(run, i);
		if (!run->lanes[i - run->first].refusal && !is_end(&row))
			slices_make(run, &run->lanes[i - run->first]);
	}
	bool kept = run->keeping;
	size_t mark = run->undo_count;
	uint32_t used = run->writer->used, at;
	enum refusal refusal = REFUSAL_NONE;
	run->keeping = run->in_chain = true;
	run->chain_first = request->dry_run ? 0 : first;
	for (at = first; at < behind && !refusal; at++) {
		refusal = decide_row(run, at);
		ASSERT(refusal != ROW_IS_KNOWN);
		if (!refusal)
			row_end(run, at, REFUSAL_NONE);
	}
	run->in_chain = false;
	known_used(request, first, behind);
	if (!refusal) {
		run->keeping = kept;
		if (!kept)
			undo_commit(run, mark);
		return true;
	}
	undo_back_to(run, mark);
	run->keeping = kept;
	run->writer->used = used;
	for (uint32_t i = first; i < behind; i++)
		row_end(run, i, i + 1 == at ? refusal : REFUSED_LINKED_EVENT_FAILED);
	burn(run, at - 1, refusal);
	return true;
}

__attribute__((always_inline)) static inline void account_prefetch(const struct account *account)
{
	if (account)
		__builtin_prefetch(account, 1);
}

void transfers_resolve_one(struct transfer_run *run, const struct ledgers *ledgers, struct ledger_request *request,
			   uint32_t index, uint32_t *bound)
{
	struct transfer_row row = row_load(request->rows + (size_t)index * ROW_BYTES);
	run_begin(run, ledgers, request, NULL);
	run->first = index;
	run->behind = index + 1;
	resolve_block(run, index, index + 1);
	*bound = row_bound(ledgers, &run->lanes[0], &row);
}

/* The usual row, decided in one go.  False: it is not that simple after all, and nothing was done. */
static inline bool decide_plain(struct transfer_run *run, uint32_t index)
{
	const struct lane *lane = &run->lanes[index - run->first];
	const struct transfer_row_bytes *row = bytes_at(run, index);
	struct ledger *ids = ledger_of_partition(run->ledgers, partition_of(lane->id_hash));
	struct account *debit = lane->debit, *credit = lane->credit;
	uint64_t lsn;
	if (run->keeping || run->memory_full || (credit->flags & (ACCOUNT_CLOSED | ACCOUNT_LIMITED)) ||
	    row->amount > (uint64_t)INT64_MAX - (credit->credits_posted + credit->credits_pending) ||
	    run->request->known_sorted)
		return false;
	if (!run->share && table_find(&ids->ids->tables[partition_of(lane->id_hash)], lane->id_hash, NULL))
		return false;
	struct transfer_record *record = writer_take(run->writer, sizeof *record, &lsn);
	*record = (struct transfer_record){
		.head = { sizeof *record, RECORD_TRANSFER, (uint16_t)partition_of(lane->id_hash) }, .debit = lane->debit_number,
		.credit = lane->credit_number, .amount = row->amount, .code = row->code, .time_ms = run->now_ms,
		.flags = (uint16_t)(TRANSFER_CREDIT_WHOLE | (lane->debit_kind - 1) << TRANSFER_DEBIT_KIND_SHIFT),
		.prev = credit->last_lsn,
	};
	u128_store(record->id, row->id);
	transfer_apply_debit(debit, 0, row->amount, 0, lsn);
	transfer_apply_credit(credit, 0, row->amount, 0, lsn);
	record->balance = account_balance(credit);
	if (run->share) {
		run->share->outcomes[index] = lsn;
	} else {
		ids_insert(ids->ids, lane->id_hash, lsn);
		ids->transfer_total++;
	}
	if (run->request->want_balances)
		balances_put(run, index, debit, credit);
	return true;
}

void transfers_decide(struct transfer_run *run, struct ledger_writer *writer, int64_t now_ms, bool memory_full)
{
	struct ledger_request *request = run->request;
	run->writer = writer;
	run->now_ms = now_ms;
	run->memory_full = memory_full;
	run->keeping = request->dry_run;
	if (request->want_balances && request->balances.len == 0) {
		buf_room(&request->balances, (size_t)request->count * 16);
		request->balances.len = (size_t)request->count * 16;
	}
	for (uint32_t at = run->first; at < run->behind;) {
		const struct lane *lane = &run->lanes[at - run->first];
		if (at + AHEAD < run->behind) {
			account_prefetch(run->lanes[at + AHEAD - run->first].debit);
			account_prefetch(run->lanes[at + AHEAD - run->first].credit);
		}
		if (lane->skip || (lane->plain && decide_plain(run, at))) {
			*run->progress = ++at;
			continue;
		}
		struct transfer_row row = row_at(run, at);
		if (row.flags & TRANSFER_LINKED) {
			uint32_t behind = at + 1;
			while (behind < run->behind && (row_at(run, behind - 1).flags & TRANSFER_LINKED))
				behind++;
			if (!decide_chain(run, at, behind))
				return;
			*run->progress = at = behind;
			continue;
		}
		enum refusal refusal = decide_row(run, at);
		row_end(run, at, refusal);
		if (refusal && refusal != ROW_IS_KNOWN)
			burn(run, at, refusal);
		*run->progress = ++at;
	}
}

void transfers_refuse(struct transfer_run *run, enum refusal refusal)
{
	struct ledger_request *request = run->request;
	if (request->want_balances && request->balances.len == 0) {
		buf_room(&request->balances, (size_t)request->count * 16);
		request->balances.len = (size_t)request->count * 16;
	}
	known_used(request, run->first, run->behind);
	for (uint32_t i = run->first; i < run->behind; i++) {
		if (run->lanes[i - run->first].skip)
			continue;
		enum refusal content = (enum refusal)run->lanes[i - run->first].refusal;
		row_end(run, i, content && content < REFUSED_EXISTS_WITH_DIFFERENT_FLAGS ? content : refusal);
	}
	*run->progress = run->behind;
}

uint32_t transfers_expire(const struct ledgers *ledgers, struct ledger_writer *writer, int64_t now_ms, uint32_t max)
{
	struct transfer_run run = { .ledgers = ledgers, .writer = writer, .now_ms = now_ms };
	uint32_t done = 0;
	for (unsigned s = 0; s < ledgers->count; s++) {
		struct pending *pending;
		while (done < max && (pending = ledger_due(ledgers->at[s], now_ms))) {
			struct lane lane = { .id_hash = id_hash_of_transfer(pending->id), .debit_number = pending->debit,
					     .credit_number = pending->credit };
			struct transfer_row row = { .id = pending->id, .amount = pending->amount, .flags = TRANSFER_EXPIRED };
			struct ending ending = { .pending = pending, .hash = lane.id_hash, .ledger = ledgers->at[s] };
			lane.debit = ledger_account_at(ledger_of_number(ledgers, pending->debit), pending->debit);
			lane.credit = ledger_account_at(ledger_of_number(ledgers, pending->credit), pending->credit);
			transfer_write(&run, 0, &lane, &row, pending->amount, pending->code, &ending);
			done++;
		}
	}
	return done;
}
