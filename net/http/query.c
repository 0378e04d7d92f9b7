// SPDX-License-Identifier: Apache-2.0
/* query.c - looking into a request: headers, percent-encoding, query parameters.
 *
 * Decoding is strict: an escape that is not two hex digits is refused, and so is an encoded NUL, which no text of ours
 * holds.
 */
#include "net/http/http.h"

struct str http_request_header(const struct http_request *request, const char *name)
{
	struct str wanted = str_of(name);
	for (size_t i = 0; i < request->header_count; i++)
		if (str_eq(request->headers[i].name, wanted))
			return request->headers[i].value;
	return STR("");
}

bool http_request_has_header(const struct http_request *request, const char *name)
{
	struct str wanted = str_of(name);
	for (size_t i = 0; i < request->header_count; i++)
		if (str_eq(request->headers[i].name, wanted))
			return true;
	return false;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool http_percent_decode(struct str text, bool plus_is_space, struct buf *out)
{
	size_t before = out->len;
	buf_room(out, text.len);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '%') {
			int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;
			if (high < 0 || low < 0) {
				out->len = before;
				return false;
			}
			c = (char)(high * 16 + low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (!c) {
			out->len = before;
			return false;
		}
		buf_char(out, c);
	}
	return true;
}

bool http_query_get(struct str query, const char *name, struct buf *out, bool *bad)
{
	struct str wanted = str_of(name);
	struct buf key = { 0 };
	bool found = false;
	*bad = false;
	while (query.len && !found && !*bad) {
		const char *amp = memchr(query.ptr, '&', query.len);
		struct str pair = { query.ptr, amp ? (size_t)(amp - query.ptr) : query.len };
		query = amp ? (struct str){ amp + 1, query.len - pair.len - 1 } : STR("");
		const char *equals = pair.len ? memchr(pair.ptr, '=', pair.len) : NULL;
		struct str left = { pair.ptr, equals ? (size_t)(equals - pair.ptr) : pair.len };
		struct str right = equals ? (struct str){ equals + 1, pair.len - left.len - 1 } : STR("");
		key.len = 0;
		if (!http_percent_decode(left, true, &key)) {
			*bad = true;
		} else if (str_eq(buf_view(&key), wanted)) {
			found = http_percent_decode(right, true, out);
			*bad = !found;
		}
	}
	buf_free(&key);
	return found;
}
