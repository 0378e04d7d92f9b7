// SPDX-License-Identifier: Apache-2.0
/* describe.h - kinds as JSON Schema 2020-12, and as hints for forms.
 *
 * A schema accepts what the decisions of catalog.h accept, and nothing else, but for what a schema cannot say: that what a
 * reference names is there (400), that a value is unique (409), bytes and depth of JSON, digits of a number, that one field
 * fits another, and where a $ref, a regular expression, a time zone or a range of a cron expression leads.
 */
#ifndef ENGINE_CATALOG_DESCRIBE_H
#define ENGINE_CATALOG_DESCRIBE_H

#include "engine/base/buf.h"
#include "engine/catalog/kind.h"

enum kind_form {
	KIND_CREATE,                   /* the body that makes a document */
	KIND_UPDATE,                   /* the body that changes one: a JSON merge patch */
	KIND_READ                      /* the document in answers */
};

/* Appends a schema that stands alone, with its definitions in "$defs". */
void kind_schema(struct buf *out, const struct kind *kind, enum kind_form form);

/* The same for a larger document: the definitions are not in it, but found at `refs` ("#/components/schemas/"), and
 * kind_definitions appends all of them, members of that object without its braces. */
void kind_schema_at(struct buf *out, const struct kind *kind, enum kind_form form, const char *refs);
void kind_definitions(struct buf *out, const char *refs);

/* The schema of one field. */
void field_schema(struct buf *out, const struct field *field, enum kind_form form, const char *refs);

/* Appends {"FIELD":{"order","label","help","widget", …}, …} for the fields of a body.  A remote select has "datasource" (a
 * path that answers a list), "valueField" and "labelField". */
void kind_hints(struct buf *out, const struct kind *kind);
void kind_options_path(struct buf *out, const struct kind *kind);      /* "/admin/ui-options/event-types" */

#endif
