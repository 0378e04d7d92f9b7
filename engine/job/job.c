// SPDX-License-Identifier: Apache-2.0
#include "engine/job/job.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/time.h"

const struct field job_state_fields[] = {
	{ .name = "next_run_at", .type = FIELD_TIME, .flags = READONLY | NULLABLE, .doc = "When it runs by itself; null: it does not." },
	{ .name = "last_run_at", .type = FIELD_TIME, .flags = READONLY | NULLABLE, .doc = "When its last run began." },
	{ .name = "last_status", .type = FIELD_TEXT, .flags = READONLY | NULLABLE,
	  .doc = "How the last run ended: SUCCESS, FAILED (some event could not be made), or RUNNING." },
	{ .name = "last_error", .type = FIELD_TEXT, .flags = READONLY | NULLABLE, .doc = "Why the first event failed, or the run." },
	{ .name = "last_created", .type = FIELD_INT, .flags = READONLY | NULLABLE, .doc = "Events that the last run made." },
	{ .name = "last_existing", .type = FIELD_INT, .flags = READONLY | NULLABLE,
	  .doc = "Events that were there already when it came to them." },
	{ .name = "last_failed", .type = FIELD_INT, .flags = READONLY | NULLABLE, .doc = "Events that could not be made." },
	{ .name = "last_bucket", .type = FIELD_TEXT, .flags = READONLY | NULLABLE,
	  .doc = "Bucket of the last run: what makes its event ids unlike those of others." },
	{ 0 }
};

static bool time_of(yyjson_val *value, int64_t *time_ms)
{
	return yyjson_is_str(value) && time_parse(json_text(value), time_ms);
}

static bool is_running(yyjson_val *state)
{
	return str_eq(json_text(json_get(state, STR("last_status"))), STR("RUNNING"));
}

bool job_read(struct job *job, struct str json)
{
	struct json_error error;
	struct faults faults = { 0 };
	int64_t version;
	bool good = true;
	*job = (struct job){ .doc = json_read(json, &error) };
	if (!job->doc)
		return false;
	yyjson_val *root = yyjson_doc_get_root(job->doc), *schedule = json_get(root, STR("schedule"));
	if (!catalog_id_parse(json_text(json_get(root, STR("id"))), &job->id) || !json_int(json_get(root, STR("version")), &version))
		return false;
	job->version = (uint64_t)version;
	job->key = json_text(json_get(root, STR("job_key")));
	job->event_type = json_text(json_get(root, STR("event_type")));
	job->selector = json_get(root, STR("selector"));
	job->payload_template = json_get(root, STR("payload_template"));
	job->active = yyjson_is_true(json_get(root, STR("active")));
	job->running = is_running(root);
	job->last_bucket = json_text(json_get(root, STR("last_bucket")));
	if (!time_of(json_get(root, STR("last_run_at")), &job->last_run_ms))
		job->last_run_ms = 0;
	if (yyjson_is_obj(schedule)) {
		good = schedule_open(schedule, "/schedule", &job->schedule, &faults);
		job->scheduled = good;
		faults_free(&faults);
	}
	return good;
}

void job_free(struct job *job)
{
	if (job->scheduled)
		schedule_close(&job->schedule);
	yyjson_doc_free(job->doc);
	*job = (struct job){ 0 };
}

void job_bucket(const struct job *job, int64_t now_ms, char out[JOB_BUCKET_MAX])
{
	int64_t start = job->scheduled ? cron_previous(&job->schedule.cron, job->schedule.zone, now_ms) : CRON_NEVER;
	struct civil civil = civil_of(start == CRON_NEVER ? now_ms : start);
	if (start == CRON_NEVER)
		snprintf(out, JOB_BUCKET_MAX, "%04d-%02u-%02u", (int)civil.year % 10000, civil.month % 100, civil.day % 100);
	else
		snprintf(out, JOB_BUCKET_MAX, "%04d%02u%02uT%02u%02u%02uZ", (int)civil.year % 10000, civil.month % 100,
			 civil.day % 100, civil.hour % 100, civil.minute % 100, civil.second % 100);
}

int64_t job_next(const struct job *job, int64_t after_ms)
{
	return job->scheduled && job->active ? cron_next(&job->schedule.cron, job->schedule.zone, after_ms) : CRON_NEVER;
}

/* ---- the kind ----------------------------------------------------------------------------------------------------------- */

static yyjson_val *state_of(const struct document *document)
{
	return document && document->state_doc ? yyjson_doc_get_root(document->state_doc) : NULL;
}

static bool same_json(yyjson_val *a, yyjson_val *b)
{
	struct buf left = { 0 }, right = { 0 };
	if (a)
		json_write(&left, a);
	if (b)
		json_write(&right, b);
	bool same = str_eq(buf_view(&left), buf_view(&right));
	buf_free(&left);
	buf_free(&right);
	return same;
}

/* When it runs by itself next, as the body says or the schedule; what a patch does not touch stays. */
static int64_t next_run(yyjson_val *document, yyjson_val *body, const struct document *before, int64_t now_ms)
{
	struct faults faults = { 0 };
	struct schedule schedule;
	int64_t at, seconds, next = CRON_NEVER;
	yyjson_val *fields = before ? yyjson_doc_get_root(before->doc) : NULL, *value = json_get(document, STR("schedule"));
	if (!yyjson_is_true(json_get(document, STR("active"))))
		return CRON_NEVER;
	if (time_of(json_get(body, STR("first_run_at")), &at))
		return at;
	if (json_is_number(json_get(body, STR("start_in_seconds"))) && json_int(json_get(body, STR("start_in_seconds")), &seconds))
		return now_ms + seconds * 1000;
	if (before && yyjson_is_true(json_get(fields, STR("active"))) && same_json(json_get(fields, STR("schedule")), value))
		return time_of(json_get(state_of(before), STR("next_run_at")), &at) ? at : CRON_NEVER;
	if (yyjson_is_obj(value) && schedule_open(value, "/schedule", &schedule, &faults)) {
		next = cron_next(&schedule.cron, schedule.zone, now_ms);
		schedule_close(&schedule);
	}
	faults_free(&faults);
	return next;
}

void job_derive(yyjson_val *document, yyjson_val *body, const struct document *before, int64_t now_ms, struct buf *out)
{
	int64_t next = next_run(document, body, before, now_ms);
	buf_lit(out, "{\"next_run_at\":");
	if (next == CRON_NEVER)
		buf_lit(out, "null");
	else
		catalog_time_json(out, next);
	for (const struct field *field = job_state_fields + 1; field->name; field++) {
		yyjson_val *value = json_get(state_of(before), str_of(field->name));
		buf_printf(out, ",\"%s\":", field->name);
		if (value)
			json_write(out, value);
		else
			buf_lit(out, "null");
	}
	buf_char(out, '}');
}

int64_t job_due(const struct document *document)
{
	yyjson_val *state = state_of(document);
	int64_t at;
	if (!yyjson_is_true(json_get(yyjson_doc_get_root(document->doc), STR("active"))))
		return INT64_MAX;
	if (is_running(state))
		return INT64_MIN;
	return time_of(json_get(state, STR("next_run_at")), &at) ? at : INT64_MAX;
}
