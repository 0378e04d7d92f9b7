// SPDX-License-Identifier: Apache-2.0
/* `tally dump`: all state of a data directory, a backup or a running server as canonical text.  Reads only.
 *
 * A server's state is taken by way of a backup without history, in a folder that goes again: so it is the state at one LSN. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "net/cli/backup.h"
#include "net/cli/commands.h"
#include "net/main/replay.h"
#include "net/main/seed.h"
#include "snapshot/dump.h"
#include "snapshot/loader.h"
#include "snapshot/runs.h"
#include "wal/wal.h"

enum { SHARDS = 4 };

struct reading {
	struct replay *replay;
	uint64_t end;
};

static bool on_frame(void *context, const struct wal_frame *frame)
{
	struct reading *reading = context;
	reading->end = frame->lsn + frame->size;
	return replay_frame(reading->replay, frame);
}

static void on_line(void *context, const char *level, const char *message)
{
	(void)context;
	fprintf(stderr, "tally dump: %s: %s\n", level, message);
}

/* Up to where a backup's log is looked at; 0: it is none.  False with a line in `error`. */
static bool backup_end(const char *data, uint64_t *end, struct buf *error)
{
	struct backup backup;
	bool bad, there = backup_read(data, &backup, &bad, error);
	*end = there && !bad ? backup.end : 0;
	backup_free(&backup);
	return !there || !bad;
}

/* The ids that have moved to disk; the states leave them out. */
static void ids_dump(const char *data, struct state *const *states, struct buf *out, struct buf *error)
{
	char dir[4096];
	snprintf(dir, sizeof dir, "%s/ids", data);
	struct runs_store *store = runs_open(dir, false, error);
	struct runs *runs = store ? runs_hold(store) : NULL;
	bool good = runs && runs_dump(runs, out, error);
	for (unsigned s = 0; good && s < SHARDS; s++)
		states[s]->ids.filed_below = runs->shown.below;
	runs_release(runs);
	runs_close(store);
}

/* A snapshot has left ids out that are not on disk: what would be written were too little.  False with a line in `error`. */
static bool ids_all(struct state *const *states, struct buf *error)
{
	uint64_t left_out = 0, below = states[0]->ids.filed_below;
	for (unsigned s = 0; s < SHARDS; s++)
		left_out = states[s]->ids.left_out > left_out ? states[s]->ids.left_out : left_out;
	if (left_out > below)
		buf_printf(error, "the snapshot left ids below LSN %llu to ids/, which has those below LSN %llu only; bring that folder back, or "
				  "take --log-only", (unsigned long long)left_out, (unsigned long long)below);
	return left_out <= below;
}

/* The state of a data directory into `out`.  The exit status. */
static int directory_dump(const char *data, bool log_only, struct buf *out)
{
	struct state *states[SHARDS];
	struct catalog catalog = { 0 };
	struct buf error = { 0 }, torn = { 0 };
	char log_dir[4096], snapshot_dir[4096];
	struct stat status;
	uint64_t broken, records, until;
	snprintf(log_dir, sizeof log_dir, "%s/log", data);
	snprintf(snapshot_dir, sizeof snapshot_dir, "%s/snapshots", log_only ? "" : data);
	if (stat(log_dir, &status) || !S_ISDIR(status.st_mode)) {
		fprintf(stderr, "tally dump: %s is not a data directory\n", data);
		return 2;
	}
	if (!backup_end(data, &until, &error) || !seed_load(data, false, &error)) {
		fprintf(stderr, "tally dump: %s: %.*s\n", data, (int)error.len, error.ptr);
		buf_free(&error);
		return 2;
	}
	for (unsigned s = 0; s < SHARDS; s++) {
		states[s] = mem_alloc(sizeof *states[s]);
		state_init(states[s], s, SHARDS);
	}
	/* From the log alone all ids are taken to memory; else those on disk stay there. */
	struct buf ids = { 0 };
	if (!log_only)
		ids_dump(data, states, &ids, &error);
	struct snapshot_load load = { .dir = snapshot_dir, .states = states, .count = SHARDS, .catalog = &catalog, .until = until,
				      .log = on_line };
	uint64_t first;
	bool there = wal_extent(log_dir, &first, &load.log_end);
	if (!log_only)
		snapshot_load_begin(&load);
	if (there && first > load.from) {
		fprintf(stderr, "tally dump: %s: the log begins at LSN %llu, and no snapshot %s\n", data, (unsigned long long)first,
			log_only ? "may be read (--log-only)" : "is whole that reaches so far back");
		for (unsigned s = 0; s < SHARDS; s++) {
			state_deinit(states[s]);
			mem_free(states[s]);
		}
		catalog_free(&catalog);
		return 2;
	}
	struct reading reading = { .replay = replay_new(states, SHARDS, &catalog), .end = load.from };
	bool good = !error.len && wal_verify_to(log_dir, load.from, until, on_frame, &reading, &error, &torn);
	bool readable = replay_end(reading.replay, &broken, &records);
	if (torn.len)
		fprintf(stderr, "tally dump: torn tail (not acknowledged): %.*s\n", (int)torn.len, torn.ptr);
	if (good && !readable) {
		buf_printf(&error, "the record at LSN %llu cannot be read", (unsigned long long)broken);
		good = false;
	}
	if (good && reading.end < load.known) {
		buf_printf(&error, "the log ends at LSN %llu, and a snapshot knows that it reached LSN %llu",
			   (unsigned long long)reading.end, (unsigned long long)load.known);
		good = false;
	}
	if (!log_only && !snapshot_load_end(&load, &error))
		good = false;
	good = good && ids_all(states, &error);
	if (good)
		dump_text(states, SHARDS, &catalog, buf_view(&ids), out);
	else
		fprintf(stderr, "tally dump: DAMAGED: %.*s\n", (int)error.len, error.ptr);
	for (unsigned s = 0; s < SHARDS; s++) {
		state_deinit(states[s]);
		mem_free(states[s]);
	}
	catalog_free(&catalog);
	buf_free(&error);
	buf_free(&torn);
	buf_free(&ids);
	return good ? 0 : 1;
}

static int file_read(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "r");
	size_t n = 1;
	if (!file) {
		fprintf(stderr, "tally dump: cannot open %s: %s\n", path, strerror(errno));
		return 2;
	}
	while (n) {
		buf_room(out, 1 << 20);
		n = fread(out->ptr + out->len, 1, 1 << 20, file);
		out->len += n;
	}
	bool good = !ferror(file);
	fclose(file);
	if (good && dump_whole(buf_view(out)))
		return 0;
	fprintf(stderr, good ? "tally dump: %s is no whole dump: its hash differs\n" : "tally dump: %s cannot be read\n", path);
	return good ? 1 : 2;
}

static bool is_url(const char *text)
{
	return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

static void tree_remove(const char *path, unsigned depth)
{
	char inner[4400];
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
		if (unlink(inner) && depth)
			tree_remove(inner, depth - 1);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static int server_dump(const char *url, struct buf *out)
{
	const char *above = getenv("TMPDIR");
	char dir[4096];
	struct backup_outcome outcome;
	snprintf(dir, sizeof dir, "%s/tally-dump-XXXXXX", above && *above ? above : "/tmp");
	if (!mkdtemp(dir)) {
		fprintf(stderr, "tally dump: cannot make %s: %s\n", dir, strerror(errno));
		return 2;
	}
	struct backup_order order = { .command = "dump", .url = url, .dir = dir, .state_only = true, .quiet = true };
	int status = backup_fetch(&order, &outcome);
	if (!status) {
		fprintf(stderr, "tally dump: %s as of LSN %llu\n", url, (unsigned long long)outcome.backup.end);
		status = directory_dump(dir, false, out);
	}
	backup_free(&outcome.backup);
	tree_remove(dir, 1);
	return status;
}

static int side_read(const char *path, struct buf *out)
{
	if (is_url(path))
		return server_dump(path, out);
	struct stat status;
	bool directory = !stat(path, &status) && S_ISDIR(status.st_mode);
	return directory ? directory_dump(path, false, out) : file_read(path, out);
}

static int diff(const char *a, const char *b)
{
	struct buf text[2] = { { 0 }, { 0 } };
	int status = side_read(a, &text[0]);
	if (!status)
		status = side_read(b, &text[1]);
	if (!status) {
		size_t found = dump_diff(stdout, buf_view(&text[0]), buf_view(&text[1]));
		fprintf(stderr, found ? "tally dump: %zu lines differ\n" : "tally dump: no difference\n", found);
		status = found ? 1 : 0;
	}
	buf_free(&text[0]);
	buf_free(&text[1]);
	return status;
}

int cmd_dump(int argc, char **argv)
{
	const char *data = NULL, *url = NULL;
	struct buf out = { 0 };
	bool log_only = false;
	if (argc == 3 && !strcmp(argv[0], "--diff"))
		return diff(argv[1], argv[2]);
	if (argc && !strcmp(argv[0], "--diff"))
		return command_misuse("dump", "--diff: two were expected, each a directory, a backup, a dump's file or a URL");
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--log-only"))
			log_only = true;
		else if (!strcmp(argv[i], "--from") && i + 1 < argc)
			url = argv[++i];
		else if (argv[i][0] != '-' && !data)
			data = argv[i];
		else
			return command_misuse("dump", "%s is not understood", argv[i]);
	}
	if (!data == !url || (url && log_only))
		return command_misuse("dump", "expected the data directory, or --from URL alone");
	int status = url ? server_dump(url, &out) : directory_dump(data, log_only, &out);
	if (!status && (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout))) {
		fprintf(stderr, "tally dump: cannot write: %s\n", strerror(errno));
		status = 2;
	}
	buf_free(&out);
	return status;
}
