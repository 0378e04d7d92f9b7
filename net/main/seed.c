// SPDX-License-Identifier: Apache-2.0
#include "net/main/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/hash.h"
#include "wal/files.h"

enum { SEED_TEXT = 17 };

static bool seed_make(const char *data, const char *path, struct buf *error)
{
	char text[SEED_TEXT + 1], temporary[FILES_PATH + 8];
	uint64_t seed = wal_io.random();
	if (!seed) {
		buf_printf(error, "no random number for %s: %s", path, strerror(errno));
		return false;
	}
	snprintf(text, sizeof text, "%016" PRIx64 "\n", seed);
	snprintf(temporary, sizeof temporary, "%s.tmp", path);
	int fd = files_open(temporary, O_WRONLY | O_CREAT | O_TRUNC), failed = fd < 0 ? errno : 0;
	if (!failed)
		failed = files_write(fd, text, SEED_TEXT, 0);
	if (!failed)
		failed = files_sync(fd);
	if (fd >= 0)
		wal_io.close(fd);
	if (!failed)
		failed = files_rename(temporary, path);
	if (!failed)
		failed = files_sync_dir(data);
	if (failed)
		buf_printf(error, "cannot write %s: %s", path, strerror(failed));
	hash_seed = seed;
	return !failed;
}

static bool has_log(const char *data)
{
	char path[FILES_PATH];
	snprintf(path, sizeof path, "%s/log", data);
	int folder = wal_io.open_dir(path);
	if (folder >= 0)
		wal_io.close(folder);
	return folder >= 0 || errno != ENOENT;
}

bool seed_read(struct str text, uint64_t *seed)
{
	static const char digits[] = "0123456789abcdef";
	*seed = 0;
	for (size_t i = 0; i < text.len && i + 1 < SEED_TEXT; i++) {
		const char *digit = memchr(digits, text.ptr[i], 16);
		if (!digit)
			return false;
		*seed = *seed << 4 | (uint64_t)(digit - digits);
	}
	return text.len == SEED_TEXT && text.ptr[SEED_TEXT - 1] == '\n';
}

bool seed_load(const char *data, bool make, struct buf *error)
{
	char path[FILES_PATH], text[SEED_TEXT];
	uint64_t seed;
	snprintf(path, sizeof path, "%s/seed", data);
	int fd = files_open(path, O_RDONLY);
	if (fd < 0 && errno == ENOENT && make && !has_log(data))
		return seed_make(data, path, error);
	if (fd < 0) {
		buf_printf(error, "cannot read %s, which belongs to the log: %s", path, strerror(errno));
		return false;
	}
	ssize_t len = files_read(fd, text, SEED_TEXT, 0);
	int failed = len < 0 ? errno : 0;
	wal_io.close(fd);
	if (len < 0 || !seed_read((struct str){ text, (size_t)len }, &seed)) {
		buf_printf(error, "%s does not hold 16 hexadecimal digits%s%s", path, failed ? ": " : "", failed ? strerror(failed) : "");
		return false;
	}
	hash_seed = seed;
	return true;
}
