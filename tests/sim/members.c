// SPDX-License-Identifier: Apache-2.0
/* members.c - events, reversals, customers and what is done to rewards, as they come in the log: each must be what the rules, or the
 * table of undoing, make of something that a client asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "engine/event/effect.h"
#include "tests/sim/oracle_int.h"

/* ---- events --------------------------------------------------------------------------------------------------------- */

static bool event_matches(const struct sim_event *asked, unsigned tenant, const struct event_view *view)
{
	return asked->tenant == tenant && str_eq(str_of(asked->id), view->id) && str_eq(str_of(asked->profile), view->profile) &&
	       str_eq(str_of(asked->type), view->type) && str_eq(str_of(asked->payload), view->payload);
}

/* The event under the newest configuration, the one before it …, down to the one that its sender knew of. */
static bool event_explained(struct oracle *oracle, const struct op *op, const struct sim_event *asked,
			    const struct member_model *member, const struct model_account *account, int64_t now_ms,
			    const struct outcome *is, struct outcome *wanted)
{
	const struct configs *configs = &oracle->configs[asked->tenant];
	struct event_model event = { asked->type, asked->internal, { true, true, asked->points, asked->amount } };
	if (asked->strict && !member)
		return false;
	for (unsigned c = configs->count; c-- > 0;) {
		if (event_outcome(&configs->list[c], member, account, &event, now_ms, wanted) && outcomes_equal(wanted, is))
			return true;
		if (configs->list[c].lsn <= op->config_lsn[asked->tenant])
			break;
	}
	return false;
}

static struct member_model *member_made(struct oracle *oracle, unsigned tenant, struct str profile, int64_t time_ms)
{
	struct member_model *member = oracle_member(oracle, tenant, profile);
	if (member)
		return member;
	ASSERT(oracle->member_count < MEMBERS_MAX && profile.len < TEXT);
	member = &oracle->members[oracle->member_count++];
	*member = (struct member_model){ .tenant = tenant, .created_ms = time_ms, .status = "ACTIVE" };
	memcpy(member->profile, profile.ptr, profile.len);
	return member;
}

static int64_t points_of(const struct model_account *account)
{
	return account ? (int64_t)((i128)account->credits_posted - (i128)account->debits_posted) : 0;
}

static void reward_take(struct member_model *member, const struct effect_model *effect, int64_t time_ms)
{
	member->rewards = oracle_grown(member->rewards, &member->reward_cap, member->reward_count, sizeof *member->rewards);
	member->rewards[member->reward_count++] = (struct given_model){ (uint32_t)effect->more[0], effect->more[1], time_ms,
									(int64_t)effect->more[2], REWARD_ISSUED };
	member->seq = (uint32_t)effect->more[0];
}

static void effect_take(struct oracle *oracle, struct member_model *member, const struct effect_model *effect, int64_t time_ms)
{
	struct str tenant = str_of(sim_tenants[member->tenant]), profile = str_of(member->profile);
	int64_t points = effect->points;
	switch (effect->type) {
	case EFFECT_EARN:
		model_earn(oracle->model, tenant, profile, (uint64_t)points);
		member->lifetime += points;
		member->status_points += points;
		break;
	case EFFECT_DEBT_PAID:
		member->debt -= points;
		member->lifetime += points;
		member->status_points += points;
		break;
	case EFFECT_BURN:
		LAW(oracle, "L3", model_burn(oracle->model, tenant, profile, (uint64_t)points),
		    "a floor is passed by an event of %s", member->profile);
		break;
	case EFFECT_EARN_REVERSED:
		LAW(oracle, "L3", !points || model_earn_back(oracle->model, tenant, profile, (uint64_t)points),
		    "a floor is passed by a reversal of %s", member->profile);
		member->lifetime -= (int64_t)effect->more[0];
		member->status_points -= (int64_t)effect->more[1];
		member->debt += (int64_t)effect->more[2];
		break;
	case EFFECT_BURN_REVERSED: model_burn_back(oracle->model, tenant, profile, (uint64_t)points); break;
	case EFFECT_STATUS: snprintf(member->status, TEXT, "%s", effect->text); break;
	case EFFECT_TAG: member_tag(member, effect->text); break;
	case EFFECT_TAG_REMOVED: member_untag(member, effect->text); break;
	case EFFECT_STATUS_POINTS_RESET: member->status_points = 0; break;
	case EFFECT_TIER: member->status_points += points; break;
	case EFFECT_REWARD_ISSUED: reward_take(member, effect, time_ms); break;
	case EFFECT_REWARD_REVOKED: member_given(member, (uint32_t)effect->more[0])->state = REWARD_REVOKED; break;
	case EFFECT_BONUS:
		member_award(member, effect->text, (uint32_t)effect->more[1], (uint32_t)effect->more[0], time_ms);
		member->seq = (uint32_t)effect->more[0];
		break;
	case EFFECT_BONUS_WITHDRAWN: member_withdraw(member, (uint32_t)effect->more[0]); break;
	case EFFECT_COUNTED: member_counts(member, effect->more[0], (uint32_t)effect->more[1], (uint32_t)effect->more[2]); break;
	case EFFECT_WEBHOOK:
	case EFFECT_MESSAGE:           /* of the log alone */
	case EFFECT_EMITTED:
	case EFFECT_NONE: break;
	default: law_broken(oracle, "rules", "an effect of type %d", (int)effect->type);
	}
}

static void effects_take(struct oracle *oracle, struct member_model *member, const struct outcome *outcome, bool reversal,
			 int64_t time_ms)
{
	for (unsigned e = 0; e < outcome->effect_count; e++) {
		const struct effect_model *effect = &outcome->effects[e];
		ASSERT((unsigned)effect->type < SEEN_EFFECTS && effect->action < SEEN_ACTIONS);
		oracle->seen.effects[effect->type]++;
		oracle->seen.actions[effect->action] += !reversal;
		effect_take(oracle, member, effect, time_ms);
	}
}

static void movements_take(struct number *number, const struct outcome *outcome, uint64_t lsn, uint64_t undoes)
{
	for (unsigned e = 0; e < outcome->effect_count; e++) {
		const struct effect_model *effect = &outcome->effects[e];
		if (effect->type == EFFECT_EARN || (effect->type == EFFECT_BURN_REVERSED && effect->points))
			oracle_moved(number, lsn, effect->points, undoes);
		else if (effect->type == EFFECT_BURN || (effect->type == EFFECT_EARN_REVERSED && effect->points))
			oracle_moved(number, lsn, -effect->points, undoes);
	}
}

/* ---- reversals ------------------------------------------------------------------------------------------------------ */

/* None is missing: they come to the balance. */
static void movements_check(const struct number *number, const struct model_account *account)
{
	i128 sum = 0;
	for (unsigned i = 0; i < number->movement_count; i++)
		sum += number->movements[i].points;
	ASSERT(sum == points_of(account));
}

/* The event's burns that stay spent, in the movements of its account. */
static void burns_mark(struct number *number, const struct outcome *first, uint64_t lsn, const struct member_model *member)
{
	unsigned at = 0;
	while (at < number->movement_count && number->movements[at].lsn != lsn)
		at++;
	for (unsigned n = 0; n < first->execution_count; n++)
		for (unsigned e = 0; e < first->executions[n].count; e++) {
			const struct effect_model *effect = &first->effects[first->executions[n].first + e];
			if (effect->type == EFFECT_BURN)
				number->movements[at].stays = burn_stays(first, &first->executions[n], e, member);
			at += effect->type == EFFECT_BURN || effect->type == EFFECT_EARN;
		}
}

/* They were given back: for who asks what was spent, they never were. */
static void burns_undone(struct number *number, uint64_t lsn)
{
	for (unsigned i = 0; i < number->movement_count; i++)
		if (number->movements[i].lsn == lsn && number->movements[i].points < 0)
			number->movements[i].undone = !number->movements[i].stays;
}

/* What the event came to, as its record tells. */
static void first_read(struct oracle *oracle, uint64_t lsn, struct event_view *view, struct outcome *first)
{
	uint32_t size;
	const unsigned char *record = oracle_record(oracle, lsn, &size);
	LAW(oracle, "L4", record && event_view_read(record, size, view) && !(view->head.flags & EVENT_REVERSAL),
	    "LSN %llu is undone, and it is not an event's", LLU(lsn));
	LAW(oracle, "L6", outcome_of_record(view, first), "LSN %llu: an event of nobody", LLU(lsn));
}

static const struct op *reversal_asked(const struct oracle *oracle, unsigned tenant, const struct event_view *view)
{
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		if (op->kind == OP_REVERSE && !op->dry && op->tenant == tenant && str_eq(str_of(op->profile), view->id) &&
		    str_eq(str_of(op->body), view->payload))
			return op;
	}
	return NULL;
}

/* Fills what the reversal must come to; returns the LSN of the event that it undoes. */
static uint64_t reversal_expected(struct oracle *oracle, unsigned tenant, const struct event_view *view, struct member_model *member,
				  struct number *number, struct model_account *account, uint64_t lsn, int64_t time_ms, struct outcome *wanted)
{
	static struct outcome first;
	struct event_view event;
	const struct op *op = reversal_asked(oracle, tenant, view);
	LAW(oracle, "L4", op && member, "LSN %llu: nobody asked for the reversal %.*s", LLU(lsn), (int)view->id.len, view->id.ptr);
	first_read(oracle, op->document, &event, &first);
	LAW(oracle, "L4", str_eq(event.tenant, view->tenant) && str_eq(event.profile, view->profile) && str_eq(event.type, view->type),
	    "LSN %llu: what was undone was of another member or type", LLU(lsn));
	if (number) {
		movements_check(number, account);
		burns_mark(number, &first, op->document, member);
	}
	int64_t left = number ? points_left(number->movements, number->movement_count, op->document) : 0;
	LAW(oracle, "rules", reversal_outcome(&first, (enum reverse_policy)op->action, member, account, left, time_ms, wanted),
	    "LSN %llu: the event at %llu is undone, and that must be refused", LLU(lsn), LLU(op->document));
	return op->document;
}

/* What follows from the word: where nothing happened in between, all is as it was before the event. */
static void reversal_exact(struct oracle *oracle, const struct member_model *member, const struct before *before, int64_t points,
			   uint64_t lsn)
{
	const struct member_model *was = &before->member;
	bool same = points == before->points && member->status_points == was->status_points && member->lifetime == was->lifetime &&
		    member->debt == was->debt && strcmp(member->status, was->status) == 0 && member->tag_count == was->tag_count &&
		    member->bonus_count == was->bonus_count;
	for (unsigned i = 0; i < member->tag_count && same; i++)
		same = strcmp(member->tags[i], was->tags[i]) == 0;
	for (unsigned i = 0; i < member->bonus_count && same; i++)
		same = member->bonuses[i].seq == was->bonuses[i].seq;
	for (unsigned i = 0; i < member->counter_count && same; i++)
		same = member->counters[i].count == member_counted_in(was, member->counters[i].key, member->counters[i].period);
	for (unsigned i = 0; i < member->reward_count && same; i++) {
		const struct given_model *given = &member->rewards[i];
		same = given->seq <= was->seq || given->state == REWARD_REVOKED || given->expires_ms;
	}
	LAW(oracle, "reversal", same, "LSN %llu: the event at %llu is undone, nothing else happened to %s, and it is not as before: %lld "
	    "points (%lld), %lld for its status (%lld), %lld in its life (%lld), %lld owed (%lld), status %s (%s), %u tags (%u), %u bonuses "
	    "(%u)", LLU(lsn), LLU(before->lsn), member->profile, (long long)points, (long long)before->points,
	    (long long)member->status_points, (long long)was->status_points, (long long)member->lifetime, (long long)was->lifetime,
	    (long long)member->debt, (long long)was->debt, member->status, was->status, member->tag_count, was->tag_count,
	    member->bonus_count, was->bonus_count);
	oracle->seen.exact++;
}

/* ---- both ----------------------------------------------------------------------------------------------------------- */

static void event_expected(struct oracle *oracle, unsigned tenant, const struct event_view *view, const struct member_model *member,
			   const struct model_account *account, uint64_t lsn, int64_t time_ms, const struct outcome *is,
			   struct outcome *wanted)
{
	const struct sim_event *asked = NULL;
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		for (uint32_t i = 0; op->kind == OP_EVENTS && !op->dry && i < op->count; i++) {
			if (!event_matches(&op->events[i], tenant, view))
				continue;
			asked = &op->events[i];
			if (event_explained(oracle, op, asked, member, account, time_ms, is, wanted))
				return;
		}
	}
	LAW(oracle, "L4", asked, "LSN %llu: nobody sent event %.*s", LLU(lsn), (int)view->id.len, view->id.ptr);
	char is_text[300], wanted_text[300] = "a refusal";
	const struct configs *configs = &oracle->configs[tenant];
	struct event_model event = { asked->type, asked->internal, { true, true, asked->points, asked->amount } };
	outcome_text(is, is_text, sizeof is_text);
	if (event_outcome(&configs->list[configs->count - 1], member, account, &event, time_ms, wanted))
		outcome_text(wanted, wanted_text, sizeof wanted_text);
	law_broken(oracle, "rules", "LSN %llu: event %s of %s came to %s; the rules say %s", LLU(lsn), asked->id, asked->profile, is_text,
		   wanted_text);
}

void oracle_on_event(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms)
{
	static struct outcome is, wanted;
	struct event_view view;
	LAW(oracle, "L6", event_view_read(record, size, &view), "LSN %llu: an event's record cannot be read", LLU(lsn));
	unsigned tenant = oracle_index_of(sim_tenants, view.tenant);
	bool reversal = view.head.flags & EVENT_REVERSAL;
	char id[TEXT] = "";
	LAW(oracle, "L4", tenant < 2 && text_copy(id, view.id), "LSN %llu: an event of nobody", LLU(lsn));
	LAW(oracle, "L4", outcome_of_record(&view, &is), "LSN %llu: event %s came to more than can be: %u executions, %u effects", LLU(lsn),
	    id, view.execution_count, is.effect_count);
	uint64_t known = oracle_event_lsn(oracle, tenant, id);
	LAW(oracle, "L4", known < oracle->following || !known, "LSN %llu: event %s is in the log for the second time, before at %llu; ids "
	    "below %llu are forgotten", LLU(lsn), id, LLU(known), LLU(oracle->following));
	for (unsigned i = 0; i < oracle->event_count && known && reversal; i++)
		LAW(oracle, "L4", !oracle->events[i].reversal || oracle->events[i].tenant != tenant || strcmp(oracle->events[i].id, id) != 0,
		    "LSN %llu: %s is in the log for the second time, first at %llu: an event is undone twice", LLU(lsn), id,
		    LLU(oracle->events[i].lsn));
	oracle->anew += known > 0;
	struct member_model *member = oracle_member(oracle, tenant, view.profile);
	u128 account_id = account_id_of_member(view.tenant, view.profile, STR("default"), STR("points"));
	struct model_account *account = model_account_find(oracle->model, account_id);
	struct number *number = oracle_number_of(oracle, account_id);
	uint64_t undoes = 0;
	if (reversal)
		undoes = reversal_expected(oracle, tenant, &view, member, number, account, lsn, time_ms, &wanted);
	else
		event_expected(oracle, tenant, &view, member, account, lsn, time_ms, &is, &wanted);
	if (reversal && !outcomes_equal(&is, &wanted)) {
		char is_text[300], wanted_text[300];
		outcome_text(&is, is_text, sizeof is_text);
		outcome_text(&wanted, wanted_text, sizeof wanted_text);
		law_broken(oracle, "rules", "LSN %llu: the event of %s at %llu is undone (%.*s) by %s; it must be %s", LLU(lsn), member->profile,
			   LLU(undoes), (int)view.payload.len, view.payload.ptr, is_text, wanted_text);
	}
	LAW(oracle, "time", view.head.time_ms == time_ms, "LSN %llu: an event of another time than its frame", LLU(lsn));
	LAW(oracle, "history", !member == !!(view.head.flags & EVENT_MEMBER_CREATED) &&
	    view.head.prev_member == (member ? member->last_lsn : 0), "LSN %llu: the chain of member %.*s", LLU(lsn),
	    (int)view.profile.len, view.profile.ptr);
	unsigned group = group_of(view.head.head.partition);
	LAW(oracle, "history", view.head.prev_slice == oracle->slice_lsn[tenant][group], "LSN %llu: the chain of group %u", LLU(lsn),
	    group);
	oracle->slice_lsn[tenant][group] = lsn;
	member = member_made(oracle, tenant, view.profile, time_ms);
	struct before *before = &oracle->before[member - oracle->members];
	bool alone = undoes && before->lsn == undoes && member->last_lsn == undoes && before->usual &&
		     before->account_lsn == (number ? number->last_lsn : 0);
	if (!reversal) {
		i128 kept = account ? (i128)account->debits_pending + account->floor : 0;
		*before = (struct before){ .lsn = lsn, .member = *member, .points = points_of(account),
					   .usual = points_of(account) >= kept && (!account || account->floor >= 0) };
	}
	effects_take(oracle, member, &wanted, reversal, time_ms);
	if (is.moved) {
		bool created = view.head.flags & EVENT_ACCOUNT_CREATED;
		LAW(oracle, "L4", created == !account, "LSN %llu: an account comes into being twice, or never", LLU(lsn));
		number = created ? oracle_number_add(oracle, (struct number){ .number = view.head.account, .id = account_id,
									       .tenant = tenant, .kind = ACCOUNT_MEMBER }, lsn)
				 : oracle_number_find(oracle, view.head.account);
		LAW(oracle, "L4", number && number->id == account_id, "LSN %llu: the points of another account moved", LLU(lsn));
		if (undoes)
			burns_undone(number, undoes);
		movements_take(number, &wanted, lsn, undoes);
		oracle_touched(oracle, number, view.head.prev_account, lsn);
	}
	LAW(oracle, "L3", points_of(model_account_find(oracle->model, account_id)) == is.points, "LSN %llu: %s has %lld points, and %lld are told",
	    LLU(lsn), member->profile, (long long)points_of(model_account_find(oracle->model, account_id)), (long long)is.points);
	if (alone)
		reversal_exact(oracle, member, before, is.points, lsn);
	before->account_lsn = number ? number->last_lsn : 0;
	for (unsigned e = 0; e < is.effect_count; e++)
		if (is.effects[e].type == EFFECT_WEBHOOK || is.effects[e].type == EFFECT_MESSAGE)
			oracle->hooked_lsn = lsn;
	member->events++;
	member->active_ms = time_ms;
	member->last_lsn = lsn;
	ASSERT(oracle->event_count < EVENTS_KEPT);
	struct event_entry *entry = &oracle->events[oracle->event_count++];
	*entry = (struct event_entry){ .lsn = lsn, .id_hash = view.head.id_hash, .tenant = tenant,
					 .moved = is.moved && !reversal, .reversal = reversal };
	memcpy(entry->id, id, TEXT);
	oracle->happened++;
	oracle->reversals += reversal;
}

/* ---- rewards and customers ------------------------------------------------------------------------------------------ */

static bool action_asked(const struct oracle *oracle, unsigned tenant, struct str profile, unsigned what, uint32_t seq)
{
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		if (op->kind == OP_ACTION && !op->dry && op->tenant == tenant && str_eq(str_of(op->profile), profile) &&
		    op->action == what && (what != ACTION_OP_USE_REWARD || op->document == seq))
			return true;
	}
	return false;
}

/* One of a member's rewards is used, or those past their end expire: all of them. */
void oracle_on_action(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms)
{
	struct action_view view;
	uint32_t next = 0;
	LAW(oracle, "L6", action_view_read(record, size, &view), "LSN %llu: an action's record cannot be read", LLU(lsn));
	unsigned tenant = oracle_index_of(sim_tenants, view.tenant);
	struct member_model *member = tenant < 2 ? oracle_member(oracle, tenant, view.profile) : NULL;
	LAW(oracle, "L4", member, "LSN %llu: an action on nobody", LLU(lsn));
	LAW(oracle, "history", view.head.prev_member == member->last_lsn, "LSN %llu: the chain of member %s", LLU(lsn), member->profile);
	bool use = view.head.op == ACTION_OP_USE_REWARD;
	const unsigned char *at = view.effects;
	for (unsigned e = 0; e < view.head.effect_count; e++) {
		struct effect_view effect;
		struct effect_seq seq;
		effect_next(&at, &effect);
		LAW(oracle, "rules", effect.head.type == (use ? EFFECT_REWARD_USED : EFFECT_REWARD_EXPIRED), "LSN %llu: effect %u",
		    LLU(lsn), effect.head.type);
		effect_struct(&effect, &seq, sizeof seq);
		struct given_model *given = NULL;
		for (; next < member->reward_count && !given; next++) {
			struct given_model *one = &member->rewards[next];
			bool due = one->state == REWARD_ISSUED && one->expires_ms && one->expires_ms <= time_ms;
			if (one->seq == seq.seq)
				given = one;
			else
				LAW(oracle, "rules", use || !due, "LSN %llu: reward %u of %s is past its end, and is left", LLU(lsn),
				    one->seq, member->profile);
		}
		LAW(oracle, "L4", given && given->state == REWARD_ISSUED, "LSN %llu: reward %u of %s ends twice, or never was", LLU(lsn),
		    seq.seq, member->profile);
		bool past = given->expires_ms && given->expires_ms <= time_ms;
		LAW(oracle, "rules", past != use, "LSN %llu: reward %u of %s is %s", LLU(lsn), seq.seq, member->profile,
		    use ? "used past its end" : "expired before its end");
		LAW(oracle, "L4", action_asked(oracle, tenant, view.profile, view.head.op, seq.seq), "LSN %llu: nobody asked for it", LLU(lsn));
		given->state = use ? REWARD_USED : REWARD_EXPIRED;
		oracle->seen.effects[effect.head.type]++;
	}
	LAW(oracle, "rules", view.head.effect_count && (!use || view.head.effect_count == 1), "LSN %llu: %u effects", LLU(lsn),
	    view.head.effect_count);
	member->last_lsn = lsn;
}

static void attribute_merge(char out[TEXT], bool given, const char *json)
{
	if (given)
		snprintf(out, TEXT, "%s", strcmp(json, "null") ? json : "");
}

static struct member_model merged(const struct member_model *member, const struct sim_customer *asked)
{
	struct member_model to = *member;
	if (*asked->status)
		snprintf(to.status, TEXT, "%s", asked->status);
	if (asked->tagged) {
		to.tag_count = 0;
		for (unsigned i = 0; i < asked->tag_count; i++)
			member_tag(&to, asked->tags[i]);
	}
	attribute_merge(to.color, asked->colored, asked->color);
	attribute_merge(to.size, asked->sized, asked->size);
	return to;
}

static bool attribute_is(yyjson_val *root, struct str key, const char *wanted)
{
	yyjson_val *value = json_get(root, key);
	struct buf text = { 0 };
	if (value)
		json_write(&text, value);
	bool same = str_eq(buf_view(&text), str_of(wanted));
	buf_free(&text);
	return same;
}

static bool attributes_are(struct str json, const struct member_model *member)
{
	struct json_error error;
	yyjson_doc *doc = json_read(json, &error);
	yyjson_val *root = yyjson_doc_get_root(doc);
	bool good = doc && yyjson_obj_size(root) == (size_t)(*member->color != 0) + (*member->size != 0) &&
		    attribute_is(root, STR("color"), member->color) && attribute_is(root, STR("size"), member->size);
	yyjson_doc_free(doc);
	return good;
}

static bool tags_are(const struct customer_view *view, const struct member_model *member)
{
	const unsigned char *at = view->tags;
	if (view->head.tag_count != member->tag_count)
		return false;
	for (unsigned i = 0; i < member->tag_count; i++)
		if (!str_eq(tag_next(&at), str_of(member->tags[i])))
			return false;
	return true;
}

void oracle_on_customer(struct oracle *oracle, const unsigned char *record, uint32_t size, uint64_t lsn, int64_t time_ms)
{
	struct customer_view view;
	LAW(oracle, "L6", customer_view_read(record, size, &view), "LSN %llu: a customer's record cannot be read", LLU(lsn));
	unsigned tenant = oracle_index_of(sim_tenants, view.tenant);
	LAW(oracle, "L4", tenant < 2, "LSN %llu: a customer of nobody", LLU(lsn));
	const struct member_model *known = oracle_member(oracle, tenant, view.profile);
	struct member_model *member = member_made(oracle, tenant, view.profile, time_ms);
	LAW(oracle, "history", view.head.prev_member == (known ? known->last_lsn : 0), "LSN %llu: the chain of member %s", LLU(lsn),
	    member->profile);
	for (unsigned o = 0; o < oracle->op_count; o++) {
		const struct op *op = oracle->ops[o];
		for (uint32_t i = 0; op->kind == OP_CUSTOMERS && !op->dry && i < op->count; i++) {
			const struct sim_customer *asked = &op->customers[i];
			if (asked->tenant != tenant || strcmp(asked->profile, member->profile) != 0)
				continue;
			struct member_model wanted = merged(member, asked);
			if (!str_eq(str_of(wanted.status), view.status) || !tags_are(&view, &wanted) ||
			    !attributes_are(view.attributes, &wanted))
				continue;
			*member = wanted;
			member->last_lsn = lsn;
			oracle->customers++;
			return;
		}
	}
	law_broken(oracle, "L4", "LSN %llu: nobody asked for what customer %s became", LLU(lsn), member->profile);
}
