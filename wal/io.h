// SPDX-License-Identifier: Apache-2.0
/* io.h - everything that the log, its snapshots and backups ask of the world: files, folders, two clocks, chance.
 *
 * One table of functions.  The default is the operating system; tests put their own there while no log is open, and the
 * simulator (tests/sim) puts a whole disk there.  No other file of wal/ and snapshot/ calls the system for files or time.
 *
 * As with the calls they stand for, -1 means that errno says why.  EINTR is the caller's to repeat.
 */
#ifndef WAL_IO_H
#define WAL_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* One entry of a folder; false stops. */
typedef bool wal_io_entry_fn(void *context, const char *name);

struct wal_io {
	ssize_t (*write)(int fd, const struct iovec *iov, int count, off_t offset);
	int (*sync)(int fd);                           /* fdatasync */
	int (*allocate)(int fd, off_t size);           /* room from 0 on */
	int (*sync_all)(int fd);                       /* fsync: of a file that was made, of a folder */
	ssize_t (*read)(int fd, void *out, size_t size, off_t offset);
	int (*make_dir)(const char *path);             /* 0700; EEXIST where it is there */
	int (*open_dir)(const char *path);
	int (*open)(int dir, const char *name, int flags);     /* flags as of openat; a file that is made is 0600 */
	int (*direct)(int fd, bool direct);            /* switches O_DIRECT */
	int (*close)(int fd);
	int (*rename)(int dir, const char *from, const char *to);
	int (*link)(int from_dir, const char *from, int dir, const char *name);        /* hard */
	int (*unlink)(int dir, const char *name);
	int (*remove_dir)(const char *path);           /* an empty one */
	int (*truncate)(int fd, off_t size);
	int (*list)(int dir, wal_io_entry_fn *each, void *context);
	int64_t (*size)(int dir, const char *name);    /* bytes */
	int (*lock)(int dir);                          /* until it is closed; EWOULDBLOCK: another has it */
	void (*advise)(int fd, off_t offset, off_t size, int advice);
	void (*flush)(int fd, off_t offset, off_t size);       /* begins to write these bytes out; promises nothing */
	uint64_t (*monotonic_ns)(void);
	int64_t (*wall_ms)(void);                      /* since 1970 */
	uint64_t (*random)(void);                      /* 0: none is to be had */
};
extern struct wal_io wal_io;

#endif
