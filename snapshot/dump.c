// SPDX-License-Identifier: Apache-2.0
#include "snapshot/dump.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>


#define DUMP_HEAD "tally dump 1\n"

enum { HASH_LINE = 5 + 32 + 1 };

static int line_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The line at *at, without its end; moves on. */
static bool line_next(struct str text, size_t *at, struct str *line)
{
	if (*at >= text.len)
		return false;
	const char *start = text.ptr + *at, *end = memchr(start, '\n', text.len - *at);
	line->ptr = start;
	line->len = end ? (size_t)(end - start) : text.len - *at;
	*at += line->len + 1;
	return true;
}

static void hash_line(struct str text, char line[HASH_LINE + 1])
{
	XXH128_hash_t hash = XXH3_128bits(text.ptr, text.len);
	snprintf(line, HASH_LINE + 1, "hash %016llx%016llx\n", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

void dump_text(struct state *const *states, unsigned count, const struct catalog *catalog, struct str more, struct buf *out)
{
	struct buf text = { 0 }, lines = { 0 };
	struct str line, last = { "", 0 };
	char hash[HASH_LINE + 1];
	size_t start = out->len;
	for (unsigned s = 0; s < count; s++)
		state_dump(states[s], &text);
	catalog_dump(catalog, &text);
	buf_str(&text, more);
	for (size_t at = 0; line_next(buf_view(&text), &at, &line);)
		buf_bytes(&lines, &line, sizeof line);
	if (lines.len)
		qsort(lines.ptr, lines.len / sizeof line, sizeof line, line_order);
	buf_room(out, text.len + sizeof DUMP_HEAD + HASH_LINE);
	buf_lit(out, DUMP_HEAD);
	for (size_t at = 0; at < lines.len; at += sizeof line) {
		memcpy(&line, lines.ptr + at, sizeof line);
		if (str_eq(line, last))
			continue;              /* an id in memory and on disk */
		last = line;
		buf_str(out, line);
		buf_char(out, '\n');
	}
	hash_line((struct str){ out->ptr + start, out->len - start }, hash);
	buf_bytes(out, hash, HASH_LINE);
	buf_free(&text);
	buf_free(&lines);
}

bool dump_whole(struct str text)
{
	char hash[HASH_LINE + 1];
	const size_t head = sizeof DUMP_HEAD - 1;
	if (text.len < head + HASH_LINE || memcmp(text.ptr, DUMP_HEAD, head) != 0)
		return false;
	hash_line((struct str){ text.ptr, text.len - HASH_LINE }, hash);
	return memcmp(text.ptr + text.len - HASH_LINE, hash, HASH_LINE) == 0;
}

static size_t differs(FILE *out, char side, struct str line)
{
	fprintf(out, "%c %.*s\n", side, (int)line.len, line.ptr);
	return 1;
}

size_t dump_diff(FILE *out, struct str a, struct str b)
{
	size_t at_a = 0, at_b = 0, found = 0;
	struct str line_a = { NULL, 0 }, line_b = { NULL, 0 };
	/* The hashes stand behind all lines and are not in their order. */
	a.len -= a.len >= HASH_LINE ? HASH_LINE : a.len;
	b.len -= b.len >= HASH_LINE ? HASH_LINE : b.len;
	/* Nor is the head. */
	bool more_a = line_next(a, &at_a, &line_a) && line_next(a, &at_a, &line_a);
	bool more_b = line_next(b, &at_b, &line_b) && line_next(b, &at_b, &line_b);
	while (more_a || more_b) {
		int order = !more_a ? 1 : !more_b ? -1 : str_cmp(line_a, line_b);
		if (order < 0)
			found += differs(out, '-', line_a);
		if (order > 0)
			found += differs(out, '+', line_b);
		if (order <= 0)
			more_a = line_next(a, &at_a, &line_a);
		if (order >= 0)
			more_b = line_next(b, &at_b, &line_b);
	}
	return found;
}
