// SPDX-License-Identifier: Apache-2.0
/* test_ledger.c - the ledger's refusals in their order, its chains, timeouts and accounts.
 *
 * Every table runs with 1, 2 and 4 shards and must give the same replies.  test_ledger_random.c compares with a model;
 * here every expectation is said in place.
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

static u128 account_with(struct world *world, struct account_spec spec)
{
	if (!spec.tenant.len)
		spec.tenant = NORTH;
	if (!spec.unit.len)
		spec.unit = POINTS;
	if (!spec.id && !kind_is_sliced(spec.kind) && !spec.member.len)
		spec.id = id_new();
	world_accounts(world, &spec, 1);
	assert_int_equal(spec.refusal, REFUSAL_NONE);
	assert_false(spec.existed);
	return spec.id;
}

static u128 raw_new(struct world *world)
{
	return account_with(world, (struct account_spec){ .kind = ACCOUNT_RAW });
}

static void account_close_it(struct world *world, u128 id)
{
	struct account_spec spec = { .id = id, .flags = ACCOUNT_CLOSED };
	world_close(world, &spec, 1);
	assert_int_equal(spec.refusal, REFUSAL_NONE);
}

static enum refusal send(struct world *world, struct transfer_row row)
{
	struct model_reply reply;
	world_transfers(world, (const unsigned char *)&row, 1, false, &reply);
	return reply.refusal;
}

static struct transfer_row move(u128 debit, u128 credit, uint64_t amount)
{
	return (struct transfer_row){ .id = id_new(), .debit = debit, .credit = credit, .amount = amount, .code = 1 };
}

/* A transfer that must succeed; returns its id. */
static u128 done(struct world *world, struct transfer_row row)
{
	enum refusal refusal = send(world, row);
	if (refusal)
		fail_msg("%s", name_of(refusal));
	return row.id;
}

static struct account_view view_of(struct world *world, u128 id)
{
	struct account_view view = { .id = id };
	world_lookup(world, &view, 1, NULL);
	return view;
}

static int64_t balance_of(struct world *world, u128 id)
{
	struct account_view view = view_of(world, id);
	assert_true(view.found);
	return (int64_t)((i128)view.credits_posted - (i128)view.debits_posted);
}

static void audit(struct world *world)
{
	struct buf why = { 0 };
	if (!world_audit(world, &why))
		fail_msg("%s", why.ptr);
	buf_free(&why);
}

/* ---- the table of refusals -------------------------------------------------------------------------------------- */

static void refusals_are_a_table(void **unused)
{
	unsigned count = 0;
	(void)unused;
	for (const struct refusal_info *info = refusals; info->number; info++, count++) {
		assert_true(info == refusals || info[-1].number < info->number);
		assert_ptr_equal(refusal_find(info->number), info);
		assert_int_equal(refusal_burns(info->number), info->burns);
		assert_true(strlen(info->meaning) > 5);
		assert_true(strspn(info->name, "abcdefghijklmnopqrstuvwxyz_") == strlen(info->name));
		for (const struct refusal_info *other = refusals; other < info; other++)
			assert_string_not_equal(other->name, info->name);
	}
	assert_int_equal(count, 63);
	assert_null(refusal_find(0));
	assert_null(refusal_find(46));
	assert_null(refusal_find(64));
	assert_null(refusal_find(114));
	assert_null(refusal_find(UINT32_MAX));
}

/* ---- every refusal, and every pair of them ---------------------------------------------------------------------- */

/* A world that does not change any more: accounts for every mixture of what can be wrong with them, transfers in every
 * state.  Rows are then tried in all mixtures; each row has at least one reason against it. */

enum { BAD_CLOSED = 1, BAD_LIMIT = 2, BAD_OVER = 4, BAD_ALL = 7, BOOKS = 4, FIRSTS = 5, PENDINGS = 14 };

struct fact {                          /* of an account */
	u128 id;
	bool sliced;
	unsigned book, bad;
};

struct stage {
	struct world *world;
	struct fact debits[BAD_ALL + 2], credits[BOOKS * (BAD_ALL + 1) + 2];
	struct transfer_row firsts[FIRSTS];    /* transfers that stand */
	u128 failed;                   /* an id that is used up */
	struct pending_fact {
		u128 id;
		bool known, pending, debit_closed, credit_closed;
		enum found_state state;        /* of a pending one; EXPIRED also where only the clock says so */
	} pendings[PENDINGS];
	unsigned pending_count;
};

enum { STAGE_AMOUNT = 5, STAGE_CODE = 1 };

static const struct str stage_tenants[BOOKS] = { { "north", 5 }, { "south", 5 }, { "north", 5 }, { "south", 5 } };
static const struct str stage_units[BOOKS] = { { "points", 6 }, { "points", 6 }, { "stamps", 6 }, { "stamps", 6 } };

static u128 stage_account(struct stage *stage, unsigned book, enum account_kind kind, bool floor, bool ceiling)
{
	return account_with(stage->world, (struct account_spec){ .tenant = stage_tenants[book],
								 .unit = stage_units[book],
								 .kind = kind,
								 .has_floor = floor,
								 .has_ceiling = ceiling });
}

static void accounts_set(struct stage *stage)
{
	for (unsigned bad = 0; bad <= BAD_ALL; bad++)
		stage->debits[bad] =
			(struct fact){ stage_account(stage, 0, ACCOUNT_RAW, bad & BAD_LIMIT, false), false, 0, bad };
	stage->debits[BAD_ALL + 1] =
		(struct fact){ stage_account(stage, 0, ACCOUNT_LIABILITY, false, false), true, 0, 0 };
	for (unsigned i = 0; i < BOOKS * (BAD_ALL + 1); i++)
		stage->credits[i] = (struct fact){ stage_account(stage, i / 8, ACCOUNT_RAW, false, i & BAD_LIMIT),
						   false, i / 8, i & BAD_ALL };
	stage->credits[32] = (struct fact){ stage_account(stage, 0, ACCOUNT_REDEEMED, false, false), true, 0, 0 };
	stage->credits[33] = (struct fact){ stage_account(stage, 1, ACCOUNT_REDEEMED, false, false), true, 1, 0 };
}

/* Takes one side of an account's sums to the very last: what was there is `used`.  Its balance is 0 afterwards. */
static void overflow_set(struct stage *stage, const struct fact *fact, bool debit_side, uint64_t used)
{
	u128 other = stage_account(stage, fact->book, ACCOUNT_RAW, false, false);
	struct transfer_row in = move(other, fact->id, (uint64_t)INT64_MAX - used);
	struct transfer_row out =
		move(fact->id, stage_account(stage, fact->book, ACCOUNT_RAW, false, false), in.amount);
	done(stage->world, debit_side ? in : out);
	done(stage->world, debit_side ? out : in);
}

static u128 reserve(struct stage *stage, const struct fact *debit, const struct fact *credit, uint32_t timeout)
{
	struct transfer_row row = move(debit->id, credit->id, STAGE_AMOUNT);
	row.flags = TRANSFER_PENDING;
	row.timeout = timeout;
	return done(stage->world, row);
}

static struct transfer_row end_of(u128 pending, unsigned flags)
{
	return (struct transfer_row){ .id = id_new(), .debit = pending, .flags = (uint16_t)flags };
}

static void pending_set(struct stage *stage, struct pending_fact fact)
{
	assert_true(stage->pending_count < PENDINGS);
	stage->pendings[stage->pending_count++] = fact;
}

static void transfers_set(struct stage *stage)
{
	struct world *world = stage->world;
	const struct fact *debit = &stage->debits[0], *credit = &stage->credits[0];
	const struct fact *bad_debit = &stage->debits[BAD_ALL], *bad_credit = &stage->credits[BAD_ALL];
	const struct fact *closed_debit = &stage->debits[BAD_CLOSED], *closed_credit = &stage->credits[BAD_CLOSED];
	/* So that the bad ones have something to give and room to take it, once. */
	done(world, move(debit->id, bad_debit->id, STAGE_AMOUNT));
	done(world, move(bad_credit->id, credit->id, STAGE_AMOUNT));
	stage->firsts[0] = move(bad_debit->id, bad_credit->id, STAGE_AMOUNT);
	stage->firsts[1] = move(debit->id, credit->id, STAGE_AMOUNT);
	stage->firsts[2] = move(debit->id, credit->id, STAGE_AMOUNT);
	stage->firsts[2].flags = TRANSFER_PENDING;
	stage->firsts[2].timeout = 9;
	for (unsigned i = 0; i < 3; i++)
		done(world, stage->firsts[i]);
	u128 posted = reserve(stage, debit, credit, 0), voided = reserve(stage, debit, credit, 0);
	stage->firsts[3] = end_of(posted, TRANSFER_POST);
	stage->firsts[4] = end_of(voided, TRANSFER_VOID);
	done(world, stage->firsts[3]);
	done(world, stage->firsts[4]);
	pending_set(stage, (struct pending_fact){ posted, true, true, false, false, FOUND_POSTED });
	pending_set(stage, (struct pending_fact){ voided, true, true, false, false, FOUND_VOIDED });
	pending_set(stage,
		    (struct pending_fact){ reserve(stage, debit, credit, 0), true, true, false, false, FOUND_PENDING });
	pending_set(stage, (struct pending_fact){ reserve(stage, closed_debit, credit, 0), true, true, true, false,
						  FOUND_PENDING });
	pending_set(stage, (struct pending_fact){ reserve(stage, debit, closed_credit, 0), true, true, false, true,
						  FOUND_PENDING });
	pending_set(stage, (struct pending_fact){ reserve(stage, closed_debit, closed_credit, 0), true, true, true,
						  true, FOUND_PENDING });
	pending_set(stage,
		    (struct pending_fact){ reserve(stage, debit, credit, 3), true, true, false, false, FOUND_EXPIRED });
	pending_set(stage, (struct pending_fact){ reserve(stage, closed_debit, closed_credit, 3), true, true, true,
						  true, FOUND_EXPIRED });
	world->now_ms += 3000;
	world_expire(world);
	pending_set(stage,
		    (struct pending_fact){ reserve(stage, debit, credit, 1), true, true, false, false, FOUND_EXPIRED });
	pending_set(stage, (struct pending_fact){ reserve(stage, closed_debit, closed_credit, 1), true, true, true,
						  true, FOUND_EXPIRED });
	world->now_ms += 1000;         /* the clock says so, the log does not */
	struct transfer_row none = move(debit->id, id_new(), 1);
	assert_int_equal(send(world, none), REFUSED_CREDIT_ACCOUNT_NOT_FOUND);
	stage->failed = none.id;
	pending_set(stage, (struct pending_fact){ .id = stage->failed });
	pending_set(stage, (struct pending_fact){ .id = id_new() });
	pending_set(stage, (struct pending_fact){ .id = stage->firsts[1].id, .known = true });
	pending_set(stage, (struct pending_fact){ .id = stage->firsts[3].id, .known = true });
}

static struct stage *stage_new(unsigned shard_count)
{
	struct stage *stage = mem_zalloc(sizeof *stage);
	stage->world = world_new(shard_count, 7);
	stage->world->wait_one_in = 20;
	stage->world->files_one_in = 50;
	accounts_set(stage);
	transfers_set(stage);
	for (unsigned i = 0; i < COUNT_OF(stage->debits); i++)
		if (stage->debits[i].bad & BAD_OVER)
			overflow_set(stage, &stage->debits[i], true, i == BAD_ALL ? STAGE_AMOUNT : 0);
	for (unsigned i = 0; i < COUNT_OF(stage->credits); i++)
		if (stage->credits[i].bad & BAD_OVER)
			overflow_set(stage, &stage->credits[i], false, i == BAD_ALL ? STAGE_AMOUNT : 0);
	for (unsigned i = 0; i < COUNT_OF(stage->debits); i++)
		if (stage->debits[i].bad & BAD_CLOSED)
			account_close_it(stage->world, stage->debits[i].id);
	for (unsigned i = 0; i < COUNT_OF(stage->credits); i++)
		if (stage->credits[i].bad & BAD_CLOSED)
			account_close_it(stage->world, stage->credits[i].id);
	return stage;
}

static void stage_free(struct stage *stage)
{
	audit(stage->world);
	world_free(stage->world);
	mem_free(stage);
}

/* A row, and what it meets. */
struct trial {
	struct transfer_row row;
	const struct transfer_row *first;      /* the one that stands with its id; NULL: none */
	bool failed;                   /* its id is used up */
	const struct fact *debit, *credit;     /* NULL: unknown */
	const struct pending_fact *pending;    /* NULL: unknown */
};

/* The balances of all whole accounts are 0 but those of the good ones, which have no limits. */
static uint64_t trial_amount(const struct trial *trial)
{
	bool balancing = trial->row.flags & (TRANSFER_BALANCING_DEBIT | TRANSFER_BALANCING_CREDIT);
	return balancing ? 0 : trial->row.amount;
}

/* Whether a reason stands against the row, looked at alone. */
static bool holds(enum refusal reason, const struct trial *trial)
{
	const struct transfer_row *row = &trial->row, *first = trial->first;
	const struct pending_fact *pending = trial->pending && trial->pending->known ? trial->pending : NULL;
	unsigned flags = row->flags;
	bool ends = flags & (TRANSFER_POST | TRANSFER_VOID), post = flags & TRANSFER_POST,
	     both = trial->debit && trial->credit;
	bool balance_debit = flags & TRANSFER_BALANCING_DEBIT, balance_credit = flags & TRANSFER_BALANCING_CREDIT;
	bool same_flags = first && first->flags == flags, waiting = pending && pending->pending;
	uint64_t amount = trial_amount(trial);
	switch (reason) {
	case REFUSED_RESERVED_FLAG: return flags & ~(unsigned)TRANSFER_FLAGS;
	case REFUSED_FLAGS_ARE_MUTUALLY_EXCLUSIVE:
		return (flags & TRANSFER_PENDING && ends) || (post && flags & TRANSFER_VOID) ||
		       (ends && (balance_debit || balance_credit));
	case REFUSED_ID_MUST_NOT_BE_ZERO: return row->id == 0;
	case REFUSED_ID_MUST_NOT_BE_INT_MAX: return row->id == U128_MAX;
	case REFUSED_PENDING_ID_MUST_NOT_BE_ZERO: return ends && row->debit == 0;
	case REFUSED_PENDING_ID_MUST_NOT_BE_INT_MAX: return ends && row->debit == U128_MAX;
	case REFUSED_PENDING_ID_MUST_BE_DIFFERENT: return ends && row->debit == row->id;
	case REFUSED_CREDIT_ACCOUNT_ID_MUST_BE_ZERO: return ends && row->credit != 0;
	case REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO: return !ends && row->debit == 0;
	case REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX: return !ends && row->debit == U128_MAX;
	case REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO: return !ends && row->credit == 0;
	case REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX: return !ends && row->credit == U128_MAX;
	case REFUSED_ACCOUNTS_MUST_BE_DIFFERENT: return !ends && row->debit == row->credit;
	case REFUSED_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER: return row->timeout && !(flags & TRANSFER_PENDING);
	case REFUSED_AMOUNT_MUST_NOT_BE_ZERO: return !ends && row->amount == 0;
	case REFUSED_EXISTS_WITH_DIFFERENT_FLAGS: return first && !same_flags;
	case REFUSED_EXISTS_WITH_DIFFERENT_PENDING_ID: return same_flags && ends && row->debit != first->debit;
	case REFUSED_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID: return same_flags && !ends && row->debit != first->debit;
	case REFUSED_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID:
		return same_flags && !ends && row->credit != first->credit;
	case REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT: return same_flags && row->amount != first->amount;
	case REFUSED_EXISTS_WITH_DIFFERENT_CODE:       /* 0 means the pending transfer's code */
		return same_flags && row->code != (ends ? STAGE_CODE : first->code) && !(ends && !row->code);
	case REFUSED_EXISTS_WITH_DIFFERENT_TIMEOUT: return same_flags && row->timeout != first->timeout;
	case REFUSED_ID_ALREADY_FAILED: return trial->failed;
	case REFUSED_PENDING_TRANSFER_NOT_FOUND: return ends && !pending;
	case REFUSED_PENDING_TRANSFER_NOT_PENDING: return ends && pending && !waiting;
	case REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_CODE:
		return ends && waiting && row->code && row->code != STAGE_CODE;
	case REFUSED_EXCEEDS_PENDING_TRANSFER_AMOUNT: return post && waiting && row->amount > STAGE_AMOUNT;
	case REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT:
		return flags & TRANSFER_VOID && waiting && row->amount && row->amount != STAGE_AMOUNT;
	case REFUSED_PENDING_TRANSFER_ALREADY_POSTED: return ends && waiting && pending->state == FOUND_POSTED;
	case REFUSED_PENDING_TRANSFER_ALREADY_VOIDED: return ends && waiting && pending->state == FOUND_VOIDED;
	case REFUSED_PENDING_TRANSFER_EXPIRED: return ends && waiting && pending->state == FOUND_EXPIRED;
	case REFUSED_DEBIT_ACCOUNT_NOT_FOUND: return !ends && !trial->debit;
	case REFUSED_CREDIT_ACCOUNT_NOT_FOUND: return !ends && !trial->credit;
	case REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_TENANT:
		return !ends && both && (trial->debit->book ^ trial->credit->book) & 1;
	case REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_UNIT:
		return !ends && both && (trial->debit->book ^ trial->credit->book) & 2;
	case REFUSED_SLICED_ACCOUNT_CANNOT_BALANCE:
		return !ends && both &&
		       ((balance_debit && trial->debit->sliced) || (balance_credit && trial->credit->sliced));
	case REFUSED_DEBIT_ACCOUNT_CLOSED:
		return ends ? post && waiting && pending->debit_closed : trial->debit && trial->debit->bad & BAD_CLOSED;
	case REFUSED_CREDIT_ACCOUNT_CLOSED:
		return ends ? post && waiting && pending->credit_closed
			    : trial->credit && trial->credit->bad & BAD_CLOSED;
	case REFUSED_OVERFLOWS_DEBITS:
		return !ends && both && !trial->debit->sliced && amount &&
		       (trial->debit->bad & BAD_OVER || amount > INT64_MAX);
	case REFUSED_OVERFLOWS_CREDITS:
		return !ends && both && !trial->credit->sliced && amount &&
		       (trial->credit->bad & BAD_OVER || amount > INT64_MAX);
	case REFUSED_EXCEEDS_FLOOR:
		return !ends && both && (balance_debit || (trial->debit->bad & BAD_LIMIT && amount));
	case REFUSED_EXCEEDS_CEILING:
		return !ends && both && (balance_credit || (trial->credit->bad & BAD_LIMIT && amount));
	default: return false;
	}
}

enum { LAST_REASON = REFUSED_EXCEEDS_CEILING };

struct trials {
	struct trial *list;            /* owned */
	size_t count, cap;
	uint64_t seen[LAST_REASON + 1];        /* bit B at [A]: A and B stood against one row */
};

static enum refusal first_reason(const struct trial *trial)
{
	unsigned reason = 1;
	while (reason <= LAST_REASON && !holds((enum refusal)reason, trial))
		reason++;
	return reason > LAST_REASON ? REFUSAL_NONE : (enum refusal)reason;
}

static void trial_add(struct trials *trials, const struct trial *trial)
{
	uint64_t reasons = 0;
	for (unsigned r = 1; r <= LAST_REASON; r++)
		if (holds((enum refusal)r, trial))
			reasons |= UINT64_C(1) << r;
	uint64_t other = ((UINT64_C(1) << REFUSED_EXISTS_WITH_DIFFERENT_TIMEOUT) - 1) << 1;    /* up to there */
	if (!reasons || (trial->first && !(reasons & other)))
		return;                /* it would be done and change the stage, or it is a repeat */
	for (unsigned r = 1; r <= LAST_REASON; r++)
		if (reasons >> r & 1)
			trials->seen[r] |= reasons;
	if (trials->count == trials->cap) {
		trials->cap = trials->cap ? trials->cap * 2 : 1024;
		trials->list = mem_realloc(trials->list, trials->cap * sizeof *trials->list);
	}
	trials->list[trials->count++] = *trial;
}

/* The row's id: 0 new, 1 zero, 2 the greatest, 3 used up, then those that stand. */
static bool trial_id(const struct stage *stage, struct trial *trial, unsigned choice)
{
	trial->first = NULL;
	trial->failed = choice == 3;
	if (choice >= 4) {
		if (choice - 4 >= FIRSTS)
			return false;
		trial->first = &stage->firsts[choice - 4];
	}
	trial->row.id = choice == 0 ? id_new() : choice == 1 ? 0 : choice == 2 ? U128_MAX : choice == 3 ? stage->failed
			: trial->first->id;
	return true;
}

/* An account's id: the facts, then an unknown one, zero, the greatest. */
static bool trial_account(const struct fact *facts, unsigned count, unsigned choice, u128 *id, const struct fact **fact)
{
	*fact = choice < count ? &facts[choice] : NULL;
	*id = *fact ? (*fact)->id : choice == count ? u128_of(77, 77) : choice == count + 1 ? 0 : U128_MAX;
	return choice < count + 3;
}

/* Rows that move or reserve.  All mixtures for new ids, some for the others. */
static void moves_add(const struct stage *stage, struct trials *trials)
{
	static const uint16_t flag_list[] = { 0,
					      TRANSFER_PENDING,
					      TRANSFER_BALANCING_DEBIT,
					      TRANSFER_BALANCING_CREDIT,
					      TRANSFER_BALANCING_DEBIT | TRANSFER_BALANCING_CREDIT,
					      TRANSFER_PENDING | TRANSFER_BALANCING_DEBIT,
					      64,
					      TRANSFER_PENDING | 0x8000 };
	static const uint64_t amounts[] = { STAGE_AMOUNT, 0, (uint64_t)INT64_MAX + 1 };
	struct trial trial;
	for (unsigned id = 0; memset(&trial, 0, sizeof trial), trial_id(stage, &trial, id); id++)
		for (unsigned d = 0;
		     trial_account(stage->debits, COUNT_OF(stage->debits), d, &trial.row.debit, &trial.debit); d++)
			for (unsigned c = 0; trial_account(stage->credits, COUNT_OF(stage->credits), c,
							   &trial.row.credit, &trial.credit);
			     c++)
				for (unsigned rest = 0; rest < COUNT_OF(flag_list) * COUNT_OF(amounts) * 4; rest++) {
					if (id && (d % 7 > 1 || c % 7 > 1) && d < COUNT_OF(stage->debits))
						continue;
					trial.row.timeout = rest & 1 ? 9 : 0;
					trial.row.code = rest & 2 && id ? 3 : STAGE_CODE;
					trial.row.amount = amounts[rest / 4 % COUNT_OF(amounts)];
					trial.row.flags = flag_list[rest / 4 / COUNT_OF(amounts)];
					if (rest & 2 && !id)
						continue;
					if (!id)
						trial.row.id = id_new();
					trial_add(trials, &trial);
				}
	trial = (struct trial){ .row = { .code = 1 }, .debit = &stage->debits[0], .credit = &stage->debits[0] };
	for (unsigned id = 0; trial_id(stage, &trial, id); id++) {     /* from an account to itself */
		trial.row.debit = trial.row.credit = stage->debits[0].id;
		for (unsigned rest = 0; rest < 8; rest++) {
			trial.row.amount = rest & 1;
			trial.row.timeout = rest & 2;
			trial.row.flags = rest & 4 ? 128 : 0;
			trial_add(trials, &trial);
		}
	}
}

/* Rows that post or void. */
static void ends_add(const struct stage *stage, struct trials *trials)
{
	static const uint16_t flag_list[] = { TRANSFER_POST, TRANSFER_VOID, TRANSFER_POST | TRANSFER_PENDING,
					      TRANSFER_POST | TRANSFER_VOID, TRANSFER_VOID | TRANSFER_BALANCING_DEBIT,
					      TRANSFER_POST | 256 };
	static const uint64_t amounts[] = { 0, STAGE_AMOUNT, STAGE_AMOUNT - 1, STAGE_AMOUNT + 1 };
	struct trial trial;
	for (unsigned id = 0; memset(&trial, 0, sizeof trial), trial_id(stage, &trial, id); id++)
		for (unsigned p = 0; p < stage->pending_count + 3; p++)
			for (unsigned rest = 0; rest < COUNT_OF(flag_list) * COUNT_OF(amounts) * 3 * 4; rest++) {
				if (!id)
					trial.row.id = id_new();
				trial.pending = p < stage->pending_count ? &stage->pendings[p] : NULL;
				trial.row.debit = trial.pending ? trial.pending->id : p == stage->pending_count ? 0
						  : p == stage->pending_count + 1 ? U128_MAX : trial.row.id;
				for (unsigned k = 0; !trial.pending && k < stage->pending_count; k++)
					if (stage->pendings[k].id == trial.row.debit)
						trial.pending = &stage->pendings[k];
				trial.row.credit = rest & 1 ? stage->credits[0].id : 0;
				trial.row.timeout = rest & 2 ? 9 : 0;
				trial.row.code = (uint16_t)(rest / 4 % 3);
				trial.row.amount = amounts[rest / 12 % COUNT_OF(amounts)];
				trial.row.flags = flag_list[rest / 12 / COUNT_OF(amounts)];
				trial_add(trials, &trial);
			}
}

static void trials_send(struct stage *stage, const struct trials *trials, bool again, bool chained)
{
	enum { ROWS = 8190 };
	unsigned char *rows = mem_alloc((size_t)ROWS * ROW_BYTES);
	struct model_reply *replies = mem_alloc(ROWS * sizeof *replies);
	const struct fact *good_debit = &stage->debits[0], *good_credit = &stage->credits[0];
	unsigned a_row = chained ? 2 : 1;
	for (size_t first = 0, count; first < trials->count; first += count) {
		count = trials->count - first < ROWS / a_row ? trials->count - first : ROWS / a_row;
		for (size_t i = 0; i < count; i++) {
			struct transfer_row row = trials->list[first + i].row,
					    before = move(good_debit->id, good_credit->id, 1);
			before.flags = TRANSFER_LINKED;
			if (chained)
				memcpy(rows + i * 2 * ROW_BYTES, &before, sizeof before);
			memcpy(rows + (i * a_row + a_row - 1) * ROW_BYTES, &row, sizeof row);
		}
		world_transfers(stage->world, rows, (uint32_t)(count * a_row), true, replies);
		for (size_t i = 0; i < count; i++) {
			const struct trial *trial = &trials->list[first + i];
			enum refusal wanted = first_reason(trial), got = replies[i * a_row + a_row - 1].refusal;
			if (again && refusal_burns(wanted))
				wanted = REFUSED_ID_ALREADY_FAILED;
			if (got != wanted)
				fail_msg("%u shards%s%s: flags %u amount %u code %u timeout %u debit %llx credit %llx: "
					 "%s, wanted %s",
					 stage->world->shard_count, again ? ", again" : "",
					 chained ? ", in a chain" : "", trial->row.flags, (unsigned)trial->row.amount,
					 trial->row.code, trial->row.timeout, (unsigned long long)trial->row.debit,
					 (unsigned long long)trial->row.credit, name_of(got), name_of(wanted));
			if (chained)
				assert_int_equal(replies[i * 2].refusal, REFUSED_LINKED_EVENT_FAILED);
		}
	}
	mem_free(rows);
	mem_free(replies);
}

static void new_ids(struct trials *trials)
{
	for (size_t i = 0; i < trials->count; i++) {
		struct trial *trial = &trials->list[i];
		if (trial->first || trial->failed || trial->row.id == 0 || trial->row.id == U128_MAX)
			continue;
		bool own = trial->row.debit == trial->row.id;
		trial->row.id = id_new();
		if (own)
			trial->row.debit = trial->row.id;
	}
}

static void smallest_reason_wins(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < COUNT_OF(shard_counts); i++) {
		struct stage *stage = stage_new(shard_counts[i]);
		struct trials trials = { 0 };
		unsigned pairs = 0;
		moves_add(stage, &trials);
		ends_add(stage, &trials);
		for (unsigned r = REFUSED_RESERVED_FLAG; r <= LAST_REASON; r++) {
			if (r != REFUSED_OUTCOME_PRUNED && !(trials.seen[r] >> r & 1))
				fail_msg("no row with %s", name_of((enum refusal)r));
			pairs += (unsigned)__builtin_popcountll(trials.seen[r]) - (r != REFUSED_OUTCOME_PRUNED);
		}
		if (i == 0)
			print_message("# %zu rows, %u pairs of reasons\n", trials.count, pairs / 2);
		trials_send(stage, &trials, false, false);
		trials_send(stage, &trials, true, false);
		new_ids(&trials);
		trials_send(stage, &trials, false, true);
		trials_send(stage, &trials, true, true);
		mem_free(trials.list);
		stage_free(stage);
	}
}

/* ---- chains ----------------------------------------------------------------------------------------------------- */

enum { CHAIN_MAX = 12 };

/* Sends rows of which `letters` says how each is to be, and compares with `wanted`, a number a row.
 *   g good   G good, linked   f without cover, burns   F the same, linked   z id 0   Z the same, linked */
static void chain_try(struct world *world, u128 debit, u128 credit, u128 poor, const char *letters,
		      const unsigned *wanted, u128 ids[CHAIN_MAX])
{
	struct transfer_row rows[CHAIN_MAX] = { 0 };
	struct model_reply replies[CHAIN_MAX];
	uint32_t count = (uint32_t)strlen(letters);
	for (uint32_t i = 0; i < count; i++) {
		bool linked = letters[i] < 'a';
		char letter = (char)(letters[i] | 32);
		rows[i] = move(letter == 'f' ? poor : debit, credit, 1);
		if (ids[i])
			rows[i].id = ids[i];
		if (letter == 'z')
			rows[i].id = 0;
		rows[i].flags = linked ? TRANSFER_LINKED : 0;
		ids[i] = rows[i].id;
	}
	world_transfers(world, (const unsigned char *)rows, count, false, replies);
	for (uint32_t i = 0; i < count; i++)
		if (replies[i].refusal != wanted[i])
			fail_msg("%u shards, chain %s, row %u: %s", world->shard_count, letters, i,
				 name_of(replies[i].refusal));
}

static void chains_stand_or_fall(void **unused)
{
	static const struct {
		const char *letters;
		unsigned wanted[CHAIN_MAX], again[CHAIN_MAX];
		int moved;
	} cases[] = {
		{ "g", { 0 }, { 0 }, 1 },
		{ "Gg", { 0 }, { 0 }, 2 },
		{ "GGGg", { 0 }, { 0 }, 4 },
		{ "Gf", { 1, 44 }, { 1, 25 }, 0 },
		{ "Fg", { 44, 1 }, { 25, 1 }, 0 },
		{ "GFg", { 1, 44, 1 }, { 1, 25, 1 }, 0 },
		{ "GFf",
		  { 1, 44, 1 },
		  { 1, 25, 1 },
		  0 }, /* the first to fail has the reason, the others keep their ids */
		{ "GZg", { 1, 5, 1 }, { 1, 5, 1 }, 0 },
		{ "FZg", { 44, 1, 1 }, { 25, 1, 1 }, 0 },
		{ "G", { 2 }, { 2 }, 0 },
		{ "GG", { 1, 2 }, { 1, 2 }, 0 },
		{ "ZFG", { 1, 1, 2 }, { 1, 1, 2 }, 0 }, /* an open chain is not looked at */
		{ "gGgfGfg", { 0, 0, 0, 44, 1, 44, 0 }, { 0, 0, 0, 25, 1, 25, 0 }, 4 },
		{ "gfGG", { 0, 44, 1, 2 }, { 0, 25, 1, 2 }, 1 },
	};
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 3);
		u128 debit = raw_new(world), credit = raw_new(world);
		u128 poor = account_with(world, (struct account_spec){ .kind = ACCOUNT_MEMBER });
		for (unsigned i = 0; i < COUNT_OF(cases); i++) {
			u128 ids[CHAIN_MAX] = { 0 };
			int64_t before = balance_of(world, credit);
			chain_try(world, debit, credit, poor, cases[i].letters, cases[i].wanted, ids);
			chain_try(world, debit, credit, poor, cases[i].letters, cases[i].again, ids);
			assert_int_equal(balance_of(world, credit) - before, cases[i].moved);
		}
		audit(world);
		world_free(world);
	}
}

/* As many rows as a batch may have, loose, as one chain, and both once more. */
static void full_batches(void **unused)
{
	unsigned char *rows = mem_alloc((size_t)ROWS_MAX * ROW_BYTES);
	struct model_reply *replies = mem_alloc(ROWS_MAX * sizeof *replies);
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 3);
		u128 debit = raw_new(world), credit = raw_new(world);
		for (unsigned linked = 0; linked < 2; linked++) {
			for (unsigned i = 0; i < ROWS_MAX; i++) {
				struct transfer_row row = move(debit, credit, 2);
				row.flags = linked && i + 1 < ROWS_MAX ? TRANSFER_LINKED : 0;
				memcpy(rows + (size_t)i * ROW_BYTES, &row, sizeof row);
			}
			for (unsigned again = 0; again < 2; again++) {
				world_transfers(world, rows, ROWS_MAX, true, replies);
				for (unsigned i = 0; i < ROWS_MAX; i++) {
					int64_t balance = (int64_t)(linked * ROWS_MAX + i + 1) * 2;
					assert_int_equal(replies[i].refusal, REFUSAL_NONE);
					assert_int_equal(replies[i].balances[0], -balance);
					assert_int_equal(replies[i].balances[1], balance);
				}
			}
		}
		assert_int_equal(balance_of(world, credit), 4 * ROWS_MAX);
		audit(world);
		world_free(world);
	}
	mem_free(rows);
	mem_free(replies);
}

/* A chain is one frame: what cannot fit is refused, what is loose takes several frames. */
static void chains_fit_a_frame(void **unused)
{
	enum { ROWS = 2000 };
	struct transfer_row *rows = mem_zalloc(ROWS * sizeof *rows);
	struct model_reply *replies = mem_alloc(ROWS * sizeof *replies);
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 3);
		u128 debit = raw_new(world), credit = raw_new(world);
		world->env.log_frame_max = 4096;
		for (unsigned i = 0; i < ROWS; i++) {
			rows[i] = move(debit, credit, 1);
			rows[i].flags = i && i + 2 < ROWS ? TRANSFER_LINKED
							  : 0; /* one loose, a long chain, one loose */
		}
		world_transfers(world, (const unsigned char *)rows, ROWS, false, replies);
		for (unsigned i = 0; i < ROWS; i++) {
			bool loose = i == 0 || i == ROWS - 1;
			if (loose ? replies[i].refusal != REFUSAL_NONE
				  : replies[i].refusal != REFUSED_CHAIN_TOO_LONG &&
					    replies[i].refusal != REFUSED_LINKED_EVENT_FAILED)
				fail_msg("row %u: %s", i, name_of(replies[i].refusal));
		}
		assert_int_equal(balance_of(world, credit), 2);
		for (unsigned i = 0; i < ROWS; i++)
			rows[i].flags = 0;
		world_transfers(world, (const unsigned char *)rows, ROWS, false, replies);
		for (unsigned i = 0; i < ROWS; i++)
			assert_int_equal(replies[i].refusal, REFUSAL_NONE);
		assert_int_equal(balance_of(world, credit), ROWS);
		audit(world);
		world_free(world);
	}
	mem_free(rows);
	mem_free(replies);
}

/* ---- timeouts --------------------------------------------------------------------------------------------------- */

static void timeouts_run_out(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		u128 member = account_with(world, (struct account_spec){ .kind = ACCOUNT_MEMBER }),
		     rich = raw_new(world);
		done(world, move(rich, member, 100));
		struct transfer_row hold = move(member, rich, 80), all = move(member, rich, 100);
		hold.flags = TRANSFER_PENDING;
		hold.timeout = 2;
		done(world, hold);
		struct account_view view = view_of(world, member);
		assert_true(view.debits_pending == 80 && view.debits_posted == 0);
		assert_int_equal(send(world, all), REFUSED_EXCEEDS_FLOOR);
		world->now_ms += 1999;
		world_expire(world);
		assert_true(view_of(world, member).debits_pending == 80);
		struct transfer_row part = end_of(hold.id, TRANSFER_POST);
		part.amount = 81;
		assert_int_equal(send(world, part), REFUSED_EXCEEDS_PENDING_TRANSFER_AMOUNT);
		/* At the very moment it is over, but the amount is free only when the log says so. */
		world->now_ms += 1;
		assert_int_equal(send(world, end_of(hold.id, TRANSFER_POST)), REFUSED_PENDING_TRANSFER_EXPIRED);
		assert_int_equal(send(world, end_of(hold.id, TRANSFER_VOID)), REFUSED_PENDING_TRANSFER_EXPIRED);
		assert_true(view_of(world, member).debits_pending == 80);
		assert_int_equal(send(world, move(member, rich, 21)), REFUSED_EXCEEDS_FLOOR);
		world_expire(world);
		assert_true(view_of(world, member).debits_pending == 0);
		assert_int_equal(send(world, end_of(hold.id, TRANSFER_POST)), REFUSED_PENDING_TRANSFER_EXPIRED);
		assert_int_equal(send(world, move(member, rich, 100)), REFUSAL_NONE);
		assert_int_equal(balance_of(world, member), 0);
		/* Many at once. */
		for (unsigned i = 0; i < 3000; i++) {
			struct transfer_row one = move(rich, member, 1);
			one.flags = TRANSFER_PENDING;
			one.timeout = 1 + i % 3;
			done(world, one);
		}
		world->now_ms += 2000;
		world_expire(world);
		assert_true(view_of(world, member).credits_pending == 1000);
		world->now_ms += 1000;
		world_expire(world);
		assert_true(view_of(world, member).credits_pending == 0);
		audit(world);
		world_free(world);
	}
}

/* A part of a pending transfer is posted, the rest is free again; a closed account takes only void and expiry. */
static void pending_transfers_end_once(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		u128 member = account_with(world, (struct account_spec){ .kind = ACCOUNT_MEMBER, .has_ceiling = true,
									 .ceiling = 100 });
		u128 rich = raw_new(world), holds[3];
		for (unsigned i = 0; i < 3; i++) {
			struct transfer_row hold = move(rich, member, 30);
			hold.flags = TRANSFER_PENDING;
			hold.timeout = i == 2 ? 1 : 0;
			holds[i] = done(world, hold);
		}
		assert_int_equal(send(world, move(rich, member, 11)), REFUSED_EXCEEDS_CEILING);
		struct transfer_row part = end_of(holds[0], TRANSFER_POST);
		part.amount = 20;
		struct model_reply reply;
		world_transfers(world, (const unsigned char *)&part, 1, true, &reply);
		assert_int_equal(reply.refusal, REFUSAL_NONE);
		assert_true(reply.balances[0] == -20 && reply.balances[1] == 20);
		struct account_view view = view_of(world, member);
		assert_true(view.credits_posted == 20 && view.credits_pending == 60);
		done(world, move(rich, member, 20));
		assert_int_equal(send(world, move(rich, member, 1)), REFUSED_EXCEEDS_CEILING);
		account_close_it(world, member);
		assert_int_equal(send(world, end_of(holds[1], TRANSFER_POST)), REFUSED_CREDIT_ACCOUNT_CLOSED);
		assert_int_equal(send(world, end_of(holds[1], TRANSFER_VOID)), REFUSAL_NONE);
		assert_int_equal(send(world, end_of(holds[1], TRANSFER_VOID)), REFUSED_PENDING_TRANSFER_ALREADY_VOIDED);
		world->now_ms += 1000;
		world_expire(world);
		view = view_of(world, member);
		assert_true(view.credits_posted == 40 && view.credits_pending == 0 && view.flags == ACCOUNT_CLOSED);
		struct account_spec open = { .id = member };
		world_close(world, &open, 1);
		assert_int_equal(open.refusal, REFUSAL_NONE);
		done(world, move(rich, member, 60));
		audit(world);
		world_free(world);
	}
}

/* What is pending counts as if it were posted, also towards the ends of the sums. */
static void sums_have_an_end(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		u128 a = raw_new(world), b = raw_new(world), c = raw_new(world), d = raw_new(world);
		u128 liability = account_with(world, (struct account_spec){ .kind = ACCOUNT_LIABILITY });
		u128 redeemed = account_with(world, (struct account_spec){ .kind = ACCOUNT_REDEEMED });
		struct transfer_row hold = move(a, b, INT64_MAX - 1), void_it = end_of(hold.id, TRANSFER_VOID);
		hold.flags = TRANSFER_PENDING;
		done(world, hold);
		done(world, move(a, b, 1));
		assert_int_equal(send(world, move(a, c, 1)), REFUSED_OVERFLOWS_DEBITS);
		assert_int_equal(send(world, move(c, b, 1)), REFUSED_OVERFLOWS_CREDITS);
		done(world, void_it);
		done(world, move(a, c, INT64_MAX - 1));
		done(world, move(d, b, INT64_MAX - 1));
		assert_int_equal(send(world, move(a, c, 1)), REFUSED_OVERFLOWS_DEBITS);
		assert_int_equal(send(world, move(c, b, 1)), REFUSED_OVERFLOWS_CREDITS);
		done(world, move(b, a, INT64_MAX));
		/* Tenant accounts go on: their sums have 128 bits. */
		for (unsigned i = 0; i < 3; i++) {
			hold = move(liability, redeemed, UINT64_MAX);
			hold.flags = i == 2 ? TRANSFER_PENDING : 0;
			done(world, hold);
		}
		struct account_view view = view_of(world, liability);
		assert_true(view.debits_posted == (u128)UINT64_MAX * 2 && view.debits_pending == UINT64_MAX);
		audit(world);
		world_free(world);
	}
}

/* ---- accounts --------------------------------------------------------------------------------------------------- */

static void accounts_are_refused(void **unused)
{
#define FLOOR(n) .has_floor = true, .floor = (n)
#define CEILING(n) .has_ceiling = true, .ceiling = (n)
#define OF(...) { .tenant = { "north", 5 }, .unit = { "points", 6 }, __VA_ARGS__ }
	static const struct { struct account_spec spec; unsigned wanted; bool existed;
	} cases[] = {
		{ OF(.kind = ACCOUNT_RAW), 100, false },
		{ OF(.kind = ACCOUNT_RAW, .flags = 2), 100, false },
		{ OF(.id = U128_MAX, .flags = 2), 101, false },
		{ OF(.id = (u128)0xFFFE << 112 | 5, .flags = 2), 102, false },
		{ OF(.id = (u128)0xFFFE << 112 | 5, .member = { "m", 1 }), 102, false },
		{ OF(.id = 5, .flags = 2, FLOOR(2), CEILING(1)), 103, false },
		{ OF(.id = 5, .flags = ACCOUNT_SLICE), 103, false },
		{ OF(.id = 5, .kind = ACCOUNT_EXPIRED, FLOOR(2), CEILING(1)), 104, false },
		{ OF(.id = 5, .kind = ACCOUNT_MEMBER, CEILING(-1)), 104, false },       /* its floor is 0 */
		{ OF(.id = 5, .kind = ACCOUNT_EXPIRED, .has_floor = true, .flags = ACCOUNT_CLOSED), 105, false },
		{ OF(.id = 5, .kind = ACCOUNT_EXPIRED, .has_ceiling = true), 105, false },
		{ OF(.id = 5, .kind = ACCOUNT_EXPIRED, .flags = ACCOUNT_CLOSED), 106, false },
		{ OF(.id = 5, .kind = ACCOUNT_MEMBER), 0, false },
		{ OF(.id = 5, .kind = ACCOUNT_MEMBER), 0, true },
		{ OF(.id = 5, .kind = ACCOUNT_MEMBER, FLOOR(0)), 0, true },
		{ { .tenant = { "south", 5 }, .unit = { "stamps", 6 }, .id = 5, .flags = ACCOUNT_CLOSED }, 107, false },
		{ { .tenant = { "north", 5 }, .unit = { "stamps", 6 }, .id = 5, .flags = ACCOUNT_CLOSED }, 108, false },
		{ OF(.id = 5, .kind = ACCOUNT_RAW, FLOOR(1)), 109, false },
		{ OF(.id = 5, .kind = ACCOUNT_REDEEMED), 109, false },
		{ OF(.id = 5, .kind = ACCOUNT_MEMBER, CEILING(5), .flags = ACCOUNT_CLOSED), 110, false },
		{ OF(.id = 5, .kind = ACCOUNT_MEMBER, FLOOR(-1)), 110, false },
		{ OF(.id = 5, .kind = ACCOUNT_MEMBER, .flags = ACCOUNT_CLOSED), 111, false },
		{ OF(.id = 6, .kind = ACCOUNT_EXPIRED), 0, false },
		{ OF(.id = 6, .kind = ACCOUNT_EXPIRED), 0, true },
		{ OF(.id = 7, .kind = ACCOUNT_EXPIRED), 112, false },
		{ OF(.kind = ACCOUNT_EXPIRED), 112, false },
		{ OF(.id = 6, .kind = ACCOUNT_ADJUSTED), 109, false },
		{ OF(.kind = ACCOUNT_LIABILITY), 0, false },
		{ OF(.kind = ACCOUNT_LIABILITY), 0, true },
		{ OF(.kind = ACCOUNT_MEMBER, .member = { "m", 1 }), 0, false },
		{ OF(.kind = ACCOUNT_MEMBER, .member = { "m", 1 }, .program = { "default", 7 }), 0, true },
		{ OF(.kind = ACCOUNT_MEMBER, .member = { "m", 1 }, .program = { "gold", 4 }), 0, false },
		{ OF(.id = 8, .kind = ACCOUNT_RAW, .flags = ACCOUNT_CLOSED), 0, false },
		{ OF(.id = 8, .kind = ACCOUNT_RAW, .flags = ACCOUNT_CLOSED), 0, true },
		{ OF(.id = 8, .kind = ACCOUNT_RAW), 111, false },
	}, closings[] = {
		{ { .id = 0 }, 100, false },
		{ { .id = U128_MAX }, 101, false },
		{ { .id = 5, .flags = 2 }, 103, false },
		{ { .id = 99, .flags = 2 }, 103, false }, { { .id = 6, .flags = ACCOUNT_CLOSED }, 106, false },
		{ { .id = 99, .flags = ACCOUNT_CLOSED }, 113, false },
		{ { .id = 5, .flags = ACCOUNT_CLOSED }, 0, false },
		{ { .id = 5, .flags = ACCOUNT_CLOSED }, 0, false }, { { .id = 5 }, 0, false },
	};
#undef OF
#undef FLOOR
#undef CEILING
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++)
		for (unsigned together = 0; together < 2; together++) {        /* each alone, and all in one request */
			struct world *world = world_new(shard_counts[s], 5);
			struct account_spec specs[COUNT_OF(cases)], close[COUNT_OF(closings)];
			for (unsigned i = 0; i < COUNT_OF(cases); i++)
				specs[i] = cases[i].spec;
			for (unsigned i = 0; i < COUNT_OF(closings); i++)
				close[i] = closings[i].spec;
			for (unsigned i = 0; i < COUNT_OF(cases) && !together; i++)
				world_accounts(world, &specs[i], 1);
			if (together)
				world_accounts(world, specs, COUNT_OF(cases));
			for (unsigned i = 0; i < COUNT_OF(cases); i++) {
				if (specs[i].refusal != cases[i].wanted || specs[i].existed != cases[i].existed)
					fail_msg("account %u: %s%s, wanted %u", i, name_of(specs[i].refusal),
						 specs[i].existed ? ", existed" : "", cases[i].wanted);
				if (!cases[i].spec.id && !cases[i].wanted) {
					assert_true(id_is_derived(specs[i].id));
					assert_true(view_of(world, specs[i].id).found);
				}
			}
			for (unsigned i = 0; i < COUNT_OF(closings) && !together; i++)
				world_close(world, &close[i], 1);
			if (together)
				world_close(world, close, COUNT_OF(closings));
			for (unsigned i = 0; i < COUNT_OF(closings); i++)
				if (close[i].refusal != closings[i].wanted)
					fail_msg("closing %u: %s, wanted %u", i, name_of(close[i].refusal),
						 closings[i].wanted);
			audit(world);
			world_free(world);
		}
}

static void accounts_are_looked_up(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		u128 named = account_with(world, (struct account_spec){ .kind = ACCOUNT_MEMBER, .member = STR("alice"),
									.program = STR("gold"), .has_ceiling = true,
									.ceiling = 50 });
		u128 liability = account_with(world, (struct account_spec){ .kind = ACCOUNT_LIABILITY });
		struct account_view views[3] = { { .id = named }, { .id = liability }, { .id = 12345 } };
		struct buf texts;
		assert_true(named == account_id_of_member(NORTH, STR("alice"), STR("gold"), POINTS));
		done(world, move(liability, named, 40));
		world_lookup(world, views, 3, &texts);
		assert_true(views[0].found && views[1].found && !views[2].found);
		assert_true(views[0].credits_posted == 40 && views[1].debits_posted == 40);
		assert_true(views[0].floor == 0 && views[0].ceiling == 50 && views[0].kind == ACCOUNT_MEMBER);
		assert_true(views[1].floor == NO_FLOOR && views[1].ceiling == NO_CEILING &&
			    views[1].kind == ACCOUNT_LIABILITY);
		assert_true(views[0].last_lsn && !views[1].last_lsn && views[0].created_ms == world->now_ms);
		assert_true(str_eq((struct str){ texts.ptr + views[0].member_at, views[0].member_len }, STR("alice")));
		assert_true(str_eq((struct str){ texts.ptr + views[0].program_at, views[0].program_len }, STR("gold")));
		for (unsigned i = 0; i < 2; i++) {
			assert_true(str_eq((struct str){ texts.ptr + views[i].tenant_at, views[i].tenant_len }, NORTH));
			assert_true(str_eq((struct str){ texts.ptr + views[i].unit_at, views[i].unit_len }, POINTS));
		}
		struct ledger_request book;
		assert_true(world_book(world, NORTH, POINTS, &book));
		assert_true(book.sums[ACCOUNT_MEMBER][1] == 40 && book.sums[ACCOUNT_LIABILITY][0] == 40);
		assert_int_equal(book.accounts[ACCOUNT_MEMBER], 1);
		assert_false(world_book(world, NORTH, STR("stamps"), &book));
		assert_false(world_book(world, STR("south"), POINTS, &book));
		buf_free(&texts);
		world_free(world);
	}
}

/* ---- no room ---------------------------------------------------------------------------------------------------- */

static void no_room_no_change(void **unused)
{
	(void)unused;
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *world = world_new(shard_counts[s], 5);
		u128 debit = raw_new(world), credit = raw_new(world);
		u128 sliced = account_with(world, (struct account_spec){ .kind = ACCOUNT_REDEEMED });
		struct transfer_row first = move(debit, credit, 10), of_slice = move(credit, sliced, 1),
				    rows[3] = { move(debit, credit, 1), move(debit, credit, 0), first };
		struct model_reply replies[3];
		struct account_spec spec = { .id = id_new(), .tenant = NORTH, .unit = POINTS };
		done(world, first);
		uint64_t end = world_end(world);
		world->disk_full = true;
		world_transfers(world, (const unsigned char *)rows, 3, false, replies);
		assert_int_equal(replies[0].refusal, REFUSED_DISK_FULL);
		world_accounts(world, &spec, 1);
		assert_int_equal(spec.refusal, REFUSED_DISK_FULL);
		assert_int_equal(world_end(world), end);
		assert_int_equal(balance_of(world, credit), 10);
		world->disk_full = false;
		for (unsigned i = 0; i < world->shard_count; i++)
			world->shards[i].memory_limit = 1;
		world_transfers(world, (const unsigned char *)rows, 3, false, replies);
		assert_int_equal(replies[0].refusal, REFUSED_MEMORY_FULL);
		assert_int_equal(replies[1].refusal, REFUSED_AMOUNT_MUST_NOT_BE_ZERO);
		assert_int_equal(replies[2].refusal, REFUSAL_NONE);
		world_accounts(world, &spec, 1);
		assert_int_equal(spec.refusal, REFUSED_MEMORY_FULL);
		/* Nor is a slice made for a row that is refused, alone or in a chain. */
		for (unsigned linked = 0; linked < 2; linked++) {
			struct transfer_row both[2] = { of_slice, move(credit, sliced, 2) };
			both[0].flags = linked ? TRANSFER_LINKED : 0;
			world_transfers(world, (const unsigned char *)both, 2, false, replies);
			assert_int_equal(replies[0].refusal, REFUSED_MEMORY_FULL);
		}
		assert_int_equal(world_end(world), end);
		for (unsigned i = 0; i < world->shard_count; i++)
			world->shards[i].memory_limit = 0;
		world_transfers(world, (const unsigned char *)rows, 3, false, replies);
		assert_int_equal(replies[0].refusal, REFUSAL_NONE);
		world_accounts(world, &spec, 1);
		assert_int_equal(spec.refusal, REFUSAL_NONE);
		assert_int_equal(balance_of(world, credit), 11);
		audit(world);
		world_free(world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_are_a_table),
		cmocka_unit_test(smallest_reason_wins),
		cmocka_unit_test(chains_stand_or_fall),
		cmocka_unit_test(full_batches),
		cmocka_unit_test(chains_fit_a_frame),
		cmocka_unit_test(timeouts_run_out),
		cmocka_unit_test(pending_transfers_end_once),
		cmocka_unit_test(sums_have_an_end),
		cmocka_unit_test(accounts_are_refused),
		cmocka_unit_test(accounts_are_looked_up),
		cmocka_unit_test(no_room_no_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
