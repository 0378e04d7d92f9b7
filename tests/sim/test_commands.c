// SPDX-License-Identifier: Apache-2.0
/* test_commands.c - simulated histories of the product's commands, made from its tables; see commands/history.h, and seeds.h for
 * how to run them.
 *
 * From SEEDS_FOR_ALL on, every command must have come to a 2xx answer, and each that wrote something must have been there again
 * after a crash: so a new one is exercised the day it is declared.  SHOW: the counts of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cron/cron.h"
#include "net/loop/logline.h"
#include "net/rpc/rpc.h"
#include "net/surface/reference.h"
#include "tests/sim/commands/history.h"
#include "tests/sim/commands/methods.h"
#include "tests/sim/seeds.h"

/* Half of what is written comes to be replayed: of so few it may be none. */
enum { SEEDS_DEFAULT = 60, SEEDS_FOR_ALL = 1000, LOST_MAX = 4 };

#define LLU(x) ((unsigned long long)(x))

static bool seed_run(uint64_t seed, bool trace, void *counts, uint64_t *hash)
{
	struct buf verdict = { 0 };
	bool good = commands_run(seed, trace, counts, hash, &verdict);
	if (!good)
		fprintf(stderr, "seed %llu: %.*s\n", LLU(seed), (int)verdict.len, verdict.ptr);
	buf_free(&verdict);
	return good;
}

static const struct seeds seeds_of_commands = { seed_run, sizeof(struct commands_seen) };

static void counts_print(const struct commands_seen *seen)
{
	print_message("# %llu requests (%llu over RPC), %llu good, %llu refused, %llu failed by a fault, %llu dry, %llu repeats, %llu "
		      "without an answer\n", LLU(seen->requests), LLU(seen->over_rpc), LLU(seen->good), LLU(seen->refused),
		      LLU(seen->failed), LLU(seen->dry), LLU(seen->repeats), LLU(seen->unanswered));
	print_message("# %llu lives, %llu power cuts, %llu in the middle of a call, %llu kills, %llu failed writes, %llu clean stops, %llu "
		      "snapshots loaded\n", LLU(seen->lives), LLU(seen->cuts), LLU(seen->cuts_in_calls), LLU(seen->kills),
		      LLU(seen->deaths), LLU(seen->stops), LLU(seen->snapshots_loaded));
	print_message("# %llu times ids moved to disk, %llu times some were looked up there; %llu segments dropped\n",
		      LLU(seen->id_runs), LLU(seen->id_reads), LLU(seen->dropped));
	print_message("# states: %llu as before a request that changes nothing, %llu as before a repeat, %llu as before a crash, %llu as "
		      "their files; %llu books\n", LLU(seen->states_kept), LLU(seen->states_same), LLU(seen->states_recovered),
		      LLU(seen->states_compared), LLU(seen->books));
}

/* How many commands were not exercised. */
static unsigned commands_missing(const struct commands_seen *seen, bool show)
{
	size_t count;
	const struct reference *all = commands(&count);
	unsigned missing = 0;
	assert_true(count <= COMMANDS_MAX);
	for (size_t i = 0; i < count; i++) {
		bool bad = !seen->command_good[i], lost = seen->command_changed[i] > LOST_MAX && !seen->command_replayed[i];
		missing += bad || lost;
		if (show || bad || lost)
			print_message("# %-32s %6llu sent, %6llu good, %6llu alone wrote something, %6llu of that replayed%s\n", all[i].name,
				      LLU(seen->command_sent[i]), LLU(seen->command_good[i]), LLU(seen->command_changed[i]),
				      LLU(seen->command_replayed[i]), bad ? ": never good" : lost ? ": never replayed" : "");
	}
	return missing;
}

static void histories_of_commands(void **state)
{
	static struct commands_seen seen;
	uint64_t only = seeds_number("SEED", 0), from = seeds_number("FROM", 1), seeds = seeds_number("SEEDS", SEEDS_DEFAULT);
	(void)state;
	if (only) {
		assert_true(seeds_only(&seeds_of_commands, only, &seen));
		return;
	}
	unsigned broken = seeds_run(&seeds_of_commands, from, seeds, &seen);
	print_message("# %llu seeds from %llu\n", LLU(seeds), LLU(from));
	counts_print(&seen);
	bool all = seeds >= SEEDS_FOR_ALL, show = seeds_number("SHOW", 0);
	unsigned missing = all || show ? commands_missing(&seen, show) : 0;
	assert_int_equal(broken, 0);
	assert_true(!all || !missing);
	/* That there was something to see. */
	if (seeds >= SEEDS_DEFAULT)
		assert_true(seen.cuts && seen.kills && seen.stops && seen.states_kept && seen.states_same && seen.states_recovered &&
			    seen.states_compared && seen.repeats && seen.books && seen.id_runs && seen.id_reads);
}

/* Kept, with what they found in docs/reliability.md. */
static void found_before(void **state)
{
	static const uint64_t list[] = { 7, 17, 36, 53, 97, 163, 20097, 20396, 900470, 900709, 1112227, 1115405, 1124535, 1127325 };
	static struct commands_seen seen;
	(void)state;
	if (!seeds_number("SEED", 0) && !seeds_number("SEEDS", 0))
		assert_int_equal(seeds_again(&seeds_of_commands, list, sizeof list / sizeof *list, &seen), 0);
}

/* The same seed is the same history. */
static void same_again(void **state)
{
	static struct commands_seen seen;
	(void)state;
	if (seeds_number("SEED", 0) || seeds_number("SEEDS", 0))
		return;
	for (uint64_t seed = 900001; seed < 900006; seed++)
		assert_true(seeds_same(&seeds_of_commands, seed, &seen));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(histories_of_commands),
		cmocka_unit_test(found_before),
		cmocka_unit_test(same_again),
	};
	log_set_level(LOG_LEVEL_ERROR + 1);                    /* the server's own lines, with the time */
	cron_start();
	reference_make();
	rpc_methods_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
