// SPDX-License-Identifier: Apache-2.0
/* `tally serve`: the composition root.  Opens the engine, listens, runs the loop until a signal, drains, closes. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/cron/cron.h"
#include "net/cli/commands.h"
#include "net/cli/version.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/loop/server.h"
#include "net/hook/courier.h"
#include "net/main/memory.h"
#include "net/main/node.h"
#include "net/main/pins.h"
#include "net/rpc/methods.h"
#include "net/rpc/rpc.h"
#include "net/surface/app.h"
#include "net/surface/jobs.h"
#include "net/surface/ledger_call.h"
#include "net/surface/reference.h"

enum { IDLE_AFTER_MS = 20, FILES_RESERVED = 64, TICK_MS = 100 };

struct serve {
	struct app app;
	uv_loop_t loop;
	uv_check_t turn;               /* after each poll: the steps, then the answers */
	uv_idle_t again;               /* keeps the loop from sleeping while there is work */
	uv_async_t wake;               /* shards or log have something for node_take */
	uv_timer_t idle, second, tick;
	uv_signal_t term, interrupt;
	uv_work_t first_work;          /* nothing; starts the pool of threads */
	uv_work_t start_work;          /* the recovery */
	struct node_options node;
	struct recovery recovery;
	struct buf error;              /* of the recovery */
	bool recovered;
	bool idle_due, closed;
};

static void answers_release(struct serve *serve)
{
	struct message *message;
	while ((message = node_take(serve->app.node)))
		app_message(&serve->app, message);
}

static void on_nothing(uv_idle_t *idle)
{
	(void)idle;
}

static void on_idle_timer(uv_timer_t *timer)
{
	struct serve *serve = timer->data;
	serve->idle_due = true;
}

/* One turn: everything that came in since the last one shares one durable write. */
static void serve_turn(struct serve *serve)
{
	if (node_together(serve->app.node)) {
		bool more = node_turn(serve->app.node, serve->idle_due);
		serve->idle_due = false;
		answers_release(serve);
		/* An answer may have started something new. */
		more |= node_mailbox_depth(serve->app.node) > 0;
		if (more) {
			uv_idle_start(&serve->again, on_nothing);
			uv_timer_start(&serve->idle, on_idle_timer, IDLE_AFTER_MS, 0);
		} else {
			uv_idle_stop(&serve->again);
		}
		if (serve->app.tasks)
			uv_timer_start(&serve->idle, on_idle_timer, IDLE_AFTER_MS, 0);
	} else {
		answers_release(serve);
	}
	server_flush(serve->app.server);
}

static void on_turn(uv_check_t *check)
{
	serve_turn(check->data);
}

static void on_wake(uv_async_t *async)
{
	(void)async;                   /* the turn behind this poll takes the messages */
}

static void node_wake(void *context)
{
	struct serve *serve = context;
	uv_async_send(&serve->wake);
}

static void on_second(uv_timer_t *timer)
{
	(void)timer;
	http_set_date((int64_t)time(NULL));
}

static void on_tick(uv_timer_t *timer)
{
	struct serve *serve = timer->data;
	if (!serve->app.draining) {
		node_tick(serve->app.node);
		keeper_tick(serve->app.keeper);
		jobs_tick(&serve->app);
		pins_tick(serve->app.pins);
	}
}

static void on_drained(void *context)
{
	struct serve *serve = context;
	serve->closed = true;
	uv_stop(&serve->loop);
}

static void on_rpc_request(void *context, struct rpc_request *request)
{
	rpc_dispatch(context, request);
}

static void on_rpc_ended(void *context, const struct rpc_request *request)
{
	rpc_ended(context, request);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct serve *serve = signal->data;
	if (serve->app.draining) {
		log_line(LOG_LEVEL_WARN, "abort", "second signal: closing what is still open");
		server_abort(serve->app.server);
		return;
	}
	log_line(LOG_LEVEL_INFO, "draining", "%s: no new connections, finishing %zu requests",
		 number == SIGTERM ? "SIGTERM" : "SIGINT", serve->app.tasks);
	serve->app.draining = true;
	keeper_stop(serve->app.keeper);
	jobs_stop(&serve->app);
	server_drain(serve->app.server, on_drained, serve);
}

/* Raises the limit of open files, or says how many connections fit. */
static size_t connections_bound(size_t wanted)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return wanted;
	if (limit.rlim_cur < wanted + FILES_RESERVED) {
		limit.rlim_cur = limit.rlim_max < wanted + FILES_RESERVED ? limit.rlim_max : wanted + FILES_RESERVED;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= wanted + FILES_RESERVED)
		return wanted;
	size_t fit = limit.rlim_cur > FILES_RESERVED * 2 ? (size_t)limit.rlim_cur - FILES_RESERVED : FILES_RESERVED;
	log_line(LOG_LEVEL_WARN, "connections", "only %zu connections: the limit of open files is %llu", fit,
		 (unsigned long long)limit.rlim_cur);
	return fit;
}

static bool ready_file_write(const char *path, const struct buf *lines)
{
	char temporary[4096];
	snprintf(temporary, sizeof temporary, "%s.tmp", path);
	FILE *file = fopen(temporary, "w");
	if (!file)
		return false;
	bool good = fwrite(lines->ptr, 1, lines->len, file) == lines->len;
	good &= fclose(file) == 0;
	return good && rename(temporary, path) == 0;
}

/* Listens on a list of addresses; each becomes a line of the ready file, "http 127.0.0.1:8000". */
static bool listen_list(struct serve *serve, enum server_protocol protocol, const struct listen_list *list,
			struct buf *lines)
{
	const char *name = protocol == SERVER_RPC ? "rpc" : "http";
	for (size_t i = 0; i < list->count; i++) {
		const struct listen_address *listen = &list->list[i];
		char address[300], flag[16], error[400];
		bool v6 = strchr(listen->host, ':');
		snprintf(address, sizeof address, v6 ? "[%s]:%u" : "%s:%u", listen->host, listen->port);
		snprintf(flag, sizeof flag, "--%s", name);
		int port = server_listen(serve->app.server, protocol, address, flag, error, sizeof error);
		if (port < 0) {
			fprintf(stderr, "tally serve: %s\n", error);
			return false;
		}
		log_line(LOG_LEVEL_INFO, "listening", v6 ? "%s://[%s]:%d" : "%s://%s:%d", name, listen->host, port);
		buf_printf(lines, v6 ? "%s [%s]:%d\n" : "%s %s:%d\n", name, listen->host, port);
	}
	return true;
}

/* RPC has no word for a server that starts: it listens when that is done. */
static bool listen_rest(struct serve *serve, const struct options *options, struct buf *lines)
{
	bool good = listen_list(serve, SERVER_RPC, &options->rpc, lines);
	if (good && options->ready_file && !ready_file_write(options->ready_file, lines)) {
		fprintf(stderr, "tally serve: cannot write %s: %s\n", options->ready_file, strerror(errno));
		good = false;
	}
	return good;
}

static void loop_init(struct serve *serve)
{
	uv_loop_t *loop = &serve->loop;
	uv_loop_init(loop);
	uv_check_init(loop, &serve->turn);
	uv_idle_init(loop, &serve->again);
	uv_async_init(loop, &serve->wake, on_wake);
	uv_timer_init(loop, &serve->idle);
	uv_timer_init(loop, &serve->second);
	uv_timer_init(loop, &serve->tick);
	uv_signal_init(loop, &serve->term);
	uv_signal_init(loop, &serve->interrupt);
	serve->turn.data = serve->tick.data = serve->idle.data = serve->term.data = serve->interrupt.data = serve;
}

static void on_walk(uv_handle_t *handle, void *argument)
{
	(void)argument;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* A library that cannot go on calls abort(), which says nothing. */
static void on_abort(int number)
{
	static const char line[] = "tally: aborted; nothing acknowledged is lost\n";
	(void)number;
	ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
	(void)written;                 /* the process ends when this returns */
}

static void on_no_work(uv_work_t *work)
{
	(void)work;
}

/* The threads that read the log are made by libuv with the first work, and it aborts where that fails: better now than in
 * the middle of a request. */
static void threads_start(struct serve *serve)
{
	int error = uv_queue_work(&serve->loop, &serve->first_work, on_no_work, NULL);
	ASSERT(!error);
}

static void start_run(uv_work_t *work)
{
	struct serve *serve = work->data;
	serve->app.node = node_open(&serve->node, &serve->error);
}

static void start_after(uv_work_t *work, int status)
{
	struct serve *serve = work->data;
	ASSERT(status == 0);
	serve->recovered = true;
}

/* Recovers on a thread of the pool, while the loop answers that it is not ready yet.  False after saying why not. */
static bool recover(struct serve *serve)
{
	serve->node.recovery = &serve->recovery;
	serve->app.recovery = &serve->recovery;
	recovery_phase(&serve->recovery, RECOVERY_BEGINS);
	serve->start_work.data = serve;
	int failed = uv_queue_work(&serve->loop, &serve->start_work, start_run, start_after);
	ASSERT(!failed);
	while (!serve->recovered)
		uv_run(&serve->loop, UV_RUN_ONCE);
	if (!serve->app.node)
		fprintf(stderr, "tally serve: %.*s\n", (int)serve->error.len, serve->error.ptr);
	buf_free(&serve->error);
	return serve->app.node != NULL;
}

/* Nothing was recovered: closes what was opened. */
static int give_up(struct serve *serve)
{
	serve->app.draining = true;
	server_drain(serve->app.server, on_drained, serve);
	if (!serve->closed)
		server_abort(serve->app.server);
	while (!serve->closed)
		uv_run(&serve->loop, UV_RUN_ONCE);
	uv_walk(&serve->loop, on_walk, NULL);
	uv_run(&serve->loop, UV_RUN_DEFAULT);
	server_free(serve->app.server);
	uv_loop_close(&serve->loop);
	mem_free(serve);
	return 2;
}

static uint64_t memory_default(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4 * 3;
}

/* The log is kept for events of which another system was not told yet. */
static void hold_for_hooks(void *node, uint64_t lsn)
{
	retain_hold(node_retain(node), HOLD_WEBHOOKS, lsn);
}

int cmd_serve(const struct options *options)
{
	struct serve *serve = mem_zalloc(sizeof *serve);
	struct buf error = { 0 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	/* One or two cores: everything on one thread.  More: half of them decide, the rest is for the loop and the log. */
	unsigned shards = options->shards ? (unsigned)options->shards : cores <= 2 ? 1 : (unsigned)cores / 2;
	/* Buffers of big batches come and go with every request: keep their pages instead of asking the kernel each time. */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, 512 * 1024 * 1024);
	/* Grow the heap in big steps, so that its growth can be advised to use huge pages before it is touched (mem.c). */
	mallopt(M_TOP_PAD, 64 * 1024 * 1024);
	/* libuv would abort without a word where it cannot go on without memory. */
	uv_replace_allocator(mem_alloc, mem_realloc, mem_calloc, mem_free);
	memory_ahead_start();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGABRT, on_abort);
	log_set_level(options->log_level);
	log_force_json(options->log_format == LOG_FORMAT_JSON);
	log_force_text(options->log_format == LOG_FORMAT_TEXT);
	metrics_set_version(VERSION);
	app_routes_check();
	reference_make();
	rpc_methods_init();
	cron_start();
	options_json(options, &error);
	log_line(LOG_LEVEL_INFO, "options", "%.*s", (int)error.len, error.ptr);
	buf_free(&error);
	if (options->database_url_unused)
		log_line(LOG_LEVEL_INFO, "database_url", "DATABASE_URL is set and not used: the data is in %s", options->data);
	if (options->tigerbeetle_address_unused)
		log_line(LOG_LEVEL_INFO, "tigerbeetle_address", "TIGERBEETLE_ADDRESS is set and not used: the ledger is in %s",
			 options->data);
	if (options->redis_url_unused)
		log_line(LOG_LEVEL_INFO, "redis_url", "REDIS_URL is set and not used: there is no cache beside the memory");
	loop_init(serve);
	threads_start(serve);
	serve->node = (struct node_options){ .data = options->data, .shards = shards > SHARDS_MAX ? SHARDS_MAX : shards,
				     .segment_size = (uint64_t)options->log_segment, .ring_size = (uint64_t)options->log_ring,
				     .direct = options->log_direct, .clock_ahead_ms = options->clock_ahead * 1000,
				     .memory = options->memory ? (uint64_t)options->memory : memory_default(),
				     .retain_ms = (uint64_t)options->retain_age * 1000,
				     .retain_bytes = (uint64_t)options->retain_bytes, .archive = options->archive,
				     .id_retention_ms = options->id_retention * 1000,
				     .placement = shards == 1 ? NODE_TOGETHER : NODE_APART, .wake = node_wake,
				     .context = serve };
	serve->app.loop = &serve->loop;
	serve->app.options = options;
	serve->app.started_ns = uv_hrtime();
	serve->node.id_memory = options->id_memory ? (uint64_t)options->id_memory : serve->node.memory / 4;
	struct server_options server = {
		.http = { .body_max = (uint64_t)options->body_max, .on_request = app_request, .context = &serve->app },
		.rpc = { .frame_max = (uint64_t)options->body_max, .on_request = on_rpc_request, .on_ended = on_rpc_ended,
			 .context = &serve->app },
		.connections_max = connections_bound((size_t)options->connections),
		.idle_ms = (uint64_t)options->idle_timeout * 1000,
	};
	serve->app.server = server_new(&serve->loop, &server);
	http_set_date((int64_t)time(NULL));
	uv_timer_start(&serve->second, on_second, 1000, 1000);
	struct buf lines = { 0 };
	if (!listen_list(serve, SERVER_HTTP, &options->http, &lines) || !recover(serve)) {
		buf_free(&lines);
		return give_up(serve);
	}
	struct keeper_options keeper = { .interval_ms = (uint64_t)options->snapshot_interval * 1000,
					 .log_bytes = (uint64_t)options->snapshot_log_bytes,
					 .rate = (uint64_t)options->snapshot_rate, .keep = (unsigned)options->snapshot_keep };
	jobs_start(&serve->app, options->scheduler);
	serve->app.keeper = keeper_new(&serve->loop, serve->app.node, &keeper);
	serve->app.pins = pins_new(&serve->loop, options->data);
	struct courier_options hooks = { .dir = options->data, .wal = node_wal(serve->app.node),
					 .message_url = options->message_url,
					 .attempts = (unsigned)options->webhook_attempts,
					 .timeout_s = (unsigned)options->webhook_timeout, .newest = node_newest_hook,
					 .hold = hold_for_hooks, .context = serve->app.node };
	struct courier *courier = courier_start(&hooks, &error);
	if (!courier) {
		fprintf(stderr, "tally serve: %.*s\n", (int)error.len, error.ptr);
		buf_free(&error);
		return 2;
	}
	uv_timer_start(&serve->tick, on_tick, TICK_MS, TICK_MS);
	uv_check_start(&serve->turn, on_turn);
	uv_signal_start(&serve->term, on_signal, SIGTERM);
	uv_signal_start(&serve->interrupt, on_signal, SIGINT);
	uv_timer_start(&serve->idle, on_idle_timer, IDLE_AFTER_MS, 0);
	serve->app.ready = true;
	bool good = listen_rest(serve, options, &lines);
	buf_free(&lines);
	if (!good) {
		serve->app.draining = true;
		server_drain(serve->app.server, on_drained, serve);
	}
	while (!serve->closed || serve->app.tasks || node_busy(serve->app.node) || keeper_busy(serve->app.keeper) ||
	       pins_busy(serve->app.pins) || jobs_busy(&serve->app))
		uv_run(&serve->loop, UV_RUN_ONCE);
	uv_walk(&serve->loop, on_walk, NULL);
	uv_run(&serve->loop, UV_RUN_DEFAULT);
	courier_stop(courier);
	server_free(serve->app.server);
	jobs_free(&serve->app);
	ledger_calls_end();
	rpc_events_end();
	keeper_free(serve->app.keeper);
	pins_free(serve->app.pins);
	node_close(serve->app.node);
	uv_loop_close(&serve->loop);
	if (good)
		log_line(LOG_LEVEL_INFO, "stopped", "everything is durable");
	mem_free(serve);
	return good ? 0 : 2;
}
