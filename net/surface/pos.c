// SPDX-License-Identifier: Apache-2.0
/* pos.c - the POS loyalty platform's ledger service: accounts of organizations and their customers, transfers between them.
 *
 * Its accounts are the ledger's.  A customer's account of type Asset, the main one, is the member account of (org, customer,
 * program "default"): the one that events earn into.  Another type of a customer is a program named by the type.  Without a
 * customer an account is the organization's own:
 *
 *     1 Asset      in_transit        4 Revenue    expired (breakage)
 *     2 Liability  liability         5 Expense    redeemed
 *     3 Equity     adjusted
 *
 * An organization's liability accounts, one for points and one for stamps, come into being with its first account.  Outside, an
 * account's id is a_ and 32 hex digits.  A transfer's id is text; with the organization it is hashed to the 128 bits of the
 * ledger, so that the same text in two organizations is two transfers.
 *
 * Errors are {"error": sentence, "code": word, "errors"?: [{pointer, detail}]}.
 */
#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/base/time.h"
#include "engine/base/utf8.h"
#include "engine/ledger/ids.h"
#include "net/surface/ledger_text.h"

enum { TYPE_ASSET = 1, TYPE_LIABILITY, TYPE_EQUITY, TYPE_REVENUE, TYPE_EXPENSE, TYPES = TYPE_EXPENSE };

static const struct account_type {
	const char *name, *program;    /* program: of a customer's account */
	enum account_kind kind;        /* of the organization's own */
} types[TYPES + 1] = {
	[TYPE_ASSET] = { "Asset", "default", ACCOUNT_IN_TRANSIT },
	[TYPE_LIABILITY] = { "Liability", "liability", ACCOUNT_LIABILITY },
	[TYPE_EQUITY] = { "Equity", "equity", ACCOUNT_ADJUSTED },
	[TYPE_REVENUE] = { "Revenue", "revenue", ACCOUNT_EXPIRED },
	[TYPE_EXPENSE] = { "Expense", "expense", ACCOUNT_REDEEMED },
};

static const struct str units[] = { { "points", 6 }, { "stamps", 6 } };

/* What a request said, kept while the ledger works. */
struct job {
	struct str org, customer, id, unit;
	struct buf id_text;            /* of an id that came as a number */
	unsigned type;
	u128 debit, credit, transfer;
	uint64_t amount;
	uint16_t code;
	bool dry_run;
};

static void job_free(void *context)
{
	struct job *job = context;
	buf_free(&job->id_text);
	mem_free(job);
}

static struct task *task_of(const struct ledger_call *call)
{
	return call->owner;
}

static void pos_problem(struct buf *out, int status, const char *code, const struct faults *faults, const char *detail)
{
	struct str sentence = str_of(detail);
	(void)status;
	while (!utf8_valid(sentence))          /* it may have been cut within a character */
		sentence.len--;
	buf_lit(out, "{\"error\":");
	buf_json_text(out, sentence);
	buf_lit(out, ",\"code\":");
	buf_json_text(out, str_of(code));
	if (faults && faults->count) {
		buf_lit(out, ",\"errors\":");
		faults_json(faults, out);
	}
	buf_char(out, '}');
}

/* ---- fields --------------------------------------------------------------------------------------------------------------- */

static void fault(struct problem *problem, const char *pointer, const char *format, const char *what)
{
	problem_set(problem, 422, "validation_failed", "the document does not have the expected shape");
	faults_add(&problem->faults, pointer, format, what);
}

static void text_field(struct problem *problem, const char *pointer, yyjson_val *value, bool required, struct str *out)
{
	*out = json_text(value);
	if (!required && (!value || yyjson_is_null(value)))
		return;
	if (!value)
		fault(problem, pointer, "%s is required", pointer + 1);
	else if (!yyjson_is_str(value) || !task_name_ok(*out))
		fault(problem, pointer, "expected 1 to 200 bytes of text, found %s", json_type_name(value));
}

/* The body as an object that has no other keys than these (ended by NULL); false after answering. */
static bool body_object(struct task *task, const char *const *names, yyjson_val **object)
{
	struct problem problem = { 0 };
	size_t i, max;
	yyjson_val *key, *value;
	if (!task_body_json(task))
		return false;
	*object = yyjson_doc_get_root(task->doc);
	if (!yyjson_is_obj(*object)) {
		task_problem(task, 422, "validation_failed", "expected an object, found %s", json_type_name(*object));
		return false;
	}
	yyjson_obj_foreach(*object, i, max, key, value) {
		const char *const *name = names;
		while (*name && !str_eq(json_text(key), str_of(*name)))
			name++;
		if (*name)
			continue;
		struct buf pointer = { 0 };
		pointer_push(&pointer, json_text(key));
		fault(&problem, pointer_text(&pointer), "%s", "this field is not known here");
		buf_free(&pointer);
	}
	if (!problem.status)
		return true;
	task_faults(task, &problem);
	problem_free(&problem);
	return false;
}

/* The organization from the body or the query against X-Tenant, where that is given; false after answering. */
static bool org_agrees(struct task *task, struct str org)
{
	struct str header = http_request_header(task->request, "x-tenant");
	if (!header.len || !org.len || str_eq(header, org))
		return true;
	task_problem(task, 400, "tenant_mismatch", "org_id is %.*s, but X-Tenant says %.*s", text_cut(org, 100), org.ptr,
		     text_cut(header, 100), header.ptr);
	return false;
}

static bool account_id(struct str text, u128 *id)
{
	return text.len == 34 && text.ptr[0] == 'a' && text.ptr[1] == '_' && id_parse_hex((struct str){ text.ptr + 2, 32 }, id);
}

static void account_id_json(struct buf *out, u128 id)
{
	buf_lit(out, "\"a_");
	id_write(out, id);
	buf_char(out, '"');
}

/* 0, not remembered or never happened, is null. */
static void time_json(struct buf *out, int64_t time_ms)
{
	if (!time_ms) {
		buf_lit(out, "null");
		return;
	}
	buf_char(out, '"');
	time_write(out, time_ms);
	buf_char(out, '"');
}

static unsigned type_of(const struct ledger_call *call, const struct account_view *view)
{
	struct str program = ledger_view_text(call, view->program_at, view->program_len);
	for (unsigned t = TYPE_ASSET; t <= TYPES; t++)
		if (kind_is_sliced(view->kind) ? types[t].kind == view->kind : str_eq(program, str_of(types[t].program)))
			return t;
	return TYPE_ASSET;
}

static void pos_account_json(struct buf *out, const struct ledger_call *call, const struct account_view *view)
{
	struct str customer = ledger_view_text(call, view->member_at, view->member_len);
	unsigned type = type_of(call, view);
	buf_lit(out, "{\"id\":");
	account_id_json(out, view->id);
	buf_lit(out, ",\"org_id\":");
	buf_json_text(out, ledger_view_text(call, view->tenant_at, view->tenant_len));
	buf_lit(out, ",\"customer_id\":");
	if (customer.len)
		buf_json_text(out, customer);
	else
		buf_lit(out, "null");
	buf_printf(out, ",\"account_type\":%u,\"code\":%u,\"unit\":", type, type);
	buf_json_text(out, ledger_view_text(call, view->unit_at, view->unit_len));
	buf_lit(out, ",\"debits_posted\":");
	u128_write(out, view->debits_posted);
	buf_lit(out, ",\"credits_posted\":");
	u128_write(out, view->credits_posted);
	buf_lit(out, ",\"debits_pending\":");
	u128_write(out, view->debits_pending);
	buf_lit(out, ",\"credits_pending\":");
	u128_write(out, view->credits_pending);
	buf_lit(out, ",\"balance\":");
	i128_write(out, (i128)(view->credits_posted - view->debits_posted));
	buf_lit(out, ",\"timestamp\":");
	time_json(out, view->created_ms);
	buf_char(out, '}');
}

static void answer_refused(struct ledger_call *call, enum refusal refusal)
{
	struct task *task = task_of(call);
	struct problem problem = { 0 };
	refusal_problem(&problem, refusal);
	ledger_call_end(call);
	task_faults(task, &problem);
	problem_free(&problem);
}

/* ---- POST /api/v1/accounts ------------------------------------------------------------------------------------------------ */

static void account_answer(struct ledger_call *call)
{
	struct task *task = task_of(call);
	const struct account_view *view = ledger_view(call);
	ASSERT(view->found);
	pos_account_json(&task->out, call, view);
	ledger_call_end(call);
	task_json(task, task->status);
}

/* The same account with limits or flags that were set elsewhere is still the same account. */
static bool is_there(const struct account_spec *spec)
{
	return spec->existed || spec->refusal == REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_LIMITS ||
	       spec->refusal == REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS ||
	       spec->refusal == REFUSED_SLICED_ACCOUNT_HAS_ANOTHER_ID;
}

static void account_created(struct ledger_call *call)
{
	const struct account_spec *specs = call->request.specs;
	const struct job *job = call->context;
	for (uint32_t i = 0; i < call->request.count; i++)
		if (specs[i].refusal && !is_there(&specs[i])) {
			answer_refused(call, specs[i].refusal);
			return;
		}
	task_of(call)->status = MUTATE(105, is_there(&specs[0]), false) || call->request.dry_run ? 200 : 201;
	if (call->request.dry_run && !is_there(&specs[0])) {
		ledger_view_dry(call, &specs[0]);
		account_answer(call);
		return;
	}
	if (job->customer.len)
		ledger_view_ask(call, specs[0].id, STR(""), STR(""), ACCOUNT_RAW);
	else
		ledger_view_ask(call, 0, job->org, job->unit, types[job->type].kind);
	ledger_ask(call, LEDGER_LOOKUP, account_answer);
}

static void account_job(struct problem *problem, yyjson_val *body, struct job *job)
{
	int64_t type = 0, code = 0;
	yyjson_val *value;
	text_field(problem, "/org_id", json_get(body, STR("org_id")), true, &job->org);
	text_field(problem, "/customer_id", json_get(body, STR("customer_id")), false, &job->customer);
	text_field(problem, "/unit", json_get(body, STR("unit")), false, &job->unit);
	if (!job->unit.len)
		job->unit = units[0];
	if (!str_eq(job->unit, units[0]) && !str_eq(job->unit, units[1]))
		fault(problem, "/unit", "%s", "expected points or stamps");
	value = json_get(body, STR("account_type"));
	if (!json_int(value, &type) || type < TYPE_ASSET || type > TYPES)
		fault(problem, "/account_type", "%s",
		      "expected 1 (Asset), 2 (Liability), 3 (Equity), 4 (Revenue) or 5 (Expense)");
	else
		job->type = (unsigned)type;
	value = json_get(body, STR("code"));
	if (value && (!json_int(value, &code) || code != type))
		fault(problem, "/code", "%s", "an account's code is its type: leave it out, or give the same number");
}

static void accounts_post(struct task *task)
{
	static const char *const names[] = { "org_id", "customer_id", "account_type", "unit", "code", NULL };
	struct problem problem = { 0 };
	yyjson_val *body;
	bool dry_run = false;
	if (!task_parameters_known(task, "dry_run") || !task_bool_parameter(task, "dry_run", &dry_run) ||
	    !body_object(task, names, &body))
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct job *job = mem_zalloc(sizeof *job);
	call->context = job;
	call->free_context = job_free;
	account_job(&problem, body, job);
	if (problem.status || !org_agrees(task, job->org)) {
		ledger_call_end(call);
		if (problem.status)
			task_faults(task, &problem);
		problem_free(&problem);
		return;
	}
	const struct account_type *type = &types[job->type];
	struct account_spec *specs = ledger_room(&call->specs, 3, sizeof *specs);
	specs[0] = (struct account_spec){ .tenant = job->org, .unit = job->unit, .kind = type->kind };
	if (job->customer.len) {
		specs[0].kind = ACCOUNT_MEMBER;
		specs[0].member = job->customer;
		specs[0].program = str_of(type->program);
		/* Only what customers spend from has a floor. */
		specs[0].has_floor = true;
		specs[0].floor = job->type == TYPE_ASSET ? 0 : NO_FLOOR;
	}
	for (unsigned u = 0; u < 2; u++)
		specs[1 + u] = (struct account_spec){ .tenant = job->org, .unit = units[u], .kind = ACCOUNT_LIABILITY };
	call->request.specs = specs;
	call->request.count = 3;
	call->request.dry_run = MUTATE(99, dry_run, false);
	ledger_ask(call, LEDGER_ACCOUNTS, account_created);
}

/* ---- GET /api/v1/accounts/:id --------------------------------------------------------------------------------------------- */

/* The account of the path, visible to the organization that the request names; false after answering. */
static bool account_there(struct ledger_call *call)
{
	struct task *task = task_of(call);
	const struct account_view *view = ledger_view(call);
	struct str header = http_request_header(task->request, "x-tenant");
	if (view->found && (!header.len || str_eq(header, ledger_view_text(call, view->tenant_at, view->tenant_len))))
		return true;
	ledger_call_end(call);
	task_problem(task, 404, "account_not_found", "there is no account %.*s", (int)task->parts[0].len, task->parts[0].ptr);
	return false;
}

static void account_found(struct ledger_call *call)
{
	if (!account_there(call))
		return;
	task_of(call)->status = 200;
	account_answer(call);
}

static bool path_account(struct task *task, u128 *id)
{
	struct str text = buf_view(&task->parts[0]);
	if (account_id(text, id) && *id)
		return true;
	task_problem(task, 404, "account_not_found", "there is no account %.*s", text_cut(text, 100), text.ptr);
	return false;
}

static void account_get(struct task *task)
{
	u128 id;
	if (!path_account(task, &id))
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	ledger_view_ask(call, id, STR(""), STR(""), ACCOUNT_RAW);
	ledger_ask(call, LEDGER_LOOKUP, account_found);
}

/* ---- GET /api/v1/accounts/:id/transfers ----------------------------------------------------------------------------------- */

static const char *movement_type(const struct movement *movement)
{
	return movement->event_len			  ? "event"
	       : movement->flags & TRANSFER_PENDING ? "pending"
	       : movement->flags & TRANSFER_POST    ? "post"
	       : movement->flags & TRANSFER_VOID    ? "void"
	       : movement->flags & TRANSFER_EXPIRED ? "expired"
						    : "transfer";
}

/* The fields of a transfer; `id` is the text it was sent with, "" where only the hash is known. */
static void pos_transfer_json(struct buf *out, const struct movement *movement, struct str id, u128 debit, u128 credit)
{
	buf_lit(out, "{\"id\":");
	if (id.len)
		buf_json_text(out, id);
	else
		buf_lit(out, "null");
	buf_lit(out, ",\"transfer_id\":");
	if (movement->id) {
		buf_char(out, '"');
		id_write(out, movement->id);
		buf_char(out, '"');
	} else {
		buf_lit(out, "null");
	}
	buf_printf(out, ",\"type\":\"%s\",\"debit_account_id\":", movement_type(movement));
	account_id_json(out, debit);
	buf_lit(out, ",\"credit_account_id\":");
	account_id_json(out, credit);
	buf_printf(out, ",\"amount\":%llu,\"code\":%u,\"timestamp\":", (unsigned long long)movement->amount, movement->code);
	time_json(out, movement->time_ms);
	buf_printf(out, ",\"lsn\":%llu", (unsigned long long)movement->lsn);
}

static void history_found(struct ledger_call *call)
{
	const struct log_walk *walk = call->context;
	struct task *task = task_of(call);
	if (!account_there(call))
		return;
	if (kind_is_sliced(ledger_view(call)->kind)) {
		ledger_call_end(call);
		task_problem(task, 422, "sliced_account_has_no_history",
			     "an organization's own account is kept in slices, without a list of its own: ask for its customers' accounts");
		return;
	}
	if (!walk_answerable(task, call, walk->outcome, walk->lsn))
		return;
	const struct movement *list = (const struct movement *)(const void *)walk->movements.ptr;
	const u128 *ids = (const u128 *)(const void *)call->ids.ptr;
	buf_lit(&task->out, "{\"account_id\":");
	account_id_json(&task->out, ledger_view(call)->id);
	buf_lit(&task->out, ",\"transfers\":[");
	for (size_t i = 0; i < walk->movements.len / sizeof *list; i++) {
		struct str event = { list[i].event_len ? walk->texts.ptr + list[i].event_at : "", list[i].event_len };
		if (i)
			buf_char(&task->out, ',');
		pos_transfer_json(&task->out, &list[i], event, ids[2 * i], ids[2 * i + 1]);
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
	size_t limit, offset;
	struct buf text = { 0 };
	struct log_moment after = { 0 };
	bool found;
	u128 id;
	if (!path_account(task, &id) || !task_parameters_known(task, "limit after") ||
	    !task_page(task, &limit, &offset, LIST_DEFAULT, ROWS_MAX) || !task_parameter(task, "after", &text, &found))
		return;
	if (found && !(log_moment_parse(buf_view(&text), &after) && after.lsn)) {
		buf_free(&text);
		task_problem(task, 400, "query_invalid", "the query parameter after must be the number that a list gave as next");
		return;
	}
	buf_free(&text);
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct log_walk *walk = ledger_walk_new(call);
	walk->limit = (uint32_t)limit;
	walk->after = after.lsn;
	ledger_view_ask(call, id, STR(""), STR(""), ACCOUNT_RAW);
	ledger_history(call, history_found);
}

/* ---- POST /api/v1/transfers ----------------------------------------------------------------------------------------------- */

static void transfer_send(struct ledger_call *call, const struct movement *movement, u128 debit, u128 credit)
{
	struct task *task = task_of(call);
	const struct job *job = call->context;
	pos_transfer_json(&task->out, movement, job->id, debit, credit);
	buf_lit(&task->out, ",\"org_id\":");
	buf_json_text(&task->out, job->org);
	buf_printf(&task->out, ",\"idempotent\":%s}", call->request.known_count ? "true" : "false");
	ledger_call_end(call);
	task_json(task, task->status);
}

static void transfer_answer(struct ledger_call *call)
{
	struct task *task = task_of(call);
	const struct found_transfer *found = (const struct found_transfer *)(const void *)call->views.ptr;
	if (!call_answerable(task, call))
		return;
	if (found->state == FOUND_NOTHING || found->outcome) {
		ledger_call_end(call);
		task_problem(task, 410, "outcome_pruned", "the transfer is known, but the part of the log with it was dropped");
		return;
	}
	transfer_send(call, &found->movement, found->debit, found->credit);
}

/* Nothing was written: what it would have been, at LSN 0. */
static void transfer_dry(struct ledger_call *call)
{
	const struct job *job = call->context;
	struct movement movement = { .id = job->transfer, .amount = job->amount, .code = job->code };
	task_of(call)->status = 200;
	transfer_send(call, &movement, job->debit, job->credit);
}

static void transfer_done(struct ledger_call *call)
{
	const struct job *job = call->context;
	uint32_t pair[2];
	if (!call_answerable(task_of(call), call))
		return;
	if (call->request.refused.len) {
		memcpy(pair, call->request.refused.ptr, sizeof pair);
		answer_refused(call, (enum refusal)pair[1]);
		return;
	}
	if (job->dry_run && !call->request.known_count) {
		transfer_dry(call);
		return;
	}
	task_of(call)->status = call->request.known_count ? 200 : 201;
	*(u128 *)ledger_room(&call->ids, 1, sizeof job->transfer) = job->transfer;
	ledger_find(call, 1, transfer_answer);
}

static void transfer_accounts(struct ledger_call *call)
{
	const struct job *job = call->context;
	const struct account_view *views = ledger_view(call);
	struct task *task = task_of(call);
	for (unsigned side = 0; side < 2; side++)
		if (!views[side].found) {
			ledger_call_end(call);
			task_problem(task, 404, "account_not_found", "the %s account does not exist", side ? "credit" : "debit");
			return;
		}
	for (unsigned side = 0; side < 2; side++)
		if (!str_eq(job->org, ledger_view_text(call, views[side].tenant_at, views[side].tenant_len))) {
			answer_refused(call, REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_TENANT);
			return;
		}
	struct transfer_row *row = ledger_room(&call->rows, 1, sizeof *row);
	*row = (struct transfer_row){ .id = job->transfer, .debit = job->debit, .credit = job->credit, .amount = job->amount,
				      .code = job->code };
	call->request.rows = (const unsigned char *)row;
	call->request.count = 1;
	call->request.dry_run = job->dry_run;
	ledger_transfers(call, transfer_done);
}

static void transfer_side(struct problem *problem, const char *pointer, yyjson_val *value, u128 *id)
{
	struct str text;
	text_field(problem, pointer, value, true, &text);
	if (text.len && !account_id(text, id))
		*id = 0;               /* not one of ours: answered as unknown */
}

static void transfer_job(struct problem *problem, yyjson_val *body, struct job *job)
{
	yyjson_val *id = json_get(body, STR("id"));
	int64_t amount = 0, code = 0;
	text_field(problem, "/org_id", json_get(body, STR("org_id")), true, &job->org);
	if (json_is_number(id)) {
		buf_str(&job->id_text, json_raw(id));
		job->id = buf_view(&job->id_text);
	} else {
		text_field(problem, "/id", id, true, &job->id);
	}
	transfer_side(problem, "/debit_account_id", json_get(body, STR("debit_account_id")), &job->debit);
	transfer_side(problem, "/credit_account_id", json_get(body, STR("credit_account_id")), &job->credit);
	if (!json_int(json_get(body, STR("amount")), &amount) || amount <= 0)
		fault(problem, "/amount", "%s", "expected an integer greater than 0");
	if (json_get(body, STR("code")) && (!json_int(json_get(body, STR("code")), &code) || code < 0 || code > UINT16_MAX))
		fault(problem, "/code", "%s", "expected an integer from 0 to 65535");
	job->amount = (uint64_t)amount;
	job->code = (uint16_t)code;
	if (!problem->status)
		job->transfer = transfer_id_of_text(job->org, job->id);
}

static void transfers_post(struct task *task)
{
	static const char *const names[] = { "id", "org_id", "debit_account_id", "credit_account_id", "amount", "code", NULL };
	struct problem problem = { 0 };
	yyjson_val *body;
	bool dry_run = false;
	if (!task_parameters_known(task, "dry_run") || !task_bool_parameter(task, "dry_run", &dry_run) ||
	    !body_object(task, names, &body))
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct job *job = mem_zalloc(sizeof *job);
	job->dry_run = dry_run;
	call->context = job;
	call->free_context = job_free;
	transfer_job(&problem, body, job);
	if (problem.status || !org_agrees(task, job->org)) {
		ledger_call_end(call);
		if (problem.status)
			task_faults(task, &problem);
		problem_free(&problem);
		return;
	}
	struct account_view *views = ledger_room(&call->views, 2, sizeof *views);
	views[0].id = job->debit;
	views[1].id = job->credit;
	call->request.views = views;
	call->request.count = 2;
	ledger_ask(call, LEDGER_LOOKUP, transfer_accounts);
}

/* ---- GET /api/v1/balance -------------------------------------------------------------------------------------------------- */

static void balance_answer(struct ledger_call *call)
{
	struct task *task = task_of(call);
	const struct account_view *views = ledger_view(call);
	const struct job *job = call->context;
	if (!views[0].found && !views[1].found) {
		ledger_call_end(call);
		task_problem(task, 404, "customer_unknown", "the customer has no account in this organization");
		return;
	}
	buf_lit(&task->out, "{\"org_id\":");
	buf_json_text(&task->out, job->org);
	buf_lit(&task->out, ",\"customer_id\":");
	buf_json_text(&task->out, job->customer);
	for (unsigned u = 0; u < 2; u++) {
		buf_printf(&task->out, ",\"%s\":", units[u].ptr);
		i128_write(&task->out, (i128)(views[u].credits_posted - views[u].debits_posted));
		buf_printf(&task->out, ",\"%s_pending\":", units[u].ptr);
		u128_write(&task->out, views[u].debits_pending);
	}
	buf_printf(&task->out, ",\"lsn\":%llu}", (unsigned long long)call->request.lsn);
	ledger_call_end(call);
	task_json(task, 200);
}

static void balance_get(struct task *task)
{
	bool has_org, has_customer;
	struct buf customer = { 0 };
	if (!task_parameters_known(task, "org_id customer_id") || !task_parameter(task, "org_id", &task->text, &has_org))
		return;
	size_t org_len = task->text.len;
	if (!task_parameter(task, "customer_id", &customer, &has_customer)) {
		buf_free(&customer);
		return;
	}
	buf_str(&task->text, buf_view(&customer));
	buf_free(&customer);
	struct str org = { task->text.ptr, org_len }, member = buf_since(&task->text, org_len);
	if (!has_org || !has_customer || !task_name_ok(org) || !task_name_ok(member)) {
		task_problem(task, 400, "query_invalid", "the query parameters org_id and customer_id are required, 1 to 200 bytes each");
		return;
	}
	if (!org_agrees(task, org))
		return;
	struct ledger_call *call = ledger_call_new(task->app, task);
	struct job *job = mem_zalloc(sizeof *job);
	struct account_view *views = ledger_room(&call->views, 2, sizeof *views);
	*job = (struct job){ .org = org, .customer = member };
	call->context = job;
	call->free_context = job_free;
	for (unsigned u = 0; u < 2; u++)
		views[u].id = account_id_of_member(org, member, str_of(types[TYPE_ASSET].program), units[u]);
	call->request.views = views;
	call->request.count = 2;
	ledger_ask(call, LEDGER_LOOKUP, balance_answer);
}

/* ---- GET /api/v1/health --------------------------------------------------------------------------------------------------- */

static void health_get(struct task *task)
{
	const struct listen_list *list = &task->app->options->http;
	const char *service = NULL;
	if (task->request->session && task->request->listener < list->count)
		service = list->list[task->request->listener].service;
	buf_printf(&task->out, "{\"status\":\"ok\",\"service\":\"%s\"}", service ? service : "all");
	task_json(task, 200);
}

#define ROUTE(verb, pattern, handler, allowed, text, name, ...) \
	{ .method = verb, .path = pattern, .handle = handler, .permission = allowed, .doc = text, .command = name, \
	  .problem = pos_problem, __VA_ARGS__ }

const struct route pos_routes[] = {
	ROUTE("POST", "/api/v1/accounts", accounts_post, "ledger.write", "Opens a ledger account of a customer or the organization (D1)",
	      "pos.accounts.create", .query = "dry_run"),
	ROUTE("GET", "/api/v1/accounts/{id}", account_get, "ledger.read", "A ledger account with its sums (D2)", "pos.accounts.get"),
	ROUTE("GET", "/api/v1/accounts/{id}/transfers", account_transfers, "ledger.read", "Transfers of an account, oldest first (D9)",
	      "pos.accounts.transfers"),
	ROUTE("POST", "/api/v1/transfers", transfers_post, "ledger.write", "A transfer between two accounts (D3)",
	      "pos.transfers.create", .query = "dry_run"),
	ROUTE("GET", "/api/v1/balance", balance_get, "ledger.read", "Points and stamps of a customer (D4)", "pos.balance.get"),
	ROUTE("GET", "/api/v1/health", health_get, "public", "Up, and which service the listener is (D5)", "pos.health"),
	{ .method = NULL },
};
