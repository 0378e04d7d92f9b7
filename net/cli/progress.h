// SPDX-License-Identifier: Apache-2.0
/* progress.h - how far a command has come with its bytes, on stderr: a bar with rate and time left on a terminal, a line every tenth
 * otherwise (none for what is done within a second). */
#ifndef NET_CLI_PROGRESS_H
#define NET_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *title;             /* borrowed: "copying" */
	uint64_t total, done;          /* bytes */
	double started, shown;         /* seconds of a clock that only goes on */
	unsigned tenth;
	bool terminal, bar;
	bool silent;                   /* the caller's: shows nothing */
};

void progress_begin(struct progress *progress, const char *title, uint64_t total);
void progress_add(void *progress, uint64_t bytes);         /* a backup_progress_fn */
void progress_end(struct progress *progress);              /* where it stands stays to be seen */
void progress_clear(struct progress *progress);            /* room for a line of another kind */

#endif
