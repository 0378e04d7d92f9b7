// SPDX-License-Identifier: Apache-2.0
/* ledger_read.c - MessagePack-RPC of the ledger's past: transfers by id, an account's history, balances as they were. */
#include "engine/base/time.h"
#include "net/rpc/ledger_pack.h"
#include "net/rpc/methods.h"
#include "net/rpc/shape.h"
#include "net/surface/past.h"

static struct rpc_request *rpc_of(const struct ledger_call *call)
{
	return call->owner;
}

static unsigned long long lsn_of(uint64_t lsn)
{
	return lsn;
}

/* Answers where the log does not hold what is needed (law L10).  True: it does. */
static bool outcome_good(struct ledger_call *call, enum log_outcome outcome, uint64_t lsn)
{
	struct rpc_request *request = rpc_of(call);
	struct buf text = { 0 };
	switch (outcome) {
	case LOG_DONE: return true;
	case LOG_PRUNED:
		history_pruned_text(&text, node_wal(call->app->node), "what is asked for");
		rpc_error(request, 410, "history_pruned", -1, "%.*s", (int)text.len, text.ptr);
		buf_free(&text);
		break;
	case LOG_BUSY: rpc_error(request, 503, "history_not_ready", -1, HISTORY_BUSY_TEXT); break;
	case LOG_UNREADABLE: rpc_error(request, 500, "log_unreadable", -1, LOG_UNREADABLE_TEXT); break;
	case LOG_TOO_LONG:
		rpc_error(request, 422, "query_too_broad", -1,
			  "more than %d records would have to be read (down to LSN %llu); narrow it with before and after",
			  LOG_WALK_MAX, lsn_of(lsn));
		break;
	case LOG_ABSENT:
		rpc_error(request, 404, "account_not_found", -1, "the account did not exist then");
		break;
	}
	ledger_call_end(call);
	return false;
}

/* Answers where there is no account with a history. */
static bool account_good(struct ledger_call *call, bool sliced_too)
{
	const struct account_view *view = ledger_view(call);
	if (!view->found)
		rpc_error(rpc_of(call), 404, "account_not_found", -1, "no account has this id");
	else if (kind_is_sliced(view->kind) && !sliced_too)
		rpc_error(rpc_of(call), 422, "sliced_account_has_no_history", -1,
			  "a tenant account is kept in slices, without a chain of its own: ask for its statement, or for its whole accounts");
	else
		return true;
	ledger_call_end(call);
	return false;
}

/* ---- parameters ------------------------------------------------------------------------------------------------------- */

enum { KEY_ID, KEY_AT, KEY_AT_MS, KEY_LIMIT, KEY_REVERSE, KEY_BEFORE, KEY_AFTER };

static const char *const names[] = { "id", "at", "at_ms", "limit", "reverse", "before", "after", NULL };

struct question {
	struct account_name account;
	struct log_moment at;
	uint64_t limit, before, after;
	bool reverse;
	unsigned seen;
};

static bool moment_read(struct rpc_place place, struct rpc_reader *reader, struct log_moment *at)
{
	struct str text;
	if (rpc_read_str(reader, &text))
		return time_parse(text, &at->time_ms) || field_fault(place, "expected an LSN or an RFC 3339 time");
	if (!field_uint(place, reader, INT64_MAX, &at->lsn))
		return false;
	return at->lsn || field_fault(place, "an LSN is greater than 0");
}

static bool question_value(struct rpc_place place, struct rpc_reader *reader, unsigned key, struct question *question)
{
	switch (key) {
	case KEY_ID: return field_account(place, reader, &question->account);
	case KEY_AT: return moment_read(place, reader, &question->at);
	case KEY_AT_MS: return field_int(place, reader, &question->at.time_ms);
	case KEY_LIMIT:
		if (!field_uint(place, reader, ROWS_MAX, &question->limit))
			return false;
		return question->limit || field_fault(place, "expected 1 to %d", ROWS_MAX);
	case KEY_REVERSE: return field_bool(place, reader, &question->reverse);
	case KEY_BEFORE: return rpc_read_nil(reader) || field_uint(place, reader, INT64_MAX, &question->before);
	default: return rpc_read_nil(reader) || field_uint(place, reader, INT64_MAX, &question->after);
	}
}

/* The one map that is the parameter; `allowed` has a bit for each key. */
static bool question_read(struct app *app, struct rpc_request *request, unsigned allowed, struct question *question)
{
	struct rpc_place place = { request, -1, "params" };
	struct rpc_reader reader = rpc_params(request);
	unsigned key;
	uint32_t count;
	*question = (struct question){ .limit = ROWS_MAX, .at.time_ms = INT64_MAX };
	if (request->param_count != 1)
		return field_fault(place, "expected one map");
	if (!field_map(place, &reader, &count))
		return false;
	for (; count; count--) {
		if (!field_key(place, &reader, names, &question->seen, &key))
			return false;
		if (!(allowed & 1U << key))
			return field_fault(place, "the field %s is not known here", names[key]);
		if (!question_value((struct rpc_place){ request, -1, names[key] }, &reader, key, question))
			return false;
	}
	if (!(question->seen & 1U << KEY_ID))
		return field_fault(place, "id is required");
	if ((question->seen & 1U << KEY_AT) && (question->seen & 1U << KEY_AT_MS))
		return field_fault(place, "at or at_ms, not both");
	uint64_t end = wal_appended(node_wal(app->node));
	if (question->at.lsn > end)
		return field_fault(place, "LSN %llu is beyond the end of the log, %llu", lsn_of(question->at.lsn), lsn_of(end));
	return true;
}

/* ---- history ---------------------------------------------------------------------------------------------------------- */

static void history_found(struct ledger_call *call)
{
	const struct log_walk *walk = call->context;
	if (!account_good(call, false) || !outcome_good(call, walk->outcome, walk->lsn))
		return;
	const struct movement *list = (const struct movement *)(const void *)walk->movements.ptr;
	const u128 *ids = (const u128 *)(const void *)call->ids.ptr;
	size_t count = walk->movements.len / sizeof *list;
	struct buf *out = rpc_reply_begin(rpc_of(call));
	pack_map(out, 2);
	pack_key(out, "transfers");
	pack_array(out, count);
	for (size_t i = 0; i < count; i++)
		pack_movement(out, walk, &list[i], ids[2 * i], ids[2 * i + 1]);
	pack_key(out, "next");
	if (walk->next)
		pack_u64(out, walk->next);
	else
		pack_nil(out);
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

static void account_transfers(struct app *app, struct rpc_request *request)
{
	struct question question;
	if (!question_read(app, request, ~0U, &question))
		return;
	struct ledger_call *call = ledger_call_new(app, request);
	struct log_walk *walk = ledger_walk_new(call);
	walk->before = question.before;
	walk->after = question.after;
	walk->at = question.at;
	walk->limit = (uint32_t)question.limit;
	walk->newest_first = question.reverse;
	ledger_view_ask(call, question.account.id, question.account.tenant, question.account.unit, question.account.kind);
	ledger_history(call, history_found);
}

/* ---- balances --------------------------------------------------------------------------------------------------------- */

static void balances_found(struct ledger_call *call)
{
	const struct log_sums *sums = call->context;
	struct account_view *view = ledger_view(call);
	bool past = log_moment_past(&sums->at);
	if (!account_good(call, true))
		return;
	if (past || !kind_is_sliced(view->kind)) {
		if (!outcome_good(call, sums->outcome, sums->lsn))
			return;
		view->debits_posted = sums->debits_posted;
		view->credits_posted = sums->credits_posted;
		view->debits_pending = sums->debits_pending;
		view->credits_pending = sums->credits_pending;
		view->flags = sums->flags;
		view->last_lsn = sums->lsn;
	}
	struct buf *out = rpc_reply_begin(rpc_of(call));
	pack_account(out, call, view, past ? sums->moment.lsn : call->request.lsn, past ? &sums->moment : NULL);
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

static void balances(struct app *app, struct rpc_request *request)
{
	struct question question;
	if (!question_read(app, request, 1U << KEY_ID | 1U << KEY_AT | 1U << KEY_AT_MS, &question))
		return;
	struct ledger_call *call = ledger_call_new(app, request);
	ledger_sums_new(call)->at = question.at;
	ledger_view_ask(call, question.account.id, question.account.tenant, question.account.unit, question.account.kind);
	ledger_as_of(call, balances_found);
}

/* ---- transfers -------------------------------------------------------------------------------------------------------- */

static void transfers_found(struct ledger_call *call)
{
	const struct found_transfer *found = (const struct found_transfer *)(const void *)call->views.ptr;
	uint32_t count = call->request.count / 2;
	if (!call_readable(call))
		return;
	struct buf *out = rpc_reply_begin(rpc_of(call));
	pack_array(out, count);
	for (uint32_t i = 0; i < count; i++)
		pack_found(out, &found[i]);
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

static void lookup_transfers(struct app *app, struct rpc_request *request)
{
	struct rpc_place place = { request, -1, "ids" };
	struct rpc_reader reader = rpc_params(request);
	uint32_t count;
	if (request->param_count != 1) {
		field_fault(place, "expected one array of ids");
		return;
	}
	if (!field_array(place, &reader, 1, ROWS_MAX, &count))
		return;
	struct ledger_call *call = ledger_call_new(app, request);
	u128 *ids = ledger_room(&call->ids, count, sizeof *ids);
	for (uint32_t i = 0; i < count; i++)
		if (!field_id((struct rpc_place){ request, i, "id" }, &reader, &ids[i])) {
			ledger_call_end(call);
			return;
		}
	ledger_find(call, count, transfers_found);
}

#define MOMENT \
	"'at':{'oneOf':[{'title':'lsn','type':'integer','minimum':1},{'type':'string','format':'date-time'}]},'at_ms':{'type':'integer'}"

#define HISTORY \
	"{'type':'object','properties':{'id':" SHAPE_ACCOUNT "," MOMENT ",'limit':{'type':'integer','minimum':1,'maximum':8190}," \
	"'reverse':{'type':'boolean'},'before':{'type':['integer','null'],'minimum':0},'after':{'type':['integer','null'],'minimum':0}}," \
	"'required':['id'],'additionalProperties':false}"

#define BALANCES "{'type':'object','properties':{'id':" SHAPE_ACCOUNT "," MOMENT "},'required':['id'],'additionalProperties':false}"

const struct rpc_method rpc_history_methods[] = {
	{ "ledger.lookup_transfers", lookup_transfers, "ledger.read", "Transfers and what became of them, nil for unknown ones: [id, …]",
	  SHAPE_LIST(SHAPE_ID), NULL },
	{ "ledger.account_transfers", account_transfers, "ledger.read",
	  "An account's history: {id, limit?, reverse?, before?, after?, at?, at_ms?}", SHAPE_PARAMS(HISTORY), NULL },
	{ "ledger.balances", balances, "ledger.read", "An account as it was: {id, at? (LSN or RFC 3339), at_ms?}", SHAPE_PARAMS(BALANCES),
	  NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
