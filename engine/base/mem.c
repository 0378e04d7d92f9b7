// SPDX-License-Identifier: Apache-2.0
#include "engine/base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((uintptr_t)2 * 1024 * 1024)

enum { HEAP_SMALL = 32 * 1024 * 1024, HEAP_EARLY = 32 * 1024 * 1024, ADVISE_FROM = 4096 };

/* Ends at once: other threads run on, and handlers of exit() would wait for them or meet half-made work (libuv's joins the
 * pool of threads that this may be one of). */
static _Noreturn void out_of_memory(size_t size)
{
	fprintf(stderr, "tally: out of memory (%zu bytes asked for); stopping, nothing acknowledged is lost\n", size);
	_Exit(70);
}

void (*mem_grown)(void *begin, size_t size);

/* Tables and accounts are read at random: without huge pages most of that time goes into finding the page.  A heap that has
 * become large is advised to use them, part by part as it grows; a small one stays small.
 *
 * Where somebody touches its growth ahead, it grows before it is full, so that this is done when it is needed: an
 * allocation near the end asks for more than is left and gives it back. */
static void heap_advise(const void *pointer, size_t size)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	static _Atomic uintptr_t advised;      /* everything below it is advised, or belongs to the first part */
	static _Atomic uintptr_t early;        /* an allocation between here and `advised` makes it grow; 0: none */
	if (size < ADVISE_FROM)
		return;
	uintptr_t begin = atomic_load_explicit(&advised, memory_order_relaxed), at = (uintptr_t)pointer;
	uintptr_t from = atomic_load_explicit(&early, memory_order_relaxed);
	if (from && at >= from && at < begin && atomic_compare_exchange_strong(&early, &from, 0)) {
		void *volatile more = malloc(HEAP_EARLY + HEAP_EARLY / 4);
		free(more);
	}
	uintptr_t end = (uintptr_t)sbrk(0) & ~(HUGE_PAGE - 1);
	if (end - begin < HUGE_PAGE)
		return;
	if (!begin)
		atomic_store(&advised, end + HEAP_SMALL);
	else if (end > begin && atomic_compare_exchange_strong(&advised, &begin, end)) {
		madvise((void *)begin, end - begin, MADV_HUGEPAGE);
		if (!mem_grown)
			return;
		mem_grown((void *)begin, end - begin);
		atomic_store(&early, end - HEAP_EARLY);
	}
#else
	(void)pointer;
	(void)size;
#endif
}

void *mem_alloc(size_t size)
{
	void *pointer = malloc(size ? size : 1);
	if (!pointer)
		out_of_memory(size);
	heap_advise(pointer, size);
	return pointer;
}

void *mem_zalloc(size_t size)
{
	void *pointer = calloc(1, size ? size : 1);
	heap_advise(pointer, size);
	if (!pointer)
		out_of_memory(size);
	return pointer;
}

void *mem_calloc(size_t count, size_t size)
{
	void *pointer = calloc(count ? count : 1, size ? size : 1);
	if (!pointer)
		out_of_memory(size && count > SIZE_MAX / size ? SIZE_MAX : count * size);
	return pointer;
}

void *mem_lines(size_t size)
{
	void *pointer = aligned_alloc(64, size);
	if (!pointer)
		out_of_memory(size);
	heap_advise(pointer, size);
	return memset(pointer, 0, size);
}

void *mem_realloc(void *old, size_t size)
{
	void *pointer = realloc(old, size ? size : 1);
	if (!pointer)
		out_of_memory(size);
	return pointer;
}

void *mem_dup(const void *bytes, size_t size)
{
	void *pointer = mem_alloc(size);
	if (size)
		memcpy(pointer, bytes, size);
	return pointer;
}

void mem_free(void *pointer)
{
	free(pointer);
}
