// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/pool.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "tests/sim/disk.h"

static size_t name_write(char out[POOL_NAME], struct str name)
{
	size_t len = 0;
	for (size_t i = 0; i < name.len && len + 1 < POOL_NAME; i++) {
		char c = name.ptr[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[len++] = c;
	}
	out[len] = '\0';
	return len;
}

static struct pool_name *name_find(struct pool *pool, struct str name, bool make)
{
	char key[POOL_NAME];
	size_t len = name_write(key, name);
	for (size_t at = hash_bytes(key, len) % POOL_NAMES;; at = (at + 1) % POOL_NAMES) {
		struct pool_name *found = &pool->names[at];
		if (!found->name[0]) {
			if (!make || pool->name_count > POOL_NAMES / 2)
				return NULL;
			memcpy(found->name, key, len + 1);
			pool->name_count += len > 0;
			return len ? found : NULL;
		}
		if (!strcmp(found->name, key))
			return found;
	}
}

static bool is_hex(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!strchr("0123456789abcdef", text.ptr[i]))
			return false;
	return text.len > 0;
}

static bool is_digits(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
	return text.len > 0;
}

static enum pool_shape shape_of(struct str text)
{
	if (is_digits(text) && text.len < 21)
		return SHAPE_DIGITS;
	if (text.len == 32 && is_hex(text))
		return SHAPE_HEX32;
	if (text.len == 16 && is_hex(text))
		return SHAPE_HEX16;
	if (text.len == 34 && text.ptr[0] == 'a' && text.ptr[1] == '_')
		return SHAPE_ACCOUNT;
	if (text.len > 17 && text.ptr[16] == '-' && is_hex((struct str){ text.ptr, 16 }))
		return SHAPE_ITEM;
	if (text.len > 19 && text.ptr[4] == '-' && text.ptr[10] == 'T')
		return SHAPE_TIME;
	return SHAPE_WORD;
}

void pool_add(struct pool *pool, struct str name, struct str text, enum pool_kind kind, bool fixed)
{
	struct pool_name *place = name_find(pool, name, true);
	struct pool_value value = { .kind = (uint8_t)kind, .len = (uint8_t)text.len };
	if (!place || !text.len || text.len > POOL_TEXT || memchr(text.ptr, '\0', text.len))
		return;
	memcpy(value.text, text.ptr, text.len);
	for (unsigned i = 0; i < place->count; i++)
		if (place->values[i].len == text.len && !memcmp(place->values[i].text, text.ptr, text.len))
			return;
	unsigned at = place->count;
	if (at < POOL_VALUES)
		place->count++;
	else
		at = place->fixed + (unsigned)disk_chance(&pool->seed, POOL_VALUES - place->fixed);
	if (fixed && at == place->fixed && place->fixed < POOL_VALUES / 2)
		place->fixed++;
	place->values[at] = value;
	if (kind == POOL_JSON || text.len > 40 || memchr(text.ptr, ' ', text.len))
		return;                /* no name or id */
	enum pool_shape shape = shape_of(text);
	pool->recent[shape][pool->recent_count[shape]++ % POOL_RECENT] = value;
}

void pool_learn(struct pool *pool, struct str name, yyjson_val *value, bool fixed)
{
	size_t i, max;
	yyjson_val *key, *item;
	if (yyjson_is_str(value)) {
		pool_add(pool, name, json_text(value), POOL_STRING, fixed);
	} else if (json_is_number(value)) {
		pool_add(pool, name, json_raw(value), POOL_NUMBER, fixed);
	} else if (yyjson_is_arr(value)) {
		yyjson_arr_foreach(value, i, max, item)
			if (i < 8)
				pool_learn(pool, name, item, fixed);
	} else if (yyjson_is_obj(value)) {
		struct buf text = { 0 };
		if (yyjson_obj_size(value) <= 4) {
			json_write(&text, value);
			pool_add(pool, name, buf_view(&text), POOL_JSON, fixed);
			buf_free(&text);
		}
		yyjson_obj_foreach(value, i, max, key, item)
			pool_learn(pool, json_text(key), item, fixed);
	}
}

void pool_steady(struct pool *pool, struct str name)
{
	struct pool_name *place = name_find(pool, name, true);
	if (place)
		place->steady = true;
}

bool pool_is_steady(struct pool *pool, struct str name)
{
	const struct pool_name *place = name_find(pool, name, false);
	return place && place->steady;
}

const struct pool_value *pool_of(struct pool *pool, struct str name, bool first)
{
	const struct pool_name *place = name_find(pool, name, false);
	if (!place || !place->count)
		return NULL;
	return &place->values[first ? 0 : disk_chance(&pool->seed, place->count)];
}

void pool_made(struct pool *pool, struct str id)
{
	enum pool_shape shape = shape_of(id);
	struct pool_value *value = &pool->made[shape][pool->made_count[shape] % POOL_RECENT];
	if (!id.len || id.len > POOL_TEXT)
		return;
	pool->made_count[shape]++;
	*value = (struct pool_value){ .kind = POOL_STRING, .len = (uint8_t)id.len };
	memcpy(value->text, id.ptr, id.len);
}

static const struct pool_value *recent_of(struct pool *pool, enum pool_shape shape)
{
	unsigned made = pool->made_count[shape] < POOL_RECENT ? pool->made_count[shape] : POOL_RECENT;
	if (made && disk_chance(&pool->seed, 3))
		return &pool->made[shape][disk_chance(&pool->seed, made)];
	unsigned count = pool->recent_count[shape] < POOL_RECENT ? pool->recent_count[shape] : POOL_RECENT;
	return count ? &pool->recent[shape][disk_chance(&pool->seed, count)] : NULL;
}

const struct pool_value *pool_like(struct pool *pool, struct str name)
{
	const struct pool_value *one = pool_of(pool, name, false);
	return one && one->kind != POOL_JSON ? recent_of(pool, shape_of(pool_text(one))) : NULL;
}

enum pool_shape pool_shape_of(struct pool *pool, struct str name)
{
	const struct pool_value *one = pool_of(pool, name, true);
	return one && one->kind != POOL_JSON ? shape_of(pool_text(one)) : SHAPE_WORD;
}

const struct pool_value *pool_made_like(struct pool *pool, struct str name)
{
	enum pool_shape shape = pool_shape_of(pool, name);
	unsigned made = pool->made_count[shape] < POOL_RECENT ? pool->made_count[shape] : POOL_RECENT;
	return made && shape < SHAPE_DIGITS ? &pool->made[shape][disk_chance(&pool->seed, made)] : NULL;
}

const struct pool_value *pool_any(struct pool *pool)
{
	return recent_of(pool, (enum pool_shape)disk_chance(&pool->seed, SHAPES));
}

bool pool_is_item(const struct pool_value *value)
{
	return shape_of(pool_text(value)) == SHAPE_ITEM;
}

/* ---- scenes ---------------------------------------------------------------------------------------------------------------------- */

const struct pool_value *pool_scene_value(const struct pool_scene *scene, struct str name)
{
	char key[POOL_NAME];
	name_write(key, name);
	for (unsigned i = 0; i < scene->count; i++)
		if (!strcmp(scene->pairs[i].name, key))
			return &scene->pairs[i].value;
	return NULL;
}

static void scene_add(struct pool_scene *scene, struct str name, struct str text)
{
	if (scene->count == SCENE_PAIRS || !name.len || !text.len || text.len > 64 || pool_scene_value(scene, name))
		return;
	struct pool_pair *pair = &scene->pairs[scene->count++];
	name_write(pair->name, name);
	pair->value = (struct pool_value){ .kind = POOL_STRING, .len = (uint8_t)text.len };
	memcpy(pair->value.text, text.ptr, text.len);
}

static void scene_fill(struct pool_scene *scene, yyjson_val *value, struct str name)
{
	size_t i, max;
	yyjson_val *key, *item;
	if (yyjson_is_str(value) && !memchr(json_text(value).ptr, '\0', json_text(value).len))
		scene_add(scene, name, json_text(value));
	yyjson_obj_foreach(value, i, max, key, item)
		scene_fill(scene, item, json_text(key));
	yyjson_arr_foreach(value, i, max, item)
		scene_fill(scene, item, name);
}

void pool_scene_begin(struct pool *pool, yyjson_val *root)
{
	struct pool_scene scene = { .count = 0 };
	bool item = false;
	/* Of a list, the newest. */
	scene_fill(&scene, yyjson_is_arr(root) ? yyjson_arr_get_first(root) : root, STR(""));
	for (unsigned i = 0; i < scene.count; i++)
		item |= shape_of(pool_text(&scene.pairs[i].value)) == SHAPE_ITEM;
	pool->scene = &pool->scenes[item ? pool->item_count++ % SCENES_OF_ITEMS :
				    SCENES_OF_ITEMS + pool->scene_count++ % (SCENES - SCENES_OF_ITEMS)];
	*pool->scene = scene;
}

void pool_scene_say(struct pool *pool, struct str name, struct str text)
{
	scene_add(pool->scene, name, text);
}

const struct pool_scene *pool_scene_pick(struct pool *pool, const struct str *names, size_t count)
{
	const struct pool_scene *best = NULL;
	size_t most = 1;
	unsigned equal = 0;
	for (unsigned s = 0; s < SCENES; s++) {
		size_t said = 0;
		for (size_t n = 0; n < count; n++)
			said += pool_scene_value(&pool->scenes[s], names[n]) != NULL;
		if (said < 2 || said < most)
			continue;
		equal = said > most ? 1 : equal + 1;
		most = said;
		if (disk_chance(&pool->seed, equal) == 0)
			best = &pool->scenes[s];
	}
	return best;
}
