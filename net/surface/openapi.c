// SPDX-License-Identifier: Apache-2.0
/* openapi.c - the reference as an OpenAPI 3.1.0 document.
 *
 * Every refusal of an operation stands under its status with an example; refusals that any request may meet are shared
 * components. `x-permission` names the permission of an operation, `x-action` what the caller of a refused request can do.
 */
#include "engine/base/json.h"
#include "net/cli/version.h"
#include "net/surface/reference.h"
#include "net/surface/schema.h"

/* A comma unless a list or an object has just begun, or a key stands there. */
static void comma(struct buf *out)
{
	char last = out->len ? out->ptr[out->len - 1] : '{';
	if (last != '{' && last != '[' && last != ':')
		buf_char(out, ',');
}

static void key(struct buf *out, const char *name)
{
	comma(out);
	buf_json_text(out, str_of(name));
	buf_char(out, ':');
}

static void text(struct buf *out, const char *name, const char *value)
{
	key(out, name);
	buf_json_text(out, str_of(value));
}

static void text_item(struct buf *out, const char *value)
{
	comma(out);
	buf_json_text(out, str_of(value));
}

static bool is_json(const char *type)
{
	return strstr(type, "json") && !strstr(type, "ndjson") && !strstr(type, "jsonl");
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------ */

/* Names of examples: the code, and for the POS surface, whose errors have a form of their own, "pos." before it. */
static void problem_example(struct buf *out, const char *code, int status, const struct route *route)
{
	key(out, "value");
	if (route && route->problem)
		route->problem(out, status, code, NULL, reference_problem_find(str_of(code))->title);
	else
		http_problem_json(out, status, code, NULL, NULL, -1);
}

static void problem_row(struct buf *out, const char *prefix, const struct problem_code *row, const struct route *route)
{
	for (int i = 0; i < 2; i++) {
		int status = i ? row->also : row->status;
		if (!status)
			continue;
		comma(out);
		buf_printf(out, "\"%s%s", prefix, row->code);
		if (i)
			buf_printf(out, ".%d", status);
		buf_lit(out, "\":{");
		text(out, "summary", row->title);
		problem_example(out, row->code, status, route);
		text(out, "x-action", row->action);
		buf_char(out, '}');
	}
}

static const struct route *pos_route(void)
{
	size_t count;
	const struct reference *all = references(&count);
	for (size_t i = 0; i < count; i++)
		if (all[i].route->problem)
			return all[i].route;
	return NULL;
}

static void problem_rows(struct buf *out, const char *prefix, const struct route *route)
{
	for (const struct problem_code *row = reference_problems(); row->code; row++)
		if (row->scope != PROBLEM_RPC)
			problem_row(out, prefix, row, route);
}

static void example_reference(struct buf *out, const char *prefix, const char *code, int status)
{
	bool other = reference_problem_find(str_of(code))->status != status;
	comma(out);
	buf_printf(out, "\"%s\":{\"$ref\":\"#/components/examples/%s%s", code, prefix, code);
	if (other)
		buf_printf(out, ".%d", status);
	buf_lit(out, "\"}");
}

/* The codes of one status, with their examples: those of the operation (NULL: none), and those that any request may meet. */
static void problem_content(struct buf *out, const struct reference *reference, int status)
{
	bool pos = reference && reference->route->problem, common = false, own = false;
	for (const struct problem_code *row = problem_codes; row->code; row++)
		common |= reference_problem_common(row) && row->status == status;
	for (size_t i = 0; reference && i < reference->problem_count; i++)
		own |= reference->problems[i].status == status;
	if (pos && own) {
		buf_lit(out, "\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/PosError\"},\"examples\":{");
		for (size_t i = 0; i < reference->problem_count; i++)
			if (reference->problems[i].status == status)
				example_reference(out, "pos.", reference->problems[i].code, status);
		buf_lit(out, "}}");
	}
	if (pos && !common)
		return;
	comma(out);
	buf_lit(out, "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"},\"examples\":{");
	for (size_t i = 0; reference && !pos && i < reference->problem_count; i++)
		if (reference->problems[i].status == status)
			example_reference(out, "", reference->problems[i].code, status);
	for (const struct problem_code *row = problem_codes; row->code; row++)
		if (reference_problem_common(row) && row->status == status)
			example_reference(out, "", row->code, status);
	buf_lit(out, "}}");
}

static void problem_description(struct buf *out, const struct reference *reference, int status)
{
	struct buf words = { 0 };
	for (size_t i = 0; reference && i < reference->problem_count; i++)
		if (reference->problems[i].status == status)
			buf_printf(&words, "%s%s", words.len ? ", " : "", reference->problems[i].code);
	for (const struct problem_code *row = problem_codes; row->code; row++)
		if (reference_problem_common(row) && row->status == status)
			buf_printf(&words, "%s%s", words.len ? ", " : "", row->code);
	buf_char(&words, '\0');
	text(out, "description", words.ptr);
	buf_free(&words);
}

/* ---- operations ---------------------------------------------------------------------------------------------------------- */

static void header_rows(struct buf *out, const char *words)
{
	if (!words)
		return;
	key(out, "headers");
	buf_char(out, '{');
	for (const char *at = words; *at;) {
		size_t len = strcspn(at, " ");
		comma(out);
		buf_printf(out, "\"%.*s\":{\"$ref\":\"#/components/headers/%.*s\"}", (int)len, at, (int)len, at);
		at += len;
		at += *at == ' ';
	}
	buf_char(out, '}');
}

/* What an example's text is in the document: JSON as it is, else a string. */
static void example_value(struct buf *out, const char *type, const char *schema, const char *example)
{
	if (!is_json(type) && example)
		buf_json_text(out, str_of(example));
	else if (!is_json(type))
		buf_lit(out, "\"\"");
	else if (example)
		quotes_write(out, example);
	else
		schema_example(out, schema);
}

static void content_row(struct buf *out, const char *type, size_t len, const char *schema, const char *example)
{
	char name[64];
	snprintf(name, sizeof name, "%.*s", (int)len, type);
	key(out, name);
	buf_lit(out, "{\"schema\":");
	if (!strcmp(name, "multipart/form-data"))
		buf_lit(out, "{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"string\"}},\"required\":[\"file\"]}");
	else if (schema && is_json(name))
		schema_write(out, schema);
	else
		buf_lit(out, "{\"type\":\"string\"}");
	key(out, "example");
	if (!strcmp(name, "multipart/form-data")) {
		buf_lit(out, "{\"file\":");
		buf_json_text(out, str_of(example));
		buf_char(out, '}');
	} else if (strstr(name, "ndjson") || strstr(name, "jsonl")) {
		struct buf line = { 0 };
		quotes_write(&line, example ? example : "");
		buf_char(&line, '\n');
		buf_json_text(out, buf_view(&line));
		buf_free(&line);
	} else {
		example_value(out, name, schema, example);
	}
	buf_char(out, '}');
}

static void content_rows(struct buf *out, const char *types, const char *schema, const char *example)
{
	key(out, "content");
	buf_char(out, '{');
	for (const char *at = types; *at;) {
		size_t len = strcspn(at, " ");
		content_row(out, at, len, schema, example);
		at += len;
		at += *at == ' ';
	}
	buf_char(out, '}');
}

static void parameter_rows(struct buf *out, const struct reference *reference)
{
	key(out, "parameters");
	buf_char(out, '[');
	for (size_t i = 0; i < reference->parameter_count; i++) {
		const struct reference_parameter *parameter = &reference->parameters[i];
		bool path = !strcmp(parameter->in, "path");
		comma(out);
		buf_char(out, '{');
		text(out, "name", parameter->row.name);
		text(out, "in", parameter->in);
		text(out, "description", parameter->row.doc);
		if (path || parameter->row.required)
			buf_lit(out, ",\"required\":true");
		key(out, "schema");
		schema_write(out, parameter->row.schema);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

/* What can be done with the thing that was made. */
static void link_rows(struct buf *out, const struct reference *reference)
{
	bool brand = false;
	for (size_t i = 0; i < reference->parameter_count; i++)
		brand |= !strcmp(reference->parameters[i].row.name, "X-Brand") && reference->parameters[i].row.required;
	key(out, "links");
	buf_char(out, '{');
	for (const char *at = reference->links; *at;) {
		size_t len = strcspn(at, " ");
		comma(out);
		buf_printf(out, "\"%.*s\":{\"operationId\":\"%.*s\",\"parameters\":{\"path.id\":\"$response.body#/id\"", (int)len, at,
			   (int)len, at);
		if (brand)
			buf_lit(out, ",\"header.X-Brand\":\"$request.header.X-Brand\"");
		else if (!strcmp(reference->tag, "transactions"))
			buf_lit(out, ",\"header.X-Brand\":\"$response.body#/brand\"");
		buf_lit(out, "}}");
		at += len;
		at += *at == ' ';
	}
	buf_char(out, '}');
}

static void success_row(struct buf *out, const struct reference *reference, const struct answer *answer)
{
	const char *type = answer->type ? answer->type : "application/json";
	comma(out);
	buf_printf(out, "\"%d\":{", answer->status);
	text(out, "description", answer->doc);
	header_rows(out, answer->headers);
	if (answer->status == 201 && reference->links)
		link_rows(out, reference);
	if (answer->status != 204 && answer->status != 304) {
		key(out, "content");
		buf_char(out, '{');
		content_row(out, type, strlen(type), answer->schema, answer->example);
		if (answer->json)
			content_row(out, "application/json", 16, answer->json, NULL);
		if (answer->schema && reference->body_types && strstr(reference->body_types, "ndjson"))
			content_row(out, "application/x-ndjson", 20, NULL, "{}");
		if (answer->status >= 400)
			problem_content(out, reference, answer->status);
		buf_char(out, '}');
	}
	buf_char(out, '}');
}

static bool answers_have(const struct reference *reference, int status)
{
	for (const struct answer *answer = reference->answers; answer->status; answer++)
		if (answer->status == status)
			return true;
	return false;
}

static bool has_problem(const struct reference *reference, int status)
{
	for (size_t i = 0; i < reference->problem_count; i++)
		if (reference->problems[i].status == status)
			return true;
	return false;
}

static bool common_status(int status)
{
	for (const struct problem_code *row = problem_codes; row->code; row++)
		if (row->status == status && reference_problem_common(row))
			return true;
	return false;
}

static void response_rows(struct buf *out, const struct reference *reference)
{
	key(out, "responses");
	buf_char(out, '{');
	for (const struct answer *answer = reference->answers; answer->status; answer++)
		success_row(out, reference, answer);
	for (int status = 400; status < 600; status++) {
		if (answers_have(reference, status))
			continue;
		if (has_problem(reference, status)) {
			comma(out);
			buf_printf(out, "\"%d\":{", status);
			problem_description(out, reference, status);
			if (status == 507)
				header_rows(out, "Retry-After");
			key(out, "content");
			buf_char(out, '{');
			problem_content(out, reference, status);
			buf_lit(out, "}}");
		} else if (common_status(status)) {
			comma(out);
			buf_printf(out, "\"%d\":{\"$ref\":\"#/components/responses/Any%d\"}", status, status);
		}
	}
	buf_char(out, '}');
}

static void operation_row(struct buf *out, const struct reference *reference)
{
	char method[16];
	size_t len = 0;
	for (; reference->route->method[len]; len++)
		method[len] = (char)(reference->route->method[len] | 0x20);
	method[len] = '\0';
	key(out, method);
	buf_char(out, '{');
	text(out, "operationId", reference->name);
	key(out, "tags");
	buf_char(out, '[');
	text_item(out, reference->tag);
	buf_char(out, ']');
	text(out, "summary", reference->route->doc);
	if (reference->more)
		text(out, "description", reference->more);
	if (reference->deprecated)
		buf_lit(out, ",\"deprecated\":true");
	text(out, "x-permission", reference->route->permission);
	parameter_rows(out, reference);
	if (reference->body) {
		key(out, "requestBody");
		bool optional = reference->operation && reference->operation->body_optional;
		buf_str(out, optional ? STR("{\"required\":false") : STR("{\"required\":true"));
		content_rows(out, reference->body_types, reference->body, reference->body_example);
		buf_char(out, '}');
	}
	response_rows(out, reference);
	buf_char(out, '}');
}

/* ---- the document --------------------------------------------------------------------------------------------------------- */

static void path_rows(struct buf *out)
{
	size_t count;
	const struct reference *all = references(&count);
	key(out, "paths");
	buf_char(out, '{');
	for (size_t i = 0; i < count; i++) {
		size_t before = 0;
		while (strcmp(all[before].route->path, all[i].route->path) != 0)
			before++;
		if (before != i)
			continue;
		key(out, all[i].route->path);
		buf_char(out, '{');
		for (size_t j = i; j < count; j++)
			if (!strcmp(all[j].route->path, all[i].route->path))
				operation_row(out, &all[j]);
		buf_char(out, '}');
	}
	buf_char(out, '}');
}

static void components(struct buf *out)
{
	static const struct { const char *name, *doc, *schema; } headers[] = {
		{ "X-Total-Count", "Entries of the whole list", "{'type':'integer','minimum':0}" },
		{ "X-Next-Cursor", "For the next page; absent on the last one", "{'type':'string'}" },
		{ "Retry-After", "Seconds", "{'type':'integer','minimum':0}" },
		{ "X-Content-Hash", "Of the bytes", "{'type':'string'}" },
		{ "ETag", "Names this version", "{'type':'string'}" },
	};
	struct buf name = { 0 };
	size_t at = 0;
	key(out, "components");
	buf_lit(out, "{\"schemas\":{");
	while (schema_next(&at, &name)) {
		comma(out);
		buf_json_text(out, buf_view(&name));
		buf_char(out, ':');
		schema_component_named(out, buf_view(&name));
	}
	buf_lit(out, "},\"headers\":{");
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		key(out, headers[i].name);
		buf_char(out, '{');
		text(out, "description", headers[i].doc);
		key(out, "schema");
		quotes_write(out, headers[i].schema);
		buf_char(out, '}');
	}
	buf_lit(out, "},\"responses\":{");
	for (int status = 400; status < 600; status++) {
		if (!common_status(status))
			continue;
		comma(out);
		buf_printf(out, "\"Any%d\":{", status);
		problem_description(out, NULL, status);
		key(out, "content");
		buf_char(out, '{');
		problem_content(out, NULL, status);
		buf_lit(out, "}}");
	}
	buf_lit(out, "},\"examples\":{");
	problem_rows(out, "", NULL);
	problem_rows(out, "pos.", pos_route());
	buf_lit(out, "}}");
	buf_free(&name);
}

void openapi_write(struct buf *out)
{
	buf_lit(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Tally\",\"version\":");
	buf_json_text(out, STR(VERSION));
	text(out, "description", "A loyalty engine: events become points by rules, in double entry. An answer to a change means that it is "
				 "durable. Each operation has the name of its command over MessagePack-RPC, where there is one.");
	buf_lit(out, ",\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},\"servers\":[{\"url\":\"/\"}],\"tags\":[");
	for (const struct reference_tag *tag = reference_tags(); tag->name; tag++) {
		comma(out);
		buf_char(out, '{');
		text(out, "name", tag->name);
		text(out, "description", tag->doc);
		text(out, "x-title", tag->title);
		buf_char(out, '}');
	}
	buf_char(out, ']');
	path_rows(out);
	components(out);
	buf_char(out, '}');
}
