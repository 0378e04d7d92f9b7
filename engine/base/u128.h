// SPDX-License-Identifier: Apache-2.0
/* u128.h - 128-bit ids and sums; in messages, rows and the log always 16 bytes, little-endian. */
#ifndef ENGINE_BASE_U128_H
#define ENGINE_BASE_U128_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

#define U128_MAX (~(u128)0)

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows and records are read in place");

static inline u128 u128_load(const void *bytes)
{
	u128 value;
	memcpy(&value, bytes, sizeof value);
	return value;
}

static inline void u128_store(void *bytes, u128 value)
{
	memcpy(bytes, &value, sizeof value);
}

static inline u128 u128_of(uint64_t high, uint64_t low)
{
	return (u128)high << 64 | low;
}

#endif
