// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/brand.h"

#define IN_BRAND "X-Brand: BRAND_A\n\n"
#define NEXT "\n---\n"

const char brand_requests[] =
	/* $A to $C */
	"event_types.create\n" IN_BRAND "{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"Purchase\",\"active\":true}" NEXT
	"event_types.create\n" IN_BRAND "{\"key\":\"TICK\",\"origin\":\"INTERNAL\",\"name\":\"Tick\",\"active\":true}" NEXT
	"event_types.create\n" IN_BRAND "{\"key\":\"VISIT\",\"origin\":\"EXTERNAL\",\"name\":\"Visit\",\"active\":true,\"payload_schema\":"
	"{\"type\":\"object\",\"properties\":{\"place\":{\"type\":\"string\"}},\"required\":[\"place\"]}}" NEXT
	/* $D to $H */
	"loyalty_tiers.create\n" IN_BRAND "{\"key\":\"BASE\",\"name\":\"Base\",\"rank\":0,\"min_status_points\":0,\"active\":true}" NEXT
	"loyalty_tiers.create\n" IN_BRAND "{\"key\":\"GOLD\",\"name\":\"Gold\",\"rank\":1,\"min_status_points\":100,\"active\":true}" NEXT
	"bonus_definitions.create\n" IN_BRAND "{\"bonus_key\":\"WELCOME\",\"policy\":\"ONCE_EVER\",\"active\":true}" NEXT
	"bonus_definitions.create\n" IN_BRAND "{\"bonus_key\":\"DAILY\",\"policy\":\"ONCE_PER_DAY\",\"active\":true}" NEXT
	"rewards.create\n" IN_BRAND "{\"name\":\"Coffee\",\"type\":\"GENERIC\",\"cost_points\":30,\"active\":true}" NEXT
	/* $I to $L */
	"rules.create\n" IN_BRAND "{\"event_type\":\"PURCHASE\",\"priority\":0,\"active\":true,\"actions\":[{\"type\":\"earn_points_from_amount\","
	"\"rate\":1.5,\"amount_path\":\"amount\"},{\"type\":\"record_bonus_award\",\"bonusKey\":\"WELCOME\"}],\"limits\":[]}" NEXT
	"rules.create\n" IN_BRAND "{\"event_type\":\"PURCHASE\",\"priority\":1,\"active\":true,\"conditions\":{\">\":[{\"var\":\"payload.amount\"},50]},"
	"\"actions\":[{\"type\":\"issue_reward\",\"reward_id\":\"$H\"},{\"type\":\"add_customer_tag\",\"tag\":\"big\"}],\"limits\":[]}" NEXT
	"rules.create\n" IN_BRAND "{\"event_type\":\"VISIT\",\"priority\":0,\"active\":true,\"actions\":[{\"type\":\"redeem_reward\","
	"\"reward_id\":\"$H\"},{\"type\":\"record_bonus_award\",\"bonusKey\":\"DAILY\"}],\"limits\":[]}" NEXT
	"rules.create\n" IN_BRAND "{\"event_type\":\"TICK\",\"priority\":0,\"active\":true,\"actions\":[{\"type\":\"earn_points\",\"points\":5}],"
	"\"limits\":[]}" NEXT
	/* $M, $N */
	"campaigns.create\n" IN_BRAND "{\"name\":\"Summer\",\"active\":true}" NEXT
	"internal_jobs.create\n" IN_BRAND "{\"job_key\":\"ticks\",\"event_type\":\"TICK\",\"selector\":{},\"payload_template\":{},\"active\":true}" NEXT
	/* $O to $Q */
	"customers.upsert\n" IN_BRAND "{\"profileId\":\"p-1\",\"tags\":[\"vip\"],\"birthdate\":\"1990-01-31\",\"name\":\"Ada\"}" NEXT
	"customers.upsert\n" IN_BRAND "{\"profileId\":\"p-2\"}" NEXT
	"customers.upsert\n" IN_BRAND "{\"profileId\":\"p-3\",\"tags\":[\"vip\",\"new\"]}" NEXT
	/* $R to $W */
	"transactions.create\n\n{\"brand\":\"BRAND_A\",\"profileId\":\"p-1\",\"eventType\":\"PURCHASE\",\"eventId\":\"e-1\",\"source\":\"WEB\","
	"\"payload\":{\"amount\":120}}" NEXT
	"transactions.create\n\n{\"brand\":\"BRAND_A\",\"profileId\":\"p-2\",\"eventType\":\"PURCHASE\",\"eventId\":\"e-2\",\"source\":\"WEB\","
	"\"payload\":{\"amount\":20}}" NEXT
	"transactions.create\n\n{\"brand\":\"BRAND_A\",\"profileId\":\"p-1\",\"eventType\":\"VISIT\",\"eventId\":\"e-3\",\"source\":\"APP\","
	"\"payload\":{\"place\":\"here\"}}" NEXT
	"transactions.create\n\n{\"brand\":\"BRAND_A\",\"profileId\":\"p-1\",\"eventType\":\"PURCHASE\",\"eventId\":\"e-4\",\"source\":\"WEB\","
	"\"payload\":{\"amount\":99.99}}" NEXT
	"transactions.create\n\n{\"brand\":\"BRAND_A\",\"profileId\":\"p-3\",\"eventType\":\"PURCHASE\",\"eventId\":\"e-5\",\"source\":\"WEB\","
	"\"payload\":{\"amount\":70}}" NEXT
	"transactions.reverse/$S\n" IN_BRAND "{\"policy\":\"left\",\"reason\":\"returned\"}" NEXT
	/* $X and on: what the ledger has beside events */
	"ledger.accounts.create\n\n[{\"id\":\"00000000000000000000000000000001\",\"tenant\":\"BRAND_A\",\"unit\":\"stamps\"},"
	"{\"id\":\"00000000000000000000000000000002\",\"tenant\":\"BRAND_A\",\"unit\":\"stamps\",\"floor\":0}]" NEXT
	"ledger.transfers.create\n\n[{\"id\":\"0000000000000000000000000000002a\",\"debit\":\"00000000000000000000000000000001\","
	"\"credit\":\"00000000000000000000000000000002\",\"amount\":70},{\"id\":\"0000000000000000000000000000002b\","
	"\"debit\":\"00000000000000000000000000000001\",\"credit\":\"00000000000000000000000000000002\",\"amount\":7,\"flags\":[\"pending\"],"
	"\"timeout\":86400}]" NEXT
	"ledger.transfers.create\n\n{\"id\":\"0000000000000000000000000000002c\",\"debit\":\"00000000000000000000000000000002\","
	"\"credit\":\"00000000000000000000000000000001\",\"amount\":20}" NEXT
	"pos.accounts.create\n\n{\"org_id\":\"org_1\",\"customer_id\":\"cust_789\",\"account_type\":1,\"unit\":\"points\"}" NEXT
	"rules.update/$K\n" IN_BRAND "{\"priority\":3}"
;
