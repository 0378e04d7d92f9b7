// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARRAY = 4, ARRAYS = 26, PADDING = 12000, SEGMENT = 1 << 20, JUNK = 3000, FULL_WAIT_MS = 20000, IDLE_MS = 400 };

static const char *const options[] = { "--log-segment", "1M", "--log-ring", "256K", NULL };

void script_new(struct script *script, unsigned shards)
{
	*script = (struct script){ .shards = shards, .journal = { .padding = PADDING } };
	folder_make(script->process.folder);
	script->page = injection_open(&script->process, "calls");
}

void script_free(struct script *script)
{
	process_kill(&script->process);
	injection_close(script->page);
	script->page = NULL;
	journal_free(&script->journal);
	folder_remove(script->process.folder);
}

/* ---- steps; false: the server is gone -------------------------------------------------------------------------- */

static bool gone(struct script *script, struct connection *connection)
{
	connection_close(connection);
	process_wait(&script->process);
	return false;
}

static bool serve(struct script *script, unsigned shards, struct connection *connection)
{
	if (!process_start(&script->process, shards, options))
		return false;
	script->ready = true;
	/* It may end before it takes the connection. */
	return connection_open(connection, script->process.port) || gone(script, connection);
}

/* Takes the answer of an array: rows that were refused because the disk is full are counted, others must be good. */
static unsigned array_answered(struct journal *journal, const uint32_t *numbers, size_t count, const bool *known)
{
	unsigned full = 0;
	yyjson_doc *doc = journal_read(&journal->answer);
	yyjson_val *root = yyjson_doc_get_root(doc);
	assert_int_equal(yyjson_arr_size(root), count);
	for (size_t i = 0; i < count; i++) {
		yyjson_val *row = yyjson_arr_get(root, i);
		if (str_eq(json_text(json_get(row, STR("code"))), STR("disk_full")))
			full++;
		else
			journal_answered(journal, numbers[i], row, known[i]);
	}
	yyjson_doc_free(doc);
	return full;
}

static bool array_send(struct script *script, struct connection *connection, const uint32_t *numbers, size_t count)
{
	struct journal *journal = &script->journal;
	for (uint64_t until = clock_us() + FULL_WAIT_MS * 1000u;; usleep(20000)) {
		bool known[ARRAY];
		for (size_t i = 0; i < count; i++)
			known[i] = journal->events[numbers[i]].transaction[0] != '\0';
		journal->text.len = 0;
		journal_write_all(journal, &journal->text, numbers, count);
		if (!connection_send(connection, "POST", "/transactions", buf_view(&journal->text)))
			return false;
		int status = connection_take(connection, PROCESS_WAIT_MS, &journal->answer);
		if (status < 0)
			return false;
		if (status != 200)
			fail_msg("status %d: %.*s", status, (int)journal->answer.len, journal->answer.ptr);
		if (!array_answered(journal, numbers, count, known))
			return true;
		if (clock_us() > until)
			fail_msg("the disk stays full");
		script->waits++;
	}
}

static bool arrays_send(struct script *script, struct connection *connection, unsigned arrays)
{
	for (unsigned i = 0; i < arrays; i++) {
		uint32_t numbers[ARRAY];
		for (size_t k = 0; k < ARRAY; k++)
			numbers[k] = journal_event(&script->journal);
		if (!array_send(script, connection, numbers, ARRAY))
			return false;
	}
	uint32_t again[ARRAY] = { 0, script->journal.count / 2, script->journal.count - 1 };
	return array_send(script, connection, again, 3);
}

static bool upsert(struct script *script, struct connection *connection)
{
	struct journal *journal = &script->journal;
	int status = 507;
	for (uint64_t until = clock_us() + FULL_WAIT_MS * 1000u; status == 507 && clock_us() < until;) {
		journal->text.len = 0;
		journal_write_upsert(journal, &journal->text);
		if (!connection_send(connection, "POST", "/customers/upsert", buf_view(&journal->text)))
			return false;
		status = connection_take(connection, PROCESS_WAIT_MS, &journal->answer);
		if (status < 0)
			return false;
		if (status == 507) {
			script->waits++;
			usleep(20000);
		}
	}
	if (status != 200 && status != 201)
		fail_msg("status %d: %.*s", status, (int)journal->answer.len, journal->answer.ptr);
	journal->upsert_done = journal->upsert_sent;
	return true;
}

/* A snapshot that cannot be written is told, and does no harm. */
static bool snapshot(struct script *script, struct connection *connection)
{
	if (!connection_send(connection, "POST", "/v1/snapshots", STR("{}")))
		return false;
	int status = connection_take(connection, PROCESS_WAIT_MS, &script->journal.answer);
	if (status > 0 && status / 100 != 2 && status < 500)
		fail_msg("a snapshot is answered with %d: %.*s", status, (int)script->journal.answer.len, script->journal.answer.ptr);
	return status > 0;
}

static bool transfers(struct script *script, uint32_t count)
{
	return transfers_send(&script->transfers, &script->process, count);
}

/* Everything is answered: the next write of the log is the mark that says it has fallen idle.  Waits for it, so that it is
 * among the calls that are gone through; nothing else rests on it. */
static void idle_wait(const struct script *script)
{
	const struct inject *page = script->page;
	uint64_t from = atomic_load(&page->calls), until = clock_us() + IDLE_MS * 1000;
	while (!atomic_load(&page->hits) && clock_us() < until) {
		uint64_t calls = atomic_load(&page->calls);
		for (; from < calls && from < INJECT_TRACE; from++)
			if (page->trace[from].kind == INJECT_WRITE && strstr(page->trace[from].path, ".log"))
				return;
		usleep(1000);
	}
}

/* What a crash in the middle of a write may leave behind the last frame. */
static void tail_tear(struct script *script)
{
	struct buf text = { 0 };
	char data[FOLDER_PATH + 8], path[FOLDER_PATH + 40];
	const char *words[] = { "check", data, NULL };
	unsigned char junk[JUNK];
	uint64_t seed = 3;
	unsigned long long end = 0;
	snprintf(data, sizeof data, "%s/data", script->process.folder);
	assert_int_equal(program_run(words, &text), 0);
	buf_char(&text, '\0');
	const char *at = strstr(text.ptr, "end LSN ");
	assert_true(at && sscanf(at, "end LSN %llu", &end) == 1);
	buf_free(&text);
	for (size_t i = 0; i < sizeof junk; i++)
		junk[i] = (unsigned char)random_next(&seed);
	snprintf(path, sizeof path, "%s/log/%016llx.log", data, end / SEGMENT * SEGMENT);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, junk, sizeof junk, (off_t)(end % SEGMENT)), sizeof junk);
	close(fd);
}

static bool stop(struct script *script, struct connection *connection)
{
	connection_close(connection);
	return process_stop(&script->process) == 0;
}

bool script_run(struct script *script)
{
	struct connection connection = { .fd = -1 };
	unsigned other = 5 - script->shards;
	if (!serve(script, script->shards, &connection))
		return false;
	if (!journal_configure_again(&script->journal, &connection) || !upsert(script, &connection) ||
	    !arrays_send(script, &connection, ARRAYS) || !upsert(script, &connection))
		return gone(script, &connection);
	idle_wait(script);
	if (!transfers(script, 300) || !snapshot(script, &connection) || !arrays_send(script, &connection, 3) || !transfers(script, 20))
		return gone(script, &connection);
	connection_close(&connection);
	process_kill(&script->process);
	tail_tear(script);
	if (!serve(script, other, &connection))
		return false;
	if (!arrays_send(script, &connection, ARRAYS) || !upsert(script, &connection) || !transfers(script, 200))
		return gone(script, &connection);
	idle_wait(script);
	if (!stop(script, &connection) || !serve(script, script->shards, &connection))
		return false;
	if (!arrays_send(script, &connection, 2))
		return gone(script, &connection);
	idle_wait(script);
	return stop(script, &connection);
}

/* ---- afterwards ------------------------------------------------------------------------------------------------ */

static void compare_all(struct script *script, struct connection *connection)
{
	for (unsigned member = 0; member < MEMBERS; member++)
		journal_compare(&script->journal, connection, member);
}

static void resend_all(struct script *script, struct connection *connection, bool acknowledged)
{
	struct journal *journal = &script->journal;
	uint32_t numbers[RESEND_MAX];
	size_t count = 0;
	for (uint32_t n = 0; n < journal->count; n++)
		if ((journal->events[n].transaction[0] != '\0') == acknowledged)
			numbers[count++] = n;
	journal_resend(journal, connection, numbers, count, acknowledged);
}

void script_verify(struct script *script)
{
	struct connection connection;
	struct journal *journal = &script->journal;
	assert_true(journal->count <= RESEND_MAX);
	atomic_store(&script->page->kinds, 0);
	if (journal->count)
		books_check(&script->process);
	if (!process_start(&script->process, script->shards, options)) {
		process_said(&script->process, &journal->text);
		fail_msg("the server does not start again: %s", journal->text.ptr);
	}
	assert_true(connection_open(&connection, script->process.port));
	assert_true(journal_configure_again(journal, &connection));
	journal_compare_counter(journal, &connection);
	compare_all(script, &connection);
	resend_all(script, &connection, true);
	resend_all(script, &connection, false);
	assert_int_equal(journal->acknowledged, journal->count);
	compare_all(script, &connection);
	transfers_verify(&script->transfers, &script->process);
	connection_close(&connection);
	assert_int_equal(process_stop(&script->process), 0);
	books_check(&script->process);
}
