// SPDX-License-Identifier: Apache-2.0
/* reward.c - what members can be given for their points. */
#include "engine/catalog/action.h"
#include "engine/kinds/kinds.h"

enum { VALIDITY_DAYS_MAX = 36500 };

static const struct field fields[] = {
	{ .name = "name", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 200,
	  .doc = "What people call it." },
	{ .name = "type", .type = FIELD_TEXT, .min = 1, .max = 64, .fallback = "\"GENERIC\"",
	  .doc = "What sort of reward it is, in your own words." },
	{ .name = "description", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 2000, .widget = "textarea",
	  .doc = "What it is." },
	{ .name = "cost_points", .type = FIELD_INT, .min = 0, .max = ACTION_POINTS_MAX, .fallback = "0",
	  .doc = "Points that redeeming it takes." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "While false, nobody is given it." },
	{ .name = "validity_days", .type = FIELD_INT, .flags = NULLABLE, .min = 1, .max = VALIDITY_DAYS_MAX,
	  .doc = "Days from being issued until it expires; null is never." },
	{ 0 }
};

const struct kind kind_reward = {
	.number = KIND_REWARD, .name = "reward", .plural = "rewards", .title = "reward",
	.path = "/rewards", .permission = "rewards.write", .fields = fields,
	.doc = "What members can be given for their points."
};
