// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/transfers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/json.h"
#include "engine/ledger/refusal.h"
#include "engine/ledger/row.h"
#include "net/rpc/pack.h"
#include "net/rpc/read.h"

enum { SENT_MAX = 4096, WAIT_MS = 20000 };

enum outcome { DONE, FULL, GONE };

static void call_make(struct buf *out, uint32_t from, uint32_t count)
{
	static unsigned char rows[SENT_MAX * ROW_BYTES];
	assert_true(count <= SENT_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct transfer_row row = { .id = from + i, .debit = 1, .credit = 2, .amount = 1, .code = 1 };
		memcpy(rows + (size_t)i * ROW_BYTES, &row, sizeof row);
	}
	out->len = 0;
	pack_array(out, 4);
	pack_u64(out, 0);
	pack_u64(out, 1);
	pack_text(out, STR("ledger.create_transfers"));
	pack_array(out, 1);
	pack_bin(out, rows, (size_t)count * ROW_BYTES);
}

/* What the answer says: [1, 1, error, {"lsn": …, "results": bin}]. */
static enum outcome answer_read(struct rpc_reader reader)
{
	struct str key, results = { "", 0 };
	uint32_t fields;
	uint64_t number;
	assert_true(rpc_read_array(&reader, &fields) && fields == 4 && rpc_read_u64(&reader, &number) && rpc_read_u64(&reader, &number));
	if (!rpc_read_nil(&reader))
		return FULL;                   /* refused as a whole: the disk is full, or something cannot be read */
	assert_true(rpc_read_map(&reader, &fields));
	for (; fields; fields--) {
		assert_true(rpc_read_str(&reader, &key));
		if (str_eq(key, STR("results")))
			assert_true(rpc_read_bin(&reader, &results));
		else
			assert_true(rpc_skip(&reader));
	}
	for (size_t at = 0; at < results.len; at += 8) {
		uint32_t refused[2];
		memcpy(refused, results.ptr + at, sizeof refused);
		if (refused[1] != REFUSED_DISK_FULL)
			fail_msg("row %u is refused for %u", refused[0], refused[1]);
	}
	return results.len ? FULL : DONE;
}

static enum outcome call_send(const struct process *process, const struct buf *call)
{
	struct connection connection;
	struct buf in = { 0 };
	enum outcome outcome = GONE;
	if (!connection_open(&connection, process->rpc_port))
		return GONE;
	ssize_t got = send(connection.fd, call->ptr, call->len, MSG_NOSIGNAL);
	while (got > 0) {
		buf_room(&in, 65536);
		got = recv(connection.fd, in.ptr + in.len, 65536, 0);
		in.len += got > 0 ? (size_t)got : 0;
		struct rpc_reader reader = { (const unsigned char *)in.ptr, (const unsigned char *)in.ptr + in.len }, whole = reader;
		if (!in.len || !rpc_skip(&whole))
			continue;
		outcome = answer_read(reader);
		break;
	}
	buf_free(&in);
	connection_close(&connection);
	return outcome;
}

static enum outcome accounts_make(const struct process *process)
{
	static const struct str body = STR("[{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"1\"},"
					   "{\"tenant\":\"T\",\"unit\":\"points\",\"id\":\"2\"}]");
	struct connection connection;
	struct buf answer = { 0 };
	int status = -1;
	if (connection_open(&connection, process->port) && connection_send(&connection, "POST", "/v1/accounts", body))
		status = connection_take(&connection, 10000, &answer);
	connection_close(&connection);
	bool full = status == 507 || (status > 0 && answer.len && memmem(answer.ptr, answer.len, "disk_full", 9));
	if (status > 0 && !full && status / 100 != 2)
		fail_msg("accounts are answered with %d: %.*s", status, (int)answer.len, answer.ptr);
	buf_free(&answer);
	return status <= 0 ? GONE : full ? FULL : DONE;
}

/* Tried again while the disk is full. */
static bool pushed(struct transfers *transfers, const struct process *process, uint32_t from, uint32_t count)
{
	struct buf call = { 0 };
	uint64_t until = clock_us() + WAIT_MS * UINT64_C(1000);
	call_make(&call, from, count);
	enum outcome outcome = FULL;
	while (outcome == FULL) {
		outcome = accounts_make(process);
		if (outcome == DONE)
			outcome = call_send(process, &call);
		if (outcome != FULL)
			break;
		if (clock_us() > until)
			fail_msg("transfers are refused for ever");
		transfers->waits++;
		usleep(20000);
	}
	buf_free(&call);
	return outcome == DONE;
}

bool transfers_send(struct transfers *transfers, const struct process *process, uint32_t count)
{
	uint32_t from = transfers->sent + 1;
	transfers->sent += count;
	if (!pushed(transfers, process, from, count))
		return false;
	transfers->done = transfers->sent;
	return true;
}

/* -1: there is no such account. */
static int64_t balance(const struct process *process)
{
	struct connection connection;
	struct buf answer = { 0 };
	struct json_error error;
	int64_t found = -1;
	assert_true(connection_open(&connection, process->port));
	if (connection_ask(&connection, "GET", "/v1/accounts/2", (struct str){ "", 0 }, &answer) == 200) {
		yyjson_doc *doc = json_read(buf_view(&answer), &error);
		yyjson_val *value = json_get(yyjson_doc_get_root(doc), STR("balance"));
		struct str text = json_text(value);
		assert_true(json_int(value, &found) || text.len);
		for (size_t i = found < 0 ? 0 : text.len; i < text.len; i++) {
			assert_true(text.ptr[i] >= '0' && text.ptr[i] <= '9');
			found = (i ? found * 10 : 0) + (text.ptr[i] - '0');
		}
		yyjson_doc_free(doc);
	}
	connection_close(&connection);
	buf_free(&answer);
	return found;
}

void transfers_verify(struct transfers *transfers, const struct process *process)
{
	int64_t there = balance(process);
	if (there < (int64_t)transfers->done && (transfers->done || there != -1))
		fail_msg("%u transfers were acknowledged, and %lld are there", transfers->done, (long long)there);
	if (there > (int64_t)transfers->sent)
		fail_msg("%u transfers were sent, and %lld are there", transfers->sent, (long long)there);
	if (!transfers->sent)
		return;
	assert_true(pushed(transfers, process, 1, transfers->sent));
	assert_int_equal(balance(process), transfers->sent);
}
