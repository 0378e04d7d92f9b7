// SPDX-License-Identifier: Apache-2.0
/* test_ledger.c - the ledger over MessagePack-RPC: refusals and their order, pending transfers, chains, balancing, limits,
 * closing, repeats, as-of balances, history.  The same replies are expected with any number of shards. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/api/calls.h"

/* Accounts that most tests begin with. */
enum {
	LIABILITY = 1, REDEEMED, ANNA, BEN, RAW, CEILED, FLOORED, STAMPS, OTHER_TENANT, CLOSED, STAMP_LIABILITY, CLOSED_TOO,
	NOBODY = 998, NOBODY_ELSE      /* never made */
};

static uint64_t next_id;

static void world(void)
{
	calls_begin();
	next_id = 10000;
	NO_RESULTS(call_ok("ledger.create_accounts",
			   "[[{'id':'#1','tenant':'@','unit':'points','kind':'liability'},"
			   "{'id':'#2','tenant':'@','unit':'points','kind':'redeemed'},"
			   "{'id':'#3','tenant':'@','unit':'points','kind':'member'},"
			   "{'id':'#4','tenant':'@','unit':'points','kind':'member'},"
			   "{'id':'#5','tenant':'@','unit':'points','kind':'raw'},"
			   "{'id':'#6','tenant':'@','unit':'points','kind':'raw','ceiling':100},"
			   "{'id':'#7','tenant':'@','unit':'points','kind':'raw','floor':-50},"
			   "{'id':'#8','tenant':'@','unit':'stamps','kind':'raw'},"
			   "{'id':'#9','tenant':'@other','unit':'points','kind':'raw'},"
			   "{'id':'#10','tenant':'@','unit':'points','kind':'raw'},"
			   "{'id':'#11','tenant':'@','unit':'stamps','kind':'liability'},"
			   "{'id':'#12','tenant':'@','unit':'points','kind':'raw'}]]"));
	NO_RESULTS(call_ok("ledger.close_accounts", "[['#10','#12']]"));
}

static u128 id_new(void)
{
	return calls_id(next_id++);
}

static struct transfer_row row_of(uint64_t debit, uint64_t credit, uint64_t amount)
{
	return (struct transfer_row){ .id = id_new(), .debit = calls_id(debit), .credit = calls_id(credit), .amount = amount,
				      .code = 1 };
}

static struct transfer_row end_of(uint16_t flag, u128 pending, uint64_t amount)
{
	return (struct transfer_row){ .id = id_new(), .debit = pending, .amount = amount, .flags = flag };
}

static void done(struct transfer_row row)
{
	enum refusal refusal = row_send(row);
	if (refusal)
		fail_msg("refused: %s", refusal_name(refusal));
}

static void refused_as(enum refusal expected, struct transfer_row row)
{
	enum refusal refusal = row_send(row);
	if (refusal != expected)
		fail_msg("expected %s, got %s", refusal_name(expected), refusal_name(refusal));
}

/* debits_posted, credits_posted, debits_pending, credits_pending, balance. */
static void sums_are(uint64_t account, int64_t debits, int64_t credits, int64_t debits_pending, int64_t credits_pending)
{
	yyjson_val *view = yyjson_arr_get_first(call_ok("ledger.lookup_accounts", textf("[['#%llu']]", (unsigned long long)account)));
	assert_int_equal(int_at(view, "/debits_posted"), debits);
	assert_int_equal(int_at(view, "/credits_posted"), credits);
	assert_int_equal(int_at(view, "/debits_pending"), debits_pending);
	assert_int_equal(int_at(view, "/credits_pending"), credits_pending);
	assert_int_equal(int_at(view, "/balance"), credits - debits);
}

static void book_balances(void)
{
	yyjson_val *total = json_at(call_ok("ledger.book", "[{'tenant':'@','unit':'points'}]"), "/total");
	assert_int_equal(int_at(total, "/balance"), 0);
	assert_int_equal(int_at(total, "/debits_pending"), int_at(total, "/credits_pending"));
}

static void state_is(u128 id, const char *state)
{
	yyjson_val *found = yyjson_arr_get_first(call_ok("ledger.lookup_transfers",
							 textf("[['#%llu']]", (unsigned long long)(id - calls_base))));
	if (yyjson_is_null(found) || strcmp(text_at(found, "/state"), state) != 0)
		fail_msg("expected %s: %s", state, last_reply()->body.ptr);
}

/* ---- refusals --------------------------------------------------------------------------------------------------------- */

/* What may be wrong with a row; rows of one kind are combined two by two where they touch different fields. */
enum field { F_ID = 1, F_DEBIT = 2, F_CREDIT = 4, F_AMOUNT = 8, F_CODE = 16, F_FLAGS = 32, F_TIMEOUT = 64 };

struct wrong {
	enum refusal refusal;
	unsigned fields;
	void (*make)(struct transfer_row *row);
};

static u128 pending_open, pending_posted, pending_voided, plain;       /* of the running test */

static void flag_reserved(struct transfer_row *row) { row->flags |= 64; }
static void flags_both(struct transfer_row *row) { row->flags |= TRANSFER_PENDING | TRANSFER_POST; }
static void flags_end_both(struct transfer_row *row) { row->flags |= TRANSFER_POST | TRANSFER_VOID; }
static void id_zero(struct transfer_row *row) { row->id = 0; }
static void id_max(struct transfer_row *row) { row->id = U128_MAX; }
static void debit_zero(struct transfer_row *row) { row->debit = 0; }
static void debit_max(struct transfer_row *row) { row->debit = U128_MAX; }
static void debit_own(struct transfer_row *row) { row->debit = row->id; }
static void credit_zero(struct transfer_row *row) { row->credit = 0; }
static void credit_max(struct transfer_row *row) { row->credit = U128_MAX; }
static void credit_given(struct transfer_row *row) { row->credit = calls_id(BEN); }
static void same(struct transfer_row *row) { row->credit = row->debit; }
static void timeout_given(struct transfer_row *row) { row->timeout = 60; }
static void amount_zero(struct transfer_row *row) { row->amount = 0; }
static void debit_unknown(struct transfer_row *row) { row->debit = calls_id(NOBODY); }
static void credit_unknown(struct transfer_row *row) { row->credit = calls_id(NOBODY_ELSE); }
static void credit_foreign(struct transfer_row *row) { row->credit = calls_id(OTHER_TENANT); }
static void credit_unit(struct transfer_row *row) { row->credit = calls_id(STAMPS); }
static void balance_sliced(struct transfer_row *row)
{
	row->debit = calls_id(LIABILITY);
	row->flags |= TRANSFER_BALANCING_DEBIT;
}
static void debit_closed(struct transfer_row *row) { row->debit = calls_id(CLOSED); }
static void credit_closed(struct transfer_row *row) { row->credit = calls_id(CLOSED_TOO); }
static void debit_floor(struct transfer_row *row)
{
	row->debit = calls_id(FLOORED);
	row->amount = 1000;
}
static void credit_ceiling(struct transfer_row *row)
{
	row->credit = calls_id(CEILED);
	row->amount = 1000;
}
static void pending_unknown(struct transfer_row *row) { row->debit = calls_id(NOBODY); }
static void pending_plain(struct transfer_row *row) { row->debit = plain; }
static void pending_was_posted(struct transfer_row *row) { row->debit = pending_posted; }
static void pending_was_voided(struct transfer_row *row) { row->debit = pending_voided; }
static void code_other(struct transfer_row *row) { row->code = 9; }
static void amount_more(struct transfer_row *row) { row->amount = 31; }
static void void_amount_other(struct transfer_row *row) { row->amount = 29; }

static const struct wrong plain_wrongs[] = {
	{ REFUSED_RESERVED_FLAG, F_FLAGS, flag_reserved },
	{ REFUSED_FLAGS_ARE_MUTUALLY_EXCLUSIVE, F_FLAGS, flags_both },
	{ REFUSED_ID_MUST_NOT_BE_ZERO, F_ID, id_zero },
	{ REFUSED_ID_MUST_NOT_BE_INT_MAX, F_ID, id_max },
	{ REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, F_DEBIT, debit_zero },
	{ REFUSED_DEBIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, F_DEBIT, debit_max },
	{ REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_ZERO, F_CREDIT, credit_zero },
	{ REFUSED_CREDIT_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, F_CREDIT, credit_max },
	{ REFUSED_ACCOUNTS_MUST_BE_DIFFERENT, F_DEBIT | F_CREDIT, same },
	{ REFUSED_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER, F_TIMEOUT, timeout_given },
	{ REFUSED_AMOUNT_MUST_NOT_BE_ZERO, F_AMOUNT, amount_zero },
	{ REFUSED_DEBIT_ACCOUNT_NOT_FOUND, F_DEBIT, debit_unknown },
	{ REFUSED_CREDIT_ACCOUNT_NOT_FOUND, F_CREDIT, credit_unknown },
	{ REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_TENANT, F_CREDIT, credit_foreign },
	{ REFUSED_ACCOUNTS_MUST_HAVE_THE_SAME_UNIT, F_CREDIT, credit_unit },
	{ REFUSED_SLICED_ACCOUNT_CANNOT_BALANCE, F_DEBIT | F_FLAGS, balance_sliced },
	{ REFUSED_DEBIT_ACCOUNT_CLOSED, F_DEBIT, debit_closed },
	{ REFUSED_CREDIT_ACCOUNT_CLOSED, F_CREDIT, credit_closed },
	{ REFUSED_EXCEEDS_FLOOR, F_DEBIT | F_AMOUNT, debit_floor },
	{ REFUSED_EXCEEDS_CEILING, F_CREDIT | F_AMOUNT, credit_ceiling },
};

static const struct wrong end_wrongs[] = {
	{ REFUSED_RESERVED_FLAG, F_FLAGS, flag_reserved },
	{ REFUSED_FLAGS_ARE_MUTUALLY_EXCLUSIVE, F_FLAGS, flags_end_both },
	{ REFUSED_ID_MUST_NOT_BE_ZERO, F_ID, id_zero },
	{ REFUSED_ID_MUST_NOT_BE_INT_MAX, F_ID, id_max },
	{ REFUSED_PENDING_ID_MUST_NOT_BE_ZERO, F_DEBIT, debit_zero },
	{ REFUSED_PENDING_ID_MUST_NOT_BE_INT_MAX, F_DEBIT, debit_max },
	{ REFUSED_PENDING_ID_MUST_BE_DIFFERENT, F_DEBIT | F_ID, debit_own },
	{ REFUSED_CREDIT_ACCOUNT_ID_MUST_BE_ZERO, F_CREDIT, credit_given },
	{ REFUSED_TIMEOUT_RESERVED_FOR_PENDING_TRANSFER, F_TIMEOUT, timeout_given },
	{ REFUSED_PENDING_TRANSFER_NOT_FOUND, F_DEBIT, pending_unknown },
	{ REFUSED_PENDING_TRANSFER_NOT_PENDING, F_DEBIT, pending_plain },
	{ REFUSED_PENDING_TRANSFER_ALREADY_POSTED, F_DEBIT, pending_was_posted },
	{ REFUSED_PENDING_TRANSFER_ALREADY_VOIDED, F_DEBIT, pending_was_voided },
	{ REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_CODE, F_CODE, code_other },
	{ REFUSED_EXCEEDS_PENDING_TRANSFER_AMOUNT, F_AMOUNT, amount_more },
};

static const struct wrong void_wrongs[] = {
	{ REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_CODE, F_CODE, code_other },
	{ REFUSED_PENDING_TRANSFER_HAS_DIFFERENT_AMOUNT, F_AMOUNT, void_amount_other },
};

static struct transfer_row plain_base(void) { return row_of(RAW, ANNA, 5); }
static struct transfer_row post_base(void) { return end_of(TRANSFER_POST, pending_open, 0); }
static struct transfer_row void_base(void) { return end_of(TRANSFER_VOID, pending_open, 0); }

/* Whether the refusal used the id up: a row that is fine then says so. */
static void burns_as_declared(u128 id, enum refusal refusal)
{
	struct transfer_row row = row_of(RAW, BEN, 1);
	if (id == 0 || id == U128_MAX)
		return;
	row.id = id;
	refused_as(refusal_burns(refusal) ? REFUSED_ID_ALREADY_FAILED : REFUSAL_NONE, row);
	state_is(id, refusal_burns(refusal) ? "failed" : "posted");
}

static void wrongs_in_order(const struct wrong *wrongs, size_t count, struct transfer_row (*base)(void))
{
	for (size_t a = 0; a < count; a++)
		for (size_t b = a; b < count; b++) {
			if (a != b && (wrongs[a].fields & wrongs[b].fields))
				continue;
			struct transfer_row row = base();
			wrongs[a].make(&row);
			wrongs[b].make(&row);
			enum refusal refusal = row_send(row);
			if (refusal != wrongs[a].refusal)
				fail_msg("%s and %s together: expected the first, got %s", refusal_name(wrongs[a].refusal),
					 refusal_name(wrongs[b].refusal), refusal_name(refusal));
			burns_as_declared(row.id, refusal);
		}
}

static void refuses_in_order(void **state)
{
	(void)state;
	world();
	wrongs_in_order(plain_wrongs, COUNT_OF(plain_wrongs), plain_base);
	struct transfer_row row = row_of(RAW, ANNA, 30);
	row.flags = TRANSFER_PENDING;
	pending_open = row.id;
	done(row);
	row = row_of(RAW, ANNA, 30);
	row.flags = TRANSFER_PENDING;
	pending_posted = row.id;
	done(row);
	done(end_of(TRANSFER_POST, pending_posted, 0));
	row = row_of(RAW, ANNA, 30);
	row.flags = TRANSFER_PENDING;
	pending_voided = row.id;
	done(row);
	done(end_of(TRANSFER_VOID, pending_voided, 0));
	row = row_of(RAW, ANNA, 30);
	plain = row.id;
	done(row);
	wrongs_in_order(end_wrongs, COUNT_OF(end_wrongs), post_base);
	wrongs_in_order(void_wrongs, COUNT_OF(void_wrongs), void_base);
	state_is(pending_open, "pending");
	book_balances();
}

static void refuses_overflow(void **state)
{
	(void)state;
	world();
	done(row_of(RAW, BEN, INT64_MAX));
	refused_as(REFUSED_OVERFLOWS_DEBITS, row_of(RAW, ANNA, 1));
	refused_as(REFUSED_OVERFLOWS_CREDITS, row_of(LIABILITY, BEN, 1));
	refused_as(REFUSED_OVERFLOWS_DEBITS, row_of(FLOORED, CEILED, UINT64_MAX));
	/* A tenant account's sums have 128 bits. */
	done(row_of(LIABILITY, ANNA, INT64_MAX));
	NO_RESULTS(call_ok("ledger.create_accounts", "[[{'id':'#50','tenant':'@','unit':'points','kind':'raw'},"
						     "{'id':'#51','tenant':'@','unit':'points','kind':'raw'}]]"));
	done(row_of(LIABILITY, 50, INT64_MAX));
	done(row_of(LIABILITY, 51, INT64_MAX));
	yyjson_val *view = yyjson_arr_get_first(call_ok("ledger.lookup_accounts", "[['#1']]"));
	assert_string_equal(text_at(view, "/debits_posted"), "$fdffffffffffff7f0100000000000000");
	assert_string_equal(text_at(view, "/balance"), "$0300000000000080feffffffffffffff");
	book_balances();
}

static void refuses_chains(void **state)
{
	(void)state;
	world();
	struct transfer_row rows[4] = { row_of(RAW, ANNA, 5), row_of(RAW, ANNA, 6), row_of(RAW, ANNA, 0), row_of(RAW, BEN, 7) };
	rows[0].flags = rows[1].flags = TRANSFER_LINKED;
	RESULTS(call_rows(rows, 4), { 0, REFUSED_LINKED_EVENT_FAILED }, { 1, REFUSED_LINKED_EVENT_FAILED },
		{ 2, REFUSED_AMOUNT_MUST_NOT_BE_ZERO });
	sums_are(ANNA, 0, 0, 0, 0);
	sums_are(BEN, 0, 7, 0, 0);
	/* The reason may lie in an earlier row; the last row of an open chain says so whatever else is wrong. */
	struct transfer_row open[2] = { row_of(RAW, ANNA, 0), row_of(RAW, ANNA, 0) };
	open[0].flags = open[1].flags = TRANSFER_LINKED;
	RESULTS(call_rows(open, 2), { 0, REFUSED_LINKED_EVENT_FAILED }, { 1, REFUSED_LINKED_EVENT_CHAIN_OPEN });
	/* The second row sees what the first did; both are taken back. */
	struct transfer_row floor[3] = { row_of(LIABILITY, ANNA, 10), row_of(ANNA, BEN, 10), row_of(ANNA, BEN, 1) };
	floor[0].flags = floor[1].flags = TRANSFER_LINKED;
	RESULTS(call_rows(floor, 3), { 0, REFUSED_LINKED_EVENT_FAILED }, { 1, REFUSED_LINKED_EVENT_FAILED },
		{ 2, REFUSED_EXCEEDS_FLOOR });
	sums_are(ANNA, 0, 0, 0, 0);
	floor[2].amount = 0;
	floor[1].flags = 0;
	floor[2].id = id_new();
	RESULTS(call_rows(floor, 3), { 2, REFUSED_AMOUNT_MUST_NOT_BE_ZERO });
	sums_are(BEN, 0, 17, 0, 0);
	/* The chain again, whole: it stands already, and so does its twin with a row that differs fail as a whole. */
	NO_RESULTS(call_rows(floor, 2));
	floor[1].amount = 11;
	RESULTS(call_rows(floor, 2), { 0, REFUSED_LINKED_EVENT_FAILED }, { 1, REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT });
	sums_are(BEN, 0, 17, 0, 0);
	/* A known row behind the one that failed is not looked at: its balances are those of now, nobody else's. */
	struct transfer_row behind[2] = { row_of(BEN, ANNA, 1000), row_of(RAW, BEN, 5) };
	done(behind[1]);
	done(row_of(RAW, BEN, 1));
	behind[0].flags = TRANSFER_LINKED;
	for (int i = 1; i <= 2; i++) {
		struct transfer_row others[2] = { row_of(LIABILITY, RAW, 4711), row_of(LIABILITY, RAW, 4711) };
		NO_RESULTS(call_rows(others, 2));      /* numbers that must not come back below */
		behind[0].id = id_new();
		yyjson_val *result = call_rows(behind, 2);
		RESULTS(result, { 0, REFUSED_EXCEEDS_FLOOR }, { 1, REFUSED_LINKED_EVENT_FAILED });
		json_is(result, "/balances", textf("[[23,0],[%d,23]]", 9422 * i - 13));
	}
	sums_are(BEN, 0, 23, 0, 0);
	book_balances();
}

/* ---- repeats ---------------------------------------------------------------------------------------------------------- */

static void repeats_say_what_differs(void **state)
{
	(void)state;
	world();
	struct transfer_row first = row_of(LIABILITY, ANNA, 40), again, pending = row_of(ANNA, BEN, 10), post;
	done(first);
	pending.flags = TRANSFER_PENDING;
	pending.timeout = 3600;
	done(pending);
	post = end_of(TRANSFER_POST, pending.id, 4);
	done(post);
	static const enum refusal expected[] = {
		REFUSED_EXISTS_WITH_DIFFERENT_FLAGS, REFUSED_EXISTS_WITH_DIFFERENT_DEBIT_ACCOUNT_ID,
		REFUSED_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID, REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT,
		REFUSED_EXISTS_WITH_DIFFERENT_CODE };
	/* From the last difference to the first: each time one more, and the smallest number is the answer. */
	again = first;
	for (int i = 4; i >= 0; i--) {
		switch (i) {
		case 4: again.code++; break;
		case 3: again.amount++; break;
		case 2: again.credit = calls_id(BEN); break;
		case 1: again.debit = calls_id(RAW); break;
		default: again.flags = TRANSFER_PENDING; break;
		}
		refused_as(expected[i], again);
	}
	again = pending;
	again.timeout++;
	refused_as(REFUSED_EXISTS_WITH_DIFFERENT_TIMEOUT, again);
	again.code++;
	refused_as(REFUSED_EXISTS_WITH_DIFFERENT_CODE, again);
	again = post;
	again.debit = first.id;
	again.amount++;
	refused_as(REFUSED_EXISTS_WITH_DIFFERENT_PENDING_ID, again);
	again = post;
	again.amount = 0;
	refused_as(REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT, again);
	/* The account that the other row names need not exist. */
	again = first;
	again.credit = calls_id(NOBODY);
	refused_as(REFUSED_EXISTS_WITH_DIFFERENT_CREDIT_ACCOUNT_ID, again);
	done(first);
	done(pending);
	done(post);
	sums_are(ANNA, 4, 40, 0, 0);
	sums_are(BEN, 0, 4, 0, 0);
}

static void repeats_a_batch(void **state)
{
	enum { ROWS = 3000 };
	static struct transfer_row rows[ROWS];
	(void)state;
	world();
	for (unsigned i = 0; i < ROWS; i++)
		rows[i] = row_of(LIABILITY, i % 2 ? ANNA : BEN, 1 + i % 3);
	rows[1500].credit = calls_id(NOBODY);
	yyjson_val *result = call_rows(rows, ROWS);
	RESULTS(result, { 1500, REFUSED_CREDIT_ACCOUNT_NOT_FOUND });
	int64_t last = int_at(result, textf("/balances/%d/1", ROWS - 1));
	rows[7].amount = 99;
	rows[2999].code = 0;
	result = call_rows(rows, ROWS);
	RESULTS(result, { 7, REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT }, { 1500, REFUSED_ID_ALREADY_FAILED },
		{ 2999, REFUSED_EXISTS_WITH_DIFFERENT_CODE });
	/* A repeat's balances are those of the first time. */
	assert_int_equal(int_at(result, "/balances/0/1"), 1);
	assert_int_equal(int_at(result, textf("/balances/%d/1", ROWS - 2)), int_at(result, textf("/balances/%d/1", ROWS - 4)) + 2);
	assert_true(last > 0);
	/* Half known, half new, in one batch, in the order of the rows. */
	for (unsigned i = 1; i < ROWS; i += 2)
		rows[i] = row_of(LIABILITY, ANNA, 1);
	rows[7].amount = 0;
	rows[1500].amount = 77;
	RESULTS(call_rows(rows, ROWS), { 7, REFUSED_AMOUNT_MUST_NOT_BE_ZERO }, { 1500, REFUSED_ID_ALREADY_FAILED });
	/* The same id twice in one batch: the second is a repeat of the first. */
	struct transfer_row twice[3] = { row_of(LIABILITY, ANNA, 5), row_of(LIABILITY, ANNA, 5), row_of(LIABILITY, ANNA, 6) };
	twice[1].id = twice[2].id = twice[0].id;
	RESULTS(call_rows(twice, 3), { 2, REFUSED_EXISTS_WITH_DIFFERENT_AMOUNT });
	book_balances();
}

/* ---- pending ---------------------------------------------------------------------------------------------------------- */

static void posts_and_voids(void **state)
{
	(void)state;
	world();
	done(row_of(LIABILITY, ANNA, 100));
	struct transfer_row hold = row_of(ANNA, REDEEMED, 60), other = row_of(ANNA, BEN, 41);
	hold.flags = TRANSFER_PENDING;
	done(hold);
	sums_are(ANNA, 0, 100, 60, 0);
	sums_are(REDEEMED, 0, 0, 0, 60);
	/* What is reserved counts against the floor. */
	refused_as(REFUSED_EXCEEDS_FLOOR, other);
	struct transfer_row post = end_of(TRANSFER_POST, hold.id, 25);
	done(post);
	sums_are(ANNA, 25, 100, 0, 0);
	sums_are(REDEEMED, 0, 25, 0, 0);
	state_is(hold.id, "posted");
	state_is(post.id, "posted");
	refused_as(REFUSED_PENDING_TRANSFER_ALREADY_POSTED, end_of(TRANSFER_VOID, hold.id, 0));
	hold = row_of(ANNA, BEN, 75);
	hold.flags = TRANSFER_PENDING;
	done(hold);
	sums_are(BEN, 0, 0, 0, 75);
	struct transfer_row release = end_of(TRANSFER_VOID, hold.id, 75);
	done(release);
	state_is(hold.id, "voided");
	state_is(release.id, "voided");
	sums_are(ANNA, 25, 100, 0, 0);
	sums_are(BEN, 0, 0, 0, 0);
	yyjson_val *found = yyjson_arr_get_first(call_ok("ledger.lookup_transfers",
							 textf("[['#%llu']]", (unsigned long long)(post.id - calls_base))));
	assert_int_equal(int_at(found, "/amount"), 25);
	assert_string_equal(text_at(found, "/debit"), "#3");
	assert_string_equal(text_at(found, "/credit"), "#2");
	book_balances();
}

static void expires(void **state)
{
	(void)state;
	world();
	done(row_of(LIABILITY, ANNA, 100));
	struct transfer_row hold = row_of(ANNA, BEN, 100), kept = row_of(LIABILITY, BEN, 5);
	hold.flags = kept.flags = TRANSFER_PENDING;
	hold.timeout = 1;
	kept.timeout = 1000;
	done(hold);
	done(kept);
	state_is(hold.id, "pending");
	time_t patience = time(NULL) + 60;
	for (;;) {
		yyjson_val *found = yyjson_arr_get_first(call_ok("ledger.lookup_transfers",
								 textf("[['#%llu']]", (unsigned long long)(hold.id - calls_base))));
		if (strcmp(text_at(found, "/state"), "expired") == 0)
			break;
		if (time(NULL) > patience)
			fail_msg("it never expired");
		usleep(20000);
	}
	sums_are(ANNA, 0, 100, 0, 0);
	sums_are(BEN, 0, 0, 0, 5);
	refused_as(REFUSED_PENDING_TRANSFER_EXPIRED, end_of(TRANSFER_POST, hold.id, 0));
	refused_as(REFUSED_PENDING_TRANSFER_EXPIRED, end_of(TRANSFER_VOID, hold.id, 0));
	done(row_of(ANNA, BEN, 100));
	/* The history has its end. */
	yyjson_val *history = call_ok("ledger.account_transfers", "[{'id':'#3'}]");
	assert_int_equal(size_of(json_at(history, "/transfers")), 4);
	assert_true(bool_at(history, "/transfers/2/expired"));
	assert_int_equal(int_at(history, "/transfers/2/amount"), 100);
	assert_int_equal(int_at(history, "/transfers/2/balance"), 100);
	book_balances();
}

/* ---- balancing, limits, closing ------------------------------------------------------------------------------------------ */

static void balances_to_the_limits(void **state)
{
	(void)state;
	world();
	done(row_of(LIABILITY, ANNA, 30));
	struct transfer_row row = row_of(ANNA, BEN, 50);
	row.flags = TRANSFER_BALANCING_DEBIT;
	yyjson_val *result = call_rows(&row, 1);
	NO_RESULTS(result);
	json_is(result, "/balances", "[[0,30]]");
	yyjson_val *found = yyjson_arr_get_first(call_ok("ledger.lookup_transfers",
							 textf("[['#%llu']]", (unsigned long long)(row.id - calls_base))));
	assert_int_equal(int_at(found, "/amount"), 30);
	assert_int_equal(int_at(found, "/requested"), 50);
	done(row);
	row.id = id_new();
	refused_as(REFUSED_EXCEEDS_FLOOR, row);
	/* Up to the ceiling; a floor of its own. */
	row = row_of(FLOORED, CEILED, 1000);
	row.flags = TRANSFER_BALANCING_DEBIT | TRANSFER_BALANCING_CREDIT;
	json_is(call_rows(&row, 1), "/balances", "[[-50,50]]");
	row = row_of(RAW, CEILED, 1000);
	row.flags = TRANSFER_BALANCING_CREDIT;
	json_is(call_rows(&row, 1), "/balances", "[[-50,100]]");
	refused_as(REFUSED_EXCEEDS_CEILING, row_of(RAW, CEILED, 1));
	/* A pending amount for the account counts against its ceiling. */
	done(row_of(CEILED, RAW, 10));
	row = row_of(RAW, CEILED, 6);
	row.flags = TRANSFER_PENDING;
	done(row);
	refused_as(REFUSED_EXCEEDS_CEILING, row_of(RAW, CEILED, 5));
	done(row_of(RAW, CEILED, 4));
	book_balances();
}

static void closes_and_reopens(void **state)
{
	(void)state;
	world();
	done(row_of(LIABILITY, ANNA, 30));
	struct transfer_row hold = row_of(ANNA, BEN, 10), held = row_of(ANNA, BEN, 5);
	hold.flags = held.flags = TRANSFER_PENDING;
	done(hold);
	done(held);
	yyjson_val *result = call_ok("ledger.close_accounts", "[['#3','#999','#1','#3']]");
	RESULTS(result, { 1, REFUSED_ACCOUNT_NOT_FOUND }, { 2, REFUSED_SLICED_ACCOUNT_CANNOT_CLOSE });
	assert_int_equal(int_at(yyjson_arr_get_first(call_ok("ledger.lookup_accounts", "[['#3']]")), "/flags"), 1);
	refused_as(REFUSED_CREDIT_ACCOUNT_CLOSED, row_of(LIABILITY, ANNA, 1));
	refused_as(REFUSED_DEBIT_ACCOUNT_CLOSED, row_of(ANNA, BEN, 1));
	refused_as(REFUSED_DEBIT_ACCOUNT_CLOSED, end_of(TRANSFER_POST, held.id, 0));
	/* Void still releases. */
	done(end_of(TRANSFER_VOID, hold.id, 0));
	NO_RESULTS(call_ok("ledger.reopen_accounts", "[['#3']]"));
	done(end_of(TRANSFER_POST, held.id, 0));
	sums_are(ANNA, 5, 30, 0, 0);
}

/* ---- accounts --------------------------------------------------------------------------------------------------------- */

static void creates_accounts(void **state)
{
	(void)state;
	world();
	/* Again with the same content: fine.  With another: what differs. */
	static const struct { enum refusal refusal; const char *spec; } cases[] = {
		{ REFUSAL_NONE, "{'id':'#3','tenant':'@','unit':'points','kind':'member','floor':0}" },
		{ REFUSAL_NONE, "{'id':'#1','tenant':'@','unit':'points','kind':'liability','floor':null,'ceiling':null}" },
		{ REFUSED_ACCOUNT_ID_MUST_NOT_BE_ZERO, "{'tenant':'@','unit':'points','kind':'raw'}" },
		{ REFUSED_ACCOUNT_ID_MUST_NOT_BE_ZERO, "{'id':'#=0','tenant':'@','unit':'points','kind':'raw','flags':2}" },
		{ REFUSED_ACCOUNT_ID_MUST_NOT_BE_INT_MAX, "{'id':'#-1','tenant':'@','unit':'points','flags':2}" },
		{ REFUSED_ACCOUNT_ID_RESERVED, "{'id':'$0000000000000000000000000000feff','tenant':'@','unit':'points','flags':2}" },
		{ REFUSED_ACCOUNT_FLAGS_RESERVED, "{'id':'#60','tenant':'@','unit':'points','flags':2,'floor':2,'ceiling':1}" },
		{ REFUSED_ACCOUNT_FLOOR_ABOVE_CEILING, "{'id':'#60','tenant':'@','unit':'points','floor':2,'ceiling':1}" },
		{ REFUSED_SLICED_ACCOUNT_HAS_NO_LIMITS, "{'id':'#60','tenant':'@','unit':'points','kind':'expired','floor':2,'flags':1}" },
		{ REFUSED_SLICED_ACCOUNT_CANNOT_CLOSE, "{'id':'#60','tenant':'@','unit':'points','kind':'expired','flags':['closed']}" },
		{ REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_TENANT, "{'id':'#3','tenant':'@x','unit':'stamps','kind':'raw','floor':1}" },
		{ REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_UNIT, "{'id':'#3','tenant':'@','unit':'stamps','kind':'raw','floor':1}" },
		{ REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_KIND, "{'id':'#3','tenant':'@','unit':'points','kind':'raw','floor':1}" },
		{ REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_LIMITS, "{'id':'#3','tenant':'@','unit':'points','kind':'member','floor':1,'flags':1}" },
		{ REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_FLAGS, "{'id':'#3','tenant':'@','unit':'points','kind':'member','flags':1}" },
		{ REFUSED_SLICED_ACCOUNT_HAS_ANOTHER_ID, "{'id':'#60','tenant':'@','unit':'points','kind':'liability'}" },
		{ REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_KIND, "{'id':'#1','tenant':'@','unit':'points','kind':'redeemed'}" },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		yyjson_val *results = json_at(call_ok("ledger.create_accounts", textf("[[%s]]", cases[i].spec)), "/results");
		enum refusal refusal = size_of(results) ? (enum refusal)int_at(results, "/0/1") : REFUSAL_NONE;
		if (refusal != cases[i].refusal)
			fail_msg("%s: expected %s, got %s", cases[i].spec, refusal_name(cases[i].refusal), refusal_name(refusal));
	}
	/* An id that follows from the names, and the account by its names. */
	yyjson_val *result = call_ok("ledger.create_accounts", "[[{'tenant':'@','unit':'points','member':'carl'},"
								 "{'tenant':'@','unit':'points','member':'carl','program':'gold'}]]");
	NO_RESULTS(result);
	char id[40];
	snprintf(id, sizeof id, "%s", text_at(result, "/ids/0"));
	assert_string_not_equal(id, text_at(result, "/ids/1"));
	assert_memory_equal(id + 29, "feff", 4);
	result = call_ok("ledger.lookup_accounts",
			 textf("[['%s',{'tenant':'@','unit':'points','member':'carl','program':'gold'},"
			       "{'tenant':'@','unit':'points','kind':'liability'},'#999']]", id));
	assert_string_equal(text_at(result, "/0/member"), "carl");
	assert_string_equal(text_at(result, "/0/program"), "default");
	assert_int_equal(int_at(result, "/0/floor"), 0);
	assert_string_equal(text_at(result, "/1/program"), "gold");
	assert_string_equal(text_at(result, "/2/id"), "#1");
	assert_true(yyjson_is_null(json_at(result, "/3")));
	/* No floor at all for a member who asks for none. */
	NO_RESULTS(call_ok("ledger.create_accounts", "[[{'id':'#61','tenant':'@','unit':'points','kind':'member','floor':null}]]"));
	done(row_of(61, ANNA, 5));
}

static void says_what_is_malformed(void **state)
{
	(void)state;
	world();
	static const struct { int64_t index; const char *method, *params; } cases[] = {
		{ -1, "ledger.create_accounts", "[]" },
		{ -1, "ledger.create_accounts", "[[]]" },
		{ -1, "ledger.create_accounts", "[{}]" },
		{ 0, "ledger.create_accounts", "[[7]]" },
		{ 1, "ledger.create_accounts", "[[{'id':'#60','tenant':'@','unit':'p'},{'id':'#61','tenant':'','unit':'p'}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'#60','tenant':'@'}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'#60','tenant':'@','unit':'p','kind':'gold'}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'#60','tenant':'@','unit':'p','colour':1}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'$00','tenant':'@','unit':'p'}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'#60','tenant':'@','unit':'p','floor':'low'}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'#60','tenant':'@','unit':'p','flags':['open']}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'#60','member':'m','tenant':'@','unit':'p'}]]" },
		{ 0, "ledger.create_accounts", "[[{'member':'m','kind':'raw','tenant':'@','unit':'p'}]]" },
		{ 0, "ledger.create_accounts", "[[{'id':'#60','program':'p','tenant':'@','unit':'p'}]]" },
		{ -1, "ledger.create_transfers", "['$00']" },
		{ -1, "ledger.create_transfers", "['$']" },
		{ -1, "ledger.create_transfers", "[[]]" },
		{ -1, "ledger.create_transfers", "[7]" },
		{ 0, "ledger.create_transfers", "[[{'debit':'#1','credit':'#3','amount':1}]]" },
		{ 0, "ledger.create_transfers", "[[{'id':'#70','debit':'#1','credit':'#3','amount':-1}]]" },
		{ 0, "ledger.create_transfers", "[[{'id':'#70','debit':'#1','credit':'#3','amount':1.5}]]" },
		{ 0, "ledger.create_transfers", "[[{'id':'#70','debit':'#1','credit':'#3','amount':1,'code':65536}]]" },
		{ 0, "ledger.create_transfers", "[[{'id':'#70','debit':'#1','credit':'#3','amount':1,'flags':['fast']}]]" },
		{ 0, "ledger.create_transfers", "[[{'id':'#70','debit':'#1','pending_id':'#3','flags':['post']}]]" },
		{ -1, "ledger.create_transfers", "[[{'id':'#70','debit':'#1','credit':'#3','amount':1}],{'slowly':true}]" },
		{ -1, "ledger.create_transfers", "[[{'id':'#70','debit':'#1','credit':'#3','amount':1}],{'balances':1}]" },
		{ 1, "ledger.lookup_accounts", "[['#1','x']]" },
		{ 0, "ledger.lookup_accounts", "[[{'tenant':'@','unit':'points'}]]" },
		{ 0, "ledger.lookup_accounts", "[[{'tenant':'@','unit':'points','kind':'raw'}]]" },
		{ 0, "ledger.lookup_transfers", "[['x']]" },
		{ -1, "ledger.account_transfers", "[{}]" },
		{ -1, "ledger.account_transfers", "[{'id':'#3','limit':8191}]" },
		{ -1, "ledger.account_transfers", "[{'id':'#3','at':'yesterday'}]" },
		{ -1, "ledger.balances", "[{'id':'#3','limit':1}]" },
		{ -1, "ledger.balances", "[{'id':'#3','at':9000000000000000}]" },
		{ -1, "ledger.balances", "[{'id':'#3','at':8,'at_ms':8}]" },
		{ -1, "ledger.book", "[{'tenant':'@'}]" },
	};
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		call_refused(422, "validation_failed", cases[i].index, cases[i].method, cases[i].params);
	call_refused(404, "book_unknown", -1, "ledger.book", "[{'tenant':'@','unit':'karma'}]");
	call_refused(404, "account_not_found", -1, "ledger.balances", "[{'id':'#999'}]");
	call_refused(404, "account_not_found", -1, "ledger.account_transfers", "[{'id':'#999'}]");
	call_refused(422, "sliced_account_has_no_history", -1, "ledger.account_transfers", "[{'id':'#1'}]");
	call_refused(404, "account_not_found", -1, "ledger.balances", "[{'id':'#1','at':8}]");
	/* Too many rows. */
	struct buf text = { 0 };
	buf_lit(&text, "['$");
	for (unsigned i = 0; i < (ROWS_MAX + 1) * 8; i++)
		buf_lit(&text, "0000000000000000");
	buf_lit(&text, "']");
	buf_char(&text, '\0');
	call_refused(422, "validation_failed", -1, "ledger.create_transfers", text.ptr);
	buf_free(&text);
	sums_are(ANNA, 0, 0, 0, 0);
}

static void takes_maps_and_dry_runs(void **state)
{
	(void)state;
	world();
	const char *rows = "[{'id':'#70','debit':'#1','credit':'#3','amount':50,'code':2},"
			   "{'id':'#71','debit':'#3','credit':'#4','amount':60},"
			   "{'id':'#72','debit':'#3','credit':'#4','amount':20,'flags':['pending'],'timeout':100}]";
	yyjson_val *result = call_ok("ledger.create_transfers", textf("[%s,{'dry_run':true,'balances':true}]", rows));
	RESULTS(result, { 1, REFUSED_EXCEEDS_FLOOR });
	json_is(result, "/balances", "[[null,50],[50,0],[50,0]]");
	sums_are(ANNA, 0, 0, 0, 0);
	/* Nothing was used up. */
	result = call_ok("ledger.create_transfers", textf("[%s,{'balances':true}]", rows));
	RESULTS(result, { 1, REFUSED_EXCEEDS_FLOOR });
	json_is(result, "/balances", "[[null,50],[50,0],[50,0]]");
	NO_RESULTS(call_ok("ledger.create_transfers", "[[{'id':'#73','pending_id':'#72','flags':['post']}]]"));
	sums_are(ANNA, 20, 50, 0, 0);
	assert_null(yyjson_obj_get(call_ok("ledger.create_transfers", textf("[%s]", rows)), "balances"));
	/* Small ids as integers. */
	result = call_ok("ledger.lookup_transfers", textf("[[%llu]]", (unsigned long long)calls_id(70)));
	assert_int_equal(int_at(result, "/0/amount"), 50);
}

static void lists_refusals(void **state)
{
	(void)state;
	calls_begin();
	yyjson_val *list = call_ok("ledger.refusals", "[]");
	size_t count = 0;
	for (; refusals[count].number; count++) {
		yyjson_val *entry = yyjson_arr_get(list, count);
		assert_int_equal(int_at(entry, "/number"), refusals[count].number);
		assert_string_equal(text_at(entry, "/name"), refusals[count].name);
		assert_true(*text_at(entry, "/meaning"));
		assert_int_equal(bool_at(entry, "/burns"), refusals[count].burns);
		if (count)
			assert_true(refusals[count].number > refusals[count - 1].number);
	}
	assert_int_equal(size_of(list), count);
}

/* ---- the past --------------------------------------------------------------------------------------------------------- */

enum { STEPS = 25 };

static struct step { int64_t lsn, time_ms, balance, pending; } steps[STEPS];

/* Transfers on ANNA, each in a call of its own, with what was true after it. */
static void steps_make(void)
{
	u128 hold = 0;
	int64_t balance = 0, pending = 0;
	for (int i = 0; i < STEPS; i++) {
		struct transfer_row row = row_of(LIABILITY, ANNA, 10);
		switch (i % 5) {
		case 1:
			row = row_of(ANNA, BEN, 3);
			balance -= 3;
			break;
		case 2:
			row = row_of(ANNA, REDEEMED, 4);
			row.flags = TRANSFER_PENDING;
			hold = row.id;
			pending = 4;
			break;
		case 3:
			row = end_of(i % 2 ? TRANSFER_POST : TRANSFER_VOID, hold, i % 2 ? 2 : 0);
			balance -= i % 2 ? 2 : 0;
			pending = 0;
			break;
		case 4:
			NO_RESULTS(call_ok(i % 2 ? "ledger.reopen_accounts" : "ledger.close_accounts", "[['#10']]"));
			row = row_of(BEN, ANNA, 1);
			balance += 1;
			break;
		default: balance += 10; break;
		}
		yyjson_val *result = call_rows(&row, 1);
		NO_RESULTS(result);
		steps[i] = (struct step){ .lsn = int_at(result, "/lsn"), .balance = balance, .pending = pending };
		yyjson_val *found = yyjson_arr_get_first(call_ok("ledger.lookup_transfers",
								 textf("[['#%llu']]", (unsigned long long)(row.id - calls_base))));
		steps[i].time_ms = int_at(found, "/time");
	}
}

static void as_of_is(const char *at, int64_t balance, int64_t pending)
{
	yyjson_val *view = call_ok("ledger.balances", textf("[{'id':'#3',%s}]", at));
	if (int_at(view, "/balance") != balance || int_at(view, "/debits_pending") != pending)
		fail_msg("%s: expected %lld and %lld pending: %s", at, (long long)balance, (long long)pending, last_reply()->body.ptr);
}

static void balances_as_of(void **state)
{
	(void)state;
	world();
	int64_t before = int_at(call_ok("ledger.balances", "[{'id':'#3'}]"), "/lsn");
	steps_make();
	for (int i = 0; i < STEPS; i++) {
		as_of_is(textf("'at':%lld", (long long)steps[i].lsn), steps[i].balance, steps[i].pending);
		int last = i;
		while (last + 1 < STEPS && steps[last + 1].time_ms == steps[i].time_ms)
			last++;
		as_of_is(textf("'at_ms':%lld", (long long)steps[i].time_ms), steps[last].balance, steps[last].pending);
		if (i && steps[i - 1].time_ms != steps[i].time_ms)
			as_of_is(textf("'at_ms':%lld", (long long)steps[i].time_ms - 1), steps[i - 1].balance, steps[i - 1].pending);
	}
	as_of_is(textf("'at':%lld", (long long)before), 0, 0);
	as_of_is("'at':'2999-01-01T00:00:00Z'", steps[STEPS - 1].balance, steps[STEPS - 1].pending);
	/* Each answer names the account's record that it rests on. */
	yyjson_val *view = call_ok("ledger.balances", textf("[{'id':'#3','at':%lld}]", (long long)steps[7].lsn));
	assert_true(int_at(view, "/lsn") < steps[7].lsn && int_at(view, "/lsn") > steps[6].lsn - 1);
	call_refused(404, "account_not_found", -1, "ledger.balances", textf("[{'id':'#3','at':%lld}]", (long long)before - 8));
	call_refused(404, "account_not_found", -1, "ledger.balances", "[{'id':'#3','at':'1999-01-01T00:00:00Z'}]");
	/* Closed then, open now. */
	int64_t closed = int_at(call_ok("ledger.close_accounts", "[['#3']]"), "/lsn");
	call_ok("ledger.reopen_accounts", "[['#3']]");
	assert_int_equal(int_at(call_ok("ledger.balances", textf("[{'id':'#3','at':%lld}]", (long long)closed)), "/flags"), 1);
	assert_int_equal(int_at(call_ok("ledger.balances", textf("[{'id':'#3','at':%lld}]", (long long)steps[24].lsn)), "/flags"), 0);
	assert_int_equal(int_at(call_ok("ledger.balances", "[{'id':'#3'}]"), "/flags"), 0);
}

static void shows_history(void **state)
{
	int64_t lsns[STEPS];
	(void)state;
	world();
	steps_make();
	yyjson_val *history = call_ok("ledger.account_transfers", "[{'id':'#3'}]"), *list = json_at(history, "/transfers");
	assert_int_equal(size_of(list), STEPS);
	assert_true(yyjson_is_null(json_at(history, "/next")));
	for (int i = 0; i < STEPS; i++) {
		lsns[i] = int_at(yyjson_arr_get(list, (size_t)i), "/lsn");
		assert_int_equal(int_at(yyjson_arr_get(list, (size_t)i), "/balance"), steps[i].balance);
		assert_true(i == 0 || lsns[i] > lsns[i - 1]);
	}
	assert_string_equal(text_at(list, "/0/debit"), "#1");
	assert_string_equal(text_at(list, "/0/credit"), "#3");
	/* Pages both ways give the same list. */
	for (int reverse = 0; reverse < 2; reverse++)
		for (int limit = 1; limit <= 8; limit += 7) {
			int64_t next = 0;
			int seen = 0;
			do {
				const char *from = next ? textf(",'%s':%lld", reverse ? "before" : "after", (long long)next) : "";
				history = call_ok("ledger.account_transfers",
						  textf("[{'id':'#3','limit':%d,'reverse':%s%s}]", limit, reverse ? "true" : "false",
							from));
				list = json_at(history, "/transfers");
				assert_true(size_of(list) <= (size_t)limit);
				for (size_t i = 0; i < size_of(list); i++, seen++)
					assert_int_equal(int_at(yyjson_arr_get(list, i), "/lsn"),
							 lsns[reverse ? STEPS - 1 - seen : seen]);
				next = yyjson_is_null(json_at(history, "/next")) ? 0 : int_at(history, "/next");
			} while (next);
			assert_int_equal(seen, STEPS);
		}
	/* Between two LSNs, both excluded; up to a moment. */
	history = call_ok("ledger.account_transfers",
			  textf("[{'id':'#3','after':%lld,'before':%lld}]", (long long)lsns[4], (long long)lsns[9]));
	assert_int_equal(size_of(json_at(history, "/transfers")), 4);
	assert_int_equal(int_at(history, "/transfers/0/lsn"), lsns[5]);
	history = call_ok("ledger.account_transfers", textf("[{'id':'#3','at':%lld,'reverse':true}]", (long long)steps[9].lsn));
	assert_int_equal(size_of(json_at(history, "/transfers")), 10);
	assert_int_equal(int_at(history, "/transfers/0/lsn"), lsns[9]);
	/* A position that nobody gave out is only a number. */
	history = call_ok("ledger.account_transfers", textf("[{'id':'#3','before':%lld,'reverse':true}]", (long long)lsns[3] + 5));
	assert_int_equal(size_of(json_at(history, "/transfers")), 4);
}

static void events_are_in_the_books(void **state)
{
	(void)state;
	world();
	char brand[32], id[40];
	snprintf(brand, sizeof brand, "T%llu", (unsigned long long)calls_base);
	make_type(brand, "BUY");
	make_rule(NULL, brand, "BUY", 0, NULL, "[{'type':'earn_points_from_amount','rate':1.0,'amount_path':'amount'}]");
	make_type(brand, "SPEND");
	make_rule(NULL, brand, "SPEND", 0, NULL, "[{'type':'burn_points','points':30},{'type':'earn_points','points':1}]");
	yyjson_val *answers = call_ok("events.ingest", "[[{'brand':'@','profileId':'dora','eventType':'BUY','eventId':'e1',"
						       "'source':'POS','payload':{'amount':99.9}},"
						       "{'brand':'@','profileId':'dora','eventType':'SPEND','eventId':'e2'},"
						       "{'brand':'@','profileId':'dora','eventType':'BUY','eventId':'e1',"
						       "'source':'POS','payload':{'amount':98}},"
						       "{'brand':'@','profileId':'dora','eventType':'NONE','eventId':'e3'}]]");
	assert_int_equal(int_at(answers, "/0/points"), 99);
	assert_int_equal(int_at(answers, "/1/points"), 70);
	assert_string_equal(text_at(answers, "/2/name"), "event_id_reused");
	assert_int_equal(int_at(answers, "/2/code"), 409);
	assert_int_equal(int_at(answers, "/3/index"), 3);
	/* The same event over HTTP is a repeat, and has one account with the ledger. */
	assert_true(bool_at(want(200, "POST /transactions", NULL,
				 textf("{'brand':'%s','profileId':'dora','eventType':'BUY','eventId':'e1','source':'POS',"
				       "'payload':{'amount':99.9}}", brand)), "/idempotent"));
	yyjson_val *view = yyjson_arr_get_first(call_ok("ledger.lookup_accounts", "[[{'tenant':'@','unit':'points','member':'dora'}]]"));
	assert_int_equal(int_at(view, "/balance"), 70);
	assert_int_equal(int_at(view, "/debits_posted"), 30);
	snprintf(id, sizeof id, "%s", text_at(view, "/id"));
	NO_RESULTS(call_ok("ledger.create_transfers", textf("[[{'id':'#80','debit':'%s','credit':'#4','amount':70}]]", id)));
	assert_int_equal(wallet(brand, "dora"), 0);
	yyjson_val *history = call_ok("ledger.account_transfers", textf("[{'id':'%s'}]", id));
	assert_int_equal(size_of(json_at(history, "/transfers")), 4);
	json_is(history, "/transfers/0/event", "'e1'");
	assert_string_equal(text_at(history, "/transfers/0/debit"), "#1");
	assert_int_equal(int_at(history, "/transfers/0/amount"), 99);
	assert_string_equal(text_at(history, "/transfers/1/credit"), "#2");
	assert_int_equal(int_at(history, "/transfers/1/amount"), 30);
	assert_int_equal(int_at(history, "/transfers/2/amount"), 1);
	assert_int_equal(int_at(history, "/transfers/2/movement"), 1);
	assert_int_equal(int_at(history, "/transfers/3/balance"), 0);
	history = call_ok("ledger.account_transfers", textf("[{'id':'%s','reverse':true}]", id));
	assert_int_equal(int_at(history, "/transfers/1/amount"), 1);
	assert_int_equal(int_at(history, "/transfers/2/amount"), 30);
	int64_t first = int_at(history, "/transfers/3/lsn");
	view = call_ok("ledger.balances", textf("[{'id':'%s','at':%lld}]", id, (long long)first));
	assert_int_equal(int_at(view, "/balance"), 99);
	/* Burning below the floor fails the rule as before. */
	answers = call_ok("events.ingest", "[[{'brand':'@','profileId':'dora','eventType':'SPEND','eventId':'e9'}]]");
	assert_string_equal(text_at(answers, "/0/executions/0/result"), "FAILED");
	book_balances();
}

/* Everything is there after a crash, and the ids are still known. */
static void survives_a_crash(void **state)
{
	(void)state;
	world();
	steps_make();
	struct transfer_row row = row_of(LIABILITY, ANNA, 10), bad = row_of(BEN, ANNA, 100000), hold = row_of(LIABILITY, BEN, 7);
	hold.flags = TRANSFER_PENDING;
	done(row);
	done(hold);
	refused_as(REFUSED_EXCEEDS_FLOOR, bad);
	struct buf before = { 0 };
	const char *questions[] = { "ledger.lookup_accounts", "[['#1','#2','#3','#4','#5','#8','#10','#999']]",
				    "ledger.account_transfers", "[{'id':'#4'}]" };
	for (size_t i = 0; i < COUNT_OF(questions); i += 2) {
		call_ok(questions[i], questions[i + 1]);
		buf_str(&before, (struct str){ strchr(last_reply()->body.ptr + 3, ','), strlen(strchr(last_reply()->body.ptr + 3, ',')) });
	}
	calls_close();
	ask_close();
	server_kill(&harness_server);
	server_start(&harness_server, harness_shards, NULL);
	struct buf after = { 0 };
	for (size_t i = 0; i < COUNT_OF(questions); i += 2) {
		call_ok(questions[i], questions[i + 1]);
		buf_str(&after, (struct str){ strchr(last_reply()->body.ptr + 3, ','), strlen(strchr(last_reply()->body.ptr + 3, ',')) });
	}
	assert_int_equal(before.len, after.len);
	buf_char(&before, '\0');
	buf_char(&after, '\0');
	/* A tenant account names the LSN that its sums rest on, which has moved; all else is the same. */
	char *lsn_before = strstr(before.ptr, "\"lsn\":"), *lsn_after = strstr(after.ptr, "\"lsn\":");
	assert_int_equal(lsn_before - before.ptr, lsn_after - after.ptr);
	assert_memory_equal(before.ptr, after.ptr, (size_t)(lsn_before - before.ptr));
	done(row);
	refused_as(REFUSED_ID_ALREADY_FAILED, bad);
	done(end_of(TRANSFER_POST, hold.id, 7));
	book_balances();
	buf_free(&before);
	buf_free(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_in_order),
		cmocka_unit_test(refuses_overflow),
		cmocka_unit_test(refuses_chains),
		cmocka_unit_test(repeats_say_what_differs),
		cmocka_unit_test(repeats_a_batch),
		cmocka_unit_test(posts_and_voids),
		cmocka_unit_test(expires),
		cmocka_unit_test(balances_to_the_limits),
		cmocka_unit_test(closes_and_reopens),
		cmocka_unit_test(creates_accounts),
		cmocka_unit_test(says_what_is_malformed),
		cmocka_unit_test(takes_maps_and_dry_runs),
		cmocka_unit_test(lists_refusals),
		cmocka_unit_test(balances_as_of),
		cmocka_unit_test(shows_history),
		cmocka_unit_test(events_are_in_the_books),
		cmocka_unit_test(survives_a_crash),
	};
	return harness_run("ledger", tests, COUNT_OF(tests), NULL);
}
