// SPDX-License-Identifier: Apache-2.0
/* reward.h - what happens to a member's rewards without an event: one is used, those past their end expire.
 *
 * A reward past its end cannot be used, whether or not its expiry is written down yet: what counts is the time of the command.
 */
#ifndef ENGINE_EVENT_REWARD_H
#define ENGINE_EVENT_REWARD_H

#include "engine/shard/batch.h"

struct member;

/* By one command, the rest by the next: so few that the bound of the record fits the smallest ring, whatever the names. */
enum { REWARDS_EXPIRED_MAX = 12 };

uint32_t reward_bound(const struct row *row);
/* Appends an ACTION record and returns true, or refuses: customer_unknown, not_found (404), reward_used, reward_expired,
 * reward_revoked, nothing_due (409). */
bool reward_decide(struct row *row, const struct member *member, int64_t now_ms, struct buf *out);

#endif
