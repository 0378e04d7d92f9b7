// SPDX-License-Identifier: Apache-2.0
/* campaign.c - campaigns of older clients: kept, and without effect.  Rules and internal jobs do what they were for. */
#include "engine/base/json.h"
#include "engine/base/time.h"
#include "engine/kinds/kinds.h"

static const struct field fields[] = {
	{ .name = "name", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 200,
	  .doc = "What people call it." },
	{ .name = "description", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 2000, .widget = "textarea",
	  .doc = "What it is for." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "Whether it is on." },
	{ .name = "starts_at", .type = FIELD_TIME, .flags = NULLABLE, .doc = "When it begins; null is at once." },
	{ .name = "ends_at", .type = FIELD_TIME, .flags = NULLABLE, .doc = "When it ends; null is never." },
	{ .name = "settings", .type = FIELD_JSON, .flags = NULLABLE, .max = KIND_JSON_MAX,
	  .doc = "Whatever the client keeps with it." },
	{ 0 }
};

static void check(const struct catalog *catalog, struct str tenant, yyjson_val *document, yyjson_val *body,
		  const struct document *before, struct problem *problem)
{
	int64_t starts, ends;
	(void)catalog;
	(void)tenant;
	(void)body;
	(void)before;
	if (time_parse(json_text(json_get(document, STR("starts_at"))), &starts) &&
	    time_parse(json_text(json_get(document, STR("ends_at"))), &ends) && ends < starts)
		faults_add(&problem->faults, "/ends_at", "expected a time at or behind starts_at");
}

const struct kind kind_campaign = {
	.number = KIND_CAMPAIGN, .name = "campaign", .plural = "campaigns", .title = "campaign",
	.path = "/campaigns", .permission = "campaigns.write", .fields = fields, .check = check,
	.successor = "/rules",
	.doc = "Campaigns of older clients; use rules and internal jobs instead."
};
