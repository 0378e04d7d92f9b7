// SPDX-License-Identifier: Apache-2.0
/* pool.h - values that a client has met: the examples of the product's tables, and what answers showed.
 *
 * A value is kept under the name of its member (letters and digits only, lower case: event_type and eventType are one) and among
 * the newest of its shape: 32 hex digits, digits, a time, a word ...  So an id that some answer showed turns up wherever an id of
 * such a shape is wanted, and everything meets.
 *
 * What one answer said together is a scene as well: whose reward it is, in which brand.
 */
#ifndef TESTS_SIM_COMMANDS_POOL_H
#define TESTS_SIM_COMMANDS_POOL_H

#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

enum { POOL_NAMES = 1024, POOL_VALUES = 8, POOL_TEXT = 112, POOL_NAME = 40, POOL_RECENT = 16, SCENES = 32, SCENES_OF_ITEMS = 8 /* which are rare */,
       SCENE_PAIRS = 24 };

enum pool_kind { POOL_STRING, POOL_NUMBER, POOL_JSON /* an object or a boolean, as JSON */ };
enum pool_shape { SHAPE_HEX32, SHAPE_HEX16, SHAPE_ACCOUNT, SHAPE_ITEM, SHAPE_DIGITS, SHAPE_TIME, SHAPE_WORD, SHAPES };

struct pool_value { uint8_t kind, len; char text[POOL_TEXT]; };

struct pool_name {
	char name[POOL_NAME];          /* "": free */
	unsigned count, fixed;         /* the first `fixed` stay */
	bool steady;                   /* it says whom a request is about */
	struct pool_value values[POOL_VALUES];
};

/* The first of each name. */
struct pool_scene {
	unsigned count;
	struct pool_pair { char name[POOL_NAME]; struct pool_value value; } pairs[SCENE_PAIRS];
};

struct pool {
	uint64_t seed;
	struct pool_name names[POOL_NAMES];
	unsigned name_count;
	struct pool_value recent[SHAPES][POOL_RECENT];
	unsigned recent_count[SHAPES];
	struct pool_value made[SHAPES][POOL_RECENT];   /* of them, what answers said they had made */
	unsigned made_count[SHAPES];
	struct pool_scene scenes[SCENES], *scene;      /* that of the last answer */
	unsigned scene_count, item_count;
};

void pool_add(struct pool *pool, struct str name, struct str text, enum pool_kind kind, bool fixed);
void pool_made(struct pool *pool, struct str id);
/* Everything in a document, under the names of its members.  `name`: of the document itself. */
void pool_learn(struct pool *pool, struct str name, yyjson_val *value, bool fixed);

void pool_steady(struct pool *pool, struct str name);
bool pool_is_steady(struct pool *pool, struct str name);

/* NULL: there is none. */
const struct pool_value *pool_of(struct pool *pool, struct str name, bool first);
const struct pool_value *pool_like(struct pool *pool, struct str name);        /* of the shape that values of this name have */
/* The same, but ids of what was made; not for digits, times and words. */
const struct pool_value *pool_made_like(struct pool *pool, struct str name);
enum pool_shape pool_shape_of(struct pool *pool, struct str name);     /* SHAPE_WORD where nothing is known */
const struct pool_value *pool_any(struct pool *pool);

/* A scene begins with this answer; `pool_scene_say` adds what its request named. */
void pool_scene_begin(struct pool *pool, yyjson_val *root);
void pool_scene_say(struct pool *pool, struct str name, struct str text);
/* One of those that say most of these names; NULL: none says two of them. */
const struct pool_scene *pool_scene_pick(struct pool *pool, const struct str *names, size_t count);
const struct pool_value *pool_scene_value(const struct pool_scene *scene, struct str name);     /* NULL: it does not say */

bool pool_is_item(const struct pool_value *value);

static inline struct str pool_text(const struct pool_value *value)
{
	return (struct str){ value->text, value->len };
}

#endif
