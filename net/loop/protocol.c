// SPDX-License-Identifier: Apache-2.0
#include "net/loop/protocol.h"

#define FORWARD(kind, result, name, arguments, call)                                                              \
	static result kind##_##name arguments                                                                     \
	{                                                                                                         \
		return kind##_session_##call;                                                                     \
	}

#define FORWARD_ALL(kind)                                                                                         \
	FORWARD(kind, bool, wants_read, (const void *session), wants_read(session))                               \
	FORWARD(kind, size_t, outstanding, (const void *session), outstanding(session))                           \
	FORWARD(kind, bool, done, (const void *session), done(session))                                           \
	FORWARD(kind, void, shutdown, (void *session), shutdown(session))                                         \
	FORWARD(kind, void, end, (void *session), end(session))                                                   \
	FORWARD(kind, void, timeout, (void *session), timeout(session))                                           \
	FORWARD(kind, void, detach, (void *session), detach(session))                                             \
	FORWARD(kind, size_t, output, (void *session, struct buf *out), output(session, out))

#define FORWARDED(kind)                                                                                           \
	.wants_read = kind##_wants_read, .outstanding = kind##_outstanding, .done = kind##_done,                  \
	.shutdown = kind##_shutdown, .end = kind##_end, .timeout = kind##_timeout, .detach = kind##_detach,       \
	.output = kind##_output

FORWARD_ALL(http)
FORWARD_ALL(rpc)

static void http_received(void *session, const char *bytes, size_t len)
{
	http_session_feed(session, bytes, len);
}

static bool http_unread(const void *session)
{
	return http_session_refused(session);
}

static enum http_phase http_phase(const void *session)
{
	return http_session_phase(session);
}

static void rpc_room(void *session, char **room, size_t *len)
{
	unsigned char *bytes;
	rpc_session_room(session, &bytes, len);
	*room = (char *)bytes;
}

static void rpc_received(void *session, const char *bytes, size_t len)
{
	(void)bytes;
	rpc_session_received(session, len);
}

static bool rpc_unread(const void *session)
{
	return rpc_session_unread(session);
}

static enum http_phase rpc_phase(const void *session)
{
	return rpc_session_partial(session) ? HTTP_IN_BODY : HTTP_IDLE;
}

const struct protocol http_protocol = {
	.connections = METRIC_HTTP_CONNECTIONS, .refused = METRIC_HTTP_CONNECTIONS_REFUSED,
	.received = http_received, .unread = http_unread, .phase = http_phase, FORWARDED(http)
};

const struct protocol rpc_protocol = {
	.connections = METRIC_RPC_CONNECTIONS, .refused = METRIC_RPC_CONNECTIONS_REFUSED,
	.room = rpc_room, .received = rpc_received, .unread = rpc_unread, .phase = rpc_phase, FORWARDED(rpc)
};
