// SPDX-License-Identifier: Apache-2.0
/* System A: previews and runs of internal jobs.  The machine is engine/job; here it meets threads, log lines and HTTP. */
#include "net/surface/jobs.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/job/scheduler.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/surface/transaction.h"

enum { PREVIEW_DEFAULT = 50 };

/* ---- events whose id is known: the log says whether it is the same id ------------------------------------------------------ */

struct known_work {
	uv_work_t work;
	struct app *app;
	struct job_run *run;
	bool again;
};

/* On a worker thread, which has the run to itself meanwhile. */
static void known_read(uv_work_t *work)
{
	struct known_work *known = work->data;
	struct buf record = { 0 };
	struct event_view first;
	for (uint32_t r = 0; r < known->run->batch.row_count; r++) {
		struct row *row = &known->run->batch.rows[r];
		if (row->result != ROW_KNOWN || !record_read(node_wal(known->app->node), row->lsn, &record) ||
		    !event_view_read((const unsigned char *)record.ptr, record.len, &first) ||
		    (str_eq(first.id, row->id) && str_eq(first.tenant, row->tenant)))
			continue;
		row->ignored_lsn = row->lsn;   /* two ids with one hash: it is a new one after all */
		row->result = ROW_OPEN;
		row->lsn = 0;
		known->again = true;
	}
	buf_free(&record);
}

static void known_after(uv_work_t *work, int status)
{
	struct known_work *known = work->data;
	ASSERT(status == 0);
	job_run_known(known->run, known->again);
	mem_free(known);
}

static void on_known(struct job_run *run)
{
	struct app *app = run->scheduler->context;
	struct wal *wal = node_wal(app->node);
	/* The first outcome may be of another shard, and not durable yet: wait for all there is. */
	if (!run->waited) {
		run->waited = true;
		run->batch.done.wait_lsn = wal_appended(wal);
		node_env(app->node)->done(node_env(app->node)->context, &run->batch.done);
		return;
	}
	run->waited = false;
	struct known_work *known = mem_zalloc(sizeof *known);
	*known = (struct known_work){ .app = app, .run = run };
	known->work.data = known;
	int error = uv_queue_work(app->loop, &known->work, known_read, known_after);
	ASSERT(!error);
}

/* ---- the scheduler --------------------------------------------------------------------------------------------------------- */

static void on_ended(void *context, const struct job_run *run)
{
	static const char *const kinds_text[] = { "preview", "asked for", "scheduled" };
	(void)context;
	if (run->kind == JOB_PREVIEW || run->dry_run)
		return;
	bool failed = run->problem.status || run->failed;
	if (!run->stop)
		metric_add_label(METRIC_JOB_RUNS, failed ? METRIC_JOB_FAILED : METRIC_JOB_SUCCEEDED, 1);
	metric_add_label(METRIC_EVENTS, METRIC_PROCESSED, (int64_t)run->created);
	metric_add_label(METRIC_EVENTS, METRIC_REPEATED, (int64_t)run->existing);
	metric_add_label(METRIC_EVENTS, METRIC_REFUSED, (int64_t)run->failed);
	if (run->problem.status && !run->bucket[0])
		return;                        /* refused as such: the answer says so */
	log_line(failed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "job",
		 "job %llu of %.*s, %s, bucket %s: %llu customers, %llu events created, %llu were there, %llu failed%s%s",
		 (unsigned long long)run->id, (int)run->tenant.len, run->tenant.ptr, kinds_text[run->kind], run->bucket,
		 (unsigned long long)run->targets, (unsigned long long)run->created, (unsigned long long)run->existing,
		 (unsigned long long)run->failed, failed ? ": " : "",
		 run->problem.status ? run->problem.detail : run->failed ? run->error : "");
}

static void on_swept(void *context, const struct sweep *sweep)
{
	(void)context;
	metric_add(METRIC_REWARDS_EXPIRED, (int64_t)sweep->expired);
	if (sweep->expired || sweep->problem.status)
		log_line(sweep->problem.status ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "expiry", "%llu rewards of %llu customers expired%s%s",
			 (unsigned long long)sweep->expired, (unsigned long long)sweep->members,
			 sweep->problem.status ? "; " : "", sweep->problem.status ? sweep->problem.detail : "");
}

void jobs_start(struct app *app, bool on)
{
	app->scheduler = mem_zalloc(sizeof *app->scheduler);
	*app->scheduler = (struct scheduler){ .env = node_env(app->node), .on = on, .ended = on_ended, .known = on_known,
					      .sweep_every_ms = app->options->expiry_interval * 1000, .swept = on_swept,
					      .context = app };
	if (!on)
		log_line(LOG_LEVEL_INFO, "scheduler", "off: jobs run only when they are asked to");
}

void jobs_tick(struct app *app)
{
	scheduler_tick(app->scheduler);
}

void jobs_stop(struct app *app)
{
	scheduler_stop(app->scheduler);
}

bool jobs_busy(const struct app *app)
{
	return scheduler_busy(app->scheduler);
}

void jobs_free(struct app *app)
{
	scheduler_free(app->scheduler);
	mem_free(app->scheduler);
}

/* ---- routes ---------------------------------------------------------------------------------------------------------------- */

static void run_free(void *context)
{
	job_run_free(context);
	mem_free(context);
}

static void run_answer(struct job_run *run)
{
	struct task *task = run->context;
	struct buf *out = &task->out;
	struct str bucket = str_of(run->bucket), date = bucket;
	char day[16];
	if (run->problem.status) {
		task_faults(task, &run->problem);
		return;
	}
	if (bucket.len > 10) {
		snprintf(day, sizeof day, "%.4s-%.2s-%.2s", bucket.ptr, bucket.ptr + 4, bucket.ptr + 6);
		date = str_of(day);
	}
	buf_printf(out, "{\"jobId\":\"%llu\",\"jobKey\":", (unsigned long long)run->id);
	buf_json_text(out, run->job.key);
	buf_lit(out, ",\"brand\":");
	buf_json_text(out, run->tenant);
	buf_lit(out, ",\"eventType\":");
	buf_json_text(out, run->job.event_type);
	buf_lit(out, ",\"bucket\":");
	buf_json_text(out, bucket);
	buf_lit(out, ",\"date\":");
	buf_json_text(out, date);
	buf_printf(out, ",\"targetCustomers\":%llu", (unsigned long long)run->targets);
	if (run->kind == JOB_PREVIEW) {
		buf_printf(out, ",\"limit\":%zu,\"offset\":%zu,\"payload\":", run->limit, run->offset);
		buf_str(out, buf_view(&run->payload));
		buf_lit(out, ",\"items\":[");
		buf_str(out, buf_view(&run->items));
		buf_lit(out, "]}");
	} else {
		buf_printf(out, ",\"created\":%llu,\"idempotentExisting\":%llu,\"failed\":%llu,\"error\":",
			   (unsigned long long)run->created, (unsigned long long)run->existing, (unsigned long long)run->failed);
		if (run->error[0])
			buf_json_text(out, str_of(run->error));
		else
			buf_lit(out, "null");
		buf_str(out, run->dry_run ? STR(",\"dryRun\":true}") : STR(",\"dryRun\":false}"));
	}
	task_json(task, 200);
}

static void run_task(struct task *task, struct job_run *run)
{
	struct str id = buf_view(&task->parts[0]);
	task->context = run;
	task->free_context = run_free;
	if (!catalog_id_parse(id, &run->id)) {
		task_problem(task, 404, "not_found", "no internal job with id %.*s in this brand", text_cut(id, 60), id.ptr);
		return;
	}
	run->tenant = task->tenant;
	run->context = task;
	run->after = run_answer;
	run->known = on_known;
	if (!scheduler_run(task->app->scheduler, run))
		task_problem(task, 409, "job_running", "job %llu is running already", (unsigned long long)run->id);
}

static void job_preview(struct task *task)
{
	size_t limit, offset;
	if (!task_brand(task) || !task_parameters_known(task, "limit offset") ||
	    !task_page(task, &limit, &offset, PREVIEW_DEFAULT, LIST_MAX))
		return;
	struct job_run *run = mem_zalloc(sizeof *run);
	run->kind = JOB_PREVIEW;
	run->limit = limit;
	run->offset = offset;
	run_task(task, run);
}

static void job_run_now(struct task *task)
{
	bool dry_run = false;
	if (!task_brand(task) || !task_parameters_known(task, "dry_run") || !task_bool_parameter(task, "dry_run", &dry_run))
		return;
	struct job_run *run = mem_zalloc(sizeof *run);
	run->kind = JOB_MANUAL;
	run->dry_run = dry_run;
	run_task(task, run);
}

static void sweep_end(void *context)
{
	sweep_free(context);
	mem_free(context);
}

static void sweep_answer(struct sweep *sweep)
{
	struct task *task = sweep->context;
	if (!sweep->dry_run)
		metric_add(METRIC_REWARDS_EXPIRED, (int64_t)sweep->expired);
	if (sweep->problem.status) {
		task_faults(task, &sweep->problem);
		return;
	}
	buf_printf(&task->out, "{\"expired\":%llu}", (unsigned long long)sweep->expired);
	task_json(task, 200);
}

static void rewards_expire(struct task *task)
{
	bool dry_run = false;
	if (!task_brand(task) || !task_parameters_known(task, "dry_run") || !task_bool_parameter(task, "dry_run", &dry_run))
		return;
	struct sweep *sweep = mem_zalloc(sizeof *sweep);
	sweep->tenant = task->tenant;
	sweep->dry_run = dry_run;
	sweep->context = task;
	sweep->after = sweep_answer;
	task->context = sweep;
	task->free_context = sweep_end;
	sweep_start(sweep, node_env(task->app->node));
}

const struct route job_routes[] = {
	{ "POST", "/admin/internal-jobs/{id}/preview", job_preview, "internal_jobs.read",
	  "Whom an internal job would choose, and which events it would emit", NULL, .command = "internal_jobs.preview",
	  .query = "limit offset" },
	{ "POST", "/admin/internal-jobs/{id}/run", job_run_now, "internal_jobs.run", "Run an internal job now", NULL,
	  .command = "internal_jobs.run", .query = "dry_run" },
	{ "POST", "/admin/rewards/expire", rewards_expire, "rewards.expire", "Expire the brand's rewards that are past their end", NULL,
	  .command = "rewards.expire", .query = "dry_run" },
	{ .method = NULL },
};
