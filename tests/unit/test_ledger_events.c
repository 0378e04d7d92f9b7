// SPDX-License-Identifier: Apache-2.0
/* test_ledger_events.c - rules earn and burn through the ledger: a member's points are one account, whether events move
 * them or transfers do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "engine/base/mem.h"
#include "tests/model/world.h"

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))
#define NORTH STR("north")
#define POINTS STR("points")

static const unsigned shard_counts[] = { 1, 2, 4 };
static uint64_t id_counter;

static u128 id_new(void)
{
	uint64_t number = ++id_counter;
	return u128_of(number * UINT64_C(0x9E3779B97F4A7C15) >> 2, number);
}

static const char *name_of(enum refusal refusal)
{
	return refusal ? refusal_find(refusal)->name : "done";
}

static struct transfer_row move(u128 debit, u128 credit, uint64_t amount)
{
	return (struct transfer_row){ .id = id_new(), .debit = debit, .credit = credit, .amount = amount, .code = 1 };
}

static struct transfer_row end_of(u128 pending, unsigned flags)
{
	return (struct transfer_row){ .id = id_new(), .debit = pending, .flags = (uint16_t)flags };
}

static struct account_view view_of(struct world *world, u128 id)
{
	struct account_view view = { .id = id };
	world_lookup(world, &view, 1, NULL);
	return view;
}

static void audit(struct world *world)
{
	struct buf why = { 0 };
	if (!world_audit(world, &why))
		fail_msg("%s", why.ptr);
	buf_free(&why);
}

enum { MEMBERS = 6, EVENTS_MAX = 20, EVENT_ROUNDS = 150 };

struct shop {
	struct world *world;
	struct model *model;
	uint64_t seed;
	u128 liability, redeemed, wallets[MEMBERS], holds[8];
	unsigned event_count;
};

static const char *const profiles[MEMBERS] = { "ann", "ben", "cleo", "dan", "eve", "finn" };

static void shop_events(struct shop *shop)
{
	struct world_event events[EVENTS_MAX];
	char ids[EVENTS_MAX][16];
	unsigned count = 1 + (unsigned)world_chance(&shop->seed, EVENTS_MAX);
	bool good[EVENTS_MAX];
	int64_t balances[EVENTS_MAX];
	for (unsigned i = 0; i < count; i++) {
		unsigned member = (unsigned)world_chance(&shop->seed, MEMBERS);
		bool earn = world_chance(&shop->seed, 5) < 3;
		snprintf(ids[i], sizeof ids[i], "e-%u", shop->event_count++);
		events[i] = (struct world_event){ .tenant = "north",
						  .profile = profiles[member],
						  .type = earn ? "EARN" : "BURN",
						  .id = ids[i],
						  .points = 1 + world_chance(&shop->seed, 60) };
		good[i] = earn ? model_earn(shop->model, NORTH, str_of(profiles[member]), events[i].points)
			       : model_burn(shop->model, NORTH, str_of(profiles[member]), events[i].points);
		const struct model_account *wallet = model_account_find(shop->model, shop->wallets[member]);
		balances[i] = wallet ? (int64_t)((i128)wallet->credits_posted - (i128)wallet->debits_posted) : 0;
	}
	world_events(shop->world, events, count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(events[i].result, ROW_DONE);
		assert_int_equal(events[i].good, good[i]);
		assert_int_equal(events[i].balance, balances[i]);
	}
}

static void shop_transfers(struct shop *shop)
{
	enum { ROWS = 12 };
	struct transfer_row rows[ROWS];
	struct model_reply got[ROWS], wanted[ROWS];
	uint32_t count = 1 + (uint32_t)world_chance(&shop->seed, ROWS);
	for (uint32_t i = 0; i < count; i++) {
		u128 wallet = shop->wallets[world_chance(&shop->seed, MEMBERS)];
		u128 other = shop->wallets[world_chance(&shop->seed, MEMBERS)];
		uint64_t amount = 1 + world_chance(&shop->seed, 50);
		unsigned hold = (unsigned)world_chance(&shop->seed, COUNT_OF(shop->holds));
		switch (world_chance(&shop->seed, 5)) {
		case 0: rows[i] = move(shop->liability, wallet, amount); break;
		case 1: rows[i] = move(wallet, shop->redeemed, amount); break;
		case 2: rows[i] = move(wallet, other, amount); break;
		case 3:
			rows[i] = move(wallet, shop->redeemed, amount);
			rows[i].flags = TRANSFER_PENDING;
			shop->holds[hold] = rows[i].id;
			break;
		default: rows[i] = end_of(shop->holds[hold], amount & 1 ? TRANSFER_POST : TRANSFER_VOID); break;
		}
	}
	model_transfers(shop->model, (const unsigned char *)rows, count, shop->world->now_ms, wanted);
	world_transfers(shop->world, (const unsigned char *)rows, count, true, got);
	for (uint32_t i = 0; i < count; i++) {
		if (got[i].refusal != wanted[i].refusal)
			fail_msg("%u shards: %s, model %s", shop->world->shard_count, name_of(got[i].refusal),
				 name_of(wanted[i].refusal));
		if (!got[i].refusal)
			assert_memory_equal(got[i].balances, wanted[i].balances, sizeof got[i].balances);
	}
}

static void shop_compare(struct shop *shop, struct world *world)
{
	struct ledger_request book;
	u128 sums[ACCOUNT_KINDS][4];
	uint64_t counts[ACCOUNT_KINDS];
	for (unsigned m = 0; m < MEMBERS; m++) {
		const struct model_account *wallet = model_account_find(shop->model, shop->wallets[m]);
		struct account_view view = view_of(world, shop->wallets[m]);
		int64_t points;
		assert_int_equal(view.found, wallet != NULL);
		if (!wallet)
			continue;
		assert_true(view.debits_posted == wallet->debits_posted &&
			    view.credits_posted == wallet->credits_posted &&
			    view.debits_pending == wallet->debits_pending && view.kind == ACCOUNT_MEMBER);
		if (world_member(world, "north", profiles[m], &points))
			assert_true(points == (int64_t)((i128)view.credits_posted - (i128)view.debits_posted));
	}
	assert_true(model_book(shop->model, NORTH, POINTS, sums, counts));
	assert_true(world_book(world, NORTH, POINTS, &book));
	assert_memory_equal(book.sums, sums, sizeof sums);
	assert_int_equal(book.accounts[ACCOUNT_MEMBER], counts[ACCOUNT_MEMBER]);
}

/* Points of a member are one account, whether rules move them or transfers do. */
static void events_use_the_ledger(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct shop shop = { .world = world_new(shard_counts[s], 5), .model = model_new(), .seed = 17 + s };
		struct account_spec specs[] = {
			{ .tenant = NORTH, .unit = POINTS, .kind = ACCOUNT_LIABILITY },
			{ .tenant = NORTH, .unit = POINTS, .kind = ACCOUNT_REDEEMED, .id = 4711 },
			{ .tenant = NORTH, .unit = POINTS, .kind = ACCOUNT_MEMBER, .member = str_of(profiles[0]) }
		};
		shop.world->wait_one_in = 8;
		shop.world->files_one_in = 40;
		world_event_type(shop.world, "north", "EARN", "[{'type':'earn_points','from_payload':'points'}]");
		world_event_type(shop.world, "north", "BURN", "[{'type':'burn_points','from_payload':'points'}]");
		for (unsigned m = 0; m < MEMBERS; m++)
			shop.wallets[m] = account_id_of_member(NORTH, str_of(profiles[m]), STR("default"), POINTS);
		for (unsigned i = 0; i < COUNT_OF(shop.holds); i++)
			shop.holds[i] = id_new();
		shop_events(&shop);    /* some before anybody named an account */
		world_accounts(shop.world, specs, COUNT_OF(specs));
		for (unsigned i = 0; i < COUNT_OF(specs); i++) {
			enum refusal got = specs[i].refusal;
			if (!i || i == 2)
				specs[i].id = 0;
			model_account_create(shop.model, &specs[i]);
			assert_int_equal(got, specs[i].refusal);
		}
		shop.liability = specs[0].id;
		shop.redeemed = specs[1].id;
		for (unsigned round = 0; round < EVENT_ROUNDS; round++) {
			shop_events(&shop);
			shop_transfers(&shop);
			shop.world->now_ms += 10;
		}
		shop_compare(&shop, shop.world);
		audit(shop.world);
		for (unsigned i = 0; i < COUNT_OF(shard_counts); i++) {
			struct world *again = world_replay(shop.world, shard_counts[i], shop.world->frame_count);
			struct buf dumps[2] = { { 0 }, { 0 } };
			shop_compare(&shop, again);
			world_dump(shop.world, &dumps[0]);
			world_dump(again, &dumps[1]);
			assert_string_equal(dumps[0].ptr, dumps[1].ptr);
			buf_free(&dumps[0]);
			buf_free(&dumps[1]);
			world_free(again);
		}
		world_free(shop.world);
		model_free(shop.model);
	}
}

/* ---- ids that leave memory while others wait for them --------------------------------------------------------------------- */

enum { BATCHES = 10, BATCH_ROWS = 6, ID_ROUNDS = 120, NEW_IDS = 8, IDS_MAX = ID_ROUNDS * NEW_IDS };

struct crowd {
	struct batch batches[BATCHES];
	struct row rows[BATCHES][BATCH_ROWS];
	unsigned numbers[BATCHES][BATCH_ROWS];
	char ids[IDS_MAX][16];
	unsigned done[IDS_MAX];        /* how often each id's event happened */
};

static void crowd_row(struct crowd *crowd, unsigned batch, unsigned index, unsigned number, yyjson_val *payload)
{
	static const char *const members[] = { "ann", "ben", "cleo", "dora", "eve" };
	struct row *row = &crowd->rows[batch][index];
	crowd->numbers[batch][index] = number;
	*row = (struct row){ .kind = ROW_EVENT, .tenant = NORTH, .profile = str_of(members[number % COUNT_OF(members)]), .type = STR("BUY"), .id = str_of(crowd->ids[number]),
			     .payload = payload, .payload_text = STR("{}") };
	row_place(row);
	row_content(row);
}

/* Many batches at once with the same ids, new ones and such that are on disk, while ids move there all the time. */
static void each_id_once(unsigned shards, uint64_t seed, struct crowd *crowd, yyjson_val *payload)
{
	struct world *world = world_new(shards, seed);
	world_event_type(world, "north", "BUY", "[{'type':'earn_points','points':1}]");
	world->files_one_in = 1;
	*crowd = (struct crowd){ 0 };
	for (unsigned round = 0; round < ID_ROUNDS; round++) {
		void *owners[BATCHES];
		for (unsigned n = round * NEW_IDS; n < (round + 1) * NEW_IDS; n++)
			snprintf(crowd->ids[n], sizeof crowd->ids[n], "e-%u", n);
		for (unsigned b = 0; b < BATCHES; b++) {
			for (unsigned r = 0; r < BATCH_ROWS; r++) {
				unsigned number = round * NEW_IDS + (unsigned)world_chance(&seed, NEW_IDS);
				if (r > 3 && round)
					number = (unsigned)world_chance(&seed, round * NEW_IDS);
				crowd_row(crowd, b, r, number, payload);
			}
			crowd->batches[b] = (struct batch){ .rows = crowd->rows[b], .row_count = BATCH_ROWS };
			batch_init(&crowd->batches[b], world->shard_count);
			batch_start(&crowd->batches[b], &world->env);
			owners[b] = &crowd->batches[b];
		}
		world_run(world, owners, BATCHES);
		for (unsigned b = 0; b < BATCHES; b++) {
			for (unsigned r = 0; r < BATCH_ROWS; r++) {
				assert_true(crowd->rows[b][r].result == ROW_DONE || crowd->rows[b][r].result == ROW_KNOWN);
				crowd->done[crowd->numbers[b][r]] += crowd->rows[b][r].result == ROW_DONE;
			}
			batch_free(&crowd->batches[b]);
		}
	}
	for (unsigned n = 0; n < IDS_MAX; n++)
		assert_true(crowd->done[n] <= 1);
	world_free(world);
}

static void ids_happen_once_while_they_move(void **unused)
{
	(void)unused;
	yyjson_doc *doc = yyjson_read("{}", 2, 0);
	struct crowd *crowd = mem_alloc(sizeof *crowd);
	for (uint64_t seed = 0; seed < 40; seed++)
		each_id_once(seed % 2 ? 4 : 2, seed, crowd, yyjson_doc_get_root(doc));
	mem_free(crowd);
	yyjson_doc_free(doc);
}

/* Whatever a shard answers by a new configuration, a refusal as well, waits until that is durable (law L2). */
static void a_configuration_is_waited_for(void **state)
{
	(void)state;
	for (size_t c = 0; c < COUNT_OF(shard_counts); c++) {
		struct world *world = world_new(shard_counts[c], 5);
		for (unsigned change = 0; change < 4; change++) {
			char key[8];
			snprintf(key, sizeof key, "T%u", change);
			world_event_type(world, "north", key, "[{'type':'earn_points','points':1}]");
			for (unsigned s = 0; s < shard_counts[c]; s++)
				assert_true(world->shards[s].appended_lsn >= world_end(world));
		}
		world_free(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_is_waited_for),
		cmocka_unit_test(events_use_the_ledger),
		cmocka_unit_test(ids_happen_once_while_they_move),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
