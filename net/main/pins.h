// SPDX-License-Identifier: Apache-2.0
/* pins.h - the data directory's files at one moment, held for whoever copies them.
 *
 *     DATA/pins/0123456789abcdef/seed, log/…, snapshots/…       hard links
 *
 * A pin is a folder of hard links to the files there are: whatever is removed or replaced under its own name meanwhile, the
 * bytes stay until the pin goes.  What changes in place is the open segment only, and it only grows: of it, as of the whole log, a pin
 * covers what was durable when it was made (law L2).  So pinning needs no word from who removes files, and copies no byte.
 *
 * Bounded: at most PINS_MAX at a time; one goes PIN_LEASE_S seconds after its last use, or PIN_LIFE_S after it was made;
 * what a process that ended left behind goes at the next start.
 *
 * Runs on: pin_collect, pin_read and pin_links_remove on any thread; the table of pins belongs to the loop.
 */
#ifndef NET_MAIN_PINS_H
#define NET_MAIN_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

enum { PINS_MAX = 8, PIN_LEASE_S = 60, PIN_LIFE_S = 24 * 60 * 60, PIN_READ_MAX = 1 << 20 /* bytes of one read */,
       PIN_HASH_MAX = 64 << 20 /* bytes of one hash */, PIN_PATH = 64 };

struct pin_file {
	char path[PIN_PATH];           /* within the data directory: "log/0000000000000000.log" */
	uint64_t bytes;                /* to be copied */
	uint64_t size;                 /* of the file; what is behind `bytes` is zeros to the copier */
};

struct pin {
	uint64_t id;
	uint64_t first, end;           /* LSNs: the log in it */
	int64_t time_ms;               /* when it was made, since 1970 */
	struct pin_file *files;        /* owned; seed first, then the log in its order, then the rest */
	size_t count;
	uint64_t born_ns, used_ns;     /* by uv_hrtime */
};

/* Makes links of everything.  `durable` is asked after the snapshots were listed.  NULL with a line in `error`; nothing stays then. */
struct pin *pin_collect(const char *data, uint64_t (*durable)(void *context), void *context, struct buf *error);
const struct pin_file *pin_find(const struct pin *pin, struct str path);
void pin_free(struct pin *pin);                    /* the links stay */
void pin_links_remove(const char *data, uint64_t id);
void pin_links_sweep(const char *data);            /* of all pins */

/* Reads bytes of a pinned file; the range lies within file->bytes.  0 or an errno. */
int pin_read(const char *data, uint64_t id, const char *path, uint64_t offset, size_t size, void *out);
/* XXH3-128 of a range, 16 bytes, big-endian. */
int pin_hash(const char *data, uint64_t id, const char *path, uint64_t offset, uint64_t size, uint8_t hash[16]);

struct pins;

struct pins *pins_new(uv_loop_t *loop, const char *data);      /* removes what is left of an earlier process */
void pins_free(struct pins *pins);                 /* with the links; not while busy */
bool pins_room(const struct pins *pins);
void pins_making(struct pins *pins, int change);   /* +1: one is being made; -1: no more */
void pins_add(struct pins *pins, struct pin *pin); /* takes it over */
struct pin *pins_use(struct pins *pins, uint64_t id);          /* NULL: there is none; else its lease begins anew */
size_t pins_count(const struct pins *pins);
const struct pin *pins_at(const struct pins *pins, size_t index);
void pins_drop(struct pins *pins, uint64_t id);    /* gone at once; its links a little later, by a worker thread */
void pins_tick(struct pins *pins);                 /* now and then: drops those that nobody used */
bool pins_busy(const struct pins *pins);

#endif
