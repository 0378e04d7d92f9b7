// SPDX-License-Identifier: Apache-2.0
/* csv_map.c - from rows to the JSON that the API takes.
 *
 * The header is looked at once: every field of the document becomes a slot that names its column or holds its constant.
 * Rows are then written slot by slot: first the plain fields, then the payload's object.
 */
#include "engine/base/csv.h"

#include "engine/base/json.h"
#include "engine/base/mem.h"

enum slot_type {
	SLOT_TEXT,                     /* a JSON text at the top */
	SLOT_TYPED,                    /* number, literal or text at the top */
	SLOT_TAGS,                     /* an array of texts */
	SLOT_PAYLOAD,                  /* the cell is a JSON object */
	SLOT_PAYLOAD_MEMBER,           /* payload.NAME */
};

struct slot {
	enum slot_type type;
	bool required;
	struct str name;               /* owned; the JSON key (NAME of payload.NAME) */
	struct str constant;           /* owned; ptr NULL: taken from the column */
	size_t column;
};

struct csv_map {
	enum csv_kind kind;
	size_t columns;                /* fields that each row has to have */
	struct slot *slots;
	size_t count;
	struct buf ignored;
};

struct field { const char *name; enum slot_type type; bool required; };

static const struct field event_fields[] = {
	{ "brand", SLOT_TEXT, true },     { "profileId", SLOT_TEXT, true }, { "eventType", SLOT_TEXT, true },
	{ "eventId", SLOT_TEXT, true },   { "source", SLOT_TEXT, false },   { "payload", SLOT_PAYLOAD, false },
};
static const struct field customer_fields[] = {
	{ "brand", SLOT_TEXT, true },     { "profileId", SLOT_TEXT, true }, { "status", SLOT_TEXT, false },
	{ "tags", SLOT_TAGS, false },     { "gender", SLOT_TEXT, false },   { "birthdate", SLOT_TEXT, false },
	{ "name", SLOT_TEXT, false },     { "email", SLOT_TEXT, false },    { "phone", SLOT_TEXT, false },
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool utf8_valid(struct str text)
{
	const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;

	while (at < end) {
		unsigned c = *at++, more, least;
		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c <= 0xdf) {
			more = 1, least = 0x80, c &= 0x1f;
		} else if (c >= 0xe0 && c <= 0xef) {
			more = 2, least = 0x800, c &= 0x0f;
		} else if (c >= 0xf0 && c <= 0xf4) {
			more = 3, least = 0x10000, c &= 0x07;
		} else {
			return false;
		}
		if ((size_t)(end - at) < more)
			return false;
		for (; more; more--, at++) {
			if ((*at & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*at & 0x3fu);
		}
		if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return true;
}

static struct str str_copy(struct str text)
{
	return (struct str){ mem_dup(text.len ? text.ptr : "", text.len), text.len };
}

/* The slot that a field's name asks for.  False: it is no field of this kind. */
static bool slot_of(enum csv_kind kind, struct str name, struct slot *slot)
{
	const struct field *fields = kind == CSV_EVENTS ? event_fields : customer_fields;
	size_t count = kind == CSV_EVENTS ? COUNT(event_fields) : COUNT(customer_fields);
	struct str member = STR("payload.");

	for (size_t i = 0; i < count; i++) {
		if (str_eq(name, str_of(fields[i].name))) {
			*slot = (struct slot){ .type = fields[i].type, .required = fields[i].required, .name = name };
			return true;
		}
	}
	if (kind == CSV_CUSTOMERS) {
		*slot = (struct slot){ .type = SLOT_TYPED, .name = name };
		return name.len > 0;
	}
	if (name.len > member.len && memcmp(name.ptr, member.ptr, member.len) == 0) {
		*slot = (struct slot){ .type = SLOT_PAYLOAD_MEMBER };
		slot->name = (struct str){ name.ptr + member.len, name.len - member.len };
		return true;
	}
	return false;
}

static struct slot *slot_find(struct csv_map *map, const struct slot *wanted)
{
	for (size_t i = 0; i < map->count; i++) {
		struct slot *slot = &map->slots[i];
		if (str_eq(slot->name, wanted->name) &&
		    (slot->type == SLOT_PAYLOAD_MEMBER) == (wanted->type == SLOT_PAYLOAD_MEMBER))
			return slot;
	}
	return NULL;
}

static void slot_add(struct csv_map *map, struct slot slot)
{
	map->slots = mem_realloc(map->slots, (map->count + 1) * sizeof(*map->slots));
	slot.name = str_copy(slot.name);
	if (slot.constant.ptr)
		slot.constant = str_copy(slot.constant);
	map->slots[map->count++] = slot;
}

static void map_constants(struct csv_map *map, const struct csv_pair *pairs, size_t count, struct faults *faults)
{
	struct slot slot;

	for (size_t i = 0; i < count; i++) {
		struct str name = pairs[i].name;
		if (!utf8_valid(name) || !utf8_valid(pairs[i].value) || !slot_of(map->kind, name, &slot)) {
			faults_add(faults, "", "\"%.*s\" is no field that can be set", (int)name.len, name.ptr);
			continue;
		}
		if (slot_find(map, &slot)) {
			faults_add(faults, "", "the field \"%.*s\" is set twice", (int)name.len, name.ptr);
			continue;
		}
		slot.constant = pairs[i].value.len ? pairs[i].value : STR("");
		slot_add(map, slot);
	}
}

static void map_column(struct csv_map *map, size_t column, struct str name, bool renamed, struct faults *faults)
{
	struct slot slot;

	if (!utf8_valid(name)) {
		faults_add(faults, "", "the name of column %zu is not UTF-8", column + 1);
		return;
	}
	if (!slot_of(map->kind, name, &slot)) {
		if (renamed) {
			faults_add(faults, "", "\"%.*s\" is no field that a column can be mapped to", (int)name.len,
				name.ptr);
			return;
		}
		if (map->ignored.len)
			buf_lit(&map->ignored, ", ");
		buf_str(&map->ignored, name);
		return;
	}
	struct slot *other = slot_find(map, &slot);
	if (other && other->constant.ptr)
		return;
	if (other) {
		faults_add(faults, "", "two columns give the field \"%.*s\"", (int)name.len, name.ptr);
		return;
	}
	slot.column = column;
	slot_add(map, slot);
}

static void map_columns(struct csv_map *map, const struct csv_row *header, const struct csv_pair *renames, size_t count,
			struct faults *faults)
{
	for (size_t r = 0; r < count; r++) {
		bool found = false;
		for (size_t i = 0; i < header->count; i++)
			found = found || str_eq(header->fields[i], renames[r].name);
		if (!found)
			faults_add(faults, "", "there is no column \"%.*s\" to map", (int)renames[r].name.len,
				   renames[r].name.ptr);
	}
	for (size_t i = 0; i < header->count; i++) {
		bool renamed = false;
		for (size_t r = 0; r < count; r++) {
			if (str_eq(header->fields[i], renames[r].name)) {
				map_column(map, i, renames[r].value, true, faults);
				renamed = true;
			}
		}
		if (!renamed)
			map_column(map, i, header->fields[i], false, faults);
	}
}

struct csv_map *csv_map_new(enum csv_kind kind, const struct csv_row *header, const struct csv_pair *renames,
			    size_t rename_count, const struct csv_pair *constants, size_t constant_count,
			    struct faults *faults)
{
	struct csv_map *map = mem_zalloc(sizeof(*map));
	const struct field *fields = kind == CSV_EVENTS ? event_fields : customer_fields;
	size_t count = kind == CSV_EVENTS ? COUNT(event_fields) : COUNT(customer_fields);
	size_t before = faults->count + faults->more;

	map->kind = kind;
	map->columns = header->count;
	map_constants(map, constants, constant_count, faults);
	map_columns(map, header, renames, rename_count, faults);
	for (size_t i = 0; i < count; i++) {
		struct slot slot = { .type = fields[i].type, .name = str_of(fields[i].name) };
		if (fields[i].required && !slot_find(map, &slot))
			faults_add(faults, "", "the column \"%s\" is missing", fields[i].name);
	}
	if (faults->count + faults->more > before) {
		csv_map_free(map);
		return NULL;
	}
	buf_char(&map->ignored, '\0');
	return map;
}

void csv_map_free(struct csv_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->count; i++) {
		mem_free((char *)map->slots[i].name.ptr);
		mem_free((char *)map->slots[i].constant.ptr);
	}
	mem_free(map->slots);
	buf_free(&map->ignored);
	mem_free(map);
}

const char *csv_map_ignored(const struct csv_map *map)
{
	return map->ignored.ptr;
}

/* JSON's number syntax, and an integer of at most 18 digits (a longer one is an identifier, not a quantity). */
static bool is_number(struct str text)
{
	const char *at = text.ptr, *end = at + text.len, *digits;
	bool integer = true;

	if (at < end && *at == '-')
		at++;
	digits = at;
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	if (at == digits || (*digits == '0' && at - digits > 1))
		return false;
	size_t whole = (size_t)(at - digits);
	if (at < end && *at == '.') {
		integer = false;
		digits = ++at;
		while (at < end && *at >= '0' && *at <= '9')
			at++;
		if (at == digits)
			return false;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		integer = false;
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		digits = at;
		while (at < end && *at >= '0' && *at <= '9')
			at++;
		if (at == digits)
			return false;
	}
	return at == end && (!integer || whole <= 18);
}

static void typed_write(struct buf *out, struct str text)
{
	if (is_number(text) || str_eq(text, STR("true")) || str_eq(text, STR("false")) || str_eq(text, STR("null")))
		buf_str(out, text);
	else
		buf_json_text(out, text);
}

static struct str trim(struct str text)
{
	while (text.len && (*text.ptr == ' ' || *text.ptr == '\t' || *text.ptr == '\n' || *text.ptr == '\r'))
		text.ptr++, text.len--;
	while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
		text.len--;
	return text;
}

static void tags_write(struct buf *out, struct str cell)
{
	bool first = true;

	buf_char(out, '[');
	for (size_t at = 0; at <= cell.len;) {
		size_t end = at;
		while (end < cell.len && cell.ptr[end] != ';' && cell.ptr[end] != '|')
			end++;
		struct str tag = trim((struct str){ cell.ptr + at, end - at });
		if (tag.len) {
			if (!first)
				buf_char(out, ',');
			buf_json_text(out, tag);
			first = false;
		}
		at = end + 1;
	}
	buf_char(out, ']');
}

static struct str slot_value(const struct slot *slot, const struct csv_row *row)
{
	return slot->constant.ptr ? slot->constant : row->fields[slot->column];
}

/* The members of a payload given as a JSON object, without its braces.  False with a fault. */
static bool payload_members(struct buf *out, struct str cell, struct faults *faults)
{
	struct json_error error = { 0 };
	yyjson_doc *doc = json_read(cell, &error);

	if (!doc) {
		faults_add(faults, "/payload", "%s", error.detail);
		return false;
	}
	bool object = yyjson_is_obj(yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	if (!object) {
		faults_add(faults, "/payload", "expected a JSON object");
		return false;
	}
	cell = trim(cell);
	buf_str(out, trim((struct str){ cell.ptr + 1, cell.len - 2 }));
	return true;
}

static bool payload_write(const struct csv_map *map, const struct csv_row *row, struct buf *out, struct faults *faults)
{
	size_t begin;

	buf_lit(out, "\"payload\":{");
	begin = out->len;
	for (size_t i = 0; i < map->count; i++) {
		struct str value = slot_value(&map->slots[i], row);
		if (map->slots[i].type == SLOT_PAYLOAD && value.len && !payload_members(out, value, faults))
			return false;
	}
	for (size_t i = 0; i < map->count; i++) {
		struct str value = slot_value(&map->slots[i], row);
		if (map->slots[i].type != SLOT_PAYLOAD_MEMBER || !value.len)
			continue;
		if (out->len > begin)
			buf_char(out, ',');
		buf_json_text(out, map->slots[i].name);
		buf_char(out, ':');
		typed_write(out, value);
	}
	buf_char(out, '}');
	return true;
}

static void top_write(const struct slot *slot, struct str value, struct buf *out)
{
	buf_json_text(out, slot->name);
	buf_char(out, ':');
	if (slot->type == SLOT_TAGS)
		tags_write(out, value);
	else if (slot->type == SLOT_TYPED)
		typed_write(out, value);
	else
		buf_json_text(out, value);
}

bool csv_map_json(const struct csv_map *map, const struct csv_row *row, struct buf *out, struct faults *faults)
{
	size_t begin = out->len, before = faults->count + faults->more;

	if (row->count != map->columns) {
		faults_add(faults, "", "%zu fields where the header has %zu", row->count, map->columns);
		return false;
	}
	buf_char(out, '{');
	for (size_t i = 0; i < map->count; i++) {
		const struct slot *slot = &map->slots[i];
		struct str value = slot_value(slot, row);
		if (!utf8_valid(value)) {
			faults_add(faults, "", "the field \"%.*s\" is not UTF-8", (int)slot->name.len, slot->name.ptr);
			continue;
		}
		if (slot->type == SLOT_PAYLOAD || slot->type == SLOT_PAYLOAD_MEMBER)
			continue;
		if (!value.len) {
			if (slot->required)
				faults_add(faults, "", "the field \"%.*s\" is empty", (int)slot->name.len,
					slot->name.ptr);
			continue;
		}
		if (out->len > begin + 1)
			buf_char(out, ',');
		top_write(slot, value, out);
	}
	if (faults->count + faults->more == before && map->kind == CSV_EVENTS) {
		if (out->len > begin + 1)
			buf_char(out, ',');
		payload_write(map, row, out, faults);
	}
	if (faults->count + faults->more > before) {
		out->len = begin;
		return false;
	}
	buf_char(out, '}');
	return true;
}
