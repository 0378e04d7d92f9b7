// SPDX-License-Identifier: Apache-2.0
/* test_openapi.c - the reference: that it is whole and current, that it is valid OpenAPI, and that the server keeps to it.
 *
 * The last two are judged by public programs (openapi-spec-validator, schemathesis), which .make/deps.sh puts into
 * build/deps/python; where they could not be installed their tests are skipped, which the test run reports. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/surface/reference.h"
#include "net/surface/schema.h"
#include "tests/api/harness.h"

#define PYTHON "build/deps/python/bin/"

static const struct reference *all;
static size_t all_count;

static bool problem_listed(const struct reference *reference, int status)
{
	for (size_t i = 0; i < reference->problem_count; i++)
		if (reference->problems[i].status == status)
			return true;
	return false;
}

/* Every route has a name, an operation or a kind, and every row of the tables of operations a route. */
static void every_route_is_described(void **state)
{
	(void)state;
	all = references(&all_count);
	for (size_t i = 0; i < all_count; i++) {
		if (!all[i].described)
			fail_msg("%s %s (%s) has no row in a table of operations (net/surface/operation.h)", all[i].route->method,
				 all[i].route->path, all[i].name);
		assert_true(*all[i].name && *all[i].route->doc && *all[i].route->permission);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(all[i].name, all[j].name);
		/* What follows from its parts. */
		bool brand = false;
		for (size_t p = 0; p < all[i].parameter_count; p++)
			brand |= !strcmp(all[i].parameters[p].row.name, "X-Brand") && all[i].parameters[p].row.required;
		assert_int_equal(brand && problem_listed(&all[i], 400), brand);
		assert_int_equal(all[i].body && problem_listed(&all[i], 415), all[i].body != NULL);
	}
	for (size_t t = 0; operations[t]; t++)
		for (const struct operation *row = operations[t]; row->name; row++) {
			size_t i = 0;
			while (i < all_count && all[i].operation != row)
				i++;
			if (i == all_count)
				fail_msg("no route has the operation %s", row->name);
		}
}

/* Each answer has an example, each status of a refusal the examples of its codes. */
static void operation_is_whole(yyjson_val *operation, const char *name)
{
	size_t i, max, n, count;
	yyjson_val *status, *answer, *type, *content;
	yyjson_val *responses = yyjson_obj_get(operation, "responses");
	bool success = false;
	assert_non_null(yyjson_obj_get(operation, "summary"));
	assert_non_null(yyjson_obj_get(operation, "x-permission"));
	yyjson_obj_foreach(responses, i, max, status, answer) {
		success |= *yyjson_get_str(status) == '2';
		yyjson_obj_foreach(yyjson_obj_get(answer, "content"), n, count, type, content)
			if (!yyjson_obj_get(content, "example") && !yyjson_obj_size(yyjson_obj_get(content, "examples")))
				fail_msg("%s: %s %s has no example", name, yyjson_get_str(status), yyjson_get_str(type));
	}
	yyjson_obj_foreach(yyjson_obj_get(yyjson_obj_get(operation, "requestBody"), "content"), n, count, type, content)
		assert_non_null(yyjson_obj_get(content, "example"));
	assert_true(success);
}

static void document_has_every_route(void **state)
{
	char etag[64];
	(void)state;
	yyjson_val *root = want(200, "GET /openapi.json", NULL, NULL);
	assert_string_equal(text_at(root, "/openapi"), "3.1.0");
	all = references(&all_count);
	for (size_t i = 0; i < all_count; i++) {
		char method[16] = "";
		for (size_t c = 0; all[i].route->method[c]; c++)
			method[c] = (char)(all[i].route->method[c] | 0x20);
		yyjson_val *path = yyjson_obj_get(yyjson_obj_get(root, "paths"), all[i].route->path);
		yyjson_val *operation = yyjson_obj_get(path, method);
		if (!operation)
			fail_msg("%s %s is not in the document", all[i].route->method, all[i].route->path);
		assert_string_equal(text_at(operation, "/operationId"), all[i].name);
		assert_int_equal(yyjson_obj_get(operation, "requestBody") != NULL, all[i].body != NULL);
		operation_is_whole(operation, all[i].name);
	}
	assert_true(reply_header(last_reply(), "ETag", etag, sizeof etag));
	struct client client = { .fd = -1 };
	struct reply reply = { 0 };
	client_open(&client, harness_server.port);
	const char *again = textf("GET /openapi.json HTTP/1.1\r\nHost: t\r\nIf-None-Match: W/\"x\", %s\r\n\r\n", etag);
	client_send(&client, again, strlen(again));
	assert_true(client_reply(&client, &reply, false));
	assert_int_equal(reply.status, 304);
	reply_free(&reply);
	client_close(&client);
}

/* The path with its parts filled: the brand, and for any other part something that looks like an id. */
static const char *path_of(const struct reference *reference)
{
	static char path[256];
	size_t len = 0;
	for (const char *at = reference->route->path; *at; at++) {
		if (*at != '{') {
			path[len++] = *at;
			continue;
		}
		len += (size_t)snprintf(path + len, sizeof path - len, "%s", strncmp(at, "{brand}", 7) ? "1" : "OPENAPI");
		at += strcspn(at, "}");
	}
	path[len] = '\0';
	return path;
}

/* Every query parameter of every operation that reads, in an encoding that is none: refused, and nothing is left behind. */
static void broken_parameters_are_refused(void **state)
{
	static const char *const broken[] = { "%ff", "x%", "%00", "abc%C3" };
	(void)state;
	all = references(&all_count);
	for (size_t i = 0; i < all_count; i++)
		for (size_t p = 0; p < all[i].parameter_count && !strcmp(all[i].route->method, "GET"); p++) {
			if (strcmp(all[i].parameters[p].in, "query") != 0)
				continue;
			for (size_t b = 0; b < COUNT_OF(broken); b++) {
				const char *what = textf("GET %s?%s=%s", path_of(&all[i]), all[i].parameters[p].row.name, broken[b]);
				int status = ask(what, "OPENAPI", NULL, STR(""))->status;
				if (status != 400 && status != 404)
					fail_msg("%s: %d", what, status);
			}
		}
}

static void page_stands_by_itself(void **state)
{
	(void)state;
	struct reply *reply = ask("GET /docs", NULL, NULL, STR(""));
	assert_int_equal(reply->status, 200);
	assert_null(strstr(reply->body.ptr, "<script"));
	assert_null(strstr(reply->body.ptr, "src="));
	assert_null(strstr(reply->body.ptr, "http://"));
	assert_non_null(strstr(reply->body.ptr, "name=viewport"));
	all = references(&all_count);
	for (size_t i = 0; i < all_count; i++)
		assert_non_null(strstr(reply->body.ptr, textf("<details id=\"%s\">", all[i].name)));
	/* Every link within the page leads somewhere. */
	for (const char *at = reply->body.ptr; (at = strstr(at, "href=\"#")); at++) {
		const char *name = at + 7;
		int len = (int)strcspn(name, "\"");
		if (!strstr(reply->body.ptr, textf("id=\"%.*s\"", len, name)) && !strstr(reply->body.ptr, textf("id=%.*s>", len, name)))
			fail_msg("the page has no #%.*s", len, name);
	}
}

static void codes_are_served(void **state)
{
	(void)state;
	size_t count = 0;
	for (const struct problem_code *row = reference_problems(); row->code; row++, count++) {
		yyjson_val *root = want(200, textf("GET /v1/problems/%s", row->code), NULL, NULL);
		assert_string_equal(text_at(root, "/title"), row->title);
		assert_int_equal(int_at(root, "/statuses/0"), row->status);
	}
	assert_int_equal(size_of(want(200, "GET /v1/problems", NULL, NULL)), count);
	refused(404, "not_found", NULL, "GET /v1/problems/no_such_code", NULL, NULL);
	/* Where `type` of a problem points. */
	const char *type = textf("GET %s", text_at(want(404, "GET /nowhere", NULL, NULL), "/type"));
	assert_string_equal(text_at(want(200, type, NULL, NULL), "/code"), "route_unknown");
}

static void reference_page_is_current(void **state)
{
	(void)state;
	struct buf made = { 0 }, there = { 0 };
	FILE *file = fopen("docs/api-reference.md", "rb");
	assert_non_null(file);
	buf_room(&there, 4 * 1024 * 1024);
	there.len = fread(there.ptr, 1, 4 * 1024 * 1024, file);
	fclose(file);
	reference_markdown(&made);
	if (!str_eq(buf_view(&made), buf_view(&there)))
		fail_msg("docs/api-reference.md is not current: build/tally help api --markdown >docs/api-reference.md");
	buf_free(&made);
	buf_free(&there);
}

/* ---- public programs ------------------------------------------------------------------------------------------------------- */

/* Runs a program to its end; what it printed goes to `out`, with a NUL behind.  Returns its exit status, -1 where it did not
 * exit. */
static int program_run(const char *const *argv, struct buf *out)
{
	int ends[2], status;
	ssize_t got;
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(ends[1]);
	do {
		buf_room(out, 64 * 1024);
		got = read(ends[0], out->ptr + out->len, 64 * 1024 - 1);
		out->len += got > 0 ? (size_t)got : 0;
	} while (got > 0 || (got < 0 && errno == EINTR));
	buf_room(out, 1);
	out->ptr[out->len] = '\0';
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool there(const char *program)
{
	if (access(program, X_OK) == 0)
		return true;
	printf("# %s is missing (pip could not install it): skipped\n", program);
	return false;
}

static void it_is_valid_openapi(void **state)
{
	static const char *const program = PYTHON "openapi-spec-validator";
	struct buf out = { 0 };
	(void)state;
	if (!there(program))
		skip();
	const char *path = textf("%s/openapi.json", harness_server.folder);
	struct reply *reply = ask("GET /openapi.json", NULL, NULL, STR(""));
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(reply->body.ptr, 1, reply->body.len, file), reply->body.len);
	assert_int_equal(fclose(file), 0);
	const char *argv[] = { program, "--schema", "3.1", path, NULL };
	if (program_run(argv, &out) != 0)
		fail_msg("openapi-spec-validator: %s", out.ptr);
	assert_int_equal(unlink(path), 0);
	buf_free(&out);
}

/* With one shard what the document's bounds and examples suggest, with several what chance makes of it, and chains of
 * operations. */
static void the_server_keeps_to_it(void **state)
{
	static const char *const program = PYTHON "schemathesis";
	struct buf out = { 0 };
	(void)state;
	if (!there(program))
		skip();
	make_type("FUZZ", "PURCHASE");
	make_rule(NULL, "FUZZ", "PURCHASE", 0, NULL, "[{'type':'earn_points','points':5}]");
	send_event(201, "FUZZ", "p-1", "PURCHASE", "e-1", "{}");
	ask_close();
	const char *port = textf("%d", harness_server.port);
	const char *phases = harness_shards == 1 ? "examples,coverage" : "fuzzing,stateful";
	const char *argv[] = { "/usr/bin/python3", "tests/api/openapi/fuzz.py", program, port, phases, "5", NULL };
	if (program_run(argv, &out) != 0 || strcmp(out.ptr, "ok\n") != 0)
		fail_msg("schemathesis: %s", out.ptr);
	buf_free(&out);
	/* It is still there, and its books are whole. */
	assert_true(wallet("FUZZ", "p-1") >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route_is_described),
		cmocka_unit_test(document_has_every_route),
		cmocka_unit_test(broken_parameters_are_refused),
		cmocka_unit_test(page_stands_by_itself),
		cmocka_unit_test(codes_are_served),
		cmocka_unit_test(reference_page_is_current),
		cmocka_unit_test(it_is_valid_openapi),
		cmocka_unit_test(the_server_keeps_to_it),
	};
	return harness_run("openapi", tests, COUNT_OF(tests), NULL);
}
