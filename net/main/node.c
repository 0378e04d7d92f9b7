// SPDX-License-Identifier: Apache-2.0
#include "net/main/node.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/catalog/view.h"
#include "engine/shard/ledger.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/main/filer.h"
#include "net/main/replay.h"
#include "net/main/seed.h"
#include "net/main/tail.h"
#include "net/main/warm.h"
#include "snapshot/backup.h"
#include "snapshot/loader.h"

enum { STEP_BUDGET = 256, IDLE_MARK_MS = 50, HAND_OVER_BYTES = 64 * 1024 };

/* A thread that sleeps when its step has nothing to do. */
struct host {
	struct node *node;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	atomic_bool sleeping;
	unsigned index;
};

struct node {
	struct env env;
	struct wal *wal;
	struct catalog catalog;
	struct shard *shards;
	uint64_t recovered_lsn;        /* durable when the node was opened */
	unsigned shard_count;
	int64_t clock_ahead_ms;
	enum node_placement placement;
	struct host hosts[SHARDS_MAX], log_host;
	atomic_bool stopping;
	atomic_bool log_handed;        /* together: the log's thread does the log's steps at present */
	_Atomic(struct message *) done;        /* newest first; from the shards */
	struct message *waiting, **waiting_end;        /* oldest first; loop's own */
	atomic_llong last_time;
	void (*wake)(void *context);
	void *context;
	int lock_fd;
	uint64_t writes_seen;
	struct ledger_request expiry;  /* the loop's own */
	bool expiring;
	char *snapshot_dir;            /* owned */
	struct footers *footers;
	struct retain *retain;
	struct tail *tail;
	uint64_t snapshot_end;
	struct filer *filer;
};

/* ---- the world of the shards ------------------------------------------------------------------------------------------ */

static int64_t env_now_ms(void *context)
{
	struct node *node = context;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	long long wall = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 + node->clock_ahead_ms;
	long long last = atomic_load_explicit(&node->last_time, memory_order_relaxed);
	while (wall > last)
		if (atomic_compare_exchange_weak(&node->last_time, &last, wall))
			return wall;
	if (last - wall > 10000)
		metric_set_ns(METRIC_CLOCK_BEHIND_SECONDS, (last - wall) * 1000000);
	return last;
}

static enum env_room env_credit(void *context, unsigned shard, uint32_t bound)
{
	struct node *node = context;
	static_assert((int)ENV_ROOM == (int)WAL_ROOM && (int)ENV_WAIT == (int)WAL_RING_FULL &&
			      (int)ENV_DISK_FULL == (int)WAL_DISK_FULL, "the same answers");
	return (enum env_room)wal_credit(wal_producer_at(node->wal, shard), bound);
}

static void env_credit_drop(void *context, unsigned shard)
{
	struct node *node = context;
	wal_credit_drop(wal_producer_at(node->wal, shard));
}

static uint64_t env_begin(void *context, unsigned shard, uint32_t size, unsigned char **body)
{
	struct node *node = context;
	return wal_append_begin(wal_producer_at(node->wal, shard), size, body);
}

static uint64_t env_head(void *context)
{
	struct node *node = context;
	return wal_appended(node->wal);
}

static void host_wake(struct host *host)
{
	if (!atomic_load(&host->sleeping))
		return;
	pthread_mutex_lock(&host->mutex);
	atomic_store(&host->sleeping, false);
	pthread_cond_signal(&host->cond);
	pthread_mutex_unlock(&host->mutex);
}

static uint64_t env_publish(void *context, unsigned shard, int64_t time_ms, uint64_t body_hash)
{
	struct node *node = context;
	uint64_t end = wal_append_publish(wal_producer_at(node->wal, shard), time_ms, body_hash);
	if (node->placement == NODE_APART)
		host_wake(&node->log_host);
	return end;
}

void node_post(struct node *node, unsigned shard, struct message *message)
{
	ASSERT(shard < node->shard_count);
	shard_post(&node->shards[shard], message);
	if (node->placement == NODE_APART)
		host_wake(&node->hosts[shard]);
}

static void env_post(void *context, unsigned shard, struct message *message)
{
	node_post(context, shard, message);
}

static void env_wake(void *context, unsigned shard)
{
	struct node *node = context;
	if (node->placement == NODE_APART)
		host_wake(&node->hosts[shard]);
}

static void env_done(void *context, struct message *message)
{
	struct node *node = context;
	uint64_t wait_lsn = message->wait_lsn;         /* once pushed it belongs to the loop */
	messages_push(&node->done, message);
	/* Not durable yet: the log's thread will wake the loop. */
	if (node->placement == NODE_APART && wait_lsn <= wal_durable(node->wal))
		node->wake(node->context);
}

/* ---- steps on their threads ------------------------------------------------------------------------------------------- */

static void wal_observe(struct node *node)
{
	struct wal_stats stats;
	wal_stats(node->wal, &stats);
	if (stats.writes == node->writes_seen)
		return;
	node->writes_seen = stats.writes;
	metric_observe_ns(METRIC_WAL_WRITE_SECONDS, stats.last_write_ns);
	metric_observe(METRIC_WAL_COMMIT_BYTES, stats.last_write_bytes);
	metric_add(METRIC_WAL_BYTES, (int64_t)stats.last_write_bytes);
	metric_set(METRIC_WAL_DURABLE_LSN, (int64_t)wal_durable(node->wal));
}

/* Sleeps up to `ms` unless `busy` says there is work after all; whoever makes work calls host_wake afterwards. */
static void host_sleep(struct host *host, bool (*busy)(struct host *host), long ms)
{
	struct timespec until;
	atomic_store(&host->sleeping, true);
	pthread_mutex_lock(&host->mutex);
	if (!busy(host)) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += ms * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		while (atomic_load(&host->sleeping))
			if (pthread_cond_timedwait(&host->cond, &host->mutex, &until))
				break;
	}
	atomic_store(&host->sleeping, false);
	pthread_mutex_unlock(&host->mutex);
}

static bool shard_host_busy(struct host *host)
{
	return shard_busy(&host->node->shards[host->index]) || atomic_load(&host->node->stopping);
}

static bool log_busy(struct host *host)
{
	struct node *node = host->node;
	return wal_appended(node->wal) != wal_durable(node->wal) || atomic_load(&node->stopping);
}

static void *shard_main(void *context)
{
	struct host *host = context;
	struct node *node = host->node;
	struct shard *shard = &node->shards[host->index];
	while (!atomic_load(&node->stopping)) {
		bool stalled;
		metric_observe(METRIC_SHARD_MAILBOX_DEPTH, atomic_load_explicit(&shard->depth, memory_order_relaxed));
		bool more = shard_step(shard, STEP_BUDGET, &stalled);
		if (stalled)
			nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
		else if (!more)
			host_sleep(host, shard_host_busy, 1000);
	}
	return NULL;
}

static void *log_main(void *context)
{
	struct host *host = context;
	struct node *node = host->node;
	bool idle = false;
	while (!atomic_load(&node->stopping)) {
		if (wal_step(node->wal, idle)) {
			wal_observe(node);
			node->wake(node->context);
			idle = false;
			continue;
		}
		uint64_t before = wal_appended(node->wal);
		host_sleep(host, log_busy, IDLE_MARK_MS);
		idle = wal_appended(node->wal) == before;
	}
	return NULL;
}

static bool log_handed_busy(struct host *host)
{
	return atomic_load(&host->node->log_handed) || atomic_load(&host->node->stopping);
}

/* Together: the loop's thread writes a little itself, which is faster than handing it over; more than that is written here,
 * while the loop goes on to receive and decide. */
static void *log_help_main(void *context)
{
	struct host *host = context;
	struct node *node = host->node;
	while (!atomic_load(&node->stopping)) {
		if (!atomic_load(&node->log_handed)) {
			host_sleep(host, log_handed_busy, 1000);
			continue;
		}
		while (wal_step(node->wal, false)) {
			wal_observe(node);
			node->wake(node->context);
		}
		atomic_store(&node->log_handed, false);
		node->wake(node->context);     /* what came in between is the loop's again */
	}
	return NULL;
}

bool node_turn(struct node *node, bool idle)
{
	bool more = false, stalled = false;
	ASSERT(node->placement == NODE_TOGETHER);
	for (unsigned s = 0; s < node->shard_count; s++) {
		struct shard *shard = &node->shards[s];
		unsigned depth = atomic_load_explicit(&shard->depth, memory_order_relaxed);
		if (depth)
			metric_observe(METRIC_SHARD_MAILBOX_DEPTH, depth);
		more |= shard_step(shard, STEP_BUDGET, &stalled);
	}
	if (atomic_load(&node->log_handed))
		return more;                   /* the log's thread writes, and wakes the loop */
	if (wal_appended(node->wal) - wal_durable(node->wal) >= HAND_OVER_BYTES) {
		atomic_store(&node->log_handed, true);
		host_wake(&node->log_host);
		return more;
	}
	if (wal_step(node->wal, idle && !more))
		wal_observe(node);
	return more || wal_appended(node->wal) != wal_durable(node->wal);
}

static void done_collect(struct node *node)
{
	struct message *last, *oldest = messages_take(&node->done, &last);
	if (!oldest)
		return;
	*node->waiting_end = oldest;
	node->waiting_end = &last->next;
}

struct message *node_take(struct node *node)
{
	uint64_t durable = wal_durable(node->wal);
	done_collect(node);
	for (struct message **at = &node->waiting; *at; at = &(*at)->next) {
		struct message *message = *at;
		if (message->wait_lsn > durable)
			continue;
		*at = message->next;
		if (node->waiting_end == &message->next)
			node->waiting_end = at;
		return message;
	}
	return NULL;
}

static void on_expired(struct ledger_request *request)
{
	struct node *node = request->context;
	node->expiring = false;
}

void node_tick(struct node *node)
{
	if (node->expiring || !ledger_expiry_due(node->shards, node->shard_count, env_now_ms(node)))
		return;
	node->expiring = true;
	ledger_request_reuse(&node->expiry);
	node->expiry.verb = LEDGER_EXPIRE;
	node->expiry.context = node;
	node->expiry.after = on_expired;
	ledger_start(&node->expiry, &node->env);
}

bool node_busy(const struct node *node)
{
	return node->expiring || filer_busy(node->filer);
}

/* ---- opening and closing ---------------------------------------------------------------------------------------------- */

static void on_wal_log(void *context, const char *level, const char *message)
{
	enum log_level parsed = LOG_LEVEL_INFO;
	(void)context;
	if (!strcmp(level, "warning"))
		parsed = LOG_LEVEL_WARN;
	else
		log_level_parse(level, &parsed);
	log_line(parsed, "log", "%s", message);
}

static void on_wal_fatal(void *context, const char *message)
{
	(void)context;
	/* The kernel may have dropped what it could not write (law L7): nothing can be promised any more. */
	log_line(LOG_LEVEL_ERROR, "log_failed", "%s; stopping, nothing acknowledged is lost", message);
	_exit(74);
}

/* Makes the directory's entries durable: without this what was made in it may be gone after a power cut.  0 or an errno. */
static int directory_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed = fd < 0 ? errno : 0;
	while (!failed && fsync(fd))
		failed = errno == EINTR ? 0 : errno;
	if (fd >= 0)
		close(fd);
	return failed;
}

/* A directory of ours, with its entry above it durable: also one that is there, as a start that made it may have been
 * killed right behind that. */
static bool directory_make(const char *path, const char *above, struct buf *error)
{
	bool made = !mkdir(path, 0700);
	if (!made && errno != EEXIST) {
		buf_printf(error, "cannot make the directory %s: %s", path, strerror(errno));
		return false;
	}
	int failed = directory_sync(above);
	if (failed == EACCES && !made)
		return true;                           /* not ours to open: whoever made it for us has seen to it */
	if (failed)
		buf_printf(error, "cannot make the directory %s durable: %s", above, strerror(failed));
	return !failed;
}

/* Says whose the lock is; only a second server's message rests on it.  In place and always of one length: needs no room on
 * a disk that is full, which must not keep a server from starting and being read. */
static bool owner_write(int fd)
{
	char owner[32];
	size_t len = (size_t)snprintf(owner, sizeof owner, "%-10ld\n", (long)getpid());
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, owner + done, len - done, (off_t)done);
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) {
			log_line(LOG_LEVEL_WARN, "lock", "the lock cannot say whose it is: %s", strerror(errno));
			return true;
		}
		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

int node_lock(const char *data, struct buf *error)
{
	char path[4096], owner[32] = "";
	int fd;
	snprintf(path, sizeof path, "%s/..", data);
	if (!directory_make(data, path, error))
		return -1;
	snprintf(path, sizeof path, "%s/lock", data);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		buf_printf(error, "cannot open %s: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ssize_t len = pread(fd, owner, sizeof owner - 1, 0);
		buf_printf(error, "the data directory %s is in use by process %.*s", data,
			   len > 0 ? (int)strcspn(owner, " \n") : 1, len > 0 ? owner : "?");
		close(fd);
		return -1;
	}
	if (!owner_write(fd)) {
		buf_printf(error, "cannot write %s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* A backup is left as it is, and what a restore did not finish is not begun with. */
static bool is_data(const char *data, struct buf *error)
{
	static const char *const others[][2] = {
		{ BACKUP_MANIFEST, "holds a backup: tally restore makes a data directory of it" },
		{ BACKUP_UNFINISHED, "holds a backup that is not finished" },
		{ RESTORE_UNFINISHED, "is being restored, or that was interrupted: tally restore into it once more" },
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		char path[4096];
		snprintf(path, sizeof path, "%s/%s", data, others[i][0]);
		if (access(path, F_OK) == 0) {
			buf_printf(error, "%s %s", data, others[i][1]);
			return false;
		}
	}
	return true;
}

static void views_build(struct node *node)
{
	for (size_t t = 0; t < node->catalog.tenant_count; t++) {
		struct str name = node->catalog.tenants[t]->name;
		struct catalog_view *view = catalog_view_build(&node->catalog, name);
		for (unsigned s = 0; s < node->shard_count; s++)
			state_tenant(&node->shards[s].state, name)->view = view_ref(view);
		view_unref(view);
	}
}

/* Others run already, and nobody is connected yet. */
_Noreturn static void thread_missing(const char *why)
{
	fprintf(stderr, "tally: a thread cannot be started: %s; stopping, nothing acknowledged is lost\n", why);
	_exit(70);
}

static void host_start(struct host *host, struct node *node, unsigned index, void *(*main)(void *))
{
	host->node = node;
	host->index = index;
	pthread_mutex_init(&host->mutex, NULL);
	pthread_cond_init(&host->cond, NULL);
	int error = pthread_create(&host->thread, NULL, main, host);
	if (error)
		thread_missing(strerror(error));
}

static void host_join(struct host *host)
{
	pthread_mutex_lock(&host->mutex);
	atomic_store(&host->sleeping, false);
	pthread_cond_signal(&host->cond);
	pthread_mutex_unlock(&host->mutex);
	pthread_join(host->thread, NULL);
	pthread_mutex_destroy(&host->mutex);
	pthread_cond_destroy(&host->cond);
}

/* What has no threads any more, and no log. */
static void node_free(struct node *node)
{
	for (unsigned s = 0; s < node->shard_count; s++)
		shard_deinit(&node->shards[s]);
	filer_close(node->filer);
	mem_free(node->shards);
	ledger_request_free(&node->expiry);
	catalog_free(&node->catalog);
	close(node->lock_fd);
	mem_free(node->snapshot_dir);
	mem_free(node);
}

static void ids_hold(void *context, uint64_t lsn)
{
	retain_hold(((struct node *)context)->retain, HOLD_ID_RUNS, lsn);
}

static uint64_t ids_target(void *context)
{
	uint64_t target, step;
	retain_plan(((struct node *)context)->retain, &target, &step);
	return target;
}

static void env_ids_read(void *context, struct id_query *query)
{
	filer_read(((struct node *)context)->filer, query);
}

static void source_post(void *context, unsigned shard, struct message *message)
{
	struct node *node = context;
	node_post(node, shard, message);
	if (node->placement == NODE_TOGETHER)
		node->wake(node->context);     /* from another thread than the one that steps */
}

/* An archive in the data directory would take the log's own segments for their copies, and drop them. */
static bool archive_apart(const char *data, const char *archive, struct buf *error)
{
	char ours[PATH_MAX], theirs[PATH_MAX];
	bool known = realpath(data, ours) != NULL, there = realpath(archive, theirs) != NULL;
	if (!there) {                          /* it will be made; the folder that it will be in is there, or it cannot be */
		char above[PATH_MAX];
		snprintf(above, sizeof above, "%s", archive);
		there = realpath(dirname(above), theirs) != NULL;
	}
	size_t len = known ? strlen(ours) : 0;
	bool within = known && there && !strncmp(ours, theirs, len) && (!theirs[len] || theirs[len] == '/');
	if (within)
		buf_printf(error, "--archive %s: it is in the data directory %s; expected a folder elsewhere", archive, data);
	return !within;
}

/* What reads the log behind the shards; the tail begins when they run. */
static bool tail_open(struct node *node, const struct node_options *options, struct state *const *states, struct buf *error)
{
	char dir[4096];
	snprintf(dir, sizeof dir, "%s/footers", options->data);
	if (options->archive && !archive_apart(options->data, options->archive, error))
		return false;
	node->footers = footers_open(dir, node->wal, states, node->shard_count);
	struct retain_options retain = { .age_ms = options->retain_ms, .bytes = options->retain_bytes, .archive = options->archive,
					 .data = options->data, .snapshots = node->snapshot_dir };
	node->retain = retain_new(&retain, node->wal, node->footers, error);
	return node->retain != NULL;
}

struct node *node_open(const struct node_options *options, struct buf *error)
{
	struct node *node = mem_zalloc(sizeof *node);
	struct state *states[SHARDS_MAX];
	char log_dir[4096];
	uint64_t broken, records = 0;
	node->shard_count = options->shards;
	node->clock_ahead_ms = options->clock_ahead_ms;
	node->placement = options->placement;
	node->wake = options->wake;
	node->context = options->context;
	node->waiting_end = &node->waiting;
	node->env = (struct env){ .context = node, .now_ms = env_now_ms, .log_credit = env_credit,
				  .log_credit_drop = env_credit_drop, .log_begin = env_begin, .log_publish = env_publish,
				  .log_head = env_head, .post = env_post, .wake = env_wake, .done = env_done, .shards = options->shards,
				  .ids_read = env_ids_read };
	node->lock_fd = node_lock(options->data, error);
	if (node->lock_fd < 0) {
		mem_free(node);
		return NULL;
	}
	if (!is_data(options->data, error) || !seed_load(options->data, true, error)) {
		close(node->lock_fd);
		mem_free(node);
		return NULL;
	}
	snprintf(log_dir, sizeof log_dir, "%s/log", options->data);
	if (!directory_make(log_dir, options->data, error)) {
		close(node->lock_fd);
		mem_free(node);
		return NULL;
	}
	snprintf(log_dir, sizeof log_dir, "%s/footers", options->data);
	if (!directory_make(log_dir, options->data, error)) {
		close(node->lock_fd);
		mem_free(node);
		return NULL;
	}
	snprintf(log_dir, sizeof log_dir, "%s/log", options->data);
	struct buf dir = { 0 };
	buf_printf(&dir, "%s/snapshots%c", options->data, 0);
	node->snapshot_dir = dir.ptr;
	node->shards = mem_zalloc(node->shard_count * sizeof *node->shards);
	for (unsigned s = 0; s < node->shard_count; s++) {
		shard_init(&node->shards[s], s, node->shard_count, &node->env, &node->catalog);
		node->shards[s].memory_limit = options->memory / node->shard_count;
		states[s] = &node->shards[s].state;
	}
	shards_connect(node->shards, node->shard_count);
	node->filer = filer_open(options->data, states, node->shard_count, error);
	if (!node->filer) {
		node_free(node);
		return NULL;
	}
	struct snapshot_load load = { .dir = node->snapshot_dir, .states = states, .count = node->shard_count,
				      .catalog = &node->catalog, .log = on_wal_log,
				      .progress = recovery_progress, .progress_context = options->recovery };
	uint64_t first;
	if (!wal_extent(log_dir, &first, &load.log_end))
		load.log_end = 1;              /* nothing is left to a log that is not there */
	struct warm *warm = warm_start(log_dir, node->snapshot_dir);
	recovery_phase(options->recovery, RECOVERY_SNAPSHOT);
	snapshot_load_begin(&load);
	warm_end(warm);
	recovery_phase(options->recovery, RECOVERY_LOG);
	if (load.loaded)
		log_line(LOG_LEVEL_INFO, "snapshot", "%016llx loaded: %llu MB in %.1f s; the log is replayed from LSN %llu",
			 (unsigned long long)load.end, (unsigned long long)load.raw_size / 1000000, (double)load.took_ns / 1e9,
			 (unsigned long long)load.from);
	node->snapshot_end = load.end;
	struct replay *replay = replay_new(states, node->shard_count, &node->catalog);
	uint64_t filed = filer_below(node->filer);
	struct wal_options wal = { .dir = log_dir, .segment_size = options->segment_size, .ring_size = options->ring_size,
				   .producers = node->shard_count, .direct = options->direct, .log = on_wal_log,
				   .fatal = on_wal_fatal, .known = load.known > filed ? load.known : filed, .progress = recovery_progress,
				   .progress_context = options->recovery };
	node->wal = wal_open(&wal, load.from, replay_frame, replay, error);
	bool good = replay_end(replay, &broken, &records);
	if (node->wal && !good)
		buf_printf(error, "the record at LSN %llu cannot be read although its checksum holds: written by a newer version?",
			   (unsigned long long)broken);
	recovery_phase(options->recovery, RECOVERY_ENDS);
	if (node->wal && good)
		good = snapshot_load_end(&load, error);
	/* Segments go only when their ids are in runs; so those move that are in segments to go. */
	const struct mover_options filer = { .hold = ids_hold, .target = ids_target, .memory = options->id_memory, .retention_ms = options->id_retention_ms, .wal = node->wal,
					     .shards = node->shards, .count = node->shard_count, .post = source_post,
					     .context = node };
	if (node->wal && good)
		good = filer_settle(node->filer, &filer, error) && tail_open(node, options, states, error);
	if (node->wal && !good) {
		footers_close(node->footers);
		wal_close(node->wal);
		node->wal = NULL;
	}
	if (!node->wal) {
		node_free(node);
		return NULL;
	}
	atomic_store(&node->last_time, wal_last_time(node->wal));
	node->env.log_frame_max = wal_frame_max(node->wal);
	for (unsigned s = 0; s < node->shard_count; s++)
		node->shards[s].appended_lsn = wal_durable(node->wal);
	node->recovered_lsn = wal_durable(node->wal);
	views_build(node);
	log_line(LOG_LEVEL_INFO, "recovered", "%llu records replayed, epoch %u, durable LSN %llu, %u shards",
		 (unsigned long long)records, wal_epoch(node->wal), (unsigned long long)wal_durable(node->wal),
		 node->shard_count);
	host_start(&node->log_host, node, 0, node->placement == NODE_APART ? log_main : log_help_main);
	if (node->placement == NODE_APART) {
		for (unsigned s = 0; s < node->shard_count; s++)
			host_start(&node->hosts[s], node, s, shard_main);
	}
	filer_start(node->filer);
	node->tail = tail_start(node->footers, node->retain, node->wal);
	if (!node->tail)
		thread_missing("no memory");
	return node;
}

void node_close(struct node *node)
{
	filer_stop(node->filer);
	while (filer_busy(node->filer)) {
		if (node->placement == NODE_TOGETHER)
			node_turn(node, false);
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	atomic_store(&node->stopping, true);
	if (node->placement == NODE_APART) {
		for (unsigned s = 0; s < node->shard_count; s++)
			host_join(&node->hosts[s]);
	}
	host_join(&node->log_host);
	tail_stop(node->tail);
	filer_close(node->filer);
	node->filer = NULL;
	retain_free(node->retain);
	footers_close(node->footers);
	wal_close(node->wal);
	node_free(node);
}

static uint64_t source_durable(void *context)
{
	const struct node *node = context;
	return wal_durable(node->wal);
}

struct snapshot_source node_snapshot_source(struct node *node, const atomic_bool *stop)
{
	return (struct snapshot_source){ .context = node, .shards = node->shard_count, .post = source_post, .head = env_head,
					 .durable = source_durable, .stop = stop };
}

const char *node_snapshot_dir(const struct node *node)
{
	return node->snapshot_dir;
}

uint64_t node_snapshot_end(const struct node *node)
{
	return node->snapshot_end;
}

struct footers *node_footers(struct node *node)
{
	return node->footers;
}

struct retain *node_retain(struct node *node)
{
	return node->retain;
}

const struct env *node_env(struct node *node)
{
	return &node->env;
}

struct filer *node_filer(struct node *node)
{
	return node->filer;
}

struct wal *node_wal(struct node *node)
{
	return node->wal;
}

uint64_t node_newest_hook(void *context)
{
	struct node *node = context;
	uint64_t newest = node->recovered_lsn;
	for (unsigned s = 0; s < node->shard_count; s++) {
		uint64_t lsn = atomic_load(&node->shards[s].hooked_lsn);
		newest = lsn > newest ? lsn : newest;
	}
	return newest;
}

unsigned node_shards(const struct node *node)
{
	return node->shard_count;
}

bool node_together(const struct node *node)
{
	return node->placement == NODE_TOGETHER;
}

uint64_t node_mailbox_depth(const struct node *node)
{
	uint64_t sum = 0;
	for (unsigned s = 0; s < node->shard_count; s++)
		sum += atomic_load_explicit(&node->shards[s].depth, memory_order_relaxed);
	return sum;
}
