// SPDX-License-Identifier: Apache-2.0
#include "tests/model/world_ids.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/ledger/content.h"

struct entry { uint64_t hash, value, content; };

enum phase { RESTING, HANDING, DROPPING };

struct world_ids {
	struct world *world;
	struct entry *list;            /* owned; all that is filed, by hash and value */
	size_t count, cap;
	size_t frames;                 /* so many of the log's are filed */
	struct id_runs *runs, *next;   /* owned; what the shards have, and what they are being handed */
	struct id_change changes[SHARDS_MAX];
	unsigned waiting;
	enum phase phase;
	struct id_query *queries;      /* newest first */
	uint64_t lookups;
};

struct world_ids *world_ids_new(struct world *world)
{
	struct world_ids *ids = mem_zalloc(sizeof *ids);
	ids->world = world;
	return ids;
}

static void runs_free(struct id_runs *runs)
{
	for (unsigned r = 0; runs && r < runs->count; r++)
		mem_free(runs->filters[r].lines);
	mem_free(runs);
}

void world_ids_free(struct world_ids *ids)
{
	runs_free(ids->runs);
	runs_free(ids->next);
	mem_free(ids->list);
	mem_free(ids);
}

static int entry_order(const void *a, const void *b)
{
	const struct entry *one = a, *other = b;
	if (one->hash != other->hash)
		return one->hash < other->hash ? -1 : 1;
	return (one->value > other->value) - (one->value < other->value);
}

static void frame_file(struct world_ids *ids, struct world_frame frame)
{
	const unsigned char *body = (const unsigned char *)ids->world->log.ptr + (frame.lsn - WORLD_FIRST_LSN);
	struct record_head head;
	struct id_record id;
	for (uint32_t at = 0; at < frame.size; at += head.size) {
		bool good = record_head_read(body + at, frame.size - at, &head);
		ASSERT(good);
		if (!id_of_record(body + at, head.size, &id))
			continue;
		if (ids->count == ids->cap) {
			ids->cap = ids->cap ? ids->cap * 2 : 1024;
			ids->list = mem_realloc(ids->list, ids->cap * sizeof *ids->list);
		}
		ids->list[ids->count++] = (struct entry){ id.hash, (frame.lsn + at) | (id.failed ? ID_FAILED : 0), id.content };
	}
}

/* Filters of everything: parts of the sorted list by turns, so that an id is in any of them. */
static struct id_runs *runs_make(struct world_ids *ids)
{
	struct world *world = ids->world;
	const struct world_frame *last = &world->frames[ids->frames - 1];
	struct id_runs *runs = mem_zalloc(sizeof *runs);
	runs->below = last->lsn + (last->size + 7) / 8 * 8;
	runs->generation = runs->below + 1;
	runs->count = 1 + (unsigned)world_chance(&world->seed, RUNS_MAX);
	runs->entries = ids->count;
	unsigned small = world_chance(&world->seed, 2) ? 1 : 8;
	for (unsigned r = 0; r < runs->count; r++) {
		struct id_filter *filter = &runs->filters[r];
		filter->line_count = filter_lines(ids->count / runs->count / small + 1);
		filter->lines = mem_lines((size_t)filter->line_count * FILTER_LINE);
		runs->bytes += (uint64_t)filter->line_count * FILTER_LINE;
	}
	for (size_t i = 0; i < ids->count; i++)
		filter_add(&runs->filters[i % runs->count], ids->list[i].hash);
	return runs;
}

static void file_to(struct world_ids *ids, size_t frames)
{
	for (; ids->frames < frames; ids->frames++)
		frame_file(ids, ids->world->frames[ids->frames]);
	if (ids->count)
		qsort(ids->list, ids->count, sizeof *ids->list, entry_order);
}

static void changed(struct id_change *change);

static void changes_post(struct world_ids *ids)
{
	struct world *world = ids->world;
	ids->waiting = world->shard_count;
	for (unsigned s = 0; s < world->shard_count; s++) {
		struct id_change *change = &ids->changes[s];
		*change = (struct id_change){ .message = { .kind = MESSAGE_IDS, .shard = s, .owner = change }, .after = changed,
					      .context = ids };
		if (ids->phase == HANDING)
			change->runs = ids->next;
		else
			change->below = ids->runs->below;
		world->env.post(world, s, &change->message);
	}
}

static void changed(struct id_change *change)
{
	struct world_ids *ids = change->context;
	if (--ids->waiting)
		return;
	if (ids->phase == DROPPING) {
		ids->phase = RESTING;
		return;
	}
	runs_free(ids->runs);
	ids->runs = ids->next;
	ids->next = NULL;
	ids->phase = DROPPING;
	changes_post(ids);
}

static void answer(struct world_ids *ids, struct id_query *query)
{
	query->found_count = 0;
	for (uint32_t i = 0; i < query->count; i++) {
		size_t low = 0, high = ids->count;
		bool twice = false;
		for (uint32_t j = 0; j < i; j++)
			twice |= query->hashes[j] == query->hashes[i];
		while (low < high) {
			size_t middle = (low + high) / 2;
			if (ids->list[middle].hash < query->hashes[i])
				low = middle + 1;
			else
				high = middle;
		}
		for (; !twice && low < ids->count && ids->list[low].hash == query->hashes[i]; low++)
			id_query_put(query, ids->list[low].hash, ids->list[low].value);
	}
	id_query_sort(query);
	ids->lookups++;
	ids->world->env.post(ids->world, query->answer->shard, query->answer);
}

void world_ids_read(struct world_ids *ids, struct id_query *query)
{
	ASSERT(query->count && query->generation);
	query->next = ids->queries;
	ids->queries = query;
}

void world_ids_step(struct world_ids *ids, bool asleep)
{
	struct world *world = ids->world;
	if (ids->queries && (asleep || world_chance(&world->seed, 3) == 0)) {
		struct id_query *query = ids->queries;
		ids->queries = query->next;
		answer(ids, query);
	}
	if (!world->files_one_in || ids->phase != RESTING || world->frame_count == ids->frames ||
	    world_chance(&world->seed, world->files_one_in))
		return;
	file_to(ids, ids->frames + 1 + world_chance(&world->seed, world->frame_count - ids->frames));
	ids->next = runs_make(ids);
	ids->phase = HANDING;
	changes_post(ids);
}

void world_ids_copy(struct world_ids *ids, const struct world_ids *from, size_t frames)
{
	struct world *world = ids->world;
	frames = frames < from->frames ? frames : from->frames;
	if (!frames)
		return;
	uint64_t done = 0, end = from->world->frames[frames - 1].lsn + from->world->frames[frames - 1].size;
	ids->cap = from->count + 1;
	ids->list = mem_alloc(ids->cap * sizeof *ids->list);
	for (size_t i = 0; i < from->count; i++)
		if ((from->list[i].value & ID_LSN) < end) {
			done += !(from->list[i].value & ID_FAILED);
			ids->list[ids->count++] = from->list[i];
		}
	ids->frames = frames;
	world->frames = from->world->frames;
	ids->runs = runs_make(ids);
	world->frames = NULL;
	for (unsigned s = 0; s < world->shard_count; s++) {
		world->shards[s].state.ids.filed_done = s ? 0 : done;
		world->shards[s].state.ids.runs = ids->runs;
		world->shards[s].state.ids.filed_below = ids->runs->below;
	}
}

struct id_kept world_ids_kept(const struct world_ids *ids, uint64_t hash, uint64_t lsn)
{
	for (size_t i = 0; i < ids->count; i++)
		if (ids->list[i].hash == hash && (ids->list[i].value & ID_LSN) == lsn)
			return (struct id_kept){ true, ids->list[i].value & ID_FAILED, ids->list[i].content };
	return (struct id_kept){ 0 };
}

uint64_t world_ids_filed(const struct world_ids *ids)
{
	return ids->count;
}

uint64_t world_ids_lookups(const struct world_ids *ids)
{
	return ids->lookups;
}

void world_ids_dump(const struct world_ids *ids, struct buf *out)
{
	for (size_t i = 0; i < ids->count; i++)
		buf_printf(out, "id %016llx lsn %llu%s\n", (unsigned long long)ids->list[i].hash,
			   (unsigned long long)(ids->list[i].value & ID_LSN), ids->list[i].value & ID_FAILED ? " failed" : "");
}
