// SPDX-License-Identifier: Apache-2.0
/* options.c - the table of options and everything that is derived from it.
 *
 * Sources are applied from the weakest to the strongest: defaults, file, `.env`, environment, flags.  A list (http,
 * rpc) that a stronger source gives replaces the weaker one's and grows within one source.
 */
#include "net/cli/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/utf8.h"

extern char **environ;

enum type { TYPE_TEXT, TYPE_LISTEN, TYPE_COUNT, TYPE_SIZE, TYPE_SECONDS, TYPE_BOOL, TYPE_CHOICE };
enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_DOTENV, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct spec {
	const char *name;              /* the flag without its dashes; the name in the file */
	const char *env;
	enum type type;
	size_t offset;                 /* of the field in struct options */
	const char *initial;           /* the default, read like any other value; NULL: none */
	int64_t min, max;
	int64_t step;                  /* the value is a multiple of it; -1: a power of two; 0: any */
	bool zero;                     /* 0 is allowed below min; `doc` says what it means */
	bool none;                     /* TYPE_LISTEN: "none" is an empty list, and "=SERVICE" is not allowed */
	const char *choices;           /* TYPE_CHOICE: words in the order of the enum */
	const char *unit;              /* how the value looks, for the help */
	const char *doc;
	const char *commands;
};

#define SERVICES "ledger|membership|all"

#define K INT64_C(1024)
#define M (1024 * K)
#define G (1024 * M)
#define AT(field) offsetof(struct options, field)

static const struct spec specs[] = {
	{ "data", "TALLY_DATA", TYPE_TEXT, AT(data), "./data", .unit = "DIR", .commands = "serve",
	  .doc = "directory of the log; made if it is missing" },
	{ "http", "TALLY_HTTP", TYPE_LISTEN, AT(http), "127.0.0.1:8000", .unit = "ADDR:PORT[=SERVICE]",
	  .commands = "serve",
	  .doc = "listen here for HTTP; may be repeated; SERVICE (ledger, membership, all) is what health checks are told" },
	{ "rpc", "TALLY_RPC", TYPE_LISTEN, AT(rpc), "127.0.0.1:8100", .none = true, .unit = "ADDR:PORT|none",
	  .commands = "serve", .doc = "listen here for MessagePack-RPC; may be repeated; none: nowhere" },
	{ "shards", "TALLY_SHARDS", TYPE_COUNT, AT(shards), "0", 1, OPTIONS_SHARDS_MAX, .zero = true, .unit = "N",
	  .commands = "serve", .doc = "shards of members; 0: one on up to two processors, else half of them" },
	{ "memory", "TALLY_MEMORY", TYPE_SIZE, AT(memory), "0", 64 * M, 1024 * 1024 * G, .zero = true, .unit = "SIZE",
	  .commands = "serve", .doc = "memory that tables may take; 0: three quarters of the machine" },
	{ "id-memory", "TALLY_ID_MEMORY", TYPE_SIZE, AT(id_memory), "0", 4 * K, 1024 * 1024 * G, .zero = true, .unit = "SIZE",
	  .commands = "serve", .doc = "memory that ids may take before the oldest move to disk; 0: a quarter of --memory" },
	{ "id-retention", "TALLY_ID_RETENTION", TYPE_SECONDS, AT(id_retention), "0", 1, 3200000000, .zero = true, .unit = "SECONDS",
	  .commands = "serve", .doc = "how long ids are remembered once their part of the log is gone; 0: for ever" },
	{ "log-segment", "TALLY_LOG_SEGMENT", TYPE_SIZE, AT(log_segment), "64M", 1 * M, 64 * G, 4096, .unit = "SIZE",
	  .commands = "serve", .doc = "size of one segment file" },
	{ "log-ring", "TALLY_LOG_RING", TYPE_SIZE, AT(log_ring), "16M", 64 * K, 4 * G, -1, .unit = "SIZE",
	  .commands = "serve", .doc = "bytes on their way to the disk; at most a segment" },
	{ "log-direct", "TALLY_LOG_DIRECT", TYPE_BOOL, AT(log_direct), "on", .unit = "on|off", .commands = "serve",
	  .doc = "write the log past the page cache" },
	{ "retain-age", "TALLY_RETAIN_AGE", TYPE_SECONDS, AT(retain_age), "0", 1, 3153600000, .zero = true, .unit = "SECONDS",
	  .commands = "serve", .doc = "log older than this may be dropped; 0: never" },
	{ "retain-bytes", "TALLY_RETAIN_BYTES", TYPE_SIZE, AT(retain_bytes), "0", 1 * M, 1024 * 1024 * G, .zero = true,
	  .unit = "SIZE", .commands = "serve", .doc = "log beyond its newest SIZE bytes may be dropped; 0: never" },
	{ "archive", "TALLY_ARCHIVE", TYPE_TEXT, AT(archive), NULL, .unit = "DIR", .commands = "serve",
	  .doc = "copy segments here before they are dropped" },
	{ "snapshot-interval", "TALLY_SNAPSHOT_INTERVAL", TYPE_SECONDS, AT(snapshot_interval), "3600", 1, 31536000, .zero = true,
	  .unit = "SECONDS", .commands = "serve", .doc = "a snapshot this long after the last one, if anything was written; 0: never" },
	{ "snapshot-log-bytes", "TALLY_SNAPSHOT_LOG_BYTES", TYPE_SIZE, AT(snapshot_log_bytes), "4G", 1 * M, 1024 * 1024 * G,
	  .zero = true, .unit = "SIZE", .commands = "serve", .doc = "a snapshot after so much log; 0: never" },
	{ "snapshot-keep", "TALLY_SNAPSHOT_KEEP", TYPE_COUNT, AT(snapshot_keep), "2", 1, 1000, .unit = "N", .commands = "serve",
	  .doc = "snapshots that stay on disk" },
	{ "snapshot-rate", "TALLY_SNAPSHOT_RATE", TYPE_SIZE, AT(snapshot_rate), "64M", 64 * K, 1024 * G, .zero = true, .unit = "SIZE",
	  .commands = "serve", .doc = "bytes a second that a snapshot takes, before compression; 0: as fast as it goes" },
	{ "scheduler", "LOYALTY_SCHEDULER", TYPE_BOOL, AT(scheduler), "on", .unit = "on|off", .commands = "serve",
	  .doc = "run internal jobs when they are due; off: only when asked to" },
	{ "expiry-interval", "TALLY_EXPIRY_INTERVAL", TYPE_SECONDS, AT(expiry_interval), "3600", 1, 31536000, .zero = true,
	  .unit = "SECONDS", .commands = "serve", .doc = "the scheduler marks rewards past their end this often; 0: never" },
	{ "clock-ahead", "TALLY_CLOCK_AHEAD", TYPE_SECONDS, AT(clock_ahead), "0", 0, 3200000000, .unit = "SECONDS",
	  .commands = "serve", .doc = "for rehearsals on a copy: the clock is so far ahead; there is no way back for that data" },
	{ "message-url", "TALLY_MESSAGE_URL", TYPE_TEXT, AT(message_url), NULL, .unit = "URL", .commands = "serve",
	  .doc = "gateway that the messages of send_message are posted to; none: they are not sent" },
	{ "webhook-attempts", "TALLY_WEBHOOK_ATTEMPTS", TYPE_COUNT, AT(webhook_attempts), "12", 1, 1000, .unit = "N",
	  .commands = "serve", .doc = "attempts to tell another system of an event, further and further apart, before it is given up" },
	{ "webhook-timeout", "TALLY_WEBHOOK_TIMEOUT", TYPE_SECONDS, AT(webhook_timeout), "10", 1, 600, .unit = "SECONDS",
	  .commands = "serve", .doc = "time for one of them" },
	{ "body-max", "TALLY_BODY_MAX", TYPE_SIZE, AT(body_max), "16M", 1 * K, 1 * G, .unit = "SIZE",
	  .commands = "serve",
	  .doc = "largest body of a request" },
	{ "connections", "TALLY_CONNECTIONS", TYPE_COUNT, AT(connections), "10000", 1, 1000000, .unit = "N",
	  .commands = "serve", .doc = "connections open at a time" },
	{ "rows-max", "TALLY_ROWS_MAX", TYPE_COUNT, AT(rows_max), "10000", 1, 1000000, .unit = "N", .commands = "serve",
	  .doc = "rows of one batch" },
	{ "customers", "TALLY_CUSTOMERS", TYPE_CHOICE, AT(customers), "auto", .choices = "auto|strict",
	  .unit = "auto|strict",
	  .commands = "serve", .doc = "an event of an unknown customer creates it, or is refused" },
	{ "log-level", "TALLY_LOG_LEVEL", TYPE_CHOICE, AT(log_level), "info", .choices = "debug|info|warn|error",
	  .unit = "LEVEL", .commands = "serve", .doc = "least important lines to print: debug, info, warn, error" },
	{ "log-format", "TALLY_LOG_FORMAT", TYPE_CHOICE, AT(log_format), "auto", .choices = "auto|json|text",
	  .unit = "auto|json|text", .commands = "serve", .doc = "of the lines on stderr; auto: text on a terminal" },
	{ "idle-timeout", "TALLY_IDLE_TIMEOUT", TYPE_SECONDS, AT(idle_timeout), "75", 1, 86400, .unit = "SECONDS",
	  .commands = "serve", .doc = "an idle connection is closed after this" },
	{ "ready-file", "TALLY_READY_FILE", TYPE_TEXT, AT(ready_file), NULL, .unit = "FILE", .commands = "serve",
	  .doc = "written when ready: the bound addresses, one a line (\"http 127.0.0.1:8000\")" },
	{ "config", "TALLY_CONFIG", TYPE_TEXT, AT(config), NULL, .unit = "FILE", .commands = "serve",
	  .doc = "read options from here: lines \"name = value\", # begins a comment" },
};
enum { SPEC_COUNT = sizeof(specs) / sizeof(specs[0]) };

struct reader {
	struct options *options;
	struct buf *error;
	enum source sources[SPEC_COUNT];       /* what gave the value so far */
};

static const struct spec *spec_named(struct str name)
{
	for (size_t i = 0; i < SPEC_COUNT; i++)
		if (str_eq(name, str_of(specs[i].name)))
			return &specs[i];
	return NULL;
}

static const struct spec *spec_env(struct str name)
{
	for (size_t i = 0; i < SPEC_COUNT; i++)
		if (str_eq(name, str_of(specs[i].env)))
			return &specs[i];
	return NULL;
}

static char *text_dup(const char *text)
{
	return mem_dup(text, strlen(text) + 1);
}

/* Values */

static bool parse_integer(const char *text, size_t len, int64_t *out)
{
	int64_t value = 0;

	if (!len || len > 18)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*out = value;
	return true;
}

bool options_parse_size(const char *text, int64_t *out)
{
	static const char units[] = "KMGT";
	size_t len = strlen(text);
	int64_t unit = 1;

	if (!len)
		return false;
	for (size_t i = 0; units[i]; i++) {
		if (text[len - 1] == units[i] || text[len - 1] == units[i] + ('a' - 'A')) {
			unit = INT64_C(1) << (10 * (i + 1));
			len--;
			break;
		}
	}
	return parse_integer(text, len, out) && !__builtin_mul_overflow(*out, unit, out);
}

/* The index of `text` among words separated by |; -1 if it is none of them. */
static int choice_index(const char *choices, const char *text)
{
	size_t len = strlen(text);

	for (int index = 0;; index++) {
		size_t word = strcspn(choices, "|");
		if (word == len && memcmp(choices, text, len) == 0)
			return index;
		if (!choices[word])
			return -1;
		choices += word + 1;
	}
}

bool options_parse_listen(const char *text, struct listen_address *out)
{
	const char *service = strchr(text, '='), *colon, *host = text;
	size_t len = service ? (size_t)(service - text) : strlen(text), host_len;
	int64_t port;

	colon = memrchr(text, ':', len);
	if (!colon || colon == text || (service && choice_index(SERVICES, service + 1) < 0))
		return false;
	if (!parse_integer(colon + 1, len - (size_t)(colon + 1 - text), &port) || port > 65535)
		return false;
	host_len = (size_t)(colon - text);
	if (host[0] == '[') {
		if (host_len < 3 || host[host_len - 1] != ']')
			return false;
		host++;
		host_len -= 2;
	} else if (memchr(host, ':', host_len)) {
		return false;
	}
	out->host = mem_alloc(host_len + 1);
	memcpy(out->host, host, host_len);
	out->host[host_len] = '\0';
	out->port = (uint16_t)port;
	out->service = service ? text_dup(service + 1) : NULL;
	return true;
}

static void listen_clear(struct listen_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		mem_free(list->list[i].host);
		mem_free(list->list[i].service);
	}
	list->count = 0;
}

static bool listen_add(struct listen_list *list, const char *text)
{
	char *words = text_dup(text), *rest = words;
	bool good = *words != '\0';

	while (good && rest) {
		char *comma = strchr(rest, ',');
		if (comma)
			*comma = '\0';
		good = list->count < OPTIONS_LISTEN_MAX && options_parse_listen(rest, &list->list[list->count]);
		list->count += good;
		rest = comma ? comma + 1 : NULL;
	}
	mem_free(words);
	return good;
}

static bool parse_bool(const char *text, bool *out)
{
	static const char *const words[][2] = { { "off", "on" }, { "false", "true" }, { "no", "yes" }, { "0", "1" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int value = 0; value < 2; value++) {
			if (strcmp(text, words[i][value]) == 0) {
				*out = value;
				return true;
			}
		}
	}
	return false;
}

static void size_text(int64_t value, char out[32])
{
	static const char units[] = "KMGT";
	int unit = 0;

	while (value && value % 1024 == 0 && unit < 4) {
		value /= 1024;
		unit++;
	}
	snprintf(out, 32, "%lld%.1s", (long long)value, unit ? &units[unit - 1] : "");
}

/* What 0 says, in the words of the option's own line behind "0: ". */
static struct str zero_means(const struct spec *spec)
{
	const char *words = strstr(spec->doc, "0: ");
	return words ? (struct str){ words + 3, strcspn(words + 3, ";") } : STR("automatic");
}

static void expectation(const struct spec *spec, struct buf *out)
{
	char min[32], max[32];

	switch (spec->type) {
	case TYPE_TEXT:
		buf_printf(out, "a text that is not empty");
		return;
	case TYPE_LISTEN:
		buf_printf(out, "ADDR:PORT such as 127.0.0.1:8000 or [::1]:8000%s, at most %d of them%s",
			spec->none ? "" : " (with =ledger, =membership or =all for a service's name)", OPTIONS_LISTEN_MAX,
			spec->none ? ", or none" : "");
		return;
	case TYPE_BOOL:
		buf_printf(out, "on or off");
		return;
	case TYPE_CHOICE:
		buf_printf(out, "one of %s", spec->choices);
		return;
	case TYPE_SIZE:
		size_text(spec->min, min);
		size_text(spec->max, max);
		buf_printf(out, "bytes, or with K, M, G or T behind, from %s to %s", min, max);
		break;
	case TYPE_COUNT:
	case TYPE_SECONDS:
		buf_printf(out, "%s from %lld to %lld", spec->type == TYPE_COUNT ? "a number" : "seconds",
			   (long long)spec->min, (long long)spec->max);
		break;
	}
	if (spec->step < 0)
		buf_printf(out, ", a power of two");
	if (spec->step > 0)
		buf_printf(out, ", a multiple of %lld", (long long)spec->step);
	if (spec->zero)
		buf_printf(out, ", or 0 (%.*s)", (int)zero_means(spec).len, zero_means(spec).ptr);
}

static bool number_fits(const struct spec *spec, int64_t value)
{
	if (spec->zero && value == 0)
		return true;
	return value >= spec->min && value <= spec->max && (spec->step != -1 || (value & (value - 1)) == 0) &&
	       (spec->step <= 0 || value % spec->step == 0);
}

static bool value_set(struct reader *reader, const struct spec *spec, const char *text, enum source source)
{
	char *field = (char *)reader->options + spec->offset;
	enum source *before = &reader->sources[spec - specs];
	int choice;

	switch (spec->type) {
	case TYPE_TEXT:
		if (!*text)
			return false;
		mem_free(*(char **)field);
		*(char **)field = text_dup(text);
		break;
	case TYPE_LISTEN:
		if (*before != source)
			listen_clear((struct listen_list *)field);
		if (spec->none && strcmp(text, "none") == 0)
			listen_clear((struct listen_list *)field);
		else if ((spec->none && strchr(text, '=')) || !listen_add((struct listen_list *)field, text))
			return false;
		break;
	case TYPE_COUNT:
	case TYPE_SECONDS:
		if (!parse_integer(text, strlen(text), (int64_t *)field) || !number_fits(spec, *(int64_t *)field))
			return false;
		break;
	case TYPE_SIZE:
		if (!options_parse_size(text, (int64_t *)field) || !number_fits(spec, *(int64_t *)field))
			return false;
		break;
	case TYPE_BOOL:
		if (!parse_bool(text, (bool *)field))
			return false;
		break;
	case TYPE_CHOICE:
		choice = choice_index(spec->choices, text);
		if (choice < 0)
			return false;
		*(int *)field = choice;
		break;
	}
	*before = source;
	return true;
}

/* Sets one value; the error says where it stands (`where`), what it is called there and what was expected. */
static bool value_take(struct reader *reader, const struct spec *spec, const char *text, enum source source,
		       const char *where, const char *name)
{
	/* They are logged as JSON. */
	if (!utf8_valid(str_of(text))) {
		buf_printf(reader->error, "%s%s is no UTF-8", where, name);
		return false;
	}
	if (value_set(reader, spec, text, source))
		return true;
	buf_printf(reader->error, "%s%s is \"%s\"; expected ", where, name, text);
	expectation(spec, reader->error);
	return false;
}

/* Sources */

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* A line `name = value`: comments and empty lines give no name.  Matching quotes around the value are taken off. */
static bool line_split(char *line, char **name, char **value)
{
	char *equals;
	size_t len;

	*name = NULL;
	line = trim(line);
	if (!*line || *line == '#')
		return true;
	equals = strchr(line, '=');
	if (!equals)
		return false;
	*equals = '\0';
	*name = trim(line);
	*value = trim(equals + 1);
	len = strlen(*value);
	if (len >= 2 && (**value == '"' || **value == '\'') && (*value)[len - 1] == **value) {
		(*value)[len - 1] = '\0';
		(*value)++;
	} else {
		char *comment = strstr(*value, " #");
		if (comment) {
			*comment = '\0';
			*value = trim(*value);
		}
	}
	return **name != '\0';
}

static bool file_line(struct reader *reader, const char *where, char *name, char *value)
{
	const struct spec *spec = spec_named(str_of(name));

	if (!spec || strcmp(name, "config") == 0) {
		buf_printf(reader->error, "%sunknown option \"%s\" (tally help serve lists them)", where, name);
		return false;
	}
	return value_take(reader, spec, value, SOURCE_FILE, where, name);
}

/* True for what may stand in the environment without being an option: the tests' own variables. */
static bool env_foreign(const char *name)
{
	return strncmp(name, "TALLY_", 6) != 0 || strcmp(name, "TALLY_BIN") == 0 ||
	       strncmp(name, "TALLY_TEST_", 11) == 0;
}

static bool env_take(struct reader *reader, const char *where, const char *name, const char *value, enum source source)
{
	const struct spec *spec = spec_env(str_of(name));

	/* Of the platforms that this one replaces: there is nothing to connect to. */
	if (strcmp(name, "DATABASE_URL") == 0)
		reader->options->database_url_unused = true;
	if (strcmp(name, "TIGERBEETLE_ADDRESS") == 0)
		reader->options->tigerbeetle_address_unused = true;
	if (strcmp(name, "REDIS_URL") == 0)
		reader->options->redis_url_unused = true;
	if (!spec && env_foreign(name))
		return true;
	if (!spec) {
		buf_printf(reader->error, "%sunknown variable %s (tally help serve lists them)", where, name);
		return false;
	}
	return value_take(reader, spec, value, source, where, name);
}

static bool dotenv_line(struct reader *reader, const char *where, char *name, char *value)
{
	if (strncmp(name, "export ", 7) == 0)
		name = trim(name + 7);
	if (strcmp(name, "TALLY_CONFIG") == 0) {
		buf_printf(reader->error, "%sTALLY_CONFIG cannot stand here; give it in the environment or as --config",
			where);
		return false;
	}
	return env_take(reader, where, name, value, SOURCE_DOTENV);
}

static bool lines_read(struct reader *reader, const char *path, bool optional,
		       bool (*take)(struct reader *, const char *where, char *name, char *value))
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0, number = 0;
	struct buf where = { 0 };
	bool good = true;

	if (!file && optional && errno == ENOENT)
		return true;
	if (!file) {
		buf_printf(reader->error, "%s cannot be read: %s", path, strerror(errno));
		return false;
	}
	errno = 0;
	while (good && getline(&line, &cap, file) >= 0) {
		char *name, *value = NULL;
		where.len = 0;
		buf_printf(&where, "%s:%zu: ", path, ++number);
		buf_char(&where, '\0');
		good = line_split(line, &name, &value);
		if (!good)
			buf_printf(reader->error, "%sexpected \"name = value\"", where.ptr);
		else if (name)
			good = take(reader, where.ptr, name, value);
		errno = 0;
	}
	/* Without memory for a line getline ends as if the file did. */
	if (good && (ferror(file) || errno)) {
		buf_printf(reader->error, "%s cannot be read: %s", path, strerror(errno));
		good = false;
	}
	buf_free(&where);
	mem_free(line);
	fclose(file);
	return good;
}

static bool environment_read(struct reader *reader)
{
	for (char **entry = environ; *entry; entry++) {
		char *equals = strchr(*entry, '=');
		if (!equals)
			continue;
		char *name = text_dup(*entry);
		name[equals - *entry] = '\0';
		bool good = env_take(reader, "environment: ", name, equals + 1, SOURCE_ENVIRONMENT);
		mem_free(name);
		if (!good)
			return false;
	}
	return true;
}

/* Flags are `--name value` or `--name=value`.  With `only` set, takes that one and leaves the rest to the second
 * reading. */
static bool flags_read(struct reader *reader, int argc, char **argv, const char *only)
{
	for (int i = 0; i < argc; i++) {
		const char *word = argv[i], *equals = strchr(word, '=');
		if (strncmp(word, "--", 2) != 0 || !word[2]) {
			buf_printf(reader->error, "unexpected \"%s\"; options are --name value", word);
			return false;
		}
		size_t len = equals ? (size_t)(equals - word) : strlen(word);
		const struct spec *spec = spec_named((struct str){ word + 2, len - 2 });
		if (!spec) {
			buf_printf(reader->error, "unknown option %.*s (tally help serve lists them)", (int)len, word);
			return false;
		}
		if (!equals && i + 1 >= argc) {
			buf_printf(reader->error, "--%s needs a value: ", spec->name);
			expectation(spec, reader->error);
			return false;
		}
		const char *value = equals ? equals + 1 : argv[++i], *name = spec->name;
		if (only && strcmp(only, name) != 0)
			continue;
		if (!value_take(reader, spec, value, SOURCE_FLAG, "--", name))
			return false;
	}
	return true;
}

static bool config_read(struct reader *reader, int argc, char **argv)
{
	const char *env = getenv("TALLY_CONFIG");

	if (!flags_read(reader, argc, argv, "config"))
		return false;
	if (!reader->options->config && env && *env)
		reader->options->config = text_dup(env);
	return !reader->options->config || lines_read(reader, reader->options->config, false, file_line);
}

bool options_read(struct options *options, int argc, char **argv, struct buf *error)
{
	struct reader reader = { .options = options, .error = error };

	memset(options, 0, sizeof(*options));
	for (size_t i = 0; i < SPEC_COUNT; i++)
		if (specs[i].initial &&
		    !value_take(&reader, &specs[i], specs[i].initial, SOURCE_DEFAULT, "", specs[i].name))
			return false;
	if (!config_read(&reader, argc, argv) || !lines_read(&reader, ".env", true, dotenv_line) ||
	    !environment_read(&reader) || !flags_read(&reader, argc, argv, NULL))
		return false;
	if (options->log_ring > options->log_segment) {
		buf_printf(error, "log-ring is larger than log-segment; expected at most %lld",
			(long long)options->log_segment);
		return false;
	}
	return true;
}

void options_free(struct options *options)
{
	mem_free(options->data);
	listen_clear(&options->http);
	listen_clear(&options->rpc);
	mem_free(options->archive);
	mem_free(options->message_url);
	mem_free(options->ready_file);
	mem_free(options->config);
	memset(options, 0, sizeof(*options));
}

/* Output */

static void listen_json(struct buf *out, const struct listen_list *list)
{
	struct buf text = { 0 };

	buf_char(out, '[');
	for (size_t i = 0; i < list->count; i++) {
		const struct listen_address *address = &list->list[i];
		bool v6 = strchr(address->host, ':') != NULL;
		text.len = 0;
		buf_printf(&text, v6 ? "[%s]:%u%s%s" : "%s:%u%s%s", address->host, address->port,
			   address->service ? "=" : "", address->service ? address->service : "");
		if (i)
			buf_char(out, ',');
		buf_json_text(out, buf_view(&text));
	}
	buf_char(out, ']');
	buf_free(&text);
}

static struct str choice_text(const char *choices, int index)
{
	while (index--)
		choices += strcspn(choices, "|") + 1;
	return (struct str){ choices, strcspn(choices, "|") };
}

void options_json(const struct options *options, struct buf *out)
{
	buf_char(out, '{');
	for (size_t i = 0; i < SPEC_COUNT; i++) {
		const char *field = (const char *)options + specs[i].offset;
		if (i)
			buf_char(out, ',');
		buf_json_text(out, str_of(specs[i].name));
		buf_char(out, ':');
		switch (specs[i].type) {
		case TYPE_TEXT:
			if (*(char *const *)field)
				buf_json_text(out, str_of(*(char *const *)field));
			else
				buf_lit(out, "null");
			break;
		case TYPE_LISTEN:
			listen_json(out, (const struct listen_list *)field);
			break;
		case TYPE_BOOL:
			buf_str(out, str_of(*(const bool *)field ? "true" : "false"));
			break;
		case TYPE_CHOICE:
			buf_json_text(out, choice_text(specs[i].choices, *(const int *)field));
			break;
		default:
			buf_i64(out, *(const int64_t *)field);
		}
	}
	buf_char(out, '}');
}

void options_help(FILE *out, const char *command)
{
	for (size_t i = 0; i < SPEC_COUNT; i++) {
		char flag[64], initial[64] = "";
		if (strcmp(specs[i].commands, command) != 0)
			continue;
		snprintf(flag, sizeof(flag), "--%s %s", specs[i].name, specs[i].unit);
		if (specs[i].initial)
			snprintf(initial, sizeof(initial), " [%s]", specs[i].initial);
		fprintf(out, "  %-32s %s%s\n  %-32s %s\n", flag, specs[i].doc, initial, "", specs[i].env);
	}
}
