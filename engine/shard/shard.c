// SPDX-License-Identifier: Apache-2.0
#include "engine/shard/shard.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/event/ingest.h"
#include "engine/event/reverse.h"
#include "engine/event/reward.h"
#include "engine/job/scan.h"
#include "engine/ledger/decide.h"
#include "engine/shard/ask.h"
#include "engine/shard/capture.h"
#include "engine/shard/ledger.h"

/* A frame of several rows ends at about this size, so that a big batch shares the log with others. */
enum { CHUNK_BYTES = 256 * 1024, PREFETCH_AHEAD = 12 };

/* While a chunk is decided its LSN is not known: actors hold this bit and the offset in the chunk instead. */
#define PROVISIONAL (UINT64_C(1) << 63)

static void batch_next(struct batch *batch, enum message_kind finished, struct shard *shard, const struct env *env);

void shard_init(struct shard *shard, unsigned index, unsigned count, const struct env *env, struct catalog *catalog)
{
	*shard = (struct shard){ .env = env, .catalog = catalog };
	state_init(&shard->state, index, count);
	shard->arena = rule_arena_new();
	shard->queue_end = &shard->queue;
	shard->run = transfer_run_new();
	atomic_init(&shard->parked, false);
	IMPLIES(index == CATALOG_SHARD, catalog != NULL);
}

void shard_deinit(struct shard *shard)
{
	for (unsigned b = 0; b < TENANT_BUCKETS; b++)
		for (struct tenant *tenant = shard->state.tenants[b]; tenant; tenant = tenant->next)
			view_unref((struct catalog_view *)(uintptr_t)tenant->view);
	state_deinit(&shard->state);
	rule_arena_free(shard->arena);
	mem_free(shard->touched);
	transfer_run_free(shard->run);
}

bool shard_post(struct shard *shard, struct message *message)
{
	atomic_fetch_add_explicit(&shard->depth, 1, memory_order_relaxed);
	return messages_push(&shard->mailbox, message);
}

static void mailbox_take(struct shard *shard)
{
	struct message *last, *oldest = messages_take(&shard->mailbox, &last);
	if (!oldest)
		return;
	*shard->queue_end = oldest;
	shard->queue_end = &last->next;
}

/* ---- the stages of a batch ------------------------------------------------------------------------------------------ */

static bool stage_concerns(const struct batch *batch, const struct row *row, enum message_kind stage, unsigned *shard)
{
	unsigned count = batch->shard_count;
	if (row->result != ROW_OPEN && stage != MESSAGE_RESOLVE)
		return false;
	switch (stage) {
	case MESSAGE_EXISTS:
		*shard = shard_of(row->member_partition, count);
		return true;
	case MESSAGE_CLAIM:
		*shard = shard_of(MUTATE(7, row->id_partition, row->member_partition), count);
		return row_kind_has_id(row->kind) && !(row->flags & ROW_CLAIMED);
	case MESSAGE_DECIDE:
		*shard = shard_of(row->member_partition, count);
		return !(row->flags & ROW_RETRY);
	case MESSAGE_RESOLVE:
		*shard = shard_of(row->id_partition, count);
		return row->flags & ROW_CLAIMED;
	default: return false;
	}
}

/* Posts a stage to every shard that has rows in it.  False if none has. */
static bool stage_post(struct batch *batch, enum message_kind stage, struct shard *here, const struct env *env)
{
	unsigned concerned = 0, shard, last = 0;
	for (unsigned s = 0; s < batch->shard_count; s++)
		batch->parts[s].concerned = false;
	for (uint32_t r = 0; r < batch->row_count; r++) {
		if (!stage_concerns(batch, &batch->rows[r], stage, &shard) || batch->parts[shard].concerned)
			continue;
		batch->parts[shard].concerned = true;
		batch->parts[shard].message.kind = stage;
		batch->parts[shard].next_row = 0;
		last = shard;
		if (++concerned == batch->shard_count)
			break;
	}
	if (!concerned)
		return false;
	for (unsigned s = 0; stage == MESSAGE_CLAIM && s < batch->shard_count; s++)
		batch->parts[s].generation = UINT64_MAX;
	atomic_store(&batch->waiting, concerned);
	if (concerned == 1 && here && here->state.shard == last) {
		/* Straight on, without a turn through the mailbox: in front of the queue, so that order is kept. */
		struct message *message = &batch->parts[last].message;
		message->next = here->queue;
		if (!here->queue)
			here->queue_end = &message->next;
		here->queue = message;
		atomic_fetch_add_explicit(&here->depth, 1, memory_order_relaxed);
		return true;
	}
	/* After the last post the batch may be gone: decide beforehand who is concerned. */
	bool mine[SHARDS_MAX];
	unsigned count = batch->shard_count;
	struct part *parts = batch->parts;
	for (unsigned s = 0; s < count; s++)
		mine[s] = parts[s].concerned;
	for (unsigned s = 0; s < count; s++)
		if (mine[s])
			env->post(env->context, s, &parts[s].message);
	return true;
}

static void batch_finish(struct batch *batch, const struct env *env)
{
	uint64_t wait = 0;
	for (unsigned s = 0; s < batch->shard_count; s++)
		if (batch->parts[s].message.wait_lsn > wait)
			wait = batch->parts[s].message.wait_lsn;
	batch->done.wait_lsn = MUTATE(2, wait, 0);
	env->done(env->context, &batch->done);
}

static bool any_retry(struct batch *batch)
{
	bool any = false;
	for (uint32_t r = 0; r < batch->row_count; r++)
		if (batch->rows[r].result == ROW_OPEN && (batch->rows[r].flags & ROW_RETRY)) {
			batch->rows[r].flags &= ~(unsigned)ROW_RETRY;
			any = true;
		}
	return any;
}

/* Lets a reader look up the ids that look as if they were on disk.  None of the batch is claimed.  An id that is in flight is looked up as
 * well: its outcome may be in these runs already, and leave memory, before its shard has heard of it. */
static void batch_ask(struct batch *batch, const struct env *env)
{
	struct id_query *query = &batch->query;
	id_query_clear(query);
	query->generation = UINT64_MAX;
	for (unsigned s = 0; s < batch->shard_count; s++)
		if (batch->parts[s].generation < query->generation)
			query->generation = batch->parts[s].generation;
	/* One in flight may be in those runs as well: they are made of the log, which has it before its owner hears of that; and it may
	 * have left memory for them when it is claimed again. */
	for (uint32_t r = 0; r < batch->row_count; r++)
		if (batch->rows[r].flags & (ROW_ASKS | ROW_RETRY))
			id_query_add(query, batch->rows[r].id_hash);
	batch->parts[0].message.kind = MESSAGE_CLAIM_AGAIN;
	query->answer = &batch->parts[0].message;
	env->ids_read(env->context, query);
}

static void batch_again(struct batch *batch, struct shard *shard)
{
	batch->asking = false;
	for (uint32_t r = 0; r < batch->row_count; r++) {
		struct row *row = &batch->rows[r];
		if ((row->flags & (ROW_ASKS | ROW_RETRY)) && batch->query.failed)
			problem_set(row_refuse(row), 500, "log_unreadable",
				    "whether eventId %.*s is known cannot be read; the server's log says why",
				    (int)(row->id.len < 100 ? row->id.len : 100), row->id.ptr);
		row->flags &= ~(unsigned)(ROW_ASKS | ROW_RETRY);
	}
	if (batch->query.failed)
		id_query_clear(&batch->query);         /* who is left asks again, if need be */
	batch_next(batch, MESSAGE_EXISTS, shard, shard->env);
}

/* The stage behind a finished one; empty stages are passed over. */
static void batch_next(struct batch *batch, enum message_kind finished, struct shard *shard, const struct env *env)
{
	if (finished == MESSAGE_EXISTS && batch->missing) {
		batch_finish(batch, env);
		return;
	}
	if (finished < MESSAGE_CLAIM && stage_post(batch, MESSAGE_CLAIM, shard, env))
		return;
	if (batch->asking && (finished == MESSAGE_CLAIM || finished == MESSAGE_RESOLVE)) {
		if (finished == MESSAGE_RESOLVE || !stage_post(batch, MESSAGE_RESOLVE, shard, env))
			batch_ask(batch, env);
		return;
	}
	if (finished < MESSAGE_DECIDE && stage_post(batch, MESSAGE_DECIDE, shard, env))
		return;
	if (finished < MESSAGE_RESOLVE && stage_post(batch, MESSAGE_RESOLVE, shard, env))
		return;
	if (any_retry(batch)) {
		/* Through the mailbox, so that the one in flight gets its turn. */
		batch->rounds++;
		stage_post(batch, MESSAGE_CLAIM, NULL, env);
		return;
	}
	batch_finish(batch, env);
}

void batch_start(struct batch *batch, const struct env *env)
{
	static_assert(MESSAGE_EXISTS < MESSAGE_CLAIM && MESSAGE_CLAIM < MESSAGE_DECIDE && MESSAGE_DECIDE < MESSAGE_RESOLVE,
		      "stages run in this order");
	if (batch->exists_first && stage_post(batch, MESSAGE_EXISTS, NULL, env))
		return;
	batch_next(batch, MESSAGE_EXISTS, NULL, env);
}

static void stage_finish(struct part *part, struct shard *shard)
{
	struct batch *batch = part->batch;
	/* A refusal or a dry run rests on state that may not be durable yet: it waits as well (law L2). */
	part->message.wait_lsn = shard->appended_lsn;
	if (atomic_fetch_sub(&batch->waiting, 1) == 1)
		batch_next(batch, part->message.kind, shard, shard->env);
}

static void run_exists(struct part *part, struct shard *shard)
{
	struct batch *batch = part->batch;
	for (uint32_t r = 0; r < batch->row_count; r++) {
		struct row *row = &batch->rows[r];
		if (!state_owns(&shard->state, row->member_partition) || row->result != ROW_OPEN ||
		    state_member_find(&shard->state, row->member_hash, row->tenant, row->profile))
			continue;
		problem_set(row_refuse(row), 404, "customer_unknown", "customer %.*s does not exist",
			    (int)(row->profile.len < 100 ? row->profile.len : 100), row->profile.ptr);
		__atomic_store_n(&batch->missing, true, __ATOMIC_RELAXED);
	}
}

#define MEMORY_FULL_TEXT "the memory for remembered ids and members is used up (--memory)"

static bool memory_full(const struct shard *shard)
{
	return shard->memory_limit && state_memory(&shard->state) > shard->memory_limit;
}

/* Where the log stands, as far as this shard knows: all that it has appended is below. */
static uint64_t log_head(const struct shard *shard)
{
	uint64_t head = shard->env->log_head ? shard->env->log_head(shard->env->context) : 0;
	return head > shard->appended_lsn ? head : shard->appended_lsn;
}

void shard_claims_begin(struct shard *shard)
{
	struct claims *claims = &shard->claims;
	if (claims->open[!claims->turn])
		return;
	claims->turn = !claims->turn;
	claims->floor[claims->turn] = log_head(shard);
}

/* A reversal's id is younger than its event.  Where that is old enough to be forgotten (its record was read a moment before it went), so
 * may be that it was undone. */
static bool undo_forgotten(const struct state *state, const struct batch *batch, const struct row *row)
{
	uint64_t shown = state->ids.runs ? state->ids.runs->forgotten : 0;
	return row->kind == ROW_REVERSE && (row->original_lsn < shown || row->original_lsn < batch->query.forgotten);
}

static void run_claim(struct part *part, struct shard *shard)
{
	struct batch *batch = part->batch;
	struct state *state = &shard->state;
	const struct id_runs *runs = state->ids.runs;
	part->generation = runs ? runs->generation : 0;
	/* What was looked up in these very runs is not asked again. */
	if (runs && MUTATE(82, runs->generation == batch->query.generation, batch->query.generation > 0))
		runs = NULL;
	shard_claims_begin(shard);
	for (uint32_t r = 0; r < batch->row_count; r++) {
		struct row *row = &batch->rows[r];
		if (r + PREFETCH_AHEAD < batch->row_count) {
			const struct row *ahead = &batch->rows[r + PREFETCH_AHEAD];
			table_prefetch(&state->ids.tables[ahead->id_partition], ahead->id_hash);
			table_prefetch(&state->members[ahead->member_partition], ahead->member_hash);
			runs_prefetch(runs, ahead->id_hash);
		}
		if (!state_owns(state, row->id_partition) || !row_kind_has_id(row->kind) || row->result != ROW_OPEN ||
		    (row->flags & ROW_CLAIMED))
			continue;
		const struct table_entry *entry = ids_find(&state->ids, row->id_hash, row->ignored_lsn);
		if (!entry) {
			entry = id_query_found(&batch->query, row->id_hash, NULL);
			while (entry && row->ignored_lsn && (entry->value & ID_LSN) == row->ignored_lsn)
				entry = id_query_found(&batch->query, row->id_hash, entry);
		}
		if (entry && entry->value == ID_IN_FLIGHT) {
			row->flags |= ROW_RETRY;
		} else if (entry) {
			row->result = ROW_KNOWN;
			row->lsn = entry->value & ID_LSN;
		} else if (runs_may_have(runs, row->id_hash)) {
			row->flags |= ROW_ASKS;
			__atomic_store_n(&batch->asking, true, __ATOMIC_RELAXED);
		} else if (undo_forgotten(state, batch, row)) {
			problem_set(row_refuse(row), 410, "history_pruned", "the event was dropped from the log meanwhile; whether it was undone "
				    "before is not known any more");
		} else if (memory_full(shard)) {
			problem_set(row_refuse(row), 507, "memory_full", MEMORY_FULL_TEXT);
		} else if (!batch->dry_run) {
			ids_insert(&state->ids, row->id_hash, ID_IN_FLIGHT);
			row->flags |= ROW_CLAIMED | (shard_claim(shard) ? ROW_CLAIM_TURN : 0u);
		}
	}
}

static void id_resolve(struct shard *shard, struct row *row)
{
	struct state *state = &shard->state;
	if (row->result == ROW_DONE && MUTATE(70, true, row->kind != ROW_REVERSE)) {
		struct table_entry *entry = ids_find(&state->ids, row->id_hash, 0);
		while (entry && entry->value != ID_IN_FLIGHT)
			entry = table_find(&state->ids.tables[row->id_partition], row->id_hash, entry);
		ASSERT(entry);
		entry->value = row->lsn;
		/* Whoever is told of the id from now on rests on that frame, which may be another shard's (law L2). */
		if (MUTATE(42, row->end_lsn, 0) > shard->appended_lsn)
			shard->appended_lsn = row->end_lsn;
	} else if (MUTATE(25, true, false)) {
		ids_remove(&state->ids, row->id_hash, ID_IN_FLIGHT);
	}
	shard_claim_end(shard, row->flags & ROW_CLAIM_TURN ? 1 : 0);
	row->flags &= ~(unsigned)(ROW_CLAIMED | ROW_CLAIM_TURN);
}

static void run_resolve(struct part *part, struct shard *shard)
{
	struct batch *batch = part->batch;
	for (uint32_t r = 0; r < batch->row_count; r++)
		if (state_owns(&shard->state, batch->rows[r].id_partition) && (batch->rows[r].flags & ROW_CLAIMED))
			id_resolve(shard, &batch->rows[r]);
}

static bool row_to_decide(const struct shard *shard, const struct row *row)
{
	/* Who owns a row is asked first: the other fields belong to the owner's thread. */
	return state_owns(&shard->state, row->member_partition) && row->result == ROW_OPEN && !(row->flags & ROW_RETRY);
}

/* The member's first cache lines, a few rows before they are needed. */
static void member_prefetch(const struct shard *shard, const struct row *row)
{
	const struct table_entry *entry;
	if (!row->member_hash || !state_owns(&shard->state, row->member_partition))
		return;
	entry = table_find(&shard->state.members[row->member_partition], row->member_hash, NULL);
	if (entry) {
		__builtin_prefetch((const void *)(uintptr_t)entry->value);
		__builtin_prefetch((const char *)(uintptr_t)entry->value + 64);
	}
}

static void touch(struct shard *shard, struct member *member, struct tenant_slice *slice)
{
	if (shard->touched_count == shard->touched_cap) {
		shard->touched_cap = shard->touched_cap ? shard->touched_cap * 2 : 64;
		shard->touched = mem_realloc(shard->touched, shard->touched_cap * sizeof *shard->touched);
	}
	shard->touched[shard->touched_count++] = (struct touched){ member, slice };
}

/* The account that an event's points would move. */
static void account_find(const struct state *state, const struct row *row, const struct member *member, struct ingest *context)
{
	if (member) {
		context->account = member->account;
		context->account_number = member->account_number;
	} else {
		context->account = state_points_account(state, row->tenant, row->profile, &context->account_number);
	}
	if (context->account)
		ledger_limits(&state->ledger, context->account, context->account_number, &context->floor, &context->ceiling);
	else
		context->account_number = ledger_next_number(&state->ledger, group_of(row->member_partition));
}

static void decide_row(struct shard *shard, struct part *part, struct row *row, int64_t now_ms, size_t chunk_start)
{
	struct state *state = &shard->state;
	struct tenant *tenant = state_tenant_find(state, row->tenant);
	struct member *member = state_member_find(state, row->member_hash, row->tenant, row->profile);
	const struct tenant_slice *slice = tenant ? tenant->slices[group_of(row->member_partition)] : NULL;
	size_t offset = part->frames.len;
	struct ingest context = { .arena = shard->arena, .now_ms = now_ms, .prev_slice = slice ? slice->last_lsn : 0 };
	bool good = false;
	if (row_kind_has_id(row->kind))
		account_find(state, row, member, &context);
	switch (row->kind) {
	case ROW_EVENT: good = ingest_decide(row, member, tenant ? tenant->view : NULL, &context, &part->frames); break;
	case ROW_CUSTOMER: good = customer_decide(row, member, now_ms, &part->frames); break;
	case ROW_REVERSE: good = reverse_decide(row, member, &context, &part->frames); break;
	case ROW_ACTION: good = reward_decide(row, member, now_ms, &part->frames); break;
	case ROW_KINDS: break;
	}
	if (!good) {
		part->frames.len = offset;
		return;
	}
	row->result = ROW_DONE;
	row->record_offset = offset;
	row->record_part = state->shard;
	if (part->batch->dry_run)
		return;
	bool broken;
	member = state_apply(state, (unsigned char *)part->frames.ptr + offset, part->frames.len - offset,
			     PROVISIONAL | (offset - chunk_start), true, member, &broken);
	ASSERT(member && !broken);
	touch(shard, member, member->tenant->slices[group_of(row->member_partition)]);
}

static void prev_stamp(unsigned char *field, uint64_t base)
{
	uint64_t prev;
	memcpy(&prev, field, sizeof prev);
	if (prev & PROVISIONAL) {
		prev = base + (prev & ~PROVISIONAL);
		memcpy(field, &prev, sizeof prev);
	}
}

/* The chunk is decided and applied: gives it its position, puts it into the log, tells the actors their LSNs. */
static void chunk_append(struct shard *shard, struct part *part, uint32_t first, uint32_t behind, size_t chunk_start,
			 int64_t now_ms)
{
	const struct env *env = shard->env;
	struct batch *batch = part->batch;
	unsigned char *frames = (unsigned char *)part->frames.ptr, *body;
	uint32_t size = (uint32_t)(part->frames.len - chunk_start);
	uint64_t base = env->log_begin(env->context, shard->state.shard, size, &body);
	uint64_t hooked = 0;
	size_t touched = 0;
	for (uint32_t r = first; r < behind; r++) {
		struct row *row = &batch->rows[r];
		if (!state_owns(&shard->state, row->member_partition) || row->result != ROW_DONE || row->lsn)
			continue;
		unsigned char *record = frames + row->record_offset;
		row->lsn = base + (row->record_offset - chunk_start);
		if (row->flags & ROW_HOOKED)
			hooked = row->lsn;
		prev_stamp(record + offsetof(struct event_head, prev_member), base);
		struct touched *actors = &shard->touched[touched++];
		actors->member->last_lsn = row->lsn;
		if (row_kind_has_id(row->kind)) {
			uint32_t account;
			prev_stamp(record + offsetof(struct event_head, prev_slice), base);
			prev_stamp(record + offsetof(struct event_head, prev_account), base);
			actors->slice->last_lsn = row->lsn;
			memcpy(&account, record + offsetof(struct event_head, account), sizeof account);
			if (account)
				actors->member->account->last_lsn = row->lsn;
		}
	}
	if (hooked)                    /* before it is in the log: who sees it there finds this as well */
		atomic_store(&shard->hooked_lsn, hooked);
	ASSERT(touched == shard->touched_count);
	static_assert(offsetof(struct event_head, prev_member) == offsetof(struct customer_head, prev_member) &&
			      offsetof(struct event_head, prev_member) == offsetof(struct action_head, prev_member), "layout");
	memcpy(body, frames + chunk_start, size);
	uint64_t end = env->log_publish(env->context, shard->state.shard, now_ms, hash_bytes(body, size));
	for (uint32_t r = first; r < behind; r++) {
		struct row *row = &batch->rows[r];
		if (state_owns(&shard->state, row->member_partition) && row->result == ROW_DONE && row->lsn >= base)
			row->end_lsn = end;
	}
	shard->appended_lsn = end;
}

/* Bytes of the row's record, at most. */
static uint64_t row_bound(const struct state *state, const struct row *row)
{
	const struct tenant *tenant;
	switch (row->kind) {
	case ROW_EVENT:
		tenant = state_tenant_find(state, row->tenant);
		return ingest_bound(row, tenant ? tenant->view : NULL);
	case ROW_CUSTOMER:
		return customer_bound(row, state_member_find(state, row->member_hash, row->tenant, row->profile));
	case ROW_REVERSE: return reverse_bound(row);
	case ROW_ACTION: return reward_bound(row);
	case ROW_KINDS: break;
	}
	return 0;
}

/* Decides the rows of this shard, chunk by chunk.  False: waits for room in the log; part->next_row remembers where. */
static bool run_decide(struct part *part, struct shard *shard)
{
	struct batch *batch = part->batch;
	const struct env *env = shard->env;
	while (part->next_row < batch->row_count) {
		uint32_t first = part->next_row, behind = first, rows = 0;
		uint64_t bound = 0;
		for (; behind < batch->row_count; behind++) {
			struct row *row = &batch->rows[behind];
			if (!row_to_decide(shard, row))
				continue;
			uint64_t need = row_bound(&shard->state, row);
			if (memory_full(shard) && row->kind == ROW_CUSTOMER) {
				problem_set(row_refuse(row), 507, "memory_full", MEMORY_FULL_TEXT);
				continue;
			}
			if (need > env->log_frame_max) {
				problem_set(row_refuse(row), 413, "event_too_large",
					    "with its rules' results this row may take %llu bytes; one record is bounded by %u",
					    (unsigned long long)need, env->log_frame_max);
				continue;
			}
			if (rows && (bound + need > CHUNK_BYTES || bound + need > env->log_frame_max))
				break;
			bound += need;
			rows++;
		}
		if (rows && !batch->dry_run) {
			enum env_room room = env->log_credit(env->context, shard->state.shard, (uint32_t)bound);
			if (room == ENV_WAIT)
				return false;
			if (room == ENV_DISK_FULL) {
				for (uint32_t r = first; r < behind; r++)
					if (row_to_decide(shard, &batch->rows[r]))
						problem_set(row_refuse(&batch->rows[r]), 507, "disk_full",
							    "the disk is full: nothing was written; try again when there is room");
				rows = 0;
			}
		}
		int64_t now_ms = env->now_ms(env->context);
		size_t chunk_start = part->frames.len;
		shard->touched_count = 0;
		for (uint32_t r = first; rows && r < behind && r < first + PREFETCH_AHEAD; r++)
			member_prefetch(shard, &batch->rows[r]);
		for (uint32_t r = first; rows && r < behind; r++) {
			if (r + PREFETCH_AHEAD < behind)
				member_prefetch(shard, &batch->rows[r + PREFETCH_AHEAD]);
			if (row_to_decide(shard, &batch->rows[r]))
				decide_row(shard, part, &batch->rows[r], now_ms, chunk_start);
		}
		if (rows && !batch->dry_run) {
			ASSERT(part->frames.len - chunk_start <= bound);
			if (part->frames.len > chunk_start)
				chunk_append(shard, part, first, behind, chunk_start, now_ms);
			else
				env->log_credit_drop(env->context, shard->state.shard);
		}
		for (uint32_t r = first; r < behind; r++) {
			struct row *row = &batch->rows[r];
			if (state_owns(&shard->state, row->member_partition) && state_owns(&shard->state, row->id_partition) &&
			    row->result != ROW_OPEN && (row->flags & ROW_CLAIMED))
				id_resolve(shard, row);
		}
		part->next_row = behind;
	}
	return true;
}

/* ---- questions ------------------------------------------------------------------------------------------------------- */

static void query_member(const struct state *state, struct query *query)
{
	uint64_t hash = hash_name(HASH_MEMBER, query->tenant, query->profile);
	const struct member *member = state_member_find(state, hash, query->tenant, query->profile);
	query->found = member != NULL;
	if (!member)
		return;
	query->last_lsn = member->last_lsn;
	query->points = member_points(member);
	query->status_points = member->status_points;
	query->lifetime_points = member->lifetime_points;
	query->created_ms = member->created_ms;
	query->active_ms = member->active_ms;
	query->event_count = member->event_count;
	ask_member(member, query);
	buf_str(&query->status, member_status(member));
	buf_str(&query->attributes, member_attributes(member));
	buf_char(&query->tags_json, '[');
	for (size_t i = 0; i < member->tag_count; i++) {
		if (i)
			buf_char(&query->tags_json, ',');
		buf_json_text(&query->tags_json, member->tags[i]);
	}
	buf_char(&query->tags_json, ']');
}

static void query_tenant(const struct state *state, struct query *query)
{
	const struct tenant *tenant = state_tenant_find(state, query->tenant);
	query->found = tenant != NULL;
	if (!tenant)
		return;
	query->slices = mem_zalloc(GROUP_COUNT * sizeof *query->slices);
	for (unsigned g = 0; g < GROUP_COUNT; g++)
		if (tenant->slices[g])
			query->slices[g] = (struct query_slice){ tenant->slices[g]->last_lsn, tenant->slices[g]->event_count };
	for (size_t i = 0; i < tenant->tag_count; i++) {
		uint16_t len = (uint16_t)tenant->tags[i].tag.len;
		buf_bytes(&query->tags, &len, sizeof len);
		buf_str(&query->tags, tenant->tags[i].tag);
	}
}

static void run_query(struct shard *shard, struct query *query)
{
	switch (query->kind) {
	case QUERY_MEMBER: query_member(&shard->state, query); break;
	case QUERY_TENANT: query_tenant(&shard->state, query); break;
	case QUERY_STATS:
		query->members = shard->state.member_total;
		query->ids = shard->state.ids.total;
		query->events = shard->state.event_total;
		query->memory = state_memory(&shard->state);
		break;
	case QUERY_REWARDS:
	case QUERY_LOYALTY:
	case QUERY_AWARDS:
	case QUERY_AWARD: ask_run(&shard->state, query, shard->env->now_ms(shard->env->context)); break;
	}
	query->message.wait_lsn = MUTATE(40, shard->appended_lsn, 0);
	shard->env->done(shard->env->context, &query->message);
}

/* ---- configuration ---------------------------------------------------------------------------------------------------- */

static bool catalog_write(struct shard *shard, struct catalog_request *request, struct catalog_change *change, int64_t now_ms)
{
	const struct env *env = shard->env;
	struct buf record = { 0 };
	size_t start = record_begin(&record, RECORD_CATALOG, CATALOG_PARTITION);
	uint64_t len = 0;
	buf_bytes(&record, &len, sizeof len);
	catalog_change_encode(change, &record);
	len = record.len - sizeof(struct record_head) - sizeof len;
	memcpy(record.ptr + sizeof(struct record_head), &len, sizeof len);
	uint32_t size = record_end(&record, start);
	if (size > env->log_frame_max) {
		request->status = CATALOG_REFUSED;
		problem_set(&request->problem, 413, "document_too_large", "the document takes %u bytes; one record is bounded by %u",
			    size, env->log_frame_max);
		buf_free(&record);
		return true;
	}
	enum env_room room = env->log_credit(env->context, shard->state.shard, size);
	if (room == ENV_WAIT) {
		buf_free(&record);
		return false;
	}
	if (room == ENV_DISK_FULL) {
		request->status = CATALOG_REFUSED;
		problem_set(&request->problem, 507, "disk_full", "the disk is full: nothing was written");
		buf_free(&record);
		return true;
	}
	unsigned char *body;
	request->lsn = env->log_begin(env->context, shard->state.shard, size, &body);
	memcpy(body, record.ptr, size);
	shard->appended_lsn = env->log_publish(env->context, shard->state.shard, now_ms, hash_bytes(body, size));
	request->message.wait_lsn = MUTATE(101, shard->appended_lsn, 0);
	catalog_apply(shard->catalog, change, request->lsn);
	buf_free(&record);
	return true;
}

/* Every shard takes the new view before the change is answered. */
static void view_hand_out(struct shard *shard, struct catalog_request *request)
{
	unsigned count = shard->state.shard_count;
	const struct env *env = shard->env;
	request->view = catalog_view_build(shard->catalog, request->tenant);
	request->views = mem_zalloc(count * sizeof *request->views);
	atomic_store(&request->waiting, count);
	for (unsigned s = 0; s < count; s++) {
		request->views[s] = (struct message){ .kind = MESSAGE_VIEW, .shard = s, .owner = request };
		view_ref(request->view);
	}
	view_unref(request->view);
	struct message *views = request->views;        /* the request may be gone after the last post */
	for (unsigned s = 0; s < count; s++)
		env->post(env->context, s, &views[s]);
}

static void run_view(struct shard *shard, struct catalog_request *request)
{
	struct tenant *tenant = state_tenant(&shard->state, request->tenant);
	struct catalog_view *old = (struct catalog_view *)(uintptr_t)tenant->view;
	tenant->view = MUTATE(35, request->view, shard->state.shard ? old : request->view);
	view_unref(MUTATE(35, old, shard->state.shard ? request->view : old));
	/* What is answered by this view rests on a change that may not be durable yet (law L2). */
	if (request->message.wait_lsn > shard->appended_lsn)
		shard->appended_lsn = request->message.wait_lsn;
	if (atomic_fetch_sub(&request->waiting, 1) == 1) {
		mem_free(request->views);
		shard->env->done(shard->env->context, &request->message);
	}
}

static void catalog_read(struct shard *shard, struct catalog_request *request)
{
	struct catalog_page page = { 0 };
	if (request->verb == CATALOG_GET) {
		const struct document *document = catalog_get(shard->catalog, request->tenant, request->kind, request->id);
		request->status = document ? CATALOG_OK : CATALOG_NOT_FOUND;
		if (document) {
			catalog_document_json(&request->json, document);
			request->version = document->version;
		} else {
			problem_set(&request->problem, 404, "not_found", "no %s with id %llu in this brand",
				    request->kind->title, (unsigned long long)request->id);
		}
	} else if (request->verb == CATALOG_AUDIT || request->verb == CATALOG_COPY) {
		request->status = CATALOG_OK;
		if (request->verb == CATALOG_COPY)
			catalog_copy(shard->catalog, request->tenant, &request->json);
		request->lsn = catalog_audit(shard->catalog, request->tenant);
	} else {
		request->status = catalog_list_after(shard->catalog, request->tenant, request->kind, request->filters,
						     request->filter_count, request->after, request->offset, request->limit, &page,
						     &request->problem);
		buf_char(&request->json, '[');
		for (size_t i = 0; i < page.count; i++) {
			if (i)
				buf_char(&request->json, ',');
			catalog_document_json(&request->json, page.list[i]);
		}
		buf_char(&request->json, ']');
		request->total = page.total;
		request->more = page.more;
		request->last = page.last;
		catalog_page_free(&page);
	}
	request->message.wait_lsn = shard->appended_lsn;
}

static enum catalog_status remember_decide(struct shard *shard, struct catalog_request *request, struct catalog_change *change)
{
	const struct document *document = catalog_get(shard->catalog, request->tenant, request->kind, request->id);
	if (document && request->at_version && document->version != request->at_version)
		return CATALOG_CONFLICT;       /* who asks is part of the engine, and begins again */
	return catalog_decide_state(shard->catalog, request->tenant, request->kind, request->id, request->body, change,
				    &request->problem);
}

static void due_collect(struct shard *shard, struct catalog_request *request, int64_t now_ms)
{
	const struct document *list[DUE_MAX];
	request->total = catalog_due(shard->catalog, now_ms, list, DUE_MAX);
	for (size_t i = 0; i < request->total; i++) {
		uint16_t len = (uint16_t)list[i]->tenant.len;
		buf_bytes(&request->json, &list[i]->id, sizeof list[i]->id);
		buf_bytes(&request->json, &len, sizeof len);
		buf_str(&request->json, list[i]->tenant);
	}
	request->message.wait_lsn = shard->appended_lsn;
}

/* False: waits for room in the log. */
static bool run_catalog(struct shard *shard, struct catalog_request *request)
{
	struct catalog_change change = { 0 };
	const struct env *env = shard->env;
	int64_t now_ms = env->now_ms(env->context);
	bool written = false;
	switch (request->verb) {
	case CATALOG_CREATE:
		request->status = catalog_decide_create(shard->catalog, request->tenant, request->kind, request->body, now_ms,
							&change, &request->problem);
		break;
	case CATALOG_PATCH:
		request->status = catalog_condition(shard->catalog, request->tenant, request->kind, request->id, &request->match,
						    &request->none_match, &request->problem);
		if (request->status == CATALOG_OK)
			request->status = catalog_decide_patch(shard->catalog, request->tenant, request->kind, request->id,
						       request->body, now_ms, &change, &request->problem);
		break;
	case CATALOG_REMOVE:
		request->status = catalog_condition(shard->catalog, request->tenant, request->kind, request->id, &request->match,
						    &request->none_match, &request->problem);
		if (request->status == CATALOG_OK)
			request->status = catalog_decide_delete(shard->catalog, request->tenant, request->kind, request->id, now_ms,
							&change, &request->problem);
		break;
	case CATALOG_REMEMBER:
		request->status = remember_decide(shard, request, &change);
		break;
	case CATALOG_DUE:
		due_collect(shard, request, now_ms);
		env->done(env->context, &request->message);
		return true;
	case CATALOG_GET:
	case CATALOG_LIST:
	case CATALOG_AUDIT:
	case CATALOG_COPY:
		catalog_read(shard, request);
		env->done(env->context, &request->message);
		return true;
	}
	if (request->status == CATALOG_OK) {
		change.actor = request->actor;
		if (!request->dry_run && !catalog_write(shard, request, &change, now_ms)) {
			catalog_change_free(&change);
			return false;
		}
		written = !request->dry_run && request->status == CATALOG_OK;
		if (request->status == CATALOG_OK && change.op == CATALOG_PUT)
			catalog_change_json(&request->json, &change);
		request->version = change.op == CATALOG_PUT ? change.version : 0;
		catalog_change_free(&change);
	} else {
		request->message.wait_lsn = shard->appended_lsn;
	}
	if (written && request->verb != CATALOG_REMEMBER)
		view_hand_out(shard, request);
	else
		env->done(env->context, &request->message);
	return true;
}

/* ---- visits ----------------------------------------------------------------------------------------------------------- */

void shards_connect(struct shard *shards, unsigned count)
{
	for (unsigned s = 0; s < count; s++)
		shards[s].peers = shards;
}

/* All shards but the last wait here; the last one runs the request for all.  False: it waits for room in the log. */
static bool run_visit(struct shard *shard, struct ledger_request *request)
{
	const struct env *env = shard->env;
	unsigned here = shard->state.shard, count = shard->state.shard_count;
	if (here + 1 < count) {
		atomic_store(&shard->parked, true);
		env->post(env->context, here + 1, &request->messages[here + 1]);
		return true;
	}
	bool again = !request->entered && count > 1 && ledger_must_wait(shard, request);
	request->entered = true;
	bool asks = !again && ledger_asks(shard, request);
	if (!again && !asks && !ledger_run(shard, request))
		return false;
	for (unsigned s = 0; s < here; s++) {
		atomic_store(&shard->peers[s].parked, false);
		if (MUTATE(43, true, false))
			env->wake(env->context, s);
	}
	if (again) {
		/* Behind what is under way with those ids. */
		ledger_visit(request, env);
		return true;
	}
	if (asks) {
		env->ids_read(env->context, &request->query);
		return true;
	}
	struct message *message = &request->messages[0];
	message->wait_lsn = request->wait_lsn;
	env->done(env->context, message);
	return true;
}

/* ---- snapshots -------------------------------------------------------------------------------------------------------- */

/* Between two messages all that this shard has appended is applied, and no other shard appends anything of its actors but
 * the outcomes of ids. */
static void run_capture(struct shard *shard, struct capture *capture)
{
	const struct claims *claims = &shard->claims;
	capture->lsn = capture->floor = log_head(shard);
	for (unsigned turn = 0; turn < 2; turn++)
		if (claims->open[turn] && claims->floor[turn] < capture->floor)
			capture->floor = claims->floor[turn];
	capture_take(capture, &shard->state, shard->catalog);
	shard->env->done(shard->env->context, &capture->message);
}

static void run_scan(struct shard *shard, struct scan *scan)
{
	scan_members(scan, &shard->state, shard->arena);
	/* Who is told of a member rests on the record that made it (law L2). */
	scan->message.wait_lsn = shard->appended_lsn;
	shard->env->done(shard->env->context, &scan->message);
}

/* ---- ids that move ---------------------------------------------------------------------------------------------------- */

/* Entries are dropped some at a time, between other messages. */
static void run_ids(struct shard *shard, struct id_change *change)
{
	enum { SLICE = 1 << 15 };
	struct ids *ids = &shard->state.ids;
	if (change->runs) {
		ids->runs = change->runs;
		change->after(change);
		return;
	}
	for (uint32_t looked = 0; change->partition < PARTITION_COUNT && looked < SLICE; change->partition++)
		if (state_owns(&shard->state, change->partition)) {
			looked += ids->tables[change->partition].slots;
			ids_drop_below(ids, change->partition, change->below);
		}
	if (change->partition < PARTITION_COUNT)
		shard->env->post(shard->env->context, shard->state.shard, &change->message);
	else
		change->after(change);
}

/* ---- the step --------------------------------------------------------------------------------------------------------- */

static bool message_run(struct shard *shard, struct message *message)
{
	switch (message->kind) {
	case MESSAGE_EXISTS: run_exists((struct part *)message, shard); break;
	case MESSAGE_CLAIM: run_claim((struct part *)message, shard); break;
	case MESSAGE_DECIDE:
		if (!run_decide((struct part *)message, shard))
			return false;
		break;
	case MESSAGE_RESOLVE: run_resolve((struct part *)message, shard); break;
	case MESSAGE_QUERY: run_query(shard, message->owner); return true;
	case MESSAGE_CATALOG: return run_catalog(shard, message->owner);
	case MESSAGE_LEDGER: return run_visit(shard, message->owner);
	case MESSAGE_SPLIT_CLAIM:
	case MESSAGE_SPLIT_DECIDE:
	case MESSAGE_SPLIT_RESOLVE:
	case MESSAGE_SPLIT_AGAIN: return ledger_split_run(shard, message);
	case MESSAGE_CLAIM_AGAIN: batch_again(((struct part *)message)->batch, shard); return true;
	case MESSAGE_IDS: run_ids(shard, message->owner); return true;
	case MESSAGE_VIEW: run_view(shard, message->owner); return true;
	case MESSAGE_CAPTURE: run_capture(shard, message->owner); return true;
	case MESSAGE_SCAN: run_scan(shard, message->owner); return true;
	}
	stage_finish((struct part *)message, shard);
	return true;
}

/* Small requests to the ledger that wait side by side: what they will touch is fetched for all of them at once, as within a
 * batch.  Returns how many messages were looked at. */
static unsigned requests_ahead(const struct shard *shard)
{
	enum { LOOK = 16, FEW_ROWS = 4 };
	unsigned count = 0;
	for (unsigned stage = 0; stage < 2; stage++) {
		const struct message *message = shard->queue;
		for (count = 0; message && count < LOOK; message = message->next, count++) {
			const struct ledger_request *request = message->owner;
			if (message->kind == MESSAGE_LEDGER && request->verb == LEDGER_TRANSFERS && request->count &&
			    request->count <= FEW_ROWS)
				transfers_ahead(&shard->state.ledger, request, stage);
		}
	}
	return count;
}

bool shard_step(struct shard *shard, unsigned budget, bool *stalled)
{
	unsigned ahead = 0;
	static_assert(offsetof(struct part, message) == 0, "a part is found by its message");
	*stalled = false;
	mailbox_take(shard);
	while (budget-- && shard->queue && !atomic_load(&shard->parked)) {
		if (!ahead && shard->queue->next && shard->state.shard_count == 1)
			ahead = requests_ahead(shard);
		ahead -= ahead > 0;
		struct message *message = shard->queue;
		shard->queue = message->next;
		if (!shard->queue)
			shard->queue_end = &shard->queue;
		if (!message_run(shard, message)) {
			message->next = shard->queue;
			if (!shard->queue)
				shard->queue_end = &message->next;
			shard->queue = message;
			*stalled = true;
			return true;
		}
		atomic_fetch_sub_explicit(&shard->depth, 1, memory_order_relaxed);
	}
	if (!atomic_load(&shard->parked))      /* else it is another shard's at the moment */
		atomic_store_explicit(&shard->ids_held, shard->state.ids.total, memory_order_relaxed);
	return shard_busy(shard);
}

bool shard_busy(const struct shard *shard)
{
	return !atomic_load(&shard->parked) && (shard->queue || atomic_load(&shard->mailbox));
}
