// SPDX-License-Identifier: Apache-2.0
#include "engine/base/mem.h"
#include "engine/ledger/record.h"
#include "tests/sim/sim_int.h"

void settle(struct sim *sim, const void *owner)
{
	for (unsigned steps = 0;; steps++) {
		LAW(sim->oracle, "L8", steps < 1000000, "a request does not come to its end");
		struct message *message = sim_node_take(&sim->node);
		if (message) {
			LAW(sim->oracle, "L8", message->owner == owner, "an answer to nobody");
			return;
		}
		for (unsigned s = 0; s < sim->shards; s++)
			if (sim->node.awake[s])
				sim_shard_step(&sim->node, s, 4);
		while (sim_reader_step(&sim->node))
			;
		enum step step = sim_step_log(sim, false);
		if (step == STEP_NOTHING)
			step = sim_step_maker(sim);
		LAW(sim->oracle, "L7", step != STEP_DEAD, "the log ends the process: %s", sim->node.fatal_text);
	}
}

static void audit_accounts(struct sim *sim)
{
	struct oracle *oracle = sim->oracle;
	static struct account_view views[NUMBERS_MAX];
	uint32_t count = 0;
	for (unsigned i = 0; i < oracle->number_count; i++)
		if (!oracle->numbers[i].slice)
			views[count++] = (struct account_view){ .id = oracle->numbers[i].id };
	struct ledger_request request = { .verb = LEDGER_LOOKUP, .views = views, .count = count };
	if (!count)
		return;
	sim->oracle->seen.ledger[request.verb]++;
	ledger_start(&request, &sim->node.env);
	settle(sim, &request);
	for (uint32_t i = 0; i < count; i++) {
		const struct number *number = oracle_number_of(oracle, views[i].id);
		const struct model_account *account = model_account_find(oracle->model, views[i].id);
		LAW(oracle, "L5", views[i].found && views[i].number == number->number, "account %016llx is not there after the start",
		    LLU(views[i].id));
		LAW(oracle, "L5", views[i].last_lsn == number->last_lsn, "account %016llx is at LSN %llu after the start, not at %llu",
		    LLU(views[i].id), LLU(views[i].last_lsn), LLU(number->last_lsn));
		LAW(oracle, "L5", views[i].floor == account->floor && views[i].ceiling == account->ceiling &&
		    !!(views[i].flags & ACCOUNT_CLOSED) == account->closed && views[i].kind == account->kind,
		    "account %016llx has other limits or flags after the start", LLU(views[i].id));
		reply_view(oracle, &views[i], UINT64_MAX, number->last_lsn);
	}
	ledger_request_free(&request);
}

static void audit_books(struct sim *sim)
{
	for (unsigned b = 0; b < 4; b++) {
		u128 sums[ACCOUNT_KINDS][4];
		uint64_t counts[ACCOUNT_KINDS];
		struct ledger_request request = { .verb = LEDGER_BOOK, .tenant = str_of(sim_tenants[b & 1]),
						  .unit = str_of(sim_units[b >> 1]) };
		sim->oracle->seen.ledger[request.verb]++;
		ledger_start(&request, &sim->node.env);
		settle(sim, &request);
		bool known = model_book(sim->oracle->model, request.tenant, request.unit, sums, counts);
		LAW(sim->oracle, "L5", request.found == known, "book %u is %s after the start", b, known ? "gone" : "there");
		book_check(sim, &request);
		LAW(sim->oracle, "L5", !known || memcmp(sums, request.sums, sizeof sums) == 0, "book %u has other sums after the start", b);
		ledger_request_free(&request);
	}
}

static void audit_members(struct sim *sim)
{
	for (unsigned i = 0; i < sim->oracle->member_count; i++) {
		const struct member_model *member = &sim->oracle->members[i];
		struct query query = { .kind = QUERY_MEMBER, .tenant = str_of(sim_tenants[member->tenant]),
				       .profile = str_of(member->profile) };
		unsigned shard = shard_of(partition_of(hash_name(HASH_MEMBER, query.tenant, query.profile)), sim->shards);
		const struct number *number = oracle_number_of(sim->oracle, account_id_of_member(query.tenant, query.profile,
												STR("default"), STR("points")));
		query.message = (struct message){ .kind = MESSAGE_QUERY, .shard = shard, .owner = &query };
		sim->node.env.post(&sim->node, shard, &query.message);
		settle(sim, &query);
		member_check(sim, &query, member->tenant, member->last_lsn, number ? number->last_lsn : 0);
		query_free(&query);
	}
}

static void audit_ids(struct sim *sim)
{
	const struct model *model = sim->oracle->model;
	bool wounded = disk_wounded(sim->disk, FOLDER_IDS);
	uint64_t total = wounded ? 0 : sim_ids_count(&sim->node);
	if (wounded)
		return;                        /* perhaps unreadable */
	uint64_t wanted = 0, forgotten = sim_ids_forgotten(&sim->node);
	for (unsigned i = 0; i < model->transfer_count; i++)
		wanted += model->transfers[i].lsn >= forgotten;
	for (unsigned i = 0; i < sim->oracle->event_count; i++)
		wanted += sim->oracle->events[i].lsn >= forgotten;
	LAW(sim->oracle, "L4", total == wanted || (sim->ids_emptied && sim->oracle->forgotten), "%llu ids are known after the start, the log has "
	    "%llu that are not forgotten", LLU(total), LLU(wanted));
	uint32_t count = model->transfer_count;
	if (!count)
		return;
	u128 *ids = mem_alloc(count * sizeof *ids);
	uint64_t *lsns = mem_zalloc(count * sizeof *lsns);
	uint8_t *states = mem_zalloc(count);
	for (uint32_t i = 0; i < count; i++)
		ids[i] = model->transfers[i].row.id;
	struct ledger_request request = { .verb = LEDGER_FIND, .ids = ids, .lsns = lsns, .states = states, .count = count };
	int64_t now = sim->node.env.now_ms(&sim->node);
	sim->oracle->seen.ledger[request.verb]++;
	ledger_start(&request, &sim->node.env);
	settle(sim, &request);
	for (uint32_t i = 0; i < count; i++) {
		const struct model_transfer *transfer = &model->transfers[i], *hold = model_hold_find(model, ids[i]);
		if (transfer != model_transfer_version(model, ids[i], NULL))
			continue;              /* its id was forgotten, and has another outcome now */
		if (transfer->lsn < forgotten && transfer->state != FOUND_PENDING) {
			LAW(sim->oracle, "L5", states[i] == FOUND_NOTHING || sim->ids_emptied, "transfer %016llx is forgotten, and has state %u",
			    LLU(ids[i]), states[i]);
			continue;
		}
		if (transfer->state == FOUND_TRANSFER && hold && hold != transfer && hold->lsn < sim->oracle->forgotten &&
		    states[i] == (uint8_t)hold->state)
			continue;              /* the word about the hold that had its id stays */
		bool due = transfer->state == FOUND_PENDING && transfer->expires_ms && transfer->expires_ms <= now;
		LAW(sim->oracle, "L5", states[i] == (uint8_t)transfer->state || (due && states[i] == FOUND_EXPIRED),
		    "transfer %016llx has state %u after the start, not %u", LLU(ids[i]), states[i], (unsigned)transfer->state);
		struct transfer_view view;
		struct failed_record failed;
		uint32_t size;
		const unsigned char *record = oracle_record(sim->oracle, lsns[i], &size);
		bool own = record && (transfer->state == FOUND_FAILED
					? failed_record_read(record, size, &failed) && u128_load(failed.id) == ids[i]
					: transfer_record_read(record, size, &view) && u128_load(view.head.id) == ids[i]);
		LAW(sim->oracle, "L5", own, "transfer %016llx is found at LSN %llu, which is another record", LLU(ids[i]), LLU(lsns[i]));
	}
	ledger_request_free(&request);
	mem_free(ids);
	mem_free(lsns);
	mem_free(states);
}

static void audit_catalog(struct sim *sim)
{
	size_t there = 0;
	for (unsigned i = 0; i < sim->oracle->document_count; i++) {
		const struct document_model *wanted = &sim->oracle->documents[i];
		const struct document *document = catalog_get(&sim->node.catalog, str_of(sim_tenants[wanted->tenant]),
							      kind_by_number(wanted->kind), wanted->id);
		LAW(sim->oracle, "L5", !document == wanted->removed, "document %llu is %s after the start", LLU(wanted->id),
		    document ? "there" : "gone");
		there += !wanted->removed;
		LAW(sim->oracle, "L5", !document || (document->version == wanted->version && document->lsn == wanted->lsn &&
		    hash_bytes(document->json.ptr, document->json.len) == wanted->json_hash),
		    "document %llu is another after the start", LLU(wanted->id));
	}
	LAW(sim->oracle, "L5", sim->node.catalog.documents == there, "%zu documents after the start, %zu in the log",
	    sim->node.catalog.documents, there);
}

void audit(struct sim *sim)
{
	audit_accounts(sim);
	audit_books(sim);
	audit_members(sim);
	audit_ids(sim);
	audit_catalog(sim);
	audit_questions(sim);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void dumps_compare(struct sim *sim, const struct buf *live, const struct buf *again, const char *what)
{
	size_t same = 0, line = 0;
	if (live->len == again->len && memcmp(live->ptr, again->ptr, live->len) == 0) {
		sim->result->dumps++;
		return;
	}
	for (; live->ptr[same] && live->ptr[same] == again->ptr[same]; same++)
		if (live->ptr[same] == '\n')
			line = same + 1;
	law_broken(sim->oracle, "L5", "%s is another state: live %.*s; replayed %.*s", what,
		   (int)strcspn(live->ptr + line, "\n"), live->ptr + line, (int)strcspn(again->ptr + line, "\n"), again->ptr + line);
}

static void ignore_frame(void *context, const struct sim_frame *frame)
{
	(void)context, (void)frame;
}

/* What the files say to another node with another number of shards. */
static void compare_once(struct sim *sim, const struct buf *live, bool log_only, const char *what)
{
	static const unsigned counts[] = { 1, 2, 3, 4, 8, 16 };
	struct disk *copy = disk_copy(sim->disk);
	struct sim_node other;
	struct buf error = { 0 }, again = { 0 };
	struct sim_node_options options = sim->node.options;
	options.shards = counts[sim_chance(sim, sizeof counts / sizeof *counts)];
	options.written = options.replayed = ignore_frame;
	options.loaded = NULL;
	options.said = NULL;
	options.log_only = log_only;
	options.wall_ms = &copy->wall_ms;
	copy->seed = sim_chance(sim, UINT64_MAX);
	options.past = false;
	if (log_only && !past_whole(sim, copy)) {
		disk_free(copy);
		return;
	}
	disk_mount(copy);
	enum node_outcome outcome = sim_node_open(&other, &options, &error);
	LAW(sim->oracle, "L5", outcome == NODE_GOOD, "a copy of the files is refused: %.*s", (int)error.len, error.ptr);
	sim_node_dump(&other, &again);
	sim_dump_forget(&again, sim_ids_forgotten(&sim->node));
	sim_node_kill(&other);
	disk_mount(sim->disk);
	disk_free(copy);
	dumps_compare(sim, live, &again, what);
	buf_free(&again);
	buf_free(&error);
}

/* L5: the snapshot with the log behind it, and the log alone, are the state that runs. */
void compare_with_files(struct sim *sim)
{
	struct buf live = { 0 };
	struct disk_faults faults = sim->disk->faults;
	if (disk_wounded(sim->disk, FOLDER_IDS))
		return;
	sim->disk->faults = (struct disk_faults){ 0 };
	sim_node_dump(&sim->node, &live);
	sim_dump_forget(&live, sim_ids_forgotten(&sim->node));         /* those in no run any more */
	sim->disk->faults = faults;
	compare_once(sim, &live, false, "the snapshot with the log behind it");
	if (!sim->buried)
		compare_once(sim, &live, true, "the log, replayed,");
	buf_free(&live);
}
