// SPDX-License-Identifier: Apache-2.0
/* change.c - catalog changes as bytes.
 *
 * A version byte, then fields: tag (1 byte), length (4 bytes), content; integers are 8 bytes, all little-endian.  A
 * reader skips tags that it does not know, so later versions may add some; a tag may come once.  Bytes are trusted by
 * nobody: a change that decodes can be applied without harm.
 */
#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/catalog/catalog.h"

enum { CHANGE_VERSION = 1, HEAD_SIZE = 5 };
enum { TAG_OP = 1, TAG_KIND, TAG_ID, TAG_VERSION, TAG_TENANT, TAG_TIME, TAG_CREATED, TAG_JSON, TAG_STATE,
       TAG_ACTOR, TAG_PREVIOUS, TAG_TENANT_PREVIOUS, TAGS };

/* Years 0 to 9999: what RFC 3339 can write. */
#define TIME_MIN INT64_C(-62167219200000)
#define TIME_MAX INT64_C(253402300799999)

static void put_number(struct buf *out, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		buf_char(out, (char)(value >> 8 * i));
}

static uint64_t get_number(const unsigned char *bytes, unsigned size)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

static void put_integer(struct buf *out, unsigned tag, uint64_t value)
{
	put_number(out, tag, 1);
	put_number(out, 8, 4);
	put_number(out, value, 8);
}

static void put_text(struct buf *out, unsigned tag, struct str text)
{
	ASSERT(text.len <= UINT32_MAX);
	put_number(out, tag, 1);
	put_number(out, text.len, 4);
	buf_str(out, text);
}

void catalog_change_encode(const struct catalog_change *change, struct buf *out)
{
	put_number(out, CHANGE_VERSION, 1);
	put_integer(out, TAG_OP, (uint64_t)change->op);
	put_integer(out, TAG_ID, change->id);
	if (change->op == CATALOG_MARK)
		return;
	put_integer(out, TAG_KIND, change->kind);
	put_integer(out, TAG_VERSION, change->version);
	put_text(out, TAG_TENANT, change->tenant);
	put_integer(out, TAG_TIME, (uint64_t)change->time_ms);
	put_integer(out, TAG_CREATED, (uint64_t)change->created_ms);
	if (change->state.len)
		put_text(out, TAG_STATE, change->state);
	if (change->op == CATALOG_PUT)
		put_text(out, TAG_JSON, change->json);
	if (!change->audited)
		return;
	put_text(out, TAG_ACTOR, change->actor);
	put_integer(out, TAG_PREVIOUS, change->previous);
	put_integer(out, TAG_TENANT_PREVIOUS, change->tenant_previous);
}

static bool utf8_valid(struct str text)
{
	for (size_t i = 0; i < text.len;) {
		unsigned char c = (unsigned char)text.ptr[i];
		size_t len = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
		uint32_t point = c < 0x80 ? c : c & (0xFFu >> (len + 1));
		if ((c >= 0x80 && c < 0xC2) || c > 0xF4 || len > text.len - i)
			return false;
		for (size_t j = 1; j < len; j++) {
			unsigned char next = (unsigned char)text.ptr[i + j];
			if ((next & 0xC0) != 0x80)
				return false;
			point = point << 6 | (next & 0x3Fu);
		}
		if ((len == 3 && point < 0x800) || (len == 4 && point < 0x10000) || point > 0x10FFFF ||
		    (point >= 0xD800 && point <= 0xDFFF))
			return false;
		i += len;
	}
	return true;
}

static bool object_valid(struct str text)
{
	struct json_error error;
	/* The text is pasted into answers between its braces, so no space around it. */
	if (text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}')
		return false;
	yyjson_doc *doc = json_read(text, &error);
	bool good = doc != NULL && (yyjson_obj_size(yyjson_doc_get_root(doc)) > 0 || text.len == 2);
	yyjson_doc_free(doc);
	return good;
}

bool catalog_change_decode(const void *bytes, size_t len, struct catalog_change *change)
{
	const unsigned char *at = bytes, *end = at + len;
	uint64_t numbers[TAGS] = { 0 };
	struct str texts[TAGS] = { 0 };
	unsigned seen = 0;
	*change = (struct catalog_change){ 0 };
	if (!len || *at++ != CHANGE_VERSION)
		return false;
	while (at < end) {
		if (end - at < HEAD_SIZE)
			return false;
		unsigned tag = at[0];
		size_t size = (size_t)get_number(at + 1, 4);
		at += HEAD_SIZE;
		if (!tag || size > (size_t)(end - at) || (tag < TAGS && seen & 1u << tag))
			return false;
		if (tag == TAG_TENANT || tag == TAG_JSON || tag == TAG_STATE || tag == TAG_ACTOR)
			texts[tag] = (struct str){ (const char *)at, size };
		else if (tag < TAGS && size != 8)
			return false;
		else if (tag < TAGS)
			numbers[tag] = get_number(at, 8);
		if (tag < TAGS)
			seen |= 1u << tag;
		at += size;
	}
	const unsigned mark = 1u << TAG_OP | 1u << TAG_ID;
	const unsigned common = mark | 1u << TAG_KIND | 1u << TAG_VERSION | 1u << TAG_TENANT | 1u << TAG_TIME |
				1u << TAG_CREATED;
	const unsigned needed[] = { 0, common | 1u << TAG_JSON, common, mark, common | 1u << TAG_STATE };
	const unsigned audit = 1u << TAG_ACTOR | 1u << TAG_PREVIOUS | 1u << TAG_TENANT_PREVIOUS;
	const unsigned may[] = { 0, 1u << TAG_STATE | audit, audit, 0, 0 };
	if (!numbers[TAG_OP] || numbers[TAG_OP] > CATALOG_STATE ||
	    (seen & ~may[numbers[TAG_OP]]) != (needed[numbers[TAG_OP]] & ~may[numbers[TAG_OP]]))
		return false;
	change->op = (enum catalog_op)numbers[TAG_OP];
	change->id = numbers[TAG_ID];
	if (change->op == CATALOG_MARK)
		return true;
	change->kind = numbers[TAG_KIND] <= KIND_NUMBER_MAX ? (unsigned)numbers[TAG_KIND] : 0;
	change->version = numbers[TAG_VERSION];
	change->tenant = texts[TAG_TENANT];
	change->time_ms = (int64_t)numbers[TAG_TIME];
	change->created_ms = (int64_t)numbers[TAG_CREATED];
	change->json = texts[TAG_JSON];
	change->state = texts[TAG_STATE];
	change->audited = (seen & audit) != 0;
	if (change->audited && ((seen & audit) != audit || !utf8_valid(texts[TAG_ACTOR])))
		return false;
	change->actor = texts[TAG_ACTOR];
	change->previous = numbers[TAG_PREVIOUS];
	change->tenant_previous = numbers[TAG_TENANT_PREVIOUS];
	return kind_by_number(change->kind) && change->id && change->version && change->tenant.len &&
	       utf8_valid(change->tenant) && change->time_ms >= TIME_MIN && change->time_ms <= TIME_MAX &&
	       change->created_ms >= TIME_MIN && change->created_ms <= TIME_MAX &&
	       (change->op != CATALOG_PUT || object_valid(change->json)) &&
	       (!(seen & 1u << TAG_STATE) || object_valid(change->state));
}

void catalog_change_free(struct catalog_change *change)
{
	mem_free(change->owned);
	mem_free(change->owned_state);
	*change = (struct catalog_change){ 0 };
}
