// SPDX-License-Identifier: Apache-2.0
#include "wal/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Opens the folder; *name is what stands behind it in the path.  -1: errno says why. */
static int folder_open(const char *path, const char **name)
{
	char folder[FILES_PATH];
	const char *slash = strrchr(path, '/');
	*name = slash ? slash + 1 : path;
	size_t len = slash ? (size_t)(slash - path) : 0;
	if (len >= sizeof folder) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(folder, path, len);
	folder[len] = '\0';
	if (slash == path)
		memcpy(folder, "/", 2);
	else if (!len)
		memcpy(folder, ".", 2);
	return wal_io.open_dir(folder);
}

static void folder_close(int folder)
{
	int kept = errno;
	wal_io.close(folder);
	errno = kept;
}

int files_open(const char *path, int flags)
{
	const char *name;
	int folder = folder_open(path, &name);
	if (folder < 0)
		return -1;
	int fd;
	do {
		fd = wal_io.open(folder, name, flags);
	} while (fd < 0 && errno == EINTR);
	folder_close(folder);
	return fd;
}

int64_t files_size(const char *path)
{
	const char *name;
	int folder = folder_open(path, &name);
	if (folder < 0)
		return -1;
	int64_t size = wal_io.size(folder, name);
	folder_close(folder);
	return size;
}

bool files_there(const char *path)
{
	return files_size(path) >= 0;
}

int files_rename(const char *from, const char *to)
{
	const char *name, *slash = strrchr(to, '/');
	int folder = folder_open(from, &name);
	if (folder < 0)
		return errno;
	int failed = wal_io.rename(folder, name, slash ? slash + 1 : to) ? errno : 0;
	folder_close(folder);
	return failed;
}

int files_link(const char *from, const char *to)
{
	const char *name, *other;
	int folder = folder_open(from, &name);
	if (folder < 0)
		return errno;
	int target = folder_open(to, &other), failed = target < 0 ? errno : 0;
	if (!failed && wal_io.link(folder, name, target, other))
		failed = errno;
	folder_close(folder);
	if (target >= 0)
		folder_close(target);
	return failed;
}

int files_remove(const char *path)
{
	const char *name;
	int folder = folder_open(path, &name);
	if (folder < 0)
		return errno;
	int failed = wal_io.unlink(folder, name) ? errno : 0;
	folder_close(folder);
	return failed;
}

int files_make_dir(const char *path)
{
	return wal_io.make_dir(path) && errno != EEXIST ? errno : 0;
}

int files_sync_dir(const char *path)
{
	int folder = wal_io.open_dir(path);
	if (folder < 0)
		return errno;
	int failed = files_sync(folder);
	folder_close(folder);
	return failed;
}

int files_list(const char *path, wal_io_entry_fn *each, void *context)
{
	int folder = wal_io.open_dir(path);
	if (folder < 0)
		return errno;
	int failed = wal_io.list(folder, each, context) ? errno : 0;
	folder_close(folder);
	return failed;
}

int files_write(int fd, const void *bytes, size_t size, uint64_t offset)
{
	for (size_t done = 0; done < size;) {
		struct iovec iov = { (char *)(uintptr_t)bytes + done, size - done };
		ssize_t n = wal_io.write(fd, &iov, 1, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		done += (size_t)n;
	}
	return 0;
}

ssize_t files_read(int fd, void *out, size_t size, uint64_t offset)
{
	size_t done = 0;
	while (done < size) {
		ssize_t n = wal_io.read(fd, (char *)out + done, size - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int files_sync(int fd)
{
	while (wal_io.sync_all(fd))
		if (errno != EINTR)
			return errno;
	return 0;
}

int files_sync_data(int fd)
{
	while (wal_io.sync(fd))
		if (errno != EINTR)
			return errno;
	return 0;
}
