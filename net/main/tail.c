// SPDX-License-Identifier: Apache-2.0
#include "net/main/tail.h"

#include <pthread.h>
#include <time.h>

#include "engine/base/mem.h"
#include "net/loop/metrics.h"
#include "net/main/background.h"

enum { LOOK_MS = 200, LOOKS_A_RETENTION = 5 };

struct tail {
	struct footers *footers;
	struct retain *retain;
	const struct wal *wal;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t stopped;
	atomic_bool stop;
};

static void tell(const struct tail *tail)
{
	uint64_t segments, bytes = wal_kept(tail->wal, &segments);
	int64_t time_ms;
	metric_set(METRIC_LOG_BYTES, (int64_t)bytes);
	metric_set(METRIC_LOG_SEGMENTS, (int64_t)segments);
	metric_set(METRIC_LOG_FIRST_LSN, (int64_t)wal_history(tail->wal, &time_ms));
	metric_set_ns(METRIC_LOG_FIRST_TIME, time_ms * 1000000);
	metric_set(METRIC_FOOTERS_LSN, (int64_t)footers_lsn(tail->footers));
}

static void pause_for(struct tail *tail)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += LOOK_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&tail->mutex);
	while (!atomic_load(&tail->stop))
		if (pthread_cond_timedwait(&tail->stopped, &tail->mutex, &until))
			break;
	pthread_mutex_unlock(&tail->mutex);
}

static void *tail_main(void *context)
{
	struct tail *tail = context;
	uint64_t footed = 0;
	background_small();
	for (unsigned look = 0; !atomic_load(&tail->stop); look++) {
		while (!atomic_load(&tail->stop) && footers_step(tail->footers, &tail->stop))
			if (footers_lsn(tail->footers) > footed) {
				footed = footers_lsn(tail->footers);
				metric_add_label(METRIC_SEGMENTS, METRIC_SEGMENT_FOOTED, 1);
			}
		if (look % LOOKS_A_RETENTION == 0)
			while (!atomic_load(&tail->stop) && retain_step(tail->retain, &tail->stop))
				;
		tell(tail);
		pause_for(tail);
	}
	return NULL;
}

struct tail *tail_start(struct footers *footers, struct retain *retain, const struct wal *wal)
{
	struct tail *tail = mem_zalloc(sizeof *tail);
	tail->footers = footers;
	tail->retain = retain;
	tail->wal = wal;
	pthread_mutex_init(&tail->mutex, NULL);
	pthread_cond_init(&tail->stopped, NULL);
	tell(tail);
	uint64_t target, step;
	retain_plan(retain, &target, &step);
	footers_give_way(footers, !step);      /* nothing is ever dropped: nobody waits */
	if (!pthread_create(&tail->thread, NULL, tail_main, tail))
		return tail;
	mem_free(tail);
	return NULL;
}

void tail_stop(struct tail *tail)
{
	if (!tail)
		return;
	pthread_mutex_lock(&tail->mutex);
	atomic_store(&tail->stop, true);
	pthread_cond_signal(&tail->stopped);
	pthread_mutex_unlock(&tail->mutex);
	pthread_join(tail->thread, NULL);
	pthread_mutex_destroy(&tail->mutex);
	pthread_cond_destroy(&tail->stopped);
	mem_free(tail);
}
