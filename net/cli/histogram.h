// SPDX-License-Identifier: Apache-2.0
/* histogram.h - latencies with three significant digits, in constant memory.
 *
 * Log-linear buckets: values below 2,048 are exact; above, each power of two has 1,024 buckets, so that a value is
 * known to one part in 1,024. The largest bucket begins below 2^HISTOGRAM_BITS; what is above counts as that. The unit
 * is the caller's (nanoseconds: up to 18 minutes). Zero-initialise it; about 250 KiB.
 */
#ifndef NET_CLI_HISTOGRAM_H
#define NET_CLI_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
	HISTOGRAM_BITS = 40,
	HISTOGRAM_EXACT_BITS = 11,
	HISTOGRAM_STEP_BITS = HISTOGRAM_EXACT_BITS - 1,
	HISTOGRAM_BUCKETS = (1 << HISTOGRAM_EXACT_BITS) +
			    (HISTOGRAM_BITS - HISTOGRAM_EXACT_BITS) * (1 << HISTOGRAM_STEP_BITS)
};

struct histogram {
	uint64_t count, max;           /* of what was added; max is exact */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that `share` (0 to 1) of all values do not exceed: the highest value of its bucket, at most max. 0 while
 * it is empty. histogram_at(h, 1) is max. */
uint64_t histogram_at(const struct histogram *histogram, double share);

size_t histogram_bucket(uint64_t value);           /* where a value is counted */
uint64_t histogram_top(size_t bucket);             /* the highest value that is counted there */

#endif
