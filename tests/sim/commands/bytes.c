// SPDX-License-Identifier: Apache-2.0
/* bytes.c - a request as bytes of HTTP/1.1, or as params of a method. */
#include <string.h>

#include "engine/base/json.h"
#include "net/rpc/json.h"
#include "net/rpc/pack.h"
#include "tests/sim/commands/generate.h"
#include "tests/sim/commands/methods.h"

static yyjson_doc *json_of(struct str text)
{
	struct json_error error;
	return json_read(text, &error);
}

static void percent_write(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-_.~", c))
			buf_char(out, (char)c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

void request_http(const struct request *request, struct buf *out)
{
	const struct route *route = request->reference->route;
	size_t part = 0;
	buf_printf(out, "%s ", request->head ? "HEAD" : route->method);
	for (const char *p = route->path; *p; p++) {
		if (*p != '{') {
			buf_char(out, *p);
			continue;
		}
		percent_write(out, request->parts[part++].text);
		p += strcspn(p, "}");
	}
	for (size_t i = 0; i < request->query_count; i++) {
		buf_char(out, i ? '&' : '?');
		percent_write(out, request->query[i].name);
		buf_char(out, '=');
		percent_write(out, request->query[i].text);
	}
	buf_lit(out, " HTTP/1.1\r\nHost: simulated\r\n");
	for (size_t i = 0; i < request->header_count; i++) {
		buf_printf(out, "%s: ", request->headers[i].name);
		for (const char *p = request->headers[i].text; *p; p++)
			buf_char(out, (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
		buf_lit(out, "\r\n");
	}
	if (request->type)
		buf_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", request->type, request->body.len);
	buf_lit(out, "\r\n");
	buf_str(out, buf_view(&request->body));
}

static bool word_in(const char *words, const char *word)
{
	size_t len = strlen(word);
	for (const char *at = words; at && (at = strstr(at, word)); at++)
		if ((at == words || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
	return false;
}

/* The params array of a method that is no route's. */
static bool method_params(const struct request *request, struct buf *out, bool *dry_run)
{
	yyjson_doc *doc = json_of(buf_view(&request->body));
	if (doc)
		pack_marked(out, yyjson_doc_get_root(doc));
	*dry_run = request->dry_run;
	yyjson_doc_free(doc);
	return doc != NULL;
}

bool request_params(const struct request *request, struct buf *out, bool *dry_run)
{
	const struct route *route = request->reference->route;
	bool bodiless = !strcmp(route->method, "GET") || !strcmp(route->method, "DELETE");
	const char *brand = NULL;
	size_t pairs = request->part_count, i, max;
	yyjson_val *key, *value;
	*dry_run = false;
	if (request->method)
		return method_params(request, out, dry_run);
	if (!route->command || request->head)
		return false;
	for (i = 0; i < request->header_count; i++)
		if (!strcasecmp(request->headers[i].name, "x-brand"))
			brand = request->headers[i].text;
	for (i = 0; i < request->part_count; i++)
		if (!strcmp(request->parts[i].name, "brand"))
			brand = NULL;          /* one key for both */
	for (i = 0; i < request->query_count; i++)
		pairs += bodiless || word_in(route->query, request->query[i].name);
	yyjson_doc *doc = request->type && request->json ? json_of(buf_view(&request->body)) : NULL;
	yyjson_val *root = yyjson_doc_get_root(doc);
	if (request->json && !doc)
		return false;
	bool merged = yyjson_is_obj(root) && !(brand && json_get(root, STR("brand")));
	for (i = 0; i < request->part_count; i++)
		merged = merged && !json_get(root, str_of(request->parts[i].name));
	pairs += brand != NULL;
	pairs += merged ? yyjson_obj_size(root) : request->type != NULL;
	pack_array(out, 1);
	pack_map(out, pairs);
	if (brand) {
		pack_key(out, "brand");
		pack_text(out, str_of(brand));
	}
	for (i = 0; i < request->part_count; i++) {
		pack_text(out, str_of(request->parts[i].name));
		pack_text(out, str_of(request->parts[i].text));
	}
	for (i = 0; i < request->query_count; i++) {
		if (!bodiless && !word_in(route->query, request->query[i].name))
			continue;
		*dry_run |= !strcmp(request->query[i].name, "dry_run") && request->dry_run;
		pack_text(out, str_of(request->query[i].name));
		pack_text(out, str_of(request->query[i].text));
	}
	if (merged) {
		yyjson_obj_foreach(root, i, max, key, value) {
			pack_text(out, json_text(key));
			pack_json(out, value);
		}
	} else if (root) {
		pack_key(out, "body");
		pack_json(out, root);
	} else if (request->type) {
		pack_key(out, "body");
		pack_text(out, buf_view(&request->body));
	}
	yyjson_doc_free(doc);
	return true;
}
