// SPDX-License-Identifier: Apache-2.0
#include "net/surface/ledger_text.h"

#include "engine/base/time.h"
#include "net/surface/past.h"

/* ---- numbers ----------------------------------------------------------------------------------------------------------- */

static bool hex(struct str text, u128 *out)
{
	*out = 0;
	if (!text.len || text.len > 32)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (digit < 0)
			return false;
		*out = *out << 4 | (unsigned)digit;
	}
	return true;
}

bool id_parse_hex(struct str text, u128 *out)
{
	return text.len == 32 && hex(text, out);
}

static bool decimal(struct str text, u128 *out)
{
	*out = 0;
	if (!text.len || text.len > 39)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(text.ptr[i] - '0');
		if (text.ptr[i] < '0' || text.ptr[i] > '9' || *out > (U128_MAX - digit) / 10)
			return false;
		*out = *out * 10 + digit;
	}
	return true;
}

bool id_parse(struct str text, u128 *out)
{
	if (text.len == 32)
		return hex(text, out);
	if (text.len > 2 && text.ptr[0] == '0' && text.ptr[1] == 'x')
		return hex((struct str){ text.ptr + 2, text.len - 2 }, out);
	return decimal(text, out);
}

bool id_of_json(yyjson_val *value, u128 *out)
{
	if (yyjson_is_str(value))
		return id_parse(json_text(value), out);
	return json_is_number(value) && decimal(json_raw(value), out);
}

bool json_u64(yyjson_val *value, uint64_t *out)
{
	u128 wide;
	if (!decimal(yyjson_is_str(value) ? json_text(value) : json_raw(value), &wide) || wide > UINT64_MAX)
		return false;
	*out = (uint64_t)wide;
	return true;
}

void id_write(struct buf *out, u128 id)
{
	unsigned char bytes[16];
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(id >> (120 - 8 * i));
	buf_hex(out, bytes, sizeof bytes);
}

void u128_write(struct buf *out, u128 value)
{
	char digits[40];
	size_t n = sizeof digits;
	do {
		digits[--n] = (char)('0' + (unsigned)(value % 10));
		value /= 10;
	} while (value);
	buf_bytes(out, digits + n, sizeof digits - n);
}

void i128_write(struct buf *out, i128 value)
{
	if (value < 0)
		buf_char(out, '-');
	u128_write(out, value < 0 ? 0 - (u128)value : (u128)value);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------- */

int refusal_status(enum refusal refusal)
{
	switch (refusal) {
	case REFUSED_PENDING_TRANSFER_NOT_FOUND:
	case REFUSED_DEBIT_ACCOUNT_NOT_FOUND:
	case REFUSED_CREDIT_ACCOUNT_NOT_FOUND:
	case REFUSED_ACCOUNT_NOT_FOUND: return 404;
	case REFUSED_OUTCOME_PRUNED: return 410;
	case REFUSED_MEMORY_FULL:
	case REFUSED_DISK_FULL: return 507;
	case REFUSED_EXISTS_WITH_DIFFERENT_CONTENT:
	case REFUSED_PENDING_TRANSFER_NOT_PENDING: return 409;
	default: break;
	}
	if (refusal >= REFUSED_EXISTS_WITH_DIFFERENT_FLAGS && refusal <= REFUSED_ID_ALREADY_FAILED)
		return 409;
	if (refusal >= REFUSED_ACCOUNT_EXISTS_WITH_DIFFERENT_TENANT && refusal <= REFUSED_SLICED_ACCOUNT_HAS_ANOTHER_ID)
		return 409;
	return refusal_burns(refusal) ? 409 : 422;
}

void refusal_problem(struct problem *problem, enum refusal refusal)
{
	const struct refusal_info *info = refusal_find(refusal);
	problem_set(problem, refusal_status(refusal), info ? info->name : "refused", "%s", info ? info->meaning : "refused");
}

/* ---- accounts and transfers --------------------------------------------------------------------------------------------- */

static void key_text(struct buf *out, const char *key, struct str text)
{
	buf_printf(out, ",\"%s\":", key);
	buf_json_text(out, text);
}

static void key_sum(struct buf *out, const char *key, u128 sum)
{
	buf_printf(out, ",\"%s\":\"", key);
	u128_write(out, sum);
	buf_char(out, '"');
}

static void key_id(struct buf *out, const char *key, u128 id)
{
	buf_printf(out, ",\"%s\":\"", key);
	id_write(out, id);
	buf_char(out, '"');
}

static void key_time(struct buf *out, const char *key, int64_t time_ms)
{
	buf_printf(out, ",\"%s\":\"", key);
	time_write(out, time_ms);
	buf_char(out, '"');
}

void account_json(struct buf *out, const struct ledger_call *call, const struct account_view *view, uint64_t lsn)
{
	buf_lit(out, "\"id\":\"");
	id_write(out, view->id);
	buf_char(out, '"');
	key_text(out, "tenant", ledger_view_text(call, view->tenant_at, view->tenant_len));
	key_text(out, "unit", ledger_view_text(call, view->unit_at, view->unit_len));
	key_text(out, "kind", str_of(account_kind_name(view->kind)));
	buf_str(out, view->flags & ACCOUNT_CLOSED ? STR(",\"closed\":true") : STR(",\"closed\":false"));
	if (view->floor != NO_FLOOR)
		buf_printf(out, ",\"floor\":%lld", (long long)view->floor);
	if (view->ceiling != NO_CEILING)
		buf_printf(out, ",\"ceiling\":%lld", (long long)view->ceiling);
	key_sum(out, "debits_posted", view->debits_posted);
	key_sum(out, "credits_posted", view->credits_posted);
	key_sum(out, "debits_pending", view->debits_pending);
	key_sum(out, "credits_pending", view->credits_pending);
	buf_lit(out, ",\"balance\":\"");
	i128_write(out, (i128)(view->credits_posted - view->debits_posted));
	buf_char(out, '"');
	if (view->member_len) {
		key_text(out, "member", ledger_view_text(call, view->member_at, view->member_len));
		key_text(out, "program", ledger_view_text(call, view->program_at, view->program_len));
	}
	if (view->created_ms)
		key_time(out, "created_at", view->created_ms);
	buf_printf(out, ",\"lsn\":%llu", (unsigned long long)(kind_is_sliced(view->kind) ? lsn : view->last_lsn));
}

static void flag_names(struct buf *out, unsigned flags)
{
	static const char *const names[] = { "linked", "pending", "post", "void", "balancing_debit", "balancing_credit" };
	bool first = true;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		if (!(flags & 1U << i))
			continue;
		buf_printf(out, "%s\"%s\"", first ? "" : ",", names[i]);
		first = false;
	}
}

void transfer_json(struct buf *out, const struct movement *movement, u128 debit, u128 credit)
{
	if (movement->id) {
		buf_lit(out, "\"id\":\"");
		id_write(out, movement->id);
		buf_char(out, '"');
	} else {
		buf_lit(out, "\"id\":null");
	}
	if (movement->pending_id)
		key_id(out, "pending_id", movement->pending_id);
	if (movement->flags & TRANSFER_EXPIRED)
		buf_lit(out, ",\"expired\":true");
	key_id(out, "debit", debit);
	key_id(out, "credit", credit);
	buf_printf(out, ",\"amount\":%llu", (unsigned long long)movement->amount);
	if (movement->requested != movement->amount)
		buf_printf(out, ",\"requested\":%llu", (unsigned long long)movement->requested);
	buf_printf(out, ",\"code\":%u,\"flags\":[", movement->code);
	flag_names(out, movement->flags);
	buf_printf(out, "],\"timeout\":%u", movement->timeout);
	key_time(out, "created_at", movement->time_ms);
	buf_printf(out, ",\"lsn\":%llu", (unsigned long long)movement->lsn);
}

const char *transfer_state(const struct found_transfer *found)
{
	switch (found->state) {
	case FOUND_PENDING: return "pending";
	case FOUND_VOIDED: return "voided";
	case FOUND_EXPIRED: return "expired";
	case FOUND_FAILED: return "failed";
	default: return found->movement.flags & TRANSFER_VOID ? "voided" : "posted";
	}
}

bool call_answerable(struct task *task, struct ledger_call *call)
{
	if (!call->unreadable)
		return true;
	ledger_call_end(call);
	task_problem(task, 500, "log_unreadable", LOG_UNREADABLE_TEXT);
	return false;
}

bool walk_answerable(struct task *task, struct ledger_call *call, enum log_outcome outcome, uint64_t lsn)
{
	if (outcome == LOG_DONE)
		return true;
	ledger_call_end(call);
	if (outcome == LOG_PRUNED)
		past_answerable(task, PAST_PRUNED);
	else if (outcome == LOG_BUSY)
		past_answerable(task, PAST_BUSY);
	else if (outcome == LOG_UNREADABLE)
		task_problem(task, 500, "log_unreadable", LOG_UNREADABLE_TEXT);
	else if (outcome == LOG_TOO_LONG)
		task_problem(task, 422, "query_too_broad",
			     "more than %d records would have to be read (down to LSN %llu); narrow it with before and after",
			     LOG_WALK_MAX, (unsigned long long)lsn);
	else
		task_problem(task, 404, "account_not_found", "the account did not exist then");
	return false;
}
