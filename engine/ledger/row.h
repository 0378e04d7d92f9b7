// SPDX-License-Identifier: Apache-2.0
/* row.h - a transfer as clients send it: 64 bytes, little-endian, read in place.  docs/protocol.md has the layout.
 *
 *      0  id              u128
 *     16  debit account   u128      post, void: the pending transfer's id
 *     32  credit account  u128      post, void: 0
 *     48  amount          u64       post: 0 posts all, less releases the rest; void: 0 or the pending amount
 *     56  code            u16       the client's own; post, void: 0 or the pending transfer's
 *     58  flags           u16
 *     60  timeout         u32       seconds, pending only; 0: none
 */
#ifndef ENGINE_LEDGER_ROW_H
#define ENGINE_LEDGER_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/u128.h"

enum { ROW_BYTES = 64, ROWS_MAX = 8190 };

enum transfer_flags {
	TRANSFER_LINKED = 1,           /* stands or falls with the next row */
	TRANSFER_PENDING = 2,          /* reserves; a later post or void ends it */
	TRANSFER_POST = 4,
	TRANSFER_VOID = 8,
	TRANSFER_BALANCING_DEBIT = 16, /* at most `amount`, and no more than the debit account's floor (else 0) leaves */
	TRANSFER_BALANCING_CREDIT = 32,/* at most `amount`, and no more than the credit account's ceiling (else 0) leaves */
	TRANSFER_FLAGS = 63,
	/* in records only */
	TRANSFER_EXPIRED = 0x8000,     /* the timeout of a pending transfer */
	TRANSFER_DEBIT_WHOLE = 0x4000, /* the debit account is no slice: its history and balance are in the record */
	TRANSFER_CREDIT_WHOLE = 0x2000,
	TRANSFER_DEBIT_KIND_SHIFT = 6, /* 3 bits: enum account_kind - 1 of a sliced debit account, 0 of a whole one */
	TRANSFER_CREDIT_KIND_SHIFT = 9
};

struct transfer_row {
	u128 id, debit, credit;
	uint64_t amount;
	uint16_t code, flags;
	uint32_t timeout;              /* seconds */
};

static_assert(sizeof(struct transfer_row) == ROW_BYTES, "the layout of the protocol");

/* The same where it stands, at any alignment. */
struct __attribute__((packed, aligned(1))) transfer_row_bytes {
	u128 id, debit, credit;
	uint64_t amount;
	uint16_t code, flags;
	uint32_t timeout;
};

static_assert(sizeof(struct transfer_row_bytes) == ROW_BYTES, "the layout of the protocol");

static inline struct transfer_row row_load(const unsigned char *bytes)
{
	struct transfer_row row;
	memcpy(&row, bytes, sizeof row);
	return row;
}

#endif
