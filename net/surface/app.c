// SPDX-License-Identifier: Apache-2.0
#include "net/surface/app.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/base/utf8.h"
#include "engine/job/scan.h"
#include "engine/ledger/request.h"
#include "engine/shard/capture.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/loop/server.h"
#include "net/surface/reference.h"
#include "net/surface/resource.h"

const struct route *const *app_surfaces(void)
{
	enum { RESOURCES = 3 };
	static const struct route *tables[] = {
		brand_routes,
		job_routes,
		catalog_routes,
		NULL,                  /* RESOURCES */
		audit_routes,
		reward_routes,
		reverse_routes,
		explain_routes,
		ledger_routes,
		past_routes,
		statement_routes,
		pos_routes,
		system_routes,
		snapshot_routes,
		backup_routes,
		reference_routes,
		NULL
	};
	if (!tables[RESOURCES])
		tables[RESOURCES] = resource_routes();
	return tables;
}

void app_begin(struct app *app, uint64_t bytes)
{
	app->tasks++;
	app->task_bytes += bytes;
	if (app->tasks >= TASKS_MAX || app->task_bytes >= TASK_BYTES_MAX)
		server_pause_reading(app->server, true);
}

void app_end(struct app *app, uint64_t bytes)
{
	ASSERT(app->tasks && app->task_bytes >= bytes);
	app->tasks--;
	app->task_bytes -= bytes;
	if (app->tasks < TASKS_MAX / 2 && app->task_bytes < TASK_BYTES_MAX / 2)
		server_pause_reading(app->server, false);
}

static void task_free(struct task *task)
{
	struct app *app = task->app;
	struct task_sink *sink = task->sink;
	for (size_t i = 0; i < task->part_count; i++)
		buf_free(&task->parts[i]);
	switch (task->shape) {
	case TASK_PLAIN: break;
	case TASK_QUERY: query_free(&task->query); break;
	case TASK_CATALOG:
		problem_free(&task->catalog.problem);
		buf_free(&task->catalog.json);
		break;
	case TASK_BATCH:
		batch_free(&task->batch);
		mem_free(task->batch.rows);
		break;
	case TASK_GATHER: break;
	}
	if (task->gather) {
		for (unsigned s = 0; s < node_shards(app->node); s++)
			query_free(&task->gather->queries[s]);
		mem_free(task->gather->queries);
		mem_free(task->gather);
	}
	if (task->free_context)
		task->free_context(task->context);
	if (task->doc)
		yyjson_doc_free(task->doc);
	buf_free(&task->text);
	buf_free(&task->out);
	buf_free(&task->headers);
	app_end(app, MUTATE(104, task->bytes, 0));
	mem_free(task);
	if (sink)
		sink->release(sink);
}

static void respond(struct task *task, int status, const char *content_type, struct str body)
{
	struct buf *headers = &task->headers;
	if (task->sink) {
		task->sink->answer(task->sink, status, content_type, buf_view(headers), body);
	} else {
		if (headers->len)
			buf_char(headers, '\0');
		http_respond(task->request, status, content_type, headers->len ? headers->ptr : NULL, body);
	}
	task_free(task);
}

static void problem_respond(struct task *task, int status, const char *code, const struct faults *faults,
			    const char *detail)
{
	struct buf body = { 0 };
	/* Over RPC (a sink) every error has one form, made from the problem document. */
	bool own = task->route && task->route->problem && !task->sink;
	if (own)
		task->route->problem(&body, status, code, faults, detail);
	else
		http_problem_json(&body, status, code, faults, detail, -1);
	respond(task, status, own ? "application/json" : "application/problem+json", buf_view(&body));
	buf_free(&body);
}

void task_text(struct task *task, int status, const char *content_type)
{
	respond(task, status, content_type, buf_view(&task->out));
}

void task_json(struct task *task, int status)
{
	task_text(task, status, "application/json");
}

void task_problem(struct task *task, int status, const char *code, const char *format, ...)
{
	char detail[512];
	va_list args;
	va_start(args, format);
	vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	problem_respond(task, status, code, NULL, detail);
}

void task_faults(struct task *task, const struct problem *problem)
{
	ASSERT(problem->status);
	problem_respond(task, problem->status, problem->code, &problem->faults, problem->detail);
}

/* ---- messages --------------------------------------------------------------------------------------------------------- */

void task_query(struct task *task, unsigned shard, void (*after)(struct task *))
{
	task->shape = TASK_QUERY;
	task->after = after;
	task->query.context = task;
	task->query.message = (struct message){ .kind = MESSAGE_QUERY, .shard = shard, .owner = &task->query };
	node_post(task->app->node, shard, &task->query.message);
}

void task_gather(struct task *task, enum query_kind kind, void (*after)(struct task *))
{
	task_gather_like(task, &(struct query){ .kind = kind }, after);
}

void task_gather_like(struct task *task, const struct query *like, void (*after)(struct task *))
{
	unsigned count = node_shards(task->app->node);
	task->shape = TASK_GATHER;
	task->after = after;
	task->gather = mem_zalloc(sizeof *task->gather);
	task->gather->queries = mem_zalloc(count * sizeof *task->gather->queries);
	task->gather->waiting = count;
	for (unsigned s = 0; s < count; s++) {
		struct query *query = &task->gather->queries[s];
		*query = *like;
		query->tenant = task->tenant;
		query->context = task;
		query->message = (struct message){ .kind = MESSAGE_QUERY, .shard = s, .owner = query };
		node_post(task->app->node, s, &query->message);
	}
}

void task_catalog(struct task *task, void (*after)(struct task *))
{
	task->shape = TASK_CATALOG;
	task->after = after;
	task->catalog.context = task;
	task->catalog.message = (struct message){ .kind = MESSAGE_CATALOG, .shard = CATALOG_SHARD, .owner = &task->catalog };
	node_post(task->app->node, CATALOG_SHARD, &task->catalog.message);
}

static void batch_done(struct batch *batch)
{
	struct task *task = batch->context;
	task->after(task);
}

void task_batch(struct task *task, void (*after)(struct task *))
{
	ASSERT(task->shape == TASK_BATCH);
	task->after = after;
	task->batch.after = batch_done;
	task->batch.context = task;
	batch_start(&task->batch, node_env(task->app->node));
}

void app_message(struct app *app, struct message *message)
{
	struct task *task;
	(void)app;
	switch (message->kind) {
	case MESSAGE_QUERY:
		task = ((struct query *)message->owner)->context;
		if (task->gather && --task->gather->waiting)
			return;
		break;
	case MESSAGE_LEDGER:
		((struct ledger_request *)message->owner)->after(message->owner);
		return;
	case MESSAGE_CAPTURE: ((struct capture *)message->owner)->after(message->owner); return;
	case MESSAGE_SCAN: ((struct scan *)message->owner)->after(message->owner); return;
	case MESSAGE_CATALOG:
		if (((struct catalog_request *)message->owner)->answer) {
			((struct catalog_request *)message->owner)->answer(message->owner);
			return;
		}
		task = ((struct catalog_request *)message->owner)->context;
		break;
	default:
		((struct batch *)message->owner)->after(message->owner);
		return;
	}
	task->after(task);
}

static void work_run(uv_work_t *work)
{
	struct task *task = work->data;
	task->read(task);
}

static void work_after(uv_work_t *work, int status)
{
	struct task *task = work->data;
	ASSERT(status == 0);
	task->read_after(task);
}

void task_read(struct task *task, void (*read)(struct task *), void (*after)(struct task *))
{
	task->read = read;
	task->read_after = after;
	task->work.data = task;
	int error = uv_queue_work(task->app->loop, &task->work, work_run, work_after);
	ASSERT(!error);
}

/* ---- what requests have in common ------------------------------------------------------------------------------------- */

bool task_name_ok(struct str name)
{
	return name.len >= 1 && name.len <= NAME_MAX_BYTES;
}

bool task_brand(struct task *task)
{
	struct str brand = http_request_header(task->request, "x-brand");
	if (!brand.len) {
		task_problem(task, 400, "brand_missing", "the header X-Brand is missing; it names the brand to work in");
		return false;
	}
	if (!task_name_ok(brand) || !utf8_valid(brand)) {
		task_problem(task, 400, "brand_invalid", "X-Brand must have 1 to %d bytes of UTF-8", NAME_MAX_BYTES);
		return false;
	}
	task->tenant = brand;
	return true;
}

bool task_brand_path(struct task *task, size_t part)
{
	struct str brand = http_request_header(task->request, "x-brand"), path = buf_view(&task->parts[part]);
	if (!task_brand(task))
		return false;
	if (!str_eq(brand, path)) {
		task_problem(task, 400, "brand_mismatch", "the path names brand %.*s, but X-Brand says %.*s", (int)path.len,
			     path.ptr, (int)brand.len, brand.ptr);
		return false;
	}
	return true;
}

bool task_body_json(struct task *task)
{
	struct json_error error;
	struct str type = http_request_header(task->request, "content-type");
	size_t len = 0;
	while (len < type.len && type.ptr[len] != ';' && type.ptr[len] != ' ')
		len++;
	if (type.len && !(len == 16 && !strncasecmp(type.ptr, "application/json", 16)) &&
	    !(len == 28 && !strncasecmp(type.ptr, "application/merge-patch+json", 28))) {
		task_problem(task, 415, "media_type", "Content-Type %.*s is not understood here; application/json was expected",
			     (int)(len < 100 ? len : 100), type.ptr);
		return false;
	}
	task->doc = json_read(task->request->body, &error);
	if (!task->doc) {
		task_problem(task, 400, "json_invalid", "the body is not valid JSON: %s", error.detail);
		return false;
	}
	return true;
}

bool task_parameter(struct task *task, const char *name, struct buf *out, bool *found)
{
	bool bad = false;
	size_t before = out->len;
	*found = http_query_get(task->request->query, name, out, &bad);
	if (bad || !utf8_valid(buf_since(out, before))) {
		/* Callers end here, without a look at what is theirs to free. */
		out->len = before;
		if (!before)
			buf_free(out);
		task_problem(task, 400, "query_invalid", "the query parameter %s is not properly percent-encoded", name);
		return false;
	}
	return true;
}

static bool word_in(const char *words, struct str word)
{
	for (const char *at = words; *at;) {
		size_t len = strcspn(at, " ");
		if (str_eq((struct str){ at, len }, word))
			return true;
		at += len;
		at += *at == ' ';
	}
	return false;
}

bool task_parameters_known(struct task *task, const char *words)
{
	struct str query = task->request->query;
	for (size_t at = 0; at < query.len;) {
		size_t end = at, name;
		while (end < query.len && query.ptr[end] != '&')
			end++;
		for (name = at; name < end && query.ptr[name] != '='; name++)
			;
		struct str word = { query.ptr + at, name - at };
		if (word.len && !word_in(words, word)) {
			task_problem(task, 400, "filter_unknown", "the query parameter %.*s is not known here; known: %s",
				     (int)(word.len < 60 ? word.len : 60), word.ptr, words);
			return false;
		}
		at = end + 1;
	}
	return true;
}

static bool number_parameter(struct task *task, const char *name, size_t max, size_t *out)
{
	struct buf text = { 0 };
	bool found;
	size_t value = 0;
	if (!task_parameter(task, name, &text, &found))
		return false;
	for (size_t i = 0; found && i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9' || i > 9) {
			value = SIZE_MAX;
			break;
		}
		value = value * 10 + (size_t)(text.ptr[i] - '0');
	}
	if (found && (!text.len || value > max)) {
		buf_free(&text);
		task_problem(task, 400, "query_invalid", "the query parameter %s must be a whole number from 0 to %zu", name,
			     max);
		return false;
	}
	if (found)
		*out = value;
	buf_free(&text);
	return true;
}

bool task_page(struct task *task, size_t *limit, size_t *offset, size_t limit_default, size_t limit_max)
{
	*limit = limit_default;
	*offset = 0;
	if (!number_parameter(task, "limit", limit_max, limit) || !number_parameter(task, "offset", 1000000, offset))
		return false;
	if (*limit == 0) {
		task_problem(task, 400, "query_invalid", "the query parameter limit must be from 1 to %zu", limit_max);
		return false;
	}
	return true;
}

bool task_bool_parameter(struct task *task, const char *name, bool *out)
{
	struct buf text = { 0 };
	bool found;
	if (!task_parameter(task, name, &text, &found))
		return false;
	struct str value = buf_view(&text);
	bool yes = str_eq(value, STR("true")) || str_eq(value, STR("1"));
	bool good = !found || yes || str_eq(value, STR("false")) || str_eq(value, STR("0"));
	buf_free(&text);
	if (!good) {
		task_problem(task, 400, "query_invalid", "the query parameter %s must be true or false", name);
		return false;
	}
	*out = found && yes;
	return true;
}

/* ---- routing ---------------------------------------------------------------------------------------------------------- */

/* Compares a path with a pattern, part by part; values of {…} are decoded into the task.  *malformed on a bad escape. */
static bool path_matches(const char *pattern, struct str path, struct task *task, bool *malformed)
{
	size_t at = 0;
	struct str parts[PATH_PARTS_MAX];
	size_t count = 0;
	for (const char *p = pattern; *p;) {
		if (*p == '{') {
			size_t begin = at;
			while (at < path.len && path.ptr[at] != '/')
				at++;
			if (at == begin || count == PATH_PARTS_MAX)
				return false;
			parts[count++] = (struct str){ path.ptr + begin, at - begin };
			while (*p && *p != '}')
				p++;
			p += *p == '}';
		} else {
			if (at >= path.len || path.ptr[at] != *p)
				return false;
			at++;
			p++;
		}
	}
	if (at != path.len)
		return false;
	for (size_t i = 0; task && i < count; i++) {
		if (!http_percent_decode(parts[i], false, &task->parts[i]) || !utf8_valid(buf_view(&task->parts[i])))
			*malformed = true;
		task->part_count = i + 1;
	}
	return true;
}

static bool method_fits(const struct route *route, struct str method)
{
	return str_eq(str_of(route->method), method) || (str_eq(method, STR("HEAD")) && str_eq(str_of(route->method), STR("GET")));
}

static void allow_add(struct buf *allow, const char *method)
{
	if (allow->len)
		buf_lit(allow, ", ");
	buf_str(allow, str_of(method));
	if (str_eq(str_of(method), STR("GET")))
		buf_lit(allow, ", HEAD");
}

void app_routes_check(void)
{
	const struct route *const *surfaces = app_surfaces();
	for (size_t s = 0; surfaces[s]; s++)
		for (const struct route *a = surfaces[s]; a->method; a++)
			for (size_t t = 0; t <= s; t++)
				for (const struct route *b = surfaces[t]; b->method && b != a; b++)
					if (!strcmp(a->method, b->method) && !strcmp(a->path, b->path)) {
						fprintf(stderr, "tally: double route %s %s\n", a->method, a->path);
						abort();
					}
}

struct task *app_task(struct app *app, struct http_request *request)
{
	struct task *task = mem_zalloc(sizeof *task);
	task->app = app;
	task->request = request;
	task->bytes = request->body.len;
	app_begin(app, task->bytes);
	return task;
}

void app_request(void *context, struct http_request *request)
{
	struct task *task = app_task(context, request);
	struct buf allow = { 0 };
	struct str path = request->path;
	bool malformed = false;
	if (!task->app->ready) {
		system_recovering(task);
		return;
	}
	if (path.len > 1 && path.ptr[path.len - 1] == '/')
		path.len--;            /* with and without a slash at the end; never a redirect */
	for (const struct route *const *surface = app_surfaces(); *surface; surface++)
		for (const struct route *route = *surface; route->method; route++) {
			if (!path_matches(route->path, path, NULL, &malformed))
				continue;
			if (!method_fits(route, request->method_text)) {
				allow_add(&allow, route->method);
				continue;
			}
			buf_free(&allow);
			task->route = route;
			path_matches(route->path, path, task, &malformed);
			if (malformed)
				task_problem(task, 400, "path_invalid", "the path is not properly percent-encoded UTF-8");
			else
				route->handle(task);
			return;
		}
	if (allow.len) {
		buf_lit(&task->headers, "Allow: ");
		buf_str(&task->headers, buf_view(&allow));
		buf_lit(&task->headers, ", OPTIONS\r\n");
		buf_free(&allow);
		if (request->method == HTTP_OPTIONS_)
			task_text(task, 204, NULL);
		else
			task_problem(task, 405, "method_not_allowed", "%.*s is not allowed here",
				     (int)request->method_text.len, request->method_text.ptr);
		return;
	}
	if (request->method == HTTP_OPTIONS_ && str_eq(path, STR("*"))) {
		task_text(task, 204, NULL);
		return;
	}
	task_problem(task, 404, "route_unknown", "there is nothing at %.*s", (int)(path.len < 200 ? path.len : 200), path.ptr);
}
