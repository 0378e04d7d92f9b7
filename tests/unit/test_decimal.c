// SPDX-License-Identifier: Apache-2.0
/* test_decimal.c - decimals are exact, and say so where they cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/decimal.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char largest[] = "170141183460469231731687303715884105727";       /* 2^127 - 1 */

static struct decimal of(const char *text)
{
	struct decimal number = { 0 };
	if (!decimal_parse(str_of(text), &number))
		fail_msg("%s is a number", text);
	return number;
}

static void expect(struct decimal number, const char *text)
{
	struct buf out = { 0 };
	decimal_write(&out, number);
	buf_char(&out, '\0');
	assert_string_equal(out.ptr, text);
	buf_free(&out);
}

static void test_parse(void **state)
{
	static const char *const rows[][2] = {
		{ "0", "0" }, { "-0", "0" }, { "-0.0", "0" }, { "0e5", "0" }, { "0e-400", "0" }, { "7", "7" },
		{ "-12", "-12" },
		{ "1e3", "1000" }, { "1E+3", "1000" }, { "1.50", "1.5" }, { "1.5e1", "15" }, { "15e-1", "1.5" },
		{ "0.001", "0.001" }, { "-0.50", "-0.5" }, { "100", "100" }, { "1000000000000000000",
		"1000000000000000000" },
		{ "10.010", "10.01" }, { "18446744073709551615", "18446744073709551615" }, { largest, largest },
		{ "1e38", "100000000000000000000000000000000000000" }, { "1e-30", "0.000000000000000000000000000001" },
		{ "0.1000000000000000000000000000000000000000000000", "0.1" }, { "1000e-33",
		"0.000000000000000000000000000001" },
		{ "9.99e2", "999" }, { "00000", NULL }, { "01", NULL }, { "-01", NULL }, { "1.", NULL }, { ".5", NULL },
		{ "+1", NULL }, { "-", NULL }, { "", NULL }, { "1e", NULL }, { "1e+", NULL }, { "1x", NULL },
		{ " 1", NULL },
		{ "1 ", NULL }, { "1.2.3", NULL }, { "1e400", NULL }, { "1e39", NULL }, { "1e-31", NULL },
		{ "1e99999999999999999999", NULL }, { "170141183460469231731687303715884105728", NULL },
		{ "1701411834604692317316873037158841057280", NULL }, { "NaN", NULL }, { "0x1", NULL }, { "-1.", NULL },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct decimal number;
		bool good = decimal_parse(str_of(rows[i][0]), &number);
		if (good != (rows[i][1] != NULL))
			fail_msg("\"%s\" %s", rows[i][0], good ? "was read" : "was refused");
		if (good)
			expect(number, rows[i][1]);
	}
}

static void test_prefix(void **state)
{
	static const struct { const char *text; size_t len; const char *value; } rows[] = {
		{ "1.5abc", 3, "1.5" }, { "+1", 2, "1" }, { "01", 2, "1" }, { "1.", 2, "1" }, { ".5", 2, "0.5" },
		{ "1e", 1, "1" },
		{ "1e5x", 3, "100000" }, { "1.2.3", 3, "1.2" }, { "abc", 0, NULL }, { "", 0, NULL }, { ".", 0, NULL },
		{ "-", 0, NULL }, { "1e400", 5, NULL }, { "-.5", 3, "-0.5" }, { "1e+", 1, "1" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct decimal number;
		bool fits;
		assert_int_equal(decimal_parse_prefix(str_of(rows[i].text), &fits, &number), rows[i].len);
		assert_int_equal(fits, rows[i].value != NULL);
		if (fits)
			expect(number, rows[i].value);
	}
}

static void test_arithmetic(void **state)
{
	static const struct { const char *a; char op; const char *b, *expected; } rows[] = {
		{ "0.1", '+', "0.2", "0.3" }, { "99.99", '*', "1.0", "99.99" }, { "0.1", '*', "30", "3" },
		{ "1", '-', "0.9", "0.1" }, { "-1.5", '+', "1.5", "0" }, { "1", '/', "3", "0.333333333333333333" },
		{ "2", '/', "3", "0.666666666666666667" }, { "-2", '/', "3", "-0.666666666666666667" },
		{ "10", '/', "4", "2.5" },
		{ "1", '/', "0", NULL }, { "1", '/', "0.00", NULL }, { "1", '%', "0", NULL }, { "0", '/', "7", "0" },
		{ "1", '/', "2000000000000000000", "0" }, { "3", '/', "2000000000000000000", "0.000000000000000002" },
		{ "1e-30", '/', "1", "0" }, { "1e-18", '/', "1", "0.000000000000000001" },
		{ "5e-19", '/', "1", "0" }, { "15e-19", '/', "1", "0.000000000000000002" }, { "5.1e-19", '/', "1",
		"0.000000000000000001" },
		{ "1e-30", '/', "1e-30", "1" }, { "1e20", '/', "1e-18", "100000000000000000000000000000000000000" },
		{ "1e20", '/', "1e-19", NULL }, { largest, '/', largest, "1" }, { largest, '/', "1", largest },
		{ "1e25", '/', "3", NULL }, { "1e30", '/', "0.5", "2000000000000000000000000000000" },
		{ "1e18", '/', "3", "333333333333333333.333333333333333333" },
		{ "100000000000000000000000000000", '/', "99999999999999999999999999999", "1" },
		{ "7", '%', "3", "1" }, { "-7", '%', "3", "-1" }, { "7", '%', "-3", "1" }, { "5.5", '%', "2", "1.5" },
		{ "1", '%', "0.3", "0.1" }, { "1e38", '%', "0.7", "0.6" }, { "0.5", '%', "1e38", "0.5" },
		{ "1e-30", '%', "1e30", "0.000000000000000000000000000001" },
		{ "6", '%', "3", "0" }, { largest, '+', "1", NULL }, { largest, '-', "-1", NULL },
		{ largest, '*', "2", NULL },
		{ largest, '*', "-1", "-170141183460469231731687303715884105727" }, { "1e19", '*', "1e19",
		"100000000000000000000000000000000000000" },
		{ "1e20", '*', "1e19", NULL }, { "1e-20", '*', "1e-20", NULL }, { "1e-15", '*', "1e-15",
		"0.000000000000000000000000000001" },
		{ "1e38", '+', "0.1", NULL }, { "1e38", '*', "0.1", "10000000000000000000000000000000000000" },
		{ "0.5e-29", '*', "2", "0.00000000000000000000000000001" }, { "1e38", '-', "1.0",
		"99999999999999999999999999999999999999" },
		{ "18446744073709551615", '*', "9223372036854775807", "170141183460469231704017187605319778305" },
		{ "18446744073709551616", '*', "9223372036854775807", "170141183460469231713240559642174554112" },
		{ "18446744073709551616", '*', "9223372036854775808", NULL },
		{ "36893488147419103233", '*', "4611686018427387903", "170141183460469231699405501586892390399" },
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct decimal a = of(rows[i].a), b = of(rows[i].b), c = { 0 };
		bool good = rows[i].op == '+' ? decimal_add(a, b, &c) : rows[i].op == '-' ? decimal_sub(a, b, &c) :
			    rows[i].op == '*' ? decimal_mul(a, b, &c) : rows[i].op == '/' ? decimal_div(a, b, &c) :
			    decimal_mod(a, b, &c);
		if (good != (rows[i].expected != NULL))
			fail_msg("%s %c %s: %s", rows[i].a, rows[i].op, rows[i].b, good ? "no overflow" : "overflow");
		if (good)
			expect(c, rows[i].expected);
	}
}

static void test_order(void **state)
{
	static const char *const ascending[] = {
		"-170141183460469231731687303715884105727", "-1e20", "-1.5", "-1.49", "-1", "-1e-30", "0", "1e-30",
		"0.1",
		"0.10000001", "1", "1.000000000000000000000000000001", "1.5", "2", "10", "1e19", "1e30",
		"1e38", "170141183460469231731687303715884105727",
	};
	(void)state;
	for (size_t i = 0; i < COUNT(ascending); i++)
		for (size_t j = 0; j < COUNT(ascending); j++)
			assert_int_equal(decimal_cmp(of(ascending[i]), of(ascending[j])), (i > j) - (i < j));
	assert_int_equal(decimal_cmp((struct decimal){ 150, 2 }, (struct decimal){ 15, 1 }), 0);
	assert_int_equal(decimal_cmp((struct decimal){ 0, 5 }, (struct decimal){ 0, 0 }), 0);
}

static void test_trunc(void **state)
{
	int64_t whole;
	(void)state;
	assert_true(decimal_trunc(of("99.99"), &whole));
	assert_int_equal(whole, 99);
	assert_true(decimal_trunc(of("-99.99"), &whole));
	assert_int_equal(whole, -99);
	assert_true(decimal_trunc(of("9223372036854775807.9"), &whole));
	assert_true(whole == INT64_MAX);
	assert_true(decimal_trunc(of("-9223372036854775808.9"), &whole));
	assert_true(whole == INT64_MIN);
	assert_false(decimal_trunc(of("9223372036854775808"), &whole));
	assert_false(decimal_trunc(of("-9223372036854775809"), &whole));
	assert_true(decimal_is_zero(of("0.00")));
	assert_false(decimal_is_zero(of("1e-30")));
}

/* Small numbers against arithmetic on integers: a/1000 and b/1000. */
static void test_against_integers(void **state)
{
	uint64_t seed = 88172645463325252u;
	(void)state;
	for (int i = 0; i < 200000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		int64_t x = (int64_t)(seed % 2000001) - 1000000, y = (int64_t)(seed / 4000003 % 2000001) - 1000000;
		struct decimal a = { x, 3 }, b = { y, 3 }, c;
		assert_true(decimal_add(a, b, &c) && decimal_cmp(c, (struct decimal){ x + y, 3 }) == 0);
		assert_true(decimal_sub(a, b, &c) && decimal_cmp(c, (struct decimal){ x - y, 3 }) == 0);
		assert_true(decimal_mul(a, b, &c) && decimal_cmp(c, (struct decimal){ (__int128)x * y, 6 }) == 0);
		assert_int_equal(decimal_cmp(a, b), (x > y) - (x < y));
		if (y) {
			struct decimal back;
			assert_true(decimal_mod(a, b, &c) && decimal_cmp(c, (struct decimal){ x % y, 3 }) == 0);
			assert_true(decimal_mul(a, b, &c) && decimal_div(c, b, &back) && decimal_cmp(back, a) == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_prefix), cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_order), cmocka_unit_test(test_trunc), cmocka_unit_test(test_against_integers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
