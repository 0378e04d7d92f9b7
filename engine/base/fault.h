// SPDX-License-Identifier: Apache-2.0
/* fault.h - what is wrong with a document: one line per fault, each with a JSON pointer (RFC 6901) to the place.
 *
 * Bounded: after FAULTS_MAX entries further ones are only counted.  Ownership: texts are copied.
 */
#ifndef ENGINE_BASE_FAULT_H
#define ENGINE_BASE_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"

enum { FAULTS_MAX = 20 };

struct fault {
	char *pointer;                 /* owned; "" is the whole document */
	char *detail;                  /* owned; says what was wrong and what was expected */
};

struct faults {
	struct fault list[FAULTS_MAX];
	size_t count;                  /* entries in list */
	size_t more;                   /* faults beyond the bound */
};

void faults_add(struct faults *faults, const char *pointer, const char *format, ...) __attribute__((format(printf, 3, 4)));
void faults_free(struct faults *faults);
void faults_json(const struct faults *faults, struct buf *out);    /* [{"pointer":…,"detail":…}, …] */

/* Appends one reference token to a JSON pointer ("~" and "/" escaped) and returns the length before, to cut it off again. */
size_t pointer_push(struct buf *pointer, struct str token);
size_t pointer_push_index(struct buf *pointer, size_t index);
const char *pointer_text(struct buf *pointer);     /* terminated; valid until the next change */

#endif
