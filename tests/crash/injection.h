// SPDX-License-Identifier: Apache-2.0
/* injection.h - a test's side of inject/inject.h, and the sharing out of many runs to several processes. */
#ifndef TESTS_CRASH_INJECTION_H
#define TESTS_CRASH_INJECTION_H

#include "tests/crash/inject/inject.h"
#include "tests/crash/process.h"

/* The page, FOLDER/page, all zero.  The servers of `process` then start under build/inject-NAME.so ("calls", "memory");
 * calls below the process's folder count, and not what it says. */
struct inject *injection_open(struct process *process, const char *name);
void injection_close(struct inject *page);

/* A test of many runs calls this first.  In the program that was started, it starts TALLY_CRASH_JOBS (3) copies of it,
 * each with this test only, waits, repeats their lines "# ...", fails if one failed, and returns true: nothing is left
 * to do.  In a copy it returns false. */
bool share_out(const char *test);
bool share_mine(unsigned run);                     /* this copy's, of what is shared out by its number */
void share_main(void);                             /* to be called by main before the tests */
/* What main is: with TALLY_CRASH_BIN, or the released program, since a sanitizer's would not stand a library in front of it. */
#define CRASH_MAIN(tests) (setenv("TALLY_CRASH_BIN", "build/tally", 0), share_main(), cmocka_run_group_tests(tests, NULL, NULL))
uint64_t share_seed(void);                         /* TALLY_CRASH_SEED, else the time; the same in all copies */

/* To go through `total` runs in about `wanted` of them: how many make a step.  1, all of them, if TALLY_CRASH_FULL is set. */
unsigned share_step(unsigned total, unsigned wanted);
/* The next run of this copy: of each step one, another one with another seed.  `turn` begins at 0. */
bool share_next(unsigned *turn, unsigned step, unsigned total, unsigned *run);

#endif
