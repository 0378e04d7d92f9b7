// SPDX-License-Identifier: Apache-2.0
/* resource.c - configuration: the same five handlers for every kind, and the routes that the list of kinds makes. */
#include "net/surface/resource.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

void resource_answer(struct task *task)
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

bool resource_task(struct task *task, enum catalog_verb verb)
{
	if (task->route->kind->successor)
		buf_printf(&task->headers, "Deprecation: true\r\nLink: <%s>; rel=\"successor-version\"\r\n",
			   task->route->kind->successor);
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
	if (resource_task(task, CATALOG_CREATE))
		task_catalog(task, resource_answer);
}

static void resource_get(struct task *task)
{
	if (resource_task(task, CATALOG_GET))
		task_catalog(task, resource_answer);
}

static void resource_patch(struct task *task)
{
	if (resource_task(task, CATALOG_PATCH))
		task_catalog(task, resource_answer);
}

static void resource_delete(struct task *task)
{
	if (resource_task(task, CATALOG_REMOVE))
		task_catalog(task, resource_answer);
}

/* Every field that can be compared may be a filter: ?active=true&origin=EXTERNAL.  Texts live in task->text. */
bool resource_filters(struct task *task)
{
	struct catalog_request *request = &task->catalog;
	size_t starts[CATALOG_FILTERS_MAX], lens[CATALOG_FILTERS_MAX];
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
		if (!task_parameter(task, field->name, &task->text, &found))
			return false;
		if (!found)
			continue;
		ASSERT(request->filter_count < CATALOG_FILTERS_MAX && "no kind has more fields than that");
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
	if (!resource_task(task, CATALOG_LIST) || !resource_filters(task) ||
	    !task_page(task, &task->catalog.limit, &task->catalog.offset, LIST_DEFAULT, LIST_MAX))
		return;
	task_catalog(task, resource_answer);
}

/* ---- routes -------------------------------------------------------------------------------------------------------------- */

/* A text that stays for as long as the process. */
__attribute__((format(printf, 1, 2)))
static const char *text(const char *format, ...)
{
	char out[256];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(out, sizeof out, format, args);
	va_end(args);
	ASSERT(len > 0 && len < (int)sizeof out);
	return mem_dup(out, (size_t)len + 1);
}

static void add(struct buf *routes, struct route route)
{
	buf_bytes(routes, &route, sizeof route);
}

static void kind_routes(struct buf *out, const struct kind *kind)
{
	const char *path = kind->path, *title = kind->title, *plural = kind->plural;
	const char *one = text("%s/{id}", path), *read = text("%s.read", plural);
	const char *a = strchr("aeiou", title[0]) ? "an" : "a";
	add(out, (struct route){ "GET", path, resource_list, read, text("List the brand's %ss", title), kind,
				 .command = text("%s.list", plural) });
	add(out, (struct route){ "POST", path, resource_create, kind->permission, text("Create %s %s", a, title), kind,
				 .command = text("%s.create", plural), .query = "dry_run" });
	add(out, (struct route){ "GET", one, resource_get, read, text("Read %s %s", a, title), kind,
				 .command = text("%s.get", plural) });
	add(out, (struct route){ "PATCH", one, resource_patch, kind->permission, text("Change %s %s", a, title), kind,
				 .command = text("%s.update", plural), .query = "dry_run" });
	add(out, (struct route){ "DELETE", one, resource_delete, kind->permission, text("Delete %s %s", a, title), kind,
				 .command = text("%s.delete", plural) });
}

const struct route *resource_routes(void)
{
	static struct buf routes;
	const struct kind *kind;
	if (routes.len)
		return (const struct route *)(void *)routes.ptr;
	for (size_t i = 0; (kind = kind_at(i)); i++)
		kind_routes(&routes, kind);
	add(&routes, (struct route){ .method = NULL });
	return (const struct route *)(void *)routes.ptr;
}
