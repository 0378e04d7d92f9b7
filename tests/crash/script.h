// SPDX-License-Identifier: Apache-2.0
/* script.h - a run of a server that does everything a log goes through, the same every time, and the proof that nothing
 * acknowledged was lost wherever it ended.
 *
 * A new directory, configuration, events over several segments' ends, packed transfers, a repeat, a snapshot, an idle log, a crash that
 * leaves a torn tail, a start with another number of shards, more of it, a clean stop, one more start.  About 2.7 MB of log.
 */
#ifndef TESTS_CRASH_SCRIPT_H
#define TESTS_CRASH_SCRIPT_H

#include "tests/crash/injection.h"
#include "tests/crash/journal.h"
#include "tests/crash/transfers.h"

struct script {
	struct process process;
	struct journal journal;
	struct transfers transfers;
	struct inject *page;           /* borrowed; its counter tells when the log has fallen idle */
	unsigned shards;               /* of the first start */
	bool ready;                    /* it was ready at least once */
	unsigned waits;                /* answers 507 that were waited out */
};

void script_new(struct script *script, unsigned shards);   /* folder and page */
void script_free(struct script *script);                   /* with the folder */

/* True: to its end.  False: a server ended by itself on the way; see process_status and process_said. */
bool script_run(struct script *script);

/* Checks and starts what the run has left, without injection: all that was acknowledged is there once, what was not is
 * there whole or not at all; sends all of it again; checks the books. */
void script_verify(struct script *script);

#endif
