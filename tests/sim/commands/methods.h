// SPDX-License-Identifier: Apache-2.0
/* methods.h - all commands there are: the routes as the reference has them, and behind them the methods that are no route's, as their
 * tables have them (net/rpc/rpc.h): name, permission and shape of the params.
 *
 * For the latter a MessagePack bin is written in JSON as text: MARK_BIN and its bytes in hex digits.  In results an id is what HTTP
 * has for it, 32 hex digits.
 */
#ifndef TESTS_SIM_COMMANDS_METHODS_H
#define TESTS_SIM_COMMANDS_METHODS_H

#include <yyjson.h>

#include "net/rpc/read.h"
#include "net/surface/reference.h"

#define MARK_BIN "bin "

/* A method looks like a route: GET is one that only reads, its params are the body; answers[0].doc is its line. */
const struct reference *commands(size_t *count);
bool command_is_method(size_t index);

size_t command_find(struct str name);          /* SIZE_MAX: there is none */

/* The same request once more changes nothing. */
bool command_repeats(const struct reference *reference);

void pack_marked(struct buf *out, yyjson_val *value);
bool json_marked(struct buf *out, struct rpc_reader *reader, struct str name);     /* false: it is no object of MessagePack */

#endif
