// SPDX-License-Identifier: Apache-2.0
#include "engine/event/record.h"

#include <assert.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/event/effect.h"

static_assert(sizeof(struct record_head) == 8, "layout");
static_assert(sizeof(struct event_head) == 88, "layout");
static_assert(sizeof(struct execution_head) == 16, "layout");
static_assert(sizeof(struct effect_head) == 24, "layout");
static_assert(sizeof(struct customer_head) == 40, "layout");
static_assert(sizeof(struct action_head) == 32, "layout");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log is little-endian");

bool record_head_read(const unsigned char *bytes, size_t len, struct record_head *head)
{
	if (len < sizeof *head)
		return false;
	memcpy(head, bytes, sizeof *head);
	return head->size >= sizeof *head && head->size % 8 == 0 && head->size <= len;
}

/* Takes `want` bytes off the front of [*at, end). */
static bool take(const unsigned char **at, const unsigned char *end, size_t want, struct str *out)
{
	if ((size_t)(end - *at) < want)
		return false;
	*out = (struct str){ (const char *)*at, want };
	*at += want;
	return true;
}

static bool take_copy(const unsigned char **at, const unsigned char *end, void *out, size_t want)
{
	struct str bytes;
	if (!take(at, end, want, &bytes))
		return false;
	memcpy(out, bytes.ptr, want);
	return true;
}

/* An effect whose text is long enough for what its type keeps there. */
static bool effect_take(const unsigned char **at, const unsigned char *end)
{
	struct effect_head effect;
	struct str text;
	return take_copy(at, end, &effect, sizeof effect) && effect.text_len >= effect_text_min(effect.type) &&
	       take(at, end, effect.text_len, &text);
}

static bool executions_fit(const unsigned char *at, const unsigned char *end, unsigned count)
{
	struct execution_head execution;
	struct str text;
	for (; count; count--) {
		if (!take_copy(&at, end, &execution, sizeof execution))
			return false;
		for (unsigned i = 0; i < execution.effect_count; i++)
			if (!effect_take(&at, end))
				return false;
		if (!take(&at, end, execution.error_len, &text))
			return false;
	}
	return true;
}

bool event_view_read(const unsigned char *record, size_t len, struct event_view *view)
{
	struct record_head head;
	const unsigned char *at = record;
	if (!record_head_read(record, len, &head) || head.type != RECORD_EVENT || head.partition >= 1024)
		return false;
	view->end = record + head.size;
	if (!take_copy(&at, view->end, &view->head, sizeof view->head) ||
	    !take(&at, view->end, view->head.tenant_len, &view->tenant) ||
	    !take(&at, view->end, view->head.profile_len, &view->profile) ||
	    !take(&at, view->end, view->head.type_len, &view->type) ||
	    !take(&at, view->end, view->head.id_len, &view->id) ||
	    !take(&at, view->end, view->head.source_len, &view->source) ||
	    !take(&at, view->end, view->head.payload_len, &view->payload))
		return false;
	view->executions = at;
	view->execution_count = view->head.execution_count | (unsigned)view->head.execution_count_high << 8;
	return view->head.id_hash && executions_fit(at, view->end, view->execution_count);
}

bool customer_view_read(const unsigned char *record, size_t len, struct customer_view *view)
{
	struct record_head head;
	const unsigned char *at = record;
	struct str text;
	uint16_t tag_len;
	if (!record_head_read(record, len, &head) || head.type != RECORD_CUSTOMER || head.partition >= 1024)
		return false;
	view->end = record + head.size;
	if (!take_copy(&at, view->end, &view->head, sizeof view->head) ||
	    !take(&at, view->end, view->head.tenant_len, &view->tenant) ||
	    !take(&at, view->end, view->head.profile_len, &view->profile) ||
	    !take(&at, view->end, view->head.status_len, &view->status) ||
	    !take(&at, view->end, view->head.attributes_len, &view->attributes))
		return false;
	view->tags = at;
	for (unsigned i = 0; i < view->head.tag_count; i++)
		if (!take_copy(&at, view->end, &tag_len, sizeof tag_len) || !take(&at, view->end, tag_len, &text))
			return false;
	return true;
}

bool action_view_read(const unsigned char *record, size_t len, struct action_view *view)
{
	struct record_head head;
	const unsigned char *at = record, *end;
	if (!record_head_read(record, len, &head) || head.type != RECORD_ACTION || head.partition >= 1024)
		return false;
	end = record + head.size;
	if (!take_copy(&at, end, &view->head, sizeof view->head) || !take(&at, end, view->head.tenant_len, &view->tenant) ||
	    !take(&at, end, view->head.profile_len, &view->profile))
		return false;
	view->effects = at;
	for (unsigned i = 0; i < view->head.effect_count; i++)
		if (!effect_take(&at, end))
			return false;
	return true;
}

void execution_next(const unsigned char **at, struct execution_view *execution)
{
	struct effect_head effect;
	memcpy(&execution->head, *at, sizeof execution->head);
	*at += sizeof execution->head;
	execution->effects = *at;
	for (unsigned i = 0; i < execution->head.effect_count; i++) {
		memcpy(&effect, *at, sizeof effect);
		*at += sizeof effect + effect.text_len;
	}
	execution->error = (struct str){ (const char *)*at, execution->head.error_len };
	*at += execution->head.error_len;
}

void effect_next(const unsigned char **at, struct effect_view *effect)
{
	memcpy(&effect->head, *at, sizeof effect->head);
	*at += sizeof effect->head;
	effect->text = (struct str){ (const char *)*at, effect->head.text_len };
	*at += effect->head.text_len;
}

struct effects effects_of(const struct event_view *event)
{
	return (struct effects){ .at = event->executions, .executions_left = event->execution_count };
}

bool effects_next(struct effects *effects, struct effect_view *effect)
{
	while (!effects->effects_left) {
		if (!effects->executions_left)
			return false;
		effects->executions_left--;
		execution_next(&effects->at, &effects->execution);
		effects->effect = effects->execution.effects;
		effects->effects_left = effects->execution.head.effect_count;
	}
	effects->effects_left--;
	effect_next(&effects->effect, effect);
	return true;
}

struct str tag_next(const unsigned char **at)
{
	uint16_t len;
	memcpy(&len, *at, sizeof len);
	struct str tag = { (const char *)*at + sizeof len, len };
	*at += sizeof len + len;
	return tag;
}

size_t record_begin(struct buf *out, enum record_type type, unsigned partition)
{
	struct record_head head = { .type = (uint16_t)type, .partition = (uint16_t)partition };
	size_t start = out->len;
	ASSERT(partition < 1024);
	buf_bytes(out, &head, sizeof head);
	return start;
}

uint32_t record_end(struct buf *out, size_t start)
{
	static const char zeros[8];
	size_t size = out->len - start;
	buf_bytes(out, zeros, (8 - size % 8) % 8);
	size = out->len - start;
	ASSERT(size <= UINT32_MAX);
	uint32_t stored = (uint32_t)size;
	memcpy(out->ptr + start, &stored, sizeof stored);
	return stored;
}
