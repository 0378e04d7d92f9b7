// SPDX-License-Identifier: Apache-2.0
/* keeper.h - when snapshots are taken: by the clock, after so much log, or because somebody asks.
 *
 * One at a time, written on a thread of its own; the loop starts it and hears of its end.  One that fails is logged and counted, and is
 * tried again a minute later.
 *
 * Runs on: the loop's thread.
 */
#ifndef NET_MAIN_KEEPER_H
#define NET_MAIN_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/main/node.h"

struct keeper;

struct keeper_options {
	uint64_t interval_ms;          /* 0: never */
	uint64_t log_bytes;            /* 0: never */
	uint64_t rate;                 /* bytes a second; 0: no bound */
	unsigned keep;
};

/* What somebody who asked is told: outcome, or error.len > 0. */
typedef void keeper_done(void *context, const struct snapshot_outcome *outcome, struct str error);

struct keeper *keeper_new(uv_loop_t *loop, struct node *node, const struct keeper_options *options);
void keeper_free(struct keeper *keeper);           /* not while one is being written */
/* A few times a second. */
void keeper_tick(struct keeper *keeper);
/* False: one is being written; nobody will be told. */
bool keeper_start(struct keeper *keeper, keeper_done *done, void *context);
/* The one being written, if any, gives up soon. */
void keeper_stop(struct keeper *keeper);
bool keeper_busy(const struct keeper *keeper);

#endif
