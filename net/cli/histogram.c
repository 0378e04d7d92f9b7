// SPDX-License-Identifier: Apache-2.0
/* histogram.c - see histogram.h. Bucket numbers are continuous: the top EXACT_BITS bits of a value select within its
 * power of two, whose number stands above them. */
#include "net/cli/histogram.h"

#include "engine/base/assert.h"

size_t histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value >> HISTOGRAM_BITS)
		return HISTOGRAM_BUCKETS - 1;
	if (value < 1u << HISTOGRAM_EXACT_BITS)
		return (size_t)value;
	/* The leading one stays in front: value >> shift lies between STEP and 2 STEP. */
	shift = 64 - HISTOGRAM_EXACT_BITS - (unsigned)__builtin_clzll(value);
	return ((size_t)shift << HISTOGRAM_STEP_BITS) + (size_t)(value >> shift);
}

uint64_t histogram_top(size_t bucket)
{
	size_t shift;

	ASSERT(bucket < HISTOGRAM_BUCKETS);
	if (bucket < (size_t)1 << HISTOGRAM_EXACT_BITS)
		return bucket;
	shift = (bucket >> HISTOGRAM_STEP_BITS) - 1;
	return ((bucket - (shift << HISTOGRAM_STEP_BITS) + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->buckets[histogram_bucket(value)]++;
	histogram->count++;
	if (value > histogram->max)
		histogram->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->count += from->count;
	if (from->max > into->max)
		into->max = from->max;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
	double want = share * (double)histogram->count;
	uint64_t sum = 0;

	if (!histogram->count || share >= 1)
		return histogram->max;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		sum += histogram->buckets[i];
		if (sum && (double)sum >= want) {
			uint64_t top = histogram_top(i);
			return top < histogram->max && i + 1 < HISTOGRAM_BUCKETS ? top : histogram->max;
		}
	}
	return histogram->max;
}
