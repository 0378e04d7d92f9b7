// SPDX-License-Identifier: Apache-2.0
/* process.h - a real server as a child process, and HTTP to it over plain sockets.
 *
 * Everything of one test lies in one folder: FOLDER/data, FOLDER/ready, FOLDER/log (what the server said).  A server
 * ends with the test at the latest.  All waits are bounded; what goes wrong that no test provokes ends
 * the test with a word.
 */
#ifndef TESTS_CRASH_PROCESS_H
#define TESTS_CRASH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/buf.h"

enum { PROCESS_WAIT_MS = 60000, FOLDER_PATH = 128, PROCESS_ARGS = 64 };

struct process {
	pid_t pid;                     /* 0: not running */
	uint16_t port;                 /* of HTTP */
	uint16_t rpc_port;
	int status;                    /* as waitpid gave it, once it ended */
	unsigned lives;                /* starts */
	char folder[FOLDER_PATH];
	void (*prepare)(const char *folder);   /* runs in the child before the program starts; may be NULL */
};

void folder_make(char folder[FOLDER_PATH]);        /* a new one below TMPDIR or /tmp */
void folder_remove(const char *folder);            /* with everything in it */
void file_read(const char *path, struct buf *out); /* appends; a missing file is empty */

/* TALLY_CRASH_BIN, TALLY_BIN, build/asan/tally, build/tally: the first that is set, or there. */
const char *process_program(void);

/* Starts `tally serve` on FOLDER/data and a free port; `options`, ended by NULL, come behind.  False if it ended
 * before it was ready: see status and FOLDER/log. */
bool process_start(struct process *process, unsigned shards, const char *const *options);
/* Small segments, and snapshots only when they are asked for, or as what follows says. */
#define SMALL_LOG "--log-segment", "1M", "--log-ring", "256K", "--snapshot-interval", "0"
void process_kill(struct process *process);        /* SIGKILL, and waits; nothing if it does not run */
int process_stop(struct process *process);         /* SIGTERM, and waits; the exit status, or minus the signal */
int process_wait(struct process *process);         /* waits until it ends by itself; the same */
int process_status(const struct process *process); /* of one that ended: the exit status, or minus the signal */
void process_said(const struct process *process, struct buf *text);        /* what the last one wrote, as a text */
void process_said_ever(const struct process *process, struct buf *text);   /* the same with those before it */

/* Runs `tally WORD...` to its end; words ended by NULL.  Its output, both streams, is appended.  The exit status. */
int program_run(const char *const *words, struct buf *output);

struct connection {
	int fd;                        /* -1: closed */
	struct buf in;                 /* owned; what came and was not yet taken */
};

bool connection_open(struct connection *connection, uint16_t port);
/* Starts the server with 1 and 4 shards in turn (*shards: those of the last start, before the first one 4) and connects; it must start. */
void process_serve(struct process *process, unsigned *shards, const char *const *options, struct connection *connection);
void connection_close(struct connection *connection);

/* Writes one request of the brand BRAND, with a body of JSON if it has one.  False: the other side is gone. */
bool connection_send(struct connection *connection, const char *method, const char *path, struct str body);
bool connection_send_type(struct connection *connection, const char *method, const char *path, const char *content_type,
			  struct str body);

/* Takes one answer; waits up to `wait_ms` for it (0: only what is there).  The status; 0: none yet; -1: the other side
 * is gone.  Replaces what is in `body`. */
int connection_take(struct connection *connection, int wait_ms, struct buf *body);

/* A question and its answer; a connection that is gone is a failure of the test. */
int connection_ask(struct connection *connection, const char *method, const char *path, struct str body,
		   struct buf *answer);

uint64_t clock_us(void);
uint64_t random_next(uint64_t *seed);

#define BRAND "BRAND_A"

#endif
