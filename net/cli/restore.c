// SPDX-License-Identifier: Apache-2.0
/* restore.c - `tally restore BACKUP DIR [--to LSN|TIME]`.
 *
 * Nothing is written before every hash of the backup was compared and the moment was found.  While DIR is being filled it holds a
 * file called restoring: no server starts on it, and the same command begins anew. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/time.h"
#include "net/cli/commands.h"
#include "net/cli/progress.h"
#include "net/main/node.h"
#include "snapshot/restore.h"

static int failed(int status, const struct buf *error)
{
	fprintf(stderr, "tally restore: %.*s\n", (int)error->len, error->ptr);
	return status;
}

/* Digits are an LSN, all else a time. */
static bool target_parse(struct restore *restore, const char *text)
{
	uint64_t value = 0;
	size_t len = strlen(text);
	if (len && strspn(text, "0123456789") == len) {
		for (size_t i = 0; i < len && len <= 18; i++)
			value = value * 10 + (uint64_t)(text[i] - '0');
		restore->target = RESTORE_LSN;
		restore->lsn = len <= 18 ? value : UINT64_MAX;
		return true;
	}
	restore->target = RESTORE_TIME;
	return time_parse(str_of(text), &restore->time_ms);
}

static int run(struct restore *restore, struct backup *backup, struct buf *error)
{
	struct progress progress;
	bool bad;
	if (!restore_folder_free(restore->dir, error))
		return failed(2, error);
	if (!backup_read(restore->from, backup, &bad, error)) {
		char path[4096];
		snprintf(path, sizeof path, "%s/" BACKUP_UNFINISHED, restore->from);
		bool unfinished = access(path, F_OK) == 0;
		buf_printf(error, unfinished ? "%s holds a backup that is not finished: tally backup goes on with it" :
			   "%s is no backup: it has no " BACKUP_MANIFEST "; a copied data directory is used as it is", restore->from);
		return failed(2, error);
	}
	if (bad)
		return failed(1, error);
	progress_begin(&progress, "verifying", backup_bytes(backup));
	bool good = backup_verify(restore->from, backup, progress_add, &progress, error);
	progress_end(&progress);
	if (!good) {
		fprintf(stderr, "tally restore: DAMAGED, nothing was restored:\n%.*s\n", (int)error->len, error->ptr);
		return 1;
	}
	restore->backup = backup;
	if (!restore_plan(restore, error))
		return failed(1, error);
	int lock = node_lock(restore->dir, error);
	if (lock < 0)
		return failed(2, error);
	if (!restore_folder_take(restore->dir, error)) {
		close(lock);
		return failed(2, error);
	}
	progress_begin(&progress, "restoring", restore->bytes);
	restore->progress = progress_add;
	restore->context = &progress;
	good = restore_copy(restore, error) && restore_folder_done(restore->dir, error);
	progress_end(&progress);
	close(lock);
	return good ? 0 : failed(2, error);
}

int cmd_restore(int argc, char **argv)
{
	struct restore restore = { 0 };
	struct backup backup = { 0 };
	struct buf error = { 0 };
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--to") && i + 1 < argc) {
			if (!target_parse(&restore, argv[++i]))
				return command_misuse("restore", "--to %s: an LSN or a time like 2026-01-31T12:00:00Z was expected", argv[i]);
		} else if (argv[i][0] != '-' && !restore.from) {
			restore.from = argv[i];
		} else if (argv[i][0] != '-' && !restore.dir) {
			restore.dir = argv[i];
		} else {
			return command_misuse("restore", "%s is not understood", argv[i]);
		}
	}
	if (!restore.dir)
		return command_misuse("restore", "expected the folder of a backup and a data directory to make");
	int status = run(&restore, &backup, &error);
	if (!status) {
		struct buf when = { 0 };
		time_write(&when, restore.cut_ms);
		printf("restored up to LSN %" PRIu64 " (%.*s), ", restore.cut, (int)when.len, when.ptr);
		if (restore.snapshot)
			printf("snapshot %016" PRIx64 " and the log behind it\n", restore.snapshot);
		else
			printf("from the log alone\n");
		buf_free(&when);
	}
	backup_free(&backup);
	buf_free(&error);
	return status;
}
