// SPDX-License-Identifier: Apache-2.0
/* view.c - building a tenant's compiled view, and finding event types in it.
 *
 * A stored document that does not compile any more (it was accepted by another version) does not vanish: it stays in
 * the view with a text in `broken`, and what needs it fails with that text.
 */
#include "engine/catalog/view.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/rule/selector.h"

static yyjson_doc *reread(const struct document *document, yyjson_val **root)
{
	struct json_error error;
	yyjson_doc *doc = json_read(document->json, &error);
	ASSERT(doc);
	*root = yyjson_doc_get_root(doc);
	return doc;
}

static struct view_event_type *slot_find(const struct catalog_view *view, struct str key)
{
	size_t slot = hash_bytes(key.ptr, key.len) & view->slot_mask;
	for (; view->slots[slot]; slot = (slot + 1) & view->slot_mask) {
		struct view_event_type *type = &view->types[view->slots[slot] - 1];
		if (str_eq(type->key, key))
			return type;
	}
	return NULL;
}

static int64_t int_of(yyjson_val *root, const char *name)
{
	int64_t number;
	yyjson_val *value = json_get(root, str_of(name));
	return value && json_int(value, &number) ? number : 0;
}

static struct str text_of(yyjson_val *root, const char *name)
{
	struct str text = json_text(json_get(root, str_of(name)));
	return (struct str){ mem_dup(text.ptr, text.len), text.len };
}

static bool active_of(yyjson_val *root)
{
	return !yyjson_is_false(json_get(root, STR("active")));
}

static enum limit_period period_named(struct str name)
{
	for (unsigned per = 0; per < PERIODS; per++)
		if (str_eq(name, str_of(limit_period_names[per])))
			return (enum limit_period)per;
	return PERIOD_EVER;
}

static void build_limits(struct view_rule *rule, yyjson_val *list)
{
	size_t i, max;
	yyjson_val *limit;
	yyjson_arr_foreach(list, i, max, limit) {
		if (rule->limit_count == LIMITS_PER_RULE_MAX) {
			rule->broken = "this rule has more limits than this version takes";
			return;
		}
		rule->limits[rule->limit_count++] = (struct view_limit){
			int_of(limit, "max"), period_named(json_text(json_get(limit, STR("per")))) };
	}
}

static void build_rule(struct view_rule *rule, const struct document *document)
{
	struct faults faults = { 0 };
	yyjson_val *root, *action;
	size_t i, max;
	*rule = (struct view_rule){ .id = document->id, .version = document->version };
	rule->doc = reread(document, &root);
	yyjson_val *priority = json_get(root, STR("priority")), *actions = json_get(root, STR("actions"));
	if (!priority || !json_int(priority, &rule->priority))
		rule->priority = 0;
	rule->condition = condition_compile(json_get(root, STR("conditions")), "/conditions", &faults);
	if (faults.count)
		rule->broken = "the condition of this rule is not understood by this version";
	yyjson_val *audience = json_get(root, STR("audience"));
	if (!rule->broken && audience && !yyjson_is_null(audience)) {
		rule->audience = selector_compile(audience, "/audience", &faults);
		if (!rule->audience)
			rule->broken = "the audience of this rule is not understood by this version";
	}
	faults_free(&faults);
	build_limits(rule, json_get(root, STR("limits")));
	if (!yyjson_is_arr(actions))
		rule->broken = "this rule has no list of actions";
	rule->actions = mem_zalloc(yyjson_arr_size(actions) * sizeof *rule->actions);
	yyjson_arr_foreach(actions, i, max, action)
		if (!action_compile(action, &rule->actions[rule->action_count++]))
			rule->broken = "an action of this rule is not understood by this version";
}

/* Each active rule goes to its event type, in the order of the list; a rule whose event type is gone goes nowhere. */
static void build_rules(struct catalog_view *view, const struct catalog *catalog)
{
	struct catalog_page page;
	struct problem problem = { 0 };
	struct catalog_filter active = { STR("active"), STR("true") };
	const struct kind *kind = kind_by_number(KIND_RULE);
	enum catalog_status status = catalog_list(catalog, view->tenant, kind, &active, 1, 0, SIZE_MAX, &page,
						  &problem);
	ASSERT(status == CATALOG_OK);
	struct view_event_type **types = mem_alloc(page.count * sizeof *types);
	for (size_t i = 0; i < page.count; i++) {
		yyjson_val *key = json_get(yyjson_doc_get_root(page.list[i]->doc), STR("event_type"));
		types[i] = slot_find(view, json_text(key));
		if (types[i])
			types[i]->rule_count++;
	}
	for (size_t i = 0; i < view->type_count; i++) {
		view->types[i].rules = mem_zalloc(view->types[i].rule_count * sizeof *view->types[i].rules);
		view->types[i].rule_count = 0;
	}
	for (size_t i = 0; i < page.count; i++)
		if (types[i])
			build_rule(&types[i]->rules[types[i]->rule_count++], page.list[i]);
	mem_free(types);
	catalog_page_free(&page);
}

static void build_type(struct view_event_type *type, const struct document *document)
{
	struct faults faults = { 0 };
	yyjson_val *root;
	*type = (struct view_event_type){ .id = document->id };
	type->doc = reread(document, &root);
	type->key = json_text(json_get(root, STR("key")));
	type->active = !yyjson_is_false(json_get(root, STR("active")));
	type->origin = str_eq(json_text(json_get(root, STR("origin"))), STR("INTERNAL")) ? ORIGIN_INTERNAL :
			ORIGIN_EXTERNAL;
	yyjson_val *schema = json_get(root, STR("payload_schema"));
	if (!schema || yyjson_is_null(schema))
		return;
	type->payload_schema = schema_compile(schema, "/payload_schema", &faults);
	if (!type->payload_schema)
		type->broken = "the payload schema of this event type is not understood by this version";
	faults_free(&faults);
}

/* All documents of a kind; none where this version has no such kind. */
static void documents_of(const struct catalog *catalog, struct str tenant, const char *kind_name, struct catalog_page *page)
{
	const struct kind *kind = kind_by_name(str_of(kind_name));
	struct problem problem = { 0 };
	*page = (struct catalog_page){ 0 };
	if (kind)
		catalog_list(catalog, tenant, kind, NULL, 0, 0, SIZE_MAX, page, &problem);
}

static int tier_order(const void *a, const void *b)
{
	const struct view_tier *left = a, *right = b;
	return (left->min_status_points > right->min_status_points) - (left->min_status_points < right->min_status_points);
}

static void build_tiers(struct catalog_view *view, const struct catalog *catalog)
{
	struct catalog_page page;
	documents_of(catalog, view->tenant, "loyalty_tier", &page);
	view->tiers = mem_zalloc(page.count * sizeof *view->tiers);
	for (size_t i = 0; i < page.count; i++) {
		yyjson_val *root = yyjson_doc_get_root(page.list[i]->doc);
		if (active_of(root))
			view->tiers[view->tier_count++] = (struct view_tier){
				.id = page.list[i]->id, .key = text_of(root, "key"), .name = text_of(root, "name"),
				.rank = int_of(root, "rank"), .min_status_points = int_of(root, "min_status_points") };
	}
	if (view->tier_count)
		qsort(view->tiers, view->tier_count, sizeof *view->tiers, tier_order);
	catalog_page_free(&page);
}

static void build_rewards(struct catalog_view *view, const struct catalog *catalog)
{
	struct catalog_page page;
	documents_of(catalog, view->tenant, "reward", &page);
	view->rewards = mem_zalloc(page.count * sizeof *view->rewards);
	for (size_t i = 0; i < page.count; i++) {
		yyjson_val *root = yyjson_doc_get_root(page.list[i]->doc);
		view->rewards[view->reward_count++] = (struct view_reward){
			.id = page.list[i]->id, .name = text_of(root, "name"), .type = text_of(root, "type"),
			.cost_points = int_of(root, "cost_points"), .validity_days = int_of(root, "validity_days"),
			.active = active_of(root) };
	}
	catalog_page_free(&page);
}

static void build_bonuses(struct catalog_view *view, const struct catalog *catalog)
{
	struct catalog_page page;
	documents_of(catalog, view->tenant, "bonus_definition", &page);
	view->bonuses = mem_zalloc(page.count * sizeof *view->bonuses);
	for (size_t i = 0; i < page.count; i++) {
		yyjson_val *root = yyjson_doc_get_root(page.list[i]->doc);
		struct str policy = json_text(json_get(root, STR("policy"))), per = policy;
		for (size_t at = 0; at < policy.len; at++)     /* ONCE_PER_YEAR, ONCE_EVER: the last word */
			if (policy.ptr[at] == '_')
				per = (struct str){ policy.ptr + at + 1, policy.len - at - 1 };
		view->bonuses[view->bonus_count++] = (struct view_bonus){
			.id = page.list[i]->id, .key = text_of(root, "bonus_key"), .name = text_of(root, "name"),
			.per = period_named(per), .active = active_of(root) };
	}
	catalog_page_free(&page);
}

struct catalog_view *catalog_view_build(const struct catalog *catalog, struct str tenant)
{
	struct catalog_view *view = mem_zalloc(sizeof *view);
	struct catalog_page page;
	struct problem problem = { 0 };
	size_t slots = 4;
	atomic_init(&view->refs, 1);
	view->tenant = (struct str){ mem_dup(tenant.ptr, tenant.len), tenant.len };
	view->lsn = catalog->last_lsn;
	catalog_list(catalog, tenant, kind_by_number(KIND_EVENT_TYPE), NULL, 0, 0, SIZE_MAX, &page, &problem);
	while (slots < 2 * page.count)
		slots *= 2;
	view->slots = mem_zalloc(slots * sizeof *view->slots);
	view->slot_mask = slots - 1;
	view->type_count = page.count;
	view->types = mem_zalloc(page.count * sizeof *view->types);
	for (size_t i = 0; i < page.count; i++) {
		struct view_event_type *type = &view->types[i];
		build_type(type, page.list[i]);
		size_t slot = hash_bytes(type->key.ptr, type->key.len) & view->slot_mask;
		while (view->slots[slot])
			slot = (slot + 1) & view->slot_mask;
		view->slots[slot] = (uint32_t)(i + 1);
	}
	catalog_page_free(&page);
	build_rules(view, catalog);
	build_tiers(view, catalog);
	build_rewards(view, catalog);
	build_bonuses(view, catalog);
	return view;
}

struct catalog_view *view_ref(struct catalog_view *view)
{
	size_t before = atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
	ASSERT(before > 0);
	return view;
}

static void text_free(struct str text)
{
	mem_free((char *)(uintptr_t)text.ptr);
}

void view_unref(struct catalog_view *view)
{
	if (!view)
		return;
	size_t before = atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel);
	ASSERT(before > 0);
	if (before > 1)
		return;
	for (size_t i = 0; i < view->type_count; i++) {
		struct view_event_type *type = &view->types[i];
		for (size_t j = 0; j < type->rule_count; j++) {
			if (type->rules[j].condition)
				rule_free(type->rules[j].condition);
			rule_free(type->rules[j].audience);
			mem_free(type->rules[j].actions);
			yyjson_doc_free(type->rules[j].doc);
		}
		mem_free(type->rules);
		schema_free(type->payload_schema);
		yyjson_doc_free(type->doc);
	}
	for (size_t i = 0; i < view->tier_count; i++) {
		text_free(view->tiers[i].key);
		text_free(view->tiers[i].name);
	}
	for (size_t i = 0; i < view->reward_count; i++) {
		text_free(view->rewards[i].name);
		text_free(view->rewards[i].type);
	}
	for (size_t i = 0; i < view->bonus_count; i++) {
		text_free(view->bonuses[i].key);
		text_free(view->bonuses[i].name);
	}
	mem_free(view->tiers);
	mem_free(view->rewards);
	mem_free(view->bonuses);
	text_free(view->tenant);
	mem_free(view->types);
	mem_free(view->slots);
	mem_free(view);
}

const struct view_event_type *catalog_view_event_type(const struct catalog_view *view, struct str key)
{
	return slot_find(view, key);
}

const struct view_reward *view_reward(const struct catalog_view *view, uint64_t id)
{
	size_t low = 0, high = view ? view->reward_count : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (view->rewards[middle].id == id)
			return &view->rewards[middle];
		if (view->rewards[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct view_bonus *view_bonus(const struct catalog_view *view, struct str key)
{
	for (size_t i = 0; view && i < view->bonus_count; i++)
		if (str_eq(view->bonuses[i].key, key))
			return &view->bonuses[i];
	return NULL;
}

const struct view_tier *view_tier(const struct catalog_view *view, struct str key)
{
	for (size_t i = 0; view && i < view->tier_count; i++)
		if (str_eq(view->tiers[i].key, key))
			return &view->tiers[i];
	return NULL;
}

const struct view_tier *view_tier_of(const struct catalog_view *view, int64_t status_points)
{
	const struct view_tier *tier = NULL;
	for (size_t i = 0; view && i < view->tier_count && view->tiers[i].min_status_points <= status_points; i++)
		tier = &view->tiers[i];
	return tier;
}

const char *const limit_period_names[PERIODS + 1] = { "EVER", "YEAR", "MONTH", "WEEK", "DAY", NULL };

uint32_t limit_period_of(enum limit_period per, int64_t time_ms)
{
	struct civil day = civil_of(time_ms);
	uint32_t year = (uint32_t)day.year;
	switch (per) {
	case PERIOD_YEAR: return year;
	case PERIOD_MONTH: return year * 100 + day.month;
	case PERIOD_DAY: return year * 10000 + day.month * 100 + day.day;
	case PERIOD_WEEK: {
		/* ISO 8601: a week belongs to the year of its Thursday. */
		int64_t thursday = (time_ms / 86400000 - day.weekday + 3) * 86400000;
		struct civil middle = civil_of(thursday);
		int64_t first = civil_days(middle.year, 1, 1);
		return (uint32_t)middle.year * 1000 + (uint32_t)((thursday / 86400000 - first) / 7) + 1;
	}
	case PERIOD_EVER:
	case PERIODS: break;
	}
	return 0;
}

void limit_period_text(struct buf *out, uint32_t period)
{
	if (!period)
		buf_lit(out, "EVER");
	else if (period < 10000)
		buf_printf(out, "%04u", period);
	else if (period < 1000000)
		buf_printf(out, "%04u-%02u", period / 100, period % 100);
	else if (period < 10000000)
		buf_printf(out, "%04u-W%02u", period / 1000, period % 1000);
	else
		buf_printf(out, "%04u-%02u-%02u", period / 10000, period / 100 % 100, period % 100);
}
