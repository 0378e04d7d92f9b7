// SPDX-License-Identifier: Apache-2.0
/* ledger_call.c - stages of a call, and the known rows of a batch.
 *
 * A row whose id is known has its first outcome in the log.  Such records often lie side by side (a batch that is sent again):
 * they are read in order of their LSNs, neighbours in one read.
 */
#include "net/surface/ledger_call.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/ledger/record.h"
#include "engine/ledger/ids.h"
#include "engine/shard/ledger.h"
#include "net/main/filer.h"

enum {
	READ_SPAN = 256 * 1024,        /* bytes of one read, at most */
	READ_GAP = 4096,               /* bytes between two records that are still read together */
	RECORD_MAX = TRANSFER_RECORD_MAX
};

static struct ledger_call *kept;       /* the loop's own */
static unsigned kept_count;

struct ledger_call *ledger_call_new(struct app *app, void *owner)
{
	struct ledger_call *call = kept;
	if (call) {
		kept = call->next;
		kept_count--;
	} else {
		call = mem_zalloc(sizeof *call);
	}
	call->app = app;
	call->owner = owner;
	call->unreadable = false;
	return call;
}

static void room_free(struct buf *buf, bool all)
{
	buf->len = 0;
	if (all || buf->cap > LEDGER_ROOM_KEPT)
		buf_free(buf);
}

static void rooms_free(struct ledger_call *call, bool all)
{
	struct buf *bufs[] = { &call->rows, &call->specs, &call->views, &call->ids, &call->lsns, &call->states, &call->numbers,
			       &call->text };
	for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
		room_free(bufs[i], all);
}

void ledger_calls_end(void)
{
	while (kept) {
		struct ledger_call *call = kept;
		kept = call->next;
		rooms_free(call, true);
		ledger_request_free(&call->request);
		mem_free(call);
	}
	kept_count = 0;
}

void ledger_call_end(struct ledger_call *call)
{
	bool all = kept_count >= LEDGER_CALLS_KEPT;
	if (call->free_context)
		call->free_context(call->context);
	call->free_context = NULL;
	call->context = NULL;
	rooms_free(call, all);
	if (all) {
		ledger_request_free(&call->request);
		mem_free(call);
		return;
	}
	ledger_request_reuse(&call->request);
	call->next = kept;
	kept = call;
	kept_count++;
}

void *ledger_room(struct buf *buf, size_t count, size_t size)
{
	buf->len = 0;
	buf_room(buf, count * size + 1);
	buf->len = count * size;
	return memset(buf->ptr, 0, count * size + 1);
}

struct str ledger_view_text(const struct ledger_call *call, size_t at, size_t len)
{
	return (struct str){ call->request.texts.ptr + at, len };
}

static void view_text(struct ledger_call *call, struct str text, size_t *at, size_t *len)
{
	*at = call->request.texts.len;
	*len = text.len;
	buf_str(&call->request.texts, text);
}

void ledger_view_dry(struct ledger_call *call, const struct account_spec *spec)
{
	struct account_view *view = ledger_room(&call->views, 1, sizeof *view);
	*view = (struct account_view){ .id = spec->id, .found = true, .kind = spec->kind, .flags = spec->flags,
				       .floor = spec->has_floor ? spec->floor : spec->kind == ACCOUNT_MEMBER ? 0 : NO_FLOOR,
				       .ceiling = spec->has_ceiling ? spec->ceiling : NO_CEILING };
	view_text(call, spec->tenant, &view->tenant_at, &view->tenant_len);
	view_text(call, spec->unit, &view->unit_at, &view->unit_len);
	view_text(call, spec->member, &view->member_at, &view->member_len);
	view_text(call, spec->program, &view->program_at, &view->program_len);
	call->request.views = view;
}

static void asked(struct ledger_request *request)
{
	struct ledger_call *call = request->context;
	call->after(call);
}

void ledger_ask(struct ledger_call *call, enum ledger_verb verb, void (*after)(struct ledger_call *call))
{
	struct ledger_request *request = &call->request;
	request->verb = verb;
	request->next_row = 0;
	if (verb == LEDGER_LOOKUP)
		request->texts.len = 0;
	request->context = call;
	request->after = asked;
	call->after = after;
	ledger_start(request, node_env(call->app->node));
}

/* ---- the worker thread -------------------------------------------------------------------------------------------------- */

static void work_run(uv_work_t *work)
{
	struct ledger_call *call = work->data;
	call->read(call);
}

static void work_after(uv_work_t *work, int status)
{
	struct ledger_call *call = work->data;
	ASSERT(status == 0);
	call->after(call);
}

void ledger_read(struct ledger_call *call, void (*read)(struct ledger_call *call), void (*after)(struct ledger_call *call))
{
	call->read = read;
	call->after = after;
	call->work.data = call;
	int error = uv_queue_work(call->app->loop, &call->work, work_run, work_after);
	ASSERT(!error);
}

/* ---- transfers ---------------------------------------------------------------------------------------------------------- */

struct repeat { uint64_t lsn; uint32_t known; };

static int repeat_order(const void *a, const void *b)
{
	uint64_t left = ((const struct repeat *)a)->lsn, right = ((const struct repeat *)b)->lsn;
	return (left > right) - (left < right);
}

/* Its record is gone: what was kept with the id, if it moved to disk. */
static void known_gone(struct ledger_call *call, struct known_row *known, const unsigned char *row)
{
	struct id_kept first = { 0 };
	uint64_t hash = id_hash_of_transfer(row_load(row).id);
	call->unreadable |= !filer_kept(node_filer(call->app->node), hash, known->lsn, &first);
	known_pruned(known, row, &first);
}

/* On a worker thread: every known row that is not resolved. */
static void known_read(struct ledger_call *call)
{
	struct ledger_request *request = &call->request;
	const struct wal *wal = node_wal(call->app->node);
	struct buf repeats = { 0 }, bytes = { 0 };
	uint64_t first = wal_first(wal), durable = wal_durable(wal);
	for (uint32_t k = 0; k < request->known_count; k++)
		if (!request->known[k].resolved && !request->known[k].used)
			buf_bytes(&repeats, &(struct repeat){ request->known[k].lsn, k }, sizeof(struct repeat));
	size_t count = repeats.len / sizeof(struct repeat);
	struct repeat *list = (struct repeat *)(void *)repeats.ptr;
	if (count)
		qsort(list, count, sizeof *list, repeat_order);
	for (size_t i = 0; i < count;) {
		size_t behind = i + 1;
		uint64_t from = list[i].lsn, to = from + RECORD_MAX;
		while (behind < count && list[behind].lsn <= to + READ_GAP && list[behind].lsn + RECORD_MAX - from <= READ_SPAN)
			to = list[behind++].lsn + RECORD_MAX;
		if (to > durable)
			to = durable;
		bytes.len = 0;
		buf_room(&bytes, (size_t)(to - from) + 1);
		bool there = from >= first && from < to && wal_read(wal, from, bytes.ptr, (size_t)(to - from));
		for (size_t k = i; k < behind && there; k++)
			there = wal_check(wal, list[k].lsn);
		if (!there && from >= wal_first(wal)) {
			call->unreadable = true;
			break;
		}
		for (; i < behind; i++) {
			struct known_row *known = &request->known[list[i].known];
			const unsigned char *record = (const unsigned char *)bytes.ptr + (list[i].lsn - from);
			size_t len = list[i].lsn < to ? (size_t)(to - list[i].lsn) : 0;
			const unsigned char *row = request->rows + (size_t)known->index * ROW_BYTES;
			if (there && len)
				known_compare(known, row, record, len);
			else
				known_gone(call, known, row);
		}
	}
	buf_free(&repeats);
	buf_free(&bytes);
}

static void known_after(struct ledger_call *call);

/* Decided as far as possible.  What is known is durable by now: it was appended before this batch's own end. */
static void transfers_after(struct ledger_request *request)
{
	struct ledger_call *call = request->context;
	call->unreadable |= request->unreadable;
	if (request->unreadable)
		call->decided(call);
	else if (request->known_count || request->stopped)
		ledger_read(call, known_read, known_after);
	else
		call->decided(call);
}

static void known_after(struct ledger_call *call)
{
	struct ledger_request *request = &call->request;
	bool again = request->stopped;
	if (call->unreadable) {
		call->decided(call);
		return;
	}
	for (uint32_t k = 0; k < request->known_count && !again; k++)
		again = request->known[k].collision && !request->known[k].used;
	if (again) {
		ledger_restart(request, node_env(call->app->node));
		return;
	}
	ledger_known_finish(request);
	call->decided(call);
}

void ledger_transfers(struct ledger_call *call, void (*after)(struct ledger_call *call))
{
	struct ledger_request *request = &call->request;
	call->decided = after;
	request->verb = LEDGER_TRANSFERS;
	request->context = call;
	request->after = transfers_after;
	ledger_start(request, node_env(call->app->node));
}
