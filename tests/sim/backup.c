// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/backup.h"

#include <fcntl.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/main/pins.h"
#include "snapshot/fetch.h"
#include "snapshot/restore.h"
#include "snapshot/store.h"
#include "tests/sim/sim_int.h"
#include "wal/files.h"

static bool one_in(struct sim *sim, unsigned count)
{
	return count && sim_chance(sim, count) == 0;
}

void backups_draw(struct sim *sim)
{
	struct backups *backups = &sim->backups;
	if (!sim->past.swarm.on || one_in(sim, 2))
		return;
	backups->on = true;
	backups->one_in = 300 + (unsigned)sim_chance(sim, 2000);
	backups->cuts = sim_chance(sim, 2);
	backups->copier_dies = sim_chance(sim, 2);
	backups->wire_fails = one_in(sim, 3);
	backups->pins_go = one_in(sim, 3);
	if (one_in(sim, 2))
		backups->faults = (struct disk_faults){ .short_write = 20, .interrupted = 30, .write_fails = 100, .sync_fails = 60, .read_fails = 200 };
	if (one_in(sim, 6))
		backups->faults.lost_write = 60;
	backups->disk = disk_new(sim_chance(sim, UINT64_MAX));
}

void backups_free(struct sim *sim)
{
	if (sim->backups.disk)
		disk_free(sim->backups.disk);
}

/* ---- the node as a source ---------------------------------------------------------------------------------------------- */

struct copier {
	struct sim *sim;
	struct pin *pin;               /* NULL: nothing is held */
	bool node_gone;
	struct { char file[BACKUP_PATH]; uint64_t offset; size_t size; } asked[FETCH_FLIGHT];
	struct buf bytes[FETCH_FLIGHT];
	char said[400];
};

/* The node's side: its disk is there, and the world goes on for a while.  False: the node is gone. */
static bool enter(struct copier *copier)
{
	struct sim *sim = copier->sim;
	disk_mount(sim->disk);
	for (uint64_t steps = sim_chance(sim, 12); steps && !copier->node_gone; steps--)
		copier->node_gone = sim_step_world(sim) == STEP_DEAD;
	return !copier->node_gone;
}

static int leave(struct copier *copier, int status)
{
	copier->node_gone |= copier->sim->disk->dead;
	disk_mount(copier->sim->backups.disk);
	return copier->node_gone ? FETCH_FAILED : status;
}

static int source_lock(void *context)
{
	(void)context;
	int failed = files_make_dir("backup");
	if (!failed)
		failed = files_sync_dir(".");
	int fd = failed ? -1 : files_open("backup/lock", O_WRONLY | O_CREAT);
	if (fd >= 0)
		wal_io.close(fd);
	return failed ? FETCH_FAILED : FETCH_DONE;
}

static uint64_t durable_of(void *context)
{
	const struct sim *sim = context;
	return wal_durable(sim->node.wal);
}

/* What other threads do while links are made. */
static void meanwhile(void *context)
{
	struct sim *sim = context;
	sim->disk->meanwhile = NULL;
	past_meanwhile(sim);
	if (one_in(sim, 3) && sim->node.writer && !sim->disk->dead)
		sim_step_writer(sim);
	sim->disk->meanwhile = meanwhile;
}

static void pin_end(struct copier *copier)
{
	if (!copier->pin)
		return;
	if (!copier->node_gone)
		pin_links_remove(".", copier->pin->id);
	pin_free(copier->pin);
	copier->pin = NULL;
}

static int source_hold(void *context, struct backup *held, size_t *piece)
{
	struct copier *copier = context;
	struct sim *sim = copier->sim;
	struct buf error = { 0 };
	if (!enter(copier))
		return leave(copier, FETCH_FAILED);
	pin_end(copier);
	bool failed = sim->disk->snapshot_failed, ids_failed = sim->disk->ids_failed, sync_failed = sim->disk->sync_failed, read_failed = sim->disk->read_failed;
	sim->disk->snapshot_failed = sim->disk->ids_failed = false;
	sim->disk->meanwhile = meanwhile;
	sim->disk->context = sim;
	copier->pin = pin_collect(".", durable_of, sim, &error);
	sim->disk->meanwhile = NULL;
	buf_char(&error, '\0');
	bool failing = sim->disk->snapshot_failed || sim->disk->ids_failed || sim->disk->dead;
	LAW(sim->oracle, "L8", copier->pin || failing || strstr(error.ptr, "No such file") || strstr(error.ptr, "changed meanwhile"),
	    "files cannot be held: %.*s", (int)error.len, error.ptr);
	sim->disk->snapshot_failed |= failed;
	sim->disk->ids_failed = ids_failed;
	sim->disk->sync_failed = sync_failed;
	sim->disk->read_failed = read_failed;
	buf_free(&error);
	const struct pin *pin = copier->pin;
	if (!pin)
		return leave(copier, FETCH_FAILED);
	*held = (struct backup){ .first = pin->first, .end = pin->end, .made_ms = pin->time_ms };
	for (size_t i = 0; i < pin->count; i++) {
		struct backup_file file = { .bytes = pin->files[i].bytes, .size = pin->files[i].size };
		memcpy(file.path, pin->files[i].path, sizeof file.path);
		backup_add(held, &file);
	}
	*piece = one_in(sim, 2) ? PIN_READ_MAX : 4096 + sim_chance(sim, 40000);
	return leave(copier, FETCH_DONE);
}

static int source_snapshot(void *context)
{
	struct copier *copier = context;
	struct sim *sim = copier->sim;
	if (enter(copier))
		pin_end(copier);
	/* As the answer to POST /v1/snapshots: until it is written, or is not. */
	for (unsigned steps = 0; steps < 3000 && sim->node.writer && !copier->node_gone; steps++)
		copier->node_gone = sim_step_world(sim) == STEP_DEAD;
	return leave(copier, FETCH_DONE);
}

/* The pin as the server has it: it may have run out. */
static bool held_still(struct copier *copier)
{
	if (copier->sim->backups.pins_go && one_in(copier->sim, 40))
		pin_end(copier);
	return copier->pin != NULL;
}

static int source_hash(void *context, const char *file, uint64_t offset, uint64_t size, uint8_t hash[BACKUP_HASH])
{
	struct copier *copier = context;
	struct sim *sim = copier->sim;
	if (!enter(copier) || !held_still(copier))
		return leave(copier, FETCH_AGAIN);
	bool read_failed = sim->disk->read_failed;
	int failed = pin_hash(".", copier->pin->id, file, offset, size, hash);
	sim->disk->read_failed = read_failed;
	return leave(copier, failed ? FETCH_FAILED : FETCH_DONE);
}

static void source_ask(void *context, unsigned slot, const char *file, uint64_t offset, size_t size)
{
	struct copier *copier = context;
	snprintf(copier->asked[slot].file, BACKUP_PATH, "%s", file);
	copier->asked[slot].offset = offset;
	copier->asked[slot].size = size;
}

static int source_take(void *context, unsigned slot, struct str *bytes)
{
	struct copier *copier = context;
	struct sim *sim = copier->sim;
	struct buf *to = &copier->bytes[slot];
	if (!enter(copier) || !held_still(copier))
		return leave(copier, FETCH_AGAIN);
	bool read_failed = sim->disk->read_failed;
	to->len = 0;
	buf_room(to, copier->asked[slot].size);
	int failed = pin_read(".", copier->pin->id, copier->asked[slot].file, copier->asked[slot].offset, copier->asked[slot].size, to->ptr);
	sim->disk->read_failed = read_failed;
	to->len = copier->asked[slot].size;
	*bytes = buf_view(to);
	if (!failed && sim->backups.wire_fails && one_in(sim, 20))
		return leave(copier, FETCH_RETRY);
	return leave(copier, failed ? FETCH_FAILED : FETCH_DONE);
}

static void source_forget(void *context)
{
	(void)context;
}

static void source_let_go(void *context)
{
	struct copier *copier = context;
	disk_mount(copier->sim->disk);
	pin_end(copier);
	disk_mount(copier->sim->backups.disk);
}

static void source_say(void *context, const char *line)
{
	struct copier *copier = context;
	snprintf(copier->said, sizeof copier->said, "%s", line);
	if (copier->sim->trace)
		fprintf(stderr, "              backup: %s\n", line);
}

static void source_wait(void *context, unsigned ms)
{
	struct copier *copier = context;
	copier->sim->backups.disk->now_ns += ms * (uint64_t)MS;
}

static void source_progress(void *context, enum fetch_progress what, uint64_t bytes)
{
	(void)context, (void)what, (void)bytes;
}

/* ---- what it is worth -------------------------------------------------------------------------------------------------- */

/* The state of the log up to an LSN, from the frames that the oracle kept. */
static void reference(struct sim *sim, uint64_t cut, struct buf *dump)
{
	struct sim_node blank;
	sim_node_blank(&blank);
	for (size_t i = 0; i < sim->oracle->frame_count && sim->oracle->frames[i].end <= cut; i++) {
		const struct kept_frame *kept = &sim->oracle->frames[i];
		const struct sim_frame frame = { kept->lsn, kept->end, kept->size, kept->time_ms,
						 (const unsigned char *)sim->oracle->bytes.ptr + kept->at };
		LAW(sim->oracle, "L5", sim_node_replay(&blank, &frame), "the frame at LSN %llu cannot be replayed", LLU(kept->lsn));
	}
	sim_node_dump(&blank, dump);
	sim_node_kill(&blank);
}

static void frame_ignore(void *context, const struct sim_frame *frame)
{
	(void)context, (void)frame;
}

/* A server starts on what was restored. */
static void restored_check(struct sim *sim, struct disk *disk, uint64_t cut)
{
	static const unsigned counts[] = { 1, 2, 4, 8 };
	struct sim_node node;
	struct buf error = { 0 }, is = { 0 }, was = { 0 };
	struct sim_node_options options = { .shards = counts[sim_chance(sim, 4)], .segment_size = 64 << 10, .ring_size = 64 << 10,
					    .ids = sim->node.options.ids, .written = frame_ignore, .context = sim, .wall_ms = &disk->wall_ms };
	disk_mount(disk);
	enum node_outcome outcome = sim_node_open(&node, &options, &error);
	LAW(sim->oracle, "backup", outcome == NODE_GOOD, "what was restored up to LSN %llu is refused: %.*s", LLU(cut), (int)error.len,
	    error.ptr);
	uint64_t forgotten = sim_ids_forgotten(&node);
	sim_node_dump(&node, &is);
	sim_node_kill(&node);
	reference(sim, cut, &was);
	sim_dump_forget(&was, forgotten);
	size_t line = 0, same = 0;
	for (; is.len == was.len ? same < is.len && is.ptr[same] == was.ptr[same] : is.ptr[same] && is.ptr[same] == was.ptr[same]; same++)
		line = is.ptr[same] == '\n' ? same + 1 : line;
	LAW(sim->oracle, "backup", same == is.len && is.len == was.len, "what was restored up to LSN %llu is another state: %.*s; it was %.*s",
	    LLU(cut), (int)strcspn(is.ptr + line, "\n"), is.ptr + line, (int)strcspn(was.ptr + line, "\n"), was.ptr + line);
	buf_free(&error);
	buf_free(&is);
	buf_free(&was);
	sim->result->restores++;
}

static bool anything(const struct disk *disk)
{
	bool there = false;
	for (unsigned i = 0; i < DISK_FILES; i++)
		there |= disk->live[i].inode >= 0 && (disk->live[i].folder == FOLDER_LOG || disk->live[i].folder == FOLDER_SNAPSHOTS);
	return there;
}

static bool marked(const struct disk *disk)
{
	uint64_t size;
	bool wounded;
	return disk_bytes(disk, FOLDER_ROOT, "restoring", &size, &wounded) != NULL;
}

enum restored { RESTORED, NOT_REACHED, FAILED };

/* As `tally restore` does it. */
static enum restored restore_once(struct restore *restore, struct buf *error)
{
	struct backup backup = { 0 };
	bool bad = false, good = restore_folder_free(".", error) && backup_read("backup", &backup, &bad, error) && !bad &&
				 backup_verify("backup", &backup, NULL, NULL, error);
	restore->backup = &backup;
	enum restored result = good ? NOT_REACHED : FAILED;
	if (good && restore_plan(restore, error))
		result = restore_folder_take(".", error) && restore_copy(restore, error) && restore_folder_done(".", error) ? RESTORED : FAILED;
	backup_free(&backup);
	return result;
}

/* The newest snapshot in the backup that ends at or before the LSN, or any at all. */
static bool snapshot_before(const struct backup *backup, uint64_t lsn)
{
	uint64_t end;
	for (size_t i = 0; i < backup->count; i++)
		if (backup_snapshot(backup->files[i].path, &end) && end <= lsn)
			return true;
	return false;
}

static uint64_t frame_end_before(const struct sim *sim, uint64_t lsn)
{
	uint64_t end = 0;
	for (size_t i = 0; i < sim->oracle->frame_count && sim->oracle->frames[i].end <= lsn; i++)
		end = sim->oracle->frames[i].end;
	return end;
}

/* Where the last frame of the backup ends up to which none is later than this; 0: none. */
static uint64_t frame_end_at(const struct sim *sim, const struct backup *backup, int64_t time_ms)
{
	const struct oracle *oracle = sim->oracle;
	uint64_t end = 0;
	for (size_t i = 0; i < oracle->frame_count && oracle->frames[i].end <= backup->end && oracle->frames[i].time_ms <= time_ms; i++)
		end = oracle->frames[i].end;
	return end;
}

/* What is asked for: an LSN, a time, or (both 0) the end. */
struct target { uint64_t lsn; int64_t time_ms; };

/* Whether there is a reason to call it out of reach. */
static bool out_of_reach(const struct sim *sim, const struct backup *backup, const struct target *to, const struct restore *restore)
{
	if (to->time_ms) {
		int64_t latest = backup->made_ms > backup->time_ms ? backup->made_ms : backup->time_ms;
		return to->time_ms > latest || frame_end_at(sim, backup, to->time_ms) <= backup->first ||
		       (backup->first && !snapshot_before(backup, restore->cut));
	}
	return to->lsn && ((backup->first && !snapshot_before(backup, to->lsn)) || !frame_end_before(sim, to->lsn));
}

/* Tries, the last of them without faults; each may be interrupted. */
static void restore_try(struct sim *sim, const struct backup *backup, struct target to)
{
	struct disk *disk = disk_copy(sim->backups.disk);
	struct restore restore;
	struct buf error = { 0 };
	enum restored result = FAILED;
	for (unsigned left = 1 + (unsigned)sim_chance(sim, 3); left && result == FAILED; left--) {
		struct disk_faults faults = { .write_fails = 60, .sync_fails = 20, .read_fails = 100, .short_write = 10, .interrupted = 20 };
		bool clean = left == 1;
		disk->faults = clean ? (struct disk_faults){ 0 } : faults;
		disk->cut_in = !clean && one_in(sim, 2) ? 1 + sim_chance(sim, 40) : 0;
		restore = (struct restore){ .from = "backup", .dir = ".", .lsn = to.lsn, .time_ms = to.time_ms,
					    .target = to.lsn ? RESTORE_LSN : to.time_ms ? RESTORE_TIME : RESTORE_END };
		error.len = 0;
		disk_mount(disk);
		result = restore_once(&restore, &error);
		bool crashed = disk->dead;
		if (result == NOT_REACHED && disk->read_failed)
			result = FAILED;
		disk->read_failed = false;
		disk->faults = (struct disk_faults){ 0 };
		disk->cut_in = 0;
		if (crashed || one_in(sim, 2))
			disk_power_cut(disk);
		else
			disk_process_end(disk);
		if (crashed)
			result = FAILED;
		LAW(sim->oracle, "backup", result != FAILED || !clean, "a restore fails without a fault: %.*s", (int)error.len, error.ptr);
		LAW(sim->oracle, "backup", result != RESTORED || !marked(disk), "a restore has come to its end, and is marked as unfinished");
		if (result == FAILED && !marked(disk) && anything(disk))
			result = RESTORED;             /* then all of it must be there */
	}
	if (result == NOT_REACHED) {
		LAW(sim->oracle, "backup", out_of_reach(sim, backup, &to, &restore), "LSN %llu, or time %lld, is said to be out of reach: %.*s",
		    LLU(to.lsn), (long long)to.time_ms, (int)error.len, error.ptr);
	} else {
		LAW(sim->oracle, "backup", !to.lsn || restore.cut <= to.lsn, "to LSN %llu, and it is cut at %llu", LLU(to.lsn), LLU(restore.cut));
		restored_check(sim, disk, to.lsn ? to.lsn : to.time_ms ? frame_end_at(sim, backup, to.time_ms) : backup->end);
	}
	buf_free(&error);
	disk_free(disk);
}

static enum disk_folder folder_for(const char *path)
{
	return strncmp(path, "log/", 4) == 0 ? FOLDER_BACKUP_LOG : strncmp(path, "snapshots/", 10) == 0 ? FOLDER_BACKUP_SNAPSHOTS
		: strncmp(path, "ids/", 4) == 0 ? FOLDER_BACKUP_IDS : FOLDER_BACKUP;
}

static void flip_try(struct sim *sim, const struct backup *backup)
{
	struct disk *disk = disk_copy(sim->backups.disk);
	struct buf error = { 0 };
	const struct backup_file *file = &backup->files[sim_chance(sim, backup->count)];
	const char *slash = strchr(file->path, '/');
	if (file->bytes) {
		uint64_t at = sim_chance(sim, file->bytes);
		disk_flip_at(disk, folder_for(file->path), slash ? slash + 1 : file->path, at);
		disk_mount(disk);
		bool good = backup_verify("backup", backup, NULL, NULL, &error);
		buf_char(&error, '\0');
		LAW(sim->oracle, "backup", !good && strstr(error.ptr, file->path), "byte %llu of the backup's %s is flipped, and this is told: %s",
		    LLU(at), file->path, error.ptr);
	}
	buf_free(&error);
	disk_free(disk);
}

/* Of a frame, or a moment beside it; now and then of when the backup was made. */
static int64_t time_drawn(struct sim *sim, const struct backup *backup)
{
	int64_t time_ms = sim->oracle->frames[sim_chance(sim, sim->oracle->frame_count)].time_ms;
	if (one_in(sim, 6))
		time_ms = backup->made_ms;
	return time_ms + (one_in(sim, 2) ? (int64_t)sim_chance(sim, 3) - 1 : 0);
}

/* With nothing under way: the backup that is there. */
static void backup_check(struct sim *sim, bool thorough)
{
	struct backups *backups = &sim->backups;
	struct backup backup = { 0 };
	struct buf error = { 0 };
	/* What the server's disk did to a run of ids, the backup has as well: nobody reads it before a start. */
	bool bad = false, damage = sim->disk->damage_count || sim->buried || sim->flipped || sim->swarm.faults.lost_write;
	disk_mount(backups->disk);
	bool there = backup_read("backup", &backup, &bad, &error);
	bool whole = there && !bad && backup_verify("backup", &backup, NULL, NULL, &error);
	LAW(sim->oracle, "backup", there || !backups->end, "the backup up to LSN %llu is gone", LLU(backups->end));
	LAW(sim->oracle, "backup", whole || !there, "the backup is not whole: %.*s", (int)error.len, error.ptr);
	LAW(sim->oracle, "backup", !there || backup.end >= backups->end, "the backup ends at LSN %llu, and went up to %llu", LLU(backup.end),
	    LLU(backups->end));
	if (whole && thorough && !damage) {
		restore_try(sim, &backup, (struct target){ 0 });
		restore_try(sim, &backup, (struct target){ .lsn = 1 + sim_chance(sim, backup.end) });
		if (sim->oracle->frame_count) {
			restore_try(sim, &backup, (struct target){ .lsn = frame_end_before(sim, 1 + sim_chance(sim, backup.end)) });
			restore_try(sim, &backup, (struct target){ .time_ms = time_drawn(sim, &backup) });
		}
		flip_try(sim, &backup);
	}
	backup_free(&backup);
	buf_free(&error);
	disk_mount(sim->disk);
}

/* ---- one backup --------------------------------------------------------------------------------------------------------- */

static void begin_anew(struct sim *sim)
{
	disk_free(sim->backups.disk);
	sim->backups.disk = disk_new(sim_chance(sim, UINT64_MAX));
	sim->backups.end = 0;
}

static enum step backup_run(struct sim *sim, bool faults)
{
	struct backups *backups = &sim->backups;
	struct disk *disk = backups->disk;
	struct copier copier = { .sim = sim };
	struct fetch_order order = { .dir = "backup", .state_only = one_in(sim, 4), .keep = (unsigned)sim_chance(sim, 3) };
	struct fetch_outcome outcome;
	const struct fetch_source source = {
		.context = &copier, .name = "the node", .lock = source_lock, .hold = source_hold, .snapshot = source_snapshot,
		.hash = source_hash, .ask = source_ask, .take = source_take, .forget = source_forget, .let_go = source_let_go,
		.say = source_say, .wait = source_wait, .progress = source_progress,
	};
	backups->running = true;
	disk->read_failed = false;
	disk->faults = faults ? backups->faults : (struct disk_faults){ 0 };
	disk->cut_in = faults && backups->copier_dies && one_in(sim, 2) ? 1 + sim_chance(sim, 60) : 0;
	disk_mount(disk);
	int status = fetch_run(&order, &source, &outcome);
	bool crashed = disk->dead;
	disk_mount(sim->disk);
	pin_end(&copier);
	for (unsigned i = 0; i < FETCH_FLIGHT; i++)
		buf_free(&copier.bytes[i]);
	disk->faults = (struct disk_faults){ 0 };
	disk->cut_in = 0;
	if (sim->trace)
		fprintf(stderr, "              backup: %d%s, up to LSN %llu\n", status, crashed ? ", crashed" : "", LLU(outcome.backup.end));
	LAW(sim->oracle, "L8", crashed || disk_open_count(disk) == 0, "a backup leaves %u files open", disk_open_count(disk));
	if (crashed || one_in(sim, 3))
		disk_power_cut(disk);
	else
		disk_process_end(disk);
	backups->running = false;
	bool damage = sim->disk->damage_count || sim->buried || backups->faults.lost_write || sim->swarm.faults.lost_write || sim->flipped;
	if (status == FETCH_REFUSED && !crashed) {
		LAW(sim->oracle, "backup", damage || disk->read_failed || (strstr(copier.said, "is gone; use another folder") && wal_first(sim->node.wal)),
		    "a backup is refused: %s", copier.said);
		begin_anew(sim);
	}
	bool ran_out = backups->pins_go && strstr(copier.said, "started anew time and again");
	LAW(sim->oracle, "backup", status != FETCH_FAILED || faults || copier.node_gone || ran_out, "a backup fails without a fault: %s",
	    copier.said);
	sim->result->broken_off += status != FETCH_DONE || crashed;
	if (status == FETCH_DONE && !crashed) {
		LAW(sim->oracle, "backup", outcome.backup.end <= sim->durable,
		    "a backup goes up to LSN %llu, and the log was durable up to %llu", LLU(outcome.backup.end), LLU(sim->durable));
		backups->end = outcome.backup.end;
		sim->result->backups++;
	}
	backup_free(&outcome.backup);
	if (!copier.node_gone)
		backup_check(sim, status == FETCH_DONE && one_in(sim, 3));
	return copier.node_gone ? STEP_DEAD : STEP_DONE;
}

enum step backups_step(struct sim *sim)
{
	struct backups *backups = &sim->backups;
	if (!backups->on || backups->running || !one_in(sim, backups->one_in))
		return STEP_DONE;
	return backup_run(sim, true);
}

void backups_rest(struct sim *sim)
{
	if (!sim->backups.on)
		return;
	LAW(sim->oracle, "L7", backup_run(sim, false) != STEP_DEAD, "the node dies over a backup without a fault");
	backup_check(sim, true);
}
