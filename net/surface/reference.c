// SPDX-License-Identifier: Apache-2.0
#include "net/surface/reference.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/catalog/action.h"
#include "engine/catalog/kind.h"
#include "net/surface/ledger_text.h"
#include "net/surface/schema.h"

/* ---- tags ------------------------------------------------------------------------------------------------------------------ */

static const struct reference_tag tags[] = {
	{ "transactions", "Events", "Ingesting events, and reading what became of them." },
	{ "events", "Imports of events", "Files of events." },
	{ "customers", "Customers", "Who earns and burns." },
	{ "wallets", "Wallets", "Balances." },
	{ "ledger", "The ledger", "Accounts and transfers in double entry, in the ledger's own words." },
	{ "pos", "The POS platform's ledger service", "Accounts of organizations and their customers, transfers between them." },
	{ "server", "The server", "Its health, its counters, its reference." },
	{ "problems", "Problems", "The codes of refusals." },
	{ "bonus_awards", "Bonus awards", "Which customer got which bonus." },
	{ "audit", "Audit", "Who changed what." },
	{ "tenants", "Tenants", "What a tenant owes." },
	{ "snapshot", "Snapshots", "State on disk." },
	{ "backup", "Backups", "Files held for a backup to read." },
	{ 0 }
};

/* Of kinds: the plural is the tag, what the kind says about itself is the text. */
static bool tag_of_kind(const char *name, struct reference_tag *tag)
{
	const struct kind *kind;
	for (size_t i = 0; (kind = kind_at(i)); i++) {
		if (strcmp(kind->plural, name) != 0)
			continue;
		struct buf title = { 0 };
		buf_str(&title, str_of(kind->title));
		title.ptr[0] = (char)(title.ptr[0] & ~0x20);
		buf_lit(&title, "s");
		buf_char(&title, '\0');
		*tag = (struct reference_tag){ name, mem_dup(title.ptr, title.len), kind->doc };
		buf_free(&title);
		return true;
	}
	return false;
}

static struct reference_tag tag_find(const char *name)
{
	struct reference_tag tag = { name, name, "" };
	for (const struct reference_tag *row = tags; row->name; row++)
		if (!strcmp(row->name, name))
			return *row;
	tag_of_kind(name, &tag);
	return tag;
}

const struct reference_tag *reference_tags(void)
{
	static struct buf list;
	size_t count;
	const struct reference *all = references(&count);
	if (list.len)
		return (const struct reference_tag *)(const void *)list.ptr;
	for (size_t i = 0; i < count; i++) {
		size_t before = 0;
		while (strcmp(all[before].tag, all[i].tag) != 0)
			before++;
		if (before != i)
			continue;
		struct reference_tag tag = tag_find(all[i].tag);
		buf_bytes(&list, &tag, sizeof tag);
	}
	buf_bytes(&list, &(struct reference_tag){ 0 }, sizeof(struct reference_tag));
	return (const struct reference_tag *)(const void *)list.ptr;
}

/* ---- problems -------------------------------------------------------------------------------------------------------------- */

const struct problem_code *reference_problems(void)
{
	static struct buf list;
	if (list.len)
		return (const struct problem_code *)(const void *)list.ptr;
	for (const struct problem_code *row = problem_codes; row->code; row++)
		buf_bytes(&list, row, sizeof *row);
	for (const struct refusal_info *info = refusals; info->number; info++) {
		const char *action = info->burns ? "The id is used up: correct the cause and use a new id."
						 : "Correct the row and send it again; its id is free.";
		struct problem_code row = { info->name, refusal_status(info->number), 0, PROBLEM_LEDGER, info->meaning, action };
		if (!problem_code_find(str_of(info->name)))
			buf_bytes(&list, &row, sizeof row);
	}
	buf_bytes(&list, &(struct problem_code){ 0 }, sizeof(struct problem_code));
	return (const struct problem_code *)(const void *)list.ptr;
}

const struct problem_code *reference_problem_find(struct str code)
{
	for (const struct problem_code *row = reference_problems(); row->code; row++)
		if (str_eq(str_of(row->code), code))
			return row;
	return NULL;
}

bool reference_problem_common(const struct problem_code *row)
{
	static const char *const others[] = { "route_unknown", "method_not_allowed", NULL };
	for (size_t i = 0; others[i]; i++)
		if (!strcmp(others[i], row->code))
			return false;
	return row->scope == PROBLEM_REQUEST;
}

static void problem_add_status(struct reference *reference, const struct problem_code *row, int status)
{
	size_t at = reference->problem_count;
	for (size_t i = 0; i < at; i++)
		if (reference->problems[i].status == status && !strcmp(reference->problems[i].code, row->code))
			return;
	ASSERT(at < REFERENCE_PROBLEMS_MAX);
	for (; at && reference->problems[at - 1].status > status; at--)
		reference->problems[at] = reference->problems[at - 1];
	reference->problems[at] = (struct reference_problem){ status, row->code, row->title };
	reference->problem_count++;
}

static void problem_add(struct reference *reference, struct str code)
{
	const struct problem_code *row = reference_problem_find(code);
	if (!row) {
		fprintf(stderr, "tally: %s gives a code that is in no table: %.*s\n", reference->name, (int)code.len, code.ptr);
		abort();
	}
	problem_add_status(reference, row, row->status);
	if (row->also)
		problem_add_status(reference, row, row->also);
}

static void problems_of_ledger(struct reference *reference, bool accounts)
{
	for (const struct refusal_info *info = refusals; info->number; info++)
		if ((info->number >= 100) == accounts)
			problem_add(reference, str_of(info->name));
}

static void problems_add(struct reference *reference, const char *words)
{
	for (const char *at = words; at && *at;) {
		struct str word = { at, strcspn(at, " ") };
		if (str_eq(word, STR("@transfers")))
			problems_of_ledger(reference, false);
		else if (str_eq(word, STR("@accounts")))
			problems_of_ledger(reference, true);
		else
			problem_add(reference, word);
		at += word.len;
		at += *at == ' ';
	}
}

/* ---- what follows from the row --------------------------------------------------------------------------------------------- */

static void parameter_add(struct reference *reference, const char *in, struct parameter row)
{
	ASSERT(reference->parameter_count < REFERENCE_PARAMETERS_MAX);
	reference->parameters[reference->parameter_count++] = (struct reference_parameter){ in, row };
}

static void path_add(struct reference *reference, const struct parameter *given)
{
	for (const char *at = strchr(reference->route->path, '{'), *end; at; at = strchr(end, '{')) {
		end = at + strcspn(at, "}");
		struct str name = { at + 1, (size_t)(end - at) - 1 };
		const struct parameter *row = given;
		while (row && row->name && !str_eq(str_of(row->name), name))
			row++;
		if (row && row->name) {
			parameter_add(reference, "path", *row);
			continue;
		}
		char *text = mem_zalloc(name.len + 1);
		memcpy(text, name.ptr, name.len);
		bool brand = str_eq(name, STR("brand")), profile = str_eq(name, STR("profile_id"));
		parameter_add(reference, "path", (struct parameter){ text, "Name", brand ? "The brand; the same as X-Brand" :
								       profile ? "The customer" : "Which one", true });
		if (brand)
			problem_add(reference, STR("brand_mismatch"));
	}
}

static void flags_add(struct reference *reference, unsigned flags)
{
	static const char *const number = "{'type':'integer','minimum':0,'maximum':1000000,'default':0}";
	if (flags & WITH_DRY_RUN)
		parameter_add(reference, "query", (struct parameter){ "dry_run", "{'type':'boolean','default':false}",
								      "Decide and answer, but change nothing", false });
	if (flags & WITH_LIST) {
		parameter_add(reference, "query",
			      (struct parameter){ "limit", "{'type':'integer','minimum':1,'maximum':1000,'default':100}",
						  "Entries of a page", false });
		parameter_add(reference, "query", (struct parameter){ "offset", number, "Entries to leave out", false });
	}
	if (flags & WITH_CURSOR) {
		parameter_add(reference, "query", (struct parameter){ "cursor", "{'type':'string','pattern':'^[0-9]{1,18}$'}",
								      "What X-Next-Cursor of the page before held", false });
		problem_add(reference, STR("cursor_invalid"));
	}
	if (flags & WITH_BRAND) {
		parameter_add(reference, "header", (struct parameter){ "X-Brand", "Name", "The brand to work in", true });
		problems_add(reference, "brand_missing brand_invalid");
	}
	if (flags & MAY_BRAND)
		parameter_add(reference, "header", (struct parameter){ "X-Brand", "Name", "If given, the brand of every row", false });
	if (flags & MAY_TENANT) {
		parameter_add(reference, "header", (struct parameter){ "X-Tenant", "Name", "If given, the same as org_id", false });
		problem_add(reference, STR("tenant_mismatch"));
	}
	if (flags & WITH_ETAG)
		parameter_add(reference, "header",
			      (struct parameter){ "If-None-Match", "{'type':'string'}", "304 where the ETag is still this one", false });
	if (flags & WITH_IF_MATCH) {
		parameter_add(reference, "header", (struct parameter){ "If-Match", "{'type':'string'}",
								       "ETags, or *: refused where it is none of them", false });
		problem_add(reference, STR("version_mismatch"));
	}
	if (flags & WITH_OPERATOR) {
		parameter_add(reference, "header", (struct parameter){ "X-Operator", "Name", "Who does it, for the audit; anonymous", false });
		problem_add(reference, STR("operator_invalid"));
	}
	if (flags & STRICT_QUERY)
		problem_add(reference, STR("filter_unknown"));
}

static void answers_add(struct reference *reference, const struct answer *answers, unsigned flags)
{
	size_t count = 0;
	for (; count < OPERATION_ANSWERS_MAX && answers[count].status; count++)
		reference->answers[count] = answers[count];
	if (flags & WITH_ETAG)
		reference->answers[count] = (struct answer)ANSWER(304, NULL, "It is still what the ETag names", .headers = "ETag");
}

static bool takes_json(const char *types)
{
	return !types || strstr(types, "json");
}

static void fill(struct reference *reference, const struct operation *operation)
{
	reference->described = true;
	reference->more = operation->more;
	path_add(reference, operation->path);
	for (const struct parameter *row = operation->query; row < operation->query + OPERATION_PARAMETERS_MAX && row->name; row++)
		parameter_add(reference, "query", *row);
	flags_add(reference, operation->flags);
	answers_add(reference, operation->answers, operation->flags);
	reference->body = operation->body;
	reference->body_types = operation->body_types ? operation->body_types : "application/json";
	reference->body_example = operation->body_example;
	reference->links = operation->links;
	if (operation->body) {
		problem_add(reference, STR("media_type"));
		if (takes_json(operation->body_types))
			problem_add(reference, STR("json_invalid"));
	}
	for (size_t i = 0; i < reference->parameter_count; i++)
		if (!strcmp(reference->parameters[i].in, "query"))
			problem_add(reference, STR("query_invalid"));
	problems_add(reference, operation->problems);
}

/* ---- kinds ----------------------------------------------------------------------------------------------------------------- */

static const char *kept(const struct buf *text)
{
	char *out = mem_zalloc(text->len + 1);
	memcpy(out, text->ptr, text->len);
	return out;
}

static const char *kind_schema_name(const struct kind *kind, const char *form)
{
	struct buf text = { 0 };
	bool list = *form == '[';
	if (list)
		buf_char(&text, '[');
	schema_kind_name(&text, kind);
	buf_str(&text, str_of(form + list));
	const char *out = kept(&text);
	buf_free(&text);
	return out;
}

static const char *kind_links(const struct kind *kind)
{
	struct buf text = { 0 };
	buf_printf(&text, "%s.get %s.update %s.delete", kind->plural, kind->plural, kind->plural);
	const char *out = kept(&text);
	buf_free(&text);
	return out;
}

static bool can_filter(const struct field *field)
{
	return field->type == FIELD_TEXT || field->type == FIELD_INT || field->type == FIELD_BOOL || field->type == FIELD_ENUM ||
	       field->type == FIELD_REF || field->type == FIELD_TIME;
}

static const char *filter_schema(const struct field *field)
{
	struct buf text = { 0 };
	if (field->type == FIELD_INT)
		return "{'type':'integer'}";
	if (field->type == FIELD_BOOL)
		return "{'type':'boolean'}";
	if (field->type != FIELD_ENUM)
		return "{'type':'string'}";
	buf_lit(&text, "{'enum':[");
	for (const char *const *choice = field->choices; *choice; choice++)
		buf_printf(&text, "%s'%s'", choice == field->choices ? "" : ",", *choice);
	buf_lit(&text, "]}");
	const char *out = kept(&text);
	buf_free(&text);
	return out;
}

static void filters_add(struct reference *reference, const struct kind *kind)
{
	for (const struct field *field = kind->fields; field->name; field++)
		if (can_filter(field))
			parameter_add(reference, "query",
				      (struct parameter){ field->name, filter_schema(field), "Only those where it is this", false });
}

static void field_problems(struct reference *reference, const struct field *fields)
{
	for (const struct field *field = fields; field && field->name; field++) {
		if (field->ref_unknown)
			problem_add(reference, str_of(field->ref_unknown));
		if (field->ref_inactive)
			problem_add(reference, str_of(field->ref_inactive));
		if (field->ref_mismatch)
			problem_add(reference, str_of(field->ref_mismatch));
		for (size_t a = 0; field->type == FIELD_ACTIONS && a < ACTION_TYPES; a++)
			field_problems(reference, action_kinds[a].args);
	}
}

static void kind_fill(struct reference *reference, const struct kind *kind)
{
	const char *method = reference->route->method;
	bool one = strchr(reference->route->path, '{') != NULL;
	struct operation row = { .flags = WITH_BRAND | WITH_OPERATOR | STRICT_QUERY,
				 .path = { { "id", "{'type':'string','pattern':'^[1-9][0-9]*$'}", "Decimal digits", true } } };
	bool list = !strcmp(method, "GET") && !one, gone = !strcmp(method, "DELETE");
	const char *read = list ? kind_schema_name(kind, "[]") : gone ? "Deleted" : kind_schema_name(kind, "");
	if (list) {
		row.flags |= WITH_LIST;
		row.query[0] = (struct parameter){ "cursor", kind->order_by ? "{'type':'string','pattern':'^-?[0-9]+[.][0-9]+$'}"
									     : "{'type':'string','pattern':'^[0-9]{1,20}$'}",
						   "What X-Next-Cursor of the page before held", false };
		row.answers[0] = (struct answer)ANSWER(200, read, "A page", .headers = "X-Total-Count X-Next-Cursor");
		row.problems = "filter_invalid cursor_invalid";
	} else if (!strcmp(method, "GET")) {
		row.flags |= WITH_ETAG | WITH_IF_MATCH;
		row.answers[0] = (struct answer)ANSWER(200, read, "The document", .headers = "ETag");
		row.problems = "not_found";
	} else if (!strcmp(method, "POST")) {
		row.flags |= WITH_DRY_RUN;
		row.body = kind_schema_name(kind, "Create");
		row.answers[0] = (struct answer)ANSWER(201, read, "It is durable, and what comes now is decided by it", .headers = "ETag");
		row.answers[1] = (struct answer)ANSWER(200, read, "A dry run");
		row.links = kind_links(kind);
		row.problems = "brand_mismatch invalid duplicate document_too_large disk_full";
	} else if (!strcmp(method, "PATCH")) {
		row.flags |= WITH_DRY_RUN | WITH_IF_MATCH;
		row.more = "RFC 7396: what is left out stays, null sets a field back.";
		row.body = kind_schema_name(kind, "Update");
		row.body_types = "application/json application/merge-patch+json";
		row.body_example = field_find(kind->fields, STR("active")) ? "{'active':false}" : "{'name':'Another'}";
		row.answers[0] = (struct answer)ANSWER(200, read, "As it is now", .headers = "ETag");
		row.problems = "brand_mismatch invalid duplicate not_found document_too_large disk_full";
	} else {
		row.flags |= WITH_DRY_RUN | WITH_IF_MATCH;
		row.answers[0] = (struct answer)ANSWER(200, read, "It is gone");
		row.problems = "not_found in_use disk_full";
	}
	if (list)
		filters_add(reference, kind);
	fill(reference, &row);
	if (row.body)
		field_problems(reference, kind->fields);
	if (strcmp(method, "GET") != 0)
		problems_add(reference, kind->problems);
}

/* What forms ask for: the catalog of a kind, and its documents as choices. */
static bool kind_form_fill(struct reference *reference, const struct kind *kind)
{
	const char *name = strchr(reference->name, '.');
	struct operation row = { .flags = WITH_BRAND | STRICT_QUERY };
	if (name && !strcmp(name, ".ui_catalog")) {
		row.answers[0] = (struct answer)ANSWER(200, "UiCatalog", "The catalog");
	} else if (name && !strcmp(name, ".options")) {
		row.flags |= WITH_OPERATOR;
		row.query[0] = (struct parameter){ "limit", "{'type':'integer','minimum':1,'maximum':10000,'default':1000}",
						   "Choices of a page", false };
		row.query[1] = (struct parameter){ "offset", "{'type':'integer','minimum':0,'maximum':1000000,'default':0}",
						   "Choices to leave out", false };
		row.more = "Those that are active, unless the filter says otherwise. Each is a document with `value` and `label` before it.";
		row.answers[0] = (struct answer)ANSWER(200, "[UiOption]", "The choices", .headers = "X-Total-Count");
		row.problems = "filter_invalid query_too_broad";
		filters_add(reference, kind);
	} else {
		return false;
	}
	fill(reference, &row);
	return true;
}

static bool is_kind_route(const struct route *route)
{
	const char *path = route->kind ? route->kind->path : "";
	size_t len = strlen(path);
	return len && !strncmp(route->path, path, len) && (!route->path[len] || !strcmp(route->path + len, "/{id}"));
}

/* ---- all of them ------------------------------------------------------------------------------------------------------------ */

static void reference_fill(struct reference *reference, const struct route *route)
{
	const char *name = route->command ? route->command : route->operation;
	*reference = (struct reference){ .route = route, .name = name ? name : "", .tag = "" };
	if (name) {
		struct buf tag = { 0 };
		buf_bytes(&tag, name, strcspn(name, "."));
		reference->tag = kept(&tag);
		buf_free(&tag);
		reference->operation = operation_find(name);
	}
	if (reference->operation)
		fill(reference, reference->operation);
	else if (is_kind_route(route))
		kind_fill(reference, route->kind);
	else if (!route->kind || !kind_form_fill(reference, route->kind))
		path_add(reference, NULL);     /* nothing is known; a test says so */
	reference->deprecated = route->kind && route->kind->successor;
}

const struct reference *references(size_t *count)
{
	static struct reference *all;
	static size_t all_count;
	if (!all) {
		for (const struct route *const *surface = app_surfaces(); *surface; surface++)
			for (const struct route *route = *surface; route->method; route++)
				all_count++;
		all = mem_zalloc(all_count * sizeof *all);
		struct reference *at = all;
		for (const struct route *const *surface = app_surfaces(); *surface; surface++)
			for (const struct route *route = *surface; route->method; route++)
				reference_fill(at++, route);
	}
	*count = all_count;
	return all;
}
