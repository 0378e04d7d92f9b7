// SPDX-License-Identifier: Apache-2.0
/* metrics.h - what the process counts, declared in one table (metrics.c) and written in the OpenMetrics text format.
 *
 * Updates are relaxed atomics: cheap, lock-free, from any thread.  A reader may see one metric ahead of another, never
 * a torn value; a histogram's _count is the sum of the buckets that were read.
 */
#ifndef NET_LOOP_METRICS_H
#define NET_LOOP_METRICS_H

#include <stdint.h>

#include "engine/base/buf.h"

enum metric {
	METRIC_HTTP_REQUESTS,          /* counter by enum metric_class */
	METRIC_HTTP_REQUEST_SECONDS,   /* histogram, ns */
	METRIC_HTTP_CONNECTIONS,       /* gauge */
	METRIC_HTTP_CONNECTIONS_REFUSED,       /* counter */
	METRIC_RPC_REQUESTS,           /* counter by enum metric_answer */
	METRIC_RPC_REQUEST_SECONDS,    /* histogram, ns */
	METRIC_RPC_CONNECTIONS,        /* gauge */
	METRIC_RPC_CONNECTIONS_REFUSED,        /* counter */
	METRIC_WAL_WRITE_SECONDS,      /* histogram, ns */
	METRIC_WAL_COMMIT_BYTES,       /* histogram */
	METRIC_WAL_BYTES,              /* counter */
	METRIC_WAL_DURABLE_LSN,        /* gauge */
	METRIC_LOG_BYTES,              /* gauge */
	METRIC_LOG_SEGMENTS,           /* gauge */
	METRIC_LOG_FIRST_LSN,          /* gauge */
	METRIC_LOG_FIRST_TIME,         /* gauge, ns since 1970 */
	METRIC_FOOTERS_LSN,            /* gauge */
	METRIC_SEGMENTS,               /* counter by enum metric_segment */
	METRIC_SHARD_MAILBOX_DEPTH,    /* histogram */
	METRIC_EVENTS,                 /* counter by enum metric_result */
	METRIC_JOB_RUNS,               /* counter by enum metric_job */
	METRIC_REWARDS_EXPIRED,        /* counter */
	METRIC_MEMBERS,                /* gauge */
	METRIC_IDS,                    /* gauge */
	METRIC_MEMORY_BYTES,           /* gauge */
	METRIC_IDS_FILED,              /* gauge: ids in runs on disk */
	METRIC_ID_RUNS,                /* gauge */
	METRIC_IDS_FILED_LSN,          /* gauge */
	METRIC_ID_LOOKUPS,             /* counter: ids looked up on disk */
	METRIC_SNAPSHOTS,              /* counter by enum metric_snapshot */
	METRIC_SNAPSHOT_SECONDS,       /* gauge, ns */
	METRIC_SNAPSHOT_PIECE_SECONDS, /* gauge, ns */
	METRIC_SNAPSHOT_BYTES,         /* gauge */
	METRIC_SNAPSHOT_LSN,           /* gauge */
	METRIC_WEBHOOKS_SENT,          /* counter */
	METRIC_WEBHOOKS_FAILED,        /* counter: given up */
	METRIC_WEBHOOKS_WAITING,       /* gauge */
	METRIC_BUILD_INFO,             /* info: metrics_set_version */
	METRIC_UPTIME_SECONDS,         /* gauge, ns */
	METRIC_CLOCK_BEHIND_SECONDS,   /* gauge, ns */
	METRIC_COUNT
};

enum metric_segment { METRIC_SEGMENT_FOOTED, METRIC_SEGMENT_ARCHIVED, METRIC_SEGMENT_DROPPED, METRIC_SEGMENT_FAILED };
enum metric_class { METRIC_2XX, METRIC_3XX, METRIC_4XX, METRIC_5XX };
enum metric_answer { METRIC_ANSWER_RESULT, METRIC_ANSWER_ERROR };
enum metric_snapshot { METRIC_SNAPSHOT_WRITTEN, METRIC_SNAPSHOT_FAILED };
enum metric_job { METRIC_JOB_SUCCEEDED, METRIC_JOB_FAILED };
enum metric_result { METRIC_PROCESSED, METRIC_REPEATED, METRIC_REFUSED };

void metric_add(enum metric metric, int64_t n);            /* counters (n >= 0) and gauges, those without labels */
void metric_add_label(enum metric metric, unsigned label, int64_t n);      /* counters with labels */
void metric_set(enum metric metric, int64_t value);        /* gauges; of seconds: whole seconds */
void metric_set_ns(enum metric metric, int64_t ns);        /* gauges of seconds */
void metric_observe(enum metric metric, uint64_t value);   /* histograms of anything but seconds */
void metric_observe_ns(enum metric metric, uint64_t ns);   /* histograms of seconds */
int64_t metric_value(enum metric metric, unsigned label);  /* for tests: a counter, a gauge, or a histogram's count */

void metrics_set_version(const char *version);             /* once at the start; a literal */
void metrics_write(struct buf *out);                       /* OpenMetrics text, with "# EOF" */

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
