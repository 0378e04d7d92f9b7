// SPDX-License-Identifier: Apache-2.0
#include "engine/base/buf.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"

void buf_grow(struct buf *buf, size_t more)
{
	size_t cap = buf->cap ? buf->cap : 64;
	ASSERT(more <= SIZE_MAX / 4 && buf->len <= SIZE_MAX / 4);
	while (cap - buf->len < more)
		cap *= 2;
	buf->ptr = mem_realloc(buf->ptr, cap);
	buf->cap = cap;
}

void buf_free(struct buf *buf)
{
	mem_free(buf->ptr);
	*buf = (struct buf){ 0 };
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	buf_room(buf, 128);
	int len = vsnprintf(buf->ptr + buf->len, buf->cap - buf->len, format, args);
	ASSERT(len >= 0);
	if ((size_t)len >= buf->cap - buf->len) {
		buf_grow(buf, (size_t)len + 1);
		len = vsnprintf(buf->ptr + buf->len, buf->cap - buf->len, format, again);
		ASSERT(len >= 0 && (size_t)len < buf->cap - buf->len);
	}
	buf->len += (size_t)len;
	va_end(again);
	va_end(args);
}

void buf_u64(struct buf *buf, uint64_t value)
{
	char digits[20];
	size_t n = sizeof digits;
	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_bytes(buf, digits + n, sizeof digits - n);
}

void buf_i64(struct buf *buf, int64_t value)
{
	if (value < 0)
		buf_char(buf, '-');
	buf_u64(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static const char hex_digits[] = "0123456789abcdef";

void buf_hex(struct buf *buf, const void *bytes, size_t len)
{
	const unsigned char *in = bytes;
	buf_room(buf, len * 2);
	for (size_t i = 0; i < len; i++) {
		buf->ptr[buf->len++] = hex_digits[in[i] >> 4];
		buf->ptr[buf->len++] = hex_digits[in[i] & 15];
	}
}

void buf_json_text(struct buf *buf, struct str text)
{
	buf_room(buf, text.len + 2);
	buf->ptr[buf->len++] = '"';
	for (size_t i = 0; i < text.len; i++) {
		size_t plain = i;
		while (i < text.len && (unsigned char)text.ptr[i] >= 0x20 && text.ptr[i] != '"' && text.ptr[i] != '\\')
			i++;
		buf_bytes(buf, text.ptr + plain, i - plain);
		if (i == text.len)
			break;
		unsigned char c = (unsigned char)text.ptr[i];
		buf_char(buf, '\\');
		switch (c) {
		case '"': case '\\': buf_char(buf, (char)c); break;
		case '\n': buf_char(buf, 'n'); break;
		case '\r': buf_char(buf, 'r'); break;
		case '\t': buf_char(buf, 't'); break;
		case '\b': buf_char(buf, 'b'); break;
		case '\f': buf_char(buf, 'f'); break;
		default:
			buf_lit(buf, "u00");
			buf_hex(buf, &c, 1);
		}
	}
	buf_char(buf, '"');
}
