// SPDX-License-Identifier: Apache-2.0
/* background.h - threads whose work nobody waits for: snapshots, footers, memory made ready.
 *
 * On few cores they take turns with the loop and the log, and a purchase waits for the end of such a turn.  Where the system refuses
 * to treat a thread so, nothing but time is lost.
 */
#ifndef NET_MAIN_BACKGROUND_H
#define NET_MAIN_BACKGROUND_H

/* The calling thread gets a small share of a busy core from now on: about a tenth. */
void background_small(void);
/* It runs only while a core has nothing else to do, and stops in the middle of its turn where another thread wakes up.  On a
 * machine without an idle moment it hardly goes on: not for work that must end. */
void background_idle(void);

#endif
