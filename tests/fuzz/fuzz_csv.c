// SPDX-License-Identifier: Apache-2.0
/* fuzz_csv.c - CSV in two cuts: both give the same rows, and every row that maps is JSON. */
#include "engine/base/assert.h"
#include "engine/base/csv.h"
#include "engine/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { ROW_MAX = 4096 };

static void row_check(const struct csv_map *map, const struct csv_row *row)
{
	struct faults faults = { 0 };
	struct json_error error;
	struct buf out = { 0 };

	if (map && csv_map_json(map, row, &out, &faults)) {
		yyjson_doc *doc = json_read(buf_view(&out), &error);
		/* A column may repeat a name of the payload's own object: what the server has to refuse. */
		ASSERT(doc || strstr(error.detail, "duplicate") || strstr(error.detail, "twice") || strstr(error.detail,
			"deep"));
		yyjson_doc_free(doc);
	}
	faults_free(&faults);
	buf_free(&out);
}

/* Appends every row in a form that tells rows and fields apart. */
static void read_all(struct str text, size_t step, struct buf *out, bool map_rows)
{
	struct csv *csv = csv_new(ROW_MAX);
	struct csv_map *maps[2] = { NULL, NULL };
	struct csv_row row;
	enum csv_result got = CSV_MORE;
	bool header = true;

	for (size_t at = 0; got == CSV_MORE;) {
		size_t len = text.len - at < step ? text.len - at : step;
		csv_feed(csv, (struct str){ text.ptr + at, len }, at + len == text.len);
		at += len;
		while ((got = csv_next(csv, &row)) == CSV_ROW) {
			buf_printf(out, "%u:", (unsigned)row.line);
			for (size_t i = 0; i < row.count; i++) {
				buf_printf(out, "%zu=", row.fields[i].len);
				buf_str(out, row.fields[i]);
			}
			for (int kind = 0; map_rows && kind < 2; kind++) {
				struct faults faults = { 0 };
				if (header)
					maps[kind] = csv_map_new((enum csv_kind)kind, &row, NULL, 0, NULL, 0, &faults);
				else
					row_check(maps[kind], &row);
				faults_free(&faults);
			}
			header = false;
		}
	}
	if (got == CSV_BAD)
		buf_printf(out, "!%u %s", (unsigned)csv_line(csv), csv_error(csv));
	csv_map_free(maps[0]);
	csv_map_free(maps[1]);
	csv_free(csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct buf whole = { 0 }, cut = { 0 };

	if (len < 1)
		return 0;
	struct str text = { (const char *)bytes + 1, len - 1 };
	read_all(text, text.len + 1, &whole, true);
	read_all(text, 1 + bytes[0] % 16, &cut, false);
	ASSERT(str_eq(buf_view(&whole), buf_view(&cut)));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
