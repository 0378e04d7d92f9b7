// SPDX-License-Identifier: Apache-2.0
/* multipart.c - the one thing needed of multipart/form-data (RFC 7578): an uploaded file, without copying it.
 *
 * Invariants: strict line ends (CRLF) and a closing delimiter; at most PARTS_MAX parts and PART_HEAD_MAX bytes of part
 * headers; the part found is a slice of the body.
 */
#include <strings.h>

#include "net/http/http.h"

enum { PARTS_MAX = 64, PART_HEAD_MAX = 8 * 1024, BOUNDARY_MAX = 70 };

static struct str str_after(struct str text, size_t at)
{
	return (struct str){ text.ptr + at, text.len - at };
}

static struct str str_trim(struct str text)
{
	while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
		text = str_after(text, 1);
	while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static bool starts_with(struct str text, const char *lower)
{
	size_t len = strlen(lower);
	return text.len >= len && strncasecmp(text.ptr, lower, len) == 0;
}

/* The value of a parameter ("; name=value" or "; name=\"value\"") behind a header's first word.  Quoted pairs are not
 * undone: neither a boundary nor a field name of ours has any. */
static bool parameter(struct str text, const char *name, struct str *value)
{
	size_t name_len = strlen(name), at = 0;
	while (at < text.len && text.ptr[at] != ';')
		at++;
	while (at < text.len) {
		struct str rest = str_trim(str_after(text, at + 1));
		size_t key = 0;
		while (key < rest.len && rest.ptr[key] != '=' && rest.ptr[key] != ';')
			key++;
		if (key == rest.len || rest.ptr[key] == ';') {
			at = (size_t)(rest.ptr - text.ptr) + key;
			continue;
		}
		struct str found = str_after(rest, key + 1);
		size_t end = 0;
		if (found.len && found.ptr[0] == '"') {
			found = str_after(found, 1);
			while (end < found.len && found.ptr[end] != '"')
				end += found.ptr[end] == '\\' && end + 1 < found.len ? 2 : 1;
			if (end >= found.len)
				return false;
		} else {
			while (end < found.len && found.ptr[end] != ';' && found.ptr[end] != ' ' && found.ptr[end] != '\t')
				end++;
		}
		if (key == name_len && strncasecmp(rest.ptr, name, key) == 0) {
			*value = (struct str){ found.ptr, end };
			return true;
		}
		at = (size_t)(found.ptr - text.ptr) + end;
		while (at < text.len && text.ptr[at] != ';')
			at++;
	}
	return false;
}

static bool find(struct str text, struct str needle, size_t *at)
{
	const char *hit = text.len ? memmem(text.ptr, text.len, needle.ptr, needle.len) : NULL;
	if (hit)
		*at = (size_t)(hit - text.ptr);
	return hit != NULL;
}

/* Reads a part's headers; *rest begins behind the empty line.  False where malformed. */
static bool part_head(struct str *rest, struct str *disposition)
{
	size_t total = 0;
	*disposition = STR("");
	for (;;) {
		size_t end;
		if (!find(*rest, STR("\r\n"), &end) || (total += end + 2) > PART_HEAD_MAX)
			return false;
		struct str line = { rest->ptr, end };
		*rest = str_after(*rest, end + 2);
		if (!line.len)
			return true;
		if (starts_with(line, "content-disposition:"))
			*disposition = str_trim(str_after(line, strlen("content-disposition:")));
	}
}

bool http_multipart_find(struct str content_type, struct str body, const char *name, struct str *part)
{
	char delimiter[4 + BOUNDARY_MAX] = "\r\n--";
	struct str boundary, disposition, value, first_file = { NULL, 0 };
	bool has_file = false, found = false;
	if (!starts_with(content_type, "multipart/form-data") || !parameter(content_type, "boundary", &boundary))
		return false;
	if (!boundary.len || boundary.len > BOUNDARY_MAX)
		return false;
	memcpy(delimiter + 4, boundary.ptr, boundary.len);
	struct str line = { delimiter, 4 + boundary.len }, start = str_after(line, 2), rest = body;
	size_t at;
	if (rest.len >= start.len && memcmp(rest.ptr, start.ptr, start.len) == 0)
		rest = str_after(rest, start.len);
	else if (find(rest, line, &at))
		rest = str_after(rest, at + line.len);
	else
		return false;
	for (size_t count = 0; count <= PARTS_MAX; count++) {
		if (rest.len >= 2 && memcmp(rest.ptr, "--", 2) == 0) {
			if (!found)
				*part = first_file;
			return found || has_file;
		}
		while (rest.len && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t'))
			rest = str_after(rest, 1);
		if (rest.len < 2 || memcmp(rest.ptr, "\r\n", 2) != 0)
			return false;
		rest = str_after(rest, 2);
		if (!part_head(&rest, &disposition) || !find(rest, line, &at))
			return false;
		struct str content = { rest.ptr, at };
		rest = str_after(rest, at + line.len);
		if (!starts_with(disposition, "form-data"))
			continue;
		if (!found && name && parameter(disposition, "name", &value) && str_eq(value, str_of(name))) {
			*part = content;
			found = true;
		}
		if (!has_file && parameter(disposition, "filename", &value)) {
			first_file = content;
			has_file = true;
		}
	}
	return false;
}
