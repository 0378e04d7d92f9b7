// SPDX-License-Identifier: Apache-2.0
/* test_memory.c - an allocation fails: the process stops with a word, or answers with an error; nothing is lost.
 *
 * The heap is the C library's, with inject/memory.c in front of it, so what the libraries ask for counts as well.  Every
 * allocation of a start fails in turn, then every one of one request of each route and of each method that the program
 * knows; only that one, or it and all behind it.  The data stays the same all the time, and at the end everything that
 * was acknowledged must be there.
 *
 *     TALLY_CRASH_FULL=1   every allocation; otherwise some, others with another seed
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/rpc/json.h"
#include "net/rpc/pack.h"
#include "net/surface/app.h"
#include "tests/crash/injection.h"
#include "tests/crash/journal.h"

enum { EVENTS = 300, MUCH_EVENTS = 40000, STARTS = 40, REQUEST_STEP = 12, OUT_OF_MEMORY = 70 };

static char config[FOLDER_PATH + 16];              /* file of options; its last line is looked for */
static char archive[FOLDER_PATH + 16];
static const char *const plain[] = { "--log-segment", "1M", "--log-ring", "256K", "--config", config, NULL };
/* With everything that a start may have to read: a snapshot, ids on disk, footers, what retention keeps. */
static const char *const much[] = { "--log-segment", "1M", "--log-ring", "256K", "--config", config, "--id-memory", "8K", "--snapshot-rate", "0",
				    "--snapshot-keep", "1", "--retain-bytes", "64M", "--archive", archive, "--message-url",
				    "http://127.0.0.1:1/", NULL };
static const char *const *options = plain;
static struct process process;
static struct journal journal;
static struct inject *page;
static unsigned stopped, refused, answered;        /* how the runs ended */

#define CONFIG_LINE "idle-timeout = 74"
#define CONFIG_READ "\\\"idle-timeout\\\":74"         /* in the first line that a server says */

/* ---- the server ------------------------------------------------------------------------------------------------ */

/* Allocation n from now on fails; 0: none does. */
static void arm(uint64_t n, bool on)
{
	atomic_store(&page->allocation_at, 0);
	atomic_store(&page->allocation_hits, 0);
	atomic_store(&page->allocation_on, on);
	if (n)
		atomic_store(&page->allocation_at, atomic_load(&page->allocations) + n);
}

/* Whether one failed. */
static bool disarm(void)
{
	atomic_store(&page->allocation_at, 0);
	atomic_store(&page->allocation_on, false);
	return atomic_load(&page->allocation_hits) > 0;
}

static void start(void)
{
	arm(0, false);
	if (process_start(&process, 1, options))
		return;
	process_said(&process, &journal.text);
	fail_msg("the server does not start: %s", journal.text.ptr);
}

/* The process is gone: with the line and the status of a heap that is used up, or with an error of the start.  There a
 * thread may also be missing, and libuv's way to say that is abort(). */
static void ended_clearly(bool started)
{
	int status = process_status(&process);
	process_said(&process, &journal.text);
	static const struct { int status; bool start; const char *line; } ways[] = {
		{ OUT_OF_MEMORY, false, "tally: out of memory" },
		{ OUT_OF_MEMORY, true, "tally: a thread cannot be started" },
		{ 2, true, "tally serve: " }, { 64, true, "tally serve: " },
		{ 74, true, "cannot be started" }, { -SIGABRT, true, "tally: aborted" },
	};
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
		if (status == ways[i].status && (!started || !ways[i].start) && strstr(journal.text.ptr, ways[i].line)) {
			stopped += i == 0;
			refused += i != 0;
			return;
		}
	fail_msg("it ends with %d: %s", status, journal.text.ptr);
}

static void events_send(struct connection *connection, unsigned count)
{
	uint32_t numbers[EVENTS];
	for (unsigned i = 0; i < count; i++)
		numbers[i] = journal_event(&journal);
	journal_resend(&journal, connection, numbers, count, false);
}

/* A new event on a connection of its own; false: the server is gone. */
static bool event_sent(void)
{
	struct connection connection;
	uint32_t number = journal_event(&journal);
	int status = -1;
	journal.text.len = 0;
	journal_write(&journal, &journal.text, number);
	if (connection_open(&connection, process.port) && connection_send(&connection, "POST", "/transactions", buf_view(&journal.text)))
		status = connection_take(&connection, PROCESS_WAIT_MS, &journal.answer);
	connection_close(&connection);
	if (status < 0)
		return false;
	assert_int_equal(status, 201);
	yyjson_doc *doc = journal_read(&journal.answer);
	journal_answered(&journal, number, yyjson_doc_get_root(doc), false);
	yyjson_doc_free(doc);
	return true;
}

static void begin(void)
{
	struct connection connection;
	start();
	assert_true(connection_open(&connection, process.port));
	journal_configure(&journal, &connection);
	events_send(&connection, EVENTS);
	connection_close(&connection);
}

/* Ids on disk, more than one segment, a snapshot and a log behind it. */
static void begin_much(void)
{
	struct connection connection;
	const char *moved;
	begin();
	assert_true(connection_open(&connection, process.port));
	do {
		assert_true(journal.count < MUCH_EVENTS);
		for (unsigned i = 0; i < 4; i++)
			events_send(&connection, EVENTS);
		connection_ask(&connection, "GET", "/metrics", (struct str){ NULL, 0 }, &journal.answer);
		buf_char(&journal.answer, '\0');
		moved = strstr(journal.answer.ptr, "\ntally_ids_filed ");
	} while (!moved || strtol(moved + 17, NULL, 10) == 0);
	assert_int_equal(connection_ask(&connection, "POST", "/v1/snapshots", STR("{}"), &journal.answer), 201);
	events_send(&connection, EVENTS);
	connection_close(&connection);
}

static void verify(void)
{
	struct connection connection;
	uint32_t numbers[RESEND_MAX];
	size_t count = 0;
	if (!process.pid)
		start();
	arm(0, false);
	assert_true(connection_open(&connection, process.port));
	for (uint32_t n = 0; n < journal.count; n++) {
		if (journal.events[n].transaction[0])
			numbers[count++] = n;
		if (count == RESEND_MAX || n + 1 == journal.count) {
			journal_resend(&journal, &connection, numbers, count, true);
			count = 0;
		}
	}
	for (unsigned member = 0; member < MEMBERS; member++)
		journal_compare(&journal, &connection, member);
	journal_compare_counter(&journal, &connection);
	connection_close(&connection);
	assert_int_equal(process_stop(&process), 0);
	books_check(&process);
}

static void starts_sweep(void)
{
	unsigned runs = 0;
	assert_int_equal(process_stop(&process), 0);
	uint64_t before = atomic_load(&page->allocations);
	start();
	unsigned total = (unsigned)(atomic_load(&page->allocations) - before), turn = 0, at;
	assert_int_equal(process_stop(&process), 0);
	assert_true(total > 20);
	for (unsigned step = share_step(total, STARTS); share_next(&turn, step, total, &at); runs++) {
		fprintf(stderr, "allocation %u of the start fails\n", at + 1);
		arm(at + 1, turn % 2);
		if (!process_start(&process, turn / 2 % 2 ? 4 : 1, options)) {
			ended_clearly(false);
			continue;
		}
		/* It can do without, and must then work, and have read everything; or a thread behind the start has met it. */
		bool hit = disarm();
		process_said(&process, &journal.text);
		assert_non_null(strstr(journal.text.ptr, CONFIG_READ));
		if (event_sent() && process_stop(&process) == 0) {
			answered += hit;
			continue;
		}
		if (!hit)
			fail_msg("no allocation failed, and the server is gone");
		if (process.pid)
			process_wait(&process);
		ended_clearly(true);
	}
	verify();
	printf("# %u starts of %u allocations: %u stopped, %u refused, %u did without\n", runs, total, stopped, refused,
	       answered);
	assert_true(stopped > 0);
}

static void stops_or_refuses_to_start(void **state)
{
	(void)state;
	if (share_out(__func__))
		return;
	begin();
	starts_sweep();
}

static void stops_or_refuses_to_start_with_much(void **state)
{
	(void)state;
	if (share_out(__func__))
		return;
	options = much;
	begin_much();
	starts_sweep();
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

#define JSON "application/json"

#define POS_ACCOUNT "{\"org_id\":\"T\",\"customer_id\":\"c#\",\"account_type\":1}"
#define GIVES(profile) "{\"brand\":\"" BRAND "\",\"profileId\":\"" profile "\",\"eventType\":\"GIVES\",\"eventId\":\"g#\",\"source\":\"W\",\"payload\":{}}"

#define ROW(m, p, t, b, fp, fb, ...) { .method = m, .path = p, .type = t, .body = b, .first_path = fp, .first_body = fb, __VA_ARGS__ }

/* What a request of a route is made of; a route of a resource kind that is not here gets a body out of the kind's table, any other
 * one an empty object.  "#" becomes a number that no request had before; "@" the id that the request `first` was answered with, as
 * `id_key` or "id"; "$" an account of the POS platform that may go below zero. */
static const struct known {
	const char *method, *path, *type, *body;
	const char *first_path, *first_body;
	const char *query;             /* behind the path */
	const char *id_key;
	const char *profile;           /* what {profile_id} is; NULL: m1 */
	bool let_go;                   /* what `first` made goes again, with DELETE first_path/{id}: there may be few of them */
} known[] = {
	ROW("POST", "/transactions", JSON, "", NULL, NULL),             /* of the journal */
	ROW("POST", "/customers/upsert", JSON, "", NULL, NULL),
	ROW("POST", "/imports/customers", "text/csv", "brand,profileId,tags,level\n" BRAND ",c#,a;b,1\n", NULL, NULL),
	ROW("POST", "/imports/events", "text/csv",
	  "brand,profileId,eventType,eventId,payload.amount\n" BRAND ",m1,OTHER,i#,12.5\n", NULL, NULL),
	ROW("POST", "/admin/event-types", JSON,
	  "{\"key\":\"K#\",\"origin\":\"EXTERNAL\",\"name\":\"K\",\"payload_schema\":{\"type\":\"object\",\"properties\":"
	  "{\"a\":{\"type\":\"string\",\"pattern\":\"^[a-z]+$\"}}}}", NULL, NULL),
	ROW("PATCH", "/admin/event-types/{id}", JSON, "{\"description\":\"number #\"}", "/admin/event-types",
	  "{\"key\":\"K#\",\"origin\":\"EXTERNAL\",\"name\":\"K\"}"),
	ROW("DELETE", "/admin/event-types/{id}", NULL, "", "/admin/event-types",
	  "{\"key\":\"K#\",\"origin\":\"EXTERNAL\",\"name\":\"K\"}"),
	ROW("POST", "/rules", JSON, "{\"event_type\":\"OTHER\",\"conditions\":{\"in\":[{\"var\":\"payload.a\"},[\"b\",1,2.5]]},"
	  "\"actions\":[{\"type\":\"earn_points\",\"points\":1}]}", NULL, NULL),
	ROW("PATCH", "/rules/{id}", JSON, "{\"priority\":#}", "/rules",
	  "{\"event_type\":\"OTHER\",\"conditions\":null,\"actions\":[{\"type\":\"add_customer_tag\",\"tag\":\"a\"}]}"),
	ROW("DELETE", "/rules/{id}", NULL, "", "/rules",
	  "{\"event_type\":\"OTHER\",\"conditions\":null,\"actions\":[{\"type\":\"add_customer_tag\",\"tag\":\"a\"}]}"),
	ROW("GET", "/rules/{id}", NULL, "", "/rules",
	  "{\"event_type\":\"OTHER\",\"conditions\":null,\"actions\":[{\"type\":\"add_customer_tag\",\"tag\":\"a\"}]}"),
	ROW("POST", "/v1/accounts", JSON, "{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"#\"}", NULL, NULL),
	ROW("GET", "/v1/accounts/{id}", NULL, "", "/v1/accounts", "{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"#\"}"),
	ROW("GET", "/v1/accounts/{id}/transfers", NULL, "", "/v1/accounts", "{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"#\"}"),
	ROW("POST", "/v1/transfers", JSON, "{\"id\":\"#\",\"debit\":\"1\",\"credit\":\"2\",\"amount\":5,\"code\":1}", NULL, NULL),
	ROW("GET", "/v1/transfers/{id}", NULL, "", "/v1/transfers",
	  "{\"id\":\"#\",\"debit\":\"1\",\"credit\":\"2\",\"amount\":5,\"code\":1}"),
	ROW("POST", "/transactions/{id}/reverse", JSON, "{\"policy\":\"zero\"}", "/transactions",
	  "{\"brand\":\"" BRAND "\",\"profileId\":\"m-back\",\"eventType\":\"OTHER\",\"eventId\":\"b#\",\"source\":\"W\","
	  "\"payload\":{\"amount\":1}}"),
	ROW("POST", "/admin/internal-jobs/{id}/preview", JSON, "{}", "/admin/internal-jobs",
	  "{\"job_key\":\"j#\",\"event_type\":\"INSIDE\"}"),
	ROW("POST", "/customers/{brand}/{profile_id}/rewards/{customer_reward_id}/use", JSON, "{}", "/transactions", GIVES("g-1"),
	  .id_key = "customer_reward_id", .profile = "g-1"),
	ROW("GET", "/admin/bonus-awards/{id}", NULL, "", "/transactions", GIVES("g#"), .id_key = "bonus_award_id"),
	ROW("GET", "/v1/accounts/{id}/statement", NULL, "", "/v1/accounts", "{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"#\"}"),
	ROW("GET", "/v1/backups/{id}/bytes", NULL, "", "/v1/backups", "{}", .query = "file=seed&offset=0&size=17", .let_go = true),
	ROW("DELETE", "/v1/backups/{id}", NULL, "", "/v1/backups", "{}"),
	ROW("POST", "/api/v1/accounts", JSON, POS_ACCOUNT, NULL, NULL),
	ROW("GET", "/api/v1/accounts/{id}", NULL, "", "/api/v1/accounts", POS_ACCOUNT),
	ROW("GET", "/api/v1/accounts/{id}/transfers", NULL, "", "/api/v1/accounts", POS_ACCOUNT),
	ROW("POST", "/api/v1/transfers", JSON,
	  "{\"id\":\"t#\",\"org_id\":\"T\",\"debit_account_id\":\"$\",\"credit_account_id\":\"@\",\"amount\":5}", "/api/v1/accounts",
	  POS_ACCOUNT),
	ROW("GET", "/api/v1/balance", NULL, "", "/api/v1/accounts", POS_ACCOUNT, .query = "org_id=T&customer_id=c-1"),
	ROW("POST", "/admin/internal-jobs/{id}/run", JSON, "{}", "/admin/internal-jobs",
	  "{\"job_key\":\"j#\",\"event_type\":\"INSIDE\",\"selector\":{\"tags_any\":[\"nobody\"]}}"),
};

/* The same for MessagePack-RPC, in JSON; a method that is not here gets [{"brand": …}]. */
static const struct called {
	const char *name, *params;     /* NULL: 64 bytes, a packed row */
} called[] = {
	{ "events.ingest", "[[{\"brand\":\"" BRAND "\",\"profileId\":\"m1\",\"eventType\":\"OTHER\",\"eventId\":\"r#\","
			   "\"payload\":{\"a\":1.5}}]]" },
	{ "ledger.create_accounts", "[[{\"tenant\":\"T\",\"unit\":\"points\",\"kind\":\"member\",\"member\":\"a#\"},"
				    "{\"tenant\":\"T\",\"unit\":\"points\",\"id\":#000}]]" },
	{ "ledger.create_transfers", "[[{\"id\":#,\"debit\":1,\"credit\":2,\"amount\":5,\"code\":1,\"flags\":[\"pending\"],"
				     "\"timeout\":60}],{\"balances\":true}]" },
	{ "ledger.create_transfers", NULL },
	{ "ledger.lookup_accounts", "[[1,2,77]]" },
	{ "ledger.lookup_transfers", "[[1,2]]" },
	{ "ledger.account_transfers", "[{\"id\":1}]" },
	{ "ledger.balances", "[{\"id\":1}]" },
	{ "ledger.close_accounts", "[[#000]]" },
	{ "ledger.reopen_accounts", "[[#000]]" },
	{ "customers.upsert", "[{\"brand\":\"" BRAND "\",\"profileId\":\"r#\",\"status\":\"A\",\"tags\":[\"x\"]}]" },
	{ "transactions.create", "[{\"brand\":\"" BRAND "\",\"profileId\":\"m-back\",\"eventType\":\"OTHER\",\"eventId\":\"t#\","
				 "\"source\":\"W\",\"payload\":{\"amount\":1}}]" },
	{ "ledger.book", "[{\"tenant\":\"T\",\"unit\":\"points\"}]" },
};

struct request {
	const struct route *route;     /* NULL: of MessagePack-RPC */
	const struct route *command;   /* of MessagePack-RPC: the route whose command it is; NULL: none's */
	struct str name;               /* of its method; borrowed */
	const struct called *called;   /* NULL: nothing is known of it */
	const struct known *known;     /* NULL: nothing is */
	struct buf path, body;         /* owned */
	char id[64];                   /* of what it needed */
	uint32_t event;                /* of the journal; UINT32_MAX: none */
};

static unsigned number;                            /* of "#" */
static char pos_account[64];

static void text_fill(struct buf *out, const char *text, const char *id)
{
	for (; *text; text++) {
		if (*text == '#')
			buf_printf(out, "%u", number);
		else if (*text == '@')
			buf_str(out, str_of(id));
		else if (*text == '$')
			buf_str(out, str_of(pos_account));
		else
			buf_char(out, *text);
	}
}

static void field_fill(struct buf *out, const struct kind *kind, const struct field *field)
{
	switch (field->type) {
	case FIELD_TEXT: buf_printf(out, "\"t%u\"", number); return;
	case FIELD_INT:
	case FIELD_DECIMAL: buf_printf(out, "%u", number % 1000000); return;
	case FIELD_BOOL: buf_lit(out, "true"); return;
	case FIELD_ENUM: buf_printf(out, "\"%s\"", field->choices[0]); return;
	case FIELD_REF: buf_str(out, kind->number == KIND_INTERNAL_JOB ? STR("\"INSIDE\"") : STR("\"OTHER\"")); return;
	case FIELD_CONDITION: buf_lit(out, "{\">=\":[{\"var\":\"payload.a\"},1]}"); return;
	case FIELD_ACTIONS: buf_lit(out, "[{\"type\":\"earn_points\",\"points\":1}]"); return;
	case FIELD_TEXTS: buf_lit(out, "[\"a\"]"); return;
	case FIELD_LIST: buf_lit(out, "[]"); return;
	case FIELD_TIME: buf_lit(out, "\"2026-01-01T00:00:00Z\""); return;
	case FIELD_SCHEMA:
	case FIELD_JSON: buf_lit(out, "{}"); return;
	case FIELD_TYPES: break;
	}
	fail_msg("a field of an unknown type: %s", field->name);
}

/* A body out of the kind's table: what it must have, or (patch) the texts that may change. */
static void kind_fill(struct buf *out, const struct kind *kind, bool patch)
{
	size_t start = out->len;
	buf_char(out, '{');
	for (const struct field *field = kind->fields; field->name; field++) {
		bool may = !(field->flags & (READONLY | IMMUTABLE)) && field->type == FIELD_TEXT;
		if (patch ? !may : !(field->flags & REQUIRED))
			continue;
		buf_printf(out, "%s\"%s\":", out->len > start + 1 ? "," : "", field->name);
		field_fill(out, kind, field);
	}
	buf_char(out, '}');
}

/* A text of an answer, wherever it stands: of an effect as well. */
static void answer_text(const char *key, char out[64])
{
	char wanted[64];
	buf_char(&journal.answer, '\0');
	snprintf(wanted, sizeof wanted, "\"%s\":\"", key);
	const char *at = strstr(journal.answer.ptr, wanted);
	snprintf(out, 64, "%.*s", at ? (int)strcspn(at + strlen(wanted), "\"") : 0, at ? at + strlen(wanted) : "");
}

/* The id that a document gets which the request needs to be there. */
static void first_make(const struct known *row, const struct kind *kind, struct connection *connection, char id[64])
{
	snprintf(id, 64, "%s", journal.events[0].transaction);
	if (row ? !row->first_path : !kind)
		return;
	journal.text.len = 0;
	if (row)
		text_fill(&journal.text, row->first_body, "");
	else
		kind_fill(&journal.text, kind, false);
	int status = connection_ask(connection, "POST", row ? row->first_path : kind->path, buf_view(&journal.text), &journal.answer);
	if (status != 201)
		fail_msg("%s answers %.*s with %d: %.*s", row ? row->first_path : kind->path, (int)journal.text.len, journal.text.ptr,
			 status, (int)journal.answer.len, journal.answer.ptr);
	answer_text(row && row->id_key ? row->id_key : "id", id);
	if (!*id)
		fail_msg("no id in %s", journal.answer.ptr);
}

/* What stands in the place of a name in braces. */
static struct str part_value(struct str name, const struct known *row, const char *id)
{
	if (str_eq(name, STR("brand")))
		return STR(BRAND);
	if (str_eq(name, STR("profile_id")))
		return str_of(row && row->profile ? row->profile : "m1");
	if (str_eq(name, STR("tenant")))
		return STR("T");
	return str_eq(name, STR("code")) ? STR("not_found") : str_of(id);
}

static void path_fill(struct buf *out, const char *path, const struct known *row, const char *id)
{
	for (; *path; path++) {
		const char *end = *path == '{' ? strchr(path, '}') : NULL;
		if (!end) {
			buf_char(out, *path);
			continue;
		}
		struct str name = { path + 1, (size_t)(end - path) - 1 };
		buf_str(out, part_value(name, row, id));
		path = end;
	}
	if (row && row->query)
		buf_printf(out, "?%s", row->query);
}

static const struct known *known_find(const struct route *route)
{
	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		if (!strcmp(known[k].method, route->method) && !strcmp(known[k].path, route->path))
			return &known[k];
	return NULL;
}

/* What must be there for a request of this route, and its id. */
static void first_of(const struct route *route, const struct known *row, char id[64])
{
	struct connection connection;
	const struct kind *kind = strstr(route->path, "{id}") ? route->kind : NULL;
	assert_true(connection_open(&connection, process.port));
	first_make(row, kind, &connection, id);
	connection_close(&connection);
}

static void body_fill(struct buf *out, const struct route *route, const struct known *row, const char *id)
{
	if (row)
		text_fill(out, row->body, id);
	else if (strcmp(route->method, "GET") == 0 || strcmp(route->method, "DELETE") == 0)
		return;
	else if (route->kind)
		kind_fill(out, route->kind, strcmp(route->method, "PATCH") == 0);
	else
		buf_lit(out, "{}");
}

static void member_add(struct buf *out, struct str name, struct str value)
{
	buf_printf(out, "%s\"%.*s\":", out->len > 2 ? "," : "", (int)name.len, name.ptr);
	buf_json_text(out, value);
}

/* The params of a route's command: its body, with what path and query name. */
static void command_fill(struct buf *out, const struct route *route, char id[64])
{
	const struct known *row = known_find(route);
	struct buf body = { 0 };
	first_of(route, row, id);
	number++;
	body_fill(&body, route, row, id);
	buf_lit(out, "[{");
	if (row && row->type && strcmp(row->type, JSON) != 0)
		member_add(out, STR("body"), buf_view(&body));
	else if (body.len > 2)
		buf_bytes(out, body.ptr + 1, body.len - 2);
	if (!strstr(out->ptr, "\"brand\":") && !strncmp(route->path, "/v1", 3) == 0 && !strncmp(route->path, "/api", 4) == 0)
		buf_printf(out, "%s\"brand\":\"" BRAND "\"", out->len > 2 ? "," : "");
	for (const char *at = route->path; (at = strchr(at, '{')); at++) {
		const char *end = strchr(at, '}');
		struct str name = { at + 1, (size_t)(end - at) - 1 };
		if (!str_eq(name, STR("brand")))
			member_add(out, name, part_value(name, row, id));
	}
	for (const char *at = row && row->query ? row->query : ""; *at; at += strcspn(at, "&"), at += *at == '&') {
		size_t name = strcspn(at, "="), value = strcspn(at, "&") - name - 1;
		member_add(out, (struct str){ at, name }, (struct str){ at + name + 1, value });
	}
	buf_lit(out, "}]");
	buf_free(&body);
}

/* A frame of MessagePack-RPC. */
static void call_make(struct request *request)
{
	struct buf *out = &request->body, text = { 0 };
	if (!request->called && request->command)
		command_fill(&text, request->command, request->id);
	number++;
	out->len = request->path.len = 0;
	request->event = UINT32_MAX;
	buf_str(&request->path, request->name);
	buf_char(&request->path, '\0');
	pack_array(out, 4);
	pack_u64(out, 0);
	pack_u64(out, number);
	pack_text(out, request->name);
	if (request->called && !request->called->params) {
		/* id u128, debit account u128, credit account u128, amount u64, code u16, flags u16, timeout u32 */
		uint64_t row[8] = { number, 0, 1, 0, 2, 0, 7, 1 };
		pack_array(out, 1);
		pack_bin(out, row, sizeof row);
		return;
	}
	if (!text.len)
		text_fill(&text, request->called ? request->called->params : "[{\"brand\":\"" BRAND "\"}]", "");
	yyjson_doc *doc = journal_read(&text);
	pack_json(out, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	buf_free(&text);
}

/* 200, or the code of the error; -1: the server is gone. */
static int call_send(const struct request *request)
{
	struct connection connection;
	struct buf *in = &journal.answer;
	int64_t code = -1;
	in->len = 0;
	if (!connection_open(&connection, process.rpc_port))
		return -1;
	ssize_t got = send(connection.fd, request->body.ptr, request->body.len, MSG_NOSIGNAL);
	while (code < 0 && got > 0) {
		buf_room(in, 65536);
		got = recv(connection.fd, in->ptr + in->len, 65536, 0);
		in->len += got > 0 ? (size_t)got : 0;
		struct rpc_reader reader = { (const unsigned char *)in->ptr, (const unsigned char *)in->ptr + in->len };
		struct rpc_reader whole = reader;
		struct str key;
		uint32_t fields;
		uint64_t id;
		if (!in->len || !rpc_skip(&whole))
			continue;
		assert_true(rpc_read_array(&reader, &fields) && fields == 4 && rpc_read_u64(&reader, &id) && id == 1);
		assert_true(rpc_read_u64(&reader, &id) && id == number);
		/* An error's first field is its code. */
		if (rpc_read_nil(&reader))
			code = 200;
		else
			assert_true(rpc_read_map(&reader, &fields) && rpc_read_str(&reader, &key) && str_eq(key, STR("code")) &&
				    rpc_read_i64(&reader, &code));
	}
	connection_close(&connection);
	return (int)code;
}

/* Makes the request new, with everything that it needs in place; the server runs. */
static void request_make(struct request *request)
{
	char id[64];
	if (!request->route) {
		call_make(request);
		return;
	}
	const char *path = request->route->path, *method = request->route->method;
	number++;
	request->path.len = request->body.len = 0;
	request->event = UINT32_MAX;
	first_of(request->route, request->known, id);
	number++;
	path_fill(&request->path, path, request->known, id);
	buf_char(&request->path, '\0');
	if (strcmp(method, "POST") == 0 && strcmp(path, "/transactions") == 0) {
		request->event = journal_event(&journal);
		journal_write(&journal, &request->body, request->event);
	} else if (strcmp(path, "/customers/upsert") == 0) {
		journal_write_upsert(&journal, &request->body);
	} else {
		body_fill(&request->body, request->route, request->known, id);
	}
	snprintf(request->id, sizeof request->id, "%s", id);
}

/* What it needed may go again. */
static void request_undo(const struct request *request)
{
	char path[160];
	const struct route *route = request->route ? request->route : request->command;
	const struct known *row = route ? known_find(route) : NULL;
	struct connection connection;
	if (!row || !row->let_go || !connection_open(&connection, process.port))
		return;
	snprintf(path, sizeof path, "%s/%s", row->first_path, request->id);
	connection_ask(&connection, "DELETE", path, (struct str){ NULL, 0 }, &journal.answer);
	connection_close(&connection);
}

/* Nobody learns anything from a request that is refused before it is looked at. */
static void accepted(const char *method, const char *path, int status)
{
	if (status / 100 != 2)
		fail_msg("%s %s is only ever answered with %d: give it a request that is accepted: %.*s",
			 method, path, status, (int)journal.answer.len, journal.answer.ptr);
}

/* The status; -1: the server is gone. */
static int request_send(struct request *request)
{
	struct connection connection;
	if (!request->route)
		return call_send(request);
	const char *type = request->known && request->known->type ? request->known->type : JSON;
	int status = -1;
	if (connection_open(&connection, process.port) &&
	    connection_send_type(&connection, request->route->method, request->path.ptr, type, buf_view(&request->body)))
		status = connection_take(&connection, PROCESS_WAIT_MS, &journal.answer);
	connection_close(&connection);
	if (status == 0)
		fail_msg("no answer to %s %s", request->route->method, request->path.ptr);
	if (status != 200 && status != 201)
		return status;
	if (request->event != UINT32_MAX) {
		yyjson_doc *doc = journal_read(&journal.answer);
		journal_answered(&journal, request->event, yyjson_doc_get_root(doc), false);
		yyjson_doc_free(doc);
	} else if (strcmp(request->route->path, "/customers/upsert") == 0) {
		journal.upsert_done = journal.upsert_sent;
	}
	return status;
}

/* It answers no more. */
static bool gone(void)
{
	struct connection connection;
	int status = -1;
	struct buf answer = { 0 };
	if (connection_open(&connection, process.port) && connection_send(&connection, "GET", "/livez", (struct str){ NULL, 0 }))
		status = connection_take(&connection, PROCESS_WAIT_MS, &answer);
	connection_close(&connection);
	buf_free(&answer);
	return status < 0;
}

static void request_sweep(struct request *request)
{
	unsigned before_stopped = stopped, before_answered = answered, turn = 0;
	const char *method = request->route ? request->route->method : "call";
	request_make(request);
	request_send(request);                         /* what is only made once is there now */
	request_undo(request);
	request_make(request);
	uint64_t from = atomic_load(&page->allocations);
	int usual = request_send(request);
	size_t usual_len = journal.answer.len;
	accepted(method, request->route ? request->route->path : request->path.ptr, usual);
	request_undo(request);
	unsigned total = (unsigned)(atomic_load(&page->allocations) - from);
	const char *full = getenv("TALLY_CRASH_FULL");
	unsigned step = full && *full && *full != '0' ? 1 : REQUEST_STEP;
	uint64_t seed = share_seed();
	for (uint64_t at = 1 + random_next(&seed) % step; at <= total; at += step) {
		request_make(request);
		fprintf(stderr, "allocation %llu of %s %s fails\n", (unsigned long long)at, method, request->path.ptr);
		arm(at, turn++ % 2);
		int status = request_send(request);
		if (status < 0) {
			process_wait(&process);
			ended_clearly(true);
			start();
			continue;
		}
		bool hit = disarm();
		if (hit && gone()) {                   /* what came behind the answer met it */
			process_wait(&process);
			ended_clearly(true);
			start();
			continue;
		}
		if (hit && status / 100 != usual / 100 && status < 500)
			fail_msg("%s %s is usually answered with %d, and then with %d: %.*s", method, request->path.ptr, usual,
				 status, (int)journal.answer.len, journal.answer.ptr);
		if (hit && status == usual && journal.answer.len < usual_len / 2)
			fail_msg("%s %s is answered with %zu bytes instead of %zu: %.*s", method, request->path.ptr,
				 journal.answer.len, usual_len, (int)journal.answer.len, journal.answer.ptr);
		answered += hit;
		request_undo(request);
	}
	printf("# %s %s: %d; %u allocations, %u stopped it, %u it did without\n", method,
	       request->route ? request->route->path : request->path.ptr, usual, total, stopped - before_stopped,
	       answered - before_answered);
	buf_free(&request->path);
	buf_free(&request->body);
}

/* What these requests are about, so that nothing of the journal is worth something else. */
static void other_make(void)
{
	static const struct { const char *path, *body; } firsts[] = {
		{ "/admin/event-types", "{\"key\":\"OTHER\",\"origin\":\"EXTERNAL\",\"name\":\"Other\"}" },
		{ "/admin/event-types", "{\"key\":\"INSIDE\",\"origin\":\"INTERNAL\",\"name\":\"Inside\"}" },
		{ "/v1/accounts", "[{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"1\"},"
				  "{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"2\"}]" },
		{ "/admin/loyalty-tiers", "{\"key\":\"base\",\"name\":\"Base\",\"rank\":0,\"min_status_points\":0}" },
		{ "/admin/event-types", "{\"key\":\"GIVES\",\"origin\":\"EXTERNAL\",\"name\":\"Gives\"}" },
		{ "/admin/bonus-definitions", "{\"bonus_key\":\"HELLO\",\"name\":\"Hello\",\"policy\":\"ONCE_EVER\"}" },
		{ "/rewards", "{\"name\":\"Coffee\",\"cost_points\":0}" },
		{ "/rules", "{\"event_type\":\"GIVES\",\"actions\":[{\"type\":\"issue_reward\",\"reward_id\":\"@\"},"
			    "{\"type\":\"record_bonus_award\",\"bonusKey\":\"HELLO\"}]}" },
		{ "/api/v1/accounts", "{\"org_id\":\"T\",\"customer_id\":\"c-1\",\"account_type\":1}" },
		{ "/api/v1/accounts", "{\"org_id\":\"T\",\"customer_id\":\"c-1\",\"account_type\":2}" },
	};
	struct connection connection;
	begin();
	assert_true(connection_open(&connection, process.port));
	for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
		journal.text.len = 0;
		text_fill(&journal.text, firsts[i].body, pos_account);
		int status = connection_ask(&connection, "POST", firsts[i].path, buf_view(&journal.text), &journal.answer);
		if (status != 201 && status != 200)
			fail_msg("%s is answered with %d: %.*s", firsts[i].path, status, (int)journal.answer.len, journal.answer.ptr);
		answer_text("id", pos_account);        /* the last one's stays */
	}
	connection_close(&connection);
}

static void stops_or_answers(void **state)
{
	unsigned count = 0;
	(void)state;
	if (share_out(__func__))
		return;
	other_make();
	for (const struct route *const *surface = app_surfaces(); *surface; surface++)
		for (const struct route *route = *surface; route->method; route++) {
			struct request request = { .route = route };
			if (!share_mine(count++))
				continue;
			request.known = known_find(route);
			request_sweep(&request);
		}
	verify();
	printf("# %u routes; %u times it stopped, %u times it did without\n", count, stopped, answered);
	assert_true(stopped > 0);
}

/* The names of all methods, as the server lists them, after the table's own. */
static void methods_list(struct buf *names)
{
	struct request request = { .name = STR("rpc.methods") };
	struct rpc_reader reader;
	struct str key, value;
	uint32_t count, fields;
	uint64_t number_read;
	for (size_t i = 0; i < sizeof called / sizeof *called; i++)
		buf_bytes(names, called[i].name, strlen(called[i].name) + 1);
	call_make(&request);
	assert_int_equal(call_send(&request), 200);
	reader = (struct rpc_reader){ (const unsigned char *)journal.answer.ptr,
				      (const unsigned char *)journal.answer.ptr + journal.answer.len };
	assert_true(rpc_read_array(&reader, &count) && rpc_read_u64(&reader, &number_read) &&
		    rpc_read_u64(&reader, &number_read) && rpc_read_nil(&reader) && rpc_read_array(&reader, &count));
	for (; count; count--) {
		assert_true(rpc_read_map(&reader, &fields));
		for (; fields; fields--) {
			assert_true(rpc_read_str(&reader, &key));
			if (!str_eq(key, STR("name"))) {
				assert_true(rpc_skip(&reader));
				continue;
			}
			assert_true(rpc_read_str(&reader, &value));
			bool known_already = false;
			for (size_t i = 0; i < sizeof called / sizeof *called; i++)
				known_already |= str_eq(value, str_of(called[i].name));
			if (!known_already) {
				buf_str(names, value);
				buf_char(names, '\0');
			}
		}
	}
	buf_free(&request.path);
	buf_free(&request.body);
}

static void stops_or_answers_calls(void **state)
{
	struct request request;
	struct buf names = { 0 };
	unsigned count = 0;
	(void)state;
	if (share_out(__func__))
		return;
	other_make();
	methods_list(&names);
	for (const char *name = names.ptr; name < names.ptr + names.len; name += strlen(name) + 1, count++) {
		request = (struct request){ .name = str_of(name) };
		if (count < sizeof called / sizeof *called)
			request.called = &called[count];
		for (const struct route *const *surface = app_surfaces(); *surface; surface++)
			for (const struct route *route = *surface; route->method; route++)
				if (route->command && strcmp(route->command, name) == 0)
					request.command = route;
		if (share_mine(count))
			request_sweep(&request);
	}
	buf_free(&names);
	verify();
	printf("# %u methods; %u times it stopped, %u times it did without\n", count, stopped, answered);
	assert_true(stopped > 0);
}

static int set_up(void **state)
{
	(void)state;
	folder_make(process.folder);
	options = plain;
	snprintf(archive, sizeof archive, "%s/archive", process.folder);
	snprintf(config, sizeof config, "%s/options", process.folder);
	FILE *file = fopen(config, "w");
	assert_non_null(file);
	/* The second line is longer than what a first one takes. */
	fprintf(file, "# options\n# %300s\n%s\n", "", CONFIG_LINE);
	fclose(file);
	page = injection_open(&process, "memory");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	process_kill(&process);
	injection_close(page);
	folder_remove(process.folder);
	journal_free(&journal);
	stopped = refused = answered = 0;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stops_or_refuses_to_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stops_or_refuses_to_start_with_much, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stops_or_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stops_or_answers_calls, set_up, tear_down),
	};
	setenv("TALLY_CRASH_BIN", "build/tally", 0);
	share_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
