// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/methods.h"

#include <string.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "net/rpc/json.h"
#include "net/rpc/rpc.h"

/* ---- the list ----------------------------------------------------------------------------------------------------------------- */

static struct reference *all;
static size_t all_count, route_count;

static bool ends_with(struct str text, struct str end)
{
	return text.len >= end.len && !memcmp(text.ptr + text.len - end.len, end.ptr, end.len);
}

static void method_add(const struct rpc_method *method, struct route *route)
{
	bool writes = ends_with(str_of(method->permission), STR(".write"));
	*route = (struct route){ .method = writes ? "POST" : "GET", .path = "/", .command = method->name, .doc = method->doc };
	all[all_count++] = (struct reference){
		.route = route, .name = method->name, .tag = method->name, .described = true, .body = method->params,
		.answers = { { .status = 200, .doc = method->doc } },
	};
}

const struct reference *commands(size_t *count)
{
	if (!all) {
		size_t methods;
		const struct reference *first = references(&route_count);
		const struct rpc_method *const *list = rpc_methods(&methods);
		all = mem_zalloc((route_count + methods) * sizeof *all);
		struct route *routes = mem_zalloc(methods * sizeof *routes);
		memcpy(all, first, route_count * sizeof *all);
		all_count = route_count;
		for (size_t m = 0; m < methods; m++)
			if (list[m]->params)
				method_add(list[m], &routes[m]);
	}
	*count = all_count;
	return all;
}

bool command_is_method(size_t index)
{
	return index >= route_count;
}

bool command_repeats(const struct reference *reference)
{
	for (const struct answer *answer = reference->answers; answer->status; answer++)
		if (answer->status == 200 && answer->doc && (strstr(answer->doc, "repeat") || strstr(answer->doc, "was there")))
			return true;
	return false;
}

size_t command_find(struct str name)
{
	size_t count;
	const struct reference *list = commands(&count);
	for (size_t i = 0; i < count; i++)
		if (str_eq(str_of(list[i].name), name))
			return i;
	return SIZE_MAX;
}

/* ---- marks -------------------------------------------------------------------------------------------------------------------- */

static unsigned digit_of(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static bool bin_pack(struct buf *out, struct str text)
{
	const size_t mark = sizeof MARK_BIN - 1;
	if (text.len < mark || memcmp(text.ptr, MARK_BIN, mark) != 0 || text.len % 2)
		return false;
	for (size_t i = mark; i < text.len; i++)
		if (!strchr("0123456789abcdef", text.ptr[i]))
			return false;
	unsigned char *room = pack_bin_room(out, (text.len - mark) / 2);
	for (size_t i = mark; i < text.len; i += 2)
		*room++ = (unsigned char)(digit_of(text.ptr[i]) << 4 | digit_of(text.ptr[i + 1]));
	return true;
}

void pack_marked(struct buf *out, yyjson_val *value)
{
	size_t i, max;
	yyjson_val *key, *item;
	if (yyjson_is_arr(value)) {
		pack_array(out, yyjson_arr_size(value));
		yyjson_arr_foreach(value, i, max, item)
			pack_marked(out, item);
	} else if (yyjson_is_obj(value)) {
		pack_map(out, yyjson_obj_size(value));
		yyjson_obj_foreach(value, i, max, key, item) {
			pack_text(out, json_text(key));
			pack_marked(out, item);
		}
	} else if (!yyjson_is_str(value) || !bin_pack(out, json_text(value))) {
		pack_json(out, value);
	}
}

static void id_write(struct buf *out, const char *bytes)
{
	buf_char(out, '"');
	for (unsigned i = 16; i-- > 0;)
		buf_printf(out, "%02x", (unsigned char)bytes[i]);
	buf_char(out, '"');
}

/* One id, or many where the name says so; else as it is. */
static void bin_write(struct buf *out, struct str bin, struct str name)
{
	bool many = ends_with(name, STR("ids")) && bin.len % 16 == 0;
	if (bin.len == 16 && !ends_with(name, STR("s"))) {
		id_write(out, bin.ptr);
		return;
	}
	buf_char(out, many ? '[' : '"');
	if (!many && bin.len)
		buf_lit(out, MARK_BIN);
	for (size_t i = 0; i < bin.len; i += many ? 16 : 1) {
		if (many && i)
			buf_char(out, ',');
		if (many)
			id_write(out, bin.ptr + i);
		else
			buf_printf(out, "%02x", (unsigned char)bin.ptr[i]);
	}
	buf_char(out, many ? ']' : '"');
}

bool json_marked(struct buf *out, struct rpc_reader *reader, struct str name)
{
	const char *wrong;
	uint32_t count;
	struct str text;
	bool map = rpc_read_map(reader, &count), array = !map && rpc_read_array(reader, &count);
	if (!map && !array && !rpc_read_bin(reader, &text))
		return json_from_rpc(out, reader, &wrong);
	if (!map && !array) {
		bin_write(out, text, name);
		return true;
	}
	buf_char(out, map ? '{' : '[');
	for (uint32_t i = 0; i < count; i++) {
		struct str key = name;
		if (i)
			buf_char(out, ',');
		if (map) {
			if (!rpc_read_str(reader, &key))
				return false;
			buf_json_text(out, key);
			buf_char(out, ':');
		}
		if (!json_marked(out, reader, key))
			return false;
	}
	buf_char(out, map ? '}' : ']');
	return true;
}
