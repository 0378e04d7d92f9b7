// SPDX-License-Identifier: Apache-2.0
/* transaction.h - an event's record as system A shows it: a transaction with its executions and point movements.
 *
 * One rendering serves the first answer, the repeat and the later reads: all are made from the record's bytes.
 */
#ifndef NET_SURFACE_TRANSACTION_H
#define NET_SURFACE_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/event/record.h"
#include "wal/wal.h"

enum { TRANSACTION_ID_TEXT = 32 };

/* 32 hex digits: a check of (tenant, LSN), then the LSN. */
void transaction_id(struct buf *out, struct str tenant, uint64_t lsn);
bool transaction_id_parse(struct str text, struct str tenant, uint64_t *lsn);  /* false: not ours, or another tenant's */

void transaction_json(struct buf *out, const struct event_view *event, uint64_t lsn, bool idempotent, bool full);
void executions_json(struct buf *out, const struct event_view *event);
void effects_json(struct buf *out, const struct execution_view *execution, uint64_t member_hash);       /* a list */
/* Appends this event's movements, newest first, comma-separated behind what is there; returns how many. */
size_t movements_json(struct buf *out, const struct event_view *event, uint64_t lsn, size_t already);

/* The transaction that a reversal undoes; 0: it is none. */
uint64_t reversal_of(const struct event_view *event);
void reversal_id(struct buf *out, struct str transaction_id);      /* the event id of the reversal of a transaction */

/* Reads a whole record of the log into `out` (replacing what is there).  False: pruned, or no record starts there, and
 * `out` is empty; or it is there and cannot be read, and `out` has one byte (RECORD_UNREADABLE). */
bool record_read(const struct wal *wal, uint64_t lsn, struct buf *out);
#define RECORD_UNREADABLE 1

/* A record of configuration, borrowed from its bytes; false: it is none that puts or deletes a document. */
struct catalog_change;
bool record_change(const struct buf *record, struct catalog_change *change);

#endif
