// SPDX-License-Identifier: Apache-2.0
/* reference_api.c - the routes of the reference itself: the OpenAPI document, the page, the codes of refusals. */
#include "engine/base/hash.h"
#include "net/surface/reference.h"

/* A text that is made once and named by its hash. */
struct page { struct buf text; char etag[24]; };

static struct page openapi, docs;

static void page_make(struct page *page, void (*write)(struct buf *out))
{
	if (page->text.len)
		return;
	write(&page->text);
	snprintf(page->etag, sizeof page->etag, "\"%016llx\"", (unsigned long long)hash_bytes(page->text.ptr, page->text.len));
}

void reference_make(void)
{
	page_make(&openapi, openapi_write);
	page_make(&docs, docs_write);
}

/* Whether If-None-Match names this tag: a list of tags, weak ones included, or "*" (RFC 9110, 13.1.2). */
static bool etag_listed(struct str list, const char *etag)
{
	return str_eq(list, STR("*")) || (list.len && memmem(list.ptr, list.len, etag, strlen(etag)));
}

static void page_answer(struct task *task, const struct page *page, const char *type)
{
	reference_make();
	buf_printf(&task->headers, "ETag: %s\r\nCache-Control: no-cache\r\n", page->etag);
	if (etag_listed(http_request_header(task->request, "if-none-match"), page->etag)) {
		task_text(task, 304, NULL);
		return;
	}
	buf_str(&task->out, buf_view(&page->text));
	task_text(task, 200, type);
}

static void openapi_get(struct task *task)
{
	page_answer(task, &openapi, "application/json");
}

static void docs_get(struct task *task)
{
	buf_lit(&task->headers, "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n");
	page_answer(task, &docs, "text/html; charset=utf-8");
}

static void problem_json(struct buf *out, const struct problem_code *row)
{
	static const char *const scopes[] = { "operation", "request", "rpc", "ledger" };
	buf_lit(out, "{\"code\":");
	buf_json_text(out, str_of(row->code));
	buf_printf(out, ",\"statuses\":[%d", row->status);
	if (row->also)
		buf_printf(out, ",%d", row->also);
	buf_lit(out, "],\"title\":");
	buf_json_text(out, str_of(row->title));
	buf_lit(out, ",\"action\":");
	buf_json_text(out, str_of(row->action));
	buf_printf(out, ",\"scope\":\"%s\"}", scopes[row->scope]);
}

static void problems_get(struct task *task)
{
	buf_char(&task->out, '[');
	for (const struct problem_code *row = reference_problems(); row->code; row++) {
		if (row != reference_problems())
			buf_char(&task->out, ',');
		problem_json(&task->out, row);
	}
	buf_char(&task->out, ']');
	task_json(task, 200);
}

static void problem_get(struct task *task)
{
	struct str code = buf_view(&task->parts[0]);
	const struct problem_code *row = reference_problem_find(code);
	if (!row) {
		task_problem(task, 404, "not_found", "there is no code %.*s; /v1/problems lists them", text_cut(code, 100), code.ptr);
		return;
	}
	problem_json(&task->out, row);
	task_json(task, 200);
}

const struct route reference_routes[] = {
	{ "GET", "/openapi.json", openapi_get, "public", "This reference as an OpenAPI document", NULL, .command = "server.openapi" },
	{ "GET", "/docs", docs_get, "public", "This reference as a page", NULL, .operation = "server.docs" },
	{ "GET", "/v1/problems", problems_get, "public", "Every code of a refusal: what it means, what to do", NULL,
	  .command = "problems.list" },
	{ "GET", "/v1/problems/{code}", problem_get, "public", "A code of a refusal; where `type` of a problem points", NULL,
	  .command = "problems.get" },
	{ .method = NULL },
};
