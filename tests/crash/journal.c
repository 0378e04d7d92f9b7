// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/mem.h"

void journal_free(struct journal *journal)
{
	mem_free(journal->events);
	buf_free(&journal->text);
	buf_free(&journal->answer);
	*journal = (struct journal){ 0 };
}

/* ---- what the events are --------------------------------------------------------------------------------------- */

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

static const struct { const char *path; struct str name, body; } configuration[] = {
	{ "/admin/event-types", STR("Purchase"),
	  STR("{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"Purchase\"}") },
	{ "/rules", STR("by amount"), STR("{\"name\":\"by amount\",\"event_type\":\"PURCHASE\",\"conditions\":null,\"actions\":"
					  "[{\"type\":\"earn_points_from_amount\",\"rate\":1,\"amount_path\":\"amount\"}]}") },
	{ "/rules", STR("several"), STR("{\"name\":\"several\",\"event_type\":\"PURCHASE\","
					"\"conditions\":{\">=\":[{\"var\":\"payload.quantity\"},2]},"
					"\"actions\":[{\"type\":\"earn_points\",\"points\":5}]}") },
};
enum { CONFIGURATION = sizeof configuration / sizeof *configuration };

void journal_configure(struct journal *journal, struct connection *connection)
{
	for (size_t i = 0; i < CONFIGURATION; i++)
		assert_int_equal(connection_ask(connection, "POST", configuration[i].path, configuration[i].body,
						&journal->answer), 201);
}

/* How many documents of this name a list has; -1: the server is gone. */
static int documents_named(struct journal *journal, struct connection *connection, const char *path, struct str name)
{
	int found = 0;
	size_t at, max;
	yyjson_val *document;
	if (!connection_send(connection, "GET", path, STR("")))
		return -1;
	int status = connection_take(connection, PROCESS_WAIT_MS, &journal->answer);
	if (status < 0)
		return -1;
	assert_int_equal(status, 200);
	yyjson_doc *doc = journal_read(&journal->answer);
	yyjson_arr_foreach(yyjson_doc_get_root(doc), at, max, document)
		found += str_eq(json_text(json_get(document, STR("name"))), name);
	yyjson_doc_free(doc);
	return found;
}

bool journal_configure_again(struct journal *journal, struct connection *connection)
{
	for (size_t i = 0; i < CONFIGURATION; i++) {
		int there = documents_named(journal, connection, configuration[i].path, configuration[i].name);
		if (there < 0)
			return false;
		if (there > 1)
			fail_msg("%d documents are named %s", there, configuration[i].name.ptr);
		if (there)
			continue;
		if (!connection_send(connection, "POST", configuration[i].path, configuration[i].body))
			return false;
		int status = connection_take(connection, PROCESS_WAIT_MS, &journal->answer);
		if (status < 0)
			return false;
		if (status != 201)
			fail_msg("status %d: %.*s", status, (int)journal->answer.len, journal->answer.ptr);
	}
	return true;
}

void journal_write(const struct journal *journal, struct buf *out, uint32_t number)
{
	buf_printf(out, "{\"brand\":\"" BRAND "\",\"profileId\":\"m%u\",\"eventType\":\"PURCHASE\",\"eventId\":\"e%u\","
		   "\"source\":\"test\",\"payload\":{\"amount\":%u.%02u,\"quantity\":%u", number % MEMBERS, number,
		   event_cents(number) / 100, event_cents(number) % 100, event_quantity(number));
	if (journal->padding) {
		buf_lit(out, ",\"text\":\"");
		for (uint32_t i = 0; i < journal->padding; i++)
			buf_char(out, (char)('a' + (i + number) % 26));
		buf_char(out, '"');
	}
	buf_lit(out, "}}");
}

void journal_write_all(const struct journal *journal, struct buf *out, const uint32_t *numbers, size_t count)
{
	buf_char(out, '[');
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_char(out, ',');
		journal_write(journal, out, numbers[i]);
	}
	buf_char(out, ']');
}

void journal_write_upsert(struct journal *journal, struct buf *out)
{
	buf_printf(out, "{\"brand\":\"" BRAND "\",\"profileId\":\"counter\",\"status\":\"ACTIVE\",\"seen\":%llu}",
		   (unsigned long long)++journal->upsert_sent);
}

uint32_t journal_event(struct journal *journal)
{
	if (journal->count == journal->cap) {
		journal->cap = journal->cap ? journal->cap * 2 : 1024;
		journal->events = mem_realloc(journal->events, journal->cap * sizeof *journal->events);
	}
	journal->events[journal->count] = (struct event){ 0 };
	return journal->count++;
}

/* ---- answers --------------------------------------------------------------------------------------------------- */

yyjson_doc *journal_read(const struct buf *answer)
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

void journal_answered(struct journal *journal, uint32_t number, yyjson_val *answer, bool known)
{
	struct event *event = &journal->events[number];
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
		journal->repeats++;
		return;
	}
	memcpy(event->transaction, id.ptr, id.len);
	journal->acknowledged++;
}

void journal_resend(struct journal *journal, struct connection *connection, const uint32_t *numbers, size_t count,
		    bool known)
{
	if (!count)
		return;
	journal->text.len = 0;
	journal_write_all(journal, &journal->text, numbers, count);
	int status = connection_ask(connection, "POST", "/transactions", buf_view(&journal->text), &journal->answer);
	assert_int_equal(status, 200);
	yyjson_doc *doc = journal_read(&journal->answer);
	assert_int_equal(yyjson_arr_size(yyjson_doc_get_root(doc)), count);
	for (size_t i = 0; i < count; i++)
		journal_answered(journal, numbers[i], yyjson_arr_get(yyjson_doc_get_root(doc), i), known);
	yyjson_doc_free(doc);
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

/* Adds a movement up: its event was sent, is the member's, and is booked under one transaction, never twice. */
static int64_t movement_add(struct journal *journal, yyjson_val *movement, unsigned member)
{
	struct str id = json_text(json_get(movement, STR("eventId")));
	struct str transaction = json_text(json_get(movement, STR("transaction_id")));
	char text[16];
	unsigned number = UINT32_MAX;
	snprintf(text, sizeof text, "%.*s", (int)id.len, id.ptr);
	if (sscanf(text, "e%u", &number) != 1 || number >= journal->count || number % MEMBERS != member)
		fail_msg("member %u has a movement of event %s", member, text);
	struct event *event = &journal->events[number];
	if (event->transaction[0] && !str_eq(transaction, str_of(event->transaction)))
		fail_msg("%s is booked as %.*s, acknowledged as %s", text, (int)transaction.len, transaction.ptr,
			 event->transaction);
	int64_t points = number_at(movement, STR("points"));
	event->seen += (unsigned)points;
	return points;
}

void journal_compare(struct journal *journal, struct connection *connection, unsigned member)
{
	char path[100];
	snprintf(path, sizeof path, "/customers/" BRAND "/m%u/point-movements?limit=100000", member);
	int status = connection_ask(connection, "GET", path, STR(""), &journal->answer);
	yyjson_doc *doc = journal_read(&journal->answer);
	yyjson_val *list = yyjson_doc_get_root(doc), *movement;
	int64_t sum = 0, balance = -1;
	size_t at, max;
	for (uint32_t n = member; n < journal->count; n += MEMBERS)
		journal->events[n].seen = 0;
	if (status == 200) {
		yyjson_arr_foreach(list, at, max, movement) {
			if (at == 0)
				balance = number_at(movement, STR("balance"));
			sum += movement_add(journal, movement, member);
		}
	}
	yyjson_doc_free(doc);
	for (uint32_t n = member; n < journal->count; n += MEMBERS) {
		const struct event *event = &journal->events[n];
		bool right = event->seen == event_points(n) || (event->seen == 0 && !event->transaction[0]);
		if (!right)
			fail_msg("event e%u (%s) is worth %u points and has %u", n, event->transaction,
				 event_points(n), event->seen);
	}
	if (status == 404)
		return;
	assert_int_equal(status, 200);
	snprintf(path, sizeof path, "/wallet/" BRAND "/m%u", member);
	assert_int_equal(connection_ask(connection, "GET", path, STR(""), &journal->answer), 200);
	doc = journal_read(&journal->answer);
	assert_int_equal(number_at(yyjson_doc_get_root(doc), STR("points")), sum);
	yyjson_doc_free(doc);
	assert_true(balance == sum || balance == -1);
}

void journal_compare_counter(struct journal *journal, struct connection *connection)
{
	int64_t seen = 0;
	int status = connection_ask(connection, "GET", "/customers/" BRAND "/counter", STR(""), &journal->answer);
	if (status == 200) {
		yyjson_doc *doc = journal_read(&journal->answer);
		seen = number_at(yyjson_doc_get_root(doc), STR("seen"));
		yyjson_doc_free(doc);
	}
	if ((uint64_t)seen < journal->upsert_done || (uint64_t)seen > journal->upsert_sent)
		fail_msg("the counter is %lld; %llu was acknowledged, %llu sent", (long long)seen,
			 (unsigned long long)journal->upsert_done, (unsigned long long)journal->upsert_sent);
	journal->upsert_done = journal->upsert_sent = (uint64_t)seen;
}

void books_check(const struct process *process)
{
	char data[FOLDER_PATH + 8];
	const char *words[] = { "check", data, NULL };
	struct buf text = { 0 };
	snprintf(data, sizeof data, "%s/data", process->folder);
	int status = program_run(words, &text);
	buf_char(&text, '\0');
	if (status != 0 || !strstr(text.ptr, "the books balance"))
		fail_msg("tally check ends with %d: %s", status, text.ptr);
	buf_free(&text);
}
