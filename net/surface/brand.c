// SPDX-License-Identifier: Apache-2.0
/* System A: the multi-brand loyalty engine.  Routes and the reads of customers and configuration; writing is in ingest.c,
 * reading along the log in history.c. */
#include <stdlib.h>

#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "net/surface/app.h"
#include "net/surface/ingest.h"

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
	buf_lit(&task->out, ",\"loyaltyStatus\":null,\"events\":");
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
	member_ask(task, wallet_answer);
}

/* ---- configuration: the same four handlers for every kind ---------------------------------------------------------------- */

static void catalog_answer(struct task *task)
{
	struct catalog_request *request = &task->catalog;
	if (request->status != CATALOG_OK) {
		task_faults(task, &request->problem);
		return;
	}
	switch (request->verb) {
	case CATALOG_LIST: buf_printf(&task->headers, "X-Total-Count: %zu\r\n", request->total); break;
	case CATALOG_REMOVE: buf_lit(&task->out, "{\"deleted\":true}"); break;
	case CATALOG_CREATE:
	case CATALOG_PATCH:
	case CATALOG_GET: break;
	}
	buf_str(&task->out, buf_view(&request->json));
	task_json(task, request->verb == CATALOG_CREATE && !request->dry_run ? 201 : 200);
}

static bool catalog_task(struct task *task, enum catalog_verb verb)
{
	if (!task_brand(task))
		return false;
	bool with_body = verb == CATALOG_CREATE || verb == CATALOG_PATCH, dry_run = false;
	if (with_body && !task_body_json(task))
		return false;
	if (!task_bool_parameter(task, "dry_run", &dry_run))
		return false;
	uint64_t id = 0;
	bool with_id = verb != CATALOG_CREATE && verb != CATALOG_LIST;
	if (with_id && !catalog_id_parse(buf_view(&task->parts[0]), &id)) {
		task_problem(task, 404, "not_found", "no %s with id %.*s in this brand", task->route->kind->title,
			     (int)task->parts[0].len, task->parts[0].ptr);
		return false;
	}
	task->shape = TASK_CATALOG;
	task->catalog.verb = verb;
	task->catalog.kind = task->route->kind;
	task->catalog.tenant = task->tenant;
	task->catalog.id = id;
	task->catalog.dry_run = dry_run;
	task->catalog.body = with_body ? yyjson_doc_get_root(task->doc) : NULL;
	return true;
}

static void resource_create(struct task *task)
{
	if (catalog_task(task, CATALOG_CREATE))
		task_catalog(task, catalog_answer);
}

static void resource_get(struct task *task)
{
	if (catalog_task(task, CATALOG_GET))
		task_catalog(task, catalog_answer);
}

static void resource_patch(struct task *task)
{
	if (catalog_task(task, CATALOG_PATCH))
		task_catalog(task, catalog_answer);
}

static void resource_delete(struct task *task)
{
	if (catalog_task(task, CATALOG_REMOVE))
		task_catalog(task, catalog_answer);
}

/* Every field that can be compared may be a filter: ?active=true&origin=EXTERNAL.  Texts live in task->text. */
static bool list_filters(struct task *task)
{
	struct catalog_request *request = &task->catalog;
	size_t starts[8], lens[8];
	struct buf words = { 0 };
	buf_lit(&words, "limit offset");
	for (const struct field *field = request->kind->fields; field->name; field++)
		buf_printf(&words, " %s", field->name);
	buf_char(&words, '\0');
	bool known = task_parameters_known(task, words.ptr);
	buf_free(&words);
	if (!known)
		return false;
	for (const struct field *field = request->kind->fields; field->name; field++) {
		bool found;
		size_t start = task->text.len;
		if (request->filter_count == 8)
			break;
		if (!task_parameter(task, field->name, &task->text, &found))
			return false;
		if (!found)
			continue;
		starts[request->filter_count] = start;
		lens[request->filter_count] = task->text.len - start;
		request->filters[request->filter_count++].field = str_of(field->name);
	}
	for (size_t i = 0; i < request->filter_count; i++)
		request->filters[i].value = (struct str){ task->text.ptr + starts[i], lens[i] };
	return true;
}

static void resource_list(struct task *task)
{
	if (!catalog_task(task, CATALOG_LIST) || !list_filters(task) ||
	    !task_page(task, &task->catalog.limit, &task->catalog.offset, LIST_DEFAULT, LIST_MAX))
		return;
	task_catalog(task, catalog_answer);
}

/* ---- options for forms --------------------------------------------------------------------------------------------------- */

static void options_event_types(struct task *task)
{
	if (!catalog_task(task, CATALOG_LIST) || !list_filters(task))
		return;
	struct catalog_request *request = &task->catalog;
	bool has_active = false;
	for (size_t i = 0; i < request->filter_count; i++)
		has_active |= str_eq(request->filters[i].field, STR("active"));
	if (!has_active)
		request->filters[request->filter_count++] = (struct catalog_filter){ STR("active"), STR("true") };
	request->limit = LIST_MAX;
	task_catalog(task, catalog_answer);
}

static int str_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void tags_answer(struct task *task)
{
	struct buf list = { 0 };
	for (unsigned s = 0; s < node_shards(task->app->node); s++) {
		const struct buf *tags = &task->gather->queries[s].tags;
		for (size_t at = 0; at < tags->len;) {
			uint16_t len;
			memcpy(&len, tags->ptr + at, sizeof len);
			struct str tag = { tags->ptr + at + sizeof len, len };
			buf_bytes(&list, &tag, sizeof tag);
			at += sizeof len + len;
		}
	}
	struct str *tags = (struct str *)(void *)list.ptr;
	size_t count = list.len / sizeof *tags;
	if (count)
		qsort(tags, count, sizeof *tags, str_order);
	buf_char(&task->out, '[');
	for (size_t i = 0; i < count; i++) {
		if (i && str_eq(tags[i], tags[i - 1]))
			continue;
		if (i)
			buf_char(&task->out, ',');
		buf_json_text(&task->out, tags[i]);
	}
	buf_char(&task->out, ']');
	buf_free(&list);
	task_json(task, 200);
}

static void options_tags(struct task *task)
{
	if (task_brand(task))
		task_gather(task, QUERY_TENANT, tags_answer);
}

/* `name` begins both the permissions and the commands. */
#define RESOURCE(path, number, name, what)                                                                                \
	{ "GET", path, resource_list, name ".read", "List " what "s of the brand", &kinds[number - 1],                    \
	  .command = name ".list" },                                                                                      \
	{ "POST", path, resource_create, name ".write", "Create a " what, &kinds[number - 1],                             \
	  .command = name ".create", .query = "dry_run" },                                                                \
	{ "GET", path "/{id}", resource_get, name ".read", "Read a " what, &kinds[number - 1],                            \
	  .command = name ".get" },                                                                                       \
	{ "PATCH", path "/{id}", resource_patch, name ".write", "Change a " what, &kinds[number - 1],                     \
	  .command = name ".update", .query = "dry_run" },                                                                \
	{ "DELETE", path "/{id}", resource_delete, name ".write", "Delete a " what, &kinds[number - 1],                   \
	  .command = name ".delete" }

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
	  .command = NULL },
	{ "GET", "/customers/{brand}/{profile_id}/point-movements", movements_list, "customers.read",
	  "Every change of the balance, newest first", NULL, .command = "customers.movements" },
	{ "GET", "/wallet/{brand}/{profile_id}", wallet_get, "customers.read", "Points of a customer", NULL,
	  .command = "wallets.get" },
	{ "POST", "/imports/customers", import_customers, "customers.write", "Import customers from CSV", NULL,
	  .command = "customers.import", .query = "dry_run" },
	{ "POST", "/imports/events", import_events, "events.write", "Import events from CSV, strictly", NULL,
	  .command = "events.import", .query = "dry_run" },
	RESOURCE("/admin/event-types", KIND_EVENT_TYPE, "event_types", "event type"),
	RESOURCE("/rules", KIND_RULE, "rules", "rule"),
	{ "GET", "/admin/ui-options/event-types", options_event_types, "event_types.read", "Event types to choose from",
	  &kinds[KIND_EVENT_TYPE - 1], .command = "event_types.options" },
	{ "GET", "/admin/ui-options/customer-tags", options_tags, "customers.read", "Tags in use, ascending", NULL,
	  .command = "customers.tags" },
	{ .method = NULL },
};
