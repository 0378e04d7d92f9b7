// SPDX-License-Identifier: Apache-2.0
/* rule.c - what happens when an event comes in. */
#include "engine/catalog/action.h"
#include "engine/catalog/view.h"
#include "engine/kinds/kinds.h"
#include "engine/rule/selector.h"

enum { PRIORITY_MAX = 1000000000 };

static const struct field limit_fields[] = {
	{ .name = "max", .type = FIELD_INT, .flags = REQUIRED, .min = 1, .max = PRIORITY_MAX, .doc = "So many times at most." },
	{ .name = "per", .type = FIELD_ENUM, .choices = limit_period_names, .fallback = "\"EVER\"",
	  .doc = "In each of these, of UTC; weeks are those of ISO 8601." },
	{ 0 }
};

static const struct field fields[] = {
	{ .name = "event_type", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128,
	  .ref_kind = "event_type", .ref_key = "key", .ref_unknown = "event_type_unknown",
	  .ref_inactive = "event_type_inactive", .widget = "remote_select",
	  .doc = "Key of the event type that triggers the rule." },
	{ .name = "priority", .type = FIELD_INT, .min = 0, .max = PRIORITY_MAX, .fallback = "0",
	  .doc = "Rules run in ascending order of priority, then of id." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "While false, the rule does not run." },
	{ .name = "conditions", .type = FIELD_CONDITION, .flags = NULLABLE, .max = KIND_JSON_MAX,
	  .widget = "conditions", .doc = "When the rule applies; null is always." },
	{ .name = "audience", .type = FIELD_JSON, .flags = NULLABLE, .max = KIND_JSON_MAX, .widget = "selector", .check = selector_check,
	  .schema = selector_schema, .definitions = selector_definitions,
	  .doc = "For which customers, as internal jobs select them; null is for all." },
	{ .name = "actions", .type = FIELD_ACTIONS, .flags = REQUIRED, .min = 0, .max = ACTIONS_MAX,
	  .widget = "actions", .doc = "What the rule does, in order; all or nothing." },
	{ .name = "limits", .type = FIELD_LIST, .min = 0, .max = LIMITS_PER_RULE_MAX, .fallback = "[]", .items = limit_fields,
	  .doc = "How often it may apply to one customer; without any, each time." },
	{ .name = "name", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 200,
	  .doc = "What people call it." },
	{ .name = "description", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 2000, .widget = "textarea",
	  .doc = "What it is for." },
	{ 0 }
};

const struct kind kind_rule = {
	.number = KIND_RULE, .name = "rule", .plural = "rules", .title = "rule",
	.path = "/rules", .permission = "rules.write", .fields = fields, .order_by = "priority",
	.doc = "What happens when an event comes in."
};
