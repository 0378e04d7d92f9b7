// SPDX-License-Identifier: Apache-2.0
/* host.h - the server around the surfaces, simulated: what net/main and libuv do for them, in one thread and without a clock.
 *
 * The surfaces are the product's, unchanged, linked against this file's functions of the same names: those of the node
 * (net/main/node.h) stand on a simulated one, a snapshot is written in steps, a backup's files are copied out of the simulated
 * disk, and what is handed to uv_queue_work lies here until host_work runs it.
 *
 * One host at a time.
 */
#ifndef TESTS_SIM_COMMANDS_HOST_H
#define TESTS_SIM_COMMANDS_HOST_H

#include "net/surface/app.h"
#include "tests/sim/node.h"

struct node {
	struct sim_node *sim;
};

struct host {
	struct app app;
	struct options options;
	struct node node;
	struct disk *disk;             /* borrowed */
	struct ledger_request expiry;
	bool expiring;
	bool paused;                   /* the surfaces want no more to be read */
	/* A snapshot under way. */
	keeper_done *told;
	void *told_context;
	unsigned snapshot_keep;
	size_t snapshot_piece;
	struct work { uv_work_t *work; uv_work_cb run; uv_after_work_cb after; bool ran; } *works;     /* owned */
	size_t work_count, work_cap;
};

/* The node is open: the surfaces begin.  `scheduler`: jobs run when they are due. */
void host_begin(struct host *host, struct sim_node *sim, struct disk *disk, bool scheduler);
/* The process is gone: what its memory held is not given back. */
void host_lost(struct host *host);
void host_forget(void);                /* whatever there is: the history was given up */
/* After a clean stop: nothing is under way. */
void host_end(struct host *host);

/* Runs what was handed to a worker thread, or tells the loop that it ran; false: there is nothing. */
bool host_work(struct host *host, uint64_t *seed);
bool host_take(struct host *host);                         /* a message whose answer may leave goes to the surfaces */
bool host_snapshot_step(struct host *host);                /* false: none is under way, or it waits */
void host_tick(struct host *host);                         /* jobs that are due, pending transfers that run out, backups nobody reads */
/* Nothing is under way inside, a snapshot included. */
bool host_idle(const struct host *host);

#endif
