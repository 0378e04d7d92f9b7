// SPDX-License-Identifier: Apache-2.0
/* The routes of a backup: pin the files there are (net/main/pins.h), read them piece by piece, let them go.
 *
 * A piece is at most PIN_READ_MAX bytes, read on a worker thread, with the XXH3-128 of its bytes in a header: memory is
 * bounded by the number of requests, and the loop never waits for a disk. */
#include <errno.h>
#include <inttypes.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/cli/version.h"
#include "net/loop/logline.h"
#include "net/main/pins.h"
#include "net/surface/app.h"
#include "snapshot/store.h"

/* A request in work: what the worker thread reads or made. */
struct reading {
	struct pins *pins;
	struct pin *pin;               /* made; NULL: not */
	struct buf error;
	uint64_t id, offset, size;
	char path[PIN_PATH];
	bool hash_only;
	uint8_t hash[16];
	int failed;
};

static void reading_free(void *context)
{
	struct reading *reading = context;
	buf_free(&reading->error);
	mem_free(reading);
}

static struct reading *reading_new(struct task *task)
{
	struct reading *reading = mem_zalloc(sizeof *reading);
	reading->pins = task->app->pins;
	task->context = reading;
	task->free_context = reading_free;
	return reading;
}

static uint64_t durable_lsn(void *node)
{
	return wal_durable(node_wal(node));
}

static void pin_json(struct buf *out, const struct pin *pin)
{
	buf_printf(out, "{\"id\":\"%016" PRIx64 "\",\"first_lsn\":%" PRIu64 ",\"end_lsn\":%" PRIu64 ",\"time\":", pin->id, pin->first,
		   pin->end);
	catalog_time_json(out, pin->time_ms);
	buf_printf(out, ",\"lease_seconds\":%d", PIN_LEASE_S);
}

static void make_read(struct task *task)
{
	struct reading *reading = task->context;
	reading->pin = pin_collect(task->app->options->data, durable_lsn, task->app->node, &reading->error);
}

static void make_answer(struct task *task)
{
	struct reading *reading = task->context;
	struct pin *pin = reading->pin;
	pins_making(reading->pins, -1);
	if (!pin) {
		log_line(LOG_LEVEL_WARN, "backup", "no files were pinned: %.*s", (int)reading->error.len, reading->error.ptr);
		task_problem(task, 500, "backup_failed", "the files cannot be held for a backup: %.*s", (int)reading->error.len,
			     reading->error.ptr);
		return;
	}
	pins_add(reading->pins, pin);
	pin_json(&task->out, pin);
	buf_lit(&task->out, ",\"server\":");
	buf_json_text(&task->out, str_of(VERSION));
	buf_printf(&task->out, ",\"piece_bytes\":%d,\"files\":[", PIN_READ_MAX);
	for (size_t i = 0; i < pin->count; i++) {
		buf_str(&task->out, i ? STR(",{\"path\":") : STR("{\"path\":"));
		buf_json_text(&task->out, str_of(pin->files[i].path));
		buf_printf(&task->out, ",\"bytes\":%" PRIu64 ",\"size\":%" PRIu64 "}", pin->files[i].bytes, pin->files[i].size);
	}
	buf_lit(&task->out, "]}");
	task_json(task, 201);
}

static void backups_post(struct task *task)
{
	struct pins *pins = task->app->pins;
	if (!task_parameters_known(task, ""))
		return;                /* above all no dry_run */
	if (!pins_room(pins)) {
		task_problem(task, 409, "backups_too_many", "%d backups are being read already; one that is not read any more ends "
			     "within %d seconds", PINS_MAX, PIN_LEASE_S);
		return;
	}
	reading_new(task);
	pins_making(pins, 1);
	task_read(task, make_read, make_answer);
}

static void backups_get(struct task *task)
{
	const struct pins *pins = task->app->pins;
	buf_char(&task->out, '[');
	for (size_t i = 0; i < pins_count(pins); i++) {
		if (i)
			buf_char(&task->out, ',');
		pin_json(&task->out, pins_at(pins, i));
		buf_char(&task->out, '}');
	}
	buf_char(&task->out, ']');
	task_json(task, 200);
}

/* The pin that the path names; NULL: answered. */
static struct pin *pin_of(struct task *task)
{
	struct str text = buf_view(&task->parts[0]);
	uint64_t id = 0;
	bool good = text.len == 16;
	for (size_t i = 0; i < text.len && good; i++) {
		char c = text.ptr[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 16;
		good = digit < 16;
		id = id << 4 | (digit & 15);
	}
	struct pin *pin = good ? pins_use(task->app->pins, id) : NULL;
	if (!pin)
		task_problem(task, 404, "backup_unknown", "there is no such backup: it ended, or was not used for %d seconds", PIN_LEASE_S);
	return pin;
}

static void backup_delete(struct task *task)
{
	struct pin *pin = pin_of(task);
	if (!pin || !task_parameters_known(task, ""))
		return;
	pins_drop(task->app->pins, pin->id);
	task_text(task, 204, NULL);
}

static bool number_of(struct task *task, const char *name, uint64_t *out)
{
	struct buf text = { 0 };
	bool found, good;
	uint64_t value = 0;
	if (!task_parameter(task, name, &text, &found)) {
		buf_free(&text);
		return false;
	}
	good = found && text.len >= 1 && text.len <= 18;
	for (size_t i = 0; i < text.len && good; i++) {
		good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
		value = value * 10 + (uint64_t)(text.ptr[i] - '0');
	}
	buf_free(&text);
	if (!good)
		task_problem(task, 400, "query_invalid", "the query parameter %s must be a whole number of bytes", name);
	*out = value;
	return good;
}

static void bytes_read(struct task *task)
{
	struct reading *reading = task->context;
	const char *data = task->app->options->data;
	if (reading->hash_only) {
		reading->failed = pin_hash(data, reading->id, reading->path, reading->offset, reading->size, reading->hash);
		return;
	}
	buf_room(&task->out, reading->size);
	reading->failed = pin_read(data, reading->id, reading->path, reading->offset, reading->size, task->out.ptr);
	task->out.len = reading->failed ? 0 : reading->size;
	snapshot_hash(reading->hash, task->out.ptr, task->out.len);
}

static void bytes_answer(struct task *task)
{
	struct reading *reading = task->context;
	if (reading->failed == ENOENT) {
		task_problem(task, 404, "backup_unknown", "there is no such backup: it ended meanwhile");
		return;
	}
	if (reading->failed) {
		log_line(LOG_LEVEL_ERROR, "backup", "%s cannot be read from byte %" PRIu64 ": %s", reading->path, reading->offset,
			 strerror(reading->failed));
		task_problem(task, 500, "file_unreadable", "%s cannot be read from byte %" PRIu64 ": %s", reading->path,
			     reading->offset, strerror(reading->failed));
		return;
	}
	if (reading->hash_only) {
		buf_printf(&task->out, "{\"bytes\":%" PRIu64 ",\"hash\":\"", reading->size);
		buf_hex(&task->out, reading->hash, sizeof reading->hash);
		buf_lit(&task->out, "\"}");
		task_json(task, 200);
		return;
	}
	buf_lit(&task->headers, "X-Content-Hash: ");
	buf_hex(&task->headers, reading->hash, sizeof reading->hash);
	buf_lit(&task->headers, "\r\n");
	task_text(task, 200, "application/octet-stream");
}

static void bytes_get(struct task *task)
{
	struct buf path = { 0 };
	bool found, hash_only;
	struct pin *pin = pin_of(task);
	if (!pin || !task_parameters_known(task, "file offset size hash") || !task_bool_parameter(task, "hash", &hash_only))
		return;
	if (!task_parameter(task, "file", &path, &found)) {
		buf_free(&path);
		return;
	}
	const struct pin_file *file = pin_find(pin, buf_view(&path));
	if (!file) {
		task_problem(task, 404, "file_unknown", "this backup has no file %.*s", (int)(path.len < 100 ? path.len : 100), path.ptr);
		buf_free(&path);
		return;
	}
	buf_free(&path);
	uint64_t offset, size, most = hash_only ? PIN_HASH_MAX : PIN_READ_MAX;
	if (!number_of(task, "offset", &offset) || !number_of(task, "size", &size))
		return;
	if (size > most || offset > file->bytes || size > file->bytes - offset) {
		task_problem(task, 416, "range_invalid", "%s has %" PRIu64 " bytes; at most %" PRIu64 " of them can be asked for at a "
			     "time", file->path, file->bytes, most);
		return;
	}
	struct reading *reading = reading_new(task);
	reading->id = pin->id;
	reading->offset = offset;
	reading->size = size;
	reading->hash_only = hash_only;
	memcpy(reading->path, file->path, sizeof reading->path);
	task_read(task, bytes_read, bytes_answer);
}

const struct route backup_routes[] = {
	{ "POST", "/v1/backups", backups_post, "backups.create", "Hold the files there are, for a backup to read", NULL,
	  .command = "backup.create" },
	{ "GET", "/v1/backups", backups_get, "backups.read", "Backups that are being read", NULL, .command = "backup.list" },
	{ "DELETE", "/v1/backups/{id}", backup_delete, "backups.create", "Let the files go", NULL, .command = "backup.end" },
	{ "GET", "/v1/backups/{id}/bytes", bytes_get, "backups.create", "Bytes of a file, or their hash", NULL,
	  .operation = "backup.bytes" },
	{ .method = NULL },
};
