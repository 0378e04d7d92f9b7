// SPDX-License-Identifier: Apache-2.0
/* fuzz_options.c - any text as a file of options: it is understood, or refused with one line. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/json.h"
#include "net/cli/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char path[64], flag[] = "--config", *words[] = { flag, path, NULL };
	struct options options;
	struct buf error = { 0 }, text = { 0 };
	int fd = memfd_create("options", MFD_CLOEXEC);
	ASSERT(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (options_read(&options, 2, words, &error)) {
		struct json_error wrong;
		ASSERT(!error.len);
		ASSERT(options.shards >= 0 && options.shards <= 64 && options.http.count >= 1 &&
		       options.http.count <= OPTIONS_LISTEN_MAX && options.log_ring > 0 && options.log_segment > 0);
		options_json(&options, &text);
		yyjson_doc *doc = json_read(buf_view(&text), &wrong);
		ASSERT(doc);
		yyjson_doc_free(doc);
	} else {
		ASSERT(error.len && !memchr(error.ptr, '\n', error.len));
	}
	options_free(&options);
	close(fd);
	buf_free(&error);
	buf_free(&text);
	return 0;
}
