// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL: protocol 3 with one prepared statement (--script, postgresql.sql); a request is Bind, Execute, Sync with
 * four binary arrays.  A deadlock or a serialization failure (40P01, 40001) undoes the whole batch and is sent again.
 * The password is PGPASSWORD's, in clear.
 */
#include "bench/peers/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OID_INT4 = 23, OID_UUID = 2950, AUTH_CLEARTEXT = 3 };

static uint8_t *put16(uint8_t *at, uint32_t value)
{
	*at++ = (uint8_t)(value >> 8);
	*at++ = (uint8_t)value;
	return at;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	return put16(put16(at, value >> 16), value & 0xffff);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* An error's fields: one letter and a text each. */
static void error_read(const uint8_t *at, const uint8_t *end, struct peer_reply *reply)
{
	const char *code = "?", *message = "?";
	while (at < end && *at != 0) {
		const uint8_t *text = at + 1, *zero = memchr(text, 0, (size_t)(end - text));
		if (zero == NULL)
			break;
		if (*at == 'C')
			code = (const char *)text;
		if (*at == 'M')
			message = (const char *)text;
		at = zero + 1;
	}
	reply->outcome = strcmp(code, "40P01") == 0 || strcmp(code, "40001") == 0 ? PEER_RETRY : PEER_FAILED;
	snprintf(reply->detail, sizeof reply->detail, "%s %.140s", code, message);
}

static bool password_send(int fd)
{
	const char *password = getenv("PGPASSWORD");
	uint8_t message[128] = { 'p' };
	if (password == NULL || strlen(password) > sizeof message - 6)
		return false;
	size_t len = strlen(password) + 1;
	put32(message + 1, (uint32_t)(4 + len));
	memcpy(message + 5, password, len);
	return peer_send(fd, message, 5 + len);
}

/* Reads messages, blocking, to the next ReadyForQuery. */
static bool until_ready(int fd, char *why, size_t why_size)
{
	struct peer_reply failure = { .outcome = PEER_APPLIED };
	for (;;) {
		uint8_t head[5], body[4096];
		if (!peer_receive(fd, head, sizeof head)) {
			snprintf(why, why_size, "%s", failure.outcome == PEER_APPLIED ? "the connection closed" : failure.detail);
			return false;
		}
		uint32_t size = get32(head + 1) - 4;
		if (size > sizeof body || !peer_receive(fd, body, size)) {
			snprintf(why, why_size, "not the protocol");
			return false;
		}
		if (head[0] == 'E')
			error_read(body, body + size, &failure);
		if (head[0] == 'R' && get32(body) != 0 && (get32(body) != AUTH_CLEARTEXT || !password_send(fd))) {
			snprintf(why, why_size, "the server asks for more than PGPASSWORD");
			return false;
		}
		if (head[0] == 'Z')
			break;
	}
	if (failure.outcome != PEER_APPLIED)
		snprintf(why, why_size, "%s", failure.detail);
	return failure.outcome == PEER_APPLIED;
}

static bool postgresql_greet(int fd, const char *script, char *why, size_t why_size)
{
	static const char parameters[] = "user\0postgres\0database\0postgres\0";   /* and the literal's own zero ends them */
	uint8_t buffer[4096], *at = buffer;
	if (script == NULL || strlen(script) > sizeof buffer - 32) {
		snprintf(why, why_size, "postgresql needs --script of at most 4,000 bytes");
		return false;
	}
	at = put32(at, 8 + sizeof parameters);
	at = put32(at, 3u << 16);
	memcpy(at, parameters, sizeof parameters);
	if (!peer_send(fd, buffer, 8 + sizeof parameters) || !until_ready(fd, why, why_size))
		return false;

	size_t len = strlen(script);
	at = buffer;
	*at++ = 'P';
	at = put32(at, (uint32_t)(4 + 2 + len + 1 + 2));
	memcpy(at, "e", 2);
	memcpy(at + 2, script, len + 1);
	at = put16(at + 2 + len + 1, 0);
	*at++ = 'S';
	at = put32(at, 4);
	return peer_send(fd, buffer, (size_t)(at - buffer)) && until_ready(fd, why, why_size);
}

static uint8_t *array_head(uint8_t *at, uint32_t oid, uint32_t count, uint32_t item_bytes)
{
	at = put32(at, 20 + count * (4 + item_bytes));
	at = put32(at, 1);
	at = put32(at, 0);
	at = put32(at, oid);
	at = put32(at, count);
	return put32(at, 1);
}

static size_t postgresql_encode(uint8_t *out, const struct peer_row *rows, uint32_t count, uint32_t slot)
{
	(void)slot;
	uint8_t *at = out + 5;
	*at++ = 0;                   /* the unnamed portal of statement e, all parameters binary */
	memcpy(at, "e", 2);
	at = put16(at + 2, 1);
	at = put16(at, 1);
	at = put16(at, 4);
	at = array_head(at, OID_UUID, count, 16);
	for (uint32_t i = 0; i < count; i++) {
		at = put32(at, 16);
		memcpy(at, rows[i].id, 16);
		at += 16;
	}
	at = array_head(at, OID_INT4, count, 4);
	for (uint32_t i = 0; i < count; i++)
		at = put32(put32(at, 4), rows[i].tenant);
	at = array_head(at, OID_INT4, count, 4);
	for (uint32_t i = 0; i < count; i++)
		at = put32(put32(at, 4), rows[i].member);
	at = array_head(at, OID_INT4, count, 4);
	for (uint32_t i = 0; i < count; i++)
		at = put32(put32(at, 4), rows[i].amount);
	at = put16(at, 1);           /* the result binary as well */
	at = put16(at, 1);
	out[0] = 'B';
	put32(out + 1, (uint32_t)(at - out) - 1);
	*at++ = 'E';
	at = put32(at, 9);
	*at++ = 0;
	at = put32(at, 0);
	*at++ = 'S';
	at = put32(at, 4);
	return (size_t)(at - out);
}

static ptrdiff_t postgresql_parse(const uint8_t *in, size_t len, struct peer_reply *reply)
{
	const uint8_t *at = in, *end = in + len;
	reply->outcome = PEER_APPLIED;
	while (end - at >= 5) {
		uint32_t size = get32(at + 1);
		if (size < 4)
			return -1;
		if ((uint64_t)(end - at) < 1 + (uint64_t)size)
			return 0;
		const uint8_t *body = at + 5;
		at += 1 + size;
		switch (body[-5]) {
		case 'D':
			if (size != 4 + 2 + 4 + 8)
				return -1;
			reply->applied = (uint64_t)get32(body + 6) << 32 | get32(body + 10);
			break;
		case 'E':
			error_read(body, at, reply);
			break;
		case 'Z':
			return at - in;
		default:
			break;
		}
	}
	return 0;
}

const struct peer_protocol peer_postgresql = {
	.name = "postgresql", .tagged = false, .request_bytes = 160, .row_bytes = 20 + 3 * 8,
	.greet = postgresql_greet, .encode = postgresql_encode, .parse = postgresql_parse,
};
