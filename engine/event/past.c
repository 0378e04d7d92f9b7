// SPDX-License-Identifier: Apache-2.0
#include "engine/event/past.h"

#include "engine/base/hash.h"
#include "engine/event/effect.h"
#include "engine/member/member.h"

bool past_previous(const unsigned char *record, size_t len, uint64_t *previous)
{
	struct event_view event;
	struct customer_view customer;
	struct action_view action;
	if (event_view_read(record, len, &event))
		*previous = event.head.prev_member;
	else if (customer_view_read(record, len, &customer))
		*previous = customer.head.prev_member;
	else if (action_view_read(record, len, &action))
		*previous = action.head.prev_member;
	else
		return false;
	return true;
}

static struct member *member_at(struct past *past, struct str tenant, struct str profile, int64_t time_ms)
{
	if (!past->member)
		past->member = member_new(NULL, hash_name(HASH_MEMBER, tenant, profile), profile, time_ms);
	return past->member;
}

static bool effects_take(struct member *member, const unsigned char *at, unsigned count, int64_t time_ms)
{
	for (unsigned e = 0; e < count; e++) {
		struct effect_view effect;
		effect_next(&at, &effect);
		if (!effect_on_member(member, &effect, time_ms))
			return false;
	}
	return true;
}

bool past_execution(struct past *past, const struct execution_view *execution, int64_t time_ms)
{
	return effects_take(past->member, execution->effects, execution->head.effect_count, time_ms);
}

void past_begin(struct past *past, const struct event_view *event)
{
	member_at(past, event->tenant, event->profile, event->head.time_ms);
}

static bool event_take(struct past *past, const struct event_view *event)
{
	const unsigned char *at = event->executions;
	past_begin(past, event);
	for (unsigned i = 0; i < event->execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		if (!past_execution(past, &execution, event->head.time_ms))
			return false;
	}
	past->member->event_count++;
	past->member->active_ms = event->head.time_ms;
	return true;
}

bool past_take(struct past *past, const unsigned char *record, size_t len)
{
	struct event_view event;
	struct customer_view customer;
	struct action_view action;
	if (event_view_read(record, len, &event))
		return event_take(past, &event);
	if (action_view_read(record, len, &action))
		return effects_take(member_at(past, action.tenant, action.profile, action.head.time_ms), action.effects,
				    action.head.effect_count, action.head.time_ms);
	if (!customer_view_read(record, len, &customer))
		return false;
	struct member *member = member_at(past, customer.tenant, customer.profile, customer.head.time_ms);
	const unsigned char *at = customer.tags;
	member_clear_tags(member);
	for (unsigned i = 0; i < customer.head.tag_count && i < MEMBER_TAGS_MAX; i++)
		member_add_tag(member, tag_next(&at));
	member_set_status(member, customer.status);
	member_set_attributes(member, customer.attributes);
	return true;
}

void past_free(struct past *past)
{
	if (past->member)
		member_free(past->member);
	past->member = NULL;
}

int64_t execution_net(const struct execution_view *execution)
{
	const unsigned char *at = execution->effects;
	int64_t net = 0;
	for (unsigned e = 0; e < execution->head.effect_count; e++) {
		struct effect_view effect;
		effect_next(&at, &effect);
		net += effect_kinds[effect.head.type].moves * effect.head.points;
	}
	return net;
}

int64_t event_net(const struct event_view *event)
{
	const unsigned char *at = event->executions;
	int64_t net = 0;
	for (unsigned i = 0; i < event->execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		net += execution_net(&execution);
	}
	return net;
}
