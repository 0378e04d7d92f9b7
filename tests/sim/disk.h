// SPDX-License-Identifier: Apache-2.0
/* disk.h - a simulated disk under the log and its snapshots: folders of files in memory, with everything that a real one may do.
 *
 * A file has two contents: `live` is what reads see (the page cache), `stable` what a power cut leaves.  A sector (512 bytes)
 * written and not synced is dirty.  Then
 *   - a durable write (O_DSYNC), fdatasync and fsync make sectors stable; fsync of the folder makes its entries stable
 *   - a power cut keeps any subset of the dirty sectors (so it tears and reorders), and a first part of the folder's changes;
 *     it may come in the middle of any call
 *   - the end of the process alone (disk_process_end) loses nothing
 *   - a failed sync leaves the sectors clean but not stable: the kernel has dropped them
 *   - a folder that was made is there after a power cut once the one above it was synced; else it may be gone with all in it
 * Damage faults (lost and misdirected writes, bit flips) may destroy what was acknowledged; each is remembered with its place,
 * those to snapshots by their file only.
 *
 * One disk at a time is behind wal_io.  Everything is drawn from a seed; every call goes into a hash.
 */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_FILES = 1024, DISK_OPEN = 64, DISK_NAME = 32, DISK_SECTOR = 512, DISK_DAMAGES = 64 };

/* How often: one call in so many; 0: never. */
struct disk_faults {
	unsigned short_write, interrupted, slow_sync;
	unsigned sync_fails, write_fails, read_fails;
	unsigned names_fail;           /* syncs of the folder of snapshots */
	unsigned calls_fail;           /* calls that open, name, list and measure files and folders: EIO, EMFILE, ENOSPC */
	unsigned lost_write, misdirected_write;
	bool no_direct;                /* O_DIRECT is refused when a file is opened */
	bool no_direct_write;          /* it is accepted, but the first write is refused */
	uint64_t capacity;             /* bytes; 0: as much as one likes */
	uint64_t archive_capacity;     /* of the archive, which is a disk of its own as far as room goes */
};

struct disk_inode {
	unsigned char *live, *stable;  /* owned; `room` bytes each */
	unsigned char *dirty;          /* owned; a byte a sector */
	uint64_t size, stable_size, room;
	bool used, wounded;            /* not of the log: bytes are no longer what was written */
};

/* The data directory is ROOT; disk.c has their names. */
enum disk_folder {
	FOLDER_LOG, FOLDER_SNAPSHOTS, FOLDER_IDS, FOLDER_FOOTERS, FOLDER_ARCHIVE, FOLDER_ARCHIVE_LOG,
	FOLDER_PINS, FOLDER_PIN, FOLDER_PIN_LOG, FOLDER_PIN_SNAPSHOTS, FOLDER_PIN_IDS,
	FOLDER_BACKUP, FOLDER_BACKUP_LOG, FOLDER_BACKUP_SNAPSHOTS, FOLDER_BACKUP_IDS, FOLDER_ROOT, FOLDERS
};

struct disk_entry { char name[DISK_NAME]; int inode; /* -1: free */ enum disk_folder folder; };

enum damage_kind { DAMAGE_FLIP, DAMAGE_LOST, DAMAGE_MISDIRECTED };

struct disk_damage {
	enum damage_kind kind;
	uint64_t lsn, size;            /* bytes that are no longer what was written */
};

struct disk {
	uint64_t seed;
	struct disk_faults faults;
	struct disk_inode inodes[DISK_FILES];
	unsigned inode_count;
	struct disk_entry live[DISK_FILES], stable[DISK_FILES];
	/* Of folders, not stable. */
	struct disk_change { char name[DISK_NAME], from[DISK_NAME]; int inode; enum disk_folder folder; } changes[DISK_FILES];
	unsigned change_count;
	struct { int inode; int flags; bool used; enum disk_folder folder; } open[DISK_OPEN];
	struct { unsigned open; bool live, stable; } folders[FOLDERS];
	char pin[17];                  /* the one folder in pins that there may be at a time */
	bool locked;
	bool dead;                     /* power is gone: calls do nothing more */
	bool frozen;                   /* the process is gone and tidies up in the test's memory: calls change nothing */
	uint64_t cut_in;               /* power goes at the so-many-th changing call from now; 0: no */
	uint64_t now_ns;               /* monotonic; calls take time */
	int64_t wall_ms;
	void (*meanwhile)(void *context);      /* called before a file is linked: what other threads do then; NULL: nothing */
	void *context;
	uint64_t calls, writes, syncs; /* for who wants to see that something happened */
	bool sync_failed;              /* a sync or a write of the log was refused: the process must end (L7) */
	bool read_failed, full;        /* a read was refused; there was no room for the log */
	bool call_failed;              /* one that names, opens or removes a file of the log was: the process may end */
	bool snapshot_failed;          /* a call for a snapshot was refused */
	bool ids_failed;               /* a call for ids was, or any read */
	uint64_t reads_refused;
	struct disk_damage damages[DISK_DAMAGES];
	unsigned damage_count;
	uint64_t hash;                 /* of all calls and what they did */
};

struct disk *disk_new(uint64_t seed);
void disk_free(struct disk *disk);
void disk_mount(struct disk *disk);            /* from now on wal_io is this disk */
void disk_freeze(bool frozen);                 /* of the mounted one */
void disk_unmount(void);                       /* the operating system again */

void disk_power_cut(struct disk *disk);        /* and on again: dirty sectors are settled, nothing is open */
void disk_process_end(struct disk *disk);      /* nothing is open any more */
unsigned disk_open_count(const struct disk *disk);
uint64_t disk_used(const struct disk *disk, bool archive);     /* bytes in files, of the archive or of the others */
/* Each name in a folder, in no order that means anything. */
void disk_names(const struct disk *disk, enum disk_folder folder, void (*each)(void *context, const char *name), void *context);
/* Flips one bit of a segment file, in [from, to) of the log.  False: no file holds it. */
bool disk_flip(struct disk *disk, uint64_t from, uint64_t to);
bool disk_flip_at(struct disk *disk, enum disk_folder folder, const char *name, uint64_t offset);
bool disk_flip_file(struct disk *disk, enum disk_folder folder);       /* of any there; false: there is none */
/* Makes a file, durably.  Before anything is mounted. */
void disk_put(struct disk *disk, enum disk_folder folder, const char *name, const char *text);
/* A file's bytes as calls would see them; NULL: it is not there.  *wounded: they are not what was written. */
const unsigned char *disk_bytes(const struct disk *disk, enum disk_folder folder, const char *name, uint64_t *size, bool *wounded);
/* Takes a file away, or puts this one there: what somebody does with the files of a stopped server. */
void disk_take(struct disk *disk, enum disk_folder folder, const char *name);
void disk_copy_file(struct disk *disk, enum disk_folder from, enum disk_folder to, const char *name);
unsigned disk_wounded(const struct disk *disk, enum disk_folder folder);       /* files whose bytes are not what was written */
bool disk_is_wounded(const struct disk *disk, enum disk_folder folder, const char *name);
void disk_clear(struct disk *disk, enum disk_folder folder);   /* somebody removes all files there */
/* How many snapshots have a wound, and the end of the newest one that has none; 0: there is none. */
unsigned disk_wounded_snapshots(const struct disk *disk, uint64_t *sound_end);
/* Whether a file with such an end of its name would be there if the power went now. */
bool disk_stands(const struct disk *disk, enum disk_folder folder, const char *suffix);
/* A copy without faults, stable as it is live: what a stopped process would leave. */
struct disk *disk_copy(const struct disk *disk);

uint64_t disk_chance(uint64_t *seed, uint64_t below);
static inline uint64_t hash_step(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
	return hash ^ hash >> 29;
}

#endif
