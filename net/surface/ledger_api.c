// SPDX-License-Identifier: Apache-2.0
/* ledger_api.c - the ledger over HTTP, in its own words: accounts, transfers, history, refusals.  docs/api.md has the forms.
 *
 * A body is one document or an array of them.  One document is answered by itself: what it became, or a problem whose code is
 * the refusal's name.  An array is answered with what was refused, row by row. */
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/surface/ledger_text.h"
#include "net/surface/past.h"

/* Everything that is wrong with the body's documents. */
struct reader {
	struct problem problem;
	size_t index;                  /* of the document at hand */
	bool array;
};

static struct task *task_of(const struct ledger_call *call)
{
	return call->owner;
}

static void fault(struct reader *reader, const char *field, const char *what, const char *found)
{
	char pointer[64];
	if (reader->array)
		snprintf(pointer, sizeof pointer, "/%zu%s%s", reader->index, *field ? "/" : "", field);
	else
		snprintf(pointer, sizeof pointer, "%s%s", *field ? "/" : "", field);
	problem_set(&reader->problem, 422, "validation_failed", "the document does not have the expected shape");
	faults_add(&reader->problem.faults, pointer, "expected %s, found %s", what, found);
}

/* The documents of the body: an array's or the one; NULL after answering. */
static yyjson_val **documents(struct task *task, struct reader *reader, size_t *count, const char *parameters)
{
	yyjson_val *root, *item, **list;
	size_t i, max;
	if (!task_parameters_known(task, parameters) || !task_body_json(task))
		return NULL;
	root = yyjson_doc_get_root(task->doc);
	reader->array = yyjson_is_arr(root);
	*count = reader->array ? yyjson_arr_size(root) : 1;
	if (*count < 1 || *count > ROWS_MAX) {
		task_problem(task, 422, "validation_failed", "expected 1 to %d documents, found %zu", ROWS_MAX, *count);
		return NULL;
	}
	list = mem_alloc(*count * sizeof *list);
	list[0] = root;
	if (reader->array)
		yyjson_arr_foreach(root, i, max, item)
			list[i] = item;
	return list;
}

/* Which of the names (ended by NULL) a key is; -1 after a fault. */
static int field_of(struct reader *reader, yyjson_val *key, const char *const *names)
{
	struct str name = json_text(key);
	for (int k = 0; names[k]; k++)
		if (str_eq(name, str_of(names[k])))
			return k;
	struct buf text = { 0 };
	buf_bytes(&text, name.ptr, (size_t)text_cut(name, 40));
	buf_char(&text, '\0');
	fault(reader, text.ptr, "a field that is known here", "another one");
	buf_free(&text);
	return -1;
}

static void text_field(struct reader *reader, const char *name, yyjson_val *value, struct str *out)
{
	*out = json_text(value);
	if (!yyjson_is_str(value) || !task_name_ok(*out))
		fault(reader, name, "1 to 200 bytes of text", json_type_name(value));
}

static void id_field(struct reader *reader, const char *name, yyjson_val *value, u128 *out)
{
	if (!id_of_json(value, out))
		fault(reader, name, "32 hex digits or an unsigned integer of 128 bits", json_type_name(value));
}

static void number_field(struct reader *reader, const char *name, yyjson_val *value, uint64_t most, uint64_t *out)
{
	char what[64];
	if (json_u64(value, out) && *out <= most)
		return;
	snprintf(what, sizeof what, "an integer from 0 to %llu", (unsigned long long)most);
	fault(reader, name, what, json_is_number(value) ? "another number" : json_type_name(value));
}

/* ---- POST /v1/accounts --------------------------------------------------------------------------------------------------- */

static bool limit_field(struct reader *reader, const char *name, yyjson_val *value, int64_t none, int64_t *out)
{
	*out = none;
	if (!yyjson_is_null(value) && !json_int(value, out))
		fault(reader, name, "an integer of 64 signed bits, or null for none", json_type_name(value));
	return true;
}

static void spec_read(struct reader *reader, yyjson_val *document, struct account_spec *spec)
{
	enum { ID, TENANT, UNIT, KIND, FLOOR, CEILING, CLOSED, MEMBER, PROGRAM };
	static const char *const names[] = { "id", "tenant", "unit", "kind", "floor", "ceiling", "closed", "member", "program",
					     NULL };
	size_t i, max;
	yyjson_val *key, *value;
	bool has_id = false;
	*spec = (struct account_spec){ .kind = ACCOUNT_KINDS };
	if (!yyjson_is_obj(document)) {
		fault(reader, "", "an object", json_type_name(document));
		return;
	}
	yyjson_obj_foreach(document, i, max, key, value) {
		int field = field_of(reader, key, names);
		switch (field) {
		case ID:
			has_id = true;
			id_field(reader, names[field], value, &spec->id);
			break;
		case TENANT: text_field(reader, names[field], value, &spec->tenant); break;
		case UNIT: text_field(reader, names[field], value, &spec->unit); break;
		case MEMBER: text_field(reader, names[field], value, &spec->member); break;
		case PROGRAM: text_field(reader, names[field], value, &spec->program); break;
		case KIND:
			if (!account_kind_parse(json_text(value), &spec->kind))
				fault(reader, "kind", "raw, member, liability, redeemed, expired, adjusted or in_transit",
				      json_type_name(value));
			break;
		case FLOOR: spec->has_floor = limit_field(reader, "floor", value, NO_FLOOR, &spec->floor); break;
		case CEILING: spec->has_ceiling = limit_field(reader, "ceiling", value, NO_CEILING, &spec->ceiling); break;
		case CLOSED:
			if (!yyjson_is_bool(value))
				fault(reader, "closed", "true or false", json_type_name(value));
			spec->flags = yyjson_get_bool(value) ? ACCOUNT_CLOSED : 0;
			break;
		default: break;
		}
	}
	if (!spec->tenant.len)
		fault(reader, "tenant", "a text", "nothing");
	if (!spec->unit.len)
		fault(reader, "unit", "a text", "nothing");
	if (spec->kind == ACCOUNT_KINDS)
		spec->kind = spec->member.len ? ACCOUNT_MEMBER : ACCOUNT_RAW;
	if (spec->member.len && (has_id || spec->kind != ACCOUNT_MEMBER))
		fault(reader, "member", "kind member and no id (it follows from the names)", "another");
	if (spec->program.len && !spec->member.len)
		fault(reader, "program", "it beside member", "no member");
}

static void account_answer(struct ledger_call *call, int status)
{
	struct task *task = task_of(call);
	buf_char(&task->out, '{');
	account_json(&task->out, call, ledger_view(call), call->request.lsn);
	buf_char(&task->out, '}');
	ledger_call_end(call);
	task_json(task, status);
}

static void account_created(struct ledger_call *call)
{
	account_answer(call, 201);
}

static void account_existed(struct ledger_call *call)
{
	account_answer(call, 200);
}

/* A refusal by itself. */
static void answer_refused(struct ledger_call *call, enum refusal refusal)
{
	struct task *task = task_of(call);
	struct problem problem = { 0 };
	refusal_problem(&problem, refusal);
	ledger_call_end(call);
	task_faults(task, &problem);
	problem_free(&problem);
}

static void refusal_json(struct buf *out, uint32_t index, enum refusal refusal)
{
	const struct refusal_info *info = refusal_find(refusal);
	buf_printf(out, "{\"index\":%u,\"refusal\":%u,\"code\":\"%s\",\"detail\":", index, (unsigned)refusal,
		   info ? info->name : "");
	buf_json_text(out, str_of(info ? info->meaning : ""));
	buf_char(out, '}');
}

static void accounts_done(struct ledger_call *call)
{
	const struct ledger_request *request = &call->request;
	struct task *task = task_of(call);
	if (!yyjson_is_arr(yyjson_doc_get_root(task->doc))) {
		struct account_spec *spec = &request->specs[0];
		if (spec->refusal) {
			answer_refused(call, spec->refusal);
			return;
		}
		if (request->dry_run && !spec->existed) {
			ledger_view_dry(call, spec);
			account_answer(call, 200);
			return;
		}
		ledger_view_ask(call, spec->id, (struct str){ "", 0 }, (struct str){ "", 0 }, ACCOUNT_RAW);
		ledger_ask(call, LEDGER_LOOKUP, spec->existed ? account_existed : account_created);
		return;
	}
	bool first = true;
	buf_printf(&task->out, "{\"lsn\":%llu,\"results\":[", (unsigned long long)request->lsn);
	for (uint32_t i = 0; i < request->count; i++)
		if (request->specs[i].refusal) {
			buf_str(&task->out, first ? STR("") : STR(","));
			refusal_json(&task->out, i, request->specs[i].refusal);
			first = false;
		}
	buf_lit(&task->out, "],\"ids\":[");
	for (uint32_t i = 0; i < request->count; i++) {
		buf_str(&task->out, i ? STR(",\"") : STR("\""));
		id_write(&task->out, request->specs[i].id);
		buf_char(&task->out, '"');
	}
	buf_lit(&task->out, "]}");
	ledger_call_end(call);
	task_json(task, 200);
}

/* True: the documents are fine.  Else the task is answered. */
static bool reader_good(struct task *task, struct reader *reader)
{
	if (!reader->problem.status)
		return true;
	task_faults(task, &reader->problem);
	problem_free(&reader->problem);
	return false;
}

static void accounts_post(struct task *task)
{
	struct reader reader = { 0 };
	bool dry_run = false;
	size_t count;
	if (!task_bool_parameter(task, "dry_run", &dry_run))
		return;
	yyjson_val **list = documents(task, &reader, &count, "dry_run");
	if (!list)
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct account_spec *specs = ledger_room(&call->specs, count, sizeof *specs);
	for (reader.index = 0; reader.index < count; reader.index++)
		spec_read(&reader, list[reader.index], &specs[reader.index]);
	mem_free(list);
	if (!reader_good(task, &reader)) {
		ledger_call_end(call);
		return;
	}
	call->request.specs = specs;
	call->request.count = (uint32_t)count;
	call->request.dry_run = dry_run;
	ledger_ask(call, LEDGER_ACCOUNTS, accounts_done);
}

/* ---- POST /v1/transfers -------------------------------------------------------------------------------------------------- */

static uint16_t flags_field(struct reader *reader, yyjson_val *value)
{
	static const char *const names[] = { "linked", "pending", "post", "void", "balancing_debit", "balancing_credit" };
	uint64_t number = 0;
	size_t i, max;
	yyjson_val *item;
	if (!yyjson_is_arr(value)) {
		number_field(reader, "flags", value, UINT16_MAX, &number);
		return (uint16_t)number;
	}
	yyjson_arr_foreach(value, i, max, item) {
		unsigned f = 0;
		while (f < sizeof names / sizeof *names && !str_eq(json_text(item), str_of(names[f])))
			f++;
		if (f == sizeof names / sizeof *names)
			fault(reader, "flags", "linked, pending, post, void, balancing_debit or balancing_credit", "another");
		number |= 1U << f;
	}
	return (uint16_t)number;
}

static void row_read(struct reader *reader, yyjson_val *document, struct transfer_row *row)
{
	enum { ID, DEBIT, CREDIT, AMOUNT, CODE, FLAGS, TIMEOUT, PENDING_ID };
	static const char *const names[] = { "id", "debit", "credit", "amount", "code", "flags", "timeout", "pending_id", NULL };
	size_t i, max;
	yyjson_val *key, *value;
	uint64_t code = 0, timeout = 0;
	bool has_id = false, has_debit = false, has_pending = false;
	*row = (struct transfer_row){ 0 };
	if (!yyjson_is_obj(document)) {
		fault(reader, "", "an object", json_type_name(document));
		return;
	}
	yyjson_obj_foreach(document, i, max, key, value) {
		int field = field_of(reader, key, names);
		switch (field) {
		case ID:
			has_id = true;
			id_field(reader, "id", value, &row->id);
			break;
		case DEBIT:
		case PENDING_ID:
			has_debit |= field == DEBIT;
			has_pending |= field == PENDING_ID;
			id_field(reader, names[field], value, &row->debit);
			break;
		case CREDIT: id_field(reader, "credit", value, &row->credit); break;
		case AMOUNT: number_field(reader, "amount", value, UINT64_MAX, &row->amount); break;
		case CODE: number_field(reader, "code", value, UINT16_MAX, &code); break;
		case TIMEOUT: number_field(reader, "timeout", value, UINT32_MAX, &timeout); break;
		case FLAGS: row->flags = flags_field(reader, value); break;
		default: break;
		}
	}
	row->code = (uint16_t)code;
	row->timeout = (uint32_t)timeout;
	if (!has_id)
		fault(reader, "id", "an id", "nothing");
	if (has_debit && has_pending)
		fault(reader, "pending_id", "debit or pending_id (they are one field of the row)", "both");
}

/* One transfer, found again after it was made. */
static void transfer_answer(struct ledger_call *call)
{
	struct task *task = task_of(call);
	const struct found_transfer *found = (const struct found_transfer *)(const void *)call->views.ptr;
	if (!call_answerable(task, call))
		return;
	if (found->state == FOUND_NOTHING) {
		ledger_call_end(call);
		task_problem(task, 404, "transfer_not_found", "no transfer has this id");
		return;
	}
	if (found->outcome) {
		ledger_call_end(call);
		task_problem(task, 410, "outcome_pruned", "the transfer is known, but the part of the log with it was dropped");
		return;
	}
	const struct refusal_info *info = found->state == FOUND_FAILED ? refusal_find(found->refusal) : NULL;
	buf_char(&task->out, '{');
	if (info) {
		buf_lit(&task->out, "\"id\":\"");
		id_write(&task->out, found->movement.id);
		buf_printf(&task->out, "\",\"refusal\":%u,\"code\":\"%s\",\"lsn\":%llu", found->refusal, info->name,
			   (unsigned long long)found->movement.lsn);
	} else {
		transfer_json(&task->out, &found->movement, found->debit, found->credit);
	}
	buf_printf(&task->out, ",\"state\":\"%s\"}", transfer_state(found));
	ledger_call_end(call);
	task_json(task, task->status ? task->status : 200);
}

static void balances_json(struct buf *out, const struct buf *balances)
{
	buf_lit(out, ",\"balances\":[");
	for (size_t at = 0; at < balances->len; at += 2 * sizeof(int64_t)) {
		int64_t pair[2];
		memcpy(pair, balances->ptr + at, sizeof pair);
		buf_str(out, at ? STR(",[") : STR("["));
		for (unsigned side = 0; side < 2; side++) {
			buf_str(out, side ? STR(",") : STR(""));
			if (pair[side] == BALANCE_NONE)
				buf_lit(out, "null");
			else
				buf_i64(out, pair[side]);
		}
		buf_char(out, ']');
	}
	buf_char(out, ']');
}

static void transfers_done(struct ledger_call *call)
{
	const struct ledger_request *request = &call->request;
	struct task *task = task_of(call);
	uint32_t pair[2] = { 0, 0 };
	if (!call_answerable(task, call))
		return;
	if (!yyjson_is_arr(yyjson_doc_get_root(task->doc)) && !request->dry_run) {
		if (request->refused.len) {
			memcpy(pair, request->refused.ptr, sizeof pair);
			answer_refused(call, (enum refusal)pair[1]);
			return;
		}
		task->status = request->known_count ? 200 : 201;
		u128 id = row_load(request->rows).id;
		*(u128 *)ledger_room(&call->ids, 1, sizeof id) = id;
		ledger_find(call, 1, transfer_answer);
		return;
	}
	buf_printf(&task->out, "{\"lsn\":%llu,\"results\":[", (unsigned long long)request->lsn);
	for (size_t at = 0; at < request->refused.len; at += sizeof pair) {
		memcpy(pair, request->refused.ptr + at, sizeof pair);
		buf_str(&task->out, at ? STR(",") : STR(""));
		refusal_json(&task->out, pair[0], (enum refusal)pair[1]);
	}
	buf_char(&task->out, ']');
	if (request->want_balances)
		balances_json(&task->out, &request->balances);
	buf_char(&task->out, '}');
	ledger_call_end(call);
	task_json(task, 200);
}

static void transfers_post(struct task *task)
{
	struct reader reader = { 0 };
	bool dry_run = false, balances = false;
	size_t count;
	if (!task_bool_parameter(task, "dry_run", &dry_run) || !task_bool_parameter(task, "balances", &balances))
		return;
	yyjson_val **list = documents(task, &reader, &count, "dry_run balances");
	if (!list)
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct transfer_row *rows = ledger_room(&call->rows, count, sizeof *rows);
	for (reader.index = 0; reader.index < count; reader.index++)
		row_read(&reader, list[reader.index], &rows[reader.index]);
	mem_free(list);
	if (!reader_good(task, &reader)) {
		ledger_call_end(call);
		return;
	}
	call->request.rows = (const unsigned char *)rows;
	call->request.count = (uint32_t)count;
	call->request.dry_run = dry_run;
	call->request.want_balances = balances;
	ledger_transfers(call, transfers_done);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------- */

/* The id in the path; false after answering. */
static bool path_id(struct task *task, const char *what, u128 *id)
{
	if (id_parse(buf_view(&task->parts[0]), id))
		return true;
	task_problem(task, 404, what, "an id is 32 hex digits or a decimal number below 2^128");
	return false;
}

static bool lsn_parameter(struct task *task, const char *name, uint64_t *out)
{
	struct buf text = { 0 };
	struct log_moment moment = { 0 };
	bool found;
	if (!task_parameter(task, name, &text, &found))
		return false;
	bool good = !found || (log_moment_parse(buf_view(&text), &moment) && moment.lsn);
	buf_free(&text);
	*out = moment.lsn;
	if (!good)
		task_problem(task, 400, "query_invalid", "the query parameter %s must be an LSN", name);
	return good;
}

static bool at_parameter(struct task *task, struct log_moment *at)
{
	struct buf text = { 0 };
	bool found;
	*at = (struct log_moment){ .time_ms = INT64_MAX };
	if (!task_parameter(task, "at", &text, &found))
		return false;
	bool good = !found || log_moment_parse(buf_view(&text), at);
	buf_free(&text);
	if (good && at->lsn > wal_appended(node_wal(task->app->node))) {
		task_problem(task, 400, "query_invalid", "LSN %llu is beyond the end of the log", (unsigned long long)at->lsn);
		return false;
	}
	if (!good)
		task_problem(task, 400, "query_invalid", "the query parameter at must be an LSN or an RFC 3339 time");
	return good;
}

/* False after answering: no account, or a tenant account where its past is asked for. */
static bool account_there(struct ledger_call *call, bool past)
{
	const struct account_view *view = ledger_view(call);
	struct task *task = task_of(call);
	if (view->found && !(past && kind_is_sliced(view->kind)))
		return true;
	bool found = view->found;
	ledger_call_end(call);
	if (found)
		task_problem(task, 422, "sliced_account_has_no_history",
			     "a tenant account is kept in slices, without a chain of its own: ask for its statement, or for its whole accounts");
	else
		task_problem(task, 404, "account_not_found", "no account has this id");
	return false;
}

static void account_found(struct ledger_call *call)
{
	const struct log_sums *sums = call->context;
	struct account_view *view = ledger_view(call);
	bool past = log_moment_past(&sums->at);
	if (!account_there(call, false))
		return;
	if (past) {
		if (!walk_answerable(task_of(call), call, sums->outcome, sums->lsn))
			return;
		view->debits_posted = sums->debits_posted;
		view->credits_posted = sums->credits_posted;
		view->debits_pending = sums->debits_pending;
		view->credits_pending = sums->credits_pending;
		view->flags = sums->flags;
		view->last_lsn = sums->lsn;
	}
	struct task *task = task_of(call);
	buf_char(&task->out, '{');
	account_json(&task->out, call, view, past ? sums->moment.lsn : call->request.lsn);
	if (past) {
		buf_lit(&task->out, ",\"as_of\":{");
		moment_json(&task->out, &sums->moment);
		buf_char(&task->out, '}');
	}
	buf_char(&task->out, '}');
	ledger_call_end(call);
	task_json(task, 200);
}

static void account_get(struct task *task)
{
	struct log_moment at;
	u128 id;
	if (!path_id(task, "account_not_found", &id) || !task_parameters_known(task, "at") || !at_parameter(task, &at))
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	ledger_sums_new(call)->at = at;
	ledger_view_ask(call, id, (struct str){ "", 0 }, (struct str){ "", 0 }, ACCOUNT_RAW);
	ledger_as_of(call, account_found);
}

static void history_found(struct ledger_call *call)
{
	const struct log_walk *walk = call->context;
	struct task *task = task_of(call);
	if (!account_there(call, true) || !walk_answerable(task, call, walk->outcome, walk->lsn))
		return;
	const struct movement *list = (const struct movement *)(const void *)walk->movements.ptr;
	const u128 *ids = (const u128 *)(const void *)call->ids.ptr;
	buf_lit(&task->out, "{\"transfers\":[");
	for (size_t i = 0; i < walk->movements.len / sizeof *list; i++) {
		buf_str(&task->out, i ? STR(",{") : STR("{"));
		transfer_json(&task->out, &list[i], ids[2 * i], ids[2 * i + 1]);
		if (list[i].event_len) {
			buf_lit(&task->out, ",\"event\":");
			buf_json_text(&task->out, (struct str){ walk->texts.ptr + list[i].event_at, list[i].event_len });
		}
		buf_printf(&task->out, ",\"balance\":%lld}", (long long)list[i].balance);
	}
	if (walk->next)
		buf_printf(&task->out, "],\"next\":%llu}", (unsigned long long)walk->next);
	else
		buf_lit(&task->out, "],\"next\":null}");
	ledger_call_end(call);
	task_json(task, 200);
}

static void account_transfers(struct task *task)
{
	struct log_moment at;
	uint64_t before, after;
	size_t limit, offset;
	bool reverse = false;
	u128 id;
	if (!path_id(task, "account_not_found", &id) || !task_parameters_known(task, "limit reverse before after at") ||
	    !task_page(task, &limit, &offset, LIST_DEFAULT, ROWS_MAX) || !task_bool_parameter(task, "reverse", &reverse) ||
	    !lsn_parameter(task, "before", &before) || !lsn_parameter(task, "after", &after) || !at_parameter(task, &at))
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct log_walk *walk = ledger_walk_new(call);
	walk->at = at;
	walk->before = before;
	walk->after = after;
	walk->limit = (uint32_t)limit;
	walk->newest_first = reverse;
	ledger_view_ask(call, id, (struct str){ "", 0 }, (struct str){ "", 0 }, ACCOUNT_RAW);
	ledger_history(call, history_found);
}

static void transfer_get(struct task *task)
{
	u128 id;
	if (!path_id(task, "transfer_not_found", &id))
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	*(u128 *)ledger_room(&call->ids, 1, sizeof id) = id;
	ledger_find(call, 1, transfer_answer);
}

static void refusals_get(struct task *task)
{
	buf_char(&task->out, '[');
	for (const struct refusal_info *info = refusals; info->number; info++) {
		buf_printf(&task->out, "%s{\"number\":%u,\"name\":\"%s\",\"meaning\":", info == refusals ? "" : ",",
			   (unsigned)info->number, info->name);
		buf_json_text(&task->out, str_of(info->meaning));
		buf_printf(&task->out, ",\"burns\":%s}", info->burns ? "true" : "false");
	}
	buf_char(&task->out, ']');
	task_json(task, 200);
}

#define ROUTE(verb, pattern, handler, allowed, text, name) \
	{ .method = verb, .path = pattern, .handle = handler, .permission = allowed, .doc = text, .operation = name }

const struct route ledger_routes[] = {
	ROUTE("POST", "/v1/accounts", accounts_post, "ledger.write", "Creates an account, or an array of them",
	      "ledger.accounts.create"),
	ROUTE("GET", "/v1/accounts/{id}", account_get, "ledger.read", "An account with its sums, ?at= an LSN or a time",
	      "ledger.accounts.get"),
	ROUTE("GET", "/v1/accounts/{id}/transfers", account_transfers, "ledger.read", "What moved an account, both ways",
	      "ledger.accounts.transfers"),
	ROUTE("POST", "/v1/transfers", transfers_post, "ledger.write", "Makes a transfer, or an array of them",
	      "ledger.transfers.create"),
	ROUTE("GET", "/v1/transfers/{id}", transfer_get, "ledger.read", "A transfer and what became of it", "ledger.transfers.get"),
	ROUTE("GET", "/v1/refusals", refusals_get, "public", "Every refusal of the ledger: number, name, meaning, burns",
	      "ledger.refusals"),
	{ .method = NULL },
};
