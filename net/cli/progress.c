// SPDX-License-Identifier: Apache-2.0
#include "net/cli/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

void progress_begin(struct progress *progress, const char *title, uint64_t total)
{
	double began = now();
	*progress = (struct progress){ .title = title, .total = total, .started = began, .shown = began,
				       .terminal = isatty(STDERR_FILENO) };
}

static void show(struct progress *progress, bool last)
{
	double at = now(), seconds = at - progress->started;
	uint64_t done = progress->done < progress->total ? progress->done : progress->total;
	double part = progress->total ? (double)done / (double)progress->total : 1;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	unsigned left = rate > 0 ? (unsigned)((double)(progress->total - done) / rate + 0.5) : 0;
	if (progress->silent)
		return;
	if (!progress->terminal) {
		unsigned tenth = (unsigned)(part * 10);
		if (seconds < 1 || tenth <= progress->tenth)
			return;
		progress->tenth = tenth;
		fprintf(stderr, "%s: %u%%, %.0f of %.0f MB, %.0f MB/s, %u s left\n", progress->title, tenth * 10, (double)done / 1e6,
			(double)progress->total / 1e6, rate / 1e6, left);
		return;
	}
	if (!last && at - progress->shown < 0.1)
		return;
	progress->shown = at;
	int full = (int)(part * BAR_WIDTH);
	fprintf(stderr, "\r\033[K%s [%.*s%*s] %3d%%  %.0f of %.0f MB  %.0f MB/s  ETA %u:%02u", progress->title, full,
		"========================", BAR_WIDTH - full, "", (int)(part * 100), (double)done / 1e6, (double)progress->total / 1e6,
		rate / 1e6, left / 60, left % 60);
	progress->bar = true;
}

void progress_add(void *context, uint64_t bytes)
{
	struct progress *progress = context;
	progress->done += bytes;
	show(progress, false);
}

void progress_end(struct progress *progress)
{
	show(progress, true);
	if (progress->bar)
		fputc('\n', stderr);
	progress->bar = false;
}

void progress_clear(struct progress *progress)
{
	if (progress->bar)
		fputs("\r\033[K", stderr);
	progress->bar = false;
}
