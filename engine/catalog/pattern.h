// SPDX-License-Identifier: Apache-2.0
/* pattern.h - regular expressions for JSON Schema, in time linear in the text.
 *
 * The part of ECMA-262 that is regular: characters, ".", [classes], \d \w \s and their opposites, \t \n \r \f \v
 * \uXXXX, (groups), (?:groups), "|", * + ? {n} {n,} {n,m} (lazy forms mean the same here), ^ and $.  Look-around, back
 * references and \b are refused by name.  Works on characters, not bytes.  Not anchored, as the standard has it.
 */
#ifndef ENGINE_CATALOG_PATTERN_H
#define ENGINE_CATALOG_PATTERN_H

#include <stdbool.h>

#include "engine/base/str.h"

enum { PATTERN_STATES_MAX = 2000, PATTERN_DEPTH_MAX = 32 };

struct pattern;                        /* immutable; opaque */

/* NULL with a message in `error`.  `text` must be UTF-8. */
struct pattern *pattern_compile(struct str text, char error[120]);
bool pattern_match(const struct pattern *pattern, struct str text);
size_t pattern_cost(const struct pattern *pattern);    /* states looked at for each character, at most */
void pattern_free(struct pattern *pattern);            /* NULL is allowed */

#endif
