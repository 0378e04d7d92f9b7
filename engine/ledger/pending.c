// SPDX-License-Identifier: Apache-2.0
/* Pending transfers: found by the hash of their id; a heap says whose timeout is next.  What ended keeps a word (posted,
 * voided, expired) in its entry, so that a second post can be told why it is refused.  Where another id has the same hash the
 * whole of it is kept, or the word could be about the wrong one. */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/ledger.h"

/* What an entry points at; NULL: it is only a word about one that ended. */
static struct pending *pending_at(const struct table_entry *entry)
{
	return entry->value > PENDING_EXPIRED ? (struct pending *)(uintptr_t)entry->value : NULL;
}

static bool is_open(const struct table_entry *entry)
{
	const struct pending *pending = pending_at(entry);
	return pending && pending->state == PENDING_OPEN;
}

static struct table_entry *entry_of(const struct ledger *ledger, u128 id, uint64_t hash)
{
	const struct table *table = &ledger->pendings[partition_of(hash)];
	struct table_entry *word = NULL, *ended = NULL;
	for (struct table_entry *entry = table_find(table, hash, NULL); entry; entry = table_find(table, hash, entry)) {
		const struct pending *pending = pending_at(entry);
		if (pending && pending->id == id && is_open(entry))
			return entry;
		/* A forgotten id may be used again: the last that ended counts. */
		if (pending && pending->id == id && (!ended || pending_at(ended)->lsn < pending->lsn))
			ended = entry;
		else if (!pending)
			word = entry;
	}
	return ended ? ended : word;
}

struct pending *ledger_pending(const struct ledger *ledger, u128 id, uint64_t id_hash, enum pending_state *state)
{
	struct table_entry *entry = entry_of(ledger, id, id_hash);
	*state = PENDING_OPEN;
	if (!entry)
		return NULL;
	if (is_open(entry))
		return pending_at(entry);
	*state = pending_at(entry) ? (enum pending_state)pending_at(entry)->state : (enum pending_state)entry->value;
	return NULL;
}

uint64_t ledger_hold(const struct ledger *ledger, u128 id, uint64_t id_hash)
{
	enum pending_state state;
	if (!ledger->ids->forgets || !ledger->pending_total)
		return 0;
	const struct pending *open = ledger_pending(ledger, id, id_hash, &state);
	return open ? MUTATE(109, open->lsn, 0) : 0;
}

static void heap_publish(struct ledger *ledger)
{
	atomic_store_explicit(&ledger->next_expiry_ms, ledger->heap_count ? ledger->heap[0].at_ms : INT64_MAX,
			      memory_order_relaxed);
}

/* Earlier first; at the same time by hash, so that expiries have one order whatever the heap looks like. */
static bool before(const struct expiry *a, const struct expiry *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->id_hash < b->id_hash;
}

static void heap_push(struct ledger *ledger, int64_t at_ms, uint64_t id_hash)
{
	if (ledger->heap_count == ledger->heap_cap) {
		ledger->heap_cap = ledger->heap_cap ? ledger->heap_cap * 2 : 64;
		ledger->heap = mem_realloc(ledger->heap, ledger->heap_cap * sizeof *ledger->heap);
	}
	struct expiry new = { at_ms, id_hash };
	size_t at = ledger->heap_count++;
	while (at && before(&new, &ledger->heap[(at - 1) / 2])) {
		ledger->heap[at] = ledger->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	ledger->heap[at] = new;
	heap_publish(ledger);
}

static void heap_pop(struct ledger *ledger)
{
	struct expiry last = ledger->heap[--ledger->heap_count];
	size_t at = 0, child;
	while ((child = 2 * at + 1) < ledger->heap_count) {
		if (child + 1 < ledger->heap_count && before(&ledger->heap[child + 1], &ledger->heap[child]))
			child++;
		if (!before(&ledger->heap[child], &last))
			break;
		ledger->heap[at] = ledger->heap[child];
		at = child;
	}
	if (ledger->heap_count)
		ledger->heap[at] = last;
	heap_publish(ledger);
}

/* The open one that the heap's first entry is about; NULL: it ended. */
static struct pending *first_pending(const struct ledger *ledger)
{
	const struct expiry *first = &ledger->heap[0];
	const struct table *table = &ledger->pendings[partition_of(first->id_hash)];
	for (struct table_entry *entry = table_find(table, first->id_hash, NULL); entry;
	     entry = table_find(table, first->id_hash, entry)) {
		struct pending *pending = (struct pending *)(uintptr_t)entry->value;
		if (is_open(entry) && pending->expires_ms == first->at_ms)
			return pending;
	}
	return NULL;
}

struct pending *ledger_due(struct ledger *ledger, int64_t now_ms)
{
	while (ledger->heap_count && ledger->heap[0].at_ms + MUTATE(12, 0, 2000) <= now_ms) {
		struct pending *pending = first_pending(ledger);
		if (pending)
			return pending;
		heap_pop(ledger);
	}
	return NULL;
}

struct pending *ledger_load_pending(struct ledger *ledger, const struct pending *image, uint64_t id_hash)
{
	struct pending *pending = mem_dup(image, sizeof *image);
	bool open = pending->state == PENDING_OPEN;
	if (open && pending->expires_ms)
		heap_push(ledger, pending->expires_ms, id_hash);
	struct table *table = &ledger->pendings[partition_of(id_hash)];
	size_t old = table_bytes(table);
	table_insert(table, id_hash, (uint64_t)(uintptr_t)pending);
	ledger->ids->bytes += table_bytes(table) - old + sizeof *pending + 16;
	ledger->pending_total += open;
	return pending;
}

void ledger_load_ended(struct ledger *ledger, uint64_t id_hash, enum pending_state state)
{
	struct table *table = &ledger->pendings[partition_of(id_hash)];
	size_t old = table_bytes(table);
	ASSERT(state != PENDING_OPEN && state <= PENDING_EXPIRED);
	table_insert(table, id_hash, state);
	ledger->ids->bytes += table_bytes(table) - old;
}

struct pending *pending_apply_open(struct ledger *ledger, const struct transfer_record *record, uint64_t id_hash, uint64_t lsn)
{
	struct pending pending = { .id = u128_load(record->id), .lsn = lsn, .amount = record->amount, .debit = record->debit,
				   .credit = record->credit, .code = record->code };
	if (record->timeout)
		pending.expires_ms = record->time_ms + (int64_t)record->timeout * 1000;
	return ledger_load_pending(ledger, &pending, id_hash);
}

struct pending *pending_apply_end(struct ledger *ledger, u128 pending_id, uint64_t id_hash, enum pending_state state)
{
	struct table_entry *entry = entry_of(ledger, pending_id, id_hash);
	ASSERT(entry && is_open(entry) && state != PENDING_OPEN);
	struct pending *pending = pending_at(entry);
	const struct table *table = &ledger->pendings[partition_of(id_hash)];
	const struct table_entry *first = table_find(table, id_hash, NULL);
	ledger->pending_total--;
	state = MUTATE(16, state, PENDING_VOIDED);
	if (first != entry || table_find(table, id_hash, first)) {
		pending->state = (uint8_t)state;
		return mem_dup(pending, sizeof *pending);
	}
	entry->value = state;
	ledger->ids->bytes -= sizeof *pending + 16;
	return pending;
}

void pending_restore(struct ledger *ledger, struct pending *pending, uint64_t id_hash)
{
	struct table_entry *entry = entry_of(ledger, pending->id, id_hash);
	ASSERT(entry && !is_open(entry));
	ledger->pending_total++;
	if (pending_at(entry)) {
		pending_at(entry)->state = PENDING_OPEN;
		mem_free(pending);
		pending = pending_at(entry);
	} else {
		entry->value = (uint64_t)(uintptr_t)pending;
		ledger->ids->bytes += sizeof *pending + 16;
	}
	/* Its place in the heap may have come up in between. */
	if (pending->expires_ms)
		heap_push(ledger, pending->expires_ms, id_hash);
}

void pending_forget(struct ledger *ledger, struct pending *pending, uint64_t id_hash)
{
	struct table *table = &ledger->pendings[partition_of(id_hash)];
	struct table_entry *entry = table_find(table, id_hash, NULL);
	while (entry && pending_at(entry) != pending)
		entry = table_find(table, id_hash, entry);
	ASSERT(entry && pending->state == PENDING_OPEN);
	mem_free(pending);
	table_remove(table, entry);
	ledger->pending_total--;
	ledger->ids->bytes -= sizeof *pending + 16;
}
