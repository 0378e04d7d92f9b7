// SPDX-License-Identifier: Apache-2.0
/* ledger_call.h - a question to the ledger on its way: the shards, the log, and back to whoever asked.
 *
 * One object goes with a request of either protocol, from stage to stage, and is used again afterwards with all its memory:
 * a batch of transfers allocates nothing.  Stages run one at a time:
 *
 *     ledger_ask(call, verb, after)         the shards answer, durable            then after(call) on the loop
 *     ledger_transfers(call, after)         likewise; rows that are known are read and compared as well
 *     ledger_read(call, read, after)        read(call) on a worker thread         then after(call) on the loop
 */
#ifndef NET_SURFACE_LEDGER_CALL_H
#define NET_SURFACE_LEDGER_CALL_H

#include "engine/ledger/request.h"
#include "net/surface/app.h"

enum { LEDGER_CALLS_KEPT = 64, LEDGER_ROOM_KEPT = 1024 * 1024 };

struct ledger_call {
	struct ledger_request request; /* its inputs point into the bufs below, or into what was received */
	struct app *app;
	void *owner;                   /* struct rpc_request or struct task */
	void (*after)(struct ledger_call *call);
	void (*read)(struct ledger_call *call);
	void (*decided)(struct ledger_call *call);     /* behind ledger_transfers */
	bool unreadable;               /* something that is in the log could not be read: nothing can be said (500) */
	/* room for the inputs and outputs of stages; owned, empty at first */
	struct buf rows, specs, views, ids, lsns, states, numbers;
	struct buf text;               /* scratch */
	void *context;                 /* of the method; freed by free_context */
	void (*free_context)(void *context);
	uv_work_t work;
	struct ledger_call *next;      /* among those that nobody uses */
};

struct ledger_call *ledger_call_new(struct app *app, void *owner);
void ledger_call_end(struct ledger_call *call);
void ledger_calls_end(void);           /* the node goes, and what is kept for the next calls with it */

void ledger_ask(struct ledger_call *call, enum ledger_verb verb, void (*after)(struct ledger_call *call));
void ledger_transfers(struct ledger_call *call, void (*after)(struct ledger_call *call));
void ledger_read(struct ledger_call *call, void (*read)(struct ledger_call *call), void (*after)(struct ledger_call *call));

/* `count` zeroed elements of `size` bytes at the front of an emptied buf; what it held before is gone. */
void *ledger_room(struct buf *buf, size_t count, size_t size);

/* The account at views[i] as texts, once looked up. */
struct str ledger_view_text(const struct ledger_call *call, size_t at, size_t len);
/* views[0] becomes the account that the spec would make: of a dry run. */
void ledger_view_dry(struct ledger_call *call, const struct account_spec *spec);

#endif
