// SPDX-License-Identifier: Apache-2.0
/* selector.h - asking one member whether a selector holds for it. */
#ifndef ENGINE_JOB_SELECTOR_H
#define ENGINE_JOB_SELECTOR_H

#include "engine/rule/selector.h"

struct catalog_view;
struct member;

struct selection {
	const struct rule *rule;
	int64_t now_ms;                /* "today" */
	int64_t zone_ms;               /* local time less UTC, then */
};

/* False as well where the evaluation fails: such a member is not selected. */
bool selector_matches(const struct selection *selection, const struct member *member, const struct catalog_view *view,
		      struct rule_arena *arena);

#endif
