// SPDX-License-Identifier: Apache-2.0
/* tail.h - the thread behind the log: footers of sealed segments, and what becomes of old segments.  It runs at a lower priority
 * than what answers requests, and nothing waits for it. */
#ifndef NET_MAIN_TAIL_H
#define NET_MAIN_TAIL_H

#include "net/main/retain.h"

struct tail;

/* Both are borrowed.  NULL: the thread cannot be started. */
struct tail *tail_start(struct footers *footers, struct retain *retain, const struct wal *wal);
void tail_stop(struct tail *tail);     /* gives up what it is at, and waits for it */

#endif
