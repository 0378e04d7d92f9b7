// SPDX-License-Identifier: Apache-2.0
#include "engine/base/utf8.h"

#include <stdint.h>

bool utf8_valid(struct str text)
{
	if (!text.len)
		return true;           /* it may have no bytes to point at */
	const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
	while (at < end) {
		uint64_t eight;
		unsigned char c = *at;
		if (c < 0x80 && end - at >= 8) {       /* plain ASCII, eight bytes at a time */
			memcpy(&eight, at, 8);
			if (!(eight & UINT64_C(0x8080808080808080))) {
				at += 8;
				continue;
			}
		}
		size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
		if (!len || (size_t)(end - at) < len)
			return false;
		for (size_t i = 1; i < len; i++)
			if ((at[i] & 0xc0) != 0x80)
				return false;
		if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
		    (c == 0xf4 && at[1] > 0x8f))
			return false;
		at += len;
	}
	return true;
}
