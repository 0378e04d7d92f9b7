// SPDX-License-Identifier: Apache-2.0
/* scene.h - one server on one directory through all rounds of a test: calls are injected into it, it is killed, and started again. */
#ifndef TESTS_CRASH_SCENE_H
#define TESTS_CRASH_SCENE_H

#include "tests/crash/injection.h"
#include "tests/crash/journal.h"

struct scene {
	const char *const *options;    /* of the server; ended by NULL */
	struct process process;
	struct journal journal;
	struct inject *page;
	struct connection connection;
	unsigned shards;
	uint64_t seed;
	char data[FOLDER_PATH + 8];
	char archive[FOLDER_PATH + 16];        /* a folder beside it, which nobody has made yet */
};

/* A new folder, and a server behind tests/crash/inject/LIBRARY.c, configured by the journal. */
void scene_begin(struct scene *scene, const char *library, const char *const *options);
void scene_serve(struct scene *scene);         /* as process_serve */
void scene_end(struct scene *scene);

/* What `tally dump` says of a directory that no server works on; `text` is made new. */
void dump_read(const char *data, bool log_only, struct buf *text);
/* Law L5: the state from snapshots and ids on disk is that of the log alone.  What a torn tail is told about goes the same way in both. */
void dumps_compare(const struct scene *scene);

#endif
