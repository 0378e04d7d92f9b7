// SPDX-License-Identifier: Apache-2.0
/* kind.c - finding kinds, and the fields that all of them have. */
#include "engine/catalog/kind.h"

#include "engine/base/assert.h"

static const struct kind *added[KINDS_ADDED_MAX];
static size_t added_count;

const struct field kind_envelope[] = {
	{ .name = "id", .type = FIELD_TEXT, .flags = READONLY, .doc = "Decimal digits; never given twice." },
	{ .name = "brand", .type = FIELD_TEXT, .flags = HIDDEN,
	  .doc = "May be given in a body; must then be the brand of the request." },
	{ .name = "version", .type = FIELD_INT, .flags = READONLY, .doc = "Counts the changes, from 1." },
	{ .name = "created_at", .type = FIELD_TIME, .flags = READONLY, .doc = "When it was made." },
	{ .name = "updated_at", .type = FIELD_TIME, .flags = READONLY, .doc = "When it was last changed." },
	{ 0 }
};

const struct kind *kind_at(size_t index)
{
	size_t builtin = 0;
	while (builtin < index && kinds_builtin[builtin])
		builtin++;
	if (kinds_builtin[builtin])
		return kinds_builtin[builtin];
	return index - builtin < added_count ? added[index - builtin] : NULL;
}

void kind_add(const struct kind *kind)
{
	ASSERT(added_count < KINDS_ADDED_MAX && kind->number >= 1 && kind->number <= KIND_NUMBER_MAX);
	ASSERT(!kind_by_number(kind->number) && !kind_by_name(str_of(kind->name)) && !kind_by_path(str_of(kind->path)));
	added[added_count++] = kind;
}

const struct kind *kind_by_number(unsigned number)
{
	const struct kind *kind;
	for (size_t i = 0; (kind = kind_at(i)); i++)
		if (kind->number == number)
			return kind;
	return NULL;
}

const struct kind *kind_by_name(struct str name)
{
	const struct kind *kind;
	for (size_t i = 0; (kind = kind_at(i)); i++)
		if (str_eq(str_of(kind->name), name))
			return kind;
	return NULL;
}

const struct kind *kind_by_path(struct str path)
{
	const struct kind *kind;
	for (size_t i = 0; (kind = kind_at(i)); i++)
		if (str_eq(str_of(kind->path), path))
			return kind;
	return NULL;
}

const struct field *field_find(const struct field *fields, struct str name)
{
	for (; fields->name; fields++)
		if (str_eq(str_of(fields->name), name))
			return fields;
	return NULL;
}
