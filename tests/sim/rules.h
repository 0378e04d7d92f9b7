// SPDX-License-Identifier: Apache-2.0
/* rules.h - configuration, rules and members once more, as plainly as they can be said.
 *
 * It understands only what the simulator's workload uses: a condition is null or {">=":[{"var":"payload.points"},N]}, payloads
 * are {"points":N,"amount":N}.  It learns the configuration from the log's CATALOG records (their JSON is public) and says what
 * an event must come to under it, by type, points and text of every effect.
 */
#ifndef TESTS_SIM_RULES_H
#define TESTS_SIM_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/event/record.h"
#include "engine/member/member.h"
#include "tests/model/ledger_model.h"

enum { RULES_MAX = 32, RULE_ACTIONS = 4, TYPES_MAX = 4, TAGS_MAX = 8, TEXT = 40, CONFIGS_MAX = 512,
       DOCUMENTS_MAX = 512, ITEMS_MAX = 12 /* documents of a kind */, BONUSES_MAX = 64, EFFECTS_MAX = 2 * RULE_ACTIONS };

enum rule_act { ACT_EARN, ACT_EARN_PAYLOAD, ACT_EARN_AMOUNT, ACT_BURN, ACT_BURN_PAYLOAD, ACT_STATUS, ACT_TAG, ACT_RESET,
		ACT_ISSUE, ACT_REDEEM, ACT_BONUS, ACT_DOWNGRADE, ACT_TIER };

struct rule_model {
	uint64_t id;
	int64_t priority;
	char type[TEXT];
	bool active;
	int64_t at_least;              /* of payload.points; 0: no condition */
	struct { enum rule_act act; int64_t number; char text[TEXT]; } actions[RULE_ACTIONS];
	unsigned action_count;
};

/* The configuration of one tenant from one LSN on. */
struct config {
	uint64_t lsn;
	struct { uint64_t id; char key[TEXT]; bool active; } types[TYPES_MAX];
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

struct member_model {
	char profile[TEXT];
	unsigned tenant;
	int64_t status_points, lifetime, created_ms, active_ms;
	uint32_t events;
	char status[TEXT];
	char tags[TAGS_MAX][TEXT];     /* ascending */
	unsigned tag_count;
	char color[TEXT], size[TEXT];  /* attributes, as JSON texts; "": none */
	uint32_t seq;                  /* of the last reward or bonus */
	struct { char key[TEXT], period[16]; } bonuses[BONUSES_MAX];
	unsigned bonus_count;
	struct given_model { uint32_t seq; uint64_t reward; int64_t expires_ms; enum reward_state state; } *rewards;   /* owned */
	uint32_t reward_count, reward_cap;
	uint64_t last_lsn, account_lsn;
};

bool member_has(const struct member_model *member, const char *tag);
void member_tag(struct member_model *member, const char *tag);

/* What an event came to: as the record tells it, or as the rules want it. */
struct outcome {
	unsigned execution_count;
	struct {
		uint64_t rule_id;
		enum execution_result result;
		unsigned effect_count;
		struct { enum effect_type type; int64_t points, balance; char text[TEXT], period[16]; uint64_t more[3]; } effects[EFFECTS_MAX];
		/* period: of a bonus, and only as the rules want it */
	} executions[RULES_MAX];
	int64_t points;                /* the balance after */
	bool moved;
};

/* An event under a configuration, on a member (NULL: a new one) with its points account (NULL: none yet).
 * False: the type is unknown or not active. */
bool event_outcome(const struct config *config, const struct member_model *member, const struct model_account *account,
		   const char *type, int64_t points, int64_t amount, int64_t now_ms, struct outcome *out);
/* The period of a bonus policy that a time lies in, as text. */
void period_of(const char *policy, int64_t now_ms, char period[16]);
/* False: more in it than the workload can make. */
bool outcome_of_record(const struct event_view *event, struct outcome *out);
void outcome_text(const struct outcome *outcome, char *text, size_t size);     /* for people */
bool outcomes_equal(const struct outcome *a, const struct outcome *b);

#endif
