// SPDX-License-Identifier: Apache-2.0
#include "net/surface/transaction.h"

#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mutant.h"
#include "engine/base/time.h"
#include "engine/catalog/action.h"
#include "engine/catalog/catalog.h"
#include "engine/event/effect.h"

static uint64_t id_check(struct str tenant, uint64_t lsn)
{
	return hash_name(HASH_TRANSACTION, tenant, (struct str){ (const char *)&lsn, sizeof lsn });
}

static void hex64(struct buf *out, uint64_t value)
{
	unsigned char bytes[8];
	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(value >> (56 - 8 * i));
	buf_hex(out, bytes, sizeof bytes);
}

void transaction_id(struct buf *out, struct str tenant, uint64_t lsn)
{
	hex64(out, id_check(tenant, lsn));
	hex64(out, lsn);
}

bool transaction_id_parse(struct str text, struct str tenant, uint64_t *lsn)
{
	uint64_t halves[2] = { 0, 0 };
	if (text.len != TRANSACTION_ID_TEXT)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (digit < 0)
			return false;
		halves[i / 16] = halves[i / 16] << 4 | (unsigned)digit;
	}
	*lsn = halves[1];
	return MUTATE(103, *lsn, 1) && halves[0] == id_check(tenant, *lsn);    /* 0: of a dry run, which left nothing to be found */
}

static const char *const result_names[] = { "SUCCESS", "SKIPPED", "FAILED" };

static void effect_json(struct buf *out, const struct effect_view *effect, uint64_t member_hash)
{
	const struct effect_head *head = &effect->head;
	const struct effect_kind *kind = &effect_kinds[head->type];
	struct str word = effect_word(effect);
	buf_lit(out, "{\"type\":");
	buf_json_text(out, str_of(action_name(head->action)));
	buf_lit(out, ",\"effect\":");
	buf_json_text(out, str_of(kind->name));
	if (kind->points) {
		buf_lit(out, ",\"points\":");
		buf_i64(out, head->points);
	}
	if (kind->balance) {
		buf_lit(out, ",\"balance\":");
		buf_i64(out, head->balance);
	}
	if (kind->word && word.len) {
		buf_printf(out, ",\"%s\":", kind->word);
		buf_json_text(out, word);
	}
	if (head->type == EFFECT_REWARD_ISSUED) {
		struct effect_reward reward;
		effect_struct(effect, &reward, sizeof reward);
		buf_printf(out, ",\"reward_id\":\"%llu\",\"customer_reward_id\":\"", (unsigned long long)reward.reward);
		member_item_id(out, member_hash, reward.seq);
		buf_char(out, '"');
	} else if (kind->text_min == sizeof(struct effect_seq) && kind->word && !strcmp(kind->word, "reward")) {
		struct effect_seq seq;
		effect_struct(effect, &seq, sizeof seq);
		buf_lit(out, ",\"customer_reward_id\":\"");
		member_item_id(out, member_hash, seq.seq);
		buf_char(out, '"');
	} else if (head->type == EFFECT_BONUS || head->type == EFFECT_BONUS_WITHDRAWN) {
		struct effect_bonus bonus;
		effect_struct(effect, &bonus, sizeof bonus);
		buf_lit(out, ",\"bonus_award_id\":\"");
		member_item_id(out, member_hash, bonus.seq);
		buf_char(out, '"');
	} else if (head->type == EFFECT_COUNTED) {
		struct effect_counted counted;
		effect_struct(effect, &counted, sizeof counted);
		buf_printf(out, ",\"count\":%u", counted.count);
	} else if (head->type == EFFECT_EARN_REVERSED) {
		struct effect_taken taken;
		effect_struct(effect, &taken, sizeof taken);
		buf_printf(out, ",\"lifetimePoints\":%lld,\"statusPoints\":%lld,\"debt\":%lld", -(long long)taken.lifetime,
			   -(long long)taken.status, (long long)taken.debt);
	}
	buf_char(out, '}');
}

void effects_json(struct buf *out, const struct execution_view *execution, uint64_t member_hash)
{
	const unsigned char *at = execution->effects;
	buf_char(out, '[');
	for (unsigned e = 0; e < execution->head.effect_count; e++) {
		struct effect_view effect;
		effect_next(&at, &effect);
		if (e)
			buf_char(out, ',');
		effect_json(out, &effect, member_hash);
	}
	buf_char(out, ']');
}

void executions_json(struct buf *out, const struct event_view *event)
{
	const unsigned char *at = event->executions;
	uint64_t member_hash = hash_name(HASH_MEMBER, event->tenant, event->profile);
	buf_char(out, '[');
	for (unsigned i = 0; i < event->execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		bool matched = execution_matched(&execution);
		if (i)
			buf_char(out, ',');
		buf_lit(out, "{\"rule_id\":\"");
		buf_u64(out, execution.head.rule_id);
		buf_lit(out, "\",\"result\":\"");
		buf_str(out, str_of(result_names[execution.head.result <= EXECUTION_FAILED ? execution.head.result : 2]));
		buf_lit(out, "\",\"details\":{\"matched\":");
		buf_str(out, matched ? STR("true") : STR("false"));
		buf_lit(out, ",\"actions\":");
		effects_json(out, &execution, member_hash);
		if (execution.error.len) {
			buf_str(out, execution.head.result == EXECUTION_FAILED ? STR(",\"error\":") : STR(",\"reason\":"));
			buf_json_text(out, execution.error);
		}
		if (execution.head.emitted)
			buf_printf(out, ",\"emitted\":%u", execution.head.emitted);
		buf_lit(out, "}}");
	}
	buf_char(out, ']');
}

void transaction_json(struct buf *out, const struct event_view *event, uint64_t lsn, bool idempotent, bool full)
{
	buf_lit(out, "{\"id\":\"");
	transaction_id(out, event->tenant, lsn);
	buf_lit(out, "\",\"brand\":");
	buf_json_text(out, event->tenant);
	buf_lit(out, ",\"eventId\":");
	buf_json_text(out, event->id);
	buf_lit(out, ",\"profileId\":");
	buf_json_text(out, event->profile);
	buf_lit(out, ",\"eventType\":");
	buf_json_text(out, event->type);
	if (full) {
		buf_lit(out, ",\"source\":");
		if (event->source.len)
			buf_json_text(out, event->source);
		else
			buf_lit(out, "null");
		buf_lit(out, ",\"payload\":");
		buf_str(out, event->payload);
		buf_lit(out, ",\"created_at\":\"");
		time_write(out, event->head.time_ms);
		buf_char(out, '"');
	}
	if (event->head.flags & EVENT_WITH_ERRORS)
		buf_lit(out, ",\"status\":\"PROCESSED_WITH_ERRORS\"");
	else
		buf_lit(out, ",\"status\":\"PROCESSED\"");
	if (idempotent)
		buf_lit(out, ",\"idempotent\":true");
	else
		buf_lit(out, ",\"idempotent\":false");
	if (event->head.flags & EVENT_REVERSAL)
		buf_lit(out, ",\"reversal\":true");
	if (event->head.flags & EVENT_NO_RULES)
		buf_lit(out, ",\"error_code\":\"NO_RULES\"");
	else if (event->head.flags & EVENT_WITH_ERRORS)
		buf_lit(out, ",\"error_code\":\"RULE_FAILED\"");
	else
		buf_lit(out, ",\"error_code\":null");
	buf_lit(out, ",\"executions\":");
	executions_json(out, event);
	buf_lit(out, ",\"points\":");
	buf_i64(out, event->head.points);
	buf_lit(out, ",\"lsn\":");
	buf_u64(out, lsn);
	buf_char(out, '}');
}

size_t movements_json(struct buf *out, const struct event_view *event, uint64_t lsn, size_t already)
{
	struct movement { struct effect_view effect; uint64_t rule_id; unsigned number; };
	struct buf found = { 0 };
	size_t given = 0;
	unsigned number = 0;
	struct effects effects = effects_of(event);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		if (!effect_kinds[effect.head.type].moves || !effect.head.points)
			continue;
		struct movement movement = { effect, effects.execution.head.rule_id, number++ };
		buf_bytes(&found, &movement, sizeof movement);
	}
	while (number--) {
		struct movement movement;
		memcpy(&movement, found.ptr + number * sizeof movement, sizeof movement);
		const struct effect_head *head = &movement.effect.head;
		int64_t points = effect_kinds[head->type].moves * head->points;
		if (already + given++)
			buf_char(out, ',');
		buf_lit(out, "{\"id\":\"");
		transaction_id(out, event->tenant, lsn);
		buf_char(out, '-');
		buf_u64(out, movement.number);
		buf_lit(out, "\",\"type\":");
		buf_json_text(out, str_of(effect_kinds[head->type].name));
		buf_lit(out, ",\"points\":");
		buf_i64(out, points);
		buf_lit(out, ",\"balance\":");
		buf_i64(out, head->balance);
		buf_lit(out, ",\"transaction_id\":\"");
		transaction_id(out, event->tenant, lsn);
		buf_lit(out, "\",\"eventId\":");
		buf_json_text(out, event->id);
		buf_lit(out, ",\"rule_id\":\"");
		buf_u64(out, movement.rule_id);
		buf_lit(out, "\",\"created_at\":\"");
		time_write(out, event->head.time_ms);
		buf_lit(out, "\"}");
	}
	buf_free(&found);
	return given;
}

uint64_t reversal_of(const struct event_view *event)
{
	struct json_error error;
	uint64_t lsn = 0;
	if (!(event->head.flags & EVENT_REVERSAL))
		return 0;
	yyjson_doc *doc = json_read(event->payload, &error);
	if (doc && !transaction_id_parse(json_text(json_get(yyjson_doc_get_root(doc), STR("reverses"))), event->tenant, &lsn))
		lsn = 0;
	yyjson_doc_free(doc);
	return lsn;
}

void reversal_id(struct buf *out, struct str id)
{
	buf_lit(out, "reverse:");
	buf_str(out, id);
}

/* Part of the log as the bytes of `out`; one byte where it is there and cannot be read. */
static bool log_read(const struct wal *wal, uint64_t lsn, size_t size, struct buf *out)
{
	out->len = 0;
	buf_room(out, size);
	if (wal_read(wal, lsn, out->ptr, size))
		out->len = size;
	else if (lsn >= wal_first(wal))
		buf_char(out, '\0');
	return out->len == size;
}

bool record_read(const struct wal *wal, uint64_t lsn, struct buf *out)
{
	struct record_head head;
	out->len = 0;
	if (lsn % 8 || lsn < wal_first(wal) || lsn + sizeof head > wal_durable(wal))
		return false;
	if (!wal_check(wal, lsn)) {
		if (lsn >= wal_first(wal))
			buf_char(out, '\0');
		return false;
	}
	if (!log_read(wal, lsn, sizeof head, out))
		return false;
	memcpy(&head, out->ptr, sizeof head);
	out->len = 0;
	if (head.size < sizeof head || head.size % 8 || head.size > wal_frame_max(wal) || lsn + head.size > wal_durable(wal) ||
	    (head.type != RECORD_EVENT && head.type != RECORD_CUSTOMER && head.type != RECORD_CATALOG &&
	     head.type != RECORD_ACTION))
		return false;
	return log_read(wal, lsn, head.size, out);
}

bool record_change(const struct buf *record, struct catalog_change *change)
{
	struct record_head head;
	uint64_t len;
	if (record->len < sizeof head + sizeof len)
		return false;
	memcpy(&head, record->ptr, sizeof head);
	memcpy(&len, record->ptr + sizeof head, sizeof len);
	return head.type == RECORD_CATALOG && len <= record->len - sizeof head - sizeof len &&
	       catalog_change_decode(record->ptr + sizeof head + sizeof len, (size_t)len, change) &&
	       (change->op == CATALOG_PUT || change->op == CATALOG_DELETE);
}
