// SPDX-License-Identifier: Apache-2.0
/* schemas.c - the table of shapes.  A test holds every answer of a running server against them. */
#include "net/surface/schema.h"

#include <stddef.h>

#define TEXT "{'type':'string'}"
#define TEXT_OR_NULL "{'type':['string','null']}"
#define BOOL "{'type':'boolean'}"
#define INTEGER "{'type':'integer'}"
#define COUNT "{'type':'integer','minimum':0}"
#define LSN "Lsn"
#define NUMBERS "{'type':'string','pattern':'^-?[0-9]+$'}"

static const struct member_of fault[] = {
	{ "pointer", TEXT, "JSON pointer (RFC 6901) to what is wrong; empty: the whole document", "'/payload/amount'", 0 },
	{ "detail", TEXT, "What was found and what was expected", "'expected at least 0'", 0 },
	{ 0 }
};

static const struct member_of problem[] = {
	{ "type", "{'type':'string','format':'uri-reference'}", "Where the code is described: /v1/problems/CODE",
	  "'/v1/problems/validation_failed'", 0 },
	{ "title", TEXT, "What the code means; the same whenever it happens", "'The document does not have the expected shape'", 0 },
	{ "status", "{'type':'integer','minimum':400,'maximum':599}", "The HTTP status", "422", 0 },
	{ "code", "{'type':'string','pattern':'^[a-z0-9_]+$'}", "For programs; it never changes its meaning", "'validation_failed'", 0 },
	{ "detail", TEXT, "What happened this time", "'the payload does not fit the schema of event type S'", OPTIONAL },
	{ "index", COUNT, "In a batch: the row, from 0", NULL, OPTIONAL },
	{ "errors", "[Fault]", "What is wrong with a document, place by place", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of problem_type[] = {
	{ "code", TEXT, "The code", "'event_id_reused'", 0 },
	{ "statuses", "{'type':'array','items':{'type':'integer'}}", "HTTP statuses it comes with", "[409]", 0 },
	{ "title", TEXT, "What it means", "'The event id was used for another event'", 0 },
	{ "action", TEXT, "What the caller can do", "'Give a new event its own id; send a repeat unchanged.'", 0 },
	{ "scope", "{'enum':['operation','request','rpc','ledger']}",
	  "Whether single operations give it, every request may meet it, or only MessagePack-RPC; ledger: a refusal of the ledger",
	  "'operation'", 0 },
	{ 0 }
};

/* ---- events ---------------------------------------------------------------------------------------------------------------- */

static const struct member_of event_create[] = {
	{ "brand", "Name", "The brand whose event it is", "'BRAND_A'", 0 },
	{ "profileId", "Name", "The customer; created if unknown", "'p-1'", 0 },
	{ "eventType", "Name", "Key of an active EXTERNAL event type", "'PURCHASE'", 0 },
	{ "eventId", "Name", "Unique in the brand; the same event again gives the first outcome", "'purchase_001'", 0 },
	{ "source", "{'type':['string','null'],'maxLength':200}", "Where it came from", "'WEB'", OPTIONAL },
	{ "payload", "{'type':['object','null']}", "What happened; must fit the type's payload_schema", "{'amount':120}", OPTIONAL },
	{ 0 }
};

static const struct member_of effect[] = {
	{ "type", TEXT, "Type of the action", "'earn_points_from_amount'", 0 },
	{ "effect", TEXT, "What came of it", "'EARN'", 0 },
	{ "points", INTEGER, "Points moved", "120", OPTIONAL },
	{ "balance", INTEGER, "The balance after it", "120", OPTIONAL },
	{ "status", TEXT, "The status set", NULL, OPTIONAL },
	{ "tag", TEXT, "The tag added", NULL, OPTIONAL },
	{ "reward_id", TEXT, "The reward issued", NULL, OPTIONAL },
	{ "customer_reward_id", TEXT, "What the customer has of it", NULL, OPTIONAL },
	{ "bonus_award_id", TEXT, "The award made", NULL, OPTIONAL },
	{ "note", TEXT, "Why there was nothing to do", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of execution_details[] = {
	{ "matched", BOOL, "Whether the condition held", "true", 0 },
	{ "actions", "[Effect]", "In order; all or nothing", NULL, 0 },
	{ "error", TEXT, "Why the rule failed", NULL, OPTIONAL },
	{ "reason", TEXT, "Of a skipped one, where it was not the condition: a limit, the audience", NULL, OPTIONAL },
	{ "emitted", COUNT, "Events it emitted", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of execution[] = {
	{ "rule_id", TEXT, "The rule", "'2'", 0 },
	{ "result", "{'enum':['SUCCESS','SKIPPED','FAILED']}", "SKIPPED: the condition did not hold", "'SUCCESS'", 0 },
	{ "details", "ExecutionDetails", NULL, NULL, 0 },
	{ 0 }
};

#define TRANSACTION_ID \
	{ "id", "{'type':'string','pattern':'^[0-9a-f]{32}$'}", "32 hex digits, bound to the brand; the last 16 are the LSN", \
	  "'011063e390b44ed60000000000000330'", 0 }
#define TRANSACTION_HEAD \
	TRANSACTION_ID, \
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 }, \
	{ "eventId", TEXT, NULL, "'purchase_001'", 0 }, \
	{ "profileId", TEXT, NULL, "'p-1'", 0 }, \
	{ "eventType", TEXT, NULL, "'PURCHASE'", 0 }
#define TRANSACTION_TAIL \
	{ "status", "{'enum':['PROCESSED','PROCESSED_WITH_ERRORS']}", "With errors: a rule failed", "'PROCESSED'", 0 }, \
	{ "idempotent", BOOL, "True: the id was known, and this is the first outcome", "false", 0 }, \
	{ "reversal", "{'const':true}", "It undoes another one", NULL, OPTIONAL }, \
	{ "error_code", "{'enum':['NO_RULES','RULE_FAILED',null]}", NULL, "null", 0 }, \
	{ "executions", "[Execution]", "One for each active rule of the event type, in order", NULL, 0 }, \
	{ "points", INTEGER, "The balance after it", "120", 0 }, \
	{ "lsn", LSN, "Where it is in the log; 0 with dry_run", "816", 0 }

static const struct member_of transaction[] = { TRANSACTION_HEAD, TRANSACTION_TAIL, { 0 } };

static const struct member_of transaction_full[] = {
	TRANSACTION_HEAD,
	{ "source", TEXT_OR_NULL, NULL, "'WEB'", 0 },
	{ "payload", "{'type':'object'}", "As it was sent", "{'amount':120}", 0 },
	{ "created_at", "Time", NULL, NULL, 0 },
	TRANSACTION_TAIL,
	{ "reversedBy", "{'type':'string','pattern':'^[0-9a-f]{32}$'}", "The transaction that undid it, where it is read by id", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of explanation_rule[] = {
	{ "rule_id", TEXT, NULL, "'2'", 0 },
	{ "result", "{'enum':['SUCCESS','SKIPPED','FAILED']}", NULL, "'SKIPPED'", 0 },
	{ "fired", BOOL, NULL, "false", 0 },
	{ "emitted", COUNT, "By which of the events emitted it was asked", NULL, OPTIONAL },
	{ "why", TEXT, "In a sentence", "'the condition did not hold'", 0 },
	{ "error", TEXT, NULL, NULL, OPTIONAL },
	{ "reason", TEXT, NULL, NULL, OPTIONAL },
	{ "rule_version", COUNT, "As it was then", "1", OPTIONAL },
	{ "name", TEXT_OR_NULL, NULL, "null", OPTIONAL },
	{ "event_type", TEXT_OR_NULL, NULL, "'PURCHASE'", OPTIONAL },
	{ "priority", "{'type':['integer','null']}", NULL, "0", OPTIONAL },
	{ "rule_changed_since", "{'const':true}", NULL, NULL, OPTIONAL },
	{ "audience", "{}", "The rule's audience, part by part", NULL, OPTIONAL },
	{ "conditions", "{}", "The rule's conditions, part by part, with the values they met", NULL, OPTIONAL },
	{ "conditions_unknown", TEXT, "Why they cannot be told", NULL, OPTIONAL },
	{ "limits", "{'type':'array','items':{'type':'object'}}", "The rule's limits with their counts", NULL, OPTIONAL },
	{ "reproduced", BOOL, "Evaluated again, it comes to the same", "true", OPTIONAL },
	{ "actions", "[Effect]", NULL, "[]", 0 },
	{ 0 }
};

static const struct member_of explanation[] = {
	TRANSACTION_ID,
	{ "eventId", TEXT, NULL, "'purchase_001'", 0 },
	{ "profileId", TEXT, NULL, "'p-1'", 0 },
	{ "eventType", TEXT, NULL, "'PURCHASE'", 0 },
	{ "points_before", INTEGER, NULL, "0", 0 },
	{ "points", INTEGER, "The balance after it", "120", 0 },
	{ "conditions_unknown", TEXT, "Why no condition can be told", NULL, OPTIONAL },
	{ "reversal", "{'const':true}", NULL, NULL, OPTIONAL },
	{ "rules", "[ExplanationRule]", "In the order in which they were asked", NULL, 0 },
	{ 0 }
};

#define ITEM_ID "{'type':'string','pattern':'^[0-9a-f]{16}-[0-9]+$'}"
#define ITEM_ID_EXAMPLE "'8a1f0c63e2b7d945-3'"
#define TIME_OR_NULL "{'type':['string','null'],'format':'date-time'}"

static const struct member_of reverse_request[] = {
	{ "policy", "{'enum':['left','zero','debt']}", "What becomes of points that were spent; left", "'left'", OPTIONAL },
	{ "reason", "{'type':['string','null'],'maxLength':500}", "Kept with the reversal", "'returned'", OPTIONAL },
	{ 0 }
};

static const struct member_of customer_reward[] = {
	{ "customer_reward_id", ITEM_ID, NULL, ITEM_ID_EXAMPLE, 0 },
	{ "reward_id", TEXT, "The reward it was made from", "'4'", 0 },
	{ "name", TEXT, NULL, "'Coffee'", 0 },
	{ "state", "{'enum':['ISSUED','USED','EXPIRED','REVOKED']}", NULL, "'ISSUED'", 0 },
	{ "issued_at", TIME_OR_NULL, NULL, "'2026-11-21T15:07:49.562Z'", 0 },
	{ "expires_at", TIME_OR_NULL, "null: never", "null", 0 },
	{ "used_at", TIME_OR_NULL, "Where it was", NULL, OPTIONAL },
	{ "expired_at", TIME_OR_NULL, "Where it has", NULL, OPTIONAL },
	{ "revoked_at", TIME_OR_NULL, "Where it was", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of reward_used[] = {
	{ "customer_reward_id", ITEM_ID, NULL, ITEM_ID_EXAMPLE, 0 },
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 },
	{ "profileId", TEXT, NULL, "'p-1'", 0 },
	{ "name", TEXT, NULL, "'Coffee'", 0 },
	{ "state", "{'const':'USED'}", NULL, "'USED'", 0 },
	{ "used_at", "Time", NULL, NULL, 0 },
	{ "lsn", LSN, NULL, NULL, 0 },
	{ 0 }
};

static const struct member_of rewards_expired[] = { { "expired", COUNT, "So many", "2", 0 }, { 0 } };

static const struct member_of tier[] = {
	{ "id", TEXT, NULL, "'7'", 0 },
	{ "key", TEXT, NULL, "'GOLD'", 0 },
	{ "name", TEXT, NULL, "'Gold'", 0 },
	{ "rank", COUNT, NULL, "2", 0 },
	{ "min_status_points", COUNT, NULL, "1000", 0 },
	{ 0 }
};

static const struct member_of loyalty[] = {
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 },
	{ "profileId", TEXT, NULL, "'p-1'", 0 },
	{ "statusPoints", INTEGER, NULL, "120", 0 },
	{ "lifetimePoints", INTEGER, NULL, "120", 0 },
	{ "currentTier", "{'anyOf':[{'$ref':'#/components/schemas/Tier'},{'type':'null'}]}", "null: there are no tiers", "null", 0 },
	{ "nextTier", "{'anyOf':[{'$ref':'#/components/schemas/Tier'},{'type':'null'}]}", "null: it is the highest", NULL, 0 },
	{ "missingPoints", "{'type':['integer','null']}", "To the next one", "880", 0 },
	{ "progressPercent", "{'type':'integer','minimum':0,'maximum':100}", "From this one to the next", "12", 0 },
	{ 0 }
};

static const struct member_of bonus_award[] = {
	{ "id", ITEM_ID, NULL, ITEM_ID_EXAMPLE, 0 },
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 },
	{ "profileId", TEXT, NULL, "'p-1'", 0 },
	{ "bonusKey", TEXT, NULL, "'WELCOME'", 0 },
	{ "period", TEXT, "The day, week, month or year that it counts for; EVER", "'2026-11'", 0 },
	{ "awarded_at", TIME_OR_NULL, NULL, "'2026-11-21T15:07:49.562Z'", 0 },
	{ 0 }
};

#define JOB \
	{ "jobId", TEXT, NULL, "'9'", 0 }, \
	{ "jobKey", TEXT, NULL, "'birthdays'", 0 }, \
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 }, \
	{ "eventType", TEXT, "Of the events it emits", "'BIRTHDAY'", 0 }, \
	{ "bucket", TEXT, "What makes a run once: the day, or the minute of the schedule", "'2026-11-21'", 0 }, \
	{ "date", TEXT, NULL, "'2026-11-21'", 0 }, \
	{ "targetCustomers", COUNT, "Customers it chooses", "12", 0 }

static const struct member_of job_item[] = {
	{ "profileId", TEXT, NULL, "'p-1'", 0 },
	{ "eventId", TEXT, "Of the event it would get", "'job_9_2026-11-21_BRAND_A_p-1'", 0 },
	{ 0 }
};

static const struct member_of job_preview[] = {
	JOB,
	{ "limit", COUNT, NULL, "50", 0 },
	{ "offset", COUNT, NULL, "0", 0 },
	{ "payload", "{'type':'object'}", "Of every event", "{'jobKey':'birthdays','bucket':'2026-11-21'}", 0 },
	{ "items", "[JobItem]", NULL, NULL, 0 },
	{ 0 }
};

static const struct member_of job_run[] = {
	JOB,
	{ "created", COUNT, "Events that are new", "12", 0 },
	{ "idempotentExisting", COUNT, "Events that were there", "0", 0 },
	{ "failed", COUNT, "Events that were refused", "0", 0 },
	{ "error", TEXT_OR_NULL, "Why the first of them was", "null", 0 },
	{ "dryRun", BOOL, NULL, "false", 0 },
	{ 0 }
};

/* ---- customers ------------------------------------------------------------------------------------------------------------- */

#define KEPT "{'not':{}}", "Refused: the engine keeps it itself"
static const struct member_of customer_upsert[] = {
	{ "profileId", "Name", "The customer", "'p-1'", 0 },
	{ "brand", "{'type':['string','null'],'maxLength':200}", "If given, that of X-Brand", NULL, OPTIONAL },
	{ "status", "{'type':['string','null'],'minLength':1,'maxLength':200}", "Left out: as it was, or ACTIVE", "'ACTIVE'",
	  OPTIONAL },
	{ "tags", "{'type':['array','null'],'items':{'type':'string','minLength':1,'maxLength':200},'maxItems':1000}",
	  "They replace the old ones", "['vip']", OPTIONAL },
	{ "points", "{'not':{}}", "Refused: points change only through events", NULL, OPTIONAL },
	{ "statusPoints", KEPT, NULL, OPTIONAL },
	{ "lifetimePoints", KEPT, NULL, OPTIONAL },
	{ "loyaltyStatus", KEPT, NULL, OPTIONAL },
	{ "debt", KEPT, NULL, OPTIONAL },
	{ "events", KEPT, NULL, OPTIONAL },
	{ "created_at", KEPT, NULL, OPTIONAL },
	{ "last_activity_at", KEPT, NULL, OPTIONAL },
	{ 0 }
};

#define CUSTOMER \
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 }, \
	{ "profileId", TEXT, NULL, "'p-1'", 0 }, \
	{ "status", TEXT, NULL, "'ACTIVE'", 0 }, \
	{ "tags", "{'type':'array','items':{'type':'string'}}", NULL, "['vip']", 0 }

static const struct member_of customer[] = { CUSTOMER, { 0 } };

static const struct member_of customer_full[] = {
	CUSTOMER,
	{ "points", INTEGER, "The balance", "120", 0 },
	{ "statusPoints", INTEGER, "What counts for the tier", "120", 0 },
	{ "lifetimePoints", INTEGER, "All that was ever earned", "120", 0 },
	{ "loyaltyStatus", TEXT_OR_NULL, "Key of the tier", "null", 0 },
	{ "debt", INTEGER, "Points owed, where there are any", NULL, OPTIONAL },
	{ "events", COUNT, "Events so far", "1", 0 },
	{ "created_at", "Time", NULL, NULL, 0 },
	{ "last_activity_at", "{'type':['string','null'],'format':'date-time'}", "Of the last event", "'2026-11-21T15:07:49.562Z'", 0 },
	{ 0 }
};

static const struct member_of wallet[] = {
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 },
	{ "profileId", TEXT, NULL, "'p-1'", 0 },
	{ "points", INTEGER, "The balance", "120", 0 },
	{ "debt", INTEGER, "Points owed, where there are any", NULL, OPTIONAL },
	{ "lsn", LSN, "With at: the moment", NULL, OPTIONAL },
	{ "time", TIME_OR_NULL, "With at: the moment", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of movement[] = {
	{ "id", TEXT, "The transaction's id and the number of the movement within it", "'011063e390b44ed60000000000000330-0'", 0 },
	{ "type", TEXT, "EARN, BURN, …", "'EARN'", 0 },
	{ "points", INTEGER, "Negative where points left", "120", 0 },
	{ "balance", INTEGER, "After it", "120", 0 },
	{ "transaction_id", TEXT, NULL, "'011063e390b44ed60000000000000330'", 0 },
	{ "eventId", TEXT, NULL, "'purchase_001'", 0 },
	{ "rule_id", TEXT_OR_NULL, NULL, "'2'", 0 },
	{ "created_at", "Time", NULL, NULL, 0 },
	{ 0 }
};

/* ---- imports --------------------------------------------------------------------------------------------------------------- */

static const struct member_of import_error[] = {
	{ "line", "{'type':'integer','minimum':1}", "Line of the file", "4", 0 },
	{ "code", TEXT, "As of a problem", "'validation_failed'", 0 },
	{ "detail", TEXT, NULL, "'/brand: the field \\'brand\\' is empty'", 0 },
	{ "errors", "[Fault]", NULL, NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of import_customers[] = {
	{ "imported", COUNT, NULL, "2", 0 },
	{ "failed", COUNT, NULL, "1", 0 },
	{ "errors", "[ImportError]", "The first 1,000", NULL, 0 },
	{ 0 }
};

static const struct member_of import_events[] = {
	{ "imported", COUNT, "Rows taken", "1", 0 },
	{ "created", COUNT, "The same", "1", 0 },
	{ "idempotentExisting", COUNT, "Rows that were known", "0", 0 },
	{ "failed", COUNT, NULL, "0", 0 },
	{ "errors", "[ImportError]", "The first 1,000", "[]", 0 },
	{ 0 }
};

/* ---- the ledger ------------------------------------------------------------------------------------------------------------ */

#define ID_IN "{'type':['string','integer'],'minimum':0}"
#define FLAG "{'enum':['linked','pending','post','void','balancing_debit','balancing_credit']}"
#define ACCOUNT_KIND "{'enum':['raw','member','liability','redeemed','expired','adjusted','in_transit']}"

static const struct member_of account_create[] = {
	{ "id", ID_IN, "32 hex digits, or decimal digits; left out: it follows from the names", NULL, OPTIONAL },
	{ "tenant", "Name", "Comes into being with its first account", "'BRAND_A'", 0 },
	{ "unit", "Name", "What it counts", "'points'", 0 },
	{ "kind", ACCOUNT_KIND, "Left out: member with a member, else raw", NULL, OPTIONAL },
	{ "member", "Name", "Instead of an id", "'p-1'", OPTIONAL },
	{ "program", "Name", "Beside member; default", NULL, OPTIONAL },
	{ "floor", "{'type':['integer','null']}", "The least balance; null: none", "0", OPTIONAL },
	{ "ceiling", "{'type':['integer','null']}", "The greatest balance; null: none", NULL, OPTIONAL },
	{ "closed", BOOL, "Takes no transfers but void", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of account[] = {
	{ "id", "Id128", NULL, NULL, 0 },
	{ "tenant", TEXT, NULL, "'BRAND_A'", 0 },
	{ "unit", TEXT, NULL, "'points'", 0 },
	{ "kind", ACCOUNT_KIND, NULL, "'member'", 0 },
	{ "closed", BOOL, NULL, "false", 0 },
	{ "floor", INTEGER, "Absent: none", "0", OPTIONAL },
	{ "ceiling", INTEGER, "Absent: none", NULL, OPTIONAL },
	{ "debits_posted", "Sum", NULL, "'0'", 0 },
	{ "credits_posted", "Sum", NULL, "'120'", 0 },
	{ "debits_pending", "Sum", NULL, "'0'", 0 },
	{ "credits_pending", "Sum", NULL, "'0'", 0 },
	{ "balance", "Sum", "Credits less debits", "'120'", 0 },
	{ "member", TEXT, NULL, "'p-1'", OPTIONAL },
	{ "program", TEXT, NULL, "'default'", OPTIONAL },
	{ "created_at", "Time", "Where it is remembered", NULL, OPTIONAL },
	{ "lsn", LSN, "The last record that touched it", "816", 0 },
	{ 0 }
};

static const struct member_of refused_row[] = {
	{ "index", COUNT, "The row, from 0", "0", 0 },
	{ "refusal", COUNT, "The refusal's number", "44", 0 },
	{ "code", TEXT, "Its name", "'exceeds_floor'", 0 },
	{ "detail", TEXT, "Its meaning", NULL, 0 },
	{ 0 }
};

static const struct member_of accounts_result[] = {
	{ "lsn", LSN, NULL, NULL, 0 },
	{ "results", "[RefusedRow]", "What was refused", "[]", 0 },
	{ "ids", "[Id128]", "One for each row", NULL, 0 },
	{ 0 }
};

static const struct member_of transfer_create[] = {
	{ "id", ID_IN, "The client's own; the same id counts once", "'0000000000000000000000000000002a'", 0 },
	{ "debit", ID_IN, "The account that gives", "'00000000000000000000000000000001'", OPTIONAL },
	{ "credit", ID_IN, "The account that gets", "'00000000000000000000000000000002'", OPTIONAL },
	{ "amount", "Amount", "0 with post: all", "70", OPTIONAL },
	{ "code", "{'type':['integer','string'],'minimum':0,'maximum':65535}", "The client's own", NULL, OPTIONAL },
	{ "flags", "{'anyOf':[{'type':'array','items':" FLAG "},{'type':['integer','string'],'minimum':0,'maximum':65535}]}",
	  "Names, or their sum", NULL, OPTIONAL },
	{ "timeout", "{'type':['integer','string'],'minimum':0,'maximum':4294967295}", "Seconds; of a pending one", NULL, OPTIONAL },
	{ "pending_id", ID_IN, "Post and void: the pending transfer, instead of debit", NULL, OPTIONAL },
	{ 0 }
};

#define TRANSFER \
	{ "id", "{'type':['string','null'],'pattern':'^[0-9a-f]{32}$'}", "Null: points that an event moved", \
	  "'0000000000000000000000000000002a'", 0 }, \
	{ "pending_id", "Id128", NULL, NULL, OPTIONAL }, \
	{ "expired", BOOL, "The end of a pending transfer by timeout", NULL, OPTIONAL }, \
	{ "debit", "Id128", NULL, NULL, 0 }, \
	{ "credit", "Id128", NULL, NULL, 0 }, \
	{ "amount", COUNT, NULL, "70", 0 }, \
	{ "requested", COUNT, "Where another amount was asked for", NULL, OPTIONAL }, \
	{ "code", COUNT, NULL, "0", 0 }, \
	{ "flags", "{'type':'array','items':" FLAG "}", NULL, "[]", 0 }, \
	{ "timeout", COUNT, NULL, "0", 0 }, \
	{ "created_at", "Time", NULL, NULL, 0 }, \
	{ "lsn", LSN, NULL, NULL, 0 }

static const struct member_of transfer[] = {
	TRANSFER,
	{ "state", "{'enum':['posted','pending','voided','expired']}", NULL, "'posted'", 0 },
	{ 0 }
};

static const struct member_of transfer_failed[] = {
	{ "id", "Id128", NULL, NULL, 0 },
	{ "refusal", COUNT, NULL, "44", 0 },
	{ "code", TEXT, NULL, "'exceeds_floor'", 0 },
	{ "lsn", LSN, NULL, NULL, 0 },
	{ "state", "{'const':'failed'}", NULL, "'failed'", 0 },
	{ 0 }
};

static const struct member_of history_transfer[] = {
	TRANSFER,
	{ "event", TEXT, "The event's id, where it moved points", NULL, OPTIONAL },
	{ "balance", INTEGER, "The account's after it", "70", 0 },
	{ 0 }
};

static const struct member_of history[] = {
	{ "transfers", "[HistoryTransfer]", NULL, NULL, 0 },
	{ "next", "{'type':['integer','null']}", "For before (reverse) or after; null at the end", "null", 0 },
	{ 0 }
};

static const struct member_of transfers_result[] = {
	{ "lsn", LSN, NULL, NULL, 0 },
	{ "results", "[RefusedRow]", "What was refused", "[]", 0 },
	{ "balances", "{'type':'array','items':{'type':'array','items':{'type':['integer','null']},'minItems':2,'maxItems':2}}",
	  "With balances=true: debit's and credit's balance after each row; null: a tenant account", "[[0,70]]", OPTIONAL },
	{ 0 }
};

#define MOMENT \
	{ "lsn", LSN, NULL, NULL, 0 }, \
	{ "time", "{'type':['string','null'],'format':'date-time'}", NULL, "'2026-11-21T15:07:49.562Z'", 0 }

static const struct member_of moment_balance[] = { { "balance", "Sum", NULL, "'120'", 0 }, MOMENT, { 0 } };

static const struct member_of statement_entry[] = {
	TRANSFER,
	{ "event", TEXT, "The event's id, where it moved points", NULL, OPTIONAL },
	{ "balance", "Sum", "The account's after it", "'120'", 0 },
	{ 0 }
};

static const struct member_of statement[] = {
	{ "account", "Id128", NULL, NULL, 0 },
	{ "tenant", TEXT, NULL, "'BRAND_A'", 0 },
	{ "unit", TEXT, NULL, "'points'", 0 },
	{ "kind", ACCOUNT_KIND, NULL, "'member'", 0 },
	{ "opening", "MomentBalance", NULL, NULL, 0 },
	{ "closing", "MomentBalance", NULL, NULL, 0 },
	{ "transfers", "[StatementEntry]", "Oldest first", NULL, 0 },
	{ "next", "{'type':['integer','null']}", "For after; null at the end", "null", 0 },
	{ 0 }
};

static const struct member_of liability_unit[] = {
	{ "unit", TEXT, NULL, "'points'", 0 },
	{ "outstanding", "Sum", "What members have", "'120'", 0 },
	{ "reserved", "Sum", "Of that, pending", "'0'", 0 },
	{ "by_month", "{'type':'array','items':{'type':'object'}}", "By month of expiry; null: never",
	  "[{'month':null,'outstanding':'120'}]", 0 },
	{ "proof", "{'type':'object'}", "The sums of all kinds of accounts, and that they come to zero",
	  "{'members':'120','liability':'-120','sum':'0','holds':true}", 0 },
	{ 0 }
};

static const struct member_of liability[] = {
	{ "tenant", TEXT, NULL, "'BRAND_A'", 0 },
	MOMENT,
	{ "units", "[LiabilityUnit]", NULL, NULL, 0 },
	{ 0 }
};

static const struct member_of refusal[] = {
	{ "number", COUNT, "Order of precedence", "44", 0 },
	{ "name", TEXT, "Its code", "'exceeds_floor'", 0 },
	{ "meaning", TEXT, NULL, "'the debit account would pass its floor'", 0 },
	{ "burns", BOOL, "Whether it uses up the transfer's id", "true", 0 },
	{ 0 }
};

/* ---- the POS platform's ledger service --------------------------------------------------------------------------------------- */

static const struct member_of pos_error[] = {
	{ "error", TEXT, "A sentence", "'the debit account does not exist'", 0 },
	{ "code", TEXT, "For programs", "'account_not_found'", 0 },
	{ "errors", "[Fault]", NULL, NULL, OPTIONAL },
	{ 0 }
};

#define ACCOUNT_TYPE "{'type':'integer','minimum':1,'maximum':5}"
#define POS_ID "{'type':'string','pattern':'^a_[0-9a-f]{32}$'}"
#define POS_ID_EXAMPLE "'a_00000000000000000000000000000001'"

static const struct member_of pos_account_create[] = {
	{ "org_id", "Name", "The organization", "'org_1'", 0 },
	{ "customer_id", "{'type':['string','null'],'minLength':1,'maxLength':200}", "Left out: the organization's own account",
	  "'cust_789'", OPTIONAL },
	{ "account_type", ACCOUNT_TYPE, "1 Asset, 2 Liability, 3 Equity, 4 Revenue, 5 Expense", "1", 0 },
	{ "unit", "{'enum':['points','stamps',null]}", "Left out: points", "'points'", OPTIONAL },
	{ "code", ACCOUNT_TYPE, "If given, account_type", NULL, OPTIONAL },
	{ 0 }
};

static const struct member_of pos_account[] = {
	{ "id", POS_ID, NULL, POS_ID_EXAMPLE, 0 },
	{ "org_id", TEXT, NULL, "'org_1'", 0 },
	{ "customer_id", TEXT_OR_NULL, NULL, "'cust_789'", 0 },
	{ "account_type", ACCOUNT_TYPE, NULL, "1", 0 },
	{ "code", ACCOUNT_TYPE, "The type", "1", 0 },
	{ "unit", TEXT, NULL, "'points'", 0 },
	{ "debits_posted", COUNT, NULL, "0", 0 },
	{ "credits_posted", COUNT, NULL, "0", 0 },
	{ "debits_pending", COUNT, NULL, "0", 0 },
	{ "credits_pending", COUNT, NULL, "0", 0 },
	{ "balance", INTEGER, NULL, "0", 0 },
	{ "timestamp", "{'type':['string','null'],'format':'date-time'}", NULL, "'2026-11-21T15:07:49.562Z'", 0 },
	{ 0 }
};

static const struct member_of pos_transfer_create[] = {
	{ "id", "{'type':['string','integer'],'minLength':1,'maxLength':200}", "Idempotency key within the organization",
	  "'t-1'", 0 },
	{ "org_id", "Name", "The organization", "'org_1'", 0 },
	{ "debit_account_id", "Name", "The account that gives", POS_ID_EXAMPLE, 0 },
	{ "credit_account_id", "Name", "The account that gets", "'a_00000000000000000000000000000002'", 0 },
	{ "amount", "{'type':'integer','minimum':1,'maximum':9223372036854775807}", NULL, "70", 0 },
	{ "code", "{'type':'integer','minimum':0,'maximum':65535}", "The client's own", "7", OPTIONAL },
	{ 0 }
};

#define POS_TRANSFER \
	{ "id", TEXT_OR_NULL, "As it was sent; null where only its hash is known", "'t-1'", 0 }, \
	{ "transfer_id", "{'type':['string','null'],'pattern':'^[0-9a-f]{32}$'}", NULL, "'0000000000000000000000000000002a'", 0 }, \
	{ "type", "{'enum':['event','transfer','pending','post','void','expired']}", NULL, "'transfer'", 0 }, \
	{ "debit_account_id", POS_ID, NULL, POS_ID_EXAMPLE, 0 }, \
	{ "credit_account_id", POS_ID, NULL, "'a_00000000000000000000000000000002'", 0 }, \
	{ "amount", COUNT, NULL, "70", 0 }, \
	{ "code", COUNT, NULL, "7", 0 }, \
	{ "timestamp", TIME_OR_NULL, "null of a dry run", "'2026-11-21T15:07:49.562Z'", 0 }, \
	{ "lsn", LSN, NULL, NULL, 0 }

static const struct member_of pos_transfer[] = {
	POS_TRANSFER,
	{ "org_id", TEXT, NULL, "'org_1'", 0 },
	{ "idempotent", BOOL, "True: the id was known", "false", 0 },
	{ 0 }
};

static const struct member_of pos_history_transfer[] = {
	POS_TRANSFER,
	{ "balance", INTEGER, "The account's after it", "70", 0 },
	{ 0 }
};

static const struct member_of pos_history[] = {
	{ "account_id", POS_ID, NULL, POS_ID_EXAMPLE, 0 },
	{ "transfers", "[PosHistoryTransfer]", NULL, NULL, 0 },
	{ "next", "{'type':['integer','null']}", "For after; null at the end", "null", 0 },
	{ 0 }
};

static const struct member_of pos_balance[] = {
	{ "org_id", TEXT, NULL, "'org_1'", 0 },
	{ "customer_id", TEXT, NULL, "'cust_789'", 0 },
	{ "points", INTEGER, NULL, "120", 0 },
	{ "points_pending", COUNT, NULL, "0", 0 },
	{ "stamps", INTEGER, NULL, "3", 0 },
	{ "stamps_pending", COUNT, NULL, "0", 0 },
	{ "lsn", LSN, NULL, NULL, 0 },
	{ 0 }
};

static const struct member_of pos_health[] = {
	{ "status", "{'const':'ok'}", NULL, "'ok'", 0 },
	{ "service", TEXT, "What the listener was given as its name", "'all'", 0 },
	{ 0 }
};

/* ---- the server ------------------------------------------------------------------------------------------------------------- */

static const struct member_of health[] = { { "message", TEXT, NULL, "'Loyalty Engine is running'", 0 }, { 0 } };
static const struct member_of deleted[] = { { "deleted", "{'const':true}", NULL, "true", 0 }, { 0 } };

static const struct member_of audit_entry[] = {
	{ "at", "Time", NULL, NULL, 0 },
	{ "actor", TEXT_OR_NULL, "X-Operator of the request, anonymous, or scheduler", "'ada'", 0 },
	{ "kind", TEXT, NULL, "'rule'", 0 },
	{ "id", TEXT, NULL, "'2'", 0 },
	{ "op", "{'enum':['create','update','delete']}", NULL, "'update'", 0 },
	{ "version", COUNT, NULL, "2", 0 },
	{ "before", "{'type':['object','null']}", "The document's fields before it", "{'priority':0}", 0 },
	{ "before_pruned", "{'const':true}", "The log no longer has them", NULL, OPTIONAL },
	{ "after", "{'type':['object','null']}", "And after it", "{'priority':5}", 0 },
	{ "lsn", LSN, NULL, NULL, 0 },
	{ 0 }
};

static const struct member_of ui_catalog[] = {
	{ "kind", TEXT, NULL, "'rule'", 0 },
	{ "title", TEXT, NULL, "'rule'", 0 },
	{ "description", TEXT, NULL, NULL, 0 },
	{ "path", TEXT, "Of the kind's routes", "'/rules'", 0 },
	{ "create", "{'type':'object'}", "JSON Schema of a body, and hints for a form", "{'schema':{},'hints':{}}", 0 },
	{ "update", "{'type':'object'}", "The same of a patch", "{'schema':{},'hints':{}}", 0 },
	{ "read", "{'type':'object'}", "JSON Schema of the document", "{'schema':{}}", 0 },
	{ 0 }
};

static const struct member_of ui_option[] = {
	{ "value", TEXT, "What a reference to it holds", "'PURCHASE'", 0 },
	{ "label", TEXT, "What people know it by", "'Purchase'", 0 },
	{ 0 }
};

static const struct member_of ui_bundle[] = {
	{ "brand", TEXT, NULL, "'BRAND_A'", 0 },
	{ "uiCatalog", "UiCatalog", NULL, NULL, 0 },
	{ "uiOptions", "{'type':'object'}", "Lists of choices by name, and customerTags", "{'eventTypes':[],'customerTags':[]}", 0 },
	{ 0 }
};

static const struct member_of snapshot_written[] = {
	{ "name", TEXT, NULL, "'0000000000000330'", 0 },
	{ "from_lsn", LSN, NULL, NULL, 0 },
	{ "end_lsn", LSN, "It holds all up to here", NULL, 0 },
	{ "bytes", COUNT, "On disk", "1200", 0 },
	{ "raw_bytes", COUNT, "Before compression", "4000", 0 },
	{ "pieces", COUNT, NULL, "64", 0 },
	{ "seconds", "{'type':'number','minimum':0}", NULL, "0.012", 0 },
	{ "longest_piece_seconds", "{'type':'number','minimum':0}", "The longest that a shard was kept", "0.0002", 0 },
	{ "unchanged", BOOL, "Nothing was written since the newest one", "false", 0 },
	{ 0 }
};

static const struct member_of snapshot[] = {
	{ "name", TEXT, NULL, "'0000000000000330'", 0 },
	{ "from_lsn", LSN, NULL, NULL, 0 },
	{ "end_lsn", LSN, NULL, NULL, 0 },
	{ "time", "Time", NULL, NULL, 0 },
	{ "bytes", COUNT, NULL, "1200", 0 },
	{ "raw_bytes", COUNT, NULL, "4000", 0 },
	{ "broken", TEXT_OR_NULL, "What is wrong with its manifest; pieces are read at a start and by tally check", "null", 0 },
	{ 0 }
};

#define BACKUP \
	{ "id", "{'type':'string','pattern':'^[0-9a-f]{16}$'}", NULL, "'00000000000000a1'", 0 }, \
	{ "first_lsn", LSN, "The log begins here", "0", 0 }, \
	{ "end_lsn", LSN, "All up to here is in it", NULL, 0 }, \
	{ "time", "Time", NULL, NULL, 0 }, \
	{ "lease_seconds", COUNT, "It ends when it was not used for so long", "60", 0 }

static const struct member_of backup[] = { BACKUP, { 0 } };

static const struct member_of backup_file[] = {
	{ "path", TEXT, "Below the data directory", "'log/0000000000000000'", 0 },
	{ "bytes", COUNT, "To be read", "65536", 0 },
	{ "size", COUNT, "Of the whole file", "65536", 0 },
	{ 0 }
};

static const struct member_of backup_files[] = {
	BACKUP,
	{ "server", TEXT, "Version of the server", "'0.1.0'", 0 },
	{ "piece_bytes", COUNT, "So much can be read at a time", "4194304", 0 },
	{ "files", "[BackupFile]", NULL, NULL, 0 },
	{ 0 }
};

static const struct member_of backup_hash[] = {
	{ "bytes", COUNT, NULL, "65536", 0 },
	{ "hash", TEXT, NULL, "'0f1e2d3c'", 0 },
	{ 0 }
};

const struct schema schemas[] = {
	{ "Name", "A name or an id: 1 to 200 bytes of UTF-8", NULL, false, "{'type':'string','minLength':1,'maxLength':200}", "'p-1'" },
	{ "Time", "RFC 3339, UTC, with milliseconds", NULL, false, "{'type':'string','format':'date-time'}",
	  "'2026-11-21T15:07:49.562Z'" },
	{ "Lsn", "A position in the log", NULL, false, "{'type':'integer','minimum':0}", "816" },
	{ "Id128", "128 bits as 32 hex digits, most significant first", NULL, false, "{'type':'string','pattern':'^[0-9a-f]{32}$'}",
	  "'00000000000000000000000000000001'" },
	{ "Sum", "Decimal digits; may pass 64 bits", NULL, false, NUMBERS, "'120'" },
	{ "Amount", "An integer of 64 bits, or its digits as text", NULL, false,
	  "{'type':['integer','string'],'minimum':0,'maximum':18446744073709551615}", "70" },
	{ "Fault", "One thing that is wrong with a document", fault, false, NULL, NULL },
	{ "Problem", "Why a request was refused (RFC 9457)", problem, false, NULL, NULL },
	{ "ProblemType", "A code of a refusal", problem_type, false, NULL, NULL },
	{ "EventCreate", "An event to ingest", event_create, true, NULL, NULL },
	{ "Events", "An event, or an array of events", NULL, false,
	  "{'oneOf':[{'$ref':'#/components/schemas/EventCreate'},"
	  "{'type':'array','items':{'$ref':'#/components/schemas/EventCreate'}}]}", NULL },
	{ "ExplanationRule", "Why one rule did what it did", explanation_rule, false, NULL, NULL },
	{ "Explanation", "Why each rule of an event did what it did", explanation, false, NULL, NULL },
	{ "ReverseRequest", "How to undo an event", reverse_request, true, NULL, NULL },
	{ "CustomerReward", "A reward that a customer got", customer_reward, false, NULL, NULL },
	{ "RewardUsed", "A reward that was used", reward_used, false, NULL, NULL },
	{ "RewardsExpired", "How many rewards expired", rewards_expired, false, NULL, NULL },
	{ "Tier", "A loyalty tier", tier, false, NULL, NULL },
	{ "Loyalty", "A customer's tier, and what the next one takes", loyalty, false, NULL, NULL },
	{ "BonusAward", "A bonus that a customer got", bonus_award, false, NULL, NULL },
	{ "JobItem", "A customer that a job chooses", job_item, false, NULL, NULL },
	{ "JobPreview", "What a job would do", job_preview, false, NULL, NULL },
	{ "JobRun", "What a job did", job_run, false, NULL, NULL },
	{ "Effect", "What an action did", effect, false, NULL, NULL },
	{ "ExecutionDetails", "What a rule found and did", execution_details, false, NULL, NULL },
	{ "Execution", "What one rule made of an event", execution, false, NULL, NULL },
	{ "Transaction", "What became of an event", transaction, false, NULL, NULL },
	{ "TransactionFull", "An event with its payload and what became of it", transaction_full, false, NULL, NULL },
	{ "TransactionRow", "What became of one row of a batch", NULL, false,
	  "{'anyOf':[{'$ref':'#/components/schemas/Transaction'},{'$ref':'#/components/schemas/Problem'}]}", NULL },
	{ "TransactionAnswer", "Of one event, or of each row of a batch", NULL, false,
	  "{'anyOf':[{'$ref':'#/components/schemas/Transaction'},"
	  "{'type':'array','items':{'$ref':'#/components/schemas/TransactionRow'}}]}", NULL },
	{ "CustomerUpsert", "A customer; any further member is an attribute, null takes it away", customer_upsert, false, NULL, NULL },
	{ "Customer", "A customer, with the attributes as further members", customer, false, NULL, NULL },
	{ "CustomerFull", "A customer, with attributes and counters", customer_full, false, NULL, NULL },
	{ "Wallet", "The balance of a customer", wallet, false, NULL, NULL },
	{ "Movement", "A change of a balance", movement, false, NULL, NULL },
	{ "ImportError", "A row that was refused", import_error, false, NULL, NULL },
	{ "ImportedCustomers", "What became of a file", import_customers, false, NULL, NULL },
	{ "ImportedEvents", "What became of a file", import_events, false, NULL, NULL },
	{ "AccountCreate", "An account of the ledger to make", account_create, true, NULL, NULL },
	{ "Accounts", "An account, or 1 to 8,190 of them", NULL, false,
	  "{'oneOf':[{'$ref':'#/components/schemas/AccountCreate'},{'type':'array','minItems':1,'maxItems':8190,'items':"
	  "{'$ref':'#/components/schemas/AccountCreate'}}]}", NULL },
	{ "Account", "An account of the ledger with its sums", account, false, NULL, NULL },
	{ "RefusedRow", "A row that the ledger refused", refused_row, false, NULL, NULL },
	{ "AccountsResult", "What became of an array of accounts", accounts_result, false, NULL, NULL },
	{ "AccountsAnswer", "Of one account, or of an array", NULL, false,
	  "{'anyOf':[{'$ref':'#/components/schemas/Account'},{'$ref':'#/components/schemas/AccountsResult'}]}", NULL },
	{ "TransferCreate", "A transfer to make", transfer_create, true, NULL, NULL },
	{ "Transfers", "A transfer, or 1 to 8,190 of them", NULL, false,
	  "{'oneOf':[{'$ref':'#/components/schemas/TransferCreate'},{'type':'array','minItems':1,'maxItems':8190,'items':"
	  "{'$ref':'#/components/schemas/TransferCreate'}}]}", NULL },
	{ "Transfer", "A transfer and what became of it", transfer, false, NULL, NULL },
	{ "TransferFailed", "A transfer that was refused and used its id up", transfer_failed, false, NULL, NULL },
	{ "TransferState", "A transfer, or its refusal", NULL, false,
	  "{'anyOf':[{'$ref':'#/components/schemas/Transfer'},{'$ref':'#/components/schemas/TransferFailed'}]}", NULL },
	{ "HistoryTransfer", "What moved an account", history_transfer, false, NULL, NULL },
	{ "History", "A page of what moved an account", history, false, NULL, NULL },
	{ "TransfersResult", "What became of an array of transfers, or of a dry run", transfers_result, false, NULL, NULL },
	{ "TransfersAnswer", "Of one transfer, or of an array", NULL, false,
	  "{'anyOf':[{'$ref':'#/components/schemas/Transfer'},{'$ref':'#/components/schemas/TransferFailed'},"
	  "{'$ref':'#/components/schemas/TransfersResult'}]}", NULL },
	{ "MomentBalance", "A balance at a moment", moment_balance, false, NULL, NULL },
	{ "StatementEntry", "What moved an account", statement_entry, false, NULL, NULL },
	{ "Statement", "What moved an account between two moments", statement, false, NULL, NULL },
	{ "LiabilityUnit", "What is owed in one unit", liability_unit, false, NULL, NULL },
	{ "Liability", "What a tenant owes", liability, false, NULL, NULL },
	{ "Refusal", "Why the ledger refuses", refusal, false, NULL, NULL },
	{ "PosError", "Why a request was refused", pos_error, false, NULL, NULL },
	{ "PosAccountCreate", "An account to open", pos_account_create, true, NULL, NULL },
	{ "PosAccount", "An account with its sums", pos_account, false, NULL, NULL },
	{ "PosTransferCreate", "A transfer to make", pos_transfer_create, true, NULL, NULL },
	{ "PosTransfer", "A transfer", pos_transfer, false, NULL, NULL },
	{ "PosHistoryTransfer", "A transfer of an account", pos_history_transfer, false, NULL, NULL },
	{ "PosHistory", "A page of an account's transfers", pos_history, false, NULL, NULL },
	{ "PosBalance", "What a customer has", pos_balance, false, NULL, NULL },
	{ "PosHealth", "Up", pos_health, false, NULL, NULL },
	{ "Health", "Up", health, false, NULL, NULL },
	{ "Deleted", "It is gone", deleted, false, NULL, NULL },
	{ "UiCatalog", "What a form for a kind needs to know", ui_catalog, false, NULL, NULL },
	{ "UiOption", "A document as a choice; its fields follow", ui_option, false, NULL, NULL },
	{ "UiBundle", "A catalog with all choices", ui_bundle, false, NULL, NULL },
	{ "AuditEntry", "A change of configuration", audit_entry, false, NULL, NULL },
	{ "SnapshotWritten", "A snapshot that was written", snapshot_written, false, NULL, NULL },
	{ "Snapshot", "A snapshot on disk", snapshot, false, NULL, NULL },
	{ "Backup", "Files that are held for a backup", backup, false, NULL, NULL },
	{ "BackupFile", "A file of a backup", backup_file, false, NULL, NULL },
	{ "BackupFiles", "Files that are held for a backup, one by one", backup_files, false, NULL, NULL },
	{ "BackupHash", "The hash of a piece of a file", backup_hash, false, NULL, NULL },
	{ 0 }
};
