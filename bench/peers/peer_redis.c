// SPDX-License-Identifier: Apache-2.0
/* Redis: RESP, one EVALSHA of redis.lua a request.
 *
 * The arguments are laid out so that the script hands whole runs of them on, without touching each: count, the ids,
 * then member and amount of each row as BITFIELD takes them, then the tenants.
 */
#include "bench/peers/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char script_sha[41];

static bool redis_greet(int fd, const char *script, char *why, size_t why_size)
{
	if (script == NULL) {
		snprintf(why, why_size, "redis needs --script");
		return false;
	}
	char head[64];
	int head_len = snprintf(head, sizeof head, "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$%zu\r\n", strlen(script));
	if (!peer_send(fd, head, (size_t)head_len) || !peer_send(fd, script, strlen(script)) || !peer_send(fd, "\r\n", 2)) {
		snprintf(why, why_size, "the connection closed");
		return false;
	}
	char line[256];
	size_t len = 0;
	while (len < sizeof line - 1 && (len == 0 || line[len - 1] != '\n')) {
		if (!peer_receive(fd, line + len, 1)) {
			snprintf(why, why_size, "the connection closed");
			return false;
		}
		len++;
	}
	line[len] = '\0';
	char digest[42];
	if (strcmp(line, "$40\r\n") != 0 || !peer_receive(fd, digest, sizeof digest)) {
		snprintf(why, why_size, "%.*s", (int)strcspn(line, "\r\n"), line);
		return false;
	}
	memcpy(script_sha, digest, 40);
	return true;
}

static char *argument(char *at, const void *data, size_t len)
{
	*at++ = '$';
	at += peer_digits(at, len);
	*at++ = '\r';
	*at++ = '\n';
	memcpy(at, data, len);
	at += len;
	*at++ = '\r';
	*at++ = '\n';
	return at;
}

static size_t redis_encode(uint8_t *out, const struct peer_row *rows, uint32_t count, uint32_t slot)
{
	(void)slot;
	char digits[24];
	char *at = (char *)out;
	*at++ = '*';
	at += peer_digits(at, 4u + 6u * (uint64_t)count);
	*at++ = '\r';
	*at++ = '\n';
	at = argument(at, "EVALSHA", 7);
	at = argument(at, script_sha, 40);
	at = argument(at, "0", 1);
	at = argument(at, digits, peer_digits(digits, count));
	for (uint32_t i = 0; i < count; i++)
		at = argument(at, rows[i].id, sizeof rows[i].id);
	for (uint32_t i = 0; i < count; i++) {
		at = argument(at, "INCRBY", 6);
		at = argument(at, "i64", 3);
		digits[0] = '#';
		at = argument(at, digits, 1 + peer_digits(digits + 1, rows[i].member));
		at = argument(at, digits, peer_digits(digits, rows[i].amount));
	}
	for (uint32_t i = 0; i < count; i++)
		at = argument(at, digits, peer_digits(digits, rows[i].tenant));
	return (size_t)(at - (char *)out);
}

static ptrdiff_t redis_parse(const uint8_t *in, size_t len, struct peer_reply *reply)
{
	const uint8_t *end = memchr(in, '\n', len);
	if (end == NULL)
		return 0;
	ptrdiff_t size = end - in + 1;
	if (in[0] == ':') {
		reply->outcome = PEER_APPLIED;
		reply->applied = strtoull((const char *)in + 1, NULL, 10);
		return size;
	}
	if (in[0] != '-')
		return -1;
	reply->outcome = PEER_FAILED;
	snprintf(reply->detail, sizeof reply->detail, "%.*s", (int)(size - 2 < 150 ? size - 2 : 150), (const char *)in);
	return size;
}

const struct peer_protocol peer_redis = {
	.name = "redis", .tagged = false, .request_bytes = 160, .row_bytes = 96,
	.greet = redis_greet, .encode = redis_encode, .parse = redis_parse,
};
