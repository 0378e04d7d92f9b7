// SPDX-License-Identifier: Apache-2.0
/* sim_int.h - what the files of one simulated history share. */
#ifndef TESTS_SIM_SIM_INT_H
#define TESTS_SIM_SIM_INT_H

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/node.h"
#include "tests/sim/backup.h"
#include "tests/sim/oracle.h"
#include "tests/sim/past.h"
#include "tests/sim/sim.h"
#include "tests/sim/work.h"

enum { CLIENTS = 16, CALLS = 64, LETTERS = 128, MARKS = 32, MS = 1000000 };

#define LLU(x) ((unsigned long long)(x))

/* A request as the node has it. */
struct call {
	const struct op *op;           /* NULL: the node's own */
	bool live;
	unsigned slot;
	struct ledger_request ledger;
	struct account_spec specs[OP_SPECS];
	struct account_view views[OP_SPECS];
	uint64_t not_before[OP_SPECS]; /* what was known of each when it was asked */
	struct batch batch;
	struct row rows[OP_EVENTS_MAX];
	yyjson_doc *docs[OP_EVENTS_MAX];
	struct query query;
	struct catalog_request catalog;
	char actor[ACTOR_TEXT];
	struct { struct buf record; char profile[TEXT]; unsigned walks; bool waited, decides; } undoing;   /* reversal.c */
};

struct letter { bool live, reply; uint64_t due_ns; const struct op *op; bool again; };

struct client { struct op *op; uint64_t due_ns; bool waiting; };

struct swarm {
	unsigned clients, drop_one_in, twice_one_in, slow_one_in, jump_one_in;
	unsigned lives, ops_a_life, lazy_one_in;       /* lazy: the log writes only so often */
	bool cuts, kills, stops, calls_cut, flips, full, reads_fail, small_memory;
	unsigned snapshot_one_in, snapshot_keep, slow_shard_one_in;
	size_t snapshot_piece;
	uint64_t snapshot_rate;
	struct disk_faults faults;
	struct ids_swarm ids;
};

struct sim {
	uint64_t seed, first_seed;
	bool trace;
	struct swarm swarm;
	struct disk *disk;
	struct sim_node node;
	bool up;
	struct oracle *oracle;
	struct work work;
	struct call calls[CALLS];
	struct letter letters[LETTERS];
	struct client clients[CLIENTS];
	unsigned first_ops, ops_left, living;
	int64_t clock_offset_ms;
	uint64_t acked_config[2];
	struct { uint64_t covers, at; } marks[MARKS];  /* the newest: frame at `at` says that everything below `covers` is durable */
	unsigned mark_count;
	uint64_t opened;               /* where the running life began */
	uint64_t durable;              /* the log was once known to reach so far */
	struct past past;
	struct backups backups;
	uint64_t snapshot_end;         /* of the newest snapshot that was told to be there */
	bool flipped;                  /* bits may have been, at some end of a life */
	bool buried;                   /* there is damage in front of what was read at some start */
	uint64_t tick_ns, idle_ns;
	bool expiring;
	bool ids_emptied;              /* somebody removed the folder of ids, at some time */
	int64_t ids_latest_ms;         /* the latest time at which ids may have been forgotten */
	bool damage_read;              /* a record is damaged: asking again is no use */
	unsigned shards, slow_shard;   /* SHARDS_MAX: none is slow */
	char last_cut[600];
	jmp_buf broken;
	struct sim_result *result;
};


static inline uint64_t sim_chance(struct sim *sim, uint64_t below)
{
	return disk_chance(&sim->seed, below);
}

enum step { STEP_DONE, STEP_NOTHING, STEP_DEAD };

/* sim.c */
enum step sim_step_log(struct sim *sim, bool idle);
enum step sim_step_maker(struct sim *sim);
enum step sim_step_writer(struct sim *sim);            /* one is under way */
enum step sim_step_world(struct sim *sim);             /* one step of everything */

/* backup.c */
void backups_draw(struct sim *sim);
void backups_free(struct sim *sim);
enum step backups_step(struct sim *sim);               /* now and then a backup, with the world going on meanwhile */
void backups_rest(struct sim *sim);                    /* without faults: one more, and a restore of it */

/* past.c */
void past_draw(struct sim *sim);
void past_end(struct sim *sim);
void past_options(struct sim *sim, struct sim_node_options *options);
void past_followed(void *context, const struct kept_frame *frame);     /* the model has taken this frame */
void past_opened(struct sim *sim);                     /* a node has opened */
void past_meanwhile(struct sim *sim);                  /* perhaps a step of the tail */
enum step past_step(struct sim *sim);                  /* now and then: the tail's work, and questions */
/* Without faults: the tail comes to rest, and every moment kept is asked for. */
void past_rest(struct sim *sim);
void past_life_over(struct sim *sim);                  /* footers are lost and damaged */
/* A start was refused since every snapshot that reaches back to the log is wounded.  Breaks a law where none is. */
bool past_unreachable(struct sim *sim, const char *text);
/* The copy gets the log as it was ever written, out of archive and log; false: there is no such thing. */
bool past_whole(struct sim *sim, struct disk *copy);

/* answers.c: a call that is done, and durable, is held against the oracle.  False: it goes on in the node.  *unreadable: the
 * log could not be read for it now. */
bool call_finish(struct sim *sim, struct call *call, uint64_t wait_lsn, bool *unreadable);
void member_check(struct sim *sim, const struct query *query, unsigned tenant, uint64_t not_before, uint64_t account_before);
void book_check(struct sim *sim, const struct ledger_request *request);
unsigned call_excuse(const struct sim *sim);           /* enum excuse: what may be full */
/* A record out of the files, as the product reads it; empty: its segment was dropped.  False: it cannot be read now. */
bool call_record_read(struct sim *sim, uint64_t lsn, struct buf *out);
/* A row with an id that is done, or was before.  False: the log cannot be read now. */
bool call_known_check(struct sim *sim, const struct row *row, unsigned tenant);
/* A row that is refused because ids on disk cannot be read now. */
bool call_ids_unread(struct sim *sim, const struct row *row);
uint64_t content_of(const struct row *row);

/* reversal.c; false: it goes on in the node. */
void reversal_start(struct sim *sim, struct call *call);
bool reversal_finish(struct sim *sim, struct call *call, bool *unreadable);

/* questions.c: what shards are asked about members' rewards, tiers and bonuses, and about all they have. */
void ask_start(struct sim *sim, struct call *call);
void ask_check(struct sim *sim, const struct call *call);
void audit_questions(struct sim *sim);

/* audit.c: with nothing under way, all that the node says is what the model says. */
void audit(struct sim *sim);
void settle(struct sim *sim, const void *owner);       /* until what was started is done and durable */
void compare_with_files(struct sim *sim);

#endif
