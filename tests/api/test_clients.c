// SPDX-License-Identifier: Apache-2.0
/* test_clients.c - clients in other languages, with public MessagePack libraries, against a real server. */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/api/harness.h"

/* Runs a client with the server's port; it exits with 0 or says what is wrong. */
static void client_runs(const char *interpreter, const char *script)
{
	char port[16], output[4096];
	int ends[2], status;
	size_t len = 0;
	ssize_t got;
	if (access(interpreter, X_OK) != 0 || access(script, R_OK) != 0)
		fail_msg("%s or %s is missing", interpreter, script);
	snprintf(port, sizeof port, "%d", harness_server.rpc_port);
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
	client_runs("/usr/bin/python3", "tests/api/clients/client.py");
}

static void perl_speaks_it(void **state)
{
	(void)state;
	client_runs("/usr/bin/perl", "tests/api/clients/client.pl");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(python_speaks_it),
		cmocka_unit_test(perl_speaks_it),
	};
	return harness_run("clients", tests, COUNT_OF(tests), NULL);
}
