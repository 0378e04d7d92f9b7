// SPDX-License-Identifier: Apache-2.0
/* bench.c - `tally bench`: a load generator for any server that speaks Tally's protocols. It makes its accounts (or
 * event type and rule) first, through the public protocols only, then sends work and says how fast it was answered. */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/ledger/refusal.h"
#include "engine/ledger/row.h"
#include "net/cli/bench_load.h"
#include "net/cli/bench_work.h"
#include "net/cli/client.h"
#include "net/cli/commands.h"
#include "net/cli/import.h"

enum { BENCH_DONE = 0, BENCH_REFUSED = 1, BENCH_FAILED = 2, SETUP_ROWS = ROWS_MAX, ERROR_BYTES = 256 };

#define MEMORY_MAX (UINT64_C(4) << 30)     /* of all send buffers */
#define TIME_SEED UINT64_MAX

enum work { WORK_EARN, WORK_SINGLE, WORK_EVENTS, WORK_EVENTS_HTTP, WORK_NONE };
static const char *const work_names[] = { "earn", "single", "events", "events-http", "none" };

struct plan {
	struct listen_address rpc, http;
	uint64_t work, batch, in_flight, connections, accounts, tenants, count, seed, setup, json;
	double seconds, warmup, rate;
};

/* Options: one table for reading and checking. A choice is the index of its word. */
enum type { TYPE_NUMBER, TYPE_REAL, TYPE_CHOICE, TYPE_ADDRESS };

struct spec {
	const char *name;
	enum type type;
	size_t offset;
	double min, max;
	const char *words;             /* of a choice */
};

#define AT(field) offsetof(struct plan, field)

static const struct spec specs[] = {
	{ "--rpc", TYPE_ADDRESS, AT(rpc), 0, 0, "ADDR:PORT" },
	{ "--http", TYPE_ADDRESS, AT(http), 0, 0, "ADDR:PORT" },
	{ "--work", TYPE_CHOICE, AT(work), 0, 0, "earn|single|events|events-http|none" },
	{ "--batch", TYPE_NUMBER, AT(batch), 1, ROWS_MAX, NULL },
	{ "--in-flight", TYPE_NUMBER, AT(in_flight), 1, 1024, NULL },
	{ "--connections", TYPE_NUMBER, AT(connections), 1, 10000, NULL },
	{ "--accounts", TYPE_NUMBER, AT(accounts), 1, 4e9, NULL },
	{ "--tenants", TYPE_NUMBER, AT(tenants), 1, BENCH_TENANTS_MAX, NULL },
	{ "--seconds", TYPE_REAL, AT(seconds), 0.001, 86400, NULL },
	{ "--warmup", TYPE_REAL, AT(warmup), 0, 86400, NULL },
	{ "--rate", TYPE_REAL, AT(rate), 0, 1e9, NULL },
	{ "--count", TYPE_NUMBER, AT(count), 0, 1e12, NULL },
	{ "--seed", TYPE_NUMBER, AT(seed), 0, 1e15, NULL },
	{ "--setup", TYPE_CHOICE, AT(setup), 0, 0, "no|yes" },
	{ "--report", TYPE_CHOICE, AT(json), 0, 0, "text|json" },
};
enum { SPEC_COUNT = sizeof(specs) / sizeof(specs[0]) };

static bool choice_read(const char *words, const char *text, uint64_t *out)
{
	size_t len = strlen(text);

	for (uint64_t i = 0; *words; i++) {
		size_t word = strcspn(words, "|");
		if (word == len && memcmp(words, text, len) == 0) {
			*out = i;
			return true;
		}
		words += word + (words[word] == '|');
	}
	return false;
}

static int value_read(const struct spec *spec, const char *text, struct plan *plan)
{
	void *field = (char *)plan + spec->offset;
	char *end = NULL;

	if (spec->type == TYPE_CHOICE || spec->type == TYPE_ADDRESS) {
		struct listen_address *address = field, given;
		if (spec->type == TYPE_CHOICE && choice_read(spec->words, text, field))
			return 0;
		if (spec->type == TYPE_ADDRESS && options_parse_listen(text, &given)) {
			mem_free(address->host);
			mem_free(address->service);
			*address = given;
			return 0;
		}
		return command_misuse("bench", "%s is \"%s\"; expected %s", spec->name, text, spec->words);
	}
	double value = strtod(text, &end);
	bool whole = spec->type == TYPE_REAL || !text[strspn(text, "0123456789")];
	if (end == text || *end || !whole || !(value >= spec->min && value <= spec->max))
		return command_misuse("bench", "%s is \"%s\"; expected %s from %g to %g", spec->name, text,
				      spec->type == TYPE_REAL ? "a number" : "a whole number", spec->min, spec->max);
	if (spec->type == TYPE_REAL)
		*(double *)field = value;
	else
		*(uint64_t *)field = strtoull(text, NULL, 10);
	return 0;
}

static bool uses_http(const struct plan *plan)
{
	return plan->work == WORK_EVENTS_HTTP || (plan->work == WORK_EVENTS && plan->setup);
}

static int plan_check(struct plan *plan)
{
	if (plan->work == WORK_SINGLE)
		plan->batch = 1;
	if (plan->accounts < plan->tenants)
		return command_misuse("bench", "--accounts is %" PRIu64 ", fewer than --tenants", plan->accounts);
	if (plan->work != WORK_EVENTS_HTTP && !plan->rpc.host)
		options_parse_listen("127.0.0.1:8100", &plan->rpc);
	if (uses_http(plan) && !plan->http.host)
		options_parse_listen("127.0.0.1:8000", &plan->http);
	if (plan->connections * (plan->in_flight + 3) * (plan->batch + 1) * 256 > MEMORY_MAX)
		return command_misuse("bench", "--connections x --in-flight x --batch is too much for one generator");
	return 0;
}

static int plan_read(struct plan *plan, int argc, char **argv)
{
	for (int i = 0; i < argc; i += 2) {
		const struct spec *spec = NULL;
		for (size_t s = 0; s < SPEC_COUNT; s++)
			if (strcmp(argv[i], specs[s].name) == 0)
				spec = &specs[s];
		if (!spec)
			return command_misuse("bench", "unknown option %s", argv[i]);
		if (i + 1 == argc)
			return command_misuse("bench", "%s needs a value", argv[i]);
		int misuse = value_read(spec, argv[i + 1], plan);
		if (misuse)
			return misuse;
	}
	return plan_check(plan);
}

/* The report */

static const char *refusal_text(const struct plan *plan, unsigned number)
{
	const struct refusal_info *info;

	if (plan->work == WORK_EVENTS || plan->work == WORK_EVENTS_HTTP)
		return "an event was refused";
	info = refusal_find(number);
	return info ? info->name : "unknown to this version";
}

static const struct { const char *key, *title; double share; } points[] = {
	{ "p50", "p50", 0.5 }, { "p90", "p90", 0.9 }, { "p99", "p99", 0.99 }, { "p999", "p99.9", 0.999 },
	{ "p9999", "p99.99", 0.9999 }, { "max", "max", 1 },
};
enum { POINTS = sizeof(points) / sizeof(points[0]) };

static const char *rows_name(const struct plan *plan)
{
	return plan->work == WORK_EVENTS || plan->work == WORK_EVENTS_HTTP ? "events" : "transfers";
}

static void report_text(const struct plan *plan, const struct bench_result *result)
{
	char number[32], total[32];
	double rate = result->seconds > 0 ? (double)result->rows / result->seconds : 0;

	import_number(number, plan->batch);
	printf("%s: %" PRIu64 " connection%s, %" PRIu64 " in flight on each, %s row%s a request", work_names[plan->work],
	       plan->connections, plan->connections == 1 ? "" : "s", plan->in_flight, number, plan->batch == 1 ? "" : "s");
	if (plan->rate > 0) {
		import_number(number, (uint64_t)plan->rate);
		printf(", %s/s offered", number);
	}
	import_number(number, (uint64_t)rate);
	import_number(total, result->rows);
	printf("; seed %" PRIu64 "\n  %s/s  %s  (%s in %.2f s)\n  latency ", plan->seed, rows_name(plan), number, total,
	       result->seconds);
	for (size_t i = 0; i < POINTS; i++) {
		double ms = (double)histogram_at(&result->latency, points[i].share) / 1e6;
		printf(" %s %.*f ms%s", points[i].title, ms < 10 ? 3 : ms < 1000 ? 1 : 0, ms,
		       i + 1 < POINTS ? "," : "\n");
	}
	import_number(number, result->bytes_sent);
	import_number(total, result->bytes_received);
	printf("  bytes     %s sent, %s received; the generator took %.0f ns of processor a row\n", number, total,
	       result->rows_sent ? result->cpu_seconds * 1e9 / (double)result->rows_sent : 0);
	if (result->unsent)
		printf("  late      %" PRIu64 " requests were due and could not be sent: the rate is too high\n",
		       result->unsent);
	import_number(number, result->refused);
	printf("  refused   %s\n", result->refused ? number : "none");
	for (unsigned i = 0; i < BENCH_REFUSALS; i++)
		if (result->refusals[i])
			printf("    %3u %s: %" PRIu64 "\n", i, refusal_text(plan, i), result->refusals[i]);
	for (unsigned i = 0; i < BENCH_ERRORS; i++)
		if (result->errors[i].count)
			printf("  error     %s, %" PRIu64 " times: %s\n", result->errors[i].name, result->errors[i].count,
			       result->errors[i].detail);
}

static void report_json(const struct plan *plan, const struct bench_result *result, double setup_seconds)
{
	double rate = result->seconds > 0 ? (double)result->rows / result->seconds : 0;
	const char *comma = "";

	printf("{\"work\":\"%s\",\"connections\":%" PRIu64 ",\"in_flight\":%" PRIu64 ",\"batch\":%" PRIu64
	       ",\"accounts\":%" PRIu64 ",\"tenants\":%" PRIu64 ",\"seed\":%" PRIu64 ",\"rate\":%.0f,\"setup_seconds\":%.3f",
	       work_names[plan->work], plan->connections, plan->in_flight, plan->batch, plan->accounts, plan->tenants,
	       plan->seed, plan->rate, setup_seconds);
	printf(",\"seconds\":%.3f,\"requests\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"rows_sent\":%" PRIu64
	       ",\"%s_per_s\":%.1f,\"latency_us\":{", result->seconds, result->requests, result->rows, result->rows_sent,
	       rows_name(plan), rate);
	for (size_t i = 0; i < POINTS; i++)
		printf("%s\"%s\":%.1f", i ? "," : "", points[i].key,
		       (double)histogram_at(&result->latency, points[i].share) / 1e3);
	printf("},\"bytes_sent\":%" PRIu64 ",\"bytes_received\":%" PRIu64 ",\"generator_cpu_seconds\":%.3f,\"unsent\":%" PRIu64
	       ",\"errors\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"refusals\":{", result->bytes_sent, result->bytes_received,
	       result->cpu_seconds, result->unsent, result->error_count, result->refused);
	for (unsigned i = 0; i < BENCH_REFUSALS; i++)
		if (result->refusals[i]) {
			printf("%s\"%u\":%" PRIu64, comma, i, result->refusals[i]);
			comma = ",";
		}
	printf("}}\n");
}

/* Setting up */

static int trouble(const char *what, const char *why)
{
	fprintf(stderr, "tally bench: %s%s%s\n", what, *what ? ": " : "", why);
	return BENCH_FAILED;
}

static int accounts_setup(const struct plan *plan)
{
	struct bench_shape shape = { plan->accounts, (uint32_t)plan->tenants, SETUP_ROWS, plan->seed };
	struct bench_work *work = bench_work_new(BENCH_ACCOUNTS, &shape);
	struct bench_load load = { .address = &plan->rpc, .connections = 1, .in_flight = 2,
				   .count = plan->accounts + plan->tenants,
				   .title = isatty(STDERR_FILENO) ? "accounts" : NULL };
	struct bench_result *result = mem_zalloc(sizeof(*result));
	char error[ERROR_BYTES];
	int status = BENCH_DONE;

	if (!bench_load_run(&load, work, result, error)) {
		status = trouble("creating accounts", error);
	} else if (result->refused || result->error_count) {
		status = trouble("creating accounts", result->errors[0].count ? result->errors[0].detail : "refused");
		for (unsigned i = 0; i < BENCH_REFUSALS; i++)
			if (result->refusals[i])
				fprintf(stderr, "  %" PRIu64 " with %u %s\n", result->refusals[i], i,
					refusal_text(plan, i));
	}
	bench_work_free(work);
	mem_free(result);
	return status;
}

/* POSTs a resource of a tenant; one that is there already is fine. */
static int resource_setup(struct client *client, const char *path, const char *tenant, struct str body)
{
	struct client_call call = { .method = "POST", .path = path, .brand = tenant, .content_type = "application/json",
				    .body = body };
	int status = BENCH_DONE;
	char why[ERROR_BYTES];

	if (!client_do(client, &call)) {
		status = trouble(path, call.error);
	} else if (call.status / 100 != 2 && call.status != 409) {
		snprintf(why, sizeof(why), "%ld %.*s", call.status, (int)(call.answer.len < 200 ? call.answer.len : 200),
			 call.answer.ptr);
		status = trouble(path, why);
	}
	buf_free(&call.answer);
	return status;
}

/* Whether the tenant has a rule already: a second one would count every event twice. */
static bool rule_exists(struct client *client, const char *tenant)
{
	struct client_call call = { .method = "GET", .path = "/rules", .brand = tenant };
	bool found = client_do(client, &call) && call.status == 200 &&
		     memmem(call.answer.ptr, call.answer.len, "\"PURCHASE\"", 10) != NULL;

	buf_free(&call.answer);
	return found;
}

static int rules_setup(const struct plan *plan)
{
	const char *host = plan->http.host, *form = strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u";
	struct client *client;
	char url[300], tenant[BENCH_TENANT_BYTES];
	int status = BENCH_DONE;

	snprintf(url, sizeof(url), form, host, (unsigned)plan->http.port);
	client = client_new(url);
	for (uint32_t t = 0; t < plan->tenants && status == BENCH_DONE; t++) {
		bench_tenant(tenant, t);
		status = resource_setup(client, "/admin/event-types", tenant,
					STR("{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"Purchase\"}"));
		if (status == BENCH_DONE && !rule_exists(client, tenant))
			status = resource_setup(client, "/rules", tenant,
						STR("{\"event_type\":\"PURCHASE\",\"conditions\":null,\"actions\":"
						    "[{\"type\":\"earn_points_from_amount\",\"rate\":1.0}]}"));
	}
	client_free(client);
	return status;
}

/* Running */

static int work_run(const struct plan *plan, double setup_seconds)
{
	static const enum bench_kind kinds[] = { BENCH_TRANSFERS, BENCH_TRANSFERS, BENCH_EVENTS, BENCH_EVENTS_HTTP };
	struct bench_shape shape = { plan->accounts, (uint32_t)plan->tenants, (uint32_t)plan->batch, plan->seed };
	struct bench_work *work = bench_work_new(kinds[plan->work], &shape);
	struct bench_result *result = mem_zalloc(sizeof(*result));
	struct bench_load load = { .address = work->http ? &plan->http : &plan->rpc,
				   .connections = (uint32_t)plan->connections, .in_flight = (uint32_t)plan->in_flight,
				   .rate = plan->rate, .warmup = plan->warmup, .seconds = plan->seconds,
				   .count = plan->count,
				   .title = isatty(STDERR_FILENO) ? work_names[plan->work] : NULL };
	char error[ERROR_BYTES];
	int status = BENCH_DONE;

	if (!bench_load_run(&load, work, result, error)) {
		status = trouble("", error);
	} else {
		if (plan->json)
			report_json(plan, result, setup_seconds);
		else
			report_text(plan, result);
		status = result->refused || result->error_count ? BENCH_REFUSED : BENCH_DONE;
	}
	bench_work_free(work);
	mem_free(result);
	return status;
}

int cmd_bench(int argc, char **argv)
{
	struct plan plan = { .batch = SETUP_ROWS, .in_flight = 2, .connections = 1, .accounts = 1000000, .tenants = 10,
			     .seconds = 30, .warmup = 2, .setup = 1, .seed = TIME_SEED };
	int status = plan_read(&plan, argc, argv);
	double start = import_clock();

	if (plan.seed == TIME_SEED) {
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		plan.seed = ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000) % UINT64_C(1000000000000000);
	}
	if (!status && plan.setup)
		status = plan.work == WORK_EVENTS || plan.work == WORK_EVENTS_HTTP ? rules_setup(&plan)
										   : accounts_setup(&plan);
	if (!status && plan.work != WORK_NONE)
		status = work_run(&plan, import_clock() - start);
	mem_free(plan.rpc.host);
	mem_free(plan.rpc.service);
	mem_free(plan.http.host);
	mem_free(plan.http.service);
	return status;
}
