// SPDX-License-Identifier: Apache-2.0
/* kind.c - the tables.  A new kind of document is a table of fields, a row of `kinds`, and nothing else. */
#include "engine/catalog/kind.h"

#include "engine/catalog/action.h"

enum { DOCUMENT_JSON_MAX = 64 * 1024, PRIORITY_MAX = 1000000000 };

static const char *const origins[] = { "EXTERNAL", "INTERNAL", NULL };
static const char *const by_key[] = { "key", NULL };

static const struct field event_type_fields[] = {
	{ .name = "key", .type = FIELD_TEXT, .flags = REQUIRED | IMMUTABLE, .min = 1, .max = 128,
	  .doc = "What events of this type carry as their type; unique within the brand." },
	{ .name = "origin", .type = FIELD_ENUM, .flags = REQUIRED, .choices = origins,
	  .doc = "EXTERNAL events are ingested, INTERNAL ones are emitted by jobs." },
	{ .name = "name", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 200,
	  .doc = "What people call it." },
	{ .name = "description", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 2000, .widget = "textarea",
	  .doc = "What it is for." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "While false, no event of this type is accepted and no new rule may refer to it." },
	{ .name = "payload_schema", .type = FIELD_SCHEMA, .flags = NULLABLE, .max = DOCUMENT_JSON_MAX,
	  .doc = "JSON Schema that payloads must fit; null accepts every payload." },
	{ 0 }
};

static const struct field rule_fields[] = {
	{ .name = "event_type", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128,
	  .ref_kind = "event_type", .ref_key = "key", .ref_unknown = "event_type_unknown",
	  .ref_inactive = "event_type_inactive", .widget = "remote_select",
	  .doc = "Key of the event type that triggers the rule." },
	{ .name = "priority", .type = FIELD_INT, .min = 0, .max = PRIORITY_MAX, .fallback = "0",
	  .doc = "Rules run in ascending order of priority, then of id." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "While false, the rule does not run." },
	{ .name = "conditions", .type = FIELD_CONDITION, .flags = NULLABLE, .max = DOCUMENT_JSON_MAX,
	  .widget = "conditions", .doc = "When the rule applies; null is always." },
	{ .name = "actions", .type = FIELD_ACTIONS, .flags = REQUIRED, .min = 0, .max = ACTIONS_MAX,
	 .widget = "actions",
	  .doc = "What the rule does, in order; all or nothing." },
	{ .name = "name", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 200,
	  .doc = "What people call it." },
	{ .name = "description", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 2000, .widget = "textarea",
	  .doc = "What it is for." },
	{ 0 }
};

const struct field kind_envelope[] = {
	{ .name = "id", .type = FIELD_TEXT, .flags = READONLY, .doc = "Decimal digits; never given twice." },
	{ .name = "brand", .type = FIELD_TEXT, .flags = HIDDEN,
	  .doc = "May be given in a body; must then be the brand of the request." },
	{ .name = "version", .type = FIELD_INT, .flags = READONLY, .doc = "Counts the changes, from 1." },
	{ .name = "created_at", .type = FIELD_TIME, .flags = READONLY, .doc = "When it was made." },
	{ .name = "updated_at", .type = FIELD_TIME, .flags = READONLY, .doc = "When it was last changed." },
	{ 0 }
};

const struct kind kinds[] = {
	{ .number = KIND_EVENT_TYPE, .name = "event_type", .plural = "event_types", .title = "event type",
	  .path = "/admin/event-types", .permission = "event_types.write", .fields = event_type_fields,
			  .unique = by_key,
	  .doc = "What kinds of events there are, and what their payloads look like." },
	{ .number = KIND_RULE, .name = "rule", .plural = "rules", .title = "rule",
	  .path = "/rules", .permission = "rules.write", .fields = rule_fields, .order_by = "priority",
	  .doc = "What happens when an event comes in." },
	{ 0 }
};

const size_t kind_count = sizeof kinds / sizeof *kinds - 1;

const struct kind *kind_by_number(unsigned number)
{
	for (const struct kind *kind = kinds; kind->name; kind++)
		if (kind->number == number)
			return kind;
	return NULL;
}

const struct kind *kind_by_name(struct str name)
{
	for (const struct kind *kind = kinds; kind->name; kind++)
		if (str_eq(str_of(kind->name), name))
			return kind;
	return NULL;
}

const struct kind *kind_by_path(struct str path)
{
	for (const struct kind *kind = kinds; kind->name; kind++)
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
