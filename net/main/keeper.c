// SPDX-License-Identifier: Apache-2.0
#include "net/main/keeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/main/background.h"
#include "snapshot/writer.h"

enum { AGAIN_MS = 60 * 1000, PATIENCE_MS = 10 * 60 * 1000 };

struct keeper {
	struct node *node;
	struct keeper_options options;
	uv_async_t written;            /* from the writer's thread */
	pthread_t thread;              /* its own: one of the loop's pool could not be given a low priority and back */
	bool busy, threaded;
	bool late;                     /* where no core is ever idle: no longer waits for that */
	atomic_bool stop;
	keeper_done *done;
	void *context;
	uint64_t last_end;             /* of the newest one */
	uint64_t due_ns;               /* by the clock */
	uint64_t not_before_ns;        /* after a failure */
	/* the writer's */
	struct snapshot_source source;
	struct snapshot_order order;
	struct snapshot_writer *writer;
	uint64_t began_ns;
	bool good;
	struct snapshot_outcome outcome;
	struct buf error;
};

static void on_written(uv_async_t *written);

struct keeper *keeper_new(uv_loop_t *loop, struct node *node, const struct keeper_options *options)
{
	struct keeper *keeper = mem_zalloc(sizeof *keeper);
	uv_async_init(loop, &keeper->written, on_written);
	keeper->written.data = keeper;
	keeper->node = node;
	keeper->options = *options;
	keeper->last_end = node_snapshot_end(node);
	keeper->due_ns = uv_hrtime() + options->interval_ms * 1000000;
	atomic_init(&keeper->stop, false);
	return keeper;
}

void keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return;
	ASSERT(!keeper->busy);
	buf_free(&keeper->error);
	mem_free(keeper);
}

static void *writer_main(void *context)
{
	struct keeper *keeper = context;
	enum snapshot_next next;
	uint64_t nap_ns;
	if (keeper->late)
		background_small();
	else
		background_idle();
	while ((next = snapshot_step(keeper->writer, &nap_ns)) != SNAPSHOT_ENDS) {
		if (next == SNAPSHOT_WAITS)
			snapshot_await(keeper->writer);
		else
			nanosleep(&(struct timespec){ .tv_nsec = (long)nap_ns }, NULL);
		if (!keeper->late && uv_hrtime() - keeper->began_ns > PATIENCE_MS * UINT64_C(1000000))
			break;                         /* another thread goes on: this one may not raise itself again */
	}
	if (next == SNAPSHOT_ENDS) {
		keeper->good = snapshot_end(keeper->writer, &keeper->outcome);
		keeper->writer = NULL;
	}
	uv_async_send(&keeper->written);
	return NULL;
}

static void tell(struct keeper *keeper)
{
	const struct snapshot_outcome *outcome = &keeper->outcome;
	if (!keeper->good) {
		log_line(atomic_load(&keeper->stop) ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "snapshot", "not written: %.*s",
			 (int)keeper->error.len, keeper->error.ptr);
		metric_add_label(METRIC_SNAPSHOTS, METRIC_SNAPSHOT_FAILED, 1);
		return;
	}
	keeper->last_end = outcome->end;
	if (outcome->unchanged)
		return;
	log_line(LOG_LEVEL_INFO, "snapshot",
		 "%016llx written: %llu pieces, %llu bytes (%llu before compression) in %.2f s, longest wait for a piece %.2f ms",
		 (unsigned long long)outcome->end, (unsigned long long)outcome->pieces, (unsigned long long)outcome->size,
		 (unsigned long long)outcome->raw_size, (double)outcome->took_ns / 1e9, (double)outcome->longest_ns / 1e6);
	metric_add_label(METRIC_SNAPSHOTS, METRIC_SNAPSHOT_WRITTEN, 1);
	metric_set_ns(METRIC_SNAPSHOT_SECONDS, (int64_t)outcome->took_ns);
	metric_set_ns(METRIC_SNAPSHOT_PIECE_SECONDS, (int64_t)outcome->longest_ns);
	metric_set(METRIC_SNAPSHOT_BYTES, (int64_t)outcome->size);
	metric_set(METRIC_SNAPSHOT_LSN, (int64_t)outcome->from);
}

static void thread_start(struct keeper *keeper)
{
	int failed = pthread_create(&keeper->thread, NULL, writer_main, keeper);
	keeper->threaded = !failed;
	if (!failed)
		return;
	snapshot_end(keeper->writer, &keeper->outcome);
	keeper->writer = NULL;
	keeper->good = false;
	buf_printf(&keeper->error, "a thread cannot be started: %s", strerror(failed));
	uv_async_send(&keeper->written);
}

static void on_written(uv_async_t *written)
{
	struct keeper *keeper = written->data;
	keeper_done *done = keeper->done;
	if (keeper->threaded)
		pthread_join(keeper->thread, NULL);
	if (keeper->writer) {
		keeper->late = true;
		thread_start(keeper);
		return;
	}
	tell(keeper);
	keeper->busy = false;
	keeper->due_ns = uv_hrtime() + keeper->options.interval_ms * 1000000;
	keeper->not_before_ns = keeper->good ? 0 : uv_hrtime() + AGAIN_MS * UINT64_C(1000000);
	if (done)
		done(keeper->context, &keeper->outcome, buf_view(&keeper->error));
}

bool keeper_start(struct keeper *keeper, keeper_done *done, void *context)
{
	struct timespec now;
	if (keeper->busy)
		return false;
	keeper->busy = true;
	keeper->late = false;
	keeper->done = done;
	keeper->context = context;
	keeper->error.len = 0;
	keeper->began_ns = uv_hrtime();
	clock_gettime(CLOCK_REALTIME, &now);
	keeper->source = node_snapshot_source(keeper->node, &keeper->stop);
	keeper->order = (struct snapshot_order){ .dir = node_snapshot_dir(keeper->node), .rate = keeper->options.rate,
						 .keep = keeper->options.keep, .epoch = wal_epoch(node_wal(keeper->node)),
						 .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 };
	retain_plan(node_retain(keeper->node), &keeper->order.floor, &keeper->order.step);
	keeper->writer = snapshot_begin(&keeper->source, &keeper->order, &keeper->error);
	thread_start(keeper);
	return true;
}

void keeper_tick(struct keeper *keeper)
{
	const struct keeper_options *options = &keeper->options;
	uint64_t now = uv_hrtime(), behind = wal_durable(node_wal(keeper->node)) - keeper->last_end;
	if (keeper->busy || now < keeper->not_before_ns)
		return;
	if (options->log_bytes && behind >= options->log_bytes) {
		keeper_start(keeper, NULL, NULL);
	} else if (options->interval_ms && now >= keeper->due_ns) {
		/* What an idle log and a start write by themselves is not worth one. */
		keeper->due_ns = now + options->interval_ms * 1000000;
		if (behind >= WAL_BLOCK)
			keeper_start(keeper, NULL, NULL);
	}
}

void keeper_stop(struct keeper *keeper)
{
	atomic_store(&keeper->stop, true);
}

bool keeper_busy(const struct keeper *keeper)
{
	return keeper->busy;
}
