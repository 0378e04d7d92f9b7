// SPDX-License-Identifier: Apache-2.0
/* reversal.c - a reversal on its way through the node, as net/surface/reverse.c leads it: the event's record is read, where the policy
 * asks for it what left its account since is added up from the account's head backwards, and the row is decided; if the account has
 * moved on meanwhile, all of that once more. */
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/event/reverse.h"
#include "engine/ledger/record.h"
#include "tests/sim/sim_int.h"

enum { WALKS_MAX = 16 };

static void head_ask(struct sim *sim, struct call *call)
{
	struct query *query = &call->query;
	query_free(query);
	*query = (struct query){ .kind = QUERY_MEMBER, .tenant = str_of(sim_tenants[call->op->tenant]), .profile = str_of(call->undoing.profile) };
	unsigned shard = shard_of(partition_of(hash_name(HASH_MEMBER, query->tenant, query->profile)), sim->shards);
	query->message = (struct message){ .kind = MESSAGE_QUERY, .shard = shard, .owner = query };
	call->undoing.walks++;
	sim->oracle->seen.queries[QUERY_MEMBER]++;
	sim->node.env.post(&sim->node, shard, &query->message);
}

/* The event that a reversal's payload names. */
static uint64_t undone_by(const struct event_view *view)
{
	struct json_error error;
	int64_t lsn = 0;
	if (!(view->head.flags & EVENT_REVERSAL))
		return 0;
	yyjson_doc *doc = json_read(view->payload, &error);
	json_int(json_get(yyjson_doc_get_root(doc), STR("reverses")), &lsn);
	yyjson_doc_free(doc);
	return (uint64_t)lsn;
}

/* What left the account behind the event, from its head on: by the records that were written. */
static int64_t spent_since(struct sim *sim, uint32_t number, uint64_t head, uint64_t event)
{
	i128 sum = 0;
	uint64_t prev;
	for (uint64_t lsn = head; lsn > event; lsn = prev) {
		struct event_view view;
		struct transfer_view transfer;
		struct account_record_view account;
		uint32_t size;
		const unsigned char *record = oracle_record(sim->oracle, lsn, &size);
		LAW(sim->oracle, "L2", record, "the history of number %u leads to LSN %llu, where no durable record stands", number, LLU(lsn));
		if (event_view_read(record, size, &view)) {
			sum += reverse_spent(&view, undone_by(&view), event);
			prev = view.head.prev_account;
		} else if (transfer_record_read(record, size, &transfer)) {
			bool debit = transfer.head.debit == number && (transfer.head.flags & TRANSFER_DEBIT_WHOLE);
			bool first = debit || !(transfer.head.flags & TRANSFER_DEBIT_WHOLE);
			if (debit && !(transfer.head.flags & (TRANSFER_PENDING | TRANSFER_VOID | TRANSFER_EXPIRED)))
				sum += transfer.head.amount;
			prev = first ? transfer.head.prev : transfer.second.prev;
		} else {
			LAW(sim->oracle, "history", account_record_read(record, size, &account), "the history of number %u leads to LSN %llu, "
			    "which is another record", number, LLU(lsn));
			prev = account.head.prev;
		}
	}
	return (int64_t)sum;
}

static void row_start(struct sim *sim, struct call *call)
{
	const struct op *op = call->op;
	const struct query *query = &call->query;
	struct row *row = &call->rows[0];
	struct buf *record = &call->undoing.record;
	struct event_view view;
	if (call->batch.parts)
		batch_free(&call->batch);
	*row = (struct row){ .kind = ROW_REVERSE, .tenant = query->tenant, .profile = query->profile, .id = str_of(op->profile),
			     .payload_text = str_of(op->body), .original = buf_view(record), .original_lsn = op->document, .policy = op->action };
	if (event_view_read((const unsigned char *)record->ptr, record->len, &view)) {
		row->profile = view.profile;
		row->type = view.type;
		row->source = view.source;
	}
	row->member_hash = hash_name(HASH_MEMBER, row->tenant, row->profile);
	row->member_partition = partition_of(row->member_hash);
	row->id_hash = hash_name(HASH_EVENT_ID, row->tenant, row->id);
	row->id_partition = partition_of(row->id_hash);
	row->content_hash = content_of(row);
	row->head_lsn = query->account_lsn;
	if (op->action == REVERSE_LEFT)
		row->spent = spent_since(sim, query->account_number, query->account_lsn, op->document);
	call->batch = (struct batch){ .rows = call->rows, .row_count = 1, .dry_run = op->dry };
	batch_init(&call->batch, sim->shards);
	sim->oracle->seen.rows[ROW_REVERSE]++;
	sim->oracle->seen.policies[op->action]++;
	call->undoing.decides = true;
	batch_start(&call->batch, &sim->node.env);
}

void reversal_start(struct sim *sim, struct call *call)
{
	struct event_view view;
	uint32_t size;
	const unsigned char *record = oracle_record(sim->oracle, call->op->document, &size);
	snprintf(call->undoing.profile, TEXT, "m-0");
	if (record && event_view_read(record, size, &view))
		ASSERT(text_copy(call->undoing.profile, view.profile));
	head_ask(sim, call);
}

/* An account that never was closed, has no ceiling and is not full to the brim takes every reversal of an event. */
static bool may_refuse(struct sim *sim, const struct row *row)
{
	struct event_view view;
	if (!event_view_read((const unsigned char *)row->original.ptr, row->original.len, &view) || (view.head.flags & EVENT_REVERSAL))
		return true;
	u128 id = account_id_of_member(row->tenant, row->profile, STR("default"), STR("points"));
	const struct number *number = oracle_number_of(sim->oracle, id);
	const struct model_account *account = model_account_find(sim->oracle->model, id);
	bool closed = false;
	for (unsigned i = 0; number && i < number->history_count; i++)
		closed |= number->history[i].closed;
	const u128 much = UINT64_C(1) << 52;
	return closed || (account && (account->ceiling != NO_CEILING || account->credits_posted + account->credits_pending > much));
}

static void refused(struct sim *sim, const struct call *call)
{
	const struct row *row = &call->rows[0];
	const char *code = row->problem->code;
	uint64_t op_lsn = call->op->document;
	bool good = strcmp(code, "not_reversible") == 0 ? may_refuse(sim, row)
		  : strcmp(code, "history_pruned") == 0 ? op_lsn < sim->oracle->forgotten
		  : strcmp(code, "moved_on") == 0 ? call->undoing.walks >= WALKS_MAX
		  : strcmp(code, "event_too_large") == 0 ? row->original.len * 4 + 2000 > sim->node.env.log_frame_max
		  : row->problem->status == 507 && call_excuse(sim);
	LAW(sim->oracle, "rules", good, "the reversal of the record at LSN %llu is refused: %s", LLU(call->op->document), code);
}

bool reversal_finish(struct sim *sim, struct call *call, bool *unreadable)
{
	struct row *row = &call->rows[0];
	struct query *query = &call->query;
	uint64_t appended = wal_appended(sim->node.wal);
	if (!call->undoing.decides) {
		/* The head may be in another shard's frame, of a transfer between two members. */
		if (query->account_lsn && !call->undoing.waited && appended > wal_durable(sim->node.wal)) {
			call->undoing.waited = true;
			query->message.wait_lsn = appended;
			sim->node.env.done(&sim->node, &query->message);
			return false;
		}
		call->undoing.waited = false;
		if (!call->undoing.record.len && call->op->document && !call_record_read(sim, call->op->document, &call->undoing.record)) {
			*unreadable = true;
			return true;
		}
		if (!call->undoing.record.len && call->op->document)           /* its segment was dropped: outcome_pruned */
			return true;
		row_start(sim, call);
		return false;
	}
	if (row->result == ROW_REFUSED && strcmp(row->problem->code, "moved_on") == 0 && call->undoing.walks < WALKS_MAX) {
		call->undoing.decides = false;
		head_ask(sim, call);
		return false;
	}
	if (call_ids_unread(sim, row))
		*unreadable = true;
	else if (row->result == ROW_REFUSED)
		refused(sim, call);
	else if (!call->op->dry)
		*unreadable = !call_known_check(sim, row, call->op->tenant);
	return true;
}
