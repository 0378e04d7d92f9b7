// SPDX-License-Identifier: Apache-2.0
/* fuzz_footer.c - arbitrary bytes as the footer of a sealed segment.
 *
 * The first byte says whether magic, version, sizes and hash are put right and the rest is taken for a body that is yet to be compressed; the
 * second, how many tenants, books and marks the head then speaks of.  Expected: refused with a word, or taken; then what is written of the
 * books is read as the same, and a reader who wants one tenant sees of that one what all see.
 */
#include <string.h>
#include <zstd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "snapshot/footer.h"
#include "snapshot/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 88, HASH = 16, AT_VERSION = 8, AT_TENANTS = 64, AT_BOOKS = 68, AT_MARKS = 72, AT_PACKED = 76, AT_BODY = 80 };

static void number_put(struct buf *bytes, size_t at, uint64_t number, size_t size)
{
	memcpy(bytes->ptr + at, &number, size);
}

/* The head as it came, but for what has to be right for the body to be looked at. */
static void put_right(const uint8_t *data, size_t size, unsigned counts, struct buf *bytes)
{
	char packed[8192];
	uint8_t hash[HASH];
	size_t body = size - HEAD, length = ZSTD_compress(packed, sizeof packed, data + HEAD, body, 1);
	if (ZSTD_isError(length))
		return;
	bytes->len = 0;
	buf_bytes(bytes, data, HEAD);
	memcpy(bytes->ptr, "TALLYFTR", 8);
	number_put(bytes, AT_VERSION, FOOTER_VERSION, 8);
	number_put(bytes, AT_TENANTS, counts % 4, 4);
	number_put(bytes, AT_BOOKS, counts / 4 % 8, 4);
	number_put(bytes, AT_MARKS, counts / 32, 4);
	number_put(bytes, AT_PACKED, length, 4);
	number_put(bytes, AT_BODY, body, 8);
	buf_bytes(bytes, packed, length);
	snapshot_hash(hash, bytes->ptr, bytes->len);
	buf_bytes(bytes, hash, sizeof hash);
}

static bool decode(struct str bytes, struct footer *footer, struct books *books, struct books_names *names, uint32_t tenant)
{
	struct buf error = { 0 };
	books_init(books, names, tenant);
	bool good = footer_decode(bytes.ptr, bytes.len, footer, books, &error);
	ASSERT(good == !error.len);
	buf_free(&error);
	return good;
}

static void taken(const struct footer *footer, const struct books *all, struct books_names *names, struct str bytes)
{
	struct books again, one;
	struct footer other;
	struct buf first = { 0 }, second = { 0 };
	footer_encode(footer, all, &first);
	ASSERT(decode(buf_view(&first), &other, &again, names, BOOKS_ALL));
	footer_encode(&other, &again, &second);
	ASSERT(str_eq(buf_view(&first), buf_view(&second)));
	footer_free(&other);
	books_free(&again);
	ASSERT(decode(bytes, &other, &one, names, 0));
	for (uint32_t b = 0; b < one.line_count; b++)
		if (one.lines[b]) {
			uint32_t owner;
			books_unit(names, b, &owner);
			ASSERT(owner == 0 && b < all->line_count && !memcmp(one.lines[b], all->lines[b], sizeof *one.lines[b]));
		}
	footer_free(&other);
	books_free(&one);
	buf_free(&first);
	buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf bytes = { 0 };
	struct books books;
	struct footer footer;
	if (size < 2)
		return 0;
	struct books_names *names = books_names_new();
	buf_bytes(&bytes, data + 2, size - 2);
	if (data[0] % 2 && size - 2 >= HEAD)
		put_right(data + 2, size - 2, data[1], &bytes);
	if (decode(buf_view(&bytes), &footer, &books, names, BOOKS_ALL))
		taken(&footer, &books, names, buf_view(&bytes));
	footer_free(&footer);
	books_free(&books);
	books_names_free(names);
	buf_free(&bytes);
	return 0;
}
