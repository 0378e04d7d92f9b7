// SPDX-License-Identifier: Apache-2.0
/* segment.h - the files of the log: names, listing, making, cutting.
 *
 * A file is named by the 16 hex digits of its first LSN and ".log", holds [base, base + size) and nothing else, and
 * gets its name only after all of it was written with zeros and made durable.  The list has no gaps.
 */
#ifndef WAL_SEGMENT_H
#define WAL_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "wal/io.h"

enum { SEGMENT_NAME = 24, SEGMENT_SIZE_MIN = 64 << 10, SEGMENT_PORTION = 256 << 10 /* bytes of zeros in one write */ };

struct segment {
	uint64_t base;                 /* first LSN */
	uint64_t size;                 /* bytes */
	int fd;                        /* for reading; -1: open by name */
};

struct segments {
	struct segment *at;            /* owned; by base, without gaps */
	size_t count, cap;
	int dir;                       /* borrowed descriptor of the folder */
};

void segment_name(char name[SEGMENT_NAME], uint64_t base, const char *suffix);

/* Lists the folder.  False with *error for a gap, an overlap or an impossible size. */
bool segments_list(struct segments *list, int dir, struct buf *error);
void segments_add(struct segments *list, uint64_t base, uint64_t size);
void segments_free(struct segments *list);                         /* closes what was opened for reading */
size_t segments_find(const struct segments *list, uint64_t lsn);   /* index of the one that holds it; count: none */

void segments_sweep(int dir);          /* removes files that were being made */

/* Called before each portion of zeros: may wait, so as not to stand in the way of others; false stops the making. */
typedef bool segment_pace_fn(void *context, uint64_t done, uint64_t size);

/* Makes one: zeros, durable, named.  0, or an errno; ECANCELED when `pace` (which may be NULL) said no. */
int segment_make(int dir, uint64_t base, uint64_t size, segment_pace_fn *pace, void *context);
int segment_remove(int dir, uint64_t base);

/* Makes everything from `lsn` to the end of the segment zero, durably; touches only what is not.  0 or an errno. */
int segment_zero_from(int dir, const struct segment *segment, uint64_t lsn);

bool bytes_zero(const unsigned char *bytes, size_t size);

/* pread without short counts; 0 or an errno (EIO at the file's end). */
int read_fully(int fd, void *out, size_t size, uint64_t offset);

#endif
