// SPDX-License-Identifier: Apache-2.0
/* fuzz_record.c - arbitrary bytes as records of the log: nothing is read outside, and what is accepted can be walked.
 *
 * The first byte says whether type, partition and size are put right first, so that the lengths behind them are
 * reached. The rest is read as an event, as a customer and as a change of the catalog.  A change that decodes encodes
 * to bytes that decode to the same, and can be applied.
 */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/catalog/catalog.h"
#include "engine/event/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void touch(struct str text, const unsigned char *from, const unsigned char *end)
{
	const unsigned char *start = (const unsigned char *)text.ptr;
	ASSERT(start >= from && start <= end && text.len <= (size_t)(end - start));
	sink += hash_bytes(text.ptr, text.len);
}

static void event_walk(const unsigned char *bytes, size_t len)
{
	struct event_view event;
	if (!event_view_read(bytes, len, &event))
		return;
	const unsigned char *at = event.executions;
	ASSERT(event.end <= bytes + len && event.head.head.size == (size_t)(event.end - bytes) && event.head.id_hash);
	const struct str texts[] = { event.tenant, event.profile, event.type, event.id, event.source, event.payload };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		touch(texts[i], bytes, event.end);
	for (unsigned i = 0; i < event.execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		const unsigned char *effects = execution.effects;
		for (unsigned e = 0; e < execution.head.effect_count; e++) {
			struct effect_view effect;
			effect_next(&effects, &effect);
			touch(effect.text, bytes, event.end);
		}
		ASSERT((const char *)effects == execution.error.ptr);
		touch(execution.error, bytes, event.end);
		ASSERT(at <= event.end);
	}
}

static void customer_walk(const unsigned char *bytes, size_t len)
{
	struct customer_view customer;
	if (!customer_view_read(bytes, len, &customer))
		return;
	const unsigned char *at = customer.tags;
	const struct str texts[] = { customer.tenant, customer.profile, customer.status, customer.attributes };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		touch(texts[i], bytes, customer.end);
	for (unsigned i = 0; i < customer.head.tag_count; i++)
		touch(tag_next(&at), bytes, customer.end);
	ASSERT(at <= customer.end && customer.end <= bytes + len);
}

static void change_walk(const unsigned char *bytes, size_t len)
{
	struct catalog_change change, again;
	struct catalog catalog = { 0 };
	struct buf out = { 0 };
	if (!catalog_change_decode(bytes, len, &change))
		return;
	catalog_change_encode(&change, &out);
	bool good = catalog_change_decode(out.ptr, out.len, &again);
	ASSERT(good && again.op == change.op && again.kind == change.kind && again.id == change.id &&
	       again.version == change.version && again.time_ms == change.time_ms &&
	       again.created_ms == change.created_ms && str_eq(again.tenant, change.tenant) &&
	       str_eq(again.json, change.json));
	catalog_apply(&catalog, &change, 8);
	catalog_apply(&catalog, &again, 16);
	catalog_free(&catalog);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	size_t len = size - 1;
	unsigned char *bytes = mem_alloc(len);         /* exactly as long, so that a sanitizer sees one byte more */
	if (len)
		memcpy(bytes, data + 1, len);
	if (data[0] & 1 && len >= sizeof(struct record_head)) {
		struct record_head head = { .size = (uint32_t)(len & ~(size_t)7), .partition = data[0] };
		head.type = data[0] & 2 ? RECORD_EVENT : RECORD_CUSTOMER;
		memcpy(bytes, &head, sizeof head);
	}
	event_walk(bytes, len);
	customer_walk(bytes, len);
	change_walk(bytes, len);
	mem_free(bytes);
	return 0;
}
