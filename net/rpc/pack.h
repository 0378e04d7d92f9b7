// SPDX-License-Identifier: Apache-2.0
/* pack.h - MessagePack objects appended to a buffer, through msgpack-c.  A map of n is followed by n keys and n
 * values, an array of n by n objects. */
#ifndef NET_RPC_PACK_H
#define NET_RPC_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

void pack_map(struct buf *out, size_t count);
void pack_array(struct buf *out, size_t count);
void pack_text(struct buf *out, struct str text);          /* str; must be UTF-8 */
void pack_bin(struct buf *out, const void *bytes, size_t len);
/* A bin of `len` bytes that the caller fills; the pointer is good until the next append. */
unsigned char *pack_bin_room(struct buf *out, size_t len);
void pack_u64(struct buf *out, uint64_t value);            /* the shortest form */
void pack_i64(struct buf *out, int64_t value);
void pack_f64(struct buf *out, double value);
void pack_bool(struct buf *out, bool value);
void pack_nil(struct buf *out);

/* Key and value of a map; the key is a literal. */
#define pack_key(out, literal) pack_text((out), STR(literal))

#endif
