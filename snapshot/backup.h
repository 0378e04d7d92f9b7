// SPDX-License-Identifier: Apache-2.0
/* backup.h - a backup: a data directory's files and a manifest over them.  docs/backup-format.md has the bytes.
 *
 *     DIR/manifest                     every file with its length and hash, and the LSNs; renamed into place last
 *     DIR/seed, log/…, snapshots/…     as in a data directory
 *     DIR/ids/manifest.0123…           the same with the first half of its hash, as it changes under one name; ids/manifest is
 *                                      the newest one's copy, for who reads the folder like a data directory
 *     DIR/unfinished                   the first backup into DIR is not through yet
 *     DIR/log/….part, manifest.new     a file that is being fetched, a manifest that is being written
 *
 * Invariants
 *   - what a manifest names was durable before it got its name; a later backup into the same folder only adds: the open segment
 *     grows behind the bytes that the manifest covers, and is replaced by rename
 *   - so whatever interrupts a backup, the one before stays whole, and the next one goes on
 *   - a manifest is believed only as a whole: its last line is the hash of all others
 */
#ifndef SNAPSHOT_BACKUP_H
#define SNAPSHOT_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

enum { BACKUP_VERSION = 1, BACKUP_PATH = 64, BACKUP_HASH = 16 };
#define BACKUP_MANIFEST "manifest"
#define BACKUP_UNFINISHED "unfinished"
#define RESTORE_UNFINISHED "restoring"         /* in the data directory that a restore makes, until it is through */

struct backup_file {
	char path[BACKUP_PATH];        /* within the folder: "log/0000000000000000.log" */
	uint64_t bytes;                /* covered by the hash */
	uint64_t size;                 /* of the file; zeros behind `bytes` */
	uint8_t hash[BACKUP_HASH];     /* XXH3-128 of the first `bytes`, big-endian */
};

struct backup {
	int64_t made_ms;               /* when the server held the files, since 1970 */
	uint64_t first, end;           /* LSNs: the log in it, [first, end) */
	int64_t time_ms;               /* of its last frame */
	uint32_t epoch;                /* likewise */
	struct backup_file *files;     /* owned; seed, then the log in its order, then the rest */
	size_t count;
};

void backup_free(struct backup *backup);
void backup_add(struct backup *backup, const struct backup_file *file);
const struct backup_file *backup_find(const struct backup *backup, const char *path);
bool backup_path_good(struct str path);            /* one that may stand in a manifest: none leads out of the folder */
/* LSN of the first byte of a segment's file, by its path. */
bool backup_segment(const char *path, uint64_t *base);
/* A server's file that changes under its name ("ids/manifest") has its hash behind the name in a backup, so that the one before
 * stays: writes that name, or finds the server's again.  False: the path is none of these. */
bool backup_name(const char *path, const uint8_t hash[BACKUP_HASH], char name[BACKUP_PATH]);
bool backup_unname(const char *name, char path[BACKUP_PATH]);
/* The `end` of a snapshot's data or manifest, by its path. */
bool backup_snapshot(const char *path, uint64_t *end);

void backup_encode(const struct backup *backup, struct buf *out);
/* False with a line in `error`: damaged, or of a newer version.  *backup is to be freed in either case. */
bool backup_decode(struct str text, struct backup *backup, struct buf *error);

/* True: there is a manifest, and it was read, or *bad is set with a line in `error`.  False: there is none. */
bool backup_read(const char *dir, struct backup *backup, bool *bad, struct buf *error);
bool backup_write(const char *dir, const struct backup *backup, struct buf *error);    /* durable, in place by rename */

/* Adds up; called with bytes as they are read or written. */
typedef void backup_progress_fn(void *context, uint64_t bytes);

/* The hash of a file's first `bytes`.  False with a line in `error`, which names `shown`. */
bool backup_hash(const char *path, const char *shown, uint64_t bytes, uint8_t hash[BACKUP_HASH], backup_progress_fn *progress,
		 void *context, struct buf *error);
/* Every file against its length and hash.  Each that differs is a line in `error`; false if there is one. */
bool backup_verify(const char *dir, const struct backup *backup, backup_progress_fn *progress, void *context, struct buf *error);
uint64_t backup_bytes(const struct backup *backup);        /* sum over the files */

#endif
