// SPDX-License-Identifier: Apache-2.0
/* record.h (ledger) - what the log says about accounts and transfers.  Numbers little-endian, sizes multiples of 8.
 *
 *   ACCOUNT    an account comes into being, or is closed or reopened
 *   SLICED     a sliced account was given an id; every shard takes note
 *   TRANSFER   a transfer, or the end of a pending one: struct transfer_record, behind it a second chain where both
 *              accounts are whole ones, behind that the extension of post, void, expiry and balancing
 *   FAILED     a transfer was refused and its id is used up
 *   FILLER     room in a frame that was not needed
 *
 * A transfer's sides are applied each where its account lives, the id where the id lives: a record names everything that
 * each of them needs, so shards replay it without asking each other.
 */
#ifndef ENGINE_LEDGER_RECORD_H
#define ENGINE_LEDGER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "engine/base/u128.h"
#include "engine/event/record.h"
#include "engine/ledger/account.h"
#include "engine/ledger/row.h"

enum account_op { ACCOUNT_OP_CREATE = 1, ACCOUNT_OP_FLAGS = 2 };

struct account_record {
	struct record_head head;       /* partition: the account's; a slice: its group's first */
	uint32_t number;
	uint16_t flags;                /* enum account_flags */
	uint8_t kind, op;              /* enum account_kind, account_op */
	uint64_t prev;                 /* LSN of the record before this one in the account's history; 0: none */
	int64_t time_ms;
	uint8_t id[16];                /* 0 for a slice */
	int64_t floor, ceiling;
	uint16_t tenant_len, unit_len, member_len, program_len;
	/* texts: tenant, unit, member, program */
};

struct sliced_record {
	struct record_head head;       /* partition 0 */
	uint16_t tenant_len, unit_len;
	uint8_t kind, reserved[3];
	uint8_t id[16];
	int64_t time_ms;
	/* texts: tenant, unit */
};

struct transfer_record {
	struct record_head head;       /* partition: the id's */
	uint8_t id[16];                /* of an expiry: the pending transfer's */
	uint32_t debit, credit;        /* account numbers */
	uint64_t amount;               /* what moved or was reserved; of a void or expiry: what was released */
	uint16_t code, flags;          /* enum transfer_flags, and which sides are whole accounts */
	uint32_t timeout;              /* seconds; pending only */
	int64_t time_ms;
	uint64_t prev;                 /* LSN: history of the debit account if that is a whole one, else of the credit account */
	int64_t balance;               /* of that account afterwards: credits minus debits posted */
};

struct transfer_second {               /* there if both accounts are whole ones: the credit account's */
	uint64_t prev;
	int64_t balance;
};

struct transfer_extra {                /* there with POST, VOID, EXPIRED, BALANCING_DEBIT or BALANCING_CREDIT */
	uint8_t pending_id[16];        /* 0 for balancing */
	uint64_t requested;            /* the row's amount */
	uint64_t pending_amount;       /* what had been reserved */
};

struct failed_record {
	struct record_head head;       /* partition: the id's */
	uint8_t id[16];
	uint32_t refusal, reserved;
	int64_t time_ms;
};

enum { TRANSFER_RECORD_MAX = sizeof(struct transfer_record) + sizeof(struct transfer_second) + sizeof(struct transfer_extra) };

#define TRANSFER_EXTENDED (TRANSFER_POST | TRANSFER_VOID | TRANSFER_EXPIRED | TRANSFER_BALANCING_DEBIT | TRANSFER_BALANCING_CREDIT)

static_assert(sizeof(struct transfer_record) == 72 && sizeof(struct failed_record) == 40, "layout");

struct account_record_view {
	struct account_record head;
	struct str tenant, unit, member, program;
};

struct sliced_record_view {
	struct sliced_record head;
	struct str tenant, unit;
};

struct transfer_view {
	struct transfer_record head;   /* prev and balance: the debit account's if TRANSFER_DEBIT_WHOLE, else the credit's */
	struct transfer_second second; /* the credit account's, if both are whole; else zeros */
	struct transfer_extra extra;   /* zeros where there is none */
};

/* True only if every length inside fits. */
bool account_record_read(const unsigned char *record, size_t len, struct account_record_view *view);
bool sliced_record_read(const unsigned char *record, size_t len, struct sliced_record_view *view);
bool transfer_record_read(const unsigned char *record, size_t len, struct transfer_view *view);
bool failed_record_read(const unsigned char *record, size_t len, struct failed_record *failed);

#endif
