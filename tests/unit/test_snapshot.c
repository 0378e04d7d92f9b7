// SPDX-License-Identifier: Apache-2.0
/* test_snapshot.c - a snapshot and the log behind it are the log, to the byte of the canonical dump (law L5).
 *
 * A world of shards works at random: events that earn, burn, tag and change status, customers that change, accounts, transfers of all kinds,
 * changes of configuration.  In the middle of it a snapshot is written, each of its pieces between two steps of something that is under
 * way.  Then the world goes on, and at its end the snapshot is loaded into other numbers of shards, the log is replayed
 * behind it, and the dump must be that of the world.
 *
 * And: every byte that is flipped is found; a broken snapshot gives way to the one before; what an interrupted writer leaves harms nobody.
 *
 * SEEDS: how many random worlds.  SEED: only this one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/event/reverse.h"
#include "engine/shard/capture.h"
#include "snapshot/dump.h"
#include "snapshot/loader.h"
#include "snapshot/store.h"
#include "snapshot/writer.h"
#include "tests/model/world.h"
#include "tests/model/world_ids.h"
#include "wal/io.h"

enum { SEEDS = 10, WORK = 60, MEMBERS = 40, ACCOUNTS = 24, ROWS = 20, HISTORY = 64 };

static const unsigned shard_counts[] = { 1, 4, 2, 3, 8 };
static const char *const tenants[] = { "north", "south" };

struct play {
	struct world *world;
	uint64_t seed, first_seed;
	u128 ids[2][ACCOUNTS];
	unsigned account_count[2];
	u128 pending[HISTORY];
	unsigned pending_count;
	unsigned events, documents;
	char dir[64];
	atomic_bool stop;              /* the writer is told to give up */
	bool quiet;                    /* nothing goes on beside it */
	unsigned stop_after;           /* pieces */
	struct flight *flight;         /* a batch of events that is under way over several pieces; owned */
};

static uint64_t chance(struct play *play, uint64_t below)
{
	return world_chance(&play->seed, below);
}

/* ---- work ------------------------------------------------------------------------------------------------------- */

static void accounts_step(struct play *play)
{
	static const enum account_kind choices[] = { ACCOUNT_RAW, ACCOUNT_MEMBER, ACCOUNT_MEMBER, ACCOUNT_LIABILITY, ACCOUNT_ADJUSTED };
	unsigned tenant = (unsigned)chance(play, 2);
	char name[24];
	struct account_spec spec = { .tenant = str_of(tenants[tenant]), .unit = STR("points"),
				     .kind = choices[chance(play, sizeof choices / sizeof *choices)] };
	if (play->account_count[tenant] == ACCOUNTS)
		return;
	snprintf(name, sizeof name, "m%u", (unsigned)chance(play, MEMBERS));
	if (spec.kind == ACCOUNT_MEMBER && chance(play, 2)) {
		spec.member = str_of(name);
	} else if (!kind_is_sliced(spec.kind) || chance(play, 2)) {
		uint64_t low = chance(play, UINT64_MAX) | 1;
		spec.id = u128_of(chance(play, UINT64_MAX) >> 1, low);
	}
	if (spec.kind == ACCOUNT_RAW && chance(play, 3) == 0) {
		spec.has_floor = true;
		spec.floor = -(int64_t)chance(play, 100);
	}
	world_accounts(play->world, &spec, 1);
	if (!spec.refusal)
		play->ids[tenant][play->account_count[tenant]++] = spec.id;
}

static void transfers_step(struct play *play)
{
	unsigned char rows[ROWS * ROW_BYTES];
	struct model_reply replies[ROWS];
	unsigned tenant = (unsigned)chance(play, 2);
	uint32_t count = 1 + (uint32_t)chance(play, ROWS);
	bool plain = chance(play, 2);
	if (play->account_count[tenant] < 2)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct transfer_row row = { .amount = 1 + chance(play, 50) };
		row.id = u128_of(chance(play, 1000), chance(play, UINT64_MAX) | 1);
		row.debit = play->ids[tenant][chance(play, play->account_count[tenant])];
		row.credit = play->ids[tenant][chance(play, play->account_count[tenant])];
		if (!plain && chance(play, 3) == 0) {
			row.flags = TRANSFER_PENDING;
			row.timeout = (uint32_t)chance(play, 20);
			play->pending[play->pending_count++ % HISTORY] = row.id;
		} else if (!plain && chance(play, 3) == 0 && play->pending_count) {
			row.flags = chance(play, 2) ? TRANSFER_POST : TRANSFER_VOID;
			row.debit = play->pending[chance(play, play->pending_count < HISTORY ? play->pending_count : HISTORY)];
			row.credit = 0;
			row.amount = 0;
		}
		if (!plain && i + 1 < count && chance(play, 8) == 0)
			row.flags |= TRANSFER_LINKED;
		memcpy(rows + (size_t)i * ROW_BYTES, &row, sizeof row);
	}
	world_transfers(play->world, rows, count, true, replies);
}

static void events_step(struct play *play)
{
	struct world_event events[ROWS];
	char ids[ROWS][24], profiles[ROWS][24];
	static const char *const types[] = { "EARN", "BURN", "TAG", "STATUS", "REDEEM", "BONUS" };
	uint32_t count = 1 + (uint32_t)chance(play, ROWS);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(ids[i], sizeof ids[i], "e%u", chance(play, 10) ? play->events++ : (unsigned)chance(play, play->events + 1u));
		snprintf(profiles[i], sizeof profiles[i], "m%u", (unsigned)chance(play, MEMBERS));
		events[i] = (struct world_event){ .tenant = tenants[chance(play, 2)], .profile = profiles[i],
						  .type = types[chance(play, 6)], .id = ids[i], .points = 1 + chance(play, 90) };
	}
	world_events(play->world, events, count);
}

static void customer_step(struct play *play)
{
	char text[120], profile[24];
	struct json_error error;
	snprintf(profile, sizeof profile, "m%u", (unsigned)chance(play, MEMBERS + 8));
	snprintf(text, sizeof text, "{\"status\":\"S%u\",\"tags\":[\"t%u\",\"t%u\"],\"height\":%u}", (unsigned)chance(play, 3),
		 (unsigned)chance(play, 4), 4 + (unsigned)chance(play, 4), (unsigned)chance(play, 200));
	yyjson_doc *doc = json_read(str_of(text), &error);
	assert_non_null(doc);
	struct row row = { .kind = ROW_CUSTOMER, .tenant = str_of(tenants[chance(play, 2)]), .profile = str_of(profile),
			   .payload = yyjson_doc_get_root(doc), .payload_text = str_of(text) };
	row.member_hash = hash_name(HASH_MEMBER, row.tenant, row.profile);
	row.member_partition = partition_of(row.member_hash);
	struct batch batch = { .rows = &row, .row_count = 1 };
	void *owner = &batch;
	batch_init(&batch, play->world->shard_count);
	batch_start(&batch, &play->world->env);
	world_run(play->world, &owner, 1);
	assert_int_equal(row.result, ROW_DONE);
	batch_free(&batch);
	yyjson_doc_free(doc);
}

static void row_run(struct play *play, struct row *row)
{
	struct batch batch = { .rows = row, .row_count = 1 };
	void *owner = &batch;
	batch_init(&batch, play->world->shard_count);
	batch_start(&batch, &play->world->env);
	world_run(play->world, &owner, 1);
	batch_free(&batch);
}

/* A member's newest event is undone, into debt; or a reward is used, or those past their end expire. */
static void member_step(struct play *play)
{
	char profile[24], id[40];
	unsigned tenant = (unsigned)chance(play, 2);
	snprintf(profile, sizeof profile, "m%u", (unsigned)chance(play, MEMBERS));
	struct row row = { .kind = ROW_ACTION, .tenant = str_of(tenants[tenant]), .profile = str_of(profile) };
	row_place(&row);
	const struct state *state = &play->world->shards[shard_of(row.member_partition, play->world->shard_count)].state;
	const struct member *member = state_member_find(state, row.member_hash, row.tenant, row.profile);
	if (!member)
		return;
	if (chance(play, 2)) {
		row.op = chance(play, 2) ? ACTION_OP_USE_REWARD : ACTION_OP_EXPIRE_REWARDS;
		row.seq = 1 + (uint32_t)chance(play, 4);
		row_run(play, &row);
		return;
	}
	struct record_head head;
	struct event_view view;
	const unsigned char *record = (const unsigned char *)play->world->log.ptr + (member->last_lsn - WORLD_FIRST_LSN);
	assert_true(record_head_read(record, world_end(play->world) - member->last_lsn, &head));
	if (!event_view_read(record, head.size, &view))
		return;
	struct buf original = { 0 };
	buf_bytes(&original, record, head.size);
	snprintf(id, sizeof id, "reverse:%llu", (unsigned long long)member->last_lsn);
	row.kind = ROW_REVERSE;
	row.policy = REVERSE_DEBT;
	row.type = STR("EARN");
	row.id = str_of(id);
	row.payload_text = STR("{}");
	row.original = buf_view(&original);
	row.id_hash = hash_name(HASH_EVENT_ID, row.tenant, row.id);
	row.id_partition = partition_of(row.id_hash);
	row_run(play, &row);
	buf_free(&original);
}

/* Events that are decided while pieces are taken. */
struct flight {
	struct batch batch;
	struct row rows[ROWS];
	yyjson_doc *docs[ROWS];
	char payloads[ROWS][40], ids[ROWS][24], profiles[ROWS][24];
};

static void flight_start(struct play *play)
{
	struct flight *flight = play->flight = mem_zalloc(sizeof *flight);
	struct json_error error;
	uint32_t count = 1 + (uint32_t)chance(play, ROWS);
	for (uint32_t i = 0; i < count; i++) {
		int len = snprintf(flight->payloads[i], sizeof flight->payloads[i], "{\"points\":%u}", 1 + (unsigned)chance(play, 90));
		snprintf(flight->ids[i], sizeof flight->ids[i], "e%u", play->events++);
		snprintf(flight->profiles[i], sizeof flight->profiles[i], "m%u", (unsigned)chance(play, MEMBERS));
		flight->docs[i] = json_read(str_of(flight->payloads[i]), &error);
		struct row *row = &flight->rows[i];
		*row = (struct row){ .kind = ROW_EVENT, .tenant = str_of(tenants[chance(play, 2)]),
				     .profile = str_of(flight->profiles[i]), .type = STR("EARN"), .id = str_of(flight->ids[i]),
				     .source = STR("test"), .payload = yyjson_doc_get_root(flight->docs[i]),
				     .payload_text = { flight->payloads[i], (size_t)len } };
		row->member_hash = hash_name(HASH_MEMBER, row->tenant, row->profile);
		row->id_hash = hash_name(HASH_EVENT_ID, row->tenant, row->id);
		row->member_partition = partition_of(row->member_hash);
		row->id_partition = partition_of(row->id_hash);
	}
	flight->batch = (struct batch){ .rows = flight->rows, .row_count = count };
	batch_init(&flight->batch, play->world->shard_count);
	batch_start(&flight->batch, &play->world->env);
}

static void flight_land(struct play *play)
{
	struct flight *flight = play->flight;
	void *owner = &flight->batch;
	world_run(play->world, &owner, 1);
	for (uint32_t i = 0; i < flight->batch.row_count; i++)
		yyjson_doc_free(flight->docs[i]);
	batch_free(&flight->batch);
	mem_free(flight);
	play->flight = NULL;
}

static void work_step(struct play *play)
{
	struct account_spec spec;
	char key[16];
	unsigned tenant = (unsigned)chance(play, 2);
	switch (chance(play, 16)) {
	case 0: case 1: case 2: accounts_step(play); break;
	case 3: case 4: case 5: case 6: case 7: transfers_step(play); break;
	case 8: case 9: customer_step(play); break;
	case 10:
		play->world->now_ms += (int64_t)chance(play, chance(play, 8) ? 8000 : 86400000);
		world_expire(play->world);
		break;
	case 11:
		if (!play->account_count[tenant])
			break;
		spec = (struct account_spec){ .id = play->ids[tenant][chance(play, play->account_count[tenant])],
					      .flags = chance(play, 2) ? ACCOUNT_CLOSED : 0 };
		world_close(play->world, &spec, 1);
		break;
	case 12:
		if (play->documents > 12)
			break;
		snprintf(key, sizeof key, "MORE%u", play->documents++);
		world_event_type(play->world, tenants[tenant], key, "[{'type':'earn_points','points':3}]");
		break;
	case 13: member_step(play); break;
	default: events_step(play); break;
	}
}

static void play_begin(struct play *play, uint64_t seed, unsigned shard_count)
{
	*play = (struct play){ .first_seed = seed, .seed = seed, .world = world_new(shard_count, seed) };
	play->world->wait_one_in = seed % 3 ? 6 : 0;
	play->world->files_one_in = seed % 2 ? 30 : 0;
	snprintf(play->dir, sizeof play->dir, "/tmp/tally-snapshot-XXXXXX");
	assert_non_null(mkdtemp(play->dir));
	for (unsigned t = 0; t < 2; t++) {
		world_event_type(play->world, tenants[t], "EARN", "[{'type':'earn_points','from_payload':'points'}]");
		world_event_type(play->world, tenants[t], "BURN", "[{'type':'burn_points','from_payload':'points'}]");
		world_event_type(play->world, tenants[t], "TAG", "[{'type':'add_customer_tag','tag':'seen'}]");
		world_event_type(play->world, tenants[t], "STATUS",
				 "[{'type':'set_customer_status','status':'GOLD'},{'type':'reset_status_points'}]");
		char redeem[120];
		uint64_t reward = world_document(play->world, tenants[t], KIND_REWARD,
						 "{'name':'Coffee','cost_points':9,'validity_days':1}");
		snprintf(redeem, sizeof redeem, "[{'type':'redeem_reward','reward_id':'%llu'}]", (unsigned long long)reward);
		world_event_type(play->world, tenants[t], "REDEEM", redeem);
		world_document(play->world, tenants[t], KIND_BONUS_DEFINITION,
			       "{'bonus_key':'DAY','name':'Day','policy':'ONCE_PER_DAY'}");
		world_event_type(play->world, tenants[t], "BONUS", "[{'type':'record_bonus_award','bonusKey':'DAY'}]");
	}
	for (unsigned i = 0; i < 12; i++)
		accounts_step(play);
}

static void path_in(char path[400], const struct play *play, const char *name)
{
	snprintf(path, 400, "%s/%s", play->dir, name);
}

static void play_end(struct play *play)
{
	DIR *folder = opendir(play->dir);
	char path[400];
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		path_in(path, play, entry->d_name);
		unlink(path);
	}
	closedir(folder);
	rmdir(play->dir);
	world_free(play->world);
}

/* ---- snapshots of a world --------------------------------------------------------------------------------------- */

/* A piece is asked for in the middle of other work. */
static void source_post(void *context, unsigned shard, struct message *message)
{
	struct play *play = context;
	message->shard = shard;
	world_ride(play->world, message, (unsigned)chance(play, 12));
	if (!play->quiet && play->flight && chance(play, 6) == 0)
		flight_land(play);
	else if (!play->quiet && !play->flight && chance(play, 8) == 0)
		flight_start(play);
	else if (!play->quiet && !play->flight && chance(play, 4) == 0)
		work_step(play);
	world_arrive(play->world, message);
	if (play->stop_after)
		play->stop = --play->stop_after == 0;
	snapshot_captured(message->owner);
}

static uint64_t source_head(void *context)
{
	return world_end(((struct play *)context)->world);
}

static bool snapshot_try(struct play *play, unsigned keep, struct snapshot_outcome *outcome)
{
	struct snapshot_source source = { .context = play, .shards = play->world->shard_count, .post = source_post,
					  .head = source_head, .durable = source_head, .stop = &play->stop };
	struct snapshot_order order = { .dir = play->dir, .keep = keep, .epoch = 1, .now_ms = play->world->now_ms };
	struct buf error = { 0 };
	order.piece = chance(play, 3) ? 1 + (size_t)chance(play, 4000) : 0;
	if (!play->quiet)
		flight_start(play);
	bool good = snapshot_write(&source, &order, outcome, &error);
	if (play->flight)
		flight_land(play);
	assert_int_equal(good, error.len == 0);
	buf_free(&error);
	return good;
}

static struct snapshot_outcome snapshot_now(struct play *play, unsigned keep)
{
	struct snapshot_outcome outcome;
	assert_true(snapshot_try(play, keep, &outcome));
	return outcome;
}

static void dump_of(const struct world *world, struct buf *text)
{
	struct state *states[SHARDS_MAX];
	for (unsigned s = 0; s < world->shard_count; s++)
		states[s] = &world->shards[s].state;
	text->len = 0;
	struct buf filed = { 0 };
	world_ids_dump(world->ids, &filed);
	dump_text(states, world->shard_count, &world->catalog, buf_view(&filed), text);
	buf_free(&filed);
	assert_true(dump_whole(buf_view(text)));
}

struct recovery {
	const char *dir;
	struct snapshot_load load;
	struct buf said;
};

static void recovery_log(void *context, const char *level, const char *message)
{
	struct recovery *recovery = context;
	buf_printf(&recovery->said, "%s: %s\n", level, message);
}

static uint64_t recovery_load(struct world *world, void *context)
{
	struct recovery *recovery = context;
	static struct state *states[SHARDS_MAX];
	for (unsigned s = 0; s < world->shard_count; s++)
		states[s] = &world->shards[s].state;
	recovery->load = (struct snapshot_load){ .dir = recovery->dir, .states = states, .count = world->shard_count,
						 .catalog = &world->catalog, .log = recovery_log, .context = recovery };
	snapshot_load_begin(&recovery->load);
	return recovery->load.from;
}

static void recovery_end(struct world *world, void *context)
{
	struct recovery *recovery = context;
	struct buf error = { 0 };
	(void)world;
	if (!snapshot_load_end(&recovery->load, &error))
		fail_msg("%.*s", (int)error.len, error.ptr);
}

/* A restart with the snapshots there are.  The caller frees *recovery's text. */
static struct world *recover(const struct play *play, unsigned shard_count, struct recovery *recovery)
{
	*recovery = (struct recovery){ .dir = play->dir };
	return world_replay_loaded(play->world, shard_count, play->world->frame_count, recovery_load, recovery_end, recovery);
}

static void recovered_is(const struct play *play, unsigned shard_count, uint64_t end, const struct buf *wanted)
{
	struct buf got = { 0 };
	struct recovery recovery;
	struct world *world = recover(play, shard_count, &recovery);
	assert_int_equal(recovery.load.loaded, end != 0);
	assert_int_equal(recovery.load.end, end);
	dump_of(world, &got);
	if (got.len != wanted->len || memcmp(got.ptr, wanted->ptr, got.len) != 0) {
		print_error("seed %llu: %u shards, loaded into %u; - as it should be, + as it is\n",
			    (unsigned long long)play->first_seed, play->world->shard_count, shard_count);
		dump_diff(stderr, buf_view(wanted), buf_view(&got));
		fail_msg("the snapshot with the log behind it is another state");
	}
	uint64_t transfers[2] = { 0 }, events[2] = { 0 };
	for (unsigned s = 0; s < world->shard_count; s++) {
		transfers[0] += world->shards[s].state.ledger.transfer_total;
		events[0] += world->shards[s].state.event_total;
	}
	for (unsigned s = 0; s < play->world->shard_count; s++) {
		transfers[1] += play->world->shards[s].state.ledger.transfer_total;
		events[1] += play->world->shards[s].state.event_total;
	}
	assert_int_equal(events[0], events[1]);
	assert_int_equal(transfers[0], transfers[1]);
	buf_free(&got);
	buf_free(&recovery.said);
	world_free(world);
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void play_at_random(uint64_t seed)
{
	struct play play;
	struct buf live = { 0 };
	play_begin(&play, seed, shard_counts[seed % 5]);
	for (unsigned i = 0; i < WORK; i++)
		work_step(&play);
	struct snapshot_outcome outcome = snapshot_now(&play, 1);
	assert_false(outcome.unchanged);
	assert_true(outcome.from <= outcome.end && outcome.end <= world_end(play.world));
	for (unsigned i = chance(&play, 3) ? WORK / 2 : 0; i; i--)
		work_step(&play);
	dump_of(play.world, &live);
	for (unsigned i = 0; i < sizeof shard_counts / sizeof *shard_counts; i++)
		recovered_is(&play, shard_counts[i], outcome.end, &live);
	buf_free(&live);
	play_end(&play);
}

static void snapshot_and_log_are_the_log(void **unused)
{
	const char *one = getenv("SEED"), *many = getenv("SEEDS");
	uint64_t first = one ? strtoull(one, NULL, 10) : 1, count = one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;
	(void)unused;
	for (uint64_t seed = first; seed < first + count; seed++)
		play_at_random(seed);
}

/* The world that came out of a snapshot works on like the one that went in. */
static void the_loaded_world_works(void **unused)
{
	struct play play;
	struct buf live = { 0 }, again = { 0 };
	struct recovery recovery;
	(void)unused;
	play_begin(&play, 77, 2);
	for (unsigned i = 0; i < WORK; i++)
		work_step(&play);
	snapshot_now(&play, 1);
	struct world *loaded = recover(&play, 4, &recovery);
	world_free(play.world);
	play.world = loaded;
	for (unsigned i = 0; i < WORK; i++)
		work_step(&play);
	struct buf why = { 0 };
	if (!world_audit(loaded, &why))
		fail_msg("%.*s", (int)why.len, why.ptr);
	dump_of(loaded, &live);
	struct world *replayed = world_replay(loaded, 3, loaded->frame_count);
	dump_of(replayed, &again);
	assert_int_equal(live.len, again.len);
	assert_memory_equal(live.ptr, again.ptr, live.len);
	world_free(replayed);
	buf_free(&live);
	buf_free(&again);
	buf_free(&why);
	buf_free(&recovery.said);
	play_end(&play);
}

static void an_empty_world(void **unused)
{
	struct play play = { .first_seed = 5, .seed = 5, .world = world_new(2, 5) };
	struct buf live = { 0 };
	(void)unused;
	snprintf(play.dir, sizeof play.dir, "/tmp/tally-snapshot-XXXXXX");
	assert_non_null(mkdtemp(play.dir));
	dump_of(play.world, &live);
	recovered_is(&play, 1, 0, &live);
	play.quiet = true;
	struct snapshot_outcome outcome = snapshot_now(&play, 1);
	recovered_is(&play, 3, outcome.end, &live);
	assert_true(snapshot_now(&play, 1).unchanged);
	buf_free(&live);
	play_end(&play);
}

static void file_of(const struct play *play, uint64_t end, const char *suffix, char path[400])
{
	char name[SNAPSHOT_NAME];
	snapshot_name(name, end, suffix);
	path_in(path, play, name);
}

static void byte_flip(const char *path, off_t at)
{
	unsigned char byte = 0;
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 0x20;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void bytes_of(const char *path, struct buf *out)
{
	struct stat status;
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0 && !fstat(fd, &status));
	buf_room(out, (size_t)status.st_size);
	assert_int_equal(read(fd, out->ptr, (size_t)status.st_size), status.st_size);
	out->len = (size_t)status.st_size;
	close(fd);
}

static void every_flipped_byte_is_found(void **unused)
{
	struct play play;
	char manifest_path[400], data_path[400];
	struct buf bytes = { 0 }, error = { 0 }, packed = { 0 }, raw = { 0 };
	struct snapshot_manifest manifest, other;
	(void)unused;
	play_begin(&play, 3, 1);
	for (unsigned i = 0; i < WORK; i++)
		work_step(&play);
	play.quiet = true;
	struct snapshot_outcome outcome = snapshot_now(&play, 1);
	file_of(&play, outcome.end, "manifest", manifest_path);
	file_of(&play, outcome.end, "data", data_path);
	assert_true(snapshot_verify(play.dir, outcome.end, &manifest, &error));
	bytes_of(manifest_path, &bytes);
	for (size_t i = 0; i < bytes.len; i++) {
		bytes.ptr[i] ^= 0x04;
		error.len = 0;
		assert_false(snapshot_manifest_decode(bytes.ptr, bytes.len, &other, &error));
		assert_true(error.len > 0);
		snapshot_manifest_free(&other);
		bytes.ptr[i] ^= 0x04;
	}
	for (size_t len = 0; len < bytes.len; len += 1 + len / 16) {
		assert_false(snapshot_manifest_decode(bytes.ptr, len, &other, &error));
		snapshot_manifest_free(&other);
	}
	for (off_t i = 0; i < SNAPSHOT_DATA_HEAD; i++) {
		byte_flip(data_path, i);
		assert_int_equal(snapshot_data_open(play.dir, outcome.end, &error), -1);
		byte_flip(data_path, i);
	}
	int fd = snapshot_data_open(play.dir, outcome.end, &error);
	assert_true(fd >= 0);
	uint64_t at = SNAPSHOT_DATA_HEAD;
	for (uint32_t s = 0; s < manifest.count; s++)
		for (uint32_t i = 0; i < manifest.sections[s].size; i++, at++) {
			byte_flip(data_path, (off_t)at);
			assert_false(snapshot_section_read(fd, &manifest.sections[s], &packed, &raw, &error));
			byte_flip(data_path, (off_t)at);
		}
	assert_int_equal(at, manifest.data_size);
	close(fd);
	/* As the server meets them. */
	struct buf live = { 0 };
	dump_of(play.world, &live);
	recovered_is(&play, 2, outcome.end, &live);
	assert_int_equal(truncate(data_path, (off_t)manifest.data_size - 1), 0);
	recovered_is(&play, 2, 0, &live);
	buf_free(&live);
	buf_free(&bytes);
	buf_free(&error);
	buf_free(&packed);
	buf_free(&raw);
	snapshot_manifest_free(&manifest);
	play_end(&play);
}

static void a_broken_one_gives_way(void **unused)
{
	struct play play;
	char path[400];
	struct buf live = { 0 };
	struct recovery recovery;
	(void)unused;
	play_begin(&play, 4, 2);
	struct snapshot_outcome outcomes[3];
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < WORK / 2; k++)
			work_step(&play);
		outcomes[i] = snapshot_now(&play, 2);
	}
	dump_of(play.world, &live);
	file_of(&play, outcomes[0].end, "manifest", path);
	assert_int_equal(access(path, F_OK), -1);              /* two are kept */
	recovered_is(&play, 4, outcomes[2].end, &live);
	file_of(&play, outcomes[2].end, "data", path);
	byte_flip(path, (off_t)outcomes[2].size - 3);
	recovered_is(&play, 4, outcomes[1].end, &live);
	struct world *world = recover(&play, 1, &recovery);
	assert_int_equal(recovery.load.broken, 1);
	assert_int_equal(recovery.load.known, outcomes[2].end);        /* broken, and yet the log reached so far */
	buf_char(&recovery.said, 0);
	assert_non_null(strstr(recovery.said.ptr, "error: BROKEN SNAPSHOT"));
	assert_non_null(strstr(recovery.said.ptr, "checksum"));
	buf_free(&recovery.said);
	world_free(world);
	file_of(&play, outcomes[1].end, "manifest", path);
	byte_flip(path, 70);
	recovered_is(&play, 4, 0, &live);
	buf_free(&live);
	play_end(&play);
}

/* ---- numbers that a piece cannot hold ---------------------------------------------------------------------------------- */

enum { HUGE_NUMBER = 60000000, CRAFTED_MB = 64 };

static size_t item_add(struct buf *piece, enum capture_item type, unsigned place, const void *content, size_t size)
{
	struct { uint32_t size; uint16_t type, place; } head = { (uint32_t)(8 + (size + 7) / 8 * 8), (uint16_t)type, (uint16_t)place };
	size_t at = piece->len + sizeof head;
	buf_bytes(piece, &head, sizeof head);
	buf_bytes(piece, content, size);
	buf_bytes(piece, "\0\0\0\0\0\0\0", (8 - size % 8) % 8);
	return at;
}

/* A book "t", "u" (its own tenant likewise) that the items behind it name by this number. */
static void named_add(struct buf *piece, uint32_t number)
{
	unsigned char tenant[9] = { 0 }, book[10] = { 0 };
	memcpy(tenant, &number, sizeof number);
	memcpy(tenant + 4, &(uint16_t){ 1 }, sizeof(uint16_t));
	tenant[8] = 't';
	memcpy(book, &number, sizeof number);
	memcpy(book + 4, (uint16_t[]){ 1, 1 }, 2 * sizeof(uint16_t));
	book[8] = 't';
	book[9] = 'u';
	item_add(piece, CAPTURE_TENANT, 0, tenant, sizeof tenant);
	item_add(piece, CAPTURE_BOOK, 0, book, sizeof book);
}

/* An account of partition 0. */
static void flagged_add(struct buf *piece, uint32_t number, uint32_t book, unsigned flags)
{
	unsigned char row[72] = { 0 };
	u128 id = 1;
	while (partition_of(account_key(id)) != 0)
		id++;
	u128_store(row, id);
	memcpy(row + 56, &number, sizeof number);
	memcpy(row + 60, &book, sizeof book);
	memcpy(row + 64, &(uint16_t){ (uint16_t)flags }, sizeof(uint16_t));
	item_add(piece, CAPTURE_ACCOUNTS, 0, row, sizeof row);
}

static void account_add(struct buf *piece, uint32_t number, uint32_t book)
{
	flagged_add(piece, number, book, 0);
}

static void slice_add(struct buf *piece, uint32_t number, uint32_t book)
{
	unsigned char slice[408] = { 0 };
	memcpy(slice, &book, sizeof book);
	memcpy(slice + 8, &number, sizeof number);
	item_add(piece, CAPTURE_SLICE, 0, slice, sizeof slice);
}

static bool crafted_load(const struct buf *piece, uint64_t log_bytes, const char **why)
{
	struct state *state = mem_alloc(sizeof *state);
	struct rusage before, after;
	state_init(state, 0, 1);
	getrusage(RUSAGE_SELF, &before);
	capture_loadable(state, 0, piece->len, log_bytes);
	bool good = capture_load(state, NULL, piece->ptr, piece->len, STATE_ALL, why);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < CRAFTED_MB << 10);
	state_deinit(state);
	mem_free(state);
	return good;
}

/* What a piece says is a billion takes no more memory than what it holds. */
static void huge_numbers_take_no_memory(void **unused)
{
	static void (*const adds[])(struct buf *piece, uint32_t number, uint32_t book) = { account_add, slice_add };
	struct buf piece = { 0 };
	const char *why;
	(void)unused;
	named_add(&piece, HUGE_NUMBER);
	account_add(&piece, 1, HUGE_NUMBER);
	assert_true(crafted_load(&piece, 0, &why));
	named_add(&piece, HUGE_NUMBER);
	assert_false(crafted_load(&piece, 0, &why));
	assert_string_equal(why, "a number stands for two tenants or books");
	for (unsigned i = 0; i < 2; i++) {
		piece.len = 0;
		named_add(&piece, 3);
		adds[i](&piece, HUGE_NUMBER, 3);
		assert_false(crafted_load(&piece, 0, &why));
		assert_non_null(strstr(why, "or higher than the group's accounts are many"));
		piece.len = 0;
		named_add(&piece, 3);
		adds[i](&piece, 1000, 3);
		assert_false(crafted_load(&piece, 10000, &why));
		assert_true(crafted_load(&piece, 1000 << 10, &why));   /* the log may bring the others */
	}
	buf_free(&piece);
}

/* Found by tests/fuzz/fuzz_snapshot.c: an account says that its limits stand elsewhere, and they do not. */
static void limits_are_there_or_it_is_refused(void **unused)
{
	struct buf piece = { 0 };
	unsigned char extra[32] = { 1 };
	const char *why;
	(void)unused;
	named_add(&piece, 0);
	flagged_add(&piece, 1, 0, ACCOUNT_LIMITED);
	assert_false(crafted_load(&piece, 0, &why));
	assert_string_equal(why, "an account's names and limits are not there");
	item_add(&piece, CAPTURE_EXTRA, 0, extra, sizeof extra);
	assert_true(crafted_load(&piece, 0, &why));
	item_add(&piece, CAPTURE_EXTRA, 0, extra, sizeof extra);
	assert_false(crafted_load(&piece, 0, &why));
	piece.len = 0;
	named_add(&piece, 0);
	flagged_add(&piece, 1, 0, ACCOUNT_SLICE);
	assert_false(crafted_load(&piece, 0, &why));
	buf_free(&piece);
}

/* A piece cannot become larger than its compressed bytes can hold. */
static void sizes_are_those_of_the_bytes(void **unused)
{
	struct play play;
	struct buf bytes = { 0 }, error = { 0 };
	struct snapshot_manifest manifest, other;
	(void)unused;
	play_begin(&play, 8, 1);
	struct snapshot_outcome outcome = snapshot_now(&play, 1);
	assert_true(snapshot_manifest_read(play.dir, outcome.end, &manifest, &error));
	for (uint32_t i = 0; i < manifest.count; i++) {
		struct snapshot_section *section = &manifest.sections[i];
		uint32_t size = section->raw_size, most = section->size * SNAPSHOT_PACK_MAX;
		if (!section->size || section->size > SNAPSHOT_RAW_MAX / SNAPSHOT_PACK_MAX - 1)
			continue;
		for (uint32_t more = 0; more < 2; more++) {
			section->raw_size = most + more;
			manifest.raw_size += most + more - size;
			bytes.len = error.len = 0;
			snapshot_manifest_encode(&manifest, &bytes);
			assert_int_equal(snapshot_manifest_decode(bytes.ptr, bytes.len, &other, &error), !more);
			snapshot_manifest_free(&other);
			manifest.raw_size -= most + more - size;
		}
		section->raw_size = size;
	}
	snapshot_manifest_free(&manifest);
	buf_free(&bytes);
	buf_free(&error);
	play_end(&play);
}

static void a_newer_format_is_refused_by_name(void **unused)
{
	struct play play;
	char path[400];
	struct buf bytes = { 0 }, error = { 0 };
	struct snapshot_manifest manifest;
	uint8_t hash[16];
	uint32_t version = SNAPSHOT_VERSION + 1;
	(void)unused;
	play_begin(&play, 6, 1);
	struct snapshot_outcome outcome = snapshot_now(&play, 1);
	file_of(&play, outcome.end, "manifest", path);
	bytes_of(path, &bytes);
	memcpy(bytes.ptr + 8, &version, sizeof version);
	snapshot_hash(hash, bytes.ptr, bytes.len - sizeof hash);
	memcpy(bytes.ptr + bytes.len - sizeof hash, hash, sizeof hash);
	assert_false(snapshot_manifest_decode(bytes.ptr, bytes.len, &manifest, &error));
	buf_char(&error, 0);
	assert_non_null(strstr(error.ptr, "format 2"));
	snapshot_manifest_free(&manifest);
	buf_free(&bytes);
	buf_free(&error);
	play_end(&play);
}

/* Given up at any piece: the one before stands, and the next one sweeps what was left. */
static void an_interrupted_writer_harms_nobody(void **unused)
{
	struct play play;
	char path[400];
	struct buf live = { 0 };
	struct snapshot_outcome outcome, first;
	(void)unused;
	play_begin(&play, 8, 3);
	for (unsigned k = 0; k < WORK / 2; k++)
		work_step(&play);
	first = snapshot_now(&play, 3);
	for (unsigned after = 2; after < 60; after += 9) {
		play.stop_after = after;
		work_step(&play);
		events_step(&play);
		assert_false(snapshot_try(&play, 3, &outcome));
		play.stop = false;
		path_in(path, &play, "new.data");
		int fd = open(path, O_WRONLY | O_CREAT, 0600); /* as a crash would leave it */
		assert_true(fd >= 0);
		close(fd);
		path_in(path, &play, "00000000000000ff.data");
		close(open(path, O_WRONLY | O_CREAT, 0600));
		dump_of(play.world, &live);
		recovered_is(&play, 2, first.end, &live);
	}
	outcome = snapshot_now(&play, 3);
	dump_of(play.world, &live);
	recovered_is(&play, 2, outcome.end, &live);
	assert_int_equal(access(path, F_OK), -1);
	path_in(path, &play, "new.data");
	assert_int_equal(access(path, F_OK), -1);
	buf_free(&live);
	play_end(&play);
}

/* ---- calls that fail ---- */

static struct wal_io real;
static unsigned io_calls, io_failing[2];       /* which ones fail: the first is 1 */

static bool io_fails(void)
{
	io_calls++;
	errno = EIO;
	return io_calls == io_failing[0] || io_calls == io_failing[1];
}

static int bad_open(int dir, const char *name, int flags)
{
	return io_fails() ? -1 : real.open(dir, name, flags);
}

static ssize_t bad_read(int fd, void *bytes, size_t size, off_t offset)
{
	return io_fails() ? -1 : real.read(fd, bytes, size, offset);
}

static int bad_sync_all(int fd)
{
	return io_fails() ? -1 : real.sync_all(fd);
}

static int bad_rename(int dir, const char *from, const char *to)
{
	return io_fails() ? -1 : real.rename(dir, from, to);
}

static int64_t bad_size(int dir, const char *name)
{
	return io_fails() ? -1 : real.size(dir, name);
}

static int bad_list(int dir, wal_io_entry_fn *each, void *context)
{
	return io_fails() ? -1 : real.list(dir, each, context);
}

/* The next one has the same name where nothing was appended: whatever fails, it harms the one that is there at no moment. */
static void an_order_that_fails_leaves_the_one_that_ends_there(void **unused)
{
	struct play play;
	struct snapshot_manifest manifest;
	struct buf error = { 0 };
	char path[400];
	(void)unused;
	play_begin(&play, 11, 2);
	for (unsigned k = 0; k < WORK; k++)
		work_step(&play);
	play.quiet = true;
	struct snapshot_outcome outcome, first = snapshot_now(&play, 2);
	real = wal_io;
	wal_io.open = bad_open;
	wal_io.read = bad_read;
	wal_io.sync_all = bad_sync_all;
	wal_io.rename = bad_rename;
	wal_io.size = bad_size;
	wal_io.list = bad_list;
	unsigned kinds[2] = { 0 };
	for (unsigned pair = 0; pair < 8 * 32; pair++) {
		io_calls = 0;
		io_failing[0] = pair / 32 + 1;
		io_failing[1] = io_failing[0] + pair % 32;
		kinds[snapshot_try(&play, 2, &outcome)]++;
		io_failing[0] = io_failing[1] = 0;
		if (!snapshot_verify(play.dir, first.end, &manifest, &error))
			fail_msg("calls %u and %u: %.*s", pair / 32 + 1, pair / 32 + 1 + pair % 32, (int)error.len, error.ptr);
		snapshot_manifest_free(&manifest);
	}
	wal_io = real;
	assert_true(kinds[false] && kinds[true]);
	assert_true(snapshot_now(&play, 2).unchanged);
	/* One that is broken is replaced. */
	file_of(&play, first.end, "manifest", path);
	byte_flip(path, 20);
	outcome = snapshot_now(&play, 2);
	assert_true(!outcome.unchanged && outcome.end == first.end);
	assert_true(snapshot_verify(play.dir, first.end, &manifest, &error));
	snapshot_manifest_free(&manifest);
	buf_free(&error);
	play_end(&play);
}

static void a_diff_shows_what_differs(void **unused)
{
	struct str a = STR("tally dump 1\nalpha 1\nbeta 2\nhash 00000000000000000000000000000000\n"),
		   b = STR("tally dump 1\nalpha 1\nbeta 3\ngamma 1\nhash 00000000000000000000000000000000\n");
	char *text = NULL;
	size_t len;
	(void)unused;
	FILE *out = open_memstream(&text, &len);
	assert_int_equal(dump_diff(out, a, a), 0);
	assert_int_equal(dump_diff(out, a, b), 3);
	fclose(out);
	assert_string_equal(text, "- beta 2\n+ beta 3\n+ gamma 1\n");
	free(text);
	assert_false(dump_whole(a));
}

static void thinned_to(const char *dir, const uint64_t *wanted, size_t count)
{
	struct buf error = { 0 };
	uint64_t *ends;
	size_t found;
	assert_true(snapshot_list(dir, &ends, &found, &error));
	assert_int_equal(found, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(ends[i], wanted[i]);
	mem_free(ends);
}

/* What retention promises rests on one snapshot that ends at or before it, and on some behind that to go on with. */
static void thinned_for_retention(void **state)
{
	static const struct { size_t keep; uint64_t floor, step, wanted[8]; size_t count; } rows[] = {
		{ 3, 0, 0, { 1000, 900, 800 }, 3 },
		{ 2, 350, 300, { 1000, 900, 600, 300 }, 4 },
		{ 1, 350, 250, { 1000, 900, 600, 300 }, 4 },
		{ 1, 300, 10000, { 1000, 300 }, 2 },
		/* Nothing ends so early: the oldest is the next that will. */
		{ 1, 50, 450, { 1000, 600, 100 }, 3 },
		/* The newest is the one. */
		{ 1, 5000, 1, { 1000 }, 1 },
		{ 20, 350, 300, { 1000, 900, 800, 700, 600, 500, 400, 300 }, 10 },
	};
	(void)state;
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		char dir[] = "/tmp/tally-thin-XXXXXX", path[100], name[SNAPSHOT_NAME];
		assert_non_null(mkdtemp(dir));
		for (uint64_t end = 100; end <= 1000; end += 100)
			for (unsigned part = 0; part < 2; part++) {
				snapshot_name(name, end, part ? "manifest" : "data");
				snprintf(path, sizeof path, "%s/%s", dir, name);
				FILE *file = fopen(path, "w");
				assert_non_null(file);
				fclose(file);
			}
		assert_int_equal(snapshot_thin(dir, rows[r].keep, rows[r].floor, rows[r].step), 0);
		if (rows[r].keep < 20)
			thinned_to(dir, rows[r].wanted, rows[r].count);
		else
			thinned_to(dir, (const uint64_t[]){ 1000, 900, 800, 700, 600, 500, 400, 300, 200, 100 }, 10);
		assert_int_equal(snapshot_thin(dir, 0, 0, 0), 0);
		assert_int_equal(rmdir(dir), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshot_and_log_are_the_log),
		cmocka_unit_test(the_loaded_world_works),
		cmocka_unit_test(an_empty_world),
		cmocka_unit_test(every_flipped_byte_is_found),
		cmocka_unit_test(a_broken_one_gives_way),
		cmocka_unit_test(a_newer_format_is_refused_by_name),
		cmocka_unit_test(huge_numbers_take_no_memory),
		cmocka_unit_test(limits_are_there_or_it_is_refused),
		cmocka_unit_test(sizes_are_those_of_the_bytes),
		cmocka_unit_test(an_interrupted_writer_harms_nobody),
		cmocka_unit_test(an_order_that_fails_leaves_the_one_that_ends_there),
		cmocka_unit_test(a_diff_shows_what_differs),
		cmocka_unit_test(thinned_for_retention),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
