// SPDX-License-Identifier: Apache-2.0
/* read.h - a cursor over MessagePack bytes in place.
 *
 * Every function reads one thing at the cursor, checks it against the end, and moves behind it.  False: it is something
 * else, or does not fit the type asked for, or the bytes end; then the cursor stays where it is.  Texts and binaries
 * are borrowed from the bytes.  Nothing recurses, nothing is allocated.
 */
#ifndef NET_RPC_READ_H
#define NET_RPC_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/str.h"

struct rpc_reader {
	const unsigned char *at, *end;
};

enum rpc_type {
	RPC_NONE,                      /* nothing is left, or 0xc1, which is no object */
	RPC_NIL, RPC_BOOL, RPC_INT, RPC_FLOAT, RPC_STR, RPC_BIN, RPC_ARRAY, RPC_MAP, RPC_EXT
};

enum rpc_type rpc_peek(const struct rpc_reader *reader);
const char *rpc_type_name(enum rpc_type type);             /* "map", "integer", … for messages */

bool rpc_read_map(struct rpc_reader *reader, uint32_t *count);     /* count pairs follow; at least so many bytes */
bool rpc_read_array(struct rpc_reader *reader, uint32_t *count);   /* count objects follow; likewise */
bool rpc_read_str(struct rpc_reader *reader, struct str *out);     /* not checked for UTF-8 */
bool rpc_read_bin(struct rpc_reader *reader, struct str *out);
bool rpc_read_u64(struct rpc_reader *reader, uint64_t *out);       /* any integer from 0 to 2^64 - 1, however encoded */
bool rpc_read_i64(struct rpc_reader *reader, int64_t *out);        /* any integer from -2^63 to 2^63 - 1 */
bool rpc_read_f64(struct rpc_reader *reader, double *out);         /* float 32 or 64 only, no integer */
bool rpc_read_bool(struct rpc_reader *reader, bool *out);
bool rpc_read_nil(struct rpc_reader *reader);
bool rpc_skip(struct rpc_reader *reader);                  /* one object with all that is in it */

#endif
