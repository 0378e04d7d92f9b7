// SPDX-License-Identifier: Apache-2.0
/* replies.c - what leaves a node, held against the model, which is the state at the durable LSN. */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/ledger/refusal.h"
#include "tests/sim/oracle.h"

#define LLU(x) ((unsigned long long)(x))

static const char *name_of(enum refusal refusal)
{
	const struct refusal_info *info = refusal ? refusal_find(refusal) : NULL;
	return info ? info->name : "done";
}

struct chain { uint32_t first, behind; bool open; };

static struct transfer_row row_of(const struct op *op, uint32_t index)
{
	return row_load(op->rows + (size_t)index * ROW_BYTES);
}

static struct chain chain_of(const struct op *op, uint32_t index)
{
	struct chain chain = { index, index + 1, false };
	while (chain.first && (row_of(op, chain.first - 1).flags & TRANSFER_LINKED))
		chain.first--;
	while (chain.behind < op->count && (row_of(op, chain.behind - 1).flags & TRANSFER_LINKED))
		chain.behind++;
	chain.open = row_of(op, chain.behind - 1).flags & TRANSFER_LINKED;
	return chain;
}

/* Whether the chain itself names this id in another row: then the state that counted is gone with the chain. */
static bool named_in_chain(const struct op *op, struct chain chain, uint32_t but, u128 id)
{
	for (uint32_t i = chain.first; i < chain.behind; i++)
		if (i != but && row_of(op, i).id == id)
			return true;
	return false;
}

/* Reasons that never change once they hold: the model knows them. */
static bool lasting_reason(struct oracle *oracle, const struct op *op, struct chain chain, uint32_t index, enum refusal refusal)
{
	struct transfer_row row = row_of(op, index);
	const struct model_transfer *pending = model_hold_find(oracle->model, row.debit), *other = NULL;
	const struct model_account *debit = model_account_find(oracle->model, row.debit);
	const struct model_account *credit = model_account_find(oracle->model, row.credit);
	bool both = debit && credit;
	const struct model_book *books = oracle->model->books;
	if (refusal >= REFUSED_PENDING_TRANSFER_NOT_FOUND && refusal <= REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT &&
	    named_in_chain(op, chain, index, row.debit))
		return true;
	switch (refusal) {
	case REFUSED_PENDING_TRANSFER_NOT_PENDING:
		while ((other = model_transfer_version(oracle->model, row.debit, other)) != NULL)
			if (other->state != FOUND_FAILED && !(other->row.flags & TRANSFER_PENDING))
				return true;
		return false;
	case REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_CODE:
		return pending && (pending->row.flags & TRANSFER_PENDING) && row.code && row.code != pending->row.code;
	case REFUSED_EXCEEDS_PENDING_TRANSFER_AMOUNT:
		return pending && (row.flags & TRANSFER_POST) && row.amount > pending->amount;
	case REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT:
		return pending && (row.flags & TRANSFER_VOID) && row.amount && row.amount != pending->amount;
	case REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_TENANT:
		return both && strcmp(books[debit->book].tenant, books[credit->book].tenant) != 0;
	case REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_UNIT:
		return both && strcmp(books[debit->book].unit, books[credit->book].unit) != 0;
	case REFUSED_SLICED_ACCOUNT_CANNOT_BALANCE:
		return both && (((row.flags & TRANSFER_BALANCING_DEBIT) && kind_is_sliced(debit->kind)) ||
				((row.flags & TRANSFER_BALANCING_CREDIT) && kind_is_sliced(credit->kind)));
	default: return false;
	}
}

static bool chain_has_reason(const struct op *op, struct chain chain, const struct model_reply *replies)
{
	for (uint32_t i = chain.first; i < chain.behind && i < op->count; i++)
		if (replies[i].refusal && replies[i].refusal != REFUSED_LINKED_EVENT_FAILED)
			return true;
	return false;
}

static bool chain_all_refused(struct chain chain, const struct model_reply *replies)
{
	for (uint32_t i = chain.first; i < chain.behind; i++)
		if (!replies[i].refusal)
			return false;
	return true;
}

/* With this one as what had the id. */
static bool reply_rests_on(struct oracle *oracle, const struct op *op, uint32_t index, const struct model_reply *replies, unsigned excuses,
			   const struct model_transfer *first)
{
	struct transfer_row row = row_of(op, index);
	struct chain chain = chain_of(op, index);
	enum refusal refusal = replies[index].refusal, content = model_content_refusal(&row);
	bool again = named_in_chain(op, chain, index, row.id);
	if (refusal && !chain_all_refused(chain, replies))
		return false;
	if (!refusal) {
		if (content || !first || first->state == FOUND_FAILED || model_known_refusal(first, &row))
			return false;
		return memcmp(first->balances, replies[index].balances, sizeof first->balances) == 0;
	}
	if (refusal == REFUSED_LINKED_EVENT_FAILED)
		return chain_has_reason(op, chain, replies);
	if (refusal == REFUSED_LINKED_EVENT_CHAIN_OPEN)
		return chain.open && index + 1 == op->count;
	if (refusal == REFUSED_MEMORY_FULL)
		return excuses & EXCUSE_MEMORY;
	if (refusal == REFUSED_OUTCOME_PRUNED)
		return (excuses & EXCUSE_PRUNED) && !content && first &&
		       (!(excuses & EXCUSE_KEPT) || ((excuses & EXCUSE_GONE) && first->lsn < oracle->forgotten) ||
			(first->state != FOUND_FAILED && !model_known_refusal(first, &row)));
	if (refusal == REFUSED_EXISTS_WITH_DIFFERENT_CONTENT)
		return (excuses & EXCUSE_KEPT) && !content && first && first->state != FOUND_FAILED && model_known_refusal(first, &row);
	if (refusal == REFUSED_DISK_FULL)
		return excuses & EXCUSE_DISK;
	if (refusal == REFUSED_CHAIN_TOO_LONG)
		return chain.behind - chain.first > 1;
	if (refusal < REFUSED_EXISTS_WITH_DIFFERENT_FLAGS)
		return content == refusal;
	if (content)
		return false;
	if (refusal == REFUSED_ID_ALREADY_FAILED)
		return again || (first && first->state == FOUND_FAILED);
	if (refusal < REFUSED_ID_ALREADY_FAILED)
		return again || (first && model_known_refusal(first, &row) == refusal);
	if (refusal_burns(refusal) && first && first->state == FOUND_FAILED)
		return first->refusal == refusal || (excuses & EXCUSE_MEMORY);
	if (refusal_burns(refusal))    /* without memory for it no id is used up, and another may have used it since */
		return excuses & EXCUSE_MEMORY;
	return lasting_reason(oracle, op, chain, index, refusal);
}

/* An id that was forgotten may have had another outcome before. */
static bool reply_holds(struct oracle *oracle, const struct op *op, uint32_t index, const struct model_reply *replies, unsigned excuses)
{
	const struct model_transfer *last = model_transfer_version(oracle->model, row_of(op, index).id, NULL), *at = last;
	bool holds = (!last || last->lsn < oracle->forgotten) && reply_rests_on(oracle, op, index, replies, excuses, NULL);
	for (; at && !holds; at = model_transfer_version(oracle->model, at->row.id, at))
		holds = reply_rests_on(oracle, op, index, replies, excuses, at);
	return holds;
}

void reply_transfers(struct oracle *oracle, const struct op *op, const struct model_reply *replies, unsigned excuses)
{
	for (uint32_t i = 0; i < op->count; i++) {
		if (reply_holds(oracle, op, i, replies, excuses))
			continue;
		struct transfer_row row = row_of(op, i);
		const struct model_transfer *first = model_transfer_find(oracle->model, row.id);
		law_broken(oracle, replies[i].refusal ? "L4" : "L1", "op %u row %u, transfer %016llx: the answer is %s (%lld %lld), the "
			   "durable log says %s (%lld %lld)", op->number, i, LLU(row.id), name_of(replies[i].refusal),
			   (long long)replies[i].balances[0], (long long)replies[i].balances[1],
			   !first ? "nothing" : first->state == FOUND_FAILED ? name_of(first->refusal) : "done",
			   first ? (long long)first->balances[0] : 0, first ? (long long)first->balances[1] : 0);
	}
	oracle->replies += op->count;
}

void reply_specs(struct oracle *oracle, const struct op *op, const struct account_spec *specs, unsigned excuses)
{
	static struct model *empty;
	for (uint32_t i = 0; i < op->count; i++) {
		struct account_spec spec = op->specs[i];
		enum refusal refusal = specs[i].refusal;
		if (refusal == REFUSED_DISK_FULL || refusal == REFUSED_MEMORY_FULL) {
			LAW(oracle, "L7", excuses & (refusal == REFUSED_DISK_FULL ? EXCUSE_DISK : EXCUSE_MEMORY), "op %u: %s, and there is room", op->number, name_of(refusal));
			continue;
		}
		if (op->kind == OP_CLOSE) {
			const struct model_account *account = model_account_find(oracle->model, spec.id);
			LAW(oracle, "L1", refusal || account, "op %u: an account is closed that is not there", op->number);
			continue;
		}
		if (refusal == REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS || refusal == REFUSED_SLICED_ACCOUNT_HAS_ANOTHER_ID) {
			LAW(oracle, "L4", refusal == REFUSED_SLICED_ACCOUNT_HAS_ANOTHER_ID || oracle_number_of(oracle, specs[i].id),
			    "op %u: %s, and it is not there", op->number, name_of(refusal));
			continue;
		}
		/* Of what is there, or wrong in itself, the model says the same again. */
		bool there = model_account_find(oracle->model, specs[i].id) != NULL;
		if (!empty)
			empty = model_new();
		*empty = (struct model){ 0 };
		spec.flags = op->specs[i].flags;
		if (there) {
			struct model_account *account = model_account_find(oracle->model, specs[i].id);
			bool closed = account->closed;
			account->closed = spec.flags & ACCOUNT_CLOSED;         /* it may have been closed since */
			model_account_create(oracle->model, &spec);
			account->closed = closed;
		} else {
			model_account_create(empty, &spec);
			LAW(oracle, "L1", refusal, "op %u: account %u was acknowledged and is not in the durable log", op->number, i);
		}
		LAW(oracle, "L4", spec.refusal == refusal && (refusal || spec.id == specs[i].id), "op %u, account %u: the answer is %s, the model's %s",
		    op->number, i, name_of(refusal), name_of(spec.refusal));
	}
	oracle->replies += op->count;
}

void reply_view(struct oracle *oracle, const struct account_view *view, uint64_t wait_lsn, uint64_t not_before)
{
	struct number *number = oracle_number_of(oracle, view->id);
	if (!view->found) {
		LAW(oracle, "L2", !number || !not_before, "account %016llx is gone, and it was seen before", LLU(view->id));
		return;
	}
	if (kind_is_sliced(view->kind))
		return;
	LAW(oracle, "L2", number, "account %016llx is shown, and it is not in the durable log", LLU(view->id));
	LAW(oracle, "L2", view->last_lsn < wait_lsn && view->last_lsn >= not_before,
	    "account %016llx is shown at LSN %llu; durable is %llu, and %llu was there before the question", LLU(view->id),
	    LLU(view->last_lsn), LLU(wait_lsn), LLU(not_before));
	for (unsigned i = number->history_count; i-- > 0;) {
		const struct history *history = &number->history[i];
		if (history->lsn != view->last_lsn)
			continue;
		LAW(oracle, "L2", history->sums[0] == view->debits_posted && history->sums[1] == view->credits_posted &&
		    history->sums[2] == view->debits_pending && history->sums[3] == view->credits_pending &&
		    history->closed == !!(view->flags & ACCOUNT_CLOSED),
		    "account %016llx at LSN %llu: %llu %llu %llu %llu, it had %llu %llu %llu %llu", LLU(view->id), LLU(view->last_lsn),
		    LLU(view->debits_posted), LLU(view->credits_posted), LLU(view->debits_pending), LLU(view->credits_pending),
		    LLU(history->sums[0]), LLU(history->sums[1]), LLU(history->sums[2]), LLU(history->sums[3]));
		oracle->replies++;
		return;
	}
	law_broken(oracle, "L2", "account %016llx is shown at LSN %llu, where nothing touched it", LLU(view->id), LLU(view->last_lsn));
}
