// SPDX-License-Identifier: Apache-2.0
/* test_webhooks.c - another system is told of an event: until it takes it, after a kill as well, and of what was undone.
 *
 * The test is the other system: it listens, and answers each request as it likes.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/api/harness.h"

enum { PATIENCE_MS = 60000 };

static int listener = -1;
static char hook_url[64];

struct told {
	char delivery[64];             /* Tally-Delivery */
	yyjson_doc *doc;
	int fd;                        /* waits for its answer */
};

static void listen_anew(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0 && !bind(listener, (struct sockaddr *)&address, sizeof address) && !listen(listener, 64));
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	snprintf(hook_url, sizeof hook_url, "http://127.0.0.1:%d/hook", ntohs(address.sin_port));
}

/* Waits for the next request and reads it whole. */
static struct told hear(void)
{
	struct pollfd waiting = { .fd = listener, .events = POLLIN };
	struct told told = { .fd = -1 };
	struct buf in = { 0 };
	char *body = NULL;
	size_t want = 0;
	assert_int_equal(poll(&waiting, 1, PATIENCE_MS), 1);
	told.fd = accept(listener, NULL, NULL);
	assert_true(told.fd >= 0);
	while (!body || in.len < (size_t)(body - in.ptr) + want) {
		buf_room(&in, 65536);
		ssize_t got = read(told.fd, in.ptr + in.len, 65535);
		assert_true(got > 0);
		in.len += (size_t)got;
		in.ptr[in.len] = '\0';
		char *end = strstr(in.ptr, "\r\n\r\n"), *length = strcasestr(in.ptr, "content-length:");
		if (!end)
			continue;
		assert_true(length && length < end);
		body = end + 4;
		want = strtoul(length + 15, NULL, 10);
	}
	assert_true(!strncmp(in.ptr, "POST /hook ", 11) && strcasestr(in.ptr, "content-type: application/json"));
	char *header = strcasestr(in.ptr, "tally-delivery: ");
	assert_non_null(header);
	snprintf(told.delivery, sizeof told.delivery, "%.*s", (int)strcspn(header + 16, "\r"), header + 16);
	told.doc = yyjson_read(body, want, 0);
	assert_non_null(told.doc);
	buf_free(&in);
	return told;
}

static void answer(struct told *told, const char *status)
{
	char text[128];
	int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
	assert_int_equal(write(told->fd, text, (size_t)len), len);
	close(told->fd);
	yyjson_doc_free(told->doc);
}

static const char *event_of(const struct told *told)
{
	return text_at(yyjson_doc_get_root(told->doc), "/transaction/eventId");
}

/* The thread that hears the answer may be a moment behind it. */
static void counted(const char *line)
{
	for (int i = 0; i < 100000; i++)
		if (strstr(ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 })->body.ptr, line))
			return;
	fail_msg("%s does not come", line);
}

static void hook_rule(const char *brand)
{
	make_type(brand, "PURCHASE");
	make_rule((char[32]){ 0 }, brand, "PURCHASE", 0, NULL,
		  textf("[{'type':'earn_points','points':7},{'type':'call_webhook','url':'%s'}]", hook_url));
}

static void told_until_it_is_taken(void **state)
{
	char delivery[64];
	(void)state;
	hook_rule("HOOK");
	send_event(201, "HOOK", "p-1", "PURCHASE", "h-1", "{}");
	struct told told = hear();
	assert_string_equal(event_of(&told), "h-1");
	json_is(yyjson_doc_get_root(told.doc), "/transaction/points", "7");
	json_is(yyjson_doc_get_root(told.doc), "/reversal", "false");
	snprintf(delivery, sizeof delivery, "%s", told.delivery);
	answer(&told, "503 Service Unavailable");
	told = hear();
	assert_string_equal(told.delivery, delivery);
	answer(&told, "204 No Content");
	/* A repeat of the event is no second event. */
	send_event(200, "HOOK", "p-1", "PURCHASE", "h-1", "{}");
	send_event(201, "HOOK", "p-2", "PURCHASE", "h-2", "{}");
	told = hear();
	assert_string_equal(event_of(&told), "h-2");
	answer(&told, "200 OK");
}

static void bad_urls(void **state)
{
	static const char *const urls[] = { "", "ftp://example.org/", "http://", "https:///x", "http://a b/", "example.org" };
	(void)state;
	make_type("URLS", "PURCHASE");
	for (size_t i = 0; i < COUNT_OF(urls); i++)
		refused(422, "invalid", "/actions/0/url", "POST /rules", "URLS",
			textf("{'event_type':'PURCHASE','actions':[{'type':'call_webhook','url':'%s'}]}", urls[i]));
}

/* Killed before the receiver has answered: it is told again. */
static void told_again_after_a_kill(void **state)
{
	struct server server = { 0 }, kept = harness_server;
	(void)state;
	ask_close();
	server_start(&server, harness_shards, NULL);
	harness_server = server;
	hook_rule("HOOK");
	send_event(201, "HOOK", "p-1", "PURCHASE", "k-1", "{}");
	struct told told = hear();
	char delivery[64];
	snprintf(delivery, sizeof delivery, "%s", told.delivery);
	ask_close();
	server_kill(&server);
	close(told.fd);
	yyjson_doc_free(told.doc);
	server_start(&server, 5 - harness_shards, NULL);
	harness_server = server;
	told = hear();
	assert_string_equal(event_of(&told), "k-1");
	assert_string_equal(told.delivery, delivery);
	answer(&told, "200 OK");
	counted("tally_webhooks_sent_total 1");
	ask_close();
	server_stop(&server);
	/* What was taken does not come again: the next one heard is the next event. */
	server_start(&server, harness_shards, NULL);
	harness_server = server;
	send_event(201, "HOOK", "p-1", "PURCHASE", "k-2", "{}");
	told = hear();
	assert_string_equal(event_of(&told), "k-2");
	answer(&told, "200 OK");
	ask_close();
	server_stop(&server);
	server_clean(&server);
	harness_server = kept;
}

static void given_up(void **state)
{
	static const char *const options[] = { "--webhook-attempts", "1", NULL };
	struct server server = { 0 }, kept = harness_server;
	(void)state;
	ask_close();
	server_start(&server, harness_shards, options);
	harness_server = server;
	hook_rule("HOOK");
	send_event(201, "HOOK", "p-1", "PURCHASE", "g-1", "{}");
	struct told told = hear();
	answer(&told, "500 Internal Server Error");
	send_event(201, "HOOK", "p-1", "PURCHASE", "g-2", "{}");
	told = hear();
	assert_string_equal(event_of(&told), "g-2");
	answer(&told, "200 OK");
	counted("tally_webhooks_failed_total 1");
	ask_close();
	server_stop(&server);
	server_clean(&server);
	harness_server = kept;
}

/* Messages go to the gateway, if there is one, and say which template. */
static void messages(void **state)
{
	const char *const options[] = { "--message-url", hook_url, NULL };
	struct server server = { 0 }, kept = harness_server;
	(void)state;
	make_type("MAIL", "PURCHASE");
	make_rule((char[32]){ 0 }, "MAIL", "PURCHASE", 0, NULL, "[{'type':'send_message','template':'thanks'}]");
	yyjson_val *event = send_event(201, "MAIL", "p-1", "PURCHASE", "m-0", "{}");       /* without one: not sent */
	json_is(event, "/executions/0/details/actions/0/effect", "'MESSAGE'");
	json_is(event, "/executions/0/details/actions/0/template", "'thanks'");
	ask_close();
	server_start(&server, harness_shards, options);
	harness_server = server;
	make_type("MAIL", "PURCHASE");
	make_rule((char[32]){ 0 }, "MAIL", "PURCHASE", 0, NULL, "[{'type':'send_message','template':'thanks'}]");
	send_event(201, "MAIL", "p-1", "PURCHASE", "m-1", "{}");
	struct told told = hear();
	assert_string_equal(event_of(&told), "m-1");
	json_is(yyjson_doc_get_root(told.doc), "/template", "'thanks'");
	answer(&told, "200 OK");
	ask_close();
	server_stop(&server);
	server_clean(&server);
	harness_server = kept;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_until_it_is_taken),
		cmocka_unit_test(bad_urls),
		cmocka_unit_test(told_again_after_a_kill),
		cmocka_unit_test(given_up),
		cmocka_unit_test(messages),
	};
	listen_anew();
	return harness_run("webhooks", tests, COUNT_OF(tests), NULL);
}
