// SPDX-License-Identifier: Apache-2.0
/* act.h - running one action of a rule: what it does to the scratch, and the effects that say so. */
#ifndef ENGINE_EVENT_ACT_H
#define ENGINE_EVENT_ACT_H

#include "engine/catalog/action.h"
#include "engine/event/facts.h"
#include "engine/event/record.h"

enum { ERROR_TEXT_MAX = 160, EMIT_DEPTH_MAX = 3 };

struct act {
	const struct facts *facts;
	struct scratch *scratch;
	struct buf *out;               /* effects are appended here */
	unsigned effect_count;         /* of them */
	unsigned depth;                /* 0: rules of the event itself; n: of an event that was emitted so deep */
	char error[ERROR_TEXT_MAX];    /* why it failed */
};

/* False with act->error; then the caller takes scratch and effects back to where they were. */
bool act_run(struct act *act, const struct action *action);

/* An upper bound of the bytes of one action's effects. */
size_t act_bound(const struct action *action, const struct catalog_view *view);

#endif
