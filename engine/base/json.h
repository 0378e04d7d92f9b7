// SPDX-License-Identifier: Apache-2.0
/* json.h - reading JSON strictly, on top of yyjson.
 *
 * Numbers are kept as raw text (YYJSON_TYPE_RAW): a decimal is never squeezed through binary floating point.  Refused, by
 * name: duplicate keys, lone surrogates, NaN and Infinity, integers beyond 64 bits, invalid UTF-8, nesting deeper than
 * JSON_DEPTH_MAX, trailing text.
 */
#ifndef ENGINE_BASE_JSON_H
#define ENGINE_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

enum { JSON_DEPTH_MAX = 64 };

struct json_error {
	char detail[200];              /* what was wrong and where */
	size_t offset;                 /* byte position in the text, 0 where unknown */
};

/* For every call of yyjson that takes one: its memory comes from mem.h, so it never fails for want of it (which would look
 * like a document that is wrong). */
extern const yyjson_alc json_alc;

/* Returns a document that the caller frees with yyjson_doc_free, or NULL with *error filled. */
yyjson_doc *json_read(struct str text, struct json_error *error);

static inline struct str json_text(yyjson_val *value)      /* of a string; "" for anything else */
{
	return yyjson_is_str(value) ? (struct str){ yyjson_get_str(value), yyjson_get_len(value) } : (struct str){ "", 0 };
}

static inline bool json_is_number(yyjson_val *value)
{
	return yyjson_is_raw(value) || yyjson_is_num(value);
}

static inline struct str json_raw(yyjson_val *value)       /* a number's digits as they were written */
{
	return yyjson_is_raw(value) ? (struct str){ yyjson_get_raw(value), yyjson_get_len(value) } : (struct str){ "", 0 };
}

/* A number that is whole and within 64 signed bits, however it is written ("3.0" and "3e0" count as 3).  False for anything
 * else. */
bool json_int(yyjson_val *value, int64_t *out);

/* The member of an object, NULL where absent or where `object` is none. */
static inline yyjson_val *json_get(yyjson_val *object, struct str key)
{
	return yyjson_obj_getn(object, key.ptr, key.len);
}

/* True where an object has a key twice: *duplicate names it. */
bool json_duplicate_key(yyjson_val *object, struct str *duplicate);

yyjson_val *json_empty_object(void);       /* {} that lives for ever, for what was left out */
/* json_get for yyjson_obj_foreach, which adds to the pointer it is given: what is absent is empty. */
static inline yyjson_val *json_members(yyjson_val *object, struct str key)
{
	yyjson_val *found = json_get(object, key);
	return found ? found : json_empty_object();
}
void json_write(struct buf *out, yyjson_val *value);       /* minified; numbers as they were written */

const char *json_type_name(yyjson_val *value);             /* "string", "number", "object", … for messages */

#endif
