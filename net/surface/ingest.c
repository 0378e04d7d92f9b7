// SPDX-License-Identifier: Apache-2.0
/* Writing through surface A.  A row that is wrong is refused by itself, with its index; the others go on.  Rows whose id is
 * known are answered from the log: the record of the first time is read and its content compared. */
#include "net/surface/ingest.h"

#include <strings.h>

#include "engine/base/assert.h"
#include "engine/base/csv.h"
#include "engine/base/mem.h"
#include "engine/member/member.h"
#include "net/loop/metrics.h"
#include "net/surface/row.h"
#include "net/surface/transaction.h"

enum { ANSWER_SINGLE, ANSWER_ARRAY, ANSWER_NDJSON, ANSWER_IMPORT_EVENTS, ANSWER_IMPORT_CUSTOMERS, ANSWER_CUSTOMER };
enum { TEXT_BYTES_MAX = 60000 };

struct ingest_job {
	int answer;
	yyjson_doc **docs;             /* of NDJSON and CSV rows; owned; NULL entries allowed */
	size_t doc_count;
	uint32_t *lines;               /* CSV: line of each row; owned */
	struct buf *firsts;            /* one a row: the record of a KNOWN one, read on a worker thread; owned */
	uint32_t first_count;
	bool dry_run;
};

static void job_free(void *context)
{
	struct ingest_job *job = context;
	for (size_t i = 0; i < job->doc_count; i++)
		if (job->docs[i])
			yyjson_doc_free(job->docs[i]);
	for (uint32_t r = 0; r < job->first_count; r++)
		buf_free(&job->firsts[r]);
	mem_free(job->firsts);
	mem_free(job->docs);
	mem_free(job->lines);
	mem_free(job);
}

static struct ingest_job *job_new(struct task *task, int answer)
{
	struct ingest_job *job = mem_zalloc(sizeof *job);
	job->answer = answer;
	task->context = job;
	task->free_context = job_free;
	return job;
}

static void batch_rows(struct task *task, size_t count)
{
	task->shape = TASK_BATCH;
	task->batch.rows = mem_zalloc((count ? count : 1) * sizeof *task->batch.rows);
	task->batch.row_count = (uint32_t)count;
	batch_init(&task->batch, node_shards(task->app->node));
}

/* One text of a document; `value` is NULL where it is absent.  False after a fault. */
static bool text_value(struct row *row, yyjson_val *value, const char *name, bool required, struct str *out)
{
	if (yyjson_is_str(value) && row_text_usual(json_text(value), out))
		return true;
	enum row_form form = !value ? ROW_FORM_ABSENT : yyjson_is_null(value) ? ROW_FORM_NULL
			     : yyjson_is_str(value) ? ROW_FORM_TEXT : ROW_FORM_OTHER;
	return row_text(row, name, required, form, json_text(value), json_type_name(value), out);
}

enum event_field { EVENT_BRAND, EVENT_PROFILE, EVENT_TYPE, EVENT_ID, EVENT_SOURCE, EVENT_PAYLOAD, EVENT_FIELDS };

/* The members of an EventCreate object, in one pass.  False after a fault: a name that is none of them. */
static bool event_fields(struct row *row, yyjson_val *event, yyjson_val *fields[EVENT_FIELDS])
{
	static const struct str names[EVENT_FIELDS] = {
		{ "brand", 5 }, { "profileId", 9 }, { "eventType", 9 }, { "eventId", 7 }, { "source", 6 }, { "payload", 7 } };
	size_t i, max;
	yyjson_val *key, *value;
	bool good = true;
	yyjson_obj_foreach(event, i, max, key, value) {
		struct str name = json_text(key);
		size_t f = i < EVENT_FIELDS && str_eq(names[i], name) ? i : 0;     /* most clients keep to the order */
		while (f < EVENT_FIELDS && !str_eq(names[f], name))
			f++;
		if (f < EVENT_FIELDS) {
			fields[f] = value;
			continue;
		}
		struct buf pointer = { 0 };
		pointer_push(&pointer, name);
		row_fault(row, pointer_text(&pointer), "%s", "this field is not known here");
		buf_free(&pointer);
		good = false;
	}
	return good;
}

/* An EventCreate document becomes a row.  The payload's text goes behind task->text: as an offset until all rows are made. */
static void event_row(struct task *task, struct row *row, yyjson_val *event)
{
	struct str header = http_request_header(task->request, "x-brand");
	yyjson_val *fields[EVENT_FIELDS] = { NULL }, *payload;
	row->kind = ROW_EVENT;
	if (!yyjson_is_obj(event)) {
		row_fault(row, "", "expected an object, found %s", json_type_name(event));
		return;
	}
	bool good = event_fields(row, event, fields);
	good &= text_value(row, fields[EVENT_BRAND], "brand", true, &row->tenant);
	good &= text_value(row, fields[EVENT_PROFILE], "profileId", true, &row->profile);
	good &= text_value(row, fields[EVENT_TYPE], "eventType", true, &row->type);
	good &= text_value(row, fields[EVENT_ID], "eventId", true, &row->id);
	good &= text_value(row, fields[EVENT_SOURCE], "source", false, &row->source);
	payload = fields[EVENT_PAYLOAD];
	size_t start = task->text.len;
	if (!payload || yyjson_is_null(payload))
		payload = json_empty_object();
	if (!yyjson_is_obj(payload)) {
		row_fault(row, "/payload", "expected an object, found %s", json_type_name(payload));
		good = false;
	} else {
		json_write(&task->text, payload);
	}
	if (!good)
		return;
	row->payload = payload;
	row->payload_text = (struct str){ (const char *)start, task->text.len - start };
	if (header.len && !str_eq(header, row->tenant)) {
		problem_set(row_refuse(row), 400, "brand_mismatch", "the event names brand %.*s, but X-Brand says %.*s",
			    (int)row->tenant.len, row->tenant.ptr, (int)header.len, header.ptr);
		return;
	}
	row_place(row);
}

/* task->text does not move any more: payload offsets become pointers, and the content can be hashed. */
static void rows_settle(struct task *task)
{
	for (uint32_t r = 0; r < task->batch.row_count; r++) {
		struct row *row = &task->batch.rows[r];
		if (row->result != ROW_OPEN || row->kind != ROW_EVENT)
			continue;
		row->payload_text.ptr = task->text.ptr + (uintptr_t)row->payload_text.ptr;
		row_content(row);
	}
}

/* What the engine itself shows of a customer is no attribute: an answer would have the name twice. */
static bool customer_kept(struct row *row, yyjson_val *customer)
{
	static const char *const names[] = { "points", "statusPoints", "lifetimePoints", "loyaltyStatus", "debt", "events", "created_at",
					     "last_activity_at", NULL };
	bool good = true;
	for (size_t i = 0; names[i]; i++) {
		char pointer[32];
		if (!json_get(customer, str_of(names[i])))
			continue;
		snprintf(pointer, sizeof pointer, "/%s", names[i]);
		row_fault(row, pointer, "%s", i ? "the engine keeps this itself" : "points change only through events");
		good = false;
	}
	return good;
}

static void customer_row(struct row *row, yyjson_val *customer, struct str tenant)
{
	yyjson_val *tags, *tag, *brand;
	size_t i, max;
	struct str status;
	bool good = true;
	row->kind = ROW_CUSTOMER;
	if (!yyjson_is_obj(customer)) {
		row_fault(row, "", "expected an object, found %s", json_type_name(customer));
		return;
	}
	row->tenant = tenant;
	brand = json_get(customer, STR("brand"));
	if (brand && !yyjson_is_null(brand)) {
		good &= text_value(row, brand, "brand", true, &row->tenant);
		if (good && tenant.len && !str_eq(tenant, row->tenant)) {
			problem_set(row_refuse(row), 400, "brand_mismatch", "the customer names brand %.*s, but X-Brand says %.*s",
				    (int)row->tenant.len, row->tenant.ptr, (int)tenant.len, tenant.ptr);
			return;
		}
	} else if (!tenant.len) {
		row_fault(row, "/brand", "%s is required", "brand");
		good = false;
	}
	good &= text_value(row, json_get(customer, STR("profileId")), "profileId", true, &row->profile);
	good &= text_value(row, json_get(customer, STR("status")), "status", false, &status);
	if (yyjson_is_str(json_get(customer, STR("status"))) && good && !status.len) {
		row_fault(row, "/status", "%s", "expected 1 to 200 bytes of text");
		good = false;
	}
	tags = json_get(customer, STR("tags"));
	if (tags && !yyjson_is_null(tags)) {
		if (!yyjson_is_arr(tags) || yyjson_arr_size(tags) > MEMBER_TAGS_MAX) {
			row_fault(row, "/tags", "%s", "expected an array of at most 1000 strings");
			good = false;
		} else {
			yyjson_arr_foreach(tags, i, max, tag) {
				if (yyjson_is_str(tag) && task_name_ok(json_text(tag)))
					continue;
				char pointer[32];
				snprintf(pointer, sizeof pointer, "/tags/%zu", i);
				row_fault(row, pointer, "%s", "expected 1 to 200 bytes of text");
				good = false;
			}
		}
	}
	good &= customer_kept(row, customer);
	if (!good)
		return;
	row->payload = customer;
	struct buf text = { 0 };
	json_write(&text, customer);
	row->payload_text = (struct str){ "", text.len };      /* only its length is needed, for the bound */
	if (text.len > TEXT_BYTES_MAX)
		row_fault(row, "", "%s", "a customer is bounded to 60,000 bytes");
	buf_free(&text);
	row_place(row);
}

/* ---- answering -------------------------------------------------------------------------------------------------------- */

static void row_json(struct task *task, uint32_t index, struct buf *out)
{
	const struct ingest_job *job = task->context;
	struct row *row = &task->batch.rows[index];
	struct event_view view;
	if (row->result == ROW_REFUSED) {
		http_problem_json(out, row->problem->status, row->problem->code, &row->problem->faults, row->problem->detail,
				  (int64_t)index);
		return;
	}
	bool good = row_view(&task->batch, row, job->firsts ? &job->firsts[index] : NULL, &view);
	ASSERT(good);
	transaction_json(out, &view, row->lsn, row->result == ROW_KNOWN, false);
}

static void answer_batch(struct task *task, bool ndjson)
{
	if (!ndjson)
		buf_char(&task->out, '[');
	for (uint32_t r = 0; r < task->batch.row_count; r++) {
		if (r && !ndjson)
			buf_char(&task->out, ',');
		row_json(task, r, &task->out);
		if (ndjson)
			buf_char(&task->out, '\n');
	}
	if (!ndjson)
		buf_char(&task->out, ']');
	if (ndjson)
		task_text(task, 200, "application/x-ndjson");
	else
		task_json(task, 200);
}

static void answer_single(struct task *task)
{
	struct row *row = &task->batch.rows[0];
	struct ingest_job *job = task->context;
	if (row->result == ROW_REFUSED) {
		if (row->problem->status == 507)
			buf_lit(&task->headers, "Retry-After: 5\r\n");
		task_faults(task, row->problem);
		return;
	}
	row_json(task, 0, &task->out);
	task_json(task, row->result == ROW_DONE && !job->dry_run ? 201 : 200);
}

static void answer_import(struct task *task, bool events)
{
	const struct ingest_job *job = task->context;
	const struct batch *batch = &task->batch;
	uint32_t done = 0, known = 0, failed = 0;
	for (uint32_t r = 0; r < batch->row_count; r++) {
		done += batch->rows[r].result == ROW_DONE;
		known += batch->rows[r].result == ROW_KNOWN;
		failed += batch->rows[r].result == ROW_REFUSED;
	}
	buf_printf(&task->out, "{\"imported\":%u,", done);
	if (events)
		buf_printf(&task->out, "\"created\":%u,\"idempotentExisting\":%u,", done, known);
	buf_printf(&task->out, "\"failed\":%u,\"errors\":[", failed);
	for (uint32_t r = 0, shown = 0; r < batch->row_count && shown < 1000; r++) {
		const struct row *row = &batch->rows[r];
		if (row->result != ROW_REFUSED)
			continue;
		if (shown++)
			buf_char(&task->out, ',');
		buf_printf(&task->out, "{\"line\":%u,\"code\":", job->lines[r]);
		buf_json_text(&task->out, str_of(row->problem->code));
		buf_lit(&task->out, ",\"detail\":");
		buf_json_text(&task->out, str_of(row->problem->detail));
		if (row->problem->faults.count) {
			buf_lit(&task->out, ",\"errors\":");
			faults_json(&row->problem->faults, &task->out);
		}
		buf_char(&task->out, '}');
	}
	buf_lit(&task->out, "]}");
	task_json(task, events && batch->missing ? 422 : 200);
}

static void answer_customer(struct task *task)
{
	struct row *row = &task->batch.rows[0];
	struct customer_view view;
	if (row->result == ROW_REFUSED) {
		task_faults(task, row->problem);
		return;
	}
	const struct buf *frames = &task->batch.parts[row->record_part].frames;
	bool good = customer_view_read((const unsigned char *)frames->ptr + row->record_offset,
				       frames->len - row->record_offset, &view);
	ASSERT(good);
	struct buf tags = { 0 };
	const unsigned char *at = view.tags;
	buf_char(&tags, '[');
	for (unsigned i = 0; i < view.head.tag_count; i++) {
		if (i)
			buf_char(&tags, ',');
		buf_json_text(&tags, tag_next(&at));
	}
	buf_char(&tags, ']');
	buf_char(&task->out, '{');
	customer_json(&task->out, row->tenant, row->profile, view.status, view.attributes, buf_view(&tags));
	buf_char(&task->out, '}');
	buf_free(&tags);
	const struct ingest_job *job = task->context;
	task_json(task, view.head.prev_member || job->dry_run ? 200 : 201);
}

static void answer(struct task *task)
{
	const struct ingest_job *job = task->context;
	for (uint32_t r = 0; r < task->batch.row_count; r++) {
		const struct row *row = &task->batch.rows[r];
		if (row->kind == ROW_EVENT)
			metric_add_label(METRIC_EVENTS, row->result == ROW_DONE	   ? METRIC_PROCESSED
							: row->result == ROW_KNOWN ? METRIC_REPEATED
										   : METRIC_REFUSED, 1);
	}
	switch (job->answer) {
	case ANSWER_SINGLE: answer_single(task); break;
	case ANSWER_ARRAY: answer_batch(task, false); break;
	case ANSWER_NDJSON: answer_batch(task, true); break;
	case ANSWER_IMPORT_EVENTS: answer_import(task, true); break;
	case ANSWER_IMPORT_CUSTOMERS: answer_import(task, false); break;
	case ANSWER_CUSTOMER: answer_customer(task); break;
	default: ASSERT(!"an answer has a form");
	}
}

/* On a worker thread: reads the first records of the known rows. */
static void firsts_read(struct task *task)
{
	struct ingest_job *job = task->context;
	if (!job->firsts) {
		job->first_count = task->batch.row_count;
		job->firsts = mem_zalloc(job->first_count * sizeof *job->firsts);
	}
	for (uint32_t r = 0; r < task->batch.row_count; r++)
		if (task->batch.rows[r].result == ROW_KNOWN)
			row_first_read(task->app->node, &task->batch.rows[r], &job->firsts[r]);
}

static void batch_after(struct task *task);

static void firsts_after(struct task *task)
{
	struct ingest_job *job = task->context;
	bool again = false;
	for (uint32_t r = 0; r < task->batch.row_count; r++)
		if (task->batch.rows[r].result == ROW_KNOWN)
			again |= row_first(&task->batch.rows[r], &job->firsts[r]);
	if (again)
		task_batch(task, batch_after);
	else
		answer(task);
}

static void batch_after(struct task *task)
{
	bool known = false;
	for (uint32_t r = 0; r < task->batch.row_count && !known; r++)
		known = task->batch.rows[r].result == ROW_KNOWN;
	if (!known) {
		answer(task);
		return;
	}
	/* The first outcome must be durable before it is shown, and it may be of another shard: wait for all there is. */
	task->batch.done.wait_lsn = wal_appended(node_wal(task->app->node));
	if (task->batch.done.wait_lsn > wal_durable(node_wal(task->app->node)) && !task->status) {
		task->status = 1;
		node_env(task->app->node)->done(node_env(task->app->node)->context, &task->batch.done);
		return;
	}
	task_read(task, firsts_read, firsts_after);
}

static void batch_go(struct task *task)
{
	struct ingest_job *job = task->context;
	if (!task_bool_parameter(task, "dry_run", &job->dry_run))
		return;
	task->batch.dry_run = job->dry_run;
	rows_settle(task);
	task_batch(task, batch_after);
}

/* ---- POST /transactions ------------------------------------------------------------------------------------------------ */

static bool media_is(struct str type, const char *name)
{
	size_t len = strlen(name);
	return type.len >= len && !strncasecmp(type.ptr, name, len) &&
	       (type.len == len || type.ptr[len] == ';' || type.ptr[len] == ' ');
}

static bool strict_parameter(struct task *task, bool *strict)
{
	struct buf text = { 0 };
	bool found;
	*strict = task->app->options->customers == CUSTOMERS_STRICT;
	if (!task_parameter(task, "customers", &text, &found))
		return false;
	bool good = !found || str_eq(buf_view(&text), STR("strict")) || str_eq(buf_view(&text), STR("auto"));
	if (found)
		*strict = str_eq(buf_view(&text), STR("strict"));
	buf_free(&text);
	if (!good)
		task_problem(task, 400, "query_invalid", "the query parameter customers must be strict or auto");
	return good;
}

static bool too_many_rows(struct task *task, size_t count)
{
	if (count <= (size_t)task->app->options->rows_max)
		return false;
	task_problem(task, 413, "batch_too_large", "%zu rows; a batch has at most %lld", count,
		     (long long)task->app->options->rows_max);
	return true;
}

static void transactions_ndjson(struct task *task, bool strict)
{
	struct ingest_job *job = job_new(task, ANSWER_NDJSON);
	struct str body = task->request->body;
	size_t count = 0, at = 0;
	for (size_t i = 0, begin = 0; i <= body.len; i++)
		if (i == body.len || body.ptr[i] == '\n') {
			count += i > begin && !(i == begin + 1 && body.ptr[begin] == '\r');
			begin = i + 1;
		}
	if (too_many_rows(task, count))
		return;
	batch_rows(task, count);
	job->docs = mem_zalloc((count ? count : 1) * sizeof *job->docs);
	job->doc_count = count;
	for (size_t r = 0; r < count;) {
		const char *end = memchr(body.ptr + at, '\n', body.len - at);
		struct str line = { body.ptr + at, end ? (size_t)(end - body.ptr) - at : body.len - at };
		struct row *row = &task->batch.rows[r];
		struct json_error error;
		at += line.len + 1;
		if (!line.len || (line.len == 1 && line.ptr[0] == '\r'))
			continue;
		job->docs[r] = json_read(line, &error);
		row->kind = ROW_EVENT;
		if (!job->docs[r])
			problem_set(row_refuse(row), 400, "json_invalid", "the row is not valid JSON: %s", error.detail);
		else
			event_row(task, row, yyjson_doc_get_root(job->docs[r]));
		row->flags = strict ? ROW_STRICT : 0;
		r++;
	}
	batch_go(task);
}

void transactions_post(struct task *task)
{
	struct str type = http_request_header(task->request, "content-type");
	bool strict;
	if (!strict_parameter(task, &strict))
		return;
	if (media_is(type, "application/x-ndjson") || media_is(type, "application/ndjson") ||
	    media_is(type, "application/jsonl")) {
		transactions_ndjson(task, strict);
		return;
	}
	if (!task_body_json(task))
		return;
	yyjson_val *root = yyjson_doc_get_root(task->doc), *item;
	bool array = yyjson_is_arr(root);
	size_t count = array ? yyjson_arr_size(root) : 1, i, max;
	if (!array && !yyjson_is_obj(root)) {
		task_problem(task, 422, "validation_failed", "expected an event or an array of events, found %s",
			     json_type_name(root));
		return;
	}
	if (too_many_rows(task, count))
		return;
	job_new(task, array ? ANSWER_ARRAY : ANSWER_SINGLE);
	batch_rows(task, count);
	if (array) {
		yyjson_arr_foreach(root, i, max, item)
			event_row(task, &task->batch.rows[i], item);
	} else {
		event_row(task, &task->batch.rows[0], root);
	}
	for (size_t r = 0; strict && r < count; r++)
		task->batch.rows[r].flags = ROW_STRICT;
	batch_go(task);
}

/* ---- customers --------------------------------------------------------------------------------------------------------- */

void customer_upsert(struct task *task)
{
	if (!task_brand(task) || !task_body_json(task))
		return;
	job_new(task, ANSWER_CUSTOMER);
	batch_rows(task, 1);
	customer_row(&task->batch.rows[0], yyjson_doc_get_root(task->doc), task->tenant);
	batch_go(task);
}

/* ---- CSV --------------------------------------------------------------------------------------------------------------- */

/* The CSV text of a raw or multipart body; false after answering. */
static bool csv_body(struct task *task, struct str *text)
{
	struct str type = http_request_header(task->request, "content-type");
	*text = task->request->body;
	if (media_is(type, "multipart/form-data")) {
		if (http_multipart_find(type, task->request->body, "file", text))
			return true;
		task_problem(task, 422, "validation_failed", "the multipart body has no part named \"file\"");
		return false;
	}
	if (media_is(type, "text/csv") || media_is(type, "application/csv"))
		return true;
	task_problem(task, 415, "media_type", "text/csv or multipart/form-data with a part \"file\" was expected");
	return false;
}

/* One row of the file becomes a document and a row. */
static void import_row(struct task *task, const struct csv_map *map, const struct csv_row *csv, bool events, size_t r)
{
	struct ingest_job *job = task->context;
	struct row *row = &task->batch.rows[r];
	struct buf json = { 0 };
	struct faults faults = { 0 };
	struct json_error error;
	row->kind = events ? ROW_EVENT : ROW_CUSTOMER;
	row->flags = events ? ROW_STRICT : 0;
	job->lines[r] = (uint32_t)csv->line;
	if (!csv_map_json(map, csv, &json, &faults)) {
		problem_set(row_refuse(row), 422, "validation_failed", "the row is not valid");
		row->problem->faults = faults;
	} else if (!(job->docs[r] = json_read(buf_view(&json), &error))) {
		problem_set(row_refuse(row), 422, "validation_failed", "%s", error.detail);
	} else if (events) {
		event_row(task, row, yyjson_doc_get_root(job->docs[r]));
	} else {
		customer_row(row, yyjson_doc_get_root(job->docs[r]), http_request_header(task->request, "x-brand"));
	}
	if (row->result == ROW_REFUSED && row->problem->faults.count)
		snprintf(row->problem->detail, sizeof row->problem->detail, "%.60s: %.180s",
			 row->problem->faults.list[0].pointer, row->problem->faults.list[0].detail);
	buf_free(&json);
}

/* Reads the whole file into rows. */
static void import_rows(struct task *task, struct csv *csv, struct csv_map *map, bool events, size_t count)
{
	struct ingest_job *job = job_new(task, events ? ANSWER_IMPORT_EVENTS : ANSWER_IMPORT_CUSTOMERS);
	struct csv_row row;
	enum csv_result got;
	size_t r = 0;
	batch_rows(task, count);
	job->docs = mem_zalloc((count + 1) * sizeof *job->docs);
	job->doc_count = count;
	job->lines = mem_zalloc((count + 1) * sizeof *job->lines);
	while (r < count && (got = csv_next(csv, &row)) == CSV_ROW)
		import_row(task, map, &row, events, r++);
	ASSERT(r == count);
}

/* Rows behind the header; SIZE_MAX where the file is malformed: then `detail` says what and where. */
static size_t csv_count(struct str text, char *detail, size_t size)
{
	struct csv *csv = csv_new(CSV_ROW_MAX);
	struct csv_row row;
	enum csv_result got;
	size_t count = 0;
	csv_feed(csv, text, true);
	while ((got = csv_next(csv, &row)) == CSV_ROW)
		count++;
	if (got == CSV_BAD)
		snprintf(detail, size, "line %llu: %s", (unsigned long long)csv_line(csv), csv_error(csv));
	csv_free(csv);
	return got == CSV_BAD ? SIZE_MAX : count ? count - 1 : 0;
}

static void import_start(struct task *task, bool events)
{
	struct str text;
	struct csv_row header;
	struct faults faults = { 0 };
	char detail[300] = "";
	if (!csv_body(task, &text))
		return;
	size_t count = csv_count(text, detail, sizeof detail);
	if (count == SIZE_MAX) {
		task_problem(task, 422, "csv_invalid", "%s", detail);
		return;
	}
	if (count > (size_t)task->app->options->rows_max * 100) {
		task_problem(task, 413, "batch_too_large", "%zu rows; a file has at most %lld", count,
			     (long long)task->app->options->rows_max * 100);
		return;
	}
	struct csv *csv = csv_new(CSV_ROW_MAX);
	csv_feed(csv, text, true);
	if (csv_next(csv, &header) != CSV_ROW) {
		csv_free(csv);
		task_problem(task, 422, "csv_invalid", "the file is empty; a header line was expected");
		return;
	}
	struct csv_map *map = csv_map_new(events ? CSV_EVENTS : CSV_CUSTOMERS, &header, NULL, 0, NULL, 0, &faults);
	if (!map) {
		struct problem problem = { 0 };
		problem_set(&problem, 422, "csv_invalid", "the header line does not fit");
		problem.faults = faults;
		csv_free(csv);
		task_faults(task, &problem);
		problem_free(&problem);
		return;
	}
	import_rows(task, csv, map, events, count);
	csv_map_free(map);
	csv_free(csv);
	task->batch.exists_first = events;
	/* A strict import is all or nothing before it starts: a malformed row counts as a failed check. */
	for (size_t r = 0; events && r < count; r++)
		if (task->batch.rows[r].result == ROW_REFUSED)
			task->batch.missing = true;
	if (task->batch.missing) {
		answer(task);
		return;
	}
	batch_go(task);
}

void import_customers(struct task *task)
{
	import_start(task, false);
}

void import_events(struct task *task)
{
	import_start(task, true);
}
