// SPDX-License-Identifier: Apache-2.0
/* schema.h - the shapes of bodies and answers, each said once: a name and a table of members.
 *
 * They become components of the OpenAPI document and tables of the reference.  Those of kinds are made from the kinds: for
 * "event type" they are EventType, EventTypeCreate and EventTypeUpdate.
 */
#ifndef NET_SURFACE_SCHEMA_H
#define NET_SURFACE_SCHEMA_H

#include <stdbool.h>

#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

enum member_flag { OPTIONAL = 1 };

struct member_of {
	const char *name;              /* NULL ends a table */
	const char *schema;            /* as in operation.h */
	const char *doc;               /* may be NULL */
	const char *example;           /* JSON, ' for "; NULL: made from the schema */
	unsigned flags;
};

struct schema {
	const char *name;              /* NULL ends the table */
	const char *doc;               /* one sentence */
	const struct member_of *members;       /* of an object; NULL: `json` */
	bool closed;                   /* members that are not listed are refused */
	const char *json;              /* a schema that is no table of members */
	const char *example;           /* JSON; NULL: made from the members */
};

extern const struct schema schemas[];

const struct schema *schema_find(struct str name);         /* NULL if there is none, also for those of kinds */

/* All of these take a schema as operation.h has it.  Those of kinds are found as well. */
void schema_write(struct buf *out, const char *schema);    /* JSON; a name becomes a reference to the component */
void schema_example(struct buf *out, const char *schema);  /* JSON that fits */
void schema_words(struct buf *out, const char *schema);    /* for people: "text, 1 to 200", "array of Wallet" */

void schema_words_json(struct buf *out, yyjson_val *schema);       /* of JSON Schema that json_read has read */

/* The component itself. */
void schema_component(struct buf *out, const struct schema *schema);

/* Names of all components, kinds included, in order; each call gives the next, NULL behind the last.  *at begins with 0. */
bool schema_next(size_t *at, struct buf *name);
void schema_component_named(struct buf *out, struct str name);     /* of any of those names */

struct kind;
void schema_kind_name(struct buf *out, const struct kind *kind);   /* "EventType" */

/* JSON with ' for " as JSON. */
void quotes_write(struct buf *out, const char *text);

#endif
