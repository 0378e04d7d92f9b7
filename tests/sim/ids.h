// SPDX-License-Identifier: Apache-2.0
/* ids.h - ids on disk in a simulated node: the product's mover and what answers queries, as net/main/filer.c hosts them on threads,
 * here stepped one by one. */
#ifndef TESTS_SIM_IDS_H
#define TESTS_SIM_IDS_H

#include "net/main/mover.h"
#include "snapshot/runs.h"

struct sim_node;
struct sim;

struct sim_ids_options {
	uint64_t memory, run_ids, step_ids, step_bytes, window;        /* of struct mover_options */
	unsigned target;               /* so many sixteenths of the log are wanted in runs, whatever memory they take */
	int64_t retention_ms;          /* ids whose part of the log is gone are forgotten when they are older; 0: never */
	bool on;                       /* else as if there were no folder of runs, and none are made */
};

struct sim_ids {
	struct runs_store *store;      /* NULL: none */
	struct mover *mover;
	bool waits, rests;             /* as the last step said */
	bool complained, damage;       /* something was not moved; since bytes are wrong that were read */
	struct id_query *queries, **queries_end;       /* oldest first */
	struct runs *reading;          /* held: the set that the oldest query is looked up in */
	unsigned unread;               /* queries that could not be answered */
	uint64_t held_lsn;             /* nothing of the log at or behind it may go */
};

/* node.c: in this order. */
bool sim_ids_open(struct sim_node *node, struct state *const *states, struct buf *error);
bool sim_ids_settle(struct sim_node *node, struct buf *error);
void sim_ids_start(struct sim_node *node);     /* retention is there */
void sim_ids_free(struct sim_node *node);
void sim_ids_read(struct sim_node *node, struct id_query *query);

enum mover_next sim_mover_step(struct sim_node *node);
bool sim_reader_step(struct sim_node *node);   /* true: it did something */
/* What was kept of an outcome whose record is gone.  False: it cannot be read. */
bool sim_ids_kept(struct sim_node *node, uint64_t hash, uint64_t lsn, struct id_kept *kept);
/* Those on disk, as state_dump writes those in memory.  The disk must do what it should. */
void sim_ids_dump(const struct sim_node *node, struct buf *out);
uint64_t sim_ids_forgotten(const struct sim_node *node);       /* ids below are */
/* Takes the lines of ids below `forgotten` out of a dump. */
void sim_dump_forget(struct buf *dump, uint64_t forgotten);
/* All that are remembered, wherever; those that are moving twice. */
uint64_t sim_ids_count(const struct sim_node *node);

/* The history's part (sim_int.h). */
struct ids_swarm {
	bool on;
	uint64_t memory, run_ids, step_ids, step_bytes, window;
	unsigned one_in, target;
	int64_t retention_ms;          /* 0: nothing is forgotten */
};
void ids_swarm_draw(struct sim *sim);
void ids_retention_draw(struct sim *sim);      /* behind past_draw: where log goes, ids may */
void ids_opened(struct sim *sim);
struct sim_ids_options ids_options(struct sim *sim);
/* One step of mover or reader; true: something happened. */
bool ids_step(struct sim *sim);
bool ids_busy(const struct sim *sim);          /* something is under way that needs no time */
/* A start was refused for a run or the manifest: what an operator does then.  False: it was not for these. */
bool ids_refused(struct sim *sim, const char *text);
/* It was refused because what a snapshot left out is neither in runs nor in the log: the history is over. */
bool ids_lost(struct sim *sim, const char *text);
void ids_before_start(struct sim *sim, bool quiet);
/* Nothing is under way, and the disk does what it should: all that must move moves. */
void ids_at_rest(struct sim *sim);

#endif
