// SPDX-License-Identifier: Apache-2.0
/* test_kill.c - what was acknowledged is there exactly once, however often the server is killed.
 *
 * Each round starts the server on the same data (with 1 and 4 shards in turn), loads it over several connections with
 * events, small arrays, repeats and upserts, kills it at a random moment, and after the next start compares: every
 * acknowledged event is known under the same transaction id and stands once in its member's movements; balances are the
 * sums of the movements; the counter of an upserted customer is the last acknowledged one, or the one that was under
 * way.
 *
 *     TALLY_CRASH_ROUNDS=200   rounds            TALLY_CRASH_SEED=N   to repeat a run's choices
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "tests/crash/process.h"

enum { ROUNDS = 200, FULL_EVERY = 20, CONNECTIONS = 6, MEMBERS = 40, ARRAY_MAX = 8, RESEND_MAX = 400, SAMPLE = 40 };

struct event {
	char transaction[33];          /* "": not acknowledged */
	bool made;                     /* an answer said that it was new */
	unsigned seen;                 /* in the movements being read */
};

struct flight {
	struct connection connection;
	uint32_t events[ARRAY_MAX];
	bool known[ARRAY_MAX];         /* was acknowledged when it was sent */
	unsigned count;                /* 0: nothing under way, or the upsert */
	bool array, upsert;
};

struct world {
	struct process process;
	struct event *events;          /* owned; number N has the id "eN" */
	uint32_t count, cap, round_start;
	uint32_t acknowledged, repeats;
	uint64_t upsert_sent, upsert_done, seed;
	struct flight flights[CONNECTIONS];
	struct buf text, answer;
};

static struct world world;

static uint64_t chance(uint64_t below)
{
	return random_next(&world.seed) % below;
}

/* ---- what the events are: everything follows from the number --------------------------------------------------- */

static unsigned event_cents(uint32_t number)
{
	uint64_t seed = number;
	return 100 + (unsigned)(random_next(&seed) % 9900);
}

static unsigned event_quantity(uint32_t number)
{
	return 1 + number % 3;
}

static unsigned event_points(uint32_t number)
{
	return event_cents(number) / 100 + (event_quantity(number) >= 2 ? 5 : 0);
}

static void event_write(struct buf *out, uint32_t number)
{
	buf_printf(out, "{\"brand\":\"" BRAND "\",\"profileId\":\"m%u\",\"eventType\":\"PURCHASE\",\"eventId\":\"e%u\","
		   "\"source\":\"test\",\"payload\":{\"amount\":%u.%02u,\"quantity\":%u}}", number % MEMBERS, number,
		   event_cents(number) / 100, event_cents(number) % 100, event_quantity(number));
}

static void events_write(struct buf *out, const uint32_t *numbers, size_t count)
{
	buf_char(out, '[');
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_char(out, ',');
		event_write(out, numbers[i]);
	}
	buf_char(out, ']');
}

static uint32_t event_new(void)
{
	if (world.count == world.cap) {
		world.cap = world.cap ? world.cap * 2 : 1024;
		world.events = mem_realloc(world.events, world.cap * sizeof *world.events);
	}
	world.events[world.count] = (struct event){ 0 };
	return world.count++;
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

static yyjson_doc *answer_read(const struct buf *answer)
{
	struct json_error error;
	yyjson_doc *doc = json_read(buf_view(answer), &error);
	if (!doc)
		fail_msg("%s in %.*s", error.detail, (int)answer->len, answer->ptr);
	return doc;
}

static int64_t number_at(yyjson_val *object, struct str key)
{
	int64_t value = -1;
	if (!json_int(json_get(object, key), &value))
		fail_msg("no number %.*s", (int)key.len, key.ptr);
	return value;
}

/* An event's answer: remembers it, or compares it with what was said before.  `known`: it was acknowledged before it
 * was sent. Of several that were under way at the same time one, and only one, is the first. */
static void event_answered(uint32_t number, yyjson_val *answer, bool known)
{
	struct event *event = &world.events[number];
	struct str id = json_text(json_get(answer, STR("id"))), event_id = json_text(json_get(answer, STR("eventId")));
	bool again = yyjson_is_true(json_get(answer, STR("idempotent")));
	char wanted[16];
	snprintf(wanted, sizeof wanted, "e%u", number);
	if (!str_eq(event_id, str_of(wanted)) || id.len != 32) {
		struct buf text = { 0 };
		json_write(&text, answer);
		fail_msg("event %s was answered with %.*s", wanted, (int)text.len, text.ptr);
	}
	if (!again && (known || event->made))
		fail_msg("%s was acknowledged and is new again", wanted);
	event->made |= !again;
	if (event->transaction[0]) {
		if (!str_eq(id, str_of(event->transaction)))
			fail_msg("%s was %s and is now %.*s", wanted, event->transaction, (int)id.len, id.ptr);
		world.repeats++;
		return;
	}
	memcpy(event->transaction, id.ptr, id.len);
	world.acknowledged++;
}

/* ---- load ------------------------------------------------------------------------------------------------------ */

static bool flight_start(struct flight *flight)
{
	world.text.len = 0;
	flight->count = 0;
	flight->upsert = flight == &world.flights[0] && chance(4) == 0;
	if (flight->upsert) {
		buf_printf(&world.text, "{\"brand\":\"" BRAND "\",\"profileId\":\"counter\","
			   "\"status\":\"ACTIVE\",\"seen\":%llu}", (unsigned long long)++world.upsert_sent);
		return connection_send(&flight->connection, "POST", "/customers/upsert", buf_view(&world.text));
	}
	flight->array = chance(3) == 0;
	flight->count = flight->array ? 1 + (unsigned)chance(ARRAY_MAX) : 1;
	for (unsigned i = 0; i < flight->count; i++) {
		flight->events[i] = world.count && chance(8) == 0 ? (uint32_t)chance(world.count) : event_new();
		flight->known[i] = world.events[flight->events[i]].transaction[0] != '\0';
	}
	if (flight->array)
		events_write(&world.text, flight->events, flight->count);
	else
		event_write(&world.text, flight->events[0]);
	return connection_send(&flight->connection, "POST", "/transactions", buf_view(&world.text));
}

/* Takes an answer if it is there.  False: the server is gone. */
static bool flight_take(struct flight *flight, bool *landed)
{
	int status = connection_take(&flight->connection, 0, &world.answer);
	*landed = status > 0;
	if (status <= 0)
		return status == 0;
	if (status != 200 && status != 201)
		fail_msg("status %d under load: %.*s", status, (int)world.answer.len, world.answer.ptr);
	yyjson_doc *doc = answer_read(&world.answer);
	yyjson_val *root = yyjson_doc_get_root(doc);
	if (flight->upsert)
		world.upsert_done = world.upsert_sent;
	else if (flight->array)
		assert_int_equal(yyjson_arr_size(root), flight->count);
	for (unsigned i = 0; i < flight->count; i++)
		event_answered(flight->events[i], flight->array ? yyjson_arr_get(root, i) : root, flight->known[i]);
	yyjson_doc_free(doc);
	return true;
}

/* Loads for `us` microseconds, kills, and then takes the answers that had left before. */
static void load_and_kill(uint64_t us)
{
	struct pollfd wanted[CONNECTIONS];
	uint64_t until = clock_us() + us, now;
	bool landed;
	for (size_t i = 0; i < CONNECTIONS; i++) {
		assert_true(connection_open(&world.flights[i].connection, world.process.port));
		assert_true(flight_start(&world.flights[i]));
		wanted[i] = (struct pollfd){ .fd = world.flights[i].connection.fd, .events = POLLIN };
	}
	while ((now = clock_us()) < until) {
		poll(wanted, CONNECTIONS, (int)((until - now) / 1000));
		for (size_t i = 0; i < CONNECTIONS; i++) {
			if (!wanted[i].revents)
				continue;
			if (!flight_take(&world.flights[i], &landed) || (landed && !flight_start(&world.flights[i])))
				fail_msg("the server closed a connection under load");
		}
	}
	process_kill(&world.process);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		landed = false;
		while (!landed && flight_take(&world.flights[i], &landed))
			;
		connection_close(&world.flights[i].connection);
	}
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

static void events_resend(struct connection *connection, const uint32_t *numbers, size_t count, bool known)
{
	if (!count)
		return;
	world.text.len = 0;
	events_write(&world.text, numbers, count);
	int status = connection_ask(connection, "POST", "/transactions", buf_view(&world.text), &world.answer);
	assert_int_equal(status, 200);
	yyjson_doc *doc = answer_read(&world.answer);
	assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), count);
	for (size_t i = 0; i < count; i++)
		event_answered(numbers[i], yyjson_arr_get(yyjson_doc_get_root(doc), i), known);
	yyjson_doc_free(doc);
}

/* Sends every `acknowledged` (or else some not acknowledged) event from `first` on again. */
static void range_resend(struct connection *connection, uint32_t first, bool acknowledged)
{
	uint32_t numbers[RESEND_MAX];
	size_t count = 0;
	for (uint32_t n = first; n < world.count; n++) {
		if ((world.events[n].transaction[0] != '\0') != acknowledged || (!acknowledged && chance(2)))
			continue;
		numbers[count++] = n;
		if (count == RESEND_MAX) {
			events_resend(connection, numbers, count, acknowledged);
			count = 0;
		}
	}
	events_resend(connection, numbers, count, acknowledged);
}

static void sample_resend(struct connection *connection)
{
	uint32_t numbers[SAMPLE];
	size_t count = 0;
	for (unsigned i = 0; i < SAMPLE && world.count; i++) {
		numbers[count] = (uint32_t)chance(world.count);
		count += world.events[numbers[count]].transaction[0] != '\0';
	}
	events_resend(connection, numbers, count, true);
}

/* Adds a movement up: its event was sent, is the member's, and is booked under one transaction, never twice. */
static int64_t movement_add(yyjson_val *movement, unsigned member)
{
	struct str id = json_text(json_get(movement, STR("eventId")));
	struct str transaction = json_text(json_get(movement, STR("transaction_id")));
	char text[16];
	unsigned number = UINT32_MAX;
	snprintf(text, sizeof text, "%.*s", (int)id.len, id.ptr);
	if (sscanf(text, "e%u", &number) != 1 || number >= world.count || number % MEMBERS != member)
		fail_msg("member %u has a movement of event %s", member, text);
	struct event *event = &world.events[number];
	if (event->transaction[0] && !str_eq(transaction, str_of(event->transaction)))
		fail_msg("%s is booked as %.*s, acknowledged as %s", text, (int)transaction.len, transaction.ptr,
			 event->transaction);
	int64_t points = number_at(movement, STR("points"));
	event->seen += (unsigned)points;
	return points;
}

static void member_compare(struct connection *connection, unsigned member)
{
	char path[100];
	snprintf(path, sizeof path, "/customers/" BRAND "/m%u/point-movements?limit=100000", member);
	int status = connection_ask(connection, "GET", path, STR(""), &world.answer);
	yyjson_doc *doc = answer_read(&world.answer);
	yyjson_val *list = yyjson_doc_get_root(doc), *movement;
	int64_t sum = 0, balance = -1;
	size_t at, max;
	for (uint32_t n = member; n < world.count; n += MEMBERS)
		world.events[n].seen = 0;
	if (status == 200) {
		yyjson_arr_foreach(list, at, max, movement) {
			if (at == 0)
				balance = number_at(movement, STR("balance"));
			sum += movement_add(movement, member);
		}
	}
	yyjson_doc_free(doc);
	for (uint32_t n = member; n < world.count; n += MEMBERS) {
		const struct event *event = &world.events[n];
		bool right = event->seen == event_points(n) || (event->seen == 0 && !event->transaction[0]);
		if (!right)
			fail_msg("event e%u (%s) is worth %u points and has %u", n, event->transaction,
				 event_points(n), event->seen);
	}
	if (status == 404)
		return;
	assert_int_equal(status, 200);
	snprintf(path, sizeof path, "/wallet/" BRAND "/m%u", member);
	assert_int_equal(connection_ask(connection, "GET", path, STR(""), &world.answer), 200);
	doc = answer_read(&world.answer);
	assert_int_equal(number_at(yyjson_doc_get_root(doc), STR("points")), sum);
	yyjson_doc_free(doc);
	assert_true(balance == sum || balance == -1);
}

static void counter_compare(struct connection *connection)
{
	int64_t seen = 0;
	int status = connection_ask(connection, "GET", "/customers/" BRAND "/counter", STR(""), &world.answer);
	if (status == 200) {
		yyjson_doc *doc = answer_read(&world.answer);
		seen = number_at(yyjson_doc_get_root(doc), STR("seen"));
		yyjson_doc_free(doc);
	}
	if ((uint64_t)seen < world.upsert_done || (uint64_t)seen > world.upsert_sent)
		fail_msg("the counter is %lld; %llu was acknowledged, %llu sent", (long long)seen,
			 (unsigned long long)world.upsert_done, (unsigned long long)world.upsert_sent);
	world.upsert_done = world.upsert_sent = (uint64_t)seen;
}

static void compare(bool full)
{
	struct connection connection;
	assert_true(connection_open(&connection, world.process.port));
	counter_compare(&connection);
	if (chance(2))
		range_resend(&connection, world.round_start, false);
	range_resend(&connection, full ? 0 : world.round_start, true);
	sample_resend(&connection);
	unsigned first = full ? 0 : (unsigned)chance(MEMBERS);
	for (unsigned i = 0; i < (full ? MEMBERS : 2); i++)
		member_compare(&connection, (first + i) % MEMBERS);
	connection_close(&connection);
}

static void books_check(void)
{
	char data[FOLDER_PATH + 8];
	const char *words[] = { "check", data, NULL };
	snprintf(data, sizeof data, "%s/data", world.process.folder);
	world.text.len = 0;
	int status = program_run(words, &world.text);
	buf_char(&world.text, '\0');
	if (status != 0 || !strstr(world.text.ptr, "the books balance"))
		fail_msg("tally check ends with %d: %s", status, world.text.ptr);
}

/* ---- the test -------------------------------------------------------------------------------------------------- */

static void configure(void)
{
	static const struct { const char *path; struct str body; } requests[] = {
		{ "/admin/event-types", STR("{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"Purchase\"}") },
		{ "/rules", STR("{\"event_type\":\"PURCHASE\",\"conditions\":null,\"actions\":"
				"[{\"type\":\"earn_points_from_amount\",\"rate\":1,\"amount_path\":\"amount\"}]}") },
		{ "/rules", STR("{\"event_type\":\"PURCHASE\","
				"\"conditions\":{\">=\":[{\"var\":\"payload.quantity\"},2]},"
				"\"actions\":[{\"type\":\"earn_points\",\"points\":5}]}") },
	};
	struct connection connection;
	assert_true(connection_open(&connection, world.process.port));
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		assert_int_equal(connection_ask(&connection, "POST", requests[i].path, requests[i].body,
						&world.answer), 201);
	connection_close(&connection);
}

static void server_start(unsigned round)
{
	static const char *const options[] = { "--log-segment", "1M", "--log-ring", "256K", NULL };
	if (process_start(&world.process, round % 2 ? 4 : 1, options))
		return;
	char path[FOLDER_PATH + 8];
	snprintf(path, sizeof path, "%s/log", world.process.folder);
	world.text.len = 0;
	file_read(path, &world.text);
	fail_msg("round %u: the server does not start: %.*s", round, (int)world.text.len, world.text.ptr);
}

static void keeps_what_it_acknowledged(void **state)
{
	(void)state;
	const char *wanted = getenv("TALLY_CRASH_ROUNDS"), *seed = getenv("TALLY_CRASH_SEED");
	unsigned rounds = wanted ? (unsigned)strtoul(wanted, NULL, 10) : ROUNDS;
	world.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	printf("# %s, %u rounds, TALLY_CRASH_SEED=%llu\n", process_program(), rounds, (unsigned long long)world.seed);
	server_start(0);
	configure();
	for (unsigned round = 1; round <= rounds; round++) {
		bool full = round % FULL_EVERY == 0 || round == rounds;
		world.round_start = world.count;
		load_and_kill(5000 + chance(55000));
		if (full)
			books_check();
		server_start(round);
		compare(full);
		if (full) {
			printf("# round %u: %u events sent, %u acknowledged, %u repeats alike\n", round, world.count,
			       world.acknowledged, world.repeats);
			fflush(stdout);
		}
	}
	assert_int_equal(process_stop(&world.process), 0);
	books_check();
	assert_true(world.acknowledged > rounds);
}

static int set_up(void **state)
{
	(void)state;
	folder_make(world.process.folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	process_kill(&world.process);
	folder_remove(world.process.folder);
	mem_free(world.events);
	buf_free(&world.text);
	buf_free(&world.answer);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_what_it_acknowledged, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
