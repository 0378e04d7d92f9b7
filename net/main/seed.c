// SPDX-License-Identifier: Apache-2.0
#include "net/main/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/hash.h"

enum { SEED_TEXT = 17 };

static bool folder_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int synced = -1;
	while (fd >= 0 && (synced = fsync(fd)) != 0 && errno == EINTR)
		;
	int failed = errno;
	if (fd >= 0)
		close(fd);
	errno = failed;
	return synced == 0;
}

static bool seed_make(const char *data, const char *path, struct buf *error)
{
	char text[SEED_TEXT + 1], temporary[4300];
	uint64_t seed;
	ssize_t drawn;
	do
		drawn = getrandom(&seed, sizeof seed, 0);
	while (drawn < 0 && errno == EINTR);
	if (drawn != sizeof seed) {
		buf_printf(error, "no random number for %s: %s", path, strerror(errno));
		return false;
	}
	snprintf(text, sizeof text, "%016" PRIx64 "\n", seed);
	snprintf(temporary, sizeof temporary, "%s.tmp", path);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t done = 0;
	while (fd >= 0 && done < SEED_TEXT) {
		ssize_t n = write(fd, text + done, SEED_TEXT - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	int synced = -1;
	while (done == SEED_TEXT && (synced = fsync(fd)) != 0 && errno == EINTR)
		;
	bool good = synced == 0 && rename(temporary, path) == 0 && folder_sync(data);
	if (!good)
		buf_printf(error, "cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	hash_seed = seed;
	return good;
}

static bool has_log(const char *data)
{
	char path[4200];
	struct stat status;
	snprintf(path, sizeof path, "%s/log", data);
	return stat(path, &status) == 0;
}

bool seed_load(const char *data, bool make, struct buf *error)
{
	char path[4200], text[SEED_TEXT + 1] = "";
	uint64_t seed;
	int end = 0;
	snprintf(path, sizeof path, "%s/seed", data);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && make && !has_log(data))
		return seed_make(data, path, error);
	if (fd < 0) {
		buf_printf(error, "cannot read %s, which belongs to the log: %s", path, strerror(errno));
		return false;
	}
	ssize_t len;
	do
		len = read(fd, text, SEED_TEXT);
	while (len < 0 && errno == EINTR);
	int failed = len < 0 ? errno : 0;
	close(fd);
	if (len != SEED_TEXT || sscanf(text, "%16" SCNx64 "%n", &seed, &end) != 1 || end != 16 || text[16] != '\n') {
		buf_printf(error, "%s does not hold 16 hexadecimal digits%s%s", path, failed ? ": " : "", failed ? strerror(failed) : "");
		return false;
	}
	hash_seed = seed;
	return true;
}
