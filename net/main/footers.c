// SPDX-License-Identifier: Apache-2.0
#include "net/main/footers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"
#include "net/loop/logline.h"
#include "wal/cursor.h"

enum { FRAMES_A_LOOK = 256, PACE_BYTES = 8 << 20 /* a second, while the log grows */, PACE_MAX_MS = 100 };
#define SCAN_MAX (UINT64_C(1) << 30)       /* bytes that one question reads, or two segments where those are longer */

struct footers {
	char *dir;                     /* owned */
	const struct wal *wal;         /* borrowed */
	struct books_names *names;     /* owned */
	pthread_mutex_t mutex;         /* of the index */
	struct footer *index;          /* owned; whole ones without a gap, by end */
	size_t count, cap;
	_Atomic uint64_t lsn;          /* the end of the newest in it */
	atomic_bool paced;             /* gives way to a log that grows */
	atomic_bool recheck;           /* one turned out to be damaged: begin again */
	/* the tail's */
	struct books now;              /* at `at` */
	uint64_t at;
	bool began, held;              /* held: the next one is made and could not be written yet */
	struct footer next;            /* with `held` */
	struct books anchor;           /* as recovered, at anchor_lsn; 0: none was needed */
	uint64_t anchor_lsn;
	int failed;                    /* errno that was said last */
};

/* ---- the index --------------------------------------------------------------------------------------------------------- */

/* Takes the footer, which must go on where the last one ended. */
static void index_add(struct footers *footers, struct footer *footer)
{
	pthread_mutex_lock(&footers->mutex);
	if (footers->count == footers->cap) {
		footers->cap = footers->cap ? footers->cap * 2 : 64;
		footers->index = mem_realloc(footers->index, footers->cap * sizeof *footers->index);
	}
	footers->index[footers->count++] = *footer;
	atomic_store(&footers->lsn, footer->end);
	pthread_mutex_unlock(&footers->mutex);
	*footer = (struct footer){ 0 };
}

static void index_clear(struct footers *footers)
{
	pthread_mutex_lock(&footers->mutex);
	for (size_t i = 0; i < footers->count; i++)
		footer_free(&footers->index[i]);
	footers->count = 0;
	atomic_store(&footers->lsn, 0);
	pthread_mutex_unlock(&footers->mutex);
}

uint64_t footers_lsn(const struct footers *footers)
{
	return atomic_load(&footers->lsn);
}

struct books_names *footers_names(const struct footers *footers)
{
	return footers->names;
}

void footers_forget(struct footers *footers, uint64_t first)
{
	struct buf error = { 0 };
	uint64_t *ends;
	size_t count, gone = 0;
	pthread_mutex_lock(&footers->mutex);
	while (gone < footers->count && footers->index[gone].end < first)
		footer_free(&footers->index[gone++]);
	if (gone)
		memmove(footers->index, footers->index + gone, (footers->count - gone) * sizeof *footers->index);
	footers->count -= gone;
	pthread_mutex_unlock(&footers->mutex);
	footer_list(footers->dir, &ends, &count, &error);
	for (size_t i = 0; i < count && ends[i] < first; i++)
		footer_remove(footers->dir, ends[i]);          /* one that stays does no harm */
	mem_free(ends);
	buf_free(&error);
}

/* ---- making them ------------------------------------------------------------------------------------------------------- */

/* The sealed segment that begins at `base`; false: there is none yet. */
static bool sealed_at(const struct footers *footers, uint64_t base, uint64_t *end)
{
	uint64_t begin;
	return wal_segment_at(footers->wal, base, &begin, end) && begin == base && *end <= wal_durable(footers->wal);
}

static bool cursor_said(const struct wal_cursor *cursor, enum cursor_result result)
{
	if (result == CURSOR_DAMAGED)
		log_line(LOG_LEVEL_ERROR, "footers", "DAMAGED: the log at LSN %llu: %s", (unsigned long long)cursor->lsn, cursor->why);
	return false;
}

/* Reading a log back while it grows takes the disk's time from durable writes: then it goes slowly, and catches up when the log
 * is calmer.  `*durable` is what it was at the last frame. */
static void give_way(const struct footers *footers, uint32_t size, uint64_t *durable)
{
	uint64_t now = wal_durable(footers->wal), grown = now - *durable;
	int64_t ns = (int64_t)size * (1000000000 / PACE_BYTES);
	*durable = now;
	if (!atomic_load(&footers->paced) || !grown)
		return;
	if (ns > PACE_MAX_MS * INT64_C(1000000))
		ns = PACE_MAX_MS * INT64_C(1000000);
	nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}

void footers_give_way(struct footers *footers, bool paced)
{
	atomic_store(&footers->paced, paced);
}

/* Adds [begin, end) of the log; *footer gets what is known of it.  False: it cannot be read, or the server stops. */
static bool stretch_add(const struct footers *footers, uint64_t begin, uint64_t end, struct books *books, struct footer *footer,
			const atomic_bool *stop)
{
	struct wal_cursor cursor;
	struct wal_frame frame;
	enum cursor_result result = CURSOR_END;
	uint64_t marked = begin, durable = wal_durable(footers->wal);
	bool good = true;
	books_rows_reset(books);
	wal_cursor_begin(&cursor, footers->wal, begin);
	for (unsigned n = 0; good && cursor.lsn < end; n++) {
		struct footer_mark mark = { cursor.lsn, books->time_ms };
		if (n % FRAMES_A_LOOK == 0 && stop && atomic_load(stop))
			break;
		result = wal_cursor_next(&cursor, &frame);
		if (result != CURSOR_FRAME || frame.lsn >= end + MUTATE(90, 0u, 1u))
			break;
		if (footer && frame.lsn - marked >= FOOTER_MARK_BYTES) {
			marked = mark.lsn = frame.lsn;
			buf_bytes(&footer->marks, &mark, sizeof mark);
		}
		if (stop)
			give_way(footers, frame.size, &durable);
		good = books_frame(books, &frame, UINT64_MAX);
		if (!good)
			log_line(LOG_LEVEL_ERROR, "footers", "a record of the frame at LSN %llu cannot be read",
				 (unsigned long long)frame.lsn);
	}
	/* A rest too short for a frame is the end as well. */
	good = good && (cursor.lsn >= end || end - cursor.lsn < WAL_FRAME_HEADER || (result == CURSOR_FRAME && frame.lsn >= end));
	if (!good)
		cursor_said(&cursor, result);
	if (footer) {
		footer->begin = begin;
		footer->end = end;
		footer->first_time_ms = books->first_time_ms;
		footer->time_ms = books->time_ms;
		footer->frames = books->frames;
		footer->records = books->records;
	}
	wal_cursor_end(&cursor);
	return good;
}

static bool write_said(struct footers *footers, const struct footer *footer, const struct books *books)
{
	int failed = footer_write(footers->dir, footer, books);
	if (failed && failed != footers->failed)
		log_line(LOG_LEVEL_ERROR, "footers", "the footer at LSN %llu cannot be written: %s; it is tried again",
			 (unsigned long long)footer->end, strerror(failed));
	footers->failed = failed;
	return !failed;
}

/* Reads the one at `end`; one that is there and not whole is said. */
static bool whole_at(struct footers *footers, uint64_t end, struct footer *footer, struct books *books)
{
	struct buf error = { 0 };
	bool missing, good = footer_read(footers->dir, end, footer, books, &missing, &error);
	if (!good && !missing)
		log_line(LOG_LEVEL_WARN, "footers", "the footer at LSN %llu is of no use and will be made again: %.*s",
			 (unsigned long long)end, (int)error.len, error.ptr);
	buf_free(&error);
	return good;
}

/* The greatest time below each of the ends, from headers. */
static bool times_read(const struct footers *footers, uint64_t first, const uint64_t *ends, int64_t *times, size_t count)
{
	struct wal_cursor cursor;
	struct wal_frame frame;
	int64_t latest = INT64_MIN;
	size_t at = 0;
	wal_cursor_begin(&cursor, footers->wal, first);
	cursor.headers_only = true;
	while (at < count) {
		enum cursor_result result = wal_cursor_next(&cursor, &frame);
		if (result != CURSOR_FRAME && result != CURSOR_END)
			return cursor_said(&cursor, result);
		while (at < count && (result == CURSOR_END || frame.lsn >= ends[at]))
			times[at++] = latest;
		if (result == CURSOR_FRAME && frame.time_ms > latest)
			latest = frame.time_ms;
	}
	wal_cursor_end(&cursor);
	return true;
}

/* Goes backward: `books` stands at `at`, behind the segments that end at ends[0..count), whose footers are missing.  Makes those,
 * and the one where the first of them begins. */
static bool fill_backward(struct footers *footers, struct books *books, uint64_t at, uint64_t first, const uint64_t *ends,
			  size_t count, const atomic_bool *stop)
{
	int64_t *times = mem_alloc((count + 1) * sizeof *times), first_ms;
	bool good = times_read(footers, first, ends, times, count);
	for (size_t i = count + 1; good && i-- > 0;) {
		uint64_t from = i ? ends[i - 1] : first;
		struct footer footer = { 0 };
		struct books delta;
		books_init(&delta, footers->names, BOOKS_ALL);
		/* What lies between `from` and `at` is taken away; what is known of that stretch belongs to the footer at its end. */
		good = stretch_add(footers, from, at, &delta, &footer, stop);
		if (good && i < count) {
			struct books whole;
			books_init(&whole, footers->names, BOOKS_ALL);
			books_add(&whole, books, false);
			whole.rows = delta.rows;
			whole.row_count = delta.row_count;
			footer.time_ms = times[i];
			good = write_said(footers, &footer, &whole);
			whole.rows = NULL;
			books_free(&whole);
		}
		if (good)
			books_add(books, &delta, true);
		at = from;
		books_free(&delta);
		footer_free(&footer);
	}
	if (good && first) {
		struct footer base = { .begin = first, .end = first };
		struct books alone;
		wal_history(footers->wal, &first_ms);
		base.first_time_ms = base.time_ms = first_ms;
		books_init(&alone, footers->names, BOOKS_ALL);
		books_add(&alone, books, false);
		good = write_said(footers, &base, &alone);
		books_free(&alone);
	}
	mem_free(times);
	return good;
}

/* Ends of all sealed segments. */
static size_t ends_collect(const struct footers *footers, uint64_t first, struct buf *out)
{
	for (uint64_t base = first, end; sealed_at(footers, base, &end); base = end)
		buf_bytes(out, &end, sizeof end);
	return out->len / sizeof(uint64_t);
}

/* Looks at what is there, fills what is missing before the first that is whole, and takes the whole ones into the index up to the
 * first gap.  From there footers_step goes forward. */
static bool begin(struct footers *footers, const atomic_bool *stop)
{
	uint64_t first = wal_first(footers->wal);
	struct buf list = { 0 };
	size_t count = ends_collect(footers, first, &list), whole = 0;
	const uint64_t *ends = (const uint64_t *)(const void *)list.ptr;
	struct footer footer;
	struct books books;
	bool good = true, based = !first;
	books_init(&books, footers->names, BOOKS_ALL);
	index_clear(footers);
	if (first && whole_at(footers, first, &footer, NULL)) {
		based = true;
		footer_free(&footer);
	}
	while (!based && whole < count && !whole_at(footers, ends[whole], &footer, &books)) {
		footer_free(&footer);
		books_free(&books);
		books_init(&books, footers->names, BOOKS_ALL);
		whole++;
	}
	if (!based && whole < count) {
		footer_free(&footer);
		good = fill_backward(footers, &books, ends[whole], first, ends, whole, stop);
	} else if (!based && footers->anchor_lsn && footers->anchor_lsn >= first) {
		/* The log has grown since: what ends behind the anchor is made forward. */
		for (whole = 0; whole < count && ends[whole] <= footers->anchor_lsn;)
			whole++;
		books_add(&books, &footers->anchor, false);
		good = fill_backward(footers, &books, footers->anchor_lsn, first, ends, whole, stop);
	} else if (!based) {
		log_line(LOG_LEVEL_ERROR, "footers", "no footer is whole: they are made at the next start");
		good = false;
	}
	books_free(&books);
	footers->at = first;
	books_free(&footers->now);
	books_init(&footers->now, footers->names, BOOKS_ALL);
	for (size_t i = first ? 0 : 1; good && i <= count; i++) {
		uint64_t end = i ? ends[i - 1] : first;
		if (!whole_at(footers, end, &footer, NULL))
			break;
		footers->at = end;
		index_add(footers, &footer);
	}
	good = good && (!first || footers->count);
	if (good && footers->count && whole_at(footers, footers->at, &footer, &footers->now))
		footer_free(&footer);
	else if (footers->count)
		good = false;
	buf_free(&list);
	return good;
}

bool footers_step(struct footers *footers, const atomic_bool *stop)
{
	uint64_t end;
	if (atomic_exchange(&footers->recheck, false))
		footers->began = false;
	if (!footers->began) {
		footers->began = begin(footers, stop);
		footers->held = false;
		if (!footers->began)
			atomic_store(&footers->recheck, true);
		return footers->began;
	}
	if (!footers->held) {
		if (!sealed_at(footers, footers->at, &end))
			return false;
		footer_free(&footers->next);
		if (!stretch_add(footers, footers->at, end, &footers->now, &footers->next, stop)) {
			footers->began = false;        /* what was added in part is forgotten */
			return false;
		}
		footers->held = true;
	}
	if (!write_said(footers, &footers->next, &footers->now))
		return false;
	footers->held = false;
	footers->at = footers->next.end;
	index_add(footers, &footers->next);
	return true;
}

struct footers *footers_open(const char *dir, const struct wal *wal, struct state *const *states, unsigned count)
{
	struct footers *footers = mem_zalloc(sizeof *footers);
	struct buf list = { 0 };
	uint64_t first = wal_first(wal);
	footers->dir = mem_dup(dir, strlen(dir) + 1);
	footers->wal = wal;
	footers->names = books_names_new();
	pthread_mutex_init(&footers->mutex, NULL);
	books_init(&footers->now, footers->names, BOOKS_ALL);
	books_init(&footers->anchor, footers->names, BOOKS_ALL);
	for (unsigned s = 0; s < count; s++)
		books_names_take(footers->names, states[s]);
	bool whole = !first;
	size_t ends = ends_collect(footers, first, &list) + 1;
	buf_bytes(&list, &first, sizeof first);
	for (size_t i = ends; i-- > 0 && !whole;) {
		struct footer footer;
		whole = whole_at(footers, ((const uint64_t *)(const void *)list.ptr)[(i + ends - 1) % ends], &footer, NULL);
		footer_free(&footer);
	}
	if (!whole) {
		log_line(LOG_LEVEL_WARN, "footers", "no footer is whole: they are made again from what was recovered");
		for (unsigned s = 0; s < count; s++)
			books_take(&footers->anchor, states[s]);
		footers->anchor_lsn = wal_durable(wal);
	}
	buf_free(&list);
	return footers;
}

void footers_close(struct footers *footers)
{
	if (!footers)
		return;
	index_clear(footers);
	mem_free(footers->index);
	footer_free(&footers->next);
	books_free(&footers->now);
	books_free(&footers->anchor);
	books_names_free(footers->names);
	pthread_mutex_destroy(&footers->mutex);
	mem_free(footers->dir);
	mem_free(footers);
}

/* ---- the past ---------------------------------------------------------------------------------------------------------- */

static enum past_outcome unread(const struct wal_cursor *cursor, enum cursor_result result)
{
	cursor_said(cursor, result);
	return result == CURSOR_PRUNED ? PAST_PRUNED : PAST_UNREADABLE;
}

/* The index's mutex is held.  How many of them end at or before `lsn`. */
static size_t index_before(const struct footers *footers, uint64_t lsn)
{
	size_t low = 0, high = footers->count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (footers->index[mid].end <= lsn)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Where to begin looking at headers: a frame at or before `lsn`, and nothing before it later than `time_ms`. */
static struct footer_mark mark_before(struct footers *footers, uint64_t lsn, int64_t time_ms)
{
	struct footer_mark found = { wal_first(footers->wal), INT64_MIN };
	pthread_mutex_lock(&footers->mutex);
	for (size_t low = 0, high = footers->count; low < high;) {
		size_t mid = low + (high - low) / 2;
		const struct footer *footer = &footers->index[mid];
		if (footer->end > lsn || footer->time_ms > time_ms) {
			high = mid;
			continue;
		}
		found = (struct footer_mark){ footer->end, footer->time_ms };
		low = mid + 1;
	}
	size_t next = index_before(footers, found.lsn);
	const struct footer *footer = next < footers->count ? &footers->index[next] : NULL;
	const struct footer_mark *marks = footer ? (const struct footer_mark *)(const void *)footer->marks.ptr : NULL;
	for (size_t i = 0; footer && i < footer->marks.len / sizeof *marks; i++)
		if (marks[i].lsn > found.lsn && marks[i].lsn <= lsn && marks[i].time_ms <= time_ms)
			found = marks[i];
	pthread_mutex_unlock(&footers->mutex);
	return found;
}

uint64_t footers_until(struct footers *footers, int64_t time_ms)
{
	uint64_t end = 0;
	pthread_mutex_lock(&footers->mutex);
	for (size_t i = 0; i < footers->count && footers->index[i].time_ms <= time_ms; i++)
		end = footers->index[i].end;
	pthread_mutex_unlock(&footers->mutex);
	return end;
}

enum past_outcome footers_moment(struct footers *footers, struct moment *moment)
{
	uint64_t first = wal_first(footers->wal), durable = wal_durable(footers->wal);
	int64_t first_ms;
	if (!moment->by_time && moment->lsn > durable)
		moment->lsn = durable;
	if (!moment->by_time && moment->lsn < first)
		return PAST_PRUNED;
	int64_t until = moment->by_time ? moment->time_ms : INT64_MAX;
	struct footer_mark mark = mark_before(footers, moment->by_time ? UINT64_MAX : moment->lsn, until);
	/* Before the first frame that is there, and others were there before it. */
	if (moment->by_time && first && mark.lsn <= first) {
		wal_history(footers->wal, &first_ms);
		if (!first_ms || until < first_ms)
			return first_ms ? PAST_PRUNED : PAST_UNREADABLE;
	}
	struct wal_cursor cursor;
	struct wal_frame frame;
	enum cursor_result result;
	wal_cursor_begin(&cursor, footers->wal, mark.lsn);
	cursor.headers_only = true;
	moment->time_ms = mark.time_ms;
	while ((result = wal_cursor_next(&cursor, &frame)) == CURSOR_FRAME) {
		if (moment->by_time ? frame.time_ms > until : frame.lsn >= moment->lsn)
			break;
		if (frame.time_ms > moment->time_ms)
			moment->time_ms = frame.time_ms;
	}
	if (result != CURSOR_FRAME && result != CURSOR_END) {
		enum past_outcome outcome = unread(&cursor, result);
		wal_cursor_end(&cursor);
		return outcome;
	}
	if (moment->by_time)
		moment->lsn = result == CURSOR_FRAME ? frame.lsn : cursor.lsn;
	wal_cursor_end(&cursor);
	return PAST_DONE;
}

uint64_t footers_frame_before(struct footers *footers, uint64_t lsn)
{
	return mark_before(footers, lsn, INT64_MAX).lsn;
}

/* The footer to begin with, and its sums; *from is where the log goes on.  PAST_BUSY: there is none that is near enough. */
static enum past_outcome start_read(struct footers *footers, uint64_t lsn, uint32_t tenant, struct books *books, uint64_t *from)
{
	uint64_t first = wal_first(footers->wal), begin_lsn, end_lsn, most = SCAN_MAX;
	if (wal_segment_at(footers->wal, lsn < wal_durable(footers->wal) ? lsn : first, &begin_lsn, &end_lsn) &&
	    2 * (end_lsn - begin_lsn) > most)
		most = 2 * (end_lsn - begin_lsn);
	for (;;) {
		pthread_mutex_lock(&footers->mutex);
		size_t before = index_before(footers, lsn);
		*from = before ? footers->index[before - 1].end : 0;
		pthread_mutex_unlock(&footers->mutex);
		books_init(books, footers->names, tenant);
		if (!before && first)
			return lsn < first ? PAST_PRUNED : PAST_BUSY;
		if (lsn - *from > most)
			return PAST_BUSY;
		if (!before)
			return PAST_DONE;
		struct footer footer;
		bool good = whole_at(footers, *from, &footer, books);
		footer_free(&footer);
		if (good) {
			books_rows_reset(books);
			return PAST_DONE;
		}
		books_free(books);
		if (*from < wal_first(footers->wal))
			return PAST_PRUNED;
		atomic_store(&footers->recheck, true);
		return PAST_BUSY;
	}
}

static enum past_outcome books_read(struct footers *footers, uint32_t tenant, uint64_t lsn, struct books *books)
{
	struct wal_cursor cursor;
	struct wal_frame frame;
	enum cursor_result result;
	uint64_t from;
	enum past_outcome outcome = start_read(footers, lsn, tenant, books, &from);
	if (outcome)
		return outcome;
	wal_cursor_begin(&cursor, footers->wal, from);
	while ((result = wal_cursor_next(&cursor, &frame)) == CURSOR_FRAME && frame.lsn <= lsn)
		if (!books_frame(books, &frame, MUTATE(94, lsn, lsn + 200))) {
			log_line(LOG_LEVEL_ERROR, "past", "a record of the frame at LSN %llu cannot be read", (unsigned long long)frame.lsn);
			outcome = PAST_UNREADABLE;
			break;
		}
	if (result != CURSOR_FRAME && result != CURSOR_END)
		outcome = unread(&cursor, result);
	wal_cursor_end(&cursor);
	return outcome;
}

enum past_outcome footers_books(struct footers *footers, struct str tenant, uint64_t lsn, struct books *books)
{
	uint32_t index = books_tenant_find(footers->names, tenant);
	if (index == BOOKS_NONE) {
		/* It may stand behind the newest footer only.  Its name is not taken from the question, but from the log. */
		enum past_outcome outcome = books_read(footers, BOOKS_ALL, lsn, books);
		index = books_tenant_find(footers->names, tenant);
		if (outcome || index == BOOKS_NONE) {
			books_free(books);
			return outcome;
		}
		books_free(books);
	}
	return books_read(footers, index, lsn, books);
}

bool footers_touched(struct footers *footers, struct str tenant, uint64_t lsn, uint64_t *end)
{
	uint32_t index = books_tenant_find(footers->names, tenant);
	struct footer footer = { 0 };
	struct books books;
	bool touched = true;
	pthread_mutex_lock(&footers->mutex);
	size_t before = index_before(footers, lsn);
	bool sealed = before < footers->count && footers->index[before].begin <= lsn;
	*end = sealed ? footers->index[before].end : 0;
	pthread_mutex_unlock(&footers->mutex);
	if (!sealed || index == BOOKS_NONE)
		return true;
	books_init(&books, footers->names, index);
	if (whole_at(footers, *end, &footer, &books)) {
		const struct books_row *row = books_row(&books, index);
		touched = row->events || row->transfers || row->others;
	}
	footer_free(&footer);
	books_free(&books);
	return touched;
}
