// SPDX-License-Identifier: Apache-2.0
#include "engine/base/hash.h"

#include <xxhash.h>

uint64_t hash_seed;

uint64_t hash_bytes(const void *bytes, size_t len)
{
	return XXH3_64bits(bytes, len);
}

uint64_t hash_name(enum hash_kind kind, struct str tenant, struct str name)
{
	/* The tenant's own hash seeds the name's, so that ("a","bc") and ("ab","c") differ. */
	uint64_t seed = XXH3_64bits_withSeed(tenant.ptr, tenant.len, hash_seed_of(kind));
	uint64_t hash = XXH3_64bits_withSeed(name.ptr, name.len, seed);
	return hash ? hash : 1;
}
