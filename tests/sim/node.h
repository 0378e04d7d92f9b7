// SPDX-License-Identifier: Apache-2.0
/* node.h - the product's engine and log on a simulated disk, put together as net/main/node.c does with one thread.
 *
 * A node lives from sim_node_open until it is closed, killed or ends itself (wal_fatal: the step returns NODE_DIED).  What
 * runs next - a shard, the log, the maker of segments - is the caller's to say.  A shard that has nothing to do sleeps until a
 * message or env.wake gets it up, as a thread would, so a missing wake-up is found.
 */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/ledger.h"
#include "engine/shard/shard.h"
#include "net/main/footers.h"
#include "net/main/retain.h"
#include "snapshot/loader.h"
#include "snapshot/writer.h"
#include "tests/sim/disk.h"
#include "tests/sim/ids.h"
#include "wal/wal.h"

struct sim_frame {
	uint64_t lsn, end;             /* of the body's first byte; behind the frame */
	uint32_t size;                 /* of the body */
	int64_t time_ms;
	const unsigned char *body;
};

typedef void sim_frame_fn(void *context, const struct sim_frame *frame);

struct sim_node_options {
	unsigned shards;
	uint64_t segment_size, ring_size;
	bool direct;
	uint64_t memory;               /* 0: no bound */
	struct sim_ids_options ids;
	sim_frame_fn *written;         /* a frame was published */
	bool log_only;                 /* as if there were no snapshots and no ids on disk */
	bool past;                     /* with footers and retention: */
	uint64_t retain_age_ms, retain_bytes;
	bool archive;
	void (*loaded)(void *context, const struct snapshot_load *load);       /* before anything is replayed; may be NULL */
	sim_frame_fn *replayed;        /* recovery shows a frame; may be NULL */
	void (*said)(void *context, const char *level, const char *line);
	void *context;
	int64_t *wall_ms;              /* the wall clock */
};

enum node_outcome { NODE_GOOD, NODE_REFUSED, NODE_DIED };

struct sim_node {
	struct sim_node_options options;
	struct env env;
	struct wal *wal;
	struct catalog catalog;
	struct shard *shards;          /* owned */
	unsigned shard_count;
	bool awake[SHARDS_MAX];
	struct message *done, **done_end;      /* oldest first; the answer may have to wait */
	int64_t last_time;
	struct sim_frame open[SHARDS_MAX];     /* between begin and publish */
	uint64_t broken_lsn;
	struct sim_ids ids;
	struct snapshot_load load;
	struct footers *footers;       /* NULL: without */
	struct retain *retain;
	atomic_bool tail_stop;
	struct snapshot_source source;
	struct snapshot_order order;
	struct snapshot_writer *writer;        /* NULL: no snapshot is being written */
	struct buf writer_error;
	bool writer_waits;             /* for a piece */
	atomic_bool writer_stop;
	uint64_t writer_due_ns;
	jmp_buf fatal;
	char fatal_text[600];
};

/* NODE_REFUSED or NODE_DIED with a line in *error: the node is gone. */
enum node_outcome sim_node_open(struct sim_node *node, const struct sim_node_options *options, struct buf *error);
/* Writes its mark and ends.  NODE_DIED with a line in *error: the log could not be written. */
enum node_outcome sim_node_close(struct sim_node *node, struct buf *error);
void sim_node_kill(struct sim_node *node);     /* what the end of the process does: nothing is written */

/* A node without files, and frames into it one by one; sim_node_kill ends it. */
void sim_node_blank(struct sim_node *node);
bool sim_node_replay(struct sim_node *node, const struct sim_frame *frame);

/* A snapshot, in steps.  None may be under way at its begin; sim_node_close wants none either. */
void sim_snapshot_begin(struct sim_node *node, unsigned keep, size_t piece, uint64_t rate);
/* True: it came to its end; *good says how, else node->writer_error. */
bool sim_snapshot_step(struct sim_node *node, struct snapshot_outcome *outcome, bool *good);

/* What the tail's thread does (net/main/tail.c).  True: call it again. */
bool sim_footers_step(struct sim_node *node);
bool sim_retain_step(struct sim_node *node);

bool sim_shard_step(struct sim_node *node, unsigned shard, unsigned budget);   /* true: it stays awake */
/* NODE_DIED: the log ended the process; node->fatal_text says why. */
enum node_outcome sim_log_step(struct sim_node *node, bool idle, bool *wrote);
enum node_outcome sim_maker_step(struct sim_node *node, bool *made);
struct message *sim_node_take(struct sim_node *node);  /* done, and durable; NULL: none */

/* The canonical text of all that is state, lines sorted, with a 0 behind; ids and tenants' slices among them. */
void sim_node_dump(const struct sim_node *node, struct buf *out);

#endif
