// SPDX-License-Identifier: Apache-2.0
/* restore.h - a backup becomes a data directory again, as it was at its end or at an earlier moment.
 *
 * "At time T" is the highest LSN up to which no frame is later than T.  The log is cut there, at a frame's end; the rest of the last
 * segment is zeros, so a server opens it as it would after a crash at that moment, in the next epoch.  Snapshots that know of
 * anything behind the cut are left out.
 */
#ifndef SNAPSHOT_RESTORE_H
#define SNAPSHOT_RESTORE_H

#include "snapshot/backup.h"

enum restore_target { RESTORE_END, RESTORE_LSN, RESTORE_TIME };

struct restore {
	/* in */
	const char *from, *dir;        /* folder of the backup; data directory, which is there and holds nothing but a lock */
	const struct backup *backup;   /* borrowed; its files were verified */
	enum restore_target target;
	uint64_t lsn;                  /* RESTORE_LSN */
	int64_t time_ms;               /* RESTORE_TIME */
	backup_progress_fn *progress;  /* may be NULL */
	void *context;
	/* out */
	uint64_t cut;                  /* LSN where the log ends then */
	int64_t cut_ms;                /* the greatest time of the frames before it */
	uint64_t snapshot;             /* `end` of the newest one that is taken; 0: none, the log is replayed from its beginning */
	uint64_t bytes;                /* to be copied */
};

/* The folder: empty, not there, or left by a restore that was interrupted.  False with a line in `error`: it is neither. */
bool restore_folder_free(const char *dir, struct buf *error);
/* It is there, and this process's: marks it with RESTORE_UNFINISHED, durably, and empties it of what an interrupted restore left. */
bool restore_folder_take(const char *dir, struct buf *error);
/* All is there: takes the mark away, durably. */
bool restore_folder_done(const char *dir, struct buf *error);

/* Finds where to cut, and what to take.  False with a line in `error`: the backup does not reach there. */
bool restore_plan(struct restore *restore, struct buf *error);
/* Copies, durably; hashes are compared once more on the way. */
bool restore_copy(struct restore *restore, struct buf *error);

#endif
