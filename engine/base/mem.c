// SPDX-License-Identifier: Apache-2.0
#include "engine/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t size)
{
	fprintf(stderr, "tally: out of memory (%zu bytes asked for); stopping, nothing acknowledged is lost\n", size);
	exit(70);
}

void *mem_alloc(size_t size)
{
	void *pointer = malloc(size ? size : 1);
	if (!pointer)
		out_of_memory(size);
	return pointer;
}

void *mem_zalloc(size_t size)
{
	void *pointer = calloc(1, size ? size : 1);
	if (!pointer)
		out_of_memory(size);
	return pointer;
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
