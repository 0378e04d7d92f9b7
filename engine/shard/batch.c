// SPDX-License-Identifier: Apache-2.0
#include "engine/shard/batch.h"

#include "engine/base/mem.h"

enum { FRAMES_KEPT = 8 * 1024 * 1024 };        /* bytes of records that a batch keeps for its next use */

bool messages_push(_Atomic(struct message *) *stack, struct message *message)
{
	struct message *head = atomic_load_explicit(stack, memory_order_relaxed);
	do
		message->next = head;
	while (!atomic_compare_exchange_weak_explicit(stack, &head, message, memory_order_acq_rel, memory_order_relaxed));
	return head == NULL;
}

struct message *messages_take(_Atomic(struct message *) *stack, struct message **last)
{
	struct message *newest = atomic_exchange_explicit(stack, NULL, memory_order_acq_rel), *oldest = NULL;
	*last = newest;
	while (newest) {
		struct message *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

void batch_init(struct batch *batch, unsigned shard_count)
{
	batch->shard_count = shard_count;
	batch->parts = mem_zalloc(shard_count * sizeof *batch->parts);
	for (unsigned s = 0; s < shard_count; s++) {
		batch->parts[s].batch = batch;
		batch->parts[s].message.owner = batch;
		batch->parts[s].message.shard = s;
	}
	batch->done.owner = batch;
}

static void problems_free(struct batch *batch)
{
	for (uint32_t r = 0; r < batch->row_count; r++)
		if (batch->rows[r].problem) {
			problem_free(batch->rows[r].problem);
			mem_free(batch->rows[r].problem);
			batch->rows[r].problem = NULL;
		}
}

void batch_reuse(struct batch *batch)
{
	struct part *parts = batch->parts;
	struct id_query query = batch->query;
	problems_free(batch);
	id_query_clear(&query);
	*batch = (struct batch){ .rows = batch->rows, .shard_count = batch->shard_count, .parts = parts, .query = query };
	for (unsigned s = 0; s < batch->shard_count; s++) {
		struct buf frames = parts[s].frames;
		if (frames.cap > FRAMES_KEPT)
			buf_free(&frames);
		frames.len = 0;
		parts[s] = (struct part){ .batch = batch, .message = { .owner = batch, .shard = s }, .frames = frames };
	}
	batch->done.owner = batch;
}

void batch_free(struct batch *batch)
{
	problems_free(batch);
	for (unsigned s = 0; s < batch->shard_count; s++)
		buf_free(&batch->parts[s].frames);
	mem_free(batch->parts);
	batch->parts = NULL;
	id_query_free(&batch->query);
}

struct problem *row_refuse(struct row *row)
{
	row->result = ROW_REFUSED;
	if (!row->problem)
		row->problem = mem_zalloc(sizeof *row->problem);
	return row->problem;
}

void row_place(struct row *row)
{
	row->member_hash = hash_name(HASH_MEMBER, row->tenant, row->profile);
	row->member_partition = partition_of(row->member_hash);
	if (row->kind == ROW_EVENT) {
		row->id_hash = hash_name(HASH_EVENT_ID, row->tenant, row->id);
		row->id_partition = partition_of(row->id_hash);
	}
}

void row_content(struct row *row)
{
	uint64_t parts[4] = { hash_bytes(row->profile.ptr, row->profile.len), hash_bytes(row->type.ptr, row->type.len),
			      hash_bytes(row->source.ptr, row->source.len),
			      hash_bytes(row->payload_text.ptr, row->payload_text.len) };
	row->content_hash = hash_bytes(parts, sizeof parts);
}

void query_free(struct query *query)
{
	buf_free(&query->status);
	buf_free(&query->attributes);
	buf_free(&query->tags_json);
	buf_free(&query->tags);
	buf_free(&query->tier);
	buf_free(&query->json);
	buf_free(&query->awards);
	mem_free(query->slices);
}
