// SPDX-License-Identifier: Apache-2.0
/* operations_member.c - what the reference says about rewards, tiers and bonuses of customers, reversals, and internal jobs. */
#include <stddef.h>

#include "net/surface/operations.h"

#define ITEM_ID(name) { name, "{'type':'string','pattern':'^[0-9a-f]{16}-[0-9]+$'}", "As a list gave it", true }
#define JOB_ID { { "id", "{'type':'string','pattern':'^[1-9][0-9]*$'}", "The job", true } }
#define DIGITS "{'type':'string','pattern':'^[1-9][0-9]{0,9}$'}"
#define LIMIT(number) { "limit", "{'type':'integer','minimum':1,'maximum':1000,'default':" number "}", "Entries of a page", false }
#define OFFSET { "offset", "{'type':'integer','minimum':0,'maximum':1000000,'default':0}", "Entries to leave out", false }
#define CURSOR(schema) { "cursor", schema, "What X-Next-Cursor of the page before held", false }
#define JOB_PROBLEMS "not_found invalid stopping memory_full log_unreadable"

const struct operation member_operations[] = {
	{ .name = "transactions.reverse",
	  .more = "The policy says what becomes of points that were spent meanwhile: left takes back what is left of them, zero takes "
		  "what the balance has, debt takes all and leaves the rest owed. Sent twice, it is done once.",
	  .flags = WITH_BRAND | WITH_DRY_RUN | STRICT_QUERY,
	  .path = { { "id", "{'type':'string','pattern':'^[0-9a-f]{32}$'}", "The transaction", true } },
	  .body = "ReverseRequest", .body_optional = true,
	  .answers = { ANSWER(201, "TransactionFull", "It was undone"), ANSWER(200, "TransactionFull", "A repeat, or a dry run") },
	  .problems = "validation_failed not_found not_reversible moved_on event_id_reused event_too_large outcome_pruned history_pruned "
		      "query_too_broad log_unreadable memory_full disk_full" },
	{ .name = "transactions.explain", .more = "Each condition with the values it met, as rules and customer were then.",
	  .flags = WITH_BRAND | STRICT_QUERY,
	  .path = { { "id", "{'type':'string','pattern':'^[0-9a-f]{32}$'}", "The transaction", true } },
	  .answers = { ANSWER(200, "Explanation", "Rule by rule") }, .problems = "not_found history_pruned log_unreadable" },
	{ .name = "customers.rewards", .flags = WITH_BRAND | STRICT_QUERY,
	  .query = { { "state", "{'enum':['ISSUED','USED','EXPIRED','REVOKED']}", "In this state", false }, LIMIT("100"), OFFSET,
		     CURSOR(DIGITS) },
	  .answers = { ANSWER(200, "[CustomerReward]", "A page", .headers = "X-Total-Count X-Next-Cursor") },
	  .problems = "customer_unknown cursor_invalid" },
	{ .name = "customers.use_reward", .flags = WITH_BRAND | WITH_DRY_RUN | STRICT_QUERY, .path = { ITEM_ID("customer_reward_id") },
	  .answers = { ANSWER(200, "RewardUsed", "It was used") },
	  .problems = "not_found customer_unknown reward_used reward_expired reward_revoked event_too_large memory_full disk_full" },
	{ .name = "customers.loyalty", .flags = WITH_BRAND,
	  .answers = { ANSWER(200, "Loyalty", "The tier") }, .problems = "customer_unknown" },
	{ .name = "bonus_awards.list", .flags = WITH_BRAND | STRICT_QUERY,
	  .query = { { "profileId", "{'type':'string'}", "Of this customer", false },
		     { "bonusKey", "{'type':'string'}", "Of this bonus", false }, LIMIT("100"), OFFSET,
		     CURSOR("{'type':'string','pattern':'^[0-9a-f]+-[0-9a-f]+-[0-9a-f]+$'}") },
	  .answers = { ANSWER(200, "[BonusAward]", "A page", .headers = "X-Next-Cursor") },
	  .problems = "cursor_invalid query_too_broad" },
	{ .name = "bonus_awards.get", .flags = WITH_BRAND, .path = { ITEM_ID("id") },
	  .answers = { ANSWER(200, "BonusAward", "The award") }, .problems = "not_found" },
	{ .name = "internal_jobs.preview", .flags = WITH_BRAND | STRICT_QUERY, .path = JOB_ID, .query = { LIMIT("50"), OFFSET },
	  .answers = { ANSWER(200, "JobPreview", "Whom it would choose") }, .problems = JOB_PROBLEMS },
	{ .name = "internal_jobs.run",
	  .more = "An event's id follows from job, bucket and customer: a second run within the same bucket makes nothing twice.",
	  .flags = WITH_BRAND | WITH_DRY_RUN | STRICT_QUERY, .path = JOB_ID,
	  .answers = { ANSWER(200, "JobRun", "It has run") }, .problems = JOB_PROBLEMS " job_inactive job_running disk_full" },
	{ .name = "rewards.expire", .flags = WITH_BRAND | WITH_DRY_RUN | STRICT_QUERY,
	  .answers = { ANSWER(200, "RewardsExpired", "Done") }, .problems = "stopping memory_full disk_full" },
	{ 0 },
};
