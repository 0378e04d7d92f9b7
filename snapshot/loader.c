// SPDX-License-Identifier: Apache-2.0
#include "snapshot/loader.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/shard/capture.h"
#include "snapshot/store.h"
#include "wal/io.h"

enum { SLOTS = 4 };

enum { MAKERS = 2 };

/* One shard's threads, with a few pieces between them. */
struct lane {
	struct run *run;
	unsigned shard;
	pthread_t reader;
	bool reader_runs;
	struct maker { struct lane *lane; enum state_parts parts; pthread_t thread; bool runs; unsigned taken; } makers[MAKERS];
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct buf slots[SLOTS];       /* owned; pieces decompressed, a ring */
	unsigned filled;               /* ever; makers[].taken likewise */
	bool over;                     /* the reader has no more */
	uint64_t sizes[SLOTS];         /* compressed, for the progress */
};

/* One attempt at one snapshot. */
struct run {
	struct snapshot_load *load;
	struct snapshot_manifest manifest;
	int fd;
	atomic_bool broken;
	pthread_mutex_t mutex;         /* of why, done and said */
	struct buf why;
	uint64_t done;                 /* bytes of pieces that became actors, compressed */
	uint64_t began_ns, said_ns;
};

static double seconds_since(uint64_t then_ns)
{
	return (double)(wal_io.monotonic_ns() - then_ns) / 1e9;
}

__attribute__((format(printf, 3, 4)))
static void say(const struct snapshot_load *load, const char *level, const char *format, ...)
{
	char line[600];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (load->log)
		load->log(load->context, level, line);
}

static void break_off(struct run *run, const char *why, size_t len)
{
	pthread_mutex_lock(&run->mutex);
	if (!run->why.len)
		buf_bytes(&run->why, why, len);
	pthread_mutex_unlock(&run->mutex);
	atomic_store(&run->broken, true);
}

static void progress(struct run *run, uint64_t bytes)
{
	pthread_mutex_lock(&run->mutex);
	run->done += bytes;
	uint64_t done = run->done, total = run->manifest.data_size;
	bool due = seconds_since(run->said_ns) >= 1;
	if (due)
		run->said_ns = wal_io.monotonic_ns();
	pthread_mutex_unlock(&run->mutex);
	if (run->load->progress)
		run->load->progress(run->load->progress_context, done, total);
	if (due && done)
		say(run->load, "notice", "loading the snapshot: %llu of %llu MB, about %.0f s more", (unsigned long long)done / 1000000,
		    (unsigned long long)total / 1000000, seconds_since(run->began_ns) * (double)(total - done) / (double)done);
}

static bool concerns(const struct run *run, const struct snapshot_section *section, unsigned shard)
{
	return section->partition == SNAPSHOT_SHARED || shard_of(section->partition, run->load->count) == shard;
}

/* ---- the threads of a lane -------------------------------------------------------------------------------------------- */

static bool lane_full(const struct lane *lane)
{
	return lane->filled - lane->makers[0].taken == SLOTS || lane->filled - lane->makers[1].taken == SLOTS;
}

static void *reader_main(void *context)
{
	struct lane *lane = context;
	struct run *run = lane->run;
	struct buf packed = { 0 }, error = { 0 };
	for (uint32_t i = 0; i < run->manifest.count && !atomic_load(&run->broken); i++) {
		const struct snapshot_section *section = &run->manifest.sections[i];
		if (!section->size || !concerns(run, section, lane->shard))
			continue;
		pthread_mutex_lock(&lane->mutex);
		while (lane_full(lane))
			pthread_cond_wait(&lane->changed, &lane->mutex);
		pthread_mutex_unlock(&lane->mutex);
		unsigned slot = lane->filled % SLOTS;
		if (!snapshot_section_read(run->fd, section, &packed, &lane->slots[slot], &error)) {
			break_off(run, error.ptr, error.len);
			break;
		}
		pthread_mutex_lock(&lane->mutex);
		lane->sizes[slot] = section->size;
		lane->filled++;
		pthread_cond_broadcast(&lane->changed);
		pthread_mutex_unlock(&lane->mutex);
	}
	pthread_mutex_lock(&lane->mutex);
	lane->over = true;
	pthread_cond_broadcast(&lane->changed);
	pthread_mutex_unlock(&lane->mutex);
	buf_free(&packed);
	buf_free(&error);
	return NULL;
}

/* Goes on to the reader's end even where the snapshot is broken, so that the reader never waits for it in vain. */
static void *maker_main(void *context)
{
	struct maker *maker = context;
	struct lane *lane = maker->lane;
	struct run *run = lane->run;
	struct state *state = run->load->states[lane->shard];
	for (;;) {
		const char *why;
		pthread_mutex_lock(&lane->mutex);
		while (lane->filled == maker->taken && !lane->over)
			pthread_cond_wait(&lane->changed, &lane->mutex);
		bool over = lane->filled == maker->taken;
		pthread_mutex_unlock(&lane->mutex);
		if (over)
			return NULL;
		struct buf *raw = &lane->slots[maker->taken % SLOTS];
		if (!atomic_load(&run->broken) &&
		    !capture_load(state, lane->shard == 0 ? run->load->catalog : NULL, raw->ptr, raw->len, maker->parts, &why))
			break_off(run, why, strlen(why));
		if (maker->parts == STATE_ACTORS)
			progress(run, lane->sizes[maker->taken % SLOTS]);
		pthread_mutex_lock(&lane->mutex);
		maker->taken++;
		pthread_cond_broadcast(&lane->changed);
		pthread_mutex_unlock(&lane->mutex);
	}
}

static void lanes_run(struct run *run)
{
	struct lane *lanes = mem_zalloc(run->load->count * sizeof *lanes);
	for (unsigned s = 0; s < run->load->count; s++) {
		struct lane *lane = &lanes[s];
		lane->run = run;
		lane->shard = s;
		pthread_mutex_init(&lane->mutex, NULL);
		pthread_cond_init(&lane->changed, NULL);
		for (unsigned m = 0; m < MAKERS; m++)
			lane->makers[m] = (struct maker){ .lane = lane, .parts = m ? STATE_IDS : STATE_ACTORS };
		lane->reader_runs = !pthread_create(&lane->reader, NULL, reader_main, lane);
		if (!lane->reader_runs)
			lane->over = true;
		for (unsigned m = 0; m < MAKERS; m++) {
			struct maker *maker = &lane->makers[m];
			maker->runs = lane->reader_runs && !pthread_create(&maker->thread, NULL, maker_main, maker);
			if (maker->runs)
				continue;
			/* What the reader has read already nobody takes: this thread does. */
			break_off(run, "a thread cannot be started", strlen("a thread cannot be started"));
			maker_main(maker);
		}
	}
	for (unsigned s = 0; s < run->load->count; s++) {
		struct lane *lane = &lanes[s];
		if (lane->reader_runs)
			pthread_join(lane->reader, NULL);
		for (unsigned m = 0; m < MAKERS; m++)
			if (lane->makers[m].runs)
				pthread_join(lane->makers[m].thread, NULL);
		for (unsigned i = 0; i < SLOTS; i++)
			buf_free(&lane->slots[i]);
		pthread_mutex_destroy(&lane->mutex);
		pthread_cond_destroy(&lane->changed);
	}
	mem_free(lanes);
}

/* The same in this thread, without any other. */
static void lanes_walk(struct run *run)
{
	struct buf packed = { 0 }, raw = { 0 }, error = { 0 };
	const char *why;
	for (unsigned s = 0; s < run->load->count; s++)
		for (uint32_t i = 0; i < run->manifest.count && !atomic_load(&run->broken); i++) {
			const struct snapshot_section *section = &run->manifest.sections[i];
			if (!section->size || !concerns(run, section, s))
				continue;
			if (!snapshot_section_read(run->fd, section, &packed, &raw, &error))
				break_off(run, error.ptr, error.len);
			else if (!capture_load(run->load->states[s], s == 0 ? run->load->catalog : NULL, raw.ptr, raw.len, STATE_ALL,
					       &why))
				break_off(run, why, strlen(why));
		}
	buf_free(&packed);
	buf_free(&raw);
	buf_free(&error);
}

/* ---- one snapshot after the other ------------------------------------------------------------------------------------- */

static void seen_fill(struct seen *seen, const struct snapshot_manifest *manifest)
{
	*seen = (struct seen){ .end = manifest->end };
	for (uint32_t i = 0; i < manifest->count; i++) {
		const struct snapshot_section *section = &manifest->sections[i];
		if (section->partition == SNAPSHOT_SHARED)
			continue;
		if (section->partition % PARTITIONS_PER_GROUP == 0)
			seen->slices[group_of(section->partition)] = section->lsn;
		for (unsigned p = section->partition; p < section->behind; p++)
			seen->partitions[p] = section->lsn;
	}
}

/* Before anything is made: how much there may be at most. */
static void loadable(const struct snapshot_load *load, const struct snapshot_manifest *manifest)
{
	uint64_t bytes[GROUP_COUNT] = { 0 }, end = manifest->end;
	for (uint32_t i = 0; i < manifest->count; i++)
		if (manifest->sections[i].partition != SNAPSHOT_SHARED)
			bytes[group_of(manifest->sections[i].partition)] += manifest->sections[i].raw_size;
	if (load->log_end && end > load->log_end)
		end = load->log_end;
	for (unsigned s = 0; s < load->count; s++)
		for (unsigned g = 0; g < GROUP_COUNT; g++)
			capture_loadable(load->states[s], g, bytes[g], end > manifest->from ? end - manifest->from : 0);
}

/* As they were before: without anything, but for which ids are on disk. */
static void states_reset(struct snapshot_load *load)
{
	for (unsigned s = 0; s < load->count; s++) {
		struct ids *ids = &load->states[s]->ids;
		const struct ids filed = { .runs = ids->runs, .filed_below = ids->filed_below, .filed_done = ids->filed_done };
		state_deinit(load->states[s]);
		state_init(load->states[s], s, load->count);
		ids->runs = MUTATE(85, filed.runs, NULL);
		ids->filed_below = MUTATE(85, filed.filed_below, 0);
		ids->filed_done = filed.filed_done;
	}
	catalog_free(load->catalog);
}

static bool try(struct snapshot_load *load, uint64_t end, struct buf *why)
{
	struct run run = { .load = load, .fd = -1 };
	pthread_mutex_init(&run.mutex, NULL);
	run.said_ns = run.began_ns = wal_io.monotonic_ns();
	bool good = snapshot_manifest_read(load->dir, end, &run.manifest, why);
	if (good)
		run.fd = snapshot_data_open(load->dir, end, why);
	if (good && run.manifest.end > load->known)
		load->known = run.manifest.end;
	good = good && run.fd >= 0;
	if (good) {
		loadable(load, &run.manifest);
		if (load->stepped)
			lanes_walk(&run);
		else
			lanes_run(&run);
		good = !atomic_load(&run.broken);
		buf_bytes(why, run.why.ptr, run.why.len);
		wal_io.close(run.fd);
		if (!good && MUTATE(52, true, false))
			states_reset(load);
	}
	if (good) {
		load->loaded = true;
		load->from = MUTATE(47, run.manifest.from, run.manifest.end);
		load->end = run.manifest.end;
		load->raw_size = run.manifest.raw_size;
		load->took_ns = (uint64_t)(seconds_since(run.began_ns) * 1e9);
		seen_fill(&load->seen, &run.manifest);
		for (unsigned s = 0; s < load->count; s++)
			state_seen(load->states[s], MUTATE(53, &load->seen, NULL));
	}
	snapshot_manifest_free(&run.manifest);
	buf_free(&run.why);
	pthread_mutex_destroy(&run.mutex);
	return good;
}

void snapshot_load_begin(struct snapshot_load *load)
{
	struct buf why = { 0 };
	uint64_t *ends;
	size_t count;
	load->loaded = false;
	load->broken = 0;
	load->from = load->end = load->known = load->raw_size = load->took_ns = 0;
	if (!snapshot_list(load->dir, &ends, &count, &why))
		say(load, "error", "snapshots cannot be looked for: %.*s", (int)why.len, why.ptr);
	for (size_t i = 0; i < MUTATE(56, count, count > 0) && !load->loaded; i++) {
		if (load->until && ends[i] > load->until)
			continue;
		why.len = 0;
		if (try(load, ends[i], &why))
			break;
		load->broken++;
		say(load, "error", "BROKEN SNAPSHOT %016llx: %.*s; it is left alone, and %s", (unsigned long long)ends[i], (int)why.len,
		    why.ptr, i + 1 < count ? "the one before is tried" : "the log is read from its beginning");
	}
	mem_free(ends);
	buf_free(&why);
}

bool snapshot_load_end(struct snapshot_load *load, struct buf *error)
{
	bool good = true;
	for (unsigned s = 0; s < load->count; s++) {
		if (load->states[s]->ledger.holes && good) {
			buf_printf(error, "%llu accounts that the snapshot %016llx leaves to the log are not in it",
				   (unsigned long long)load->states[s]->ledger.holes, (unsigned long long)load->end);
			good = false;
		}
		state_seen(load->states[s], NULL);
	}
	return good;
}
