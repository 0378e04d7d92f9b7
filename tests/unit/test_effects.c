// SPDX-License-Identifier: Apache-2.0
/* test_effects.c - what rules do to a member, and undoing it: rewards, bonuses, tiers, emitted events, debts, reversals; with
 * 1 and with 4 shards, live and after a replay, against a naive model.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/catalog/view.h"
#include "engine/event/effect.h"
#include "engine/event/reverse.h"
#include "tests/model/world.h"

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))
#define BRAND "north"

static const unsigned shard_counts[] = { 1, 4 };

static int64_t at(const char *time)
{
	int64_t ms;
	assert_true(time_parse(str_of(time), &ms));
	return ms;
}

static const char *textf(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *textf(const char *format, ...)
{
	static char texts[8][512];
	static unsigned next;
	char *text = texts[next++ % 8];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof texts[0], format, args);
	va_end(args);
	return text;
}

/* ---- a shop: a world with the answers of its rows --------------------------------------------------------------------- */

struct answer {
	enum row_result result;
	char code[40];                 /* of a refusal */
	uint64_t lsn;
	int64_t points;
	struct buf record;             /* owned by the shop, until its next row */
	struct event_view event;
};

struct shop {
	struct world *world;
	struct answer answer;
	unsigned ids;
};

static yyjson_doc *json_of(const char *text)
{
	struct json_error error;
	char *copy = mem_dup(text, strlen(text) + 1);
	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	yyjson_doc *doc = json_read(str_of(copy), &error);
	mem_free(copy);
	assert_non_null(doc);
	return doc;
}

static uint64_t catalog_put(struct shop *shop, enum catalog_verb verb, const char *kind, uint64_t id, const char *text)
{
	yyjson_doc *doc = json_of(text);
	struct catalog_request request = { .verb = verb, .kind = kind_by_name(str_of(kind)), .id = id, .tenant = STR(BRAND),
					   .body = yyjson_doc_get_root(doc) };
	void *owner = &request;
	request.message = (struct message){ .kind = MESSAGE_CATALOG, .shard = CATALOG_SHARD, .owner = &request };
	shop->world->env.post(shop->world, CATALOG_SHARD, &request.message);
	world_run(shop->world, &owner, 1);
	if (request.status != CATALOG_OK)
		fail_msg("%s: %s", request.problem.code, request.problem.detail);
	yyjson_doc *answer = json_of(textf("%.*s", (int)request.json.len, request.json.ptr));
	uint64_t made = 0;
	catalog_id_parse(json_text(json_get(yyjson_doc_get_root(answer), STR("id"))), &made);
	yyjson_doc_free(answer);
	problem_free(&request.problem);
	buf_free(&request.json);
	yyjson_doc_free(doc);
	return made;
}

static uint64_t create(struct shop *shop, const char *kind, const char *text)
{
	return catalog_put(shop, CATALOG_CREATE, kind, 0, text);
}

static void event_type(struct shop *shop, const char *key, const char *origin)
{
	create(shop, "event_type", textf("{'key':'%s','origin':'%s','name':'%s'}", key, origin, key));
}

/* `more`: further fields, with a comma in front. */
static uint64_t rule(struct shop *shop, const char *key, int priority, const char *actions, const char *more)
{
	return create(shop, "rule", textf("{'event_type':'%s','priority':%d,'actions':%s%s}", key, priority, actions, more));
}

static uint64_t type_and_rule(struct shop *shop, const char *key, const char *actions)
{
	event_type(shop, key, "EXTERNAL");
	return rule(shop, key, 0, actions, "");
}

static void row_run(struct shop *shop, struct row *row)
{
	struct world *world = shop->world;
	struct batch batch = { .rows = row, .row_count = 1 };
	void *owner = &batch;
	struct answer *answer = &shop->answer;
	struct buf kept = answer->record;
	kept.len = 0;
	*answer = (struct answer){ .record = kept };
	batch_init(&batch, world->shard_count);
	batch_start(&batch, &world->env);
	world_run(world, &owner, 1);
	answer->result = row->result;
	answer->lsn = row->lsn;
	if (row->result == ROW_REFUSED)
		snprintf(answer->code, sizeof answer->code, "%s", row->problem->code);
	if (row->result == ROW_DONE) {
		const struct buf *frames = &batch.parts[row->record_part].frames;
		buf_bytes(&answer->record, frames->ptr + row->record_offset, frames->len - row->record_offset);
		if (event_view_read((const unsigned char *)answer->record.ptr, answer->record.len, &answer->event))
			answer->points = answer->event.head.points;
	}
	batch_free(&batch);
}

static uint64_t event(struct shop *shop, const char *profile, const char *type, const char *payload)
{
	char id[24];
	yyjson_doc *doc = json_of(payload);
	struct buf text = { 0 };
	snprintf(id, sizeof id, "e-%u", shop->ids++);
	json_write(&text, yyjson_doc_get_root(doc));
	struct row row = { .kind = ROW_EVENT, .tenant = STR(BRAND), .profile = str_of(profile), .type = str_of(type),
			   .id = str_of(id), .source = STR("test"), .payload = yyjson_doc_get_root(doc),
			   .payload_text = buf_view(&text) };
	row_place(&row);
	row_content(&row);
	row_run(shop, &row);
	assert_int_equal(shop->answer.result, ROW_DONE);
	buf_free(&text);
	yyjson_doc_free(doc);
	return shop->answer.lsn;
}

static struct member *member(const struct world *world, const char *profile)
{
	uint64_t hash = hash_name(HASH_MEMBER, STR(BRAND), str_of(profile));
	unsigned shard = shard_of(partition_of(hash), world->shard_count);
	return state_member_find(&world->shards[shard].state, hash, STR(BRAND), str_of(profile));
}

static const unsigned char *log_at(const struct world *world, uint64_t lsn, size_t *len)
{
	struct record_head head;
	const unsigned char *record = (const unsigned char *)world->log.ptr + (lsn - WORLD_FIRST_LSN);
	assert_true(record_head_read(record, world_end(world) - lsn, &head));
	*len = head.size;
	return record;
}

/* The event that a reversal undoes stands in its payload. */
static uint64_t undone_by(const struct event_view *view)
{
	if (!(view->head.flags & EVENT_REVERSAL))
		return 0;
	uint64_t lsn = 0;
	for (size_t i = 0; i < view->payload.len; i++)
		if (view->payload.ptr[i] >= '0' && view->payload.ptr[i] <= '9')
			lsn = lsn * 10 + (uint64_t)(view->payload.ptr[i] - '0');
	return lsn;
}

static i128 spent_since(const struct world *world, const struct member *who, uint64_t event_lsn)
{
	i128 spent = 0;
	struct event_view view;
	size_t len;
	for (uint64_t lsn = who->account ? who->account->last_lsn : 0; lsn > event_lsn; lsn = view.head.prev_account) {
		const unsigned char *record = log_at(world, lsn, &len);
		assert_true(event_view_read(record, len, &view));
		spent += reverse_spent(&view, undone_by(&view), event_lsn);
	}
	return spent;
}

static void reverse(struct shop *shop, uint64_t lsn, enum reverse_policy policy)
{
	char id[40], payload[40];
	size_t len;
	struct buf original = { 0 };
	struct event_view view;
	const unsigned char *bytes = log_at(shop->world, lsn, &len);
	buf_bytes(&original, bytes, len);
	assert_true(event_view_read((const unsigned char *)original.ptr, original.len, &view));
	snprintf(id, sizeof id, "reverse:%llu", (unsigned long long)lsn);
	snprintf(payload, sizeof payload, "{\"reverses\":%llu}", (unsigned long long)lsn);
	struct row row = { .kind = ROW_REVERSE, .tenant = view.tenant, .profile = view.profile, .type = view.type,
			   .source = view.source, .id = str_of(id), .payload_text = str_of(payload), .original = buf_view(&original),
			   .policy = policy };
	const struct member *who = member(shop->world, textf("%.*s", (int)view.profile.len, view.profile.ptr));
	row_place(&row);
	row.id_hash = hash_name(HASH_EVENT_ID, row.tenant, row.id);
	row.id_partition = partition_of(row.id_hash);
	row_content(&row);
	if (policy == REVERSE_LEFT) {
		row.spent = (int64_t)spent_since(shop->world, who, lsn);
		row.head_lsn = who->account ? who->account->last_lsn : 0;
	}
	row_run(shop, &row);
	buf_free(&original);
}

static void act(struct shop *shop, const char *profile, enum action_op op, uint32_t seq)
{
	struct row row = { .kind = ROW_ACTION, .op = op, .seq = seq, .tenant = STR(BRAND), .profile = str_of(profile) };
	row_place(&row);
	row_run(shop, &row);
}

static void refused(const struct shop *shop, const char *code)
{
	assert_int_equal(shop->answer.result, ROW_REFUSED);
	assert_string_equal(shop->answer.code, code);
}

/* The n-th effect of the answer, of any of its rules. */
static struct effect_view effect(const struct shop *shop, unsigned n)
{
	const unsigned char *next = shop->answer.event.executions;
	for (unsigned i = 0; i < shop->answer.event.execution_count; i++) {
		struct execution_view execution;
		execution_next(&next, &execution);
		const unsigned char *effects = execution.effects;
		for (unsigned e = 0; e < execution.head.effect_count; e++) {
			struct effect_view view;
			effect_next(&effects, &view);
			if (!n--)
				return view;
		}
	}
	fail_msg("the event has fewer effects");
	return (struct effect_view){ 0 };
}

static void effect_is(const struct shop *shop, unsigned n, enum effect_type type, int64_t points)
{
	struct effect_view view = effect(shop, n);
	if (view.head.type != type || view.head.points != points)
		fail_msg("effect %u is %s of %lld, not %s of %lld", n, effect_kinds[view.head.type].name,
			 (long long)view.head.points, effect_kinds[type].name, (long long)points);
}

static void note_is(const struct shop *shop, unsigned n, const char *text)
{
	struct effect_view view = effect(shop, n);
	char got[200];
	snprintf(got, sizeof got, "%.*s", (int)effect_word(&view).len, effect_word(&view).ptr);
	assert_int_equal(view.head.type, EFFECT_NONE);
	assert_string_equal(got, text);
}

static struct execution_view execution(const struct shop *shop, unsigned n)
{
	const unsigned char *next = shop->answer.event.executions;
	struct execution_view view;
	assert_true(n < shop->answer.event.execution_count);
	for (unsigned i = 0; i <= n; i++)
		execution_next(&next, &view);
	return view;
}

static void execution_is(const struct shop *shop, unsigned n, enum execution_result result, const char *error)
{
	struct execution_view view = execution(shop, n);
	char got[200];
	snprintf(got, sizeof got, "%.*s", (int)view.error.len, view.error.ptr);
	assert_int_equal(view.head.result, result);
	assert_string_equal(got, error);
}

/* Sums are zero, and a replay with any number of shards gives the same state. */
static void check(const struct shop *shop)
{
	struct buf why = { 0 }, live = { 0 };
	if (!world_audit(shop->world, &why))
		fail_msg("%s", why.ptr);
	world_dump(shop->world, &live);
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct world *again = world_replay(shop->world, shard_counts[s], shop->world->frame_count);
		struct buf dump = { 0 };
		world_dump(again, &dump);
		assert_string_equal(live.ptr, dump.ptr);
		buf_free(&dump);
		world_free(again);
	}
	for (unsigned s = 0; s < shop->world->shard_count; s++) {
		const struct state *state = &shop->world->shards[s].state;
		__int128 sums[3] = { 0 };
		const struct tenant *tenant = state_tenant_find(state, STR(BRAND));
		if (tenant)
			state_sums(state, tenant, &sums[0], &sums[1], &sums[2]);
		assert_true(sums[0] + sums[1] + sums[2] == 0);
	}
	buf_free(&why);
	buf_free(&live);
}

/* Each test runs with 1 and with 4 shards. */
typedef void shop_test(struct shop *shop);

static void in_shops(shop_test *test)
{
	for (unsigned s = 0; s < COUNT_OF(shard_counts); s++) {
		struct shop shop = { .world = world_new(shard_counts[s], 3 + s) };
		shop.world->wait_one_in = 6;
		test(&shop);
		check(&shop);
		buf_free(&shop.answer.record);
		world_free(shop.world);
	}
}

/* ---- rewards ------------------------------------------------------------------------------------------------------------ */

static void rewards_in(struct shop *shop)
{
	uint64_t coffee = create(shop, "reward", "{'name':'Coffee','cost_points':30,'validity_days':2}");
	uint64_t cake = create(shop, "reward", "{'name':'Cake'}");
	type_and_rule(shop, "EARN", "[{'type':'earn_points','from_payload':'n'}]");
	type_and_rule(shop, "ISSUE", textf("[{'type':'issue_reward','reward_id':'%llu'}]", (unsigned long long)coffee));
	type_and_rule(shop, "CAKE", textf("[{'type':'issue_reward','reward_id':'%llu'}]", (unsigned long long)cake));
	type_and_rule(shop, "REDEEM", textf("[{'type':'redeem_reward','reward_id':'%llu'}]", (unsigned long long)coffee));
	event(shop, "ann", "REDEEM", "{}");
	execution_is(shop, 0, EXECUTION_FAILED, "balance 0 is lower than the 30 points to burn");
	event(shop, "ann", "EARN", "{'n':40}");
	event(shop, "ann", "REDEEM", "{}");
	effect_is(shop, 0, EFFECT_BURN, 30);
	effect_is(shop, 1, EFFECT_REWARD_ISSUED, 0);
	assert_int_equal(shop->answer.points, 10);
	event(shop, "ann", "ISSUE", "{}");
	event(shop, "ann", "CAKE", "{}");
	const struct member_more *more = member(shop->world, "ann")->more;
	assert_int_equal(more->reward_count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(more->rewards[i].seq, i + 1);
		assert_int_equal(more->rewards[i].state, REWARD_ISSUED);
	}
	assert_int_equal(more->rewards[0].expires_ms, shop->world->now_ms + 2 * 86400000);
	assert_int_equal(more->rewards[2].expires_ms, 0);
	act(shop, "ann", ACTION_OP_USE_REWARD, 1);
	assert_int_equal(shop->answer.result, ROW_DONE);
	act(shop, "ann", ACTION_OP_USE_REWARD, 1);
	refused(shop, "reward_used");
	act(shop, "ann", ACTION_OP_USE_REWARD, 4);
	refused(shop, "not_found");
	act(shop, "nobody", ACTION_OP_USE_REWARD, 1);
	refused(shop, "customer_unknown");
	act(shop, "ann", ACTION_OP_EXPIRE_REWARDS, 0);
	refused(shop, "nothing_due");
	/* The last moment, and the end: it cannot be used, although nobody wrote that down yet. */
	shop->world->now_ms = more->rewards[1].expires_ms - 1;
	act(shop, "ann", ACTION_OP_EXPIRE_REWARDS, 0);
	refused(shop, "nothing_due");
	shop->world->now_ms++;
	act(shop, "ann", ACTION_OP_USE_REWARD, 2);
	refused(shop, "reward_expired");
	assert_int_equal(more->rewards[1].state, REWARD_ISSUED);
	act(shop, "ann", ACTION_OP_EXPIRE_REWARDS, 0);
	assert_int_equal(shop->answer.result, ROW_DONE);
	assert_int_equal(more->rewards[0].state, REWARD_USED);
	assert_int_equal(more->rewards[1].state, REWARD_EXPIRED);
	assert_int_equal(more->rewards[2].state, REWARD_ISSUED);
	act(shop, "ann", ACTION_OP_USE_REWARD, 2);
	refused(shop, "reward_expired");
	/* One that is not active is not given; what a member has stays. */
	catalog_put(shop, CATALOG_PATCH, "reward", cake, "{'active':false}");
	event(shop, "ann", "CAKE", "{}");
	assert_int_equal(execution(shop, 0).head.result, EXECUTION_FAILED);
	act(shop, "ann", ACTION_OP_USE_REWARD, 3);
	assert_int_equal(shop->answer.result, ROW_DONE);
}

static void rewards(void **unused)
{
	(void)unused;
	in_shops(rewards_in);
}

/* ---- bonuses over the edges of periods ------------------------------------------------------------------------------------ */

static void bonuses_in(struct shop *shop)
{
	/* Ascending times; a letter for each policy that gives a new award then: Ever, Year, Month, Week, Day. */
	static const struct { const char *time, *given; } rows[] = {
		{ "2026-12-27T23:59:59.999Z", "EYMWD" },       /* Sunday of week 52 */
		{ "2026-12-28T00:00:00Z", "WD" },              /* Monday of week 53 */
		{ "2026-12-31T23:59:59.999Z", "D" },
		{ "2027-01-01T00:00:00Z", "YMD" },             /* Friday, still of week 53 of 2026 */
		{ "2027-01-03T23:59:59Z", "D" },
		{ "2027-01-03T23:59:59.500Z", "" },
		{ "2027-01-04T00:00:00Z", "WD" },              /* Monday of week 1 */
		{ "2027-01-31T12:00:00Z", "WD" },
		{ "2027-02-01T00:00:00Z", "MWD" },
		{ "2027-12-31T23:59:59Z", "MWD" },             /* Friday of week 52 */
		{ "2028-01-01T00:00:00Z", "YMD" },             /* Saturday of it */
		{ "2028-02-29T00:00:00Z", "MWD" },
		{ "2029-12-31T00:00:00Z", "YMWD" },            /* Monday of week 1 of 2030 */
		{ "2030-01-01T00:00:00Z", "YMD" },
	};
	static const char *const policies[] = { "ONCE_EVER", "ONCE_PER_YEAR", "ONCE_PER_MONTH", "ONCE_PER_WEEK", "ONCE_PER_DAY" };
	size_t awards = 0;
	for (size_t i = 0; i < COUNT_OF(policies); i++) {
		create(shop, "bonus_definition", textf("{'bonus_key':'%s','name':'b','policy':'%s'}", policies[i], policies[i]));
		type_and_rule(shop, policies[i], textf("[{'type':'record_bonus_award','bonusKey':'%s'}]", policies[i]));
	}
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		shop->world->now_ms = at(rows[i].time);
		for (size_t p = 0; p < COUNT_OF(policies); p++) {
			bool wanted = strchr(rows[i].given, "EYMWD"[p]) != NULL;
			event(shop, "ann", policies[p], "{}");
			if ((effect(shop, 0).head.type == EFFECT_BONUS) != wanted)
				fail_msg("%s at %s: %s", policies[p], rows[i].time, wanted ? "no award" : "an award");
			awards += wanted;
			event(shop, "ann", policies[p], "{}");
			note_is(shop, 0, "has the bonus of this period already");
		}
	}
	assert_int_equal(member(shop->world, "ann")->more->bonus_count, awards);
}

static void bonuses(void **unused)
{
	(void)unused;
	in_shops(bonuses_in);
}

/* Every day of some years: a period is a number of its own, and a new one exactly where a day, week, month or year begins. */
static void periods(void **unused)
{
	struct buf text = { 0 };
	(void)unused;
	for (int64_t day = civil_days(2019, 12, 28); day < civil_days(2034, 1, 10); day++) {
		int64_t ms = day * 86400000;
		struct civil civil = civil_of(ms);
		bool first[PERIODS] = { [PERIOD_YEAR] = civil.month == 1 && civil.day == 1, [PERIOD_MONTH] = civil.day == 1,
					[PERIOD_WEEK] = civil.weekday == 0, [PERIOD_DAY] = true };
		for (unsigned per = 0; per < PERIODS; per++) {
			uint32_t now = limit_period_of(per, ms), before = limit_period_of(per, ms - 1);
			assert_int_equal(limit_period_of(per, ms + 86399999), now);
			assert_int_equal(now != before, first[per]);
			for (unsigned other = 0; other < per; other++)
				assert_int_not_equal(limit_period_of(other, ms), now);
		}
	}
	static const struct { enum limit_period per; const char *time, *text; } rows[] = {
		{ PERIOD_EVER, "2026-05-06T00:00:00Z", "EVER" }, { PERIOD_YEAR, "2026-05-06T00:00:00Z", "2026" },
		{ PERIOD_MONTH, "2026-05-06T00:00:00Z", "2026-05" }, { PERIOD_WEEK, "2027-01-03T00:00:00Z", "2026-W53" },
		{ PERIOD_WEEK, "2029-12-31T00:00:00Z", "2030-W01" }, { PERIOD_DAY, "2026-05-06T00:00:00Z", "2026-05-06" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		text.len = 0;
		limit_period_text(&text, limit_period_of(rows[i].per, at(rows[i].time)));
		buf_char(&text, '\0');
		assert_string_equal(text.ptr, rows[i].text);
	}
	buf_free(&text);
}

/* ---- tiers ---------------------------------------------------------------------------------------------------------------- */

static void tiers_in(struct shop *shop)
{
	static const struct { const char *type; int64_t points; const char *note; } rows[] = {
		{ "DOWN", 0, "is in the lowest tier" },
		{ "EARN", 560, NULL }, { "DOWN", 100, NULL }, { "GOLD", 500, NULL }, { "GOLD", 500, "is in this tier already" },
		{ "DOWN", 100, NULL }, { "DOWN", 0, NULL }, { "DOWN", 0, "is in the lowest tier" }, { "SILVER", 100, NULL },
	};
	event_type(shop, "DOWN", "EXTERNAL");
	rule(shop, "DOWN", 0, "[{'type':'downgrade_one_tier'}]", "");
	event(shop, "ann", "DOWN", "{}");
	note_is(shop, 0, "is in no tier");
	create(shop, "loyalty_tier", "{'key':'BASE','name':'b','rank':0,'min_status_points':0}");
	create(shop, "loyalty_tier", "{'key':'SILVER','name':'s','rank':1,'min_status_points':100}");
	create(shop, "loyalty_tier", "{'key':'GOLD','name':'g','rank':2,'min_status_points':500}");
	create(shop, "loyalty_tier", "{'key':'OFF','name':'o','rank':3,'min_status_points':550,'active':false}");
	type_and_rule(shop, "EARN", "[{'type':'earn_points','points':560}]");
	type_and_rule(shop, "GOLD", "[{'type':'set_tier','tier':'GOLD'}]");
	type_and_rule(shop, "SILVER", "[{'type':'set_tier','tier':'SILVER'}]");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		event(shop, "ann", rows[i].type, "{}");
		assert_int_equal(member(shop->world, "ann")->status_points, rows[i].points);
		if (rows[i].note)
			note_is(shop, 0, rows[i].note);
	}
	assert_int_equal(member(shop->world, "ann")->lifetime_points, 560);
	/* Undone, one after another: the changes are taken back, as far as they go. */
	uint64_t gold = event(shop, "ben", "GOLD", "{}");
	event(shop, "ben", "EARN", "{}");
	reverse(shop, gold, REVERSE_LEFT);
	assert_int_equal(member(shop->world, "ben")->status_points, 560);
	gold = event(shop, "eve", "GOLD", "{}");
	event(shop, "eve", "DOWN", "{}");
	reverse(shop, gold, REVERSE_LEFT);
	assert_int_equal(member(shop->world, "eve")->status_points, 0);
}

static void tiers(void **unused)
{
	(void)unused;
	in_shops(tiers_in);
}

/* ---- events that events emit ------------------------------------------------------------------------------------------------ */

static void emitted_in(struct shop *shop)
{
	event_type(shop, "IN", "INTERNAL");
	create(shop, "event_type", "{'key':'CHECKED','origin':'INTERNAL','name':'c','payload_schema':{'type':'object','required':['n']}}");
	/* One that emits itself: three deep, and no deeper. */
	rule(shop, "IN", 0, "[{'type':'earn_points','points':1},{'type':'emit_event','event_type':'IN'}]", "");
	rule(shop, "CHECKED", 0, "[{'type':'earn_points','from_payload':'n'}]", "");
	type_and_rule(shop, "GO", "[{'type':'emit_event','event_type':'IN'}]");
	type_and_rule(shop, "GOOD", "[{'type':'emit_event','event_type':'CHECKED','payload':{'n':7}}]");
	type_and_rule(shop, "BAD", "[{'type':'emit_event','event_type':'CHECKED','payload':{'m':7}}]");
	type_and_rule(shop, "PASS", "[{'type':'emit_event','event_type':'CHECKED'}]");
	uint64_t go = event(shop, "ann", "GO", "{}");
	assert_int_equal(shop->answer.event.execution_count, 4);
	assert_int_equal(shop->answer.points, 2);      /* the third fails as a whole, since it may not emit */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(execution(shop, i).head.emitted, i);
	assert_int_equal(execution(shop, 2).head.result, EXECUTION_SUCCESS);
	execution_is(shop, 3, EXECUTION_FAILED, "events that events emit may be 3 deep");
	event(shop, "ann", "GOOD", "{}");
	assert_int_equal(shop->answer.points, 9);
	event(shop, "ann", "BAD", "{}");
	execution_is(shop, 0, EXECUTION_FAILED, "the payload does not fit the schema of event type CHECKED");
	event(shop, "ann", "PASS", "{'n':4}");
	assert_int_equal(shop->answer.points, 13);
	reverse(shop, go, REVERSE_LEFT);
	assert_int_equal(shop->answer.points, 11);
	/* Many at once, up to the bound: the rules of one event type emit more than one event may. */
	event_type(shop, "MANY", "EXTERNAL");
	event_type(shop, "LEAF", "INTERNAL");
	rule(shop, "LEAF", 0, "[{'type':'earn_points','points':1}]", "");
	for (int i = 0; i < 33; i++)
		rule(shop, "MANY", i, "[{'type':'emit_event','event_type':'LEAF'},{'type':'emit_event','event_type':'LEAF'}]", "");
	event(shop, "ben", "MANY", "{}");
	assert_int_equal(shop->answer.points, 64);
	execution_is(shop, 32, EXECUTION_FAILED, "one event may emit 64 others");
}

static void emitted(void **unused)
{
	(void)unused;
	in_shops(emitted_in);
}

/* ---- limits and audiences --------------------------------------------------------------------------------------------------- */

static void limits_in(struct shop *shop)
{
	event_type(shop, "BUY", "EXTERNAL");
	uint64_t one = rule(shop, "BUY", 0, "[{'type':'earn_points','points':1}]",
			    ",'limits':[{'max':2,'per':'DAY'},{'max':5,'per':'MONTH'}]");
	rule(shop, "BUY", 1, "[{'type':'burn_points','points':1000}]", ",'limits':[{'max':1,'per':'EVER'}]");
	rule(shop, "BUY", 2, "[{'type':'earn_points','points':100}]", ",'limits':[{'max':1,'per':'EVER'}]");
	shop->world->now_ms = at("2026-01-29T10:00:00Z");
	uint64_t first = event(shop, "ann", "BUY", "{}");
	assert_int_equal(shop->answer.points, 101);
	effect_is(shop, 1, EFFECT_COUNTED, 0);
	assert_int_equal(execution(shop, 1).head.result, EXECUTION_FAILED);    /* and is not counted */
	event(shop, "ann", "BUY", "{}");
	execution_is(shop, 2, EXECUTION_SKIPPED, "limit reached: 1 per EVER");
	event(shop, "ann", "BUY", "{}");
	execution_is(shop, 0, EXECUTION_SKIPPED, "limit reached: 2 per DAY");
	assert_int_equal(execution(shop, 1).head.result, EXECUTION_FAILED);
	assert_int_equal(shop->answer.points, 102);
	/* Each customer has limits of its own; one that is undone counts no more. */
	event(shop, "ben", "BUY", "{}");
	assert_int_equal(shop->answer.points, 101);
	reverse(shop, first, REVERSE_LEFT);
	assert_int_equal(shop->answer.points, 1);
	event(shop, "ann", "BUY", "{}");
	assert_int_equal(shop->answer.points, 102);
	event(shop, "ann", "BUY", "{}");
	execution_is(shop, 0, EXECUTION_SKIPPED, "limit reached: 2 per DAY");
	/* The next days: the month's limit, whatever the day's. */
	for (int day = 30; day <= 31; day++) {
		shop->world->now_ms = at(textf("2026-01-%dT00:00:00Z", day));
		event(shop, "ann", "BUY", "{}");
		event(shop, "ann", "BUY", "{}");
	}
	execution_is(shop, 0, EXECUTION_SKIPPED, "limit reached: 5 per MONTH");
	assert_int_equal(shop->answer.points, 105);
	shop->world->now_ms = at("2026-02-01T00:00:00Z");
	event(shop, "ann", "BUY", "{}");
	assert_int_equal(shop->answer.points, 106);
	/* Undone after its day has passed: that day's count is gone already, the month's stays as it is. */
	reverse(shop, shop->answer.lsn, REVERSE_LEFT);
	assert_int_equal(member_counted(member(shop->world, "ann"), limit_key(one, 1), 202602), 0);
	uint64_t early = event(shop, "ann", "BUY", "{}");
	shop->world->now_ms = at("2026-02-02T00:00:00Z");
	event(shop, "ann", "BUY", "{}");
	reverse(shop, early, REVERSE_LEFT);
	note_is(shop, 1, "the period of the limit is over");
	assert_int_equal(member_counted(member(shop->world, "ann"), limit_key(one, 0), 20260202), 1);
	assert_int_equal(member_counted(member(shop->world, "ann"), limit_key(one, 1), 202602), 1);
}

static void limits(void **unused)
{
	(void)unused;
	in_shops(limits_in);
}

static void audience_in(struct shop *shop)
{
	event_type(shop, "BUY", "EXTERNAL");
	rule(shop, "BUY", 0, "[{'type':'add_customer_tag','tag':'vip'}]", ",'conditions':{'amount_gte':100}");
	rule(shop, "BUY", 1, "[{'type':'earn_points','points':1}]", ",'audience':{'tags_any':['vip'],'status_in':['ACTIVE']}");
	rule(shop, "BUY", 2, "[{'type':'earn_points','points':10}]",
	     ",'audience':{'tags_any':['vip']},'conditions':{'>':[{'/':[1,{'var':'payload.n'}]},0]}");
	event(shop, "ann", "BUY", "{'amount':5,'n':0}");
	execution_is(shop, 0, EXECUTION_SKIPPED, "");
	execution_is(shop, 1, EXECUTION_SKIPPED, REASON_AUDIENCE);
	execution_is(shop, 2, EXECUTION_SKIPPED, REASON_AUDIENCE);     /* its condition is not even asked */
	/* A rule sees what the ones before it did. */
	event(shop, "ann", "BUY", "{'amount':100,'n':1}");
	assert_int_equal(shop->answer.points, 11);
	event(shop, "ann", "BUY", "{'amount':5,'n':0}");
	execution_is(shop, 1, EXECUTION_SUCCESS, "");
	assert_int_equal(execution(shop, 2).head.result, EXECUTION_FAILED);
}

static void audience(void **unused)
{
	(void)unused;
	in_shops(audience_in);
}

/* ---- reversals -------------------------------------------------------------------------------------------------------------- */

static void policies_in(struct shop *shop)
{
	static const struct { enum reverse_policy policy; int64_t second, first, debt; } rows[] = {
		{ REVERSE_LEFT, 100, 100, 0 }, { REVERSE_ZERO, 80, 0, 0 }, { REVERSE_DEBT, 80, 0, 20 },
	};
	type_and_rule(shop, "EARN", "[{'type':'earn_points','from_payload':'n'}]");
	type_and_rule(shop, "BURN", "[{'type':'burn_points','from_payload':'n'}]");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *who = reverse_policy_names[rows[i].policy];
		uint64_t first = event(shop, who, "EARN", "{'n':100}"), second = event(shop, who, "EARN", "{'n':50}");
		event(shop, who, "BURN", "{'n':120}");
		event(shop, who, "EARN", "{'n':100}");
		reverse(shop, second, rows[i].policy);
		assert_int_equal(shop->answer.points, rows[i].second);
		reverse(shop, first, rows[i].policy);
		assert_int_equal(shop->answer.points, rows[i].first);
		const struct member *one = member(shop->world, who);
		assert_int_equal(member_debt(one), rows[i].debt);
		assert_int_equal(one->lifetime_points, 100);
		assert_int_equal(one->status_points, 100);
		/* An id is used once; a reversal is not undone. */
		reverse(shop, first, rows[i].policy);
		assert_int_equal(shop->answer.result, ROW_KNOWN);
		reverse(shop, shop->answer.lsn, rows[i].policy);
		refused(shop, "not_reversible");
	}
	/* What the event burned itself comes back, and so was not spent: all is as before. */
	type_and_rule(shop, "BOTH", "[{'type':'earn_points','points':100},{'type':'burn_points','points':120}]");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const char *who = textf("both-%zu", i);
		event(shop, who, "EARN", "{'n':50}");
		uint64_t both = event(shop, who, "BOTH", "{}");
		assert_int_equal(shop->answer.points, 30);
		reverse(shop, both, rows[i].policy);
		effect_is(shop, 0, EFFECT_BURN_REVERSED, 120);
		effect_is(shop, 1, EFFECT_EARN_REVERSED, 100);
		assert_int_equal(shop->answer.points, 50);
		assert_int_equal(member_debt(member(shop->world, who)), 0);
	}
	/* What is owed comes first; what paid it is owed again when that is undone. */
	event(shop, "debt", "EARN", "{'n':15}");
	effect_is(shop, 0, EFFECT_DEBT_PAID, 15);
	assert_int_equal(shop->answer.points, 0);
	uint64_t pays = event(shop, "debt", "EARN", "{'n':25}");
	effect_is(shop, 0, EFFECT_DEBT_PAID, 5);
	effect_is(shop, 1, EFFECT_EARN, 20);
	assert_int_equal(member_debt(member(shop->world, "debt")), 0);
	reverse(shop, pays, REVERSE_ZERO);
	assert_int_equal(shop->answer.points, 0);
	assert_int_equal(member_debt(member(shop->world, "debt")), 5);
	/* The account moved on between the walk and the decision. */
	uint64_t late = event(shop, "eve", "EARN", "{'n':10}");
	struct buf original = { 0 };
	size_t len;
	const unsigned char *bytes = log_at(shop->world, late, &len);
	buf_bytes(&original, bytes, len);
	struct row row = { .kind = ROW_REVERSE, .tenant = STR(BRAND), .profile = STR("eve"), .type = STR("EARN"), .id = STR("r"),
			   .payload_text = STR("{}"), .original = buf_view(&original), .head_lsn = late };
	row_place(&row);
	row.id_hash = hash_name(HASH_EVENT_ID, row.tenant, row.id);
	row.id_partition = partition_of(row.id_hash);
	event(shop, "eve", "EARN", "{'n':10}");
	row_run(shop, &row);
	refused(shop, "moved_on");
	buf_free(&original);
}

static void policies(void **unused)
{
	(void)unused;
	in_shops(policies_in);
}

static void changed_since_in(struct shop *shop)
{
	uint64_t coffee = create(shop, "reward", "{'name':'Coffee','cost_points':30,'validity_days':2}");
	create(shop, "bonus_definition", "{'bonus_key':'B','name':'b','policy':'ONCE_EVER'}");
	type_and_rule(shop, "EARN", "[{'type':'earn_points','points':100}]");
	type_and_rule(shop, "GOLD", "[{'type':'set_customer_status','status':'GOLD'},{'type':'add_customer_tag','tag':'vip'}]");
	type_and_rule(shop, "BLUE", "[{'type':'set_customer_status','status':'BLUE'},{'type':'add_customer_tag','tag':'vip'}]");
	type_and_rule(shop, "REDEEM", textf("[{'type':'redeem_reward','reward_id':'%llu'}]", (unsigned long long)coffee));
	type_and_rule(shop, "BONUS", "[{'type':'record_bonus_award','bonusKey':'B'}]");
	type_and_rule(shop, "TWICE", "[{'type':'set_customer_status','status':'ONE'},{'type':'set_customer_status','status':'TWO'},"
				     "{'type':'earn_points','points':5},{'type':'burn_points','points':5},{'type':'reset_status_points'}]");
	/* Another status since: it stays.  The tag was there before the second event: that one has none to take. */
	uint64_t gold = event(shop, "ann", "GOLD", "{}"), blue = event(shop, "ann", "BLUE", "{}");
	reverse(shop, gold, REVERSE_LEFT);
	effect_is(shop, 0, EFFECT_TAG_REMOVED, 0);     /* last effect first */
	note_is(shop, 1, "the status has changed since");
	assert_true(str_eq(member_status(member(shop->world, "ann")), STR("BLUE")));
	assert_false(member_has_tag(member(shop->world, "ann"), STR("vip")));
	reverse(shop, blue, REVERSE_LEFT);
	assert_true(str_eq(member_status(member(shop->world, "ann")), STR("GOLD")));
	/* Within one event, in the opposite order. */
	event(shop, "ann", "EARN", "{}");
	uint64_t twice = event(shop, "ann", "TWICE", "{}");
	assert_int_equal(member(shop->world, "ann")->status_points, 0);
	reverse(shop, twice, REVERSE_LEFT);
	assert_true(str_eq(member_status(member(shop->world, "ann")), STR("GOLD")));
	assert_int_equal(shop->answer.points, 100);
	assert_int_equal(member(shop->world, "ann")->status_points, 100);
	/* Rewards: taken back, with what they cost; used: kept, with what it cost; expired: the points come back. */
	uint64_t redeem = event(shop, "ann", "REDEEM", "{}");
	reverse(shop, redeem, REVERSE_LEFT);
	effect_is(shop, 0, EFFECT_REWARD_REVOKED, 0);
	effect_is(shop, 1, EFFECT_BURN_REVERSED, 30);
	assert_int_equal(shop->answer.points, 100);
	act(shop, "ann", ACTION_OP_USE_REWARD, 1);
	refused(shop, "reward_revoked");
	redeem = event(shop, "ann", "REDEEM", "{}");
	act(shop, "ann", ACTION_OP_USE_REWARD, 2);
	reverse(shop, redeem, REVERSE_LEFT);
	note_is(shop, 0, "the reward was used");
	note_is(shop, 1, "the points bought a reward that was used");
	assert_int_equal(shop->answer.points, 70);
	redeem = event(shop, "ann", "REDEEM", "{}");
	shop->world->now_ms += 3 * 86400000;
	act(shop, "ann", ACTION_OP_EXPIRE_REWARDS, 0);
	reverse(shop, redeem, REVERSE_LEFT);
	note_is(shop, 0, "the reward had expired");
	assert_int_equal(shop->answer.points, 70);
	redeem = event(shop, "ann", "REDEEM", "{}");
	shop->world->now_ms += 2 * 86400000;           /* no run has written it down */
	reverse(shop, redeem, REVERSE_LEFT);
	note_is(shop, 0, "the reward had expired");
	effect_is(shop, 1, EFFECT_BURN_REVERSED, 30);
	assert_int_equal(member_reward(member(shop->world, "ann"), 4)->state, REWARD_ISSUED);
	/* What it bought and was used stays spent, out of its own points first where there were no others. */
	type_and_rule(shop, "BUYS", textf("[{'type':'earn_points','points':40},{'type':'redeem_reward','reward_id':'%llu'}]",
					  (unsigned long long)coffee));
	uint64_t buys = event(shop, "ben", "BUYS", "{}");
	act(shop, "ben", ACTION_OP_USE_REWARD, 1);
	reverse(shop, buys, REVERSE_LEFT);
	effect_is(shop, 2, EFFECT_EARN_REVERSED, 10);
	assert_int_equal(shop->answer.points, 0);
	/* A bonus that was withdrawn may be awarded again, as another one. */
	uint64_t bonus = event(shop, "ann", "BONUS", "{}");
	reverse(shop, bonus, REVERSE_LEFT);
	effect_is(shop, 0, EFFECT_BONUS_WITHDRAWN, 0);
	assert_int_equal(member(shop->world, "ann")->more->bonus_count, 0);
	event(shop, "ann", "BONUS", "{}");
	effect_is(shop, 0, EFFECT_BONUS, 0);
	assert_int_equal(member(shop->world, "ann")->more->bonuses[0].seq, 6);
}

static void changed_since(void **unused)
{
	(void)unused;
	in_shops(changed_since_in);
}

/* ---- at random, against a model ------------------------------------------------------------------------------------------------- */

enum { PEOPLE = 3, STEPS = 400, KEPT = 64 };

struct lot { uint64_t lsn; int64_t left; };

struct person {
	int64_t points, debt, lifetime, status;
	struct lot lots[STEPS];        /* oldest first */
	unsigned lot_count;
};

struct deed { uint64_t lsn; unsigned person; bool earn, undone; int64_t points, paid; };

static void person_earn(struct person *person, uint64_t lsn, int64_t points, int64_t *paid)
{
	*paid = points < person->debt ? points : person->debt;
	person->debt -= *paid;
	person->points += points - *paid;
	person->lifetime += points;
	person->status += points;
	person->lots[person->lot_count++] = (struct lot){ lsn, points - *paid };
}

static void person_burn(struct person *person, int64_t points)
{
	person->points -= points;
	for (unsigned i = 0; points && i < person->lot_count; i++) {
		int64_t part = points < person->lots[i].left ? points : person->lots[i].left;
		person->lots[i].left -= part;
		points -= part;
	}
}

static void person_undo(struct person *person, const struct deed *deed, enum reverse_policy policy)
{
	int64_t own = deed->points - deed->paid, take = own < person->points ? own : person->points;
	struct lot *lot = person->lots;
	if (!deed->earn) {
		person->points += deed->points;
		return;
	}
	while (lot->lsn != deed->lsn)
		lot++;
	if (policy == REVERSE_LEFT)
		take = lot->left;
	person->points -= take;
	lot->left = 0;
	person->lifetime -= deed->points;
	person->status -= deed->points;
	person->debt += deed->paid + (policy == REVERSE_DEBT ? own - take : 0);
}

/* `left` is compared where only earns are undone, by it alone: then lots are exact; else the other policies, and burns. */
static void random_in(struct shop *shop, bool left, uint64_t seed)
{
	static const char *const names[PEOPLE] = { "ann", "ben", "cleo" };
	struct person *people = mem_zalloc(PEOPLE * sizeof *people);
	struct deed *deeds = mem_zalloc(STEPS * sizeof *deeds);
	unsigned count = 0;
	type_and_rule(shop, "EARN", "[{'type':'earn_points','from_payload':'n'}]");
	type_and_rule(shop, "BURN", "[{'type':'burn_points','from_payload':'n'}]");
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned who = (unsigned)world_chance(&seed, PEOPLE), what = (unsigned)world_chance(&seed, 5);
		struct person *person = &people[who];
		int64_t points = 1 + (int64_t)world_chance(&seed, 50);
		if (what < 3) {
			bool earn = what < 2;
			uint64_t lsn = event(shop, names[who], earn ? "EARN" : "BURN", textf("{'n':%lld}", (long long)points));
			struct deed deed = { .lsn = lsn, .person = who, .earn = earn, .points = points };
			if (earn)
				person_earn(person, lsn, points, &deed.paid);
			else if (points > person->points)
				continue;
			else
				person_burn(person, points);
			deeds[count++] = deed;
		} else if (count) {
			struct deed *deed = &deeds[world_chance(&seed, count)];
			enum reverse_policy policy = left ? REVERSE_LEFT : 1 + (unsigned)world_chance(&seed, 2);
			if (deed->undone || (left && !deed->earn))
				continue;
			who = deed->person;
			person = &people[who];
			reverse(shop, deed->lsn, policy);
			assert_int_equal(shop->answer.result, ROW_DONE);
			person_undo(person, deed, policy);
			deed->undone = true;
		}
		const struct member *one = member(shop->world, names[who]);
		assert_int_equal(member_points(one), person->points);
		assert_int_equal(member_debt(one), person->debt);
		assert_int_equal(one->lifetime_points, person->lifetime);
		assert_int_equal(one->status_points, person->status);
		shop->world->now_ms += (int64_t)world_chance(&seed, 100);
	}
	mem_free(people);
	mem_free(deeds);
}

static void random_left_in(struct shop *shop)
{
	random_in(shop, true, 11);
}

static void random_others_in(struct shop *shop)
{
	random_in(shop, false, 12);
}

static void at_random(void **unused)
{
	(void)unused;
	in_shops(random_left_in);
	in_shops(random_others_in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewards), cmocka_unit_test(bonuses), cmocka_unit_test(periods), cmocka_unit_test(tiers),
		cmocka_unit_test(emitted), cmocka_unit_test(limits), cmocka_unit_test(audience),
		cmocka_unit_test(policies), cmocka_unit_test(changed_since), cmocka_unit_test(at_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
