// SPDX-License-Identifier: Apache-2.0
/* wal_int.h - what the files of wal/ share.
 *
 * Who writes what:
 *     head, credited      any producer (compare-and-swap, add)
 *     producer.inflight   its producer; read by the step
 *     durable, out, page  the step
 *     zeroed, segments    the maker (a thread that makes segments ahead), under `lock`; zeroed is read by all
 *
 * Room: head + credited <= tail + ring_size and <= zeroed, with tail = durable rounded down to a block.
 */
#ifndef WAL_WAL_INT_H
#define WAL_WAL_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "wal/frame.h"
#include "wal/segment.h"
#include "wal/wal.h"

enum { WAL_LINE = 128, READER_FILES = 8 };

struct wal_producer {
	_Atomic uint64_t inflight;     /* no unpublished frame of its begins below; UINT64_MAX: none at all */
	struct wal *wal;
	uint64_t credit;               /* room set aside, worst case; 0: none */
	uint64_t lsn;                  /* of the frame between begin and publish */
	uint32_t bound;                /* body bytes credited */
	uint32_t body_size;
	uint16_t kind;
	bool filling;                  /* between begin and publish */
	unsigned char pad[WAL_LINE - 4 * 8 - 2 * 4 - 4];
};
_Static_assert(sizeof(struct wal_producer) == WAL_LINE, "one line pair each");

struct reader_file {
	uint64_t base;
	int fd;                        /* -1: free */
	unsigned users;
	uint64_t used;                 /* tick of the last use */
	bool dropped;                  /* its segment was: the last user closes it */
};

/* A frame whose checksums held a while ago; likewise guarded by the lock. */
enum { CHECKED_SLOTS = 1024 };
struct checked { uint64_t lsn, end, at_ns; };

struct wal {
	/* constant once open */
	struct wal_options options;
	int dir;
	uint32_t epoch;
	int64_t opened_time;
	uint64_t first_end;            /* end of the segment that holds the cut; all later ones have the option's size */
	uint32_t write_max, body_max;
	unsigned char *ring;           /* ring_size bytes, mapped twice in a row */
	struct wal_producer *producers;        /* options.producers, and one more for opening frame and marks */
	void *producers_memory;

	unsigned char pad_0[WAL_LINE];
	_Atomic uint64_t head;         /* all bytes taken */
	_Atomic uint64_t credited;     /* sum of what producers hold */
	_Atomic int64_t last_time;     /* greatest time_ms published */
	unsigned char pad_1[WAL_LINE];
	_Atomic uint64_t durable;
	_Atomic uint64_t zeroed;       /* end of the last segment there is */
	atomic_bool disk_full;
	unsigned char pad_2[WAL_LINE];

	/* the step */
	int out;                       /* descriptor of the segment being written; -1: none */
	uint64_t out_base, out_end;
	bool direct;
	uint64_t marked;               /* everything below is covered by a mark or an opening frame */
	void *page_memory;
	unsigned char *page;           /* one block, aligned: the private copy of the last partial one */
	_Atomic uint64_t writes, bytes, made, last_write_ns, last_write_bytes;

	/* the maker */
	pthread_t maker;
	bool maker_runs;
	atomic_bool stop;
	pthread_mutex_t lock;          /* of `segments` and `files` */
	pthread_cond_t wake;
	struct segments segments;
	struct reader_file files[READER_FILES];
	uint64_t tick;
	struct checked checked[CHECKED_SLOTS];
	uint64_t history_lsn;          /* that history_ms belongs to; UINT64_MAX: none yet */
	int64_t history_ms;
};

static inline uint64_t block_floor(uint64_t lsn)
{
	return lsn & ~(uint64_t)(WAL_BLOCK - 1);
}

static inline uint64_t block_ceil(uint64_t lsn)
{
	return block_floor(lsn + WAL_BLOCK - 1);
}

/* End of the segment that holds `lsn`, whether it is made already or not. */
static inline uint64_t wal_segment_end(const struct wal *wal, uint64_t lsn)
{
	if (lsn < wal->first_end)
		return wal->first_end;
	return lsn + wal->options.segment_size - (lsn - wal->first_end) % wal->options.segment_size;
}

void wal_say(const struct wal *wal, const char *level, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void wal_fatal(const struct wal *wal, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ring.c: one frame of the log's own.  False: no room now. */
bool wal_own_frame(struct wal *wal, enum wal_frame_kind kind, const void *body, uint32_t size, int64_t time_ms);
bool wal_ring_make(struct wal *wal);               /* errno is set when false */
void wal_ring_free(struct wal *wal);

/* wal.c: gives everything back and writes nothing: what the end of the process would do. */
void wal_drop(struct wal *wal);

/* maker.c */
bool wal_maker_once(struct wal *wal, struct buf *error);   /* the next segment, here and now */
void wal_maker_start(struct wal *wal);
void wal_maker_stop(struct wal *wal);
void wal_maker_wake(struct wal *wal);

#endif
