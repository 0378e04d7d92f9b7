// SPDX-License-Identifier: Apache-2.0
/* env.h - the world, passed in: time, the log, the other shards.
 *
 * Code under engine/ reaches no socket, file, thread or clock by itself.  The product gives it the real ones (net/main), the
 * simulator its own.
 */
#ifndef ENGINE_ENV_ENV_H
#define ENGINE_ENV_ENV_H

#include <stdbool.h>
#include <stdint.h>

struct message;
struct id_query;

enum env_room { ENV_ROOM, ENV_WAIT, ENV_DISK_FULL };

struct env {
	void *context;
	unsigned shards;               /* how many there are */
	/* Milliseconds since 1970, never backwards. */
	int64_t (*now_ms)(void *context);
	/* The log, as wal.h describes it: a credit before deciding, then one append within it. */
	enum env_room (*log_credit)(void *context, unsigned shard, uint32_t bound);
	void (*log_credit_drop)(void *context, unsigned shard);
	uint64_t (*log_begin)(void *context, unsigned shard, uint32_t size, unsigned char **body);
	uint64_t (*log_publish)(void *context, unsigned shard, int64_t time_ms, uint64_t body_hash);
	/* A position in front of every later append, behind every earlier one; NULL: not known. */
	uint64_t (*log_head)(void *context);
	/* Looks ids up on disk, outside the shards, then posts query->answer to its shard; the query is the callee's until then.  Only
	 * asked once shards were handed runs of ids (filed.h). */
	void (*ids_read)(void *context, struct id_query *query);
	uint32_t log_frame_max;        /* greatest bound that log_credit takes, bytes */
	/* Puts a message into another shard's mailbox (or this one's own); never fails. */
	void (*post)(void *context, unsigned shard, struct message *message);
	/* A shard that was parked may go on: its host is to look at it. */
	void (*wake)(void *context, unsigned shard);
	/* A message has run to its end: its owner may answer once the log is durable up to message->wait_lsn. */
	void (*done)(void *context, struct message *message);
};

#endif
