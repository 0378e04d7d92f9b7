// SPDX-License-Identifier: Apache-2.0
/* explain.c - why each rule of an event did what it did: GET /transactions/{id}/explain.
 *
 * The event's record says what came of it.  What the rules read then is made again: the customer from the chain of its own
 * records up to the event, the configuration from the documents that have not changed since and, of those that have, from their
 * records.  Both run on a worker thread and are bounded.  Each condition is then evaluated once more, leaf by leaf; where that
 * does not come to what the record says, the answer says so ("reproduced":false) instead of making something up.
 */
#include "engine/base/mem.h"
#include "engine/catalog/view.h"
#include "engine/event/effect.h"
#include "engine/event/facts.h"
#include "engine/event/ingest.h"
#include "engine/event/past.h"
#include "engine/rule/explain.h"
#include "engine/rule/selector.h"
#include "net/surface/app.h"
#include "net/surface/transaction.h"

enum { HISTORY_MAX = 20000, CHANGES_MAX = 20000 };

enum { EXPLAIN_DONE, EXPLAIN_MISSING, EXPLAIN_UNREADABLE };

struct explain {
	uint64_t lsn;                  /* of the event */
	struct buf record;
	struct event_view event;
	int outcome;
	const char *history;           /* NULL: the customer was made again; else why not */
	struct past past;
	struct catalog catalog;        /* as it was at the event */
	struct buf changed;            /* ids of documents that are not known as they were: u64 */
	bool all_changed;
	struct catalog_view *view;
	struct rule_arena *arena;
	yyjson_doc *payload;
	int64_t points;                /* before the rule at hand */
	/* what the event emitted so far */
	struct scratch_emit emits[SCRATCH_LIST_MAX];
	unsigned emit_count;
};

static void explain_free(void *context)
{
	struct explain *explain = context;
	buf_free(&explain->record);
	buf_free(&explain->changed);
	past_free(&explain->past);
	view_unref(explain->view);
	catalog_free(&explain->catalog);
	rule_arena_free(explain->arena);
	if (explain->payload)
		yyjson_doc_free(explain->payload);
	mem_free(explain);
}

/* ---- the customer as it was ------------------------------------------------------------------------------------------------ */

static const char *history_read(struct explain *explain, const struct wal *wal)
{
	struct buf lsns = { 0 }, record = { 0 };
	const char *why = NULL;
	uint64_t previous = 0;
	for (uint64_t lsn = explain->event.head.prev_member; lsn && !why; lsn = previous) {
		if (lsns.len == HISTORY_MAX * sizeof lsn)
			why = "the customer's history is too long to be read again";
		else if (!record_read(wal, lsn, &record))
			why = record.len == RECORD_UNREADABLE ? "the customer's history cannot be read"
							      : "the customer's history is no longer in the log";
		else if (!past_previous((const unsigned char *)record.ptr, record.len, &previous))
			why = "the customer's history cannot be read";
		buf_bytes(&lsns, &lsn, sizeof lsn);
	}
	for (size_t i = lsns.len / sizeof previous; i-- && !why;) {
		memcpy(&previous, lsns.ptr + i * sizeof previous, sizeof previous);
		if (!record_read(wal, previous, &record) || !past_take(&explain->past, (const unsigned char *)record.ptr, record.len))
			why = "the customer's history cannot be read";
	}
	buf_free(&lsns);
	buf_free(&record);
	past_begin(&explain->past, &explain->event);
	explain->points = explain->event.head.points - event_net(&explain->event);
	return why;
}

/* ---- the configuration as it was -------------------------------------------------------------------------------------------- */

static void keep_current(struct explain *explain, struct str copy, uint64_t id)
{
	struct catalog_change change;
	uint64_t lsn;
	for (size_t at = 0; catalog_copy_next(copy, &at, &lsn, &change);)
		if (change.id == id)
			catalog_apply(&explain->catalog, &change, lsn);
	buf_bytes(&explain->changed, &id, sizeof id);
}

static void catalog_read_back(struct explain *explain, const struct wal *wal, struct str copy, uint64_t head)
{
	struct catalog_change change, before;
	struct buf record = { 0 }, earlier = { 0 };
	uint64_t lsn;
	unsigned steps = 0;
	for (size_t at = 0; catalog_copy_next(copy, &at, &lsn, &change);)
		if (lsn < explain->lsn)
			catalog_apply(&explain->catalog, &change, lsn);
	for (lsn = head; lsn > explain->lsn; lsn = change.tenant_previous) {
		if (steps++ == CHANGES_MAX || !record_read(wal, lsn, &record) || !record_change(&record, &change)) {
			explain->all_changed = true;
			break;
		}
		if (change.previous > explain->lsn || (!change.previous && change.version == 1))
			continue;              /* an earlier record is the first one since; or it was made since */
		if (change.previous && record_read(wal, change.previous, &earlier) && record_change(&earlier, &before) &&
		    before.id == change.id) {
			if (before.op == CATALOG_PUT)
				catalog_apply(&explain->catalog, &before, change.previous);
		} else {
			keep_current(explain, copy, change.id);
		}
	}
	/* What was not reached is taken as it is now. */
	for (size_t at = 0; explain->all_changed && catalog_copy_next(copy, &at, &lsn, &change);)
		if (lsn > explain->lsn && !catalog_get(&explain->catalog, change.tenant, kind_by_number(change.kind), change.id))
			catalog_apply(&explain->catalog, &change, lsn);
	buf_free(&record);
	buf_free(&earlier);
	explain->view = catalog_view_build(&explain->catalog, explain->event.tenant);
}

static bool changed_since(const struct explain *explain, uint64_t id)
{
	for (size_t at = 0; at < explain->changed.len; at += sizeof id)
		if (!memcmp(explain->changed.ptr + at, &id, sizeof id))
			return true;
	return explain->all_changed;
}

static const struct view_rule *rule_find(const struct catalog_view *view, uint64_t id, const struct view_event_type **of)
{
	for (size_t t = 0; t < view->type_count; t++)
		for (size_t r = 0; r < view->types[t].rule_count; r++)
			if (view->types[t].rules[r].id == id) {
				*of = &view->types[t];
				return &view->types[t].rules[r];
			}
	return NULL;
}

/* ---- one rule ---------------------------------------------------------------------------------------------------------------- */

static const char *why_of(const struct execution_view *execution)
{
	if (execution->head.result == EXECUTION_SUCCESS)
		return "the condition held, and every action was possible";
	if (execution->head.result == EXECUTION_FAILED)
		return "it failed: see error";
	if (!execution->error.len)
		return "the condition did not hold";
	return execution_matched(execution) ? "a limit was reached" : REASON_AUDIENCE;
}

static bool limits_json(struct buf *out, const struct explain *explain, const struct view_rule *rule)
{
	bool reached = false;
	buf_lit(out, ",\"limits\":[");
	for (size_t i = 0; i < rule->limit_count; i++) {
		const struct view_limit *limit = &rule->limits[i];
		uint32_t period = limit_period_of(limit->per, explain->event.head.time_ms);
		uint32_t count = member_counted(explain->past.member, limit_key(rule->id, i), period);
		buf_printf(out, "%s{\"max\":%lld,\"per\":\"%s\",\"period\":\"", i ? "," : "", (long long)limit->max,
			   limit_period_names[limit->per]);
		limit_period_text(out, period);
		buf_printf(out, "\",\"count\":%u,\"reached\":%s}", count, count >= limit->max ? "true" : "false");
		reached |= count >= limit->max;
	}
	buf_char(out, ']');
	return reached;
}

static void emits_take(struct explain *explain, const struct execution_view *execution, const struct view_rule *rule,
		       yyjson_val *payload)
{
	if (execution->head.result != EXECUTION_SUCCESS)
		return;
	for (size_t i = 0; i < rule->action_count && explain->emit_count < SCRATCH_LIST_MAX; i++)
		if (rule->actions[i].type == ACTION_EMIT_EVENT)
			explain->emits[explain->emit_count++] = (struct scratch_emit){
				rule->actions[i].text, rule->actions[i].payload ? rule->actions[i].payload : payload, 0 };
}

static void field_json(struct buf *out, const char *name, yyjson_val *value)
{
	buf_printf(out, ",\"%s\":", name);
	if (value)
		json_write(out, value);
	else
		buf_lit(out, "null");
}

/* The condition, the audience and the limits, evaluated again.  Returns whether that comes to the record's result. */
static bool parts_json(struct buf *out, struct explain *explain, const struct view_rule *rule,
		       const struct execution_view *execution, struct facts *facts)
{
	struct rule_input input = { .data = facts->payload, .lookup = facts_lookup, .context = facts };
	struct explanation audience = { .good = true, .result = true }, condition;
	yyjson_val *root = yyjson_doc_get_root(rule->doc), *selector = json_get(root, STR("audience"));
	bool skipped = execution->head.result == EXECUTION_SKIPPED;
	if (selector && !yyjson_is_null(selector)) {
		buf_lit(out, ",\"audience\":");
		rule_explain(selector, EXPLAIN_SELECTOR, selector_compile, &input, explain->arena, out, &audience);
	}
	buf_lit(out, ",\"conditions\":");
	rule_explain(json_get(root, STR("conditions")), EXPLAIN_CONDITION, condition_compile, &input, explain->arena, out, &condition);
	bool limited = limits_json(out, explain, rule);
	bool runs = audience.good && audience.result && condition.good && condition.result && !limited;
	bool fails = !audience.good || (audience.result && !condition.good) || rule->broken;
	return fails ? execution->head.result == EXECUTION_FAILED : runs ? !skipped : skipped;
}

static void rule_json(struct buf *out, struct explain *explain, const struct execution_view *execution, uint64_t member_hash)
{
	static const char *const results[] = { "SUCCESS", "SKIPPED", "FAILED" };
	const struct view_event_type *type = NULL;
	const struct view_rule *rule = rule_find(explain->view, execution->head.rule_id, &type);
	unsigned emitted = execution->head.emitted;
	buf_printf(out, "{\"rule_id\":\"%llu\",\"result\":\"%s\",\"fired\":%s", (unsigned long long)execution->head.rule_id,
		   results[execution->head.result <= EXECUTION_FAILED ? execution->head.result : 2],
		   execution->head.result == EXECUTION_SUCCESS ? "true" : "false");
	if (emitted)
		buf_printf(out, ",\"emitted\":%u", emitted);
	buf_printf(out, ",\"why\":\"%s\"", why_of(execution));
	if (execution->error.len) {
		buf_str(out, execution->head.result == EXECUTION_FAILED ? STR(",\"error\":") : STR(",\"reason\":"));
		buf_json_text(out, execution->error);
	}
	if (rule) {
		yyjson_val *root = yyjson_doc_get_root(rule->doc);
		struct scratch_lists lists;
		struct scratch scratch;
		bool known = emitted && emitted <= explain->emit_count;
		struct facts facts = { .profile = explain->event.profile, .type = type->key, .source = explain->event.source,
				       .payload = known ? explain->emits[emitted - 1].payload : yyjson_doc_get_root(explain->payload),
				       .member = explain->past.member, .scratch = &scratch, .view = explain->view,
				       .now_ms = explain->event.head.time_ms, .arena = explain->arena };
		scratch_of(&scratch, &lists, explain->past.member, explain->points);
		buf_printf(out, ",\"rule_version\":%llu", (unsigned long long)rule->version);
		field_json(out, "name", json_get(root, STR("name")));
		field_json(out, "event_type", json_get(root, STR("event_type")));
		field_json(out, "priority", json_get(root, STR("priority")));
		if (changed_since(explain, rule->id))
			buf_lit(out, ",\"rule_changed_since\":true");
		if (!explain->history)
			buf_printf(out, ",\"reproduced\":%s", parts_json(out, explain, rule, execution, &facts) ? "true" : "false");
		facts_end(&facts);
		emits_take(explain, execution, rule, facts.payload);
	} else {
		buf_lit(out, ",\"conditions_unknown\":\"the rule as it was then is no longer in the log\"");
	}
	buf_lit(out, ",\"actions\":");
	effects_json(out, execution, member_hash);
	buf_char(out, '}');
}

/* ---- the event ----------------------------------------------------------------------------------------------------------------- */

static void event_json(struct buf *out, struct explain *explain)
{
	const struct event_view *event = &explain->event;
	const unsigned char *at = event->executions;
	uint64_t member_hash = hash_name(HASH_MEMBER, event->tenant, event->profile);
	buf_lit(out, "{\"id\":\"");
	transaction_id(out, event->tenant, explain->lsn);
	buf_lit(out, "\",\"eventId\":");
	buf_json_text(out, event->id);
	buf_lit(out, ",\"profileId\":");
	buf_json_text(out, event->profile);
	buf_lit(out, ",\"eventType\":");
	buf_json_text(out, event->type);
	buf_printf(out, ",\"points_before\":%lld,\"points\":%lld", (long long)explain->points, (long long)event->head.points);
	if (explain->history) {
		buf_lit(out, ",\"conditions_unknown\":");
		buf_json_text(out, str_of(explain->history));
	}
	if (event->head.flags & EVENT_REVERSAL)
		buf_lit(out, ",\"reversal\":true");
	buf_lit(out, ",\"rules\":[");
	for (unsigned i = 0; i < event->execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		if (i)
			buf_char(out, ',');
		rule_json(out, explain, &execution, member_hash);
		/* The next rule read what this one did. */
		past_execution(&explain->past, &execution, event->head.time_ms);
		explain->points += execution_net(&execution);
	}
	buf_lit(out, "]}");
}

static void explain_read(struct task *task)
{
	struct explain *explain = task->context;
	const struct wal *wal = node_wal(task->app->node);
	struct json_error error;
	struct event_view *event = &explain->event;
	if (!record_read(wal, explain->lsn, &explain->record) ||
	    !event_view_read((const unsigned char *)explain->record.ptr, explain->record.len, event) ||
	    !str_eq(event->tenant, task->tenant) || event->head.id_hash != hash_name(HASH_EVENT_ID, event->tenant, event->id)) {
		explain->outcome = explain->record.len == RECORD_UNREADABLE ? EXPLAIN_UNREADABLE : EXPLAIN_MISSING;
		return;
	}
	explain->arena = rule_arena_new();
	explain->payload = json_read(event->payload, &error);
	explain->history = event->head.flags & EVENT_REVERSAL ? "a reversal undoes what rules did, and asks no condition"
							      : NULL;
	const char *why = history_read(explain, wal);
	if (!explain->history)
		explain->history = why;
	catalog_read_back(explain, wal, buf_view(&task->catalog.json), task->catalog.lsn);
	event_json(&task->out, explain);
}

static void explain_answer(struct task *task)
{
	const struct explain *explain = task->context;
	if (explain->outcome == EXPLAIN_DONE)
		task_json(task, 200);
	else if (explain->outcome == EXPLAIN_UNREADABLE)
		task_problem(task, 500, "log_unreadable", "the record at LSN %llu cannot be read; the server's log says why",
			     (unsigned long long)explain->lsn);
	else
		task_problem(task, 404, "not_found", "there is no such transaction in this brand");
}

static void explain_go(struct task *task)
{
	task_read(task, explain_read, explain_answer);
}

static void explain_get(struct task *task)
{
	struct explain *explain = mem_zalloc(sizeof *explain);
	task->context = explain;
	task->free_context = explain_free;
	if (!task_brand(task) || !task_parameters_known(task, ""))
		return;
	if (!transaction_id_parse(buf_view(&task->parts[0]), task->tenant, &explain->lsn)) {
		task_problem(task, 404, "not_found", "there is no such transaction in this brand");
		return;
	}
	task->catalog.verb = CATALOG_COPY;
	task->catalog.tenant = task->tenant;
	task_catalog(task, explain_go);
}

const struct route explain_routes[] = {
	{ "GET", "/transactions/{id}/explain", explain_get, "events.read", "Why each rule did what it did",
	  .command = "transactions.explain" },
	{ .method = NULL },
};
