// SPDX-License-Identifier: Apache-2.0
/* scan.c - walking the frames and judging the end.
 *
 * What proves that the bad position p had been durable (all rest on: one durable write at a time, each within one
 * segment, starting in the block where the one before ended, covering at most write_max bytes):
 *   - p lies below `from`: someone kept a state that includes it
 *   - a mark whose durable LSN is greater than p
 *   - a header of a later epoch: its opening frame was made durable only after the cut
 *   - a header in a later segment, or write_max and more behind p: its write began after p's had ended
 * A header counts with its checksum, its LSN equal to its place and an epoch not below the current one; older ones are
 * stale. Where p's own header is whole, looking goes on behind that frame, so that bytes in a body are not taken for a
 * frame.
 */
#include "wal/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/mutant.h"

enum { WINDOW = 8 << 20 };
_Static_assert((int)WINDOW >= (int)FRAME_SIZE_MAX, "a frame fits the window");

static uint64_t segment_end(const struct segment *s)
{
	return s->base + s->size;
}

static uint64_t known_end(const struct scan *scan)
{
	uint64_t known = scan->known > scan->from ? scan->known : scan->from;
	return scan->to > known ? scan->to : known;
}

static bool far_enough(const struct scan *scan)
{
	return scan->to && scan->end >= scan->to;
}

static int scan_file(struct scan *scan, size_t at)
{
	struct segment *s = &scan->segments->at[at];
	if (s->fd >= 0)
		return 0;
	char name[SEGMENT_NAME];
	segment_name(name, s->base, "log");
	s->fd = wal_io.open(scan->segments->dir, name, O_RDONLY);
	if (s->fd < 0)
		return errno;
	wal_io.advise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

static void scan_file_done(struct scan *scan, size_t at)
{
	struct segment *s = &scan->segments->at[at];
	if (s->fd >= 0 && scan->segments->dir >= 0) {
		wal_io.close(s->fd);
		s->fd = -1;
	}
	if (scan->window_segment == at)
		scan->window_len = 0;
}

/* The `need` bytes at `lsn`, which the segment has; NULL where they cannot be read. */
static const unsigned char *scan_bytes(struct scan *scan, size_t at, uint64_t lsn, size_t need)
{
	const struct segment *s = &scan->segments->at[at];
	ASSERT(lsn >= s->base && need <= scan->window_cap && need <= segment_end(s) - lsn);
	if (scan->window_len && scan->window_segment == at && lsn >= scan->window_lsn &&
	    lsn + need <= scan->window_lsn + scan->window_len)
		return scan->window + (lsn - scan->window_lsn);
	uint64_t left = segment_end(s) - lsn;
	size_t n = left < scan->window_cap ? (size_t)left : scan->window_cap;
	scan->window_len = 0;
	scan->failed = scan_file(scan, at);
	if (!scan->failed)
		scan->failed = read_fully(s->fd, scan->window, n, lsn - s->base);
	if (scan->failed)
		return NULL;
	if (left > n)
		wal_io.advise(s->fd, (off_t)(lsn - s->base + n), WINDOW, POSIX_FADV_WILLNEED);
	scan->window_segment = at;
	scan->window_lsn = lsn;
	scan->window_len = n;
	return scan->window;
}

/* The frame at `lsn`.  When its header is whole but its body is not, frame->size is set, else 0. */
static enum frame_state scan_frame(struct scan *scan, size_t at, uint64_t lsn, struct wal_frame *frame,
				   const char **why)
{
	uint64_t room = segment_end(&scan->segments->at[at]) - lsn, hash;
	*frame = (struct wal_frame){ 0 };
	const unsigned char *bytes = scan_bytes(scan, at, lsn, WAL_FRAME_HEADER);
	struct wal_frame found;
	enum frame_state state = FRAME_BAD;
	if (bytes)
		state = frame_header(bytes, lsn, room, &found, &hash, why);
	if (bytes && state != FRAME_BAD) {
		*frame = found;
		bytes = scan_bytes(scan, at, lsn, found.size);
		if (bytes && !frame_body(bytes, frame, hash, why))
			state = FRAME_BAD;
	}
	if (!bytes) {
		*why = strerror(scan->failed);
		return FRAME_BAD;
	}
	return state;
}

static void say_place(struct scan *scan, size_t at, uint64_t lsn, uint64_t bytes)
{
	char name[SEGMENT_NAME];
	uint64_t base = scan->segments->at[at].base;
	segment_name(name, base, "log");
	buf_printf(&scan->text, "LSN %" PRIu64 ", file %s, %" PRIu64 " bytes from byte %" PRIu64, lsn, name, bytes,
		   lsn - base);
}

static enum scan_end say_damage(struct scan *scan, size_t at, uint64_t lsn, uint64_t bytes, const char *why,
				const char *proof, uint64_t proof_lsn)
{
	scan->text.len = 0;
	buf_lit(&scan->text, "damage at ");
	say_place(scan, at, lsn, bytes);
	buf_printf(&scan->text, ": %s; %s", why, proof);
	if (proof_lsn != UINT64_MAX)
		buf_printf(&scan->text, " (LSN %" PRIu64 ")", proof_lsn);
	return SCAN_DAMAGE;
}

static size_t used_length(const unsigned char *bytes, size_t n)    /* without the zeros at the end */
{
	enum { STEP = 4096 };
	while (n >= STEP && bytes_zero(bytes + n - STEP, STEP))
		n -= STEP;
	while (n && !bytes[n - 1])
		n--;
	return n;
}

/* What a later header proves about the bad position; NULL: nothing. */
static const char *proof_of(const struct scan *scan, bool later_segment, const struct wal_frame *frame)
{
	if (MUTATE(38, false, true))
		return NULL;
	if (frame->kind == WAL_FRAME_MARK && frame->body && get_u64(frame->body) > scan->end)
		return "a later mark says that it was durable";
	if (frame->epoch > scan->epoch)
		return "a later epoch begins behind it";
	if (later_segment)
		return "frames stand in a later segment";
	if (frame->lsn - scan->end >= scan->write_max)
		return "frames stand further behind than one write reaches";
	return NULL;
}

/* Looks for proof in one segment from `pos` on.  Returns it, with *where; moves scan->torn_end. */
static const char *search_segment(struct scan *scan, size_t at, bool later, uint64_t pos, uint64_t *where)
{
	uint64_t end = segment_end(&scan->segments->at[at]);
	while (pos < end) {
		size_t n = end - pos < scan->window_cap ? (size_t)(end - pos) : scan->window_cap;
		const unsigned char *bytes = scan_bytes(scan, at, pos, n);
		if (!bytes)
			return NULL;
		size_t used = used_length(bytes, n), i = 0;
		if (used && pos + used > scan->torn_end)
			scan->torn_end = pos + used;
		while (i < used && n - i >= WAL_FRAME_HEADER) {
			struct wal_frame frame;
			uint64_t hash;
			const char *why;
			if (get_u32(bytes + i) != FRAME_MAGIC ||
			    frame_header(bytes + i, pos + i, end - pos - i, &frame, &hash, &why) == FRAME_BAD ||
			    frame.epoch < scan->epoch) {
				i += WAL_ALIGN;
				continue;
			}
			if (frame.kind == WAL_FRAME_MARK) {
				if (frame.size > n - i)
					break;
				if (!frame_body(bytes + i, &frame, hash, &why))
					frame.body = NULL;
			}
			const char *proof = proof_of(scan, later, &frame);
			if (proof) {
				*where = frame.lsn;
				return proof;
			}
			i += frame.size;
		}
		if (i < used && n == end - pos)
			break;                         /* what is left is shorter than a header */
		pos += i < used ? i : i > n ? i : n;
		ASSERT(i || i >= used);
	}
	return NULL;
}

/* scan->end is no good frame: how does the log end?  `skip`: bytes of a whole header's frame there, else 0. */
static enum scan_end judge(struct scan *scan, size_t at, uint64_t skip, const char *why)
{
	uint64_t p = scan->end, where = 0;
	scan->torn_end = p;
	scan->failed = 0;
	const char *proof = NULL;
	if (skip)
		scan->torn_end = p + skip;
	for (size_t k = at; k < scan->segments->count && !proof && !scan->failed; k++) {
		/* From p itself for the extent of what is not zero: p has no good header, or is skipped. */
		uint64_t pos = k == at ? p + skip : scan->segments->at[k].base;
		proof = search_segment(scan, k, k != at, pos, &where);
		if (scan->failed) {
			say_damage(scan, k, pos, segment_end(&scan->segments->at[k]) - pos, strerror(scan->failed),
				   "it cannot be read", UINT64_MAX);
			return SCAN_DAMAGE;
		}
		if (k != at)
			scan_file_done(scan, k);
	}
	if (proof)
		return say_damage(scan, at, p, where - p, why, proof, where);
	if (p < known_end(scan))
		return say_damage(scan, at, p, known_end(scan) - p, why, "the log is known to reach further", known_end(scan));
	if (scan->torn_end <= p)
		return SCAN_CLEAN;
	scan->text.len = 0;
	buf_lit(&scan->text, "torn tail at ");
	say_place(scan, at, p, scan->torn_end - p);
	buf_printf(&scan->text, ": %s; nothing of it was acknowledged", why);
	return SCAN_TORN;
}

/* Looks at what an opening frame says about itself.  False with the text filled: refuse. */
static bool take_open(struct scan *scan, size_t at, const struct wal_frame *frame)
{
	struct frame_open open;
	bool whole = frame_open_get(frame, &open);
	ASSERT(whole);
	const struct segment *s = &scan->segments->at[at];
	if (open.version != FRAME_VERSION) {
		say_damage(scan, at, frame->lsn, frame->size, "the log's format is of another version",
			   "this version reads 1, there stands another", UINT64_MAX);
		return false;
	}
	if (open.this_segment != s->size) {
		say_damage(scan, at, s->base, s->size, "the file's size differs from the one in its opening frame",
			   "it was shortened or lengthened", UINT64_MAX);
		return false;
	}
	scan->write_max = open.write_max && open.write_max < FRAME_SIZE_MAX ? open.write_max : FRAME_SIZE_MAX;
	scan->next_size = open.segment_size;
	return true;
}

/* A good frame that does not fit what came before is bad too. */
static const char *misfit(const struct scan *scan, const struct wal_frame *frame)
{
	if (frame->epoch < scan->epoch)
		return "a stale frame of an earlier epoch stands here";
	if (scan->epoch && frame->epoch > scan->epoch && frame->kind != WAL_FRAME_OPEN && frame->kind != WAL_FRAME_FILLER)
		return "an epoch begins without an opening frame";
	return NULL;
}

static enum scan_end take(struct scan *scan, size_t at, const struct wal_frame *frame)
{
	const struct segment *s = &scan->segments->at[at];
	if (scan->to && frame->lsn + frame->size > scan->to)
		return say_damage(scan, at, frame->lsn, frame->size, "a frame reaches further than the log should",
				  "it should end before", scan->to);
	if (frame->lsn == s->base && scan->next_size && frame->kind != WAL_FRAME_OPEN && s->size != scan->next_size)
		return say_damage(scan, at, s->base, s->size, "the file's size differs from what the log says",
				  "it was shortened or lengthened", UINT64_MAX);
	if (frame->kind == WAL_FRAME_OPEN && !take_open(scan, at, frame))
		return SCAN_DAMAGE;
	scan->epoch = frame->epoch;
	if (frame->time_ms > scan->time_ms)
		scan->time_ms = frame->time_ms;
	scan->filled = frame->kind == WAL_FRAME_FILLER;
	if (scan->each && frame->lsn >= scan->from && (scan->every_kind || frame->kind == WAL_FRAME_RECORDS) &&
	    !scan->each(scan->context, frame)) {
		scan->text.len = 0;
		buf_lit(&scan->text, "reading was stopped at ");
		say_place(scan, at, frame->lsn, frame->size);
		return SCAN_STOPPED;
	}
	return SCAN_CLEAN;
}

static enum scan_end scan_segment(struct scan *scan, size_t at, bool *over)
{
	const struct segment *s = &scan->segments->at[at];
	uint64_t start = scan->segments->at[0].base, since = scan->end;
	uint64_t total = segment_end(&scan->segments->at[scan->segments->count - 1]) - start;
	uint64_t again = UINT64_MAX;
	*over = true;
	while (segment_end(s) - scan->end >= WAL_FRAME_HEADER && !far_enough(scan)) {
		struct wal_frame frame;
		const char *why = NULL;
		scan->failed = 0;
		enum frame_state state = scan_frame(scan, at, scan->end, &frame, &why);
		if (state == FRAME_FOREIGN)
			return say_damage(scan, at, scan->end, frame.size, why, "a newer version wrote it", UINT64_MAX);
		if (state == FRAME_GOOD && (why = misfit(scan, &frame)) != NULL) {
			state = FRAME_BAD;
			frame.size = 0;
		}
		if (state == FRAME_BAD && scan->failed)
			return say_damage(scan, at, scan->end, segment_end(s) - scan->end, why, "it cannot be read",
					  UINT64_MAX);
		if (state == FRAME_BAD) {
			enum scan_end end = judge(scan, at, frame.size, why);
			if (end != SCAN_DAMAGE || again == scan->end)
				return end;
			again = scan->end;             /* a running log may have been written meanwhile: look once more */
			scan->window_len = 0;
			continue;
		}
		enum scan_end taken = take(scan, at, &frame);
		if (taken != SCAN_CLEAN)
			return taken;
		scan->end += frame.size;
		if (scan->progress && scan->end - since >= WINDOW) {
			scan->progress(scan->progress_context, scan->end - start, total);
			since = scan->end;
		}
	}
	*over = far_enough(scan);
	if (!*over)
		scan->end = segment_end(s);
	return SCAN_CLEAN;
}

static enum scan_end scan_segments(struct scan *scan)
{
	const struct segments *list = scan->segments;
	size_t at = scan->from > list->at[0].base ? segments_find(list, scan->from) : 0;
	scan->end = at < list->count ? list->at[at].base : segment_end(&list->at[list->count - 1]);
	for (; at < list->count; at++) {
		bool over;
		enum scan_end end = scan_segment(scan, at, &over);
		scan_file_done(scan, at);
		if (over)
			return end;
	}
	scan->torn_end = scan->end;
	if (far_enough(scan))
		return SCAN_CLEAN;
	size_t last = list->count - 1;
	if (scan->filled)
		return say_damage(scan, last, scan->end, 0, "the log goes on in a file that is not there",
				  "the next segment is missing", UINT64_MAX);
	if (scan->end < known_end(scan))
		return say_damage(scan, last, scan->end, known_end(scan) - scan->end, "the log ends here",
				  "it is known to reach further", known_end(scan));
	return SCAN_CLEAN;
}

enum scan_end scan_run(struct scan *scan)
{
	const struct segments *list = scan->segments;
	ASSERT(list->count);
	uint64_t largest = WAL_BLOCK;
	for (size_t i = 0; i < list->count; i++)
		largest = list->at[i].size > largest ? list->at[i].size : largest;
	scan->window_cap = largest < WINDOW ? (size_t)largest : WINDOW;
	scan->window = mem_alloc(scan->window_cap);
	scan->window_len = 0;
	scan->write_max = FRAME_SIZE_MAX;
	scan->next_size = 0;
	scan->epoch = 0;
	scan->time_ms = 0;
	scan->filled = false;
	scan->text.len = 0;
	enum scan_end end = scan_segments(scan);
	mem_free(scan->window);
	scan->window = NULL;
	IMPLIES(end != SCAN_CLEAN, scan->text.len > 0);
	return end;
}
