// SPDX-License-Identifier: Apache-2.0
/* test_clients.c - clients in other languages against a real server: with public MessagePack libraries, and with curl. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/api/harness.h"

/* Runs a client with a port of the server; it exits with 0 or says what is wrong. */
static void client_runs(const char *interpreter, const char *script, int at)
{
	char port[16], output[4096];
	int ends[2], status;
	size_t len = 0;
	ssize_t got;
	if (access(interpreter, X_OK) != 0 || access(script, R_OK) != 0)
		fail_msg("%s or %s is missing", interpreter, script);
	snprintf(port, sizeof port, "%d", at);
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		execl(interpreter, interpreter, script, port, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((got = read(ends[0], output + len, sizeof output - 1 - len)) > 0)
		len += (size_t)got;
	output[len] = '\0';
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || strcmp(output, "ok\n") != 0)
		fail_msg("%s (status %x): %s", script, (unsigned)status, output);
}

static void python_speaks_it(void **state)
{
	(void)state;
	/* Debian's, which has Debian's msgpack. */
	client_runs("/usr/bin/python3", "tests/api/clients/client.py", harness_server.rpc_port);
}

static void perl_speaks_it(void **state)
{
	(void)state;
	client_runs("/usr/bin/perl", "tests/api/clients/client.pl", harness_server.rpc_port);
}

/* A73, A74, A75: the documented calls, unchanged. */
static void a73_to_a75_walkthrough(void **state)
{
	(void)state;
	client_runs("/bin/bash", "tests/api/clients/walkthrough.sh", harness_server.port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(python_speaks_it),
		cmocka_unit_test(perl_speaks_it),
		cmocka_unit_test(a73_to_a75_walkthrough),
	};
	return harness_run("clients", tests, COUNT_OF(tests), NULL);
}
