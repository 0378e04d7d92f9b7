// SPDX-License-Identifier: Apache-2.0
/* json.h - from MessagePack to JSON text and back, for what is defined in terms of JSON.
 *
 * Integers stay integers.  A float becomes the shortest decimal that reads back as the same float (payload_float): 99.99
 * sent as a float is the decimal 99.99.  The other way, a number with a fraction, with an exponent or beyond 64 bits
 * becomes a float 64.  No JSON form have: binaries, extensions, NaN and infinities, keys that are no strings, and
 * strings that are not UTF-8.
 */
#ifndef NET_RPC_JSON_H
#define NET_RPC_JSON_H

#include <yyjson.h>

#include "engine/base/buf.h"
#include "net/rpc/read.h"

/* Appends one object as JSON text.  False with a constant text in *wrong: it has no JSON form; `out` holds a part then.
 * The bytes must be well formed and nested no deeper than a request's params may be. */
bool json_from_rpc(struct buf *out, struct rpc_reader *reader, const char **wrong);

/* Appends a JSON value as one MessagePack object; numbers may be raw text. */
void pack_json(struct buf *out, yyjson_val *value);

#endif
