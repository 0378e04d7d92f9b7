// SPDX-License-Identifier: Apache-2.0
/* Every byte that can begin an object has a row in `heads`: how long header and fixed body are, how many bytes of the
 * header are a length, and what that length counts.
 *
 * Invariants: `left` is the sum of `open` and of the frame's own object; at + left <= limits->bytes, since each object
 * takes a byte at least, so that no counter can overflow.
 *
 * Requests are mostly short texts and numbers: what the loop changes for each of them stays in registers, and only arrays and
 * maps go through the struct.
 */
#include "net/rpc/frame.h"

#include "engine/base/assert.h"

enum what { ATOM, SHORT_TEXT, BODY, SHORT_ARRAY, SHORT_MAP, ARRAY, MAP, BAD };

struct head {
	unsigned char fixed;           /* bytes before a counted body: first byte, length, kind of an ext, value */
	unsigned char length;          /* bytes of big-endian length behind the first one */
	unsigned char what;
};

/* Those with a SHORT one carry the length in their first byte. */
static const struct head heads[256] = {
	[0x00 ... 0x7f] = { 1, 0, ATOM },
	[0x80 ... 0x8f] = { 1, 0, SHORT_MAP },
	[0x90 ... 0x9f] = { 1, 0, SHORT_ARRAY },
	[0xa0 ... 0xbf] = { 1, 0, SHORT_TEXT },
	[0xc0] = { 1, 0, ATOM }, [0xc1] = { 1, 0, BAD }, [0xc2 ... 0xc3] = { 1, 0, ATOM },     /* nil, never used, false, true */
	[0xc4] = { 2, 1, BODY }, [0xc5] = { 3, 2, BODY }, [0xc6] = { 5, 4, BODY },     /* bin */
	[0xc7] = { 3, 1, BODY }, [0xc8] = { 4, 2, BODY }, [0xc9] = { 6, 4, BODY },     /* ext: length, kind */
	[0xca] = { 5, 0, ATOM }, [0xcb] = { 9, 0, ATOM },      /* float */
	[0xcc] = { 2, 0, ATOM }, [0xcd] = { 3, 0, ATOM }, [0xce] = { 5, 0, ATOM }, [0xcf] = { 9, 0, ATOM },    /* unsigned */
	[0xd0] = { 2, 0, ATOM }, [0xd1] = { 3, 0, ATOM }, [0xd2] = { 5, 0, ATOM }, [0xd3] = { 9, 0, ATOM },    /* signed */
	[0xd4] = { 3, 0, ATOM }, [0xd5] = { 4, 0, ATOM }, [0xd6] = { 6, 0, ATOM }, [0xd7] = { 10, 0, ATOM },   /* fixext */
	[0xd8] = { 18, 0, ATOM },
	[0xd9] = { 2, 1, BODY }, [0xda] = { 3, 2, BODY }, [0xdb] = { 5, 4, BODY },     /* str */
	[0xdc] = { 3, 2, ARRAY }, [0xdd] = { 5, 4, ARRAY }, [0xde] = { 3, 2, MAP }, [0xdf] = { 5, 4, MAP },
	[0xe0 ... 0xff] = { 1, 0, ATOM },
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
	uint64_t at = scan->at, left = scan->left, objects = scan->objects;
	uint32_t here = scan->level ? scan->open[scan->level - 1] : 1; /* still to come in the innermost array or map */
	enum frame_state state = FRAME_DONE;
	while (left) {
		uint64_t children = 0, count = 0;
		state = FRAME_MORE;
		if (at >= len)
			break;
		const struct head *head = &heads[frame[at]];
		uint64_t size = head->fixed;
		if (head->what == SHORT_TEXT) {
			size += frame[at] & 0x1fU;
		} else if (head->what != ATOM) {
			if (head->what == BAD) {
				state = FRAME_BROKEN;
				break;
			}
			if (head->length && len - at <= head->length)
				break;
			for (unsigned i = 1; i <= head->length; i++)
				count = count << 8 | frame[at + i];
			switch ((enum what)head->what) {
			case BODY: size += count; break;
			case SHORT_ARRAY: children = frame[at] & 0x0fU; break;
			case SHORT_MAP: children = (frame[at] & 0x0fU) * 2U; break;
			case ARRAY: children = count; break;
			case MAP: children = count * 2; break;
			case ATOM:
			case SHORT_TEXT:
			case BAD: break;
			}
		}
		if (at + size + left - 1 + children > limits->bytes || ++objects > limits->objects) {
			state = FRAME_TOO_LARGE;
			break;
		}
		at += size;
		left += children - 1;
		here--;
		if (!children && here)
			continue;
		if (scan->level)
			scan->open[scan->level - 1] = here;
		if (children)
			open_level(scan, (uint32_t)children, limits->levels);
		while (scan->level && !scan->open[scan->level - 1])
			scan->level--;
		here = scan->level ? scan->open[scan->level - 1] : 1;
	}
	scan->at = at;
	scan->left = left;
	scan->objects = objects;
	if (scan->level)
		scan->open[scan->level - 1] = here;
	if (left)
		return state;
	return at <= len ? FRAME_DONE : FRAME_MORE;
}
