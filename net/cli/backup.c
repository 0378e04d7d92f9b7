// SPDX-License-Identifier: Apache-2.0
/* backup.c - a backup is fetched in this order, so that whatever interrupts it, the one before stays whole (snapshot/backup.h):
 *
 *     the server holds its files (POST /v1/backups); with no snapshot, or much log behind it, it takes one first
 *     is it the same log?  the end of what is here must be there, byte for byte
 *     each file that is new, or longer now, as NAME.part: what is there of it already is compared by hash and kept
 *     NAME.part is synced, read back for its hash, renamed
 *     frames, records' checksums and the snapshot's pieces are verified
 *     the manifest is renamed into place; what it no longer names is removed
 *
 * Pieces carry their hash and are written in order, so a file that breaks off is good up to its end.  A connection that breaks
 * is tried again for a while; a server that started anew is asked to hold its files again. */
#include "net/cli/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "net/cli/client.h"
#include "net/cli/commands.h"
#include "net/cli/progress.h"
#include "net/main/node.h"
#include "snapshot/store.h"

enum {
	DONE = 0, REFUSED = 1, FAILED = 2,
	AGAIN = 3,                             /* the server no longer holds the files */
	FLIGHT = 2,                            /* pieces under way */
	TRIES = 7,                             /* of one request, with pauses that double from 100 ms */
	SESSIONS = 5,                          /* times that a server is asked to hold its files */
	HASH_RANGE = 64 << 20,                 /* bytes of one question for a hash */
	SNAPSHOT_BEHIND = 64 << 20,            /* more log than this behind the newest snapshot: take one */
	SNAPSHOT_WAIT_S = 3600,
	PATH_BYTES = 4400,
};

struct run {
	const struct backup_order *order;
	struct client *client;
	struct client_call call;
	struct backup old;                     /* what is in the folder; files NULL: nothing yet */
	struct backup_listing held;            /* what the server holds */
	struct backup made;
	bool snapshot_asked;
	uint64_t fetched;
	double began;
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

static void path_of(const struct run *run, char path[PATH_BYTES], const char *file, const char *suffix)
{
	snprintf(path, PATH_BYTES, "%s/%s%s", run->order->dir, file, suffix);
}

/* ---- asking ----------------------------------------------------------------------------------------------------------- */

/* One question, again where no answer came.  DONE: there is an answer in run->call. */
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
			return DONE;
		if (i + 1 < TRIES)
			pause_for(wait);
	}
	return say(run, FAILED, "%s: %s", client_url(run->client), call->status ? "is not ready" : call->error);
}

/* The answer is not what was hoped for. */
static int answer_refused(struct run *run, const struct client_call *call, const char *what)
{
	if (call->status == 404 && call->answer.len && memmem(call->answer.ptr, call->answer.len, "backup_unknown", 14))
		return AGAIN;
	return say(run, FAILED, "%s answered %ld to %s: %.*s", client_url(run->client), call->status, what,
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
	uint64_t piece = 0, base;
	size_t i, count;
	yyjson_val *item;
	bool good = text_at(root, "id", held->id, sizeof held->id) && number_at(root, "first_lsn", &held->files.first) &&
		    number_at(root, "end_lsn", &held->files.end) && number_at(root, "piece_bytes", &piece) && piece > 0 &&
		    text_at(root, "time", time_text, sizeof time_text) && time_parse(str_of(time_text), &held->files.made_ms);
	yyjson_val *files = json_get(root, STR("files"));
	held->piece = piece > HASH_RANGE ? HASH_RANGE : (size_t)piece;
	held->snapshot_end = 0;
	yyjson_arr_foreach(files, i, count, item) {
		struct backup_file file = { 0 };
		good = good && text_at(item, "path", file.path, sizeof file.path) && backup_path_good(str_of(file.path)) &&
		       number_at(item, "bytes", &file.bytes) && number_at(item, "size", &file.size) && file.bytes <= file.size;
		if (!good)
			break;
		if (backup_snapshot(file.path, &base)) {
			if (base > held->snapshot_end)
				held->snapshot_end = base;
			if (base < held->snapshot_end)
				continue;              /* newest first: an older one */
			bool is_data = strstr(file.path, ".data") != NULL;
			memcpy(held->snapshot[is_data ? 0 : 1], file.path, sizeof file.path);
		}
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

static int hold(struct run *run)
{
	backup_free(&run->held.files);
	int status = ask(run, "POST", "/v1/backups");
	if (status)
		return status;
	if (run->call.status != 201)
		return answer_refused(run, &run->call, "POST /v1/backups");
	bool good = backup_listing_read(buf_view(&run->call.answer), &run->held);
	return good ? DONE : say(run, FAILED, "%s: its list of files is not understood", client_url(run->client));
}

static void let_go(struct run *run)
{
	char path[64];
	if (!run->held.id[0])
		return;
	snprintf(path, sizeof path, "/v1/backups/%s", run->held.id);
	run->call.method = "DELETE";
	run->call.path = path;
	run->call.content_type = NULL;
	client_do(run->client, &run->call);
	run->held.id[0] = '\0';
}

/* With no snapshot, or much log behind it, has one taken; then the files are held anew. */
static int snapshot_take(struct run *run)
{
	if (run->snapshot_asked || (run->held.snapshot_end && run->held.files.end - run->held.snapshot_end <= SNAPSHOT_BEHIND))
		return DONE;
	run->snapshot_asked = true;
	let_go(run);
	if (!run->order->quiet)
		fprintf(stderr, "tally %s: the server takes a snapshot\n", run->order->command);
	double until = seconds() + SNAPSHOT_WAIT_S;
	run->call.timeout = SNAPSHOT_WAIT_S;
	int status;
	while (!(status = ask(run, "POST", "/v1/snapshots")) && run->call.status == 409 && seconds() < until)
		pause_for(0.5);
	run->call.timeout = 0;
	if (status)
		return status;
	if (run->call.status != 201 && run->call.status != 200)
		say(run, DONE, "no snapshot was taken, going on without: %.*s", (int)run->call.answer.len, run->call.answer.ptr);
	return hold(run);
}

static int hash_ask(struct run *run, const char *file, uint64_t offset, uint64_t size, char hash[33])
{
	char path[256], name[BACKUP_PATH];
	struct json_error error;
	file = backup_unname(file, name) ? name : file;
	snprintf(path, sizeof path, "/v1/backups/%s/bytes?file=%s&offset=%" PRIu64 "&size=%" PRIu64 "&hash=true", run->held.id, file, offset,
		 size);
	int status = ask(run, "GET", path);
	if (status)
		return status;
	if (run->call.status != 200)
		return answer_refused(run, &run->call, file);
	yyjson_doc *doc = json_read(buf_view(&run->call.answer), &error);
	bool good = doc && text_at(yyjson_doc_get_root(doc), "hash", hash, 33);
	if (doc)
		yyjson_doc_free(doc);
	return good ? DONE : say(run, FAILED, "%s: its hash of %s is not understood", client_url(run->client), file);
}

/* ---- what is here already --------------------------------------------------------------------------------------------- */

static void hex_of(const uint8_t hash[BACKUP_HASH], char text[33])
{
	for (int i = 0; i < BACKUP_HASH; i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
}

/* How many of the file's first `most` bytes are the server's: whole ranges, and the last one.  */
static int prefix_good(struct run *run, int fd, const char *file, uint64_t most, uint64_t *good)
{
	unsigned char *bytes = mem_alloc(HASH_RANGE);
	int status = DONE;
	*good = 0;
	while (*good < most && !status) {
		uint64_t left = most - *good;
		size_t n = left < HASH_RANGE ? (size_t)left : HASH_RANGE, done = 0;
		char theirs[33], ours[33];
		uint8_t hash[BACKUP_HASH];
		while (done < n) {
			ssize_t got = pread(fd, bytes + done, n - done, (off_t)(*good + done));
			if (got == 0 || (got < 0 && errno != EINTR))
				break;
			done += got > 0 ? (size_t)got : 0;
		}
		if (done < n)
			break;
		snapshot_hash(hash, bytes, n);
		hex_of(hash, ours);
		status = hash_ask(run, file, *good, n, theirs);
		if (status || strcmp(ours, theirs) != 0)
			break;
		*good += n;
	}
	mem_free(bytes);
	return status;
}

static int another_log(struct run *run)
{
	return say(run, REFUSED, "%s and the server differ before LSN %" PRIu64 ": it is a backup of another log; use another folder",
		   run->order->dir, run->old.end);
}

/* Whether a file of the backup here is the server's, as far as it goes here. */
static int file_compare(struct run *run, const struct backup_file *file)
{
	char theirs[33], ours[33], path[PATH_BYTES];
	uint64_t good = 0;
	int status;
	if (file->bytes <= HASH_RANGE) {
		hex_of(file->hash, ours);
		status = hash_ask(run, file->path, 0, file->bytes, theirs);
		return status ? status : strcmp(ours, theirs) != 0 ? another_log(run) : DONE;
	}
	path_of(run, path, file->path, "");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return say(run, REFUSED, "%s: %s", path, strerror(errno));
	status = prefix_good(run, fd, file->path, file->bytes, &good);
	close(fd);
	return status ? status : good < file->bytes ? another_log(run) : DONE;
}

/* The backup here and the server's log are one history: what this one ends with stands there as well. */
static int lineage_check(struct run *run)
{
	const struct backup *old = &run->old;
	const struct backup_file *last = NULL, *seed = backup_find(old, "seed");
	uint64_t base;
	if (!old->count)
		return DONE;
	for (size_t i = 0; i < old->count; i++)        /* in order */
		if (backup_segment(old->files[i].path, &base) && base < old->end)
			last = &old->files[i];
	if (old->end > run->held.files.end)
		return say(run, REFUSED, "%s is a backup up to LSN %" PRIu64 ", and the server's log ends at LSN %" PRIu64 ": it is another "
			   "log; use another folder", run->order->dir, old->end, run->held.files.end);
	if (!last || !seed || !backup_find(&run->held.files, last->path))
		return say(run, REFUSED, "%s ends at LSN %" PRIu64 ", and the server's log begins at LSN %" PRIu64 " now: what lies between is "
			   "gone; use another folder", run->order->dir, old->end, run->held.files.first);
	int status = file_compare(run, seed);
	return status ? status : file_compare(run, last);
}

/* ---- fetching --------------------------------------------------------------------------------------------------------- */

struct piece {
	struct client_call call;
	char path[256];
	uint64_t offset;
	size_t size;
	bool done;
};

static void piece_start(struct run *run, struct piece *piece, const char *file, uint64_t offset, size_t size)
{
	char name[BACKUP_PATH];
	file = backup_unname(file, name) ? name : file;
	snprintf(piece->path, sizeof piece->path, "/v1/backups/%s/bytes?file=%s&offset=%" PRIu64 "&size=%zu", run->held.id, file, offset, size);
	piece->call.method = "GET";
	piece->call.path = piece->path;
	piece->call.context = piece;
	piece->offset = offset;
	piece->size = size;
	piece->done = false;
	client_start(run->client, &piece->call);
}

/* DONE, what to do instead, or -1: no answer, try again. */
static int piece_take(struct run *run, struct piece *piece, int fd, const char *file)
{
	char hash[33];
	uint8_t hashed[BACKUP_HASH];
	if (!piece->call.status || piece->call.status == 503)
		return -1;
	if (piece->call.status != 200)
		return answer_refused(run, &piece->call, file);
	snapshot_hash(hashed, piece->call.answer.ptr, piece->call.answer.len);
	hex_of(hashed, hash);
	if (piece->call.answer.len != piece->size || strcmp(hash, piece->call.hash) != 0)
		return -1;                             /* broken on its way */
	for (size_t done = 0; done < piece->size;) {
		ssize_t n = pwrite(fd, piece->call.answer.ptr + done, piece->size - done, (off_t)(piece->offset + done));
		if (n < 0 && errno != EINTR)
			return say(run, FAILED, "%s cannot be written: %s", file, strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	run->fetched += piece->size;
	progress_add(&run->progress, piece->size);
	return DONE;
}

/* With a rate, pieces of an eighth of a second. */
static size_t piece_size(const struct run *run)
{
	uint64_t wanted = run->order->rate / 8 < 4096 ? 4096 : run->order->rate / 8;
	return run->order->rate && wanted < run->held.piece ? (size_t)wanted : run->held.piece;
}

static void rate_keep(struct run *run)
{
	double due = run->order->rate ? (double)run->fetched / (double)run->order->rate : 0, spent = seconds() - run->began;
	if (due > spent)
		pause_for(due - spent);
}

/* The bytes of `file` from `from` on. */
static int bytes_fetch(struct run *run, int fd, const struct backup_file *file, uint64_t from)
{
	struct piece pieces[FLIGHT] = { 0 };
	uint64_t asked = from, written = from;
	unsigned head = 0, count = 0;
	size_t most = piece_size(run);
	int status = DONE, tries = 0;
	while (written < file->bytes && !status) {
		while (count < FLIGHT && asked < file->bytes) {
			size_t n = file->bytes - asked < most ? (size_t)(file->bytes - asked) : most;
			rate_keep(run);
			piece_start(run, &pieces[(head + count++) % FLIGHT], file->path, asked, n);
			asked += n;
		}
		struct piece *oldest = &pieces[head];
		while (!oldest->done) {
			struct client_call *call = client_wait(run->client);
			((struct piece *)call->context)->done = true;
		}
		status = piece_take(run, oldest, fd, file->path);
		if (!status) {
			written += oldest->size;
			head = (head + 1) % FLIGHT;
			count--;
			tries = 0;
			continue;
		}
		while (client_wait(run->client))       /* those behind it come to nothing */
			;
		if (status > 0)
			break;
		status = ++tries < TRIES ? DONE : say(run, FAILED, "%s: %s, after %d tries", client_url(run->client),
						      *oldest->call.error ? oldest->call.error : "what it sends is broken", TRIES);
		pause_for(0.05 * (1 << tries));
		asked = written;
		head = count = 0;
	}
	for (unsigned i = 0; i < FLIGHT; i++)
		buf_free(&pieces[i].call.answer);
	return status;
}

static int file_copy(struct run *run, const char *from, const char *to, uint64_t bytes)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int failed = in < 0 || out < 0 ? errno : 0;
	unsigned char *part = mem_alloc(1 << 20);
	for (uint64_t done = 0; done < bytes && !failed;) {
		ssize_t n = pread(in, part, bytes - done < 1 << 20 ? (size_t)(bytes - done) : 1 << 20, (off_t)done);
		if (n == 0 || (n < 0 && errno != EINTR))
			failed = n ? errno : EIO;
		for (ssize_t at = 0; at < n && !failed;) {
			ssize_t w = pwrite(out, part + at, (size_t)(n - at), (off_t)(done + (uint64_t)at));
			if (w < 0 && errno != EINTR)
				failed = errno;
			at += w > 0 ? w : 0;
		}
		done += n > 0 ? (uint64_t)n : 0;
	}
	mem_free(part);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return failed ? say(run, FAILED, "%s cannot be copied: %s", from, strerror(failed)) : DONE;
}

/* NAME.part with what is here already of the file, as far as it is the server's. */
static int part_open(struct run *run, const struct backup_file *file, const struct backup_file *old, int *fd, uint64_t *from)
{
	char own[PATH_BYTES], part[PATH_BYTES];
	struct stat status;
	path_of(run, own, file->path, "");
	path_of(run, part, file->path, ".part");
	*from = 0;
	bool there = stat(part, &status) == 0 && (!old || (uint64_t)status.st_size >= old->bytes);
	if (!there && stat(own, &status) == 0) {
		/* Of one that no manifest names yet, an interrupted backup had come to the end. */
		int failed = old ? file_copy(run, own, part, old->bytes) : rename(own, part) ? say(run, FAILED, "%s: %s", own, strerror(errno)) : 0;
		if (failed)
			return failed;
		there = true;
	}
	*fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0 || fstat(*fd, &status))
		return say(run, FAILED, "%s cannot be written: %s", part, strerror(errno));
	uint64_t most = (uint64_t)status.st_size < file->bytes ? (uint64_t)status.st_size : file->bytes;
	int result = there ? prefix_good(run, *fd, file->path, most, from) : DONE;
	if (!result && ftruncate(*fd, (off_t)*from))
		result = say(run, FAILED, "%s cannot be written: %s", part, strerror(errno));
	progress_add(&run->progress, result ? 0 : *from);
	return result;
}

static int file_fetch(struct run *run, struct backup_file *file, const struct backup_file *old)
{
	char own[PATH_BYTES], part[PATH_BYTES];
	struct buf error = { 0 };
	int fd = -1;
	uint64_t from;
	int status = part_open(run, file, old, &fd, &from);
	if (!status)
		status = bytes_fetch(run, fd, file, from);
	path_of(run, own, file->path, "");
	path_of(run, part, file->path, ".part");
	if (!status && (ftruncate(fd, (off_t)file->size) || fsync(fd)))
		status = say(run, FAILED, "%s cannot be written: %s", part, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (!status && !backup_hash(part, file->path, file->bytes, file->hash, NULL, NULL, &error))
		status = say(run, FAILED, "%.*s", (int)error.len, error.ptr);
	if (!status && rename(part, own))
		status = say(run, FAILED, "%s cannot be renamed: %s", part, strerror(errno));
	buf_free(&error);
	return status;
}

/* A file that the backup has as the server has it. */
static bool have(const struct run *run, const struct backup_file *file, const struct backup_file *old)
{
	char path[PATH_BYTES];
	struct stat status;
	path_of(run, path, file->path, "");
	return old && old->bytes == file->bytes && stat(path, &status) == 0 && (uint64_t)status.st_size == file->size;
}

/* The log that the newest snapshot needs begins here; UINT64_MAX: not known yet. */
static uint64_t needed_from(struct run *run)
{
	struct buf error = { 0 };
	struct snapshot_manifest manifest;
	char dir[PATH_BYTES];
	path_of(run, dir, "snapshots", "");
	uint64_t from = snapshot_manifest_read(dir, run->held.snapshot_end, &manifest, &error) ? manifest.from : 0;
	snapshot_manifest_free(&manifest);
	buf_free(&error);
	return from;
}

static int folders_make(struct run *run)
{
	static const char *const folders[] = { "log", "snapshots", "ids" };
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		char path[PATH_BYTES];
		path_of(run, path, folders[i], "");
		if (mkdir(path, 0700) && errno != EEXIST)
			return say(run, FAILED, "cannot make %s: %s", path, strerror(errno));
	}
	return DONE;
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

/* Files that change under their name are called by their hash here. */
static int names_find(struct run *run)
{
	for (size_t i = 0; i < run->held.files.count; i++) {
		struct backup_file *file = &run->held.files.files[i];
		uint8_t hash[BACKUP_HASH] = { 0 };
		char text[33], name[BACKUP_PATH];
		if (!backup_name(file->path, hash, name))
			continue;
		int status = hash_ask(run, file->path, 0, file->bytes, text);
		if (status)
			return status;
		if (!hex_read(text, hash))
			return say(run, FAILED, "%s: its hash of %s is not understood", client_url(run->client), file->path);
		backup_name(file->path, hash, file->path);
	}
	return DONE;
}

/* The newest ones under the server's names as well, for check and dump. */
static int names_copy(struct run *run)
{
	for (size_t i = 0; i < run->made.count; i++) {
		char name[BACKUP_PATH], from[PATH_BYTES], temporary[PATH_BYTES], to[PATH_BYTES];
		if (!backup_unname(run->made.files[i].path, name))
			continue;
		path_of(run, from, run->made.files[i].path, "");
		path_of(run, temporary, name, ".part");
		path_of(run, to, name, "");
		int status = file_copy(run, from, temporary, run->made.files[i].bytes);
		if (status)
			return status;
		if (rename(temporary, to))
			return say(run, FAILED, "%s cannot be written: %s", to, strerror(errno));
	}
	return DONE;
}

/* What there is to do, in the order in which it is done: the seed, snapshots and others, then the log. */
static int files_fetch(struct run *run)
{
	uint64_t total = 0, base, needed = 0;
	int named = names_find(run);
	if (named)
		return named;
	for (size_t i = 0; i < run->held.files.count; i++)
		if (!have(run, &run->held.files.files[i], backup_find(&run->old, run->held.files.files[i].path)))
			total += run->held.files.files[i].bytes;
	progress_begin(&run->progress, "fetching", total);
	run->progress.silent = run->order->quiet;
	for (int turn = 0; turn < 2; turn++) {
		if (turn && run->order->state_only && run->held.snapshot_end)
			needed = run->old.count ? run->old.end : needed_from(run);
		for (size_t i = 0; i < run->held.files.count; i++) {
			struct backup_file file = run->held.files.files[i];
			const struct backup_file *old = backup_find(&run->old, file.path);
			bool segment = backup_segment(file.path, &base);
			if (segment != (turn == 1))
				continue;
			if (segment && base + file.size <= needed && !old) {
				run->progress.total -= file.bytes;
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
	progress_end(&run->progress);
	return DONE;
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
	unsigned snapshots = run->held.snapshot_end ? 1 : 0;
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

/* What came is whole: a damaged file of the server's is not copied in silence. */
static int verify(struct run *run)
{
	struct buf error = { 0 }, torn = { 0 };
	struct snapshot_manifest manifest = { 0 };
	char dir[PATH_BYTES];
	struct backup *made = &run->made;
	bool good = true;
	made->made_ms = run->held.files.made_ms;
	made->end = run->held.files.end;
	made->time_ms = run->old.time_ms;
	made->epoch = run->old.epoch;
	for (size_t i = made->count; i-- > 0;)
		backup_segment(made->files[i].path, &made->first);     /* the first one's */
	path_of(run, dir, "log", "");
	good = wal_verify_to(dir, run->old.end, made->end, frame_note, made, &error, &torn);
	if (good && run->held.snapshot_end) {
		path_of(run, dir, "snapshots", "");
		good = snapshot_verify(dir, run->held.snapshot_end, &manifest, &error);
	}
	snapshot_manifest_free(&manifest);
	if (!good)
		say(run, REFUSED, "DAMAGED, on the server as well: %.*s", (int)error.len, error.ptr);
	buf_free(&error);
	buf_free(&torn);
	return good ? DONE : REFUSED;
}

/* Removes what no manifest names: parts, files of interrupted backups, what was not kept. */
static void sweep(struct run *run)
{
	static const char *const folders[] = { "log", "snapshots", "ids" };
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		char dir_path[PATH_BYTES], file[PATH_BYTES], name[BACKUP_PATH + 300], other[BACKUP_PATH];
		path_of(run, dir_path, folders[i], "");
		DIR *dir = opendir(dir_path);
		for (struct dirent *entry; dir && (entry = readdir(dir));) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(name, sizeof name, "%s/%s", folders[i], entry->d_name);
			path_of(run, file, name, "");
			uint8_t none[BACKUP_HASH] = { 0 };
			if (!backup_find(&run->made, name) && !backup_name(name, none, other))
				unlink(file);
		}
		if (dir)
			closedir(dir);
		rmdir(dir_path);               /* an empty one */
	}
}

static int manifest_write(struct run *run)
{
	static const char *const folders[] = { "log", "snapshots", "ids" };
	struct buf error = { 0 };
	char path[PATH_BYTES];
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		path_of(run, path, folders[i], "");
		int failed = snapshot_dir_sync(path);
		if (failed)
			return say(run, FAILED, "%s cannot be made durable: %s", path, strerror(failed));
	}
	bool good = backup_write(run->order->dir, &run->made, &error);
	if (!good)
		say(run, FAILED, "%.*s", (int)error.len, error.ptr);
	buf_free(&error);
	if (!good)
		return FAILED;
	path_of(run, path, BACKUP_UNFINISHED, "");
	unlink(path);
	int status = names_copy(run);
	sweep(run);
	return status;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

static bool folder_empty(const char *path)
{
	bool empty = true;
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir)
		closedir(dir);
	return empty;
}

/* The folder is a backup, the beginning of one, or nothing; it is ours then. */
static int folder_take(struct run *run, int *lock)
{
	struct buf error = { 0 };
	char path[PATH_BYTES];
	bool bad, there = backup_read(run->order->dir, &run->old, &bad, &error);
	path_of(run, path, BACKUP_UNFINISHED, "");
	int status = DONE;
	if (bad)
		status = say(run, REFUSED, "%.*s", (int)error.len, error.ptr);
	else if (!there && access(path, F_OK) != 0 && !folder_empty(run->order->dir))
		status = say(run, REFUSED, "%s is not empty and holds no backup", run->order->dir);
	if (!status) {
		*lock = node_lock(run->order->dir, &error);
		if (*lock < 0)
			status = say(run, FAILED, "%.*s", (int)error.len, error.ptr);
	}
	if (!status && !there) {
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			status = say(run, FAILED, "%s cannot be written: %s", path, strerror(errno));
		else
			close(fd);
	}
	buf_free(&error);
	return status ? status : folders_make(run);
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
	if (status != AGAIN)
		let_go(run);
	return status;
}

int backup_fetch(const struct backup_order *order, struct backup_outcome *outcome)
{
	struct run run = { .order = order, .began = seconds() };
	int lock = -1, status;
	*outcome = (struct backup_outcome){ 0 };
	run.client = client_new(order->url);
	if (!run.client)
		return command_misuse(order->command, "--from %s: http://ADDR:PORT was expected", order->url);
	status = folder_take(&run, &lock);
	for (int i = 0; !status && i < SESSIONS; i++) {
		status = session(&run);
		if (status != AGAIN)
			break;
		run.held.id[0] = '\0';
		status = i + 1 < SESSIONS ? DONE : say(&run, FAILED, "%s started anew time and again", client_url(run.client));
	}
	if (!status) {
		outcome->backup = run.made;
		outcome->fetched = run.fetched;
		outcome->snapshot = run.held.snapshot_end;
	} else {
		backup_free(&run.made);
	}
	backup_free(&run.old);
	backup_free(&run.held.files);
	buf_free(&run.call.answer);
	client_free(run.client);
	if (lock >= 0)
		close(lock);
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
