// SPDX-License-Identifier: Apache-2.0
/* reference_text.c - the reference for a terminal (`tally help api`) and as Markdown (docs/api-reference.md). */
#include "engine/base/json.h"
#include "net/surface/reference.h"
#include "net/surface/schema.h"

static bool has(const char *text, const char *word)
{
	return strcasestr(text, word) != NULL;
}

static bool asked_for(const struct reference *reference, const char *word)
{
	return has(reference->name, word) || has(reference->route->path, word) || has(reference->route->doc, word);
}

/* Codes by status: "404 not_found, customer_unknown". */
static void codes(struct buf *out, const struct reference *reference, const char *before, const char *mark, const char *after)
{
	for (size_t i = 0; i < reference->problem_count; i++) {
		const struct reference_problem *row = &reference->problems[i];
		if (!i || reference->problems[i - 1].status != row->status)
			buf_printf(out, "%s%s%d %s%s%s", i ? after : "", before, row->status, mark, row->code, mark);
		else
			buf_printf(out, ", %s%s%s", mark, row->code, mark);
	}
	if (reference->problem_count)
		buf_str(out, str_of(after));
}

static void example(struct buf *out, const char *schema, const char *given)
{
	if (given)
		quotes_write(out, given);
	else
		schema_example(out, schema);
}

/* The name of a shape, or what it is in words. */
static void shape(struct buf *out, const char *schema)
{
	if (*schema == '[')
		buf_printf(out, "array of %.*s", (int)strlen(schema) - 2, schema + 1);
	else if (*schema == '{')
		schema_words(out, schema);
	else
		buf_str(out, str_of(schema));
}

static bool body_is_json(const struct reference *reference)
{
	return !strncmp(reference->body_types, "application/json", 16);
}

/* ---- terminal -------------------------------------------------------------------------------------------------------------- */

static void operation_terminal(struct buf *out, const struct reference *reference)
{
	buf_printf(out, "%s %s\n    %s.%s%s\n    operation %s, permission %s\n", reference->route->method, reference->route->path,
		   reference->route->doc, reference->more ? " " : "", reference->more ? reference->more : "", reference->name,
		   reference->route->permission);
	for (size_t i = 0; i < reference->parameter_count; i++) {
		const struct reference_parameter *row = &reference->parameters[i];
		buf_printf(out, "    %-6s %-14s ", row->in, row->row.name);
		shape(out, row->row.schema);
		buf_printf(out, "%s: %s\n", row->row.required ? ", needed" : "", row->row.doc);
	}
	if (reference->body) {
		buf_lit(out, "    body   ");
		shape(out, reference->body);
		buf_printf(out, " (%s)\n           ", reference->body_types);
		if (body_is_json(reference))
			example(out, reference->body, reference->body_example);
		else
			buf_str(out, str_of(reference->body_example ? reference->body_example : ""));
		buf_char(out, '\n');
	}
	for (const struct answer *answer = reference->answers; answer->status; answer++) {
		buf_printf(out, "    %d    ", answer->status);
		if (answer->schema)
			shape(out, answer->schema);
		else
			buf_str(out, str_of(answer->type ? answer->type : "nothing"));
		buf_printf(out, ": %s\n", answer->doc);
	}
	codes(out, reference, "    ", "", "\n");
	buf_char(out, '\n');
}

bool reference_terminal(struct buf *out, const char *word)
{
	size_t count, found = 0, wide = 0;
	const struct reference *all = references(&count);
	for (size_t i = 0; word && i < count; i++)
		if (asked_for(&all[i], word)) {
			operation_terminal(out, &all[i]);
			found++;
		}
	for (const struct problem_code *row = reference_problems(); word && row->code; row++)
		if (has(row->code, word)) {
			buf_printf(out, "%d %s\n    %s. %s\n", row->status, row->code, row->title, row->action);
			found++;
		}
	if (word)
		return found > 0;
	for (size_t i = 0; i < count; i++)
		if (strlen(all[i].route->path) > wide)
			wide = strlen(all[i].route->path);
	for (const struct reference_tag *tag = reference_tags(); tag->name; tag++) {
		buf_printf(out, "%s\n", tag->title);
		for (size_t i = 0; i < count; i++)
			if (!strcmp(all[i].tag, tag->name))
				buf_printf(out, "  %-6s %-*s  %s\n", all[i].route->method, (int)wide, all[i].route->path,
					   all[i].route->doc);
		buf_char(out, '\n');
	}
	buf_lit(out, "tally help api WORD says all about the operations and codes that have the word. A server shows the same at /docs.\n");
	return true;
}

/* ---- Markdown -------------------------------------------------------------------------------------------------------------- */

/* Within a table's cell. */
static void cell(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '|')
			buf_char(out, '\\');
		buf_char(out, text.ptr[i]);
	}
}

static void cell_shape(struct buf *out, const char *schema)
{
	struct buf words = { 0 };
	shape(&words, schema);
	cell(out, buf_view(&words));
	buf_free(&words);
}

static void operation_markdown(struct buf *out, const struct reference *reference)
{
	buf_printf(out, "### `%s %s`\n\n%s.%s%s%s\n", reference->route->method, reference->route->path, reference->route->doc,
		   reference->more ? " " : "", reference->more ? reference->more : "", reference->deprecated ? " Deprecated." : "");
	buf_printf(out, "Operation `%s`%s, permission `%s`.\n\n", reference->name,
		   reference->route->command ? " (also over MessagePack-RPC)" : "", reference->route->permission);
	if (reference->parameter_count)
		buf_lit(out, "| parameter | in | is | |\n| --- | --- | --- | --- |\n");
	for (size_t i = 0; i < reference->parameter_count; i++) {
		const struct reference_parameter *row = &reference->parameters[i];
		buf_printf(out, "| `%s` | %s%s | ", row->row.name, row->in, row->row.required ? ", needed" : "");
		cell_shape(out, row->row.schema);
		buf_printf(out, " | %s |\n", row->row.doc);
	}
	if (reference->parameter_count)
		buf_char(out, '\n');
	if (reference->body) {
		buf_lit(out, "Body: ");
		shape(out, reference->body);
		buf_printf(out, " (`%s`)\n\n", reference->body_types);
		buf_str(out, body_is_json(reference) ? STR("```json\n") : STR("```\n"));
		if (body_is_json(reference))
			example(out, reference->body, reference->body_example);
		else
			buf_str(out, str_of(reference->body_example ? reference->body_example : ""));
		buf_str(out, out->ptr[out->len - 1] == '\n' ? STR("```\n\n") : STR("\n```\n\n"));
	}
	buf_lit(out, "| answer | is | when |\n| --- | --- | --- |\n");
	for (const struct answer *answer = reference->answers; answer->status; answer++) {
		buf_printf(out, "| %d | ", answer->status);
		if (answer->schema)
			cell_shape(out, answer->schema);
		else
			buf_str(out, str_of(answer->type ? answer->type : ""));
		buf_printf(out, " | %s%s%s |\n", answer->doc, answer->headers ? "; with " : "", answer->headers ? answer->headers : "");
	}
	buf_char(out, '\n');
	if (reference->problem_count) {
		buf_lit(out, "Refusals: ");
		codes(out, reference, "", "`", "; ");
		out->len -= 2;
		buf_lit(out, ".\n\n");
	}
}

static void component_markdown(struct buf *out, struct str name)
{
	struct buf json = { 0 };
	struct json_error error;
	size_t i, max;
	yyjson_val *key, *value;
	schema_component_named(&json, name);
	yyjson_doc *doc = json_read(buf_view(&json), &error);
	yyjson_val *root = yyjson_doc_get_root(doc), *members = json_get(root, STR("properties"));
	buf_lit(out, "### ");
	buf_str(out, name);
	buf_lit(out, "\n\n");
	buf_str(out, json_text(json_get(root, STR("description"))));
	if (!members) {
		buf_lit(out, ": ");
		schema_words_json(out, root);
	}
	buf_lit(out, ".\n\n");
	if (members)
		buf_lit(out, "| member | is | |\n| --- | --- | --- |\n");
	yyjson_obj_foreach(json_members(root, STR("properties")), i, max, key, value) {
		struct buf words = { 0 };
		size_t n, count;
		yyjson_val *needed;
		bool is_needed = false;
		yyjson_arr_foreach(json_get(root, STR("required")), n, count, needed)
			is_needed |= str_eq(json_text(needed), json_text(key));
		schema_words_json(&words, value);
		buf_lit(out, "| `");
		buf_str(out, json_text(key));
		buf_str(out, is_needed ? STR("` | ") : STR("`, optional | "));
		cell(out, buf_view(&words));
		buf_lit(out, " | ");
		cell(out, json_text(json_get(value, STR("description"))));
		buf_lit(out, " |\n");
		buf_free(&words);
	}
	if (members)
		buf_char(out, '\n');
	yyjson_doc_free(doc);
	buf_free(&json);
}

static void problems_markdown(struct buf *out, const char *title, enum problem_scope scope)
{
	buf_printf(out, "### %s\n\n| status | code | meaning | what to do |\n| ---: | --- | --- | --- |\n", title);
	for (const struct problem_code *row = reference_problems(); row->code; row++) {
		if (row->scope != scope)
			continue;
		buf_printf(out, "| %d", row->status);
		if (row->also)
			buf_printf(out, ", %d", row->also);
		buf_printf(out, " | `%s` | %s | %s |\n", row->code, row->title, row->action);
	}
	buf_char(out, '\n');
}

void reference_markdown(struct buf *out)
{
	size_t count, at = 0;
	const struct reference *all = references(&count);
	struct buf name = { 0 };
	buf_lit(out, "# The API, operation by operation\n\nMade from the program's own tables by `tally help api --markdown`; a test checks "
		     "that it is current. [api.md](api.md) has the meanings.\nA server shows the same at `/docs`, and as OpenAPI 3.1 at "
		     "`/openapi.json`.\n\n");
	for (const struct reference_tag *tag = reference_tags(); tag->name; tag++) {
		buf_printf(out, "## %s\n\n%s\n\n", tag->title, tag->doc);
		for (size_t i = 0; i < count; i++)
			if (!strcmp(all[i].tag, tag->name))
				operation_markdown(out, &all[i]);
	}
	buf_lit(out, "## Shapes\n\n");
	while (schema_next(&at, &name))
		component_markdown(out, buf_view(&name));
	buf_lit(out, "## Refusals\n\n");
	problems_markdown(out, "Any request may meet these", PROBLEM_REQUEST);
	problems_markdown(out, "Of single operations", PROBLEM_OPERATION);
	problems_markdown(out, "Of the ledger", PROBLEM_LEDGER);
	problems_markdown(out, "Of MessagePack-RPC alone", PROBLEM_RPC);
	out->len--;
	buf_free(&name);
}
