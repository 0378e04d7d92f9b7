// SPDX-License-Identifier: Apache-2.0
/* bridge.h - every command of the surfaces' routes as an RPC method: the same handlers, the same refusals.
 *
 * A route that names a command ("customers.get") is called with one map as its params, [{…}]:
 *
 *     a key named like a {part} of the path      that part
 *     brand                                      X-Brand, and {brand} where the path has it
 *     GET, DELETE: any other key                 a query parameter: string, integer, float or boolean
 *     else: a word of route->query               likewise
 *     else: body                                 the body: anything JSON can hold; a string or a binary is CSV
 *     else: all other keys together              the body, an object
 *
 * The JSON answer is the result.  A list (an array that answers a GET) is a map {items, total_count?, next_cursor?}, as
 * HTTP's headers have them; any other text is a string, no content is nil.  A problem document is the error {code:
 * status, name: code, detail, index?, errors?}.  Numbers: see net/rpc/json.h.
 */
#ifndef NET_RPC_BRIDGE_H
#define NET_RPC_BRIDGE_H

#include "net/rpc/rpc.h"

/* A row for each route with a command; made once. */
const struct rpc_method *bridge_methods(void);

#endif
