// SPDX-License-Identifier: Apache-2.0
/* past.c - questions about a moment: what a tenant owed, what a customer had. */
#include "net/surface/past.h"

#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/base/utf8.h"
#include "net/loop/logline.h"
#include "net/surface/ledger_text.h"

void history_pruned_text(struct buf *out, const struct wal *wal, const char *what)
{
	int64_t time_ms;
	uint64_t first = wal_history(wal, &time_ms);
	buf_printf(out, "%s is no longer kept: history begins at LSN %llu", what, (unsigned long long)first);
	if (time_ms) {
		buf_lit(out, ", ");
		time_write(out, time_ms);
	}
}

bool moment_parameter(struct task *task, const char *name, struct moment *moment, bool *given)
{
	struct buf text = { 0 };
	struct log_moment at;
	*moment = (struct moment){ .lsn = wal_durable(node_wal(task->app->node)) };
	if (!task_parameter(task, name, &text, given))
		return false;
	bool good = !*given || log_moment_parse(buf_view(&text), &at);
	buf_free(&text);
	if (!good) {
		task_problem(task, 400, "query_invalid", "the query parameter %s must be an LSN or an RFC 3339 time", name);
		return false;
	}
	if (!*given)
		return true;
	*moment = (struct moment){ .lsn = at.lsn, .time_ms = at.time_ms, .by_time = !at.lsn };
	if (at.lsn <= wal_appended(node_wal(task->app->node)))
		return true;
	task_problem(task, 400, "query_invalid", "LSN %llu is beyond the end of the log", (unsigned long long)at.lsn);
	return false;
}

void moment_json(struct buf *out, const struct moment *moment)
{
	buf_printf(out, "\"lsn\":%llu,\"time\":", (unsigned long long)moment->lsn);
	if (moment->time_ms == INT64_MIN) {
		buf_lit(out, "null");
		return;
	}
	buf_char(out, '"');
	time_write(out, moment->time_ms);
	buf_char(out, '"');
}

bool past_answerable(struct task *task, enum past_outcome outcome)
{
	struct buf text = { 0 };
	switch (outcome) {
	case PAST_DONE: return true;
	case PAST_PRUNED:
		history_pruned_text(&text, node_wal(task->app->node), "what is asked for");
		task_problem(task, 410, "history_pruned", "%.*s", (int)text.len, text.ptr);
		buf_free(&text);
		break;
	case PAST_UNREADABLE: task_problem(task, 500, "log_unreadable", LOG_UNREADABLE_TEXT); break;
	case PAST_BUSY: task_problem(task, 503, "history_not_ready", HISTORY_BUSY_TEXT); break;
	}
	return false;
}

/* ---- liability --------------------------------------------------------------------------------------------------------- */

static void amount_json(struct buf *out, const char *key, i128 amount)
{
	buf_printf(out, ",\"%s\":\"", key);
	i128_write(out, amount);
	buf_char(out, '"');
}

static bool book_json(struct buf *out, const struct books *books, uint32_t book)
{
	const struct books_line *line = books->lines[book];
	uint32_t tenant;
	i128 members = books_balance(line, ACCOUNT_MEMBER, false), sum = 0;
	for (unsigned k = 0; k < ACCOUNT_KINDS; k++)
		sum += books_balance(line, (enum account_kind)k, false);
	buf_lit(out, "{\"unit\":");
	buf_json_text(out, books_unit(books->names, book, &tenant));
	amount_json(out, "outstanding", members);
	amount_json(out, "reserved", -books_balance(line, ACCOUNT_MEMBER, true));
	/* No points expire yet: all of them stand under no month. */
	buf_lit(out, ",\"by_month\":[{\"month\":null");
	amount_json(out, "outstanding", members);
	buf_lit(out, "}],\"proof\":{\"members\":\"");
	i128_write(out, members);
	buf_char(out, '"');
	for (unsigned k = ACCOUNT_FIRST_SLICED; k < ACCOUNT_KINDS; k++)
		amount_json(out, account_kind_name((enum account_kind)k), books_balance(line, (enum account_kind)k, false));
	amount_json(out, "raw", books_balance(line, ACCOUNT_RAW, false));
	amount_json(out, "sum", sum);
	buf_str(out, sum == 0 ? STR(",\"holds\":true}}") : STR(",\"holds\":false}}"));
	return sum == 0;
}

void liability_json(struct buf *out, struct str tenant, const struct moment *moment, const struct books *books, bool *sums)
{
	bool first = true;
	*sums = true;
	buf_lit(out, "{\"tenant\":");
	buf_json_text(out, tenant);
	buf_char(out, ',');
	moment_json(out, moment);
	buf_lit(out, ",\"units\":[");
	for (uint32_t b = 0; b < books->line_count; b++) {
		if (!books->lines[b])
			continue;
		if (!first)
			buf_char(out, ',');
		*sums &= book_json(out, books, b);
		first = false;
	}
	buf_lit(out, "]}");
}

struct question {
	struct moment moment;
	enum past_outcome outcome;
	bool found, sums;
};

static void liability_read(struct task *task)
{
	struct question *question = task->context;
	struct footers *footers = node_footers(task->app->node);
	struct str tenant = buf_view(&task->parts[0]);
	struct books books = { 0 };
	question->outcome = footers_moment(footers, &question->moment);
	if (question->outcome)
		return;
	question->outcome = footers_books(footers, tenant, question->moment.lsn, &books);
	for (uint32_t b = 0; b < books.line_count; b++)
		question->found |= books.lines[b] != NULL;
	if (!question->outcome)
		liability_json(&task->out, tenant, &question->moment, &books, &question->sums);
	books_free(&books);
}

static void liability_answer(struct task *task)
{
	const struct question *question = task->context;
	struct str tenant = buf_view(&task->parts[0]);
	if (!past_answerable(task, question->outcome))
		return;
	if (!question->found) {
		task_problem(task, 404, "tenant_not_found", "the tenant %.*s has no books at LSN %llu", text_cut(tenant, 100), tenant.ptr,
			     (unsigned long long)question->moment.lsn);
		return;
	}
	if (!question->sums)
		log_line(LOG_LEVEL_ERROR, "books", "a book of the tenant %.*s does not sum to zero at LSN %llu", (int)tenant.len,
			 tenant.ptr, (unsigned long long)question->moment.lsn);
	task_json(task, 200);
}

static void liability_get(struct task *task)
{
	struct question *question = mem_zalloc(sizeof *question);
	bool given;
	task->context = question;
	task->free_context = mem_free;
	if (!task_parameters_known(task, "at") || !moment_parameter(task, "at", &question->moment, &given))
		return;
	task_read(task, liability_read, liability_answer);
}

/* A handler that answers itself frees the task, and with it the question: nothing may follow but return. */

const struct route past_routes[] = {
	{ "GET", "/v1/tenants/{tenant}/liability", liability_get, "ledger.read",
	  "What a tenant owes by unit and month of expiry, with the proof that it sums; ?at= an LSN or a time", NULL,
	  .command = "tenants.liability" },
	{ .method = NULL },
};
