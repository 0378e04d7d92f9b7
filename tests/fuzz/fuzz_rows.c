// SPDX-License-Identifier: Apache-2.0
/* fuzz_rows.c - arbitrary bytes as packed rows: the ledger and its naive model must refuse the same, for the same
 * reason.
 *
 * The first byte picks the number of shards (2 bits: 1, 2, 4, 3), small frames of the log (4), whole rows (8), and a
 * replay at the end (16).  Then steps follow, each with a byte of its own: 0 to 239    a batch of 1 to 16 rows (the
 * lower 4 bits and 1); whole rows are 64 bytes each, taken as they are; short ones are 8 bytes: id, debit, credit (each
 * picked from a few), amount 2, code, flags, timeout 240 to 247  the clock goes on by the next byte, in quarters of a
 * second; 244 and more: and expiries are run 248 to 255  the account picked by the next byte is closed (even) or opened
 * (odd)
 */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "tests/model/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 16, ACCOUNTS = 12, SHORT_ROW = 8, STEPS_MAX = 200 };

struct input { const uint8_t *at, *end; };

static unsigned byte_next(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static const struct account_spec specs[ACCOUNTS] = {
	{ .id = 1, .tenant = { "a", 1 }, .unit = { "p", 1 } },
	{ .id = (u128)7 << 90 | 2, .tenant = { "a", 1 }, .unit = { "p", 1 } },
	{ .id = 3, .tenant = { "a", 1 }, .unit = { "p", 1 }, .kind = ACCOUNT_MEMBER },
	{ .id = (u128)9 << 80 | 4,
	  .tenant = { "a", 1 },
	  .unit = { "p", 1 },
	  .kind = ACCOUNT_MEMBER,
	  .has_ceiling = true,
	  .ceiling = 100 },
	{ .id = 5, .tenant = { "a", 1 }, .unit = { "p", 1 }, .has_floor = true, .floor = -100 },
	{ .id = 6, .tenant = { "a", 1 }, .unit = { "p", 1 }, .has_ceiling = true, .ceiling = -10 },
	{ .id = 7, .tenant = { "a", 1 }, .unit = { "p", 1 }, .kind = ACCOUNT_LIABILITY },
	{ .id = 8, .tenant = { "a", 1 }, .unit = { "p", 1 }, .kind = ACCOUNT_REDEEMED },
	{ .id = 9, .tenant = { "b", 1 }, .unit = { "p", 1 } },
	{ .id = 10, .tenant = { "b", 1 }, .unit = { "p", 1 }, .kind = ACCOUNT_LIABILITY },
	{ .id = 11, .tenant = { "a", 1 }, .unit = { "q", 1 } },
	{ .id = 12,
	  .tenant = { "a", 1 },
	  .unit = { "p", 1 },
	  .has_floor = true,
	  .floor = INT64_MIN + 1,
	  .has_ceiling = true,
	  .ceiling = INT64_MAX - 1 },
};

static u128 account_pick(unsigned byte)
{
	byte &= 15;
	return byte < ACCOUNTS ? specs[byte].id
	       : byte == 12    ? 0
	       : byte == 13    ? U128_MAX
	       : byte == 14    ? 99
			       : (u128)5 << 100;
}

static u128 id_pick(unsigned byte)
{
	byte &= 31;
	return byte == 30 ? 0 : byte == 31 ? U128_MAX : u128_of(byte * UINT64_C(0x123456789ABCDEF), byte + 1);
}

static struct transfer_row row_pick(struct input *input)
{
	unsigned bytes[SHORT_ROW];
	for (unsigned i = 0; i < SHORT_ROW; i++)
		bytes[i] = byte_next(input);
	uint16_t flags = bytes[6] & 63;
	bool ends = flags & (TRANSFER_POST | TRANSFER_VOID);
	struct transfer_row row = { .id = id_pick(bytes[0]), .debit = ends ? id_pick(bytes[1]) : account_pick(bytes[1]),
				    .credit = ends && !(bytes[2] & 128) ? 0 : account_pick(bytes[2]),
				    .amount = bytes[3], .code = bytes[5] & 3, .timeout = bytes[7] & 7, .flags = flags };
	if (bytes[4] & 128)            /* powers of two, up to the ends of the range */
		row.amount = (UINT64_C(1) << (bytes[4] & 63)) - (bytes[3] & 1);
	if (bytes[6] & 128)
		row.flags |= (uint16_t)(256u << (bytes[7] >> 5));
	return row;
}

static void batch_run(struct world *world, struct model *model, struct input *input, uint32_t count, bool whole)
{
	unsigned char rows[ROWS * ROW_BYTES];
	struct model_reply got[ROWS], wanted[ROWS];
	for (uint32_t i = 0; i < count; i++) {
		struct transfer_row row = { 0 };
		size_t left = (size_t)(input->end - input->at), take = left < ROW_BYTES ? left : ROW_BYTES;
		if (whole) {
			memcpy(&row, input->at, take);
			input->at += take;
		} else {
			row = row_pick(input);
		}
		memcpy(rows + i * ROW_BYTES, &row, sizeof row);
	}
	model_transfers(model, rows, count, world->now_ms, wanted);
	world_transfers(world, rows, count, true, got);
	for (uint32_t i = 0; i < count; i++) {
		ASSERT(got[i].refusal == wanted[i].refusal);
		ASSERT(got[i].refusal || memcmp(got[i].balances, wanted[i].balances, sizeof got[i].balances) == 0);
	}
}

static void accounts_compare(struct world *world, struct model *model)
{
	struct account_view views[ACCOUNTS] = { 0 };
	for (unsigned i = 0; i < ACCOUNTS; i++)
		views[i].id = specs[i].id;
	world_lookup(world, views, ACCOUNTS, NULL);
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		const struct model_account *account = model_account_find(model, specs[i].id);
		ASSERT(account && views[i].found);
		ASSERT(views[i].debits_posted == account->debits_posted &&
		       views[i].credits_posted == account->credits_posted);
		ASSERT(views[i].debits_pending == account->debits_pending &&
		       views[i].credits_pending == account->credits_pending);
	}
}

static void step_run(struct world *world, struct model *model, struct input *input, bool whole)
{
	unsigned step = byte_next(input);
	if (step < 240) {
		batch_run(world, model, input, 1 + (step & 15), whole);
	} else if (step < 248) {
		world->now_ms += (int64_t)byte_next(input) * 250;
		if (step < 244)
			return;
		model_expire(model, world->now_ms);
		world_expire(world);
	} else {
		struct account_spec got = { .id = account_pick(byte_next(input)),
					    .flags = step & 1 ? 0 : ACCOUNT_CLOSED },
				    wanted = got;
		model_account_close(model, &wanted);
		world_close(world, &got, 1);
		ASSERT(got.refusal == wanted.refusal);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned shard_counts[] = { 1, 2, 4, 3 };
	struct input input = { data, data + size };
	unsigned control = byte_next(&input);
	struct world *world = world_new(shard_counts[control & 3], control);
	struct model *model = model_new();
	struct account_spec got[ACCOUNTS], wanted;
	struct buf why = { 0 };
	world->wait_one_in = control & 32 ? 4 : 0;
	world->files_one_in = control & 64 ? 10 : 0;
	if (control & 4)
		world->env.log_frame_max = 4096;
	memcpy(got, specs, sizeof got);
	world_accounts(world, got, ACCOUNTS);
	for (unsigned i = 0; i < ACCOUNTS; i++) {
		wanted = specs[i];
		model_account_create(model, &wanted);
		ASSERT(got[i].refusal == REFUSAL_NONE && wanted.refusal == REFUSAL_NONE);
	}
	for (unsigned steps = 0; input.at < input.end && steps < STEPS_MAX; steps++)
		step_run(world, model, &input, control & 8);
	accounts_compare(world, model);
	ASSERT(world_audit(world, &why));
	if (control & 16) {
		struct world *again = world_replay(world, shard_counts[(control & 3) ^ 1], world->frame_count);
		struct buf dumps[2] = { { 0 }, { 0 } };
		accounts_compare(again, model);
		world_dump(world, &dumps[0]);
		world_dump(again, &dumps[1]);
		ASSERT(strcmp(dumps[0].ptr, dumps[1].ptr) == 0);
		buf_free(&dumps[0]);
		buf_free(&dumps[1]);
		world_free(again);
	}
	world_free(world);
	model_free(model);
	buf_free(&why);
	return 0;
}
