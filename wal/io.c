// SPDX-License-Identifier: Apache-2.0
/* io.c - the operating system behind the table. */
#include "wal/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static ssize_t os_write(int fd, const struct iovec *iov, int count, off_t offset)
{
	return pwritev(fd, iov, count, offset);
}

static int os_allocate(int fd, off_t size)
{
	return fallocate(fd, 0, 0, size);
}

static ssize_t os_read(int fd, void *out, size_t size, off_t offset)
{
	return pread(fd, out, size, offset);
}

static int os_make_dir(const char *path)
{
	return mkdir(path, 0700);
}

static int os_open_dir(const char *path)
{
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int os_open(int dir, const char *name, int flags)
{
	return openat(dir, name, flags | O_CLOEXEC, 0600);
}

static int os_direct(int fd, bool direct)
{
	int flags = fcntl(fd, F_GETFL);
	return flags < 0 ? flags : fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT);
}

static int os_rename(int dir, const char *from, const char *to)
{
	return renameat(dir, from, dir, to);
}

static int os_link(int from_dir, const char *from, int dir, const char *name)
{
	return linkat(from_dir, from, dir, name, 0);
}

static int os_unlink(int dir, const char *name)
{
	return unlinkat(dir, name, 0);
}

static int os_list(int dir, wal_io_entry_fn *each, void *context)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	if (!stream) {
		int failed = errno;
		if (fd >= 0)
			close(fd);
		errno = failed;
		return -1;
	}
	const struct dirent *entry;
	while ((errno = 0, entry = readdir(stream)) != NULL)
		if (!each(context, entry->d_name))
			break;
	int failed = entry ? 0 : errno;
	closedir(stream);
	errno = failed;
	return failed ? -1 : 0;
}

static int64_t os_size(int dir, const char *name)
{
	struct stat stat;
	return fstatat(dir, name, &stat, 0) != 0 ? -1 : (int64_t)stat.st_size;
}

static uint64_t os_random(void)
{
	uint64_t value;
	return getrandom(&value, sizeof value, 0) == sizeof value ? value : 0;
}

static int os_lock(int dir)
{
	return flock(dir, LOCK_EX | LOCK_NB);
}

static void os_advise(int fd, off_t offset, off_t size, int advice)
{
	posix_fadvise(fd, offset, size, advice);
}

static void os_flush(int fd, off_t offset, off_t size)
{
	sync_file_range(fd, offset, size,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

static uint64_t os_monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int64_t os_wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct wal_io wal_io = {
	.write = os_write, .sync = fdatasync, .allocate = os_allocate, .sync_all = fsync, .read = os_read,
	.make_dir = os_make_dir, .open_dir = os_open_dir, .open = os_open, .direct = os_direct, .close = close, .rename = os_rename,
	.link = os_link, .unlink = os_unlink, .remove_dir = rmdir, .truncate = ftruncate, .list = os_list, .size = os_size,
	.lock = os_lock, .advise = os_advise, .random = os_random,
	.flush = os_flush, .monotonic_ns = os_monotonic_ns, .wall_ms = os_wall_ms,
};
