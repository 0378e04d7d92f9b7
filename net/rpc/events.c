// SPDX-License-Identifier: Apache-2.0
/* events.c - events.ingest: up to ROWS_MAX events a call, through the same batch as over HTTP.
 *
 *     events.ingest([event, …][, {dry_run?, customers?}])  ->  [answer, …]
 *
 * An event is a map with the fields of the HTTP body: brand, profileId, eventType, eventId, source?, payload?.  Texts are used
 * where they were received; a payload becomes JSON text and values in one pass (payload.h).  What one call needs is kept for
 * the next: nothing is allocated for an event that is well formed.
 */
#include <uv.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "engine/ledger/row.h"
#include "net/loop/metrics.h"
#include "net/rpc/event_pack.h"
#include "net/rpc/methods.h"
#include "net/rpc/payload.h"
#include "net/rpc/shape.h"
#include "net/surface/app.h"
#include "net/surface/row.h"
#include "net/surface/transaction.h"

enum event_field { EVENT_BRAND, EVENT_PROFILE, EVENT_TYPE, EVENT_ID, EVENT_SOURCE, EVENT_PAYLOAD, EVENT_FIELDS };
enum { CALLS_KEPT = 8, SPACE_KEPT = 16 * 1024 * 1024 };

/* One call in work. */
struct call {
	struct batch batch;
	struct rpc_request *request;
	struct app *app;
	struct payload_space space;
	struct buf *firsts;            /* one a row: the record of a known one, read on a worker thread; owned; may be NULL */
	uint32_t first_count, row_cap;
	bool strict, waited;
	enum event_field order[EVENT_FIELDS];  /* in which the fields came last time */
	uv_work_t work;
	struct call *next;
};

static struct call *calls;             /* those that nobody uses */
static unsigned call_count;

static const struct str field_names[EVENT_FIELDS] = {
	{ "brand", 5 }, { "profileId", 9 }, { "eventType", 9 }, { "eventId", 7 }, { "source", 6 }, { "payload", 7 } };

static struct call *call_new(struct app *app, struct rpc_request *request)
{
	struct call *call = calls;
	if (call) {
		calls = call->next;
		call_count--;
	} else {
		call = mem_zalloc(sizeof *call);
		batch_init(&call->batch, node_shards(app->node));
		for (unsigned f = 0; f < EVENT_FIELDS; f++)
			call->order[f] = (enum event_field)f;
	}
	call->app = app;
	call->request = request;
	call->strict = app->options->customers == CUSTOMERS_STRICT;
	call->waited = false;
	return call;
}

static void firsts_free(struct call *call)
{
	for (uint32_t r = 0; r < call->first_count; r++)
		buf_free(&call->firsts[r]);
	mem_free(call->firsts);
	call->firsts = NULL;
	call->first_count = 0;
}

static void call_free(struct call *call)
{
	struct row *rows = call->batch.rows;
	call->batch.row_count = 0;
	batch_free(&call->batch);
	mem_free(rows);
	payload_free(&call->space);
	mem_free(call);
}

void rpc_events_end(void)
{
	while (calls) {
		struct call *call = calls;
		calls = call->next;
		call_free(call);
	}
	call_count = 0;
}

/* The call is answered. */
static void call_end(struct call *call)
{
	firsts_free(call);
	payload_reset(&call->space, SPACE_KEPT);
	batch_reuse(&call->batch);
	if (call_count == CALLS_KEPT) {
		call_free(call);
		return;
	}
	call->next = calls;
	calls = call;
	call_count++;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* Of what is no text. */
static enum row_form form_of(enum rpc_type type)
{
	return type == RPC_NIL ? ROW_FORM_NULL : ROW_FORM_OTHER;
}

/* The text at the cursor, which moves behind it.  False after a fault. */
static bool text_read(struct row *row, struct rpc_reader *reader, enum event_field field, struct str *out)
{
	const char *name = field_names[field].ptr;
	bool required = field != EVENT_SOURCE;
	struct str text;
	char pointer[32];
	if (!rpc_read_str(reader, &text)) {
		enum rpc_type type = rpc_peek(reader);
		rpc_skip(reader);
		return row_text(row, name, required, form_of(type), STR(""), rpc_type_name(type), out);
	}
	if (!utf8_valid(text)) {
		snprintf(pointer, sizeof pointer, "/%s", name);
		row_fault(row, pointer, "%s", "the text is not valid UTF-8");
		return false;
	}
	return row_text_usual(text, out) || row_text(row, name, required, ROW_FORM_TEXT, text, "string", out);
}

static bool payload_field(struct call *call, struct row *row, struct rpc_reader *reader)
{
	struct rpc_reader behind = *reader;
	char detail[160];
	rpc_skip(&behind);
	if (rpc_peek(reader) == RPC_NIL) {
		*reader = behind;
		return true;
	}
	if (rpc_peek(reader) != RPC_MAP) {
		row_fault(row, "/payload", "expected a map, found %s", rpc_type_name(rpc_peek(reader)));
	} else if (payload_read(&call->space, reader, &row->payload, &row->payload_text, detail, sizeof detail)) {
		return true;
	} else {
		row_fault(row, "/payload", "%s", detail);
	}
	*reader = behind;
	return false;
}

/* Lengths are constants here, so that each comparison is two instructions instead of a call. */
static inline bool key_is(struct str key, enum event_field field)
{
#define IS(literal) (key.len == sizeof(literal) - 1 && memcmp(key.ptr, literal, sizeof(literal) - 1) == 0)
	switch (field) {
	case EVENT_BRAND: return IS("brand");
	case EVENT_PROFILE: return IS("profileId");
	case EVENT_TYPE: return IS("eventType");
	case EVENT_ID: return IS("eventId");
	case EVENT_SOURCE: return IS("source");
	case EVENT_PAYLOAD: return IS("payload");
	case EVENT_FIELDS: break;
	}
#undef IS
	return false;
}

/* Which field a key names; EVENT_FIELDS: none.  Most clients keep to one order. */
static enum event_field field_of(struct call *call, struct str key, uint32_t place)
{
	if (place < EVENT_FIELDS && key_is(key, call->order[place]))
		return call->order[place];
	for (enum event_field f = 0; f < EVENT_FIELDS; f++)
		if (key_is(key, f)) {
			if (place < EVENT_FIELDS)
				call->order[place] = f;
			return f;
		}
	return EVENT_FIELDS;
}

static void key_unknown(struct row *row, struct str key, const char *what)
{
	struct buf pointer = { 0 };
	pointer_push(&pointer, utf8_valid(key) ? key : STR("?"));
	row_fault(row, pointer_text(&pointer), "%s", what);
	buf_free(&pointer);
}

/* The map at the cursor becomes a row. */
static void event_read(struct call *call, struct row *row, struct rpc_reader *reader)
{
	struct str *const texts[EVENT_FIELDS] = { &row->tenant, &row->profile, &row->type, &row->id, &row->source };
	unsigned seen = 0;
	uint32_t count;
	bool good = true;
	*row = (struct row){ .kind = ROW_EVENT, .flags = call->strict ? ROW_STRICT : 0, .source = { "", 0 } };
	if (!rpc_read_map(reader, &count)) {
		row_fault(row, "", "expected a map, found %s", rpc_type_name(rpc_peek(reader)));
		rpc_skip(reader);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct str key;
		if (!rpc_read_str(reader, &key)) {
			row_fault(row, "", "expected strings as keys, found %s", rpc_type_name(rpc_peek(reader)));
			good = false;
			rpc_skip(reader);
			rpc_skip(reader);
			continue;
		}
		enum event_field field = field_of(call, key, i);
		if (field == EVENT_FIELDS || (seen & 1U << field)) {
			key_unknown(row, key, field == EVENT_FIELDS ? "this field is not known here" : "this field is there twice");
			good = false;
			rpc_skip(reader);
			continue;
		}
		seen |= 1U << field;
		if (field == EVENT_PAYLOAD)
			good &= payload_field(call, row, reader);
		else
			good &= text_read(row, reader, field, texts[field]);
	}
	for (enum event_field f = 0; f < EVENT_SOURCE; f++)
		if (!(seen & 1U << f))
			good &= row_text(row, field_names[f].ptr, true, ROW_FORM_ABSENT, STR(""), "", texts[f]);
	if (!good)
		return;
	if (!row->payload) {
		row->payload = json_empty_object();
		row->payload_text = STR("{}");
	}
	row_place(row);
	row_content(row);
}

/* {dry_run?, customers?}.  False after answering. */
static bool options_read_map(struct call *call, struct rpc_reader *reader)
{
	uint32_t count;
	struct str key, value;
	if (rpc_read_nil(reader))
		return true;
	if (!rpc_read_map(reader, &count)) {
		rpc_error(call->request, 422, "validation_failed", -1, "the second parameter: expected a map, found %s",
			  rpc_type_name(rpc_peek(reader)));
		return false;
	}
	for (; count; count--) {
		if (!rpc_read_str(reader, &key)) {
			rpc_error(call->request, 422, "validation_failed", -1, "the second parameter: expected strings as keys");
			return false;
		}
		if (str_eq(key, STR("dry_run")) && rpc_read_bool(reader, &call->batch.dry_run))
			continue;
		if (str_eq(key, STR("customers")) && rpc_read_str(reader, &value) &&
		    (str_eq(value, STR("strict")) || str_eq(value, STR("auto")))) {
			call->strict = value.len == 6;
			continue;
		}
		rpc_error(call->request, 422, "validation_failed", -1,
			  "the second parameter: dry_run (true or false) and customers (\"strict\" or \"auto\") are known");
		return false;
	}
	return true;
}

/* ---- answering -------------------------------------------------------------------------------------------------------- */

static void answer(struct call *call)
{
	struct batch *batch = &call->batch;
	uint32_t results[3] = { 0 };
	struct buf *out = rpc_reply_begin(call->request);
	pack_array(out, batch->row_count);
	for (uint32_t r = 0; r < batch->row_count; r++) {
		const struct row *row = &batch->rows[r];
		struct event_view view;
		if (row->result == ROW_REFUSED) {
			results[METRIC_REFUSED]++;
			event_pack_refused(out, row->problem, r);
			continue;
		}
		bool good = row_view(batch, row, call->firsts ? &call->firsts[r] : NULL, &view);
		ASSERT(good);
		results[row->result == ROW_KNOWN ? METRIC_REPEATED : METRIC_PROCESSED]++;
		event_pack(out, &view, row->lsn, row->result == ROW_KNOWN);
	}
	rpc_reply_end(call->request);
	for (unsigned i = 0; i < 3; i++)
		if (results[i])
			metric_add_label(METRIC_EVENTS, i, results[i]);
	call_end(call);
}

/* On a worker thread: the first records of the known rows. */
static void firsts_read(uv_work_t *work)
{
	struct call *call = work->data;
	for (uint32_t r = 0; r < call->batch.row_count; r++)
		if (call->batch.rows[r].result == ROW_KNOWN)
			row_first_read(call->app->node, &call->batch.rows[r], &call->firsts[r]);
}

static void firsts_after(uv_work_t *work, int status)
{
	struct call *call = work->data;
	bool again = false;
	ASSERT(status == 0);
	for (uint32_t r = 0; r < call->batch.row_count; r++)
		if (call->batch.rows[r].result == ROW_KNOWN)
			again |= row_first(&call->batch.rows[r], &call->firsts[r]);
	call->waited = !again;
	if (again)
		batch_start(&call->batch, node_env(call->app->node));
	else
		answer(call);
}

static void batch_after(struct batch *batch)
{
	struct call *call = batch->context;
	const struct env *env = node_env(call->app->node);
	const struct wal *wal = node_wal(call->app->node);
	bool known = false;
	for (uint32_t r = 0; r < batch->row_count && !known; r++)
		known = batch->rows[r].result == ROW_KNOWN;
	if (!known) {
		answer(call);
		return;
	}
	/* The first outcome must be durable before it is shown, and it may be of another shard: wait for all there is. */
	batch->done.wait_lsn = wal_appended(wal);
	if (batch->done.wait_lsn > wal_durable(wal) && !call->waited) {
		call->waited = true;
		env->done(env->context, &batch->done);
		return;
	}
	if (!call->firsts) {
		call->first_count = batch->row_count;
		call->firsts = mem_zalloc(call->first_count * sizeof *call->firsts);
	}
	call->work.data = call;
	int error = uv_queue_work(call->app->loop, &call->work, firsts_read, firsts_after);
	ASSERT(!error);
}

static void events_ingest(struct app *app, struct rpc_request *request)
{
	struct rpc_reader reader = rpc_params(request), options;
	uint32_t count;
	if (request->param_count < 1 || request->param_count > 2 || !rpc_read_array(&reader, &count)) {
		rpc_error(request, 422, "validation_failed", -1, "expected an array of events, and after it at most a map of options");
		return;
	}
	if (count > ROWS_MAX || count > (uint64_t)app->options->rows_max) {
		rpc_error(request, 413, "batch_too_large", -1, "%u events; a batch has at most %lld", count,
			  (long long)(app->options->rows_max < ROWS_MAX ? app->options->rows_max : ROWS_MAX));
		return;
	}
	struct call *call = call_new(app, request);
	options = rpc_params(request);
	rpc_skip(&options);
	if (request->param_count == 2 && !options_read_map(call, &options)) {
		call_end(call);
		return;
	}
	if (call->row_cap < count) {
		mem_free(call->batch.rows);
		call->batch.rows = mem_alloc(count * sizeof *call->batch.rows);
		call->row_cap = count;
	}
	call->batch.row_count = count;
	call->batch.context = call;
	call->batch.after = batch_after;
	for (uint32_t r = 0; r < count; r++)
		event_read(call, &call->batch.rows[r], &reader);
	batch_start(&call->batch, node_env(app->node));
}

#define EVENT_OPTIONS \
	"{'type':['object','null'],'properties':{'dry_run':{'type':'boolean'},'customers':{'enum':['strict','auto']}}," \
	"'additionalProperties':false}"

const struct rpc_method rpc_event_methods[] = {
	{ "events.ingest", events_ingest, "events.write",
	  "Events through the rules: an array of maps with the fields of POST /transactions; an answer for each; a repeat changes nothing",
	  SHAPE_PARAMS2(SHAPE_ARRAY("{'$ref':'#/components/schemas/EventCreate'}"), EVENT_OPTIONS), NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
