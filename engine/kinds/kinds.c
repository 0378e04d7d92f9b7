// SPDX-License-Identifier: Apache-2.0
/* kinds.c - the list of the kinds.  A new one is a file here, a line in kinds.h and a line in this list. */
#include "engine/kinds/kinds.h"

const struct kind *const kinds_builtin[] = {
	&kind_event_type, &kind_rule, &kind_reward, &kind_loyalty_tier, &kind_bonus_definition, &kind_campaign,
	&kind_internal_job, NULL
};
