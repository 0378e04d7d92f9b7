// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "wal/io.h"

enum { FD_FIRST = 1000, FD_FOLDER = 900 };

/* The folders, each below `above`. */
static const struct { const char *path; enum disk_folder above; } places[FOLDERS] = {
	[FOLDER_LOG] = { "log", FOLDER_ROOT },
	[FOLDER_SNAPSHOTS] = { "snapshots", FOLDER_ROOT },
	[FOLDER_IDS] = { "ids", FOLDER_ROOT },
	[FOLDER_FOOTERS] = { "footers", FOLDER_ROOT },
	[FOLDER_ARCHIVE] = { "archive", FOLDER_ROOT },
	[FOLDER_ARCHIVE_LOG] = { "archive/log", FOLDER_ARCHIVE },
	[FOLDER_PINS] = { "pins", FOLDER_ROOT },               /* #: the 16 digits of a pin's name */
	[FOLDER_PIN] = { "pins/################", FOLDER_PINS },
	[FOLDER_PIN_LOG] = { "pins/################/log", FOLDER_PIN },
	[FOLDER_PIN_SNAPSHOTS] = { "pins/################/snapshots", FOLDER_PIN },
	[FOLDER_PIN_IDS] = { "pins/################/ids", FOLDER_PIN },
	[FOLDER_BACKUP] = { "backup", FOLDER_ROOT },
	[FOLDER_BACKUP_LOG] = { "backup/log", FOLDER_BACKUP },
	[FOLDER_BACKUP_SNAPSHOTS] = { "backup/snapshots", FOLDER_BACKUP },
	[FOLDER_BACKUP_IDS] = { "backup/ids", FOLDER_BACKUP },
	[FOLDER_ROOT] = { ".", FOLDER_ROOT },
};

static struct disk *mounted;
static struct wal_io real;
static bool real_kept;

uint64_t disk_chance(uint64_t *seed, uint64_t below)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return (z ^ z >> 31) % below;
}

static bool happens(struct disk *disk, unsigned one_in)
{
	return one_in && disk_chance(&disk->seed, one_in) == 0;
}

static void noted(struct disk *disk, unsigned call, uint64_t a, uint64_t b)
{
	disk->hash = hash_step(hash_step(hash_step(disk->hash, call), a), b);
	disk->calls++;
}

/* ---- files --------------------------------------------------------------------------------------------------------- */

static void inode_room(struct disk_inode *inode, uint64_t size)
{
	if (size <= inode->room)
		return;
	uint64_t room = (size + 65535) & ~UINT64_C(65535);
	inode->live = realloc(inode->live, room);
	inode->stable = realloc(inode->stable, room);
	inode->dirty = realloc(inode->dirty, room / DISK_SECTOR);
	ASSERT(inode->live && inode->stable && inode->dirty);
	memset(inode->live + inode->room, 0, room - inode->room);
	memset(inode->stable + inode->room, 0, room - inode->room);
	memset(inode->dirty + inode->room / DISK_SECTOR, 0, (room - inode->room) / DISK_SECTOR);
	inode->room = room;
}

static struct disk_entry *entry_find(struct disk_entry *list, enum disk_folder folder, const char *name)
{
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (list[i].inode >= 0 && list[i].folder == folder && strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

static void entry_set(struct disk_entry *list, enum disk_folder folder, const char *name, int inode)
{
	struct disk_entry *entry = entry_find(list, folder, name);
	for (unsigned i = 0; !entry && i < DISK_FILES; i++)
		if (list[i].inode < 0)
			entry = &list[i];
	ASSERT(entry && strlen(name) < DISK_NAME);
	memcpy(entry->name, name, strlen(name) + 1);
	entry->inode = inode;
	entry->folder = folder;
}

static void entry_remove(struct disk_entry *list, enum disk_folder folder, const char *name)
{
	struct disk_entry *entry = entry_find(list, folder, name);
	if (entry)
		entry->inode = -1;
}

/* A change of a folder: `name` stands for `inode` (-1: for nothing), `from` (may be empty) for nothing any more. */
static void change_apply(struct disk_entry *list, const struct disk_change *change)
{
	if (*change->from)
		entry_remove(list, change->folder, change->from);
	if (change->inode >= 0)
		entry_set(list, change->folder, change->name, change->inode);
	else
		entry_remove(list, change->folder, change->name);
}

/* Of the changes that are not stable the first `count` of one folder become so, and the others of it do not (`drop`), or stay. */
static void changes_settle(struct disk *disk, enum disk_folder folder, unsigned count, bool drop)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < disk->change_count; i++) {
		const struct disk_change *change = &disk->changes[i];
		if (change->folder == folder && count) {
			change_apply(disk->stable, change);
			count--;
		} else if (change->folder != folder || !drop) {
			disk->changes[kept++] = *change;
		}
	}
	disk->change_count = kept;
}

static unsigned changes_of(const struct disk *disk, enum disk_folder folder)
{
	unsigned count = 0;
	for (unsigned i = 0; i < disk->change_count; i++)
		count += disk->changes[i].folder == folder;
	return count;
}

static void change(struct disk *disk, enum disk_folder folder, const char *name, const char *from, int inode, bool cut)
{
	struct disk_change change = { .inode = inode, .folder = folder };
	memcpy(change.name, name, strlen(name) + 1);
	memcpy(change.from, from, strlen(from) + 1);
	change_apply(disk->live, &change);
	if (disk->dead && !cut)
		return;                        /* nobody will see it */
	if (disk->change_count == DISK_FILES)                  /* the kernel writes them some day */
		for (unsigned f = 0; f < FOLDERS; f++)
			changes_settle(disk, (enum disk_folder)f, changes_of(disk, (enum disk_folder)f) / 2 + 1, false);
	disk->changes[disk->change_count++] = change;
}

/* Sectors [first, last) become stable, each with a chance of `of` in 4. */
static void sectors_settle(struct disk *disk, struct disk_inode *inode, uint64_t first, uint64_t last, unsigned of)
{
	for (uint64_t s = first; s < last; s++)
		if (inode->dirty[s]) {
			if (of == 4 || disk_chance(&disk->seed, 4) < of)
				memcpy(inode->stable + s * DISK_SECTOR, inode->live + s * DISK_SECTOR, DISK_SECTOR);
			inode->dirty[s] = 0;
		}
}

static void inode_settle(struct disk *disk, struct disk_inode *inode, unsigned of)
{
	sectors_settle(disk, inode, 0, inode->room / DISK_SECTOR, of);
	if (of == 4 || disk_chance(&disk->seed, 4) < of)
		inode->stable_size = inode->size;
}

struct disk *disk_new(uint64_t seed)
{
	struct disk *disk = calloc(1, sizeof *disk);
	ASSERT(disk);
	disk->seed = seed;
	disk->wall_ms = INT64_C(1700000000000);
	for (unsigned i = 0; i < DISK_FILES; i++)
		disk->live[i].inode = disk->stable[i].inode = -1;
	disk->folders[FOLDER_LOG].live = disk->folders[FOLDER_LOG].stable = true;
	disk->folders[FOLDER_ROOT] = disk->folders[FOLDER_FOOTERS] = disk->folders[FOLDER_LOG];
	return disk;
}

void disk_free(struct disk *disk)
{
	for (unsigned i = 0; i < disk->inode_count; i++) {
		free(disk->inodes[i].live);
		free(disk->inodes[i].stable);
		free(disk->inodes[i].dirty);
	}
	free(disk);
}

struct disk *disk_copy(const struct disk *disk)
{
	struct disk *copy = disk_new(disk->seed);
	copy->wall_ms = disk->wall_ms;
	copy->now_ns = disk->now_ns;
	for (unsigned f = 0; f < FOLDERS; f++)
		copy->folders[f].live = copy->folders[f].stable = disk->folders[f].live;
	for (unsigned i = 0; i < DISK_FILES; i++) {
		if (disk->live[i].inode < 0)
			continue;
		const struct disk_inode *from = &disk->inodes[disk->live[i].inode];
		struct disk_inode *to = &copy->inodes[copy->inode_count];
		inode_room(to, from->size);
		if (from->size) {
			memcpy(to->live, from->live, from->size);
			memcpy(to->stable, from->live, from->size);
		}
		to->size = to->stable_size = from->size;
		to->used = true;
		entry_set(copy->live, disk->live[i].folder, disk->live[i].name, (int)copy->inode_count);
		entry_set(copy->stable, disk->live[i].folder, disk->live[i].name, (int)copy->inode_count);
		copy->inode_count++;
	}
	return copy;
}

static bool in_archive(enum disk_folder folder)
{
	return folder == FOLDER_ARCHIVE || folder == FOLDER_ARCHIVE_LOG;
}

static bool in_pin(enum disk_folder folder)    /* links */
{
	return folder >= FOLDER_PINS && folder <= FOLDER_PIN_IDS;
}

uint64_t disk_used(const struct disk *disk, bool archive)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->live[i].inode >= 0 && in_archive(disk->live[i].folder) == archive && !in_pin(disk->live[i].folder))
			sum += disk->inodes[disk->live[i].inode].size;
	return sum;
}

void disk_names(const struct disk *disk, enum disk_folder folder, void (*each)(void *context, const char *name), void *context)
{
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->live[i].inode >= 0 && disk->live[i].folder == folder)
			each(context, disk->live[i].name);
}

unsigned disk_open_count(const struct disk *disk)
{
	unsigned count = 0;
	for (unsigned f = 0; f < FOLDERS; f++)
		count += disk->folders[f].open;
	for (unsigned i = 0; i < DISK_OPEN; i++)
		count += disk->open[i].used;
	return count;
}

/* Inodes that nothing names give their memory back. */
static void inodes_sweep(struct disk *disk)
{
	bool named[DISK_FILES] = { 0 };
	for (unsigned i = 0; i < DISK_FILES; i++) {
		if (disk->live[i].inode >= 0)
			named[disk->live[i].inode] = true;
		if (disk->stable[i].inode >= 0)
			named[disk->stable[i].inode] = true;
	}
	for (unsigned i = 0; i < disk->change_count; i++)
		if (disk->changes[i].inode >= 0)
			named[disk->changes[i].inode] = true;
	for (unsigned i = 0; i < DISK_OPEN; i++)
		if (disk->open[i].used)
			named[disk->open[i].inode] = true;
	for (unsigned i = 0; i < disk->inode_count; i++) {
		struct disk_inode *inode = &disk->inodes[i];
		if (named[i])
			continue;
		free(inode->live);
		free(inode->stable);
		free(inode->dirty);
		*inode = (struct disk_inode){ 0 };
	}
}

void disk_process_end(struct disk *disk)
{
	memset(disk->open, 0, sizeof disk->open);
	for (unsigned f = 0; f < FOLDERS; f++)
		disk->folders[f].open = 0;
	disk->locked = false;
	disk->sync_failed = disk->call_failed = false;
}

void disk_power_cut(struct disk *disk)
{
	/* Everything, nothing, or some of it. */
	static const unsigned parts[] = { 0, 4, 1, 2, 3, 2 };
	unsigned of = parts[disk_chance(&disk->seed, sizeof parts / sizeof *parts)];
	for (unsigned f = 0; f < FOLDERS; f++) {
		unsigned count = changes_of(disk, (enum disk_folder)f);
		changes_settle(disk, (enum disk_folder)f, (unsigned)disk_chance(&disk->seed, count + 1), true);
		if (!disk->folders[f].stable)
			disk->folders[f].stable = disk->folders[f].live && disk_chance(&disk->seed, 2);
	}
	for (unsigned f = 0; f < FOLDERS; f++) {
		for (enum disk_folder at = (enum disk_folder)f; at != FOLDER_ROOT; at = places[at].above)
			disk->folders[f].stable &= disk->folders[places[at].above].stable;
		disk->folders[f].live = disk->folders[f].stable;
		for (unsigned i = 0; i < DISK_FILES && !disk->folders[f].stable; i++)
			if (disk->stable[i].folder == f)
				disk->stable[i].inode = -1;
	}
	for (unsigned i = 0; i < disk->inode_count; i++) {
		struct disk_inode *inode = &disk->inodes[i];
		if (!inode->room)
			continue;
		inode_settle(disk, inode, of);
		memcpy(inode->live, inode->stable, inode->room);
		inode->size = inode->stable_size;
		memset(inode->live + inode->size, 0, inode->room - inode->size);
	}
	memcpy(disk->live, disk->stable, sizeof disk->live);
	inodes_sweep(disk);
	disk_process_end(disk);
	disk->dead = false;
	disk->cut_in = 0;
	noted(disk, 90, of, 0);
}

static uint64_t base_of(const char *name)
{
	return strlen(name) == 20 && strcmp(name + 16, ".log") == 0 ? strtoull(name, NULL, 16) : UINT64_MAX;
}

static uint64_t base_of_inode(const struct disk *disk, int inode)
{
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->live[i].inode == inode && disk->live[i].folder == FOLDER_LOG)
			return base_of(disk->live[i].name);
	return UINT64_MAX;
}

static void damaged(struct disk *disk, enum damage_kind kind, uint64_t lsn, uint64_t size)
{
	ASSERT(disk->damage_count < DISK_DAMAGES);
	disk->damages[disk->damage_count++] = (struct disk_damage){ kind, lsn, size };
}

bool disk_flip(struct disk *disk, uint64_t from, uint64_t to)
{
	if (from >= to || disk->damage_count == DISK_DAMAGES)
		return false;
	uint64_t lsn = from + disk_chance(&disk->seed, to - from);
	unsigned char bit = (unsigned char)(1u << disk_chance(&disk->seed, 8));
	for (unsigned i = 0; i < DISK_FILES; i++) {
		if (disk->live[i].inode < 0)
			continue;
		struct disk_inode *inode = &disk->inodes[disk->live[i].inode];
		uint64_t base = base_of(disk->live[i].name);
		if (disk->live[i].folder != FOLDER_LOG || base > lsn || lsn - base >= inode->size)
			continue;
		inode->live[lsn - base] ^= bit;
		inode->stable[lsn - base] ^= bit;
		damaged(disk, DAMAGE_FLIP, lsn, 1);
		noted(disk, 91, lsn, bit);
		return true;
	}
	return false;
}

bool disk_flip_at(struct disk *disk, enum disk_folder folder, const char *name, uint64_t offset)
{
	struct disk_entry *entry = entry_find(disk->live, folder, name);
	if (!entry || offset >= disk->inodes[entry->inode].size)
		return false;
	unsigned char bit = (unsigned char)(1u << disk_chance(&disk->seed, 8));
	disk->inodes[entry->inode].live[offset] ^= bit;
	disk->inodes[entry->inode].stable[offset] ^= bit;
	return true;
}

bool disk_flip_file(struct disk *disk, enum disk_folder folder)
{
	unsigned start = (unsigned)disk_chance(&disk->seed, DISK_FILES);
	for (unsigned k = 0; k < DISK_FILES; k++) {
		const struct disk_entry *entry = &disk->live[(start + k) % DISK_FILES];
		if (entry->inode < 0 || entry->folder != folder || !disk->inodes[entry->inode].size)
			continue;
		struct disk_inode *inode = &disk->inodes[entry->inode];
		uint64_t at = disk_chance(&disk->seed, inode->size);
		unsigned char bit = (unsigned char)(1u << disk_chance(&disk->seed, 8));
		inode->live[at] ^= bit;
		inode->stable[at] ^= bit;
		inode->wounded = true;
		noted(disk, 92, at, bit);
		return true;
	}
	return false;
}

void disk_put(struct disk *disk, enum disk_folder folder, const char *name, const char *text)
{
	struct disk_inode *inode = &disk->inodes[disk->inode_count];
	size_t size = strlen(text);
	inode_room(inode, size);
	memcpy(inode->live, text, size);
	memcpy(inode->stable, text, size);
	inode->size = inode->stable_size = size;
	inode->used = true;
	entry_set(disk->live, folder, name, (int)disk->inode_count);
	entry_set(disk->stable, folder, name, (int)disk->inode_count++);
}

const unsigned char *disk_bytes(const struct disk *disk, enum disk_folder folder, const char *name, uint64_t *size, bool *wounded)
{
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->live[i].inode >= 0 && disk->live[i].folder == folder && strcmp(disk->live[i].name, name) == 0) {
			const struct disk_inode *inode = &disk->inodes[disk->live[i].inode];
			*size = inode->size;
			*wounded = inode->wounded;
			return inode->live ? inode->live : (const unsigned char *)"";
		}
	return NULL;
}

void disk_take(struct disk *disk, enum disk_folder folder, const char *name)
{
	entry_remove(disk->live, folder, name);
	entry_remove(disk->stable, folder, name);
}

void disk_copy_file(struct disk *disk, enum disk_folder from, enum disk_folder to, const char *name)
{
	struct disk_entry *entry = entry_find(disk->live, from, name);
	ASSERT(entry);
	int inode = entry->inode;
	entry_set(disk->live, to, name, inode);
	entry_set(disk->stable, to, name, inode);
}

unsigned disk_wounded(const struct disk *disk, enum disk_folder folder)
{
	unsigned count = 0;
	for (unsigned i = 0; i < DISK_FILES; i++)
		count += disk->live[i].inode >= 0 && disk->live[i].folder == folder && disk->inodes[disk->live[i].inode].wounded;
	return count;
}

bool disk_is_wounded(const struct disk *disk, enum disk_folder folder, const char *name)
{
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->live[i].inode >= 0 && disk->live[i].folder == folder && strcmp(disk->live[i].name, name) == 0)
			return disk->inodes[disk->live[i].inode].wounded;
	return false;
}

void disk_clear(struct disk *disk, enum disk_folder folder)
{
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->live[i].folder == folder)
			disk->live[i].inode = -1;
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->stable[i].folder == folder)
			disk->stable[i].inode = -1;
	changes_settle(disk, folder, 0, true);
}

bool disk_stands(const struct disk *disk, enum disk_folder folder, const char *suffix)
{
	size_t len = strlen(suffix);
	for (unsigned i = 0; i < DISK_FILES; i++) {
		size_t size = strlen(disk->stable[i].name);
		if (disk->stable[i].inode >= 0 && disk->stable[i].folder == folder && size > len + 3 &&
		    strcmp(disk->stable[i].name + size - len, suffix) == 0)
			return true;
	}
	return false;
}

unsigned disk_wounded_snapshots(const struct disk *disk, uint64_t *sound_end)
{
	unsigned wounded = 0;
	*sound_end = 0;
	for (unsigned m = 0; m < DISK_FILES; m++) {
		const struct disk_entry *manifest = &disk->live[m];
		bool whole = false;
		if (manifest->inode < 0 || manifest->folder != FOLDER_SNAPSHOTS || strcmp(manifest->name + 16, ".manifest") != 0)
			continue;
		for (unsigned d = 0; d < DISK_FILES; d++)
			if (disk->live[d].inode >= 0 && disk->live[d].folder == FOLDER_SNAPSHOTS &&
			    memcmp(disk->live[d].name, manifest->name, 16) == 0 && strcmp(disk->live[d].name + 16, ".data") == 0)
				whole = !disk->inodes[manifest->inode].wounded && !disk->inodes[disk->live[d].inode].wounded;
		uint64_t end = strtoull(manifest->name, NULL, 16);
		wounded += !whole;
		if (whole && end > *sound_end)
			*sound_end = end;
	}
	return wounded;
}

/* ---- the calls ----------------------------------------------------------------------------------------------------- */

static int fail(int error)
{
	errno = error;
	return -1;
}

static struct disk_inode *inode_at(struct disk *disk, int fd)
{
	ASSERT(fd >= FD_FIRST && fd < FD_FIRST + DISK_OPEN && disk->open[fd - FD_FIRST].used);
	return &disk->inodes[disk->open[fd - FD_FIRST].inode];
}

/* Before a call that changes something.  True: power goes in the middle of it. */
static bool power_goes(struct disk *disk)
{
	disk->now_ns += 20000 + disk_chance(&disk->seed, 60000);
	if (disk->dead || !disk->cut_in || --disk->cut_in)
		return false;
	disk->dead = true;
	return true;
}

static enum disk_folder folder_at(const struct disk *disk, int fd)
{
	ASSERT(fd >= FD_FOLDER && fd < FD_FOLDER + FOLDERS && disk->folders[fd - FD_FOLDER].open);
	return (enum disk_folder)(fd - FD_FOLDER);
}

static bool place_is(const char *place, const char *path, size_t len)
{
	bool same = strlen(place) == len;
	for (size_t i = 0; i < len && same; i++)
		same = place[i] == '#' ? path[i] != '/' : place[i] == path[i];
	return same;
}

static enum disk_folder folder_of(const char *path)
{
	size_t len = strlen(path);
	bool above = len > 3 && strcmp(path + len - 3, "/..") == 0;
	len -= above ? 3 : 0;
	if (len > 2 && memcmp(path, "./", 2) == 0) {
		path += 2;
		len -= 2;
	}
	while (len > 1 && (path[len - 1] == '/' || (path[len - 1] == '.' && path[len - 2] == '/')))
		len--;
	for (unsigned f = 0; f < FOLDERS; f++)
		if (place_is(places[f].path, path, len))
			return above ? places[f].above : (enum disk_folder)f;
	ASSERT(!"a folder that the disk does not know");
	return FOLDER_ROOT;
}

/* A call that is about a name, in this folder, is refused.  `reads`: who asks wants to know what is there. */
static bool call_refused(struct disk *disk, enum disk_folder folder, bool reads, int flags)
{
	bool pin = in_pin(folder) && !(flags & O_CREAT);         /* what stays of one would be in the way of the next: there is one place */
	if (disk->frozen || disk->dead || pin || !happens(disk, disk->faults.calls_fail))
		return false;
	bool makes = flags & O_CREAT;
	uint64_t why = disk_chance(&disk->seed, 4);
	errno = why == 0 ? EMFILE : why == 1 && makes ? ENOSPC : EIO;
	noted(disk, 14, folder, (uint64_t)errno);
	disk->call_failed |= folder == FOLDER_LOG;
	disk->ids_failed = disk->snapshot_failed = true;
	if (reads) {
		disk->read_failed = true;
		disk->reads_refused++;
	}
	return true;
}

static int sim_make_dir(const char *path)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_of(path);
	noted(disk, 10, folder, 0);
	if (disk->folders[folder].live)
		return fail(EEXIST);
	if (!disk->folders[places[folder].above].live)
		return fail(ENOENT);
	if (call_refused(disk, folder, false, O_CREAT))
		return -1;
	if (disk->frozen)
		return 0;
	power_goes(disk);
	if (folder == FOLDER_PIN)
		memcpy(disk->pin, strstr(path, "pins/") + 5, 16);
	disk->folders[folder].live = true;
	return 0;
}

static int sim_open_dir(const char *path)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_of(path);
	noted(disk, 1, folder, 0);
	if (call_refused(disk, folder, true, 0))
		return -1;
	if (!disk->folders[folder].live)
		return fail(ENOENT);
	disk->folders[folder].open++;
	return FD_FOLDER + (int)folder;
}

static int sim_lock(int dir)
{
	ASSERT(folder_at(mounted, dir) == FOLDER_LOG && !mounted->locked);
	mounted->locked = true;
	return 0;
}

static int inode_new(struct disk *disk)
{
	unsigned at = 0;
	while (at < disk->inode_count && disk->inodes[at].used)
		at++;
	ASSERT(at < DISK_FILES);
	disk->inode_count += at == disk->inode_count;
	disk->inodes[at] = (struct disk_inode){ .used = true };
	return (int)at;
}

static int sim_open(int dir, const char *name, int flags)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_at(disk, dir);
	struct disk_entry *entry = entry_find(disk->live, folder, name);
	ASSERT(!disk->frozen);
	noted(disk, 2, (uint64_t)flags, entry ? (uint64_t)entry->inode : UINT64_MAX);
	if ((flags & O_DIRECT) && disk->faults.no_direct)
		return fail(EINVAL);
	if (call_refused(disk, folder, (flags & O_ACCMODE) == O_RDONLY, flags))
		return -1;
	if (!entry && !(flags & O_CREAT))
		return fail(ENOENT);
	int number = entry ? entry->inode : -1;
	if (!entry) {
		bool cut = power_goes(disk);
		number = inode_new(disk);
		change(disk, folder, name, "", number, cut);
	} else if (flags & O_TRUNC) {
		struct disk_inode *inode = &disk->inodes[number];
		if (!disk->dead && inode->room) {
			memset(inode->live, 0, inode->room);
			memset(inode->dirty, 1, inode->room / DISK_SECTOR);
			inode->size = 0;
			inode->wounded = false;
		}
	}
	for (int i = 0; i < DISK_OPEN; i++)
		if (!disk->open[i].used) {
			disk->open[i].used = true;
			disk->open[i].inode = number;
			disk->open[i].flags = flags;
			disk->open[i].folder = folder;
			return FD_FIRST + i;
		}
	return fail(EMFILE);
}

static int sim_direct(int fd, bool direct)
{
	struct disk *disk = mounted;
	int *flags = &disk->open[fd - FD_FIRST].flags;
	inode_at(disk, fd);
	if (direct && disk->faults.no_direct)
		return fail(EINVAL);
	*flags = direct ? *flags | O_DIRECT : *flags & ~O_DIRECT;
	return 0;
}

static int sim_close(int fd)
{
	struct disk *disk = mounted;
	if (fd < FD_FIRST) {
		enum disk_folder folder = folder_at(disk, fd);
		if (--disk->folders[folder].open == 0 && folder == FOLDER_LOG)
			disk->locked = false;
		return 0;
	}
	inode_at(disk, fd);
	disk->open[fd - FD_FIRST].used = false;
	return 0;
}

static uint64_t room_left(const struct disk *disk, enum disk_folder folder)
{
	bool archive = in_archive(folder);
	uint64_t most = archive ? disk->faults.archive_capacity : disk->faults.capacity;
	if (!most)
		return UINT64_MAX;
	uint64_t used = disk_used(disk, archive);
	return used < most ? most - used : 0;
}

static int sim_allocate(int fd, off_t size)
{
	struct disk *disk = mounted;
	struct disk_inode *inode = inode_at(disk, fd);
	noted(disk, 3, (uint64_t)size, inode->size);
	ASSERT(!disk->frozen);
	power_goes(disk);
	if (disk->dead)
		return 0;
	if ((uint64_t)size > inode->size && (uint64_t)size - inode->size > room_left(disk, FOLDER_LOG)) {
		disk->full = true;
		return fail(ENOSPC);
	}
	inode_room(inode, (uint64_t)size);
	if (inode->size < (uint64_t)size)
		inode->size = (uint64_t)size;
	return 0;
}

/* Puts bytes into the file.  What is durable at once, by sectors with a chance of `of` in 4, or (torn) up to a sector. */
static void bytes_put(struct disk *disk, struct disk_inode *inode, uint64_t offset, const unsigned char *bytes, size_t size,
		      bool durable, bool torn)
{
	uint64_t first = offset / DISK_SECTOR, last = (offset + size + DISK_SECTOR - 1) / DISK_SECTOR;
	inode_room(inode, offset + size);
	memcpy(inode->live + offset, bytes, size);
	if (inode->size < offset + size)
		inode->size = offset + size;
	for (uint64_t s = first; s < last; s++)
		inode->dirty[s] = 1;
	if (torn && disk_chance(&disk->seed, 2)) {             /* the first sectors only */
		uint64_t some = first + disk_chance(&disk->seed, last - first + 1);
		sectors_settle(disk, inode, first, some, 4);
		memset(inode->dirty + some, 0, last - some);   /* these did not get there */
		return;
	}
	if (!durable)
		return;
	sectors_settle(disk, inode, first, last, torn ? (unsigned)disk_chance(&disk->seed, 5) : 4);
	if (inode->stable_size < inode->size)
		inode->stable_size = inode->size;
}

/* A write or a sync in this folder. */
static void refused(struct disk *disk, enum disk_folder folder)
{
	disk->sync_failed |= folder == FOLDER_LOG;
	disk->ids_failed |= folder == FOLDER_IDS || folder == FOLDER_ROOT;
	disk->snapshot_failed |= folder != FOLDER_LOG && folder != FOLDER_IDS;
}

static ssize_t sim_write(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct disk *disk = mounted;
	struct disk_inode *inode = inode_at(disk, fd);
	int flags = disk->open[fd - FD_FIRST].flags, number = disk->open[fd - FD_FIRST].inode;
	bool of_log = disk->open[fd - FD_FIRST].folder == FOLDER_LOG;
	size_t total = 0, done = 0;
	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	bool direct = flags & O_DIRECT, durable = flags & O_DSYNC;
	ASSERT((flags & O_ACCMODE) != O_RDONLY && total > 0 && !disk->frozen);
	disk->writes++;
	noted(disk, 4, (uint64_t)offset, total);
	if (direct) {
		ASSERT(offset % DISK_SECTOR == 0 && total % DISK_SECTOR == 0);
		if (disk->faults.no_direct_write)
			return fail(EINVAL);
	}
	if (happens(disk, disk->faults.interrupted))
		return fail(EINTR);
	bool cut = power_goes(disk);
	if (disk->dead && !cut)
		return (ssize_t)total;
	if (happens(disk, disk->faults.write_fails)) {
		refused(disk, disk->open[fd - FD_FIRST].folder);
		return fail(EIO);
	}
	if (happens(disk, disk->faults.short_write)) {
		total = 1 + disk_chance(&disk->seed, total);
		if (direct && total > DISK_SECTOR)
			total &= ~(size_t)(DISK_SECTOR - 1);
		else if (direct)
			total = DISK_SECTOR;
	}
	if ((uint64_t)offset + total > inode->size && (uint64_t)offset + total - inode->size > room_left(disk, disk->open[fd - FD_FIRST].folder)) {
		disk->full |= of_log;
		if (!of_log)
			refused(disk, disk->open[fd - FD_FIRST].folder);
		return fail(ENOSPC);
	}
	unsigned char *bytes = malloc(total);
	ASSERT(bytes);
	for (int i = 0; i < count && done < total; i++) {
		size_t part = iov[i].iov_len < total - done ? iov[i].iov_len : total - done;
		memcpy(bytes + done, iov[i].iov_base, part);
		disk->hash = hash_step(disk->hash, part ? (uint64_t)bytes[done] << 8 | bytes[done + part - 1] : 0);
		done += part;
	}
	uint64_t base = base_of_inode(disk, number);
	bool damage = base != UINT64_MAX && disk->damage_count + 2 < DISK_DAMAGES && !cut;
	if (damage && happens(disk, disk->faults.lost_write)) {
		damaged(disk, DAMAGE_LOST, base + (uint64_t)offset, total);
	} else if (damage && happens(disk, disk->faults.misdirected_write)) {
		uint64_t to = disk_chance(&disk->seed, inode->size / 4096) * 4096;
		size_t part = inode->size - to < total ? (size_t)(inode->size - to) : total;
		damaged(disk, DAMAGE_MISDIRECTED, base + (uint64_t)offset, total);
		damaged(disk, DAMAGE_MISDIRECTED, base + to, part);
		bytes_put(disk, inode, to, bytes, part, true, false);
	} else if (!of_log && !cut && happens(disk, disk->faults.lost_write)) {
		inode_room(inode, (uint64_t)offset + total);           /* confirmed, and forgotten */
		if (inode->size < (uint64_t)offset + total)
			inode->size = (uint64_t)offset + total;
		inode->wounded |= memcmp(inode->live + offset, bytes, total) != 0;
	} else {
		bytes_put(disk, inode, (uint64_t)offset, bytes, total, durable, cut);
	}
	free(bytes);
	return (ssize_t)total;
}

/* Of a file (inode) or of a folder (NULL). */
static int sync_call(struct disk *disk, struct disk_inode *inode, enum disk_folder folder)
{
	unsigned count = changes_of(disk, folder);
	disk->syncs++;
	if (disk->frozen)
		return 0;
	if (happens(disk, disk->faults.interrupted))
		return fail(EINTR);
	bool cut = power_goes(disk);
	if (disk->dead && !cut)
		return 0;
	if (happens(disk, disk->faults.slow_sync))
		disk->now_ns += 1000000 * (1 + disk_chance(&disk->seed, 3000));
	if (happens(disk, disk->faults.sync_fails) || (!inode && folder == FOLDER_SNAPSHOTS && happens(disk, disk->faults.names_fail))) {
		refused(disk, folder);
		if (inode)
			inode_settle(disk, inode, (unsigned)disk_chance(&disk->seed, 4));
		return fail(EIO);
	}
	if (inode)
		inode_settle(disk, inode, cut ? (unsigned)disk_chance(&disk->seed, 5) : 4);
	else
		changes_settle(disk, folder, cut ? (unsigned)disk_chance(&disk->seed, count + 1) : count, true);
	for (unsigned f = 0; f < FOLDERS && !inode; f++)
		if (places[f].above == folder)
			disk->folders[f].stable |= disk->folders[f].live && (!cut || disk_chance(&disk->seed, 2));
	if (!inode && !cut)
		inodes_sweep(disk);
	return 0;
}

static int sim_sync(int fd)
{
	noted(mounted, 5, 0, 0);
	return sync_call(mounted, inode_at(mounted, fd), mounted->open[fd - FD_FIRST].folder);
}

static int sim_sync_all(int fd)
{
	noted(mounted, 6, fd < FD_FIRST, 0);
	return fd < FD_FIRST ? sync_call(mounted, NULL, folder_at(mounted, fd))
			     : sync_call(mounted, inode_at(mounted, fd), mounted->open[fd - FD_FIRST].folder);
}

static ssize_t sim_read(int fd, void *out, size_t size, off_t offset)
{
	struct disk *disk = mounted;
	const struct disk_inode *inode = inode_at(disk, fd);
	disk->now_ns += 5000;
	if (happens(disk, disk->faults.interrupted))
		return fail(EINTR);
	if (happens(disk, disk->faults.read_fails)) {
		disk->read_failed = disk->snapshot_failed = disk->ids_failed = true;
		disk->reads_refused++;
		noted(disk, 7, (uint64_t)offset, size);
		return fail(EIO);
	}
	if ((uint64_t)offset >= inode->size)
		return 0;
	if (size > inode->size - (uint64_t)offset)
		size = (size_t)(inode->size - (uint64_t)offset);
	if (size > 1 && happens(disk, disk->faults.short_write))
		size = 1 + disk_chance(&disk->seed, size);
	memcpy(out, inode->live + offset, size);
	return (ssize_t)size;
}

static int sim_rename(int dir, const char *from, const char *to)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_at(disk, dir);
	struct disk_entry *entry = entry_find(disk->live, folder, from);
	ASSERT(entry && !disk->frozen);
	noted(disk, 8, (uint64_t)entry->inode, 0);
	if (call_refused(disk, folder, false, O_CREAT))
		return -1;
	bool cut = power_goes(disk);
	change(disk, folder, to, from, entry->inode, cut);
	return 0;
}

static int sim_link(int from_dir, const char *from, int dir, const char *name)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_at(disk, dir);
	struct disk_entry *entry = entry_find(disk->live, folder_at(disk, from_dir), from);
	if (disk->meanwhile) {
		disk->meanwhile(disk->context);
		entry = entry_find(disk->live, folder_at(disk, from_dir), from);
	}
	noted(disk, 11, entry ? (uint64_t)entry->inode : UINT64_MAX, folder);
	if (!entry)
		return fail(ENOENT);
	if (entry_find(disk->live, folder, name))
		return fail(EEXIST);
	if (call_refused(disk, folder, false, O_CREAT))
		return -1;
	bool cut = power_goes(disk);
	change(disk, folder, name, "", entry->inode, cut);
	return 0;
}

static int sim_remove_dir(const char *path)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_of(path);
	noted(disk, 12, folder, 0);
	if (!disk->folders[folder].live)
		return fail(ENOENT);
	for (unsigned i = 0; i < DISK_FILES; i++)
		if (disk->live[i].inode >= 0 && disk->live[i].folder == folder)
			return fail(ENOTEMPTY);
	power_goes(disk);
	if (!disk->dead)
		disk->folders[folder].live = disk->folders[folder].stable = false;
	return 0;
}

static int sim_truncate(int fd, off_t size)
{
	struct disk *disk = mounted;
	struct disk_inode *inode = inode_at(disk, fd);
	noted(disk, 13, (uint64_t)size, inode->size);
	power_goes(disk);
	if (disk->dead)
		return 0;
	inode_room(inode, (uint64_t)size);
	if ((uint64_t)size < inode->size) {
		memset(inode->live + size, 0, inode->size - (uint64_t)size);
		memset(inode->dirty + size / DISK_SECTOR, 1, (inode->size + DISK_SECTOR - 1) / DISK_SECTOR - (uint64_t)size / DISK_SECTOR);
	}
	inode->size = (uint64_t)size;
	return 0;
}

static uint64_t sim_random(void)
{
	return disk_chance(&mounted->seed, UINT64_MAX) | 1;
}

static int sim_unlink(int dir, const char *name)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_at(disk, dir);
	noted(disk, 9, base_of(name), folder);
	if (!entry_find(disk->live, folder, name))
		return fail(ENOENT);
	if (call_refused(disk, folder, false, 0))
		return -1;
	if (disk->frozen)
		return 0;
	bool cut = power_goes(disk);
	change(disk, folder, name, "", -1, cut);
	return 0;
}

static int sim_list(int dir, wal_io_entry_fn *each, void *context)
{
	struct disk *disk = mounted;
	enum disk_folder folder = folder_at(disk, dir);
	if (call_refused(disk, folder, true, 0))
		return -1;
	if (!each(context, ".") || !each(context, ".."))
		return 0;
	for (unsigned f = 0; f < FOLDERS; f++)                 /* elsewhere nobody looks at folders in folders */
		if ((places[f].above == FOLDER_PINS || places[f].above == FOLDER_PIN) && places[f].above == folder && disk->folders[f].live &&
		    !each(context, f == FOLDER_PIN ? disk->pin : strrchr(places[f].path, '/') + 1))
			return 0;
	/* In no order that means anything, as real folders. */
	unsigned start = (unsigned)disk_chance(&disk->seed, DISK_FILES);
	for (unsigned k = 0; k < DISK_FILES; k++) {
		struct disk_entry entry = disk->live[(start + k) % DISK_FILES];
		if (entry.inode >= 0 && entry.folder == folder && !each(context, entry.name))
			break;
	}
	return 0;
}

static int64_t sim_size(int dir, const char *name)
{
	if (call_refused(mounted, folder_at(mounted, dir), true, 0))
		return -1;
	const struct disk_entry *entry = entry_find(mounted->live, folder_at(mounted, dir), name);
	return entry ? (int64_t)mounted->inodes[entry->inode].size : fail(ENOENT);
}

static void sim_advise(int fd, off_t offset, off_t size, int advice)
{
	(void)fd, (void)offset, (void)size, (void)advice;
}

static void sim_flush(int fd, off_t offset, off_t size)
{
	(void)fd, (void)offset, (void)size;
}

static uint64_t sim_monotonic_ns(void)
{
	return mounted->now_ns;
}

static int64_t sim_wall_ms(void)
{
	return mounted->wall_ms;
}

void disk_mount(struct disk *disk)
{
	if (!real_kept)
		real = wal_io;
	real_kept = true;
	mounted = disk;
	wal_io = (struct wal_io){
		.write = sim_write, .sync = sim_sync, .allocate = sim_allocate, .sync_all = sim_sync_all, .read = sim_read,
		.make_dir = sim_make_dir, .open_dir = sim_open_dir, .open = sim_open, .direct = sim_direct, .close = sim_close, .rename = sim_rename,
		.link = sim_link, .unlink = sim_unlink, .remove_dir = sim_remove_dir, .truncate = sim_truncate, .random = sim_random,
		.list = sim_list, .size = sim_size, .lock = sim_lock, .advise = sim_advise,
		.flush = sim_flush,
		.monotonic_ns = sim_monotonic_ns, .wall_ms = sim_wall_ms,
	};
}

void disk_freeze(bool frozen)
{
	mounted->frozen = frozen;
}

void disk_unmount(void)
{
	if (real_kept)
		wal_io = real;
	mounted = NULL;
}
