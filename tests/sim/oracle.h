// SPDX-License-Identifier: Apache-2.0
/* oracle.h - what must be true, whatever happens: the laws, each by name.
 *
 * The oracle keeps every frame that was published, and follows the log in its order as frames become durable: each record must
 * be what a plain model of the ledger (tests/model) and of the rules (rules.h) makes of a request that some client sent.  So the
 * model is always the state at the durable LSN, and whatever leaves the node is held against it:
 *
 *   L1  what is acknowledged is in the durable log; what was durable is there after every crash, byte for byte
 *   L2  an answer rests on nothing beyond the durable log, and never on less than an earlier one did
 *   L3  the sums of a book are zero; floors and ceilings hold (the model refuses what would pass them)
 *   L4  one outcome for an id, the same for each repeat; other content is refused; once it is forgotten, perhaps another one
 *   L6  recovery shows exactly the frames that were written, and cuts or refuses by name
 *   L8  bounds
 *   rules, order, history, time: events come to what the rules say; chains of LSNs lead back; time does not
 *
 * A law that is broken ends the run (law_broken never returns).
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include <setjmp.h>

#include "engine/base/buf.h"
#include "tests/sim/node.h"
#include "tests/sim/op.h"
#include "tests/sim/sim.h"

enum { MEMBERS_MAX = 64, NUMBERS_MAX = 1024, SLOTS = 16384, EVENTS_KEPT = 16384 };

struct kept_frame {
	uint64_t lsn, end;
	uint32_t size;
	int64_t time_ms;
	uint64_t forgotten;            /* ids below it might be new again when it was decided */
	size_t at;                     /* in oracle.bytes */
};

struct history { uint64_t lsn; uint64_t sums[4]; bool closed; };

/* A number in the log: a whole account or a slice. */
struct number {
	uint32_t number;
	bool slice;
	u128 id;                       /* whole */
	unsigned tenant, unit;
	enum account_kind kind;
	uint64_t last_lsn;
	struct history *history;       /* owned; whole */
	unsigned history_count, history_cap;
	struct movement *movements;    /* owned; of a member's */
	unsigned movement_count, movement_cap;
};

/* A member as it was before its last event, if that was none of undoing. */
struct before {
	uint64_t lsn, account_lsn;     /* of the event; of the account behind it */
	struct member_model member;
	int64_t points;
	bool usual;                    /* no balance below what must stay there */
};

struct occurrence { const struct op *op; uint32_t index; uint32_t next; };      /* next: index + 1 */

struct event_entry { uint64_t lsn; uint64_t id_hash; unsigned tenant; bool moved, reversal; char id[TEXT]; };

struct document_model { uint64_t id, lsn, version; unsigned kind, tenant; yyjson_doc *doc; uint64_t json_hash; bool removed; };

struct oracle {
	struct model *model;
	struct configs configs[2];
	struct member_model members[MEMBERS_MAX];
	unsigned member_count;
	struct before before[MEMBERS_MAX];
	struct number numbers[NUMBERS_MAX];
	unsigned number_count;
	uint64_t slice_lsn[2][GROUP_COUNT];    /* newest event of a tenant in a group */
	struct document_model documents[DOCUMENTS_MAX];
	unsigned document_count;
	uint64_t audit_lsn[2];         /* newest change of a tenant's configuration */
	uint64_t hooked_lsn;           /* the newest record that tells another system something */
	/* the log */
	struct buf bytes;
	struct kept_frame *frames;     /* owned; published, in order */
	size_t frame_count, frame_cap;
	size_t consumed;               /* so many of them are durable, and in the model */
	size_t replayed;               /* while a node opens */
	int64_t last_time;
	uint64_t forgotten;            /* ids below it have been forgotten; the node's word */
	uint64_t following;            /* the same, for the frame that is followed */
	/* what was asked */
	struct op **ops;               /* owned */
	unsigned op_count, op_cap;
	struct occurrence *occurrences;
	uint32_t occurrence_count, occurrence_cap;
	uint32_t slots[SLOTS];         /* by transfer id */
	struct event_entry *events;    /* by arrival in the log */
	unsigned event_count;
	/* counts, so that a run can be seen to do something */
	uint64_t records, transfers, failures, expiries, happened, reversals, customers, changes, replies, repeats, anew;
	struct sim_seen seen;
	/* who breaks a law ends here */
	jmp_buf *broken;
	void (*followed)(void *context, const struct kept_frame *frame);       /* the model has taken it; may be NULL */
	void *context;
	struct buf verdict;
	uint64_t seed;
};

struct oracle *oracle_new(uint64_t seed);
void oracle_free(struct oracle *oracle);
_Noreturn void law_broken(struct oracle *oracle, const char *law, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define LAW(oracle, law, good, ...) ((good) ? (void)0 : law_broken(oracle, law, __VA_ARGS__))

/* Takes the op over; from now on its outcome may turn up in the log. */
void oracle_sent(struct oracle *oracle, struct op *op);
void oracle_published(struct oracle *oracle, const struct sim_frame *frame);
void oracle_durable(struct oracle *oracle, uint64_t durable);  /* everything published up to there is */
uint64_t oracle_end(const struct oracle *oracle);              /* what is durable for all the oracle knows */

/* A node opens: each frame it finds from an LSN on, then, when it is open, what that means. */
void oracle_recovering(struct oracle *oracle, uint64_t from);
void oracle_replayed(struct oracle *oracle, const struct sim_frame *frame);
/* False: acknowledged frames are missing from *lost_lsn on; the caller knows whether the disk may be blamed. */
bool oracle_recovered(struct oracle *oracle, uint64_t *lost_lsn);

struct number *oracle_number_of(struct oracle *oracle, u128 id);       /* NULL */
struct member_model *oracle_member(struct oracle *oracle, unsigned tenant, struct str profile);        /* NULL */
/* The record at an LSN as it was written; NULL: there is none. */
const unsigned char *oracle_record(const struct oracle *oracle, uint64_t lsn, uint32_t *size);
struct document_model *oracle_document(struct oracle *oracle, uint64_t id);   /* NULL; also one that was removed */
/* remade.c: breaks a law unless the chain of the member's records makes this member. */
void member_remade(struct oracle *oracle, const struct member_model *member);
uint64_t oracle_event_lsn(const struct oracle *oracle, unsigned tenant, const char *id);       /* the last; 0: none */
bool oracle_event_at(const struct oracle *oracle, unsigned tenant, const char *id, uint64_t lsn);      /* that one, or one before it */

/* Replies as they leave the node; `excuses`: what may be full, or gone. */
enum excuse { EXCUSE_DISK = 1, EXCUSE_MEMORY = 2, EXCUSE_PRUNED = 4, EXCUSE_KEPT = 64, EXCUSE_GONE = 128 };
void reply_transfers(struct oracle *oracle, const struct op *op, const struct model_reply *replies, unsigned excuses);
void reply_specs(struct oracle *oracle, const struct op *op, const struct account_spec *specs, unsigned excuses);
void reply_view(struct oracle *oracle, const struct account_view *view, uint64_t wait_lsn, uint64_t not_before);

#endif
