// SPDX-License-Identifier: Apache-2.0
/* ledger.c - MessagePack-RPC of the ledger: accounts come into being and are looked up, transfers are made.
 *
 * The path of a batch of packed rows: the request's bytes stay where they were received, the ledger reads the rows in them,
 * and the answer is packed from the request's own memory, which is used again.  Nothing is done per row here.
 */
#include "engine/base/assert.h"
#include "net/rpc/ledger_pack.h"
#include "net/rpc/methods.h"
#include "net/rpc/shape.h"

static struct rpc_request *rpc_of(const struct ledger_call *call)
{
	return call->owner;
}

/* So many parameters, or an answer that says so. */
static bool params_count(struct rpc_request *request, uint32_t least, uint32_t most)
{
	if (request->param_count >= least && request->param_count <= most)
		return true;
	rpc_error(request, 422, "validation_failed", -1, "%s takes %u to %u parameters, found %u", request->method->name, least,
		  most, request->param_count);
	return false;
}

/* (index u32, refusal u32) of each refused row. */
static void pack_results(struct buf *out, const struct buf *refused)
{
	pack_key(out, "results");
	pack_bin(out, refused->ptr, refused->len);
}

/* ---- accounts ------------------------------------------------------------------------------------------------------------ */

static void specs_refused(struct ledger_call *call)
{
	struct ledger_request *request = &call->request;
	for (uint32_t i = 0; i < request->count; i++)
		if (request->specs[i].refusal) {
			uint32_t pair[2] = { i, request->specs[i].refusal };
			buf_bytes(&request->refused, pair, sizeof pair);
		}
}

static void created(struct ledger_call *call)
{
	const struct ledger_request *request = &call->request;
	struct buf *out = rpc_reply_begin(rpc_of(call));
	specs_refused(call);
	pack_map(out, 3);
	pack_key(out, "lsn");
	pack_u64(out, request->lsn);
	pack_results(out, &request->refused);
	pack_key(out, "ids");
	unsigned char *ids = pack_bin_room(out, (size_t)request->count * sizeof(u128));
	for (uint32_t i = 0; i < request->count; i++)
		u128_store(ids + i * sizeof(u128), request->specs[i].id);
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

enum spec_field { SPEC_ID, SPEC_TENANT, SPEC_UNIT, SPEC_KIND, SPEC_FLOOR, SPEC_CEILING, SPEC_FLAGS, SPEC_MEMBER, SPEC_PROGRAM };

static const char *const spec_names[] = { "id", "tenant", "unit", "kind", "floor", "ceiling", "flags", "member", "program",
					  NULL };

static bool spec_value(struct rpc_place place, struct rpc_reader *reader, enum spec_field field, struct account_spec *spec)
{
	struct str text;
	switch (field) {
	case SPEC_ID: return field_id(place, reader, &spec->id);
	case SPEC_TENANT: return field_text(place, reader, &spec->tenant);
	case SPEC_UNIT: return field_text(place, reader, &spec->unit);
	case SPEC_MEMBER: return field_text(place, reader, &spec->member);
	case SPEC_PROGRAM: return field_text(place, reader, &spec->program);
	case SPEC_FLAGS: return field_flags(place, reader, account_flag_names, &spec->flags);
	case SPEC_FLOOR:
		/* nil: no floor, also where one would be the default */
		spec->has_floor = true;
		spec->floor = NO_FLOOR;
		return rpc_read_nil(reader) || field_int(place, reader, &spec->floor);
	case SPEC_CEILING:
		spec->has_ceiling = true;
		spec->ceiling = NO_CEILING;
		return rpc_read_nil(reader) || field_int(place, reader, &spec->ceiling);
	case SPEC_KIND:
		if (!field_text(place, reader, &text))
			return false;
		return account_kind_parse(text, &spec->kind) ||
		       field_fault(place, "expected raw, member, liability, redeemed, expired, adjusted or in_transit");
	}
	return false;
}

static bool spec_read(struct rpc_request *request, struct rpc_reader *reader, uint32_t index, struct account_spec *spec)
{
	struct rpc_place place = { request, index, "account" };
	unsigned seen = 0, key;
	uint32_t count;
	*spec = (struct account_spec){ .kind = ACCOUNT_KINDS };
	if (!field_map(place, reader, &count))
		return false;
	for (; count; count--)
		if (!field_key(place, reader, spec_names, &seen, &key) ||
		    !spec_value((struct rpc_place){ request, index, spec_names[key] }, reader, (enum spec_field)key, spec))
			return false;
	if (!spec->tenant.len || !spec->unit.len)
		return field_fault(place, "tenant and unit are required");
	if (spec->kind == ACCOUNT_KINDS)
		spec->kind = spec->member.len ? ACCOUNT_MEMBER : ACCOUNT_RAW;
	if (spec->program.len && !spec->member.len)
		return field_fault(place, "program without member");
	if (spec->member.len && (seen & 1U << SPEC_ID))
		return field_fault(place, "an id or a member (then the id follows from the names), not both");
	if (spec->member.len && spec->kind != ACCOUNT_MEMBER)
		return field_fault(place, "member names an account of kind member");
	return true;
}

static void create_accounts(struct app *app, struct rpc_request *request)
{
	struct rpc_reader reader = rpc_params(request);
	uint32_t count;
	if (!params_count(request, 1, 1) ||
	    !field_array((struct rpc_place){ request, -1, "accounts" }, &reader, 1, ROWS_MAX, &count))
		return;
	struct ledger_call *call = ledger_call_new(app, request);
	struct account_spec *specs = ledger_room(&call->specs, count, sizeof *specs);
	for (uint32_t i = 0; i < count; i++)
		if (!spec_read(request, &reader, i, &specs[i])) {
			ledger_call_end(call);
			return;
		}
	call->request.specs = specs;
	call->request.count = count;
	ledger_ask(call, LEDGER_ACCOUNTS, created);
}

static void closed(struct ledger_call *call)
{
	struct buf *out = rpc_reply_begin(rpc_of(call));
	specs_refused(call);
	pack_map(out, 2);
	pack_key(out, "lsn");
	pack_u64(out, call->request.lsn);
	pack_results(out, &call->request.refused);
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

/* A closed member of its names has the same id: both forms are taken.  A tenant account is refused by the ledger. */
static void close_or_reopen(struct app *app, struct rpc_request *request, uint16_t flags)
{
	struct rpc_reader reader = rpc_params(request);
	uint32_t count;
	if (!params_count(request, 1, 1) ||
	    !field_array((struct rpc_place){ request, -1, "accounts" }, &reader, 1, ROWS_MAX, &count))
		return;
	struct ledger_call *call = ledger_call_new(app, request);
	struct account_spec *specs = ledger_room(&call->specs, count, sizeof *specs);
	for (uint32_t i = 0; i < count; i++) {
		struct account_name name;
		if (!field_account((struct rpc_place){ request, i, "account" }, &reader, &name)) {
			ledger_call_end(call);
			return;
		}
		specs[i].id = name.id ? name.id : account_id_of_sliced(name.tenant, name.kind, name.unit);
		specs[i].flags = flags;
	}
	call->request.specs = specs;
	call->request.count = count;
	ledger_ask(call, LEDGER_CLOSE, closed);
}

static void close_accounts(struct app *app, struct rpc_request *request)
{
	close_or_reopen(app, request, ACCOUNT_CLOSED);
}

static void reopen_accounts(struct app *app, struct rpc_request *request)
{
	close_or_reopen(app, request, 0);
}

static void looked_up(struct ledger_call *call)
{
	const struct ledger_request *request = &call->request;
	struct buf *out = rpc_reply_begin(rpc_of(call));
	pack_array(out, request->count);
	for (uint32_t i = 0; i < request->count; i++)
		if (request->views[i].found)
			pack_account(out, call, &request->views[i], request->lsn, NULL);
		else
			pack_nil(out);
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

static void lookup_accounts(struct app *app, struct rpc_request *request)
{
	struct rpc_reader reader = rpc_params(request);
	uint32_t count;
	if (!params_count(request, 1, 1) || !field_array((struct rpc_place){ request, -1, "ids" }, &reader, 1, ROWS_MAX, &count))
		return;
	struct ledger_call *call = ledger_call_new(app, request);
	struct account_view *views = ledger_room(&call->views, count, sizeof *views);
	for (uint32_t i = 0; i < count; i++) {
		struct account_name name;
		if (!field_account((struct rpc_place){ request, i, "id" }, &reader, &name)) {
			ledger_call_end(call);
			return;
		}
		views[i] = (struct account_view){ .id = name.id, .tenant = name.tenant, .unit = name.unit, .kind = name.kind };
	}
	call->request.views = views;
	call->request.count = count;
	ledger_ask(call, LEDGER_LOOKUP, looked_up);
}

/* ---- transfers ----------------------------------------------------------------------------------------------------------- */

static void transferred(struct ledger_call *call)
{
	const struct ledger_request *request = &call->request;
	if (!call_readable(call))
		return;
	struct buf *out = rpc_reply_begin(rpc_of(call));
	pack_map(out, 2U + request->want_balances);
	pack_key(out, "lsn");
	pack_u64(out, request->lsn);
	pack_results(out, &request->refused);
	if (request->want_balances) {
		pack_key(out, "balances");
		pack_bin(out, request->balances.ptr, request->balances.len);
	}
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

enum row_field { FIELD_ID, FIELD_DEBIT, FIELD_CREDIT, FIELD_AMOUNT, FIELD_CODE, FIELD_FLAGS, FIELD_TIMEOUT, FIELD_PENDING_ID };

static const char *const row_names[] = { "id", "debit", "credit", "amount", "code", "flags", "timeout", "pending_id", NULL };

static bool row_value(struct rpc_place place, struct rpc_reader *reader, enum row_field field, struct transfer_row *row)
{
	uint64_t number = 0;
	bool good = false;
	switch (field) {
	case FIELD_ID: return field_id(place, reader, &row->id);
	case FIELD_DEBIT:
	case FIELD_PENDING_ID: return field_id(place, reader, &row->debit);
	case FIELD_CREDIT: return field_id(place, reader, &row->credit);
	case FIELD_AMOUNT: return field_uint(place, reader, UINT64_MAX, &row->amount);
	case FIELD_FLAGS: return field_flags(place, reader, transfer_flag_names, &row->flags);
	case FIELD_CODE:
		good = field_uint(place, reader, UINT16_MAX, &number);
		row->code = (uint16_t)number;
		break;
	case FIELD_TIMEOUT:
		good = field_uint(place, reader, UINT32_MAX, &number);
		row->timeout = (uint32_t)number;
		break;
	}
	return good;
}

/* A map becomes a packed row. */
static bool row_read(struct rpc_request *request, struct rpc_reader *reader, uint32_t index, struct transfer_row *row)
{
	struct rpc_place place = { request, index, "transfer" };
	unsigned seen = 0, key;
	uint32_t count;
	*row = (struct transfer_row){ 0 };
	if (!field_map(place, reader, &count))
		return false;
	for (; count; count--)
		if (!field_key(place, reader, row_names, &seen, &key) ||
		    !row_value((struct rpc_place){ request, index, row_names[key] }, reader, (enum row_field)key, row))
			return false;
	if (!(seen & 1U << FIELD_ID))
		return field_fault(place, "id is required");
	if ((seen & 1U << FIELD_PENDING_ID) && (seen & 1U << FIELD_DEBIT))
		return field_fault(place, "debit and pending_id are the same field of the row: only one of them");
	return true;
}

/* {balances?, dry_run?} */
static bool transfer_options(struct rpc_request *request, struct rpc_reader *reader, struct ledger_request *ledger)
{
	static const char *const names[] = { "balances", "dry_run", NULL };
	struct rpc_place place = { request, -1, "options" };
	unsigned seen = 0, key;
	uint32_t count;
	if (rpc_read_nil(reader))
		return true;
	if (!field_map(place, reader, &count))
		return false;
	for (; count; count--)
		if (!field_key(place, reader, names, &seen, &key) ||
		    !field_bool((struct rpc_place){ request, -1, names[key] }, reader,
				key ? &ledger->dry_run : &ledger->want_balances))
			return false;
	return true;
}

/* The first parameter: packed rows where they lie, or maps, packed into call->rows. */
static bool rows_read(struct ledger_call *call, struct rpc_request *request, struct rpc_reader *reader)
{
	struct rpc_place place = { request, -1, "rows" };
	struct str bytes;
	uint32_t count;
	if (rpc_read_bin(reader, &bytes)) {
		if (!bytes.len || bytes.len % ROW_BYTES || bytes.len / ROW_BYTES > ROWS_MAX)
			return field_fault(place, "expected 1 to %d rows of %d bytes, found %zu bytes", ROWS_MAX, ROW_BYTES,
					   bytes.len);
		call->request.rows = (const unsigned char *)bytes.ptr;
		call->request.count = (uint32_t)(bytes.len / ROW_BYTES);
		return true;
	}
	if (rpc_peek(reader) != RPC_ARRAY)
		return field_fault(place, "expected a binary of packed rows or an array of maps, found %s",
				   rpc_type_name(rpc_peek(reader)));
	if (!field_array(place, reader, 1, ROWS_MAX, &count))
		return false;
	struct transfer_row *rows = ledger_room(&call->rows, count, sizeof *rows);
	for (uint32_t i = 0; i < count; i++)
		if (!row_read(request, reader, i, &rows[i]))
			return false;
	call->request.rows = (const unsigned char *)rows;
	call->request.count = count;
	return true;
}

static void create_transfers(struct app *app, struct rpc_request *request)
{
	struct rpc_reader reader = rpc_params(request);
	if (!params_count(request, 1, 2))
		return;
	struct ledger_call *call = ledger_call_new(app, request);
	if (!rows_read(call, request, &reader) ||
	    (request->param_count == 2 && !transfer_options(request, &reader, &call->request))) {
		ledger_call_end(call);
		return;
	}
	ledger_transfers(call, transferred);
}

/* ---- books --------------------------------------------------------------------------------------------------------------- */

static void pack_sums(struct buf *out, const u128 sums[4])
{
	pack_key(out, "debits_posted");
	pack_u128(out, sums[0]);
	pack_key(out, "credits_posted");
	pack_u128(out, sums[1]);
	pack_key(out, "debits_pending");
	pack_u128(out, sums[2]);
	pack_key(out, "credits_pending");
	pack_u128(out, sums[3]);
	pack_key(out, "balance");
	pack_balance(out, sums[1], sums[0]);
}

static void book_summed(struct ledger_call *call)
{
	const struct ledger_request *request = &call->request;
	u128 total[4] = { 0 };
	if (!request->found) {
		rpc_error(rpc_of(call), 404, "book_unknown", -1, "no account of this tenant counts this unit");
		ledger_call_end(call);
		return;
	}
	struct buf *out = rpc_reply_begin(rpc_of(call));
	pack_map(out, 4);
	pack_key(out, "lsn_low");
	pack_u64(out, request->sum_lsn_low);
	pack_key(out, "lsn_high");
	pack_u64(out, request->sum_lsn_high);
	pack_key(out, "kinds");
	pack_map(out, ACCOUNT_KINDS);
	for (unsigned k = 0; k < ACCOUNT_KINDS; k++) {
		for (unsigned i = 0; i < 4; i++)
			total[i] += request->sums[k][i];
		pack_text(out, str_of(account_kind_name((enum account_kind)k)));
		pack_map(out, 6);
		pack_key(out, "accounts");
		pack_u64(out, request->accounts[k]);
		pack_sums(out, request->sums[k]);
	}
	pack_key(out, "total");
	pack_map(out, 5);
	pack_sums(out, total);
	rpc_reply_end(rpc_of(call));
	ledger_call_end(call);
}

static void book(struct app *app, struct rpc_request *request)
{
	static const char *const names[] = { "tenant", "unit", NULL };
	struct rpc_place place = { request, -1, "params" };
	struct rpc_reader reader = rpc_params(request);
	struct str texts[2] = { { "", 0 }, { "", 0 } };
	unsigned seen = 0, key;
	uint32_t count;
	if (!params_count(request, 1, 1) || !field_map(place, &reader, &count))
		return;
	for (; count; count--)
		if (!field_key(place, &reader, names, &seen, &key) ||
		    !field_text((struct rpc_place){ request, -1, names[key] }, &reader, &texts[key]))
			return;
	if (seen != 3) {
		field_fault(place, "tenant and unit are required");
		return;
	}
	struct ledger_call *call = ledger_call_new(app, request);
	call->request.tenant = texts[0];
	call->request.unit = texts[1];
	ledger_ask(call, LEDGER_BOOK, book_summed);
}

static void refusals_list(struct app *app, struct rpc_request *request)
{
	size_t count = 0;
	(void)app;
	while (refusals[count].number)
		count++;
	struct buf *out = rpc_reply_begin(request);
	pack_array(out, count);
	for (size_t i = 0; i < count; i++) {
		pack_map(out, 4);
		pack_key(out, "number");
		pack_u64(out, refusals[i].number);
		pack_key(out, "name");
		pack_text(out, str_of(refusals[i].name));
		pack_key(out, "meaning");
		pack_text(out, str_of(refusals[i].meaning));
		pack_key(out, "burns");
		pack_bool(out, refusals[i].burns);
	}
	rpc_reply_end(request);
}

#define FLAG "{'enum':['linked','pending','post','void','balancing_debit','balancing_credit']}"
#define KIND "{'enum':['raw','member','liability','redeemed','expired','adjusted','in_transit']}"

#define ACCOUNT_CREATE \
	"{'type':'object','properties':{'id':" SHAPE_ID ",'tenant':" SHAPE_NAME ",'unit':" SHAPE_NAME ",'kind':" KIND ",'member':" SHAPE_NAME \
	",'program':" SHAPE_NAME ",'floor':{'type':['integer','null']},'ceiling':{'type':['integer','null']}," \
	"'flags':{'anyOf':[{'type':'array','items':{'enum':['closed']}},{'type':'integer','minimum':0,'maximum':1}]}}," \
	"'required':['tenant','unit'],'anyOf':[{'required':['id']},{'required':['member']},{'required':['kind']}]," \
	"'additionalProperties':false}"

#define TRANSFER_CREATE \
	"{'type':'object','properties':{'id':" SHAPE_ID ",'debit':" SHAPE_ID ",'credit':" SHAPE_ID ",'amount':{'type':'integer','minimum':0}," \
	"'code':{'type':'integer','minimum':0,'maximum':65535},'flags':{'anyOf':[{'type':'array','items':" FLAG "}," \
	"{'type':'integer','minimum':0,'maximum':65535}]},'timeout':{'type':'integer','minimum':0,'maximum':4294967295}," \
	"'pending_id':" SHAPE_ID "},'required':['id']," \
	"'anyOf':[{'required':['debit','credit','amount']},{'required':['pending_id','flags']}],'additionalProperties':false}"

/* As docs/protocol.md has them: names and bytes of a row's fields. */
#define TRANSFER_ROWS SHAPE_ROWS("['id',16],['debit',16],['credit',16],['amount',8],['code',2],['flags',2],['timeout',4]")

#define TRANSFER_OPTIONS \
	"{'type':['object','null'],'properties':{'balances':{'type':'boolean'},'dry_run':{'type':'boolean'}},'additionalProperties':false}"

#define BOOK "{'type':'object','properties':{'tenant':" SHAPE_NAME ",'unit':" SHAPE_NAME "},'required':['tenant','unit'],'additionalProperties':false}"

const struct rpc_method rpc_ledger_methods[] = {
	{ "ledger.create_accounts", create_accounts, "ledger.write",
	  "Accounts: [{id | member, program?; tenant, unit, kind, …}, …]; a repeat changes nothing", SHAPE_LIST(ACCOUNT_CREATE), NULL },
	{ "ledger.lookup_accounts", lookup_accounts, "ledger.read", "Accounts with their sums, nil for unknown ones: [id, …]",
	  SHAPE_LIST(SHAPE_ACCOUNT), NULL },
	{ "ledger.close_accounts", close_accounts, "ledger.write", "Closes accounts: [id, …]", SHAPE_LIST(SHAPE_ACCOUNT), NULL },
	{ "ledger.reopen_accounts", reopen_accounts, "ledger.write", "Opens closed accounts again: [id, …]", SHAPE_LIST(SHAPE_ACCOUNT), NULL },
	{ "ledger.create_transfers", create_transfers, "ledger.write",
	  "Transfers: packed rows of 64 bytes, or [{id, debit, credit, amount, …}, …]; then {balances?, dry_run?}; a repeat changes nothing",
	  SHAPE_PARAMS2("{'oneOf':[" SHAPE_ARRAY(TRANSFER_CREATE) "," TRANSFER_ROWS "]}", TRANSFER_OPTIONS), NULL },
	{ "ledger.book", book, "ledger.read", "Sums of a tenant's unit by kind of account: {tenant, unit}", SHAPE_PARAMS(BOOK), NULL },
	{ "ledger.refusals", refusals_list, "public", "Every refusal: number, name, meaning, burns", SHAPE_ANY, NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
