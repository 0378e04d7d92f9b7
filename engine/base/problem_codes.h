// SPDX-License-Identifier: Apache-2.0
/* problem_codes.h - every code of a refusal, said once: HTTP status, title, what the caller can do.
 *
 * Code and status of a refusal in the sources must stand here, and every row here is used somewhere (tests/tidy checks both).
 * From this table come `type` and `title` of problem documents (RFC 9457), GET /v1/problems, the errors of each operation in the
 * OpenAPI document and the reference.  What the ledger refuses has a table of its own, engine/ledger/refusal.h: its names are
 * codes as well.
 *
 * Invariants: a code never changes its meaning; the rows are in ascending order of code within their group.
 */
#ifndef ENGINE_BASE_PROBLEM_CODES_H
#define ENGINE_BASE_PROBLEM_CODES_H

#include "engine/base/str.h"

enum problem_scope {
	PROBLEM_OPERATION,             /* an operation's own: those that can give it name it */
	PROBLEM_REQUEST,               /* of every request: it is refused before it reaches an operation */
	PROBLEM_RPC,                   /* MessagePack-RPC only; the status is the error's code */
	PROBLEM_LEDGER,                /* not of this table: a refusal of the ledger */
};

/* X(code, status, another status or 0, scope, "title", "what the caller can do") */
#define PROBLEM_CODES(X) \
	X(account_not_found, 404, 0, OPERATION, "No such account", \
	  "Check the id, or create the account first.") \
	X(backup_failed, 500, 0, OPERATION, "The files cannot be held for a backup", "See `detail` and the server's own log.") \
	X(backup_unknown, 404, 0, OPERATION, "There is no such backup", "It ended, or was not read for too long: begin another.") \
	X(backups_too_many, 409, 0, OPERATION, "Too many backups are being read", "Wait until one of them ends.") \
	X(base_tier_needed, 409, 0, OPERATION, "The base tier stays while there are others", \
	  "Delete the other tiers first, or change the base tier's name only.") \
	X(batch_too_large, 413, 0, OPERATION, "Too many rows in one batch", \
	  "Send the rows in several batches; the option rows-max is the bound.") \
	X(bonus_unknown, 400, 0, OPERATION, "No such bonus definition", "Check the key, or create the bonus definition first.") \
	X(book_unknown, 404, 0, RPC, "No account counts this unit", "Check tenant and unit.") \
	X(brand_invalid, 400, 0, OPERATION, "X-Brand is not a name", "Give 1 to 200 bytes of UTF-8.") \
	X(brand_mismatch, 400, 0, OPERATION, "Two brands in one request", \
	  "X-Brand must name the brand that path and body name.") \
	X(brand_missing, 400, 0, OPERATION, "X-Brand is missing", "Name the brand to work in by the header X-Brand.") \
	X(csv_invalid, 422, 0, OPERATION, "The file is not the CSV that was expected", \
	  "Correct the line or the header that is named, and send the file again.") \
	X(cursor_invalid, 400, 0, OPERATION, "Not a cursor", \
	  "Give what X-Next-Cursor of the same list held, or leave it out to begin with the first page.") \
	X(customer_too_large, 422, 0, OPERATION, "The customer takes too much room", "Send fewer attributes or tags.") \
	X(customer_unknown, 404, 0, OPERATION, "No such customer", "Check brand and profile id, or upsert the customer first.") \
	X(disk_full, 507, 0, OPERATION, "The disk is full", \
	  "Nothing was written: send the same request again when there is room.") \
	X(document_too_large, 413, 0, OPERATION, "The document takes too much room in the log", \
	  "Make it smaller, or run the server with a larger log-ring.") \
	X(duplicate, 409, 0, OPERATION, "Another document has the same key", \
	  "Choose another value for the field that is named, or change the document that has it.") \
	X(event_id_reused, 409, 0, OPERATION, "The event id was used for another event", \
	  "Give a new event its own id; send a repeat unchanged.") \
	X(event_too_large, 413, 0, OPERATION, "The event takes too much room in the log", \
	  "Make the payload smaller, or run the server with a larger log-ring.") \
	X(event_type_inactive, 400, 0, OPERATION, "The event type is not active", "Activate it, or use another one.") \
	X(event_type_internal, 400, 0, OPERATION, "The event type is internal", "Only jobs emit events of INTERNAL types.") \
	X(event_type_not_internal, 400, 0, OPERATION, "The event type is not internal", \
	  "Jobs emit events of INTERNAL types: choose or create one.") \
	X(event_type_unknown, 400, 0, OPERATION, "No such event type", "Check the key, or create the event type first.") \
	X(file_unknown, 404, 0, OPERATION, "The backup has no such file", "Ask for one that it lists.") \
	X(file_unreadable, 500, 0, OPERATION, "The disk does not give what is in a file", \
	  "The operator finds file, byte and cause in the server's own log.") \
	X(filter_invalid, 422, 0, OPERATION, "A filter does not fit its field", "Give a value of the type that is named.") \
	X(filter_unknown, 400, 422, OPERATION, "No such query parameter", "Use the parameters that the operation lists.") \
	X(history_not_ready, 503, 0, OPERATION, "Footers of the log are being made", "Ask again in a moment.") \
	X(history_pruned, 410, 0, OPERATION, "The log no longer reaches so far back", \
	  "Ask for a later time; what was cut is in a backup, if anywhere.") \
	X(in_use, 409, 0, OPERATION, "Other documents refer to it", "Change or delete those that are named first.") \
	X(invalid, 422, 0, OPERATION, "Not a valid document of its kind", \
	  "Correct what `errors` points to and send it again.") \
	X(job_inactive, 400, 0, OPERATION, "The job is not active", "Activate it first; a preview needs no active job.") \
	X(job_running, 409, 0, OPERATION, "The job is running already", "Wait until that run is through; a second one would find its events.") \
	X(json_invalid, 400, 0, OPERATION, "The body is not valid JSON", \
	  "Send strict JSON: no duplicate keys, lone surrogates, NaN, integers beyond 64 bits, more than 64 levels.") \
	X(log_unreadable, 500, 0, OPERATION, "The disk does not give what is in the log", \
	  "Nothing: the operator finds LSN, file and bytes in the server's own log.") \
	X(media_type, 415, 0, OPERATION, "The body's Content-Type is not taken here", \
	  "Use one of those that the operation lists.") \
	X(memory_full, 507, 0, OPERATION, "The memory for accounts and ids is used up", \
	  "Nothing was written: run the server with more --memory.") \
	X(moved_on, 409, 0, OPERATION, "The account has moved on meanwhile", "Send the request again.") \
	X(not_found, 404, 0, OPERATION, "There is no such thing", "Check the id; an object of another brand is not shown.") \
	X(operator_invalid, 400, 0, OPERATION, "X-Operator is not a name", "Give 1 to 200 bytes of UTF-8, or leave it out.") \
	X(not_reversible, 409, 0, OPERATION, "The event cannot be undone", "See `detail` for what stands against it.") \
	X(nothing_due, 409, 0, OPERATION, "No reward is past its end", "Nothing.") \
	X(outcome_pruned, 410, 0, OPERATION, "Known, but its outcome is no longer in the log", \
	  "Nothing was done now. Do not send it under a new id: it was done before.") \
	X(payload_schema_broken, 400, 0, OPERATION, "The event type's schema cannot be used", \
	  "Save the event type's payload_schema again.") \
	X(query_invalid, 400, 0, OPERATION, "A query parameter is not what was expected", \
	  "Correct the parameter that is named.") \
	X(query_too_broad, 422, 0, OPERATION, "More records would have to be read than are allowed", \
	  "Narrow it: by profileId, or by before and after.") \
	X(range_invalid, 416, 0, OPERATION, "The range is not in the file", "Ask for bytes that it has, and for fewer at a time.") \
	X(refused, 422, 500, OPERATION, "Refused", "See `detail`.") \
	X(reward_expired, 409, 0, OPERATION, "The reward has expired", "Nothing: it cannot be used any more.") \
	X(reward_revoked, 409, 0, OPERATION, "The reward was taken back", "Nothing: what it was issued for was undone.") \
	X(reward_unknown, 400, 0, OPERATION, "No such reward", "Check the id, or create the reward first.") \
	X(reward_used, 409, 0, OPERATION, "The reward was used before", "Nothing: a reward is used once.") \
	X(sliced_account_has_no_history, 422, 0, OPERATION, "A tenant account has no list of its own", \
	  "Ask for the history of its whole accounts, or for its balance now.") \
	X(snapshot_failed, 500, 0, OPERATION, "The snapshot was not written", "See `detail` and the server's own log.") \
	X(snapshot_running, 409, 0, OPERATION, "A snapshot is being written already", "Wait for it.") \
	X(snapshots_unreadable, 500, 0, OPERATION, "The folder of snapshots cannot be read", "See the server's own log.") \
	X(stopping, 503, 0, OPERATION, "The server is stopping", "Ask again when it is back; what was made already is not made twice.") \
	X(tenant_mismatch, 400, 0, OPERATION, "Two organizations in one request", "X-Tenant must name the same as org_id.") \
	X(tenant_not_found, 404, 0, OPERATION, "The tenant had no books", "Check the name, or ask for a later moment.") \
	X(tier_unknown, 400, 0, OPERATION, "No such tier", "Check the key, or create the tier first.") \
	X(transfer_not_found, 404, 0, OPERATION, "No such transfer", "Check the id.") \
	X(validation_failed, 422, 0, OPERATION, "The document does not have the expected shape", \
	  "Correct what `errors` points to and send it again.") \
	X(version_mismatch, 412, 0, OPERATION, "The document has another version", \
	  "Read it again, and send the change with the ETag of that answer.") \
	\
	X(ambiguous_length, 400, 0, REQUEST, "Two lengths for one body", "Send one Content-Length, or chunks.") \
	X(bad_host, 400, 0, REQUEST, "Not one valid Host", "Send exactly one Host header.") \
	X(body_too_large, 413, 0, REQUEST, "The body is too large", "Send less at a time; the option body-max is the bound.") \
	X(expectation_failed, 417, 0, REQUEST, "The expectation is not met", "Expect nothing but 100-continue.") \
	X(headers_too_large, 431, 0, REQUEST, "The headers are too large", "Send at most 32 KiB of headers.") \
	X(malformed_request, 400, 0, REQUEST, "Not an HTTP request", "Correct the client.") \
	X(malformed_target, 400, 0, REQUEST, "The request target is not a path", "Ask for a path that begins with a slash.") \
	X(method_not_allowed, 405, 0, REQUEST, "The method is not allowed here", "Use one of those in Allow.") \
	X(path_invalid, 400, 0, REQUEST, "The path is not percent-encoded UTF-8", "Correct the client's encoding.") \
	X(recovering, 503, 0, REQUEST, "The server is starting", "Try again after the seconds of Retry-After; /readyz says how far it is.") \
	X(request_timeout, 408, 0, REQUEST, "The request did not arrive in time", "Send it again.") \
	X(route_unknown, 404, 0, REQUEST, "There is nothing at this path", "Check the path; /docs lists them all.") \
	X(target_too_long, 414, 0, REQUEST, "The request target is too long", "Keep it within 8 KiB.") \
	X(too_many_connections, 503, 0, REQUEST, "Too many connections are open", "Try again soon; see Retry-After.") \
	X(too_many_headers, 431, 0, REQUEST, "Too many header lines", "Send at most 100.") \
	X(unknown_method, 501, 0, REQUEST, "The method is not known", "Use one of those in Allow.") \
	X(unsupported_coding, 501, 0, REQUEST, "The transfer coding is not supported", "Send the body as it is, or in chunks.") \
	X(unsupported_version, 505, 0, REQUEST, "The HTTP version is not supported", "Speak HTTP/1.1.") \
	\
	X(frame_broken, 400, 0, RPC, "Framing is lost", "Connect again.") \
	X(frame_too_large, 413, 0, RPC, "The message is too large", "Send less at a time.") \
	X(message_invalid, 400, 0, RPC, "Not a request", "Send [0, msgid, method, params].") \
	X(method_unknown, 404, 0, RPC, "There is no such method", "rpc.methods lists them.") \
	X(params_invalid, 400, 0, RPC, "The params do not fit the method", "Give what the reference lists.") \
	X(params_too_deep, 400, 0, RPC, "The params are nested too deep", "Send flatter params.")

struct problem_code {
	const char *code;              /* NULL ends the table */
	int status, also;              /* HTTP statuses it comes with; also: 0 where there is only one */
	enum problem_scope scope;
	const char *title;             /* what it is, the same whenever it happens; no full stop */
	const char *action;            /* what the caller can do; one or two sentences */
};

extern const struct problem_code problem_codes[];

const struct problem_code *problem_code_find(struct str code);     /* NULL if there is none */

#endif
