// SPDX-License-Identifier: Apache-2.0
/* calls.h - MessagePack-RPC calls of the tests, written and read as JSON.
 *
 * Params are JSON with single quotes, the array of parameters: "[{'tenant':'@','unit':'points'}]".  Strings in it and in the
 * result stand for what JSON does not have:
 *
 *     '#12'       the 16 bytes of an id: calls_base + 12; '#-1' is 2^128 - 1, '#=0' is 0 whatever the base
 *     '$a1b2'     those bytes
 *     '@x'        a name of the test's own: 'T<calls_base>x'
 *
 * In a result, bytes under the keys `results`, `ids` and `balances` become arrays: of [index, refusal], ids, [debit, credit].
 * A test calls calls_begin first: it has a range of ids and a tenant of its own then.
 */
#ifndef TESTS_API_CALLS_H
#define TESTS_API_CALLS_H

#include "engine/base/u128.h"
#include "engine/ledger/refusal.h"
#include "engine/ledger/row.h"
#include "tests/api/harness.h"

extern uint64_t calls_base;

void calls_begin(void);
u128 calls_id(uint64_t number);
void calls_close(void);                            /* before the server is stopped or killed */

/* A call that succeeds; the result is valid until the next call. */
yyjson_val *call_ok(const char *method, const char *params);
/* A call that is refused with this code and name, for this row (-1: none). */
void call_refused(int code, const char *name, int64_t index, const char *method, const char *params);
/* Rows in packed form, with {balances: true}; the result as above. */
yyjson_val *call_rows(const struct transfer_row *rows, uint32_t count);
/* One row; its refusal, or REFUSAL_NONE. */
enum refusal row_send(struct transfer_row row);
const char *refusal_name(enum refusal refusal);

/* The result's `results` is exactly this list of (index, refusal) pairs, ended by a refusal of 0. */
struct refused_row { uint32_t index; enum refusal refusal; };
void results_are(yyjson_val *result, const struct refused_row *expected);
#define RESULTS(result, ...) results_are((result), (const struct refused_row[]){ __VA_ARGS__, { 0, REFUSAL_NONE } })
#define NO_RESULTS(result) results_are((result), (const struct refused_row[]){ { 0, REFUSAL_NONE } })

#endif
