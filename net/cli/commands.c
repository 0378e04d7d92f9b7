// SPDX-License-Identifier: Apache-2.0
/* commands.c - the table of commands: dispatch, help and the nearest name all read it. */
#include "net/cli/commands.h"

#include <curl/curl.h>
#include <llhttp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>
#include <yyjson.h>
#include <zstd.h>

#include "engine/base/buf.h"
#include "engine/cron/cron.h"
#include "net/cli/version.h"
#include "net/surface/reference.h"

struct command {
	const char *name;
	const char *usage;             /* the words behind the name */
	const char *summary;
	const char *detail;            /* lines for `tally help NAME`; may be "" */
	int (*run)(int argc, char **argv);
};

static int serve(int argc, char **argv);

static const struct command commands[] = {
	{ "serve", "[--OPTION VALUE]...", "Run the server until SIGTERM or Ctrl-C",
	  "An option is taken from the flag, else from its environment variable, else from .env in the working\n"
	  "directory, else from the file of --config, else its default. SIZE is bytes or ends in K, M, G or T.\n", serve },
	{ "import", "events|customers FILE.csv --to URL [--map COLUMN=FIELD]... [--set FIELD=VALUE]... [--strict] "
	  "[--rejects FILE]", "Send a CSV file to a server, with progress and the rows that were refused",
	  "Fields of events: brand, profileId, eventType, eventId, source, payload (JSON), payload.NAME.\n"
	  "Fields of customers: brand, profileId, status, tags (separated by ; or |) and any other name.\n\n"
	  "  --to URL             the server, http://127.0.0.1:8000\n"
	  "  --map COLUMN=FIELD   the column COLUMN gives the field FIELD\n"
	  "  --set FIELD=VALUE    the field FIELD is VALUE in every row\n"
	  "  --strict             events of unknown customers are refused instead of creating them\n"
	  "  --rejects FILE       every refused row with its line and reason (20 are shown on stderr)\n\n"
	  "Exit status: 0 every row was taken, 1 some were refused, 2 the server could not be reached.\n", cmd_import },
	{ "eval", "[RULE DATA]", "Evaluate a JSONLogic condition as the engine does",
	  "Without arguments reads lines {\"rule\":…,\"data\":…} from stdin and answers each with one line:\n"
	  "the result as JSON or {\"error\":…}.\n", cmd_eval },
	{ "cron", "EXPR [--zone ZONE] [--after TIME] [--count N] [--previous]",
	  "Print when a schedule occurs, as the scheduler runs it",
	  "EXPR is \"MINUTE HOUR DAY-OF-MONTH MONTH DAY-OF-WEEK\", in quotes. A line for each time: in UTC, and on the\n"
	  "clock of the zone with its offset.\n\n"
	  "  --zone ZONE          an IANA name, Europe/Berlin (default UTC)\n"
	  "  --after TIME         the times behind this one, 2026-03-29T00:00:00Z (default: now)\n"
	  "  --count N            (default 5)\n"
	  "  --previous           the times up to TIME instead, the latest first\n\n"
	  "Exit status: 0 done, 1 there is no such time, 64 an argument is wrong.\n", cmd_cron },
	{ "sample", "--to URL [--file FILE.csv] [--seed N] [--count N]", "Load sample purchases into a running server",
	  "Makes the event type PURCHASE and one earning rule for the brand CDNOW and imports purchases: those of\n"
	  "FILE.csv, else synthetic ones made from a seed. A second time changes nothing.\n", cmd_sample },
	{ "bench", "[--work KIND] [--rpc ADDR:PORT] [--OPTION VALUE]...", "Measure how fast a server answers",
	  "Creates accounts of tenants bench-0, bench-1 ... (or, for events, their type and a rule), then sends work and\n"
	  "prints how much was answered and how late. Meant for a server whose data may be thrown away.\n\n"
	  "  --work earn          batches of transfers from a tenant's liability to its members (the default)\n"
	  "         single        the same, one transfer a request\n"
	  "         events        events.ingest with arrays of events, through a rule\n"
	  "         events-http   the same as POST /transactions\n"
	  "         none          only create the accounts\n"
	  "  --rpc ADDR:PORT      MessagePack-RPC (default 127.0.0.1:8100)\n"
	  "  --http ADDR:PORT     HTTP, for the two kinds of events (default 127.0.0.1:8000)\n"
	  "  --batch N            rows of a request (default 8190)\n"
	  "  --in-flight N        requests under way on each connection (default 2)\n"
	  "  --connections N      (default 1)\n"
	  "  --accounts N         member accounts, all tenants together (default 1000000)\n"
	  "  --tenants N          (default 10)\n"
	  "  --seconds N          measured time (default 30), after --warmup N (default 2)\n"
	  "  --count N            send N rows instead, without warm-up, and measure all of them\n"
	  "  --rate N             offer N rows a second whatever the server does; latency then counts from when a\n"
	  "                       request was due, so that a stall shows in all that it delayed\n"
	  "  --seed N             of ids and amounts; the same seed sends the same ids again (default: the clock)\n"
	  "  --setup yes|no       no: accounts, type and rule are there from an earlier run with the same numbers\n"
	  "  --report text|json   (default text)\n\n"
	  "Exit status: 0 everything was done, 1 some was refused, 2 the server could not be reached or stopped.\n",
	  cmd_bench },
	{ "check", "DIR", "Prove that a data directory or a backup is whole and its books balance",
	  "Reads every byte of the log, of snapshots, ids on disk and a backup's files, and changes nothing; also beside a running server,\n"
	  "and of an archive. What is damaged is named, with file, LSN and bytes.\n\n"
	  "Exit status: 0 whole and balanced, 1 damaged, not balanced or not finished, 2 not a data directory.\n", cmd_check },
	{ "snapshot", "--to URL", "Have a server write a snapshot, and wait for it",
	  "Prints its name, LSNs, sizes and times as JSON; \"unchanged\" is true where nothing was written since the newest one.\n\n"
	  "Exit status: 0 it is durable, 1 it could not be written, 2 no server.\n", cmd_snapshot },
	{ "backup", "DIR --from URL [--state-only] [--keep N] [--rate SIZE]", "Fetch a backup of a running server into a folder",
	  "The newest snapshot (the server takes one if there is none, or much log behind it), the log, and what belongs to them, with a\n"
	  "manifest of hashes that is put in place last. Into a folder that holds a backup of the same server already only what is\n"
	  "new is fetched. What was interrupted goes on where it stopped.\n\n"
	  "  --from URL           the server, http://127.0.0.1:8000\n"
	  "  --state-only         leave out the log in front of the snapshot: no history before it\n"
	  "  --keep N             older snapshots than the N newest are removed from DIR; the log stays (default: all stay)\n"
	  "  --rate SIZE          bytes a second at most\n\n"
	  "Exit status: 0 done, 1 DIR holds something else, or damage, 2 the server or the disk failed: start it again.\n", cmd_backup },
	{ "restore", "BACKUP DIR [--to LSN|TIME]", "Make a data directory of a backup, as it was at its end or at an earlier moment",
	  "DIR must be new or empty. Every hash of the backup is compared first. A server that starts on DIR answers as the first one did\n"
	  "then, and goes on in the next epoch.\n\n"
	  "  --to LSN             everything up to there: the last frame that ends at or before this LSN\n"
	  "  --to TIME            2026-01-31T12:00:00.000Z: the highest LSN up to which nothing is later\n\n"
	  "Exit status: 0 done, 1 the backup is damaged or does not reach there, 2 it could not be done: start it again.\n", cmd_restore },
	{ "dump", "DIR [--log-only] | --from URL | --diff A B", "Print all state as text, with its hash",
	  "The same state gives the same text, whatever snapshots there are and however many shards made it: lines in order of\n"
	  "their bytes, the last one the hash of all others.\n\n"
	  "  --log-only           leave snapshots aside and read the log from its beginning\n"
	  "  --from URL           of a running server: as of one LSN, by way of a backup in a folder of its own below TMPDIR\n"
	  "  --diff A B           print the lines that only A (-) or only B (+) has; each a directory, a backup, a dump's file or a URL\n\n"
	  "Exit status: 0 done (--diff: no difference), 1 damage (--diff: they differ), 2 not a data directory, or no server.\n", cmd_dump },
	{ "liability", "DIR|URL --tenant NAME [--at LSN|TIME]", "Print what a tenant owes, now or at a moment",
	  "By unit and month of expiry, with the proof that it sums, as JSON. Of a directory without a server it is replayed from\n"
	  "a snapshot; a server (http://127.0.0.1:8000) answers from the footers of its log.\n\n"
	  "  --tenant NAME        the tenant (brand, organization)\n"
	  "  --at LSN|TIME        an LSN, or an RFC 3339 time: 2026-11-21T15:08:00Z (default: now)\n\n"
	  "Exit status: 0 done, 1 not kept, damaged, or no such tenant then, 2 not a data directory or no server.\n", cmd_liability },
	{ "log", "DIR [--from LSN] [--follow] [--json]", "Print the log of a data directory",
	  "A line for each frame, and below it one for each of its records. Also beside a running server, and of an archive.\n\n"
	  "  --from LSN           from the first frame at or behind it (decimal, or 0x...)\n"
	  "  --follow             go on with what is written from now on, until Ctrl-C\n"
	  "  --json               every line is JSON: frames, and records by themselves\n\n"
	  "Exit status: 0 printed, 1 damage, 2 not a data directory.\n", cmd_log },
	{ "version", "", "Print the version and those of the libraries", "", cmd_version },
	{ "help", "[COMMAND | api [WORD | --markdown]]", "Print this, what a command takes, or the API",
	  "  api                  every operation of the server, a line each\n"
	  "  api WORD             all about the operations and codes of refusals that have the word\n"
	  "  api --markdown       the whole reference, as it stands in docs/api-reference.md\n", cmd_help },
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]), WORD_MAX = 32 };

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Edits between two words, by Levenshtein. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	size_t len_a = strlen(a), len_b = strlen(b);

	if (len_a > WORD_MAX || len_b > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= len_b; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= len_a; i++) {
		unsigned corner = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= len_b; j++) {
			unsigned change = corner + (a[i - 1] != b[j - 1]);
			corner = row[j];
			row[j] = least(change, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[len_b];
}

static int command_unknown(const char *name)
{
	const struct command *nearest = &commands[0];

	for (size_t i = 1; i < COMMAND_COUNT; i++)
		if (distance(name, commands[i].name) < distance(name, nearest->name))
			nearest = &commands[i];
	if (distance(name, nearest->name) <= 3)
		fprintf(stderr, "tally: unknown command \"%s\"; did you mean \"%s\"?\n", name, nearest->name);
	else
		fprintf(stderr, "tally: unknown command \"%s\" (tally help lists them)\n", name);
	return OPTIONS_EXIT_USAGE;
}

int command_misuse(const char *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "tally %s: ", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, " (tally help %s)\n", command);
	return OPTIONS_EXIT_USAGE;
}

static int serve(int argc, char **argv)
{
	struct options options;
	struct buf error = { 0 };
	int status = OPTIONS_EXIT_USAGE;

	if (options_read(&options, argc, argv, &error))
		status = cmd_serve(&options);
	else
		fprintf(stderr, "tally serve: %.*s\n", (int)error.len, error.ptr);
	options_free(&options);
	buf_free(&error);
	return status;
}

static void help_command(FILE *out, const struct command *command)
{
	fprintf(out, "usage: tally %s%s%s\n\n%s.\n", command->name, *command->usage ? " " : "", command->usage,
		command->summary);
	if (*command->detail)
		fprintf(out, "\n%s", command->detail);
	if (command->run == serve)
		fprintf(out, "\n");
	options_help(out, command->name);
}

static void help_all(FILE *out)
{
	fprintf(out, "Tally %s, a loyalty engine.\n\nusage: tally COMMAND [ARGUMENTS]\n\n", VERSION);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\ntally help COMMAND says what a command takes.\n");
}

static int help_api(const char *word)
{
	struct buf out = { 0 };
	bool found = true;
	if (word && strcmp(word, "--markdown") == 0)
		reference_markdown(&out);
	else
		found = reference_terminal(&out, word);
	if (out.len)
		fwrite(out.ptr, 1, out.len, stdout);
	buf_free(&out);
	if (found)
		return 0;
	fprintf(stderr, "tally help api: nothing has the word \"%s\" (tally help api lists the operations)\n", word);
	return 1;
}

int cmd_help(int argc, char **argv)
{
	if (argc > 0 && argc <= 2 && strcmp(argv[0], "api") == 0)
		return help_api(argc == 2 ? argv[1] : NULL);
	if (argc > 1)
		return command_misuse("help", "one command at a time");
	if (argc == 0) {
		help_all(stdout);
		return 0;
	}
	const struct command *command = command_find(argv[0]);
	if (!command)
		return command_unknown(argv[0]);
	help_command(stdout, command);
	return 0;
}

static const char *sanitizers(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return ", with AddressSanitizer";
#elif defined(__SANITIZE_THREAD__)
	return ", with ThreadSanitizer";
#else
	return "";
#endif
}

int cmd_version(int argc, char **argv)
{
	(void)argv;
	if (argc)
		return command_misuse("version", "takes no arguments");
	unsigned xxhash = XXH_versionNumber();
	char icu[CRON_VERSIONS_MAX];
	cron_versions(icu);
	printf("tally %s\n", VERSION);
	printf("libuv %s, llhttp %d.%d.%d, yyjson %s, xxHash %u.%u.%u, zstd %s, curl %s, %s\n", uv_version_string(),
	       LLHTTP_VERSION_MAJOR,
	       LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH, YYJSON_VERSION_STRING, xxhash / 10000, xxhash / 100 % 100,
	       xxhash % 100, ZSTD_versionString(), curl_version_info(CURLVERSION_NOW)->version, icu);
	printf("built with %s %s%s\n",
#ifdef __clang__
	       "clang", __clang_version__,
#else
	       "gcc", __VERSION__,
#endif
	       sanitizers());
	return 0;
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int commands_main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		help_all(stderr);
		return OPTIONS_EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	const struct command *command = command_find(name);
	if (!command)
		return command_unknown(name);
	argc -= 2;
	argv += 2;
	if (command->run != cmd_help && asks_for_help(argc, argv)) {
		help_command(stdout, command);
		return 0;
	}
	return command->run(argc, argv);
}
