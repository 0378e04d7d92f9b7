// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/catalog/view.h"
#include "net/main/pins.h"
#include "net/main/replay.h"
#include "wal/wal_int.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_disable() ((void)0)
#define __lsan_enable() ((void)0)
#endif

/* ---- the world of the shards --------------------------------------------------------------------------------------- */

static int64_t env_now(void *context)
{
	struct sim_node *node = context;
	if (*node->options.wall_ms > node->last_time)
		node->last_time = *node->options.wall_ms;
	return node->last_time;
}

static enum env_room env_credit(void *context, unsigned shard, uint32_t bound)
{
	struct sim_node *node = context;
	return (enum env_room)wal_credit(wal_producer_at(node->wal, shard), bound);
}

static void env_credit_drop(void *context, unsigned shard)
{
	struct sim_node *node = context;
	wal_credit_drop(wal_producer_at(node->wal, shard));
}

static uint64_t env_begin(void *context, unsigned shard, uint32_t size, unsigned char **body)
{
	struct sim_node *node = context;
	uint64_t lsn = wal_append_begin(wal_producer_at(node->wal, shard), size, body);
	node->open[shard] = (struct sim_frame){ .lsn = lsn, .size = size, .body = *body };
	return lsn;
}

static uint64_t env_publish(void *context, unsigned shard, int64_t time_ms, uint64_t body_hash)
{
	struct sim_node *node = context;
	struct sim_frame frame = node->open[shard];
	frame.time_ms = time_ms;
	frame.end = wal_append_publish(wal_producer_at(node->wal, shard), time_ms, body_hash);
	node->options.written(node->options.context, &frame);
	return frame.end;
}

static uint64_t env_head(void *context)
{
	struct sim_node *node = context;
	return wal_appended(node->wal);
}

static void env_post(void *context, unsigned shard, struct message *message)
{
	struct sim_node *node = context;
	ASSERT(shard < node->shard_count);
	if (shard_post(&node->shards[shard], message))
		node->awake[shard] = true;
}

static void env_wake(void *context, unsigned shard)
{
	struct sim_node *node = context;
	node->awake[shard] = true;
}

static void env_done(void *context, struct message *message)
{
	struct sim_node *node = context;
	message->next = NULL;
	*node->done_end = message;
	node->done_end = &message->next;
}

static void env_ids_read(void *context, struct id_query *query)
{
	sim_ids_read(context, query);
}

/* ---- the log's callbacks ------------------------------------------------------------------------------------------- */

static void on_log(void *context, const char *level, const char *line)
{
	struct sim_node *node = context;
	if (node->options.said)
		node->options.said(node->options.context, level, line);
}

static void on_fatal(void *context, const char *message)
{
	struct sim_node *node = context;
	snprintf(node->fatal_text, sizeof node->fatal_text, "%s", message);
	longjmp(node->fatal, 1);
}

static bool on_replay(void *context, const struct wal_frame *frame)
{
	struct sim_node *node = context;
	struct state *states[SHARDS_MAX];
	struct sim_frame shown = { .lsn = frame->lsn + WAL_FRAME_HEADER, .end = frame->lsn + frame->size, .size = frame->body_size,
				   .time_ms = frame->time_ms, .body = frame->body };
	for (unsigned s = 0; s < node->shard_count; s++)
		states[s] = &node->shards[s].state;
	if (node->broken_lsn == UINT64_MAX)
		node->broken_lsn = replay_now(states, node->shard_count, &node->catalog, frame);
	if (node->options.replayed)
		node->options.replayed(node->options.context, &shown);
	return true;
}

/* ---- snapshots ----------------------------------------------------------------------------------------------------- */

static uint64_t source_durable(void *context)
{
	const struct sim_node *node = context;
	return wal_durable(node->wal);
}

void sim_snapshot_begin(struct sim_node *node, unsigned keep, size_t piece, uint64_t rate)
{
	ASSERT(!node->writer);
	node->source = (struct snapshot_source){ .context = node, .shards = node->shard_count, .post = env_post, .head = env_head,
						 .durable = source_durable, .stop = &node->writer_stop };
	node->order = (struct snapshot_order){ .dir = "snapshots", .keep = keep, .piece = piece, .rate = rate,
					       .epoch = wal_epoch(node->wal), .now_ms = *node->options.wall_ms };
	if (node->retain)
		retain_plan(node->retain, &node->order.floor, &node->order.step);
	node->writer_error.len = 0;
	node->writer = snapshot_begin(&node->source, &node->order, &node->writer_error);
	node->writer_waits = false;
	node->writer_due_ns = 0;
	atomic_store(&node->writer_stop, false);
}

bool sim_snapshot_step(struct sim_node *node, struct snapshot_outcome *outcome, bool *good)
{
	uint64_t nap_ns = 0;
	enum snapshot_next next = snapshot_step(node->writer, &nap_ns);
	node->writer_waits = next == SNAPSHOT_WAITS;
	node->writer_due_ns = wal_io.monotonic_ns() + nap_ns;
	if (next != SNAPSHOT_ENDS)
		return false;
	*good = snapshot_end(node->writer, outcome);
	node->writer = NULL;
	return true;
}

/* The process is gone; what its memory held is given back, and no file changes by it. */
static void writer_drop(struct sim_node *node)
{
	struct snapshot_outcome outcome;
	if (node->writer) {
		disk_freeze(true);
		snapshot_end(node->writer, &outcome);
		disk_freeze(false);
	}
	node->writer = NULL;
	buf_free(&node->writer_error);
}

/* ---- opening and ending -------------------------------------------------------------------------------------------- */

static void past_close(struct sim_node *node)
{
	retain_free(node->retain);
	footers_close(node->footers);
	node->retain = NULL;
	node->footers = NULL;
}

/* As net/main/node.c: when all is recovered, and before anything runs. */
static bool past_open(struct sim_node *node, struct state *const *states, struct buf *error)
{
	if (!node->options.past)
		return true;
	pin_links_sweep(".");
	node->footers = footers_open("footers", node->wal, states, node->shard_count);
	const struct retain_options options = { .age_ms = node->options.retain_age_ms, .bytes = node->options.retain_bytes,
						.archive = node->options.archive ? "archive" : NULL, .data = ".",
						.snapshots = "snapshots" };
	node->retain = retain_new(&options, node->wal, node->footers, error);
	if (!node->retain)
		past_close(node);
	return node->retain != NULL;
}

bool sim_footers_step(struct sim_node *node)
{
	return footers_step(node->footers, &node->tail_stop);
}

bool sim_retain_step(struct sim_node *node)
{
	return retain_step(node->retain, &node->tail_stop);
}

static void shards_free(struct sim_node *node)
{
	disk_freeze(true);
	sim_ids_free(node);
	disk_freeze(false);
	for (unsigned s = 0; s < node->shard_count; s++)
		shard_deinit(&node->shards[s]);
	mem_free(node->shards);
	catalog_free(&node->catalog);
	node->shards = NULL;
}

static void views_build(struct sim_node *node)
{
	for (size_t t = 0; t < node->catalog.tenant_count; t++) {
		struct str name = node->catalog.tenants[t]->name;
		struct catalog_view *view = catalog_view_build(&node->catalog, name);
		for (unsigned s = 0; s < node->shard_count; s++)
			state_tenant(&node->shards[s].state, name)->view = view_ref(view);
		view_unref(view);
	}
}

enum node_outcome sim_node_open(struct sim_node *node, const struct sim_node_options *options, struct buf *error)
{
	*node = (struct sim_node){ .options = *options, .shard_count = options->shards, .broken_lsn = UINT64_MAX };
	node->done_end = &node->done;
	node->env = (struct env){ .context = node, .now_ms = env_now, .log_credit = env_credit,
				  .log_credit_drop = env_credit_drop, .log_begin = env_begin, .log_publish = env_publish, .log_head = env_head,
				  .post = env_post, .wake = env_wake, .done = env_done, .ids_read = env_ids_read, .shards = options->shards };
	node->shards = mem_zalloc(node->shard_count * sizeof *node->shards);
	for (unsigned s = 0; s < node->shard_count; s++) {
		shard_init(&node->shards[s], s, node->shard_count, &node->env, &node->catalog);
		node->shards[s].memory_limit = options->memory / node->shard_count;
	}
	shards_connect(node->shards, node->shard_count);
	struct state *states[SHARDS_MAX];
	for (unsigned s = 0; s < node->shard_count; s++)
		states[s] = &node->shards[s].state;
	node->load = (struct snapshot_load){ .dir = "snapshots", .states = states, .count = node->shard_count, .stepped = true,
					     .catalog = &node->catalog, .log = on_log, .context = node };
	node->options.ids.on &= !options->log_only;
	if (!sim_ids_open(node, states, error)) {
		shards_free(node);
		return NODE_REFUSED;
	}
	if (!options->log_only)
		snapshot_load_begin(&node->load);
	if (options->loaded)
		options->loaded(options->context, &node->load);
	uint64_t filed = node->ids.mover ? mover_handed(node->ids.mover)->below : 0;
	struct wal_options wal = { .dir = "log", .segment_size = options->segment_size, .ring_size = options->ring_size,
				   .producers = options->shards, .direct = options->direct, .stepped = true, .log = on_log,
				   .fatal = on_fatal, .context = node, .known = node->load.known > filed ? node->load.known : filed };
	/* Who dies in here leaves the half-made log behind, as a process would. */
	__lsan_disable();
	bool died = setjmp(node->fatal) != 0;
	if (!died)
		node->wal = wal_open(&wal, node->load.from, on_replay, node, error);
	__lsan_enable();
	if (died) {
		buf_printf(error, "%s", node->fatal_text);
		node->wal = NULL;
		shards_free(node);
		return NODE_DIED;
	}
	if (node->wal && node->broken_lsn != UINT64_MAX) {
		buf_printf(error, "the record at LSN %llu cannot be read although its checksum holds",
			   (unsigned long long)node->broken_lsn);
		wal_drop(node->wal);
		node->wal = NULL;
	}
	if (node->wal && !(snapshot_load_end(&node->load, error) && sim_ids_settle(node, error) && past_open(node, states, error))) {
		wal_drop(node->wal);
		node->wal = NULL;
	}
	if (!node->wal) {
		shards_free(node);
		return NODE_REFUSED;
	}
	node->last_time = wal_last_time(node->wal);
	node->env.log_frame_max = wal_frame_max(node->wal);
	for (unsigned s = 0; s < node->shard_count; s++)
		node->shards[s].appended_lsn = wal_durable(node->wal);
	views_build(node);
	sim_ids_start(node);
	return NODE_GOOD;
}

/* Views on their way to shards that will never take them. */
static void views_drop(struct message *list)
{
	for (; list; list = list->next)
		if (list->kind == MESSAGE_VIEW)
			view_unref(((struct catalog_request *)list->owner)->view);
}

void sim_node_kill(struct sim_node *node)
{
	for (unsigned s = 0; s < node->shard_count; s++) {
		views_drop(node->shards[s].queue);
		views_drop(atomic_load(&node->shards[s].mailbox));
	}
	past_close(node);
	if (node->wal)
		wal_drop(node->wal);
	node->wal = NULL;
	shards_free(node);
	writer_drop(node);
}

enum node_outcome sim_node_close(struct sim_node *node, struct buf *error)
{
	if (setjmp(node->fatal)) {
		buf_printf(error, "%s", node->fatal_text);
		sim_node_kill(node);
		return NODE_DIED;
	}
	ASSERT(!node->writer);
	past_close(node);
	wal_close(node->wal);
	node->wal = NULL;
	shards_free(node);
	buf_free(&node->writer_error);
	return NODE_GOOD;
}

void sim_node_blank(struct sim_node *node)
{
	static const struct sim_node_options none;
	*node = (struct sim_node){ .options = none, .shard_count = 1 };
	node->env = (struct env){ .context = node, .shards = 1 };
	node->shards = mem_zalloc(sizeof *node->shards);
	shard_init(&node->shards[0], 0, 1, &node->env, &node->catalog);
	shards_connect(node->shards, 1);
}

bool sim_node_replay(struct sim_node *node, const struct sim_frame *frame)
{
	struct state *state = &node->shards[0].state;
	const struct wal_frame shown = { .lsn = frame->lsn - WAL_FRAME_HEADER, .size = (uint32_t)(frame->end - frame->lsn) + WAL_FRAME_HEADER,
					 .body_size = frame->size, .kind = WAL_FRAME_RECORDS, .time_ms = frame->time_ms, .body = frame->body };
	return replay_now(&state, 1, &node->catalog, &shown) == UINT64_MAX;
}

/* ---- steps --------------------------------------------------------------------------------------------------------- */

bool sim_shard_step(struct sim_node *node, unsigned shard, unsigned budget)
{
	bool stalled;
	ASSERT(shard < node->shard_count);
	node->awake[shard] = false;
	if (shard_step(&node->shards[shard], budget, &stalled))
		node->awake[shard] = true;
	return node->awake[shard];
}

enum node_outcome sim_log_step(struct sim_node *node, bool idle, bool *wrote)
{
	if (setjmp(node->fatal))
		return NODE_DIED;
	*wrote = wal_step(node->wal, idle);
	return NODE_GOOD;
}

enum node_outcome sim_maker_step(struct sim_node *node, bool *made)
{
	if (setjmp(node->fatal))
		return NODE_DIED;
	*made = wal_maker_step(node->wal);
	return NODE_GOOD;
}

struct message *sim_node_take(struct sim_node *node)
{
	uint64_t durable = wal_durable(node->wal);
	for (struct message **at = &node->done; *at; at = &(*at)->next) {
		struct message *message = *at;
		if (message->wait_lsn > durable)
			continue;
		*at = message->next;
		if (node->done_end == &message->next)
			node->done_end = at;
		return message;
	}
	return NULL;
}

/* ---- the canonical text -------------------------------------------------------------------------------------------- */

static int line_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void dump_tenants(const struct state *state, struct buf *out)
{
	for (unsigned b = 0; b < TENANT_BUCKETS; b++)
		for (const struct tenant *tenant = state->tenants[b]; tenant; tenant = tenant->next)
			for (unsigned g = 0; g < GROUP_COUNT; g++) {
				const struct tenant_slice *slice = tenant->slices[g];
				if (!slice)
					continue;
				buf_lit(out, "tenant ");
				buf_json_text(out, tenant->name);
				buf_printf(out, " group %u events %llu members %llu lsn %llu\n", g,
					   (unsigned long long)slice->event_count, (unsigned long long)slice->member_count,
					   (unsigned long long)slice->last_lsn);
			}
}

void sim_node_dump(const struct sim_node *node, struct buf *out)
{
	struct buf text = { 0 }, lines = { 0 };
	for (unsigned s = 0; s < node->shard_count; s++) {
		state_dump(&node->shards[s].state, &text);
		dump_tenants(&node->shards[s].state, &text);
	}
	sim_ids_dump(node, &text);
	catalog_dump(&node->catalog, &text);
	for (size_t at = 0; at < text.len;) {
		const char *end = memchr(text.ptr + at, '\n', text.len - at);
		ASSERT(end);
		struct str line = { text.ptr + at, (size_t)(end - text.ptr) + 1 - at };
		buf_bytes(&lines, &line, sizeof line);
		at += line.len;
	}
	struct str *list = (struct str *)(void *)lines.ptr;
	size_t count = lines.len / sizeof *list;
	if (count)
		qsort(list, count, sizeof *list, line_order);
	for (size_t i = 0; i < count; i++)
		if (!i || !str_eq(list[i], list[i - 1]))       /* an id in memory and on disk */
			buf_str(out, list[i]);
	buf_char(out, '\0');
	buf_free(&text);
	buf_free(&lines);
}
