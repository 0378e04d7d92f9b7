// SPDX-License-Identifier: Apache-2.0
/* test_state.c - records become state: against a plain model, with 1 and with 4 shards, live and at replay; and what
 * the readers of records do with bytes that are no record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/mem.h"
#include "engine/shard/state.h"

enum { TENANTS = 3, MEMBERS = 50, TAGS = 7, RECORDS = 4000, FIRST_LSN = 4096, SHARDS = 4 };

static const char *const statuses[] = { "ACTIVE", "INACTIVE", "BLOCKED" };

/* A member as the test keeps it. */
struct plain {
	bool there;
	int64_t points, status_points, lifetime, created, active;
	unsigned events, status, tags; /* tags: a bit each */
	uint32_t account;              /* its number in the log; 0: none yet */
	bool moved;                    /* the event at hand moved its points */
	int attribute;                 /* {"n":N}; -1: {} */
	uint64_t lsn;
};

struct log {
	struct buf records;            /* owned; the record at LSN L starts at L - FIRST_LSN */
	uint64_t seed;
	struct plain members[TENANTS][MEMBERS];
	int64_t redeemed[TENANTS];
	uint64_t events[TENANTS];
	unsigned event_total;
	uint32_t accounts[GROUP_COUNT];        /* of each group, so far */
};

static uint64_t chance(struct log *log, uint64_t below)
{
	uint64_t z = log->seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return (z ^ z >> 31) % below;
}

struct name { char text[24]; struct str str; };

static struct str name_of(struct name *name, const char *kind, unsigned number)
{
	int len = snprintf(name->text, sizeof name->text, "%s%u", kind, number);
	return name->str = (struct str){ name->text, (size_t)len };
}

/* ---- writing records with the model beside them ---------------------------------------------------------------- */

static void effect_put(struct buf *out, enum effect_type type, int64_t points, int64_t balance, struct str text)
{
	struct effect_head head = { .points = points, .balance = balance, .type = (uint8_t)type,
				    .text_len = (uint16_t)text.len };
	buf_bytes(out, &head, sizeof head);
	buf_str(out, text);
}

static void effect_write(struct log *log, struct plain *member, unsigned tenant)
{
	struct buf *out = &log->records;
	struct name name;
	int64_t points = 1 + (int64_t)chance(log, 1000);
	enum effect_type type = (enum effect_type)(1 + chance(log, 6));
	if (type == EFFECT_BURN && points > member->points)
		type = EFFECT_EARN;
	switch (type) {
	case EFFECT_EARN:
		member->moved = true;
		member->points += points;
		member->lifetime += points;
		member->status_points += points;
		effect_put(out, type, points, member->points, STR(""));
		break;
	case EFFECT_BURN:
		member->moved = true;
		member->points -= points;
		log->redeemed[tenant] += points;
		effect_put(out, type, points, member->points, STR(""));
		break;
	case EFFECT_STATUS:
		member->status = (unsigned)chance(log, 3);
		effect_put(out, type, 0, member->points, str_of(statuses[member->status]));
		break;
	case EFFECT_TAG: {
		unsigned tag = (unsigned)chance(log, TAGS);
		member->tags |= 1u << tag;
		effect_put(out, type, 0, member->points, name_of(&name, "tag", tag));
		break;
	}
	case EFFECT_STATUS_POINTS_RESET:
		effect_put(out, type, member->status_points, member->points, STR(""));
		member->status_points = 0;
		break;
	case EFFECT_NONE: effect_put(out, type, 0, member->points, STR("nothing was left to do")); break;
	default: fail();
	}
}

static void execution_write(struct log *log, struct plain *member, unsigned tenant)
{
	struct execution_head head = { .rule_id = 1 + chance(log, 9), .result = (uint8_t)chance(log, 3) };
	struct str error = head.result == EXECUTION_FAILED ? STR("division by zero") : STR("");
	head.effect_count = head.result == EXECUTION_SUCCESS ? (uint8_t)chance(log, 4) : 0;
	head.error_len = (uint16_t)error.len;
	buf_bytes(&log->records, &head, sizeof head);
	for (unsigned i = 0; i < head.effect_count; i++)
		effect_write(log, member, tenant);
	buf_str(&log->records, error);
}

static void event_write(struct log *log, unsigned tenant, unsigned profile, int64_t time_ms)
{
	struct plain *member = &log->members[tenant][profile];
	struct buf *out = &log->records;
	struct name names[3];
	struct str brand = name_of(&names[0], "brand", tenant), who = name_of(&names[1], "member", profile);
	struct str id = name_of(&names[2], "id", log->event_total), payload = STR("{\"amount\":12.5}");
	unsigned partition = partition_of(hash_name(HASH_MEMBER, brand, who)), executions = (unsigned)chance(log, 4);
	size_t start = record_begin(out, RECORD_EVENT, partition);
	struct event_head head = { .prev_member = member->lsn, .id_hash = hash_name(HASH_EVENT_ID, brand, id),
				   .content_hash = chance(log, UINT64_MAX), .time_ms = time_ms,
				   .payload_len = (uint32_t)payload.len, .tenant_len = (uint16_t)brand.len,
				   .profile_len = (uint16_t)who.len, .type_len = 8, .id_len = (uint16_t)id.len,
				   .source_len = 3, .execution_count = (uint8_t)executions };
	if (!member->there)
		*member = (struct plain){ .there = true, .created = time_ms, .attribute = -1 };
	buf_bytes(out, (char *)&head + sizeof head.head, sizeof head - sizeof head.head);
	buf_str(out, brand);
	buf_str(out, who);
	buf_lit(out, "PURCHASE");
	buf_str(out, id);
	buf_lit(out, "web");
	buf_str(out, payload);
	member->moved = false;
	for (unsigned i = 0; i < executions; i++)
		execution_write(log, member, tenant);
	if (member->moved) {
		if (!member->account) {
			uint8_t flags = EVENT_ACCOUNT_CREATED;
			unsigned group = group_of(partition);
			member->account = group << ACCOUNT_GROUP_SHIFT | ++log->accounts[group];
			memcpy(out->ptr + start + offsetof(struct event_head, flags), &flags, sizeof flags);
		}
		memcpy(out->ptr + start + offsetof(struct event_head, account), &member->account, sizeof member->account);
	}
	memcpy(out->ptr + start + offsetof(struct event_head, points), &member->points, sizeof member->points);
	record_end(out, start);
	member->lsn = FIRST_LSN + start;
	member->active = time_ms;
	member->events++;
	log->events[tenant]++;
	log->event_total++;
}

static void customer_write(struct log *log, unsigned tenant, unsigned profile, int64_t time_ms)
{
	struct plain *member = &log->members[tenant][profile];
	struct buf *out = &log->records;
	struct name names[2], tag;
	char attributes[32] = "{}";
	struct str brand = name_of(&names[0], "brand", tenant), who = name_of(&names[1], "member", profile);
	size_t start = record_begin(out, RECORD_CUSTOMER, partition_of(hash_name(HASH_MEMBER, brand, who)));
	if (!member->there)
		*member = (struct plain){ .there = true, .created = time_ms };
	member->status = (unsigned)chance(log, 3);
	member->tags = (unsigned)chance(log, 1u << TAGS);
	member->attribute = (int)chance(log, 50) - 1;
	if (member->attribute >= 0)
		snprintf(attributes, sizeof attributes, "{\"n\":%d}", member->attribute);
	struct str status = str_of(statuses[member->status]);
	struct customer_head head = { .prev_member = member->lsn, .time_ms = time_ms,
				      .attributes_len = (uint32_t)strlen(attributes), .tenant_len = (uint16_t)brand.len,
				      .profile_len = (uint16_t)who.len, .status_len = (uint16_t)status.len,
				      .tag_count = (uint16_t)__builtin_popcount(member->tags) };
	buf_bytes(out, (char *)&head + sizeof head.head, sizeof head - sizeof head.head);
	buf_str(out, brand);
	buf_str(out, who);
	buf_str(out, status);
	buf_str(out, str_of(attributes));
	for (unsigned i = TAGS; i-- > 0;)              /* not in order: the state sorts them */
		if (member->tags & 1u << i) {
			uint16_t len = (uint16_t)name_of(&tag, "tag", i).len;
			buf_bytes(out, &len, sizeof len);
			buf_str(out, tag.str);
		}
	record_end(out, start);
	member->lsn = FIRST_LSN + start;
}

static struct log *log_new(uint64_t seed, unsigned records)
{
	struct log *log = mem_zalloc(sizeof *log);
	log->seed = seed;
	for (unsigned i = 0; i < records; i++) {
		unsigned tenant = (unsigned)chance(log, TENANTS), profile = (unsigned)chance(log, MEMBERS);
		int64_t time_ms = 1700000000000 + i * 10;
		if (chance(log, 5))
			event_write(log, tenant, profile, time_ms);
		else
			customer_write(log, tenant, profile, time_ms);
	}
	return log;
}

static void log_free(struct log *log)
{
	buf_free(&log->records);
	mem_free(log);
}

/* ---- applying and comparing ------------------------------------------------------------------------------------ */

static uint32_t size_at(const struct log *log, size_t at)
{
	struct record_head head;
	assert_true(record_head_read((const unsigned char *)log->records.ptr + at, log->records.len - at, &head));
	return head.size;
}

static void log_apply(const struct log *log, struct state *states, unsigned shards, bool live)
{
	for (size_t at = 0; at < log->records.len; at += size_at(log, at)) {
		const unsigned char *record = (const unsigned char *)log->records.ptr + at;
		unsigned owners = 0;
		for (unsigned s = 0; s < shards; s++) {
			bool broken;
			owners += state_apply(&states[s], record, size_at(log, at), FIRST_LSN + at, live, NULL,
					      &broken) != NULL;
			assert_false(broken);
		}
		assert_int_equal(owners, 1);
	}
}

static struct state *states_new(unsigned shards)
{
	struct state *states = mem_zalloc(shards * sizeof *states);
	for (unsigned s = 0; s < shards; s++)
		state_init(&states[s], s, shards);
	return states;
}

static void states_free(struct state *states, unsigned shards)
{
	for (unsigned s = 0; s < shards; s++)
		state_deinit(&states[s]);
	mem_free(states);
}

static int line_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void lines_sort(struct buf *text)
{
	struct buf lines = { 0 }, sorted = { 0 };
	for (size_t at = 0; at < text->len;) {
		const char *end = memchr(text->ptr + at, '\n', text->len - at);
		assert_non_null(end);
		struct str line = { text->ptr + at, (size_t)(end - text->ptr) + 1 - at };
		buf_bytes(&lines, &line, sizeof line);
		at += line.len;
	}
	struct str *list = (struct str *)(void *)lines.ptr;
	size_t count = lines.len / sizeof *list;
	qsort(list, count, sizeof *list, line_order);
	for (size_t i = 0; i < count; i++)
		buf_str(&sorted, list[i]);
	buf_free(&lines);
	buf_free(text);
	*text = sorted;
	buf_char(text, '\0');
}

static void states_dump(const struct state *states, unsigned shards, struct buf *out)
{
	for (unsigned s = 0; s < shards; s++)
		state_dump(&states[s], out);
	lines_sort(out);
}

static void model_dump(const struct log *log, struct buf *out)
{
	for (unsigned t = 0; t < TENANTS; t++)
		for (unsigned m = 0; m < MEMBERS; m++) {
			const struct plain *member = &log->members[t][m];
			if (!member->there)
				continue;
			buf_printf(out, "member \"brand%u\" \"member%u\" points %lld status_points %lld lifetime %lld "
				   "events %u created %lld active %lld status \"%s\"", t, m, (long long)member->points,
				   (long long)member->status_points, (long long)member->lifetime, member->events,
				   (long long)member->created, (long long)member->active, statuses[member->status]);
			for (unsigned i = 0; i < TAGS; i++)
				if (member->tags & 1u << i)
					buf_printf(out, " tag \"tag%u\"", i);
			if (member->attribute >= 0)
				buf_printf(out, " {\"n\":%d}", member->attribute);
			else
				buf_lit(out, " {}");
			buf_printf(out, " lsn %llu\n", (unsigned long long)member->lsn);
		}
	lines_sort(out);
}

static void ids_compare(const struct log *log, const struct state *states, unsigned shards)
{
	uint64_t total = 0;
	for (unsigned s = 0; s < shards; s++)
		total += states[s].ids.total;
	assert_int_equal(total, log->event_total);
	for (size_t at = 0; at < log->records.len; at += size_at(log, at)) {
		struct event_view event;
		if (!event_view_read((const unsigned char *)log->records.ptr + at, size_at(log, at), &event))
			continue;
		const struct state *owner = &states[shard_of(partition_of(event.head.id_hash), shards)];
		struct table_entry *entry = ids_find(&owner->ids, event.head.id_hash, 0);
		assert_non_null(entry);
		assert_int_equal(entry->value, FIRST_LSN + at);
		assert_null(ids_find(&owner->ids, event.head.id_hash, FIRST_LSN + at));
	}
}

/* Sums, slices and tags of every tenant, over all shards. */
static void tenants_compare(const struct log *log, const struct state *states, unsigned shards)
{
	for (unsigned t = 0; t < TENANTS; t++) {
		struct name name;
		__int128 sums[3] = { 0 }, points = 0;
		uint64_t tags[TAGS] = { 0 }, wanted_tags[TAGS] = { 0 }, events = 0, members = 0, wanted_members = 0;
		for (unsigned m = 0; m < MEMBERS; m++) {
			points += log->members[t][m].points;
			wanted_members += log->members[t][m].there;
			for (unsigned i = 0; i < TAGS; i++)
				wanted_tags[i] += log->members[t][m].there && log->members[t][m].tags & 1u << i;
		}
		for (unsigned s = 0; s < shards; s++) {
			const struct tenant *tenant = state_tenant_find(&states[s], name_of(&name, "brand", t));
			__int128 some[3];
			if (!tenant)
				continue;
			state_sums(&states[s], tenant, &some[0], &some[1], &some[2]);
			assert_true(some[0] + some[1] + some[2] == 0);         /* in each shard, not only in sum */
			for (int i = 0; i < 3; i++)
				sums[i] += some[i];
			for (unsigned g = 0; g < GROUP_COUNT; g++)
				if (tenant->slices[g]) {
					assert_int_equal(shard_of(g * PARTITIONS_PER_GROUP, shards), s);
					events += tenant->slices[g]->event_count;
					members += tenant->slices[g]->member_count;
				}
			for (size_t i = 0; i < tenant->tag_count; i++) {
				assert_true(i == 0 || str_cmp(tenant->tags[i - 1].tag, tenant->tags[i].tag) < 0);
				assert_true(tenant->tags[i].members > 0 && tenant->tags[i].tag.len == 4);
				tags[tenant->tags[i].tag.ptr[3] - '0'] += tenant->tags[i].members;
			}
		}
		assert_true(sums[0] == points && sums[2] == log->redeemed[t] && sums[1] == -points - log->redeemed[t]);
		assert_int_equal(events, log->events[t]);
		assert_int_equal(members, wanted_members);
		assert_memory_equal(tags, wanted_tags, sizeof tags);
	}
}

static void replays_alike(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct log *log = log_new(seed, RECORDS);
		struct buf wanted = { 0 }, first = { 0 };
		model_dump(log, &wanted);
		static const unsigned counts[] = { 1, 4, 3, 64 };
		for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
			struct state *states = states_new(counts[i]);
			struct buf dump = { 0 };
			log_apply(log, states, counts[i], false);
			states_dump(states, counts[i], &dump);
			/* Lines are sorted: the members stand together; the model knows only them. */
			const char *members = strstr(dump.ptr, "\nmember ") + 1;
			assert_non_null(members);
			assert_memory_equal(members, wanted.ptr, wanted.len - 1);
			assert_true(strncmp(members + wanted.len - 1, "member ", 7) != 0);
			if (i == 0)
				buf_bytes(&first, dump.ptr, dump.len);
			assert_string_equal(dump.ptr, first.ptr);
			ids_compare(log, states, counts[i]);
			tenants_compare(log, states, counts[i]);
			buf_free(&dump);
			states_free(states, counts[i]);
		}
		buf_free(&wanted);
		buf_free(&first);
		log_free(log);
	}
}

/* Live, the ids are the claim's business; all else is the same function with the same outcome. */
static void lives_as_it_replays(void **unused)
{
	(void)unused;
	struct log *log = log_new(9, RECORDS);
	struct state *live = states_new(SHARDS), *replayed = states_new(SHARDS);
	struct buf dumps[2] = { { 0 }, { 0 } };
	log_apply(log, live, SHARDS, true);
	log_apply(log, replayed, SHARDS, false);
	for (unsigned s = 0; s < SHARDS; s++) {
		assert_int_equal(live[s].ids.total, 0);
		assert_int_equal(live[s].event_total, replayed[s].event_total);
		assert_true(state_memory(&replayed[s]) >= state_memory(&live[s]));
		ids_free(&replayed[s].ids);
	}
	states_dump(live, SHARDS, &dumps[0]);
	states_dump(replayed, SHARDS, &dumps[1]);
	assert_string_equal(dumps[0].ptr, dumps[1].ptr);
	buf_free(&dumps[0]);
	buf_free(&dumps[1]);
	states_free(live, SHARDS);
	states_free(replayed, SHARDS);
	log_free(log);
}

/* ---- bytes that are no record ---------------------------------------------------------------------------------- */

static volatile uint64_t sink;

/* Reads a copy of exactly `len` bytes, all the way down, so that a sanitizer sees one byte too many.  True if it is
 * one. */
static bool record_walk(const unsigned char *bytes, size_t len)
{
	unsigned char *copy = mem_dup(bytes, len);
	struct event_view event;
	struct customer_view customer;
	bool is_event = event_view_read(copy, len, &event), is_customer = customer_view_read(copy, len, &customer);
	if (is_event) {
		const unsigned char *at = event.executions;
		sink += hash_bytes(event.tenant.ptr, event.tenant.len);
		sink += hash_bytes(event.payload.ptr, event.payload.len);
		for (unsigned i = 0; i < event.execution_count; i++) {
			struct execution_view execution;
			execution_next(&at, &execution);
			const unsigned char *effects = execution.effects;
			sink += hash_bytes(execution.error.ptr, execution.error.len);
			for (unsigned e = 0; e < execution.head.effect_count; e++) {
				struct effect_view effect;
				effect_next(&effects, &effect);
				sink += hash_bytes(effect.text.ptr, effect.text.len);
			}
		}
		assert_true(at <= event.end && event.end <= copy + len);
	}
	if (is_customer) {
		const unsigned char *at = customer.tags;
		sink += hash_bytes(customer.attributes.ptr, customer.attributes.len);
		for (unsigned i = 0; i < customer.head.tag_count; i++) {
			struct str tag = tag_next(&at);
			sink += hash_bytes(tag.ptr, tag.len);
		}
		assert_true(at <= customer.end && customer.end <= copy + len);
	}
	assert_false(is_event && is_customer);
	mem_free(copy);
	return is_event || is_customer;
}

static void refuses_what_is_cut(void **unused)
{
	(void)unused;
	struct log *log = log_new(3, 120);
	for (size_t at = 0; at < log->records.len; at += size_at(log, at)) {
		const unsigned char *record = (const unsigned char *)log->records.ptr + at;
		uint32_t size = size_at(log, at);
		unsigned char *cut = mem_dup(record, size);
		assert_true(record_walk(record, size));
		for (uint32_t len = 0; len < size; len++)
			assert_false(record_walk(record, len));
		/* The same with a size that agrees: something inside is missing. */
		for (uint32_t len = 8; len < size; len += 8) {
			memcpy(cut, &len, sizeof len);
			assert_false(record_walk(cut, len));
		}
		mem_free(cut);
	}
	log_free(log);
}

static void survives_what_is_garbled(void **unused)
{
	(void)unused;
	struct log *log = log_new(4, 60);
	for (size_t at = 0; at < log->records.len; at += size_at(log, at)) {
		uint32_t size = size_at(log, at);
		unsigned char *bytes = mem_dup(log->records.ptr + at, size);
		for (uint32_t i = 0; i < size; i++) {
			unsigned char kept = bytes[i];
			for (unsigned bit = 0; bit < 8; bit++) {
				bytes[i] = kept ^ (unsigned char)(1u << bit);
				record_walk(bytes, size);
			}
			bytes[i] = 0xFF;
			record_walk(bytes, size);
			bytes[i] = kept;
		}
		mem_free(bytes);
	}
	log_free(log);
}

static void applies_nothing_of_a_broken_record(void **unused)
{
	(void)unused;
	struct log *log = log_new(5, 1);
	struct state *state = states_new(1);
	bool broken = false;
	uint32_t size = size_at(log, 0);
	unsigned char *record = mem_dup(log->records.ptr, size);
	assert_null(state_apply(state, record, size - 8, FIRST_LSN, false, NULL, &broken));
	assert_true(broken);
	uint32_t shorter = size - 8;
	memcpy(record, &shorter, sizeof shorter);
	assert_null(state_apply(state, record, shorter, FIRST_LSN, false, NULL, &broken));
	assert_true(broken);
	assert_int_equal(state->member_total + state->ids.total + state->event_total, 0);
	assert_null(state_tenant_find(state, STR("brand0")));
	mem_free(record);
	states_free(state, 1);
	log_free(log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replays_alike),
		cmocka_unit_test(lives_as_it_replays),
		cmocka_unit_test(refuses_what_is_cut),
		cmocka_unit_test(survives_what_is_garbled),
		cmocka_unit_test(applies_nothing_of_a_broken_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
