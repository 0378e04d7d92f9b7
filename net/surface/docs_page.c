// SPDX-License-Identifier: Apache-2.0
/* docs_page.c - the reference as one HTML page: no script, nothing from elsewhere, readable on a phone. */
#include "engine/base/json.h"
#include "net/cli/version.h"
#include "net/surface/reference.h"
#include "net/surface/schema.h"

static const char style[] =
	":root{color-scheme:light dark}*{box-sizing:border-box}"
	"body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;overflow-wrap:anywhere}"
	"code,pre{font:.9em/1.45 ui-monospace,monospace}pre{overflow:auto;padding:.6rem;border-radius:.4rem;background:#8882}"
	"table{border-collapse:collapse;width:100%;margin:.4rem 0}td,th{text-align:left;vertical-align:top;padding:.25rem .5rem .25rem 0;"
	"border-bottom:1px solid #8884}details{border:1px solid #8884;border-radius:.4rem;margin:.4rem 0;padding:.4rem .7rem}"
	"summary{cursor:pointer}h2{margin-top:2rem}h4{margin:.8rem 0 .2rem}.m{display:inline-block;min-width:4.2em;font-weight:700}"
	".s{opacity:.75}nav ul{columns:14rem;padding-left:1.1rem}a{color:inherit}";

static void html(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		switch (text.ptr[i]) {
		case '<': buf_lit(out, "&lt;"); break;
		case '>': buf_lit(out, "&gt;"); break;
		case '&': buf_lit(out, "&amp;"); break;
		case '"': buf_lit(out, "&quot;"); break;
		default: buf_char(out, text.ptr[i]);
		}
}

static void html_text(struct buf *out, const char *text)
{
	html(out, str_of(text));
}

static void schema_link(struct buf *out, struct str name)
{
	buf_lit(out, "<a href=\"#schema-");
	html(out, name);
	buf_lit(out, "\">");
	html(out, name);
	buf_lit(out, "</a>");
}

/* A schema in words, linked where it is a name. */
static void schema_html(struct buf *out, const char *schema)
{
	struct buf words = { 0 };
	if (*schema == '{') {
		schema_words(&words, schema);
		html(out, buf_view(&words));
		buf_free(&words);
		return;
	}
	bool array = *schema == '[';
	buf_str(out, array ? STR("array of ") : STR(""));
	schema_link(out, array ? (struct str){ schema + 1, strlen(schema) - 2 } : str_of(schema));
}

/* The same of JSON Schema: a reference, an array of references, or words. */
static void value_html(struct buf *out, yyjson_val *schema)
{
	static const struct str prefix = { "#/components/schemas/", 21 };
	struct buf words = { 0 };
	yyjson_val *items = json_get(schema, STR("items"));
	struct str one = json_text(json_get(schema, STR("$ref"))), many = json_text(json_get(items, STR("$ref")));
	struct str path = one.len ? one : many;
	if (path.len) {
		buf_str(out, one.len ? STR("") : STR("array of "));
		schema_link(out, (struct str){ path.ptr + prefix.len, path.len - prefix.len });
		return;
	}
	schema_words_json(&words, schema);
	html(out, buf_view(&words));
	buf_free(&words);
}

/* Minified JSON, indented; what is none stays as it is. */
static void indent(struct buf *out, struct str json)
{
	unsigned depth = 0;
	bool in_text = false;
	for (size_t i = 0; i < json.len; i++) {
		char c = json.ptr[i];
		bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
		bool empty = closes && i && (json.ptr[i - 1] == '{' || json.ptr[i - 1] == '[');
		if (in_text || c == '"') {
			in_text = c == '"' && (!i || json.ptr[i - 1] != '\\') ? !in_text : in_text;
			buf_char(out, c);
			continue;
		}
		depth -= closes && depth;
		if (closes && !empty)
			buf_printf(out, "\n%*s", (int)(2 * depth), "");
		buf_char(out, c);
		depth += opens;
		if (c == ':')
			buf_char(out, ' ');
		if (c == ',' || (opens && i + 1 < json.len && json.ptr[i + 1] != '}' && json.ptr[i + 1] != ']'))
			buf_printf(out, "\n%*s", (int)(2 * depth), "");
	}
}

static void pre_html(struct buf *out, struct str text, bool json)
{
	struct buf lines = { 0 };
	if (json)
		indent(&lines, text);
	else
		buf_str(&lines, text);
	buf_lit(out, "<pre>");
	html(out, buf_view(&lines));
	buf_lit(out, "</pre>");
	buf_free(&lines);
}

static void example_html(struct buf *out, const char *schema, const char *example, bool json)
{
	struct buf text = { 0 };
	if (example && json)
		quotes_write(&text, example);
	else if (example)
		buf_str(&text, str_of(example));
	else if (schema)
		schema_example(&text, schema);
	pre_html(out, buf_view(&text), json);
	buf_free(&text);
}

static void parameters_html(struct buf *out, const struct reference *reference)
{
	if (!reference->parameter_count)
		return;
	buf_lit(out, "<h4>Parameters</h4><table>");
	for (size_t i = 0; i < reference->parameter_count; i++) {
		const struct reference_parameter *row = &reference->parameters[i];
		buf_lit(out, "<tr><td><code>");
		html_text(out, row->row.name);
		buf_lit(out, "</code> <span class=s>");
		html_text(out, row->in);
		buf_str(out, row->row.required ? STR(", needed") : STR(""));
		buf_lit(out, "</span><td>");
		schema_html(out, row->row.schema);
		buf_lit(out, "<td>");
		html_text(out, row->row.doc);
	}
	buf_lit(out, "</table>");
}

static void body_html(struct buf *out, const struct reference *reference)
{
	if (!reference->body)
		return;
	buf_lit(out, "<h4>Body</h4><p>");
	schema_html(out, reference->body);
	buf_lit(out, " <span class=s>");
	html_text(out, reference->body_types);
	buf_lit(out, "</span></p>");
	example_html(out, reference->body, reference->body_example, !strncmp(reference->body_types, "application/json", 16));
}

static void answers_html(struct buf *out, const struct reference *reference)
{
	buf_lit(out, "<h4>Answers</h4><table>");
	for (const struct answer *answer = reference->answers; answer->status; answer++) {
		buf_printf(out, "<tr><td>%d<td>", answer->status);
		if (answer->schema)
			schema_html(out, answer->schema);
		else
			html_text(out, answer->type ? answer->type : "");
		buf_lit(out, "<td>");
		html_text(out, answer->doc);
		if (answer->headers) {
			buf_lit(out, " <span class=s>");
			html_text(out, answer->headers);
			buf_lit(out, "</span>");
		}
	}
	buf_lit(out, "</table>");
	if (reference->answers[0].schema)
		example_html(out, reference->answers[0].schema, reference->answers[0].example, true);
}

static void problems_html(struct buf *out, const struct reference *reference)
{
	if (!reference->problem_count)
		return;
	buf_lit(out, "<h4>Refusals</h4><p>");
	for (size_t i = 0; i < reference->problem_count; i++) {
		const struct reference_problem *row = &reference->problems[i];
		bool same = i && reference->problems[i - 1].status == row->status;
		if (!same)
			buf_printf(out, "%s<b>%d</b>", i ? "<br>" : "", row->status);
		buf_printf(out, "%s <a href=\"#problem-%s\"><code>%s</code></a>", same ? "," : "", row->code, row->code);
	}
	buf_lit(out, "</p>");
}

static void operation_html(struct buf *out, const struct reference *reference)
{
	buf_printf(out, "<details id=\"%s\"><summary><span class=m>%s</span><code>", reference->name, reference->route->method);
	html_text(out, reference->route->path);
	buf_lit(out, "</code> <span class=s>");
	html_text(out, reference->route->doc);
	buf_str(out, reference->deprecated ? STR(" (deprecated)") : STR(""));
	buf_lit(out, "</span></summary>");
	if (reference->more) {
		buf_lit(out, "<p>");
		html_text(out, reference->more);
		buf_lit(out, "</p>");
	}
	buf_printf(out, "<p class=s>operation <code>%s</code>%s, permission <code>%s</code></p>", reference->name,
		   reference->route->command ? ", also over MessagePack-RPC" : "", reference->route->permission);
	parameters_html(out, reference);
	body_html(out, reference);
	answers_html(out, reference);
	problems_html(out, reference);
	buf_lit(out, "</details>");
}

/* The members of a component, or what it is in words. */
static void component_html(struct buf *out, struct str name)
{
	struct buf json = { 0 }, words = { 0 };
	struct json_error error;
	size_t i, max;
	yyjson_val *key, *value;
	schema_component_named(&json, name);
	yyjson_doc *doc = json_read(buf_view(&json), &error);
	yyjson_val *root = yyjson_doc_get_root(doc), *required = json_get(root, STR("required"));
	buf_lit(out, "<details id=\"schema-");
	html(out, name);
	buf_lit(out, "\"><summary><b>");
	html(out, name);
	buf_lit(out, "</b> <span class=s>");
	html(out, json_text(json_get(root, STR("description"))));
	buf_lit(out, "</span></summary><table>");
	yyjson_obj_foreach(json_members(root, STR("properties")), i, max, key, value) {
		size_t n, count;
		yyjson_val *needed;
		bool is_needed = false;
		yyjson_arr_foreach(required, n, count, needed)
			is_needed |= str_eq(json_text(needed), json_text(key));
		buf_lit(out, "<tr><td><code>");
		html(out, json_text(key));
		buf_str(out, is_needed ? STR("</code><td>") : STR("</code> <span class=s>optional</span><td>"));
		value_html(out, value);
		buf_lit(out, "<td>");
		html(out, json_text(json_get(value, STR("description"))));
	}
	buf_lit(out, "</table>");
	if (!json_get(root, STR("properties"))) {
		buf_lit(out, "<p>");
		value_html(out, root);
		buf_lit(out, "</p>");
	}
	yyjson_val *example = yyjson_arr_get_first(json_get(root, STR("examples")));
	if (example) {
		json_write(&words, example);
		pre_html(out, buf_view(&words), true);
	}
	buf_lit(out, "</details>");
	yyjson_doc_free(doc);
	buf_free(&json);
	buf_free(&words);
}

static void problem_html(struct buf *out, const struct problem_code *row)
{
	buf_printf(out, "<tr id=\"problem-%s\"><td>%d<td><code>%s</code><td>", row->code, row->status, row->code);
	html_text(out, row->title);
	buf_lit(out, ". <span class=s>");
	html_text(out, row->action);
	buf_lit(out, "</span>");
}

static void problems_of(struct buf *out, enum problem_scope scope)
{
	buf_lit(out, "<table>");
	for (const struct problem_code *row = reference_problems(); row->code; row++)
		if (row->scope == scope)
			problem_html(out, row);
	buf_lit(out, "</table>");
}

static void problems_table(struct buf *out)
{
	buf_lit(out, "<h2 id=refusals>Refusals</h2><p>A refusal is a problem document (RFC 9457), <code>application/problem+json</code>: "
		     "<code>code</code> never changes its meaning. Those of the first table may meet any request.</p>");
	problems_of(out, PROBLEM_REQUEST);
	buf_lit(out, "<h3>Of single operations</h3>");
	problems_of(out, PROBLEM_OPERATION);
	buf_lit(out, "<h3>Of the ledger</h3>");
	problems_of(out, PROBLEM_LEDGER);
}

void docs_write(struct buf *out)
{
	size_t count, at = 0;
	const struct reference *all = references(&count);
	struct buf name = { 0 };
	buf_lit(out, "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,"
		     "initial-scale=1\"><title>Tally: the API</title><style>");
	buf_str(out, str_of(style));
	buf_lit(out, "</style></head><body><h1>Tally <span class=s>" VERSION "</span></h1><p>Every operation of this server, with what it "
		     "takes, what it answers, and why it refuses. The same as an <a href=\"/openapi.json\">OpenAPI document</a>.</p><nav><ul>");
	for (const struct reference_tag *tag = reference_tags(); tag->name; tag++) {
		buf_printf(out, "<li><a href=\"#tag-%s\">", tag->name);
		html_text(out, tag->title);
		buf_lit(out, "</a>");
	}
	buf_lit(out, "<li><a href=\"#schemas\">Shapes</a><li><a href=\"#refusals\">Refusals</a></ul></nav>");
	for (const struct reference_tag *tag = reference_tags(); tag->name; tag++) {
		buf_printf(out, "<h2 id=\"tag-%s\">", tag->name);
		html_text(out, tag->title);
		buf_lit(out, "</h2><p>");
		html_text(out, tag->doc);
		buf_lit(out, "</p>");
		for (size_t i = 0; i < count; i++)
			if (!strcmp(all[i].tag, tag->name))
				operation_html(out, &all[i]);
	}
	buf_lit(out, "<h2 id=schemas>Shapes</h2>");
	while (schema_next(&at, &name))
		component_html(out, buf_view(&name));
	problems_table(out);
	buf_lit(out, "</body></html>\n");
	buf_free(&name);
}
