// SPDX-License-Identifier: Apache-2.0
/* import.h - sending a CSV file to a server through its public API; behind `tally import` and `tally sample`. */
#ifndef NET_CLI_IMPORT_H
#define NET_CLI_IMPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/csv.h"
#include "net/cli/client.h"

enum { IMPORT_DONE = 0, IMPORT_REJECTED = 1, IMPORT_FAILED = 2 };

struct import {
	/* Set by the caller; everything is borrowed. */
	struct client *client;
	enum csv_kind kind;
	FILE *file;
	const char *name;              /* of the file, for messages */
	struct csv_pair renames[CSV_PAIRS_MAX];
	size_t rename_count;
	struct csv_pair constants[CSV_PAIRS_MAX];
	size_t constant_count;
	bool strict;
	FILE *rejects;                 /* NULL: only stderr, bounded */
	/* Each event that was taken: its member's balance at that LSN.  May be NULL. */
	void (*on_event)(void *context, struct str profile, int64_t points, int64_t lsn);
	void *context;

	/* The result. */
	uint64_t rows, imported, repeated, rejected;
	double seconds;
};

/* Sends the whole file and shows the progress on stderr.  IMPORT_FAILED has said why on stderr. */
int import_run(struct import *import);

void import_number(char out[32], uint64_t value);  /* 1,234,567 */
double import_clock(void);                         /* seconds, monotonic */

#endif
