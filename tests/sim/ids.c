// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ids.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tests/sim/node.h"

static void ids_post(void *context, unsigned shard, struct message *message)
{
	struct sim_node *node = context;
	node->env.post(node, shard, message);
}

static void ids_hold(void *context, uint64_t lsn)
{
	struct sim_node *node = context;
	ASSERT(lsn >= node->ids.held_lsn);
	node->ids.held_lsn = lsn;
	if (node->retain)
		retain_hold(node->retain, HOLD_ID_RUNS, lsn);
}

static uint64_t ids_target(void *context)
{
	const struct sim_node *node = context;
	uint64_t target = wal_durable(node->wal) / 16 * node->options.ids.target, step, planned = 0;
	if (node->retain)
		retain_plan(node->retain, &planned, &step);
	return planned > target ? planned : target;
}

static void ids_said(void *context, const char *level, const char *line)
{
	struct sim_node *node = context;
	node->ids.complained |= *level == 'e';
	node->ids.damage |= *level == 'e' && strstr(line, "damage at");
	if (node->options.said)
		node->options.said(node->options.context, level, line);
}

static void ids_all_made(void *context)
{
	struct sim_node *node = context;
	node->ids.waits = false;
}

bool sim_ids_open(struct sim_node *node, struct state *const *states, struct buf *error)
{
	struct sim_ids *ids = &node->ids;
	if (!node->options.ids.on)
		return true;
	ids->store = runs_open("ids", true, error);
	ids->queries_end = &ids->queries;
	if (ids->store)
		ids->mover = mover_new(ids->store, states, node->shard_count);
	return ids->store != NULL;
}

bool sim_ids_settle(struct sim_node *node, struct buf *error)
{
	const struct sim_ids_options *own = &node->options.ids;
	const struct mover_options options = {
		.memory = own->memory, .run_ids = own->run_ids, .step_ids = own->step_ids, .step_bytes = own->step_bytes,
		.window = own->window,
		.wal = node->wal, .shards = node->shards, .count = node->shard_count, .post = ids_post, .hold = ids_hold,
		.target = ids_target, .log = ids_said, .all_made = ids_all_made, .context = node, .retention_ms = own->retention_ms,
	};
	return !node->ids.mover || mover_settle(node->ids.mover, &options, error);
}

void sim_ids_start(struct sim_node *node)
{
	if (node->ids.mover)
		mover_start(node->ids.mover);
}

void sim_ids_free(struct sim_node *node)
{
	struct sim_ids *ids = &node->ids;
	mover_free(ids->mover);
	runs_release(ids->reading);
	runs_close(ids->store);
	*ids = (struct sim_ids){ 0 };
}

void sim_ids_read(struct sim_node *node, struct id_query *query)
{
	struct sim_ids *ids = &node->ids;
	query->next = NULL;
	*ids->queries_end = query;
	ids->queries_end = &query->next;
}

enum mover_next sim_mover_step(struct sim_node *node)
{
	struct sim_ids *ids = &node->ids;
	if (ids->waits)
		return MOVER_WAITS;
	ids->waits = true;             /* all_made says when no more */
	enum mover_next next = mover_step(ids->mover);
	ids->waits &= next == MOVER_WAITS;
	ids->rests = next == MOVER_RESTS;
	return next;
}

/* In two steps, so that the runs may change between. */
bool sim_reader_step(struct sim_node *node)
{
	struct sim_ids *ids = &node->ids;
	struct id_query *query = ids->queries;
	struct buf error = { 0 };
	if (!query)
		return false;
	if (!ids->reading) {
		ids->reading = runs_hold(ids->store);
		return true;
	}
	ids->queries = query->next;
	if (!ids->queries)
		ids->queries_end = &ids->queries;
	if (!runs_find(ids->reading, query, &error)) {
		ids->unread++;
		if (node->options.said)
			node->options.said(node->options.context, "error", error.ptr);
	}
	runs_release(ids->reading);
	ids->reading = NULL;
	buf_free(&error);
	node->env.post(node, query->answer->shard, query->answer);
	return true;
}

bool sim_ids_kept(struct sim_node *node, uint64_t hash, uint64_t lsn, struct id_kept *kept)
{
	struct buf error = { 0 };
	*kept = (struct id_kept){ 0 };
	if (!node->ids.store)
		return true;
	struct runs *runs = runs_hold(node->ids.store);
	bool good = runs_kept(runs, hash, lsn, kept, &error);
	runs_release(runs);
	buf_free(&error);
	return good;
}

void sim_ids_dump(const struct sim_node *node, struct buf *out)
{
	struct buf error = { 0 };
	struct runs *runs = node->ids.store ? runs_hold(node->ids.store) : NULL;
	bool good = !runs || runs_dump(runs, out, &error);
	ASSERT(good);
	runs_release(runs);
}

uint64_t sim_ids_forgotten(const struct sim_node *node)
{
	return node->ids.store ? runs_manifest(node->ids.store)->forgotten : 0;
}

void sim_dump_forget(struct buf *dump, uint64_t forgotten)
{
	size_t kept = 0;
	for (size_t at = 0, next; forgotten && at < dump->len; at = next) {
		const char *line = dump->ptr + at, *end = memchr(line, '\n', dump->len - at);
		next = end ? (size_t)(end - dump->ptr) + 1 : dump->len;
		const char *lsn = strncmp(line, "id ", 3) == 0 && end ? strstr(line, " lsn ") : NULL;
		if (lsn && strtoull(lsn + 5, NULL, 10) < forgotten)
			continue;
		memmove(dump->ptr + kept, line, next - at);
		kept += next - at;
	}
	dump->len = forgotten ? kept : dump->len;
}

uint64_t sim_ids_count(const struct sim_node *node)
{
	struct buf lines = { 0 };
	uint64_t count = 0;
	sim_ids_dump(node, &lines);
	for (size_t i = 0; i < lines.len; i++)
		count += lines.ptr[i] == '\n';
	buf_free(&lines);
	for (unsigned s = 0; s < node->shard_count; s++)
		count += node->shards[s].state.ids.total;
	return count;
}
