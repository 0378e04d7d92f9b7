// SPDX-License-Identifier: Apache-2.0
/* test_sim.c - simulated histories, one a seed; see sim.h, and seeds.h for how to run them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/catalog/kind.h"
#include "engine/event/effect.h"
#include "engine/event/reverse.h"
#include "engine/ledger/request.h"
#include "tests/sim/seeds.h"
#include "tests/sim/sim.h"

enum { SEEDS_DEFAULT = 200, COUNTS = 39 };

#define LLU(x) ((unsigned long long)(x))

/* Over all seeds. */
struct counts { uint64_t list[COUNTS]; struct sim_seen seen; };

static const char *const names[COUNTS] = {
	"lives", "power cuts", "cuts in the middle of a call", "kills", "failed writes", "clean stops", "operations", "answers",
	"records", "transfers", "failed transfers", "expiries", "events", "customers", "changes of configuration", "sent again",
	"known ids", "reversals", "refused for damage", "damaged tails", "disk full", "segments", "states compared with their files",
	"snapshots written", "snapshots loaded", "broken ones passed over", "damaged records read",
	"segments dropped", "answers of the past", "outcomes pruned", "runs of ids made", "merged", "ids that could not be looked up",
	"folders of ids made again", "backups", "backups broken off", "restores",
	"times ids were forgotten", "ids taken anew",
};

static void counts_of(const struct sim_result *result, struct counts *counts)
{
	const uint64_t list[COUNTS] = {
		result->lives, result->cuts, result->cuts_in_calls, result->kills, result->deaths, result->stops, result->ops,
		result->replies, result->records, result->transfers, result->failures, result->expiries, result->events,
		result->customers, result->changes, result->retries, result->repeats, result->reversals, result->refused, result->tails, result->full,
		result->segments, result->dumps, result->snapshots, result->loads, result->passed_over,
		result->unread, result->dropped, result->asked, result->pruned, result->id_runs, result->id_merges, result->ids_unread,
		result->ids_remade, result->backups, result->broken_off, result->restores, result->forgets, result->anew,
	};
	for (unsigned i = 0; i < COUNTS; i++)
		counts->list[i] += list[i];
	uint64_t *to = (uint64_t *)&counts->seen;
	const uint64_t *from = (const uint64_t *)&result->seen;
	for (unsigned i = 0; i < sizeof result->seen / sizeof *to; i++)
		to[i] += from[i];
}

/* False: a law is broken; the line is on standard error. */
static bool seed_run(uint64_t seed, bool trace, void *counts, uint64_t *hash)
{
	struct sim_result result;
	sim_run(seed, trace, &result);
	if (!result.good)
		fprintf(stderr, "seed %llu: %.*s\n", LLU(seed), (int)result.verdict.len, result.verdict.ptr);
	counts_of(&result, counts);
	*hash = result.hash;
	buf_free(&result.verdict);
	return result.good;
}

static const struct seeds seeds_of_sim = { seed_run, sizeof(struct counts) };

static unsigned missing(const char *what, const char *name, uint64_t count)
{
	if (!count)
		print_error("%s %s was never part of a history\n", what, name);
	return !count;
}

/* The entries of a list from `first` on, by number. */
static unsigned missing_numbers(const char *what, const uint64_t *counts, unsigned first, unsigned behind)
{
	unsigned sum = 0;
	char name[12];
	for (unsigned i = first; i < behind; i++) {
		snprintf(name, sizeof name, "%u", i);
		sum += missing(what, name, counts[i]);
	}
	return sum;
}

/* What is declared in a table of the product is exercised here, without exception. */
static void tables_exercised(const struct sim_seen *seen)
{
	const struct kind *kind;
	unsigned sum = 0;
	print_message("# effects:");
	for (unsigned e = 1; e < EFFECT_TYPES; e++)
		if (seen->effects[e])
			print_message(" %s %llu", effect_kinds[e].name, LLU(seen->effects[e]));
	print_message("; %llu reversals with nothing in between\n", LLU(seen->exact));
	for (size_t k = 0; (kind = kind_at(k)); k++)
		sum += missing("kind", kind->name, seen->kinds[kind->number]);
	for (unsigned e = 1; e < EFFECT_TYPES; e++)
		sum += missing("effect", effect_kinds[e].name, seen->effects[e]);
	for (unsigned a = 0; a <= ACTION_TYPES; a++)
		sum += missing("action", action_name(a), seen->actions[a]);
	sum += missing_numbers("record", seen->records, RECORD_FILLER, RECORD_ACTION + 1);
	sum += missing_numbers("row kind", seen->rows, 0, ROW_KINDS);
	sum += missing_numbers("ledger verb", seen->ledger, 0, LEDGER_VERBS);
	sum += missing_numbers("query kind", seen->queries, 0, QUERY_KINDS);
	sum += missing_numbers("catalog verb", seen->catalog, 0, CATALOG_VERBS);
	sum += missing_numbers("action op", seen->ops, ACTION_OP_USE_REWARD, ACTION_OPS);
	sum += missing_numbers("reverse policy", seen->policies, 0, REVERSE_POLICIES);
	sum += missing("law", "reversal", seen->exact);
	assert_int_equal(sum, 0);
}

static void histories(void **state)
{
	(void)state;
	uint64_t only = seeds_number("SEED", 0), from = seeds_number("FROM", 1), seeds = seeds_number("SEEDS", SEEDS_DEFAULT);
	struct counts counts = { 0 };
	if (only) {
		assert_true(seeds_only(&seeds_of_sim, only, &counts));
		return;
	}
	unsigned broken = seeds_run(&seeds_of_sim, from, seeds, &counts);
	print_message("# %llu seeds from %llu:", LLU(seeds), LLU(from));
	for (unsigned i = 0; i < COUNTS; i++)
		print_message("%s %llu %s", i ? "," : "", LLU(counts.list[i]), names[i]);
	print_message("\n");
	assert_int_equal(broken, 0);
	/* That there was something to see. */
	for (unsigned i = 0; i < 18 && seeds >= SEEDS_DEFAULT; i++)
		assert_true(counts.list[i] > 0);
	for (unsigned i = COUNTS - 2; i < COUNTS && seeds >= 5 * SEEDS_DEFAULT; i++)
		assert_true(counts.list[i] > 0);
	if (seeds >= 5 * SEEDS_DEFAULT)
		tables_exercised(&counts.seen);
}

/* Kept, with what they found in docs/reliability.md. */
static void found_before(void **state)
{
	static const uint64_t list[] = { 4672, 700883, 907373, 1101417, 1103135, 1103465, 1104878, 1107773, 1107962, 1110464, 1111781, 1129589 };
	struct counts counts = { 0 };
	(void)state;
	if (!seeds_number("SEED", 0) && !seeds_number("SEEDS", 0))
		assert_int_equal(seeds_again(&seeds_of_sim, list, sizeof list / sizeof *list, &counts), 0);
}

/* The same seed is the same history, to the last byte on the disk. */
static void same_again(void **state)
{
	(void)state;
	struct counts counts = { 0 };
	if (seeds_number("SEED", 0) || seeds_number("SEEDS", 0))
		return;
	for (uint64_t seed = 900001; seed < 900004; seed++)
		assert_true(seeds_same(&seeds_of_sim, seed, &counts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histories),
		cmocka_unit_test(found_before),
		cmocka_unit_test(same_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
