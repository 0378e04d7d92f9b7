// SPDX-License-Identifier: Apache-2.0
#include "net/rpc/json.h"

#include <stdlib.h>

#include "engine/base/json.h"
#include "engine/base/utf8.h"
#include "net/rpc/pack.h"
#include "net/rpc/payload.h"

/* ---- to JSON --------------------------------------------------------------------------------------------------- */

static bool text_from(struct buf *out, struct rpc_reader *reader, const char **wrong)
{
	struct str text;
	if (!rpc_read_str(reader, &text) || !utf8_valid(text)) {
		*wrong = "a string that is not UTF-8";
		return false;
	}
	buf_json_text(out, text);
	return true;
}

static bool number_from(struct buf *out, struct rpc_reader *reader)
{
	int64_t number;
	uint64_t large;
	if (rpc_read_i64(reader, &number))
		buf_i64(out, number);
	else if (rpc_read_u64(reader, &large))
		buf_u64(out, large);
	else
		return false;
	return true;
}

static bool members_from(struct buf *out, struct rpc_reader *reader, bool map, const char **wrong)
{
	uint32_t count;
	if (!(map ? rpc_read_map(reader, &count) : rpc_read_array(reader, &count)))
		return false;
	buf_char(out, map ? '{' : '[');
	for (uint32_t i = 0; i < count; i++) {
		if (i)
			buf_char(out, ',');
		if (map) {
			if (rpc_peek(reader) != RPC_STR) {
				*wrong = "a key that is no string";
				return false;
			}
			if (!text_from(out, reader, wrong))
				return false;
			buf_char(out, ':');
		}
		if (!json_from_rpc(out, reader, wrong))
			return false;
	}
	buf_char(out, map ? '}' : ']');
	return true;
}

bool json_from_rpc(struct buf *out, struct rpc_reader *reader, const char **wrong)
{
	double real;
	bool truth, narrow;
	*wrong = "bytes that are no object";
	switch (rpc_peek(reader)) {
	case RPC_NIL:
		buf_lit(out, "null");
		return rpc_read_nil(reader);
	case RPC_BOOL:
		if (!rpc_read_bool(reader, &truth))
			return false;
		buf_str(out, truth ? STR("true") : STR("false"));
		return true;
	case RPC_INT: return number_from(out, reader);
	case RPC_FLOAT:
		narrow = *reader->at == 0xca;
		if (!rpc_read_f64(reader, &real))
			return false;
		*wrong = "a float that is no number";
		buf_room(out, 32);
		size_t len = payload_float(real, narrow, out->ptr + out->len);
		out->len += len;
		return len > 0;
	case RPC_STR: return text_from(out, reader, wrong);
	case RPC_ARRAY: return members_from(out, reader, false, wrong);
	case RPC_MAP: return members_from(out, reader, true, wrong);
	case RPC_BIN: *wrong = "a binary"; return false;
	case RPC_EXT: *wrong = "an extension"; return false;
	case RPC_NONE: return false;
	}
	return false;
}

/* ---- from JSON ------------------------------------------------------------------------------------------------- */

/* A number's digits: an integer within 64 bits, or else a float. */
static void number_pack(struct buf *out, struct str raw)
{
	bool negative = raw.len && raw.ptr[0] == '-', whole = raw.len > (size_t)negative;
	uint64_t value = 0;
	for (size_t i = negative; i < raw.len && whole; i++)
		whole = raw.ptr[i] >= '0' && raw.ptr[i] <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
			!__builtin_add_overflow(value, (uint64_t)(raw.ptr[i] - '0'), &value);
	if (whole && !negative) {
		pack_u64(out, value);
	} else if (whole && value <= (uint64_t)INT64_MAX + 1) {
		pack_i64(out, (int64_t)(0 - value));
	} else {
		char text[400];
		size_t len = raw.len < sizeof text - 1 ? raw.len : sizeof text - 1;
		memcpy(text, raw.ptr, len);
		text[len] = '\0';
		pack_f64(out, strtod(text, NULL));
	}
}

void pack_json(struct buf *out, yyjson_val *value)
{
	size_t i, max;
	yyjson_val *key, *item;
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_BOOL: pack_bool(out, yyjson_get_bool(value)); break;
	case YYJSON_TYPE_STR: pack_text(out, json_text(value)); break;
	case YYJSON_TYPE_RAW: number_pack(out, json_raw(value)); break;
	case YYJSON_TYPE_NUM:
		if (yyjson_is_uint(value))
			pack_u64(out, yyjson_get_uint(value));
		else if (yyjson_is_sint(value))
			pack_i64(out, yyjson_get_sint(value));
		else
			pack_f64(out, yyjson_get_real(value));
		break;
	case YYJSON_TYPE_ARR:
		pack_array(out, yyjson_arr_size(value));
		yyjson_arr_foreach(value, i, max, item)
			pack_json(out, item);
		break;
	case YYJSON_TYPE_OBJ:
		pack_map(out, yyjson_obj_size(value));
		yyjson_obj_foreach(value, i, max, key, item) {
			pack_text(out, json_text(key));
			pack_json(out, item);
		}
		break;
	default: pack_nil(out); break;
	}
}
