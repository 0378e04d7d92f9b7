// SPDX-License-Identifier: Apache-2.0
/* assert.h - invariants that are checked in every build.
 *
 * A failed assertion is a bug: the process stops with the expression and the place.  Nothing is lost, because nothing is
 * acknowledged before it is on stable storage.
 */
#ifndef ENGINE_BASE_ASSERT_H
#define ENGINE_BASE_ASSERT_H

_Noreturn void assert_failed(const char *expression, const char *file, int line);

#define ASSERT(expression) ((expression) ? (void)0 : assert_failed(#expression, __FILE__, __LINE__))
#define IMPLIES(cause, effect) ASSERT(!(cause) || (effect))

#endif
