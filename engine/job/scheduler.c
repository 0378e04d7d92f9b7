// SPDX-License-Identifier: Apache-2.0
#include "engine/job/scheduler.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/shard/shard.h"

static bool under_way(const struct scheduler *scheduler, struct str tenant, uint64_t id)
{
	for (const struct job_run *run = scheduler->runs; run; run = run->next)
		if (run->id == id && str_eq(run->tenant, tenant) && run->kind != JOB_PREVIEW)
			return true;
	return false;
}

static void on_run(struct job_run *run)
{
	struct scheduler *scheduler = run->scheduler;
	struct job_run **at = &scheduler->runs;
	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	if (run->problem.status && run->kind == JOB_SCHEDULED)
		scheduler->ask_ms = scheduler->env->now_ms(scheduler->env->context) + SCHEDULER_PAUSE_MS;
	if (scheduler->ended && !run->idle)
		scheduler->ended(scheduler->context, run);
	run->through(run);
}

static void start(struct scheduler *scheduler, struct job_run *run)
{
	run->scheduler = scheduler;
	run->through = run->after;
	run->after = on_run;
	run->next = scheduler->runs;
	run->stop = scheduler->stopping;
	scheduler->runs = run;
	job_run_start(run, scheduler->env);
}

bool scheduler_run(struct scheduler *scheduler, struct job_run *run)
{
	if (run->kind != JOB_PREVIEW && under_way(scheduler, run->tenant, run->id))
		return false;
	start(scheduler, run);
	return true;
}

static void own_end(struct job_run *run)
{
	run->scheduler->own--;
	mem_free((char *)(uintptr_t)run->tenant.ptr);
	job_run_free(run);
	mem_free(run);
}

static void on_due(struct catalog_request *request)
{
	struct scheduler *scheduler = request->context;
	const char *at = request->json.ptr;
	scheduler->asking = false;
	for (size_t i = 0; i < request->total; i++) {
		uint64_t id;
		uint16_t len;
		memcpy(&id, at, sizeof id);
		memcpy(&len, at + sizeof id, sizeof len);
		struct str tenant = { at + sizeof id + sizeof len, len };
		at = tenant.ptr + len;
		if (scheduler->stopping || scheduler->own == SCHEDULER_RUNS_MAX || under_way(scheduler, tenant, id))
			continue;
		struct job_run *run = mem_zalloc(sizeof *run);
		run->kind = JOB_SCHEDULED;
		run->tenant = (struct str){ mem_dup(tenant.ptr, len), len };
		run->id = id;
		run->after = own_end;
		run->known = scheduler->known;
		run->context = scheduler->context;
		scheduler->own++;
		start(scheduler, run);
	}
	request->json.len = 0;
}

static void on_swept(struct sweep *sweep)
{
	struct scheduler *scheduler = sweep->context;
	if (scheduler->swept)
		scheduler->swept(scheduler->context, sweep);
	sweep_free(sweep);
	mem_free(sweep);
	scheduler->sweep = NULL;
}

static void sweep_tick(struct scheduler *scheduler, int64_t now_ms)
{
	if (!scheduler->sweep_every_ms || scheduler->sweep)
		return;
	if (scheduler->sweep_ms && now_ms >= scheduler->sweep_ms) {
		scheduler->sweep = mem_zalloc(sizeof *scheduler->sweep);
		scheduler->sweep->context = scheduler;
		scheduler->sweep->after = on_swept;
		sweep_start(scheduler->sweep, scheduler->env);
	} else if (scheduler->sweep_ms) {
		return;
	}
	scheduler->sweep_ms = now_ms + scheduler->sweep_every_ms;
}

void scheduler_tick(struct scheduler *scheduler)
{
	int64_t now_ms = scheduler->env->now_ms(scheduler->env->context);
	struct catalog_request *request = &scheduler->request;
	if (scheduler->on && !scheduler->stopping)
		sweep_tick(scheduler, now_ms);
	if (!scheduler->on || scheduler->stopping || scheduler->asking || now_ms < scheduler->ask_ms)
		return;
	scheduler->asking = true;
	scheduler->ask_ms = now_ms + SCHEDULER_ASK_MS;
	*request = (struct catalog_request){ .verb = CATALOG_DUE, .context = scheduler, .answer = on_due, .json = request->json };
	request->message = (struct message){ .kind = MESSAGE_CATALOG, .shard = CATALOG_SHARD, .owner = request };
	scheduler->env->post(scheduler->env->context, CATALOG_SHARD, &request->message);
}

bool scheduler_busy(const struct scheduler *scheduler)
{
	return scheduler->asking || scheduler->runs || scheduler->sweep;
}

void scheduler_stop(struct scheduler *scheduler)
{
	scheduler->stopping = true;
	for (struct job_run *run = scheduler->runs; run; run = run->next)
		run->stop = true;
	if (scheduler->sweep)
		scheduler->sweep->stop = true;
}

void scheduler_free(struct scheduler *scheduler)
{
	ASSERT(!scheduler_busy(scheduler));
	buf_free(&scheduler->request.json);
}
