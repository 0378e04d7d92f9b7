// SPDX-License-Identifier: Apache-2.0
#include "engine/base/assert.h"
#include "engine/ledger/record.h"
#include "tests/sim/sim_int.h"

unsigned call_excuse(const struct sim *sim)
{
	return (sim->disk->full || sim->disk->faults.capacity ? EXCUSE_DISK : 0) | (sim->node.options.memory ? EXCUSE_MEMORY : 0);
}

bool call_record_read(struct sim *sim, uint64_t lsn, struct buf *out)
{
	uint32_t size;
	const unsigned char *written = oracle_record(sim->oracle, lsn, &size);
	LAW(sim->oracle, "L1", written, "an answer names LSN %llu, where no durable record stands", LLU(lsn));
	bool harmed = sim->disk->damage_count || sim->buried, overwritten = false;
	for (unsigned i = 0; i < sim->disk->damage_count; i++)
		overwritten |= sim->disk->damages[i].kind == DAMAGE_MISDIRECTED;       /* perhaps behind the check */
	sim->disk->read_failed = false;
	out->len = 0;
	if (lsn < wal_first(sim->node.wal)) {
		sim->result->pruned++;
		return true;
	}
	if (!wal_check(sim->node.wal, lsn)) {
		LAW(sim->oracle, "L6", harmed || sim->disk->read_failed, "the record at LSN %llu is called damaged, and it is not",
		    LLU(lsn));
		sim->result->unread += !sim->disk->read_failed;
		sim->damage_read |= !sim->disk->read_failed;
		return false;
	}
	buf_room(out, size);
	if (!wal_read(sim->node.wal, lsn, out->ptr, size))
		return false;
	out->len = size;
	bool good = memcmp(out->ptr, written, size) == 0;
	if (!good && overwritten) {
		sim->damage_read = true;
		return false;
	}
	LAW(sim->oracle, "L6", good, "the record at LSN %llu is read as another than was written", LLU(lsn));
	return true;
}

enum ready { READY, NOT_YET, UNREADABLE };

/* What was kept of an outcome whose segment was dropped.  False: it cannot be read now. */
static bool kept_read(struct sim *sim, uint64_t hash, uint64_t lsn, struct id_kept *kept)
{
	uint64_t refused = sim->disk->reads_refused;
	if (!sim_ids_kept(&sim->node, hash, lsn, kept)) {
		bool wounded = disk_wounded(sim->disk, FOLDER_IDS);
		LAW(sim->oracle, "L6", wounded || sim->disk->reads_refused > refused, "what was kept of LSN %llu cannot be read, and nothing "
		    "is wrong", LLU(lsn));
		sim->damage_read |= wounded;
		return false;
	}
	LAW(sim->oracle, "L4", kept->found || !sim->node.ids.store || lsn < sim->oracle->forgotten, "LSN %llu is gone, and its id is in no run",
	    LLU(lsn));
	return true;
}

/* False: it cannot be read now. */
static bool known_gone(struct sim *sim, struct known_row *known, const unsigned char *row)
{
	struct id_kept kept;
	bool good = kept_read(sim, id_hash_of_transfer(row_load(row).id), known->lsn, &kept);
	known_pruned(known, row, &kept);
	return good;
}

static enum ready known_resolve(struct sim *sim, struct ledger_request *request)
{
	bool again = request->stopped;
	struct buf record = { 0 };
	for (uint32_t i = 0; i < request->known_count; i++) {
		struct known_row *known = &request->known[i];
		if (known->resolved || known->used)
			continue;
		const unsigned char *row = request->rows + (size_t)known->index * ROW_BYTES;
		if (!call_record_read(sim, known->lsn, &record) || (!record.len && !known_gone(sim, known, row))) {
			buf_free(&record);
			return UNREADABLE;
		}
		if (record.len)
			known_compare(known, row, (unsigned char *)record.ptr, record.len);
		again |= known->collision;
		sim->result->repeats++;
	}
	buf_free(&record);
	return again ? NOT_YET : READY;
}

static void transfers_answer(struct sim *sim, struct call *call)
{
	static struct model_reply replies[OP_ROWS];
	struct ledger_request *request = &call->ledger;
	ledger_known_finish(request);
	LAW(sim->oracle, "L4", request->balances.len == (size_t)request->count * 16 && request->refused.len % 8 == 0,
	    "op %u: %zu bytes of balances for %u rows", call->op->number, request->balances.len, request->count);
	for (uint32_t i = 0; i < request->count; i++) {
		replies[i] = (struct model_reply){ 0 };
		memcpy(replies[i].balances, request->balances.ptr + (size_t)i * 16, 16);
	}
	for (size_t at = 0; at < request->refused.len; at += 8) {
		uint32_t refused[2];
		memcpy(refused, request->refused.ptr + at, sizeof refused);
		LAW(sim->oracle, "L4", refused[0] < request->count && refusal_find(refused[1]), "op %u: row %u is refused for %u",
		    call->op->number, refused[0], refused[1]);
		replies[refused[0]].refusal = (enum refusal)refused[1];
	}
	bool pruned = false, gone = false;
	for (uint32_t i = 0; i < request->known_count; i++) {
		pruned |= request->known[i].lsn < wal_first(sim->node.wal);
		gone |= request->known[i].lsn < sim->oracle->forgotten;        /* meanwhile */
	}
	reply_transfers(sim->oracle, call->op, replies, call_excuse(sim) | (pruned ? EXCUSE_PRUNED : 0) |
			(pruned && sim->node.ids.store ? EXCUSE_KEPT : 0) | (gone ? EXCUSE_GONE : 0));
}

/* Whether a configuration that may have counted does `what`. */
static bool configured(struct sim *sim, const struct op *op, const struct sim_event *event,
		       bool (*what)(const struct config *config, const struct sim_event *event))
{
	const struct configs *configs = &sim->oracle->configs[event->tenant];
	for (unsigned c = configs->count; c-- > 0;) {
		if (what(&configs->list[c], event))
			return true;
		if (configs->list[c].lsn <= op->config_lsn[event->tenant])
			break;
	}
	return false;
}

static bool type_refuses(const struct config *config, const struct sim_event *event)
{
	const struct type_model *type = config_type(config, event->type);
	return !type || (type->internal && !event->internal);
}

static bool rules_emit(const struct config *config, const struct sim_event *event)
{
	bool emits = false;
	(void)event;
	for (unsigned r = 0; r < config->rule_count; r++)
		for (unsigned a = 0; a < config->rules[r].action_count; a++)
			emits |= config->rules[r].actions[a].type == ACTION_EMIT_EVENT;
	return emits;
}

static void event_refused(struct sim *sim, const struct call *call, uint32_t index)
{
	const struct sim_event *event = &call->op->events[index];
	const struct problem *problem = call->rows[index].problem;
	bool good = problem->status == 507 ? call_excuse(sim)
		  : problem->status == 413 ? configured(sim, call->op, event, rules_emit)
		  : problem->status == 404 ? event->strict && !call->not_before[index]
		  : problem->status == 400 && configured(sim, call->op, event, type_refuses);
	LAW(sim->oracle, problem->status == 507 ? "L7" : "rules", good, "event %s is refused: %s", event->id, problem->code);
}

uint64_t content_of(const struct row *row)
{
	return hash_bytes(row->payload_text.ptr, row->payload_text.len) ^ hash_bytes(row->profile.ptr, row->profile.len) * 3 ^
	       hash_bytes(row->type.ptr, row->type.len) * 5;
}

/* The record of a known event is gone: is it told rightly whether the content is the same?  False: it cannot be read now. */
static bool event_gone(struct sim *sim, const struct row *row, const char *id)
{
	struct id_kept kept;
	struct event_view view;
	uint32_t size;
	const unsigned char *first = oracle_record(sim->oracle, row->lsn, &size);
	if (!kept_read(sim, row->id_hash, row->lsn, &kept))
		return false;
	bool equal = event_view_read(first, size, &view) && str_eq(view.profile, row->profile) && str_eq(view.type, row->type) &&
		     str_eq(view.payload, row->payload_text);
	LAW(sim->oracle, "L4", !kept.found || (kept.content == row->content_hash) == equal,
	    "event %s comes again when its record is gone: same content is %d, and what was kept says otherwise", id, equal);
	sim->result->repeats++;
	return true;
}

bool call_ids_unread(struct sim *sim, const struct row *row)
{
	if (row->result != ROW_REFUSED || row->problem->status != 500 || !sim->node.ids.unread)
		return false;
	sim->damage_read |= disk_wounded(sim->disk, FOLDER_IDS) > 0;
	return true;
}

bool call_known_check(struct sim *sim, const struct row *row, unsigned tenant)
{
	char id[TEXT];
	struct buf record = { 0 };
	struct event_view view;
	ASSERT(text_copy(id, row->id));
	LAW(sim->oracle, "L4", row->result != ROW_OPEN, "event %s has no answer", id);
	LAW(sim->oracle, row->result == ROW_DONE ? "L1" : "L4", oracle_event_at(sim->oracle, tenant, id, row->lsn),
	    "event %s is %s at LSN %llu, the durable log has it at %llu", id, row->result == ROW_DONE ? "acknowledged" : "known",
	    LLU(row->lsn), LLU(oracle_event_lsn(sim->oracle, tenant, id)));
	if (row->result == ROW_DONE)
		return true;
	if (!call_record_read(sim, row->lsn, &record)) {
		buf_free(&record);
		return false;
	}
	if (!record.len)
		return event_gone(sim, row, id);
	bool whole = event_view_read((unsigned char *)record.ptr, record.len, &view);
	bool same = whole && view.head.content_hash == row->content_hash;
	bool equal = whole && str_eq(view.profile, row->profile) && str_eq(view.type, row->type) &&
		     str_eq(view.payload, row->payload_text);
	buf_free(&record);
	LAW(sim->oracle, "L4", same == equal, "event %s comes again: same content is %d, and told as %d", id, equal, same);
	sim->result->repeats++;
	return true;
}

static void customer_answer(struct sim *sim, struct call *call, uint32_t index)
{
	const struct row *row = &call->rows[index];
	struct customer_view view;
	uint32_t size;
	if (row->result == ROW_REFUSED) {
		LAW(sim->oracle, "L7", row->problem->status == 507 && call_excuse(sim), "customer %s is refused: %s",
		    call->op->customers[index].profile, row->problem->code);
		return;
	}
	const unsigned char *record = oracle_record(sim->oracle, row->lsn, &size);
	LAW(sim->oracle, "L1", row->result == ROW_DONE && record && customer_view_read(record, size, &view) &&
	    str_eq(view.profile, row->profile), "customer %s is acknowledged at LSN %llu, where the durable log has something else",
	    call->op->customers[index].profile, LLU(row->lsn));
}

static void action_answer(struct sim *sim, struct call *call)
{
	static const char *const codes[] = { "customer_unknown", "not_found", "reward_used", "reward_expired", "reward_revoked",
					     "nothing_due" };
	const struct row *row = &call->rows[0];
	struct action_view view;
	uint32_t size;
	if (row->result == ROW_REFUSED) {
		bool known = row->problem->status == 507 && call_excuse(sim);
		for (unsigned i = 0; i < sizeof codes / sizeof *codes; i++)
			known |= strcmp(codes[i], row->problem->code) == 0;
		LAW(sim->oracle, "L7", known, "an action on %s is refused: %s", call->op->profile, row->problem->code);
		return;
	}
	if (call->op->dry)
		return;
	const unsigned char *record = oracle_record(sim->oracle, row->lsn, &size);
	LAW(sim->oracle, "L1", row->result == ROW_DONE && record && action_view_read(record, size, &view) &&
	    str_eq(view.profile, row->profile), "an action on %s is acknowledged at LSN %llu, where the durable log has something else",
	    call->op->profile, LLU(row->lsn));
}

/* One document as it is shown: it has been that, and not earlier than when it was asked for. */
static void document_answer(struct sim *sim, const struct call *call)
{
	const struct catalog_request *request = &call->catalog;
	const struct document_model *document = oracle_document(sim->oracle, call->op->document);
	uint64_t before = call->not_before[0];
	bool there = document && document->kind == call->op->catalog_kind && document->tenant == call->op->tenant;
	if (request->status == CATALOG_OK)
		LAW(sim->oracle, "L2", there && request->version >= before && request->version <= document->version - document->removed,
		    "%s %llu is shown in version %llu; it had %llu before the question, and has %llu", request->kind->name,
		    LLU(call->op->document), LLU(request->version), LLU(before), LLU(document ? document->version : 0));
	else
		LAW(sim->oracle, "L10", request->status == CATALOG_NOT_FOUND && (!there || !before || document->removed),
		    "%s %llu is not shown, and it is there", request->kind->name, LLU(call->op->document));
}

static void catalog_answer(struct sim *sim, struct call *call)
{
	const struct catalog_request *request = &call->catalog;
	const struct op *op = call->op;
	uint32_t size;
	if (op->verb == CATALOG_GET) {
		document_answer(sim, call);
		return;
	}
	if (op->verb == CATALOG_AUDIT || op->verb == CATALOG_COPY)
		LAW(sim->oracle, "L2", request->lsn >= call->not_before[0] && request->lsn <= sim->oracle->audit_lsn[op->tenant],
		    "the newest change of %s is told to be at LSN %llu; it was at %llu before the question, and is durable at %llu",
		    sim_tenants[op->tenant], LLU(request->lsn), LLU(call->not_before[0]), LLU(sim->oracle->audit_lsn[op->tenant]));
	if (op->verb == CATALOG_REMEMBER && request->status == CATALOG_CONFLICT) {
		LAW(sim->oracle, "rules", op->match, "the state of %llu is refused as one of another version", LLU(op->document));
		return;
	}
	if (op->verb == CATALOG_LIST || op->verb == CATALOG_AUDIT || op->verb == CATALOG_COPY || op->verb == CATALOG_DUE ||
	    request->status != CATALOG_OK) {
		bool full = request->status == CATALOG_REFUSED && request->problem.status == 507;
		LAW(sim->oracle, "L7", !full || call_excuse(sim), "a change of configuration is refused: %s", request->problem.code);
		bool told = request->problem.status && request->problem.code && *request->problem.detail;
		LAW(sim->oracle, "L10", op->verb == CATALOG_REMEMBER || request->status == CATALOG_OK || (op->verb < CATALOG_GET && told), "a change of configuration is refused without a word");
		LAW(sim->oracle, "rules", request->status != CATALOG_STALE || op->match, "a change of configuration is refused as stale, "
		    "and it named no version");
		return;
	}
	LAW(sim->oracle, "rules", !op->spoiled, "a body that cannot be a %s's is taken: %s", request->kind->name, op->body);
	if (op->dry)
		return;
	const unsigned char *record = oracle_record(sim->oracle, request->lsn, &size);
	LAW(sim->oracle, "L1", record, "a change of configuration is acknowledged at LSN %llu, where the durable log has nothing",
	    LLU(request->lsn));
	if (request->lsn > sim->acked_config[op->tenant])
		sim->acked_config[op->tenant] = request->lsn;
}

void member_check(struct sim *sim, const struct query *query, unsigned tenant, uint64_t not_before, uint64_t account_before)
{
	const struct member_model *member = oracle_member(sim->oracle, tenant, query->profile);
	struct number *number = oracle_number_of(sim->oracle, account_id_of_member(query->tenant, query->profile, STR("default"),
										   STR("points")));
	LAW(sim->oracle, "L2", query->found || !not_before, "member %.*s is gone, and it was seen before", (int)query->profile.len,
	    query->profile.ptr);
	if (!query->found)
		return;
	LAW(sim->oracle, "L2", member, "member %.*s is shown, and it is not in the durable log", (int)query->profile.len,
	    query->profile.ptr);
	LAW(sim->oracle, "L2", query->last_lsn >= not_before && query->last_lsn <= member->last_lsn,
	    "member %s is shown at LSN %llu; it was at %llu before the question, and is durable at %llu", member->profile,
	    LLU(query->last_lsn), LLU(not_before), LLU(member->last_lsn));
	bool points = !number && query->points == 0;
	for (unsigned i = number ? number->history_count : 0; i-- > 0 && !points;) {
		const struct history *history = &number->history[i];
		points = (int64_t)(history->sums[1] - history->sums[0]) == query->points;
		if (history->lsn <= account_before)
			break;
	}
	/* Before its account came into being. */
	LAW(sim->oracle, "L2", points || (!account_before && query->points == 0), "member %s is shown with %lld points, which it never had "
	    "since LSN %llu", member->profile, (long long)query->points, LLU(account_before));
	if (query->last_lsn != member->last_lsn)
		return;
	struct buf tags = { 0 };
	buf_char(&tags, '[');
	for (unsigned i = 0; i < member->tag_count; i++)
		buf_printf(&tags, "%s\"%s\"", i ? "," : "", member->tags[i]);
	buf_char(&tags, ']');
	bool same_tags = str_eq(buf_view(&tags), buf_view(&query->tags_json));
	buf_free(&tags);
	LAW(sim->oracle, "L2", query->debt == member->debt, "member %s at LSN %llu owes %lld; it owes %lld", member->profile,
	    LLU(query->last_lsn), (long long)query->debt, (long long)member->debt);
	LAW(sim->oracle, "L2", query->status_points == member->status_points && query->lifetime_points == member->lifetime &&
	    query->event_count == member->events && query->active_ms == member->active_ms && query->created_ms == member->created_ms &&
	    str_eq(buf_view(&query->status), str_of(member->status)) && same_tags,
	    "member %s at LSN %llu: status %.*s, tags %.*s, %lld status points, %lld in its life, %u events; it has %s, %u tags, %lld, "
	    "%lld, %u", member->profile, LLU(query->last_lsn), (int)query->status.len, query->status.ptr, (int)query->tags_json.len,
	    query->tags_json.ptr, (long long)query->status_points, (long long)query->lifetime_points, query->event_count,
	    member->status, member->tag_count, (long long)member->status_points, (long long)member->lifetime, member->events);
}

void book_check(struct sim *sim, const struct ledger_request *request)
{
	u128 total[4] = { 0 };
	for (unsigned kind = 0; kind < ACCOUNT_KINDS; kind++)
		for (unsigned s = 0; s < 4; s++)
			total[s] += request->sums[kind][s];
	LAW(sim->oracle, "L3", total[0] == total[1] && total[2] == total[3], "a book is shown that does not balance: %lld %lld, pending "
	    "%lld %lld", (long long)total[0], (long long)total[1], (long long)total[2], (long long)total[3]);
}

bool call_finish(struct sim *sim, struct call *call, uint64_t wait_lsn, bool *unreadable)
{
	const struct op *op = call->op;
	*unreadable = false;
	switch (op->kind) {
	case OP_TRANSFERS:
		if (call->ledger.unreadable) {
			*unreadable = true;
			sim->damage_read |= disk_wounded(sim->disk, FOLDER_IDS) > 0;
			return true;
		}
		switch (known_resolve(sim, &call->ledger)) {
		case NOT_YET: ledger_restart(&call->ledger, &sim->node.env); return false;
		case UNREADABLE: *unreadable = true; return true;
		case READY:
			if (!op->dry)
				transfers_answer(sim, call);
			return true;
		}
		return true;
	case OP_ACCOUNTS:
	case OP_CLOSE: reply_specs(sim->oracle, op, call->specs, call_excuse(sim)); return true;
	case OP_LOOKUP:
		for (uint32_t i = 0; i < op->count; i++)
			reply_view(sim->oracle, &call->views[i], wait_lsn, call->not_before[i]);
		return true;
	case OP_BOOK: book_check(sim, &call->ledger); return true;
	case OP_EVENTS:
		for (uint32_t i = 0; i < op->count && !op->dry; i++)
			if (call_ids_unread(sim, &call->rows[i]))
				*unreadable = true;
			else if (call->rows[i].result == ROW_REFUSED)
				event_refused(sim, call, i);
			else if (!call_known_check(sim, &call->rows[i], op->events[i].tenant))
				*unreadable = true;
		return true;
	case OP_CUSTOMERS:
		for (uint32_t i = 0; i < op->count && !op->dry; i++)
			customer_answer(sim, call, i);
		return true;
	case OP_ACTION: action_answer(sim, call); return true;
	case OP_REVERSE: return reversal_finish(sim, call, unreadable);
	case OP_ASK: ask_check(sim, call); return true;
	case OP_CATALOG:
	case OP_DOCUMENT: catalog_answer(sim, call); return true;
	case OP_MEMBER: member_check(sim, &call->query, op->tenant, call->not_before[0], call->not_before[1]); return true;
	}
	return true;
}
