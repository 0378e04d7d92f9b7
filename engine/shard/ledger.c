// SPDX-License-Identifier: Apache-2.0
/* Requests to the ledger, run with every shard's ledger at hand: frames of the log around engine/ledger's decisions.
 *
 * Transfers are decided straight into the frame: room for the upper bound of a chunk of rows is taken, the rows' records are
 * written where they will stand, what is left becomes a filler record.  A chunk without a record takes no room at all. */
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/ledger/decide.h"
#include "engine/shard/ledger.h"
#include "engine/shard/shard.h"

enum { FRAME_BYTES = 192 * 1024, EXPIRE_FRAME_MAX = 64, EXPIRE_MAX = 10000 };

#define DRY_LSN (UINT64_C(1) << 61)

void ledger_start(struct ledger_request *request, const struct env *env)
{
	unsigned shard_count = env->shards;
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
	ledger_start(request, env);
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
static void frame_end(struct shard *shard, struct ledger_writer *writer, int64_t now_ms)
{
	const struct env *env = shard->env;
	if (!writer->body) {
		env->log_credit_drop(env->context, shard->state.shard);
		return;
	}
	writer_finish(writer);
	uint64_t end = env->log_publish(env->context, shard->state.shard, now_ms, hash_bytes(writer->body, writer->size));
	/* The frame may have touched actors of every shard. */
	for (unsigned s = 0; s < shard->state.shard_count; s++)
		shard->peers[s].appended_lsn = end;
}

static void scratch_begin(struct ledger_writer *writer)
{
	struct buf *scratch = writer->context;
	buf_room(scratch, writer->size);
	writer->body = (unsigned char *)scratch->ptr;
	writer->lsn = DRY_LSN;
}

static bool memory_full(const struct shard *shard)
{
	for (unsigned s = 0; s < shard->state.shard_count; s++)
		if (shard->peers[s].memory_limit && state_memory(&shard->peers[s].state) > shard->peers[s].memory_limit)
			return true;
	return false;
}

/* ---- transfers -------------------------------------------------------------------------------------------------------- */

/* Decides what was resolved, in a frame of its own.  False: waits for room. */
static bool chunk_run(struct shard *shard, uint32_t bound)
{
	const struct env *env = shard->env;
	int64_t now_ms = env->now_ms(env->context);
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
	struct ledger_writer writer = { .begin = frame_begin, .context = shard, .size = bound };
	transfers_decide(shard->run, &writer, now_ms, memory_full(shard));
	frame_end(shard, &writer, now_ms);
	return true;
}

/* Rows whose id's hash was another id's: each by itself, after all others. */
static bool collisions_run(struct shard *shard, const struct ledgers *ledgers, struct ledger_request *request)
{
	for (uint32_t i = 0; i < request->known_sorted; i++) {
		struct known_row *known = &request->known[i];
		uint32_t bound;
		if (!known->collision || known->used)
			continue;
		transfers_resolve_one(shard->run, ledgers, request, known->index, &bound);
		if (!chunk_run(shard, bound))
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
	transfers_decide(shard->run, &writer, env->now_ms(env->context), memory_full(shard));
	transfers_undo(shard->run);
	buf_free(&scratch);
}

static bool transfers_run(struct shard *shard, const struct ledgers *ledgers, struct ledger_request *request)
{
	known_settle(ledgers, request);
	if (request->dry_run) {
		dry_run(shard, ledgers, request);
		return true;
	}
	while (request->next_row < request->count && !request->stopped) {
		uint32_t limit = shard->env->log_frame_max < FRAME_BYTES ? shard->env->log_frame_max : FRAME_BYTES, bound;
		transfers_resolve(shard->run, ledgers, request, limit, &bound);
		if (!chunk_run(shard, bound))
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
	while (request->next_row < request->count) {
		uint32_t first = request->next_row, behind = first, bound = 0;
		for (; behind < request->count; behind++) {
			uint32_t more = account_bound(&request->specs[behind]);
			if (behind > first && bound + more > FRAME_BYTES)
				break;
			bound += more;
		}
		enum env_room room = env->log_credit(env->context, shard->state.shard, bound);
		if (room == ENV_WAIT)
			return false;
		int64_t now_ms = env->now_ms(env->context);
		struct ledger_writer writer = { .begin = frame_begin, .context = shard, .size = bound };
		bool full = memory_full(shard);
		for (uint32_t i = first; i < behind; i++)
			if (room == ENV_DISK_FULL)
				request->specs[i].refusal = REFUSED_DISK_FULL;
			else
				account_run(shard, ledgers, request, &request->specs[i], &writer, now_ms, full);
		if (room == ENV_ROOM)
			frame_end(shard, &writer, now_ms);
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
		frame_end(shard, &writer, now_ms);
	}
	return true;
}

bool ledger_run(struct shard *shard, struct ledger_request *request)
{
	struct ledgers ledgers = { .count = shard->state.shard_count };
	bool done = true;
	for (unsigned s = 0; s < ledgers.count; s++)
		ledgers.at[s] = &shard->peers[s].state.ledger;
	switch (request->verb) {
	case LEDGER_ACCOUNTS:
	case LEDGER_CLOSE: done = accounts_run(shard, &ledgers, request); break;
	case LEDGER_TRANSFERS: done = transfers_run(shard, &ledgers, request); break;
	case LEDGER_LOOKUP: accounts_lookup(&ledgers, request); break;
	case LEDGER_NAMES: accounts_name(&ledgers, request); break;
	case LEDGER_FIND: transfers_find(&ledgers, request); break;
	case LEDGER_BOOK: book_sum(&ledgers, request); break;
	case LEDGER_EXPIRE: done = expire_run(shard, &ledgers); break;
	}
	if (!done)
		return false;
	uint64_t lsn = 0;
	for (unsigned s = 0; s < ledgers.count; s++)
		if (shard->peers[s].appended_lsn > lsn)
			lsn = shard->peers[s].appended_lsn;
	request->wait_lsn = request->lsn = lsn;
	request->sum_lsn_low = request->sum_lsn_high = lsn;
	return true;
}
