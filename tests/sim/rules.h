// SPDX-License-Identifier: Apache-2.0
/* rules.h - configuration, rules and members once more, as plainly as they can be said.
 *
 * It understands only what the simulator's workload uses: a condition is null or {">=":[{"var":"payload.points"},N]}, payloads
 * are {"points":N,"amount":N}, an audience is one of four keys.  It learns the configuration from the log's CATALOG records (their
 * JSON is public) and says what an event must come to under it, by type, points and text of every effect, and what is left of that
 * when it is undone.
 */
#ifndef TESTS_SIM_RULES_H
#define TESTS_SIM_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/catalog/action.h"
#include "engine/event/record.h"
#include "engine/event/reverse.h"
#include "engine/member/member.h"
#include "tests/model/ledger_model.h"

enum { RULES_MAX = 32, RULE_ACTIONS = 4, RULE_LIMITS = 3, TYPES_MAX = 8, TAGS_MAX = 8, TEXT = 40, CONFIGS_MAX = 512,
       DOCUMENTS_MAX = 512, ITEMS_MAX = 12 /* documents of a kind */, BONUSES_MAX = 64, COUNTERS_MAX = 160,
       EXECUTIONS_MAX = 1024, EFFECTS_MAX = 4096 /* of one event */, ACTIONS_UNDERSTOOD = ACTION_CALL_WEBHOOK + 1 };

struct payload_model { bool has_points, has_amount; int64_t points, amount; };

struct action_model {
	enum action_type type;
	bool has_points, has_min, has_max, has_payload;
	int64_t points, min, max;
	int64_t rate;                  /* in tenths */
	char path[TEXT];               /* of what is read from the payload */
	char text[TEXT];               /* what it names: a status, a tag, a key, an id, a URL … */
	struct payload_model payload;  /* EMIT_EVENT */
};

/* "" and INT64_MIN: not asked for. */
struct audience_model { int64_t points, events; char tag[TEXT], status[TEXT]; };

struct rule_model {
	uint64_t id;
	int64_t priority;
	char type[TEXT];
	bool active;
	int64_t at_least;              /* of payload.points; 0: no condition */
	struct audience_model audience;
	struct { int64_t max; char per[TEXT]; } limits[RULE_LIMITS];
	unsigned limit_count;
	struct action_model actions[RULE_ACTIONS];
	unsigned action_count;
};

/* The configuration of one tenant from one LSN on. */
struct config {
	uint64_t lsn;
	struct type_model { uint64_t id; char key[TEXT]; bool active, internal; } types[TYPES_MAX];
	unsigned type_count;
	struct rule_model rules[RULES_MAX];
	unsigned rule_count;
	struct reward_model { uint64_t id; char name[TEXT]; bool active; int64_t cost, days; } rewards[ITEMS_MAX];
	struct bonus_model { uint64_t id; char key[TEXT], policy[TEXT]; bool active; } bonuses[ITEMS_MAX];
	struct tier_model { uint64_t id; char key[TEXT]; int64_t from; bool active; } tiers[ITEMS_MAX];
	unsigned reward_count, bonus_count, tier_count;
};

struct configs { struct config *list; unsigned count; };   /* owned; list[0] is the empty one */

/* Takes a change into a copy of the newest configuration.  False: it is not understood. */
bool config_change(struct configs *configs, uint64_t lsn, bool removed, unsigned kind, uint64_t id, struct str json);
void configs_free(struct configs *configs);
bool payload_model_read(yyjson_val *from, struct payload_model *payload);
bool text_copy(char out[TEXT], struct str text);       /* false: too long */
/* NULL: there is none, or it is not active. */
const struct type_model *config_type(const struct config *config, const char *key);
/* The highest active tier that so many status points reach, and the one below it; NULL: none. */
const struct tier_model *tier_at(const struct config *config, int64_t points, const struct tier_model **below);

struct given_model { uint32_t seq; uint64_t reward; int64_t issued_ms, expires_ms; enum reward_state state; };

struct member_model {
	char profile[TEXT];
	unsigned tenant;
	int64_t status_points, lifetime, debt, created_ms, active_ms;
	uint32_t events;
	char status[TEXT];
	char tags[TAGS_MAX][TEXT];     /* ascending */
	unsigned tag_count;
	char color[TEXT], size[TEXT];  /* attributes, as JSON texts; "": none */
	uint32_t seq;                  /* of the last reward or bonus */
	struct { char key[TEXT]; uint32_t period, seq; int64_t awarded_ms; } bonuses[BONUSES_MAX];
	unsigned bonus_count;
	struct counter_model { uint64_t key; uint32_t period, count; } counters[COUNTERS_MAX];
	unsigned counter_count;
	struct given_model *rewards;   /* owned; never taken out */
	uint32_t reward_count, reward_cap;
	uint64_t last_lsn, account_lsn;
};

bool member_has(const struct member_model *member, const char *tag);
void member_tag(struct member_model *member, const char *tag);
void member_untag(struct member_model *member, const char *tag);
void member_counts(struct member_model *member, uint64_t key, uint32_t period, uint32_t count);
uint32_t member_counted_in(const struct member_model *member, uint64_t key, uint32_t period);
void member_award(struct member_model *member, const char *key, uint32_t period, uint32_t seq, int64_t awarded_ms);
void member_withdraw(struct member_model *member, uint32_t seq);
int member_bonus_at(const struct member_model *member, uint32_t seq);  /* -1: none */
struct given_model *member_given(const struct member_model *member, uint32_t seq);     /* NULL */

enum why { WHY_CONDITION, WHY_AUDIENCE, WHY_LIMIT };           /* a rule was passed over */

struct effect_model {
	enum effect_type type;
	unsigned action;               /* enum action_type; ACTION_TYPES: the rule's limit */
	int64_t points, balance;
	char text[TEXT];
	char before[TEXT];             /* STATUS: what it was */
	/* REWARD_ISSUED: seq, id, end.  BONUS…: seq, period.  COUNTED: key, period, count.  EARN_REVERSED: lifetime points, status
	 * points, debt.  REWARD_REVOKED: seq, state before. */
	uint64_t more[3];
};

/* What an event came to: as the record tells it, or as the rules want it. */
struct outcome {
	unsigned execution_count, effect_count;
	struct execution_model {
		uint64_t rule_id;
		enum execution_result result;
		enum why why;
		unsigned emitted, first, count;        /* effects[first], … */
	} executions[EXECUTIONS_MAX];
	struct effect_model effects[EFFECTS_MAX];
	int64_t points;                /* the balance after */
	bool moved;
};

/* An event as it is asked for. */
struct event_model { const char *type; bool internal; struct payload_model payload; };

/* An event under a configuration, on a member (NULL: a new one) with its points account (NULL: none yet).
 * False: it must be refused: the type is unknown, not active, or not for this sender. */
bool event_outcome(const struct config *config, const struct member_model *member, const struct model_account *account,
		   const struct event_model *event, int64_t now_ms, struct outcome *out);
/* The period that a time lies in, as it stands in the log: EVER, YEAR, MONTH, WEEK or DAY behind whatever comes before. */
uint32_t period_of(const char *per, int64_t now_ms);
bool outcome_of_record(const struct event_view *event, struct outcome *out);   /* false: more in it than the workload can make */
void outcome_text(const struct outcome *outcome, char *text, size_t size);     /* for people */
bool outcomes_equal(const struct outcome *a, const struct outcome *b);
/* One more effect of the execution that is being made. */
struct effect_model *outcome_add(struct outcome *out, enum effect_type type, unsigned action, int64_t points, int64_t balance,
				 const char *text);

/* What it takes to undo an event: the table in docs/api.md.  `left`: what is left of the event's own points (undo.c: the account's
 * movements), for the policy that asks for it.  False: it must be refused. */
bool reversal_outcome(const struct outcome *first, enum reverse_policy policy, const struct member_model *member,
		      const struct model_account *account, int64_t left, int64_t now_ms, struct outcome *out);
/* Whether this burn bought a reward that has been used, so that its points stay spent. */
bool burn_stays(const struct outcome *outcome, const struct execution_model *execution, unsigned effect,
		const struct member_model *member);

/* One change of a balance, in the order of the log. */
struct movement {
	uint64_t lsn;
	int64_t points;                /* above 0: in */
	uint64_t undoes;               /* a reversal's: LSN of the event */
	bool undone;                   /* a burn that was given back */
	bool stays;                    /* see points_left */
};

/* First in, first out: how many of the points that the event at `lsn` brought are still there.  What later events burned and was
 * given back since was never spent; so are the event's own burns but those marked `stays`. */
int64_t points_left(const struct movement *list, unsigned count, uint64_t lsn);

#endif
