// SPDX-License-Identifier: Apache-2.0
/* methods.c - the table of all methods: finding one, calling it, listing them.
 *
 * Invariants: the index is built once, before the first request; a name stands in it once; it is at most half full,
 * so that a search ends at an empty place.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "net/rpc/bridge.h"
#include "net/rpc/json.h"
#include "net/rpc/methods.h"
#include "net/rpc/rpc.h"
#include "net/rpc/shape.h"
#include "net/surface/app.h"
#include "net/surface/schema.h"

/* Further tables of methods are added here. */
static const struct rpc_method *const tables[] = { rpc_core_methods, rpc_ledger_methods, rpc_history_methods, rpc_event_methods };

struct place {
	struct str name;
	const struct rpc_method *method;       /* NULL: empty */
};

static struct place *places;
static size_t place_count;             /* a power of two */
static const struct rpc_method **sorted;       /* by name, for rpc.methods */
static size_t method_count;

static size_t table_size(const struct rpc_method *table)
{
	size_t count = 0;
	while (table[count].name)
		count++;
	return count;
}

static void table_add(const struct rpc_method *table)
{
	for (const struct rpc_method *method = table; method->name; method++) {
		struct str name = str_of(method->name);
		size_t at = hash_bytes(name.ptr, name.len) & (place_count - 1);
		for (; places[at].method; at = (at + 1) & (place_count - 1))
			if (str_eq(places[at].name, name)) {
				fprintf(stderr, "tally: double method %s\n", method->name);
				abort();
			}
		places[at] = (struct place){ name, method };
		sorted[method_count++] = method;
	}
}

static int method_order(const void *a, const void *b)
{
	return strcmp((*(const struct rpc_method *const *)a)->name, (*(const struct rpc_method *const *)b)->name);
}

void rpc_methods_init(void)
{
	const struct rpc_method *bridge = bridge_methods();
	size_t count = table_size(bridge);
	if (places)
		return;
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
		count += table_size(tables[t]);
	for (place_count = 16; place_count < 4 * count; place_count *= 2)
		;
	places = mem_zalloc(place_count * sizeof *places);
	sorted = mem_alloc(count * sizeof *sorted);
	for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
		table_add(tables[t]);
	table_add(bridge);
	qsort(sorted, method_count, sizeof *sorted, method_order);
}

const struct rpc_method *rpc_method_find(struct str name)
{
	ASSERT(places);
	for (size_t at = hash_bytes(name.ptr, name.len) & (place_count - 1); places[at].method;
	     at = (at + 1) & (place_count - 1))
		if (str_eq(places[at].name, name))
			return places[at].method;
	return NULL;
}

const struct rpc_method *const *rpc_methods(size_t *count)
{
	ASSERT(places);
	*count = method_count;
	return sorted;
}

void rpc_dispatch(struct app *app, struct rpc_request *request)
{
	request->app = app;
	request->method = rpc_method_find(request->name);
	app_begin(app, request->frame_len);
	if (request->method)
		request->method->handle(app, request);
	else
		rpc_error(request, 404, "method_unknown", -1, "there is no method %.*s; rpc.methods lists them",
			  (int)(request->name.len < 100 ? request->name.len : 100), request->name.ptr);
}

void rpc_ended(struct app *app, const struct rpc_request *request)
{
	/* Refused before it was handed out: it was not counted. */
	if (request->app)
		app_end(app, request->frame_len);
}

/* ---- methods of the protocol itself ---------------------------------------------------------------------------- */

static void server_ping(struct app *app, struct rpc_request *request)
{
	struct buf *out = rpc_reply_begin(request);
	(void)app;
	pack_text(out, STR("pong"));
	rpc_reply_end(request);
}

static void pack_schema(struct buf *out, const char *params)
{
	struct buf text = { 0 };
	struct json_error error;
	schema_write(&text, params);
	yyjson_doc *doc = json_read(buf_view(&text), &error);
	ASSERT(doc);
	pack_key(out, "params");
	pack_json(out, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	buf_free(&text);
}

static void rpc_list(struct app *app, struct rpc_request *request)
{
	struct buf *out = rpc_reply_begin(request);
	(void)app;
	pack_array(out, method_count);
	for (size_t i = 0; i < method_count; i++) {
		pack_map(out, 3U + (sorted[i]->params != NULL));
		pack_key(out, "name");
		pack_text(out, str_of(sorted[i]->name));
		pack_key(out, "doc");
		pack_text(out, str_of(sorted[i]->doc));
		pack_key(out, "permission");
		pack_text(out, str_of(sorted[i]->permission));
		if (sorted[i]->params)
			pack_schema(out, sorted[i]->params);
	}
	rpc_reply_end(request);
}

const struct rpc_method rpc_core_methods[] = {
	{ "rpc.methods", rpc_list, "public", "Every method: an array of {name, doc, permission, params?}", SHAPE_ANY, NULL },
	{ "server.ping", server_ping, "public", "Answers \"pong\"; params are not looked at", SHAPE_ANY, NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
