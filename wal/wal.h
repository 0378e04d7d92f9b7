// SPDX-License-Identifier: Apache-2.0
/* wal.h - the log: an endless sequence of bytes, cut into frames, kept in segment files.
 *
 * A log sequence number (LSN) is a byte position in that sequence.  Shards take room, fill a frame and publish it; the
 * log step writes everything complete with one durable write (group commit happens by itself) and publishes the durable
 * LSN. The log knows bytes, no record kinds.
 *
 *     shard:  wal_credit(bound)  ->  [decide: at most `bound` body bytes]  ->  wal_append(body)  ->  LSN
 *     log:    wal_step()         ->  durable LSN moves
 *
 * Invariants
 *   - released <= durable <= appended; a frame never crosses a segment's end (the rest is a filler frame)
 *   - an append within its credit never fails and never waits: room in the ring and in zero-written segments was set
 *     aside
 *   - every start of a writer takes the next epoch and makes an opening frame durable at the cut before anything else
 *   - a failed durable write ends the process (on_fatal); a full disk only makes wal_credit answer WAL_DISK_FULL
 *
 * Threads: wal_credit/wal_append from any shard thread, each with its own wal_producer; wal_step from one thread at a
 * time; wal_durable, wal_read_* from any thread.
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

enum { WAL_PRODUCERS_MAX = 64, WAL_FRAME_HEADER = 48, WAL_ALIGN = 8, WAL_BLOCK = 4096 };

enum wal_frame_kind {
	WAL_FRAME_FILLER = 0,          /* room that was taken and not needed; its body is not looked at */
	WAL_FRAME_RECORDS = 1,
	WAL_FRAME_OPEN = 2,            /* first frame of an epoch */
	WAL_FRAME_MARK = 3,            /* empty; body = durable LSN (u64) when the log fell idle or stopped cleanly */
};

/* One frame as readers see it.  docs/log-format.md has the bytes. */
struct wal_frame {
	uint64_t lsn;                  /* position of the header */
	uint32_t size;                 /* header, body and padding; a multiple of WAL_ALIGN */
	uint32_t body_size;
	uint32_t epoch;
	uint16_t kind;                 /* enum wal_frame_kind */
	int64_t time_ms;               /* of the decision; never goes backwards */
	const unsigned char *body;     /* borrowed; its LSN is lsn + WAL_FRAME_HEADER */
};

struct wal_options {
	const char *dir;               /* the log's own folder; exists, 0700 */
	uint64_t segment_size;         /* bytes; a multiple of WAL_BLOCK; at least 64 KiB */
	uint64_t ring_size;            /* bytes; a power of two, at most segment_size */
	unsigned producers;            /* 1..WAL_PRODUCERS_MAX */
	uint64_t known;                /* all below is known to have been durable: where it ends before, it is damaged */
	bool stepped;                  /* no thread makes the next segment: the caller does, by wal_maker_step */
	bool direct;                   /* O_DIRECT+O_DSYNC; falls back to write+fdatasync where the file system refuses */
	void (*log)(void *context, const char *level, const char *message);    /* one readable line */
	void (*fatal)(void *context, const char *message);                     /* must not return */
	void (*progress)(void *context, uint64_t done, uint64_t total);        /* of opening, in bytes; may be NULL */
	void *progress_context;
	void *context;
};

struct wal;                            /* opaque */
struct wal_producer;                   /* opaque; one a shard */

/* Reads one frame, in LSN order: wal_open gives frames of kind RECORDS only, wal_verify every kind.  `context` as
 * given. Return false to stop (a bug: the log is refused). */
typedef bool wal_replay_fn(void *context, const struct wal_frame *frame);

/* Opens the log for writing: finds the newest segment, replays every frame from `from` (0: from the beginning) through
 * `replay`, cuts a torn tail (saying what), takes the next epoch and makes its opening frame durable.  On damage to
 * anything acknowledged (a later valid frame or durable mark stands behind it) returns NULL with *error naming file,
 * LSN and bytes. */
struct wal *wal_open(const struct wal_options *options, uint64_t from, wal_replay_fn *replay, void *context,
		     struct buf *error);
void wal_close(struct wal *wal);       /* appends the mark, makes all durable, closes */

struct wal_producer *wal_producer_at(struct wal *wal, unsigned index);
uint32_t wal_frame_max(const struct wal *wal);     /* the greatest `bound` that wal_credit takes, in body bytes */

enum wal_room { WAL_ROOM, WAL_RING_FULL, WAL_DISK_FULL };

/* Sets aside room for one frame of at most `bound` body bytes.  WAL_RING_FULL: try again after a step (also said while
 * the next segment is still being made, and now and then when two ask at once: never count it as an error);
 * WAL_DISK_FULL: refuse the write.  A producer holds at most one credit; it ends with wal_append or wal_credit_drop. */
enum wal_room wal_credit(struct wal_producer *producer, uint32_t bound);
void wal_credit_drop(struct wal_producer *producer);

/* Takes the position for a frame of `body_size` bytes (<= the credit).  Between begin and publish there must be only
 * the stamping and copy.  Returns the LSN of the body's first byte; *body points at room for body_size bytes in the
 * ring. */
uint64_t wal_append_begin(struct wal_producer *producer, uint32_t body_size, unsigned char **body);
/* Ends the append: checksums, publishes.  `body_hash` is XXH3-64 of the body as now in the ring.  Returns the frame's
 * end LSN: the frame is durable when wal_durable() >= that. */
uint64_t wal_append_publish(struct wal_producer *producer, int64_t time_ms, uint64_t body_hash);

/* Writes what is complete, durably, and publishes.  Returns true if it wrote something.  Also takes freshly zeroed
 * segments over from the background and marks an idle log (call it once more when nothing was written and `idle` is
 * true). */
bool wal_step(struct wal *wal, bool idle);
/* With `stepped`: makes the next segment if it is missing; true if it did.  For who has one thread, or owns time. */
bool wal_maker_step(struct wal *wal);
uint64_t wal_durable(const struct wal *wal);       /* all bytes below it are on stable storage */
uint64_t wal_appended(const struct wal *wal);      /* all bytes taken */
uint64_t wal_first(const struct wal *wal);         /* oldest LSN still on disk */
/* From where history exists: that LSN, and the time of the frame there (0: it cannot be read).  May read the disk, once. */
uint64_t wal_history(const struct wal *wal, int64_t *time_ms);
/* The segment that holds `lsn`: [*base, *end).  False: dropped, or not made yet. */
bool wal_segment_at(const struct wal *wal, uint64_t lsn, uint64_t *base, uint64_t *end);
/* Bytes of the segments that are there, and how many. */
uint64_t wal_kept(const struct wal *wal, uint64_t *segments);
/* Drops the oldest segment for ever, if all of it lies below `lsn` and is durable.  0: done; ENOENT: it does not; else an errno,
 * and it may be tried again.  Readers in it are told that it is pruned.  One thread at a time. */
int wal_drop_oldest(struct wal *wal, uint64_t lsn);
uint32_t wal_epoch(const struct wal *wal);
int64_t wal_last_time(const struct wal *wal);      /* the greatest time_ms found when it was opened; 0 for a new log */
bool wal_disk_full(const struct wal *wal);

/* Copies `size` bytes at `lsn` into `out` from the segments.  Everything asked for
 * must be below wal_durable().  False: pruned, or outside the log. */
bool wal_read(const struct wal *wal, uint64_t lsn, void *out, size_t size);

/* Whether the frame that holds the record at `lsn` is whole, by its checksums: what wal_read gives of the record is what was written.
 * To be asked for each record that is not read while frames are walked in order.  False: it cannot be read, or it is damaged, which is
 * told with file, LSN and bytes; or it is pruned meanwhile (wal_first). */
bool wal_check(const struct wal *wal, uint64_t lsn);
/* The same without a word, of an LSN that somebody outside has named: what is not there need not be damaged. */
bool wal_holds(const struct wal *wal, uint64_t lsn);

struct wal_stats {
	uint64_t writes, bytes, segments;          /* since the start */
	uint64_t last_write_ns, last_write_bytes;  /* of the last durable write: feed for histograms */
};
void wal_stats(const struct wal *wal, struct wal_stats *stats);

/* What there is of a log in a folder: [*first, *end) by its files, zeros at the end included.  False: no file, or one is missing. */
bool wal_extent(const char *dir, uint64_t *first, uint64_t *end);

/* Off-line and read-only: walks every frame of a stopped (or running) log and verifies it.  Returns false with *error
 * naming file, LSN and bytes on damage; a torn tail is not damage and is told in *torn (empty: none). */
bool wal_verify(const char *dir, uint64_t from, wal_replay_fn *each, void *context, struct buf *error,
		struct buf *torn);
/* The same for a part that must be whole: every byte before `to`, which is a frame's end, and nothing behind it.  0: to the end. */
bool wal_verify_to(const char *dir, uint64_t from, uint64_t to, wal_replay_fn *each, void *context, struct buf *error,
		   struct buf *torn);

#endif
