// SPDX-License-Identifier: Apache-2.0
/* reverse.c - undoing an event: POST /transactions/{id}/reverse.
 *
 * A reversal is an event with the id `reverse:<transaction id>`, so that the same one sent twice is done once.  For the policy
 * `left` it has to be known what left the account since the event: the account's history is walked back from its head on a
 * worker thread, outside the shard.  The shard refuses with moved_on where the head is no longer the one that was walked from;
 * then it is walked again, a bounded number of times.
 *
 *     read the event -> [head of the account -> walk ->] decide -> answer
 *                        ^-----------------------moved_on---'
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/event/reverse.h"
#include "net/loop/metrics.h"
#include "net/surface/app.h"
#include "net/surface/ledger_log.h"
#include "net/surface/past.h"
#include "net/surface/row.h"
#include "net/surface/transaction.h"

enum { WALKS_MAX = 16, REASON_MAX = 500 };

struct reverse_job {
	uint64_t lsn;                  /* of the event to undo */
	struct buf record, id, payload;
	struct buf first;              /* the record of the first reversal, where this is a repeat */
	unsigned policy;
	bool dry_run, waited, pruned;  /* pruned: the event's record is gone with its part of the log */
	unsigned walks;
	struct log_spent spent;
	struct row row, before;        /* before: as it was made, to begin again from */
	struct batch batch;
	bool started;                  /* batch is */
};

static void job_free(void *context)
{
	struct reverse_job *job = context;
	if (job->started)
		batch_free(&job->batch);
	buf_free(&job->record);
	buf_free(&job->id);
	buf_free(&job->payload);
	buf_free(&job->first);
	mem_free(job);
}

static void not_found(struct task *task)
{
	task_problem(task, 404, "not_found", "there is no such transaction in this brand");
}

/* ---- deciding ------------------------------------------------------------------------------------------------------------- */

static void batch_after(struct batch *batch);
static void head_ask(struct task *task);

static void decide(struct task *task)
{
	struct reverse_job *job = task->context;
	if (job->started) {
		batch_reuse(&job->batch);
	} else {
		job->batch.rows = &job->row;
		batch_init(&job->batch, node_shards(task->app->node));
		job->started = true;
	}
	job->row = job->before;
	job->row.spent = job->spent.spent;
	job->row.head_lsn = job->spent.head;
	job->batch.row_count = 1;
	job->batch.dry_run = job->dry_run;
	job->batch.after = batch_after;
	job->batch.context = task;
	batch_start(&job->batch, node_env(task->app->node));
}

static void answer(struct task *task)
{
	struct reverse_job *job = task->context;
	struct event_view view;
	if (job->row.result == ROW_REFUSED) {
		if (job->row.problem->status == 507)
			buf_lit(&task->headers, "Retry-After: 5\r\n");
		task_faults(task, job->row.problem);
		return;
	}
	bool good = row_view(&job->batch, &job->row, &job->first, &view);
	ASSERT(good);
	metric_add_label(METRIC_EVENTS, job->row.result == ROW_DONE ? METRIC_PROCESSED : METRIC_REPEATED, 1);
	transaction_json(&task->out, &view, job->row.lsn, job->row.result == ROW_KNOWN, true);
	task_json(task, job->row.result == ROW_DONE && !job->dry_run ? 201 : 200);
}

static void first_read(struct task *task)
{
	struct reverse_job *job = task->context;
	record_read(node_wal(task->app->node), job->row.lsn, &job->first);
}

static void first_after(struct task *task)
{
	struct reverse_job *job = task->context;
	if (row_first(&job->row, &job->first)) {
		job->before.ignored_lsn = job->row.ignored_lsn;
		decide(task);
	} else {
		answer(task);
	}
}

static void batch_after(struct batch *batch)
{
	struct task *task = batch->context;
	struct reverse_job *job = task->context;
	struct wal *wal = node_wal(task->app->node);
	if (job->row.result == ROW_REFUSED && str_eq(str_of(job->row.problem->code), STR("moved_on")) && job->walks < WALKS_MAX) {
		head_ask(task);
		return;
	}
	if (job->row.result != ROW_KNOWN) {
		answer(task);
		return;
	}
	/* The first outcome must be durable before it is shown, and it may be of another shard: wait for all there is. */
	if (!job->waited && wal_appended(wal) > wal_durable(wal)) {
		job->waited = true;
		batch->done.wait_lsn = wal_appended(wal);
		node_env(task->app->node)->done(node_env(task->app->node)->context, &batch->done);
		return;
	}
	task_read(task, first_read, first_after);
}

/* ---- what was spent since -------------------------------------------------------------------------------------------------- */

static void spent_read(struct task *task)
{
	struct reverse_job *job = task->context;
	log_spent_run(&job->spent);
}

static void spent_after(struct task *task)
{
	struct reverse_job *job = task->context;
	switch (job->spent.outcome) {
	case LOG_DONE: decide(task); return;
	case LOG_TOO_LONG:
		task_problem(task, 422, "query_too_broad",
			     "the account moved more than %d times since; use the policy zero or debt", LOG_WALK_MAX);
		return;
	case LOG_UNREADABLE:
		task_problem(task, 500, "log_unreadable", "the record at LSN %llu cannot be read; the server's log says why",
			     (unsigned long long)job->spent.lsn);
		return;
	case LOG_PRUNED:
	case LOG_BUSY:                 /* only of the past of tenant accounts */
	case LOG_ABSENT: break;
	}
	struct buf text = { 0 };
	history_pruned_text(&text, node_wal(task->app->node), "what the account did since");
	task_problem(task, 410, "history_pruned", "%.*s; use the policy zero or debt", (int)text.len, text.ptr);
	buf_free(&text);
}

static void head_after(struct task *task)
{
	struct reverse_job *job = task->context;
	struct wal *wal = node_wal(task->app->node);
	const struct query *query = &task->query;
	/* The head may be in another shard's frame, of a transfer between two members. */
	if (!job->waited && query->account_lsn && wal_appended(wal) > wal_durable(wal)) {
		job->waited = true;
		task->query.message.wait_lsn = wal_appended(wal);
		node_env(task->app->node)->done(node_env(task->app->node)->context, &task->query.message);
		return;
	}
	job->waited = false;
	job->spent = (struct log_spent){ .wal = wal, .number = query->account_number, .head = query->account_lsn,
					 .event = job->lsn };
	task_read(task, spent_read, spent_after);
}

static void head_ask(struct task *task)
{
	struct reverse_job *job = task->context;
	job->walks++;
	job->waited = false;
	query_free(&task->query);
	task->query = (struct query){ .kind = QUERY_MEMBER, .tenant = task->tenant, .profile = job->before.profile };
	task_query(task, shard_of(job->before.member_partition, node_shards(task->app->node)), head_after);
}

/* ---- the event ------------------------------------------------------------------------------------------------------------- */

static void event_read(struct task *task)
{
	struct reverse_job *job = task->context;
	const struct wal *wal = node_wal(task->app->node);
	job->pruned = !record_read(wal, job->lsn, &job->record) && job->lsn < wal_first(wal);
}

static void event_after(struct task *task)
{
	struct reverse_job *job = task->context;
	struct event_view event;
	if (job->pruned) {                             /* the id tells that it was given out here */
		past_answerable(task, PAST_PRUNED);
		return;
	}
	if (job->record.len == RECORD_UNREADABLE) {
		task_problem(task, 500, "log_unreadable", "the record at LSN %llu cannot be read; the server's log says why",
			     (unsigned long long)job->lsn);
		return;
	}
	if (!event_view_read((const unsigned char *)job->record.ptr, job->record.len, &event) ||
	    !str_eq(event.tenant, task->tenant) || event.head.id_hash != hash_name(HASH_EVENT_ID, event.tenant, event.id)) {
		not_found(task);
		return;
	}
	if (event.head.flags & EVENT_REVERSAL) {
		task_problem(task, 409, "not_reversible", "this is a reversal itself; it cannot be undone");
		return;
	}
	struct row *row = &job->before;
	*row = (struct row){ .kind = ROW_REVERSE, .tenant = task->tenant, .profile = event.profile, .type = event.type,
			     .source = event.source, .id = buf_view(&job->id), .payload_text = buf_view(&job->payload),
			     .original = buf_view(&job->record), .original_lsn = job->lsn, .policy = job->policy };
	row_place(row);
	row->id_hash = hash_name(HASH_EVENT_ID, row->tenant, row->id);
	row->id_partition = partition_of(row->id_hash);
	row_content(row);
	if (job->policy == REVERSE_LEFT)
		head_ask(task);
	else
		decide(task);
}

/* ---- the request ------------------------------------------------------------------------------------------------------------ */

static bool refuse_field(struct task *task, const char *pointer, const char *detail)
{
	struct problem problem = { 0 };
	problem_set(&problem, 422, "validation_failed", "the document does not have the expected shape");
	faults_add(&problem.faults, pointer, "%s", detail);
	task_faults(task, &problem);
	problem_free(&problem);
	return false;
}

static bool policy_of(struct str name, unsigned *policy)
{
	for (*policy = 0; *policy < REVERSE_POLICIES; (*policy)++)
		if (str_eq(name, str_of(reverse_policy_names[*policy])))
			return true;
	return false;
}

/* {"policy": …, "reason": …}, both optional; no body is an empty one. */
static bool body_read(struct task *task, struct reverse_job *job, struct str *reason)
{
	size_t i, max;
	yyjson_val *key, *value;
	if (!task->request->body.len)
		return true;
	if (!task_body_json(task))
		return false;
	yyjson_val *root = yyjson_doc_get_root(task->doc);
	if (!yyjson_is_obj(root))
		return refuse_field(task, "", "expected an object");
	yyjson_obj_foreach(root, i, max, key, value) {
		if (str_eq(json_text(key), STR("policy"))) {
			if (!yyjson_is_str(value) || !policy_of(json_text(value), &job->policy))
				return refuse_field(task, "/policy", "expected left, zero or debt");
		} else if (str_eq(json_text(key), STR("reason"))) {
			*reason = json_text(value);
			if (!yyjson_is_null(value) && (!yyjson_is_str(value) || reason->len > REASON_MAX))
				return refuse_field(task, "/reason", "expected a text of at most 500 bytes");
		} else {
			struct buf pointer = { 0 };
			pointer_push(&pointer, json_text(key));
			refuse_field(task, pointer_text(&pointer), "this field is not known here; expected policy or reason");
			buf_free(&pointer);
			return false;
		}
	}
	return true;
}

static void reverse_post(struct task *task)
{
	struct reverse_job *job = mem_zalloc(sizeof *job);
	struct str id = buf_view(&task->parts[0]), reason = { "", 0 };
	task->context = job;
	task->free_context = job_free;
	if (!task_brand(task) || !task_parameters_known(task, "dry_run") || !task_bool_parameter(task, "dry_run", &job->dry_run) ||
	    !body_read(task, job, &reason))
		return;
	if (!transaction_id_parse(id, task->tenant, &job->lsn)) {
		not_found(task);
		return;
	}
	reversal_id(&job->id, id);
	buf_lit(&job->payload, "{\"reverses\":\"");
	buf_str(&job->payload, id);
	buf_printf(&job->payload, "\",\"policy\":\"%s\"", reverse_policy_names[job->policy]);
	if (reason.len) {
		buf_lit(&job->payload, ",\"reason\":");
		buf_json_text(&job->payload, reason);
	}
	buf_char(&job->payload, '}');
	task_read(task, event_read, event_after);
}

const struct route reverse_routes[] = {
	{ "POST", "/transactions/{id}/reverse", reverse_post, "events.reverse", "Undo an event: a return, a mistake",
	  .command = "transactions.reverse", .query = "dry_run" },
	{ .method = NULL },
};
