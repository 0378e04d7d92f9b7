// SPDX-License-Identifier: Apache-2.0
/* loyalty_tier.c - levels of members by their status points.
 *
 * Invariants of a brand's tiers: keys, ranks and thresholds are unique; ranks and thresholds rise together; rank 0, the
 * base tier, and threshold 0 are the same tier, which stays, active, as long as there are others.
 */
#include "engine/base/json.h"
#include "engine/catalog/action.h"
#include "engine/catalog/catalog.h"
#include "engine/kinds/kinds.h"

enum { RANK_MAX = 1000000 };

static const char *const unique[] = { "key", "rank", "min_status_points", NULL };

static const struct field fields[] = {
	{ .name = "key", .type = FIELD_TEXT, .flags = REQUIRED | IMMUTABLE, .min = 1, .max = 128,
	  .doc = "What programs call it; unique within the brand." },
	{ .name = "name", .type = FIELD_TEXT, .flags = REQUIRED, .min = 1, .max = 200,
	  .doc = "What people call it." },
	{ .name = "rank", .type = FIELD_INT, .flags = REQUIRED, .min = 0, .max = RANK_MAX,
	  .doc = "Its place, from 0, the base tier; unique within the brand." },
	{ .name = "min_status_points", .type = FIELD_INT, .flags = REQUIRED, .min = 0, .max = ACTION_POINTS_MAX,
	  .doc = "Status points from which on a customer has it; 0 for the base tier, rising with the rank." },
	{ .name = "active", .type = FIELD_BOOL, .fallback = "true",
	  .doc = "While false, nobody has it." },
	{ 0 }
};

static int64_t number(yyjson_val *value)
{
	int64_t out = 0;
	return value && json_int(value, &out) ? out : 0;
}

/* Whether there is any tier beside this one. */
static bool others_there(const struct catalog *catalog, struct str tenant, const struct document *self)
{
	struct catalog_page page;
	struct problem none = { 0 };
	size_t count = 0;
	catalog_list(catalog, tenant, &kind_loyalty_tier, NULL, 0, 0, SIZE_MAX, &page, &none);
	for (size_t i = 0; i < page.count; i++)
		count += page.list[i] != self;
	catalog_page_free(&page);
	return count > 0;
}

static void base_needed(struct problem *problem)
{
	problem_set(problem, 409, "base_tier_needed", "the base tier (rank 0) stays active while there are other tiers");
}

static void check(const struct catalog *catalog, struct str tenant, yyjson_val *document, yyjson_val *body,
		  const struct document *before, struct problem *problem)
{
	struct catalog_page page;
	struct problem none = { 0 };
	int64_t rank = number(json_get(document, STR("rank")));
	int64_t points = number(json_get(document, STR("min_status_points")));
	bool active = yyjson_is_true(json_get(document, STR("active")));
	(void)body;
	if ((rank == 0) != (points == 0)) {
		faults_add(&problem->faults, "/min_status_points", rank ? "expected more than 0: only the base tier (rank 0) begins at 0"
								       : "expected 0: the base tier (rank 0) begins there");
		return;
	}
	if (before && number(document_value(before, "rank")) == 0 && (rank || !active) && others_there(catalog, tenant, before)) {
		base_needed(problem);
		return;
	}
	catalog_list(catalog, tenant, &kind_loyalty_tier, NULL, 0, 0, SIZE_MAX, &page, &none);
	for (size_t i = 0; i < page.count; i++) {
		int64_t other_rank = number(document_value(page.list[i], "rank"));
		int64_t other_points = number(document_value(page.list[i], "min_status_points"));
		struct str key = json_text(document_value(page.list[i], "key"));
		if (page.list[i] == before || (rank < other_rank) == (points < other_points))
			continue;
		faults_add(&problem->faults, "/min_status_points",
			   "expected %s than %lld, the threshold of tier \"%.*s\" with rank %lld",
			   rank < other_rank ? "less" : "more", (long long)other_points, text_cut(key, 60), key.ptr,
			   (long long)other_rank);
	}
	catalog_page_free(&page);
}

static void check_delete(const struct catalog *catalog, const struct document *document, struct problem *problem)
{
	if (number(document_value(document, "rank")) == 0 && others_there(catalog, document->tenant, document))
		base_needed(problem);
}

const struct kind kind_loyalty_tier = {
	.number = KIND_LOYALTY_TIER, .name = "loyalty_tier", .plural = "loyalty_tiers", .title = "loyalty tier",
	.path = "/admin/loyalty-tiers", .permission = "loyalty_tiers.write", .fields = fields, .unique = unique, .key = "key",
	.order_by = "rank", .check = check, .check_delete = check_delete, .problems = "base_tier_needed",
	.doc = "Levels of customers by their status points."
};
