// SPDX-License-Identifier: Apache-2.0
/* metrics.c - the table of metrics and its text form.
 *
 * Each metric has one slot of atomics on cache lines of its own.  Seconds are kept as nanoseconds and become seconds
 * when they are written.
 *
 * Invariants: `table` is the only place that knows a metric's name, unit and help; the unit is the end of the name, as
 * OpenMetrics demands; bucket bounds rise.
 */
#include "net/loop/metrics.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/base/assert.h"

enum kind { COUNTER, GAUGE, HISTOGRAM, INFO };
enum { LABELS_MAX = 4, BUCKETS_MAX = 20 };

struct buckets {
	uint64_t bounds[BUCKETS_MAX];  /* upper, inclusive; the bucket above them all is not listed */
	size_t count;
};

struct metric_row {
	const char *name;
	enum kind kind;
	const char *unit;              /* "" for none; "seconds" are kept as ns */
	const struct buckets *buckets;
	const char *label;             /* NULL for none */
	const char *values[LABELS_MAX];
	const char *help;
};

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

static const struct buckets time_buckets = {
	{ 50 * US, 100 * US, 250 * US, 500 * US, 1 * MS, 2500 * US, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS,
	  500 * MS, 1 * S, 2500 * MS, 5 * S, 10 * S }, 17
};
static const struct buckets size_buckets = {
	{ 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216 }, 9
};
static const struct buckets depth_buckets = { { 0, 1, 4, 16, 64, 256, 1024, 4096, 16384 }, 9 };

static const struct metric_row table[METRIC_COUNT] = {
	[METRIC_HTTP_REQUESTS] = { "tally_http_requests", COUNTER, "", NULL, "class", { "2xx", "3xx", "4xx", "5xx" },
		"HTTP requests answered, by class of the status." },
	[METRIC_HTTP_REQUEST_SECONDS] = { "tally_http_request_seconds", HISTOGRAM, "seconds", &time_buckets, NULL, { NULL },
		"Time from a complete HTTP request to its answer." },
	[METRIC_HTTP_CONNECTIONS] = { "tally_http_connections", GAUGE, "", NULL, NULL, { NULL },
		"Open HTTP connections." },
	[METRIC_HTTP_CONNECTIONS_REFUSED] = { "tally_http_connections_refused", COUNTER, "", NULL, NULL, { NULL },
		"HTTP connections refused because too many were open." },
	[METRIC_RPC_REQUESTS] = { "tally_rpc_requests", COUNTER, "", NULL, "answer", { "result", "error" },
		"RPC requests and notifications, by what they ended with." },
	[METRIC_RPC_REQUEST_SECONDS] = { "tally_rpc_request_seconds", HISTOGRAM, "seconds", &time_buckets, NULL, { NULL },
		"Time from a complete RPC request to its answer." },
	[METRIC_RPC_CONNECTIONS] = { "tally_rpc_connections", GAUGE, "", NULL, NULL, { NULL },
		"Open RPC connections." },
	[METRIC_RPC_CONNECTIONS_REFUSED] = { "tally_rpc_connections_refused", COUNTER, "", NULL, NULL, { NULL },
		"RPC connections refused because too many were open." },
	[METRIC_WAL_WRITE_SECONDS] = { "tally_wal_write_seconds", HISTOGRAM, "seconds", &time_buckets, NULL, { NULL },
		"Time of a durable write to the log." },
	[METRIC_WAL_COMMIT_BYTES] = { "tally_wal_commit_bytes", HISTOGRAM, "bytes", &size_buckets, NULL, { NULL },
		"Size of one commit to the log." },
	[METRIC_WAL_BYTES] = { "tally_wal_bytes", COUNTER, "bytes", NULL, NULL, { NULL },
		"Bytes written to the log." },
	[METRIC_WAL_DURABLE_LSN] = { "tally_wal_durable_lsn", GAUGE, "", NULL, NULL, { NULL },
		"Log sequence number up to which everything is on stable storage." },
	[METRIC_LOG_BYTES] = { "tally_log_bytes", GAUGE, "bytes", NULL, NULL, { NULL },
		"Size of the log's segments on disk." },
	[METRIC_LOG_SEGMENTS] = { "tally_log_segments", GAUGE, "", NULL, NULL, { NULL },
		"The log's segments on disk." },
	[METRIC_LOG_FIRST_LSN] = { "tally_log_first_lsn", GAUGE, "", NULL, NULL, { NULL },
		"Log sequence number from which history exists." },
	[METRIC_LOG_FIRST_TIME] = { "tally_log_first_time_seconds", GAUGE, "seconds", NULL, NULL, { NULL },
		"Time from which history exists, since 1970." },
	[METRIC_FOOTERS_LSN] = { "tally_footers_lsn", GAUGE, "", NULL, NULL, { NULL },
		"Log sequence number up to which segments have footers." },
	[METRIC_SEGMENTS] = { "tally_segments", COUNTER, "", NULL, "result", { "footed", "archived", "dropped", "failed" },
		"Sealed segments, by what became of them." },
	[METRIC_SHARD_MAILBOX_DEPTH] = { "tally_shard_mailbox_depth", HISTOGRAM, "", &depth_buckets, NULL, { NULL },
		"Messages found waiting when a shard takes up work." },
	[METRIC_EVENTS] = { "tally_events", COUNTER, "", NULL, "result", { "processed", "repeated", "refused" },
		"Events received, by what became of them." },
	[METRIC_JOB_RUNS] = { "tally_job_runs", COUNTER, "", NULL, "result", { "succeeded", "failed" },
		"Runs of internal jobs, by how they ended." },
	[METRIC_REWARDS_EXPIRED] = { "tally_rewards_expired", COUNTER, "", NULL, NULL, { NULL },
		"Rewards past their end that were marked as expired." },
	[METRIC_MEMBERS] = { "tally_members", GAUGE, "", NULL, NULL, { NULL },
		"Members held in memory." },
	[METRIC_IDS] = { "tally_ids", GAUGE, "", NULL, NULL, { NULL },
		"Event ids remembered to recognise repetitions." },
	[METRIC_MEMORY_BYTES] = { "tally_memory_bytes", GAUGE, "bytes", NULL, NULL, { NULL },
		"Memory of members and remembered ids, estimated." },
	[METRIC_IDS_FILED] = { "tally_ids_filed", GAUGE, "", NULL, NULL, { NULL },
		"Ids that are remembered on disk." },
	[METRIC_ID_RUNS] = { "tally_id_runs", GAUGE, "", NULL, NULL, { NULL },
		"Sorted runs that hold them." },
	[METRIC_IDS_FILED_LSN] = { "tally_ids_filed_lsn", GAUGE, "", NULL, NULL, { NULL },
		"Log sequence number up to which all ids have moved to disk." },
	[METRIC_ID_LOOKUPS] = { "tally_id_lookups", COUNTER, "", NULL, NULL, { NULL },
		"Ids that looked as if they were on disk, and were looked up there." },
	[METRIC_SNAPSHOTS] = { "tally_snapshots", COUNTER, "", NULL, "result", { "written", "failed" },
		"Snapshots begun, by what became of them." },
	[METRIC_SNAPSHOT_SECONDS] = { "tally_snapshot_seconds", GAUGE, "seconds", NULL, NULL, { NULL },
		"Time that the newest snapshot took." },
	[METRIC_SNAPSHOT_PIECE_SECONDS] = { "tally_snapshot_piece_seconds", GAUGE, "seconds", NULL, NULL, { NULL },
		"Longest wait for a shard's piece of the newest snapshot." },
	[METRIC_SNAPSHOT_BYTES] = { "tally_snapshot_bytes", GAUGE, "bytes", NULL, NULL, { NULL },
		"Size of the newest snapshot on disk." },
	[METRIC_SNAPSHOT_LSN] = { "tally_snapshot_lsn", GAUGE, "", NULL, NULL, { NULL },
		"Log sequence number from which a start replays the log behind the newest snapshot." },
	[METRIC_WEBHOOKS_SENT] = { "tally_webhooks_sent", COUNTER, "", NULL, NULL, { NULL },
		"Webhooks that were taken." },
	[METRIC_WEBHOOKS_FAILED] = { "tally_webhooks_failed", COUNTER, "", NULL, NULL, { NULL },
		"Webhooks given up after all attempts, or whose event could not be read." },
	[METRIC_WEBHOOKS_WAITING] = { "tally_webhooks_waiting", GAUGE, "", NULL, NULL, { NULL },
		"Webhooks that are to be sent, or sent again." },
	[METRIC_BUILD_INFO] = { "tally_build", INFO, "", NULL, "version", { NULL },
		"The version that runs." },
	[METRIC_UPTIME_SECONDS] = { "tally_uptime_seconds", GAUGE, "seconds", NULL, NULL, { NULL },
		"Time since the start." },
	[METRIC_CLOCK_BEHIND_SECONDS] = { "tally_clock_behind_seconds", GAUGE, "seconds", NULL, NULL, { NULL },
		"How far the system clock lies behind the newest time in the log." },
};

struct slot {
	alignas(64) _Atomic int64_t values[LABELS_MAX];        /* counter by label, or gauge */
	_Atomic uint64_t sum;
	_Atomic uint64_t buckets[BUCKETS_MAX + 1];
};

static struct slot slots[METRIC_COUNT];
static const char *_Atomic build_version = "unknown";

static bool in_seconds(const struct metric_row *row)
{
	return row->unit[0] == 's';
}

void metric_add(enum metric metric, int64_t n)
{
	ASSERT(metric < METRIC_COUNT && !table[metric].label);
	ASSERT(table[metric].kind == GAUGE || (table[metric].kind == COUNTER && n >= 0));
	atomic_fetch_add_explicit(&slots[metric].values[0], n, memory_order_relaxed);
}

void metric_add_label(enum metric metric, unsigned label, int64_t n)
{
	ASSERT(metric < METRIC_COUNT && table[metric].kind == COUNTER && n >= 0);
	ASSERT(label < LABELS_MAX && table[metric].values[label]);
	atomic_fetch_add_explicit(&slots[metric].values[label], n, memory_order_relaxed);
}

void metric_set(enum metric metric, int64_t value)
{
	ASSERT(metric < METRIC_COUNT && table[metric].kind == GAUGE);
	if (in_seconds(&table[metric]))
		value *= (int64_t)S;
	atomic_store_explicit(&slots[metric].values[0], value, memory_order_relaxed);
}

void metric_set_ns(enum metric metric, int64_t ns)
{
	ASSERT(metric < METRIC_COUNT && table[metric].kind == GAUGE && in_seconds(&table[metric]));
	atomic_store_explicit(&slots[metric].values[0], ns, memory_order_relaxed);
}

static void observe(enum metric metric, uint64_t value)
{
	const struct buckets *buckets = table[metric].buckets;
	size_t i = 0;
	while (i < buckets->count && value > buckets->bounds[i])
		i++;
	atomic_fetch_add_explicit(&slots[metric].buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&slots[metric].sum, value, memory_order_relaxed);
}

void metric_observe(enum metric metric, uint64_t value)
{
	ASSERT(metric < METRIC_COUNT && table[metric].kind == HISTOGRAM && !in_seconds(&table[metric]));
	observe(metric, value);
}

void metric_observe_ns(enum metric metric, uint64_t ns)
{
	ASSERT(metric < METRIC_COUNT && table[metric].kind == HISTOGRAM && in_seconds(&table[metric]));
	observe(metric, ns);
}

int64_t metric_value(enum metric metric, unsigned label)
{
	ASSERT(metric < METRIC_COUNT && label < LABELS_MAX);
	if (table[metric].kind != HISTOGRAM)
		return atomic_load_explicit(&slots[metric].values[label], memory_order_relaxed);
	uint64_t count = 0;
	for (size_t i = 0; i <= table[metric].buckets->count; i++)
		count += atomic_load_explicit(&slots[metric].buckets[i], memory_order_relaxed);
	return (int64_t)count;
}

void metrics_set_version(const char *version)
{
	atomic_store(&build_version, version);
}

static void write_label_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			buf_lit(out, "\\n");
			continue;
		}
		if (*text == '"' || *text == '\\')
			buf_char(out, '\\');
		buf_char(out, *text);
	}
}

/* A number of the metric's unit: nanoseconds become seconds without trailing zeros. */
static void write_value(struct buf *out, const struct metric_row *row, uint64_t value)
{
	if (!in_seconds(row)) {
		buf_u64(out, value);
		return;
	}
	buf_u64(out, value / S);
	uint64_t rest = value % S;
	if (!rest)
		return;
	buf_char(out, '.');
	for (uint64_t unit = S / 10; rest; unit /= 10) {
		buf_char(out, (char)('0' + rest / unit));
		rest %= unit;
	}
}

static void write_signed(struct buf *out, const struct metric_row *row, int64_t value)
{
	if (value < 0)
		buf_char(out, '-');
	write_value(out, row, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void write_histogram(struct buf *out, const struct metric_row *row, struct slot *slot)
{
	uint64_t count = 0, sum = atomic_load_explicit(&slot->sum, memory_order_relaxed);
	for (size_t i = 0; i <= row->buckets->count; i++) {
		count += atomic_load_explicit(&slot->buckets[i], memory_order_relaxed);
		buf_printf(out, "%s_bucket{le=\"", row->name);
		if (i == row->buckets->count)
			buf_lit(out, "+Inf");
		else
			write_value(out, row, row->buckets->bounds[i]);
		buf_printf(out, "\"} %llu\n", (unsigned long long)count);
	}
	buf_printf(out, "%s_sum ", row->name);
	write_value(out, row, sum);
	buf_printf(out, "\n%s_count %llu\n", row->name, (unsigned long long)count);
}

static void write_simple(struct buf *out, const struct metric_row *row, struct slot *slot)
{
	const char *suffix = row->kind == COUNTER ? "_total" : "";
	for (unsigned i = 0; i < LABELS_MAX && (i == 0 || row->values[i]); i++) {
		buf_printf(out, "%s%s", row->name, suffix);
		if (row->label)
			buf_printf(out, "{%s=\"%s\"}", row->label, row->values[i]);
		buf_char(out, ' ');
		write_signed(out, row, atomic_load_explicit(&slot->values[i], memory_order_relaxed));
		buf_char(out, '\n');
	}
}

void metrics_write(struct buf *out)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram", "info" };
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct metric_row *row = &table[i];
		buf_printf(out, "# TYPE %s %s\n", row->name, kinds[row->kind]);
		if (row->unit[0])
			buf_printf(out, "# UNIT %s %s\n", row->name, row->unit);
		buf_printf(out, "# HELP %s %s\n", row->name, row->help);
		if (row->kind == HISTOGRAM) {
			write_histogram(out, row, &slots[i]);
		} else if (row->kind == INFO) {
			buf_printf(out, "%s_info{%s=\"", row->name, row->label);
			write_label_text(out, atomic_load(&build_version));
			buf_lit(out, "\"} 1\n");
		} else {
			write_simple(out, row, &slots[i]);
		}
	}
	buf_lit(out, "# EOF\n");
}
