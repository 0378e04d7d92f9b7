// SPDX-License-Identifier: Apache-2.0
/* event_type.c - what kinds of events a brand has. */
#include "engine/kinds/kinds.h"

static const char *const origins[] = { "EXTERNAL", "INTERNAL", NULL };
static const char *const unique[] = { "key", NULL };

static const struct field fields[] = {
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
	{ .name = "payload_schema", .type = FIELD_SCHEMA, .flags = NULLABLE, .max = KIND_JSON_MAX,
	  .doc = "JSON Schema that payloads must fit; null accepts every payload." },
	{ 0 }
};

const struct kind kind_event_type = {
	.number = KIND_EVENT_TYPE, .name = "event_type", .plural = "event_types", .title = "event type",
	.path = "/admin/event-types", .permission = "event_types.write", .fields = fields, .unique = unique, .key = "key",
	.doc = "What kinds of events there are, and what their payloads look like."
};
