// SPDX-License-Identifier: Apache-2.0
/* journal.h - what a test has sent to a server, what it was answered, and the comparison with what is there later.
 *
 * Everything about an event follows from its number, so that it can be sent again, word for word, and its worth be known.
 * A difference ends the test with a word.
 */
#ifndef TESTS_CRASH_JOURNAL_H
#define TESTS_CRASH_JOURNAL_H

#include "engine/base/json.h"
#include "tests/crash/process.h"

enum { MEMBERS = 40, RESEND_MAX = 400 };

struct event {
	char transaction[33];          /* "": not acknowledged */
	bool made;                     /* an answer said that it was new */
	unsigned seen;                 /* points in the movements being read */
};

struct journal {
	struct event *events;          /* owned; number N has the id "eN" and is of the member "m" N % MEMBERS */
	uint32_t count, cap;
	uint32_t acknowledged, repeats;
	uint32_t padding;              /* bytes of text in every payload */
	uint64_t upsert_sent, upsert_done;     /* of the counter, an attribute of the member "counter" */
	struct buf text, answer;       /* of one request; owned */
};

void journal_free(struct journal *journal);

/* The event type and the rules that events are worth their points by; all answers must be 201. */
void journal_configure(struct journal *journal, struct connection *connection);
/* The same on a server that may be gone at any moment, and after such a one: what is there already is not made again.
 * False: it is gone. */
bool journal_configure_again(struct journal *journal, struct connection *connection);

uint32_t journal_event(struct journal *journal);   /* a new number */
void journal_write(const struct journal *journal, struct buf *out, uint32_t number);
void journal_write_all(const struct journal *journal, struct buf *out, const uint32_t *numbers, size_t count);
void journal_write_upsert(struct journal *journal, struct buf *out);       /* counts it as sent */

yyjson_doc *journal_read(const struct buf *answer);        /* owned by the caller */

/* Takes an event's answer: remembers it, or compares it with what was said before.  `known`: it was acknowledged before
 * it was sent.  Of several that were under way at the same time one, and only one, is the first. */
void journal_answered(struct journal *journal, uint32_t number, yyjson_val *answer, bool known);

/* Sends events again, at most RESEND_MAX of them, in one array. */
void journal_resend(struct journal *journal, struct connection *connection, const uint32_t *numbers, size_t count,
		    bool known);

/* All movements of a member are of events that were sent, each whole and once, and all that was acknowledged is there;
 * the balance is their sum. */
void journal_compare(struct journal *journal, struct connection *connection, unsigned member);
/* The counter is the last acknowledged one, or one sent behind it. */
void journal_compare_counter(struct journal *journal, struct connection *connection);

void books_check(const struct process *process);           /* `tally check` finds no damage and no debt */

#endif
