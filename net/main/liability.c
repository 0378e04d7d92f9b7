// SPDX-License-Identifier: Apache-2.0
/* `tally liability`: what a tenant owes, now or at a moment; of a data directory, from a snapshot and a replay up to there, or of a
 * server.  The two ways share nothing but the form of the answer: a server answers from footers. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/mem.h"
#include "engine/event/record.h"
#include "net/cli/client.h"
#include "net/cli/commands.h"
#include "net/main/replay.h"
#include "net/main/seed.h"
#include "net/surface/ledger_find.h"
#include "net/surface/past.h"
#include "snapshot/loader.h"

enum { SHARDS = 4 };

/* Finds the moment: goes over all frames. */
struct finding {
	struct moment moment;
	bool past;                     /* a frame behind it was met */
	uint64_t end;
	int64_t time_ms;
};

static bool find_frame(void *context, const struct wal_frame *frame)
{
	struct finding *finding = context;
	struct moment *moment = &finding->moment;
	if (!finding->past && (moment->by_time ? frame->time_ms > moment->time_ms : frame->lsn >= moment->lsn)) {
		finding->past = true;
		if (moment->by_time)
			moment->lsn = frame->lsn;
	}
	if (!finding->past && frame->time_ms > finding->time_ms)
		finding->time_ms = frame->time_ms;
	finding->end = frame->lsn + frame->size;
	return true;
}

struct reading {
	struct replay *replay;
	uint64_t until;                /* records at or before it are taken */
	bool stopped;
};

static bool read_frame(void *context, const struct wal_frame *frame)
{
	struct reading *reading = context;
	struct wal_frame part = *frame;
	struct record_head head;
	uint64_t lsn = frame->lsn + WAL_FRAME_HEADER;
	if (frame->lsn >= reading->until) {
		reading->stopped = true;
		return false;
	}
	if (frame->kind != WAL_FRAME_RECORDS)
		return true;
	for (size_t at = 0; at < frame->body_size; at += head.size) {
		part.body_size = (uint32_t)at;
		if (lsn + at > reading->until || !record_head_read(frame->body + at, frame->body_size - at, &head))
			return replay_frame(reading->replay, &part);
	}
	return replay_frame(reading->replay, frame);
}

static void on_line(void *context, const char *level, const char *message)
{
	(void)context;
	fprintf(stderr, "tally liability: %s: %s\n", level, message);
}

/* The state at the moment.  False with a line in `error`. */
static bool states_read(const char *data, const char *log_dir, const struct moment *moment, struct state **states,
			struct catalog *catalog, struct buf *error)
{
	char snapshots[4200];
	struct buf torn = { 0 };
	uint64_t first, end, broken, records;
	snprintf(snapshots, sizeof snapshots, "%s/snapshots", data);
	struct snapshot_load load = { .dir = snapshots, .states = states, .count = SHARDS, .catalog = catalog, .log = on_line,
				      .until = moment->lsn ? moment->lsn : 1 };
	bool there = wal_extent(log_dir, &first, &end);
	load.log_end = there ? end : 0;
	snapshot_load_begin(&load);
	if (there && first > load.from) {
		buf_printf(error, "history_pruned: the log begins at LSN %llu, and no snapshot there is reaches back to LSN %llu",
			   (unsigned long long)first, (unsigned long long)moment->lsn);
		return false;
	}
	struct reading reading = { .replay = replay_new(states, SHARDS, catalog), .until = moment->lsn };
	bool good = wal_verify(log_dir, load.from, read_frame, &reading, error, &torn) || reading.stopped;
	bool readable = replay_end(reading.replay, &broken, &records);
	if (reading.stopped)
		error->len = 0;
	if (good && !readable)
		buf_printf(error, "the record at LSN %llu cannot be read", (unsigned long long)broken);
	good = good && readable && snapshot_load_end(&load, error);
	buf_free(&torn);
	return good;
}

static int of_states(struct state **states, struct str tenant, const struct moment *moment)
{
	struct books_names *names = books_names_new();
	struct books books;
	struct buf out = { 0 };
	bool sums, found = false;
	uint32_t owner, wanted = books_tenant(names, tenant);
	books_init(&books, names, BOOKS_ALL);
	for (unsigned s = 0; s < SHARDS; s++)
		books_take(&books, states[s]);
	for (uint32_t b = 0; b < books.line_count; b++) {
		if (!books.lines[b])
			continue;
		books_unit(names, b, &owner);
		if (owner != wanted) {
			mem_free(books.lines[b]);
			books.lines[b] = NULL;
		} else {
			found = true;
		}
	}
	liability_json(&out, tenant, moment, &books, &sums);
	buf_char(&out, '\n');
	if (found)
		fwrite(out.ptr, 1, out.len, stdout);
	else
		fprintf(stderr, "tally liability: the tenant %.*s has no books at LSN %llu\n", (int)tenant.len, tenant.ptr,
			(unsigned long long)moment->lsn);
	buf_free(&out);
	books_free(&books);
	books_names_free(names);
	return found && sums ? 0 : 1;
}

static int of_directory(const char *data, struct str tenant, const struct log_moment *at, bool given)
{
	struct state *states[SHARDS];
	struct catalog catalog = { 0 };
	struct buf error = { 0 }, torn = { 0 };
	char log_dir[4096];
	struct stat status;
	struct finding finding = { .moment = { .lsn = at->lsn, .time_ms = at->time_ms, .by_time = given && !at->lsn }, .time_ms = INT64_MIN };
	int result = 1;
	snprintf(log_dir, sizeof log_dir, "%s/log", data);
	if (stat(log_dir, &status) || !S_ISDIR(status.st_mode) || !seed_load(data, false, &error)) {
		fprintf(stderr, "tally liability: %s is not a data directory%s%.*s\n", data, error.len ? ": " : "", (int)error.len, error.ptr);
		buf_free(&error);
		return 2;
	}
	if (!given)
		finding.moment.lsn = UINT64_MAX;
	bool good = wal_verify(log_dir, 0, find_frame, &finding, &error, &torn);
	if (good && given && !finding.moment.by_time && finding.moment.lsn > finding.end) {
		buf_printf(&error, "LSN %llu is beyond the end of the log, %llu", (unsigned long long)finding.moment.lsn,
			   (unsigned long long)finding.end);
		good = false;
	}
	if (!finding.past && (!given || finding.moment.by_time))
		finding.moment.lsn = finding.end;
	finding.moment.time_ms = finding.time_ms;
	for (unsigned s = 0; s < SHARDS; s++) {
		states[s] = mem_alloc(sizeof *states[s]);
		state_init(states[s], s, SHARDS);
	}
	good = good && states_read(data, log_dir, &finding.moment, states, &catalog, &error);
	if (good)
		result = of_states(states, tenant, &finding.moment);
	else
		fprintf(stderr, "tally liability: %.*s\n", (int)error.len, error.ptr);
	for (unsigned s = 0; s < SHARDS; s++) {
		state_deinit(states[s]);
		mem_free(states[s]);
	}
	catalog_free(&catalog);
	buf_free(&error);
	buf_free(&torn);
	return result;
}

static void encode(struct buf *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	for (const char *at = text; *at; at++)
		if (strchr(plain, *at))
			buf_char(out, *at);
		else
			buf_printf(out, "%%%02X", (unsigned char)*at);
}

static int of_server(const char *url, const char *tenant, const char *at)
{
	struct client *client = client_new(url);
	struct buf path = { 0 };
	if (!client)
		return command_misuse("liability", "%s is no URL", url);
	buf_lit(&path, "/v1/tenants/");
	encode(&path, tenant);
	buf_lit(&path, "/liability");
	if (at) {
		buf_lit(&path, "?at=");
		encode(&path, at);
	}
	buf_char(&path, '\0');
	struct client_call call = { .method = "GET", .path = path.ptr };
	bool answered = client_do(client, &call);
	if (answered)
		fprintf(call.status == 200 ? stdout : stderr, "%.*s\n", (int)call.answer.len, call.answer.ptr);
	else
		fprintf(stderr, "tally liability: %s: %s\n", url, call.error);
	int status = !answered ? 2 : call.status == 200 ? 0 : 1;
	buf_free(&call.answer);
	buf_free(&path);
	client_free(client);
	return status;
}

int cmd_liability(int argc, char **argv)
{
	const char *where = NULL, *tenant = NULL, *at = NULL;
	struct log_moment moment = { 0 };
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--tenant") && i + 1 < argc)
			tenant = argv[++i];
		else if (!strcmp(argv[i], "--at") && i + 1 < argc)
			at = argv[++i];
		else if (argv[i][0] != '-' && !where)
			where = argv[i];
		else
			return command_misuse("liability", "%s is not understood", argv[i]);
	}
	if (!where || !tenant)
		return command_misuse("liability", "expected a data directory or a server's URL, and --tenant");
	if (at && !log_moment_parse(str_of(at), &moment))
		return command_misuse("liability", "--at %s: an LSN or an RFC 3339 time was expected", at);
	if (strstr(where, "://"))
		return of_server(where, tenant, at);
	return of_directory(where, str_of(tenant), &moment, at != NULL);
}
