// SPDX-License-Identifier: Apache-2.0
#include "net/surface/ledger_find.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"

void ledger_view_ask(struct ledger_call *call, u128 id, struct str tenant, struct str unit, enum account_kind kind)
{
	struct account_view *view = ledger_room(&call->views, 1, sizeof *view);
	*view = (struct account_view){ .id = id, .tenant = tenant, .unit = unit, .kind = kind };
	call->request.views = view;
	call->request.count = 1;
}

struct account_view *ledger_view(const struct ledger_call *call)
{
	return (struct account_view *)(void *)call->views.ptr;
}

/* ---- history ------------------------------------------------------------------------------------------------------------ */

static void walk_free(void *context)
{
	log_walk_free(context);
	mem_free(context);
}

struct log_walk *ledger_walk_new(struct ledger_call *call)
{
	struct log_walk *walk = mem_zalloc(sizeof *walk);
	walk->at.time_ms = INT64_MAX;
	call->context = walk;
	call->free_context = walk_free;
	return walk;
}

/* The ids of the accounts are there, debit and credit by turns, but those of the tenant accounts on the other side of events:
 * they are views[1] and views[2]. */
static void history_named(struct ledger_call *call)
{
	const struct log_walk *walk = call->context;
	const struct account_view *views = ledger_view(call);
	const struct movement *list = (const struct movement *)(const void *)walk->movements.ptr;
	u128 *ids = (u128 *)(void *)call->ids.ptr;
	for (size_t i = 0; i < walk->movements.len / sizeof *list; i++)
		if (list[i].event_len)
			ids[2 * i + (list[i].credit_kind != 0)] = views[list[i].credit_kind ? 2 : 1].id;
	call->decided(call);
}

static void history_name(struct ledger_call *call)
{
	const struct log_walk *walk = call->context;
	const struct movement *list = (const struct movement *)(const void *)walk->movements.ptr;
	size_t count = walk->movements.len / sizeof *list;
	call->request.numbers = ledger_room(&call->numbers, 2 * count, sizeof(uint32_t));
	call->request.ids = ledger_room(&call->ids, 2 * count, sizeof(u128));
	call->request.count = (uint32_t)(2 * count);
	for (size_t i = 0; i < count; i++) {
		call->request.numbers[2 * i] = list[i].debit;
		call->request.numbers[2 * i + 1] = list[i].credit;
	}
	ledger_ask(call, LEDGER_NAMES, history_named);
}

/* The account's texts were replaced by those of the tenant accounts, which are in the same book. */
static void history_tenant(struct ledger_call *call)
{
	struct account_view *views = ledger_view(call);
	views[0].tenant_at = views[1].tenant_at;
	views[0].unit_at = views[1].unit_at;
	views[0].member_len = views[0].program_len = 0;
	ASSERT(views[1].found && views[1].tenant_len == views[0].tenant_len && views[1].unit_len == views[0].unit_len);
	history_name(call);
}

/* Events do not name the tenant accounts by number: asks for them by name. */
static void history_sliced(struct ledger_call *call)
{
	struct account_view view = *ledger_view(call), *views;
	struct str tenant, unit;
	call->text.len = 0;
	buf_str(&call->text, ledger_view_text(call, view.tenant_at, view.tenant_len));
	buf_str(&call->text, ledger_view_text(call, view.unit_at, view.unit_len));
	tenant = (struct str){ call->text.ptr, view.tenant_len };
	unit = (struct str){ call->text.ptr + view.tenant_len, view.unit_len };
	views = ledger_room(&call->views, 3, sizeof *views);
	views[0] = view;
	views[1] = (struct account_view){ .tenant = tenant, .unit = unit, .kind = ACCOUNT_LIABILITY };
	views[2] = (struct account_view){ .tenant = tenant, .unit = unit, .kind = ACCOUNT_REDEEMED };
	call->request.views = views + 1;
	call->request.count = 2;
	ledger_ask(call, LEDGER_LOOKUP, history_tenant);
}

static void history_walked(struct ledger_call *call)
{
	const struct log_walk *walk = call->context;
	const struct movement *list = (const struct movement *)(const void *)walk->movements.ptr;
	size_t count = walk->movements.len / sizeof *list;
	if (walk->newest_first && walk->next)
		log_place_keep(call->app->places, walk->number, walk->next, walk->resume);
	if (walk->outcome != LOG_DONE || !count) {
		call->decided(call);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (list[i].event_len) {
			history_sliced(call);
			return;
		}
	history_name(call);
}

enum log_outcome log_outcome_of(enum past_outcome outcome)
{
	switch (outcome) {
	case PAST_PRUNED: return LOG_PRUNED;
	case PAST_UNREADABLE: return LOG_UNREADABLE;
	case PAST_BUSY: return LOG_BUSY;
	case PAST_DONE: break;
	}
	return LOG_DONE;
}

enum log_outcome log_moment_settle(struct ledger_call *call, struct log_moment *at, struct moment *moment)
{
	*moment = (struct moment){ .lsn = at->lsn, .time_ms = at->time_ms, .by_time = !at->lsn };
	enum past_outcome outcome = footers_moment(node_footers(call->app->node), moment);
	/* No record stands at 1: the beginning of the log is a moment, too. */
	*at = (struct log_moment){ .lsn = moment->lsn ? moment->lsn : 1, .time_ms = INT64_MAX };
	return log_outcome_of(outcome);
}

static void history_walk(struct ledger_call *call)
{
	struct log_walk *walk = call->context;
	struct moment moment;
	walk->outcome = log_moment_past(&walk->at) ? log_moment_settle(call, &walk->at, &moment) : LOG_DONE;
	if (walk->outcome)
		return;
	if (walk->instead)
		walk->instead(call);
	else
		log_walk_run(walk);
}

static void history_viewed(struct ledger_call *call)
{
	const struct account_view *view = ledger_view(call);
	struct log_walk *walk = call->context;
	uint64_t place;
	if (!view->found || (kind_is_sliced(view->kind) && !walk->instead)) {
		call->decided(call);
		return;
	}
	walk->wal = node_wal(call->app->node);
	walk->number = view->number;
	place = walk->newest_first ? log_place(call->app->places, view->number, walk->before) : 0;
	walk->head = place ? place : view->last_lsn;
	ledger_read(call, history_walk, history_walked);
}

void ledger_history(struct ledger_call *call, void (*after)(struct ledger_call *call))
{
	call->decided = after;
	ledger_ask(call, LEDGER_LOOKUP, history_viewed);
}

/* ---- as of -------------------------------------------------------------------------------------------------------------- */

struct log_sums *ledger_sums_new(struct ledger_call *call)
{
	struct log_sums *sums = mem_zalloc(sizeof *sums);
	sums->at.time_ms = INT64_MAX;
	call->context = sums;
	call->free_context = mem_free;
	return sums;
}

/* A tenant account: from a footer and what came behind it. */
static void sliced_sums(struct ledger_call *call, struct log_sums *sums)
{
	const struct account_view *view = ledger_view(call);
	struct str tenant = ledger_view_text(call, view->tenant_at, view->tenant_len);
	struct str unit = ledger_view_text(call, view->unit_at, view->unit_len);
	struct books books = { 0 };
	sums->outcome = log_outcome_of(footers_books(node_footers(call->app->node), tenant, sums->at.lsn, &books));
	uint32_t book = sums->outcome ? 0 : books_book(books.names, tenant, unit);
	if (!sums->outcome && (book >= books.line_count || !books.lines[book]))
		sums->outcome = LOG_ABSENT;
	if (!sums->outcome) {
		const u128 *from = books.lines[book]->sums[view->kind];
		sums->debits_posted = from[BOOKS_DEBITS];
		sums->credits_posted = from[BOOKS_CREDITS];
		sums->debits_pending = from[BOOKS_DEBITS_PENDING];
		sums->credits_pending = from[BOOKS_CREDITS_PENDING];
		sums->lsn = sums->moment.lsn;
	}
	books_free(&books);
}

static void sums_run(struct ledger_call *call)
{
	const struct account_view *view = ledger_view(call);
	struct log_sums *sums = call->context;
	sums->outcome = log_moment_past(&sums->at) ? log_moment_settle(call, &sums->at, &sums->moment) : LOG_DONE;
	if (sums->outcome || !view->found)
		return;
	if (kind_is_sliced(view->kind))
		sliced_sums(call, sums);
	else
		log_sums_run(sums);
}

static void sums_viewed(struct ledger_call *call)
{
	const struct account_view *view = ledger_view(call);
	struct log_sums *sums = call->context;
	if ((!view->found || kind_is_sliced(view->kind)) && !log_moment_past(&sums->at)) {
		call->decided(call);
		return;
	}
	sums->wal = node_wal(call->app->node);
	sums->number = view->number;
	sums->head = view->last_lsn;
	sums->debits_posted = view->debits_posted;
	sums->credits_posted = view->credits_posted;
	sums->debits_pending = view->debits_pending;
	sums->credits_pending = view->credits_pending;
	sums->flags = view->flags;
	ledger_read(call, sums_run, call->decided);
}

void ledger_as_of(struct ledger_call *call, void (*after)(struct ledger_call *call))
{
	call->decided = after;
	ledger_ask(call, LEDGER_LOOKUP, sums_viewed);
}

/* ---- transfers ---------------------------------------------------------------------------------------------------------- */

static void find_named(struct ledger_call *call)
{
	struct found_transfer *found = (struct found_transfer *)(void *)call->views.ptr;
	const u128 *ids = (const u128 *)(const void *)call->ids.ptr;
	for (uint32_t i = 0; i < call->request.count / 2; i++) {
		found[i].debit = ids[2 * i];
		found[i].credit = ids[2 * i + 1];
	}
	call->decided(call);
}

static void find_read_done(struct ledger_call *call)
{
	const struct found_transfer *found = (const struct found_transfer *)(const void *)call->views.ptr;
	uint32_t count = call->request.count;
	call->request.numbers = ledger_room(&call->numbers, 2 * (size_t)count, sizeof(uint32_t));
	call->request.ids = ledger_room(&call->ids, 2 * (size_t)count, sizeof(u128));
	call->request.count = 2 * count;
	for (uint32_t i = 0; i < count; i++)
		if (found[i].outcome == LOG_DONE) {
			call->request.numbers[2 * i] = found[i].movement.debit;
			call->request.numbers[2 * i + 1] = found[i].movement.credit;
		}
	ledger_ask(call, LEDGER_NAMES, find_named);
}

/* On a worker thread. */
static void find_read(struct ledger_call *call)
{
	const struct ledger_request *request = &call->request;
	struct found_transfer *found = (struct found_transfer *)(void *)call->views.ptr;
	for (uint32_t i = 0; i < request->count; i++) {
		bool failed;
		found[i].state = (enum found_state)request->states[i];
		if (found[i].state == FOUND_NOTHING)
			continue;
		found[i].outcome = log_transfer_read(node_wal(call->app->node), request->lsns[i], request->ids[i],
						     &found[i].movement, &failed, &found[i].refusal);
		/* Another id with the same hash: this one is unknown. */
		if (found[i].outcome == LOG_ABSENT)
			found[i].state = FOUND_NOTHING;
		else if (found[i].outcome == LOG_UNREADABLE)
			call->unreadable = true;
	}
}

static void find_asked(struct ledger_call *call)
{
	call->unreadable |= call->request.unreadable;
	ledger_read(call, find_read, find_read_done);
}

void ledger_find(struct ledger_call *call, uint32_t count, void (*after)(struct ledger_call *call))
{
	struct ledger_request *request = &call->request;
	call->decided = after;
	request->count = count;
	request->ids = (u128 *)(void *)call->ids.ptr;
	request->lsns = ledger_room(&call->lsns, count, sizeof *request->lsns);
	request->states = ledger_room(&call->states, count, sizeof *request->states);
	ledger_room(&call->views, count, sizeof(struct found_transfer));
	ledger_ask(call, LEDGER_FIND, find_asked);
}

bool log_moment_parse(struct str text, struct log_moment *at)
{
	uint64_t lsn = 0;
	*at = (struct log_moment){ .time_ms = INT64_MAX };
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9' || i >= 18)
			return time_parse(text, &at->time_ms);
		lsn = lsn * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	at->lsn = lsn;
	return lsn > 0;
}
