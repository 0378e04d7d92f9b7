// SPDX-License-Identifier: Apache-2.0
#include "net/surface/ledger_log.h"

#include "engine/event/effect.h"
#include "engine/event/reverse.h"
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "net/surface/transaction.h"

enum { FIRST_READ = TRANSFER_RECORD_MAX };

#define BOTH_WHOLE (TRANSFER_DEBIT_WHOLE | TRANSFER_CREDIT_WHOLE)

/* Why a read failed: what was pruned meanwhile is gone, the rest is there. */
static enum log_outcome unread(const struct wal *wal, uint64_t lsn)
{
	return lsn < wal_first(wal) ? LOG_PRUNED : LOG_UNREADABLE;
}

static enum log_outcome record_at(const struct wal *wal, uint64_t lsn, struct buf *out)
{
	struct record_head head;
	uint64_t durable = wal_durable(wal);
	out->len = 0;
	/* A chain names records that were durable: what is not there any more was dropped, all else is the disk's doing. */
	if (lsn % 8 || lsn < wal_first(wal) || lsn >= durable || durable - lsn < sizeof head)
		return unread(wal, lsn);
	if (!wal_check(wal, lsn))
		return unread(wal, lsn);
	size_t size = durable - lsn < FIRST_READ ? (size_t)(durable - lsn) : FIRST_READ;
	buf_room(out, FIRST_READ);
	if (!wal_read(wal, lsn, out->ptr, size))
		return unread(wal, lsn);
	memcpy(&head, out->ptr, sizeof head);
	if (head.size < sizeof head || head.size % 8 || head.size > wal_frame_max(wal) || head.size > durable - lsn)
		return unread(wal, lsn);
	if (head.size > size) {
		buf_room(out, head.size);
		if (!wal_read(wal, lsn, out->ptr, head.size))
			return unread(wal, lsn);
	}
	out->len = head.size;
	return LOG_DONE;
}

/* One record of an account's chain. */
struct link {
	enum { LINK_TRANSFER, LINK_EVENT, LINK_ACCOUNT } kind;
	uint64_t lsn, prev;
	int64_t time_ms;
	int64_t balance;
	bool debit;                    /* the account is the debit side */
	struct transfer_view transfer;
	struct event_view event;
	struct account_record_view account;
};

/* False: the bytes are no record of this account. */
static bool link_parse(const struct buf *bytes, uint32_t number, uint64_t lsn, struct link *link)
{
	const unsigned char *record = (const unsigned char *)bytes->ptr;
	link->lsn = lsn;
	if (transfer_record_read(record, bytes->len, &link->transfer)) {
		const struct transfer_record *head = &link->transfer.head;
		bool both = (head->flags & BOTH_WHOLE) == BOTH_WHOLE;
		link->kind = LINK_TRANSFER;
		link->time_ms = head->time_ms;
		link->debit = (head->flags & TRANSFER_DEBIT_WHOLE) && head->debit == number;
		if (!link->debit && !((head->flags & TRANSFER_CREDIT_WHOLE) && head->credit == number))
			return false;
		link->prev = !link->debit && both ? link->transfer.second.prev : head->prev;
		link->balance = !link->debit && both ? link->transfer.second.balance : head->balance;
		return true;
	}
	if (event_view_read(record, bytes->len, &link->event)) {
		link->kind = LINK_EVENT;
		link->time_ms = link->event.head.time_ms;
		link->prev = link->event.head.prev_account;
		link->balance = link->event.head.points;
		return link->event.head.account == number;
	}
	if (account_record_read(record, bytes->len, &link->account)) {
		link->kind = LINK_ACCOUNT;
		link->time_ms = link->account.head.time_ms;
		link->prev = link->account.head.prev;
		return link->account.head.number == number;
	}
	return false;
}

static enum log_outcome link_read(const struct wal *wal, uint32_t number, uint64_t lsn, struct buf *bytes, struct link *link)
{
	enum log_outcome outcome = record_at(wal, lsn, bytes);
	return outcome || link_parse(bytes, number, lsn, link) ? outcome : LOG_UNREADABLE;
}

static bool after_moment(const struct link *link, const struct log_moment *at)
{
	return (at->lsn && link->lsn > at->lsn) || link->time_ms > at->time_ms;
}

/* ---- movements ----------------------------------------------------------------------------------------------------------- */

/* enum account_kind of a sliced side; 0: it is a whole account. */
static uint8_t side_kind(unsigned flags, unsigned shift)
{
	unsigned kind = flags >> shift & 7;
	return (uint8_t)(kind ? kind + 1 : 0);
}

void log_movement(struct movement *movement, const struct transfer_view *view)
{
	const struct transfer_record *head = &view->head;
	bool expired = head->flags & TRANSFER_EXPIRED;
	*movement = (struct movement){
		.id = expired ? 0 : u128_load(head->id), .pending_id = u128_load(view->extra.pending_id), .time_ms = head->time_ms,
		.amount = head->amount, .requested = head->flags & TRANSFER_EXTENDED ? view->extra.requested : head->amount,
		.pending_amount = view->extra.pending_amount, .debit = head->debit, .credit = head->credit,
		.timeout = head->timeout, .code = head->code, .flags = head->flags & (TRANSFER_FLAGS | TRANSFER_EXPIRED),
		.debit_kind = side_kind(head->flags, TRANSFER_DEBIT_KIND_SHIFT),
		.credit_kind = side_kind(head->flags, TRANSFER_CREDIT_KIND_SHIFT),
	};
}

static void event_movements(struct log_walk *walk, const struct link *link)
{
	const struct event_view *event = &link->event;
	size_t first = walk->movements.len, text = walk->texts.len;
	uint16_t number = 0;
	buf_str(&walk->texts, event->id);
	struct effects effects = effects_of(event);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		enum effect_type type = (enum effect_type)effect.head.type;
		bool to_member = effect_kinds[type].moves > 0;
		bool redeemed = type == EFFECT_BURN || type == EFFECT_BURN_REVERSED;
		uint8_t other = redeemed ? ACCOUNT_REDEEMED : ACCOUNT_LIABILITY;
		if (!effect_kinds[type].moves || !effect.head.points)
			continue;
		struct movement movement = {
			.lsn = link->lsn, .time_ms = link->time_ms, .amount = (uint64_t)effect.head.points,
			.requested = (uint64_t)effect.head.points, .balance = effect.head.balance,
			.debit = to_member ? 0 : walk->number, .credit = to_member ? walk->number : 0,
			.debit_kind = to_member ? other : 0, .credit_kind = to_member ? 0 : other,
			.number = number++,
			.event_at = text, .event_len = event->id.len,
		};
		buf_bytes(&walk->movements, &movement, sizeof movement);
	}
	/* They are found in the order in which they happened. */
	struct movement *list = (struct movement *)(void *)(walk->movements.ptr + first);
	for (uint16_t i = 0; walk->newest_first && i < number / 2; i++) {
		struct movement swap = list[i];
		list[i] = list[number - 1 - i];
		list[number - 1 - i] = swap;
	}
}

static void link_movements(struct log_walk *walk, const struct link *link)
{
	struct movement movement;
	if (link->kind == LINK_EVENT) {
		event_movements(walk, link);
		return;
	}
	log_movement(&movement, &link->transfer);
	movement.lsn = link->lsn;
	movement.balance = link->balance;
	buf_bytes(&walk->movements, &movement, sizeof movement);
}

static size_t movement_count(const struct log_walk *walk)
{
	return walk->movements.len / sizeof(struct movement);
}

static bool walk_takes(const struct log_walk *walk, const struct link *link)
{
	return link->kind != LINK_ACCOUNT && !(walk->before && link->lsn >= walk->before) && !after_moment(link, &walk->at);
}

/* Newest first: what is found is given, up to the limit. */
static void walk_back(struct log_walk *walk, struct buf *bytes)
{
	struct link link;
	uint64_t last = 0;
	uint32_t steps = 0;
	for (uint64_t lsn = walk->head; lsn && lsn > walk->after; lsn = link.prev) {
		walk->lsn = lsn;
		if (steps++ == LOG_WALK_MAX) {
			walk->outcome = LOG_TOO_LONG;
			return;
		}
		walk->outcome = link_read(walk->wal, walk->number, lsn, bytes, &link);
		if (walk->outcome == LOG_PRUNED && movement_count(walk)) {
			/* What there is is given; the next page says that the rest was dropped. */
			walk->outcome = LOG_DONE;
			walk->next = last;
			walk->resume = lsn;
		}
		if (walk->outcome || walk->next)
			return;
		if (!walk_takes(walk, &link))
			continue;
		if (movement_count(walk) >= walk->limit) {
			walk->next = last;
			walk->resume = lsn;
			return;
		}
		link_movements(walk, &link);
		last = lsn;
	}
}

/* Oldest first: the chain's positions are collected down to the lower bound, then the oldest are read again. */
static void walk_forth(struct log_walk *walk, struct buf *bytes)
{
	struct link link;
	struct buf positions = { 0 };
	uint64_t lsn;
	uint32_t steps = 0;
	for (lsn = walk->head; lsn && lsn > walk->after; lsn = link.prev) {
		walk->lsn = lsn;
		walk->outcome = steps++ == LOG_WALK_MAX ? LOG_TOO_LONG : link_read(walk->wal, walk->number, lsn, bytes, &link);
		if (walk->outcome) {
			buf_free(&positions);
			return;
		}
		if (walk_takes(walk, &link))
			buf_bytes(&positions, &lsn, sizeof lsn);
	}
	for (size_t i = positions.len / sizeof lsn; i-- > 0;) {
		memcpy(&lsn, positions.ptr + i * sizeof lsn, sizeof lsn);
		if (movement_count(walk) >= walk->limit)
			break;
		walk->outcome = link_read(walk->wal, walk->number, lsn, bytes, &link);
		if (walk->outcome)
			break;
		link_movements(walk, &link);
		walk->next = i ? lsn : 0;
	}
	buf_free(&positions);
}

void log_walk_run(struct log_walk *walk)
{
	struct buf bytes = { 0 };
	walk->outcome = LOG_DONE;
	walk->next = walk->resume = 0;
	if (walk->newest_first)
		walk_back(walk, &bytes);
	else
		walk_forth(walk, &bytes);
	buf_free(&bytes);
}

void log_walk_free(struct log_walk *walk)
{
	buf_free(&walk->movements);
	buf_free(&walk->texts);
}

/* ---- as of --------------------------------------------------------------------------------------------------------------- */

static void transfer_undo(struct log_sums *sums, const struct link *link)
{
	const struct transfer_record *head = &link->transfer.head;
	u128 *posted = link->debit ? &sums->debits_posted : &sums->credits_posted;
	u128 *pending = link->debit ? &sums->debits_pending : &sums->credits_pending;
	if (head->flags & TRANSFER_PENDING)
		*pending -= head->amount;
	else if (!(head->flags & (TRANSFER_VOID | TRANSFER_EXPIRED)))
		*posted -= head->amount;
	if (head->flags & (TRANSFER_POST | TRANSFER_VOID | TRANSFER_EXPIRED))
		*pending += link->transfer.extra.pending_amount;
}

static void event_undo(struct log_sums *sums, const struct event_view *event)
{
	struct effects effects = effects_of(event);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		int moves = effect_kinds[effect.head.type].moves;
		if (moves > 0)
			sums->credits_posted -= (uint64_t)effect.head.points;
		else if (moves < 0)
			sums->debits_posted -= (uint64_t)effect.head.points;
	}
}

void log_sums_run(struct log_sums *sums)
{
	struct buf bytes = { 0 };
	struct link link = { 0 };
	uint64_t lsn;
	uint32_t steps = 0;
	sums->outcome = LOG_DONE;
	for (lsn = sums->head; lsn; lsn = link.prev) {
		sums->lsn = lsn;
		if (sums->at.lsn && lsn <= sums->at.lsn)
			break;                 /* by LSN nothing needs to be read any more */
		sums->outcome = steps++ == LOG_WALK_MAX ? LOG_TOO_LONG : link_read(sums->wal, sums->number, lsn, &bytes, &link);
		if (sums->outcome)
			break;
		if (!after_moment(&link, &sums->at))
			break;
		if (link.kind == LINK_TRANSFER)
			transfer_undo(sums, &link);
		else if (link.kind == LINK_EVENT)
			event_undo(sums, &link.event);
		else if (link.account.head.op == ACCOUNT_OP_FLAGS)
			sums->flags ^= ACCOUNT_CLOSED;
	}
	if (!lsn)
		sums->outcome = LOG_ABSENT;
	buf_free(&bytes);
}

/* ---- what was spent ------------------------------------------------------------------------------------------------------- */

void log_spent_run(struct log_spent *spent)
{
	struct buf bytes = { 0 };
	struct link link;
	uint32_t steps = 0;
	i128 sum = 0;
	spent->outcome = LOG_DONE;
	for (uint64_t lsn = spent->head; lsn > spent->event; lsn = link.prev) {
		spent->lsn = lsn;
		spent->outcome = steps++ == LOG_WALK_MAX ? LOG_TOO_LONG : link_read(spent->wal, spent->number, lsn, &bytes, &link);
		if (spent->outcome)
			break;
		if (link.kind == LINK_EVENT)
			sum += reverse_spent(&link.event, reversal_of(&link.event), spent->event);
		else if (link.kind == LINK_TRANSFER && link.debit &&
			 !(link.transfer.head.flags & (TRANSFER_PENDING | TRANSFER_VOID | TRANSFER_EXPIRED)))
			sum += link.transfer.head.amount;
	}
	spent->spent = sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
	buf_free(&bytes);
}

/* ---- one transfer ---------------------------------------------------------------------------------------------------------- */

enum log_outcome log_transfer_read(const struct wal *wal, uint64_t lsn, u128 id, struct movement *movement, bool *failed,
				   uint32_t *refusal)
{
	struct buf bytes = { 0 };
	struct transfer_view view;
	struct failed_record record;
	enum log_outcome outcome = record_at(wal, lsn, &bytes);
	*failed = false;
	*movement = (struct movement){ 0 };
	if (outcome) {
		buf_free(&bytes);
		return outcome;
	}
	if (transfer_record_read((const unsigned char *)bytes.ptr, bytes.len, &view)) {
		log_movement(movement, &view);
	} else if (failed_record_read((const unsigned char *)bytes.ptr, bytes.len, &record)) {
		*failed = true;
		*refusal = record.refusal;
		*movement = (struct movement){ .id = u128_load(record.id), .time_ms = record.time_ms };
	}
	movement->lsn = lsn;
	buf_free(&bytes);
	return movement->id == id ? LOG_DONE : LOG_ABSENT;
}

/* ---- places ----------------------------------------------------------------------------------------------------------------- */

static struct log_place *place_of(struct log_place *places, uint32_t number, uint64_t before)
{
	uint64_t key[2] = { number, before };
	return &places[hash_bytes(key, sizeof key) % LOG_PLACES];
}

void log_place_keep(struct log_place *places, uint32_t number, uint64_t before, uint64_t resume)
{
	*place_of(places, number, before) = (struct log_place){ number, before, resume };
}

uint64_t log_place(struct log_place *places, uint32_t number, uint64_t before)
{
	const struct log_place *place = place_of(places, number, before);
	return before && place->number == number && place->before == before ? place->resume : 0;
}
