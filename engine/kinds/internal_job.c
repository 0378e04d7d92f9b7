// SPDX-License-Identifier: Apache-2.0
/* internal_job.c - events that are emitted for many members at once, on demand or by a schedule. */
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/describe.h"
#include "engine/cron/schedule.h"
#include "engine/job/job.h"
#include "engine/kinds/kinds.h"
#include "engine/rule/selector.h"

enum { START_SECONDS_MAX = 10 * 366 * 86400 };

static const char *const unique[] = { "job_key", NULL };

static const struct field fields[] = {
	{ .name = "job_key", .type = FIELD_TEXT, .flags = REQUIRED | IMMUTABLE, .min = 1, .max = 128,
	  .doc = "What people and programs call it; unique within the brand." },
	{ .name = "event_type", .type = FIELD_REF, .flags = REQUIRED, .min = 1, .max = 128,
	  .ref_kind = "event_type", .ref_key = "key", .ref_unknown = "event_type_unknown",
	  .ref_inactive = "event_type_inactive", .ref_filter = "origin=INTERNAL", .ref_mismatch = "event_type_not_internal",
	  .widget = "remote_select",
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
	  .doc = "When it runs by itself next; after that the schedule counts. Not beside start_in_seconds." },
	{ .name = "start_in_seconds", .type = FIELD_INT, .flags = WRITEONLY | NULLABLE, .min = 0, .max = START_SECONDS_MAX,
	  .doc = "The same, from now on." },
	{ 0 }
};

static void check(const struct catalog *catalog, struct str tenant, yyjson_val *document, yyjson_val *body,
		  const struct document *before, struct problem *problem)
{
	yyjson_val *at = json_get(body, STR("first_run_at")), *in = json_get(body, STR("start_in_seconds"));
	(void)catalog;
	(void)tenant;
	(void)document;
	(void)before;
	if (at && in && !yyjson_is_null(at) && !yyjson_is_null(in))
		faults_add(&problem->faults, "/start_in_seconds", "expected first_run_at or start_in_seconds, not both");
}

/* ---- what a form for jobs needs beside schema and hints ------------------------------------------------------------------ */

/* Whole bodies but for the event type. */
static const struct { const char *type, *label, *help, *values; } presets[] = {
	{ "on_demand", "On demand", "Emits an event for every active customer when it is run by hand.",
	  "{\"job_key\":\"ON_DEMAND\",\"name\":\"On demand\",\"selector\":{\"status_in\":[\"ACTIVE\"]},\"payload_template\":{},"
	  "\"active\":true,\"schedule\":null}" },
	{ "ping_active", "Ping active customers", "Every two minutes, for every active customer.",
	  "{\"job_key\":\"PING_ACTIVE\",\"name\":\"Ping active customers\",\"selector\":{\"status_in\":[\"ACTIVE\"]},"
	  "\"payload_template\":{\"hello\":\"world\"},\"active\":true,"
	  "\"schedule\":{\"type\":\"cron\",\"cron\":\"*/2 * * * *\",\"timezone\":\"UTC\"}}" },
	{ "birthday", "Birthday", "Every morning, for those whose birthday it is.",
	  "{\"job_key\":\"BIRTHDAY\",\"name\":\"Birthday\",\"selector\":{\"birthdate_today\":true},\"payload_template\":{},"
	  "\"active\":true,\"schedule\":{\"type\":\"cron\",\"cron\":\"0 6 * * *\",\"timezone\":\"UTC\"}}" },
	{ "anniversary", "Anniversary", "Every morning, for those who joined on this day of an earlier year.",
	  "{\"job_key\":\"ANNIVERSARY\",\"name\":\"Anniversary\",\"selector\":{\"created_anniversary_today\":true},"
	  "\"payload_template\":{},\"active\":true,\"schedule\":{\"type\":\"cron\",\"cron\":\"0 6 * * *\",\"timezone\":\"UTC\"}}" },
	{ "inactive", "Inactive customers", "Every Monday, for those without an event for 90 days.",
	  "{\"job_key\":\"INACTIVE\",\"name\":\"Inactive customers\",\"selector\":{\"status_in\":[\"ACTIVE\"],"
	  "\"inactive_days_gte\":90},\"payload_template\":{},\"active\":true,"
	  "\"schedule\":{\"type\":\"cron\",\"cron\":\"0 7 * * MON\",\"timezone\":\"UTC\"}}" },
	{ "yearly", "Yearly review", "On the first of January, for everybody: for a rule that sets status points back.",
	  "{\"job_key\":\"YEARLY\",\"name\":\"Yearly review\",\"selector\":{},\"payload_template\":{},\"active\":true,"
	  "\"schedule\":{\"type\":\"cron\",\"cron\":\"0 0 1 1 *\",\"timezone\":\"UTC\"}}" },
};

/* What the choices of a fact are. */
static const struct { const char *fact, *datasource; } sources[] = {
	{ "customer.loyalty_status", "/admin/ui-options/loyalty-tiers" },
	{ "customer.tags", "/admin/ui-options/customer-tags" },
	{ "customer.bonus_awards", "/admin/ui-options/bonus-definitions" },
};

static void selector_catalog(struct buf *out)
{
	static const char *const widgets[] = {
		[SELECTOR_GROUP] = "group", [SELECTOR_NOT] = "not", [SELECTOR_TEXTS] = "tags", [SELECTOR_NUMBER] = "number",
		[SELECTOR_FLAG] = "checkbox", [SELECTOR_TEXT] = "text", [SELECTOR_CONDITION] = "conditions"
	};
	buf_lit(out, ",\"selector\":{\"schema\":{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
		     "\"$ref\":\"#/$defs/selector\",\"$defs\":{");
	condition_definitions(out, "#/$defs/");
	buf_char(out, ',');
	selector_definitions(out, "#/$defs/");
	buf_lit(out, "}},\"default\":{},\"keys\":[");
	for (const struct selector_key *key = selector_keys; key->name; key++) {
		buf_printf(out, "%s{\"key\":\"%s\",\"widget\":\"%s\",\"help\":", key == selector_keys ? "" : ",", key->name,
			   widgets[key->type]);
		buf_json_text(out, str_of(key->doc));
		for (size_t i = 0; key->fact && i < sizeof sources / sizeof *sources; i++)
			if (str_eq(str_of(sources[i].fact), str_of(key->fact)))
				buf_printf(out, ",\"datasource\":\"%s\"", sources[i].datasource);
		buf_char(out, '}');
	}
	buf_lit(out, "]}");
}

static void catalog_for_forms(struct buf *out)
{
	buf_lit(out, ",\"job\":{\"schema\":");
	kind_schema(out, &kind_internal_job, KIND_CREATE);
	buf_lit(out, ",\"hints\":");
	kind_hints(out, &kind_internal_job);
	buf_lit(out, "},\"jobTypes\":[");
	for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
		buf_printf(out, "%s{\"type\":\"%s\",\"label\":\"%s\",\"help\":\"%s\",\"values\":", i ? "," : "", presets[i].type,
			   presets[i].label, presets[i].help);
		buf_str(out, str_of(presets[i].values));
		buf_char(out, '}');
	}
	buf_char(out, ']');
	selector_catalog(out);
	buf_lit(out, ",\"payloadTemplate\":{\"schema\":{\"type\":\"object\"},\"widget\":\"json\",\"default\":{},"
		     "\"help\":\"Members that the payload of every event begins with.\",\"examples\":[{\"hello\":\"world\"}]}");
}

const struct kind kind_internal_job = {
	.number = KIND_INTERNAL_JOB, .name = "internal_job", .plural = "internal_jobs", .title = "internal job",
	.path = "/admin/internal-jobs", .permission = "internal_jobs.write", .fields = fields, .unique = unique, .key = "job_key", .check = check,
	.state_fields = job_state_fields, .derive = job_derive, .due = job_due, .catalog = catalog_for_forms,
	.doc = "Events that are emitted for many customers at once, on demand or by a schedule."
};
