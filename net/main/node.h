// SPDX-License-Identifier: Apache-2.0
/* node.h - the engine in this process: shards, log and catalog, and which thread runs which step.
 *
 * Loop, shard and log are steps; threads only host them.  With one shard all three run on the loop's thread, which beats
 * handing over on few cores - but a write of 64 KiB or more, which goes to the log's thread while the loop goes on.  With
 * more shards, each of them and the log get a thread of their own.  Nothing else knows.
 *
 *     node_open    recovers everything from the newest snapshot and the log behind it (in parallel), takes the next epoch
 *     node_turn    (placement: together) runs the steps once
 *     node_take    gives back messages that are done and durable, in the order in which that happened
 */
#ifndef NET_MAIN_NODE_H
#define NET_MAIN_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/env/env.h"
#include "engine/shard/batch.h"
#include "engine/shard/shard.h"
#include "net/main/recovery.h"
#include "net/main/retain.h"
#include "snapshot/writer.h"
#include "wal/wal.h"

enum node_placement { NODE_TOGETHER, NODE_APART };

struct node_options {
	const char *data;              /* directory; made 0700 where it is missing */
	unsigned shards;
	uint64_t segment_size, ring_size;
	bool direct;
	int64_t clock_ahead_ms;        /* added to the machine's clock */
	uint64_t memory;               /* bytes for members and ids together; 0: no bound */
	uint64_t id_memory;            /* bytes for ids, then the oldest move to disk; 0: they stay */
	int64_t id_retention_ms;       /* those whose part of the log is gone are forgotten when they are older; 0: never */
	enum node_placement placement;
	uint64_t retain_ms, retain_bytes;      /* of the log; 0: no such bound */
	struct recovery *recovery;     /* borrowed; is told how far the start has come; may be NULL */
	const char *archive;           /* where segments go before they are dropped; NULL: nowhere */
	/* Called from any thread when node_take has something; NODE_APART only. */
	void (*wake)(void *context);
	void *context;
};

struct filer;
struct node;

/* NULL with a line in `error`: locked by another process (with its pid), damaged, unreadable. */
struct node *node_open(const struct node_options *options, struct buf *error);
/* Makes everything durable, ends the threads, releases the lock.  No message may be under way. */
void node_close(struct node *node);

const struct env *node_env(struct node *node);
struct wal *node_wal(struct node *node);
struct filer *node_filer(struct node *node);
unsigned node_shards(const struct node *node);
/* LSN at or behind every event of which another system is to be told: the newest since the start, or where that was. */
uint64_t node_newest_hook(void *node);
void node_post(struct node *node, unsigned shard, struct message *message);

/* NODE_TOGETHER: one turn.  Returns true while there is more to do at once. */
bool node_turn(struct node *node, bool idle);
/* From the loop, a few times a second: ends pending transfers whose timeout has passed. */
void node_tick(struct node *node);
bool node_busy(const struct node *node);       /* with work of its own: do not close yet */
/* The next message whose answer may leave; NULL: none now. */
struct message *node_take(struct node *node);
uint64_t node_mailbox_depth(const struct node *node);
bool node_together(const struct node *node);

/* What a snapshot is taken of; its functions may be called from any thread while the loop runs. */
struct snapshot_source node_snapshot_source(struct node *node, const atomic_bool *stop);
const char *node_snapshot_dir(const struct node *node);
/* The newest snapshot's `end` when the node was opened; 0: there was none that is whole. */
uint64_t node_snapshot_end(const struct node *node);

/* The past (worker threads), and what becomes of old segments. */
struct footers *node_footers(struct node *node);
struct retain *node_retain(struct node *node);

/* Locks a data directory for a process that writes; -1 with a line in `error`.  The lock ends with the process. */
int node_lock(const char *data, struct buf *error);

#endif
