// SPDX-License-Identifier: Apache-2.0
#include "net/main/keeper.h"

#include <stdatomic.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "snapshot/writer.h"

enum { AGAIN_MS = 60 * 1000 };

struct keeper {
	uv_loop_t *loop;
	struct node *node;
	struct keeper_options options;
	uv_work_t work;
	bool busy;
	atomic_bool stop;
	keeper_done *done;
	void *context;
	uint64_t last_end;             /* of the newest one */
	uint64_t due_ns;               /* by the clock */
	uint64_t not_before_ns;        /* after a failure */
	/* the worker's */
	bool good;
	struct snapshot_outcome outcome;
	struct buf error;
};

struct keeper *keeper_new(uv_loop_t *loop, struct node *node, const struct keeper_options *options)
{
	struct keeper *keeper = mem_zalloc(sizeof *keeper);
	keeper->loop = loop;
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

static void work_run(uv_work_t *work)
{
	struct keeper *keeper = work->data;
	struct snapshot_source source = node_snapshot_source(keeper->node, &keeper->stop);
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct snapshot_order order = { .dir = node_snapshot_dir(keeper->node), .rate = keeper->options.rate,
					.keep = keeper->options.keep, .epoch = wal_epoch(node_wal(keeper->node)),
					.now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 };
	retain_plan(node_retain(keeper->node), &order.floor, &order.step);
	keeper->good = snapshot_write(&source, &order, &keeper->outcome, &keeper->error);
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

static void work_after(uv_work_t *work, int status)
{
	struct keeper *keeper = work->data;
	keeper_done *done = keeper->done;
	ASSERT(status == 0);
	tell(keeper);
	keeper->busy = false;
	keeper->due_ns = uv_hrtime() + keeper->options.interval_ms * 1000000;
	keeper->not_before_ns = keeper->good ? 0 : uv_hrtime() + AGAIN_MS * UINT64_C(1000000);
	if (done)
		done(keeper->context, &keeper->outcome, buf_view(&keeper->error));
}

bool keeper_start(struct keeper *keeper, keeper_done *done, void *context)
{
	if (keeper->busy)
		return false;
	keeper->busy = true;
	keeper->done = done;
	keeper->context = context;
	keeper->error.len = 0;
	keeper->work.data = keeper;
	int error = uv_queue_work(keeper->loop, &keeper->work, work_run, work_after);
	ASSERT(!error);
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
