// SPDX-License-Identifier: Apache-2.0
#include "snapshot/footer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "snapshot/store.h"
#include "wal/files.h"

enum { LEVEL = 1, BODY_MAX = 1 << 30 };

static const char magic[8] = "TALLYFTR";

struct footer_head {
	char magic[8];
	uint32_t version, reserved;
	uint64_t begin, end;
	int64_t first_time_ms, time_ms;
	uint64_t frames, records;
	uint32_t tenants, books, marks, packed_size;
	uint64_t body_size;
};

struct footer_tenant {                 /* the name behind it, padded with zeros to 8 */
	uint64_t events, transfers, others, first_lsn, last_lsn;
	uint32_t name_len, reserved;
};

struct footer_book {                   /* the unit behind it, padded likewise */
	uint32_t tenant, unit_len;     /* tenant: which of those above, from 0 */
	uint64_t reserved;
	u128 wholes[2][2];             /* raw, member: balance, reserved balance */
	u128 sums[SLICED_KINDS][BOOKS_SUMS];
};

static_assert(sizeof(struct footer_head) == 88 && sizeof(struct footer_tenant) == 48 && sizeof(struct footer_book) == 400,
	      "the layout of the format");

void footer_free(struct footer *footer)
{
	buf_free(&footer->marks);
	*footer = (struct footer){ 0 };
}

static size_t padded(size_t len)
{
	return (len + 7) / 8 * 8;
}

static void text_put(struct buf *out, struct str text)
{
	static const char zeros[8];
	buf_str(out, text);
	buf_bytes(out, zeros, padded(text.len) - text.len);
}

/* ---- writing ----------------------------------------------------------------------------------------------------------- */

static void body_encode(const struct footer *footer, const struct books *books, struct footer_head *head, struct buf *out)
{
	uint32_t most = books->row_count, tenant;
	for (uint32_t b = 0; b < books->line_count; b++)
		if (books->lines[b]) {
			books_unit(books->names, b, &tenant);
			most = tenant >= most ? tenant + 1 : most;
		}
	uint32_t *places = mem_alloc((most + 1) * sizeof *places);
	bool *wanted = mem_zalloc(most + 1);
	for (uint32_t t = 0; t < books->row_count; t++)
		wanted[t] = books->rows[t].events || books->rows[t].transfers || books->rows[t].others;
	for (uint32_t b = 0; b < books->line_count; b++)
		if (books->lines[b]) {
			books_unit(books->names, b, &tenant);
			wanted[tenant] = true;
		}
	for (uint32_t t = 0; t < most; t++) {
		if (!wanted[t])
			continue;
		struct books_row row = t < books->row_count ? books->rows[t] : (struct books_row){ 0 };
		struct str name = books_tenant_name(books->names, t);
		struct footer_tenant put = { row.events, row.transfers, row.others, row.first_lsn, row.last_lsn,
					     (uint32_t)name.len, 0 };
		buf_bytes(out, &put, sizeof put);
		text_put(out, name);
		places[t] = head->tenants++;
	}
	for (uint32_t b = 0; b < books->line_count; b++) {
		if (!books->lines[b])
			continue;
		struct str unit = books_unit(books->names, b, &tenant);
		struct footer_book put = { .tenant = places[tenant], .unit_len = (uint32_t)unit.len };
		for (unsigned k = ACCOUNT_RAW; k <= ACCOUNT_MEMBER; k++) {
			put.wholes[k][0] = books->lines[b]->sums[k][BOOKS_CREDITS];
			put.wholes[k][1] = books->lines[b]->sums[k][BOOKS_CREDITS_PENDING];
		}
		memcpy(put.sums, books->lines[b]->sums[ACCOUNT_FIRST_SLICED], sizeof put.sums);
		buf_bytes(out, &put, sizeof put);
		text_put(out, unit);
		head->books++;
	}
	buf_str(out, buf_view(&footer->marks));
	head->marks = (uint32_t)(footer->marks.len / sizeof(struct footer_mark));
	mem_free(places);
	mem_free(wanted);
}

void footer_encode(const struct footer *footer, const struct books *books, struct buf *out)
{
	struct footer_head head = { .version = FOOTER_VERSION, .begin = footer->begin, .end = footer->end,
				    .first_time_ms = footer->first_time_ms, .time_ms = footer->time_ms,
				    .frames = footer->frames, .records = footer->records };
	struct buf body = { 0 };
	uint8_t hash[16];
	size_t start = out->len;
	memcpy(head.magic, magic, sizeof head.magic);
	body_encode(footer, books, &head, &body);
	head.body_size = body.len;
	buf_bytes(out, &head, sizeof head);
	buf_room(out, ZSTD_compressBound(body.len));
	size_t size = ZSTD_compress(out->ptr + out->len, out->cap - out->len, body.len ? body.ptr : "", body.len, LEVEL);
	ASSERT(!ZSTD_isError(size));
	out->len += size;
	head.packed_size = (uint32_t)size;
	memcpy(out->ptr + start, &head, sizeof head);
	snapshot_hash(hash, out->ptr + start, out->len - start);
	buf_bytes(out, hash, sizeof hash);
	buf_free(&body);
}

/* ---- reading ----------------------------------------------------------------------------------------------------------- */

struct reading { const char *at, *end; };

static bool take(struct reading *reading, void *out, size_t size)
{
	if ((size_t)(reading->end - reading->at) < size)
		return false;
	memcpy(out, reading->at, size);
	reading->at += size;
	return true;
}

static bool take_text(struct reading *reading, size_t len, struct str *out)
{
	if (len > (size_t)(reading->end - reading->at) || padded(len) > (size_t)(reading->end - reading->at))
		return false;
	*out = (struct str){ reading->at, len };
	reading->at += padded(len);
	return true;
}

static bool body_decode(struct reading reading, const struct footer_head *head, struct footer *footer, struct books *books)
{
	struct str *tenants = mem_alloc((head->tenants + 1) * sizeof(struct str));
	bool good = true;
	for (uint32_t t = 0; t < head->tenants && good; t++) {
		struct footer_tenant row;
		good = take(&reading, &row, sizeof row) && take_text(&reading, row.name_len, &tenants[t]);
		uint32_t index = good && books ? books_tenant(books->names, tenants[t]) : BOOKS_NONE;
		if (good && books && (books->tenant == BOOKS_ALL || books->tenant == index))
			*books_row(books, index) = (struct books_row){ row.events, row.transfers, row.others, row.first_lsn, row.last_lsn };
	}
	for (uint32_t b = 0; b < head->books && good; b++) {
		struct footer_book book;
		struct str unit;
		good = take(&reading, &book, sizeof book) && take_text(&reading, book.unit_len, &unit) && book.tenant < head->tenants;
		if (!good || !books ||
		    (books->tenant != BOOKS_ALL && books->tenant != books_tenant(books->names, tenants[book.tenant])))
			continue;
		struct books_line *line = books_line(books, books_book(books->names, tenants[book.tenant], unit));
		for (unsigned k = ACCOUNT_RAW; k <= ACCOUNT_MEMBER; k++) {
			line->sums[k][BOOKS_CREDITS] = book.wholes[k][0];
			line->sums[k][BOOKS_CREDITS_PENDING] = book.wholes[k][1];
		}
		memcpy(line->sums[ACCOUNT_FIRST_SLICED], book.sums, sizeof book.sums);
	}
	mem_free(tenants);
	size_t marks = head->marks * sizeof(struct footer_mark);
	if (!good || (size_t)(reading.end - reading.at) != marks)
		return false;
	buf_bytes(&footer->marks, reading.at, marks);
	if (books) {
		books->frames = head->frames;
		books->records = head->records;
		books->first_time_ms = head->first_time_ms;
		books->time_ms = head->time_ms;
	}
	return true;
}

static bool head_good(const struct footer_head *head, size_t len, struct buf *error)
{
	if (head->version != FOOTER_VERSION) {
		buf_printf(error, "it is a footer of format %u, and this version reads format %d: a newer version wrote it",
			   head->version, FOOTER_VERSION);
		return false;
	}
	/* Each row of the body takes room in it: so counts are bounded by the size, and that by BODY_MAX. */
	if (head->reserved || head->begin > head->end || head->body_size > BODY_MAX || head->packed_size != len ||
	    head->body_size > (uint64_t)head->packed_size * SNAPSHOT_PACK_MAX ||
	    head->tenants > head->body_size / sizeof(struct footer_tenant) || head->books > head->body_size / sizeof(struct footer_book) ||
	    head->marks > head->body_size / sizeof(struct footer_mark)) {
		buf_lit(error, "the footer contradicts itself");
		return false;
	}
	return true;
}

bool footer_decode(const void *bytes, size_t len, struct footer *footer, struct books *books, struct buf *error)
{
	struct footer_head head;
	uint8_t hash[16];
	*footer = (struct footer){ 0 };
	if (len < sizeof head + sizeof hash) {
		buf_lit(error, "the footer is too short");
		return false;
	}
	memcpy(&head, bytes, sizeof head);
	if (memcmp(head.magic, magic, sizeof magic) != 0) {
		buf_lit(error, "it is no footer");
		return false;
	}
	snapshot_hash(hash, bytes, len - sizeof hash);
	if (memcmp(hash, (const char *)bytes + len - sizeof hash, sizeof hash) != 0) {
		buf_lit(error, "the footer's checksum differs");
		return false;
	}
	if (!head_good(&head, len - sizeof head - sizeof hash, error))
		return false;
	char *body = mem_alloc(head.body_size + 1);
	size_t size = ZSTD_decompress(body, head.body_size, (const char *)bytes + sizeof head, head.packed_size);
	*footer = (struct footer){ .begin = head.begin, .end = head.end, .first_time_ms = head.first_time_ms,
				   .time_ms = head.time_ms, .frames = head.frames, .records = head.records };
	bool good = !ZSTD_isError(size) && size == head.body_size &&
		    body_decode((struct reading){ body, body + size }, &head, footer, books);
	mem_free(body);
	if (!good)
		buf_lit(error, "the footer contradicts itself");
	return good;
}

/* ---- files ------------------------------------------------------------------------------------------------------------- */

void footer_name(char name[FOOTER_NAME], uint64_t end)
{
	snprintf(name, FOOTER_NAME, "%016llx.footer", (unsigned long long)end);
}

static void path_in(char path[FILES_PATH], const char *dir, uint64_t end)
{
	char name[FOOTER_NAME];
	footer_name(name, end);
	snprintf(path, FILES_PATH, "%s/%s", dir, name);
}

static bool file_read(const char *path, struct buf *out)
{
	int64_t size = files_size(path);
	int fd = size < 0 ? -1 : files_open(path, O_RDONLY);
	if (fd < 0)
		return false;
	buf_room(out, (size_t)size + 1);
	ssize_t n = files_read(fd, out->ptr, (size_t)size, 0);
	if (n >= 0 && n < size)
		errno = EIO;
	int failed = errno;
	wal_io.close(fd);
	errno = failed;
	out->len = n == size ? (size_t)n : 0;
	return n == size;
}

bool footer_read(const char *dir, uint64_t end, struct footer *footer, struct books *books, bool *missing, struct buf *error)
{
	char path[FILES_PATH];
	struct buf bytes = { 0 };
	*footer = (struct footer){ 0 };
	path_in(path, dir, end);
	bool good = file_read(path, &bytes);
	*missing = !good && errno == ENOENT;
	if (!good)
		buf_printf(error, "it cannot be read: %s", strerror(errno));
	good = good && footer_decode(bytes.ptr, bytes.len, footer, books, error);
	buf_free(&bytes);
	if (good && footer->end != end) {
		buf_lit(error, "it is another segment's");
		good = false;
	}
	return good;
}

int footer_write(const char *dir, const struct footer *footer, const struct books *books)
{
	char from[FILES_PATH], to[FILES_PATH];
	struct buf bytes = { 0 };
	footer_encode(footer, books, &bytes);
	snprintf(from, sizeof from, "%s/new.footer", dir);
	path_in(to, dir, footer->end);
	int fd = files_open(from, O_WRONLY | O_CREAT | O_TRUNC);
	int failed = fd < 0 ? errno : files_write(fd, bytes.ptr, bytes.len, 0);
	if (!failed)
		failed = MUTATE(89, files_sync(fd), 0);
	if (fd >= 0 && wal_io.close(fd) && !failed)
		failed = errno;
	if (!failed)
		failed = files_rename(from, to);
	if (!failed)
		failed = files_sync_dir(dir);
	buf_free(&bytes);
	return failed;
}

int footer_remove(const char *dir, uint64_t end)
{
	char path[FILES_PATH];
	path_in(path, dir, end);
	int failed = files_remove(path);
	return failed == ENOENT ? 0 : failed;
}

static bool name_parse(const char *name, uint64_t *end)
{
	if (strlen(name) != 23 || strcmp(name + 16, ".footer") != 0 || strspn(name, "0123456789abcdef") != 16)
		return false;
	*end = strtoull(name, NULL, 16);
	return true;
}

static bool name_take(void *context, const char *name)
{
	uint64_t end;
	if (name_parse(name, &end))
		buf_bytes(context, &end, sizeof end);
	return true;
}

static int ascending(const void *a, const void *b)
{
	uint64_t one, other;
	memcpy(&one, a, sizeof one);
	memcpy(&other, b, sizeof other);
	return (one > other) - (one < other);
}

bool footer_list(const char *dir, uint64_t **ends, size_t *count, struct buf *error)
{
	struct buf found = { 0 };
	*ends = NULL;
	*count = 0;
	int failed = files_list(dir, name_take, &found);
	if (failed && failed != ENOENT)
		buf_printf(error, "cannot list %s: %s", dir, strerror(failed));
	if (!failed) {
		*count = found.len / sizeof **ends;
		*ends = mem_dup(found.ptr, found.len);
		qsort(*ends, *count, sizeof **ends, ascending);
	}
	buf_free(&found);
	return !failed || failed == ENOENT;
}
