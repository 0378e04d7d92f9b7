// SPDX-License-Identifier: Apache-2.0
/* view.c - building a tenant's compiled view, and finding event types in it.
 *
 * A stored document that does not compile any more (it was accepted by another version) does not vanish: it stays in
 * the view with a text in `broken`, and what needs it fails with that text.
 */
#include "engine/catalog/view.h"

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"

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
	faults_free(&faults);
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
	return view;
}

struct catalog_view *view_ref(struct catalog_view *view)
{
	size_t before = atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
	ASSERT(before > 0);
	return view;
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
			mem_free(type->rules[j].actions);
			yyjson_doc_free(type->rules[j].doc);
		}
		mem_free(type->rules);
		schema_free(type->payload_schema);
		yyjson_doc_free(type->doc);
	}
	mem_free((char *)(uintptr_t)view->tenant.ptr);
	mem_free(view->types);
	mem_free(view->slots);
	mem_free(view);
}

const struct view_event_type *catalog_view_event_type(const struct catalog_view *view, struct str key)
{
	return slot_find(view, key);
}
