// SPDX-License-Identifier: Apache-2.0
/* audit.c - who changed which document, when, and from what to what.
 *
 * Nothing is kept for it but the log: the records of a tenant's configuration, and those of each document, are chained
 * backwards by their LSNs.  The catalog gives the newest; a worker thread walks, as in history.c.  What the log no longer has
 * is named: a page that would be empty for it is refused, an entry whose state before is gone says so.
 */
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "engine/event/record.h"
#include "net/surface/past.h"
#include "net/surface/resource.h"
#include "net/surface/transaction.h"

enum { AUDIT_WALK_MAX = 500000 };

enum audit_outcome { AUDIT_DONE, AUDIT_PRUNED, AUDIT_UNREADABLE, AUDIT_TOO_LONG, AUDIT_NO_CURSOR };

struct audit {
	const struct kind *kind;       /* NULL: of every kind */
	uint64_t id;                   /* 0: of every document */
	size_t limit, given;
	uint64_t at;                   /* the record that comes next; 0: none */
	bool by_cursor;                /* `at` is what the client says */
	uint64_t head;                 /* the newest one */
	enum audit_outcome outcome;
};

static void audit_free(void *context)
{
	mem_free(context);
}

/* The fields as they were before the change: null where there were none, and "before_pruned" where the log does not say. */
static void before_json(struct buf *out, const struct wal *wal, const struct catalog_change *change)
{
	struct buf record = { 0 };
	struct catalog_change before;
	bool known = change->version == 1 || change->previous;
	buf_lit(out, ",\"before\":");
	if (change->previous && record_read(wal, change->previous, &record) && record_change(&record, &before) &&
	    before.op == CATALOG_PUT && before.id == change->id) {
		buf_str(out, before.json);
	} else {
		known = known && !change->previous;
		buf_lit(out, "null");
	}
	if (!known)
		buf_lit(out, ",\"before_pruned\":true");
	buf_free(&record);
}

static void entry_json(struct buf *out, const struct wal *wal, const struct catalog_change *change, uint64_t lsn)
{
	const struct kind *kind = kind_by_number(change->kind);
	const char *op = change->op == CATALOG_DELETE ? "delete" : change->version == 1 ? "create" : "update";
	buf_lit(out, "{\"at\":");
	catalog_time_json(out, change->time_ms);
	buf_lit(out, ",\"actor\":");
	if (change->audited)
		buf_json_text(out, change->actor);
	else
		buf_lit(out, "null");
	buf_printf(out, ",\"kind\":\"%s\",\"id\":\"%llu\",\"op\":\"%s\",\"version\":%llu", kind->name,
		   (unsigned long long)change->id, op, (unsigned long long)change->version);
	before_json(out, wal, change);
	buf_lit(out, ",\"after\":");
	buf_str(out, change->op == CATALOG_PUT ? change->json : STR("null"));
	buf_printf(out, ",\"lsn\":%llu}", (unsigned long long)lsn);
}

/* Whether a cursor was given out here, of which the log says nothing: on the way from the newest one it is met, or it was invented. */
static bool is_on_chain(const struct audit *audit, const struct wal *wal)
{
	struct buf record = { 0 };
	struct catalog_change change;
	uint64_t at = audit->head;
	for (uint64_t steps = 0; at > audit->at && steps < AUDIT_WALK_MAX; steps++) {
		if (!record_read(wal, at, &record) || !record_change(&record, &change)) {
			at = audit->at;        /* not known: reading it says what the matter is */
			break;
		}
		at = change.tenant_previous;
	}
	buf_free(&record);
	return at == audit->at;
}

static void audit_run(struct task *task)
{
	struct audit *audit = task->context;
	const struct wal *wal = node_wal(task->app->node);
	struct buf record = { 0 };
	if (audit->by_cursor && audit->at >= wal_first(wal) && !wal_holds(wal, audit->at) &&
	    MUTATE(102, !is_on_chain(audit, wal), false)) {
		audit->outcome = AUDIT_NO_CURSOR;
		return;
	}
	buf_char(&task->out, '[');
	for (uint64_t steps = 0; audit->at && audit->given < audit->limit; steps++) {
		struct catalog_change change;
		bool cursor = audit->by_cursor && !steps;
		if (steps == AUDIT_WALK_MAX) {
			audit->outcome = AUDIT_TOO_LONG;
			break;
		}
		if (!record_read(wal, audit->at, &record)) {
			audit->outcome = record.len == RECORD_UNREADABLE ? AUDIT_UNREADABLE
				       : audit->at < wal_first(wal)      ? AUDIT_PRUNED
				       : cursor                          ? AUDIT_NO_CURSOR
									 : AUDIT_UNREADABLE;
			break;
		}
		if (!record_change(&record, &change) || !str_eq(change.tenant, task->tenant)) {
			audit->outcome = cursor ? AUDIT_NO_CURSOR : AUDIT_UNREADABLE;
			break;
		}
		bool fits = (!audit->kind || change.kind == audit->kind->number) && (!audit->id || change.id == audit->id);
		if (fits) {
			if (audit->given++)
				buf_char(&task->out, ',');
			entry_json(&task->out, wal, &change, audit->at);
		}
		audit->at = fits && audit->id ? change.previous : change.tenant_previous;
	}
	/* What was found is given; the next page says what the matter is. */
	if (audit->outcome == AUDIT_PRUNED && audit->given)
		audit->outcome = AUDIT_DONE;
	buf_char(&task->out, ']');
	buf_free(&record);
}

static void audit_answer(struct task *task)
{
	struct audit *audit = task->context;
	switch (audit->outcome) {
	case AUDIT_PRUNED:
		past_answerable(task, PAST_PRUNED);
		return;
	case AUDIT_UNREADABLE:
		task_problem(task, 500, "log_unreadable", "the record at LSN %llu cannot be read; the server's log says why",
			     (unsigned long long)audit->at);
		return;
	case AUDIT_TOO_LONG:
		task_problem(task, 422, "query_too_broad",
			     "more than %d records would have to be read; narrow it, by id for instance", AUDIT_WALK_MAX);
		return;
	case AUDIT_NO_CURSOR:
		task_problem(task, 400, "cursor_invalid", "the cursor is not one that was given out here");
		return;
	case AUDIT_DONE: break;
	}
	if (audit->at)
		buf_printf(&task->headers, "X-Next-Cursor: %llu\r\n", (unsigned long long)audit->at);
	task_json(task, 200);
}

static void audit_start(struct task *task)
{
	struct audit *audit = task->context;
	audit->head = task->catalog.lsn;
	if (!audit->by_cursor)
		audit->at = audit->head;
	task_read(task, audit_run, audit_answer);
}

/* A parameter of digits; *found says whether it is there. */
static bool number_parameter(struct task *task, const char *name, int status, const char *code, uint64_t *out, bool *found)
{
	struct buf text = { 0 };
	if (!task_parameter(task, name, &text, found))
		return false;
	bool good = !*found || catalog_id_parse(buf_view(&text), out);
	buf_free(&text);
	if (!good)
		task_problem(task, status, code, "the query parameter %s is not a number that was given out here", name);
	return good;
}

static bool kind_parameter(struct task *task, struct audit *audit)
{
	struct buf text = { 0 };
	bool found;
	if (!task_parameter(task, "kind", &text, &found))
		return false;
	audit->kind = found ? kind_by_name(buf_view(&text)) : NULL;
	buf_free(&text);
	if (!found || audit->kind)
		return true;
	struct buf names = { 0 };
	const struct kind *kind;
	for (size_t i = 0; (kind = kind_at(i)); i++)
		buf_printf(&names, "%s%s", names.len ? ", " : "", kind->name);
	buf_char(&names, '\0');
	task_problem(task, 422, "filter_invalid", "kind must be one of %s", names.ptr);
	buf_free(&names);
	return false;
}

static void audit_list(struct task *task)
{
	struct audit *audit = mem_zalloc(sizeof *audit);
	bool found;
	size_t offset;
	task->context = audit;
	task->free_context = audit_free;
	if (!task_brand(task) || !task_parameters_known(task, "kind id limit cursor") || !kind_parameter(task, audit) ||
	    !number_parameter(task, "id", 422, "filter_invalid", &audit->id, &found) ||
	    !number_parameter(task, "cursor", 400, "cursor_invalid", &audit->at, &audit->by_cursor) ||
	    !task_page(task, &audit->limit, &offset, LIST_DEFAULT, LIST_MAX))
		return;
	task->shape = TASK_CATALOG;
	task->catalog.verb = CATALOG_AUDIT;
	task->catalog.tenant = task->tenant;
	task_catalog(task, audit_start);
}

const struct route audit_routes[] = {
	{ "GET", "/admin/audit", audit_list, "audit.read", "Changes of configuration, newest first, with before and after", NULL,
	  .command = "audit.list" },
	{ .method = NULL },
};
