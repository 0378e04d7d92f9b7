// SPDX-License-Identifier: Apache-2.0
/* fuzz_resource.c - bodies of resources, one a line: "+K {…}" makes one of kind K, "NK {…}" changes document N,
 * "-K N" deletes it, "! {…}" is the payload of an event of the first type.
 *
 * Whatever the bodies are: a change that is accepted survives its own bytes, the catalog that is replayed from the bytes
 * is the one that is live, a refusal says why and changes nothing, and what was accepted can be compiled and used.  What
 * the kind's schema refuses is not accepted.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/catalog/catalog.h"
#include "engine/catalog/describe.h"
#include "engine/catalog/schema.h"
#include "engine/catalog/view.h"
#include "engine/job/job.h"
#include "engine/job/selector.h"

#define TENANT STR("T")

enum { LINES_MAX = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct world {
	struct catalog live, replayed;
	uint64_t lsn;
};

static void accepted(struct world *world, struct catalog_change *change)
{
	struct buf bytes = { 0 };
	struct catalog_change decoded;
	catalog_change_encode(change, &bytes);
	ASSERT(catalog_change_decode(bytes.ptr, bytes.len, &decoded));
	world->lsn += 8;
	catalog_apply(&world->live, change, world->lsn);
	catalog_apply(&world->replayed, &decoded, world->lsn);
	buf_free(&bytes);
	catalog_change_free(change);
}

static const struct schema *schema_of(const struct kind *kind, enum kind_form form)
{
	static struct schema *schemas[KIND_NUMBER_MAX + 1][2];
	struct schema **schema = &schemas[kind->number][form];
	if (*schema)
		return *schema;
	struct buf text = { 0 };
	struct faults faults = { 0 };
	struct json_error error;
	kind_schema(&text, kind, form);
	yyjson_doc *doc = json_read(buf_view(&text), &error);
	ASSERT(doc);
	*schema = schema_compile(yyjson_doc_get_root(doc), "", &faults);
	ASSERT(*schema);
	yyjson_doc_free(doc);
	buf_free(&text);
	return *schema;
}

static void change(struct world *world, struct str line)
{
	const struct kind *kind = line.len > 1 ? kind_by_number((unsigned)(line.ptr[1] - '0')) : NULL;
	struct catalog_change made = { 0 };
	struct problem problem = { 0 };
	struct json_error error;
	enum catalog_status status;
	yyjson_doc *doc = NULL;
	if (!kind)
		return;
	struct str rest = { line.ptr + 2, line.len - 2 };
	if (line.ptr[0] != '-' && !(doc = json_read(rest, &error)))
		return;
	yyjson_val *body = doc ? yyjson_doc_get_root(doc) : NULL;
	if (line.ptr[0] == '+')
		status = catalog_decide_create(&world->live, TENANT, kind, body, 1000, &made, &problem);
	else if (line.ptr[0] == '-')
		status = catalog_decide_delete(&world->live, TENANT, kind, rest.len ? (uint64_t)rest.ptr[0] - '0' : 1, 3000,
					       &made, &problem);
	else
		status = catalog_decide_patch(&world->live, TENANT, kind, (uint64_t)(line.ptr[0] - '0'), body, 2000, &made,
					      &problem);
	if (body && status == CATALOG_OK)
		ASSERT(schema_check(schema_of(kind, line.ptr[0] == '+' ? KIND_CREATE : KIND_UPDATE), body, "", NULL));
	if (status == CATALOG_OK)
		accepted(world, &made);
	else
		ASSERT(problem.status >= 400 && problem.status < 500 && problem.code && problem.detail[0]);
	problem_free(&problem);
	yyjson_doc_free(doc);
}

static void payload(struct world *world, struct str text)
{
	struct json_error error;
	struct faults faults = { 0 };
	yyjson_doc *doc = json_read(text, &error);
	struct catalog_view *view = catalog_view_build(&world->live, TENANT);
	if (doc && view->type_count && view->types[0].payload_schema) {
		bool fits = schema_check(view->types[0].payload_schema, yyjson_doc_get_root(doc), "/payload", &faults);
		ASSERT(fits == !faults.count);
		ASSERT(schema_check(view->types[0].payload_schema, yyjson_doc_get_root(doc), "", NULL) == fits);
	}
	view_unref(view);
	faults_free(&faults);
	yyjson_doc_free(doc);
}

/* What was accepted as a job can be read and run: its selector compiles, a time has a bucket, and it is due or not. */
static void jobs_use(struct catalog *catalog)
{
	const struct document *due[8];
	char bucket[JOB_BUCKET_MAX];
	for (size_t t = 0; t < catalog->tenant_count; t++)
		for (size_t d = 0; d < catalog->tenants[t]->count; d++) {
			struct buf text = { 0 };
			struct faults faults = { 0 };
			struct job job;
			if (catalog->tenants[t]->list[d]->kind->number != KIND_INTERNAL_JOB)
				continue;
			catalog_document_json(&text, catalog->tenants[t]->list[d]);
			ASSERT(job_read(&job, buf_view(&text)));
			struct rule *rule = selector_compile(job.selector, "", &faults);
			ASSERT(rule && !faults.count);
			rule_free(rule);
			job_bucket(&job, INT64_C(1774746000000), bucket);
			ASSERT(strlen(bucket) == 10 || strlen(bucket) == 16);
			ASSERT(job_next(&job, 0) > 0);
			job_free(&job);
			buf_free(&text);
		}
	size_t count = catalog_due(catalog, INT64_C(4000000000000), due, 8);
	for (size_t i = 0; i < count; i++)
		ASSERT(due[i]->kind->number == KIND_INTERNAL_JOB);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct world world = { 0 };
	struct buf live = { 0 }, replayed = { 0 };
	const char *at = (const char *)bytes, *end = at + len;
	for (int lines = 0; at < end && lines < LINES_MAX; lines++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct str line = { at, (size_t)((stop ? stop : end) - at) };
		if (line.len && line.ptr[0] == '!')
			payload(&world, (struct str){ line.ptr + 1, line.len - 1 });
		else
			change(&world, line);
		at = stop ? stop + 1 : end;
	}
	catalog_dump(&world.live, &live);
	catalog_dump(&world.replayed, &replayed);
	ASSERT(str_eq(buf_view(&live), buf_view(&replayed)));
	view_unref(catalog_view_build(&world.live, TENANT));
	jobs_use(&world.live);
	catalog_free(&world.live);
	catalog_free(&world.replayed);
	buf_free(&live);
	buf_free(&replayed);
	return 0;
}
