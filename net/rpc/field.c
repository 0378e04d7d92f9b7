// SPDX-License-Identifier: Apache-2.0
#include "net/rpc/field.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/problem.h"
#include "engine/base/utf8.h"

enum { NAME_BYTES_MAX = 200 };

bool field_fault(struct rpc_place place, const char *format, ...)
{
	char detail[256];
	va_list args;
	va_start(args, format);
	vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	rpc_error(place.request, 422, "validation_failed", place.index, "%s: %s", place.name, detail);
	return false;
}

static bool expected(struct rpc_place place, const struct rpc_reader *reader, const char *what)
{
	return field_fault(place, "expected %s, found %s", what, rpc_type_name(rpc_peek(reader)));
}

bool field_map(struct rpc_place place, struct rpc_reader *reader, uint32_t *count)
{
	return rpc_read_map(reader, count) || expected(place, reader, "a map");
}

bool field_array(struct rpc_place place, struct rpc_reader *reader, uint32_t least, uint32_t most, uint32_t *count)
{
	if (!rpc_read_array(reader, count))
		return expected(place, reader, "an array");
	if (*count < least || *count > most)
		return field_fault(place, "expected %u to %u elements, found %u", least, most, *count);
	return true;
}

bool field_key(struct rpc_place place, struct rpc_reader *reader, const char *const *names, unsigned *seen, unsigned *key)
{
	struct str name;
	if (!rpc_read_str(reader, &name))
		return expected(place, reader, "strings as keys");
	for (unsigned k = 0; names[k]; k++) {
		if (!str_eq(name, str_of(names[k])))
			continue;
		if (*seen & 1U << k)
			return field_fault(place, "the field %s is there twice", names[k]);
		*seen |= 1U << k;
		*key = k;
		return true;
	}
	return field_fault(place, "the field %.*s is not known here", utf8_valid(name) ? text_cut(name, 60) : 0, name.ptr);
}

bool field_text(struct rpc_place place, struct rpc_reader *reader, struct str *out)
{
	if (!rpc_read_str(reader, out))
		return expected(place, reader, "a string");
	if (!out->len || out->len > NAME_BYTES_MAX || !utf8_valid(*out))
		return field_fault(place, "expected 1 to %d bytes of UTF-8", NAME_BYTES_MAX);
	return true;
}

bool field_uint(struct rpc_place place, struct rpc_reader *reader, uint64_t most, uint64_t *out)
{
	bool integer = rpc_peek(reader) == RPC_INT;
	if (rpc_read_u64(reader, out) && *out <= most)
		return true;
	if (integer)
		return field_fault(place, "expected an integer from 0 to %llu", (unsigned long long)most);
	return expected(place, reader, "an unsigned integer");
}

bool field_int(struct rpc_place place, struct rpc_reader *reader, int64_t *out)
{
	return rpc_read_i64(reader, out) || expected(place, reader, "an integer of 64 signed bits");
}

bool field_bool(struct rpc_place place, struct rpc_reader *reader, bool *out)
{
	return rpc_read_bool(reader, out) || expected(place, reader, "true or false");
}

bool field_id(struct rpc_place place, struct rpc_reader *reader, u128 *out)
{
	struct str bytes;
	uint64_t small;
	if (rpc_read_bin(reader, &bytes)) {
		if (bytes.len != sizeof *out)
			return field_fault(place, "expected 16 bytes, found %zu", bytes.len);
		*out = u128_load(bytes.ptr);
		return true;
	}
	if (rpc_read_u64(reader, &small)) {
		*out = small;
		return true;
	}
	return expected(place, reader, "16 bytes of binary, little-endian, or an unsigned integer");
}

bool field_flags(struct rpc_place place, struct rpc_reader *reader, const struct rpc_flag *flags, uint16_t *out)
{
	uint64_t number;
	uint32_t count;
	struct str name;
	*out = 0;
	if (rpc_peek(reader) == RPC_INT) {
		if (!field_uint(place, reader, UINT16_MAX, &number))
			return false;
		*out = (uint16_t)number;
		return true;
	}
	if (!rpc_read_array(reader, &count))
		return expected(place, reader, "an integer or an array of names");
	for (; count; count--) {
		const struct rpc_flag *flag = flags;
		if (!rpc_read_str(reader, &name))
			return expected(place, reader, "names of flags");
		while (flag->name && !str_eq(name, str_of(flag->name)))
			flag++;
		if (!flag->name)
			return field_fault(place, "there is no flag %.*s", utf8_valid(name) ? text_cut(name, 60) : 0, name.ptr);
		*out |= flag->bit;
	}
	return true;
}
