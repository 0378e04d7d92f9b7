// SPDX-License-Identifier: Apache-2.0
/* op.h - one thing that a client wants, however often it is sent until it is answered. */
#ifndef TESTS_SIM_OP_H
#define TESTS_SIM_OP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/ledger/request.h"
#include "engine/shard/batch.h"
#include "tests/sim/rules.h"

enum op_kind { OP_TRANSFERS, OP_ACCOUNTS, OP_CLOSE, OP_EVENTS, OP_CUSTOMERS, OP_CATALOG, OP_LOOKUP, OP_MEMBER, OP_BOOK, OP_DOCUMENT, OP_ACTION,
	       OP_REVERSE, OP_ASK };
enum { OP_ROWS = 64, OP_SPECS = 8, OP_EVENTS_MAX = 8, PAYLOAD = 64, BODY = 800, OP_BODY = 1600, ACTOR_TEXT = 16 };

extern const char *const sim_tenants[2];
extern const char *const sim_units[2];

struct sim_event {
	unsigned tenant;
	char profile[TEXT], type[TEXT], id[TEXT];
	int64_t points, amount;
	char payload[PAYLOAD];
	bool internal;                 /* comes from a job */
	bool strict;                   /* the customer must be there */
};

struct sim_customer {
	unsigned tenant;
	char profile[TEXT], status[TEXT];      /* status "": left as it is */
	bool tagged;                   /* tags are given */
	char tags[3][TEXT];
	unsigned tag_count;
	bool colored, sized;
	char color[TEXT], size[TEXT];  /* JSON texts; "null" takes it away */
	char body[BODY];
};

struct op {
	enum op_kind kind;
	unsigned number, client;
	uint32_t count;                /* of rows, specs, events or customers */
	unsigned char *rows;           /* owned */
	struct account_spec specs[OP_SPECS];
	struct sim_event events[OP_EVENTS_MAX];
	struct sim_customer customers[OP_EVENTS_MAX];
	/* CATALOG, DOCUMENT */
	enum catalog_verb verb;
	uint64_t match;                /* the version it is for; 0: any */
	bool spoiled;                  /* the body cannot be a document's */
	unsigned catalog_kind, tenant, unit;
	uint64_t document;             /* ACTION: the reward's seq; REVERSE: LSN of the event; ASK: the award's seq */
	unsigned action;               /* enum action_op; REVERSE: enum reverse_policy; ASK: enum query_kind */
	char body[OP_BODY];            /* REVERSE: the payload */
	/* LOOKUP, MEMBER, BOOK, ASK */
	u128 ids[OP_SPECS];
	char profile[TEXT];            /* REVERSE: the reversal's own id */
	unsigned state, limit, offset, before; /* ASK: see struct query */
	/* what was known when it was first sent */
	bool sent, answered;
	bool dry;                      /* decided, answered, never in the log */
	uint64_t config_lsn[2];        /* newest configuration of each tenant that was acknowledged to anybody */
};

/* Who asks, for the audit. */
static inline void op_actor(const struct op *op, char actor[ACTOR_TEXT])
{
	snprintf(actor, ACTOR_TEXT, "client-%u", op->client);
}

#endif
