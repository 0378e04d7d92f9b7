// SPDX-License-Identifier: Apache-2.0
/* fuzz_cursor.c - cursors of every list: the first line is a request for one (tests/sim/commands/world.h), the rest what it is
 * asked to go on from, "" for a list from its beginning.
 *
 * Whatever the cursor is: it is refused, or taken for a place in the list.  Then what follows, page by page and through the
 * cursors that the pages give, is an end of the whole list: nothing twice, nothing left out, nothing that is not in it.  A cursor
 * that a page gave is never refused.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "tests/sim/commands/brand.h"
#include "tests/sim/commands/world.h"

enum { INPUTS_MAX = 500, PAGES_MAX = 100, CURSOR_MAX = 300 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	world_make(brand_requests, NULL);
	return 0;
}

__attribute__((noreturn))
static void broken(const char *what, struct str request, struct str cursor, const struct buf *whole, const struct buf *part)
{
	fprintf(stderr, "LAW BROKEN: %s\n> %.*s\n> cursor %.*s\n< whole:\n%.*s< from the cursor:\n%.*s", what, (int)request.len, request.ptr,
		(int)cursor.len, cursor.ptr, (int)whole->len, whole->ptr, (int)part->len, part->ptr);
	abort();
}

/* "transactions.list?limit=2&cursor=..."; whatever else the query holds. */
static void page_write(struct buf *out, struct str request, const char *name, struct str cursor, unsigned limit)
{
	size_t line = 0;
	while (line < request.len && request.ptr[line] != '\n')
		line++;
	buf_bytes(out, request.ptr, line);
	bool query = line && memchr(request.ptr, '?', line);
	buf_printf(out, "%climit=%u", query ? '&' : '?', limit);
	if (cursor.len) {
		buf_printf(out, "&%s=", name);
		for (size_t i = 0; i < cursor.len; i++)
			buf_printf(out, "%%%02X", (unsigned char)cursor.ptr[i]);
	}
	buf_lit(out, "\nX-Brand: BRAND_A\n");
}

/* Where the next page begins: the header, or `next` of a document. */
static void next_of(struct buf *out, const struct world_answer *answer, yyjson_val *root)
{
	yyjson_val *next = json_get(root, STR("next"));
	out->len = 0;
	buf_str(out, world_header(answer, "x-next-cursor"));
	if (json_is_number(next))
		buf_str(out, json_raw(next));
}

/* The entries of a page, a line each.  A page is a list, or a document that holds one. */
static size_t entries_add(struct buf *out, yyjson_val *root)
{
	size_t i, max, count = 0;
	yyjson_val *item, *key, *list = yyjson_is_arr(root) ? root : NULL;
	if (yyjson_is_obj(root))
		yyjson_obj_foreach(root, i, max, key, item)
			if (yyjson_is_arr(item))
				list = item;
	yyjson_arr_foreach(list, i, max, item) {
		json_write(out, item);
		buf_char(out, '\n');
		count++;
	}
	return count;
}

/* All from a cursor on, in pages.  False: it is refused. */
static bool list_walk(struct buf *out, struct str request, const char *name, struct str cursor, unsigned limit)
{
	struct buf next = { 0 }, text = { 0 };
	struct json_error error;
	bool good = true;
	buf_str(&next, cursor);
	for (unsigned pages = 0; pages == 0 || next.len; pages++) {
		text.len = 0;
		page_write(&text, request, name, buf_view(&next), limit);
		const struct world_answer *answer = world_ask(buf_view(&text));
		good = answer->status == 200;
		if (!good && pages)
			broken("a cursor that a page gave is refused", request, buf_view(&next), out, out);
		yyjson_doc *doc = good ? json_read(buf_view(&answer->body), &error) : NULL;
		good = doc != NULL;
		if (!good)
			break;
		entries_add(out, yyjson_doc_get_root(doc));
		next_of(&next, answer, yyjson_doc_get_root(doc));
		yyjson_doc_free(doc);
		if (pages > PAGES_MAX)
			broken("a list does not come to its end", request, cursor, out, out);
	}
	buf_free(&next);
	buf_free(&text);
	return good;
}

static bool has_word(struct str text, const char *word)
{
	return text.len && memmem(text.ptr, text.len, word, strlen(word));
}

/* The parameter that takes a cursor; NULL: it is no list, or it is asked for in a way that has no end of its own. */
static const char *cursor_name(struct str request)
{
	static const char *const own[] = { "cursor", "after", "before", "offset", "limit", "%", "+" };
	size_t count, len = 0;
	const struct reference *all = references(&count);
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (has_word(request, own[i]))
			return NULL;
	static const char backwards[] = "?reverse=true";
	const char *query = request.len ? memchr(request.ptr, '?', request.len) : NULL;
	size_t query_len = query ? (size_t)(request.ptr + request.len - query) : 0, backwards_len = sizeof backwards - 1;
	bool reverse = query_len >= backwards_len && !memcmp(query, backwards, backwards_len) &&
		       (query_len == backwards_len || query[backwards_len] == '&');
	if (has_word((struct str){ reverse ? query + backwards_len : request.ptr, reverse ? query_len - backwards_len : request.len }, "reverse"))
		return NULL;
	while (len < request.len && request.ptr[len] != '/' && request.ptr[len] != '?')
		len++;
	for (size_t i = 0; i < count; i++)
		for (size_t p = 0; str_eq(str_of(all[i].name), (struct str){ request.ptr, len }) && p < all[i].parameter_count; p++) {
			const struct reference_parameter *row = &all[i].parameters[p];
			bool named = reverse ? !strcmp(row->row.name, "before")
					     : !strcmp(row->row.name, "cursor") || !strcmp(row->row.name, "after");
			if (named && !strcmp(row->in, "query"))
				return row->row.name;
		}
	return NULL;
}

static void list_try(struct str request, struct str cursor)
{
	static const unsigned limits[] = { 1, 2, 3, 1000 };
	struct buf whole = { 0 }, part = { 0 };
	const char *name = cursor_name(request);
	if (name && list_walk(&whole, request, name, STR(""), 1000) &&
	    list_walk(&part, request, name, cursor, limits[(request.len + cursor.len) % 4])) {
		bool end = part.len <= whole.len && (!part.len || !memcmp(whole.ptr + whole.len - part.len, part.ptr, part.len));
		if (!end || (part.len && part.len < whole.len && whole.ptr[whole.len - part.len - 1] != '\n'))
			broken("what follows a cursor is no end of the list", request, cursor, &whole, &part);
	}
	buf_free(&whole);
	buf_free(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned age;
	char *copy = mem_dup(data, size);
	size_t line = 0;
	while (line < size && copy[line] != '\n')
		line++;
	size_t behind = line < size ? line + 1 : line;
	struct str cursor = { copy + behind, size - behind };
	/* Inputs only ask: the world stays as it is. */
	if (!age++)
		world_open();
	else
		world_again();
	if (cursor.len <= CURSOR_MAX)
		list_try((struct str){ copy, line }, cursor);
	if (age == INPUTS_MAX) {
		world_close(false);
		age = 0;
	}
	mem_free(copy);
	return 0;
}
