// SPDX-License-Identifier: Apache-2.0
/* The routes of the process itself: is it alive, is it ready, what does it count. */
#include "net/loop/metrics.h"
#include "net/surface/app.h"

static void livez(struct task *task)
{
	buf_lit(&task->out, "ok\n");
	task_text(task, 200, "text/plain; charset=utf-8");
}

void system_recovering(struct task *task)
{
	struct str path = task->request->path;
	struct buf text = { 0 };
	unsigned seconds = recovery_text(task->app->recovery, &text);
	bool get = str_eq(task->request->method_text, STR("GET")) || str_eq(task->request->method_text, STR("HEAD"));
	if (get && str_eq(path, STR("/livez"))) {
		buf_free(&text);
		livez(task);
		return;
	}
	buf_printf(&task->headers, "Retry-After: %u\r\n", seconds);
	if (get && str_eq(path, STR("/readyz"))) {
		buf_printf(&task->out, "[-] recovery: %.*s\nnot ready\n", (int)text.len, text.ptr);
		buf_free(&text);
		task_text(task, 503, "text/plain; charset=utf-8");
		return;
	}
	task_problem(task, 503, "recovering", "the server is starting: %.*s", (int)text.len, text.ptr);
	buf_free(&text);
}

static void readyz(struct task *task)
{
	struct buf verbose = { 0 };
	bool found, ready = task->app->ready && !task->app->draining;
	struct wal *wal = node_wal(task->app->node);
	if (!task_parameter(task, "verbose", &verbose, &found))
		return;
	buf_free(&verbose);
	if (found) {
		buf_printf(&task->out, "[%c] recovery\n[%c] log durable %llu of %llu\n[%c] disk\n[%c] accepting\n",
			   task->app->ready ? '+' : '-', '+', (unsigned long long)wal_durable(wal),
			   (unsigned long long)wal_appended(wal), wal_disk_full(wal) ? '-' : '+',
			   task->app->draining ? '-' : '+');
	}
	buf_str(&task->out, ready ? STR("ready\n") : STR("not ready\n"));
	task_text(task, ready ? 200 : 503, "text/plain; charset=utf-8");
}

static void metrics_answer(struct task *task)
{
	uint64_t members = 0, ids = 0, memory = 0;
	for (unsigned s = 0; s < node_shards(task->app->node); s++) {
		members += task->gather->queries[s].members;
		ids += task->gather->queries[s].ids;
		memory += task->gather->queries[s].memory;
	}
	metric_set(METRIC_MEMBERS, (int64_t)members);
	metric_set(METRIC_IDS, (int64_t)ids);
	metric_set(METRIC_MEMORY_BYTES, (int64_t)memory);
	metric_set_ns(METRIC_UPTIME_SECONDS, (int64_t)(uv_hrtime() - task->app->started_ns));
	metrics_write(&task->out);
	task_text(task, 200, METRICS_CONTENT_TYPE);
}

static void metrics_get(struct task *task)
{
	task_gather(task, QUERY_STATS, metrics_answer);
}

const struct route system_routes[] = {
	{ "GET", "/livez", livez, "public", "The process runs", NULL, .command = "server.livez" },
	{ "GET", "/readyz", readyz, "public", "It answers; ?verbose lists why not", NULL,
	  .command = "server.readyz" },
	{ "GET", "/metrics", metrics_get, "metrics.read", "Counters and histograms, OpenMetrics", NULL,
	  .command = "server.metrics" },
	{ .method = NULL },
};
