// SPDX-License-Identifier: Apache-2.0
/* payload.c - MessagePack to JSON text and values in one pass.
 *
 * yyjson's immutable values lie one behind the other: a container, then what is in it, and `ofs` of a container leads to what
 * is behind it.  They are built in that order here, so a container is closed when its last element is there.
 *
 * A piece that is full is left as it is (digits that values point to stay where they are) and what the payload at hand has
 * so far is copied to the front of a larger one.
 */
#include "net/rpc/payload.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "net/rpc/rpc.h"

enum { PIECE_BYTES = 256 * 1024, NUMBER_TEXT = 32 };

static_assert(sizeof(struct yyjson_val) == 16, "values are built as yyjson lays them out");

struct payload_piece {
	struct payload_piece *next;
	size_t cap, len;               /* bytes */
	_Alignas(16) char bytes[];
};

struct frame {
	uint32_t left;                 /* elements, or pairs, still to come */
	uint32_t at;                   /* index of the container's value */
	bool map, begun;
};

struct writer {
	struct payload_space *space;
	char *text, *text_end, *text_start;            /* in the newest piece of texts */
	struct yyjson_val *value, *value_end, *value_start;
	char *detail;
	size_t detail_size;
};

/* A piece with room for `used` bytes that exist and `more` that come; newest first in *list. */
static struct payload_piece *piece_new(struct payload_piece **list, size_t used, size_t more)
{
	size_t cap = (used + more) * 2 < PIECE_BYTES ? PIECE_BYTES : (used + more) * 2;
	cap = (cap + 15) & ~(size_t)15;
	struct payload_piece *piece = mem_alloc(sizeof *piece + cap);
	*piece = (struct payload_piece){ .next = *list, .cap = cap };
	*list = piece;
	return piece;
}

static void text_grow(struct writer *writer, size_t more)
{
	size_t used = (size_t)(writer->text - writer->text_start);
	struct payload_piece *piece = piece_new(&writer->space->texts, used, more);
	if (used)
		memcpy(piece->bytes, writer->text_start, used);
	writer->text_start = piece->bytes;
	writer->text = piece->bytes + used;
	writer->text_end = piece->bytes + piece->cap;
}

static void text_room(struct writer *writer, size_t more)
{
	if ((size_t)(writer->text_end - writer->text) < more)
		text_grow(writer, more);
}

static struct yyjson_val *value_new(struct writer *writer)
{
	if (writer->value == writer->value_end) {
		size_t used = (size_t)(writer->value - writer->value_start) * sizeof *writer->value;
		struct payload_piece *piece = piece_new(&writer->space->values, used, sizeof *writer->value);
		if (used)
			memcpy(piece->bytes, writer->value_start, used);
		writer->value_start = (struct yyjson_val *)(void *)piece->bytes;
		writer->value = writer->value_start + used / sizeof *writer->value;
		writer->value_end = writer->value_start + piece->cap / sizeof *writer->value;
	}
	return writer->value++;
}

static void scalar(struct writer *writer, uint64_t tag)
{
	struct yyjson_val *value = value_new(writer);
	value->tag = tag;
	value->uni.u64 = 0;
}

/* Digits that were just written to the text become a number. */
static void number(struct writer *writer, size_t len)
{
	struct yyjson_val *value = value_new(writer);
	value->tag = (uint64_t)len << YYJSON_TAG_BIT | YYJSON_TYPE_RAW;
	value->uni.str = writer->text;
	writer->text += len;
}

static size_t digits(uint64_t value, char *out)
{
	char reversed[20];
	size_t len = 0;
	do {
		reversed[len++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	for (size_t i = 0; i < len; i++)
		out[i] = reversed[len - 1 - i];
	return len;
}

/* "-" whole part "." the last `places` digits. */
static size_t fixed_text(int64_t scaled, unsigned places, bool negative, char *out)
{
	char text[24];
	size_t len = digits((uint64_t)scaled, text), at = 0;
	if (negative)
		out[at++] = '-';
	if (!places) {
		memcpy(out + at, text, len);
		memcpy(out + at + len, ".0", 2);
		return at + len + 2;
	}
	if (len <= places) {
		out[at++] = '0';
		out[at++] = '.';
		memset(out + at, '0', places - len);
		memcpy(out + at + places - len, text, len);
		return at + places;
	}
	memcpy(out + at, text, len - places);
	at += len - places;
	out[at++] = '.';
	memcpy(out + at, text + len - places, places);
	return at + places;
}

size_t payload_float(double value, bool narrow, char out[32])
{
	static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
	double size = fabs(value);
	if (!isfinite(value))
		return 0;
	/* An integer below 2^53 divided by a power of ten below 2^53 is rounded once: what reads back is the shortest. */
	for (unsigned places = 0; size < 1e15 && places < sizeof powers / sizeof *powers; places++) {
		double scaled = rint(size * powers[places]);
		if (scaled > 9e15)
			break;
		if (narrow ? (float)(scaled / powers[places]) == (float)size : scaled / powers[places] == size)
			return fixed_text((int64_t)scaled, places, signbit(value), out);
	}
	for (int precision = narrow ? 6 : 15;; precision++) {
		int len = snprintf(out, 32, "%.*g", precision, value);
		if (precision == (narrow ? 9 : 17) || (narrow ? strtof(out, NULL) == (float)value : strtod(out, NULL) == value))
			return (size_t)len;
	}
}

/* A string to the text, escaped where JSON wants it.  False: not UTF-8. */
static bool string_put(struct writer *writer, struct str string)
{
	unsigned char high = 0;
	bool plain = true;
	for (size_t i = 0; i < string.len; i++) {
		unsigned char c = (unsigned char)string.ptr[i];
		high |= c;
		plain &= c >= 0x20 && c != '"' && c != '\\';
	}
	if (high >= 0x80 && !utf8_valid(string))
		return false;
	if (plain) {
		text_room(writer, string.len + 4);
		*writer->text++ = '"';
		if (string.len)
			memcpy(writer->text, string.ptr, string.len);
		writer->text += string.len;
		*writer->text++ = '"';
		return true;
	}
	struct buf escaped = { 0 };
	buf_json_text(&escaped, string);
	text_room(writer, escaped.len + 4);
	memcpy(writer->text, escaped.ptr, escaped.len);
	writer->text += escaped.len;
	buf_free(&escaped);
	return true;
}

static bool fault(struct writer *writer, const char *what)
{
	snprintf(writer->detail, writer->detail_size, "%s", what);
	return false;
}

static bool string(struct writer *writer, struct rpc_reader *reader)
{
	struct str string;
	if (!rpc_read_str(reader, &string))
		return fault(writer, "a key of a map must be a string");
	if (!string_put(writer, string))
		return fault(writer, "a string is not valid UTF-8");
	struct yyjson_val *value = value_new(writer);
	value->tag = (uint64_t)string.len << YYJSON_TAG_BIT | YYJSON_TYPE_STR;
	value->uni.str = string.ptr;
	return true;
}

static bool integer(struct writer *writer, struct rpc_reader *reader)
{
	uint64_t positive;
	int64_t any;
	text_room(writer, NUMBER_TEXT);
	if (rpc_read_u64(reader, &positive)) {
		number(writer, digits(positive, writer->text));
		return true;
	}
	if (!rpc_read_i64(reader, &any))
		return fault(writer, "not a MessagePack object");
	writer->text[0] = '-';
	number(writer, 1 + digits(0 - (uint64_t)any, writer->text + 1));
	return true;
}

static bool real(struct writer *writer, struct rpc_reader *reader)
{
	enum { FLOAT32 = 0xca };
	bool narrow = *reader->at == FLOAT32;
	double value;
	size_t len;
	text_room(writer, NUMBER_TEXT);
	if (!rpc_read_f64(reader, &value))
		return fault(writer, "not a MessagePack object");
	len = payload_float(value, narrow, writer->text);
	if (!len)
		return fault(writer, "a float is NaN or infinite, which JSON does not have");
	number(writer, len);
	return true;
}

static void word(struct writer *writer, struct str text, uint64_t tag)
{
	text_room(writer, text.len);
	memcpy(writer->text, text.ptr, text.len);
	writer->text += text.len;
	scalar(writer, tag);
}

/* One object that is no container. */
static bool leaf(struct writer *writer, struct rpc_reader *reader, enum rpc_type type)
{
	bool yes;
	switch (type) {
	case RPC_NIL:
		rpc_read_nil(reader);
		word(writer, STR("null"), YYJSON_TYPE_NULL);
		return true;
	case RPC_BOOL:
		rpc_read_bool(reader, &yes);
		if (yes)
			word(writer, STR("true"), YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_TRUE);
		else
			word(writer, STR("false"), YYJSON_TYPE_BOOL | YYJSON_SUBTYPE_FALSE);
		return true;
	case RPC_INT: return integer(writer, reader);
	case RPC_FLOAT: return real(writer, reader);
	case RPC_STR: return string(writer, reader);
	case RPC_BIN: return fault(writer, "a binary, which JSON does not have");
	case RPC_EXT: return fault(writer, "an extension type, which JSON does not have");
	default: return fault(writer, "not a MessagePack object");
	}
}

static bool container_end(struct writer *writer, const struct frame *frame)
{
	struct yyjson_val *container = writer->value_start + frame->at;
	struct str duplicate;
	*writer->text++ = frame->map ? '}' : ']';
	container->uni.ofs = (size_t)(writer->value - container) * sizeof *container;
	if (frame->map && json_duplicate_key(container, &duplicate)) {
		snprintf(writer->detail, writer->detail_size, "duplicate key \"%.*s\"",
			 (int)(duplicate.len < 80 ? duplicate.len : 80), duplicate.ptr);
		return false;
	}
	return true;
}

static bool container_begin(struct writer *writer, struct rpc_reader *reader, enum rpc_type type, struct frame *frame)
{
	uint32_t count;
	*frame = (struct frame){ .map = type == RPC_MAP };
	if (type == RPC_MAP ? !rpc_read_map(reader, &count) : !rpc_read_array(reader, &count))
		return fault(writer, "not a MessagePack object");
	frame->left = count;
	struct yyjson_val *value = value_new(writer);
	frame->at = (uint32_t)(value - writer->value_start);
	value->tag = (uint64_t)count << YYJSON_TAG_BIT | (frame->map ? YYJSON_TYPE_OBJ : YYJSON_TYPE_ARR);
	*writer->text++ = frame->map ? '{' : '[';
	return true;
}

/* Everything up to the end of the outermost container. */
static bool tree(struct writer *writer, struct rpc_reader *reader)
{
	struct frame stack[RPC_DEPTH_MAX + 1];
	unsigned depth = 0;
	do {
		text_room(writer, 8);          /* marks of this round: "," ":" and a bracket */
		if (depth && !stack[depth - 1].left) {
			if (!container_end(writer, &stack[--depth]))
				return false;
			continue;
		}
		if (depth) {
			struct frame *frame = &stack[depth - 1];
			frame->left--;
			if (frame->begun)
				*writer->text++ = ',';
			frame->begun = true;
			if (frame->map) {
				if (!string(writer, reader))
					return false;
				*writer->text++ = ':';         /* string_put left room for it */
			}
		}
		enum rpc_type type = rpc_peek(reader);
		if (type != RPC_MAP && type != RPC_ARRAY) {
			if (!leaf(writer, reader, type))
				return false;
			continue;
		}
		if (depth > RPC_DEPTH_MAX)
			return fault(writer, "nested too deep");
		text_room(writer, 8);
		if (!container_begin(writer, reader, type, &stack[depth++]))
			return false;
	} while (depth);
	return true;
}

bool payload_read(struct payload_space *space, struct rpc_reader *reader, yyjson_val **root, struct str *text, char *detail,
		  size_t detail_size)
{
	struct writer writer = { .space = space, .detail = detail, .detail_size = detail_size };
	if (!space->texts)
		piece_new(&space->texts, 0, 0);
	if (!space->values)
		piece_new(&space->values, 0, 0);
	writer.text = writer.text_start = space->texts->bytes + space->texts->len;
	writer.text_end = space->texts->bytes + space->texts->cap;
	writer.value = writer.value_start = (struct yyjson_val *)(void *)(space->values->bytes + space->values->len);
	writer.value_end = (struct yyjson_val *)(void *)(space->values->bytes + space->values->cap);
	if (rpc_peek(reader) != RPC_MAP)
		return fault(&writer, "not a map");
	if (!tree(&writer, reader))
		return false;                  /* what was written is overwritten by the next */
	space->texts->len = (size_t)(writer.text - space->texts->bytes);
	space->values->len = (size_t)((char *)writer.value - space->values->bytes);
	*root = writer.value_start;
	*text = (struct str){ writer.text_start, (size_t)(writer.text - writer.text_start) };
	return true;
}

static void pieces_free(struct payload_piece *piece)
{
	while (piece) {
		struct payload_piece *next = piece->next;
		mem_free(piece);
		piece = next;
	}
}

static void pieces_reset(struct payload_piece **list, size_t keep)
{
	if (!*list)
		return;
	size_t total = 0;
	for (struct payload_piece *piece = *list; piece; piece = piece->next)
		total += piece->cap;
	bool one = !(*list)->next;
	if (one && total <= keep) {
		(*list)->len = 0;
		return;
	}
	pieces_free(*list);
	*list = NULL;
	if (total <= keep)
		piece_new(list, 0, total / 2);
}

void payload_reset(struct payload_space *space, size_t keep)
{
	pieces_reset(&space->texts, keep / 2);
	pieces_reset(&space->values, keep / 2);
}

void payload_free(struct payload_space *space)
{
	pieces_free(space->texts);
	pieces_free(space->values);
	*space = (struct payload_space){ 0 };
}
