// SPDX-License-Identifier: Apache-2.0
/* recovery.h - how far a start has come: written by the threads that recover, read by whoever is asked meanwhile. */
#ifndef NET_MAIN_RECOVERY_H
#define NET_MAIN_RECOVERY_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/base/buf.h"

enum recovery_phase { RECOVERY_BEGINS, RECOVERY_SNAPSHOT, RECOVERY_LOG, RECOVERY_ENDS };

struct recovery {
	_Atomic unsigned phase;
	_Atomic uint64_t began_ns;     /* the phase; monotonic */
	_Atomic uint64_t done, total;  /* bytes of the phase; 0, 0: not known yet */
};

void recovery_phase(struct recovery *recovery, enum recovery_phase phase);         /* `recovery` may be NULL */
void recovery_progress(void *recovery, uint64_t done, uint64_t total);     /* likewise */
/* "reading the log: 12 of 400 MB, about 5 s more".  Returns those seconds, rounded up; at least 1. */
unsigned recovery_text(const struct recovery *recovery, struct buf *out);

#endif
