// SPDX-License-Identifier: Apache-2.0
#include "snapshot/runs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/ledger/ids.h"
#include "snapshot/run_int.h"
#include "snapshot/store.h"
#include "wal/files.h"
#include "wal/segment.h"

enum { MANIFEST_MAX = 1 << 20, PATH_BYTES = 4096, SORT_BITS = 16, SORT_CLASSES = 1 << SORT_BITS };

static const char manifest_magic[8] = "TALLYIDM";

struct manifest_head {
	char magic[8];
	uint32_t version, count;
	uint64_t below, forgotten, next_serial, done, failed;
	uint32_t mark_count, reserved;
};

struct manifest_run {
	uint64_t serial, from, below, count;
	uint8_t hash[16];
};

static_assert(sizeof(struct manifest_head) == 64 && sizeof(struct manifest_run) == 48 && sizeof(struct run_mark) == 16, "layout");

struct runs_store {
	int dir;                       /* -1: the folder is not there */
	char *path;                    /* owned; of it */
	struct runs_manifest manifest;
	pthread_mutex_t mutex;         /* guards `current` */
	struct runs *current;          /* held */
};

/* ---- the manifest ----------------------------------------------------------------------------------------------------- */

void runs_manifest_encode(const struct runs_manifest *manifest, struct buf *out)
{
	struct manifest_head head = { .version = RUNS_VERSION, .count = manifest->count, .below = manifest->below,
				      .forgotten = MUTATE(108, manifest->forgotten, 0), .next_serial = manifest->next_serial,
				      .done = manifest->done, .failed = manifest->failed, .mark_count = manifest->mark_count };
	size_t start = out->len;
	uint8_t hash[16];
	memcpy(head.magic, manifest_magic, sizeof head.magic);
	buf_bytes(out, &head, sizeof head);
	for (uint32_t r = 0; r < manifest->count; r++) {
		const struct run_info *run = &manifest->runs[r];
		struct manifest_run row = { run->serial, run->from, run->below, run->count, { 0 } };
		memcpy(row.hash, run->hash, sizeof row.hash);
		buf_bytes(out, &row, sizeof row);
	}
	buf_bytes(out, manifest->marks, manifest->mark_count * sizeof *manifest->marks);
	run_hash(hash, out->ptr + start, out->len - start);
	buf_bytes(out, hash, sizeof hash);
}

static bool refuse(struct buf *error, const char *why)
{
	buf_printf(error, "ids/manifest: %s", why);
	return false;
}

bool runs_manifest_decode(const void *bytes, size_t len, struct runs_manifest *manifest, struct buf *error)
{
	struct manifest_head head;
	uint8_t hash[16];
	*manifest = (struct runs_manifest){ 0 };
	if (len < sizeof head + sizeof hash)
		return refuse(error, "it is too short");
	memcpy(&head, bytes, sizeof head);
	if (memcmp(head.magic, manifest_magic, sizeof head.magic))
		return refuse(error, "not a manifest of ids");
	if (head.version != RUNS_VERSION) {
		buf_printf(error, "ids/manifest: format version %u; this program reads version %u", head.version, (unsigned)RUNS_VERSION);
		return false;
	}
	run_hash(hash, bytes, len - sizeof hash);
	if (memcmp(hash, (const char *)bytes + len - sizeof hash, sizeof hash))
		return refuse(error, "its checksum does not match");
	if (head.count > RUNS_MAX || head.mark_count > RUN_MARKS_MAX || head.reserved ||
	    len != sizeof head + head.count * sizeof(struct manifest_run) + head.mark_count * sizeof(struct run_mark) + sizeof hash)
		return refuse(error, "its size differs from what it says");
	manifest->below = head.below;
	manifest->forgotten = head.forgotten;
	manifest->next_serial = head.next_serial;
	manifest->done = head.done;
	manifest->failed = head.failed;
	manifest->count = head.count;
	manifest->mark_count = head.mark_count;
	const char *at = (const char *)bytes + sizeof head;
	for (uint32_t r = 0; r < head.count; r++, at += sizeof(struct manifest_run)) {
		struct manifest_run row;
		memcpy(&row, at, sizeof row);
		struct run_info *run = &manifest->runs[r];
		*run = (struct run_info){ row.serial, row.from, row.below, row.count, { 0 } };
		memcpy(run->hash, row.hash, sizeof run->hash);
		if (row.from >= row.below || row.serial >= head.next_serial || !row.count || row.count > UINT64_C(1) << 40 ||
		    (r && row.from < manifest->runs[r - 1].below) || row.below > head.below)
			return refuse(error, "its runs do not fit together");
	}
	memcpy(manifest->marks, at, head.mark_count * sizeof(struct run_mark));
	for (uint32_t m = 1; m < head.mark_count; m++)
		if (manifest->marks[m].lsn < manifest->marks[m - 1].lsn)
			return refuse(error, "its marks are not in order");
	return true;
}

static bool fail(struct buf *error, const char *what, int failed)
{
	buf_printf(error, "ids/%s: %s", what, strerror(failed));
	return false;
}

static bool manifest_read(struct runs_store *store, struct buf *error)
{
	int64_t size = wal_io.size(store->dir, "manifest");
	if (size < 0 && errno == ENOENT)
		return true;
	int fd = size < 0 ? -1 : wal_io.open(store->dir, "manifest", O_RDONLY);
	if (fd < 0)
		return fail(error, "manifest", errno);
	struct buf bytes = { 0 };
	int failed = size > MANIFEST_MAX ? EFBIG : 0;
	if (!failed) {
		buf_room(&bytes, (size_t)size + 1);
		bytes.len = (size_t)size;
		failed = read_fully(fd, bytes.ptr, (size_t)size, 0);
	}
	wal_io.close(fd);
	bool good = failed ? fail(error, "manifest", failed) : runs_manifest_decode(bytes.ptr, bytes.len, &store->manifest, error);
	buf_free(&bytes);
	return good;
}

static bool manifest_write(struct runs_store *store, const struct runs_manifest *manifest, struct buf *error)
{
	struct buf bytes = { 0 };
	runs_manifest_encode(manifest, &bytes);
	int fd = wal_io.open(store->dir, "new.manifest", O_WRONLY | O_CREAT | O_TRUNC), failed = fd < 0 ? errno : 0;
	if (!failed)
		failed = files_write(fd, bytes.ptr, bytes.len, 0);
	if (!failed)
		failed = files_sync(fd);
	if (fd >= 0)
		wal_io.close(fd);
	if (!failed && wal_io.rename(store->dir, "new.manifest", "manifest"))
		failed = errno;
	if (!failed)
		failed = files_sync(store->dir);
	buf_free(&bytes);
	return failed ? fail(error, "manifest cannot be written", failed) : true;
}

/* ---- sets ------------------------------------------------------------------------------------------------------------- */

struct runs *runs_hold(struct runs_store *store)
{
	pthread_mutex_lock(&store->mutex);
	struct runs *runs = store->current;
	atomic_fetch_add(&runs->users, 1);
	pthread_mutex_unlock(&store->mutex);
	return runs;
}

void runs_release(struct runs *runs)
{
	if (!runs || atomic_fetch_sub(&runs->users, 1) != 1)
		return;
	for (unsigned r = 0; r < runs->count; r++)
		run_release(runs->runs[r]);
	mem_free(runs);
}

/* The set that the manifest describes; `list` are its runs, of which each is held once more. */
static void set_make(struct runs_store *store, struct run *const *list)
{
	const struct runs_manifest *manifest = &store->manifest;
	struct runs *runs = mem_zalloc(sizeof *runs), *old = store->current;
	runs->shown.generation = manifest->below + 1;
	runs->shown.below = manifest->below;
	runs->forgotten = runs->shown.forgotten = manifest->forgotten;
	runs->count = runs->shown.count = manifest->count;
	for (unsigned r = 0; r < runs->count; r++) {
		run_hold(list[r]);
		runs->runs[r] = list[r];
		runs->shown.filters[r] = list[r]->filter;
		runs->shown.entries += list[r]->info.count;
		runs->shown.bytes += run_memory(list[r]);
	}
	atomic_init(&runs->users, 1);
	pthread_mutex_lock(&store->mutex);
	store->current = runs;
	pthread_mutex_unlock(&store->mutex);
	runs_release(old);
}

/* ---- the folder ------------------------------------------------------------------------------------------------------- */

struct strays { struct runs_store *store; struct buf names; };

static bool stray_note(void *context, const char *name)
{
	struct strays *strays = context;
	const struct runs_manifest *manifest = &strays->store->manifest;
	size_t len = strlen(name);
	char known[RUN_NAME];
	bool stray = !strcmp(name, "new.run") || !strcmp(name, "new.manifest");
	if (len == 20 && !strcmp(name + 16, ".run") && strspn(name, "0123456789abcdef") == 16) {
		stray = true;
		for (uint32_t r = 0; r < manifest->count; r++) {
			run_name(known, manifest->runs[r].serial);
			stray &= strcmp(known, name) != 0;
		}
	}
	if (stray)
		buf_bytes(&strays->names, name, len + 1);
	return true;
}

/* Files that no manifest names: of a writer that was interrupted. */
static void sweep(struct runs_store *store)
{
	struct strays strays = { store, { 0 } };
	wal_io.list(store->dir, stray_note, &strays);
	for (size_t at = 0; at < strays.names.len; at += strlen(strays.names.ptr + at) + 1)
		wal_io.unlink(store->dir, strays.names.ptr + at);
	buf_free(&strays.names);
}

static bool dir_open(struct runs_store *store, const char *dir, struct buf *error)
{
	store->dir = wal_io.open_dir(dir);
	return store->dir >= 0 || errno == ENOENT || fail(error, "", errno);
}

/* With the first run: a disk that is full must not keep a server from starting. */
static bool dir_make(struct runs_store *store, struct buf *error)
{
	char above[PATH_BYTES];
	if (store->dir >= 0)
		return true;
	snprintf(above, sizeof above, "%s/..", store->path);
	if (wal_io.make_dir(store->path) && errno != EEXIST)
		return fail(error, "", errno);
	int failed = files_sync_dir(above);
	if (failed)
		return fail(error, "..", failed);
	return dir_open(store, store->path, error);
}

struct runs_store *runs_open(const char *dir, bool write, struct buf *error)
{
	struct runs_store *store = mem_zalloc(sizeof *store);
	struct run *list[RUNS_MAX] = { 0 };
	pthread_mutex_init(&store->mutex, NULL);
	store->path = mem_dup(dir, strlen(dir) + 1);
	/* A folder that was removed and is made again has no name twice: a backup that has the old run would take it for the new one. */
	store->manifest.next_serial = ((uint64_t)wal_io.wall_ms() & 0xffffffffff) << 20 | (wal_io.random() & 0xfffff);
	bool good = dir_open(store, dir, error) && (store->dir < 0 || manifest_read(store, error));
	for (uint32_t r = 0; good && r < store->manifest.count; r++)
		good = (list[r] = run_open(store->dir, &store->manifest.runs[r], error)) != NULL;
	/* Nor where a crash forgets a manifest: a run that only it named may be in a backup all the same. */
	if (good && write)
		store->manifest.next_serial = ((store->manifest.next_serial >> 20) + 1) << 20 | (wal_io.random() & 0xfffff);
	if (good && write && store->dir >= 0)
		sweep(store);
	if (good)
		set_make(store, list);
	for (uint32_t r = 0; r < RUNS_MAX; r++)
		run_release(list[r]);
	if (good)
		return store;
	runs_close(store);
	return NULL;
}

void runs_close(struct runs_store *store)
{
	if (!store)
		return;
	runs_release(store->current);
	if (store->dir >= 0)
		wal_io.close(store->dir);
	pthread_mutex_destroy(&store->mutex);
	mem_free(store->path);
	mem_free(store);
}

const struct runs_manifest *runs_manifest(const struct runs_store *store)
{
	return &store->manifest;
}

/* ---- adding ----------------------------------------------------------------------------------------------------------- */

static int entry_order(const void *a, const void *b)
{
	const struct run_entry *one = a, *other = b;
	if (one->hash != other->hash)
		return one->hash < other->hash ? -1 : 1;
	return (one->value > other->value) - (one->value < other->value);
}

/* By the upper bits first, which are as good as random; what they leave together is a handful. */
static void entries_sort(struct run_entry *entries, uint64_t count)
{
	if (count < SORT_CLASSES) {
		if (count)
			qsort(entries, count, sizeof *entries, entry_order);
		return;
	}
	uint64_t *ends = mem_zalloc((SORT_CLASSES + 1) * sizeof *ends);
	struct run_entry *out = mem_alloc(count * sizeof *out);
	for (uint64_t i = 0; i < count; i++)
		ends[(entries[i].hash >> (64 - SORT_BITS)) + 1]++;
	for (unsigned c = 0; c < SORT_CLASSES; c++)
		ends[c + 1] += ends[c];
	/* ends[c] is where class c begins, and moves to its end. */
	for (uint64_t i = 0; i < count; i++)
		out[ends[entries[i].hash >> (64 - SORT_BITS)]++] = entries[i];
	for (unsigned c = 0; c < SORT_CLASSES; c++) {
		uint64_t begin = c ? ends[c - 1] : 0;
		if (ends[c] - begin > 1)
			qsort(out + begin, ends[c] - begin, sizeof *out, entry_order);
	}
	memcpy(entries, out, count * sizeof *out);
	mem_free(out);
	mem_free(ends);
}

/* Halves the marks where there are too many: each one stands for all below it, so any may go but the newest. */
static void mark_add(struct runs_manifest *manifest, struct run_mark mark)
{
	if (manifest->mark_count == RUN_MARKS_MAX) {
		for (uint32_t m = 0; m < RUN_MARKS_MAX / 2; m++)
			manifest->marks[m] = manifest->marks[2 * m + 1];
		manifest->mark_count = RUN_MARKS_MAX / 2;
	}
	manifest->marks[manifest->mark_count++] = mark;
}

/* Makes a changed manifest the valid one, with these runs. */
static bool change(struct runs_store *store, const struct runs_manifest *manifest, struct run *const *list, struct buf *error)
{
	if (!manifest_write(store, manifest, error)) {
		/* It may stand there all the same: what it names is not written again. */
		store->manifest.next_serial = manifest->next_serial + 1;
		return false;
	}
	store->manifest = *manifest;
	set_make(store, list);
	return true;
}

/* ---- merging ---------------------------------------------------------------------------------------------------------- */

/* Which neighbours should become one: [*first, *behind).  Sizes grow by half at least from each run to the one before it, so
 * that there are few runs and an id is written again as often as its logarithm; and there is always room for one more. */
static bool due(const struct runs_manifest *manifest, unsigned *first, unsigned *behind)
{
	unsigned count = manifest->count, best = 0;
	const struct run_info *runs = manifest->runs;
	for (unsigned r = count; r-- > 1;)
		if (runs[r - 1].count < runs[r].count + runs[r].count / 2) {
			*first = r - 1;
			*behind = r + 1;
			return true;
		}
	if (count && runs[0].from < manifest->forgotten &&
	    manifest->forgotten - runs[0].from > (runs[0].below - runs[0].from) / 2) {
		*first = 0;
		*behind = 1;
		return true;
	}
	if (count < RUNS_MAX)
		return false;
	for (unsigned r = 1; r + 1 < count; r++)
		if (runs[r].count + runs[r + 1].count < runs[best].count + runs[best + 1].count)
			best = r;
	*first = best;
	*behind = best + 2;
	return true;
}

bool runs_due(const struct runs_store *store)
{
	unsigned first, behind;
	return due(&store->manifest, &first, &behind);
}

/* ---- changes, in steps ------------------------------------------------------------------------------------------------ */

struct side { struct run_cursor cursor; struct run_entry entry; bool there; };

/* A run more, of `entries`; or one in place of [first, behind), without what is forgotten. */
struct runs_job {
	struct runs_store *store;
	enum { JOB_BEGINS, JOB_WRITES, JOB_ENDS, JOB_COUNTS } stage;   /* counts: the manifest is next */
	bool adds;                     /* else it merges */
	struct run_entry *entries;     /* borrowed */
	uint64_t count, at;
	unsigned first, behind;
	struct side sides[2];
	struct runs *old;              /* held */
	struct runs_manifest manifest; /* as it will be */
	uint64_t from, below;          /* of the run that is made */
	int64_t time_ms;
	struct run_writer *writer;     /* owned */
	uint64_t written;
	struct run *made;              /* held; NULL: nothing is left of it */
};

static struct runs_job *job_new(struct runs_store *store)
{
	struct runs_job *job = mem_zalloc(sizeof *job);
	job->store = store;
	job->old = runs_hold(store);
	job->manifest = store->manifest;
	return job;
}

struct runs_job *runs_add_begin(struct runs_store *store, struct run_entry *entries, uint64_t count, uint64_t below, int64_t time_ms)
{
	struct runs_job *job = job_new(store);
	ASSERT(below > job->manifest.below && (!count || job->manifest.count < RUNS_MAX));
	job->adds = true;
	job->entries = entries;
	job->count = count;
	job->first = job->behind = job->manifest.count;
	job->from = job->manifest.below;
	job->below = below;
	job->time_ms = time_ms;
	return job;
}

struct runs_job *runs_merge_begin(struct runs_store *store)
{
	unsigned first, behind;
	if (!due(&store->manifest, &first, &behind))
		return NULL;
	struct runs_job *job = job_new(store);
	const struct runs_manifest *manifest = &job->manifest;
	ASSERT(behind - first <= 2);
	job->first = first;
	job->behind = behind;
	job->from = manifest->runs[first].from > manifest->forgotten ? manifest->runs[first].from : manifest->forgotten;
	job->below = manifest->runs[behind - 1].below;
	for (unsigned r = first; r < behind; r++)
		job->count += manifest->runs[r].count;
	return job;
}

void runs_job_end(struct runs_job *job)
{
	if (!job)
		return;
	run_writer_drop(job->writer);
	for (unsigned s = 0; s < 2; s++)
		run_cursor_end(&job->sides[s].cursor);
	run_release(job->made);
	runs_release(job->old);
	mem_free(job);
}

static bool job_begin(struct runs_job *job, struct buf *error)
{
	const struct runs_manifest *manifest = &job->manifest;
	size_t before = error->len;
	if (!dir_make(job->store, error))
		return false;
	/* A run without anything that is still remembered is not even read. */
	bool gone = !job->adds && job->behind - job->first == 1 && manifest->runs[job->first].below <= manifest->forgotten;
	job->stage = gone || !job->count ? JOB_COUNTS : JOB_WRITES;
	if (job->stage == JOB_COUNTS)
		return true;
	if (job->adds)
		entries_sort(job->entries, job->count);
	job->writer = run_writer_new(job->store->dir, manifest->next_serial, job->count, error);
	for (unsigned s = 0; job->writer && s < job->behind - job->first; s++) {
		run_cursor_begin(&job->sides[s].cursor, job->old->runs[job->first + s]);
		job->sides[s].there = run_cursor_next(&job->sides[s].cursor, &job->sides[s].entry, error);
	}
	return error->len == before;
}

/* The next entry in order.  False: that was all, or there is a line in `error`. */
static bool job_take(struct runs_job *job, struct run_entry *entry, struct buf *error)
{
	size_t before = error->len;
	if (job->adds) {
		if (job->at == job->count)
			return false;
		*entry = job->entries[job->at++];
		return true;
	}
	struct side *sides = job->sides, *side = !sides[0].there ? &sides[1] : &sides[0];
	if (sides[0].there && sides[1].there && entry_order(&sides[1].entry, &sides[0].entry) < 0)
		side = &sides[1];
	if (!side->there)
		return false;
	*entry = side->entry;
	side->there = run_cursor_next(&side->cursor, &side->entry, error);
	return error->len == before;
}

static bool job_write(struct runs_job *job, uint64_t budget, struct buf *error)
{
	struct run_entry entry;
	size_t before = error->len;
	while (budget--) {
		if (!job_take(job, &entry, error)) {
			job->stage = JOB_ENDS;
			return error->len == before;
		}
		if ((entry.value & ID_LSN) < job->manifest.forgotten)
			continue;
		bool loses = MUTATE(79, false, !job->adds && job->written + 1 == job->count);
		if (!loses && !run_writer_put(job->writer, &entry, error))
			return false;
		job->written++;
		job->manifest.done += job->adds && !(entry.value & ID_FAILED);
		job->manifest.failed += job->adds && (entry.value & ID_FAILED);
	}
	return true;
}

static bool job_name(struct runs_job *job, struct buf *error)
{
	struct run_writer *writer = job->writer;
	job->stage = JOB_COUNTS;
	if (!job->written)
		return true;
	job->writer = NULL;
	job->made = run_writer_end(writer, job->from, job->below, error);
	/* Its name may stand there all the same, and a backup may have it. */
	job->store->manifest.next_serial += job->made == NULL;
	return job->made != NULL;
}

/* The manifest with the run that was made in place of [first, behind). */
static bool job_count(struct runs_job *job, struct buf *error)
{
	struct runs_manifest *manifest = &job->manifest;
	const struct runs *old = job->old;
	struct run *list[RUNS_MAX + 1] = { 0 };
	manifest->count = 0;
	for (unsigned r = 0; r <= old->count; r++) {
		struct run *run = r == job->first && job->made ? job->made : NULL;
		if (run) {
			manifest->runs[manifest->count] = run->info;
			list[manifest->count++] = run;
		}
		if (r == old->count || (r >= job->first && r < job->behind))
			continue;
		manifest->runs[manifest->count] = old->runs[r]->info;
		list[manifest->count++] = old->runs[r];
	}
	manifest->next_serial += job->made != NULL;
	if (job->adds) {
		manifest->below = job->below;
		mark_add(manifest, (struct run_mark){ job->below, job->time_ms });
	}
	if (!change(job->store, manifest, list, error))
		return false;
	for (unsigned r = job->first; r < job->behind; r++) {
		char name[RUN_NAME];
		run_name(name, old->runs[r]->info.serial);
		wal_io.unlink(job->store->dir, name);          /* if not, the next start does */
	}
	return true;
}

enum runs_next runs_job_step(struct runs_job *job, uint64_t budget, struct buf *error)
{
	bool good = true, done = false;
	switch (job->stage) {
	case JOB_BEGINS: good = job_begin(job, error); break;
	case JOB_WRITES: good = job_write(job, budget, error); break;
	case JOB_ENDS: good = job_name(job, error); break;
	case JOB_COUNTS:
		good = done = job_count(job, error);
		break;
	}
	return !good ? RUNS_FAILED : done ? RUNS_DONE : RUNS_GOES_ON;
}

static bool job_run(struct runs_job *job, struct buf *error)
{
	enum runs_next next = RUNS_GOES_ON;
	while (next == RUNS_GOES_ON)
		next = runs_job_step(job, UINT64_MAX, error);
	runs_job_end(job);
	return next == RUNS_DONE;
}

bool runs_add(struct runs_store *store, struct run_entry *entries, uint64_t count, uint64_t below, int64_t time_ms,
	      struct buf *error)
{
	return job_run(runs_add_begin(store, entries, count, below, time_ms), error);
}

bool runs_merge(struct runs_store *store, struct buf *error)
{
	struct runs_job *job = runs_merge_begin(store);
	return !job || job_run(job, error);
}

bool runs_forget(struct runs_store *store, uint64_t lsn, struct buf *error)
{
	if (lsn <= store->manifest.forgotten || store->dir < 0)
		return true;
	struct runs_manifest *manifest = mem_dup(&store->manifest, sizeof store->manifest);
	uint32_t old = 0;
	manifest->forgotten = lsn;
	while (old + 1 < manifest->mark_count && manifest->marks[old].lsn <= lsn)
		old++;
	memmove(manifest->marks, manifest->marks + old, (manifest->mark_count - old) * sizeof *manifest->marks);
	manifest->mark_count -= old;
	struct runs *runs = runs_hold(store);
	bool good = change(store, manifest, runs->runs, error);
	runs_release(runs);
	mem_free(manifest);
	return good;
}

uint64_t runs_lsn_before(const struct runs_store *store, int64_t time_ms)
{
	uint64_t lsn = 0;
	for (uint32_t m = 0; m < store->manifest.mark_count && store->manifest.marks[m].time_ms <= time_ms; m++)
		lsn = store->manifest.marks[m].lsn;
	return lsn;
}

/* ---- looking up ------------------------------------------------------------------------------------------------------- */

static int hash_order(const void *a, const void *b)
{
	uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
	return (one > other) - (one < other);
}

bool runs_find(const struct runs *runs, struct id_query *query, struct buf *error)
{
	query->found_count = 0;
	query->forgotten = runs->forgotten;
	query->failed = false;
	if (query->count)
		qsort(query->hashes, query->count, sizeof *query->hashes, hash_order);
	for (unsigned r = 0; r < runs->count && !query->failed; r++)
		if (!run_find(runs->runs[r], query->hashes, query->count, MUTATE(111, runs->forgotten, 0), query, error))
			query->failed = MUTATE(84, true, false);
	id_query_sort(query);
	return !query->failed;
}

bool runs_kept(const struct runs *runs, uint64_t hash, uint64_t lsn, struct id_kept *kept, struct buf *error)
{
	struct run_entry entry;
	*kept = (struct id_kept){ 0 };
	for (unsigned r = 0; r < runs->count; r++) {
		size_t before = error->len;
		if (lsn < runs->runs[r]->info.from || lsn >= runs->runs[r]->info.below)
			continue;
		if (run_entry(runs->runs[r], hash, lsn, &entry, error))
			*kept = (struct id_kept){ true, entry.value & ID_FAILED, entry.content };
		return error->len == before;
	}
	return true;
}

bool runs_verify(const struct runs *runs, struct buf *error)
{
	for (unsigned r = 0; r < runs->count; r++)
		if (!run_verify(runs->runs[r], error))
			return false;
	return true;
}

bool runs_dump(const struct runs *runs, struct buf *out, struct buf *error)
{
	size_t before = error->len;
	for (unsigned r = 0; r < runs->count && error->len == before; r++) {
		struct run_cursor cursor;
		struct run_entry entry;
		run_cursor_begin(&cursor, runs->runs[r]);
		while (run_cursor_next(&cursor, &entry, error))
			if ((entry.value & ID_LSN) >= runs->forgotten)
				buf_printf(out, "id %016llx lsn %llu%s\n", (unsigned long long)entry.hash,
					   (unsigned long long)(entry.value & ID_LSN), entry.value & ID_FAILED ? " failed" : "");
		run_cursor_end(&cursor);
	}
	return error->len == before;
}

bool runs_peek(const char *dir, struct runs_manifest *manifest, struct buf *error)
{
	struct runs_store *store = mem_zalloc(sizeof *store);
	bool good = dir_open(store, dir, error) && (store->dir < 0 || manifest_read(store, error));
	*manifest = store->manifest;
	if (store->dir >= 0)
		wal_io.close(store->dir);
	mem_free(store);
	return good;
}
