// SPDX-License-Identifier: Apache-2.0
/* batch.h - what net/ hands to the shards and gets back: rows of work on members, questions, changes of configuration.
 *
 * A batch is cut by owner: each shard decides its rows in order into frames of its own; the batch is done when all parts
 * are, and its answer waits for the highest LSN.  A batch goes through stages, each a message to every shard concerned; the
 * last shard to finish a stage posts the next:
 *
 *     [EXISTS]  ->  CLAIM (owners of the ids)  ->  DECIDE (owners of the members)  ->  done
 *                     ^------------------------------'  rows whose id was in flight elsewhere claim again
 *
 * Where CLAIM meets ids that look as if they were on disk, what was claimed is let go (RESOLVE), a reader outside the shards looks
 * them up, and CLAIM runs again: nothing is decided before.
 *
 * Ownership: net/ makes the batch and frees it after done; between, it belongs to the shards.
 */
#ifndef ENGINE_SHARD_BATCH_H
#define ENGINE_SHARD_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "engine/base/buf.h"
#include "engine/base/hash.h"
#include "engine/base/problem.h"
#include "engine/catalog/catalog.h"
#include "engine/ledger/filed.h"

struct batch;
struct catalog_view;

enum message_kind {
	MESSAGE_EXISTS, MESSAGE_CLAIM, MESSAGE_DECIDE, MESSAGE_RESOLVE,    /* of a batch */
	MESSAGE_QUERY,                 /* a question to one shard or all */
	MESSAGE_CATALOG,               /* a change or question of configuration; on the catalog's shard */
	MESSAGE_LEDGER,                /* of a ledger_request: at each shard in turn, run at the last */
	MESSAGE_SPLIT_CLAIM, MESSAGE_SPLIT_DECIDE, MESSAGE_SPLIT_RESOLVE,      /* of transfers that shards decide side by side */
	MESSAGE_CLAIM_AGAIN, MESSAGE_SPLIT_AGAIN,      /* ids on disk were looked up: the batch begins anew */
	MESSAGE_IDS,                   /* runs of ids to be taken over, or entries that are in them to be dropped (struct id_change) */
	MESSAGE_CAPTURE,               /* a piece of a snapshot (capture.h) */
	MESSAGE_VIEW,                  /* take a new view of a tenant's configuration */
	MESSAGE_SCAN                   /* look through members (engine/job/scan.h) */
};

/* What travels through mailboxes; embedded in its owner. */
struct message {
	struct message *next;
	enum message_kind kind;
	unsigned shard;                /* whose mailbox */
	uint64_t wait_lsn;             /* the answer waits until the log is durable up to here */
	void *owner;                   /* struct batch, struct query, struct catalog_request */
};

/* The only queue between threads: many push, one takes everything.  messages_push returns true if it was empty;
 * messages_take gives a list, oldest first, and its last message (NULL: nothing there). */
bool messages_push(_Atomic(struct message *) *stack, struct message *message);
struct message *messages_take(_Atomic(struct message *) *stack, struct message **last);

enum row_kind {
	ROW_EVENT,
	ROW_CUSTOMER,
	ROW_REVERSE,                   /* undo an event (engine/event/reverse.h); has an id like an event */
	ROW_ACTION,                    /* something done to a member by itself (engine/event/reward.h) */
	ROW_KINDS
};

static inline bool row_kind_has_id(enum row_kind kind)
{
	return kind == ROW_EVENT || kind == ROW_REVERSE;
}

enum row_result {
	ROW_OPEN,                      /* not decided yet */
	ROW_DONE,                      /* a record was written: lsn, record_offset, record_part */
	ROW_KNOWN,                     /* the id was used before: lsn names the first outcome */
	ROW_REFUSED                    /* problem says why; nothing was written */
};

enum row_flags { ROW_STRICT = 1,       /* refuse an unknown member instead of making one */
		 ROW_INTERNAL = 2,     /* the event comes from a job: INTERNAL event types are allowed */
		 ROW_CLAIMED = 4,      /* its id is marked in flight by this row */
		 ROW_RETRY = 8,        /* its id was in flight: claim again */
		 ROW_ASKS = 32,        /* its id looks as if it were on disk: to be looked up */
		 ROW_HOOKED = 64,      /* another system is to be told of it */
		 ROW_CLAIM_TURN = 16 };        /* with ROW_CLAIMED: the generation of the claim (struct claims) */

struct row {
	enum row_kind kind;
	enum row_result result;
	unsigned flags;                /* enum row_flags */
	unsigned member_partition, id_partition;
	uint64_t member_hash, id_hash, content_hash;
	struct str tenant, profile, type, id, source;  /* borrowed from the request */
	yyjson_val *payload;           /* EVENT: the payload; CUSTOMER: the whole document */
	struct str payload_text;       /* EVENT, REVERSE: minified */
	struct str original;           /* REVERSE: the record of the event to undo */
	uint64_t original_lsn;
	unsigned policy;               /* REVERSE: enum reverse_policy */
	int64_t spent;                 /* REVERSE: points that left the account behind the event, up to head_lsn */
	uint64_t head_lsn;
	unsigned op;                   /* ACTION: enum action_op */
	uint32_t seq;                  /* ACTION: of which reward */
	struct id_kept kept;           /* net/'s own: of a known one whose record is gone */
	uint64_t ignored_lsn;          /* an entry with this hash that turned out to be another id's; 0: none */
	uint64_t lsn;
	uint64_t end_lsn;              /* the frame's end: durable when the log is */
	size_t record_offset;          /* into the part's buffer */
	unsigned record_part;
	struct problem *problem;       /* owned; ROW_REFUSED */
};

/* A shard's part of a batch. */
struct part {
	struct message message;
	struct batch *batch;
	uint32_t next_row;             /* progress: a part that must wait for room goes on here */
	bool concerned;                /* has rows in the running stage */
	uint64_t generation;           /* of the runs of ids that the last CLAIM asked */
	struct buf frames;             /* the records that were written, for the answer */
};

struct batch {
	struct row *rows;              /* owned by net/ */
	uint32_t row_count;
	unsigned shard_count;
	bool exists_first;             /* nothing is done unless every member exists (CSV import) */
	bool missing;                  /* the outcome of that */
	bool dry_run;                  /* decide, answer, log nothing */
	bool asking;                   /* there are rows with ROW_ASKS */
	struct id_query query;         /* owned; ids that look as if they were on disk, and which of them are */
	atomic_uint waiting;           /* parts that have not finished the stage */
	unsigned rounds;               /* claims made again */
	struct part *parts;            /* one a shard; owned */
	struct message done;           /* handed to env->done */
	void (*after)(struct batch *batch);    /* net/'s own: on the loop, durable */
	void *context;                 /* net/'s own */
};

/* Rows filled in, everything else zero: starts the batch in the shards.  `post` as in env.h. */
void batch_init(struct batch *batch, unsigned shard_count);
void batch_free(struct batch *batch);          /* parts and problems; not the rows */
void batch_reuse(struct batch *batch);         /* as new, without rows; parts and their memory stay */
void row_place(struct row *row);               /* hashes and partitions, from the texts */
void row_content(struct row *row);             /* content_hash, from the texts and payload_text */
struct problem *row_refuse(struct row *row);   /* marks it refused; the caller fills the problem */

/* A question.  net/ fills the first part, the shard the second. */
enum query_kind {
	QUERY_MEMBER, QUERY_TENANT, QUERY_STATS,
	/* engine/shard/ask.h */
	QUERY_REWARDS,                 /* of a member; `json` is a list, newest first */
	QUERY_LOYALTY,                 /* the member's tier and the next one; `json` is an object */
	QUERY_AWARDS,                  /* bonus awards of the tenant, newest first; `awards` */
	QUERY_AWARD                    /* one of them, by member_hash and seq; `json` is an object */
};

enum { QUERY_KINDS = QUERY_AWARD + 1 };

struct query_slice { uint64_t last_lsn, event_count; };

/* A bonus award's place in the order of all: newest first, then by member and seq, both descending. */
struct award_place {
	int64_t awarded_ms;
	uint64_t member_hash;
	uint32_t seq;
};

struct query_award {
	struct award_place place;
	size_t at, len;                /* its JSON, in `json` */
};

struct query {
	struct message message;
	enum query_kind kind;
	struct str tenant, profile;
	void *context;
	/* MEMBER */
	bool found;
	uint64_t last_lsn;
	int64_t points, status_points, lifetime_points, created_ms, active_ms;
	uint32_t event_count;
	struct buf status, attributes, tags_json;      /* owned by the query: query_free */
	int64_t debt;
	struct buf tier;                               /* key of the loyalty tier; empty: none */
	uint64_t account_lsn;                          /* head of the points account's history; 0: no account */
	uint32_t account_number;
	/* REWARDS, AWARDS: in */
	unsigned state;                                /* enum reward_state; REWARD_STATES: all */
	size_t limit, offset;
	uint32_t before_seq;                           /* REWARDS: only below it; 0: all */
	struct award_place after;                      /* AWARDS: only behind it; awarded_ms 0: all */
	struct str bonus_key;                          /* AWARDS: of this bonus; empty: of all */
	uint64_t member_hash;                          /* AWARD */
	uint32_t seq;
	/* and out */
	struct buf json, awards;                       /* owned; awards: struct query_award */
	size_t given, total;
	uint32_t next_seq;                             /* REWARDS: the next page's before_seq; 0: this was the last */
	bool too_broad;                                /* AWARDS: more would have to be looked at than is allowed */
	/* TENANT, of one shard: heads of the chains of events, tags (JSON texts, one a line), sums */
	struct query_slice *slices;    /* GROUP_COUNT; owned; NULL for an unknown tenant */
	struct buf tags;                               /* u16 length, text, … */
	__int128 sum_members, sum_liability, sum_redeemed;
	/* STATS */
	uint64_t members, ids, events, memory;
};

void query_free(struct query *query);

/* A change of configuration, or a question to the catalog.  The texts and the body are borrowed from the request. */
enum catalog_verb {
	CATALOG_CREATE, CATALOG_PATCH, CATALOG_REMOVE, CATALOG_GET, CATALOG_LIST, CATALOG_AUDIT,
	CATALOG_REMEMBER,              /* members of `body` replace those of the document's state; from the engine itself */
	CATALOG_COPY,                  /* all documents of the tenant: catalog_copy into `json`; `lsn` as with AUDIT */
	CATALOG_DUE                    /* what is due now; `json` holds DUE_MAX at most: u64 id, u16 length, tenant */
};

enum { CATALOG_VERBS = CATALOG_DUE + 1, DUE_MAX = 16, CATALOG_ACTOR_MAX = 200 };

struct catalog_request {
	struct message message;
	enum catalog_verb verb;
	const struct kind *kind;
	struct str tenant;
	uint64_t id;
	yyjson_val *body;
	struct catalog_filter filters[CATALOG_FILTERS_MAX];
	size_t filter_count, limit, offset;
	struct catalog_place after;    /* LIST */
	bool dry_run;
	struct version_match match, none_match;    /* PATCH, REMOVE */
	struct str actor;              /* who asks, for the audit; at most CATALOG_ACTOR_MAX bytes */
	uint64_t at_version;           /* REMEMBER: a conflict unless the document has this version; 0: any */
	void *context;
	void (*answer)(struct catalog_request *request);       /* where the answer goes, on the loop; NULL: net/'s task */
	/* the answer */
	enum catalog_status status;
	struct problem problem;        /* owned: problem_free */
	struct buf json;               /* owned: the document, or the list */
	size_t total;                  /* LIST */
	bool more;                     /* LIST: there are more behind the last one, whose place is */
	struct catalog_place last;
	uint64_t version;              /* of the one document that is answered; 0: none */
	uint64_t lsn;                  /* of the change; AUDIT: of the tenant's last one, 0: none */
	/* handing the new view to every shard */
	struct message *views;         /* one a shard; from the change until the last shard took it */
	struct catalog_view *view;
	atomic_uint waiting;
};

#endif
