// SPDX-License-Identifier: Apache-2.0
/* test_past.c - the past from outside: what a tenant owed at moments that were noted when they were the present. */
#include <stdlib.h>
#include <unistd.h>

#include "tests/api/calls.h"

enum { MOMENTS = 24, PADDING = 9000, WAIT_MS = 20000 };

/* What a moment looked like when it was now. */
struct noted { int64_t lsn, points, redeemed, wallet; char time[40]; };

static const char *const options[] = { "--log-segment", "1M", "--log-ring", "256K", NULL };

static char padding[PADDING + 1];

static yyjson_val *liability(int status, const char *tenant, const char *at)
{
	return want(status, at ? textf("GET /v1/tenants/%s/liability?at=%s", tenant, at) : textf("GET /v1/tenants/%s/liability", tenant),
		    NULL, NULL);
}

static void settled(yyjson_val *answer, int64_t points, int64_t redeemed)
{
	assert_int_equal(strtoll(text_at(answer, "/units/0/outstanding"), NULL, 10), points);
	assert_string_equal(text_at(answer, "/units/0/unit"), "points");
	assert_true(yyjson_is_null(json_at(answer, "/units/0/by_month/0/month")));
	assert_int_equal(strtoll(text_at(answer, "/units/0/by_month/0/outstanding"), NULL, 10), points);
	assert_int_equal(strtoll(text_at(answer, "/units/0/proof/members"), NULL, 10), points);
	assert_int_equal(strtoll(text_at(answer, "/units/0/proof/redeemed"), NULL, 10), redeemed);
	assert_int_equal(strtoll(text_at(answer, "/units/0/proof/liability"), NULL, 10), -points - redeemed);
	assert_string_equal(text_at(answer, "/units/0/proof/sum"), "0");
	assert_true(bool_at(answer, "/units/0/proof/holds"));
}

static void rules(const char *brand)
{
	make_type(brand, "EARN");
	make_type(brand, "BURN");
	make_rule((char[32]){ 0 }, brand, "EARN", 0, "null", "[{\"type\":\"earn_points\",\"from_payload\":\"points\"}]");
	make_rule((char[32]){ 0 }, brand, "BURN", 0, "null", "[{\"type\":\"burn_points\",\"from_payload\":\"points\"}]");
}

static yyjson_val *event_again(int status, const char *brand, const char *profile, const char *type, int number, int points)
{
	struct buf body = { 0 };
	buf_printf(&body, "{'brand':'%s','profileId':'%s','eventType':'%s','eventId':'e%d','payload':{'points':%d,'padding':'%s'}}%c",
		   brand, profile, type, number, points, padding, 0);
	yyjson_val *answer = want(status, "POST /transactions", brand, body.ptr);
	buf_free(&body);
	return answer;
}

static int64_t event(const char *brand, const char *profile, const char *type, int number, int points)
{
	return int_at(event_again(201, brand, profile, type, number, points), "/lsn");
}

static int64_t metric(const char *name)
{
	assert_int_equal(ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 })->status, 200);
	const char *at = strstr(last_reply()->body.ptr, textf("\n%s ", name));
	assert_non_null(at);
	return strtoll(at + 2 + strlen(name), NULL, 10);
}

/* Until segments up to there have footers. */
static void footers_wait(int64_t lsn)
{
	for (int waited = 0; metric("tally_footers_lsn") < lsn; waited += 20) {
		assert_true(waited < WAIT_MS);
		usleep(20000);
	}
}

/* A server of the test's own, with small segments. */
static struct server kept, server;

static void begin(const char *const *words)
{
	ask_close();
	kept = harness_server;
	server = (struct server){ 0 };
	server_start(&server, harness_shards, words);
	harness_server = server;
	memset(padding, 'x', PADDING);
}

static void end(void)
{
	ask_close();
	server_stop(&server);
	server_clean(&server);
	harness_server = kept;
}

/* Events over several segments; each moment is noted as it passes. */
static void history_make(const char *brand, struct noted *moments)
{
	int64_t points = 0, redeemed = 0;
	rules(brand);
	for (int i = 0; i < MOMENTS; i++) {
		for (int k = 0; k < 16; k++)
			event(brand, textf("p-%d", k % 5), "EARN", i * 100 + k, 10 + i);
		points += 16 * (10 + i);
		if (i % 3 == 1) {
			event(brand, "p-0", "BURN", i * 100 + 50, 7);
			points -= 7;
			redeemed += 7;
		}
		yyjson_val *now = liability(200, brand, NULL);
		settled(now, points, redeemed);
		moments[i] = (struct noted){ int_at(now, "/lsn"), points, redeemed, 0, "" };
		snprintf(moments[i].time, sizeof moments[i].time, "%s", text_at(now, "/time"));
		moments[i].wallet = wallet(brand, "p-0");
		usleep(3000);
	}
}

static void moments_compare(const char *brand, const struct noted *moments)
{
	for (int i = 0; i < MOMENTS; i++) {
		yyjson_val *then = liability(200, brand, textf("%lld", (long long)moments[i].lsn));
		settled(then, moments[i].points, moments[i].redeemed);
		assert_int_equal(int_at(then, "/lsn"), moments[i].lsn);
		assert_string_equal(text_at(then, "/time"), moments[i].time);
		then = liability(200, brand, moments[i].time);
		settled(then, moments[i].points, moments[i].redeemed);
		assert_true(int_at(then, "/lsn") >= moments[i].lsn);
		then = want(200, textf("GET /wallet/%s/p-0?at=%lld", brand, (long long)moments[i].lsn), brand, NULL);
		assert_int_equal(int_at(then, "/points"), moments[i].wallet);
		assert_int_equal(int_at(then, "/lsn"), moments[i].lsn);
		assert_string_equal(text_at(then, "/time"), moments[i].time);
		then = want(200, textf("GET /customers/%s/p-0/wallet?at=%s", brand, moments[i].time), brand, NULL);
		assert_int_equal(int_at(then, "/points"), moments[i].wallet);
	}
}

static void liability_as_of(void **state)
{
	struct noted moments[MOMENTS];
	(void)state;
	begin(options);
	history_make("OWES", moments);
	moments_compare("OWES", moments);
	footers_wait(moments[MOMENTS - 1].lsn - (1 << 20));
	moments_compare("OWES", moments);
	/* And after a crash, with another number of shards, from the footers that are there. */
	ask_close();
	server_kill(&server);
	server_start(&server, 5 - harness_shards, options);
	harness_server = server;
	moments_compare("OWES", moments);
	/* And where they are gone or damaged. */
	ask_close();
	server_stop(&server);
	char command[3 * HARNESS_PATH_MAX];
	snprintf(command, sizeof command, "cd %s/data/footers && rm 0000000000100000.footer && printf x >> 0000000000200000.footer",
		 server.folder);
	assert_int_equal(system(command), 0);
	server_start(&server, harness_shards, options);
	harness_server = server;
	footers_wait(moments[MOMENTS - 1].lsn - (1 << 20));
	moments_compare("OWES", moments);
	end();
}

static void what_is_not_there(void **state)
{
	(void)state;
	refused(404, "tenant_not_found", NULL, "GET /v1/tenants/NOBODY/liability", NULL, NULL);
	refused(400, "query_invalid", NULL, "GET /v1/tenants/NOBODY/liability?at=yesterday", NULL, NULL);
	refused(400, "query_invalid", NULL, "GET /v1/tenants/NOBODY/liability?at=999999999999", NULL, NULL);
	refused(400, "filter_unknown", NULL, "GET /v1/tenants/NOBODY/liability?when=1", NULL, NULL);
	rules("LATE");
	refused(404, "tenant_not_found", NULL, "GET /v1/tenants/LATE/liability", NULL, NULL);
	event("LATE", "p", "EARN", 1, 5);
	settled(liability(200, "LATE", NULL), 5, 0);
	refused(404, "tenant_not_found", NULL, "GET /v1/tenants/LATE/liability?at=1", NULL, NULL);
	refused(404, "tenant_not_found", NULL, "GET /v1/tenants/LATE/liability?at=2001-01-01T00:00:00Z", NULL, NULL);
	calls_begin();
	settled(call_ok("tenants.liability", "[{\"tenant\":\"LATE\"}]"), 5, 0);
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

/* Goes through all pages: the balance is carried from the opening to the closing one.  How many movements. */
static unsigned statement_walk(const char *where, const char *brand, int64_t opening, int64_t closing, int64_t sign)
{
	char path[200];
	snprintf(path, sizeof path, "%s", where);      /* texts of textf come round again */
	int64_t balance = opening, next = 0;
	unsigned count = 0;
	do {
		yyjson_val *answer = want(200, next ? textf("GET %s&after=%lld", path, (long long)next) : textf("GET %s", path), brand, NULL);
		yyjson_val *list = json_at(answer, "/transfers"), *row;
		size_t i, max;
		assert_int_equal(strtoll(text_at(answer, "/opening/balance"), NULL, 10), opening);
		assert_int_equal(strtoll(text_at(answer, "/closing/balance"), NULL, 10), closing);
		yyjson_arr_foreach(list, i, max, row) {
			int64_t after = strtoll(text_at(row, "/balance"), NULL, 10), amount = int_at(row, "/amount");
			assert_true(after - balance == amount || after - balance == -amount);
			assert_true(!sign || after - balance == sign * amount);
			balance = after;
			count++;
		}
		next = yyjson_is_null(json_at(answer, "/next")) ? 0 : int_at(answer, "/next");
	} while (next);
	assert_int_equal(balance, closing);
	return count;
}

static void statements(void **state)
{
	struct noted moments[MOMENTS];
	(void)state;
	begin(options);
	/* Tenant accounts have ids for people once somebody gives them some. */
	want(201, "POST /v1/accounts", NULL, "{'tenant':'TELL','unit':'points','kind':'liability','id':7001}");
	want(201, "POST /v1/accounts", NULL, "{'tenant':'TELL','unit':'points','kind':'redeemed','id':7002}");
	history_make("TELL", moments);
	for (unsigned round = 0; round < 2; round++) {
		for (int i = 0; i + 5 < MOMENTS; i += 5) {
			const struct noted *from = &moments[i], *to = &moments[i + 5];
			unsigned count = statement_walk(textf("/customers/TELL/p-0/statement?from=%lld&to=%s&limit=7", (long long)from->lsn, to->time),
							"TELL", from->wallet, to->wallet, 0);
			assert_true(count >= 5 * 4);
			/* p-0 earns 4 of 16, and burns in every third. */
			assert_true(count <= 5 * 4 + 2);
		}
		if (!round)
			footers_wait(moments[MOMENTS - 1].lsn - (1 << 20));
	}
	for (int i = 0; i + 4 < MOMENTS; i += 4) {
		const struct noted *from = &moments[i], *to = &moments[i + 4];
		unsigned count = statement_walk(textf("/v1/accounts/%s/statement?from=%lld&to=%s&limit=9", "7001",
						      (long long)from->lsn, to->time), NULL, -from->points - from->redeemed,
						-to->points - to->redeemed, -1);
		assert_int_equal(count, 4 * 16);
		count = statement_walk(textf("/v1/accounts/%s/statement?from=%lld&to=%s", "7002", (long long)from->lsn, to->time), NULL,
				       from->redeemed, to->redeemed, 1);
		assert_int_equal(count * 7, to->redeemed - from->redeemed);
		yyjson_val *answer = want(200, textf("GET /v1/accounts/%s?at=%lld", "7002", (long long)to->lsn), NULL, NULL);
		assert_int_equal(strtoll(text_at(answer, "/balance"), NULL, 10), to->redeemed);
		assert_int_equal(int_at(answer, "/as_of/lsn"), to->lsn);
		assert_string_equal(text_at(answer, "/as_of/time"), to->time);
	}
	refused(400, "query_invalid", NULL, textf("GET /v1/accounts/%s/statement?from=%lld&to=%lld", "7001",
						  (long long)moments[3].lsn, (long long)moments[2].lsn), NULL, NULL);
	refused(404, "account_not_found", NULL, "GET /v1/accounts/12345/statement", NULL, NULL);
	refused(404, "account_not_found", NULL, "GET /customers/TELL/nobody/statement", "TELL", NULL);
	refused(404, "customer_unknown", NULL, textf("GET /wallet/TELL/nobody?at=%lld", (long long)moments[1].lsn), "TELL", NULL);
	refused(404, "customer_unknown", NULL, "GET /wallet/TELL/p-0?at=100", "TELL", NULL);
	end();
}

/* ---- dropped segments --------------------------------------------------------------------------------------------- */

static const char *const short_options[] = { "--log-segment", "1M", "--log-ring", "256K", "--snapshot-interval", "0",
					     "--snapshot-log-bytes", "1M", "--snapshot-keep", "1", "--retain-bytes", "2M", NULL };

static void pruned(const char *what, const char *brand)
{
	int64_t first = metric("tally_log_first_lsn");
	refused(410, "history_pruned", NULL, what, brand, NULL);
	/* It says from where history exists; more may have been dropped meanwhile. */
	const char *at = strstr(last_reply()->body.ptr, "history begins at LSN ");
	assert_non_null(at);
	assert_true(strtoll(at + 22, NULL, 10) >= first);
	assert_non_null(strstr(at, "T"));
	assert_non_null(strstr(at, "Z"));
}

/* Follows the cursor until it is refused; how many rows there were. */
static int list_walk(const char *path, const char *brand, char separator)
{
	char cursor[40] = "";
	int count = 0;
	for (;;) {
		struct reply *reply = ask(textf("GET %s%s%s", path, *cursor ? textf("%ccursor=", separator) : "", cursor), brand, NULL,
					  (struct str){ NULL, 0 });
		if (reply->status == 410) {
			assert_non_null(strstr(reply->body.ptr, "history_pruned"));
			return count;
		}
		assert_int_equal(reply->status, 200);
		count += (int)size_of(yyjson_doc_get_root(reply->doc));
		/* Never an end without a word. */
		assert_true(reply_header(reply, "X-Next-Cursor", cursor, sizeof cursor));
	}
}

static void dropped_history_is_said(void **state)
{
	(void)state;
	begin(short_options);
	rules("GONE");
	char transaction[40];
	int64_t early = event("GONE", "p-0", "EARN", 0, 5), points = 5, rows = 1;
	want(200, "GET /transactions", "GONE", NULL);
	snprintf(transaction, sizeof transaction, "%s", text_at(want(200, "GET /transactions", "GONE", NULL), "/0/id"));
	char time[40];
	snprintf(time, sizeof time, "%s", text_at(liability(200, "GONE", NULL), "/time"));
	event("GONE", "p-quiet", "EARN", 1, 9);
	/* Snapshots come with the log's growth, and behind them segments go. */
	for (int waited = 0; metric("tally_log_first_lsn") < 3 << 20; waited++) {
		for (int k = 0; k < 40; k++, rows++)
			event("GONE", textf("p-%d", k % 4), "EARN", 100 + (int)rows, 1);
		points += 10;
		assert_true(waited < 200);
		usleep(100000);
	}
	int64_t first = metric("tally_log_first_lsn");
	assert_true(metric("tally_log_bytes") <= 7 << 20);
	assert_true(first % (1 << 20) == 0);
	assert_int_equal(wallet("GONE", "p-0"), points);
	pruned(textf("GET /v1/tenants/GONE/liability?at=%lld", (long long)early), NULL);
	pruned(textf("GET /v1/tenants/GONE/liability?at=%s", time), NULL);
	pruned(textf("GET /wallet/GONE/p-0?at=%lld", (long long)early), "GONE");
	pruned(textf("GET /transactions/%s", transaction), "GONE");
	pruned(textf("GET /transactions/%s/executions", transaction), "GONE");
	pruned(textf("POST /transactions/%s/reverse", transaction), "GONE");
	pruned("GET /customers/GONE/p-quiet/point-movements", "GONE");
	pruned("GET /transactions?profileId=p-quiet", "GONE");
	yyjson_val *rest = want(200, "GET /customers/GONE/p-quiet/statement", "GONE", NULL);
	assert_string_equal(text_at(rest, "/opening/balance"), "9");
	assert_true(int_at(rest, "/opening/lsn") >= first && size_of(json_at(rest, "/transfers")) == 0);
	pruned(textf("GET /customers/GONE/p-0/statement?from=%lld", (long long)early), "GONE");
	/* Lists give what there is, and then say that the rest was dropped. */
	int listed = list_walk("/transactions?limit=50", "GONE", '&');
	assert_true(listed > 0 && listed < rows + 2);
	listed = list_walk("/customers/GONE/p-0/point-movements?limit=7", "GONE", '&');
	assert_true(listed > 0 && listed < rows);
	/* The present, and what is kept, is as it was. */
	assert_int_equal(wallet("GONE", "p-quiet"), 9);
	settled(liability(200, "GONE", NULL), rows + 4 + 9, 0);
	assert_int_equal(int_at(want(200, textf("GET /wallet/GONE/p-quiet?at=%lld", (long long)first), "GONE", NULL), "/points"), 9);
	/* Its id outlives it, with what was asked. */
	assert_string_equal(text_at(event_again(410, "GONE", "p-quiet", "EARN", 1, 9), "/code"), "outcome_pruned");
	assert_string_equal(text_at(event_again(409, "GONE", "p-quiet", "EARN", 1, 8), "/code"), "event_id_reused");
	ask_close();
	server_kill(&server);
	server_start(&server, 5 - harness_shards, short_options);
	harness_server = server;
	assert_int_equal(wallet("GONE", "p-0"), points);
	settled(liability(200, "GONE", NULL), rows + 4 + 9, 0);
	assert_true(metric("tally_log_first_lsn") >= first);
	pruned(textf("GET /v1/tenants/GONE/liability?at=%s", time), NULL);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(liability_as_of),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(statements),
		cmocka_unit_test(dropped_history_is_said),
	};
	return harness_run("past", tests, COUNT_OF(tests), NULL);
}
