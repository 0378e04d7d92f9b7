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
		free(oracle->numbers[i].history);
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

static void *grown(void *list, uint32_t *cap, uint32_t count, size_t size)
{
	if (count < *cap)
		return list;
	*cap = *cap ? *cap * 2 : 64;
	list = realloc(list, *cap * size);
	ASSERT(list);
	return list;
}

#define LLU(x) ((unsigned long long)(x))

/* ---- what was asked ------------------------------------------------------------------------------------------------ */

static unsigned slot_of(u128 id)
{
	return (unsigned)(((uint64_t)id ^ (uint64_t)(id >> 64)) * UINT64_C(0x9E3779B97F4A7C15) >> 32) % SLOTS;
}

void oracle_sent(struct oracle *oracle, struct op *op)
{
	oracle->ops = grown(oracle->ops, &oracle->op_cap, oracle->op_count, sizeof *oracle->ops);
	oracle->ops[oracle->op_count++] = op;
	for (uint32_t i = 0; op->kind == OP_TRANSFERS && !op->dry && i < op->count; i++) {
		oracle->occurrences = grown(oracle->occurrences, &oracle->occurrence_cap, oracle->occurrence_count,
					    sizeof *oracle->occurrences);
		uint32_t *slot = &oracle->slots[slot_of(row_load(op->rows + (size_t)i * ROW_BYTES).id)];
		oracle->occurrences[oracle->occurrence_count++] = (struct occurrence){ op, i, *slot };
		*slot = oracle->occurrence_count;
	}
}

/* ---- finding ------------------------------------------------------------------------------------------------------- */

static struct number *number_find(struct oracle *oracle, uint32_t number)
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

static struct number *number_add(struct oracle *oracle, struct number number, uint64_t lsn)
{
	LAW(oracle, "L4", number.number && !number_find(oracle, number.number), "LSN %llu: number %u is given twice", LLU(lsn),
	    number.number);
	ASSERT(oracle->number_count < NUMBERS_MAX);
	oracle->numbers[oracle->number_count] = number;
	return &oracle->numbers[oracle->number_count++];
}

static unsigned index_of(const char *const names[2], struct str name)
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
	for (unsigned i = 0; i < oracle->event_count; i++)
		if (oracle->events[i].tenant == tenant && strcmp(oracle->events[i].id, id) == 0)
			return oracle->events[i].lsn;
	return 0;
}

/* The account as it is from this record on; and its chain. */
static void touched(struct oracle *oracle, struct number *number, uint64_t prev, uint64_t lsn)
{
	LAW(oracle, "history", prev == number->last_lsn, "LSN %llu: the chain of number %u goes to %llu, its last record is %llu",
	    LLU(lsn), number->number, LLU(prev), LLU(number->last_lsn));
	const struct model_account *account = account_of(oracle, number);
	ASSERT(account);
	number->last_lsn = lsn;
	number->history = grown(number->history, &number->history_cap, number->history_count, sizeof *number->history);
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
		struct number *number = number_find(oracle, head->number);
		LAW(oracle, "L4", number && !number->slice, "LSN %llu: number %u is closed, which is no account", LLU(lsn),
		    head->number);
		struct account_spec spec = { .id = number->id, .flags = head->flags & ACCOUNT_CLOSED };
		LAW(oracle, "L4", spec_asked(oracle, OP_CLOSE, &spec), "LSN %llu: nobody asked to close number %u", LLU(lsn),
		    head->number);
		model_account_close(oracle->model, &spec);
		LAW(oracle, "L4", !spec.refusal, "LSN %llu: closing number %u must be refused (%u)", LLU(lsn), head->number,
		    (unsigned)spec.refusal);
		touched(oracle, number, head->prev, lsn);
		return;
	}
	unsigned tenant = index_of(sim_tenants, view.tenant), unit = index_of(sim_units, view.unit);
	LAW(oracle, "L4", tenant < 2 && unit < 2 && head->op == ACCOUNT_OP_CREATE, "LSN %llu: an account of nobody", LLU(lsn));
	struct number number = { .number = head->number, .slice = head->flags & ACCOUNT_SLICE, .tenant = tenant, .unit = unit,
				 .kind = (enum account_kind)head->kind, .id = u128_load(head->id) };
	if (number.slice) {
		LAW(oracle, "L4", kind_is_sliced(head->kind), "LSN %llu: a slice of kind %u", LLU(lsn), head->kind);
		number_add(oracle, number, lsn);
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
	struct number *kept = number_add(oracle, number, lsn);
	touched(oracle, kept, head->prev, lsn);
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
	const struct number *found = number_find(oracle, number);
	return found && account_of(oracle, found) == &oracle->model->accounts[index];
}

/* The record against what the model made of its row. */
static const char *transfer_differs(struct oracle *oracle, const struct transfer_view *view, const struct model_transfer *made)
{
	const struct transfer_record *head = &view->head;
	const struct transfer_row *row = &made->row;
	bool debit_whole = head->flags & TRANSFER_DEBIT_WHOLE, credit_whole = head->flags & TRANSFER_CREDIT_WHOLE;
	bool ends = row->flags & (TRANSFER_POST | TRANSFER_VOID);
	const struct model_transfer *pending = ends ? model_transfer_find(oracle->model, row->debit) : NULL;
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

static void transfer_touched(struct oracle *oracle, const struct transfer_view *view, uint64_t lsn)
{
	bool debit_whole = view->head.flags & TRANSFER_DEBIT_WHOLE, credit_whole = view->head.flags & TRANSFER_CREDIT_WHOLE;
	if (debit_whole)
		touched(oracle, number_find(oracle, view->head.debit), view->head.prev, lsn);
	if (credit_whole)
		touched(oracle, number_find(oracle, view->head.credit), debit_whole ? view->second.prev : view->head.prev, lsn);
}

static const char *failed_differs(const struct parsed *record, const struct model_transfer *made)
{
	struct failed_record failed;
	if (!failed_record_read(record->at, record->head.size, &failed) || u128_load(failed.id) != made->row.id)
		return "another record";
	return failed.refusal == (uint32_t)made->refusal ? NULL : "reason of the refusal";
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
		if (why)
			continue;
		for (unsigned i = 0; i < used; i++) {
			struct transfer_view view;
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

/* ---- events and customers ------------------------------------------------------------------------------------------ */

static bool event_matches(const struct sim_event *asked, unsigned tenant, const struct event_view *view)
{
	return asked->tenant == tenant && str_eq(str_of(asked->id), view->id) && str_eq(str_of(asked->profile), view->profile) &&
	       str_eq(str_of(asked->type), view->type) && str_eq(str_of(asked->payload), view->payload);
}

/* The event under the newest configuration, the one before it …, down to the one that its sender knew of. */
static bool event_explained(struct oracle *oracle, const struct op *op, const struct sim_event *asked,
			    const struct member_model *member, const struct model_account *account, int64_t now_ms,
			    const struct outcome *is, struct outcome *wanted)
{
	const struct configs *configs = &oracle->configs[asked->tenant];
	for (unsigned c = configs->count; c-- > 0;) {
		if (event_outcome(&configs->list[c], member, account, asked->type, asked->points, asked->amount, now_ms, wanted) &&
		    outcomes_equal(wanted, is))
			return true;
		if (configs->list[c].lsn <= op->config_lsn[asked->tenant])
			break;
	}
	return false;
}

static struct member_model *member_made(struct oracle *oracle, unsigned tenant, struct str profile, int64_t time_ms)
{
	struct member_model *member = oracle_member(oracle, tenant, profile);
	if (member)
		return member;
	ASSERT(oracle->member_count < MEMBERS_MAX && profile.len < TEXT);
	member = &oracle->members[oracle->member_count++];
	*member = (struct member_model){ .tenant = tenant, .created_ms = time_ms, .status = "ACTIVE" };
	memcpy(member->profile, profile.ptr, profile.len);
	return member;
}

static void reward_take(struct member_model *member, const uint64_t more[3])
{
	member->rewards = grown(member->rewards, &member->reward_cap, member->reward_count, sizeof *member->rewards);
	member->rewards[member->reward_count++] = (struct given_model){ (uint32_t)more[0], more[1], (int64_t)more[2], REWARD_ISSUED };
	member->seq = (uint32_t)more[0];
}

static void effects_take(struct oracle *oracle, struct member_model *member, const struct outcome *outcome)
{
	struct str tenant = str_of(sim_tenants[member->tenant]), profile = str_of(member->profile);
	for (unsigned i = 0; i < outcome->execution_count; i++)
		for (unsigned e = 0; e < outcome->executions[i].effect_count; e++) {
			int64_t points = outcome->executions[i].effects[e].points;
			const char *text = outcome->executions[i].effects[e].text;
			ASSERT((unsigned)outcome->executions[i].effects[e].type < SEEN_EFFECTS);
			oracle->seen.effects[outcome->executions[i].effects[e].type]++;
			switch (outcome->executions[i].effects[e].type) {
			case EFFECT_EARN:
				model_earn(oracle->model, tenant, profile, (uint64_t)points);
				member->lifetime += points;
				member->status_points += points;
				break;
			case EFFECT_BURN:
				LAW(oracle, "L3", model_burn(oracle->model, tenant, profile, (uint64_t)points),
				    "a floor is passed by an event of %s", member->profile);
				break;
			case EFFECT_STATUS: snprintf(member->status, TEXT, "%s", text); break;
			case EFFECT_TAG: member_tag(member, text); break;
			case EFFECT_STATUS_POINTS_RESET: member->status_points = 0; break;
			case EFFECT_NONE: break;
			case EFFECT_TIER: member->status_points += points; break;
			case EFFECT_REWARD_ISSUED: reward_take(member, outcome->executions[i].effects[e].more); break;
			case EFFECT_BONUS:
				ASSERT(member->bonus_count < BONUSES_MAX);
				snprintf(member->bonuses[member->bonus_count].key, TEXT, "%s", text);
				memcpy(member->bonuses[member->bonus_count++].period, outcome->executions[i].effects[e].period, 16);
				member->seq = (uint32_t)outcome->executions[i].effects[e].more[0];
				break;
			default: law_broken(oracle, "rules", "an effect of type %d", (int)outcome->executions[i].effects[e].type);
			}
		}
}

static void on_event(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms)
{
	struct event_view view;
	struct outcome is, wanted;
	LAW(oracle, "L6", event_view_read(record, size, &view), "LSN %llu: an event's record cannot be read", LLU(lsn));
	unsigned tenant = index_of(sim_tenants, view.tenant);
	LAW(oracle, "L4", tenant < 2 && outcome_of_record(&view, &is), "LSN %llu: an event of nobody", LLU(lsn));
	char id[TEXT] = "";
	LAW(oracle, "L4", view.id.len < TEXT, "LSN %llu: an event of nobody", LLU(lsn));
	memcpy(id, view.id.ptr, view.id.len);
	LAW(oracle, "L4", !oracle_event_lsn(oracle, tenant, id), "LSN %llu: event %s is in the log for the second time, first at %llu",
	    LLU(lsn), id, LLU(oracle_event_lsn(oracle, tenant, id)));
	struct member_model *member = oracle_member(oracle, tenant, view.profile);
	u128 account_id = account_id_of_member(view.tenant, view.profile, STR("default"), STR("points"));
	struct model_account *account = model_account_find(oracle->model, account_id);
	bool asked = false, explained = false;
	for (unsigned o = 0; o < oracle->op_count && !explained; o++) {
		const struct op *op = oracle->ops[o];
		for (uint32_t i = 0; op->kind == OP_EVENTS && !op->dry && i < op->count && !explained; i++)
			if (event_matches(&op->events[i], tenant, &view)) {
				asked = true;
				explained = event_explained(oracle, op, &op->events[i], member, account, time_ms, &is, &wanted);
			}
	}
	LAW(oracle, "L4", asked, "LSN %llu: nobody sent event %s", LLU(lsn), id);
	if (!explained) {
		char is_text[300], wanted_text[300] = "a refusal";
		const struct configs *configs = &oracle->configs[tenant];
		int64_t points = 0, amount = 0;
		sscanf(view.payload.ptr, "{\"points\":%" SCNd64 ",\"amount\":%" SCNd64, &points, &amount);
		char type[TEXT] = "";
		memcpy(type, view.type.ptr, view.type.len < TEXT ? view.type.len : 0);
		outcome_text(&is, is_text, sizeof is_text);
		if (event_outcome(&configs->list[configs->count - 1], member, account, type, points, amount, time_ms, &wanted))
			outcome_text(&wanted, wanted_text, sizeof wanted_text);
		law_broken(oracle, "rules", "LSN %llu: event %s of %.*s came to %s; the rules say %s", LLU(lsn), id,
			   (int)view.profile.len, view.profile.ptr, is_text, wanted_text);
	}
	LAW(oracle, "time", view.head.time_ms == time_ms, "LSN %llu: an event of another time than its frame", LLU(lsn));
	LAW(oracle, "history", !member == !!(view.head.flags & EVENT_MEMBER_CREATED) &&
	    view.head.prev_member == (member ? member->last_lsn : 0), "LSN %llu: the chain of member %.*s", LLU(lsn),
	    (int)view.profile.len, view.profile.ptr);
	unsigned group = group_of(view.head.head.partition);
	LAW(oracle, "history", view.head.prev_slice == oracle->slice_lsn[tenant][group], "LSN %llu: the chain of group %u", LLU(lsn),
	    group);
	oracle->slice_lsn[tenant][group] = lsn;
	member = member_made(oracle, tenant, view.profile, time_ms);
	effects_take(oracle, member, &wanted);
	if (is.moved) {
		bool created = view.head.flags & EVENT_ACCOUNT_CREATED;
		LAW(oracle, "L4", created == !account, "LSN %llu: an account comes into being twice, or never", LLU(lsn));
		struct number *number = created ? number_add(oracle, (struct number){ .number = view.head.account, .id = account_id,
									   .tenant = tenant, .kind = ACCOUNT_MEMBER }, lsn)
						: number_find(oracle, view.head.account);
		LAW(oracle, "L4", number && number->id == account_id, "LSN %llu: the points of another account moved", LLU(lsn));
		touched(oracle, number, view.head.prev_account, lsn);
	}
	member->events++;
	member->active_ms = time_ms;
	member->last_lsn = lsn;
	ASSERT(oracle->event_count < EVENTS_KEPT);
	struct event_entry *entry = &oracle->events[oracle->event_count++];
	*entry = (struct event_entry){ .lsn = lsn, .id_hash = view.head.id_hash, .tenant = tenant };
	memcpy(entry->id, id, TEXT);
	oracle->happened++;
}

static bool action_asked(const struct oracle *oracle, unsigned tenant, struct str profile, unsigned what, uint32_t seq)
{
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		if (op->kind == OP_ACTION && !op->dry && op->tenant == tenant && str_eq(str_of(op->profile), profile) &&
		    op->action == what && (what != ACTION_OP_USE_REWARD || op->document == seq))
			return true;
	}
	return false;
}

/* One of a member's rewards is used, or those past their end expire: all of them. */
static void on_action(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms)
{
	struct action_view view;
	uint32_t next = 0;
	LAW(oracle, "L6", action_view_read(record, size, &view), "LSN %llu: an action's record cannot be read", LLU(lsn));
	unsigned tenant = index_of(sim_tenants, view.tenant);
	struct member_model *member = tenant < 2 ? oracle_member(oracle, tenant, view.profile) : NULL;
	LAW(oracle, "L4", member, "LSN %llu: an action on nobody", LLU(lsn));
	LAW(oracle, "history", view.head.prev_member == member->last_lsn, "LSN %llu: the chain of member %s", LLU(lsn), member->profile);
	bool use = view.head.op == ACTION_OP_USE_REWARD;
	const unsigned char *at = view.effects;
	for (unsigned e = 0; e < view.head.effect_count; e++) {
		struct effect_view effect;
		struct effect_seq seq;
		effect_next(&at, &effect);
		LAW(oracle, "rules", effect.head.type == (use ? EFFECT_REWARD_USED : EFFECT_REWARD_EXPIRED), "LSN %llu: effect %u",
		    LLU(lsn), effect.head.type);
		effect_struct(&effect, &seq, sizeof seq);
		struct given_model *given = NULL;
		for (; next < member->reward_count && !given; next++) {
			struct given_model *one = &member->rewards[next];
			bool due = one->state == REWARD_ISSUED && one->expires_ms && one->expires_ms <= time_ms;
			if (one->seq == seq.seq)
				given = one;
			else
				LAW(oracle, "rules", use || !due, "LSN %llu: reward %u of %s is past its end, and is left", LLU(lsn),
				    one->seq, member->profile);
		}
		LAW(oracle, "L4", given && given->state == REWARD_ISSUED, "LSN %llu: reward %u of %s ends twice, or never was", LLU(lsn),
		    seq.seq, member->profile);
		bool past = given->expires_ms && given->expires_ms <= time_ms;
		LAW(oracle, "rules", past != use, "LSN %llu: reward %u of %s is %s", LLU(lsn), seq.seq, member->profile,
		    use ? "used past its end" : "expired before its end");
		LAW(oracle, "L4", action_asked(oracle, tenant, view.profile, view.head.op, seq.seq), "LSN %llu: nobody asked for it", LLU(lsn));
		given->state = use ? REWARD_USED : REWARD_EXPIRED;
		oracle->seen.effects[effect.head.type]++;
	}
	LAW(oracle, "rules", view.head.effect_count && (!use || view.head.effect_count == 1), "LSN %llu: %u effects", LLU(lsn),
	    view.head.effect_count);
	member->last_lsn = lsn;
}

static void attribute_merge(char out[TEXT], bool given, const char *json)
{
	if (given)
		snprintf(out, TEXT, "%s", strcmp(json, "null") ? json : "");
}

static struct member_model merged(const struct member_model *member, const struct sim_customer *asked)
{
	struct member_model to = *member;
	if (*asked->status)
		snprintf(to.status, TEXT, "%s", asked->status);
	if (asked->tagged) {
		to.tag_count = 0;
		for (unsigned i = 0; i < asked->tag_count; i++)
			member_tag(&to, asked->tags[i]);
	}
	attribute_merge(to.color, asked->colored, asked->color);
	attribute_merge(to.size, asked->sized, asked->size);
	return to;
}

static bool attribute_is(yyjson_val *root, struct str key, const char *wanted)
{
	yyjson_val *value = json_get(root, key);
	struct buf text = { 0 };
	if (value)
		json_write(&text, value);
	bool same = str_eq(buf_view(&text), str_of(wanted));
	buf_free(&text);
	return same;
}

static bool attributes_are(struct str json, const struct member_model *member)
{
	struct json_error error;
	yyjson_doc *doc = json_read(json, &error);
	yyjson_val *root = yyjson_doc_get_root(doc);
	bool good = doc && yyjson_obj_size(root) == (size_t)(*member->color != 0) + (*member->size != 0) &&
		    attribute_is(root, STR("color"), member->color) && attribute_is(root, STR("size"), member->size);
	yyjson_doc_free(doc);
	return good;
}

static bool tags_are(const struct customer_view *view, const struct member_model *member)
{
	const unsigned char *at = view->tags;
	if (view->head.tag_count != member->tag_count)
		return false;
	for (unsigned i = 0; i < member->tag_count; i++)
		if (!str_eq(tag_next(&at), str_of(member->tags[i])))
			return false;
	return true;
}

static void on_customer(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms)
{
	struct customer_view view;
	LAW(oracle, "L6", customer_view_read(record, size, &view), "LSN %llu: a customer's record cannot be read", LLU(lsn));
	unsigned tenant = index_of(sim_tenants, view.tenant);
	LAW(oracle, "L4", tenant < 2, "LSN %llu: a customer of nobody", LLU(lsn));
	const struct member_model *known = oracle_member(oracle, tenant, view.profile);
	struct member_model *member = member_made(oracle, tenant, view.profile, time_ms);
	LAW(oracle, "history", view.head.prev_member == (known ? known->last_lsn : 0), "LSN %llu: the chain of member %s", LLU(lsn),
	    member->profile);
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		for (uint32_t i = 0; op->kind == OP_CUSTOMERS && !op->dry && i < op->count; i++) {
			const struct sim_customer *asked = &op->customers[i];
			if (asked->tenant != tenant || strcmp(asked->profile, member->profile) != 0)
				continue;
			struct member_model wanted = merged(member, asked);
			if (!str_eq(str_of(wanted.status), view.status) || !tags_are(&view, &wanted) ||
			    !attributes_are(view.attributes, &wanted))
				continue;
			*member = wanted;
			member->last_lsn = lsn;
			oracle->customers++;
			return;
		}
	}
	law_broken(oracle, "L4", "LSN %llu: nobody asked for what customer %s became", LLU(lsn), member->profile);
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

static void on_catalog(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn)
{
	struct catalog_change change;
	uint64_t len;
	memcpy(&len, record + sizeof(struct record_head), sizeof len);
	LAW(oracle, "L6", len <= size && catalog_change_decode(record + sizeof(struct record_head) + sizeof len, len, &change),
	    "LSN %llu: a change of configuration cannot be read", LLU(lsn));
	unsigned tenant = index_of(sim_tenants, change.tenant);
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
		case RECORD_EVENT: on_event(oracle, record->at, size, record->lsn, frame->time_ms); break;
		case RECORD_CUSTOMER: on_customer(oracle, record->at, size, record->lsn, frame->time_ms); break;
		case RECORD_ACTION: on_action(oracle, record->at, size, record->lsn, frame->time_ms); break;
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
								     oracle->bytes.len };
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
