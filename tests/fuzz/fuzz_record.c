// SPDX-License-Identifier: Apache-2.0
/* fuzz_record.c - arbitrary bytes as records of the log: nothing is read outside, and what is accepted can be walked.
 *
 * The first byte says whether type, partition and size are put right first, so that the lengths behind them are
 * reached. The rest is read as an event, as a customer, as the ledger's records and as a change of the catalog.  A
 * change that decodes encodes to bytes that decode to the same, and can be applied.  A transfer's record is compared
 * with a row, as it is when an id comes again.
 */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/catalog/catalog.h"
#include "engine/event/effect.h"
#include "engine/event/record.h"
#include "engine/ledger/record.h"
#include "engine/ledger/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void touch(struct str text, const unsigned char *from, const unsigned char *end)
{
	const unsigned char *start = (const unsigned char *)text.ptr;
	ASSERT(start >= from && start <= end && text.len <= (size_t)(end - start));
	sink += hash_bytes(text.ptr, text.len);
}

static void effect_touch(const struct effect_view *effect, const unsigned char *from, const unsigned char *end)
{
	struct str before;
	touch(effect->text, from, end);
	touch(effect_word(effect), from, end);
	if (effect_before(effect, &before))
		touch(before, from, end);
}

static void action_walk(const unsigned char *bytes, size_t len)
{
	struct action_view action;
	if (!action_view_read(bytes, len, &action))
		return;
	const unsigned char *at = action.effects;
	touch(action.tenant, bytes, bytes + len);
	touch(action.profile, bytes, bytes + len);
	for (unsigned e = 0; e < action.head.effect_count; e++) {
		struct effect_view effect;
		effect_next(&at, &effect);
		effect_touch(&effect, bytes, bytes + len);
	}
}

static void event_walk(const unsigned char *bytes, size_t len)
{
	struct event_view event;
	if (!event_view_read(bytes, len, &event))
		return;
	const unsigned char *at = event.executions;
	ASSERT(event.end <= bytes + len && event.head.head.size == (size_t)(event.end - bytes) && event.head.id_hash);
	const struct str texts[] = { event.tenant, event.profile, event.type, event.id, event.source, event.payload };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		touch(texts[i], bytes, event.end);
	for (unsigned i = 0; i < event.execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		const unsigned char *effects = execution.effects;
		for (unsigned e = 0; e < execution.head.effect_count; e++) {
			struct effect_view effect;
			effect_next(&effects, &effect);
			effect_touch(&effect, bytes, event.end);
		}
		ASSERT((const char *)effects == execution.error.ptr);
		touch(execution.error, bytes, event.end);
		ASSERT(at <= event.end);
	}
}

static void customer_walk(const unsigned char *bytes, size_t len)
{
	struct customer_view customer;
	if (!customer_view_read(bytes, len, &customer))
		return;
	const unsigned char *at = customer.tags;
	const struct str texts[] = { customer.tenant, customer.profile, customer.status, customer.attributes };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		touch(texts[i], bytes, customer.end);
	for (unsigned i = 0; i < customer.head.tag_count; i++)
		touch(tag_next(&at), bytes, customer.end);
	ASSERT(at <= customer.end && customer.end <= bytes + len);
}

static void account_walk(const unsigned char *bytes, size_t len)
{
	struct account_record_view account;
	struct sliced_record_view sliced;
	if (account_record_read(bytes, len, &account)) {
		const struct str texts[] = { account.tenant, account.unit, account.member, account.program };
		for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
			touch(texts[i], bytes, bytes + account.head.head.size);
		ASSERT(account.head.head.type == RECORD_ACCOUNT && account.head.head.size <= len);
	}
	if (sliced_record_read(bytes, len, &sliced)) {
		touch(sliced.tenant, bytes, bytes + sliced.head.head.size);
		touch(sliced.unit, bytes, bytes + sliced.head.head.size);
		ASSERT(sliced.head.head.type == RECORD_SLICED && sliced.head.head.size <= len);
	}
}

static void transfer_walk(const unsigned char *bytes, size_t len, const unsigned char row[ROW_BYTES])
{
	struct transfer_view transfer;
	struct failed_record failed;
	struct known_row known = { .debit_number = 1, .credit_number = 2 };
	bool is_transfer = transfer_record_read(bytes, len, &transfer),
	     is_failed = failed_record_read(bytes, len, &failed);
	ASSERT(!(is_transfer && is_failed));
	if (is_transfer) {
		const unsigned both = TRANSFER_DEBIT_WHOLE | TRANSFER_CREDIT_WHOLE;
		unsigned flags = transfer.head.flags;
		size_t size = sizeof(struct transfer_record) +
			      ((flags & both) == both) * sizeof(struct transfer_second) +
			      ((flags & TRANSFER_EXTENDED) != 0) * sizeof(struct transfer_extra);
		ASSERT(transfer.head.head.type == RECORD_TRANSFER && transfer.head.head.size >= size && size <= len);
		IMPLIES((flags & both) != both, !transfer.second.prev && !transfer.second.balance);
		IMPLIES(!(flags & TRANSFER_EXTENDED), !transfer.extra.requested && !transfer.extra.pending_amount);
		sink += transfer.head.amount + transfer.second.prev + transfer.extra.requested;
	}
	if (is_failed)
		ASSERT(failed.head.type == RECORD_FAILED && failed.head.size <= len);
	known_compare(&known, row, bytes, len);
	ASSERT(known.resolved != known.collision);
	IMPLIES(known.resolved, is_transfer || is_failed);
	IMPLIES(known.resolved && is_failed, known.refusal == REFUSED_ID_ALREADY_FAILED);
}

static void change_walk(const unsigned char *bytes, size_t len)
{
	struct catalog_change change, again;
	struct catalog catalog = { 0 };
	struct buf out = { 0 };
	if (!catalog_change_decode(bytes, len, &change))
		return;
	catalog_change_encode(&change, &out);
	bool good = catalog_change_decode(out.ptr, out.len, &again);
	ASSERT(good && again.op == change.op && again.kind == change.kind && again.id == change.id &&
	       again.version == change.version && again.time_ms == change.time_ms &&
	       again.created_ms == change.created_ms && str_eq(again.tenant, change.tenant) &&
	       str_eq(again.json, change.json) && str_eq(again.state, change.state));
	catalog_apply(&catalog, &change, 8);
	catalog_apply(&catalog, &again, 16);
	catalog_free(&catalog);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	size_t len = size - 1;
	unsigned char *bytes = mem_alloc(len);         /* exactly as long, so that a sanitizer sees one byte more */
	if (len)
		memcpy(bytes, data + 1, len);
	if (data[0] & 1 && len >= sizeof(struct record_head)) {
		struct record_head head = { .size = (uint32_t)(len & ~(size_t)7), .partition = data[0] };
		static const uint16_t types[] = { RECORD_EVENT,	   RECORD_CUSTOMER, RECORD_ACCOUNT,  RECORD_SLICED,
						  RECORD_TRANSFER, RECORD_FAILED,   RECORD_ACTION,   RECORD_FILLER };
		head.type = types[data[0] >> 1 & 7];
		memcpy(bytes, &head, sizeof head);
	}
	/* The row has the record's id, where there is one, and else what stands behind. */
	unsigned char row[ROW_BYTES] = { 0 };
	if (len > sizeof(struct record_head))
		memcpy(row, bytes + sizeof(struct record_head),
		       len - sizeof(struct record_head) < 16 ? len - sizeof(struct record_head) : 16);
	if (len > 80)
		memcpy(row + 16, bytes + 72, len - 72 < 48 ? len - 72 : 48);
	event_walk(bytes, len);
	account_walk(bytes, len);
	transfer_walk(bytes, len, row);
	customer_walk(bytes, len);
	action_walk(bytes, len);
	change_walk(bytes, len);
	mem_free(bytes);
	return 0;
}
