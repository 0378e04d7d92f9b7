// SPDX-License-Identifier: Apache-2.0
/* catalogs.c - what a form needs to know: how documents of a kind look (ui-catalog), what can be chosen (ui-options), and
 * both at once (ui-bundle).
 *
 * All of it follows from the table of kinds; a kind with more to say appends it to its catalog (kind->catalog).  Choices are
 * the documents themselves, each behind its `value`, what a reference to it holds, and its `label`, what people know it by.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/catalog/describe.h"
#include "engine/kinds/kinds.h"
#include "net/surface/resource.h"

enum { OPTIONS_MAX = 10000 };

/* ---- catalogs ------------------------------------------------------------------------------------------------------------ */

static void form_write(struct buf *out, const struct kind *kind, enum kind_form form)
{
	buf_lit(out, "{\"schema\":");
	kind_schema(out, kind, form);
	buf_lit(out, ",\"hints\":");
	kind_hints(out, kind);
	buf_char(out, '}');
}

static void catalog_write(struct buf *out, const struct kind *kind)
{
	buf_printf(out, "{\"kind\":\"%s\",\"title\":\"%s\",\"description\":", kind->name, kind->title);
	buf_json_text(out, str_of(kind->doc));
	buf_printf(out, ",\"path\":\"%s\",\"create\":", kind->path);
	form_write(out, kind, KIND_CREATE);
	buf_lit(out, ",\"update\":");
	form_write(out, kind, KIND_UPDATE);
	buf_lit(out, ",\"read\":{\"schema\":");
	kind_schema(out, kind, KIND_READ);
	buf_char(out, '}');
	if (kind->catalog)
		kind->catalog(out);
	buf_char(out, '}');
}

void catalogs_get(struct task *task)
{
	if (!task_brand(task) || !task_parameters_known(task, ""))
		return;
	catalog_write(&task->out, task->route->kind);
	task_json(task, 200);
}

/* ---- choices ------------------------------------------------------------------------------------------------------------- */

struct option {
	struct str order;
	size_t place;                  /* equal ones stay as they were */
	yyjson_val *document;
};

static int option_order(const void *a, const void *b)
{
	const struct option *left = a, *right = b;
	int order = str_cmp(left->order, right->order);
	return order ? order : (left->place > right->place) - (left->place < right->place);
}

static void option_write(struct buf *out, const struct kind *kind, yyjson_val *document)
{
	size_t i, max;
	yyjson_val *key, *member;
	yyjson_val *value = json_get(document, kind->key ? str_of(kind->key) : STR("id"));
	yyjson_val *label = json_get(document, str_of(kind->label ? kind->label : "name"));
	buf_lit(out, "{\"value\":");
	json_write(out, value);
	buf_lit(out, ",\"label\":");
	json_write(out, json_text(label).len ? label : value);
	yyjson_obj_foreach(document, i, max, key, member) {
		buf_char(out, ',');
		buf_json_text(out, json_text(key));
		buf_char(out, ':');
		json_write(out, member);
	}
	buf_char(out, '}');
}

/* A list of documents as choices: in the order of the kind, else by key, else by label. */
static void options_write(struct buf *out, const struct kind *kind, struct str list, size_t offset, size_t limit)
{
	yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)list.ptr, list.len, YYJSON_READ_NUMBER_AS_RAW, &json_alc, NULL);
	yyjson_val *root = yyjson_doc_get_root(doc), *item;
	size_t i, max, count = yyjson_arr_size(root);
	const char *by = kind->order_by ? NULL : kind->key ? kind->key : kind->label ? kind->label : "name";
	struct option *options = mem_alloc(count * sizeof *options);
	ASSERT(doc && "the list was written here");
	yyjson_arr_foreach(root, i, max, item)
		options[i] = (struct option){ by ? json_text(json_get(item, str_of(by))) : STR(""), i, item };
	if (count)
		qsort(options, count, sizeof *options, option_order);
	buf_char(out, '[');
	for (i = offset; i < count && i - offset < limit; i++) {
		if (i > offset)
			buf_char(out, ',');
		option_write(out, kind, options[i].document);
	}
	buf_char(out, ']');
	mem_free(options);
	yyjson_doc_free(doc);
}

static bool active_by_default(struct catalog_request *request)
{
	const struct field *active = field_find(request->kind->fields, STR("active"));
	for (size_t i = 0; i < request->filter_count; i++)
		if (str_eq(request->filters[i].field, STR("active")))
			return true;
	if (!active || active->type != FIELD_BOOL)
		return true;
	if (request->filter_count == CATALOG_FILTERS_MAX)
		return false;
	request->filters[request->filter_count++] = (struct catalog_filter){ STR("active"), STR("true") };
	return true;
}

/* False: it has been answered. */
static bool options_taken(struct task *task)
{
	const struct catalog_request *request = &task->catalog;
	if (request->status != CATALOG_OK) {
		task_faults(task, &request->problem);
		return false;
	}
	if (request->total <= OPTIONS_MAX)
		return true;
	task_problem(task, 422, "query_too_broad", "there are %zu %s to choose from; at most %d are listed, narrow it by a filter",
		     request->total, request->kind->plural, OPTIONS_MAX);
	return false;
}

struct page {
	size_t limit, offset;
};

static void options_answer(struct task *task)
{
	const struct page *page = task->context;
	if (!options_taken(task))
		return;
	options_write(&task->out, task->catalog.kind, buf_view(&task->catalog.json), page->offset, page->limit);
	buf_printf(&task->headers, "X-Total-Count: %zu\r\n", task->catalog.total);
	task_json(task, 200);
}

void catalogs_options(struct task *task)
{
	struct page *page = mem_zalloc(sizeof *page);
	task->context = page;
	task->free_context = mem_free;
	if (!resource_task(task, CATALOG_LIST) || !resource_filters(task, "limit offset") ||
	    !task_page(task, &page->limit, &page->offset, LIST_MAX, OPTIONS_MAX))
		return;
	if (!active_by_default(&task->catalog)) {
		task_problem(task, 400, "filter_unknown", "these are more filters than are taken at once");
		return;
	}
	task->catalog.limit = OPTIONS_MAX;
	task_catalog(task, options_answer);
}

static int str_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The tags that the shards told of, each once. */
static void tags_write(struct task *task, struct buf *out)
{
	struct buf list = { 0 };
	for (unsigned s = 0; s < node_shards(task->app->node); s++) {
		const struct buf *tags = &task->gather->queries[s].tags;
		for (size_t at = 0; at < tags->len;) {
			uint16_t len;
			memcpy(&len, tags->ptr + at, sizeof len);
			struct str tag = { tags->ptr + at + sizeof len, len };
			buf_bytes(&list, &tag, sizeof tag);
			at += sizeof len + len;
		}
	}
	struct str *tags = (struct str *)(void *)list.ptr;
	size_t count = list.len / sizeof *tags;
	if (count)
		qsort(tags, count, sizeof *tags, str_order);
	buf_char(out, '[');
	for (size_t i = 0; i < count; i++) {
		if (i && str_eq(tags[i], tags[i - 1]))
			continue;
		if (i)
			buf_char(out, ',');
		buf_json_text(out, tags[i]);
	}
	buf_char(out, ']');
	buf_free(&list);
}

static void tags_answer(struct task *task)
{
	tags_write(task, &task->out);
	task_json(task, 200);
}

static void options_tags(struct task *task)
{
	if (task_brand(task) && task_parameters_known(task, ""))
		task_gather(task, QUERY_TENANT, tags_answer);
}

/* ---- bundles ------------------------------------------------------------------------------------------------------------- */

/* The lists that a builder offers, each asked for when the one before has come; the tags of customers come last. */
struct bundle_list {
	const char *name;              /* NULL ends them */
	const struct kind *kind;
	const char *filter, *value;    /* beside active=true; NULL: none */
};

static const struct bundle_list rule_lists[] = {
	{ "eventTypes", &kind_event_type, NULL, NULL }, { "rewards", &kind_reward, NULL, NULL },
	{ "loyaltyTiers", &kind_loyalty_tier, NULL, NULL }, { "bonusDefinitions", &kind_bonus_definition, NULL, NULL }, { 0 }
};

static const struct bundle_list job_lists[] = {
	{ "eventTypes", &kind_event_type, "origin", "INTERNAL" }, { "loyaltyTiers", &kind_loyalty_tier, NULL, NULL },
	{ "bonusDefinitions", &kind_bonus_definition, NULL, NULL }, { 0 }
};

struct bundle {
	const struct bundle_list *next;
	struct buf json;               /* owned: the lists that have come */
};

static void bundle_free(void *context)
{
	struct bundle *bundle = context;
	buf_free(&bundle->json);
	mem_free(bundle);
}

static void bundle_tags(struct task *task)
{
	struct bundle *bundle = task->context;
	buf_lit(&task->out, "{\"brand\":");
	buf_json_text(&task->out, task->tenant);
	buf_lit(&task->out, ",\"uiCatalog\":");
	catalog_write(&task->out, task->route->kind);
	buf_lit(&task->out, ",\"uiOptions\":{");
	buf_str(&task->out, buf_view(&bundle->json));
	buf_lit(&task->out, "\"customerTags\":");
	tags_write(task, &task->out);
	buf_lit(&task->out, "}}");
	task_json(task, 200);
}

static void bundle_next(struct task *task);

static void bundle_took(struct task *task)
{
	struct bundle *bundle = task->context;
	if (!options_taken(task))
		return;
	buf_printf(&bundle->json, "\"%s\":", bundle->next->name);
	options_write(&bundle->json, bundle->next->kind, buf_view(&task->catalog.json), 0, OPTIONS_MAX);
	buf_char(&bundle->json, ',');
	problem_free(&task->catalog.problem);
	buf_free(&task->catalog.json);
	bundle->next++;
	bundle_next(task);
}

static void bundle_next(struct task *task)
{
	struct bundle *bundle = task->context;
	const struct bundle_list *list = bundle->next;
	task->shape = TASK_PLAIN;
	if (!list->name) {
		task_gather(task, QUERY_TENANT, bundle_tags);
		return;
	}
	memset(&task->catalog, 0, sizeof task->catalog);
	task->shape = TASK_CATALOG;
	task->catalog.verb = CATALOG_LIST;
	task->catalog.kind = list->kind;
	task->catalog.tenant = task->tenant;
	task->catalog.limit = OPTIONS_MAX;
	active_by_default(&task->catalog);
	if (list->filter)
		task->catalog.filters[task->catalog.filter_count++] =
			(struct catalog_filter){ str_of(list->filter), str_of(list->value) };
	task_catalog(task, bundle_took);
}

static void bundle_start(struct task *task, const struct bundle_list *lists)
{
	struct bundle *bundle = mem_zalloc(sizeof *bundle);
	bundle->next = lists;
	task->context = bundle;
	task->free_context = bundle_free;
	if (task_brand(task) && task_parameters_known(task, ""))
		bundle_next(task);
}

static void rules_bundle(struct task *task)
{
	bundle_start(task, rule_lists);
}

static void jobs_bundle(struct task *task)
{
	bundle_start(task, job_lists);
}

/* In front of the routes of the kinds, whose {id} would take the last part. */
const struct route catalog_routes[] = {
	{ "GET", "/admin/rules/ui-catalog", catalogs_get, "rules.read", "Schema and hints for rules", &kind_rule,
	  .operation = "rules.form_catalog" },
	{ "GET", "/admin/rules/ui-bundle", rules_bundle, "rules.read", "All that a rule builder needs", &kind_rule,
	  .command = "rules.ui_bundle" },
	{ "GET", "/admin/internal-jobs/ui-bundle", jobs_bundle, "internal_jobs.read", "All that a job builder needs",
	  &kind_internal_job, .command = "internal_jobs.ui_bundle" },
	{ "GET", "/admin/ui-options/customer-tags", options_tags, "customers.read", "Tags in use, ascending", NULL,
	  .command = "customers.tags" },
	{ .method = NULL },
};
