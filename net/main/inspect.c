// SPDX-License-Identifier: Apache-2.0
/* `tally check` and `tally log`: reading a log without a server.  Neither writes anything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/event/effect.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/catalog/catalog.h"
#include "engine/event/record.h"
#include "engine/ledger/record.h"
#include "engine/ledger/refusal.h"
#include "engine/shard/state.h"
#include "net/cli/commands.h"
#include "net/main/replay.h"
#include "net/main/seed.h"
#include "snapshot/backup.h"
#include "snapshot/loader.h"
#include "snapshot/runs.h"
#include "snapshot/store.h"
#include "wal/wal.h"

/* ---- check ------------------------------------------------------------------------------------------------------------ */

struct check {
	struct replay *replay;
	uint64_t frames, bytes;
	uint64_t from;                 /* frames before it are in the snapshot */
	bool frames_only;              /* what came before is neither in a snapshot nor in the log: records mean nothing */
};

static bool check_frame(void *context, const struct wal_frame *frame)
{
	struct check *check = context;
	check->frames++;
	check->bytes = frame->lsn + frame->size;
	return check->frames_only || frame->lsn < check->from || replay_frame(check->replay, frame);
}

static void text_i128(struct buf *out, __int128 value)
{
	char digits[48];
	size_t n = sizeof digits;
	bool negative = value < 0;
	unsigned __int128 rest = negative ? -(unsigned __int128)value : (unsigned __int128)value;
	do {
		digits[--n] = (char)('0' + (int)(rest % 10));
		rest /= 10;
	} while (rest);
	if (negative)
		digits[--n] = '-';
	buf_bytes(out, digits + n, sizeof digits - n);
}

/* Law L3, per tenant and unit; prints a line for each. */
static bool books_balance(const struct state *state)
{
	bool good = true;
	for (uint32_t b = 0; b < state->ledger.book_count; b++) {
		const struct book *book = state->ledger.books[b];
		u128 sums[ACCOUNT_KINDS][4] = { 0 };
		uint64_t counts[ACCOUNT_KINDS] = { 0 };
		i128 posted = 0, pending = 0;
		struct buf line = { 0 };
		ledger_book_sums(&state->ledger, book, sums, counts);
		buf_lit(&line, "tenant ");
		buf_json_text(&line, book->tenant);
		buf_lit(&line, ": ");
		buf_str(&line, book->unit);
		buf_lit(&line, " of members ");
		text_i128(&line, (i128)(sums[ACCOUNT_MEMBER][1] - sums[ACCOUNT_MEMBER][0]));
		for (unsigned k = 0; k < ACCOUNT_KINDS; k++) {
			i128 balance = (i128)(sums[k][1] - sums[k][0]);
			posted += balance;
			pending += (i128)(sums[k][3] - sums[k][2]);
			if (k == ACCOUNT_MEMBER || (!balance && k != ACCOUNT_LIABILITY && k != ACCOUNT_REDEEMED))
				continue;
			buf_printf(&line, ", %s ", account_kind_name((enum account_kind)k));
			text_i128(&line, balance);
		}
		bool balanced = posted == 0 && pending == 0;
		buf_str(&line, balanced ? STR(": balanced\n") : STR(": NOT BALANCED\n"));
		fwrite(line.ptr, 1, line.len, stdout);
		buf_free(&line);
		good &= balanced;
	}
	return good;
}

static bool log_dir_of(const char *command, const char *data, char *path, size_t size)
{
	struct stat status;
	snprintf(path, size, "%s/seed", data);
	bool data_dir = !stat(path, &status);          /* and not its folder log/, which may be named as well */
	snprintf(path, size, "%s/log", data);
	if (!stat(path, &status) && S_ISDIR(status.st_mode))
		return true;
	if (data_dir) {
		fprintf(stderr, "tally %s: DAMAGED: %s has a seed, and no folder log\n", command, data);
		return false;
	}
	snprintf(path, size, "%s", data);
	if (!stat(path, &status) && S_ISDIR(status.st_mode))
		return true;
	fprintf(stderr, "tally %s: %s is not a data directory\n", command, data);
	return false;
}

/* Every byte of every snapshot against its checksums; and the log reaches what it has seen. */
static bool snapshots_whole(const char *data, uint64_t until, uint64_t log_end)
{
	struct buf error = { 0 };
	char dir[4096];
	uint64_t *ends;
	size_t count;
	snprintf(dir, sizeof dir, "%s/snapshots", data);
	bool good = snapshot_list(dir, &ends, &count, &error);
	if (!good)
		printf("DAMAGED: %.*s\n", (int)error.len, error.ptr);
	for (size_t i = 0; i < count; i++) {
		struct snapshot_manifest manifest;
		if (until && ends[i] > until)
			continue;              /* of an unfinished backup */
		error.len = 0;
		if (snapshot_verify(dir, ends[i], &manifest, &error)) {
			printf("snapshot %016llx whole: %u pieces, %llu bytes, the log behind it from LSN %llu\n",
			       (unsigned long long)ends[i], manifest.count, (unsigned long long)manifest.data_size,
			       (unsigned long long)manifest.from);
			if (manifest.end > log_end) {
				printf("DAMAGED: the log ends at LSN %llu, and this snapshot knows that it reached LSN %llu\n",
				       (unsigned long long)log_end, (unsigned long long)manifest.end);
				good = false;
			}
		} else {
			printf("DAMAGED: snapshot %016llx: %.*s\n", (unsigned long long)ends[i], (int)error.len, error.ptr);
			good = false;
		}
		snapshot_manifest_free(&manifest);
	}
	buf_free(&error);
	mem_free(ends);
	return good;
}

/* Which ids are on disk: what is loaded leaves them out. */
static uint64_t ids_tell(const char *data, struct state *state)
{
	struct runs_manifest *manifest = mem_alloc(sizeof *manifest);
	struct buf error = { 0 };
	char dir[4096];
	uint64_t entries = 0;
	snprintf(dir, sizeof dir, "%s/ids", data);
	if (runs_peek(dir, manifest, &error)) {        /* else ids_whole says so */
		state->ids.filed_below = manifest->below;
		state->ids.filed_done = manifest->done;
		for (uint32_t r = 0; r < manifest->count; r++)
			entries += manifest->runs[r].count;
	}
	buf_free(&error);
	mem_free(manifest);
	return entries;
}

/* Every byte of the runs of ids; the log reaches as far; and what a snapshot left out of those below `left_out` is there, or in the log. */
static bool ids_whole(const char *data, uint64_t log_first, uint64_t log_end, uint64_t left_out)
{
	struct buf error = { 0 };
	char dir[4096];
	snprintf(dir, sizeof dir, "%s/ids", data);
	struct runs_store *store = runs_open(dir, false, &error);
	struct runs *runs = store ? runs_hold(store) : NULL;
	bool good = runs && runs_verify(runs, &error);
	if (!good) {
		printf("DAMAGED: %.*s\n", (int)error.len, error.ptr);
	} else if (runs->shown.below) {
		printf("ids whole: %llu in %u runs, those below LSN %llu\n", (unsigned long long)runs->shown.entries, runs->count,
		       (unsigned long long)runs->shown.below);
		if (runs->shown.below > log_end) {
			printf("DAMAGED: the log ends at LSN %llu, and its ids at LSN %llu\n", (unsigned long long)log_end,
			       (unsigned long long)runs->shown.below);
			good = false;
		}
	}
	if (good && left_out > runs->shown.below && log_first > runs->shown.below) {
		printf("DAMAGED: the snapshot left ids below LSN %llu to ids/, which has those below LSN %llu only, and the log begins at LSN "
		       "%llu\n", (unsigned long long)left_out, (unsigned long long)runs->shown.below, (unsigned long long)log_first);
		good = false;
	}
	runs_release(runs);
	runs_close(store);
	buf_free(&error);
	return good;
}

/* The seed lies beside the folder of the log, which may be what was named. */
static bool seed_of(const char *command, const char *data, const char *log_dir)
{
	struct buf error = { 0 };
	char parent[4200];
	snprintf(parent, sizeof parent, strcmp(log_dir, data) ? "%s" : "%s/..", data);
	bool good = seed_load(parent, false, &error);
	if (!good)
		fprintf(stderr, "tally %s: %s: %.*s\n", command, data, (int)error.len, error.ptr);
	buf_free(&error);
	return good;
}

/* Of a backup: every file against the manifest's hash.  *until is where its log ends; 0: it is no backup. */
static bool backup_whole(const char *data, uint64_t *until)
{
	struct backup backup;
	struct buf error = { 0 };
	bool bad, good = true;
	*until = 0;
	if (backup_read(data, &backup, &bad, &error)) {
		good = !bad && backup_verify(data, &backup, NULL, NULL, &error);
		if (good) {
			struct buf when = { 0 };
			time_write(&when, backup.made_ms);
			printf("backup of %.*s whole: %zu files, %llu bytes\n", (int)when.len, when.ptr, backup.count,
			       (unsigned long long)backup_bytes(&backup));
			buf_free(&when);
		} else {
			for (size_t at = 0, end; at < error.len; at = end + 1) {
				const char *stop = memchr(error.ptr + at, '\n', error.len - at);
				end = stop ? (size_t)(stop - error.ptr) : error.len;
				printf("DAMAGED: %.*s\n", (int)(end - at), error.ptr + at);
			}
		}
		*until = bad ? 0 : backup.end;
	}
	backup_free(&backup);
	buf_free(&error);
	return good;
}

/* An archive of segments that were dropped from a data directory: whole segments only, so the last one ends its log. */
static bool is_archive(const char *data)
{
	char path[4200];
	struct stat status;
	snprintf(path, sizeof path, "%s/archive", data);
	return stat(path, &status) == 0;
}

/* What a backup or a restore left that did not come to its end is no data directory yet. */
static bool is_finished(const char *data)
{
	static const char *const marks[][2] = {
		{ BACKUP_UNFINISHED, "a backup that is not finished: tally backup goes on with it" },
		{ RESTORE_UNFINISHED, "what a restore has not finished: tally restore begins anew" },
	};
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		char path[4200];
		struct stat status;
		snprintf(path, sizeof path, "%s/%s", data, marks[i][0]);
		if (stat(path, &status) == 0) {
			printf("UNFINISHED: %s holds %s\n", data, marks[i][1]);
			return false;
		}
	}
	return true;
}

static void on_line(void *context, const char *level, const char *message)
{
	(void)context;
	fprintf(stderr, "tally check: %s: %s\n", level, message);
}

int cmd_check(int argc, char **argv)
{
	struct state *state = mem_alloc(sizeof *state);
	struct catalog catalog = { 0 };
	struct check check = { 0 };
	struct buf error = { 0 }, torn = { 0 };
	char path[4096], snapshots[4096];
	uint64_t broken, records, until, first, end;
	int status = 0;
	if (argc != 1) {
		mem_free(state);
		return command_misuse("check", "expected one argument: the data directory");
	}
	if (!is_finished(argv[0])) {
		mem_free(state);
		return 1;
	}
	if (!log_dir_of("check", argv[0], path, sizeof path)) {
		mem_free(state);
		return 2;
	}
	if (!backup_whole(argv[0], &until))
		status = 1;
	if (!seed_of("check", argv[0], path)) {
		mem_free(state);
		return status ? status : 2;
	}
	state_init(state, 0, 1);
	snprintf(snapshots, sizeof snapshots, "%s/snapshots", argv[0]);
	struct snapshot_load load = { .dir = snapshots, .states = &state, .count = 1, .catalog = &catalog, .until = until,
				      .log = on_line };
	if (wal_extent(path, &first, &end))
		load.log_end = end;
	bool behind = first > 0, archive = is_archive(argv[0]);
	if (archive)
		until = end;
	uint64_t filed = 0;
	if (behind) {                          /* read behind a snapshot */
		filed = ids_tell(argv[0], state);
		snapshot_load_begin(&load);
		check.from = load.from;
		check.frames_only = !load.loaded || load.from < first;
		printf("the log begins at LSN %llu\n", (unsigned long long)first);
	}
	check.replay = replay_new(&state, 1, &catalog);
	bool whole = wal_verify_to(path, 0, until, check_frame, &check, &error, &torn);
	bool readable = replay_end(check.replay, &broken, &records);
	if (behind && whole && !check.frames_only && !snapshot_load_end(&load, &error))
		whole = false;
	if (torn.len)
		printf("torn tail (not acknowledged): %.*s\n", (int)torn.len, torn.ptr);
	if (!whole) {
		printf("DAMAGED: %.*s\n", (int)error.len, error.ptr);
		status = 1;
	} else if (!readable) {
		printf("DAMAGED: the record at LSN %llu cannot be read\n", (unsigned long long)broken);
		status = 1;
	} else if (check.frames_only) {
		printf("log whole: %llu frames, end LSN %llu\n", (unsigned long long)check.frames, (unsigned long long)check.bytes);
		if (!archive) {
			puts("DAMAGED: no snapshot is whole that reaches back to where the log begins");
			status = 1;
		}
	} else {
		printf("log whole: %llu frames, %llu records, end LSN %llu\n", (unsigned long long)check.frames,
		       (unsigned long long)records, (unsigned long long)check.bytes);
		printf("%llu members, %llu events, %llu accounts, %llu transfers, %llu ids, %zu documents\n",
		       (unsigned long long)state->member_total, (unsigned long long)state->event_total,
		       (unsigned long long)state->ledger.account_total, (unsigned long long)state->ledger.transfer_total,
		       (unsigned long long)(state->ids.total + filed), catalog.documents);
		bool balanced = books_balance(state);
		status |= !balanced;
		puts(balanced ? "the books balance" : "the books do not balance");
	}
	uint64_t reaches = whole ? check.bytes : UINT64_MAX;   /* what a damaged log reaches is not known */
	if (!ids_whole(argv[0], first, reaches, state->ids.left_out))
		status = 1;
	if (!snapshots_whole(argv[0], until, reaches))
		status = 1;
	state_deinit(state);
	mem_free(state);
	catalog_free(&catalog);
	buf_free(&error);
	buf_free(&torn);
	return status;
}

/* ---- log -------------------------------------------------------------------------------------------------------------- */

struct show {
	uint64_t from, next;
	bool json, found;
};

static void show_event(struct buf *out, const struct event_view *event)
{
	const unsigned char *at = event->executions;
	buf_lit(out, ",\"type\":\"event\",\"tenant\":");
	buf_json_text(out, event->tenant);
	buf_lit(out, ",\"profile\":");
	buf_json_text(out, event->profile);
	buf_lit(out, ",\"event_type\":");
	buf_json_text(out, event->type);
	buf_lit(out, ",\"event_id\":");
	buf_json_text(out, event->id);
	buf_printf(out, ",\"points\":%lld,\"prev_member\":%llu,\"executions\":[", (long long)event->head.points,
		   (unsigned long long)event->head.prev_member);
	for (unsigned i = 0; i < event->execution_count; i++) {
		struct execution_view execution;
		execution_next(&at, &execution);
		buf_printf(out, "%s{\"rule\":%llu,\"result\":%u,\"effects\":%u}", i ? "," : "",
			   (unsigned long long)execution.head.rule_id, execution.head.result, execution.head.effect_count);
	}
	buf_lit(out, "],\"payload\":");
	buf_str(out, event->payload);
}

static void show_id(struct buf *out, const char *name, const void *bytes)
{
	u128 id = u128_load(bytes);
	buf_printf(out, ",\"%s\":\"%016llx%016llx\"", name, (unsigned long long)(id >> 64), (unsigned long long)id);
}

static void show_account(struct buf *out, const struct account_record_view *account)
{
	const struct account_record *head = &account->head;
	buf_printf(out, ",\"type\":\"account\",\"op\":\"%s\",\"number\":%u,\"kind\":\"%s\"",
		   head->op == ACCOUNT_OP_FLAGS ? "flags" : head->flags & ACCOUNT_SLICE ? "slice" : "create", head->number,
		   account_kind_name((enum account_kind)head->kind));
	buf_printf(out, ",\"closed\":%s", head->flags & ACCOUNT_CLOSED ? "true" : "false");
	if (!(head->flags & ACCOUNT_SLICE))
		show_id(out, "id", head->id);
	if (head->op == ACCOUNT_OP_FLAGS)
		return;
	buf_lit(out, ",\"tenant\":");
	buf_json_text(out, account->tenant);
	buf_lit(out, ",\"unit\":");
	buf_json_text(out, account->unit);
	if (account->member.len) {
		buf_lit(out, ",\"member\":");
		buf_json_text(out, account->member);
		buf_lit(out, ",\"program\":");
		buf_json_text(out, account->program);
	}
}

static void show_transfer(struct buf *out, const struct transfer_view *transfer)
{
	const struct transfer_record *head = &transfer->head;
	buf_lit(out, ",\"type\":\"transfer\"");
	show_id(out, "id", head->id);
	buf_printf(out, ",\"debit\":%u,\"credit\":%u,\"amount\":%llu,\"code\":%u,\"flags\":%u,\"timeout\":%u", head->debit,
		   head->credit, (unsigned long long)head->amount, head->code, head->flags & (TRANSFER_FLAGS | TRANSFER_EXPIRED),
		   head->timeout);
	if (head->flags & (TRANSFER_POST | TRANSFER_VOID | TRANSFER_EXPIRED))
		show_id(out, "pending_id", transfer->extra.pending_id);
	if (head->flags & TRANSFER_DEBIT_WHOLE)
		buf_printf(out, ",\"debit_balance\":%lld,\"debit_prev\":%llu", (long long)head->balance,
			   (unsigned long long)head->prev);
	if (head->flags & TRANSFER_CREDIT_WHOLE) {
		bool both = head->flags & TRANSFER_DEBIT_WHOLE;
		buf_printf(out, ",\"credit_balance\":%lld,\"credit_prev\":%llu",
			   (long long)(both ? transfer->second.balance : head->balance),
			   (unsigned long long)(both ? transfer->second.prev : head->prev));
	}
}

/* False: it is none of the ledger's. */
static bool show_ledger(struct buf *out, const unsigned char *record, size_t size)
{
	struct account_record_view account;
	struct sliced_record_view sliced;
	struct transfer_view transfer;
	struct failed_record failed;
	if (account_record_read(record, size, &account)) {
		show_account(out, &account);
	} else if (transfer_record_read(record, size, &transfer)) {
		show_transfer(out, &transfer);
	} else if (sliced_record_read(record, size, &sliced)) {
		buf_printf(out, ",\"type\":\"sliced\",\"kind\":\"%s\"", account_kind_name((enum account_kind)sliced.head.kind));
		show_id(out, "id", sliced.head.id);
		buf_lit(out, ",\"tenant\":");
		buf_json_text(out, sliced.tenant);
		buf_lit(out, ",\"unit\":");
		buf_json_text(out, sliced.unit);
	} else if (failed_record_read(record, size, &failed)) {
		const struct refusal_info *refusal = refusal_find(failed.refusal);
		buf_printf(out, ",\"type\":\"failed\",\"refusal\":\"%s\"", refusal ? refusal->name : "?");
		show_id(out, "id", failed.id);
	} else {
		return false;
	}
	return true;
}

static void show_record(struct buf *out, const unsigned char *record, const struct record_head *head, uint64_t lsn)
{
	struct event_view event;
	struct customer_view customer;
	struct action_view action;
	buf_printf(out, "{\"lsn\":%llu,\"size\":%u,\"partition\":%u", (unsigned long long)lsn, head->size, head->partition);
	if (event_view_read(record, head->size, &event)) {
		show_event(out, &event);
	} else if (customer_view_read(record, head->size, &customer)) {
		buf_lit(out, ",\"type\":\"customer\",\"tenant\":");
		buf_json_text(out, customer.tenant);
		buf_lit(out, ",\"profile\":");
		buf_json_text(out, customer.profile);
		buf_lit(out, ",\"status\":");
		buf_json_text(out, customer.status);
		buf_lit(out, ",\"attributes\":");
		buf_str(out, customer.attributes);
	} else if (action_view_read(record, head->size, &action)) {
		const unsigned char *at = action.effects;
		buf_printf(out, ",\"type\":\"action\",\"op\":%u,\"tenant\":", action.head.op);
		buf_json_text(out, action.tenant);
		buf_lit(out, ",\"profile\":");
		buf_json_text(out, action.profile);
		buf_lit(out, ",\"effects\":[");
		for (unsigned e = 0; e < action.head.effect_count; e++) {
			struct effect_view effect;
			effect_next(&at, &effect);
			buf_printf(out, "%s\"%s\"", e ? "," : "", effect_kinds[effect.head.type].name);
		}
		buf_char(out, ']');
	} else if (head->type == RECORD_CATALOG && head->size >= 16) {
		struct catalog_change change = { 0 };
		uint64_t len;
		memcpy(&len, record + sizeof *head, sizeof len);
		buf_lit(out, ",\"type\":\"catalog\"");
		if (len <= head->size - 16u && catalog_change_decode(record + 16, len, &change)) {
			buf_printf(out, ",\"op\":%d,\"kind\":%u,\"id\":%llu,\"version\":%llu,\"tenant\":", (int)change.op,
				   change.kind, (unsigned long long)change.id, (unsigned long long)change.version);
			buf_json_text(out, change.tenant);
			if (change.json.len) {
				buf_lit(out, ",\"document\":");
				buf_str(out, change.json);
			}
			if (change.audited) {
				buf_lit(out, ",\"actor\":");
				buf_json_text(out, change.actor);
			}
			if (change.state.len) {
				buf_lit(out, ",\"state\":");
				buf_str(out, change.state);
			}
		}
	} else if (head->type == RECORD_FILLER) {
		buf_lit(out, ",\"type\":\"filler\"");
	} else if (!show_ledger(out, record, head->size)) {
		buf_printf(out, ",\"type\":\"%u\"", head->type);
	}
	buf_lit(out, "}\n");
}

static bool show_frame(void *context, const struct wal_frame *frame)
{
	static const char *const kinds_text[] = { "filler", "records", "open", "mark" };
	struct show *show = context;
	struct buf out = { 0 };
	if (frame->lsn + frame->size <= show->from)
		return true;
	show->next = frame->lsn + frame->size;
	if (frame->kind != WAL_FRAME_FILLER) {
		struct buf when = { 0 };
		time_write(&when, frame->time_ms);
		if (show->json)
			buf_printf(&out, "{\"frame\":%llu,\"size\":%u,\"epoch\":%u,\"kind\":\"%s\",\"time\":\"%.*s\"}\n",
				   (unsigned long long)frame->lsn, frame->size, frame->epoch,
				   frame->kind < 4 ? kinds_text[frame->kind] : "?", (int)when.len, when.ptr);
		else
			buf_printf(&out, "%016llx  epoch %u  %-7s  %u bytes  %.*s\n", (unsigned long long)frame->lsn,
				   frame->epoch, frame->kind < 4 ? kinds_text[frame->kind] : "?", frame->size, (int)when.len,
				   when.ptr);
		buf_free(&when);
	}
	for (size_t at = 0; frame->kind == WAL_FRAME_RECORDS && at < frame->body_size;) {
		struct record_head head;
		if (!record_head_read(frame->body + at, frame->body_size - at, &head))
			break;
		if (!show->json)
			buf_lit(&out, "    ");
		show_record(&out, frame->body + at, &head, frame->lsn + WAL_FRAME_HEADER + at);
		at += head.size;
	}
	fwrite(out.ptr, 1, out.len, stdout);
	buf_free(&out);
	return !ferror(stdout);
}

static bool end_frame(void *context, const struct wal_frame *frame)
{
	*(uint64_t *)context = frame->lsn + frame->size;
	return true;
}

/* A log that is whole but ends before `from` is not damaged: the reader asked for what is not there yet. */
static bool is_beyond(const char *path, uint64_t from)
{
	struct buf error = { 0 }, torn = { 0 };
	uint64_t end = 0;
	bool whole = wal_verify(path, 0, end_frame, &end, &error, &torn);
	buf_free(&error);
	buf_free(&torn);
	if (!whole || from <= end)
		return false;
	fprintf(stderr, "tally log: LSN %llu is beyond the end of the log, %llu\n", (unsigned long long)from,
		(unsigned long long)end);
	return true;
}

int cmd_log(int argc, char **argv)
{
	struct show show = { 0 };
	const char *data = NULL;
	bool follow = false;
	char path[4096];
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			show.json = true;
		} else if (!strcmp(argv[i], "--follow")) {
			follow = true;
		} else if (!strcmp(argv[i], "--from") && i + 1 < argc) {
			char *end;
			show.from = strtoull(argv[++i], &end, 0);
			if (*end || end == argv[i])
				return command_misuse("log", "--from %s: an LSN was expected (decimal, or 0x…)", argv[i]);
		} else if (argv[i][0] != '-' && !data) {
			data = argv[i];
		} else {
			return command_misuse("log", "%s is not understood", argv[i]);
		}
	}
	if (!data)
		return command_misuse("log", "expected the data directory");
	if (!log_dir_of("log", data, path, sizeof path))
		return 2;
	for (;;) {
		struct buf error = { 0 }, torn = { 0 };
		bool whole = wal_verify(path, show.from, show_frame, &show, &error, &torn);
		fflush(stdout);
		if (!whole && !follow && !(show.from > 0 && !show.next && is_beyond(path, show.from)))
			fprintf(stderr, "tally log: %.*s\n", (int)error.len, error.ptr);
		buf_free(&error);
		buf_free(&torn);
		if (!follow || ferror(stdout))
			return whole ? 0 : 1;
		show.from = show.next > show.from ? show.next : show.from;
		nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	}
}
