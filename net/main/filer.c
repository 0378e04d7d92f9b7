// SPDX-License-Identifier: Apache-2.0
#include "net/main/filer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/ledger/content.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "wal/frame.h"

enum {
	ID_BYTES = 24,                 /* of memory, at most (engine/base/table.h) */
	CHUNK_IDS = 4 * 1024 * 1024,   /* of one run before it is merged: 96 MB while it is made */
	WINDOW = 1 << 20, LOOK_MS = 200, AGAIN_MS = 60 * 1000, FORGET_MS = 60 * 1000
};

struct filer {
	struct runs_store *store;
	struct filer_options options;
	struct runs *handed;           /* held; what the shards have */
	pthread_t mover, reader;
	bool started;
	pthread_mutex_t mutex;
	pthread_cond_t changed, asked;
	/* guarded by the mutex */
	bool stop, changing;
	unsigned waiting;              /* shards that have not made the running change */
	struct id_query *queries, **queries_end;       /* oldest first */
	/* the mover's own */
	atomic_bool stopping;          /* the same as `stop`, for merges */
	struct id_change *changes;     /* owned; one a shard */
	uint64_t not_before_ms;        /* after a failure */
	uint64_t forget_ms;
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

static void states_tell(struct filer *filer, struct state *const *states, unsigned count)
{
	const struct runs_manifest *manifest = runs_manifest(filer->store);
	runs_release(filer->handed);
	filer->handed = runs_hold(filer->store);
	for (unsigned s = 0; s < count; s++) {
		states[s]->ids.runs = manifest->below ? &filer->handed->shown : NULL;
		states[s]->ids.filed_below = manifest->below;
		states[s]->ids.filed_done = s ? 0 : manifest->done;
	}
}

struct filer *filer_open(const char *data, struct state *const *states, unsigned count, struct buf *error)
{
	char dir[4096];
	snprintf(dir, sizeof dir, "%s/ids", data);
	struct runs_store *store = runs_open(dir, true, error);
	if (!store) {
		buf_lit(error, "; without that folder it is made again from the log, if that is whole");
		return NULL;
	}
	struct filer *filer = mem_zalloc(sizeof *filer);
	filer->store = store;
	filer->queries_end = &filer->queries;
	pthread_mutex_init(&filer->mutex, NULL);
	pthread_cond_init(&filer->changed, NULL);
	pthread_cond_init(&filer->asked, NULL);
	states_tell(filer, states, count);
	return filer;
}

/* ---- reading the log -------------------------------------------------------------------------------------------------- */

struct gathering {
	struct run_entry *entries;     /* owned */
	uint64_t count, cap;
	uint64_t lsn;                  /* of the next frame */
	int64_t time_ms;               /* of the last one */
	unsigned char *window;         /* owned */
	uint64_t window_lsn;
	size_t window_len, window_cap;
};

static void gathering_free(struct gathering *gathering)
{
	mem_free(gathering->entries);
	mem_free(gathering->window);
}

/* `size` durable bytes at `lsn`; NULL: they cannot be read. */
static const unsigned char *log_bytes(const struct wal *wal, struct gathering *gathering, uint64_t lsn, size_t size, uint64_t end)
{
	if (lsn >= gathering->window_lsn && lsn + size <= gathering->window_lsn + gathering->window_len)
		return gathering->window + (lsn - gathering->window_lsn);
	size_t most = size > WINDOW ? size : WINDOW;
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

/* Takes the ids of whole frames from gathering->lsn on, of all that begin before `upto`, until there are `most`.  `upto` is durable, but
 * need not be where a frame ends. */
static bool ids_gather(const struct wal *wal, struct gathering *gathering, uint64_t upto, uint64_t most, struct buf *error)
{
	const uint64_t end = wal_durable(wal);
	while (gathering->lsn < upto && gathering->count < most) {
		struct wal_frame frame;
		const char *why = "it cannot be read";
		uint64_t hash, left = WAL_BLOCK - gathering->lsn % WAL_BLOCK;
		const unsigned char *bytes = end - gathering->lsn < WAL_FRAME_HEADER
						     ? NULL : log_bytes(wal, gathering, gathering->lsn, WAL_FRAME_HEADER, end);
		bool good = bytes && frame_header(bytes, gathering->lsn, UINT64_MAX, &frame, &hash, &why) == FRAME_GOOD;
		if (!good && left < WAL_FRAME_HEADER) {
			gathering->lsn += left;        /* the rest of a segment, too short for a header */
			continue;
		}
		good = good && frame.size <= end - gathering->lsn &&
		       (bytes = log_bytes(wal, gathering, gathering->lsn, frame.size, end)) != NULL && frame_body(bytes, &frame, hash, &why);
		if (!good) {
			buf_printf(error, "the log's frame at LSN %llu: %s", (unsigned long long)gathering->lsn, why);
			return false;
		}
		if (frame.kind == WAL_FRAME_RECORDS)
			records_take(gathering, &frame);
		gathering->time_ms = frame.time_ms > gathering->time_ms ? frame.time_ms : gathering->time_ms;
		gathering->lsn += frame.size;
	}
	return true;
}

/* ---- moving ----------------------------------------------------------------------------------------------------------- */

static bool merge_all(struct filer *filer, struct buf *error)
{
	while (runs_due(filer->store))
		if (!runs_merge(filer->store, &filer->stopping, error))
			return false;
	return true;
}

/* Makes runs of the log up to the frame that reaches `end`, until `goal` ids have moved. */
static bool runs_make(struct filer *filer, uint64_t end, uint64_t goal, struct buf *error)
{
	struct gathering gathering = { .lsn = runs_manifest(filer->store)->below };
	bool good = true;
	uint64_t moved = 0;
	while (good && gathering.lsn < end && moved < goal && !atomic_load(&filer->stopping)) {
		gathering.count = 0;
		uint64_t most = goal - moved < CHUNK_IDS ? goal - moved : CHUNK_IDS;
		good = merge_all(filer, error) && ids_gather(filer->options.wal, &gathering, end, most, error) &&
		       runs_add(filer->store, gathering.entries, gathering.count, gathering.lsn, gathering.time_ms, error);
		moved += gathering.count;
	}
	gathering_free(&gathering);
	return good;
}

bool filer_settle(struct filer *filer, const struct filer_options *options, struct buf *error)
{
	struct state *states[SHARDS_MAX];
	uint64_t below = runs_manifest(filer->store)->below, left_out = 0, durable = wal_durable(options->wal);
	uint64_t done = runs_manifest(filer->store)->done;
	filer->options = *options;
	for (unsigned s = 0; s < options->count; s++) {
		states[s] = &options->shards[s].state;
		left_out = states[s]->ids.left_out > left_out ? states[s]->ids.left_out : left_out;
	}
	if (below > durable) {
		buf_printf(error, "DATA/ids has ids up to LSN %llu, and the log ends at LSN %llu: they are not of one directory",
			   (unsigned long long)below, (unsigned long long)durable);
		return false;
	}
	if (left_out <= below)
		return true;
	if (wal_first(options->wal) > below) {
		buf_printf(error, "the snapshot left ids below LSN %llu to DATA/ids, which has those below LSN %llu only, and the log begins "
				  "at LSN %llu: bring DATA/ids back",
			   (unsigned long long)left_out, (unsigned long long)below, (unsigned long long)wal_first(options->wal));
		return false;
	}
	log_line(LOG_LEVEL_WARN, "ids", "DATA/ids has the ids below LSN %llu only: those up to LSN %llu are taken from the log again",
		 (unsigned long long)below, (unsigned long long)left_out);
	if (!runs_make(filer, left_out, UINT64_MAX, error))
		return false;
	states_tell(filer, states, options->count);
	states[0]->ledger.transfer_total += runs_manifest(filer->store)->done - done;
	return true;
}

static void change_made(struct id_change *change)
{
	struct filer *filer = change->context;
	pthread_mutex_lock(&filer->mutex);
	if (--filer->waiting == 0)
		pthread_cond_broadcast(&filer->changed);
	pthread_mutex_unlock(&filer->mutex);
}

/* Has every shard take these runs over, or drop what is below.  False: the server stops, nothing was begun. */
static bool change_all(struct filer *filer, const struct id_runs *runs, uint64_t below)
{
	const struct filer_options *options = &filer->options;
	pthread_mutex_lock(&filer->mutex);
	bool begun = !filer->stop;
	filer->changing = begun;
	filer->waiting = begun ? options->count : 0;
	pthread_mutex_unlock(&filer->mutex);
	for (unsigned s = 0; begun && s < options->count; s++) {
		struct id_change *change = &filer->changes[s];
		*change = (struct id_change){ .message = { .kind = MESSAGE_IDS, .shard = s, .owner = change }, .runs = runs,
					      .below = below, .after = change_made, .context = filer };
		options->post(options->context, s, &change->message);
	}
	pthread_mutex_lock(&filer->mutex);
	while (filer->waiting)
		pthread_cond_wait(&filer->changed, &filer->mutex);
	filer->changing = false;
	pthread_mutex_unlock(&filer->mutex);
	return begun;
}

static void shown(const struct runs *runs)
{
	metric_set(METRIC_IDS_FILED, (int64_t)runs->shown.entries);
	metric_set(METRIC_ID_RUNS, runs->count);
	metric_set(METRIC_IDS_FILED_LSN, (int64_t)runs->shown.below);
}

/* The shards take over what is newest; no one needs the runs before any more. */
static bool hand_over(struct filer *filer)
{
	struct runs *newest = runs_hold(filer->store);
	if (newest == filer->handed || !change_all(filer, &newest->shown, 0)) {
		runs_release(newest);
		return false;
	}
	runs_release(filer->handed);
	filer->handed = newest;
	filer->options.hold(filer->options.context, newest->shown.below);
	shown(newest);
	return true;
}

static void told(struct filer *filer, bool good, const struct buf *error)
{
	if (good)
		return;
	if (!atomic_load(&filer->stopping))
		log_line(LOG_LEVEL_ERROR, "ids", "not moved to disk: %.*s", (int)error->len, error->ptr);
	filer->not_before_ms = clock_ms(CLOCK_MONOTONIC) + AGAIN_MS;
}

static uint64_t ids_held(const struct filer *filer)
{
	uint64_t sum = 0;
	for (unsigned s = 0; s < filer->options.count; s++)
		sum += atomic_load_explicit(&filer->options.shards[s].ids_held, memory_order_relaxed);
	return sum;
}

static void forget(struct filer *filer)
{
	const struct filer_options *options = &filer->options;
	struct buf error = { 0 };
	uint64_t now = clock_ms(CLOCK_MONOTONIC);
	if (!options->retention_ms || now < filer->forget_ms)
		return;
	filer->forget_ms = now + FORGET_MS;
	uint64_t lsn = runs_lsn_before(filer->store, (int64_t)clock_ms(CLOCK_REALTIME) - options->retention_ms);
	uint64_t first = wal_first(options->wal);
	lsn = lsn < first ? lsn : first;
	if (lsn > runs_manifest(filer->store)->forgotten)
		told(filer, runs_forget(filer->store, lsn, &error), &error);
	buf_free(&error);
}

static void look(struct filer *filer)
{
	const struct filer_options *options = &filer->options;
	struct buf error = { 0 };
	if (clock_ms(CLOCK_MONOTONIC) < filer->not_before_ms)
		return;
	uint64_t held = ids_held(filer), most = options->memory / ID_BYTES, durable = wal_durable(options->wal);
	uint64_t wanted = options->target(options->context);
	wanted = wanted < durable ? wanted : durable;
	bool good = true, moved = false;
	if (options->memory && held > most) {
		/* Half of them, so that it is not begun again at once. */
		good = runs_make(filer, durable, held - most / 2, &error);
		moved = true;
	}
	if (good && wanted > runs_manifest(filer->store)->below) {
		good = runs_make(filer, wanted, UINT64_MAX, &error);
		moved = true;
	}
	told(filer, good, &error);
	forget(filer);
	if (hand_over(filer) && moved) {
		change_all(filer, NULL, filer->handed->shown.below);
		log_line(LOG_LEVEL_INFO, "ids", "%llu are in %u runs, %.2f bytes of memory each; %llu are in memory, from LSN %llu on",
			 (unsigned long long)filer->handed->shown.entries, filer->handed->count,
			 filer->handed->shown.entries ? (double)filer->handed->shown.bytes / (double)filer->handed->shown.entries : 0.0,
			 (unsigned long long)ids_held(filer), (unsigned long long)filer->handed->shown.below);
	}
	error.len = 0;
	if (good && runs_due(filer->store)) {
		told(filer, merge_all(filer, &error), &error);
		hand_over(filer);
	}
	buf_free(&error);
}

static void *mover_main(void *context)
{
	struct filer *filer = context;
	pthread_mutex_lock(&filer->mutex);
	while (!filer->stop) {
		struct timespec until;
		pthread_mutex_unlock(&filer->mutex);
		look(filer);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOOK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_mutex_lock(&filer->mutex);
		if (!filer->stop)
			pthread_cond_timedwait(&filer->changed, &filer->mutex, &until);
	}
	pthread_mutex_unlock(&filer->mutex);
	return NULL;
}

/* ---- looking up ------------------------------------------------------------------------------------------------------- */

static void *reader_main(void *context)
{
	struct filer *filer = context;
	struct buf error = { 0 };
	pthread_mutex_lock(&filer->mutex);
	for (;;) {
		while (!filer->queries && !filer->stop)
			pthread_cond_wait(&filer->asked, &filer->mutex);
		struct id_query *query = filer->queries;
		if (!query)
			break;
		filer->queries = query->next;
		if (!filer->queries)
			filer->queries_end = &filer->queries;
		pthread_mutex_unlock(&filer->mutex);
		struct runs *runs = runs_hold(filer->store);
		error.len = 0;
		if (!runs_find(runs, query, &error))
			log_line(LOG_LEVEL_ERROR, "ids", "cannot be looked up: %.*s", (int)error.len, error.ptr);
		runs_release(runs);
		metric_add(METRIC_ID_LOOKUPS, query->count);
		filer->options.post(filer->options.context, query->answer->shard, query->answer);
		pthread_mutex_lock(&filer->mutex);
	}
	pthread_mutex_unlock(&filer->mutex);
	buf_free(&error);
	return NULL;
}

void filer_read(struct filer *filer, struct id_query *query)
{
	query->next = NULL;
	pthread_mutex_lock(&filer->mutex);
	*filer->queries_end = query;
	filer->queries_end = &query->next;
	pthread_cond_signal(&filer->asked);
	pthread_mutex_unlock(&filer->mutex);
}

bool filer_kept(struct filer *filer, uint64_t hash, uint64_t lsn, struct id_kept *kept)
{
	struct buf error = { 0 };
	struct runs *runs = runs_hold(filer->store);
	bool good = runs_kept(runs, hash, lsn, kept, &error);
	if (!good)
		log_line(LOG_LEVEL_ERROR, "ids", "cannot be looked up: %.*s", (int)error.len, error.ptr);
	runs_release(runs);
	buf_free(&error);
	return good;
}

/* ---- beginning and ending --------------------------------------------------------------------------------------------- */

void filer_start(struct filer *filer)
{
	filer->changes = mem_zalloc(filer->options.count * sizeof *filer->changes);
	filer->options.hold(filer->options.context, filer->handed->shown.below);
	shown(filer->handed);
	if (pthread_create(&filer->mover, NULL, mover_main, filer) || pthread_create(&filer->reader, NULL, reader_main, filer)) {
		/* Others run already, and nobody is connected yet. */
		fprintf(stderr, "tally: a thread cannot be started; stopping, nothing acknowledged is lost\n");
		_Exit(70);
	}
	filer->started = true;
}

void filer_stop(struct filer *filer)
{
	pthread_mutex_lock(&filer->mutex);
	filer->stop = true;
	atomic_store(&filer->stopping, true);
	pthread_cond_broadcast(&filer->changed);
	pthread_cond_broadcast(&filer->asked);
	pthread_mutex_unlock(&filer->mutex);
}

bool filer_busy(struct filer *filer)
{
	pthread_mutex_lock(&filer->mutex);
	bool busy = filer->changing;
	pthread_mutex_unlock(&filer->mutex);
	return busy;
}

void filer_close(struct filer *filer)
{
	if (!filer)
		return;
	if (filer->started) {
		pthread_join(filer->mover, NULL);
		pthread_join(filer->reader, NULL);
	}
	runs_release(filer->handed);
	runs_close(filer->store);
	pthread_mutex_destroy(&filer->mutex);
	pthread_cond_destroy(&filer->changed);
	pthread_cond_destroy(&filer->asked);
	mem_free(filer->changes);
	mem_free(filer);
}
