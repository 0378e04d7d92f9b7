// SPDX-License-Identifier: Apache-2.0
#include "tests/api/rpc_client.h"

#include <stdlib.h>

#include "net/rpc/json.h"
#include "net/rpc/pack.h"
#include "net/rpc/read.h"

static struct client kept = { .fd = -1 };
static struct rpc_answer last;
static int64_t next_msgid;

void rpc_answer_free(struct rpc_answer *answer)
{
	if (answer->doc)
		yyjson_doc_free(answer->doc);
	buf_free(&answer->bytes);
	*answer = (struct rpc_answer){ 0 };
}

static void pack_params(struct buf *out, const char *params)
{
	struct buf text = { 0 };
	for (const char *at = params; *at; at++)
		buf_char(&text, *at == '\'' ? '"' : *at);
	yyjson_doc *doc = yyjson_read_opts(text.ptr, text.len, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
	if (!doc)
		fail_msg("not JSON: %s", params);
	pack_json(out, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	buf_free(&text);
}

void rpc_pack(struct buf *out, int64_t msgid, const char *method, const char *params)
{
	pack_array(out, msgid < 0 ? 3 : 4);
	pack_u64(out, msgid < 0 ? 2 : 0);
	if (msgid >= 0)
		pack_u64(out, (uint64_t)msgid);
	pack_text(out, str_of(method));
	if (params)
		pack_params(out, params);
	else
		pack_array(out, 0);
}

/* A complete answer at the beginning of client->in; false: not all of it is there. */
static bool answer_parse(struct client *client, struct rpc_answer *answer)
{
	struct rpc_reader reader = { (unsigned char *)client->in.ptr, (unsigned char *)client->in.ptr + client->in.len };
	struct rpc_reader whole = reader, value;
	uint32_t count;
	uint64_t kind;
	const char *wrong;
	struct buf text = { 0 };
	if (!client->in.len || !rpc_skip(&whole))
		return false;
	if (!rpc_read_array(&reader, &count) || count != 4 || !rpc_read_u64(&reader, &kind) || kind != 1)
		fail_msg("not a response");
	answer->has_msgid = rpc_read_u64(&reader, &answer->msgid);
	if (!answer->has_msgid && !rpc_read_nil(&reader))
		fail_msg("msgid is neither a number nor nil");
	value = reader;
	answer->is_error = !rpc_read_nil(&reader);
	if (answer->is_error) {
		rpc_skip(&reader);
		if (!rpc_read_nil(&reader))
			fail_msg("a result beside an error");
	} else {
		value = reader;
		rpc_skip(&reader);
	}
	const unsigned char *begin = value.at;
	rpc_skip(&value);
	buf_bytes(&answer->bytes, begin, (size_t)(value.at - begin));
	struct rpc_reader copy = { (unsigned char *)answer->bytes.ptr,
				   (unsigned char *)answer->bytes.ptr + answer->bytes.len };
	if (json_from_rpc(&text, &copy, &wrong))
		answer->doc = yyjson_read(text.ptr, text.len, 0);
	buf_free(&text);
	size_t len = (size_t)(whole.at - (unsigned char *)client->in.ptr);
	memmove(client->in.ptr, client->in.ptr + len, client->in.len - len);
	client->in.len -= len;
	return true;
}

bool rpc_take(struct client *client, struct rpc_answer *answer)
{
	rpc_answer_free(answer);
	while (!answer_parse(client, answer))
		if (!client_fill(client))
			return false;
	return true;
}

struct rpc_answer *rpc_ask(const char *method, const char *param)
{
	struct buf out = { 0 }, params = { 0 };
	int64_t msgid = ++next_msgid;
	buf_printf(&params, "[%s]", param ? param : "");
	buf_char(&params, '\0');
	rpc_pack(&out, msgid, method, params.ptr);
	if (kept.fd < 0)
		client_open(&kept, harness_server.rpc_port);
	client_send(&kept, out.ptr, out.len);
	buf_free(&out);
	buf_free(&params);
	if (!rpc_take(&kept, &last))
		fail_msg("%s: the server closed the connection without an answer", method);
	assert_true(last.has_msgid && (int64_t)last.msgid == msgid);
	return &last;
}

static void show_and_fail(const char *method, const char *param, const char *expected)
{
	char *text = last.doc ? yyjson_write(last.doc, 0, NULL) : NULL;
	char shown[1000];
	snprintf(shown, sizeof shown, "%s", text ? text : "(no JSON form)");
	free(text);
	fail_msg("%s %s: expected %s, got %s", method, param ? param : "", expected, shown);
}

yyjson_val *rpc_want(const char *method, const char *param)
{
	rpc_ask(method, param);
	if (last.is_error)
		show_and_fail(method, param, "a result");
	return last.doc ? yyjson_doc_get_root(last.doc) : NULL;
}

yyjson_val *rpc_refused(int code, const char *name, const char *method, const char *param)
{
	char expected[100];
	rpc_ask(method, param);
	yyjson_val *root = last.doc ? yyjson_doc_get_root(last.doc) : NULL;
	snprintf(expected, sizeof expected, "error %d %s", code, name);
	if (!last.is_error || yyjson_get_sint(yyjson_obj_get(root, "code")) != code ||
	    !yyjson_equals_str(yyjson_obj_get(root, "name"), name) || !yyjson_is_str(yyjson_obj_get(root, "detail")))
		show_and_fail(method, param, expected);
	return root;
}

void rpc_close(void)
{
	client_close(&kept);
	rpc_answer_free(&last);
}
