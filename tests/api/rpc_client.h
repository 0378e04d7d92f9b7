// SPDX-License-Identifier: Apache-2.0
/* rpc_client.h - MessagePack-RPC to the server of the tests, over the sockets of harness.h.
 *
 * Params are given as JSON, in which a single quote stands for a double one, and become MessagePack; what comes back
 * is kept as the bytes that came, and as JSON where it has that form.
 */
#ifndef TESTS_API_RPC_CLIENT_H
#define TESTS_API_RPC_CLIENT_H

#include "tests/api/harness.h"

struct rpc_answer {
	bool has_msgid;
	uint64_t msgid;
	bool is_error;
	struct buf bytes;              /* the result, or the error: one MessagePack object */
	yyjson_doc *doc;               /* the same; NULL where it has no JSON form */
};

void rpc_answer_free(struct rpc_answer *answer);

/* Appends a request (a notification where msgid is below 0) whose params are the JSON array `params`; NULL: []. */
void rpc_pack(struct buf *out, int64_t msgid, const char *method, const char *params);
bool rpc_take(struct client *client, struct rpc_answer *answer);   /* the next answer; false: closed before it */

/* One call on a connection to harness_server that is kept; the answer is valid until the next one.  `param` is the one
 * param, NULL for none. */
struct rpc_answer *rpc_ask(const char *method, const char *param);
yyjson_val *rpc_want(const char *method, const char *param);       /* the result; an error fails the test */
/* The error of this code and name; anything else fails the test. */
yyjson_val *rpc_refused(int code, const char *name, const char *method, const char *param);
void rpc_close(void);                                      /* the kept connection */

#endif
