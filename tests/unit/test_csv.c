// SPDX-License-Identifier: Apache-2.0
/* test_csv.c - the CSV reader over every cut of its input, and the map from rows to JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/base/csv.h"

/* Rows as text: fields between [], rows between {}; a malformed text ends in !LINE:what. */
static void rows_text(struct csv *csv, struct str text, size_t step, struct buf *out)
{
	struct csv_row row;
	size_t at = 0;

	for (;;) {
		size_t len = text.len - at < step ? text.len - at : step;
		csv_feed(csv, (struct str){ text.ptr + at, len }, at + len == text.len);
		at += len;
		enum csv_result got;
		while ((got = csv_next(csv, &row)) == CSV_ROW) {
			buf_printf(out, "%u{", (unsigned)row.line);
			for (size_t i = 0; i < row.count; i++)
				buf_printf(out, "[%.*s]", (int)row.fields[i].len, row.fields[i].ptr);
			buf_char(out, '}');
		}
		if (got == CSV_BAD) {
			buf_printf(out, "!%u:%s", (unsigned)csv_line(csv), csv_error(csv));
			assert_int_equal(csv_next(csv, &row), CSV_BAD);
			return;
		}
		if (got == CSV_END)
			return;
	}
}

static void expect_rows(struct str text, const char *wanted)
{
	for (size_t step = 1; step <= text.len + 1; step++) {
		struct csv *csv = csv_new(64);
		struct buf out = { 0 };
		rows_text(csv, text, step, &out);
		buf_char(&out, '\0');
		assert_string_equal(out.ptr, wanted);
		buf_free(&out);
		csv_free(csv);
	}
}

static void reads_rows(void **state)
{
	(void)state;
	expect_rows(STR(""), "");
	expect_rows(STR("a"), "1{[a]}");
	expect_rows(STR("a,b\nc,d\n"), "1{[a][b]}2{[c][d]}");
	expect_rows(STR("a,b\r\nc,d\r\n"), "1{[a][b]}2{[c][d]}");
	expect_rows(STR("a,b\r\nc,d"), "1{[a][b]}2{[c][d]}");
	expect_rows(STR(",\n"), "1{[][]}");
	expect_rows(STR("a,"), "1{[a][]}");
	expect_rows(STR("\n\r\na\n\n\nb\n\n"), "3{[a]}6{[b]}");
	expect_rows(STR("\"\"\n"), "1{[]}");
	expect_rows(STR("\"\""), "1{[]}");
	expect_rows(STR("\"a,b\",\"c\"\"d\"\n"), "1{[a,b][c\"d]}");
	expect_rows(STR("\"a\nb\r\nc\",x\ny"), "1{[a\nb\r\nc][x]}4{[y]}");
	expect_rows(STR(" a , b "), "1{[ a ][ b ]}");
}

static void reads_byte_order_mark(void **state)
{
	(void)state;
	expect_rows(STR("\xef\xbb\xbf" "a,b\n"), "1{[a][b]}");
	expect_rows(STR("\xef\xbb\xbf\"a\",b\n"), "1{[a][b]}");
	expect_rows(STR("\xef\xbb\xbf"), "");
	expect_rows(STR("\xef\xbb"), "1{[\xef\xbb]}");
	expect_rows(STR("\xef\xbb" "x,y"), "1{[\xef\xbbx][y]}");
	expect_rows(STR("a\n\xef\xbb\xbf" "b"), "1{[a]}2{[\xef\xbb\xbf" "b]}");
}

static void refuses_malformed(void **state)
{
	(void)state;
	expect_rows(STR("a\nb\"c\n"), "1{[a]}!2:a quote inside a field that does not begin with one");
	expect_rows(STR("\"a\"b\n"), "!1:text behind a closing quote");
	expect_rows(STR("a\n\"b\nc"), "1{[a]}!3:a quote that is never closed");
	expect_rows(STR("a\rb\n"), "!1:a carriage return without a line feed");
	expect_rows(STR("a\r"), "!1:a carriage return without a line feed");
	expect_rows(STR("a\n\0\n"), "1{[a]}!2:a NUL byte");
	expect_rows(STR("\"a\0\""), "!1:a NUL byte");
	expect_rows(STR("ok\n0123456789012345678901234567890123456789012345678901234567890123456789\n"),
		    "1{[ok]}!2:a row above the size that is allowed");
}

static void refuses_too_many_fields(void **state)
{
	struct csv *csv = csv_new(CSV_ROW_MAX);
	struct buf text = { 0 };
	struct csv_row row;

	(void)state;
	for (int i = 0; i < CSV_FIELDS_MAX; i++)
		buf_char(&text, ',');
	csv_feed(csv, buf_view(&text), true);
	assert_int_equal(csv_next(csv, &row), CSV_BAD);
	buf_free(&text);
	csv_free(csv);
}

static void writes_fields(void **state)
{
	struct buf out = { 0 };

	(void)state;
	csv_write(&out, STR("plain"), true);
	csv_write(&out, STR(""), false);
	csv_write(&out, STR("a,b"), false);
	csv_write(&out, STR("a\"b\n"), false);
	buf_char(&out, '\0');
	assert_string_equal(out.ptr, "plain,,\"a,b\",\"a\"\"b\n\"");
	buf_free(&out);
}

/* Maps the second row of `text` by the first; the result is the JSON, or the faults between <>. */
static void map_text(enum csv_kind kind, struct str text, const struct csv_pair *renames, size_t rename_count,
		     const struct csv_pair *constants, size_t constant_count, struct buf *out)
{
	struct csv *csv = csv_new(CSV_ROW_MAX);
	struct faults faults = { 0 };
	struct csv_row row;

	csv_feed(csv, text, true);
	assert_int_equal(csv_next(csv, &row), CSV_ROW);
	struct csv_map *map = csv_map_new(kind, &row, renames, rename_count, constants, constant_count, &faults);
	while (map && csv_next(csv, &row) == CSV_ROW) {
		size_t before = out->len;
		if (!csv_map_json(map, &row, out, &faults))
			assert_int_equal(out->len, before);
	}
	if (map)
		buf_printf(out, "%s", csv_map_ignored(map));
	for (size_t i = 0; i < faults.count; i++)
		buf_printf(out, "<%s|%s>", faults.list[i].pointer, faults.list[i].detail);
	buf_char(out, '\0');
	faults_free(&faults);
	csv_map_free(map);
	csv_free(csv);
}

static void expect_map(enum csv_kind kind, struct str text, const char *wanted)
{
	struct buf out = { 0 };

	map_text(kind, text, NULL, 0, NULL, 0, &out);
	assert_string_equal(out.ptr, wanted);
	buf_free(&out);
}

#define HEAD "brand,profileId,eventType,eventId"
#define EVENT "{\"brand\":\"B\",\"profileId\":\"1\",\"eventType\":\"T\",\"eventId\":\"007\",\"payload\":"

static void maps_events(void **state)
{
	(void)state;
	expect_map(CSV_EVENTS, STR(HEAD "\nB,1,T,007\n"), EVENT "{}}");
	expect_map(CSV_EVENTS, STR(HEAD ",payload.amount,payload.who,payload.no\nB,1,T,007,12.50,0123,\n"),
		   EVENT "{\"amount\":12.50,\"who\":\"0123\"}}");
	expect_map(CSV_EVENTS, STR(HEAD ",payload.a,payload.b,payload.c\nB,1,T,007,true,null,-1e5\n"),
		   EVENT "{\"a\":true,\"b\":null,\"c\":-1e5}}");
	expect_map(CSV_EVENTS, STR(HEAD ",payload.a,payload.b\nB,1,T,007,+1,12345678901234567890\n"),
		   EVENT "{\"a\":\"+1\",\"b\":\"12345678901234567890\"}}");
	expect_map(CSV_EVENTS, STR(HEAD ",payload\nB,1,T,007,\" {\"\"x\"\": [1, 2]} \"\n"), EVENT "{\"x\": [1, 2]}}");
	expect_map(CSV_EVENTS, STR(HEAD ",payload,payload.y\nB,1,T,007,\"{\"\"x\"\":1}\",2\n"),
		EVENT "{\"x\":1,\"y\":2}}");
	expect_map(CSV_EVENTS, STR(HEAD ",payload,payload.y\nB,1,T,007,{},2\n"), EVENT "{\"y\":2}}");
	expect_map(CSV_EVENTS, STR(HEAD ",colour,size\nB,1,T,007,red,2\n"), EVENT "{}}colour, size");
}

static void maps_faulty_events(void **state)
{
	(void)state;
	expect_map(CSV_EVENTS, STR("brand,profileId\n"),
		   "<|the column \"eventType\" is missing><|the column \"eventId\" is missing>");
	expect_map(CSV_EVENTS, STR(HEAD ",brand\n"), "<|two columns give the field \"brand\">");
	expect_map(CSV_EVENTS, STR(HEAD "\nB,1,T\n"), "<|3 fields where the header has 4>");
	expect_map(CSV_EVENTS, STR(HEAD "\nB,,T,7\n"), "<|the field \"profileId\" is empty>");
	expect_map(CSV_EVENTS, STR(HEAD "\nB,\xff,T,7\n"), "<|the field \"profileId\" is not UTF-8>");
	expect_map(CSV_EVENTS, STR(HEAD "\nB,\xed\xa0\x80,T,7\n"), "<|the field \"profileId\" is not UTF-8>");
	expect_map(CSV_EVENTS, STR(HEAD "\nB,\xc0\x80,T,7\n"), "<|the field \"profileId\" is not UTF-8>");
	expect_map(CSV_EVENTS, STR(HEAD ",payload\nB,1,T,7,[1]\n"), "</payload|expected a JSON object>");
}

static void maps_with_renames(void **state)
{
	const struct csv_pair renames[] = { { STR("household"), STR("profileId") }, { STR("sum"),
		STR("payload.amount") } };
	const struct csv_pair constants[] = { { STR("brand"), STR("B") }, { STR("eventType"), STR("T") } };
	const struct csv_pair wrong[] = { { STR("missing"), STR("profileId") }, { STR("sum"), STR("amount") } };
	struct buf out = { 0 };

	(void)state;
	map_text(CSV_EVENTS, STR("brand,household,eventId,sum\nIGNORED,1,007,3\n"), renames, 2, constants, 2, &out);
	assert_string_equal(out.ptr, "{\"brand\":\"B\",\"eventType\":\"T\",\"profileId\":\"1\","
				     "\"eventId\":\"007\",\"payload\":{\"amount\":3}}");
	out.len = 0;
	map_text(CSV_EVENTS, STR("brand,profileId,eventId,sum\n"), wrong, 2, constants, 2, &out);
	assert_string_equal(out.ptr, "<|there is no column \"missing\" to map><|\"amount\" is no field that a column "
		"can be "
				     "mapped to>");
	out.len = 0;
	map_text(CSV_EVENTS, STR("profileId,eventId\n"), NULL, 0, wrong, 1, &out);
	assert_non_null(strstr(out.ptr, "\"missing\" is no field that can be set"));
	buf_free(&out);
}

static void maps_customers(void **state)
{
	(void)state;
	expect_map(CSV_CUSTOMERS, STR("brand,profileId,status,tags,name,age\nB,1,ACTIVE,vip; gold|new;,42,42\n"),
		   "{\"brand\":\"B\",\"profileId\":\"1\",\"status\":\"ACTIVE\",\"tags\":[\"vip\",\"gold\",\"new\"],"
		   "\"name\":\"42\",\"age\":42}");
	expect_map(CSV_CUSTOMERS, STR("brand,profileId,status,tags\nB,1,,\n"), "{\"brand\":\"B\",\"profileId\":\"1\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_rows),
		cmocka_unit_test(reads_byte_order_mark),
		cmocka_unit_test(refuses_malformed),
		cmocka_unit_test(refuses_too_many_fields),
		cmocka_unit_test(writes_fields),
		cmocka_unit_test(maps_events),
		cmocka_unit_test(maps_faulty_events),
		cmocka_unit_test(maps_with_renames),
		cmocka_unit_test(maps_customers),
	};

	return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
