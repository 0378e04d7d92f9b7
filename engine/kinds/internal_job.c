// SPDX-License-Identifier: Apache-2.0
/* internal_job.c - events that are emitted for many members at once, on demand or by a schedule. */
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"
#include "engine/cron/schedule.h"
#include "engine/job/job.h"
#include "engine/job/selector.h"
#include "engine/kinds/kinds.h"

enum { START_SECONDS_MAX = 10 * 366 * 86400 };

static const char *const unique[] = { "job_key", NULL };

static const struct field fields[] = {
	{ .name = "job_key", .type = FIELD_TEXT, .flags = REQUIRED | IMMUTABLE, .min = 1, .max = 128,
	  .doc = "What people and programs call it; unique within the brand." },
	{ .name = "event_type", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128,
	  .ref_kind = "event_type", .ref_key = "key", .ref_unknown = "event_type_unknown",
	  .ref_inactive = "event_type_inactive", .ref_filter = "origin=INTERNAL", .widget = "remote_select",
	  .doc = "Key of the event type that it emits; of origin INTERNAL." },
	{ .name = "name", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 200,
	  .doc = "What people call it." },
	{ .name = "description", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 2000, .widget = "textarea",
	  .doc = "What it is for." },
	{ .name = "selector", .type = FIELD_JSON, .max = KIND_JSON_MAX, .fallback = "{}", .widget = "selector", .check = selector_check,
	  .schema = selector_schema, .definitions = selector_definitions,
	  .doc = "Which customers; {} is all of the brand." },
	{ .name = "payload_template", .type = FIELD_JSON, .max = KIND_JSON_MAX, .fallback = "{}", .widget = "json",
	  .doc = "What the payload of every event begins with." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "While false, it does not run." },
	{ .name = "schedule", .type = FIELD_JSON, .flags = NULLABLE, .max = KIND_JSON_MAX, .widget = "schedule", .check = schedule_check,
	  .schema = schedule_schema,
	  .doc = "When it runs by itself; null is only on demand." },
	{ .name = "first_run_at", .type = FIELD_TIME, .flags = WRITEONLY | NULLABLE,
	  .doc = "When it runs by itself next; after that the schedule counts." },
	{ .name = "start_in_seconds", .type = FIELD_INT, .flags = WRITEONLY | NULLABLE, .min = 0, .max = START_SECONDS_MAX,
	  .doc = "The same, from now on." },
	{ 0 }
};

/* The event type is there and active; here, that it is not one of those that come in from outside. */
static void check(const struct catalog *catalog, struct str tenant, yyjson_val *document, const struct document *before,
		  struct problem *problem)
{
	struct str key = json_text(json_get(document, STR("event_type")));
	const struct document *type = catalog_find(catalog, tenant, kind_by_number(KIND_EVENT_TYPE), "key", key);
	if (before && str_eq(json_text(document_value(before, "event_type")), key))
		return;
	if (type && !str_eq(json_text(document_value(type, "origin")), STR("INTERNAL")))
		problem_set(problem, 400, "event_type_not_internal",
			    "the event type \"%.*s\" comes from outside; a job emits those of origin INTERNAL",
			    text_cut(key, 100), key.ptr);
}

const struct kind kind_internal_job = {
	.number = KIND_INTERNAL_JOB, .name = "internal_job", .plural = "internal_jobs", .title = "internal job",
	.path = "/admin/internal-jobs", .permission = "internal_jobs.write", .fields = fields, .unique = unique, .key = "job_key",
	.check = check, .state_fields = job_state_fields, .derive = job_derive, .due = job_due,
	.doc = "Events that are emitted for many customers at once, on demand or by a schedule."
};
