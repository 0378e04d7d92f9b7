// SPDX-License-Identifier: Apache-2.0
#include "snapshot/restore_ids.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/ledger/ids.h"
#include "snapshot/runs.h"
#include "snapshot/store.h"
#include "wal/files.h"

struct cutting {
	int dir;
	uint64_t cut;
	struct runs_manifest *manifest;        /* as it will be */
	struct buf *error;
};

/* One run that reaches over the cut: its first part under a new serial, or nothing. */
static bool run_cut(struct cutting *c, const struct run_info *info)
{
	struct run_cursor cursor;
	struct run_entry entry;
	uint64_t kept = 0;
	size_t before = c->error->len;
	struct run *run = run_open(c->dir, info, c->error);
	if (!run)
		return false;
	struct run_writer *writer = run_writer_new(c->dir, c->manifest->next_serial, info->count, c->error);
	bool good = writer != NULL;
	run_cursor_begin(&cursor, run);
	while (good && run_cursor_next(&cursor, &entry, c->error)) {
		if ((entry.value & ID_LSN) >= c->cut) {
			*(entry.value & ID_FAILED ? &c->manifest->failed : &c->manifest->done) -= 1;
			continue;
		}
		good = run_writer_put(writer, &entry, c->error);
		kept++;
	}
	run_cursor_end(&cursor);
	good = good && c->error->len == before;
	if (good && kept) {
		struct run *made = run_writer_end(writer, info->from, c->cut, c->error);
		good = made != NULL;
		if (good) {
			c->manifest->runs[c->manifest->count++] = made->info;
			c->manifest->next_serial++;
			run_release(made);
		}
	} else if (writer) {
		run_writer_drop(writer);
	}
	run_release(run);
	return good;
}

static bool manifest_write(const char *path, const struct runs_manifest *manifest, struct buf *error)
{
	struct buf bytes = { 0 };
	runs_manifest_encode(manifest, &bytes);
	int fd = files_open(path, O_WRONLY | O_CREAT | O_TRUNC), failed = fd < 0 ? errno : files_write(fd, bytes.ptr, bytes.len, 0);
	if (!failed)
		failed = files_sync(fd);
	if (failed)
		buf_printf(error, "%s cannot be written: %s", path, strerror(failed));
	if (fd >= 0)
		wal_io.close(fd);
	buf_free(&bytes);
	return !failed;
}

static bool runs_cut(struct cutting *c, const struct runs_manifest *old, const char *path)
{
	bool good = true;
	c->manifest->count = 0;
	for (uint32_t r = 0; r < old->count && good; r++) {
		if (old->runs[r].below <= c->cut)
			c->manifest->runs[c->manifest->count++] = old->runs[r];
		else
			good = run_cut(c, &old->runs[r]);
	}
	c->manifest->below = c->cut;
	if (c->manifest->forgotten > c->cut)
		c->manifest->forgotten = c->cut;
	while (c->manifest->mark_count && c->manifest->marks[c->manifest->mark_count - 1].lsn > c->cut)
		c->manifest->mark_count--;
	good = good && manifest_write(path, c->manifest, c->error);
	for (uint32_t r = 0; r < old->count && good; r++) {
		char name[RUN_NAME];
		run_name(name, old->runs[r].serial);
		if (old->runs[r].below > c->cut)
			wal_io.unlink(c->dir, name);
	}
	return good;
}

bool restore_ids(const char *dir, uint64_t cut, struct buf *error)
{
	char path[FILES_PATH], bytes[1 << 16];
	snprintf(path, sizeof path, "%s/manifest", dir);
	int fd = files_open(path, O_RDONLY);
	if (fd < 0 && errno == ENOENT)
		return true;
	ssize_t len = fd < 0 ? -1 : files_read(fd, bytes, sizeof bytes, 0);
	if (len < 0)
		buf_printf(error, "%s cannot be read: %s", path, strerror(errno));
	if (fd >= 0)
		wal_io.close(fd);
	if (len < 0)
		return false;
	struct runs_manifest *old = mem_alloc(sizeof *old);
	bool good = runs_manifest_decode(bytes, (size_t)len, old, error);
	if (good && old->below > cut) {
		struct cutting c = { .dir = wal_io.open_dir(dir), .cut = cut, .manifest = mem_dup(old, sizeof *old), .error = error };
		good = c.dir >= 0 && runs_cut(&c, old, path);
		if (c.dir >= 0)
			wal_io.close(c.dir);
		else
			buf_printf(error, "%s cannot be opened: %s", dir, strerror(errno));
		mem_free(c.manifest);
	}
	mem_free(old);
	return good;
}
