// SPDX-License-Identifier: Apache-2.0
/* warm.h - the end of the log is read ahead while the snapshot is loaded.
 *
 * The log is written past the page cache, so after a crash its last segments lie on the disk only, and the start would wait for them
 * when the snapshot is through.  A thread of its own reads them meanwhile, into nothing: what it does is never needed.
 */
#ifndef NET_MAIN_WARM_H
#define NET_MAIN_WARM_H

struct warm;

/* Begins with the segment that the newest snapshot in `snapshot_dir` ends in; NULL: there is none, or no thread was to be had. */
struct warm *warm_start(const char *log_dir, const char *snapshot_dir);
void warm_end(struct warm *warm);                  /* when the log itself is read; NULL is allowed */

#endif
