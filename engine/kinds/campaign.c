// SPDX-License-Identifier: Apache-2.0
/* campaign.c - campaigns of older clients: kept, and without effect.  Rules and internal jobs do what they were for. */
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

const struct kind kind_campaign = {
	.number = KIND_CAMPAIGN, .name = "campaign", .plural = "campaigns", .title = "campaign",
	.path = "/campaigns", .permission = "campaigns.write", .fields = fields,
	.successor = "/rules",
	.doc = "Campaigns of older clients; use rules and internal jobs instead."
};
