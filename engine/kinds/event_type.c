// SPDX-License-Identifier: Apache-2.0
/* event_type.c - what kinds of events a brand has. */
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"
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

static bool rule_emits(const struct document *rule, struct str key)
{
	yyjson_val *actions = document_value(rule, "actions"), *action;
	size_t i, max;
	yyjson_arr_foreach(actions, i, max, action)
		if (str_eq(json_text(json_get(action, STR("type"))), STR("emit_event")) &&
		    str_eq(json_text(json_get(action, STR("event_type"))), key))
			return true;
	return false;
}

/* Jobs and rules emit INTERNAL types only: while one does, its type stays one. */
static void check(const struct catalog *catalog, struct str tenant, yyjson_val *document, yyjson_val *body,
		  const struct document *before, struct problem *problem)
{
	struct catalog_page page;
	struct problem none = { 0 };
	(void)body;
	if (!before || str_eq(json_text(document_value(before, "origin")), json_text(json_get(document, STR("origin")))))
		return;
	struct catalog_filter of = { STR("event_type"), json_text(json_get(document, STR("key"))) };
	catalog_list(catalog, tenant, &kind_internal_job, &of, 1, 0, 1, &page, &none);
	if (page.count)
		problem_set(problem, 409, "in_use", "event type %llu is emitted by internal job %llu: its origin stays INTERNAL",
			    (unsigned long long)before->id, (unsigned long long)page.list[0]->id);
	catalog_page_free(&page);
	if (problem->status)
		return;
	catalog_list(catalog, tenant, &kind_rule, NULL, 0, 0, SIZE_MAX, &page, &none);
	for (size_t i = 0; i < page.count && !problem->status; i++)
		if (rule_emits(page.list[i], of.value))
			problem_set(problem, 409, "in_use", "event type %llu is emitted by rule %llu: its origin stays INTERNAL",
				    (unsigned long long)before->id, (unsigned long long)page.list[i]->id);
	catalog_page_free(&page);
}

const struct kind kind_event_type = {
	.number = KIND_EVENT_TYPE, .name = "event_type", .plural = "event_types", .title = "event type",
	.path = "/admin/event-types", .permission = "event_types.write", .fields = fields, .unique = unique, .key = "key", .check = check,
	.problems = "in_use",
	.doc = "What kinds of events there are, and what their payloads look like."
};
