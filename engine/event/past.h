// SPDX-License-Identifier: Apache-2.0
/* past.h - a member as it was, made again from its own records: what rules could read then.
 *
 * Not for replay: it has no account.  Points come from the event that is looked at, whose record has the balance after it.
 */
#ifndef ENGINE_EVENT_PAST_H
#define ENGINE_EVENT_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/event/record.h"

struct member;

struct past {                          /* zero-initialise; past_free gives the memory back */
	struct member *member;         /* owned; NULL: none yet */
};

/* The LSN of the member's record before this one, 0: none.  False: it is no record of a member. */
bool past_previous(const unsigned char *record, size_t len, uint64_t *previous);

/* Takes the member's next record, oldest first.  False: it does not fit what came before. */
bool past_take(struct past *past, const unsigned char *record, size_t len);
/* The member before an event that may be its first. */
void past_begin(struct past *past, const struct event_view *event);
/* What one rule of it did. */
bool past_execution(struct past *past, const struct execution_view *execution, int64_t time_ms);
void past_free(struct past *past);

/* Points that an execution moved, up less down; and all of an event. */
int64_t execution_net(const struct execution_view *execution);
int64_t event_net(const struct event_view *event);

#endif
