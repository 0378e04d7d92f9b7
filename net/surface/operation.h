// SPDX-License-Identifier: Apache-2.0
/* operation.h - what the reference says about a route beyond its row: parameters, body, answers, refusals.
 *
 * A route and its operation have the same name: the route's command over RPC, or its `operation` where it is no command.  Routes
 * of kinds need no row here: theirs follow from the kind.  What can be derived is not written down: see reference.c.
 *
 * A schema is written in one of three ways; in JSON, a single quote stands for a double one:
 *
 *     "Wallet"                   the schema of that name (schema.h)
 *     "[Wallet]"                 an array of it
 *     "{'type':'integer'}"       JSON Schema 2020-12
 */
#ifndef NET_SURFACE_OPERATION_H
#define NET_SURFACE_OPERATION_H

#include <stdbool.h>

enum { OPERATION_PARAMETERS_MAX = 10, OPERATION_ANSWERS_MAX = 5 };

enum operation_flag {
	WITH_BRAND     = 1,            /* X-Brand is needed */
	MAY_BRAND      = 2,            /* X-Brand may be given and must agree then */
	MAY_TENANT     = 4,            /* the same for X-Tenant */
	WITH_DRY_RUN   = 8,            /* ?dry_run */
	WITH_LIST      = 16,           /* ?limit (1 to 1000, 100) and ?offset */
	WITH_CURSOR    = 32,           /* ?cursor */
	STRICT_QUERY   = 64,           /* other query parameters are refused: filter_unknown */
	WITH_ETAG      = 128,          /* answers carry ETag; If-None-Match gives 304 */
	WITH_IF_MATCH  = 256,          /* If-Match is looked at: 412 */
	WITH_OPERATOR  = 512,          /* X-Operator says who it is */
};

struct parameter {
	const char *name;              /* NULL ends a list */
	const char *schema;
	const char *doc;               /* one sentence */
	bool required;
};

struct answer {
	int status;                    /* 0 ends a list */
	const char *schema;            /* NULL: text, or nothing with 204 and 304 */
	const char *doc;               /* when */
	const char *type;              /* media type; NULL: application/json */
	const char *json;              /* beside another media type: schema of the answer as application/json; NULL: none */
	const char *headers;           /* words: "X-Total-Count X-Next-Cursor Retry-After" */
	const char *example;           /* as JSON; NULL: made from the schema */
};

/* ANSWER(200, "Wallet", "The balance", .headers = "…") */
#define ANSWER(code, shape, when, ...) { .status = code, .schema = shape, .doc = when, __VA_ARGS__ }

struct operation {
	const char *name;              /* "transactions.create"; NULL ends a table */
	const char *more;              /* sentences behind the route's own; may be NULL */
	unsigned flags;                /* enum operation_flag */
	struct parameter path[4];      /* parts of the path that are no names of 1 to 200 bytes */
	struct parameter query[OPERATION_PARAMETERS_MAX];
	const char *body;              /* schema; NULL: none */
	bool body_optional;
	const char *body_types;        /* media types, words; NULL: application/json */
	const char *body_example;      /* as JSON or text; NULL: made from the schema */
	struct answer answers[OPERATION_ANSWERS_MAX];
	const char *links;             /* operations whose {id} is the `id` of the 201 answer, words; NULL: none */
	const char *problems;          /* codes, words; @transfers, @accounts: what the ledger refuses */
};

/* Of the two statements. */
#define STATEMENT_QUERY \
	{ { "from", "{'type':'string'}", "An LSN or an RFC 3339 time; left out: the beginning", false }, \
	  { "to", "{'type':'string'}", "The same; left out: now", false }, \
	  { "after", "{'type':'string'}", "What a page gave as next", false }, \
	  { "limit", "{'type':'integer','minimum':1,'maximum':8190,'default':100}", "Entries of a page", false } }

/* Every table, ended by NULL; each table ends with a NULL name. */
extern const struct operation *const operations[];

const struct operation *operation_find(const char *name);  /* NULL if there is none */

#endif
