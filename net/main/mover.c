// SPDX-License-Identifier: Apache-2.0
#include "net/main/mover.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/content.h"
#include "wal/frame.h"
#include "wal/io.h"

enum {
	ID_BYTES = 24,                 /* of memory, at most (engine/base/table.h) */
	RUN_IDS = 4 * 1024 * 1024, STEP_IDS = 64 * 1024, STEP_BYTES = 4 << 20,
	WINDOW = 1 << 20, AGAIN_MS = 60 * 1000, FORGET_MS = 60 * 1000
};

struct gathering {
	struct run_entry *entries;     /* owned */
	uint64_t count, cap;
	uint64_t lsn;                  /* of the next frame */
	int64_t time_ms;               /* of the last one */
	unsigned char *window;         /* owned */
	uint64_t window_lsn;
	size_t window_size, window_len, window_cap;
};

struct mover {
	struct runs_store *store;      /* borrowed */
	struct mover_options options;
	struct runs *handed;           /* held; what the shards have */
	enum { LOOKS, GATHERS, CHANGES_RUNS, HANDS_OVER, DROPS } work;
	/* what is moved: all frames that begin below `end`, until `goal` ids have moved */
	bool moving;
	uint64_t end, goal, moved;
	struct gathering gathering;
	struct runs_job *job;          /* owned */
	bool job_adds, failed;
	struct buf error;
	/* a change that the shards make */
	struct id_change *changes;     /* owned; one a shard */
	struct runs *newest;           /* held; being handed over */
	atomic_uint waiting;           /* shards that have not made it */
	uint64_t not_before_ms;        /* after a failure */
	uint64_t forget_ms;
};

static uint64_t now_ms(void)
{
	return wal_io.monotonic_ns() / 1000000;
}

__attribute__((format(printf, 3, 4)))
static void say(struct mover *mover, const char *level, const char *format, ...)
{
	char line[600];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	mover->options.log(mover->options.context, level, line);
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static void states_tell(struct mover *mover, struct state *const *states, unsigned count)
{
	const struct runs_manifest *manifest = runs_manifest(mover->store);
	runs_release(mover->handed);
	mover->handed = runs_hold(mover->store);
	for (unsigned s = 0; s < count; s++) {
		states[s]->ids.runs = manifest->below ? &mover->handed->shown : NULL;
		states[s]->ids.filed_below = manifest->below;
		states[s]->ids.filed_done = s ? 0 : manifest->done;
	}
}

struct mover *mover_new(struct runs_store *store, struct state *const *states, unsigned count)
{
	struct mover *mover = mem_zalloc(sizeof *mover);
	mover->store = store;
	states_tell(mover, states, count);
	return mover;
}

/* ---- reading the log -------------------------------------------------------------------------------------------------- */

/* `size` durable bytes at `lsn`; NULL: they cannot be read. */
static const unsigned char *log_bytes(const struct wal *wal, struct gathering *gathering, uint64_t lsn, size_t size, uint64_t end)
{
	if (lsn >= gathering->window_lsn && lsn + size <= gathering->window_lsn + gathering->window_len)
		return gathering->window + (lsn - gathering->window_lsn);
	size_t most = size > gathering->window_size ? size : gathering->window_size;
	if (most > gathering->window_cap) {
		mem_free(gathering->window);
		gathering->window = mem_alloc(gathering->window_cap = most);
	}
	gathering->window_len = most < end - lsn ? most : (size_t)(end - lsn);
	gathering->window_lsn = lsn;
	if (gathering->window_len >= size && wal_read(wal, lsn, gathering->window, gathering->window_len))
		return gathering->window;
	gathering->window_len = 0;
	return NULL;
}

static void records_take(struct gathering *gathering, const struct wal_frame *frame)
{
	struct record_head head;
	struct id_record id;
	for (uint32_t at = 0; at < frame->body_size && record_head_read(frame->body + at, frame->body_size - at, &head); at += head.size) {
		if (!id_of_record(frame->body + at, head.size, &id))
			continue;
		if (gathering->count == gathering->cap) {
			gathering->cap = gathering->cap ? gathering->cap * 2 : 1 << 16;
			gathering->entries = mem_realloc(gathering->entries, gathering->cap * sizeof *gathering->entries);
		}
		uint64_t lsn = frame->lsn + WAL_FRAME_HEADER + at;
		gathering->entries[gathering->count++] =
			(struct run_entry){ id.hash, lsn | (id.failed ? ID_FAILED : 0), id.content };
	}
}

/* Takes the ids of whole frames from gathering->lsn on, of all that begin before `upto`, until there are `most`, or `bytes` are read.
 * `upto` is durable, but need not be where a frame ends. */
static bool ids_gather(const struct wal *wal, struct gathering *gathering, uint64_t upto, uint64_t most, uint64_t bytes,
		       struct buf *error)
{
	const uint64_t end = wal_durable(wal), from = gathering->lsn;
	while (gathering->lsn < upto && gathering->count < most && gathering->lsn - from < bytes) {
		struct wal_frame frame;
		const char *why = NULL;        /* it is no good frame; NULL: the disk does not give it */
		uint64_t hash, base = 0, behind = 0;
		const unsigned char *head = end - gathering->lsn < WAL_FRAME_HEADER
						    ? NULL : log_bytes(wal, gathering, gathering->lsn, WAL_FRAME_HEADER, end), *all;
		bool good = head && frame_header(head, gathering->lsn, end - gathering->lsn, &frame, &hash, &why) == FRAME_GOOD;
		if (!good)
			wal_segment_at(wal, gathering->lsn, &base, &behind);
		behind = MUTATE(110, behind, (gathering->lsn / WAL_BLOCK + 1) * WAL_BLOCK);
		if (!good && behind - gathering->lsn < WAL_FRAME_HEADER) {
			gathering->lsn = behind;       /* the rest of a segment, too short for a header */
			continue;
		}
		const uint32_t size = good ? frame.size : WAL_FRAME_HEADER;
		all = good ? log_bytes(wal, gathering, gathering->lsn, frame.size, end) : NULL;
		if (!all || !frame_body(all, &frame, hash, &why)) {
			wal_segment_at(wal, gathering->lsn, &base, &behind);
			buf_printf(error, "%s LSN %llu, file %016llx.log, %u bytes from byte %llu%s%s",
				   why ? "damage at" : "the log cannot be read at", (unsigned long long)gathering->lsn, (unsigned long long)base, size,
				   (unsigned long long)(gathering->lsn - base), why ? ": " : "", why ? why : "");
			return false;
		}
		if (frame.kind == WAL_FRAME_RECORDS)
			records_take(gathering, &frame);
		gathering->time_ms = frame.time_ms > gathering->time_ms ? frame.time_ms : gathering->time_ms;
		gathering->lsn += frame.size;
	}
	return true;
}

/* ---- making runs ------------------------------------------------------------------------------------------------------ */

static enum mover_next moving_end(struct mover *mover)
{
	mem_free(mover->gathering.entries);
	mem_free(mover->gathering.window);
	mover->gathering = (struct gathering){ 0 };
	mover->work = HANDS_OVER;
	return MOVER_GOES_ON;
}

static enum mover_next failed(struct mover *mover)
{
	mover->failed = true;
	mover->not_before_ms = now_ms() + AGAIN_MS;
	runs_job_end(mover->job);
	mover->job = NULL;
	return moving_end(mover);
}

static enum mover_next job_begin(struct mover *mover, struct runs_job *job, bool adds)
{
	mover->job = job;
	mover->job_adds = adds;
	mover->work = CHANGES_RUNS;
	return MOVER_GOES_ON;
}

/* The next part, where there is one; before it there must be room for one more run. */
static enum mover_next part_begin(struct mover *mover)
{
	if (runs_due(mover->store))
		return job_begin(mover, runs_merge_begin(mover->store), false);
	if (mover->gathering.lsn >= mover->end || mover->moved >= mover->goal)
		return moving_end(mover);
	mover->gathering.count = 0;
	mover->work = GATHERS;
	return MOVER_GOES_ON;
}

static enum mover_next moving_begin(struct mover *mover, uint64_t end, uint64_t goal)
{
	mover->moving = true;
	mover->end = end;
	mover->goal = goal;
	mover->moved = 0;
	mover->gathering = (struct gathering){ .lsn = runs_manifest(mover->store)->below,
					      .window_size = mover->options.window ? (size_t)mover->options.window : WINDOW };
	return part_begin(mover);
}

static enum mover_next gather(struct mover *mover)
{
	const struct mover_options *options = &mover->options;
	struct gathering *gathering = &mover->gathering;
	uint64_t left = mover->goal - mover->moved, run = options->run_ids ? options->run_ids : RUN_IDS, most = left < run ? left : run;
	if (!ids_gather(options->wal, gathering, mover->end, most, options->step_bytes ? options->step_bytes : STEP_BYTES, &mover->error))
		return failed(mover);
	if (gathering->lsn < mover->end && gathering->count < most)
		return MOVER_GOES_ON;
	return job_begin(mover, runs_add_begin(mover->store, gathering->entries, gathering->count, gathering->lsn, gathering->time_ms), true);
}

static enum mover_next job_step(struct mover *mover)
{
	switch (runs_job_step(mover->job, mover->options.step_ids ? mover->options.step_ids : STEP_IDS, &mover->error)) {
	case RUNS_GOES_ON: return MOVER_GOES_ON;
	case RUNS_FAILED: return failed(mover);
	case RUNS_DONE: break;
	}
	runs_job_end(mover->job);
	mover->job = NULL;
	mover->moved += mover->job_adds ? mover->gathering.count : 0;
	if (mover->moving)
		return part_begin(mover);
	mover->work = HANDS_OVER;
	return MOVER_GOES_ON;
}

bool mover_settle(struct mover *mover, const struct mover_options *options, struct buf *error)
{
	struct state *states[SHARDS_MAX];
	uint64_t below = runs_manifest(mover->store)->below, left_out = 0, durable = wal_durable(options->wal);
	uint64_t done = runs_manifest(mover->store)->done;
	mover->options = *options;
	mover->changes = mem_zalloc(options->count * sizeof *mover->changes);
	for (unsigned s = 0; s < options->count; s++) {
		states[s] = &options->shards[s].state;
		states[s]->ids.forgets = options->retention_ms || runs_manifest(mover->store)->forgotten;
		left_out = states[s]->ids.left_out > left_out ? states[s]->ids.left_out : left_out;
	}
	if (below > durable) {
		buf_printf(error, "DATA/ids has ids up to LSN %llu, and the log ends at LSN %llu: they are not of one directory",
			   (unsigned long long)below, (unsigned long long)durable);
		return false;
	}
	if (left_out > below) {
		if (wal_first(options->wal) > below) {
			buf_printf(error, "the snapshot left ids below LSN %llu to DATA/ids, which has those below LSN %llu only, and the log "
				   "begins at LSN %llu: bring DATA/ids back",
				   (unsigned long long)left_out, (unsigned long long)below, (unsigned long long)wal_first(options->wal));
			return false;
		}
		say(mover, "warning", "DATA/ids has the ids below LSN %llu only: those up to LSN %llu are taken from the log again",
		    (unsigned long long)below, (unsigned long long)left_out);
		moving_begin(mover, left_out, UINT64_MAX);
		while (mover->work != HANDS_OVER)
			mover_step(mover);
		mover->moving = false;
		mover->work = LOOKS;
		if (mover->failed) {
			buf_str(error, buf_view(&mover->error));
			return false;
		}
		states_tell(mover, states, options->count);
		/* Pieces that were written before the last of these runs were made have what is in it as well. */
		uint64_t twice = 0;
		for (unsigned s = 0; s < options->count; s++)
			twice += ids_file(&states[s]->ids, runs_manifest(mover->store)->below);
		states[0]->ledger.transfer_total += runs_manifest(mover->store)->done - done - twice;
	}
	return true;
}

void mover_start(struct mover *mover)
{
	mover->options.hold(mover->options.context, MUTATE(83, mover->handed->shown.below, UINT64_MAX));
}

/* ---- changing the shards ---------------------------------------------------------------------------------------------- */

static void change_made(struct id_change *change)
{
	struct mover *mover = change->context;
	if (atomic_fetch_sub(&mover->waiting, 1) == 1)
		mover->options.all_made(mover->options.context);
}

/* Every shard takes these runs over, or drops what is below. */
static enum mover_next change_all(struct mover *mover, const struct id_runs *runs, uint64_t below)
{
	const struct mover_options *options = &mover->options;
	atomic_store(&mover->waiting, options->count);
	for (unsigned s = 0; s < options->count; s++) {
		struct id_change *change = &mover->changes[s];
		*change = (struct id_change){ .message = { .kind = MESSAGE_IDS, .shard = s, .owner = change }, .runs = runs,
					      .below = below, .after = change_made, .context = mover };
		options->post(options->context, s, &change->message);
	}
	return MOVER_WAITS;
}

static uint64_t ids_held(const struct mover *mover)
{
	uint64_t sum = 0;
	for (unsigned s = 0; s < mover->options.count; s++)
		sum += atomic_load_explicit(&mover->options.shards[s].ids_held, memory_order_relaxed);
	return sum;
}

static enum mover_next cycle_end(struct mover *mover)
{
	if (mover->failed)
		say(mover, "error", "not moved to disk: %.*s", (int)mover->error.len, mover->error.ptr);
	mover->failed = mover->moving = false;
	mover->error.len = 0;
	mover->work = LOOKS;
	return MOVER_RESTS;
}

/* The shards take over what is newest; no one needs the runs before any more. */
static enum mover_next hand_over(struct mover *mover)
{
	if (!mover->newest) {
		mover->newest = runs_hold(mover->store);
		if (mover->newest != mover->handed)
			return change_all(mover, &mover->newest->shown, 0);
		runs_release(mover->newest);
		mover->newest = NULL;
		return cycle_end(mover);
	}
	runs_release(mover->handed);
	mover->handed = mover->newest;
	mover->newest = NULL;
	mover->options.hold(mover->options.context, MUTATE(83, mover->handed->shown.below, UINT64_MAX));
	if (!mover->moving)
		return cycle_end(mover);
	mover->work = DROPS;
	return change_all(mover, NULL, MUTATE(76, mover->handed->shown.below, wal_durable(mover->options.wal)));
}

static enum mover_next dropped(struct mover *mover)
{
	const struct id_runs *shown = &mover->handed->shown;
	say(mover, "info", "%llu are in %u runs, %.2f bytes of memory each; %llu are in memory, from LSN %llu on",
	    (unsigned long long)shown->entries, mover->handed->count,
	    shown->entries ? (double)shown->bytes / (double)shown->entries : 0.0, (unsigned long long)ids_held(mover),
	    (unsigned long long)shown->below);
	return cycle_end(mover);
}

/* ---- looking ---------------------------------------------------------------------------------------------------------- */

/* True: something was forgotten, or could not be. */
static bool forgotten(struct mover *mover)
{
	const struct mover_options *options = &mover->options;
	if (!options->retention_ms || now_ms() < mover->forget_ms)
		return false;
	mover->forget_ms = now_ms() + FORGET_MS;
	uint64_t lsn = runs_lsn_before(mover->store, wal_io.wall_ms() - options->retention_ms * MUTATE(107, 1, 0));
	uint64_t first = wal_first(options->wal);
	lsn = lsn < first ? lsn : MUTATE(106, first, lsn);
	if (lsn <= runs_manifest(mover->store)->forgotten)
		return false;
	if (!runs_forget(mover->store, lsn, &mover->error))
		failed(mover);
	mover->work = HANDS_OVER;
	return true;
}

static enum mover_next look(struct mover *mover)
{
	const struct mover_options *options = &mover->options;
	if (now_ms() < mover->not_before_ms)
		return MOVER_RESTS;
	if (forgotten(mover))
		return MOVER_GOES_ON;
	uint64_t held = ids_held(mover), most = options->memory / ID_BYTES, durable = wal_durable(options->wal);
	uint64_t wanted = options->target(options->context), below = runs_manifest(mover->store)->below;
	wanted = wanted < durable ? wanted : durable;
	/* Half of them, so that it is not begun again at once. */
	if (options->memory && held > most && durable > below)
		return moving_begin(mover, durable, held - most / 2);
	if (wanted > below)
		return moving_begin(mover, wanted, UINT64_MAX);
	if (runs_due(mover->store))
		return job_begin(mover, runs_merge_begin(mover->store), false);
	return MOVER_RESTS;
}

enum mover_next mover_step(struct mover *mover)
{
	if (atomic_load(&mover->waiting))
		return MOVER_WAITS;
	switch (mover->work) {
	case LOOKS: return look(mover);
	case GATHERS: return gather(mover);
	case CHANGES_RUNS: return job_step(mover);
	case HANDS_OVER: return hand_over(mover);
	case DROPS: return dropped(mover);
	}
	return MOVER_RESTS;
}

const struct id_runs *mover_handed(const struct mover *mover)
{
	return &mover->handed->shown;
}

void mover_free(struct mover *mover)
{
	if (!mover)
		return;
	runs_job_end(mover->job);
	mem_free(mover->gathering.entries);
	mem_free(mover->gathering.window);
	runs_release(mover->newest);
	runs_release(mover->handed);
	mem_free(mover->changes);
	buf_free(&mover->error);
	mem_free(mover);
}
