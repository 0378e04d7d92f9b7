// SPDX-License-Identifier: Apache-2.0
/* test_payload.c - MessagePack payloads become the JSON text and the values that json_read makes of that text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "net/rpc/pack.h"
#include "net/rpc/payload.h"

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static bool read_all(struct payload_space *space, const struct buf *packed, yyjson_val **root, struct str *text, char detail[160])
{
	struct rpc_reader reader = { (const unsigned char *)packed->ptr, (const unsigned char *)packed->ptr + packed->len };
	return payload_read(space, &reader, root, text, detail, 160) && reader.at == reader.end;
}

/* The same tree, walked as rules walk it. */
static void same_values(yyjson_val *a, yyjson_val *b)
{
	size_t i, max;
	yyjson_val *key, *item;
	assert_int_equal(yyjson_get_type(a), yyjson_get_type(b));
	switch (yyjson_get_type(a)) {
	case YYJSON_TYPE_BOOL: assert_int_equal(yyjson_get_bool(a), yyjson_get_bool(b)); break;
	case YYJSON_TYPE_RAW: assert_true(str_eq(json_raw(a), json_raw(b))); break;
	case YYJSON_TYPE_STR: assert_true(str_eq(json_text(a), json_text(b))); break;
	case YYJSON_TYPE_ARR:
		assert_int_equal(yyjson_arr_size(a), yyjson_arr_size(b));
		yyjson_arr_foreach(a, i, max, item)
			same_values(item, yyjson_arr_get(b, i));
		break;
	case YYJSON_TYPE_OBJ:
		assert_int_equal(yyjson_obj_size(a), yyjson_obj_size(b));
		yyjson_obj_foreach(a, i, max, key, item)
			same_values(item, json_get(b, json_text(key)));
		break;
	default: break;
	}
}

/* The text is valid, minified, and has the values that were built beside it. */
static void agrees(yyjson_val *root, struct str text)
{
	struct json_error error;
	struct buf again = { 0 };
	yyjson_doc *doc = json_read(text, &error);
	if (!doc)
		fail_msg("%s: %.*s", error.detail, (int)text.len, text.ptr);
	same_values(root, yyjson_doc_get_root(doc));
	same_values(yyjson_doc_get_root(doc), root);
	json_write(&again, root);
	assert_true(str_eq(buf_view(&again), text));
	buf_free(&again);
	yyjson_doc_free(doc);
}

static void writes_json(void **state)
{
	struct payload_space space = { 0 };
	struct buf packed = { 0 };
	yyjson_val *root;
	struct str text;
	char detail[160];
	(void)state;
	pack_map(&packed, 9);
	pack_key(&packed, "amount");
	pack_f64(&packed, 99.99);
	pack_key(&packed, "whole");
	pack_f64(&packed, 120);
	pack_key(&packed, "big");
	pack_u64(&packed, UINT64_MAX);
	pack_key(&packed, "small");
	pack_i64(&packed, INT64_MIN);
	pack_key(&packed, "yes");
	pack_bool(&packed, true);
	pack_key(&packed, "none");
	pack_nil(&packed);
	pack_key(&packed, "text");
	pack_text(&packed, STR("a\"b\\\n\x01 \xc3\xa9"));
	pack_key(&packed, "list");
	pack_array(&packed, 3);
	pack_array(&packed, 0);
	pack_map(&packed, 0);
	pack_i64(&packed, -1);
	pack_key(&packed, "");
	pack_bool(&packed, false);
	assert_true(read_all(&space, &packed, &root, &text, detail));
	agrees(root, text);
	assert_true(str_eq(text, STR("{\"amount\":99.99,\"whole\":120.0,\"big\":18446744073709551615,\"small\":-9223372036854775808,"
				     "\"yes\":true,\"none\":null,\"text\":\"a\\\"b\\\\\\n\\u0001 \xc3\xa9\",\"list\":[[],{},-1],"
				     "\"\":false}")));
	payload_free(&space);
	buf_free(&packed);
}

static void writes_floats(void **state)
{
	static const struct { double value; bool narrow; const char *text; } cases[] = {
		{ 0, false, "0.0" }, { -0.0, false, "-0.0" }, { 0.1, false, "0.1" }, { 12.5, false, "12.5" }, { -12.5, false, "-12.5" },
		{ 0.05, false, "0.05" }, { 1e-9, false, "0.000000001" }, { 0.30000000000000004, false, "0.30000000000000004" },
		{ 1e15, false, "1e+15" }, { 123456789012345, false, "123456789012345.0" }, { 1.0 / 3, false, "0.3333333333333333" },
		{ 5e-324, false, "4.94065645841247e-324" }, { DBL_MAX, false, "1.7976931348623157e+308" },
		{ (double)12.1F, true, "12.1" }, { (double)0.1F, true, "0.1" }, { (double)16777216.0F, true, "16777216.0" },
		{ (double)3.4028234e38F, true, "3.40282e+38" }, { (double)-99.99F, true, "-99.99" },
	};
	char out[32];
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		size_t len = payload_float(cases[i].value, cases[i].narrow, out);
		struct str expected = str_of(cases[i].text), found = { out, len };
		/* The last digits of the general form are libc's: only that it reads back counts there. */
		if (!strchr(cases[i].text, 'e') && !str_eq(expected, found))
			fail_msg("expected %s, found %.*s", cases[i].text, (int)len, out);
		out[len] = '\0';
		assert_true(cases[i].narrow ? strtof(out, NULL) == (float)cases[i].value : strtod(out, NULL) == cases[i].value);
	}
	assert_int_equal(payload_float(NAN, false, out), 0);
	assert_int_equal(payload_float(INFINITY, false, out), 0);
	assert_int_equal(payload_float(-INFINITY, true, out), 0);
	/* Any float reads back, of either width. */
	uint64_t seed = 42;
	for (int i = 0; i < 200000; i++) {
		double value;
		float narrow;
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		memcpy(&value, &seed, sizeof value);
		if (i % 2)
			value = (double)(int64_t)(seed >> 40) / 1000;
		if (isfinite(value)) {
			size_t len = payload_float(value, false, out);
			assert_in_range(len, 1, 31);
			out[len] = '\0';
			assert_true(strtod(out, NULL) == value);
		}
		narrow = (float)value;
		if (isfinite(narrow)) {
			size_t len = payload_float((double)narrow, true, out);
			assert_in_range(len, 1, 31);
			out[len] = '\0';
			assert_true(strtof(out, NULL) == narrow);
		}
	}
}

static void refuses_what_json_lacks(void **state)
{
	static const struct { struct str bytes; const char *detail; } cases[] = {
		{ { "\x93\x01\x02\x03", 4 }, "not a map" },
		{ { "\x81\x01\x02", 3 }, "a key of a map must be a string" },
		{ { "\x81\xa1x\xc4\x01y", 6 }, "a binary, which JSON does not have" },
		{ { "\x81\xa1x\xd4\x01y", 6 }, "an extension type, which JSON does not have" },
		{ { "\x82\xa1x\x01\xa1x\x02", 7 }, "duplicate key \"x\"" },
		{ { "\x81\xa1x\x82\xa1y\x01\xa1y\x02", 10 }, "duplicate key \"y\"" },
		{ { "\x81\xa1x\xa1\xff", 5 }, "a string is not valid UTF-8" },
		{ { "\x81\xa1\xc3\x01", 4 }, "a string is not valid UTF-8" },
		{ { "\x81\xa1x\xca\x7f\xc0\x00\x00", 8 }, "a float is NaN or infinite, which JSON does not have" },
		{ { "\x81\xa1x\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 12 }, "a float is NaN or infinite, which JSON does not have" },
	};
	struct payload_space space = { 0 };
	yyjson_val *root;
	struct str text;
	char detail[160];
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct buf bytes = { 0 };
		buf_str(&bytes, cases[i].bytes);
		assert_false(read_all(&space, &bytes, &root, &text, detail));
		assert_string_equal(detail, cases[i].detail);
		buf_free(&bytes);
	}
	payload_free(&space);
}

static uint64_t random_state;

static unsigned random_below(unsigned bound)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(random_state >> 33) % bound;
}

static void random_text(struct buf *out)
{
	static const char *const pieces[] = { "a", "zz", "\"", "\\", "\n", "\x1f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8e\x81", "/" };
	struct buf text = { 0 };
	for (unsigned n = random_below(random_below(20) ? 6 : 400); n; n--)
		buf_str(&text, str_of(pieces[random_below(COUNT_OF(pieces))]));
	pack_text(out, buf_view(&text));
	buf_free(&text);
}

static void random_value(struct buf *out, unsigned depth);

static void random_map(struct buf *out, unsigned depth)
{
	unsigned count = random_below(30) ? random_below(5) : 40;
	pack_map(out, count);
	for (unsigned i = 0; i < count; i++) {
		char key[16];
		pack_text(out, (struct str){ key, (size_t)snprintf(key, sizeof key, "k%u", i) });
		random_value(out, depth + 1);
	}
}

static void random_value(struct buf *out, unsigned depth)
{
	unsigned count;
	switch (random_below(depth > 6 ? 6 : 8)) {
	case 0: pack_nil(out); break;
	case 1: pack_bool(out, random_below(2)); break;
	case 2: pack_u64(out, random_state >> random_below(64)); break;
	case 3: pack_i64(out, -(int64_t)(random_state >> (1 + random_below(63)))); break;
	case 4: pack_f64(out, (double)random_below(1000000) / (1 + random_below(300))); break;
	case 5: random_text(out); break;
	case 6:
		count = random_below(6);
		pack_array(out, count);
		while (count--)
			random_value(out, depth + 1);
		break;
	default: random_map(out, depth);
	}
}

/* Many payloads in one space, through growing pieces; what was given stays where it is until the reset. */
static void survives_growth(void **state)
{
	enum { PAYLOADS = 2000 };
	static struct { yyjson_val *root; struct str text; struct buf packed; } made[PAYLOADS];
	struct payload_space space = { 0 };
	char detail[160];
	(void)state;
	random_state = 1;
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PAYLOADS; i++) {
			made[i].packed.len = 0;
			random_map(&made[i].packed, 0);
			if (!read_all(&space, &made[i].packed, &made[i].root, &made[i].text, detail))
				fail_msg("%s", detail);
		}
		for (unsigned i = 0; i < PAYLOADS; i++)
			agrees(made[i].root, made[i].text);
		payload_reset(&space, round ? 64 * 1024 * 1024 : 1024);
	}
	/* One payload larger than a piece. */
	struct buf packed = { 0 };
	yyjson_val *root;
	struct str text;
	pack_map(&packed, 1);
	pack_key(&packed, "list");
	pack_array(&packed, 100000);
	for (unsigned i = 0; i < 100000; i++)
		pack_u64(&packed, i * UINT64_C(1000003));
	assert_true(read_all(&space, &packed, &root, &text, detail));
	agrees(root, text);
	payload_free(&space);
	buf_free(&packed);
	for (unsigned i = 0; i < PAYLOADS; i++)
		buf_free(&made[i].packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_json),
		cmocka_unit_test(writes_floats),
		cmocka_unit_test(refuses_what_json_lacks),
		cmocka_unit_test(survives_growth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
