// SPDX-License-Identifier: Apache-2.0
#include "net/hook/courier.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/event/effect.h"
#include "net/cli/version.h"
#include "net/loop/logline.h"
#include "net/loop/metrics.h"
#include "net/surface/transaction.h"
#include "snapshot/store.h"
#include "wal/cursor.h"
#include "wal/files.h"

enum { IDLE_MS = 100, SAVE_MS = 1000, BACKOFF_FIRST_MS = 500, BACKOFF_MAX_MS = 5 * 60 * 1000, FRAMES_A_TURN = 256, PATH_BYTES = 4200 };

/* One POST, until it is taken or given up. */
struct delivery {
	struct delivery *next;
	uint64_t frame_lsn, lsn;       /* of the event's record, and of its frame */
	unsigned number;               /* of the effect within it */
	unsigned attempts;
	int64_t due_ms;                /* monotonic */
	char *url;                     /* owned */
	struct buf body;
	CURL *easy;                    /* while an attempt is under way */
	struct curl_slist *headers;
};

struct courier {
	struct courier_options options;
	char *path;                    /* DIR/courier; owned */
	struct wal_cursor cursor;
	struct delivery *list;         /* oldest first */
	unsigned count, in_flight;
	uint64_t saved_lsn;
	int64_t save_due_ms;
	CURLM *multi;
	pthread_t thread;
	atomic_bool stop;
};

static int64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the cursor's file: "tally courier 1\nLSN\n" ------------------------------------------------------------------------- */

/* Digits up to the end of the line, as they are written; *at moves behind it. */
static bool number_line(struct str text, size_t *at, uint64_t *out)
{
	size_t begin = *at;
	for (*out = 0; *at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9'; ++*at)
		if (__builtin_mul_overflow(*out, UINT64_C(10), out) || __builtin_add_overflow(*out, (uint64_t)(text.ptr[*at] - '0'), out))
			return false;
	bool plain = *at > begin && (text.ptr[begin] != '0' || *at == begin + 1);
	return plain && *at < text.len && text.ptr[(*at)++] == '\n';
}

bool courier_cursor_read(struct str text, uint64_t *version, uint64_t *lsn)
{
	static const char begin[] = "tally courier ";
	size_t at = sizeof begin - 1;
	*version = 0;
	if (text.len < at || memcmp(text.ptr, begin, at) != 0 || !number_line(text, &at, version))
		return false;
	return *version == 1 && number_line(text, &at, lsn) && at == text.len;
}

size_t courier_cursor_write(char out[COURIER_TEXT], uint64_t lsn)
{
	return (size_t)snprintf(out, COURIER_TEXT, "tally courier 1\n%" PRIu64 "\n", lsn);
}

/* *found is false where there is no such file yet. */
static bool cursor_load(const char *path, uint64_t *lsn, bool *found, struct buf *error)
{
	char text[COURIER_TEXT];
	FILE *file = fopen(path, "re");
	*found = file != NULL;
	if (!file) {
		if (errno == ENOENT)
			return true;
		buf_printf(error, "%s: %s", path, strerror(errno));
		return false;
	}
	size_t len = fread(text, 1, sizeof text, file);
	fclose(file);
	uint64_t version;
	if (courier_cursor_read((struct str){ text, len }, &version, lsn))
		return true;
	if (version > 1)
		buf_printf(error, "%s is of format %" PRIu64 ", and this version reads format 1: a newer version wrote it", path, version);
	else
		buf_printf(error, "%s is not the cursor of webhooks; without it they begin with the next event", path);
	return false;
}

static bool cursor_save(const char *path, uint64_t lsn)
{
	char temporary[PATH_BYTES + 8], text[COURIER_TEXT];
	size_t len = courier_cursor_write(text, lsn);
	snprintf(temporary, sizeof temporary, "%s.new", path);
	int fd = files_open(temporary, O_WRONLY | O_CREAT | O_TRUNC);
	if (fd < 0)
		return false;
	bool good = !files_write(fd, text, len, 0) && !files_sync(fd);
	wal_io.close(fd);
	/* Where the name is not durable yet an older cursor comes back: deliveries are repeated, none is lost. */
	return good && !files_rename(temporary, path);
}

/* ---- deliveries ----------------------------------------------------------------------------------------------------------- */

static void delivery_free(struct delivery *delivery)
{
	curl_slist_free_all(delivery->headers);
	mem_free(delivery->url);
	buf_free(&delivery->body);
	mem_free(delivery);
}

static void deliver(struct courier *courier, uint64_t frame_lsn, const struct event_view *event, uint64_t lsn, unsigned number,
		    const struct execution_view *execution, struct str url, struct str template)
{
	struct delivery *delivery = mem_zalloc(sizeof *delivery), **end = &courier->list;
	struct buf line = { 0 };
	delivery->frame_lsn = frame_lsn;
	delivery->lsn = lsn;
	delivery->number = number;
	delivery->url = mem_alloc(url.len + 1);
	memcpy(delivery->url, url.ptr, url.len);
	delivery->url[url.len] = '\0';
	buf_printf(&line, "Tally-Delivery: %" PRIu64 "-%u", lsn, number);
	buf_char(&line, '\0');
	delivery->headers = curl_slist_append(NULL, "Content-Type: application/json");
	delivery->headers = curl_slist_append(delivery->headers, line.ptr);
	buf_free(&line);
	buf_printf(&delivery->body, "{\"rule_id\":\"%" PRIu64 "\",\"reversal\":%s,\"transaction\":", execution->head.rule_id,
		   event->head.flags & EVENT_REVERSAL ? "true" : "false");
	transaction_json(&delivery->body, event, lsn, false, true);
	if (template.len) {
		buf_lit(&delivery->body, ",\"template\":");
		buf_json_text(&delivery->body, template);
	}
	buf_char(&delivery->body, '}');
	while (*end)
		end = &(*end)->next;
	*end = delivery;
	courier->count++;
}

static void event_look(struct courier *courier, uint64_t frame_lsn, const struct event_view *event, uint64_t lsn)
{
	unsigned number = 0;
	struct effects effects = effects_of(event);
	for (struct effect_view effect; effects_next(&effects, &effect);) {
		/* Numbers go on without a gateway, so that they name the same delivery ever after. */
		bool message = effect.head.type == EFFECT_MESSAGE;
		if (effect.head.type == EFFECT_WEBHOOK)
			deliver(courier, frame_lsn, event, lsn, number, &effects.execution, effect_word(&effect), (struct str){ "", 0 });
		else if (message && courier->options.message_url)
			deliver(courier, frame_lsn, event, lsn, number, &effects.execution, str_of(courier->options.message_url),
				effect_word(&effect));
		number += message || effect.head.type == EFFECT_WEBHOOK;
	}
}

static void frame_look(struct courier *courier, const struct wal_frame *frame)
{
	struct record_head head;
	struct event_view event;
	if (frame->kind != WAL_FRAME_RECORDS)
		return;
	for (uint32_t at = 0; at < frame->body_size; at += head.size) {
		if (!record_head_read(frame->body + at, frame->body_size - at, &head))
			return;
		if (head.type == RECORD_EVENT && event_view_read(frame->body + at, head.size, &event))
			event_look(courier, frame->lsn, &event, frame->lsn + WAL_FRAME_HEADER + at);
	}
}

/* Takes what is new in the log, as far as there is room for deliveries.  True: there may be more. */
static bool look(struct courier *courier)
{
	struct wal_frame frame;
	for (unsigned i = 0; i < FRAMES_A_TURN && courier->count < COURIER_WAITING; i++) {
		if (courier->options.newest(courier->options.context) < courier->cursor.lsn)
			return false;
		uint64_t lsn = courier->cursor.lsn;
		switch (wal_cursor_next(&courier->cursor, &frame)) {
		case CURSOR_FRAME: frame_look(courier, &frame); break;
		case CURSOR_END: return false;
		case CURSOR_PRUNED:
		case CURSOR_UNREADABLE:
		case CURSOR_DAMAGED: {
			uint64_t behind = courier->options.newest(courier->options.context) + 1;
			log_line(LOG_LEVEL_ERROR, "webhooks",
				 "the log at LSN %" PRIu64 " cannot be read: webhooks of events up to LSN %" PRIu64 " are not sent", lsn,
				 behind - 1);
			metric_add(METRIC_WEBHOOKS_FAILED, 1);
			wal_cursor_end(&courier->cursor);
			wal_cursor_begin(&courier->cursor, courier->options.wal, wal_durable(courier->options.wal));
			return false;
		}
		}
	}
	return courier->count < COURIER_WAITING;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *context)
{
	(void)bytes;
	(void)context;
	return size * count;           /* only the status matters */
}

static void attempt(struct courier *courier, struct delivery *delivery)
{
	CURL *easy = curl_easy_init();
	if (!easy) {
		delivery->due_ms = clock_ms() + BACKOFF_FIRST_MS;
		return;
	}
	curl_easy_setopt(easy, CURLOPT_URL, delivery->url);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)delivery->body.len);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, delivery->body.ptr);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, delivery->headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "tally/" VERSION);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)courier->options.timeout_s);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, delivery);
	delivery->easy = easy;
	delivery->attempts++;
	courier->in_flight++;
	curl_multi_add_handle(courier->multi, easy);
}

static void remove_delivery(struct courier *courier, struct delivery *delivery)
{
	struct delivery **place = &courier->list;
	while (*place != delivery)
		place = &(*place)->next;
	*place = delivery->next;
	courier->count--;
	delivery_free(delivery);
}

static void finished(struct courier *courier, struct delivery *delivery, CURLcode result)
{
	long status = 0;
	curl_easy_getinfo(delivery->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(courier->multi, delivery->easy);
	curl_easy_cleanup(delivery->easy);
	delivery->easy = NULL;
	courier->in_flight--;
	if (result == CURLE_OK && status >= 200 && status < 300) {
		metric_add(METRIC_WEBHOOKS_SENT, 1);
		remove_delivery(courier, delivery);
		return;
	}
	if (delivery->attempts >= courier->options.attempts) {
		log_line(LOG_LEVEL_WARN, "webhook", "%s did not take the event at LSN %" PRIu64 " in %u attempts, given up: %s (%ld)",
			 delivery->url, delivery->lsn, delivery->attempts,
			 result == CURLE_OK ? "answered" : curl_easy_strerror(result), status);
		metric_add(METRIC_WEBHOOKS_FAILED, 1);
		remove_delivery(courier, delivery);
		return;
	}
	int64_t wait = BACKOFF_FIRST_MS;
	for (unsigned i = 1; i < delivery->attempts && wait < BACKOFF_MAX_MS; i++)
		wait *= 2;
	delivery->due_ms = clock_ms() + (wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
}

/* Starts what is due, hears of what has ended.  At most IDLE_MS, unless there is nothing to wait for. */
static void exchange(struct courier *courier, bool wait)
{
	int64_t now = clock_ms();
	int running, left;
	for (struct delivery *delivery = courier->list; delivery && courier->in_flight < COURIER_IN_FLIGHT; delivery = delivery->next)
		if (!delivery->easy && delivery->due_ms <= now)
			attempt(courier, delivery);
	curl_multi_perform(courier->multi, &running);
	if (wait)
		curl_multi_poll(courier->multi, NULL, 0, IDLE_MS, NULL);
	curl_multi_perform(courier->multi, &running);
	for (CURLMsg *message; (message = curl_multi_info_read(courier->multi, &left));) {
		struct delivery *delivery;
		if (message->msg != CURLMSG_DONE)
			continue;
		CURLcode result = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&delivery);
		finished(courier, delivery, result);
	}
}

/* All before it is done.  Where nothing waits and no event with a webhook stands before the log's durable end, that is what follows:
 * the end is asked first, so that one that comes between the two questions is seen. */
static uint64_t position(struct courier *courier)
{
	uint64_t durable = wal_durable(courier->options.wal);
	if (courier->list)
		return courier->list->frame_lsn;
	if (courier->options.newest(courier->options.context) < courier->cursor.lsn && durable > courier->cursor.lsn) {
		wal_cursor_end(&courier->cursor);
		wal_cursor_begin(&courier->cursor, courier->options.wal, durable);
	}
	return courier->cursor.lsn;
}

static void save(struct courier *courier, bool now)
{
	uint64_t lsn = position(courier);
	metric_set(METRIC_WEBHOOKS_WAITING, courier->count);
	if (lsn == courier->saved_lsn || (!now && clock_ms() < courier->save_due_ms))
		return;
	courier->save_due_ms = clock_ms() + SAVE_MS;
	if (cursor_save(courier->path, lsn)) {
		courier->saved_lsn = lsn;
		courier->options.hold(courier->options.context, lsn);
	} else {
		log_line(LOG_LEVEL_WARN, "webhooks", "%s cannot be written: %s", courier->path, strerror(errno));
	}
}

static void *courier_main(void *context)
{
	struct courier *courier = context;
	while (!atomic_load(&courier->stop)) {
		bool more = look(courier);
		exchange(courier, !more);
		save(courier, false);
	}
	save(courier, true);
	return NULL;
}

struct courier *courier_start(const struct courier_options *options, struct buf *error)
{
	struct courier *courier = mem_zalloc(sizeof *courier);
	struct buf path = { 0 };
	uint64_t lsn;
	buf_printf(&path, "%s/courier", options->dir);
	buf_char(&path, '\0');
	courier->options = *options;
	courier->path = path.ptr;
	bool found, good = cursor_load(courier->path, &lsn, &found, error);
	if (good && !found) {
		/* What happened before anybody kept count is not told: a copy of a server does not tell it all again. */
		lsn = wal_durable(options->wal);
		good = cursor_save(courier->path, lsn) && !files_sync_dir(options->dir);
		if (!good)
			buf_printf(error, "%s cannot be written: %s", courier->path, strerror(errno));
	}
	if (!good) {
		mem_free(courier->path);
		mem_free(courier);
		return NULL;
	}
	if (lsn < wal_first(options->wal))
		lsn = wal_first(options->wal);
	uint64_t end = wal_durable(options->wal);
	if (lsn > end) {
		/* It would wait for events that are long told when the log comes there. */
		log_line(LOG_LEVEL_WARN, "webhooks", "%s says LSN %" PRIu64 ", and the log ends at LSN %" PRIu64 ": they begin there",
			 courier->path, lsn, end);
		lsn = end;
	}
	courier->saved_lsn = lsn;
	options->hold(options->context, lsn);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	courier->multi = curl_multi_init();
	wal_cursor_begin(&courier->cursor, options->wal, lsn);
	if (courier->multi && !pthread_create(&courier->thread, NULL, courier_main, courier))
		return courier;
	buf_lit(error, "the thread of the webhooks cannot be started");
	wal_cursor_end(&courier->cursor);
	curl_multi_cleanup(courier->multi);
	mem_free(courier->path);
	mem_free(courier);
	return NULL;
}

void courier_stop(struct courier *courier)
{
	if (!courier)
		return;
	atomic_store(&courier->stop, true);
	curl_multi_wakeup(courier->multi);
	pthread_join(courier->thread, NULL);
	while (courier->list) {
		struct delivery *delivery = courier->list;
		courier->list = delivery->next;
		if (delivery->easy) {
			curl_multi_remove_handle(courier->multi, delivery->easy);
			curl_easy_cleanup(delivery->easy);
		}
		delivery_free(delivery);
	}
	curl_multi_cleanup(courier->multi);
	wal_cursor_end(&courier->cursor);
	mem_free(courier->path);
	mem_free(courier);
}
