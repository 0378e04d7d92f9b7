// SPDX-License-Identifier: Apache-2.0
#include "net/rpc/read.h"

#include <string.h>

#include "net/rpc/frame.h"

static size_t there(const struct rpc_reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

/* `bytes` big-endian bytes behind the first one; the caller has checked that they are there. */
static uint64_t big(const unsigned char *at, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 1; i <= bytes; i++)
		value = value << 8 | at[i];
	return value;
}

enum rpc_type rpc_peek(const struct rpc_reader *reader)
{
	static const unsigned char types[32] = {
		RPC_NIL, RPC_NONE, RPC_BOOL, RPC_BOOL, RPC_BIN, RPC_BIN, RPC_BIN, RPC_EXT, RPC_EXT, RPC_EXT, RPC_FLOAT,
		RPC_FLOAT, RPC_INT, RPC_INT, RPC_INT, RPC_INT, RPC_INT, RPC_INT, RPC_INT, RPC_INT, RPC_EXT, RPC_EXT, RPC_EXT,
		RPC_EXT, RPC_EXT, RPC_STR, RPC_STR, RPC_STR, RPC_ARRAY, RPC_ARRAY, RPC_MAP, RPC_MAP
	};
	if (reader->at >= reader->end)
		return RPC_NONE;
	unsigned char c = *reader->at;
	if (c < 0x80 || c >= 0xe0)
		return RPC_INT;
	if (c >= 0xc0)
		return types[c - 0xc0];
	return c >= 0xa0 ? RPC_STR : c >= 0x90 ? RPC_ARRAY : RPC_MAP;
}

const char *rpc_type_name(enum rpc_type type)
{
	static const char *const names[] = { "nothing", "nil", "boolean", "integer", "float", "string", "binary", "array",
					     "map", "extension" };
	return names[type];
}

/* A header with a count: `base` with the count in its low bits (`mask`), or `first` + 0, 1, 2 with 1, 2, 4 bytes
 * of it; those below `least` do not exist. */
static bool counted(struct rpc_reader *reader, unsigned base, unsigned mask, unsigned first, unsigned least,
		    uint64_t *count, size_t *header)
{
	if (reader->at >= reader->end)
		return false;
	unsigned c = *reader->at;
	if (mask && (c & ~mask) == base) {
		*count = c & mask;
		*header = 1;
		return true;
	}
	if (c < first + least || c > first + 2)
		return false;
	unsigned bytes = 1U << (c - first);
	if (there(reader) <= bytes)
		return false;
	*count = big(reader->at, bytes);
	*header = 1 + bytes;
	return true;
}

static bool container(struct rpc_reader *reader, unsigned base, unsigned first, unsigned each, uint32_t *count)
{
	uint64_t n;
	size_t header;
	if (!counted(reader, base, 0x0f, first - 1, 1, &n, &header) || n * each > there(reader) - header)
		return false;
	*count = (uint32_t)n;
	reader->at += header;
	return true;
}

bool rpc_read_map(struct rpc_reader *reader, uint32_t *count)
{
	return container(reader, 0x80, 0xde, 2, count);
}

bool rpc_read_array(struct rpc_reader *reader, uint32_t *count)
{
	return container(reader, 0x90, 0xdc, 1, count);
}

static bool body(struct rpc_reader *reader, unsigned base, unsigned mask, unsigned first, struct str *out)
{
	uint64_t len;
	size_t header;
	if (!counted(reader, base, mask, first, 0, &len, &header) || len > there(reader) - header)
		return false;
	*out = (struct str){ (const char *)reader->at + header, (size_t)len };
	reader->at += header + len;
	return true;
}

bool rpc_read_str(struct rpc_reader *reader, struct str *out)
{
	return body(reader, 0xa0, 0x1f, 0xd9, out);
}

bool rpc_read_bin(struct rpc_reader *reader, struct str *out)
{
	return body(reader, 0, 0, 0xc4, out);
}

/* Any integer: its 64 bits, and whether they are negative as signed ones. */
static bool integer(struct rpc_reader *reader, uint64_t *bits, bool *negative, size_t *size)
{
	if (reader->at >= reader->end)
		return false;
	unsigned char c = *reader->at;
	*size = 1;
	*negative = false;
	if (c < 0x80) {
		*bits = c;
		return true;
	}
	if (c >= 0xe0) {
		*bits = (uint64_t)(int64_t)(signed char)c;
		*negative = true;
		return true;
	}
	if (c < 0xcc || c > 0xd3)
		return false;
	unsigned bytes = 1U << (c & 3);
	if (there(reader) <= bytes)
		return false;
	uint64_t value = big(reader->at, bytes), sign = UINT64_C(1) << (bytes * 8 - 1);
	*size = 1 + bytes;
	*negative = c >= 0xd0 && (value & sign);
	*bits = *negative ? (value ^ sign) - sign : value;
	return true;
}

bool rpc_read_u64(struct rpc_reader *reader, uint64_t *out)
{
	uint64_t bits;
	bool negative;
	size_t size;
	if (!integer(reader, &bits, &negative, &size) || negative)
		return false;
	*out = bits;
	reader->at += size;
	return true;
}

bool rpc_read_i64(struct rpc_reader *reader, int64_t *out)
{
	uint64_t bits;
	bool negative;
	size_t size;
	if (!integer(reader, &bits, &negative, &size) || (!negative && bits > INT64_MAX))
		return false;
	*out = (int64_t)bits;
	reader->at += size;
	return true;
}

bool rpc_read_f64(struct rpc_reader *reader, double *out)
{
	if (rpc_peek(reader) != RPC_FLOAT)
		return false;
	if (*reader->at == 0xca) {
		if (there(reader) < 5)
			return false;
		uint32_t bits = (uint32_t)big(reader->at, 4);
		float value;
		memcpy(&value, &bits, sizeof value);
		*out = (double)value;
		reader->at += 5;
		return true;
	}
	if (there(reader) < 9)
		return false;
	uint64_t bits = big(reader->at, 8);
	memcpy(out, &bits, sizeof bits);
	reader->at += 9;
	return true;
}

bool rpc_read_bool(struct rpc_reader *reader, bool *out)
{
	if (rpc_peek(reader) != RPC_BOOL)
		return false;
	*out = *reader->at++ == 0xc3;
	return true;
}

bool rpc_read_nil(struct rpc_reader *reader)
{
	if (rpc_peek(reader) != RPC_NIL)
		return false;
	reader->at++;
	return true;
}

bool rpc_skip(struct rpc_reader *reader)
{
	static const struct frame_limits limits = { .bytes = UINT32_MAX, .objects = UINT64_MAX, .levels = 1 };
	struct frame_scan scan;
	frame_begin(&scan);
	if (frame_scan(&scan, reader->at, there(reader), &limits) != FRAME_DONE)
		return false;
	reader->at += scan.at;
	return true;
}
