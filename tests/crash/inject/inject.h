// SPDX-License-Identifier: Apache-2.0
/* inject.h - a page shared by a test and the server it injects failures into.
 *
 * The Makefile builds calls.c and memory.c into build/inject-calls.so and build/inject-memory.so.  A test maps a file as
 * this struct and starts the server with LD_PRELOAD set to one of them, INJECT_PAGE to that file and, for calls,
 * INJECT_FOLDER to the folder whose files count (without links in its path).  The page outlives the server, so counts go
 * on over several starts, and the test may change its mind while the server runs.
 *
 * Invariant: a call is counted once, and hit only if its number is `at`; so at most one call is hit for each `at`.
 */
#ifndef TESTS_CRASH_INJECT_INJECT_H
#define TESTS_CRASH_INJECT_INJECT_H

#include <stdatomic.h>
#include <stdint.h>

enum { INJECT_TRACE = 8192, INJECT_PATH = 48 };

/* What a call does; `kinds` is a set of these bits. */
enum inject_kind {
	INJECT_WRITE = 1,              /* write, pwrite, writev, pwritev, pwritev2 */
	INJECT_SYNC = 2,               /* fsync, fdatasync, sync_file_range */
	INJECT_NAME = 4,               /* rename, unlink, mkdir, rmdir, link */
	INJECT_ROOM = 8,               /* fallocate, ftruncate */
	INJECT_CREATE = 16,            /* open with O_CREAT */
	INJECT_OPEN = 32,              /* open without */
	INJECT_READ = 64,              /* read, pread, preadv */
	INJECT_CHANGES = INJECT_WRITE | INJECT_SYNC | INJECT_NAME | INJECT_ROOM | INJECT_CREATE,
};

enum inject_how {
	INJECT_COUNT,                  /* nothing: only count */
	INJECT_KILL_BEFORE,            /* SIGKILL instead of the call */
	INJECT_KILL_AFTER,             /* SIGKILL when it is done */
	/* SIGKILL in the middle: of a write only these sectors of 512 bytes arrive; other calls as KILL_BEFORE. */
	INJECT_KILL_HEAD,              /* the first half */
	INJECT_KILL_TAIL,              /* the second half */
	INJECT_KILL_MIX,               /* each by the flip of a coin */
	/* The call fails, the process goes on. */
	INJECT_EIO,
	INJECT_EIO_MIX,                /* and some sectors arrived all the same */
	INJECT_ENOSPC,
	INJECT_EINTR,
	INJECT_SHORT,                  /* a write takes only a part, which it says; other calls are left alone */
	INJECT_HOWS
};

struct inject_call {
	char name[12];                 /* "pwritev" */
	char path[INJECT_PATH];        /* within the folder; cut off */
	uint32_t kind;
	int64_t offset, size;          /* of reads and writes */
};

struct inject {
	/* of calls.c */
	_Atomic uint32_t kinds;        /* which calls count; 0: none */
	_Atomic uint32_t how;
	_Atomic uint64_t at;           /* the number of the call to hit, from 1; 0: none */
	_Atomic uint64_t calls;        /* so far */
	_Atomic uint64_t hits;
	_Atomic uint64_t seed;         /* of the coin */
	_Atomic uint32_t full;         /* not 0: what needs new room on the disk fails with ENOSPC */
	_Atomic uint64_t refused;      /* how often it did */
	/* of memory.c */
	_Atomic uint64_t allocations;  /* so far */
	_Atomic uint64_t allocation_at;        /* the number of the allocation to fail, from 1; 0: none */
	_Atomic uint32_t allocation_on;        /* not 0: and all behind it */
	_Atomic uint64_t allocation_hits;
	/* of calls.c: the first INJECT_TRACE calls that counted, in order */
	struct inject_call trace[INJECT_TRACE];
};

#endif
