// SPDX-License-Identifier: Apache-2.0
#include "tests/model/ledger_model.h"

#include <stdlib.h>

#include "engine/base/assert.h"

#define SUM_MAX ((u128)INT64_MAX)

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static void *grown(void *list, unsigned *cap, unsigned count, size_t size)
{
	if (count < *cap)
		return list;
	*cap = *cap ? *cap * 2 : 64;
	list = realloc(list, *cap * size);
	ASSERT(list);
	return list;
}

struct model *model_new(void)
{
	struct model *model = calloc(1, sizeof *model);
	ASSERT(model);
	return model;
}

void model_free(struct model *model)
{
	free(model->transfers);
	free(model->open);
	free(model->ended);
	free(model);
}

/* ---- accounts --------------------------------------------------------------------------------------------------- */

static bool same(const char *text, struct str name)
{
	return str_eq(str_of(text), name);
}

static unsigned book_find(const struct model *model, struct str tenant, struct str unit)
{
	unsigned book = 0;
	while (book < model->book_count &&
	       !(same(model->books[book].tenant, tenant) && same(model->books[book].unit, unit)))
		book++;
	return book;
}

static unsigned book_of(struct model *model, struct str tenant, struct str unit)
{
	unsigned book = book_find(model, tenant, unit);
	if (book < model->book_count)
		return book;
	ASSERT(book < MODEL_BOOKS_MAX && tenant.len < MODEL_NAME_MAX && unit.len < MODEL_NAME_MAX);
	memcpy(model->books[book].tenant, tenant.ptr, tenant.len);
	memcpy(model->books[book].unit, unit.ptr, unit.len);
	model->book_count++;
	return book;
}

struct model_account *model_account_find(struct model *model, u128 id)
{
	for (unsigned i = 0; id && i < model->account_count; i++)
		if (model->accounts[i].id == id)
			return &model->accounts[i];
	return NULL;
}

static struct model_account *account_add(struct model *model, struct model_account account)
{
	ASSERT(model->account_count < MODEL_ACCOUNTS_MAX);
	model->accounts[model->account_count] = account;
	return &model->accounts[model->account_count++];
}

static struct model_account *sliced_of(struct model *model, unsigned book, enum account_kind kind)
{
	for (unsigned i = 0; i < model->account_count; i++)
		if (model->accounts[i].book == book && model->accounts[i].kind == kind)
			return &model->accounts[i];
	return account_add(model, (struct model_account){ .book = book, .kind = kind, .floor = NO_FLOOR,
							  .ceiling = NO_CEILING });
}

struct model_account *model_sliced(struct model *model, struct str tenant, struct str unit, enum account_kind kind)
{
	unsigned book = book_find(model, tenant, unit);
	return book < model->book_count ? sliced_of(model, book, kind) : NULL;
}

static int64_t floor_of(const struct account_spec *spec)
{
	return spec->has_floor ? spec->floor : spec->kind == ACCOUNT_MEMBER ? 0 : NO_FLOOR;
}

static int64_t ceiling_of(const struct account_spec *spec)
{
	return spec->has_ceiling ? spec->ceiling : NO_CEILING;
}

static enum refusal account_wrong(const struct account_spec *spec, bool derived)
{
	if (!spec->id)
		return REFUSED_ACCOUNT_ID_MUST_NOT_BE_ZERO;
	if (spec->id == U128_MAX)
		return REFUSED_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
	if (!derived && (uint64_t)(spec->id >> 112) == ACCOUNT_ID_TAG)
		return REFUSED_ACCOUNT_ID_RESERVED;
	if (spec->flags & ~ACCOUNT_CLOSED)
		return REFUSED_ACCOUNT_FLAGS_RESERVED;
	if (floor_of(spec) > ceiling_of(spec))
		return REFUSED_ACCOUNT_FLOOR_ABOVE_CEILING;
	if (kind_is_sliced(spec->kind) && (floor_of(spec) != NO_FLOOR || ceiling_of(spec) != NO_CEILING))
		return REFUSED_SLICED_ACCOUNT_HAS_NO_LIMITS;
	if (kind_is_sliced(spec->kind) && (spec->flags & ACCOUNT_CLOSED))
		return REFUSED_SLICED_ACCOUNT_CANNOT_CLOSE;
	return REFUSAL_NONE;
}

static enum refusal account_differs(const struct model *model, const struct model_account *account,
				    const struct account_spec *spec)
{
	const struct model_book *book = &model->books[account->book];
	if (!same(book->tenant, spec->tenant))
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_TENANT;
	if (!same(book->unit, spec->unit))
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_UNIT;
	if (account->kind != spec->kind)
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_KIND;
	if (account->floor != floor_of(spec) || account->ceiling != ceiling_of(spec))
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_LIMITS;
	if (account->closed != ((spec->flags & ACCOUNT_CLOSED) != 0))
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS;
	return REFUSAL_NONE;
}

void model_account_create(struct model *model, struct account_spec *spec)
{
	bool derived = false;
	spec->existed = false;
	if (!spec->id && kind_is_sliced(spec->kind)) {
		spec->id = account_id_of_sliced(spec->tenant, spec->kind, spec->unit);
		derived = true;
	} else if (!spec->id && spec->member.len) {
		struct str program = spec->program.len ? spec->program : STR("default");
		spec->id = account_id_of_member(spec->tenant, spec->member, program, spec->unit);
		derived = true;
	}
	spec->refusal = account_wrong(spec, derived);
	if (spec->refusal)
		return;
	const struct model_account *account = model_account_find(model, spec->id);
	if (account) {
		spec->refusal = account_differs(model, account, spec);
		spec->existed = !spec->refusal;
		return;
	}
	if (!kind_is_sliced(spec->kind)) {
		account_add(model, (struct model_account){ .id = spec->id,
							   .book = book_of(model, spec->tenant, spec->unit),
							   .kind = spec->kind,
							   .floor = floor_of(spec),
							   .ceiling = ceiling_of(spec),
							   .closed = spec->flags & ACCOUNT_CLOSED });
		return;
	}
	struct model_account *sliced = sliced_of(model, book_of(model, spec->tenant, spec->unit), spec->kind);
	if (sliced->id)
		spec->refusal = REFUSED_SLICED_ACCOUNT_HAS_ANOTHER_ID;
	else
		sliced->id = spec->id;
}

void model_account_close(struct model *model, struct account_spec *spec)
{
	struct model_account *account = model_account_find(model, spec->id);
	spec->refusal = REFUSAL_NONE;
	if (!spec->id)
		spec->refusal = REFUSED_ACCOUNT_ID_MUST_NOT_BE_ZERO;
	else if (spec->id == U128_MAX)
		spec->refusal = REFUSED_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
	else if (spec->flags & ~ACCOUNT_CLOSED)
		spec->refusal = REFUSED_ACCOUNT_FLAGS_RESERVED;
	else if (account && kind_is_sliced(account->kind))
		spec->refusal = REFUSED_SLICED_ACCOUNT_CANNOT_CLOSE;
	else if (!account)
		spec->refusal = REFUSED_ACCOUNT_NOT_FOUND;
	else
		account->closed = spec->flags & ACCOUNT_CLOSED;
}

/* ---- transfers -------------------------------------------------------------------------------------------------- */

static unsigned *bucket_of(const struct model *model, u128 id)
{
	uint64_t mixed = ((uint64_t)id ^ (uint64_t)(id >> 64)) * UINT64_C(0x9E3779B97F4A7C15);
	return (unsigned *)&model->buckets[mixed >> 32 & (MODEL_BUCKETS - 1)];
}

const struct model_transfer *model_transfer_find(const struct model *model, u128 id)
{
	for (unsigned i = *bucket_of(model, id); i; i = model->transfers[i - 1].next)
		if (model->transfers[i - 1].row.id == id && !model->transfers[i - 1].forgotten)
			return &model->transfers[i - 1];
	return NULL;
}

struct model_transfer *model_transfer_version(const struct model *model, u128 id, const struct model_transfer *newer)
{
	for (unsigned i = newer ? newer->next : *bucket_of(model, id); i; i = model->transfers[i - 1].next)
		if (model->transfers[i - 1].row.id == id)
			return &model->transfers[i - 1];
	return NULL;
}

const struct model_transfer *model_hold_find(const struct model *model, u128 id)
{
	for (const struct model_transfer *at = NULL; (at = model_transfer_version(model, id, at)) != NULL;)
		if (at->state != FOUND_FAILED && (at->row.flags & TRANSFER_PENDING))
			return at;
	return model_transfer_find(model, id);
}

static struct model_transfer *transfer_add(struct model *model, struct model_transfer transfer)
{
	unsigned *bucket = bucket_of(model, transfer.row.id);
	transfer.next = *bucket;
	model->transfers =
		grown(model->transfers, &model->transfer_cap, model->transfer_count, sizeof *model->transfers);
	model->transfers[model->transfer_count++] = transfer;
	*bucket = model->transfer_count;
	return &model->transfers[model->transfer_count - 1];
}

static bool ends_pending(const struct transfer_row *row)
{
	return row->flags & (TRANSFER_POST | TRANSFER_VOID);
}

static bool balances_itself(const struct transfer_row *row)
{
	return row->flags & (TRANSFER_BALANCING_DEBIT | TRANSFER_BALANCING_CREDIT);
}

/* What is wrong with the row as such. */
static enum refusal content_refusal(const struct transfer_row *row)
{
	if (row->flags & ~TRANSFER_FLAGS)
		return REFUSED_RESERVED_FLAG;
	if (__builtin_popcount(row->flags & (TRANSFER_PENDING | TRANSFER_POST | TRANSFER_VOID)) > 1 ||
	    (balances_itself(row) && ends_pending(row)))
		return REFUSED_FLAGS_ARE_MUTUALLY_EXCLUSIVE;
	if (!row->id)
		return REFUSED_ID_MUST_NOT_BE_ZERO;
	if (row->id == U128_MAX)
		return REFUSED_ID_MUST_NOT_BE_INT_MAX;
	if (ends_pending(row)) {
		if (!row->debit)
			return REFUSED_PENDING_ID_MUST_NOT_BE_ZERO;
		if (row->debit == U128_MAX)
			return REFUSED_PENDING_ID_MUST_NOT_BE_INT_MAX;
		if (row->debit == row->id)
			return REFUSED_PENDING_ID_MUST_BE_DIFFERENT;
		if (row->credit)
			return REFUSED_CREDIT_ACCOUNT_ID_MUST_BE_ZERO;
	} else {
		if (!row->debit)
			return REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
		if (row->debit == U128_MAX)
			return REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
		if (!row->credit)
			return REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO;
		if (row->credit == U128_MAX)
			return REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
		if (row->debit == row->credit)
			return REFUSED_ACCOUNTS_MUST_BE_DIFFERENT;
	}
	if (row->timeout && !(row->flags & TRANSFER_PENDING))
		return REFUSED_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER;
	if (!row->amount && !ends_pending(row))
		return REFUSED_AMOUNT_MUST_NOT_BE_ZERO;
	return REFUSAL_NONE;
}

/* The row against the first one with its id. */
static enum refusal known_refusal(const struct model_transfer *first, const struct transfer_row *row)
{
	if (first->state == FOUND_FAILED)
		return REFUSED_ID_ALREADY_FAILED;
	if (row->flags != first->row.flags)
		return REFUSED_EXISTS_WITH_DIFFERENT_FLAGS;
	if (row->debit != first->row.debit)
		return ends_pending(row) ? REFUSED_EXISTS_WITH_DIFFERENT_PENDING_ID
					 : REFUSED_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID;
	if (row->credit != first->row.credit)
		return REFUSED_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID;
	if (row->amount != first->row.amount)
		return REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT;
	if (row->code != first->code && !(ends_pending(row) && !row->code))
		return REFUSED_EXISTS_WITH_DIFFERENT_CODE;
	if (row->timeout != first->row.timeout)
		return REFUSED_EXISTS_WITH_DIFFERENT_TIMEOUT;
	return REFUSAL_NONE;
}

static enum refusal pending_refusal(const struct model_transfer *pending, const struct transfer_row *row,
				    int64_t now_ms)
{
	if (!pending || pending->state == FOUND_FAILED)
		return REFUSED_PENDING_TRANSFER_NOT_FOUND;
	if (!(pending->row.flags & TRANSFER_PENDING))
		return REFUSED_PENDING_TRANSFER_NOT_PENDING;
	if (pending->state == FOUND_POSTED)
		return REFUSED_PENDING_TRANSFER_ALREADY_POSTED;
	if (pending->state == FOUND_VOIDED)
		return REFUSED_PENDING_TRANSFER_ALREADY_VOIDED;
	if (pending->state == FOUND_EXPIRED || (pending->expires_ms && pending->expires_ms <= now_ms))
		return REFUSED_PENDING_TRANSFER_EXPIRED;
	if (row->code && row->code != pending->row.code)
		return REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_CODE;
	if ((row->flags & TRANSFER_POST) && row->amount > pending->amount)
		return REFUSED_EXCEEDS_PENDING_TRANSFER_AMOUNT;
	if ((row->flags & TRANSFER_VOID) && row->amount && row->amount != pending->amount)
		return REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT;
	return REFUSAL_NONE;
}

/* How much may still be debited before the floor, or credited before the ceiling; can be negative. */
static i128 room_to_debit(const struct model_account *account, int64_t floor)
{
	return (i128)account->credits_posted - (i128)account->debits_posted - (i128)account->debits_pending - floor;
}

static i128 room_to_credit(const struct model_account *account, int64_t ceiling)
{
	return ceiling - (i128)account->credits_posted - (i128)account->credits_pending + (i128)account->debits_posted;
}

static uint64_t at_most(uint64_t amount, i128 room)
{
	return room <= 0 ? 0 : (u128)room < amount ? (uint64_t)room : amount;
}

/* Decides what a transfer between two accounts comes to. */
static enum refusal accounts_refusal(const struct model *model, const struct model_account *debit,
				     const struct model_account *credit, const struct transfer_row *row,
				     uint64_t *amount)
{
	if (!debit)
		return REFUSED_DEBIT_ACCOUNT_NOT_FOUND;
	if (!credit)
		return REFUSED_CREDIT_ACCOUNT_NOT_FOUND;
	const struct model_book *debit_book = &model->books[debit->book], *credit_book = &model->books[credit->book];
	bool debit_whole = !kind_is_sliced(debit->kind), credit_whole = !kind_is_sliced(credit->kind);
	if (!same(debit_book->tenant, str_of(credit_book->tenant)))
		return REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_TENANT;
	if (!same(debit_book->unit, str_of(credit_book->unit)))
		return REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_UNIT;
	if (((row->flags & TRANSFER_BALANCING_DEBIT) && !debit_whole) ||
	    ((row->flags & TRANSFER_BALANCING_CREDIT) && !credit_whole))
		return REFUSED_SLICED_ACCOUNT_CANNOT_BALANCE;
	if (debit->closed)
		return REFUSED_DEBIT_ACCOUNT_CLOSED;
	if (credit->closed)
		return REFUSED_CREDIT_ACCOUNT_CLOSED;
	*amount = row->amount;
	if (row->flags & TRANSFER_BALANCING_DEBIT)
		*amount = at_most(*amount, room_to_debit(debit, debit->floor == NO_FLOOR ? 0 : debit->floor));
	bool nothing_to_debit = !*amount;
	if (row->flags & TRANSFER_BALANCING_CREDIT)
		*amount = at_most(*amount, room_to_credit(credit, credit->ceiling == NO_CEILING ? 0 : credit->ceiling));
	if (debit_whole && debit->debits_posted + debit->debits_pending + *amount > SUM_MAX)
		return REFUSED_OVERFLOWS_DEBITS;
	if (credit_whole && credit->credits_posted + credit->credits_pending + *amount > SUM_MAX)
		return REFUSED_OVERFLOWS_CREDITS;
	if (!*amount)                  /* nothing is left to move */
		return nothing_to_debit ? REFUSED_EXCEEDS_FLOOR : REFUSED_EXCEEDS_CEILING;
	if (debit->floor != NO_FLOOR && room_to_debit(debit, debit->floor) < (i128)*amount)
		return REFUSED_EXCEEDS_FLOOR;
	if (credit->ceiling != NO_CEILING && room_to_credit(credit, credit->ceiling) < (i128)*amount)
		return REFUSED_EXCEEDS_CEILING;
	return REFUSAL_NONE;
}

static int64_t balance_of(const struct model_account *account)
{
	return kind_is_sliced(account->kind) ? BALANCE_NONE
					     : (int64_t)((i128)account->credits_posted - (i128)account->debits_posted);
}

static void pending_end(struct model *model, struct model_transfer *pending, enum found_state state)
{
	model->accounts[pending->debit].debits_pending -= pending->amount;
	model->accounts[pending->credit].credits_pending -= pending->amount;
	pending->state = state;
	model->ended = grown(model->ended, &model->ended_cap, model->ended_count, sizeof *model->ended);
	model->ended[model->ended_count++] = (unsigned)(pending - model->transfers);
}

static void reply_success(const struct model *model, struct model_transfer *transfer, struct model_reply *reply)
{
	transfer->balances[0] = balance_of(&model->accounts[transfer->debit]);
	transfer->balances[1] = balance_of(&model->accounts[transfer->credit]);
	memcpy(reply->balances, transfer->balances, sizeof reply->balances);
}

static enum refusal post_or_void(struct model *model, const struct transfer_row *row, int64_t now_ms,
				 struct model_reply *reply)
{
	struct model_transfer *pending = (struct model_transfer *)model_hold_find(model, row->debit);
	enum refusal refusal = pending_refusal(pending, row, now_ms);
	if (refusal)
		return refusal;
	struct model_account *debit = &model->accounts[pending->debit], *credit = &model->accounts[pending->credit];
	struct model_transfer end = { .row = *row,
				      .state = FOUND_TRANSFER,
				      .debit = pending->debit,
				      .credit = pending->credit,
				      .code = pending->row.code };
	if (row->flags & TRANSFER_POST) {
		if (debit->closed)
			return REFUSED_DEBIT_ACCOUNT_CLOSED;
		if (credit->closed)
			return REFUSED_CREDIT_ACCOUNT_CLOSED;
		end.amount = row->amount ? row->amount : pending->amount;
		debit->debits_posted += end.amount;
		credit->credits_posted += end.amount;
	}
	pending_end(model, pending, row->flags & TRANSFER_POST ? FOUND_POSTED : FOUND_VOIDED);
	reply_success(model, transfer_add(model, end), reply);
	return REFUSAL_NONE;
}

static enum refusal move_or_reserve(struct model *model, const struct transfer_row *row, int64_t now_ms,
				    struct model_reply *reply)
{
	struct model_account *debit = model_account_find(model, row->debit),
			     *credit = model_account_find(model, row->credit);
	struct model_transfer transfer = { .row = *row, .code = row->code };
	enum refusal refusal = accounts_refusal(model, debit, credit, row, &transfer.amount);
	if (refusal)
		return refusal;
	transfer.debit = (unsigned)(debit - model->accounts);
	transfer.credit = (unsigned)(credit - model->accounts);
	if (row->flags & TRANSFER_PENDING) {
		transfer.state = FOUND_PENDING;
		transfer.expires_ms = row->timeout ? now_ms + (int64_t)row->timeout * 1000 : 0;
		debit->debits_pending += transfer.amount;
		credit->credits_pending += transfer.amount;
		model->open = grown(model->open, &model->open_cap, model->open_count, sizeof *model->open);
		model->open[model->open_count++] = model->transfer_count;
	} else {
		transfer.state = FOUND_TRANSFER;
		debit->debits_posted += transfer.amount;
		credit->credits_posted += transfer.amount;
	}
	reply_success(model, transfer_add(model, transfer), reply);
	return REFUSAL_NONE;
}

static void row_decide(struct model *model, const struct transfer_row *row, int64_t now_ms, struct model_reply *reply)
{
	*reply = (struct model_reply){ .refusal = content_refusal(row) };
	if (reply->refusal)
		return;
	const struct model_transfer *first = model_transfer_find(model, row->id);
	if (first) {
		reply->refusal = known_refusal(first, row);
		if (!reply->refusal)
			memcpy(reply->balances, first->balances, sizeof reply->balances);
		return;
	}
	reply->refusal = ends_pending(row) ? post_or_void(model, row, now_ms, reply)
					   : move_or_reserve(model, row, now_ms, reply);
}

static void id_burn(struct model *model, const struct transfer_row *row, enum refusal refusal)
{
	if (refusal_burns(refusal))
		transfer_add(model, (struct model_transfer){ .row = *row, .state = FOUND_FAILED, .refusal = refusal });
}

/* ---- chains ----------------------------------------------------------------------------------------------------- */

struct mark {
	struct model_account accounts[MODEL_ACCOUNTS_MAX];
	unsigned transfer_count, open_count;
};

/* Everything as it was: accounts, transfers, and pending transfers that the chain had ended. */
static void chain_undo(struct model *model, const struct mark *mark)
{
	memcpy(model->accounts, mark->accounts, model->account_count * sizeof *model->accounts);
	while (model->ended_count) {
		struct model_transfer *pending = &model->transfers[model->ended[--model->ended_count]];
		pending->state = FOUND_PENDING;
	}
	while (model->transfer_count > mark->transfer_count) {
		const struct model_transfer *last = &model->transfers[--model->transfer_count];
		*bucket_of(model, last->row.id) = last->next;
	}
	model->open_count = mark->open_count;
}

static struct mark mark;               /* of the last chain */

void model_chain(struct model *model, const unsigned char *rows, uint32_t count, int64_t now_ms, struct model_reply *replies)
{
	uint32_t failed = 0;
	enum refusal refusal = REFUSAL_NONE;
	memcpy(mark.accounts, model->accounts, model->account_count * sizeof *model->accounts);
	mark.transfer_count = model->transfer_count;
	mark.open_count = model->open_count;
	model->ended_count = 0;
	for (uint32_t i = 0; i < count && !refusal; i++) {
		struct transfer_row row = row_load(rows + (size_t)i * ROW_BYTES);
		row_decide(model, &row, now_ms, &replies[i]);
		refusal = replies[i].refusal;
		failed = i;
	}
	if (!refusal)
		return;
	chain_undo(model, &mark);
	for (uint32_t i = 0; i < count; i++)
		replies[i] = (struct model_reply){ .refusal = i == failed ? refusal : REFUSED_LINKED_EVENT_FAILED };
	struct transfer_row row = row_load(rows + (size_t)failed * ROW_BYTES);
	id_burn(model, &row, refusal);
}

void model_take_back(struct model *model)
{
	chain_undo(model, &mark);
}

void model_transfers(struct model *model, const unsigned char *rows, uint32_t count, int64_t now_ms,
		     struct model_reply *replies)
{
	for (uint32_t first = 0, behind; first < count; first = behind) {
		bool linked = true;
		for (behind = first; linked && behind < count; behind++)
			linked = row_load(rows + (size_t)behind * ROW_BYTES).flags & TRANSFER_LINKED;
		if (linked) {
			for (uint32_t i = first; i < count; i++)
				replies[i] =
					(struct model_reply){ .refusal = i + 1 < count
										 ? REFUSED_LINKED_EVENT_FAILED
										 : REFUSED_LINKED_EVENT_CHAIN_OPEN };
			return;
		}
		model_chain(model, rows + (size_t)first * ROW_BYTES, behind - first, now_ms, replies + first);
	}
}

/* ---- time, events, sums ----------------------------------------------------------------------------------------- */

unsigned model_expire(struct model *model, int64_t now_ms)
{
	unsigned kept = 0, expired = 0;
	for (unsigned i = 0; i < model->open_count; i++) {
		struct model_transfer *pending = &model->transfers[model->open[i]];
		if (pending->state == FOUND_PENDING && pending->expires_ms && pending->expires_ms <= now_ms) {
			pending_end(model, pending, FOUND_EXPIRED);
			expired++;
		}
		if (pending->state == FOUND_PENDING)
			model->open[kept++] = model->open[i];
	}
	model->open_count = kept;
	return expired;
}

const struct model_transfer *model_expire_one(struct model *model, u128 id, int64_t now_ms)
{
	struct model_transfer *pending = (struct model_transfer *)model_hold_find(model, id);
	if (!pending || pending->state != FOUND_PENDING || !pending->expires_ms || pending->expires_ms > now_ms)
		return NULL;
	pending_end(model, pending, FOUND_EXPIRED);
	return pending;
}

enum refusal model_content_refusal(const struct transfer_row *row)
{
	return content_refusal(row);
}

enum refusal model_known_refusal(const struct model_transfer *first, const struct transfer_row *row)
{
	return known_refusal(first, row);
}

static struct model_account *points_account(struct model *model, struct str tenant, struct str member, bool make)
{
	u128 id = account_id_of_member(tenant, member, STR("default"), STR("points"));
	struct model_account *account = model_account_find(model, id);
	if (account || !make)
		return account;
	return account_add(model, (struct model_account){ .id = id, .book = book_of(model, tenant, STR("points")),
							  .kind = ACCOUNT_MEMBER, .ceiling = NO_CEILING });
}

bool model_earn(struct model *model, struct str tenant, struct str member, uint64_t points)
{
	struct model_account *account = points_account(model, tenant, member, true);
	struct model_account *liability = sliced_of(model, account->book, ACCOUNT_LIABILITY);
	account->credits_posted += points;
	liability->debits_posted += points;
	return true;
}

bool model_burn(struct model *model, struct str tenant, struct str member, uint64_t points)
{
	struct model_account *account = points_account(model, tenant, member, false);
	if (!account || room_to_debit(account, account->floor) < (i128)points)
		return false;
	struct model_account *redeemed = sliced_of(model, account->book, ACCOUNT_REDEEMED);
	account->debits_posted += points;
	redeemed->credits_posted += points;
	return true;
}

bool model_earn_back(struct model *model, struct str tenant, struct str member, uint64_t points)
{
	struct model_account *account = points_account(model, tenant, member, false);
	if (!account || room_to_debit(account, account->floor) < (i128)points)
		return false;
	account->debits_posted += points;
	sliced_of(model, account->book, ACCOUNT_LIABILITY)->credits_posted += points;
	return true;
}

void model_burn_back(struct model *model, struct str tenant, struct str member, uint64_t points)
{
	struct model_account *account = points_account(model, tenant, member, true);
	account->credits_posted += points;
	sliced_of(model, account->book, ACCOUNT_REDEEMED)->debits_posted += points;
}

bool model_book(const struct model *model, struct str tenant, struct str unit, u128 sums[ACCOUNT_KINDS][4],
		uint64_t counts[ACCOUNT_KINDS])
{
	unsigned book = book_find(model, tenant, unit);
	memset(sums, 0, ACCOUNT_KINDS * sizeof *sums);
	memset(counts, 0, ACCOUNT_KINDS * sizeof *counts);
	for (unsigned i = 0; i < model->account_count; i++) {
		const struct model_account *account = &model->accounts[i];
		if (account->book != book)
			continue;
		const u128 add[4] = { account->debits_posted, account->credits_posted, account->debits_pending,
				      account->credits_pending };
		for (unsigned s = 0; s < 4; s++)
			sums[account->kind][s] += add[s];
		counts[account->kind]++;
	}
	return book < model->book_count;
}
