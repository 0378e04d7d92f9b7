// SPDX-License-Identifier: Apache-2.0
#include "net/surface/row.h"

#include "net/main/filer.h"
#include "net/main/node.h"
#include "net/surface/transaction.h"

void row_fault(struct row *row, const char *pointer, const char *format, const char *what)
{
	struct problem *problem = row_refuse(row);
	problem_set(problem, 422, "validation_failed", "the document does not have the expected shape");
	faults_add(&problem->faults, pointer, format, what);
}

bool row_text(struct row *row, const char *name, bool required, enum row_form form, struct str text, const char *type,
	      struct str *out)
{
	char pointer[64];
	*out = (struct str){ "", 0 };
	snprintf(pointer, sizeof pointer, "/%s", name);
	if (form == ROW_FORM_ABSENT || (form == ROW_FORM_NULL && !required)) {
		if (required)
			row_fault(row, pointer, "%s is required", name);
		return !required;
	}
	if (form != ROW_FORM_TEXT) {
		row_fault(row, pointer, "expected a string, found %s", type);
		return false;
	}
	*out = text;
	if ((required && !out->len) || out->len > ROW_NAME_MAX) {
		row_fault(row, pointer, "%s", required ? "expected 1 to 200 bytes of text" : "the text is too long");
		return false;
	}
	return true;
}

/* A known id: the first outcome if the content is the same, else refused with the field that differs. */
static void known_check(struct row *row, const struct event_view *first)
{
	const char *field;
	if (first->head.content_hash == row->content_hash)
		return;
	if (!str_eq(first->profile, row->profile))
		field = "profileId";
	else if (!str_eq(first->type, row->type))
		field = "eventType";
	else if (!str_eq(first->source, row->source))
		field = "source";
	else
		field = "payload";
	problem_set(row_refuse(row), 409, "event_id_reused", "eventId %.*s was used before with another %s",
		    (int)row->id.len, row->id.ptr, field);
}

void row_first_read(struct node *node, struct row *row, struct buf *record)
{
	row->kept = (struct id_kept){ 0 };
	record_read(node_wal(node), row->lsn, record);
	if (!record->len && !filer_kept(node_filer(node), row->id_hash, row->lsn, &row->kept))
		buf_char(record, 0);           /* RECORD_UNREADABLE */
}

bool row_first(struct row *row, const struct buf *record)
{
	struct event_view first;
	if (record->len == RECORD_UNREADABLE) {
		problem_set(row_refuse(row), 500, "log_unreadable",
			    "eventId %.*s is known (LSN %llu), but its first outcome cannot be read; the server's log says why",
			    (int)row->id.len, row->id.ptr, (unsigned long long)row->lsn);
		return false;
	}
	if (!record->len && row->kept.found && row->kept.content != row->content_hash) {
		problem_set(row_refuse(row), 409, "event_id_reused",
			    "eventId %.*s was used before with another content (LSN %llu), which is no longer in the log",
			    (int)row->id.len, row->id.ptr, (unsigned long long)row->lsn);
		return false;
	}
	if (!record->len || !event_view_read((const unsigned char *)record->ptr, record->len, &first)) {
		problem_set(row_refuse(row), 410, "outcome_pruned",
			    "eventId %.*s is known (LSN %llu), but its first outcome is no longer in the log", (int)row->id.len,
			    row->id.ptr, (unsigned long long)row->lsn);
		return false;
	}
	if (str_eq(first.id, row->id) && str_eq(first.tenant, row->tenant)) {
		known_check(row, &first);
		return false;
	}
	row->ignored_lsn = row->lsn;           /* two ids with one hash: it is a new one after all */
	row->result = ROW_OPEN;
	row->lsn = 0;
	return true;
}

bool row_view(const struct batch *batch, const struct row *row, const struct buf *first, struct event_view *view)
{
	if (row->result == ROW_DONE) {
		const struct buf *frames = &batch->parts[row->record_part].frames;
		return event_view_read((const unsigned char *)frames->ptr + row->record_offset,
				       frames->len - row->record_offset, view);
	}
	return first && first->len && event_view_read((const unsigned char *)first->ptr, first->len, view);
}
