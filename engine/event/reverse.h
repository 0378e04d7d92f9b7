// SPDX-License-Identifier: Apache-2.0
/* reverse.h - undoing an event: a return, a cancelled purchase, a mistake.
 *
 * A reversal is an event of its own, with its own id, that names the one it undoes; what was spent since cannot be undone, so a
 * policy says what becomes of it.  Each effect of the first event has its opposite in effect_kinds; where that is no more
 * possible (a reward that was used, a status that changed since) the reversal says so and goes on.
 */
#ifndef ENGINE_EVENT_REVERSE_H
#define ENGINE_EVENT_REVERSE_H

#include "engine/base/u128.h"
#include "engine/event/ingest.h"

enum reverse_policy {
	REVERSE_LEFT,                  /* what is left of the event's own points: those that came first were spent first */
	REVERSE_ZERO,                  /* all its points, as far as the balance goes: down to zero */
	REVERSE_DEBT,                  /* all its points; what is missing is owed, and paid by what is earned next */
	REVERSE_POLICIES
};

extern const char *const reverse_policy_names[REVERSE_POLICIES + 1];       /* "left", "zero", "debt"; ends with NULL */

/* For `spent`, below: points that one later event took out of the account, as far as they can have been those of the event at
 * `since`.  `undone` is the LSN of the event that this later one reverses, 0: it is no reversal.  The reversal of an event
 * behind `since` takes back what that event did; that of an earlier one took points away. */
i128 reverse_spent(const struct event_view *later, uint64_t undone, uint64_t since);

/* row->original is the record of the event; for REVERSE_LEFT row->spent is what left the account behind it, up to the record
 * row->head_lsn, and the row is refused with `moved_on` (409) where the account has moved on since. */
uint32_t reverse_bound(const struct row *row);
bool reverse_decide(struct row *row, const struct member *member, const struct ingest *context, struct buf *out);

#endif
