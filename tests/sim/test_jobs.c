// SPDX-License-Identifier: Apache-2.0
/* test_jobs.c - internal jobs in simulated histories: the server's scheduler on a node whose time, threads and disk are drawn from
 * a seed.  Power cuts, kills, clean stops and another number of shards come at any moment; the clock goes on by milliseconds, or
 * by hours over the end of a life.
 *
 * What must hold is read off the log at the end, after a quiet life in which nothing is due any more:
 *   - every run that was begun has ended, and none was begun before the one before it had
 *   - each began at its time or later (one by hand whenever), in the bucket of the last occurrence, and no bucket came twice by
 *     the schedule: of all that was missed one run remains
 *   - each customer has exactly one event of each bucket that was begun
 *   - nothing that is due is left
 *
 * seeds.h says how to run them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/job/scheduler.h"
#include "tests/sim/node.h"
#include "tests/sim/seeds.h"

enum { SEEDS_DEFAULT = 60, CUSTOMERS = 40, JOBS = 2, BUCKETS_MAX = 400, LIVES = 7, STEPS_MAX = 400000 };
#define START INT64_C(1767225600000)                   /* 2026-01-01T00:00:00Z */
#define BRAND STR("SIM")

static const char *const crons[JOBS] = { "*/2 * * * *", "7 * * * *" };

/* Over all seeds. */
struct counts { uint64_t buckets, runs, resumed, cuts, by_hand; };

struct world {
	uint64_t seed, chance_seed, hash;
	bool trace;
	jmp_buf broken;                /* who breaks a law ends here */
	struct disk *disk;
	struct sim_node node;
	struct scheduler scheduler;
	unsigned pending;              /* set-up requests that are not answered */
	struct catalog_request requests[1 + JOBS];
	yyjson_doc *docs[1 + JOBS];
	struct batch customers;
	/* what the log says at the end */
	struct seen_job {
		uint64_t id;
		struct job job;
		char buckets[BUCKETS_MAX][JOB_BUCKET_MAX];
		uint16_t events[BUCKETS_MAX][CUSTOMERS];
		unsigned count;
		bool running, by_hand;
		int64_t next_ms;
	} jobs[JOBS];
	uint64_t runs, resumed, cuts, by_hand;
};

static uint64_t chance(struct world *world, uint64_t below)
{
	return disk_chance(&world->chance_seed, below);
}

_Noreturn __attribute__((format(printf, 2, 3)))
static void law_broken(struct world *world, const char *format, ...)
{
	va_list arguments;
	fprintf(stderr, "seed %llu: ", (unsigned long long)world->seed);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	longjmp(world->broken, 1);
}

#define LAW(world, holds, ...) ((holds) ? (void)0 : law_broken(world, __VA_ARGS__))

/* ---- one node ------------------------------------------------------------------------------------------------------------ */

static void on_written(void *context, const struct sim_frame *frame)
{
	struct world *world = context;
	world->hash = hash_step(hash_step(world->hash, frame->lsn), hash_bytes(frame->body, frame->size));
}

static void on_ended(void *context, const struct job_run *run)
{
	struct world *world = context;
	world->runs++;
	world->resumed += run->existing > 0;
	if (world->trace)
		fprintf(stderr, "%lld: job %llu bucket %s: %llu created, %llu existing, %s\n", (long long)world->disk->wall_ms,
			      (unsigned long long)run->id, run->bucket, (unsigned long long)run->created,
			      (unsigned long long)run->existing, run->problem.status ? run->problem.detail : "good");
}

static bool open_node(struct world *world, sim_frame_fn *replayed, bool quiet)
{
	static const unsigned shards[] = { 1, 1, 2, 4, 8 };
	struct buf error = { 0 };
	struct sim_node_options options = { .shards = shards[chance(world, 5)], .segment_size = 64 << 10, .ring_size = 64 << 10,
					    .written = on_written, .replayed = replayed, .context = world, .log_only = true,
					    .wall_ms = &world->disk->wall_ms };
	enum node_outcome outcome = sim_node_open(&world->node, &options, &error);
	if (outcome != NODE_GOOD)
		LAW(world, !quiet && world->disk->dead, "it cannot be opened: %.*s", (int)error.len, error.ptr);
	buf_free(&error);
	world->scheduler = (struct scheduler){ .env = &world->node.env, .on = true, .ended = on_ended, .context = world,
					       .sweep_every_ms = 60000 };
	if (world->disk->dead && outcome == NODE_GOOD)
		sim_node_kill(&world->node);
	return outcome == NODE_GOOD && !world->disk->dead;
}

/* The process is gone, with all that it had in memory. */
static void node_lost(struct world *world)
{
	sim_node_kill(&world->node);
	while (world->scheduler.runs) {
		struct job_run *run = world->scheduler.runs;
		world->scheduler.runs = run->next;
		mem_free((char *)(uintptr_t)run->tenant.ptr);
		job_run_free(run);
		mem_free(run);
	}
	if (world->scheduler.sweep) {
		sweep_free(world->scheduler.sweep);
		mem_free(world->scheduler.sweep);
		world->scheduler.sweep = NULL;
	}
	world->scheduler.asking = false;
	scheduler_free(&world->scheduler);
}

static void answer(struct message *message)
{
	switch (message->kind) {
	case MESSAGE_CATALOG: ((struct catalog_request *)message->owner)->answer(message->owner); break;
	case MESSAGE_SCAN: ((struct scan *)message->owner)->after(message->owner); break;
	default: ((struct batch *)message->owner)->after(message->owner); break;
	}
}

/* One step of something.  False: it died. */
static bool step(struct world *world, bool *did)
{
	struct sim_node *node = &world->node;
	unsigned shard = (unsigned)chance(world, node->shard_count), what = (unsigned)chance(world, 8);
	struct message *message;
	bool wrote = false;
	*did = true;
	world->disk->now_ns += 20000;
	if (what < 4 && node->awake[shard]) {
		sim_shard_step(node, shard, 1 + (unsigned)chance(world, 3));
	} else if (what < 6 && wal_appended(node->wal) != wal_durable(node->wal)) {
		if (sim_log_step(node, false, &wrote) != NODE_GOOD)
			return false;
	} else if (what == 6 && sim_maker_step(node, &wrote) != NODE_GOOD) {
		return false;
	} else if ((message = sim_node_take(node))) {
		answer(message);
	} else {
		*did = false;
		for (unsigned s = 0; s < node->shard_count; s++)
			*did |= node->awake[s];
		*did |= wal_appended(node->wal) != wal_durable(node->wal) || node->done != NULL;
	}
	return !world->disk->dead;
}

/* Until nothing is under way.  False: it died. */
static bool settle(struct world *world)
{
	bool did = true;
	for (unsigned steps = 0; did || world->scheduler.runs || world->scheduler.asking || world->scheduler.sweep; steps++) {
		LAW(world, steps < STEPS_MAX, "it does not come to rest");
		if (!step(world, &did))
			return false;
	}
	return true;
}

/* ---- the jobs and whom they are for ---------------------------------------------------------------------------------------- */

static void on_created(struct catalog_request *request)
{
	struct world *world = request->context;
	LAW(world, request->status == CATALOG_OK, "%s", request->problem.detail);
	world->pending--;
}

static void on_customers(struct batch *batch)
{
	struct world *world = batch->context;
	world->pending--;
}

static void create(struct world *world, unsigned index, unsigned kind, const char *body)
{
	struct catalog_request *request = &world->requests[index];
	struct json_error error;
	world->docs[index] = json_read(str_of(body), &error);
	*request = (struct catalog_request){ .verb = CATALOG_CREATE, .kind = kind_by_number(kind), .tenant = BRAND,
					     .body = yyjson_doc_get_root(world->docs[index]), .answer = on_created, .context = world };
	request->message = (struct message){ .kind = MESSAGE_CATALOG, .shard = CATALOG_SHARD, .owner = request };
	world->pending++;
	world->node.env.post(&world->node, CATALOG_SHARD, &request->message);
	LAW(world, settle(world), "it dies without a fault");
}

static void set_up(struct world *world)
{
	char body[300], names[CUSTOMERS][16];
	struct row rows[CUSTOMERS];
	world->scheduler.on = false;
	create(world, 0, KIND_EVENT_TYPE, "{\"key\":\"PING\",\"origin\":\"INTERNAL\",\"name\":\"Ping\"}");
	for (unsigned j = 0; j < JOBS; j++) {
		snprintf(body, sizeof body, "{\"job_key\":\"J%u\",\"event_type\":\"PING\",\"selector\":{\"status_in\":[\"ACTIVE\"]},"
			 "\"schedule\":{\"type\":\"cron\",\"cron\":\"%s\"}}", j, crons[j]);
		create(world, 1 + j, KIND_INTERNAL_JOB, body);
		world->jobs[j].id = 2 + j;
	}
	for (unsigned i = 0; i < CUSTOMERS; i++) {
		snprintf(names[i], sizeof names[i], "c-%u", i);
		rows[i] = (struct row){ .kind = ROW_CUSTOMER, .tenant = BRAND, .profile = str_of(names[i]),
					.payload = json_empty_object(), .payload_text = STR("{}") };
		row_place(&rows[i]);
	}
	world->customers = (struct batch){ .rows = rows, .row_count = CUSTOMERS };
	batch_init(&world->customers, world->node.shard_count);
	world->customers.after = on_customers;
	world->customers.context = world;
	world->pending++;
	batch_start(&world->customers, &world->node.env);
	LAW(world, settle(world) && !world->pending, "it dies without a fault");
	batch_free(&world->customers);
	for (unsigned i = 0; i <= JOBS; i++) {
		yyjson_doc_free(world->docs[i]);
		buf_free(&world->requests[i].json);
		problem_free(&world->requests[i].problem);
	}
	world->scheduler.on = true;
}

static void by_hand_end(struct job_run *run)
{
	struct world *world = run->context;
	world->by_hand += !run->problem.status;
	if (!run->problem.status)
		LAW(world, run->created + run->existing == CUSTOMERS && !run->resumes, "a run by hand does not come to all customers");
	mem_free((char *)(uintptr_t)run->tenant.ptr);
	job_run_free(run);
	mem_free(run);
}

static void run_by_hand(struct world *world)
{
	struct job_run *run = mem_zalloc(sizeof *run);
	run->kind = JOB_MANUAL;
	run->tenant = (struct str){ mem_dup(BRAND.ptr, BRAND.len), BRAND.len };
	run->id = world->jobs[chance(world, JOBS)].id;
	run->context = world;
	run->after = by_hand_end;
	if (scheduler_run(&world->scheduler, run))
		return;
	mem_free((char *)(uintptr_t)run->tenant.ptr);
	mem_free(run);
}

/* ---- a life ---------------------------------------------------------------------------------------------------------------- */

static void live(struct world *world)
{
	unsigned steps = 200 + (unsigned)chance(world, 6000);
	bool did, alive = open_node(world, NULL, false);
	if (!alive) {
		disk_power_cut(world->disk);
		return;
	}
	if (chance(world, 2))
		world->disk->cut_in = 1 + chance(world, 200);
	for (unsigned i = 0; i < steps && alive; i++) {
		if (!chance(world, 20))
			world->disk->wall_ms += (int64_t)chance(world, chance(world, 10) ? 100 : 40000);
		if (!(i && chance(world, 300)))
			run_by_hand(world);            /* also before anything else */
		scheduler_tick(&world->scheduler);
		alive = step(world, &did);
	}
	world->disk->cut_in = 0;
	unsigned end = (unsigned)chance(world, 3);
	if (alive && end == 0) {
		struct buf error = { 0 };
		scheduler_stop(&world->scheduler);
		LAW(world, settle(world) && !scheduler_busy(&world->scheduler), "it does not stop");
		scheduler_free(&world->scheduler);
		LAW(world, sim_node_close(&world->node, &error) == NODE_GOOD, "it cannot be closed");
		buf_free(&error);
	} else {
		node_lost(world);
		world->cuts += !alive || end == 1;
	}
	if (!alive || end == 1)
		disk_power_cut(world->disk);
	else
		disk_process_end(world->disk);
	/* A night, or only a moment. */
	world->disk->wall_ms += (int64_t)chance(world, chance(world, 3) ? 1000 : 20000000);
}

/* ---- what the log says ------------------------------------------------------------------------------------------------------ */

static struct seen_job *job_of(struct world *world, uint64_t id)
{
	for (unsigned j = 0; j < JOBS; j++)
		if (world->jobs[j].id == id)
			return &world->jobs[j];
	return NULL;
}

static int64_t time_at(yyjson_val *state, const char *name)
{
	int64_t ms = CRON_NEVER;
	time_parse(json_text(json_get(state, str_of(name))), &ms);
	return ms;
}

static void see_state(struct world *world, const struct catalog_change *change)
{
	struct seen_job *job = job_of(world, change->id);
	struct json_error error;
	char bucket[JOB_BUCKET_MAX];
	yyjson_doc *doc = json_read(change->state, &error);
	yyjson_val *state = yyjson_doc_get_root(doc);
	struct str status = json_text(json_get(state, STR("last_status")));
	LAW(world, job, "somebody else has a state");
	if (change->op == CATALOG_PUT) {
		struct buf text = { 0 };
		catalog_change_json(&text, change);
		LAW(world, job_read(&job->job, buf_view(&text)), "a job cannot be read");
		buf_free(&text);
	} else if (str_eq(status, STR("RUNNING"))) {
		int64_t began = time_at(state, "last_run_at");
		bool by_hand = time_at(state, "next_run_at") == job->next_ms;  /* that leaves it as it is */
		LAW(world, by_hand || began >= job->next_ms, "job %llu is begun at %lld, before its time %lld",
		    (unsigned long long)job->id, (long long)began, (long long)job->next_ms);
		job_bucket(&job->job, began, bucket);
		struct str said = json_text(json_get(state, STR("last_bucket")));
		LAW(world, str_eq(said, str_of(bucket)), "the bucket at %lld is %.*s, not %s", (long long)began, (int)said.len,
		    said.ptr, bucket);
		/* One by hand may take up the bucket of the run that was cut off. */
		LAW(world, !job->running || str_eq(said, str_of(job->buckets[job->count - 1])),
		    "job %llu is begun before its run has ended", (unsigned long long)job->id);
		int order = job->count ? strcmp(job->buckets[job->count - 1], bucket) : -1;
		LAW(world, order < 0 || (!order && (by_hand || job->by_hand)), "bucket %s comes behind %s", bucket,
		    job->buckets[job->count - 1]);
		LAW(world, by_hand || time_at(state, "next_run_at") == job_next(&job->job, began),
		    "job %llu is to come at another time", (unsigned long long)job->id);
		ASSERT(job->count < BUCKETS_MAX);
		if (order < 0)
			memcpy(job->buckets[job->count++], bucket, sizeof bucket);
		job->by_hand = by_hand;
		job->running = true;
	} else {
		int64_t sum, existing;
		LAW(world, job->running && str_eq(status, STR("SUCCESS")), "job %llu ends as %.*s", (unsigned long long)job->id,
		    (int)status.len, status.ptr);
		LAW(world, json_int(json_get(state, STR("last_created")), &sum) &&
			   json_int(json_get(state, STR("last_existing")), &existing) && sum + existing == CUSTOMERS,
		    "a run of job %llu does not come to all customers", (unsigned long long)job->id);
		job->running = false;
	}
	job->next_ms = time_at(state, "next_run_at");
	yyjson_doc_free(doc);
}

static void see_event(struct world *world, const struct event_view *event)
{
	char id[200];
	for (unsigned j = 0; j < JOBS; j++)
		for (unsigned b = world->jobs[j].count; b-- > 0;)
			for (unsigned c = 0; c < CUSTOMERS; c++) {
				snprintf(id, sizeof id, "job_%llu_%s_SIM_c-%u", (unsigned long long)world->jobs[j].id,
					 world->jobs[j].buckets[b], c);
				if (!str_eq(event->id, str_of(id)))
					continue;
				LAW(world, !world->jobs[j].events[b][c]++, "%s comes twice", id);
				return;
			}
	LAW(world, false, "%.*s is of no run that was begun", (int)event->id.len, event->id.ptr);
}

static void on_replayed(void *context, const struct sim_frame *frame)
{
	struct world *world = context;
	struct record_head head;
	for (uint32_t at = 0; at < frame->size; at += head.size) {
		const unsigned char *record = frame->body + at;
		struct catalog_change change;
		struct event_view event;
		uint64_t len;
		if (!record_head_read(record, frame->size - at, &head))
			break;
		if (head.type == RECORD_CATALOG) {
			memcpy(&len, record + sizeof head, sizeof len);
			bool good = catalog_change_decode(record + sizeof head + sizeof len, len, &change);
			LAW(world, good, "a change cannot be read");
			if (change.state.len)
				see_state(world, &change);
		} else if (event_view_read(record, head.size, &event)) {
			see_event(world, &event);
		}
	}
}

static void history(struct world *world, struct counts *counts);

/* False: a law is broken, and what is left of the history stays behind. */
static bool seed_run(uint64_t seed, bool trace, void *counts, uint64_t *hash)
{
	struct world *world = mem_zalloc(sizeof *world);
	world->seed = seed;
	world->chance_seed = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	world->trace = trace;
	world->disk = disk_new(chance(world, UINT64_MAX));
	world->disk->wall_ms = START;
	disk_mount(world->disk);
	bool good = setjmp(world->broken) == 0;
	if (good)
		history(world, counts);
	*hash = hash_step(world->hash, world->disk->hash);
	disk_unmount();
	if (good) {
		disk_free(world->disk);
		mem_free(world);
	}
	return good;
}

static void history(struct world *world, struct counts *counts)
{
	LAW(world, open_node(world, NULL, true), "it cannot be opened");
	set_up(world);
	node_lost(world);
	disk_process_end(world->disk);
	for (unsigned i = 0; i < LIVES; i++)
		live(world);
	/* A quiet life, until nothing is due any more. */
	LAW(world, open_node(world, NULL, true), "it cannot be opened");
	for (unsigned i = 0; i < 12; i++) {
		scheduler_tick(&world->scheduler);
		LAW(world, settle(world), "it dies without a fault");
		world->disk->wall_ms += 300;
	}
	int64_t end = world->disk->wall_ms;
	node_lost(world);
	disk_process_end(world->disk);
	LAW(world, open_node(world, on_replayed, true), "it cannot be opened");
	for (unsigned j = 0; j < JOBS; j++) {
		const struct seen_job *job = &world->jobs[j];
		LAW(world, !job->running, "a run of job %llu never ends", (unsigned long long)job->id);
		LAW(world, job->next_ms > end - 600, "job %llu was due at %lld, and it is %lld", (unsigned long long)job->id,
		    (long long)job->next_ms, (long long)end);
		for (unsigned b = 0; b < job->count; b++)
			for (unsigned c = 0; c < CUSTOMERS; c++)
				LAW(world, job->events[b][c] == 1, "customer %u has no event of job %llu in %s", c,
				    (unsigned long long)job->id, job->buckets[b]);
		counts->buckets += job->count;
		job_free(&world->jobs[j].job);
	}
	counts->runs += world->runs;
	counts->resumed += world->resumed;
	counts->cuts += world->cuts;
	counts->by_hand += world->by_hand;
	node_lost(world);
}

static const struct seeds seeds_of_jobs = { seed_run, sizeof(struct counts) };

static void histories_of_jobs(void **state)
{
	uint64_t only = seeds_number("SEED", 0), from = seeds_number("FROM", 1), seeds = seeds_number("SEEDS", SEEDS_DEFAULT);
	struct counts counts = { 0 };
	(void)state;
	if (only) {
		assert_true(seeds_only(&seeds_of_jobs, only, &counts));
		return;
	}
	unsigned broken = seeds_run(&seeds_of_jobs, from, seeds, &counts);
	print_message("# %llu seeds from %llu: %llu buckets, %llu runs that ended, %llu that found events, %llu power cuts, %llu by hand\n",
		      (unsigned long long)seeds, (unsigned long long)from, (unsigned long long)counts.buckets, (unsigned long long)counts.runs,
		      (unsigned long long)counts.resumed, (unsigned long long)counts.cuts, (unsigned long long)counts.by_hand);
	assert_int_equal(broken, 0);
	/* The histories are worth something: runs were cut off and went on. */
	if (seeds >= SEEDS_DEFAULT)
		assert_true(counts.buckets > seeds && counts.resumed > seeds / 10 && counts.cuts > seeds && counts.by_hand);
}

/* The same seed is the same history. */
static void same_again(void **state)
{
	struct counts counts = { 0 };
	(void)state;
	if (seeds_number("SEED", 0) || seeds_number("SEEDS", 0))
		return;
	for (uint64_t seed = 900001; seed < 900004; seed++)
		assert_true(seeds_same(&seeds_of_jobs, seed, &counts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histories_of_jobs),
		cmocka_unit_test(same_again),
	};
	cron_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
