// SPDX-License-Identifier: Apache-2.0
/* Reading history: the log itself is the table.
 *
 * A member's records are chained backwards by prev_member, a tenant's events of one group by prev_slice.  A shard gives the
 * heads of the chains; a worker thread walks them, newest first.  A walk is bounded by WALK_MAX records: a page that would
 * need more is refused with a word, never cut silently.
 */
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/event/reverse.h"
#include "net/surface/ingest.h"
#include "net/surface/past.h"
#include "net/surface/transaction.h"

enum { WALK_MAX = 500000 };

enum walk_want { WANT_TRANSACTIONS, WANT_MOVEMENTS, WANT_ONE, WANT_EXECUTIONS };
enum walk_outcome { WALK_DONE, WALK_PRUNED, WALK_UNREADABLE, WALK_TOO_LONG, WALK_MISSING };

struct walk {
	enum walk_want want;
	bool by_member;
	uint64_t heads[GROUP_COUNT];   /* next LSN of each chain; 0: at its end */
	struct buf records[GROUP_COUNT];       /* the record at heads[i], read ahead; len 0: not read */
	struct buf profile, type, status;      /* filters; empty: none */
	size_t limit, offset, given;
	uint64_t total, before;        /* before: only records below this LSN; 0: all */
	uint64_t next;                 /* cursor of the next page; 0: this was the last */
	enum walk_outcome outcome;
	uint64_t at;                   /* LSN at which it ended badly */
};

static void walk_free(void *context)
{
	struct walk *walk = context;
	for (unsigned i = 0; i < GROUP_COUNT; i++)
		buf_free(&walk->records[i]);
	buf_free(&walk->profile);
	buf_free(&walk->type);
	buf_free(&walk->status);
	mem_free(walk);
}

static struct walk *walk_new(struct task *task, enum walk_want want)
{
	struct walk *walk = mem_zalloc(sizeof *walk);
	walk->want = want;
	task->context = walk;
	task->free_context = walk_free;
	return walk;
}

static bool filter_fits(const struct buf *filter, struct str value)
{
	return !filter->len || str_eq(buf_view(filter), value);
}

/* One record of the walk, newest first.  Returns false when the page is full. */
static bool walk_take(struct task *task, struct walk *walk, const struct event_view *event, uint64_t lsn)
{
	struct str status = event->head.flags & EVENT_WITH_ERRORS ? STR("PROCESSED_WITH_ERRORS") : STR("PROCESSED");
	if (walk->before && lsn >= walk->before)
		return true;
	if (!filter_fits(&walk->profile, event->profile) || !filter_fits(&walk->type, event->type) ||
	    !filter_fits(&walk->status, status))
		return true;
	if (walk->want == WANT_MOVEMENTS) {
		if (walk->given >= walk->limit) {
			walk->next = lsn + 8;
			return false;
		}
		walk->given += movements_json(&task->out, event, lsn, walk->given);
		return true;
	}
	if (walk->offset) {
		walk->offset--;
		return true;
	}
	if (walk->given == walk->limit) {
		walk->next = lsn + 8;
		return false;
	}
	if (walk->given++)
		buf_char(&task->out, ',');
	transaction_json(&task->out, event, lsn, false, true);
	return true;
}

/* The chain whose next record is the newest; GROUP_COUNT at the end of all. */
static unsigned walk_newest(const struct walk *walk)
{
	unsigned newest = GROUP_COUNT;
	for (unsigned i = 0; i < GROUP_COUNT; i++)
		if (walk->heads[i] && (newest == GROUP_COUNT || walk->heads[i] > walk->heads[newest]))
			newest = i;
	return newest;
}

static void walk_run(struct task *task)
{
	struct walk *walk = task->context;
	const struct wal *wal = node_wal(task->app->node);
	unsigned chain;
	buf_char(&task->out, '[');
	for (uint64_t steps = 0; (chain = walk_newest(walk)) < GROUP_COUNT; steps++) {
		uint64_t lsn = walk->heads[chain];
		struct buf *record = &walk->records[chain];
		struct event_view event;
		struct customer_view customer;
		struct action_view action;
		walk->at = lsn;
		if (steps == WALK_MAX) {
			walk->outcome = WALK_TOO_LONG;
			return;
		}
		if (!record_read(wal, lsn, record)) {
			walk->outcome = record->len != RECORD_UNREADABLE && lsn < wal_first(wal) ? WALK_PRUNED : WALK_UNREADABLE;
			if (walk->outcome != WALK_PRUNED || !walk->given)
				return;
			/* What there is is given; the next page says that the rest was dropped. */
			walk->outcome = WALK_DONE;
			walk->next = lsn + 8;
			break;
		}
		if (event_view_read((const unsigned char *)record->ptr, record->len, &event)) {
			if (!walk_take(task, walk, &event, lsn))
				break;
			walk->heads[chain] = walk->by_member ? event.head.prev_member : event.head.prev_slice;
		} else if (customer_view_read((const unsigned char *)record->ptr, record->len, &customer)) {
			walk->heads[chain] = customer.head.prev_member;
		} else if (action_view_read((const unsigned char *)record->ptr, record->len, &action)) {
			walk->heads[chain] = action.head.prev_member;
		} else {
			walk->outcome = WALK_UNREADABLE;
			return;
		}
	}
	buf_char(&task->out, ']');
}

static void walk_answer(struct task *task)
{
	struct walk *walk = task->context;
	switch (walk->outcome) {
	case WALK_PRUNED:
		past_answerable(task, PAST_PRUNED);
		return;
	case WALK_UNREADABLE:
		task_problem(task, 500, "log_unreadable", "the record at LSN %llu cannot be read; the server's log says why",
			     (unsigned long long)walk->at);
		return;
	case WALK_TOO_LONG:
		task_problem(task, 422, "query_too_broad",
			     "more than %d records would have to be read; narrow it, by profileId for instance", WALK_MAX);
		return;
	case WALK_MISSING:
		task_problem(task, 404, "not_found", "there is no such transaction in this brand");
		return;
	case WALK_DONE: break;
	}
	if (walk->next)
		buf_printf(&task->headers, "X-Next-Cursor: %llu\r\n", (unsigned long long)walk->next);
	task_json(task, 200);
}

static void walk_member(struct task *task)
{
	struct walk *walk = task->context;
	if (!task->query.found && walk->want == WANT_MOVEMENTS) {
		task_problem(task, 404, "customer_unknown", "customer %.*s does not exist in this brand",
			     (int)walk->profile.len, walk->profile.ptr);
		return;
	}
	walk->by_member = true;
	walk->heads[0] = task->query.found ? task->query.last_lsn : 0;
	task_read(task, walk_run, walk_answer);
}

static void walk_tenant(struct task *task)
{
	struct walk *walk = task->context;
	for (unsigned s = 0; s < node_shards(task->app->node); s++)
		for (unsigned g = 0; g < GROUP_COUNT; g++)
			if (task->gather->queries[s].slices && task->gather->queries[s].slices[g].last_lsn) {
				walk->heads[g] = task->gather->queries[s].slices[g].last_lsn;
				walk->total += task->gather->queries[s].slices[g].event_count;
			}
	if (!walk->type.len && !walk->status.len)
		buf_printf(&task->headers, "X-Total-Count: %llu\r\n", (unsigned long long)walk->total);
	task_read(task, walk_run, walk_answer);
}

static bool cursor_parameter(struct task *task, uint64_t *cursor)
{
	struct buf text = { 0 };
	bool found;
	if (!task_parameter(task, "cursor", &text, &found))
		return false;
	for (size_t i = 0; found && i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9' || i >= 18) {
			buf_free(&text);
			task_problem(task, 400, "cursor_invalid", "the cursor is not one that was given out here");
			return false;
		}
		*cursor = *cursor * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	buf_free(&text);
	return true;
}

static void query_member_post(struct task *task, struct str profile, void (*after)(struct task *))
{
	unsigned partition = partition_of(hash_name(HASH_MEMBER, task->tenant, profile));
	task->query.kind = QUERY_MEMBER;
	task->query.tenant = task->tenant;
	task->query.profile = profile;
	task_query(task, shard_of(partition, node_shards(task->app->node)), after);
}

void transactions_list(struct task *task)
{
	bool found;
	struct walk *walk = walk_new(task, WANT_TRANSACTIONS);
	if (!task_brand(task) || !task_parameters_known(task, "limit offset cursor profileId eventType status") ||
	    !task_page(task, &walk->limit, &walk->offset, LIST_DEFAULT, LIST_MAX) ||
	    !task_parameter(task, "profileId", &walk->profile, &found) ||
	    !task_parameter(task, "eventType", &walk->type, &found) ||
	    !task_parameter(task, "status", &walk->status, &found) || !cursor_parameter(task, &walk->before))
		return;
	if (walk->status.len && !str_eq(buf_view(&walk->status), STR("PROCESSED")) &&
	    !str_eq(buf_view(&walk->status), STR("PROCESSED_WITH_ERRORS"))) {
		task_problem(task, 400, "query_invalid", "status must be PROCESSED or PROCESSED_WITH_ERRORS");
		return;
	}
	if (walk->profile.len)
		query_member_post(task, buf_view(&walk->profile), walk_member);
	else
		task_gather(task, QUERY_TENANT, walk_tenant);
}

void movements_list(struct task *task)
{
	struct walk *walk = walk_new(task, WANT_MOVEMENTS);
	size_t offset;
	if (!task_brand_path(task, 0) || !task_parameters_known(task, "limit cursor") ||
	    !task_page(task, &walk->limit, &offset, 10000, 100000) ||
	    !cursor_parameter(task, &walk->before))
		return;
	buf_str(&walk->profile, buf_view(&task->parts[1]));
	query_member_post(task, buf_view(&walk->profile), walk_member);
}

/* ---- one transaction --------------------------------------------------------------------------------------------------- */

/* Names the reversal of the transaction that was just written. */
static void reversed_by(struct task *task)
{
	struct walk *walk = task->context;
	struct event_view event;
	struct buf *record = &walk->records[1];
	const struct row *row = &task->batch.rows[0];
	uint64_t lsn = row->lsn;
	if (row->result != ROW_KNOWN || !record_read(node_wal(task->app->node), lsn, record) ||
	    !event_view_read((const unsigned char *)record->ptr, record->len, &event) || reversal_of(&event) != walk->at)
		return;
	task->out.len--;               /* the brace */
	buf_lit(&task->out, ",\"reversedBy\":\"");
	transaction_id(&task->out, event.tenant, lsn);
	buf_lit(&task->out, "\"}");
}

static void one_read(struct task *task)
{
	struct walk *walk = task->context;
	struct event_view event;
	bool read = record_read(node_wal(task->app->node), walk->at, &walk->records[0]);
	/* The id tells that it was given out here. */
	if (!read && walk->at < wal_first(node_wal(task->app->node))) {
		walk->outcome = WALK_PRUNED;
		return;
	}
	if (walk->records[0].len == RECORD_UNREADABLE) {
		walk->outcome = WALK_UNREADABLE;
		return;
	}
	if (!read || !event_view_read((const unsigned char *)walk->records[0].ptr, walk->records[0].len, &event) ||
	    !str_eq(event.tenant, task->tenant) || event.head.id_hash != hash_name(HASH_EVENT_ID, event.tenant, event.id)) {
		walk->outcome = WALK_MISSING;
		return;
	}
	if (walk->want == WANT_EXECUTIONS) {
		executions_json(&task->out, &event);
		return;
	}
	transaction_json(&task->out, &event, walk->at, false, true);
	reversed_by(task);
}

static void one_go(struct task *task)
{
	task_read(task, one_read, walk_answer);
}

static void one_start(struct task *task, enum walk_want want)
{
	struct walk *walk = walk_new(task, want);
	if (!task_brand(task))
		return;
	if (!transaction_id_parse(buf_view(&task->parts[0]), task->tenant, &walk->at)) {
		walk->outcome = WALK_MISSING;
		walk_answer(task);
		return;
	}
	if (want == WANT_EXECUTIONS) {
		one_go(task);
		return;
	}
	/* Whether the id of its reversal is known is what the first stage of a batch finds out, wherever ids are kept.  A dry run of a
	 * reversal of nothing, which is refused where it is not. */
	reversal_id(&task->text, buf_view(&task->parts[0]));
	task->shape = TASK_BATCH;
	task->batch.rows = mem_zalloc(sizeof *task->batch.rows);
	task->batch.row_count = 1;
	task->batch.dry_run = true;
	batch_init(&task->batch, node_shards(task->app->node));
	struct row *row = &task->batch.rows[0];
	*row = (struct row){ .kind = ROW_REVERSE, .policy = REVERSE_ZERO, .tenant = task->tenant, .profile = STR(""),
			     .type = STR(""), .source = STR(""), .id = buf_view(&task->text), .payload_text = STR(""),
			     .original = STR("") };
	row_place(row);
	row->id_hash = hash_name(HASH_EVENT_ID, row->tenant, row->id);
	row->id_partition = partition_of(row->id_hash);
	task_batch(task, one_go);
}

void transaction_get(struct task *task)
{
	one_start(task, WANT_ONE);
}

void transaction_executions(struct task *task)
{
	one_start(task, WANT_EXECUTIONS);
}
