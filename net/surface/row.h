// SPDX-License-Identifier: Apache-2.0
/* row.h - rows of events, whichever protocol brought them: checks of their texts, where they live, what they contain, and
 * what becomes of one whose id is known. */
#ifndef NET_SURFACE_ROW_H
#define NET_SURFACE_ROW_H

#include <stdbool.h>

#include "engine/base/buf.h"
#include "engine/event/record.h"
#include "engine/shard/batch.h"

struct node;

enum { ROW_NAME_MAX = 200 };           /* bytes of a name or an id */

enum row_form { ROW_FORM_ABSENT, ROW_FORM_NULL, ROW_FORM_TEXT, ROW_FORM_OTHER };

/* Refuses the row as malformed; `format` takes `what` as its only argument. */
void row_fault(struct row *row, const char *pointer, const char *format, const char *what);

/* One text of a document: `text` is what was there in ROW_FORM_TEXT, `type` the name of what was there otherwise.  *out is
 * "" where nothing was given.  False after a fault.  The text must be UTF-8. */
bool row_text(struct row *row, const char *name, bool required, enum row_form form, struct str text, const char *type,
	      struct str *out);

/* The usual case of row_text, inline. */
static inline bool row_text_usual(struct str text, struct str *out)
{
	*out = text;
	return text.len - 1 < ROW_NAME_MAX;
}

/* On a worker thread: the record of a known row's first time, and what was kept of it where that is gone. */
void row_first_read(struct node *node, struct row *row, struct buf *record);

/* The row's id is known and this is the record of the first time, as row_first_read gave it.  The row is refused, or
 * stays ROW_KNOWN as a true repeat.  True: the record is another id's, the row is open again and must run again. */
bool row_first(struct row *row, const struct buf *record);

/* The event's record of a row that was done or known; borrowed from the batch or from `first`. */
bool row_view(const struct batch *batch, const struct row *row, const struct buf *first, struct event_view *view);

#endif
