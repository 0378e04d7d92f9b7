// SPDX-License-Identifier: Apache-2.0
#include "net/main/warm.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/buf.h"
#include "engine/base/mem.h"
#include "snapshot/store.h"

enum { STEP = 1 << 20, MOST = 512 << 20 /* bytes; a longer log reads itself ahead while it is replayed */, PATH_BYTES = 4400 };

struct warm {
	pthread_t thread;
	atomic_bool stop;
	char *dir;                     /* owned */
	uint64_t lsn;
};

static int by_value(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return (x > y) - (x < y);
}

/* The first LSNs of all segments, ascending. */
static void bases_list(const char *path, struct buf *out)
{
	DIR *dir = opendir(path);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		const char *name = entry->d_name;
		if (strspn(name, "0123456789abcdef") != 16 || strcmp(name + 16, ".log") != 0)
			continue;
		uint64_t base = strtoull(name, NULL, 16);
		buf_bytes(out, &base, sizeof base);
	}
	if (dir)
		closedir(dir);
	if (out->len)
		qsort(out->ptr, out->len / sizeof(uint64_t), sizeof(uint64_t), by_value);
}

static void file_read(struct warm *warm, uint64_t base, char *scratch, uint64_t *left)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof path, "%s/%016llx.log", warm->dir, (unsigned long long)base);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	for (off_t at = 0; fd >= 0 && *left && !atomic_load(&warm->stop);) {
		ssize_t n = pread(fd, scratch, STEP, at);
		if (n <= 0)
			break;
		at += n;
		*left -= (uint64_t)n < *left ? (uint64_t)n : *left;
	}
	if (fd >= 0)
		close(fd);
}

static void *warm_main(void *context)
{
	struct warm *warm = context;
	struct buf bases = { 0 };
	char *scratch = mem_alloc(STEP);
	uint64_t left = MOST;
	bases_list(warm->dir, &bases);
	for (size_t at = 0; at < bases.len; at += sizeof(uint64_t)) {
		uint64_t base, next = UINT64_MAX;
		memcpy(&base, bases.ptr + at, sizeof base);
		if (at + sizeof base < bases.len)
			memcpy(&next, bases.ptr + at + sizeof base, sizeof next);
		if (next > warm->lsn)
			file_read(warm, base, scratch, &left);
	}
	mem_free(scratch);
	buf_free(&bases);
	return NULL;
}

struct warm *warm_start(const char *log_dir, const char *snapshot_dir)
{
	struct buf error = { 0 };
	uint64_t *ends;
	size_t count;
	struct warm *warm = NULL;
	if (snapshot_list(snapshot_dir, &ends, &count, &error) && count) {
		warm = mem_zalloc(sizeof *warm);
		warm->lsn = ends[0];
		warm->dir = mem_dup(log_dir, strlen(log_dir) + 1);
		if (pthread_create(&warm->thread, NULL, warm_main, warm)) {
			mem_free(warm->dir);
			mem_free(warm);
			warm = NULL;
		}
	}
	mem_free(ends);
	buf_free(&error);
	return warm;
}

void warm_end(struct warm *warm)
{
	if (!warm)
		return;
	atomic_store(&warm->stop, true);
	pthread_join(warm->thread, NULL);
	mem_free(warm->dir);
	mem_free(warm);
}
