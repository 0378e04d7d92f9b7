// SPDX-License-Identifier: Apache-2.0
/* harness.h - the real server and a small HTTP client, for the tests of the API.
 *
 * A test program is one table of tests.  harness_run runs it with 1 and with 4 shards (or with TALLY_SHARDS alone),
 * each time against a server of its own in a temporary directory; a test keeps to a brand of its own.
 *
 * In the bodies and expectations given to want() and json_is() a single quote stands for a double one.
 */
#ifndef TESTS_API_HARNESS_H
#define TESTS_API_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <yyjson.h>
#include <cmocka.h>

#include "engine/base/buf.h"

enum { HARNESS_PATH_MAX = 256 };
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct server {
	pid_t pid;                     /* 0: not running */
	char folder[HARNESS_PATH_MAX]; /* temporary; holds data, ready and log */
	int port;                      /* of HTTP */
	int rpc_port;
};

struct client {
	int fd;                        /* -1: not connected */
	struct buf in;                 /* bytes read beyond the last reply */
};

struct reply {
	int status;
	bool continued;                /* a 100 Continue came before it */
	struct buf head;               /* status line and headers, with a NUL behind */
	struct buf body;               /* with a NUL behind that len does not count */
	yyjson_doc *doc;               /* the body, where it is JSON */
};

/* The server of the group that runs now, and how many shards it has. */
extern struct server harness_server;
extern unsigned harness_shards;

/* `options`: words for `tally serve`, ending with NULL; may be NULL. */
int harness_run(const char *name, const struct CMUnitTest *tests, size_t count, const char *const *options);

/* Servers.  A folder that is empty text is made; server_clean removes it. */
void server_start(struct server *server, unsigned shards, const char *const *options);
void server_begin(struct server *server, unsigned shards, const char *const *options);     /* server_start in two parts: */
void server_await(struct server *server);          /* until it is ready */
void server_stop(struct server *server);           /* SIGTERM; fails the test unless it exits with 0 */
void server_kill(struct server *server);           /* SIGKILL */
void server_clean(struct server *server);
/* Starts a server that is expected to exit by itself; returns its exit status, and what it wrote to stderr. */
int server_refused(const struct server *server, const char *const *options, struct buf *text);

/* Connections.  A read that waits longer than half a minute fails the test. */
void client_open(struct client *client, int port);
void client_close(struct client *client);
void client_send(struct client *client, const void *bytes, size_t len);
bool client_fill(struct client *client);           /* reads what is there into client->in; false: closed */
bool client_reply(struct client *client, struct reply *reply, bool head);      /* false: closed before one was there */
bool client_ended(struct client *client);          /* reads until the other side closes; true: it sent nothing more */
void reply_free(struct reply *reply);
bool reply_header(const struct reply *reply, const char *name, char *out, size_t size);

/* One request to harness_server on a connection that is kept.  `what` is "METHOD /path"; brand, type and body may be
 * NULL. The reply is valid until the next call. */
struct reply *ask(const char *what, const char *brand, const char *type, struct str body);
/* The same with JSON, or without a body (NULL); fails the test unless the status is this one.  Returns the
 * JSON's root. */
yyjson_val *want(int status, const char *what, const char *brand, const char *body);
yyjson_val *want_typed(int status, const char *what, const char *brand, const char *type, const char *body);
struct reply *last_reply(void);
void ask_close(void);                              /* the kept connection; before the server is stopped or killed */
/* A refusal: a problem document with this status and code, and with a fault at each of the pointers ("/a /b"). */
void refused(int status, const char *code, const char *pointers, const char *what, const char *brand, const char *body);

/* JSON; each fails the test where the value is not there. */
yyjson_val *json_at(yyjson_val *root, const char *pointer);
int64_t int_at(yyjson_val *root, const char *pointer);
const char *text_at(yyjson_val *root, const char *pointer);
bool bool_at(yyjson_val *root, const char *pointer);
size_t size_of(yyjson_val *array);
void json_is(yyjson_val *root, const char *pointer, const char *expected);

/* A text in one of a few rotating buffers. */
const char *textf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What many tests begin with. */
void make_type(const char *brand, const char *key);
void make_rule(char id[32], const char *brand, const char *key, int priority, const char *conditions,
	       const char *actions);
yyjson_val *send_event(int status, const char *brand, const char *profile, const char *key, const char *id,
		       const char *payload);
int64_t wallet(const char *brand, const char *profile);

#endif
