// SPDX-License-Identifier: Apache-2.0
#include "engine/base/fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/mem.h"

void faults_add(struct faults *faults, const char *pointer, const char *format, ...)
{
	char text[512];
	va_list args;
	if (faults->count == FAULTS_MAX) {
		faults->more++;
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct fault *fault = &faults->list[faults->count++];
	fault->pointer = mem_dup(pointer, strlen(pointer) + 1);
	fault->detail = mem_dup(text, strlen(text) + 1);
}

void faults_free(struct faults *faults)
{
	for (size_t i = 0; i < faults->count; i++) {
		mem_free(faults->list[i].pointer);
		mem_free(faults->list[i].detail);
	}
	faults->count = faults->more = 0;
}

void faults_json(const struct faults *faults, struct buf *out)
{
	buf_char(out, '[');
	for (size_t i = 0; i < faults->count; i++) {
		if (i)
			buf_char(out, ',');
		buf_lit(out, "{\"pointer\":");
		buf_json_text(out, str_of(faults->list[i].pointer));
		buf_lit(out, ",\"detail\":");
		buf_json_text(out, str_of(faults->list[i].detail));
		buf_char(out, '}');
	}
	if (faults->more)
		buf_printf(out, ",{\"pointer\":\"\",\"detail\":\"and %zu more\"}", faults->more);
	buf_char(out, ']');
}

size_t pointer_push(struct buf *pointer, struct str token)
{
	size_t before = pointer->len;
	buf_char(pointer, '/');
	for (size_t i = 0; i < token.len; i++) {
		if (token.ptr[i] == '~')
			buf_lit(pointer, "~0");
		else if (token.ptr[i] == '/')
			buf_lit(pointer, "~1");
		else
			buf_char(pointer, token.ptr[i]);
	}
	return before;
}

size_t pointer_push_index(struct buf *pointer, size_t index)
{
	size_t before = pointer->len;
	buf_char(pointer, '/');
	buf_u64(pointer, index);
	return before;
}

const char *pointer_text(struct buf *pointer)
{
	buf_room(pointer, 1);
	pointer->ptr[pointer->len] = '\0';
	return pointer->ptr;
}
