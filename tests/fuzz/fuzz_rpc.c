// SPDX-License-Identifier: Apache-2.0
/* fuzz_rpc.c - libFuzzer target: any bytes, in any pieces, answered in any order, through a MessagePack-RPC session.
 *
 * The first byte picks the piece size, the second how answers are given and how it ends; the rest is fed.  Checked: reads
 * stay within what was given, requests come out alike whatever the pieces, params are well formed (msgpack-c agrees on
 * their end), everything that goes out is well formed, every request can be ended, and no memory stays behind.
 */
#include <msgpack.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "net/rpc/block.h"
#include "net/rpc/json.h"
#include "net/rpc/session.h"

enum { FRAME_MAX = 4096 };

struct run {
	struct rpc_request *waiting[RPC_OUTSTANDING_MAX];
	size_t count;
	unsigned seed;
	bool defer;
	struct buf seen, out;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct rpc_request *request, unsigned seed)
{
	struct rpc_reader reader = rpc_params(request);
	struct buf text = { 0 };
	const char *wrong;
	const unsigned char *first = reader.at;
	if (seed % 3 == 0) {
		rpc_error(request, 400, "x", (int64_t)(seed % 5) - 1, "%.*s", (int)request->name.len, request->name.ptr);
		return;
	}
	if (request->param_count && json_from_rpc(&text, &reader, &wrong)) {
		/* What has a JSON form comes back from it; duplicate keys are the one thing that JSON refuses. */
		struct json_error error;
		yyjson_doc *doc = json_read(buf_view(&text), &error);
		struct buf *out = rpc_reply_begin(request);
		if (doc)
			pack_json(out, yyjson_doc_get_root(doc));
		else
			buf_bytes(out, first, (size_t)(reader.at - first));
		yyjson_doc_free(doc);
		rpc_reply_end(request);
	} else {
		rpc_reply(request, request->params, request->params_len);
	}
	buf_free(&text);
}

/* Every way of reading, at every object. */
static void walk(struct rpc_reader reader)
{
	while (rpc_peek(&reader) != RPC_NONE) {
		struct str text;
		uint32_t count;
		uint64_t u64;
		int64_t i64;
		double f64;
		bool truth;
		const unsigned char *at = reader.at;
		bool good = rpc_read_map(&reader, &count) || rpc_read_array(&reader, &count) || rpc_read_str(&reader, &text) ||
			    rpc_read_bin(&reader, &text) || rpc_read_i64(&reader, &i64) || rpc_read_u64(&reader, &u64) ||
			    rpc_read_f64(&reader, &f64) || rpc_read_bool(&reader, &truth) || rpc_read_nil(&reader);
		ASSERT(good == (reader.at > at));
		if (!good && !rpc_skip(&reader))
			break;
	}
	ASSERT(reader.at == reader.end);
}

static void on_request(void *context, struct rpc_request *request)
{
	struct run *run = context;
	size_t end = 0;
	msgpack_unpacked result;
	buf_str(&run->seen, request->name);
	buf_char(&run->seen, request->notification ? 'n' : 'r');
	buf_u64(&run->seen, request->msgid);
	buf_bytes(&run->seen, request->params, request->params_len);
	walk((struct rpc_reader){ request->params, request->params + request->params_len });
	msgpack_unpacked_init(&result);
	if (msgpack_unpack_next(&result, (const char *)request->params, request->params_len, &end) > 0)
		ASSERT(end == request->params_len);
	msgpack_unpacked_destroy(&result);
	if (!run->defer) {
		answer(request, 1);
		return;
	}
	ASSERT(run->count < RPC_OUTSTANDING_MAX);
	run->waiting[run->count++] = request;
}

static void answer_some(struct run *run)
{
	run->seed = run->seed * 1103515245 + 12345;
	for (size_t n = (run->seed >> 16) % 5; n && run->count; n--) {
		run->seed = run->seed * 1103515245 + 12345;
		size_t pick = (run->seed >> 16) % run->count;
		struct rpc_request *request = run->waiting[pick];
		run->waiting[pick] = run->waiting[--run->count];
		answer(request, run->seed >> 8);
	}
}

static void collect(struct run *run, struct rpc_session *session)
{
	struct buf piece = { 0 };
	while (rpc_session_output(session, &piece)) {
		buf_str(&run->out, buf_view(&piece));
		piece.len = 0;
	}
	buf_free(&piece);
}

static void feed(struct run *run, const uint8_t *data, size_t size, size_t step, unsigned ending)
{
	struct rpc_options options = { .frame_max = FRAME_MAX, .on_request = on_request, .context = run };
	struct rpc_pool *pool = rpc_pool_new();
	struct rpc_session *session = rpc_session_new(&options, pool);
	for (size_t at = 0; at < size;) {
		if (rpc_session_wants_read(session)) {
			unsigned char *room;
			size_t piece;
			rpc_session_room(session, &room, &piece);
			piece = piece < step ? piece : step;
			piece = piece < size - at ? piece : size - at;
			memcpy(room, data + at, piece);
			rpc_session_received(session, piece);
			at += piece;
		} else if (rpc_session_done(session) || !run->count) {
			break;
		}
		if (run->defer)
			answer_some(run);
		collect(run, session);
		ASSERT(rpc_session_outstanding(session) == run->count);
	}
	switch (ending) {
	case 1: rpc_session_detach(session); session = NULL; break;
	case 2: rpc_session_timeout(session); break;
	case 3: rpc_session_shutdown(session); break;
	default: break;
	}
	if (session)
		rpc_session_end(session);
	while (run->count) {
		answer(run->waiting[--run->count], run->seed);
		if (session)
			collect(run, session);
	}
	if (session) {
		collect(run, session);
		ASSERT(rpc_session_done(session));
		rpc_session_detach(session);
	}
	buf_room(&run->out, 1);
	struct rpc_reader out = { (unsigned char *)run->out.ptr, (unsigned char *)run->out.ptr + run->out.len };
	while (rpc_skip(&out))
		;
	ASSERT(out.at == out.end);
	ASSERT(!pool->live_blocks && !pool->live_requests);
	rpc_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct run pieces = { .seed = data[1], .defer = data[1] & 1 }, whole = { 0 };
	unsigned ending = data[1] >> 1 & 3;
	feed(&pieces, data + 2, size - 2, (size_t)data[0] + 1, ending);
	feed(&whole, data + 2, size - 2, size, 0);
	if (ending == 0)
		ASSERT(str_eq(buf_view(&pieces.seen), buf_view(&whole.seen)));
	buf_free(&pieces.seen);
	buf_free(&pieces.out);
	buf_free(&whole.seen);
	buf_free(&whole.out);
	return 0;
}
