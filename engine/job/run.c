// SPDX-License-Identifier: Apache-2.0
#include "engine/job/run.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/shard/shard.h"

enum { TRIES_MAX = 8 };

static void scan_on(struct job_run *run);

static void finish(struct job_run *run)
{
	run->after(run);
}

static void stopped(struct job_run *run)
{
	problem_set(&run->problem, 503, "stopping", "the server is stopping; what is missing of job %llu is made after its next start",
		    (unsigned long long)run->id);
	finish(run);
}

/* ---- asking the catalog --------------------------------------------------------------------------------------------------- */

static void ask(struct job_run *run, enum catalog_verb verb, yyjson_val *body, uint64_t at_version,
		void (*after)(struct catalog_request *))
{
	struct catalog_request *request = &run->catalog;
	problem_free(&request->problem);
	buf_free(&request->json);
	*request = (struct catalog_request){ .verb = verb, .kind = kind_by_number(KIND_INTERNAL_JOB), .tenant = run->tenant,
					     .id = run->id, .body = body, .at_version = at_version, .answer = after,
					     .context = run };
	request->message = (struct message){ .kind = MESSAGE_CATALOG, .shard = CATALOG_SHARD, .owner = request };
	run->env->post(run->env->context, CATALOG_SHARD, &request->message);
}

static void remember(struct job_run *run, struct buf *text, uint64_t at_version, void (*after)(struct catalog_request *))
{
	struct json_error error;
	yyjson_doc_free(run->patch);
	run->patch = json_read(buf_view(text), &error);
	ASSERT(run->patch);
	buf_free(text);
	ask(run, CATALOG_REMEMBER, yyjson_doc_get_root(run->patch), at_version, after);
}

static void on_read(struct catalog_request *request);

/* The run that was cut off is through; now the one that was asked for. */
static void begin_anew(struct job_run *run)
{
	job_free(&run->job);
	rule_free(run->selector);
	run->selector = NULL;
	yyjson_doc_free(run->payload_doc);
	run->payload_doc = NULL;
	run->payload.len = 0;
	run->scan.partition = 0;
	run->scan.hash = 0;
	run->targets = run->created = run->existing = run->failed = 0;
	run->error[0] = '\0';
	run->begun = run->resumes = false;
	ask(run, CATALOG_GET, NULL, 0, on_read);
}

static void on_ended(struct catalog_request *request)
{
	struct job_run *run = request->context;
	/* A job that was deleted meanwhile remembers nothing. */
	if (request->status != CATALOG_OK && request->status != CATALOG_NOT_FOUND)
		problem_set(&run->problem, request->problem.status, request->problem.code, "%s", request->problem.detail);
	if (run->resumes && !run->problem.status)
		begin_anew(run);
	else
		finish(run);
}

/* It cannot run as it stands: that is remembered, or it would be due for ever. */
static void give_up(struct job_run *run)
{
	struct buf text = { 0 };
	ASSERT(run->problem.status);
	if (run->kind == JOB_PREVIEW || run->dry_run || (run->kind == JOB_MANUAL && !run->begun)) {
		finish(run);
		return;
	}
	buf_lit(&text, "{\"last_status\":\"FAILED\",\"last_error\":");
	buf_json_text(&text, str_of(run->problem.detail));
	buf_str(&text, run->begun ? STR("}") : STR(",\"next_run_at\":null}"));
	remember(run, &text, 0, on_ended);
}

static void outcome(struct job_run *run)
{
	struct buf text = { 0 };
	if (run->kind == JOB_PREVIEW || run->dry_run) {
		finish(run);
		return;
	}
	buf_printf(&text, "{\"last_status\":\"%s\",\"last_error\":", run->failed ? "FAILED" : "SUCCESS");
	if (run->error[0])
		buf_json_text(&text, str_of(run->error));
	else
		buf_lit(&text, "null");
	buf_printf(&text, ",\"last_created\":%llu,\"last_existing\":%llu,\"last_failed\":%llu}", (unsigned long long)run->created,
		   (unsigned long long)run->existing, (unsigned long long)run->failed);
	remember(run, &text, 0, on_ended);
}

/* ---- events --------------------------------------------------------------------------------------------------------------- */

static void rows_count(struct job_run *run)
{
	for (uint32_t r = 0; r < run->batch.row_count; r++) {
		const struct row *row = &run->batch.rows[r];
		run->created += row->result == ROW_DONE;
		run->existing += row->result == ROW_KNOWN;
		run->failed += row->result == ROW_REFUSED;
		if (row->result == ROW_REFUSED && !run->error[0])
			snprintf(run->error, sizeof run->error, "%.*s: %.100s%s%.60s", text_cut(row->profile, 60), row->profile.ptr,
				 row->problem->detail, row->problem->faults.count ? ": " : "",
				 row->problem->faults.count ? row->problem->faults.list[0].detail : "");
	}
	if (run->error[0])
		run->error[text_cut(str_of(run->error), sizeof run->error - 4)] = '\0';
}

static void batch_through(struct job_run *run)
{
	rows_count(run);
	scan_on(run);
}

static void on_batch(struct batch *batch)
{
	struct job_run *run = batch->context;
	bool known = false;
	for (uint32_t r = 0; r < batch->row_count && !known; r++)
		known = batch->rows[r].result == ROW_KNOWN;
	if (known && run->known)
		run->known(run);
	else
		batch_through(run);
}

void job_run_known(struct job_run *run, bool again)
{
	if (again)
		batch_start(&run->batch, run->env);
	else
		batch_through(run);
}

static void id_write(struct job_run *run, struct buf *out, struct str profile)
{
	buf_printf(out, "job_%llu_%s_", (unsigned long long)run->id, run->bucket);
	buf_str(out, run->tenant);
	buf_char(out, '_');
	buf_str(out, profile);
}

/* The events of the members that the scan found. */
static void events_start(struct job_run *run)
{
	struct batch *batch = &run->batch;
	size_t at = 0, before;
	if (run->batch_made)
		batch_reuse(batch);
	else
		batch_init(batch, run->env->shards);
	run->batch_made = true;
	if (run->scan.count > run->row_cap) {
		run->row_cap = run->scan.count * 2;
		mem_free(batch->rows);
		batch->rows = mem_alloc(run->row_cap * sizeof *batch->rows);
	}
	memset(batch->rows, 0, run->scan.count * sizeof *batch->rows);
	batch->row_count = run->scan.count;
	batch->dry_run = run->dry_run;
	batch->context = run;
	batch->after = on_batch;
	run->ids.len = 0;
	for (uint32_t r = 0; r < batch->row_count; r++) {
		struct row *row = &batch->rows[r];
		*row = (struct row){ .kind = ROW_EVENT, .flags = ROW_INTERNAL, .tenant = run->tenant,
				     .type = run->job.event_type, .source = STR("INTERNAL_JOB"),
				     .payload = yyjson_doc_get_root(run->payload_doc), .payload_text = buf_view(&run->payload) };
		row->profile = scan_next(&run->scan, &at).profile;
		before = run->ids.len;
		id_write(run, &run->ids, row->profile);
		row->id.len = run->ids.len - before;
	}
	at = 0;
	for (uint32_t r = 0; r < batch->row_count; r++) {
		struct row *row = &batch->rows[r];
		row->id.ptr = run->ids.ptr + at;       /* the texts do not move any more */
		at += row->id.len;
		row_place(row);
		row_content(row);
	}
	batch_start(batch, run->env);
}

static void items_add(struct job_run *run)
{
	struct buf id = { 0 };
	size_t at = 0;
	for (uint32_t i = 0; i < run->scan.count; i++) {
		struct str profile = scan_next(&run->scan, &at).profile;
		uint64_t index = run->targets + i;
		if (index < run->offset || index - run->offset >= run->limit)
			continue;
		id.len = 0;
		id_write(run, &id, profile);
		buf_str(&run->items, run->items.len ? STR(",{\"profileId\":") : STR("{\"profileId\":"));
		buf_json_text(&run->items, profile);
		buf_lit(&run->items, ",\"eventId\":");
		buf_json_text(&run->items, buf_view(&id));
		buf_char(&run->items, '}');
	}
	buf_free(&id);
}

/* ---- members -------------------------------------------------------------------------------------------------------------- */

static void on_scanned(struct scan *scan)
{
	struct job_run *run = scan->context;
	if (run->kind == JOB_PREVIEW)
		items_add(run);
	run->targets += scan->count;
	if (run->stop)
		stopped(run);
	else if (scan->count && run->kind != JOB_PREVIEW)
		events_start(run);
	else
		scan_on(run);
}

static void scan_on(struct job_run *run)
{
	if (run->stop)
		stopped(run);
	else if (run->scan.partition == PARTITION_COUNT)
		outcome(run);
	else
		scan_post(&run->scan, run->env);
}

/* ---- the job -------------------------------------------------------------------------------------------------------------- */

/* The template with what names the run behind it. */
static void payload_write(struct job_run *run)
{
	struct buf *out = &run->payload;
	struct json_error error;
	size_t i, max;
	yyjson_val *key, *value;
	buf_char(out, '{');
	yyjson_obj_foreach(run->job.payload_template, i, max, key, value) {
		struct str name = json_text(key);
		if (str_eq(name, STR("jobId")) || str_eq(name, STR("jobKey")) || str_eq(name, STR("bucket")))
			continue;
		buf_json_text(out, name);
		buf_char(out, ':');
		json_write(out, value);
		buf_char(out, ',');
	}
	buf_printf(out, "\"jobId\":\"%llu\",\"jobKey\":", (unsigned long long)run->id);
	buf_json_text(out, run->job.key);
	buf_printf(out, ",\"bucket\":\"%s\"}", run->bucket);
	run->payload_doc = json_read(buf_view(out), &error);
}

/* What the document says becomes what the run needs; false with a problem. */
static bool prepare(struct job_run *run)
{
	struct faults faults = { 0 };
	struct job *job = &run->job;
	run->selector = selector_compile(job->selector, "/selector", &faults);
	if (!run->selector)
		problem_set(&run->problem, 422, "invalid", "the selector of this job is not understood by this version: %s",
			    faults.count ? faults.list[0].detail : "it cannot be compiled");
	faults_free(&faults);
	payload_write(run);
	if (!run->payload_doc)
		problem_set(&run->problem, 422, "invalid", "the payload template of this job is nested too deep");
	run->scan.what = SCAN_SELECTED;
	run->scan.tenant = run->tenant;
	run->scan.selection = (struct selection){
		.rule = run->selector, .now_ms = run->started_ms,
		.zone_ms = job->scheduled ? cron_zone_offset(job->schedule.zone, run->started_ms) : 0
	};
	run->scan.context = run;
	run->scan.after = on_scanned;
	return !run->problem.status;
}

static void on_begun(struct catalog_request *request)
{
	struct job_run *run = request->context;
	if (request->status == CATALOG_CONFLICT && ++run->tries < TRIES_MAX) {
		job_free(&run->job);           /* changed meanwhile: begin with what it says now */
		ask(run, CATALOG_GET, NULL, 0, on_read);
		return;
	}
	if (request->status == CATALOG_CONFLICT)
		problem_set(&run->problem, 409, "job_running", "job %llu changes all the time", (unsigned long long)run->id);
	else if (request->status != CATALOG_OK)
		problem_set(&run->problem, request->problem.status, request->problem.code, "%s", request->problem.detail);
	if (run->problem.status) {
		finish(run);
		return;
	}
	run->begun = true;
	if (prepare(run))
		scan_on(run);
	else
		give_up(run);
}

/* The run is in the log before its first event, with when it comes next: a restart then misses nothing and repeats nothing. */
static void begin(struct job_run *run)
{
	struct buf text = { 0 };
	buf_lit(&text, "{\"last_run_at\":");
	catalog_time_json(&text, run->started_ms);
	buf_printf(&text, ",\"last_status\":\"RUNNING\",\"last_error\":null,\"last_created\":null,\"last_existing\":null,"
		   "\"last_failed\":null,\"last_bucket\":\"%s\"", run->bucket);
	if (run->kind == JOB_SCHEDULED) {
		int64_t next = job_next(&run->job, run->started_ms);
		buf_lit(&text, ",\"next_run_at\":");
		if (next == CRON_NEVER)
			buf_lit(&text, "null");
		else
			catalog_time_json(&text, next);
	}
	buf_char(&text, '}');
	remember(run, &text, run->kind == JOB_SCHEDULED ? run->job.version : 0, on_begun);
}

static bool still_due(const struct job_run *run)
{
	yyjson_val *next = json_get(yyjson_doc_get_root(run->job.doc), STR("next_run_at"));
	int64_t at;
	return run->job.active && yyjson_is_str(next) && time_parse(json_text(next), &at) && at <= run->started_ms;
}

/* A run of this job was cut off, and is not what would be run now anyway. */
static bool cut_off(const struct job_run *run)
{
	char bucket[JOB_BUCKET_MAX];
	if (!run->job.active || !run->job.running || run->job.last_bucket.len >= JOB_BUCKET_MAX || run->dry_run)
		return false;
	if (run->kind != JOB_MANUAL)
		return run->kind == JOB_SCHEDULED;
	job_bucket(&run->job, run->started_ms, bucket);
	return !str_eq(run->job.last_bucket, str_of(bucket));
}

static void on_read(struct catalog_request *request)
{
	struct job_run *run = request->context;
	if (request->status != CATALOG_OK) {
		problem_set(&run->problem, request->problem.status, request->problem.code, "%s", request->problem.detail);
		finish(run);
		return;
	}
	if (!job_read(&run->job, buf_view(&request->json))) {
		problem_set(&run->problem, 422, "invalid", "the schedule of this job is not understood by this version");
		give_up(run);
		return;
	}
	run->started_ms = run->env->now_ms(run->env->context);
	if (cut_off(run)) {
		/* The same bucket again, as of the same time. */
		run->resumes = run->kind == JOB_MANUAL;
		run->started_ms = run->job.last_run_ms;
		memcpy(run->bucket, run->job.last_bucket.ptr, run->job.last_bucket.len);
		run->bucket[run->job.last_bucket.len] = '\0';
		run->begun = true;
		if (prepare(run))
			scan_on(run);
		else
			give_up(run);
		return;
	}
	if (run->kind == JOB_SCHEDULED && !still_due(run)) {
		run->idle = true;
		finish(run);
		return;
	}
	if (run->kind == JOB_MANUAL && !run->job.active) {
		problem_set(&run->problem, 400, "job_inactive", "job %llu is not active", (unsigned long long)run->id);
		finish(run);
		return;
	}
	job_bucket(&run->job, run->started_ms, run->bucket);
	if (run->kind != JOB_PREVIEW && !run->dry_run)
		begin(run);
	else if (prepare(run))
		scan_on(run);
	else
		finish(run);
}

void job_run_start(struct job_run *run, const struct env *env)
{
	run->env = env;
	ask(run, CATALOG_GET, NULL, 0, on_read);
}

void job_run_free(struct job_run *run)
{
	if (run->batch_made)
		batch_free(&run->batch);
	mem_free(run->batch.rows);
	if (run->selector)
		rule_free(run->selector);
	yyjson_doc_free(run->payload_doc);
	yyjson_doc_free(run->patch);
	problem_free(&run->catalog.problem);
	buf_free(&run->catalog.json);
	problem_free(&run->problem);
	buf_free(&run->scan.found);
	buf_free(&run->ids);
	buf_free(&run->items);
	buf_free(&run->payload);
	job_free(&run->job);
}
