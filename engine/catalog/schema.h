// SPDX-License-Identifier: Apache-2.0
/* schema.h - JSON Schema (2020-12, the part that payload schemas need), compiled when saved.
 *
 * A keyword that is not known is refused, never ignored: a schema that is accepted is enforced in full.  Checking is
 * bounded: SCHEMA_STEPS_MAX visits, SCHEMA_DEPTH_MAX levels of $ref.  Numbers are compared as decimals.
 * `pattern` follows pattern.h (linear time); `format` is an annotation, as the standard has it by default.
 */
#ifndef ENGINE_CATALOG_SCHEMA_H
#define ENGINE_CATALOG_SCHEMA_H

#include <stdbool.h>
#include <yyjson.h>

#include "engine/base/fault.h"

enum { SCHEMA_DEPTH_MAX = 64, SCHEMA_STEPS_MAX = 250000, SCHEMA_NODES_MAX = 4096, SCHEMA_PATTERN_MAX = 1024 };

struct schema;                         /* immutable; may be shared between threads; opaque */

/* Compiles; NULL with faults below `pointer`.  Copies what it needs of `source`. */
struct schema *schema_compile(yyjson_val *source, const char *pointer, struct faults *faults);
/* False if the value does not fit, with faults below `pointer`; `faults` may be NULL. */
bool schema_check(const struct schema *schema, yyjson_val *value, const char *pointer, struct faults *faults);
void schema_free(struct schema *schema);                   /* NULL is allowed */

/* Appends the schema of such schemas as definitions, members of an object that is found at `refs` ("#/$defs/"):
 * "payload_schema" and what it needs.  What it cannot say: that a $ref leads somewhere and a pattern is one. */
void schema_definitions(struct buf *out, const char *refs);

#endif
