// SPDX-License-Identifier: Apache-2.0
/* mem.h - the only door to the heap.
 *
 * Running out of memory stops the process with one line and status 70: every bound (mailboxes, requests, --memory) is
 * set so that it does not happen, and what was acknowledged is on disk.  Libraries are given these functions too.
 */
#ifndef ENGINE_BASE_MEM_H
#define ENGINE_BASE_MEM_H

#include <stddef.h>

/* Called when the heap has grown by a big part that nobody has touched yet; NULL: nobody cares.  From any thread; it must not
 * allocate. */
extern void (*mem_grown)(void *begin, size_t size);

void *mem_alloc(size_t size);                      /* never NULL; size 0 gives a valid pointer */
void *mem_zalloc(size_t size);                     /* the same, filled with zeros */
void *mem_calloc(size_t count, size_t size);       /* the same for libraries that ask like this */
void *mem_lines(size_t size);                      /* the same, beginning at a cache line; size: a multiple of 64 */
void *mem_realloc(void *pointer, size_t size);
void *mem_dup(const void *bytes, size_t size);
void mem_free(void *pointer);                      /* NULL is allowed */

#endif
