// SPDX-License-Identifier: Apache-2.0
/* eval.c - `tally eval`: a JSONLogic condition, compiled and evaluated by the engine's own code.
 *
 * With two arguments: one rule, one answer.  Without: a line {"rule":…,"data":…} in, a line out, so that another
 * implementation can be compared over many cases with one process.
 */
#include <stdlib.h>
#include <stdio.h>

#include "engine/base/fault.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/rule/rule.h"
#include "net/cli/commands.h"

static void error_write(struct buf *out, const char *detail)
{
	buf_lit(out, "{\"error\":");
	buf_json_text(out, str_of(detail));
	buf_char(out, '}');
}

static bool evaluate(yyjson_val *source, yyjson_val *data, struct rule_arena *arena, struct buf *out)
{
	struct faults faults = { 0 };
	struct rule_input input = { .data = data };
	struct rule_value value;
	char error[160] = "";
	struct rule *rule = rule_compile(source, "/rule", &faults);
	bool good = false;

	if (!rule) {
		struct buf text = { 0 };
		buf_printf(&text, "%s: %s", faults.list[0].pointer, faults.list[0].detail);
		buf_char(&text, '\0');
		error_write(out, text.ptr);
		buf_free(&text);
	} else {
		good = rule_eval(rule, &input, arena, &value, error);
		if (good)
			rule_value_json(out, &value);
		else
			error_write(out, error);
		rule_arena_reset(arena);
	}
	if (rule)
		rule_free(rule);
	faults_free(&faults);
	return good;
}

static bool evaluate_texts(struct str rule, struct str data, struct rule_arena *arena, struct buf *out)
{
	struct json_error error = { 0 };
	yyjson_doc *rule_doc = json_read(rule, &error);
	yyjson_doc *data_doc = rule_doc ? json_read(data, &error) : NULL;
	bool good = false;

	if (data_doc)
		good = evaluate(yyjson_doc_get_root(rule_doc), yyjson_doc_get_root(data_doc), arena, out);
	else
		error_write(out, error.detail);
	yyjson_doc_free(data_doc);
	yyjson_doc_free(rule_doc);
	return good;
}

static void evaluate_line(struct str line, struct rule_arena *arena, struct buf *out)
{
	struct json_error error = { 0 };
	yyjson_doc *doc = json_read(line, &error);
	yyjson_val *root = doc ? yyjson_doc_get_root(doc) : NULL;

	if (!doc)
		error_write(out, error.detail);
	else if (!yyjson_is_obj(root) || !json_get(root, STR("rule")))
		error_write(out, "expected {\"rule\":…,\"data\":…}");
	else
		evaluate(json_get(root, STR("rule")), json_get(root, STR("data")), arena, out);
	yyjson_doc_free(doc);
}

static int evaluate_stdin(struct rule_arena *arena)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	struct buf out = { 0 };

	while ((len = getline(&line, &cap, stdin)) >= 0) {
		struct str text = { line, (size_t)len };
		while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
			text.len--;
		if (!text.len)
			continue;
		out.len = 0;
		evaluate_line(text, arena, &out);
		buf_char(&out, '\n');
		fwrite(out.ptr, 1, out.len, stdout);
		fflush(stdout);
	}
	mem_free(line);
	buf_free(&out);
	return ferror(stdout) ? 2 : 0;
}

int cmd_eval(int argc, char **argv)
{
	struct buf out = { 0 };
	int status;

	if (argc != 0 && argc != 2)
		return command_misuse("eval", "takes a rule and data, or nothing and lines on stdin");
	struct rule_arena *arena = rule_arena_new();
	if (argc == 0) {
		status = evaluate_stdin(arena);
	} else {
		status = evaluate_texts(str_of(argv[0]), str_of(argv[1]), arena, &out) ? 0 : 1;
		buf_char(&out, '\n');
		fwrite(out.ptr, 1, out.len, stdout);
	}
	buf_free(&out);
	rule_arena_free(arena);
	return status;
}
