// SPDX-License-Identifier: Apache-2.0
/* System A: the multi-brand loyalty engine.  Routes and the reads of customers and configuration; writing is in ingest.c,
 * reading along the log in history.c. */
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "net/surface/app.h"
#include "net/surface/ingest.h"
#include "net/surface/past.h"

static void root_get(struct task *task)
{
	buf_lit(&task->out, "{\"message\":\"Loyalty Engine is running\"}");
	task_json(task, 200);
}

/* ---- customers --------------------------------------------------------------------------------------------------------- */

void customer_json(struct buf *out, struct str brand, struct str profile, struct str status, struct str attributes,
		   struct str tags_json)
{
	buf_lit(out, "\"brand\":");
	buf_json_text(out, brand);
	buf_lit(out, ",\"profileId\":");
	buf_json_text(out, profile);
	buf_lit(out, ",\"status\":");
	buf_json_text(out, status);
	buf_lit(out, ",\"tags\":");
	buf_str(out, tags_json);
	if (attributes.len > 2) {
		buf_char(out, ',');
		buf_bytes(out, attributes.ptr + 1, attributes.len - 2);
	}
}

static bool customer_there(struct task *task)
{
	if (task->query.found)
		return true;
	task_problem(task, 404, "customer_unknown", "customer %.*s does not exist in this brand", (int)task->query.profile.len,
		     task->query.profile.ptr);
	return false;
}

/* Points owed, where there are any: of purchases that were undone after their points had been spent. */
static void debt_json(struct buf *out, const struct query *query)
{
	if (query->debt)
		buf_printf(out, ",\"debt\":%lld", (long long)query->debt);
}

static void customer_answer(struct task *task)
{
	const struct query *query = &task->query;
	if (!customer_there(task))
		return;
	buf_char(&task->out, '{');
	customer_json(&task->out, query->tenant, query->profile, buf_view(&query->status), buf_view(&query->attributes),
		      buf_view(&query->tags_json));
	buf_lit(&task->out, ",\"points\":");
	buf_i64(&task->out, query->points);
	buf_lit(&task->out, ",\"statusPoints\":");
	buf_i64(&task->out, query->status_points);
	buf_lit(&task->out, ",\"lifetimePoints\":");
	buf_i64(&task->out, query->lifetime_points);
	buf_lit(&task->out, ",\"loyaltyStatus\":");
	if (query->tier.len)
		buf_json_text(&task->out, buf_view(&query->tier));
	else
		buf_lit(&task->out, "null");
	debt_json(&task->out, query);
	buf_lit(&task->out, ",\"events\":");
	buf_u64(&task->out, query->event_count);
	buf_lit(&task->out, ",\"created_at\":\"");
	time_write(&task->out, query->created_ms);
	buf_lit(&task->out, "\",\"last_activity_at\":");
	if (query->active_ms) {
		buf_char(&task->out, '"');
		time_write(&task->out, query->active_ms);
		buf_char(&task->out, '"');
	} else {
		buf_lit(&task->out, "null");
	}
	buf_char(&task->out, '}');
	task_json(task, 200);
}

static void wallet_answer(struct task *task)
{
	const struct query *query = &task->query;
	if (!customer_there(task))
		return;
	buf_lit(&task->out, "{\"brand\":");
	buf_json_text(&task->out, query->tenant);
	buf_lit(&task->out, ",\"profileId\":");
	buf_json_text(&task->out, query->profile);
	buf_lit(&task->out, ",\"points\":");
	buf_i64(&task->out, query->points);
	debt_json(&task->out, query);
	buf_char(&task->out, '}');
	task_json(task, 200);
}

static void member_ask(struct task *task, void (*after)(struct task *))
{
	if (!task_brand_path(task, 0))
		return;
	task->query.kind = QUERY_MEMBER;
	task->query.tenant = task->tenant;
	task->query.profile = buf_view(&task->parts[1]);
	unsigned partition = partition_of(hash_name(HASH_MEMBER, task->tenant, task->query.profile));
	task_query(task, shard_of(partition, node_shards(task->app->node)), after);
}

static void customer_get(struct task *task)
{
	member_ask(task, customer_answer);
}

static void wallet_get(struct task *task)
{
	struct moment moment;
	bool past;
	if (!task_parameters_known(task, "at") || !moment_parameter(task, "at", &moment, &past))
		return;
	if (!past)
		member_ask(task, wallet_answer);
	else if (task_brand_path(task, 0))
		wallet_past(task, &moment);
}

const struct route brand_routes[] = {
	{ "GET", "/", root_get, "public", "Health of the engine (A1)", NULL, .command = "server.health" },
	{ "POST", "/transactions", transactions_post, "events.write", "Ingest an event, an array of events, or NDJSON", NULL,
	  .command = "transactions.create", .query = "dry_run customers", .brand_in_body = true },
	{ "GET", "/transactions", transactions_list, "events.read", "List events, newest first", NULL,
	  .command = "transactions.list" },
	{ "GET", "/transactions/{id}", transaction_get, "events.read", "Read an event with its payload", NULL,
	  .command = "transactions.get" },
	{ "GET", "/transactions/{id}/executions", transaction_executions, "events.read", "What each rule did", NULL,
	  .command = "transactions.executions" },
	{ "POST", "/customers/upsert", customer_upsert, "customers.write", "Create or update a customer", NULL,
	  .command = "customers.upsert", .query = "dry_run" },
	{ "GET", "/customers/{brand}/{profile_id}", customer_get, "customers.read", "Read a customer", NULL,
	  .command = "customers.get" },
	{ "GET", "/customers/{brand}/{profile_id}/wallet", wallet_get, "customers.read", "Points of a customer", NULL,
	  .operation = "customers.wallet" },
	{ "GET", "/customers/{brand}/{profile_id}/point-movements", movements_list, "customers.read",
	  "Every change of the balance, newest first", NULL, .command = "customers.movements" },
	{ "GET", "/wallet/{brand}/{profile_id}", wallet_get, "customers.read", "Points of a customer", NULL,
	  .command = "wallets.get" },
	{ "POST", "/imports/customers", import_customers, "customers.write", "Import customers from CSV", NULL,
	  .command = "customers.import", .query = "dry_run" },
	{ "POST", "/imports/events", import_events, "events.write", "Import events from CSV, strictly", NULL,
	  .command = "events.import", .query = "dry_run" },
	{ .method = NULL },
};
