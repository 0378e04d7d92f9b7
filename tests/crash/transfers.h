// SPDX-License-Identifier: Apache-2.0
/* transfers.h - packed transfers over MessagePack-RPC, numbered from 1: each moves one point from account 1 to account 2, so the
 * balance there says how many of them there are. */
#ifndef TESTS_CRASH_TRANSFERS_H
#define TESTS_CRASH_TRANSFERS_H

#include "tests/crash/process.h"

struct transfers {
	uint32_t sent, done;           /* the highest number; and the highest that was acknowledged, with all below it */
	unsigned waits;                /* refusals for a full disk that were waited out */
};

/* The accounts, and `count` transfers more, in one call.  False: the server is gone. */
bool transfers_send(struct transfers *transfers, const struct process *process, uint32_t count);
/* What was acknowledged is there and nothing that was not sent; then all are sent again, and each is there once. */
void transfers_verify(struct transfers *transfers, const struct process *process);

#endif
