// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/account.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { PARTITION_SHIFT = 38, TAG_SHIFT = 48 }; /* in the id's upper half */

static const char *const kind_names[ACCOUNT_KINDS] = {
	[ACCOUNT_RAW] = "raw", [ACCOUNT_MEMBER] = "member", [ACCOUNT_LIABILITY] = "liability",
	[ACCOUNT_REDEEMED] = "redeemed", [ACCOUNT_EXPIRED] = "expired", [ACCOUNT_ADJUSTED] = "adjusted",
	[ACCOUNT_IN_TRANSIT] = "in_transit",
};

const char *account_kind_name(enum account_kind kind)
{
	return kind_names[kind];
}

bool account_kind_parse(struct str name, enum account_kind *kind)
{
	for (unsigned k = 0; k < ACCOUNT_KINDS; k++)
		if (str_eq(name, str_of(kind_names[k]))) {
			*kind = (enum account_kind)k;
			return true;
		}
	return false;
}

bool id_is_derived(u128 id)
{
	return (uint64_t)(id >> 64) >> TAG_SHIFT == ACCOUNT_ID_TAG;
}

/* Each text seeds the hash of the next, so that where one ends and the next begins matters. */
static u128 derive(unsigned partition, uint64_t seed, struct str a, struct str b, struct str c)
{
	seed = XXH3_64bits_withSeed(a.ptr, a.len, seed);
	seed = XXH3_64bits_withSeed(b.ptr, b.len, seed);
	XXH128_hash_t hash = XXH3_128bits_withSeed(c.ptr, c.len, seed);
	uint64_t high = ACCOUNT_ID_TAG << TAG_SHIFT | (uint64_t)partition << PARTITION_SHIFT |
			(hash.high64 & ((UINT64_C(1) << PARTITION_SHIFT) - 1));
	return u128_of(high, hash.low64);
}

u128 account_id_of_member(struct str tenant, struct str member, struct str program, struct str unit)
{
	uint64_t hash = hash_name(HASH_MEMBER, tenant, member);
	return derive(partition_of(hash), hash, program, unit, tenant);
}

u128 account_id_of_sliced(struct str tenant, enum account_kind kind, struct str unit)
{
	return derive(0, hash_seed ^ (uint64_t)kind, tenant, unit, STR("sliced"));
}

uint64_t account_key(u128 id)
{
	uint64_t hash = XXH3_64bits_withSeed(&id, sizeof id, hash_seed_of(HASH_MEMBER));
	if (id_is_derived(id)) {
		uint64_t partition = (uint64_t)(id >> 64) >> PARTITION_SHIFT & (PARTITION_COUNT - 1);
		hash = (hash & ~(uint64_t)(PARTITION_COUNT - 1)) | partition;
	}
	return hash ? hash : 1;
}
