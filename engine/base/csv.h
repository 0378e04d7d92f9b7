// SPDX-License-Identifier: Apache-2.0
/* csv.h - reading CSV (RFC 4180) as it arrives, and turning rows into the JSON that the API takes.
 *
 * Quotes, doubled quotes, commas and line ends inside quotes, CRLF and LF, a byte order mark, a last line without its
 * end: all read.  Refused with the line: a quote inside a bare field, text behind a closing quote, a lone CR, NUL, a
 * quote that is never closed, a row above the bound.  Empty lines are skipped.
 *
 *	struct csv *csv = csv_new(CSV_ROW_MAX);
 *	csv_feed(csv, chunk, last);                   // borrowed until CSV_MORE (or CSV_END) comes back
 *	while ((got = csv_next(csv, &row)) == CSV_ROW)
 *		…
 */
#ifndef ENGINE_BASE_CSV_H
#define ENGINE_BASE_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/fault.h"
#include "engine/base/str.h"

enum { CSV_ROW_MAX = 1024 * 1024, CSV_FIELDS_MAX = 1024, CSV_PAIRS_MAX = 64 };

enum csv_result {
	CSV_ROW,                       /* a row was read */
	CSV_MORE,                      /* the chunk is used up; feed the next one */
	CSV_END,                       /* the last chunk is used up */
	CSV_BAD,                       /* malformed: csv_error says what, csv_line where; stays so */
};

struct csv_row {
	const struct str *fields;      /* valid until the next csv_next */
	size_t count;
	uint64_t line;                 /* where the row begins; the first line is 1 */
};

struct csv;

struct csv *csv_new(size_t row_max);
void csv_free(struct csv *csv);
void csv_feed(struct csv *csv, struct str chunk, bool last);
enum csv_result csv_next(struct csv *csv, struct csv_row *row);
const char *csv_error(const struct csv *csv);      /* of CSV_BAD: what was wrong, without the line */
uint64_t csv_line(const struct csv *csv);          /* the line that reading has reached */

/* one field, quoted where needed; "," unless first */
void csv_write(struct buf *out, struct str field, bool first);

/* What a row means.  A map is made once from the header row and then applied to each row.
 *
 * Events:    brand, profileId, eventType, eventId, source, payload (a JSON object), payload.NAME.
 * Customers: brand, profileId, status, tags (separated by ; or |), and any other name as an attribute of that name.
 *
 * A cell of payload.NAME or of an attribute is a number if it has JSON's number syntax and fits 64 bits, true, false,
 * null, and else a text; gender, birthdate, name, email and phone are always texts.  An empty cell is left out. */
enum csv_kind { CSV_EVENTS, CSV_CUSTOMERS };

struct csv_pair { struct str name, value; };

struct csv_map;

/* `renames`: column -> field, before the names are looked at.  `constants`: field -> value, for every row; they win
 * over a column of that name.  NULL with faults: a required field that nothing gives, a field given twice, an unknown
 * column named in a rename, a target that is no field.  Copies what it keeps. */
struct csv_map *csv_map_new(enum csv_kind kind, const struct csv_row *header, const struct csv_pair *renames,
			    size_t rename_count, const struct csv_pair *constants, size_t constant_count,
			    struct faults *faults);
void csv_map_free(struct csv_map *map);

/* Appends the row as one JSON object.  False with faults and `out` as before: wrong number of fields, invalid UTF-8, an
 * empty cell where a value is required, a payload that is not a JSON object. */
bool csv_map_json(const struct csv_map *map, const struct csv_row *row, struct buf *out, struct faults *faults);

/* The columns of the file that mean nothing to the map, comma-separated; "" if there are none. */
const char *csv_map_ignored(const struct csv_map *map);

#endif
