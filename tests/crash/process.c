// SPDX-License-Identifier: Apache-2.0
#include "tests/crash/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t clock_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* ---- folders and files ----------------------------------------------------------------------------------------- */

void folder_make(char folder[FOLDER_PATH])
{
	const char *below = getenv("TMPDIR");
	int len = snprintf(folder, FOLDER_PATH, "%s/tally-crash-XXXXXX", below && *below ? below : "/tmp");
	if (len >= FOLDER_PATH || !mkdtemp(folder))
		fail_msg("no folder %s: %s", folder, strerror(errno));
}

static int entry_remove(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

void folder_remove(const char *folder)
{
	nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

void file_read(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "rb");
	size_t got = 1;
	while (file && got) {
		buf_room(out, 65536);
		got = fread(out->ptr + out->len, 1, 65536, file);
		out->len += got;
	}
	if (file)
		fclose(file);
}

/* ---- processes ------------------------------------------------------------------------------------------------- */

const char *process_program(void)
{
	const char *names[] = { getenv("TALLY_CRASH_BIN"), getenv("TALLY_BIN") };
	for (size_t i = 0; i < 2; i++)
		if (names[i] && *names[i])
			return names[i];
	return access("build/asan/tally", X_OK) == 0 ? "build/asan/tally" : "build/tally";
}

/* The server takes options from TALLY_ variables; those that are set here are meant for the test. */
static void environment_clear(void)
{
	for (size_t i = 0; environ[i];) {
		char name[64];
		const char *end = strchr(environ[i], '=');
		size_t len = end ? (size_t)(end - environ[i]) : 0;
		i++;
		if (len >= sizeof name || strncmp(environ[i - 1], "TALLY_", 6) != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)len, environ[i - 1]);
		unsetenv(name);
		i = 0;
	}
}

/* In the child: the streams go to `output`, and the child does not outlive the test. */
static void child_exec(const char *output, const char *const *words, const struct process *process)
{
	int fd = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(126);
	environment_clear();
	if (process && process->prepare)
		process->prepare(process->folder);
	execv(words[0], (char *const *)(uintptr_t)words);
	_exit(127);
}

static bool ended_within(pid_t pid, int *status, int wait_ms)
{
	for (uint64_t until = clock_us() + (uint64_t)wait_ms * 1000;;) {
		pid_t got = waitpid(pid, status, WNOHANG);
		if (got == pid)
			return true;
		if ((got < 0 && errno != EINTR) || clock_us() > until)
			return false;
		usleep(500);
	}
}

static bool ready_read(struct process *process, const char *path)
{
	struct buf text = { 0 };
	unsigned port = 0, rpc_port = 0;
	file_read(path, &text);
	buf_char(&text, '\0');
	bool found = sscanf(text.ptr, "http 127.0.0.1:%u\nrpc 127.0.0.1:%u", &port, &rpc_port) == 2;
	process->port = (uint16_t)port;
	process->rpc_port = (uint16_t)rpc_port;
	buf_free(&text);
	return found;
}

bool process_start(struct process *process, unsigned shards, const char *const *options)
{
	char data[FOLDER_PATH + 8], ready[FOLDER_PATH + 8], output[FOLDER_PATH + 8], before[FOLDER_PATH + 24], count[16];
	snprintf(data, sizeof data, "%s/data", process->folder);
	snprintf(ready, sizeof ready, "%s/ready", process->folder);
	snprintf(output, sizeof output, "%s/log", process->folder);
	snprintf(count, sizeof count, "%u", shards);
	const char *words[PROCESS_ARGS] = { process_program(), "serve", "--data", data, "--http", "127.0.0.1:0", "--rpc",
					    "127.0.0.1:0", "--ready-file", ready, "--shards", count, "--log-format", "json" };
	for (size_t n = 14; options && *options; n++) {
		assert_true(n + 1 < PROCESS_ARGS);
		words[n] = *options++;
	}
	unlink(ready);
	snprintf(before, sizeof before, "%s.%u", output, process->lives++);
	rename(output, before);        /* what the one before has said */
	fflush(NULL);
	process->pid = fork();
	assert_true(process->pid >= 0);
	if (process->pid == 0)
		child_exec(output, words, process);
	for (uint64_t until = clock_us() + PROCESS_WAIT_MS * 1000u; !ready_read(process, ready); usleep(500)) {
		if (ended_within(process->pid, &process->status, 0)) {
			process->pid = 0;
			return false;
		}
		if (clock_us() > until) {
			process_kill(process);
			fail_msg("the server was not ready within %d s", PROCESS_WAIT_MS / 1000);
		}
	}
	return true;
}

void process_kill(struct process *process)
{
	if (process->pid <= 0)
		return;
	pid_t pid = process->pid;
	process->pid = 0;
	kill(pid, SIGKILL);
	if (!ended_within(pid, &process->status, PROCESS_WAIT_MS))
		fail_msg("process %ld does not end", (long)pid);
}

static int status_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int process_status(const struct process *process)
{
	return status_code(process->status);
}

int process_wait(struct process *process)
{
	assert_true(process->pid > 0);
	if (!ended_within(process->pid, &process->status, PROCESS_WAIT_MS)) {
		process_kill(process);
		fail_msg("the server did not end within %d s", PROCESS_WAIT_MS / 1000);
	}
	process->pid = 0;
	return process_status(process);
}

int process_stop(struct process *process)
{
	assert_true(process->pid > 0);
	kill(process->pid, SIGTERM);
	return process_wait(process);
}

void process_said(const struct process *process, struct buf *text)
{
	char path[FOLDER_PATH + 8];
	snprintf(path, sizeof path, "%s/log", process->folder);
	text->len = 0;
	file_read(path, text);
	buf_char(text, '\0');
}

void process_said_ever(const struct process *process, struct buf *text)
{
	char path[FOLDER_PATH + 24];
	text->len = 0;
	for (unsigned life = 1; life < process->lives; life++) {
		snprintf(path, sizeof path, "%s/log.%u", process->folder, life);
		file_read(path, text);
	}
	snprintf(path, sizeof path, "%s/log", process->folder);
	file_read(path, text);
	buf_char(text, '\0');
}

int program_run(const char *const *words, struct buf *output)
{
	char folder[FOLDER_PATH], path[FOLDER_PATH + 8];
	const char *all[PROCESS_ARGS] = { process_program() };
	int status = 0;
	for (size_t n = 1; *words; n++) {
		assert_true(n + 1 < PROCESS_ARGS);
		all[n] = *words++;
	}
	folder_make(folder);
	snprintf(path, sizeof path, "%s/out", folder);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_exec(path, all, NULL);
	bool ended = ended_within(pid, &status, PROCESS_WAIT_MS);
	if (!ended) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	file_read(path, output);
	folder_remove(folder);
	if (!ended)
		fail_msg("tally %s did not end", all[1]);
	return status_code(status);
}

/* ---- HTTP ------------------------------------------------------------------------------------------------------ */

bool connection_open(struct connection *connection, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = PROCESS_WAIT_MS / 1000 };
	int on = 1;
	*connection = (struct connection){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_true(connection->fd >= 0);
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) == 0)
		return true;
	connection_close(connection);
	return false;
}

void connection_close(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	buf_free(&connection->in);
}

bool connection_send(struct connection *connection, const char *method, const char *path, struct str body)
{
	return connection_send_type(connection, method, path, "application/json", body);
}

bool connection_send_type(struct connection *connection, const char *method, const char *path, const char *content_type,
			  struct str body)
{
	struct buf request = { 0 };
	size_t at = 0;
	buf_printf(&request, "%s %s HTTP/1.1\r\nHost: tally\r\nX-Brand: " BRAND "\r\n", method, path);
	if (body.len)
		buf_printf(&request, "Content-Type: %s\r\nContent-Length: %zu\r\n", content_type, body.len);
	buf_lit(&request, "\r\n");
	buf_str(&request, body);
	while (at < request.len) {
		ssize_t sent = send(connection->fd, request.ptr + at, request.len - at, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			break;
		at += (size_t)sent;
	}
	bool whole = at == request.len;
	buf_free(&request);
	return whole;
}

/* A whole answer at the front of what came: its status; 0: not yet. */
static int answer_parse(struct connection *connection, struct buf *body)
{
	struct buf *in = &connection->in;
	const char *end = in->len ? memmem(in->ptr, in->len, "\r\n\r\n", 4) : NULL;
	if (!end)
		return 0;
	size_t head = (size_t)(end - in->ptr) + 4, len = 0;
	int status = 0;
	in->ptr[head - 2] = '\0';                      /* the head becomes a text; its last line keeps its end */
	const char *field = strcasestr(in->ptr, "\r\nContent-Length:");
	bool good = sscanf(in->ptr, "HTTP/1.1 %d", &status) == 1 && (field ? sscanf(field + 17, "%zu", &len) == 1 : status == 204);
	in->ptr[head - 2] = '\r';
	if (!good)
		fail_msg("an answer without status or length: %.*s", (int)head, in->ptr);
	if (in->len - head < len)
		return 0;
	body->len = 0;
	buf_bytes(body, in->ptr + head, len);
	in->len -= head + len;
	memmove(in->ptr, in->ptr + head + len, in->len);
	return status;
}

int connection_take(struct connection *connection, int wait_ms, struct buf *body)
{
	uint64_t until = clock_us() + (uint64_t)wait_ms * 1000;
	for (;;) {
		int status = answer_parse(connection, body);
		if (status)
			return status;
		uint64_t now = clock_us();
		int rest = now < until ? (int)((until - now + 999) / 1000) : 0;
		struct pollfd wanted = { .fd = connection->fd, .events = POLLIN };
		int got = poll(&wanted, 1, rest);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return 0;
		buf_room(&connection->in, 65536);
		ssize_t len = recv(connection->fd, connection->in.ptr + connection->in.len, 65536, 0);
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return -1;
		connection->in.len += (size_t)len;
	}
}

void process_serve(struct process *process, unsigned *shards, const char *const *options, struct connection *connection)
{
	struct buf said = { 0 };
	*shards = 5 - *shards;
	if (!process_start(process, *shards, options)) {
		process_said(process, &said);
		fail_msg("no start: %s", said.ptr);
	}
	assert_true(connection_open(connection, process->port));
}

int connection_ask(struct connection *connection, const char *method, const char *path, struct str body,
		   struct buf *answer)
{
	int status = -1;
	if (connection_send(connection, method, path, body))
		status = connection_take(connection, PROCESS_WAIT_MS, answer);
	if (status <= 0)
		fail_msg("%s %s: %s", method, path, status ? "the server is gone" : "no answer");
	return status;
}
