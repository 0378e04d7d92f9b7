// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/actions.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/catalog/view.h"
#include "tests/sim/kinds.h"

static uint64_t chance(uint64_t *seed, uint64_t below)
{
	return disk_chance(seed, below);
}

static bool one_in(uint64_t *seed, uint64_t count)
{
	return chance(seed, count) == 0;
}

const char *name_draw(uint64_t *seed)
{
	static const char *const names[] = { "gold", "silver", "red", "green", "blue", "big", "tall" };
	return names[chance(seed, sizeof names / sizeof *names)];
}

/* What the field's type alone does not say: paths into payloads, whose members are points and amount, URLs, small numbers. */
static void argument_write(struct buf *out, const struct field *field, const struct oracle *oracle, unsigned tenant, uint64_t *seed)
{
	static const char *const paths[] = { "points", "points", "amount", "amount", "nothing" };
	if (field->type == FIELD_TEXT && (strcmp(field->name, "from_payload") == 0 || strcmp(field->name, "amount_path") == 0))
		buf_printf(out, "\"%s\"", paths[chance(seed, 5)]);
	else if (field->type == FIELD_TEXT && strcmp(field->name, "url") == 0)
		buf_printf(out, "\"http://there-%u/\"", (unsigned)chance(seed, 3));
	else if (field->type == FIELD_TEXT)
		buf_printf(out, "\"%s\"", name_draw(seed));
	else if (field->type == FIELD_DECIMAL)
		buf_printf(out, "%u.%u", (unsigned)chance(seed, 4), (unsigned)chance(seed, 10));
	else if (field->type == FIELD_INT)
		buf_printf(out, "%u", 1 + (unsigned)chance(seed, 30));
	else if (field->type == FIELD_JSON && one_in(seed, 3))
		buf_printf(out, "{\"points\":%u}", (unsigned)chance(seed, 60));
	else if (field->type == FIELD_JSON)
		buf_printf(out, "{\"points\":%u,\"amount\":%u}", (unsigned)chance(seed, 60), (unsigned)chance(seed, 40));
	else
		field_draw(out, field, oracle, tenant, chance(seed, 6), seed);
}

/* Which of those that exclude one another is given; NULL: the field is none of them. */
static bool excluded(const struct action_kind *kind, const char *name, unsigned chosen)
{
	for (unsigned i = 0; kind->one_of && kind->one_of[i]; i++)
		if (strcmp(kind->one_of[i], name) == 0)
			return i != chosen;
	return false;
}

static bool is_one_of(const struct action_kind *kind, const char *name)
{
	for (unsigned i = 0; kind->one_of && kind->one_of[i]; i++)
		if (strcmp(kind->one_of[i], name) == 0)
			return true;
	return false;
}

static void action_write(struct buf *out, const struct oracle *oracle, unsigned tenant, uint64_t *seed)
{
	static const enum action_type often[] = { ACTION_EARN, ACTION_EARN_FROM_AMOUNT, ACTION_BURN, ACTION_EMIT_EVENT,
						  ACTION_ISSUE_REWARD, ACTION_REDEEM_REWARD };
	enum action_type type = one_in(seed, 3) ? often[chance(seed, 6)] : (enum action_type)chance(seed, ACTION_TYPES);
	const struct action_kind *kind = &action_kinds[type];
	unsigned exclusive = 0;
	while (kind->one_of && kind->one_of[exclusive])
		exclusive++;
	unsigned chosen = exclusive ? (unsigned)chance(seed, exclusive) : 0;
	buf_printf(out, "{\"type\":\"%s\"", kind->name);
	for (const struct field *field = kind->args; field->name; field++) {
		bool there = (field->flags & REQUIRED) || is_one_of(kind, field->name) || one_in(seed, 3);
		if (!there || excluded(kind, field->name, chosen))
			continue;
		buf_printf(out, ",\"%s\":", field->name);
		argument_write(out, field, oracle, tenant, seed);
	}
	buf_char(out, '}');
}

static void audience_write(struct buf *out, uint64_t *seed)
{
	unsigned what = (unsigned)chance(seed, 16);
	if (what > 4) {
		buf_lit(out, "null");
		return;
	}
	buf_char(out, '{');
	if (what == 0 || what == 4)
		buf_printf(out, "\"points_gte\":%u", (unsigned)chance(seed, 80));
	if (what == 1 || what == 4)
		buf_printf(out, "%s\"events_gte\":%u", what == 4 ? "," : "", (unsigned)chance(seed, 30));
	if (what == 2)
		buf_printf(out, "\"tags_any\":[\"%s\"]", name_draw(seed));
	if (what == 3)
		buf_printf(out, "\"status_in\":[\"%s\"]", one_in(seed, 2) ? "ACTIVE" : name_draw(seed));
	buf_char(out, '}');
}

static void limits_write(struct buf *out, uint64_t *seed)
{
	unsigned count = one_in(seed, 3) ? 1 + (unsigned)chance(seed, RULE_LIMITS) : 0;
	buf_char(out, '[');
	for (unsigned i = 0; i < count; i++) {
		buf_printf(out, "%s{\"max\":%u", i ? "," : "", 1 + (unsigned)chance(seed, 4));
		if (!one_in(seed, 4))
			buf_printf(out, ",\"per\":\"%s\"", limit_period_names[chance(seed, PERIODS)]);
		buf_char(out, '}');
	}
	buf_char(out, ']');
}

void rule_write(struct buf *out, const char *type, const struct oracle *oracle, unsigned tenant, uint64_t *seed)
{
	unsigned count = 1 + (unsigned)chance(seed, RULE_ACTIONS - 1);
	buf_char(out, '{');
	if (type)
		buf_printf(out, "\"event_type\":\"%s\",", type);
	buf_printf(out, "\"priority\":%u,\"active\":%s,\"conditions\":", (unsigned)chance(seed, 4), one_in(seed, 6) ? "false" : "true");
	if (one_in(seed, 2))
		buf_lit(out, "null");
	else
		buf_printf(out, "{\">=\":[{\"var\":\"payload.points\"},%u]}", 1 + (unsigned)chance(seed, 40));
	buf_lit(out, ",\"audience\":");
	audience_write(out, seed);
	buf_lit(out, ",\"limits\":");
	limits_write(out, seed);
	buf_lit(out, ",\"actions\":[");
	for (unsigned i = 0; i < count; i++) {
		if (i)
			buf_char(out, ',');
		action_write(out, oracle, tenant, seed);
	}
	buf_lit(out, "]}");
}
