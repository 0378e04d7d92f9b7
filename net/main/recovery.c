// SPDX-License-Identifier: Apache-2.0
#include "net/main/recovery.h"

#include <uv.h>

enum { MB = 1000000, UNKNOWN_SECONDS = 1 };

void recovery_phase(struct recovery *recovery, enum recovery_phase phase)
{
	if (!recovery)
		return;
	atomic_store(&recovery->done, 0);
	atomic_store(&recovery->total, 0);
	atomic_store(&recovery->began_ns, uv_hrtime());
	atomic_store(&recovery->phase, phase);
}

void recovery_progress(void *context, uint64_t done, uint64_t total)
{
	struct recovery *recovery = context;
	if (!recovery)
		return;
	atomic_store(&recovery->total, total);
	atomic_store(&recovery->done, done);
}

unsigned recovery_text(const struct recovery *recovery, struct buf *out)
{
	static const char *const words[] = { "looking for a snapshot", "loading the snapshot", "reading the log", "nearly done" };
	unsigned phase = atomic_load(&recovery->phase);
	uint64_t done = atomic_load(&recovery->done), total = atomic_load(&recovery->total);
	double spent = (double)(uv_hrtime() - atomic_load(&recovery->began_ns)) / 1e9, left = 0;
	buf_printf(out, "%s", words[phase <= RECOVERY_ENDS ? phase : RECOVERY_ENDS]);
	if (!done || total < done)
		return UNKNOWN_SECONDS;
	left = spent * (double)(total - done) / (double)done;
	/* The last segment of a log is mostly zeros, and so is the one behind it: these are bounds. */
	buf_printf(out, ": %llu of %llu MB, about %.0f s more", (unsigned long long)(done / MB), (unsigned long long)(total / MB), left);
	return left < 1 ? UNKNOWN_SECONDS : left > 3600 ? 3600 : (unsigned)(left + 1);
}
