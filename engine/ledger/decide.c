// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/decide.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/run.h"

#define SUM_MAX ((u128)INT64_MAX)
#define ROW_IS_KNOWN ((enum refusal)UINT32_MAX)

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
		case UNDO_PENDING_OPEN: pending_forget(undo->ledger, undo->id.pending, undo->id.hash); break;
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

static void balances_copy(struct transfer_run *run, uint32_t to, uint32_t from)
{
	char *balances = run->request->balances.ptr;
	if (run->request->want_balances)
		memcpy(balances + (size_t)to * 2 * sizeof(int64_t), balances + (size_t)from * 2 * sizeof(int64_t),
		       2 * sizeof(int64_t));
}

static void refused_put(struct transfer_run *run, uint32_t index, enum refusal refusal)
{
	uint32_t pair[2] = { index, refusal };
	buf_bytes(run->refused, pair, sizeof pair);
}

/* A dry run makes no entry for a slice: it has number 0 in what the run decides, and this in place of its sums. */
static struct account *slice_dry(struct transfer_run *run, unsigned kind, int side)
{
	run->dry_sums[side] = (struct slice_sums){ .debits_pending = UINT64_MAX, .credits_pending = UINT64_MAX };
	run->dry_slices[side] = (struct account){ .id = (uintptr_t)&run->dry_sums[side], .flags = ACCOUNT_SLICE,
						  .kind = (uint8_t)kind };
	return &run->dry_slices[side];
}

/* The slices' entries of a lane, made where they are missing. */
static struct account *slice_make(struct transfer_run *run, struct lane *lane, unsigned kind, int side, uint32_t *number)
{
	struct ledger *ledger = ledger_of_partition(run->ledgers, lane->group * PARTITIONS_PER_GROUP);
	struct book *book = ledger->books[lane->book];
	struct account *account = slice_entry(ledger, book, lane->group, kind, number);
	if (account)
		return account;                /* made since the lane was resolved */
	if (run->request->dry_run)
		return slice_dry(run, kind, side);
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

/* There would be slices to make, and no memory for them: the row is refused, and nothing is written for it. */
static bool slices_refused(const struct transfer_run *run, const struct lane *lane)
{
	return run->memory_full && ((lane->debit_kind && !lane->debit) || (lane->credit_kind && !lane->credit));
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
	uint64_t second = MUTATE(20, credit->last_lsn, debit->last_lsn);
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
			struct pending *opened = pending_apply_open(ids, record, lane->id_hash, lsn);
			if (run->keeping) {
				struct undo *undo = undo_push(run, UNDO_PENDING_OPEN, ids);
				undo->id.hash = lane->id_hash;
				undo->id.pending = opened;
			}
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
	if (floor_holds && MUTATE(15, true, !(row->flags & TRANSFER_PENDING)) && debit_room(debit, floor) < (i128)*amount)
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
		if (!entry && state == PENDING_OPEN)
			entry = id_query_found(&run->request->query, ending.hash, NULL);
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
	/* Reserved earlier in the same dry run, where a slice has no entry yet. */
	if (!lane->debit && run->request->dry_run)
		lane->debit = slice_dry(run, ACCOUNT_LIABILITY, 0);
	if (!lane->credit && run->request->dry_run)
		lane->credit = slice_dry(run, ACCOUNT_LIABILITY, 1);
	ASSERT(lane->debit && lane->credit);
	if (pending->expires_ms && pending->expires_ms <= run->now_ms - MUTATE(13, 0, 1))
		return REFUSED_PENDING_TRANSFER_EXPIRED;
	if (row->code && row->code != pending->code)
		return REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_CODE;
	uint64_t amount = row->amount ? row->amount : pending->amount;
	if (row->flags & TRANSFER_POST) {
		if (amount > pending->amount)
			return REFUSED_EXCEEDS_PENDING_TRANSFER_AMOUNT;
		if (lane->debit->flags & ACCOUNT_CLOSED)
			return REFUSED_DEBIT_ACCOUNT_CLOSED;
		if (lane->credit->flags & MUTATE(36, ACCOUNT_CLOSED, 0))
			return REFUSED_CREDIT_ACCOUNT_CLOSED;
	} else if (amount != pending->amount) {
		return REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT;
	}
	if (run->memory_full)
		return REFUSED_MEMORY_FULL;
	transfer_write(run, index, lane, row, amount, pending->code, &ending);
	return REFUSAL_NONE;
}

/* The first of the known rows before known_sorted with this index; NULL: none.  There are several where hashes collided. */
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

static struct known_row *known_next(struct ledger_request *request, struct known_row *known)
{
	return known + 1 < request->known + request->known_sorted && known[1].index == known->index ? known + 1 : NULL;
}

/* What the caller found out about a row's first outcome; NULL: nothing. */
static struct known_row *known_answer(struct ledger_request *request, uint32_t index)
{
	for (struct known_row *known = known_find(request, index); known; known = known_next(request, known))
		if (known->resolved && !known->collision)
			return known;
	return NULL;
}

/* What was known of these rows has been looked at. */
static void known_used(struct ledger_request *request, uint32_t first, uint32_t behind)
{
	for (uint32_t i = first; request->known_sorted && i < behind; i++) {
		for (struct known_row *known = known_find(request, i); known; known = known_next(request, known))
			known->used = true;
	}
}

/* The entry after `previous` with this hash, in memory or else on disk. */
static const struct table_entry *entry_next(const struct transfer_run *run, const struct table *table, uint64_t hash,
					    const struct table_entry *previous)
{
	const struct id_query *query = &run->request->query;
	if (!query->found_count)
		return table_find(table, hash, previous);
	uintptr_t at = (uintptr_t)previous - (uintptr_t)query->found;
	bool filed = previous && at < query->found_count * sizeof *previous;
	const struct table_entry *entry = filed ? NULL : table_find(table, hash, previous);
	return entry ? entry : id_query_found(query, hash, filed ? previous : NULL);
}

/* The row's id by its hash; an entry that turned out to be another id's is passed over. */
static const struct table_entry *id_find(const struct transfer_run *run, uint32_t index, uint64_t hash,
					 const struct table_entry *previous)
{
	const struct ids *ids = ledger_of_partition(run->ledgers, partition_of(hash))->ids;
	const struct table *table = &ids->tables[partition_of(hash)];
	const struct table_entry *entry = entry_next(run, table, hash, previous);
	for (; entry && run->request->known_sorted; entry = entry_next(run, table, hash, entry)) {
		struct known_row *known = known_find(run->request, index);
		while (known && !(known->collision && known->lsn == (entry->value & ID_LSN)))
			known = known_next(run->request, known);
		if (!known)
			break;
	}
	return entry;
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
	if (old->code != new->code && !(end && new->code == 0))
		return REFUSED_EXISTS_WITH_DIFFERENT_CODE;
	if (old->timeout != new->timeout)
		return REFUSED_EXISTS_WITH_DIFFERENT_TIMEOUT;
	return REFUSAL_NONE;
}

/* A row before this one, of the same chain or dry run, with the same id; its record is not in the log.  False: none. */
static bool row_before(const struct transfer_run *run, uint32_t index, uint32_t *before)
{
	u128 id = bytes_at(run, index)->id;
	for (*before = run->chain_first; *before < index; ++*before)
		if (bytes_at(run, *before)->id == id)
			return true;
	return false;
}

/* The code of a record of the open frame: of post and void the pending transfer's. */
static uint16_t code_written(const struct transfer_run *run, uint64_t lsn)
{
	uint16_t code;
	ASSERT(lsn >= run->writer->lsn && lsn + sizeof(struct transfer_record) <= run->writer->lsn + run->writer->used);
	memcpy(&code, run->writer->body + (lsn - run->writer->lsn) + offsetof(struct transfer_record, code), sizeof code);
	return code;
}

/* Where a hold of this name stands that is open, and whose id is forgotten; 0: nowhere. */
static uint64_t hold_lsn(const struct transfer_run *run, const struct transfer_row *row, uint64_t hash)
{
	uint64_t lsn = ledger_hold(ledger_of_partition(run->ledgers, partition_of(hash)), row->id, hash);
	return lsn < DRY_LSN ? lsn : 0;
}

/* Where the outcome of the row's id stands in the log; 0: nowhere. */
static uint64_t known_lsn(const struct transfer_run *run, uint32_t index, const struct transfer_row *row, uint64_t hash)
{
	const struct table_entry *entry = id_find(run, index, hash, NULL);
	if (!entry)
		return hold_lsn(run, row, hash);
	return (entry->value & ID_LSN) < DRY_LSN ? entry->value & ID_LSN : 0;
}

/* REFUSAL_NONE and *known: the same row was done before it in this chain or dry run. */
static enum refusal check_id(struct transfer_run *run, uint32_t index, struct lane *lane, const struct transfer_row *row,
			     bool *known)
{
	*known = true;
	for (const struct table_entry *entry = id_find(run, index, lane->id_hash, NULL); entry;
	     entry = id_find(run, index, lane->id_hash, entry)) {
		uint32_t before;
		if (!run->in_chain && (entry->value & ID_LSN) < DRY_LSN) {
			known_push(run->request, index, entry->value & ID_LSN, lane);
			return ROW_IS_KNOWN;
		}
		if (row_before(run, index, &before)) {
			struct transfer_row old = row_at(run, before);
			lane->repeat = true;
			if (entry->value & ID_FAILED)
				return REFUSED_ID_ALREADY_FAILED;
			old.code = code_written(run, entry->value & ID_LSN);
			return rows_differ(&old, row);
		}
	}
	uint64_t hold = run->in_chain ? 0 : hold_lsn(run, row, lane->id_hash);
	if (hold) {
		known_push(run->request, index, hold, lane);
		return ROW_IS_KNOWN;
	}
	*known = false;
	return REFUSAL_NONE;
}

/* A row whose id is new, and whose content is good. */
static enum refusal decide_new(struct transfer_run *run, uint32_t index, struct lane *lane, const struct transfer_row *row)
{
	if (lane->refusal)
		return (enum refusal)lane->refusal;
	if (is_end(row))
		return decide_end(run, index, lane, row);
	if (slices_refused(run, lane))
		return REFUSED_MEMORY_FULL;
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

/* There is no memory to remember that the id is used up: then it is not, and the row may come again. */
static enum refusal affordable(const struct transfer_run *run, enum refusal refusal)
{
	return run->memory_full && refusal_burns(refusal) ? REFUSED_MEMORY_FULL : refusal;
}

/* Decides one row.  ROW_IS_KNOWN: its first outcome is in the log; it was put among the known ones. */
static enum refusal decide_row(struct transfer_run *run, uint32_t index)
{
	struct lane *lane = &run->lanes[index - run->first];
	struct transfer_row row = row_at(run, index);
	if (lane->refusal && lane->refusal < REFUSED_EXISTS_WITH_DIFFERENT_FLAGS)
		return (enum refusal)lane->refusal;
	if (run->share)
		return affordable(run, decide_new(run, index, lane, &row));    /* its id was claimed */
	struct known_row *answer = run->request->known_sorted ? known_answer(run->request, index) : NULL;
	if (answer) {
		answer->used = true;
		if (run->request->want_balances)
			memcpy(run->request->balances.ptr + (size_t)index * sizeof answer->balances, answer->balances,
			       sizeof answer->balances);
		return answer->refusal;
	}
	bool known;
	known_used(run->request, index, index + 1);
	enum refusal refusal = check_id(run, index, lane, &row, &known);
	if (known)
		return refusal;
	return affordable(run, decide_new(run, index, lane, &row));
}

/* The id of a row that was refused for a reason of the state is used up. */
static void burn(struct transfer_run *run, uint32_t index, enum refusal refusal)
{
	const struct lane *lane = &run->lanes[index - run->first];
	uint64_t lsn;
	if (MUTATE(10, !refusal_burns(refusal), true) || run->memory_full)
		return;
	if (run->request->known_sorted && known_answer(run->request, index))
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
	const struct known_row *answer = run->request->known_sorted ? known_answer(run->request, index) : NULL;
	uint32_t before;
	if (lane->repeat && !refusal && row_before(run, index, &before))
		balances_copy(run, index, before);
	else if (!answer || answer->refusal != refusal)        /* else decide_row gave those of the first time */
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
		if (known->refusal)
			known->balances[0] = known->balances[1] = BALANCE_NONE;
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
		if (check_content(&row) || known_answer(run->request, i))
			continue;
		uint64_t lsn = known_lsn(run, i, &row, hash);
		if (!lsn)
			continue;
		struct lane lane = { .id_hash = hash };
		if (!is_end(&row))
			resolve_accounts(run, &lane, &row, account_key(row.debit), account_key(row.credit));
		known_push(run->request, i, lsn, &lane);
	}
	known_sort(run->request);
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
		if (check_content(&row) || known_answer(request, i))
			continue;
		known_here = known_lsn(run, i, &row, lane->id_hash) != 0;
	}
	if (known_here) {
		known_ahead(run, first);
		request->stopped = true;
		return false;
	}
	/* Slices' entries outlive a chain that fails: they are made before it. */
	for (uint32_t i = first; i < behind; i++) {
		struct transfer_row row = row_at(run, i);
		if (!run->lanes[i - run->first].refusal && !is_end(&row) && !slices_refused(run, &run->lanes[i - run->first]))
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
	if (MUTATE(14, true, false))
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
	if (!run->share && (table_find(&ids->ids->tables[partition_of(lane->id_hash)], lane->id_hash, NULL) ||
			    id_query_found(&run->request->query, lane->id_hash, NULL) || ledger_hold(ids, row->id, lane->id_hash)))
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
		if (at + RUN_AHEAD < run->behind) {
			account_prefetch(run->lanes[at + RUN_AHEAD - run->first].debit);
			account_prefetch(run->lanes[at + RUN_AHEAD - run->first].credit);
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
