// SPDX-License-Identifier: Apache-2.0
/* operations_ledger.c - what the reference says about the ledger's two surfaces. */
#include <stddef.h>

#include "net/surface/operations.h"

#define ACCOUNT_ID { { "id", "{'type':'string'}", "32 hex digits, or decimal digits", true } }
#define POS_ACCOUNT_ID { { "id", "{'type':'string'}", "a_ and 32 hex digits", true } }
#define AT { "at", "{'type':'string'}", "An LSN or an RFC 3339 time: as it was then", false }
#define LIMIT { "limit", "{'type':'integer','minimum':1,'maximum':8190,'default':100}", "Entries of a page", false }
#define LSN_QUERY(name, doc) { name, "{'type':'integer','minimum':1}", doc, false }
#define PAST "history_pruned log_unreadable query_too_broad sliced_account_has_no_history"

const struct operation ledger_operations[] = {
	{ .name = "ledger.accounts.create", .flags = STRICT_QUERY | WITH_DRY_RUN, .body = "Accounts",
	  .body_example = "{'tenant':'BRAND_A','unit':'points','member':'p-1'}",
	  .answers = { ANSWER(201, "Account", "A new account"),
		       ANSWER(200, "AccountsAnswer", "It was there, a dry run, or an array") },
	  .links = "ledger.accounts.get ledger.accounts.transfers",
	  .problems = "validation_failed log_unreadable @accounts memory_full disk_full" },
	{ .name = "ledger.accounts.get", .flags = STRICT_QUERY, .path = ACCOUNT_ID, .query = { AT },
	  .answers = { ANSWER(200, "Account", "The account") }, .problems = "account_not_found history_not_ready " PAST },
	{ .name = "ledger.accounts.transfers", .flags = STRICT_QUERY, .path = ACCOUNT_ID,
	  .query = { LIMIT, { "reverse", "{'type':'boolean'}", "Newest first", false },
		     LSN_QUERY("before", "Entries before this LSN"), LSN_QUERY("after", "Entries after this LSN"), AT },
	  .answers = { ANSWER(200, "History", "A page") }, .problems = "account_not_found " PAST },
	{ .name = "ledger.transfers.create", .flags = STRICT_QUERY | WITH_DRY_RUN, .body = "Transfers",
	  .more = "The same id with the same content is a repeat.",
	  .query = { { "balances", "{'type':'boolean'}", "Answer with the balances after each row", false } },
	  .body_example = "{'id':'0000000000000000000000000000002a','debit':'00000000000000000000000000000001',"
			  "'credit':'00000000000000000000000000000002','amount':70}",
	  .answers = { ANSWER(201, "TransferState", "The transfer was made"),
		       ANSWER(200, "TransfersAnswer", "A repeat, a dry run, or an array") },
	  .links = "ledger.transfers.get", .problems = "validation_failed transfer_not_found log_unreadable @transfers" },
	{ .name = "ledger.transfers.get", .path = ACCOUNT_ID,
	  .answers = { ANSWER(200, "TransferState", "The transfer") },
	  .problems = "transfer_not_found outcome_pruned log_unreadable" },
	{ .name = "ledger.statement", .flags = STRICT_QUERY, .path = ACCOUNT_ID, .query = STATEMENT_QUERY,
	  .answers = { ANSWER(200, "Statement", "A page") }, .problems = "account_not_found history_not_ready " PAST },
	{ .name = "tenants.liability", .flags = STRICT_QUERY, .query = { AT },
	  .answers = { ANSWER(200, "Liability", "What it owes") },
	  .problems = "tenant_not_found history_pruned history_not_ready log_unreadable" },
	{ .name = "ledger.refusals", .answers = { ANSWER(200, "[Refusal]", "In the order of precedence") } },
	{ 0 },
};

const struct operation pos_operations[] = {
	{ .name = "pos.accounts.create", .flags = MAY_TENANT | STRICT_QUERY | WITH_DRY_RUN, .body = "PosAccountCreate",
	  .answers = { ANSWER(201, "PosAccount", "A new account"), ANSWER(200, "PosAccount", "It was there, or a dry run") },
	  .links = "pos.accounts.get pos.accounts.transfers",
	  .problems = "validation_failed @accounts memory_full disk_full" },
	{ .name = "pos.accounts.get", .flags = MAY_TENANT, .path = POS_ACCOUNT_ID,
	  .answers = { ANSWER(200, "PosAccount", "The account") }, .problems = "account_not_found" },
	{ .name = "pos.accounts.transfers", .flags = MAY_TENANT | STRICT_QUERY, .path = POS_ACCOUNT_ID,
	  .query = { LIMIT, LSN_QUERY("after", "What a page gave as next") },
	  .answers = { ANSWER(200, "PosHistory", "A page") }, .problems = "account_not_found " PAST },
	{ .name = "pos.transfers.create", .flags = MAY_TENANT | STRICT_QUERY | WITH_DRY_RUN, .body = "PosTransferCreate",
	  .answers = { ANSWER(201, "PosTransfer", "The transfer was made"), ANSWER(200, "PosTransfer", "A repeat, or a dry run") },
	  .problems = "validation_failed account_not_found log_unreadable @transfers" },
	{ .name = "pos.balance.get", .flags = MAY_TENANT | STRICT_QUERY,
	  .query = { { "org_id", "Name", "The organization", true }, { "customer_id", "Name", "The customer", true } },
	  .answers = { ANSWER(200, "PosBalance", "Points and stamps of the main accounts") }, .problems = "customer_unknown" },
	{ .name = "pos.health", .answers = { ANSWER(200, "PosHealth", "Up") } },
	{ 0 },
};
