// SPDX-License-Identifier: Apache-2.0
/* fuzz_text.c - the parsers of small texts; the first byte says which.
 *
 * Expected: refused, or taken; what is taken and written out is read as the same again, nothing is read outside.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/decimal.h"
#include "engine/base/mem.h"
#include "engine/base/time.h"
#include "engine/base/utf8.h"
#include "engine/catalog/catalog.h"
#include "engine/event/effect.h"
#include "net/cli/backup.h"
#include "net/cli/options.h"
#include "net/hook/courier.h"
#include "net/main/seed.h"
#include "net/surface/ledger_text.h"
#include "net/surface/transaction.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void time_try(struct str text)
{
	struct buf out = { 0 };
	int64_t time_ms, again;
	if (time_parse(text, &time_ms)) {
		struct civil civil = civil_of(time_ms);
		ASSERT(civil.month - 1 < 12 && civil.day - 1 < 31 && civil.hour < 24 && civil.minute < 60 && civil.second < 60 && civil.milli < 1000);
		time_write(&out, time_ms);
		if (civil.year >= 0 && civil.year <= 9999)
			ASSERT(time_parse(buf_view(&out), &again) && again == time_ms);
	}
	buf_free(&out);
}

/* Two numbers with a blank between them: what is added can be taken away again. */
static void decimal_try(struct str text)
{
	struct decimal one, other, sum, back;
	struct buf out = { 0 };
	bool fits;
	size_t prefix = decimal_parse_prefix(text, &fits, &one);
	ASSERT(prefix <= text.len);
	const char *blank = memchr(text.ptr, ' ', text.len);
	size_t first = blank ? (size_t)(blank - text.ptr) : text.len, second = blank ? first + 1 : first;
	if (!decimal_parse((struct str){ text.ptr, first }, &one))
		return;
	decimal_write(&out, one);
	ASSERT(decimal_parse(buf_view(&out), &back) && decimal_cmp(one, back) == 0);
	buf_free(&out);
	if (!decimal_parse((struct str){ text.ptr + second, text.len - second }, &other))
		return;
	if (decimal_add(one, other, &sum) && decimal_sub(sum, other, &back))
		ASSERT(decimal_cmp(one, back) == 0);
	if (!decimal_is_zero(other) && decimal_mod(one, other, &sum))
		ASSERT(decimal_is_zero(sum) || (sum.digits < 0) == (one.digits < 0));
	ASSERT(decimal_cmp(one, other) == -decimal_cmp(other, one));
	decimal_mul(one, other, &sum);
	decimal_div(one, other, &sum);
}

static void ids_try(struct str text)
{
	struct buf out = { 0 };
	struct log_moment moment;
	u128 id, again;
	uint64_t number, hash, lsn;
	uint32_t seq;
	if (id_parse(text, &id)) {
		id_write(&out, id);
		ASSERT(id_parse_hex(buf_view(&out), &again) && again == id);
	}
	out.len = 0;
	if (catalog_id_parse(text, &number)) {
		buf_u64(&out, number);
		ASSERT(number && str_eq(buf_view(&out), text));
	}
	out.len = 0;
	if (member_item_id_parse(text, &hash, &seq)) {
		member_item_id(&out, hash, seq);
		ASSERT(str_eq(buf_view(&out), text));
	}
	out.len = 0;
	transaction_id(&out, STR("north"), text.len);          /* that of LSN 0 is a dry run's, and names nothing */
	ASSERT(transaction_id_parse(buf_view(&out), STR("north"), &lsn) == (text.len > 0) && lsn == text.len);
	if (transaction_id_parse(text, STR("north"), &lsn)) {
		out.len = 0;
		transaction_id(&out, STR("north"), lsn);
		ASSERT(str_eq(buf_view(&out), text));
	}
	if (log_moment_parse(text, &moment))
		ASSERT(log_moment_past(&moment));
	buf_free(&out);
}

static void listing_try(struct str text)
{
	struct backup_listing held = { 0 };
	if (backup_listing_read(text, &held)) {
		ASSERT(held.piece && held.files.count && held.id[0]);
		for (size_t i = 0; i < held.files.count; i++)
			ASSERT(backup_path_good(str_of(held.files.files[i].path)) && held.files.files[i].bytes <= held.files.files[i].size);
	}
	backup_free(&held.files);
}

static void options_try(struct str text)
{
	struct listen_address address = { 0 };
	char *word = mem_alloc(text.len + 1);
	int64_t size;
	enum account_kind kind;
	if (text.len)
		memcpy(word, text.ptr, text.len);
	word[text.len] = '\0';
	if (options_parse_size(word, &size))
		ASSERT(size >= 0);
	if (options_parse_listen(word, &address))
		ASSERT(address.host);
	mem_free(address.host);
	mem_free(address.service);
	if (account_kind_parse(text, &kind))
		ASSERT(str_eq(str_of(account_kind_name(kind)), text));
	utf8_valid(text);
	mem_free(word);
}

/* Small files of the data directory. */
static void files_try(struct str text)
{
	char written[COURIER_TEXT], digits[18];
	uint64_t version, lsn, seed;
	if (courier_cursor_read(text, &version, &lsn)) {
		size_t len = courier_cursor_write(written, lsn);
		ASSERT(str_eq((struct str){ written, len }, text));
	}
	if (seed_read(text, &seed)) {
		snprintf(digits, sizeof digits, "%016llx\n", (unsigned long long)seed);
		ASSERT(str_eq(str_of(digits), text));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* In this order 'a' to 'f' are ids, listings, options, times, decimals and files. */
	static void (*const parsers[])(struct str text) = { files_try, ids_try, listing_try, options_try, time_try, decimal_try };
	if (!size)
		return 0;
	/* A copy of just that length, so that what reads beyond it is seen. */
	char *copy = mem_dup(data + 1, size - 1);
	parsers[data[0] % 6]((struct str){ copy, size - 1 });
	mem_free(copy);
	return 0;
}
