// SPDX-License-Identifier: Apache-2.0
/* The routes of snapshots: have one written, see which there are. */
#include "engine/base/mem.h"
#include "net/main/keeper.h"
#include "net/surface/app.h"
#include "snapshot/store.h"

static void on_written(void *context, const struct snapshot_outcome *outcome, struct str error)
{
	struct task *task = context;
	if (error.len) {
		task_problem(task, 500, "snapshot_failed", "the snapshot was not written: %.*s", (int)error.len, error.ptr);
		return;
	}
	buf_printf(&task->out, "{\"name\":\"%016llx\",\"from_lsn\":%llu,\"end_lsn\":%llu,\"bytes\":%llu,\"raw_bytes\":%llu,"
		   "\"pieces\":%u,\"seconds\":%.3f,\"longest_piece_seconds\":%.6f,\"unchanged\":%s}",
		   (unsigned long long)outcome->end, (unsigned long long)outcome->from, (unsigned long long)outcome->end,
		   (unsigned long long)outcome->size, (unsigned long long)outcome->raw_size, outcome->pieces,
		   (double)outcome->took_ns / 1e9, (double)outcome->longest_ns / 1e9, outcome->unchanged ? "true" : "false");
	task_json(task, outcome->unchanged ? 200 : 201);
}

static void snapshots_post(struct task *task)
{
	if (!task_parameters_known(task, ""))
		return;                /* above all no dry_run */
	if (!keeper_start(task->app->keeper, on_written, task))
		task_problem(task, 409, "snapshot_running", "a snapshot is being written already");
}

static void list_read(struct task *task)
{
	const char *dir = node_snapshot_dir(task->app->node);
	struct buf error = { 0 };
	uint64_t *ends;
	size_t count;
	task->status = snapshot_list(dir, &ends, &count, &error) ? 200 : 500;
	buf_char(&task->out, '[');
	for (size_t i = 0; i < count; i++) {
		struct snapshot_manifest manifest;
		error.len = 0;
		bool good = snapshot_manifest_read(dir, ends[i], &manifest, &error);
		buf_printf(&task->out, "%s{\"name\":\"%016llx\",\"from_lsn\":%llu,\"end_lsn\":%llu,\"time\":", i ? "," : "",
			   (unsigned long long)ends[i], (unsigned long long)manifest.from, (unsigned long long)ends[i]);
		catalog_time_json(&task->out, manifest.time_ms);
		buf_printf(&task->out, ",\"bytes\":%llu,\"raw_bytes\":%llu,\"broken\":", (unsigned long long)manifest.data_size,
			   (unsigned long long)manifest.raw_size);
		if (good)
			buf_lit(&task->out, "null");
		else
			buf_json_text(&task->out, buf_view(&error));
		buf_char(&task->out, '}');
		snapshot_manifest_free(&manifest);
	}
	buf_char(&task->out, ']');
	buf_free(&error);
	mem_free(ends);
}

static void list_answer(struct task *task)
{
	if (task->status == 200)
		task_json(task, 200);
	else
		task_problem(task, 500, "snapshots_unreadable", "the folder of snapshots cannot be read");
}

static void snapshots_get(struct task *task)
{
	task_read(task, list_read, list_answer);
}

const struct route snapshot_routes[] = {
	{ "POST", "/v1/snapshots", snapshots_post, "snapshots.create", "Write a snapshot; answered when it is durable", NULL,
	  .command = "snapshot.create" },
	{ "GET", "/v1/snapshots", snapshots_get, "snapshots.read", "The snapshots on disk, newest first", NULL,
	  .command = "snapshot.list" },
	{ .method = NULL },
};
