// SPDX-License-Identifier: Apache-2.0
/* bench_work.c - requests are written straight into what is sent. Packed rows are eight stores; an event is a template
 * of its tenant, copied, with numbers of fixed width written over it: neither goes through an encoder, because the
 * generator's time is taken from the server's. */
#include "net/cli/bench_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/mem.h"
#include "engine/base/u128.h"
#include "engine/ledger/row.h"
#include "net/rpc/read.h"

enum {
	PREFIX_MAX = 256,              /* of a request, in front of its rows */
	ACCOUNT_MAX = 96,              /* bytes of an account in a request */
	TEMPLATE_MAX = 256,
	MEMBER_DIGITS = 10, EVENT_DIGITS = 12, LENGTH_DIGITS = 10,
};

#define LIABILITY_HIGH UINT64_C(1)
#define MEMBER_HIGH UINT64_C(2)

/* An event of one tenant; where its numbers stand. */
struct template {
	unsigned char bytes[TEMPLATE_MAX];
	uint32_t len, member, event, amount;
};

struct maker {
	struct bench_work work;
	struct bench_shape shape;
	uint64_t per_tenant;           /* members that each tenant has at least */
	uint64_t random[4];
	uint64_t sequence;             /* accounts or events so far */
	struct template *templates;    /* of each tenant */
};

/* Random numbers */

static uint64_t splitmix(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* xoshiro256** */
static inline uint64_t random_next(uint64_t s[4])
{
	uint64_t five = s[1] * 5, result = (five << 7 | five >> 57) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = s[3] << 45 | s[3] >> 19;
	return result;
}

/* One draw gives all: 32 bits pick the member, 16 its tenant, 16 the amount (1..1000); no division. */
struct draw { uint64_t member; uint32_t tenant, amount; };

static inline struct draw draw_of(const struct maker *maker, uint64_t random)
{
	return (struct draw){ .member = (random >> 32) * maker->per_tenant >> 32,
			      .tenant = (uint32_t)((random & 0xFFFF) * maker->shape.tenants >> 16),
			      .amount = (uint32_t)((random >> 16 & 0xFFFF) * 1000 >> 16) + 1 };
}

/* Pieces of MessagePack; those of fixed width can be written over later */

static unsigned char *put_byte(unsigned char *at, unsigned value)
{
	*at = (unsigned char)value;
	return at + 1;
}

static unsigned char *put_big(unsigned char *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = bytes; i-- > 0;)
		at = put_byte(at, (unsigned)(value >> 8 * i) & 0xFF);
	return at;
}

static unsigned char *put_bytes(unsigned char *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

static unsigned char *put_text(unsigned char *at, const char *text)
{
	size_t len = strlen(text);

	ASSERT(len < 32);
	return put_bytes(put_byte(at, 0xa0 | (unsigned)len), text, len);
}

/* A request in front of its rows: an array of them (0xdd) or one binary (0xc4, 0xc6) of `len`. */
static unsigned char *put_request(unsigned char *at, const char *method, unsigned kind, uint32_t len)
{
	at = put_bytes(at, "\x94\x00\xce\0\0\0\0", 7);
	at = put_text(at, method);
	at = put_byte(at, 0x91);
	at = put_byte(at, kind);
	return put_big(at, len, kind == 0xc4 ? 1 : 4);
}

static inline void put_digits(unsigned char *at, uint64_t value, unsigned digits)
{
	for (unsigned i = digits; i-- > 0; value /= 10)
		at[i] = (unsigned char)('0' + value % 10);
}

/* Accounts */

static u128 member_id(const struct maker *maker, uint64_t member, uint32_t tenant)
{
	return u128_of(MEMBER_HIGH, member * maker->shape.tenants + tenant + 1);
}

static size_t accounts_make(struct bench_work *work, unsigned char *out, uint32_t rows)
{
	struct maker *maker = (struct maker *)work;
	unsigned char *at = put_request(out, "ledger.create_accounts", 0xdd, rows), id[16];
	uint32_t tenants = maker->shape.tenants;

	for (uint32_t i = 0; i < rows; i++, maker->sequence++) {
		bool member = maker->sequence >= tenants;
		uint64_t number = member ? maker->sequence - tenants : maker->sequence;
		char tenant[BENCH_TENANT_BYTES];
		bench_tenant(tenant, (uint32_t)(number % tenants));
		u128_store(id, u128_of(member ? MEMBER_HIGH : LIABILITY_HIGH, number + 1));
		at = put_text(put_byte(at, 0x84), "id");
		at = put_bytes(put_bytes(at, "\xc4\x10", 2), id, sizeof(id));
		at = put_text(put_text(at, "tenant"), tenant);
		at = put_text(put_text(at, "unit"), BENCH_UNIT);
		at = put_text(put_text(at, "kind"), member ? "member" : "liability");
	}
	return (size_t)(at - out);
}

/* Transfers */

static size_t transfers_make(struct bench_work *work, unsigned char *out, uint32_t rows)
{
	struct maker *maker = (struct maker *)work;
	uint32_t len = rows * ROW_BYTES;
	unsigned char *at = put_request(out, "ledger.create_transfers", len < 256 ? 0xc4 : 0xc6, len);
	uint64_t random[4];

	memcpy(random, maker->random, sizeof(random));         /* in registers */
	for (uint32_t i = 0; i < rows; i++, at += ROW_BYTES) {
		struct draw draw = draw_of(maker, random_next(random));
		/* 111 bits and a one above: never zero, nor all ones */
		uint64_t high = (random_next(random) & UINT64_C(0x7FFFFFFFFFFF)) | UINT64_C(1) << 47;
		struct transfer_row row = {
			.id = u128_of(high, random_next(random)), .debit = u128_of(LIABILITY_HIGH, draw.tenant + 1),
			.credit = member_id(maker, draw.member, draw.tenant), .amount = draw.amount };
		memcpy(at, &row, sizeof(row));
	}
	memcpy(maker->random, random, sizeof(random));
	return (size_t)(at - out);
}

/* The map {lsn, results}; results has eight bytes for each refused row. Other keys are passed over. */
static uint32_t ledger_judge(struct bench_work *work, const unsigned char *answer, size_t len,
			     struct bench_result *result)
{
	struct rpc_reader reader = { answer, answer + len };
	struct str key, refused = { NULL, 0 };
	uint32_t pairs, number;

	(void)work;
	if (!rpc_read_map(&reader, &pairs))
		return 0;
	for (; pairs && rpc_read_str(&reader, &key); pairs--)
		if (!(str_eq(key, STR("results")) && rpc_read_bin(&reader, &refused)) && !rpc_skip(&reader))
			break;
	for (size_t at = 0; at + 8 <= refused.len; at += 8) {
		memcpy(&number, refused.ptr + at + 4, sizeof(number));
		result->refusals[number < BENCH_REFUSALS ? number : BENCH_REFUSALS - 1]++;
	}
	return (uint32_t)(refused.len / 8);
}

/* Events */

static size_t template_number(struct template *template, unsigned char *at, unsigned digits, uint32_t *where)
{
	*where = (uint32_t)(at - template->bytes);
	memset(at, '0', digits);
	return digits;
}

static void template_rpc(const struct maker *maker, struct template *template, uint32_t tenant)
{
	unsigned char *at = template->bytes;
	char name[BENCH_TENANT_BYTES], run[24];

	bench_tenant(name, tenant);
	snprintf(run, sizeof(run), "%08" PRIx64 "-", maker->shape.seed & 0xFFFFFFFF);
	at = put_text(put_text(put_byte(at, 0x86), "brand"), name);
	at = put_text(at, "profileId");
	at = put_bytes(put_byte(at, 0xa0 | (2 + MEMBER_DIGITS)), "m-", 2);
	at += template_number(template, at, MEMBER_DIGITS, &template->member);
	at = put_text(put_text(at, "eventType"), "PURCHASE");
	at = put_text(at, "eventId");
	at = put_bytes(put_byte(at, 0xa0 | ((unsigned)strlen(run) + EVENT_DIGITS)), run, strlen(run));
	at += template_number(template, at, EVENT_DIGITS, &template->event);
	at = put_text(put_text(at, "source"), "WEB");
	at = put_text(put_byte(put_text(at, "payload"), 0x81), "amount");
	at = put_byte(at, 0xcd);
	template->amount = (uint32_t)(at - template->bytes);
	template->len = (uint32_t)(put_big(at, 0, 2) - template->bytes);
}

static void template_http(const struct maker *maker, struct template *template, uint32_t tenant)
{
	char *text = (char *)template->bytes;
	char name[BENCH_TENANT_BYTES];

	bench_tenant(name, tenant);
	int len = snprintf(text, TEMPLATE_MAX, "{\"brand\":\"%s\",\"profileId\":\"m-%0*d\",\"eventType\":\"PURCHASE\","
			   "\"eventId\":\"%08" PRIx64 "-%0*d\",\"source\":\"WEB\",\"payload\":{\"amount\":100.00}},", name,
			   MEMBER_DIGITS, 0, maker->shape.seed & 0xFFFFFFFF, EVENT_DIGITS, 0);
	ASSERT(len > 0 && len < TEMPLATE_MAX);
	template->len = (uint32_t)len;
	template->member = (uint32_t)(strstr(text, "\"m-") + 3 - text);
	template->event = (uint32_t)(strstr(text, "\"source") - 2 - EVENT_DIGITS - text);
	template->amount = (uint32_t)(strstr(text, "100.00") - text);
}

static unsigned char *event_put(struct maker *maker, unsigned char *at, bool http)
{
	struct draw draw = draw_of(maker, random_next(maker->random));
	const struct template *template = &maker->templates[draw.tenant];

	memcpy(at, template->bytes, template->len);
	put_digits(at + template->member, draw.member, MEMBER_DIGITS);
	put_digits(at + template->event, maker->sequence++, EVENT_DIGITS);
	if (http) {
		put_digits(at + template->amount, 100 + draw.amount % 900, 3);
		put_digits(at + template->amount + 4, draw.amount % 100, 2);
	} else {
		put_big(at + template->amount, draw.amount, 2);
	}
	return at + template->len;
}

static size_t events_make(struct bench_work *work, unsigned char *out, uint32_t rows)
{
	unsigned char *at = put_request(out, "events.ingest", 0xdd, rows);

	for (uint32_t i = 0; i < rows; i++)
		at = event_put((struct maker *)work, at, false);
	return (size_t)(at - out);
}

static size_t events_http_make(struct bench_work *work, unsigned char *out, uint32_t rows)
{
	static const char head[] = "POST /transactions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
				   "Content-Length: 0000000000\r\n\r\n[";
	unsigned char *body = put_bytes(out, head, sizeof(head) - 1), *at = body;

	for (uint32_t i = 0; i < rows; i++)
		at = event_put((struct maker *)work, at, true);
	at[-1] = ']';                  /* over the last comma */
	put_digits(body - 5 - LENGTH_DIGITS, (uint64_t)(at - body) + 1, LENGTH_DIGITS);
	return (size_t)(at - out);
}

/* Each row is answered; only a refused one has the key "code". Which refusal is not told apart. */
static uint32_t events_judge(struct bench_work *work, const unsigned char *answer, size_t len,
			     struct bench_result *result)
{
	const char *key = work->http ? "\"code\":" : "\xa4" "code";
	size_t key_len = strlen(key);
	const unsigned char *end = answer + len;
	uint32_t refused = 0;

	while ((answer = memmem(answer, (size_t)(end - answer), key, key_len)) != NULL) {
		answer += key_len;
		refused++;
	}
	result->refusals[0] += refused;
	return refused;
}

void bench_tenant(char out[BENCH_TENANT_BYTES], uint32_t tenant)
{
	ASSERT(tenant < BENCH_TENANTS_MAX);
	snprintf(out, BENCH_TENANT_BYTES, "bench-%u", (unsigned)tenant);
}

struct bench_work *bench_work_new(enum bench_kind kind, const struct bench_shape *shape)
{
	struct maker *maker = mem_zalloc(sizeof(*maker));
	struct bench_work *work = &maker->work;
	uint64_t seed = shape->seed;

	ASSERT(shape->rows && shape->rows <= ROWS_MAX);
	ASSERT(shape->tenants && shape->tenants <= BENCH_TENANTS_MAX && shape->accounts >= shape->tenants);
	ASSERT(shape->accounts <= UINT32_MAX);
	maker->shape = *shape;
	maker->per_tenant = shape->accounts / shape->tenants;
	for (int i = 0; i < 4; i++)
		maker->random[i] = splitmix(&seed);
	work->rows = shape->rows;
	work->http = kind == BENCH_EVENTS_HTTP;
	work->judge = ledger_judge;
	switch (kind) {
	case BENCH_ACCOUNTS:
		work->make = accounts_make;
		work->request_max = PREFIX_MAX + (size_t)shape->rows * ACCOUNT_MAX;
		break;
	case BENCH_TRANSFERS:
		work->make = transfers_make;
		work->request_max = PREFIX_MAX + (size_t)shape->rows * ROW_BYTES;
		break;
	case BENCH_EVENTS:
	case BENCH_EVENTS_HTTP:
		work->make = work->http ? events_http_make : events_make;
		work->judge = events_judge;
		work->request_max = PREFIX_MAX + (size_t)shape->rows * TEMPLATE_MAX;
		maker->templates = mem_zalloc(shape->tenants * sizeof(*maker->templates));
		for (uint32_t t = 0; t < shape->tenants; t++)
			(work->http ? template_http : template_rpc)(maker, &maker->templates[t], t);
		break;
	}
	return work;
}

void bench_work_free(struct bench_work *work)
{
	struct maker *maker = (struct maker *)work;

	if (!maker)
		return;
	mem_free(maker->templates);
	mem_free(maker);
}
