// SPDX-License-Identifier: Apache-2.0
/* test_ledger_http.c - the POS platform's ledger service (rows D1 to D9) and the ledger's own routes, over HTTP. */
#include <stdlib.h>

#include "engine/ledger/refusal.h"
#include "tests/api/harness.h"

static unsigned org_number;
static char org[32], other[32];

/* An id that outlives the harness's rotating texts, for the length of a test. */
static const char *keep(const char *text)
{
	static char kept[256][40];
	static unsigned next;
	char *copy = kept[next++ % COUNT_OF(kept)];
	snprintf(copy, sizeof kept[0], "%s", text);
	return copy;
}

static void orgs_begin(void)
{
	snprintf(org, sizeof org, "org%u", ++org_number);
	snprintf(other, sizeof other, "org%u", ++org_number);
}

/* An account of a customer (NULL: the organization's own); its id. */
static const char *account(int status, const char *of, const char *customer, int type, const char *unit)
{
	const char *who = customer ? textf(",'customer_id':'%s'", customer) : "";
	yyjson_val *root = want(status, "POST /api/v1/accounts", NULL,
				textf("{'org_id':'%s'%s,'account_type':%d,'unit':'%s'}", of, who, type, unit));
	return keep(text_at(root, "/id"));
}

static yyjson_val *transfer(int status, const char *id, const char *debit, const char *credit, int64_t amount)
{
	return want(status, "POST /api/v1/transfers", NULL,
		    textf("{'id':'%s','org_id':'%s','debit_account_id':'%s','credit_account_id':'%s','amount':%lld,'code':7}", id,
			  org, debit, credit, (long long)amount));
}

/* The transfers of the crash test, without a code. */
static void transfer_with(int status, int number, const char *debit, const char *credit, int64_t amount)
{
	want(status, "POST /api/v1/transfers", NULL,
	     textf("{'id':'k%d','org_id':'%s','debit_account_id':'%s','credit_account_id':'%s','amount':%lld}", number, org, debit,
		   credit, (long long)amount));
}

/* An error of this surface: {error, code}. */
static void error_is(yyjson_val *root, const char *code)
{
	assert_string_equal(text_at(root, "/code"), code);
	assert_true(*text_at(root, "/error"));
}

static void sums_are(const char *id, int64_t debits, int64_t credits)
{
	yyjson_val *root = want(200, textf("GET /api/v1/accounts/%s", id), NULL, NULL);
	assert_int_equal(int_at(root, "/debits_posted"), debits);
	assert_int_equal(int_at(root, "/credits_posted"), credits);
	assert_int_equal(int_at(root, "/balance"), credits - debits);
}

static void d1_creates_accounts(void **state)
{
	(void)state;
	orgs_begin();
	yyjson_val *root = want(201, "POST /api/v1/accounts", NULL,
				textf("{'org_id':'%s','customer_id':'cust_789','account_type':1}", org));
	assert_memory_equal(text_at(root, "/id"), "a_", 2);
	assert_int_equal(strlen(text_at(root, "/id")), 34);
	assert_int_equal(int_at(root, "/debits_posted"), 0);
	assert_int_equal(int_at(root, "/credits_posted"), 0);
	const char *id = keep(text_at(root, "/id"));
	/* The same (org, customer, type, unit) is the same account; another of any of them is another one. */
	assert_string_equal(account(200, org, "cust_789", 1, "points"), id);
	assert_string_not_equal(account(201, org, "cust_789", 1, "stamps"), id);
	assert_string_not_equal(account(201, org, "cust_789", 2, "points"), id);
	assert_string_not_equal(account(201, org, "cust_790", 1, "points"), id);
	assert_string_not_equal(account(201, other, "cust_789", 1, "points"), id);
	/* A dry run makes nothing, the organization's own accounts neither. */
	const char *dry = textf("{'org_id':'dry_%s','customer_id':'c','account_type':1}", org);
	root = want(200, "POST /api/v1/accounts?dry_run=true", NULL, dry);
	assert_int_equal(int_at(root, "/balance"), 0);
	error_is(want(404, textf("GET /api/v1/accounts/%s", text_at(root, "/id")), NULL, NULL), "account_not_found");
	error_is(want(404, textf("GET /api/v1/balance?org_id=dry_%s&customer_id=c", org), NULL, NULL), "customer_unknown");
	want(404, textf("GET /v1/tenants/dry_%s/liability", org), NULL, NULL);
	const char *dry_id = keep(text_at(want(201, "POST /api/v1/accounts", NULL, dry), "/id"));
	assert_string_equal(text_at(want(200, "POST /api/v1/accounts?dry_run=true", NULL, dry), "/id"), dry_id);
	static const struct { const char *body, *pointer; } bad[] = {
		{ "{'customer_id':'c','account_type':1}", "/org_id" },
		{ "{'org_id':'','customer_id':'c','account_type':1}", "/org_id" },
		{ "{'org_id':'o','customer_id':7,'account_type':1}", "/customer_id" },
		{ "{'org_id':'o','customer_id':'c'}", "/account_type" },
		{ "{'org_id':'o','customer_id':'c','account_type':0}", "/account_type" },
		{ "{'org_id':'o','customer_id':'c','account_type':6}", "/account_type" },
		{ "{'org_id':'o','customer_id':'c','account_type':1,'unit':'karma'}", "/unit" },
		{ "{'org_id':'o','customer_id':'c','account_type':1,'code':2}", "/code" },
		{ "{'org_id':'o','customer_id':'c','account_type':1,'colour':'red'}", "/colour" },
	};
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		root = want(422, "POST /api/v1/accounts", NULL, bad[i].body);
		error_is(root, "validation_failed");
		assert_string_equal(text_at(root, "/errors/0/pointer"), bad[i].pointer);
	}
	error_is(want(400, "POST /api/v1/accounts", NULL, "{"), "json_invalid");
	error_is(want(422, "POST /api/v1/accounts", NULL, "[1]"), "validation_failed");
}

static void d2_reads_accounts(void **state)
{
	(void)state;
	orgs_begin();
	const char *id = account(201, org, "cust_1", 1, "points");
	yyjson_val *root = want(200, textf("GET /api/v1/accounts/%s", id), NULL, NULL);
	assert_string_equal(text_at(root, "/id"), id);
	assert_string_equal(text_at(root, "/org_id"), org);
	assert_string_equal(text_at(root, "/customer_id"), "cust_1");
	assert_int_equal(int_at(root, "/account_type"), 1);
	assert_int_equal(int_at(root, "/code"), 1);
	assert_int_equal(int_at(root, "/debits_posted"), 0);
	assert_int_equal(int_at(root, "/credits_posted"), 0);
	assert_int_equal(strlen(text_at(root, "/timestamp")), 24);
	assert_int_equal(int_at(want(200, textf("GET /api/v1/accounts/%s", account(201, org, "cust_1", 4, "stamps")), NULL, NULL),
				"/account_type"), 4);
	error_is(want(404, "GET /api/v1/accounts/a_00000000000000000000000000000001", NULL, NULL), "account_not_found");
	error_is(want(404, "GET /api/v1/accounts/m_00000000000000000000000000000001", NULL, NULL), "account_not_found");
	error_is(want(404, textf("GET /api/v1/accounts/%s", id + 2), NULL, NULL), "account_not_found");
	error_is(want(404, textf("GET /api/v1/accounts/%sX", id), NULL, NULL), "account_not_found");
}

static void d3_transfers(void **state)
{
	(void)state;
	orgs_begin();
	const char *debit = account(201, org, NULL, 3, "points"), *credit = account(201, org, "cust_1", 1, "points");
	yyjson_val *root = transfer(201, "tr-1", debit, credit, 100);
	assert_string_equal(text_at(root, "/id"), "tr-1");
	assert_string_equal(text_at(root, "/org_id"), org);
	assert_string_equal(text_at(root, "/debit_account_id"), debit);
	assert_string_equal(text_at(root, "/credit_account_id"), credit);
	assert_int_equal(int_at(root, "/amount"), 100);
	assert_int_equal(int_at(root, "/code"), 7);
	assert_false(bool_at(root, "/idempotent"));
	int64_t lsn = int_at(root, "/lsn");
	sums_are(debit, 100, 0);
	sums_are(credit, 0, 100);
	/* The same id: nothing changes, and the answer is the first one. */
	root = transfer(200, "tr-1", debit, credit, 100);
	assert_true(bool_at(root, "/idempotent"));
	assert_int_equal(int_at(root, "/lsn"), lsn);
	sums_are(credit, 0, 100);
	error_is(transfer(409, "tr-1", debit, credit, 101), "exists_with_different_amount");
	sums_are(credit, 0, 100);
	/* Amounts. */
	error_is(transfer(422, "tr-2", debit, credit, 0), "validation_failed");
	error_is(transfer(422, "tr-2", debit, credit, -5), "validation_failed");
	error_is(want(422, "POST /api/v1/transfers", NULL,
		      textf("{'id':'tr-2','org_id':'%s','debit_account_id':'%s','credit_account_id':'%s','amount':1.5}", org, debit,
			    credit)), "validation_failed");
	/* The two accounts differ, count the same unit and exist. */
	error_is(transfer(422, "tr-3", credit, credit, 1), "accounts_must_be_different");
	error_is(transfer(422, "tr-3", debit, account(201, org, "cust_1", 1, "stamps"), 1), "accounts_must_have_the_same_unit");
	error_is(transfer(404, "tr-3", "a_00000000000000000000000000000001", credit, 1), "account_not_found");
	error_is(transfer(404, "tr-3", debit, "nothing", 1), "account_not_found");
	/* None of these used the id up. */
	transfer(201, "tr-3", debit, credit, 1);
	/* What a customer spends stops at zero, and that uses the id up. */
	error_is(transfer(409, "tr-4", credit, debit, 102), "exceeds_floor");
	error_is(transfer(409, "tr-4", credit, debit, 1), "id_already_failed");
	sums_are(credit, 0, 101);
	/* A dry run says what would come of it, and leaves the id and the books alone; a repeat is one also there. */
	const char *next = textf("{'id':'tr-5','org_id':'%s','debit_account_id':'%s','credit_account_id':'%s','amount':9}", org, debit,
				 credit);
	root = want(200, "POST /api/v1/transfers?dry_run=true", NULL, next);
	assert_int_equal(int_at(root, "/amount"), 9);
	assert_int_equal(int_at(root, "/lsn"), 0);
	assert_false(bool_at(root, "/idempotent"));
	sums_are(credit, 0, 101);
	error_is(want(409, "POST /api/v1/transfers?dry_run=true", NULL,
		      textf("{'id':'tr-6','org_id':'%s','debit_account_id':'%s','credit_account_id':'%s','amount':102}", org, credit,
			    debit)), "exceeds_floor");
	transfer(201, "tr-6", debit, credit, 1);
	want(201, "POST /api/v1/transfers", NULL, next);
	root = want(200, "POST /api/v1/transfers?dry_run=true", NULL, next);
	assert_true(bool_at(root, "/idempotent"));
	sums_are(credit, 0, 111);
	error_is(want(400, "POST /api/v1/transfers?dryrun=1", NULL, next), "filter_unknown");
	/* The same text in another organization is another transfer. */
	const char *there = account(201, other, NULL, 2, "points"), *to = account(201, other, "cust_1", 1, "points");
	(void)there;
	root = want(201, "POST /api/v1/transfers", NULL,
		    textf("{'id':'tr-1','org_id':'%s','debit_account_id':'%s','credit_account_id':'%s','amount':9}", other,
			  account(200, other, NULL, 2, "points"), to));
	assert_int_equal(int_at(root, "/amount"), 9);
	error_is(want(422, "POST /api/v1/transfers", NULL, "{'amount':1}"), "validation_failed");
}

static void d4_balance(void **state)
{
	(void)state;
	orgs_begin();
	error_is(want(404, textf("GET /api/v1/balance?org_id=%s&customer_id=cust_1", org), NULL, NULL), "customer_unknown");
	const char *points = account(201, org, "cust_1", 1, "points"), *stamps = account(201, org, "cust_1", 1, "stamps");
	transfer(201, "a", account(200, org, NULL, 2, "points"), points, 100);
	transfer(201, "b", account(200, org, NULL, 2, "stamps"), stamps, 7);
	transfer(201, "c", points, account(201, org, NULL, 5, "points"), 30);
	yyjson_val *root = want(200, textf("GET /api/v1/balance?org_id=%s&customer_id=cust_1", org), NULL, NULL);
	assert_int_equal(int_at(root, "/points"), 70);
	assert_int_equal(int_at(root, "/stamps"), 7);
	assert_string_equal(text_at(root, "/org_id"), org);
	assert_string_equal(text_at(root, "/customer_id"), "cust_1");
	error_is(want(400, textf("GET /api/v1/balance?org_id=%s", org), NULL, NULL), "query_invalid");
	error_is(want(400, "GET /api/v1/balance?customer_id=cust_1", NULL, NULL), "query_invalid");
	error_is(want(400, textf("GET /api/v1/balance?org_id=%s&customer_id=cust_1&x=1", org), NULL, NULL), "filter_unknown");
}

/* A server of its own with a listener for each name. */
static void d5_health_by_listener(void **state)
{
	(void)state;
	static const char *const options[] = { "--http", "127.0.0.1:0=ledger", "--http", "127.0.0.1:0=membership", "--http",
					       "127.0.0.1:0=all", NULL };
	static const char *const services[] = { "all", "ledger", "membership", "all" };
	struct server server = { .folder = "" };
	struct buf ready = { 0 };
	char path[HARNESS_PATH_MAX + 16];
	assert_string_equal(text_at(want(200, "GET /api/v1/health", NULL, NULL), "/service"), "all");
	server_start(&server, harness_shards, options);
	snprintf(path, sizeof path, "%s/ready", server.folder);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	buf_room(&ready, 4096);
	ready.len = fread(ready.ptr, 1, 4095, file);
	ready.ptr[ready.len] = '\0';
	fclose(file);
	const char *line = ready.ptr;
	for (size_t i = 0; i < COUNT_OF(services); i++) {
		struct client client;
		struct reply reply = { 0 };
		line = strstr(line, "http 127.0.0.1:");
		assert_non_null(line);
		line += strlen("http 127.0.0.1:");
		client_open(&client, (int)strtol(line, NULL, 10));
		const char *request = "GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n";
		client_send(&client, request, strlen(request));
		assert_true(client_reply(&client, &reply, false));
		assert_int_equal(reply.status, 200);
		assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(reply.doc), "service")), services[i]);
		/* Every listener has every route. */
		request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
		client_send(&client, request, strlen(request));
		assert_true(client_reply(&client, &reply, false));
		assert_int_equal(reply.status, 200);
		reply_free(&reply);
		client_close(&client);
	}
	buf_free(&ready);
	server_stop(&server);
	server_clean(&server);
}

/* Sums over all accounts, per unit. */
static void d6_debits_equal_credits(void **state)
{
	(void)state;
	orgs_begin();
	static const char *const unit_names[] = { "points", "stamps" };
	char ids[2][8][40];
	for (unsigned u = 0; u < 2; u++) {
		snprintf(ids[u][0], 40, "%s", account(u ? 200 : 201, org, NULL, 2, unit_names[u]));
		snprintf(ids[u][1], 40, "%s", account(201, org, NULL, 5, unit_names[u]));
		for (int c = 2; c < 8; c++)
			snprintf(ids[u][c], 40, "%s", account(201, org, textf("c%d", c), 1, unit_names[u]));
	}
	unsigned seed = 7;
	int done = 0, refused = 0;
	for (int i = 0; i < 200; i++) {
		unsigned u = rand_r(&seed) % 2, from = rand_r(&seed) % 8, to = (from + 1 + rand_r(&seed) % 7) % 8;
		struct reply *reply = ask("POST /api/v1/transfers", NULL, "application/json",
					  str_of(textf("{\"id\":\"r%d\",\"org_id\":\"%s\",\"debit_account_id\":\"%s\","
						       "\"credit_account_id\":\"%s\",\"amount\":%u}", i, org, ids[u][from],
						       ids[u][to], 1 + rand_r(&seed) % 50)));
		done += reply->status == 201;
		refused += reply->status == 409;
	}
	assert_true(done > 50 && refused > 10 && done + refused == 200);
	for (unsigned u = 0; u < 2; u++) {
		int64_t debits = 0, credits = 0;
		for (int a = 0; a < 8; a++) {
			yyjson_val *root = want(200, textf("GET /api/v1/accounts/%s", ids[u][a]), NULL, NULL);
			debits += int_at(root, "/debits_posted");
			credits += int_at(root, "/credits_posted");
			if (a > 1)
				assert_true(int_at(root, "/balance") >= 0);
		}
		assert_true(debits > 0);
		assert_int_equal(debits, credits);
	}
}

static void d7_liability_by_organization(void **state)
{
	(void)state;
	orgs_begin();
	/* With the organization's first account its two liability accounts are there. */
	const char *customer = account(201, org, "cust_1", 1, "points");
	const char *points = account(200, org, NULL, 2, "points"), *stamps = account(200, org, NULL, 2, "stamps");
	const char *foreign = account(201, other, NULL, 2, "points");
	assert_string_not_equal(points, stamps);
	assert_string_not_equal(points, foreign);
	account(200, other, NULL, 2, "stamps");
	yyjson_val *root = want(200, textf("GET /api/v1/accounts/%s", points), NULL, NULL);
	assert_true(yyjson_is_null(json_at(root, "/customer_id")));
	assert_int_equal(int_at(root, "/account_type"), 2);
	error_is(transfer(422, "x", foreign, customer, 5), "accounts_must_have_the_same_tenant");
	error_is(transfer(422, "x", foreign, account(201, other, "cust_1", 1, "points"), 5), "accounts_must_have_the_same_tenant");
	sums_are(customer, 0, 0);
	/* Two sources of the organization that disagree. */
	struct buf request = { 0 };
	struct client client;
	struct reply reply = { 0 };
	client_open(&client, harness_server.port);
	const char *body = textf("{\"org_id\":\"%s\",\"account_type\":2}", org);
	buf_printf(&request, "POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nX-Tenant: %s\r\nContent-Length: %zu\r\n\r\n%s", other,
		   strlen(body), body);
	client_send(&client, request.ptr, request.len);
	assert_true(client_reply(&client, &reply, false));
	assert_int_equal(reply.status, 400);
	request.len = 0;
	buf_printf(&request, "GET /api/v1/accounts/%s HTTP/1.1\r\nHost: x\r\nX-Tenant: %s\r\n\r\n", points, other);
	client_send(&client, request.ptr, request.len);
	assert_true(client_reply(&client, &reply, false));
	assert_int_equal(reply.status, 404);
	reply_free(&reply);
	client_close(&client);
	buf_free(&request);
}

/* Killed with transfers under way: what was answered stands, nothing stands by half. */
static void d8_atomic_over_a_crash(void **state)
{
	enum { TRANSFERS = 400, READ = 150, CUSTOMERS = 5 };
	(void)state;
	orgs_begin();
	char ids[CUSTOMERS + 1][40];
	struct client client;
	struct reply reply = { 0 };
	for (int c = 0; c <= CUSTOMERS; c++)
		snprintf(ids[c], sizeof ids[c], "%s", account(c == 1 ? 200 : 201, org, c == 1 ? NULL : textf("c%d", c), c == 1 ? 2 : 1, "points"));
	struct buf requests = { 0 };
	for (int i = 0; i < TRANSFERS; i++) {
		const char *body = textf("{\"id\":\"k%d\",\"org_id\":\"%s\",\"debit_account_id\":\"%s\",\"credit_account_id\":\"%s\","
					 "\"amount\":%d}", i, org, ids[1], ids[i % CUSTOMERS == 1 ? 0 : i % CUSTOMERS], 1 + i % 7);
		buf_printf(&requests, "POST /api/v1/transfers HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	}
	client_open(&client, harness_server.port);
	client_send(&client, requests.ptr, requests.len);
	for (int i = 0; i < READ; i++) {
		assert_true(client_reply(&client, &reply, false));
		assert_int_equal(reply.status, 201);
	}
	ask_close();
	server_kill(&harness_server);
	reply_free(&reply);
	client_close(&client);
	buf_free(&requests);
	server_start(&harness_server, harness_shards, NULL);
	int64_t debits = 0, credits = 0;
	for (int c = 0; c <= CUSTOMERS; c++) {
		yyjson_val *root = want(200, textf("GET /api/v1/accounts/%s", ids[c]), NULL, NULL);
		debits += int_at(root, "/debits_posted");
		credits += int_at(root, "/credits_posted");
	}
	assert_true(debits > 0);
	assert_int_equal(debits, credits);
	for (int i = 0; i < READ; i++)
		transfer_with(200, i, ids[1], ids[i % CUSTOMERS == 1 ? 0 : i % CUSTOMERS], 1 + i % 7);
}

static void d9_transfers_are_the_balance(void **state)
{
	(void)state;
	orgs_begin();
	const char *id = account(201, org, "cust_1", 1, "points"), *liability = account(200, org, NULL, 2, "points");
	const char *spent = account(201, org, NULL, 5, "points");
	for (int i = 0; i < 30; i++)
		transfer(201, textf("t%d", i), i % 3 == 2 ? id : liability, i % 3 == 2 ? spent : id, 10 + i);
	int64_t balance = 0, next = 0;
	size_t seen = 0;
	do {
		yyjson_val *root = want(200, textf("GET /api/v1/accounts/%s/transfers?limit=7%s", id,
						   next ? textf("&after=%lld", (long long)next) : ""), NULL, NULL), *entry;
		size_t i, max;
		assert_string_equal(text_at(root, "/account_id"), id);
		yyjson_arr_foreach(json_at(root, "/transfers"), i, max, entry) {
			bool in = strcmp(text_at(entry, "/credit_account_id"), id) == 0;
			assert_string_equal(text_at(entry, in ? "/debit_account_id" : "/credit_account_id"), in ? liability : spent);
			balance += in ? int_at(entry, "/amount") : -int_at(entry, "/amount");
			assert_int_equal(int_at(entry, "/balance"), balance);
			seen++;
		}
		next = yyjson_is_null(json_at(root, "/next")) ? 0 : int_at(root, "/next");
	} while (next);
	assert_int_equal(seen, 30);
	assert_int_equal(int_at(want(200, textf("GET /api/v1/balance?org_id=%s&customer_id=cust_1", org), NULL, NULL), "/points"),
			 balance);
	error_is(want(422, textf("GET /api/v1/accounts/%s/transfers", liability), NULL, NULL), "sliced_account_has_no_history");
	error_is(want(404, "GET /api/v1/accounts/a_00000000000000000000000000000001/transfers", NULL, NULL), "account_not_found");
	error_is(want(400, textf("GET /api/v1/accounts/%s/transfers?after=x", id), NULL, NULL), "query_invalid");
}

/* ---- the ledger's own routes -------------------------------------------------------------------------------------------- */

static void lists_refusals(void **state)
{
	(void)state;
	yyjson_val *list = want(200, "GET /v1/refusals", NULL, NULL);
	size_t count = 0;
	for (; refusals[count].number; count++) {
		yyjson_val *entry = yyjson_arr_get(list, count);
		assert_int_equal(int_at(entry, "/number"), refusals[count].number);
		assert_string_equal(text_at(entry, "/name"), refusals[count].name);
		assert_string_equal(text_at(entry, "/meaning"), refusals[count].meaning);
		assert_int_equal(bool_at(entry, "/burns"), refusals[count].burns);
	}
	assert_int_equal(size_of(list), count);
}

static void speaks_the_ledger(void **state)
{
	(void)state;
	const char *tenant = keep(textf("native%u", ++org_number));
	yyjson_val *root = want(201, "POST /v1/accounts", NULL,
				textf("{'id':'0x%x','tenant':'%s','unit':'points','kind':'liability'}", 0x1000 + org_number, tenant));
	assert_string_equal(text_at(root, "/id"), textf("%032x", 0x1000 + org_number));
	const char *liability = keep(text_at(root, "/id"));
	root = want(200, "POST /v1/accounts", NULL,
		    textf("[{'tenant':'%s','unit':'points','member':'anna'},{'id':'%u','tenant':'%s','unit':'points','ceiling':50},"
			  "{'id':'0','tenant':'%s','unit':'points'}]", tenant, 0x2000 + org_number, tenant, tenant));
	assert_int_equal(size_of(json_at(root, "/results")), 1);
	assert_int_equal(int_at(root, "/results/0/index"), 2);
	assert_int_equal(int_at(root, "/results/0/refusal"), REFUSED_ACCOUNT_ID_MUST_NOT_BE_ZERO);
	assert_string_equal(text_at(root, "/results/0/code"), "account_id_must_not_be_zero");
	const char *anna = keep(text_at(root, "/ids/0")), *capped = keep(text_at(root, "/ids/1"));
	assert_memory_equal(anna, "fffe", 4);
	want(200, "POST /v1/accounts", NULL, textf("{'tenant':'%s','unit':'points','member':'anna'}", tenant));
	refused(409, "account_exists_with_different_kind", NULL, "POST /v1/accounts", NULL,
		textf("{'id':'%s','tenant':'%s','unit':'points'}", liability, tenant));
	refused(422, "validation_failed", "/0/tenant /1/id /1/colour", "POST /v1/accounts", NULL,
		"[{'id':'5','unit':'points'},{'id':'five','colour':1,'tenant':'t','unit':'u'}]");
	/* One transfer. */
	unsigned base = 0x10000 + org_number * 100;
	root = want(201, "POST /v1/transfers", NULL,
		    textf("{'id':'%u','debit':'%s','credit':'%s','amount':120,'code':3}", base, liability, anna));
	assert_string_equal(text_at(root, "/id"), textf("%032x", base));
	assert_string_equal(text_at(root, "/state"), "posted");
	assert_string_equal(text_at(root, "/credit"), anna);
	want(200, "POST /v1/transfers", NULL,
	     textf("{'id':'%u','debit':'%s','credit':'%s','amount':120,'code':3}", base, liability, anna));
	refused(409, "exists_with_different_code", NULL, "POST /v1/transfers", NULL,
		textf("{'id':'%u','debit':'%s','credit':'%s','amount':120,'code':4}", base, liability, anna));
	refused(404, "debit_account_not_found", NULL, "POST /v1/transfers", NULL,
		textf("{'id':'%u','debit':'77777','credit':'%s','amount':120}", base + 1, anna));
	refused(422, "amount_must_not_be_zero", NULL, "POST /v1/transfers", NULL,
		textf("{'id':'%u','debit':'%s','credit':'%s','amount':0}", base + 2, liability, anna));
	refused(422, "validation_failed", "/amount", "POST /v1/transfers", NULL,
		textf("{'id':'%u','debit':'%s','credit':'%s','amount':-1}", base + 2, liability, anna));
	/* Several, with balances. */
	root = want(200, "POST /v1/transfers?balances=true", NULL,
		    textf("[{'id':'%u','debit':'%s','credit':'%s','amount':'20','flags':['pending'],'timeout':900},"
			  "{'id':'%u','debit':'%s','credit':'%s','amount':31},"
			  "{'id':'%u','pending_id':'%u','flags':['post']}]", base + 3, anna, capped, base + 4, anna, capped, base + 5,
			  base + 3));
	json_is(root, "/balances", "[[120,0],[120,0],[100,20]]");
	assert_int_equal(int_at(root, "/results/0/index"), 1);
	assert_string_equal(text_at(root, "/results/0/code"), "exceeds_ceiling");
	root = want(200, textf("GET /v1/transfers/%u", base + 3), NULL, NULL);
	assert_string_equal(text_at(root, "/state"), "posted");
	json_is(root, "/flags", "['pending']");
	root = want(200, textf("GET /v1/transfers/%u", base + 4), NULL, NULL);
	assert_string_equal(text_at(root, "/state"), "failed");
	assert_string_equal(text_at(root, "/code"), "exceeds_ceiling");
	refused(404, "transfer_not_found", NULL, textf("GET /v1/transfers/%u", base + 9), NULL, NULL);
	/* Dry run. */
	root = want(200, "POST /v1/transfers?dry_run=true&balances=true", NULL,
		    textf("{'id':'%u','debit':'%s','credit':'%s','amount':1}", base + 6, anna, capped));
	json_is(root, "/balances", "[[99,21]]");
	refused(404, "transfer_not_found", NULL, textf("GET /v1/transfers/%u", base + 6), NULL, NULL);
	root = want(200, "POST /v1/accounts?dry_run=true", NULL, textf("{'id':'%u','tenant':'dry','unit':'points','floor':-5}", base + 7));
	assert_string_equal(text_at(root, "/id"), textf("%032x", base + 7));
	assert_int_equal(int_at(root, "/floor"), -5);
	refused(404, "account_not_found", NULL, textf("GET /v1/accounts/%u", base + 7), NULL, NULL);
	root = want(200, "POST /v1/accounts?dry_run=true", NULL,
		    textf("[{'id':'%u','tenant':'dry','unit':'points'},{'id':'0','tenant':'dry','unit':'points'}]", base + 7));
	assert_string_equal(text_at(root, "/results/0/code"), "account_id_must_not_be_zero");
	refused(404, "account_not_found", NULL, textf("GET /v1/accounts/%u", base + 7), NULL, NULL);
	/* Accounts, now and then. */
	root = want(200, textf("GET /v1/accounts/%s", anna), NULL, NULL);
	assert_string_equal(text_at(root, "/balance"), "100");
	assert_string_equal(text_at(root, "/member"), "anna");
	root = want(200, textf("GET /v1/accounts/%s/transfers", anna), NULL, NULL);
	assert_int_equal(size_of(json_at(root, "/transfers")), 3);
	int64_t first = int_at(root, "/transfers/0/lsn");
	root = want(200, textf("GET /v1/accounts/%s?at=%lld", anna, (long long)first), NULL, NULL);
	assert_string_equal(text_at(root, "/balance"), "120");
	root = want(200, textf("GET /v1/accounts/%s/transfers?reverse=true&limit=1", anna), NULL, NULL);
	assert_int_equal(int_at(root, "/transfers/0/balance"), 100);
	assert_string_equal(text_at(root, "/transfers/0/pending_id"), textf("%032x", base + 3));
	root = want(200, textf("GET /v1/accounts/%s/transfers?reverse=true&before=%lld", anna, (long long)int_at(root, "/next")),
		    NULL, NULL);
	assert_int_equal(size_of(json_at(root, "/transfers")), 2);
	refused(404, "account_not_found", NULL, textf("GET /v1/accounts/%s?at=%lld", anna, (long long)8), NULL, NULL);
	refused(422, "sliced_account_has_no_history", NULL, textf("GET /v1/accounts/%s/transfers", liability), NULL, NULL);
	refused(400, "query_invalid", NULL, textf("GET /v1/accounts/%s?at=soon", anna), NULL, NULL);
	refused(404, "account_not_found", NULL, "GET /v1/accounts/none", NULL, NULL);
	root = want(200, textf("GET /v1/accounts/%s", liability), NULL, NULL);
	assert_string_equal(text_at(root, "/debits_posted"), "120");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(d1_creates_accounts),
		cmocka_unit_test(d2_reads_accounts),
		cmocka_unit_test(d3_transfers),
		cmocka_unit_test(d4_balance),
		cmocka_unit_test(d5_health_by_listener),
		cmocka_unit_test(d6_debits_equal_credits),
		cmocka_unit_test(d7_liability_by_organization),
		cmocka_unit_test(d8_atomic_over_a_crash),
		cmocka_unit_test(d9_transfers_are_the_balance),
		cmocka_unit_test(lists_refusals),
		cmocka_unit_test(speaks_the_ledger),
	};
	return harness_run("ledger over HTTP", tests, COUNT_OF(tests), NULL);
}
