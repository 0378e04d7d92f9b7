// SPDX-License-Identifier: Apache-2.0
/* block.h - where frames are received, and where requests lie: recycled memory of one loop.
 *
 * Bytes go from the socket straight into a block, and requests use them there.  A block is counted: one reference for
 * the session that fills it, one for each request whose frame lies in it; with the last one it goes back to the
 * pool.  So a steady stream of big frames touches the same few blocks again and again: no page faults, no copies.
 *
 * Bounds: the pool keeps at most POOL_KEEP_BYTES of blocks and POOL_KEEP_REQUESTS requests that nobody uses.
 */
#ifndef NET_RPC_BLOCK_H
#define NET_RPC_BLOCK_H

#include "net/rpc/rpc.h"

enum {
	BLOCK_SHIFT_MIN = 12,          /* 4 KiB, the smallest */
	BLOCK_CLASSES = 20,            /* powers of two up to 2 GiB */
	POOL_KEEP_BYTES = 64 * 1024 * 1024,
	POOL_KEEP_REQUESTS = 4096
};

struct rpc_block {
	struct rpc_pool *pool;
	struct rpc_block *next;        /* in the pool */
	uint32_t refs;
	uint32_t class;                /* capacity is 4 KiB << class */
	size_t cap;
	unsigned char bytes[];
};

struct rpc_pool {
	struct rpc_block *free[BLOCK_CLASSES];
	struct rpc_request *requests;
	size_t free_bytes, free_requests;
	size_t live_blocks, live_bytes, live_requests; /* handed out */
	struct buf dropped;            /* answers that nobody waits for are written here */
};

struct rpc_block *block_take(struct rpc_pool *pool, size_t size);          /* of `size` bytes at least; one reference */
void block_drop(struct rpc_block *block);                  /* gives a reference back */

struct rpc_request *request_take(struct rpc_pool *pool);   /* all zero */
void request_give(struct rpc_pool *pool, struct rpc_request *request);

#endif
