// SPDX-License-Identifier: Apache-2.0
#include "tests/model/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/event/effect.h"
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/catalog/view.h"
#include "engine/event/record.h"
#include "engine/ledger/record.h"
#include "tests/model/world_ids.h"

enum { STEPS_MAX = 2000000 };          /* of one request: more, and the shards wait for each other */
enum { ROUNDS_MAX = 20000 };           /* of one request: at most as many as it has rows, and collisions */

uint64_t world_chance(uint64_t *seed, uint64_t below)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return (z ^ z >> 31) % below;
}

uint64_t world_end(const struct world *world)
{
	return WORLD_FIRST_LSN + world->log.len;
}

/* ---- the environment -------------------------------------------------------------------------------------------- */

static int64_t env_now(void *context)
{
	return ((struct world *)context)->now_ms;
}

static enum env_room env_credit(void *context, unsigned shard, uint32_t bound)
{
	struct world *world = context;
	ASSERT(shard < world->shard_count && !world->credit[shard] && bound && bound <= world->env.log_frame_max);
	if (world->disk_full)
		return ENV_DISK_FULL;
	if (world->wait_one_in && world_chance(&world->seed, world->wait_one_in) == 0)
		return ENV_WAIT;
	world->credit[shard] = bound;
	return ENV_ROOM;
}

static void env_credit_drop(void *context, unsigned shard)
{
	struct world *world = context;
	ASSERT(world->credit[shard]);
	world->credit[shard] = 0;
}

static uint64_t env_begin(void *context, unsigned shard, uint32_t size, unsigned char **body)
{
	struct world *world = context;
	ASSERT(!world->open && size && size <= world->credit[shard] && size % 8 == 0);
	world->credit[shard] = 0;
	world->open = true;
	buf_room(&world->log, WORLD_FRAME_HEADER + size);
	memset(world->log.ptr + world->log.len, 0, WORLD_FRAME_HEADER + size);
	world->frame = (struct world_frame){ world_end(world) + WORLD_FRAME_HEADER, size };
	*body = (unsigned char *)world->log.ptr + world->log.len + WORLD_FRAME_HEADER;
	return world->frame.lsn;
}

static void frame_add(struct world *world, struct world_frame frame)
{
	if (world->frame_count == world->frame_cap) {
		world->frame_cap = world->frame_cap ? world->frame_cap * 2 : 256;
		world->frames = mem_realloc(world->frames, world->frame_cap * sizeof *world->frames);
	}
	world->frames[world->frame_count++] = frame;
}

static uint64_t env_publish(void *context, unsigned shard, int64_t time_ms, uint64_t body_hash)
{
	struct world *world = context;
	const unsigned char *body = (unsigned char *)world->log.ptr + world->log.len + WORLD_FRAME_HEADER;
	(void)shard;
	ASSERT(world->open && time_ms <= world->now_ms && body_hash == hash_bytes(body, world->frame.size));
	world->open = false;
	world->log.len += WORLD_FRAME_HEADER + world->frame.size;
	frame_add(world, world->frame);
	return world_end(world);
}

static uint64_t env_head(void *context)
{
	return world_end(context);
}

static void env_post(void *context, unsigned shard, struct message *message)
{
	struct world *world = context;
	ASSERT(shard < world->shard_count);
	if (shard_post(&world->shards[shard], message))
		world->awake[shard] = true;
}

static void env_wake(void *context, unsigned shard)
{
	struct world *world = context;
	ASSERT(shard < world->shard_count);
	world->awake[shard] = true;
}

static void env_done(void *context, struct message *message)
{
	struct world *world = context;
	if (world->done_count == world->done_cap) {
		world->done_cap = world->done_cap ? world->done_cap * 2 : 16;
		world->done = mem_realloc(world->done, world->done_cap * sizeof *world->done);
	}
	world->done[world->done_count++] = message->owner;
}

static void env_ids_read(void *context, struct id_query *query)
{
	world_ids_read(((struct world *)context)->ids, query);
}

/* ---- a world ---------------------------------------------------------------------------------------------------- */

struct world *world_new(unsigned shard_count, uint64_t seed)
{
	struct world *world = mem_zalloc(sizeof *world);
	world->shard_count = shard_count;
	world->seed = seed;
	world->now_ms = INT64_C(1700000000000);
	world->env = (struct env){ .context = world, .shards = shard_count, .now_ms = env_now, .log_credit = env_credit,
				   .log_credit_drop = env_credit_drop, .log_begin = env_begin,
				   .log_publish = env_publish, .log_frame_max = WORLD_FRAME_MAX, .post = env_post,
				   .wake = env_wake, .done = env_done, .log_head = env_head, .ids_read = env_ids_read };
	world->ids = world_ids_new(world);
	world->shards = mem_zalloc(shard_count * sizeof *world->shards);
	for (unsigned s = 0; s < shard_count; s++)
		shard_init(&world->shards[s], s, shard_count, &world->env, &world->catalog);
	shards_connect(world->shards, shard_count);
	return world;
}

void world_free(struct world *world)
{
	for (unsigned s = 0; s < world->shard_count; s++)
		shard_deinit(&world->shards[s]);
	catalog_free(&world->catalog);
	world_ids_free(world->ids);
	buf_free(&world->log);
	mem_free(world->shards);
	mem_free(world->frames);
	mem_free(world->done);
	mem_free(world->audit);
	mem_free(world);
}

static const unsigned char *bytes_at(const struct world *world, uint64_t lsn)
{
	ASSERT(lsn >= WORLD_FIRST_LSN && lsn < world_end(world));
	return (const unsigned char *)world->log.ptr + (lsn - WORLD_FIRST_LSN);
}

static const unsigned char *record_at(const struct world *world, uint64_t lsn, struct record_head *head)
{
	const unsigned char *record = bytes_at(world, lsn);
	bool good = record_head_read(record, world_end(world) - lsn, head);
	ASSERT(good);
	return record;
}

static void catalog_replay(struct world *world, const unsigned char *record, const struct record_head *head,
			   uint64_t lsn)
{
	struct catalog_change change;
	uint64_t len;
	memcpy(&len, record + sizeof *head, sizeof len);
	bool good = catalog_change_decode(record + sizeof *head + sizeof len, len, &change);
	ASSERT(good);
	if (lsn > world->catalog.last_lsn)     /* else it came out of a snapshot with it */
		catalog_apply(&world->catalog, &change, lsn);
}

static void records_replay(struct world *world, const struct world *from, size_t frames, uint64_t begin, enum state_parts parts)
{
	for (size_t f = 0; f < frames; f++) {
		if (from->frames[f].lsn < begin)
			continue;
		struct world_frame frame = from->frames[f];
		struct record_head head;
		for (uint32_t at = 0; at < frame.size; at += head.size) {
			uint64_t lsn = frame.lsn + at;
			const unsigned char *record = record_at(from, lsn, &head);
			if (head.type == RECORD_CATALOG && (parts & STATE_ACTORS))
				catalog_replay(world, record, &head, lsn);
			for (unsigned s = 0; s < world->shard_count && head.type != RECORD_CATALOG; s++) {
				bool broken;
				state_replay(&world->shards[s].state, record, head.size, lsn, parts, &broken);
				ASSERT(!broken);
			}
		}
	}
}

struct world *world_replay(const struct world *from, unsigned shard_count, size_t frames)
{
	return world_replay_loaded(from, shard_count, frames, NULL, NULL, NULL);
}

struct world *world_replay_loaded(const struct world *from, unsigned shard_count, size_t frames,
				  uint64_t (*load)(struct world *world, void *context),
				  void (*loaded)(struct world *world, void *context), void *context)
{
	struct world *world = world_new(shard_count, from->seed + 1);
	bool apart = world_chance(&world->seed, 2);
	world->now_ms = from->now_ms;
	world->wait_one_in = from->wait_one_in;
	world->env.log_frame_max = from->env.log_frame_max;
	world->files_one_in = from->files_one_in;
	if (load || world_chance(&world->seed, 2))
		world_ids_copy(world->ids, from->ids, frames);
	uint64_t begin = load ? load(world, context) : 0;
	records_replay(world, from, frames, begin, apart ? STATE_IDS : STATE_ALL);
	if (apart)
		records_replay(world, from, frames, begin, STATE_ACTORS);
	if (loaded)
		loaded(world, context);
	for (size_t f = 0; f < frames; f++)
		frame_add(world, from->frames[f]);
	if (frames)
		buf_bytes(&world->log, from->log.ptr,
			  from->frames[frames - 1].lsn + from->frames[frames - 1].size - WORLD_FIRST_LSN);
	for (size_t t = 0; t < world->catalog.tenant_count; t++) {
		struct str name = world->catalog.tenants[t]->name;
		for (unsigned s = 0; s < shard_count; s++)
			state_tenant(&world->shards[s].state, name)->view = catalog_view_build(&world->catalog, name);
	}
	for (unsigned s = 0; s < shard_count; s++)
		world->shards[s].appended_lsn = world_end(world);
	return world;
}

static bool done_take(struct world *world, const void *owner)
{
	for (size_t i = 0; i < world->done_count; i++)
		if (world->done[i] == owner) {
			world->done[i] = world->done[--world->done_count];
			return true;
		}
	return false;
}

/* One of those that are awake. */
static unsigned shard_draw(struct world *world)
{
	unsigned list[SHARDS_MAX], count = 0;
	for (unsigned s = 0; s < world->shard_count; s++)
		if (world->awake[s])
			list[count++] = s;
	ASSERT(count);                 /* else all sleep, and nobody will answer */
	return list[world_chance(&world->seed, count)];
}

void world_ride(struct world *world, struct message *message, unsigned after)
{
	ASSERT(!world->rider);
	world->rider = message;
	world->rider_after = after;
}

static void rider_post(struct world *world)
{
	struct message *rider = world->rider;
	world->rider = NULL;
	if (rider)
		world->env.post(world, rider->shard, rider);
}

void world_arrive(struct world *world, struct message *message)
{
	void *owner = message->owner;
	if (world->rider == message)
		rider_post(world);
	world_run(world, &owner, 1);
}

void world_run(struct world *world, void *const *owners, size_t count)
{
	unsigned steps = 0;
	for (size_t left = count; left;) {
		for (size_t i = 0; i < count; i++)
			left -= done_take(world, owners[i]);
		if (!left)
			break;
		bool stalled;
		if (world->rider && steps >= world->rider_after)
			rider_post(world);
		bool asleep = true;
		for (unsigned s = 0; s < world->shard_count; s++)
			asleep &= !world->awake[s];
		world_ids_step(world->ids, asleep);
		unsigned shard = shard_draw(world);
		world->awake[shard] = false;
		if (shard_step(&world->shards[shard], 1 + (unsigned)world_chance(&world->seed, 4), &stalled))
			world->awake[shard] = true;
		ASSERT(++steps < STEPS_MAX);   /* else they wait for each other for ever */
	}
	for (unsigned s = 0; s < world->shard_count; s++)
		ASSERT(!world->credit[s]);
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static void request_run(struct world *world, struct ledger_request *request, bool restart)
{
	void *owner = request;
	size_t frames = world->frame_count;
	if (restart)
		ledger_restart(request, &world->env);
	else
		ledger_start(request, &world->env);
	world_run(world, &owner, 1);
	ASSERT(request->wait_lsn <= world_end(world) && request->lsn <= world_end(world));
	IMPLIES(world->frame_count > frames, request->wait_lsn > world->frames[world->frame_count - 1].lsn);
}

/* Looks the known rows up.  True if the request must go on. */
static bool known_resolve(struct world *world, struct ledger_request *request)
{
	bool again = request->stopped;
	for (uint32_t i = 0; i < request->known_count; i++) {
		struct known_row *known = &request->known[i];
		struct record_head head;
		ASSERT(known->index < request->count);
		if (known->resolved || known->used)
			continue;
		const unsigned char *row = request->rows + (size_t)known->index * ROW_BYTES;
		if (known->lsn < world->pruned_lsn) {
			uint64_t hash = id_hash_of_transfer(row_load(row).id);
			const struct id_kept kept = world_ids_kept(world->ids, hash, known->lsn);
			known_pruned(known, row, &kept);
		} else {
			const unsigned char *record = record_at(world, known->lsn, &head);
			known_compare(known, row, record, head.size);
		}
		ASSERT(known->resolved != known->collision);
		again |= known->collision;
	}
	world->restarts += again;
	ASSERT(!again || world->rounds++ < ROUNDS_MAX);        /* else it begins again for ever */
	return again;
}

static void replies_collect(struct ledger_request *request, struct model_reply *replies)
{
	ledger_known_finish(request);
	for (uint32_t i = 0; i < request->count; i++) {
		replies[i] = (struct model_reply){ 0 };
		if (request->want_balances)
			memcpy(replies[i].balances, request->balances.ptr + (size_t)i * 16, 16);
	}
	ASSERT(request->refused.len % 8 == 0);
	uint64_t behind = 0;
	for (size_t at = 0; at < request->refused.len; at += 8) {
		uint32_t refused[2];
		memcpy(refused, request->refused.ptr + at, sizeof refused);
		ASSERT(refused[0] >= behind && refused[0] < request->count && refusal_find(refused[1]));
		behind = (uint64_t)refused[0] + 1;
		replies[refused[0]].refusal = (enum refusal)refused[1];
	}
}

static struct ledger_request transfers_request(const unsigned char *rows, uint32_t count, bool want_balances)
{
	return (struct ledger_request){
		.verb = LEDGER_TRANSFERS, .rows = rows, .count = count, .want_balances = want_balances
	};
}

void world_transfers(struct world *world, const unsigned char *rows, uint32_t count, bool want_balances,
		     struct model_reply *replies)
{
	struct ledger_request request = transfers_request(rows, count, want_balances);
	world->rounds = 0;
	request_run(world, &request, false);
	IMPLIES(want_balances, request.balances.len == (size_t)count * 16);
	while (known_resolve(world, &request))
		request_run(world, &request, true);
	replies_collect(&request, replies);
	ledger_request_free(&request);
}

void world_transfers_together(struct world *world, unsigned requests, const unsigned char *const *rows,
			      const uint32_t *counts, struct model_reply **replies)
{
	struct ledger_request *list = mem_zalloc(requests * sizeof *list);
	void **owners = mem_zalloc(requests * sizeof *owners);
	size_t owner_count = requests;
	world->rounds = 0;
	for (unsigned i = 0; i < requests; i++) {
		list[i] = transfers_request(rows[i], counts[i], true);
		owners[i] = &list[i];
		ledger_start(&list[i], &world->env);
	}
	while (owner_count) {
		world_run(world, owners, owner_count);
		owner_count = 0;
		for (unsigned i = 0; i < requests; i++)
			if (known_resolve(world, &list[i])) {
				owners[owner_count++] = &list[i];
				ledger_restart(&list[i], &world->env);
			}
	}
	for (unsigned i = 0; i < requests; i++) {
		replies_collect(&list[i], replies[i]);
		ledger_request_free(&list[i]);
	}
	mem_free(list);
	mem_free(owners);
}

void world_dry_run(struct world *world, const unsigned char *rows, uint32_t count, struct model_reply *replies)
{
	struct ledger_request request = transfers_request(rows, count, true);
	uint64_t end = world_end(world);
	request.dry_run = true;
	world->rounds = 0;
	request_run(world, &request, false);
	while (known_resolve(world, &request))
		request_run(world, &request, true);
	ASSERT(world_end(world) == end);
	replies_collect(&request, replies);
	ledger_request_free(&request);
}

static void specs_run(struct world *world, enum ledger_verb verb, struct account_spec *specs, uint32_t count)
{
	struct ledger_request request = { .verb = verb, .specs = specs, .count = count };
	request_run(world, &request, false);
	ledger_request_free(&request);
}

void world_accounts(struct world *world, struct account_spec *specs, uint32_t count)
{
	specs_run(world, LEDGER_ACCOUNTS, specs, count);
}

void world_close(struct world *world, struct account_spec *specs, uint32_t count)
{
	specs_run(world, LEDGER_CLOSE, specs, count);
}

void world_expire(struct world *world)
{
	uint64_t end;
	do {
		struct ledger_request request = { .verb = LEDGER_EXPIRE };
		end = world_end(world);
		request_run(world, &request, false);
		ledger_request_free(&request);
	} while (world_end(world) != end);
}

void world_lookup(struct world *world, struct account_view *views, uint32_t count, struct buf *texts)
{
	struct ledger_request request = { .verb = LEDGER_LOOKUP, .views = views, .count = count };
	request_run(world, &request, false);
	if (texts) {
		*texts = request.texts;
		request.texts = (struct buf){ 0 };
	}
	ledger_request_free(&request);
}

void world_names(struct world *world, uint32_t *numbers, u128 *ids, uint32_t count)
{
	struct ledger_request request = { .verb = LEDGER_NAMES, .numbers = numbers, .ids = ids, .count = count };
	request_run(world, &request, false);
	ledger_request_free(&request);
}

void world_find(struct world *world, u128 *ids, uint64_t *lsns, uint8_t *states, uint32_t count)
{
	struct ledger_request request = {
		.verb = LEDGER_FIND, .ids = ids, .lsns = lsns, .states = states, .count = count
	};
	request_run(world, &request, false);
	ledger_request_free(&request);
}

bool world_book(struct world *world, struct str tenant, struct str unit, struct ledger_request *answer)
{
	*answer = (struct ledger_request){ .verb = LEDGER_BOOK, .tenant = tenant, .unit = unit };
	request_run(world, answer, false);
	ASSERT(answer->sum_lsn_low <= answer->sum_lsn_high && answer->sum_lsn_high <= world_end(world));
	ledger_request_free(answer);
	return answer->found;
}

/* ---- configuration and events ----------------------------------------------------------------------------------- */

static yyjson_doc *json_of(const char *text)
{
	struct json_error error;
	char *copy = mem_dup(text, strlen(text) + 1);
	for (char *at = copy; *at; at++)
		if (*at == '\'')
			*at = '"';
	yyjson_doc *doc = json_read(str_of(copy), &error);
	mem_free(copy);
	ASSERT(doc);
	return doc;
}

uint64_t world_document(struct world *world, const char *tenant, unsigned kind, const char *text)
{
	yyjson_doc *doc = json_of(text);
	struct catalog_request request = { .verb = CATALOG_CREATE,
					   .kind = kind_by_number(kind),
					   .tenant = str_of(tenant),
					   .body = yyjson_doc_get_root(doc) };
	void *owner = &request;
	request.message.kind = MESSAGE_CATALOG;
	request.message.shard = CATALOG_SHARD;
	request.message.owner = &request;
	env_post(world, CATALOG_SHARD, &request.message);
	world_run(world, &owner, 1);
	ASSERT(request.status == CATALOG_OK);
	problem_free(&request.problem);
	buf_free(&request.json);
	yyjson_doc_free(doc);
	return world->catalog.last_id;
}

void world_event_type(struct world *world, const char *tenant, const char *key, const char *actions)
{
	struct buf text = { 0 };
	buf_printf(&text, "{'key':'%s','origin':'EXTERNAL','name':'%s'}%c", key, key, 0);
	world_document(world, tenant, KIND_EVENT_TYPE, text.ptr);
	text.len = 0;
	buf_printf(&text, "{'event_type':'%s','priority':0,'conditions':null,'actions':%s}%c", key, actions, 0);
	world_document(world, tenant, KIND_RULE, text.ptr);
	buf_free(&text);
}

static void event_row(struct row *row, const struct world_event *event, yyjson_doc **doc, char payload[40])
{
	int len = snprintf(payload, 40, "{\"points\":%llu}", (unsigned long long)event->points);
	*doc = json_of(payload);
	*row = (struct row){ .kind = ROW_EVENT, .tenant = str_of(event->tenant), .profile = str_of(event->profile),
			     .type = str_of(event->type), .id = str_of(event->id), .source = STR("test"),
			     .payload = yyjson_doc_get_root(*doc), .payload_text = { payload, (size_t)len } };
	row->member_hash = hash_name(HASH_MEMBER, row->tenant, row->profile);
	row->id_hash = hash_name(HASH_EVENT_ID, row->tenant, row->id);
	row->member_partition = partition_of(row->member_hash);
	row->id_partition = partition_of(row->id_hash);
	row->content_hash = hash_bytes(payload, (size_t)len) ^ hash_bytes(row->profile.ptr, row->profile.len);
}

void world_events(struct world *world, struct world_event *events, uint32_t count)
{
	struct row *rows = mem_zalloc(count * sizeof *rows);
	yyjson_doc **docs = mem_zalloc(count * sizeof(yyjson_doc *));
	char (*payloads)[40] = mem_zalloc(count * sizeof *payloads);
	struct batch batch = { .rows = rows, .row_count = count };
	void *owner = &batch;
	for (uint32_t i = 0; i < count; i++)
		event_row(&rows[i], &events[i], &docs[i], payloads[i]);
	batch_init(&batch, world->shard_count);
	batch_start(&batch, &world->env);
	world_run(world, &owner, 1);
	for (uint32_t i = 0; i < count; i++) {
		events[i].result = rows[i].result;
		if (rows[i].result == ROW_DONE || rows[i].result == ROW_KNOWN) {
			struct record_head head;
			struct event_view view;
			const unsigned char *record = record_at(world, rows[i].lsn, &head);
			bool good = event_view_read(record, head.size, &view);
			ASSERT(good && str_eq(view.id, rows[i].id));
			events[i].good = !(view.head.flags & EVENT_WITH_ERRORS);
			events[i].balance = view.head.points;
		}
		yyjson_doc_free(docs[i]);
	}
	batch_free(&batch);
	mem_free(rows);
	mem_free(docs);
	mem_free(payloads);
}

bool world_member(struct world *world, const char *tenant, const char *profile, int64_t *points)
{
	struct query query = { .kind = QUERY_MEMBER, .tenant = str_of(tenant), .profile = str_of(profile) };
	void *owner = &query;
	query.message.kind = MESSAGE_QUERY;
	query.message.owner = &query;
	query.message.shard =
		shard_of(partition_of(hash_name(HASH_MEMBER, query.tenant, query.profile)), world->shard_count);
	env_post(world, query.message.shard, &query.message);
	world_run(world, &owner, 1);
	*points = query.points;
	query_free(&query);
	return query.found;
}

/* ---- the canonical text ----------------------------------------------------------------------------------------- */

static int line_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void world_dump(const struct world *world, struct buf *out)
{
	struct buf text = { 0 }, lines = { 0 };
	for (unsigned s = 0; s < world->shard_count; s++)
		state_dump(&world->shards[s].state, &text);
	world_ids_dump(world->ids, &text);
	for (size_t at = 0; at < text.len;) {
		const char *end = memchr(text.ptr + at, '\n', text.len - at);
		ASSERT(end);
		struct str line = { text.ptr + at, (size_t)(end - text.ptr) + 1 - at };
		buf_bytes(&lines, &line, sizeof line);
		at += line.len;
	}
	struct str *list = (struct str *)(void *)lines.ptr;
	size_t count = lines.len / sizeof *list;
	if (count)
		qsort(list, count, sizeof *list, line_order);
	/* An id may be in memory and filed as well. */
	for (size_t i = 0; i < count; i++)
		if (!i || !str_eq(list[i], list[i - 1]))
			buf_str(out, list[i]);
	buf_char(out, '\0');
	buf_free(&text);
	buf_free(&lines);
}

/* ---- the audit -------------------------------------------------------------------------------------------------- */

static struct audit_account *audit_slot(struct audit_account *list, size_t cap, uint32_t number)
{
	size_t at = (number * UINT64_C(0x9E3779B97F4A7C15)) >> 20;
	while (list[at % cap].number && list[at % cap].number != number)
		at++;
	return &list[at % cap];
}

const struct audit_account *world_audited(const struct world *world, uint32_t number)
{
	const struct audit_account *account = world->audit_cap ? audit_slot(world->audit, world->audit_cap, number)
							       : NULL;
	return account && account->number ? account : NULL;
}

static struct audit_account *audit_find(const struct world *world, uint32_t number)
{
	return (struct audit_account *)world_audited(world, number);
}

static struct audit_account *audit_add(struct world *world, struct audit_account account)
{
	if (world->audit_count * 2 >= world->audit_cap) {
		size_t cap = world->audit_cap ? world->audit_cap * 2 : 256;
		struct audit_account *list = mem_zalloc(cap * sizeof *list);
		for (size_t i = 0; i < world->audit_cap; i++)
			if (world->audit[i].number)
				*audit_slot(list, cap, world->audit[i].number) = world->audit[i];
		mem_free(world->audit);
		world->audit = list;
		world->audit_cap = cap;
	}
	world->audit_count++;
	struct audit_account *slot = audit_slot(world->audit, world->audit_cap, account.number);
	*slot = account;
	return slot;
}

#define AUDIT(good, ...) \
	do { \
		if (!(good)) { \
			buf_printf(why, "LSN %llu: ", (unsigned long long)lsn); \
			buf_printf(why, __VA_ARGS__); \
			buf_printf(why, " (%s)%c", #good, 0); \
			return false; \
		} \
	} while (0)

static bool audit_account_record(struct world *world, const unsigned char *record, uint32_t size, uint64_t lsn,
				 struct buf *why)
{
	struct account_record_view view;
	AUDIT(account_record_read(record, size, &view), "an account's record cannot be read");
	struct audit_account *account = audit_find(world, view.head.number);
	if (view.head.op == ACCOUNT_OP_FLAGS) {
		AUDIT(account && !account->slice, "number %u", view.head.number);
		AUDIT(view.head.prev == account->last_lsn, "chain of number %u", view.head.number);
		account->last_lsn = lsn;
		return true;
	}
	AUDIT(view.head.op == ACCOUNT_OP_CREATE && !account && number_group(view.head.number) < GROUP_COUNT,
	      "number %u is given twice", view.head.number);
	AUDIT(number_group(view.head.number) == group_of(view.head.head.partition), "number %u of another group",
	      view.head.number);
	AUDIT(view.head.prev == 0, "number %u begins with a history", view.head.number);
	bool slice = view.head.flags & ACCOUNT_SLICE, limited = view.head.flags & ACCOUNT_LIMITED;
	AUDIT(slice == kind_is_sliced(view.head.kind), "kind %u", view.head.kind);
	AUDIT(slice == (u128_load(view.head.id) == 0), "id of number %u", view.head.number);
	audit_add(world, (struct audit_account){
		.number = view.head.number, .slice = slice, .last_lsn = slice ? 0 : lsn,
		.id = u128_load(view.head.id), .ceiling = limited ? view.head.ceiling : NO_CEILING,
		.floor = limited ? view.head.floor : view.head.flags & ACCOUNT_FLOOR_ZERO ? 0 : NO_FLOOR });
	return true;
}

/* One side after the record moved its sums: the chain and the balance that the record tells. */
static bool audit_side(struct audit_account *account, uint64_t prev, int64_t balance, uint64_t lsn, struct buf *why)
{
	i128 real = (i128)account->credits_posted - (i128)account->debits_posted;
	AUDIT(real == balance, "number %u has %lld, the record says %lld", account->number, (long long)real,
	      (long long)balance);
	IMPLIES(account->slice, false);
	AUDIT(prev == account->last_lsn, "chain of number %u: %llu instead of %llu", account->number,
	      (unsigned long long)prev, (unsigned long long)account->last_lsn);
	AUDIT(account->debits_posted + account->debits_pending <= (u128)INT64_MAX &&
		      account->credits_posted + account->credits_pending <= (u128)INT64_MAX,
	      "sums of number %u", account->number);
	account->last_lsn = lsn;
	return true;
}

/* A slice comes into being with the first transfer that names it. */
static void audit_slice(struct world *world, uint32_t number, bool slice)
{
	if (slice && number && !audit_find(world, number))
		audit_add(world, (struct audit_account){ .number = number, .slice = true, .floor = NO_FLOOR,
							 .ceiling = NO_CEILING });
}

static bool audit_transfer(struct world *world, const unsigned char *record, uint32_t size, uint64_t lsn,
			   struct buf *why)
{
	struct transfer_view view;
	AUDIT(transfer_record_read(record, size, &view), "a transfer's record cannot be read");
	unsigned flags = view.head.flags;
	audit_slice(world, view.head.debit, !(flags & TRANSFER_DEBIT_WHOLE));
	audit_slice(world, view.head.credit, !(flags & TRANSFER_CREDIT_WHOLE));
	struct audit_account *debit = audit_find(world, view.head.debit), *credit = audit_find(world, view.head.credit);
	AUDIT(debit && credit && debit != credit, "numbers %u and %u", view.head.debit, view.head.credit);
	AUDIT(debit->slice == !(flags & TRANSFER_DEBIT_WHOLE) && credit->slice == !(flags & TRANSFER_CREDIT_WHOLE),
	      "whole or slice: %u and %u", view.head.debit, view.head.credit);
	bool ends = flags & (TRANSFER_POST | TRANSFER_VOID | TRANSFER_EXPIRED),
	     releases = flags & (TRANSFER_VOID | TRANSFER_EXPIRED);
	if (ends) {
		uint64_t pending = view.extra.pending_amount;
		AUDIT(debit->debits_pending >= pending && credit->credits_pending >= pending, "%llu are not pending",
		      (unsigned long long)pending);
		AUDIT(releases ? view.head.amount == pending : view.head.amount <= pending, "%llu of %llu pending",
		      (unsigned long long)view.head.amount, (unsigned long long)pending);
		debit->debits_pending -= pending;
		credit->credits_pending -= pending;
	} else if (flags & TRANSFER_PENDING) {
		debit->debits_pending += view.head.amount;
		credit->credits_pending += view.head.amount;
	}
	if (!releases && !(flags & TRANSFER_PENDING)) {
		debit->debits_posted += view.head.amount;
		credit->credits_posted += view.head.amount;
	}
	if (!ends) {
		i128 left = (i128)debit->credits_posted - (i128)debit->debits_posted - (i128)debit->debits_pending;
		i128 full = (i128)credit->credits_posted + (i128)credit->credits_pending - (i128)credit->debits_posted;
		AUDIT(view.head.amount > 0, "an amount of 0");
		AUDIT(debit->floor == NO_FLOOR || left >= debit->floor, "number %u below its floor", debit->number);
		AUDIT(credit->ceiling == NO_CEILING || full <= credit->ceiling, "number %u above its ceiling",
		      credit->number);
	}
	if (!debit->slice && !audit_side(debit, view.head.prev, view.head.balance, lsn, why))
		return false;
	if (credit->slice)
		return true;
	return debit->slice ? audit_side(credit, view.head.prev, view.head.balance, lsn, why)
			    : audit_side(credit, view.second.prev, view.second.balance, lsn, why);
}

static bool audit_event(struct world *world, const unsigned char *record, uint32_t size, uint64_t lsn, struct buf *why)
{
	struct event_view view;
	AUDIT(event_view_read(record, size, &view), "an event's record cannot be read");
	const unsigned char *at = view.executions;
	struct audit_account *account = audit_find(world, view.head.account);
	if (view.head.flags & EVENT_ACCOUNT_CREATED) {
		AUDIT(view.head.account && !account, "number %u is given twice", view.head.account);
		account = audit_add(world, (struct audit_account){
			.number = view.head.account, .ceiling = NO_CEILING,
			.id = account_id_of_member(view.tenant, view.profile, STR("default"), STR("points")) });
	}
	for (unsigned i = 0; i < view.execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		const unsigned char *effects = execution.effects;
		for (unsigned e = 0; e < execution.head.effect_count; e++) {
			struct effect_view effect;
			effect_next(&effects, &effect);
			int moves = effect_kinds[effect.head.type].moves;
			bool earn = moves > 0, burn = moves < 0;
			if (!moves || !effect.head.points)
				continue;
			AUDIT(account && !account->slice && effect.head.points > 0, "points without an account");
			*(earn ? &account->credits_posted : &account->debits_posted) += (uint64_t)effect.head.points;
			i128 left = (i128)account->credits_posted - (i128)account->debits_posted;
			AUDIT(left == effect.head.balance, "an effect says %lld, not %lld",
			      (long long)effect.head.balance, (long long)left);
			AUDIT(!burn || account->floor == NO_FLOOR ||
				      left - (i128)account->debits_pending >= account->floor,
			      "number %u below its floor", account->number);
		}
	}
	return !account || audit_side(account, view.head.prev_account, view.head.points, lsn, why);
}

static bool audit_record(struct world *world, const unsigned char *record, const struct record_head *head, uint64_t lsn,
			 struct buf *why)
{
	struct sliced_record_view sliced;
	struct failed_record failed;
	switch (head->type) {
	case RECORD_ACCOUNT: return audit_account_record(world, record, head->size, lsn, why);
	case RECORD_TRANSFER: return audit_transfer(world, record, head->size, lsn, why);
	case RECORD_EVENT: return audit_event(world, record, head->size, lsn, why);
	case RECORD_SLICED:
		AUDIT(sliced_record_read(record, head->size, &sliced) && kind_is_sliced(sliced.head.kind),
		      "a sliced account");
		return true;
	case RECORD_FAILED:
		AUDIT(failed_record_read(record, head->size, &failed) && refusal_burns((enum refusal)failed.refusal),
		      "a failed transfer");
		return true;
	case RECORD_FILLER:
	case RECORD_CUSTOMER:
	case RECORD_ACTION:
	case RECORD_CATALOG: return true;
	default: AUDIT(false, "type %u", head->type);
	}
}

bool world_audit(struct world *world, struct buf *why)
{
	for (; world->audit_frames < world->frame_count; world->audit_frames++) {
		struct world_frame frame = world->frames[world->audit_frames];
		struct record_head head;
		for (uint32_t at = 0; at < frame.size; at += head.size) {
			const unsigned char *record = record_at(world, frame.lsn + at, &head);
			if (!audit_record(world, record, &head, frame.lsn + at, why))
				return false;
		}
	}
	return true;
}
