// SPDX-License-Identifier: Apache-2.0
/* import.c - rows become batches, batches become requests; two of them are in flight so that reading, sending and the
 * server's work overlap.
 *
 * A batch keeps the line of each of its rows: whatever the server says about row i is reported with the line in the
 * file. Sending a file again is harmless: an event that is there already is answered as repeated.
 */
#include "net/cli/import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/fault.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "net/cli/commands.h"

enum {
	BATCH_ROWS = 1000,
	BATCH_BYTES = 4 * 1024 * 1024,         /* a batch is sent when it holds this much */
	FLIGHT = 2,
	CHUNK = 256 * 1024,
	SHOWN_MAX = 20,                        /* refused rows on stderr */
	TRIES_MAX = 60,                        /* of a batch that a busy server sends back */
	BAR_WIDTH = 24,
};

struct batch {
	struct client_call call;
	struct buf body;
	uint64_t lines[BATCH_ROWS];            /* in the file */
	uint64_t places[BATCH_ROWS];           /* in the body, for customers */
	uint64_t place;                        /* the next row's */
	size_t count;
	unsigned tries;
	bool busy;
};

struct run {
	struct import *import;
	struct batch batches[FLIGHT];
	struct csv_map *map;
	struct buf header;                     /* of each batch of customers */
	size_t columns;
	bool *dropped;                         /* columns that a constant replaces */
	struct buf scratch;
	uint64_t size, read;                   /* bytes of the file; size 0: unknown */
	double started, shown;
	unsigned tenth;
	bool terminal, bar;
	bool failed;                           /* the file could not be sent completely */
	bool broken;                           /* because of the server: nothing more is sent */
};

double import_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void import_number(char out[32], uint64_t value)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, value), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

/* Progress */

static void bar_clear(struct run *run)
{
	if (run->bar)
		fputs("\r\033[K", stderr);
	run->bar = false;
}

static void progress(struct run *run, bool last)
{
	struct import *import = run->import;
	double now = import_clock(), seconds = now - run->started;
	double part = run->size ? (double)run->read / (double)run->size : 0;
	double rate = seconds > 0 ? (double)import->rows / seconds : 0;
	int eta = part > 0 ? (int)(seconds / part - seconds + 0.5) : 0, full;
	char rows[32], speed[32];

	if (part > 1 || last)
		part = 1;
	import_number(rows, import->rows);
	import_number(speed, (uint64_t)rate);
	if (!run->terminal) {
		/* The whole of the file may have been read before the last answers are there. */
		unsigned tenth = last ? 10 : part < 1 ? (unsigned)(part * 10) : 9;
		if (!run->size || tenth <= run->tenth)
			return;
		run->tenth = tenth;
		fprintf(stderr, "%s: %u%%, %s rows, %s/s\n", import->name, tenth * 10, rows, speed);
		return;
	}
	if (!last && now - run->shown < 0.1)
		return;
	run->shown = now;
	full = (int)(part * BAR_WIDTH);
	fprintf(stderr, "\r\033[K[%.*s%*s] %3d%%  %s rows  %s/s  ETA %d:%02d", full, "========================",
		BAR_WIDTH - full, "", (int)(part * 100), rows, speed, last ? 0 : eta / 60, last ? 0 : eta % 60);
	run->bar = true;
	if (last) {
		fputc('\n', stderr);
		run->bar = false;
	}
}

/* Refusals */

static void reject(struct run *run, uint64_t line, const char *reason, size_t len)
{
	struct import *import = run->import;

	import->rejected++;
	if (import->rejects)
		fprintf(import->rejects, "%s:%" PRIu64 ": %.*s\n", import->name, line, (int)len, reason);
	if (import->rejected > SHOWN_MAX)
		return;
	bar_clear(run);
	fprintf(stderr, "%s:%" PRIu64 ": %.*s\n", import->name, line, (int)len, reason);
	if (import->rejected == SHOWN_MAX)
		fprintf(stderr, "(further refused rows are only counted%s)\n",
			import->rejects ? " here; --rejects has them" : "; --rejects FILE keeps them");
}

static void fail(struct run *run, const char *what, struct str detail)
{
	bar_clear(run);
	if (!run->broken)
		fprintf(stderr, "tally import: %s%s%.*s\n", what, detail.len ? ": " : "", (int)detail.len,
			detail.len ? detail.ptr : "");
	run->failed = true;
	run->broken = true;
}

/* The words of a problem document: its detail and the first fault. */
static void problem_reason(yyjson_val *problem, struct buf *out)
{
	struct str detail = json_text(json_get(problem, STR("detail")));
	yyjson_val *fault = yyjson_arr_get_first(json_get(problem, STR("errors")));
	struct str at = json_text(json_get(fault, STR("pointer"))), what = json_text(json_get(fault, STR("detail")));

	out->len = 0;
	buf_str(out, detail.len ? detail : json_text(json_get(problem, STR("title"))));
	if (what.len)
		buf_printf(out, " (%.*s%s%.*s)", (int)at.len, at.ptr, at.len ? ": " : "", (int)what.len, what.ptr);
}

/* Answers */

static void event_answered(struct run *run, yyjson_val *answer, uint64_t line)
{
	struct import *import = run->import;
	int64_t status, points = 0, lsn = 0;

	import->rows++;
	if (json_int(json_get(answer, STR("status")), &status) && status >= 400) {
		problem_reason(answer, &run->scratch);
		reject(run, line, run->scratch.ptr ? run->scratch.ptr : "", run->scratch.len);
		return;
	}
	if (yyjson_is_true(json_get(answer, STR("idempotent"))))
		import->repeated++;
	else
		import->imported++;
	if (import->on_event && json_int(json_get(answer, STR("points")), &points)) {
		json_int(json_get(answer, STR("lsn")), &lsn);
		import->on_event(import->context, json_text(json_get(answer, STR("profileId"))), points, lsn);
	}
}

static bool events_answered(struct run *run, struct batch *batch, yyjson_val *root)
{
	size_t index, max;
	yyjson_val *answer;

	if (!yyjson_is_arr(root) || yyjson_arr_size(root) != batch->count)
		return false;
	yyjson_arr_foreach(root, index, max, answer)
		event_answered(run, answer, batch->lines[index]);
	return true;
}

static bool customers_answered(struct run *run, struct batch *batch, yyjson_val *root)
{
	int64_t imported, failed, line;
	size_t index, max;
	yyjson_val *error;

	if (!json_int(json_get(root, STR("imported")), &imported) || !json_int(json_get(root, STR("failed")), &failed))
		return false;
	run->import->rows += batch->count;
	run->import->imported += (uint64_t)imported;
	yyjson_arr_foreach(json_get(root, STR("errors")), index, max, error) {
		uint64_t found = batch->lines[0];
		if (json_int(json_get(error, STR("line")), &line))
			for (size_t i = 0; i < batch->count; i++)
				if (batch->places[i] == (uint64_t)line)
					found = batch->lines[i];
		struct str detail = json_text(json_get(error, STR("detail")));
		reject(run, found, detail.ptr, detail.len);
		failed--;
	}
	run->import->rejected += failed > 0 ? (uint64_t)failed : 0;
	return true;
}

static bool answered(struct run *run, struct batch *batch)
{
	struct client_call *call = &batch->call;
	struct json_error error = { 0 };
	char what[80];

	if (!call->status) {
		fail(run, client_url(run->import->client), str_of(call->error));
		return false;
	}
	yyjson_doc *doc = json_read(buf_view(&call->answer), &error);
	yyjson_val *root = doc ? yyjson_doc_get_root(doc) : NULL;
	bool good = call->status / 100 == 2;
	if (!good) {
		snprintf(what, sizeof(what), "the server answered %ld", call->status);
		problem_reason(root, &run->scratch);
		fail(run, what, buf_view(&run->scratch));
	} else if (run->import->kind == CSV_EVENTS ? !events_answered(run, batch, root) :
						     !customers_answered(run, batch, root)) {
		fail(run, "the server's answer is not understood", str_of(error.detail));
		good = false;
	}
	yyjson_doc_free(doc);
	return good;
}

/* Batches */

static void batch_start(struct run *run, struct batch *batch)
{
	struct import *import = run->import;
	bool events = import->kind == CSV_EVENTS;

	batch->busy = true;
	batch->call.method = "POST";
	batch->call.path = import->strict ? "/transactions?customers=strict" : "/transactions";
	if (!events)
		batch->call.path = "/imports/customers";
	batch->call.content_type = events ? "application/json" : "text/csv";
	batch->call.body = buf_view(&batch->body);
	batch->call.context = batch;
	client_start(import->client, &batch->call);
}

/* Waits until one batch is done.  A server that is busy says so with 503 or 429: the batch is sent again. */
static bool batch_wait(struct run *run)
{
	struct client_call *call = client_wait(run->import->client);
	struct batch *batch = call->context;

	if ((call->status == 503 || call->status == 429) && batch->tries++ < TRIES_MAX) {
		sleep(call->retry_after > 0 && call->retry_after < 60 ? (unsigned)call->retry_after : 1);
		batch_start(run, batch);
		return true;
	}
	bool good = answered(run, batch);
	batch->busy = false;
	batch->count = 0;
	batch->tries = 0;
	batch->body.len = 0;
	progress(run, false);
	return good;
}

static void batch_send(struct run *run, struct batch *batch)
{
	if (run->import->kind == CSV_EVENTS)
		buf_char(&batch->body, ']');
	batch_start(run, batch);
}

/* A batch that can take a row; NULL after a failure. */
static struct batch *batch_open(struct run *run)
{
	for (;;) {
		struct batch *open = NULL;
		for (size_t i = 0; i < FLIGHT; i++) {
			struct batch *batch = &run->batches[i];
			if (batch->busy)
				continue;
			if (batch->count == BATCH_ROWS || batch->body.len >= BATCH_BYTES) {
				batch_send(run, batch);
				continue;
			}
			if (!open || batch->count)
				open = batch;
		}
		if (open)
			return open;
		if (!batch_wait(run))
			return NULL;
	}
}

static uint64_t lines_in(struct str text)
{
	uint64_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.ptr[i] == '\n';
	return count;
}

static void customer_write(struct run *run, struct batch *batch, const struct csv_row *row)
{
	struct import *import = run->import;
	bool first = true;

	if (!batch->count) {
		buf_str(&batch->body, buf_view(&run->header));
		batch->place = 1 + lines_in(buf_view(&run->header));
	}
	size_t begin = batch->body.len;
	for (size_t i = 0; i < row->count; i++) {
		if (run->dropped[i])
			continue;
		csv_write(&batch->body, row->fields[i], first);
		first = false;
	}
	for (size_t i = 0; i < import->constant_count; i++) {
		csv_write(&batch->body, import->constants[i].value, first);
		first = false;
	}
	buf_lit(&batch->body, "\n");
	batch->places[batch->count] = batch->place;
	batch->place += lines_in((struct str){ batch->body.ptr + begin, batch->body.len - begin });
}

static bool row_take(struct run *run, const struct csv_row *row)
{
	struct faults faults = { 0 };
	struct batch *batch = batch_open(run);

	if (!batch)
		return false;
	bool events = run->import->kind == CSV_EVENTS;
	struct buf *out = events ? &batch->body : &run->scratch;
	size_t before = out->len;
	if (events)
		buf_char(out, batch->count ? ',' : '[');
	if (csv_map_json(run->map, row, out, &faults)) {
		if (!events)
			customer_write(run, batch, row);
		batch->lines[batch->count++] = row->line;
	} else {
		run->import->rows++;
		const struct fault *fault = &faults.list[0];
		run->scratch.len = 0;
		buf_printf(&run->scratch, "%s%s%s", fault->pointer, *fault->pointer ? ": " : "", fault->detail);
		reject(run, row->line, run->scratch.ptr, run->scratch.len);
		out->len = before;
	}
	run->scratch.len = 0;
	faults_free(&faults);
	return true;
}

/* The header of a batch of customers: the fields' names instead of the columns', then the constants. */
static void header_write(struct run *run, const struct csv_row *row)
{
	struct import *import = run->import;
	bool first = true;

	run->columns = row->count;
	run->dropped = mem_zalloc(row->count * sizeof(*run->dropped));
	for (size_t i = 0; i < row->count; i++) {
		struct str name = row->fields[i];
		for (size_t r = 0; r < import->rename_count; r++)
			if (str_eq(name, import->renames[r].name))
				name = import->renames[r].value;
		for (size_t c = 0; c < import->constant_count; c++)
			run->dropped[i] = run->dropped[i] || str_eq(name, import->constants[c].name);
		if (run->dropped[i])
			continue;
		csv_write(&run->header, name, first);
		first = false;
	}
	for (size_t c = 0; c < import->constant_count; c++) {
		csv_write(&run->header, import->constants[c].name, first);
		first = false;
	}
	buf_lit(&run->header, "\n");
}

static bool header_take(struct run *run, const struct csv_row *row)
{
	struct import *import = run->import;
	struct faults faults = { 0 };

	run->map = csv_map_new(import->kind, row, import->renames, import->rename_count, import->constants,
			       import->constant_count, &faults);
	for (size_t i = 0; i < faults.count; i++)
		fprintf(stderr, "%s:%" PRIu64 ": %s\n", import->name, row->line, faults.list[i].detail);
	if (run->map && *csv_map_ignored(run->map))
		fprintf(stderr, "%s: columns that are not sent: %s\n", import->name, csv_map_ignored(run->map));
	if (run->map && import->kind == CSV_CUSTOMERS)
		header_write(run, row);
	faults_free(&faults);
	run->failed = !run->map;
	return run->map != NULL;
}

static bool chunk_take(struct run *run, struct csv *csv)
{
	struct csv_row row;
	enum csv_result got;

	while ((got = csv_next(csv, &row)) == CSV_ROW)
		if (run->map ? !row_take(run, &row) : !header_take(run, &row))
			return false;
	if (got == CSV_BAD) {
		bar_clear(run);
		fprintf(stderr, "%s:%" PRIu64 ": %s; reading ends here\n", run->import->name, csv_line(csv),
			csv_error(csv));
		run->failed = true;
	}
	return got == CSV_MORE;
}

static void file_take(struct run *run)
{
	struct csv *csv = csv_new(CSV_ROW_MAX);
	char *chunk = mem_alloc(CHUNK);
	bool more = true;

	while (more) {
		size_t len = fread(chunk, 1, CHUNK, run->import->file);
		if (ferror(run->import->file)) {
			fail(run, run->import->name, STR("cannot be read"));
			break;
		}
		run->read += len;
		csv_feed(csv, (struct str){ chunk, len }, len < CHUNK);
		more = chunk_take(run, csv);
	}
	if (!run->failed && !run->map)
		fail(run, run->import->name, STR("the file is empty; the first line names the columns"));
	mem_free(chunk);
	csv_free(csv);
}

int import_run(struct import *import)
{
	struct run *run = mem_zalloc(sizeof(*run));
	struct stat status;

	run->import = import;
	run->terminal = isatty(STDERR_FILENO);
	if (fstat(fileno(import->file), &status) == 0 && S_ISREG(status.st_mode))
		run->size = (uint64_t)status.st_size;
	run->started = import_clock();
	file_take(run);
	/* What was read before a malformed line is sent as well: the summary says how far it came. */
	for (size_t i = 0; i < FLIGHT; i++)
		if (!run->broken && !run->batches[i].busy && run->batches[i].count)
			batch_send(run, &run->batches[i]);
	while (client_flight(import->client))
		batch_wait(run);
	import->seconds = import_clock() - run->started;
	if (!run->failed)
		progress(run, true);
	bar_clear(run);
	int result = run->failed ? IMPORT_FAILED : import->rejected ? IMPORT_REJECTED : IMPORT_DONE;
	for (size_t i = 0; i < FLIGHT; i++) {
		buf_free(&run->batches[i].body);
		buf_free(&run->batches[i].call.answer);
	}
	csv_map_free(run->map);
	mem_free(run->dropped);
	buf_free(&run->header);
	buf_free(&run->scratch);
	mem_free(run);
	return result;
}

/* The command */

static bool pair_take(struct csv_pair *pairs, size_t *count, const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text || *count == CSV_PAIRS_MAX)
		return false;
	pairs[(*count)++] = (struct csv_pair){ { text, (size_t)(equals - text) }, str_of(equals + 1) };
	return true;
}

struct arguments { const char *file, *url, *rejects; };

static int arguments_take(struct import *import, struct arguments *given, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (strncmp(word, "--", 2) != 0) {
			if (given->file)
				return command_misuse("import", "one file at a time, unexpected \"%s\"", word);
			given->file = word;
			continue;
		}
		if (strcmp(word, "--strict") == 0) {
			import->strict = true;
			continue;
		}
		if (strcmp(word, "--to") != 0 && strcmp(word, "--map") != 0 && strcmp(word, "--set") != 0 &&
		    strcmp(word, "--rejects") != 0)
			return command_misuse("import", "unknown option %s", word);
		if (++i == argc)
			return command_misuse("import", "%s needs a value", word);
		if (strcmp(word, "--to") == 0)
			given->url = argv[i];
		else if (strcmp(word, "--rejects") == 0)
			given->rejects = argv[i];
		else if (strcmp(word, "--map") == 0 && !pair_take(import->renames, &import->rename_count, argv[i]))
			return command_misuse("import", "--map is \"%s\"; expected COLUMN=FIELD", argv[i]);
		else if (strcmp(word, "--set") == 0 && !pair_take(import->constants, &import->constant_count, argv[i]))
			return command_misuse("import", "--set is \"%s\"; expected FIELD=VALUE", argv[i]);
	}
	if (!given->file || !given->url)
		return command_misuse("import", "%s is missing", given->file ? "--to URL" : "FILE.csv");
	return 0;
}

static void summary(const struct import *import)
{
	char rows[32], imported[32], repeated[32], rejected[32], rate[32];

	import_number(rows, import->rows);
	import_number(imported, import->imported);
	import_number(repeated, import->repeated);
	import_number(rejected, import->rejected);
	import_number(rate, import->seconds > 0 ? (uint64_t)((double)import->rows / import->seconds) : 0);
	printf("%s rows: %s imported, %s repeated, %s rejected; %.2f s, %s rows/s\n", rows, imported, repeated,
	       rejected,
	       import->seconds, rate);
}

int cmd_import(int argc, char **argv)
{
	struct import import = { 0 };
	struct arguments given = { 0 };
	int status = IMPORT_FAILED;

	if (argc < 1 || (strcmp(argv[0], "events") != 0 && strcmp(argv[0], "customers") != 0))
		return command_misuse("import", "expected \"events\" or \"customers\"");
	import.kind = strcmp(argv[0], "events") == 0 ? CSV_EVENTS : CSV_CUSTOMERS;
	int misuse = arguments_take(&import, &given, argc, argv);
	if (misuse)
		return misuse;
	import.client = client_new(given.url);
	if (!import.client)
		return command_misuse("import", "--to is \"%s\"; expected a URL such as http://127.0.0.1:8000",
			given.url);
	import.name = given.file;
	import.file = fopen(given.file, "re");
	if (given.rejects)
		import.rejects = fopen(given.rejects, "we");
	if (!import.file || (given.rejects && !import.rejects)) {
		fprintf(stderr, "tally import: %s: %m\n", import.file ? given.rejects : given.file);
	} else {
		status = import_run(&import);
		summary(&import);
	}
	if (import.file)
		fclose(import.file);
	if (import.rejects && fclose(import.rejects) != 0) {
		fprintf(stderr, "tally import: %s: %m\n", given.rejects);
		status = IMPORT_FAILED;
	}
	client_free(import.client);
	return status;
}
