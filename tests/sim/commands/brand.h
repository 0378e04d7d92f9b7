// SPDX-License-Identifier: Apache-2.0
/* brand.h - what there is in the world of fuzz_commands and fuzz_cursor: one brand with something of each kind, two or more where
 * lists are turned over.
 */
#ifndef TESTS_SIM_COMMANDS_BRAND_H
#define TESTS_SIM_COMMANDS_BRAND_H

extern const char brand_requests[];            /* tests/sim/commands/world.h */

#endif
