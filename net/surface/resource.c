// SPDX-License-Identifier: Apache-2.0
/* resource.c - configuration: the same five handlers for every kind, and the routes that the list of kinds makes. */
#include "net/surface/resource.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/base/utf8.h"
#include "engine/catalog/describe.h"

/* ---- versions: ETag, If-Match, If-None-Match (RFC 9110, 8.8 and 13) ---------------------------------------------------- */

/* What is no entity tag of ours matches nothing: If-Match then refuses, If-None-Match lets through. */
static void match_read(struct task *task, const char *header, bool weak_counts, struct version_match *out)
{
	struct str text = http_request_header(task->request, header);
	*out = (struct version_match){ .given = http_request_has_header(task->request, header) };
	out->any = str_eq(text, STR("*"));
	for (size_t at = 0; at < text.len;) {
		bool weak = text.len - at > 2 && text.ptr[at] == 'W' && text.ptr[at + 1] == '/';
		struct str tag = { text.ptr + at, 0 };
		uint64_t version;
		if (text.ptr[at] == ' ' || text.ptr[at] == '\t' || text.ptr[at] == ',') {
			at++;
			continue;
		}
		at += weak ? 2 : 0;
		if (text.ptr[at] != '"')
			return;
		tag.ptr = text.ptr + ++at;
		while (at < text.len && text.ptr[at] != '"')
			at++;
		if (at == text.len)
			return;
		tag.len = (size_t)(text.ptr + at++ - tag.ptr);
		if ((!weak || weak_counts) && catalog_id_parse(tag, &version) && out->count < VERSION_MATCH_MAX)
			out->versions[out->count++] = version;
	}
}

/* A document that is read: is it the version that the client wants, or one that it has?  True: it has been answered. */
static bool read_condition(struct task *task)
{
	const struct catalog_request *request = &task->catalog;
	if (request->match.given && !version_matches(&request->match, request->version)) {
		task_problem(task, 412, "version_mismatch", "%s %llu has version %llu, which the conditions do not allow",
			     request->kind->title, (unsigned long long)request->id, (unsigned long long)request->version);
		return true;
	}
	/* State changes without the version: what a client has of it may be old. */
	if (!request->none_match.given || request->kind->state_fields || !version_matches(&request->none_match, request->version))
		return false;
	task_text(task, 304, NULL);
	return true;
}

/* ---- handlers ------------------------------------------------------------------------------------------------------------ */

void resource_answer(struct task *task)
{
	struct catalog_request *request = &task->catalog;
	if (request->status != CATALOG_OK) {
		task_faults(task, &request->problem);
		return;
	}
	if (request->version && !request->dry_run)
		buf_printf(&task->headers, "ETag: \"%llu\"\r\n", (unsigned long long)request->version);
	switch (request->verb) {
	case CATALOG_LIST:
		buf_printf(&task->headers, "X-Total-Count: %zu\r\n", request->total);
		if (request->more && request->kind->order_by)
			buf_printf(&task->headers, "X-Next-Cursor: %lld.%llu\r\n", (long long)request->last.order,
				   (unsigned long long)request->last.id);
		else if (request->more)
			buf_printf(&task->headers, "X-Next-Cursor: %llu\r\n", (unsigned long long)request->last.id);
		break;
	case CATALOG_GET:
		if (read_condition(task))
			return;
		break;
	case CATALOG_REMOVE: buf_lit(&task->out, "{\"deleted\":true}"); break;
	case CATALOG_CREATE:
	case CATALOG_PATCH:
	case CATALOG_AUDIT:
	case CATALOG_COPY:
	case CATALOG_REMEMBER:
	case CATALOG_DUE: break;
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
	if (verb != CATALOG_LIST && !task_parameters_known(task, verb == CATALOG_GET ? "" : "dry_run"))
		return false;
	struct str actor = http_request_header(task->request, "x-operator");
	if (!http_request_has_header(task->request, "x-operator"))
		actor = STR("anonymous");
	if (!actor.len || actor.len > CATALOG_ACTOR_MAX || !utf8_valid(actor)) {
		task_problem(task, 400, "operator_invalid", "X-Operator must have 1 to %d bytes of UTF-8", CATALOG_ACTOR_MAX);
		return false;
	}
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
	task->catalog.dry_run = MUTATE(98, dry_run, false);
	task->catalog.actor = actor;
	match_read(task, "if-match", false, &task->catalog.match);
	match_read(task, "if-none-match", true, &task->catalog.none_match);
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
bool resource_filters(struct task *task, const char *others)
{
	struct catalog_request *request = &task->catalog;
	size_t starts[CATALOG_FILTERS_MAX], lens[CATALOG_FILTERS_MAX];
	struct buf words = { 0 };
	buf_str(&words, str_of(others));
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

/* "12", or "5.12" where the kind has an order: the place of the last document of the page before. */
static bool list_cursor(struct task *task)
{
	struct buf text = { 0 };
	bool found, negative = false;
	uint64_t order = 0;
	struct catalog_place *after = &task->catalog.after;
	if (!task_parameter(task, "cursor", &text, &found))
		return false;
	struct str id = buf_view(&text);
	const char *dot = id.len ? memchr(id.ptr, '.', id.len) : NULL;
	bool good = !found || (dot != NULL) == (task->catalog.kind->order_by != NULL);
	if (good && dot) {
		struct str number = { id.ptr, (size_t)(dot - id.ptr) };
		negative = number.len && number.ptr[0] == '-';
		number.ptr += negative;
		number.len -= negative;
		good = str_eq(number, STR("0")) || (catalog_id_parse(number, &order) && order <= INT64_MAX);
		id = (struct str){ dot + 1, id.len - (size_t)(dot + 1 - id.ptr) };
	}
	good = good && (!found || catalog_id_parse(id, &after->id));
	after->order = negative ? -(int64_t)order : (int64_t)order;
	buf_free(&text);
	if (!good)
		task_problem(task, 400, "cursor_invalid", "the cursor is not one that was given out here");
	return good;
}

static void resource_list(struct task *task)
{
	if (!resource_task(task, CATALOG_LIST) || !resource_filters(task, "limit offset cursor") || !list_cursor(task) ||
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
	struct buf options = { 0 };
	kind_options_path(&options, kind);
	buf_char(&options, '\0');
	/* In front of {id}, which would take it. */
	add(out, (struct route){ "GET", text("%s/ui-catalog", path), catalogs_get, read, text("Schema and hints for %ss", title), kind,
				 .command = text("%s.ui_catalog", plural) });
	add(out, (struct route){ "GET", text("%s", options.ptr), catalogs_options, read, text("%ss to choose from", title), kind,
				 .command = text("%s.options", plural) });
	buf_free(&options);
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
