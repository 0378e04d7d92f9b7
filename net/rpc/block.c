// SPDX-License-Identifier: Apache-2.0
/* Invariants: a free block has no references and lies in the list of its class; live_ counters are what is handed
 * out. */
#include "net/rpc/block.h"

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "net/rpc/session.h"

static uint32_t class_of(size_t size)
{
	uint32_t class = 0;
	while (((size_t)1 << (BLOCK_SHIFT_MIN + class)) < size)
		class++;
	ASSERT(class < BLOCK_CLASSES);
	return class;
}

struct rpc_block *block_take(struct rpc_pool *pool, size_t size)
{
	uint32_t class = class_of(size);
	struct rpc_block *block = pool->free[class];
	if (block) {
		pool->free[class] = block->next;
		pool->free_bytes -= block->cap;
	} else {
		size_t cap = (size_t)1 << (BLOCK_SHIFT_MIN + class);
		block = mem_alloc(sizeof *block + cap);
		block->pool = pool;
		block->class = class;
		block->cap = cap;
	}
	block->refs = 1;
	pool->live_blocks++;
	pool->live_bytes += block->cap;
	return block;
}

void block_drop(struct rpc_block *block)
{
	struct rpc_pool *pool = block->pool;
	ASSERT(block->refs);
	if (--block->refs)
		return;
	pool->live_blocks--;
	pool->live_bytes -= block->cap;
	if (pool->free_bytes + block->cap > POOL_KEEP_BYTES) {
		mem_free(block);
		return;
	}
	pool->free_bytes += block->cap;
	block->next = pool->free[block->class];
	pool->free[block->class] = block;
}

struct rpc_request *request_take(struct rpc_pool *pool)
{
	struct rpc_request *request = pool->requests;
	pool->live_requests++;
	if (!request)
		return mem_zalloc(sizeof *request);
	pool->requests = request->next;
	pool->free_requests--;
	*request = (struct rpc_request){ 0 };
	return request;
}

void request_give(struct rpc_pool *pool, struct rpc_request *request)
{
	ASSERT(pool->live_requests);
	pool->live_requests--;
	if (pool->free_requests == POOL_KEEP_REQUESTS) {
		mem_free(request);
		return;
	}
	pool->free_requests++;
	request->next = pool->requests;
	pool->requests = request;
}

struct rpc_pool *rpc_pool_new(void)
{
	return mem_zalloc(sizeof(struct rpc_pool));
}

void rpc_pool_free(struct rpc_pool *pool)
{
	if (!pool)
		return;
	ASSERT(!pool->live_blocks && !pool->live_requests);
	for (size_t class = 0; class < BLOCK_CLASSES; class++)
		while (pool->free[class]) {
			struct rpc_block *block = pool->free[class];
			pool->free[class] = block->next;
			mem_free(block);
		}
	while (pool->requests) {
		struct rpc_request *request = pool->requests;
		pool->requests = request->next;
		mem_free(request);
	}
	buf_free(&pool->dropped);
	mem_free(pool);
}
