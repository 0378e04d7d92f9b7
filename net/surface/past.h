// SPDX-License-Identifier: Apache-2.0
/* past.h - what was: moments in requests, and answers where the past is not there. */
#ifndef NET_SURFACE_PAST_H
#define NET_SURFACE_PAST_H

#include "net/main/footers.h"
#include "net/surface/app.h"

/* Text of history_pruned: what is asked for, and from where history exists. */
void history_pruned_text(struct buf *out, const struct wal *wal, const char *what);
#define HISTORY_BUSY_TEXT "the footers of the log's segments are being made, which takes a moment: ask again"

/* The query parameter `name` as a moment: an LSN or an RFC 3339 time.  False after answering.  Absent: *given is false. */
bool moment_parameter(struct task *task, const char *name, struct moment *moment, bool *given);
/* "lsn":1,"time":"…" */
void moment_json(struct buf *out, const struct moment *moment);
/* Answers where the past is not to be had; true: it is. */
bool past_answerable(struct task *task, enum past_outcome outcome);

/* What a tenant owes: one JSON object.  *sums: false where a book does not sum to zero. */
void liability_json(struct buf *out, struct str tenant, const struct moment *moment, const struct books *books, bool *sums);

/* Points of the customer in the path, as they were; answers. */
void wallet_past(struct task *task, const struct moment *moment);

#endif
