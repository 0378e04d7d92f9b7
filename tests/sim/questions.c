// SPDX-License-Identifier: Apache-2.0
/* questions.c - what shards say of rewards, tiers, bonuses, and of all they have.
 *
 * While things happen an answer may be of any moment since the question: then nothing in it may be what the durable log does not
 * have (L2).  At rest it is what the model says, to the last one of a list.  And at rest a member is made again from its own
 * records (remade.c).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/event/effect.h"
#include "engine/shard/ask.h"
#include "tests/sim/sim_int.h"

static uint64_t hash_of(unsigned tenant, const char *profile)
{
	return hash_name(HASH_MEMBER, str_of(sim_tenants[tenant]), str_of(profile));
}

static void ask(struct sim *sim, struct query *query, unsigned shard)
{
	query->message = (struct message){ .kind = MESSAGE_QUERY, .shard = shard, .owner = query };
	sim->oracle->seen.queries[query->kind]++;
	sim->node.env.post(&sim->node, shard, &query->message);
}

static unsigned home_of(const struct sim *sim, uint64_t hash)
{
	return shard_of(partition_of(hash), sim->shards);
}

/* ---- while things happen -------------------------------------------------------------------------------------------- */

void ask_start(struct sim *sim, struct call *call)
{
	const struct op *op = call->op;
	uint64_t hash = hash_of(op->tenant, op->profile);
	const struct member_model *member = oracle_member(sim->oracle, op->tenant, str_of(op->profile));
	bool all = op->action == QUERY_TENANT || op->action == QUERY_STATS || (op->action == QUERY_AWARDS && !*op->profile);
	call->query = (struct query){ .kind = (enum query_kind)op->action, .tenant = str_of(sim_tenants[op->tenant]),
				      .profile = str_of(op->profile), .state = op->state, .limit = op->limit, .offset = op->offset,
				      .before_seq = op->before, .member_hash = hash, .seq = (uint32_t)op->document };
	call->not_before[0] = member ? member->last_lsn : 0;
	ask(sim, &call->query, all ? (unsigned)sim_chance(sim, sim->shards) : home_of(sim, hash));
}

static yyjson_doc *parsed(struct sim *sim, const struct buf *json)
{
	struct json_error error;
	yyjson_doc *doc = json_read(buf_view(json), &error);
	LAW(sim->oracle, "L10", doc, "an answer is no JSON: %.*s", (int)json->len, json->ptr);
	return doc;
}

static uint32_t item_seq(struct sim *sim, yyjson_val *item, const char *name, uint64_t *hash)
{
	uint32_t seq = 0;
	bool good = member_item_id_parse(json_text(json_get(item, str_of(name))), hash, &seq);
	LAW(sim->oracle, "L10", good && seq, "an answer names no id");
	return seq;
}

static enum reward_state state_shown(struct sim *sim, yyjson_val *item)
{
	unsigned state = 0;
	while (state < REWARD_STATES && !str_eq(json_text(json_get(item, STR("state"))), str_of(reward_state_names[state])))
		state++;
	LAW(sim->oracle, "L10", state < REWARD_STATES, "a reward without a state");
	return (enum reward_state)state;
}

static void rewards_check(struct sim *sim, const struct query *query, const struct member_model *member)
{
	int64_t now = sim->node.env.now_ms(&sim->node);
	uint32_t last = UINT32_MAX;
	size_t i, max;
	yyjson_val *item;
	if (!query->found)
		return;
	yyjson_doc *doc = parsed(sim, &query->json);
	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, item) {
		uint64_t hash, reward = 0;
		uint32_t seq = item_seq(sim, item, "customer_reward_id", &hash);
		const struct given_model *given = member ? member_given(member, seq) : NULL;
		LAW(sim->oracle, "L2", given && catalog_id_parse(json_text(json_get(item, STR("reward_id"))), &reward) &&
		    reward == given->reward, "reward %u of %s is shown, and it is not in the durable log", seq, member ? member->profile : "nobody");
		enum reward_state state = state_shown(sim, item);
		bool past = given->expires_ms && given->expires_ms <= now;
		LAW(sim->oracle, "L2", state == REWARD_ISSUED || state == given->state || (state == REWARD_EXPIRED && past),
		    "reward %u of %s is shown as %s, and it is %s", seq, member->profile, reward_state_names[state],
		    reward_state_names[given->state]);
		LAW(sim->oracle, "order", seq < last && (!query->before_seq || seq < query->before_seq) &&
		    (query->state == REWARD_STATES || query->state == state), "reward %u of %s does not belong into the list", seq, member->profile);
		last = seq;
	}
	LAW(sim->oracle, "L8", max == query->given && max <= query->limit, "%zu rewards are shown, %zu are told, %zu were asked for", max,
	    query->given, query->limit);
	yyjson_doc_free(doc);
}

/* Each award that is shown was made at some time. */
static void awards_check(struct sim *sim, const struct query *query, unsigned tenant)
{
	struct award_place last = { .awarded_ms = INT64_MAX };
	LAW(sim->oracle, "L8", query->awards.len == query->given * sizeof(struct query_award) && query->given <= query->limit,
	    "%zu awards are shown, %zu were asked for", query->given, query->limit);
	for (size_t i = 0; i < query->given; i++) {
		struct query_award award;
		struct json_error error;
		memcpy(&award, query->awards.ptr + i * sizeof award, sizeof award);
		yyjson_doc *doc = json_read((struct str){ query->json.ptr + award.at, award.len }, &error);
		LAW(sim->oracle, "L10", doc, "an award is no JSON");
		uint64_t hash;
		uint32_t seq = item_seq(sim, yyjson_doc_get_root(doc), "id", &hash);
		struct str profile = json_text(json_get(yyjson_doc_get_root(doc), STR("profileId")));
		const struct member_model *member = oracle_member(sim->oracle, tenant, profile);
		LAW(sim->oracle, "L2", member && seq <= member->seq && hash == hash_of(tenant, member->profile) && hash == award.place.member_hash,
		    "award %u of %.*s is shown, and it is not in the durable log", seq, (int)profile.len, profile.ptr);
		LAW(sim->oracle, "order", award_place_order(&last, &award.place) < 0, "awards are not in order");
		last = award.place;
		yyjson_doc_free(doc);
	}
}

static void tenant_check(struct sim *sim, const struct query *query, unsigned tenant)
{
	for (unsigned g = 0; query->slices && g < GROUP_COUNT; g++)
		LAW(sim->oracle, "L2", query->slices[g].last_lsn <= sim->oracle->slice_lsn[tenant][g],
		    "group %u is shown at LSN %llu, the durable log has it at %llu", g, LLU(query->slices[g].last_lsn),
		    LLU(sim->oracle->slice_lsn[tenant][g]));
}

void ask_check(struct sim *sim, const struct call *call)
{
	const struct op *op = call->op;
	const struct query *query = &call->query;
	const struct member_model *member = oracle_member(sim->oracle, op->tenant, str_of(op->profile));
	bool of_member = query->kind == QUERY_REWARDS || query->kind == QUERY_LOYALTY || query->kind == QUERY_MEMBER;
	LAW(sim->oracle, "L2", !of_member || query->found || !call->not_before[0], "member %s is gone, and it was seen before", op->profile);
	LAW(sim->oracle, "L2", !of_member || !query->found || member, "member %s is shown, and it is not in the durable log", op->profile);
	switch (query->kind) {
	case QUERY_REWARDS: rewards_check(sim, query, member); break;
	case QUERY_AWARDS: awards_check(sim, query, op->tenant); break;
	case QUERY_AWARD:
		LAW(sim->oracle, "L2", !query->found || (member && query->seq <= member->seq), "award %u of %s is shown, and it is not in "
		    "the durable log", query->seq, op->profile);
		break;
	case QUERY_TENANT: tenant_check(sim, query, op->tenant); break;
	case QUERY_MEMBER:
	case QUERY_LOYALTY:
	case QUERY_STATS: break;
	}
}

/* ---- at rest -------------------------------------------------------------------------------------------------------- */

static void asked(struct sim *sim, struct query *query, unsigned shard)
{
	ask(sim, query, shard);
	settle(sim, query);
}

static void audit_rewards(struct sim *sim, const struct member_model *member)
{
	uint64_t hash = hash_of(member->tenant, member->profile);
	struct query query = { .kind = QUERY_REWARDS, .tenant = str_of(sim_tenants[member->tenant]), .profile = str_of(member->profile),
			       .state = REWARD_STATES, .limit = SIZE_MAX };
	size_t i, max;
	yyjson_val *item;
	int64_t now = sim->node.env.now_ms(&sim->node);
	asked(sim, &query, home_of(sim, hash));
	rewards_check(sim, &query, member);
	LAW(sim->oracle, "L5", query.found && query.given == member->reward_count && query.total == query.given && !query.next_seq,
	    "%s has %u rewards, %zu are shown", member->profile, member->reward_count, query.given);
	yyjson_doc *doc = parsed(sim, &query.json);
	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, max, item) {
		const struct given_model *given = &member->rewards[member->reward_count - 1 - i];
		bool past = given->state == REWARD_ISSUED && given->expires_ms && given->expires_ms <= now;
		LAW(sim->oracle, "L5", state_shown(sim, item) == (past ? REWARD_EXPIRED : given->state), "reward %u of %s is shown in another state",
		    given->seq, member->profile);
	}
	yyjson_doc_free(doc);
	query_free(&query);
}

static void audit_loyalty(struct sim *sim, const struct member_model *member)
{
	const struct configs *configs = &sim->oracle->configs[member->tenant];
	const struct config *config = &configs->list[configs->count - 1];
	const struct tier_model *below, *tier = tier_at(config, member->status_points, &below), *next = NULL;
	struct query query = { .kind = QUERY_LOYALTY, .tenant = str_of(sim_tenants[member->tenant]), .profile = str_of(member->profile) };
	int64_t missing = 0;
	asked(sim, &query, home_of(sim, hash_of(member->tenant, member->profile)));
	for (unsigned i = 0; i < config->tier_count && !next; i++)
		if (config->tiers[i].active && config->tiers[i].from > member->status_points)
			next = &config->tiers[i];
	yyjson_doc *doc = parsed(sim, &query.json);
	yyjson_val *root = yyjson_doc_get_root(doc), *is = json_get(root, STR("currentTier")), *then = json_get(root, STR("nextTier"));
	json_int(json_get(root, STR("missingPoints")), &missing);
	bool good = str_eq(json_text(json_get(is, STR("key"))), str_of(tier ? tier->key : "")) &&
		    str_eq(json_text(json_get(then, STR("key"))), str_of(next ? next->key : "")) &&
		    missing == (next ? next->from - member->status_points : 0);
	LAW(sim->oracle, "L5", good, "%s with %lld status points is in tier %s, and this is shown: %.*s", member->profile,
	    (long long)member->status_points, tier ? tier->key : "none", (int)query.json.len, query.json.ptr);
	yyjson_doc_free(doc);
	query_free(&query);
}

static void audit_awards_of(struct sim *sim, const struct member_model *member)
{
	uint64_t hash = hash_of(member->tenant, member->profile);
	struct query query = { .kind = QUERY_AWARDS, .tenant = str_of(sim_tenants[member->tenant]), .profile = str_of(member->profile),
			       .limit = SIZE_MAX };
	asked(sim, &query, home_of(sim, hash));
	awards_check(sim, &query, member->tenant);
	LAW(sim->oracle, "L5", query.given == member->bonus_count, "%s has %u bonus awards, %zu are shown", member->profile,
	    member->bonus_count, query.given);
	for (unsigned i = 0; i < member->bonus_count; i++) {
		struct query_award award;
		memcpy(&award, query.awards.ptr + (member->bonus_count - 1 - i) * sizeof award, sizeof award);
		LAW(sim->oracle, "L5", award.place.seq == member->bonuses[i].seq && award.place.awarded_ms == member->bonuses[i].awarded_ms,
		    "award %u of %s is shown as another", member->bonuses[i].seq, member->profile);
	}
	query_free(&query);
	uint32_t seq = 1 + (uint32_t)sim_chance(sim, member->seq + 1);
	query = (struct query){ .kind = QUERY_AWARD, .tenant = str_of(sim_tenants[member->tenant]), .member_hash = hash, .seq = seq };
	asked(sim, &query, home_of(sim, hash));
	LAW(sim->oracle, "L5", query.found == (member_bonus_at(member, seq) >= 0), "award %u of %s is %s", seq, member->profile,
	    query.found ? "shown" : "not shown");
	query_free(&query);
}

static bool tag_known(const struct oracle *oracle, unsigned tenant, struct str tag)
{
	for (unsigned i = 0; i < oracle->member_count; i++)
		for (unsigned t = 0; t < oracle->members[i].tag_count && oracle->members[i].tenant == tenant; t++)
			if (str_eq(tag, str_of(oracle->members[i].tags[t])))
				return true;
	return false;
}

static void audit_tenant(struct sim *sim, unsigned tenant)
{
	size_t awards = 0, wanted = 0;
	uint64_t events = 0, in_log = 0;
	for (unsigned s = 0; s < sim->shards; s++) {
		struct query query = { .kind = QUERY_AWARDS, .tenant = str_of(sim_tenants[tenant]), .limit = SIZE_MAX };
		asked(sim, &query, s);
		awards_check(sim, &query, tenant);
		awards += query.given;
		query_free(&query);
		query = (struct query){ .kind = QUERY_TENANT, .tenant = str_of(sim_tenants[tenant]) };
		asked(sim, &query, s);
		tenant_check(sim, &query, tenant);
		for (unsigned g = 0; query.slices && g < GROUP_COUNT; g++)
			events += query.slices[g].event_count;
		for (size_t at = 0; at < query.tags.len;) {
			uint16_t len;
			memcpy(&len, query.tags.ptr + at, sizeof len);
			LAW(sim->oracle, "L5", tag_known(sim->oracle, tenant, (struct str){ query.tags.ptr + at + sizeof len, len }),
			    "the tag %.*s is told, and nobody has it", (int)len, query.tags.ptr + at + sizeof len);
			at += sizeof len + len;
		}
		query_free(&query);
	}
	for (unsigned i = 0; i < sim->oracle->member_count; i++)
		wanted += sim->oracle->members[i].tenant == tenant ? sim->oracle->members[i].bonus_count : 0;
	for (unsigned i = 0; i < sim->oracle->event_count; i++)
		in_log += sim->oracle->events[i].tenant == tenant;
	LAW(sim->oracle, "L5", awards == wanted && events == in_log, "%s has %zu bonus awards and %llu events, the log %zu and %llu",
	    sim_tenants[tenant], awards, LLU(events), wanted, LLU(in_log));
}

static void audit_stats(struct sim *sim)
{
	uint64_t members = 0, events = 0;
	for (unsigned s = 0; s < sim->shards; s++) {
		struct query query = { .kind = QUERY_STATS };
		asked(sim, &query, s);
		members += query.members;
		events += query.events;
		query_free(&query);
	}
	LAW(sim->oracle, "L5", members == sim->oracle->member_count && events == sim->oracle->event_count,
	    "%llu members and %llu events are told, the log has %u and %u", LLU(members), LLU(events), sim->oracle->member_count,
	    sim->oracle->event_count);
}

/* Numbers of accounts and slices, to ids and back. */
static void audit_names(struct sim *sim)
{
	static uint32_t numbers[NUMBERS_MAX];
	static u128 ids[NUMBERS_MAX];
	const struct oracle *oracle = sim->oracle;
	struct ledger_request request = { .verb = LEDGER_NAMES, .numbers = numbers, .ids = ids };
	for (unsigned i = 0; i < oracle->number_count; i++)
		numbers[request.count++] = oracle->numbers[i].number;
	if (!request.count)
		return;
	sim->oracle->seen.ledger[LEDGER_NAMES]++;
	ledger_start(&request, &sim->node.env);
	settle(sim, &request);
	for (unsigned i = 0; i < oracle->number_count; i++)
		LAW(sim->oracle, "L5", oracle->numbers[i].slice ? ids[i] != 0 : ids[i] == oracle->numbers[i].id,
		    "number %u stands for account %016llx, not for %016llx", numbers[i], LLU(ids[i]), LLU(oracle->numbers[i].id));
	ledger_request_free(&request);
}

void audit_questions(struct sim *sim)
{
	struct oracle *oracle = sim->oracle;
	for (unsigned i = 0; i < oracle->member_count; i++) {
		const struct member_model *member = &oracle->members[i];
		audit_rewards(sim, member);
		audit_loyalty(sim, member);
		audit_awards_of(sim, member);
	}
	for (unsigned t = 0; t < 2; t++)
		audit_tenant(sim, t);
	audit_stats(sim);
	audit_names(sim);
	if (oracle->member_count)
		member_remade(oracle, &oracle->members[sim_chance(sim, oracle->member_count)]);
}
