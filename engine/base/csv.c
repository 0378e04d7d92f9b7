// SPDX-License-Identifier: Apache-2.0
/* csv.c - the reader: one state machine over bytes, a row at a time (the map from rows to JSON is csv_map.c).
 *
 * The fields of the row under way lie unquoted, one behind the other, in `text`; `ends` holds where each of them
 * ends.  The borrowed views are made only when the row is complete, because `text` may move while it grows.
 */
#include "engine/base/csv.h"

#include "engine/base/mem.h"

enum state {
	AT_FIELD,                      /* nothing of the field read */
	BARE,                          /* inside a field without quotes */
	QUOTED,                        /* inside quotes */
	QUOTE_SEEN,                    /* a quote inside quotes: doubled, or the end */
	CR_SEEN,                       /* LF has to follow */
};

struct csv {
	struct str chunk;              /* borrowed; what is not yet read */
	bool last;
	bool begun;                    /* past the byte order mark */
	unsigned mark;                 /* bytes of it seen */
	enum state state;
	bool quoted;                   /* the field under way had quotes: "" is a field, an empty line is none */
	bool stale;                    /* the row in text was handed out */
	struct buf text;
	size_t ends[CSV_FIELDS_MAX];
	struct str fields[CSV_FIELDS_MAX];
	size_t count;
	size_t row_max;
	uint64_t line;                 /* being read */
	uint64_t row_line;             /* where the row under way began */
	const char *error;
};

struct csv *csv_new(size_t row_max)
{
	struct csv *csv = mem_zalloc(sizeof(*csv));

	csv->row_max = row_max;
	csv->line = 1;
	csv->row_line = 1;
	return csv;
}

void csv_free(struct csv *csv)
{
	if (!csv)
		return;
	buf_free(&csv->text);
	mem_free(csv);
}

/* A byte order mark may be cut by the chunks: it is held back until it is known to be one. */
static void skip_mark(struct csv *csv)
{
	static const char mark[3] = "\xef\xbb\xbf";

	while (csv->chunk.len && csv->mark < sizeof(mark) && csv->chunk.ptr[0] == mark[csv->mark]) {
		csv->mark++;
		csv->chunk.ptr++;
		csv->chunk.len--;
	}
	if (csv->mark == sizeof(mark)) {
		csv->begun = true;
	} else if (csv->chunk.len || csv->last) {
		buf_bytes(&csv->text, mark, csv->mark);
		if (csv->mark)
			csv->state = BARE;
		csv->begun = true;
	}
}

void csv_feed(struct csv *csv, struct str chunk, bool last)
{
	csv->chunk = chunk;
	csv->last = last;
	if (!csv->begun)
		skip_mark(csv);
}

static enum csv_result bad(struct csv *csv, const char *error)
{
	csv->error = error;
	csv->chunk.len = 0;
	return CSV_BAD;
}

static bool field_end(struct csv *csv)
{
	if (csv->count == CSV_FIELDS_MAX)
		return false;
	csv->ends[csv->count++] = csv->text.len;
	csv->state = AT_FIELD;
	return true;
}

/* True if there is a row; an empty line is none. */
static bool row_end(struct csv *csv, struct csv_row *row)
{
	size_t at = 0;

	csv->stale = true;
	if (csv->count == 1 && csv->text.len == 0 && !csv->quoted)
		return false;
	for (size_t i = 0; i < csv->count; i++) {
		csv->fields[i] = (struct str){ csv->text.ptr ? csv->text.ptr + at : "", csv->ends[i] - at };
		at = csv->ends[i];
	}
	*row = (struct csv_row){ csv->fields, csv->count, csv->row_line };
	return true;
}

static void row_begin(struct csv *csv)
{
	csv->stale = false;
	csv->text.len = 0;
	csv->count = 0;
	csv->quoted = false;
	csv->row_line = csv->line;
}

/* Copies the bytes that need no look, up to the next special one. */
static void take_plain(struct csv *csv)
{
	const char *at = csv->chunk.ptr, *end = at + csv->chunk.len;

	if (csv->state == QUOTED) {
		while (at < end && *at != '"' && *at != '\n' && *at != '\0')
			at++;
	} else {
		while (at < end && *at != '"' && *at != ',' && *at != '\n' && *at != '\r' && *at != '\0')
			at++;
	}
	size_t len = (size_t)(at - csv->chunk.ptr);
	buf_bytes(&csv->text, csv->chunk.ptr, len);
	if (len && csv->state == AT_FIELD)
		csv->state = BARE;
	csv->chunk.ptr += len;
	csv->chunk.len -= len;
}

/* One special byte.  CSV_MORE: go on. */
static enum csv_result take_special(struct csv *csv, char c, struct csv_row *row)
{
	if (c == '\0')
		return bad(csv, "a NUL byte");
	if (csv->state == QUOTED) {
		if (c == '"') {
			csv->state = QUOTE_SEEN;
		} else {
			csv->line += c == '\n';
			buf_char(&csv->text, c);
		}
		return CSV_MORE;
	}
	if (csv->state == CR_SEEN && c != '\n')
		return bad(csv, "a carriage return without a line feed");
	switch (c) {
	case '"':
		if (csv->state == BARE)
			return bad(csv, "a quote inside a field that does not begin with one");
		if (csv->state == QUOTE_SEEN)
			buf_char(&csv->text, c);
		csv->quoted = true;
		csv->state = QUOTED;
		return CSV_MORE;
	case ',':
		return field_end(csv) ? CSV_MORE : bad(csv, "more fields than a row may have");
	case '\r':
		csv->state = CR_SEEN;
		return CSV_MORE;
	default:
		csv->line++;
		if (!field_end(csv))
			return bad(csv, "more fields than a row may have");
		return row_end(csv, row) ? CSV_ROW : CSV_MORE;
	}
}

enum csv_result csv_next(struct csv *csv, struct csv_row *row)
{
	if (csv->error)
		return CSV_BAD;
	if (!csv->begun && !csv->last)
		return CSV_MORE;
	while (csv->chunk.len) {
		if (csv->stale)
			row_begin(csv);
		if (csv->state != QUOTE_SEEN && csv->state != CR_SEEN)
			take_plain(csv);
		if (csv->text.len > csv->row_max)
			return bad(csv, "a row above the size that is allowed");
		if (!csv->chunk.len)
			break;
		char c = *csv->chunk.ptr;
		if (csv->state == QUOTE_SEEN && c != '"' && c != ',' && c != '\r' && c != '\n')
			return bad(csv, "text behind a closing quote");
		if (csv->state == CR_SEEN && c != '\n')
			return bad(csv, "a carriage return without a line feed");
		csv->chunk.ptr++;
		csv->chunk.len--;
		enum csv_result result = take_special(csv, c, row);
		if (result != CSV_MORE)
			return result;
	}
	if (!csv->last)
		return CSV_MORE;
	if (csv->state == QUOTED)
		return bad(csv, "a quote that is never closed");
	if (csv->state == CR_SEEN)
		return bad(csv, "a carriage return without a line feed");
	if (csv->stale || (csv->count == 0 && csv->state == AT_FIELD))
		return CSV_END;
	if (!field_end(csv))
		return bad(csv, "more fields than a row may have");
	return row_end(csv, row) ? CSV_ROW : CSV_END;
}

const char *csv_error(const struct csv *csv)
{
	return csv->error ? csv->error : "";
}

uint64_t csv_line(const struct csv *csv)
{
	return csv->line;
}

void csv_write(struct buf *out, struct str field, bool first)
{
	bool quote = false;

	for (size_t i = 0; i < field.len && !quote; i++)
		quote = field.ptr[i] == '"' || field.ptr[i] == ',' || field.ptr[i] == '\n' || field.ptr[i] == '\r';
	if (!first)
		buf_char(out, ',');
	if (!quote) {
		buf_str(out, field);
		return;
	}
	buf_char(out, '"');
	for (size_t i = 0; i < field.len; i++) {
		if (field.ptr[i] == '"')
			buf_char(out, '"');
		buf_char(out, field.ptr[i]);
	}
	buf_char(out, '"');
}
