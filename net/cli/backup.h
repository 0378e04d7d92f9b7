// SPDX-License-Identifier: Apache-2.0
/* backup.h - fetches a backup from a running server, for `tally backup` and `tally dump --from`. */
#ifndef NET_CLI_BACKUP_H
#define NET_CLI_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "snapshot/backup.h"

struct backup_order {
	const char *command;           /* "backup": begins every line on stderr */
	const char *url;
	const char *dir;               /* made where it is missing; else empty, or a backup already */
	bool state_only;               /* only the log that the newest snapshot needs, where nothing older is there already */
	bool quiet;                    /* no progress, no line about what goes well */
	uint64_t rate;                 /* bytes a second; 0: as fast as it goes */
	unsigned keep;                 /* snapshots that stay in DIR; 0: all */
};

struct backup_outcome {
	struct backup backup;          /* the manifest that was written; backup_free it */
	uint64_t fetched;              /* bytes that came over the wire */
	uint64_t snapshot;             /* `end` of its newest snapshot; 0: none */
};

/* What a server answers to POST /v1/backups. */
struct backup_listing {
	struct backup files;           /* no hashes */
	char id[20];                   /* of the held files; "": none */
	size_t piece;                  /* bytes the server gives at a time */
};

/* Adds to held->files (the caller's to free, in either case).  False: it is not understood.  Every path is checked: it becomes a file's name. */
bool backup_listing_read(struct str json, struct backup_listing *held);

/* The exit status: 0 done; 1 refused: what is in DIR or on the server is damaged or does not fit; 2 the server or the disk
 * failed: the same command goes on where it stopped; 64 wrong use.  A line on stderr says what. */
int backup_fetch(const struct backup_order *order, struct backup_outcome *outcome);

#endif
