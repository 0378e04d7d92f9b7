// SPDX-License-Identifier: Apache-2.0
/* Rows that come again: what the first outcome's record says, against the row. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/content.h"
#include "engine/ledger/decide.h"

/* What of a row differs from the first one of that id, but its accounts. */
static enum refusal compare_rest(const struct transfer_row *row, const struct transfer_view *first)
{
	const struct transfer_record *head = &first->head;
	bool end = row->flags & (TRANSFER_POST | TRANSFER_VOID);
	uint64_t amount = head->flags & TRANSFER_EXTENDED ? first->extra.requested : head->amount;
	if (row->amount != MUTATE(33, amount, row->amount))
		return REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT;
	if (row->code != head->code && !(end && row->code == 0))
		return REFUSED_EXISTS_WITH_DIFFERENT_CODE;
	if (row->timeout != head->timeout)
		return REFUSED_EXISTS_WITH_DIFFERENT_TIMEOUT;
	return REFUSAL_NONE;
}

static void compare(struct known_row *known, const struct transfer_row *row, const struct transfer_view *first)
{
	const struct transfer_record *head = &first->head;
	bool end = row->flags & (TRANSFER_POST | TRANSFER_VOID);
	known->resolved = true;
	known->refusal = compare_rest(row, first);
	if ((head->flags & TRANSFER_FLAGS) != row->flags) {
		known->refusal = REFUSED_EXISTS_WITH_DIFFERENT_FLAGS;
	} else if (end && u128_load(first->extra.pending_id) != row->debit) {
		known->refusal = REFUSED_EXISTS_WITH_DIFFERENT_PENDING_ID;
	} else if (!end && (head->debit != known->debit_number || head->credit != known->credit_number)) {
		/* A sliced account has a number in each group, so other numbers may be the same accounts. */
		known->recorded[0] = head->debit;
		known->recorded[1] = head->credit;
		known->unsure = known->collision = true;
		known->resolved = false;
	}
}

void known_pruned(struct known_row *known, const unsigned char *bytes, const struct id_kept *kept)
{
	struct transfer_row row = row_load(bytes);
	uint64_t content = transfer_content(&row, known->debit_number, known->credit_number);
	known->balances[0] = known->balances[1] = BALANCE_NONE;
	known->collision = known->unsure = false;
	known->resolved = true;
	known->refusal = REFUSED_OUTCOME_PRUNED;
	if (kept->found && kept->failed)
		known->refusal = REFUSED_ID_ALREADY_FAILED;
	else if (kept->found && !transfer_repeats(&row, content, kept->content))
		known->refusal = REFUSED_EXISTS_WITH_DIFFERENT_CONTENT;
}

void known_compare(struct known_row *known, const unsigned char *bytes, const unsigned char *record, size_t len)
{
	struct transfer_row row = row_load(bytes);
	struct transfer_view view;
	struct failed_record failed;
	known->balances[0] = known->balances[1] = BALANCE_NONE;
	known->collision = known->resolved = known->unsure = false;
	if (failed_record_read(record, len, &failed) && u128_load(failed.id) == row.id) {
		known->resolved = true;
		known->refusal = MUTATE(37, REFUSED_ID_ALREADY_FAILED, REFUSAL_NONE);
	} else if (transfer_record_read(record, len, &view) && u128_load(view.head.id) == row.id &&
		   !(view.head.flags & TRANSFER_EXPIRED)) {
		bool debit_whole = view.head.flags & TRANSFER_DEBIT_WHOLE, credit_whole = view.head.flags & TRANSFER_CREDIT_WHOLE;
		compare(known, &row, &view);
		if (debit_whole)
			known->balances[0] = view.head.balance;
		if (credit_whole)
			known->balances[1] = debit_whole ? view.second.balance : view.head.balance;
		/* What another transfer left behind is nobody's business but that transfer's. */
		if (known->refusal)
			known->balances[0] = known->balances[1] = BALANCE_NONE;
	} else {
		known->collision = true;
	}
}

static int pair_order(const void *a, const void *b)
{
	uint32_t one, other;
	memcpy(&one, a, sizeof one);
	memcpy(&other, b, sizeof other);
	return (one > other) - (one < other);
}

void refused_sort(struct buf *refused)
{
	if (refused->len)
		qsort(refused->ptr, refused->len / 8, 8, pair_order);
}

void ledger_known_finish(struct ledger_request *request)
{
	for (uint32_t i = 0; i < request->known_count; i++) {
		struct known_row *known = &request->known[i];
		ASSERT(known->resolved || known->used);
		if (known->used)
			continue;
		known->used = true;
		if (known->refusal) {
			uint32_t pair[2] = { known->index, known->refusal };
			buf_bytes(&request->refused, pair, sizeof pair);
		}
		if (request->want_balances)
			memcpy(request->balances.ptr + (size_t)known->index * sizeof known->balances, known->balances,
			       sizeof known->balances);
	}
	if (request->known_count)
		refused_sort(&request->refused);
}
