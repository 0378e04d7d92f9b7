// SPDX-License-Identifier: Apache-2.0
/* session.c - bytes in a block become requests; results and errors become bytes.
 *
 *     block  [ frames handed out | the frame at hand ...... | room for the next read ]
 *                                ^ start                    ^ fill
 *
 * A block is used up from left to right: frames are handed out where they lie, each with a reference to the
 * block.  When the rest is too small for what is coming, the part of a frame that is there moves to another block,
 * and only that is ever copied.  So that big frames in a row are not torn, a read is offered no more room than the
 * frame at hand needs, and a block for the next one is as large as the last one was.
 *
 * Invariants: start <= fill <= block->cap; without a block both are 0; `scan` is that of the frame at start; while
 * `parsing` nothing is freed and nobody is told; `outstanding` counts requests that were handed out and not ended.
 */
#include "net/rpc/session.h"

#include <stdarg.h>
#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/utf8.h"
#include "net/rpc/block.h"
#include "net/rpc/frame.h"

enum {
	FRAME_MAX_DEFAULT = 16 * 1024 * 1024,
	READ_MIN = 4 * 1024,           /* size of a new session's first block */
	READ_MAX = 64 * 1024,          /* and of a busy one's, unless frames are bigger */
	ROOM_MIN = 512,                /* with less room a block counts as full */
	SLACK = 4 * 1024,              /* read behind the end of a big frame, at most */
	TRUST = 1024 * 1024,           /* of an announced frame that gets room before it is there */
	OUTPUT_HOLD = 1024 * 1024,     /* no further requests while as many bytes of answers lie there */
	KEEP_OUT_MAX = 64 * 1024,      /* larger output buffers are given back after use */
	DETAIL_MAX = 512
};

struct rpc_session {
	struct rpc_options options;
	struct frame_limits limits;
	struct rpc_pool *pool;
	void *user;
	struct rpc_block *block;       /* one reference; NULL while idle */
	size_t start, fill;
	struct frame_scan scan;
	size_t read_size;              /* of the next small block: what reads have filled lately */
	size_t frame_size;             /* of the last frame, where it was bigger than READ_MAX; else 0 */
	size_t offered;                /* room given for the read under way */
	size_t outstanding;
	uint64_t outstanding_bytes;    /* of their frames */
	struct buf out;                /* answers, ready to be sent */
	size_t reply_at;               /* where the error object or result that is being written begins */
	bool writing;                  /* between rpc_reply_begin and rpc_reply_end */
	bool parsing;
	bool held;                     /* there is input behind start that waits for room, of requests or of output */
	bool ended;                    /* no more input is taken */
	bool unread;                   /* ended by us: input may be left */
	bool shutdown;                 /* end behind the frame at hand */
	bool eof;                      /* the peer sends no more */
	bool detached;
};

/* ---- answers --------------------------------------------------------------------------------------------------- */

/* The text, without what is not ASCII unless all of it is UTF-8: details may quote what a client sent, and may be
 * cut. */
static struct str clean(char *text, size_t len)
{
	bool good = utf8_valid((struct str){ text, len });
	for (size_t i = 0; i < len && !good; i++)
		text[i] = (unsigned char)text[i] & 0x80 ? '?' : text[i];
	return (struct str){ text, len };
}

static void error_object(struct buf *out, int code, const char *name, int64_t index, struct str detail)
{
	pack_map(out, index >= 0 ? 4 : 3);
	pack_key(out, "code");
	pack_i64(out, code);
	pack_key(out, "name");
	pack_text(out, str_of(name));
	pack_key(out, "detail");
	pack_text(out, detail);
	if (index < 0)
		return;
	pack_key(out, "index");
	pack_i64(out, index);
}

static void response_head(struct buf *out, const uint32_t *msgid)
{
	pack_array(out, 4);
	pack_u64(out, 1);
	if (msgid)
		pack_u64(out, *msgid);
	else
		pack_nil(out);
}

void rpc_refusal(struct buf *out, int code, const char *name, const char *detail)
{
	response_head(out, NULL);
	error_object(out, code, name, -1, str_of(detail));
	pack_nil(out);
}

static void session_destroy(struct rpc_session *session)
{
	ASSERT(!session->outstanding && !session->block && !session->parsing);
	buf_free(&session->out);
	mem_free(session);
}

static void release_block(struct rpc_session *session)
{
	if (session->block)
		block_drop(session->block);
	session->block = NULL;
	session->start = session->fill = 0;
}

/* Nothing of the block is needed by the session itself: all frames in it were handed out. */
static bool block_idle(const struct rpc_session *session)
{
	return session->block && session->start == session->fill && !session->offered;
}

static void request_end(struct rpc_request *request)
{
	struct rpc_session *session = request->session;
	struct rpc_block *block = request->block;
	ASSERT(session->outstanding);
	if (session->options.on_ended)
		session->options.on_ended(session->options.context, request);
	session->outstanding--;
	session->outstanding_bytes -= request->frame_len;
	request_give(session->pool, request);
	block_drop(block);
	if (session->detached) {
		if (!session->outstanding)
			session_destroy(session);
		return;
	}
	if (session->parsing)
		return;
	if (block_idle(session) && session->block == block && block->refs == 1)
		release_block(session);
	if (session->options.on_ready)
		session->options.on_ready(session->options.context, session);
}

static struct buf *answer_begin(struct rpc_request *request, int code)
{
	struct rpc_session *session = request->session;
	ASSERT(!request->replying && !session->writing);
	request->replying = session->writing = true;
	request->error_code = code;
	if (session->detached || request->notification) {
		session->pool->dropped.len = session->reply_at = 0;
		return &session->pool->dropped;
	}
	response_head(&session->out, &request->msgid);
	if (!code)
		pack_nil(&session->out);
	session->reply_at = session->out.len;
	return &session->out;
}

struct buf *rpc_reply_begin(struct rpc_request *request)
{
	return answer_begin(request, 0);
}

struct buf *rpc_error_begin(struct rpc_request *request, int code)
{
	return answer_begin(request, code ? code : 500);
}

void rpc_reply_end(struct rpc_request *request)
{
	struct rpc_session *session = request->session;
	ASSERT(request->replying && session->writing);
	session->writing = false;
	if (session->detached || request->notification) {
		struct buf *dropped = &session->pool->dropped;
		ASSERT(dropped->len);
		dropped->len = 0;
		if (dropped->cap > KEEP_OUT_MAX)
			buf_free(dropped);
	} else {
		ASSERT(session->out.len > session->reply_at);
		if (request->error_code)
			pack_nil(&session->out);
	}
	request_end(request);
}

void rpc_reply(struct rpc_request *request, const void *packed, size_t len)
{
	buf_bytes(rpc_reply_begin(request), packed, len);
	rpc_reply_end(request);
}

void rpc_error(struct rpc_request *request, int code, const char *name, int64_t index, const char *format, ...)
{
	char detail[DETAIL_MAX];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(detail, sizeof detail, format, args);
	va_end(args);
	struct str text = clean(detail, len < 0 ? 0 : len < DETAIL_MAX ? (size_t)len : DETAIL_MAX - 1);
	error_object(rpc_error_begin(request, code), code, name, index, text);
	rpc_reply_end(request);
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

struct rpc_reader rpc_params(const struct rpc_request *request)
{
	struct rpc_reader reader = { request->params, request->params + request->params_len };
	uint32_t count;
	bool good = rpc_read_array(&reader, &count);
	ASSERT(good && count == request->param_count);
	return reader;
}

/* What is wrong with a well-framed message; NULL: nothing.  *msgid_known as soon as it was read. */
static const char *message_read(struct rpc_request *request, struct rpc_reader *reader, bool *msgid_known)
{
	uint32_t count;
	uint64_t kind, msgid;
	if (!rpc_read_array(reader, &count))
		return "a message is an array";
	if (!count || !rpc_read_u64(reader, &kind))
		return "a message begins with its kind, 0 for a request or 2 for a notification";
	if (kind == 1)
		return "nobody waits for a response here";
	if (kind != 0 && kind != 2)
		return "the kind of a message is 0 for a request or 2 for a notification";
	request->notification = kind == 2;
	if (!request->notification) {
		if (count < 2 || !rpc_read_u64(reader, &msgid) || msgid > UINT32_MAX)
			return "msgid must be an integer from 0 to 4294967295";
		request->msgid = (uint32_t)msgid;
		*msgid_known = true;
	}
	if (count != (request->notification ? 3U : 4U))
		return "a request has four elements, a notification three";
	if (!rpc_read_str(reader, &request->name))
		return "method must be a string";
	request->params = reader->at;
	request->params_len = (size_t)(reader->end - reader->at);
	if (!rpc_read_array(reader, &request->param_count))
		return "params must be an array";
	return NULL;
}

/* One complete frame: a request is handed out, anything else is answered here. */
static void message(struct rpc_session *session, const unsigned char *frame, size_t len, bool deep)
{
	struct rpc_request *request = request_take(session->pool);
	struct rpc_reader reader = { frame, frame + len };
	bool msgid_known = false;
	const char *wrong = message_read(request, &reader, &msgid_known);
	if (wrong) {
		/* Also where the kind is 2: what is malformed is no notification. */
		response_head(&session->out, msgid_known ? &request->msgid : NULL);
		error_object(&session->out, 400, "message_invalid", -1, str_of(wrong));
		pack_nil(&session->out);
		request_give(session->pool, request);
		return;
	}
	request->session = session;
	request->frame_len = (uint32_t)len;
	request->block = session->block;
	session->block->refs++;
	session->outstanding++;
	session->outstanding_bytes += len;
	if (deep)
		rpc_error(request, 400, "params_too_deep", -1, "arrays and maps in params are nested deeper than %d levels",
			  RPC_DEPTH_MAX);
	else
		session->options.on_request(session->options.context, request);
}

/* ---- bytes ----------------------------------------------------------------------------------------------------- */

/* No more input is taken, and what there is of it is dropped. */
static void finish(struct rpc_session *session)
{
	session->ended = true;
	session->held = false;
	if (!session->parsing && !session->offered)
		release_block(session);
}

static void refuse(struct rpc_session *session, int code, const char *name, const char *detail)
{
	rpc_refusal(&session->out, code, name, detail);
	session->unread = true;
	finish(session);
}

static bool full(const struct rpc_session *session)
{
	return session->outstanding >= RPC_OUTSTANDING_MAX || session->outstanding_bytes >= RPC_OUTSTANDING_BYTES ||
	       session->out.len >= OUTPUT_HOLD;
}

static void frame_seen(struct rpc_session *session, size_t len)
{
	if (len > READ_MAX)
		session->frame_size = len;
	else if (session->frame_size)
		session->frame_size = session->frame_size / 2 > READ_MAX ? session->frame_size / 2 : 0;
}

/* Hands out the complete frames that are there, as long as there is room for more in work. */
static void take(struct rpc_session *session)
{
	ASSERT(!session->parsing && !session->offered);
	session->parsing = true;
	session->held = false;
	while (!session->ended && session->start < session->fill) {
		struct rpc_block *block = session->block;
		const unsigned char *frame = block->bytes + session->start;
		if (session->shutdown && !session->scan.at) {
			session->unread = true;
			finish(session);
			break;
		}
		if (full(session)) {
			session->held = true;
			break;
		}
		enum frame_state state = frame_scan(&session->scan, frame, session->fill - session->start, &session->limits);
		if (state == FRAME_MORE)
			break;
		if (state == FRAME_BROKEN) {
			refuse(session, 400, "frame_broken", "the byte 0xc1 begins no object: framing is lost");
		} else if (state == FRAME_TOO_LARGE) {
			refuse(session, 413, "frame_too_large", "the message is larger than the limit of this server");
		} else {
			size_t len = (size_t)session->scan.at;
			bool deep = session->scan.deep;
			session->start += len;
			frame_begin(&session->scan);
			frame_seen(session, len);
			message(session, frame, len, deep);
		}
	}
	session->parsing = false;
	if (session->ended || (session->eof && !session->held) ||
	    (session->shutdown && session->start == session->fill))
		finish(session);
	else if (block_idle(session) &&
		 (session->block->refs == 1 || session->block->cap - session->fill < ROOM_MIN + session->frame_size))
		release_block(session);
}

/* Moves the part of a frame that is there to where `size` bytes of it have room. */
static void move(struct rpc_session *session, size_t size)
{
	size_t have = session->fill - session->start;
	struct rpc_block *old = session->block;
	if (old->refs == 1 && size <= old->cap) {
		memmove(old->bytes, old->bytes + session->start, have);
	} else {
		session->block = block_take(session->pool, size);
		memcpy(session->block->bytes, old->bytes + session->start, have);
		block_drop(old);
	}
	session->start = 0;
	session->fill = have;
}

void rpc_session_room(struct rpc_session *session, unsigned char **room, size_t *len)
{
	size_t have = session->fill - session->start;
	size_t usual = session->frame_size ? session->frame_size + SLACK : session->read_size;
	size_t need = have ? (size_t)frame_need(&session->scan, have) : 0;
	ASSERT(!session->detached && !session->parsing && !session->held && !session->offered);
	/* A length that was announced is believed up to TRUST; beyond, room grows with what arrives. */
	if (need > TRUST && need > have * 2)
		need = have * 2 > TRUST ? have * 2 : TRUST;
	if (!session->block)
		session->block = block_take(session->pool, usual);
	else if (session->start + need > session->block->cap || session->block->cap - session->fill < ROOM_MIN)
		move(session, need + ROOM_MIN > usual ? need + ROOM_MIN : usual);
	*room = session->block->bytes + session->fill;
	*len = session->block->cap - session->fill;
	size_t wanted = need > usual ? need - have + SLACK : usual > have ? usual - have : usual;
	if (wanted < *len)
		*len = wanted;
	session->offered = *len;
}

void rpc_session_received(struct rpc_session *session, size_t len)
{
	bool filled = len == session->offered && session->fill + len == session->block->cap;
	ASSERT(session->offered && len <= session->offered);
	session->offered = 0;
	session->fill += len;
	if (session->ended) {
		release_block(session);
		return;
	}
	if (filled && session->read_size < READ_MAX)
		session->read_size *= 4;
	take(session);
}

/* ---- the session ----------------------------------------------------------------------------------------------- */

struct rpc_session *rpc_session_new(const struct rpc_options *options, struct rpc_pool *pool)
{
	struct rpc_session *session = mem_zalloc(sizeof *session);
	ASSERT(options->on_request && options->frame_max < UINT32_MAX / 2);
	session->options = *options;
	session->pool = pool;
	session->limits = (struct frame_limits){ .bytes = options->frame_max ? options->frame_max : FRAME_MAX_DEFAULT,
						 .objects = RPC_OBJECTS_MAX, .levels = RPC_DEPTH_MAX + 1 };
	session->read_size = READ_MIN;
	frame_begin(&session->scan);
	return session;
}

void rpc_session_detach(struct rpc_session *session)
{
	ASSERT(!session->parsing && !session->writing && !session->detached);
	session->detached = true;
	session->offered = 0;
	finish(session);
	if (!session->outstanding)
		session_destroy(session);
}

void *rpc_session_user(const struct rpc_session *session)
{
	return session->user;
}

void rpc_session_set_user(struct rpc_session *session, void *user)
{
	session->user = user;
}

bool rpc_session_wants_read(const struct rpc_session *session)
{
	return !session->ended && !session->held && !session->eof && !full(session);
}

size_t rpc_session_outstanding(const struct rpc_session *session)
{
	return session->outstanding;
}

bool rpc_session_partial(const struct rpc_session *session)
{
	return !session->ended && !session->held && session->start < session->fill;
}

bool rpc_session_done(const struct rpc_session *session)
{
	return session->ended && !session->outstanding;
}

bool rpc_session_unread(const struct rpc_session *session)
{
	return session->unread && !session->eof;
}

void rpc_session_shutdown(struct rpc_session *session)
{
	session->shutdown = true;
	if (session->ended)
		return;
	/* A peer with something under way may be sending more: its answers must not be lost to a reset. */
	session->unread |= session->outstanding > 0 || session->start < session->fill;
	if (session->start == session->fill && !session->parsing)
		finish(session);
}

void rpc_session_end(struct rpc_session *session)
{
	session->eof = true;           /* whole frames may be among what is held: rpc_session_output ends it */
	if (!session->ended && !session->held)
		finish(session);
}

void rpc_session_timeout(struct rpc_session *session)
{
	ASSERT(!session->parsing);
	if (!session->ended)
		refuse(session, 408, "request_timeout", "the message did not arrive in time");
}

size_t rpc_session_output(struct rpc_session *session, struct buf *out)
{
	ASSERT(!session->detached && !session->writing);
	if (session->held && !full(session))
		take(session);
	size_t moved = session->out.len;
	if (!out->len) {
		struct buf swap = *out;
		*out = session->out;
		session->out = swap;
	} else {
		buf_bytes(out, session->out.ptr, session->out.len);
		session->out.len = 0;
	}
	if (!session->out.len && session->out.cap > KEEP_OUT_MAX)
		buf_free(&session->out);
	return moved;
}
