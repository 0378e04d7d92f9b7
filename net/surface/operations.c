// SPDX-License-Identifier: Apache-2.0
/* operations.c - what the reference says about the routes of system A and of the server itself. */
#include "net/surface/operation.h"

#include <stddef.h>
#include <string.h>

#include "net/surface/operations.h"

const struct operation *const operations[] = { brand_operations, member_operations, ledger_operations, pos_operations, system_operations, NULL };

const struct operation *operation_find(const char *name)
{
	for (size_t t = 0; operations[t]; t++)
		for (const struct operation *row = operations[t]; row->name; row++)
			if (!strcmp(row->name, name))
				return row;
	return NULL;
}

#define EVENT_PROBLEMS \
	"brand_mismatch validation_failed event_type_unknown event_type_inactive event_type_internal payload_schema_broken " \
	"customer_unknown customer_too_large event_id_reused event_too_large outcome_pruned log_unreadable memory_full disk_full"
#define CUSTOMERS_MODE \
	{ "customers", "{'enum':['auto','strict']}", "auto creates unknown customers, strict refuses their events; else the server's option", \
	  false }
#define WALK_PROBLEMS "history_pruned log_unreadable query_too_broad"
#define AT(name, doc) { name, "{'type':'string'}", doc, false }
#define WALLET \
	, .query = { AT("at", "An LSN or an RFC 3339 time: as it was then") }, .answers = { ANSWER(200, "Wallet", "The balance") }, \
	.problems = "customer_unknown history_not_ready " WALK_PROBLEMS
#define TRANSACTION_ID \
	{ { "id", "{'type':'string','pattern':'^[0-9a-f]{32}$'}", "As an answer of ingestion gave it", true } }
#define BACKUP_ID { { "id", "{'type':'string','pattern':'^[0-9a-f]{16}$'}", "As an answer gave it", true } }
#define CSV_TYPES "text/csv application/csv multipart/form-data"

const struct operation brand_operations[] = {
	{ .name = "server.health", .answers = { ANSWER(200, "Health", "It runs") } },
	{ .name = "transactions.create",
	  .more = "NDJSON is taken as application/x-ndjson and answered as such. In a batch a bad row spoils only itself: its place "
		  "holds a problem with its index.",
	  .flags = MAY_BRAND | WITH_DRY_RUN, .query = { CUSTOMERS_MODE }, .body = "Events",
	  .body_types = "application/json application/x-ndjson application/ndjson application/jsonl",
	  .body_example = "{'brand':'BRAND_A','profileId':'p-1','eventType':'PURCHASE','eventId':'purchase_001','source':'WEB',"
			  "'payload':{'amount':120}}",
	  .answers = { ANSWER(201, "Transaction", "The event was processed"),
		       ANSWER(200, "TransactionAnswer", "A repeat, a dry run, or a batch") },
	  .links = "transactions.get transactions.executions transactions.explain transactions.reverse",
	  .problems = EVENT_PROBLEMS " batch_too_large" },
	{ .name = "transactions.list", .flags = WITH_BRAND | WITH_LIST | WITH_CURSOR | STRICT_QUERY,
	  .query = { { "profileId", "{'type':'string'}", "Of this customer", false },
		     { "eventType", "{'type':'string'}", "Of this type", false },
		     { "status", "{'enum':['PROCESSED','PROCESSED_WITH_ERRORS']}", "With this status", false } },
	  .answers = { ANSWER(200, "[TransactionFull]", "A page", .headers = "X-Total-Count X-Next-Cursor") },
	  .problems = WALK_PROBLEMS },
	{ .name = "transactions.get", .flags = WITH_BRAND, .path = TRANSACTION_ID,
	  .answers = { ANSWER(200, "TransactionFull", "The event") }, .problems = "not_found history_pruned log_unreadable" },
	{ .name = "transactions.executions", .flags = WITH_BRAND, .path = TRANSACTION_ID,
	  .answers = { ANSWER(200, "[Execution]", "One for each rule") }, .problems = "not_found history_pruned log_unreadable" },
	{ .name = "customers.upsert", .more = "What is left out stays as it was. A body is bounded to 60,000 bytes.",
	  .flags = WITH_BRAND | WITH_DRY_RUN, .body = "CustomerUpsert",
	  .body_example = "{'profileId':'p-1','tags':['vip'],'birthdate':'1990-01-31','name':'Ada'}",
	  .answers = { ANSWER(201, "Customer", "A new customer"), ANSWER(200, "Customer", "There was one, or a dry run") },
	  .problems = "brand_mismatch validation_failed customer_too_large event_too_large memory_full disk_full" },
	{ .name = "customers.get", .flags = WITH_BRAND,
	  .answers = { ANSWER(200, "CustomerFull", "The customer") }, .problems = "customer_unknown" },
	{ .name = "customers.wallet", .flags = WITH_BRAND | STRICT_QUERY WALLET },
	{ .name = "wallets.get", .flags = WITH_BRAND | STRICT_QUERY WALLET },
	{ .name = "customers.movements", .more = "One event's movements stay on one page.",
	  .flags = WITH_BRAND | WITH_CURSOR | STRICT_QUERY,
	  .query = { { "limit", "{'type':'integer','minimum':1,'maximum':100000,'default':10000}", "Movements of a page", false } },
	  .answers = { ANSWER(200, "[Movement]", "A page", .headers = "X-Next-Cursor") },
	  .problems = "customer_unknown " WALK_PROBLEMS },
	{ .name = "customers.import",
	  .more = "Columns: brand, profileId; status, tags (separated by ; or |); any other name is an attribute. Each row by itself.",
	  .flags = MAY_BRAND | WITH_DRY_RUN, .body = "{'type':'string'}", .body_types = CSV_TYPES,
	  .body_example = "brand,profileId,tags,city\nBRAND_A,p-1,vip;new,Lisbon\n",
	  .answers = { ANSWER(200, "ImportedCustomers", "What became of the rows") },
	  .problems = "csv_invalid validation_failed batch_too_large" },
	{ .name = "events.import",
	  .more = "Columns: brand, profileId, eventType, eventId; source; payload (JSON); payload.NAME. A malformed row or an unknown "
		  "customer refuses the whole file before anything is written.",
	  .flags = MAY_BRAND | WITH_DRY_RUN, .body = "{'type':'string'}", .body_types = CSV_TYPES,
	  .body_example = "brand,profileId,eventType,eventId,payload.amount\nBRAND_A,p-1,PURCHASE,purchase_002,80\n",
	  .answers = { ANSWER(200, "ImportedEvents", "What became of the rows"),
		       ANSWER(422, "ImportedEvents", "Nothing was imported: see errors") },
	  .problems = "csv_invalid validation_failed batch_too_large" },
	{ .name = "customers.statement", .flags = WITH_BRAND | STRICT_QUERY, .query = STATEMENT_QUERY,
	  .answers = { ANSWER(200, "Statement", "A page") }, .problems = "account_not_found history_not_ready " WALK_PROBLEMS },
	{ .name = "audit.list", .more = "Where the state before a change is no longer in the log, `before_pruned` says so.",
	  .flags = WITH_BRAND | STRICT_QUERY | WITH_CURSOR,
	  .query = { { "kind", "{'type':'string'}", "Of this kind: event_type, rule, …", false },
		     { "id", "{'type':'string','pattern':'^[1-9][0-9]*$'}", "Of this document", false },
		     { "limit", "{'type':'integer','minimum':1,'maximum':1000,'default':100}", "Entries of a page", false } },
	  .answers = { ANSWER(200, "[AuditEntry]", "A page", .headers = "X-Next-Cursor") },
	  .problems = "filter_invalid " WALK_PROBLEMS },
	{ .name = "rules.form_catalog", .flags = WITH_BRAND | STRICT_QUERY, .answers = { ANSWER(200, "UiCatalog", "The catalog") } },
	{ .name = "rules.ui_bundle", .flags = WITH_BRAND | STRICT_QUERY,
	  .answers = { ANSWER(200, "UiBundle", "Catalog and choices") }, .problems = "query_too_broad" },
	{ .name = "internal_jobs.ui_bundle", .flags = WITH_BRAND | STRICT_QUERY,
	  .answers = { ANSWER(200, "UiBundle", "Catalog and choices") }, .problems = "query_too_broad" },
	{ .name = "customers.tags", .flags = WITH_BRAND | STRICT_QUERY,
	  .answers = { ANSWER(200, "{'type':'array','items':{'type':'string'}}", "The tags", .example = "['new','vip']") } },
	{ 0 },
};

const struct operation system_operations[] = {
	{ .name = "server.livez", .answers = { ANSWER(200, NULL, "It runs", .type = "text/plain", .example = "ok\n") } },
	{ .name = "server.readyz",
	  .query = { { "verbose", "{'type':'string'}", "Whatever its value: a line for each condition", false } },
	  .answers = { ANSWER(200, NULL, "It answers", .type = "text/plain", .example = "ready\n"),
		       ANSWER(503, NULL, "It recovers, or it ends", .type = "text/plain", .example = "not ready\n") } },
	{ .name = "server.metrics",
	  .answers = { ANSWER(200, NULL, "OpenMetrics", .type = "application/openmetrics-text", .example = "# EOF\n") } },
	{ .name = "snapshot.create", .flags = STRICT_QUERY,
	  .answers = { ANSWER(201, "SnapshotWritten", "It was written"), ANSWER(200, "SnapshotWritten", "Nothing was new since the newest") },
	  .problems = "snapshot_running snapshot_failed" },
	{ .name = "snapshot.list", .answers = { ANSWER(200, "[Snapshot]", "Those on disk, newest first") },
	  .problems = "snapshots_unreadable" },
	{ .name = "backup.create", .flags = STRICT_QUERY, .more = "tally backup does all of it. A backup that is not read for a while ends by itself.",
	  .answers = { ANSWER(201, "BackupFiles", "The files are held") }, .links = "backup.end backup.bytes",
	  .problems = "backups_too_many backup_failed" },
	{ .name = "backup.list", .answers = { ANSWER(200, "[Backup]", "Those that are held") } },
	{ .name = "backup.end", .flags = STRICT_QUERY, .path = BACKUP_ID,
	  .answers = { ANSWER(204, NULL, "The files are let go") }, .problems = "backup_unknown" },
	{ .name = "backup.bytes", .flags = STRICT_QUERY, .path = BACKUP_ID,
	  .query = { { "file", "{'type':'string','examples':['log/0000000000000000.log']}", "Its path, as the backup lists it", true },
		     { "offset", "{'type':'integer','minimum':0}", "The first byte", true },
		     { "size", "{'type':'integer','minimum':0}", "How many", true },
		     { "hash", "{'type':'boolean','default':false}", "Their hash instead of the bytes", false } },
	  .answers = { ANSWER(200, NULL, "The bytes", .type = "application/octet-stream", .headers = "X-Content-Hash", .example = "…",
			      .json = "BackupHash") },
	  .problems = "backup_unknown file_unknown range_invalid file_unreadable" },
	{ .name = "server.openapi", .more = "Made from the same tables as this page.", .flags = WITH_ETAG,
	  .answers = { ANSWER(200, "{'type':'object'}", "OpenAPI 3.1", .headers = "ETag", .example = "{'openapi':'3.1.0'}") } },
	{ .name = "server.docs", .flags = WITH_ETAG,
	  .answers = { ANSWER(200, NULL, "A page", .type = "text/html", .headers = "ETag", .example = "<!DOCTYPE html>") } },
	{ .name = "problems.list", .answers = { ANSWER(200, "[ProblemType]", "Every code") } },
	{ .name = "problems.get", .answers = { ANSWER(200, "ProblemType", "The code") }, .problems = "not_found",
	  .path = { { "code", "{'type':'string','pattern':'^[a-z0-9_]+$'}", "As a problem has it", true } } },
	{ 0 },
};
