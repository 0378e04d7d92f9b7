// SPDX-License-Identifier: Apache-2.0
/* commands.h - the commands of the binary, declared once (commands.c) and dispatched from there.
 *
 * argv begins with the word behind the command's name.  The result is the exit status: 0 done, 1 done with rejections
 * or findings, 2 could not be done, 64 wrong use.
 */
#ifndef NET_CLI_COMMANDS_H
#define NET_CLI_COMMANDS_H

#include <stdio.h>

#include "net/cli/options.h"

int commands_main(int argc, char **argv);          /* the whole program; argv as main got it */

/* One line on stderr, "tally COMMAND: …", and the status for wrong use. */
int command_misuse(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

int cmd_serve(const struct options *options);      /* net/main */
int cmd_check(int argc, char **argv);              /* net/main */
int cmd_log(int argc, char **argv);                /* net/main */
int cmd_dump(int argc, char **argv);               /* net/main */
int cmd_liability(int argc, char **argv);          /* net/main */
int cmd_snapshot(int argc, char **argv);           /* net/cli */
int cmd_backup(int argc, char **argv);             /* net/cli */
int cmd_restore(int argc, char **argv);            /* net/cli */
int cmd_eval(int argc, char **argv);               /* net/cli */
int cmd_cron(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_sample(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
