// SPDX-License-Identifier: Apache-2.0
/* files.h - files by their whole path, over wal/io.h: for those who keep some beside the log.
 *
 * Each call opens the folder that the path names, and closes it again.  EINTR is repeated, short writes go on.  Where nothing else is
 * said, 0 or an errno comes back.
 */
#ifndef WAL_FILES_H
#define WAL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wal/io.h"

enum { FILES_PATH = 4400 };            /* bytes of a path */

int files_open(const char *path, int flags);                   /* flags as of openat; -1: errno says why */
int64_t files_size(const char *path);                          /* -1: errno says why */
bool files_there(const char *path);                            /* a file, not a folder */
int files_rename(const char *from, const char *to);            /* both in one folder */
int files_link(const char *from, const char *to);
int files_remove(const char *path);                            /* ENOENT where there is none */
int files_make_dir(const char *path);                          /* 0 also where it is there */
int files_sync_dir(const char *path);
int files_list(const char *path, wal_io_entry_fn *each, void *context);        /* "." and ".." among them */

int files_write(int fd, const void *bytes, size_t size, uint64_t offset);
ssize_t files_read(int fd, void *out, size_t size, uint64_t offset);           /* fewer at the file's end; -1: errno says why */
int files_sync(int fd);                                        /* of data, size and all */
int files_sync_data(int fd);                                   /* of the bytes that are there (fdatasync) */

#endif
