// SPDX-License-Identifier: Apache-2.0
/* footer.h - the footer of a sealed segment: what is in it by tenant, and the books at its end.  docs/log-format.md has the bytes.
 *
 *     DIR/0000000004000000.footer      the books at that LSN, where a segment ends; mode 0600
 *     DIR/new.footer                   one that is being written, or was when the process ended
 *
 * A footer follows from the log: one that is missing or damaged is made again.  So a past balance of a tenant account is one footer
 * and a scan of one segment.
 */
#ifndef SNAPSHOT_FOOTER_H
#define SNAPSHOT_FOOTER_H

#include "engine/base/buf.h"
#include "snapshot/books.h"

enum { FOOTER_VERSION = 1, FOOTER_NAME = 32, FOOTER_MARK_BYTES = 1 << 20 };

/* A place to begin looking for a time: no frame below `lsn` is later than `time_ms`. */
struct footer_mark { uint64_t lsn; int64_t time_ms; };

struct footer {
	uint64_t begin, end;           /* LSNs of the segment; begin == end: nothing is known of the segment, only the books */
	int64_t first_time_ms, time_ms;        /* of its first frame; the greatest of any frame below `end` */
	uint64_t frames, records;
	struct buf marks;              /* owned; struct footer_mark, ascending, about every FOOTER_MARK_BYTES */
};

void footer_free(struct footer *footer);
void footer_encode(const struct footer *footer, const struct books *books, struct buf *out);
/* Fills *footer, and with `books` (initialised; its tenant may be one only) sums and rows.  False with a line in `error`: damaged, or
 * of a newer version. */
bool footer_decode(const void *bytes, size_t len, struct footer *footer, struct books *books, struct buf *error);

void footer_name(char name[FOOTER_NAME], uint64_t end);
/* Reads and checks the one that ends at `end`.  False with a line in `error`; *missing: there is none. */
bool footer_read(const char *dir, uint64_t end, struct footer *footer, struct books *books, bool *missing, struct buf *error);
/* The folder exists.  Durable under its name when it returns 0; else an errno. */
int footer_write(const char *dir, const struct footer *footer, const struct books *books);
int footer_remove(const char *dir, uint64_t end);              /* 0, also where there is none; else an errno */
/* Ends of all that are there, ascending; *ends is the caller's to free.  A folder that is not there has none. */
bool footer_list(const char *dir, uint64_t **ends, size_t *count, struct buf *error);

#endif
