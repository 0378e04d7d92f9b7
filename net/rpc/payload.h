// SPDX-License-Identifier: Apache-2.0
/* payload.h - a MessagePack map becomes a JSON object: its minified text, and the values that rules read.
 *
 * The log holds an event's payload as JSON text, whichever protocol brought it, and rules read yyjson values.  Both are made
 * in one pass over the MessagePack bytes; nothing is parsed a second time and nothing is allocated for one payload.  The
 * values are those that json_read would make of the text: strings are borrowed from the MessagePack bytes, numbers are raw
 * digits borrowed from the text.
 *
 * Integers become their digits.  A float becomes the shortest decimal that reads as the same float of its own width, with
 * ".0" behind a whole number (12.5 and 12.1 stay what they were; 120.0 stays 120.0).
 */
#ifndef NET_RPC_PAYLOAD_H
#define NET_RPC_PAYLOAD_H

#include <yyjson.h>

#include "engine/base/buf.h"
#include "net/rpc/read.h"

/* Memory that does not move: pieces of it are taken by payloads and given back together.  Zero-initialise. */
struct payload_piece;
struct payload_space {
	struct payload_piece *texts, *values;  /* newest first */
};

/* Reads the map at the cursor and moves behind it.  `root` and `text` are good until the space is reset.  False: it is no
 * JSON object; `detail` says what is wrong, the cursor is anywhere. */
bool payload_read(struct payload_space *space, struct rpc_reader *reader, yyjson_val **root, struct str *text, char *detail,
		  size_t detail_size);

/* Everything is given back; what one batch needed is kept in one piece for the next, up to `keep` bytes. */
void payload_reset(struct payload_space *space, size_t keep);
void payload_free(struct payload_space *space);

/* Digits of a float as above; `out` has 32 bytes.  0: it is no number that JSON has (NaN, infinite). */
size_t payload_float(double value, bool narrow, char out[32]);

#endif
