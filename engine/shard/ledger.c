// SPDX-License-Identifier: Apache-2.0
/* Requests to the ledger, run with every shard's ledger at hand: frames of the log around engine/ledger's decisions.
 *
 * Transfers are decided straight into the frame: room for the upper bound of a chunk of rows is taken, the rows' records are
 * written where they will stand, what is left becomes a filler record.  A chunk without a record takes no room at all. */
#include <stdatomic.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/decide.h"
#include "engine/shard/ledger.h"
#include "engine/shard/shard.h"

enum { SPLIT_ASKS = 8, FRAME_BYTES = 192 * 1024, EXPIRE_FRAME_MAX = 64, EXPIRE_MAX = 10000 };

struct ledger_split {
	struct ledger_request *request;
	const struct env *env;
	unsigned count;
	atomic_uint waiting;           /* shards that have not finished the stage */
	atomic_bool crossing;          /* something needs a visit */
	struct buf outcomes;           /* u64 a row */
	struct buf deciders, claimed;  /* u8 a row; claimed: 0, or 1 and the claim's generation, or SPLIT_ASKS */
	atomic_bool asking;            /* some ids look as if they were on disk: they are looked up before anything is done */
	struct split_part {
		struct message message;
		bool claims;           /* has ids of the batch */
		uint64_t generation;   /* of the runs whose filters it asked */
		atomic_bool decides;   /* has rows to decide */
		struct transfer_share share;
		struct buf refused;
		uint64_t lsn;
	} parts[];
};

void ledger_request_free(struct ledger_request *request)
{
	struct ledger_split *split = request->split;
	if (split) {
		for (unsigned s = 0; s < split->count; s++)
			buf_free(&split->parts[s].refused);
		buf_free(&split->outcomes);
		buf_free(&split->deciders);
		buf_free(&split->claimed);
		mem_free(split);
	}
	mem_free(request->messages);
	id_query_free(&request->query);
	mem_free(request->known);
	buf_free(&request->refused);
	buf_free(&request->balances);
	buf_free(&request->texts);
}

void ledger_request_reuse(struct ledger_request *request)
{
	struct ledger_request old = *request;
	*request = (struct ledger_request){ .messages = old.messages, .split = old.split, .known = old.known,
					    .known_cap = old.known_cap, .refused = old.refused, .balances = old.balances,
					    .texts = old.texts, .query = old.query };
	id_query_clear(&request->query);
	request->refused.len = request->balances.len = request->texts.len = 0;
}

void ledger_visit(struct ledger_request *request, const struct env *env)
{
	unsigned shard_count = env->shards;
	request->entered = false;
	if (!request->messages)
		request->messages = mem_zalloc(shard_count * sizeof *request->messages);
	for (unsigned s = 0; s < shard_count; s++)
		request->messages[s] = (struct message){ .kind = MESSAGE_LEDGER, .shard = s, .owner = request };
	env->post(env->context, 0, &request->messages[0]);
}

void ledger_restart(struct ledger_request *request, const struct env *env)
{
	ASSERT(request->verb == LEDGER_TRANSFERS);
	known_sort(request);
	request->stopped = false;
	if (request->dry_run) {
		/* What the first run did was taken back. */
		request->next_row = 0;
		request->refused.len = request->balances.len = 0;
		for (uint32_t i = 0; i < request->known_count; i++)
			request->known[i].used = false;
	}
	ledger_visit(request, env);
}

/* ---- batches that shards decide side by side ---------------------------------------------------------------------------
 *
 *     CLAIM (owners of the ids)  ->  DECIDE (owners of the accounts)  ->  RESOLVE (owners of the ids)  ->  done
 *       \- crossing: RESOLVE lets go of what was claimed, and the batch becomes a visit
 *
 * A stage's shards write only what is theirs: claimed and deciders of rows whose id they own, outcomes of rows they decide.
 * The last shard of a stage posts the next one. */

static void *room(struct buf *buf, size_t size)
{
	buf->len = 0;
	buf_room(buf, size);
	buf->len = size;
	return memset(buf->ptr, 0, size);
}

/* Without flags, for the first time, more than one shard: worth trying. */
static bool may_split(const struct ledger_request *request, const struct env *env)
{
	if (env->shards == 1 || request->verb != LEDGER_TRANSFERS || request->dry_run || request->next_row || request->known_count)
		return false;
	for (uint32_t i = 0; i < request->count; i++)
		if (row_load(request->rows + (size_t)i * ROW_BYTES).flags)
			return false;
	return request->count > 0;
}

static void stage_post(struct ledger_split *split, enum message_kind kind, uint64_t shards)
{
	const struct env *env = split->env;
	atomic_store(&split->waiting, (unsigned)__builtin_popcountll(shards));
	/* After the last post the batch may be gone. */
	for (unsigned s = 0; shards; s++, shards >>= 1)
		if (shards & 1) {
			split->parts[s].message = (struct message){ .kind = kind, .shard = s, .owner = split };
			env->post(env->context, s, &split->parts[s].message);
		}
}

void ledger_start(struct ledger_request *request, const struct env *env)
{
	if (!may_split(request, env)) {
		ledger_visit(request, env);
		return;
	}
	struct ledger_split *split = request->split;
	if (!split)
		split = request->split = mem_zalloc(sizeof *split + env->shards * sizeof *split->parts);
	split->request = request;
	split->env = env;
	split->count = env->shards;
	atomic_store(&split->crossing, false);
	atomic_store(&split->asking, false);
	room(&split->outcomes, request->count * sizeof(uint64_t));
	room(&split->deciders, request->count);
	room(&split->claimed, request->count);
	if (request->want_balances)
		room(&request->balances, (size_t)request->count * 2 * sizeof(int64_t));
	for (unsigned s = 0; s < split->count; s++) {
		struct split_part *part = &split->parts[s];
		part->claims = false;
		atomic_store(&part->decides, false);
		part->refused.len = 0;
		part->lsn = 0;
		part->share = (struct transfer_share){ .deciders = (const uint8_t *)split->deciders.ptr,
						       .outcomes = (uint64_t *)(void *)split->outcomes.ptr,
						       .refused = &part->refused };
	}
	uint64_t shards = 0, all = split->count == 64 ? UINT64_MAX : (UINT64_C(1) << split->count) - 1;
	for (uint32_t i = 0; i < request->count && shards != all; i++) {
		u128 id = row_load(request->rows + (size_t)i * ROW_BYTES).id;
		shards |= UINT64_C(1) << shard_of(partition_of(id_hash_of_transfer(id)), split->count);
	}
	for (unsigned s = 0; s < split->count; s++)
		split->parts[s].claims = shards >> s & 1;
	stage_post(split, MESSAGE_SPLIT_CLAIM, shards);
}

static void split_claim(struct shard *shard, struct ledger_split *split, const struct ledgers *ledgers)
{
	struct ledger_request *request = split->request;
	struct ids *ids = &shard->state.ids;
	uint8_t *deciders = (uint8_t *)split->deciders.ptr, *claimed = (uint8_t *)split->claimed.ptr;
	bool decides[SHARDS_MAX] = { false }, crossing = false, asking = false;
	const struct id_runs *runs = ids->runs;
	/* What was looked up in these very runs is not asked again. */
	if (runs && runs->generation == request->query.generation)
		runs = NULL;
	split->parts[shard->state.shard].generation = ids->runs ? ids->runs->generation : 0;
	enum { BLOCK = 64 };
	uint64_t hashes[BLOCK];
	shard_claims_begin(shard);
	for (uint32_t i = 0; i < request->count; i++) {
		if (i % BLOCK == 0)
			for (uint32_t j = i; j < request->count && j < i + BLOCK; j++) {
				uint64_t hash = id_hash_of_transfer(row_load(request->rows + (size_t)j * ROW_BYTES).id);
				hashes[j - i] = hash;
				if (state_owns(&shard->state, partition_of(hash))) {
					table_prefetch(&ids->tables[partition_of(hash)], hash);
					runs_prefetch(runs, hash);
				}
			}
		uint64_t hash = hashes[i % BLOCK];
		if (!state_owns(&shard->state, partition_of(hash)))
			continue;
		struct transfer_row row = row_load(request->rows + (size_t)i * ROW_BYTES);
		unsigned decider = transfer_decider(ledgers, &row, hash);
		if (decider == SHARDS_MAX || ids_find(ids, hash, 0) || id_query_found(&request->query, hash, NULL) ||
		    ledger_hold(&shard->state.ledger, row.id, hash)) {
			crossing = true;
			break;
		}
		if (runs_may_have(runs, hash)) {
			claimed[i] = SPLIT_ASKS;
			asking = true;
			continue;
		}
		ids_insert(ids, hash, ID_IN_FLIGHT);
		claimed[i] = (uint8_t)(1 + shard_claim(shard));
		deciders[i] = (uint8_t)decider;
		decides[decider] = true;
	}
	for (unsigned s = 0; s < split->count; s++)
		if (decides[s])
			atomic_store(&split->parts[s].decides, true);
	if (crossing)
		atomic_store(&split->crossing, true);
	if (asking)
		atomic_store(&split->asking, true);
}

static bool chunk_run(struct shard *shard, uint32_t bound, bool all);

/* False: waits for room; share.next_row remembers where. */
static bool split_decide(struct shard *shard, struct ledger_split *split, const struct ledgers *ledgers)
{
	struct split_part *part = &split->parts[shard->state.shard];
	uint32_t limit = shard->env->log_frame_max < FRAME_BYTES ? shard->env->log_frame_max : FRAME_BYTES, bound;
	while (part->share.next_row < split->request->count) {
		transfers_resolve_share(shard->run, ledgers, split->request, &part->share, limit, &bound);
		if (!chunk_run(shard, bound, false))
			return false;
	}
	part->lsn = shard->appended_lsn;
	return true;
}

static void split_resolve(struct shard *shard, struct ledger_split *split)
{
	struct ledger_request *request = split->request;
	struct ids *ids = &shard->state.ids;
	const uint64_t *outcomes = (const uint64_t *)(const void *)split->outcomes.ptr;
	bool crossing = atomic_load(&split->crossing) || atomic_load(&split->asking);
	for (uint32_t i = 0; i < request->count; i++) {
		uint64_t hash = id_hash_of_transfer(row_load(request->rows + (size_t)i * ROW_BYTES).id);
		if (!state_owns(&shard->state, partition_of(hash)) || !split->claimed.ptr[i] || split->claimed.ptr[i] == SPLIT_ASKS)
			continue;
		shard_claim_end(shard, split->claimed.ptr[i] - 1u);
		if (crossing || !outcomes[i]) {
			ids_remove(ids, hash, ID_IN_FLIGHT);
			continue;
		}
		struct table_entry *entry = ids_find(ids, hash, 0);
		while (entry && entry->value != ID_IN_FLIGHT)
			entry = table_find(&ids->tables[partition_of(hash)], hash, entry);
		ASSERT(entry);
		entry->value = MUTATE(34, outcomes[i], 0);
		if (MUTATE(34, false, true))
			ids_remove(ids, hash, 0);
		shard->state.ledger.transfer_total += !(outcomes[i] & ID_FAILED);
	}
}

static void split_done(struct ledger_split *split)
{
	struct ledger_request *request = split->request;
	const struct env *env = split->env;
	uint64_t lsn = 0;
	for (unsigned s = 0; s < split->count; s++) {
		const struct split_part *part = &split->parts[s];
		buf_bytes(&request->refused, part->refused.ptr, part->refused.len);
		if (part->lsn > lsn)
			lsn = part->lsn;
	}
	refused_sort(&request->refused);
	request->next_row = request->count;
	request->wait_lsn = request->lsn = lsn;
	if (!request->messages)
		request->messages = mem_zalloc(split->count * sizeof *request->messages);
	request->messages[0] = (struct message){ .kind = MESSAGE_LEDGER, .owner = request, .wait_lsn = lsn };
	env->done(env->context, &request->messages[0]);
}

/* Asks for the ids that look as if they were on disk; then the batch begins anew. */
static void split_ask(struct ledger_split *split)
{
	struct ledger_request *request = split->request;
	struct id_query *query = &request->query;
	id_query_clear(query);
	query->generation = UINT64_MAX;
	for (unsigned s = 0; s < split->count; s++)
		if (split->parts[s].claims && split->parts[s].generation < query->generation)
			query->generation = split->parts[s].generation;
	for (uint32_t i = 0; i < request->count; i++)
		if (split->claimed.ptr[i] == SPLIT_ASKS)
			id_query_add(query, id_hash_of_transfer(row_load(request->rows + (size_t)i * ROW_BYTES).id));
	split->parts[0].message = (struct message){ .kind = MESSAGE_SPLIT_AGAIN, .owner = split };
	query->answer = &split->parts[0].message;
	split->env->ids_read(split->env->context, query);
}

bool ledger_split_run(struct shard *shard, struct message *message)
{
	struct ledger_split *split = message->owner;
	enum message_kind kind = message->kind;
	struct ledgers ledgers = { .count = split->count, .home = shard->state.shard };
	uint64_t claimers = 0, deciders = 0;
	if (kind == MESSAGE_SPLIT_AGAIN) {
		if (split->request->query.failed)
			ledger_visit(split->request, split->env);      /* which ends it */
		else
			ledger_start(split->request, split->env);
		return true;
	}
	for (unsigned s = 0; s < split->count; s++)
		ledgers.at[s] = &shard->peers[s].state.ledger; /* of others nothing is read */
	if (kind == MESSAGE_SPLIT_CLAIM)
		split_claim(shard, split, &ledgers);
	else if (kind == MESSAGE_SPLIT_RESOLVE)
		split_resolve(shard, split);
	else if (!split_decide(shard, split, &ledgers))
		return false;
	if (atomic_fetch_sub(&split->waiting, 1) != 1)
		return true;
	for (unsigned s = 0; s < split->count; s++) {
		claimers |= (uint64_t)split->parts[s].claims << s;
		deciders |= (uint64_t)atomic_load(&split->parts[s].decides) << s;
	}
	bool crossing = atomic_load(&split->crossing), asking = atomic_load(&split->asking);
	if (kind == MESSAGE_SPLIT_CLAIM)
		stage_post(split, crossing || asking ? MESSAGE_SPLIT_RESOLVE : MESSAGE_SPLIT_DECIDE,
			   crossing || asking ? claimers : deciders);
	else if (kind == MESSAGE_SPLIT_DECIDE)
		stage_post(split, MESSAGE_SPLIT_RESOLVE, claimers);
	else if (crossing)
		ledger_visit(split->request, split->env);
	else if (asking)
		split_ask(split);
	else
		split_done(split);
	return true;
}

bool ledger_asks(struct shard *shard, struct ledger_request *request)
{
	const struct id_runs *runs = shard->state.ids.runs;
	struct ledgers ledgers = { .count = shard->state.shard_count, .home = shard->state.shard };
	if (!runs || request->query.generation == runs->generation ||
	    (request->verb != LEDGER_TRANSFERS && request->verb != LEDGER_FIND))
		return false;
	for (unsigned s = 0; s < ledgers.count; s++)
		ledgers.at[s] = &shard->peers[s].state.ledger;
	id_query_clear(&request->query);
	request->query.generation = runs->generation;
	transfers_ask(&ledgers, runs, request);
	if (!request->query.count)
		return false;
	/* The request enters the mailboxes again, as when it was new. */
	request->entered = false;
	for (unsigned s = 0; s < ledgers.count; s++)
		request->messages[s] = (struct message){ .kind = MESSAGE_LEDGER, .shard = s, .owner = request };
	request->query.answer = &request->messages[0];
	return true;
}

bool ledger_must_wait(struct shard *shard, const struct ledger_request *request)
{
	struct ledgers ledgers = { .count = shard->state.shard_count, .home = shard->state.shard };
	for (unsigned s = 0; s < ledgers.count; s++)
		ledgers.at[s] = &shard->peers[s].state.ledger;
	return request->verb == LEDGER_TRANSFERS && transfers_in_flight(&ledgers, request);
}

bool ledger_expiry_due(const struct shard *shards, unsigned count, int64_t now_ms)
{
	for (unsigned s = 0; s < count; s++)
		if (atomic_load_explicit(&shards[s].state.ledger.next_expiry_ms, memory_order_relaxed) <= now_ms)
			return true;
	return false;
}

/* ---- frames ----------------------------------------------------------------------------------------------------------- */

static void frame_begin(struct ledger_writer *writer)
{
	struct shard *shard = writer->context;
	writer->lsn = shard->env->log_begin(shard->env->context, shard->state.shard, writer->size, &writer->body);
}

/* Ends the frame, or gives the credit back where nothing was written. */
static void frame_end(struct shard *shard, struct ledger_writer *writer, int64_t now_ms, bool all)
{
	const struct env *env = shard->env;
	if (!writer->body) {
		env->log_credit_drop(env->context, shard->state.shard);
		return;
	}
	writer_finish(writer);
	uint64_t end = env->log_publish(env->context, shard->state.shard, now_ms, hash_bytes(writer->body, writer->size));
	shard->appended_lsn = end;
	/* A visit's frame may have touched actors of every shard. */
	for (unsigned s = 0; MUTATE(41, all, false) && s < shard->state.shard_count; s++)
		shard->peers[s].appended_lsn = end;
}

static void scratch_begin(struct ledger_writer *writer)
{
	struct buf *scratch = writer->context;
	buf_room(scratch, writer->size);
	writer->body = (unsigned char *)scratch->ptr;
	writer->lsn = DRY_LSN;
}

static bool memory_full(const struct shard *shard, bool all)
{
	if (!all)
		return shard->memory_limit && state_memory(&shard->state) > shard->memory_limit;
	for (unsigned s = 0; s < shard->state.shard_count; s++)
		if (shard->peers[s].memory_limit && state_memory(&shard->peers[s].state) > shard->peers[s].memory_limit)
			return true;
	return false;
}

/* ---- transfers -------------------------------------------------------------------------------------------------------- */

/* Decides what was resolved, in a frame of its own.  False: waits for room. */
static bool chunk_run(struct shard *shard, uint32_t bound, bool all)
{
	const struct env *env = shard->env;
	int64_t now_ms = env->now_ms(env->context);
	struct ledger_writer writer = { .begin = frame_begin, .context = shard, .size = bound };
	if (bound == 0) {                      /* no row of these is this shard's */
		transfers_decide(shard->run, &writer, now_ms, false);
		return true;
	}
	if (bound > env->log_frame_max) {
		transfers_refuse(shard->run, REFUSED_CHAIN_TOO_LONG);
		return true;
	}
	enum env_room room = env->log_credit(env->context, shard->state.shard, bound);
	if (room == ENV_WAIT)
		return false;
	if (room == ENV_DISK_FULL) {
		transfers_refuse(shard->run, REFUSED_DISK_FULL);
		return true;
	}
	transfers_decide(shard->run, &writer, now_ms, memory_full(shard, all));
	frame_end(shard, &writer, now_ms, all);
	return true;
}

/* Rows whose id's hash was another id's: each by itself, after all others. */
static bool collisions_run(struct shard *shard, const struct ledgers *ledgers, struct ledger_request *request)
{
	for (uint32_t i = 0; i < request->known_sorted; i++) {
		struct known_row *known = &request->known[i];
		uint32_t bound, behind = i;
		bool answered = false;
		while (behind < request->known_sorted && request->known[behind].index == known->index) {
			answered |= request->known[behind].resolved && !request->known[behind].collision;
			behind++;
		}
		if (answered)                  /* another entry of this hash was the one */
			for (uint32_t j = i; j < behind; j++)
				request->known[j].used |= request->known[j].collision;
		if (!known->collision || known->used)
			continue;
		transfers_resolve_one(shard->run, ledgers, request, known->index, &bound);
		if (!chunk_run(shard, bound, true))
			return false;
		request->next_row = request->count;
		request->known[i].used = true; /* known[] may have moved */
	}
	return true;
}

/* The whole batch against the books as they are, then back. */
static void dry_run(struct shard *shard, const struct ledgers *ledgers, struct ledger_request *request)
{
	struct buf scratch = { 0 };
	const struct env *env = shard->env;
	struct ledger_writer writer = { .begin = scratch_begin, .context = &scratch, .size = ROWS_MAX * 1024 };
	uint32_t bound;
	transfers_resolve(shard->run, ledgers, request, UINT32_MAX, &bound);
	transfers_decide(shard->run, &writer, env->now_ms(env->context), memory_full(shard, true));
	transfers_undo(shard->run);
	buf_free(&scratch);
}

static bool transfers_run(struct shard *shard, const struct ledgers *ledgers, struct ledger_request *request)
{
	if (request->query.failed) {
		request->unreadable = true;
		return true;
	}
	known_settle(ledgers, request);
	if (request->dry_run) {
		dry_run(shard, ledgers, request);
		return true;
	}
	while (request->next_row < request->count && !request->stopped) {
		uint32_t limit = shard->env->log_frame_max < FRAME_BYTES ? shard->env->log_frame_max : FRAME_BYTES, bound;
		transfers_resolve(shard->run, ledgers, request, limit, &bound);
		if (!chunk_run(shard, bound, true))
			return false;
	}
	return request->stopped || collisions_run(shard, ledgers, request);
}

/* ---- accounts --------------------------------------------------------------------------------------------------------- */

static void account_run(struct shard *shard, const struct ledgers *ledgers, struct ledger_request *request,
			struct account_spec *spec, struct ledger_writer *writer, int64_t now_ms, bool full)
{
	if (request->verb == LEDGER_CLOSE) {
		account_close(ledgers, spec, writer, now_ms);
		return;
	}
	account_decide(ledgers, spec, writer, now_ms, full);
	if (!spec->refusal && !spec->existed && spec->member.len) {
		unsigned partition = partition_of(account_key(spec->id));
		state_account_link(&shard->peers[shard_of(partition, ledgers->count)].state, spec->tenant, spec->member);
	}
}

static bool accounts_run(struct shard *shard, const struct ledgers *ledgers, struct ledger_request *request)
{
	const struct env *env = shard->env;
	uint32_t limit = env->log_frame_max < FRAME_BYTES ? env->log_frame_max : FRAME_BYTES;
	if (request->dry_run) {
		ASSERT(request->verb == LEDGER_ACCOUNTS);
		for (; request->next_row < request->count; request->next_row++)
			account_decide(ledgers, &request->specs[request->next_row], NULL, 0, memory_full(shard, true));
		return true;
	}
	while (request->next_row < request->count) {
		uint32_t first = request->next_row, behind = first, bound = 0;
		for (; behind < request->count; behind++) {
			uint32_t more = account_bound(&request->specs[behind]);
			if (behind > first && bound + more > limit)
				break;
			bound += more;
		}
		enum env_room room = env->log_credit(env->context, shard->state.shard, bound);
		if (room == ENV_WAIT)
			return false;
		int64_t now_ms = env->now_ms(env->context);
		struct ledger_writer writer = { .begin = frame_begin, .context = shard, .size = bound };
		bool full = memory_full(shard, true);
		for (uint32_t i = first; i < behind; i++)
			if (room == ENV_DISK_FULL)
				request->specs[i].refusal = REFUSED_DISK_FULL;
			else
				account_run(shard, ledgers, request, &request->specs[i], &writer, now_ms, full);
		if (room == ENV_ROOM)
			frame_end(shard, &writer, now_ms, true);
		request->next_row = behind;
	}
	return true;
}

static bool expire_run(struct shard *shard, const struct ledgers *ledgers)
{
	const struct env *env = shard->env;
	/* Usually one is due; more in a frame as it turns out that there are many. */
	uint32_t done = 0;
	for (uint32_t rows = 1; done < EXPIRE_MAX; rows = rows < EXPIRE_FRAME_MAX ? rows * 2 : rows) {
		int64_t now_ms = env->now_ms(env->context);
		bool due = false;
		for (unsigned s = 0; s < ledgers->count && !due; s++)
			due = ledger_due(ledgers->at[s], now_ms) != NULL;
		if (!due)
			return true;
		enum env_room room = env->log_credit(env->context, shard->state.shard, rows * TRANSFER_RECORD_MAX);
		if (room == ENV_WAIT)
			return false;
		if (room == ENV_DISK_FULL)
			return true;           /* they stay reserved; asked again later */
		struct ledger_writer writer = { .begin = frame_begin, .context = shard, .size = rows * TRANSFER_RECORD_MAX };
		done += transfers_expire(ledgers, &writer, now_ms, rows);
		frame_end(shard, &writer, now_ms, true);
	}
	return true;
}

bool ledger_run(struct shard *shard, struct ledger_request *request)
{
	struct ledgers ledgers = { .count = shard->state.shard_count, .home = shard->state.shard };
	bool done = true;
	for (unsigned s = 0; s < ledgers.count; s++)
		ledgers.at[s] = &shard->peers[s].state.ledger;
	switch (request->verb) {
	case LEDGER_ACCOUNTS:
	case LEDGER_CLOSE: done = accounts_run(shard, &ledgers, request); break;
	case LEDGER_TRANSFERS: done = transfers_run(shard, &ledgers, request); break;
	case LEDGER_LOOKUP: accounts_lookup(&ledgers, request); break;
	case LEDGER_NAMES: accounts_name(&ledgers, request); break;
	case LEDGER_FIND:
		request->unreadable = request->query.failed;
		transfers_find(&ledgers, request);
		break;
	case LEDGER_BOOK: book_sum(&ledgers, request); break;
	case LEDGER_EXPIRE: done = expire_run(shard, &ledgers); break;
	}
	if (!done)
		return false;
	uint64_t lsn = 0;
	for (unsigned s = 0; s < ledgers.count; s++)
		if (shard->peers[s].appended_lsn > lsn)
			lsn = shard->peers[s].appended_lsn;
	request->lsn = lsn;
	request->wait_lsn = MUTATE(1, lsn, 0);
	request->sum_lsn_low = request->sum_lsn_high = lsn;
	return true;
}
