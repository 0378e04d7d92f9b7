// SPDX-License-Identifier: Apache-2.0
/* problem.h - why a request was refused, in the words of RFC 9457: a status, a code for programs, a sentence for people
 * and, where a document is wrong, its faults with JSON pointers.
 *
 * Zero-initialise it; the first refusal stands, later ones are ignored.  problem_free gives the faults back.
 */
#ifndef ENGINE_BASE_PROBLEM_H
#define ENGINE_BASE_PROBLEM_H

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/fault.h"
#include "engine/base/str.h"

struct problem {
	int status;                    /* HTTP status; 0 while there is none */
	const char *code;              /* constant text, "event_type_unknown"; NULL while there is none */
	char detail[256];              /* one sentence; UTF-8, possibly cut */
	struct faults faults;          /* owned; empty where the document as such is fine */
};

/* How many bytes of a text fit into `max` without cutting a character in two; for "%.*s". */
static inline int text_cut(struct str text, size_t max)
{
	size_t len = text.len;
	if (len > max)
		for (len = max; len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80; len--)
			;
	return (int)len;
}

/* Sets status, code and detail unless there is a problem already.  `code` must be constant text. */
__attribute__((format(printf, 4, 5)))
static inline void problem_set(struct problem *problem, int status, const char *code, const char *format, ...)
{
	va_list args;
	if (problem->status)
		return;
	problem->status = status;
	problem->code = code;
	va_start(args, format);
	int len = vsnprintf(problem->detail, sizeof problem->detail, format, args);
	va_end(args);
	if (len < (int)sizeof problem->detail)
		return;
	struct str cut = { problem->detail, sizeof problem->detail - 1 };
	problem->detail[text_cut(cut, cut.len - 1)] = '\0';
}

static inline void problem_free(struct problem *problem)        /* and back to empty */
{
	faults_free(&problem->faults);
	problem->status = 0;
	problem->code = NULL;
	problem->detail[0] = '\0';
}

#endif
