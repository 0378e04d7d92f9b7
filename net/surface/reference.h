// SPDX-License-Identifier: Apache-2.0
/* reference.h - every route with all that can be said about it: the one source of the OpenAPI document, the page /docs, `tally help
 * api` and docs/api-reference.md.
 *
 * A route's row, its operation (operation.h) and its kind are put together here, and what follows from them is added: X-Brand,
 * conditional requests, paging, dry runs, the refusals that come with each of them.  Made at the first call, on one thread; stays
 * for as long as the process.
 */
#ifndef NET_SURFACE_REFERENCE_H
#define NET_SURFACE_REFERENCE_H

#include "engine/base/problem_codes.h"
#include "net/surface/app.h"
#include "net/surface/operation.h"

enum { REFERENCE_PARAMETERS_MAX = 40, REFERENCE_PROBLEMS_MAX = 112 };

struct reference_parameter {
	const char *in;                /* "path", "query", "header" */
	struct parameter row;
};

struct reference_problem {
	int status;
	const char *code;
	const char *title;
};

struct reference {
	const struct route *route;
	const struct operation *operation;     /* NULL: of a kind, or nothing is known */
	const char *name;              /* operationId */
	const char *tag;               /* the part of the name before the first dot */
	const char *more;              /* or NULL */
	bool described;                /* it has an operation or follows from a kind */
	bool deprecated;
	struct reference_parameter parameters[REFERENCE_PARAMETERS_MAX];
	size_t parameter_count;
	const char *body, *body_types, *body_example;  /* as in struct operation; NULL: none */
	const char *links;             /* as in struct operation */
	struct answer answers[OPERATION_ANSWERS_MAX + 2];      /* ended by status 0 */
	struct reference_problem problems[REFERENCE_PROBLEMS_MAX];     /* its own, ascending by status */
	size_t problem_count;
};

struct reference_tag {
	const char *name, *title, *doc;        /* NULL ends the table */
};

/* In the order of the routes. */
const struct reference *references(size_t *count);
/* Those that some route has, in the order in which they are met first. */
const struct reference_tag *reference_tags(void);

/* Every code, the ledger's behind the others; ended by a NULL code. */
const struct problem_code *reference_problems(void);
const struct problem_code *reference_problem_find(struct str code);        /* NULL where there is none */
/* Whether every request may meet this one, whatever its route: refused before it reaches the operation. */
bool reference_problem_common(const struct problem_code *row);

void reference_make(void);                     /* reference_api.c: the two below, once, before the first request */
void openapi_write(struct buf *out);           /* openapi.c */
void docs_write(struct buf *out);              /* docs_page.c: HTML */

/* reference_text.c: the list of operations, or all about those that have the word (false: none has it). */
bool reference_terminal(struct buf *out, const char *word);
void reference_markdown(struct buf *out);

extern const struct route reference_routes[];  /* reference_api.c */

#endif
