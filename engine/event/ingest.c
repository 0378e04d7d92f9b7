// SPDX-License-Identifier: Apache-2.0
#include "engine/event/ingest.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "engine/base/u128.h"
#include "engine/event/act.h"
#include "engine/event/effect.h"

/* One event in the making. */
struct ingest_run {
	struct facts facts;
	struct scratch scratch;
	const struct row *row;
	struct buf *out;
	unsigned executions;
	bool errors;
	unsigned emitted, depth;       /* which emitted event is running, and how deep; 0: the event itself */
};

/* Whether a limit of the rule is reached; then `error` says which. */
static bool limit_reached(const struct ingest_run *run, const struct view_rule *rule, char error[ERROR_TEXT_MAX])
{
	for (size_t i = 0; i < rule->limit_count; i++) {
		const struct view_limit *limit = &rule->limits[i];
		uint32_t period = limit_period_of(limit->per, run->facts.now_ms);
		if (scratch_counted(&run->scratch, run->facts.member, limit_key(rule->id, i), period) < MUTATE(71, limit->max, limit->max + 1))
			continue;
		snprintf(error, ERROR_TEXT_MAX, "limit reached: %lld per %s", (long long)limit->max,
			 limit_period_names[limit->per]);
		return true;
	}
	return false;
}

static bool limits_count(struct ingest_run *run, const struct view_rule *rule, struct act *act)
{
	struct scratch *scratch = &run->scratch;
	for (size_t i = 0; i < rule->limit_count; i++) {
		uint64_t key = limit_key(rule->id, i);
		uint32_t period = limit_period_of(rule->limits[i].per, run->facts.now_ms);
		struct effect_counted fixed = { .key = key, .period = period,
						.count = scratch_counted(scratch, run->facts.member, key, period) + 1 };
		const struct member_more *more = run->facts.member ? run->facts.member->more : NULL;
		if (scratch->count_count == SCRATCH_LIST_MAX || (more && more->counter_count >= MEMBER_ITEMS_MAX)) {
			snprintf(act->error, sizeof act->error, "too many limits are counted for this customer");
			return false;
		}
		scratch->lists->counts[scratch->count_count++] = (struct scratch_count){ key, period, fixed.count };
		effect_put(run->out, EFFECT_COUNTED, ACTION_TYPES, 0, scratch->points, &fixed, sizeof fixed, (struct str){ "", 0 });
		act->effect_count++;
	}
	return true;
}

/* Whether a condition or an audience holds; NULL always does.  False with `error` where it cannot be said. */
static bool holds(struct ingest_run *run, const struct rule *rule, bool *out, char error[ERROR_TEXT_MAX])
{
	struct rule_input input = { .data = run->facts.payload, .lookup = facts_lookup, .context = &run->facts };
	struct rule_value value;
	if (!rule)
		return true;
	rule_arena_reset(run->facts.arena);
	if (!rule_eval(rule, &input, run->facts.arena, &value, error))
		return false;
	*out = rule_truthy(&value);
	return true;
}

/* Runs one rule and appends its execution; on failure the scratch is as before. */
static void rule_run(const struct view_rule *rule, struct ingest_run *run)
{
	struct execution_head head = { .rule_id = rule->id, .emitted = run->emitted };
	struct scratch before = run->scratch;
	bool member = true, fits = true;
	struct act act = { .facts = &run->facts, .scratch = &run->scratch, .out = run->out, .depth = run->depth };
	size_t start = run->out->len;
	bool good = true;
	act.error[0] = '\0';
	buf_bytes(run->out, &head, sizeof head);
	if (rule->broken) {
		snprintf(act.error, sizeof act.error, "%s", rule->broken);
		good = false;
	} else {
		good = holds(run, rule->audience, &member, act.error) && (!member || holds(run, rule->condition, &fits, act.error));
	}
	if (good && !member)
		snprintf(act.error, sizeof act.error, "%s", REASON_AUDIENCE);
	if (good && (!member || !fits || limit_reached(run, rule, act.error))) {
		head.result = EXECUTION_SKIPPED;
	} else {
		for (size_t i = 0; good && i < rule->action_count; i++)
			good = act_run(&act, &rule->actions[i]);
		good = good && limits_count(run, rule, &act);
		head.effect_count = (uint8_t)act.effect_count;
		ASSERT(act.effect_count <= UINT8_MAX);
		if (!good) {
			run->scratch = MUTATE(39, before, run->scratch);
			run->out->len = start + sizeof head;
			head.effect_count = 0;
			head.result = EXECUTION_FAILED;
			run->errors = true;
		}
	}
	if (head.result != EXECUTION_SUCCESS) {
		head.error_len = (uint16_t)strlen(act.error);
		buf_bytes(run->out, act.error, head.error_len);
	}
	memcpy(run->out->ptr + start, &head, sizeof head);
	run->executions++;
}

static void rules_run(const struct view_event_type *type, struct ingest_run *run)
{
	for (size_t i = 0; i < type->rule_count; i++)
		rule_run(&type->rules[i], run);
}

/* The rules of the events that rules emitted, in the order in which they were.  False: more rules than one record holds. */
static bool emitted_run(struct ingest_run *run)
{
	while (run->emitted < run->scratch.emit_count) {
		struct scratch_emit emit = run->scratch.lists->emits[run->emitted++];
		const struct view_event_type *type = catalog_view_event_type(run->facts.view, emit.type);
		if (run->executions + type->rule_count > UINT16_MAX)
			return false;
		run->depth = emit.depth;
		run->facts.payload = emit.payload;
		run->facts.type = emit.type;
		rules_run(type, run);
	}
	return true;
}

static const struct view_event_type *event_type_of(const struct row *row, const struct catalog_view *view)
{
	return view ? catalog_view_event_type(view, row->type) : NULL;
}

static size_t rules_bound(const struct view_event_type *type, const struct catalog_view *view, bool *emits)
{
	size_t bound = 0;
	for (size_t i = 0; i < type->rule_count; i++) {
		const struct view_rule *rule = &type->rules[i];
		bound += sizeof(struct execution_head) + ERROR_TEXT_MAX +
			 rule->limit_count * (sizeof(struct effect_head) + sizeof(struct effect_counted));
		for (size_t a = 0; a < rule->action_count; a++) {
			bound += act_bound(&rule->actions[a], view);
			*emits |= rule->actions[a].type == ACTION_EMIT_EVENT;
		}
	}
	return bound;
}

/* Adds what the events that a type's rules emit may take, deeper ones too.  False: there can be more than one event may emit. */
static bool emitted_bound(const struct view_event_type *type, const struct catalog_view *view, unsigned depth, unsigned *left,
			  size_t *bound)
{
	bool emits = false;
	for (size_t i = 0; i < type->rule_count && depth < EMIT_DEPTH_MAX; i++)
		for (size_t a = 0; a < type->rules[i].action_count; a++) {
			const struct action *action = &type->rules[i].actions[a];
			const struct view_event_type *next = NULL;
			if (action->type == ACTION_EMIT_EVENT)
				next = catalog_view_event_type(view, action->text);
			if (!next)
				continue;
			if (!(*left)--)
				return false;
			*bound += rules_bound(next, view, &emits);
			if (!emitted_bound(next, view, depth + 1, left, bound))
				return false;
		}
	return true;
}

uint32_t ingest_bound(const struct row *row, const struct catalog_view *view)
{
	const struct view_event_type *type = event_type_of(row, view);
	size_t bound = sizeof(struct event_head) + row->tenant.len + row->profile.len + row->type.len + row->id.len +
		       row->source.len + row->payload_text.len + 8;
	bool emits = false;
	if (type)
		bound += rules_bound(type, view, &emits);
	unsigned left = SCRATCH_LIST_MAX;
	size_t emitted = 0;
	if (emits && emitted_bound(type, view, 0, &left, &emitted)) {
		bound += emitted;
	} else if (emits) {
		size_t most = 0;
		for (size_t t = 0; t < view->type_count; t++) {
			size_t one = view->types[t].origin == ORIGIN_INTERNAL ? rules_bound(&view->types[t], view, &emits) : 0;
			most = one > most ? one : most;
		}
		bound += most * SCRATCH_LIST_MAX;
	}
	return bound > UINT32_MAX / 4 ? UINT32_MAX / 4 : (uint32_t)bound;
}

static bool refuse(struct row *row, int status, const char *code, const char *detail, struct str what)
{
	problem_set(row_refuse(row), status, code, detail, (int)(what.len < 100 ? what.len : 100), what.ptr);
	return false;
}

void ingest_limits(struct scratch *scratch, const struct ingest *context)
{
	const struct account *account = context->account;
	scratch->account = account;
	scratch->room = ACTION_POINTS_MAX;
	scratch->held = 0;
	if (account) {
		scratch->held = (i128)account->debits_pending + context->floor;
		scratch->room = (i128)context->ceiling - account->credits_pending;
		/* The sums of an account stay below 2^63 as well. */
		i128 left = (i128)INT64_MAX - account->credits_posted - account->credits_pending + scratch->points;
		if (left < scratch->room)
			scratch->room = left;
	} else if (!context->account_number) {
		scratch->room = 0;
	}
}

bool ingest_decide(struct row *row, const struct member *member, const struct catalog_view *view, const struct ingest *context,
		   struct buf *out)
{
	const struct view_event_type *type = event_type_of(row, view);
	if (!type)
		return refuse(row, 400, "event_type_unknown", "event type %.*s does not exist for this brand", row->type);
	if (!type->active)
		return refuse(row, 400, "event_type_inactive", "event type %.*s is not active", row->type);
	if (type->origin == ORIGIN_INTERNAL && !(row->flags & ROW_INTERNAL))
		return refuse(row, 400, "event_type_internal", "event type %.*s is INTERNAL: only jobs emit it", row->type);
	if (type->broken)
		return refuse(row, 400, "payload_schema_broken", "%.*s", str_of(type->broken));
	if (!member && (row->flags & ROW_STRICT))
		return refuse(row, 404, "customer_unknown", "customer %.*s does not exist; upsert it first", row->profile);
	if (type->payload_schema) {
		struct faults faults = { 0 };
		if (!schema_check(type->payload_schema, row->payload, "/payload", &faults)) {
			struct problem *problem = row_refuse(row);
			problem_set(problem, 422, "validation_failed", "the payload does not fit the schema of event type %.*s",
				    (int)type->key.len, type->key.ptr);
			problem->faults = faults;
			return false;
		}
	}

	const struct account *account = context->account;
	struct ingest_run run = { .row = row, .out = out };
	struct scratch *scratch = &run.scratch;
	struct scratch_lists lists;
	scratch_of(scratch, &lists, member, account ? account_balance(account) : 0);
	ingest_limits(scratch, context);
	run.facts = (struct facts){ .profile = row->profile, .type = row->type, .source = row->source, .payload = row->payload,
				    .member = member, .scratch = scratch, .view = view, .now_ms = context->now_ms,
				    .arena = context->arena };
	size_t start = record_begin(out, RECORD_EVENT, row->member_partition);
	struct event_head head = { 0 };
	memcpy(&head.head, out->ptr + start, sizeof head.head);
	out->len = start;
	head.prev_member = member ? member->last_lsn : 0;
	head.prev_slice = context->prev_slice;
	head.id_hash = row->id_hash;
	head.content_hash = row->content_hash;
	head.time_ms = context->now_ms;
	head.payload_len = (uint32_t)row->payload_text.len;
	head.tenant_len = (uint16_t)row->tenant.len;
	head.profile_len = (uint16_t)row->profile.len;
	head.type_len = (uint16_t)row->type.len;
	head.id_len = (uint16_t)row->id.len;
	head.source_len = (uint16_t)row->source.len;
	head.flags = (uint8_t)((member ? 0 : EVENT_MEMBER_CREATED) | (type->rule_count ? 0 : EVENT_NO_RULES));
	buf_bytes(out, &head, sizeof head);
	buf_str(out, row->tenant);
	buf_str(out, row->profile);
	buf_str(out, row->type);
	buf_str(out, row->id);
	buf_str(out, row->source);
	buf_str(out, row->payload_text);
	rules_run(type, &run);
	bool whole = emitted_run(&run);
	facts_end(&run.facts);
	if (!whole)
		return refuse(row, 413, "event_too_large", "event %.*s and those that its rules emit have more than 65535 rules", row->id);
	ASSERT(run.executions <= UINT16_MAX);
	head.execution_count = (uint8_t)run.executions;
	head.execution_count_high = (uint8_t)(run.executions >> 8);
	head.flags |= run.errors ? EVENT_WITH_ERRORS : 0;
	head.points = scratch->points;
	if (scratch->moved) {
		head.account = context->account_number;
		head.prev_account = account ? account->last_lsn : 0;
		head.flags |= account ? 0 : EVENT_ACCOUNT_CREATED;
	}
	row->flags |= scratch->hooked ? ROW_HOOKED : 0u;
	memcpy(out->ptr + start, &head, sizeof head);
	record_end(out, start);
	return true;
}
