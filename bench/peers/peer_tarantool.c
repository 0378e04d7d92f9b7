// SPDX-License-Identifier: Apache-2.0
/* Tarantool: IPROTO (MessagePack), one CALL of the stored procedure tarantool_earn a request; the rows are one bin of
 * TARANTOOL_ROW bytes each (tarantool_earn.c reads them in place).  Replies carry the request's sync, here the slot.
 */
#include "bench/peers/peer.h"

#include <stdio.h>
#include <string.h>

enum {
	TARANTOOL_ROW = 28,                                       /* id, tenant, member, amount; little-endian */
	IPROTO_TYPE = 0x00, IPROTO_SYNC = 0x01, IPROTO_TUPLE = 0x21, IPROTO_FUNCTION = 0x22, IPROTO_DATA = 0x30,
	IPROTO_ERROR = 0x31, IPROTO_CALL = 0x0a,
};

static const char FUNCTION[] = "tarantool_earn";

static bool tarantool_greet(int fd, const char *script, char *why, size_t why_size)
{
	(void)script;
	char greeting[128];
	if (!peer_receive(fd, greeting, sizeof greeting)) {
		snprintf(why, why_size, "the connection closed");
		return false;
	}
	if (memcmp(greeting, "Tarantool ", 10) != 0) {
		snprintf(why, why_size, "not Tarantool's greeting");
		return false;
	}
	return true;
}

static uint8_t *put_u32(uint8_t *at, uint8_t tag, uint32_t value)
{
	*at++ = tag;
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = (uint8_t)(value >> shift);
	return at;
}

static uint8_t *put_le(uint8_t *at, uint32_t value)
{
	for (int shift = 0; shift < 32; shift += 8)
		*at++ = (uint8_t)(value >> shift);
	return at;
}

static size_t tarantool_encode(uint8_t *out, const struct peer_row *rows, uint32_t count, uint32_t slot)
{
	uint8_t *at = out + 5;                    /* the length goes in front */
	*at++ = 0x82;
	*at++ = IPROTO_TYPE;
	*at++ = IPROTO_CALL;
	*at++ = IPROTO_SYNC;
	at = put_u32(at, 0xce, slot);
	*at++ = 0x82;
	*at++ = IPROTO_FUNCTION;
	*at++ = 0xa0 | (sizeof FUNCTION - 1);
	memcpy(at, FUNCTION, sizeof FUNCTION - 1);
	at += sizeof FUNCTION - 1;
	*at++ = IPROTO_TUPLE;
	*at++ = 0x91;
	at = put_u32(at, 0xc6, count * TARANTOOL_ROW);
	for (uint32_t i = 0; i < count; i++) {
		memcpy(at, rows[i].id, sizeof rows[i].id);
		at = put_le(at + sizeof rows[i].id, rows[i].tenant);
		at = put_le(at, rows[i].member);
		at = put_le(at, rows[i].amount);
	}
	put_u32(out, 0xce, (uint32_t)(at - out) - 5);
	return (size_t)(at - out);
}

/* A reader over one reply; `bad` once anything does not fit. */
struct reader { const uint8_t *at, *end; bool bad; };

static uint64_t read_be(struct reader *r, unsigned bytes)
{
	uint64_t value = 0;
	if ((size_t)(r->end - r->at) < bytes) {
		r->bad = true;
		return 0;
	}
	while (bytes-- > 0)
		value = value << 8 | *r->at++;
	return value;
}

static uint64_t read_uint(struct reader *r)
{
	uint64_t tag = read_be(r, 1);
	if (tag < 0x80)
		return tag;
	if (tag >= 0xcc && tag <= 0xcf)
		return read_be(r, 1u << (tag - 0xcc));
	r->bad = true;
	return 0;
}

static uint64_t read_count(struct reader *r, uint8_t fix, uint8_t tag16)
{
	uint64_t tag = read_be(r, 1);
	if ((tag & 0xf0) == fix)
		return tag & 0x0f;
	if (tag == tag16)
		return read_be(r, 2);
	if (tag == tag16 + 1u)
		return read_be(r, 4);
	r->bad = true;
	return 0;
}

static ptrdiff_t tarantool_parse(const uint8_t *in, size_t len, struct peer_reply *reply)
{
	struct reader r = { in, in + len, false };
	uint64_t size = read_uint(&r);
	if (r.bad)
		return len < 9 ? 0 : -1;
	if ((uint64_t)(r.end - r.at) < size)
		return 0;
	r.end = r.at + size;
	uint64_t status = 0;
	for (uint64_t fields = read_count(&r, 0x80, 0xde); fields > 0 && !r.bad; fields--) {
		uint64_t key = read_uint(&r), value = read_uint(&r);
		if (key == IPROTO_TYPE)
			status = value;
		if (key == IPROTO_SYNC)
			reply->slot = (uint32_t)value;
	}
	uint64_t fields = r.at < r.end ? read_count(&r, 0x80, 0xde) : 0;
	uint64_t key = fields > 0 ? read_uint(&r) : 0;
	if (status == 0 && key == IPROTO_DATA && read_count(&r, 0x90, 0xdc) == 1) {
		if (r.at < r.end && *r.at == 0x91)
			r.at++;                   /* the server makes a tuple of the procedure's one value */
		reply->outcome = PEER_APPLIED;
		reply->applied = read_uint(&r);
	} else {
		reply->outcome = PEER_FAILED;
		/* The text of an error is a str16 or shorter behind its key; shown as it lies there. */
		size_t left = (size_t)(r.end - r.at);
		snprintf(reply->detail, sizeof reply->detail, "status 0x%llx: %.*s", (unsigned long long)status,
			(int)(left < 100 ? left : 100), (const char *)r.at);
	}
	return r.bad ? -1 : (ptrdiff_t)(r.end - in);
}

const struct peer_protocol peer_tarantool = {
	.name = "tarantool", .tagged = true, .request_bytes = 64, .row_bytes = TARANTOOL_ROW,
	.greet = tarantool_greet, .encode = tarantool_encode, .parse = tarantool_parse,
};
