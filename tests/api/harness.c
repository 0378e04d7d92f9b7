// SPDX-License-Identifier: Apache-2.0
/* harness.c - groups of tests, and the ways in which tests speak to the server; process.c starts it. */
#include "tests/api/harness.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct server harness_server;
unsigned harness_shards;

static const char *const *group_options;
static struct client kept = { .fd = -1 };
static struct reply last;

/* ---- groups ------------------------------------------------------------------------------------- */

static int group_start(void **state)
{
	(void)state;
	server_start(&harness_server, harness_shards, group_options);
	return 0;
}

/* The last test of every group: stopping is part of what is tested. */
static void server_drains(void **state)
{
	(void)state;
	client_close(&kept);
	reply_free(&last);
	server_stop(&harness_server);
}

static int group_end(void **state)
{
	(void)state;
	client_close(&kept);
	reply_free(&last);
	server_kill(&harness_server);
	server_clean(&harness_server);
	return 0;
}

int harness_run(const char *name, const struct CMUnitTest *tests, size_t count, const char *const *options)
{
	static const unsigned usual[] = { 1, 4 };
	struct CMUnitTest table[64];
	const char *only = getenv("TALLY_SHARDS");
	const unsigned alone = only ? (unsigned)strtoul(only, NULL, 10) : 0, *shards = only ? &alone : usual;
	int failed = 0;
	if (count >= COUNT_OF(table))
		abort();
	for (size_t i = 0; i < count; i++)
		table[i] = tests[i];
	table[count] = (struct CMUnitTest)cmocka_unit_test(server_drains);
	group_options = options;
	for (size_t i = 0; i < (only ? 1 : COUNT_OF(usual)); i++) {
		char title[64];
		harness_shards = shards[i];
		snprintf(title, sizeof title, "%s, %u shards", name, shards[i]);
		failed += _cmocka_run_group_tests(title, table, count + 1, group_start, group_end);
	}
	return failed;
}

/* ---- connections -------------------------------------------------------------------------------- */

void client_open(struct client *client, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval patience = { .tv_sec = 30 };
	int on = 1;
	*client = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_true(client->fd >= 0);
	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(client->fd, (const struct sockaddr *)&address, sizeof address) != 0)
		fail_msg("connect to port %d: %s", port, strerror(errno));
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	buf_free(&client->in);
}

/* What the server refuses early it may close early: that is seen when the reply is read, not here. */
void client_send(struct client *client, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len) {
		ssize_t sent = send(client->fd, at, len, MSG_NOSIGNAL);
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		if (sent <= 0)
			fail_msg("send: %s", strerror(errno));
		at += sent;
		len -= (size_t)sent;
	}
}

bool client_fill(struct client *client)
{
	buf_room(&client->in, 65536);
	ssize_t got = recv(client->fd, client->in.ptr + client->in.len, 65536, 0);
	if (got < 0 && errno != ECONNRESET)
		fail_msg("recv: %s", strerror(errno));
	if (got <= 0)
		return false;
	client->in.len += (size_t)got;
	return true;
}

static void client_consume(struct client *client, size_t len)
{
	memmove(client->in.ptr, client->in.ptr + len, client->in.len - len);
	client->in.len -= len;
}

static void terminate(struct buf *buf)
{
	buf_char(buf, '\0');
	buf->len--;
}

bool reply_header(const struct reply *reply, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);
	for (const char *line = strstr(reply->head.ptr, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
		const char *at = line + 2;
		if (strncasecmp(at, name, len) != 0 || at[len] != ':')
			continue;
		at += len + 1;
		while (*at == ' ')
			at++;
		snprintf(out, size, "%.*s", (int)strcspn(at, "\r\n"), at);
		return true;
	}
	return false;
}

static bool head_read(struct client *client, struct reply *reply)
{
	const char *end;
	while (!client->in.len || !(end = memmem(client->in.ptr, client->in.len, "\r\n\r\n", 4)))
		if (!client_fill(client))
			return false;
	size_t len = (size_t)(end - client->in.ptr) + 4;
	reply->head.len = 0;
	buf_bytes(&reply->head, client->in.ptr, len);
	terminate(&reply->head);
	client_consume(client, len);
	if (strncmp(reply->head.ptr, "HTTP/1.1 ", 9) != 0)
		fail_msg("not a reply: %s", reply->head.ptr);
	reply->status = (int)strtol(reply->head.ptr + 9, NULL, 10);
	return true;
}

bool client_reply(struct client *client, struct reply *reply, bool head)
{
	char length[32], type[100];
	reply_free(reply);
	if (!head_read(client, reply))
		return false;
	while (reply->status == 100) {
		reply->continued = true;
		if (!head_read(client, reply))
			return false;
	}
	size_t expected = 0;
	if (reply_header(reply, "Content-Length", length, sizeof length))
		expected = (size_t)strtoull(length, NULL, 10);
	else if (reply->status != 204 && reply->status != 304)
		fail_msg("a reply without Content-Length: %s", reply->head.ptr);
	if (head)
		expected = 0;
	while (client->in.len < expected)
		if (!client_fill(client))
			fail_msg("the connection closed inside the body: %s", reply->head.ptr);
	buf_bytes(&reply->body, client->in.ptr, expected);
	terminate(&reply->body);
	client_consume(client, expected);
	if (expected && reply_header(reply, "Content-Type", type, sizeof type) && strstr(type, "json") &&
	    !strstr(type, "ndjson")) {
		reply->doc = yyjson_read(reply->body.ptr, reply->body.len, 0);
		if (!reply->doc)
			fail_msg("not JSON: %s", reply->body.ptr);
	}
	return true;
}

bool client_ended(struct client *client)
{
	while (client_fill(client))
		;
	return client->in.len == 0;
}

void reply_free(struct reply *reply)
{
	if (reply->doc)
		yyjson_doc_free(reply->doc);
	buf_free(&reply->head);
	buf_free(&reply->body);
	*reply = (struct reply){ 0 };
}

/* ---- requests ----------------------------------------------------------------------------------- */

struct reply *ask(const char *what, const char *brand, const char *type, struct str body)
{
	struct buf out = { 0 };
	bool head = strncmp(what, "HEAD ", 5) == 0;
	buf_printf(&out, "%s HTTP/1.1\r\nHost: test\r\n", what);
	if (brand)
		buf_printf(&out, "X-Brand: %s\r\n", brand);
	if (type)
		buf_printf(&out, "Content-Type: %s\r\n", type);
	if (body.ptr)
		buf_printf(&out, "Content-Length: %zu\r\n", body.len);
	buf_lit(&out, "\r\n");
	buf_str(&out, body);
	if (kept.fd < 0)
		client_open(&kept, harness_server.port);
	client_send(&kept, out.ptr, out.len);
	bool good = client_reply(&kept, &last, head);
	char connection[40];
	if (!good || (reply_header(&last, "Connection", connection, sizeof connection) && strcmp(connection,
												 "close") == 0))
		client_close(&kept);
	buf_free(&out);
	if (!good)
		fail_msg("%s: the server closed the connection without a reply", what);
	return &last;
}

void ask_close(void)
{
	client_close(&kept);
}

struct reply *last_reply(void)
{
	return &last;
}

static void quotes(struct buf *out, const char *text)
{
	for (; *text; text++)
		buf_char(out, *text == '\'' ? '"' : *text);
	terminate(out);
}

yyjson_val *want_typed(int status, const char *what, const char *brand, const char *type, const char *body)
{
	struct buf bytes = { 0 };
	if (body)
		quotes(&bytes, body);
	ask(what, brand, body ? type : NULL, body ? buf_view(&bytes) : (struct str){ NULL, 0 });
	buf_free(&bytes);
	if (last.status != status)
		fail_msg("%s %s: expected %d, got %d: %s", what, body ? body : "", status, last.status, last.body.ptr);
	return last.doc ? yyjson_doc_get_root(last.doc) : NULL;
}

yyjson_val *want(int status, const char *what, const char *brand, const char *body)
{
	return want_typed(status, what, brand, "application/json", body);
}

void refused(int status, const char *code, const char *pointers, const char *what, const char *brand, const char *body)
{
	char type[100] = "";
	yyjson_val *root = want(status, what, brand, body), *item;
	reply_header(&last, "Content-Type", type, sizeof type);
	assert_string_equal(type, "application/problem+json");
	assert_int_equal(int_at(root, "/status"), status);
	if (code && strcmp(text_at(root, "/code"), code) != 0)
		fail_msg("%s %s: expected code %s: %s", what, body ? body : "", code, last.body.ptr);
	assert_true(*text_at(root, "/detail"));
	while (pointers && *pointers) {
		size_t len = strcspn(pointers, " "), i, max;
		bool found = false;
		yyjson_arr_foreach(json_at(root, "/errors"), i, max, item) {
			const char *got = text_at(item, "/pointer");
			found |= strlen(got) == len && memcmp(got, pointers, len) == 0;
		}
		if (!found)
			fail_msg("%s %s: no fault at %.*s: %s", what, body ? body : "", (int)len, pointers,
				 last.body.ptr);
		pointers += len;
		pointers += *pointers == ' ';
	}
}

/* ---- JSON --------------------------------------------------------------------------------------- */

yyjson_val *json_at(yyjson_val *root, const char *pointer)
{
	yyjson_val *value = yyjson_ptr_get(root, pointer);
	if (!value)
		fail_msg("nothing at %s: %s", pointer, last.body.ptr ? last.body.ptr : "");
	return value;
}

int64_t int_at(yyjson_val *root, const char *pointer)
{
	yyjson_val *value = json_at(root, pointer);
	if (!yyjson_is_int(value))
		fail_msg("no integer at %s: %s", pointer, last.body.ptr);
	return yyjson_get_sint(value);
}

const char *text_at(yyjson_val *root, const char *pointer)
{
	yyjson_val *value = json_at(root, pointer);
	if (!yyjson_is_str(value))
		fail_msg("no text at %s: %s", pointer, last.body.ptr);
	return yyjson_get_str(value);
}

bool bool_at(yyjson_val *root, const char *pointer)
{
	yyjson_val *value = json_at(root, pointer);
	if (!yyjson_is_bool(value))
		fail_msg("no boolean at %s: %s", pointer, last.body.ptr);
	return yyjson_get_bool(value);
}

size_t size_of(yyjson_val *array)
{
	if (!yyjson_is_arr(array))
		fail_msg("no array: %s", last.body.ptr);
	return yyjson_arr_size(array);
}

void json_is(yyjson_val *root, const char *pointer, const char *expected)
{
	struct buf text = { 0 };
	quotes(&text, expected);
	yyjson_doc *doc = yyjson_read(text.ptr, text.len, 0);
	bool good = doc && yyjson_equals(json_at(root, pointer), yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	buf_free(&text);
	if (!good)
		fail_msg("expected %s at \"%s\": %s", expected, pointer, last.body.ptr);
}

const char *textf(const char *format, ...)
{
	static char texts[8][4096];
	static unsigned next;
	char *text = texts[next++ % 8];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof texts[0], format, args);
	va_end(args);
	return text;
}

/* ---- what many tests begin with ----------------------------------------------------------------- */

void make_type(const char *brand, const char *key)
{
	want(201, "POST /admin/event-types", brand, textf("{'key':'%s','origin':'EXTERNAL','name':'%s'}", key, key));
}

void make_rule(char id[32], const char *brand, const char *key, int priority, const char *conditions,
	       const char *actions)
{
	yyjson_val *rule = want(201, "POST /rules", brand,
				textf("{'event_type':'%s','priority':%d,'conditions':%s,'actions':%s}", key, priority,
				      conditions ? conditions : "null", actions));
	if (id)
		snprintf(id, 32, "%s", text_at(rule, "/id"));
}

yyjson_val *send_event(int status, const char *brand, const char *profile, const char *key, const char *id,
		       const char *payload)
{
	return want(status, "POST /transactions", NULL,
		    textf("{'brand':'%s','profileId':'%s','eventType':'%s','eventId':'%s','source':'TEST',"
			  "'payload':%s}", brand,
			  profile, key, id, payload));
}

int64_t wallet(const char *brand, const char *profile)
{
	return int_at(want(200, textf("GET /wallet/%s/%s", brand, profile), brand, NULL), "/points");
}
