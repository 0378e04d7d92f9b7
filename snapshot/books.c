// SPDX-License-Identifier: Apache-2.0
#include "snapshot/books.h"

#include <pthread.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/table.h"
#include "engine/catalog/catalog.h"
#include "engine/event/effect.h"
#include "engine/ledger/record.h"

/* What a number stands for: 0 a member's account (or nothing yet), else 1 + book * ACCOUNT_KINDS + kind. */
struct numbers { uint32_t **slabs; uint32_t slab_count; };

struct books_names {
	pthread_mutex_t mutex;
	struct table tenant_table, book_table;
	struct str *tenants;           /* owned, with their texts */
	uint32_t tenant_count, tenant_cap;
	struct named_book { struct str unit; uint32_t tenant; } *books;        /* likewise */
	uint32_t book_count, book_cap;
	struct numbers groups[GROUP_COUNT];
};

struct books_names *books_names_new(void)
{
	struct books_names *names = mem_zalloc(sizeof *names);
	pthread_mutex_init(&names->mutex, NULL);
	return names;
}

void books_names_free(struct books_names *names)
{
	if (!names)
		return;
	for (uint32_t i = 0; i < names->tenant_count; i++)
		mem_free((void *)(uintptr_t)names->tenants[i].ptr);
	for (uint32_t i = 0; i < names->book_count; i++)
		mem_free((void *)(uintptr_t)names->books[i].unit.ptr);
	for (unsigned g = 0; g < GROUP_COUNT; g++) {
		for (uint32_t i = 0; i < names->groups[g].slab_count; i++)
			mem_free(names->groups[g].slabs[i]);
		mem_free(names->groups[g].slabs);
	}
	mem_free(names->tenants);
	mem_free(names->books);
	table_free(&names->tenant_table);
	table_free(&names->book_table);
	pthread_mutex_destroy(&names->mutex);
	mem_free(names);
}

static struct str text_keep(struct str text)
{
	return (struct str){ mem_dup(text.ptr, text.len), text.len };
}

static void *room(void *list, uint32_t count, uint32_t *cap, size_t size)
{
	if (count < *cap)
		return list;
	*cap = *cap ? *cap * 2 : 16;
	return mem_realloc(list, *cap * size);
}

/* Those below want the mutex held. */

static uint32_t tenant_find(const struct books_names *names, uint64_t hash, struct str tenant)
{
	for (const struct table_entry *at = table_find(&names->tenant_table, hash, NULL); at;
	     at = table_find(&names->tenant_table, hash, at))
		if (str_eq(names->tenants[at->value], tenant))
			return (uint32_t)at->value;
	return BOOKS_NONE;
}

static uint32_t tenant_of(struct books_names *names, struct str tenant)
{
	uint64_t hash = hash_name(HASH_TENANT, tenant, STR(""));
	uint32_t found = tenant_find(names, hash, tenant);
	if (found != BOOKS_NONE)
		return found;
	names->tenants = room(names->tenants, names->tenant_count, &names->tenant_cap, sizeof *names->tenants);
	names->tenants[names->tenant_count] = text_keep(tenant);
	table_insert(&names->tenant_table, hash, names->tenant_count);
	return names->tenant_count++;
}

static uint32_t book_of(struct books_names *names, struct str tenant, struct str unit)
{
	uint64_t hash = hash_name(HASH_TENANT, tenant, unit);
	for (const struct table_entry *at = table_find(&names->book_table, hash, NULL); at;
	     at = table_find(&names->book_table, hash, at)) {
		const struct named_book *book = &names->books[at->value];
		if (str_eq(book->unit, unit) && str_eq(names->tenants[book->tenant], tenant))
			return (uint32_t)at->value;
	}
	names->books = room(names->books, names->book_count, &names->book_cap, sizeof *names->books);
	names->books[names->book_count] = (struct named_book){ text_keep(unit), tenant_of(names, tenant) };
	table_insert(&names->book_table, hash, names->book_count);
	return names->book_count++;
}

static void number_set(struct books_names *names, uint32_t number, uint32_t book, unsigned kind)
{
	struct numbers *group = &names->groups[number_group(number)];
	uint32_t index = number & ACCOUNT_INDEX_MASK, slab = index / SLAB_ACCOUNTS;
	if (slab >= group->slab_count) {
		uint32_t count = group->slab_count ? group->slab_count : 4;
		while (count <= slab)
			count *= 2;
		group->slabs = mem_realloc(group->slabs, count * sizeof *group->slabs);
		memset(group->slabs + group->slab_count, 0, (count - group->slab_count) * sizeof *group->slabs);
		group->slab_count = count;
	}
	if (!group->slabs[slab])
		group->slabs[slab] = mem_zalloc(SLAB_ACCOUNTS * sizeof **group->slabs);
	group->slabs[slab][index % SLAB_ACCOUNTS] = 1 + book * ACCOUNT_KINDS + kind;
}

/* False: a member's. */
static bool number_get(const struct books_names *names, uint32_t number, uint32_t *book, unsigned *kind)
{
	const struct numbers *group = &names->groups[number_group(number)];
	uint32_t index = number & ACCOUNT_INDEX_MASK, slab = index / SLAB_ACCOUNTS;
	uint32_t value = slab < group->slab_count && group->slabs[slab] ? group->slabs[slab][index % SLAB_ACCOUNTS] : 0;
	if (!value)
		return false;
	*book = (value - 1) / ACCOUNT_KINDS;
	*kind = (value - 1) % ACCOUNT_KINDS;
	return true;
}

uint32_t books_tenant(struct books_names *names, struct str tenant)
{
	pthread_mutex_lock(&names->mutex);
	uint32_t found = tenant_of(names, tenant);
	pthread_mutex_unlock(&names->mutex);
	return found;
}

uint32_t books_tenant_find(struct books_names *names, struct str tenant)
{
	pthread_mutex_lock(&names->mutex);
	uint32_t found = tenant_find(names, hash_name(HASH_TENANT, tenant, STR("")), tenant);
	pthread_mutex_unlock(&names->mutex);
	return found;
}

uint32_t books_book(struct books_names *names, struct str tenant, struct str unit)
{
	pthread_mutex_lock(&names->mutex);
	uint32_t book = book_of(names, tenant, unit);
	pthread_mutex_unlock(&names->mutex);
	return book;
}

struct str books_tenant_name(struct books_names *names, uint32_t tenant)
{
	pthread_mutex_lock(&names->mutex);
	ASSERT(tenant < names->tenant_count);
	struct str name = names->tenants[tenant];
	pthread_mutex_unlock(&names->mutex);
	return name;
}

struct str books_unit(struct books_names *names, uint32_t book, uint32_t *tenant)
{
	pthread_mutex_lock(&names->mutex);
	ASSERT(book < names->book_count);
	struct named_book found = names->books[book];
	pthread_mutex_unlock(&names->mutex);
	*tenant = found.tenant;
	return found.unit;
}

bool books_number(struct books_names *names, uint32_t number, uint32_t *book, unsigned *kind)
{
	pthread_mutex_lock(&names->mutex);
	bool found = number_get(names, number, book, kind);
	pthread_mutex_unlock(&names->mutex);
	return found;
}

void books_names_take(struct books_names *names, const struct state *state)
{
	const struct ledger *ledger = &state->ledger;
	pthread_mutex_lock(&names->mutex);
	for (uint32_t b = 0; b < ledger->book_count; b++) {
		const struct book *book = ledger->books[b];
		uint32_t index = book_of(names, book->tenant, book->unit);
		for (unsigned g = 0; g < GROUP_COUNT; g++)
			for (unsigned k = 0; book->book_slices[g] && k < SLICED_KINDS; k++)
				if (book->book_slices[g]->numbers[k])
					number_set(names, book->book_slices[g]->numbers[k], index, k + ACCOUNT_FIRST_SLICED);
	}
	for (unsigned g = 0; g < GROUP_COUNT && ledger->raw_total; g++)
		for (uint32_t i = 1; i <= ledger->groups[g].count; i++) {
			uint32_t number = (uint32_t)g << ACCOUNT_GROUP_SHIFT | i;
			const struct account *account = ledger_account_at(ledger, number);
			if (account->kind != ACCOUNT_RAW || (account->flags & ACCOUNT_SLICE))
				continue;
			const struct book *book = ledger->books[account->book];
			number_set(names, number, book_of(names, book->tenant, book->unit), ACCOUNT_RAW);
		}
	pthread_mutex_unlock(&names->mutex);
}

/* ---- sums -------------------------------------------------------------------------------------------------------------- */

void books_init(struct books *books, struct books_names *names, uint32_t tenant)
{
	*books = (struct books){ .names = names, .tenant = tenant, .time_ms = INT64_MIN };
}

void books_free(struct books *books)
{
	for (uint32_t i = 0; i < books->line_count; i++)
		mem_free(books->lines[i]);
	mem_free(books->lines);
	mem_free(books->rows);
	books->lines = NULL;
	books->rows = NULL;
	books->line_count = books->row_count = 0;
}

void books_rows_reset(struct books *books)
{
	if (books->row_count)
		memset(books->rows, 0, books->row_count * sizeof *books->rows);
	books->records = books->frames = 0;
}

struct books_line *books_line(struct books *books, uint32_t book)
{
	if (book >= books->line_count) {
		uint32_t count = books->line_count ? books->line_count : 8;
		while (count <= book)
			count *= 2;
		books->lines = mem_realloc(books->lines, count * sizeof *books->lines);
		memset(books->lines + books->line_count, 0, (count - books->line_count) * sizeof *books->lines);
		books->line_count = count;
	}
	if (!books->lines[book])
		books->lines[book] = mem_zalloc(sizeof **books->lines);
	return books->lines[book];
}

struct books_row *books_row(struct books *books, uint32_t tenant)
{
	if (tenant >= books->row_count) {
		uint32_t count = books->row_count ? books->row_count : 8;
		while (count <= tenant)
			count *= 2;
		books->rows = mem_realloc(books->rows, count * sizeof *books->rows);
		memset(books->rows + books->row_count, 0, (count - books->row_count) * sizeof *books->rows);
		books->row_count = count;
	}
	return &books->rows[tenant];
}

/* The tenant's row, which takes note of the record; NULL where the tenant is not asked for. */
static struct books_row *row_of(struct books *books, uint32_t tenant, uint64_t lsn)
{
	if (books->tenant != BOOKS_ALL && books->tenant != tenant)
		return NULL;
	struct books_row *row = books_row(books, tenant);
	if (!row->events && !row->transfers && !row->others)
		row->first_lsn = lsn;
	row->last_lsn = lsn;
	return row;
}

/* One side of a movement; `posted` and `pending` as they change that side's sums. */
static void side_add(struct books_line *line, unsigned kind, bool credit, u128 posted, u128 pending)
{
	u128 *sums = line->sums[kind];
	if (kind_is_sliced(kind)) {
		sums[credit ? BOOKS_CREDITS : BOOKS_DEBITS] += posted;
		sums[credit ? BOOKS_CREDITS_PENDING : BOOKS_DEBITS_PENDING] += pending;
		return;
	}
	sums[BOOKS_CREDITS] += credit ? posted : -posted;
	sums[BOOKS_CREDITS_PENDING] += credit ? pending : -pending;
}

static void transfer_add(struct books *books, const struct transfer_view *view, uint64_t lsn)
{
	const struct transfer_record *head = &view->head;
	struct side side = side_of(head->flags, head->amount, view->extra.pending_amount);
	u128 pending = (u128)side.reserved - side.released;
	uint32_t book = 0, other = 0, tenant;
	unsigned debit = ACCOUNT_MEMBER, credit = ACCOUNT_MEMBER;
	bool has_debit = number_get(books->names, head->debit, &book, &debit);
	bool has_credit = number_get(books->names, head->credit, &other, &credit);
	if (!has_debit && !has_credit)
		return;                        /* between two members: nothing that is kept changes */
	if (!has_debit)
		book = other;
	tenant = books->names->books[book].tenant;
	struct books_row *row = row_of(books, tenant, lsn);
	if (!row)
		return;
	row->transfers++;
	struct books_line *line = books_line(books, book);
	side_add(line, debit, false, side.posted, pending);
	side_add(line, credit, true, side.posted, pending);
}

static void event_add(struct books *books, const struct event_view *view, uint64_t lsn)
{
	uint32_t tenant = tenant_of(books->names, view->tenant);
	struct books_row *row = row_of(books, tenant, lsn);
	struct books_line *line = NULL;
	if (!row)
		return;
	row->events++;
	struct effects effects = effects_of(view);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		unsigned type = effect.head.type;
		int moves = effect_kinds[type].moves;
		bool redeemed = type == EFFECT_BURN || type == EFFECT_BURN_REVERSED;
		unsigned other = redeemed ? ACCOUNT_REDEEMED : ACCOUNT_LIABILITY;
		uint64_t points = (uint64_t)effect.head.points;
		if (!moves || !points)
			continue;
		if (!line)
			line = books_line(books, book_of(books->names, view->tenant, STR("points")));
		side_add(line, moves > 0 ? other : ACCOUNT_MEMBER, false, points, 0);
		side_add(line, moves > 0 ? ACCOUNT_MEMBER : other, true, points, 0);
	}
}

static void other_add(struct books *books, struct str tenant, uint64_t lsn)
{
	struct books_row *row = row_of(books, tenant_of(books->names, tenant), lsn);
	if (row)
		row->others++;
}

static bool record_add(struct books *books, const unsigned char *record, const struct record_head *head, uint64_t lsn)
{
	struct event_view event;
	struct customer_view customer;
	struct action_view action;
	struct transfer_view transfer;
	struct account_record_view account;
	struct sliced_record_view sliced;
	struct catalog_change change = { 0 };
	uint64_t len;
	switch (head->type) {
	case RECORD_TRANSFER:
		if (!transfer_record_read(record, head->size, &transfer))
			return false;
		transfer_add(books, &transfer, lsn);
		return true;
	case RECORD_EVENT:
		if (!event_view_read(record, head->size, &event))
			return false;
		event_add(books, &event, lsn);
		return true;
	case RECORD_CUSTOMER:
		if (!customer_view_read(record, head->size, &customer))
			return false;
		other_add(books, customer.tenant, lsn);
		return true;
	case RECORD_ACTION:
		if (!action_view_read(record, head->size, &action))
			return false;
		other_add(books, action.tenant, lsn);
		return true;
	case RECORD_ACCOUNT:
		if (!account_record_read(record, head->size, &account))
			return false;
		if (account.head.op != ACCOUNT_OP_CREATE)
			return true;
		if (account.head.flags & ACCOUNT_SLICE || account.head.kind == ACCOUNT_RAW)
			number_set(books->names, account.head.number, book_of(books->names, account.tenant, account.unit),
				   account.head.kind);
		if (!(account.head.flags & ACCOUNT_SLICE))
			other_add(books, account.tenant, lsn);
		return true;
	case RECORD_SLICED:
		if (!sliced_record_read(record, head->size, &sliced))
			return false;
		other_add(books, sliced.tenant, lsn);
		return true;
	case RECORD_CATALOG:
		if (head->size < 16)
			return false;
		memcpy(&len, record + 8, sizeof len);
		if (len > head->size - 16u || !catalog_change_decode(record + 16, len, &change))
			return false;
		if (change.tenant.len)
			other_add(books, change.tenant, lsn);
		return true;
	default: return true;                  /* filler, failed: they belong to no book */
	}
}

bool books_frame(struct books *books, const struct wal_frame *frame, uint64_t last)
{
	bool good = true;
	if (!books->frames++)
		books->first_time_ms = frame->time_ms;
	if (frame->time_ms > books->time_ms)
		books->time_ms = frame->time_ms;
	if (frame->kind != WAL_FRAME_RECORDS)
		return true;
	pthread_mutex_lock(&books->names->mutex);
	for (size_t at = 0; at < frame->body_size && good;) {
		struct record_head head;
		uint64_t lsn = frame->lsn + WAL_FRAME_HEADER + at;
		if (lsn > last)
			break;
		good = record_head_read(frame->body + at, frame->body_size - at, &head) &&
		       record_add(books, frame->body + at, &head, lsn);
		books->records++;
		at += good ? head.size : 0;
	}
	pthread_mutex_unlock(&books->names->mutex);
	return good;
}

void books_take(struct books *books, const struct state *state)
{
	const struct ledger *ledger = &state->ledger;
	struct books_line **lines = mem_zalloc((ledger->book_count + 1) * sizeof(struct books_line *));
	for (uint32_t b = 0; b < ledger->book_count; b++) {
		const struct book *book = ledger->books[b];
		uint32_t index = books_book(books->names, book->tenant, book->unit);
		books_line(books, index);
		for (unsigned g = 0; g < GROUP_COUNT; g++)
			for (unsigned k = 0; book->book_slices[g] && k < SLICED_KINDS; k++) {
				const struct slice_sums *from = &book->book_slices[g]->sums[k];
				u128 *sums = books->lines[index]->sums[k + ACCOUNT_FIRST_SLICED];
				sums[BOOKS_DEBITS] += from->debits_posted;
				sums[BOOKS_CREDITS] += from->credits_posted;
				sums[BOOKS_DEBITS_PENDING] += from->debits_pending;
				sums[BOOKS_CREDITS_PENDING] += from->credits_pending;
			}
	}
	for (uint32_t b = 0; b < ledger->book_count; b++)
		lines[b] = books_line(books, books_book(books->names, ledger->books[b]->tenant, ledger->books[b]->unit));
	for (unsigned g = 0; g < GROUP_COUNT; g++)
		for (uint32_t i = 1; i <= ledger->groups[g].count; i++) {
			const struct account *account = ledger_account_at(ledger, (uint32_t)g << ACCOUNT_GROUP_SHIFT | i);
			if (account->flags & ACCOUNT_SLICE)
				continue;
			u128 *sums = lines[account->book]->sums[account->kind];
			sums[BOOKS_CREDITS] += account->credits_posted - (u128)account->debits_posted;
			sums[BOOKS_CREDITS_PENDING] += account->credits_pending - (u128)account->debits_pending;
		}
	mem_free(lines);
}

void books_add(struct books *to, const struct books *what, bool minus)
{
	for (uint32_t b = 0; b < what->line_count; b++) {
		if (!what->lines[b])
			continue;
		u128 *sums = books_line(to, b)->sums[0];
		const u128 *more = what->lines[b]->sums[0];
		for (unsigned i = 0; i < ACCOUNT_KINDS * BOOKS_SUMS; i++)
			sums[i] += minus ? -more[i] : more[i];
	}
}

i128 books_balance(const struct books_line *line, enum account_kind kind, bool pending)
{
	const u128 *sums = line->sums[kind];
	return pending ? (i128)(sums[BOOKS_CREDITS_PENDING] - sums[BOOKS_DEBITS_PENDING])
		       : (i128)(sums[BOOKS_CREDITS] - sums[BOOKS_DEBITS]);
}
