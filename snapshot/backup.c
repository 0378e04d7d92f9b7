// SPDX-License-Identifier: Apache-2.0
#include "snapshot/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "snapshot/store.h"
#include "wal/files.h"

#define BACKUP_HEAD "tally backup "

enum { STEP = 1 << 20, MANIFEST_MAX = 256 << 20, HASH_LINE = 5 + 32 + 1 };

void backup_free(struct backup *backup)
{
	mem_free(backup->files);
	*backup = (struct backup){ 0 };
}

void backup_add(struct backup *backup, const struct backup_file *file)
{
	if ((backup->count & (backup->count - 1)) == 0)
		backup->files = mem_realloc(backup->files, (backup->count ? 2 * backup->count : 1) * sizeof *backup->files);
	backup->files[backup->count++] = *file;
}

const struct backup_file *backup_find(const struct backup *backup, const char *path)
{
	for (size_t i = 0; i < backup->count; i++)
		if (strcmp(backup->files[i].path, path) == 0)
			return &backup->files[i];
	return NULL;
}

uint64_t backup_bytes(const struct backup *backup)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < backup->count; i++)
		sum += backup->files[i].bytes;
	return sum;
}

/* ---- names ------------------------------------------------------------------------------------------------------------ */

bool backup_path_good(struct str path)
{
	unsigned slashes = 0;
	char before = '/';
	if (!path.len || path.len >= BACKUP_PATH)
		return false;
	for (size_t i = 0; i < path.len; i++) {
		char c = path.ptr[i];
		bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!word && !((c == '.' || c == '/') && before != '.' && before != '/'))
			return false;
		slashes += c == '/';
		before = c;
	}
	return slashes <= 1 && before != '/' && before != '.';
}

static bool hex_name(const char *name, const char *suffix, uint64_t *value)
{
	if (strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, suffix) != 0)
		return false;
	*value = strtoull(name, NULL, 16);
	return true;
}

bool backup_segment(const char *path, uint64_t *base)
{
	return strncmp(path, "log/", 4) == 0 && hex_name(path + 4, ".log", base);
}

bool backup_snapshot(const char *path, uint64_t *end)
{
	return strncmp(path, "snapshots/", 10) == 0 && (hex_name(path + 10, ".data", end) || hex_name(path + 10, ".manifest", end));
}

#define CHANGING "ids/manifest"

bool backup_name(const char *path, const uint8_t hash[BACKUP_HASH], char name[BACKUP_PATH])
{
	if (strcmp(path, CHANGING) != 0)
		return false;
	int len = snprintf(name, BACKUP_PATH, CHANGING ".");
	for (int i = 0; i < 8; i++)
		len += snprintf(name + len, (size_t)(BACKUP_PATH - len), "%02x", hash[i]);
	return true;
}

bool backup_unname(const char *name, char path[BACKUP_PATH])
{
	if (strncmp(name, CHANGING ".", sizeof CHANGING) != 0)
		return false;
	snprintf(path, BACKUP_PATH, CHANGING);
	return true;
}

/* ---- the manifest ----------------------------------------------------------------------------------------------------- */

static void hash_line(struct buf *out, const char *text, size_t len)
{
	uint8_t hash[BACKUP_HASH];
	snapshot_hash(hash, text, len);
	buf_lit(out, "hash ");
	buf_hex(out, hash, sizeof hash);
	buf_char(out, '\n');
}

void backup_encode(const struct backup *backup, struct buf *out)
{
	size_t start = out->len;
	buf_printf(out, BACKUP_HEAD "%d\nmade ", BACKUP_VERSION);
	time_write(out, backup->made_ms);
	buf_printf(out, "\nlog %" PRIu64 " %" PRIu64 " epoch %" PRIu32 " ", backup->first, backup->end, backup->epoch);
	time_write(out, backup->time_ms);
	buf_char(out, '\n');
	for (size_t i = 0; i < backup->count; i++) {
		const struct backup_file *file = &backup->files[i];
		buf_lit(out, "file ");
		buf_hex(out, file->hash, sizeof file->hash);
		buf_printf(out, " %" PRIu64 " %" PRIu64 " %s\n", file->bytes, file->size, file->path);
	}
	hash_line(out, out->ptr + start, out->len - start);
}

struct reader {
	const char *at, *end;          /* of the line */
};

static bool take_word(struct reader *r, struct str *word)
{
	const char *start = r->at;
	while (r->at < r->end && *r->at != ' ')
		r->at++;
	*word = (struct str){ start, (size_t)(r->at - start) };
	if (r->at < r->end)
		r->at++;
	return word->len > 0;
}

static bool take_name(struct reader *r, const char *name)
{
	struct str word;
	return take_word(r, &word) && str_eq(word, str_of(name));
}

static bool take_number(struct reader *r, uint64_t *value)
{
	struct str word;
	*value = 0;
	if (!take_word(r, &word) || word.len > 19)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		if (word.ptr[i] < '0' || word.ptr[i] > '9')
			return false;
		*value = *value * 10 + (uint64_t)(word.ptr[i] - '0');
	}
	return true;
}

static bool take_time(struct reader *r, int64_t *time_ms)
{
	struct str word;
	return take_word(r, &word) && time_parse(word, time_ms);
}

static bool take_hash(struct reader *r, uint8_t hash[BACKUP_HASH])
{
	struct str word;
	if (!take_word(r, &word) || word.len != 2 * BACKUP_HASH)
		return false;
	for (size_t i = 0; i < word.len; i++) {
		char c = word.ptr[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (digit < 0)
			return false;
		hash[i / 2] = (uint8_t)(i % 2 ? hash[i / 2] | digit : digit << 4);
	}
	return true;
}

static bool take_line(struct backup *backup, unsigned number, struct reader r)
{
	struct backup_file file = { 0 };
	struct str path;
	uint64_t epoch;
	if (number == 1)
		return take_name(&r, "made") && take_time(&r, &backup->made_ms) && r.at == r.end;
	if (number == 2) {
		bool good = take_name(&r, "log") && take_number(&r, &backup->first) && take_number(&r, &backup->end) &&
			    take_name(&r, "epoch") && take_number(&r, &epoch) && epoch <= UINT32_MAX &&
			    take_time(&r, &backup->time_ms) && r.at == r.end;
		backup->epoch = good ? (uint32_t)epoch : 0;
		return good;
	}
	if (!take_name(&r, "file") || !take_hash(&r, file.hash) || !take_number(&r, &file.bytes) || !take_number(&r, &file.size) ||
	    file.bytes > file.size)
		return false;
	path = (struct str){ r.at, (size_t)(r.end - r.at) };
	if (!backup_path_good(path))
		return false;
	memcpy(file.path, path.ptr, path.len);
	backup_add(backup, &file);
	return true;
}

/* The segments are one behind the other and cover the log; there is a seed. */
static bool makes_sense(const struct backup *backup)
{
	uint64_t at = backup->first, base;
	for (size_t i = 0; i < backup->count; i++) {
		const struct backup_file *file = &backup->files[i];
		if (!backup_segment(file->path, &base))
			continue;
		if (base != at || (file->bytes != file->size && base + file->bytes != backup->end))
			return false;
		at = base + file->size;
	}
	return backup->first < backup->end && at >= backup->end && backup_find(backup, "seed");
}

bool backup_decode(struct str text, struct backup *backup, struct buf *error)
{
	const size_t head = sizeof BACKUP_HEAD - 1;
	struct buf wanted = { 0 };
	*backup = (struct backup){ 0 };
	if (text.len < head || memcmp(text.ptr, BACKUP_HEAD, head) != 0) {
		buf_lit(error, "it is no manifest of a backup");
		return false;
	}
	const char *end = text.ptr + text.len, *line = memchr(text.ptr, '\n', text.len);
	struct reader first = { text.ptr + head, line ? line : end };
	uint64_t version;
	/* The version first: how a newer one ends is not known here. */
	if (take_number(&first, &version) && version > BACKUP_VERSION) {
		buf_printf(error, "it is a backup of format %" PRIu64 ", and this version reads format %d: a newer version wrote it", version,
			   BACKUP_VERSION);
		return false;
	}
	bool good = text.len > HASH_LINE && version >= 1;
	if (good)
		hash_line(&wanted, text.ptr, text.len - HASH_LINE);
	if (!good || memcmp(wanted.ptr, end - HASH_LINE, HASH_LINE) != 0) {
		buf_lit(error, "the manifest's hash differs");
		buf_free(&wanted);
		return false;
	}
	buf_free(&wanted);
	end -= HASH_LINE;
	unsigned number = 1;
	for (const char *at = line + 1; at < end; number++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		if (!stop || !take_line(backup, number, (struct reader){ at, stop })) {
			buf_printf(error, "line %u of the manifest is not understood", number + 1);
			return false;
		}
		at = stop + 1;
	}
	if (number > 2 && makes_sense(backup))
		return true;
	buf_lit(error, "the manifest contradicts itself");
	return false;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

bool backup_read(const char *dir, struct backup *backup, bool *bad, struct buf *error)
{
	char path[FILES_PATH];
	struct buf text = { 0 };
	*backup = (struct backup){ 0 };
	*bad = false;
	snprintf(path, sizeof path, "%s/" BACKUP_MANIFEST, dir);
	int64_t size = files_size(path);
	if (size < 0 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	int fd = size < 0 ? -1 : files_open(path, O_RDONLY);
	bool good = fd >= 0 && size <= MANIFEST_MAX;
	if (!good)
		buf_printf(error, "%s cannot be read: %s", path, fd < 0 ? strerror(errno) : "it is too large");
	if (good) {
		buf_room(&text, (size_t)size + 1);
		ssize_t n = files_read(fd, text.ptr, (size_t)size, 0);
		good = n >= 0;
		text.len = good ? (size_t)n : 0;
		if (!good)
			buf_printf(error, "%s cannot be read: %s", path, strerror(errno));
	}
	if (fd >= 0)
		wal_io.close(fd);
	if (good) {
		struct buf why = { 0 };
		good = backup_decode(buf_view(&text), backup, &why);
		if (!good)
			buf_printf(error, "%s: %.*s", path, (int)why.len, why.ptr);
		buf_free(&why);
	}
	buf_free(&text);
	*bad = !good;
	return true;
}

/* The one before goes with the rename: what takes its place must be there. */
static int read_back(int fd, const struct buf *text)
{
	char *bytes = mem_alloc(text->len);
	ssize_t n = files_read(fd, bytes, text->len, 0);
	int failed = n < 0 ? errno : (size_t)n < text->len || memcmp(bytes, text->ptr, text->len) != 0 ? EIO : 0;
	mem_free(bytes);
	return failed;
}

bool backup_write(const char *dir, const struct backup *backup, struct buf *error)
{
	char path[FILES_PATH], temporary[FILES_PATH];
	struct buf text = { 0 };
	snprintf(temporary, sizeof temporary, "%s/" BACKUP_MANIFEST ".new", dir);
	backup_encode(backup, &text);
	snprintf(path, sizeof path, "%s/" BACKUP_MANIFEST, dir);
	int fd = files_open(temporary, O_RDWR | O_CREAT | O_TRUNC), failed = fd < 0 ? errno : files_write(fd, text.ptr, text.len, 0);
	if (!failed)
		failed = files_sync(fd);
	if (!failed)
		failed = read_back(fd, &text);
	if (fd >= 0)
		wal_io.close(fd);
	if (!failed)
		failed = files_rename(temporary, path);
	if (!failed)
		failed = files_sync_dir(dir);
	if (failed)
		buf_printf(error, "cannot write %s: %s", path, strerror(failed));
	buf_free(&text);
	return !failed;
}

bool backup_hash(const char *path, const char *shown, uint64_t bytes, uint8_t hash[BACKUP_HASH], backup_progress_fn *progress,
		 void *context, struct buf *error)
{
	XXH3_state_t *state = XXH3_createState();
	unsigned char *part = mem_alloc(STEP);
	int fd = files_open(path, O_RDONLY);
	bool good = fd >= 0 && state;
	if (!good)
		buf_printf(error, "%s cannot be opened: %s", shown, strerror(errno));
	else
		XXH3_128bits_reset(state);
	if (fd >= 0)
		wal_io.advise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	for (uint64_t done = 0; good && done < bytes;) {
		size_t wanted = bytes - done < STEP ? (size_t)(bytes - done) : STEP;
		ssize_t n = files_read(fd, part, wanted, done);
		if (n < 0)
			buf_printf(error, "%s cannot be read from byte %" PRIu64 ": %s", shown, done, strerror(errno));
		else if (n == 0)
			buf_printf(error, "%s ends after %" PRIu64 " bytes, and should have %" PRIu64, shown, done, bytes);
		good = n > 0;
		if (!good)
			break;
		XXH3_128bits_update(state, part, (size_t)n);
		done += (uint64_t)n;
		if (progress)
			progress(context, (uint64_t)n);
	}
	if (good) {
		XXH128_canonical_t canonical;
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(hash, canonical.digest, BACKUP_HASH);
	}
	if (fd >= 0)
		wal_io.close(fd);
	XXH3_freeState(state);
	mem_free(part);
	return good;
}

bool backup_verify(const char *dir, const struct backup *backup, backup_progress_fn *progress, void *context, struct buf *error)
{
	bool good = true;
	for (size_t i = 0; i < backup->count; i++) {
		const struct backup_file *file = &backup->files[i];
		char path[FILES_PATH];
		uint8_t hash[BACKUP_HASH];
		size_t before = error->len;
		if (before)
			buf_char(error, '\n');
		size_t start = error->len;
		snprintf(path, sizeof path, "%s/%s", dir, file->path);
		int64_t size = files_size(path);
		if (size < 0)
			buf_printf(error, "%s is missing: %s", file->path, strerror(errno));
		else if ((uint64_t)size != file->size)
			buf_printf(error, "%s has %lld bytes, and should have %" PRIu64, file->path, (long long)size, file->size);
		else if (backup_hash(path, file->path, file->bytes, hash, progress, context, error) &&
			 memcmp(hash, file->hash, sizeof hash) != 0)
			buf_printf(error, "%s: the hash of its first %" PRIu64 " bytes differs", file->path, file->bytes);
		if (error->len == start)
			error->len = before;
		else
			good = false;
	}
	return good;
}
