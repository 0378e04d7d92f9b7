// SPDX-License-Identifier: Apache-2.0
/* generate.h - requests made from the tables alone: what a route and its operation say, and the schemas of what they take.
 *
 * Nothing here knows a route or a field by name.  Values come from the pool first (pool.h), so that requests meet; what the
 * schema asks for is made where there is none that fits.  Some requests are spoiled: a value of another type, a member too many
 * or too few, a body cut off.
 */
#ifndef TESTS_SIM_COMMANDS_GENERATE_H
#define TESTS_SIM_COMMANDS_GENERATE_H

#include "net/surface/reference.h"
#include "tests/sim/commands/pool.h"

enum { REQUEST_PAIRS = 48 };

struct pair { const char *name; char *text; };     /* name borrowed, text owned */

struct request {
	const struct reference *reference;
	size_t index;                  /* of all commands (methods.h) */
	bool method;                   /* it is no route's: the body has its params */
	bool head;                     /* HEAD instead of GET */
	struct pair parts[PATH_PARTS_MAX], query[REQUEST_PAIRS], headers[REQUEST_PAIRS];
	size_t part_count, query_count, header_count;
	struct buf body;
	const char *type;              /* of the body; NULL: none */
	bool json;                     /* the body is one JSON document, or should be */
	bool single;                   /* it is an object */
	bool dry_run, spoiled;
};

/* Of a few requests in a row. */
struct generator {
	uint64_t seed;
	struct pool pool;
	int64_t now_ms;
	unsigned extra_max;            /* optional members of an object */
	unsigned spoil_one_in, fresh_one_in;
	unsigned made;                 /* counts what is new */
	/* of the request being made */
	bool spoil, plain;
	struct { char name[POOL_NAME]; struct pool_value value; } memo[16];
	unsigned memo_count;
};

void generator_begin(struct generator *generator, uint64_t seed);
/* `plain`: not spoiled, not dry. */
void request_make(struct generator *generator, size_t index, bool plain, struct request *request);
/* Some answer said all of what its path takes, and what a customer has among it. */
bool generator_suits(struct generator *generator, size_t index);
void request_copy(struct request *to, const struct request *from);
void request_free(struct request *request);

/* Ids that answers of other operations gave for this one, or for those of a tag, are kept under this name. */
void link_name(char out[POOL_NAME], struct str operation);
/* learn.c: what was answered is there to be used. */
void generator_learn(struct generator *generator, const struct request *request, int status, struct str headers, struct str body);

/* bytes.c: as bytes of HTTP/1.1. */
void request_http(const struct request *request, struct buf *out);
/* As the params array of its method (net/rpc/bridge.h).  False: it has none, or this request has no such form. */
bool request_params(const struct request *request, struct buf *out, bool *dry_run);

#endif
