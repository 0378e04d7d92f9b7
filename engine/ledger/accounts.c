// SPDX-License-Identifier: Apache-2.0
/* Accounts come into being, are closed and are looked up; books are summed. */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/decide.h"

uint32_t account_bound(const struct account_spec *spec)
{
	size_t size = sizeof(struct account_record) + spec->tenant.len + spec->unit.len + spec->member.len + spec->program.len;
	if (spec->member.len && !spec->program.len)
		size += STR("default").len;
	return (uint32_t)((size + 7) / 8 * 8);
}

static int64_t floor_of(const struct account_spec *spec)
{
	return spec->has_floor ? spec->floor : spec->kind == ACCOUNT_MEMBER ? 0 : NO_FLOOR;
}

static int64_t ceiling_of(const struct account_spec *spec)
{
	return spec->has_ceiling ? spec->ceiling : NO_CEILING;
}

static enum refusal check_content(struct account_spec *spec)
{
	bool derived = spec->id == 0 && (spec->member.len || kind_is_sliced(spec->kind));
	if (!derived && spec->id == 0)
		return REFUSED_ACCOUNT_ID_MUST_NOT_BE_ZERO;
	if (spec->id == U128_MAX)
		return REFUSED_ACCOUNT_ID_MUST_NOT_BE_INT_MAX;
	if (!derived && id_is_derived(spec->id))
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

static uint16_t text_put(unsigned char **at, struct str text)
{
	if (text.len)
		memcpy(*at, text.ptr, text.len);
	*at += text.len;
	return (uint16_t)text.len;
}

static enum refusal book_differs(const struct book *book, const struct account_spec *spec)
{
	if (!str_eq(book->tenant, spec->tenant))
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_TENANT;
	return str_eq(book->unit, spec->unit) ? REFUSAL_NONE : REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_UNIT;
}

static void sliced_decide(const struct ledgers *ledgers, struct account_spec *spec, struct ledger_writer *writer, int64_t now_ms)
{
	uint64_t key = account_key(spec->id), lsn;
	enum account_kind kind;
	uint32_t number;
	const struct ledger *any = ledgers->at[0];
	const struct book *book = ledger_sliced(any, spec->id, key, &kind);
	if (book) {
		spec->refusal = book_differs(book, spec);
		if (!spec->refusal && kind != spec->kind)
			spec->refusal = REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_KIND;
		spec->existed = !spec->refusal;
		return;
	}
	const struct ledger *at = ledger_of_partition(ledgers, partition_of(key));
	const struct account *whole = ledger_account(at, spec->id, key, &number);
	if (whole) {
		spec->refusal = book_differs(at->books[whole->book], spec);
		if (!spec->refusal)
			spec->refusal = REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_KIND;
		return;
	}
	book = ledger_book_find(any, spec->tenant, spec->unit);
	if (book && book->ids[spec->kind - ACCOUNT_FIRST_SLICED]) {
		spec->refusal = REFUSED_SLICED_ACCOUNT_HAS_ANOTHER_ID;
		return;
	}
	if (!writer)
		return;
	struct sliced_record_view view = {
		.head = { .head = { .type = RECORD_SLICED }, .tenant_len = (uint16_t)spec->tenant.len,
			  .unit_len = (uint16_t)spec->unit.len, .kind = (uint8_t)spec->kind, .time_ms = now_ms },
		.tenant = spec->tenant, .unit = spec->unit,
	};
	size_t size = sizeof view.head + spec->tenant.len + spec->unit.len;
	view.head.head.size = (uint32_t)((size + 7) / 8 * 8);
	u128_store(view.head.id, spec->id);
	unsigned char *record = writer_take(writer, view.head.head.size, &lsn), *put = record + sizeof view.head;
	memset(record, 0, view.head.head.size);
	memcpy(record, &view.head, sizeof view.head);
	text_put(&put, spec->tenant);
	text_put(&put, spec->unit);
	for (unsigned s = 0; s < ledgers->count; s++)
		sliced_apply(ledgers->at[s], &view);
}

static enum refusal account_differs(const struct ledger *at, const struct account *account, uint32_t number,
				    const struct account_spec *spec, int64_t floor, int64_t ceiling)
{
	enum refusal refusal = book_differs(at->books[account->book], spec);
	int64_t has[2];
	if (refusal)
		return refusal;
	if (account->kind != spec->kind)
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_KIND;
	ledger_limits(at, account, number, &has[0], &has[1]);
	if (has[0] != floor || has[1] != ceiling)
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_LIMITS;
	if ((account->flags & ACCOUNT_CLOSED) != (spec->flags & ACCOUNT_CLOSED))
		return REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS;
	return REFUSAL_NONE;
}

static void whole_decide(const struct ledgers *ledgers, struct account_spec *spec, struct ledger_writer *writer, int64_t now_ms)
{
	uint64_t key = account_key(spec->id), lsn;
	enum account_kind kind;
	uint32_t number;
	int64_t floor = floor_of(spec), ceiling = ceiling_of(spec);
	const struct book *sliced = ledger_sliced(ledgers->at[0], spec->id, key, &kind);
	if (sliced) {
		spec->refusal = book_differs(sliced, spec);
		if (!spec->refusal)
			spec->refusal = REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_KIND;
		return;
	}
	struct ledger *at = ledger_of_partition(ledgers, partition_of(key));
	const struct account *account = ledger_account(at, spec->id, key, &number);
	if (account) {
		spec->refusal = account_differs(at, account, number, spec, floor, ceiling);
		spec->existed = !spec->refusal;
		return;
	}
	number = ledger_next_number(at, group_of(partition_of(key)));
	if (!number) {
		spec->refusal = REFUSED_MEMORY_FULL;
		return;
	}
	if (!writer)
		return;
	struct account_record_view view = {
		.head = { .head = { .type = RECORD_ACCOUNT, .partition = (uint16_t)partition_of(key) }, .number = number,
			  .flags = spec->flags, .kind = (uint8_t)spec->kind, .op = ACCOUNT_OP_CREATE, .time_ms = now_ms,
			  .floor = floor, .ceiling = ceiling, .tenant_len = (uint16_t)spec->tenant.len,
			  .unit_len = (uint16_t)spec->unit.len, .member_len = (uint16_t)spec->member.len,
			  .program_len = (uint16_t)spec->program.len },
		.tenant = spec->tenant, .unit = spec->unit, .member = spec->member, .program = spec->program,
	};
	u128_store(view.head.id, spec->id);
	if (floor == 0 && ceiling == NO_CEILING)
		view.head.flags |= ACCOUNT_FLOOR_ZERO;
	else if (floor != NO_FLOOR || ceiling != NO_CEILING)
		view.head.flags |= ACCOUNT_LIMITED;
	if (spec->member.len)
		view.head.flags |= ACCOUNT_NAMED;
	view.head.head.size = account_bound(spec);
	unsigned char *record = writer_take(writer, view.head.head.size, &lsn), *put = record + sizeof view.head;
	memset(record, 0, view.head.head.size);
	memcpy(record, &view.head, sizeof view.head);
	text_put(&put, spec->tenant);
	text_put(&put, spec->unit);
	text_put(&put, spec->member);
	text_put(&put, spec->program);
	ASSERT((size_t)(put - record) <= view.head.head.size);
	account = account_apply(at, &view, lsn);
	ASSERT(account);
}

void account_decide(const struct ledgers *ledgers, struct account_spec *spec, struct ledger_writer *writer, int64_t now_ms,
		    bool memory_full)
{
	spec->existed = false;
	spec->refusal = check_content(spec);
	if (!spec->refusal && memory_full)
		spec->refusal = REFUSED_MEMORY_FULL;
	if (spec->refusal)
		return;
	if (kind_is_sliced(spec->kind)) {
		if (!spec->id)
			spec->id = account_id_of_sliced(spec->tenant, spec->kind, spec->unit);
		sliced_decide(ledgers, spec, writer, now_ms);
		return;
	}
	if (spec->member.len) {
		if (!spec->program.len)
			spec->program = STR("default");
		if (!spec->id)
			spec->id = account_id_of_member(spec->tenant, spec->member, spec->program, spec->unit);
	}
	whole_decide(ledgers, spec, writer, now_ms);
}

void account_close(const struct ledgers *ledgers, struct account_spec *spec, struct ledger_writer *writer, int64_t now_ms)
{
	uint64_t key = account_key(spec->id), lsn;
	enum account_kind kind;
	uint32_t number;
	spec->refusal = spec->id == 0                     ? REFUSED_ACCOUNT_ID_MUST_NOT_BE_ZERO
			: spec->id == U128_MAX            ? REFUSED_ACCOUNT_ID_MUST_NOT_BE_INT_MAX
			: spec->flags & ~ACCOUNT_CLOSED   ? REFUSED_ACCOUNT_FLAGS_RESERVED
							  : REFUSAL_NONE;
	spec->existed = false;
	if (spec->refusal)
		return;
	if (ledger_sliced(ledgers->at[0], spec->id, key, &kind)) {
		spec->refusal = REFUSED_SLICED_ACCOUNT_CANNOT_CLOSE;
		return;
	}
	struct ledger *at = ledger_of_partition(ledgers, partition_of(key));
	struct account *account = ledger_account(at, spec->id, key, &number);
	if (!account) {
		spec->refusal = REFUSED_ACCOUNT_NOT_FOUND;
		return;
	}
	if ((account->flags & ACCOUNT_CLOSED) == (spec->flags & ACCOUNT_CLOSED)) {
		spec->existed = true;
		return;
	}
	struct account_record_view view = {
		.head = { .head = { .size = (uint32_t)sizeof view.head, .type = RECORD_ACCOUNT, .partition = (uint16_t)partition_of(key) },
			  .number = number, .flags = spec->flags, .kind = account->kind, .op = ACCOUNT_OP_FLAGS,
			  .prev = account->last_lsn, .time_ms = now_ms },
	};
	static_assert(sizeof view.head % 8 == 0, "records are multiples of 8");
	u128_store(view.head.id, spec->id);
	memcpy(writer_take(writer, sizeof view.head, &lsn), &view.head, sizeof view.head);
	account_apply(at, &view, lsn);
}

/* ---- questions -------------------------------------------------------------------------------------------------------- */

static void text_keep(struct buf *texts, struct str text, size_t *at, size_t *len)
{
	*at = texts->len;
	*len = text.len;
	buf_str(texts, text);
}

static void view_book(struct ledger_request *request, struct account_view *view, const struct book *book)
{
	text_keep(&request->texts, book->tenant, &view->tenant_at, &view->tenant_len);
	text_keep(&request->texts, book->unit, &view->unit_at, &view->unit_len);
}

static void lookup_sliced(const struct ledgers *ledgers, struct ledger_request *request, struct account_view *view,
			  const struct book *named)
{
	view_book(request, view, named);
	view->floor = NO_FLOOR;
	view->ceiling = NO_CEILING;
	for (unsigned s = 0; s < ledgers->count; s++) {
		const struct book *book = ledger_book_find(ledgers->at[s], named->tenant, named->unit);
		for (unsigned g = 0; book && g < GROUP_COUNT; g++) {
			if (!book->book_slices[g])
				continue;
			const struct slice_sums *sums = &book->book_slices[g]->sums[view->kind - ACCOUNT_FIRST_SLICED];
			view->debits_posted += sums->debits_posted;
			view->credits_posted += sums->credits_posted;
			view->debits_pending += sums->debits_pending;
			view->credits_pending += sums->credits_pending;
		}
	}
}

/* A sliced account by its names: there as soon as its book is. */
static void lookup_named(const struct ledgers *ledgers, struct ledger_request *request, struct account_view *view)
{
	struct str tenant = view->tenant, unit = view->unit;
	enum account_kind kind = view->kind;
	const struct book *book = NULL;
	*view = (struct account_view){ .tenant = tenant, .unit = unit, .kind = kind };
	for (unsigned s = 0; s < ledgers->count && !book; s++)
		book = ledger_book_find(ledgers->at[s], tenant, unit);
	view->id = book ? book->ids[kind - ACCOUNT_FIRST_SLICED] : 0;
	if (!view->id)
		view->id = account_id_of_sliced(tenant, kind, unit);
	if (!book)
		return;
	view->found = true;
	lookup_sliced(ledgers, request, view, book);
}

static void lookup_one(const struct ledgers *ledgers, struct ledger_request *request, struct account_view *view)
{
	if (!view->id && view->tenant.len && kind_is_sliced(view->kind)) {
		lookup_named(ledgers, request, view);
		return;
	}
	u128 id = view->id;
	uint64_t key = account_key(id);
	enum account_kind kind;
	*view = (struct account_view){ .id = id };
	const struct book *book = ledger_sliced(ledgers->at[0], id, key, &kind);
	if (book) {
		view->found = true;
		view->kind = kind;
		lookup_sliced(ledgers, request, view, book);
		return;
	}
	const struct ledger *at = ledger_of_partition(ledgers, partition_of(key));
	const struct account *account = ledger_account(at, id, key, &view->number);
	if (!account)
		return;
	view->found = true;
	view->kind = (enum account_kind)account->kind;
	view->flags = account->flags & ACCOUNT_CLOSED;
	ledger_limits(at, account, view->number, &view->floor, &view->ceiling);
	view->debits_posted = account->debits_posted;
	view->credits_posted = account->credits_posted;
	view->debits_pending = account->debits_pending;
	view->credits_pending = account->credits_pending;
	view->last_lsn = account->last_lsn;
	view_book(request, view, at->books[account->book]);
	const struct account_extra *extra = ledger_extra(at, view->number);
	if (!extra)
		return;
	view->created_ms = extra->created_ms;
	text_keep(&request->texts, (struct str){ extra->names, extra->member_len }, &view->member_at, &view->member_len);
	text_keep(&request->texts, (struct str){ extra->names + extra->member_len, extra->program_len }, &view->program_at,
		  &view->program_len);
}

void accounts_lookup(const struct ledgers *ledgers, struct ledger_request *request)
{
	for (uint32_t i = 0; i < request->count; i++)
		lookup_one(ledgers, request, &request->views[i]);
}

u128 account_name(const struct ledgers *ledgers, uint32_t number)
{
	const struct ledger *at = ledger_of_number(ledgers, number);
	const struct account *account = ledger_account_at(at, number);
	if (!account)
		return 0;
	return account->flags & ACCOUNT_SLICE ? at->books[account->book]->ids[account->kind - ACCOUNT_FIRST_SLICED] : account->id;
}

void accounts_name(const struct ledgers *ledgers, struct ledger_request *request)
{
	for (uint32_t i = 0; i < request->count; i++)
		request->ids[i] = account_name(ledgers, request->numbers[i]);
}

void transfers_find(const struct ledgers *ledgers, struct ledger_request *request)
{
	for (uint32_t i = 0; i < request->count; i++) {
		uint64_t hash = id_hash_of_transfer(request->ids[i]);
		const struct ledger *at = ledger_of_partition(ledgers, partition_of(hash));
		const struct table_entry *entry = ids_find(at->ids, hash, 0);
		enum pending_state state;
		if (entry && MUTATE(100, entry->value & ID_IN_FLIGHT, 0))
			entry = NULL;          /* nothing is decided yet that an answer could rest on */
		else if (!entry)
			entry = id_query_found(&request->query, hash, NULL);
		request->lsns[i] = entry ? entry->value & ID_LSN : 0;
		request->states[i] = !entry ? FOUND_NOTHING : entry->value & ID_FAILED ? FOUND_FAILED : FOUND_TRANSFER;
		if (request->states[i] == FOUND_FAILED)
			continue;
		if (!entry) {
			request->lsns[i] = ledger_hold(at, request->ids[i], hash);
			request->states[i] = request->lsns[i] ? FOUND_PENDING : FOUND_NOTHING;
			continue;
		}
		if (ledger_pending(at, request->ids[i], hash, &state))
			request->states[i] = FOUND_PENDING;
		else if (state != PENDING_OPEN)
			request->states[i] = state == PENDING_POSTED   ? FOUND_POSTED
					     : state == PENDING_VOIDED ? FOUND_VOIDED
								       : FOUND_EXPIRED;
	}
}

void book_sum(const struct ledgers *ledgers, struct ledger_request *request)
{
	for (unsigned s = 0; s < ledgers->count; s++) {
		const struct book *book = ledger_book_find(ledgers->at[s], request->tenant, request->unit);
		if (!book)
			continue;
		request->found = true;
		ledger_book_sums(ledgers->at[s], book, request->sums, request->accounts);
	}
}
