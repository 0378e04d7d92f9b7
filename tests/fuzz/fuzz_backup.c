// SPDX-License-Identifier: Apache-2.0
/* fuzz_backup.c - arbitrary bytes as the manifest of a backup.
 *
 * The first byte says whether the head and the hash are put right first.  Expected: refused with a word, or taken; then no path leads out of the
 * folder, and what is written of it is read as the same again. */
#include <string.h>

#include "engine/base/assert.h"
#include "snapshot/backup.h"
#include "snapshot/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct backup backup, again;
	struct buf text = { 0 }, error = { 0 }, one = { 0 }, other = { 0 };
	bool right = size && data[0] % 2;
	if (!size)
		return 0;
	if (right)
		buf_lit(&text, "tally backup 1\n");
	buf_bytes(&text, data + 1, size - 1);
	if (right) {
		uint8_t hash[BACKUP_HASH];
		if (size > 1 && text.ptr[text.len - 1] != '\n')
			buf_char(&text, '\n');
		snapshot_hash(hash, text.ptr, text.len);
		buf_lit(&text, "hash ");
		buf_hex(&text, hash, sizeof hash);
		buf_char(&text, '\n');
	}
	bool good = backup_decode(buf_view(&text), &backup, &error);
	ASSERT(good == !error.len);
	if (good) {
		ASSERT(backup_find(&backup, "seed") && backup.first < backup.end);
		for (size_t i = 0; i < backup.count; i++)
			ASSERT(backup_path_good(str_of(backup.files[i].path)) && !strstr(backup.files[i].path, ".."));
		backup_encode(&backup, &one);
		ASSERT(backup_decode(buf_view(&one), &again, &error));
		backup_encode(&again, &other);
		ASSERT(str_eq(buf_view(&one), buf_view(&other)));
		backup_free(&again);
	}
	backup_free(&backup);
	buf_free(&text);
	buf_free(&error);
	buf_free(&one);
	buf_free(&other);
	return 0;
}
