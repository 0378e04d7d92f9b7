// SPDX-License-Identifier: Apache-2.0
/* mutant.h - places where the simulator's own worth is tried: in a build with -DMUTANTS, MUTATE(n, good, bad) is `bad` when
 * number n is switched on.  In every other build it is `good`, and nothing else is left of it.
 *
 * tests/sim/mutants.txt lists them; `make sim-mutants` wants every one found.
 */
#ifndef ENGINE_BASE_MUTANT_H
#define ENGINE_BASE_MUTANT_H

#ifdef MUTANTS
extern unsigned mutant_on;             /* tests/sim/seeds.c */
#define MUTATE(number, good, bad) (mutant_on == (number) ? (bad) : (good))
#else
#define MUTATE(number, good, bad) (good)
#endif

#endif
