// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/seeds.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"

enum { JOBS_MAX = 64, COUNTS_BYTES = 32 * 1024 };

#define LLU(x) ((unsigned long long)(x))

static volatile uint64_t running;      /* the seed */

#ifdef MUTANTS
unsigned mutant_on;
#endif

uint64_t seeds_number(const char *name, uint64_t fallback)
{
	static const char *const from_one[] = { "SEED", "SEEDS", "FROM", "JOBS" };
	const char *text = getenv(name);
	if (!text || !*text)
		return fallback;
	unsigned long long number = strtoull(text, NULL, 10), least = 0;
	for (size_t i = 0; i < sizeof from_one / sizeof *from_one; i++)
		least |= strcmp(name, from_one[i]) == 0;
	if (text[strspn(text, "0123456789")] || strlen(text) > 18 || number < least) {
		fprintf(stderr, "%s is \"%s\"; expected a number from %llu\n", name, text, least);
		exit(2);
	}
	return number;
}

/* An assertion of the product failed, or worse: which seed was it? */
static void on_abort(int number)
{
	char line[80];
	(void)number;
	int len = snprintf(line, sizeof line, "seed %llu: aborted\n", LLU(running));
	if (write(STDERR_FILENO, line, (size_t)len) < 0)
		_exit(3);
	_exit(2);
}

static void begin(void)
{
	signal(SIGABRT, on_abort);
	signal(SIGSEGV, on_abort);
#ifdef MUTANTS
	mutant_on = (unsigned)seeds_number("MUTANT", 0);
#endif
}

/* Seeds from + job, from + job + jobs, …: returns how many are broken. */
static unsigned job_run(const struct seeds *seeds, uint64_t from, uint64_t count, unsigned job, unsigned jobs, void *counts)
{
	unsigned broken = 0;
	uint64_t hash, most = seeds_number("STOP", 20);
	for (uint64_t i = job; i < count && broken < most; i += jobs) {
		running = from + i;
		broken += !seeds->run(from + i, false, counts, &hash);
	}
	return broken;
}

static bool counts_write(int pipe, const unsigned char *counts, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(pipe, counts + done, size - done);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool counts_read(int pipe, unsigned char *counts, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(pipe, counts + done, size - done);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

struct job { pid_t pid; int pipe; };

static struct job job_start(const struct seeds *seeds, uint64_t from, uint64_t count, unsigned job, unsigned jobs)
{
	int ends[2];
	int failed = pipe(ends);
	ASSERT(!failed);
	pid_t pid = fork();
	ASSERT(pid >= 0);
	if (pid == 0) {
		static uint64_t own[COUNTS_BYTES / sizeof(uint64_t)];
		begin();
		close(ends[0]);
		unsigned bad = job_run(seeds, from, count, job, jobs, own);
		bool told = counts_write(ends[1], (const unsigned char *)own, seeds->counts_size);
		_exit(bad || !told ? 1 : 0);
	}
	close(ends[1]);
	return (struct job){ pid, ends[0] };
}

unsigned seeds_run(const struct seeds *seeds, uint64_t from, uint64_t count, void *counts)
{
	static uint64_t own[COUNTS_BYTES / sizeof(uint64_t)];
	struct job list[JOBS_MAX];
	unsigned broken = 0, jobs = (unsigned)seeds_number("JOBS", 1);
	uint64_t *sum = counts;
	ASSERT(jobs >= 1 && jobs <= JOBS_MAX && count >= 1 && seeds->counts_size <= sizeof own);
	fflush(NULL);
	for (unsigned j = 0; j < jobs; j++)
		list[j] = job_start(seeds, from, count, j, jobs);
	for (unsigned j = 0; j < jobs; j++) {
		int status = 0;
		bool told = counts_read(list[j].pipe, (unsigned char *)own, seeds->counts_size);
		close(list[j].pipe);
		waitpid(list[j].pid, &status, 0);
		broken += !told || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
		for (size_t i = 0; told && i < seeds->counts_size / sizeof *sum; i++)
			sum[i] += own[i];
	}
	return broken;
}

unsigned seeds_again(const struct seeds *seeds, const uint64_t *list, size_t count, void *counts)
{
	unsigned broken = 0;
	for (size_t i = 0; i < count; i++)
		broken += seeds_run(seeds, list[i], 1, counts);
	return broken;
}

bool seeds_same(const struct seeds *seeds, uint64_t seed, void *counts)
{
	uint64_t hashes[2];
	running = seed;
	return seeds->run(seed, false, counts, &hashes[0]) && seeds->run(seed, false, counts, &hashes[1]) && hashes[0] == hashes[1];
}

bool seeds_only(const struct seeds *seeds, uint64_t seed, void *counts)
{
	uint64_t hashes[2];
	begin();
	running = seed;
	bool good = seeds->run(seed, true, counts, &hashes[0]);
	fprintf(stderr, "seed %llu: %s, hash %016llx\n", LLU(seed), good ? "good" : "broken", LLU(hashes[0]));
	return good && seeds->run(seed, false, counts, &hashes[1]) && hashes[0] == hashes[1];
}
