// SPDX-License-Identifier: Apache-2.0
/* bonus_definition.c - what a member gets once in a while, and how often. */
#include "engine/kinds/kinds.h"

static const char *const policies[] = { "ONCE_EVER", "ONCE_PER_YEAR", "ONCE_PER_MONTH", "ONCE_PER_WEEK", "ONCE_PER_DAY",
					NULL };
static const char *const unique[] = { "bonus_key", NULL };

static const struct field fields[] = {
	{ .name = "bonus_key", .type = FIELD_TEXT, .flags = REQUIRED | IMMUTABLE, .min = 1, .max = 128,
	  .doc = "What actions name it by; unique within the brand." },
	{ .name = "name", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 200,
	  .doc = "What people call it." },
	{ .name = "description", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 2000, .widget = "textarea",
	  .doc = "What it is for." },
	{ .name = "policy", .type = FIELD_ENUM, .flags = REQUIRED, .choices = policies,
	  .doc = "How often one member may be awarded it; periods are of UTC, weeks are those of ISO 8601." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "While false, nobody is awarded it." },
	{ 0 }
};

const struct kind kind_bonus_definition = {
	.number = KIND_BONUS_DEFINITION, .name = "bonus_definition", .plural = "bonus_definitions",
	.title = "bonus definition", .path = "/admin/bonus-definitions", .permission = "bonus_definitions.write",
	.fields = fields, .unique = unique, .key = "bonus_key",
	.doc = "What a member is awarded once in a while, and how often."
};
