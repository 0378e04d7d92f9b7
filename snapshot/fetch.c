// SPDX-License-Identifier: Apache-2.0
/* fetch.c - see fetch.h for the order.  Pieces are written in order, so a file that breaks off is good up to its end. */
#include "snapshot/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "snapshot/store.h"
#include "wal/files.h"
#include "wal/wal.h"

enum {
	TRIES = 7,                             /* of one piece, with pauses that double from 100 ms */
	SESSIONS = 5,                          /* times that a server is asked to hold its files */
	SNAPSHOT_BEHIND = 64 << 20,            /* more log than this behind the newest snapshot: take one */
	STEP = 1 << 20,
};

struct run {
	const struct fetch_order *order;
	const struct fetch_source *source;
	struct backup old;                     /* what is in the folder; files NULL: nothing yet */
	struct backup held;                    /* what the server holds: no hashes */
	struct backup made;
	uint64_t snapshot_end;                 /* of the newest; 0: there is none */
	bool snapshot_asked;
	bool snapshot_broken;                  /* one that the server had; it has taken another since */
	size_t piece;                          /* bytes the server gives at a time */
	uint64_t fetched, began_ns;
	XXH3_state_t *came;                    /* owned; over the bytes of a file as they came */
};

static const char *const folders[] = { "log", "snapshots", "ids" };
enum { FOLDERS = sizeof folders / sizeof *folders };

__attribute__((format(printf, 3, 4)))
static int say(struct run *run, int status, const char *format, ...)
{
	char line[FILES_PATH + 600];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	run->source->say(run->source->context, line);
	return status;
}

static void path_of(const struct run *run, char path[FILES_PATH], const char *file, const char *suffix)
{
	snprintf(path, FILES_PATH, "%s/%s%s", run->order->dir, file, suffix);
}

static void progress(struct run *run, enum fetch_progress what, uint64_t bytes)
{
	run->source->progress(run->source->context, what, bytes);
}

/* ---- what the server holds -------------------------------------------------------------------------------------------- */

/* Of the snapshots the newest one is taken. */
static int hold(struct run *run)
{
	struct backup all = { 0 };
	uint64_t end;
	backup_free(&run->held);
	run->snapshot_end = 0;
	int status = run->source->hold(run->source->context, &all, &run->piece);
	run->held.first = all.first;
	run->held.end = all.end;
	run->held.made_ms = all.made_ms;
	for (size_t i = 0; i < all.count && !status; i++)
		if (backup_snapshot(all.files[i].path, &end) && end > run->snapshot_end)
			run->snapshot_end = end;
	for (size_t i = 0; i < all.count && !status; i++)
		if (!backup_snapshot(all.files[i].path, &end) || end == run->snapshot_end)
			backup_add(&run->held, &all.files[i]);
	backup_free(&all);
	return status;
}

/* With no snapshot, or much log behind it, has one taken; then the files are held anew. */
static int snapshot_take(struct run *run)
{
	if (run->snapshot_asked || (run->snapshot_end && run->held.end - run->snapshot_end <= SNAPSHOT_BEHIND))
		return FETCH_DONE;
	run->snapshot_asked = true;
	int status = run->source->snapshot(run->source->context);
	return status ? status : hold(run);
}

static int hash_ask(struct run *run, const char *file, uint64_t offset, uint64_t size, uint8_t hash[BACKUP_HASH])
{
	char name[BACKUP_PATH];
	return run->source->hash(run->source->context, backup_unname(file, name) ? name : file, offset, size, hash);
}

/* ---- what is here already --------------------------------------------------------------------------------------------- */

/* How many of the file's first `most` bytes are the server's: whole ranges, and the last one.  They go into run->came. */
static int prefix_good(struct run *run, int fd, const char *file, uint64_t most, uint64_t *good)
{
	unsigned char *bytes = mem_alloc(most < FETCH_HASH_RANGE ? most + 1 : FETCH_HASH_RANGE);
	int status = FETCH_DONE;
	*good = 0;
	XXH3_128bits_reset(run->came);
	while (*good < most && !status) {
		uint64_t left = most - *good;
		size_t n = left < FETCH_HASH_RANGE ? (size_t)left : FETCH_HASH_RANGE;
		uint8_t theirs[BACKUP_HASH], ours[BACKUP_HASH];
		if (files_read(fd, bytes, n, *good) != (ssize_t)n)
			break;
		snapshot_hash(ours, bytes, n);
		status = hash_ask(run, file, *good, n, theirs);
		if (status || memcmp(ours, theirs, sizeof ours) != 0)
			break;
		XXH3_128bits_update(run->came, bytes, n);
		*good += n;
	}
	mem_free(bytes);
	return status;
}

static int another_log(struct run *run)
{
	return say(run, FETCH_REFUSED, "%s and the server differ before LSN %" PRIu64 ": it is a backup of another log; use another folder",
		   run->order->dir, run->old.end);
}

/* Whether a file of the backup here is the server's, as far as it goes here. */
static int file_compare(struct run *run, const struct backup_file *file)
{
	char path[FILES_PATH];
	uint8_t theirs[BACKUP_HASH];
	uint64_t good = 0;
	int status;
	if (file->bytes <= FETCH_HASH_RANGE) {
		status = hash_ask(run, file->path, 0, file->bytes, theirs);
		return status ? status : memcmp(file->hash, theirs, sizeof theirs) != 0 ? another_log(run) : FETCH_DONE;
	}
	path_of(run, path, file->path, "");
	int fd = files_open(path, O_RDONLY);
	if (fd < 0)
		return say(run, FETCH_REFUSED, "%s: %s", path, strerror(errno));
	status = prefix_good(run, fd, file->path, file->bytes, &good);
	wal_io.close(fd);
	return status ? status : good < file->bytes ? another_log(run) : FETCH_DONE;
}

/* The backup here and the server's log are one history: what this one ends with stands there as well. */
static int lineage_check(struct run *run)
{
	const struct backup *old = &run->old;
	const struct backup_file *last = NULL, *seed = backup_find(old, "seed");
	uint64_t base;
	if (!old->count)
		return FETCH_DONE;
	for (size_t i = 0; i < old->count; i++)        /* in order */
		if (backup_segment(old->files[i].path, &base) && base < old->end)
			last = &old->files[i];
	if (old->end > run->held.end)
		return say(run, FETCH_REFUSED, "%s is a backup up to LSN %" PRIu64 ", and the server's log ends at LSN %" PRIu64
			   ": it is another log; use another folder", run->order->dir, old->end, run->held.end);
	if (!last || !seed || !backup_find(&run->held, last->path))
		return say(run, FETCH_REFUSED, "%s ends at LSN %" PRIu64 ", and the server's log begins at LSN %" PRIu64
			   " now: what lies between is gone; use another folder", run->order->dir, old->end, run->held.first);
	int status = file_compare(run, seed);
	return status ? status : file_compare(run, last);
}

/* ---- fetching --------------------------------------------------------------------------------------------------------- */

/* With a rate, pieces of an eighth of a second. */
static size_t piece_size(const struct run *run)
{
	uint64_t wanted = run->order->rate / 8 < 4096 ? 4096 : run->order->rate / 8;
	return run->order->rate && wanted < run->piece ? (size_t)wanted : run->piece;
}

static void rate_keep(struct run *run)
{
	uint64_t spent = wal_io.monotonic_ns() - run->began_ns;
	double due = run->order->rate ? (double)run->fetched * 1e9 / (double)run->order->rate : 0;
	if (due > (double)spent)
		run->source->wait(run->source->context, (unsigned)((due - (double)spent) / 1e6));
}

struct piece { uint64_t offset; size_t size; };

static int piece_take(struct run *run, unsigned slot, const struct piece *piece, int fd, const char *file)
{
	struct str bytes;
	int status = run->source->take(run->source->context, slot, &bytes);
	if (status)
		return status;
	if (bytes.len != piece->size)
		return FETCH_RETRY;
	int failed = files_write(fd, bytes.ptr, bytes.len, piece->offset);
	if (failed)
		return say(run, FETCH_FAILED, "%s cannot be written: %s", file, strerror(failed));
	XXH3_128bits_update(run->came, bytes.ptr, bytes.len);
	run->fetched += piece->size;
	progress(run, FETCH_GOT, piece->size);
	return FETCH_DONE;
}

/* The bytes of `file` from `from` on. */
static int bytes_fetch(struct run *run, int fd, const struct backup_file *file, uint64_t from)
{
	const struct fetch_source *source = run->source;
	struct piece pieces[FETCH_FLIGHT] = { 0 };
	char name[BACKUP_PATH];
	const char *theirs = backup_unname(file->path, name) ? name : file->path;
	uint64_t asked = from, written = from;
	unsigned head = 0, count = 0;
	size_t most = piece_size(run);
	int status = FETCH_DONE, tries = 0;
	while (written < file->bytes && !status) {
		while (count < FETCH_FLIGHT && asked < file->bytes) {
			size_t n = file->bytes - asked < most ? (size_t)(file->bytes - asked) : most;
			unsigned slot = (head + count++) % FETCH_FLIGHT;
			rate_keep(run);
			pieces[slot] = (struct piece){ asked, n };
			source->ask(source->context, slot, theirs, asked, n);
			asked += n;
		}
		status = piece_take(run, head, &pieces[head], fd, file->path);
		if (!status) {
			written += pieces[head].size;
			head = (head + 1) % FETCH_FLIGHT;
			count--;
			tries = 0;
			continue;
		}
		source->forget(source->context);
		if (status > 0)
			break;
		status = ++tries < TRIES ? FETCH_DONE : say(run, FETCH_FAILED, "%s: what it sends of %s is missing or broken, after %d tries",
							    source->name, file->path, TRIES);
		source->wait(source->context, 50u << tries);
		asked = written;
		head = count = 0;
	}
	return status;
}

static int file_copy(struct run *run, const char *from, const char *to, uint64_t bytes)
{
	int in = files_open(from, O_RDONLY), out = in < 0 ? -1 : files_open(to, O_WRONLY | O_CREAT | O_TRUNC);
	int failed = in < 0 || out < 0 ? errno : 0;
	unsigned char *part = mem_alloc(STEP);
	for (uint64_t done = 0; done < bytes && !failed;) {
		size_t wanted = bytes - done < STEP ? (size_t)(bytes - done) : STEP;
		ssize_t n = files_read(in, part, wanted, done);
		failed = n < 0 ? errno : n == 0 ? EIO : files_write(out, part, (size_t)n, done);
		done += n > 0 ? (uint64_t)n : 0;
	}
	mem_free(part);
	if (in >= 0)
		wal_io.close(in);
	if (out >= 0)
		wal_io.close(out);
	return failed ? say(run, FETCH_FAILED, "%s cannot be copied: %s", from, strerror(failed)) : FETCH_DONE;
}

/* NAME.part with what is here already of the file, as far as it is the server's. */
static int part_open(struct run *run, const struct backup_file *file, const struct backup_file *old, int *fd, uint64_t *from)
{
	char own[FILES_PATH], part[FILES_PATH];
	path_of(run, own, file->path, "");
	path_of(run, part, file->path, ".part");
	*from = 0;
	int64_t size = files_size(part);
	bool there = size >= 0 && (!old || (uint64_t)size >= old->bytes);
	if (!there && files_there(own)) {
		/* Of one that no manifest names yet, an interrupted backup had come to the end. */
		int failed = old ? 0 : files_rename(own, part);
		if (failed)
			return say(run, FETCH_FAILED, "%s: %s", own, strerror(failed));
		int status = old ? file_copy(run, own, part, old->bytes) : FETCH_DONE;
		if (status)
			return status;
		there = true;
	}
	*fd = files_open(part, O_RDWR | O_CREAT);
	size = *fd < 0 ? -1 : files_size(part);
	if (size < 0)
		return say(run, FETCH_FAILED, "%s cannot be written: %s", part, strerror(errno));
	uint64_t most = (uint64_t)size < file->bytes ? (uint64_t)size : file->bytes;
	int result = prefix_good(run, *fd, file->path, there ? most : 0, from);
	if (!result && wal_io.truncate(*fd, (off_t)*from))
		result = say(run, FETCH_FAILED, "%s cannot be written: %s", part, strerror(errno));
	progress(run, FETCH_GOT, result ? 0 : *from);
	return result;
}

static int file_fetch(struct run *run, struct backup_file *file, const struct backup_file *old)
{
	char own[FILES_PATH], part[FILES_PATH];
	struct buf error = { 0 };
	XXH128_canonical_t came;
	int fd = -1, failed = 0;
	uint64_t from;
	int status = part_open(run, file, old, &fd, &from);
	if (!status)
		status = bytes_fetch(run, fd, file, from);
	path_of(run, own, file->path, "");
	path_of(run, part, file->path, ".part");
	if (!status)
		failed = wal_io.truncate(fd, (off_t)file->size) ? errno : files_sync(fd);
	if (failed) {
		status = say(run, FETCH_FAILED, "%s cannot be written: %s", part, strerror(failed));
		files_remove(part);            /* the kernel may have dropped what reading still shows */
	}
	if (fd >= 0)
		wal_io.close(fd);
	if (!status && !backup_hash(part, file->path, file->bytes, file->hash, NULL, NULL, &error))
		status = say(run, FETCH_FAILED, "%.*s", (int)error.len, error.ptr);
	if (!status)
		XXH128_canonicalFromHash(&came, XXH3_128bits_digest(run->came));
	if (!status && memcmp(came.digest, file->hash, sizeof file->hash) != 0)
		status = say(run, FETCH_FAILED, "%s is not read back as it was written", part);
	failed = status ? 0 : files_rename(part, own);
	if (failed)
		status = say(run, FETCH_FAILED, "%s cannot be renamed: %s", part, strerror(failed));
	buf_free(&error);
	return status;
}

/* A file that the backup has as the server has it. */
static bool have(const struct run *run, const struct backup_file *file, const struct backup_file *old)
{
	char path[FILES_PATH];
	path_of(run, path, file->path, "");
	return old && old->bytes == file->bytes && files_size(path) == (int64_t)file->size;
}

/* The log that the newest snapshot needs begins here. */
static uint64_t needed_from(struct run *run)
{
	struct buf error = { 0 };
	struct snapshot_manifest manifest;
	char dir[FILES_PATH];
	path_of(run, dir, "snapshots", "");
	uint64_t from = snapshot_manifest_read(dir, run->snapshot_end, &manifest, &error) ? manifest.from : 0;
	snapshot_manifest_free(&manifest);
	buf_free(&error);
	return from;
}

/* Files that change under their name are called by their hash here. */
static int names_find(struct run *run)
{
	for (size_t i = 0; i < run->held.count; i++) {
		struct backup_file *file = &run->held.files[i];
		uint8_t hash[BACKUP_HASH] = { 0 };
		char name[BACKUP_PATH];
		if (!backup_name(file->path, hash, name))
			continue;
		int status = hash_ask(run, file->path, 0, file->bytes, hash);
		if (status)
			return status;
		backup_name(file->path, hash, file->path);
	}
	return FETCH_DONE;
}

/* The newest ones under the server's names as well, for check and dump. */
static int names_copy(struct run *run)
{
	for (size_t i = 0; i < run->made.count; i++) {
		char name[BACKUP_PATH], from[FILES_PATH], temporary[FILES_PATH], to[FILES_PATH];
		if (!backup_unname(run->made.files[i].path, name))
			continue;
		path_of(run, from, run->made.files[i].path, "");
		path_of(run, temporary, name, ".part");
		path_of(run, to, name, "");
		int status = file_copy(run, from, temporary, run->made.files[i].bytes);
		if (status)
			return status;
		int failed = files_rename(temporary, to);
		if (failed)
			return say(run, FETCH_FAILED, "%s cannot be written: %s", to, strerror(failed));
	}
	return FETCH_DONE;
}

/* What there is to do, in the order in which it is done: the seed, snapshots and others, then the log. */
static int files_fetch(struct run *run)
{
	uint64_t total = 0, base, needed = 0;
	int named = names_find(run);
	if (named)
		return named;
	for (size_t i = 0; i < run->held.count; i++)
		if (!have(run, &run->held.files[i], backup_find(&run->old, run->held.files[i].path)))
			total += run->held.files[i].bytes;
	progress(run, FETCH_BEGINS, total);
	for (int turn = 0; turn < 2; turn++) {
		if (turn && run->order->state_only && run->snapshot_end)
			needed = run->old.count ? run->old.end : needed_from(run);
		for (size_t i = 0; i < run->held.count; i++) {
			struct backup_file file = run->held.files[i];
			const struct backup_file *old = backup_find(&run->old, file.path);
			bool segment = backup_segment(file.path, &base);
			if (segment != (turn == 1))
				continue;
			if (segment && base + file.size <= needed && !old) {
				progress(run, FETCH_LESS, file.bytes);
				continue;
			}
			if (have(run, &file, old)) {
				memcpy(file.hash, old->hash, sizeof file.hash);
			} else {
				int status = file_fetch(run, &file, old);
				if (status)
					return status;
			}
			backup_add(&run->made, &file);
		}
	}
	progress(run, FETCH_ENDS, 0);
	return FETCH_DONE;
}

/* ---- the manifest ----------------------------------------------------------------------------------------------------- */

static int file_class(const char *path)
{
	return strcmp(path, "seed") == 0 ? 0 : strncmp(path, "log/", 4) == 0 ? 1 : 2;
}

static int file_order(const void *a, const void *b)
{
	const struct backup_file *x = a, *y = b;
	int by_class = file_class(x->path) - file_class(y->path);
	return by_class ? by_class : strcmp(x->path, y->path);
}

/* Adds what only the backup before has: the log in front of the server's, older snapshots. */
static void old_keep(struct run *run)
{
	unsigned snapshots = run->snapshot_end ? 1 : 0;
	uint64_t value;
	for (size_t i = run->old.count; i-- > 0;) {
		const struct backup_file *file = &run->old.files[i];
		if (backup_find(&run->made, file->path))
			continue;
		bool segment = backup_segment(file->path, &value), snapshot = !segment && backup_snapshot(file->path, &value);
		/* In order, so of each snapshot the manifest comes first, newest first. */
		if (snapshot && run->order->keep) {
			snapshots += strstr(file->path, ".manifest") != NULL;
			if (snapshots > run->order->keep)
				continue;
		}
		if (segment || snapshot)
			backup_add(&run->made, file);
	}
	qsort(run->made.files, run->made.count, sizeof *run->made.files, file_order);
}

static bool frame_note(void *context, const struct wal_frame *frame)
{
	struct backup *made = context;
	made->epoch = frame->epoch;
	if (frame->time_ms > made->time_ms)
		made->time_ms = frame->time_ms;
	return true;
}

struct sweeping { const struct run *run; const char *folder; };

static bool entry_sweep(void *context, const char *entry)
{
	const struct sweeping *sweeping = context;
	char file[FILES_PATH], name[BACKUP_PATH + 300], other[BACKUP_PATH];
	uint8_t none[BACKUP_HASH] = { 0 };
	if (entry[0] == '.')
		return true;
	snprintf(name, sizeof name, "%s/%s", sweeping->folder, entry);
	path_of(sweeping->run, file, name, "");
	if (!backup_find(&sweeping->run->made, name) && !backup_name(name, none, other))
		files_remove(file);
	return true;
}

/* Removes what no manifest names: parts, files of interrupted backups, what was not kept. */
static void folder_sweep(struct run *run, const char *folder)
{
	struct sweeping sweeping = { run, folder };
	char path[FILES_PATH];
	path_of(run, path, folder, "");
	files_list(path, entry_sweep, &sweeping);
}

static void sweep(struct run *run)
{
	for (size_t i = 0; i < FOLDERS; i++) {
		char path[FILES_PATH];
		folder_sweep(run, folders[i]);
		path_of(run, path, folders[i], "");
		wal_io.remove_dir(path);       /* an empty one */
	}
}

/* False: *snapshot says whether that is in the snapshot, and the log is whole. */
static bool whole(struct run *run, bool *snapshot, struct buf *error)
{
	struct buf torn = { 0 };
	struct snapshot_manifest manifest = { 0 };
	char dir[FILES_PATH];
	path_of(run, dir, "log", "");
	bool good = wal_verify_to(dir, run->old.end, run->made.end, frame_note, &run->made, error, &torn);
	*snapshot = good;
	if (good && run->snapshot_end) {
		path_of(run, dir, "snapshots", "");
		good = snapshot_verify(dir, run->snapshot_end, &manifest, error);
	}
	snapshot_manifest_free(&manifest);
	buf_free(&torn);
	return good;
}

/* A server that started from an older snapshot, or from its log, still has the broken one: it takes another, once. */
static int snapshot_another(struct run *run, const struct buf *why)
{
	if (run->snapshot_broken)
		return say(run, FETCH_REFUSED, "DAMAGED, on the server as well: snapshot %016" PRIx64 ": %.*s", run->snapshot_end,
			   (int)why->len, why->ptr);
	run->snapshot_broken = true;
	say(run, FETCH_AGAIN, "BROKEN SNAPSHOT %016" PRIx64 " on the server: %.*s; another is asked for", run->snapshot_end, (int)why->len,
	    why->ptr);
	int status = run->source->snapshot(run->source->context);
	return status ? status : FETCH_AGAIN;
}

/* What came is whole: a damaged file of the server's is not copied in silence.  What this disk does not give back is no damage. */
static int verify(struct run *run)
{
	struct buf error = { 0 }, unread = { 0 };
	struct backup *made = &run->made;
	int status = FETCH_DONE;
	bool snapshot;
	made->made_ms = run->held.made_ms;
	made->end = run->held.end;
	made->time_ms = run->old.time_ms;
	made->epoch = run->old.epoch;
	for (size_t i = made->count; i-- > 0;)
		backup_segment(made->files[i].path, &made->first);     /* the first one's */
	/* What an interrupted backup left of the log may be gone on the server since: then it does not join what is here now. */
	folder_sweep(run, "log");
	if (!whole(run, &snapshot, &error)) {
		error.len = 0;
		if (!backup_verify(run->order->dir, made, NULL, NULL, &unread))
			status = say(run, FETCH_FAILED, "what was fetched is not read back as it was written: %.*s", (int)unread.len, unread.ptr);
		else if (!whole(run, &snapshot, &error))
			status = snapshot ? snapshot_another(run, &error) :
				say(run, FETCH_REFUSED, "DAMAGED, on the server as well: %.*s", (int)error.len, error.ptr);
	}
	buf_free(&error);
	buf_free(&unread);
	return status;
}

static int manifest_write(struct run *run)
{
	struct buf error = { 0 };
	char path[FILES_PATH];
	for (size_t i = 0; i <= FOLDERS; i++) {                /* DIR last: those folders have their names in it */
		path_of(run, path, i < FOLDERS ? folders[i] : ".", "");
		int failed = files_sync_dir(path);
		if (failed)
			return say(run, FETCH_FAILED, "%s cannot be made durable: %s", path, strerror(failed));
	}
	bool good = backup_write(run->order->dir, &run->made, &error);
	if (!good)
		say(run, FETCH_FAILED, "%.*s", (int)error.len, error.ptr);
	buf_free(&error);
	if (!good)
		return FETCH_FAILED;
	path_of(run, path, BACKUP_UNFINISHED, "");
	files_remove(path);
	int status = names_copy(run);
	sweep(run);
	return status;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

/* A lock is what somebody who was interrupted has left. */
static bool entry_count(void *context, const char *entry)
{
	bool *empty = context;
	*empty &= strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0 || strcmp(entry, "lock") == 0;
	return true;
}

/* The folder is a backup, the beginning of one, or nothing; it is ours then. */
static int folder_take(struct run *run)
{
	struct buf error = { 0 };
	char path[FILES_PATH];
	bool bad, empty = true, there = backup_read(run->order->dir, &run->old, &bad, &error);
	path_of(run, path, BACKUP_UNFINISHED, "");
	int status = FETCH_DONE;
	if (bad) {
		status = say(run, FETCH_REFUSED, "%.*s", (int)error.len, error.ptr);
	} else if (!there && !files_there(path)) {
		int failed = files_list(run->order->dir, entry_count, &empty);
		if ((failed && failed != ENOENT) || !empty)
			status = say(run, FETCH_REFUSED, "%s is not empty and holds no backup", run->order->dir);
	}
	buf_free(&error);
	if (!status)
		status = run->source->lock(run->source->context);
	if (!status && !there) {
		int fd = files_open(path, O_WRONLY | O_CREAT);
		if (fd < 0)
			status = say(run, FETCH_FAILED, "%s cannot be written: %s", path, strerror(errno));
		else
			wal_io.close(fd);
	}
	for (size_t i = 0; i < FOLDERS && !status; i++) {
		path_of(run, path, folders[i], "");
		int failed = files_make_dir(path);
		if (failed)
			status = say(run, FETCH_FAILED, "cannot make %s: %s", path, strerror(failed));
	}
	return status;
}

static int session(struct run *run)
{
	backup_free(&run->made);
	int status = hold(run);
	if (!status)
		status = snapshot_take(run);
	if (!status)
		status = lineage_check(run);
	if (!status)
		status = files_fetch(run);
	if (!status) {
		old_keep(run);
		status = verify(run);
	}
	if (!status)
		status = manifest_write(run);
	if (status != FETCH_AGAIN)
		run->source->let_go(run->source->context);
	return status;
}

int fetch_run(const struct fetch_order *order, const struct fetch_source *source, struct fetch_outcome *outcome)
{
	struct run run = { .order = order, .source = source, .began_ns = wal_io.monotonic_ns() };
	*outcome = (struct fetch_outcome){ 0 };
	run.came = XXH3_createState();
	int status = run.came ? folder_take(&run) : say(&run, FETCH_FAILED, "no memory");
	for (int i = 0; !status && i < SESSIONS; i++) {
		status = session(&run);
		if (status != FETCH_AGAIN)
			break;
		status = i + 1 < SESSIONS ? FETCH_DONE : say(&run, FETCH_FAILED, "%s started anew time and again", source->name);
	}
	if (!status) {
		outcome->backup = run.made;
		outcome->fetched = run.fetched;
		outcome->snapshot = run.snapshot_end;
	} else {
		backup_free(&run.made);
	}
	backup_free(&run.old);
	backup_free(&run.held);
	XXH3_freeState(run.came);
	return status;
}
