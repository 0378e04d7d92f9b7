// SPDX-License-Identifier: Apache-2.0
/* memory.h - makes memory ready before it is needed, as the log does with its segments.
 *
 * The first touch of a page costs the kernel's clearing of it, and on a virtual machine the host's as well: tens of nanoseconds
 * for each id that is remembered.  When the heap has grown by a big part, a thread of its own touches that part.
 */
#ifndef NET_MAIN_MEMORY_H
#define NET_MAIN_MEMORY_H

void memory_ahead_start(void);         /* once; ends with the process */

#endif
