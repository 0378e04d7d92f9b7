// SPDX-License-Identifier: Apache-2.0
/* test_real_data.c - real purchases come out as the points that the file says they are worth.
 *
 * All receipt lines of one retailer's households go in through POST /transactions in arrays of 1,000.  Beside it the
 * test adds up each household in whole cents from the CSV itself: every line earns its whole dollars, and 5 more for
 * two or more pieces.  The balances must be equal, also after a restart and after a kill, with 1 and with 4 shards.
 *
 *     TALLY_REAL_DATA=FILE     where the purchases are; without them the tests are skipped
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "tests/crash/process.h"

#define REAL_DATA "../shared/data/complete-journey/transactions-2017-01-to-09.csv"

enum { ARRAY = 1000, COLUMNS = 11, HOUSEHOLD_MAX = 100000, BONUS = 5, BONUS_FROM = 2,
       ROWS = 55876, HOUSEHOLDS = 2328, CENTS = 17267308 };
enum { HOUSEHOLD = 0, BASKET = 2, PRODUCT = 3, QUANTITY = 4, SALES_VALUE = 5, TIMESTAMP = 10 };

struct world {
	struct process process;
	struct buf file, array, answer;
	int64_t points[HOUSEHOLD_MAX]; /* what each household must have; -1: none */
	uint32_t lines[HOUSEHOLD_MAX];
	uint64_t rows, cents, total;
	unsigned households;
};

static struct world world;

/* The next line of the file, cut at its commas; the file has no quotes. */
static bool row_next(size_t *at, struct str *fields)
{
	const char *start = world.file.ptr + *at, *end;
	if (*at >= world.file.len)
		return false;
	end = memchr(start, '\n', world.file.len - *at);
	assert_non_null(end);
	*at += (size_t)(end - start) + 1;
	for (size_t i = 0; i < COLUMNS; i++) {
		const char *comma = memchr(start, ',', (size_t)(end - start));
		const char *stop = comma ? comma : end;
		assert_true((comma != NULL) == (i + 1 < COLUMNS));
		fields[i] = (struct str){ start, (size_t)(stop - start) };
		start = stop + 1;
	}
	return true;
}

static unsigned whole(struct str text)
{
	unsigned value = 0;
	assert_true(text.len > 0 && text.len < 9);
	for (size_t i = 0; i < text.len; i++) {
		assert_true(text.ptr[i] >= '0' && text.ptr[i] <= '9');
		value = value * 10 + (unsigned)(text.ptr[i] - '0');
	}
	return value;
}

/* 12, 1.5 and 1.88 in cents.  One line of the file has 4.440892e-16, the rest of a subtraction: nothing. */
static unsigned cents(struct str text)
{
	if (memmem(text.ptr, text.len, "e-16", 4))
		return 0;
	const char *dot = memchr(text.ptr, '.', text.len);
	if (!dot)
		return whole(text) * 100;
	size_t before = (size_t)(dot - text.ptr), after = text.len - before - 1;
	assert_true(after == 1 || after == 2);
	unsigned fraction = whole((struct str){ dot + 1, after });
	return whole((struct str){ text.ptr, before }) * 100 + (after == 1 ? fraction * 10 : fraction);
}

static void totals_compute(void)
{
	struct str fields[COLUMNS];
	size_t at = 0;
	world.rows = world.cents = world.total = world.households = 0;
	for (size_t i = 0; i < HOUSEHOLD_MAX; i++) {
		world.points[i] = -1;
		world.lines[i] = 0;
	}
	assert_true(row_next(&at, fields));
	assert_true(str_eq(fields[SALES_VALUE], STR("sales_value")) && str_eq(fields[QUANTITY], STR("quantity")));
	while (row_next(&at, fields)) {
		unsigned household = whole(fields[HOUSEHOLD]), value = cents(fields[SALES_VALUE]);
		assert_true(household < HOUSEHOLD_MAX);
		unsigned points = value / 100 + (whole(fields[QUANTITY]) >= BONUS_FROM ? BONUS : 0);
		if (world.points[household] < 0) {
			world.points[household] = 0;
			world.households++;
		}
		world.points[household] += points;
		world.lines[household]++;
		world.total += points;
		world.cents += value;
		world.rows++;
	}
	assert_int_equal(world.rows, ROWS);
	assert_int_equal(world.households, HOUSEHOLDS);
	assert_int_equal(world.cents, CENTS);
}

static void row_write(struct buf *out, const struct str *fields, uint64_t line)
{
	buf_lit(out, "{\"brand\":\"" BRAND "\",\"eventType\":\"PURCHASE\",\"source\":\"receipts\",\"profileId\":\"");
	buf_str(out, fields[HOUSEHOLD]);
	buf_lit(out, "\",\"eventId\":\"");
	buf_str(out, fields[BASKET]);
	buf_char(out, '-');
	buf_str(out, fields[PRODUCT]);
	buf_char(out, '-');
	buf_u64(out, line);
	buf_lit(out, "\",\"payload\":{\"sales_value\":");
	buf_str(out, fields[SALES_VALUE]);
	buf_lit(out, ",\"quantity\":");
	buf_str(out, fields[QUANTITY]);
	buf_lit(out, ",\"timestamp\":\"");
	buf_str(out, fields[TIMESTAMP]);
	buf_lit(out, "\"}}");
}

static void array_post(struct connection *connection, size_t count, bool known)
{
	struct json_error error;
	size_t at, max;
	yyjson_val *row;
	buf_char(&world.array, ']');
	int status = connection_ask(connection, "POST", "/transactions", buf_view(&world.array), &world.answer);
	assert_int_equal(status, 200);
	yyjson_doc *doc = json_read(buf_view(&world.answer), &error);
	if (!doc)
		fail_msg("%s", error.detail);
	assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), count);
	yyjson_arr_foreach(yyjson_doc_get_root(doc), at, max, row) {
		bool same = known ? yyjson_is_true(json_get(row, STR("idempotent")))
				  : yyjson_is_false(json_get(row, STR("idempotent")));
		if (!same || !str_eq(json_text(json_get(row, STR("status"))), STR("PROCESSED")))
			fail_msg("row %zu of an array, in %.*s", at, (int)world.answer.len, world.answer.ptr);
	}
	yyjson_doc_free(doc);
	world.array.len = 0;
}

/* Sends the rows; `known`: they were sent before.  `every`: only each such array. */
static void rows_post(bool known, unsigned every)
{
	struct connection connection;
	struct str fields[COLUMNS];
	size_t at = 0, count = 0;
	uint64_t line = 1, arrays = 0;
	assert_true(connection_open(&connection, world.process.port));
	world.array.len = 0;
	assert_true(row_next(&at, fields));
	while (row_next(&at, fields)) {
		buf_char(&world.array, count ? ',' : '[');
		row_write(&world.array, fields, ++line);
		if (++count < ARRAY)
			continue;
		if (arrays++ % every == 0)
			array_post(&connection, count, known);
		world.array.len = count = 0;
	}
	if (count && arrays % every == 0)
		array_post(&connection, count, known);
	connection_close(&connection);
}

static int64_t member_number(struct connection *connection, unsigned household, struct str key)
{
	struct json_error error;
	char path[64];
	int64_t value = -1;
	snprintf(path, sizeof path, "/customers/" BRAND "/%u", household);
	assert_int_equal(connection_ask(connection, "GET", path, STR(""), &world.answer), 200);
	yyjson_doc *doc = json_read(buf_view(&world.answer), &error);
	assert_true(doc && json_int(json_get(yyjson_doc_get_root(doc), key), &value));
	yyjson_doc_free(doc);
	return value;
}

static void totals_compare(void)
{
	struct connection connection;
	uint64_t total = 0;
	unsigned compared = 0;
	assert_true(connection_open(&connection, world.process.port));
	for (unsigned household = 0; household < HOUSEHOLD_MAX; household++) {
		if (world.points[household] < 0)
			continue;
		int64_t points = member_number(&connection, household, STR("points"));
		if (points != world.points[household])
			fail_msg("household %u has %lld points; the file says %lld", household, (long long)points,
				 (long long)world.points[household]);
		assert_int_equal(member_number(&connection, household, STR("events")), world.lines[household]);
		total += (uint64_t)points;
		compared++;
	}
	connection_close(&connection);
	assert_int_equal(compared, HOUSEHOLDS);
	assert_int_equal(total, world.total);
}

static void configure(void)
{
	static const struct { const char *path; struct str body; } requests[] = {
		{ "/admin/event-types", STR("{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"Purchase\"}") },
		{ "/rules", STR("{\"event_type\":\"PURCHASE\",\"conditions\":null,\"actions\":"
				"[{\"type\":\"earn_points_from_amount\",\"rate\":1,"
				"\"amount_path\":\"sales_value\"}]}") },
		{ "/rules", STR("{\"event_type\":\"PURCHASE\","
				"\"conditions\":{\">=\":[{\"var\":\"payload.quantity\"},2]},"
				"\"actions\":[{\"type\":\"earn_points\",\"points\":5}]}") },
	};
	struct connection connection;
	assert_true(connection_open(&connection, world.process.port));
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		assert_int_equal(connection_ask(&connection, "POST", requests[i].path, requests[i].body,
						&world.answer), 201);
	connection_close(&connection);
}

static void books_check(void)
{
	char data[FOLDER_PATH + 8], wanted[80];
	const char *words[] = { "check", data, NULL };
	struct buf text = { 0 };
	snprintf(data, sizeof data, "%s/data", world.process.folder);
	snprintf(wanted, sizeof wanted, "members %llu, liability -%llu,", (unsigned long long)world.total,
		 (unsigned long long)world.total);
	int status = program_run(words, &text);
	buf_char(&text, '\0');
	if (status != 0 || !strstr(text.ptr, wanted) || !strstr(text.ptr, "the books balance"))
		fail_msg("tally check ends with %d, not with %s: %s", status, wanted, text.ptr);
	buf_free(&text);
}

static void purchases_run(unsigned shards)
{
	const char *path = getenv("TALLY_REAL_DATA");
	path = path && *path ? path : REAL_DATA;
	if (access(path, R_OK)) {
		printf("# the purchases (%s) are not here: skipped\n", path);
		skip();
	}
	world.file.len = 0;
	file_read(path, &world.file);
	totals_compute();
	assert_true(process_start(&world.process, shards, NULL));
	configure();
	uint64_t begin = clock_us();
	rows_post(false, 1);
	double seconds = (double)(clock_us() - begin) / 1e6;
	printf("# %u shards: %llu rows, %u households, %llu points in %.2f s\n", shards, (unsigned long long)world.rows,
	       world.households, (unsigned long long)world.total, seconds);
	totals_compare();
	assert_int_equal(process_stop(&world.process), 0);
	books_check();
	assert_true(process_start(&world.process, shards, NULL));
	totals_compare();
	rows_post(true, 7);
	totals_compare();
	process_kill(&world.process);
	assert_true(process_start(&world.process, 5 - shards, NULL));
	totals_compare();
	assert_int_equal(process_stop(&world.process), 0);
	books_check();
}

static void adds_up_with_1_shard(void **state)
{
	(void)state;
	purchases_run(1);
}

static void adds_up_with_4_shards(void **state)
{
	(void)state;
	purchases_run(4);
}

static int set_up(void **state)
{
	(void)state;
	folder_make(world.process.folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	process_kill(&world.process);
	folder_remove(world.process.folder);
	buf_free(&world.file);
	buf_free(&world.array);
	buf_free(&world.answer);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(adds_up_with_1_shard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(adds_up_with_4_shards, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
