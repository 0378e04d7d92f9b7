// SPDX-License-Identifier: Apache-2.0
/* options.h - the options of the server, declared once.
 *
 * One table (options.c) holds name, environment variable, type, default, bounds, unit and meaning of every option.
 * Parsing, messages, the configuration file and the help text all come from it.  A value is taken from the first place
 * that has it: flag (--log-ring 16M), environment (TALLY_LOG_RING), `.env` in the working directory, file (--config
 * FILE; lines `log-ring = 16M`), default.  A name or value that is not understood is an error that says where it
 * stands and what was expected; nothing is ignored silently.
 */
#ifndef NET_CLI_OPTIONS_H
#define NET_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/buf.h"
#include "net/loop/logline.h"

enum { OPTIONS_EXIT_USAGE = 64, OPTIONS_LISTEN_MAX = 8, OPTIONS_SHARDS_MAX = 64 };

enum customers_mode { CUSTOMERS_AUTO, CUSTOMERS_STRICT };  /* ingestion creates unknown customers, or refuses them */
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT };     /* auto: text on a terminal, else JSON */

struct listen_address {
	char *host;                    /* owned; "127.0.0.1", "::1" (written [::1]:8000) or a name */
	uint16_t port;                 /* 0: the system picks one; see ready_file */
	char *service;                 /* owned; "ledger", "membership" or "all", behind a "="; NULL where absent */
};

struct listen_list {
	struct listen_address list[OPTIONS_LISTEN_MAX];
	size_t count;
};

struct options {
	char *data;                    /* owned; directory of the log */
	struct listen_list http;       /* at least one */
	struct listen_list rpc;        /* 127.0.0.1:8100 unless given; may be empty */
	int64_t shards;                /* 1..64; 0: as many as there are processors */
	int64_t memory;                /* bytes; 0: three quarters of the machine */
	int64_t id_memory;             /* bytes; 0: a quarter of `memory` */
	int64_t id_retention;          /* seconds; 0: for ever */
	int64_t log_segment;           /* bytes */
	int64_t log_ring;              /* bytes */
	bool log_direct;               /* write the log past the page cache */
	int64_t snapshot_interval;     /* seconds; 0: never by the clock */
	int64_t snapshot_log_bytes;    /* bytes of log behind the newest; 0: however many */
	char *message_url;             /* owned; NULL: none */
	int64_t webhook_attempts, webhook_timeout;     /* seconds */
	int64_t snapshot_keep;         /* so many stay */
	int64_t retain_age;            /* seconds of log that stay; 0: for ever */
	int64_t retain_bytes;          /* bytes of log that stay; 0: all */
	char *archive;                 /* owned; where segments are copied before they are dropped; NULL: nowhere */
	int64_t snapshot_rate;         /* bytes a second, before compression; 0: as fast as it goes */
	bool scheduler;                /* run internal jobs when they are due */
	int64_t expiry_interval;       /* seconds between two sweeps for rewards past their end; 0: never */
	int64_t clock_ahead;           /* seconds that this server's clock is ahead of the machine's */
	int64_t body_max;              /* bytes of one request body */
	int64_t connections;           /* open at a time */
	int64_t rows_max;              /* rows of one batch */
	enum customers_mode customers;
	enum log_level log_level;
	enum log_format log_format;
	int64_t idle_timeout;          /* seconds until an idle connection is closed */
	char *ready_file;              /* owned; NULL: none.  "http 127.0.0.1:8000" a line, put in place by rename */
	char *config;                  /* owned; NULL: none */
	bool database_url_unused;      /* DATABASE_URL was set: accepted, to be logged as unused */
	bool tigerbeetle_address_unused, redis_url_unused;     /* likewise TIGERBEETLE_ADDRESS, REDIS_URL */
};

/* Fills *options from flags, environment, `.env`, file and defaults.  argv holds the words behind the command.  False
 * with one line in `error` (no line feed); the caller prints it and exits with OPTIONS_EXIT_USAGE.  Free in either
 * case. */
bool options_read(struct options *options, int argc, char **argv, struct buf *error);
void options_free(struct options *options);

/* Every option and its value as one JSON object, in the order of the table; for the log line at the start. */
void options_json(const struct options *options, struct buf *out);

/* The options that `command` takes ("serve"), a line each, aligned.  Prints nothing for a command that takes none. */
void options_help(FILE *out, const char *command);

/* Parsing of the table's types, also for other commands.  False: malformed. */
bool options_parse_size(const char *text, int64_t *out);   /* 4096, 64K, 64M, 1G, 2T */
bool options_parse_listen(const char *text, struct listen_address *out);   /* copies what it keeps */

#endif
