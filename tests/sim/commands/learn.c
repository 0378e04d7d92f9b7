// SPDX-License-Identifier: Apache-2.0
/* learn.c - what answers show is there to be used: values under their names, ids for the operations that take them, scenes. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/json.h"
#include "engine/catalog/action.h"
#include "tests/sim/commands/generate.h"

static void learn_links(struct generator *generator, const struct reference *reference, yyjson_val *root)
{
	struct str id = json_text(json_get(root, STR("id")));
	if (reference->links) {
		char name[POOL_NAME];
		pool_made(&generator->pool, id);
		link_name(name, str_of(reference->tag));
		pool_add(&generator->pool, str_of(name), id, POOL_STRING, false);
	}
	for (const char *at = reference->links; at && *at && id.len;) {
		char name[POOL_NAME];
		size_t len = strcspn(at, " ");
		link_name(name, (struct str){ at, len });
		pool_add(&generator->pool, str_of(name), id, POOL_STRING, false);
		at += len + (at[len] == ' ');
	}
}

/* What a list of operations of one tag shows is theirs, and so is what goes by their name elsewhere: bonus_award_id. */
static void learn_tags(struct generator *generator, const struct reference *reference, yyjson_val *value, bool listed)
{
	size_t i, max, count;
	yyjson_val *key, *item;
	char name[POOL_NAME];
	yyjson_arr_foreach(value, i, max, item)
		learn_tags(generator, reference, item, listed);
	yyjson_obj_foreach(value, i, max, key, item) {
		struct str text = json_text(key);
		if (!yyjson_is_str(item) && !yyjson_is_num(item)) {
			learn_tags(generator, reference, item, false);
			continue;
		}
		if (listed && str_eq(text, STR("id"))) {
			link_name(name, str_of(reference->tag));
			pool_add(&generator->pool, str_of(name), json_text(item), POOL_STRING, false);
		}
		if (text.len < 4 || text.len > 34 || memcmp(text.ptr + text.len - 3, "_id", 3) != 0)
			continue;
		char tag[POOL_NAME];
		snprintf(tag, sizeof tag, "%.*ss", (int)text.len - 3, text.ptr);
		const struct reference *all = references(&count);
		bool known = false;
		for (size_t r = 0; r < count && !known; r++)
			known = !strcmp(all[r].tag, tag);
		link_name(name, str_of(tag));
		if (known)
			pool_add(&generator->pool, str_of(name), json_text(item), POOL_STRING, false);
	}
}

static void learn_fields(struct generator *generator, const struct field *field, const struct kind *kind, yyjson_val *root)
{
	for (; field && field->name; field++) {
		if (field->type != FIELD_REF || strcmp(field->ref_kind, kind->name) != 0)
			continue;
		struct str text = json_text(json_get(root, str_of(field->ref_key ? field->ref_key : "id")));
		char name[POOL_NAME];
		snprintf(name, sizeof name, "ref%s", field->name);
		pool_add(&generator->pool, str_of(name), text, POOL_STRING, false);
	}
}

/* What fields of other kinds, and arguments of actions, refer to a document by. */
static void learn_kind(struct generator *generator, const struct kind *kind, yyjson_val *root)
{
	const struct kind *other;
	const struct pool_value *brand = pool_of(&generator->pool, STR("brand"), true);
	if (!brand || !str_eq(pool_text(brand), json_text(json_get(root, STR("brand")))) || yyjson_is_false(json_get(root, STR("active"))))
		return;                /* of a brand that few ask for, or asleep */
	for (size_t k = 0; (other = kind_at(k)); k++)
		learn_fields(generator, other->fields, kind, root);
	for (unsigned a = 0; a < ACTION_TYPES; a++)
		learn_fields(generator, action_kinds[a].args, kind, root);
}

void generator_learn(struct generator *generator, const struct request *request, int status, struct str headers, struct str body)
{
	for (size_t at = 0; at < headers.len;) {
		const char *line = headers.ptr + at, *end = memmem(line, headers.len - at, "\r\n", 2);
		size_t len = end ? (size_t)(end - line) : headers.len - at;
		const char *colon = memchr(line, ':', len);
		if (colon && (size_t)(colon - line) + 2 < len) {
			struct str name = { line, (size_t)(colon - line) }, value = { colon + 2, (size_t)(line + len - colon) - 2 };
			static const struct str cursor = { "x-next-cursor", 13 }, size = { "content-length", 14 };
			/* That of the metrics is another after each history, as they are the process's. */
			if (name.len != size.len || strncasecmp(name.ptr, size.ptr, size.len))
				pool_add(&generator->pool, name, value, POOL_STRING, false);
			if (name.len == cursor.len && !strncasecmp(name.ptr, cursor.ptr, cursor.len))
				pool_add(&generator->pool, STR("cursor"), value, POOL_STRING, false);
		}
		at += len + 2;
	}
	if (status >= 300 || body.len > 16384)
		return;
	struct json_error error;
	yyjson_doc *doc = json_read(body, &error);
	yyjson_val *root = yyjson_doc_get_root(doc);
	pool_learn(&generator->pool, STR(""), root, false);
	pool_scene_begin(&generator->pool, root);
	for (size_t i = 0; i < request->part_count; i++)
		pool_scene_say(&generator->pool, str_of(request->parts[i].name), str_of(request->parts[i].text));
	learn_tags(generator, request->reference, root, yyjson_is_arr(root) || json_get(root, STR("items")));
	if (yyjson_is_obj(root))
		learn_links(generator, request->reference, root);
	if (request->reference->route->kind && yyjson_is_obj(root))
		learn_kind(generator, request->reference->route->kind, root);
	yyjson_doc_free(doc);
}
