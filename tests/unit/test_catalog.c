// SPDX-License-Identifier: Apache-2.0
/* test_catalog.c - the catalog: tables of bodies and the faults they get, decisions, records, lists, compiled views. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/view.h"

#define BRAND STR("BRAND_A")
#define OTHER STR("BRAND_B")
#define PURCHASE "{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"Purchase\"}"
#define EARN "[{\"type\":\"earn_points_from_amount\",\"rate\":1.0,\"amount_path\":\"amount\"}]"
#define RULE "{\"event_type\":\"PURCHASE\",\"actions\":" EARN "}"
#define NOW INT64_C(1767225600000)                     /* 2026-01-01T00:00:00Z */

static uint64_t next_lsn = 64;

static yyjson_doc *read_json(const char *text)
{
	struct json_error error;
	yyjson_doc *doc = json_read(str_of(text), &error);
	if (!doc)
		fail_msg("%s: %s", text, error.detail);
	return doc;
}

/* id 0 creates, body NULL deletes.  Applies what is accepted, by way of its bytes. */
static enum catalog_status act(struct catalog *catalog, struct str tenant, unsigned number, uint64_t id,
			       const char *body,
			       struct problem *problem)
{
	const struct kind *kind = kind_by_number(number);
	struct catalog_change change, decoded;
	struct buf bytes = { 0 };
	enum catalog_status status;
	yyjson_doc *doc = body ? read_json(body) : NULL;
	*problem = (struct problem){ 0 };
	if (!body)
		status = catalog_decide_delete(catalog, tenant, kind, id, NOW + 9, &change, problem);
	else if (id)
		status = catalog_decide_patch(catalog, tenant, kind, id, yyjson_doc_get_root(doc), NOW + 5, &change,
					      problem);
	else
		status = catalog_decide_create(catalog, tenant, kind, yyjson_doc_get_root(doc), NOW, &change, problem);
	yyjson_doc_free(doc);
	if (status == CATALOG_OK) {
		assert_int_equal(problem->status, 0);
		catalog_change_encode(&change, &bytes);
		assert_true(catalog_change_decode(bytes.ptr, bytes.len, &decoded));
		catalog_apply(catalog, &decoded, next_lsn += 8);
	} else {
		assert_true(problem->status >= 400 && problem->code && problem->detail[0]);
	}
	catalog_change_free(&change);
	buf_free(&bytes);
	return status;
}

static void accept(struct catalog *catalog, struct str tenant, unsigned kind, uint64_t id, const char *body)
{
	struct problem problem;
	if (act(catalog, tenant, kind, id, body, &problem) != CATALOG_OK)
		fail_msg("%s: %d %s: %s", body ? body : "delete", problem.status, problem.code, problem.detail);
	problem_free(&problem);
}

static void refuse(struct catalog *catalog, struct str tenant, unsigned kind, uint64_t id, const char *body, int status,
		   const char *code, const char *pointers)
{
	struct problem problem;
	struct buf before = { 0 }, after = { 0 };
	char got[2048] = "";
	catalog_dump(catalog, &before);
	act(catalog, tenant, kind, id, body, &problem);
	catalog_dump(catalog, &after);
	assert_true(str_eq(buf_view(&before), buf_view(&after)));
	for (size_t i = 0; i < problem.faults.count; i++) {
		strncat(got, i ? " " : "", sizeof got - strlen(got) - 1);
		strncat(got, problem.faults.list[i].pointer, sizeof got - strlen(got) - 1);
	}
	if (problem.status != status || strcmp(problem.code, code) || strcmp(got, pointers))
		fail_msg("%s: got %d %s at \"%s\" (%s), expected %d %s at \"%s\"", body ? body : "delete",
			 problem.status,
			 problem.code ? problem.code : "ok", got, problem.detail, status, code, pointers);
	problem_free(&problem);
	buf_free(&before);
	buf_free(&after);
}

static void check_json(const struct catalog *catalog, struct str tenant, unsigned kind, uint64_t id,
		       const char *expected)
{
	struct buf out = { 0 };
	const struct document *document = catalog_get(catalog, tenant, kind_by_number(kind), id);
	assert_non_null(document);
	catalog_document_json(&out, document);
	buf_char(&out, '\0');
	assert_string_equal(out.ptr, expected);
	buf_free(&out);
}

static void test_kinds(void **state)
{
	const struct kind *kind;
	size_t count = 0;
	(void)state;
	for (; (kind = kind_at(count)); count++) {
		size_t fields = 0;
		assert_ptr_equal(kind_by_number(kind->number), kind);
		assert_ptr_equal(kind_by_name(str_of(kind->name)), kind);
		assert_ptr_equal(kind_by_path(str_of(kind->path)), kind);
		assert_non_null(kind->doc);
		for (const char *const *name = kind->unique; name && *name; name++)
			assert_non_null(field_find(kind->fields, str_of(*name)));
		if (kind->order_by)
			assert_int_equal(field_find(kind->fields, str_of(kind->order_by))->type, FIELD_INT);
		for (const struct field *field = kind->fields; field->name; field++) {
			fields++;
			assert_non_null(field->doc);
			assert_null(field_find(kind_envelope, str_of(field->name)));
			assert_true(field->type != FIELD_ENUM || field->choices);
			if (field->type == FIELD_REF)
				assert_non_null(field_find(kind_by_name(str_of(field->ref_kind))->fields,
							   str_of(field->ref_key)));
			if (field->fallback) {
				struct faults faults = { 0 };
				yyjson_doc *doc = read_json(field->fallback);
				assert_true(field_check(field, yyjson_doc_get_root(doc), "", &faults));
				yyjson_doc_free(doc);
			}
		}
		assert_true(fields <= CATALOG_FILTERS_MAX);
	}
	assert_int_equal(count, KIND_INTERNAL_JOB);
	assert_null(kind_at(count));
	assert_null(kind_at(count + 1));
}

/* What the tiers of a brand keep among each other. */
static void test_tiers(void **state)
{
	static const struct { const char *body; int status; const char *code, *pointers; } rows[] = {
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":1,\"min_status_points\":0}", 422, "invalid",
		  "/min_status_points" },
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":0,\"min_status_points\":1}", 422, "invalid",
		  "/min_status_points" },
		{ "{\"key\":\"b\",\"name\":\"b\",\"rank\":2,\"min_status_points\":100}", 0, NULL, NULL },
		{ "{\"key\":\"a\",\"name\":\"a\",\"rank\":0,\"min_status_points\":0}", 0, NULL, NULL },
		{ "{\"key\":\"b\",\"name\":\"b\",\"rank\":3,\"min_status_points\":300}", 409, "duplicate", "" },
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":2,\"min_status_points\":300}", 409, "duplicate", "" },
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":3,\"min_status_points\":100}", 409, "duplicate", "" },
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":3,\"min_status_points\":99}", 422, "invalid",
		  "/min_status_points" },
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":1,\"min_status_points\":101}", 422, "invalid",
		  "/min_status_points" },
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":-1,\"min_status_points\":-1}", 422, "invalid",
		  "/rank /min_status_points" },
		{ "{\"key\":\"c\",\"name\":\"c\",\"rank\":1,\"min_status_points\":99}", 0, NULL, NULL },
	};
	struct catalog catalog = { 0 };
	(void)state;
	next_lsn = 64;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].status)
			refuse(&catalog, BRAND, KIND_LOYALTY_TIER, 0, rows[i].body, rows[i].status, rows[i].code, rows[i].pointers);
		else
			accept(&catalog, BRAND, KIND_LOYALTY_TIER, 0, rows[i].body);
	refuse(&catalog, BRAND, KIND_LOYALTY_TIER, 1, "{\"rank\":0}", 409, "duplicate", "");
	refuse(&catalog, BRAND, KIND_LOYALTY_TIER, 1, "{\"min_status_points\":5}", 422, "invalid", "/min_status_points");
	refuse(&catalog, BRAND, KIND_LOYALTY_TIER, 2, "{\"active\":false}", 409, "base_tier_needed", "");
	refuse(&catalog, BRAND, KIND_LOYALTY_TIER, 2, "{\"rank\":9,\"min_status_points\":900}", 409, "base_tier_needed", "");
	refuse(&catalog, BRAND, KIND_LOYALTY_TIER, 2, NULL, 409, "base_tier_needed", "");
	accept(&catalog, BRAND, KIND_LOYALTY_TIER, 1, "{\"rank\":9,\"min_status_points\":900}");
	accept(&catalog, BRAND, KIND_LOYALTY_TIER, 1, NULL);
	accept(&catalog, BRAND, KIND_LOYALTY_TIER, 3, NULL);
	accept(&catalog, BRAND, KIND_LOYALTY_TIER, 2, "{\"active\":false}");
	accept(&catalog, BRAND, KIND_LOYALTY_TIER, 2, NULL);
	catalog_free(&catalog);
}

static void test_jobs(void **state)
{
	struct catalog catalog = { 0 };
	(void)state;
	next_lsn = 64;
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, PURCHASE);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, "{\"key\":\"PING\",\"origin\":\"INTERNAL\",\"name\":\"Ping\"}");
	refuse(&catalog, BRAND, KIND_INTERNAL_JOB, 0, "{\"job_key\":\"j\",\"event_type\":\"NONE\"}", 400,
	       "event_type_unknown", "");
	refuse(&catalog, BRAND, KIND_INTERNAL_JOB, 0, "{\"job_key\":\"j\",\"event_type\":\"PURCHASE\"}", 400,
	       "event_type_not_internal", "");
	accept(&catalog, BRAND, KIND_INTERNAL_JOB, 0, "{\"job_key\":\"j\",\"event_type\":\"PING\"}");
	refuse(&catalog, BRAND, KIND_INTERNAL_JOB, 3, "{\"schedule\":{\"type\":\"cron\",\"cron\":\"61 * * * *\"}}", 422,
	       "invalid", "/schedule/cron");
	accept(&catalog, BRAND, KIND_INTERNAL_JOB, 3, "{\"schedule\":{\"type\":\"cron\",\"cron\":\"1 * * * *\"}}");
	refuse(&catalog, BRAND, KIND_INTERNAL_JOB, 3, "{\"event_type\":\"PURCHASE\"}", 400, "event_type_not_internal", "");
	refuse(&catalog, BRAND, KIND_EVENT_TYPE, 2, NULL, 409, "in_use", "");
	refuse(&catalog, BRAND, KIND_EVENT_TYPE, 2, "{\"origin\":\"EXTERNAL\"}", 409, "in_use", "");
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 2, "{\"active\":false}");
	accept(&catalog, BRAND, KIND_INTERNAL_JOB, 3, "{\"active\":false}");
	accept(&catalog, BRAND, KIND_INTERNAL_JOB, 3, NULL);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 2, NULL);
	catalog_free(&catalog);
}

static void test_bodies(void **state)
{
	static const struct {
		unsigned kind;
		const char *body;
		int status;
		const char *code, *pointers;
	} rows[] = {
		{ KIND_EVENT_TYPE, "[]", 422, "invalid", "" },
		{ KIND_EVENT_TYPE, "{}", 422, "invalid", "/key /origin /name" },
		{ KIND_EVENT_TYPE, "{\"key\":\"\",\"origin\":\"X\",\"name\":1}", 422, "invalid", "/key /origin /name" },
		{ KIND_EVENT_TYPE, "{\"key\":\"a\\u0000\",\"origin\":\"INTERNAL\",\"name\":\"x\"}", 422, "invalid",
		 "/key" },
		{ KIND_EVENT_TYPE, "{\"key\":\"a\",\"origin\":null,\"name\":\"x\",\"active\":null}", 422, "invalid",
		 "/origin /active" },
		{ KIND_EVENT_TYPE, "{\"key\":\"a\",\"origin\":\"INTERNAL\",\"name\":\"x\",\"color\":1,\"id\":\"4\"}",
		 422, "invalid",
		  "/color /id" },
		{ KIND_EVENT_TYPE, "{\"key\":\"a\",\"origin\":\"INTERNAL\",\"name\":\"x\","
		  "\"payload_schema\":{\"typ\":1}}", 422,
		  "invalid", "/payload_schema/typ" },
		{ KIND_EVENT_TYPE, "{\"brand\":\"BRAND_B\",\"key\":1}", 400, "brand_mismatch", "" },
		{ KIND_EVENT_TYPE, "{\"brand\":3}", 422, "invalid", "/brand" },
		{ KIND_EVENT_TYPE, PURCHASE, 409, "duplicate", "" },
		{ KIND_RULE, "{}", 422, "invalid", "/event_type /actions" },
		{ KIND_RULE, "{\"event_type\":\"PURCHASE\",\"priority\":-1,\"active\":1,\"actions\":{}}", 422,
		 "invalid",
		  "/priority /active /actions" },
		{ KIND_RULE, "{\"event_type\":\"PURCHASE\",\"priority\":1.5,\"actions\":[]}", 422, "invalid",
		 "/priority" },
		{ KIND_RULE, "{\"event_type\":\"NONE\",\"actions\":[]}", 400, "event_type_unknown", "" },
		{ KIND_RULE, "{\"event_type\":\"OLD\",\"actions\":[]}", 400, "event_type_inactive", "" },
		{ KIND_RULE, "{\"event_type\":\"PURCHASE\",\"actions\":[],\"conditions\":{\"no_such_operator\":[1]}}",
		 422, "invalid",
		  NULL },
	};
	static const struct {
		const char *action, *pointers;                 /* below /actions/0; NULL: accepted */
	} actions[] = {
		{ "5", "/actions/0" },
		{ "{}", "/actions/0/type" },
		{ "{\"type\":3}", "/actions/0/type" },
		{ "{\"type\":\"earn\"}", "/actions/0/type" },
		{ "{\"type\":\"issue_reward\",\"reward_id\":\"x\"}", "/actions/0/reward_id" },
		{ "{\"type\":\"call_webhook\",\"url\":\"https://example.org/\"}", NULL },
		{ "{\"type\":\"call_webhook\",\"url\":\"example.org\"}", "/actions/0/url" },
		{ "{\"type\":\"redeem_reward\"}", "/actions/0/reward_id" },
		{ "{\"type\":\"record_bonus_award\"}", "/actions/0/bonusKey" },
		{ "{\"type\":\"downgrade_one_tier\"}", NULL },
		{ "{\"type\":\"earn_points_from_amount\"}", "/actions/0/rate" },
		{ "{\"type\":\"earn_points_from_amount\",\"rate\":\"1\"}", "/actions/0/rate" },
		{ "{\"type\":\"earn_points_from_amount\",\"rate\":-0.5}", "/actions/0/rate" },
		{ "{\"type\":\"earn_points_from_amount\",\"rate\":1,\"speed\":2}", "/actions/0/speed" },
		{ "{\"type\":\"earn_points_from_amount\",\"rate\":1,\"amount_path\":\"a..b\"}",
		 "/actions/0/amount_path" },
		{ "{\"type\":\"earn_points_from_amount\",\"rate\":1,\"min_points\":5,\"max_points\":4}",
		 "/actions/0/max_points" },
		{ "{\"type\":\"earn_points_from_amount\",\"rate\":1,\"min_points\":-1}", "/actions/0/min_points" },
		{ "{\"type\":\"earn_points_from_amount\",\"rate\":0.015,\"min_points\":1,\"max_points\":null}", NULL },
		{ "{\"type\":\"earn_points\"}", "/actions/0" },
		{ "{\"type\":\"earn_points\",\"points\":1,\"from_payload\":\"a\"}", "/actions/0" },
		{ "{\"type\":\"earn_points\",\"points\":0}", "/actions/0/points" },
		{ "{\"type\":\"earn_points\",\"points\":10}", NULL },
		{ "{\"type\":\"burn_points\",\"from_payload\":\"basket.points\"}", NULL },
		{ "{\"type\":\"set_customer_status\"}", "/actions/0/status" },
		{ "{\"type\":\"set_customer_status\",\"status\":\"GOLD\"}", NULL },
		{ "{\"type\":\"add_customer_tag\",\"tag\":\"\"}", "/actions/0/tag" },
		{ "{\"type\":\"add_customer_tag\",\"tag\":\"vip\"}", NULL },
		{ "{\"type\":\"reset_status_points\"}", NULL },
		{ "{\"type\":\"reset_status_points\",\"points\":1}", "/actions/0/points" },
	};
	struct catalog catalog = { 0 };
	struct problem problem;
	(void)state;
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, PURCHASE);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0,
	       "{\"brand\":\"BRAND_A\",\"key\":\"OLD\",\"origin\":\"INTERNAL\",\"name\":\"Old\",\"active\":false}");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].pointers)
			refuse(&catalog, BRAND, rows[i].kind, 0, rows[i].body, rows[i].status, rows[i].code,
			       rows[i].pointers);
		else {
			assert_int_equal(act(&catalog, BRAND, rows[i].kind, 0, rows[i].body, &problem),
					 CATALOG_INVALID);
			assert_memory_equal(problem.faults.list[0].pointer, "/conditions", 11);
			problem_free(&problem);
		}
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		struct buf body = { 0 };
		buf_printf(&body, "{\"event_type\":\"PURCHASE\",\"actions\":[%s]}", actions[i].action);
		buf_char(&body, '\0');
		if (actions[i].pointers)
			refuse(&catalog, BRAND, KIND_RULE, 0, body.ptr, 422, "invalid", actions[i].pointers);
		else
			accept(&catalog, BRAND, KIND_RULE, 0, body.ptr);
		buf_free(&body);
	}
	act(&catalog, BRAND, KIND_RULE, 0, "{\"event_type\":\"PURCHASE\",\"actions\":[{\"type\":\"send_message\"}]}",
	    &problem);
	assert_string_equal(problem.faults.list[0].pointer, "/actions/0/template");
	problem_free(&problem);
	catalog_free(&catalog);
}

static void test_life(void **state)
{
	struct catalog catalog = { 0 }, replica = { 0 };
	struct buf live = { 0 }, copy = { 0 };
	(void)state;
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, PURCHASE);
	accept(&catalog, OTHER, KIND_EVENT_TYPE, 0, PURCHASE);         /* unique within the tenant only */
	check_json(&catalog, BRAND, KIND_EVENT_TYPE, 1,
		   "{\"id\":\"1\",\"brand\":\"BRAND_A\",\"key\":\"PURCHASE\","
		   "\"origin\":\"EXTERNAL\",\"name\":\"Purchase\","
		   "\"description\":null,\"active\":true,\"payload_schema\":null,\"version\":1,"
		   "\"created_at\":\"2026-01-01T00:00:00.000Z\",\"updated_at\":\"2026-01-01T00:00:00.000Z\"}");
	assert_null(catalog_get(&catalog, OTHER, kind_by_number(KIND_EVENT_TYPE), 1));
	assert_null(catalog_get(&catalog, BRAND, kind_by_number(KIND_RULE), 1));
	accept(&catalog, BRAND, KIND_RULE, 0, RULE);
	check_json(&catalog, BRAND, KIND_RULE, 3,
		   "{\"id\":\"3\",\"brand\":\"BRAND_A\",\"event_type\":\"PURCHASE\",\"priority\":0,\"active\":true,"
		   "\"conditions\":null,\"audience\":null,\"actions\":" EARN ",\"limits\":[],\"name\":null,\"description\":null,\"version\":1,"
		   "\"created_at\":\"2026-01-01T00:00:00.000Z\",\"updated_at\":\"2026-01-01T00:00:00.000Z\"}");

	/* Patches. */
	refuse(&catalog, OTHER, KIND_RULE, 3, "{\"active\":false}", 404, "not_found", "");
	refuse(&catalog, BRAND, KIND_EVENT_TYPE, 1, "{\"key\":\"X\",\"nope\":null,\"version\":2}", 422, "invalid",
	       "/nope /version /key");
	refuse(&catalog, BRAND, KIND_EVENT_TYPE, 1, "{\"name\":null}", 422, "invalid", "/name");
	refuse(&catalog, BRAND, KIND_EVENT_TYPE, 1, "{\"brand\":\"BRAND_B\"}", 400, "brand_mismatch", "");
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 1, "{\"key\":\"PURCHASE\",\"active\":false,\"description\":\"d\"}");
	accept(&catalog, BRAND, KIND_RULE, 3,
	       "{\"active\":false,\"priority\":7}");    /* its event type stays as it was */
	refuse(&catalog, BRAND, KIND_RULE, 3, "{\"event_type\":\"NONE\"}", 400, "event_type_unknown", "");
	refuse(&catalog, BRAND, KIND_RULE, 0, RULE, 400, "event_type_inactive", "");
	accept(&catalog, BRAND, KIND_RULE, 3,
	       "{\"active\":null,\"priority\":null,\"actions\":[]}");   /* defaults again */
	check_json(&catalog, BRAND, KIND_RULE, 3,
		   "{\"id\":\"3\",\"brand\":\"BRAND_A\",\"event_type\":\"PURCHASE\",\"priority\":0,\"active\":true,"
		   "\"conditions\":null,\"audience\":null,\"actions\":[],\"limits\":[],\"name\":null,\"description\":null,\"version\":3,"
		   "\"created_at\":\"2026-01-01T00:00:00.000Z\",\"updated_at\":\"2026-01-01T00:00:00.005Z\"}");
	/* A condition and a schema are replaced, not merged. */
	accept(&catalog, BRAND, KIND_RULE, 3, "{\"conditions\":{\">\":[{\"var\":\"amount\"},1]}}");
	accept(&catalog, BRAND, KIND_RULE, 3, "{\"conditions\":{\"<\":[{\"var\":\"amount\"},1]}}");
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 1, "{\"payload_schema\":{\"const\":null}}");

	/* Deletion. */
	refuse(&catalog, BRAND, KIND_EVENT_TYPE, 1, NULL, 409, "in_use", "");
	refuse(&catalog, OTHER, KIND_EVENT_TYPE, 1, NULL, 404, "not_found", "");
	struct problem problem;
	act(&catalog, BRAND, KIND_EVENT_TYPE, 1, NULL, &problem);
	assert_string_equal(problem.detail, "event type 1 is in use by rules 3");
	problem_free(&problem);

	/* A snapshot of changes makes the same catalog. */
	catalog_dump(&catalog, &live);
	for (size_t i = catalog.tenant_count; i-- > 0;)
		for (size_t j = catalog.tenants[i]->count; j-- > 0;) {
			struct catalog_change change = catalog_document_change(catalog.tenants[i]->list[j]);
			catalog_apply(&replica, &change, catalog.tenants[i]->list[j]->lsn);
		}
	struct catalog_change mark = { .op = CATALOG_MARK, .id = catalog.last_id };
	catalog_apply(&replica, &mark, catalog.last_lsn);
	catalog_apply(&replica, &mark, catalog.last_lsn);
	catalog_dump(&replica, &copy);
	assert_true(str_eq(buf_view(&live), buf_view(&copy)));

	accept(&catalog, BRAND, KIND_RULE, 3, NULL);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 1, NULL);
	assert_null(catalog_get(&catalog, BRAND, kind_by_number(KIND_EVENT_TYPE), 1));
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, PURCHASE);
	assert_non_null(catalog_get(&catalog, BRAND, kind_by_number(KIND_EVENT_TYPE), 4));     /* ids are not reused */
	assert_int_equal(catalog.documents, 2);
	buf_free(&live);
	buf_free(&copy);
	catalog_free(&catalog);
	catalog_free(&replica);
}

static void check_list(const struct catalog *catalog, unsigned kind, const char *field, const char *value,
		       size_t offset,
		       size_t limit, const char *expected)
{
	struct catalog_page page;
	struct problem problem = { 0 };
	struct catalog_filter filter = { str_of(field), str_of(value) };
	char got[200] = "";
	enum catalog_status status = catalog_list(catalog, BRAND, kind_by_number(kind), &filter, field != NULL, offset,
						  limit,
						  &page, &problem);
	if (!expected) {
		assert_int_equal(status, CATALOG_INVALID);
		assert_int_equal(problem.status, 422);
	} else {
		assert_int_equal(status, CATALOG_OK);
		for (size_t i = 0; i < page.count; i++)
			snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", i ? " " : "",
				 (int)page.list[i]->id);
		assert_string_equal(got, expected);
	}
	catalog_page_free(&page);
	problem_free(&problem);
}

static void test_list(void **state)
{
	struct catalog catalog = { 0 };
	uint64_t id;
	(void)state;
	check_list(&catalog, KIND_RULE, NULL, NULL, 0, 10, "");
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, PURCHASE);
	accept(&catalog, OTHER, KIND_EVENT_TYPE, 0, PURCHASE);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, "{\"key\":\"PING\",\"origin\":\"INTERNAL\",\"name\":\"Ping\"}");
	accept(&catalog, BRAND, KIND_RULE, 0, "{\"event_type\":\"PURCHASE\",\"priority\":5,\"actions\":[]}");
	accept(&catalog, BRAND, KIND_RULE, 0, "{\"event_type\":\"PURCHASE\",\"priority\":0,\"actions\":[]}");
	accept(&catalog, BRAND, KIND_RULE, 0,
	       "{\"event_type\":\"PING\",\"priority\":5,\"active\":false,\"actions\":[]}");
	check_list(&catalog, KIND_EVENT_TYPE, NULL, NULL, 0, 10, "1 3");
	check_list(&catalog, KIND_EVENT_TYPE, "origin", "INTERNAL", 0, 10, "3");
	check_list(&catalog, KIND_EVENT_TYPE, "origin", "x", 0, 10, NULL);
	check_list(&catalog, KIND_EVENT_TYPE, "payload_schema", "x", 0, 10, NULL);
	check_list(&catalog, KIND_RULE, NULL, NULL, 0, SIZE_MAX, "5 4 6");
	check_list(&catalog, KIND_RULE, NULL, NULL, 1, 1, "4");
	check_list(&catalog, KIND_RULE, NULL, NULL, 3, 5, "");
	check_list(&catalog, KIND_RULE, NULL, NULL, 0, 0, "");
	check_list(&catalog, KIND_RULE, "active", "false", 0, 10, "6");
	check_list(&catalog, KIND_RULE, "active", "no", 0, 10, NULL);
	check_list(&catalog, KIND_RULE, "priority", "5", 0, 10, "4 6");
	check_list(&catalog, KIND_RULE, "priority", "five", 0, 10, NULL);
	check_list(&catalog, KIND_RULE, "event_type", "PURCHASE", 0, 10, "5 4");
	check_list(&catalog, KIND_RULE, "color", "red", 0, 10, NULL);
	assert_true(catalog_id_parse(STR("18446744073709551615"), &id) && id == UINT64_MAX);
	assert_false(catalog_id_parse(STR("18446744073709551616"), &id));
	assert_false(catalog_id_parse(STR(""), &id) || catalog_id_parse(STR("0"), &id) || catalog_id_parse(STR("01"),
													   &id) ||
		     catalog_id_parse(STR("1x"), &id) || catalog_id_parse(STR("-1"), &id));
	catalog_free(&catalog);
}

/* By way of its bytes. */
static void apply(struct catalog *catalog, struct catalog_change *change, uint64_t lsn)
{
	struct catalog_change decoded;
	struct buf bytes = { 0 };
	catalog_change_encode(change, &bytes);
	assert_true(catalog_change_decode(bytes.ptr, bytes.len, &decoded));
	catalog_apply(catalog, &decoded, lsn);
	buf_free(&bytes);
	catalog_change_free(change);
}

static void remember(struct catalog *catalog, struct str tenant, uint64_t id, const char *patch, enum catalog_status expected)
{
	struct catalog_change change;
	struct problem problem = { 0 };
	yyjson_doc *doc = read_json(patch);
	enum catalog_status status = catalog_decide_state(catalog, tenant, kind_by_number(KIND_RULE), id, yyjson_doc_get_root(doc),
							  &change, &problem);
	assert_int_equal(status, expected);
	if (status == CATALOG_OK)
		apply(catalog, &change, next_lsn += 8);
	else
		assert_int_equal(problem.status, 404);
	yyjson_doc_free(doc);
	problem_free(&problem);
}

/* State stands beside the fields: shown, dumped, in snapshots, and no part of the version. */
static void test_document_state(void **state)
{
	struct catalog catalog = { 0 }, replica = { 0 };
	struct buf shown = { 0 }, live = { 0 }, copy = { 0 };
	(void)state;
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, PURCHASE);
	accept(&catalog, BRAND, KIND_RULE, 0, RULE);
	const struct document *rule = catalog_get(&catalog, BRAND, kind_by_number(KIND_RULE), 2);
	uint64_t lsn = rule->lsn, version = rule->version;
	int64_t updated = rule->updated_ms;
	remember(&catalog, BRAND, 2, "{\"runs\":1,\"last\":\"a\"}", CATALOG_OK);
	remember(&catalog, BRAND, 2, "{\"runs\":2,\"error\":null}", CATALOG_OK);
	remember(&catalog, BRAND, 1, "{}", CATALOG_NOT_FOUND);
	remember(&catalog, OTHER, 2, "{}", CATALOG_NOT_FOUND);
	rule = catalog_get(&catalog, BRAND, kind_by_number(KIND_RULE), 2);
	assert_true(str_eq(rule->state, STR("{\"runs\":2,\"last\":\"a\",\"error\":null}")));
	assert_true(rule->lsn == lsn && rule->version == version && rule->updated_ms == updated);
	assert_int_equal(catalog.last_lsn, next_lsn);
	catalog_document_json(&shown, rule);
	buf_char(&shown, 0);
	assert_non_null(strstr(shown.ptr, ",\"runs\":2,\"last\":\"a\",\"error\":null,\"version\":1,"));

	catalog_dump(&catalog, &live);
	for (size_t j = 0; j < catalog.tenants[0]->count; j++) {
		struct catalog_change change = catalog_document_change(catalog.tenants[0]->list[j]);
		apply(&replica, &change, catalog.tenants[0]->list[j]->lsn);
	}
	struct catalog_change mark = { .op = CATALOG_MARK, .id = catalog.last_id };
	catalog_apply(&replica, &mark, catalog.last_lsn);
	catalog_dump(&replica, &copy);
	assert_true(str_eq(buf_view(&live), buf_view(&copy)));
	buf_char(&live, 0);
	assert_non_null(strstr(live.ptr, " state={\"runs\":2,\"last\":\"a\",\"error\":null}\n"));

	/* A kind without `derive` has no state of its own: a change of the fields leaves none. */
	accept(&catalog, BRAND, KIND_RULE, 2, "{\"priority\":3}");
	assert_int_equal(catalog_get(&catalog, BRAND, kind_by_number(KIND_RULE), 2)->state.len, 0);
	buf_free(&shown);
	buf_free(&live);
	buf_free(&copy);
	catalog_free(&catalog);
	catalog_free(&replica);
}

/* Who did it and what came before is there as a whole, or not at all (records of older versions). */
static void test_change_audit(void **state)
{
	struct catalog_change change = { .op = CATALOG_DELETE, .kind = KIND_RULE, .id = 9, .version = 2, .tenant = BRAND,
					 .time_ms = NOW, .created_ms = NOW, .audited = true, .actor = STR("ann"),
					 .previous = 64, .tenant_previous = 128 };
	struct catalog_change decoded;
	struct buf bytes = { 0 };
	(void)state;
	catalog_change_encode(&change, &bytes);
	assert_true(catalog_change_decode(bytes.ptr, bytes.len, &decoded));
	assert_true(decoded.audited && str_eq(decoded.actor, STR("ann")) && decoded.previous == 64 && decoded.tenant_previous == 128);
	assert_false(catalog_change_decode(bytes.ptr, bytes.len - 13, &decoded));
	assert_false(catalog_change_decode(bytes.ptr, bytes.len - 26, &decoded));
	assert_true(catalog_change_decode(bytes.ptr, bytes.len - 26 - 8, &decoded));
	assert_false(decoded.audited);
	struct catalog catalog = { 0 };
	catalog_apply(&catalog, &change, 200);         /* of a document that is not there */
	assert_int_equal(catalog_audit(&catalog, BRAND), 0);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, PURCHASE);
	assert_int_equal(catalog_audit(&catalog, BRAND), next_lsn);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 10, NULL);
	assert_int_equal(catalog_audit(&catalog, BRAND), next_lsn);
	assert_int_equal(catalog_audit(&catalog, OTHER), 0);
	catalog_free(&catalog);
	buf_free(&bytes);
}

/* Whatever the bytes: no crash, and what is accepted can be applied. */
static void test_change_bytes(void **state)
{
	struct catalog_change change = { .op = CATALOG_PUT, .kind = KIND_RULE, .id = 9, .version = 2, .tenant = BRAND,
					 .time_ms = NOW, .created_ms = NOW - 1,
							 .json = STR("{\"actions\":[1],\"priority\":1e3}"),
					 .state = STR("{\"runs\":1}") };
	struct catalog_change decoded;
	struct catalog catalog = { 0 };
	struct buf bytes = { 0 }, dump = { 0 };
	uint64_t random = 88172645463325252u;
	(void)state;
	catalog_change_encode(&change, &bytes);
	assert_true(catalog_change_decode(bytes.ptr, bytes.len, &decoded));
	assert_false(decoded.audited);
	assert_true(decoded.op == change.op && decoded.kind == change.kind && decoded.id == 9 && decoded.version == 2 &&
		    decoded.time_ms == NOW && decoded.created_ms == NOW - 1 && str_eq(decoded.tenant, BRAND) &&
		    str_eq(decoded.json, change.json) && str_eq(decoded.state, change.state));
	for (size_t len = 0; len < bytes.len; len++) {
		char *part = mem_dup(bytes.ptr, len);
		assert_false(catalog_change_decode(part, len, &decoded));
		mem_free(part);
	}
	for (int round = 0; round < 200000; round++) {
		char *part = mem_dup(bytes.ptr, bytes.len);
		for (int i = 0; i < 1 + round % 3; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			part[random % bytes.len] = (char)(random >> 32);
		}
		if (catalog_change_decode(part, bytes.len, &decoded))
			catalog_apply(&catalog, &decoded, 1);
		mem_free(part);
	}
	catalog_dump(&catalog, &dump);
	for (size_t i = 0; i < catalog.tenant_count; i++)
		view_unref(catalog_view_build(&catalog, catalog.tenants[i]->name));
	/* A tag of a later version is skipped. */
	buf_bytes(&bytes, "\x63\x02\0\0\0hi", 7);
	assert_true(catalog_change_decode(bytes.ptr, bytes.len, &decoded));
	buf_free(&bytes);
	buf_free(&dump);
	catalog_free(&catalog);
}

static void test_view(void **state)
{
	struct catalog catalog = { 0 };
	struct rule_arena *arena = rule_arena_new();
	struct rule_value result;
	char error[160];
	(void)state;
	struct catalog_view *view = catalog_view_build(&catalog, BRAND);
	assert_null(catalog_view_event_type(view, STR("PURCHASE")));
	view_unref(view);
	accept(&catalog, BRAND, KIND_EVENT_TYPE, 0,
	       "{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"P\","
	       "\"payload_schema\":{\"required\":[\"amount\"]}}");
	for (int i = 0; i < 100; i++) {
		char body[120];
		snprintf(body, sizeof body, "{\"key\":\"K%d\",\"origin\":\"INTERNAL\",\"name\":\"K\",\"active\":%s}", i,
			 i % 2 ? "true" : "false");
		accept(&catalog, BRAND, KIND_EVENT_TYPE, 0, body);
	}
	accept(&catalog, BRAND, KIND_RULE, 0,
	       "{\"event_type\":\"PURCHASE\",\"priority\":5,\"actions\":["
	       "{\"type\":\"earn_points_from_amount\",\"rate\":0.5,"
	       "\"max_points\":100},{\"type\":\"add_customer_tag\",\"tag\":\"vip\"}]}");
	accept(&catalog, BRAND, KIND_RULE, 0,
	       "{\"event_type\":\"PURCHASE\",\"conditions\":{\">\":[{\"var\":\"amount\"},10]},"
	       "\"actions\":[{\"type\":\"burn_points\",\"from_payload\":\"lines.1.points\"}]}");
	accept(&catalog, BRAND, KIND_RULE, 0, "{\"event_type\":\"PURCHASE\",\"active\":false,\"actions\":[]}");
	accept(&catalog, BRAND, KIND_RULE, 0, "{\"event_type\":\"K1\",\"actions\":[]}");
	view = catalog_view_build(&catalog, BRAND);
	assert_ptr_equal(view_ref(view), view);
	view_unref(view);
	catalog_free(&catalog);                                        /* the view borrows nothing */

	for (int i = 0; i < 100; i++) {
		char key[16];
		snprintf(key, sizeof key, "K%d", i);
		const struct view_event_type *type = catalog_view_event_type(view, str_of(key));
		assert_true(type && type->active == (i % 2 == 1) && type->origin == ORIGIN_INTERNAL &&
			    !type->payload_schema);
		assert_int_equal(type->rule_count, i == 1);
	}
	assert_null(catalog_view_event_type(view, STR("K100")));
	const struct view_event_type *type = catalog_view_event_type(view, STR("PURCHASE"));
	assert_true(type && type->active && type->origin == ORIGIN_EXTERNAL && type->payload_schema && !type->broken);
	assert_int_equal(type->rule_count, 2);
	const struct view_rule *first = &type->rules[0], *second = &type->rules[1];
	assert_true(first->priority == 0 && first->condition && !first->broken && first->action_count == 1);
	assert_true(second->priority == 5 && !second->condition && !second->broken && second->action_count == 2);
	assert_true(second->actions[0].type == ACTION_EARN_FROM_AMOUNT && second->actions[0].has_max &&
		    second->actions[0].max_points == 100 && !second->actions[0].has_min &&
		    str_eq(second->actions[0].amount_path.text, STR("amount")));
	assert_int_equal(decimal_cmp(second->actions[0].rate, (struct decimal){ 5, 1 }), 0);
	assert_true(second->actions[1].type == ACTION_ADD_TAG && str_eq(second->actions[1].text, STR("vip")));
	assert_int_equal(first->actions[0].type, ACTION_BURN);

	yyjson_doc *doc = read_json("{\"amount\":12,\"lines\":[{\"points\":1},{\"points\":7}]}");
	yyjson_val *payload = yyjson_doc_get_root(doc);
	int64_t points;
	assert_true(json_int(action_path_get(&first->actions[0].from_payload, payload), &points) && points == 7);
	assert_true(schema_check(type->payload_schema, payload, "", NULL));
	struct rule_input input = { .data = payload };
	assert_true(rule_eval(first->condition, &input, arena, &result, error));
	assert_true(rule_truthy(&result));
	yyjson_doc_free(doc);
	view_unref(view);
	rule_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_tiers),
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_document_state),
		cmocka_unit_test(test_change_audit),
		cmocka_unit_test(test_change_bytes),
		cmocka_unit_test(test_view),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
