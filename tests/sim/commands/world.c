// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/commands/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "engine/cron/cron.h"
#include "net/http/http.h"
#include "net/loop/logline.h"
#include "net/rpc/methods.h"
#include "net/surface/jobs.h"
#include "tests/sim/commands/host.h"
#include "tests/sim/commands/laws.h"

enum { SHARDS = 2, OWN_IDS = 10, WORLD_IDS = 26, STEPS_MAX = 2000000, MS = 1000000, ID_BYTES = 112 };

#define LLU(x) ((unsigned long long)(x))

static struct disk *first_disk;        /* as the world begins */
static int64_t first_ms;               /* its time then */
static struct buf first_state;

static struct {
	bool open, making;
	struct disk *disk;
	struct sim_node node;
	struct host host;
	struct buf state;              /* as it is now */
	uint64_t opened_lsn;
	bool done;                     /* a request that may do something came to a 2xx */
	uint64_t seed;
	char own[OWN_IDS][ID_BYTES], world[WORLD_IDS][ID_BYTES];
	unsigned asked;
	/* the request in work */
	struct http_session *session;
	unsigned answers;
	uint64_t durable, appended;    /* when the answer left */
	struct world_answer answer;
	struct str text;
} here;

__attribute__((format(printf, 1, 2), noreturn))
static void broken(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("LAW BROKEN: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n> %.*s\n", (int)here.text.len, here.text.ptr);
	if (here.answers)
		fprintf(stderr, "< %d %.*s\n", here.answer.status, (int)(here.answer.body.len < 2000 ? here.answer.body.len : 2000),
			here.answer.body.ptr);
	abort();
}

#define LAW(holds, ...) \
	do { \
		if (!(holds)) \
			broken(__VA_ARGS__); \
	} while (0)

static const char *asked_name(void)
{
	return here.answer.reference ? here.answer.reference->name : "what no route takes";
}

void world_again(void)
{
	here.asked = 0;
	memset(here.own, 0, sizeof here.own);
}

/* ---- the node ---------------------------------------------------------------------------------------------------------------------- */

static void ignore_frame(void *context, const struct sim_frame *frame)
{
	(void)context, (void)frame;
}

static void clock_set(void)
{
	here.disk->wall_ms = first_ms + (int64_t)(here.disk->now_ns / MS);
}

/* Everything there is to do, in an order that is always the same.  False: there was nothing. */
static bool step(void)
{
	struct sim_node *node = &here.node;
	enum node_outcome outcome = NODE_GOOD;
	bool did = false, some = false;
	here.disk->now_ns += 2000;
	clock_set();
	for (unsigned s = 0; s < node->shard_count; s++)
		if (node->awake[s]) {
			sim_shard_step(node, s, 4);
			did = true;
		}
	if (wal_appended(node->wal) != wal_durable(node->wal)) {
		outcome = sim_log_step(node, false, &some);
		did = true;
	}
	if (outcome == NODE_GOOD && node->done)
		did |= host_take(&here.host);
	if (outcome == NODE_GOOD && here.host.work_count)
		did |= host_work(&here.host, &here.seed);
	if (outcome == NODE_GOOD && node->writer) {
		if (node->writer_due_ns > here.disk->now_ns)
			here.disk->now_ns = node->writer_due_ns;
		host_snapshot_step(&here.host);
		did = true;
	}
	if (outcome == NODE_GOOD)
		outcome = sim_maker_step(node, &some);
	LAW(outcome == NODE_GOOD, "L7: the log ends the process: %s", node->fatal_text);
	return did;
}

static void settle(void)
{
	unsigned steps = 0;
	do
		LAW(steps++ < STEPS_MAX, "L8: it does not come to rest");
	while (step() || !host_idle(&here.host));
	while (sim_footers_step(&here.node))
		LAW(steps++ < STEPS_MAX, "L8: footers are never made");
}

static struct sim_node_options node_options(struct disk *disk)
{
	return (struct sim_node_options){ .shards = SHARDS, .segment_size = 64 << 10, .ring_size = 64 << 10, .written = ignore_frame,
					  .past = true, .wall_ms = &disk->wall_ms };
}

static void world_node(struct disk *disk)
{
	struct buf error = { 0 };
	struct sim_node_options options = node_options(disk);
	here.disk = disk;
	here.seed = 1;
	clock_set();
	disk_mount(disk);
	LAW(sim_node_open(&here.node, &options, &error) == NODE_GOOD, "it cannot be opened: %.*s", (int)error.len, error.ptr);
	buf_free(&error);
	host_begin(&here.host, &here.node, disk, false);
	here.open = true;
	here.done = false;
	world_again();
	settle();
	here.opened_lsn = wal_appended(here.node.wal);
}

static void node_rest(void)
{
	here.host.app.draining = true;
	jobs_stop(&here.host.app);
	settle();
	LAW(!here.host.app.tasks && !here.host.app.task_bytes, "L8: %zu requests are counted, and none is there", here.host.app.tasks);
	host_end(&here.host);
	here.open = false;
}

static void state_compare(const struct buf *before, const struct buf *after, const char *what)
{
	size_t same = 0, line = 0;
	if (before->len == after->len && memcmp(before->ptr, after->ptr, before->len) == 0)
		return;
	for (; before->ptr[same] && before->ptr[same] == after->ptr[same]; same++)
		if (before->ptr[same] == '\n')
			line = same + 1;
	broken("%s: before %.*s; after %.*s", what, (int)strcspn(before->ptr + line, "\n"), before->ptr + line,
	       (int)strcspn(after->ptr + line, "\n"), after->ptr + line);
}

/* ---- books --------------------------------------------------------------------------------------------------------------------------- */

static void books_check(void)
{
	const struct shard *shards = here.node.shards;
	for (unsigned s = 0; s < SHARDS; s++)
		for (uint32_t b = 0; b < shards[s].state.ledger.book_count; b++) {
			const struct book *book = shards[s].state.ledger.books[b];
			u128 sums[ACCOUNT_KINDS][4] = { 0 }, total[4] = { 0 };
			uint64_t counts[ACCOUNT_KINDS] = { 0 };
			for (unsigned t = 0; t < SHARDS; t++) {
				const struct book *part = ledger_book_find(&shards[t].state.ledger, book->tenant, book->unit);
				if (part)
					ledger_book_sums(&shards[t].state.ledger, part, sums, counts);
			}
			for (unsigned kind = 0; kind < ACCOUNT_KINDS; kind++)
				for (unsigned i = 0; i < 4; i++)
					total[i] += sums[kind][i];
			LAW(total[0] == total[1] && total[2] == total[3], "L3: the book of %.*s in %.*s does not balance",
			    (int)book->tenant.len, book->tenant.ptr, (int)book->unit.len, book->unit.ptr);
		}
}

/* ---- requests as text ---------------------------------------------------------------------------------------------------------------- */

bool world_next(struct str *rest, struct str *request)
{
	static const char line[] = "\n---\n";
	if (!rest->ptr)
		return false;
	const char *end = rest->len ? memmem(rest->ptr, rest->len, line, sizeof line - 1) : NULL;
	*request = (struct str){ rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len };
	*rest = end ? (struct str){ end + sizeof line - 1, rest->len - request->len - (sizeof line - 1) } : (struct str){ NULL, 0 };
	return true;
}

/* With the ids that are meant by $0 and $A. */
static void ids_fill(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char next = i + 1 < text.len ? (unsigned char)text.ptr[i + 1] : 0;
		const char *id = next >= '0' && next <= '9' ? here.own[next - '0'] : next >= 'A' && next <= 'Z' ? here.world[next - 'A'] : "";
		if (text.ptr[i] != '$' || !*id) {
			buf_char(out, text.ptr[i]);
			continue;
		}
		buf_str(out, str_of(id));
		i++;
	}
}

/* What may not stand in the request's line, escaped. */
static void target_write(struct buf *out, struct str text, const char *not)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c <= ' ' || c >= 0x7f || strchr(not, c))
			buf_printf(out, "%%%02X", c);
		else
			buf_char(out, (char)c);
	}
}

static const struct reference *reference_of(struct str name)
{
	size_t count;
	const struct reference *all = references(&count);
	for (size_t i = 0; i < count; i++)
		if (str_eq(str_of(all[i].name), name))
			return &all[i];
	LAW(!here.making, "the world names an operation that there is not");
	return &all[hash_bytes(name.ptr, name.len) % count];
}

/* Whose request it is: the first in the order of the routes, as the surfaces have it; NULL: nobody's. */
static const struct reference *reference_at(const char *method, struct str path)
{
	size_t count;
	const struct reference *all = references(&count);
	if (path.len > 1 && path.ptr[path.len - 1] == '/')
		path.len--;
	for (size_t i = 0; i < count; i++) {
		const char *p = all[i].route->path, *at = path.ptr, *end = path.ptr + path.len;
		while (*p && at < end) {
			if (*p == '{') {
				const char *begin = at;
				while (at < end && *at != '/')
					at++;
				if (at == begin)
					break;
				p += strcspn(p, "}") + 1;
			} else if (*p++ != *at++) {
				at = NULL;
				break;
			}
		}
		if (at == end && !*p && !strcmp(all[i].route->method, method))
			return &all[i];
	}
	return NULL;
}

/* Of the connection or the framing: fuzz_http's. */
static bool is_framing(struct str name)
{
	static const char *const names[] = { "host", "content-length", "transfer-encoding", "connection", "upgrade", "expect", "te", "trailer",
					     "keep-alive", "proxy-connection", "http2-settings" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == name.len && !strncasecmp(names[i], name.ptr, name.len))
			return true;
	return false;
}

/* Any line is a header, or nothing. */
static void header_write(struct buf *out, struct str line, bool *typed)
{
	const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
	if (!colon)
		return;
	struct str name = { line.ptr, (size_t)(colon - line.ptr) }, value = { colon + 1, (size_t)(line.ptr + line.len - colon) - 1 };
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.", c))))
			return;
	}
	while (value.len && value.ptr[0] == ' ')
		value.ptr++, value.len--;
	if (!name.len || is_framing(name))
		return;
	if (name.len == 12 && !strncasecmp(name.ptr, "content-type", 12)) {
		*typed = true;
		if (!value.len)
			return;
	}
	buf_str(out, name);
	buf_lit(out, ": ");
	for (size_t i = 0; i < value.len; i++)
		buf_char(out, (unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f ? '?' : value.ptr[i]);
	buf_lit(out, "\r\n");
}

static struct str line_of(struct str *rest)
{
	const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
	struct str line = { rest->len ? rest->ptr : "", end ? (size_t)(end - rest->ptr) : rest->len };
	size_t taken = line.len + (end != NULL);
	*rest = (struct str){ line.ptr + taken, rest->len - taken };
	return line;
}

static bool is_dry(const struct reference *reference, struct str query)
{
	struct buf value = { 0 };
	bool bad = false, listed = false;
	for (size_t i = 0; reference && i < reference->parameter_count; i++)
		listed |= !strcmp(reference->parameters[i].row.name, "dry_run");
	bool dry = listed && http_query_get(query, "dry_run", &value, &bad) &&
		   (str_eq(buf_view(&value), STR("true")) || str_eq(buf_view(&value), STR("1")));
	buf_free(&value);
	return dry;
}

/* The path of the operation with these parts; what is missing is "-". */
static void path_write(struct buf *out, const char *pattern, struct str parts)
{
	for (const char *p = pattern; *p; p++) {
		if (*p != '{') {
			buf_char(out, *p);
			continue;
		}
		size_t len = 0;
		while (len < parts.len && parts.ptr[len] != '/')
			len++;
		target_write(out, parts.ptr ? (struct str){ parts.ptr, len } : STR("-"), "/?#");
		parts = len < parts.len ? (struct str){ parts.ptr + len + 1, parts.len - len - 1 } : (struct str){ NULL, 0 };
		p += strcspn(p, "}");
	}
}

/* As bytes of HTTP/1.1; the request is in here.answer then. */
static void http_write(struct buf *out, struct str text)
{
	static const struct str head = { "HEAD ", 5 };
	struct world_answer *answer = &here.answer;
	struct str line = line_of(&text);
	answer->head = line.len >= head.len && !memcmp(line.ptr, head.ptr, head.len);
	if (answer->head)
		line = (struct str){ line.ptr + head.len, line.len - head.len };
	const char *mark = line.len ? memchr(line.ptr, '?', line.len) : NULL;
	struct str query = mark ? (struct str){ mark + 1, (size_t)(line.ptr + line.len - mark) - 1 } : (struct str){ NULL, 0 };
	line.len -= query.len + (mark != NULL);
	const char *slash = line.len ? memchr(line.ptr, '/', line.len) : NULL;
	struct str parts = slash ? (struct str){ slash + 1, (size_t)(line.ptr + line.len - slash) - 1 } : (struct str){ NULL, 0 };
	const struct reference *named = reference_of((struct str){ line.ptr, line.len - parts.len - (slash != NULL) });
	answer->head &= !strcmp(named->route->method, "GET");
	buf_printf(out, "%s ", answer->head ? "HEAD" : named->route->method);
	size_t path = out->len;
	path_write(out, named->route->path, parts);
	answer->reference = reference_at(named->route->method, (struct str){ out->ptr + path, out->len - path });
	if (mark)
		buf_char(out, '?');
	size_t begin = out->len;
	target_write(out, query, "#");
	answer->dry_run = is_dry(answer->reference, (struct str){ out->ptr + begin, out->len - begin });
	buf_lit(out, " HTTP/1.1\r\nHost: simulated\r\n");
	bool typed = false;
	while (text.len && text.ptr[0] != '\n')
		header_write(out, line_of(&text), &typed);
	line_of(&text);
	if (text.len && !typed)
		buf_lit(out, "Content-Type: application/json\r\n");
	buf_printf(out, "Content-Length: %zu\r\n\r\n", text.len);
	buf_str(out, text);
}

/* Without what would be taken for the end of a part, of `ends`. */
static void escaped_write(struct buf *out, const char *text, const char *ends)
{
	for (; *text; text++)
		if (strchr(ends, *text))
			buf_printf(out, "%%%02X", (unsigned char)*text);
		else
			buf_char(out, *text);
}

void world_text(const struct request *request, struct buf *out)
{
	buf_printf(out, "%s%s", request->head ? "HEAD " : "", request->reference->name);
	for (size_t i = 0; i < request->part_count; i++) {
		buf_char(out, '/');
		escaped_write(out, request->parts[i].text, "/?%#\n");
	}
	for (size_t i = 0; i < request->query_count; i++) {
		buf_char(out, i ? '&' : '?');
		escaped_write(out, request->query[i].name, "&=+%#\n");
		buf_char(out, '=');
		escaped_write(out, request->query[i].text, "&=+%#\n");
	}
	buf_char(out, '\n');
	for (size_t i = 0; i < request->header_count; i++)
		if (!strchr(request->headers[i].text, '\n'))
			buf_printf(out, "%s: %s\n", request->headers[i].name, request->headers[i].text);
	if (request->type && strcmp(request->type, "application/json") != 0)
		buf_printf(out, "Content-Type: %s\n", request->type);
	if (!request->body.len)
		return;
	buf_char(out, '\n');
	buf_str(out, buf_view(&request->body));
}

/* ---- answers --------------------------------------------------------------------------------------------------------------------------- */

static void on_request(void *context, struct http_request *request)
{
	(void)context;
	request->started_ns = here.disk->now_ns;
	app_request(&here.host.app, request);
}

static void on_answered(void *context, const struct http_request *request, int status)
{
	(void)context, (void)request;
	LAW(!here.answers++, "L4: %s is answered twice", asked_name());
	here.answer.status = status;
	here.durable = wal_durable(here.node.wal);
	here.appended = wal_appended(here.node.wal);
}

struct str world_header(const struct world_answer *answer, const char *name)
{
	size_t len = strlen(name);
	for (struct str rest = buf_view(&answer->headers); rest.len;) {
		struct str line = line_of(&rest);
		if (line.len > len + 2 && !strncasecmp(line.ptr, name, len) && line.ptr[len] == ':')
			return (struct str){ line.ptr + len + 2, line.len - len - 3 };
	}
	return STR("");
}

static void answer_take(void)
{
	struct world_answer *answer = &here.answer;
	struct buf text = { 0 };
	http_session_output(here.session, &text);
	const char *end = text.len ? memmem(text.ptr, text.len, "\r\n\r\n", 4) : NULL;
	LAW(end && text.len > 12 && !memcmp(text.ptr, "HTTP/1.1 ", 9), "%s is answered by what is no HTTP", asked_name());
	const char *line = (const char *)memchr(text.ptr, '\n', text.len) + 1;
	buf_bytes(&answer->headers, line, (size_t)(end + 2 - line));
	buf_bytes(&answer->body, end + 4, text.len - (size_t)(end + 4 - text.ptr));
	buf_free(&text);
}

static void text_keep(char *out, size_t size, yyjson_val *value)
{
	struct str text = json_text(value);
	snprintf(out, size, "%.*s", (int)(text.len < size ? text.len : size - 1), text.ptr);
}

/* RFC 9457, 3.1; a route may have a form of its own. */
static void problem_check(const struct world_answer *answer, yyjson_val *root)
{
	bool own = answer->reference && answer->reference->route->problem;
	struct str status = json_raw(json_get(root, STR("status")));
	char number[8];
	snprintf(number, sizeof number, "%d", answer->status);
	LAW(yyjson_is_obj(root), "RFC 9457: the refusal of %s is no object", asked_name());
	LAW(json_text(json_get(root, STR("code"))).len, "RFC 9457: %s refuses without a code", asked_name());
	if (own)
		return;
	LAW(str_eq(world_header(answer, "content-type"), STR("application/problem+json")), "RFC 9457: %s refuses as %.*s", asked_name(),
	    (int)world_header(answer, "content-type").len, world_header(answer, "content-type").ptr);
	LAW(json_text(json_get(root, STR("type"))).len && json_text(json_get(root, STR("title"))).len && str_eq(status, str_of(number)),
	    "RFC 9457: a problem of %s without type, title or its status", asked_name());
	yyjson_val *detail = json_get(root, STR("detail"));
	LAW(!detail || json_text(detail).len, "RFC 9457: a problem of %s whose detail is no text", asked_name());
}

static void answer_check(void)
{
	struct world_answer *answer = &here.answer;
	struct json_error error;
	struct str type = world_header(answer, "content-type");
	bool json = memmem(type.ptr, type.len, "json", 4), lines = memmem(type.ptr, type.len, "ndjson", 6);
	yyjson_doc *doc = json && !lines && answer->body.len ? json_read(buf_view(&answer->body), &error) : NULL;
	yyjson_val *root = yyjson_doc_get_root(doc);
	LAW(doc || !json || lines || answer->head || !answer->body.len, "JSON: the answer of %s is none", asked_name());
	if (answer->status >= 400)
		text_keep(answer->code, sizeof answer->code, json_get(root, STR("code")));
	text_keep(answer->id, sizeof answer->id, json_get(root, STR("id")));
	LAW(answer->status < 500, "5xx: %s answers %d %s without a fault", asked_name(), answer->status, answer->code);
	bool nowhere = !answer->reference && (!strcmp(answer->code, "route_unknown") || !strcmp(answer->code, "method_not_allowed"));
	LAW((nowhere && answer->status < 406) || law_listed(answer->reference, answer->status, answer->head ? NULL : answer->code, false),
	    "reference: %s answers %d %s, which its operation does not list", asked_name(), answer->status, answer->code);
	/* What has no code is an answer of its own, a report of rows. */
	if (answer->status >= 400 && !answer->head && !(law_listed(answer->reference, answer->status, "", false) && !*answer->code))
		problem_check(answer, root);
	LAW(here.durable == here.appended, "L1: %s answers %d when the log is durable up to LSN %llu, and appended up to %llu", asked_name(),
	    answer->status, LLU(here.durable), LLU(here.appended));
	yyjson_doc_free(doc);
}

static bool may_change(const struct world_answer *answer)
{
	if (!answer->reference || answer->head || !strcmp(answer->reference->route->method, "GET") || answer->dry_run)
		return false;
	return answer->status < 300 || law_burns(answer->code);
}

static void state_check(void)
{
	struct world_answer *answer = &here.answer;
	struct buf now = { 0 };
	sim_node_dump(&here.node, &now);
	here.done |= may_change(answer);
	if (!may_change(answer)) {
		char what[200];
		snprintf(what, sizeof what, "%s: %s leaves something (%d %s)", answer->dry_run ? "dry_run" : "refusal", asked_name(),
			 answer->status, answer->code);
		state_compare(&here.state, &now, what);
	}
	buf_free(&here.state);
	here.state = now;
}

const struct world_answer *world_ask(struct str request)
{
	struct http_options options = { .on_request = on_request, .on_answered = on_answered };
	struct world_answer *answer = &here.answer;
	struct buf text = { 0 }, bytes = { 0 };
	ASSERT(here.open);
	ids_fill(&text, request);
	buf_free(&answer->headers);
	buf_free(&answer->body);
	*answer = (struct world_answer){ 0 };
	here.answers = 0;
	here.text = buf_view(&text);
	http_write(&bytes, here.text);
	here.session = http_session_new(&options);
	/* A copy of just that length, so that what reads beyond it is seen. */
	char *copy = mem_dup(bytes.ptr, bytes.len);
	http_session_feed(here.session, copy, bytes.len);
	mem_free(copy);
	settle();
	LAW(here.answers == 1, "L8: %s is never answered", asked_name());
	answer_take();
	answer_check();
	state_check();
	http_session_free(here.session);
	char *id = here.making && here.asked < WORLD_IDS ? here.world[here.asked] : !here.making && here.asked < OWN_IDS ? here.own[here.asked] : NULL;
	if (id)
		snprintf(id, ID_BYTES, "%s", answer->id);
	here.asked++;
	here.text = (struct str){ "", 0 };
	buf_free(&text);
	buf_free(&bytes);
	return answer;
}

/* ---- worlds ---------------------------------------------------------------------------------------------------------------------------- */

static void tables_begin(void)
{
	log_set_level(LOG_LEVEL_ERROR + 1);
	cron_start();
	reference_make();
	rpc_methods_init();
}

void world_make(const char *requests, struct generator *learns)
{
	struct buf error = { 0 };
	struct str rest = str_of(requests), request;
	ASSERT(!first_disk);
	tables_begin();
	first_disk = disk_new(1);
	first_ms = INT64_C(1700000000000);
	world_node(first_disk);
	sim_node_dump(&here.node, &here.state);
	for (here.making = true; world_next(&rest, &request);) {
		const struct world_answer *answer = world_ask(request);
		here.text = request;
		LAW(answer->status < 300, "the world cannot be made: %d %s", answer->status, answer->code);
		struct request asked = { .reference = answer->reference };
		if (learns)
			generator_learn(learns, &asked, answer->status, buf_view(&answer->headers), buf_view(&answer->body));
	}
	here.making = false;
	here.text = (struct str){ "", 0 };
	node_rest();
	LAW(sim_node_close(&here.node, &error) == NODE_GOOD, "it cannot be closed: %.*s", (int)error.len, error.ptr);
	disk_process_end(first_disk);
	disk_unmount();
	first_state = here.state;
	here.state = (struct buf){ 0 };
	buf_free(&error);
}

void world_open(void)
{
	ASSERT(first_disk && !here.open);
	struct disk *disk = disk_copy(first_disk);
	disk->now_ns = first_disk->now_ns;
	world_node(disk);
	buf_str(&here.state, buf_view(&first_state));
}

bool world_changed(void)
{
	return here.done || wal_appended(here.node.wal) != here.opened_lsn;
}

/* What the files say to another node. */
static void files_check(void)
{
	struct disk *copy = disk_copy(here.disk);
	struct sim_node other;
	struct buf error = { 0 }, again = { 0 };
	struct sim_node_options options = node_options(copy);
	options.shards = 1;
	options.log_only = true;
	disk_mount(copy);
	LAW(sim_node_open(&other, &options, &error) == NODE_GOOD, "L5: a copy of the files is refused: %.*s", (int)error.len, error.ptr);
	sim_node_dump(&other, &again);
	sim_node_kill(&other);
	disk_mount(here.disk);
	disk_free(copy);
	state_compare(&here.state, &again, "L5: the log, replayed, is another state");
	buf_free(&again);
	buf_free(&error);
}

void world_close(bool check)
{
	ASSERT(here.open);
	settle();
	books_check();
	if (check)
		files_check();
	node_rest();
	sim_node_kill(&here.node);
	disk_unmount();
	disk_free(here.disk);
	buf_free(&here.state);
	buf_free(&here.answer.headers);
	buf_free(&here.answer.body);
	here.disk = NULL;
}
