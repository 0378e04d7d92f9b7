// SPDX-License-Identifier: Apache-2.0
/* bridge.c - an RPC call becomes an http_request without a session, whose task answers into a sink.
 *
 * Invariants: the call owns every text that its http_request points to, and lives until its task is freed; its
 * buffers do not grow any more once the request points into them.
 */
#include "net/rpc/bridge.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "net/rpc/json.h"
#include "net/surface/app.h"

struct call {
	struct task_sink sink;         /* first */
	struct http_request request;
	struct rpc_request *rpc;       /* ended by the answer */
	const struct route *route;
	struct buf brand, query, body;
	struct buf parts[PATH_PARTS_MAX];
	bool has_brand, has_body, raw_body, fields;    /* fields: the body is made of single keys */
};

/* ---- the answer ------------------------------------------------------------------------------------------------ */

/* "X-Total-Count: 5\r\nX-Next-Cursor: 7\r\n" as pairs of a map: total_count 5, next_cursor 7.  Returns how many;
 * `out` may be NULL to count only. */
static size_t headers_pack(struct buf *out, struct str headers)
{
	size_t count = 0;
	for (size_t at = 0; at < headers.len;) {
		const char *line = headers.ptr + at, *end = memchr(line, '\r', headers.len - at);
		ASSERT(end);
		size_t len = (size_t)(end - line);
		const char *colon = memchr(line, ':', len);
		at += len + 2;
		if (len < 4 || memcmp(line, "X-", 2) != 0 || !colon)
			continue;
		count++;
		if (!out)
			continue;
		char name[40];
		size_t name_len = (size_t)(colon - line) - 2;
		ASSERT(name_len < sizeof name);
		for (size_t i = 0; i < name_len; i++) {
			char c = line[2 + i];
			name[i] = (char)(c == '-' ? '_' : c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		}
		struct str value = { colon + 2, (size_t)(end - colon) - 2 };
		uint64_t number = 0;
		bool digits = value.len > 0 && value.len < 19;
		for (size_t i = 0; i < value.len && digits; i++) {
			digits = value.ptr[i] >= '0' && value.ptr[i] <= '9';
			number = number * 10 + (uint64_t)(value.ptr[i] - '0');
		}
		pack_text(out, (struct str){ name, name_len });
		if (digits)
			pack_u64(out, number);
		else
			pack_text(out, value);
	}
	return count;
}

static yyjson_doc *answer_read(struct str body)
{
	/* Written by ourselves: valid, but possibly deeper than what is taken from outside. */
	return yyjson_read_opts((char *)(uintptr_t)body.ptr, body.len, YYJSON_READ_NUMBER_AS_RAW, &json_alc, NULL);
}

static void result(struct call *call, struct str headers, struct str body, bool json)
{
	yyjson_doc *doc = json ? answer_read(body) : NULL;
	yyjson_val *root = yyjson_doc_get_root(doc);
	struct buf *out = rpc_reply_begin(call->rpc);
	if (yyjson_is_arr(root) && call->request.method == HTTP_GET_) {
		pack_map(out, 1 + headers_pack(NULL, headers));
		pack_key(out, "items");
		pack_json(out, root);
		headers_pack(out, headers);
	} else if (root) {
		pack_json(out, root);
	} else if (body.len) {
		pack_text(out, body);
	} else {
		pack_nil(out);
	}
	rpc_reply_end(call->rpc);
	yyjson_doc_free(doc);
}

static void error(struct call *call, int status, struct str body, bool json)
{
	static const struct { struct str from, to; } keys[] = {
		{ { "code", 4 }, { "name", 4 } }, { { "detail", 6 }, { "detail", 6 } }, { { "index", 5 }, { "index", 5 } },
		{ { "errors", 6 }, { "errors", 6 } } };
	yyjson_doc *doc = json ? answer_read(body) : NULL;
	yyjson_val *root = yyjson_doc_get_root(doc);
	if (!json_get(root, STR("code"))) {
		rpc_error(call->rpc, status, "refused", -1, "%.*s", (int)(body.len < 400 ? body.len : 400), body.ptr);
		yyjson_doc_free(doc);
		return;
	}
	struct buf *out = rpc_error_begin(call->rpc, status);
	bool detail = json_get(root, STR("detail"));
	size_t count = 2 + !detail;
	for (size_t i = 1; i < sizeof keys / sizeof *keys; i++)
		count += json_get(root, keys[i].from) != NULL;
	pack_map(out, count);
	pack_key(out, "code");
	pack_i64(out, status);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		yyjson_val *value = json_get(root, keys[i].from);
		if (!value)
			continue;
		pack_text(out, keys[i].to);
		pack_json(out, value);
	}
	if (!detail) {
		pack_key(out, "detail");
		pack_text(out, STR(""));
	}
	rpc_reply_end(call->rpc);
	yyjson_doc_free(doc);
}

static void on_answer(struct task_sink *sink, int status, const char *content_type, struct str headers, struct str body)
{
	struct call *call = (struct call *)sink;
	bool json = content_type && strstr(content_type, "json") && !strstr(content_type, "ndjson");
	if (status >= 400)
		error(call, status, body, json);
	else
		result(call, headers, body, json);
}

static void on_free(struct task_sink *sink)
{
	struct call *call = (struct call *)sink;
	buf_free(&call->brand);
	buf_free(&call->query);
	buf_free(&call->body);
	for (size_t i = 0; i < PATH_PARTS_MAX; i++)
		buf_free(&call->parts[i]);
	mem_free(call);
}

/* ---- the request ----------------------------------------------------------------------------------------------- */

static bool word_in(const char *words, struct str word)
{
	for (const char *at = words; at && *at;) {
		size_t len = strcspn(at, " ");
		if (str_eq((struct str){ at, len }, word))
			return true;
		at += len + (at[len] == ' ');
	}
	return false;
}

/* The number of the {part} of that name, -1 where there is none. */
static int part_named(const char *path, struct str name)
{
	int number = 0;
	for (const char *at = strchr(path, '{'); at; at = strchr(at, '{'), number++) {
		size_t len = strcspn(++at, "}");
		if (str_eq((struct str){ at, len }, name))
			return number;
	}
	return -1;
}

/* A value as the text that a path or a query would have. */
static bool scalar(struct buf *out, struct rpc_reader *reader, const char **wrong)
{
	struct str text;
	switch (rpc_peek(reader)) {
	case RPC_STR:
		*wrong = "a string that is not UTF-8";
		if (!rpc_read_str(reader, &text) || !utf8_valid(text) || memchr(text.ptr, '\0', text.len))
			return false;
		buf_str(out, text);
		return true;
	case RPC_INT:
	case RPC_FLOAT:
	case RPC_BOOL: return json_from_rpc(out, reader, wrong);
	default: *wrong = "no string, number or boolean"; return false;
	}
}

static bool query_add(struct call *call, struct str key, struct rpc_reader *reader, const char **wrong)
{
	static const char digits[] = "0123456789ABCDEF";
	struct buf value = { 0 };
	struct str sides[2] = { key, { NULL, 0 } };
	bool good = scalar(&value, reader, wrong);
	sides[1] = buf_view(&value);
	if (call->query.len)
		buf_char(&call->query, '&');
	for (int s = 0; s < 2 && good; s++) {
		for (size_t i = 0; i < sides[s].len; i++) {
			unsigned char c = (unsigned char)sides[s].ptr[i];
			if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '-') {
				buf_char(&call->query, (char)c);
			} else {
				buf_char(&call->query, '%');
				buf_char(&call->query, digits[c >> 4]);
				buf_char(&call->query, digits[c & 15]);
			}
		}
		if (s == 0)
			buf_char(&call->query, '=');
	}
	buf_free(&value);
	return good;
}

static bool field_add(struct call *call, struct str key, struct rpc_reader *reader, const char **wrong)
{
	*wrong = "a body beside keys of the body";
	if (call->has_body && !call->fields)
		return false;
	buf_char(&call->body, call->fields ? ',' : '{');
	call->has_body = call->fields = true;
	buf_json_text(&call->body, key);
	buf_char(&call->body, ':');
	return json_from_rpc(&call->body, reader, wrong);
}

static bool body_set(struct call *call, struct rpc_reader *reader, const char **wrong)
{
	struct str text;
	*wrong = "a body beside keys of the body";
	if (call->has_body)
		return false;
	call->has_body = true;
	call->raw_body = rpc_read_str(reader, &text) || rpc_read_bin(reader, &text);
	if (!call->raw_body)
		return json_from_rpc(&call->body, reader, wrong);
	buf_str(&call->body, text);
	return true;
}

/* One key of the map with its value. */
static bool key_take(struct call *call, struct str key, struct rpc_reader *reader, const char **wrong)
{
	struct rpc_reader again = *reader;
	int part = part_named(call->route->path, key);
	bool brand = str_eq(key, STR("brand")), bodiless = call->request.method == HTTP_GET_ ||
							   call->request.method == HTTP_DELETE_;
	if (brand || part >= 0) {
		struct buf *out = brand ? &call->brand : &call->parts[part];
		*wrong = "given twice";
		if (out->len || !scalar(out, reader, wrong))
			return false;
		call->has_brand |= brand;
		if (brand && part >= 0)
			buf_str(&call->parts[part], buf_view(&call->brand));
		if (brand && call->route->brand_in_body && !bodiless)
			return field_add(call, key, &again, wrong);
		return true;
	}
	if (bodiless || word_in(call->route->query, key))
		return query_add(call, key, reader, wrong);
	return str_eq(key, STR("body")) ? body_set(call, reader, wrong) : field_add(call, key, reader, wrong);
}

/* Fills the call from the params; ends the request with an error and returns false where they do not fit. */
static bool params_take(struct call *call)
{
	struct rpc_request *rpc = call->rpc;
	struct rpc_reader reader = rpc_params(rpc);
	uint32_t count = 0;
	if (rpc->param_count > 1 || (rpc->param_count && !rpc_read_map(&reader, &count))) {
		rpc_error(rpc, 400, "params_invalid", -1, "%s takes one map as its params: [{…}]", call->route->command);
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct str key = { NULL, 0 };
		const char *wrong = "";
		if (!rpc_read_str(&reader, &key) || !utf8_valid(key) || !key.len) {
			rpc_error(rpc, 400, "params_invalid", -1, "the keys of params must be strings");
			return false;
		}
		if (!key_take(call, key, &reader, &wrong)) {
			rpc_error(rpc, 400, "params_invalid", -1, "the value of %.*s does not fit: %s",
				  (int)(key.len < 60 ? key.len : 60), key.ptr, wrong);
			return false;
		}
	}
	for (const char *at = strchr(call->route->path, '{'), *end; at; at = strchr(end, '{')) {
		end = at + strcspn(at, "}");
		struct str name = { at + 1, (size_t)(end - at) - 1 };
		if (!call->parts[part_named(call->route->path, name)].len) {
			rpc_error(rpc, 400, "params_invalid", -1, "the key %.*s is missing", (int)name.len, name.ptr);
			return false;
		}
	}
	return true;
}

static enum http_method method_of(const char *name)
{
	static const char *const names[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };
	for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
		if (!strcmp(names[i], name))
			return (enum http_method)i;
	return HTTP_METHOD_OTHER;
}

static void bridge_call(struct app *app, struct rpc_request *rpc)
{
	const struct route *route = rpc->method->data;
	struct call *call = mem_zalloc(sizeof *call);
	struct http_request *request = &call->request;
	call->sink = (struct task_sink){ on_answer, on_free };
	call->rpc = rpc;
	call->route = route;
	request->method = method_of(route->method);
	request->method_text = str_of(route->method);
	request->path = str_of(route->path);
	request->started_ns = rpc->started_ns;
	if (!params_take(call)) {
		on_free(&call->sink);
		return;
	}
	if (call->fields)
		buf_char(&call->body, '}');
	else if (!call->has_body && request->method != HTTP_GET_ && request->method != HTTP_DELETE_)
		buf_lit(&call->body, "{}");
	request->query = buf_view(&call->query);
	request->body = buf_view(&call->body);
	if (call->has_brand)
		request->headers[request->header_count++] = (struct http_header){ STR("x-brand"), buf_view(&call->brand) };
	request->headers[request->header_count++] =
		(struct http_header){ STR("content-type"), call->raw_body ? STR("text/csv") : STR("application/json") };
	struct task *task = app_task(app, request);
	task->sink = &call->sink;
	task->route = route;
	for (size_t i = 0; i < PATH_PARTS_MAX && call->parts[i].len; i++) {
		buf_str(&task->parts[i], buf_view(&call->parts[i]));
		task->part_count = i + 1;
	}
	route->handle(task);
}

const struct rpc_method *bridge_methods(void)
{
	static struct rpc_method *methods;
	size_t count = 0, at = 0;
	if (methods)
		return methods;
	for (const struct route *const *surface = app_surfaces(); *surface; surface++)
		for (const struct route *route = *surface; route->method; route++)
			count += route->command != NULL;
	methods = mem_zalloc((count + 1) * sizeof *methods);
	for (const struct route *const *surface = app_surfaces(); *surface; surface++)
		for (const struct route *route = *surface; route->method; route++)
			if (route->command)
				methods[at++] = (struct rpc_method){ route->command, bridge_call, route->permission,
								     route->doc, NULL, route };
	return methods;
}
