// SPDX-License-Identifier: Apache-2.0
#include "engine/job/selector.h"

#include "engine/event/facts.h"
#include "engine/shard/state.h"

bool selector_matches(const struct selection *selection, const struct member *member, const struct catalog_view *view,
		      struct rule_arena *arena)
{
	struct scratch scratch;
	scratch_of(&scratch, NULL, member, member_points(member));
	struct facts facts = { .profile = member_profile(member), .member = member, .scratch = &scratch, .view = view,
			       .now_ms = selection->now_ms, .zone_ms = selection->zone_ms, .arena = arena };
	struct rule_input input = { .lookup = facts_lookup, .context = &facts };
	struct rule_value value;
	char error[160];
	rule_arena_reset(arena);
	bool chosen = rule_eval(selection->rule, &input, arena, &value, error) && rule_truthy(&value);
	facts_end(&facts);
	return chosen;
}
