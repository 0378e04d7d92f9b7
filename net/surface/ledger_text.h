// SPDX-License-Identifier: Apache-2.0
/* ledger_text.h - the ledger over HTTP: ids, sums, accounts, transfers and refusals as text.
 *
 * An id is 128 bits: 32 hex digits, most significant first (the 16 bytes of the packed rows are little-endian), or decimal
 * digits.  Sums, which may pass 64 bits, are decimal digits in a JSON string; amounts are JSON integers.
 */
#ifndef NET_SURFACE_LEDGER_TEXT_H
#define NET_SURFACE_LEDGER_TEXT_H

#include "engine/base/problem.h"
#include "net/surface/ledger_find.h"

/* 32 hex digits, 0x and up to 32 hex digits, or 1 to 39 decimal digits below 2^128.  False: something else. */
bool id_parse(struct str text, u128 *out);
bool id_parse_hex(struct str text, u128 *out);         /* 32 hex digits, nothing else */
bool id_of_json(yyjson_val *value, u128 *out);         /* a string as above, or an integer */
void id_write(struct buf *out, u128 id);               /* 32 hex digits, lower case, without quotes */
void u128_write(struct buf *out, u128 value);          /* decimal digits, without quotes */
void i128_write(struct buf *out, i128 value);
bool json_u64(yyjson_val *value, uint64_t *out);       /* an integer, or its digits in a string */

int refusal_status(enum refusal refusal);              /* the HTTP status of the same thing */
/* Fills the problem with a refusal: its status, name and meaning. */
void refusal_problem(struct problem *problem, enum refusal refusal);

/* Without the braces. */
void account_json(struct buf *out, const struct ledger_call *call, const struct account_view *view, uint64_t lsn);
void transfer_json(struct buf *out, const struct movement *movement, u128 debit, u128 credit);
const char *transfer_state(const struct found_transfer *found);        /* "posted", "pending", "voided", "expired", "failed" */

#define LOG_UNREADABLE_TEXT "a record that is in the log cannot be read; the server's log says why"

/* Each answers and ends call and task where the log does not give what is needed; true: it does. */
bool call_answerable(struct task *task, struct ledger_call *call);
bool walk_answerable(struct task *task, struct ledger_call *call, enum log_outcome outcome, uint64_t lsn);

#endif
