// SPDX-License-Identifier: Apache-2.0
/* test_histogram.c - buckets without gaps, three digits, and percentiles against a sorted list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/cli/histogram.h"

enum { VALUES = 20000 };

static uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* Each bucket ends where the next one begins, and is no wider than a thousandth. */
static void buckets_are_continuous(void **state)
{
	(void)state;
	assert_int_equal(histogram_bucket(0), 0);
	for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
		uint64_t top = histogram_top(i), width = i ? top - histogram_top(i - 1) : 1;
		assert_int_equal(histogram_bucket(top), i);
		assert_int_equal(histogram_bucket(top + 1), i + 1);
		assert_true(width == 1 || width * 1000 <= top);
	}
	assert_int_equal(histogram_top(HISTOGRAM_BUCKETS - 1), (UINT64_C(1) << HISTOGRAM_BITS) - 1);
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static int order(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static void percentiles_match_a_sorted_list(void **state)
{
	static const double shares[] = { 0.0001, 0.5, 0.9, 0.99, 0.999, 0.9999 };
	static struct histogram all, even, odd;
	static uint64_t values[VALUES];
	uint64_t seed = 7;

	(void)state;
	for (size_t i = 0; i < VALUES; i++) {
		values[i] = random_next(&seed) >> (24 + random_next(&seed) % 40);
		histogram_add(i % 2 ? &odd : &even, values[i]);
	}
	histogram_merge(&all, &even);
	histogram_merge(&all, &odd);
	qsort(values, VALUES, sizeof *values, order);
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
		uint64_t exact = values[(size_t)(shares[i] * VALUES + 0.999999) - 1];
		uint64_t got = histogram_at(&all, shares[i]);
		assert_true(got >= exact && got - exact <= exact / 1000);
	}
	assert_int_equal(all.count, VALUES);
	assert_int_equal(histogram_at(&all, 1), values[VALUES - 1]);
}

static void few_values(void **state)
{
	static struct histogram none, one, large;

	(void)state;
	assert_int_equal(histogram_at(&none, 0.5), 0);
	assert_int_equal(histogram_at(&none, 1), 0);
	histogram_add(&one, 1000001);
	assert_int_equal(histogram_at(&one, 0), 1000001);      /* never above what was there */
	assert_int_equal(histogram_at(&one, 0.5), 1000001);
	histogram_add(&large, UINT64_MAX - 1);
	assert_int_equal(histogram_at(&large, 0.5), UINT64_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_continuous),
		cmocka_unit_test(percentiles_match_a_sorted_list),
		cmocka_unit_test(few_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
