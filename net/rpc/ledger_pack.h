// SPDX-License-Identifier: Apache-2.0
/* ledger_pack.h - accounts and transfers as MessagePack, and ids as they come in. */
#ifndef NET_RPC_LEDGER_PACK_H
#define NET_RPC_LEDGER_PACK_H

#include "net/rpc/field.h"
#include "net/surface/ledger_find.h"
#include "net/surface/ledger_text.h"

/* An account as a parameter: its id, or by names. */
struct account_name {
	u128 id;                       /* 0: a sliced account by tenant, unit and kind */
	struct str tenant, unit;
	enum account_kind kind;
};

/* Answers and ends the call where something that is in the log could not be read; true: all was read. */
bool call_readable(struct ledger_call *call);

/* An id, or the map {tenant, member, program?, unit} or {tenant, unit, kind}. */
bool field_account(struct rpc_place place, struct rpc_reader *reader, struct account_name *out);

void pack_id(struct buf *out, u128 id);                        /* bin of 16 bytes, little-endian */
void pack_u128(struct buf *out, u128 value);                   /* an integer; beyond 64 bits 16 bytes, little-endian */
void pack_balance(struct buf *out, u128 credits, u128 debits); /* credits minus debits; beyond 64 bits 16 bytes, two's complement */

/* `lsn` is what a tenant account's sums rest on; `as_of` the moment of an account in the past, else NULL. */
void pack_account(struct buf *out, const struct ledger_call *call, const struct account_view *view, uint64_t lsn,
		  const struct moment *as_of);
void pack_movement(struct buf *out, const struct log_walk *walk, const struct movement *movement, u128 debit, u128 credit);
void pack_found(struct buf *out, const struct found_transfer *found);

extern const struct rpc_flag transfer_flag_names[], account_flag_names[];

#endif
