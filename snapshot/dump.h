// SPDX-License-Identifier: Apache-2.0
/* dump.h - all state as text, the same for the same state however it came about: live, from a snapshot, from the log, whatever
 * the number of shards (law L5).
 *
 *     tally dump 1
 *     one line for each actor, document and id; lines in order of their bytes
 *     hash 32 hex digits: XXH3-128 of everything above
 */
#ifndef SNAPSHOT_DUMP_H
#define SNAPSHOT_DUMP_H

#include <stdbool.h>
#include <stdio.h>

#include "engine/base/buf.h"
#include "engine/catalog/catalog.h"
#include "engine/shard/state.h"

/* Appends the whole text to `out`. */
void dump_text(struct state *const *states, unsigned count, const struct catalog *catalog, struct str more, struct buf *out);

/* Whether a text is a dump whose hash is right. */
bool dump_whole(struct str text);

/* Prints lines that are in one only, "- " or "+ " in front.  The number of them. */
size_t dump_diff(FILE *out, struct str a, struct str b);

#endif
