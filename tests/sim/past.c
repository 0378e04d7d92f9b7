// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/past.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "snapshot/footer.h"
#include "snapshot/store.h"
#include "tests/sim/sim_int.h"

static bool one_in(struct sim *sim, unsigned count)
{
	return count && sim_chance(sim, count) == 0;
}

static struct wal *log_of(const struct sim *sim)
{
	return sim->node.wal;
}

void past_draw(struct sim *sim)
{
	static const unsigned often[] = { 20, 100, 400 }, holds[] = { 0, 200 };
	struct past_swarm *swarm = &sim->past.swarm;
	sim->past.hold = UINT64_MAX;
	if (!one_in(sim, 3))
		return;
	swarm->on = true;
	swarm->archive = one_in(sim, 2);
	swarm->archive_full = swarm->archive && one_in(sim, 3);
	if (!one_in(sim, 4))
		swarm->bytes = 1 + sim_chance(sim, 200000);
	if (!swarm->bytes || one_in(sim, 3))
		swarm->age_ms = 1 + sim_chance(sim, 8000);
	swarm->footers_one_in = often[sim_chance(sim, 3)];
	swarm->retain_one_in = often[sim_chance(sim, 3)];
	swarm->ask_one_in = 200;
	swarm->hold_one_in = holds[sim_chance(sim, 2)];
	swarm->lose_one_in = one_in(sim, 2) ? 3 : 0;
	sim->past.every = 1 + (unsigned)sim_chance(sim, 12);
	sim->past.moments = calloc(PAST_MOMENTS, sizeof *sim->past.moments);
	ASSERT(sim->past.moments);
	sim->swarm.faults.names_fail = one_in(sim, 3) ? 2 : 0;
	/* There must be something to drop, and something that lets go of it. */
	sim->swarm.snapshot_one_in = 60 + (unsigned)sim_chance(sim, 500);
	if (sim->swarm.faults.names_fail && one_in(sim, 2)) {  /* a first one that is late, and is counted on at once */
		sim->swarm.snapshot_one_in = 1500 + (unsigned)sim_chance(sim, 3000);
		swarm->bytes = 1 + sim_chance(sim, 20000);
		swarm->footers_one_in = swarm->retain_one_in = 20;
	}
	sim->swarm.ops_a_life += 100 + (unsigned)sim_chance(sim, 500);
}

void past_end(struct sim *sim)
{
	free(sim->past.moments);
}

void past_options(struct sim *sim, struct sim_node_options *options)
{
	const struct past_swarm *swarm = &sim->past.swarm;
	if (!swarm->on)
		return;
	options->past = true;
	options->archive = swarm->archive;
	options->retain_bytes = swarm->bytes;
	options->retain_age_ms = swarm->age_ms;
	options->segment_size = options->ring_size = 64 << 10;
}

/* ---- the model's past ---------------------------------------------------------------------------------------------- */

static void moment_take(struct sim *sim, const struct kept_frame *frame, struct past_moment *moment)
{
	uint64_t counts[ACCOUNT_KINDS];
	*moment = (struct past_moment){ .lsn = frame->end - 1, .end = frame->end, .time_ms = frame->time_ms };
	for (unsigned b = 0; b < 4; b++)
		moment->known[b] = model_book(sim->oracle->model, str_of(sim_tenants[b & 1]), str_of(sim_units[b >> 1]),
					      moment->sums[b], counts);
}

void past_followed(void *context, const struct kept_frame *frame)
{
	struct sim *sim = context;
	struct past *past = &sim->past;
	if (!past->swarm.on || ++past->skipped < past->every)
		return;
	past->skipped = 0;
	if (past->moment_count == PAST_MOMENTS) {              /* every other one goes, and from now on fewer are kept */
		for (unsigned i = 0; i < PAST_MOMENTS / 2; i++)
			past->moments[i] = past->moments[2 * i];
		past->moment_count = PAST_MOMENTS / 2;
		past->every *= 2;
	}
	moment_take(sim, frame, &past->moments[past->moment_count++]);
}

/* ---- questions ----------------------------------------------------------------------------------------------------- */

static bool excused(const struct sim *sim)
{
	return sim->disk->read_failed || sim->disk->damage_count || sim->buried;
}

static const u128 zeros[BOOKS_SUMS];

static void line_check(struct sim *sim, const struct past_moment *moment, unsigned b, const struct books_line *line)
{
	u128 total[2] = { 0, 0 };
	for (unsigned kind = 0; kind < ACCOUNT_KINDS; kind++) {
		const u128 *is = line ? line->sums[kind] : zeros, *was = moment->known[b] ? moment->sums[b][kind] : zeros;
		bool same = kind_is_sliced((enum account_kind)kind)
				? memcmp(is, was, sizeof zeros) == 0
				: is[BOOKS_CREDITS] - is[BOOKS_DEBITS] == was[1] - was[0] &&
				  is[BOOKS_CREDITS_PENDING] - is[BOOKS_DEBITS_PENDING] == was[3] - was[2];
		LAW(sim->oracle, "past", same, "book %u at LSN %llu is told with %lld %lld %lld %lld of kind %u, it was %lld %lld %lld %lld", b,
		    LLU(moment->lsn), (long long)is[0], (long long)is[1], (long long)is[2], (long long)is[3], kind, (long long)was[0],
		    (long long)was[1], (long long)was[2], (long long)was[3]);
		total[0] += is[BOOKS_CREDITS] - is[BOOKS_DEBITS];
		total[1] += is[BOOKS_CREDITS_PENDING] - is[BOOKS_DEBITS_PENDING];
	}
	LAW(sim->oracle, "L3", !total[0] && !total[1], "book %u at LSN %llu does not balance", b, LLU(moment->lsn));
}

static void books_check(struct sim *sim, const struct past_moment *moment, unsigned tenant, const struct books *books)
{
	bool seen[2] = { false, false };
	for (uint32_t at = 0; at < books->line_count; at++) {
		uint32_t owner;
		if (!books->lines[at])
			continue;
		struct str unit = books_unit(books->names, at, &owner);
		unsigned u = str_eq(unit, str_of(sim_units[1]));
		LAW(sim->oracle, "past", str_eq(books_tenant_name(books->names, owner), str_of(sim_tenants[tenant])) &&
		    str_eq(unit, str_of(sim_units[u])), "a question about one tenant is answered with another's book");
		line_check(sim, moment, tenant | u << 1, books->lines[at]);
		seen[u] = true;
	}
	for (unsigned u = 0; u < 2; u++)
		if (!seen[u])
			line_check(sim, moment, tenant | u << 1, NULL);
}

/* Whether an outcome other than the books themselves is in order.  `rest`: the tail has done all that there is to do. */
static void outcome_check(struct sim *sim, enum past_outcome outcome, uint64_t lsn, bool rest)
{
	uint64_t first = wal_first(log_of(sim));
	if (outcome == PAST_PRUNED)
		LAW(sim->oracle, "L10", lsn < first, "LSN %llu is called pruned, and the log begins at %llu", LLU(lsn), LLU(first));
	if (outcome == PAST_DONE)
		LAW(sim->oracle, "L10", lsn >= first, "LSN %llu is answered for, and the log begins at %llu", LLU(lsn), LLU(first));
	if (outcome == PAST_UNREADABLE)
		LAW(sim->oracle, "L6", excused(sim), "LSN %llu is called unreadable, and it is not", LLU(lsn));
	if (outcome == PAST_BUSY)
		LAW(sim->oracle, "L8", !rest || excused(sim), "LSN %llu has no footer before it, and nobody makes one", LLU(lsn));
}

/* The moment by its LSN, or by its time: then the frames behind it of the same time are in it too. */
static void moment_ask(struct sim *sim, const struct past_moment *kept, bool by_time, bool rest)
{
	struct footers *footers = sim->node.footers;
	struct moment moment = { .lsn = kept->lsn, .time_ms = kept->time_ms, .by_time = by_time };
	uint64_t next = UINT64_MAX;
	for (size_t i = 0; i < sim->oracle->consumed && next == UINT64_MAX; i++)
		if (sim->oracle->frames[i].end > kept->end)
			next = sim->oracle->frames[i].time_ms > kept->time_ms ? sim->oracle->frames[i].lsn - WAL_FRAME_HEADER : 0;
	if (by_time && !next)
		return;                        /* another one of this time is behind it: that one's books would be asked for */
	enum past_outcome outcome = footers_moment(footers, &moment);
	if (outcome == PAST_DONE && by_time)
		LAW(sim->oracle, "past", moment.lsn >= kept->end && moment.lsn <= next, "time %lld is said to be LSN %llu, it is in %llu to %llu",
		    (long long)kept->time_ms, LLU(moment.lsn), LLU(kept->end), LLU(next));
	if (outcome == PAST_DONE && !by_time && wal_first(log_of(sim)) + WAL_FRAME_HEADER < kept->lsn)
		LAW(sim->oracle, "past", moment.time_ms <= kept->time_ms || !by_time, "LSN %llu", LLU(kept->lsn));
	if (!by_time || outcome != PAST_PRUNED)
		outcome_check(sim, outcome, moment.lsn, rest);
	else
		LAW(sim->oracle, "L10", kept->lsn < wal_first(log_of(sim)), "time %lld is called pruned, and its log is there",
		    (long long)kept->time_ms);
	if (outcome)
		return;
	for (unsigned t = 0; t < 2; t++) {
		struct books books;
		outcome = footers_books(footers, str_of(sim_tenants[t]), moment.lsn, &books);
		outcome_check(sim, outcome, moment.lsn, rest);
		if (outcome == PAST_DONE) {
			books_check(sim, kept, t, &books);
			sim->result->asked++;
		}
		books_free(&books);
	}
}

static void some_ask(struct sim *sim)
{
	if (!sim->past.moment_count)
		return;
	bool failed = sim->disk->read_failed;
	sim->disk->read_failed = false;
	moment_ask(sim, &sim->past.moments[sim_chance(sim, sim->past.moment_count)], sim_chance(sim, 2), false);
	sim->disk->read_failed = failed;
}

/* ---- footers ------------------------------------------------------------------------------------------------------- */

static uint64_t sums_hash(const struct books *books)
{
	uint64_t hash = 1;
	for (unsigned b = 0; b < 4; b++) {
		uint32_t book = books_book(books->names, str_of(sim_tenants[b & 1]), str_of(sim_units[b >> 1]));
		static const struct books_line none;
		const struct books_line *line = book < books->line_count && books->lines[book] ? books->lines[book] : &none;
		hash = hash_step(hash, hash_bytes((const char *)line, sizeof *line));
	}
	return hash;
}

static uint64_t rows_hash(const struct footer *footer, struct books *books)
{
	uint64_t hash = hash_step(hash_step(footer->begin, footer->end), (uint64_t)footer->first_time_ms);
	hash = hash_step(hash_step(hash_step(hash, (uint64_t)footer->time_ms), footer->frames), footer->records);
	for (unsigned t = 0; t < 2; t++) {
		const struct books_row *row = books_row(books, books_tenant(books->names, str_of(sim_tenants[t])));
		hash = hash_step(hash, hash_bytes((const char *)row, sizeof *row));
	}
	return hash_step(hash, hash_bytes(footer->marks.ptr ? footer->marks.ptr : "", footer->marks.len)) | 1;
}

static void footer_seen(void *context, const char *name)
{
	struct sim *sim = context;
	struct past *past = &sim->past;
	struct books_names *names = books_names_new();
	struct books books;
	struct footer footer;
	struct buf error = { 0 };
	uint64_t size;
	bool wounded;
	const unsigned char *bytes = disk_bytes(sim->disk, FOLDER_FOOTERS, name, &size, &wounded);
	books_init(&books, names, BOOKS_ALL);
	bool whole = strncmp(name, "new.", 4) != 0 && footer_decode(bytes, size, &footer, &books, &error);
	LAW(sim->oracle, "L6", whole || wounded || strncmp(name, "new.", 4) == 0, "the footer %s is not whole: %.*s", name, (int)error.len,
	    error.ptr);
	if (whole) {
		unsigned at = 0;
		uint64_t sums = sums_hash(&books), all = footer.begin < footer.end ? rows_hash(&footer, &books) : 0;
		while (at < past->footer_count && past->footers[at].end != footer.end)
			at++;
		if (at == past->footer_count && at < PAST_FOOTERS) {
			past->footers[past->footer_count].end = footer.end;
			past->footers[past->footer_count].sums = sums;
			past->footers[past->footer_count++].all = all;
		} else if (at < past->footer_count) {
			LAW(sim->oracle, "past", past->footers[at].sums == sums, "the footer %s has other books than the first time", name);
			LAW(sim->oracle, "past", !all || !past->footers[at].all || past->footers[at].all == all,
			    "the footer %s says something else of its segment than the first time", name);
			past->footers[at].all = past->footers[at].all ? past->footers[at].all : all;
		}
		footer_free(&footer);
	}
	books_free(&books);
	books_names_free(names);
	buf_free(&error);
}

/* ---- retention ----------------------------------------------------------------------------------------------------- */

/* Every snapshot that is whole finds the log behind it. */
static void snapshot_look(void *context, const char *name)
{
	struct sim *sim = context;
	struct snapshot_manifest manifest;
	struct buf error = { 0 };
	uint64_t size;
	bool wounded;
	if (strlen(name) < 17 || strcmp(name + 16, ".manifest") != 0)
		return;
	const unsigned char *bytes = disk_bytes(sim->disk, FOLDER_SNAPSHOTS, name, &size, &wounded);
	if (!wounded && snapshot_manifest_decode(bytes, size, &manifest, &error)) {
		LAW(sim->oracle, "retention", manifest.from >= wal_first(log_of(sim)), "the snapshot %s needs the log from LSN %llu, and it begins "
		    "at %llu", name, LLU(manifest.from), LLU(wal_first(log_of(sim))));
		snapshot_manifest_free(&manifest);
	}
	buf_free(&error);
}

/* The segment that began here is in the archive, as it was written. */
static void archive_look(struct sim *sim, uint64_t base, uint64_t end)
{
	char name[DISK_NAME];
	uint64_t size;
	bool wounded;
	snprintf(name, sizeof name, "%016llx.log", LLU(base));
	const unsigned char *bytes = disk_bytes(sim->disk, FOLDER_ARCHIVE_LOG, name, &size, &wounded);
	LAW(sim->oracle, "retention", bytes && size == end - base, "segment %s is gone, and the archive has %s of it", name,
	    bytes ? "a part" : "nothing");
	for (size_t i = 0; i < sim->oracle->consumed; i++) {
		const struct kept_frame *frame = &sim->oracle->frames[i];
		if (frame->lsn < base || frame->lsn >= end)
			continue;
		LAW(sim->oracle, "retention", frame->end <= end && (excused(sim) ||
		    memcmp(bytes + (frame->lsn - base), sim->oracle->bytes.ptr + frame->at, frame->size) == 0),
		    "the archive's segment %s has another frame at LSN %llu than was written", name, LLU(frame->lsn));
	}
}

/* Everything in front of the log is in the archive. */
static void archive_check(struct sim *sim)
{
	uint64_t first = wal_first(log_of(sim));
	for (uint64_t base = 0; sim->past.swarm.archive && base < first; base += 64 << 10)
		archive_look(sim, base, base + (64 << 10));
}

/* One segment went: was that in order? */
static void drop_check(struct sim *sim, uint64_t before)
{
	const struct past_swarm *swarm = &sim->past.swarm;
	uint64_t first = wal_first(log_of(sim)), durable = wal_durable(log_of(sim)), sound;
	bool by_bytes = swarm->bytes && first + swarm->bytes <= durable, by_age = swarm->age_ms > 0;
	for (size_t i = 0; i < sim->oracle->consumed && by_age; i++)
		by_age = sim->oracle->frames[i].lsn >= first ||
			 sim->oracle->frames[i].time_ms <= sim->disk->wall_ms - (int64_t)swarm->age_ms;
	LAW(sim->oracle, "retention", first == before + (64 << 10), "the log began at LSN %llu, and does at %llu now", LLU(before), LLU(first));
	LAW(sim->oracle, "retention", by_bytes || by_age, "the log begins at LSN %llu, and %llu bytes or %llu ms of it are promised up to %llu",
	    LLU(first), LLU(swarm->bytes), LLU(swarm->age_ms), LLU(durable));
	LAW(sim->oracle, "retention", first <= sim->past.hold, "the log begins at LSN %llu, and it is held from %llu on", LLU(first),
	    LLU(sim->past.hold));
	disk_wounded_snapshots(sim->disk, &sound);
	LAW(sim->oracle, "retention", sound > 0, "the log begins at LSN %llu, and no snapshot is whole", LLU(first));
	LAW(sim->oracle, "retention", disk_stands(sim->disk, FOLDER_SNAPSHOTS, ".manifest"), "the log begins at LSN %llu, and if the power "
	    "went now there would be no snapshot", LLU(first));
	disk_names(sim->disk, FOLDER_SNAPSHOTS, snapshot_look, sim);
	if (swarm->archive)
		archive_look(sim, before, first);
	sim->past.dropped++;
	sim->past.first = first;
	sim->result->dropped++;
}

static void hold_move(struct sim *sim)
{
	uint64_t first = wal_first(log_of(sim)), durable = wal_durable(log_of(sim));
	sim->past.hold = sim_chance(sim, 2) ? UINT64_MAX : first + sim_chance(sim, durable - first + 1);
	retain_hold(sim->node.retain, HOLD_WEBHOOKS, sim->past.hold);
}

void past_opened(struct sim *sim)
{
	struct past *past = &sim->past;
	if (!past->swarm.on)
		return;
	uint64_t first = wal_first(log_of(sim));
	LAW(sim->oracle, "retention", first <= past->first + (64 << 10) || past->dropped == 0 || first == past->first,
	    "the log begins at LSN %llu after the start, and was told to at %llu", LLU(first), LLU(past->first));
	past->first = first;
	past->hold = UINT64_MAX;
	disk_names(sim->disk, FOLDER_SNAPSHOTS, snapshot_look, sim);
	archive_check(sim);
}

static enum step tail_step(struct sim *sim, bool retain, bool *did)
{
	struct disk *disk = sim->disk;
	bool failed = disk->sync_failed, read_failed = disk->read_failed;
	uint64_t first = wal_first(log_of(sim));
	*did = retain ? sim_retain_step(&sim->node) : sim_footers_step(&sim->node);
	/* What fails here ends nobody. */
	disk->sync_failed = failed;
	disk->read_failed = read_failed;
	if (disk->dead)
		return STEP_DEAD;
	if (retain && wal_first(log_of(sim)) != first)
		drop_check(sim, first);
	if (!retain && *did)
		disk_names(disk, FOLDER_FOOTERS, footer_seen, sim);
	return STEP_DONE;
}

void past_meanwhile(struct sim *sim)
{
	bool did;
	if (one_in(sim, 4) && !sim->disk->dead)
		tail_step(sim, true, &did);
	if (one_in(sim, 4) && !sim->disk->dead)
		tail_step(sim, false, &did);
}

enum step past_step(struct sim *sim)
{
	const struct past_swarm *swarm = &sim->past.swarm;
	enum step step = STEP_DONE;
	bool did;
	if (!swarm->on)
		return STEP_DONE;
	if (swarm->archive_full && one_in(sim, 400))
		sim->disk->faults.archive_capacity = sim->disk->faults.archive_capacity ? 0 : disk_used(sim->disk, true) + 1;
	if (one_in(sim, swarm->hold_one_in))
		hold_move(sim);
	if (one_in(sim, swarm->footers_one_in))
		step = tail_step(sim, false, &did);
	if (step != STEP_DEAD && one_in(sim, swarm->retain_one_in))
		step = tail_step(sim, true, &did);
	if (step != STEP_DEAD && one_in(sim, swarm->ask_one_in))
		some_ask(sim);
	return step;
}

void past_rest(struct sim *sim)
{
	struct disk_faults faults = sim->disk->faults;
	bool did = true, read_failed = sim->disk->read_failed;
	if (!sim->past.swarm.on)
		return;
	sim->disk->faults = (struct disk_faults){ .no_direct = faults.no_direct, .no_direct_write = faults.no_direct_write };
	sim->disk->read_failed = false;
	for (unsigned steps = 0; did; steps++) {
		LAW(sim->oracle, "L8", steps < 1000, "the tail does not come to rest");
		tail_step(sim, false, &did);
	}
	uint64_t base = wal_first(log_of(sim)), end = base, begin;
	while (wal_segment_at(log_of(sim), base, &begin, &end) && end <= wal_durable(log_of(sim)))
		base = end;
	LAW(sim->oracle, "L8", excused(sim) || footers_lsn(sim->node.footers) == base || base == wal_first(log_of(sim)),
	    "the tail is at rest at LSN %llu, and the last full segment ends at %llu", LLU(footers_lsn(sim->node.footers)), LLU(base));
	for (unsigned i = 0; i < sim->past.moment_count; i++)
		moment_ask(sim, &sim->past.moments[i], i & 1, true);
	did = true;
	for (unsigned steps = 0; did; steps++) {
		LAW(sim->oracle, "L8", steps < 1000, "retention does not come to rest");
		tail_step(sim, true, &did);
	}
	archive_check(sim);
	sim->disk->faults = faults;
	sim->disk->read_failed = read_failed;
}

struct losing { struct sim *sim; char names[8][DISK_NAME]; unsigned count; };

static void name_lose(void *context, const char *name)
{
	struct losing *losing = context;
	if (losing->count < 8 && sim_chance(losing->sim, 2))
		snprintf(losing->names[losing->count++], DISK_NAME, "%s", name);
}

void past_life_over(struct sim *sim)
{
	struct losing losing = { .sim = sim };
	if (!one_in(sim, sim->past.swarm.lose_one_in))
		return;
	if (sim_chance(sim, 2)) {
		disk_flip_file(sim->disk, FOLDER_FOOTERS);
		return;
	}
	disk_names(sim->disk, FOLDER_FOOTERS, name_lose, &losing);
	for (unsigned i = 0; i < losing.count; i++)
		disk_take(sim->disk, FOLDER_FOOTERS, losing.names[i]);
}

bool past_whole(struct sim *sim, struct disk *copy)
{
	uint64_t first = sim->past.swarm.on ? wal_first(log_of(sim)) : 0;
	if (first && !sim->past.swarm.archive)
		return false;
	for (uint64_t base = 0; base < first; base += 64 << 10) {
		char name[DISK_NAME];
		snprintf(name, sizeof name, "%016llx.log", LLU(base));
		disk_copy_file(copy, FOLDER_ARCHIVE_LOG, FOLDER_LOG, name);
	}
	return true;
}

bool past_unreachable(struct sim *sim, const char *text)
{
	uint64_t sound;
	if (!strstr(text, "files before it are gone"))
		return false;
	unsigned wounded = disk_wounded_snapshots(sim->disk, &sound);
	LAW(sim->oracle, "retention", wounded && !sound, "the log was dropped, and no snapshot reaches back to it: %s", text);
	sim->result->refused++;
	return true;
}
