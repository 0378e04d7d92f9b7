// SPDX-License-Identifier: Apache-2.0
/* Resolving: hashes, accounts and the bound of some rows, before they are decided.  In blocks, so that memory is fetched for
 * all of a block before the first row needs it. */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/ledger/run.h"

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

void resolve_accounts(struct transfer_run *run, struct lane *lane, const struct transfer_row *row, uint64_t debit_key,
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
	const struct sliced_cache *cached = sliced_place(run, row->debit);
	/* A row in between may have taken its place. */
	if (!credit || credit->id != row->credit || cached->id != row->debit)
		return false;
	const struct ledger *ledger = ledger_of_number(run->ledgers, lane->credit_number);
	const struct book *book = ledger->books[credit->book];
	enum refusal refusal;
	if (!same_book(cached->book, book, &refusal))
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
	uint64_t keys[RUN_BLOCK][2];
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
	for (uint32_t at = run->first; at < request->count && !(rows >= RUN_ROWS && run->behind == at);) {
		uint32_t end = at + RUN_BLOCK < request->count ? at + RUN_BLOCK : request->count;
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
			if (before_chain && (sum > limit || rows > RUN_ROWS)) {
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

void transfers_ahead(const struct ledger *ledger, const struct ledger_request *request, unsigned stage)
{
	const struct ledgers ledgers = { .at = { (struct ledger *)(uintptr_t)ledger }, .count = 1 };
	const struct transfer_row_bytes *row = (const struct transfer_row_bytes *)(const void *)request->rows;
	uint64_t hash = id_hash_of_transfer(row->id), keys[2] = { account_key(row->debit), account_key(row->credit) };
	uint32_t number;
	if (stage == 0) {
		table_prefetch(&ledger->ids->tables[partition_of(hash)], hash);
		runs_prefetch(ledger->ids->runs, hash);
	}
	for (unsigned side = 0; side < 2; side++) {
		if (ledger_maybe_sliced(ledger, keys[side]))
			continue;
		if (stage == 0)
			table_prefetch(&ledger->accounts[partition_of(keys[side])], keys[side]);
		else
			account_ahead(&ledgers, keys[side], &number);
	}
}

void transfers_ask(const struct ledgers *ledgers, const struct id_runs *runs, struct ledger_request *request)
{
	uint64_t hashes[RUN_BLOCK];
	bool rows = request->verb == LEDGER_TRANSFERS;
	for (uint32_t first = 0; first < request->count; first += RUN_BLOCK) {
		uint32_t behind = first + RUN_BLOCK < request->count ? first + RUN_BLOCK : request->count;
		for (uint32_t i = first; i < behind; i++) {
			const unsigned char *row = request->rows + (size_t)i * ROW_BYTES;
			hashes[i - first] = id_hash_of_transfer(rows ? ((const struct transfer_row_bytes *)(const void *)row)->id
								     : request->ids[i]);
			runs_prefetch(runs, hashes[i - first]);
		}
		for (uint32_t i = first; i < behind; i++) {
			if (runs_may_have(runs, hashes[i - first]))
				id_query_add(&request->query, hashes[i - first]);
			if (!rows)
				continue;
			struct transfer_row row = row_load(request->rows + (size_t)i * ROW_BYTES);
			uint64_t hash = is_end(&row) ? id_hash_of_transfer(row.debit) : 0;
			enum pending_state state;
			/* Whether there ever was a transfer of that name is asked where it is not pending. */
			if (hash && !ledger_pending(ledger_of_partition(ledgers, partition_of(hash)), row.debit, hash, &state) &&
			    state == PENDING_OPEN && runs_may_have(runs, hash))
				id_query_add(&request->query, hash);
		}
	}
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
