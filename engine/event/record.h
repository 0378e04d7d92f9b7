// SPDX-License-Identifier: Apache-2.0
/* record.h - what the log says: the records of members and of the catalog, byte by byte.
 *
 * All numbers little-endian; a record starts on an 8-byte position and its size is a multiple of 8.
 *
 *   every record     u32 size  u16 type  u16 partition
 *   EVENT            the struct event_head below, then the texts tenant, profile, event type, event id, source, payload,
 *                    then the executions, each an execution_head with its effects and an error text
 *   CUSTOMER         the struct customer_head below, then tenant, profile, status, attributes (JSON object), tags
 *   ACTION           the struct action_head below, then tenant, profile, then its effects: what was done to a member by itself,
 *                    without an event
 *   CATALOG          u64 length, then a catalog change of that length as engine/catalog encodes it
 *
 * A record holds effects: replaying it needs no rule, no clock and no luck.  prev_member and prev_slice are LSNs: they chain
 * a member's history and a tenant's events of one group backwards through the log.
 */
#ifndef ENGINE_EVENT_RECORD_H
#define ENGINE_EVENT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

enum record_type {
	RECORD_FILLER = 0,             /* room that was not needed */
	RECORD_EVENT = 1, RECORD_CUSTOMER = 2, RECORD_CATALOG = 3,
	RECORD_ACCOUNT = 4, RECORD_SLICED = 5, RECORD_TRANSFER = 6, RECORD_FAILED = 7, /* engine/ledger/record.h */
	RECORD_ACTION = 8
};

struct record_head {
	uint32_t size;
	uint16_t type;                 /* enum record_type */
	uint16_t partition;            /* of the actor that the record changes */
};

enum event_flags { EVENT_MEMBER_CREATED = 1, EVENT_NO_RULES = 2, EVENT_WITH_ERRORS = 4,
		   EVENT_ACCOUNT_CREATED = 8 /* the member's account comes into being with this event */,
		   EVENT_REVERSAL = 16 /* undoes another one, which the payload names */ };

struct event_head {
	struct record_head head;
	uint64_t prev_member;          /* LSN of the member's record before this one; 0: none */
	uint64_t prev_slice;           /* LSN of the event before this one in (tenant, group); 0: none */
	uint64_t prev_account;         /* LSN of the record before this one in the account's history; 0: none, or not touched */
	uint64_t id_hash;              /* names the event id's entry; its partition is partition_of(id_hash) */
	uint64_t content_hash;
	int64_t time_ms;
	int64_t points;                /* the member's balance after */
	uint32_t account;              /* number of the member's account whose points moved; 0: none did */
	uint32_t payload_len;
	uint16_t tenant_len, profile_len, type_len, id_len, source_len;
	uint8_t flags;                 /* enum event_flags */
	uint8_t execution_count_high, execution_count;
	uint8_t reserved[3];
};

enum execution_result { EXECUTION_SUCCESS = 0, EXECUTION_SKIPPED = 1, EXECUTION_FAILED = 2 };

/* Why a rule was skipped where it was not the condition: this, or a text about the limit that was reached. */
#define REASON_AUDIENCE "the customer is not in the rule's audience"

struct execution_head {
	uint64_t rule_id;
	uint8_t result;                /* enum execution_result */
	uint8_t effect_count;
	uint16_t error_len;            /* of a failed one; of a skipped one why, where it was not the condition */
	uint32_t emitted;              /* 0: a rule of the event; n: of the n-th event that its rules emitted */
};

/* What `text` holds is said by engine/event/effect.h. */
enum effect_type {
	EFFECT_EARN = 1,               /* liability -> member */
	EFFECT_BURN = 2,               /* member -> redeemed */
	EFFECT_STATUS = 3,
	EFFECT_TAG = 4,                /* a tag the member did not have */
	EFFECT_STATUS_POINTS_RESET = 5,
	EFFECT_NONE = 6,               /* an action that had nothing left to do; text says what */
	EFFECT_TIER = 7,               /* status points move by `points`, up or down */
	EFFECT_REWARD_ISSUED = 8,
	EFFECT_REWARD_USED = 9,
	EFFECT_REWARD_EXPIRED = 10,
	EFFECT_REWARD_REVOKED = 11,
	EFFECT_BONUS = 12,
	EFFECT_BONUS_WITHDRAWN = 13,
	EFFECT_COUNTED = 14,           /* a limit of the rule counted this */
	EFFECT_EMITTED = 15,           /* the rules of another event type run as well */
	EFFECT_DEBT_PAID = 16,         /* points that were earned and went to what the member owes */
	EFFECT_EARN_REVERSED = 17,     /* member -> liability */
	EFFECT_BURN_REVERSED = 18,     /* redeemed -> member */
	EFFECT_TAG_REMOVED = 19,
	EFFECT_WEBHOOK = 20,           /* another system is told, after this is durable (net/hook) */
	EFFECT_MESSAGE = 21,           /* the gateway of messages is told, likewise */
	EFFECT_TYPES
};

struct effect_head {
	int64_t points;                /* > 0 for EARN, BURN, DEBT_PAID; >= 0 for the reversed; status points taken for RESET */
	int64_t balance;               /* of the member, after */
	uint8_t type;                  /* enum effect_type */
	uint8_t action;                /* enum action_type of the rule, for display */
	uint16_t text_len;
	uint32_t reserved;
};

struct customer_head {
	struct record_head head;
	uint64_t prev_member;
	int64_t time_ms;
	uint32_t attributes_len;
	uint16_t tenant_len, profile_len, status_len, tag_count;
	uint32_t reserved;
};

enum action_op { ACTION_OP_USE_REWARD = 1, ACTION_OP_EXPIRE_REWARDS = 2, ACTION_OPS };

struct action_head {
	struct record_head head;
	uint64_t prev_member;
	int64_t time_ms;
	uint16_t tenant_len, profile_len;
	uint8_t op;                    /* enum action_op */
	uint8_t effect_count;
	uint16_t reserved;
};

/* A record taken apart; everything borrowed from its bytes. */
struct event_view {
	struct event_head head;
	struct str tenant, profile, type, id, source, payload;
	const unsigned char *executions;       /* for execution_next */
	const unsigned char *end;
	unsigned execution_count;
};

struct execution_view {
	struct execution_head head;
	const unsigned char *effects;          /* for effect_next */
	struct str error;
};

struct effect_view {
	struct effect_head head;
	struct str text;
};

struct customer_view {
	struct customer_head head;
	struct str tenant, profile, status, attributes;
	const unsigned char *tags;             /* tag_count times u16 length and text */
	const unsigned char *end;
};

struct action_view {
	struct action_head head;
	struct str tenant, profile;
	const unsigned char *effects;  /* for effect_next */
};

/* Reads the common head; false if there are fewer than `size` bytes or the size makes no sense. */
bool record_head_read(const unsigned char *bytes, size_t len, struct record_head *head);
/* True only if every length inside fits: afterwards the *_next functions stay within the record. */
bool event_view_read(const unsigned char *record, size_t len, struct event_view *view);
bool customer_view_read(const unsigned char *record, size_t len, struct customer_view *view);
bool action_view_read(const unsigned char *record, size_t len, struct action_view *view);

/* Iterate; `*at` starts as view->executions / execution->effects and moves on. */
void execution_next(const unsigned char **at, struct execution_view *execution);
void effect_next(const unsigned char **at, struct effect_view *effect);
struct str tag_next(const unsigned char **at);

/* All effects of an event, execution by execution. */
struct effects {
	struct execution_view execution;       /* that the last effect belongs to */
	const unsigned char *at, *effect;
	unsigned executions_left, effects_left;
};
struct effects effects_of(const struct event_view *event);     /* borrows what the view does */
bool effects_next(struct effects *effects, struct effect_view *effect);        /* false: there are no more */

/* Whether the rule's condition held: a rule that a limit held back has a text, too. */
static inline bool execution_matched(const struct execution_view *execution)
{
	return execution->head.result != EXECUTION_SKIPPED || (execution->error.len && !str_eq(execution->error, STR(REASON_AUDIENCE)));
}

/* Writing, into one growing buffer.  record_begin returns the record's offset; record_end pads and stores the size. */
size_t record_begin(struct buf *out, enum record_type type, unsigned partition);
uint32_t record_end(struct buf *out, size_t start);

#endif
