// SPDX-License-Identifier: Apache-2.0
/* buf.h - growable bytes for output.  Zero-initialise it; buf_free gives the memory back.  Growth never fails (mem.h). */
#ifndef ENGINE_BASE_BUF_H
#define ENGINE_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/str.h"

struct buf {
	char *ptr;                     /* owned; not terminated */
	size_t len;                    /* bytes used */
	size_t cap;                    /* bytes there are */
};

void buf_grow(struct buf *buf, size_t more);       /* room for `more` bytes behind len */
void buf_free(struct buf *buf);                    /* and back to empty */
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_u64(struct buf *buf, uint64_t value);     /* decimal digits */
void buf_i64(struct buf *buf, int64_t value);
void buf_hex(struct buf *buf, const void *bytes, size_t len);    /* lower case, two digits a byte */

/* A JSON text with its quotes; control characters, quotes and backslashes escaped.  The text must be UTF-8. */
void buf_json_text(struct buf *buf, struct str text);

static inline void buf_room(struct buf *buf, size_t more)
{
	if (buf->cap - buf->len < more)
		buf_grow(buf, more);
}

static inline void buf_bytes(struct buf *buf, const void *bytes, size_t len)
{
	if (!len)
		return;
	buf_room(buf, len);
	memcpy(buf->ptr + buf->len, bytes, len);
	buf->len += len;
}

static inline void buf_char(struct buf *buf, char c)
{
	buf_room(buf, 1);
	buf->ptr[buf->len++] = c;
}

static inline void buf_str(struct buf *buf, struct str text)
{
	buf_bytes(buf, text.ptr, text.len);
}

#define buf_lit(buf, literal) buf_bytes((buf), "" literal, sizeof(literal) - 1)

static inline struct str buf_view(const struct buf *buf)
{
	return (struct str){ buf->ptr, buf->len };
}

/* What was added since it was `from` bytes long; good until it grows. */
static inline struct str buf_since(const struct buf *buf, size_t from)
{
	return buf->ptr ? (struct str){ buf->ptr + from, buf->len - from } : buf_view(buf);
}

#endif
