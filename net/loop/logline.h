// SPDX-License-Identifier: Apache-2.0
/* logline.h - the operator's log: one line per event on standard error.
 *
 * A JSON object per line where standard error is not a terminal, readable text where it is.  Each line is one write(2),
 * so lines of several threads do not mix.  `event` is a stable word to search for; the text is for people.
 */
#ifndef NET_LOOP_LOGLINE_H
#define NET_LOOP_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_line(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
void log_set_level(enum log_level level);                  /* lines below it are dropped; default LOG_LEVEL_INFO */
bool log_level_parse(const char *name, enum log_level *level);     /* "debug", "info", "warn", "error" */
void log_force_text(bool force);                          /* text where it is none */
void log_force_json(bool force);                           /* JSON on a terminal too */

/* The line without writing it: for tests. */
void log_format(struct buf *out, bool json, int64_t unix_ms, enum log_level level, const char *event,
		const char *message);

#endif
