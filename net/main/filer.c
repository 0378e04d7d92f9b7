// SPDX-License-Identifier: Apache-2.0
#include "net/main/filer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/mem.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"

enum { LOOK_MS = 200 };

struct filer {
	struct runs_store *store;
	struct mover *mover;           /* of the mover's thread, once it runs */
	struct mover_options node;     /* as they were given */
	pthread_t mover_thread, reader_thread;
	bool started;
	pthread_mutex_t mutex;
	pthread_cond_t changed, asked;
	/* guarded by the mutex */
	bool stop;
	bool stepping;                 /* a step is under way, or a change that the shards make */
	bool made;                     /* they have made it */
	struct id_query *queries, **queries_end;       /* oldest first */
};

/* ---- opening ---------------------------------------------------------------------------------------------------------- */

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
	filer->mover = mover_new(store, states, count);
	return filer;
}

uint64_t filer_below(const struct filer *filer)
{
	return mover_handed(filer->mover)->below;
}

/* ---- what the mover asks for ------------------------------------------------------------------------------------------ */

static void of_mover_post(void *context, unsigned shard, struct message *message)
{
	const struct filer *filer = context;
	filer->node.post(filer->node.context, shard, message);
}

static void of_mover_hold(void *context, uint64_t lsn)
{
	const struct filer *filer = context;
	filer->node.hold(filer->node.context, lsn);
}

static uint64_t of_mover_target(void *context)
{
	const struct filer *filer = context;
	return filer->node.target(filer->node.context);
}

static void of_mover_log(void *context, const char *level, const char *line)
{
	(void)context;
	log_line(*level == 'e' ? LOG_LEVEL_ERROR : *level == 'w' ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "ids", "%s", line);
}

/* On a shard's thread. */
static void of_mover_all_made(void *context)
{
	struct filer *filer = context;
	pthread_mutex_lock(&filer->mutex);
	filer->made = true;
	pthread_cond_broadcast(&filer->changed);
	pthread_mutex_unlock(&filer->mutex);
}

bool filer_settle(struct filer *filer, const struct mover_options *options, struct buf *error)
{
	struct mover_options own = *options;
	filer->node = *options;
	own.post = of_mover_post;
	own.hold = of_mover_hold;
	own.target = of_mover_target;
	own.log = of_mover_log;
	own.all_made = of_mover_all_made;
	own.context = filer;
	return mover_settle(filer->mover, &own, error);
}

/* ---- moving ----------------------------------------------------------------------------------------------------------- */

static void shown(const struct id_runs *runs)
{
	metric_set(METRIC_IDS_FILED, (int64_t)runs->entries);
	metric_set(METRIC_ID_RUNS, runs->count);
	metric_set(METRIC_IDS_FILED_LSN, (int64_t)runs->below);
}

static void rest(struct filer *filer)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOOK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&filer->changed, &filer->mutex, &until);
}

static void *mover_main(void *context)
{
	struct filer *filer = context;
	pthread_mutex_lock(&filer->mutex);
	while (!filer->stop) {
		filer->stepping = true;
		filer->made = false;
		pthread_mutex_unlock(&filer->mutex);
		enum mover_next next = mover_step(filer->mover);
		shown(mover_handed(filer->mover));
		pthread_mutex_lock(&filer->mutex);
		while (next == MOVER_WAITS && !filer->made)
			pthread_cond_wait(&filer->changed, &filer->mutex);
		filer->stepping = false;
		if (next == MOVER_RESTS && !filer->stop)
			rest(filer);
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
		filer->node.post(filer->node.context, query->answer->shard, query->answer);
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
	mover_start(filer->mover);
	shown(mover_handed(filer->mover));
	if (pthread_create(&filer->mover_thread, NULL, mover_main, filer) ||
	    pthread_create(&filer->reader_thread, NULL, reader_main, filer)) {
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
	pthread_cond_broadcast(&filer->changed);
	pthread_cond_broadcast(&filer->asked);
	pthread_mutex_unlock(&filer->mutex);
}

bool filer_busy(struct filer *filer)
{
	pthread_mutex_lock(&filer->mutex);
	bool busy = filer->stepping;
	pthread_mutex_unlock(&filer->mutex);
	return busy;
}

void filer_close(struct filer *filer)
{
	if (!filer)
		return;
	if (filer->started) {
		pthread_join(filer->mover_thread, NULL);
		pthread_join(filer->reader_thread, NULL);
	}
	mover_free(filer->mover);
	runs_close(filer->store);
	pthread_mutex_destroy(&filer->mutex);
	pthread_cond_destroy(&filer->changed);
	pthread_cond_destroy(&filer->asked);
	mem_free(filer);
}
