// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/ledger.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"

void ledger_init(struct ledger *ledger, unsigned shard, unsigned shard_count, struct ids *ids)
{
	*ledger = (struct ledger){ .shard = shard, .shard_count = shard_count, .ids = ids };
	atomic_init(&ledger->next_expiry_ms, INT64_MAX);
}

static void table_free_values(struct table *table)
{
	for (uint32_t i = 0; i < table->slots; i++)
		if (table->entries[i].hash && table->entries[i].value > PENDING_EXPIRED)
			mem_free((void *)(uintptr_t)table->entries[i].value);
	table_free(table);
}

void ledger_deinit(struct ledger *ledger)
{
	for (unsigned p = 0; p < PARTITION_COUNT; p++) {
		table_free(&ledger->accounts[p]);
		table_free_values(&ledger->pendings[p]);
	}
	for (unsigned g = 0; g < GROUP_COUNT; g++) {
		for (uint32_t s = 0; s < ledger->groups[g].slab_count; s++)
			mem_free(ledger->groups[g].slabs[s]);
		mem_free(ledger->groups[g].slabs);
	}
	for (uint32_t b = 0; b < ledger->book_count; b++) {
		struct book *book = ledger->books[b];
		for (unsigned g = 0; g < GROUP_COUNT; g++)
			mem_free(book->book_slices[g]);
		mem_free((char *)(uintptr_t)book->tenant.ptr);
		mem_free((char *)(uintptr_t)book->unit.ptr);
		mem_free(book);
	}
	mem_free(ledger->books);
	mem_free(ledger->heap);
	table_free(&ledger->book_names);
	table_free(&ledger->sliced);
	table_free_values(&ledger->extras);
}

static bool owns(const struct ledger *ledger, unsigned group)
{
	return group * ledger->shard_count / GROUP_COUNT == ledger->shard;
}

/* ---- finding ---------------------------------------------------------------------------------------------------------- */

struct account *ledger_account(const struct ledger *ledger, u128 id, uint64_t key, uint32_t *number)
{
	const struct table *table = &ledger->accounts[partition_of(key)];
	for (const struct table_entry *entry = table_find(table, key, NULL); entry; entry = table_find(table, key, entry)) {
		struct account *account = ledger_account_at(ledger, (uint32_t)entry->value);
		if (account->id == id) {
			*number = (uint32_t)entry->value;
			return account;
		}
	}
	return NULL;
}

struct book *ledger_sliced(const struct ledger *ledger, u128 id, uint64_t key, enum account_kind *kind)
{
	if (!ledger_maybe_sliced(ledger, key))
		return NULL;
	for (const struct table_entry *entry = table_find(&ledger->sliced, key, NULL); entry;
	     entry = table_find(&ledger->sliced, key, entry)) {
		struct book *book = ledger->books[entry->value >> 8];
		*kind = (enum account_kind)(entry->value & 255);
		if (book->ids[*kind - ACCOUNT_FIRST_SLICED] == id)
			return book;
	}
	return NULL;
}

struct book *ledger_book_find(const struct ledger *ledger, struct str tenant, struct str unit)
{
	uint64_t hash = hash_name(HASH_TENANT, tenant, unit);
	for (const struct table_entry *entry = table_find(&ledger->book_names, hash, NULL); entry;
	     entry = table_find(&ledger->book_names, hash, entry)) {
		struct book *book = ledger->books[entry->value];
		if (str_eq(book->tenant, tenant) && str_eq(book->unit, unit))
			return book;
	}
	return NULL;
}

struct book *ledger_book(struct ledger *ledger, struct str tenant, struct str unit)
{
	struct book *book = ledger_book_find(ledger, tenant, unit);
	if (book)
		return book;
	book = mem_zalloc(sizeof *book);
	book->tenant = (struct str){ mem_dup(tenant.ptr, tenant.len), tenant.len };
	book->unit = (struct str){ mem_dup(unit.ptr, unit.len), unit.len };
	book->index = ledger->book_count;
	if ((ledger->book_count & (ledger->book_count - 1)) == 0)
		ledger->books = mem_realloc(ledger->books, (ledger->book_count ? ledger->book_count * 2 : 1) *
								   sizeof *ledger->books);
	ledger->books[ledger->book_count++] = book;
	table_insert(&ledger->book_names, hash_name(HASH_TENANT, tenant, unit), book->index);
	ledger->bytes += sizeof *book + tenant.len + unit.len + 96;
	return book;
}

struct slice *ledger_slice(struct ledger *ledger, struct book *book, unsigned group)
{
	struct slice **slice = &book->book_slices[group];
	if (!*slice) {
		*slice = mem_lines((sizeof **slice + 63) / 64 * 64);
		ledger->bytes += sizeof **slice;
	}
	return *slice;
}

uint32_t ledger_next_number(const struct ledger *ledger, unsigned group)
{
	uint32_t next = ledger->groups[group].count + 1;
	return next <= ACCOUNT_INDEX_MASK ? (uint32_t)group << ACCOUNT_GROUP_SHIFT | next : 0;
}

static uint64_t number_hash(uint32_t number)
{
	return number * UINT64_C(0x9E3779B97F4A7C15);
}

struct account_extra *ledger_extra(const struct ledger *ledger, uint32_t number)
{
	const struct table_entry *entry = table_find(&ledger->extras, number_hash(number), NULL);
	return entry ? (struct account_extra *)(uintptr_t)entry->value : NULL;
}

void ledger_limits(const struct ledger *ledger, const struct account *account, uint32_t number, int64_t *floor,
		   int64_t *ceiling)
{
	*floor = account->flags & ACCOUNT_FLOOR_ZERO ? 0 : NO_FLOOR;
	*ceiling = NO_CEILING;
	if (account->flags & ACCOUNT_LIMITED) {
		const struct account_extra *extra = ledger_extra(ledger, number);
		ASSERT(extra);
		*floor = extra->floor;
		*ceiling = extra->ceiling;
	}
}

/* ---- accounts --------------------------------------------------------------------------------------------------------- */

/* Room for the accounts of a group up to this number. */
static void group_room(struct ledger *ledger, struct group_accounts *list, uint32_t index)
{
	while (index / SLAB_ACCOUNTS >= list->slab_count) {
		if ((list->slab_count & (list->slab_count - 1)) == 0)
			list->slabs = mem_realloc(list->slabs, (list->slab_count ? list->slab_count * 2 : 1) * sizeof *list->slabs);
		list->slabs[list->slab_count++] = mem_lines(SLAB_ACCOUNTS * sizeof(struct account));
		ledger->bytes += SLAB_ACCOUNTS * sizeof(struct account);
	}
}

/* A number that a snapshot left out: its account came into being while others of the group had been written already. */
static struct account *account_hole(struct ledger *ledger, uint32_t number)
{
	struct account *account = ledger->holes ? ledger_account_at(ledger, number) : NULL;
	if (!account || account->id)
		return NULL;
	ledger->holes--;
	return account;
}

static struct account *account_new(struct ledger *ledger, unsigned group, uint32_t number)
{
	struct group_accounts *list = &ledger->groups[group];
	if (number != ledger_next_number(ledger, group))
		return account_hole(ledger, number);
	uint32_t index = ++list->count;
	group_room(ledger, list, index);
	return &list->slabs[index / SLAB_ACCOUNTS][index % SLAB_ACCOUNTS];
}

static void account_index(struct ledger *ledger, u128 id, uint32_t number)
{
	uint64_t key = account_key(id);
	struct table *table = &ledger->accounts[partition_of(key)];
	size_t before = table_bytes(table);
	table_insert(table, key, number);
	ledger->bytes += table_bytes(table) - before;
	ledger->account_total++;
}

void ledger_load_extra(struct ledger *ledger, uint32_t number, const struct account_extra *limits, struct str member,
		       struct str program)
{
	struct account_extra *extra = mem_alloc(sizeof *extra + member.len + program.len);
	*extra = (struct account_extra){ .floor = limits->floor, .ceiling = limits->ceiling, .created_ms = limits->created_ms,
					 .member_len = (uint16_t)member.len, .program_len = (uint16_t)program.len };
	if (member.len)
		memcpy(extra->names, member.ptr, member.len);
	if (program.len)
		memcpy(extra->names + member.len, program.ptr, program.len);
	size_t before = table_bytes(&ledger->extras);
	table_insert(&ledger->extras, number_hash(number), (uint64_t)(uintptr_t)extra);
	ledger->bytes += table_bytes(&ledger->extras) - before + sizeof *extra + member.len + program.len + 16;
}

static void extra_keep(struct ledger *ledger, const struct account_record_view *record)
{
	const struct account_extra limits = { .floor = record->head.floor, .ceiling = record->head.ceiling,
					      .created_ms = record->head.time_ms };
	ledger_load_extra(ledger, record->head.number, &limits, record->member, record->program);
}

struct account *account_apply(struct ledger *ledger, const struct account_record_view *record, uint64_t lsn)
{
	const struct account_record *head = &record->head;
	unsigned group = number_group(head->number);
	struct account *account;
	if (head->op == ACCOUNT_OP_FLAGS) {
		account = ledger_account_at(ledger, head->number);
		if (!account)
			return NULL;
		account->flags = (uint16_t)((account->flags & ~ACCOUNT_CLOSED) | (head->flags & ACCOUNT_CLOSED));
		account->last_lsn = lsn;
		return account;
	}
	account = account_new(ledger, group, head->number);
	if (!account)
		return NULL;
	struct book *book = ledger_book(ledger, record->tenant, record->unit);
	account->book = book->index;
	account->kind = head->kind;
	account->flags = head->flags;
	account->last_lsn = lsn;
	if (head->flags & ACCOUNT_SLICE) {
		struct slice *slice = ledger_slice(ledger, book, group);
		slice->numbers[head->kind - ACCOUNT_FIRST_SLICED] = head->number;
		account->id = (uintptr_t)&slice->sums[head->kind - ACCOUNT_FIRST_SLICED];
		return account;
	}
	account->id = u128_load(head->id);
	ledger->raw_total += head->kind == ACCOUNT_RAW;
	if (head->flags & (ACCOUNT_LIMITED | ACCOUNT_NAMED))
		extra_keep(ledger, record);
	account_index(ledger, account->id, head->number);
	return account;
}

void sliced_apply(struct ledger *ledger, const struct sliced_record_view *record)
{
	struct book *book = ledger_book(ledger, record->tenant, record->unit);
	u128 id = u128_load(record->head.id);
	if (book->ids[record->head.kind - ACCOUNT_FIRST_SLICED] == id)
		return;                        /* replayed twice */
	book->ids[record->head.kind - ACCOUNT_FIRST_SLICED] = id;
	uint64_t key = account_key(id), bit = key >> SLICED_FILTER_SHIFT;
	ledger->sliced_filter[bit / 64] |= UINT64_C(1) << bit % 64;
	table_insert(&ledger->sliced, key, (uint64_t)book->index << 8 | record->head.kind);
	ledger->bytes += 24;
}

/* ---- a snapshot ------------------------------------------------------------------------------------------------------- */

/* The place of an account that a snapshot has.  They come in any order: what is below the highest and not there is a hole. */
static struct account *account_place(struct ledger *ledger, uint32_t number)
{
	struct group_accounts *list = &ledger->groups[number_group(number)];
	uint32_t index = number & ACCOUNT_INDEX_MASK;
	if (!index || index > ledger->loadable[number_group(number)])
		return NULL;
	if (index > list->count) {
		group_room(ledger, list, index);
		ledger->holes += index - list->count;
		list->count = index;
	}
	return account_hole(ledger, number);
}

bool ledger_load_account(struct ledger *ledger, const struct account_image *image)
{
	struct account *account = image->id ? account_place(ledger, image->number) : NULL;
	if (!account)
		return false;
	*account = (struct account){ .id = image->id, .debits_posted = image->debits_posted,
				     .credits_posted = image->credits_posted, .debits_pending = image->debits_pending,
				     .credits_pending = image->credits_pending, .last_lsn = image->last_lsn,
				     .book = image->book->index, .flags = image->flags, .kind = image->kind };
	ledger->raw_total += image->kind == ACCOUNT_RAW;
	account_index(ledger, account->id, image->number);
	return true;
}

bool ledger_load_slice(struct ledger *ledger, struct book *book, unsigned kind, uint32_t number, uint64_t last_lsn)
{
	struct account *account = account_place(ledger, number);
	if (!account)
		return false;
	struct slice *slice = ledger_slice(ledger, book, number_group(number));
	slice->numbers[kind - ACCOUNT_FIRST_SLICED] = number;
	*account = (struct account){ .id = (uintptr_t)&slice->sums[kind - ACCOUNT_FIRST_SLICED], .last_lsn = last_lsn,
				     .book = book->index, .flags = ACCOUNT_SLICE, .kind = (uint8_t)kind };
	return true;
}

/* ---- transfers -------------------------------------------------------------------------------------------------------- */

/* Whether an account came out of a snapshot with this record in it. */
static bool side_seen(const struct seen *seen, const struct account *account, uint32_t number, uint64_t lsn)
{
	if (!seen_perhaps(seen, lsn))
		return false;
	if (account->flags & ACCOUNT_SLICE)
		return seen_by_slices(seen, number_group(number), lsn);
	return seen_by_partition(seen, partition_of(account_key(account->id)), lsn);
}

static bool transfer_apply(struct ledger *ledger, const unsigned char *record, size_t len, uint64_t lsn, bool ids, bool actors)
{
	struct transfer_view view;
	if (!transfer_record_read(record, len, &view))
		return false;
	const struct transfer_record *head = &view.head;
	if (actors) {
		struct account *debit = NULL, *credit = NULL;
		bool here[2] = { owns(ledger, number_group(head->debit)), owns(ledger, number_group(head->credit)) };
		if ((here[0] && !(debit = ledger_account_at(ledger, head->debit))) ||
		    (here[1] && !(credit = ledger_account_at(ledger, head->credit))))
			return false;
		if (debit && !side_seen(ledger->seen, debit, head->debit, lsn))
			transfer_apply_debit(debit, head->flags, head->amount, view.extra.pending_amount, lsn);
		if (credit && !side_seen(ledger->seen, credit, head->credit, lsn))
			transfer_apply_credit(credit, head->flags, head->amount, view.extra.pending_amount, lsn);
		if (MUTATE(6, false, credit && !(head->flags & TRANSFER_EXTENDED)))
			transfer_apply_credit(credit, head->flags, head->amount, 0, lsn);
	}
	if (!ids)
		return true;
	u128 id = u128_load(head->id), pending_id = u128_load(view.extra.pending_id);
	if (!(head->flags & TRANSFER_EXPIRED)) {
		uint64_t hash = id_hash_of_transfer(id);
		if (owns(ledger, group_of(partition_of(hash)))) {
			ledger->transfer_total += ids_replay(ledger->ids, hash, lsn, seen_perhaps(ledger->seen, lsn));
			if ((head->flags & TRANSFER_PENDING) && !seen_by_partition(ledger->seen, partition_of(hash), lsn))
				pending_apply_open(ledger, head, hash, lsn);
		}
	}
	if (head->flags & (TRANSFER_POST | TRANSFER_VOID | TRANSFER_EXPIRED)) {
		uint64_t hash = id_hash_of_transfer(pending_id);
		enum pending_state state;
		if (owns(ledger, group_of(partition_of(hash))) && !seen_by_partition(ledger->seen, partition_of(hash), lsn)) {
			if (!ledger_pending(ledger, pending_id, hash, &state))
				return false;
			mem_free(pending_apply_end(ledger, pending_id, hash,
						   head->flags & TRANSFER_POST   ? PENDING_POSTED
						   : head->flags & TRANSFER_VOID ? PENDING_VOIDED
										 : PENDING_EXPIRED));
		}
	}
	return true;
}

static bool account_seen(const struct seen *seen, const struct account_record *record, uint64_t lsn)
{
	if (record->flags & ACCOUNT_SLICE)
		return seen_by_slices(seen, number_group(record->number), lsn);
	return seen_by_partition(seen, record->head.partition % PARTITION_COUNT, lsn);
}

bool ledger_apply(struct ledger *ledger, const unsigned char *record, size_t len, uint64_t lsn, bool ids, bool actors)
{
	struct record_head head;
	struct account_record_view account;
	struct sliced_record_view sliced;
	struct failed_record failed;
	if (!record_head_read(record, len, &head))
		return false;
	switch (head.type) {
	case RECORD_ACCOUNT:
		if (!account_record_read(record, len, &account))
			return false;
		if (!actors || !owns(ledger, number_group(account.head.number)) || account_seen(ledger->seen, &account.head, lsn))
			return true;
		if (MUTATE(22, false, account.head.op == ACCOUNT_OP_FLAGS))
			return true;
		return account_apply(ledger, &account, lsn);
	case RECORD_SLICED:
		if (!sliced_record_read(record, len, &sliced))
			return false;
		if (actors)
			sliced_apply(ledger, &sliced);
		return true;
	case RECORD_TRANSFER: return transfer_apply(ledger, record, len, lsn, ids, actors);
	case RECORD_FAILED:
		if (!failed_record_read(record, len, &failed))
			return false;
		if (ids) {
			uint64_t hash = id_hash_of_transfer(u128_load(failed.id));
			if (owns(ledger, group_of(partition_of(hash))))
				ids_replay(ledger->ids, hash, lsn | ID_FAILED, seen_perhaps(ledger->seen, lsn));
		}
		return true;
	default: return false;
	}
}

/* ---- events ----------------------------------------------------------------------------------------------------------- */

struct account *ledger_event_account(struct ledger *ledger, struct str tenant, struct str profile, uint32_t number,
				     bool created, int64_t now_ms)
{
	if (!created)
		return ledger_account_at(ledger, number);
	struct account_record_view record = {
		.head = { .number = number, .kind = ACCOUNT_MEMBER, .op = ACCOUNT_OP_CREATE, .time_ms = now_ms,
			  .flags = ACCOUNT_FLOOR_ZERO },
		.tenant = tenant, .unit = STR("points"),
	};
	u128_store(record.head.id, account_id_of_member(tenant, profile, STR("default"), STR("points")));
	return account_apply(ledger, &record, 0);
}

void ledger_earn(struct ledger *ledger, struct account *account, unsigned group, uint64_t points, enum ledger_sides sides)
{
	struct slice *slice = ledger_slice(ledger, ledger->books[account->book], group);
	if (sides & LEDGER_SLICE_SIDE)
		slice->sums[ACCOUNT_LIABILITY - ACCOUNT_FIRST_SLICED].debits_posted += MUTATE(21, points, 0);
	if (sides & LEDGER_MEMBER_SIDE)
		account->credits_posted += points;
}

void ledger_burn(struct ledger *ledger, struct account *account, unsigned group, uint64_t points, enum ledger_sides sides)
{
	struct slice *slice = ledger_slice(ledger, ledger->books[account->book], group);
	if (sides & LEDGER_SLICE_SIDE)
		slice->sums[ACCOUNT_REDEEMED - ACCOUNT_FIRST_SLICED].credits_posted += points;
	if (sides & LEDGER_MEMBER_SIDE)
		account->debits_posted += points;
}

void ledger_earn_reverse(struct ledger *ledger, struct account *account, unsigned group, uint64_t points,
			 enum ledger_sides sides)
{
	struct slice *slice = ledger_slice(ledger, ledger->books[account->book], group);
	if (sides & LEDGER_SLICE_SIDE)
		slice->sums[ACCOUNT_LIABILITY - ACCOUNT_FIRST_SLICED].credits_posted += points;
	if (sides & LEDGER_MEMBER_SIDE)
		account->debits_posted += points;
}

void ledger_burn_reverse(struct ledger *ledger, struct account *account, unsigned group, uint64_t points,
			 enum ledger_sides sides)
{
	struct slice *slice = ledger_slice(ledger, ledger->books[account->book], group);
	if (sides & LEDGER_SLICE_SIDE)
		slice->sums[ACCOUNT_REDEEMED - ACCOUNT_FIRST_SLICED].debits_posted += points;
	if (sides & LEDGER_MEMBER_SIDE)
		account->credits_posted += points;
}

/* ---- sums and text ---------------------------------------------------------------------------------------------------- */

static void sums_add(u128 sums[4], u128 debits_posted, u128 credits_posted, u128 debits_pending, u128 credits_pending)
{
	sums[0] += debits_posted;
	sums[1] += credits_posted;
	sums[2] += debits_pending;
	sums[3] += credits_pending;
}

void ledger_book_sums(const struct ledger *ledger, const struct book *book, u128 sums[ACCOUNT_KINDS][4],
		      uint64_t counts[ACCOUNT_KINDS])
{
	for (unsigned g = 0; g < GROUP_COUNT; g++) {
		const struct slice *slice = book->book_slices[g];
		for (unsigned k = 0; slice && k < SLICED_KINDS; k++)
			sums_add(sums[k + ACCOUNT_FIRST_SLICED], slice->sums[k].debits_posted, slice->sums[k].credits_posted,
				 slice->sums[k].debits_pending, slice->sums[k].credits_pending);
		for (uint32_t i = 1; i <= ledger->groups[g].count; i++) {
			const struct account *account = &ledger->groups[g].slabs[i / SLAB_ACCOUNTS][i % SLAB_ACCOUNTS];
			if (account->book != book->index || (account->flags & ACCOUNT_SLICE))
				continue;
			sums_add(sums[account->kind], account->debits_posted, account->credits_posted,
				 account->debits_pending, account->credits_pending);
			counts[account->kind]++;
		}
	}
}

static void dump_id(struct buf *out, u128 id)
{
	uint64_t high = (uint64_t)(id >> 64);
	buf_printf(out, "%016llx%016llx", (unsigned long long)high, (unsigned long long)id);
}

static void dump_sums(struct buf *out, const u128 sums[4])
{
	static const char *const names[4] = { "debits", "credits", "pending_debits", "pending_credits" };
	for (unsigned i = 0; i < 4; i++) {
		buf_printf(out, " %s ", names[i]);
		if (sums[i] >> 64)
			buf_printf(out, "%llu:", (unsigned long long)(sums[i] >> 64));
		buf_u64(out, (uint64_t)sums[i]);
	}
}

static void dump_book(struct buf *out, const struct book *book)
{
	buf_json_text(out, book->tenant);
	buf_char(out, ' ');
	buf_json_text(out, book->unit);
}

static void dump_account(const struct ledger *ledger, const struct account *account, uint32_t number, struct buf *out)
{
	int64_t floor, ceiling;
	ledger_limits(ledger, account, number, &floor, &ceiling);
	buf_lit(out, "account ");
	dump_id(out, account->id);
	buf_printf(out, " number %u ", number);
	dump_book(out, ledger->books[account->book]);
	buf_printf(out, " %s%s floor %lld ceiling %lld", account_kind_name((enum account_kind)account->kind),
		   account->flags & ACCOUNT_CLOSED ? " closed" : "", (long long)floor, (long long)ceiling);
	const u128 sums[4] = { account->debits_posted, account->credits_posted, account->debits_pending,
			       account->credits_pending };
	dump_sums(out, sums);
	const struct account_extra *extra = ledger_extra(ledger, number);
	if (extra) {
		buf_printf(out, " created %lld member ", (long long)extra->created_ms);
		buf_json_text(out, (struct str){ extra->names, extra->member_len });
		buf_lit(out, " program ");
		buf_json_text(out, (struct str){ extra->names + extra->member_len, extra->program_len });
	}
	buf_printf(out, " lsn %llu\n", (unsigned long long)account->last_lsn);
}

static void dump_ids(const struct ids *ids, struct buf *out)
{
	for (unsigned p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t i = 0; i < ids->tables[p].slots; i++) {
			const struct table_entry *entry = &ids->tables[p].entries[i];
			if (entry->hash && entry->value != ID_IN_FLIGHT)
				buf_printf(out, "id %016llx lsn %llu%s\n", (unsigned long long)entry->hash,
					   (unsigned long long)(entry->value & ID_LSN), entry->value & ID_FAILED ? " failed" : "");
		}
}

void ledger_dump(const struct ledger *ledger, struct buf *out)
{
	dump_ids(ledger->ids, out);
	for (unsigned g = 0; g < GROUP_COUNT; g++) {
		for (uint32_t i = 1; i <= ledger->groups[g].count; i++) {
			const struct account *account = &ledger->groups[g].slabs[i / SLAB_ACCOUNTS][i % SLAB_ACCOUNTS];
			if (!(account->flags & ACCOUNT_SLICE))
				dump_account(ledger, account, (uint32_t)g << ACCOUNT_GROUP_SHIFT | i, out);
		}
		for (uint32_t b = 0; b < ledger->book_count; b++) {
			const struct slice *slice = ledger->books[b]->book_slices[g];
			for (unsigned k = 0; slice && k < SLICED_KINDS; k++) {
				const struct slice_sums *at = &slice->sums[k];
				const u128 sums[4] = { at->debits_posted, at->credits_posted, at->debits_pending,
						       at->credits_pending };
				if (!slice->numbers[k] && !(sums[0] | sums[1] | sums[2] | sums[3]))
					continue;
				buf_printf(out, "slice %u %s ", g, account_kind_name((enum account_kind)(k + ACCOUNT_FIRST_SLICED)));
				dump_book(out, ledger->books[b]);
				dump_sums(out, sums);
				buf_printf(out, " number %u\n", slice->numbers[k]);
			}
		}
	}
	for (uint32_t b = 0; b < ledger->book_count && ledger->shard == 0; b++)
		for (unsigned k = 0; k < SLICED_KINDS; k++)
			if (ledger->books[b]->ids[k]) {
				buf_printf(out, "sliced %s ", account_kind_name((enum account_kind)(k + ACCOUNT_FIRST_SLICED)));
				dump_book(out, ledger->books[b]);
				buf_char(out, ' ');
				dump_id(out, ledger->books[b]->ids[k]);
				buf_char(out, '\n');
			}
	for (unsigned p = 0; p < PARTITION_COUNT; p++)
		for (uint32_t i = 0; i < ledger->pendings[p].slots; i++) {
			const struct table_entry *entry = &ledger->pendings[p].entries[i];
			const struct pending *pending = (const struct pending *)(uintptr_t)entry->value;
			if (!entry->hash)
				continue;
			if (entry->value <= PENDING_EXPIRED || pending->state != PENDING_OPEN) {
				buf_printf(out, "pending %016llx ended %llu\n", (unsigned long long)entry->hash,
					   (unsigned long long)(entry->value <= PENDING_EXPIRED ? entry->value : pending->state));
				continue;
			}
			buf_printf(out, "pending %016llx ", (unsigned long long)entry->hash);
			dump_id(out, pending->id);
			buf_printf(out, " open amount %llu debit %u credit %u code %u expires %lld lsn %llu\n",
				   (unsigned long long)pending->amount, pending->debit, pending->credit, pending->code,
				   (long long)pending->expires_ms, (unsigned long long)pending->lsn);
		}
}
