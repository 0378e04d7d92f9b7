// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/shard/ledger.h"
#include "net/rpc/json.h"
#include "net/rpc/session.h"
#include "net/surface/jobs.h"
#include "tests/sim/commands/generate.h"
#include "tests/sim/commands/host.h"
#include "tests/sim/commands/laws.h"
#include "tests/sim/commands/methods.h"
#include "tests/sim/commands/retention.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_disable() ((void)0)
#define __lsan_enable() ((void)0)
#endif

enum { CALLS = 8, PAST = 24, MADE = 24, WRITTEN = 64, STEPS_MAX = 2000000, MS = 1000000, DRAWN_MAX = 512 };

#define LLU(x) ((unsigned long long)(x))

/* A request in work, on a connection of its own. */
struct call {
	struct history *history;
	bool live, rpc, answered, dry_run;
	struct request request;
	struct http_session *http;
	struct rpc_session *session;
	struct past *past;             /* this is a repeat of it; NULL: it is new */
	unsigned past_number;
	bool past_acked;               /* when it was sent again; with past_id */
	char past_id[POOL_TEXT];
	int status;
	uint32_t msgid;
	uint64_t begun_lsn;            /* the log's end when it was sent */
	unsigned drops_before;         /* DELETEs when it was sent */
	uint64_t durable, appended;    /* when the answer left */
	char code[64], id[POOL_TEXT];
	struct buf head, body;
};

/* A request that was sent, to be sent again. */
struct past { bool used, acked, rpc; unsigned number; struct request request; int status; char id[POOL_TEXT]; };

/* What an answer named: it is there until somebody asks for its end. */
struct made { bool used; struct request get; };

struct swarm {
	struct sim_ids_options ids;
	unsigned retain_one_in;        /* 0: no retention */
	uint64_t retain_bytes;
	unsigned move_one_in;          /* ids move to disk */
	unsigned lives, phases, requests, snapshot_one_in, rpc_one_in, repeat_one_in, jump_one_in, tick_one_in, lazy_one_in;
	bool full, small_memory, calls_cut, scheduler, prepared;
	struct disk_faults faults;
};

struct history {
	uint64_t seed, first_seed, hash;
	bool trace, up;
	struct swarm swarm;
	struct disk *disk;
	struct sim_node node;
	struct host host;
	struct generator generator;
	struct rpc_pool *pool;
	struct call calls[CALLS];
	struct past past[PAST];
	unsigned past_count;
	struct made made[MADE];
	unsigned made_count;
	unsigned drops;                /* DELETEs that were sent */
	/* Commands that wrote to the log, since the last start. */
	struct written { size_t index; uint64_t end; } written[WRITTEN];
	unsigned written_count;
	uint64_t durable;              /* the log was once known to reach so far */
	struct buf expected;           /* the state at the end of the last life; empty: not known */
	int64_t clock_offset_ms;
	uint32_t msgid;
	struct commands_seen *seen;
	struct buf *verdict;
	jmp_buf broken;
};

static uint64_t chance(struct history *history, uint64_t below)
{
	return disk_chance(&history->seed, below);
}

static bool one_in(struct history *history, unsigned count)
{
	return count && chance(history, count) == 0;
}

static void happened(struct history *history, const char *what, uint64_t a, uint64_t b)
{
	history->hash = hash_step(hash_step(hash_step(history->hash, (uint64_t)what[0] << 8 | (uint64_t)what[1]), a), b);
	if (history->trace)
		fprintf(stderr, "%10.3f ms  %-10s %llu %llu\n", (double)history->disk->now_ns / MS, what, LLU(a), LLU(b));
}

__attribute__((format(printf, 3, 4), noreturn))
static void law_broken(struct history *history, const char *law, const char *format, ...)
{
	char text[1200];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	buf_printf(history->verdict, "%s: %s", law, text);
	longjmp(history->broken, 1);
}

#define LAW(history, law, holds, ...) \
	do { \
		if (!(holds)) \
			law_broken((history), (law), __VA_ARGS__); \
	} while (0)

/* ---- the state -------------------------------------------------------------------------------------------------------------------- */

static void states_compare(struct history *history, const char *law, const struct buf *one, const struct buf *other, const char *what)
{
	size_t same = 0, line = 0;
	if (one->len == other->len && memcmp(one->ptr, other->ptr, one->len) == 0)
		return;
	for (; one->ptr[same] && one->ptr[same] == other->ptr[same]; same++)
		if (one->ptr[same] == '\n')
			line = same + 1;
	law_broken(history, law, "%s: before %.*s; after %.*s", what, (int)strcspn(one->ptr + line, "\n"), one->ptr + line,
		   (int)strcspn(other->ptr + line, "\n"), other->ptr + line);
}

static void ignore_frame(void *context, const struct sim_frame *frame)
{
	(void)context, (void)frame;
}

/* The disk does what it should meanwhile. */
static void dump(struct history *history, struct buf *out)
{
	struct disk_faults faults = history->disk->faults;
	history->disk->faults = (struct disk_faults){ 0 };
	sim_node_dump(&history->node, out);
	history->disk->faults = faults;
}

/* What the files say to another node with another number of shards. */
static void files_compare(struct history *history, bool log_only, const char *what)
{
	static const unsigned counts[] = { 1, 2, 3, 4, 8, 16 };
	struct disk *copy = disk_copy(history->disk);
	struct sim_node other;
	struct buf error = { 0 }, live = { 0 }, again = { 0 };
	struct sim_node_options options = history->node.options;
	options.shards = counts[chance(history, sizeof counts / sizeof *counts)];
	options.said = NULL;
	options.log_only = log_only;
	options.wall_ms = &copy->wall_ms;
	copy->seed = chance(history, UINT64_MAX);
	dump(history, &live);
	options.log_only &= !wal_first(history->node.wal);
	disk_mount(copy);
	enum node_outcome outcome = sim_node_open(&other, &options, &error);
	LAW(history, "L5", outcome == NODE_GOOD, "a copy of the files is refused: %.*s", (int)error.len, error.ptr);
	sim_node_dump(&other, &again);
	sim_node_kill(&other);
	disk_mount(history->disk);
	disk_free(copy);
	states_compare(history, "L5", &live, &again, what);
	history->seen->states_compared++;
	buf_free(&live);
	buf_free(&again);
	buf_free(&error);
}

/* ---- answers ------------------------------------------------------------------------------------------------------------------------ */

static const char *name_of(const struct call *call)
{
	return call->request.reference->name;
}

static void call_free(struct call *call)
{
	if (call->http)
		http_session_free(call->http);
	if (call->session)
		rpc_session_detach(call->session);
	request_free(&call->request);
	buf_free(&call->head);
	buf_free(&call->body);
	*call = (struct call){ 0 };
}

static void on_request(void *context, struct http_request *request)
{
	struct call *call = context;
	request->started_ns = call->history->disk->now_ns;
	app_request(&call->history->host.app, request);
}

static void answered(struct call *call)
{
	const struct wal *wal = call->history->node.wal;
	LAW(call->history, "L4", !call->answered, "%s is answered twice", name_of(call));
	call->answered = true;
	call->durable = wal_durable(wal);
	call->appended = wal_appended(wal);
}

static void on_answered(void *context, const struct http_request *request, int status)
{
	struct call *call = context;
	(void)request;
	call->status = status;
	answered(call);
}

static void on_rpc_request(void *context, struct rpc_request *request)
{
	struct call *call = context;
	rpc_dispatch(&call->history->host.app, request);
}

static void on_rpc_ended(void *context, const struct rpc_request *request)
{
	struct call *call = context;
	call->status = request->error_code ? request->error_code : 200;
	answered(call);
	rpc_ended(&call->history->host.app, request);
}

static void http_parse(struct call *call)
{
	struct buf text = { 0 };
	http_session_output(call->http, &text);
	const char *end = memmem(text.ptr, text.len, "\r\n\r\n", 4);
	LAW(call->history, "HTTP", end && text.len > 12 && !memcmp(text.ptr, "HTTP/1.1 ", 9), "%s is answered by what is no HTTP",
	    name_of(call));
	buf_bytes(&call->head, text.ptr, (size_t)(end - text.ptr) + 2);
	buf_bytes(&call->body, end + 4, text.len - (size_t)(end + 4 - text.ptr));
	buf_free(&text);
}

/* [1, msgid, error, result] as JSON: the error or the result. */
static void rpc_parse(struct call *call)
{
	struct buf frame = { 0 };
	uint32_t count = 0;
	uint64_t kind = 0, msgid = 0;
	const char *wrong = "";
	rpc_session_output(call->session, &frame);
	struct rpc_reader reader = { (const unsigned char *)frame.ptr, (const unsigned char *)frame.ptr + frame.len };
	bool good = rpc_read_array(&reader, &count) && count == 4 && rpc_read_u64(&reader, &kind) && kind == 1 &&
		    rpc_read_u64(&reader, &msgid) && msgid == call->msgid;
	if (good && call->status < 400)
		good = rpc_read_nil(&reader);
	LAW(call->history, "RPC", good, "%s is answered by what is no reply", name_of(call));
	if (call->request.method)
		LAW(call->history, "RPC", json_marked(&call->body, &reader, STR("")), "%s is answered by what is no object", name_of(call));
	else if (!json_from_rpc(&call->body, &reader, &wrong))
		call->body.len = 0;
	buf_free(&frame);
}

/* 5xx: did the disk, or whoever drew its size, have a share in it?  An answer to HEAD has no code. */
static bool explained(const struct history *history, int status, const char *code)
{
	const struct disk *disk = history->disk;
	if (status < 500)
		return true;
	if (!strcmp(code, "memory_full"))
		return history->swarm.small_memory;
	if (status == 503 || !strcmp(code, "stopping"))
		return history->host.app.draining || (history->swarm.retain_one_in && (!*code || !strcmp(code, "history_not_ready")));
	if (status == 507)
		return history->swarm.full;
	return disk->read_failed || (!strcmp(code, "snapshot_failed") && (disk->snapshot_failed || history->swarm.full));
}

static void text_keep(char *out, size_t size, struct str text)
{
	snprintf(out, size, "%.*s", (int)(text.len < size ? text.len : size - 1), text.ptr);
}

/* Code and id, where there are any. */
static void body_read(struct call *call)
{
	struct json_error error;
	yyjson_doc *doc = call->body.len < 60000 ? json_read(buf_view(&call->body), &error) : NULL;
	/* A sum over all slices of an account may be greater than what the reader of requests takes. */
	if (!doc && call->body.len < 60000 && strstr(error.detail, "does not fit 64 bits"))
		doc = yyjson_read_opts(call->body.ptr, call->body.len, YYJSON_READ_NUMBER_AS_RAW, &json_alc, NULL);
	yyjson_val *root = yyjson_doc_get_root(doc);
	bool json = call->rpc || memmem(call->head.ptr, call->head.len, "json\r\n", 6);
	LAW(call->history, "JSON", doc || !json || call->request.head || !call->body.len || call->body.len >= 60000 ||
	    memmem(call->head.ptr, call->head.len, "ndjson", 6), "the answer of %s is no JSON: %.*s", name_of(call),
	    (int)(call->body.len < 300 ? call->body.len : 300), call->body.ptr);
	if (call->status >= 400)
		text_keep(call->code, sizeof call->code, json_text(json_get(root, call->rpc ? STR("name") : STR("code"))));
	text_keep(call->id, sizeof call->id, json_text(json_get(root, STR("id"))));
	yyjson_doc_free(doc);
}

static void documented_check(struct call *call)
{
	const struct reference *reference = call->request.reference;
	bool listed = (call->rpc && call->status < 400) ||
		      law_listed(reference, call->status, call->request.head && !*call->code ? NULL : call->code, call->request.method);
	LAW(call->history, "reference", listed, "%s answers %d %s, which its operation does not list: %.*s", name_of(call), call->status,
	    call->code, (int)(call->body.len < 300 ? call->body.len : 300), call->body.ptr);
	LAW(call->history, "L10", call->status != 410 || !strstr(call->code, "pruned") || wal_first(call->history->node.wal),
	    "%s is answered with %s, and the log is whole", name_of(call), call->code);
	LAW(call->history, "5xx", explained(call->history, call->status, call->code), "%s answers %d %s without a fault: %.*s",
	    name_of(call), call->status, call->code, (int)(call->body.len < 300 ? call->body.len : 300), call->body.ptr);
}

static bool is_read(const struct call *call)
{
	return !strcmp(call->request.reference->route->method, "GET");
}

static bool is_good(const struct call *call)
{
	return call->status >= 200 && call->status < 300;
}

/* Nothing of it was refused, as far as a method's answer says so row by row. */
static bool is_whole(const struct call *call)
{
	struct json_error error;
	size_t i, max;
	yyjson_val *item;
	yyjson_doc *doc = call->request.method ? json_read(buf_view(&call->body), &error) : NULL;
	yyjson_val *root = yyjson_doc_get_root(doc);
	bool whole = !json_text(json_get(root, STR("results"))).len;
	yyjson_arr_foreach(root, i, max, item)
		whole = whole && !(json_get(item, STR("code")) && json_get(item, STR("index")));
	yyjson_doc_free(doc);
	return whole;
}

/* What a 201 names must be there from now on. */
static void made_keep(struct history *history, const struct call *call)
{
	const char *at = call->request.reference->links;
	while (at && *at && !(strcspn(at, " ") > 4 && !memcmp(at + strcspn(at, " ") - 4, ".get", 4))) {
		at += strcspn(at, " ");
		at += *at == ' ';
	}
	size_t index = at && *at && *call->id ? command_find((struct str){ at, strcspn(at, " ") }) : SIZE_MAX;
	/* A DELETE that was sent meanwhile may be about it. */
	if (index == SIZE_MAX || call->status != 201 || call->drops_before != history->drops)
		return;
	size_t count;
	struct made *made = &history->made[history->made_count++ % MADE];
	if (made->used)
		request_free(&made->get);
	*made = (struct made){ .used = true, .get = { .reference = &references(&count)[index], .index = index, .part_count = 1 } };
	made->get.parts[0] = (struct pair){ "id", mem_dup(call->id, strlen(call->id) + 1) };
	for (size_t i = 0; i < call->request.header_count; i++) {
		const struct pair *pair = &call->request.headers[i];
		if (!strcmp(pair->name, "X-Brand"))
			made->get.headers[made->get.header_count++] = (struct pair){ pair->name, mem_dup(pair->text, strlen(pair->text) + 1) };
	}
	/* Where the body named the brand. */
	struct json_error error;
	yyjson_doc *doc = json_read(buf_view(&call->body), &error);
	struct str brand = json_text(json_get(yyjson_doc_get_root(doc), STR("brand")));
	if (!made->get.header_count && brand.len) {
		char *text = mem_zalloc(brand.len + 1);
		memcpy(text, brand.ptr, brand.len);
		made->get.headers[made->get.header_count++] = (struct pair){ "X-Brand", text };
	}
	yyjson_doc_free(doc);
}

/* Somebody asks for its end: whether it is there is not known any more. */
static void made_drop(struct history *history, const struct request *request)
{
	if (strcmp(request->reference->route->method, "DELETE") != 0 || !request->part_count)
		return;
	history->drops++;
	for (unsigned i = 0; i < MADE; i++)
		if (history->made[i].used && !strcmp(history->made[i].get.parts[0].text, request->parts[0].text)) {
			request_free(&history->made[i].get);
			history->made[i].used = false;
		}
}

static void past_keep(struct history *history, struct call *call)
{
	struct past *past = call->past;
	if (!past && is_read(call))
		return;
	if (!past) {
		past = &history->past[history->past_count++ % PAST];
		if (past->used)
			request_free(&past->request);
		*past = (struct past){ .used = true, .number = history->past_count };
		request_copy(&past->request, &call->request);
		past->rpc = call->rpc;
	}
	if (past->acked || (call->past && past->number != call->past_number))
		return;
	past->acked = is_good(call) && is_whole(call) && !call->dry_run && !past->request.dry_run;
	past->status = call->status;
	memcpy(past->id, call->id, sizeof past->id);
}

/* The same once more names the same thing. */
static void repeat_check(struct call *call)
{
	if (!call->past_acked || call->status >= 500 || !call->request.single || !command_repeats(call->request.reference))
		return;
	/* What was known of it is gone with the log. */
	if (wal_first(call->history->node.wal) && (!strcmp(call->code, "outcome_pruned") || !strcmp(call->code, "history_pruned")))
		return;
	/* Somebody has closed it since, or opened it again; that nothing is done is looked at elsewhere. */
	if (!strcmp(call->code, "account_exists_with_different_flags"))
		return;
	LAW(call->history, "L4", is_good(call), "%s was done, and the same again is refused: %d %s", name_of(call), call->status, call->code);
	LAW(call->history, "L4", call->status != 201 && !strcmp(call->past_id, call->id), "%s made %s, and the same again %d %s", name_of(call),
	    call->past_id, call->status, call->id);
	call->history->seen->repeats++;
}

static void call_finish(struct history *history, struct call *call)
{
	struct commands_seen *seen = history->seen;
	if (call->rpc)
		rpc_parse(call);
	else
		http_parse(call);
	body_read(call);       /* metrics are the process's: other histories show in them */
	bool text = call->rpc ? call->body.len > 7 && !memcmp(call->body.ptr, "\"# TYPE", 7) : !memmem(call->head.ptr, call->head.len, "json", 4);
	happened(history, "answer", (uint64_t)call->status, text ? 0 : hash_bytes(call->body.ptr, call->body.len));
	if (history->trace)
		fprintf(stderr, "              %s %d %.*s\n", name_of(call), call->status,
			(int)(call->body.len < 400 ? call->body.len : 400), call->body.ptr);
	documented_check(call);
	repeat_check(call);
	generator_learn(&history->generator, &call->request, call->status, buf_view(&call->head), text ? STR("") : buf_view(&call->body));
	past_keep(history, call);
	if (!call->dry_run && !call->rpc)
		made_keep(history, call);
	size_t index = call->request.index;
	seen->good += is_good(call);
	seen->refused += call->status >= 400 && call->status < 500;
	seen->failed += call->status >= 500;
	seen->dry += is_good(call) && call->dry_run;
	seen->command_good[index] += is_good(call) && !call->dry_run;
}

/* ---- steps -------------------------------------------------------------------------------------------------------------------------- */

static void clock_set(struct history *history)
{
	history->disk->wall_ms = INT64_C(1700000000000) + (int64_t)(history->disk->now_ns / MS) + history->clock_offset_ms;
	history->generator.now_ms = history->disk->wall_ms;
}

/* After what may have written.  False: the process is gone. */
static bool alive(struct history *history, enum node_outcome outcome)
{
	if (history->disk->dead)
		return false;
	LAW(history, "L7", outcome == NODE_GOOD || history->disk->sync_failed, "the log ends the process without a reason: %s",
	    history->node.fatal_text);
	LAW(history, "L7", outcome != NODE_GOOD || !history->disk->sync_failed, "a write or a sync failed, and the node goes on");
	if (outcome == NODE_GOOD)
		history->durable = wal_durable(history->node.wal);
	return outcome == NODE_GOOD;
}

/* An id is looked up on disk: that fails where the disk did, and nowhere else. */
static void reader_step(struct history *history)
{
	struct sim_node *node = &history->node;
	unsigned unread = node->ids.unread;
	uint64_t refused = history->disk->reads_refused;
	history->seen->id_reads += node->ids.reading != NULL;
	sim_reader_step(node);
	LAW(history, "L6", node->ids.unread == unread || history->disk->reads_refused > refused, "ids cannot be looked up, and nothing is wrong");
	history->disk->read_failed |= node->ids.unread != unread;
}

/* What threads behind the shards do.  False: the power went. */
static bool behind_step(struct history *history)
{
	struct sim_node *node = &history->node;
	struct disk *disk = history->disk;
	if (one_in(history, 12))
		sim_footers_step(node);
	if (node->ids.mover && !node->ids.waits && one_in(history, history->swarm.move_one_in) && !disk->dead) {
		uint32_t runs = runs_manifest(node->ids.store)->count;
		sim_mover_step(node);
		history->seen->id_runs += runs_manifest(node->ids.store)->count != runs;
		LAW(history, "L1", disk->dead || runs_manifest(node->ids.store)->below <= wal_durable(node->wal), "ids up to LSN %llu are in runs, "
		    "and %llu is durable", LLU(runs_manifest(node->ids.store)->below), LLU(wal_durable(node->wal)));
		LAW(history, "L7", !node->ids.complained || disk->ids_failed || disk->dead || history->swarm.full,
		    "ids are not moved to disk, and nothing is wrong");
		node->ids.complained = false;
	}
	if (one_in(history, history->swarm.retain_one_in) && !disk->dead) {
		uint64_t before = wal_first(node->wal);
		const char *wrong = retain_step_checked(node, disk, history->swarm.retain_bytes);
		LAW(history, "retention", !wrong, "the log began at LSN %llu, and does at %llu now: %s", LLU(before), LLU(wal_first(node->wal)), wrong);
		history->seen->dropped += wal_first(node->wal) != before;
	}
	return !disk->dead;
}

/* One step of something.  False: the process is gone.  *did: there was something to do. */
static bool step(struct history *history, bool *did)
{
	struct sim_node *node = &history->node;
	unsigned ways[SHARDS_MAX + 8], count = 0;
	enum { LOG = SHARDS_MAX, TAKE, WORK, WRITER, READER, MAKER };
	bool unwritten = wal_appended(node->wal) != wal_durable(node->wal), some = false;
	for (unsigned s = 0; s < node->shard_count; s++)
		if (node->awake[s])
			ways[count++] = s;
	if (unwritten && (!history->swarm.lazy_one_in || !count || one_in(history, history->swarm.lazy_one_in)))
		ways[count++] = LOG;
	if (node->done)
		ways[count++] = TAKE;
	if (history->host.work_count)
		ways[count++] = WORK;
	if (node->writer && node->writer_due_ns <= history->disk->now_ns)
		ways[count++] = WRITER;
	if (node->ids.queries)
		ways[count++] = READER;
	*did = count > 0 || node->writer;
	ways[count++] = MAKER;
	unsigned way = ways[chance(history, count)];
	enum node_outcome outcome = NODE_GOOD;
	if (!behind_step(history))
		return false;
	history->disk->now_ns += 1000 + chance(history, 4000);
	if (count == 1 && node->writer && node->writer_due_ns > history->disk->now_ns)
		history->disk->now_ns = node->writer_due_ns;
	clock_set(history);
	switch (way) {
	case LOG: outcome = sim_log_step(node, false, &some); break;
	case TAKE: host_take(&history->host); break;
	case WORK: host_work(&history->host, &history->seed); break;
	case WRITER: host_snapshot_step(&history->host); break;
	case READER: reader_step(history); break;
	case MAKER: outcome = sim_maker_step(node, &some); break;
	default: sim_shard_step(node, way, 1 + (unsigned)chance(history, 4)); break;
	}
	if (!alive(history, outcome))
		return false;
	return true;
}

static void answers_take(struct history *history)
{
	for (unsigned i = 0; i < CALLS; i++) {
		struct call *call = &history->calls[i];
		if (!call->live || !call->answered)
			continue;
		call_finish(history, call);
		call_free(call);
	}
}

static bool any_call(const struct history *history)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (history->calls[i].live && !history->calls[i].answered)
			return true;
	return false;
}

/* Until nothing is under way, or `only` is answered.  False: the process is gone. */
static bool settle(struct history *history, const struct call *only)
{
	bool did = true;
	for (unsigned steps = 0; !(only && only->answered) && (did || !host_idle(&history->host)); steps++) {
		LAW(history, "L8", steps < STEPS_MAX, "it does not come to rest");
		if (!step(history, &did))
			return false;
		if (!only)
			answers_take(history);
		else if (!did && !only->answered)
			break;
	}
	if (only ? !only->answered : any_call(history))
		for (unsigned i = 0; i < CALLS; i++)
			LAW(history, "L8", !history->calls[i].live || history->calls[i].answered, "%s is never answered",
			    name_of(&history->calls[i]));
	if (!only)
		LAW(history, "L8", !history->host.app.tasks && !history->host.app.task_bytes, "%zu requests are counted, and none is there",
		    history->host.app.tasks);
	return true;
}

/* ---- requests ----------------------------------------------------------------------------------------------------------------------- */

static struct call *call_new(struct history *history)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (!history->calls[i].live) {
			history->calls[i] = (struct call){ .history = history, .live = true };
			return &history->calls[i];
		}
	return NULL;
}

static void http_send(struct history *history, struct call *call)
{
	struct http_options options = { .on_request = on_request, .on_answered = on_answered, .context = call };
	struct buf bytes = { 0 };
	request_http(&call->request, &bytes);
	if (history->trace)
		fprintf(stderr, "              > %.*s\n", (int)(bytes.len < 1500 ? bytes.len : 1500), bytes.ptr);
	call->dry_run = call->request.dry_run;
	call->http = http_session_new(&options);
	for (size_t at = 0; at < bytes.len;) {
		size_t len = one_in(history, 10) ? 1 + chance(history, bytes.len - at) : bytes.len - at;
		http_session_feed(call->http, bytes.ptr + at, len);
		at += len;
	}
	buf_free(&bytes);
}

static bool rpc_send(struct history *history, struct call *call)
{
	struct rpc_options options = { .on_request = on_rpc_request, .on_ended = on_rpc_ended, .context = call };
	struct buf params = { 0 }, bytes = { 0 };
	if (!request_params(&call->request, &params, &call->dry_run)) {
		buf_free(&params);
		return false;
	}
	call->rpc = true;
	pack_array(&bytes, 4);
	pack_u64(&bytes, 0);
	pack_u64(&bytes, call->msgid = ++history->msgid);
	pack_text(&bytes, str_of(call->request.reference->route->command));
	buf_str(&bytes, buf_view(&params));
	if (history->trace)
		fprintf(stderr, "              > RPC %s\n", call->request.reference->route->command);
	call->session = rpc_session_new(&options, history->pool);
	for (size_t at = 0; at < bytes.len;) {
		unsigned char *room;
		size_t len;
		rpc_session_room(call->session, &room, &len);
		if (len > bytes.len - at)
			len = bytes.len - at;
		memcpy(room, bytes.ptr + at, len);
		rpc_session_received(call->session, len);
		at += len;
	}
	buf_free(&bytes);
	buf_free(&params);
	return true;
}

static size_t index_pick(struct history *history)
{
	size_t count, index;
	const struct reference *all = commands(&count);
	/* What few answers make possible. */
	for (index = one_in(history, 10) ? chance(history, count) : count; index < count && !one_in(history, 200); index = chance(history, count))
		if (generator_suits(&history->generator, index))
			return index;
	do
		index = chance(history, count);
	while (!all[index].described || (command_is_method(index) && !history->swarm.rpc_one_in) || (!strcmp(all[index].route->method, "GET") && chance(history, 3)) ||
	       (!strcmp(all[index].route->method, "DELETE") && chance(history, 2)) ||
	       ((!strcmp(all[index].name, "server.openapi") || !strcmp(all[index].name, "server.docs")) && chance(history, 20)));
	return index;
}

/* A request, new or one of those that were sent before.  NULL: there are enough. */
static struct call *request_begin(struct history *history, const struct request *given, struct past *past, bool plain)
{
	struct call *call = call_new(history);
	if (!call)
		return NULL;
	if (given) {
		request_copy(&call->request, given);
		call->past = past;
	} else if (!plain && one_in(history, history->swarm.repeat_one_in) && history->past_count) {
		unsigned known = history->past_count < PAST ? history->past_count : PAST;
		call->past = &history->past[chance(history, known)];
		request_copy(&call->request, &call->past->request);
	} else {
		request_make(&history->generator, index_pick(history), plain, &call->request);
	}
	if (call->past) {
		call->past_number = call->past->number;
		call->past_acked = call->past->acked;
		memcpy(call->past_id, call->past->id, sizeof call->past_id);
	}
	call->begun_lsn = wal_appended(history->node.wal);
	call->drops_before = history->drops;
	happened(history, "request", call->request.index, hash_bytes(call->request.body.ptr, call->request.body.len));
	made_drop(history, &call->request);
	history->seen->requests++;
	history->seen->command_sent[call->request.index]++;
	/* A repeat may come over the other protocol where that says the same. */
	bool both = !call->past || (!call->request.spoiled && !call->request.query_count && !call->request.header_count);
	if ((call->request.method || (both ? one_in(history, history->swarm.rpc_one_in) : call->past->rpc)) && rpc_send(history, call))
		history->seen->over_rpc++;
	else
		http_send(history, call);
	return call;
}

static bool may_change(const struct call *call)
{
	if (is_read(call) || call->dry_run)
		return false;
	if (call->status >= 500)
		return call->history->disk->read_failed;
	return call->status < 300 || law_burns(call->code);
}

/* What was done alone, and is durable. */
static void written_keep(struct history *history, const struct call *call)
{
	if (!is_good(call) || call->appended == call->begun_lsn || is_read(call))
		return;
	history->seen->command_changed[call->request.index]++;
	if (history->written_count < WRITTEN)
		history->written[history->written_count++] = (struct written){ call->request.index, call->appended };
}

enum end { GOES_ON, GONE, CUT_BEHIND };

/* One request with nothing beside it. */
static enum end alone(struct history *history, const struct request *given, struct past *past, bool plain, int expected)
{
	struct buf before = { 0 }, after = { 0 };
	bool look = !plain || expected;
	if (look)
		dump(history, &before);
	struct call *call = request_begin(history, given, past, plain);
	if (!settle(history, call)) {
		buf_free(&before);
		return GONE;
	}
	call_finish(history, call);
	LAW(history, "L1", call->status >= 500 || call->durable == call->appended, "%s answers %d when the log is durable up to LSN %llu, "
	    "and appended up to %llu", name_of(call), call->status, LLU(call->durable), LLU(call->appended));
	written_keep(history, call);
	LAW(history, "L1", !expected || call->status == expected || call->status >= 500 || call->status == 410, "%s of what was made answers %d %s after the start",
	    name_of(call), call->status, call->code);
	bool same_again = call->past_acked && call->request.single && is_good(call) &&
			  command_repeats(call->request.reference) && !call->dry_run;
	if (look) {
		dump(history, &after);
		if (!may_change(call)) {
			char what[200];
			snprintf(what, sizeof what, "%s leaves something (%d %s%s)", name_of(call), call->status, call->code,
				 call->dry_run ? ", a dry run" : "");
			states_compare(history, call->dry_run ? "dry_run" : "refusal", &before, &after, what);
			history->seen->states_kept++;
		} else if (same_again) {
			char what[200];
			snprintf(what, sizeof what, "%s does something again", name_of(call));
			states_compare(history, "L4", &before, &after, what);
			history->seen->states_same++;
		}
	}
	buf_free(&before);
	enum end end = GOES_ON;
	if (look && !expected && one_in(history, 80)) {
		/* The power goes right behind the answer. */
		buf_free(&history->expected);
		history->expected = after;
		after = (struct buf){ 0 };
		end = CUT_BEHIND;
	}
	buf_free(&after);
	call_free(call);
	if (end == GOES_ON && !settle(history, NULL))
		return GONE;
	return end;
}

/* ---- books -------------------------------------------------------------------------------------------------------------------------- */

static void on_book(struct ledger_request *request)
{
	*(bool *)request->context = true;
}

static bool book_check(struct history *history, struct str tenant, struct str unit)
{
	bool done = false, did = true;
	u128 total[4] = { 0 };
	struct ledger_request request = { .verb = LEDGER_BOOK, .tenant = tenant, .unit = unit, .context = &done, .after = on_book };
	ledger_start(&request, &history->node.env);
	for (unsigned steps = 0; !done; steps++) {
		LAW(history, "L8", steps < STEPS_MAX, "a book is never shown");
		if (!step(history, &did))
			return false;
	}
	for (unsigned kind = 0; kind < ACCOUNT_KINDS; kind++)
		for (unsigned s = 0; s < 4; s++)
			total[s] += request.sums[kind][s];
	LAW(history, "L3", total[0] == total[1] && total[2] == total[3], "the book of %.*s in %.*s does not balance: %lld %lld, pending "
	    "%lld %lld", (int)tenant.len, tenant.ptr, (int)unit.len, unit.ptr, (long long)total[0], (long long)total[1],
	    (long long)total[2], (long long)total[3]);
	history->seen->books += request.found;
	ledger_request_free(&request);
	return true;
}

static bool books_check(struct history *history)
{
	for (unsigned i = 0; i < 6; i++) {
		struct pool *pool = &history->generator.pool;
		const struct pool_value *tenant = pool_of(pool, i & 1 ? STR("brand") : STR("tenant"), i < 2);
		const struct pool_value *unit = pool_of(pool, STR("unit"), i < 2);
		if (tenant && unit && !book_check(history, pool_text(tenant), pool_text(unit)))
			return false;
	}
	return settle(history, NULL);
}

/* ---- lives -------------------------------------------------------------------------------------------------------------------------- */

static void on_said(void *context, const char *level, const char *line)
{
	struct history *history = context;
	if (history->trace)
		fprintf(stderr, "%10.3f ms  %s: %s\n", (double)history->disk->now_ns / MS, level, line);
}

static void calls_drop(struct history *history)
{
	for (unsigned i = 0; i < CALLS; i++)
		if (history->calls[i].live) {
			history->seen->unanswered++;
			/* The client does not know what became of it, and asks again. */
			if (!history->calls[i].answered && !history->calls[i].past)
				past_keep(history, &history->calls[i]);
			history->calls[i].session = NULL;      /* its requests are the lost process's */
			call_free(&history->calls[i]);
		}
}

static void node_lost(struct history *history)
{
	calls_drop(history);
	host_lost(&history->host);
	sim_node_kill(&history->node);
	history->up = false;
}

static bool open_once(struct history *history, bool quiet)
{
	static const unsigned counts[] = { 1, 1, 2, 3, 4, 8 };
	struct disk *disk = history->disk;
	struct buf error = { 0 };
	struct sim_node_options options = {
		.shards = counts[chance(history, sizeof counts / sizeof *counts)], .segment_size = UINT64_C(65536) << chance(history, 3),
		.ring_size = 64 << 10, .direct = chance(history, 2), .written = ignore_frame, .replayed = ignore_frame, .said = on_said,
		.context = history, .past = true, .wall_ms = &disk->wall_ms, .memory = history->swarm.small_memory ? 900000 : 0,
		.ids = history->swarm.ids, .retain_bytes = history->swarm.retain_bytes,
	};
	if (history->swarm.retain_one_in)
		options.segment_size = 64 << 10;
	options.ids.memory = chance(history, 5) ? options.ids.memory : 0;
	disk->ids_failed = disk->read_failed = disk->snapshot_failed = disk->sync_failed = disk->full = false;
	disk->faults = quiet ? (struct disk_faults){ .capacity = 0 } : history->swarm.faults;
	disk->cut_in = quiet || !history->swarm.calls_cut || chance(history, 3) ? 0 : 1 + chance(history, 80);
	enum node_outcome outcome = sim_node_open(&history->node, &options, &error);
	happened(history, "open", (uint64_t)outcome, options.shards);
	if (outcome == NODE_GOOD && disk->dead)
		sim_node_kill(&history->node);
	if (!disk->dead && outcome != NODE_GOOD)
		LAW(history, "L6", outcome == NODE_DIED ? disk->sync_failed : disk->read_failed || disk->sync_failed || disk->ids_failed ||
		    (history->swarm.full && memmem(error.ptr, error.len, "No space left", 13)), "it cannot be opened: %.*s", (int)error.len,
		    error.ptr);
	if (memmem(error.ptr ? error.ptr : "", error.len, "No space left", 13))
		disk->faults.capacity = history->swarm.faults.capacity = 0;
	bool good = outcome == NODE_GOOD && !disk->dead;
	if (disk->dead || (!good && chance(history, 2)))
		disk_power_cut(disk);
	else if (!good)
		disk_process_end(disk);
	disk->cut_in = 0;
	buf_free(&error);
	return good;
}

/* What was written by commands is there again. */
static void replayed_count(struct history *history)
{
	for (unsigned i = 0; i < history->written_count; i++)
		if (history->written[i].end > history->node.load.from)
			history->seen->command_replayed[history->written[i].index]++;
	history->written_count = 0;
	history->seen->snapshots_loaded += history->node.load.loaded;
}

/* False: the process is gone again. */
static bool open_node(struct history *history, bool quiet)
{
	for (unsigned tries = 0; !open_once(history, quiet || tries > 4); tries++)
		LAW(history, "L8", tries < 40, "it cannot be opened");
	struct disk_faults faults = history->disk->faults;
	history->seen->lives++;
	history->up = true;
	LAW(history, "L1", wal_durable(history->node.wal) >= history->durable, "the log was durable up to LSN %llu, and ends at %llu",
	    LLU(history->durable), LLU(wal_durable(history->node.wal)));
	history->durable = wal_durable(history->node.wal);
	replayed_count(history);
	history->disk->faults = (struct disk_faults){ .no_direct = faults.no_direct, .no_direct_write = faults.no_direct_write,
						      .capacity = faults.capacity };
	if (history->expected.len) {
		struct buf now = { 0 };
		dump(history, &now);
		states_compare(history, "L5", &history->expected, &now, "the state after the start is another");
		history->seen->states_recovered++;
		buf_free(&now);
		buf_free(&history->expected);
	}
	if (quiet || one_in(history, 3))
		files_compare(history, chance(history, 2), "the files hold another state");
	host_begin(&history->host, &history->node, history->disk, history->swarm.scheduler);
	history->host.snapshot_keep = 1 + (unsigned)chance(history, 2);
	history->host.snapshot_piece = one_in(history, 2) ? 1 + chance(history, 4000) : 0;
	for (unsigned i = 0; i < MADE; i++)
		if (history->made[i].used && alone(history, &history->made[i].get, NULL, true, 200) != GOES_ON)
			return false;
	bool good = books_check(history);
	history->disk->faults = faults;
	return good;
}

/* Several at a time. */
static bool together(struct history *history, unsigned requests)
{
	bool did = true;
	for (unsigned steps = 0; requests || any_call(history); steps++) {
		LAW(history, "L8", steps < STEPS_MAX, "requests do not come to their end");
		if (requests && (one_in(history, 8) || !did) && request_begin(history, NULL, NULL, false))
			requests--;
		answers_take(history);
		if (one_in(history, history->swarm.tick_one_in))
			host_tick(&history->host);
		if (!step(history, &did))
			return false;
		answers_take(history);
		LAW(history, "L8", did || requests || !any_call(history), "all sleep over an open request");
		if (one_in(history, 400))
			break;                 /* not to their end */
	}
	return one_in(history, 4) || settle(history, NULL);
}

static void time_passes(struct history *history)
{
	uint64_t span_ms = UINT64_C(1) << chance(history, one_in(history, 8) ? 28 : 14);
	if (one_in(history, history->swarm.jump_one_in))
		history->clock_offset_ms += (int64_t)chance(history, 40000) - 18000;
	history->disk->now_ns += chance(history, span_ms) * MS;
	clock_set(history);
}

static enum end phase(struct history *history)
{
	unsigned requests = 1 + (unsigned)chance(history, history->swarm.requests);
	time_passes(history);
	if (history->swarm.retain_one_in && host_idle(&history->host))
		log_fill(&history->node, 4096 + (uint32_t)chance(history, 3) * 4096);
	if (history->swarm.full && one_in(history, 4))
		history->disk->faults.capacity = history->disk->faults.capacity ? 0 : disk_used(history->disk, false) + 1;
	if (one_in(history, 2)) {
		host_tick(&history->host);
		if (!settle(history, NULL))
			return GONE;
	}
	if (one_in(history, 2))
		return together(history, requests) ? GOES_ON : GONE;
	if (!settle(history, NULL))
		return GONE;
	for (unsigned i = 0; i < requests; i++) {
		struct past *past = history->past_count ? &history->past[chance(history, history->past_count < PAST ? history->past_count : PAST)] : NULL;
		bool again = past && one_in(history, history->swarm.repeat_one_in);
		enum end end = alone(history, again ? &past->request : NULL, again ? past : NULL, false, 0);
		if (end != GOES_ON)
			return end;
	}
	return GOES_ON;
}

/* One of each that makes something, in the order of the tables: what others refer to comes first. */
static enum end prepare(struct history *history)
{
	size_t count;
	const struct reference *all = references(&count);
	const struct kind *kind;
	size_t kinds = 0;
	while (kind_at(kinds))
		kinds++;
	for (size_t k = 0; k < 3 * kinds; k++)
		for (size_t i = 0; (kind = kind_at(k % kinds)) && i < count; i++)
			if (all[i].route->kind == kind && all[i].body && !strcmp(all[i].route->method, "POST") && chance(history, 4)) {
				struct request request;
				request_make(&history->generator, i, true, &request);
				enum end end = alone(history, &request, NULL, true, 0);
				request_free(&request);
				if (end != GOES_ON)
					return end;
			}
	for (size_t k = 0; k < 2 * count; k++) {
		size_t i = k % count;
		if (!all[i].route->kind && all[i].body && !strchr(all[i].route->path, '{') && chance(history, 4)) {
			struct request request;
			request_make(&history->generator, i, true, &request);
			enum end end = alone(history, &request, NULL, true, 0);
			request_free(&request);
			if (end != GOES_ON)
				return end;
		}
	}
	return GOES_ON;
}

static void stop_cleanly(struct history *history)
{
	struct buf error = { 0 };
	history->host.app.draining = true;
	jobs_stop(&history->host.app);
	if (!settle(history, NULL)) {
		history->seen->deaths++;
		node_lost(history);
		disk_power_cut(history->disk);
		return;
	}
	dump(history, &history->expected);
	host_end(&history->host);
	calls_drop(history);
	history->up = false;
	enum node_outcome outcome = sim_node_close(&history->node, &error);
	LAW(history, "L7", outcome == NODE_GOOD || history->disk->dead || history->disk->sync_failed, "it cannot be closed: %.*s",
	    (int)error.len, error.ptr);
	history->seen->stops++;
	if (history->disk->dead || chance(history, 2))
		disk_power_cut(history->disk);
	else
		disk_process_end(history->disk);
	buf_free(&error);
}

static void life_end(struct history *history, enum end end)
{
	struct disk *disk = history->disk;
	if (end == GONE) {
		bool power = disk->dead;
		history->seen->cuts_in_calls += power;
		history->seen->deaths += !power;
		node_lost(history);
		if (power || chance(history, 2))
			disk_power_cut(disk);
		else
			disk_process_end(disk);
	} else if (end == CUT_BEHIND || one_in(history, 3)) {
		history->seen->cuts++;
		node_lost(history);
		disk_power_cut(disk);
	} else if (one_in(history, 2)) {
		history->seen->kills++;
		if (host_idle(&history->host))
			dump(history, &history->expected);
		node_lost(history);
		disk_process_end(disk);
	} else {
		stop_cleanly(history);
	}
	happened(history, "end", (uint64_t)end, history->durable);
}

static void live(struct history *history, bool first)
{
	enum end end = open_node(history, first) ? GOES_ON : GONE;
	if (first && end == GOES_ON && history->swarm.prepared)
		end = prepare(history);
	if (end == GOES_ON && history->swarm.calls_cut && one_in(history, 2))
		history->disk->cut_in = 1 + chance(history, 120);
	for (unsigned i = 0; i < history->swarm.phases && end == GOES_ON; i++)
		end = phase(history);
	history->disk->cut_in = 0;
	life_end(history, end);
	if (one_in(history, 3))
		history->clock_offset_ms += (int64_t)chance(history, (one_in(history, 3) ? 90 : 9) * 86400) * 1000;
}

static void swarm_draw(struct history *history)
{
	static const unsigned often[] = { 0, 0, 30, 8, 3 }, rare[] = { 0, 0, 0, 2000, 400 }, some[] = { 0, 20, 6, 3 };
	struct swarm *swarm = &history->swarm;
	struct generator *generator = &history->generator;
	swarm->lives = 2 + (unsigned)chance(history, 5);
	swarm->phases = 4 + (unsigned)chance(history, 24);
	swarm->requests = 4 + (unsigned)chance(history, 36);
	swarm->rpc_one_in = some[chance(history, 4)];
	swarm->repeat_one_in = some[1 + chance(history, 3)];
	swarm->jump_one_in = some[chance(history, 4)];
	swarm->tick_one_in = often[chance(history, 5)];
	swarm->lazy_one_in = often[chance(history, 4)];
	swarm->full = one_in(history, 8);
	swarm->small_memory = one_in(history, 15);
	swarm->calls_cut = chance(history, 2);
	swarm->scheduler = chance(history, 2);
	swarm->prepared = chance(history, 6);
	swarm->faults = (struct disk_faults){
		.short_write = often[chance(history, 5)], .interrupted = often[chance(history, 4)], .slow_sync = often[chance(history, 5)],
		.sync_fails = rare[chance(history, 5)], .write_fails = rare[chance(history, 5)],
		.read_fails = one_in(history, 6) ? 60 : 0, .no_direct = one_in(history, 3), .no_direct_write = one_in(history, 6),
	};
	swarm->ids = (struct sim_ids_options){
		.on = chance(history, 2), .memory = UINT64_C(24) * (UINT64_C(2) << chance(history, 5)), .run_ids = 4 + chance(history, 60),
		.step_ids = 1 + chance(history, 60), .step_bytes = UINT64_C(400) << chance(history, 8),
		.target = chance(history, 2) ? 0 : 1 + (unsigned)chance(history, 15),
	};
	swarm->retain_one_in = one_in(history, 4) ? 4U << chance(history, 5) : 0;
	swarm->retain_bytes = swarm->retain_one_in ? 1 + chance(history, 100000) : 0;
	swarm->move_one_in = 2U << chance(history, 5);
	generator->extra_max = (unsigned)chance(history, 6);
	generator->spoil_one_in = 4 + (unsigned)chance(history, 20);
	generator->fresh_one_in = 5 + (unsigned)chance(history, 15);
}

static void history_run(struct history *history)
{
	for (unsigned i = 0; i < history->swarm.lives; i++)
		live(history, i == 0);
	/* A quiet life: all is there, and what is asked is answered without a fault. */
	history->swarm.full = history->swarm.small_memory = history->swarm.calls_cut = false;
	history->swarm.faults = (struct disk_faults){ 0 };
	LAW(history, "L8", open_node(history, true), "it dies without a fault");
	for (unsigned i = 0; i < 2; i++)
		if (phase(history) == CUT_BEHIND)
			break;
	LAW(history, "L8", !history->disk->dead && settle(history, NULL), "it dies without a fault");
	files_compare(history, true, "the log, replayed, is another state");
	files_compare(history, false, "the snapshot with the log behind it is another state");
	buf_free(&history->expected);
	stop_cleanly(history);
}

bool commands_run(uint64_t seed, bool trace, struct commands_seen *seen, uint64_t *hash, struct buf *verdict)
{
	struct history *history = mem_zalloc(sizeof *history);
	bool good = false;
	history->seed = history->first_seed = history->hash = seed;
	history->trace = trace;
	history->seen = seen;
	history->verdict = verdict;
	chance(history, 2);
	/* What a process that is gone had in its memory is not given back. */
	__lsan_disable();
	history->disk = disk_new(chance(history, UINT64_MAX));
	history->pool = rpc_pool_new();
	generator_begin(&history->generator, chance(history, UINT64_MAX));
	swarm_draw(history);
	disk_mount(history->disk);
	clock_set(history);
	if (setjmp(history->broken) == 0) {
		history_run(history);
		good = true;
	}
	host_forget();
	disk_unmount();
	__lsan_enable();
	*hash = hash_step(history->hash, history->disk->hash);
	for (unsigned i = 0; i < PAST; i++)
		if (history->past[i].used)
			request_free(&history->past[i].request);
	for (unsigned i = 0; i < MADE; i++)
		if (history->made[i].used)
			request_free(&history->made[i].get);
	buf_free(&history->expected);
	disk_free(history->disk);
	mem_free(history);
	return good;
}
