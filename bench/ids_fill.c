// SPDX-License-Identifier: Apache-2.0
/* ids_fill.c - fabricates runs of ids, so that a server can be measured that remembers more of them than a benchmark has time to send.
 *
 *     ids_fill DATA/ids COUNT RUNS BELOW       of a stopped server; BELOW: an LSN, at most the end that `tally check` says
 *
 * The ids are random hashes; each run is half as large again as the one behind it, the shape that merging leaves.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "snapshot/runs.h"

static uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

int main(int argc, char **argv)
{
	struct buf error = { 0 };
	if (argc != 5) {
		fprintf(stderr, "usage: ids_fill DATA/ids COUNT RUNS BELOW\n");
		return 2;
	}
	uint64_t count = strtoull(argv[2], NULL, 10), below = strtoull(argv[4], NULL, 10), seed = 20261121, done = 0;
	unsigned runs = (unsigned)strtoul(argv[3], NULL, 10);
	struct runs_store *store = runs_open(argv[1], true, &error);
	double sum = 0, part = 1;
	for (unsigned r = 0; r < runs; r++, part /= 1.6)
		sum += part;
	part = 1;
	uint64_t lsn = store ? runs_manifest(store)->below : 0, step = runs ? (below - lsn) / runs : 0;
	for (unsigned r = 0; store && !error.len && r < runs; r++, part /= 1.6) {
		uint64_t n = r + 1 == runs ? count - done : (uint64_t)((double)count * part / sum);
		struct run_entry *entries = mem_alloc((n + 1) * sizeof *entries);
		for (uint64_t i = 0; i < n; i++)
			entries[i] = (struct run_entry){ random_next(&seed) | 1, lsn + random_next(&seed) % step, random_next(&seed) };
		done += n;
		lsn = r + 1 == runs ? below : lsn + step;
		runs_add(store, entries, n, lsn, 0, &error);
		mem_free(entries);
		printf("%llu ids in %u runs\n", (unsigned long long)done, r + 1);
	}
	if (error.len)
		fprintf(stderr, "ids_fill: %.*s\n", (int)error.len, error.ptr);
	runs_close(store);
	return error.len ? 1 : 0;
}
