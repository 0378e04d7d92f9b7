// SPDX-License-Identifier: Apache-2.0
#include "snapshot/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "wal/files.h"

static const char manifest_magic[8] = "TALLYSNM", data_magic[8] = "TALLYSND";

struct manifest_head {
	char magic[8];
	uint32_t version, count;
	uint64_t from, end;
	int64_t time_ms;
	uint64_t data_size, raw_size;
	uint32_t epoch, reserved;
};

/* Each partition stands in one section, the shared piece in one. */
enum { MANIFEST_MAX = sizeof(struct manifest_head) + (PARTITION_COUNT + 1) * sizeof(struct snapshot_section) + 16 };

static_assert(sizeof(struct manifest_head) == 64 && sizeof(struct snapshot_section) == 56, "the layout of the format");

void snapshot_hash(uint8_t hash[16], const void *bytes, size_t len)
{
	XXH128_canonical_t canonical;
	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, len));
	memcpy(hash, canonical.digest, 16);
}

void snapshot_name(char name[SNAPSHOT_NAME], uint64_t end, const char *suffix)
{
	snprintf(name, SNAPSHOT_NAME, "%016llx.%s", (unsigned long long)end, suffix);
}

void snapshot_data_head(unsigned char head[SNAPSHOT_DATA_HEAD])
{
	const uint32_t version = SNAPSHOT_VERSION;
	memset(head, 0, SNAPSHOT_DATA_HEAD);
	memcpy(head, data_magic, sizeof data_magic);
	memcpy(head + 8, &version, sizeof version);
}

void snapshot_manifest_free(struct snapshot_manifest *manifest)
{
	mem_free(manifest->sections);
	*manifest = (struct snapshot_manifest){ 0 };
}

/* ---- manifests -------------------------------------------------------------------------------------------------------- */

void snapshot_manifest_encode(const struct snapshot_manifest *manifest, struct buf *out)
{
	struct manifest_head head = { .version = SNAPSHOT_VERSION, .count = manifest->count, .from = manifest->from,
				      .end = manifest->end, .time_ms = manifest->time_ms, .data_size = manifest->data_size,
				      .raw_size = manifest->raw_size, .epoch = manifest->epoch };
	uint8_t hash[16];
	size_t start = out->len;
	memcpy(head.magic, manifest_magic, sizeof head.magic);
	buf_bytes(out, &head, sizeof head);
	buf_bytes(out, manifest->sections, manifest->count * sizeof *manifest->sections);
	snapshot_hash(hash, out->ptr + start, out->len - start);
	buf_bytes(out, hash, sizeof hash);
}

/* Each partition once, the shared piece once, all within the data file. */
static bool sections_make_sense(const struct snapshot_manifest *manifest)
{
	bool partitions[PARTITION_COUNT] = { false }, shared = false;
	uint64_t at = SNAPSHOT_DATA_HEAD, raw = 0, from = manifest->end;
	for (uint32_t i = 0; i < manifest->count; i++) {
		const struct snapshot_section *section = &manifest->sections[i];
		if (section->offset != at || section->raw_size > SNAPSHOT_RAW_MAX ||
		    section->raw_size > (uint64_t)section->size * SNAPSHOT_PACK_MAX || section->lsn > manifest->end ||
		    section->floor > section->lsn || !section->size != !section->raw_size)
			return false;
		at += section->size;
		raw += section->raw_size;
		from = section->floor < from ? section->floor : from;
		if (section->partition == SNAPSHOT_SHARED) {
			if (shared)
				return false;
			shared = true;
			continue;
		}
		if (section->partition >= section->behind || section->behind > PARTITION_COUNT ||
		    group_of(section->partition) != group_of(section->behind - 1u))
			return false;
		for (unsigned p = section->partition; p < section->behind; p++) {
			if (partitions[p])
				return false;
			partitions[p] = true;
		}
	}
	for (unsigned p = 0; p < PARTITION_COUNT; p++)
		if (!partitions[p])
			return false;
	return shared && at == manifest->data_size && raw == manifest->raw_size && from == manifest->from;
}

bool snapshot_manifest_decode(const void *bytes, size_t len, struct snapshot_manifest *manifest, struct buf *error)
{
	struct manifest_head head;
	uint8_t hash[16];
	*manifest = (struct snapshot_manifest){ 0 };
	if (len < sizeof head + sizeof hash) {
		buf_lit(error, "the manifest is too short");
		return false;
	}
	memcpy(&head, bytes, sizeof head);
	if (memcmp(head.magic, manifest_magic, sizeof head.magic) != 0) {
		buf_lit(error, "it is no manifest of a snapshot");
		return false;
	}
	snapshot_hash(hash, bytes, len - sizeof hash);
	if (memcmp(hash, (const char *)bytes + len - sizeof hash, sizeof hash) != 0) {
		buf_lit(error, "the manifest's checksum differs");
		return false;
	}
	if (head.version != SNAPSHOT_VERSION) {
		buf_printf(error, "it is a snapshot of format %u, and this version reads format %u: a newer version wrote it",
			   head.version, SNAPSHOT_VERSION);
		return false;
	}
	if (head.count > (len - sizeof head - sizeof hash) / sizeof *manifest->sections ||
	    head.count * sizeof *manifest->sections != len - sizeof head - sizeof hash || head.reserved) {
		buf_lit(error, "the manifest's size differs from what it says");
		return false;
	}
	*manifest = (struct snapshot_manifest){ .from = head.from, .end = head.end, .time_ms = head.time_ms,
						.data_size = head.data_size, .raw_size = head.raw_size, .epoch = head.epoch,
						.count = head.count };
	manifest->sections = mem_dup((const char *)bytes + sizeof head, head.count * sizeof *manifest->sections);
	if (!sections_make_sense(manifest)) {
		buf_lit(error, "the manifest contradicts itself");
		return false;
	}
	return true;
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static int open_in(const char *dir, uint64_t end, const char *suffix, struct buf *error)
{
	char name[SNAPSHOT_NAME];
	snapshot_name(name, end, suffix);
	int fd = snapshot_file_open(dir, name, O_RDONLY);
	int failed = errno;
	if (fd < 0)
		buf_printf(error, "%s cannot be opened: %s", name, strerror(failed));
	errno = failed;
	return fd;
}

/* False: an errno, or EIO at the file's end. */
static bool read_at(int fd, void *out, size_t size, uint64_t offset)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = wal_io.read(fd, (char *)out + done, size - done, (off_t)(offset + done));
		if (n == 0)
			errno = EIO;
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Bytes of a file, or -1 with an errno. */
static int64_t size_of(const char *dir, const char *name)
{
	int folder = wal_io.open_dir(dir);
	if (folder < 0)
		return -1;
	int64_t size = wal_io.size(folder, name);
	int failed = errno;
	wal_io.close(folder);
	errno = failed;
	return size;
}

static bool data_size_is(const char *dir, uint64_t end, uint64_t wanted, int *failed, struct buf *error)
{
	char name[SNAPSHOT_NAME];
	snapshot_name(name, end, "data");
	int64_t size = size_of(dir, name);
	*failed = size < 0 && errno != ENOENT ? errno : 0;
	if (size < 0)
		buf_printf(error, "%s cannot be opened: %s", name, strerror(errno));
	else if ((uint64_t)size != wanted)
		buf_printf(error, "its data file has %lld bytes and should have %llu", (long long)size, (unsigned long long)wanted);
	return size >= 0 && (uint64_t)size == wanted;
}

bool snapshot_manifest_try(const char *dir, uint64_t end, struct snapshot_manifest *manifest, int *failed, struct buf *error)
{
	char name[SNAPSHOT_NAME];
	*manifest = (struct snapshot_manifest){ 0 };
	*failed = 0;
	int fd = open_in(dir, end, "manifest", error);
	if (fd < 0) {
		*failed = errno;
		return false;
	}
	snapshot_name(name, end, "manifest");
	int64_t found = size_of(dir, name);
	if (found > MANIFEST_MAX) {
		buf_printf(error, "the manifest has %lld bytes, and %d are the most", (long long)found, (int)MANIFEST_MAX);
		wal_io.close(fd);
		return false;
	}
	bool good = found >= 0;
	*failed = good ? 0 : errno;
	size_t size = good ? (size_t)found : 0;
	unsigned char *bytes = mem_alloc(size);
	if (good && !read_at(fd, bytes, size, 0)) {
		*failed = errno;
		good = false;
	}
	if (!good)
		buf_printf(error, "the manifest cannot be read: %s", strerror(*failed));
	wal_io.close(fd);
	good = good && snapshot_manifest_decode(bytes, size, manifest, error);
	mem_free(bytes);
	if (good && manifest->end != end) {
		buf_lit(error, "the manifest is another snapshot's");
		good = false;
	}
	return good && data_size_is(dir, end, manifest->data_size, failed, error);
}

bool snapshot_manifest_read(const char *dir, uint64_t end, struct snapshot_manifest *manifest, struct buf *error)
{
	int failed;
	return snapshot_manifest_try(dir, end, manifest, &failed, error);
}

int snapshot_data_open(const char *dir, uint64_t end, struct buf *error)
{
	unsigned char head[SNAPSHOT_DATA_HEAD], wanted[SNAPSHOT_DATA_HEAD];
	int fd = open_in(dir, end, "data", error);
	if (fd < 0)
		return -1;
	snapshot_data_head(wanted);
	if (read_at(fd, head, sizeof head, 0) && memcmp(head, wanted, sizeof head) == 0) {
		wal_io.advise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		return fd;
	}
	buf_lit(error, "its data file does not begin as one");
	wal_io.close(fd);
	return -1;
}

bool snapshot_section_read(int fd, const struct snapshot_section *section, struct buf *packed, struct buf *raw, struct buf *error)
{
	uint8_t hash[16];
	packed->len = raw->len = 0;
	buf_room(packed, section->size);
	buf_room(raw, section->raw_size);
	if (!section->size)
		return true;
	if (!read_at(fd, packed->ptr, section->size, section->offset)) {
		buf_printf(error, "its data file cannot be read at byte %llu: %s", (unsigned long long)section->offset,
			   strerror(errno));
		return false;
	}
	snapshot_hash(hash, packed->ptr, section->size);
	if (memcmp(hash, section->hash, sizeof hash) != 0 && MUTATE(51, true, false)) {
		buf_printf(error, "the checksum differs: %u bytes from byte %llu of its data file", section->size,
			   (unsigned long long)section->offset);
		return false;
	}
	size_t size = ZSTD_decompress(raw->ptr, section->raw_size, packed->ptr, section->size);
	if (ZSTD_isError(size) || size != section->raw_size) {
		buf_printf(error, "%u bytes from byte %llu of its data file cannot be decompressed", section->size,
			   (unsigned long long)section->offset);
		return false;
	}
	raw->len = size;
	return true;
}

bool snapshot_verify(const char *dir, uint64_t end, struct snapshot_manifest *manifest, struct buf *error)
{
	struct buf packed = { 0 }, raw = { 0 };
	if (!snapshot_manifest_read(dir, end, manifest, error))
		return false;
	int fd = snapshot_data_open(dir, end, error);
	bool good = fd >= 0;
	for (uint32_t i = 0; i < manifest->count && good; i++)
		good = snapshot_section_read(fd, &manifest->sections[i], &packed, &raw, error);
	if (fd >= 0)
		wal_io.close(fd);
	buf_free(&packed);
	buf_free(&raw);
	return good;
}

/* ---- the folder ------------------------------------------------------------------------------------------------------- */

/* 16 lower-case hex digits and the suffix. */
static bool name_parse(const char *name, const char *suffix, uint64_t *end)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < 16; i++) {
		char c = name[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
		if (digit == 16)
			return false;
		value = value << 4 | digit;
	}
	*end = value;
	return name[16] == '.' && strcmp(name + 17, suffix) == 0;
}

static int newest_first(const void *a, const void *b)
{
	uint64_t one, other;
	memcpy(&one, a, sizeof one);
	memcpy(&other, b, sizeof other);
	return (one < other) - (one > other);
}

/* The names in a folder that end in a suffix, by what stands before it. */
struct names {
	const char *suffix;
	struct buf found;              /* u64 */
};

static bool names_take(void *context, const char *name)
{
	struct names *names = context;
	uint64_t end;
	if (name_parse(name, names->suffix, &end))
		buf_bytes(&names->found, &end, sizeof end);
	return true;
}

/* 0 or an errno; a folder that is not there is ENOENT. */
static int names_list(const char *dir, struct names *names)
{
	int folder = wal_io.open_dir(dir), failed = folder < 0 ? errno : 0;
	if (!failed && wal_io.list(folder, names_take, names) != 0)
		failed = errno;
	if (folder >= 0)
		wal_io.close(folder);
	return failed;
}

bool snapshot_list(const char *dir, uint64_t **ends, size_t *count, struct buf *error)
{
	struct names names = { .suffix = "manifest" };
	*ends = NULL;
	*count = 0;
	int failed = names_list(dir, &names);
	if (failed && failed != ENOENT)
		buf_printf(error, "cannot list %s: %s", dir, strerror(failed));
	if (!failed) {
		*count = names.found.len / sizeof **ends;
		*ends = mem_dup(names.found.ptr, names.found.len);
		qsort(*ends, *count, sizeof **ends, newest_first);
	}
	buf_free(&names.found);
	return !failed || failed == ENOENT;
}

int snapshot_file_open(const char *dir, const char *name, int flags)
{
	int folder = wal_io.open_dir(dir), fd = folder < 0 ? -1 : wal_io.open(folder, name, flags), failed = errno;
	if (folder >= 0)
		wal_io.close(folder);
	errno = failed;
	return fd;
}

static int remove_in(const char *dir, const char *name)
{
	int folder = wal_io.open_dir(dir), failed = folder < 0 ? errno : 0;
	if (!failed && wal_io.unlink(folder, name) != 0)
		failed = errno;
	if (folder >= 0)
		wal_io.close(folder);
	return failed == ENOENT ? 0 : failed;
}

int snapshot_remove(const char *dir, uint64_t end)
{
	char name[SNAPSHOT_NAME];
	snapshot_name(name, end, "manifest");  /* first: data without a manifest is nothing, a manifest without data is damage */
	int failed = remove_in(dir, name);
	if (!failed)
		failed = files_sync_dir(dir);
	snapshot_name(name, end, "data");
	return failed ? failed : remove_in(dir, name);
}

static bool among(const uint64_t *ends, size_t count, uint64_t end)
{
	for (size_t i = 0; i < count; i++)
		if (ends[i] == end)
			return true;
	return false;
}

int snapshot_prune(const char *dir, size_t keep)
{
	return snapshot_thin(dir, keep, 0, 0);
}

/* Moves those that stay to the front, newest first; how many they are. */
static size_t chosen(uint64_t *ends, size_t count, size_t keep, uint64_t floor, uint64_t step)
{
	size_t oldest = count, kept = count < keep ? count : keep;
	uint64_t last = 0, *stay = mem_alloc((count + 1) * sizeof *stay);
	size_t n = 0, to = kept;
	for (size_t i = count; i-- > 0 && step;)
		if (ends[i] <= floor || oldest == count)
			oldest = i;            /* without one before the floor: the oldest there is */
	for (size_t i = oldest + 1; i-- > kept && oldest < count;)
		if (i == oldest || ends[i] - last >= step)
			stay[n++] = last = ends[i];
	for (size_t i = kept; i < count; i++) {        /* behind the newest: those chosen, then the others */
		bool stays = false;
		for (size_t k = 0; k < n; k++)
			stays |= stay[k] == ends[i];
		if (!stays)
			continue;
		uint64_t end = ends[i];
		memmove(&ends[to + 1], &ends[to], (i - to) * sizeof *ends);
		ends[to++] = end;
	}
	mem_free(stay);
	return to;
}

int snapshot_thin(const char *dir, size_t keep, uint64_t floor, uint64_t step)
{
	struct buf error = { 0 };
	struct names data = { .suffix = "data" };
	uint64_t *ends, end;
	size_t count;
	int failed = snapshot_list(dir, &ends, &count, &error) ? 0 : EIO;
	buf_free(&error);
	size_t stay = chosen(ends, count, keep, floor, step);
	for (size_t i = stay; i < count && !failed; i++)
		failed = snapshot_remove(dir, ends[i]);
	int listed = failed ? failed : names_list(dir, &data);
	for (size_t at = 0; at < data.found.len && !listed && !failed; at += sizeof end) {
		char name[SNAPSHOT_NAME];
		memcpy(&end, data.found.ptr + at, sizeof end);
		snapshot_name(name, end, "data");
		if (!among(ends, count, end))
			failed = remove_in(dir, name);
	}
	if (!failed && !listed)
		failed = remove_in(dir, "new.data");
	if (!failed && !listed)
		failed = remove_in(dir, "new.manifest");
	buf_free(&data.found);
	mem_free(ends);
	return failed;
}
