// SPDX-License-Identifier: Apache-2.0
#include "engine/shard/capture.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"

enum { MEMBERS_AHEAD = 8, ACCOUNTS_AHEAD = 12 };

struct item_head {
	uint32_t size;
	uint16_t type;                 /* enum capture_item */
	uint16_t place;                /* partition, or group */
};

struct tenant_item { uint32_t number; uint16_t name_len, reserved; };
struct book_item { uint32_t number; uint16_t tenant_len, unit_len; };
struct tenant_slice_item { uint64_t last_lsn, event_count; uint32_t tenant, reserved; };
struct slice_item {
	uint32_t book, reserved;
	struct slice_row { uint32_t number, reserved; uint64_t last_lsn; uint8_t sums[4][16]; } rows[SLICED_KINDS];
};
struct account_row {
	uint8_t id[16];
	uint64_t debits_posted, credits_posted, debits_pending, credits_pending, last_lsn;
	uint32_t number, book;
	uint16_t flags;
	uint8_t kind, reserved[5];
};
struct extra_item { uint32_t number; uint16_t member_len, program_len; int64_t floor, ceiling, created_ms; };
struct member_item {
	uint64_t hash, last_lsn;
	int64_t status_points, lifetime_points, created_ms, active_ms;
	uint32_t tenant, account, event_count, attributes_len;
	uint16_t profile_len, status_len, tag_count, flags;    /* MEMBER_MORE */
};
enum { MEMBER_MORE = 1 };              /* behind the tags: more_item, its rewards, bonuses and counters */
struct more_item { int64_t debt; uint32_t seq, rewards, bonuses, counters; };
struct reward_row { uint64_t reward; int64_t issued_ms, expires_ms, ended_ms; uint32_t seq; uint16_t state, name_len; };
struct bonus_row { int64_t awarded_ms; uint32_t seq, period, key_len, reserved; };
struct counter_row { uint64_t key; uint32_t period, count; };
struct id_row { uint64_t hash, value; };
struct left_out_item { uint64_t below; };
struct pending_item {
	uint8_t id[16];
	uint64_t hash, lsn, amount;
	int64_t expires_ms;
	uint32_t debit, credit;
	uint16_t code, state, reserved[2];
};
struct sliced_item { uint8_t id[16]; uint16_t kind, tenant_len, unit_len, reserved; };
struct document_item { uint64_t lsn, len; };
struct mark_item { uint64_t last_lsn, last_id; };

static_assert(sizeof(struct account_row) == 72 && sizeof(struct member_item) == 72 && sizeof(struct slice_row) == 80 &&
		      sizeof(struct slice_item) == 408 && sizeof(struct pending_item) == 64 && sizeof(struct extra_item) == 32 &&
		      sizeof(struct sliced_item) == 24 && sizeof(struct more_item) == 24 && sizeof(struct reward_row) == 40 &&
		      sizeof(struct bonus_row) == 24 && sizeof(struct counter_row) == 16, "the layout of the format");

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

struct writer {
	const struct state *state;
	struct buf *out;
	struct table tenant_numbers;   /* tenant's hash -> number */
	const struct tenant **tenants; /* owned; by number */
	uint32_t tenant_count, tenant_cap;
	unsigned char *books;          /* owned; 1: has its item, or is among `named` */
	struct buf named;              /* u32 indexes of books that get their item behind the rows that name them */
};

static size_t item_begin(struct buf *out, enum capture_item type, unsigned place, const void *content, size_t size)
{
	size_t start = out->len;
	struct item_head head = { .type = (uint16_t)type, .place = (uint16_t)place };
	buf_bytes(out, &head, sizeof head);
	buf_bytes(out, content, size);
	return start;
}

static void item_end(struct buf *out, size_t start)
{
	static const char zeros[8];
	buf_bytes(out, zeros, (8 - (out->len - start) % 8) % 8);
	ASSERT(out->len - start <= UINT32_MAX);
	uint32_t size = (uint32_t)(out->len - start);
	memcpy(out->ptr + start, &size, sizeof size);
}

static uint32_t tenant_number(struct writer *writer, const struct tenant *tenant)
{
	const struct table_entry *entry = table_find(&writer->tenant_numbers, tenant->hash, NULL);
	while (entry && writer->tenants[entry->value] != tenant)
		entry = table_find(&writer->tenant_numbers, tenant->hash, entry);
	if (entry)
		return (uint32_t)entry->value;
	uint32_t number = writer->tenant_count++;
	if (number == writer->tenant_cap) {
		writer->tenant_cap = writer->tenant_cap ? writer->tenant_cap * 2 : 16;
		writer->tenants = mem_realloc(writer->tenants, writer->tenant_cap * sizeof *writer->tenants);
	}
	writer->tenants[number] = tenant;
	table_insert(&writer->tenant_numbers, tenant->hash, number);
	struct tenant_item item = { .number = number, .name_len = (uint16_t)tenant->name.len };
	size_t start = item_begin(writer->out, CAPTURE_TENANT, 0, &item, sizeof item);
	buf_str(writer->out, tenant->name);
	item_end(writer->out, start);
	return number;
}

static void write_book(struct writer *writer, uint32_t index)
{
	const struct book *book = writer->state->ledger.books[index];
	struct book_item item = { .number = index, .tenant_len = (uint16_t)book->tenant.len, .unit_len = (uint16_t)book->unit.len };
	size_t start = item_begin(writer->out, CAPTURE_BOOK, 0, &item, sizeof item);
	buf_str(writer->out, book->tenant);
	buf_str(writer->out, book->unit);
	item_end(writer->out, start);
}

/* Notes that an item names this book. */
static uint32_t book_number(struct writer *writer, uint32_t index)
{
	if (!writer->books[index]) {
		writer->books[index] = 1;
		buf_bytes(&writer->named, &index, sizeof index);
	}
	return index;
}

static void write_books(struct writer *writer)
{
	for (size_t at = 0; at < writer->named.len; at += sizeof(uint32_t)) {
		uint32_t index;
		memcpy(&index, writer->named.ptr + at, sizeof index);
		write_book(writer, index);
	}
	writer->named.len = 0;
}

static void write_shared(struct writer *writer, const struct catalog *catalog)
{
	const struct ledger *ledger = &writer->state->ledger;
	struct buf *out = writer->out;
	for (uint32_t b = 0; b < ledger->book_count; b++)
		for (unsigned k = 0; k < SLICED_KINDS; k++) {
			const struct book *book = ledger->books[b];
			if (!book->ids[k])
				continue;
			struct sliced_item item = { .kind = (uint16_t)(k + ACCOUNT_FIRST_SLICED),
						    .tenant_len = (uint16_t)book->tenant.len,
						    .unit_len = (uint16_t)book->unit.len };
			u128_store(item.id, book->ids[k]);
			size_t start = item_begin(out, CAPTURE_SLICED, 0, &item, sizeof item);
			buf_str(out, book->tenant);
			buf_str(out, book->unit);
			item_end(out, start);
		}
	for (size_t t = 0; t < catalog->tenant_count; t++) {
		uint64_t audit = catalog->tenants[t]->audit_lsn;
		size_t at = item_begin(out, CAPTURE_AUDIT, 0, &audit, sizeof audit);
		uint64_t len = catalog->tenants[t]->name.len;
		buf_bytes(out, &len, sizeof len);
		buf_str(out, catalog->tenants[t]->name);
		item_end(out, at);
		for (size_t d = 0; d < catalog->tenants[t]->count; d++) {
			const struct document *document = catalog->tenants[t]->list[d];
			struct catalog_change change = catalog_document_change(document);
			struct document_item item = { .lsn = document->lsn };
			size_t start = item_begin(out, CAPTURE_DOCUMENT, 0, &item, sizeof item), from = out->len;
			catalog_change_encode(&change, out);
			item.len = out->len - from;
			memcpy(out->ptr + from - sizeof item, &item, sizeof item);
			item_end(out, start);
		}
	}
	struct mark_item mark = { catalog->last_lsn, MUTATE(54, catalog->last_id, 0) };
	item_end(out, item_begin(out, CAPTURE_MARK, 0, &mark, sizeof mark));
}

static void write_slices(struct writer *writer, unsigned group)
{
	const struct ledger *ledger = &writer->state->ledger;
	for (uint32_t b = 0; b < ledger->book_count; b++) {
		const struct slice *slice = ledger->books[b]->book_slices[group];
		struct slice_item item = { 0 };
		if (!slice)
			continue;
		item.book = book_number(writer, b);
		for (unsigned k = 0; k < SLICED_KINDS; k++) {
			struct slice_row *row = &item.rows[k];
			const struct account *account = ledger_account_at(ledger, slice->numbers[k]);
			row->number = slice->numbers[k];
			row->last_lsn = row->number && account ? account->last_lsn : 0;
			u128_store(row->sums[0], slice->sums[k].debits_posted);
			u128_store(row->sums[1], slice->sums[k].credits_posted);
			u128_store(row->sums[2], slice->sums[k].debits_pending);
			u128_store(row->sums[3], slice->sums[k].credits_pending);
		}
		item_end(writer->out, item_begin(writer->out, CAPTURE_SLICE, group, &item, sizeof item));
	}
	for (unsigned t = 0; t < TENANT_BUCKETS; t++)
		for (const struct tenant *tenant = writer->state->tenants[t]; tenant; tenant = tenant->next) {
			const struct tenant_slice *slice = tenant->slices[group];
			if (!slice)
				continue;
			struct tenant_slice_item item = { .last_lsn = slice->last_lsn, .event_count = slice->event_count,
							  .tenant = tenant_number(writer, tenant) };
			item_end(writer->out, item_begin(writer->out, CAPTURE_TENANT_SLICE, group, &item, sizeof item));
		}
}

static void write_extra(struct writer *writer, unsigned partition, uint32_t number)
{
	const struct account_extra *extra = ledger_extra(&writer->state->ledger, number);
	ASSERT(extra);
	struct extra_item item = { .number = number, .member_len = extra->member_len, .program_len = extra->program_len,
				   .floor = extra->floor, .ceiling = extra->ceiling, .created_ms = extra->created_ms };
	size_t start = item_begin(writer->out, CAPTURE_EXTRA, partition, &item, sizeof item);
	buf_bytes(writer->out, extra->names, (size_t)extra->member_len + extra->program_len);
	item_end(writer->out, start);
}

static void write_accounts(struct writer *writer, unsigned partition)
{
	const struct ledger *ledger = &writer->state->ledger;
	const struct table *table = &ledger->accounts[partition];
	struct buf *out = writer->out;
	bool extras = false;
	if (!table->count)
		return;
	size_t start = item_begin(out, CAPTURE_ACCOUNTS, partition, NULL, 0);
	buf_room(out, table->count * sizeof(struct account_row));
	for (uint32_t i = 0; i < table->slots; i++) {
		if (i + ACCOUNTS_AHEAD < table->slots && table->entries[i + ACCOUNTS_AHEAD].hash)
			__builtin_prefetch(ledger_account_at(ledger, (uint32_t)table->entries[i + ACCOUNTS_AHEAD].value));
		if (!table->entries[i].hash)
			continue;
		uint32_t number = (uint32_t)table->entries[i].value;
		const struct account *account = ledger_account_at(ledger, number);
		struct account_row row = { .debits_posted = account->debits_posted, .credits_posted = account->credits_posted,
					   .debits_pending = account->debits_pending,
					   .credits_pending = account->credits_pending, .last_lsn = account->last_lsn,
					   .number = number, .book = book_number(writer, account->book), .flags = account->flags,
					   .kind = account->kind };
		u128_store(row.id, account->id);
		buf_bytes(out, &row, sizeof row);
		extras |= account->flags & (ACCOUNT_LIMITED | ACCOUNT_NAMED);
	}
	item_end(out, start);
	for (uint32_t i = 0; extras && i < table->slots; i++) {
		uint32_t number = (uint32_t)table->entries[i].value;
		if (table->entries[i].hash && (ledger_account_at(ledger, number)->flags & (ACCOUNT_LIMITED | ACCOUNT_NAMED)))
			write_extra(writer, partition, number);
	}
}

static void write_more(struct buf *out, const struct member_more *more)
{
	struct more_item item = { MUTATE(68, more->debt, 0), more->seq, more->reward_count, more->bonus_count,
				  MUTATE(67, more->counter_count, 0) };
	buf_bytes(out, &item, sizeof item);
	for (uint32_t i = 0; i < more->reward_count; i++) {
		const struct reward_item *reward = &more->rewards[i];
		struct reward_row row = { reward->reward, reward->issued_ms, reward->expires_ms, reward->ended_ms, reward->seq,
					  reward->state, reward->name_len };
		buf_bytes(out, &row, sizeof row);
		buf_bytes(out, reward->name, reward->name_len);
	}
	for (uint32_t i = 0; i < more->bonus_count; i++) {
		const struct bonus_item *bonus = &more->bonuses[i];
		struct bonus_row row = { bonus->awarded_ms, bonus->seq, bonus->period, bonus->key_len, 0 };
		buf_bytes(out, &row, sizeof row);
		buf_bytes(out, bonus->key, bonus->key_len);
	}
	for (uint32_t i = 0; i < item.counters; i++) {
		struct counter_row row = { more->counters[i].key, more->counters[i].period, more->counters[i].count };
		buf_bytes(out, &row, sizeof row);
	}
}

static void write_member(struct writer *writer, unsigned partition, const struct member *member)
{
	struct buf *out = writer->out;
	struct str profile = member_profile(member), status = member_status(member);
	struct member_item item = { .hash = member->hash, .last_lsn = member->last_lsn, .status_points = member->status_points,
				    .lifetime_points = member->lifetime_points, .created_ms = member->created_ms,
				    .active_ms = member->active_ms, .tenant = tenant_number(writer, member->tenant),
				    .account = member->account ? member->account_number : 0,
				    .event_count = member->event_count, .attributes_len = member->attributes_len,
				    .profile_len = member->profile_len, .status_len = member->status_len,
				    .tag_count = member->tag_count, .flags = member->more ? MEMBER_MORE : 0 };
	size_t start = item_begin(out, CAPTURE_MEMBER, partition, &item, sizeof item);
	buf_str(out, profile);
	buf_str(out, status);
	buf_bytes(out, member->attributes, member->attributes_len);
	for (unsigned t = 0; t < member->tag_count; t++) {
		uint16_t len = (uint16_t)member->tags[t].len;
		buf_bytes(out, &len, sizeof len);
		buf_str(out, member->tags[t]);
	}
	if (member->more)
		write_more(out, member->more);
	item_end(out, start);
}

static void write_members(struct writer *writer, unsigned partition)
{
	const struct table *table = &writer->state->members[partition];
	for (uint32_t i = 0; i < table->slots; i++) {
		if (i + MEMBERS_AHEAD < table->slots && table->entries[i + MEMBERS_AHEAD].hash) {
			const char *ahead = (const char *)(uintptr_t)table->entries[i + MEMBERS_AHEAD].value;
			__builtin_prefetch(ahead);
			__builtin_prefetch(ahead + 64);
			__builtin_prefetch(ahead + 128);
		}
		if (i + MEMBERS_AHEAD / 2 < table->slots && table->entries[i + MEMBERS_AHEAD / 2].hash)
			__builtin_prefetch(((const struct member *)(uintptr_t)table->entries[i + MEMBERS_AHEAD / 2].value)->status);
		if (table->entries[i].hash)
			write_member(writer, partition, (const struct member *)(uintptr_t)table->entries[i].value);
	}
}

static void write_ids(struct writer *writer, unsigned partition)
{
	const struct table *ids = &writer->state->ids.tables[partition], *pendings = &writer->state->ledger.pendings[partition];
	struct buf *out = writer->out;
	const struct left_out_item left_out = {
		writer->state->ids.runs ? writer->state->ids.runs->below + MUTATE(81, 0u, 4096u) : 0 };
	if (left_out.below)
		item_end(out, item_begin(out, CAPTURE_LEFT_OUT, partition, &left_out, sizeof left_out));
	if (MUTATE(44, ids->count, 0)) {
		size_t start = item_begin(out, CAPTURE_IDS, partition, NULL, 0);
		buf_room(out, ids->count * sizeof(struct id_row));
		for (uint32_t i = 0; i < ids->slots; i++)
			if (ids->entries[i].hash && ids->entries[i].value != ID_IN_FLIGHT && MUTATE(55, true, i != ids->slots / 2) &&
			    (ids->entries[i].value & ID_LSN) >= left_out.below)
				buf_bytes(out, &(struct id_row){ ids->entries[i].hash, ids->entries[i].value }, sizeof(struct id_row));
		item_end(out, start);
	}
	uint32_t ended = 0;
	for (uint32_t i = 0; i < pendings->slots; i++) {
		const struct table_entry *entry = &pendings->entries[i];
		const struct pending *pending = (const struct pending *)(uintptr_t)entry->value;
		if (!entry->hash)
			continue;
		if (entry->value <= PENDING_EXPIRED) {
			ended++;
			continue;
		}
		struct pending_item item = { .hash = entry->hash, .lsn = pending->lsn, .amount = pending->amount,
					     .expires_ms = pending->expires_ms, .debit = pending->debit,
					     .credit = pending->credit, .code = pending->code,
					     .state = pending->state };
		u128_store(item.id, pending->id);
		item_end(out, item_begin(out, CAPTURE_PENDING, partition, &item, sizeof item));
	}
	if (!ended)
		return;
	size_t start = item_begin(out, CAPTURE_ENDED, partition, NULL, 0);
	for (uint32_t i = 0; i < pendings->slots; i++)
		if (pendings->entries[i].hash && pendings->entries[i].value <= PENDING_EXPIRED)
			buf_bytes(out, &(struct id_row){ pendings->entries[i].hash, pendings->entries[i].value },
				  sizeof(struct id_row));
	item_end(out, start);
}

void capture_take(struct capture *capture, const struct state *state, const struct catalog *catalog)
{
	struct writer writer = { .state = state, .out = &capture->bytes, .books = mem_zalloc(state->ledger.book_count) };
	capture->bytes.len = 0;
	if (capture->shared) {
		write_shared(&writer, catalog);
	} else {
		unsigned p = capture->partition, group = group_of(p);
		ASSERT(p < PARTITION_COUNT && state_owns(state, p));
		if (p % PARTITIONS_PER_GROUP == 0)
			write_slices(&writer, group);
		do {
			write_accounts(&writer, p);
			write_members(&writer, p);
			write_ids(&writer, p);
			p++;
		} while (p % PARTITIONS_PER_GROUP && capture->bytes.len < capture->limit);
		capture->behind = p;
	}
	write_books(&writer);
	buf_free(&writer.named);
	table_free(&writer.tenant_numbers);
	mem_free(writer.tenants);
	mem_free(writer.books);
}

static int row_order(const void *a, const void *b)
{
	struct id_row one, other;
	memcpy(&one, a, sizeof one);
	memcpy(&other, b, sizeof other);
	if (one.hash != other.hash)
		return one.hash < other.hash ? -1 : 1;
	return (one.value > other.value) - (one.value < other.value);
}

void capture_settle(struct buf *bytes)
{
	for (size_t at = 0; at < bytes->len;) {
		struct item_head head;
		memcpy(&head, bytes->ptr + at, sizeof head);
		if (head.type == CAPTURE_IDS || head.type == CAPTURE_ENDED)
			qsort(bytes->ptr + at + sizeof head, (head.size - sizeof head) / sizeof(struct id_row), sizeof(struct id_row),
			      row_order);
		at += head.size;
	}
}

/* ---- loading ---------------------------------------------------------------------------------------------------------- */

/* What a piece's numbers stand for.  A number may be any: the list is as long as there are items, not as the highest of them. */
struct numbers {
	struct numbered { uint32_t number; void *what; } *at;  /* owned; by number, once all are there */
	uint32_t count, cap;
};

struct loader {
	struct state *state;
	struct catalog *catalog;
	struct numbers tenants, books;
	uint64_t extras;               /* accounts whose names and limits have not come yet */
	const char *why;
};

static bool refuse(struct loader *loader, const char *why)
{
	loader->why = why;
	return false;
}

static void number_add(struct numbers *numbers, uint32_t number, void *what)
{
	if (numbers->count == numbers->cap) {
		numbers->cap = numbers->cap ? numbers->cap * 2 : 16;
		numbers->at = mem_realloc(numbers->at, numbers->cap * sizeof *numbers->at);
	}
	numbers->at[numbers->count++] = (struct numbered){ number, what };
}

static int number_order(const void *a, const void *b)
{
	const struct numbered *one = a, *other = b;
	return (one->number > other->number) - (one->number < other->number);
}

/* False: a number stands for two. */
static bool numbers_sort(struct numbers *numbers)
{
	bool once = true;
	if (numbers->count)
		qsort(numbers->at, numbers->count, sizeof *numbers->at, number_order);
	for (uint32_t i = 1; i < numbers->count && once; i++)
		once = numbers->at[i].number != numbers->at[i - 1].number;
	return once;
}

/* Most pieces number without gaps: then the number is the place. */
static void *number_find(const struct numbers *numbers, uint32_t number)
{
	if (number < numbers->count && numbers->at[number].number == number)
		return numbers->at[number].what;
	const struct numbered wanted = { number, NULL };
	const struct numbered *found = numbers->count ? bsearch(&wanted, numbers->at, numbers->count, sizeof wanted, number_order) : NULL;
	return found ? found->what : NULL;
}

static bool load_tenant(struct loader *loader, const char *content, size_t len)
{
	struct tenant_item item;
	if (len < sizeof item)
		return refuse(loader, "a tenant is too short");
	memcpy(&item, content, sizeof item);
	if (item.name_len > len - sizeof item)
		return refuse(loader, "a tenant's name is too long");
	number_add(&loader->tenants, item.number, state_tenant(loader->state, (struct str){ content + sizeof item, item.name_len }));
	return true;
}

static bool load_book(struct loader *loader, const char *content, size_t len)
{
	struct book_item item;
	if (len < sizeof item)
		return refuse(loader, "a book is too short");
	memcpy(&item, content, sizeof item);
	if ((size_t)item.tenant_len + item.unit_len > len - sizeof item)
		return refuse(loader, "a book's names are too long");
	number_add(&loader->books, item.number,
		   ledger_book(&loader->state->ledger, (struct str){ content + sizeof item, item.tenant_len },
			       (struct str){ content + sizeof item + item.tenant_len, item.unit_len }));
	return true;
}

static bool load_slice(struct loader *loader, unsigned group, const char *content, size_t len)
{
	struct slice_item item;
	struct ledger *ledger = &loader->state->ledger;
	if (len < sizeof item)
		return refuse(loader, "a slice is too short");
	memcpy(&item, content, sizeof item);
	struct book *book = number_find(&loader->books, item.book);
	if (!book || group >= GROUP_COUNT)
		return refuse(loader, "a slice is of no book");
	struct slice *slice = ledger_slice(ledger, book, group);
	for (unsigned k = 0; k < SLICED_KINDS; k++) {
		const struct slice_row *row = &item.rows[k];
		slice->sums[k] = (struct slice_sums){ u128_load(row->sums[0]), u128_load(row->sums[1]), u128_load(row->sums[2]),
						      u128_load(row->sums[3]) };
		if (row->number && (number_group(row->number) != group ||
				    !ledger_load_slice(ledger, book, k + ACCOUNT_FIRST_SLICED, row->number, row->last_lsn)))
			return refuse(loader, "a slice's number is taken, or higher than the group's accounts are many");
	}
	return true;
}

static bool load_tenant_slice(struct loader *loader, unsigned group, const char *content, size_t len)
{
	struct tenant_slice_item item;
	if (len < sizeof item)
		return refuse(loader, "a tenant's slice is too short");
	memcpy(&item, content, sizeof item);
	struct tenant *tenant = number_find(&loader->tenants, item.tenant);
	if (!tenant || group >= GROUP_COUNT)
		return refuse(loader, "a tenant's slice is of no tenant");
	struct tenant_slice *slice = state_load_slice(tenant, group);
	slice->last_lsn = item.last_lsn;
	slice->event_count = item.event_count;
	return true;
}

/* Room for a partition's entries, before they come. */
static void reserve(struct table *table, uint64_t *bytes, size_t count, unsigned partition)
{
	size_t before = table_bytes(table);
	table_reserve(table, (uint32_t)count, partition * 401u);
	*bytes += table_bytes(table) - before;
}

static bool load_accounts(struct loader *loader, unsigned partition, const char *content, size_t len)
{
	struct ledger *ledger = &loader->state->ledger;
	if (len % sizeof(struct account_row))
		return refuse(loader, "accounts are cut");
	reserve(&ledger->accounts[partition], &ledger->bytes, len / sizeof(struct account_row), partition);
	for (size_t at = 0; at < len; at += sizeof(struct account_row)) {
		struct account_row row;
		if (at + ACCOUNTS_AHEAD * sizeof row < len) {
			uint32_t ahead;
			memcpy(&ahead, content + at + ACCOUNTS_AHEAD * sizeof row + offsetof(struct account_row, number), sizeof ahead);
			__builtin_prefetch(ledger_account_at(ledger, ahead), 1);
		}
		memcpy(&row, content + at, sizeof row);
		struct account_image image = { .id = u128_load(row.id), .debits_posted = row.debits_posted,
					       .credits_posted = row.credits_posted, .debits_pending = row.debits_pending,
					       .credits_pending = row.credits_pending, .last_lsn = row.last_lsn,
					       .number = row.number, .flags = row.flags, .kind = row.kind,
					       .book = number_find(&loader->books, row.book) };
		const unsigned known = ACCOUNT_CLOSED | ACCOUNT_LIMITED | ACCOUNT_FLOOR_ZERO | ACCOUNT_NAMED;
		if (!image.book || row.kind >= ACCOUNT_FIRST_SLICED || (row.flags & ~known) || number_group(row.number) != group_of(partition) ||
		    partition_of(account_key(image.id)) != partition)
			return refuse(loader, "an account does not belong here");
		if (!ledger_load_account(ledger, &image))
			return refuse(loader, "an account's number is taken, or higher than the group's accounts are many");
		loader->extras += (row.flags & (ACCOUNT_LIMITED | ACCOUNT_NAMED)) != 0;
	}
	return true;
}

static bool load_extra(struct loader *loader, unsigned partition, const char *content, size_t len)
{
	struct extra_item item;
	struct ledger *ledger = &loader->state->ledger;
	if (len < sizeof item)
		return refuse(loader, "an account's names are too short");
	memcpy(&item, content, sizeof item);
	const struct account *account = ledger_account_at(ledger, item.number);
	if ((size_t)item.member_len + item.program_len > len - sizeof item || !account ||
	    !(account->flags & (ACCOUNT_LIMITED | ACCOUNT_NAMED)) || partition_of(account_key(account->id)) != partition ||
	    ledger_extra(ledger, item.number))
		return refuse(loader, "an account's names are too long, or of no account that has any");
	loader->extras--;
	const struct account_extra limits = { .floor = item.floor, .ceiling = item.ceiling, .created_ms = item.created_ms };
	const char *names = content + sizeof item;
	ledger_load_extra(ledger, item.number, &limits, (struct str){ names, item.member_len },
			  (struct str){ names + item.member_len, item.program_len });
	return true;
}

/* Takes `size` bytes off the front; false where there are fewer. */
static bool take(const char **at, const char *end, void *out, size_t size)
{
	if ((size_t)(end - *at) < size)
		return false;
	memcpy(out, *at, size);
	*at += size;
	return true;
}

static bool load_more(struct member *member, const char *at, const char *end)
{
	struct more_item item;
	struct reward_row reward;
	struct bonus_row bonus;
	struct counter_row counter;
	if (!take(&at, end, &item, sizeof item))
		return false;
	for (uint32_t i = 0; i < item.rewards; i++) {
		if (!take(&at, end, &reward, sizeof reward) || reward.name_len > end - at || reward.state >= REWARD_STATES ||
		    !member_add_reward(member, &(struct reward_item){ .reward = reward.reward, .issued_ms = reward.issued_ms,
								      .expires_ms = reward.expires_ms, .ended_ms = reward.ended_ms,
								      .seq = reward.seq, .state = reward.state },
				       (struct str){ at, reward.name_len }))
			return false;
		at += reward.name_len;
	}
	for (uint32_t i = 0; i < item.bonuses; i++) {
		if (!take(&at, end, &bonus, sizeof bonus) || bonus.key_len > end - at ||
		    !member_add_bonus(member, &(struct bonus_item){ .awarded_ms = bonus.awarded_ms, .seq = bonus.seq,
								    .period = bonus.period }, (struct str){ at, bonus.key_len }))
			return false;
		at += bonus.key_len;
	}
	for (uint32_t i = 0; i < item.counters; i++)
		if (!take(&at, end, &counter, sizeof counter) ||
		    !member_count(member, counter.key, counter.period, counter.count))
			return false;
	struct member_more *more = member_more(member);
	if (more->counter_count != item.counters || more->seq > item.seq)
		return false;
	more->debt = item.debt;
	more->seq = MUTATE(64, item.seq, item.rewards);
	return true;
}

static bool load_member(struct loader *loader, unsigned partition, const char *content, size_t len)
{
	struct member_item item;
	if (len < sizeof item)
		return refuse(loader, "a member is too short");
	memcpy(&item, content, sizeof item);
	struct tenant *tenant = number_find(&loader->tenants, item.tenant);
	const char *at = content + sizeof item, *end = content + len;
	if ((size_t)item.profile_len + item.status_len + item.attributes_len > (size_t)(end - at))
		return refuse(loader, "a member's texts are too long");
	if (!tenant || !item.hash || partition_of(item.hash) != partition || item.tag_count > MEMBER_TAGS_MAX)
		return refuse(loader, "a member does not belong here");
	struct member *member = state_load_member(loader->state, tenant, item.hash, (struct str){ at, item.profile_len },
						  item.created_ms);
	at += item.profile_len;
	member_set_status(member, (struct str){ at, item.status_len });
	at += item.status_len;
	member_set_attributes(member, (struct str){ at, item.attributes_len });
	at += item.attributes_len;
	for (unsigned t = 0; t < item.tag_count; t++) {
		uint16_t tag;
		if ((size_t)(end - at) < sizeof tag)
			return refuse(loader, "a member's tags are cut");
		memcpy(&tag, at, sizeof tag);
		at += sizeof tag;
		if (tag > end - at || !member_add_tag(member, (struct str){ at, tag }))
			return refuse(loader, "a member's tags are cut, or stand there twice");
		at += tag;
	}
	member->last_lsn = item.last_lsn;
	member->status_points = item.status_points;
	member->lifetime_points = item.lifetime_points;
	member->active_ms = item.active_ms;
	member->event_count = item.event_count;
	if (item.account) {
		member->account_number = item.account;
		member->account = ledger_account_at(&loader->state->ledger, item.account);
		if (!member->account || !member->account->id || (member->account->flags & ACCOUNT_SLICE))
			return refuse(loader, "a member's account is not there");
	}
	if ((item.flags & MEMBER_MORE) && !load_more(member, at, end))
		return refuse(loader, "a member's rewards, bonuses or counters are cut, or stand there twice");
	state_loaded(loader->state, member);
	return true;
}

static bool load_ids(struct loader *loader, unsigned partition, const char *content, size_t len, bool ended)
{
	if (len % sizeof(struct id_row))
		return refuse(loader, "ids are cut");
	if (!ended)
		reserve(&loader->state->ids.tables[partition], &loader->state->ids.bytes, len / sizeof(struct id_row), partition);
	for (size_t at = 0; at < len; at += sizeof(struct id_row)) {
		struct id_row row;
		memcpy(&row, content + at, sizeof row);
		if (!row.hash || partition_of(row.hash) != partition ||
		    (ended ? !row.value || row.value > PENDING_EXPIRED : row.value & ID_IN_FLIGHT))
			return refuse(loader, "an id does not belong here");
		if (ended) {
			ledger_load_ended(&loader->state->ledger, row.hash, (enum pending_state)row.value);
			continue;
		}
		if ((row.value & ID_LSN) < loader->state->ids.filed_below)
			continue;              /* it has moved since */
		ids_insert(&loader->state->ids, row.hash, row.value);
		loader->state->ids.failed += row.value & ID_FAILED ? 1 : 0;
	}
	return true;
}

static bool load_left_out(struct loader *loader, const char *content, size_t len)
{
	struct left_out_item item;
	if (len < sizeof item)
		return refuse(loader, "what was left out is cut");
	memcpy(&item, content, sizeof item);
	if (item.below > loader->state->ids.left_out)
		loader->state->ids.left_out = item.below;
	return true;
}

static bool load_pending(struct loader *loader, unsigned partition, const char *content, size_t len)
{
	struct pending_item item;
	if (len < sizeof item)
		return refuse(loader, "a pending transfer is too short");
	memcpy(&item, content, sizeof item);
	if (!item.hash || partition_of(item.hash) != partition || item.state > PENDING_EXPIRED)
		return refuse(loader, "a pending transfer does not belong here");
	const struct pending pending = { .id = u128_load(item.id), .lsn = item.lsn, .amount = item.amount,
					 .expires_ms = item.expires_ms, .debit = item.debit, .credit = item.credit,
					 .code = item.code, .state = (uint8_t)item.state };
	ledger_load_pending(&loader->state->ledger, &pending, item.hash);
	return true;
}

static bool load_sliced(struct loader *loader, const char *content, size_t len)
{
	struct sliced_item item;
	if (len < sizeof item)
		return refuse(loader, "a sliced account is too short");
	memcpy(&item, content, sizeof item);
	if ((size_t)item.tenant_len + item.unit_len > len - sizeof item || item.kind >= ACCOUNT_KINDS || !kind_is_sliced(item.kind))
		return refuse(loader, "a sliced account's names are too long, or its kind is unknown");
	struct sliced_record_view view = { .head = { .kind = (uint8_t)item.kind },
					   .tenant = { content + sizeof item, item.tenant_len },
					   .unit = { content + sizeof item + item.tenant_len, item.unit_len } };
	memcpy(view.head.id, item.id, sizeof item.id);
	sliced_apply(&loader->state->ledger, &view);
	return true;
}

static bool load_document(struct loader *loader, const char *content, size_t len)
{
	struct document_item item;
	struct catalog_change change;
	if (len < sizeof item)
		return refuse(loader, "a document is too short");
	memcpy(&item, content, sizeof item);
	if (item.len > len - sizeof item || !catalog_change_decode(content + sizeof item, item.len, &change) ||
	    change.op != CATALOG_PUT)
		return refuse(loader, "a document cannot be read");
	if (loader->catalog)
		catalog_apply(loader->catalog, &change, item.lsn);
	return true;
}

static bool load_audit(struct loader *loader, const char *content, size_t len)
{
	uint64_t head[2];
	if (len < sizeof head)
		return refuse(loader, "the head of an audit is too short");
	memcpy(head, content, sizeof head);
	if (!head[1] || head[1] > len - sizeof head)
		return refuse(loader, "the head of an audit has no tenant");
	if (loader->catalog)
		catalog_audit_set(loader->catalog, (struct str){ content + sizeof head, (size_t)head[1] }, head[0]);
	return true;
}

static bool load_mark(struct loader *loader, const char *content, size_t len)
{
	struct mark_item item;
	if (len < sizeof item)
		return refuse(loader, "the catalog's mark is too short");
	memcpy(&item, content, sizeof item);
	const struct catalog_change mark = { .op = CATALOG_MARK, .id = item.last_id };
	if (loader->catalog)
		catalog_apply(loader->catalog, &mark, item.last_lsn);
	return true;
}

/* Whose work an item is. */
static enum state_parts parts_of(unsigned type)
{
	return type == CAPTURE_IDS || type == CAPTURE_PENDING || type == CAPTURE_ENDED || type == CAPTURE_LEFT_OUT ? STATE_IDS : STATE_ACTORS;
}

static bool load_item(struct loader *loader, const struct item_head *head, const char *content, enum state_parts parts)
{
	size_t len = head->size - sizeof *head;
	unsigned place = head->place;
	if (!(parts_of(head->type) & parts))
		return true;
	if (((head->type >= CAPTURE_ACCOUNTS && head->type <= CAPTURE_ENDED) || head->type == CAPTURE_LEFT_OUT) &&
	    (place >= PARTITION_COUNT || !state_owns(loader->state, place)))
		return refuse(loader, "an item is of another partition");
	switch ((enum capture_item)head->type) {
	case CAPTURE_TENANT:
	case CAPTURE_BOOK: return true;        /* taken before */
	case CAPTURE_TENANT_SLICE: return load_tenant_slice(loader, place, content, len);
	case CAPTURE_SLICE: return load_slice(loader, place, content, len);
	case CAPTURE_ACCOUNTS: return load_accounts(loader, place, content, len);
	case CAPTURE_EXTRA: return load_extra(loader, place, content, len);
	case CAPTURE_MEMBER: return load_member(loader, place, content, len);
	case CAPTURE_IDS: return load_ids(loader, place, content, len, false);
	case CAPTURE_PENDING: return load_pending(loader, place, content, len);
	case CAPTURE_ENDED: return load_ids(loader, place, content, len, true);
	case CAPTURE_SLICED: return load_sliced(loader, content, len);
	case CAPTURE_DOCUMENT: return load_document(loader, content, len);
	case CAPTURE_MARK: return load_mark(loader, content, len);
	case CAPTURE_AUDIT: return load_audit(loader, content, len);
	case CAPTURE_LEFT_OUT: return load_left_out(loader, content, len);
	}
	return refuse(loader, "an item is of an unknown type");
}

void capture_loadable(struct state *state, unsigned group, uint64_t bytes, uint64_t log_bytes)
{
	/* An account comes into being by a record of its own, or by an event's. */
	enum { LEAST_RECORD = 64 };
	static_assert(sizeof(struct account_record) >= LEAST_RECORD && sizeof(struct event_head) >= LEAST_RECORD, "each takes at least so much");
	uint64_t most = bytes / sizeof(struct account_row) + log_bytes / LEAST_RECORD;
	state->ledger.loadable[group] = most < ACCOUNT_INDEX_MASK ? (uint32_t)most : ACCOUNT_INDEX_MASK;
}

bool capture_load(struct state *state, struct catalog *catalog, const void *bytes, size_t len, enum state_parts parts,
		  const char **why)
{
	struct loader loader = { .state = state, .catalog = catalog };
	bool good = true;
	/* First what the others name by number. */
	for (unsigned pass = 0; pass < 2; pass++) {
		if (pass && good && (!numbers_sort(&loader.tenants) || !numbers_sort(&loader.books)))
			good = refuse(&loader, "a number stands for two tenants or books");
		for (size_t at = 0; at < len && good;) {
			struct item_head head = { 0 };
			if (len - at >= sizeof head)
				memcpy(&head, (const char *)bytes + at, sizeof head);
			if (head.size < sizeof head || head.size % 8 || head.size > len - at) {
				good = refuse(&loader, "an item's size makes no sense");
				break;
			}
			const char *content = (const char *)bytes + at + sizeof head;
			if (pass)
				good = load_item(&loader, &head, content, parts);
			else if ((parts & STATE_ACTORS) && head.type == CAPTURE_TENANT)
				good = load_tenant(&loader, content, head.size - sizeof head);
			else if ((parts & STATE_ACTORS) && head.type == CAPTURE_BOOK)
				good = load_book(&loader, content, head.size - sizeof head);
			at += head.size;
		}
	}
	if (good && loader.extras)
		good = refuse(&loader, "an account's names and limits are not there");
	mem_free(loader.tenants.at);
	mem_free(loader.books.at);
	*why = loader.why;
	return good;
}
