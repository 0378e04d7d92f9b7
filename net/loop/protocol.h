// SPDX-License-Identifier: Apache-2.0
/* protocol.h - a connection's session, whichever protocol it speaks: what server.c needs of it. */
#ifndef NET_LOOP_PROTOCOL_H
#define NET_LOOP_PROTOCOL_H

#include "net/http/http.h"
#include "net/loop/metrics.h"
#include "net/rpc/session.h"

struct protocol {
	enum metric connections, refused;      /* a gauge, a counter */
	/* Room of the session's own for the next read; NULL: any memory will do.  Not asked for unless wants_read. */
	void (*room)(void *session, char **room, size_t *len);
	void (*received)(void *session, const char *bytes, size_t len);        /* into that room, where there is one */
	bool (*wants_read)(const void *session);
	size_t (*outstanding)(const void *session);    /* requests without an answer */
	enum http_phase (*phase)(const void *session); /* what of a message has been received so far */
	bool (*done)(const void *session);     /* takes no more, and all is answered */
	bool (*unread)(const void *session);   /* done, but input may be unread: closing at once could lose the answer */
	void (*shutdown)(void *session);       /* finish what is there */
	void (*end)(void *session);            /* the peer sends no more */
	void (*timeout)(void *session);        /* the peer is too slow */
	void (*detach)(void *session);         /* the connection is gone; the session frees itself */
	size_t (*output)(void *session, struct buf *out);      /* moves answers; returns their bytes */
};

extern const struct protocol http_protocol, rpc_protocol;

#endif
