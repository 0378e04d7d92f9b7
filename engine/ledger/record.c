// SPDX-License-Identifier: Apache-2.0
#include "engine/ledger/record.h"

static bool head_fits(const struct record_head *head, enum record_type type, size_t fixed, size_t len)
{
	return head->type == type && head->size <= len && head->size >= fixed;
}

/* The next text behind `*at`; false if it does not fit before `end`. */
static bool text_take(const unsigned char **at, const unsigned char *end, size_t len, struct str *out)
{
	if ((size_t)(end - *at) < len)
		return false;
	*out = (struct str){ (const char *)*at, len };
	*at += len;
	return true;
}

bool account_record_read(const unsigned char *record, size_t len, struct account_record_view *view)
{
	if (len < sizeof view->head)
		return false;
	memcpy(&view->head, record, sizeof view->head);
	const struct account_record *head = &view->head;
	if (!head_fits(&head->head, RECORD_ACCOUNT, sizeof *head, len) || head->kind >= ACCOUNT_KINDS ||
	    head->head.partition >= PARTITION_COUNT)
		return false;
	const unsigned char *at = record + sizeof *head, *end = record + head->head.size;
	return text_take(&at, end, head->tenant_len, &view->tenant) && text_take(&at, end, head->unit_len, &view->unit) &&
	       text_take(&at, end, head->member_len, &view->member) && text_take(&at, end, head->program_len, &view->program);
}

bool sliced_record_read(const unsigned char *record, size_t len, struct sliced_record_view *view)
{
	if (len < sizeof view->head)
		return false;
	memcpy(&view->head, record, sizeof view->head);
	const struct sliced_record *head = &view->head;
	if (!head_fits(&head->head, RECORD_SLICED, sizeof *head, len) || head->kind >= ACCOUNT_KINDS || !kind_is_sliced(head->kind))
		return false;
	const unsigned char *at = record + sizeof *head, *end = record + head->head.size;
	return text_take(&at, end, head->tenant_len, &view->tenant) && text_take(&at, end, head->unit_len, &view->unit);
}

bool transfer_record_read(const unsigned char *record, size_t len, struct transfer_view *view)
{
	if (len < sizeof view->head)
		return false;
	memcpy(&view->head, record, sizeof view->head);
	size_t at = sizeof view->head;
	const uint16_t both = TRANSFER_DEBIT_WHOLE | TRANSFER_CREDIT_WHOLE;
	if (!head_fits(&view->head.head, RECORD_TRANSFER, at, len))
		return false;
	view->second = (struct transfer_second){ 0 };
	view->extra = (struct transfer_extra){ 0 };
	if ((view->head.flags & both) == both) {
		if (view->head.head.size - at < sizeof view->second)
			return false;
		memcpy(&view->second, record + at, sizeof view->second);
		at += sizeof view->second;
	}
	if (view->head.flags & TRANSFER_EXTENDED) {
		if (view->head.head.size - at < sizeof view->extra)
			return false;
		memcpy(&view->extra, record + at, sizeof view->extra);
	}
	return true;
}

bool failed_record_read(const unsigned char *record, size_t len, struct failed_record *failed)
{
	if (len < sizeof *failed)
		return false;
	memcpy(failed, record, sizeof *failed);
	return head_fits(&failed->head, RECORD_FAILED, sizeof *failed, len);
}
