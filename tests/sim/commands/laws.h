// SPDX-License-Identifier: Apache-2.0
/* laws.h - what the tables say about an answer, for whoever holds answers against them. */
#ifndef TESTS_SIM_COMMANDS_LAWS_H
#define TESTS_SIM_COMMANDS_LAWS_H

#include "net/surface/reference.h"

/* Whether the operation lists this answer.  `reference` NULL: of no route.  `code`: of a problem, "" where it has none; NULL
 * where no body could tell: any of that status.  `any`: whatever the list of codes has. */
bool law_listed(const struct reference *reference, int status, const char *code, bool any);

/* The refusal uses up the transfer's id: that is something to remember. */
bool law_burns(const char *code);

#endif
