// SPDX-License-Identifier: Apache-2.0
/* test_calls.c - the scripted run, ended or disturbed at each of its calls that change a file.
 *
 * First the run is made with counting only.  Then, for every number n up to that count, with 1 and 4 shards in turn, it
 * is made again and something happens to call n: the process is killed before, behind or in the middle of it, or the
 * call fails.  Afterwards nothing that was acknowledged may be missing, double or half (script_verify).
 *
 *     TALLY_CRASH_FULL=1   every n; otherwise some, others with another seed
 *     TALLY_CRASH_SEED=N   to repeat that choice     TALLY_CRASH_JOBS=3   runs at a time
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/script.h"

static struct script script;

static const char *const names[INJECT_HOWS] = {
	[INJECT_COUNT] = "nothing", [INJECT_KILL_BEFORE] = "killed before", [INJECT_KILL_AFTER] = "killed behind",
	[INJECT_KILL_HEAD] = "killed in the middle, first half written", [INJECT_KILL_TAIL] = "killed, second half written",
	[INJECT_KILL_MIX] = "killed, some sectors written", [INJECT_EIO] = "EIO", [INJECT_EIO_MIX] = "EIO, some written",
	[INJECT_ENOSPC] = "ENOSPC", [INJECT_EINTR] = "EINTR", [INJECT_SHORT] = "short",
};

/* Makes the run; `at` 0: only counts.  True: to its end. */
static bool run(unsigned shards, uint32_t kinds, enum inject_how how, unsigned at)
{
	script_new(&script, shards);
	atomic_store(&script.page->kinds, kinds);
	atomic_store(&script.page->how, (uint32_t)how);
	atomic_store(&script.page->seed, at * UINT64_C(7919) + share_seed());
	atomic_store(&script.page->at, at);
	return script_run(&script);
}

static const struct inject_call *call_at(unsigned number)
{
	return &script.page->trace[number - 1];
}

/* Footers follow from the log and are made again: nothing rests on them.  A snapshot that fails is none; a cursor of couriers is
 * written again. */
static bool is_of_a_copy(const struct inject_call *call)
{
	return strncmp(call->path, "/data/footers", 13) == 0 || strncmp(call->path, "/data/snapshots", 15) == 0 ||
	       strncmp(call->path, "/data/courier", 13) == 0;
}

/* The folder of snapshots is made by the first one, which fails then, and says so. */
static bool said_of_a_copy(void)
{
	process_said_ever(&script.process, &script.journal.text);
	return strstr(script.journal.text.ptr, "the folder of snapshots: ") != NULL;
}

/* ---- how many calls there are ---------------------------------------------------------------------------------- */

enum { KINDS = 7 };

static unsigned counted[2][KINDS];                 /* calls of each kind, with 1 and with 4 shards */

/* A name in a folder is durable when the folder is synced: before anything is written behind that name. */
static void names_synced(unsigned calls)
{
	unsigned count = 0;
	for (unsigned i = 1; i <= calls; i++) {
		const struct inject_call *made = call_at(i), *next = NULL;
		size_t len = strlen(made->path), above = (size_t)(strrchr(made->path, '/') - made->path);
		bool synced = false, used = false;
		if (strcmp(made->name, "mkdir") != 0 && strcmp(made->name, "rename") != 0)
			continue;
		/* Of the couriers' cursor an older one may come back: deliveries are repeated, none is lost. */
		if (strncmp(made->path, "/data", 5) != 0 || strncmp(made->path, "/data/footers/", 14) == 0 ||
		    strncmp(made->path, "/data/courier", 13) == 0)
			continue;
		for (unsigned k = i + 1; k <= calls && !synced && !used; k++) {
			next = call_at(k);
			synced = next->kind == INJECT_SYNC && strlen(next->path) == above &&
				 strncmp(next->path, made->path, above) == 0;
			used = next->kind == INJECT_WRITE && strstr(next->path, ".log") &&
			       strncmp(next->path, made->path, len) == 0;
		}
		if (!synced)
			fail_msg("%s of %s: its folder is not synced before %s of %s", made->name, made->path,
				 next ? next->name : "the end", next ? next->path : "");
		count++;
	}
	assert_true(count > 4);
}

static void calls_count(unsigned which, unsigned shards)
{
	if (!run(shards, INJECT_CHANGES, INJECT_COUNT, 0)) {
		process_said(&script.process, &script.journal.text);
		fail_msg("the run ends with %d without any injection: %s", process_status(&script.process),
			 script.journal.text.ptr);
	}
	unsigned calls = (unsigned)atomic_load(&script.page->calls);
	assert_true(calls > 20 && calls < INJECT_TRACE);
	names_synced(calls);
	for (unsigned i = 1; i <= calls; i++)
		for (unsigned kind = 0; kind < KINDS; kind++)
			counted[which][kind] += call_at(i)->kind == 1u << kind;
	script_verify(&script);
	script_free(&script);
}

/* Once, in the program that was started; the copies are told. */
static void calls_know(void)
{
	char text[400];
	const char *told = getenv("CALLS_COUNTED");
	size_t len = 0;
	if (counted[0][0])
		return;
	for (unsigned which = 0; which < 2; which++) {
		if (!told)
			calls_count(which, which ? 4 : 1);
		for (unsigned kind = 0; kind < KINDS; kind++) {
			if (told)
				counted[which][kind] = (unsigned)strtoul(told, (char **)(uintptr_t)&told, 10);
			len += (size_t)snprintf(text + len, sizeof text - len, "%u ", counted[which][kind]);
		}
	}
	assert_int_equal(setenv("CALLS_COUNTED", text, 1), 0);
}

static void runs_to_its_end_undisturbed(void **state)
{
	(void)state;
	calls_know();
}

static unsigned calls_of(unsigned which, uint32_t kinds)
{
	unsigned calls = 0;
	for (unsigned kind = 0; kind < KINDS; kind++)
		calls += kinds >> kind & 1 ? counted[which][kind] : 0;
	return calls;
}

/* ---- what must follow ------------------------------------------------------------------------------------------ */

/* It ended by itself: with the status that says so, and a line that names the reason. */
static void ended_clearly(int error)
{
	struct buf *text = &script.journal.text;
	int status = process_status(&script.process);
	process_said(&script.process, text);
	if ((status != 74 && status != 2) || !strstr(text->ptr, strerror(error)))
		fail_msg("after %s it ends with %d: %s", strerror(error), status, text->ptr);
}

static void judge(enum inject_how how, const struct inject_call *call, bool whole)
{
	switch (how) {
	case INJECT_EIO:
	case INJECT_EIO_MIX:
		/* What is not on the disk must never be built upon. */
		if (whole && call->kind & (INJECT_WRITE | INJECT_SYNC) && !is_of_a_copy(call) && !said_of_a_copy())
			fail_msg("the server went on");
		if (!whole)
			ended_clearly(EIO);
		break;
	case INJECT_ENOSPC:
		if (!whole)
			ended_clearly(ENOSPC);
		break;
	case INJECT_EINTR:
	case INJECT_SHORT:
		if (!whole) {
			process_said(&script.process, &script.journal.text);
			fail_msg("it ends with %d: %s", process_status(&script.process), script.journal.text.ptr);
		}
		break;
	default:
		if (whole || process_status(&script.process) != -SIGKILL)
			fail_msg("it was to be killed, and ends with %d", process_status(&script.process));
	}
}

/* All numbers with one way, or several in turn; about `wanted` runs unless the full sweep is asked for. */
static void sweep(const char *test, uint32_t kinds, const enum inject_how *hows, unsigned ways, unsigned wanted)
{
	calls_know();
	unsigned runs = 0, missed = 0, waits = 0, counts[2];
	if (share_out(test))
		return;
	counts[0] = calls_of(0, kinds);
	counts[1] = calls_of(1, kinds);
	unsigned most = counts[counts[1] > counts[0]], total = most * 2 * ways;
	unsigned step = share_step(total, wanted);
	for (unsigned turn = 0, i; share_next(&turn, step, total, &i);) {
		enum inject_how how = hows[i % ways];
		unsigned shards = i / ways % 2 ? 4 : 1, at = i / ways / 2 + 1;
		fprintf(stderr, "call %u with %u shards: %s\n", at, shards, names[how]);
		bool whole = run(shards, kinds, how, at);
		if (atomic_load(&script.page->hits)) {
			const struct inject_call *call = call_at(at);
			fprintf(stderr, "  %s of %s, %lld bytes from %lld: %s in %s\n", call->name, call->path,
				(long long)call->size, (long long)call->offset, whole ? "to the end" : "ended",
				script.process.folder);
			judge(how, call, whole);
			runs++;
		} else {
			assert_true(whole);
			missed++;      /* threads: this time there were fewer calls */
		}
		waits += script.waits;
		script_verify(&script);
		script_free(&script);
	}
	printf("# %u runs, of which %u had no such call; 1 of %u of %u; %u and %u calls with 1 and 4 shards; %u waits\n",
	       runs + missed, missed, step, total, counts[0], counts[1], waits);
	assert_true(runs > missed || runs + missed < 4);
}

#define SWEEP(kinds, wanted, ...)                                                                                            \
	do {                                                                                                                \
		static const enum inject_how hows_[] = { __VA_ARGS__ };                                                     \
		(void)state;                                                                                                \
		sweep(__func__, kinds, hows_, sizeof hows_ / sizeof *hows_, wanted);                                        \
	} while (0)

static void killed_at_a_call(void **state)
{
	SWEEP(INJECT_CHANGES, 50, INJECT_KILL_BEFORE, INJECT_KILL_AFTER);
}

static void killed_within_a_write(void **state)
{
	SWEEP(INJECT_WRITE, 50, INJECT_KILL_HEAD, INJECT_KILL_TAIL, INJECT_KILL_MIX);
}

static void ends_when_a_call_fails(void **state)
{
	SWEEP(INJECT_CHANGES, 14, INJECT_EIO);
}

static void ends_when_a_write_fails_halfway(void **state)
{
	SWEEP(INJECT_WRITE, 6, INJECT_EIO_MIX);
}

static void waits_for_room(void **state)
{
	SWEEP(INJECT_ROOM | INJECT_CREATE | INJECT_WRITE, 8, INJECT_ENOSPC);
}

static void completes_what_was_cut_short(void **state)
{
	SWEEP(INJECT_WRITE | INJECT_SYNC | INJECT_ROOM, 10, INJECT_SHORT, INJECT_EINTR);
}

/* ---- a disk that is full, and freed again ---------------------------------------------------------------------- */

static const char *const options[] = { "--log-segment", "1M", "--log-ring", "256K", NULL };

static int event_send(struct connection *connection, uint32_t number)
{
	struct journal *journal = &script.journal;
	bool known = journal->events[number].transaction[0] != '\0';
	journal->text.len = 0;
	journal_write(journal, &journal->text, number);
	int status = connection_ask(connection, "POST", "/transactions", buf_view(&journal->text), &journal->answer);
	if (status == 200 || status == 201) {
		yyjson_doc *doc = journal_read(&journal->answer);
		journal_answered(journal, number, yyjson_doc_get_root(doc), known);
		yyjson_doc_free(doc);
	}
	return status;
}

/* Sends new events until one is refused; its number.  It is 507, and everything that needs no room goes on. */
static uint32_t send_until_full(struct connection *connection)
{
	struct journal *journal = &script.journal;
	static const struct str rule = STR("{\"event_type\":\"PURCHASE\",\"conditions\":null,\"actions\":"
					   "[{\"type\":\"earn_points\",\"points\":1}]}");
	uint32_t number;
	int status;
	do {
		number = journal_event(journal);
		status = event_send(connection, number);
	} while (status == 201 && journal->count < RESEND_MAX - 20);
	if (status != 507 || !memmem(journal->answer.ptr, journal->answer.len, "disk_full", 9))
		fail_msg("after %u events on a full disk: %d %.*s", number, status, (int)journal->answer.len,
			 journal->answer.ptr);
	assert_true(atomic_load(&script.page->refused) > 0);
	/* A change of configuration is much smaller than an event: it may still have room. */
	status = connection_ask(connection, "POST", "/rules?dry_run=true", rule, &journal->answer);
	assert_true(status == 200 || status == 201 || status == 507);
	for (uint32_t i = 0; i < number; i += 7)
		assert_int_equal(event_send(connection, i), 200);
	for (unsigned member = 0; member < MEMBERS; member++)
		journal_compare(journal, connection, member);
	assert_int_equal(connection_ask(connection, "GET", "/livez", STR(""), &journal->answer), 200);
	return number;
}

static void full_and_freed(unsigned shards)
{
	struct connection connection;
	struct process *process = &script.process;
	script_new(&script, shards);
	struct inject *page = script.page;
	assert_true(process_start(process, shards, options));
	assert_true(connection_open(&connection, process->port));
	journal_configure(&script.journal, &connection);
	/* What was made ahead may be used up; then there is no more. */
	atomic_store(&page->full, 1);
	uint32_t refused = send_until_full(&connection);
	connection_close(&connection);
	/* Neither a crash nor a clean stop changes that: it starts, is read, and refuses. */
	for (int clean = 0; clean < 2; clean++) {
		if (clean)
			assert_int_equal(process_stop(process), 0);
		else
			process_kill(process);
		books_check(process);
		if (!process_start(process, shards, options)) {
			process_said(process, &script.journal.text);
			fail_msg("the server does not start on a full disk: %s", script.journal.text.ptr);
		}
		assert_true(connection_open(&connection, process->port));
		assert_int_equal(event_send(&connection, refused), 507);
		journal_compare(&script.journal, &connection, refused % MEMBERS);
		if (!clean)
			connection_close(&connection);
	}
	/* Room comes back, and writing with it, by itself. */
	atomic_store(&page->full, 0);
	int status = 507;
	for (uint64_t until = clock_us() + 20000000; status == 507 && clock_us() < until; usleep(20000))
		status = event_send(&connection, refused);
	assert_int_equal(status, 201);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(event_send(&connection, journal_event(&script.journal)), 201);
	connection_close(&connection);
	assert_int_equal(process_stop(process), 0);
	script_verify(&script);
	script_free(&script);
}

static void goes_on_reading_on_a_full_disk(void **state)
{
	(void)state;
	full_and_freed(1);
	full_and_freed(4);
}

/* ---- a disk that does not give back what it has ---------------------------------------------------------------- */

/* Asks while the next read of a file fails; it must be said that it did, and not that there is nothing. */
static void ask_unreadable(struct connection *connection, const char *method, const char *path, struct str body)
{
	struct inject *page = script.page;
	struct buf *answer = &script.journal.answer;
	atomic_store(&page->at, atomic_load(&page->calls) + 1);
	int status = connection_ask(connection, method, path, body, answer);
	if (status != 500 || !memmem(answer->ptr, answer->len, "log_unreadable", 14))
		fail_msg("%s %s: %d %.*s", method, path, status, (int)answer->len, answer->ptr);
}

static void says_what_it_cannot_read(void **state)
{
	struct connection connection;
	struct process *process = &script.process;
	struct journal *journal = &script.journal;
	struct buf event = { 0 };
	char path[100];
	(void)state;
	script_new(&script, 1);
	assert_true(process_start(process, 4, options));
	assert_true(connection_open(&connection, process->port));
	journal_configure(journal, &connection);
	for (int i = 0; i < 20; i++)
		assert_int_equal(event_send(&connection, journal_event(journal)), 201);
	atomic_store(&script.page->kinds, INJECT_READ);
	atomic_store(&script.page->how, INJECT_EIO);
	snprintf(path, sizeof path, "/transactions/%s", journal->events[3].transaction);
	ask_unreadable(&connection, "GET", path, STR(""));
	snprintf(path, sizeof path, "/transactions/%s/executions", journal->events[3].transaction);
	ask_unreadable(&connection, "GET", path, STR(""));
	ask_unreadable(&connection, "GET", "/transactions", STR(""));
	ask_unreadable(&connection, "GET", "/customers/" BRAND "/m3/point-movements", STR(""));
	journal_write(journal, &event, 3);
	ask_unreadable(&connection, "POST", "/transactions", buf_view(&event));
	buf_free(&event);
	process_said(process, &journal->text);
	assert_non_null(strstr(journal->text.ptr, strerror(EIO)));
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(event_send(&connection, i), 200);
	connection_close(&connection);
	assert_int_equal(process_stop(process), 0);
	script_verify(&script);
	script_free(&script);
}

static int tear_down(void **state)
{
	(void)state;
	if (script.page)
		script_free(&script);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(runs_to_its_end_undisturbed, tear_down),
		cmocka_unit_test_teardown(killed_at_a_call, tear_down),
		cmocka_unit_test_teardown(killed_within_a_write, tear_down),
		cmocka_unit_test_teardown(ends_when_a_call_fails, tear_down),
		cmocka_unit_test_teardown(ends_when_a_write_fails_halfway, tear_down),
		cmocka_unit_test_teardown(waits_for_room, tear_down),
		cmocka_unit_test_teardown(completes_what_was_cut_short, tear_down),
		cmocka_unit_test_teardown(goes_on_reading_on_a_full_disk, tear_down),
		cmocka_unit_test_teardown(says_what_it_cannot_read, tear_down),
	};
	setenv("TALLY_CRASH_BIN", "build/tally", 0);
	share_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
