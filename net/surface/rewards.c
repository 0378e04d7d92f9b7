// SPDX-License-Identifier: Apache-2.0
/* rewards.c - what a customer has beside points: rewards (A60, A61), the loyalty tier (A62), bonus awards (A69).
 *
 * Shards make the JSON; awards of all shards are merged here, newest first.  A cursor of awards is a place in the order of all,
 * so pages stay whole while new ones come in.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/event/effect.h"
#include "engine/shard/ask.h"
#include "net/surface/app.h"
#include "net/surface/row.h"

/* ---- the questions about one customer ------------------------------------------------------------------------------------ */

static bool customer_there(struct task *task)
{
	if (task->query.found)
		return true;
	task_problem(task, 404, "customer_unknown", "customer %.*s does not exist in this brand", (int)task->query.profile.len,
		     task->query.profile.ptr);
	return false;
}

static void customer_ask(struct task *task, enum query_kind kind, void (*after)(struct task *))
{
	task->query.kind = kind;
	task->query.tenant = task->tenant;
	task->query.profile = buf_view(&task->parts[1]);
	unsigned partition = partition_of(hash_name(HASH_MEMBER, task->tenant, task->query.profile));
	task_query(task, shard_of(partition, node_shards(task->app->node)), after);
}

static void rewards_answer(struct task *task)
{
	if (!customer_there(task))
		return;
	buf_printf(&task->headers, "X-Total-Count: %zu\r\n", task->query.total);
	if (task->query.next_seq)
		buf_printf(&task->headers, "X-Next-Cursor: %u\r\n", task->query.next_seq);
	buf_str(&task->out, buf_view(&task->query.json));
	task_json(task, 200);
}

static bool state_parameter(struct task *task, unsigned *state)
{
	struct buf text = { 0 };
	bool found;
	*state = REWARD_STATES;
	if (!task_parameter(task, "state", &text, &found))
		return false;
	for (unsigned s = 0; found && s < REWARD_STATES; s++)
		if (str_eq(buf_view(&text), str_of(reward_state_names[s])))
			*state = s;
	buf_free(&text);
	if (!found || *state != REWARD_STATES)
		return true;
	task_problem(task, 400, "query_invalid", "state must be ISSUED, USED, EXPIRED or REVOKED");
	return false;
}

static bool cursor_refused(struct task *task)
{
	task_problem(task, 400, "cursor_invalid", "the cursor is not one that was given out here");
	return false;
}

static bool seq_cursor(struct task *task, uint32_t *seq)
{
	struct buf text = { 0 };
	uint64_t number = 0;
	bool found;
	if (!task_parameter(task, "cursor", &text, &found))
		return false;
	bool good = !found || (catalog_id_parse(buf_view(&text), &number) && number <= UINT32_MAX);
	buf_free(&text);
	*seq = (uint32_t)number;
	return good || cursor_refused(task);
}

static void rewards_list(struct task *task)
{
	struct query *query = &task->query;
	if (!task_brand_path(task, 0) || !task_parameters_known(task, "state limit offset cursor") ||
	    !state_parameter(task, &query->state) || !seq_cursor(task, &query->before_seq) ||
	    !task_page(task, &query->limit, &query->offset, LIST_DEFAULT, LIST_MAX))
		return;
	customer_ask(task, QUERY_REWARDS, rewards_answer);
}

static void loyalty_answer(struct task *task)
{
	if (!customer_there(task))
		return;
	buf_str(&task->out, buf_view(&task->query.json));
	task_json(task, 200);
}

static void loyalty_get(struct task *task)
{
	if (task_brand_path(task, 0))
		customer_ask(task, QUERY_LOYALTY, loyalty_answer);
}

/* ---- using a reward ------------------------------------------------------------------------------------------------------- */

static void use_answer(struct task *task)
{
	struct row *row = &task->batch.rows[0];
	struct action_view view;
	struct effect_view effect;
	struct buf *out = &task->out;
	if (row->result == ROW_REFUSED) {
		if (row->problem->status == 507)
			buf_lit(&task->headers, "Retry-After: 5\r\n");
		task_faults(task, row->problem);
		return;
	}
	const struct buf *frames = &task->batch.parts[row->record_part].frames;
	bool good = action_view_read((const unsigned char *)frames->ptr + row->record_offset, frames->len - row->record_offset,
				     &view);
	ASSERT(good && view.head.effect_count == 1);
	const unsigned char *at = view.effects;
	effect_next(&at, &effect);
	buf_lit(out, "{\"customer_reward_id\":\"");
	member_item_id(out, row->member_hash, row->seq);
	buf_lit(out, "\",\"brand\":");
	buf_json_text(out, row->tenant);
	buf_lit(out, ",\"profileId\":");
	buf_json_text(out, row->profile);
	buf_lit(out, ",\"name\":");
	buf_json_text(out, effect_word(&effect));
	buf_lit(out, ",\"state\":\"USED\",\"used_at\":\"");
	time_write(out, view.head.time_ms);
	buf_printf(out, "\",\"lsn\":%llu}", (unsigned long long)row->lsn);
	task_json(task, 200);
}

static void reward_use(struct task *task)
{
	uint64_t hash;
	uint32_t seq;
	bool dry_run;
	if (!task_brand_path(task, 0) || !task_parameters_known(task, "dry_run") || !task_bool_parameter(task, "dry_run", &dry_run))
		return;
	struct str profile = buf_view(&task->parts[1]);
	if (!member_item_id_parse(buf_view(&task->parts[2]), &hash, &seq) ||
	    hash != hash_name(HASH_MEMBER, task->tenant, profile)) {
		task_problem(task, 404, "not_found", "customer %.*s has no such reward", (int)(profile.len < 200 ? profile.len : 200),
			     profile.ptr);
		return;
	}
	task->shape = TASK_BATCH;
	task->batch.rows = mem_zalloc(sizeof *task->batch.rows);
	task->batch.row_count = 1;
	task->batch.dry_run = dry_run;
	batch_init(&task->batch, node_shards(task->app->node));
	struct row *row = &task->batch.rows[0];
	*row = (struct row){ .kind = ROW_ACTION, .op = ACTION_OP_USE_REWARD, .seq = seq, .tenant = task->tenant, .profile = profile };
	row_place(row);
	task_batch(task, use_answer);
}

/* ---- bonus awards --------------------------------------------------------------------------------------------------------- */

struct awards {
	struct buf profile, bonus_key;
	size_t limit, offset;
	struct award_place after;
};

static void awards_free(void *context)
{
	struct awards *awards = context;
	buf_free(&awards->profile);
	buf_free(&awards->bonus_key);
	mem_free(awards);
}

struct found { const struct query_award *award; const struct query *query; };

static int found_order(const void *a, const void *b)
{
	return award_place_order(&((const struct found *)a)->award->place, &((const struct found *)b)->award->place);
}

static void awards_answer(struct task *task)
{
	const struct awards *awards = task->context;
	struct buf all = { 0 };
	for (unsigned s = 0; s < node_shards(task->app->node); s++) {
		const struct query *query = &task->gather->queries[s];
		if (query->too_broad) {
			buf_free(&all);
			task_problem(task, 422, "query_too_broad", "more than %d awards would have to be looked at; narrow it, by profileId",
				     AWARDS_LOOKED_MAX);
			return;
		}
		for (size_t i = 0; i < query->given; i++) {
			struct found one = { (const struct query_award *)(const void *)query->awards.ptr + i, query };
			buf_bytes(&all, &one, sizeof one);
		}
	}
	struct found *list = (struct found *)(void *)all.ptr;
	size_t count = all.len / sizeof *list, end = awards->offset + awards->limit;
	if (count)
		qsort(list, count, sizeof *list, found_order);
	buf_char(&task->out, '[');
	for (size_t i = awards->offset; i < count && i < end; i++) {
		if (i > awards->offset)
			buf_char(&task->out, ',');
		buf_str(&task->out, (struct str){ list[i].query->json.ptr + list[i].award->at, list[i].award->len });
	}
	buf_char(&task->out, ']');
	if (count > end) {
		const struct award_place *last = &list[end - 1].award->place;
		buf_printf(&task->headers, "X-Next-Cursor: %llx-%llx-%x\r\n", (unsigned long long)last->awarded_ms,
			   (unsigned long long)last->member_hash, last->seq);
	}
	buf_free(&all);
	task_json(task, 200);
}

/* Hex digits up to '-' or the end; false where there are none or too many. */
static bool hex_part(struct str *text, unsigned digits_max, uint64_t *out)
{
	size_t i = 0;
	*out = 0;
	for (; i < text->len && text->ptr[i] != '-'; i++) {
		char c = text->ptr[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		if (digit < 0 || i >= digits_max)
			return false;
		*out = *out << 4 | (unsigned)digit;
	}
	size_t skip = i + (i < text->len);
	*text = (struct str){ text->ptr + skip, text->len - skip };
	return i > 0;
}

static bool place_cursor(struct task *task, struct award_place *after)
{
	struct buf text = { 0 };
	uint64_t ms = 0, hash = 0, seq = 0;
	bool found;
	if (!task_parameter(task, "cursor", &text, &found))
		return false;
	struct str left = buf_view(&text);
	bool good = !found || (hex_part(&left, 12, &ms) && ms && hex_part(&left, 16, &hash) && hex_part(&left, 8, &seq) && !left.len);
	buf_free(&text);
	*after = (struct award_place){ (int64_t)ms, hash, (uint32_t)seq };
	return good || cursor_refused(task);
}

static void awards_list(struct task *task)
{
	struct awards *awards = mem_zalloc(sizeof *awards);
	bool found;
	task->context = awards;
	task->free_context = awards_free;
	if (!task_brand(task) || !task_parameters_known(task, "profileId bonusKey limit offset cursor") ||
	    !task_parameter(task, "profileId", &awards->profile, &found) ||
	    !task_parameter(task, "bonusKey", &awards->bonus_key, &found) || !place_cursor(task, &awards->after) ||
	    !task_page(task, &awards->limit, &awards->offset, LIST_DEFAULT, LIST_MAX))
		return;
	task_gather_like(task, &(struct query){ .kind = QUERY_AWARDS, .profile = buf_view(&awards->profile),
						.bonus_key = buf_view(&awards->bonus_key), .after = awards->after,
						.limit = awards->offset + awards->limit + 1 }, awards_answer);
}

static void award_answer(struct task *task)
{
	if (!task->query.found) {
		task_problem(task, 404, "not_found", "there is no such bonus award in this brand");
		return;
	}
	buf_str(&task->out, buf_view(&task->query.json));
	task_json(task, 200);
}

static void award_get(struct task *task)
{
	struct query *query = &task->query;
	if (!task_brand(task))
		return;
	query->kind = QUERY_AWARD;
	query->tenant = task->tenant;
	if (!member_item_id_parse(buf_view(&task->parts[0]), &query->member_hash, &query->seq)) {
		task_problem(task, 404, "not_found", "there is no such bonus award in this brand");
		return;
	}
	task_query(task, shard_of(partition_of(query->member_hash), node_shards(task->app->node)), award_answer);
}

const struct route reward_routes[] = {
	{ "GET", "/customers/{brand}/{profile_id}/rewards", rewards_list, "customers.read", "Rewards of a customer, newest first",
	  .command = "customers.rewards" },
	{ "POST", "/customers/{brand}/{profile_id}/rewards/{customer_reward_id}/use", reward_use, "rewards.use",
	  "Use a reward, once", .command = "customers.use_reward", .query = "dry_run" },
	{ "GET", "/customers/{brand}/{profile_id}/loyalty", loyalty_get, "customers.read", "The tier, and what the next one takes",
	  .command = "customers.loyalty" },
	{ "GET", "/admin/bonus-awards", awards_list, "bonuses.read", "Bonus awards, newest first", .command = "bonus_awards.list" },
	{ "GET", "/admin/bonus-awards/{id}", award_get, "bonuses.read", "One bonus award", .command = "bonus_awards.get" },
	{ .method = NULL },
};
