// SPDX-License-Identifier: Apache-2.0
/* test_rpc.c - MessagePack-RPC without sockets: where frames end, reading and packing, what sessions do with bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <msgpack.h>

#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "net/rpc/block.h"
#include "net/rpc/frame.h"
#include "net/rpc/json.h"
#include "net/rpc/session.h"

static uint64_t seed = 88172645463325252;

static uint64_t chance(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* ---- frames ----------------------------------------------------------------------------------------------------- */

static const struct frame_limits wide = { .bytes = 1 << 20, .objects = 1 << 20, .levels = FRAME_LEVELS };

/* Scans a private copy of exactly those bytes, so that a read behind them is found. */
static enum frame_state scan_bytes(struct frame_scan *scan, const void *bytes, size_t len,
				   const struct frame_limits *limits)
{
	unsigned char *copy = malloc(len + !len);
	memcpy(copy, bytes, len);
	enum frame_state state = frame_scan(scan, copy, len, limits);
	free(copy);
	return state;
}

/* One object of every kind, all header widths included. */
static void pack_zoo(struct buf *out)
{
	static const char text[70000] = { 'x' };
	static const unsigned char raw[] = {
		0xd4, 1, 2, 0xd5, 1, 2, 3, 0xd6, 1, 2, 3, 4, 5, 0xd7, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0xd8, 1, 1, 2, 3, 4, 5, 6, 7,
		8, 9, 10, 11, 12, 13, 14, 15, 16, 0xc7, 3, 9, 1, 2, 3, 0xc8, 0, 2, 9, 1, 2, 0xc9, 0, 0, 0, 1, 9, 1, 0xca, 1, 2,
		3, 4, 0xdd, 0, 0, 0, 1, 0xc0, 0xdf, 0, 0, 0, 1, 0xc0, 0xc0 };
	static const size_t lens[] = { 0, 31, 32, 255, 256, 65535, 65536 };
	static const int64_t numbers[] = { 0, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, UINT32_MAX + INT64_C(1), -1, -32,
					   -33, -128, -129, -32768, -32769, INT32_MIN, INT32_MIN - INT64_C(1), INT64_MIN };
	pack_array(out, 15 + 3 + 14 + 19 + 11 + 20);
	for (int i = 0; i < 15; i++)
		pack_bool(out, i % 2);
	pack_nil(out);
	pack_f64(out, 1.5);
	pack_u64(out, UINT64_MAX);
	for (size_t i = 0; i < 7; i++) {
		pack_text(out, (struct str){ text, lens[i] });
		pack_bin(out, text, lens[i]);
	}
	for (size_t i = 0; i < 19; i++)
		pack_i64(out, numbers[i]);
	buf_bytes(out, raw, sizeof raw);
	for (int i = 0; i < 20; i++) {
		if (i % 2) {
			pack_array(out, (size_t)i);
			for (int j = 0; j < i; j++)
				pack_map(out, 0);
		} else {
			pack_map(out, (size_t)i);
			for (int j = 0; j < 2 * i; j++)
				pack_array(out, 0);
		}
	}
}

static void test_frame_every_byte(void **state)
{
	struct buf zoo = { 0 };
	struct frame_scan scan;
	(void)state;
	pack_zoo(&zoo);
	assert_int_equal(zoo.len > 200000, true);
	/* The bodies are long; their bytes need not all be a boundary. */
	frame_begin(&scan);
	for (size_t len = 0; len < zoo.len; len += len > 300 && len + 300 < scan.at ? 97 : 1) {
		size_t before = scan.at;
		assert_int_equal(frame_scan(&scan, (unsigned char *)zoo.ptr, len, &wide), FRAME_MORE);
		uint64_t need = frame_need(&scan, len);
		assert_true(need > len && need <= zoo.len && scan.at >= before);
	}
	assert_int_equal(frame_scan(&scan, (unsigned char *)zoo.ptr, zoo.len, &wide), FRAME_DONE);
	assert_int_equal(scan.at, zoo.len);
	assert_false(scan.deep);
	/* In one go, with other bytes behind; and msgpack-c sees the same end. */
	size_t len = zoo.len, end = 0;
	buf_lit(&zoo, "\xc1\xc1\xc1");
	frame_begin(&scan);
	assert_int_equal(frame_scan(&scan, (unsigned char *)zoo.ptr, zoo.len, &wide), FRAME_DONE);
	assert_int_equal(scan.at, len);
	msgpack_unpacked result;
	msgpack_unpacked_init(&result);
	assert_int_equal(msgpack_unpack_next(&result, zoo.ptr, zoo.len, &end), MSGPACK_UNPACK_SUCCESS);
	assert_int_equal(end, len);
	msgpack_unpacked_destroy(&result);
	buf_free(&zoo);
}

static void test_frame_cuts(void **state)
{
	static const struct { const char *bytes; size_t len; } frames[] = {
		{ "\x93\x01\x82\xa1\x61\xc4\x02xy\xc0\xd9\x03" "abc\x90", 16 }, { "\xdc\x00\x02\xc7\x00\x05\xcf\x01\x02\x03\x04\x05\x06\x07\x08", 15 },
		{ "\xde\x00\x01\xda\x00\x01k\xc8\x00\x02\x01zz", 13 }, { "\xdd\x00\x00\x00\x00", 5 }, { "\x7f", 1 }, { "\xd8\x01" "0123456789abcdef", 18 },
		{ "\xc6\x00\x00\x00\x03xyz", 8 }, { "\x91\x91\x91\x91\xa0", 5 } };
	(void)state;
	for (size_t f = 0; f < sizeof frames / sizeof *frames; f++)
		for (size_t a = 0; a <= frames[f].len; a++)
			for (size_t b = a; b <= frames[f].len; b++) {
				struct frame_scan scan;
				size_t len = frames[f].len;
				frame_begin(&scan);
				enum frame_state first = scan_bytes(&scan, frames[f].bytes, a, &wide);
				assert_int_equal(first, a == len ? FRAME_DONE : FRAME_MORE);
				assert_int_equal(scan_bytes(&scan, frames[f].bytes, b, &wide), b == len ? FRAME_DONE : FRAME_MORE);
				assert_int_equal(scan_bytes(&scan, frames[f].bytes, len, &wide), FRAME_DONE);
				assert_int_equal(scan.at, len);
			}
}

static void random_object(struct buf *out, unsigned depth)
{
	static const char bytes[400];
	size_t count = chance(6);
	switch (chance(depth < 6 ? 9 : 7)) {
	case 0: pack_nil(out); break;
	case 1: pack_bool(out, chance(2)); break;
	case 2: pack_i64(out, (int64_t)(chance(UINT64_MAX) >> chance(64))); break;
	case 3: pack_i64(out, -(int64_t)(chance(INT64_MAX) >> chance(63))); break;
	case 4: pack_f64(out, (double)chance(1000) / 8); break;
	case 5: pack_text(out, (struct str){ bytes, chance(sizeof bytes) }); break;
	case 6: pack_bin(out, bytes, chance(sizeof bytes)); break;
	case 7:
		pack_array(out, count);
		for (size_t i = 0; i < count; i++)
			random_object(out, depth + 1);
		break;
	default:
		pack_map(out, count);
		for (size_t i = 0; i < 2 * count; i++)
			random_object(out, depth + 1);
	}
}

static void test_frame_random(void **state)
{
	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct buf bytes = { 0 };
		struct frame_scan scan;
		size_t end = 0, len = 0;
		random_object(&bytes, 0);
		random_object(&bytes, 0);
		msgpack_unpacked result;
		msgpack_unpacked_init(&result);
		assert_int_equal(msgpack_unpack_next(&result, bytes.ptr, bytes.len, &end) > 0, true);
		msgpack_unpacked_destroy(&result);
		frame_begin(&scan);
		while (scan_bytes(&scan, bytes.ptr, len, &wide) == FRAME_MORE) {
			assert_true(len < end && frame_need(&scan, len) <= end);
			len += 1 + chance(40);
			len = len < bytes.len ? len : bytes.len;
		}
		assert_int_equal(scan.at, end);
		struct rpc_reader reader = { (unsigned char *)bytes.ptr, (unsigned char *)bytes.ptr + bytes.len };
		assert_true(rpc_skip(&reader));
		assert_int_equal(reader.at - (unsigned char *)bytes.ptr, end);
		assert_true(rpc_skip(&reader) && !rpc_skip(&reader));
		buf_free(&bytes);
	}
}

static enum frame_state scan_all(const void *bytes, size_t len, struct frame_limits limits, bool *deep)
{
	struct frame_scan scan;
	frame_begin(&scan);
	enum frame_state state = scan_bytes(&scan, bytes, len, &limits);
	if (deep)
		*deep = scan.deep;
	return state;
}

static void test_frame_limits(void **state)
{
	struct frame_limits small = { .bytes = 10, .objects = 5, .levels = 3 };
	bool deep;
	(void)state;
	assert_int_equal(scan_all("\xa9" "123456789", 10, small, NULL), FRAME_DONE);
	assert_int_equal(scan_all("\xaa", 1, small, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\xc6\xff\xff\xff\xff", 5, small, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\xc9\xff\xff\xff\xff", 5, small, NULL), FRAME_TOO_LARGE);
	/* Announced objects count a byte each. */
	assert_int_equal(scan_all("\xdd\xff\xff\xff\xff", 5, small, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\xdf\xff\xff\xff\xff", 5, small, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\xdf\xff\xff\xff\xff", 5, wide, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\xdc\x00\x07", 3, small, NULL), FRAME_MORE);
	assert_int_equal(scan_all("\xdc\x00\x08", 3, small, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\x92\xa7", 2, small, NULL), FRAME_MORE);
	assert_int_equal(scan_all("\x92\xa8", 2, small, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\x92\xa6" "123456\x01", 9, small, NULL), FRAME_DONE);
	assert_int_equal(scan_all("\x94\1\2\3\4", 5, small, NULL), FRAME_DONE);
	assert_int_equal(scan_all("\x95\1\2\3\4\5", 6, small, NULL), FRAME_TOO_LARGE);
	assert_int_equal(scan_all("\xc1", 1, wide, NULL), FRAME_BROKEN);
	assert_int_equal(scan_all("\x92\x01\xc1", 3, wide, NULL), FRAME_BROKEN);
	assert_int_equal(scan_all("\x91\x91\x91\x01", 4, small, &deep), FRAME_DONE);
	assert_false(deep);
	assert_int_equal(scan_all("\x91\x91\x91\x90", 4, small, &deep), FRAME_DONE);
	assert_false(deep);            /* an empty one has no level */
	assert_int_equal(scan_all("\x91\x81\x01\x91\x91\x01", 6, (struct frame_limits){ 10, 10, 3 }, &deep), FRAME_DONE);
	assert_true(deep);
	/* A million levels, and what follows them, are passed over all the same. */
	struct buf tower = { 0 };
	for (int i = 0; i < 300000; i++)
		buf_lit(&tower, "\x92");
	for (int i = 0; i < 300001; i++)
		buf_lit(&tower, "\x01");
	assert_int_equal(scan_all(tower.ptr, tower.len - 1, wide, &deep), FRAME_MORE);
	assert_int_equal(scan_all(tower.ptr, tower.len, wide, &deep), FRAME_DONE);
	assert_true(deep);
	buf_free(&tower);
}

/* ---- reading, packing, JSON ------------------------------------------------------------------------------------- */

static struct rpc_reader reader_of(const void *bytes, size_t len)
{
	return (struct rpc_reader){ bytes, (const unsigned char *)bytes + len };
}

static void test_read_integers(void **state)
{
	static const struct { const char *bytes; size_t len; bool is_u64, is_i64; uint64_t u64; int64_t i64; } rows[] = {
		{ "\x00", 1, true, true, 0, 0 }, { "\x7f", 1, true, true, 127, 127 }, { "\xff", 1, false, true, 0, -1 },
		{ "\xe0", 1, false, true, 0, -32 }, { "\xcc\xff", 2, true, true, 255, 255 },
		{ "\xcd\xff\xfe", 3, true, true, 65534, 65534 }, { "\xce\xff\xff\xff\xff", 5, true, true, UINT32_MAX, UINT32_MAX },
		{ "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, true, true, INT64_MAX, INT64_MAX },
		{ "\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9, true, false, UINT64_C(1) << 63, 0 },
		{ "\xd0\x7f", 2, true, true, 127, 127 }, { "\xd0\x80", 2, false, true, 0, -128 },
		{ "\xd1\x80\x00", 3, false, true, 0, -32768 }, { "\xd1\x00\x05", 3, true, true, 5, 5 },
		{ "\xd2\x80\x00\x00\x00", 5, false, true, 0, INT32_MIN },
		{ "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, false, true, 0, INT64_MIN },
		{ "\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9, false, true, 0, -1 } };
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t u64 = 1;
		int64_t i64 = 1;
		for (size_t len = 0; len <= rows[i].len; len++) {
			unsigned char *copy = malloc(len + 1);
			memcpy(copy, rows[i].bytes, len);
			struct rpc_reader reader = reader_of(copy, len), before = reader;
			bool whole = len == rows[i].len;
			assert_int_equal(rpc_read_u64(&reader, &u64), whole && rows[i].is_u64);
			assert_ptr_equal(reader.at, before.at + (whole && rows[i].is_u64 ? len : 0));
			reader = before;
			assert_int_equal(rpc_read_i64(&reader, &i64), whole && rows[i].is_i64);
			assert_ptr_equal(reader.at, before.at + (whole && rows[i].is_i64 ? len : 0));
			free(copy);
		}
		if (rows[i].is_u64)
			assert_true(u64 == rows[i].u64);
		if (rows[i].is_i64)
			assert_true(i64 == rows[i].i64);
	}
}

/* Everything that the zoo holds is read by the function of its kind and by no other, whole and not cut. */
static void test_read_kinds(void **state)
{
	struct buf zoo = { 0 };
	uint32_t count;
	size_t seen[RPC_EXT + 1] = { 0 };
	(void)state;
	pack_zoo(&zoo);
	struct rpc_reader reader = reader_of(zoo.ptr, zoo.len);
	assert_true(rpc_read_array(&reader, &count));
	while (reader.at < reader.end) {
		enum rpc_type type = rpc_peek(&reader);
		struct rpc_reader next = reader;
		assert_true(rpc_skip(&next));
		size_t len = (size_t)(next.at - reader.at);
		assert_true(type != RPC_NONE && *rpc_type_name(type));
		seen[type]++;
		for (size_t cut = len > 20 ? len - 20 : 0; cut <= len; cut++) {
			unsigned char *copy = malloc(cut + 1);
			memcpy(copy, reader.at, cut);
			uint64_t u64;
			int64_t i64;
			double f64;
			bool truth, good = cut == len, atom = type == RPC_ARRAY || type == RPC_MAP;
			struct str text;
			struct rpc_reader fresh = reader_of(copy, cut), at = fresh;
			assert_int_equal(rpc_read_str(&at, &text), good && type == RPC_STR);
			assert_int_equal(at.at - fresh.at, good && type == RPC_STR ? len : 0);
			at = fresh;
			assert_int_equal(rpc_read_bin(&at, &text), good && type == RPC_BIN);
			at = fresh;
			assert_int_equal(rpc_read_f64(&at, &f64), good && type == RPC_FLOAT);
			at = fresh;
			assert_int_equal(rpc_read_bool(&at, &truth), good && type == RPC_BOOL);
			at = fresh;
			assert_int_equal(rpc_read_nil(&at), good && type == RPC_NIL);
			at = fresh;
			assert_int_equal(rpc_read_u64(&at, &u64) || rpc_read_i64(&at, &i64), good && type == RPC_INT);
			at = fresh;
			if (!atom || good) {
				assert_int_equal(rpc_read_array(&at, &count), good && type == RPC_ARRAY);
				at = fresh;
				assert_int_equal(rpc_read_map(&at, &count), good && type == RPC_MAP);
			}
			at = fresh;
			assert_int_equal(rpc_skip(&at), good);
			free(copy);
		}
		reader = next;
	}
	for (int type = RPC_NIL; type <= RPC_EXT; type++)
		assert_true(seen[type] > 0);
	assert_int_equal(rpc_peek(&reader), RPC_NONE);
	/* A count that cannot be true is refused at once. */
	static const char lies[] = "\xdd\x00\x00\x00\x05\x01\x01\x01\x01";
	reader = reader_of(lies, 9);
	assert_false(rpc_read_array(&reader, &count));
	reader = reader_of("\x82\x01\x01\x01", 4);
	assert_false(rpc_read_map(&reader, &count));
	buf_free(&zoo);
}

static void test_floats(void **state)
{
	double value;
	(void)state;
	struct rpc_reader reader = reader_of("\xca\x3f\xc0\x00\x00", 5);
	assert_true(rpc_read_f64(&reader, &value) && value == 1.5);
	reader = reader_of("\xcb\xc0\x09\x21\xfb\x54\x44\x2d\x18", 9);
	assert_true(rpc_read_f64(&reader, &value) && value == -3.141592653589793);
}

static void test_pack_forms(void **state)
{
	struct buf out = { 0 };
	(void)state;
	pack_map(&out, 1);
	pack_key(&out, "k");
	memset(pack_bin_room(&out, 2), 7, 2);
	pack_u64(&out, 300);
	pack_i64(&out, -5);
	pack_f64(&out, 0.5);
	pack_bool(&out, true);
	pack_nil(&out);
	static const char wanted[] = "\x81\xa1k\xc4\x02\x07\x07\xcd\x01\x2c\xfb\xcb\x3f\xe0\0\0\0\0\0\0\xc3\xc0";
	assert_int_equal(out.len, sizeof wanted - 1);
	assert_memory_equal(out.ptr, wanted, out.len);
	buf_free(&out);
}

/* From JSON to MessagePack and back to the same text. */
static void test_json_there_and_back(void **state)
{
	static const char *const texts[] = {
		"null", "true", "[false,{}]", "0", "-1", "18446744073709551615", "-9223372036854775808", "1.5", "-0.25", "99.99",
		"\"\"", "\"\\u0001\\\"\xc3\xa4\"", "{\"a\":[1,2,{\"b\":null}],\"c\":\"d\"}", "120.0", "[[[[[[1]]]]]]" };
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct json_error error;
		struct buf packed = { 0 }, text = { 0 };
		const char *wrong;
		yyjson_doc *doc = json_read(str_of(texts[i]), &error);
		assert_non_null(doc);
		pack_json(&packed, yyjson_doc_get_root(doc));
		struct rpc_reader reader = reader_of(packed.ptr, packed.len);
		assert_true(json_from_rpc(&text, &reader, &wrong));
		assert_ptr_equal(reader.at, reader.end);
		buf_char(&text, '\0');
		assert_string_equal(text.ptr, texts[i]);
		buf_free(&packed);
		buf_free(&text);
		yyjson_doc_free(doc);
	}
}

static void test_json_refused(void **state)
{
	static const struct { const char *bytes; size_t len; const char *wrong; } rows[] = {
		{ "\xc4\x01x", 3, "a binary" }, { "\xd4\x01x", 3, "an extension" }, { "\x81\x01\x01", 3, "a key that is no string" },
		{ "\xa1\xff", 2, "a string that is not UTF-8" }, { "\x92\x01\xcb\x7f\xf0\0\0\0\0\0\0", 11, "a float that is no number" },
		{ "\xca\x7f\xc0\0\0", 5, "a float that is no number" }, { "\x81\xa1\xc0\x01", 4, "a string that is not UTF-8" },
		{ "", 0, "bytes that are no object" }, { "\x92\x01", 2, "bytes that are no object" } };
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf text = { 0 };
		const char *wrong = "";
		struct rpc_reader reader = reader_of(rows[i].bytes, rows[i].len);
		assert_false(json_from_rpc(&text, &reader, &wrong));
		assert_string_equal(wrong, rows[i].wrong);
		buf_free(&text);
	}
}

/* ---- sessions --------------------------------------------------------------------------------------------------- */

enum { WAITING_MAX = 2000 };

struct world {
	struct rpc_pool *pool;
	struct rpc_session *session;
	struct rpc_request *waiting[WAITING_MAX];      /* not ended, in the order in which they came */
	size_t waiting_count, seen, ended, ready;
	bool at_once;                  /* answer within on_request */
	size_t reply_size;             /* bytes of the bin that is answered; 0: the first param, or nil */
	struct buf out;                /* all output so far */
};

static void answer(struct world *world, struct rpc_request *request)
{
	struct buf *out = rpc_reply_begin(request);
	struct rpc_reader reader = rpc_params(request);
	const unsigned char *first = reader.at;
	if (world->reply_size)
		memset(pack_bin_room(out, world->reply_size), 1, world->reply_size);
	else if (request->param_count && rpc_skip(&reader))
		buf_bytes(out, first, (size_t)(reader.at - first));
	else
		pack_nil(out);
	rpc_reply_end(request);
}

static void on_request(void *context, struct rpc_request *request)
{
	struct world *world = context;
	world->seen++;
	assert_true(request->context == NULL && rpc_params(request).at <= request->params + request->params_len);
	if (world->at_once) {
		answer(world, request);
	} else {
		assert_true(world->waiting_count < WAITING_MAX);
		world->waiting[world->waiting_count++] = request;
	}
}

static void on_ready(void *context, struct rpc_session *session)
{
	struct world *world = context;
	assert_ptr_equal(session, world->session);
	world->ready++;
}

static void on_ended(void *context, const struct rpc_request *request)
{
	struct world *world = context;
	(void)request;
	world->ended++;
}

static void world_open(struct world *world, uint64_t frame_max)
{
	*world = (struct world){ .pool = rpc_pool_new() };
	struct rpc_options options = { .frame_max = frame_max, .on_request = on_request, .on_ready = on_ready,
				       .on_ended = on_ended, .context = world };
	world->session = rpc_session_new(&options, world->pool);
}

static void world_close(struct world *world)
{
	if (world->session)
		rpc_session_detach(world->session);
	for (size_t i = 0; i < world->waiting_count; i++)
		rpc_error(world->waiting[i], 500, "late", -1, "nobody hears this");
	assert_int_equal(world->ended, world->seen);
	assert_int_equal(world->pool->live_blocks, 0);
	assert_int_equal(world->pool->live_requests, 0);
	assert_int_equal(world->pool->live_bytes, 0);
	rpc_pool_free(world->pool);
	buf_free(&world->out);
}

/* Bytes come in pieces of at most `piece`; returns how many were taken before the session wanted no more. */
static size_t feed(struct world *world, const void *bytes, size_t len, size_t piece)
{
	size_t at = 0;
	while (at < len && rpc_session_wants_read(world->session)) {
		unsigned char *room;
		size_t size;
		rpc_session_room(world->session, &room, &size);
		assert_true(size > 0);
		size = size < piece ? size : piece;
		size = size < len - at ? size : len - at;
		memcpy(room, (const char *)bytes + at, size);
		rpc_session_received(world->session, size);
		at += size;
	}
	return at;
}

static void collect(struct world *world)
{
	struct buf piece = { 0 };
	while (rpc_session_output(world->session, &piece)) {
		buf_str(&world->out, buf_view(&piece));
		piece.len = 0;
	}
	buf_free(&piece);
}

/* Takes the next answer out of world->out. */
struct answer {
	bool has_msgid;
	uint64_t msgid;
	struct str name, detail;       /* of an error; "" for a result */
	int64_t code, index;
	struct rpc_reader result;
};

static size_t answers_left(struct world *world)
{
	size_t count = 0;
	struct rpc_reader reader = reader_of(world->out.ptr, world->out.len);
	while (rpc_skip(&reader))
		count++;
	assert_ptr_equal(reader.at, reader.end);
	return count;
}

static struct answer answer_read(struct rpc_reader *reader)
{
	struct answer answer = { .index = -1, .name = { "", 0 }, .detail = { "", 0 } };
	uint32_t count, pairs;
	uint64_t kind;
	assert_true(rpc_read_array(reader, &count) && count == 4);
	assert_true(rpc_read_u64(reader, &kind) && kind == 1);
	answer.has_msgid = rpc_read_u64(reader, &answer.msgid);
	if (!answer.has_msgid)
		assert_true(rpc_read_nil(reader));
	if (rpc_read_map(reader, &pairs)) {
		for (uint32_t i = 0; i < pairs; i++) {
			struct str key;
			assert_true(rpc_read_str(reader, &key));
			if (str_eq(key, STR("code")))
				assert_true(rpc_read_i64(reader, &answer.code));
			else if (str_eq(key, STR("name")))
				assert_true(rpc_read_str(reader, &answer.name));
			else if (str_eq(key, STR("detail")))
				assert_true(rpc_read_str(reader, &answer.detail));
			else if (str_eq(key, STR("index")))
				assert_true(rpc_read_i64(reader, &answer.index));
			else
				fail_msg("unexpected key %.*s", (int)key.len, key.ptr);
		}
		assert_true(rpc_read_nil(reader));
	} else {
		assert_true(rpc_read_nil(reader));
		answer.result = *reader;
		assert_true(rpc_skip(reader));
	}
	return answer;
}

static void pack_request(struct buf *out, uint32_t msgid, const char *method, const void *bin, size_t len)
{
	pack_array(out, 4);
	pack_u64(out, 0);
	pack_u64(out, msgid);
	pack_text(out, str_of(method));
	pack_array(out, bin ? 1 : 0);
	if (bin)
		pack_bin(out, bin, len);
}

/* Whatever the pieces, the same requests come out and the same answers go out. */
static void test_session_pieces(void **state)
{
	struct buf in = { 0 }, first = { 0 };
	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		pack_request(&in, i * 1000, i % 3 ? "some.method" : "m", i % 2 ? "0123456789" : NULL, i % 11);
	buf_lit(&in, "\x93\x02\xa1n\x90");     /* a notification */
	buf_lit(&in, "\x01");                  /* no message */
	for (size_t piece = 1; piece <= in.len; piece += piece < 60 ? 1 : 97) {
		struct world world;
		world_open(&world, 0);
		world.at_once = true;
		assert_int_equal(feed(&world, in.ptr, in.len, piece), in.len);
		assert_int_equal(world.seen, 41);
		assert_false(rpc_session_partial(world.session));
		collect(&world);
		assert_int_equal(answers_left(&world), 41);
		if (piece == 1)
			buf_str(&first, buf_view(&world.out));
		assert_int_equal(world.out.len, first.len);
		assert_memory_equal(world.out.ptr, first.ptr, first.len);
		assert_int_equal(world.pool->live_blocks, 0);  /* idle: no memory */
		world_close(&world);
	}
	buf_free(&in);
	buf_free(&first);
}

/* Answers in reverse order: each has its own id and the params that were sent, where they were received. */
static void test_session_overtaking(void **state)
{
	struct world world;
	struct buf in = { 0 };
	(void)state;
	world_open(&world, 0);
	for (uint32_t i = 0; i < 300; i++)
		pack_request(&in, i, "m", &i, sizeof i);
	feed(&world, in.ptr, in.len, 1000);
	assert_int_equal(world.waiting_count, 300);
	assert_int_equal(rpc_session_outstanding(world.session), 300);
	while (world.waiting_count)
		answer(&world, world.waiting[--world.waiting_count]);
	assert_int_equal(world.ready, 300);
	collect(&world);
	struct rpc_reader reader = reader_of(world.out.ptr, world.out.len);
	for (uint32_t i = 300; i-- > 0;) {
		struct answer got = answer_read(&reader);
		struct str bin;
		assert_int_equal(got.msgid, i);
		assert_true(rpc_read_bin(&got.result, &bin) && bin.len == sizeof i && memcmp(bin.ptr, &i, sizeof i) == 0);
	}
	assert_int_equal(world.pool->live_blocks, 0);
	buf_free(&in);
	world_close(&world);
}

/* A random stream in random pieces, answered in random order: every request keeps its bytes until it is ended. */
static void test_session_random(void **state)
{
	enum { COUNT = 600 };
	static uint64_t hashes[COUNT];
	struct world world;
	struct buf in = { 0 };
	size_t at = 0, total;
	unsigned char *noise = malloc(400000);
	(void)state;
	for (size_t i = 0; i < 400000; i++)
		noise[i] = (unsigned char)chance(256);
	world_open(&world, 0);
	for (uint32_t i = 0; i < COUNT; i++) {
		size_t len = chance(20) == 0 ? chance(300000) : chance(4) == 0 ? chance(8000) : chance(100);
		size_t from = chance(400000 - len + 1);
		hashes[i] = hash_bytes(noise + from, len);
		pack_request(&in, i, "m", noise + from, len);
	}
	free(noise);
	total = in.len;
	while (at < total || world.waiting_count) {
		size_t piece = chance(10) == 0 ? 300000 : 1 + chance(5000), chunk = 1 + chance(100000);
		at += feed(&world, in.ptr + at, chunk < total - at ? chunk : total - at, piece);
		for (size_t n = chance(40); n && world.waiting_count; n--) {
			size_t pick = chance(world.waiting_count);
			struct rpc_request *request = world.waiting[pick];
			struct rpc_reader params = rpc_params(request);
			struct str bin;
			assert_true(rpc_read_bin(&params, &bin) && hash_bytes(bin.ptr, bin.len) == hashes[request->msgid]);
			world.waiting[pick] = world.waiting[--world.waiting_count];
			answer(&world, request);
		}
		collect(&world);
	}
	assert_int_equal(world.seen, COUNT);
	assert_int_equal(answers_left(&world), COUNT);
	assert_int_equal(world.pool->live_blocks, 0);
	buf_free(&in);
	world_close(&world);
}

/* Big frames in a row: one block, filled from its beginning each time, nothing moved. */
static void test_session_big_frames(void **state)
{
	struct world world;
	struct buf in = { 0 };
	size_t len = 524288;
	char *rows = malloc(len);
	const unsigned char *place = NULL;
	(void)state;
	memset(rows, 5, len);
	pack_request(&in, 7, "ledger.create_transfers", rows, len);
	world_open(&world, 0);
	for (int i = 0; i < 20; i++) {
		feed(&world, in.ptr, in.len, SIZE_MAX);
		assert_int_equal(world.waiting_count, 1);
		if (i > 1)
			assert_ptr_equal(world.waiting[0]->params, place);
		place = world.waiting[0]->params;
		world.waiting_count = 0;
		rpc_reply(world.waiting[0], "\xc0", 1);
	}
	assert_int_equal(world.pool->live_blocks, 0);
	assert_true(world.pool->free_bytes <= 1024 * 1024 + 128 * 1024);
	/* With one in work as well. */
	size_t one = in.len, offered;
	unsigned char *room;
	feed(&world, in.ptr, in.len, SIZE_MAX);
	rpc_session_room(world.session, &room, &offered);
	assert_true(offered >= one);
	rpc_session_received(world.session, 0);
	rpc_reply(world.waiting[--world.waiting_count], "\xc0", 1);
	/* Several at once: a read has room for the whole frame, and hardly more. */
	for (int i = 0; i < 8; i++)
		pack_request(&in, (uint32_t)i, "m", rows, len);
	for (size_t at = 0, size; at < in.len; at += size) {
		rpc_session_room(world.session, &room, &size);
		assert_true(size >= one - 8 * 1024 && size <= one + 8 * 1024);
		size = size < in.len - at ? size : in.len - at;
		memcpy(room, in.ptr + at, size);
		rpc_session_received(world.session, size);
	}
	assert_int_equal(world.waiting_count, 9);
	assert_true(world.pool->live_bytes <= 9 * 1024 * 1024);
	free(rows);
	buf_free(&in);
	world_close(&world);
}

/* An announced length is believed up to a bound. */
static void test_session_announced(void **state)
{
	struct world world;
	(void)state;
	world_open(&world, 0);
	feed(&world, "\x94\x00\x01\xa1m\x91\xc6\x00\xf0\x00\x00...", 14, 14);
	assert_true(rpc_session_partial(world.session));
	unsigned char *room;
	size_t size;
	rpc_session_room(world.session, &room, &size);
	assert_true(size > 100 * 1024 && world.pool->live_bytes <= 2 * 1024 * 1024);
	rpc_session_received(world.session, 0);
	rpc_session_timeout(world.session);
	assert_true(rpc_session_done(world.session) && rpc_session_unread(world.session));
	collect(&world);
	struct rpc_reader reader = reader_of(world.out.ptr, world.out.len);
	struct answer got = answer_read(&reader);
	assert_false(got.has_msgid);
	assert_true(str_eq(got.name, STR("request_timeout")) && got.code == 408);
	world_close(&world);
}

static void test_session_bound_requests(void **state)
{
	struct world world;
	struct buf in = { 0 };
	(void)state;
	world_open(&world, 0);
	for (uint32_t i = 0; i < RPC_OUTSTANDING_MAX + 500; i++)
		pack_request(&in, i, "m", NULL, 0);
	size_t taken = feed(&world, in.ptr, in.len, 100000);
	assert_int_equal(world.waiting_count, RPC_OUTSTANDING_MAX);
	assert_false(rpc_session_wants_read(world.session));
	/* No answer, no progress. */
	collect(&world);
	assert_int_equal(world.seen, RPC_OUTSTANDING_MAX);
	for (size_t i = 0; i < 100; i++)
		answer(&world, world.waiting[--world.waiting_count]);
	collect(&world);
	assert_int_equal(world.seen, RPC_OUTSTANDING_MAX + 100);
	while (world.waiting_count) {
		answer(&world, world.waiting[--world.waiting_count]);
		collect(&world);
		taken += feed(&world, in.ptr + taken, in.len - taken, 100000);
	}
	assert_int_equal(taken, in.len);
	assert_int_equal(answers_left(&world), RPC_OUTSTANDING_MAX + 500);
	buf_free(&in);
	world_close(&world);
}

static void test_session_bound_bytes(void **state)
{
	struct world world;
	struct buf in = { 0 };
	char *body = calloc(1, 8 << 20);
	(void)state;
	world_open(&world, 0);
	pack_request(&in, 1, "m", body, 8 << 20);
	free(body);
	for (int i = 0; i < 8; i++)
		assert_int_equal(feed(&world, in.ptr, in.len, SIZE_MAX), in.len);
	assert_int_equal(world.waiting_count, 8);
	assert_false(rpc_session_wants_read(world.session));
	rpc_reply(world.waiting[--world.waiting_count], "\xc0", 1);
	assert_true(rpc_session_wants_read(world.session));
	buf_free(&in);
	world_close(&world);
}

/* Answers that nobody takes stop further requests. */
static void test_session_bound_output(void **state)
{
	struct world world;
	struct buf in = { 0 };
	(void)state;
	world_open(&world, 0);
	world.at_once = true;
	world.reply_size = 400 * 1024;
	for (uint32_t i = 0; i < 10; i++)
		pack_request(&in, i, "m", NULL, 0);
	feed(&world, in.ptr, in.len, SIZE_MAX);
	assert_int_equal(world.seen, 3);
	assert_false(rpc_session_wants_read(world.session));
	struct buf piece = { 0 };
	assert_true(rpc_session_output(world.session, &piece) > 0);
	assert_int_equal(world.seen, 3);
	buf_free(&piece);
	assert_int_equal(rpc_session_output(world.session, &piece) > 0, true);
	assert_int_equal(world.seen, 6);
	buf_free(&piece);
	collect(&world);
	assert_int_equal(world.seen, 10);
	buf_free(&in);
	world_close(&world);
}

/* Well framed, but no request: an error, and the connection goes on. */
static void test_session_wrong_types(void **state)
{
	static const struct { const char *bytes; size_t len; int msgid; const char *name; } rows[] = {
		{ "\x07", 1, -1, "message_invalid" }, { "\xa1x", 2, -1, "message_invalid" }, { "\x80", 1, -1, "message_invalid" },
		{ "\x90", 1, -1, "message_invalid" }, { "\xc4\x01\xc1", 3, -1, "message_invalid" },
		{ "\x91\x00", 2, -1, "message_invalid" }, { "\x92\x00\x05", 3, 5, "message_invalid" },
		{ "\x93\x00\x05\xa1m", 5, 5, "message_invalid" }, { "\x95\x00\x05\xa1m\x90\x90", 7, 5, "message_invalid" },
		{ "\x94\x00\xff\xa1m\x90", 6, -1, "message_invalid" }, { "\x94\x00\xa1x\xa1m\x90", 7, -1, "message_invalid" },
		{ "\x94\x00\xcf\0\0\0\1\0\0\0\0\xa1m\x90", 14, -1, "message_invalid" },
		{ "\x94\x00\x05\x01\x90", 5, 5, "message_invalid" }, { "\x94\x00\x05\xc4\x01m\x90", 7, 5, "message_invalid" },
		{ "\x94\x00\x05\xa1m\x80", 6, 5, "message_invalid" }, { "\x94\x00\x05\xa1m\xc0", 6, 5, "message_invalid" },
		{ "\x94\x01\x05\xc0\xc0", 5, -1, "message_invalid" }, { "\x94\x03\x05\xa1m\x90", 6, -1, "message_invalid" },
		{ "\x94\xa1x\x05\xa1m\x90", 7, -1, "message_invalid" }, { "\x93\x02\x05\x90", 4, -1, "message_invalid" },
		{ "\x93\x02\xa1m\x01", 5, -1, "message_invalid" }, { "\x94\x02\xa1m\x90\x90", 6, -1, "message_invalid" } };
	struct world world;
	(void)state;
	world_open(&world, 0);
	world.at_once = true;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(feed(&world, rows[i].bytes, rows[i].len, 3), rows[i].len);
		collect(&world);
		struct rpc_reader reader = reader_of(world.out.ptr, world.out.len);
		struct answer got = answer_read(&reader);
		assert_ptr_equal(reader.at, reader.end);
		assert_int_equal(got.has_msgid ? (int)got.msgid : -1, rows[i].msgid);
		assert_true(str_eq(got.name, str_of(rows[i].name)) && got.code == 400 && got.detail.len > 10);
		world.out.len = 0;
	}
	assert_int_equal(world.seen, 0);
	/* The largest id, a request behind all of that. */
	feed(&world, "\x94\x00\xce\xff\xff\xff\xff\xa1m\x90", 10, 100);
	collect(&world);
	struct rpc_reader reader = reader_of(world.out.ptr, world.out.len);
	assert_int_equal(answer_read(&reader).msgid, UINT32_MAX);
	world_close(&world);
}

static void test_session_deep(void **state)
{
	(void)state;
	for (int levels = RPC_DEPTH_MAX; levels <= RPC_DEPTH_MAX + 1; levels++)
		for (int notification = 0; notification < 2; notification++) {
			struct world world;
			struct buf in = { 0 };
			world_open(&world, 0);
			world.at_once = true;
			buf_str(&in, notification ? STR("\x93\x02\xa1m") : STR("\x94\x00\x05\xa1m"));
			for (int i = 0; i < levels; i++)
				buf_lit(&in, "\x91");
			buf_lit(&in, "\x01");
			feed(&world, in.ptr, in.len, 7);
			collect(&world);
			assert_int_equal(world.seen, levels <= RPC_DEPTH_MAX);
			assert_int_equal(answers_left(&world), !notification);
			if (!notification) {
				struct rpc_reader reader = reader_of(world.out.ptr, world.out.len);
				struct answer got = answer_read(&reader);
				assert_int_equal(got.msgid, 5);
				assert_true(str_eq(got.name, levels <= RPC_DEPTH_MAX ? STR("") : STR("params_too_deep")));
			}
			world.seen = world.ended;      /* a refused one ends without having been seen */
			buf_free(&in);
			world_close(&world);
		}
}

static void test_session_notification(void **state)
{
	struct world world;
	(void)state;
	world_open(&world, 0);
	feed(&world, "\x93\x02\xa1m\x91\x01\x93\x02\xa1n\x90", 11, 100);
	assert_int_equal(world.waiting_count, 2);
	assert_true(world.waiting[0]->notification && str_eq(world.waiting[0]->name, STR("m")));
	answer(&world, world.waiting[0]);
	rpc_error(world.waiting[1], 404, "unknown", 3, "not here");
	world.waiting_count = 0;
	collect(&world);
	assert_int_equal(world.out.len, 0);
	assert_int_equal(world.ended, 2);
	world_close(&world);
}

static void test_session_errors(void **state)
{
	struct world world;
	struct rpc_reader reader;
	struct answer got;
	(void)state;
	world_open(&world, 0);
	feed(&world, "\x94\x00\x01\xa1m\x90\x94\x00\x02\xa1m\x90\x94\x00\x03\xa1m\x90", 18, 100);
	rpc_error(world.waiting[0], 422, "unit_unknown", 17, "unit %d", 5);
	rpc_error(world.waiting[1], 404, "not_utf8", -1, "%.*s", 3, "a\xff" "b");
	char longest[2000];
	memset(longest, 'x', sizeof longest);
	rpc_error(world.waiting[2], 400, "long", 0, "%.*s", (int)sizeof longest, longest);
	world.waiting_count = 0;
	collect(&world);
	reader = reader_of(world.out.ptr, world.out.len);
	got = answer_read(&reader);
	assert_true(got.code == 422 && got.index == 17 && str_eq(got.name, STR("unit_unknown")));
	assert_true(str_eq(got.detail, STR("unit 5")));
	got = answer_read(&reader);
	assert_true(got.index == -1 && str_eq(got.detail, STR("a?b")));
	got = answer_read(&reader);
	assert_true(got.index == 0 && got.detail.len == 511);
	world_close(&world);
}

/* What ends a connection: a last error, what was asked before is answered, nothing behind is read. */
static void test_session_ends(void **state)
{
	static const struct { const char *bytes; size_t len; const char *name; int code; } rows[] = {
		{ "\xc1", 1, "frame_broken", 400 }, { "\x94\x00\x01\xc1", 4, "frame_broken", 400 },
		{ "\xdd\xff\xff\xff\xff", 5, "frame_too_large", 413 }, { "\x91\xc6\x7f\xff\xff\xff", 6, "frame_too_large", 413 },
		{ "\xda\x03\xe8", 3, "frame_too_large", 413 } };
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct world world;
		struct buf in = { 0 };
		world_open(&world, 1000);
		pack_request(&in, 1, "m", NULL, 0);
		buf_bytes(&in, rows[i].bytes, rows[i].len);
		pack_request(&in, 2, "m", NULL, 0);
		feed(&world, in.ptr, in.len, SIZE_MAX);
		assert_int_equal(world.waiting_count, 1);
		assert_false(rpc_session_wants_read(world.session));
		assert_false(rpc_session_done(world.session));
		answer(&world, world.waiting[--world.waiting_count]);
		assert_true(rpc_session_done(world.session) && rpc_session_unread(world.session));
		collect(&world);
		assert_int_equal(answers_left(&world), 2);
		struct rpc_reader reader = reader_of(world.out.ptr, world.out.len);
		struct answer got = answer_read(&reader);
		assert_false(got.has_msgid);
		assert_true(str_eq(got.name, str_of(rows[i].name)) && got.code == rows[i].code);
		assert_int_equal(answer_read(&reader).msgid, 1);
		buf_free(&in);
		world_close(&world);
	}
	/* A frame of exactly the limit is none of these. */
	struct world world;
	struct buf in = { 0 };
	static const char body[1000 - 9];
	world_open(&world, 1000);
	pack_request(&in, 1, "m", body, sizeof body);
	assert_int_equal(in.len, 1000);
	feed(&world, in.ptr, in.len, 64);
	assert_int_equal(world.waiting_count, 1);
	buf_free(&in);
	world_close(&world);
}

static void test_session_peer_ends(void **state)
{
	struct world world;
	(void)state;
	world_open(&world, 0);
	feed(&world, "\x94\x00\x01\xa1m\x90\x94\x00\x02", 9, 100);
	rpc_session_end(world.session);
	assert_false(rpc_session_wants_read(world.session) || rpc_session_done(world.session));
	answer(&world, world.waiting[--world.waiting_count]);
	assert_true(rpc_session_done(world.session));
	assert_false(rpc_session_unread(world.session));
	collect(&world);
	assert_int_equal(answers_left(&world), 1);
	world_close(&world);
	/* Whole requests that were held are carried out still. */
	struct buf in = { 0 };
	world_open(&world, 0);
	world.at_once = true;
	world.reply_size = 700 * 1024;
	for (uint32_t i = 0; i < 6; i++)
		pack_request(&in, i, "m", NULL, 0);
	feed(&world, in.ptr, in.len, SIZE_MAX);
	rpc_session_end(world.session);
	assert_int_equal(world.seen, 2);
	assert_false(rpc_session_done(world.session));
	collect(&world);
	assert_int_equal(world.seen, 6);
	assert_true(rpc_session_done(world.session));
	buf_free(&in);
	world_close(&world);
}

static void test_session_shutdown(void **state)
{
	struct world world;
	(void)state;
	world_open(&world, 0);
	rpc_session_shutdown(world.session);
	assert_true(rpc_session_done(world.session));
	assert_false(rpc_session_unread(world.session));
	world_close(&world);
	/* Who waits for an answer may have sent more. */
	world_open(&world, 0);
	feed(&world, "\x94\x00\x01\xa1m\x90", 6, 100);
	rpc_session_shutdown(world.session);
	answer(&world, world.waiting[--world.waiting_count]);
	assert_true(rpc_session_done(world.session) && rpc_session_unread(world.session));
	world_close(&world);
	/* Half a frame is waited for; what comes behind it is not taken. */
	world_open(&world, 0);
	feed(&world, "\x94\x00\x01\xa1m\x90\x94\x00\x02", 9, 100);
	rpc_session_shutdown(world.session);
	assert_true(rpc_session_wants_read(world.session));
	feed(&world, "\xa1m\x90\x94\x00\x03\xa1m\x90", 9, 100);
	assert_int_equal(world.waiting_count, 2);
	assert_false(rpc_session_wants_read(world.session) || rpc_session_done(world.session));
	while (world.waiting_count)
		answer(&world, world.waiting[--world.waiting_count]);
	assert_true(rpc_session_done(world.session) && rpc_session_unread(world.session));
	world_close(&world);
}

static void test_session_gone(void **state)
{
	struct world world;
	(void)state;
	world_open(&world, 0);
	feed(&world, "\x94\x00\x01\xa1m\x90\x94\x00\x02\xa1m\x90\x94", 13, 100);
	rpc_session_detach(world.session);
	world.session = NULL;
	assert_int_equal(world.waiting_count, 2);
	answer(&world, world.waiting[1]);
	world.waiting_count = 1;
	assert_int_equal(world.ready, 0);
	assert_true(world.pool->live_requests == 1);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_every_byte),
		cmocka_unit_test(test_frame_cuts),
		cmocka_unit_test(test_frame_random),
		cmocka_unit_test(test_frame_limits),
		cmocka_unit_test(test_read_integers),
		cmocka_unit_test(test_read_kinds),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_pack_forms),
		cmocka_unit_test(test_json_there_and_back),
		cmocka_unit_test(test_json_refused),
		cmocka_unit_test(test_session_pieces),
		cmocka_unit_test(test_session_overtaking),
		cmocka_unit_test(test_session_random),
		cmocka_unit_test(test_session_big_frames),
		cmocka_unit_test(test_session_announced),
		cmocka_unit_test(test_session_bound_requests),
		cmocka_unit_test(test_session_bound_bytes),
		cmocka_unit_test(test_session_bound_output),
		cmocka_unit_test(test_session_wrong_types),
		cmocka_unit_test(test_session_deep),
		cmocka_unit_test(test_session_notification),
		cmocka_unit_test(test_session_errors),
		cmocka_unit_test(test_session_ends),
		cmocka_unit_test(test_session_peer_ends),
		cmocka_unit_test(test_session_shutdown),
		cmocka_unit_test(test_session_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
