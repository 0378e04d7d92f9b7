// SPDX-License-Identifier: Apache-2.0
/* logline.c - formatting and writing log lines.
 *
 * Invariants: a line holds no control characters but its end, whatever the text quotes; JSON lines are valid UTF-8; a
 * line is one write(2) (pieces only where the system takes less).
 */
#include "net/loop/logline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"

static _Atomic int minimum = LOG_LEVEL_INFO;
static atomic_bool forced_json, forced_text;
static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&minimum, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	return false;
}

void log_force_text(bool force)
{
	atomic_store_explicit(&forced_text, force, memory_order_relaxed);
}

void log_force_json(bool force)
{
	atomic_store_explicit(&forced_json, force, memory_order_relaxed);
}

/* Bytes of the UTF-8 character at `at`, 0 where there is none.  The text is terminated, so looking ahead is safe. */
static size_t utf8_len(const unsigned char *at)
{
	unsigned char c = at[0];
	size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
	    (c == 0xf4 && at[1] > 0x8f))
		return 0;
	return len;
}

static void clean_text(struct buf *out, const char *text, bool keep_controls)
{
	const unsigned char *at = (const unsigned char *)text;
	while (*at) {
		size_t len = utf8_len(at);
		if (!len || (!keep_controls && (*at < 0x20 || *at == 0x7f)))
			buf_char(out, len ? ' ' : '?');
		else
			buf_bytes(out, at, len);
		at += len ? len : 1;
	}
}

void log_format(struct buf *out, bool json, int64_t unix_ms, enum log_level level, const char *event,
		const char *message)
{
	char when[40];
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	struct buf clean = { 0 };
	ASSERT((size_t)level < sizeof level_names / sizeof *level_names && unix_ms >= 0);
	gmtime_r(&seconds, &tm);
	size_t len = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + len, sizeof when - len, ".%03dZ", (int)(unix_ms % 1000));
	clean_text(&clean, message, json);
	if (json) {
		buf_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":", when, level_names[level]);
		buf_json_text(out, str_of(event));
		buf_lit(out, ",\"message\":");
		buf_json_text(out, buf_view(&clean));
		buf_lit(out, "}\n");
	} else {
		buf_printf(out, "%s %-5s %s: ", when, level_names[level], event);
		buf_str(out, buf_view(&clean));
		buf_char(out, '\n');
	}
	buf_free(&clean);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char message[2048];
	struct timespec now;
	struct buf line = { 0 };
	va_list args;
	if ((int)level < atomic_load_explicit(&minimum, memory_order_relaxed))
		return;
	int saved = errno;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	clock_gettime(CLOCK_REALTIME, &now);
	bool json = atomic_load_explicit(&forced_json, memory_order_relaxed) ||
		    (!atomic_load_explicit(&forced_text, memory_order_relaxed) && !isatty(STDERR_FILENO));
	log_format(&line, json, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, level, event, message);
	for (size_t at = 0; at < line.len;) {
		ssize_t wrote = write(STDERR_FILENO, line.ptr + at, line.len - at);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			break;         /* nobody reads the log: go on without it */
		at += (size_t)wrote;
	}
	buf_free(&line);
	errno = saved;
}
