// SPDX-License-Identifier: Apache-2.0
/* pins.c - what a pin holds, by folder:
 *
 *     seed         all of it
 *     log          segments from the first to the one that holds the durable LSN, up to that; other files whole
 *     snapshots    data and manifest of each that has both
 *     the rest of `folders`    every file
 *
 * A file that goes while links are made (by retention, by a newer snapshot) makes the folder begin anew.
 */
#include "net/main/pins.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "snapshot/store.h"
#include "wal/files.h"

/* Folders whose files are written under another name and renamed, and then never change. */
static const char *const folders[] = { "ids" };

enum { TRIES = 5, HASH_STEP = 256 << 10 };

/* ---- making links ----------------------------------------------------------------------------------------------------- */

struct collecting {
	const char *data;
	struct pin *pin;
	struct buf files;              /* struct pin_file */
	struct buf *error;
	bool gone;                     /* a file went meanwhile: once more */
};

static void pin_path(char path[FILES_PATH], const char *data, uint64_t id, const char *file)
{
	snprintf(path, FILES_PATH, "%s/pins/%016" PRIx64 "/%s", data, id, file);
}

static bool fail(struct collecting *c, const char *what, const char *path, int failed)
{
	buf_printf(c->error, "%s %s: %s", what, path, strerror(failed));
	return false;
}

static bool link_make(struct collecting *c, const char *file, uint64_t *size)
{
	char from[FILES_PATH], to[FILES_PATH];
	snprintf(from, sizeof from, "%s/%s", c->data, file);
	pin_path(to, c->data, c->pin->id, file);
	int failed = files_link(from, to);
	if (failed) {
		c->gone |= failed == ENOENT;
		return fail(c, "cannot link", from, failed);
	}
	int64_t found = files_size(to);
	*size = (uint64_t)found;
	return found >= 0 || fail(c, "cannot read", to, errno);
}

static void file_add(struct collecting *c, const char *path, uint64_t bytes, uint64_t size)
{
	struct pin_file file = { .bytes = bytes, .size = size };
	int len = snprintf(file.path, sizeof file.path, "%s", path);
	ASSERT(len >= 0 && (size_t)len < sizeof file.path);
	buf_bytes(&c->files, &file, sizeof file);
}

static bool file_take(struct collecting *c, const char *path)
{
	uint64_t size;
	if (!link_make(c, path, &size))
		return false;
	file_add(c, path, size, size);
	return true;
}

static int name_order(const void *a, const void *b)
{
	return strcmp(a, b);
}

struct naming { struct buf *names; const char *folder; };

static bool name_take(void *context, const char *entry)
{
	const struct naming *naming = context;
	char name[PIN_PATH];
	size_t len = strlen(entry);
	/* What is being made has a name of its own until it is whole. */
	if (entry[0] == '.' || len + strlen(naming->folder) + 2 > sizeof name || strncmp(entry, "new.", 4) == 0 ||
	    (len > 4 && strcmp(entry + len - 4, ".tmp") == 0))
		return true;
	memset(name, 0, sizeof name);
	memcpy(name, entry, len);
	buf_bytes(naming->names, name, sizeof name);
	return true;
}

/* Names of the files in a folder that are worth a copy, in order; each PIN_PATH bytes.  A folder that is not there has none. */
static bool folder_names(struct collecting *c, const char *folder, struct buf *names)
{
	char path[FILES_PATH];
	struct naming naming = { names, folder };
	snprintf(path, sizeof path, "%s/%s", c->data, folder);
	int failed = files_list(path, name_take, &naming);
	if (failed && failed != ENOENT)
		return fail(c, "cannot list", path, failed);
	if (names->len)
		qsort(names->ptr, names->len / PIN_PATH, PIN_PATH, name_order);
	return true;
}

static bool folder_make(struct collecting *c, const char *folder)
{
	char path[FILES_PATH];
	pin_path(path, c->data, c->pin->id, folder);
	int failed = files_make_dir(path);
	return !failed || fail(c, "cannot make", path, failed);
}

/* What was renamed into the folder meanwhile may be spoken of in a file that was linked after that: once more then.
 *
 * The names must be durable before a copy of them is: after a power cut that forgets one, another file may get it, and a later backup
 * would take its copy of the first for the second. */
static bool folder_take(struct collecting *c, const char *folder)
{
	char whole[FILES_PATH];
	struct buf names = { 0 }, after = { 0 };
	bool good = folder_names(c, folder, &names) && (!names.len || folder_make(c, folder));
	for (size_t at = 0; at < names.len && good; at += PIN_PATH) {
		char path[2 * PIN_PATH];
		snprintf(path, sizeof path, "%s/%s", folder, names.ptr + at);
		good = file_take(c, path);
	}
	snprintf(whole, sizeof whole, "%s/%s", c->data, folder);
	int failed = good && names.len ? files_sync_dir(whole) : 0;
	if (failed)
		good = fail(c, "cannot make durable", whole, failed);
	good = good && folder_names(c, folder, &after);
	if (good && (names.len != after.len || (names.len && memcmp(names.ptr, after.ptr, names.len) != 0))) {
		buf_printf(c->error, "the files in %s changed meanwhile", folder);
		c->gone = true;
		good = false;
	}
	buf_free(&names);
	buf_free(&after);
	return good;
}

/* Newest first.  The manifest last: one that is there without its data would be damage. */
static bool snapshots_take(struct collecting *c)
{
	char dir[FILES_PATH], name[SNAPSHOT_NAME], path[PIN_PATH];
	uint64_t *ends;
	size_t count;
	snprintf(dir, sizeof dir, "%s/snapshots", c->data);
	bool good = snapshot_list(dir, &ends, &count, c->error) && (!count || folder_make(c, "snapshots"));
	for (size_t i = 0; i < count && good; i++)
		for (int part = 0; part < 2 && good; part++) {
			snapshot_name(name, ends[i], part ? "manifest" : "data");
			snprintf(path, sizeof path, "snapshots/%s", name);
			good = file_take(c, path);
		}
	mem_free(ends);
	return good;
}

static bool segment_base(const char *name, uint64_t *base)
{
	if (strlen(name) != 20 || strcmp(name + 16, ".log") != 0 || strspn(name, "0123456789abcdef") != 16)
		return false;
	*base = strtoull(name, NULL, 16);
	return true;
}

static bool log_take(struct collecting *c)
{
	struct buf names = { 0 };
	bool good = folder_make(c, "log") && folder_names(c, "log", &names), found = false;
	for (size_t at = 0; at < names.len && good; at += PIN_PATH) {
		const char *name = names.ptr + at;
		uint64_t base, size;
		char path[2 * PIN_PATH];
		snprintf(path, sizeof path, "log/%s", name);
		if (!segment_base(name, &base)) {
			good = file_take(c, path);
			continue;
		}
		if (base > c->pin->end)
			continue;              /* made ahead */
		good = link_make(c, path, &size);
		if (!good)
			break;
		uint64_t left = MUTATE(92, c->pin->end - base, size);
		file_add(c, path, left < size ? left : size, size);
		if (!found)
			c->pin->first = base;
		found = true;
	}
	buf_free(&names);
	return good;
}

static bool collect(struct collecting *c, uint64_t (*durable)(void *context), void *context)
{
	/* The log last, and up to a moment that comes after what the others know of. */
	bool good = file_take(c, "seed") && snapshots_take(c);
	for (size_t i = 0; i < sizeof folders / sizeof *folders && good; i++)
		good = folder_take(c, folders[i]);
	if (good)
		c->pin->end = durable(context);
	return good && log_take(c);
}

struct pin *pin_collect(const char *data, uint64_t (*durable)(void *context), void *context, struct buf *error)
{
	struct collecting c = { .data = data, .pin = mem_zalloc(sizeof *c.pin), .error = error };
	char path[FILES_PATH];
	bool good = false;
	snprintf(path, sizeof path, "%s/pins", data);
	int failed = files_make_dir(path);
	if (failed)
		fail(&c, "cannot make", path, failed);
	for (int i = 0; i < TRIES && !good && (i == 0 || c.gone); i++) {
		error->len = c.files.len = 0;
		c.gone = false;
		c.pin->id = wal_io.random();
		if (!c.pin->id) {
			buf_lit(error, "no random number was to be had");
			break;
		}
		c.pin->time_ms = wal_io.wall_ms();
		good = folder_make(&c, "") && collect(&c, durable, context);
		if (!good)
			pin_links_remove(data, c.pin->id);
	}
	c.pin->files = (struct pin_file *)(void *)c.files.ptr;
	c.pin->count = c.files.len / sizeof(struct pin_file);
	if (good)
		return c.pin;
	pin_free(c.pin);
	return NULL;
}

const struct pin_file *pin_find(const struct pin *pin, struct str path)
{
	for (size_t i = 0; i < pin->count; i++)
		if (str_eq(str_of(pin->files[i].path), path))
			return &pin->files[i];
	return NULL;
}

void pin_free(struct pin *pin)
{
	mem_free(pin->files);
	mem_free(pin);
}

struct removing { const char *path; unsigned depth; };

static void tree_remove(const char *path, unsigned depth);

static bool entry_remove(void *context, const char *entry)
{
	const struct removing *removing = context;
	char inner[FILES_PATH];
	if (strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0)
		return true;
	snprintf(inner, sizeof inner, "%s/%s", removing->path, entry);
	if (files_remove(inner) && removing->depth)
		tree_remove(inner, removing->depth - 1);
	return true;
}

/* With so many levels of folders in it. */
static void tree_remove(const char *path, unsigned depth)
{
	struct removing removing = { path, depth };
	files_list(path, entry_remove, &removing);
	wal_io.remove_dir(path);
}

void pin_links_remove(const char *data, uint64_t id)
{
	char path[FILES_PATH];
	snprintf(path, sizeof path, "%s/pins/%016" PRIx64, data, id);
	tree_remove(path, 1);
}

void pin_links_sweep(const char *data)
{
	char path[FILES_PATH];
	snprintf(path, sizeof path, "%s/pins", data);
	tree_remove(path, 2);
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static int read_all(int fd, void *out, size_t size, uint64_t offset)
{
	ssize_t n = files_read(fd, out, size, offset);
	return n < 0 ? errno : (size_t)n < size ? EIO : 0;
}

static int pin_open(const char *data, uint64_t id, const char *file)
{
	char path[FILES_PATH];
	pin_path(path, data, id, file);
	return files_open(path, O_RDONLY);
}

int pin_read(const char *data, uint64_t id, const char *path, uint64_t offset, size_t size, void *out)
{
	int fd = pin_open(data, id, path);
	if (fd < 0)
		return errno;
	int failed = read_all(fd, out, size, offset);
	wal_io.close(fd);
	return failed;
}

int pin_hash(const char *data, uint64_t id, const char *path, uint64_t offset, uint64_t size, uint8_t hash[16])
{
	int fd = pin_open(data, id, path), failed = 0;
	if (fd < 0)
		return errno;
	XXH3_state_t *state = XXH3_createState();
	unsigned char *bytes = mem_alloc(HASH_STEP);
	if (!state || XXH3_128bits_reset(state) != XXH_OK)
		failed = ENOMEM;
	for (uint64_t done = 0; done < size && !failed;) {
		size_t n = size - done < HASH_STEP ? (size_t)(size - done) : HASH_STEP;
		failed = read_all(fd, bytes, n, offset + done);
		if (!failed)
			XXH3_128bits_update(state, bytes, n);
		done += n;
	}
	if (!failed) {
		XXH128_canonical_t canonical;
		XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
		memcpy(hash, canonical.digest, 16);
	}
	XXH3_freeState(state);
	mem_free(bytes);
	wal_io.close(fd);
	return failed;
}

/* ---- the table -------------------------------------------------------------------------------------------------------- */

struct pins {
	uv_loop_t *loop;
	char *data;                    /* owned */
	struct pin *at[PINS_MAX];      /* owned; the first `count` */
	size_t count;
	int making;
	unsigned removing;
};

struct removal {
	uv_work_t work;
	struct pins *pins;
	uint64_t id;
};

struct pins *pins_new(uv_loop_t *loop, const char *data)
{
	struct pins *pins = mem_zalloc(sizeof *pins);
	pins->loop = loop;
	pins->data = mem_dup(data, strlen(data) + 1);
	pin_links_sweep(data);
	return pins;
}

void pins_free(struct pins *pins)
{
	if (!pins)
		return;
	ASSERT(!pins_busy(pins));
	for (size_t i = 0; i < pins->count; i++)
		pin_free(pins->at[i]);
	pin_links_sweep(pins->data);
	mem_free(pins->data);
	mem_free(pins);
}

bool pins_room(const struct pins *pins)
{
	return pins->count + (size_t)pins->making < PINS_MAX;
}

void pins_making(struct pins *pins, int change)
{
	pins->making += change;
	ASSERT(pins->making >= 0);
}

void pins_add(struct pins *pins, struct pin *pin)
{
	ASSERT(pins->count < PINS_MAX);
	pin->born_ns = pin->used_ns = uv_hrtime();
	pins->at[pins->count++] = pin;
}

struct pin *pins_use(struct pins *pins, uint64_t id)
{
	for (size_t i = 0; i < pins->count; i++)
		if (pins->at[i]->id == id) {
			pins->at[i]->used_ns = uv_hrtime();
			return pins->at[i];
		}
	return NULL;
}

size_t pins_count(const struct pins *pins)
{
	return pins->count;
}

const struct pin *pins_at(const struct pins *pins, size_t index)
{
	return pins->at[index];
}

static void removal_run(uv_work_t *work)
{
	struct removal *removal = work->data;
	pin_links_remove(removal->pins->data, removal->id);
}

static void removal_after(uv_work_t *work, int status)
{
	struct removal *removal = work->data;
	(void)status;
	removal->pins->removing--;
	mem_free(removal);
}

void pins_drop(struct pins *pins, uint64_t id)
{
	for (size_t i = 0; i < pins->count; i++) {
		if (pins->at[i]->id != id)
			continue;
		struct removal *removal = mem_zalloc(sizeof *removal);
		removal->pins = pins;
		removal->id = id;
		removal->work.data = removal;
		pin_free(pins->at[i]);
		pins->at[i] = pins->at[--pins->count];
		pins->removing++;
		int error = uv_queue_work(pins->loop, &removal->work, removal_run, removal_after);
		ASSERT(!error);
		return;
	}
}

void pins_tick(struct pins *pins)
{
	uint64_t now = uv_hrtime();
	for (size_t i = pins->count; i-- > 0;) {
		const struct pin *pin = pins->at[i];
		if (now - pin->used_ns > PIN_LEASE_S * UINT64_C(1000000000) ||
		    now - pin->born_ns > PIN_LIFE_S * UINT64_C(1000000000))
			pins_drop(pins, pin->id);
	}
}

bool pins_busy(const struct pins *pins)
{
	return pins->removing || pins->making;
}
