// SPDX-License-Identifier: Apache-2.0
/* client.h - an HTTP client for the commands that talk to a server: connections are kept, a few requests are in
 * flight. */
#ifndef NET_CLI_CLIENT_H
#define NET_CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

enum { CLIENT_FLIGHT_MAX = 8, CLIENT_ERROR_MAX = 256 };

struct client;

/* One exchange.  The caller owns it, fills the upper part and keeps body and headers alive until it is done. */
struct client_call {
	const char *method;
	const char *path;              /* begins with '/' */
	const char *brand;             /* X-Brand; NULL: none */
	const char *content_type;      /* of the body; NULL: no body */
	struct str body;
	void *context;                 /* the caller's own */
	long timeout;                  /* seconds until the answer must be there; 0: 300 */

	long status;                   /* 0: there was no answer, see error */
	long retry_after;              /* seconds, 0 where absent */
	struct buf answer;             /* the body; buf_free it */
	char hash[33];                 /* X-Content-Hash; "" where absent */
	char error[CLIENT_ERROR_MAX];
	void *internal;
};

struct client *client_new(const char *url);        /* NULL: neither http nor https */
void client_free(struct client *client);
void client_start(struct client *client, struct client_call *call);
struct client_call *client_wait(struct client *client);    /* the next one that is done; NULL: none is in flight */
bool client_do(struct client *client, struct client_call *call);   /* start and wait; false: no answer */
size_t client_flight(const struct client *client);
const char *client_url(const struct client *client);

#endif
