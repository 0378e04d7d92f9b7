// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/oracle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"
#include "engine/event/effect.h"
#include "engine/ledger/record.h"
#include "tests/sim/kinds.h"
#include "tests/sim/oracle_int.h"

const char *const sim_tenants[2] = { "north", "south" };
const char *const sim_units[2] = { "points", "stamps" };

struct oracle *oracle_new(uint64_t seed)
{
	struct oracle *oracle = calloc(1, sizeof *oracle);
	ASSERT(oracle);
	oracle->seed = seed;
	oracle->model = model_new();
	oracle->events = calloc(EVENTS_KEPT, sizeof *oracle->events);
	for (unsigned t = 0; t < 2; t++) {
		oracle->configs[t].list = calloc(CONFIGS_MAX, sizeof *oracle->configs[t].list);
		oracle->configs[t].count = 1;
		ASSERT(oracle->configs[t].list);
	}
	ASSERT(oracle->events);
	return oracle;
}

static void op_free(struct op *op)
{
	free(op->rows);
	free(op);
}

void oracle_free(struct oracle *oracle)
{
	model_free(oracle->model);
	for (unsigned t = 0; t < 2; t++)
		configs_free(&oracle->configs[t]);
	for (unsigned i = 0; i < oracle->number_count; i++)
		free(oracle->numbers[i].history), free(oracle->numbers[i].movements);
	for (unsigned i = 0; i < oracle->document_count; i++)
		yyjson_doc_free(oracle->documents[i].doc);
	for (unsigned i = 0; i < oracle->member_count; i++)
		free(oracle->members[i].rewards);
	for (unsigned i = 0; i < oracle->op_count; i++)
		op_free(oracle->ops[i]);
	free(oracle->ops);
	free(oracle->occurrences);
	free(oracle->events);
	free(oracle->frames);
	buf_free(&oracle->bytes);
	buf_free(&oracle->verdict);
	free(oracle);
}

void law_broken(struct oracle *oracle, const char *law, const char *format, ...)
{
	char text[800];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	buf_printf(&oracle->verdict, "%s: %s", law, text);
	longjmp(*oracle->broken, 1);
}

void *oracle_grown(void *list, uint32_t *cap, uint32_t count, size_t size)
{
	if (count < *cap)
		return list;
	*cap = *cap ? *cap * 2 : 64;
	list = realloc(list, *cap * size);
	ASSERT(list);
	return list;
}

/* ---- what was asked ------------------------------------------------------------------------------------------------ */

static unsigned slot_of(u128 id)
{
	return (unsigned)(((uint64_t)id ^ (uint64_t)(id >> 64)) * UINT64_C(0x9E3779B97F4A7C15) >> 32) % SLOTS;
}

void oracle_sent(struct oracle *oracle, struct op *op)
{
	oracle->ops = oracle_grown(oracle->ops, &oracle->op_cap, oracle->op_count, sizeof *oracle->ops);
	oracle->ops[oracle->op_count++] = op;
	for (uint32_t i = 0; op->kind == OP_TRANSFERS && !op->dry && i < op->count; i++) {
		oracle->occurrences = oracle_grown(oracle->occurrences, &oracle->occurrence_cap, oracle->occurrence_count,
					    sizeof *oracle->occurrences);
		uint32_t *slot = &oracle->slots[slot_of(row_load(op->rows + (size_t)i * ROW_BYTES).id)];
		oracle->occurrences[oracle->occurrence_count++] = (struct occurrence){ op, i, *slot };
		*slot = oracle->occurrence_count;
	}
}

/* ---- finding ------------------------------------------------------------------------------------------------------- */

struct number *oracle_number_find(struct oracle *oracle, uint32_t number)
{
	for (unsigned i = 0; i < oracle->number_count; i++)
		if (oracle->numbers[i].number == number)
			return &oracle->numbers[i];
	return NULL;
}

struct number *oracle_number_of(struct oracle *oracle, u128 id)
{
	for (unsigned i = 0; i < oracle->number_count; i++)
		if (!oracle->numbers[i].slice && oracle->numbers[i].id == id)
			return &oracle->numbers[i];
	return NULL;
}

struct number *oracle_number_add(struct oracle *oracle, struct number number, uint64_t lsn)
{
	LAW(oracle, "L4", number.number && !oracle_number_find(oracle, number.number), "LSN %llu: number %u is given twice", LLU(lsn),
	    number.number);
	ASSERT(oracle->number_count < NUMBERS_MAX);
	oracle->numbers[oracle->number_count] = number;
	return &oracle->numbers[oracle->number_count++];
}

unsigned oracle_index_of(const char *const names[2], struct str name)
{
	return str_eq(name, str_of(names[0])) ? 0 : str_eq(name, str_of(names[1])) ? 1 : 2;
}

static struct model_account *account_of(struct oracle *oracle, const struct number *number)
{
	return number->slice ? model_sliced(oracle->model, str_of(sim_tenants[number->tenant]), str_of(sim_units[number->unit]),
					    number->kind)
			     : model_account_find(oracle->model, number->id);
}

struct member_model *oracle_member(struct oracle *oracle, unsigned tenant, struct str profile)
{
	for (unsigned i = 0; i < oracle->member_count; i++)
		if (oracle->members[i].tenant == tenant && str_eq(str_of(oracle->members[i].profile), profile))
			return &oracle->members[i];
	return NULL;
}

uint64_t oracle_event_lsn(const struct oracle *oracle, unsigned tenant, const char *id)
{
	for (unsigned i = oracle->event_count; i-- > 0;)
		if (oracle->events[i].tenant == tenant && strcmp(oracle->events[i].id, id) == 0)
			return oracle->events[i].lsn;
	return 0;
}

bool oracle_event_at(const struct oracle *oracle, unsigned tenant, const char *id, uint64_t lsn)
{
	for (unsigned i = 0; i < oracle->event_count; i++)
		if (oracle->events[i].lsn == lsn && oracle->events[i].tenant == tenant && strcmp(oracle->events[i].id, id) == 0)
			return true;
	return false;
}

/* The account as it is from this record on; and its chain. */
void oracle_touched(struct oracle *oracle, struct number *number, uint64_t prev, uint64_t lsn)
{
	LAW(oracle, "history", prev == number->last_lsn, "LSN %llu: the chain of number %u goes to %llu, its last record is %llu",
	    LLU(lsn), number->number, LLU(prev), LLU(number->last_lsn));
	const struct model_account *account = account_of(oracle, number);
	ASSERT(account);
	number->last_lsn = lsn;
	number->history = oracle_grown(number->history, &number->history_cap, number->history_count, sizeof *number->history);
	number->history[number->history_count++] = (struct history){
		lsn, { (uint64_t)account->debits_posted, (uint64_t)account->credits_posted, (uint64_t)account->debits_pending,
		       (uint64_t)account->credits_pending }, account->closed };
}

/* ---- accounts ------------------------------------------------------------------------------------------------------ */

static int64_t floor_of(const struct account_spec *spec)
{
	return spec->has_floor ? spec->floor : spec->kind == ACCOUNT_MEMBER ? 0 : NO_FLOOR;
}

static int64_t ceiling_of(const struct account_spec *spec)
{
	return spec->has_ceiling ? spec->ceiling : NO_CEILING;
}

static bool spec_asked(struct oracle *oracle, enum op_kind kind, const struct account_spec *as)
{
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		for (uint32_t i = 0; op->kind == kind && i < op->count; i++) {
			const struct account_spec *spec = &op->specs[i];
			u128 id = spec->id ? spec->id
				: kind_is_sliced(spec->kind) ? account_id_of_sliced(spec->tenant, spec->kind, spec->unit)
				: account_id_of_member(spec->tenant, spec->member, STR("default"), spec->unit);
			if (id == as->id && (kind == OP_CLOSE || (str_eq(spec->tenant, as->tenant) && str_eq(spec->unit, as->unit) &&
								  spec->kind == as->kind && floor_of(spec) == floor_of(as) &&
								  ceiling_of(spec) == ceiling_of(as))) &&
			    ((spec->flags ^ as->flags) & ACCOUNT_CLOSED) == 0)
				return true;
		}
	}
	return false;
}

static void on_account(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn)
{
	struct account_record_view view;
	LAW(oracle, "L6", account_record_read(record, size, &view), "LSN %llu: an account's record cannot be read", LLU(lsn));
	const struct account_record *head = &view.head;
	if (head->op == ACCOUNT_OP_FLAGS) {
		struct number *number = oracle_number_find(oracle, head->number);
		LAW(oracle, "L4", number && !number->slice, "LSN %llu: number %u is closed, which is no account", LLU(lsn),
		    head->number);
		struct account_spec spec = { .id = number->id, .flags = head->flags & ACCOUNT_CLOSED };
		LAW(oracle, "L4", spec_asked(oracle, OP_CLOSE, &spec), "LSN %llu: nobody asked to close number %u", LLU(lsn),
		    head->number);
		model_account_close(oracle->model, &spec);
		LAW(oracle, "L4", !spec.refusal, "LSN %llu: closing number %u must be refused (%u)", LLU(lsn), head->number,
		    (unsigned)spec.refusal);
		oracle_touched(oracle, number, head->prev, lsn);
		return;
	}
	unsigned tenant = oracle_index_of(sim_tenants, view.tenant), unit = oracle_index_of(sim_units, view.unit);
	LAW(oracle, "L4", tenant < 2 && unit < 2 && head->op == ACCOUNT_OP_CREATE, "LSN %llu: an account of nobody", LLU(lsn));
	struct number number = { .number = head->number, .slice = head->flags & ACCOUNT_SLICE, .tenant = tenant, .unit = unit,
				 .kind = (enum account_kind)head->kind, .id = u128_load(head->id) };
	if (number.slice) {
		LAW(oracle, "L4", kind_is_sliced(head->kind), "LSN %llu: a slice of kind %u", LLU(lsn), head->kind);
		oracle_number_add(oracle, number, lsn);
		return;
	}
	bool limited = head->flags & ACCOUNT_LIMITED;
	struct account_spec spec = { .id = number.id, .tenant = view.tenant, .unit = view.unit, .kind = number.kind,
				     .flags = head->flags & ACCOUNT_CLOSED };
	int64_t floor = limited ? head->floor : head->flags & ACCOUNT_FLOOR_ZERO ? 0 : NO_FLOOR;
	int64_t ceiling = limited ? head->ceiling : NO_CEILING;
	spec.has_floor = floor != NO_FLOOR;
	spec.floor = floor;
	spec.has_ceiling = ceiling != NO_CEILING;
	spec.ceiling = ceiling;
	LAW(oracle, "L4", spec_asked(oracle, OP_ACCOUNTS, &spec), "LSN %llu: nobody asked for this account", LLU(lsn));
	if ((head->flags & ACCOUNT_NAMED) && id_is_derived(number.id)) {
		spec.id = 0;
		spec.member = view.member;
		spec.program = view.program;
	}
	model_account_create(oracle->model, &spec);
	LAW(oracle, "L4", !spec.refusal && !spec.existed && spec.id == number.id,
	    "LSN %llu: an account is made that must be refused (%u) or is there (%d)", LLU(lsn), (unsigned)spec.refusal, spec.existed);
	struct number *kept = oracle_number_add(oracle, number, lsn);
	oracle_touched(oracle, kept, head->prev, lsn);
}

static void on_sliced(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn)
{
	struct sliced_record_view view;
	LAW(oracle, "L6", sliced_record_read(record, size, &view), "LSN %llu: a sliced account's record cannot be read", LLU(lsn));
	struct account_spec spec = { .id = u128_load(view.head.id), .tenant = view.tenant, .unit = view.unit,
				     .kind = (enum account_kind)view.head.kind };
	LAW(oracle, "L4", spec_asked(oracle, OP_ACCOUNTS, &spec), "LSN %llu: nobody asked for this tenant account", LLU(lsn));
	if (spec.id == account_id_of_sliced(spec.tenant, spec.kind, spec.unit))
		spec.id = 0;
	model_account_create(oracle->model, &spec);
	LAW(oracle, "L4", !spec.refusal && !spec.existed, "LSN %llu: a tenant account is made that must be refused (%u)", LLU(lsn),
	    (unsigned)spec.refusal);
}

/* ---- transfers ----------------------------------------------------------------------------------------------------- */

struct parsed { const unsigned char *at; uint64_t lsn; struct record_head head; };

static bool same_account(struct oracle *oracle, uint32_t number, unsigned index)
{
	const struct number *found = oracle_number_find(oracle, number);
	return found && account_of(oracle, found) == &oracle->model->accounts[index];
}

/* The record against what the model made of its row. */
static const char *transfer_differs(struct oracle *oracle, const struct transfer_view *view, const struct model_transfer *made)
{
	const struct transfer_record *head = &view->head;
	const struct transfer_row *row = &made->row;
	bool debit_whole = head->flags & TRANSFER_DEBIT_WHOLE, credit_whole = head->flags & TRANSFER_CREDIT_WHOLE;
	bool ends = row->flags & (TRANSFER_POST | TRANSFER_VOID);
	const struct model_transfer *pending = ends ? model_hold_find(oracle->model, row->debit) : NULL;
	uint64_t amount = row->flags & TRANSFER_VOID ? pending->amount : made->amount;
	if (u128_load(head->id) != row->id)
		return "id";
	if ((head->flags & TRANSFER_FLAGS) != row->flags || (head->flags & TRANSFER_EXPIRED))
		return "flags";
	if (head->amount != amount)
		return "amount";
	if (head->code != made->code)
		return "code";
	if (head->timeout != row->timeout)
		return "timeout";
	if (!same_account(oracle, head->debit, made->debit) || !same_account(oracle, head->credit, made->credit))
		return "accounts";
	if ((head->flags & TRANSFER_EXTENDED) && view->extra.requested != row->amount)
		return "requested amount";
	if (ends && (u128_load(view->extra.pending_id) != row->debit || view->extra.pending_amount != pending->amount))
		return "pending transfer";
	if (debit_whole ? head->balance != made->balances[0] : made->balances[0] != BALANCE_NONE)
		return "balance of the debit account";
	if (credit_whole ? (debit_whole ? view->second.balance : head->balance) != made->balances[1]
			 : made->balances[1] != BALANCE_NONE)
		return "balance of the credit account";
	return NULL;
}

void oracle_moved(struct number *number, uint64_t lsn, int64_t points, uint64_t undoes)
{
	number->movements = oracle_grown(number->movements, &number->movement_cap, number->movement_count, sizeof *number->movements);
	number->movements[number->movement_count++] = (struct movement){ .lsn = lsn, .points = points, .undoes = undoes };
}

/* Of a member's account.  Not the difference of its sums: behind a chain they are those of the whole chain. */
static void transfer_moved(struct number *number, const struct transfer_view *view, uint64_t lsn, bool in)
{
	if (number->kind != ACCOUNT_MEMBER || (view->head.flags & (TRANSFER_PENDING | TRANSFER_VOID | TRANSFER_EXPIRED)))
		return;
	int64_t amount = (int64_t)view->head.amount;
	if (amount)
		oracle_moved(number, lsn, in ? amount : -amount, 0);
}

static void transfer_touched(struct oracle *oracle, const struct transfer_view *view, uint64_t lsn)
{
	bool debit_whole = view->head.flags & TRANSFER_DEBIT_WHOLE, credit_whole = view->head.flags & TRANSFER_CREDIT_WHOLE;
	struct number *debit = oracle_number_find(oracle, view->head.debit), *credit = oracle_number_find(oracle, view->head.credit);
	if (debit_whole) {
		oracle_touched(oracle, debit, view->head.prev, lsn);
		transfer_moved(debit, view, lsn, false);
	}
	if (credit_whole) {
		oracle_touched(oracle, credit, debit_whole ? view->second.prev : view->head.prev, lsn);
		transfer_moved(credit, view, lsn, true);
	}
}

static const char *failed_differs(const struct parsed *record, const struct model_transfer *made)
{
	struct failed_record failed;
	if (!failed_record_read(record->at, record->head.size, &failed) || u128_load(failed.id) != made->row.id)
		return "another record";
	return failed.refusal == (uint32_t)made->refusal ? NULL : "reason of the refusal";
}

/* An id that may be new again: its outcome is older than what is forgotten, and no open hold's.  True: from now on the model takes it
 * for new. */
static bool id_forget(struct oracle *oracle, u128 id)
{
	struct model_transfer *known = (struct model_transfer *)model_transfer_find(oracle->model, id);
	if (!known || known->state == FOUND_PENDING || known->lsn >= oracle->following)
		return false;
	known->forgotten = true;
	return true;
}

/* What stands in the log was new to who wrote it, if it could be. */
static void records_forget(struct oracle *oracle, const struct parsed *records, unsigned count)
{
	for (unsigned i = 0; i < count && oracle->following; i++) {
		struct transfer_view view;
		struct failed_record failed;
		u128 id = 0;
		if (records[i].head.type == RECORD_TRANSFER && transfer_record_read(records[i].at, records[i].head.size, &view) &&
		    !(view.head.flags & TRANSFER_EXPIRED))
			id = u128_load(view.head.id);
		else if (records[i].head.type == RECORD_FAILED && failed_record_read(records[i].at, records[i].head.size, &failed))
			id = u128_load(failed.id);
		oracle->anew += id && id_forget(oracle, id);
	}
}

/* All that the chain names, or (back) as it was: what was forgotten just now may have been known still to who looked a moment before.
 * Returns how many. */
static unsigned chain_forget(struct oracle *oracle, const struct op *op, uint32_t first, uint32_t behind, u128 *ids)
{
	unsigned count = 0;
	for (uint32_t i = first; i < behind && oracle->following; i++) {
		struct transfer_row row = row_load(op->rows + (size_t)i * ROW_BYTES);
		if (id_forget(oracle, row.id))
			ids[count++] = row.id;
		if ((row.flags & (TRANSFER_POST | TRANSFER_VOID)) && id_forget(oracle, row.debit))
			ids[count++] = row.debit;
	}
	return count;
}

/* What the chain names by an outcome that is forgotten by now, though somebody else has given the id another one since: who looked
 * before both may go by it.  Returns how many; the numbers of the newer ones are in `newer`. */
static unsigned chain_recall(struct oracle *oracle, const struct op *op, uint32_t first, uint32_t behind, size_t *newer)
{
	unsigned count = 0;
	for (uint32_t i = first; i < behind && oracle->following; i++) {
		u128 id = row_load(op->rows + (size_t)i * ROW_BYTES).id;
		struct model_transfer *last = model_transfer_version(oracle->model, id, NULL);
		struct model_transfer *before = last && !last->forgotten ? model_transfer_version(oracle->model, id, last) : NULL;
		if (!before)
			continue;
		last->forgotten = true;
		before->forgotten = false;
		newer[count++] = (size_t)(last - oracle->model->transfers);
	}
	return count;
}

static void recall_end(struct oracle *oracle, const size_t *newer, unsigned count)
{
	while (count-- > 0) {
		struct model_transfer *last = &oracle->model->transfers[newer[count]];
		last->forgotten = false;
		model_transfer_version(oracle->model, last->row.id, last)->forgotten = true;
	}
}

/* Whether the model, given this chain now, makes exactly these records.  How many in *used. */
static const char *chain_differs(struct oracle *oracle, const struct op *op, uint32_t first, uint32_t behind,
				 const struct parsed *records, unsigned count, int64_t time_ms, unsigned *used)
{
	static struct model_reply replies[OP_ROWS];
	struct model *model = oracle->model;
	unsigned before = model->transfer_count;
	model_chain(model, op->rows + (size_t)first * ROW_BYTES, behind - first, time_ms, replies);
	unsigned made = model->transfer_count - before;
	const char *differs = made ? NULL : "nothing is to be written";
	if (made > count)
		differs = "a part of the chain is not in the frame";
	for (unsigned i = 0; i < made && !differs; i++) {
		const struct model_transfer *transfer = &model->transfers[before + i];
		struct transfer_view view;
		if (transfer->state == FOUND_FAILED)
			differs = failed_differs(&records[i], transfer);
		else if (!transfer_record_read(records[i].at, records[i].head.size, &view))
			differs = "another record";
		else
			differs = transfer_differs(oracle, &view, transfer);
	}
	*used = made;
	if (differs)
		model_take_back(model);
	return differs;
}

static bool linked(const struct op *op, uint32_t index)
{
	return row_load(op->rows + (size_t)index * ROW_BYTES).flags & TRANSFER_LINKED;
}

/* Some client's chain must lead to these records.  Returns how many there are of it. */
static unsigned on_chain(struct oracle *oracle, u128 id, const struct parsed *records, unsigned count, int64_t time_ms)
{
	const char *why = "nobody asked for it";
	records_forget(oracle, records, count);
	for (uint32_t at = oracle->slots[slot_of(id)]; at; at = oracle->occurrences[at - 1].next) {
		const struct occurrence *occurrence = &oracle->occurrences[at - 1];
		const struct op *op = occurrence->op;
		uint32_t first = occurrence->index, behind = first + 1;
		unsigned used;
		if (row_load(op->rows + (size_t)first * ROW_BYTES).id != id)
			continue;
		while (first && linked(op, first - 1))
			first--;
		while (behind < op->count && linked(op, behind - 1))
			behind++;
		if (linked(op, behind - 1))
			continue;              /* an open chain: always refused */
		why = chain_differs(oracle, op, first, behind, records, count, time_ms, &used);
		u128 ids[2 * OP_ROWS];
		unsigned forgot = why ? chain_forget(oracle, op, first, behind, ids) : 0;
		if (forgot)
			why = chain_differs(oracle, op, first, behind, records, count, time_ms, &used);
		for (unsigned i = 0; why && i < forgot; i++)
			((struct model_transfer *)model_transfer_version(oracle->model, ids[i], NULL))->forgotten = false;
		size_t newer[OP_ROWS];
		unsigned recalled = why ? chain_recall(oracle, op, first, behind, newer) : 0;
		if (recalled)
			why = chain_differs(oracle, op, first, behind, records, count, time_ms, &used);
		recall_end(oracle, newer, recalled);
		if (why)
			continue;
		for (unsigned i = 0; i < used; i++) {
			struct transfer_view view;
			oracle->model->transfers[oracle->model->transfer_count - used + i].lsn = records[i].lsn;
			if (records[i].head.type != RECORD_TRANSFER)
				continue;
			transfer_record_read(records[i].at, records[i].head.size, &view);
			LAW(oracle, "time", view.head.time_ms == time_ms, "LSN %llu: a record of another time than its frame",
			    LLU(records[i].lsn));
			transfer_touched(oracle, &view, records[i].lsn);
		}
		return used;
	}
	const struct model_transfer *known = model_transfer_find(oracle->model, id);
	law_broken(oracle, "L4", "LSN %llu: the record of transfer %016llx is not what the model makes of it: %s%s", LLU(records->lsn),
		   LLU(id), why, known ? "; the id has an outcome already" : "");
}

static void on_expired(struct oracle *oracle, const struct transfer_view *view, uint64_t lsn, int64_t time_ms)
{
	u128 id = u128_load(view->head.id);
	const struct model_transfer *pending = model_expire_one(oracle->model, id, time_ms);
	LAW(oracle, "L4", pending, "LSN %llu: transfer %016llx runs out, which is not open or has time left", LLU(lsn), LLU(id));
	LAW(oracle, "L4", pending->amount == view->head.amount && pending->amount == view->extra.pending_amount &&
	    same_account(oracle, view->head.debit, pending->debit) && same_account(oracle, view->head.credit, pending->credit),
	    "LSN %llu: transfer %016llx runs out with another amount or other accounts", LLU(lsn), LLU(id));
	transfer_touched(oracle, view, lsn);
	oracle->expiries++;
}

/* ---- configuration ------------------------------------------------------------------------------------------------- */

struct document_model *oracle_document(struct oracle *oracle, uint64_t id)
{
	for (unsigned i = 0; i < oracle->document_count; i++)
		if (oracle->documents[i].id == id)
			return &oracle->documents[i];
	return NULL;
}

/* A change of a kind that no rule needs: somebody asked for it. */
static void document_asked(struct oracle *oracle, unsigned tenant, const struct document_model *before,
			   const struct catalog_change *change, uint64_t lsn)
{
	const char *why = "nobody asked", *differs = NULL;
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		if (op->kind != OP_DOCUMENT || op->tenant != tenant)
			continue;
		differs = document_differs(op, before, change);
		if (!differs)
			return;
		why = strcmp(differs, "nobody asked") ? differs : why;
	}
	law_broken(oracle, "L4", "LSN %llu: %s %llu becomes %.*s: %s", LLU(lsn), kind_by_number(change->kind)->name, LLU(change->id),
		   (int)change->json.len, change->json.ptr, why);
}

/* The engine remembers something of a document: what it was asked to, and nothing else of it changes. */
static void on_state(struct oracle *oracle, const struct catalog_change *change, unsigned tenant, uint64_t lsn)
{
	struct document_model *document = oracle_document(oracle, change->id);
	struct json_error error;
	int64_t seen = -1, wanted = -2;
	bool asked = false;
	LAW(oracle, "L4", document && !document->removed && document->tenant == tenant && document->kind == change->kind &&
	    document->version == change->version && !change->json.len, "LSN %llu: the state of document %llu", LLU(lsn), LLU(change->id));
	yyjson_doc *state = json_read(change->state, &error);
	LAW(oracle, "L6", state && json_int(json_get(yyjson_doc_get_root(state), STR("seen")), &seen), "LSN %llu: a state that nobody made",
	    LLU(lsn));
	yyjson_doc_free(state);
	for (unsigned o = 0; o < oracle->op_count && !asked; o++) {
		const struct op *op = oracle->ops[o];
		if (op->kind != OP_DOCUMENT || op->verb != CATALOG_REMEMBER || op->tenant != tenant || op->document != change->id)
			continue;
		sscanf(op->body, "{\"seen\":%" SCNd64, &wanted);
		asked = wanted == seen && (!op->match || op->match == document->version);
	}
	LAW(oracle, "L4", asked, "LSN %llu: nobody asked to remember %lld of document %llu", LLU(lsn), (long long)seen, LLU(change->id));
}

static void on_catalog(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn)
{
	struct catalog_change change;
	uint64_t len;
	memcpy(&len, record + sizeof(struct record_head), sizeof len);
	LAW(oracle, "L6", len <= size && catalog_change_decode(record + sizeof(struct record_head) + sizeof len, len, &change),
	    "LSN %llu: a change of configuration cannot be read", LLU(lsn));
	unsigned tenant = oracle_index_of(sim_tenants, change.tenant);
	if (change.op == CATALOG_STATE) {
		on_state(oracle, &change, tenant, lsn);
		return;
	}
	bool removed = change.op == CATALOG_DELETE, rules = change.kind == KIND_RULE || change.kind == KIND_EVENT_TYPE;
	bool matters = rules || change.kind == KIND_REWARD || change.kind == KIND_BONUS_DEFINITION || change.kind == KIND_LOYALTY_TIER;
	LAW(oracle, "L6", tenant < 2 && (change.op == CATALOG_PUT || removed), "LSN %llu: a change of configuration that nobody made",
	    LLU(lsn));
	struct document_model *document = oracle_document(oracle, change.id);
	bool is_new = !document;
	LAW(oracle, "L4", is_new ? change.version == 1 && !removed : !document->removed && document->kind == change.kind &&
	    document->tenant == tenant && change.version == document->version + 1,
	    "LSN %llu: document %llu has version %llu", LLU(lsn), LLU(change.id), LLU(change.version));
	LAW(oracle, "history", change.previous == (is_new ? 0 : document->lsn) && change.tenant_previous == oracle->audit_lsn[tenant],
	    "LSN %llu: the chains of document %llu and of its tenant", LLU(lsn), LLU(change.id));
	if (!rules)
		document_asked(oracle, tenant, document, &change, lsn);
	if (matters)
		LAW(oracle, "L6", config_change(&oracle->configs[tenant], lsn, removed, change.kind, change.id, change.json),
		    "LSN %llu: a change of configuration that nobody made", LLU(lsn));
	ASSERT(oracle->document_count < DOCUMENTS_MAX);
	if (is_new)
		document = &oracle->documents[oracle->document_count++];
	else
		yyjson_doc_free(document->doc);
	struct json_error error;
	*document = (struct document_model){ change.id, lsn, change.version, change.kind, tenant,
					     removed ? NULL : json_read(change.json, &error),
					     hash_bytes(change.json.ptr, change.json.len), removed };
	LAW(oracle, "L6", removed || document->doc, "LSN %llu: a document that is no JSON", LLU(lsn));
	oracle->audit_lsn[tenant] = lsn;
	ASSERT(change.kind < SEEN_KINDS);
	oracle->seen.kinds[change.kind]++;
	const char *broken = documents_break(oracle, tenant);
	LAW(oracle, "rules", !broken, "LSN %llu: %s, behind a change of %s %llu", LLU(lsn), broken, kind_by_number(change.kind)->name,
	    LLU(change.id));
	oracle->changes++;
}

/* ---- frames -------------------------------------------------------------------------------------------------------- */

static void frame_follow(struct oracle *oracle, const struct kept_frame *frame)
{
	enum { RECORDS = 4096 };
	static struct parsed records[RECORDS];
	const unsigned char *bytes = (const unsigned char *)oracle->bytes.ptr + frame->at;
	unsigned count = 0;
	LAW(oracle, "time", frame->time_ms >= oracle->last_time, "LSN %llu: time goes back from %lld to %lld", LLU(frame->lsn),
	    (long long)oracle->last_time, (long long)frame->time_ms);
	oracle->last_time = frame->time_ms;
	oracle->following = frame->forgotten;
	for (uint32_t at = 0; at < frame->size; at += records[count++].head.size) {
		ASSERT(count < RECORDS);
		records[count] = (struct parsed){ .at = bytes + at, .lsn = frame->lsn + at };
		LAW(oracle, "L6", record_head_read(bytes + at, frame->size - at, &records[count].head),
		    "LSN %llu: no record begins here", LLU(frame->lsn + at));
	}
	for (unsigned i = 0; i < count;) {
		const struct parsed *record = &records[i];
		struct transfer_view transfer;
		struct failed_record failed;
		uint32_t size = record->head.size;
		unsigned used = 1;
		oracle->records++;
		oracle->seen.records[record->head.type % SEEN_RECORDS]++;
		switch (record->head.type) {
		case RECORD_FILLER: break;
		case RECORD_ACCOUNT: on_account(oracle, record->at, size, record->lsn); break;
		case RECORD_SLICED: on_sliced(oracle, record->at, size, record->lsn); break;
		case RECORD_EVENT: oracle_on_event(oracle, record->at, size, record->lsn, frame->time_ms); break;
		case RECORD_CUSTOMER: oracle_on_customer(oracle, record->at, size, record->lsn, frame->time_ms); break;
		case RECORD_ACTION: oracle_on_action(oracle, record->at, size, record->lsn, frame->time_ms); break;
		case RECORD_CATALOG: on_catalog(oracle, record->at, size, record->lsn); break;
		case RECORD_TRANSFER:
			LAW(oracle, "L6", transfer_record_read(record->at, size, &transfer), "LSN %llu: a transfer cannot be read",
			    LLU(record->lsn));
			if (transfer.head.flags & TRANSFER_EXPIRED) {
				on_expired(oracle, &transfer, record->lsn, frame->time_ms);
				break;
			}
			used = on_chain(oracle, u128_load(transfer.head.id), record, count - i, frame->time_ms);
			oracle->transfers += used;
			break;
		case RECORD_FAILED:
			LAW(oracle, "L6", failed_record_read(record->at, size, &failed), "LSN %llu: a failed transfer cannot be read",
			    LLU(record->lsn));
			used = on_chain(oracle, u128_load(failed.id), record, count - i, frame->time_ms);
			oracle->failures += used;
			break;
		default: law_broken(oracle, "L6", "LSN %llu: a record of type %u", LLU(record->lsn), record->head.type);
		}
		i += used;
	}
	/* L3: after every frame the sums are zero. */
	for (unsigned b = 0; b < 4; b++) {
		u128 sums[ACCOUNT_KINDS][4], total[4] = { 0 };
		uint64_t counts[ACCOUNT_KINDS];
		if (!model_book(oracle->model, str_of(sim_tenants[b & 1]), str_of(sim_units[b >> 1]), sums, counts))
			continue;
		for (unsigned kind = 0; kind < ACCOUNT_KINDS; kind++)
			for (unsigned s = 0; s < 4; s++)
				total[s] += sums[kind][s];
		LAW(oracle, "L3", total[0] == total[1] && total[2] == total[3], "LSN %llu: book %u does not balance", LLU(frame->lsn), b);
	}
}

void oracle_published(struct oracle *oracle, const struct sim_frame *frame)
{
	if (oracle->frame_count == oracle->frame_cap) {
		oracle->frame_cap = oracle->frame_cap ? oracle->frame_cap * 2 : 256;
		oracle->frames = realloc(oracle->frames, oracle->frame_cap * sizeof *oracle->frames);
		ASSERT(oracle->frames);
	}
	uint64_t end = oracle->frame_count ? oracle->frames[oracle->frame_count - 1].end : 0;
	LAW(oracle, "order", frame->lsn >= end + WAL_FRAME_HEADER && frame->end >= frame->lsn + frame->size,
	    "a frame at LSN %llu over the one that ends at %llu", LLU(frame->lsn), LLU(end));
	oracle->frames[oracle->frame_count++] = (struct kept_frame){ frame->lsn, frame->end, frame->size, frame->time_ms,
								     oracle->forgotten, oracle->bytes.len };
	buf_bytes(&oracle->bytes, frame->body, frame->size);
	while (oracle->bytes.len % 8)
		buf_char(&oracle->bytes, 0);
}

void oracle_durable(struct oracle *oracle, uint64_t durable)
{
	while (oracle->consumed < oracle->frame_count && oracle->frames[oracle->consumed].end <= durable) {
		const struct kept_frame *frame = &oracle->frames[oracle->consumed++];
		frame_follow(oracle, frame);
		if (oracle->followed)
			oracle->followed(oracle->context, frame);
	}
}

uint64_t oracle_end(const struct oracle *oracle)
{
	return oracle->consumed ? oracle->frames[oracle->consumed - 1].end : 0;
}

void oracle_recovering(struct oracle *oracle, uint64_t from)
{
	oracle->replayed = 0;
	while (oracle->replayed < oracle->frame_count && oracle->frames[oracle->replayed].lsn - WAL_FRAME_HEADER < from)
		oracle->replayed++;
}

void oracle_replayed(struct oracle *oracle, const struct sim_frame *frame)
{
	LAW(oracle, "L6", oracle->replayed < oracle->frame_count, "recovery finds a frame at LSN %llu that was never written",
	    LLU(frame->lsn));
	const struct kept_frame *kept = &oracle->frames[oracle->replayed++];
	LAW(oracle, "L6", kept->lsn == frame->lsn && kept->size == frame->size && kept->end == frame->end &&
	    kept->time_ms == frame->time_ms && memcmp(oracle->bytes.ptr + kept->at, frame->body, frame->size) == 0,
	    "recovery finds another frame at LSN %llu than was written at %llu", LLU(frame->lsn), LLU(kept->lsn));
}

bool oracle_recovered(struct oracle *oracle, uint64_t *lost_lsn)
{
	if (oracle->replayed < oracle->consumed) {
		*lost_lsn = oracle->frames[oracle->replayed].lsn - WAL_FRAME_HEADER;
		return false;
	}
	if (oracle->replayed < oracle->frame_count)
		oracle->bytes.len = oracle->frames[oracle->replayed].at;
	oracle->frame_count = oracle->replayed;
	oracle_durable(oracle, UINT64_MAX);
	return true;
}

const unsigned char *oracle_record(const struct oracle *oracle, uint64_t lsn, uint32_t *size)
{
	for (size_t low = 0, high = oracle->consumed; low < high;) {
		size_t middle = (low + high) / 2;
		const struct kept_frame *frame = &oracle->frames[middle];
		if (lsn < frame->lsn) {
			high = middle;
		} else if (lsn >= frame->lsn + frame->size) {
			low = middle + 1;
		} else {
			const unsigned char *at = (const unsigned char *)oracle->bytes.ptr + frame->at + (lsn - frame->lsn);
			struct record_head head;
			if (!record_head_read(at, frame->size - (size_t)(lsn - frame->lsn), &head))
				return NULL;
			*size = head.size;
			return at;
		}
	}
	return NULL;
}
