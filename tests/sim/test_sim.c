// SPDX-License-Identifier: Apache-2.0
/* test_sim.c - simulated histories, one a seed; see sim.h.
 *
 * SEEDS: how many, from FROM (default 1) on, in JOBS processes.  SEED: only that one, twice, with a trace of the first run.
 * A seed that breaks a law is named with the law; so is one that fails an assertion.  STOP: after so many broken ones.
 * MUTANT (in a build with -DMUTANTS): the product with that fault (mutants.txt);
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/catalog/kind.h"
#include "engine/event/effect.h"
#include "engine/event/reverse.h"
#include "engine/ledger/request.h"
#include "tests/sim/sim.h"

enum { SEEDS_DEFAULT = 200, JOBS_MAX = 64, COUNTS = 37 };

#define LLU(x) ((unsigned long long)(x))

static volatile uint64_t running;      /* the seed */

#ifdef MUTANTS
#include "engine/base/mutant.h"
unsigned mutant_on;
#endif

static uint64_t number_from(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : fallback;
}

/* An assertion of the product failed: which seed was it? */
static void on_abort(int number)
{
	char line[80];
	(void)number;
	int len = snprintf(line, sizeof line, "seed %llu: aborted\n", LLU(running));
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		_exit(3);
	_exit(2);
}

/* Over all seeds. */
struct counts { uint64_t list[COUNTS]; struct sim_seen seen; };

static const char *const names[COUNTS] = {
	"lives", "power cuts", "cuts in the middle of a call", "kills", "failed writes", "clean stops", "operations", "answers",
	"records", "transfers", "failed transfers", "expiries", "events", "customers", "changes of configuration", "sent again",
	"known ids", "reversals", "refused for damage", "damaged tails", "disk full", "segments", "states compared with their files",
	"snapshots written", "snapshots loaded", "broken ones passed over", "damaged records read",
	"segments dropped", "answers of the past", "outcomes pruned", "runs of ids made", "merged", "ids that could not be looked up",
	"folders of ids made again", "backups", "backups broken off", "restores",
};

static void seen_add(struct sim_seen *sum, const struct sim_seen *seen)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)seen;
	for (unsigned i = 0; i < sizeof *sum / sizeof *to; i++)
		to[i] += from[i];
}

static void counts_of(const struct sim_result *result, struct counts *counts)
{
	const uint64_t list[COUNTS] = {
		result->lives, result->cuts, result->cuts_in_calls, result->kills, result->deaths, result->stops, result->ops,
		result->replies, result->records, result->transfers, result->failures, result->expiries, result->events,
		result->customers, result->changes, result->retries, result->repeats, result->reversals, result->refused, result->tails, result->full,
		result->segments, result->dumps, result->snapshots, result->loads, result->passed_over,
		result->unread, result->dropped, result->asked, result->pruned, result->id_runs, result->id_merges, result->ids_unread,
		result->ids_remade, result->backups, result->broken_off, result->restores,
	};
	for (unsigned i = 0; i < COUNTS; i++)
		counts->list[i] += list[i];
	seen_add(&counts->seen, &result->seen);
}

/* False: a law is broken; the line is on standard error. */
static bool seed_run(uint64_t seed, bool trace, struct counts *counts, uint64_t *hash)
{
	struct sim_result result;
	running = seed;
	sim_run(seed, trace, &result);
	if (!result.good)
		fprintf(stderr, "seed %llu: %.*s\n", LLU(seed), (int)result.verdict.len, result.verdict.ptr);
	counts_of(&result, counts);
	*hash = result.hash;
	buf_free(&result.verdict);
	return result.good;
}

/* Seeds from + job, from + job + jobs, …: returns how many are broken. */
static unsigned job_run(uint64_t from, uint64_t seeds, unsigned job, unsigned jobs, struct counts *counts)
{
	unsigned broken = 0;
	uint64_t hash, most = number_from("STOP", 20);
	for (uint64_t i = job; i < seeds && broken < most; i += jobs)
		broken += !seed_run(from + i, false, counts, &hash);
	return broken;
}

struct job { pid_t pid; int pipe; };

static unsigned jobs_run(uint64_t from, uint64_t seeds, unsigned jobs, struct counts *counts)
{
	struct job list[JOBS_MAX];
	unsigned broken = 0;
	fflush(NULL);
	for (unsigned j = 0; j < jobs; j++) {
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct counts own = { 0 };
			signal(SIGABRT, on_abort);
			signal(SIGSEGV, on_abort);
			close(ends[0]);
			unsigned bad = job_run(from, seeds, j, jobs, &own);
			ssize_t n = write(ends[1], &own, sizeof own);
			_exit(bad || n != (ssize_t)sizeof own ? 1 : 0);
		}
		close(ends[1]);
		list[j] = (struct job){ pid, ends[0] };
	}
	for (unsigned j = 0; j < jobs; j++) {
		struct counts own = { 0 };
		int status = 0;
		ssize_t n = read(list[j].pipe, &own, sizeof own);
		close(list[j].pipe);
		waitpid(list[j].pid, &status, 0);
		broken += n != (ssize_t)sizeof own || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
		for (unsigned i = 0; i < COUNTS; i++)
			counts->list[i] += own.list[i];
		seen_add(&counts->seen, &own.seen);
	}
	return broken;
}

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
	uint64_t only = number_from("SEED", 0);
	struct counts counts = { 0 };
	uint64_t from = number_from("FROM", 1), seeds = number_from("SEEDS", SEEDS_DEFAULT), jobs = number_from("JOBS", 1);
#ifdef MUTANTS
	mutant_on = (unsigned)number_from("MUTANT", 0);
#endif
	if (only) {
		uint64_t hashes[2];
		signal(SIGABRT, on_abort);
		signal(SIGSEGV, on_abort);
		bool good = seed_run(only, true, &counts, &hashes[0]);
		fprintf(stderr, "seed %llu: %s, hash %016llx\n", LLU(only), good ? "good" : "broken", LLU(hashes[0]));
		if (good)
			assert_true(seed_run(only, false, &counts, &hashes[1]) && hashes[0] == hashes[1]);
		assert_true(good);
		return;
	}
	assert_true(jobs >= 1 && jobs <= JOBS_MAX && seeds >= 1);
	unsigned broken = jobs_run(from, seeds, (unsigned)jobs, &counts);
	print_message("# %llu seeds from %llu:", LLU(seeds), LLU(from));
	for (unsigned i = 0; i < COUNTS; i++)
		print_message("%s %llu %s", i ? "," : "", LLU(counts.list[i]), names[i]);
	print_message("\n");
	assert_int_equal(broken, 0);
	/* That there was something to see. */
	for (unsigned i = 0; i < 18 && seeds >= SEEDS_DEFAULT; i++)
		assert_true(counts.list[i] > 0);
	if (seeds >= 5 * SEEDS_DEFAULT)
		tables_exercised(&counts.seen);
}

/* The same seed is the same history, to the last byte on the disk. */
static void same_again(void **state)
{
	(void)state;
	struct counts counts = { 0 };
	if (number_from("SEED", 0) || number_from("SEEDS", 0))
		return;
	for (uint64_t seed = 900001; seed < 900004; seed++) {
		uint64_t hashes[2];
		assert_true(seed_run(seed, false, &counts, &hashes[0]));
		assert_true(seed_run(seed, false, &counts, &hashes[1]));
		assert_true(hashes[0] == hashes[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histories),
		cmocka_unit_test(same_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
