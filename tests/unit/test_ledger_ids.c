// SPDX-License-Identifier: Apache-2.0
/* test_ledger_ids.c - an id has one outcome: repeats, ids that are used up, and ids whose hashes collide.
 *
 * The engine finds an id by 64 bits of XXH3 and then reads the record behind it.  Ids of 16 bytes with the same hash
 * are easily made by who knows the function, so they must be right, not only unlikely.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/ledger/ids.h"
#include "tests/model/world.h"
#include "tests/model/world_ids.h"

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

static const unsigned shard_counts[] = { 1, 2, 4 };
static uint64_t id_counter;

static u128 id_new(void)
{
	uint64_t number = ++id_counter;
	return u128_of(number * UINT64_C(0x9E3779B97F4A7C15) >> 2, number);
}

static u128 account_new(struct world *world, enum account_kind kind)
{
	struct account_spec spec = { .id = id_new(), .tenant = STR("north"), .unit = STR("points"), .kind = kind };
	world_accounts(world, &spec, 1);
	assert_int_equal(spec.refusal, REFUSAL_NONE);
	return spec.id;
}

static struct transfer_row move(u128 debit, u128 credit, uint64_t amount)
{
	return (struct transfer_row){ .id = id_new(), .debit = debit, .credit = credit, .amount = amount, .code = 1 };
}

static enum refusal send(struct world *world, struct transfer_row row)
{
	struct model_reply reply;
	world_transfers(world, (const unsigned char *)&row, 1, false, &reply);
	return reply.refusal;
}

static struct account_view view_of(struct world *world, u128 id)
{
	struct account_view view = { .id = id };
	world_lookup(world, &view, 1, NULL);
	assert_true(view.found);
	return view;
}

static int64_t balance_of(struct world *world, u128 id)
{
	struct account_view view = view_of(world, id);
	return (int64_t)((i128)view.credits_posted - (i128)view.debits_posted);
}

static void ids_have_one_outcome(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		u128 rich = account_new(world, ACCOUNT_RAW), other = account_new(world, ACCOUNT_RAW);
		u128 poor = account_new(world, ACCOUNT_MEMBER);
		struct transfer_row good = move(rich, other, 10), bad = move(poor, other, 10);
		struct transfer_row zero = move(rich, other, 0);
		/* Twice in one batch, done and refused; once more in the next. */
		struct transfer_row rows[] = { good, bad, good, bad, good };
		static const unsigned wanted[] = { 0, 44, 0, 25, 22 }, later[] = { 0, 25, 0, 25, 22 };
		struct model_reply replies[5];
		rows[4].amount = 11;
		for (unsigned again = 0; again < 2; again++) {
			world_transfers(world, (const unsigned char *)rows, 5, true, replies);
			for (unsigned i = 0; i < 5; i++)
				assert_int_equal(replies[i].refusal, again ? later[i] : wanted[i]);
			assert_int_equal(replies[2].balances[0], -10);
			assert_int_equal(replies[2].balances[1], 10);
		}
		/* A refusal for the content leaves the id free, one for the state does not, also when the state is
		 * another now. */
		assert_int_equal(send(world, zero), REFUSED_AMOUNT_MUST_NOT_BE_ZERO);
		zero.amount = 1;
		assert_int_equal(send(world, zero), REFUSAL_NONE);
		assert_int_equal(send(world, move(rich, poor, 100)), REFUSAL_NONE);
		assert_int_equal(send(world, bad), REFUSED_ID_ALREADY_FAILED);
		bad.credit = rich;
		bad.amount = 0;
		assert_int_equal(send(world, bad), REFUSED_AMOUNT_MUST_NOT_BE_ZERO);
		bad.amount = 1;
		assert_int_equal(send(world, bad), REFUSED_ID_ALREADY_FAILED);
		assert_int_equal(balance_of(world, other), 11);
		/* The same with the outcomes gone from the log: nothing is done again. */
		u128 ids[3] = { good.id, bad.id, id_new() };
		uint64_t lsns[3];
		uint8_t states[3];
		world_find(world, ids, lsns, states, 3);
		assert_int_equal(states[0], FOUND_TRANSFER);
		assert_int_equal(states[1], FOUND_FAILED);
		assert_int_equal(states[2], FOUND_NOTHING);
		world->pruned_lsn = world_end(world);
		assert_int_equal(send(world, good), REFUSED_OUTCOME_PRUNED);
		good.flags = TRANSFER_LINKED;
		rows[0] = good;
		rows[1] = move(rich, other, 1);
		world_transfers(world, (const unsigned char *)rows, 2, false, replies);
		assert_int_equal(replies[0].refusal, REFUSED_OUTCOME_PRUNED);
		assert_int_equal(replies[1].refusal, REFUSED_LINKED_EVENT_FAILED);
		assert_int_equal(balance_of(world, other), 11);
		world_free(world);
	}
}

/* Ids that moved to disk have the same answers, and when their records are gone what was asked for is still compared. */
static void filed_ids_outlive_their_records(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 7);
		u128 rich = account_new(world, ACCOUNT_RAW), other = account_new(world, ACCOUNT_RAW);
		u128 poor = account_new(world, ACCOUNT_MEMBER);
		struct transfer_row good = move(rich, other, 10), bad = move(poor, other, 10), hold = move(rich, other, 5);
		hold.flags = TRANSFER_PENDING;
		hold.code = 7;
		struct transfer_row post = { .id = id_new(), .debit = hold.id, .flags = TRANSFER_POST };
		assert_int_equal(send(world, good), REFUSAL_NONE);
		assert_int_equal(send(world, bad), REFUSED_EXCEEDS_FLOOR);
		assert_int_equal(send(world, hold), REFUSAL_NONE);
		assert_int_equal(send(world, post), REFUSAL_NONE);
		world->files_one_in = 1;
		while (world_ids_filed(world->ids) < 4 || world->shards[0].state.ids.total)
			send(world, move(rich, other, 0));
		world->files_one_in = 0;
		assert_int_equal(world_ids_filed(world->ids), 4);
		for (unsigned i = 0; i < shard_counts[s]; i++)
			assert_int_equal(world->shards[i].state.ids.total, 0);
		for (unsigned gone = 0; gone < 2; gone++) {
			struct transfer_row rows[3] = { good, bad, post };
			static const unsigned there[3] = { 0, REFUSED_ID_ALREADY_FAILED, 0 },
					      pruned[3] = { REFUSED_OUTCOME_PRUNED, REFUSED_ID_ALREADY_FAILED, REFUSED_OUTCOME_PRUNED };
			struct model_reply replies[3];
			world_transfers(world, (const unsigned char *)rows, 3, true, replies);
			for (unsigned i = 0; i < 3; i++)
				assert_int_equal(replies[i].refusal, (gone ? pruned : there)[i]);
			struct transfer_row changed = good;
			changed.amount = 11;
			assert_int_equal(send(world, changed), gone ? REFUSED_EXISTS_WITH_DIFFERENT_CONTENT : REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT);
			changed = good;
			changed.credit = rich;
			changed.debit = other;
			assert_int_equal(send(world, changed), gone ? REFUSED_EXISTS_WITH_DIFFERENT_CONTENT
								    : REFUSED_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID);
			/* A post may repeat its code as 0 or as it was. */
			changed = post;
			changed.code = 7;
			assert_int_equal(send(world, changed), gone ? REFUSED_OUTCOME_PRUNED : REFUSAL_NONE);
			changed.code = 8;
			assert_int_equal(send(world, changed), gone ? REFUSED_EXISTS_WITH_DIFFERENT_CONTENT
								    : REFUSED_EXISTS_WITH_DIFFERENT_CODE);
			/* Whether there was a transfer to be posted is known as well. */
			struct transfer_row end = { .id = id_new(), .debit = good.id, .flags = TRANSFER_VOID };
			assert_int_equal(send(world, end), REFUSED_PENDING_TRANSFER_NOT_PENDING);
			end.debit = id_new();
			assert_int_equal(send(world, end), REFUSED_PENDING_TRANSFER_NOT_FOUND);
			u128 ids[3] = { good.id, bad.id, id_new() };
			uint64_t lsns[3];
			uint8_t states[3];
			world_find(world, ids, lsns, states, 3);
			assert_int_equal(states[0], FOUND_TRANSFER);
			assert_int_equal(states[1], FOUND_FAILED);
			assert_int_equal(states[2], FOUND_NOTHING);
			/* A chain that names one stops at it. */
			rows[0] = move(rich, other, 1);
			rows[0].flags = TRANSFER_LINKED;
			rows[1] = good;
			world_transfers(world, (const unsigned char *)rows, 2, false, replies);
			assert_int_equal(replies[0].refusal, gone ? REFUSED_LINKED_EVENT_FAILED : REFUSAL_NONE);
			assert_int_equal(replies[1].refusal, gone ? REFUSED_OUTCOME_PRUNED : REFUSAL_NONE);
			assert_int_equal(balance_of(world, other), 10 + 5 + 1);
			world->pruned_lsn = world_end(world);
		}
		assert_true(world_ids_lookups(world->ids) > 10);
		world_free(world);
	}
}

/* known_compare reads the first outcome's record; another id there is a collision of hashes, no answer. */
static void forget(struct world *world, u128 id)
{
	uint64_t hash = id_hash_of_transfer(id);
	struct ids *ids = &world->shards[shard_of(partition_of(hash), world->shard_count)].state.ids;
	const struct table_entry *entry = ids_find(ids, hash, 0);
	assert_non_null(entry);
	ids_remove(ids, hash, entry->value);
	for (unsigned s = 0; s < world->shard_count; s++)
		world->shards[s].state.ids.forgets = true;
	world->pruned_lsn = world_end(world);
}

/* A forgotten id is as new, but for that of a hold that is still open: there cannot be two of one name.  Then it may be used again, and
 * what is said of it is said of the last one. */
static void forgotten_holds(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 8);
		u128 rich = account_new(world, ACCOUNT_RAW), other = account_new(world, ACCOUNT_RAW);
		struct transfer_row hold = move(rich, other, 5), end = { .flags = TRANSFER_POST, .debit = hold.id };
		hold.flags = TRANSFER_PENDING;
		hold.timeout = 1000;
		for (unsigned round = 0; round < 4; round++) {
			assert_int_equal(send(world, hold), REFUSAL_NONE);
			forget(world, hold.id);
			assert_int_equal(send(world, hold), REFUSED_OUTCOME_PRUNED);
			struct transfer_row chain[2] = { move(rich, other, 1), hold };
			struct model_reply replies[2];
			chain[0].flags = TRANSFER_LINKED;
			world_transfers(world, (const unsigned char *)chain, 2, false, replies);
			assert_int_equal(replies[0].refusal, REFUSED_LINKED_EVENT_FAILED);
			assert_int_equal(replies[1].refusal, REFUSED_OUTCOME_PRUNED);
			struct transfer_row plain = move(rich, other, 5);
			plain.id = hold.id;
			assert_int_equal(send(world, plain), REFUSED_OUTCOME_PRUNED);
			u128 id = hold.id;
			uint64_t lsn = 0;
			uint8_t found = FOUND_NOTHING;
			world_find(world, &id, &lsn, &found, 1);
			assert_int_equal(found, FOUND_PENDING);
			assert_true(lsn != 0);
			assert_true(view_of(world, other).credits_pending == 5);
			end.id = id_new();
			end.flags = round & 1 ? TRANSFER_VOID : TRANSFER_POST;
			if (round == 2) {
				world->now_ms += 2000 * 1000;
				world_expire(world);
				assert_int_equal(send(world, end), REFUSED_PENDING_TRANSFER_EXPIRED);
			} else {
				assert_int_equal(send(world, end), REFUSAL_NONE);
				end.id = id_new();
				assert_int_equal(send(world, end), round & 1 ? REFUSED_PENDING_TRANSFER_ALREADY_VOIDED
									      : REFUSED_PENDING_TRANSFER_ALREADY_POSTED);
			}
			assert_true(view_of(world, other).credits_pending == 0);
		}
		assert_int_equal(balance_of(world, other), 5);
		struct world *again = world_replay(world, 2, world->frame_count);
		assert_int_equal(balance_of(again, other), 5);
		world_free(again);
		world_free(world);
	}
}

static void records_are_compared(void **unused)
{
	struct world *world = world_new(1, 5);
	u128 debit = account_new(world, ACCOUNT_RAW), credit = account_new(world, ACCOUNT_RAW);
	struct transfer_row row = move(debit, credit, 10), other = move(debit, credit, 10);
	struct account_view debit_view, credit_view;
	(void)unused;
	assert_int_equal(send(world, row), REFUSAL_NONE);
	const struct world_frame frame = world->frames[world->frame_count - 1];
	const unsigned char *record = (unsigned char *)world->log.ptr + (frame.lsn - WORLD_FIRST_LSN);
	struct record_head head;
	assert_true(record_head_read(record, frame.size, &head));
	debit_view = view_of(world, debit);
	credit_view = view_of(world, credit);
	for (unsigned i = 0; i < 2; i++) {
		struct known_row known = { .lsn = frame.lsn, .debit_number = debit_view.number,
					   .credit_number = credit_view.number };
		record = (unsigned char *)world->log.ptr + (frame.lsn - WORLD_FIRST_LSN);
		known_compare(&known, (unsigned char *)(i ? &other : &row), record, head.size);
		assert_int_equal(known.collision, i == 1);
		assert_int_equal(known.resolved, i == 0);
		if (i == 0) {
			assert_int_equal(known.refusal, REFUSAL_NONE);
			assert_int_equal(known.balances[0], -10);
			assert_int_equal(known.balances[1], 10);
		}
	}
	world_free(world);
}

/* ---- hashes that collide ---------------------------------------------------------------------------------------- */

enum { ALIKE = 4 };

static uint64_t secret_at(unsigned at)
{
	uint64_t value;
	memcpy(&value, XXH3_kSecret + at, sizeof value);
	return value;
}

/* XXH3 of 16 bytes: with lo and hi the halves of the input, each with a constant of its own folded in, it is a mixture
 * of 16 + swap(lo) + hi + fold(lo * hi).  So (0, x), (swap(x), 0) and (1, (x - swap(1)) / 2) have the same hash. */
static u128 id_of_halves(uint64_t lo, uint64_t hi, uint64_t seed)
{
	return u128_of(hi ^ ((secret_at(40) ^ secret_at(48)) - seed), lo ^ ((secret_at(24) ^ secret_at(32)) + seed));
}

static void halves_alike(u128 ids[ALIKE], uint64_t seed)
{
	uint64_t x = UINT64_C(0x1234567890ABCDEE) + 2 * ++id_counter, half = (x - XXH_swap64(1)) / 2;
	ids[0] = id_of_halves(0, x, seed);
	ids[1] = id_of_halves(XXH_swap64(x), 0, seed);
	ids[2] = id_of_halves(1, half, seed);
	ids[3] = id_of_halves(1, half + (UINT64_C(1) << 63), seed);
}

static void ids_alike(u128 ids[ALIKE])
{
	halves_alike(ids, HASH_TRANSFER);
	for (unsigned i = 1; i < ALIKE; i++)
		if (id_hash_of_transfer(ids[i]) != id_hash_of_transfer(ids[0]))
			skip();        /* the hash has become another: nobody can make such ids */
}

static void transfers_alike(struct world *world, u128 debit, u128 credit)
{
	struct transfer_row rows[ALIKE];
	struct model_reply replies[ALIKE];
	u128 ids[ALIKE];
	for (unsigned how = 0; how < 3; how++) {       /* one after the other, in a batch, in a chain */
		int64_t before = balance_of(world, credit);
		ids_alike(ids);
		for (unsigned i = 0; i < ALIKE; i++) {
			rows[i] = move(debit, credit, 10);
			rows[i].id = ids[i];
			rows[i].flags = how == 2 && i + 1 < ALIKE ? TRANSFER_LINKED : 0;
		}
		for (unsigned again = 0; again < 2; again++) {
			for (unsigned i = 0; i < ALIKE && how == 0; i++)
				world_transfers(world, (const unsigned char *)&rows[i], 1, true, &replies[i]);
			if (how)
				world_transfers(world, (const unsigned char *)rows, ALIKE, true, replies);
			for (unsigned i = 0; i < ALIKE; i++) {
				assert_int_equal(replies[i].refusal, REFUSAL_NONE);
				assert_int_equal(replies[i].balances[1], before + 10 * (int64_t)(i + 1));
			}
		}
		assert_int_equal(balance_of(world, credit), before + 10 * ALIKE);
		rows[1].amount = 11;
		rows[1].flags = 0;
		assert_int_equal(send(world, rows[1]), how == 2 ? REFUSED_EXISTS_WITH_DIFFERENT_FLAGS
								: REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT);
	}
}

static void pendings_alike(struct world *world, u128 debit, u128 credit)
{
	u128 ids[ALIKE];
	struct transfer_row row = move(debit, credit, 10);
	ids_alike(ids);
	for (unsigned i = 0; i < ALIKE; i++) {
		row.id = ids[i];
		row.flags = TRANSFER_PENDING;
		assert_int_equal(send(world, row), REFUSAL_NONE);
	}
	assert_true(view_of(world, credit).credits_pending == 10 * ALIKE);
	for (unsigned i = 0; i < ALIKE; i++) {
		struct transfer_row end = { .id = id_new(),
					    .debit = ids[i],
					    .flags = i & 1 ? TRANSFER_VOID : TRANSFER_POST };
		assert_int_equal(send(world, end), REFUSAL_NONE);
		end.id = id_new();
		assert_int_equal(send(world, end), i & 1 ? REFUSED_PENDING_TRANSFER_ALREADY_VOIDED
							 : REFUSED_PENDING_TRANSFER_ALREADY_POSTED);
	}
	assert_true(view_of(world, credit).credits_pending == 0);
}

/* One that is used up beside one that stands and one that was never there. */
static void failures_alike(struct world *world, u128 debit, u128 credit)
{
	struct transfer_row bad = move(debit, id_new(), 10), good = move(debit, credit, 10);
	u128 ids[ALIKE];
	ids_alike(ids);
	bad.id = ids[0];
	good.id = ids[1];
	assert_int_equal(send(world, bad), REFUSED_CREDIT_ACCOUNT_NOT_FOUND);
	struct transfer_row end = { .id = id_new(), .debit = ids[1], .flags = TRANSFER_POST };
	assert_int_equal(send(world, end), REFUSED_PENDING_TRANSFER_NOT_FOUND);
	for (unsigned again = 0; again < 2; again++) {
		assert_int_equal(send(world, good), REFUSAL_NONE);
		assert_int_equal(send(world, bad), REFUSED_ID_ALREADY_FAILED);
	}
}

/* Accounts are compared with their whole id. */
static void accounts_may_collide(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		struct account_spec specs[ALIKE];
		u128 ids[ALIKE], other = account_new(world, ACCOUNT_RAW);
		halves_alike(ids, HASH_MEMBER);
		for (unsigned i = 0; i < ALIKE; i++) {
			if (account_key(ids[i]) != account_key(ids[0]))
				skip();
			specs[i] = (struct account_spec){ .id = ids[i], .tenant = STR("north"), .unit = STR("points"),
							  .kind = i == 2 ? ACCOUNT_LIABILITY : ACCOUNT_RAW };
		}
		assert_int_equal(send(world, move(ids[1], other, 1)), REFUSED_DEBIT_ACCOUNT_NOT_FOUND);
		for (unsigned i = 0; i < ALIKE; i++) {
			world_accounts(world, &specs[i], 1);
			assert_int_equal(specs[i].refusal, REFUSAL_NONE);
			assert_false(specs[i].existed);
			assert_int_equal(send(world, move(other, ids[i], 10 + i)), REFUSAL_NONE);
			if (i)
				assert_int_equal(send(world, move(ids[0], ids[i], 1)), REFUSAL_NONE);
		}
		for (unsigned i = 0; i < ALIKE; i++)
			assert_int_equal(balance_of(world, ids[i]), i ? 11 + i : 10 - (ALIKE - 1));
		world_free(world);
	}
}

static void hashes_may_collide(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		u128 debit = account_new(world, ACCOUNT_RAW), credit = account_new(world, ACCOUNT_RAW);
		transfers_alike(world, debit, credit);
		pendings_alike(world, debit, credit);
		failures_alike(world, debit, credit);
		world_free(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_have_one_outcome), cmocka_unit_test(filed_ids_outlive_their_records),
		cmocka_unit_test(forgotten_holds),
		cmocka_unit_test(records_are_compared),
		cmocka_unit_test(accounts_may_collide),
		cmocka_unit_test(hashes_may_collide),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
