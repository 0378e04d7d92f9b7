// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/content.h"

#include "engine/base/hash.h"
#include "engine/ledger/ids.h"
#include "engine/ledger/record.h"

#define CODE_MASK UINT64_C(0xFFFF)

struct content { uint64_t flags, amount, timeout, accounts[2]; };

static uint64_t content_of(const struct content *content, uint16_t code)
{
	return (hash_bytes(content, sizeof *content) & ~CODE_MASK) | code;
}

static bool is_end(unsigned flags)
{
	return flags & (TRANSFER_POST | TRANSFER_VOID);
}

uint64_t transfer_content(const struct transfer_row *row, uint32_t debit, uint32_t credit)
{
	struct content content = { .flags = row->flags & TRANSFER_FLAGS, .amount = row->amount, .timeout = row->timeout,
				   .accounts = { debit, credit } };
	if (is_end(row->flags)) {
		content.accounts[0] = (uint64_t)row->debit;
		content.accounts[1] = (uint64_t)(row->debit >> 64);
	}
	return content_of(&content, row->code);
}

bool transfer_repeats(const struct transfer_row *row, uint64_t content, uint64_t recorded)
{
	return content == recorded || (is_end(row->flags) && !row->code && !((content ^ recorded) & ~CODE_MASK));
}

static uint64_t content_of_record(const struct transfer_view *view)
{
	const struct transfer_record *head = &view->head;
	struct content content = { .flags = head->flags & TRANSFER_FLAGS,
				   .amount = head->flags & TRANSFER_EXTENDED ? view->extra.requested : head->amount,
				   .timeout = head->timeout, .accounts = { head->debit, head->credit } };
	if (is_end(head->flags)) {
		u128 pending = u128_load(view->extra.pending_id);
		content.accounts[0] = (uint64_t)pending;
		content.accounts[1] = (uint64_t)(pending >> 64);
	}
	return content_of(&content, head->code);
}

bool id_of_record(const unsigned char *record, size_t len, struct id_record *id)
{
	struct record_head head;
	struct event_view event;
	struct transfer_view transfer;
	struct failed_record failed;
	*id = (struct id_record){ 0 };
	if (!record_head_read(record, len, &head))
		return false;
	if (head.type == RECORD_EVENT && event_view_read(record, len, &event)) {
		id->hash = event.head.id_hash;
		id->content = event.head.content_hash;
	} else if (head.type == RECORD_TRANSFER && transfer_record_read(record, len, &transfer) &&
		   !(transfer.head.flags & TRANSFER_EXPIRED)) {
		id->hash = id_hash_of_transfer(u128_load(transfer.head.id));
		id->content = content_of_record(&transfer);
	} else if (head.type == RECORD_FAILED && failed_record_read(record, len, &failed)) {
		id->hash = id_hash_of_transfer(u128_load(failed.id));
		id->failed = true;
	}
	return id->hash != 0;
}
