// SPDX-License-Identifier: Apache-2.0
/* restore.c - `tally restore BACKUP DIR [--to LSN|TIME]`.
 *
 * Nothing is written before every hash of the backup was compared and the moment was found.  While DIR is being filled it holds a
 * file called restoring: no server starts on it, and the same command begins anew. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/time.h"
#include "net/cli/commands.h"
#include "net/cli/progress.h"
#include "net/main/node.h"
#include "snapshot/restore.h"
#include "snapshot/store.h"

enum { PATH_BYTES = 4400 };

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

static void folder_clear(const char *path)
{
	char file[PATH_BYTES + 300];
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
		unlink(file);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* Empty, not there, or left by a restore that was interrupted. */
static bool folder_free(const char *path, struct buf *error)
{
	char marker[PATH_BYTES];
	snprintf(marker, sizeof marker, "%s/" RESTORE_UNFINISHED, path);
	if (access(marker, F_OK) == 0)
		return true;
	DIR *dir = opendir(path);
	if (!dir && errno == ENOENT)
		return true;
	bool empty = dir != NULL;
	if (!dir)
		buf_printf(error, "%s: %s", path, strerror(errno));
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir)
		closedir(dir);
	if (dir && !empty)
		buf_printf(error, "%s is not empty; restore into a folder that is new", path);
	return empty;
}

/* Takes the folder, marks it, empties it of what an interrupted restore left.  The lock, or -1. */
static int folder_take(const char *path, struct buf *error)
{
	static const char *const folders[] = { "log", "snapshots", "ids" };
	char inner[PATH_BYTES];
	int lock = node_lock(path, error);
	if (lock < 0)
		return -1;
	snprintf(inner, sizeof inner, "%s/" RESTORE_UNFINISHED, path);
	int fd = open(inner, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), wrong = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	if (!wrong)
		wrong = snapshot_dir_sync(path);
	if (wrong) {
		buf_printf(error, "%s cannot be written: %s", inner, strerror(wrong));
		close(lock);
		return -1;
	}
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		snprintf(inner, sizeof inner, "%s/%s", path, folders[i]);
		folder_clear(inner);
	}
	return lock;
}

static bool folder_done(const char *path, struct buf *error)
{
	char marker[PATH_BYTES];
	snprintf(marker, sizeof marker, "%s/" RESTORE_UNFINISHED, path);
	int wrong = unlink(marker) ? errno : snapshot_dir_sync(path);
	if (wrong)
		buf_printf(error, "%s cannot be removed: %s", marker, strerror(wrong));
	return !wrong;
}

static int run(struct restore *restore, struct backup *backup, struct buf *error)
{
	struct progress progress;
	bool bad;
	if (!folder_free(restore->dir, error))
		return failed(2, error);
	if (!backup_read(restore->from, backup, &bad, error)) {
		buf_printf(error, "%s is no backup: it has no " BACKUP_MANIFEST "%s", restore->from,
			   "; a copied data directory is used as it is");
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
	int lock = folder_take(restore->dir, error);
	if (lock < 0)
		return failed(2, error);
	progress_begin(&progress, "restoring", restore->bytes);
	restore->progress = progress_add;
	restore->context = &progress;
	good = restore_copy(restore, error) && folder_done(restore->dir, error);
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
