// SPDX-License-Identifier: Apache-2.0
/* ask.h - what a shard says of its members' rewards, bonuses and tiers.  Reads only; bounded by the query's limit and, for
 * awards, by AWARDS_LOOKED_MAX. */
#ifndef ENGINE_SHARD_ASK_H
#define ENGINE_SHARD_ASK_H

#include "engine/shard/batch.h"
#include "engine/shard/state.h"

enum { AWARDS_LOOKED_MAX = 1000000 };

extern const char *const reward_state_names[REWARD_STATES + 1];    /* ends with NULL */

/* QUERY_REWARDS to QUERY_AWARD. */
void ask_run(struct state *state, struct query *query, int64_t now_ms);

/* What QUERY_MEMBER says beside the plain fields: debt, tier, the head of the account. */
void ask_member(const struct member *member, struct query *query);

/* Below zero: `a` comes first in a list. */
int award_place_order(const struct award_place *a, const struct award_place *b);

#endif
