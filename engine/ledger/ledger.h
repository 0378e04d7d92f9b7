// SPDX-License-Identifier: Apache-2.0
/* ledger.h - one shard's part of the books: accounts, slices of tenant accounts, pending transfers; and how they change.
 *
 *     book        (tenant, unit): an account belongs to one, transfers stay within it
 *     account     found by id (tables, one a partition) or by its number in the log (slabs, one list a group)
 *     slice       this group's part of a tenant account; an entry among the group's accounts once a transfer named it
 *     sliced id   which (book, kind) a client's id stands for; every shard has them all
 *     pending     a reservation, found by its transfer's id; lives with the id
 *
 * Invariants (L3)
 *   - per book, over all shards: debits = credits, posted and pending, after every frame
 *   - a whole account's sums are below 2^63, and its balance less what is pending keeps its floor and ceiling
 *   - addresses of accounts never change; numbers are given in order within a group, from 1 on
 *   - once recovery is through there are no holes among them
 *
 * ledger_apply is the only way to change it; deciding (decide.h) makes records and hands them to the same functions.
 * Runs on: the shard's thread, or on another shard's while this one waits at a visit.
 */
#ifndef ENGINE_LEDGER_LEDGER_H
#define ENGINE_LEDGER_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/base/mutant.h"
#include "engine/base/table.h"
#include "engine/ledger/account.h"
#include "engine/ledger/ids.h"
#include "engine/ledger/record.h"
#include "engine/ledger/seen.h"

enum { SLAB_ACCOUNTS = 1024, SLICED_FILTER_SHIFT = 52, SLICED_FILTER_BITS = 4096 };

struct slice {
	uint32_t numbers[SLICED_KINDS];        /* 0: no transfer of the group has named it yet */
	struct slice_sums sums[SLICED_KINDS];
};

struct book {
	struct str tenant, unit;       /* owned */
	uint32_t index;
	u128 ids[SLICED_KINDS];        /* 0: nobody gave this sliced account an id */
	struct slice *book_slices[GROUP_COUNT];        /* owned; NULL until the group meets the book */
};

struct account_extra {
	int64_t floor, ceiling, created_ms;
	uint16_t member_len, program_len;
	char names[];                  /* member, program */
};

enum pending_state { PENDING_OPEN, PENDING_POSTED, PENDING_VOIDED, PENDING_EXPIRED };

struct pending {
	u128 id;
	uint64_t lsn;
	uint64_t amount;
	int64_t expires_ms;            /* 0: never */
	uint32_t debit, credit;        /* numbers */
	uint16_t code;
	uint8_t state;                 /* enum pending_state; PENDING_OPEN but where hashes collide */
};

struct expiry { int64_t at_ms; uint64_t id_hash; };

struct ledger {
	unsigned shard, shard_count;
	struct ids *ids;               /* borrowed: the shard's */
	const struct seen *seen;       /* borrowed; while a log is replayed behind a snapshot, else NULL */
	struct table accounts[PARTITION_COUNT];        /* account_key -> number */
	struct group_accounts { struct account **slabs; uint32_t slab_count, count; } groups[GROUP_COUNT];
	struct book **books;           /* owned */
	uint32_t book_count;
	struct table book_names;       /* hash of tenant and unit -> index */
	uint64_t sliced_filter[SLICED_FILTER_BITS / 64];       /* by the key's upper bits: whether one may be in `sliced` */
	struct table sliced;           /* account_key of a sliced account's id -> index of the book << 8 | kind */
	struct table extras;           /* number, scrambled -> struct account_extra */
	struct table pendings[PARTITION_COUNT];        /* hash of the id -> struct pending, or pending_state once it ended */
	struct expiry *heap;           /* owned; the next first; entries of ended ones are dropped when they come up */
	size_t heap_count, heap_cap;
	atomic_llong next_expiry_ms;   /* of the heap's first; INT64_MAX: none */
	uint64_t account_total, pending_total, transfer_total;
	uint64_t raw_total;            /* whole accounts of kind RAW */
	uint64_t holes;                /* numbers below a group's count that a snapshot did not have: replay fills them */
	uint64_t bytes;
	uint32_t loadable[GROUP_COUNT];        /* accounts that a snapshot may name, set before it is loaded */
};

void ledger_init(struct ledger *ledger, unsigned shard, unsigned shard_count, struct ids *ids);
void ledger_deinit(struct ledger *ledger);

static inline struct account *ledger_account_at(const struct ledger *ledger, uint32_t number)
{
	const struct group_accounts *group = &ledger->groups[number_group(number)];
	uint32_t index = number & ACCOUNT_INDEX_MASK;
	if (!index || index > group->count)
		return NULL;
	return &group->slabs[index / SLAB_ACCOUNTS][index % SLAB_ACCOUNTS];
}

/* A whole account by its id; NULL for an unknown one.  *number is set. */
struct account *ledger_account(const struct ledger *ledger, u128 id, uint64_t key, uint32_t *number);
/* Cheap: false means that no sliced account has an id with this key. */
static inline bool ledger_maybe_sliced(const struct ledger *ledger, uint64_t key)
{
	uint64_t bit = key >> SLICED_FILTER_SHIFT;
	return ledger->sliced_filter[bit / 64] >> bit % 64 & 1;
}

/* A sliced account by the id it was given. */
struct book *ledger_sliced(const struct ledger *ledger, u128 id, uint64_t key, enum account_kind *kind);
struct book *ledger_book_find(const struct ledger *ledger, struct str tenant, struct str unit);
struct book *ledger_book(struct ledger *ledger, struct str tenant, struct str unit);    /* made if it is new */
struct slice *ledger_slice(struct ledger *ledger, struct book *book, unsigned group);    /* made if it is new */
uint32_t ledger_next_number(const struct ledger *ledger, unsigned group);      /* 0: the group is full (2^26 accounts) */
struct account_extra *ledger_extra(const struct ledger *ledger, uint32_t number);      /* NULL: it has none */
void ledger_limits(const struct ledger *ledger, const struct account *account, uint32_t number, int64_t *floor,
		   int64_t *ceiling);

/* A pending transfer by the hash of its id; NULL and *state for one that ended; NULL and PENDING_OPEN: there is none. */
struct pending *ledger_pending(const struct ledger *ledger, u128 id, uint64_t id_hash, enum pending_state *state);
/* The open hold of this name whose id may be forgotten: it is known as long as it is open, as there cannot be two.  Its LSN; 0: none. */
uint64_t ledger_hold(const struct ledger *ledger, u128 id, uint64_t id_hash);
/* The next pending transfer whose timeout has passed; NULL: none. */
struct pending *ledger_due(struct ledger *ledger, int64_t now_ms);

/* Applies an ACCOUNT, SLICED, TRANSFER or FAILED record at its LSN: to what this shard owns.  The id's entry and a pending
 * transfer are taken note of if `ids` is set (at replay), the accounts' part if `actors` is.  False: it cannot be. */
bool ledger_apply(struct ledger *ledger, const unsigned char *record, size_t len, uint64_t lsn, bool ids, bool actors);

/* The parts of it that deciding uses directly, having the accounts at hand. */
struct account *account_apply(struct ledger *ledger, const struct account_record_view *record, uint64_t lsn);
void sliced_apply(struct ledger *ledger, const struct sliced_record_view *record);

/* What a transfer does to one side: posts, reserves or releases.  The hot path: inline, so that plain transfers cost little. */
struct side { uint64_t posted, reserved, released; };

static inline struct side side_of(unsigned flags, uint64_t amount, uint64_t pending_amount)
{
	struct side side = { 0, 0, 0 };
	if (flags & TRANSFER_PENDING)
		side.reserved = amount;
	else if (flags & (TRANSFER_POST | TRANSFER_VOID | TRANSFER_EXPIRED))
		side.released = MUTATE(11, pending_amount, flags & TRANSFER_VOID ? 0 : pending_amount);
	if (!(flags & (TRANSFER_PENDING | TRANSFER_VOID | TRANSFER_EXPIRED)))
		side.posted = amount;
	return side;
}

static inline void transfer_apply_debit(struct account *account, unsigned flags, uint64_t amount, uint64_t pending_amount,
					uint64_t lsn)
{
	struct side side = side_of(flags, amount, pending_amount);
	if (account->flags & ACCOUNT_SLICE) {
		struct slice_sums *sums = (struct slice_sums *)(uintptr_t)account->id;
		ASSERT(sums->debits_pending + side.reserved >= side.released);
		sums->debits_posted += side.posted;
		sums->debits_pending += side.reserved - (u128)side.released;
		return;
	}
	ASSERT(account->debits_pending >= side.released);
	account->debits_posted += side.posted;
	account->debits_pending += side.reserved - side.released;
	account->last_lsn = lsn;
}

static inline void transfer_apply_credit(struct account *account, unsigned flags, uint64_t amount, uint64_t pending_amount,
					 uint64_t lsn)
{
	struct side side = side_of(flags, amount, pending_amount);
	if (account->flags & ACCOUNT_SLICE) {
		struct slice_sums *sums = (struct slice_sums *)(uintptr_t)account->id;
		ASSERT(sums->credits_pending + side.reserved >= side.released);
		sums->credits_posted += side.posted;
		sums->credits_pending += side.reserved - (u128)side.released;
		return;
	}
	ASSERT(account->credits_pending >= side.released);
	account->credits_posted += side.posted;
	account->credits_pending += side.reserved - side.released;
	account->last_lsn = lsn;
}

struct pending *pending_apply_open(struct ledger *ledger, const struct transfer_record *record, uint64_t id_hash, uint64_t lsn);
/* Returns the pending transfer that ended, now the caller's to free (so that a chain can take it back). */
struct pending *pending_apply_end(struct ledger *ledger, u128 pending_id, uint64_t id_hash, enum pending_state state);
void pending_restore(struct ledger *ledger, struct pending *pending, uint64_t id_hash);        /* undoes pending_apply_end */
void pending_forget(struct ledger *ledger, struct pending *pending, uint64_t id_hash); /* undoes pending_apply_open */

/* The points account of a member that an event moved (engine/shard/state.c). */
struct account *ledger_event_account(struct ledger *ledger, struct str tenant, struct str profile, uint32_t number,
				     bool created, int64_t now_ms);
enum ledger_sides { LEDGER_MEMBER_SIDE = 1, LEDGER_SLICE_SIDE = 2, LEDGER_BOTH_SIDES = 3 };  /* one only: behind a snapshot */
void ledger_earn(struct ledger *ledger, struct account *account, unsigned group, uint64_t points, enum ledger_sides sides);
void ledger_burn(struct ledger *ledger, struct account *account, unsigned group, uint64_t points, enum ledger_sides sides);
/* The same undone: member -> liability, redeemed -> member. */
void ledger_earn_reverse(struct ledger *ledger, struct account *account, unsigned group, uint64_t points,
			 enum ledger_sides sides);
void ledger_burn_reverse(struct ledger *ledger, struct account *account, unsigned group, uint64_t points,
			 enum ledger_sides sides);

/* Loading a snapshot; the texts are copied.  False: it cannot be (a number that was there, or impossible).  Room is made up to the
 * highest number, so none may be above what `loadable` says. */
struct account_image {                 /* an account as it stands in a snapshot */
	u128 id;
	uint64_t debits_posted, credits_posted, debits_pending, credits_pending, last_lsn;
	uint32_t number;
	uint16_t flags;
	uint8_t kind, reserved;
	struct book *book;
};
bool ledger_load_account(struct ledger *ledger, const struct account_image *image);
/* The entry of a slice whose sums are loaded into ledger_slice. */
bool ledger_load_slice(struct ledger *ledger, struct book *book, unsigned kind, uint32_t number, uint64_t last_lsn);
void ledger_load_extra(struct ledger *ledger, uint32_t number, const struct account_extra *limits, struct str member,
		       struct str program);
struct pending *ledger_load_pending(struct ledger *ledger, const struct pending *pending, uint64_t id_hash);
void ledger_load_ended(struct ledger *ledger, uint64_t id_hash, enum pending_state state);

/* Sums of one book over this shard, by kind: debits_posted, credits_posted, debits_pending, credits_pending; added to. */
void ledger_book_sums(const struct ledger *ledger, const struct book *book, u128 sums[ACCOUNT_KINDS][4],
		      uint64_t counts[ACCOUNT_KINDS]);
/* Canonical text of this shard's part, one line each, unsorted. */
void ledger_dump(const struct ledger *ledger, struct buf *out);

#endif
