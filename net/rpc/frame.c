// SPDX-License-Identifier: Apache-2.0
/* Every byte that can begin an object has a row in `heads`: how long header and fixed body are, how many bytes of the
 * header are a length, and what that length counts.
 *
 * Invariants: `left` is the sum of `open` and of the frame's own object; at + left <= limits->bytes, since each object
 * takes a byte at least, so that no counter can overflow.
 */
#include "net/rpc/frame.h"

#include "engine/base/assert.h"

enum what { ATOM, BODY, ARRAY, MAP, BAD };

struct head {
	unsigned char fixed;           /* bytes before a counted body: first byte, length, kind of an ext, value */
	unsigned char length;          /* bytes of big-endian length behind the first one */
	unsigned char what;
};

/* 0xc0 to 0xdf; the others carry value or length in their first byte. */
static const struct head heads[32] = {
	{ 1, 0, ATOM }, { 1, 0, BAD }, { 1, 0, ATOM }, { 1, 0, ATOM },         /* nil, never used, false, true */
	{ 2, 1, BODY }, { 3, 2, BODY }, { 5, 4, BODY },                        /* bin */
	{ 3, 1, BODY }, { 4, 2, BODY }, { 6, 4, BODY },                        /* ext: length, kind */
	{ 5, 0, ATOM }, { 9, 0, ATOM },                                        /* float */
	{ 2, 0, ATOM }, { 3, 0, ATOM }, { 5, 0, ATOM }, { 9, 0, ATOM },        /* unsigned */
	{ 2, 0, ATOM }, { 3, 0, ATOM }, { 5, 0, ATOM }, { 9, 0, ATOM },        /* signed */
	{ 3, 0, ATOM }, { 4, 0, ATOM }, { 6, 0, ATOM }, { 10, 0, ATOM }, { 18, 0, ATOM },      /* fixext */
	{ 2, 1, BODY }, { 3, 2, BODY }, { 5, 4, BODY },                        /* str */
	{ 3, 2, ARRAY }, { 5, 4, ARRAY }, { 3, 2, MAP }, { 5, 4, MAP },
};

void frame_begin(struct frame_scan *scan)
{
	scan->at = scan->objects = 0;
	scan->left = 1;
	scan->deep = false;
	scan->level = 0;
}

/* An array or map of `children` objects begins. */
static void open_level(struct frame_scan *scan, uint32_t children, unsigned levels)
{
	scan->left += children;
	if (scan->level < levels) {
		scan->open[scan->level++] = children;
	} else {
		scan->deep = true;
		scan->open[scan->level - 1] += children;
	}
}

enum frame_state frame_scan(struct frame_scan *scan, const unsigned char *frame, size_t len,
			    const struct frame_limits *limits)
{
	ASSERT(limits->levels && limits->levels <= FRAME_LEVELS && limits->bytes <= UINT32_MAX);
	while (scan->left) {
		uint64_t size, children = 0, at = scan->at;
		if (at >= len)
			return FRAME_MORE;
		unsigned char c = frame[at];
		if (c < 0x80 || c >= 0xe0) {
			size = 1;
		} else if (c >= 0xc0) {
			const struct head *head = &heads[c - 0xc0];
			uint64_t count = 0;
			if (head->what == BAD)
				return FRAME_BROKEN;
			size = head->fixed;
			if (head->length && len - at <= head->length)
				return FRAME_MORE;
			for (unsigned i = 1; i <= head->length; i++)
				count = count << 8 | frame[at + i];
			if (head->what == BODY)
				size += count;
			else
				children = head->what == MAP ? count * 2 : count;
		} else if (c >= 0xa0) {
			size = 1 + (c & 0x1fU);
		} else {
			size = 1;
			children = c >= 0x90 ? c & 0x0fU : (c & 0x0fU) * 2U;
		}
		if (at + size + scan->left - 1 + children > limits->bytes || ++scan->objects > limits->objects)
			return FRAME_TOO_LARGE;
		scan->at = at + size;
		scan->left--;
		if (scan->level)
			scan->open[scan->level - 1]--;
		if (children)
			open_level(scan, (uint32_t)children, limits->levels);
		while (scan->level && !scan->open[scan->level - 1])
			scan->level--;
	}
	return scan->at <= len ? FRAME_DONE : FRAME_MORE;
}
