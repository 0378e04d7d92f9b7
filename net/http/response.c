// SPDX-License-Identifier: Apache-2.0
/* response.c - the answering half of a session.
 *
 * An answer is written once: straight to the session's output when its request is the first that waits, into the
 * exchange otherwise, from where it follows as soon as those before it have left.
 *
 * Invariant: after http_respond the first exchange of the queue is not answered, or the queue is empty.
 */
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/problem_codes.h"
#include "engine/ledger/refusal.h"
#include "net/http/session.h"

static _Thread_local char date_line[40];       /* "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", or "" */
static _Thread_local int64_t date_seconds;

/* Days since 1970-01-01 to year, month, day (the proleptic Gregorian calendar). */
static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t of_era = shifted - era * 146097;
	int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted_month = (5 * of_year + 2) / 153;
	*day = (int)(of_year - (153 * shifted_month + 2) / 5 + 1);
	*month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

void http_set_date(int64_t unix_seconds)
{
	static const char days[] = "ThuFriSatSunMonTueWed", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int year, month, day;
	if (unix_seconds < 0 || unix_seconds > 253402300799 || (date_line[0] && unix_seconds == date_seconds))
		return;
	int64_t since = unix_seconds / 86400;
	int rest = (int)(unix_seconds % 86400);
	civil_from_days(since, &year, &month, &day);
	snprintf(date_line, sizeof date_line, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + since % 7 * 3,
		 day % 100, months + (month - 1) * 3, year % 10000, rest / 3600, rest / 60 % 60, rest % 60);
	date_seconds = unix_seconds;
}

const char *http_status_text(int status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 206: return "Partial Content";
	case 207: return "Multi-Status";
	case 301: return "Moved Permanently";
	case 302: return "Found";
	case 303: return "See Other";
	case 304: return "Not Modified";
	case 307: return "Temporary Redirect";
	case 308: return "Permanent Redirect";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 406: return "Not Acceptable";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 410: return "Gone";
	case 411: return "Length Required";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 415: return "Unsupported Media Type";
	case 416: return "Range Not Satisfiable";
	case 417: return "Expectation Failed";
	case 421: return "Misdirected Request";
	case 422: return "Unprocessable Content";
	case 423: return "Locked";
	case 425: return "Too Early";
	case 428: return "Precondition Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	case 505: return "HTTP Version Not Supported";
	case 507: return "Insufficient Storage";
	default: break;
	}
	return status < 300 ? "Success" : status < 400 ? "Redirection" : status < 500 ? "Client Error" : "Server Error";
}

static void write_response(struct buf *out, const struct exchange *exchange, int status, const char *content_type,
			   const char *headers, struct str body, bool close)
{
	bool bodiless = status == 204 || status == 304;
	size_t headers_len = headers ? strlen(headers) : 0;
	ASSERT(headers_len == 0 || (headers_len >= 2 && memcmp(headers + headers_len - 2, "\r\n", 2) == 0));
	buf_room(out, 256 + headers_len + body.len);
	if (status == 200) {
		buf_lit(out, "HTTP/1.1 200 OK\r\n");
	} else {
		buf_lit(out, "HTTP/1.1 ");
		buf_u64(out, (uint64_t)status);
		buf_char(out, ' ');
		buf_str(out, str_of(http_status_text(status)));
		buf_lit(out, "\r\n");
	}
	buf_str(out, str_of(date_line));
	if (content_type && !bodiless) {
		buf_lit(out, "Content-Type: ");
		buf_str(out, str_of(content_type));
		buf_lit(out, "\r\n");
	}
	if (!bodiless) {
		buf_lit(out, "Content-Length: ");
		buf_u64(out, body.len);
		buf_lit(out, "\r\n");
	}
	if (close)
		buf_lit(out, "Connection: close\r\n");
	else if (exchange->keep_alive)
		buf_lit(out, "Connection: keep-alive\r\n");
	buf_bytes(out, headers, headers_len);
	buf_lit(out, "\r\n");
	if (!bodiless && exchange->request.method != HTTP_HEAD_)
		buf_str(out, body);
}

void http_respond(struct http_request *request, int status, const char *content_type, const char *headers,
		  struct str body)
{
	struct exchange *exchange = request->internal;
	struct http_session *session = request->session;
	ASSERT(!exchange->answered && session->outstanding && status >= 200 && status <= 599);
	exchange->answered = true;
	session->outstanding--;
	session->outstanding_bytes -= exchange->body.len;
	if (session->detached) {
		if (!session->outstanding)
			session_destroy(session);
		return;
	}
	if (session->options.on_answered)
		session->options.on_answered(session->options.context, request, status);
	bool close = exchange->close || (session->ended && !exchange->next);
	bool is_first = session->first == exchange;
	write_response(is_first ? &session->out : &exchange->response, exchange, status, content_type, headers, body, close);
	if (!is_first)
		return;
	while (session->first && session->first->answered) {
		struct exchange *left = session->first;
		buf_str(&session->out, buf_view(&left->response));
		session->first = left->next;
		if (!session->first)
			session->last = NULL;
		exchange_release(session, left);
	}
	if (!session->parsing && session->options.on_ready)
		session->options.on_ready(session->options.context, session);
}

/* The text with every byte that is not UTF-8 replaced: details may quote what a client sent. */
static void json_safe_text(struct buf *out, const char *text)
{
	struct buf clean = { 0 };
	const unsigned char *at = (const unsigned char *)text;
	while (*at) {
		unsigned char c = *at;
		size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
		bool good = len > 0;
		for (size_t i = 1; i < len && good; i++)
			good = (at[i] & 0xc0) == 0x80;
		if (good && ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
			     (c == 0xf4 && at[1] > 0x8f)))
			good = false;
		if (good)
			buf_bytes(&clean, at, len);
		else
			buf_char(&clean, '?');
		at += good ? len : 1;
	}
	buf_json_text(out, buf_view(&clean));
	buf_free(&clean);
}

/* Type and title of a code; both tables know it, or it is about:blank. */
static void problem_type(struct buf *out, int status, const char *code)
{
	const struct problem_code *row = problem_code_find(str_of(code));
	const struct refusal_info *refusal = row ? NULL : refusal_by_name(str_of(code));
	if (!row && !refusal) {
		buf_lit(out, "\"type\":\"about:blank\",\"title\":");
		buf_json_text(out, str_of(http_status_text(status)));
		return;
	}
	buf_lit(out, "\"type\":\"/v1/problems/");
	buf_str(out, str_of(code));
	buf_lit(out, "\",\"title\":");
	if (row) {
		buf_json_text(out, str_of(row->title));
		return;
	}
	/* "exceeds_floor": "Exceeds floor" */
	buf_char(out, '"');
	buf_char(out, (char)(*code & ~0x20));
	for (const char *at = code + 1; *at; at++)
		buf_char(out, *at == '_' ? ' ' : *at);
	buf_char(out, '"');
}

void http_problem_json(struct buf *out, int status, const char *code, const struct faults *faults, const char *detail,
		       int64_t index)
{
	buf_char(out, '{');
	problem_type(out, status, code);
	buf_lit(out, ",\"status\":");
	buf_i64(out, status);
	buf_lit(out, ",\"code\":");
	buf_json_text(out, str_of(code));
	if (detail && *detail) {
		buf_lit(out, ",\"detail\":");
		json_safe_text(out, detail);
	}
	if (index >= 0) {
		buf_lit(out, ",\"index\":");
		buf_i64(out, index);
	}
	if (faults && faults->count) {
		buf_lit(out, ",\"errors\":");
		faults_json(faults, out);
	}
	buf_char(out, '}');
}

void http_problem(struct http_request *request, int status, const char *code, const struct faults *faults,
		  const char *headers, const char *format, ...)
{
	char detail[1024];
	struct buf body = { 0 };
	va_list args;
	va_start(args, format);
	vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	http_problem_json(&body, status, code, faults, detail, -1);
	http_respond(request, status, "application/problem+json", headers, buf_view(&body));
	buf_free(&body);
}
