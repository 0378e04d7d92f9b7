// SPDX-License-Identifier: Apache-2.0
/* retention.h - the log lets go of segments of RETAIN_SEGMENT bytes beside the commands. */
#ifndef TESTS_SIM_COMMANDS_RETENTION_H
#define TESTS_SIM_COMMANDS_RETENTION_H

#include "tests/sim/node.h"

enum { RETAIN_SEGMENT = 64 << 10 };

/* A segment goes when it is below the bound, the oldest first, and a snapshot stands for what was in it.  NULL, or what is wrong. */
const char *retain_step_checked(struct sim_node *node, struct disk *disk, uint64_t bytes);
/* The log grows by what changes nothing, so that there are segments to drop: a filler, as packed rows leave one.  At rest. */
void log_fill(struct sim_node *node, uint32_t size);

#endif
