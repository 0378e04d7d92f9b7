// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_int.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/ledger/record.h"
#include "net/loop/logline.h"

static uint64_t chance(struct sim *sim, uint64_t below)
{
	return disk_chance(&sim->seed, below);
}

static bool one_in(struct sim *sim, unsigned count)
{
	return count && chance(sim, count) == 0;
}

static void happened(struct sim *sim, const char *what, uint64_t a, uint64_t b)
{
	sim->result->hash = hash_step(hash_step(hash_step(sim->result->hash, (uint64_t)what[0] << 8 | (uint64_t)what[1]), a), b);
	if (sim->trace)
		fprintf(stderr, "%10.3f ms  %-12s %llu %llu\n", (double)sim->disk->now_ns / MS, what, LLU(a), LLU(b));
}

static void clock_set(struct sim *sim)
{
	sim->disk->wall_ms = INT64_C(1700000000000) + (int64_t)(sim->disk->now_ns / MS) + sim->clock_offset_ms;
}

/* ---- the node's hooks ---------------------------------------------------------------------------------------------- */

static void on_written(void *context, const struct sim_frame *frame)
{
	struct sim *sim = context;
	oracle_published(sim->oracle, frame);
	happened(sim, "frame", frame->lsn, hash_bytes(frame->body, frame->size));
}

static void on_replayed(void *context, const struct sim_frame *frame)
{
	struct sim *sim = context;
	oracle_replayed(sim->oracle, frame);
}

/* What a snapshot says must be known: it is of this log, and the newest that was told to be there, or the disk has its share in it. */
static void on_loaded(void *context, const struct snapshot_load *load)
{
	struct sim *sim = context;
	uint64_t sound;
	unsigned wounded = disk_wounded_snapshots(sim->disk, &sound);
	bool unread = sim->disk->read_failed;
	LAW(sim->oracle, "L2", load->end <= sim->durable, "a snapshot reaches LSN %llu, the log was durable up to %llu", LLU(load->end),
	    LLU(sim->durable));
	LAW(sim->oracle, "L6", load->broken <= wounded || unread, "a snapshot is said to be broken, and the disk did nothing to it");
	LAW(sim->oracle, "L6", load->end >= sound || unread, "a snapshot that ends at LSN %llu is whole, and the one loaded ends at %llu",
	    LLU(sound), LLU(load->end));
	LAW(sim->oracle, "L1", load->end >= sim->snapshot_end || wounded || unread, "the newest snapshot ends at LSN %llu, the last one "
	    "that was told to be there at %llu", LLU(load->end), LLU(sim->snapshot_end));
	oracle_recovering(sim->oracle, load->from);
	sim->result->loads += load->loaded;
	sim->result->passed_over += load->broken;
	happened(sim, "loaded", load->from, load->end);
}

static void on_said(void *context, const char *level, const char *line)
{
	struct sim *sim = context;
	if (strncmp(line, "cut:", 4) == 0)
		snprintf(sim->last_cut, sizeof sim->last_cut, "%s", line);
	if (sim->trace)
		fprintf(stderr, "%10.3f ms  %s: %s\n", (double)sim->disk->now_ns / MS, level, line);
}

/* ---- calls --------------------------------------------------------------------------------------------------------- */

static struct call *call_new(struct sim *sim, const struct op *op)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (!sim->calls[i].live) {
			sim->calls[i] = (struct call){ .op = op, .live = true, .slot = i };
			return &sim->calls[i];
		}
	return NULL;
}

static void call_free(struct call *call)
{
	if (call->batch.parts)
		batch_free(&call->batch);
	for (unsigned i = 0; i < OP_EVENTS_MAX; i++)
		yyjson_doc_free(call->docs[i]);
	ledger_request_free(&call->ledger);
	query_free(&call->query);
	buf_free(&call->undoing.record);
	problem_free(&call->catalog.problem);
	buf_free(&call->catalog.json);
	call->live = false;
}

static yyjson_doc *document_of(const char *text)
{
	struct json_error error;
	yyjson_doc *doc = json_read(str_of(text), &error);
	ASSERT(doc);
	return doc;
}

static void row_begin(struct sim *sim, struct row *row, enum row_kind kind, unsigned tenant, const char *profile)
{
	sim->oracle->seen.rows[kind]++;
	*row = (struct row){ .kind = kind, .tenant = str_of(sim_tenants[tenant]), .profile = str_of(profile) };
	row->member_hash = hash_name(HASH_MEMBER, row->tenant, row->profile);
	row->member_partition = partition_of(row->member_hash);
}

static void event_row(struct sim *sim, struct call *call, unsigned index, const struct sim_event *event)
{
	struct row *row = &call->rows[index];
	row_begin(sim, row, ROW_EVENT, event->tenant, event->profile);
	const struct member_model *member = oracle_member(sim->oracle, event->tenant, row->profile);
	call->not_before[index] = member ? member->last_lsn : 0;
	row->type = str_of(event->type);
	row->id = str_of(event->id);
	row->source = STR("sim");
	call->docs[index] = document_of(event->payload);
	row->payload = yyjson_doc_get_root(call->docs[index]);
	row->payload_text = str_of(event->payload);
	row->id_hash = hash_name(HASH_EVENT_ID, row->tenant, row->id);
	row->id_partition = partition_of(row->id_hash);
	row->content_hash = content_of(row);
	row->flags = (event->internal ? ROW_INTERNAL : 0u) | (event->strict ? ROW_STRICT : 0u);
}

static void rows_start(struct sim *sim, struct call *call)
{
	const struct op *op = call->op;
	for (uint32_t i = 0; i < op->count; i++) {
		if (op->kind == OP_EVENTS) {
			event_row(sim, call, i, &op->events[i]);
			continue;
		}
		if (op->kind == OP_ACTION) {
			row_begin(sim, &call->rows[i], ROW_ACTION, op->tenant, op->profile);
			call->rows[i].op = op->action;
			sim->oracle->seen.ops[op->action]++;
			call->rows[i].seq = (uint32_t)op->document;
			continue;
		}
		row_begin(sim, &call->rows[i], ROW_CUSTOMER, op->customers[i].tenant, op->customers[i].profile);
		call->docs[i] = document_of(op->customers[i].body);
		call->rows[i].payload = yyjson_doc_get_root(call->docs[i]);
		call->rows[i].payload_text = str_of(op->customers[i].body);
	}
	call->batch.rows = call->rows;
	call->batch.row_count = op->count;
	batch_init(&call->batch, sim->shards);
	call->batch.dry_run = op->dry;
	batch_start(&call->batch, &sim->node.env);
}

static void catalog_start(struct sim *sim, struct call *call)
{
	const struct op *op = call->op;
	struct catalog_request *request = &call->catalog;
	request->verb = op->verb;
	sim->oracle->seen.catalog[op->verb]++;
	request->kind = kind_by_number(op->catalog_kind);
	request->tenant = str_of(sim_tenants[op->tenant]);
	request->id = op->document;
	request->limit = 100;
	request->dry_run = op->dry;
	request->match = (struct version_match){ .given = op->match, .count = op->match != 0, .versions = { op->match } };
	if (op->verb == CATALOG_REMEMBER) {
		request->at_version = op->match;
		request->match = (struct version_match){ 0 };
	}
	op_actor(op, call->actor);
	request->actor = str_of(call->actor);
	const struct document_model *document = oracle_document(sim->oracle, op->document);
	call->not_before[0] = op->verb == CATALOG_AUDIT || op->verb == CATALOG_COPY ? sim->oracle->audit_lsn[op->tenant]
			    : document ? document->version : 0;
	if (*op->body) {
		call->docs[0] = document_of(op->body);
		request->body = yyjson_doc_get_root(call->docs[0]);
	}
	request->message = (struct message){ .kind = MESSAGE_CATALOG, .shard = CATALOG_SHARD, .owner = request };
	sim->node.env.post(&sim->node, CATALOG_SHARD, &request->message);
}

static void query_start(struct sim *sim, struct call *call)
{
	const struct op *op = call->op;
	struct query *query = &call->query;
	query->kind = QUERY_MEMBER;
	sim->oracle->seen.queries[QUERY_MEMBER]++;
	query->tenant = str_of(sim_tenants[op->tenant]);
	query->profile = str_of(op->profile);
	unsigned shard = shard_of(partition_of(hash_name(HASH_MEMBER, query->tenant, query->profile)), sim->shards);
	query->message = (struct message){ .kind = MESSAGE_QUERY, .shard = shard, .owner = query };
	const struct member_model *member = oracle_member(sim->oracle, op->tenant, query->profile);
	const struct number *number = oracle_number_of(sim->oracle, account_id_of_member(query->tenant, query->profile,
											STR("default"), STR("points")));
	call->not_before[0] = member ? member->last_lsn : 0;
	call->not_before[1] = number ? number->last_lsn : 0;
	sim->node.env.post(&sim->node, shard, &query->message);
}

static void call_start(struct sim *sim, struct call *call)
{
	const struct op *op = call->op;
	struct ledger_request *request = &call->ledger;
	request->count = op->count;
	switch (op->kind) {
	case OP_TRANSFERS:
		request->verb = LEDGER_TRANSFERS;
		request->rows = op->rows;
		request->want_balances = true;
		request->dry_run = op->dry;
		break;
	case OP_ACCOUNTS:
	case OP_CLOSE:
		request->verb = op->kind == OP_CLOSE ? LEDGER_CLOSE : LEDGER_ACCOUNTS;
		memcpy(call->specs, op->specs, sizeof call->specs);
		request->specs = call->specs;
		break;
	case OP_LOOKUP:
		request->verb = LEDGER_LOOKUP;
		for (uint32_t i = 0; i < op->count; i++) {
			const struct number *number = oracle_number_of(sim->oracle, op->ids[i]);
			call->views[i].id = op->ids[i];
			call->not_before[i] = number ? number->last_lsn : 0;
		}
		request->views = call->views;
		break;
	case OP_BOOK:
		request->verb = LEDGER_BOOK;
		request->tenant = str_of(sim_tenants[op->tenant]);
		request->unit = str_of(sim_units[op->unit]);
		break;
	case OP_EVENTS:
	case OP_ACTION:
	case OP_CUSTOMERS: rows_start(sim, call); return;
	case OP_CATALOG:
	case OP_DOCUMENT: catalog_start(sim, call); return;
	case OP_MEMBER: query_start(sim, call); return;
	case OP_REVERSE: reversal_start(sim, call); return;
	case OP_ASK: ask_start(sim, call); return;
	}
	sim->oracle->seen.ledger[request->verb]++;
	ledger_start(request, &sim->node.env);
}

/* ---- network ------------------------------------------------------------------------------------------------------- */

static void letter_send(struct sim *sim, const struct op *op, bool reply, bool again)
{
	uint64_t delay = chance(sim, 2 * MS);
	if (one_in(sim, sim->swarm.slow_one_in))
		delay += chance(sim, 400) * MS;
	if (one_in(sim, sim->swarm.drop_one_in))
		return;
	for (unsigned i = 0; i < LETTERS; i++)
		if (!sim->letters[i].live) {
			sim->letters[i] = (struct letter){ true, reply, sim->disk->now_ns + delay, op, again };
			return;
		}
}

static void answered(struct sim *sim, const struct op *op)
{
	struct client *client = &sim->clients[op->client];
	if (client->op != op)
		return;                        /* of an earlier sending */
	client->op->answered = true;
	client->op = NULL;
	client->waiting = false;
	client->due_ns = sim->disk->now_ns + chance(sim, 8 * MS);
}

static void op_show(const struct op *op)
{
	static const char *const words[] = { "transfers", "accounts", "close", "events", "customers", "catalog", "lookup", "member",
					     "book", "document", "action", "reverse", "ask" };
	fprintf(stderr, "              op %u: %u %s%s\n", op->number, op->count, words[op->kind], op->dry ? ", dry" : "");
	for (uint32_t i = 0; op->kind == OP_TRANSFERS && i < op->count; i++) {
		struct transfer_row row = row_load(op->rows + (size_t)i * ROW_BYTES);
		fprintf(stderr, "                 %u: %016llx from %016llx to %016llx amount %llu code %u flags %u timeout %u\n", i,
			LLU(row.id), LLU(row.debit), LLU(row.credit), LLU(row.amount), row.code, row.flags, row.timeout);
	}
	for (uint32_t i = 0; op->kind == OP_EVENTS && i < op->count; i++)
		fprintf(stderr, "                 %u: %s %s of %s/%s %s\n", i, op->events[i].id, op->events[i].type,
			sim_tenants[op->events[i].tenant], op->events[i].profile, op->events[i].payload);
	if (op->kind == OP_REVERSE)
		fprintf(stderr, "                 %s of %s %s\n", op->profile, sim_tenants[op->tenant], op->body);
	if (op->kind == OP_CATALOG || op->kind == OP_DOCUMENT)
		fprintf(stderr, "                 verb %u %s %llu of %s %s\n", (unsigned)op->verb, kind_by_number(op->catalog_kind)->name,
			LLU(op->document), sim_tenants[op->tenant], op->body);
}

static void request_send(struct sim *sim, struct client *client)
{
	struct op *op = client->op;
	/* Making a document without a key of its own has no id: who does not know whether it was made does not ask again. */
	bool once = (op->kind == OP_CATALOG || op->kind == OP_DOCUMENT) && op->verb == CATALOG_CREATE &&
		    !kind_by_number(op->catalog_kind)->unique;
	if (once && op->sent) {
		answered(sim, op);
		return;
	}
	if (!op->sent) {
		op->sent = true;
		memcpy(op->config_lsn, sim->acked_config, sizeof op->config_lsn);
		oracle_sent(sim->oracle, op);
		sim->result->ops++;
		if (sim->trace)
			op_show(op);
	} else {
		sim->result->retries++;
	}
	letter_send(sim, op, false, false);
	if (!once && one_in(sim, sim->swarm.twice_one_in))
		letter_send(sim, op, false, false);
	client->waiting = true;
	client->due_ns = sim->disk->now_ns + (50 + chance(sim, 500)) * MS;
}

static void clients_step(struct sim *sim)
{
	for (unsigned i = 0; i < sim->swarm.clients; i++) {
		struct client *client = &sim->clients[i];
		if (client->due_ns > sim->disk->now_ns)
			continue;
		if (client->op) {
			request_send(sim, client);
			continue;
		}
		if (!sim->ops_left)
			continue;
		struct op *op = work_first(&sim->work, sim->first_ops);
		if (op)
			sim->first_ops++;
		else
			op = work_next(&sim->work);
		sim->ops_left--;
		op->client = i;
		client->op = op;
		request_send(sim, client);
	}
}

static void letters_step(struct sim *sim)
{
	for (unsigned i = 0; i < LETTERS; i++) {
		struct letter *letter = &sim->letters[i];
		if (!letter->live || letter->due_ns > sim->disk->now_ns)
			continue;
		if (!letter->reply) {
			struct call *call = sim->up ? call_new(sim, letter->op) : NULL;
			letter->live = false;
			happened(sim, "request", letter->op->number, call ? call->slot : CALLS);
			if (call)
				call_start(sim, call);
			continue;
		}
		letter->live = false;
		happened(sim, "reply", letter->op->number, letter->again);
		if (!letter->again)
			answered(sim, letter->op);
	}
}

/* ---- a message is done --------------------------------------------------------------------------------------------- */

static struct call *call_of(struct sim *sim, const struct message *message)
{
	for (unsigned i = 0; i < CALLS; i++) {
		struct call *call = &sim->calls[i];
		if (call->live && (message->owner == &call->ledger || message->owner == &call->batch ||
				   message->owner == &call->query || message->owner == &call->catalog))
			return call;
	}
	ASSERT(!"a message of nobody");
	return NULL;
}

static bool take_step(struct sim *sim)
{
	struct message *message = sim_node_take(&sim->node);
	bool unreadable;
	if (!message)
		return false;
	if (message->kind == MESSAGE_CAPTURE) {
		((struct capture *)message->owner)->after(message->owner);
		return true;
	}
	struct call *call = call_of(sim, message);
	uint64_t wait_lsn = message->wait_lsn;
	if (!call->op) {
		sim->expiring = false;
		call_free(call);
		return true;
	}
	sim->damage_read = false;
	if (!call_finish(sim, call, wait_lsn, &unreadable))
		return true;
	happened(sim, "answer", call->op->number, wait_lsn);
	sim->result->replies++;
	letter_send(sim, call->op, true, unreadable && !sim->damage_read);
	call_free(call);
	return true;
}

/* ---- steps of the node --------------------------------------------------------------------------------------------- */

static enum step node_died(struct sim *sim)
{
	LAW(sim->oracle, "L7", sim->disk->sync_failed || sim->disk->call_failed || sim->disk->dead, "the log ends the process without a reason: %s",
	    sim->node.fatal_text);
	happened(sim, "died", 0, 0);
	return STEP_DEAD;
}

/* After a step that may have written. */
static enum step wrote_step(struct sim *sim, enum node_outcome outcome, bool did)
{
	if (sim->disk->dead)
		return STEP_DEAD;
	if (outcome == NODE_DIED)
		return node_died(sim);
	LAW(sim->oracle, "L7", !sim->disk->sync_failed, "a write or a sync failed, and the node goes on");
	LAW(sim->oracle, "L8", wal_appended(sim->node.wal) - wal_durable(sim->node.wal) <= sim->node.options.ring_size,
	    "more is on its way to the disk than the ring holds");
	oracle_durable(sim->oracle, wal_durable(sim->node.wal));
	if (sim->oracle->hooked_lsn >= sim->opened) {
		/* Who tells other systems sees that there is something, once it is durable. */
		uint64_t newest = 0;
		for (unsigned s = 0; s < sim->shards; s++)
			newest = atomic_load(&sim->node.shards[s].hooked_lsn) > newest ? atomic_load(&sim->node.shards[s].hooked_lsn) : newest;
		LAW(sim->oracle, "order", newest >= sim->oracle->hooked_lsn, "the record at LSN %llu tells another system something, and the "
		    "newest that is known to do so is %llu", LLU(sim->oracle->hooked_lsn), LLU(newest));
	}
	sim->durable = wal_durable(sim->node.wal);
	return did ? STEP_DONE : STEP_NOTHING;
}

static void mark_add(struct sim *sim, uint64_t covers, uint64_t at)
{
	sim->marks[sim->mark_count % MARKS].covers = covers;
	sim->marks[sim->mark_count++ % MARKS].at = at;
}

enum step sim_step_log(struct sim *sim, bool idle)
{
	bool wrote = false;
	uint64_t all = wal_appended(sim->node.wal) == wal_durable(sim->node.wal) ? wal_durable(sim->node.wal) : 0;
	enum node_outcome outcome = sim_log_step(&sim->node, idle, &wrote);
	enum step step = wrote_step(sim, outcome, wrote);
	if (wrote && step == STEP_DONE) {
		happened(sim, "log", wal_durable(sim->node.wal), idle);
		if (idle && all)
			mark_add(sim, all, all);       /* nothing new was there: it wrote its mark */
	}
	return step;
}

enum step sim_step_maker(struct sim *sim)
{
	bool made = false;
	if (wal_disk_full(sim->node.wal) && !one_in(sim, 10))
		return STEP_NOTHING;           /* tried again now and then */
	enum node_outcome outcome = sim_maker_step(&sim->node, &made);
	sim->result->segments += made;
	sim->result->full += wal_disk_full(sim->node.wal);
	return wrote_step(sim, outcome, made);
}

/* Now and then a snapshot; some of those in a life that will end among its calls. */
static void snapshots_step(struct sim *sim)
{
	const struct swarm *swarm = &sim->swarm;
	if (sim->node.writer || !sim->ops_left || !one_in(sim, swarm->snapshot_one_in))
		return;
	sim->disk->snapshot_failed = false;
	sim_snapshot_begin(&sim->node, swarm->snapshot_keep, swarm->snapshot_piece, swarm->snapshot_rate);
	if (swarm->calls_cut && one_in(sim, 3))
		sim->disk->cut_in = 60 + chance(sim, 60);
}

enum step sim_step_writer(struct sim *sim)
{
	struct snapshot_outcome outcome;
	bool good;
	if (sim->node.writer_due_ns > sim->disk->now_ns)
		return STEP_NOTHING;
	bool waited = sim->node.writer_waits, over = sim_snapshot_step(&sim->node, &outcome, &good);
	if (sim->disk->dead)
		return STEP_DEAD;
	if (!over)
		return waited && sim->node.writer_waits ? STEP_NOTHING : STEP_DONE;
	happened(sim, "snapshot", good, good ? outcome.end : 0);
	if (good) {
		LAW(sim->oracle, "L2", outcome.from <= outcome.end && outcome.end <= wal_durable(sim->node.wal),
		    "a snapshot from LSN %llu to %llu is told, the log is durable up to %llu", LLU(outcome.from), LLU(outcome.end),
		    LLU(wal_durable(sim->node.wal)));
		LAW(sim->oracle, "order", outcome.end >= sim->snapshot_end, "a snapshot ends at LSN %llu, the one before at %llu",
		    LLU(outcome.end), LLU(sim->snapshot_end));
		sim->snapshot_end = outcome.end;
		sim->result->snapshots += !outcome.unchanged;
	} else {
		LAW(sim->oracle, "L7", sim->node.writer_error.len && (sim->disk->snapshot_failed || atomic_load(&sim->node.writer_stop)),
		    "a snapshot is not written, and nothing is wrong: %.*s", (int)sim->node.writer_error.len,
		    sim->node.writer_error.ptr);
	}
	return STEP_DONE;
}

static void tick(struct sim *sim)
{
	if (sim->disk->now_ns < sim->tick_ns)
		return;
	sim->tick_ns = sim->disk->now_ns + 200 * (uint64_t)MS;
	int64_t now = sim->node.env.now_ms(&sim->node);
	if (sim->expiring || !ledger_expiry_due(sim->node.shards, sim->shards, now))
		return;
	struct call *call = call_new(sim, NULL);
	if (!call)
		return;
	sim->expiring = true;
	call->ledger.verb = LEDGER_EXPIRE;
	sim->oracle->seen.ledger[LEDGER_EXPIRE]++;
	ledger_start(&call->ledger, &sim->node.env);
}

static enum step node_step(struct sim *sim)
{
	struct sim_node *node = &sim->node;
	unsigned awake[SHARDS_MAX], count = 0;
	for (unsigned s = 0; s < sim->shards; s++)
		if (node->awake[s])
			awake[count++] = s;
	bool unwritten = wal_appended(node->wal) != wal_durable(node->wal);
	if (node->writer && one_in(sim, 5)) {
		enum step step = sim_step_writer(sim);
		if (step != STEP_NOTHING)
			return step;
	}
	if (ids_step(sim))
		return sim->disk->dead ? STEP_DEAD : STEP_DONE;
	unsigned what = (unsigned)chance(sim, 16);
	if (what < 9 && count) {
		unsigned shard = awake[chance(sim, count)];
		sim->disk->now_ns += 1000 + chance(sim, 4000);
		/* A thread that gets no processor for a while. */
		if (shard == sim->slow_shard && chance(sim, sim->swarm.slow_shard_one_in))
			return STEP_DONE;
		sim_shard_step(node, shard, 1 + (unsigned)chance(sim, 4));
		return STEP_DONE;
	}
	if (what < 13 && unwritten && (!sim->swarm.lazy_one_in || one_in(sim, sim->swarm.lazy_one_in)))
		return sim_step_log(sim, false);
	if (what < 15 && node->done && take_step(sim))
		return STEP_DONE;
	if (what == 15 && sim_step_maker(sim) == STEP_DEAD)
		return STEP_DEAD;
	return count || unwritten ? STEP_DONE : STEP_NOTHING;
}

/* Nothing to do: time goes on to what comes next, or the log falls idle. */
static enum step pass_time(struct sim *sim)
{
	uint64_t next = sim->disk->now_ns + 50 * (uint64_t)MS;
	for (unsigned i = 0; i < LETTERS; i++)
		if (sim->letters[i].live && sim->letters[i].due_ns < next)
			next = sim->letters[i].due_ns;
	for (unsigned i = 0; i < sim->swarm.clients; i++)
		if ((sim->clients[i].op || sim->ops_left) && sim->clients[i].due_ns < next)
			next = sim->clients[i].due_ns;
	if (sim->node.done && take_step(sim))
		return STEP_DONE;
	if (ids_busy(sim) && ids_step(sim))
		return sim->disk->dead ? STEP_DEAD : STEP_DONE;
	enum step step = sim->node.writer ? sim_step_writer(sim) : STEP_NOTHING;
	if (step != STEP_NOTHING)
		return step;
	if (sim->node.writer && sim->node.writer_due_ns > sim->disk->now_ns && sim->node.writer_due_ns < next)
		next = sim->node.writer_due_ns;
	step = sim_step_maker(sim);
	if (step != STEP_NOTHING)
		return step;
	if (next > sim->disk->now_ns + 20 * (uint64_t)MS || one_in(sim, 8)) {
		step = sim_step_log(sim, true);
		if (step == STEP_DEAD)
			return step;
	}
	if (next > sim->disk->now_ns)
		sim->disk->now_ns = next;
	return STEP_DONE;
}

static bool any_call(const struct sim *sim)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (sim->calls[i].live)
			return true;
	return false;
}

/* The very millisecond in which an open hold runs out, or one before it. */
static void clock_meet(struct sim *sim)
{
	const struct model *model = sim->oracle->model;
	if (!model->open_count)
		return;
	const struct model_transfer *pending = &model->transfers[model->open[chance(sim, model->open_count)]];
	int64_t ahead = pending->expires_ms - sim->disk->wall_ms - (int64_t)chance(sim, 2);
	if (pending->state != FOUND_PENDING || ahead <= 0 || ahead > 30000)
		return;
	sim->disk->now_ns += (MS - sim->disk->now_ns % MS);    /* its first moment */
	sim->clock_offset_ms += ahead - 1;
	clock_set(sim);
	happened(sim, "meet", (uint64_t)sim->disk->wall_ms, 0);
}

/* One step of everything.  STEP_NOTHING: no client wants anything, and nothing is under way. */
enum step sim_step_world(struct sim *sim)
{
	clock_set(sim);
	if (one_in(sim, sim->swarm.jump_one_in)) {
		sim->clock_offset_ms += (int64_t)chance(sim, 40000) - 18000;
		happened(sim, "clock", (uint64_t)sim->clock_offset_ms, 0);
	}
	if (one_in(sim, 60))
		clock_meet(sim);
	clients_step(sim);
	letters_step(sim);
	tick(sim);
	snapshots_step(sim);
	enum step step = past_step(sim);
	if (step != STEP_DEAD)
		step = backups_step(sim);
	if (step != STEP_DEAD)
		step = node_step(sim);
	if (step != STEP_NOTHING)
		return step;
	bool wanted = sim->ops_left > 0, letters = false;
	for (unsigned i = 0; i < sim->swarm.clients; i++)
		wanted |= sim->clients[i].op != NULL;
	for (unsigned i = 0; i < LETTERS; i++)
		letters |= sim->letters[i].live;
	if (!wanted && !letters && !any_call(sim) && !sim->node.done && !sim->node.writer && !ids_busy(sim))
		return STEP_NOTHING;
	if (any_call(sim) && !sim->node.done) {
		/* All shards sleep, everything is written, and somebody waits. */
		bool idle = !sim->node.ids.queries;
		for (unsigned s = 0; s < sim->shards; s++)
			idle &= !sim->node.awake[s];
		LAW(sim->oracle, "L8", !idle || wal_appended(sim->node.wal) != wal_durable(sim->node.wal),
		    "all shards sleep over an open request");
	}
	return pass_time(sim);
}

/* ---- lives --------------------------------------------------------------------------------------------------------- */

static void calls_drop(struct sim *sim)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (sim->calls[i].live) {
			if (atomic_load(&sim->calls[i].catalog.waiting))       /* else the last shard has freed them */
				mem_free(sim->calls[i].catalog.views);
			call_free(&sim->calls[i]);
		}
	sim->expiring = false;
}

static struct sim_node_options node_options(struct sim *sim)
{
	static const unsigned shard_counts[] = { 1, 1, 2, 3, 4, 8 };
	static const uint64_t segments[] = { 64 << 10, 64 << 10, 128 << 10, 256 << 10 };
	struct sim_node_options options = {
		.shards = shard_counts[chance(sim, sizeof shard_counts / sizeof *shard_counts)],
		.segment_size = segments[chance(sim, sizeof segments / sizeof *segments)], .ring_size = 64 << 10,
		.direct = chance(sim, 2), .written = on_written, .loaded = on_loaded, .replayed = on_replayed, .said = on_said, .context = sim,
		.wall_ms = &sim->disk->wall_ms, .memory = sim->swarm.small_memory ? 900000 : 0, .ids = ids_options(sim),
	};
	if (options.segment_size > 64 << 10 && one_in(sim, 3))
		options.ring_size = 128 << 10;
	past_options(sim, &options);
	return options;
}

/* The words of a refusal: what, which file, which LSN, how many bytes. */
static bool names_damage(const char *text)
{
	return strstr(text, "damage") && strstr(text, "LSN ") && strstr(text, "file ") && strstr(text, " bytes");
}

/* Refused for damage: ends the history.  The only wounded place must be the one that is named. */
static void refused_for_damage(struct sim *sim, const char *text)
{
	const struct disk *disk = sim->disk;
	LAW(sim->oracle, "L6", names_damage(text), "the log is refused without file, LSN and bytes: %s", text);
	const char *at = strstr(text, "damage at LSN ");
	uint64_t lsn = at ? strtoull(at + 14, NULL, 10) : 0;
	const char *comma = at ? strstr(at, ".log, ") : NULL;
	uint64_t bytes = comma ? strtoull(comma + 6, NULL, 10) : 0;
	if (at && disk->damage_count == 1 && disk->damages[0].kind == DAMAGE_FLIP && !sim->buried)
		LAW(sim->oracle, "L6", disk->damages[0].lsn >= lsn && disk->damages[0].lsn < lsn + bytes,
		    "a bit was flipped at LSN %llu, and this is told: %s", LLU(disk->damages[0].lsn), text);
	sim->result->refused++;
	happened(sim, "refused", lsn, 0);
}

/* Whether the disk has done something to these bytes. */
static bool wounded(const struct sim *sim, uint64_t lsn, uint64_t size)
{
	for (unsigned i = 0; i < sim->disk->damage_count; i++) {
		const struct disk_damage *damage = &sim->disk->damages[i];
		if (lsn < damage->lsn + damage->size && damage->lsn < lsn + size)
			return true;
	}
	return false;
}

/* The one exception of L6: damage behind the last durable mark is a torn tail for all that one can know; but it is told. */
static void tail_lost(struct sim *sim, uint64_t lost)
{
	char name[40];
	snprintf(name, sizeof name, "LSN %llu,", LLU(lost));
	LAW(sim->oracle, sim->oracle->frame_count ? "L1" : "L6", sim->disk->damage_count, "what was durable from LSN %llu on is gone",
	    LLU(lost));
	for (unsigned i = sim->mark_count < MARKS ? 0 : sim->mark_count - MARKS; i < sim->mark_count; i++) {
		uint64_t covers = sim->marks[i % MARKS].covers, at = sim->marks[i % MARKS].at;
		LAW(sim->oracle, "L6", lost >= covers || wounded(sim, at, WAL_FRAME_HEADER + 8),
		    "damage at LSN %llu is cut, and the mark at %llu says that up to %llu it was durable", LLU(lost), LLU(at),
		    LLU(covers));
	}
	/* A write that the disk forgot leaves zeros, which nobody can tell from the end of the log. */
	bool forgotten = sim->disk->damages[0].kind != DAMAGE_FLIP && wounded(sim, lost, WAL_FRAME_HEADER);
	LAW(sim->oracle, "L6", forgotten || strstr(sim->last_cut, "torn tail at"),
	    "the tail from LSN %llu is cut without a word (damage: kind %u, %llu bytes from LSN %llu, and %u more)", LLU(lost),
	    (unsigned)sim->disk->damages[0].kind, LLU(sim->disk->damages[0].size), LLU(sim->disk->damages[0].lsn),
	    sim->disk->damage_count - 1);
	sim->result->tails++;
	happened(sim, "tail", lost, 0);
}

enum opening { OPENED, OVER, AGAIN };

static enum opening open_once(struct sim *sim, bool quiet)
{
	struct disk *disk = sim->disk;
	struct buf error = { 0 };
	char text[900];
	uint64_t lost;
	struct sim_node_options options = node_options(sim);
	ids_before_start(sim, quiet);
	struct disk_faults faults = disk->faults;
	unsigned damages = disk->damage_count;
	if (quiet)
		disk->faults = (struct disk_faults){ .no_direct = faults.no_direct, .no_direct_write = faults.no_direct_write };
	else if (sim->swarm.reads_fail && one_in(sim, 3))
		disk->faults.read_fails = 40;
	disk->cut_in = !quiet && sim->swarm.calls_cut && one_in(sim, 3) ? 1 + chance(sim, 20) : 0;
	disk->read_failed = disk->full = disk->sync_failed = false;
	sim->shards = options.shards;
	sim->slow_shard = sim->swarm.slow_shard_one_in ? (unsigned)chance(sim, options.shards) : SHARDS_MAX;
	clock_set(sim);
	enum node_outcome outcome = sim_node_open(&sim->node, &options, &error);
	snprintf(text, sizeof text, "%.*s", (int)error.len, error.len ? error.ptr : "");
	buf_free(&error);
	disk->faults = faults;
	happened(sim, "open", (uint64_t)outcome, options.shards);
	if (sim->trace && *text)
		fprintf(stderr, "              not opened: %s\n", text);
	if (disk->dead) {
		if (outcome == NODE_GOOD)
			sim_node_kill(&sim->node);
		sim->result->cuts_in_calls++;
		disk_power_cut(disk);
		return AGAIN;
	}
	disk->cut_in = 0;
	if (outcome != NODE_GOOD) {
		disk_process_end(disk);
		if (ids_refused(sim, text))
			return AGAIN;
		/* The copy of the seed into the archive is read back: the disk has forgotten a write. */
		bool forgotten = disk->faults.lost_write && strstr(text, "--archive") && strstr(text, "the copy differs");
		if (disk->read_failed || disk->full || outcome == NODE_DIED || strstr(text, "Input/output error") || strstr(text, "Too many open files") ||
		    strstr(text, "No space left") || forgotten) {
			LAW(sim->oracle, "L7", *text, "the start fails without a word");
			if (disk->full)
				disk->faults.capacity = 0;
			return AGAIN;
		}
		if (ids_lost(sim, text) || past_unreachable(sim, text))
			return OVER;
		LAW(sim->oracle, "L6", disk->damage_count || sim->buried, "a log without damage is refused: %s", text);
		refused_for_damage(sim, text);
		return OVER;
	}
	LAW(sim->oracle, "L7", !disk->sync_failed, "a write or a sync failed while opening, and the node runs");
	if (!oracle_recovered(sim->oracle, &lost)) {
		tail_lost(sim, lost);
		sim_node_kill(&sim->node);
		return OVER;
	}
	/* What was wounded before did no harm, or stands in front of what was read; what opening itself was wronged is still to
	 * come. */
	for (unsigned i = 0; i < damages; i++)
		sim->buried |= disk->damages[i].lsn < sim->node.load.from;
	disk->damage_count -= damages;
	memmove(disk->damages, disk->damages + damages, disk->damage_count * sizeof *disk->damages);
	disk->full = wal_disk_full(sim->node.wal);
	sim->opened = sim->durable = wal_durable(sim->node.wal);
	mark_add(sim, sim->opened, sim->opened - WAL_FRAME_HEADER - 32);
	return OPENED;
}

/* False: the history is over (damage was named). */
static bool open_node(struct sim *sim, bool quiet)
{
	struct disk_faults faults = sim->disk->faults;
	sim->last_cut[0] = 0;
	for (unsigned tries = 0;; tries++) {
		LAW(sim->oracle, "L8", tries < 60, "it cannot be opened");
		enum opening opening = open_once(sim, quiet || tries > 8);
		if (opening == OVER)
			return false;
		if (opening == OPENED)
			break;
	}
	sim->up = true;
	sim->result->lives++;
	sim->tick_ns = 0;
	/* What is there, before anything else happens, and without faults. */
	faults.capacity = sim->disk->faults.capacity;
	sim->disk->faults = (struct disk_faults){ .no_direct = faults.no_direct, .no_direct_write = faults.no_direct_write,
						  .capacity = faults.capacity };
	past_opened(sim);
	ids_opened(sim);
	audit(sim);
	sim->disk->faults = faults;
	return true;
}

static void node_lost(struct sim *sim)
{
	sim_node_kill(&sim->node);
	calls_drop(sim);
	sim->up = false;
	/* Connections break: what was under way to it is gone, what it had sent may still come. */
	for (unsigned i = 0; i < LETTERS; i++)
		if (sim->letters[i].live && (!sim->letters[i].reply || chance(sim, 2)))
			sim->letters[i].live = false;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (sim->clients[i].op)
			sim->clients[i].due_ns = sim->disk->now_ns + chance(sim, 100 * MS);
}

/* Until nothing is under way; no client begins anything new.  STEP_DEAD: it died. */
static enum step drain(struct sim *sim)
{
	unsigned left = sim->ops_left;
	enum step step = STEP_DONE;
	sim->ops_left = 0;
	sim->slow_shard = SHARDS_MAX;          /* it has its processor now: clients that ask again would keep it busy for ever */
	for (unsigned steps = 0; step != STEP_NOTHING && step != STEP_DEAD; steps++) {
		LAW(sim->oracle, "L8", steps < 1000000, "the node does not come to rest");
		step = sim_step_world(sim);
	}
	while (step == STEP_NOTHING && wal_appended(sim->node.wal) != wal_durable(sim->node.wal))
		if (sim_step_log(sim, false) == STEP_DEAD)
			step = STEP_DEAD;
	sim->ops_left = left;
	return step;
}

static void stop_cleanly(struct sim *sim)
{
	struct buf error = { 0 };
	if (chance(sim, 2))
		atomic_store(&sim->node.writer_stop, true);
	if (drain(sim) == STEP_DEAD) {
		bool power = sim->disk->dead;
		node_lost(sim);
		if (power)
			disk_power_cut(sim->disk);
		else
			disk_process_end(sim->disk);
		return;
	}
	ids_at_rest(sim);
	past_rest(sim);
	if (!sim->disk->damage_count)
		compare_with_files(sim);
	uint64_t end = wal_durable(sim->node.wal);
	if (chance(sim, 2)) {
		node_lost(sim);
		disk_process_end(sim->disk);
		return;
	}
	sim->up = false;
	calls_drop(sim);
	if (sim_node_close(&sim->node, &error) == NODE_GOOD) {
		LAW(sim->oracle, "L8", disk_open_count(sim->disk) == 0, "%u files stay open", disk_open_count(sim->disk));
		if (!sim->disk->full)
			mark_add(sim, end, end);
		sim->result->stops++;
	} else {
		sim->result->deaths++;
	}
	buf_free(&error);
	if (sim->disk->dead || chance(sim, 2))
		disk_power_cut(sim->disk);
	else
		disk_process_end(sim->disk);
}

static void life_end(struct sim *sim, bool died)
{
	bool power = sim->disk->dead;
	if (power) {
		sim->result->cuts_in_calls++;
		node_lost(sim);
		disk_power_cut(sim->disk);
	} else if (died) {
		sim->result->deaths++;
		node_lost(sim);
		if (chance(sim, 2))
			disk_power_cut(sim->disk);
		else
			disk_process_end(sim->disk);
	} else if (sim->swarm.stops && one_in(sim, 3)) {
		stop_cleanly(sim);
	} else if (sim->swarm.kills && one_in(sim, 3)) {
		sim->result->kills++;
		node_lost(sim);
		disk_process_end(sim->disk);
	} else {
		sim->result->cuts++;
		node_lost(sim);
		disk_power_cut(sim->disk);
	}
	happened(sim, "end", power, died);
	if (sim->swarm.flips && one_in(sim, 3)) {
		/* Anywhere, at the end, or where the life before this one ended. */
		uint64_t end = oracle_end(sim->oracle) + 300, place = chance(sim, 3);
		if (place == 2)
			end = sim->opened;
		disk_flip(sim->disk, place == 0 || end < 6000 ? 0 : end - 6000, end);
	}
	sim->flipped |= sim->swarm.flips;
	if (sim->swarm.flips && one_in(sim, 3))
		disk_flip_file(sim->disk, FOLDER_SNAPSHOTS);
	if (sim->swarm.flips && one_in(sim, 2))
		disk_flip_file(sim->disk, FOLDER_IDS);
	past_life_over(sim);
}

/* One life.  False: the history is over. */
static bool live(struct sim *sim)
{
	if (one_in(sim, 3))                            /* it was off for days */
		sim->clock_offset_ms += (int64_t)chance(sim, 9 * 86400) * 1000;
	if (!open_node(sim, false))
		return false;
	uint64_t steps = 200 + chance(sim, 200 + 60 * (uint64_t)sim->swarm.ops_a_life);
	if (one_in(sim, 6))
		steps = chance(sim, 60);
	sim->ops_left = sim->swarm.ops_a_life / 2 + (unsigned)chance(sim, sim->swarm.ops_a_life);
	if (sim->swarm.calls_cut && one_in(sim, 2))
		sim->disk->cut_in = 1 + chance(sim, 300);
	bool died = false;
	for (uint64_t i = 0; i < steps && !died; i++) {
		if (sim->swarm.full && one_in(sim, 300))
			sim->disk->faults.capacity = sim->disk->faults.capacity ? 0 : disk_used(sim->disk, false) + 1;
		enum step step = sim_step_world(sim);
		died = step == STEP_DEAD;
		if (step == STEP_NOTHING)
			break;
	}
	life_end(sim, died);
	return true;
}

static void swarm_draw(struct sim *sim)
{
	struct swarm *swarm = &sim->swarm;
	static const unsigned often[] = { 0, 0, 30, 8, 3 }, rare[] = { 0, 0, 0, 2000, 400 }, jumps[] = { 0, 3000, 300 };
	static const unsigned snapshots[] = { 0, 3000, 1000, 300 }, slow[] = { 0, 0, 50, 500 };
	swarm->clients = 1 + (unsigned)chance(sim, CLIENTS);
	swarm->drop_one_in = often[chance(sim, 5)];
	swarm->twice_one_in = often[chance(sim, 5)];
	swarm->slow_one_in = often[chance(sim, 5)];
	swarm->jump_one_in = jumps[chance(sim, 3)];
	swarm->lives = 2 + (unsigned)chance(sim, 7);
	swarm->ops_a_life = 20 + (unsigned)chance(sim, 300);
	swarm->lazy_one_in = often[chance(sim, 4)];
	swarm->cuts = true;
	swarm->kills = chance(sim, 2);
	swarm->stops = chance(sim, 3);
	swarm->calls_cut = chance(sim, 2);
	swarm->full = one_in(sim, 5);
	swarm->reads_fail = one_in(sim, 4);
	swarm->small_memory = one_in(sim, 12);
	swarm->flips = one_in(sim, 5);
	swarm->slow_shard_one_in = slow[chance(sim, 4)];
	swarm->snapshot_one_in = snapshots[chance(sim, 4)];
	swarm->snapshot_keep = 1 + (unsigned)chance(sim, 3);
	swarm->snapshot_piece = one_in(sim, 2) ? 1 + chance(sim, 4000) : 0;
	swarm->snapshot_rate = one_in(sim, 6) ? 20000 + chance(sim, 500000) : 0;
	ids_swarm_draw(sim);
	swarm->faults = (struct disk_faults){
		.short_write = often[chance(sim, 5)], .interrupted = often[chance(sim, 4)], .slow_sync = often[chance(sim, 5)],
		.sync_fails = rare[chance(sim, 5)], .write_fails = rare[chance(sim, 5)],
		.no_direct = one_in(sim, 3), .no_direct_write = one_in(sim, 6),
	};
	if (one_in(sim, 12))
		swarm->faults.lost_write = 200;
	if (one_in(sim, 12))
		swarm->faults.misdirected_write = 200;
	if (swarm->reads_fail && one_in(sim, 2))
		swarm->faults.read_fails = 60;
	if (one_in(sim, 8))
		swarm->faults.calls_fail = 30 + (unsigned)chance(sim, 400);
}

/* Without faults: everything that was asked comes to its end, what must run out has run out, the files are the state. */
static void finish(struct sim *sim)
{
	sim->disk->faults = (struct disk_faults){ 0 };
	sim->swarm.drop_one_in = 0;
	sim->swarm.small_memory = sim->swarm.full = sim->swarm.calls_cut = sim->swarm.flips = false;
	if (!open_node(sim, true))
		return;
	sim->ops_left = 0;
	LAW(sim->oracle, "L8", drain(sim) == STEP_NOTHING, "the node dies without a fault: %s", sim->node.fatal_text);
	for (unsigned i = 0; i < CLIENTS; i++)
		LAW(sim->oracle, "L8", !sim->clients[i].op, "op %u is never answered", sim->clients[i].op->number);
	sim->disk->now_ns += (1 + chance(sim, 30)) * 1000 * (uint64_t)MS;
	clock_set(sim);
	int64_t now = sim->node.env.now_ms(&sim->node);
	struct ledger_request request = { .verb = LEDGER_EXPIRE };
	ledger_start(&request, &sim->node.env);
	settle(sim, &request);
	ledger_request_free(&request);
	const struct model *model = sim->oracle->model;
	for (unsigned i = 0; i < model->open_count; i++) {
		const struct model_transfer *pending = &model->transfers[model->open[i]];
		LAW(sim->oracle, "time", pending->state != FOUND_PENDING || !pending->expires_ms || pending->expires_ms > now,
		    "transfer %016llx had until %lld, and is open at %lld", LLU(pending->row.id), (long long)pending->expires_ms,
		    (long long)now);
	}
	ids_at_rest(sim);
	audit(sim);
	past_rest(sim);
	compare_with_files(sim);
	sim_snapshot_begin(&sim->node, sim->swarm.snapshot_keep, sim->swarm.snapshot_piece, 0);
	LAW(sim->oracle, "L8", drain(sim) == STEP_NOTHING, "the node dies over a snapshot without a fault: %s", sim->node.fatal_text);
	LAW(sim->oracle, "L7", sim->snapshot_end >= sim->opened, "a snapshot is not written without a fault");
	past_rest(sim);
	backups_rest(sim);
	compare_with_files(sim);
	struct buf error = { 0 };
	sim->up = false;
	LAW(sim->oracle, "L7", sim_node_close(&sim->node, &error) == NODE_GOOD, "the node cannot be closed: %.*s", (int)error.len,
	    error.ptr);
	buf_free(&error);
}

void sim_run(uint64_t seed, bool trace, struct sim_result *result)
{
	struct sim *sim = calloc(1, sizeof *sim);
	ASSERT(sim);
	*result = (struct sim_result){ .hash = seed };
	log_set_level(trace ? LOG_LEVEL_INFO : (enum log_level)(LOG_LEVEL_ERROR + 1));
	sim->seed = sim->first_seed = seed;
	sim->trace = trace;
	sim->result = result;
	chance(sim, 2);
	sim->disk = disk_new(chance(sim, UINT64_MAX));
	sim->oracle = oracle_new(seed);
	sim->oracle->broken = &sim->broken;
	swarm_draw(sim);
	past_draw(sim);
	ids_retention_draw(sim);
	backups_draw(sim);
	sim->oracle->followed = past_followed;
	sim->oracle->context = sim;
	disk_put(sim->disk, FOLDER_ROOT, "seed", "00000000000000a5\n");
	sim->disk->faults = sim->swarm.faults;
	work_begin(&sim->work, chance(sim, UINT64_MAX), sim->oracle, &sim->disk->wall_ms);
	disk_mount(sim->disk);
	if (setjmp(sim->broken) == 0) {
		bool going = true;
		for (unsigned i = 0; i < sim->swarm.lives && going; i++)
			going = live(sim);
		if (going)
			finish(sim);
		result->good = true;
	}
	disk_unmount();
	result->hash = hash_step(result->hash, sim->disk->hash);
	const struct oracle *oracle = sim->oracle;
	result->records = oracle->records;
	result->transfers = oracle->transfers;
	result->failures = oracle->failures;
	result->expiries = oracle->expiries;
	result->events = oracle->happened;
	result->reversals = oracle->reversals;
	result->customers = oracle->customers;
	result->anew = oracle->anew;
	result->changes = oracle->changes;
	result->seen = oracle->seen;
	result->verdict = oracle->verdict;
	sim->oracle->verdict = (struct buf){ 0 };
	for (unsigned i = 0; i < CLIENTS; i++)
		if (sim->clients[i].op && !sim->clients[i].op->sent)
			free(sim->clients[i].op);
	if (result->good) {
		calls_drop(sim);
		past_end(sim);
		backups_free(sim);
		oracle_free(sim->oracle);
		disk_free(sim->disk);
		free(sim);
	}
}
