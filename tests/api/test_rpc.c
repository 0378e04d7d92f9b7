// SPDX-License-Identifier: Apache-2.0
/* test_rpc.c - MessagePack-RPC from outside: what comes back over a socket, what closes it, and that the commands of
 * the routes answer as they do over HTTP. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/rpc/pack.h"
#include "tests/api/rpc_client.h"

#define EARN_AMOUNT "[{'type':'earn_points_from_amount','rate':1.0,'amount_path':'amount'}]"

enum { FRAME_MAX = 1024 * 1024 };
static const char *const options[] = { "--body-max", "1M", NULL };

static void make_purchase(const char *brand)
{
	make_type(brand, "PURCHASE");
	make_rule(NULL, brand, "PURCHASE", 0, NULL, EARN_AMOUNT);
}

static const char *event_param(const char *brand, const char *profile, const char *id, int amount)
{
	return textf("{'brand':'%s','profileId':'%s','eventType':'PURCHASE','eventId':'%s','source':'TEST',"
		     "'payload':{'amount':%d}}", brand, profile, id, amount);
}

static void open_rpc(struct client *client)
{
	client_open(client, harness_server.rpc_port);
}

static void send_buf(struct client *client, struct buf *out)
{
	client_send(client, out->ptr, out->len);
	out->len = 0;
}

/* ---- the protocol ----------------------------------------------------------------------------------------------- */

static void ping_and_methods(void **state)
{
	yyjson_val *methods, *method;
	size_t i, max, found = 0;
	const char *before = "";
	(void)state;
	assert_true(yyjson_equals_str(rpc_want("server.ping", NULL), "pong"));
	assert_true(yyjson_equals_str(rpc_want("server.ping", "[1,2,{}]"), "pong"));
	methods = rpc_want("rpc.methods", NULL);
	yyjson_arr_foreach(methods, i, max, method) {
		const char *name = yyjson_get_str(yyjson_obj_get(method, "name"));
		assert_true(strcmp(before, name) < 0);
		assert_true(*yyjson_get_str(yyjson_obj_get(method, "doc")));
		assert_true(*yyjson_get_str(yyjson_obj_get(method, "permission")));
		/* A schema of the params array, but for those that the routes say. */
		yyjson_val *params = yyjson_obj_get(method, "params"), *type = yyjson_obj_get(params, "type");
		assert_true(!params || yyjson_equals_str(type, "array"));
		if (!strcmp(name, "customers.get") || !strcmp(name, "events.ingest"))
			assert_int_equal(params != NULL, *name == 'e');
		found += !strcmp(name, "server.ping") || !strcmp(name, "customers.get") || !strcmp(name, "rules.create");
		before = name;
	}
	assert_int_equal(found, 3);
	rpc_refused(404, "method_unknown", "server.pong", NULL);
	rpc_refused(404, "method_unknown", "", NULL);
	rpc_refused(404, "method_unknown", "a\xc3\xa4\x01 very long name of a method that is none, longer than what is quoted of "
		    "it in the detail of the error, and then some more", NULL);
}

static void pipelined(void **state)
{
	enum { COUNT = 3000 };
	bool answered[COUNT] = { false };
	struct client client;
	struct rpc_answer answer = { 0 };
	struct buf out = { 0 };
	(void)state;
	open_rpc(&client);
	for (int i = 0; i < COUNT; i++)
		rpc_pack(&out, i, i % 7 ? "server.ping" : "no.such", "[null]");
	send_buf(&client, &out);
	for (int i = 0; i < COUNT; i++) {
		assert_true(rpc_take(&client, &answer));
		assert_true(answer.has_msgid && answer.msgid < COUNT && !answered[answer.msgid]);
		answered[answer.msgid] = true;
		assert_int_equal(answer.is_error, answer.msgid % 7 == 0);
	}
	rpc_answer_free(&answer);
	buf_free(&out);
	client_close(&client);
}

static void in_pieces(void **state)
{
	struct client client;
	struct rpc_answer answer = { 0 };
	struct buf out = { 0 };
	(void)state;
	open_rpc(&client);
	rpc_pack(&out, 5, "customers.get", "[{'brand':'PIECES','profile_id':'p'}]");
	for (size_t i = 0; i < out.len; i++)
		client_send(&client, out.ptr + i, 1);
	assert_true(rpc_take(&client, &answer));
	assert_true(answer.msgid == 5 && answer.is_error);
	rpc_answer_free(&answer);
	buf_free(&out);
	client_close(&client);
}

/* What is at hand at once overtakes what waits for the disk. */
static void overtaking(void **state)
{
	struct client client;
	struct rpc_answer answer = { 0 };
	struct buf out = { 0 };
	char params[600];
	(void)state;
	make_purchase("OVER");
	open_rpc(&client);
	snprintf(params, sizeof params, "[%s]", event_param("OVER", "p", "e", 5));
	rpc_pack(&out, 1, "transactions.create", params);
	rpc_pack(&out, 2, "server.ping", NULL);
	send_buf(&client, &out);
	assert_true(rpc_take(&client, &answer));
	assert_int_equal(answer.msgid, 2);
	assert_true(rpc_take(&client, &answer));
	assert_int_equal(answer.msgid, 1);
	assert_false(answer.is_error);
	rpc_answer_free(&answer);
	buf_free(&out);
	client_close(&client);
}

static int64_t wallet_soon(const char *brand, const char *profile, int64_t expected)
{
	int64_t points = -1;
	for (int i = 0; i < 3000 && points != expected; i++) {
		struct reply *reply = ask(textf("GET /wallet/%s/%s", brand, profile), brand, NULL, (struct str){ NULL, 0 });
		points = reply->status == 200 ? int_at(yyjson_doc_get_root(reply->doc), "/points") : -1;
		if (points != expected)
			usleep(10000);
	}
	return points;
}

/* Carried out, whether it goes well or not, and never answered. */
static void notifications(void **state)
{
	struct client client;
	struct rpc_answer answer = { 0 };
	struct buf out = { 0 };
	char params[600];
	(void)state;
	make_purchase("NOTE");
	open_rpc(&client);
	snprintf(params, sizeof params, "[%s]", event_param("NOTE", "p", "e", 70));
	rpc_pack(&out, -1, "transactions.create", params);
	rpc_pack(&out, -1, "no.such.method", NULL);
	rpc_pack(&out, -1, "customers.get", "[{'brand':'NOTE'}]");
	rpc_pack(&out, -1, "customers.get", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	rpc_pack(&out, 9, "server.ping", NULL);
	send_buf(&client, &out);
	assert_true(rpc_take(&client, &answer));
	assert_int_equal(answer.msgid, 9);
	assert_int_equal(wallet_soon("NOTE", "p", 70), 70);
	rpc_pack(&out, 10, "server.ping", NULL);
	send_buf(&client, &out);
	assert_true(rpc_take(&client, &answer));
	assert_int_equal(answer.msgid, 10);
	assert_int_equal(client.in.len, 0);
	rpc_answer_free(&answer);
	buf_free(&out);
	client_close(&client);
}

static void wrong_types(void **state)
{
	static const struct { const char *bytes; size_t len; int msgid; } rows[] = {
		{ "\x05", 1, -1 }, { "\x80", 1, -1 }, { "\x94\x00\xff\xa1m\x90", 6, -1 }, { "\x94\x00\x06\x07\x90", 5, 6 },
		{ "\x94\x00\x06\xa1m\x80", 6, 6 }, { "\x93\x00\x06\xa1m", 5, 6 }, { "\x94\x01\x06\xc0\xc0", 5, -1 },
		{ "\x93\x02\x01\x90", 4, -1 } };
	struct client client;
	struct rpc_answer answer = { 0 };
	(void)state;
	open_rpc(&client);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		client_send(&client, rows[i].bytes, rows[i].len);
		assert_true(rpc_take(&client, &answer));
		assert_true(answer.is_error && answer.has_msgid == (rows[i].msgid >= 0));
		if (answer.has_msgid)
			assert_int_equal(answer.msgid, rows[i].msgid);
		assert_string_equal(text_at(yyjson_doc_get_root(answer.doc), "/name"), "message_invalid");
		assert_int_equal(int_at(yyjson_doc_get_root(answer.doc), "/code"), 400);
	}
	rpc_answer_free(&answer);
	client_close(&client);
	rpc_refused(400, "params_too_deep", "server.ping",
		    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static void big_frames(void **state)
{
	struct client client;
	struct rpc_answer answer = { 0 };
	struct buf out = { 0 };
	(void)state;
	open_rpc(&client);
	for (int i = 0; i < 20; i++) {
		size_t len = i % 2 ? 524288 : FRAME_MAX - 21;
		pack_array(&out, 4);
		pack_u64(&out, 0);
		pack_u64(&out, (uint64_t)i);
		pack_text(&out, STR("server.ping"));
		pack_array(&out, 1);
		memset(pack_bin_room(&out, len), i, len);
		assert_true(i != 0 || out.len == FRAME_MAX);
		send_buf(&client, &out);
	}
	for (int i = 0; i < 20; i++) {
		assert_true(rpc_take(&client, &answer));
		assert_true(answer.msgid == (uint64_t)i && !answer.is_error);
	}
	rpc_answer_free(&answer);
	buf_free(&out);
	client_close(&client);
}

/* A last error without an id; what was asked before is answered; then the end. */
static void closes(void **state)
{
	static const struct { const char *bytes; size_t len; int code; const char *name; } rows[] = {
		{ "\xc1", 1, 400, "frame_broken" }, { "\x94\x00\x01\xc1\x90", 5, 400, "frame_broken" },
		{ "\x94\x00\x01\xa1m\x91\xc6\x00\x10\x00\x00", 11, 413, "frame_too_large" },
		{ "\xdd\xff\xff\xff\xff", 5, 413, "frame_too_large" }, { "GET / HTTP/1.1\r\n\xc1", 17, 400, "frame_broken" } };
	(void)state;
	make_purchase("CLOSES");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct client client;
		struct rpc_answer answer = { 0 };
		struct buf out = { 0 };
		char params[600];
		int seen = 0;
		open_rpc(&client);
		snprintf(params, sizeof params, "[%s]", event_param("CLOSES", "p", textf("e%zu", i), 1));
		rpc_pack(&out, 77, "transactions.create", params);
		buf_bytes(&out, rows[i].bytes, rows[i].len);
		rpc_pack(&out, 78, "server.ping", NULL);
		send_buf(&client, &out);
		while (rpc_take(&client, &answer)) {
			assert_true(!answer.has_msgid || answer.msgid == 77);
			if (answer.has_msgid) {
				assert_false(answer.is_error);
				seen |= 1;
			} else if (int_at(yyjson_doc_get_root(answer.doc), "/code") == rows[i].code &&
				   !strcmp(text_at(yyjson_doc_get_root(answer.doc), "/name"), rows[i].name)) {
				seen |= 2;
			}
		}
		assert_int_equal(seen, 3);
		rpc_answer_free(&answer);
		buf_free(&out);
		client_close(&client);
	}
}

static void half_closed(void **state)
{
	struct client client;
	struct rpc_answer answer = { 0 };
	struct buf out = { 0 };
	char params[600];
	(void)state;
	make_purchase("HALF");
	open_rpc(&client);
	snprintf(params, sizeof params, "[%s]", event_param("HALF", "p", "e", 3));
	rpc_pack(&out, 1, "transactions.create", params);
	rpc_pack(&out, 2, "server.ping", NULL);
	out.len -= 2;
	send_buf(&client, &out);
	shutdown(client.fd, SHUT_WR);
	assert_true(rpc_take(&client, &answer));
	assert_true(answer.msgid == 1 && !answer.is_error);
	assert_false(rpc_take(&client, &answer));
	rpc_answer_free(&answer);
	buf_free(&out);
	client_close(&client);
}

/* The client goes before the answer: what it asked for is done all the same. */
static void gone_before_the_answer(void **state)
{
	(void)state;
	make_purchase("GONE");
	for (int i = 0; i < 20; i++) {
		struct client client;
		struct buf out = { 0 };
		char params[600];
		open_rpc(&client);
		snprintf(params, sizeof params, "[%s]", event_param("GONE", "p", textf("e%d", i), 1));
		rpc_pack(&out, 1, "transactions.create", params);
		send_buf(&client, &out);
		if (i % 2)
			shutdown(client.fd, SHUT_WR);
		client_close(&client);
		buf_free(&out);
	}
	assert_int_equal(wallet_soon("GONE", "p", 20), 20);
}

static void counted(void **state)
{
	(void)state;
	rpc_want("server.ping", NULL);
	rpc_refused(404, "method_unknown", "x", NULL);
	struct reply *reply = ask("GET /metrics", NULL, NULL, (struct str){ NULL, 0 });
	assert_int_equal(reply->status, 200);
	static const char *const counters[] = { "\ntally_rpc_requests_total{answer=\"result\"} ",
						"\ntally_rpc_requests_total{answer=\"error\"} ", "\ntally_rpc_connections ",
						"\ntally_rpc_request_seconds_count " };
	for (size_t i = 0; i < COUNT_OF(counters); i++) {
		const char *line = strstr(reply->body.ptr, counters[i]);
		assert_non_null(line);
		assert_true(strtol(line + strlen(counters[i]), NULL, 10) > 0);
	}
}

/* ---- the bridge ------------------------------------------------------------------------------------------------- */

/* The same question over both protocols: the same result, or the same refusal. */
static void same(const char *what, const char *brand, const char *body, const char *method, const char *param)
{
	struct buf text = { 0 };
	for (const char *at = body; at && *at; at++)
		buf_char(&text, *at == '\'' ? '"' : *at);
	struct reply *reply = ask(what, brand, body ? "application/json" : NULL, body ? buf_view(&text) : STR(""));
	struct rpc_answer *answer = rpc_ask(method, param);
	yyjson_val *http = yyjson_doc_get_root(reply->doc), *rpc = yyjson_doc_get_root(answer->doc), *items;
	buf_free(&text);
	if (answer->is_error != (reply->status >= 400))
		fail_msg("%s answers %d, %s the other way", what, reply->status, method);
	if (answer->is_error) {
		assert_int_equal(int_at(rpc, "/code"), reply->status);
		assert_string_equal(text_at(rpc, "/name"), text_at(http, "/code"));
		assert_string_equal(text_at(rpc, "/detail"), text_at(http, "/detail"));
		assert_true(!yyjson_obj_get(rpc, "errors") == !yyjson_obj_get(http, "errors"));
		if (yyjson_obj_get(rpc, "errors"))
			assert_true(yyjson_equals(yyjson_obj_get(rpc, "errors"), yyjson_obj_get(http, "errors")));
		return;
	}
	items = yyjson_obj_get(rpc, "items");
	if (yyjson_is_arr(http) && !strncmp(what, "GET", 3)) {
		char total[32];
		assert_true(yyjson_equals(http, items));
		if (reply_header(reply, "X-Total-Count", total, sizeof total))
			assert_int_equal(int_at(rpc, "/total_count"), strtol(total, NULL, 10));
		if (reply_header(reply, "X-Next-Cursor", total, sizeof total))
			assert_int_equal(int_at(rpc, "/next_cursor"), strtol(total, NULL, 10));
		assert_int_equal(yyjson_obj_size(rpc), 1 + reply_header(reply, "X-Total-Count", total, sizeof total) +
						       reply_header(reply, "X-Next-Cursor", total, sizeof total));
		return;
	}
	if (!yyjson_equals(http, rpc))
		fail_msg("%s and %s differ: %s", what, method, reply->body.ptr);
}

static void reads_are_the_same(void **state)
{
	char id[40];
	(void)state;
	make_purchase("SAME");
	for (int i = 0; i < 5; i++)
		send_event(201, "SAME", "p \xc3\xa4/1", "PURCHASE", textf("e%d", i), textf("{'amount':%d.75,'note':'\\u00e4'}", 10 + i));
	snprintf(id, sizeof id, "%s", text_at(yyjson_doc_get_root(last_reply()->doc), "/id"));
	same("GET /customers/SAME/p%20%C3%A4%2F1", "SAME", NULL, "customers.get",
	     "{'brand':'SAME','profile_id':'p \xc3\xa4/1'}");
	same("GET /wallet/SAME/p%20%C3%A4%2F1", "SAME", NULL, "wallets.get", "{'profile_id':'p \xc3\xa4/1','brand':'SAME'}");
	same("GET /wallet/SAME/x", "SAME", NULL, "wallets.get", "{'profile_id':'x','brand':'SAME'}");
	same("GET /transactions?limit=2", "SAME", NULL, "transactions.list", "{'brand':'SAME','limit':2}");
	same("GET /transactions?limit=2&profileId=p%20%C3%A4%2F1&eventType=PURCHASE", "SAME", NULL, "transactions.list",
	     "{'brand':'SAME','limit':'2','profileId':'p \xc3\xa4/1','eventType':'PURCHASE'}");
	same("GET /transactions", NULL, NULL, "transactions.list", NULL);
	same("GET /transactions", NULL, NULL, "transactions.list", "{}");
	same("GET /transactions?limit=0", "SAME", NULL, "transactions.list", "{'brand':'SAME','limit':0}");
	same("GET /transactions?what=1", "SAME", NULL, "transactions.list", "{'brand':'SAME','what':1}");
	same(textf("GET /transactions/%s", id), "SAME", NULL, "transactions.get", textf("{'brand':'SAME','id':'%s'}", id));
	same(textf("GET /transactions/%s", id), "OTHER", NULL, "transactions.get", textf("{'brand':'OTHER','id':'%s'}", id));
	same(textf("GET /transactions/%s/executions", id), "SAME", NULL, "transactions.executions",
	     textf("{'brand':'SAME','id':'%s'}", id));
	same("GET /customers/SAME/p%20%C3%A4%2F1/point-movements?limit=3", "SAME", NULL, "customers.movements",
	     "{'brand':'SAME','profile_id':'p \xc3\xa4/1','limit':3}");
	same("GET /rules?active=true", "SAME", NULL, "rules.list", "{'brand':'SAME','active':true}");
	same("GET /rules/99999", "SAME", NULL, "rules.get", "{'brand':'SAME','id':99999}");
	same("GET /admin/event-types", "SAME", NULL, "event_types.list", "{'brand':'SAME'}");
	same("GET /admin/ui-options/event-types", "SAME", NULL, "event_types.options", "{'brand':'SAME'}");
	same("GET /admin/ui-options/customer-tags", "SAME", NULL, "customers.tags", "{'brand':'SAME'}");
	same("GET /", NULL, NULL, "server.health", NULL);
	assert_true(yyjson_equals_str(rpc_want("server.livez", NULL), "ok\n"));
	assert_true(strstr(yyjson_get_str(rpc_want("server.readyz", "{'verbose':true}")), "[+] accepting"));
	assert_true(strstr(yyjson_get_str(rpc_want("server.metrics", NULL)), "# EOF"));
}

static void refusals_are_the_same(void **state)
{
	(void)state;
	make_purchase("NO");
	same("POST /rules", "NO", "{}", "rules.create", "{'brand':'NO'}");
	same("POST /rules", "NO", "{'event_type':'NOPE','actions':[]}", "rules.create",
	     "{'brand':'NO','event_type':'NOPE','actions':[]}");
	same("POST /rules", NULL, "{}", "rules.create", "{}");
	same("POST /rules", "NO", "[1]", "rules.create", "{'brand':'NO','body':[1]}");
	same("PATCH /rules/abc", "NO", "{'active':false}", "rules.update", "{'brand':'NO','id':'abc','active':false}");
	same("DELETE /rules/424242", "NO", NULL, "rules.delete", "{'brand':'NO','id':424242}");
	same("POST /transactions", NULL, "{'brand':'NO'}", "transactions.create", "{'body':{'brand':'NO'}}");
	same("POST /transactions", "NO", "{'brand':'NO','profileId':'','extra':1}", "transactions.create",
	     "{'brand':'NO','profileId':'','extra':1}");
	same("POST /transactions?customers=maybe", NULL, "{}", "transactions.create", "{'customers':'maybe'}");
	same("POST /customers/upsert", "NO", "{'profileId':5}", "customers.upsert", "{'brand':'NO','profileId':5}");
	same("POST /customers/upsert?dry_run=perhaps", "NO", "{'profileId':'5'}", "customers.upsert",
	     "{'brand':'NO','profileId':'5','dry_run':'perhaps'}");
}

/* Through one protocol and again through the other: known, with the same outcome; other content is refused. */
static void ids_are_the_same(void **state)
{
	char id[40];
	(void)state;
	make_purchase("IDS");
	yyjson_val *first = rpc_want("transactions.create", event_param("IDS", "p", "e1", 50));
	assert_false(bool_at(first, "/idempotent"));
	assert_int_equal(int_at(first, "/points"), 50);
	snprintf(id, sizeof id, "%s", text_at(first, "/id"));
	yyjson_val *again = send_event(200, "IDS", "p", "PURCHASE", "e1", "{'amount':50}");
	assert_true(bool_at(again, "/idempotent"));
	assert_string_equal(text_at(again, "/id"), id);
	rpc_refused(409, "event_id_reused", "transactions.create", event_param("IDS", "p", "e1", 51));
	again = rpc_want("transactions.create", event_param("IDS", "p", "e1", 50));
	assert_true(bool_at(again, "/idempotent"));
	assert_string_equal(text_at(again, "/id"), id);
	assert_int_equal(wallet("IDS", "p"), 50);
	/* A float is the decimal that it was written as. */
	rpc_want("transactions.create", "{'brand':'IDS','profileId':'q','eventType':'PURCHASE','eventId':'e2','payload':"
					"{'amount':99.99}}");
	yyjson_val *event = want(200, "POST /transactions", NULL, "{'brand':'IDS','profileId':'q','eventType':'PURCHASE',"
								  "'eventId':'e2','payload':{'amount':99.99}}");
	assert_true(bool_at(event, "/idempotent"));
	assert_int_equal(wallet("IDS", "q"), 99);
}

static void writes(void **state)
{
	(void)state;
	yyjson_val *root = rpc_want("event_types.create", "{'brand':'WRITES','key':'T','origin':'EXTERNAL','name':'t'}");
	assert_string_equal(text_at(root, "/key"), "T");
	int64_t before = int_at(rpc_want("event_types.list", "{'brand':'WRITES'}"), "/total_count");
	rpc_want("event_types.create", "{'brand':'WRITES','key':'U','origin':'EXTERNAL','name':'u','dry_run':true}");
	assert_int_equal(int_at(rpc_want("event_types.list", "{'brand':'WRITES'}"), "/total_count"), before);
	root = rpc_want("rules.create", "{'brand':'WRITES','body':{'event_type':'T','conditions':{'>':[{'var':'amount'},1.5]},"
					"'actions':[{'type':'earn_points_from_amount','rate':2.5}]}}");
	char id[32];
	snprintf(id, sizeof id, "%s", text_at(root, "/id"));
	root = rpc_want("rules.update", textf("{'brand':'WRITES','id':'%s','priority':7}", id));
	assert_int_equal(int_at(root, "/priority"), 7);
	same(textf("GET /rules/%s", id), "WRITES", NULL, "rules.get", textf("{'brand':'WRITES','id':%s}", id));
	root = rpc_want("transactions.create", "{'body':[{'brand':'WRITES','profileId':'p','eventType':'T','eventId':'1',"
					       "'payload':{'amount':4}},{'brand':'WRITES'}]}");
	assert_int_equal(size_of(root), 2);
	assert_int_equal(int_at(root, "/0/points"), 10);
	assert_int_equal(int_at(root, "/1/index"), 1);
	root = rpc_want("customers.upsert", "{'brand':'WRITES','profileId':'c','status':'GOLD','tags':['a','b']}");
	assert_string_equal(text_at(root, "/status"), "GOLD");
	root = rpc_want("customers.import", "{'brand':'WRITES','body':'brand,profileId,status\\nWRITES,d,X\\n'}");
	assert_string_equal(text_at(rpc_want("customers.get", "{'brand':'WRITES','profile_id':'d'}"), "/status"), "X");
	assert_true(bool_at(rpc_want("rules.delete", textf("{'brand':'WRITES','id':'%s'}", id)), "/deleted"));
	rpc_refused(404, "not_found", "rules.get", textf("{'brand':'WRITES','id':'%s'}", id));
}

static void params_that_do_not_fit(void **state)
{
	static const struct { const char *bytes; size_t len; } rows[] = {
		{ "\x91\x05", 2 }, { "\x92\x80\x80", 3 }, { "\x91\x90", 2 }, { "\x91\x81\x01\x01", 4 },         /* no map, two, keys */
		{ "\x91\x81\xa2id\x90", 6 }, { "\x91\x81\xa2id\xa1\xff", 7 }, { "\x91\x81\xa2id\xa1\x00", 7 },  /* parts */
		{ "\x91\x81\xa2id\xc0", 6 }, { "\x91\x81\xa1\xff\xa1x", 6 }, { "\x91\x82\xa2id\x01\xa2id\x02", 10 } };
	struct client client;
	struct rpc_answer answer = { 0 };
	(void)state;
	open_rpc(&client);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf out = { 0 };
		buf_lit(&out, "\x94\x00\x05\xa9rules.get");
		buf_bytes(&out, rows[i].bytes, rows[i].len);
		send_buf(&client, &out);
		buf_free(&out);
		assert_true(rpc_take(&client, &answer));
		assert_true(answer.is_error && answer.msgid == 5);
		assert_string_equal(text_at(yyjson_doc_get_root(answer.doc), "/name"), "params_invalid");
	}
	rpc_answer_free(&answer);
	client_close(&client);
	rpc_refused(400, "params_invalid", "rules.get", "{'brand':'B'}");
	rpc_refused(400, "params_invalid", "rules.create", "{'brand':'B','body':{},'priority':1}");
	rpc_refused(400, "params_invalid", "rules.create", "{'brand':'B','priority':1,'body':{}}");
}

static void last_one_closes(void **state)
{
	(void)state;
	rpc_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ping_and_methods),
		cmocka_unit_test(pipelined),
		cmocka_unit_test(in_pieces),
		cmocka_unit_test(overtaking),
		cmocka_unit_test(notifications),
		cmocka_unit_test(wrong_types),
		cmocka_unit_test(big_frames),
		cmocka_unit_test(closes),
		cmocka_unit_test(half_closed),
		cmocka_unit_test(gone_before_the_answer),
		cmocka_unit_test(counted),
		cmocka_unit_test(reads_are_the_same),
		cmocka_unit_test(refusals_are_the_same),
		cmocka_unit_test(ids_are_the_same),
		cmocka_unit_test(writes),
		cmocka_unit_test(params_that_do_not_fit),
		cmocka_unit_test(last_one_closes),
	};
	return harness_run("MessagePack-RPC", tests, COUNT_OF(tests), options);
}
