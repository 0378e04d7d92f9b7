// SPDX-License-Identifier: Apache-2.0
/* fetch.h - a backup is fetched from whoever holds a data directory's files: `tally backup` over HTTP, the simulator in its own world.
 *
 * The order is such that whatever interrupts it, the backup that was there stays whole (snapshot/backup.h):
 *
 *     the server holds its files; with no snapshot, or much log behind it, it takes one first
 *     is it the same log?  the end of what is here must be there, byte for byte
 *     each file that is new, or longer now, as NAME.part: what is there of it already is compared by hash and kept
 *     NAME.part is synced, read back for its hash, renamed
 *     frames, records' checksums and the snapshot's pieces are verified
 *     the manifest is renamed into place; what it no longer names is removed
 */
#ifndef SNAPSHOT_FETCH_H
#define SNAPSHOT_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/str.h"
#include "snapshot/backup.h"

enum fetch_status {
	FETCH_RETRY = -1,              /* of `take` only: nothing came, or it is broken */
	FETCH_DONE = 0,
	FETCH_REFUSED = 1,             /* what is here or there is damaged, or does not fit */
	FETCH_FAILED = 2,              /* the server or a disk failed: the same call goes on where it stopped */
	FETCH_AGAIN = 3                /* the server no longer holds the files */
};

enum { FETCH_FLIGHT = 2 /* pieces under way */, FETCH_HASH_RANGE = 64 << 20 /* bytes of one question for a hash */ };

enum fetch_progress { FETCH_BEGINS, FETCH_GOT, FETCH_LESS, FETCH_ENDS };

/* Where files come from.  Each says itself what went wrong where it returns FETCH_FAILED. */
struct fetch_source {
	void *context;
	const char *name;              /* of the server */
	int (*lock)(void *context);    /* the folder is made where it is missing, and is this process's from now on */
	/* What is held: LSNs, time, files without hashes, newest snapshot first; and how many bytes may be asked for at once. */
	int (*hold)(void *context, struct backup *held, size_t *piece);
	int (*snapshot)(void *context);        /* lets go, and has one taken if that can be */
	int (*hash)(void *context, const char *file, uint64_t offset, uint64_t size, uint8_t hash[BACKUP_HASH]);
	/* A piece is asked for in a slot below FETCH_FLIGHT, and waited for; its bytes stay until the slot is used again. */
	void (*ask)(void *context, unsigned slot, const char *file, uint64_t offset, size_t size);
	int (*take)(void *context, unsigned slot, struct str *bytes);
	void (*forget)(void *context);         /* what was asked for and not taken */
	void (*let_go)(void *context);
	void (*say)(void *context, const char *line);
	void (*wait)(void *context, unsigned ms);
	void (*progress)(void *context, enum fetch_progress what, uint64_t bytes);
};

struct fetch_order {
	const char *dir;               /* a backup already, or empty, or not there */
	bool state_only;               /* only the log that the newest snapshot needs, where nothing older is there already */
	uint64_t rate;                 /* bytes a second; 0: as fast as it goes */
	unsigned keep;                 /* snapshots that stay; 0: all */
};

struct fetch_outcome {
	struct backup backup;          /* the manifest that was written; backup_free it */
	uint64_t fetched;              /* bytes that came */
	uint64_t snapshot;             /* `end` of its newest snapshot; 0: none */
};

/* A fetch_status, but for AGAIN and RETRY. */
int fetch_run(const struct fetch_order *order, const struct fetch_source *source, struct fetch_outcome *outcome);

#endif
