// SPDX-License-Identifier: Apache-2.0
/* test_ledger_random.c - the ledger against the naive model: random accounts, transfers, clocks and restarts.
 *
 * Few accounts and few ids, so that rows collide: repeats with the same and with other content, chains, pending
 * transfers that are posted, voided and run out, accounts that close.  After every batch every reply, every balance and
 * every book is compared; now and then the log is replayed into another number of shards, which must be the same state,
 * and the run goes on there.
 *
 * STEPS: rows in total.  SEED: only the run with this seed, and other batches side by side.  A failure names its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/ledger/record.h"
#include "tests/model/world.h"
#include "tests/model/world_ids.h"

enum {
	STEPS_DEFAULT = 1000000,
	ROWS_A_RUN = 20000,
	BATCH_MAX = 600,
	HISTORY = 512,
	BOOKS = 4,
	PLACES = 30,
	PLACES_EARLY = 27,
	REPLAY_EVERY = 5000,
	TOGETHER = 5
};

static const char *const tenants[] = { "north", "south" }, *const units[] = { "points", "stamps" };
static const unsigned shard_counts[] = { 1, 2, 4 };

struct game {
	struct world *world;
	struct model *model;
	uint64_t first_seed, seed;
	struct account_spec places[PLACES];    /* what the accounts are to be */
	u128 ids[PLACES];              /* their ids, also of derived ones */
	struct transfer_row history[HISTORY];
	unsigned history_count;
	uint32_t last_count;           /* rows of the last batch */
	unsigned char rows[BATCH_MAX * ROW_BYTES];
	struct model_reply got[BATCH_MAX], wanted[BATCH_MAX];
};

static uint64_t chance(struct game *game, uint64_t below)
{
	return world_chance(&game->seed, below);
}

static bool one_in(struct game *game, uint64_t count)
{
	return chance(game, count) == 0;
}

static u128 id_random(struct game *game)
{
	uint64_t high = chance(game, UINT64_MAX) >> 1, low = chance(game, UINT64_MAX);
	return u128_of(high, low | 1);
}

#define CHECK(good, ...) \
	do { \
		if (!(good)) { \
			print_error("seed %llu, %u shards: ", (unsigned long long)game->first_seed, \
				    game->world->shard_count); \
			print_error(__VA_ARGS__); \
			fail_msg("%s", #good); \
		} \
	} while (0)

static const char *name_of(enum refusal refusal)
{
	return refusal ? refusal_find(refusal)->name : "done";
}

/* ---- accounts --------------------------------------------------------------------------------------------------- */

static const struct place_kind {
	enum account_kind kind;
	bool derived, has_floor, has_ceiling;
	int64_t floor, ceiling;
} place_kinds[] = {
	{ ACCOUNT_LIABILITY, .derived = true },
	{ ACCOUNT_REDEEMED, .derived = false },
	{ ACCOUNT_RAW, .derived = false },
	{ ACCOUNT_MEMBER, .derived = true },
	{ ACCOUNT_MEMBER, .derived = false },
	{ ACCOUNT_RAW, .has_floor = true, .floor = -500 },
	{ ACCOUNT_RAW, .has_ceiling = true, .ceiling = 700 },
	{ ACCOUNT_MEMBER, .derived = true, .has_ceiling = true, .ceiling = 300 },
	{ ACCOUNT_RAW, .has_floor = true, .floor = 40, .has_ceiling = true, .ceiling = 400 },
	{ ACCOUNT_RAW, .derived = false },
};

static void places_make(struct game *game)
{
	static char names[PLACES][12];
	for (unsigned i = 0; i < PLACES; i++) {
		unsigned known = sizeof place_kinds / sizeof *place_kinds,
			 book = i < 14 ? 0 : (unsigned)chance(game, BOOKS);
		const struct place_kind *kind = &place_kinds[i < known ? i : chance(game, known)];
		struct account_spec *spec = &game->places[i];
		*spec = (struct account_spec){ .tenant = str_of(tenants[book & 1]), .unit = str_of(units[book >> 1]),
					       .kind = kind->kind, .has_floor = kind->has_floor, .floor = kind->floor,
					       .has_ceiling = kind->has_ceiling, .ceiling = kind->ceiling };
		snprintf(names[i], sizeof names[i], "m-%u", i);
		if (kind->derived && kind->kind == ACCOUNT_MEMBER)
			spec->member = str_of(names[i]);
		if (!kind->derived)
			spec->id = id_random(game);
		game->ids[i] = kind->derived && kind->kind != ACCOUNT_MEMBER
				       ? account_id_of_sliced(spec->tenant, spec->kind, spec->unit)
			       : kind->derived
				       ? account_id_of_member(spec->tenant, spec->member, STR("default"), spec->unit)
				       : spec->id;
	}
}

static void spec_spoil(struct game *game, struct account_spec *spec)
{
	switch (chance(game, 10)) {
	case 0: spec->tenant = str_of(tenants[chance(game, 2)]); break;
	case 1: spec->unit = str_of(units[chance(game, 2)]); break;
	case 2: spec->kind = (enum account_kind)chance(game, ACCOUNT_KINDS); break;
	case 3: spec->has_floor = true; spec->floor = (int64_t)chance(game, 100) - 50; break;
	case 4: spec->has_ceiling = true; spec->ceiling = (int64_t)chance(game, 100) - 50; break;
	case 5: spec->flags = ACCOUNT_CLOSED; break;
	case 6: spec->flags = (uint16_t)(2u << chance(game, 15)); break;
	case 7: spec->id = one_in(game, 2) ? 0 : U128_MAX; break;
	case 8: spec->id = u128_of(ACCOUNT_ID_TAG << 48, 7); break;
	default: spec->id = game->ids[chance(game, PLACES)]; break;
	}
	if (spec->id == 0 && spec->kind == ACCOUNT_RAW)
		spec->member.len = 0;
}

static void specs_compare(struct game *game, const struct account_spec *got, const struct account_spec *wanted,
			  unsigned count, const char *what)
{
	for (unsigned i = 0; i < count; i++) {
		CHECK(got[i].refusal == wanted[i].refusal, "%s %u of %u: %s, model %s (kind %u, flags %u)\n", what, i,
		      count, name_of(got[i].refusal), name_of(wanted[i].refusal), (unsigned)got[i].kind,
		      (unsigned)got[i].flags);
		if (!got[i].refusal)
			CHECK(got[i].existed == wanted[i].existed && got[i].id == wanted[i].id,
			      "%s %u of %u: existed %d, %d\n", what, i, count, got[i].existed, wanted[i].existed);
	}
}

static void accounts_step(struct game *game, unsigned first, unsigned count, bool spoil)
{
	struct account_spec got[PLACES], wanted[PLACES];
	for (unsigned i = 0; i < count; i++) {
		got[i] = game->places[spoil ? chance(game, PLACES) : first + i];
		if (spoil && one_in(game, 2))
			spec_spoil(game, &got[i]);
		wanted[i] = got[i];
		model_account_create(game->model, &wanted[i]);
	}
	world_accounts(game->world, got, count);
	specs_compare(game, got, wanted, count, "account");
}

static void close_step(struct game *game)
{
	struct account_spec got[4], wanted[4];
	unsigned count = 1 + (unsigned)chance(game, 4);
	for (unsigned i = 0; i < count; i++) {
		got[i] = (struct account_spec){ .id = game->ids[chance(game, PLACES)],
						.flags = one_in(game, 3) ? ACCOUNT_CLOSED : 0 };
		if (one_in(game, 20))
			got[i].id = one_in(game, 2) ? id_random(game) : one_in(game, 2) ? 0 : U128_MAX;
		if (one_in(game, 40))
			got[i].flags = 4;
		wanted[i] = got[i];
		model_account_close(game->model, &wanted[i]);
		wanted[i].existed = false;
	}
	world_close(game->world, got, count);
	for (unsigned i = 0; i < count; i++)
		got[i].existed = false;
	specs_compare(game, got, wanted, count, "closing");
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static u128 account_random(struct game *game, unsigned book_of)
{
	for (unsigned tries = 0; tries < 40; tries++) {
		unsigned i = (unsigned)chance(game, PLACES);
		if (str_eq(game->places[i].tenant, game->places[book_of].tenant) &&
		    str_eq(game->places[i].unit, game->places[book_of].unit))
			return game->ids[i];
	}
	return game->ids[chance(game, PLACES)];
}

static uint64_t amount_random(struct game *game)
{
	static const uint64_t edges[] = { 0, 0, 0, 1, 300, 500, 700, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX };
	if (one_in(game, 60))
		return edges[chance(game, sizeof edges / sizeof *edges)];
	return 1 + chance(game, one_in(game, 5) ? 400 : 40);
}

static u128 pending_random(struct game *game)
{
	const struct model *model = game->model;
	if (model->open_count && !one_in(game, 4))
		return model->transfers[model->open[chance(game, model->open_count)]].row.id;
	if (game->history_count && !one_in(game, 8))
		return game->history[chance(game, game->history_count < HISTORY ? game->history_count : HISTORY)].id;
	return one_in(game, 4) ? 0 : one_in(game, 4) ? U128_MAX : id_random(game);
}

static void row_spoil(struct game *game, struct transfer_row *row)
{
	switch (chance(game, 9)) {
	case 0: row->flags ^= (uint16_t)(1u << chance(game, one_in(game, 4) ? 16 : 6)); break;
	case 1: row->debit = game->ids[chance(game, PLACES)]; break;
	case 2: row->credit = game->ids[chance(game, PLACES)]; break;
	case 3: row->amount = amount_random(game); break;
	case 4: row->code = (uint16_t)chance(game, 4); break;
	case 5: row->timeout = (uint32_t)chance(game, 3); break;
	case 6: row->debit = one_in(game, 3) ? id_random(game) : one_in(game, 2) ? 0 : U128_MAX; break;
	case 7: row->credit = one_in(game, 3) ? id_random(game) : one_in(game, 2) ? 0 : U128_MAX; break;
	default: row->id = one_in(game, 2) ? row->debit : one_in(game, 2) ? 0 : U128_MAX; break;
	}
}

static struct transfer_row row_random(struct game *game)
{
	struct transfer_row row = { .id = id_random(game), .code = (uint16_t)chance(game, 3) };
	unsigned what = (unsigned)chance(game, 100), place = (unsigned)chance(game, PLACES);
	if (game->history_count && one_in(game, 5)) {
		row = game->history[chance(game, game->history_count < HISTORY ? game->history_count : HISTORY)];
		if (one_in(game, 2))
			row_spoil(game, &row);
		return row;
	}
	if (what < 22) {
		const struct model_transfer *pending;
		row.debit = pending_random(game);
		row.flags = what < 14 ? TRANSFER_POST : TRANSFER_VOID;
		pending = model_transfer_find(game->model, row.debit);
		row.code = pending && !one_in(game, 10) ? one_in(game, 2) ? 0 : pending->row.code : row.code;
		row.amount = one_in(game, 2)		   ? 0
			     : !pending || one_in(game, 8) ? chance(game, 60)
			     : row.flags & TRANSFER_VOID   ? pending->amount
							   : 1 + chance(game, pending->amount ? pending->amount : 1);
	} else {
		row.debit = game->ids[place];
		row.credit = one_in(game, 25) ? game->ids[chance(game, PLACES)] : account_random(game, place);
		row.amount = amount_random(game);
		if (what < 48) {
			row.flags = TRANSFER_PENDING;
			row.timeout = one_in(game, 2)	 ? 0
				      : one_in(game, 50) ? UINT32_MAX
							 : 1 + (uint32_t)chance(game, 30);
		}
		if (what % 10 == 0)
			row.flags |= (uint16_t)(TRANSFER_BALANCING_DEBIT << chance(game, 2));
	}
	if (one_in(game, 40))
		row_spoil(game, &row);
	return row;
}

/* A row without flags; `local`: one side is a tenant account, so that one shard alone can decide it. */
static struct transfer_row row_plain(struct game *game, bool local)
{
	struct transfer_row row;
	unsigned tries = 0;
	do
		row = row_random(game);
	while (row.flags && ++tries < 40);
	row.flags = 0;
	for (unsigned i = 0; local && i < PLACES; i++) {
		const struct account_spec *place = &game->places[i];
		u128 *side = one_in(game, 2) ? &row.debit : &row.credit;
		if (kind_is_sliced(place->kind) && one_in(game, 3)) {
			*side = game->ids[i];
			break;
		}
	}
	return row;
}

static uint32_t rows_random(struct game *game, unsigned char *rows, uint32_t max)
{
	static const uint32_t sizes[] = { 1, 1, 2, 8, 8, 30, 100, BATCH_MAX };
	uint32_t size = sizes[chance(game, one_in(game, 6) ? 8 : 6)], count;
	bool chained = false, plain = one_in(game, 3), local = one_in(game, 2);
	size = size < max ? size : max;
	count = 1 + (uint32_t)chance(game, size);
	for (uint32_t i = 0; i < count; i++) {
		struct transfer_row row = plain ? row_plain(game, local) : row_random(game);
		chained = !plain && one_in(game, chained ? 2 : 9);
		row.flags &= (uint16_t)~TRANSFER_LINKED;
		if (chained && (i + 1 < count || one_in(game, 4)))
			row.flags |= TRANSFER_LINKED;
		memcpy(rows + (size_t)i * ROW_BYTES, &row, sizeof row);
		game->history[game->history_count++ % HISTORY] = row;
	}
	return count;
}

static bool ids_differ(const unsigned char *rows, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (row_load(rows + (size_t)i * ROW_BYTES).id == row_load(rows + (size_t)k * ROW_BYTES).id)
				return false;
	return true;
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

static void row_show(const struct transfer_row *row, const struct model_reply *got, const struct model_reply *wanted)
{
	print_error("id %016llx debit %016llx credit %016llx amount %llu code %u flags %u timeout %u: %s %lld %lld",
		    (unsigned long long)row->id, (unsigned long long)row->debit, (unsigned long long)row->credit,
		    (unsigned long long)row->amount, row->code, row->flags, row->timeout, name_of(got->refusal),
		    (long long)got->balances[0], (long long)got->balances[1]);
	print_error("; model %s %lld %lld\n", name_of(wanted->refusal),
		    (long long)wanted->balances[0], (long long)wanted->balances[1]);
}

static bool replies_equal(const struct model_reply *got, const struct model_reply *wanted)
{
	return got->refusal == wanted->refusal &&
	       (got->refusal || memcmp(got->balances, wanted->balances, sizeof got->balances) == 0);
}

static void replies_compare(struct game *game, const unsigned char *rows, uint32_t count, const struct model_reply *got,
			    const struct model_reply *wanted)
{
	for (uint32_t i = 0; i < count; i++) {
		if (replies_equal(&got[i], &wanted[i]))
			continue;
		print_error("seed %llu, %u shards, row %u of %u:\n", (unsigned long long)game->first_seed,
			    game->world->shard_count, i, count);
		for (uint32_t k = i > 6 ? i - 6 : 0; k <= i; k++) {
			struct transfer_row row = row_load(rows + (size_t)k * ROW_BYTES);
			row_show(&row, &got[k], &wanted[k]);
		}
		fail_msg("another reply than the model's");
	}
}

static void views_fill(struct game *game, struct account_view views[PLACES + 1])
{
	memset(views, 0, (PLACES + 1) * sizeof *views);
	for (unsigned i = 0; i < PLACES; i++)
		views[i].id = game->ids[i];
	views[PLACES].id = u128_of(1, 2);
}

/* Balances, limits and flags of every account. */
static void accounts_compare(struct game *game)
{
	struct account_view views[PLACES + 1];
	views_fill(game, views);
	world_lookup(game->world, views, PLACES + 1, NULL);
	for (unsigned i = 0; i <= PLACES; i++) {
		const struct account_view *view = &views[i];
		const struct model_account *account = model_account_find(game->model, view->id);
		CHECK(view->found == (account != NULL), "account %u: found %d\n", i, view->found);
		if (!account)
			continue;
		CHECK(view->kind == account->kind && view->flags == (account->closed ? ACCOUNT_CLOSED : 0) &&
			      view->floor == account->floor && view->ceiling == account->ceiling,
		      "account %u: kind %u flags %u %lld %lld\n", i, (unsigned)view->kind, view->flags,
		      (long long)view->floor, (long long)view->ceiling);
		CHECK(view->debits_posted == account->debits_posted &&
			      view->credits_posted == account->credits_posted &&
			      view->debits_pending == account->debits_pending &&
			      view->credits_pending == account->credits_pending,
		      "account %u: posted %lld %lld pending %lld %lld, model %lld %lld, %lld %lld\n", i,
		      (long long)view->debits_posted, (long long)view->credits_posted, (long long)view->debits_pending,
		      (long long)view->credits_pending, (long long)account->debits_posted,
		      (long long)account->credits_posted, (long long)account->debits_pending,
		      (long long)account->credits_pending);
	}
}

/* L3, and the sums of every kind. */
static void books_compare(struct game *game)
{
	for (unsigned b = 0; b < BOOKS; b++) {
		struct str tenant = str_of(tenants[b & 1]), unit = str_of(units[b >> 1]);
		struct ledger_request book;
		u128 sums[ACCOUNT_KINDS][4], total[4] = { 0 };
		uint64_t counts[ACCOUNT_KINDS];
		bool known = model_book(game->model, tenant, unit, sums, counts);
		CHECK(world_book(game->world, tenant, unit, &book) == known, "book %u is %s\n", b,
		      known ? "missing" : "there");
		for (unsigned kind = 0; known && kind < ACCOUNT_KINDS; kind++)
			for (unsigned s = 0; s < 4; s++)
				total[s] += book.sums[kind][s];
		CHECK(!known || (total[0] == total[1] && total[2] == total[3]),
		      "book %u: %lld %lld, pending %lld %lld\n", b, (long long)total[0], (long long)total[1],
		      (long long)total[2], (long long)total[3]);
		CHECK(!known || memcmp(sums, book.sums, sizeof sums) == 0, "book %u: other sums than the model's\n", b);
		CHECK(!known || (counts[ACCOUNT_RAW] == book.accounts[ACCOUNT_RAW] &&
				 counts[ACCOUNT_MEMBER] == book.accounts[ACCOUNT_MEMBER]),
		      "book %u: other counts\n", b);
	}
}

static void ids_compare(struct game *game)
{
	enum { COUNT = 12 };
	u128 ids[COUNT];
	uint64_t lsns[COUNT];
	uint8_t states[COUNT];
	unsigned known = game->history_count < HISTORY ? game->history_count : HISTORY;
	for (unsigned i = 0; i < COUNT; i++)
		ids[i] = known && i ? game->history[chance(game, known)].id : id_random(game);
	world_find(game->world, ids, lsns, states, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		const struct model_transfer *transfer = model_transfer_find(game->model, ids[i]);
		enum found_state wanted = transfer ? transfer->state : FOUND_NOTHING;
		bool due = wanted == FOUND_PENDING && transfer->expires_ms &&
			   transfer->expires_ms <= game->world->now_ms;
		CHECK(states[i] == wanted || (due && states[i] == FOUND_EXPIRED), "id %016llx: state %u, model %u\n",
		      (unsigned long long)ids[i], states[i], (unsigned)wanted);
		CHECK((lsns[i] != 0) == (wanted != FOUND_NOTHING), "id %016llx: LSN %llu\n", (unsigned long long)ids[i],
		      (unsigned long long)lsns[i]);
		if (!lsns[i])
			continue;
		const unsigned char *record = (unsigned char *)game->world->log.ptr + (lsns[i] - WORLD_FIRST_LSN);
		size_t len = (size_t)(world_end(game->world) - lsns[i]);
		struct transfer_view view;
		struct failed_record failed;
		u128 id = wanted == FOUND_FAILED ? failed_record_read(record, len, &failed) ? u128_load(failed.id) : 0
			: transfer_record_read(record, len, &view) ? u128_load(view.head.id) : 0;
		CHECK(id == ids[i], "the record at %llu is not of id %016llx\n", (unsigned long long)lsns[i],
		      (unsigned long long)ids[i]);
	}
}

static void audit_compare(struct game *game)
{
	struct buf why = { 0 };
	struct account_view views[PLACES + 1];
	uint32_t numbers[PLACES];
	u128 ids[PLACES];
	CHECK(world_audit(game->world, &why), "%s\n", why.ptr);
	views_fill(game, views);
	world_lookup(game->world, views, PLACES + 1, NULL);
	for (unsigned i = 0; i < PLACES; i++) {
		const struct audit_account *audited = world_audited(game->world, views[i].number);
		numbers[i] = views[i].number;
		if (!views[i].found || kind_is_sliced(views[i].kind))
			continue;
		CHECK(audited && audited->id == views[i].id, "account %u: number %u\n", i, views[i].number);
		CHECK(audited->debits_posted == views[i].debits_posted &&
			      audited->credits_posted == views[i].credits_posted &&
			      audited->debits_pending == views[i].debits_pending &&
			      audited->credits_pending == views[i].credits_pending &&
			      audited->last_lsn == views[i].last_lsn,
		      "account %u is not what its records say\n", i);
	}
	world_names(game->world, numbers, ids, PLACES);
	for (unsigned i = 0; i < PLACES; i++)
		if (views[i].found && !kind_is_sliced(views[i].kind))
			CHECK(ids[i] == views[i].id, "number %u has another id\n", numbers[i]);
	buf_free(&why);
}

static bool views_equal(const struct account_view *a, const struct account_view *b, const char *texts_a,
			const char *texts_b)
{
	const size_t at_a[] = { a->tenant_at, a->unit_at, a->member_at, a->program_at };
	const size_t at_b[] = { b->tenant_at, b->unit_at, b->member_at, b->program_at };
	const size_t len_a[] = { a->tenant_len, a->unit_len, a->member_len, a->program_len };
	const size_t len_b[] = { b->tenant_len, b->unit_len, b->member_len, b->program_len };
	for (unsigned i = 0; i < 4 && a->found; i++)
		if (!str_eq((struct str){ texts_a + at_a[i], len_a[i] }, (struct str){ texts_b + at_b[i], len_b[i] }))
			return false;
	return a->found == b->found && a->kind == b->kind && a->flags == b->flags && a->floor == b->floor &&
	       a->ceiling == b->ceiling && a->debits_posted == b->debits_posted &&
	       a->credits_posted == b->credits_posted && a->debits_pending == b->debits_pending &&
	       a->credits_pending == b->credits_pending && a->last_lsn == b->last_lsn &&
	       a->created_ms == b->created_ms && a->number == b->number;
}

static void dumps_compare(struct game *game, const char *got, const char *wanted)
{
	if (strcmp(got, wanted) == 0)
		return;
	size_t same = 0, line = 0;
	for (; got[same] == wanted[same]; same++)
		if (got[same] == '\n')
			line = same + 1;
	print_error("live:     %.*s\nreplayed: %.*s\n", (int)strcspn(wanted + line, "\n"), wanted + line,
		    (int)strcspn(got + line, "\n"), got + line);
	CHECK(false, "the replayed state is another\n");
}

/* L5: the log, replayed into another number of shards, is the same state.  Then the run may go on there. */
static void restart_step(struct game *game, bool stay)
{
	static const unsigned counts[] = { 1, 2, 3, 4, 8 };
	struct world *again = world_replay(game->world, counts[chance(game, 5)], game->world->frame_count);
	struct account_view views[2][PLACES + 1];
	struct buf texts[2], dumps[2] = { { 0 }, { 0 } };
	for (unsigned i = 0; i < 2; i++) {
		views_fill(game, views[i]);
		world_lookup(i ? again : game->world, views[i], PLACES + 1, &texts[i]);
		world_dump(i ? again : game->world, &dumps[i]);
	}
	for (unsigned i = 0; i <= PLACES; i++)
		CHECK(views_equal(&views[0][i], &views[1][i], texts[0].ptr, texts[1].ptr),
		      "account %u is another after replay\n", i);
	dumps_compare(game, dumps[1].ptr, dumps[0].ptr);
	CHECK(strlen(dumps[0].ptr) > 100, "an empty dump\n");
	for (unsigned i = 0; i < 2; i++) {
		buf_free(&texts[i]);
		buf_free(&dumps[i]);
	}
	struct world *gone = stay ? again : game->world;
	game->world = stay ? game->world : again;
	world_free(gone);
}

/* ---- the run ---------------------------------------------------------------------------------------------------- */

static uint64_t lookups_seen;          /* of ids that had moved out of memory */

static struct game *game_new(uint64_t seed, unsigned shard_count)
{
	struct game *game = mem_zalloc(sizeof *game);
	game->first_seed = game->seed = seed;
	game->world = world_new(shard_count, seed ^ UINT64_C(0xABCDEF));
	game->world->wait_one_in = 8;
	game->world->files_one_in = seed % 3 ? 60 : 0;
	if (seed & 8)                  /* small frames, so that a batch takes several */
		game->world->env.log_frame_max = 16 * 1024;
	game->model = model_new();
	places_make(game);
	accounts_step(game, 0, PLACES_EARLY, false);
	return game;
}

static void game_free(struct game *game)
{
	if (world_ids_filed(game->world->ids) > 200)
		lookups_seen += world_ids_lookups(game->world->ids);
	world_free(game->world);
	model_free(game->model);
	mem_free(game);
}

static void clock_step(struct game *game)
{
	game->world->now_ms += (int64_t)chance(game, 400);
	if (one_in(game, 12))
		game->world->now_ms += (int64_t)chance(game, 12000);
	if (one_in(game, 12) && game->model->open_count) {     /* to the very millisecond, or one before it */
		const struct model *model = game->model;
		int64_t at = model->transfers[model->open[chance(game, model->open_count)]].expires_ms -
			     (int64_t)chance(game, 2);
		if (at > game->world->now_ms && at < game->world->now_ms + 60000)
			game->world->now_ms = at;
	}
	if (one_in(game, 6)) {
		model_expire(game->model, game->world->now_ms);
		world_expire(game->world);
	}
}

static uint32_t transfers_step(struct game *game)
{
	bool same = game->last_count && one_in(game, 20);      /* all of the last batch, or its beginning, once more */
	uint32_t count = same ? 1 + (uint32_t)chance(game, game->last_count) : rows_random(game, game->rows, BATCH_MAX);
	bool tried = one_in(game, 16) && ids_differ(game->rows, count);
	static struct model_reply dry[BATCH_MAX];
	if (tried)
		world_dry_run(game->world, game->rows, count, dry);
	model_transfers(game->model, game->rows, count, game->world->now_ms, game->wanted);
	world_transfers(game->world, game->rows, count, true, game->got);
	game->last_count = count;
	replies_compare(game, game->rows, count, game->got, game->wanted);
	if (tried)
		replies_compare(game, game->rows, count, dry, game->wanted);
	return count;
}

static uint64_t number_from(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : fallback;
}

static void game_run(uint64_t seed, uint64_t rows)
{
	struct game *game = game_new(seed, shard_counts[seed % 3]);
	uint64_t replay_at = REPLAY_EVERY;
	for (uint64_t done = 0; done < rows;) {
		clock_step(game);
		if (one_in(game, 30))
			accounts_step(game, 0, 1 + (unsigned)chance(game, 4), true);
		if (one_in(game, 12))
			close_step(game);
		done += transfers_step(game);
		accounts_compare(game);
		books_compare(game);
		if (one_in(game, 10))
			ids_compare(game);
		if (done < replay_at)
			continue;
		audit_compare(game);
		restart_step(game, one_in(game, 2));
		replay_at += REPLAY_EVERY;
	}
	audit_compare(game);
	game_free(game);
}

static void like_the_model(void **unused)
{
	uint64_t steps = number_from("STEPS", STEPS_DEFAULT), only = number_from("SEED", 0);
	(void)unused;
	if (only) {
		game_run(only, ROWS_A_RUN);
		return;
	}
	for (uint64_t seed = 1, done = 0; done < steps; seed++, done += ROWS_A_RUN)
		game_run(seed, steps - done < ROWS_A_RUN ? steps - done : ROWS_A_RUN);
	assert_true(lookups_seen > 0);
}

/* ---- several batches in flight ---------------------------------------------------------------------------------- */

struct crowd {
	unsigned char rows[TOGETHER][BATCH_MAX * ROW_BYTES];
	struct model_reply first[TOGETHER][BATCH_MAX], again[TOGETHER][BATCH_MAX];
	const unsigned char *row_lists[TOGETHER];
	struct model_reply *reply_lists[TOGETHER];
	uint32_t counts[TOGETHER];
};

/* What was answered stands: who asks again hears the same. */
static void answers_stand(struct game *game, const struct crowd *crowd, unsigned request)
{
	const struct model_reply *first = crowd->first[request], *again = crowd->again[request];
	uint32_t count = crowd->counts[request];
	for (uint32_t start = 0, behind; start < count; start = behind) {
		bool failed = false, linked = true;
		for (behind = start; linked && behind < count; behind++) {
			linked = row_load(crowd->rows[request] + (size_t)behind * ROW_BYTES).flags & TRANSFER_LINKED;
			failed |= first[behind].refusal != REFUSAL_NONE;
		}
		for (uint32_t i = start; i < behind; i++) {
			struct transfer_row row = row_load(crowd->rows[request] + (size_t)i * ROW_BYTES);
			struct model_reply wanted = first[i];
			if (wanted.refusal && refusal_burns(wanted.refusal))
				wanted.refusal = REFUSED_ID_ALREADY_FAILED;
			/* In a chain that failed, another row may be the first to fail now; and an id that was left
			 * free may have been used by another request in the meantime. */
			bool free_since = wanted.refusal > REFUSED_OUTCOME_PRUNED;
			if (free_since || (failed && behind - start > 1) ? again[i].refusal != REFUSAL_NONE
									 : replies_equal(&again[i], &wanted))
				continue;
			row_show(&row, &again[i], &wanted);
			CHECK(false, "request %u, row %u of %u\n", request, i, count);
		}
	}
}

/* Batches that run at the same time have no order that a model could know, but the books balance, no limit is passed,
 * every id has one outcome, and the log says the same as the state. */
static void together_step(struct game *game, struct crowd *crowd)
{
	for (unsigned r = 0; r < TOGETHER; r++) {
		crowd->counts[r] = rows_random(game, crowd->rows[r], 60);
		for (uint32_t i = 0; r && one_in(game, 2) && i < crowd->counts[r] && i < crowd->counts[r - 1]; i++)
			if (one_in(game, 3)) { /* the same row in two requests at the same time, or nearly the same */
				struct transfer_row row = row_load(crowd->rows[r - 1] + (size_t)i * ROW_BYTES);
				row.flags &= (uint16_t)~TRANSFER_LINKED;
				row.amount += one_in(game, 6);
				memcpy(crowd->rows[r] + (size_t)i * ROW_BYTES, &row, sizeof row);
			}
		crowd->row_lists[r] = crowd->rows[r];
		crowd->reply_lists[r] = crowd->first[r];
	}
	world_transfers_together(game->world, TOGETHER, crowd->row_lists, crowd->counts, crowd->reply_lists);
	for (unsigned r = 0; r < TOGETHER; r++) {
		world_transfers(game->world, crowd->rows[r], crowd->counts[r], true, crowd->again[r]);
		answers_stand(game, crowd, r);
	}
}

static void books_balance(struct game *game, struct world *world)
{
	for (unsigned b = 0; b < BOOKS; b++) {
		struct ledger_request book;
		u128 total[4] = { 0 };
		if (!world_book(world, str_of(tenants[b & 1]), str_of(units[b >> 1]), &book))
			continue;
		for (unsigned kind = 0; kind < ACCOUNT_KINDS; kind++)
			for (unsigned s = 0; s < 4; s++)
				total[s] += book.sums[kind][s];
		CHECK(total[0] == total[1] && total[2] == total[3], "book %u: %lld %lld, pending %lld %lld\n", b,
		      (long long)total[0], (long long)total[1], (long long)total[2], (long long)total[3]);
	}
}

static void many_at_once(void **unused)
{
	struct crowd *crowd = mem_zalloc(sizeof *crowd);
	uint64_t base = 1000 + 100 * number_from("SEED", 0);
	(void)unused;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct game *game = game_new(base + seed, shard_counts[seed % 3]);
		for (unsigned round = 0; round < 60; round++) {
			game->world->now_ms += (int64_t)chance(game, 3000);
			if (one_in(game, 3))
				world_expire(game->world);
			together_step(game, crowd);
			books_balance(game, game->world);
		}
		audit_compare(game);
		restart_step(game, false);
		/* Whatever frame a crash leaves as the last one, the books balance. */
		for (unsigned i = 0; i < 8; i++) {
			struct world *cut = world_replay(game->world, shard_counts[i % 3],
							 chance(game, game->world->frame_count));
			books_balance(game, cut);
			world_free(cut);
		}
		game_free(game);
	}
	mem_free(crowd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(like_the_model),
		cmocka_unit_test(many_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
