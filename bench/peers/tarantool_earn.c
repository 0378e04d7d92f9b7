// SPDX-License-Identifier: Apache-2.0
/* tarantool_earn: the stored procedure of the Tarantool peer, loaded into its server (tarantool.lua).
 *
 * Takes one bin of rows (id 16 bytes, then tenant, member, amount as little-endian u32), runs them as one transaction
 * and answers how many were new.  Spaces: ids {varbinary}, members {unsigned, integer}, tenants {unsigned, integer}.
 * An id that is known fails its insert, which undoes that statement only.  Commit returns when the write-ahead log has
 * it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <tarantool/module.h>

enum { ROW = 28, TENANTS_MAX = 64 };

int tarantool_earn(box_function_ctx_t *ctx, const char *args, const char *args_end);

static uint32_t space_ids = BOX_ID_NIL, space_members, space_tenants;

static uint32_t le32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int fail(const char *what)
{
	return box_error_set(__FILE__, __LINE__, ER_PROC_C, "%s", what);
}

/* MessagePack integers in their shortest form. */
static char *put_uint(char *at, uint64_t value)
{
	unsigned bytes = value < 0x80 ? 0 : value <= UINT8_MAX ? 1 : value <= UINT16_MAX ? 2 : value <= UINT32_MAX ? 4 : 8;
	if (bytes == 0) {
		*at++ = (char)value;
		return at;
	}
	*at++ = (char)(bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf);
	while (bytes-- > 0)
		*at++ = (char)(value >> (bytes * 8));
	return at;
}

static char *put_int(char *at, int64_t value)
{
	if (value >= 0)
		return put_uint(at, (uint64_t)value);
	*at++ = (char)0xd3;
	for (int shift = 56; shift >= 0; shift -= 8)
		*at++ = (char)((uint64_t)value >> shift);
	return at;
}

static int64_t get_int(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	uint8_t tag = *at++;
	if (tag < 0x80)
		return tag;
	unsigned bytes = tag == 0xd3 ? 8 : 1u << (tag - 0xcc);   /* what put_int writes */
	uint64_t value = 0;
	while (bytes-- > 0)
		value = value << 8 | *at++;
	return (int64_t)value;
}

static int add(uint32_t space, uint32_t account, int64_t amount)
{
	char tuple[24], *key_end;
	box_tuple_t *old;
	tuple[0] = (char)0x91;
	key_end = put_uint(tuple + 1, account);
	if (box_index_get(space, 0, tuple, key_end, &old) != 0)
		return -1;
	if (old == NULL)
		return fail("account not found");
	tuple[0] = (char)0x92;
	char *end = put_int(key_end, get_int(box_tuple_field(old, 1)) + amount);
	return box_replace(space, tuple, end, NULL);
}

static int run(const uint8_t *rows, uint32_t count, uint32_t *applied)
{
	int64_t sums[TENANTS_MAX] = { 0 };
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *row = rows + (size_t)i * ROW;
		uint32_t tenant = le32(row + 16), member = le32(row + 20), amount = le32(row + 24);
		char tuple[19] = { (char)0x91, (char)0xc4, 16 };
		if (tenant >= TENANTS_MAX)
			return fail("tenant out of range");
		memcpy(tuple + 3, row, 16);
		if (box_insert(space_ids, tuple, tuple + sizeof tuple, NULL) != 0) {
			if (box_error_code(box_error_last()) != ER_TUPLE_FOUND)
				return -1;
			continue;
		}
		if (add(space_members, member, amount) != 0)
			return -1;
		sums[tenant] += amount;
		++*applied;
	}
	for (uint32_t tenant = 0; tenant < TENANTS_MAX; tenant++)
		if (sums[tenant] != 0 && add(space_tenants, tenant, -sums[tenant]) != 0)
			return -1;
	return 0;
}

int tarantool_earn(box_function_ctx_t *ctx, const char *args, const char *args_end)
{
	const uint8_t *at = (const uint8_t *)args, *end = (const uint8_t *)args_end;
	if (end - at < 6 || at[0] != 0x91 || at[1] != 0xc6)
		return fail("one bin32 is expected");
	uint32_t size = (uint32_t)at[2] << 24 | (uint32_t)at[3] << 16 | (uint32_t)at[4] << 8 | at[5];
	if (size != (size_t)(end - at) - 6 || size % ROW != 0)
		return fail("the rows have the wrong size");
	if (space_ids == BOX_ID_NIL) {
		space_members = box_space_id_by_name("members", 7);
		space_tenants = box_space_id_by_name("tenants", 7);
		space_ids = box_space_id_by_name("ids", 3);
	}
	uint32_t applied = 0;
	if (box_txn_begin() != 0)
		return -1;
	if (run(at + 6, size / ROW, &applied) != 0) {
		box_txn_rollback();
		return -1;
	}
	if (box_txn_commit() != 0)
		return -1;
	char reply[9];
	return box_return_mp(ctx, reply, put_uint(reply, applied));
}
