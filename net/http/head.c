// SPDX-License-Identifier: Apache-2.0
/* head.c - judging a complete head: method, target, host, and how long the body is.
 *
 * Invariant: a request that passes has one length, said in one way, and exactly one Host (HTTP/1.0: at most one), so
 * that no two readers of the same bytes can
 * disagree on where it ends or whom it is for.
 */
#include <strings.h>

#include "net/http/session.h"

static bool text_is(struct str text, const char *lower)
{
	return strlen(lower) == text.len && strncasecmp(text.ptr, lower, text.len) == 0;
}

static enum http_method method_of(uint8_t method)
{
	switch (method) {
	case HTTP_GET: return HTTP_GET_;
	case HTTP_HEAD: return HTTP_HEAD_;
	case HTTP_POST: return HTTP_POST_;
	case HTTP_PUT: return HTTP_PUT_;
	case HTTP_PATCH: return HTTP_PATCH_;
	case HTTP_DELETE: return HTTP_DELETE_;
	case HTTP_OPTIONS: return HTTP_OPTIONS_;
	default: return HTTP_METHOD_OTHER;
	}
}

/* Splits the target: origin form, absolute form (its authority is dropped), or "*" of OPTIONS. */
static bool split_target(struct http_request *request, struct str target)
{
	size_t scheme = 0;
	for (size_t i = 0; i < target.len; i++)
		if (target.ptr[i] == '#' || (unsigned char)target.ptr[i] <= ' ' || (unsigned char)target.ptr[i] >= 0x7f)
			return false;
	if (target.len > 7 && strncasecmp(target.ptr, "http://", 7) == 0)
		scheme = 7;
	else if (target.len > 8 && strncasecmp(target.ptr, "https://", 8) == 0)
		scheme = 8;
	if (scheme) {
		while (scheme < target.len && target.ptr[scheme] != '/' && target.ptr[scheme] != '?')
			scheme++;
		target = (struct str){ target.ptr + scheme, target.len - scheme };
	} else if (!target.len || (target.ptr[0] != '/' && !(str_eq(target, STR("*")) && request->method == HTTP_OPTIONS_))) {
		return false;
	}
	const char *mark = target.len ? memchr(target.ptr, '?', target.len) : NULL;
	request->path = mark ? (struct str){ target.ptr, (size_t)(mark - target.ptr) } : target;
	request->query = mark ? (struct str){ mark + 1, target.len - request->path.len - 1 } : STR("");
	if (!request->path.len)
		request->path = STR("/");
	return true;
}

static bool host_fits(struct str host)
{
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = (unsigned char)host.ptr[i];
		if (c <= ' ' || c >= 0x7f || strchr("\"#,/<>?@\\^`{|}", c))
			return false;
	}
	return true;
}

struct framing {
	size_t hosts, lengths, codings, expects;
	struct str host, length, coding, expect;
};

static void note(struct str value, size_t *count, struct str *last)
{
	(*count)++;
	*last = value;
}

static struct framing framing_of(const struct http_request *request)
{
	struct framing framing = { 0 };
	for (size_t i = 0; i < request->header_count; i++) {
		const struct http_header *header = &request->headers[i];
		if (str_eq(header->name, STR("host")))
			note(header->value, &framing.hosts, &framing.host);
		else if (str_eq(header->name, STR("content-length")))
			note(header->value, &framing.lengths, &framing.length);
		else if (str_eq(header->name, STR("transfer-encoding")))
			note(header->value, &framing.codings, &framing.coding);
		else if (str_eq(header->name, STR("expect")))
			note(header->value, &framing.expects, &framing.expect);
	}
	return framing;
}

/* Decimal digits only; a length that does not fit counts as endless. */
static bool length_read(struct str text, uint64_t *length)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		uint64_t digit = (uint64_t)(text.ptr[i] - '0');
		sum = sum > (UINT64_MAX - digit) / 10 ? UINT64_MAX : sum * 10 + digit;
	}
	*length = sum;
	return text.len > 0;
}

static void verdict_set(struct head_verdict *verdict, int status, const char *code, const char *detail)
{
	verdict->status = status;
	verdict->code = code;
	verdict->detail = detail;
}

void head_check(struct http_request *request, llhttp_method_t method, struct str target, bool old, uint64_t body_max,
		struct head_verdict *verdict)
{
	struct framing framing = framing_of(request);
	request->method = method_of((uint8_t)method);
	request->method_text = str_of(llhttp_method_name(method));
	if (method == HTTP_CONNECT || method == HTTP_TRACE)
		verdict_set(verdict, 405, "method_not_allowed", "CONNECT and TRACE are not served here");
	else if (!split_target(request, target))
		verdict_set(verdict, 400, "malformed_target", "the request target is not a path");
	else if (framing.hosts > 1 || (!framing.hosts && !old) || !host_fits(framing.host))
		verdict_set(verdict, 400, "bad_host", "exactly one valid Host header is needed");
	else if (framing.codings && (framing.lengths || old || framing.codings > 1))
		verdict_set(verdict, 400, "ambiguous_length", "the request says in two ways how long its body is");
	else if (framing.codings && !text_is(framing.coding, "chunked"))
		verdict_set(verdict, 501, "unsupported_coding", "no transfer coding but chunked is supported");
	else if (framing.lengths > 1 || (framing.lengths && !length_read(framing.length, &verdict->length)))
		verdict_set(verdict, 400, "ambiguous_length", "exactly one Content-Length of decimal digits is needed");
	else if (verdict->length > body_max)
		verdict_set(verdict, 413, "body_too_large", "the request body is larger than the limit of this server");
	else if (framing.expects && !old && (framing.expects > 1 || !text_is(framing.expect, "100-continue")))
		verdict_set(verdict, 417, "expectation_failed", "no expectation but 100-continue is met");
	verdict->wants_continue = framing.expects && !old && (framing.codings || verdict->length);
}
