// SPDX-License-Identifier: Apache-2.0
/* catalog.h - the configuration of all tenants: documents, changed by records.
 *
 * Decide and apply are apart.  A decision is pure: it reads the catalog and gives either a problem or one change, which
 * is the log record.  catalog_apply is the only function that changes the catalog; live and at replay it does the same
 * and never refuses.  The owner (one actor) calls it with changes in the order of the log, and skips those up to
 * last_lsn.
 *
 * A document may have *state* beside its fields: what the engine has to remember of it (when a job ran last).  It is read-only
 * for clients and no part of version, lsn and updated_ms: CATALOG_STATE replaces it and leaves the rest as it is.
 *
 * Invariants: ids are never given twice; a document's text is canonical (fields in the order of the table, defaults
 * included); a tenant never sees a document of another.
 */
#ifndef ENGINE_CATALOG_CATALOG_H
#define ENGINE_CATALOG_CATALOG_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/problem.h"
#include "engine/base/str.h"
#include "engine/catalog/kind.h"

struct document {
	uint64_t id;                   /* outward: decimal text */
	const struct kind *kind;
	struct str tenant;             /* borrowed from the catalog */
	uint64_t version;              /* 1, 2, 3 … */
	int64_t created_ms, updated_ms;        /* since 1970, UTC */
	uint64_t lsn;                  /* of the last change of its fields */
	struct str json;               /* canonical text of the fields; owned */
	yyjson_doc *doc;               /* the same, read; owned */
	struct str state;              /* JSON object, owned; empty: none */
	yyjson_doc *state_doc;         /* the same, read; owned; NULL: none */
	int64_t due_ms;                /* kind->due says so; INT64_MAX: never */
};

struct catalog_tenant {
	struct str name;               /* owned */
	struct document **list;        /* by id, ascending; owned */
	size_t count, cap;
	uint64_t audit_lsn;            /* of its last record that put or deleted a document; 0: none */
};

struct catalog {                       /* zero-initialise; catalog_free gives the memory back */
	struct catalog_tenant **tenants;       /* by name, ascending; owned; a tenant stays once it is there */
	size_t tenant_count, tenant_cap;
	uint64_t last_id;              /* the highest id ever given */
	uint64_t last_lsn;             /* the highest LSN applied */
	size_t documents;
	int64_t next_due_ms;           /* at most the smallest due_ms of all documents, once something was applied */
};

enum catalog_op {
	CATALOG_PUT = 1,               /* the whole document as it is from now on */
	CATALOG_DELETE = 2,
	CATALOG_MARK = 3,              /* ids up to `id` are used; only in snapshots */
	CATALOG_STATE = 4              /* only the state of a document changes */
};

struct catalog_change {
	enum catalog_op op;
	unsigned kind;                 /* number of the kind; 0 with CATALOG_MARK */
	uint64_t id;
	uint64_t version;              /* after the change; with CATALOG_STATE the document's as it is */
	struct str tenant;             /* borrowed: from the caller of decide, or from the bytes decoded */
	int64_t time_ms;               /* of this change; with CATALOG_STATE the document's as it is */
	int64_t created_ms;            /* of the document */
	struct str json;               /* borrowed: from `owned`, or from the bytes decoded; empty with CATALOG_STATE */
	struct str state;              /* borrowed likewise, from `owned_state`; empty: the document has none */
	char *owned, *owned_state;     /* catalog_change_free gives them back; may be NULL */
	/* For the audit, of PUT and DELETE; the records of a tenant, and those of a document, are chained backwards by it. */
	bool audited;                  /* false: written before there was an audit, or by a snapshot */
	struct str actor;              /* who did it; borrowed */
	uint64_t previous;             /* LSN of the document's record before; 0: none */
	uint64_t tenant_previous;      /* LSN of the tenant's record before, of any document; 0: none */
};

enum catalog_status {
	CATALOG_OK,
	CATALOG_INVALID,               /* 422 with faults */
	CATALOG_REFUSED,               /* 400: brand_mismatch, what a reference refuses with */
	CATALOG_NOT_FOUND,             /* 404 */
	CATALOG_CONFLICT,              /* 409: duplicate, in_use, what the kind itself keeps */
	CATALOG_STALE                  /* 412: another version than the client thinks */
};

void catalog_free(struct catalog *catalog);                /* and back to empty */

/* Decisions.  On CATALOG_OK *change is filled, and the caller frees it with catalog_change_free; otherwise *problem is
 * (the caller zero-initialises it and frees it with problem_free).  `tenant` must outlive the change.  Nothing is kept
 * of `body`; it must come from json_read. */
enum catalog_status catalog_decide_create(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					  yyjson_val *body, int64_t now_ms, struct catalog_change *change,
					  struct problem *problem);
/* RFC 7396: members of `body` replace those of the document, null takes one away (so the default is back).  Conditions,
 * schemas and lists are replaced as a whole; objects are merged. */
enum catalog_status catalog_decide_patch(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					 uint64_t id, yyjson_val *body, int64_t now_ms, struct catalog_change *change,
					 struct problem *problem);
enum catalog_status catalog_decide_delete(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					  uint64_t id, int64_t now_ms, struct catalog_change *change,
					  struct problem *problem);
/* The state alone: members of `patch` replace those of the same name, also by null.  It comes from the engine, never from a
 * client.  CATALOG_NOT_FOUND where the document is gone. */
enum catalog_status catalog_decide_state(const struct catalog *catalog, struct str tenant, const struct kind *kind,
					 uint64_t id, yyjson_val *patch, struct catalog_change *change,
					 struct problem *problem);
void catalog_change_free(struct catalog_change *change);

/* Which versions of a document a request is for (If-Match), or is not for (If-None-Match). */
enum { VERSION_MATCH_MAX = 16 };
struct version_match {
	bool given, any;               /* any: "*" */
	unsigned count;
	uint64_t versions[VERSION_MATCH_MAX];
};
bool version_matches(const struct version_match *match, uint64_t version);
/* CATALOG_STALE with the problem version_mismatch where a document is there that these conditions are not for. */
enum catalog_status catalog_condition(const struct catalog *catalog, struct str tenant, const struct kind *kind, uint64_t id,
				      const struct version_match *match, const struct version_match *none_match,
				      struct problem *problem);

/* The record's body: a version byte, then tagged fields, integers little-endian.  Decoding accepts any bytes, copies
 * nothing and returns false unless they are a whole change of a known kind with a well-formed document; unknown tags
 * are skipped. */
void catalog_change_encode(const struct catalog_change *change, struct buf *out);
bool catalog_change_decode(const void *bytes, size_t len, struct catalog_change *change);

/* Makes a change real.  `change` must come from a decision or from catalog_change_decode.  Twice does no harm. */
void catalog_apply(struct catalog *catalog, const struct catalog_change *change, uint64_t lsn);

/* The change that makes this document out of nothing (for snapshots); borrows from it.  A snapshot also needs one
 * CATALOG_MARK with catalog->last_id, since the newest document may have been deleted. */
struct catalog_change catalog_document_change(const struct document *document);

/* Appends all documents of a tenant, each as u64 LSN, u64 length and catalog_change_encode of that length; catalog_copy_next takes
 * them apart again, from *at = 0.  False at the end. */
void catalog_copy(const struct catalog *catalog, struct str tenant, struct buf *out);
bool catalog_copy_next(struct str copy, size_t *at, uint64_t *lsn, struct catalog_change *change);

/* NULL if there is none, or if it is of another tenant or kind.  Valid until the next catalog_apply. */
const struct document *catalog_get(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				   uint64_t id);
/* The first document whose text field (or `id`) has this value; NULL if there is none. */
const struct document *catalog_find(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				    const char *field, struct str value);
/* The value of one field; NULL where it has none. */
yyjson_val *document_value(const struct document *document, const char *field);
bool catalog_id_parse(struct str text, uint64_t *id);      /* decimal digits without leading zeros, not 0 */

enum { CATALOG_FILTERS_MAX = 16 };         /* no kind has more fields that can be filtered by */

struct catalog_filter {
	struct str field, value;       /* a query parameter: active=true */
};

struct catalog_place {                 /* of a document in the order of its kind, to go on behind it */
	int64_t order;                 /* its `order_by`; 0 where the kind has none */
	uint64_t id;                   /* 0: in front of all */
};

struct catalog_page {
	const struct document **list;  /* owned, the documents are not; valid until the next catalog_apply */
	size_t count;
	size_t total;                  /* that match, without limit, offset and place */
	bool more;                     /* there are some behind the last one, */
	struct catalog_place last;     /* whose place is this */
};

/* In the order of the kind.  CATALOG_INVALID with a problem for an unknown field or a value that it cannot have.  The
 * caller frees the page with catalog_page_free (also after a problem). */
enum catalog_status catalog_list(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				 const struct catalog_filter *filters, size_t filter_count, size_t offset, size_t limit,
				 struct catalog_page *page, struct problem *problem);
/* The same, of those behind a place. */
enum catalog_status catalog_list_after(const struct catalog *catalog, struct str tenant, const struct kind *kind,
				       const struct catalog_filter *filters, size_t filter_count, struct catalog_place after,
				       size_t offset, size_t limit, struct catalog_page *page, struct problem *problem);
void catalog_page_free(struct catalog_page *page);

/* Documents of any tenant that are due at a time, `max` at most; returns how many.  Nearly free while none is. */
size_t catalog_due(struct catalog *catalog, int64_t now_ms, const struct document **list, size_t max);

/* {"id":"12","brand":"BRAND_A", …fields…, …state…, "version":1,"created_at":"…","updated_at":"…"} */
void catalog_document_json(struct buf *out, const struct document *document);
/* The same for what a change will make, so that the answer to a request needs no read; not for deletions. */
void catalog_change_json(struct buf *out, const struct catalog_change *change);
void catalog_time_json(struct buf *out, int64_t ms);       /* "2026-01-31T12:00:00.000Z" with its quotes */

/* LSN of the tenant's last record for the audit, 0: none; and setting it, out of a snapshot. */
uint64_t catalog_audit(const struct catalog *catalog, struct str tenant);
void catalog_audit_set(struct catalog *catalog, struct str tenant, uint64_t lsn);

/* Everything that counts as state, one line a document, sorted by tenant and id.  LSNs of documents are included. */
void catalog_dump(const struct catalog *catalog, struct buf *out);

#endif
