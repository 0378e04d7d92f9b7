// SPDX-License-Identifier: Apache-2.0
/* actions.h - bodies of rules, whose actions are made out of the table of actions (engine/catalog/action.h): one that is declared is
 * exercised from then on, and the model of the rules refuses to go on until it understands it. */
#ifndef TESTS_SIM_ACTIONS_H
#define TESTS_SIM_ACTIONS_H

#include "tests/sim/oracle.h"

/* A text that names something of which there is little: a status, a tag, a colour. */
const char *name_draw(uint64_t *seed);

/* A rule's body; `type` NULL: a patch. */
void rule_write(struct buf *out, const char *type, const struct oracle *oracle, unsigned tenant, uint64_t *seed);

#endif
