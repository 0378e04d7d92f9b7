// SPDX-License-Identifier: Apache-2.0
/* calls.c - stands between a program and the system calls that touch files (LD_PRELOAD); see inject.h.
 *
 * Only files below INJECT_FOLDER count, and not those that are appended to; everything else passes as if this were not
 * there.  The calls themselves are made directly, so that what is done here never comes through here again.  A torn
 * write goes through a second descriptor without O_DIRECT, so that any of its sectors can be left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/crash/inject/inject.h"

enum { SECTOR = 512, GATHER = 4 << 20, PATH_SIZE = 1024, IOV_MAX_ = 1024 };

static struct inject *page;
static char folder[PATH_SIZE];
static size_t folder_len;

__attribute__((constructor)) static void inject_begin(void)
{
	const char *file = getenv("INJECT_PAGE"), *below = getenv("INJECT_FOLDER");
	if (!file || !below)
		return;
	folder_len = (size_t)snprintf(folder, sizeof folder, "%s", below);
	int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED || folder_len >= sizeof folder) {
		fprintf(stderr, "inject: the page %s cannot be mapped\n", file);
		_exit(125);
	}
	close(fd);
	page = at;
}

/* ---- which call it is ------------------------------------------------------------------------------------------ */

/* The part of the path behind the folder; NULL: it lies elsewhere. */
static const char *below_folder(const char *path)
{
	if (strncmp(path, folder, folder_len) != 0 || (path[folder_len] && path[folder_len] != '/'))
		return NULL;
	return path + folder_len;
}

static bool path_of(int fd, char path[PATH_SIZE])
{
	char link[40];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	long len = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_SIZE - 1);
	path[len > 0 ? len : 0] = '\0';
	return len > 0;
}

static bool path_at(int dir, const char *name, char path[PATH_SIZE])
{
	char base[PATH_SIZE];
	if (name[0] == '/')
		return snprintf(path, PATH_SIZE, "%s", name) < PATH_SIZE;
	if (dir == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(dir, base))
		return false;
	return snprintf(path, PATH_SIZE, "%s/%s", base, name) < PATH_SIZE;
}

/* Counts the call, and says what is to become of it. */
static enum inject_how meet(enum inject_kind kind, const char *name, const char *path, off_t offset, size_t size)
{
	const char *inside = below_folder(path);
	if (!inside || !(atomic_load(&page->kinds) & kind))
		return INJECT_COUNT;
	uint64_t number = atomic_fetch_add(&page->calls, 1) + 1;
	if (number <= INJECT_TRACE) {
		struct inject_call *call = &page->trace[number - 1];
		snprintf(call->name, sizeof call->name, "%s", name);
		snprintf(call->path, sizeof call->path, "%s", inside);
		call->kind = kind;
		call->offset = offset;
		call->size = (int64_t)size;
	}
	if (number != atomic_load(&page->at))
		return INJECT_COUNT;
	atomic_fetch_add(&page->hits, 1);
	return atomic_load(&page->how);
}

static enum inject_how meet_fd(enum inject_kind kind, const char *name, int fd, off_t offset, size_t size)
{
	char path[PATH_SIZE];
	int before = errno;
	/* What is only appended to is what the program says to people. */
	bool counts = page && path_of(fd, path) && !(fcntl(fd, F_GETFL) & O_APPEND);
	enum inject_how how = counts ? meet(kind, name, path, offset, size) : INJECT_COUNT;
	errno = before;
	return how;
}

static enum inject_how meet_at(enum inject_kind kind, const char *name, int dir, const char *file)
{
	char path[PATH_SIZE];
	int before = errno;
	enum inject_how how = page && path_at(dir, file, path) ? meet(kind, name, path, 0, 0) : INJECT_COUNT;
	errno = before;
	return how;
}

/* The disk is full and the call would need more of it. */
static bool refuses(bool inside)
{
	if (!inside || !atomic_load(&page->full))
		return false;
	atomic_fetch_add(&page->refused, 1);
	return true;
}

static bool refuses_fd(int fd, int64_t end)
{
	char path[PATH_SIZE];
	struct stat status;
	if (!page || !atomic_load(&page->full))
		return false;
	bool more = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size < end;
	return refuses(more && path_of(fd, path) && below_folder(path));
}

static bool refuses_at(int dir, const char *file)
{
	char path[PATH_SIZE];
	struct stat status;
	if (!page || !atomic_load(&page->full))
		return false;
	return refuses(path_at(dir, file, path) && below_folder(path) && stat(path, &status) != 0);
}

/* ---- what becomes of it ---------------------------------------------------------------------------------------- */

static _Noreturn void die(void)
{
	for (;;) {
		kill(getpid(), SIGKILL);
		pause();
	}
}

/* The error that the call is to fail with; 0: none. */
static int error_of(enum inject_how how)
{
	switch (how) {
	case INJECT_KILL_BEFORE:
	case INJECT_KILL_HEAD:
	case INJECT_KILL_TAIL:
	case INJECT_KILL_MIX: die();
	case INJECT_EIO:
	case INJECT_EIO_MIX: return EIO;
	case INJECT_ENOSPC: return ENOSPC;
	case INJECT_EINTR: return EINTR;
	default: return 0;
	}
}

/* Carries a call out, or not; in both cases returns from the function that stands in its place. */
#define CARRY_OUT(how, call)                                                                                                 \
	do {                                                                                                                \
		enum inject_how how_ = (how);                                                                               \
		int error_ = error_of(how_);                                                                                \
		if (error_) {                                                                                               \
			errno = error_;                                                                                     \
			return -1;                                                                                          \
		}                                                                                                           \
		long got_ = (call);                                                                                         \
		if (how_ == INJECT_KILL_AFTER)                                                                              \
			die();                                                                                              \
		return (int)got_;                                                                                           \
	} while (0)

/* offset -1: where the descriptor stands. */
static ssize_t write_really(int fd, const struct iovec *iov, int count, off_t offset)
{
	return offset < 0 ? syscall(SYS_writev, fd, iov, count) : syscall(SYS_pwritev, fd, iov, count, offset, 0);
}

/* Only some sectors arrive. */
static void write_torn(int fd, const struct iovec *iov, int count, off_t offset, enum inject_how how)
{
	static unsigned char bytes[GATHER];
	char link[40];
	size_t total = 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	int plain = (int)syscall(SYS_openat, AT_FDCWD, link, O_WRONLY | O_CLOEXEC, 0);
	if (plain < 0)
		return;
	if (offset < 0)
		offset = lseek(fd, 0, SEEK_CUR);
	for (int i = 0; i < count && total + iov[i].iov_len <= sizeof bytes; i++) {
		memcpy(bytes + total, iov[i].iov_base, iov[i].iov_len);
		total += iov[i].iov_len;
	}
	uint64_t coin = atomic_load(&page->seed);
	for (size_t at = 0; at < total; at += SECTOR) {
		size_t size = total - at < SECTOR ? total - at : SECTOR;
		coin = coin * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		bool arrives = coin >> 63;
		if (how == INJECT_KILL_HEAD)
			arrives = at < total / 2;
		else if (how == INJECT_KILL_TAIL)
			arrives = at >= total / 2;
		if (arrives && syscall(SYS_pwrite64, plain, bytes + at, size, offset + (off_t)at) < 0)
			break;
	}
	close(plain);
}

/* A part of it, whole sectors if there are any, so that O_DIRECT takes it. */
static ssize_t write_short(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct iovec less[IOV_MAX_];
	size_t total = 0, part;
	for (int i = 0; i < count && i < IOV_MAX_; i++)
		total += iov[i].iov_len;
	part = total / 2 >= SECTOR ? total / 2 / SECTOR * SECTOR : total / 2;
	if (!part)
		part = total;
	int n = 0;
	for (size_t left = part; left; n++) {
		less[n] = iov[n];
		if (less[n].iov_len > left)
			less[n].iov_len = left;
		left -= less[n].iov_len;
	}
	return write_really(fd, less, n, offset);
}

static ssize_t write_met(const char *name, int fd, const struct iovec *iov, int count, off_t offset)
{
	size_t total = 0;
	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	if (offset >= 0 && refuses_fd(fd, offset + (off_t)total)) {
		errno = ENOSPC;
		return -1;
	}
	enum inject_how how = meet_fd(INJECT_WRITE, name, fd, offset, total);
	if (how == INJECT_KILL_HEAD || how == INJECT_KILL_TAIL || how == INJECT_KILL_MIX || how == INJECT_EIO_MIX)
		write_torn(fd, iov, count, offset, how);
	if (how == INJECT_SHORT)
		return write_short(fd, iov, count, offset);
	errno = error_of(how);
	if (errno)
		return -1;
	ssize_t got = write_really(fd, iov, count, offset);
	if (how == INJECT_KILL_AFTER)
		die();
	return got;
}

/* ---- in place of the C library's ------------------------------------------------------------------------------- */

ssize_t write(int fd, const void *bytes, size_t size)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	return write_met("write", fd, &iov, 1, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, size };
	return write_met("pwrite", fd, &iov, 1, offset);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	return write_met("writev", fd, iov, count, -1);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	return write_met("pwritev", fd, iov, count, offset);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	(void)flags;                   /* RWF_DSYNC and the like: nothing is lost here but by a torn write */
	return write_met("pwritev2", fd, iov, count, offset);
}

static ssize_t read_met(const char *name, int fd, const struct iovec *iov, int count, off_t offset)
{
	enum inject_how how = meet_fd(INJECT_READ, name, fd, offset, iov[0].iov_len);
	errno = error_of(how);
	if (errno)
		return -1;
	ssize_t got = offset < 0 ? syscall(SYS_readv, fd, iov, count) : syscall(SYS_preadv, fd, iov, count, offset, 0);
	if (how == INJECT_KILL_AFTER)
		die();
	return got;
}

ssize_t read(int fd, void *bytes, size_t size)
{
	struct iovec iov = { bytes, size };
	return read_met("read", fd, &iov, 1, -1);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
	struct iovec iov = { bytes, size };
	return read_met("pread", fd, &iov, 1, offset);
}

int fsync(int fd)
{
	CARRY_OUT(meet_fd(INJECT_SYNC, "fsync", fd, 0, 0), syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
	CARRY_OUT(meet_fd(INJECT_SYNC, "fdatasync", fd, 0, 0), syscall(SYS_fdatasync, fd));
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	if (refuses_fd(fd, offset + size)) {
		errno = ENOSPC;
		return -1;
	}
	CARRY_OUT(meet_fd(INJECT_ROOM, "fallocate", fd, offset, (size_t)size), syscall(SYS_fallocate, fd, mode, offset, size));
}

int ftruncate(int fd, off_t size)
{
	CARRY_OUT(meet_fd(INJECT_ROOM, "ftruncate", fd, size, 0), syscall(SYS_ftruncate, fd, size));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	CARRY_OUT(meet_at(INJECT_NAME, "rename", to_dir, to), syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dir, const char *file, int flags)
{
	CARRY_OUT(meet_at(INJECT_NAME, "unlink", dir, file), syscall(SYS_unlinkat, dir, file, flags));
}

int unlink(const char *file)
{
	return unlinkat(AT_FDCWD, file, 0);
}

int mkdirat(int dir, const char *file, mode_t mode)
{
	if (refuses_at(dir, file)) {
		errno = ENOSPC;
		return -1;
	}
	CARRY_OUT(meet_at(INJECT_NAME, "mkdir", dir, file), syscall(SYS_mkdirat, dir, file, mode));
}

int mkdir(const char *file, mode_t mode)
{
	return mkdirat(AT_FDCWD, file, mode);
}

static int open_met(int dir, const char *file, int flags, mode_t mode)
{
	if ((flags & O_CREAT) && refuses_at(dir, file)) {
		errno = ENOSPC;
		return -1;
	}
	enum inject_kind kind = flags & O_CREAT ? INJECT_CREATE : INJECT_OPEN;
	CARRY_OUT(meet_at(kind, "open", dir, file), syscall(SYS_openat, dir, file, flags, mode));
}

static mode_t mode_of(int flags, va_list arguments)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(arguments, mode_t) : 0;
}

int openat(int dir, const char *file, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_met(dir, file, flags, mode);
}

int open(const char *file, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return open_met(AT_FDCWD, file, flags, mode);
}

/* Programs built with 64-bit offsets call these; off_t is the same here. */
_Static_assert(sizeof(off_t) == sizeof(off64_t), "64-bit offsets");
#define SAME(name) __attribute__((alias(#name)))
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) SAME(pwrite);
ssize_t pread64(int fd, void *bytes, size_t size, off64_t offset) SAME(pread);
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset) SAME(pwritev);
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t offset, int flags) SAME(pwritev2);
int fallocate64(int fd, int mode, off64_t offset, off64_t size) SAME(fallocate);
int ftruncate64(int fd, off64_t size) SAME(ftruncate);
int openat64(int dir, const char *file, int flags, ...) SAME(openat);
int open64(const char *file, int flags, ...) SAME(open);
