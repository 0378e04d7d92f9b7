// SPDX-License-Identifier: Apache-2.0
/* cron.c - `tally cron`: when a schedule occurs, computed as the scheduler does. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/time.h"
#include "engine/cron/cron.h"
#include "net/cli/commands.h"

enum { COUNT_DEFAULT = 5, COUNT_MAX = 1000000 };

struct question {
	const char *expression, *zone, *after, *count;
	bool previous;
};

static void write_local(int64_t time_ms, int64_t offset_ms)
{
	struct civil civil = civil_of(time_ms + offset_ms);
	int64_t seconds = (offset_ms < 0 ? -offset_ms : offset_ms) / 1000;
	printf("%04" PRId64 "-%02u-%02uT%02u:%02u:%02u%c%02" PRId64 ":%02" PRId64, civil.year, civil.month, civil.day,
	       civil.hour, civil.minute, civil.second, offset_ms < 0 ? '-' : '+', seconds / 3600, seconds / 60 % 60);
	if (seconds % 60)
		printf(":%02" PRId64, seconds % 60);
}

static void write_time(const struct cron_zone *zone, int64_t time_ms)
{
	struct civil civil = civil_of(time_ms);
	printf("%04" PRId64 "-%02u-%02uT%02u:%02u:%02uZ  ", civil.year, civil.month, civil.day, civil.hour, civil.minute,
	       civil.second);
	write_local(time_ms, cron_zone_offset(zone, time_ms));
	putchar('\n');
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int arguments_take(struct question *question, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char **value = NULL;
		if (strcmp(argv[i], "--previous") == 0)
			question->previous = true;
		else if (strcmp(argv[i], "--zone") == 0)
			value = &question->zone;
		else if (strcmp(argv[i], "--after") == 0)
			value = &question->after;
		else if (strcmp(argv[i], "--count") == 0)
			value = &question->count;
		else if (argv[i][0] == '-' && argv[i][1] == '-')
			return command_misuse("cron", "unknown option %s", argv[i]);
		else if (question->expression)
			return command_misuse("cron", "more than one expression; put its five fields in quotes");
		else
			question->expression = argv[i];
		if (value && i + 1 == argc)
			return command_misuse("cron", "%s needs a value", argv[i]);
		if (value)
			*value = argv[++i];
	}
	return question->expression ? 0 : command_misuse("cron", "EXPR is missing; an example is \"30 2 * * MON\"");
}

static bool print_times(const struct cron *cron, const struct cron_zone *zone, int64_t time, uint64_t count,
			bool previous)
{
	for (uint64_t i = 0; i < count; i++) {
		time = previous ? cron_previous(cron, zone, time) : cron_next(cron, zone, time);
		if (time == CRON_NEVER)
			return i > 0;
		write_time(zone, time);
		time -= previous;
	}
	return true;
}

int cmd_cron(int argc, char **argv)
{
	struct question question = { .zone = "" };
	struct cron cron;
	char error[CRON_ERROR_MAX], *end = "";
	int64_t time = now_ms();
	uint64_t count = COUNT_DEFAULT;
	int status = arguments_take(&question, argc, argv);

	if (status)
		return status;
	if (!cron_parse(str_of(question.expression), &cron, error))
		return command_misuse("cron", "%s", error);
	if (question.after && !time_parse(str_of(question.after), &time))
		return command_misuse("cron", "--after is \"%s\"; expected a time such as 2026-03-29T00:00:00Z", question.after);
	if (question.count)
		count = strtoull(question.count, &end, 10);
	if (*end || count < 1 || count > COUNT_MAX)
		return command_misuse("cron", "--count is \"%s\"; expected 1 to %d", question.count, COUNT_MAX);
	cron_start();
	struct cron_zone *zone = cron_zone_open(str_of(question.zone));
	if (!zone)
		return command_misuse("cron", "--zone is \"%s\"; expected an IANA name such as Europe/Berlin", question.zone);
	if (!print_times(&cron, zone, time, count, question.previous)) {
		fprintf(stderr, "tally cron: no such time between 1970 and 2199\n");
		status = 1;
	}
	cron_zone_close(zone);
	return status;
}
