// SPDX-License-Identifier: Apache-2.0
/* field.h - reading the fields of maps in params, with an error that names the row and the field.
 *
 * Every function reads one value at the cursor, moves behind it and returns true; or it answers the request with
 * validation_failed and returns false: the request is gone then.
 */
#ifndef NET_RPC_FIELD_H
#define NET_RPC_FIELD_H

#include "engine/base/u128.h"
#include "net/rpc/rpc.h"

/* Where a value stands, for the error. */
struct rpc_place {
	struct rpc_request *request;
	int64_t index;                 /* of the row; -1: none */
	const char *name;              /* of the field or parameter */
};

struct rpc_flag { const char *name; uint16_t bit; };       /* a table ends with a NULL name */

/* Answers; always false. */
bool field_fault(struct rpc_place place, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool field_map(struct rpc_place place, struct rpc_reader *reader, uint32_t *count);
bool field_array(struct rpc_place place, struct rpc_reader *reader, uint32_t least, uint32_t most, uint32_t *count);
/* The next key of a map, as a table index; `names` ends with NULL.  A key that is not in it, or is there twice (*seen, a bit
 * each), is a fault. */
bool field_key(struct rpc_place place, struct rpc_reader *reader, const char *const *names, unsigned *seen, unsigned *key);
bool field_text(struct rpc_place place, struct rpc_reader *reader, struct str *out);       /* 1 to 200 bytes of UTF-8 */
bool field_uint(struct rpc_place place, struct rpc_reader *reader, uint64_t most, uint64_t *out);
bool field_int(struct rpc_place place, struct rpc_reader *reader, int64_t *out);
bool field_bool(struct rpc_place place, struct rpc_reader *reader, bool *out);
/* 16 little-endian bytes, or an unsigned integer. */
bool field_id(struct rpc_place place, struct rpc_reader *reader, u128 *out);
/* An integer, or an array of names. */
bool field_flags(struct rpc_place place, struct rpc_reader *reader, const struct rpc_flag *flags, uint16_t *out);

#endif
