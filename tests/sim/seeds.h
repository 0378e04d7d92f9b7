// SPDX-License-Identifier: Apache-2.0
/* seeds.h - running many simulated histories, one a seed, for the programs that have them.
 *
 * SEEDS: how many, from FROM (default 1) on, in JOBS processes.  SEED: only that one, twice, with a trace of the first run.
 * A seed that breaks a law is named with the law; so is one that fails an assertion.  STOP: after so many broken ones.
 * MUTANT (in a build with -DMUTANTS): the product with that fault (mutants.txt).
 */
#ifndef TESTS_SIM_SEEDS_H
#define TESTS_SIM_SEEDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seeds {
	/* One history.  Adds to its counts; false: a law is broken, and standard error says which ("seed 7: L1: …"). */
	bool (*run)(uint64_t seed, bool trace, void *counts, uint64_t *hash);
	size_t counts_size;            /* bytes; a struct of uint64_t, at most 32 KiB */
};

uint64_t seeds_number(const char *name, uint64_t fallback);        /* from the environment; no number: exit 2 */
/* How many processes came to a broken one; the counts of all are added up in *counts. */
unsigned seeds_run(const struct seeds *seeds, uint64_t from, uint64_t count, void *counts);
/* SEED: whether it is good, and the same both times. */
bool seeds_only(const struct seeds *seeds, uint64_t seed, void *counts);
/* Seeds that once found something: how many of them do now. */
unsigned seeds_again(const struct seeds *seeds, const uint64_t *list, size_t count, void *counts);
/* The same seed is the same history, to the last byte on the disk. */
bool seeds_same(const struct seeds *seeds, uint64_t seed, void *counts);

#endif
