// SPDX-License-Identifier: Apache-2.0
/* process.c - starting and ending the server.  Only processes that were started here are ever signalled; a server that
 * a failed test leaves behind ends with the test program. */
#include "tests/api/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 40, POLLS_MAX = 6000 };             /* of 10 ms */

static const char *program(void)
{
	static char path[PATH_MAX];
	const char *given = getenv("TALLY_BIN");
	if (*path)
		return path;
	if (given ? realpath(given, path) != NULL : realpath("build/asan/tally", path) || realpath("build/tally", path))
		return path;
	fail_msg("there is no server at %s; build it first (make MODE=asan)", given ? given : "build/asan/tally");
	return NULL;
}

static void poll_pause(void)
{
	struct timespec pause = { .tv_nsec = 10 * 1000000 };
	nanosleep(&pause, NULL);
}

static void file_read(const char *path, struct buf *out)
{
	char piece[4096];
	size_t got;
	FILE *file = fopen(path, "re");
	out->len = 0;
	while (file && (got = fread(piece, 1, sizeof piece, file)) > 0)
		buf_bytes(out, piece, got);
	if (file)
		fclose(file);
	buf_char(out, '\0');
	out->len--;
}

static pid_t spawn(const struct server *server, const char *log, unsigned shards, const char *const *options)
{
	char data[PATH_MAX], ready[PATH_MAX], error[PATH_MAX], number[16];
	const char *binary = program(), *words[WORDS_MAX];
	size_t count = 0;
	snprintf(data, sizeof data, "%s/data", server->folder);
	snprintf(ready, sizeof ready, "%s/ready", server->folder);
	snprintf(error, sizeof error, "%s/%s", server->folder, log);
	snprintf(number, sizeof number, "%u", shards);
	const char *const fixed[] = { binary, "serve", "--data", data, "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0",
				      "--ready-file", ready, "--shards", number, "--log-segment", "1M", "--log-ring",
				      "256K", "--log-format", "json" };
	for (; count < COUNT_OF(fixed); count++)
		words[count] = fixed[count];
	for (; options && *options && count + 1 < WORDS_MAX; options++)
		words[count++] = *options;
	words[count] = NULL;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = open(error, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 || chdir(server->folder) != 0)
		_exit(126);
	execv(binary, (char *const *)(uintptr_t)words);
	_exit(127);
}

/* Waits for the end of a process; false when it does not come. */
static bool wait_end(pid_t pid, int *status)
{
	for (int i = 0; i < POLLS_MAX; i++) {
		pid_t got = waitpid(pid, status, WNOHANG);
		if (got == pid)
			return true;
		if (got < 0 && errno != EINTR)
			return false;
		poll_pause();
	}
	return false;
}

static void fail_with_log(const struct server *server, const char *what, int status)
{
	char path[PATH_MAX];
	struct buf text = { 0 };
	snprintf(path, sizeof path, "%s/log", server->folder);
	file_read(path, &text);
	fprintf(stderr, "%s\n", text.ptr);
	buf_free(&text);
	fail_msg("%s (status %x)", what, (unsigned)status);
}

static int ready_port(const char *text, const char *prefix)
{
	const char *line = strstr(text, prefix);
	return line ? (int)strtol(line + strlen(prefix), NULL, 10) : 0;
}

void server_begin(struct server *server, unsigned shards, const char *const *options)
{
	char path[PATH_MAX];
	if (!server->folder[0]) {
		const char *base = getenv("TMPDIR");
		snprintf(server->folder, sizeof server->folder, "%s/tally-api-XXXXXX", base && *base ? base : "/tmp");
		assert_non_null(mkdtemp(server->folder));
	}
	snprintf(path, sizeof path, "%s/ready", server->folder);
	unlink(path);
	server->pid = spawn(server, "log", shards, options);
}

void server_await(struct server *server)
{
	char path[PATH_MAX];
	struct buf text = { 0 };
	int status;
	snprintf(path, sizeof path, "%s/ready", server->folder);
	for (int i = 0; access(path, R_OK) != 0; i++) {
		if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
			server->pid = 0;
			fail_with_log(server, "the server ended at its start", status);
		}
		if (i == POLLS_MAX)
			fail_with_log(server, "the server did not get ready", 0);
		poll_pause();
	}
	file_read(path, &text);
	server->port = ready_port(text.ptr, "http 127.0.0.1:");
	server->rpc_port = ready_port(text.ptr, "rpc 127.0.0.1:");
	if (server->port <= 0 || server->rpc_port <= 0)
		fail_msg("the ready file says \"%s\"", text.ptr);
	buf_free(&text);
}

void server_start(struct server *server, unsigned shards, const char *const *options)
{
	server_begin(server, shards, options);
	server_await(server);
}

void server_stop(struct server *server)
{
	int status = 0;
	assert_true(server->pid > 0);
	kill(server->pid, SIGTERM);
	if (!wait_end(server->pid, &status)) {
		server_kill(server);
		fail_with_log(server, "SIGTERM did not end the server", 0);
	}
	server->pid = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_with_log(server, "the server did not exit with 0", status);
}

void server_kill(struct server *server)
{
	if (server->pid <= 0)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
	(void)stat, (void)type, (void)walk;
	return remove(path);
}

void server_clean(struct server *server)
{
	if (server->folder[0])
		nftw(server->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	*server = (struct server){ 0 };
}

int server_refused(const struct server *server, const char *const *options, struct buf *text)
{
	char path[PATH_MAX];
	int status = 0;
	pid_t pid = spawn(server, "refused", 1, options);
	if (!wait_end(pid, &status)) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		fail_msg("the server runs; it should have been refused");
	}
	snprintf(path, sizeof path, "%s/refused", server->folder);
	file_read(path, text);
	unlink(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
