// SPDX-License-Identifier: Apache-2.0
#include "net/rpc/ledger_pack.h"

const struct rpc_flag transfer_flag_names[] = {
	{ "linked", TRANSFER_LINKED }, { "pending", TRANSFER_PENDING }, { "post", TRANSFER_POST }, { "void", TRANSFER_VOID },
	{ "balancing_debit", TRANSFER_BALANCING_DEBIT }, { "balancing_credit", TRANSFER_BALANCING_CREDIT }, { NULL, 0 },
};

const struct rpc_flag account_flag_names[] = { { "closed", ACCOUNT_CLOSED }, { NULL, 0 } };

bool call_readable(struct ledger_call *call)
{
	if (!call->unreadable)
		return true;
	rpc_error(call->owner, 500, "log_unreadable", -1, LOG_UNREADABLE_TEXT);
	ledger_call_end(call);
	return false;
}

static struct rpc_place part(struct rpc_place place, const char *name)
{
	return (struct rpc_place){ place.request, place.index, name };
}

bool field_account(struct rpc_place place, struct rpc_reader *reader, struct account_name *out)
{
	enum { TENANT, UNIT, MEMBER, PROGRAM, KIND };
	static const char *const names[] = { "tenant", "unit", "member", "program", "kind", NULL };
	struct str texts[5] = { { "", 0 }, { "", 0 }, { "", 0 }, { "default", 7 }, { "", 0 } };
	unsigned seen = 0, key;
	uint32_t count;
	*out = (struct account_name){ 0 };
	if (rpc_peek(reader) != RPC_MAP) {
		if (!field_id(place, reader, &out->id))
			return false;
		return out->id || field_fault(place, "the id must not be 0");
	}
	if (!field_map(place, reader, &count))
		return false;
	for (; count; count--)
		if (!field_key(place, reader, names, &seen, &key) || !field_text(part(place, names[key]), reader, &texts[key]))
			return false;
	bool member = seen == (1U << TENANT | 1U << UNIT | 1U << MEMBER) ||
		      seen == (1U << TENANT | 1U << UNIT | 1U << MEMBER | 1U << PROGRAM);
	if (member) {
		out->id = account_id_of_member(texts[TENANT], texts[MEMBER], texts[PROGRAM], texts[UNIT]);
		return true;
	}
	if (seen != (1U << TENANT | 1U << UNIT | 1U << KIND))
		return field_fault(place, "expected an id, {tenant, member, program?, unit} or {tenant, unit, kind}");
	if (!account_kind_parse(texts[KIND], &out->kind) || !kind_is_sliced(out->kind))
		return field_fault(part(place, "kind"), "expected liability, redeemed, expired, adjusted or in_transit");
	out->tenant = texts[TENANT];
	out->unit = texts[UNIT];
	return true;
}

void pack_id(struct buf *out, u128 id)
{
	pack_bin(out, &id, sizeof id);
}

void pack_u128(struct buf *out, u128 value)
{
	if (value <= UINT64_MAX)
		pack_u64(out, (uint64_t)value);
	else
		pack_bin(out, &value, sizeof value);
}

void pack_balance(struct buf *out, u128 credits, u128 debits)
{
	i128 balance = (i128)(credits - debits);
	if (balance >= INT64_MIN && balance <= INT64_MAX)
		pack_i64(out, (int64_t)balance);
	else
		pack_bin(out, &balance, sizeof balance);
}

static void pack_text_of(struct buf *out, const struct ledger_call *call, size_t at, size_t len)
{
	pack_text(out, ledger_view_text(call, at, len));
}

void pack_account(struct buf *out, const struct ledger_call *call, const struct account_view *view, uint64_t lsn,
		  const struct moment *as_of)
{
	bool floor = view->floor != NO_FLOOR, ceiling = view->ceiling != NO_CEILING, named = view->member_len > 0;
	bool created = view->created_ms != 0;
	pack_map(out, 11U + floor + ceiling + 2U * named + created + (as_of != NULL));
	if (as_of) {
		pack_key(out, "as_of");
		pack_map(out, 2);
		pack_key(out, "lsn");
		pack_u64(out, as_of->lsn);
		pack_key(out, "time");
		pack_i64(out, as_of->time_ms);
	}
	pack_key(out, "id");
	pack_id(out, view->id);
	pack_key(out, "tenant");
	pack_text_of(out, call, view->tenant_at, view->tenant_len);
	pack_key(out, "unit");
	pack_text_of(out, call, view->unit_at, view->unit_len);
	pack_key(out, "kind");
	pack_text(out, str_of(account_kind_name(view->kind)));
	pack_key(out, "flags");
	pack_u64(out, view->flags);
	if (floor) {
		pack_key(out, "floor");
		pack_i64(out, view->floor);
	}
	if (ceiling) {
		pack_key(out, "ceiling");
		pack_i64(out, view->ceiling);
	}
	pack_key(out, "debits_posted");
	pack_u128(out, view->debits_posted);
	pack_key(out, "credits_posted");
	pack_u128(out, view->credits_posted);
	pack_key(out, "debits_pending");
	pack_u128(out, view->debits_pending);
	pack_key(out, "credits_pending");
	pack_u128(out, view->credits_pending);
	pack_key(out, "balance");
	pack_balance(out, view->credits_posted, view->debits_posted);
	if (named) {
		pack_key(out, "member");
		pack_text_of(out, call, view->member_at, view->member_len);
		pack_key(out, "program");
		pack_text_of(out, call, view->program_at, view->program_len);
	}
	if (created) {
		pack_key(out, "created");
		pack_i64(out, view->created_ms);
	}
	pack_key(out, "lsn");
	pack_u64(out, kind_is_sliced(view->kind) ? lsn : view->last_lsn);
}

/* What every transfer has: eight pairs. */
static void transfer_common(struct buf *out, const struct movement *movement, u128 debit, u128 credit)
{
	pack_key(out, "debit");
	pack_id(out, debit);
	pack_key(out, "credit");
	pack_id(out, credit);
	pack_key(out, "amount");
	pack_u64(out, movement->amount);
	pack_key(out, "code");
	pack_u64(out, movement->code);
	pack_key(out, "flags");
	pack_u64(out, movement->flags & TRANSFER_FLAGS);
	pack_key(out, "timeout");
	pack_u64(out, movement->timeout);
	pack_key(out, "time");
	pack_i64(out, movement->time_ms);
	pack_key(out, "lsn");
	pack_u64(out, movement->lsn);
}

static void transfer_optional(struct buf *out, const struct movement *movement)
{
	if (movement->pending_id) {
		pack_key(out, "pending_id");
		pack_id(out, movement->pending_id);
	}
	if (movement->requested != movement->amount) {
		pack_key(out, "requested");
		pack_u64(out, movement->requested);
	}
}

static unsigned optional_count(const struct movement *movement)
{
	return (movement->pending_id != 0) + (movement->requested != movement->amount);
}

void pack_movement(struct buf *out, const struct log_walk *walk, const struct movement *movement, u128 debit, u128 credit)
{
	bool event = movement->event_len > 0, expired = movement->flags & TRANSFER_EXPIRED;
	pack_map(out, 9U + (movement->id != 0) + 2U * event + expired + optional_count(movement));
	if (movement->id) {
		pack_key(out, "id");
		pack_id(out, movement->id);
	}
	if (event) {
		pack_key(out, "event");
		pack_text(out, (struct str){ walk->texts.ptr + movement->event_at, movement->event_len });
		pack_key(out, "movement");
		pack_u64(out, movement->number);
	}
	if (expired) {
		pack_key(out, "expired");
		pack_bool(out, true);
	}
	transfer_common(out, movement, debit, credit);
	transfer_optional(out, movement);
	pack_key(out, "balance");
	pack_i64(out, movement->balance);
}

void pack_found(struct buf *out, const struct found_transfer *found)
{
	const struct movement *movement = &found->movement;
	if (found->state == FOUND_NOTHING) {
		pack_nil(out);
		return;
	}
	if (found->outcome) {
		pack_map(out, 1);
		pack_key(out, "state");
		pack_text(out, STR("pruned"));
		return;
	}
	if (found->state == FOUND_FAILED) {
		const struct refusal_info *info = refusal_find(found->refusal);
		pack_map(out, 6);
		pack_key(out, "id");
		pack_id(out, movement->id);
		pack_key(out, "state");
		pack_text(out, STR("failed"));
		pack_key(out, "refusal");
		pack_u64(out, found->refusal);
		pack_key(out, "name");
		pack_text(out, str_of(info ? info->name : "unknown"));
		pack_key(out, "time");
		pack_i64(out, movement->time_ms);
		pack_key(out, "lsn");
		pack_u64(out, movement->lsn);
		return;
	}
	pack_map(out, 10 + optional_count(movement));
	pack_key(out, "id");
	pack_id(out, movement->id);
	transfer_common(out, movement, found->debit, found->credit);
	transfer_optional(out, movement);
	pack_key(out, "state");
	pack_text(out, str_of(transfer_state(found)));
}
