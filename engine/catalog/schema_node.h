// SPDX-License-Identifier: Apache-2.0
/* schema_node.h - the compiled form of a JSON Schema; only for schema.c and schema_check.c. */
#ifndef ENGINE_CATALOG_SCHEMA_NODE_H
#define ENGINE_CATALOG_SCHEMA_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/decimal.h"
#include "engine/base/str.h"
#include "engine/catalog/pattern.h"

enum { TYPE_NULL, TYPE_BOOLEAN, TYPE_OBJECT, TYPE_ARRAY, TYPE_NUMBER, TYPE_STRING, TYPE_INTEGER, SCHEMA_TYPES };
enum { BOUND_MIN, BOUND_MAX, BOUND_ABOVE, BOUND_BELOW, BOUND_MULTIPLE, BOUNDS };
enum { LIMIT_MIN_LENGTH, LIMIT_MAX_LENGTH, LIMIT_MIN_ITEMS, LIMIT_MAX_ITEMS, LIMIT_MIN_PROPERTIES, LIMIT_MAX_PROPERTIES,
       LIMITS };

extern const char *const schema_type_names[SCHEMA_TYPES];

struct schema_node;

struct schema_property {
	struct str name;               /* owned */
	struct schema_node *node;      /* NULL: only required, not described */
	bool required;
};

struct schema_member {                 /* of an object, while it is sorted */
	yyjson_val *key, *value;
};

struct schema_node {
	bool never;                    /* the schema `false` */
	unsigned types;                /* 1 << TYPE_…; 0: any */
	struct schema_property *properties;    /* by name */
	size_t property_count, required_count;
	struct schema_node *additional;        /* NULL: anything */
	struct schema_node *items;     /* for those behind `prefix`; NULL: anything */
	struct schema_node **prefix;
	size_t prefix_count;
	struct str *values;            /* enum, in canonical form */
	size_t value_count;
	struct str constant;           /* const, in canonical form */
	bool has_constant, unique;
	unsigned bounds_set;           /* 1 << BOUND_… */
	struct decimal bounds[BOUNDS];
	int64_t limits[LIMITS];        /* -1: none */
	struct pattern *pattern;
	struct schema_node **all, **any, **one;
	size_t all_count, any_count, one_count;
	struct schema_node *not, *ref;
};

struct schema_def {
	struct str name;               /* owned */
	struct schema_node *node;
};

struct schema {
	struct schema_node *root;
	struct schema_node **nodes;    /* all of them; owned */
	size_t count, cap;
	struct schema_def *defs;       /* by name */
	size_t def_count;
};

/* Appends a text that is equal for equal values (1 and 1.0; members in any order). */
void schema_canonical(struct buf *out, yyjson_val *value);

#endif
