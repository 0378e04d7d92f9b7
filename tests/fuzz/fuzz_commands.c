// SPDX-License-Identifier: Apache-2.0
/* fuzz_commands.c - requests to each operation of the reference, in the small world of a brand: which one, its path, query, headers
 * and body, one to twelve in a row (tests/sim/commands/world.h says how they are written, and what is held for each).
 *
 * Sometimes a request is added that is made from the tables, so an operation is reached from the day it is declared.
 */
#include <stdint.h>
#include <string.h>

#include "engine/base/hash.h"
#include "engine/base/mem.h"
#include "tests/sim/commands/brand.h"
#include "tests/sim/commands/world.h"

enum { REQUESTS_MAX = 12, INPUTS_MAX = 64 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

static struct generator generator;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	generator_begin(&generator, 1);
	world_make(brand_requests, &generator);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of just that length, so that what reads beyond it is seen. */
	char *copy = mem_dup(data, size);
	struct str rest = { copy, size }, request;
	/* A new world takes as long as ten requests. */
	static unsigned age;
	if (!age)
		world_open();
	else
		world_again();
	for (unsigned i = 0; i < REQUESTS_MAX && world_next(&rest, &request); i++)
		world_ask(request);
	age = world_changed() || age == INPUTS_MAX ? 0 : age + 1;
	if (!age)
		world_close(hash_bytes(data, size) % 4 == 0);
	mem_free(copy);
	return 0;
}

/* Adds a request made from the tables, in front or behind, or takes it instead. */
static size_t request_add(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static const struct str line = { "\n---\n", 5 };
	struct request made;
	struct buf text = { 0 };
	size_t count;
	references(&count);
	generator.seed = seed;
	generator.pool.seed = seed ^ 0x5bd1e995;
	generator.now_ms = INT64_C(1700000000000);
	generator.extra_max = seed >> 8 & 7;
	generator.spoil_one_in = 6;
	generator.fresh_one_in = 8;
	request_make(&generator, (seed >> 3) % count, false, &made);
	bool behind = seed & 1 && size, front = seed & 2 && size && !behind;
	if (behind) {
		buf_bytes(&text, data, size);
		buf_str(&text, line);
	}
	world_text(&made, &text);
	if (front) {
		buf_str(&text, line);
		buf_bytes(&text, data, size);
	}
	size = text.len < max ? text.len : max;
	memcpy(data, text.ptr, size);
	request_free(&made);
	buf_free(&text);
	return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	unsigned drawn = (unsigned)hash_bytes(&seed, sizeof seed);
	return drawn % 16 == 0 ? request_add(data, size, max, drawn >> 4) : LLVMFuzzerMutate(data, size, max);
}
