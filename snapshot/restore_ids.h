// SPDX-License-Identifier: Apache-2.0
/* restore_ids.h - the runs of ids (runs.h) as they were when the log ended at an earlier LSN. */
#ifndef SNAPSHOT_RESTORE_IDS_H
#define SNAPSHOT_RESTORE_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

/* Takes every id at or behind `cut` out of the runs in `dir`, which nobody else has open.  Not safe against a crash: what is left
 * then is to be thrown away.  A folder without a manifest has none.  False with a line in `error`. */
bool restore_ids(const char *dir, uint64_t cut, struct buf *error);

#endif
