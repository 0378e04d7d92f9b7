// SPDX-License-Identifier: Apache-2.0
/* effect.h - the table of effects: everything that can happen to a member, what its text holds, what undoes it.
 *
 * An effect says what became of the member, never why: applying it needs no rule and no clock.  What it was before stands in it
 * where undoing it needs that.  Texts begin with one of the structs below (little-endian), where there is one.
 */
#ifndef ENGINE_EVENT_EFFECT_H
#define ENGINE_EVENT_EFFECT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/event/record.h"

enum undo {
	UNDO_NOTHING,                  /* it changed nothing, or is itself part of another effect's undoing */
	UNDO_EARN, UNDO_DEBT, UNDO_BURN, UNDO_STATUS, UNDO_TAG, UNDO_STATUS_POINTS, UNDO_REWARD, UNDO_BONUS, UNDO_COUNT,
	UNDO_WEBHOOK, UNDO_KINDS
};

struct effect_kind {
	const char *name;              /* "EARN" */
	const char *word;              /* what the text is called in JSON, "status"; NULL: it has none */
	size_t text_min;               /* bytes that the text has at least: the struct in front */
	bool points, balance;          /* whether they mean something to a reader */
	int moves;                     /* points of the balance: 1 up, -1 down, 0 not */
	enum undo undo;
	const char *doc;
};

extern const struct effect_kind effect_kinds[EFFECT_TYPES];     /* [0] is empty */

/* Bytes of text that an effect of this type has at least; more than fit for a type that there is not. */
static inline size_t effect_text_min(unsigned type)
{
	return type < EFFECT_TYPES && effect_kinds[type].name ? effect_kinds[type].text_min : SIZE_MAX;
}

struct effect_reward {                 /* EFFECT_REWARD_ISSUED; behind it the reward's name */
	uint64_t reward;               /* its id */
	int64_t expires_ms;            /* 0: never */
	uint32_t seq;                  /* the member's how manieth reward or bonus: half of its id outward */
	uint32_t reserved;
};

struct effect_seq {                    /* EFFECT_REWARD_USED, _EXPIRED, _REVOKED; behind it the reward's name */
	uint32_t seq, state_before;    /* enum reward_state */
};

struct effect_bonus {                  /* EFFECT_BONUS, _BONUS_WITHDRAWN; behind it the bonus's key */
	uint32_t seq, period;          /* limit_period_of */
};

struct effect_counted {                /* EFFECT_COUNTED */
	uint64_t key;                  /* of the rule's limit */
	uint32_t period, count;        /* after; 0 after a reversal of the only one */
};

struct effect_taken {                  /* EFFECT_EARN_REVERSED; what was taken beside the balance, and what is owed now */
	int64_t lifetime, status, debt;
};

/* The text for people: behind the struct, up to a zero byte (behind which stands what was before). */
struct str effect_word(const struct effect_view *effect);
/* What stands behind the zero byte; false where there is none. */
bool effect_before(const struct effect_view *effect, struct str *before);
/* The struct in front of the text; `size` is at most text_min of the type. */
void effect_struct(const struct effect_view *effect, void *out, size_t size);

/* Appends one: `fixed` (may be NULL) and then the word. */
void effect_put(struct buf *out, enum effect_type type, unsigned action, int64_t points, int64_t balance, const void *fixed,
		size_t fixed_len, struct str word);

/* Makes an effect real on a member, all but what the ledger keeps: points and their sums.  False: it does not fit the member as
 * it is, which is then as it was. */
struct member;
bool effect_on_member(struct member *member, const struct effect_view *effect, int64_t time_ms);

/* One whose word is `now`, with `before` behind a zero byte, so that it can be undone. */
void effect_put_change(struct buf *out, enum effect_type type, unsigned action, int64_t balance, struct str now, struct str before);

/* Ids outward of a member's rewards and bonus awards: 16 hex digits of the member's hash, '-', seq. */
void member_item_id(struct buf *out, uint64_t member_hash, uint32_t seq);
bool member_item_id_parse(struct str text, uint64_t *member_hash, uint32_t *seq);

#endif
