// SPDX-License-Identifier: Apache-2.0
/* statement.c - what moved an account between two moments, with its balance at both; and a wallet as it was.
 *
 * A whole account has a chain of its own in the log.  A tenant account has none: its balances come from footers, and what moved it is
 * found by reading the log between the two moments, segment by segment, past those in which the tenant has nothing.  One answer reads
 * at most SCAN_MAX of it, then says where to go on.
 */
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/event/effect.h"
#include "net/surface/ledger_text.h"
#include "net/surface/past.h"
#include "wal/cursor.h"

#define SCAN_MAX (UINT64_C(256) << 20)

struct statement {
	struct log_walk walk;          /* first: ledger_history works on it */
	struct moment from, to;
	uint64_t after;                /* of this page; 0: from the beginning */
	bool reversed;                 /* `from` is behind `to` */
	i128 opening, closing, carried;        /* carried: of a tenant account, where the page begins */
	bool customer;                 /* the account was not named by an id */
};

static struct task *task_of(const struct ledger_call *call)
{
	return call->owner;
}

static void statement_free(void *context)
{
	log_walk_free(context);
	mem_free(context);
}

/* ---- on a worker thread ------------------------------------------------------------------------------------------------ */

static enum log_outcome whole_balance(struct ledger_call *call, const struct moment *moment, i128 *balance)
{
	const struct account_view *view = ledger_view(call);
	struct log_sums sums = { .wal = node_wal(call->app->node), .number = view->number, .head = view->last_lsn,
				 .at = { .lsn = moment->lsn ? moment->lsn : 1, .time_ms = INT64_MAX },
				 .debits_posted = view->debits_posted, .credits_posted = view->credits_posted };
	log_sums_run(&sums);
	*balance = sums.outcome ? 0 : (i128)(sums.credits_posted - sums.debits_posted);
	return sums.outcome;
}

static enum log_outcome sliced_balance(struct ledger_call *call, uint64_t lsn, uint32_t *book, i128 *balance)
{
	const struct account_view *view = ledger_view(call);
	struct books books = { 0 };
	enum past_outcome outcome = footers_books(node_footers(call->app->node),
						  ledger_view_text(call, view->tenant_at, view->tenant_len), lsn, &books);
	*balance = 0;
	if (!outcome) {
		*book = books_book(books.names, ledger_view_text(call, view->tenant_at, view->tenant_len),
				   ledger_view_text(call, view->unit_at, view->unit_len));
		if (*book < books.line_count && books.lines[*book])
			*balance = books_balance(books.lines[*book], view->kind, false);
	}
	books_free(&books);
	return log_outcome_of(outcome);
}

struct scan {
	struct ledger_call *call;
	struct books_names *names;
	struct str tenant;
	uint32_t book;
	unsigned kind;
	bool points;                   /* the unit that events move */
};

static void scan_event(struct scan *scan, struct log_walk *walk, const struct event_view *event, uint64_t lsn)
{
	size_t text = walk->texts.len;
	uint16_t number = 0;
	buf_str(&walk->texts, event->id);
	struct effects effects = effects_of(event);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		unsigned type = effect.head.type;
		int moves = effect_kinds[type].moves;
		unsigned other = type == EFFECT_BURN || type == EFFECT_BURN_REVERSED ? ACCOUNT_REDEEMED : ACCOUNT_LIABILITY;
		if (!moves || !effect.head.points)
			continue;
		number++;
		if (other != scan->kind)
			continue;
		struct movement movement = {
			.lsn = lsn, .time_ms = event->head.time_ms, .amount = (uint64_t)effect.head.points,
			.requested = (uint64_t)effect.head.points, .debit = moves > 0 ? 0 : event->head.account,
			.credit = moves > 0 ? event->head.account : 0, .debit_kind = (uint8_t)(moves > 0 ? other : 0),
			.credit_kind = (uint8_t)(moves > 0 ? 0 : other), .number = (uint16_t)(number - 1), .event_at = text,
			.event_len = event->id.len,
		};
		buf_bytes(&walk->movements, &movement, sizeof movement);
	}
}

static bool is_side(const struct scan *scan, uint32_t number)
{
	uint32_t book;
	unsigned kind;
	return books_number(scan->names, number, &book, &kind) && book == scan->book && kind == scan->kind;
}

/* One record: whether it moves the account. */
static void scan_record(struct scan *scan, struct log_walk *walk, const unsigned char *record, const struct record_head *head,
			uint64_t lsn)
{
	struct transfer_view transfer;
	struct event_view event;
	if (head->type == RECORD_TRANSFER && transfer_record_read(record, head->size, &transfer) &&
	    (is_side(scan, transfer.head.debit) || is_side(scan, transfer.head.credit))) {
		struct movement movement;
		log_movement(&movement, &transfer);
		movement.lsn = lsn;
		buf_bytes(&walk->movements, &movement, sizeof movement);
	} else if (head->type == RECORD_EVENT && scan->points && event_view_read(record, head->size, &event) &&
		   str_eq(event.tenant, scan->tenant)) {
		scan_event(scan, walk, &event, lsn);
	}
}

/* The frame's records in (after, to].  False: the page is full; walk->next is where it ends. */
static bool scan_frame(struct scan *scan, struct statement *statement, const struct wal_frame *frame)
{
	struct log_walk *walk = &statement->walk;
	for (size_t at = 0; frame->kind == WAL_FRAME_RECORDS && at < frame->body_size;) {
		struct record_head head;
		uint64_t lsn = frame->lsn + WAL_FRAME_HEADER + at;
		if (!record_head_read(frame->body + at, frame->body_size - at, &head) || lsn > statement->to.lsn)
			return true;
		if (lsn > walk->after) {
			/* An event's movements stay together: a page may be a little longer. */
			if (walk->movements.len / sizeof(struct movement) >= walk->limit)
				return false;
			scan_record(scan, walk, frame->body + at, &head, lsn);
			walk->resume = lsn;
		}
		at += head.size;
	}
	return true;
}

static enum log_outcome sliced_scan(struct scan *scan, struct statement *statement)
{
	struct log_walk *walk = &statement->walk;
	struct footers *footers = node_footers(scan->call->app->node);
	struct wal_cursor cursor;
	struct wal_frame frame;
	enum cursor_result result = CURSOR_END;
	uint64_t begun, end, looked = 0;
	wal_cursor_begin(&cursor, walk->wal, footers_frame_before(footers, walk->after));
	begun = cursor.lsn;
	walk->next = 0;
	while (cursor.lsn <= statement->to.lsn) {
		if (cursor.lsn >= looked) {
			if (!footers_touched(footers, scan->tenant, cursor.lsn, &end) && end > cursor.lsn) {
				cursor.lsn = looked = end;
				continue;
			}
			looked = end > cursor.lsn ? end : UINT64_MAX;
		}
		if (cursor.lsn - begun > SCAN_MAX) {
			walk->next = cursor.lsn;
			break;
		}
		result = wal_cursor_next(&cursor, &frame);
		if (result != CURSOR_FRAME)
			break;
		if (!scan_frame(scan, statement, &frame)) {
			walk->next = walk->resume;
			break;
		}
	}
	walk->lsn = cursor.lsn;
	wal_cursor_end(&cursor);
	if (result == CURSOR_PRUNED)
		return LOG_PRUNED;
	return result == CURSOR_FRAME || result == CURSOR_END ? LOG_DONE : LOG_UNREADABLE;
}

static enum log_outcome sliced_run(struct ledger_call *call, struct statement *statement)
{
	const struct account_view *view = ledger_view(call);
	struct scan scan = { .call = call, .names = footers_names(node_footers(call->app->node)), .kind = view->kind,
			     .tenant = ledger_view_text(call, view->tenant_at, view->tenant_len),
			     .points = str_eq(ledger_view_text(call, view->unit_at, view->unit_len), STR("points")) };
	enum log_outcome outcome = sliced_balance(call, statement->from.lsn, &scan.book, &statement->opening);
	if (!outcome)
		outcome = sliced_balance(call, statement->to.lsn, &scan.book, &statement->closing);
	statement->carried = statement->opening;
	if (!outcome && statement->walk.after > statement->from.lsn)
		outcome = sliced_balance(call, statement->walk.after, &scan.book, &statement->carried);
	return outcome ? outcome : sliced_scan(&scan, statement);
}

static enum log_outcome whole_run(struct ledger_call *call, struct statement *statement)
{
	enum log_outcome opening = whole_balance(call, &statement->from, &statement->opening);
	enum log_outcome closing = whole_balance(call, &statement->to, &statement->closing);
	/* It may have come into being between the two. */
	if (opening && opening != LOG_ABSENT)
		return opening;
	if (closing)
		return closing;
	log_walk_run(&statement->walk);
	return statement->walk.outcome;
}

static void statement_run(struct ledger_call *call)
{
	struct statement *statement = call->context;
	struct footers *footers = node_footers(call->app->node);
	struct log_walk *walk = &statement->walk;
	walk->outcome = log_outcome_of(footers_moment(footers, &statement->from));
	if (!walk->outcome)
		walk->outcome = log_outcome_of(footers_moment(footers, &statement->to));
	statement->reversed = !walk->outcome && statement->from.lsn > statement->to.lsn;
	if (walk->outcome || statement->reversed)
		return;
	walk->after = statement->after > statement->from.lsn ? statement->after : statement->from.lsn;
	walk->at = (struct log_moment){ .lsn = statement->to.lsn ? statement->to.lsn : 1, .time_ms = INT64_MAX };
	walk->outcome = kind_is_sliced(ledger_view(call)->kind) ? sliced_run(call, statement) : whole_run(call, statement);
}

/* ---- the answer -------------------------------------------------------------------------------------------------------- */

static void moment_key(struct buf *out, const char *key, const struct moment *moment, i128 balance)
{
	buf_printf(out, ",\"%s\":{\"balance\":\"", key);
	i128_write(out, balance);
	buf_lit(out, "\",");
	moment_json(out, moment);
	buf_char(out, '}');
}

/* What a movement of a tenant account does to its balance. */
static i128 change_of(const struct movement *movement, unsigned kind)
{
	i128 change = 0;
	if (movement->flags & (TRANSFER_PENDING | TRANSFER_VOID | TRANSFER_EXPIRED))
		return 0;
	if (movement->debit_kind == kind)
		change -= (i128)movement->amount;
	if (movement->credit_kind == kind)
		change += (i128)movement->amount;
	return change;
}

static void movements_write(struct buf *out, const struct ledger_call *call, struct statement *statement)
{
	const struct log_walk *walk = &statement->walk;
	const struct account_view *view = ledger_view(call);
	const struct movement *list = (const struct movement *)(const void *)walk->movements.ptr;
	const u128 *ids = (const u128 *)(const void *)call->ids.ptr;
	i128 balance = statement->carried;
	for (size_t i = 0; i < walk->movements.len / sizeof *list; i++) {
		buf_str(out, i ? STR(",{") : STR("{"));
		transfer_json(out, &list[i], ids[2 * i], ids[2 * i + 1]);
		if (list[i].event_len) {
			buf_lit(out, ",\"event\":");
			buf_json_text(out, (struct str){ walk->texts.ptr + list[i].event_at, list[i].event_len });
		}
		balance = kind_is_sliced(view->kind) ? balance + change_of(&list[i], view->kind) : list[i].balance;
		buf_lit(out, ",\"balance\":\"");
		i128_write(out, balance);
		buf_lit(out, "\"}");
	}
}

static void statement_answer(struct ledger_call *call)
{
	struct statement *statement = call->context;
	struct task *task = task_of(call);
	const struct account_view *view = ledger_view(call);
	struct buf *out = &task->out;
	bool customer = statement->customer;
	if (!view->found) {
		ledger_call_end(call);
		task_problem(task, 404, "account_not_found", customer ? "the customer has no account of points" : "no account has this id");
		return;
	}
	if (!walk_answerable(task, call, statement->walk.outcome, statement->walk.lsn))
		return;
	if (statement->reversed) {
		ledger_call_end(call);
		task_problem(task, 400, "query_invalid", "from is a later moment than to");
		return;
	}
	buf_lit(out, "{\"account\":\"");
	id_write(out, view->id);
	buf_lit(out, "\",\"tenant\":");
	buf_json_text(out, ledger_view_text(call, view->tenant_at, view->tenant_len));
	buf_lit(out, ",\"unit\":");
	buf_json_text(out, ledger_view_text(call, view->unit_at, view->unit_len));
	buf_printf(out, ",\"kind\":\"%s\"", account_kind_name(view->kind));
	moment_key(out, "opening", &statement->from, statement->opening);
	moment_key(out, "closing", &statement->to, statement->closing);
	buf_lit(out, ",\"transfers\":[");
	movements_write(out, call, statement);
	if (statement->walk.next)
		buf_printf(out, "],\"next\":%llu}", (unsigned long long)statement->walk.next);
	else
		buf_lit(out, "],\"next\":null}");
	ledger_call_end(call);
	task_json(task, 200);
}

static void statement_start(struct task *task, u128 id, bool customer)
{
	struct moment from, to, after;
	bool has_from, has_to, has_after;
	size_t limit, offset;
	if (!task_parameters_known(task, "from to after limit") || !task_page(task, &limit, &offset, LIST_DEFAULT, ROWS_MAX) ||
	    !moment_parameter(task, "from", &from, &has_from) || !moment_parameter(task, "to", &to, &has_to) ||
	    !moment_parameter(task, "after", &after, &has_after))
		return;
	if (has_after && after.by_time) {
		task_problem(task, 400, "query_invalid", "the query parameter after must be the number that a statement gave as next");
		return;
	}
	if (!has_from)
		from = (struct moment){ .lsn = wal_first(node_wal(task->app->node)) };
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct statement *statement = mem_zalloc(sizeof *statement);
	statement->walk.at.time_ms = INT64_MAX;
	statement->walk.instead = statement_run;
	statement->walk.limit = (uint32_t)limit;
	statement->from = from;
	statement->to = to;
	statement->after = has_after ? after.lsn : 0;
	statement->customer = customer;
	call->context = statement;
	call->free_context = statement_free;
	ledger_view_ask(call, id, STR(""), STR(""), ACCOUNT_RAW);
	ledger_history(call, statement_answer);
}

static void account_statement(struct task *task)
{
	u128 id;
	struct str text = buf_view(&task->parts[0]);
	if (!id_parse(text, &id) || !id)
		task_problem(task, 404, "account_not_found", "an id is 32 hex digits or a decimal number below 2^128");
	else
		statement_start(task, id, false);
}

static u128 points_account(const struct task *task)
{
	return account_id_of_member(task->tenant, buf_view(&task->parts[1]), STR("default"), STR("points"));
}

static void customer_statement(struct task *task)
{
	if (task_brand_path(task, 0))
		statement_start(task, points_account(task), true);
}

/* ---- a wallet as it was ------------------------------------------------------------------------------------------------ */

static void wallet_write(struct task *task, i128 points, const struct moment *moment)
{
	buf_lit(&task->out, "{\"brand\":");
	buf_json_text(&task->out, task->tenant);
	buf_lit(&task->out, ",\"profileId\":");
	buf_json_text(&task->out, buf_view(&task->parts[1]));
	buf_lit(&task->out, ",\"points\":");
	i128_write(&task->out, points);
	buf_char(&task->out, ',');
	moment_json(&task->out, moment);
	buf_char(&task->out, '}');
	task_json(task, 200);
}

/* Without an account then: no points, if the customer was there. */
static void wallet_member(struct task *task)
{
	const struct moment *moment = task->context;
	const struct query *query = &task->query;
	if (query->found && query->created_ms <= moment->time_ms)
		wallet_write(task, 0, moment);
	else
		task_problem(task, 404, "customer_unknown", "customer %.*s did not exist in this brand then", (int)query->profile.len,
			     query->profile.ptr);
}

static void wallet_found(struct ledger_call *call)
{
	const struct log_sums *sums = call->context;
	struct task *task = task_of(call);
	struct moment moment = sums->moment;
	i128 points = (i128)(sums->credits_posted - sums->debits_posted);
	bool there = ledger_view(call)->found && sums->outcome == LOG_DONE;
	if (sums->outcome != LOG_ABSENT && !walk_answerable(task, call, sums->outcome, sums->lsn))
		return;
	ledger_call_end(call);
	if (there) {
		wallet_write(task, points, &moment);
		return;
	}
	task->context = mem_dup(&moment, sizeof moment);
	task->free_context = mem_free;
	task->query.kind = QUERY_MEMBER;
	task->query.tenant = task->tenant;
	task->query.profile = buf_view(&task->parts[1]);
	unsigned partition = partition_of(hash_name(HASH_MEMBER, task->tenant, task->query.profile));
	task_query(task, shard_of(partition, node_shards(task->app->node)), wallet_member);
}

void wallet_past(struct task *task, const struct moment *moment)
{
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct log_sums *sums = ledger_sums_new(call);
	sums->at = (struct log_moment){ .lsn = moment->by_time ? 0 : moment->lsn, .time_ms = moment->by_time ? moment->time_ms : INT64_MAX };
	ledger_view_ask(call, points_account(task), STR(""), STR(""), ACCOUNT_RAW);
	ledger_as_of(call, wallet_found);
}

const struct route statement_routes[] = {
	{ "GET", "/v1/accounts/{id}/statement", account_statement, "ledger.read",
	  "What moved an account between two moments, with its balance at both", NULL, .command = "ledger.statement" },
	{ "GET", "/customers/{brand}/{profile_id}/statement", customer_statement, "customers.read",
	  "What moved a customer's points between two moments, with the balance at both", NULL, .command = "customers.statement" },
	{ .method = NULL },
};
