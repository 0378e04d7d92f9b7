// SPDX-License-Identifier: Apache-2.0
/* maker.c - the thread that keeps one whole zero-written segment ahead of the durable position.
 *
 * The only writer of `segments` and `zeroed` while the log is open.  A full disk is remembered, said once, and tried
 * again every second; any other failure ends the process.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "engine/base/assert.h"
#include "wal/wal_int.h"

enum { PACE_NAPS = 120 /* ms for a portion at most */, PACE_IDLE = 6 /* the same while the log rests */,
       PACE_LEAD = 16 /* ahead of the log by a sixteenth */ };

static bool is_full(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

static bool is_behind(const struct wal *wal)
{
	uint64_t end = wal_segment_end(wal, atomic_load(&wal->durable));
	return atomic_load(&wal->zeroed) < end + wal->options.segment_size;
}

static void made(struct wal *wal, uint64_t base)       /* lock is held */
{
	segments_add(&wal->segments, base, wal->options.segment_size);
	atomic_store(&wal->zeroed, base + wal->options.segment_size);
	atomic_fetch_add(&wal->made, 1);
}

bool wal_maker_once(struct wal *wal, struct buf *error)
{
	uint64_t base = atomic_load(&wal->zeroed);
	int failed = segment_make(wal->dir, base, wal->options.segment_size, NULL, NULL);
	if (failed) {
		char name[SEGMENT_NAME];
		segment_name(name, base, "log");
		buf_printf(error, "the log's file %s of %" PRIu64 " bytes cannot be made: %s", name,
			   wal->options.segment_size, strerror(failed));
		return false;
	}
	pthread_mutex_lock(&wal->lock);
	made(wal, base);
	pthread_mutex_unlock(&wal->lock);
	return true;
}

static void full_said(struct wal *wal, bool full, int error)
{
	if (atomic_exchange(&wal->disk_full, full) == full)
		return;
	if (full)
		wal_say(wal, "error", "no room for the log's next segment of %" PRIu64 " bytes: %s; writes are refused once the"
			" present one is full, tried again every second", wal->options.segment_size, strerror(error));
	else
		wal_say(wal, "notice", "there is room for the log's next segment again");
}

/* The next segment is needed when the present one is full, so its zeros are written as the log fills, a portion at a time and
 * evenly: the log's own writes wait for what the disk has been given at once.  It is early by a sixteenth, which it gains little
 * by little.  A slow log does not hold it up for ever, and one that rests is in nobody's way. */
static bool pace(void *context, uint64_t done, uint64_t size)
{
	const struct wal *wal = context;
	uint64_t began = atomic_load(&wal->durable), durable = began;
	for (int naps = 0; naps < (durable == began ? PACE_IDLE : PACE_NAPS) && !atomic_load(&wal->stop); naps++) {
		durable = atomic_load(&wal->durable);
		uint64_t left = wal_segment_end(wal, durable) - durable;
		uint64_t filled = left < size ? size - left : 0, lead = filled < size / PACE_LEAD ? filled : size / PACE_LEAD;
		if (filled + lead >= done)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return !atomic_load(&wal->stop);
}

/* The next segment.  0, ECANCELED, or what says that the disk is full; anything else ends the process. */
static int make(struct wal *wal, segment_pace_fn *pace_fn)
{
	uint64_t base = atomic_load(&wal->zeroed);
	int failed = segment_make(wal->dir, base, wal->options.segment_size, pace_fn, wal);
	if (failed && failed != ECANCELED && !is_full(failed))
		wal_fatal(wal, "the log's next segment at LSN %" PRIu64 " cannot be made: %s", base, strerror(failed));
	if (failed != ECANCELED)
		full_said(wal, failed != 0, failed);
	if (failed)
		return failed;
	pthread_mutex_lock(&wal->lock);
	made(wal, base);
	pthread_mutex_unlock(&wal->lock);
	return 0;
}

bool wal_maker_step(struct wal *wal)
{
	ASSERT(wal->options.stepped);
	return is_behind(wal) && make(wal, NULL) == 0;
}

static void *maker_run(void *argument)
{
	struct wal *wal = argument;
	pthread_mutex_lock(&wal->lock);
	while (!atomic_load(&wal->stop)) {
		if (!is_behind(wal)) {
			pthread_cond_wait(&wal->wake, &wal->lock);
			continue;
		}
		pthread_mutex_unlock(&wal->lock);
		int failed = make(wal, pace);
		pthread_mutex_lock(&wal->lock);
		if (failed && !atomic_load(&wal->stop)) {
			struct timespec until;
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec++;
			while (!atomic_load(&wal->stop) && pthread_cond_timedwait(&wal->wake, &wal->lock, &until) == 0)
				;
		}
	}
	pthread_mutex_unlock(&wal->lock);
	return NULL;
}

void wal_maker_start(struct wal *wal)
{
	int failed = pthread_create(&wal->maker, NULL, maker_run, wal);
	if (failed)
		wal_fatal(wal, "the thread that makes the log's segments cannot be started: %s", strerror(failed));
	wal->maker_runs = true;
}

void wal_maker_wake(struct wal *wal)
{
	pthread_mutex_lock(&wal->lock);
	pthread_cond_signal(&wal->wake);
	pthread_mutex_unlock(&wal->lock);
}

void wal_maker_stop(struct wal *wal)
{
	if (!wal->maker_runs)
		return;
	atomic_store(&wal->stop, true);
	wal_maker_wake(wal);
	pthread_join(wal->maker, NULL);
	wal->maker_runs = false;
}
