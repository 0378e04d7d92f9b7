// SPDX-License-Identifier: Apache-2.0
/* kind.h - what a kind of configuration documents is, said once.
 *
 * A kind is one descriptor with a table of fields; the kinds of the product are in engine/kinds, one file each.
 * Validation, defaults, storage, filters, references, routes, schemas and forms are derived from it: a new kind needs its
 * descriptor and nothing else.  All tables are constant.
 * Invariants: a kind's `number` is in the log and is never given to another kind; the list of kinds does not change once
 * there is a catalog.
 */
#ifndef ENGINE_CATALOG_KIND_H
#define ENGINE_CATALOG_KIND_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/fault.h"
#include "engine/base/problem.h"
#include "engine/base/str.h"

struct catalog;
struct document;
struct rule;

enum field_type {
	FIELD_TEXT,                    /* min..max: characters */
	FIELD_INT,                     /* min..max: the value */
	FIELD_BOOL,
	FIELD_DECIMAL,                 /* a JSON number, exact; min..max: the value */
	FIELD_ENUM,                    /* one of `choices` */
	FIELD_REF,                     /* a text: the `ref_key` of an active document of `ref_kind` */
	FIELD_CONDITION,               /* any of the condition forms of engine/rule; max: bytes of JSON */
	FIELD_ACTIONS,                 /* list of actions (action.h); min..max: entries */
	FIELD_SCHEMA,                  /* a JSON Schema (schema.h); max: bytes of JSON */
	FIELD_JSON,                    /* any object; max: bytes of JSON */
	FIELD_TEXTS,                   /* array of texts; max: entries */
	FIELD_TIME,                    /* RFC 3339 text */
	FIELD_LIST,                    /* array of objects with the fields `items`; min..max entries */
	FIELD_TYPES
};

enum field_flag {
	REQUIRED  = 1,                 /* must be given at creation */
	NULLABLE  = 2,                 /* null is a value; it is also the default if there is no fallback */
	READONLY  = 4,                 /* set by the engine; refused in a body */
	IMMUTABLE = 8,                 /* given at creation, the same ever after */
	HIDDEN    = 16,                /* not shown in forms */
	WRITEONLY = 32,                /* may be given in a body and is checked; derive reads it, the document does not keep it */
};

struct field {
	const char *name;              /* NULL ends a table */
	enum field_type type;
	unsigned flags;                /* enum field_flag */
	int64_t min, max;              /* see field_type; not checked unless max > min */
	const char *fallback;          /* default, as JSON text; NULL: none */
	const char *const *choices;    /* FIELD_ENUM: ends with NULL */
	const struct field *items;     /* FIELD_LIST: ends with name NULL */
	const char *ref_kind;          /* FIELD_REF: name of the kind */
	const char *ref_key;           /* FIELD_REF: its field */
	const char *ref_unknown;       /* FIELD_REF: code of the refusal (status 400) where there is no such document */
	const char *ref_inactive;      /* FIELD_REF: the same where its `active` is false; NULL: may be inactive */
	const char *ref_filter;        /* FIELD_REF: what the other document's text fields must say, "origin=INTERNAL"; NULL: any */
	const char *ref_mismatch;      /* beside ref_filter: code of the 400 where it says another thing */
	const char *widget;            /* hint for forms; NULL: from the type */
	const char *doc;               /* one sentence */
	/* What the type does not say about a value that is not null; adds faults below `pointer` and returns false if it
	 * found any.  NULL: nothing. */
	bool (*check)(yyjson_val *value, const char *pointer, struct faults *faults);
	/* For the schema: a regular expression of the texts that check (or the owner of the table) lets pass; NULL: any. */
	const char *pattern;
	/* Appends the JSON Schema of what check lets pass, of an object; `partial`: of a merge patch to it.  NULL: by the type.
	 * Definitions are found at `refs` ("#/$defs/"): "condition", and what `definitions` appends, members without braces. */
	void (*schema)(struct buf *out, bool partial, const char *refs);
	void (*definitions)(struct buf *out, const char *refs);        /* NULL: needs none */
};

struct kind {
	unsigned number;               /* in the log; never changes, 1..KIND_NUMBER_MAX */
	const char *name;              /* "event_type" */
	const char *plural;            /* "event_types" */
	const char *title;             /* "event type", for messages */
	const char *path;              /* "/admin/event-types" */
	const char *permission;        /* what an operator needs to change it */
	const struct field *fields;    /* in the order of the canonical text; ends with name NULL */
	const char *const *unique;     /* fields of which each is unique in the tenant; ends with NULL; NULL: none */
	const char *order_by;          /* FIELD_INT to list by, ascending, then id; NULL: by id alone */
	/* What spans fields or documents.  `document` is complete and each field is valid; `body` has what is WRITEONLY as well;
	 * `before` is NULL at creation.  Sets the problem (or adds faults to it) to refuse.  NULL: nothing to check. */
	void (*check)(const struct catalog *catalog, struct str tenant, yyjson_val *document, yyjson_val *body,
		      const struct document *before,
		      struct problem *problem);
	/* State beside the fields (catalog.h): what answers show of it, all read-only; ends with name NULL; NULL: the kind has
	 * none.  derive appends the state as a JSON object when a document is made or changed: `body` is the complete body,
	 * with what is WRITEONLY. */
	const struct field *state_fields;
	void (*derive)(yyjson_val *document, yyjson_val *body, const struct document *before, int64_t now_ms, struct buf *out);
	/* What stands against taking the document away, beside those who refer to it.  NULL: nothing to check. */
	void (*check_delete)(const struct catalog *catalog, const struct document *document, struct problem *problem);
	const char *problems;          /* codes that `check` and `check_delete` may set, words, for the reference; NULL: none */
	const char *key;               /* text field that others name it by; NULL: the id */
	const char *label;             /* text field that people know it by; NULL: "name" */
	void (*catalog)(struct buf *out);      /* appends further members of its catalog for forms, each behind a comma; NULL */
	const char *successor;         /* path of what to use instead of this deprecated kind; NULL: it is not deprecated */
	/* When something has to be done for a document, as its fields and state say: INT64_MAX never.  NULL: never. */
	int64_t (*due)(const struct document *document);
	const char *doc;
};

enum { KIND_NUMBER_MAX = 255, KINDS_ADDED_MAX = 16 };
enum { KIND_EVENT_TYPE = 1, KIND_RULE, KIND_REWARD, KIND_LOYALTY_TIER, KIND_BONUS_DEFINITION, KIND_CAMPAIGN,
       KIND_INTERNAL_JOB };                            /* numbers */

extern const struct kind *const kinds_builtin[];       /* of engine/kinds; ends with NULL */
extern const struct field kind_envelope[];             /* id, brand, version, …: in every document */

/* One more kind.  Before the first catalog and the first thread; the kind stays borrowed. */
void kind_add(const struct kind *kind);
const struct kind *kind_at(size_t index);              /* in their order, those of the product first; NULL behind the last */

const struct kind *kind_by_number(unsigned number);    /* NULL if there is none */
const struct kind *kind_by_name(struct str name);      /* "rule"; NULL if there is none */
const struct kind *kind_by_path(struct str path);      /* "/rules"; NULL if there is none */
const struct field *field_find(const struct field *fields, struct str name);   /* NULL if there is none */
const char *field_type_name(enum field_type type);     /* "text", "integer", …, for messages */

/* Checks one value, everything but references; adds faults at `pointer` and returns false if it found any.  Null is a
 * fault unless NULLABLE. */
bool field_check(const struct field *field, yyjson_val *value, const char *pointer, struct faults *faults);

/* Appends the canonical form of a checked value. */
void field_write(struct buf *out, const struct field *field, yyjson_val *value);

/* Faults for members that are in no table or read-only; false if there are any. */
bool fields_known(const struct field *fields, const char *extra, yyjson_val *object, const char *pointer,
		  struct faults *faults);

/* Checks an object against a table of fields: unknown and read-only fields, missing ones, each value.  `extra` is one
 * more member that may be there and is not checked here ("type", "brand"); NULL: none.  All pointers are below
 * `pointer`. */
bool fields_check(const struct field *fields, const char *extra, yyjson_val *object, const char *pointer,
		  struct faults *faults);

/* A condition in any of its forms, ready to run; the caller frees it with rule_free.  NULL without a new fault:
 * `source` is null or absent, which is always true.  NULL with faults at or below `pointer`: it is wrong. */
struct rule *condition_compile(yyjson_val *source, const char *pointer, struct faults *faults);

#endif
