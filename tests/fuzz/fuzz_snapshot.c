// SPDX-License-Identifier: Apache-2.0
/* fuzz_snapshot.c - arbitrary bytes as a manifest, and as pieces of a snapshot behind their checksums.
 *
 * The first byte says which, and whether checksum, magic and sizes of a manifest, or sizes of a piece's items, are put right first.
 * Expected of a manifest: what is taken encodes to the same bytes.  Of a piece: refused with a word, or loaded, and then it can
 * be dumped; in either case the state can be given back, nothing is read outside, and no more memory is taken than it has bytes for.
 */
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/shard/capture.h"
#include "snapshot/dump.h"
#include "snapshot/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 64, HASH = 16 };

static void manifest_try(const uint8_t *data, size_t size, bool right)
{
	struct snapshot_manifest manifest;
	struct buf bytes = { 0 }, error = { 0 }, again = { 0 };
	buf_bytes(&bytes, data, size);
	if (right && size >= HEAD + HASH) {
		uint32_t version = SNAPSHOT_VERSION, count = (uint32_t)((size - HEAD - HASH) / sizeof(struct snapshot_section));
		bytes.len = HEAD + count * sizeof(struct snapshot_section) + HASH;
		memcpy(bytes.ptr, "TALLYSNM", 8);
		memcpy(bytes.ptr + 8, &version, 4);
		memcpy(bytes.ptr + 12, &count, 4);
		memset(bytes.ptr + 60, 0, 4);
		snapshot_hash((uint8_t *)bytes.ptr + bytes.len - HASH, bytes.ptr, bytes.len - HASH);
	}
	bool good = snapshot_manifest_decode(bytes.ptr, bytes.len, &manifest, &error);
	ASSERT(good == !error.len);
	if (good) {
		snapshot_manifest_encode(&manifest, &again);
		ASSERT(str_eq(buf_view(&again), buf_view(&bytes)));
	}
	snapshot_manifest_free(&manifest);
	buf_free(&bytes);
	buf_free(&error);
	buf_free(&again);
}

/* Sizes that lead from one item to the next: the low byte of each counts words. */
static void items_put_right(struct buf *bytes)
{
	bytes->len -= bytes->len % 8;
	for (size_t at = 0; at < bytes->len;) {
		uint32_t words = 1 + (uint8_t)bytes->ptr[at] % 64, left = (uint32_t)(bytes->len - at) / 8;
		uint32_t size = (words < left ? words : left) * 8;
		memcpy(bytes->ptr + at, &size, 4);
		bytes->ptr[at + 4] = (char)((uint8_t)bytes->ptr[at + 4] % 16);
		bytes->ptr[at + 5] = 0;
		at += size;
	}
}

struct play { struct state state; struct catalog catalog; };

static struct play *play_new(void)
{
	struct play *play = mem_zalloc(sizeof *play);
	state_init(&play->state, 0, 1);
	return play;
}

static void play_free(struct play *play)
{
	state_deinit(&play->state);
	catalog_free(&play->catalog);
	mem_free(play);
}

static void dump_of(struct play *play, struct buf *out)
{
	struct state *states[] = { &play->state };
	dump_text(states, 1, &play->catalog, (struct str){ "", 0 }, out);
}

static void piece_try(const uint8_t *data, size_t size, bool right, bool alone)
{
	struct play *play = play_new();
	struct buf bytes = { 0 }, dump = { 0 };
	const char *why = NULL;
	buf_bytes(&bytes, data, size);
	if (right)
		items_put_right(&bytes);
	for (unsigned group = 0; group < GROUP_COUNT; group++)
		capture_loadable(&play->state, group, bytes.len, 0);
	bool good = capture_load(&play->state, &play->catalog, bytes.ptr, bytes.len, alone ? STATE_ACTORS : STATE_ALL, &why);
	if (good && alone)
		good = capture_load(&play->state, NULL, bytes.ptr, bytes.len, STATE_IDS, &why);
	ASSERT(good || (why && *why));
	if (good) {
		dump_of(play, &dump);
		ASSERT(dump_whole(buf_view(&dump)));
	}
	buf_free(&dump);
	buf_free(&bytes);
	play_free(play);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		manifest_try(data + 1, size - 1, data[0] & 2);
	else
		piece_try(data + 1, size - 1, data[0] & 2, data[0] & 4);
	return 0;
}
