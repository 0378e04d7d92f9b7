// SPDX-License-Identifier: Apache-2.0
/* test_kill.c - what was acknowledged is there exactly once, however often the server is killed.
 *
 * Each round starts the server on the same data (with 1 and 4 shards in turn), loads it over several connections with
 * events, small arrays, repeats and upserts, kills it at a random moment, and after the next start compares: every
 * acknowledged event is known under the same transaction id and stands once in its member's movements; balances are the
 * sums of the movements; the counter of an upserted customer is the last acknowledged one, or the one that was under
 * way.  In other rounds the server is only stopped for a while (SIGSTOP), so that clients give up, and go on on new
 * connections with what they had not heard of.
 *
 * After 200 rounds the data has grown enough: it begins anew.
 *
 *     TALLY_CRASH_ROUNDS=100  rounds            TALLY_CRASH_SEED=N   to repeat a run's choices
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/crash/journal.h"

enum { ROUNDS = 100, WORLD = 200, FULL_EVERY = 20, CONNECTIONS = 6, ARRAY_MAX = 8, SAMPLE = 40, PAUSES = 12, PATIENCE_MS = 20 };

struct flight {
	struct connection connection;
	uint32_t events[ARRAY_MAX];
	bool known[ARRAY_MAX];         /* was acknowledged when it was sent */
	unsigned count;                /* 0: nothing under way, or the upsert */
	bool array, upsert;
};

struct world {
	struct process process;
	struct journal journal;
	uint32_t round_start;
	uint64_t seed;
	struct flight flights[CONNECTIONS];
};

static struct world world;
static struct journal *const journal = &world.journal;

static uint64_t chance(uint64_t below)
{
	return random_next(&world.seed) % below;
}

/* ---- load ------------------------------------------------------------------------------------------------------ */

static bool flight_send(struct flight *flight)
{
	journal->text.len = 0;
	if (flight->array)
		journal_write_all(journal, &journal->text, flight->events, flight->count);
	else
		journal_write(journal, &journal->text, flight->events[0]);
	return connection_send(&flight->connection, "POST", "/transactions", buf_view(&journal->text));
}

static bool flight_start(struct flight *flight)
{
	flight->count = 0;
	flight->upsert = flight == &world.flights[0] && chance(4) == 0;
	if (flight->upsert) {
		journal->text.len = 0;
		journal_write_upsert(journal, &journal->text);
		return connection_send(&flight->connection, "POST", "/customers/upsert", buf_view(&journal->text));
	}
	flight->array = chance(3) == 0;
	flight->count = flight->array ? 1 + (unsigned)chance(ARRAY_MAX) : 1;
	for (unsigned i = 0; i < flight->count; i++) {
		bool old = journal->count && chance(8) == 0;
		flight->events[i] = old ? (uint32_t)chance(journal->count) : journal_event(journal);
		flight->known[i] = journal->events[flight->events[i]].transaction[0] != '\0';
	}
	return flight_send(flight);
}

/* Takes an answer if it is there.  False: the server is gone. */
static bool flight_take(struct flight *flight, int wait_ms, bool *landed)
{
	int status = connection_take(&flight->connection, wait_ms, &journal->answer);
	*landed = status > 0;
	if (status <= 0)
		return status == 0;
	if (status != 200 && status != 201)
		fail_msg("status %d under load: %.*s", status, (int)journal->answer.len, journal->answer.ptr);
	yyjson_doc *doc = journal_read(&journal->answer);
	yyjson_val *root = yyjson_doc_get_root(doc);
	if (flight->upsert)
		journal->upsert_done = journal->upsert_sent;
	else if (flight->array)
		assert_int_equal(yyjson_arr_size(root), flight->count);
	for (unsigned i = 0; i < flight->count; i++)
		journal_answered(journal, flight->events[i], flight->array ? yyjson_arr_get(root, i) : root, flight->known[i]);
	yyjson_doc_free(doc);
	return true;
}

static void flights_start(void)
{
	for (size_t i = 0; i < CONNECTIONS; i++) {
		assert_true(connection_open(&world.flights[i].connection, world.process.port));
		assert_true(flight_start(&world.flights[i]));
	}
}

static void flights_for(uint64_t us)
{
	struct pollfd wanted[CONNECTIONS];
	uint64_t until = clock_us() + us, now;
	bool landed;
	for (size_t i = 0; i < CONNECTIONS; i++)
		wanted[i] = (struct pollfd){ .fd = world.flights[i].connection.fd, .events = POLLIN };
	while ((now = clock_us()) < until) {
		poll(wanted, CONNECTIONS, (int)((until - now) / 1000));
		for (size_t i = 0; i < CONNECTIONS; i++) {
			if (!wanted[i].revents)
				continue;
			if (!flight_take(&world.flights[i], 0, &landed) || (landed && !flight_start(&world.flights[i])))
				fail_msg("the server closed a connection under load");
		}
	}
}

/* Kills, and then takes the answers that had left before. */
static void kill_under_load(void)
{
	process_kill(&world.process);
	for (size_t i = 0; i < CONNECTIONS; i++) {
		bool landed = false;
		while (!landed && flight_take(&world.flights[i], 0, &landed))
			;
		connection_close(&world.flights[i].connection);
	}
}

static void load_and_kill(uint64_t us)
{
	flights_start();
	flights_for(us);
	kill_under_load();
}

/* What was under way is sent again on a new connection, until it is answered; upserts are not: their order would be open. */
static void flight_retry(struct flight *flight)
{
	bool landed = false;
	connection_close(&flight->connection);
	assert_true(connection_open(&flight->connection, world.process.port));
	if (flight->upsert)
		return;
	assert_true(flight_send(flight));
	while (!landed)
		if (!flight_take(flight, PROCESS_WAIT_MS, &landed))
			fail_msg("the server closed the connection of a retry");
}

/* Loads, stops the server in the middle for longer than the clients wait, and lets it go on. */
static void load_and_pause(uint64_t us)
{
	flights_start();
	flights_for(us);
	assert_int_equal(kill(world.process.pid, SIGSTOP), 0);
	uint64_t until = clock_us() + PATIENCE_MS * 1000;
	bool under_way[CONNECTIONS], landed;
	for (size_t i = 0; i < CONNECTIONS; i++) {
		/* The kernel still hands over what had been sent before. */
		uint64_t now = clock_us();
		assert_true(flight_take(&world.flights[i], now < until ? (int)((until - now) / 1000) : 0, &landed));
		under_way[i] = !landed;
	}
	assert_int_equal(kill(world.process.pid, SIGCONT), 0);
	for (size_t i = 0; i < CONNECTIONS; i++)
		if (under_way[i])
			flight_retry(&world.flights[i]);
	for (size_t i = 0; i < CONNECTIONS; i++)
		connection_close(&world.flights[i].connection);
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

/* Sends every `acknowledged` (or else some not acknowledged) event from `first` on again. */
static void range_resend(struct connection *connection, uint32_t first, bool acknowledged)
{
	uint32_t numbers[RESEND_MAX];
	size_t count = 0;
	for (uint32_t n = first; n < journal->count; n++) {
		if ((journal->events[n].transaction[0] != '\0') != acknowledged || (!acknowledged && chance(2)))
			continue;
		numbers[count++] = n;
		if (count == RESEND_MAX) {
			journal_resend(journal, connection, numbers, count, acknowledged);
			count = 0;
		}
	}
	journal_resend(journal, connection, numbers, count, acknowledged);
}

static void sample_resend(struct connection *connection)
{
	uint32_t numbers[SAMPLE];
	size_t count = 0;
	for (unsigned i = 0; i < SAMPLE && journal->count; i++) {
		numbers[count] = (uint32_t)chance(journal->count);
		count += journal->events[numbers[count]].transaction[0] != '\0';
	}
	journal_resend(journal, connection, numbers, count, true);
}

static void compare(bool full)
{
	struct connection connection;
	assert_true(connection_open(&connection, world.process.port));
	journal_compare_counter(journal, &connection);
	if (chance(2))
		range_resend(&connection, world.round_start, false);
	range_resend(&connection, full ? 0 : world.round_start, true);
	sample_resend(&connection);
	unsigned first = full ? 0 : (unsigned)chance(MEMBERS);
	for (unsigned i = 0; i < (full ? MEMBERS : 2); i++)
		journal_compare(journal, &connection, (first + i) % MEMBERS);
	connection_close(&connection);
}

/* ---- the tests ------------------------------------------------------------------------------------------------- */

static void server_start(unsigned round)
{
	static const char *const options[] = { "--log-segment", "1M", "--log-ring", "256K", NULL };
	if (process_start(&world.process, round % 2 ? 4 : 1, options))
		return;
	char path[FOLDER_PATH + 8];
	snprintf(path, sizeof path, "%s/log", world.process.folder);
	journal->text.len = 0;
	file_read(path, &journal->text);
	fail_msg("round %u: the server does not start: %.*s", round, (int)journal->text.len, journal->text.ptr);
}

static void begin(void)
{
	struct connection connection;
	server_start(0);
	assert_true(connection_open(&connection, world.process.port));
	journal_configure(journal, &connection);
	connection_close(&connection);
}

static void rounds_run(unsigned rounds)
{
	begin();
	for (unsigned round = 1; round <= rounds; round++) {
		bool full = round % FULL_EVERY == 0 || round == rounds;
		world.round_start = journal->count;
		load_and_kill(5000 + chance(55000));
		if (full)
			books_check(&world.process);
		server_start(round);
		compare(full);
	}
	assert_int_equal(process_stop(&world.process), 0);
	books_check(&world.process);
	assert_true(journal->acknowledged > rounds);
	printf("# %u rounds: %u events sent, %u acknowledged, %u repeats alike\n", rounds, journal->count,
	       journal->acknowledged, journal->repeats);
	fflush(stdout);
}

static void world_end(void)
{
	process_kill(&world.process);
	for (size_t i = 0; i < CONNECTIONS; i++)
		connection_close(&world.flights[i].connection);
	folder_remove(world.process.folder);
	journal_free(journal);
}

static void world_begin(uint64_t seed)
{
	world = (struct world){ .seed = seed };
	for (size_t i = 0; i < CONNECTIONS; i++)
		world.flights[i].connection.fd = -1;
	folder_make(world.process.folder);
}

static void keeps_what_it_acknowledged(void **state)
{
	(void)state;
	const char *wanted = getenv("TALLY_CRASH_ROUNDS");
	unsigned rounds = wanted ? (unsigned)strtoul(wanted, NULL, 10) : ROUNDS;
	printf("# %s, %u rounds, TALLY_CRASH_SEED=%llu\n", process_program(), rounds, (unsigned long long)world.seed);
	for (unsigned left = rounds; left; left -= left < WORLD ? left : WORLD) {
		uint64_t seed = world.seed;
		world_end();
		world_begin(seed);
		rounds_run(left < WORLD ? left : WORLD);
	}
}

static void goes_on_after_a_pause(void **state)
{
	(void)state;
	unsigned before = 0;
	begin();
	for (unsigned round = 1; round <= PAUSES; round++) {
		world.round_start = journal->count;
		load_and_pause(2000 + chance(20000));
		assert_true(journal->acknowledged > before);
		before = journal->acknowledged;
		if (round % 4 == 2) {                  /* and one that ends in its sleep */
			flights_start();
			assert_int_equal(kill(world.process.pid, SIGSTOP), 0);
			kill_under_load();
			server_start(round);
		}
		compare(round == PAUSES);
	}
	assert_int_equal(process_stop(&world.process), 0);
	books_check(&world.process);
	printf("# %u pauses: %u events sent, %u acknowledged, %u repeats alike\n", PAUSES, journal->count,
	       journal->acknowledged, journal->repeats);
}

static int set_up(void **state)
{
	(void)state;
	const char *seed = getenv("TALLY_CRASH_SEED");
	world_begin(seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keeps_what_it_acknowledged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(goes_on_after_a_pause, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
