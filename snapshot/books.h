// SPDX-License-Identifier: Apache-2.0
/* books.h - what each tenant's books held at a position of the log, added up from the log alone, outside the shards.
 *
 * A book is a tenant's unit.  For a tenant account (liability, redeemed, …) all four sums are kept; of the tenant's members and of
 * its raw accounts, each taken together, only balances: records between two members name no tenant, and change neither.
 *
 * A record names accounts by number.  `struct books_names` knows which numbers are slices of tenant accounts or raw accounts, and
 * of which book; every other one is a member's.  A number never means anything else later, so one such table serves every moment
 * of the log: it is filled from the state at the start and by whoever reads a record that makes an account.
 *
 * Sums are additive: what a stretch of the log does may be added to what stood before it, or taken from what stood behind it.
 */
#ifndef SNAPSHOT_BOOKS_H
#define SNAPSHOT_BOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/str.h"
#include "engine/base/u128.h"
#include "engine/ledger/account.h"
#include "engine/shard/state.h"
#include "wal/wal.h"

enum books_sum { BOOKS_DEBITS, BOOKS_CREDITS, BOOKS_DEBITS_PENDING, BOOKS_CREDITS_PENDING, BOOKS_SUMS };

#define BOOKS_ALL UINT32_MAX
#define BOOKS_NONE (UINT32_MAX - 1)

/* ---- names: shared, from any thread ------------------------------------------------------------------------------------ */

struct books_names;

struct books_names *books_names_new(void);
void books_names_free(struct books_names *names);
/* Tenants and books are numbered from 0 as they are met; texts stay where they are until the end. */
uint32_t books_tenant(struct books_names *names, struct str tenant);           /* made if it is new */
uint32_t books_tenant_find(struct books_names *names, struct str tenant);      /* BOOKS_NONE: unknown */
uint32_t books_book(struct books_names *names, struct str tenant, struct str unit);
struct str books_tenant_name(struct books_names *names, uint32_t tenant);
struct str books_unit(struct books_names *names, uint32_t book, uint32_t *tenant);
/* What an account's number stands for; false: a member's account. */
bool books_number(struct books_names *names, uint32_t number, uint32_t *book, unsigned *kind);
/* Takes all books and numbers that a shard's state knows.  Nothing may change it meanwhile. */
void books_names_take(struct books_names *names, const struct state *state);

/* ---- sums -------------------------------------------------------------------------------------------------------------- */

struct books_line {                    /* of raw and member accounts only CREDITS and CREDITS_PENDING: their balances, as i128 */
	u128 sums[ACCOUNT_KINDS][BOOKS_SUMS];
};

struct books_row {                     /* of one tenant, since books_rows_reset */
	uint64_t events, transfers, others;    /* others: customers, configuration, accounts */
	uint64_t first_lsn, last_lsn;  /* of its records */
};

struct books {
	struct books_names *names;     /* borrowed */
	uint32_t tenant;               /* only this one's sums, or BOOKS_ALL */
	struct books_line **lines;     /* owned, by book; NULL: all zero */
	uint32_t line_count;
	struct books_row *rows;        /* owned, by tenant */
	uint32_t row_count;
	uint64_t records, frames;      /* likewise since then */
	int64_t first_time_ms, time_ms;        /* of the first frame since then; the greatest there was, ever */
};

void books_init(struct books *books, struct books_names *names, uint32_t tenant);
void books_free(struct books *books);
void books_rows_reset(struct books *books);
struct books_line *books_line(struct books *books, uint32_t book);             /* made if it is new */
struct books_row *books_row(struct books *books, uint32_t tenant);

/* Adds a frame's records up to the LSN `last`, that one included.  False: a record cannot be read. */
bool books_frame(struct books *books, const struct wal_frame *frame, uint64_t last);
/* Adds a shard's state: the books as they stand there.  Nothing may change it meanwhile. */
void books_take(struct books *books, const struct state *state);
/* to += what, or to -= what: the sums only. */
void books_add(struct books *to, const struct books *what, bool minus);

/* Credits less debits, posted or (`pending`) reserved. */
i128 books_balance(const struct books_line *line, enum account_kind kind, bool pending);

#endif
