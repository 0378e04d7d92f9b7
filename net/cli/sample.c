// SPDX-License-Identifier: Apache-2.0
/* sample.c - `tally sample`: purchases for a running server, through its public API and nothing else.
 *
 * It makes the event type and the rule if they are not there, imports the purchases and says what came of it.  The
 * event ids are fixed, so a second time finds everything repeated and changes no balance.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "engine/base/json.h"
#include "engine/base/mem.h"
#include "net/cli/commands.h"
#include "net/cli/import.h"

#define BRAND "CDNOW"
#define EVENT_TYPE "{\"key\":\"PURCHASE\",\"origin\":\"EXTERNAL\",\"name\":\"Purchase\"," \
		   "\"description\":\"A purchase\",\"active\":true,\"payload_schema\":null}"
#define RULE "{\"event_type\":\"PURCHASE\",\"priority\":0,\"active\":true,\"conditions\":null,\"actions\":" \
	     "[{\"type\":\"earn_points_from_amount\",\"rate\":1.0,\"amount_path\":\"amount\"}]}"
#define PURCHASE "{\"brand\":\"" BRAND "\",\"profileId\":\"p-1\",\"eventType\":\"PURCHASE\"," \
		 "\"eventId\":\"purchase_001\",\"source\":\"curl\",\"payload\":{\"amount\":120}}"

enum { TOP = 5, READY_TRIES = 300, SYNTHETIC_COUNT = 20000, SYNTHETIC_MEMBERS = 4000 };

/* Balances by member, as the replies told them; open addressing. */
struct balance { char *profile; size_t len; int64_t points, lsn; };
struct balances { struct balance *slots; size_t capacity, count; };

static struct balance *balance_slot(struct balances *balances, struct str profile)
{
	size_t at = XXH3_64bits(profile.ptr, profile.len) & (balances->capacity - 1);

	while (balances->slots[at].profile &&
	       !str_eq(profile, (struct str){ balances->slots[at].profile, balances->slots[at].len }))
		at = (at + 1) & (balances->capacity - 1);
	return &balances->slots[at];
}

static void balances_grow(struct balances *balances)
{
	struct balances bigger = { .capacity = balances->capacity ? balances->capacity * 2 : 1024,
		.count = balances->count };

	bigger.slots = mem_zalloc(bigger.capacity * sizeof(*bigger.slots));
	for (size_t i = 0; i < balances->capacity; i++) {
		struct balance *old = &balances->slots[i];
		if (old->profile)
			*balance_slot(&bigger, (struct str){ old->profile, old->len }) = *old;
	}
	mem_free(balances->slots);
	*balances = bigger;
}

static void on_event(void *context, struct str profile, int64_t points, int64_t lsn)
{
	struct balances *balances = context;

	if (balances->count * 2 >= balances->capacity)
		balances_grow(balances);
	struct balance *slot = balance_slot(balances, profile);
	if (!slot->profile) {
		*slot = (struct balance){ mem_dup(profile.ptr, profile.len), profile.len, points, lsn };
		balances->count++;
	} else if (lsn >= slot->lsn) {
		slot->points = points;
		slot->lsn = lsn;
	}
}

static void balances_free(struct balances *balances)
{
	for (size_t i = 0; i < balances->capacity; i++)
		mem_free(balances->slots[i].profile);
	mem_free(balances->slots);
}

static int more_points(const void *a, const void *b)
{
	const struct balance *left = a, *right = b;

	return (left->points < right->points) - (left->points > right->points);
}

/* Packs the members to the front, richest first. */
static void balances_rank(struct balances *balances)
{
	size_t count = 0;

	for (size_t i = 0; i < balances->capacity; i++) {
		if (!balances->slots[i].profile)
			continue;
		struct balance moved = balances->slots[i];
		balances->slots[i].profile = NULL;
		balances->slots[count++] = moved;
	}
	if (count)
		qsort(balances->slots, count, sizeof(*balances->slots), more_points);
}

/* Purchases made from a seed: a few members buy often, most of them once or twice. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static FILE *synthetic(uint64_t seed, uint64_t count)
{
	FILE *file = tmpfile();
	uint64_t state = seed;

	if (!file)
		return NULL;
	fprintf(file, "brand,profileId,eventType,eventId,source,payload.amount,payload.units\n");
	for (uint64_t i = 1; i <= count; i++) {
		uint64_t spread = random_next(&state) % SYNTHETIC_MEMBERS, member = random_next(&state) % (spread + 1);
		uint64_t units = 1 + random_next(&state) % 4, cents = units * (599 + random_next(&state) % 2400);
		fprintf(file, "%s,s%05" PRIu64 ",PURCHASE,synthetic-%" PRIu64 "-%" PRIu64 ",synthetic,%" PRIu64
			".%02" PRIu64 ",%" PRIu64 "\n", BRAND, member, seed, i, cents / 100, cents % 100, units);
	}
	if (fflush(file) != 0 || ferror(file)) {
		fclose(file);
		return NULL;
	}
	rewind(file);
	return file;
}

/* The server's catalog */

static int trouble(const struct client *client, const struct client_call *call)
{
	if (!call->status)
		fprintf(stderr, "tally sample: %s: %s\n", client_url(client), call->error);
	else
		fprintf(stderr, "tally sample: %s %s answered %ld: %.*s\n", call->method, call->path, call->status,
			(int)call->answer.len, call->answer.len ? call->answer.ptr : "");
	return IMPORT_FAILED;
}

static bool wait_ready(struct client *client)
{
	struct client_call call = { .method = "GET", .path = "/readyz" };

	for (int i = 0; i < READY_TRIES && call.status != 200; i++) {
		if (i)
			usleep(200 * 1000);
		client_do(client, &call);
	}
	if (call.status != 200)
		trouble(client, &call);
	buf_free(&call.answer);
	return call.status == 200;
}

/* Whether a list, as an array or as the "items" of an object, has an element whose member is `value`. */
static bool list_has(struct str text, struct str member, struct str value)
{
	struct json_error error;
	yyjson_doc *doc = json_read(text, &error);
	yyjson_val *list = doc ? yyjson_doc_get_root(doc) : NULL, *item;
	size_t index, max;
	bool found = false;

	if (yyjson_is_obj(list))
		list = json_get(list, STR("items"));
	yyjson_arr_foreach(list, index, max, item)
		found = found || str_eq(json_text(json_get(item, member)), value);
	yyjson_doc_free(doc);
	return found;
}

static int ensure(struct client *client, const char *path, struct str member, struct str body)
{
	struct client_call get = { .method = "GET", .path = path, .brand = BRAND };
	struct client_call post = { .method = "POST", .path = path, .brand = BRAND, .content_type = "application/json",
				    .body = body };
	int result = 0;

	if (!client_do(client, &get) || get.status != 200)
		result = trouble(client, &get);
	else if (!list_has(buf_view(&get.answer), member, STR("PURCHASE")) &&
		 (!client_do(client, &post) || (post.status / 100 != 2 && post.status != 409)))
		result = trouble(client, &post);
	buf_free(&get.answer);
	buf_free(&post.answer);
	return result;
}

static void report(const struct import *import, const struct balances *balances, const char *what)
{
	char events[32], points[32], members[32], rate[32], repeated[32];
	const char *url = client_url(import->client);
	int64_t sum = 0;

	for (size_t i = 0; i < balances->count; i++)
		sum += balances->slots[i].points;
	import_number(events, import->imported + import->repeated);
	import_number(points, (uint64_t)sum);
	import_number(members, balances->count);
	import_number(rate, import->seconds > 0 ? (uint64_t)((double)import->rows / import->seconds) : 0);
	import_number(repeated, import->repeated);
	printf("\n%s\n  %s events (%s of them were there already), %s members, %s points, %s events/s\n", what, events,
	       repeated, members, points, rate);
	printf("\n  top five members\n");
	for (size_t i = 0; i < TOP && i < balances->count; i++) {
		import_number(points, (uint64_t)balances->slots[i].points);
		printf("  %zu. %-10.*s %12s points\n", i + 1, (int)balances->slots[i].len, balances->slots[i].profile,
			points);
	}
	if (!balances->count)
		return;
	const struct balance *first = &balances->slots[0];
	printf("\n  try it\n"
	       "  curl %s/wallet/" BRAND "/%.*s -H 'X-Brand: " BRAND "'\n"
	       "  curl %s/customers/" BRAND "/%.*s/point-movements -H 'X-Brand: " BRAND "'\n"
	       "  curl %s/transactions -H 'Content-Type: application/json' -d '" PURCHASE "'\n"
	       "  curl %s/wallet/" BRAND "/p-1 -H 'X-Brand: " BRAND "'\n\n", url, (int)first->len, first->profile, url,
	       (int)first->len, first->profile, url, url);
	fflush(stdout);
}

static int load(struct import *import, const char *what)
{
	struct balances balances = { 0 };
	int status;

	if (!wait_ready(import->client))
		return IMPORT_FAILED;
	status = ensure(import->client, "/admin/event-types", STR("key"),
			STR(EVENT_TYPE));
	if (!status)
		status = ensure(import->client, "/rules", STR("event_type"),
				STR(RULE));
	if (status)
		return status;
	import->on_event = on_event;
	import->context = &balances;
	status = import_run(import);
	if (status != IMPORT_FAILED) {
		balances_rank(&balances);
		report(import, &balances, what);
	}
	balances_free(&balances);
	return status;
}

int cmd_sample(int argc, char **argv)
{
	struct import import = { .kind = CSV_EVENTS };
	const char *url = NULL, *path = NULL;
	uint64_t seed = 1, count = SYNTHETIC_COUNT;
	char what[160];

	for (int i = 0; i < argc; i += 2) {
		char *end = "";
		if (i + 1 == argc)
			return command_misuse("sample", "%s needs a value", argv[i]);
		if (strcmp(argv[i], "--to") == 0)
			url = argv[i + 1];
		else if (strcmp(argv[i], "--file") == 0)
			path = argv[i + 1];
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], &end, 10);
		else if (strcmp(argv[i], "--count") == 0)
			count = strtoull(argv[i + 1], &end, 10);
		else
			return command_misuse("sample", "unknown option %s", argv[i]);
		if (*end)
			return command_misuse("sample", "%s is \"%s\"; expected a number", argv[i], argv[i + 1]);
	}
	if (!url)
		return command_misuse("sample", "--to URL is missing");
	import.client = client_new(url);
	if (!import.client)
		return command_misuse("sample", "--to is \"%s\"; expected a URL such as http://127.0.0.1:8000", url);
	import.file = path ? fopen(path, "re") : synthetic(seed, count);
	import.name = "sample";
	if (path)
		snprintf(what, sizeof(what), "The sample is loaded: the purchases in %s", path);
	else
		snprintf(what, sizeof(what), "The sample is loaded: synthetic purchases, made from seed %" PRIu64,
			seed);
	int status = IMPORT_FAILED;
	if (import.file)
		status = load(&import, what);
	else
		fprintf(stderr, "tally sample: %s: %m\n", path ? path : "a temporary file");
	if (import.file)
		fclose(import.file);
	client_free(import.client);
	return status;
}
