// SPDX-License-Identifier: Apache-2.0
/* event_pack.c - see net/surface/transaction.c, which writes the same fields as JSON.
 *
 * Keys and constant values are written as they stand in the message, header byte included: T5 "brand" is the string "brand".
 * An answer has some 25 of them. */
#include "net/rpc/event_pack.h"

#include "engine/base/utf8.h"
#include "engine/catalog/action.h"
#include "engine/event/effect.h"
#include "net/rpc/pack.h"
#include "net/surface/transaction.h"

#define T2 "\xa2"
#define T3 "\xa3"
#define T4 "\xa4"
#define T5 "\xa5"
#define T6 "\xa6"
#define T7 "\xa7"
#define T8 "\xa8"
#define T9 "\xa9"
#define T10 "\xaa"
#define T11 "\xab"
#define T19 "\xb3"
#define T21 "\xb5"
#define MAP(n) (char)(0x80 | (n))
#define NIL "\xc0"
#define FALSE "\xc2"
#define TRUE "\xc3"

/* A text of less than 2^8 bytes with its header; longer ones go the usual way. */
static void text(struct buf *out, struct str value)
{
	if (value.len > 255) {
		pack_text(out, value);
		return;
	}
	buf_room(out, 2 + value.len);
	unsigned char *at = (unsigned char *)out->ptr + out->len;
	if (value.len < 32) {
		*at++ = (unsigned char)(0xa0 | value.len);
	} else {
		*at++ = 0xd9;
		*at++ = (unsigned char)value.len;
	}
	if (value.len)
		memcpy(at, value.ptr, value.len);
	out->len = (size_t)((char *)at - out->ptr) + value.len;
}

/* A sentence that may have been cut within a character: then it is told in ASCII. */
static void sentence(struct buf *out, const char *value)
{
	struct buf plain = { 0 };
	if (utf8_valid(str_of(value))) {
		text(out, str_of(value));
		return;
	}
	for (; *value; value++)
		buf_char(&plain, (unsigned char)*value < 0x80 ? *value : '?');
	text(out, buf_view(&plain));
	buf_free(&plain);
}

static void effect_pack(struct buf *out, const struct effect_view *effect)
{
	const struct effect_head *head = &effect->head;
	const struct effect_kind *kind = &effect_kinds[head->type];
	struct str word = effect_word(effect);
	bool has_word = kind->word && word.len > 0;
	buf_char(out, MAP(2 + kind->points + kind->balance + has_word));
	buf_lit(out, T4 "type");
	text(out, str_of(action_name(head->action)));
	buf_lit(out, T6 "effect");
	text(out, str_of(kind->name));
	if (kind->points) {
		buf_lit(out, T6 "points");
		pack_i64(out, head->points);
	}
	if (kind->balance) {
		buf_lit(out, T7 "balance");
		pack_i64(out, head->balance);
	}
	if (has_word) {
		text(out, str_of(kind->word));
		text(out, word);
	}
}

static void digits_text(struct buf *out, uint64_t value)
{
	char digits[20];
	size_t n = sizeof digits;
	do {
		digits[--n] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	text(out, (struct str){ digits + n, sizeof digits - n });
}

static void executions_pack(struct buf *out, const struct event_view *event)
{
	const unsigned char *at = event->executions;
	pack_array(out, event->execution_count);
	for (unsigned i = 0; i < event->execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		const unsigned char *effects = execution.effects;
		buf_char(out, MAP(3));
		buf_lit(out, T7 "rule_id");
		digits_text(out, execution.head.rule_id);
		switch (execution.head.result) {
		case EXECUTION_SUCCESS: buf_lit(out, T6 "result" T7 "SUCCESS" T7 "details"); break;
		case EXECUTION_SKIPPED: buf_lit(out, T6 "result" T7 "SKIPPED" T7 "details"); break;
		default: buf_lit(out, T6 "result" T6 "FAILED" T7 "details");
		}
		buf_char(out, MAP(2 + (execution.error.len > 0) + (execution.head.emitted > 0)));
		if (execution_matched(&execution))
			buf_lit(out, T7 "matched" TRUE T7 "actions");
		else
			buf_lit(out, T7 "matched" FALSE T7 "actions");
		pack_array(out, execution.head.effect_count);
		for (unsigned e = 0; e < execution.head.effect_count; e++) {
			struct effect_view effect;
			effect_next(&effects, &effect);
			effect_pack(out, &effect);
		}
		if (execution.error.len) {
			text(out, execution.head.result == EXECUTION_FAILED ? STR("error") : STR("reason"));
			text(out, execution.error);
		}
		if (execution.head.emitted) {
			buf_lit(out, T7 "emitted");
			pack_i64(out, execution.head.emitted);
		}
	}
}

void event_pack(struct buf *out, const struct event_view *event, uint64_t lsn, bool idempotent)
{
	buf_room(out, 256 + event->tenant.len + event->id.len + event->profile.len + event->type.len);
	buf_char(out, MAP(11));
	buf_lit(out, T2 "id" "\xd9\x20");
	transaction_id(out, event->tenant, lsn);
	buf_lit(out, T5 "brand");
	text(out, event->tenant);
	buf_lit(out, T7 "eventId");
	text(out, event->id);
	buf_lit(out, T9 "profileId");
	text(out, event->profile);
	buf_lit(out, T9 "eventType");
	text(out, event->type);
	if (event->head.flags & EVENT_WITH_ERRORS)
		buf_lit(out, T6 "status" T21 "PROCESSED_WITH_ERRORS");
	else
		buf_lit(out, T6 "status" T9 "PROCESSED");
	if (idempotent)
		buf_lit(out, T10 "idempotent" TRUE);
	else
		buf_lit(out, T10 "idempotent" FALSE);
	if (event->head.flags & EVENT_NO_RULES)
		buf_lit(out, T10 "error_code" T8 "NO_RULES");
	else if (event->head.flags & EVENT_WITH_ERRORS)
		buf_lit(out, T10 "error_code" T11 "RULE_FAILED");
	else
		buf_lit(out, T10 "error_code" NIL);
	buf_lit(out, T10 "executions");
	executions_pack(out, event);
	buf_lit(out, T6 "points");
	pack_i64(out, event->head.points);
	buf_lit(out, T3 "lsn");
	pack_u64(out, lsn);
}

void event_pack_refused(struct buf *out, const struct problem *problem, uint32_t index)
{
	const struct faults *faults = &problem->faults;
	buf_char(out, MAP(4 + (faults->count > 0)));
	buf_lit(out, T5 "index");
	pack_u64(out, index);
	buf_lit(out, T4 "code");
	pack_i64(out, problem->status);
	buf_lit(out, T4 "name");
	text(out, str_of(problem->code));
	buf_lit(out, T6 "detail");
	sentence(out, problem->detail);
	if (!faults->count)
		return;
	buf_lit(out, T6 "errors");
	pack_array(out, faults->count);
	for (size_t i = 0; i < faults->count; i++) {
		buf_char(out, MAP(2));
		buf_lit(out, T7 "pointer");
		text(out, str_of(faults->list[i].pointer));
		buf_lit(out, T6 "detail");
		sentence(out, faults->list[i].detail);
	}
}
