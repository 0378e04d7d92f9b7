// SPDX-License-Identifier: Apache-2.0
/* memory.c - stands in front of the C library's heap (LD_PRELOAD) and lets chosen allocations fail; see inject.h.
 *
 * Counts every allocation of the process, its libraries' as well, once the page is mapped.  Calls glibc's own entry
 * points, so it needs no memory to find them; not for programs with a sanitizer, which bring a heap of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/crash/inject/inject.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static struct inject *page;

__attribute__((constructor)) static void inject_begin(void)
{
	const char *file = getenv("INJECT_PAGE");
	if (!file)
		return;
	int fd = open(file, O_RDWR | O_CLOEXEC);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		fprintf(stderr, "inject: the page %s cannot be mapped\n", file);
		_exit(125);
	}
	close(fd);
	page = at;
}

static bool fails(void)
{
	if (!page)
		return false;
	uint64_t number = atomic_fetch_add(&page->allocations, 1) + 1, wanted = atomic_load(&page->allocation_at);
	if (!wanted || number < wanted || (number > wanted && !atomic_load(&page->allocation_on)))
		return false;
	atomic_fetch_add(&page->allocation_hits, 1);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return fails() ? NULL : __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	*out = memalign(alignment, size);
	return *out ? 0 : ENOMEM;
}
