// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "tests/sim/actions.h"
#include "tests/sim/kinds.h"

static const char *const profiles[] = { "m-0", "m-1", "m-2", "m-3", "m-4", "m-5", "m-6", "m-7", "m-8", "m-9", "m-10", "m-11" };
static const char *const types[] = { "buy", "spend", "visit", "inside", "deep" };        /* the last ones are for jobs and rules */
enum { PROFILES = 12, TYPES = 5, OUTSIDE = 3 };

static uint64_t chance(struct work *work, uint64_t below)
{
	return disk_chance(&work->seed, below);
}

static bool one_in(struct work *work, uint64_t count)
{
	return chance(work, count) == 0;
}

static u128 id_random(struct work *work)
{
	uint64_t high = chance(work, UINT64_MAX) >> 1, low = chance(work, UINT64_MAX);
	return u128_of(high, low | 1);
}

static struct op *op_new(struct work *work, enum op_kind kind)
{
	struct op *op = calloc(1, sizeof *op);
	ASSERT(op);
	op->kind = kind;
	op->number = ++work->op_number;
	return op;
}

/* ---- accounts ------------------------------------------------------------------------------------------------------ */

static const struct place_kind {
	enum account_kind kind;
	bool derived, has_floor, has_ceiling;
	int64_t floor, ceiling;
} place_kinds[] = {
	{ ACCOUNT_LIABILITY, .derived = true },
	{ ACCOUNT_REDEEMED, .derived = false },
	{ ACCOUNT_RAW, .derived = false },
	{ ACCOUNT_MEMBER, .derived = true },
	{ ACCOUNT_MEMBER, .derived = true, .has_floor = true, .floor = -50 },
	{ ACCOUNT_RAW, .has_floor = true, .floor = -500 },
	{ ACCOUNT_RAW, .has_ceiling = true, .ceiling = 700 },
	{ ACCOUNT_MEMBER, .derived = true, .has_ceiling = true, .ceiling = 900 },
	{ ACCOUNT_RAW, .has_floor = true, .floor = 40, .has_ceiling = true, .ceiling = 400 },
	{ ACCOUNT_MEMBER, .derived = false },
};

static void places_make(struct work *work)
{
	for (unsigned i = 0; i < PLACES; i++) {
		unsigned known = sizeof place_kinds / sizeof *place_kinds, book = i < 14 ? 0 : (unsigned)chance(work, 4);
		const struct place_kind *kind = &place_kinds[i < known ? i : chance(work, known)];
		struct account_spec *spec = &work->places[i];
		*spec = (struct account_spec){ .tenant = str_of(sim_tenants[book & 1]), .unit = str_of(sim_units[book >> 1]),
					       .kind = kind->kind, .has_floor = kind->has_floor, .floor = kind->floor,
					       .has_ceiling = kind->has_ceiling, .ceiling = kind->ceiling };
		if (kind->derived && kind->kind == ACCOUNT_MEMBER)
			spec->member = str_of(profiles[i % PROFILES]);
		if (!kind->derived)
			spec->id = id_random(work);
		work->ids[i] = spec->id ? spec->id
			     : kind->kind != ACCOUNT_MEMBER ? account_id_of_sliced(spec->tenant, spec->kind, spec->unit)
							    : account_id_of_member(spec->tenant, spec->member, STR("default"), spec->unit);
	}
}

static void spec_spoil(struct work *work, struct account_spec *spec)
{
	switch (chance(work, 7)) {
	case 0: spec->tenant = str_of(sim_tenants[chance(work, 2)]); break;
	case 1: spec->unit = str_of(sim_units[chance(work, 2)]); break;
	case 2: spec->has_floor = true; spec->floor = (int64_t)chance(work, 100) - 50; break;
	case 3: spec->has_ceiling = true; spec->ceiling = (int64_t)chance(work, 100) - 50; break;
	case 4: spec->flags = ACCOUNT_CLOSED; break;
	case 5: spec->id = work->ids[chance(work, PLACES)]; break;
	default: spec->id = u128_of(ACCOUNT_ID_TAG << 48, 7); break;
	}
}

static struct op *accounts_op(struct work *work)
{
	struct op *op = op_new(work, OP_ACCOUNTS);
	op->count = 1 + (uint32_t)chance(work, 4);
	for (uint32_t i = 0; i < op->count; i++) {
		op->specs[i] = work->places[chance(work, PLACES)];
		if (one_in(work, 3))
			spec_spoil(work, &op->specs[i]);
	}
	return op;
}

static struct op *close_op(struct work *work)
{
	struct op *op = op_new(work, OP_CLOSE);
	op->count = 1 + (uint32_t)chance(work, 3);
	for (uint32_t i = 0; i < op->count; i++)
		op->specs[i] = (struct account_spec){ .id = one_in(work, 20) ? id_random(work) : work->ids[chance(work, PLACES)],
						      .flags = one_in(work, 3) ? ACCOUNT_CLOSED : 0 };
	return op;
}

/* ---- transfers ----------------------------------------------------------------------------------------------------- */

static u128 account_random(struct work *work, unsigned book_of)
{
	for (unsigned tries = 0; tries < 40; tries++) {
		unsigned i = (unsigned)chance(work, PLACES);
		if (str_eq(work->places[i].tenant, work->places[book_of].tenant) &&
		    str_eq(work->places[i].unit, work->places[book_of].unit))
			return work->ids[i];
	}
	return work->ids[chance(work, PLACES)];
}

static uint64_t amount_random(struct work *work)
{
	static const uint64_t edges[] = { 0, 0, 1, 300, 500, 700, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
	if (one_in(work, 80))
		return edges[chance(work, sizeof edges / sizeof *edges)];
	return 1 + chance(work, one_in(work, 5) ? 400 : 40);
}

static const struct transfer_row *past_row(struct work *work)
{
	unsigned known = work->history_count < WORK_HISTORY ? work->history_count : WORK_HISTORY;
	return known ? &work->history[chance(work, known)] : NULL;
}

static u128 pending_random(struct work *work)
{
	const struct model *model = work->oracle->model;
	if (model->open_count && !one_in(work, 4))
		return model->transfers[model->open[chance(work, model->open_count)]].row.id;
	const struct transfer_row *past = past_row(work);
	return past && !one_in(work, 8) ? past->id : one_in(work, 6) ? 0 : id_random(work);
}

static void row_spoil(struct work *work, struct transfer_row *row)
{
	switch (chance(work, 8)) {
	case 0: row->flags ^= (uint16_t)(1u << chance(work, one_in(work, 4) ? 16 : 6)); break;
	case 1: row->debit = work->ids[chance(work, PLACES)]; break;
	case 2: row->credit = work->ids[chance(work, PLACES)]; break;
	case 3: row->amount = amount_random(work); break;
	case 4: row->code = (uint16_t)chance(work, 4); break;
	case 5: row->timeout = (uint32_t)chance(work, 3); break;
	case 6: row->debit = one_in(work, 2) ? id_random(work) : 0; break;
	default: row->id = one_in(work, 2) ? row->debit : one_in(work, 2) ? 0 : U128_MAX; break;
	}
}

static struct transfer_row row_random(struct work *work)
{
	struct transfer_row row = { .id = id_random(work), .code = (uint16_t)chance(work, 3) };
	unsigned what = (unsigned)chance(work, 100), place = (unsigned)chance(work, PLACES);
	const struct transfer_row *past = past_row(work);
	if (past && one_in(work, 6)) {
		row = *past;
		if (one_in(work, 2))
			row_spoil(work, &row);
		return row;
	}
	if (what < 22) {
		row.debit = pending_random(work);
		row.flags = what < 14 ? TRANSFER_POST : TRANSFER_VOID;
		const struct model_transfer *pending = model_transfer_find(work->oracle->model, row.debit);
		row.code = pending && !one_in(work, 10) ? one_in(work, 2) ? 0 : pending->row.code : row.code;
		row.amount = one_in(work, 2) ? 0 : !pending || one_in(work, 8) ? chance(work, 60)
			   : row.flags & TRANSFER_VOID ? pending->amount : 1 + chance(work, pending->amount ? pending->amount : 1);
	} else {
		row.debit = what > 70 ? work->ids[chance(work, 2)] : work->ids[place];
		row.credit = one_in(work, 25) ? work->ids[chance(work, PLACES)] : account_random(work, place);
		row.amount = amount_random(work);
		if (what < 45) {
			row.flags = TRANSFER_PENDING;
			row.timeout = one_in(work, 2) ? 0 : one_in(work, 50) ? UINT32_MAX : 1 + (uint32_t)chance(work, 20);
		}
		if (what % 10 == 0)
			row.flags |= (uint16_t)(TRANSFER_BALANCING_DEBIT << chance(work, 2));
	}
	if (one_in(work, 40))
		row_spoil(work, &row);
	return row;
}

static struct op *transfers_op(struct work *work)
{
	struct op *op = op_new(work, OP_TRANSFERS);
	unsigned style = (unsigned)chance(work, 4);            /* 0: plain rows only, which need no visit */
	bool chained = false;
	uint32_t most = one_in(work, 5) ? work->rows_max : 6;
	op->count = 1 + (uint32_t)chance(work, most < work->rows_max ? most : work->rows_max);
	op->rows = malloc(op->count * ROW_BYTES);
	ASSERT(op->rows);
	for (uint32_t i = 0; i < op->count; i++) {
		struct transfer_row row = row_random(work);
		row.flags &= (uint16_t)~TRANSFER_LINKED;
		if (style == 0) {
			bool repeat = one_in(work, 10);
			row = (struct transfer_row){ .id = repeat && past_row(work) ? past_row(work)->id : id_random(work),
						     .debit = work->ids[0], .credit = work->ids[3 + chance(work, 10)],
						     .amount = 1 + chance(work, 90), .code = 1 };
			if (one_in(work, 3)) {
				row.debit = row.credit;
				row.credit = work->ids[1];
			}
		} else {
			chained = one_in(work, chained ? 2 : 9);
			if (chained && (i + 1 < op->count || one_in(work, 4)))
				row.flags |= TRANSFER_LINKED;
		}
		memcpy(op->rows + (size_t)i * ROW_BYTES, &row, sizeof row);
		work->history[work->history_count++ % WORK_HISTORY] = row;
	}
	op->dry = one_in(work, 15);
	return op;
}

/* ---- events and customers ------------------------------------------------------------------------------------------ */

static const char *profile_random(struct work *work)
{
	return profiles[chance(work, work->few_members ? 2 : PROFILES)];
}

static void reversal_id(char id[TEXT], uint64_t lsn)
{
	snprintf(id, TEXT, "reverse:%llx", (unsigned long long)lsn);
}

static struct op *events_op(struct work *work)
{
	struct op *op = op_new(work, OP_EVENTS);
	op->count = 1 + (uint32_t)chance(work, one_in(work, 3) ? OP_EVENTS_MAX : 2);
	for (uint32_t i = 0; i < op->count; i++) {
		struct sim_event *event = &op->events[i];
		unsigned known = work->past_count < WORK_HISTORY ? work->past_count : WORK_HISTORY;
		if (known && one_in(work, 6)) {
			*event = work->past[chance(work, known)];
			if (one_in(work, 3))
				snprintf(event->profile, TEXT, "%s", profile_random(work));
			else if (one_in(work, 3))
				event->points++;
		} else {
			event->tenant = (unsigned)chance(work, 2);
			snprintf(event->profile, TEXT, "%s", profile_random(work));
			event->internal = one_in(work, 8);
			event->strict = one_in(work, 10);
			snprintf(event->type, TEXT, "%s", one_in(work, 40) ? "nothing"
				 : types[chance(work, event->internal || one_in(work, 20) ? TYPES : OUTSIDE)]);
			snprintf(event->id, TEXT, "e-%u", ++work->event_number);
			if (one_in(work, 200) && work->oracle->event_count)            /* as a reversal will be called */
				reversal_id(event->id, work->oracle->events[chance(work, work->oracle->event_count)].lsn);
			event->points = (int64_t)chance(work, 60);
			event->amount = (int64_t)chance(work, 40) - (one_in(work, 20) ? 10 : 0);
		}
		snprintf(event->payload, PAYLOAD, "{\"points\":%lld,\"amount\":%lld}", (long long)event->points,
			 (long long)event->amount);
		work->past[work->past_count++ % WORK_HISTORY] = *event;
	}
	op->dry = one_in(work, 15);
	return op;
}

/* Of an event of late, of any; now and then of what is no event; again, the same and otherwise. */
static struct op *reverse_op(struct work *work)
{
	struct op *op = op_new(work, OP_REVERSE);
	const struct oracle *oracle = work->oracle;
	unsigned known = work->undone_count < WORK_UNDONE ? work->undone_count : WORK_UNDONE, reason = (unsigned)chance(work, 3);
	op->count = 1;
	op->action = (unsigned)chance(work, REVERSE_POLICIES);
	op->tenant = (unsigned)chance(work, 2);
	if (known && one_in(work, 4)) {
		const struct undone *undone = &work->undone[chance(work, known)];
		op->tenant = undone->tenant;
		op->document = undone->lsn;
		if (!one_in(work, 3)) {
			op->action = undone->policy;
			reason = undone->reason;
		}
	} else if (oracle->member_count && one_in(work, 12)) {
		const struct member_model *member = &oracle->members[chance(work, oracle->member_count)];
		op->tenant = member->tenant;
		op->document = member->last_lsn;
	} else if (oracle->event_count) {
		/* Sooner one that moved points. */
		const struct event_entry *event = NULL;
		for (unsigned tries = 0; tries < 6 && (!event || !event->moved); tries++) {
			unsigned back = (unsigned)chance(work, one_in(work, 2) ? 4 : one_in(work, 2) ? 40 : oracle->event_count);
			event = &oracle->events[back < oracle->event_count ? oracle->event_count - 1 - back : 0];
		}
		op->tenant = event->tenant;
		op->document = event->lsn;
	}
	reversal_id(op->profile, op->document);
	snprintf(op->body, OP_BODY, "{\"reverses\":%llu,\"policy\":\"%s\",\"reason\":\"r-%u\"}", (unsigned long long)op->document,
		 reverse_policy_names[op->action], reason);
	work->undone[work->undone_count++ % WORK_UNDONE] = (struct undone){ op->document, op->tenant, op->action, reason };
	op->dry = one_in(work, 15);
	return op;
}

static struct op *customers_op(struct work *work)
{
	struct op *op = op_new(work, OP_CUSTOMERS);
	op->count = 1 + (uint32_t)chance(work, 3);
	for (uint32_t i = 0; i < op->count; i++) {
		struct sim_customer *customer = &op->customers[i];
		struct buf body = { 0 };
		customer->tenant = (unsigned)chance(work, 2);
		snprintf(customer->profile, TEXT, "%s", profile_random(work));
		buf_lit(&body, "{\"profileId\":\"x\"");
		if (one_in(work, 2)) {
			snprintf(customer->status, TEXT, "%s", name_draw(&work->seed));
			buf_printf(&body, ",\"status\":\"%s\"", customer->status);
		}
		if (one_in(work, 2)) {
			customer->tagged = true;
			customer->tag_count = (unsigned)chance(work, 4);
			buf_lit(&body, ",\"tags\":[");
			for (unsigned t = 0; t < customer->tag_count; t++) {
				snprintf(customer->tags[t], TEXT, "%s", name_draw(&work->seed));
				buf_printf(&body, "%s\"%s\"", t ? "," : "", customer->tags[t]);
			}
			buf_char(&body, ']');
		}
		if ((customer->colored = one_in(work, 2))) {
			if (one_in(work, 4))
				snprintf(customer->color, TEXT, "null");
			else
				snprintf(customer->color, TEXT, "\"%s\"", name_draw(&work->seed));
			buf_printf(&body, ",\"color\":%s", customer->color);
		}
		if ((customer->sized = one_in(work, 2))) {
			snprintf(customer->size, TEXT, "%u", (unsigned)chance(work, 50));
			buf_printf(&body, ",\"size\":%s", customer->size);
		}
		buf_char(&body, '}');
		ASSERT(body.len < BODY);
		memcpy(customer->body, body.ptr, body.len);
		buf_free(&body);
	}
	op->dry = one_in(work, 15);
	return op;
}

/* ---- configuration ------------------------------------------------------------------------------------------------- */

static void type_write(struct buf *out, unsigned number)
{
	buf_printf(out, "{\"key\":\"%s\",\"origin\":\"%s\",\"name\":\"x\"}", types[number], number < OUTSIDE ? "EXTERNAL" : "INTERNAL");
}

static void body_take(struct op *op, struct buf *body)
{
	ASSERT(body->len < OP_BODY);
	if (body->len)
		memcpy(op->body, body->ptr, body->len);
	buf_free(body);
}

static struct op *catalog_op(struct work *work)
{
	struct op *op = op_new(work, OP_CATALOG);
	struct buf body = { 0 };
	op->tenant = (unsigned)chance(work, 2);
	const struct configs *configs = &work->oracle->configs[op->tenant];
	const struct config *config = &configs->list[configs->count - 1];
	unsigned what = (unsigned)chance(work, 10);
	op->catalog_kind = KIND_RULE;
	if (config->rule_count < 2 || (what < 5 && config->rule_count < 12)) {
		op->verb = CATALOG_CREATE;
		rule_write(&body, types[chance(work, TYPES)], work->oracle, op->tenant, &work->seed);
	} else if (what < 7) {
		op->verb = CATALOG_PATCH;
		op->document = config->rules[chance(work, config->rule_count)].id;
		rule_write(&body, NULL, work->oracle, op->tenant, &work->seed);
	} else if (what < 9 || !config->type_count) {
		op->verb = CATALOG_REMOVE;
		op->document = config->rules[chance(work, config->rule_count)].id;
	} else {
		op->verb = one_in(work, 4) ? CATALOG_REMOVE : CATALOG_PATCH;
		op->catalog_kind = KIND_EVENT_TYPE;
		op->document = config->types[chance(work, config->type_count)].id;
		if (op->verb == CATALOG_PATCH)
			buf_printf(&body, "{\"active\":%s}", one_in(work, 3) ? "false" : "true");
	}
	if (config->type_count < TYPES && one_in(work, 3)) {          /* one was removed */
		op->verb = CATALOG_CREATE;
		op->catalog_kind = KIND_EVENT_TYPE;
		body.len = 0;
		type_write(&body, (unsigned)chance(work, TYPES));
	}
	if (configs->count > CONFIGS_MAX - 40 || work->oracle->document_count > DOCUMENTS_MAX - 40)
		op->verb = CATALOG_LIST;       /* enough of it */
	body_take(op, &body);
	return op;
}

/* ---- questions ----------------------------------------------------------------------------------------------------- */

static struct op *question_op(struct work *work, enum op_kind kind)
{
	struct op *op = op_new(work, kind);
	op->count = kind == OP_LOOKUP ? 1 + (uint32_t)chance(work, OP_SPECS) : 1;
	for (uint32_t i = 0; i < op->count; i++)
		op->ids[i] = work->ids[chance(work, PLACES)];
	op->tenant = (unsigned)chance(work, 2);
	op->unit = (unsigned)chance(work, 2);
	snprintf(op->profile, TEXT, "%s", profile_random(work));
	/* Members whose points transfers move as well. */
	const struct account_spec *place = &work->places[chance(work, PLACES)];
	if (place->member.len && str_eq(place->unit, str_of(sim_units[0]))) {
		op->tenant = !str_eq(place->tenant, str_of(sim_tenants[0]));
		memcpy(op->profile, place->member.ptr, place->member.len);
		op->profile[place->member.len] = 0;
	}
	return op;
}

/* A question about what belongs to a member, or to a tenant. */
static struct op *ask_op(struct work *work)
{
	struct op *op = question_op(work, OP_ASK);
	op->action = (unsigned)chance(work, QUERY_KINDS);
	op->state = (unsigned)chance(work, REWARD_STATES + 3);
	if (op->state > REWARD_STATES)
		op->state = REWARD_STATES;
	op->limit = 1 + (unsigned)chance(work, 12);
	op->offset = one_in(work, 3) ? (unsigned)chance(work, 6) : 0;
	op->before = one_in(work, 3) ? (unsigned)chance(work, 12) : 0;
	op->document = 1 + chance(work, 12);
	if (op->action == QUERY_AWARDS && one_in(work, 2))
		*op->profile = 0;      /* of all members */
	return op;
}

/* Of a member that has rewards, where there is one. */
static struct op *action_op(struct work *work)
{
	struct op *op = op_new(work, OP_ACTION);
	op->count = 1;
	op->tenant = (unsigned)chance(work, 2);
	op->action = one_in(work, 3) ? ACTION_OP_EXPIRE_REWARDS : ACTION_OP_USE_REWARD;
	op->document = 1 + chance(work, 5);
	snprintf(op->profile, TEXT, "%s", profile_random(work));
	for (unsigned tries = 0; tries < 8 && work->oracle->member_count; tries++) {
		const struct member_model *member = &work->oracle->members[chance(work, work->oracle->member_count)];
		if (!member->reward_count)
			continue;
		op->tenant = member->tenant;
		snprintf(op->profile, TEXT, "%s", member->profile);
		op->document = member->rewards[chance(work, member->reward_count)].seq + one_in(work, 20);
		break;
	}
	op->dry = one_in(work, 15);
	return op;
}

struct op *work_next(struct work *work)
{
	unsigned sum = 0, kind = 0;
	for (unsigned k = 0; k < WORK_KINDS; k++)
		sum += work->weights[k];
	uint64_t drawn = chance(work, sum);
	while (drawn >= work->weights[kind])
		drawn -= work->weights[kind++];
	switch ((enum op_kind)kind) {
	case OP_TRANSFERS: return transfers_op(work);
	case OP_ACCOUNTS: return accounts_op(work);
	case OP_CLOSE: return close_op(work);
	case OP_EVENTS: return events_op(work);
	case OP_CUSTOMERS: return customers_op(work);
	case OP_CATALOG: return catalog_op(work);
	case OP_DOCUMENT: {
		struct op *op = op_new(work, OP_DOCUMENT);
		document_op(op, &work->seed, work->oracle);
		return op;
	}
	case OP_ACTION: return action_op(work);
	case OP_REVERSE: return reverse_op(work);
	case OP_ASK: return ask_op(work);
	case OP_LOOKUP:
	case OP_MEMBER:
	case OP_BOOK: break;
	}
	return question_op(work, (enum op_kind)kind);
}

struct op *work_first(struct work *work, unsigned number)
{
	enum { EARLY = 26, EACH = 6, FIRST_RULES = 6 };
	unsigned batches = (EARLY + EACH - 1) / EACH;
	if (number < batches) {
		struct op *op = op_new(work, OP_ACCOUNTS);
		for (unsigned i = number * EACH; i < (number + 1) * EACH && i < EARLY; i++)
			op->specs[op->count++] = work->places[i];
		return op;
	}
	number -= batches;
	if (number >= 2 * (TYPES + FIRST_RULES))
		return NULL;
	struct op *op = op_new(work, OP_CATALOG);
	struct buf body = { 0 };
	op->verb = CATALOG_CREATE;
	op->tenant = number & 1;
	number /= 2;
	op->catalog_kind = number < TYPES ? KIND_EVENT_TYPE : KIND_RULE;
	if (number < TYPES)
		type_write(&body, number);
	else if (number < TYPES + 2)
		buf_printf(&body, "{\"event_type\":\"%s\",\"actions\":[{\"type\":\"%s_points\",\"from_payload\":\"points\"}]}",
			   types[number - TYPES], number == TYPES ? "earn" : "burn");
	else
		rule_write(&body, types[chance(work, TYPES)], work->oracle, op->tenant, &work->seed);
	body_take(op, &body);
	return op;
}

void work_begin(struct work *work, uint64_t seed, struct oracle *oracle, int64_t *now_ms)
{
	static const unsigned usual[WORK_KINDS] = { [OP_TRANSFERS] = 40, [OP_ACCOUNTS] = 3, [OP_CLOSE] = 5, [OP_EVENTS] = 30,
						    [OP_CUSTOMERS] = 6, [OP_CATALOG] = 4, [OP_LOOKUP] = 8, [OP_MEMBER] = 6,
						    [OP_BOOK] = 3, [OP_DOCUMENT] = 5, [OP_ACTION] = 4,
						    [OP_REVERSE] = 8, [OP_ASK] = 5 };
	static const unsigned rows[] = { 1, 6, 20, OP_ROWS };
	*work = (struct work){ .seed = seed, .oracle = oracle, .now_ms = now_ms };
	places_make(work);
	for (unsigned k = 0; k < WORK_KINDS; k++)
		work->weights[k] = one_in(work, 8) ? 0 : one_in(work, 8) ? usual[k] * 4 : usual[k];
	if (!work->weights[OP_TRANSFERS] && !work->weights[OP_EVENTS])
		work->weights[OP_TRANSFERS] = usual[OP_TRANSFERS];
	work->rows_max = rows[chance(work, 4)];
	work->few_members = one_in(work, 3);
}
