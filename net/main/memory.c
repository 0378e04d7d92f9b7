// SPDX-License-Identifier: Apache-2.0
#include "net/main/memory.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "engine/base/mem.h"
#include "net/main/background.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23         /* Linux 5.14: makes pages present without changing them */
#endif

enum { STEP = 2 * 1024 * 1024 /* a huge page: others that change the address space wait so long */, PARTS_MAX = 16 };

static struct { uintptr_t begin, end; } parts[PARTS_MAX];
static unsigned part_count;            /* of those that wait; more are let go: touching them ahead is only faster */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t grown = PTHREAD_COND_INITIALIZER;

static void on_grown(void *begin, size_t size)
{
	pthread_mutex_lock(&mutex);
	if (part_count < PARTS_MAX) {
		parts[part_count].begin = (uintptr_t)begin;
		parts[part_count++].end = (uintptr_t)begin + size;
	}
	pthread_cond_signal(&grown);
	pthread_mutex_unlock(&mutex);
}

static void *ahead_main(void *unused)
{
	(void)unused;
	background_small();
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (!part_count)
			pthread_cond_wait(&grown, &mutex);
		uintptr_t at = parts[0].begin, end = parts[0].end;
		part_count--;
		for (unsigned i = 0; i < part_count; i++)
			parts[i] = parts[i + 1];
		pthread_mutex_unlock(&mutex);
		/* A kernel that does not know it, or memory given back meanwhile: then it is touched when it is used. */
		for (; at < end; at += STEP)
			if (madvise((void *)at, end - at < STEP ? end - at : STEP, MADV_POPULATE_WRITE))
				break;
	}
	return NULL;
}

void memory_ahead_start(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, ahead_main, NULL))
		return;
	pthread_detach(thread);
	mem_grown = on_grown;
}
