// SPDX-License-Identifier: Apache-2.0
/* snapshot.c - `tally snapshot --to URL`: POST /v1/snapshots, and its answer on stdout. */
#include <string.h>

#include "net/cli/client.h"
#include "net/cli/commands.h"

int cmd_snapshot(int argc, char **argv)
{
	struct client_call call = { .method = "POST", .path = "/v1/snapshots", .content_type = "application/json", .body = STR("{}") };
	if (argc != 2 || strcmp(argv[0], "--to") != 0)
		return command_misuse("snapshot", "expected --to URL");
	struct client *client = client_new(argv[1]);
	if (!client)
		return command_misuse("snapshot", "--to %s: http://ADDR:PORT was expected", argv[1]);
	int status = 0;
	if (!client_do(client, &call)) {
		fprintf(stderr, "tally snapshot: %s: %s\n", client_url(client), call.error);
		status = 2;
	} else if (call.status != 201 && call.status != 200) {
		fprintf(stderr, "tally snapshot: %s answered %ld: %.*s\n", client_url(client), call.status, (int)call.answer.len,
			call.answer.ptr);
		status = 1;
	} else {
		printf("%.*s\n", (int)call.answer.len, call.answer.ptr);
	}
	buf_free(&call.answer);
	client_free(client);
	return status;
}
