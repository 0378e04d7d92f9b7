// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ids.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tests/sim/sim_int.h"

enum { ID_BYTES = 24 };

/* ---- in the node ------------------------------------------------------------------------------------------------------ */

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

/* ---- in the history --------------------------------------------------------------------------------------------------- */

void ids_swarm_draw(struct sim *sim)
{
	static const unsigned often[] = { 2, 6, 30 };
	struct ids_swarm *swarm = &sim->swarm.ids;
	*swarm = (struct ids_swarm){
		.on = sim_chance(sim, 2), .memory = ID_BYTES * (UINT64_C(4) << sim_chance(sim, 6)), .run_ids = 4 + sim_chance(sim, 200),
		.step_ids = 1 + sim_chance(sim, 60), .step_bytes = UINT64_C(400) << sim_chance(sim, 8),
		.window = sim_chance(sim, 2) ? 0 : UINT64_C(64) << sim_chance(sim, 8), .one_in = often[sim_chance(sim, 3)],
		.target = sim_chance(sim, 3) ? 0 : 1 + (unsigned)sim_chance(sim, 15),
	};
}

void ids_retention_draw(struct sim *sim)
{
	static const int64_t times[] = { 1, 300, 2000, 9000, 60000, 86400000 };
	if (!sim->past.swarm.on || sim_chance(sim, 2))
		return;
	sim->swarm.ids.on = true;
	sim->swarm.ids.retention_ms = times[sim_chance(sim, sizeof times / sizeof *times)];
	if (!sim_chance(sim, 3))
		return;
	/* Much goes, so that much can be forgotten. */
	sim->past.swarm.bytes = 1 + sim_chance(sim, 20000);
	sim->past.swarm.footers_one_in = sim->past.swarm.retain_one_in = 20;
	sim->past.swarm.hold_one_in = 0;
	sim->swarm.snapshot_one_in = 60 + (unsigned)sim_chance(sim, 100);
	sim->swarm.snapshot_keep = 1;
	sim->swarm.ops_a_life += 200;
}

struct sim_ids_options ids_options(struct sim *sim)
{
	const struct ids_swarm *swarm = &sim->swarm.ids;
	return (struct sim_ids_options){
		.on = swarm->on, .memory = sim_chance(sim, 5) ? swarm->memory : 0, .run_ids = swarm->run_ids,
		.step_ids = swarm->step_ids, .step_bytes = swarm->step_bytes,
		.window = swarm->window, .target = swarm->target, .retention_ms = swarm->retention_ms,
	};
}

/* Whether all that was decided below an LSN is as old as ids must be to be forgotten, by a clock that shows `now_ms`. */
static bool old_enough(const struct sim *sim, uint64_t lsn, int64_t now_ms)
{
	bool old = true;
	for (size_t i = 0; i < sim->oracle->frame_count && sim->oracle->frames[i].lsn < lsn; i++)
		old = sim->oracle->frames[i].time_ms <= now_ms - sim->swarm.ids.retention_ms;
	return old;
}

/* What the node has forgotten of late: only what is old enough, and never what the log still has; and it stays so. */
static void forgotten_check(struct sim *sim, int64_t now_ms)
{
	struct oracle *oracle = sim->oracle;
	uint64_t forgotten = sim_ids_forgotten(&sim->node);
	if (!sim->node.ids.store || forgotten == oracle->forgotten)
		return;
	LAW(oracle, "L4", forgotten > oracle->forgotten || sim->ids_emptied, "ids below LSN %llu were forgotten, and now it is those below %llu",
	    LLU(oracle->forgotten), LLU(forgotten));
	LAW(oracle, "L4", forgotten <= wal_first(sim->node.wal), "ids below LSN %llu are forgotten, and the log has all from %llu on",
	    LLU(forgotten), LLU(wal_first(sim->node.wal)));
	LAW(oracle, "L4", !forgotten || (sim->swarm.ids.retention_ms && old_enough(sim, forgotten, now_ms)), "ids below LSN %llu are forgotten "
	    "before their time, %lld ms", LLU(forgotten), (long long)sim->swarm.ids.retention_ms);
	if (forgotten > oracle->forgotten)
		oracle->forgotten = forgotten;
	sim->result->forgets++;
}

void ids_opened(struct sim *sim)
{
	forgotten_check(sim, sim->ids_latest_ms);      /* a manifest whose write was called failed may be there */
}

/* The disk has done something to a file of ids that is still there, or to the log that runs are made from. */
static bool harmed(const struct sim *sim)
{
	return disk_wounded(sim->disk, FOLDER_IDS) || sim->disk->damage_count || sim->buried;
}

static void reader_step(struct sim *sim)
{
	unsigned unread = sim->node.ids.unread;
	uint64_t refused = sim->disk->reads_refused;
	sim_reader_step(&sim->node);
	if (sim->node.ids.unread == unread)
		return;
	bool wounded = disk_wounded(sim->disk, FOLDER_IDS);
	LAW(sim->oracle, "L6", wounded || sim->disk->reads_refused > refused, "ids cannot be looked up, and nothing is wrong");
	sim->result->ids_unread++;
}

static enum mover_next mover_one(struct sim *sim)
{
	struct sim_ids *ids = &sim->node.ids;
	uint64_t below = runs_manifest(ids->store)->below;
	uint32_t count = runs_manifest(ids->store)->count;
	enum mover_next next = sim_mover_step(&sim->node);
	const struct runs_manifest *now = runs_manifest(ids->store);
	if (sim->disk->wall_ms > sim->ids_latest_ms)
		sim->ids_latest_ms = sim->disk->wall_ms;
	if (!sim->disk->dead)
		forgotten_check(sim, sim->disk->wall_ms);
	LAW(sim->oracle, "L1", now->below <= wal_durable(sim->node.wal) || sim->disk->dead, "ids up to LSN %llu are in runs, and %llu is durable",
	    LLU(now->below), LLU(wal_durable(sim->node.wal)));
	sim->result->id_runs += now->below > below && now->count > count;
	sim->result->id_merges += now->count < count;
	LAW(sim->oracle, "L7", !ids->complained || sim->disk->ids_failed || harmed(sim) || sim->disk->dead,
	    "ids are not moved to disk, and nothing is wrong");
	LAW(sim->oracle, "L6", !ids->damage || harmed(sim), "the mover of ids finds damage, and nothing is wrong");
	if (ids->complained)
		sim->disk->ids_failed = false;
	ids->complained = ids->damage = false;
	return next;
}

bool ids_step(struct sim *sim)
{
	struct sim_ids *ids = &sim->node.ids;
	if (!ids->mover)
		return false;
	if (ids->queries && sim_chance(sim, 3) == 0) {
		sim->disk->now_ns += 2000;
		reader_step(sim);
		return true;
	}
	/* Once a minute it looks for what can be forgotten. */
	if (sim->swarm.ids.retention_ms && sim_chance(sim, 300) == 0)
		sim->disk->now_ns += 61000 * (uint64_t)MS;
	if (ids->waits || sim_chance(sim, sim->swarm.ids.one_in))
		return false;
	return mover_one(sim) != MOVER_RESTS;
}

bool ids_busy(const struct sim *sim)
{
	const struct sim_ids *ids = &sim->node.ids;
	return ids->mover && (ids->queries || !ids->rests);
}

/* An operator removes the folder: the ids are taken from the log again, if that is whole. */
static void folder_empty(struct sim *sim)
{
	disk_clear(sim->disk, FOLDER_IDS);
	sim->ids_emptied = true;
	sim->result->ids_remade++;
}

bool ids_lost(struct sim *sim, const char *text)
{
	if (!strstr(text, "bring DATA/ids back"))
		return false;
	LAW(sim->oracle, "L10", sim->ids_emptied && sim->past.swarm.on, "ids are called gone, and nobody removed them: %s", text);
	sim->result->refused++;
	return true;
}

bool ids_refused(struct sim *sim, const char *text)
{
	if (!strstr(text, "ids/") || strstr(text, "Input/output error") || !sim->swarm.ids.on)
		return false;
	if (strstr(text, "No space left")) {
		sim->disk->faults.capacity = 0;
		return true;
	}
	LAW(sim->oracle, "L6", disk_wounded(sim->disk, FOLDER_IDS), "ids on disk are refused, and nothing happened to them: %s", text);
	folder_empty(sim);
	return true;
}

/* `tally check`, as far as it looks at ids. */
static void check(struct sim *sim)
{
	struct buf error = { 0 };
	char name[RUN_NAME];
	unsigned wounded = disk_wounded(sim->disk, FOLDER_IDS);
	struct runs_store *store = runs_open("ids", false, &error);
	struct runs *runs = store ? runs_hold(store) : NULL;
	bool good = runs && runs_verify(runs, &error);
	LAW(sim->oracle, "L6", good || (wounded && strstr(error.ptr, "ids/")), "ids on disk are called damaged: %s", error.ptr);
	for (unsigned r = 0; good && r < runs->count; r++) {
		run_name(name, runs->runs[r]->info.serial);
		LAW(sim->oracle, "L6", !disk_is_wounded(sim->disk, FOLDER_IDS, name), "ids/%s is damaged, and checked as whole", name);
	}
	runs_release(runs);
	runs_close(store);
	buf_free(&error);
	disk_process_end(sim->disk);
	if (!good)
		folder_empty(sim);
}

void ids_before_start(struct sim *sim, bool quiet)
{
	if (!sim->swarm.ids.on)
		return;
	struct disk_faults faults = sim->disk->faults;
	sim->disk->faults = (struct disk_faults){ 0 };
	if (disk_wounded(sim->disk, FOLDER_IDS) && (quiet || sim_chance(sim, 2)))
		check(sim);
	else if (sim_chance(sim, 60) == 0)
		folder_empty(sim);
	sim->disk->faults = faults;
}

void ids_at_rest(struct sim *sim)
{
	struct sim_node *node = &sim->node;
	struct disk_faults faults = sim->disk->faults;
	uint64_t total = 0;
	if (!node->ids.mover)
		return;
	sim->disk->faults = (struct disk_faults){ .no_direct = faults.no_direct, .no_direct_write = faults.no_direct_write };
	sim->disk->cut_in = 0;
	bool excused = harmed(sim);
	for (unsigned rests = 0, steps = 0; rests < 3; steps++) {
		LAW(sim->oracle, "L8", steps < 1000000, "moving ids does not come to its end");
		if (mover_one(sim) == MOVER_RESTS)
			rests++;
		sim->disk->now_ns += (rests ? 61000 : 0) * (uint64_t)MS;
		for (unsigned s = 0; s < sim->shards; s++)
			if (node->awake[s])
				sim_shard_step(node, s, 4);
	}
	for (unsigned s = 0; s < sim->shards; s++)
		total += node->shards[s].state.ids.total;
	LAW(sim->oracle, "L8", excused || !node->options.ids.memory || total <= node->options.ids.memory / ID_BYTES,
	    "%llu ids stay in memory, the bound is %llu bytes", LLU(total), LLU(node->options.ids.memory));
	const struct runs_manifest *manifest = runs_manifest(node->ids.store);
	uint64_t most = wal_first(node->wal) < manifest->below ? wal_first(node->wal) : manifest->below;
	LAW(sim->oracle, "L8", excused || !sim->swarm.ids.retention_ms || manifest->forgotten >= most ||
	    !old_enough(sim, manifest->below, sim->disk->wall_ms), "ids below LSN %llu are older than %lld ms, and of those only the ones below "
	    "%llu are forgotten", LLU(most), (long long)sim->swarm.ids.retention_ms, LLU(manifest->forgotten));
	sim->disk->faults = faults;
}
