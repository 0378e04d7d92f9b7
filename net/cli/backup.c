// SPDX-License-Identifier: Apache-2.0
/* backup.c - fetches a backup over HTTP.  What is fetched when, and what is written when, is snapshot/fetch.c; here is the server:
 *
 *     POST /v1/backups                 it holds its files
 *     GET /v1/backups/ID/bytes         a piece, which carries its hash; or with hash=true the hash of a range alone
 *     DELETE /v1/backups/ID            it lets go
 *
 * A connection that breaks is tried again for a while; a server that started anew is asked to hold its files again. */
#include "net/cli/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "net/cli/client.h"
#include "net/cli/commands.h"
#include "net/cli/progress.h"
#include "net/main/node.h"
#include "snapshot/fetch.h"
#include "snapshot/store.h"

enum {
	TRIES = 7,                             /* of one request, with pauses that double from 100 ms */
	SNAPSHOT_WAIT_S = 3600,
};

struct piece {
	struct client_call call;
	char path[256];
	bool done;
};

struct run {
	const struct backup_order *order;
	struct client *client;
	struct client_call call;
	struct piece pieces[FETCH_FLIGHT];
	char id[20];                           /* of the held files; "": none */
	int lock;                              /* of the folder; -1: none */
	struct progress progress;
};

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void pause_for(double s)
{
	struct timespec wait = { .tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9) };
	nanosleep(&wait, NULL);
}

__attribute__((format(printf, 3, 4)))
static int say(struct run *run, int status, const char *format, ...)
{
	va_list args;
	progress_clear(&run->progress);
	fprintf(stderr, "tally %s: ", run->order->command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

/* ---- asking ----------------------------------------------------------------------------------------------------------- */

/* One question, again where no answer came.  FETCH_DONE: there is an answer in run->call. */
static int ask(struct run *run, const char *method, const char *path)
{
	struct client_call *call = &run->call;
	call->method = method;
	call->path = path;
	call->content_type = strcmp(method, "POST") == 0 ? "application/json" : NULL;
	call->body = STR("{}");
	double wait = 0.1;
	for (int i = 0; i < TRIES; i++, wait *= 2) {
		if (client_do(run->client, call) && call->status != 503)
			return FETCH_DONE;
		if (i + 1 < TRIES)
			pause_for(wait);
	}
	return say(run, FETCH_FAILED, "%s: %s", client_url(run->client), call->status ? "is not ready" : call->error);
}

/* The answer is not what was hoped for. */
static int answer_refused(struct run *run, const struct client_call *call, const char *what)
{
	if (call->status == 404 && call->answer.len && memmem(call->answer.ptr, call->answer.len, "backup_unknown", 14))
		return FETCH_AGAIN;
	return say(run, FETCH_FAILED, "%s answered %ld to %s: %.*s", client_url(run->client), call->status, what,
		   (int)(call->answer.len < 500 ? call->answer.len : 500), call->answer.ptr ? call->answer.ptr : "");
}

static bool number_at(yyjson_val *object, const char *key, uint64_t *out)
{
	int64_t value;
	bool good = json_int(json_get(object, str_of(key)), &value) && value >= 0;
	*out = good ? (uint64_t)value : 0;
	return good;
}

static bool text_at(yyjson_val *object, const char *key, char *out, size_t size)
{
	struct str text = json_text(json_get(object, str_of(key)));
	snprintf(out, size, "%.*s", (int)text.len, text.ptr);
	return text.len > 0 && text.len < size;
}

static bool listing_take(struct backup_listing *held, yyjson_val *root)
{
	char time_text[40];
	uint64_t piece = 0;
	size_t i, count;
	yyjson_val *item;
	bool good = text_at(root, "id", held->id, sizeof held->id) && number_at(root, "first_lsn", &held->files.first) &&
		    number_at(root, "end_lsn", &held->files.end) && number_at(root, "piece_bytes", &piece) && piece > 0 &&
		    text_at(root, "time", time_text, sizeof time_text) && time_parse(str_of(time_text), &held->files.made_ms);
	yyjson_val *files = json_get(root, STR("files"));
	held->piece = piece > FETCH_HASH_RANGE ? FETCH_HASH_RANGE : (size_t)piece;
	yyjson_arr_foreach(files, i, count, item) {
		struct backup_file file = { 0 };
		good = good && text_at(item, "path", file.path, sizeof file.path) && backup_path_good(str_of(file.path)) &&
		       number_at(item, "bytes", &file.bytes) && number_at(item, "size", &file.size) && file.bytes <= file.size;
		if (!good)
			break;
		backup_add(&held->files, &file);
	}
	return good && held->files.count && held->files.first < held->files.end;
}

bool backup_listing_read(struct str json, struct backup_listing *held)
{
	struct json_error error;
	yyjson_doc *doc = json_read(json, &error);
	bool good = doc && listing_take(held, yyjson_doc_get_root(doc));
	if (doc)
		yyjson_doc_free(doc);
	return good;
}

/* ---- what fetch.h asks of a source ------------------------------------------------------------------------------------ */

static int source_lock(void *context)
{
	struct run *run = context;
	struct buf error = { 0 };
	run->lock = node_lock(run->order->dir, &error);
	int status = run->lock >= 0 ? FETCH_DONE : say(run, FETCH_FAILED, "%.*s", (int)error.len, error.ptr);
	buf_free(&error);
	return status;
}

static int source_hold(void *context, struct backup *held, size_t *piece)
{
	struct run *run = context;
	struct backup_listing listing = { 0 };
	run->id[0] = '\0';
	int status = ask(run, "POST", "/v1/backups");
	if (status)
		return status;
	if (run->call.status != 201)
		return answer_refused(run, &run->call, "POST /v1/backups");
	bool good = backup_listing_read(buf_view(&run->call.answer), &listing);
	*held = listing.files;
	*piece = listing.piece;
	memcpy(run->id, listing.id, sizeof run->id);
	return good ? FETCH_DONE : say(run, FETCH_FAILED, "%s: its list of files is not understood", client_url(run->client));
}

static void source_let_go(void *context)
{
	struct run *run = context;
	char path[64];
	if (!run->id[0])
		return;
	snprintf(path, sizeof path, "/v1/backups/%s", run->id);
	run->call.method = "DELETE";
	run->call.path = path;
	run->call.content_type = NULL;
	client_do(run->client, &run->call);
	run->id[0] = '\0';
}

static int source_snapshot(void *context)
{
	struct run *run = context;
	source_let_go(run);
	if (!run->order->quiet)
		fprintf(stderr, "tally %s: the server takes a snapshot\n", run->order->command);
	double until = seconds() + SNAPSHOT_WAIT_S;
	run->call.timeout = SNAPSHOT_WAIT_S;
	int status;
	while (!(status = ask(run, "POST", "/v1/snapshots")) && run->call.status == 409 && seconds() < until)
		pause_for(0.5);
	run->call.timeout = 0;
	if (!status && run->call.status != 201 && run->call.status != 200)
		say(run, FETCH_DONE, "no snapshot was taken, going on without: %.*s", (int)run->call.answer.len, run->call.answer.ptr);
	return status;
}

static bool hex_read(const char text[33], uint8_t hash[BACKUP_HASH])
{
	unsigned value;
	for (int i = 0; i < BACKUP_HASH; i++) {
		if (sscanf(text + 2 * i, "%2x", &value) != 1)
			return false;
		hash[i] = (uint8_t)value;
	}
	return true;
}

static int source_hash(void *context, const char *file, uint64_t offset, uint64_t size, uint8_t hash[BACKUP_HASH])
{
	struct run *run = context;
	char path[256], text[33];
	struct json_error error;
	snprintf(path, sizeof path, "/v1/backups/%s/bytes?file=%s&offset=%" PRIu64 "&size=%" PRIu64 "&hash=true", run->id, file, offset,
		 size);
	int status = ask(run, "GET", path);
	if (status)
		return status;
	if (run->call.status != 200)
		return answer_refused(run, &run->call, file);
	yyjson_doc *doc = json_read(buf_view(&run->call.answer), &error);
	bool good = doc && text_at(yyjson_doc_get_root(doc), "hash", text, sizeof text) && hex_read(text, hash);
	if (doc)
		yyjson_doc_free(doc);
	return good ? FETCH_DONE : say(run, FETCH_FAILED, "%s: its hash of %s is not understood", client_url(run->client), file);
}

static void source_ask(void *context, unsigned slot, const char *file, uint64_t offset, size_t size)
{
	struct run *run = context;
	struct piece *piece = &run->pieces[slot];
	snprintf(piece->path, sizeof piece->path, "/v1/backups/%s/bytes?file=%s&offset=%" PRIu64 "&size=%zu", run->id, file, offset, size);
	piece->call.method = "GET";
	piece->call.path = piece->path;
	piece->call.context = piece;
	piece->done = false;
	client_start(run->client, &piece->call);
}

static int source_take(void *context, unsigned slot, struct str *bytes)
{
	struct run *run = context;
	struct piece *piece = &run->pieces[slot];
	uint8_t ours[BACKUP_HASH], theirs[BACKUP_HASH];
	while (!piece->done) {
		struct client_call *call = client_wait(run->client);
		((struct piece *)call->context)->done = true;
	}
	if (!piece->call.status || piece->call.status == 503)
		return FETCH_RETRY;
	if (piece->call.status != 200)
		return answer_refused(run, &piece->call, piece->path);
	*bytes = buf_view(&piece->call.answer);
	snapshot_hash(ours, bytes->ptr, bytes->len);
	bool same = strlen(piece->call.hash) == 2 * BACKUP_HASH && hex_read(piece->call.hash, theirs) && !memcmp(ours, theirs, sizeof ours);
	return same ? FETCH_DONE : FETCH_RETRY;        /* broken on its way */
}

static void source_forget(void *context)
{
	struct run *run = context;
	while (client_wait(run->client))
		;
}

static void source_say(void *context, const char *line)
{
	say(context, 0, "%s", line);
}

static void source_wait(void *context, unsigned ms)
{
	(void)context;
	pause_for(ms / 1e3);
}

static void source_progress(void *context, enum fetch_progress what, uint64_t bytes)
{
	struct run *run = context;
	switch (what) {
	case FETCH_BEGINS:
		progress_begin(&run->progress, "fetching", bytes);
		run->progress.silent = run->order->quiet;
		break;
	case FETCH_GOT: progress_add(&run->progress, bytes); break;
	case FETCH_LESS: run->progress.total -= bytes; break;
	case FETCH_ENDS: progress_end(&run->progress); break;
	}
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

int backup_fetch(const struct backup_order *order, struct backup_outcome *outcome)
{
	struct run run = { .order = order, .lock = -1 };
	const struct fetch_order fetch = { .dir = order->dir, .state_only = order->state_only, .rate = order->rate, .keep = order->keep };
	struct fetch_outcome fetched = { 0 };
	*outcome = (struct backup_outcome){ 0 };
	run.client = client_new(order->url);
	if (!run.client)
		return command_misuse(order->command, "--from %s: http://ADDR:PORT was expected", order->url);
	const struct fetch_source source = {
		.context = &run, .name = client_url(run.client), .lock = source_lock, .hold = source_hold, .snapshot = source_snapshot,
		.hash = source_hash, .ask = source_ask, .take = source_take, .forget = source_forget, .let_go = source_let_go,
		.say = source_say, .wait = source_wait, .progress = source_progress,
	};
	int status = fetch_run(&fetch, &source, &fetched);
	outcome->backup = fetched.backup;
	outcome->fetched = fetched.fetched;
	outcome->snapshot = fetched.snapshot;
	buf_free(&run.call.answer);
	for (unsigned i = 0; i < FETCH_FLIGHT; i++)
		buf_free(&run.pieces[i].call.answer);
	client_free(run.client);
	if (run.lock >= 0)
		close(run.lock);
	return status;
}

int cmd_backup(int argc, char **argv)
{
	struct backup_order order = { .command = "backup" };
	struct backup_outcome outcome;
	double began = seconds();
	for (int i = 0; i < argc; i++) {
		int64_t value;
		if (!strcmp(argv[i], "--from") && i + 1 < argc) {
			order.url = argv[++i];
		} else if (!strcmp(argv[i], "--state-only")) {
			order.state_only = true;
		} else if (!strcmp(argv[i], "--rate") && i + 1 < argc) {
			if (!options_parse_size(argv[++i], &value) || value < 0)
				return command_misuse("backup", "--rate %s: a size was expected, 64M", argv[i]);
			order.rate = (uint64_t)value;
		} else if (!strcmp(argv[i], "--keep") && i + 1 < argc) {
			if (!options_parse_size(argv[++i], &value) || value < 1 || value > 1000000)
				return command_misuse("backup", "--keep %s: a number of snapshots was expected, from 1", argv[i]);
			order.keep = (unsigned)value;
		} else if (argv[i][0] != '-' && !order.dir) {
			order.dir = argv[i];
		} else {
			return command_misuse("backup", "%s is not understood", argv[i]);
		}
	}
	if (!order.dir || !order.url)
		return command_misuse("backup", "expected a folder and --from URL");
	int status = backup_fetch(&order, &outcome);
	if (!status) {
		struct buf when = { 0 };
		time_write(&when, outcome.backup.time_ms);
		printf("log from LSN %" PRIu64 " to %" PRIu64 " (%.*s), snapshot ", outcome.backup.first, outcome.backup.end, (int)when.len,
		       when.ptr);
		if (outcome.snapshot)
			printf("%016" PRIx64, outcome.snapshot);
		else
			printf("none");
		printf("; %" PRIu64 " bytes fetched of %" PRIu64 ", %.1f s\n", outcome.fetched, backup_bytes(&outcome.backup),
		       seconds() - began);
		buf_free(&when);
	}
	backup_free(&outcome.backup);
	return status;
}
