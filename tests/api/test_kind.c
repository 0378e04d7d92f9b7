// SPDX-License-Identifier: Apache-2.0
/* test_kind.c - a kind that the product does not have: one descriptor, and all that every kind can do is there for it.
 *
 * The program is server and test at once: as `serve` it adds the kind and runs the product's own main. */
#include <stdlib.h>

#include "engine/catalog/kind.h"
#include "net/cli/commands.h"
#include "tests/api/calls.h"
#include "tests/api/harness.h"

static const char *const colours[] = { "RED", "BLUE", NULL };
static const char *const unique[] = { "code", NULL };
static const struct field fields[] = {
	{ .name = "code", .type = FIELD_TEXT, .flags = REQUIRED | IMMUTABLE, .min = 1, .max = 20, .doc = "Its code." },
	{ .name = "name", .type = FIELD_TEXT, .flags = NULLABLE, .min = 0, .max = 50, .doc = "What people call it." },
	{ .name = "colour", .type = FIELD_ENUM, .choices = colours, .fallback = "\"RED\"", .doc = "Its colour." },
	{ .name = "reward", .type = FIELD_REF, .flags = NULLABLE, .min = 1, .max = 20, .ref_kind = "reward", .ref_key = "id",
	  .ref_unknown = "reward_unknown", .doc = "What it gives." },
	{ 0 }
};
static const struct kind badge = {
	.number = 200, .name = "badge", .plural = "badges", .title = "badge", .path = "/admin/badges",
	.permission = "badges.write", .fields = fields, .unique = unique, .key = "code", .doc = "Badges that members wear."
};

static void made_up_kind(void **state)
{
	char id[32], reward[32];
	(void)state;
	snprintf(reward, sizeof reward, "%s", text_at(want(201, "POST /rewards", "KIND", "{'name':'r'}"), "/id"));
	refused(422, "invalid", "/code /colour", "POST /admin/badges", "KIND", "{'colour':'GREEN'}");
	refused(400, "reward_unknown", NULL, "POST /admin/badges", "KIND", "{'code':'A','reward':'99'}");
	yyjson_val *made = want(201, "POST /admin/badges", "KIND", textf("{'code':'A','reward':'%s'}", reward));
	json_is(made, "/colour", "'RED'");
	snprintf(id, sizeof id, "%s", text_at(made, "/id"));
	refused(409, "duplicate", NULL, "POST /admin/badges", "KIND", "{'code':'A'}");
	refused(409, "in_use", NULL, textf("DELETE /rewards/%s", reward), "KIND", NULL);
	json_is(want(200, textf("PATCH /admin/badges/%s", id), "KIND", "{'colour':'BLUE'}"), "/version", "2");
	assert_int_equal(size_of(want(200, "GET /admin/badges?colour=BLUE", "KIND", NULL)), 1);
	json_is(want(200, "GET /admin/badges/ui-catalog", "KIND", NULL), "/create/schema/properties/colour/enum", "['RED','BLUE']");
	json_is(last_reply()->doc->root, "/create/hints/reward/datasource", "'/admin/ui-options/rewards'");
	json_is(want(200, "GET /admin/ui-options/badges", "KIND", NULL), "/0/value", "'A'");
	json_is(want(200, "GET /admin/audit?kind=badge", "KIND", NULL), "/0/before/colour", "'RED'");
	yyjson_val *described = want(200, "GET /openapi.json", NULL, NULL);
	json_at(described, "/paths/~1admin~1badges/post/requestBody");
	json_at(described, "/paths/~1admin~1badges~1{id}/patch");
	json_at(described, "/paths/~1admin~1ui-options~1badges/get");
	json_is(call_ok("badges.get", textf("[{'brand':'KIND','id':'%s'}]", id)), "/code", "'A'");
	ask_close();
	calls_close();
	server_kill(&harness_server);
	server_start(&harness_server, harness_shards, NULL);
	json_is(want(200, textf("GET /admin/badges/%s", id), "KIND", NULL), "/colour", "'BLUE'");
	want(200, textf("DELETE /admin/badges/%s", id), "KIND", NULL);
	want(200, textf("DELETE /rewards/%s", reward), "KIND", NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(made_up_kind) };
	kind_add(&badge);
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return commands_main(argc, argv);
	setenv("TALLY_BIN", "/proc/self/exe", 1);
	return harness_run("kind", tests, COUNT_OF(tests), NULL);
}
