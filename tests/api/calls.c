// SPDX-License-Identifier: Apache-2.0
#include "tests/api/calls.h"

#include <stdlib.h>

#include "net/rpc/pack.h"
#include "net/rpc/read.h"

uint64_t calls_base;

static struct client connection = { .fd = -1 };
static int connected_port;
static uint32_t msgid;
static yyjson_mut_doc *built;
static yyjson_doc *last;
static struct buf shown;               /* the last result as text, for messages */

void calls_begin(void)
{
	calls_base += 1000000;
}

u128 calls_id(uint64_t number)
{
	return calls_base + number;
}

void calls_close(void)
{
	client_close(&connection);
}

const char *refusal_name(enum refusal refusal)
{
	const struct refusal_info *info = refusal_find(refusal);
	return info ? info->name : "done";
}

/* ---- JSON to MessagePack ------------------------------------------------------------------------------------------------- */

static void pack_id_text(struct buf *out, const char *text)
{
	u128 id = text[1] == '-' ? U128_MAX : text[1] == '=' ? strtoull(text + 2, NULL, 10)
							      : calls_id(strtoull(text + 1, NULL, 10));
	pack_bin(out, &id, sizeof id);
}

static void pack_hex(struct buf *out, const char *text, size_t len)
{
	unsigned char *bytes = pack_bin_room(out, len / 2);
	for (size_t i = 0; i < len / 2; i++)
		bytes[i] = (unsigned char)strtoul((char[]){ text[2 * i], text[2 * i + 1], '\0' }, NULL, 16);
}

static void pack_value(struct buf *out, yyjson_val *value)
{
	size_t i, max;
	yyjson_val *key, *item;
	const char *text = yyjson_get_str(value);
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_NULL: pack_nil(out); break;
	case YYJSON_TYPE_BOOL: pack_bool(out, yyjson_get_bool(value)); break;
	case YYJSON_TYPE_NUM:
		if (yyjson_is_real(value))
			pack_f64(out, yyjson_get_real(value));
		else if (yyjson_is_uint(value))
			pack_u64(out, yyjson_get_uint(value));
		else
			pack_i64(out, yyjson_get_sint(value));
		break;
	case YYJSON_TYPE_STR:
		if (*text == '#')
			pack_id_text(out, text);
		else if (*text == '$')
			pack_hex(out, text + 1, strlen(text + 1));
		else if (*text == '@')
			pack_text(out, str_of(textf("T%llu%s", (unsigned long long)calls_base, text + 1)));
		else
			pack_text(out, (struct str){ text, yyjson_get_len(value) });
		break;
	case YYJSON_TYPE_ARR:
		pack_array(out, yyjson_arr_size(value));
		yyjson_arr_foreach(value, i, max, item)
			pack_value(out, item);
		break;
	case YYJSON_TYPE_OBJ:
		pack_map(out, yyjson_obj_size(value));
		yyjson_obj_foreach(value, i, max, key, item) {
			pack_text(out, str_of(yyjson_get_str(key)));
			pack_value(out, item);
		}
		break;
	default: fail_msg("not JSON");
	}
}

/* ---- MessagePack to JSON ------------------------------------------------------------------------------------------------- */

static yyjson_mut_val *id_text(const char *bytes)
{
	u128 id = u128_load(bytes);
	char text[40] = "$";
	if (id >= calls_base && id < (u128)calls_base + 1000000)
		snprintf(text, sizeof text, "#%llu", (unsigned long long)(id - calls_base));
	else
		for (unsigned i = 0; i < 16; i++)
			snprintf(text + 1 + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
	return yyjson_mut_strcpy(built, text);
}

static yyjson_mut_val *pairs(struct str bytes, bool wide)
{
	yyjson_mut_val *array = yyjson_mut_arr(built);
	for (size_t at = 0; at < bytes.len; at += wide ? 16 : 8) {
		yyjson_mut_val *pair = yyjson_mut_arr(built);
		for (unsigned i = 0; i < 2; i++) {
			int64_t number = 0;
			memcpy(&number, bytes.ptr + at + i * (wide ? 8 : 4), wide ? 8 : 4);
			if (wide && number == INT64_MIN)
				yyjson_mut_arr_append(pair, yyjson_mut_null(built));
			else
				yyjson_mut_arr_append(pair, yyjson_mut_sint(built, number));
		}
		yyjson_mut_arr_append(array, pair);
	}
	return array;
}

static yyjson_mut_val *bytes_value(struct str key, struct str bytes)
{
	if (str_eq(key, STR("results")))
		return pairs(bytes, false);
	if (str_eq(key, STR("balances")))
		return pairs(bytes, true);
	if (str_eq(key, STR("ids"))) {
		yyjson_mut_val *array = yyjson_mut_arr(built);
		for (size_t at = 0; at < bytes.len; at += 16)
			yyjson_mut_arr_append(array, id_text(bytes.ptr + at));
		return array;
	}
	if (bytes.len == 16)
		return id_text(bytes.ptr);
	struct buf text = { 0 };
	buf_char(&text, '$');
	buf_hex(&text, bytes.ptr, bytes.len);
	yyjson_mut_val *value = yyjson_mut_strncpy(built, text.ptr, text.len);
	buf_free(&text);
	return value;
}

static yyjson_mut_val *read_value(struct rpc_reader *reader, struct str key)
{
	struct str text;
	uint64_t positive;
	int64_t any;
	uint32_t count;
	bool yes;
	double real;
	switch (rpc_peek(reader)) {
	case RPC_NIL: rpc_read_nil(reader); return yyjson_mut_null(built);
	case RPC_BOOL: rpc_read_bool(reader, &yes); return yyjson_mut_bool(built, yes);
	case RPC_FLOAT: rpc_read_f64(reader, &real); return yyjson_mut_real(built, real);
	case RPC_STR: rpc_read_str(reader, &text); return yyjson_mut_strncpy(built, text.ptr, text.len);
	case RPC_BIN: rpc_read_bin(reader, &text); return bytes_value(key, text);
	case RPC_INT:
		if (rpc_read_u64(reader, &positive))
			return yyjson_mut_uint(built, positive);
		rpc_read_i64(reader, &any);
		return yyjson_mut_sint(built, any);
	case RPC_ARRAY: {
		yyjson_mut_val *array = yyjson_mut_arr(built);
		rpc_read_array(reader, &count);
		while (count--)
			yyjson_mut_arr_append(array, read_value(reader, STR("")));
		return array;
	}
	case RPC_MAP: {
		yyjson_mut_val *object = yyjson_mut_obj(built);
		rpc_read_map(reader, &count);
		while (count--) {
			assert_true(rpc_read_str(reader, &text));
			yyjson_mut_val *name = yyjson_mut_strncpy(built, text.ptr, text.len);
			yyjson_mut_obj_add(object, name, read_value(reader, text));
		}
		return object;
	}
	default: fail_msg("not MessagePack in an answer"); return NULL;
	}
}

/* ---- calls --------------------------------------------------------------------------------------------------------------- */

static void shown_set(void)
{
	char *text = yyjson_write(last, 0, NULL);
	shown.len = 0;
	buf_bytes(&shown, text, strlen(text) + 1);
	free(text);
	/* What the JSON checks of the harness show where they fail. */
	last_reply()->body.len = 0;
	buf_bytes(&last_reply()->body, shown.ptr, shown.len);
	last_reply()->body.len--;
}

/* Sends a request and reads its answer: [1, msgid, error, result]; returns the array. */
static yyjson_val *exchange(const char *method, const struct buf *params)
{
	struct buf out = { 0 };
	struct rpc_reader reader, whole;
	if (connection.fd < 0 || connected_port != harness_server.rpc_port) {
		client_close(&connection);
		client_open(&connection, harness_server.rpc_port);
		connected_port = harness_server.rpc_port;
	}
	pack_array(&out, 4);
	pack_u64(&out, 0);
	pack_u64(&out, ++msgid);
	pack_text(&out, str_of(method));
	buf_str(&out, buf_view(params));
	client_send(&connection, out.ptr, out.len);
	buf_free(&out);
	do {
		if (!client_fill(&connection))
			fail_msg("%s: the server closed the connection", method);
		whole = (struct rpc_reader){ (unsigned char *)connection.in.ptr,
					     (unsigned char *)connection.in.ptr + connection.in.len };
		reader = whole;
	} while (!rpc_skip(&reader));
	assert_ptr_equal(reader.at, reader.end);
	yyjson_doc_free(last);
	built = yyjson_mut_doc_new(NULL);
	yyjson_mut_doc_set_root(built, read_value(&whole, STR("")));
	last = yyjson_mut_doc_imut_copy(built, NULL);
	yyjson_mut_doc_free(built);
	connection.in.len = 0;
	yyjson_val *root = yyjson_doc_get_root(last);
	shown_set();
	assert_int_equal(yyjson_arr_size(root), 4);
	assert_int_equal(yyjson_get_int(yyjson_arr_get(root, 0)), 1);
	assert_int_equal(yyjson_get_uint(yyjson_arr_get(root, 1)), msgid);
	return root;
}

static yyjson_val *exchange_json(const char *method, const char *params)
{
	struct buf text = { 0 }, out = { 0 };
	for (const char *at = params; *at; at++)
		buf_char(&text, *at == '\'' ? '"' : *at);
	yyjson_doc *doc = yyjson_read(text.ptr, text.len, 0);
	if (!doc)
		fail_msg("not JSON: %s", params);
	pack_value(&out, yyjson_doc_get_root(doc));
	yyjson_val *root = exchange(method, &out);
	yyjson_doc_free(doc);
	buf_free(&text);
	buf_free(&out);
	return root;
}

yyjson_val *call_ok(const char *method, const char *params)
{
	yyjson_val *root = exchange_json(method, params);
	if (!yyjson_is_null(yyjson_arr_get(root, 2)))
		fail_msg("%s %s: %s", method, params, shown.ptr);
	return yyjson_arr_get(root, 3);
}

void call_refused(int code, const char *name, int64_t index, const char *method, const char *params)
{
	yyjson_val *error = yyjson_arr_get(exchange_json(method, params), 2);
	yyjson_val *row = yyjson_obj_get(error, "index");
	if (yyjson_get_int(yyjson_obj_get(error, "code")) != code || !yyjson_equals_str(yyjson_obj_get(error, "name"), name) ||
	    (row ? yyjson_get_sint(row) : -1) != index || !yyjson_get_len(yyjson_obj_get(error, "detail")))
		fail_msg("%s %s: expected %d %s, row %lld: %s", method, params, code, name, (long long)index, shown.ptr);
}

yyjson_val *call_rows(const struct transfer_row *rows, uint32_t count)
{
	struct buf out = { 0 };
	pack_array(&out, 2);
	pack_bin(&out, rows, count * sizeof *rows);
	pack_map(&out, 1);
	pack_text(&out, STR("balances"));
	pack_bool(&out, true);
	yyjson_val *root = exchange("ledger.create_transfers", &out);
	buf_free(&out);
	if (!yyjson_is_null(yyjson_arr_get(root, 2)))
		fail_msg("ledger.create_transfers: %s", shown.ptr);
	return yyjson_arr_get(root, 3);
}

enum refusal row_send(struct transfer_row row)
{
	yyjson_val *results = json_at(call_rows(&row, 1), "/results");
	return yyjson_arr_size(results) ? (enum refusal)int_at(results, "/0/1") : REFUSAL_NONE;
}

void results_are(yyjson_val *result, const struct refused_row *expected)
{
	yyjson_val *results = json_at(result, "/results");
	size_t count = 0;
	for (; expected[count].refusal; count++) {
		yyjson_val *pair = yyjson_arr_get(results, count);
		uint32_t index = (uint32_t)yyjson_get_uint(yyjson_arr_get(pair, 0));
		enum refusal refusal = (enum refusal)yyjson_get_uint(yyjson_arr_get(pair, 1));
		if (!pair || index != expected[count].index || refusal != expected[count].refusal)
			fail_msg("expected row %u refused as %s, found row %u as %s: %s", expected[count].index,
				 refusal_name(expected[count].refusal), index, refusal_name(refusal), shown.ptr);
	}
	if (yyjson_arr_size(results) != count)
		fail_msg("more rows were refused than the %zu expected: %s", count, shown.ptr);
}
