// SPDX-License-Identifier: Apache-2.0
#include "net/main/replay.h"

#include <pthread.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"

enum { REPLAY_CHUNK = 2 * 1024 * 1024, AHEAD_BYTES = 2048 };

/* Each shard has two workers: one takes note of the ids, the other one of the actors; they share nothing.
 *
 * Frames in a chunk: u64 LSN of the body, u64 size, body. */
struct replay {
	struct state **states;
	unsigned count;
	struct catalog *catalog;
	struct buf chunks[2];
	unsigned filling;              /* index of the chunk that the reader fills */
	uint64_t generation;           /* chunks handed out */
	unsigned busy;                 /* workers still in the last one */
	bool ending;
	uint64_t broken_lsn;           /* UINT64_MAX: none */
	uint64_t records;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned worker_count;
	struct worker {
		struct replay *replay;
		unsigned shard;
		enum state_parts parts;
		pthread_t thread;
	} workers[2 * SHARDS_MAX];
};

static bool catalog_record(struct catalog *catalog, const unsigned char *record, const struct record_head *head, uint64_t lsn)
{
	struct catalog_change change = { 0 };
	uint64_t len;
	if (head->size < sizeof *head + sizeof len)
		return false;
	memcpy(&len, record + sizeof *head, sizeof len);
	if (len > head->size - sizeof *head - sizeof len ||
	    !catalog_change_decode(record + sizeof *head + sizeof len, len, &change))
		return false;
	if (lsn > catalog->last_lsn)           /* else it came out of a snapshot with it */
		if (MUTATE(28, true, change.op != CATALOG_DELETE))
		catalog_apply(catalog, &change, lsn);
	return true;
}

/* Applies one frame's records to one shard.  Returns the LSN of a record that cannot be read, or UINT64_MAX. */
static uint64_t frame_apply(struct replay *replay, const struct worker *worker, const unsigned char *body, size_t size,
			    uint64_t lsn, uint64_t *records)
{
	struct state *state = replay->states[worker->shard];
	size_t at = 0, ahead = 0, far = 0;
	while (at < size) {
		struct record_head head;
		bool broken = false;
		/* Memory that records some way ahead will touch is fetched meanwhile. */
		while (far - at < AHEAD_BYTES && ahead < size && record_head_read(body + ahead, size - ahead, &head)) {
			state_prefetch(state, body + ahead, &head, worker->parts);
			far = ahead += head.size;
		}
		if (!record_head_read(body + at, size - at, &head))
			return lsn + at;
		if (head.type == RECORD_CATALOG) {
			if (worker->shard == 0 && (worker->parts & STATE_ACTORS) && !catalog_record(replay->catalog, body + at, &head, lsn + at))
				return lsn + at;
		} else {
			state_replay(state, body + at, head.size, lsn + at, worker->parts, &broken);
		}
		if (broken)
			return lsn + at;
		at += head.size;
		(*records)++;
	}
	return UINT64_MAX;
}

static uint64_t chunk_apply(struct replay *replay, const struct worker *worker, const struct buf *chunk, uint64_t *records)
{
	for (size_t at = 0; at < chunk->len;) {
		uint64_t head[2];
		memcpy(head, chunk->ptr + at, sizeof head);
		uint64_t broken = frame_apply(replay, worker, (unsigned char *)chunk->ptr + at + sizeof head, head[1], head[0],
					      records);
		if (broken != UINT64_MAX)
			return broken;
		at += sizeof head + head[1];
	}
	return UINT64_MAX;
}

static void *worker_run(void *context)
{
	struct worker *worker = context;
	struct replay *replay = worker->replay;
	uint64_t seen = 0, records = 0, broken = UINT64_MAX;
	pthread_mutex_lock(&replay->mutex);
	for (;;) {
		while (replay->generation == seen && !replay->ending)
			pthread_cond_wait(&replay->changed, &replay->mutex);
		if (replay->generation == seen)
			break;
		seen = replay->generation;
		const struct buf *chunk = &replay->chunks[!replay->filling];
		pthread_mutex_unlock(&replay->mutex);
		if (broken == UINT64_MAX)
			broken = chunk_apply(replay, worker, chunk, &records);
		pthread_mutex_lock(&replay->mutex);
		if (broken < replay->broken_lsn)
			replay->broken_lsn = broken;
		if (--replay->busy == 0)
			pthread_cond_broadcast(&replay->changed);
	}
	if (worker == replay->workers)
		replay->records = records;
	pthread_mutex_unlock(&replay->mutex);
	return NULL;
}

struct replay *replay_new(struct state **states, unsigned count, struct catalog *catalog)
{
	struct replay *replay = mem_zalloc(sizeof *replay);
	replay->states = states;
	replay->count = count;
	replay->catalog = catalog;
	replay->broken_lsn = UINT64_MAX;
	pthread_mutex_init(&replay->mutex, NULL);
	pthread_cond_init(&replay->changed, NULL);
	replay->worker_count = 2 * count;
	for (unsigned i = 0; i < replay->worker_count; i++) {
		replay->workers[i] = (struct worker){ .replay = replay, .shard = i / 2, .parts = i % 2 ? STATE_IDS : STATE_ACTORS };
		int error = pthread_create(&replay->workers[i].thread, NULL, worker_run, &replay->workers[i]);
		ASSERT(!error);
	}
	return replay;
}

/* Hands the full chunk to the workers, once they are through with the one before. */
static void chunk_hand_out(struct replay *replay)
{
	pthread_mutex_lock(&replay->mutex);
	while (replay->busy)
		pthread_cond_wait(&replay->changed, &replay->mutex);
	replay->filling = !replay->filling;
	replay->chunks[replay->filling].len = 0;
	replay->busy = replay->worker_count;
	replay->generation++;
	pthread_cond_broadcast(&replay->changed);
	pthread_mutex_unlock(&replay->mutex);
}

uint64_t replay_now(struct state **states, unsigned count, struct catalog *catalog, const struct wal_frame *frame)
{
	struct replay replay = { .states = states, .count = count, .catalog = catalog };
	uint64_t broken = UINT64_MAX, records = 0;
	for (unsigned i = 0; i < 2 * count && broken == UINT64_MAX && frame->kind == WAL_FRAME_RECORDS; i++) {
		struct worker worker = { .shard = i / 2, .parts = i % 2 ? STATE_ACTORS : STATE_IDS };
		broken = frame_apply(&replay, &worker, frame->body, frame->body_size, frame->lsn + WAL_FRAME_HEADER, &records);
	}
	return broken;
}

bool replay_frame(void *context, const struct wal_frame *frame)
{
	struct replay *replay = context;
	struct buf *chunk = &replay->chunks[replay->filling];
	uint64_t head[2] = { frame->lsn + WAL_FRAME_HEADER, frame->body_size };
	if (frame->kind != WAL_FRAME_RECORDS)
		return true;
	buf_bytes(chunk, head, sizeof head);
	buf_bytes(chunk, frame->body, frame->body_size);
	if (chunk->len >= REPLAY_CHUNK)
		chunk_hand_out(replay);
	return true;
}

bool replay_end(struct replay *replay, uint64_t *broken_lsn, uint64_t *records)
{
	if (replay->chunks[replay->filling].len)
		chunk_hand_out(replay);
	pthread_mutex_lock(&replay->mutex);
	while (replay->busy)
		pthread_cond_wait(&replay->changed, &replay->mutex);
	replay->ending = true;
	pthread_cond_broadcast(&replay->changed);
	pthread_mutex_unlock(&replay->mutex);
	for (unsigned i = 0; i < replay->worker_count; i++)
		pthread_join(replay->workers[i].thread, NULL);
	bool good = replay->broken_lsn == UINT64_MAX;
	*broken_lsn = replay->broken_lsn;
	*records = replay->records;
	pthread_mutex_destroy(&replay->mutex);
	pthread_cond_destroy(&replay->changed);
	buf_free(&replay->chunks[0]);
	buf_free(&replay->chunks[1]);
	mem_free(replay);
	return good;
}
