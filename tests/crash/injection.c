// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/injection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS = 3, JOBS_MAX = 64 };

/* ---- the page -------------------------------------------------------------------------------------------------- */

static char library[PATH_MAX];                     /* that the servers are started with */

static void preload(const char *folder)            /* in the child */
{
	char real[PATH_MAX], page[FOLDER_PATH + 8];
	snprintf(page, sizeof page, "%s/page", folder);
	if (!realpath(folder, real) || setenv("LD_PRELOAD", library, 1) || setenv("INJECT_PAGE", page, 1) ||
	    setenv("INJECT_FOLDER", real, 1))
		_exit(126);
}

struct inject *injection_open(struct process *process, const char *name)
{
	char file[64], page[FOLDER_PATH + 8];
	snprintf(file, sizeof file, "build/inject-%s.so", name);
	if (!realpath(file, library))
		fail_msg("%s: %s; make inject builds it", file, strerror(errno));
	snprintf(page, sizeof page, "%s/page", process->folder);
	int fd = open(page, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct inject *at = MAP_FAILED;
	if (fd >= 0 && ftruncate(fd, sizeof *at) == 0)
		at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		fail_msg("%s: %s", page, strerror(errno));
	close(fd);
	process->prepare = preload;
	return at;
}

void injection_close(struct inject *page)
{
	if (page)
		munmap(page, sizeof *page);
}

/* ---- sharing out ----------------------------------------------------------------------------------------------- */

static unsigned job, jobs;                         /* in a copy: which of how many; else 0, 0 */

static unsigned number_of(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);
	return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

void share_main(void)
{
	const char *mine = getenv("SHARE_JOB"), *test = getenv("SHARE_TEST");
	if (!mine || !test || sscanf(mine, "%u/%u", &job, &jobs) != 2)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cmocka_set_test_filter(test);
}

uint64_t share_seed(void)
{
	const char *seed = getenv("TALLY_CRASH_SEED");
	return seed && *seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
}

bool share_mine(unsigned run)
{
	return run % jobs == job;
}

unsigned share_step(unsigned total, unsigned wanted)
{
	const char *full = getenv("TALLY_CRASH_FULL");
	return (full && *full && *full != '0') || total < wanted ? 1 : total / wanted;
}

bool share_next(unsigned *turn, unsigned step, unsigned total, unsigned *run)
{
	while (*turn * step < total) {
		uint64_t seed = share_seed() + *turn;
		*run = *turn * step + (unsigned)(random_next(&seed) % step);
		bool mine = share_mine(*turn) && *run < total;
		(*turn)++;
		if (mine)
			return true;
	}
	return false;
}

static pid_t copy_start(const char *test, unsigned n, unsigned of, const char *output)
{
	char mine[32], seed[32];
	pid_t parent = getpid(), pid;
	snprintf(mine, sizeof mine, "%u/%u", n, of);
	snprintf(seed, sizeof seed, "%llu", (unsigned long long)share_seed());
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	setenv("SHARE_JOB", mine, 1);
	setenv("SHARE_TEST", test, 1);
	setenv("TALLY_CRASH_SEED", seed, 1);
	execl("/proc/self/exe", test, (char *)NULL);
	_exit(127);
}

/* Its comments, and all it said if it failed. */
static bool copy_end(pid_t pid, const char *output)
{
	struct buf text = { 0 };
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	file_read(output, &text);
	buf_char(&text, '\0');
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	for (char *line = text.ptr, *end; line && *line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (end)
			*end = '\0';
		/* Lines of TAP would be counted twice. */
		if (!good || (strncmp(line, "# ", 2) == 0 && !strstr(line, "ok - ")))
			printf("#%s%s\n", good ? "" : " | ", good ? line + 1 : line);
	}
	buf_free(&text);
	return good;
}

bool share_out(const char *test)
{
	char folder[FOLDER_PATH], output[JOBS_MAX][FOLDER_PATH + 16];
	pid_t copies[JOBS_MAX];
	bool good = true;
	if (jobs)
		return false;
	unsigned count = number_of("TALLY_CRASH_JOBS", JOBS);
	if (count < 1 || count > JOBS_MAX)
		count = JOBS;
	folder_make(folder);
	for (unsigned i = 0; i < count; i++) {
		snprintf(output[i], sizeof output[i], "%s/%u", folder, i);
		copies[i] = copy_start(test, i, count, output[i]);
	}
	for (unsigned i = 0; i < count; i++)
		good &= copy_end(copies[i], output[i]);
	folder_remove(folder);
	fflush(stdout);
	if (!good)
		fail_msg("%s failed in a copy; its lines are above", test);
	return true;
}
