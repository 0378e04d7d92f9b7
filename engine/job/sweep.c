// SPDX-License-Identifier: Apache-2.0
#include "engine/job/sweep.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/event/record.h"
#include "engine/event/reward.h"
#include "engine/shard/shard.h"

static void scan_on(struct sweep *sweep);

static void rows_start(struct sweep *sweep, uint32_t count, void (*after)(struct batch *batch))
{
	struct batch *batch = &sweep->batch;
	batch->row_count = count;
	batch->context = sweep;
	batch->after = after;
	batch_start(batch, sweep->env);
}

/* How many rewards this row's record ends. */
static unsigned expired_by(const struct batch *batch, const struct row *row)
{
	const struct buf *frames = &batch->parts[row->record_part].frames;
	struct action_view view;
	bool good = action_view_read((const unsigned char *)frames->ptr + row->record_offset, frames->len - row->record_offset, &view);
	ASSERT(good);
	return view.head.effect_count;
}

/* Members with more than one record takes come again. */
static void on_batch(struct batch *batch)
{
	struct sweep *sweep = batch->context;
	uint32_t again = 0;
	for (uint32_t r = 0; r < batch->row_count; r++) {
		struct row *row = &batch->rows[r];
		if (row->result == ROW_REFUSED && row->problem->status != 409)
			problem_set(&sweep->problem, row->problem->status, row->problem->code, "%s", row->problem->detail);
		if (row->result != ROW_DONE)
			continue;
		unsigned count = expired_by(batch, row);
		sweep->expired += count;
		if (count == REWARDS_EXPIRED_MAX) {
			struct row next = { .kind = ROW_ACTION, .op = ACTION_OP_EXPIRE_REWARDS, .tenant = row->tenant,
					    .profile = row->profile };
			struct problem *problem = batch->rows[again].problem;
			batch->rows[again] = next;
			batch->rows[again].problem = problem;  /* freed with the batch */
			row_place(&batch->rows[again++]);
		}
	}
	if (!again || sweep->stop) {
		scan_on(sweep);
		return;
	}
	batch_reuse(batch);
	rows_start(sweep, again, on_batch);
}

static void on_scanned(struct scan *scan)
{
	struct sweep *sweep = scan->context;
	struct batch *batch = &sweep->batch;
	size_t at = 0;
	sweep->members += scan->count;
	if (sweep->dry_run)
		sweep->expired += scan->due;
	if (!scan->count || sweep->stop || sweep->dry_run) {
		scan_on(sweep);
		return;
	}
	if (sweep->batch_made)
		batch_reuse(batch);
	else
		batch_init(batch, sweep->env->shards);
	sweep->batch_made = true;
	if (scan->count > sweep->row_cap) {
		sweep->row_cap = scan->count * 2;
		mem_free(batch->rows);
		batch->rows = mem_alloc(sweep->row_cap * sizeof *batch->rows);
	}
	for (uint32_t r = 0; r < scan->count; r++) {
		struct scan_item item = scan_next(scan, &at);
		batch->rows[r] = (struct row){ .kind = ROW_ACTION, .op = ACTION_OP_EXPIRE_REWARDS, .tenant = item.tenant,
					       .profile = item.profile };
		row_place(&batch->rows[r]);
	}
	rows_start(sweep, scan->count, on_batch);
}

static void scan_on(struct sweep *sweep)
{
	if (sweep->stop || sweep->problem.status || sweep->scan.partition == PARTITION_COUNT)
		sweep->after(sweep);
	else
		scan_post(&sweep->scan, sweep->env);
}

void sweep_start(struct sweep *sweep, const struct env *env)
{
	sweep->env = env;
	sweep->scan.what = SCAN_REWARDS_DUE;
	sweep->scan.tenant = sweep->tenant;
	sweep->scan.selection.now_ms = env->now_ms(env->context);
	sweep->scan.context = sweep;
	sweep->scan.after = on_scanned;
	scan_on(sweep);
}

void sweep_free(struct sweep *sweep)
{
	if (sweep->batch_made)
		batch_free(&sweep->batch);
	mem_free(sweep->batch.rows);
	buf_free(&sweep->scan.found);
	problem_free(&sweep->problem);
}
