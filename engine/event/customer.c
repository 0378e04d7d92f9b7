// SPDX-License-Identifier: Apache-2.0
/* customer.c - creating and updating a customer: the CUSTOMER record. */
#include <stdlib.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/event/ingest.h"

enum { CUSTOMER_BYTES_MAX = 60000 };

uint32_t customer_bound(const struct row *row, const struct member *member)
{
	size_t bound = sizeof(struct customer_head) + row->tenant.len + row->profile.len + row->payload_text.len * 2 + 4096;
	if (member) {
		bound += member->attributes_len + member->status_len;
		for (size_t i = 0; i < member->tag_count; i++)
			bound += member->tags[i].len + 2;
	}
	return bound > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)bound;
}

/* Fields of a customer that are not attributes. */
static bool is_core_field(struct str name)
{
	return str_eq(name, STR("brand")) || str_eq(name, STR("profileId")) || str_eq(name, STR("status")) ||
	       str_eq(name, STR("tags"));
}

/* Old attributes with the new ones over them; null takes one away. */
static void attributes_merge(struct buf *out, const struct member *member, yyjson_val *body)
{
	struct json_error error;
	yyjson_doc *old = member && member->attributes ? json_read(member_attributes(member), &error) : NULL;
	yyjson_val *key, *value;
	size_t i, max;
	bool first = true;
	buf_char(out, '{');
	if (old)
		yyjson_obj_foreach(yyjson_doc_get_root(old), i, max, key, value) {
			if (json_get(body, json_text(key)))
				continue;
			if (!first)
				buf_char(out, ',');
			first = false;
			buf_json_text(out, json_text(key));
			buf_char(out, ':');
			json_write(out, value);
		}
	yyjson_obj_foreach(body, i, max, key, value) {
		if (is_core_field(json_text(key)) || yyjson_is_null(value))
			continue;
		if (!first)
			buf_char(out, ',');
		first = false;
		buf_json_text(out, json_text(key));
		buf_char(out, ':');
		json_write(out, value);
	}
	buf_char(out, '}');
	if (old)
		yyjson_doc_free(old);
}

static void tag_write(struct buf *out, struct str tag)
{
	uint16_t len = (uint16_t)tag.len;
	buf_bytes(out, &len, sizeof len);
	buf_str(out, tag);
}

static int tag_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The tags of a body, ascending and each once, as the member will keep them.  Returns how many. */
static uint16_t tags_write(struct buf *out, yyjson_val *list)
{
	size_t count = yyjson_arr_size(list), i, max;
	struct str *tags = mem_alloc(count * sizeof *tags);
	yyjson_val *tag;
	uint16_t written = 0;
	yyjson_arr_foreach(list, i, max, tag)
		tags[i] = json_text(tag);
	if (count)
		qsort(tags, count, sizeof *tags, tag_order);
	for (i = 0; i < count; i++) {
		if (i && str_eq(tags[i], tags[i - 1]))
			continue;
		tag_write(out, tags[i]);
		written++;
	}
	mem_free(tags);
	return written;
}

bool customer_decide(struct row *row, const struct member *member, int64_t now_ms, struct buf *out)
{
	struct customer_head head = { 0 };
	yyjson_val *status = json_get(row->payload, STR("status")), *tags = json_get(row->payload, STR("tags"));
	struct str status_text = yyjson_is_str(status) ? json_text(status) : member ? member_status(member) : STR("ACTIVE");
	size_t start = record_begin(out, RECORD_CUSTOMER, row->member_partition);
	memcpy(&head.head, out->ptr + start, sizeof head.head);
	out->len = start;
	head.prev_member = member ? member->last_lsn : 0;
	head.time_ms = now_ms;
	head.tenant_len = (uint16_t)row->tenant.len;
	head.profile_len = (uint16_t)row->profile.len;
	head.status_len = (uint16_t)status_text.len;
	buf_bytes(out, &head, sizeof head);
	buf_str(out, row->tenant);
	buf_str(out, row->profile);
	buf_str(out, status_text);
	size_t before = out->len;
	attributes_merge(out, member, row->payload);
	head.attributes_len = (uint32_t)(out->len - before);
	if (head.attributes_len > CUSTOMER_BYTES_MAX) {
		problem_set(row_refuse(row), 422, "customer_too_large", "with what it had before the customer takes %u bytes; %d are allowed",
			    head.attributes_len, CUSTOMER_BYTES_MAX);
		return false;
	}
	if (yyjson_is_arr(tags)) {
		head.tag_count = tags_write(out, tags);
	} else if (member) {
		for (size_t i = 0; i < member->tag_count; i++)
			tag_write(out, member->tags[i]);
		head.tag_count = member->tag_count;
	}
	memcpy(out->ptr + start, &head, sizeof head);
	record_end(out, start);
	return true;
}
