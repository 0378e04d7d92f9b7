// SPDX-License-Identifier: Apache-2.0
/* backup.h - backups of the running node, and what they restore to.
 *
 * The copier is a process of its own on a disk of its own: snapshot/fetch.c, whose source is the node.  Each time it asks the node for
 * something the whole world goes on for some steps: clients, snapshots, retention; the node may end meanwhile, and so may the copier.
 *
 *   - a backup that came to its end restores, to its end or to an LSN within, to exactly the state of the log up to there
 *   - whatever interrupts one, the one before is whole; the next goes on
 *   - a restore that was interrupted is marked, until it has come to its end; then all is there, also after a power cut
 *   - a flipped byte is named
 */
#ifndef TESTS_SIM_BACKUP_H
#define TESTS_SIM_BACKUP_H

#include "tests/sim/disk.h"

struct backups {
	bool on, running;
	unsigned one_in;
	struct disk_faults faults;     /* of the copier's disk */
	bool cuts, copier_dies, wire_fails, pins_go;
	struct disk *disk;             /* the copier's; owned */
	uint64_t end;                  /* of the newest that came to its end; 0: none */
	uint64_t made;                 /* since the folder is there */
};

#endif
