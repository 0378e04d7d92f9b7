// SPDX-License-Identifier: Apache-2.0
/* ids_swarm.c - the history's part of ids.h: how much of it there is, and what must hold. */
#include "tests/sim/ids.h"
#include "tests/sim/sim_int.h"

enum { ID_BYTES = 24 };

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
	if (!strstr(text, "ids/") || strstr(text, "Input/output error") || strstr(text, "Too many open files") || !sim->swarm.ids.on)
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
