// SPDX-License-Identifier: Apache-2.0
/* writer.h - takes a snapshot while traffic runs: no fork, no pause.
 *
 *     for each piece:  a message to the shard  ->  bytes at one LSN  ->  compressed, written, paced     (the writer's thread)
 *     then:            wait until the log is durable past all of it  ->  data durable  ->  manifest, renamed into place last
 *
 * A shard copies one piece between two messages (about SNAPSHOT_PIECE bytes, or one partition, a 1,024th of all), and does its
 * work until the next one is asked for.  A writer that is interrupted leaves files called new.*, which the next one removes.
 *
 * The work is steps, each of which ends where something else has to happen first; snapshot_write goes through them on a thread of
 * its own, which it may keep for long, and the simulator (tests/sim) among everything else.
 */
#ifndef SNAPSHOT_WRITER_H
#define SNAPSHOT_WRITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/shard/capture.h"

enum { SNAPSHOT_PIECE = 256 * 1024 };

/* What it needs of the world; its functions are called from the writer's thread. */
struct snapshot_source {
	void *context;
	unsigned shards;
	void (*post)(void *context, unsigned shard, struct message *message);  /* to a shard's mailbox, and wakes it */
	uint64_t (*head)(void *context);       /* LSN behind all that was appended */
	uint64_t (*durable)(void *context);
	const atomic_bool *stop;               /* becomes true: give up; NULL: never */
};

struct snapshot_order {
	const char *dir;               /* made where it is missing */
	uint64_t rate;                 /* bytes a second, before compression; 0: as fast as it goes */
	size_t piece;                  /* bytes after which a piece ends; 0: SNAPSHOT_PIECE */
	unsigned keep;                 /* so many stay, this one among them; at least 1 */
	uint64_t floor, step;          /* and others, as snapshot_thin has it */
	uint32_t epoch;
	int64_t now_ms;
};

struct snapshot_outcome {
	uint64_t from, end;            /* LSNs: replay begins there; named by this */
	uint64_t size, raw_size;       /* bytes of the data file; before compression */
	uint32_t pieces;
	uint64_t took_ns;
	uint64_t longest_ns;           /* the longest wait for a piece, which bounds the time it held a shard */
	bool unchanged;                /* the newest one there is says it all already */
};

/* A capture that has come back through env->done is handed here (capture->after), from any thread. */
void snapshot_captured(struct capture *capture);

struct snapshot_writer;                /* opaque */
enum snapshot_next {
	SNAPSHOT_WAITS,                /* for its piece: until snapshot_captured was called */
	SNAPSHOT_NAPS,                 /* for so long, or less */
	SNAPSHOT_ENDS                  /* there is nothing more to do; written or not */
};
/* All three are borrowed until the end.  Its steps may go on in another thread, one at a time. */
struct snapshot_writer *snapshot_begin(const struct snapshot_source *source, const struct snapshot_order *order, struct buf *error);
enum snapshot_next snapshot_step(struct snapshot_writer *writer, uint64_t *nap_ns);
/* Behind SNAPSHOT_WAITS: until its piece is there. */
void snapshot_await(struct snapshot_writer *writer);
/* No piece may be under way.  As snapshot_write; one that has not come to its end is given up. */
bool snapshot_end(struct snapshot_writer *writer, struct snapshot_outcome *outcome);

/* False with a line in `error`: nothing was added, older ones stay. */
bool snapshot_write(const struct snapshot_source *source, const struct snapshot_order *order, struct snapshot_outcome *outcome,
		    struct buf *error);

#endif
