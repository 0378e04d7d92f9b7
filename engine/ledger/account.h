// SPDX-License-Identifier: Apache-2.0
/* account.h - who holds what: accounts with an id, a unit, sums and limits.
 *
 * Kinds
 *   RAW       whatever the client likes; no floor unless one is given
 *   MEMBER    of a member in a program; floor 0 unless another is given
 *   LIABILITY and those behind it: the tenant's own accounts, one of each per (tenant, unit).  They are sliced: each of the
 *             64 groups holds its own part, so that a hot tenant costs nothing; a balance is the sum of the slices.  A slice
 *             does not know the whole, so floors, ceilings, balancing and closing are refused for them by name.
 *
 * Ids are 128 bits.  A client brings its own, or has one derived from (tenant, member, program, unit), or for a sliced
 * account from (tenant, kind, unit).  A derived id has ACCOUNT_ID_TAG in its top 16 bits, the partition of the actor in
 * the next 10, and 102 bits of XXH3-128 below: so it is found without knowing the names.
 *
 * In the log an account is a 32-bit number: 6 bits group, 26 bits a running number in that group.
 */
#ifndef ENGINE_LEDGER_ACCOUNT_H
#define ENGINE_LEDGER_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/hash.h"
#include "engine/base/str.h"
#include "engine/base/u128.h"

enum account_kind {
	ACCOUNT_RAW, ACCOUNT_MEMBER,
	ACCOUNT_LIABILITY, ACCOUNT_REDEEMED, ACCOUNT_EXPIRED, ACCOUNT_ADJUSTED, ACCOUNT_IN_TRANSIT,
	ACCOUNT_KINDS
};

enum { ACCOUNT_FIRST_SLICED = ACCOUNT_LIABILITY, SLICED_KINDS = ACCOUNT_KINDS - ACCOUNT_FIRST_SLICED };

enum account_flags {
	ACCOUNT_CLOSED = 1,            /* takes no transfer; void and expiry still release */
	/* internal, never in a client's flags */
	ACCOUNT_SLICE = 256,           /* an entry of a sliced account in one group */
	ACCOUNT_LIMITED = 512,         /* floor or ceiling are in the extra */
	ACCOUNT_FLOOR_ZERO = 1024,     /* floor 0, no ceiling: the usual member */
	ACCOUNT_NAMED = 2048           /* member and program are in the extra */
};

#define ACCOUNT_ID_TAG UINT64_C(0xFFFE)
#define NO_FLOOR INT64_MIN
#define NO_CEILING INT64_MAX
#define BALANCE_NONE INT64_MIN         /* in replies: a sliced account has no balance of its own after a row */

enum { ACCOUNT_GROUP_SHIFT = 26, ACCOUNT_INDEX_MASK = (1 << ACCOUNT_GROUP_SHIFT) - 1, ACCOUNT_NAME_MAX = 200 };

/* One cache line.  Sums stay below 2^63. */
struct account {
	u128 id;                       /* a slice: pointer to its struct slice_sums */
	uint64_t debits_posted, credits_posted, debits_pending, credits_pending;
	uint64_t last_lsn;             /* head of its history: the last record that touched it */
	uint32_t book;                 /* index of the (tenant, unit) in this shard; not in the log */
	uint16_t flags;                /* enum account_flags */
	uint8_t kind;                  /* enum account_kind */
	uint8_t reserved;
};

static_assert(sizeof(struct account) == 64, "one cache line");

/* A slice's sums; the slice's entry points here. */
struct slice_sums {
	u128 debits_posted, credits_posted, debits_pending, credits_pending;
};

static inline bool kind_is_sliced(unsigned kind)
{
	return kind >= ACCOUNT_FIRST_SLICED;
}

static inline int64_t account_balance(const struct account *account)
{
	return (int64_t)(account->credits_posted - account->debits_posted);
}

static inline unsigned number_group(uint32_t number)
{
	return number >> ACCOUNT_GROUP_SHIFT;
}

bool id_is_derived(u128 id);
/* Of a member's account; the partition is the member's own (hash_name of tenant and member). */
u128 account_id_of_member(struct str tenant, struct str member, struct str program, struct str unit);
u128 account_id_of_sliced(struct str tenant, enum account_kind kind, struct str unit);
/* Key in the tables of one partition: partition_of(key) is the account's partition.  Never 0. */
uint64_t account_key(u128 id);

const char *account_kind_name(enum account_kind kind);         /* "raw", "member", "liability", … */
bool account_kind_parse(struct str name, enum account_kind *kind);

#endif
