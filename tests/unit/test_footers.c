// SPDX-License-Identifier: Apache-2.0
/* test_footers.c - the past of tenant accounts from footers and a scan is that of a full replay up to the same place.
 *
 * A world of shards works at random: events that earn and burn, accounts of all kinds, transfers, reservations, posts and voids.  Its
 * frames go into a real log with small segments, and footers are made of that.  At random places the books that footers tell must be
 * those of a world that was made from the first frames only.  Then footers are lost, flipped and dropped with their segments, and
 * must come back byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "net/loop/logline.h"
#include "net/main/footers.h"
#include "tests/model/world.h"
#include "wal/cursor.h"
#include "wal/segment.h"

enum { SEEDS = 4, WORK = 500, MEMBERS = 30, ACCOUNTS = 24, ROWS = 20, PENDING = 64, LOOKS = 40, SEGMENT = 64 << 10, AHEAD_MS = 100000 };

static const char *const tenants[] = { "north", "south", "west" };

struct play {
	struct world *world;
	struct wal *wal;
	uint64_t seed;
	u128 ids[3][ACCOUNTS];
	unsigned account_count[3], events, pending_count;
	u128 pending[PENDING];
	uint64_t *lsns;                /* owned; where each of the world's frames begins in the log */
	int64_t *times;                /* owned */
	size_t filled;                 /* of the world's frames, in the log */
	int64_t time_ms;               /* of the last of them */
	char folder[64], log[80], footers[80];
};

static uint64_t chance(struct play *play, uint64_t below)
{
	return world_chance(&play->seed, below);
}

/* ---- work ------------------------------------------------------------------------------------------------------------- */

static void accounts_step(struct play *play)
{
	static const enum account_kind choices[] = { ACCOUNT_RAW, ACCOUNT_MEMBER, ACCOUNT_MEMBER, ACCOUNT_LIABILITY, ACCOUNT_ADJUSTED,
						     ACCOUNT_IN_TRANSIT };
	static const char *const units[] = { "points", "stamps" };
	unsigned tenant = (unsigned)chance(play, 2);
	struct account_spec spec = { .tenant = str_of(tenants[tenant]), .unit = str_of(units[chance(play, 4) == 0]),
				     .kind = choices[chance(play, sizeof choices / sizeof *choices)] };
	if (play->account_count[tenant] == ACCOUNTS)
		return;
	spec.id = u128_of(chance(play, UINT64_MAX) >> 1, chance(play, UINT64_MAX) | 1);
	spec.has_floor = spec.kind == ACCOUNT_MEMBER;
	spec.floor = -1000000;
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
	if (play->account_count[tenant] < 2)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct transfer_row row = { .amount = 1 + chance(play, 50) };
		row.id = u128_of(chance(play, 1000), chance(play, UINT64_MAX) | 1);
		row.debit = play->ids[tenant][chance(play, play->account_count[tenant])];
		row.credit = play->ids[tenant][chance(play, play->account_count[tenant])];
		if (chance(play, 4) == 0) {
			row.flags = TRANSFER_PENDING;
			row.timeout = (uint32_t)chance(play, 20);
			play->pending[play->pending_count++ % PENDING] = row.id;
		} else if (chance(play, 4) == 0 && play->pending_count) {
			row.flags = chance(play, 2) ? TRANSFER_POST : TRANSFER_VOID;
			row.debit = play->pending[chance(play, play->pending_count < PENDING ? play->pending_count : PENDING)];
			row.credit = 0;
			row.amount = 0;
		}
		memcpy(rows + (size_t)i * ROW_BYTES, &row, sizeof row);
	}
	world_transfers(play->world, rows, count, true, replies);
}

static void events_step(struct play *play)
{
	struct world_event events[ROWS];
	char ids[ROWS][24], profiles[ROWS][24];
	uint32_t count = 1 + (uint32_t)chance(play, ROWS);
	for (uint32_t i = 0; i < count; i++) {
		snprintf(ids[i], sizeof ids[i], "e%u", play->events++);
		snprintf(profiles[i], sizeof profiles[i], "m%u", (unsigned)chance(play, MEMBERS));
		events[i] = (struct world_event){ .tenant = tenants[chance(play, 2)], .profile = profiles[i],
						  .type = chance(play, 3) ? "EARN" : "BURN", .id = ids[i], .points = 1 + chance(play, 90) };
	}
	world_events(play->world, events, count);
}

static void work(struct play *play, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		switch (chance(play, 8)) {
		case 0: accounts_step(play); break;
		case 1: case 2: case 3: transfers_step(play); break;
		case 4:
			play->world->now_ms += (int64_t)chance(play, 8000);
			world_expire(play->world);
			break;
		default: events_step(play); break;
		}
}

/* ---- the log ---------------------------------------------------------------------------------------------------------- */

static void on_log(void *context, const char *level, const char *message)
{
	(void)context;
	(void)level;
	(void)message;
}

static void on_fatal(void *context, const char *message)
{
	(void)context;
	fail_msg("%s", message);
	abort();
}

static bool on_frame(void *context, const struct wal_frame *frame)
{
	(void)context;
	(void)frame;
	return true;
}

static void wal_begin(struct play *play)
{
	struct wal_options options = { .dir = play->log, .segment_size = SEGMENT, .ring_size = SEGMENT, .producers = 1, .stepped = true,
				       .log = on_log, .fatal = on_fatal };
	struct buf error = { 0 };
	play->wal = wal_open(&options, 0, on_frame, NULL, &error);
	if (!play->wal)
		fail_msg("%.*s", (int)error.len, error.ptr);
}

/* The world's frames that are not in the log yet, at times that go forward but for a moment now and then. */
static void wal_fill(struct play *play)
{
	const struct world *world = play->world;
	play->lsns = mem_realloc(play->lsns, (world->frame_count + 1) * sizeof *play->lsns);
	play->times = mem_realloc(play->times, (world->frame_count + 1) * sizeof *play->times);
	for (; play->filled < world->frame_count; play->filled++) {
		size_t i = play->filled;
		const struct world_frame *frame = &world->frames[i];
		const char *bytes = world->log.ptr + (frame->lsn - WORLD_FIRST_LSN);
		struct wal_producer *producer = wal_producer_at(play->wal, 0);
		unsigned char *body;
		while (wal_credit(producer, frame->size) != WAL_ROOM)
			if (!wal_step(play->wal, false))
				wal_maker_step(play->wal);
		play->lsns[i] = wal_append_begin(producer, frame->size, &body) - WAL_FRAME_HEADER;
		memcpy(body, bytes, frame->size);
		play->time_ms += (int64_t)chance(play, 20);
		play->times[i] = play->time_ms - (int64_t)(chance(play, 6) ? 0 : chance(play, 5));
		wal_append_publish(producer, play->times[i], hash_bytes(bytes, frame->size));
	}
	while (wal_step(play->wal, false))
		;
	play->lsns[world->frame_count] = wal_durable(play->wal);
}

static void play_begin(struct play *play, uint64_t seed, unsigned shard_count)
{
	const char *temporary = getenv("TMPDIR");
	*play = (struct play){ .seed = seed, .world = world_new(shard_count, seed) };
	snprintf(play->folder, sizeof play->folder, "%s/tally-footers-XXXXXX", temporary && strlen(temporary) < 40 ? temporary : "/tmp");
	assert_non_null(mkdtemp(play->folder));
	snprintf(play->log, sizeof play->log, "%s/log", play->folder);
	snprintf(play->footers, sizeof play->footers, "%s/footers", play->folder);
	assert_int_equal(mkdir(play->log, 0700), 0);
	assert_int_equal(mkdir(play->footers, 0700), 0);
	for (unsigned t = 0; t < 2; t++) {
		world_event_type(play->world, tenants[t], "EARN", "[{'type':'earn_points','from_payload':'points'}]");
		world_event_type(play->world, tenants[t], "BURN", "[{'type':'burn_points','from_payload':'points'}]");
	}
	work(play, WORK);
	wal_begin(play);
	play->time_ms = (int64_t)time(NULL) * 1000 + AHEAD_MS;         /* behind the opening frame */
	wal_fill(play);
}

static void play_end(struct play *play)
{
	char command[200];
	wal_close(play->wal);
	world_free(play->world);
	mem_free(play->lsns);
	mem_free(play->times);
	snprintf(command, sizeof command, "rm -r %s", play->folder);
	assert_int_equal(system(command), 0);
}

static struct footers *footers_recovered(struct play *play)
{
	struct state *states[SHARDS_MAX];
	for (unsigned s = 0; s < play->world->shard_count; s++)
		states[s] = &play->world->shards[s].state;
	return footers_open(play->footers, play->wal, states, play->world->shard_count);
}

static void footers_rest(struct footers *footers)
{
	atomic_bool stop = false;
	while (footers_step(footers, &stop))
		;
}

static struct footers *footers_begin(struct play *play)
{
	struct footers *footers = footers_recovered(play);
	footers_rest(footers);
	return footers;
}

/* ---- comparing -------------------------------------------------------------------------------------------------------- */

static void line_compare(struct world *then, const struct books *books, struct str tenant, struct str unit)
{
	struct ledger_request answer;
	uint32_t book = books_book(books->names, tenant, unit);
	static const struct books_line zero;
	const struct books_line *line = book < books->line_count && books->lines[book] ? books->lines[book] : &zero;
	if (!world_book(then, tenant, unit, &answer))
		memset(answer.sums, 0, sizeof answer.sums);
	for (unsigned k = 0; k < ACCOUNT_KINDS; k++) {
		const u128 *sums = answer.sums[k];
		assert_true(books_balance(line, (enum account_kind)k, false) == (i128)(sums[1] - sums[0]));
		assert_true(books_balance(line, (enum account_kind)k, true) == (i128)(sums[3] - sums[2]));
		for (unsigned i = 0; i < BOOKS_SUMS && kind_is_sliced(k); i++)
			assert_true(line->sums[k][i] == sums[i]);
	}
}

/* The books before the frame with this number. */
static void books_compare(struct play *play, struct footers *footers, size_t frames)
{
	struct world *then = world_replay(play->world, play->world->shard_count, frames);
	for (unsigned t = 0; t < 3; t++) {
		struct books books;
		assert_int_equal(footers_books(footers, str_of(tenants[t]), play->lsns[frames], &books), PAST_DONE);
		line_compare(then, &books, str_of(tenants[t]), STR("points"));
		line_compare(then, &books, str_of(tenants[t]), STR("stamps"));
		books_free(&books);
	}
	world_free(then);
}

static void moment_compare(struct play *play, struct footers *footers, int64_t time_ms)
{
	struct moment moment = { .time_ms = time_ms, .by_time = true };
	size_t frames = 0;
	while (frames < play->world->frame_count && play->times[frames] <= time_ms)
		frames++;
	assert_int_equal(footers_moment(footers, &moment), PAST_DONE);
	/* Between two of the world's frames there may be filler. */
	assert_true(moment.lsn <= play->lsns[frames] && (!frames || moment.lsn > play->lsns[frames - 1]));
	assert_true(moment.time_ms <= time_ms);
}

static void files_read(const struct play *play, uint64_t from, struct buf *out)
{
	struct buf error = { 0 };
	uint64_t *ends;
	size_t count;
	out->len = 0;
	assert_true(footer_list(play->footers, &ends, &count, &error));
	for (size_t i = 0; i < count; i++) {
		char name[FOOTER_NAME], path[160];
		if (ends[i] <= from)
			continue;
		footer_name(name, ends[i]);
		snprintf(path, sizeof path, "%s/%s", play->footers, name);
		FILE *file = fopen(path, "r");
		assert_non_null(file);
		buf_room(out, 1 << 20);
		out->len += fread(out->ptr + out->len, 1, 1 << 20, file);
		fclose(file);
	}
	mem_free(ends);
}

static void footer_flip(const struct play *play, uint64_t end, off_t at)
{
	char name[FOOTER_NAME], path[160];
	unsigned char byte = 0;
	footer_name(name, end);
	snprintf(path, sizeof path, "%s/%s", play->footers, name);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* ---- tests ------------------------------------------------------------------------------------------------------------ */

static void as_of_is_a_replay_up_to_there(void **state)
{
	static const unsigned shard_counts[] = { 1, 4, 3, 8 };
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct play play;
		play_begin(&play, seed, shard_counts[seed % 4]);
		struct footers *footers = footers_begin(&play);
		assert_true(footers_lsn(footers) >= 3 * SEGMENT && footers_lsn(footers) + SEGMENT > wal_durable(play.wal));
		for (unsigned i = 0; i < LOOKS; i++)
			books_compare(&play, footers, (size_t)chance(&play, play.world->frame_count + 1));
		for (unsigned i = 0; i < 10 * LOOKS; i++) {
			struct moment moment = { .lsn = play.lsns[chance(&play, play.world->frame_count)] };
			uint64_t lsn = moment.lsn;
			assert_int_equal(footers_moment(footers, &moment), PAST_DONE);
			assert_int_equal(moment.lsn, lsn);
			moment_compare(&play, footers, play.times[chance(&play, play.world->frame_count)] - (int64_t)chance(&play, 3));
		}
		footers_close(footers);
		play_end(&play);
	}
}

static void lost_and_damaged_ones_come_back(void **state)
{
	struct play play;
	struct buf before = { 0 }, after = { 0 }, error = { 0 };
	uint64_t *ends;
	size_t count;
	(void)state;
	play_begin(&play, 11, 4);
	footers_close(footers_begin(&play));
	files_read(&play, 0, &before);
	assert_true(footer_list(play.footers, &ends, &count, &error) && count >= 4);
	for (unsigned round = 0; round < 8; round++) {
		for (size_t i = 0; i < count; i++)
			if (round == 0 || chance(&play, 2)) {
				if (round % 2)
					footer_flip(&play, ends[i], (off_t)chance(&play, 120));
				else
					footer_remove(play.footers, ends[i]);
			}
		footers_close(footers_begin(&play));
		files_read(&play, 0, &after);
		assert_int_equal(before.len, after.len);
		assert_memory_equal(before.ptr, after.ptr, before.len);
	}
	/* With the first segments gone they are made backward, from those behind or from what was recovered. */
	struct footers *footers = footers_begin(&play);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(wal_drop_oldest(play.wal, ends[1]), 0);
		footers_forget(footers, wal_first(play.wal));
	}
	assert_int_equal(wal_drop_oldest(play.wal, ends[1]), ENOENT);
	assert_int_equal(wal_first(play.wal), ends[1]);
	footers_close(footers);
	uint64_t first = ends[1];
	files_read(&play, first, &before);
	for (unsigned round = 0; round < 4; round++) {
		for (size_t i = 1; i < count; i++)
			if (round == 0 || i < 3 || chance(&play, 3) == 0)
				footer_remove(play.footers, ends[i]);
		footers = footers_begin(&play);
		files_read(&play, first, &after);
		assert_int_equal(footers_lsn(footers), ends[count - 1]);
		for (unsigned i = 0; i < LOOKS / 2; i++) {
			size_t frames = (size_t)chance(&play, play.world->frame_count + 1);
			if (play.lsns[frames] >= first) {
				books_compare(&play, footers, frames);
				continue;
			}
			struct books books;
			struct moment moment = { .lsn = play.lsns[frames] };
			assert_int_equal(footers_moment(footers, &moment), PAST_PRUNED);
			assert_int_equal(footers_books(footers, STR("north"), play.lsns[frames], &books), PAST_PRUNED);
			books_free(&books);
		}
		footers_close(footers);
	}
	mem_free(ends);
	buf_free(&before);
	buf_free(&after);
	play_end(&play);
}

/* The tail may come to make them when the log has gone on from where the sums were taken, by segments. */
static void a_log_that_grows_meanwhile_is_told_as_it_is(void **state)
{
	struct play play;
	struct books books;
	struct buf error = { 0 };
	uint64_t *ends, first, recovered;
	size_t count;
	(void)state;
	play_begin(&play, 12, 4);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(wal_drop_oldest(play.wal, wal_durable(play.wal)), 0);
	first = wal_first(play.wal);
	recovered = wal_durable(play.wal);
	struct footers *footers = footers_recovered(&play);
	work(&play, WORK);
	wal_fill(&play);
	footers_rest(footers);
	assert_true(footers_lsn(footers) >= recovered + SEGMENT && footers_lsn(footers) + SEGMENT > wal_durable(play.wal));
	for (unsigned i = 0; i < LOOKS; i++) {
		size_t frames = (size_t)chance(&play, play.world->frame_count + 1);
		if (play.lsns[frames] >= first)
			books_compare(&play, footers, frames);
	}
	/* Where the log no longer reaches back to what was recovered, and none is whole, none is made up. */
	while (wal_first(play.wal) <= recovered)
		assert_int_equal(wal_drop_oldest(play.wal, wal_durable(play.wal)), 0);
	footers_forget(footers, wal_first(play.wal));
	assert_true(footer_list(play.footers, &ends, &count, &error) && count > 0);
	for (size_t i = 0; i < count; i++)
		footer_flip(&play, ends[i], 40);
	assert_int_not_equal(footers_books(footers, STR("north"), wal_durable(play.wal), &books), PAST_DONE);
	books_free(&books);
	footers_rest(footers);
	assert_int_equal(footers_lsn(footers), 0);
	footers_close(footers);
	mem_free(ends);
	buf_free(&error);
	play_end(&play);
}

static void every_flipped_byte_is_found(void **state)
{
	struct books_names *names = books_names_new();
	struct books books;
	struct footer footer = { .begin = 65536, .end = 131072, .first_time_ms = 7, .time_ms = 9, .frames = 3, .records = 12 }, read;
	struct footer_mark mark = { 70000, 8 };
	struct buf bytes = { 0 }, again = { 0 }, error = { 0 };
	(void)state;
	books_init(&books, names, BOOKS_ALL);
	books_line(&books, books_book(names, STR("north"), STR("points")))->sums[ACCOUNT_LIABILITY][BOOKS_DEBITS] = 17;
	*books_row(&books, books_tenant(names, STR("north"))) = (struct books_row){ 1, 2, 3, 65600, 70000 };
	buf_bytes(&footer.marks, &mark, sizeof mark);
	footer_encode(&footer, &books, &bytes);
	books_free(&books);
	books_init(&books, names, BOOKS_ALL);
	assert_true(footer_decode(bytes.ptr, bytes.len, &read, &books, &error));
	books.rows[0].others = 3;
	footer_encode(&read, &books, &again);
	assert_int_equal(bytes.len, again.len);
	assert_memory_equal(bytes.ptr, again.ptr, bytes.len);
	footer_free(&read);
	for (size_t i = 0; i < bytes.len; i++) {
		bytes.ptr[i] ^= 16;
		assert_false(footer_decode(bytes.ptr, bytes.len, &read, NULL, &error));
		bytes.ptr[i] ^= 16;
		assert_false(footer_decode(bytes.ptr, i, &read, NULL, &error));
	}
	assert_true(error.len > 0);
	footer_free(&footer);
	books_free(&books);
	books_names_free(names);
	buf_free(&bytes);
	buf_free(&again);
	buf_free(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_of_is_a_replay_up_to_there),
		cmocka_unit_test(lost_and_damaged_ones_come_back),
		cmocka_unit_test(a_log_that_grows_meanwhile_is_told_as_it_is),
		cmocka_unit_test(every_flipped_byte_is_found),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
